/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_params.h"
#include "daemon/http_crs.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index/aggregate.h"
#include "protocol/listing_geojson.h"
#include "protocol/listing_shape.h"
#include "protocol/local_feature.h"
#include "protocol/num.h"

/* What a parser needs; texts in why go to the sender. */
struct reading {
    struct http_params *params;
    unsigned formats;
    char why[200];
};

static bool fail(struct reading *reading, const char *why)
{
    (void)snprintf(reading->why, sizeof(reading->why), "%s", why);
    return false;
}

/* The part of text before the next separator; text goes on behind it. */
static bool split_next(struct span *text, char separator, struct span *ret_part)
{
    const uint8_t *end;

    if (!text->data)
        return false;
    end = text->size ? memchr(text->data, separator, text->size) : NULL;
    if (end) {
        *ret_part = span_of(text->data, (size_t)(end - text->data));
        *text = span_of(end + 1, text->size - ret_part->size - 1);
    } else {
        *ret_part = *text;
        *text = (struct span){0};
    }
    return true;
}

/* Exactly count numbers; false if there are others, or anything else. */
static bool read_numbers(struct span text, double *out, size_t count)
{
    struct span part;
    size_t got = 0;

    while (split_next(&text, ',', &part)) {
        if (got == count || num_parse_double(part, &out[got]))
            return false;
        got++;
    }
    return got == count;
}

/*
 * Coordinates of another kind, which would find nothing, or nothing near: what
 * they seem to be. NULL when they may be meant.
 */
static const char *near_system(const double numbers[2])
{
    struct listing_shape_range range;

    if (!(fabs(numbers[0]) < 1e9 && fabs(numbers[1]) < 1e9))
        return NULL;
    range.first_min = range.first_max = llround(numbers[0] * 1e7);
    range.second_min = range.second_max = llround(numbers[1] * 1e7);
    return listing_shape_system(&range);
}

static bool read_degrees(struct reading *reading, const double numbers[2],
                         struct geo_point *ret_place)
{
    struct geo_point place = {.lon_deg = numbers[0], .lat_deg = numbers[1]};
    const char *system = near_system(numbers);

    if (system && geo_point_valid(place)) {
        (void)snprintf(reading->why, sizeof(reading->why),
                       "seems to be %s; longitude comes first: did you mean %.10g,%.10g?", system,
                       numbers[1], numbers[0]);
        return false;
    }
    if (system) {
        (void)snprintf(reading->why, sizeof(reading->why),
                       "must be longitude,latitude in degrees; this seems to be %s", system);
        return false;
    }
    if (!geo_point_valid(place))
        return fail(reading, "longitude must be -180 to 180, latitude -90 to 90");
    *ret_place = place;
    return true;
}

static bool read_near(struct reading *reading, struct span value)
{
    struct query *query = &reading->params->query;
    double numbers[2];

    if (!read_numbers(value, numbers, 2))
        return fail(reading, "must be longitude,latitude in degrees, such as 20.26,63.83");
    query->has_near = read_degrees(reading, numbers, &query->near);
    return query->has_near;
}

static bool read_reaches(struct reading *reading, struct span value)
{
    struct query *query = &reading->params->query;
    double numbers[3] = {0};

    if (!read_numbers(value, numbers, 3) && !read_numbers(value, numbers, 2))
        return fail(reading, "must be longitude,latitude in degrees, such as 20.26,63.83, and "
                             "perhaps how many metres from there is near enough");
    if (!(numbers[2] >= 0 && numbers[2] <= REACH_WITHIN_M_MAX))
        return fail(reading, "the third number must be metres, 0 to 100000");
    query->reach_m = numbers[2];
    query->has_reach = read_degrees(reading, numbers, &query->reach);
    return query->has_reach;
}

static bool read_order(struct reading *reading, struct span value)
{
    struct query *query = &reading->params->query;

    query->by_rank = span_equal(value, span_of_str("rank"));
    if (query->by_rank || span_equal(value, span_of_str("distance")))
        return true;
    return fail(reading, "must be distance or rank");
}

static bool read_radius(struct reading *reading, struct span value)
{
    double radius_m;

    if (num_parse_double(value, &radius_m) || radius_m < 0 || radius_m > GEO_RADIUS_M_MAX)
        return fail(reading, "must be metres, 0 to 20004000");
    reading->params->query.radius_m = radius_m;
    return true;
}

static bool read_bbox(struct reading *reading, struct span value)
{
    double *bbox = reading->params->bbox;
    double n[6];

    if (read_numbers(value, n, 6)) {
        n[2] = n[3]; /* Heights are passed over: listings have none. */
        n[3] = n[4];
    } else if (!read_numbers(value, n, 4)) {
        return fail(reading, "must be west,south,east,north in degrees, or in the order of "
                             "bbox-crs: two corners of two numbers");
    }
    memcpy(bbox, n, sizeof(reading->params->bbox));
    return true;
}

static bool read_system(struct reading *reading, struct span value, enum geo_crs *ret_crs)
{
    if (http_crs_find(value, ret_crs))
        return true;
    return fail(reading, "must be http://www.opengis.net/def/crs/OGC/1.3/CRS84, or "
                         "http://www.opengis.net/def/crs/EPSG/0/ with 4326, 3006, 25833 or 3857 "
                         "behind it");
}

static bool read_bbox_crs(struct reading *reading, struct span value)
{
    return read_system(reading, value, &reading->params->bbox_crs);
}

static bool read_crs(struct reading *reading, struct span value)
{
    return read_system(reading, value, &reading->params->crs);
}

/*
 * What bbox means is known when bbox-crs is. Who names no system may have taken
 * another by mistake and is told; who names one may ask beside the earth.
 */
static enum torg_err finish_bbox(struct http_params *params, struct problems *problems)
{
    struct query *query = &params->query;
    const double *n = params->bbox;
    enum torg_err err;

    query->has_box = true;
    if (params->given & HTTP_PARAM_BIT(BBOX_CRS)) {
        err = http_crs_box(params->bbox_crs, n, &query->box);
        if (err == TORG_E_INVALID)
            problems_add(problems, "bbox",
                         "must be two corners in the order of axes of bbox-crs, "
                         "the smaller numbers first");
        return err == TORG_E_INVALID ? TORG_OK : err;
    }
    query->box =
        (struct geo_box){.west_deg = n[0], .south_deg = n[1], .east_deg = n[2], .north_deg = n[3]};
    if (!geo_box_valid(&query->box))
        problems_add(problems, "bbox",
                     "must be west,south,east,north in degrees: longitudes -180 to 180, "
                     "latitudes -90 to 90, south not above north; bbox-crs names another system");
    return TORG_OK;
}

/* A geometry, as GeoJSON or as well-known text, by its first character. */
static enum torg_err read_shape(struct span value, struct shape *shape, struct shape_fault *fault)
{
    char message[160];
    json_t *json;
    enum torg_err err;

    if (value.data[0] != '{')
        return shape_read_wkt(shape, value, fault);
    err = listing_json_parse(value, &json, message, sizeof(message));
    if (err) {
        (void)snprintf(fault->text, sizeof(fault->text), "is no JSON: %s", message);
        return err;
    }
    err = shape_read_geojson(shape, json, fault);
    json_decref(json);
    return err;
}

/* As for near: it would find nothing, and nobody would know why. */
static bool shape_swapped(const struct shape *shape)
{
    struct listing_shape_range range = {shape->min.lon_e7, shape->max.lon_e7, shape->min.lat_e7,
                                        shape->max.lat_e7};

    return listing_shape_system(&range) != NULL;
}

static bool read_intersects(struct reading *reading, struct span value)
{
    struct http_params *params = reading->params;
    struct shape_fault fault = {"cannot be read now"}; /* when memory ran out */
    struct shape shape = {0};
    enum torg_err err;

    err = read_shape(value, &shape, &fault);
    if (!err && shape_swapped(&shape)) {
        (void)snprintf(fault.text, sizeof(fault.text),
                       "seems to be latitude before longitude; longitude comes first");
        err = TORG_E_INVALID;
    }
    if (!err)
        err = shape_region_new(&shape, &params->region, &fault);
    shape_done(&shape);
    if (err)
        return fail(reading, fault.text);
    params->query.region = params->region;
    params->intersects = value;
    return true;
}

/* One value: themes that must all be there. */
static bool read_theme(struct reading *reading, struct span value)
{
    struct query *query = &reading->params->query;
    struct query_theme_group group = {0};
    struct span slug;

    while (split_next(&value, ',', &slug)) {
        if (group.count == RTREE_THEME_SETS_MAX)
            return fail(reading, "holds more than 8 themes in one value");
        if (!theme_slug_valid(slug))
            return fail(reading, "must be themes such as food/cafe; /themes lists them");
        group.slugs[group.count++] = slug;
    }
    if (query->group_count == RTREE_THEME_GROUPS_MAX)
        return fail(reading, "stands more than 16 times");
    query->groups[query->group_count++] = group;
    return true;
}

static bool read_q(struct reading *reading, struct span value)
{
    if (value.size > QUERY_TEXT_BYTES_MAX)
        return fail(reading, "is longer than 200 bytes");
    reading->params->query.text = value;
    return true;
}

static bool read_instant(struct span text, int64_t *ret_from_ms, int64_t *ret_through_ms)
{
    if (num_parse_date(text, ret_from_ms, ret_through_ms) == TORG_OK)
        return true;
    if (num_parse_time(text, ret_from_ms))
        return false;
    *ret_through_ms = *ret_from_ms;
    return true;
}

static bool is_open(struct span text)
{
    return text.size == 0 || span_equal(text, span_of_str(".."));
}

/* Repeated values are intersected, for GDAL sends the two ends apart. */
static bool read_datetime(struct reading *reading, struct span value)
{
    struct query *query = &reading->params->query;
    int64_t from_ms = INT64_MIN;
    int64_t through_ms = INT64_MAX;
    int64_t unused;
    struct span start;
    struct span end = value;
    bool interval = value.size && memchr(value.data, '/', value.size);
    bool valid;

    if (interval) {
        split_next(&end, '/', &start);
        valid = (is_open(start) || read_instant(start, &from_ms, &unused)) &&
                (is_open(end) || read_instant(end, &unused, &through_ms)) && from_ms <= through_ms;
    } else {
        valid = read_instant(value, &from_ms, &through_ms);
    }
    if (!valid)
        return fail(reading, "must be a date, a time such as 2026-11-21T09:00:00Z, or an interval "
                             "start/end, either of which may be ..");
    if (!query->has_datetime) {
        query->from_ms = INT64_MIN;
        query->through_ms = INT64_MAX;
    }
    query->has_datetime = true;
    query->from_ms = from_ms > query->from_ms ? from_ms : query->from_ms;
    query->through_ms = through_ms < query->through_ms ? through_ms : query->through_ms;
    reading->params->never = query->from_ms > query->through_ms;
    return true;
}

static bool is_hex(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (!text.data[i] || !strchr("0123456789abcdefABCDEF", text.data[i]))
            return false;
    }
    return true;
}

static bool read_origin(struct reading *reading, struct span value)
{
    struct http_params *params = reading->params;

    if (value.size < HTTP_ORIGIN_DIGITS_MIN || value.size > 2 * sizeof(struct origin_id) ||
        !is_hex(value))
        return fail(reading, "must be an origin's id or at least its first 16 hex digits; "
                             "/federation lists them");
    if (params->origin_count == QUERY_VALUES_MAX)
        return fail(reading, "stands more than 64 times");
    params->origins[params->origin_count++] = value;
    return true;
}

static bool read_municipality(struct reading *reading, struct span value)
{
    struct query *query = &reading->params->query;
    struct span code;

    while (split_next(&value, ',', &code)) {
        bool digits = code.size == 4;

        for (size_t i = 0; i < code.size; i++)
            digits = digits && code.data[i] >= '0' && code.data[i] <= '9';
        if (!digits)
            return fail(reading, "must be an SCB code of four digits, such as 2480");
        if (query->municipality_count == QUERY_VALUES_MAX)
            return fail(reading, "names more than 64 municipalities");
        query->municipalities[query->municipality_count++] = code;
    }
    return true;
}

static bool read_network(struct reading *reading, struct span value)
{
    struct query *query = &reading->params->query;

    if (query->network_count == QUERY_VALUES_MAX)
        return fail(reading, "stands more than 64 times");
    if (feature_id_parse(value, &query->networks[query->network_count]))
        return fail(reading, "must be the id of a listing of the collection networks");
    query->network_count++;
    return true;
}

static bool read_filter(struct reading *reading, struct span value)
{
    if (value.size > CQL2_BYTES_MAX)
        return fail(reading, "is longer than 8192 bytes");
    reading->params->filter = value;
    return true;
}

static bool read_filter_lang(struct reading *reading, struct span value)
{
    reading->params->filter_json = span_equal(value, span_of_str("cql2-json"));
    if (!reading->params->filter_json && !span_equal(value, span_of_str("cql2-text")))
        return fail(reading, "must be cql2-text or cql2-json");
    return true;
}

static bool read_filter_crs(struct reading *reading, struct span value)
{
    return read_system(reading, value, &reading->params->filter_crs);
}

static bool read_properties(struct reading *reading, struct span value)
{
    struct http_params *params = reading->params;
    struct span name;

    while (split_next(&value, ',', &name)) {
        if (params->select_count == HTTP_SELECT_MAX)
            return fail(reading, "names more than 64 properties");
        params->select[params->select_count++] = name;
    }
    return true;
}

static bool read_collections(struct reading *reading, struct span value)
{
    struct span name;

    while (split_next(&value, ',', &name)) {
        uint8_t number = collection_of_name(name);

        if (!number || !(COLLECTION_MASK_PUBLIC >> number & 1))
            return fail(reading, "must name collections, such as companies,offers; /collections "
                                 "lists them");
        reading->params->query.collections |= 1u << number;
    }
    return true;
}

static bool read_limit(struct reading *reading, struct span value)
{
    int64_t limit;
    enum torg_err err = num_parse_int(value, 0, INT64_MAX, &limit);

    if (err && err != TORG_E_TOO_BIG)
        return fail(reading, "must be a whole number, 0 to 10000");
    if (err && value.data[0] == '-')
        return fail(reading, "must be a whole number, 0 to 10000");
    if (err || limit > QUERY_LIMIT_MAX)
        limit = QUERY_LIMIT_MAX;
    reading->params->query.limit = (uint32_t)limit;
    return true;
}

static bool read_offset(struct reading *reading, struct span value)
{
    int64_t offset;

    if (num_parse_int(value, 0, HTTP_OFFSET_MAX, &offset))
        return fail(reading, "must be a whole number, 0 to 1000000; follow the next links instead");
    reading->params->query.offset = (uint32_t)offset;
    return true;
}

static bool read_cursor(struct reading *reading, struct span value)
{
    struct http_params *params = reading->params;

    if (http_params_cursor_parse(value, &params->cursor, &params->cursor_binding) &&
        http_params_sort_cursor_parse(value, &params->sort, &params->cursor_binding))
        return fail(reading, "is no cursor of this node; take the next link as it is");
    return true;
}

/* What the names mean is known when the collection's properties are. */
static bool read_sortby(struct reading *reading, struct span value)
{
    reading->params->sortby = value;
    return true;
}

static bool read_facets(struct reading *reading, struct span value)
{
    static const struct {
        const char *name;
        enum query_facet facet;
    } words[] = {
        {"theme", QUERY_FACET_THEME},
        {"origin", QUERY_FACET_ORIGIN},
        {"municipality", QUERY_FACET_MUNICIPALITY},
        {"collection", QUERY_FACET_COLLECTION},
    };
    struct span part;

    while (split_next(&value, ',', &part)) {
        unsigned facet = 0;

        for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
            if (span_equal(part, span_of_str(words[i].name)))
                facet = words[i].facet;
        }
        if (!facet)
            return fail(reading, "must be theme, origin, municipality or collection, or several "
                                 "with commas");
        reading->params->facets |= facet;
    }
    return true;
}

static bool read_explain(struct reading *reading, struct span value)
{
    reading->params->explain = span_equal(value, span_of_str("true"));
    if (!reading->params->explain && !span_equal(value, span_of_str("false")))
        return fail(reading, "must be true or false");
    return true;
}

static bool read_all(struct reading *reading, struct span value)
{
    reading->params->all = span_equal(value, span_of_str("true"));
    if (!reading->params->all && !span_equal(value, span_of_str("false")))
        return fail(reading, "must be true or false");
    return true;
}

static bool read_by(struct reading *reading, struct span value)
{
    static const struct {
        const char *name;
        enum aggregate_by by;
    } words[] = {
        {"theme", AGGREGATE_BY_THEME},
        {"area", AGGREGATE_BY_AREA},
        {"municipality", AGGREGATE_BY_MUNICIPALITY},
    };
    struct span part;

    while (split_next(&value, ',', &part)) {
        unsigned by = 0;

        for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
            if (span_equal(part, span_of_str(words[i].name)))
                by = words[i].by;
        }
        if (!by)
            return fail(reading, "must be theme, area or municipality, or several with commas");
        reading->params->by |= by;
    }
    return true;
}

static bool read_place(struct reading *reading, struct span value)
{
    if (value.size > QUERY_TEXT_BYTES_MAX)
        return fail(reading, "is longer than 200 bytes");
    reading->params->place = value;
    return true;
}

static bool read_lang(struct reading *reading, struct span value)
{
    if (!span_equal(value, span_of_str("sv")) && !span_equal(value, span_of_str("en")))
        return fail(reading, "must be sv or en");
    memcpy(reading->params->language, value.data, 2);
    return true;
}

/* A name that no collection of listings has is that of a local one. */
static bool read_collection(struct reading *reading, struct span value)
{
    uint8_t collection = collection_of_name(value);

    if (local_name_valid(value)) {
        reading->params->local = value;
        return true;
    }
    if (!(COLLECTION_MASK_PUBLIC >> collection & 1))
        return fail(reading, "must be the name of a public collection, such as offers, or of a "
                             "local one: letters, digits, - and _, at most 64");
    reading->params->collection = collection;
    return true;
}

static bool read_language(struct reading *reading, struct span value)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";

    if (value.size < 2 || value.size > HTTP_LANGUAGE_BYTES_MAX)
        return fail(reading, "must be a language tag, such as sv");
    for (size_t i = 0; i < value.size; i++) {
        if (!memchr(letters, value.data[i], sizeof(letters) - 1))
            return fail(reading, "must be a language tag, such as sv");
    }
    memcpy(reading->params->text_language, value.data, value.size);
    reading->params->text_language[value.size] = '\0';
    return true;
}

static bool read_dry_run(struct reading *reading, struct span value)
{
    reading->params->dry_run = span_equal(value, span_of_str("true"));
    if (!reading->params->dry_run && !span_equal(value, span_of_str("false")))
        return fail(reading, "must be true or false");
    return true;
}

static const struct {
    enum http_format format;
    const char *name;
    const char *type;
} formats[] = {
    {HTTP_FORMAT_JSON, "json", "application/json"},
    {HTTP_FORMAT_GEOJSON, "geojson", "application/geo+json"},
    {HTTP_FORMAT_GEOJSONSEQ, "geojsonseq", "application/geo+json-seq"},
    {HTTP_FORMAT_CSV, "csv", "text/csv; charset=utf-8"},
    {HTTP_FORMAT_HTML, "html", "text/html; charset=utf-8"},
    {HTTP_FORMAT_OPENAPI, "json", "application/vnd.oai.openapi+json;version=3.0"},
    {HTTP_FORMAT_SCHEMA, "json", "application/schema+json"},
    {HTTP_FORMAT_ICS, "ics", "text/calendar; charset=utf-8"},
    {HTTP_FORMAT_JSONLD, "jsonld", "application/ld+json"},
};

const char *http_params_format_name(enum http_format format)
{
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        if (formats[i].format == format)
            return formats[i].name;
    }
    return "";
}

const char *http_params_format_type(enum http_format format)
{
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        if (formats[i].format == format)
            return formats[i].type;
    }
    return "";
}

static bool read_f(struct reading *reading, struct span value)
{
    size_t used = 0;

    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        if (span_equal(value, span_of_str(formats[i].name)) &&
            (reading->formats & formats[i].format)) {
            reading->params->format = formats[i].format;
            return true;
        }
    }
    /* Where features are asked for, json means GeoJSON. */
    if (span_equal(value, span_of_str("json")) && (reading->formats & HTTP_FORMAT_GEOJSON)) {
        reading->params->format = HTTP_FORMAT_GEOJSON;
        return true;
    }
    used = (size_t)snprintf(reading->why, sizeof(reading->why), "must be one of:");
    for (size_t i = 0; i < ARRAY_SIZE(formats) && used < sizeof(reading->why); i++) {
        if (reading->formats & formats[i].format)
            used += (size_t)snprintf(reading->why + used, sizeof(reading->why) - used, " %s",
                                     formats[i].name);
    }
    return false;
}

static const struct param {
    struct http_param_text text;
    bool (*read)(struct reading *reading, struct span value);
} table[HTTP_PARAM_COUNT] = {
    [HTTP_PARAM_NEAR] =
        {{"near", false,
          "{\"type\":\"array\",\"items\":{\"type\":\"number\"},\"minItems\":2,"
          "\"maxItems\":2}",
          "Longitude and latitude in degrees (CRS84). The answer comes nearest first, with the "
          "distance in metres along the ellipsoid in the property distance; listings without a "
          "geometry are left out."},
         read_near},
    [HTTP_PARAM_RADIUS] = {{"radius", false,
                            "{\"type\":\"number\",\"minimum\":0,\"maximum\":20004000}",
                            "With near: how far, in metres. Without it: the nearest, however far."},
                           read_radius},
    [HTTP_PARAM_BBOX] =
        {{"bbox", false,
          "{\"type\":\"array\",\"items\":{\"type\":\"number\"},\"minItems\":4,"
          "\"maxItems\":6}",
          "West, south, east, north in degrees (CRS84); west may be greater than east, over the "
          "antimeridian. Listings without a geometry match every box."},
         read_bbox},
    [HTTP_PARAM_BBOX_CRS] = {{"bbox-crs", false, "{\"type\":\"string\",\"format\":\"uri\"}",
                              "The coordinate system of bbox, with its order of axes; absent: "
                              "CRS84. /collections lists the systems."},
                             read_bbox_crs},
    [HTTP_PARAM_CRS] = {{"crs", false, "{\"type\":\"string\",\"format\":\"uri\"}",
                         "The coordinate system of the answer's geometries, with its order of "
                         "axes; absent: CRS84. /collections lists the systems."},
                        read_crs},
    [HTTP_PARAM_INTERSECTS] =
        {{"intersects", false, "{\"type\":\"string\"}",
          "A geometry in degrees (CRS84), as well-known text such as POLYGON((17 65,18 65,18 66,17 "
          "65)) or as GeoJSON: listings that have a point in common with it, by their exact "
          "geometry. Edges are straight in longitude and latitude; over the antimeridian a "
          "geometry is cut in two. Listings without a geometry are left out."},
         read_intersects},
    [HTTP_PARAM_THEME] =
        {{"theme", true, "{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"maxItems\":16}",
          "A theme, with its narrower ones. Repeated: any of them. With commas inside one value: "
          "all of them."},
         read_theme},
    [HTTP_PARAM_Q] =
        {{"q", false, "{\"type\":\"string\",\"maxLength\":200}",
          "Words that must all match a word of the name, place, provider or description: "
          "itself, without accents, by its stem or beginning. Without near the "
          "best matches come first."},
         read_q},
    [HTTP_PARAM_ORDER] =
        {{"order", false, "{\"type\":\"string\",\"enum\":[\"distance\",\"rank\"]}",
          "With near and q: distance (the default), or rank, which mixes how well the words match, "
          "how near it is and how new."},
         read_order},
    [HTTP_PARAM_DATETIME] =
        {{"datetime", true, "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}",
          "A date, an RFC 3339 time, or an interval start/end with .. for an open end; repeated "
          "values are intersected. Absent: what is shown now."},
         read_datetime},
    [HTTP_PARAM_ORIGIN] =
        {{"origin", true,
          "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"pattern\":"
          "\"^[0-9a-fA-F]{16,64}$\"},\"maxItems\":64}",
          "Only listings of this origin: its id, or at least its first 16 hex digits. Repeated: "
          "any of them."},
         read_origin},
    [HTTP_PARAM_MUNICIPALITY] =
        {{"municipality", true,
          "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"pattern\":"
          "\"^[0-9]{4}(,[0-9]{4})*$\"},\"maxItems\":64}",
          "SCB code of the municipality where the listing is. Repeated or with commas: any of "
          "them."},
         read_municipality},
    [HTTP_PARAM_NETWORK] = {{"network", true,
                             "{\"type\":\"array\",\"items\":{\"type\":\"string\"},"
                             "\"maxItems\":64}",
                             "Only listings that have applied to this network: the id of a listing "
                             "of the collection networks. Repeated: any of them."},
                            read_network},
    [HTTP_PARAM_REACHES] =
        {{"reaches", false,
          "{\"type\":\"array\",\"items\":{\"type\":\"number\"},\"minItems\":2,"
          "\"maxItems\":3}",
          "Longitude and latitude in degrees (CRS84), and perhaps metres (0 to 100000): who comes "
          "there. Listings whose served area (serves) holds the place, or is at most so far away, "
          "or that stop there (itinerary) within the time of datetime; without it, now or later."},
         read_reaches},
    [HTTP_PARAM_FILTER] =
        {{"filter", false, "{\"type\":\"string\",\"maxLength\":8192}",
          "What must be true, in CQL2 (OGC 21-065), as text or JSON by filter-lang; the properties "
          "are those of queryables."},
         read_filter},
    [HTTP_PARAM_FILTER_LANG] =
        {{"filter-lang", false,
          "{\"type\":\"string\",\"enum\":[\"cql2-text\",\"cql2-json\"],\"default\":"
          "\"cql2-text\"}",
          "How filter is written."},
         read_filter_lang},
    [HTTP_PARAM_FILTER_CRS] = {{"filter-crs", false, "{\"type\":\"string\",\"format\":\"uri\"}",
                                "The coordinate system of the geometries in filter, with its order "
                                "of axes; absent: CRS84."},
                               read_filter_crs},
    [HTTP_PARAM_SORTBY] =
        {{"sortby", false,
          "{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"minItems\":1,\"maxItems\":4}",
          "Properties of queryables that order the answer, with - before one for the other way; "
          "names in Swedish order, what is absent last. Not with near."},
         read_sortby},
    [HTTP_PARAM_PROPERTIES] =
        {{"properties", false,
          "{\"type\":\"array\",\"items\":{\"type\":\"string\"},"
          "\"minItems\":1,\"maxItems\":64}",
          "Show only these properties of the schema; only in GeoJSON and GeoJSON-seq."},
         read_properties},
    [HTTP_PARAM_COLLECTIONS] = {{"collections", true,
                                 "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}",
                                 "Only these collections. Repeated or with commas: any of them."},
                                read_collections},
    [HTTP_PARAM_LIMIT] = {{"limit", false, "{\"type\":\"integer\",\"minimum\":0,\"default\":20}",
                           "At most so many; more than 10000 are taken as 10000. 0 only counts."},
                          read_limit},
    [HTTP_PARAM_OFFSET] =
        {{"offset", false, "{\"type\":\"integer\",\"minimum\":0,\"maximum\":1000000}",
          "Skip so many. The next links are better: they stay right while listings change."},
         read_offset},
    [HTTP_PARAM_CURSOR] = {{"cursor", false, "{\"type\":\"string\",\"maxLength\":256}",
                            "Where the page begins; only as the next link has it."},
                           read_cursor},
    [HTTP_PARAM_FACETS] =
        {{"facets", true,
          "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"enum\":[\"theme\","
          "\"origin\",\"municipality\",\"collection\"]}}",
          "Also count how all that matches divides; only with f=geojson. Repeated or with commas: "
          "several."},
         read_facets},
    [HTTP_PARAM_ALL] = {{"all", false, "{\"type\":\"boolean\"}",
                         "Everything that matches in one answer, without pages; only with "
                         "f=geojsonseq or f=csv, and without limit."},
                        read_all},
    [HTTP_PARAM_EXPLAIN] = {{"explain", false, "{\"type\":\"boolean\"}",
                             "Also say how the answer was found; needs an administrator's token, "
                             "and f=geojson."},
                            read_explain},
    [HTTP_PARAM_BY] =
        {{"by", true,
          "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"enum\":[\"theme\","
          "\"area\",\"municipality\"]}}",
          "What the table's rows stand for. Repeated or with commas: each combination. Absent: "
          "theme."},
         read_by},
    [HTTP_PARAM_PLACE] = {{"place", false, "{\"type\":\"string\",\"maxLength\":200}",
                           "A place name or a postal code."},
                          read_place},
    [HTTP_PARAM_LANG] = {{"lang", false, "{\"type\":\"string\",\"enum\":[\"sv\",\"en\"]}",
                          "The language of titles, descriptions and pages; absent: as "
                          "Accept-Language has it, else Swedish."},
                         read_lang},
    [HTTP_PARAM_COLLECTION] = {{"collection", false, "{\"type\":\"string\"}",
                                "The collection of features that name none."},
                               read_collection},
    [HTTP_PARAM_LANGUAGE] = {{"language", false, "{\"type\":\"string\"}",
                              "The language of texts that name none."},
                             read_language},
    [HTTP_PARAM_DRY_RUN] = {{"dry-run", false, "{\"type\":\"boolean\"}",
                             "Check everything and store nothing."},
                            read_dry_run},
    [HTTP_PARAM_F] = {{"f", false, "{\"type\":\"string\"}",
                       "The format of the answer; goes before the Accept field."},
                      read_f},
};

const struct http_param_text *http_params_text(enum http_param param)
{
    return &table[param].text;
}

void http_params_put_names(uint64_t allowed, struct buffer *out)
{
    size_t before = out->size;

    for (enum http_param i = 0; i < HTTP_PARAM_COUNT; i++) {
        if (allowed >> i & 1)
            buffer_printf(out, "%s%s", out->size > before ? ", " : "", table[i].text.name);
    }
    if (out->size == before)
        buffer_put_str(out, "none");
}

static void add_unknown(struct span name, uint64_t allowed, struct problems *problems)
{
    struct buffer list = {0};
    char shown[64];

    http_params_put_names(allowed, &list);
    buffer_put_u8(&list, 0);
    (void)snprintf(shown, sizeof(shown), "%.*s", (int)(name.size < 60 ? name.size : 60),
                   (const char *)name.data);
    problems_add(problems, shown, "is no parameter here; allowed: %s",
                 list.err ? "" : (const char *)list.data);
    buffer_done(&list);
}

static enum http_param find_param(struct span name, uint64_t allowed)
{
    for (enum http_param i = 0; i < HTTP_PARAM_COUNT; i++) {
        if ((allowed >> i & 1) && span_equal(name, span_of_str(table[i].text.name)))
            return i;
    }
    return HTTP_PARAM_COUNT;
}

static void read_pair(struct reading *reading, const struct http_pair *pair, uint64_t allowed,
                      bool form, struct problems *problems)
{
    enum http_param i = find_param(pair->name, allowed);
    const struct param *param = &table[i < HTTP_PARAM_COUNT ? i : 0];

    if (i == HTTP_PARAM_COUNT && (allowed & HTTP_PARAM_BIT(FILTER))) {
        reading->params->properties[reading->params->property_count++] = pair;
    } else if (i == HTTP_PARAM_COUNT) {
        add_unknown(pair->name, allowed, problems);
    } else if (pair->value.size == 0 && form) {
        return;
    } else if (pair->value.size == 0) {
        problems_add(problems, param->text.name, "is empty");
    } else if ((reading->params->given >> i & 1) && !param->text.repeatable) {
        problems_add(problems, param->text.name, "stands twice");
    } else {
        reading->params->given |= UINT64_C(1) << i;
        if (!param->read(reading, pair->value))
            problems_add(problems, param->text.name, "%s", reading->why);
    }
}

enum torg_err http_params_read(const struct http_query *pairs, uint64_t allowed, unsigned accepted,
                               bool form, struct http_params *ret_params, struct problems *problems)
{
    struct reading reading = {.params = ret_params, .formats = accepted};
    size_t before = problems->count;
    enum torg_err err = TORG_OK;

    *ret_params = (struct http_params){
        .query = {.radius_m = INFINITY, .limit = HTTP_LIMIT_DEFAULT},
        .language = "sv",
    };
    for (size_t i = 0; i < pairs->count; i++)
        read_pair(&reading, &pairs->pairs[i], allowed, form, problems);
    if (ret_params->given & HTTP_PARAM_BIT(BBOX) && problems->count == before)
        err = finish_bbox(ret_params, problems);
    if ((ret_params->given & HTTP_PARAM_BIT(RADIUS)) && !form &&
        !(ret_params->given & HTTP_PARAM_BIT(NEAR)))
        problems_add(problems, "radius", "needs near");
    if (ret_params->query.by_rank && !(ret_params->given & HTTP_PARAM_BIT(Q)) && !form)
        problems_add(problems, "order", "rank needs q");
    if (!err && problems->count == before)
        return TORG_OK;
    http_params_done(ret_params);
    return err ? err : TORG_E_INVALID;
}

void http_params_done(struct http_params *params)
{
    shape_region_free(params->region);
    params->region = NULL;
    params->query.region = NULL;
    filter_free(params->filter_made);
    params->filter_made = NULL;
    params->query.filter = NULL;
    free(params->queryables);
    params->queryables = NULL;
}
