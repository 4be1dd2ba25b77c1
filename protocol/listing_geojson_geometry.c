/* SPDX-License-Identifier: EUPL-1.2 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "protocol/limits.h"
#include "protocol/listing_geojson_internal.h"
#include "protocol/listing_shape.h"
#include "protocol/num.h"
#include "protocol/profile.h"

/* ---- numbers ---- */

/*
 * A JSON number as the decimal that was typed: a double keeps 15 digits of it.
 * decimals: how many of them stand after the point. False: out of all ranges.
 */
static bool json_decimal(const json_t *json, char *text, size_t text_size, size_t *ret_decimals)
{
    const char *point;

    if (json_is_integer(json)) {
        snprintf(text, text_size, "%" JSON_INTEGER_FORMAT, json_integer_value(json));
        *ret_decimals = 0;
        return true;
    }
    if (fabs(json_real_value(json)) >= 1e15)
        return false;
    /* Below 1e-4 %g would take an exponent: so small is zero for us, but not exactly. */
    snprintf(text, text_size, "%.15g", json_real_value(json));
    if (strchr(text, 'e')) {
        *ret_decimals = 15;
        return true;
    }
    point = strchr(text, '.');
    *ret_decimals = point ? strlen(point + 1) : 0;
    return true;
}

bool listing_geojson_fixed(struct listing_geojson_convert *c, const json_t *json, unsigned scale,
                           bool exact, int64_t *ret_value)
{
    char text[40];
    size_t decimals;

    if (!json_is_number(json)) {
        LISTING_GEOJSON_FAULT(c, "must be a number");
        return false;
    }
    if (!json_decimal(json, text, sizeof(text), &decimals) ||
        num_parse_fixed(span_of_str(text), scale, true, ret_value) || *ret_value > INTEGER_MAX ||
        *ret_value < -INTEGER_MAX) {
        LISTING_GEOJSON_FAULT(c, "is too great a number");
        return false;
    }
    if (exact && decimals > scale) {
        LISTING_GEOJSON_FAULT(c, "must have at most %u decimals", scale);
        return false;
    }
    return true;
}

/* ---- geometry ---- */

#define RING_POSITIONS_MAX (4 * LISTING_POSITIONS_MAX) /* what is read before it is refused */

static bool convert_position(struct listing_geojson_convert *c, const json_t *json,
                             struct buffer *positions)
{
    int64_t values[2];

    if (!json_is_array(json) || json_array_size(json) < 2) {
        LISTING_GEOJSON_FAULT(c, "must be a position: [longitude, latitude]");
        return false;
    }
    /* A third element is an altitude; it is passed over. */
    for (size_t i = 0; i < json_array_size(json); i++) {
        if (!json_is_number(json_array_get(json, i))) {
            LISTING_GEOJSON_FAULT(c, "must be a position: [longitude, latitude], in numbers");
            return false;
        }
    }
    for (size_t i = 0; i < 2; i++) {
        if (!listing_geojson_fixed(c, json_array_get(json, i), 7, false, &values[i]))
            return false;
    }
    if (++c->positions > RING_POSITIONS_MAX) {
        LISTING_GEOJSON_FAULT(c,
                              "and what follows is too much: a geometry has at most %d positions",
                              LISTING_POSITIONS_MAX);
        return false;
    }
    buffer_put(positions, values, sizeof(values));
    return !positions->err;
}

static void position_get(const struct buffer *positions, size_t i, int64_t values[2])
{
    memcpy(values, positions->data + i * 2 * sizeof(int64_t), 2 * sizeof(int64_t));
}

__extension__ typedef __int128 int128;

/* Twice the signed area, counter-clockwise positive (the shoelace formula). */
static int128 ring_area(const struct buffer *positions, size_t count)
{
    int64_t a[2], b[2], origin[2];
    int128 sum = 0;

    position_get(positions, 0, origin);
    for (size_t i = 0; i + 1 < count; i++) {
        position_get(positions, i, a);
        position_get(positions, i + 1, b);
        sum += (int128)(a[0] - origin[0]) * (b[1] - origin[1]) -
               (int128)(b[0] - origin[0]) * (a[1] - origin[1]);
    }
    return sum;
}

/*
 * The innermost array. RFC 7946 wants outer rings counter-clockwise and holes
 * clockwise; many programs write otherwise, so rings are turned, not refused.
 */
static bool convert_line(struct listing_geojson_convert *c, const json_t *json, bool ring,
                         bool hole, struct buffer *out)
{
    struct buffer positions = {0};
    size_t count = json_array_size(json);
    bool turn, right = true;

    for (size_t i = 0; i < count && right; i++) {
        size_t back = problem_path_push_index(&c->path, i);

        right = convert_position(c, json_array_get(json, i), &positions);
        problem_path_pop(&c->path, back);
    }
    if (!right)
        goto done;
    turn = ring && count && (ring_area(&positions, count) < 0) != hole &&
           ring_area(&positions, count) != 0;
    pack_array(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        int64_t values[2];

        position_get(&positions, turn ? count - 1 - i : i, values);
        pack_array(out, 2);
        pack_int(out, values[0]);
        pack_int(out, values[1]);
    }
done:
    if (positions.err)
        out->err = out->err ? out->err : positions.err;
    buffer_done(&positions);
    return right;
}

/* depth is at most 3: recursion is bounded by the table of shapes. */
static bool convert_coordinates(struct listing_geojson_convert *c, const json_t *json,
                                unsigned depth, bool rings, bool hole, struct buffer *out)
{
    size_t count = json_array_size(json);
    bool right = true;

    if (!json_is_array(json)) {
        LISTING_GEOJSON_FAULT(c, "must be an array of %s",
                              depth == 1 ? "positions" : "arrays of positions");
        return false;
    }
    if (depth == 1)
        return convert_line(c, json, rings, hole, out);
    pack_array(out, (uint32_t)count);
    for (size_t i = 0; i < count && right; i++) {
        size_t back = problem_path_push_index(&c->path, i);

        right = convert_coordinates(c, json_array_get(json, i), depth - 1, rings,
                                    depth == 2 && i > 0, out);
        problem_path_pop(&c->path, back);
    }
    return right;
}

static bool convert_point(struct listing_geojson_convert *c, const json_t *json, struct buffer *out)
{
    struct buffer position = {0};
    int64_t values[2];
    bool right = convert_position(c, json, &position);

    if (right) {
        position_get(&position, 0, values);
        pack_array(out, 2);
        pack_int(out, values[0]);
        pack_int(out, values[1]);
    }
    if (position.err)
        out->err = out->err ? out->err : position.err;
    buffer_done(&position);
    return right;
}

bool listing_geojson_geometry(struct listing_geojson_convert *c, const json_t *json,
                              struct buffer *out)
{
    const json_t *type = json_object_get(json, "type");
    const json_t *coordinates = json_object_get(json, "coordinates");
    const struct listing_shape *shape;
    size_t back;
    bool right;

    if (!json_is_object(json) || !json_is_string(type)) {
        LISTING_GEOJSON_FAULT(c,
                              "must be a GeoJSON geometry: {\"type\", \"coordinates\"}, or null");
        return false;
    }
    shape = listing_shape_find(span_of(json_string_value(type), json_string_length(type)));
    if (!shape) {
        LISTING_GEOJSON_FAULT(c, "must be a %s", LISTING_SHAPE_NAMES);
        return false;
    }
    c->positions = 0;
    pack_array(out, 2);
    pack_str(out, span_of_str(shape->name));
    back = problem_path_push(&c->path, "coordinates", 11);
    if (shape->depth)
        right = convert_coordinates(c, coordinates, shape->depth, shape->rings, false, out);
    else
        right = convert_point(c, coordinates, out);
    problem_path_pop(&c->path, back);
    return right;
}
