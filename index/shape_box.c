/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/shape_box.h"

#include <math.h>

#define LON_MAX ((int64_t)GEO_LON_E7_MAX * SHAPE_BOX_PARTS)

/* Products of differences below 2^49 do not fit into 64 bits. */
__extension__ typedef __int128 int128;

/* In parts of a unit. */
struct place {
    int64_t x, y;
};

/* ---- units ---- */

/* Degrees that stand for whole units, as geo_point_of counts them, are exactly these. */
static int64_t parts_of(double degrees)
{
    double e7 = round(degrees * 1e7);

    if (e7 / 1e7 == degrees)
        return (int64_t)e7 * SHAPE_BOX_PARTS;
    return (int64_t)round(degrees * 1e7 * SHAPE_BOX_PARTS);
}

static struct place place_of(struct position position)
{
    return (struct place){.x = (int64_t)position.lon_e7 * SHAPE_BOX_PARTS,
                          .y = (int64_t)position.lat_e7 * SHAPE_BOX_PARTS};
}

struct shape_box shape_box_of(const struct geo_box *box)
{
    int64_t west = parts_of(box->west_deg), east = parts_of(box->east_deg);
    struct shape_box out = {
        .window = geo_window_of_box(box),
        .south = parts_of(box->south_deg),
        .north = parts_of(box->north_deg),
        .range_count = 1,
        .west = {west, -LON_MAX},
        .east = {east, east},
    };

    if (box->west_deg > box->east_deg) {
        out.range_count = 2;
        out.east[0] = LON_MAX;
    } else if (west == -LON_MAX && east < LON_MAX) { /* It holds the other meridian, too. */
        out.range_count = 2;
        out.west[1] = out.east[1] = LON_MAX;
    } else if (east == LON_MAX && west > -LON_MAX) {
        out.range_count = 2;
        out.east[1] = -LON_MAX;
    }
    return out;
}

/* ---- one geometry, position by position ---- */

struct box_test {
    const struct shape_box *box;
    enum shape_kind kind;
    bool touches;
    bool inside[2]; /* is a corner of the range in the area of this ring and those before? */
    bool odd[2];    /* crossings of the ring so far */
    bool hole;
    uint64_t count; /* positions of the path */
    struct place first, last;
};

/* 1 when p lies left of the edge from a to b, -1 right of it, 0 on its line. */
static int edge_turn(struct place a, struct place b, int64_t x, int64_t y)
{
    int128 left = (int128)(b.x - a.x) * (y - a.y), right = (int128)(b.y - a.y) * (x - a.x);

    return (left > right) - (left < right);
}

/* Two convex sets are apart when a line parallel to a side of one of them parts them. */
static bool edge_touches(const struct shape_box *box, unsigned range, struct place a,
                         struct place b)
{
    int64_t west = box->west[range], east = box->east[range];
    int64_t south = box->south, north = box->north;
    int turns;

    if ((a.x < west && b.x < west) || (a.x > east && b.x > east) || (a.y < south && b.y < south) ||
        (a.y > north && b.y > north))
        return false;
    turns = edge_turn(a, b, west, south) + edge_turn(a, b, east, south) +
            edge_turn(a, b, east, north) + edge_turn(a, b, west, north);
    return turns != 4 && turns != -4;
}

/* Does the edge cross the ray that goes east from the range's corner, which is on no edge? */
static bool edge_crosses(const struct shape_box *box, unsigned range, struct place a,
                         struct place b)
{
    bool up = b.y > box->south;

    return (a.y > box->south) != up &&
           edge_turn(a, b, box->west[range], box->south) == (up ? 1 : -1);
}

static void test_edge(struct box_test *test, struct place a, struct place b)
{
    for (unsigned range = 0; range < test->box->range_count && !test->touches; range++) {
        test->touches = edge_touches(test->box, range, a, b);
        if (test->kind == SHAPE_AREAS)
            test->odd[range] ^= edge_crosses(test->box, range, a, b);
    }
}

static void test_path(struct box_test *test, bool hole)
{
    test->hole = hole;
    test->count = 0;
}

/* A position is an edge from itself to itself: so are points, and a line that has but one. */
static void test_add(struct box_test *test, struct place place)
{
    if (test->count == 0)
        test->first = place;
    if (test->count == 0 || test->kind == SHAPE_POINTS)
        test_edge(test, place, place);
    else
        test_edge(test, test->last, place);
    test->last = place;
    test->count++;
}

static void test_path_end(struct box_test *test)
{
    if (test->kind != SHAPE_AREAS)
        return;
    test_edge(test, test->last, test->first); /* A closed ring has but a point there. */
    for (unsigned range = 0; range < test->box->range_count; range++) {
        if (!test->hole) {
            test->touches = test->touches || test->inside[range];
            test->inside[range] = test->odd[range];
        } else if (test->odd[range]) {
            test->inside[range] = false;
        }
        test->odd[range] = false;
    }
}

/* What no edge touches holds all of a range or nothing of it, so each of its corners. */
static bool test_end(const struct box_test *test)
{
    return test->touches || test->inside[0] || test->inside[1];
}

bool shape_box_touches(const struct shape_box *box, const struct shape *shape)
{
    struct box_test test = {.box = box, .kind = shape->kind};

    for (uint32_t p = 0; p < shape->path_count && !test.touches; p++) {
        const struct shape_path *path = &shape->paths[p];

        test_path(&test, path->hole);
        for (uint32_t i = 0; i < path->count && !test.touches; i++)
            test_add(&test, place_of(shape->positions[path->first + i]));
        test_path_end(&test);
    }
    return test_end(&test);
}

/* ---- GeoJSON ---- */

static enum torg_err json_position(struct box_test *test, const json_t *json, uint64_t *positions)
{
    const json_t *lon = json_array_get(json, 0), *lat = json_array_get(json, 1);

    if (!json_is_number(lon) || !json_is_number(lat))
        return TORG_E_INVALID;
    ++*positions;
    /* Some programs write a little more than the whole circle. */
    test_add(test, (struct place){.x = parts_of(fmin(fmax(json_number_value(lon), -180), 180)),
                                  .y = parts_of(fmin(fmax(json_number_value(lat), -90), 90))});
    return TORG_OK;
}

static enum torg_err json_path(struct box_test *test, const json_t *json, bool hole,
                               uint64_t *positions)
{
    enum torg_err err = TORG_OK;

    test_path(test, hole);
    for (size_t i = 0; i < json_array_size(json) && !err && !test->touches; i++)
        err = json_position(test, json_array_get(json, i), positions);
    test_path_end(test);
    return err;
}

/* depth is 1 to 3: recursion is bounded by the table of shapes. */
static enum torg_err json_level(struct box_test *test, const json_t *json,
                                const struct listing_shape *form, unsigned depth, bool hole,
                                uint64_t *positions)
{
    enum torg_err err = TORG_OK;

    if (json_array_size(json) == 0)
        return TORG_E_INVALID;
    if (depth == 1)
        return json_path(test, json, hole, positions);
    for (size_t i = 0; i < json_array_size(json) && !err && !test->touches; i++)
        err = json_level(test, json_array_get(json, i), form, depth - 1,
                         form->rings && depth == 2 && i > 0, positions);
    return err;
}

static enum shape_kind kind_of(const struct listing_shape *form)
{
    struct shape shape = {0};

    shape_begin(&shape, form);
    return shape.kind;
}

enum torg_err shape_box_touches_geojson(const struct shape_box *box, const json_t *geometry,
                                        bool *ret_touches, uint64_t *ret_positions)
{
    const json_t *type = json_object_get(geometry, "type");
    const json_t *coordinates = json_object_get(geometry, "coordinates");
    const struct listing_shape *form = NULL;
    struct box_test test = {.box = box};
    uint64_t positions = 0;
    enum torg_err err;

    if (json_is_string(type))
        form = listing_shape_find(span_of(json_string_value(type), json_string_length(type)));
    if (!form)
        return TORG_E_INVALID;
    test.kind = kind_of(form);
    if (form->depth)
        err = json_level(&test, coordinates, form, form->depth, false, &positions);
    else
        err = json_position(&test, coordinates, &positions);
    if (err)
        return err;
    *ret_touches = test_end(&test);
    *ret_positions = positions;
    return TORG_OK;
}
