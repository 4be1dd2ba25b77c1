/* SPDX-License-Identifier: EUPL-1.2 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "index/shape.h"
#include "protocol/num.h"

/*
 * Geometries that people and programs ask with: GeoJSON and well-known text
 * differ in their brackets only, so what is asked of them stands here once.
 */
struct parse {
    struct shape *shape;
    const struct listing_shape *form;
    struct shape_fault *fault;
    uint32_t positions;
};

#define FAULT(p, ...) snprintf((p)->fault->text, sizeof((p)->fault->text), __VA_ARGS__)

static enum torg_err parse_position(struct parse *p, double lon_deg, double lat_deg)
{
    struct geo_point point = {.lon_deg = lon_deg, .lat_deg = lat_deg};

    if (!geo_point_valid(point)) {
        FAULT(p, "must be in degrees: first longitude (-180 to 180), then latitude (-90 to 90)");
        return TORG_E_INVALID;
    }
    if (p->positions++ == SHAPE_POSITIONS_MAX) {
        FAULT(p, "must have at most %d positions; simplify it", SHAPE_POSITIONS_MAX);
        return TORG_E_TOO_BIG;
    }
    return shape_add(p->shape, (struct position){.lon_e7 = (int32_t)lround(lon_deg * 1e7),
                                                 .lat_e7 = (int32_t)lround(lat_deg * 1e7)});
}

/* The path has all its positions: is it long enough, and a ring closed? */
static enum torg_err parse_path_end(struct parse *p)
{
    const struct shape *shape = p->shape;
    uint32_t first = shape->paths[shape->path_count - 1].first;
    uint32_t count = shape->position_count - first;

    if (count < p->form->positions_min) {
        FAULT(p, "must have at least %u positions in each %s", (unsigned)p->form->positions_min,
              p->form->rings ? "ring" : "line");
        return TORG_E_INVALID;
    }
    if (p->form->rings &&
        memcmp(&shape->positions[first], &shape->positions[shape->position_count - 1],
               sizeof(shape->positions[0])) != 0) {
        FAULT(p, "must have closed rings: the last position of each equals its first");
        return TORG_E_INVALID;
    }
    return shape_path_end(p->shape);
}

/* ---- GeoJSON ---- */

static enum torg_err json_position(struct parse *p, const json_t *json)
{
    const json_t *lon = json_array_get(json, 0), *lat = json_array_get(json, 1);

    if (!json_is_number(lon) || !json_is_number(lat)) {
        FAULT(p, "must have positions of two numbers: [longitude, latitude]");
        return TORG_E_INVALID;
    }
    return parse_position(p, json_number_value(lon), json_number_value(lat));
}

static enum torg_err json_path(struct parse *p, const json_t *json, bool hole)
{
    enum torg_err err = shape_path_begin(p->shape, hole);

    for (size_t i = 0; i < json_array_size(json) && !err; i++)
        err = json_position(p, json_array_get(json, i));
    return err ? err : parse_path_end(p);
}

/* depth is 1 to 3: recursion is bounded by the table of shapes. */
static enum torg_err json_level(struct parse *p, const json_t *json, unsigned depth, bool hole)
{
    enum torg_err err = TORG_OK;

    if (json_array_size(json) == 0) {
        FAULT(p, "must have arrays of positions, and none that is empty, as its coordinates");
        return TORG_E_INVALID;
    }
    if (depth == 1)
        return json_path(p, json, hole);
    for (size_t i = 0; i < json_array_size(json) && !err; i++)
        err = json_level(p, json_array_get(json, i), depth - 1,
                         p->form->rings && depth == 2 && i > 0);
    return err;
}

enum torg_err shape_read_geojson(struct shape *shape, const json_t *json, struct shape_fault *fault)
{
    const json_t *type = json_object_get(json, "type");
    const json_t *coordinates = json_object_get(json, "coordinates");
    struct parse p = {.shape = shape, .fault = fault};
    enum torg_err err;

    if (json_is_string(type))
        p.form = listing_shape_find(span_of(json_string_value(type), json_string_length(type)));
    if (!p.form) {
        FAULT(&p, "must be a GeoJSON geometry with a type of " LISTING_SHAPE_NAMES);
        return TORG_E_INVALID;
    }
    shape_begin(shape, p.form);
    if (p.form->depth)
        return json_level(&p, coordinates, p.form->depth, false);
    err = shape_path_begin(shape, false);
    if (!err)
        err = json_position(&p, coordinates);
    return err ? err : parse_path_end(&p);
}

/* ---- well-known text ---- */

struct wkt {
    struct parse parse;
    struct span left;
};

static bool wkt_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The next character that is no space, without passing it; 0 at the end. */
static char wkt_peek(struct wkt *in)
{
    while (in->left.size > 0 && wkt_space(in->left.data[0]))
        in->left = span_of(in->left.data + 1, in->left.size - 1);
    return in->left.size > 0 ? (char)in->left.data[0] : 0;
}

static bool wkt_take(struct wkt *in, char c)
{
    if (wkt_peek(in) != c)
        return false;
    in->left = span_of(in->left.data + 1, in->left.size - 1);
    return true;
}

/* The characters up to a space, a comma or a bracket. */
static struct span wkt_word(struct wkt *in)
{
    struct span word;

    wkt_peek(in);
    word = in->left;
    word.size = 0;
    while (word.size < in->left.size && !wkt_space(in->left.data[word.size]) &&
           !memchr(",()", in->left.data[word.size], 3))
        word.size++;
    if (word.size > 0)
        in->left = span_of(in->left.data + word.size, in->left.size - word.size);
    return word;
}

static enum torg_err wkt_fault(struct wkt *in, const char *what)
{
    FAULT(&in->parse, "must be well-known text such as POLYGON((17 65, 18 65, 18 66, 17 65)): %s",
          what);
    return TORG_E_INVALID;
}

static enum torg_err wkt_position(struct wkt *in)
{
    double numbers[2];

    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        if (num_parse_double(wkt_word(in), &numbers[i]))
            return wkt_fault(in, "each position is two numbers with a space between");
    }
    if (wkt_peek(in) != ',' && wkt_peek(in) != ')' && num_parse_double(wkt_word(in), &(double){0}))
        return wkt_fault(in, "each position is two numbers, and perhaps an altitude");
    return parse_position(&in->parse, numbers[0], numbers[1]);
}

static enum torg_err wkt_path(struct wkt *in, bool hole)
{
    bool points = in->parse.shape->kind == SHAPE_POINTS;
    enum torg_err err = shape_path_begin(in->parse.shape, hole);

    if (err)
        return err;
    do {
        /* MULTIPOINT may have each of its positions in brackets. */
        bool bracket = points && wkt_take(in, '(');

        err = wkt_position(in);
        if (!err && bracket && !wkt_take(in, ')'))
            err = wkt_fault(in, "a bracket is not closed");
    } while (!err && wkt_take(in, ','));
    if (!err && !wkt_take(in, ')'))
        err = wkt_fault(in, "a bracket is not closed");
    return err ? err : parse_path_end(&in->parse);
}

/* depth is 1 to 3: recursion is bounded by the table of shapes. */
static enum torg_err wkt_level(struct wkt *in, unsigned depth, bool hole)
{
    bool rings = in->parse.form->rings && depth == 2;
    enum torg_err err = TORG_OK;
    uint32_t i = 0;

    if (!wkt_take(in, '('))
        return wkt_fault(in, "a bracket is missing");
    if (depth <= 1)
        return wkt_path(in, hole);
    do {
        err = wkt_level(in, depth - 1, rings && i++ > 0);
    } while (!err && wkt_take(in, ','));
    if (!err && !wkt_take(in, ')'))
        err = wkt_fault(in, "a bracket is not closed");
    return err;
}

static const struct listing_shape *wkt_form(struct span word)
{
    static const char *const names[] = {"Point",           "MultiPoint", "LineString",
                                        "MultiLineString", "Polygon",    "MultiPolygon"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strlen(names[i]) == word.size &&
            strncasecmp(names[i], (const char *)word.data, word.size) == 0)
            return listing_shape_find(span_of_str(names[i]));
    }
    return NULL;
}

enum torg_err shape_read_wkt(struct shape *shape, struct span text, struct shape_fault *fault)
{
    struct wkt in = {.parse = {.shape = shape, .fault = fault}, .left = text};
    struct span dimensions;
    enum torg_err err;

    in.parse.form = wkt_form(wkt_word(&in));
    if (!in.parse.form)
        return wkt_fault(&in, "it begins with one of " LISTING_SHAPE_NAMES);
    dimensions = wkt_word(&in); /* "Z": there are altitudes */
    if (dimensions.size > 1 || (dimensions.size == 1 && (dimensions.data[0] | 0x20) != 'z'))
        return wkt_fault(&in, "after its name comes a bracket");
    shape_begin(shape, in.parse.form);
    err = wkt_level(&in, in.parse.form->depth, false);
    wkt_peek(&in);
    if (!err && in.left.size > 0)
        err = wkt_fault(&in, "something follows its end");
    return err;
}
