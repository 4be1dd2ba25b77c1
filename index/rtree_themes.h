/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_RTREE_THEMES_H
#define TORG_INDEX_RTREE_THEMES_H

#include "index/rtree_pack.h"

/*
 * Trees of single themes. A theme has one where it pays: with fewer items than
 * RTREE_THEMES_BUILD the main tree finds them in as many leaves, and where more
 * than half of all items have it, the main tree is hardly larger. Both bounds
 * have a wide gap, so that a theme near one of them does not come and go.
 */
#define RTREE_THEMES_BUILD 64
#define RTREE_THEMES_DROP 24
/* Built within a batch of edits up to here; a larger one by the next bulk load only. */
#define RTREE_THEMES_BUILD_MAX 16384

/* Does a bulk load build a tree for a theme of which it has so many of all items? */
static inline bool rtree_themes_pay(uint64_t items, uint64_t all)
{
    return items >= RTREE_THEMES_BUILD && items <= all / 2;
}

/* After edits of items with these themes: build and drop. May flush pages. */
enum torg_err rtree_themes_settle(struct rtree_pages *pages, const struct theme_set *touched);
/* Write a theme's tree over slots of its items, as rtree_pack_slots takes them. */
enum torg_err rtree_themes_pack(struct rtree_pages *pages, unsigned bit,
                                const struct rtree_slot *slots, uint32_t *order, size_t count);

/* Which of some entries have each theme: items[begins[bit]..begins[bit + 1]), in their order. */
struct rtree_members {
    uint32_t *items; /* owned */
    size_t begins[THEME_BITS + 1];
};
/* TORG_E_NOMEM, without anything to be freed. */
enum torg_err rtree_members_find(const struct rtree_entry *entries, size_t count,
                                 struct rtree_members *ret_members);
void rtree_members_done(struct rtree_members *members);

/* Items of subtrees as slots. */
struct rtree_gather {
    struct rtree_slot *slots; /* owned */
    size_t count, capacity;
};
void rtree_gather_done(struct rtree_gather *gather);
/* Add the items below a node that have a theme (bit RTREE_STEM_MAIN: all). TORG_E_NOMEM. */
enum torg_err rtree_gather_below(struct rtree_gather *gather, struct rtree_pages *pages,
                                 uint32_t number, unsigned level, int bit);
/* The order of packing; *ret_order to be freed. */
enum torg_err rtree_gather_order(const struct rtree_gather *gather, uint32_t **ret_order);

#endif
