/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_RTREE_PAGES_H
#define TORG_INDEX_RTREE_PAGES_H

#include "index/rtree_item.h"

/*
 * The nodes of one collection that a batch of edits changes, in memory until
 * they are flushed: so a node that is edited a thousand times is written once,
 * and nothing that was read from the transaction dies in between. Node numbers
 * are given out and taken back here.
 *
 * A view of a node that is not in here borrows from the transaction: it dies
 * with the next flush and with any other write.
 */
struct rtree_page;
struct rtree_pages {
    struct kv *kv;
    uint8_t collection;
    struct rtree_record record; /* as it will be written */
    struct rtree_combinations combinations;
    struct rtree_page *pages; /* owned */
    size_t count, capacity;
    uint32_t *places; /* owned: hash table, 1 + index in pages, 0 free */
    size_t place_count;
    uint32_t *freed; /* owned: numbers to give out again */
    size_t freed_count, freed_capacity;
};

/* pages, uninitialised, must be given to rtree_pages_done even after an error. */
enum torg_err rtree_pages_begin(struct rtree_pages *pages, struct kv *kv, uint8_t collection);
void rtree_pages_done(struct rtree_pages *pages);
/* Write all that changed, the tree's record last; views and bytes die. */
enum torg_err rtree_pages_flush(struct rtree_pages *pages);
/* So many nodes are held that a flush is due, between two edits. */
bool rtree_pages_full(const struct rtree_pages *pages);

/* TORG_E_CORRUPT as rtree_node_get. */
enum torg_err rtree_pages_view(struct rtree_pages *pages, uint32_t number, unsigned level,
                               struct rtree_node *ret_node);
/* The same to be changed, with the functions of rtree_node.h; it stays until the flush. */
enum torg_err rtree_pages_edit(struct rtree_pages *pages, uint32_t number, unsigned level,
                               uint8_t **ret_bytes);
/* The same of a view that still holds: the node is not looked up and checked again. */
enum torg_err rtree_pages_edit_view(struct rtree_pages *pages, const struct rtree_node *node,
                                    uint8_t **ret_bytes);
/* An empty node; of an inner one the counts are zero. counted: it has counts. */
enum torg_err rtree_pages_new(struct rtree_pages *pages, unsigned level, bool counted,
                              uint32_t *ret_number, uint8_t **ret_bytes);
enum torg_err rtree_pages_drop(struct rtree_pages *pages, uint32_t number, unsigned level);
/*
 * Give out the least of the numbers dropped so far first: nodes that are made one after
 * the other then have rising numbers, are written in that order and lie together.
 */
void rtree_pages_dropped_sort(struct rtree_pages *pages);

/* The counts by theme of an inner node of the main tree, to be changed; until the flush. */
enum torg_err rtree_pages_counts(struct rtree_pages *pages, uint32_t number, uint32_t **ret_counts);
/* Add them to sum. */
enum torg_err rtree_pages_counts_add(struct rtree_pages *pages, uint32_t number, uint32_t *sum);

#endif
