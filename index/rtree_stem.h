/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_RTREE_STEM_H
#define TORG_INDEX_RTREE_STEM_H

#include "index/rtree_pages.h"

/*
 * One of the trees of a collection, the main one or a theme's, as a batch of
 * edits sees it: its root's place in the record, which every change keeps.
 */
#define RTREE_STEM_MAIN (-1)
struct rtree_stem {
    struct rtree_pages *pages;
    unsigned *height;
    uint32_t *root;
    uint32_t *edits;
    bool counted; /* inner nodes have counts by theme: the main tree */
};

/* From the root down: the node on each level, and which of its entries was gone into. */
struct rtree_path {
    uint32_t number[RTREE_LEVELS_MAX];
    unsigned index[RTREE_LEVELS_MAX];
};

/* theme: a bit, or RTREE_STEM_MAIN. */
struct rtree_stem rtree_stem_of(struct rtree_pages *pages, int theme);

/* The entry of the item with this document, point and box. TORG_E_NOT_FOUND. */
enum torg_err rtree_stem_find(struct rtree_stem *stem, const struct rtree_item *item,
                              struct rtree_entry *ret_entry);
/* A root with one child is no use: the child becomes the root. */
enum torg_err rtree_stem_shrink(struct rtree_stem *stem);
/* Give back all nodes; the tree has none then. */
enum torg_err rtree_stem_clear(struct rtree_stem *stem);

/*
 * In the inner node at path->number[level]: take out the entries at
 * index[0..index_count), ascending, and put in others, at most
 * RTREE_STEM_ADDED_MAX. What lies under both is the same items. Splits and
 * shrinks what is above as needed.
 */
#define RTREE_STEM_ADDED_MAX 16
enum torg_err rtree_stem_replace(struct rtree_stem *stem, const struct rtree_path *path,
                                 unsigned level, const unsigned *index, unsigned index_count,
                                 const struct rtree_entry *entries, size_t entry_count);

#endif
