/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_SHAPE_BOX_H
#define TORG_INDEX_SHAPE_BOX_H

#include "index/shape.h"

/*
 * A box that is asked with, compared with geometries instead of their boxes:
 * have they a point in common, borders included? In the plane of longitude and
 * latitude, where edges are straight (RFC 7946), by signs of determinants of
 * whole numbers, so nothing is rounded but the bounds, to a part of a unit: those
 * of up to 12 decimals are exact. What is inside an area is what even and odd crossings say, for
 * each area apart, its holes taken out. The meridians 180 and -180 are one. Any thread.
 */
#define SHAPE_BOX_PARTS 100000 /* of a unit of 1e-7 degree */

struct shape_box {
    struct geo_window window; /* for comparing with boxes of geometries first */
    int64_t south, north;     /* in parts of a unit, here and below */
    unsigned range_count;     /* two over the antimeridian, or where the box touches it */
    int64_t west[2], east[2];
};
/* box is valid. */
struct shape_box shape_box_of(const struct geo_box *box);

bool shape_box_touches(const struct shape_box *box, const struct shape *shape);
/*
 * The same of a GeoJSON geometry of any size, whose positions are in degrees of
 * any number of digits: they are taken to parts of a unit, as bounds are, so a
 * position is in the box whose corner it is. ret_positions says how many were
 * looked at. TORG_E_INVALID when it is no geometry.
 */
enum torg_err shape_box_touches_geojson(const struct shape_box *box, const json_t *geometry,
                                        bool *ret_touches, uint64_t *ret_positions);

#endif
