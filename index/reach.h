/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_REACH_H
#define TORG_INDEX_REACH_H

#include "index/geo.h"
#include "index/postings.h"

/*
 * Who comes to a place: businesses that say what area they serve ("serves"),
 * and those that move ("itinerary": where and when). Beside its own geometry a
 * listing may so have up to 101 others. They are found by postings: the world
 * is divided into cells, by halves of longitude and latitude REACH_LEVEL_MAX
 * times, and a geometry is in the at most four cells that its box touches on
 * the finest level where these are so few. What the cells leave is compared
 * exactly, by the distance of shape_distance.h: 0 inside an area.
 */
#define REACH_LEVEL_MAX 12
#define REACH_CELL_BYTES 5 /* level u8, row u16be from the south, column u16be from 180 west */
#define REACH_WITHIN_M_MAX 100000 /* farther is no way to come: "near" is for that */

/* Append a listing's cells to its terms. What is no geometry has none. */
void reach_terms(struct span body, struct buffer *terms);

struct reach_query {
    struct geo_point place; /* valid */
    double within_m;        /* 0..REACH_WITHIN_M_MAX: how far away is still there */
    /* Stops at other times do not count; what is served is served at all times. */
    int64_t from_ms, through_ms;
    const struct postings_set *among; /* only these; NULL: all */
};

/*
 * The listings whose served area, or a stop at that time, is at most within_m
 * from the place. *work grows by the entries of the store that were read and by
 * what comparing took, and TORG_E_EXPENSIVE comes when it passes work_max;
 * TORG_E_CORRUPT, TORG_E_NOMEM. ret_set is owned by the caller.
 */
enum torg_err reach_find(const struct kv *kv, const struct reach_query *query, uint64_t work_max,
                         struct postings_set *ret_set, uint64_t *work);

#endif
