/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_SHAPE_H
#define TORG_INDEX_SHAPE_H

#include <jansson.h>

#include "index/geo.h"
#include "protocol/listing_shape.h"

/*
 * Points, lines and areas: the exact form of what the tree knows by its box.
 * The plane is that of longitude and latitude in whole units of 1e-7 degree
 * (RFC 7946: edges are straight there, whatever the earth's surface makes of
 * them); what passes over the antimeridian is cut there, and the meridians 180
 * and -180 are the same. shape_region.h compares, shape_distance.h measures.
 */
#define SHAPE_POSITIONS_MAX LISTING_POSITIONS_MAX

enum shape_kind {
    SHAPE_POINTS, /* Point, MultiPoint */
    SHAPE_LINES,  /* LineString, MultiLineString */
    SHAPE_AREAS,  /* Polygon, MultiPolygon */
};

/* Positions first to first + count - 1: all points, one line, or one ring. */
struct shape_path {
    uint32_t first, count;
    bool hole; /* of the area that began with the last ring that is none */
};

/* All zero is empty. Positions and paths are owned; a later read uses their memory again. */
struct shape {
    enum shape_kind kind;
    struct position *positions;
    uint32_t position_count, position_capacity;
    struct shape_path *paths; /* lines have 2 positions or more; rings 4 or more and are closed */
    uint32_t path_count, path_capacity;
    struct position min, max;
};
void shape_done(struct shape *shape);

/*
 * For those who read a shape from some form: begin, then for each path begin,
 * its positions, end. shape_path_end closes a ring that is open and repeats the
 * first position of a path that is too short; TORG_E_INVALID for an empty one.
 */
void shape_begin(struct shape *shape, const struct listing_shape *form);
enum torg_err shape_path_begin(struct shape *shape, bool hole);
enum torg_err shape_add(struct shape *shape, struct position position);
enum torg_err shape_path_end(struct shape *shape);

/* What is wrong with a geometry, in words that follow "the geometry". */
struct shape_fault {
    char text[200];
};

/*
 * Read a listing's packed geometry as it was drawn: what others have published
 * is shown even when RFC 7946 would refuse it. A ring that is open is closed;
 * a line of one position is that position. TORG_E_INVALID unless
 * listing_shape_box would read it; TORG_E_NOMEM. The shape is as good as empty
 * after an error.
 */
enum torg_err shape_read(struct shape *shape, struct span geometry);

/*
 * Read a GeoJSON geometry that somebody asks with: strict. Degrees are rounded
 * to whole units, as those of listings are; an altitude is passed over.
 * TORG_E_INVALID with a fault; TORG_E_TOO_BIG with a fault, for more than
 * SHAPE_POSITIONS_MAX positions; TORG_E_NOMEM.
 */
enum torg_err shape_read_geojson(struct shape *shape, const json_t *json,
                                 struct shape_fault *fault);
/* The same for well-known text (OGC 06-103r4): "POLYGON ((17.5 66, ...))", any case. */
enum torg_err shape_read_wkt(struct shape *shape, struct span text, struct shape_fault *fault);

/*
 * Does an area hold a point, its border left to chance? Even and odd crossings,
 * for each area apart, its holes taken out. False for points and lines.
 */
bool shape_holds(const struct shape *shape, struct geo_point point);

#endif
