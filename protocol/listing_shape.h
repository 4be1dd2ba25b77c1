/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_LISTING_SHAPE_H
#define TORG_PROTOCOL_LISTING_SHAPE_H

#include "protocol/listing.h"

/* Kinds of geometry: GeoJSON's (RFC 7946) without collections. */
struct listing_shape {
    const char *name;
    unsigned depth;         /* arrays around a position */
    uint32_t positions_min; /* in the innermost array */
    bool rings;             /* the innermost arrays are rings */
};

#define LISTING_SHAPE_NAMES                                                                        \
    "Point, MultiPoint, LineString, MultiLineString, Polygon or MultiPolygon"

#define LISTING_LON_E7_MAX INT64_C(1800000000)
#define LISTING_LAT_E7_MAX INT64_C(900000000)

/* By its name; NULL. */
const struct listing_shape *listing_shape_find(struct span name);

/*
 * The box around a packed geometry. TORG_E_INVALID unless it is one, with 1 to
 * LISTING_POSITIONS_MAX positions in range; what RFC 7946 asks of lines and
 * rings besides is not looked at.
 */
enum torg_err listing_shape_box(struct span geometry, struct position *ret_min,
                                struct position *ret_max, bool *ret_is_point);

/* The ranges of a geometry's first and second coordinates, whatever they are, times 1e7. */
struct listing_shape_range {
    int64_t first_min, first_max;
    int64_t second_min, second_max;
};
bool listing_shape_in_degrees(const struct listing_shape_range *range);
/*
 * Which coordinate system positions that are not longitude and latitude seem to
 * be in, as words for people. For positions that could be degrees: NULL, or
 * that they look swapped, judged for northern Europe.
 */
const char *listing_shape_system(const struct listing_shape_range *range);

#endif
