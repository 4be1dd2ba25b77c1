/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/shape_region.h"

#include <geos_c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As it is, and once around the earth where it touches the antimeridian. */
#define COPIES_MAX 3
#define TURN_E7 3600000000.0

/*
 * Up to so many edges a loop over all of them decides about a box sooner than
 * GEOS, which wants a geometry to be made of it first (measured: 5 us).
 */
#define PLAIN_EDGES_MAX 256

struct region_copy {
    GEOSGeometry *geometry, *border; /* the border of an area only */
    const GEOSPreparedGeometry *prepared, *prepared_border;
};

struct shape_region {
    GEOSContextHandle_t context;
    struct position min, max;
    unsigned copy_count;
    struct region_copy copies[COPIES_MAX];
    struct region_edge *edges; /* of an area with few; NULL: GEOS is asked */
    uint32_t edge_count;
};

struct region_edge {
    struct position a, b;
};

/* ---- shapes for GEOS ---- */

/* The positions of a path, turn_e7 further east. NULL without memory. */
static GEOSCoordSequence *sequence_new(GEOSContextHandle_t context, const struct shape *shape,
                                       const struct shape_path *path, double turn_e7)
{
    double *values = malloc(2 * (size_t)path->count * sizeof(*values));
    GEOSCoordSequence *sequence;

    if (!values)
        return NULL;
    for (uint32_t i = 0; i < path->count; i++) {
        values[2 * i] = shape->positions[path->first + i].lon_e7 + turn_e7;
        values[2 * i + 1] = shape->positions[path->first + i].lat_e7;
    }
    sequence = GEOSCoordSeq_copyFromBuffer_r(context, values, path->count, 0, 0);
    free(values);
    return sequence;
}

static GEOSGeometry *path_new(GEOSContextHandle_t context, const struct shape *shape,
                              const struct shape_path *path, double turn_e7, bool ring)
{
    GEOSCoordSequence *sequence = sequence_new(context, shape, path, turn_e7);

    if (!sequence)
        return NULL;
    /* Each takes the sequence, whatever becomes of it. */
    return ring ? GEOSGeom_createLinearRing_r(context, sequence)
                : GEOSGeom_createLineString_r(context, sequence);
}

static void geometries_free(GEOSContextHandle_t context, GEOSGeometry **parts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        GEOSGeom_destroy_r(context, parts[i]);
}

/* The area whose outer ring is the i-th path; *ret_next is the path after its last hole. */
static GEOSGeometry *area_new(GEOSContextHandle_t context, const struct shape *shape, uint32_t i,
                              double turn_e7, GEOSGeometry **holes, uint32_t *ret_next)
{
    GEOSGeometry *outer = path_new(context, shape, &shape->paths[i], turn_e7, true);
    uint32_t count = 0;

    if (!outer)
        return NULL;
    for (i++; i < shape->path_count && shape->paths[i].hole; i++) {
        holes[count] = path_new(context, shape, &shape->paths[i], turn_e7, true);
        if (!holes[count]) {
            geometries_free(context, holes, count);
            GEOSGeom_destroy_r(context, outer);
            return NULL;
        }
        count++;
    }
    *ret_next = i;
    return GEOSGeom_createPolygon_r(context, outer, holes, count); /* takes them all */
}

/* Areas, or each path as a line. parts and spare have room for every path. */
static GEOSGeometry *collection_new(GEOSContextHandle_t context, const struct shape *shape,
                                    double turn_e7, bool areas, GEOSGeometry **parts,
                                    GEOSGeometry **spare)
{
    uint32_t count = 0;

    for (uint32_t i = 0, next; i < shape->path_count; i = next) {
        next = i + 1;
        parts[count] = areas ? area_new(context, shape, i, turn_e7, spare, &next)
                             : path_new(context, shape, &shape->paths[i], turn_e7, false);
        if (!parts[count]) {
            geometries_free(context, parts, count);
            return NULL;
        }
        count++;
    }
    if (count == 1)
        return parts[0];
    return GEOSGeom_createCollection_r(context, areas ? GEOS_MULTIPOLYGON : GEOS_MULTILINESTRING,
                                       parts, count);
}

static GEOSGeometry *points_new(GEOSContextHandle_t context, const struct shape *shape,
                                double turn_e7)
{
    GEOSGeometry **points = malloc(shape->position_count * sizeof(GEOSGeometry *));
    GEOSGeometry *out = NULL;
    uint32_t count = 0;

    if (!points)
        return NULL;
    for (; count < shape->position_count; count++) {
        points[count] = GEOSGeom_createPointFromXY_r(
            context, shape->positions[count].lon_e7 + turn_e7, shape->positions[count].lat_e7);
        if (!points[count])
            break;
    }
    if (count < shape->position_count)
        geometries_free(context, points, count);
    else if (count == 1)
        out = points[0];
    else
        out = GEOSGeom_createCollection_r(context, GEOS_MULTIPOINT, points, count);
    free(points);
    return out;
}

/* The shape, or with border the rings of its areas as lines. NULL without memory. */
static GEOSGeometry *geometry_new(GEOSContextHandle_t context, const struct shape *shape,
                                  double turn_e7, bool border)
{
    GEOSGeometry **parts;
    GEOSGeometry *out;

    if (shape->kind == SHAPE_POINTS)
        return points_new(context, shape, turn_e7);
    parts = malloc(2 * (size_t)shape->path_count * sizeof(GEOSGeometry *));
    if (!parts)
        return NULL;
    out = collection_new(context, shape, turn_e7, shape->kind == SHAPE_AREAS && !border, parts,
                         parts + shape->path_count);
    free(parts);
    return out;
}

/* ---- validity ---- */

static void check_words(GEOSContextHandle_t context, const char *reason,
                        const GEOSGeometry *location, struct shape_fault *fault)
{
    double lon_e7, lat_e7;

    if (location && GEOSGeomGetX_r(context, location, &lon_e7) == 1 &&
        GEOSGeomGetY_r(context, location, &lat_e7) == 1)
        snprintf(fault->text, sizeof(fault->text),
                 "is not valid: %s at longitude %.7f, latitude %.7f; mend it, in QGIS by "
                 "\"Fix geometries\"",
                 reason, lon_e7 / 1e7, lat_e7 / 1e7);
    else
        snprintf(fault->text, sizeof(fault->text), "is not valid: %s", reason);
}

static enum torg_err check_geometry(GEOSContextHandle_t context, const GEOSGeometry *geometry,
                                    struct shape_fault *fault)
{
    GEOSGeometry *location = NULL;
    char *reason = NULL;
    char answer;

    answer = GEOSisValidDetail_r(context, geometry, GEOSVALID_ALLOW_SELFTOUCHING_RING_FORMING_HOLE,
                                 &reason, &location);
    if (answer == 0)
        check_words(context, reason ? reason : "for a reason that GEOS does not tell", location,
                    fault);
    if (reason)
        GEOSFree_r(context, reason);
    if (location)
        GEOSGeom_destroy_r(context, location);
    return answer == 1 ? TORG_OK : answer == 0 ? TORG_E_INVALID : TORG_E_NOMEM;
}

enum torg_err shape_check(const struct shape *shape, struct shape_fault *fault)
{
    GEOSContextHandle_t context = GEOS_init_r();
    GEOSGeometry *geometry;
    enum torg_err err = TORG_E_NOMEM;

    if (!context)
        return err;
    geometry = geometry_new(context, shape, 0, false);
    if (geometry) {
        err = check_geometry(context, geometry, fault);
        GEOSGeom_destroy_r(context, geometry);
    }
    GEOS_finish_r(context);
    return err;
}

enum torg_err shape_check_listing(uint8_t collection, struct span body, struct problems *problems)
{
    struct listing_fields fields;
    struct shape_fault fault = {""};
    struct shape shape = {0};
    enum torg_err err;

    err = listing_fields_read(collection, body, &fields);
    if (err || !fields.has_geometry || fields.is_point)
        return err;
    err = shape_read(&shape, fields.geometry);
    if (!err)
        err = shape_check(&shape, &fault);
    if (err == TORG_E_INVALID)
        problems_add(problems, "geometry", "%s", fault.text);
    shape_done(&shape);
    return err;
}

/* ---- regions ---- */

/* The edges of an area, for what touches no antimeridian: one copy is all there is. */
static enum torg_err region_edges(struct shape_region *region, const struct shape *shape)
{
    if (shape->kind != SHAPE_AREAS || region->copy_count > 1 ||
        shape->position_count > PLAIN_EDGES_MAX)
        return TORG_OK;
    region->edges = malloc(shape->position_count * sizeof(*region->edges));
    if (!region->edges)
        return TORG_E_NOMEM;
    for (uint32_t p = 0; p < shape->path_count; p++) {
        const struct position *at = &shape->positions[shape->paths[p].first];

        for (uint32_t i = 0; i + 1 < shape->paths[p].count; i++)
            region->edges[region->edge_count++] = (struct region_edge){at[i], at[i + 1]};
    }
    return TORG_OK;
}

static enum torg_err region_add(struct shape_region *region, const struct shape *shape,
                                double turn_e7)
{
    struct region_copy *copy = &region->copies[region->copy_count++];

    copy->geometry = geometry_new(region->context, shape, turn_e7, false);
    if (copy->geometry)
        copy->prepared = GEOSPrepare_r(region->context, copy->geometry);
    if (!copy->prepared)
        return TORG_E_NOMEM;
    if (shape->kind != SHAPE_AREAS)
        return TORG_OK;
    copy->border = geometry_new(region->context, shape, turn_e7, true);
    if (copy->border)
        copy->prepared_border = GEOSPrepare_r(region->context, copy->border);
    return copy->prepared_border ? TORG_OK : TORG_E_NOMEM;
}

enum torg_err shape_region_new(const struct shape *shape, struct shape_region **ret_region,
                               struct shape_fault *fault)
{
    struct shape_region *region = calloc(1, sizeof(*region));
    enum torg_err err = TORG_E_NOMEM;

    if (!region)
        return err;
    region->min = shape->min;
    region->max = shape->max;
    region->context = GEOS_init_r();
    if (region->context)
        err = region_add(region, shape, 0);
    if (!err)
        err = check_geometry(region->context, region->copies[0].geometry, fault);
    /* What lies on the one meridian is also on the other. */
    if (!err && shape->min.lon_e7 == -GEO_LON_E7_MAX)
        err = region_add(region, shape, TURN_E7);
    if (!err && shape->max.lon_e7 == GEO_LON_E7_MAX)
        err = region_add(region, shape, -TURN_E7);
    if (!err)
        err = region_edges(region, shape);
    if (err)
        shape_region_free(region);
    else
        *ret_region = region;
    return err;
}

void shape_region_free(struct shape_region *region)
{
    if (!region)
        return;
    for (unsigned i = 0; i < region->copy_count; i++) {
        struct region_copy *copy = &region->copies[i];

        if (copy->prepared)
            GEOSPreparedGeom_destroy_r(region->context, copy->prepared);
        if (copy->prepared_border)
            GEOSPreparedGeom_destroy_r(region->context, copy->prepared_border);
        if (copy->geometry)
            GEOSGeom_destroy_r(region->context, copy->geometry);
        if (copy->border)
            GEOSGeom_destroy_r(region->context, copy->border);
    }
    if (region->context)
        GEOS_finish_r(region->context);
    free(region->edges);
    free(region);
}

struct geo_window shape_region_window(const struct shape_region *region)
{
    struct geo_window window = {
        .south_e7 = region->min.lat_e7,
        .north_e7 = region->max.lat_e7,
        .west_e7 = {region->min.lon_e7, region->min.lon_e7},
        .east_e7 = {region->max.lon_e7, region->max.lon_e7},
    };

    if (region->min.lon_e7 == -GEO_LON_E7_MAX && region->max.lon_e7 < GEO_LON_E7_MAX)
        window.west_e7[1] = window.east_e7[1] = GEO_LON_E7_MAX;
    else if (region->max.lon_e7 == GEO_LON_E7_MAX && region->min.lon_e7 > -GEO_LON_E7_MAX)
        window.west_e7[1] = window.east_e7[1] = -GEO_LON_E7_MAX;
    return window;
}

/* GEOS answers 0, 1, or 2 after an exception: memory, for nothing else can go wrong here. */
static enum torg_err region_ask(const struct shape_region *region,
                                const GEOSPreparedGeometry *prepared, const GEOSGeometry *geometry,
                                bool *ret_touches)
{
    char answer = GEOSPreparedIntersects_r(region->context, prepared, geometry);

    if (answer != 0 && answer != 1)
        return TORG_E_NOMEM;
    *ret_touches = answer == 1;
    return TORG_OK;
}

static enum torg_err region_any(const struct shape_region *region, const GEOSGeometry *geometry,
                                bool *ret_touches)
{
    bool touches = false;
    enum torg_err err = TORG_OK;

    for (unsigned i = 0; i < region->copy_count && !err && !touches; i++)
        err = region_ask(region, region->copies[i].prepared, geometry, &touches);
    if (!err)
        *ret_touches = touches;
    return err;
}

static GEOSGeometry *box_new(GEOSContextHandle_t context, struct position min, struct position max)
{
    double corners[4] = {min.lon_e7, min.lat_e7, max.lon_e7, max.lat_e7};
    GEOSCoordSequence *sequence;

    if (min.lon_e7 < max.lon_e7 && min.lat_e7 < max.lat_e7)
        return GEOSGeom_createRectangle_r(context, corners[0], corners[1], corners[2], corners[3]);
    if (min.lon_e7 == max.lon_e7 && min.lat_e7 == max.lat_e7)
        return GEOSGeom_createPointFromXY_r(context, corners[0], corners[1]);
    sequence = GEOSCoordSeq_copyFromBuffer_r(context, corners, 2, 0, 0);
    return sequence ? GEOSGeom_createLineString_r(context, sequence) : NULL;
}

/* A box that meets the area, but no ring of it, lies inside. */
static enum torg_err region_side(const struct shape_region *region, const GEOSGeometry *box,
                                 bool point, enum geo_side *ret_side)
{
    bool touches = false, border = true;
    enum torg_err err = region_any(region, box, &touches);

    if (err)
        return err;
    if (touches && !point) {
        for (unsigned i = 0; i < region->copy_count && !err; i++) {
            const struct region_copy *copy = &region->copies[i];
            bool inside, crossed = true;

            err = region_ask(region, copy->prepared, box, &inside);
            if (!err && inside && copy->prepared_border)
                err = region_ask(region, copy->prepared_border, box, &crossed);
            border = border && crossed;
        }
    }
    if (!err)
        *ret_side = !touches ? GEO_OUT : point || !border ? GEO_IN : GEO_BORDER;
    return err;
}

/* ---- boxes, by whole numbers ---- */

/* 1 when p lies left of the edge, -1 right of it, 0 on its line. Products stay below 2^63. */
static int edge_turn(const struct region_edge *edge, int32_t lon_e7, int32_t lat_e7)
{
    int64_t left = ((int64_t)edge->b.lon_e7 - edge->a.lon_e7) * ((int64_t)lat_e7 - edge->a.lat_e7);
    int64_t right = ((int64_t)edge->b.lat_e7 - edge->a.lat_e7) * ((int64_t)lon_e7 - edge->a.lon_e7);

    return (left > right) - (left < right);
}

/* Two convex sets are apart when a line parallel to a side of one of them parts them. */
static bool edge_touches(const struct region_edge *edge, struct position min, struct position max)
{
    int turns;

    if ((edge->a.lon_e7 < min.lon_e7 && edge->b.lon_e7 < min.lon_e7) ||
        (edge->a.lon_e7 > max.lon_e7 && edge->b.lon_e7 > max.lon_e7) ||
        (edge->a.lat_e7 < min.lat_e7 && edge->b.lat_e7 < min.lat_e7) ||
        (edge->a.lat_e7 > max.lat_e7 && edge->b.lat_e7 > max.lat_e7))
        return false;
    turns = edge_turn(edge, min.lon_e7, min.lat_e7) + edge_turn(edge, max.lon_e7, min.lat_e7) +
            edge_turn(edge, max.lon_e7, max.lat_e7) + edge_turn(edge, min.lon_e7, max.lat_e7);
    return turns != 4 && turns != -4;
}

/* Does the edge cross the ray that goes east from p, which is on no edge? */
static bool edge_crosses(const struct region_edge *edge, struct position p)
{
    bool up = edge->b.lat_e7 > p.lat_e7;

    return (edge->a.lat_e7 > p.lat_e7) != up &&
           edge_turn(edge, p.lon_e7, p.lat_e7) == (up ? 1 : -1);
}

/* A box that no ring touches is inside or outside with each of its corners. */
static enum geo_side plain_side(const struct shape_region *region, struct position min,
                                struct position max, bool point)
{
    bool odd = false;

    for (uint32_t i = 0; i < region->edge_count; i++) {
        if (edge_touches(&region->edges[i], min, max))
            return point ? GEO_IN : GEO_BORDER;
        odd ^= edge_crosses(&region->edges[i], min);
    }
    return odd ? GEO_IN : GEO_OUT;
}

static bool window_far(const struct shape_region *region, struct position min, struct position max)
{
    struct geo_window window = shape_region_window(region);

    return !geo_window_overlaps(&window, min, max);
}

enum torg_err shape_region_box(const struct shape_region *region, struct position min,
                               struct position max, enum geo_side *ret_side)
{
    bool point = min.lon_e7 == max.lon_e7 && min.lat_e7 == max.lat_e7;
    GEOSGeometry *box;
    enum torg_err err;

    if (window_far(region, min, max)) {
        *ret_side = GEO_OUT;
        return TORG_OK;
    }
    if (region->edges) {
        *ret_side = plain_side(region, min, max, point);
        return TORG_OK;
    }
    box = box_new(region->context, min, max);
    if (!box)
        return TORG_E_NOMEM;
    err = region_side(region, box, point, ret_side);
    GEOSGeom_destroy_r(region->context, box);
    return err;
}

enum torg_err shape_region_touches(const struct shape_region *region, const struct shape *shape,
                                   bool *ret_touches)
{
    GEOSGeometry *geometry;
    enum torg_err err;

    if (window_far(region, shape->min, shape->max)) {
        *ret_touches = false;
        return TORG_OK;
    }
    geometry = geometry_new(region->context, shape, 0, false);
    if (!geometry)
        return TORG_E_NOMEM;
    err = region_any(region, geometry, ret_touches);
    GEOSGeom_destroy_r(region->context, geometry);
    return err;
}
