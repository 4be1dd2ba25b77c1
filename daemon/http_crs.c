/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_crs.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "protocol/listing.h"
#include "protocol/num.h"

static const struct {
    enum geo_crs crs;
    const char *uri;
    const char *name;
} systems[] = {
    {GEO_CRS84, "http://www.opengis.net/def/crs/OGC/1.3/CRS84", "OGC:CRS84"},
    {GEO_EPSG_4326, "http://www.opengis.net/def/crs/EPSG/0/4326", "EPSG:4326"},
    {GEO_EPSG_3006, "http://www.opengis.net/def/crs/EPSG/0/3006", "EPSG:3006"},
    {GEO_EPSG_25833, "http://www.opengis.net/def/crs/EPSG/0/25833", "EPSG:25833"},
    {GEO_EPSG_3857, "http://www.opengis.net/def/crs/EPSG/0/3857", "EPSG:3857"},
};

const char *http_crs_uri(enum geo_crs crs)
{
    for (size_t i = 0; i < ARRAY_SIZE(systems); i++) {
        if (systems[i].crs == crs)
            return systems[i].uri;
    }
    return NULL;
}

const char *http_crs_at(size_t i)
{
    return i < ARRAY_SIZE(systems) ? systems[i].uri : NULL;
}

bool http_crs_find(struct span text, enum geo_crs *ret_crs)
{
    for (size_t i = 0; i < ARRAY_SIZE(systems); i++) {
        if (span_equal(text, span_of_str(systems[i].uri)) ||
            span_equal(text, span_of_str(systems[i].name))) {
            *ret_crs = systems[i].crs;
            return true;
        }
    }
    return false;
}

enum torg_err http_crs_box(enum geo_crs crs, const double numbers[4], struct geo_box *ret_box)
{
    /* One point, on which nothing of a municipality stands: listings without a place still match.
     */
    static const struct geo_box nowhere = {0, -90, 0, -90};
    struct geo_transform *transform;
    enum torg_err err = geo_transform_new(crs, &transform);

    if (err)
        return err;
    err = geo_transform_box(transform, numbers, ret_box);
    geo_transform_free(transform);
    if (err == TORG_E_NOT_FOUND)
        *ret_box = nowhere;
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

/* ---- features ---- */

/* A walk through the geometry's text: what stands there was written or checked by ourselves. */
struct walk {
    struct geo_transform *transform;
    unsigned scale; /* digits behind the point */
    struct span rest;
    struct buffer *out;
    bool outside; /* a position that the system cannot hold */
};

static struct span after(struct span text, size_t size)
{
    return span_of(text.data + size, text.size - size);
}

static size_t number_size(struct span text)
{
    size_t size = 0;

    while (size < text.size && strchr("+-.0123456789eE", text.data[size]) && text.data[size])
        size++;
    return size;
}

static bool take_number(struct walk *walk, double *ret_value)
{
    size_t size = number_size(walk->rest);

    if (!size || num_parse_double(span_of(walk->rest.data, size), ret_value))
        return false;
    walk->rest = after(walk->rest, size);
    return true;
}

static bool take(struct walk *walk, char c)
{
    while (walk->rest.size && strchr(" \t\r\n", walk->rest.data[0]))
        walk->rest = after(walk->rest, 1);
    if (!walk->rest.size || walk->rest.data[0] != (uint8_t)c)
        return false;
    walk->rest = after(walk->rest, 1);
    while (walk->rest.size && strchr(" \t\r\n", walk->rest.data[0]))
        walk->rest = after(walk->rest, 1);
    return true;
}

/* "20.26,63.83" behind a bracket that has been copied: both numbers, in the system's order. */
static bool put_position(struct walk *walk)
{
    struct geo_point point;
    double first, second, scale = pow(10, walk->scale);

    if (!take_number(walk, &point.lon_deg) || !take(walk, ',') ||
        !take_number(walk, &point.lat_deg))
        return false;
    if (geo_transform_back_wide(walk->transform, point, &first, &second)) {
        walk->outside = true;
        return true;
    }
    num_put_fixed(walk->out, llround(first * scale), walk->scale);
    buffer_put_u8(walk->out, ',');
    num_put_fixed(walk->out, llround(second * scale), walk->scale);
    return true;
}

/* A string, copied with its quotes. */
static bool put_string(struct walk *walk)
{
    size_t size = 1;

    while (size < walk->rest.size && walk->rest.data[size] != '"')
        size += walk->rest.data[size] == '\\' ? 2 : 1;
    if (size >= walk->rest.size)
        return false;
    buffer_put(walk->out, walk->rest.data, size + 1);
    walk->rest = after(walk->rest, size + 1);
    return true;
}

/* One JSON value: an array that begins with a number is a position. */
static bool put_geometry(struct walk *walk)
{
    int depth = 0;

    do {
        uint8_t c;

        if (!walk->rest.size)
            return false;
        c = walk->rest.data[0];
        if (c == '"') {
            if (!put_string(walk))
                return false;
            continue;
        }
        buffer_put_u8(walk->out, c);
        walk->rest = after(walk->rest, 1);
        if (c == '{' || c == '[')
            depth++;
        else if (c == '}' || c == ']')
            depth--;
        if (c == '[' && number_size(walk->rest) && !put_position(walk))
            return false;
    } while (depth > 0);
    return depth == 0;
}

/* All up to behind the mark, and the geometry that follows, if it is none but null. */
static enum torg_err put_marked(struct walk *walk, const char *mark)
{
    const uint8_t *at = memmem(walk->rest.data, walk->rest.size, mark, strlen(mark));
    size_t size, before;

    if (!at)
        return TORG_E_NOT_FOUND;
    size = (size_t)(at - walk->rest.data) + strlen(mark);
    buffer_put(walk->out, walk->rest.data, size);
    walk->rest = after(walk->rest, size);
    before = walk->out->size;
    if (!walk->rest.size || walk->rest.data[0] != '{')
        return TORG_OK;
    walk->outside = false;
    if (!put_geometry(walk))
        return TORG_E_CORRUPT;
    if (walk->outside && !walk->out->err) {
        walk->out->size = before;
        buffer_put_str(walk->out, "null");
    }
    return TORG_OK;
}

/* What is left of a text, with all marked geometries in it. */
static enum torg_err put_all_marked(struct walk *walk, struct span text, const char *mark)
{
    enum torg_err err = TORG_OK;

    walk->rest = text;
    while (!err)
        err = put_marked(walk, mark);
    buffer_put_span(walk->out, walk->rest);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

/* The size of the JSON array at the beginning of a text; all of it when it does not end. */
static size_t array_size(struct span text)
{
    int depth = 0;

    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];

        if (c == '"') {
            for (i++; i < text.size && text.data[i] != '"'; i++)
                i += text.data[i] == '\\';
        } else if (c == '[' || c == '{') {
            depth++;
        } else if ((c == ']' || c == '}') && --depth == 0) {
            return i + 1;
        }
    }
    return text.size;
}

/*
 * A name with its quotes and colon is no part of any text: a quote within one
 * has a backslash before it.
 */
static enum torg_err put_properties(struct walk *walk)
{
    static const char itinerary[] = "\"itinerary\":[", serves[] = "\"serves\":";
    struct span rest = walk->rest;
    const uint8_t *at = memmem(rest.data, rest.size, itinerary, sizeof(itinerary) - 1);
    size_t begin = at ? (size_t)(at - rest.data) + sizeof(itinerary) - 2 : 0, size;
    enum torg_err err;

    if (!at)
        return put_all_marked(walk, rest, serves);
    size = array_size(after(rest, begin));
    err = put_all_marked(walk, span_of(rest.data, begin), serves);
    if (!err)
        err = put_all_marked(walk, span_of(rest.data + begin, size), "\"geometry\":");
    return err ? err : put_all_marked(walk, after(rest, begin + size), serves);
}

static enum torg_err put_feature(struct geo_transform *transform, enum geo_crs crs,
                                 struct span feature, bool is_listing, struct buffer *out)
{
    struct walk walk = {
        .transform = transform, .scale = crs == GEO_EPSG_4326 ? 9 : 4, .rest = feature, .out = out};
    size_t before = out->size;
    enum torg_err err = put_marked(&walk, "\"geometry\":");

    if (!err && is_listing)
        err = put_properties(&walk);
    else if (!err)
        buffer_put_span(out, walk.rest);
    if (err && !out->err) {
        out->size = before;
        return TORG_E_CORRUPT;
    }
    return out->err;
}

enum torg_err http_crs_put_feature(struct geo_transform *transform, enum geo_crs crs,
                                   struct span feature, struct buffer *out)
{
    return put_feature(transform, crs, feature, false, out);
}

enum torg_err http_crs_put_listing(struct geo_transform *transform, enum geo_crs crs,
                                   struct span feature, struct buffer *out)
{
    return put_feature(transform, crs, feature, true, out);
}

/* ---- what is written ---- */

/* Far above what a listing may have: then it is refused for their number, wherever they lie. */
#define POSITIONS_MAX (4 * LISTING_POSITIONS_MAX)

struct reading {
    struct geo_transform *transform;
    const char *name; /* of the system */
    size_t positions;
    bool outside;
    bool failed; /* memory ran out */
};

static bool is_position(const json_t *value)
{
    return json_is_number(json_array_get(value, 0)) && json_is_number(json_array_get(value, 1));
}

static void read_position(struct reading *reading, json_t *position)
{
    struct geo_point point;

    if (reading->positions++ >= POSITIONS_MAX)
        return;
    if (geo_transform_point(reading->transform, json_number_value(json_array_get(position, 0)),
                            json_number_value(json_array_get(position, 1)), &point))
        reading->outside = true;
    else if (json_array_set_new(position, 0, json_real(point.lon_deg)) ||
             json_array_set_new(position, 1, json_real(point.lat_deg)))
        reading->failed = true;
}

/* Positions are three arrays deep at most; what nests deeper is none. */
static void read_positions(struct reading *reading, json_t *coordinates, int depth)
{
    size_t i;
    json_t *item;

    if (is_position(coordinates)) {
        read_position(reading, coordinates);
        return;
    }
    if (depth > 0)
        json_array_foreach(coordinates, i, item) read_positions(reading, item, depth - 1);
}

static void read_geometry(struct reading *reading, json_t *geometry, const char *path,
                          struct problems *problems)
{
    reading->outside = false;
    read_positions(reading, json_object_get(geometry, "coordinates"), 3);
    if (reading->outside)
        problems_add(problems, path,
                     "has a position outside of where %s is used, whose order of axes is %s: "
                     "compare Content-Crs with the numbers",
                     reading->name,
                     strcmp(reading->name, "EPSG:3006") == 0   ? "northing, easting"
                     : strcmp(reading->name, "EPSG:4326") == 0 ? "latitude, longitude"
                                                               : "easting, northing");
}

enum torg_err http_crs_read_listing(enum geo_crs crs, json_t *feature, struct problems *problems)
{
    json_t *properties = json_object_get(feature, "properties"), *stop;
    struct reading reading = {.name = ""};
    enum torg_err err;
    size_t i;

    if (crs == GEO_CRS84)
        return TORG_OK;
    for (i = 0; i < ARRAY_SIZE(systems); i++) {
        if (systems[i].crs == crs)
            reading.name = systems[i].name;
    }
    err = geo_transform_new(crs, &reading.transform);
    if (err)
        return err;
    read_geometry(&reading, json_object_get(feature, "geometry"), "geometry.coordinates", problems);
    read_geometry(&reading, json_object_get(properties, "serves"), "properties.serves.coordinates",
                  problems);
    json_array_foreach(json_object_get(properties, "itinerary"), i, stop)
    {
        char path[64];

        (void)snprintf(path, sizeof(path), "properties.itinerary[%zu].geometry.coordinates", i);
        read_geometry(&reading, json_object_get(stop, "geometry"), path, problems);
    }
    geo_transform_free(reading.transform);
    return reading.failed ? TORG_E_NOMEM : TORG_OK;
}
