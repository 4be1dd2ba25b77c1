/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <stdlib.h>

#include "index/shape_distance.h"
#include "index/shape_region.h"
#include "protocol/listing_geojson.h"
#include "tests/support/shape_brute.h"

/*
 * Geometries that strangers sign or ask with. The first byte says in which
 * form the rest is: packed, GeoJSON or well-known text. Whatever is read is
 * whole, is as far away as it should be, and touches a region when integer
 * arithmetic says so.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BRUTE_POSITIONS_MAX 100

static enum torg_err read_json(struct span text, struct shape *shape, struct shape_fault *fault)
{
    char message[160];
    json_t *json;
    enum torg_err err = listing_json_parse(text, &json, message, sizeof(message));

    if (err)
        return err;
    err = shape_read_geojson(shape, json, fault);
    assert(!err || fault->text[0]);
    json_decref(json);
    return err;
}

static enum torg_err read_packed(struct span packed, struct shape *shape)
{
    struct position min, max;
    bool is_point;
    enum torg_err err = shape_read(shape, packed);

    assert(listing_shape_box(packed, &min, &max, &is_point) == err);
    return err;
}

static bool check_whole(const struct shape *shape)
{
    bool hole = false;
    uint32_t at = 0;

    assert(shape->position_count > 0 && shape->path_count > 0 && !shape->paths[0].hole);
    for (uint32_t i = 0; i < shape->path_count; i++) {
        const struct shape_path *path = &shape->paths[i];
        const struct position *first = &shape->positions[path->first];
        const struct position *last = first + path->count - 1;

        assert(path->first == at && path->count >= 1);
        assert(shape->kind != SHAPE_LINES || path->count >= 2);
        assert(shape->kind != SHAPE_AREAS || (path->count >= 4 && first->lon_e7 == last->lon_e7 &&
                                              first->lat_e7 == last->lat_e7));
        hole = hole || path->hole;
        at += path->count;
    }
    assert(at == shape->position_count);
    return hole;
}

static void check_distance(const struct shape *shape, struct position from)
{
    struct geo_centre centre = geo_centre_of(geo_point_of(from));
    double distance_m;
    uint64_t work = 0;

    if (shape_distance(shape, &centre, &work, &distance_m))
        return;
    assert(distance_m <= geo_box_upper_m(&centre, shape->min, shape->max));
    assert(distance_m >= geo_box_lower_m(&centre, shape->min, shape->max));
    assert(work < 200000);
}

static void check_regions(const struct shape *shape, bool hole)
{
    struct shape_fault fault = {""};
    struct shape_region *region;
    struct shape square = {0};
    bool touches;
    enum torg_err err = shape_region_new(shape, &region, &fault);

    assert(!err || fault.text[0]);
    if (shape_read_wkt(&square, span_of_str("POLYGON((17 66,18 66,18 67,17 67,17 66))"), &fault))
        abort();
    if (!err) {
        enum geo_side side;

        assert(!shape_region_box(region, shape->min, shape->max, &side) && side != GEO_OUT);
        assert(!shape_region_touches(region, shape, &touches) && touches);
        if (shape->position_count <= BRUTE_POSITIONS_MAX) {
            assert(!shape_region_touches(region, &square, &touches));
            assert(touches == shape_brute_touches(shape, &square));
        }
        shape_region_free(region);
    }
    if (shape->position_count <= BRUTE_POSITIONS_MAX && (!err || !hole) &&
        !shape_region_new(&square, &region, &fault)) {
        assert(!shape_region_touches(region, shape, &touches));
        assert(touches == shape_brute_touches(&square, shape));
        shape_region_free(region);
    }
    shape_done(&square);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct shape_fault fault = {""};
    struct shape shape = {0};
    struct span text;
    enum torg_err err;

    if (size == 0)
        return 0;
    text = span_of(data + 1, size - 1);
    if (data[0] == 'j')
        err = read_json(text, &shape, &fault);
    else if (data[0] == 'w')
        err = shape_read_wkt(&shape, text, &fault);
    else
        err = read_packed(text, &shape);
    if (!err) {
        bool hole = check_whole(&shape);

        check_distance(&shape, (struct position){170000000, 660000000});
        check_distance(&shape, (struct position){0, 900000000});
        check_distance(&shape, (struct position){-1800000000, -100000000});
        check_regions(&shape, hole);
    }
    shape_done(&shape);
    return 0;
}
