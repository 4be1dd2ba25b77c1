/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_RTREE_SWEEP_H
#define TORG_INDEX_RTREE_SWEEP_H

#include "index/rtree_stem.h"

/*
 * Many edits of one tree in one walk. They are handed down the tree together:
 * what is to go, to the children whose boxes hold it, what is to come, to the
 * child that takes it best. So each node is looked at once, each leaf that
 * changes is written and summed once, and an item that moved within its leaf
 * costs no more than one that left it. A leaf that gets too much is packed anew
 * with all that comes to it, however much that is.
 */
struct rtree_removal {
    struct position min, max, point;
    uint32_t document;
    uint32_t place; /* in found */
};

/* All borrowed. */
struct rtree_sweep {
    struct rtree_removal *removals; /* each document once; reordered */
    size_t removal_count;
    struct rtree_entry *found; /* gets the entry of each removal; NULL, but for the main tree */
    const struct rtree_entry *entries;
    uint32_t *inserts; /* which of the entries come, reordered; of many, best along a curve */
    size_t insert_count;
    /*
     * Items that come below the same node above leaves are packed into leaves of their own,
     * if they fill half of one (after the bulk insertion of Chen, Choubey and Rundensteiner
     * 1998). Then the leaves that are there are not written. But the new ones lie over them,
     * and a walk has to look into both: so it is for what grows fast, as a first copy does,
     * and packing anew must follow.
     */
    bool grafts;
};

/*
 * Removals go before inserts, wherever both meet. TORG_E_NOT_FOUND when one was not in
 * the tree: all else is done then. May flush pages: views and bytes die.
 */
enum torg_err rtree_sweep(struct rtree_stem *stem, const struct rtree_sweep *edits);

#endif
