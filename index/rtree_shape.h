/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_RTREE_SHAPE_H
#define TORG_INDEX_RTREE_SHAPE_H

#include "index/rtree_node.h"

/*
 * The two choices that give a tree grown by inserts its shape, after the
 * R*-tree (Beckmann, Kriegel, Schneider and Seeger 1990), without its forced
 * reinsertion, which would make an insert dear. Degrees of longitude are
 * weighed by the cosine of the latitude: at 65 degrees north a square in
 * degrees is not one on the ground.
 */
#define RTREE_SHAPE_ENTRIES_MAX (2 * RTREE_LEAF_MAX)

/* Which child of an inner node entry goes below. */
unsigned rtree_shape_choose(const struct rtree_node *node, const struct rtree_entry *entry);

/*
 * Divide entries in two, each of at least two fifths; reorders them.
 * Returns how many belong to the first part.
 */
unsigned rtree_shape_split(struct rtree_entry *entries, unsigned count);

#endif
