/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_RTREE_PLACE_H
#define TORG_INDEX_RTREE_PLACE_H

#include "index/geo.h"
#include "protocol/err.h"

/*
 * The queue of rtree_near.c: nodes and items in the order of the smallest
 * distance that they can have.
 */
enum rtree_place_kind { /* At equal distance what is not yet exact goes first. */
                        RTREE_PLACE_NODE,
                        RTREE_PLACE_ITEM,
                        RTREE_PLACE_AREA,  /* an item whose distance is that of its shape */
                        RTREE_PLACE_SHORT, /* an item that geo_short_m is enough for */
                        RTREE_PLACE_EXACT,
};

struct rtree_place {
    double distance_m; /* lower bound, or exact */
    uint32_t number;   /* node or document */
    uint8_t kind;
    uint8_t collection;
    uint8_t level;
    uint8_t inside;
    bool pending; /* a node: what waits to come into the collection's trees */
    struct position point;
};

struct rtree_places {
    struct rtree_place *heap; /* owned; heap[0] comes first */
    size_t count, capacity;
};
/* At equal distance and kind by number: the order is total. */
bool rtree_place_before(const struct rtree_place *a, const struct rtree_place *b);
/* TORG_E_NOMEM */
enum torg_err rtree_places_push(struct rtree_places *queue, const struct rtree_place *place);
/* The first, of at least one. */
struct rtree_place rtree_places_pop(struct rtree_places *queue);
void rtree_places_done(struct rtree_places *queue);

#endif
