/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_SHAPE_REGION_H
#define TORG_INDEX_SHAPE_REGION_H

#include "index/shape.h"

/*
 * A region that is asked with: S_INTERSECTS of OGC (do they have a point in
 * common, borders included?) in the plane of longitude and latitude. By GEOS,
 * in the only file that includes it. Exact: all coordinates are whole numbers
 * below 2^33, and what GEOS decides for prepared geometries it decides by
 * signs of determinants, in double-double arithmetic where doubles leave a
 * doubt: no point of intersection is ever computed. The region is valid; what
 * it is compared with need not be: the inside of a listing's area is what even
 * and odd crossings say, for each area apart, its holes taken out. The
 * meridians 180 and -180 are one.
 */
struct shape_region; /* one thread at a time */

/*
 * Copies what it needs of shape, which is not empty. TORG_E_INVALID with a
 * fault when shape_check refuses it; TORG_E_NOMEM.
 */
enum torg_err shape_region_new(const struct shape *shape, struct shape_region **ret_region,
                               struct shape_fault *fault);
void shape_region_free(struct shape_region *region);

/* The box around it, and a window for pruning: two ranges where it touches the antimeridian. */
struct geo_window shape_region_window(const struct shape_region *region);

/*
 * Is the box wholly in the region, wholly outside, or neither? min <= max in
 * both fields. When min equals max never GEO_BORDER: a point is in or out. A
 * box that only touches the region's border is GEO_BORDER.
 */
enum torg_err shape_region_box(const struct shape_region *region, struct position min,
                               struct position max, enum geo_side *ret_side);
enum torg_err shape_region_touches(const struct shape_region *region, const struct shape *shape,
                                   bool *ret_touches);

/*
 * Is it valid as OGC 06-103r4 says: do rings not cross themselves or each
 * other, are holes inside? TORG_E_INVALID with what is wrong and where. A ring
 * that touches itself in a point is accepted. TORG_E_NOMEM.
 */
enum torg_err shape_check(const struct shape *shape, struct shape_fault *fault);
/*
 * The same for the geometry of a packed body that this node is to publish,
 * after listing_check: a problem names what is wrong.
 */
enum torg_err shape_check_listing(uint8_t collection, struct span body, struct problems *problems);

#endif
