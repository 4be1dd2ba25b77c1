/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_RTREE_CURVE_H
#define TORG_INDEX_RTREE_CURVE_H

#include "index/rtree.h"

/*
 * The order of positions along a Hilbert curve over their common box (Kamel and
 * Faloutsos 1993), by a radix sort: what is near in it is near on the ground.
 */
struct rtree_place {
    uint64_t along; /* the caller puts rtree_curve_pair in; afterwards the place on the curve */
    uint32_t item;  /* the caller's own */
};

static inline uint64_t rtree_curve_pair(struct position point)
{
    return (uint64_t)(uint32_t)point.lon_e7 << 32 | (uint32_t)point.lat_e7;
}

/* Stable: equal places on the curve keep their order. TORG_E_NOMEM. */
enum torg_err rtree_curve_sort(struct rtree_place *places, size_t count);
/* Stable, by the item's number in along, which is below 2^33. */
enum torg_err rtree_curve_sort_numbers(struct rtree_place *places, size_t count);

#endif
