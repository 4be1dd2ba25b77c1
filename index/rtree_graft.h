/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_RTREE_GRAFT_H
#define TORG_INDEX_RTREE_GRAFT_H

#include "index/rtree_pages.h"

/*
 * A large batch of inserts: items that go below the same node above leaves are
 * packed into leaves of their own, and the node takes these (after the bulk
 * insertion of Chen, Choubey and Rundensteiner 1998). An item then costs a sixth
 * of an insert of its own or less, and the leaves that are there are not written. But
 * the new leaves lie over them, and a walk has to look into both: so it is for
 * what grows fast, as a first copy does, and packing anew must follow.
 */
#define RTREE_GRAFT_MIN 1024

/*
 * Insert items into the main tree and those of their themes, where they are
 * counted, too; not among the items of the root. entries go along the curve. May
 * flush pages: views and bytes die.
 */
enum torg_err rtree_graft(struct rtree_pages *pages, const struct rtree_entry *entries,
                          size_t count);

#endif
