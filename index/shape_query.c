/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/shape_query.h"

#include <stdlib.h>

#include "index/catalogue_row.h"
#include "index/geo_short.h"
#include "index/query.h"
#include "index/shape_distance.h"
#include "protocol/profile.h"

/* Answers are kept in a table by number, where a later one takes an earlier one's place. */
#define ANSWERS_MAX 4096 /* a power of two */

struct shape_answer {
    uint32_t document; /* 0: none */
    bool has_distance, has_touches, has_boxed;
    bool touches, boxed; /* the region; the box */
    double distance_m;
};

struct shape_query {
    const struct kv *kv;
    struct shape_box box;
    const struct shape_region *region;
    struct geo_centre centre;
    struct rtree_shapes shapes;
    struct shape_answer *answers;
    struct shape shape; /* of shape_document; 0: of none */
    uint32_t shape_document;
    struct shape_query_work work;
    enum torg_err err;
};

/* ---- geometries ---- */

/* The body's keys ascend, so what would come after is not looked at. */
static struct span body_geometry(struct span body)
{
    struct profile_reader in = profile_reader_of(body);
    uint32_t count = profile_map(&in);

    for (uint32_t i = 0; i < count && !in.in.err; i++) {
        int order = span_compare(profile_str(&in, SIZE_MAX), span_of_str("geometry"));
        struct span value;

        if (order > 0)
            break;
        value = profile_skip(&in);
        if (order == 0 && !in.in.err)
            return value;
    }
    return (struct span){0};
}

static enum torg_err query_geometry(const struct kv *kv, uint32_t document, struct span *ret)
{
    struct span body;
    enum torg_err err = catalogue_record_body(kv, document, &body);

    if (!err)
        *ret = body_geometry(body);
    return err;
}

/* A document that a tree or a row names has a geometry that can be read. */
static enum torg_err query_shape(struct shape_query *query, uint32_t document)
{
    struct span geometry;
    enum torg_err err;

    if (query->shape_document == document)
        return TORG_OK;
    if (query->work.work > QUERY_WORK_MAX)
        return TORG_E_EXPENSIVE;
    query->shape_document = 0;
    err = query_geometry(query->kv, document, &geometry);
    if (!err)
        err = shape_read(&query->shape, geometry);
    if (err)
        return err == TORG_E_NOT_FOUND || err == TORG_E_INVALID ? TORG_E_CORRUPT : err;
    query->shape_document = document;
    query->work.read++;
    query->work.work += 2 + query->shape.position_count / 32;
    return TORG_OK;
}

static enum torg_err query_answer(struct shape_query *query, uint32_t document,
                                  struct shape_answer **ret_answer)
{
    struct shape_answer *answer;

    if (!query->answers)
        query->answers = calloc(ANSWERS_MAX, sizeof(*query->answers));
    if (!query->answers)
        return TORG_E_NOMEM;
    answer = &query->answers[document & (ANSWERS_MAX - 1)];
    if (answer->document != document)
        *answer = (struct shape_answer){.document = document};
    *ret_answer = answer;
    return TORG_OK;
}

/* ---- for trees ---- */

static enum geo_side shapes_region_box(void *context, struct position min, struct position max)
{
    struct shape_query *query = context;
    enum geo_side side = GEO_OUT;
    enum torg_err err = shape_region_box(query->region, min, max, &side);

    if (err && !query->err)
        query->err = err;
    return side;
}

static enum torg_err shapes_region_item(void *context, uint32_t document, bool *ret_touches)
{
    struct shape_query *query = context;
    struct shape_answer *answer;
    enum torg_err err = query_answer(query, document, &answer);

    if (!err && !answer->has_touches) {
        err = query_shape(query, document);
        if (!err)
            err = shape_region_touches(query->region, &query->shape, &answer->touches);
        query->work.work += query->shape.position_count / 8;
        answer->has_touches = !err;
    }
    if (!err)
        *ret_touches = answer->touches;
    return err;
}

static enum torg_err shapes_box_item(void *context, uint32_t document, bool *ret_touches)
{
    struct shape_query *query = context;
    struct shape_answer *answer;
    enum torg_err err = query_answer(query, document, &answer);

    if (!err && !answer->has_boxed) {
        err = query_shape(query, document);
        if (!err) {
            answer->boxed = shape_box_touches(&query->box, &query->shape);
            answer->has_boxed = true;
            query->work.work += query->shape.position_count / 64;
        }
    }
    if (!err)
        *ret_touches = answer->boxed;
    return err;
}

static enum torg_err shapes_distance(void *context, uint32_t document, double *ret_m)
{
    struct shape_query *query = context;
    struct shape_answer *answer;
    enum torg_err err = query_answer(query, document, &answer);

    if (!err && !answer->has_distance) {
        err = query_shape(query, document);
        if (!err)
            err = shape_distance(&query->shape, &query->centre, &query->work.work,
                                 &answer->distance_m);
        answer->has_distance = !err;
    }
    if (!err)
        *ret_m = answer->distance_m;
    return err;
}

enum torg_err shape_query_new(const struct kv *kv, const struct geo_box *box,
                              const struct shape_region *region, const struct geo_point *centre,
                              struct shape_query **ret_query)
{
    struct shape_query *query = calloc(1, sizeof(*query));

    if (!query)
        return TORG_E_NOMEM;
    query->kv = kv;
    query->region = region;
    query->shapes.context = query;
    if (box) {
        query->box = shape_box_of(box);
        query->shapes.box_item = shapes_box_item;
    }
    if (region) {
        query->shapes.has_region = true;
        query->shapes.region_box = shapes_region_box;
        query->shapes.region_item = shapes_region_item;
    }
    if (centre) {
        query->centre = geo_centre_of(*centre);
        query->shapes.distance = shapes_distance;
    }
    *ret_query = query;
    return TORG_OK;
}

void shape_query_free(struct shape_query *query)
{
    if (!query)
        return;
    shape_done(&query->shape);
    free(query->answers);
    free(query);
}

const struct rtree_shapes *shape_query_shapes(const struct shape_query *query)
{
    return &query->shapes;
}

/* ---- for rows ---- */

/* As the tree has it: whose box is one position is a point. */
static bool row_is_area(const struct catalogue_row *row)
{
    return row->box_min.lon_e7 != row->box_max.lon_e7 || row->box_min.lat_e7 != row->box_max.lat_e7;
}

enum torg_err shape_query_boxed(struct shape_query *query, const struct catalogue_row *row,
                                bool *ret_touches)
{
    *ret_touches = geo_window_overlaps(&query->box.window, row->box_min, row->box_max);
    if (!*ret_touches || geo_window_holds(&query->box.window, row->box_min, row->box_max))
        return TORG_OK;
    return shapes_box_item(query, row->number, ret_touches);
}

enum torg_err shape_query_touches(struct shape_query *query, const struct catalogue_row *row,
                                  bool *ret_touches)
{
    enum geo_side side;
    enum torg_err err = shape_region_box(query->region, row->box_min, row->box_max, &side);

    if (err)
        return err;
    if (side == GEO_BORDER)
        return shapes_region_item(query, row->number, ret_touches);
    *ret_touches = side == GEO_IN;
    return TORG_OK;
}

/* The exact distance is asked for only where the bounds leave a doubt. */
enum torg_err shape_query_within(struct shape_query *query, const struct catalogue_row *row,
                                 double radius_m, bool *ret_within)
{
    double lower_m, upper_m, distance_m;
    enum torg_err err;

    if (row_is_area(row)) {
        lower_m = geo_box_lower_m(&query->centre, row->box_min, row->box_max);
        upper_m = geo_box_upper_m(&query->centre, row->box_min, row->box_max);
    } else {
        geo_distance_bounds(&query->centre, geo_point_of(row->point), &lower_m, &upper_m);
    }
    if (upper_m <= radius_m || lower_m > radius_m) {
        *ret_within = upper_m <= radius_m;
        return TORG_OK;
    }
    err = shape_query_distance(query, row, &distance_m);
    if (!err)
        *ret_within = distance_m <= radius_m;
    return err;
}

enum torg_err shape_query_distance(struct shape_query *query, const struct catalogue_row *row,
                                   double *ret_m)
{
    if (row_is_area(row))
        return shapes_distance(query, row->number, ret_m);
    query->work.geodesics++;
    *ret_m = geo_distance_m(query->centre.point, geo_point_of(row->point));
    return TORG_OK;
}

enum torg_err shape_query_rounded(struct shape_query *query, const struct catalogue_row *row,
                                  double *ret_m)
{
    double short_m;

    if (row_is_area(row) || !geo_short_m(&query->centre, geo_point_of(row->point), &short_m) ||
        !geo_short_rounds(short_m))
        return shape_query_distance(query, row, ret_m);
    *ret_m = short_m;
    return TORG_OK;
}

double shape_query_lower_m(const struct shape_query *query, const struct catalogue_row *row)
{
    double lower_m, upper_m;

    if (row_is_area(row))
        return geo_box_lower_m(&query->centre, row->box_min, row->box_max);
    geo_distance_bounds(&query->centre, geo_point_of(row->point), &lower_m, &upper_m);
    return lower_m;
}

struct shape_query_work shape_query_work(const struct shape_query *query)
{
    return query->work;
}

enum torg_err shape_query_err(const struct shape_query *query)
{
    return query->err;
}
