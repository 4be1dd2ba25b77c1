/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_SUPPORT_SHAPE_BRUTE_H
#define TORG_TESTS_SUPPORT_SHAPE_BRUTE_H

#include "index/shape.h"

/*
 * What shapes have in common, by every pair of edges and integers of 128 bits:
 * too simple to be wrong, for comparing with index/shape_region.c.
 */
bool shape_brute_holds(const struct shape *shape, struct position position);
/* left is valid. The meridians 180 and -180 are one. */
bool shape_brute_touches(const struct shape *left, const struct shape *right);

/*
 * The edges of a shape one after the other, from *path = *i = 0 on; a point is
 * an edge from itself to itself. false at the end.
 */
bool shape_brute_edge(const struct shape *shape, uint32_t *path, uint32_t *i, struct position *a,
                      struct position *b);

#endif
