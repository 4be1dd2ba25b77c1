/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/local_feature.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/listing_geojson.h"
#include "protocol/listing_shape.h"
#include "protocol/num.h"
#include "protocol/seal.h"
#include "protocol/zone.h"

#define E7 1e7
#define ROUNDING_DEG 1e-6 /* that others' programs leave a position beyond the edge */

bool local_name_valid(struct span name)
{
    if (name.size == 0 || name.size > LOCAL_NAME_BYTES_MAX || collection_of_name(name))
        return false;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

        if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '-' || c == '_')))
            return false;
    }
    return true;
}

void local_feature_done(struct local_feature *feature)
{
    buffer_done(&feature->json);
    *feature = (struct local_feature){0};
}

void local_types_init(struct queryables *types)
{
    types->count = types->names_size = 0;
    (void)queryables_add(types, span_of_str("geometry"), CQL2_GEOMETRY, NULL);
}

static struct span string_of(const json_t *json)
{
    return span_of(json_string_value(json), json_string_length(json));
}

/* ---- writing ---- */

/* The shortest that reads back as the same number. */
static void put_real(struct buffer *out, double value)
{
    char text[40];

    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    buffer_put_str(out, text);
}

/* depth is bounded by LOCAL_DEPTH_MAX. False: it is deeper. */
static bool put_value(struct buffer *out, const json_t *value, unsigned depth)
{
    const char *key;
    const json_t *member;
    bool good = depth <= LOCAL_DEPTH_MAX;
    size_t i;

    if (json_is_string(value)) {
        json_put_string(out, string_of(value));
    } else if (json_is_integer(value)) {
        num_put_int(out, json_integer_value(value));
    } else if (json_is_real(value)) {
        put_real(out, json_real_value(value));
    } else if (json_is_boolean(value)) {
        buffer_put_str(out, json_is_true(value) ? "true" : "false");
    } else if (json_is_array(value)) {
        buffer_put_u8(out, '[');
        json_array_foreach(value, i, member)
        {
            buffer_put_str(out, i ? "," : "");
            good = good && put_value(out, member, depth + 1);
        }
        buffer_put_u8(out, ']');
    } else if (json_is_object(value)) {
        bool first = true;

        buffer_put_u8(out, '{');
        /* NOLINTNEXTLINE: jansson's macro wants an object that is not constant */
        for (void *at = json_object_iter((json_t *)(uintptr_t)value); at;
             at = json_object_iter_next((json_t *)(uintptr_t)value, at)) {
            key = json_object_iter_key(at);
            buffer_put_str(out, first ? "" : ",");
            first = false;
            json_put_string(out, span_of_str(key));
            buffer_put_u8(out, ':');
            good = good && put_value(out, json_object_iter_value(at), depth + 1);
        }
        buffer_put_u8(out, '}');
    } else {
        buffer_put_str(out, "null");
    }
    return good;
}

/* ---- geometry ---- */

static bool add_position(struct local_feature *feature, const json_t *json)
{
    double lon = json_number_value(json_array_get(json, 0));
    double lat = json_number_value(json_array_get(json, 1));
    struct position min, max;

    if (json_array_size(json) < 2 || json_array_size(json) > 4 ||
        !json_is_number(json_array_get(json, 0)) || !json_is_number(json_array_get(json, 1)) ||
        !(fabs(lon) <= 180 + ROUNDING_DEG) || !(fabs(lat) <= 90 + ROUNDING_DEG))
        return false;
    lon = fmin(fmax(lon, -180), 180);
    lat = fmin(fmax(lat, -90), 90);
    /* Outwards, so that the box holds what rounding would leave out. */
    min = (struct position){(int32_t)floor(lon * E7), (int32_t)floor(lat * E7)};
    max = (struct position){(int32_t)ceil(lon * E7), (int32_t)ceil(lat * E7)};
    if (!feature->has_geometry) {
        feature->min = min;
        feature->max = max;
    }
    feature->has_geometry = true;
    feature->min.lon_e7 = min.lon_e7 < feature->min.lon_e7 ? min.lon_e7 : feature->min.lon_e7;
    feature->min.lat_e7 = min.lat_e7 < feature->min.lat_e7 ? min.lat_e7 : feature->min.lat_e7;
    feature->max.lon_e7 = max.lon_e7 > feature->max.lon_e7 ? max.lon_e7 : feature->max.lon_e7;
    feature->max.lat_e7 = max.lat_e7 > feature->max.lat_e7 ? max.lat_e7 : feature->max.lat_e7;
    return true;
}

static bool add_positions(struct local_feature *feature, const json_t *json, unsigned depth)
{
    const json_t *element;
    size_t i;

    if (depth == 0)
        return add_position(feature, json);
    if (json_array_size(json) == 0)
        return false;
    json_array_foreach(json, i, element)
    {
        if (!add_positions(feature, element, depth - 1))
            return false;
    }
    return true;
}

static bool read_geometry(const json_t *geometry, struct local_feature *feature, struct buffer *out,
                          struct problems *problems)
{
    const json_t *coordinates = json_object_get(geometry, "coordinates");
    const json_t *type = json_object_get(geometry, "type");
    const struct listing_shape *shape;

    if (!geometry || json_is_null(geometry)) {
        buffer_put_str(out, "null");
        return true;
    }
    shape = json_is_string(type) ? listing_shape_find(string_of(type)) : NULL;
    if (!shape) {
        problems_add(problems, "geometry",
                     "must be a Point, MultiPoint, LineString, MultiLineString, Polygon or "
                     "MultiPolygon");
        return false;
    }
    if (!add_positions(feature, coordinates, shape->depth)) {
        problems_add(problems, "geometry.coordinates",
                     "must be positions in degrees, longitude first, as deep as the type says");
        return false;
    }
    /* This order is what index/filter_space.c knows points by. */
    buffer_printf(out, "{\"type\":\"%s\",\"coordinates\":", shape->name);
    (void)put_value(out, coordinates, 0);
    buffer_put_u8(out, '}');
    return true;
}

/* ---- properties ---- */

/* 0: no simple value. */
static enum cql2_type type_of(const json_t *value)
{
    struct zone_local local;
    int64_t from_ms, through_ms;

    if (json_is_boolean(value))
        return CQL2_BOOLEAN;
    if (json_is_number(value))
        return CQL2_NUMBER;
    if (!json_is_string(value))
        return 0;
    if (num_parse_date(string_of(value), &from_ms, &through_ms) == TORG_OK)
        return CQL2_DATE;
    if (num_parse_time(string_of(value), &from_ms) == TORG_OK ||
        (zone_local_parse(string_of(value), &local) == TORG_OK && !local.date_only))
        return CQL2_TIMESTAMP;
    return CQL2_STRING;
}

static bool is_text(enum cql2_type type)
{
    return type == CQL2_STRING || type == CQL2_DATE || type == CQL2_TIMESTAMP;
}

/* What a property becomes with one more value; 0: they do not go together. */
static enum cql2_type joined(enum cql2_type known, enum cql2_type type)
{
    if (known == type)
        return known;
    return is_text(known) && is_text(type) ? CQL2_STRING : 0;
}

static bool check_property(const struct queryables *types, const char *name, const json_t *value,
                           struct problems *problems)
{
    enum cql2_type type = type_of(value);
    size_t known = queryables_find(types, span_of_str(name));

    if (strlen(name) == 0 || strlen(name) > LOCAL_PROPERTY_NAME_BYTES_MAX) {
        problems_add(problems, "properties", "a name must have 1 to %d bytes",
                     LOCAL_PROPERTY_NAME_BYTES_MAX);
        return false;
    }
    if (!type || known == types->count || joined(types->items[known].type, type))
        return true;
    problems_add(problems, name, "is %s here, and %s in this collection", cql2_type_name(type),
                 cql2_type_name(types->items[known].type));
    return false;
}

/* Nothing can go wrong any more but room. */
static bool learn_property(struct queryables *types, const char *name, const json_t *value)
{
    enum cql2_type type = type_of(value);
    size_t known = queryables_find(types, span_of_str(name));

    if (!type)
        return true;
    if (known == types->count)
        return queryables_add(types, span_of_str(name), type, NULL);
    types->items[known].type = joined(types->items[known].type, type);
    return true;
}

/* A time without an offset is in UTC, and says so from now on. */
static void put_property(struct buffer *out, const json_t *value)
{
    struct zone_local local;
    int64_t ms;

    if (type_of(value) != CQL2_TIMESTAMP || num_parse_time(string_of(value), &ms) == TORG_OK ||
        zone_local_parse(string_of(value), &local)) {
        (void)put_value(out, value, 0);
        return;
    }
    buffer_put_u8(out, '"');
    num_put_time(out, local.local_ms);
    buffer_put_u8(out, '"');
}

static bool read_properties(const json_t *properties, struct queryables *types, struct buffer *out,
                            struct problems *problems)
{
    /* jansson iterates over what is constant only by pointers that are not. */
    json_t *object = (json_t *)(uintptr_t)properties;
    struct buffer deep = {0};
    bool good = true, first = true;

    if (properties && !json_is_object(properties) && !json_is_null(properties)) {
        problems_add(problems, "properties", "must be an object");
        return false;
    }
    buffer_put_u8(out, '{');
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
        const char *name = json_object_iter_key(at);
        const json_t *value = json_object_iter_value(at);

        good = check_property(types, name, value, problems) && good;
        buffer_clear(&deep);
        if (!put_value(&deep, value, 0)) {
            problems_add(problems, name, "is more than %d deep", LOCAL_DEPTH_MAX);
            good = false;
        }
        buffer_put_str(out, first ? "" : ",");
        first = false;
        json_put_string(out, span_of_str(name));
        buffer_put_u8(out, ':');
        put_property(out, value);
    }
    buffer_put_u8(out, '}');
    buffer_done(&deep);
    for (void *at = good ? json_object_iter(object) : NULL; at;
         at = json_object_iter_next(object, at)) {
        if (learn_property(types, json_object_iter_key(at), json_object_iter_value(at)))
            continue;
        problems_add(problems, "properties", "there are more than %d properties in all",
                     QUERYABLES_MAX);
        good = false;
        break;
    }
    return good;
}

/* ---- features ---- */

static bool read_id(const json_t *id, struct span content, struct local_feature *feature,
                    struct problems *problems)
{
    uint8_t hash[16];

    if (json_is_integer(id)) {
        (void)snprintf(feature->id, sizeof(feature->id), "%lld", (long long)json_integer_value(id));
    } else if (json_is_string(id) && json_string_length(id) > 0 &&
               json_string_length(id) <= LOCAL_ID_BYTES_MAX &&
               strlen(json_string_value(id)) == json_string_length(id)) {
        memcpy(feature->id, json_string_value(id), json_string_length(id) + 1);
    } else if (!id || json_is_null(id)) {
        seal_hash16("torg/local/1", content, hash);
        hex_encode(hash, sizeof(hash), feature->id);
    } else {
        problems_add(problems, "id", "must be a whole number, or a string of 1 to %d bytes",
                     LOCAL_ID_BYTES_MAX);
        return false;
    }
    return true;
}

enum torg_err local_feature_read(const json_t *feature, struct queryables *types,
                                 struct local_feature *ret_feature, struct problems *problems)
{
    const char *type = json_string_value(json_object_get(feature, "type"));
    struct local_feature out = {0};
    struct buffer content = {0};
    bool good = type && strcmp(type, "Feature") == 0;

    if (!good)
        problems_add(problems, "type", "must be Feature");
    good = read_geometry(json_object_get(feature, "geometry"), &out, &content, problems) && good;
    buffer_put_str(&content, ",\"properties\":");
    good =
        good && read_properties(json_object_get(feature, "properties"), types, &content, problems);
    buffer_put_u8(&content, '}');
    good = good && read_id(json_object_get(feature, "id"), buffer_span(&content), &out, problems);
    if (good && content.size > LOCAL_FEATURE_BYTES_MAX) {
        problems_add(problems, "", "has more than %d bytes", LOCAL_FEATURE_BYTES_MAX);
        good = false;
    }
    if (good) {
        buffer_put_str(&out.json, "{\"type\":\"Feature\",\"id\":");
        json_put_string(&out.json, span_of_str(out.id));
        buffer_put_str(&out.json, ",\"geometry\":");
        buffer_put_span(&out.json, buffer_span(&content));
    }
    if (content.err && !out.json.err)
        out.json.err = content.err;
    buffer_done(&content);
    if (good && !out.json.err) {
        *ret_feature = out;
        return TORG_OK;
    }
    local_feature_done(&out);
    return good ? TORG_E_NOMEM : TORG_E_INVALID;
}

/* ---- times ---- */

static bool is_time(const struct queryables *types, size_t i)
{
    return i < types->count &&
           (types->items[i].type == CQL2_DATE || types->items[i].type == CQL2_TIMESTAMP);
}

static void put_name(struct buffer *out, struct span name)
{
    buffer_put_u8(out, '"');
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] == '"')
            buffer_put_u8(out, '"');
        buffer_put_u8(out, name.data[i]);
    }
    buffer_put_u8(out, '"');
}

static void put_bound(struct buffer *out, struct span name, const char *sign, int64_t ms)
{
    buffer_put_u8(out, '(');
    put_name(out, name);
    buffer_put_str(out, " is null or ");
    put_name(out, name);
    buffer_put_str(out, sign);
    buffer_put_str(out, "timestamp('");
    num_put_time(out, ms);
    buffer_put_str(out, "'))");
}

void local_put_when(const struct queryables *types, int64_t from_ms, int64_t through_ms,
                    struct buffer *out)
{
    size_t start = queryables_find(types, span_of_str("start"));
    size_t end = queryables_find(types, span_of_str("end"));

    if (!is_time(types, start) || !is_time(types, end)) {
        for (start = 0; start < types->count && !is_time(types, start); start++)
            continue;
        end = start;
    }
    if (start == types->count)
        return;
    put_bound(out, types->items[start].name, "<=", through_ms);
    buffer_put_str(out, " and ");
    put_bound(out, types->items[end].name, ">=", from_ms);
}
