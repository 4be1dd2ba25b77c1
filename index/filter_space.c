/* SPDX-License-Identifier: EUPL-1.2 */
#include <geos_c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index/filter_internal.h"
#include "protocol/num.h"

/*
 * What relating two geometries costs in micro-seconds, from measurements with
 * GEOS 3.11. Where it must see how the geometries lie to each other it compares
 * all segments that overlap from west to east: of an outline few, of a zigzag
 * each with each.
 */
#define WORK_POINT_POSITIONS 64 /* so many positions, asked of a point, are one */
#define WORK_POSITIONS 8        /* so many that an index finds are one */
#define WORK_COMPONENTS 256     /* so many that are gone through for each component are one */
#define WORK_PAIRS 64           /* so many pairs of segments are one */

struct filter_space {
    GEOSContextHandle_t context;
    GEOSWKTReader *wkt;
    GEOSGeoJSONReader *geojson;
    struct buffer text; /* readers want a zero behind it */
};

struct filter_shape {
    GEOSGeometry *geometry;
    const GEOSPreparedGeometry *prepared; /* NULL for a feature's */
    uint64_t positions, components;
    bool areal, has_box;
    double box[4];  /* west, south, east, north */
    bool has_crowd; /* crowd has been counted */
    uint64_t crowd; /* segments over one meridian, at most */
};

enum torg_err filter_space_new(struct filter_space **ret_space)
{
    struct filter_space *space = calloc(1, sizeof(*space));

    if (!space)
        return TORG_E_NOMEM;
    space->context = GEOS_init_r();
    if (space->context) {
        space->wkt = GEOSWKTReader_create_r(space->context);
        space->geojson = GEOSGeoJSONReader_create_r(space->context);
    }
    if (!space->wkt || !space->geojson) {
        filter_space_free(space);
        return TORG_E_NOMEM;
    }
    *ret_space = space;
    return TORG_OK;
}

void filter_space_free(struct filter_space *space)
{
    if (!space)
        return;
    if (space->wkt)
        GEOSWKTReader_destroy_r(space->context, space->wkt);
    if (space->geojson)
        GEOSGeoJSONReader_destroy_r(space->context, space->geojson);
    if (space->context)
        GEOS_finish_r(space->context);
    buffer_done(&space->text);
    free(space);
}

void filter_shape_free(struct filter_space *space, struct filter_shape *shape)
{
    if (!shape)
        return;
    if (shape->prepared)
        GEOSPreparedGeom_destroy_r(space->context, shape->prepared);
    GEOSGeom_destroy_r(space->context, shape->geometry);
    free(shape);
}

static void measure(GEOSContextHandle_t context, struct filter_shape *shape)
{
    const GEOSGeometry *geometry = shape->geometry;
    int positions = GEOSGetNumCoordinates_r(context, geometry);
    int components = GEOSGetNumGeometries_r(context, geometry);
    int type = GEOSGeomTypeId_r(context, geometry);

    shape->positions = positions > 0 ? (uint64_t)positions : 0;
    shape->components = components > 0 ? (uint64_t)components : 0;
    shape->areal = type == GEOS_POLYGON || type == GEOS_MULTIPOLYGON;
    shape->has_box = GEOSGeom_getXMin_r(context, geometry, &shape->box[0]) == 1 &&
                     GEOSGeom_getYMin_r(context, geometry, &shape->box[1]) == 1 &&
                     GEOSGeom_getXMax_r(context, geometry, &shape->box[2]) == 1 &&
                     GEOSGeom_getYMax_r(context, geometry, &shape->box[3]) == 1;
}

static enum torg_err shape_new(struct filter_space *space, GEOSGeometry *geometry,
                               struct filter_shape **ret_shape)
{
    struct filter_shape *shape = calloc(1, sizeof(*shape));

    if (!shape) {
        GEOSGeom_destroy_r(space->context, geometry);
        return TORG_E_NOMEM;
    }
    shape->geometry = geometry;
    measure(space->context, shape);
    *ret_shape = shape;
    return TORG_OK;
}

static const char *terminated(struct filter_space *space, struct span text)
{
    buffer_clear(&space->text);
    buffer_put_span(&space->text, text);
    buffer_put_u8(&space->text, 0);
    return space->text.err ? NULL : (const char *)space->text.data;
}

static bool is_valid(struct filter_space *space, const GEOSGeometry *geometry, char *why,
                     size_t why_size)
{
    char *reason;

    if (GEOSisValid_r(space->context, geometry) == 1)
        return true;
    reason = GEOSisValidReason_r(space->context, geometry);
    (void)snprintf(why, why_size, "a geometry is not valid: %s",
                   reason ? reason : "for a reason that GEOS does not tell");
    if (reason)
        GEOSFree_r(space->context, reason);
    return false;
}

static int to_degrees(double *x, double *y, void *transform)
{
    struct geo_point point;

    if (geo_transform_point(transform, *x, *y, &point))
        return 0;
    *x = point.lon_deg;
    *y = point.lat_deg;
    return 1;
}

/* Takes geometry. NULL: a position is outside the system. */
static GEOSGeometry *in_degrees(struct filter_space *space, GEOSGeometry *geometry,
                                struct geo_transform *transform)
{
    GEOSGeometry *out;

    if (!transform)
        return geometry;
    out = GEOSGeom_transformXY_r(space->context, geometry, to_degrees, transform);
    GEOSGeom_destroy_r(space->context, geometry);
    return out;
}

/* Takes geometry. */
static enum torg_err literal_new(struct filter_space *space, GEOSGeometry *geometry,
                                 struct filter_shape **ret_shape, double ret_box[4])
{
    struct filter_shape *shape;
    enum torg_err err = shape_new(space, geometry, &shape);

    if (err)
        return err;
    shape->prepared = GEOSPrepare_r(space->context, geometry);
    if (!shape->prepared || !shape->has_box) {
        filter_shape_free(space, shape);
        return TORG_E_NOMEM;
    }
    memcpy(ret_box, shape->box, sizeof(shape->box));
    *ret_shape = shape;
    return TORG_OK;
}

enum torg_err filter_shape_literal(struct filter_space *space, struct span wkt,
                                   struct geo_transform *transform, struct filter_shape **ret_shape,
                                   double ret_box[4], char *why, size_t why_size)
{
    const char *text = terminated(space, wkt);
    GEOSGeometry *geometry;

    if (!text)
        return TORG_E_NOMEM;
    geometry = GEOSWKTReader_read_r(space->context, space->wkt, text);
    if (!geometry) {
        (void)snprintf(why, why_size, "a geometry cannot be read");
        return TORG_E_INVALID;
    }
    geometry = in_degrees(space, geometry, transform);
    if (!geometry) {
        (void)snprintf(why, why_size,
                       "a geometry has positions outside the coordinate system of filter-crs; mind "
                       "its order of axes");
        return TORG_E_INVALID;
    }
    if (!is_valid(space, geometry, why, why_size)) {
        GEOSGeom_destroy_r(space->context, geometry);
        return TORG_E_INVALID;
    }
    return literal_new(space, geometry, ret_shape, ret_box);
}

/* Most listings are points: their two numbers are read here. NULL: not a plain point. */
static GEOSGeometry *point_read(struct filter_space *space, struct span geojson)
{
    static const char head[] = "{\"type\":\"Point\",\"coordinates\":[";
    const size_t size = sizeof(head) - 1;
    const uint8_t *comma, *end;
    double x, y;

    if (geojson.size < size || memcmp(geojson.data, head, size) != 0)
        return NULL;
    geojson = span_of(geojson.data + size, geojson.size - size);
    comma = memchr(geojson.data, ',', geojson.size);
    end = comma ? memchr(geojson.data, ']', geojson.size) : NULL;
    if (!end || end < comma ||
        num_parse_double(span_of(geojson.data, (size_t)(comma - geojson.data)), &x) ||
        num_parse_double(span_of(comma + 1, (size_t)(end - comma) - 1), &y))
        return NULL;
    return GEOSGeom_createPointFromXY_r(space->context, x, y);
}

/*
 * GEOS 3.11 reads the first number of an empty position without asking whether
 * it is there. No listing has one, so only a damaged feature is passed over.
 */
static bool has_empty_array(struct span geojson)
{
    bool opened = false;

    for (size_t i = 0; i < geojson.size; i++) {
        uint8_t c = geojson.data[i];

        if (c == ']' && opened)
            return true;
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            opened = c == '[';
    }
    return false;
}

enum torg_err filter_shape_read(struct filter_space *space, struct span geojson,
                                struct filter_shape **ret_shape)
{
    GEOSGeometry *geometry = point_read(space, geojson);
    const char *text;

    *ret_shape = NULL;
    if (!geometry && !has_empty_array(geojson)) {
        text = terminated(space, geojson);
        if (!text)
            return TORG_E_NOMEM;
        geometry = GEOSGeoJSONReader_readGeometry_r(space->context, space->geojson, text);
    }
    return geometry ? shape_new(space, geometry, ret_shape) : TORG_OK;
}

/* a contains b is b within a; the others mean the same from either side. */
static enum cql2_op converse(enum cql2_op op)
{
    return op == CQL2_OP_S_CONTAINS ? CQL2_OP_S_WITHIN
           : op == CQL2_OP_S_WITHIN ? CQL2_OP_S_CONTAINS
                                    : op;
}

/* 0, 1, or 2 after an exception, as GEOS says it. One flat switch. */
static char ask_prepared(GEOSContextHandle_t context, enum cql2_op op,
                         const GEOSPreparedGeometry *a, const GEOSGeometry *b)
{
    switch (op) {
    case CQL2_OP_S_INTERSECTS:
        return GEOSPreparedIntersects_r(context, a, b);
    case CQL2_OP_S_DISJOINT:
        return GEOSPreparedDisjoint_r(context, a, b);
    case CQL2_OP_S_TOUCHES:
        return GEOSPreparedTouches_r(context, a, b);
    case CQL2_OP_S_CROSSES:
        return GEOSPreparedCrosses_r(context, a, b);
    case CQL2_OP_S_WITHIN:
        return GEOSPreparedWithin_r(context, a, b);
    case CQL2_OP_S_CONTAINS:
        return GEOSPreparedContains_r(context, a, b);
    case CQL2_OP_S_OVERLAPS:
        return GEOSPreparedOverlaps_r(context, a, b);
    default:
        return 2;
    }
}

static char ask_plain(GEOSContextHandle_t context, enum cql2_op op, const GEOSGeometry *a,
                      const GEOSGeometry *b)
{
    switch (op) {
    case CQL2_OP_S_INTERSECTS:
        return GEOSIntersects_r(context, a, b);
    case CQL2_OP_S_DISJOINT:
        return GEOSDisjoint_r(context, a, b);
    case CQL2_OP_S_EQUALS:
        return GEOSEquals_r(context, a, b);
    case CQL2_OP_S_TOUCHES:
        return GEOSTouches_r(context, a, b);
    case CQL2_OP_S_CROSSES:
        return GEOSCrosses_r(context, a, b);
    case CQL2_OP_S_WITHIN:
        return GEOSWithin_r(context, a, b);
    case CQL2_OP_S_CONTAINS:
        return GEOSContains_r(context, a, b);
    case CQL2_OP_S_OVERLAPS:
        return GEOSOverlaps_r(context, a, b);
    default:
        return 2;
    }
}

/* GEOS looks at the boxes first as well, and then does nothing more. */
static bool apart(enum cql2_op op, const struct filter_shape *a, const struct filter_shape *b)
{
    if (!a->has_box || !b->has_box)
        return true;
    if (op == CQL2_OP_S_EQUALS && memcmp(a->box, b->box, sizeof(a->box)) != 0)
        return true;
    return a->box[0] > b->box[2] || b->box[0] > a->box[2] || a->box[1] > b->box[3] ||
           b->box[1] > a->box[3];
}

/* Of what a prepared geometry answers from its index of pieces. */
static uint64_t indexed_work(const struct filter_shape *a, const struct filter_shape *b)
{
    uint64_t sum = a->positions + b->positions;

    if (a->positions <= 1 || b->positions <= 1)
        return 1 + sum / WORK_POINT_POSITIONS;
    return 1 + sum / WORK_POSITIONS +
           (a->components * b->positions + b->components * a->positions) / WORK_COMPONENTS;
}

/* From where to where, west to east, segments go. */
struct spans {
    double *from, *through;
    size_t count;
};

static void spans_of_line(GEOSContextHandle_t context, const GEOSGeometry *line,
                          struct spans *spans)
{
    const GEOSCoordSequence *sequence = GEOSGeom_getCoordSeq_r(context, line);
    double before = 0, x;
    unsigned size = 0;

    if (!sequence || !GEOSCoordSeq_getSize_r(context, sequence, &size))
        return;
    for (unsigned i = 0; i < size && GEOSCoordSeq_getX_r(context, sequence, i, &x); i++) {
        if (i > 0) {
            spans->from[spans->count] = x < before ? x : before;
            spans->through[spans->count++] = x < before ? before : x;
        }
        before = x;
    }
}

/* Collections stand in each other as deep as protocol/cql2_wkt.c lets them. */
static void spans_of(GEOSContextHandle_t context, const GEOSGeometry *geometry, struct spans *spans)
{
    int type = GEOSGeomTypeId_r(context, geometry);

    if (type == GEOS_LINESTRING || type == GEOS_LINEARRING) {
        spans_of_line(context, geometry, spans);
    } else if (type == GEOS_POLYGON) {
        const GEOSGeometry *ring = GEOSGetExteriorRing_r(context, geometry);
        int holes = GEOSGetNumInteriorRings_r(context, geometry);

        for (int i = 0; ring; i++) {
            spans_of_line(context, ring, spans);
            ring = i < holes ? GEOSGetInteriorRingN_r(context, geometry, i) : NULL;
        }
    } else if (type > GEOS_POLYGON) {
        for (int i = 0; i < GEOSGetNumGeometries_r(context, geometry); i++)
            spans_of(context, GEOSGetGeometryN_r(context, geometry, i), spans);
    }
}

static int double_order(const void *a, const void *b)
{
    const double *left = a, *right = b;

    return (*left > *right) - (*left < *right);
}

static uint64_t crowd_of(GEOSContextHandle_t context, const struct filter_shape *shape)
{
    double *room = calloc(2 * (size_t)shape->positions + 1, sizeof(*room));
    struct spans spans = {.from = room, .through = room + shape->positions};
    uint64_t most = 0;

    if (!room)
        return shape->positions; /* the worst that can be */
    spans_of(context, shape->geometry, &spans);
    qsort(spans.from, spans.count, sizeof(*room), double_order);
    qsort(spans.through, spans.count, sizeof(*room), double_order);
    for (size_t i = 0, over = 0; i < spans.count; i++) {
        while (spans.through[over] < spans.from[i])
            over++;
        most = i + 1 - over > most ? i + 1 - over : most;
    }
    free(room);
    return most;
}

static uint64_t crowd(GEOSContextHandle_t context, struct filter_shape *shape)
{
    if (!shape->has_crowd)
        shape->crowd = crowd_of(context, shape);
    shape->has_crowd = true;
    return shape->crowd;
}

static uint64_t relating_work(GEOSContextHandle_t context, struct filter_shape *a,
                              struct filter_shape *b)
{
    uint64_t sum = a->positions + b->positions;

    return indexed_work(a, b) + sum * (crowd(context, a) + crowd(context, b)) / WORK_PAIRS;
}

/* a is prepared. 2: GEOS does not know, or it would take too long. */
static char relate_prepared(struct filter_space *space, enum cql2_op op, struct filter_shape *a,
                            struct filter_shape *b, uint64_t *work)
{
    bool indexed = op == CQL2_OP_S_INTERSECTS || op == CQL2_OP_S_DISJOINT;
    uint64_t more;

    if (op == CQL2_OP_S_CONTAINS && a->areal) {
        *work += indexed_work(a, b);
        if (GEOSPreparedContainsProperly_r(space->context, a->prepared, b->geometry) == 1)
            return 1;
        if (GEOSPreparedIntersects_r(space->context, a->prepared, b->geometry) == 0)
            return 0;
        indexed = b->positions <= 1;
    }
    more = indexed ? indexed_work(a, b) : relating_work(space->context, a, b);
    *work += more;
    return more > FILTER_WORK_MAX ? 2 : ask_prepared(space->context, op, a->prepared, b->geometry);
}

static char relate_plain(struct filter_space *space, enum cql2_op op, struct filter_shape *a,
                         struct filter_shape *b, uint64_t *work)
{
    uint64_t more = relating_work(space->context, a, b);

    *work += more;
    return more > FILTER_WORK_MAX ? 2 : ask_plain(space->context, op, a->geometry, b->geometry);
}

enum filter_truth filter_shape_related(struct filter_space *space, enum cql2_op op,
                                       struct filter_shape *a, struct filter_shape *b,
                                       uint64_t *work)
{
    char answer;

    if (apart(op, a, b)) {
        *work += 1;
        answer = ask_plain(space->context, op, a->geometry, b->geometry);
    } else if (op != CQL2_OP_S_EQUALS && a->prepared) {
        answer = relate_prepared(space, op, a, b, work);
    } else if (op != CQL2_OP_S_EQUALS && b->prepared) {
        answer = relate_prepared(space, converse(op), b, a, work);
    } else {
        answer = relate_plain(space, op, a, b, work);
    }
    return answer == 0 ? FILTER_NO : answer == 1 ? FILTER_YES : FILTER_UNKNOWN;
}
