/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_RTREE_PENDING_H
#define TORG_INDEX_RTREE_PENDING_H

#include "index/rtree_filter.h"

/*
 * Edits that wait. An update of one listing changes some fifteen nodes of the
 * trees, all over the file, and as many pages of the store around them: most of
 * what its commit costs. So a small batch is only written down on one page, in
 * the columns of a leaf: what is to go out of the trees, then what is to come.
 * Queries answer as if it were done already. When the page is full, a few that
 * lie together go into the trees and make room, so that no commit pays for all;
 * the repacking does the same before it is full. A large batch takes all along.
 *
 * What is to go stands in the main tree, as it stands here; what is to come is
 * in no tree. Neither has a record (rtree_item.h), so that a document never
 * needs two. Format: docs/index.md.
 */
#define RTREE_PENDING_FORMAT 1
#define RTREE_PENDING_GONE_MAX 96 /* whole vectors of columns, so that the others are aligned */
#define RTREE_PENDING_ADDED_MAX (RTREE_LEAF_MAX - RTREE_PENDING_GONE_MAX)
/* A batch of more edits is done at once. */
#define RTREE_PENDING_EDITS_MAX 16
/* Documents of which what waits is done at a time. */
#define RTREE_PENDING_SOME_MAX 8

struct rtree_pending {
    struct rtree_node gone, added; /* leaves of count 0 and more, borrowed from the transaction */
};

/* Without a page, as of a tree that never was, both are empty and have no bytes. TORG_E_CORRUPT. */
enum torg_err rtree_pending_get(const struct kv *kv, uint8_t collection,
                                struct rtree_pending *ret_pending);

/* Write down that nothing waits. A page that says so spares queries the search for one. */
enum torg_err rtree_pending_clear(struct kv *kv, uint8_t collection);

/*
 * Let edits wait, in this order. Nothing is changed unless they do. TORG_E_NOT_FOUND as
 * rtree_remove.
 */
enum rtree_pending_fate {
    RTREE_PENDING_WAIT, /* they do */
    RTREE_PENDING_FULL, /* they could, if some that wait were done */
    RTREE_PENDING_NOW,  /* one of them needs a record */
    RTREE_PENDING_ALL,  /* too many, or a tree so small that there is nothing to gain */
};
enum torg_err rtree_pending_add(struct rtree *tree, const struct rtree_edit *edits, size_t count,
                                enum rtree_pending_fate *ret_fate);

/*
 * Documents of which all that waits is done, the removal with the insert: if the insert went
 * into the trees alone, they would have two of it.
 */
struct rtree_pending_some {
    unsigned count;
    uint32_t documents[RTREE_PENDING_EDITS_MAX];
};
bool rtree_pending_some_has(const struct rtree_pending_some *some, uint32_t document);
/*
 * Choose at most RTREE_PENDING_SOME_MAX of the column that is fuller, one at least unless nothing
 * waits: those that lie closest together, for they change the fewest nodes. TORG_E_NOMEM.
 */
enum torg_err rtree_pending_choose(const struct rtree_pending *pending,
                                   struct rtree_pending_some *ret_some);
/* Write down that nothing waits of these. Views of the page die. */
enum torg_err rtree_pending_forget(struct kv *kv, uint8_t collection,
                                   const struct rtree_pending_some *some);

/* Is everything zero on the page that no entry uses? Also when there is none. */
bool rtree_pending_rest_zero(const struct rtree_pending *pending);

/* How full the page is, of 1. */
double rtree_pending_full(const struct rtree_pending *pending);

/* Do what waits of some documents, so chosen (rtree_change.c). */
enum torg_err rtree_apply_some(struct rtree *tree);

/* ---- for queries ---- */

/* Which items of one of the two match; none of an empty one. Counts as the visit of a leaf. */
enum torg_err rtree_pending_match(struct rtree_filter *filter, uint8_t collection,
                                  const struct rtree_node *leaf, struct rtree_mask *ret_chosen);

/* Documents that a walk must not find in a tree. */
struct rtree_gone {
    unsigned count;
    uint64_t seen[8]; /* undefined while count is 0: bits of what they hash to */
    uint32_t documents[RTREE_PENDING_GONE_MAX];
};
/* Those of a leaf that are chosen. */
void rtree_gone_fill(struct rtree_gone *gone, const struct rtree_node *leaf,
                     struct rtree_mask chosen);
/* Take them out of what is chosen of a tree's leaf. count is not 0. */
void rtree_gone_narrow(const struct rtree_gone *gone, const struct rtree_node *leaf,
                       struct rtree_mask *chosen);
bool rtree_gone_has(const struct rtree_gone *gone, uint32_t document);

#endif
