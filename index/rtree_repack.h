/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_RTREE_REPACK_H
#define TORG_INDEX_RTREE_REPACK_H

#include "index/rtree.h"

/*
 * Mending in small steps what edits do to a tree's shape. Each step takes the
 * most edited node above the leaves, with those of its siblings that it overlaps
 * most, and packs what is below them anew; or it spreads the children of a few
 * higher nodes anew. So a step reads and writes a few hundred nodes at most,
 * whatever the tree's size, and the tree holds the same items after it. When
 * nothing is left to mend, steps do some of the edits that wait (rtree_pending.h),
 * until there is room for more.
 */
struct rtree_repacked {
    bool quiet;     /* nothing was left to do */
    uint64_t items; /* packed anew, or done */
};

/* One step on a collection's trees, in a transaction of its own or in another's. */
enum torg_err rtree_repack_step(struct rtree *tree, struct rtree_repacked *ret_repacked);

#endif
