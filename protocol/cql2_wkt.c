/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "protocol/cql2_internal.h"
#include "protocol/num.h"

/*
 * Geometries in a filter: well-known text, GeoJSON and boxes, checked and
 * written into the tree as plain well-known text with two coordinates each.
 */
#define COLLECTION_DEPTH_MAX 4 /* collections within collections */

enum kind { POINT, LINESTRING, POLYGON, MULTIPOINT, MULTILINESTRING, MULTIPOLYGON, COLLECTION };
static const struct {
    const char *wkt, *geojson;
    unsigned depth; /* lists around a position */
} kinds[] = {
    [POINT] = {"POINT", "Point", 0},
    [LINESTRING] = {"LINESTRING", "LineString", 1},
    [POLYGON] = {"POLYGON", "Polygon", 2},
    [MULTIPOINT] = {"MULTIPOINT", "MultiPoint", 1},
    [MULTILINESTRING] = {"MULTILINESTRING", "MultiLineString", 2},
    [MULTIPOLYGON] = {"MULTIPOLYGON", "MultiPolygon", 3},
    [COLLECTION] = {"GEOMETRYCOLLECTION", "GeometryCollection", 0},
};

struct wkt {
    struct cql2_maker *maker;
    struct buffer *out; /* the tree's text */
    uint16_t node;
    size_t at;        /* where the geometry begins in it */
    struct span left; /* text form */
    bool ring, line;  /* what the lists of positions at hand are */
    bool any;         /* the node's box has something in it */
    double first[2], last[2];
    size_t count; /* of the list at hand */
};

static bool fail(struct wkt *wkt, const char *why)
{
    cql2_fail(wkt->maker, "%s", why);
    return false;
}

static bool begin(struct wkt *wkt, struct cql2_maker *maker)
{
    *wkt = (struct wkt){.maker = maker, .out = &maker->tree->text, .at = maker->tree->text.size};
    wkt->node = cql2_make(maker, CQL2_OP_GEOMETRY);
    if (wkt->node)
        maker->tree->nodes[wkt->node].type = CQL2_GEOMETRY;
    return wkt->node != 0;
}

static uint16_t end(struct wkt *wkt)
{
    struct cql2_node *node = &wkt->maker->tree->nodes[wkt->node];

    if (wkt->out->err && !wkt->maker->err)
        wkt->maker->err = wkt->out->err;
    if (!wkt->maker->err && wkt->out->size > CQL2_WKT_BYTES_MAX)
        fail(wkt, "the filter's geometries are too long");
    if (wkt->maker->err)
        return 0;
    node->at = (uint32_t)wkt->at;
    node->size = (uint32_t)(wkt->out->size - wkt->at);
    return wkt->node;
}

static void add_position(struct wkt *wkt, const double position[2])
{
    struct cql2_node *node = &wkt->maker->tree->nodes[wkt->node];

    if (!wkt->any || position[0] < node->west)
        node->west = position[0];
    if (!wkt->any || position[0] > node->east)
        node->east = position[0];
    if (!wkt->any || position[1] < node->south)
        node->south = position[1];
    if (!wkt->any || position[1] > node->north)
        node->north = position[1];
    wkt->any = true;
    if (wkt->count++ == 0)
        memcpy(wkt->first, position, sizeof(wkt->first));
    memcpy(wkt->last, position, sizeof(wkt->last));
}

static void list_begin(struct wkt *wkt)
{
    wkt->count = 0;
    buffer_put_u8(wkt->out, '(');
}

/* A list of positions is complete: is it long enough, and closed? */
static bool list_end(struct wkt *wkt)
{
    buffer_put_u8(wkt->out, ')');
    if (wkt->ring &&
        (wkt->count < 4 || wkt->first[0] != wkt->last[0] || wkt->first[1] != wkt->last[1]))
        return fail(wkt, "a ring has four positions or more, and ends where it begins");
    if (wkt->line && wkt->count < 2)
        return fail(wkt, "a line has two positions or more");
    return true;
}

static void set_kind(struct wkt *wkt, enum kind kind)
{
    wkt->ring = kind == POLYGON || kind == MULTIPOLYGON;
    wkt->line = kind == LINESTRING || kind == MULTILINESTRING;
    if (kind == COLLECTION)
        wkt->maker->tree->nodes[wkt->node].mixed = true;
    buffer_put_str(wkt->out, kinds[kind].wkt);
}

/* ---- well-known text ---- */

static void skip_space(struct wkt *wkt)
{
    while (wkt->left.size && memchr(" \t\r\n", wkt->left.data[0], 4))
        wkt->left = span_of(wkt->left.data + 1, wkt->left.size - 1);
    cql2_at(wkt->maker, wkt->left.data);
}

static bool take(struct wkt *wkt, char c)
{
    skip_space(wkt);
    if (!wkt->left.size || wkt->left.data[0] != (uint8_t)c)
        return false;
    wkt->left = span_of(wkt->left.data + 1, wkt->left.size - 1);
    return true;
}

static bool want(struct wkt *wkt, char c)
{
    char why[64];

    if (take(wkt, c))
        return true;
    (void)snprintf(why, sizeof(why), "%c was expected in a geometry", c);
    return fail(wkt, why);
}

static size_t word_size(struct span text)
{
    size_t size = 0;

    while (size < text.size && ((text.data[size] | 0x20) >= 'a') &&
           ((text.data[size] | 0x20) <= 'z'))
        size++;
    return size;
}

static bool take_word(struct wkt *wkt, const char *word)
{
    size_t size;

    skip_space(wkt);
    size = word_size(wkt->left);
    if (size != strlen(word) || strncasecmp((const char *)wkt->left.data, word, size) != 0)
        return false;
    wkt->left = span_of(wkt->left.data + size, wkt->left.size - size);
    return true;
}

static bool take_number(struct wkt *wkt, double *ret)
{
    size_t size = 0;
    struct span text;

    skip_space(wkt);
    while (size < wkt->left.size && wkt->left.data[size] &&
           strchr("0123456789+-.eE", wkt->left.data[size]))
        size++;
    text = span_of(wkt->left.data, size);
    if (size > 1 && text.data[0] == '+')
        text = span_of(text.data + 1, size - 1);
    if (num_parse_double(text, ret))
        return false;
    wkt->left = span_of(wkt->left.data + size, wkt->left.size - size);
    return true;
}

/* Two numbers; a height and a measure are passed over. */
static bool read_position(struct wkt *wkt)
{
    double position[2], more;

    if (!take_number(wkt, &position[0]) || !take_number(wkt, &position[1]))
        return fail(wkt, "a position was expected, such as 20.26 63.83");
    for (int i = 0; i < 2 && take_number(wkt, &more); i++)
        continue;
    buffer_printf(wkt->out, "%.17g %.17g", position[0], position[1]);
    add_position(wkt, position);
    return true;
}

/* depth is at most 3. single: each position may stand in parentheses. */
static bool read_list(struct wkt *wkt, unsigned depth, bool single)
{
    bool parenthesis, good = want(wkt, '(');

    list_begin(wkt);
    for (bool more = good; more; more = good && take(wkt, ',')) {
        if (wkt->out->data[wkt->out->size - 1] != '(')
            buffer_put_u8(wkt->out, ',');
        if (depth > 1) {
            good = read_list(wkt, depth - 1, false);
        } else {
            parenthesis = single && take(wkt, '(');
            good = read_position(wkt) && (!parenthesis || want(wkt, ')'));
        }
        good = good && !wkt->out->err;
    }
    good = good && want(wkt, ')');
    if (depth > 1)
        buffer_put_u8(wkt->out, ')');
    return good && (depth > 1 || list_end(wkt));
}

static bool find_kind(struct span text, enum kind *ret_kind)
{
    size_t size = word_size(text);

    for (enum kind kind = POINT; kind <= COLLECTION; kind++) {
        if (size == strlen(kinds[kind].wkt) &&
            strncasecmp((const char *)text.data, kinds[kind].wkt, size) == 0) {
            *ret_kind = kind;
            return true;
        }
    }
    return false;
}

static bool read_geometry(struct wkt *wkt, unsigned depth)
{
    enum kind kind;

    skip_space(wkt);
    if (!find_kind(wkt->left, &kind))
        return fail(wkt, "a geometry was expected, such as POINT(20.26 63.83)");
    if (kind == COLLECTION && depth == COLLECTION_DEPTH_MAX)
        return fail(wkt, "collections stand too deep in each other");
    wkt->left =
        span_of(wkt->left.data + strlen(kinds[kind].wkt), wkt->left.size - strlen(kinds[kind].wkt));
    (void)(take_word(wkt, "ZM") || take_word(wkt, "Z") || take_word(wkt, "M"));
    set_kind(wkt, kind);
    if (take_word(wkt, "EMPTY"))
        return fail(wkt, "an empty geometry has no place");
    if (kind == POINT)
        return want(wkt, '(') && (list_begin(wkt), read_position(wkt)) && want(wkt, ')') &&
               list_end(wkt);
    if (kind != COLLECTION)
        return read_list(wkt, kinds[kind].depth, kind == MULTIPOINT);
    if (!want(wkt, '('))
        return false;
    buffer_put_u8(wkt->out, '(');
    do {
        if (!wkt->out->err && wkt->out->data[wkt->out->size - 1] != '(')
            buffer_put_u8(wkt->out, ',');
        if (!read_geometry(wkt, depth + 1))
            return false;
    } while (take(wkt, ','));
    buffer_put_u8(wkt->out, ')');
    return want(wkt, ')');
}

bool cql2_wkt_begins(struct span text)
{
    static const char *const marks[] = {"Z", "M", "ZM", "EMPTY"};
    enum kind kind;
    size_t size = word_size(text);
    bool known = find_kind(text, &kind) ||
                 (size == 4 && strncasecmp((const char *)text.data, "BBOX", 4) == 0);

    if (!known)
        return false;
    text = span_of(text.data + size, text.size - size);
    while (text.size && memchr(" \t\r\n", text.data[0], 4))
        text = span_of(text.data + 1, text.size - 1);
    if (text.size && text.data[0] == '(')
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
        if (word_size(text) == strlen(marks[i]) &&
            strncasecmp((const char *)text.data, marks[i], strlen(marks[i])) == 0)
            return true;
    }
    return false;
}

static uint16_t read_box(struct wkt *wkt)
{
    double numbers[6];
    size_t count = 0;

    if (!want(wkt, '('))
        return 0;
    do {
        if (count == ARRAY_SIZE(numbers) || !take_number(wkt, &numbers[count])) {
            fail(wkt, "a box is BBOX(west, south, east, north)");
            return 0;
        }
        count++;
    } while (take(wkt, ','));
    return want(wkt, ')') ? cql2_wkt_box(wkt->maker, numbers, count) : 0;
}

uint16_t cql2_wkt_read(struct cql2_maker *maker, struct span text, size_t *ret_size)
{
    struct wkt wkt = {.maker = maker, .left = text};
    uint16_t node;

    if (maker->err)
        return 0;
    if (take_word(&wkt, "BBOX")) {
        node = read_box(&wkt);
    } else {
        if (!begin(&wkt, maker))
            return 0;
        wkt.left = text;
        node = read_geometry(&wkt, 0) ? end(&wkt) : 0;
    }
    *ret_size = text.size - wkt.left.size;
    return node;
}

/* ---- boxes ---- */

static void put_box(struct buffer *out, double w, double s, double e, double n)
{
    if (w == e && s == n)
        buffer_printf(out, "POINT(%.17g %.17g)", w, s);
    else if (w == e || s == n)
        buffer_printf(out, "LINESTRING(%.17g %.17g,%.17g %.17g)", w, s, e, n);
    else
        buffer_printf(out, "POLYGON((%.17g %.17g,%.17g %.17g,%.17g %.17g,%.17g %.17g,%.17g %.17g))",
                      w, s, e, s, e, n, w, n, w, s);
}

uint16_t cql2_wkt_box(struct cql2_maker *maker, const double *numbers, size_t count)
{
    struct wkt wkt;
    struct cql2_node *node;
    double w, s, e, n;

    if (count != 4 && count != 6)
        return cql2_fail(maker, "a box has four numbers: west, south, east, north");
    w = numbers[0];
    s = numbers[1];
    e = numbers[count / 2];
    n = numbers[count / 2 + 1];
    if (s > n)
        return cql2_fail(maker, "a box's south is not above its north");
    if (!begin(&wkt, maker))
        return 0;
    node = &maker->tree->nodes[wkt.node];
    node->west = w;
    node->south = s;
    node->east = e;
    node->north = n;
    node->wraps = w > e;
    if (node->wraps && (w > 180 || e < -180))
        return cql2_fail(maker, "a box's west is greater than its east only over the antimeridian");
    if (node->wraps && (w == 180 || e == -180 || s == n)) {
        return cql2_fail(maker, "a box over the antimeridian has a width on both sides, and a "
                                "height");
    } else if (node->wraps) {
        buffer_printf(wkt.out,
                      "MULTIPOLYGON(((%.17g %.17g,180 %.17g,180 %.17g,%.17g %.17g,%.17g %.17g)),"
                      "((-180 %.17g,%.17g %.17g,%.17g %.17g,-180 %.17g,-180 %.17g)))",
                      w, s, s, n, w, n, w, s, s, e, s, e, n, n, s);
    } else {
        put_box(wkt.out, w, s, e, n);
    }
    return end(&wkt);
}

/* ---- GeoJSON ---- */

static bool json_position(struct wkt *wkt, const json_t *json)
{
    double position[2];

    if (json_array_size(json) < 2 || json_array_size(json) > 4 ||
        !json_is_number(json_array_get(json, 0)) || !json_is_number(json_array_get(json, 1)))
        return fail(wkt, "a position is [longitude, latitude]");
    position[0] = json_number_value(json_array_get(json, 0));
    position[1] = json_number_value(json_array_get(json, 1));
    buffer_printf(wkt->out, "%.17g %.17g", position[0], position[1]);
    add_position(wkt, position);
    return true;
}

static bool json_list(struct wkt *wkt, const json_t *json, unsigned depth)
{
    const json_t *element;
    size_t i;

    if (!json_is_array(json) || json_array_size(json) == 0)
        return fail(wkt, "coordinates are a list that is not empty, as deep as the type says");
    list_begin(wkt);
    json_array_foreach(json, i, element)
    {
        if (i)
            buffer_put_u8(wkt->out, ',');
        if (!(depth > 1 ? json_list(wkt, element, depth - 1) : json_position(wkt, element)))
            return false;
    }
    if (depth > 1)
        buffer_put_u8(wkt->out, ')');
    return depth > 1 || list_end(wkt);
}

static bool json_geometry(struct wkt *wkt, const json_t *json, unsigned depth)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    const json_t *coordinates = json_object_get(json, "coordinates");
    const json_t *members = json_object_get(json, "geometries");
    const json_t *member;
    enum kind kind = POINT;
    size_t i;

    while (type && kind <= COLLECTION && strcmp(type, kinds[kind].geojson) != 0)
        kind++;
    if (!type || kind > COLLECTION)
        return fail(wkt, "a GeoJSON geometry was expected, with type and coordinates");
    set_kind(wkt, kind);
    if (kind == POINT) {
        list_begin(wkt);
        return json_position(wkt, coordinates) && list_end(wkt);
    }
    if (kind != COLLECTION)
        return json_list(wkt, coordinates, kinds[kind].depth);
    if (depth == COLLECTION_DEPTH_MAX || json_array_size(members) == 0)
        return fail(wkt, "a GeometryCollection has geometries, and few collections within");
    buffer_put_u8(wkt->out, '(');
    json_array_foreach(members, i, member)
    {
        if (i)
            buffer_put_u8(wkt->out, ',');
        if (!json_geometry(wkt, member, depth + 1))
            return false;
    }
    buffer_put_u8(wkt->out, ')');
    return true;
}

uint16_t cql2_wkt_geojson(struct cql2_maker *maker, const json_t *geometry)
{
    struct wkt wkt;

    if (maker->err || !begin(&wkt, maker))
        return 0;
    return json_geometry(&wkt, geometry, 0) ? end(&wkt) : 0;
}
