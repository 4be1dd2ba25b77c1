/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_RTREE_PACK_H
#define TORG_INDEX_RTREE_PACK_H

#include "index/rtree_pages.h"

/*
 * Packing: items along a curve (Kamel and Faloutsos 1993), cut into runs, each
 * run into tiles, its leaves; then the leaves, and so on, into the nodes above.
 * A node is full to nine tenths as a rule, so that the first inserts do not
 * split every leaf they meet, and at least to a half.
 */
#define RTREE_PACK_LEAF 168
#define RTREE_PACK_INNER 58

/* An item as its leaf entry. */
struct rtree_slot {
    struct position point;
    uint32_t document, from, through;
    uint16_t theme;
};

/*
 * Write nodes over items order[0..count) of slots, which go along the curve and
 * are reordered within each run, up to the level at which one node is left, but at most level_max.
 * counted: inner nodes get counts. *ret_entries, to be freed, gets what a parent
 * says of the highest nodes; count > 0. May flush pages: views and bytes die.
 */
enum torg_err rtree_pack_slots(struct rtree_pages *pages, const struct rtree_slot *slots,
                               uint32_t *order, size_t count, unsigned level_max, bool counted,
                               struct rtree_entry **ret_entries, size_t *ret_entry_count,
                               unsigned *ret_level);

/* One level above entries, nodes of level below + 1, in place; *count becomes theirs. */
enum torg_err rtree_pack_level(struct rtree_pages *pages, unsigned level, bool counted,
                               struct rtree_entry *entries, size_t *count);

/* The counts by theme of an inner node from its children. pages holds them already. */
enum torg_err rtree_pack_count(struct rtree_pages *pages, uint32_t number, unsigned level);
/* Add how many items of a leaf have each theme to counts, THEME_BITS of them. */
enum torg_err rtree_pack_count_leaf(struct rtree_pages *pages, uint32_t number, uint32_t *counts);

#endif
