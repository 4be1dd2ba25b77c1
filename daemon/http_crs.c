/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_crs.h"

#include <math.h>
#include <string.h>

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

enum torg_err http_crs_put_feature(struct geo_transform *transform, enum geo_crs crs,
                                   struct span feature, struct buffer *out)
{
    static const char mark[] = "\"geometry\":";
    const uint8_t *at = memmem(feature.data, feature.size, mark, sizeof(mark) - 1);
    struct walk walk = {.transform = transform, .scale = crs == GEO_EPSG_4326 ? 9 : 4, .out = out};
    size_t before = out->size;
    size_t geometry;

    if (!at)
        return TORG_E_CORRUPT;
    geometry = (size_t)(at - feature.data) + sizeof(mark) - 1;
    buffer_put(out, feature.data, geometry);
    walk.rest = after(feature, geometry);
    if (walk.rest.size && walk.rest.data[0] == '{') {
        if (!put_geometry(&walk) && !out->err) {
            out->size = before;
            return TORG_E_CORRUPT;
        }
        if (walk.outside && !out->err) {
            out->size = before + geometry;
            buffer_put_str(out, "null");
        }
    }
    buffer_put_span(out, walk.rest);
    return out->err;
}
