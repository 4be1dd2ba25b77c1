/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_params.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/http_params_internal.h"
#include "protocol/local_feature.h"
#include "protocol/num.h"

bool http_params_fail(struct http_params_reading *reading, const char *why)
{
    (void)snprintf(reading->why, sizeof(reading->why), "%s", why);
    return false;
}

bool http_params_split(struct span *text, char separator, struct span *ret_part)
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

static bool read_limit(struct http_params_reading *reading, struct span value)
{
    int64_t limit;
    enum torg_err err = num_parse_int(value, 0, INT64_MAX, &limit);

    if (err && err != TORG_E_TOO_BIG)
        return http_params_fail(reading, "must be a whole number, 0 to 10000");
    if (err && value.data[0] == '-')
        return http_params_fail(reading, "must be a whole number, 0 to 10000");
    if (err || limit > QUERY_LIMIT_MAX)
        limit = QUERY_LIMIT_MAX;
    reading->params->query.limit = (uint32_t)limit;
    return true;
}

static bool read_offset(struct http_params_reading *reading, struct span value)
{
    int64_t offset;

    if (num_parse_int(value, 0, HTTP_OFFSET_MAX, &offset))
        return http_params_fail(
            reading, "must be a whole number, 0 to 1000000; follow the next links instead");
    reading->params->query.offset = (uint32_t)offset;
    return true;
}

static bool read_cursor(struct http_params_reading *reading, struct span value)
{
    struct http_params *params = reading->params;

    if (http_params_cursor_parse(value, &params->cursor, &params->cursor_binding) &&
        http_params_sort_cursor_parse(value, &params->sort, &params->cursor_binding))
        return http_params_fail(reading, "is no cursor of this node; take the next link as it is");
    return true;
}

static bool read_bool(struct http_params_reading *reading, struct span value, bool *ret_value)
{
    *ret_value = span_equal(value, span_of_str("true"));
    if (!*ret_value && !span_equal(value, span_of_str("false")))
        return http_params_fail(reading, "must be true or false");
    return true;
}

static bool read_explain(struct http_params_reading *reading, struct span value)
{
    return read_bool(reading, value, &reading->params->explain);
}

static bool read_all(struct http_params_reading *reading, struct span value)
{
    return read_bool(reading, value, &reading->params->all);
}

static bool read_lang(struct http_params_reading *reading, struct span value)
{
    struct http_params *params = reading->params;
    const char *tag = http_words_tag(value);

    if (!tag || strlen(tag) != value.size) {
        params->given &= ~HTTP_PARAM_BIT(LANG); /* The refusal is in no such language. */
        return http_params_fail(reading, "must be sv, en, fi, fit, se, smj, sma, sje or sju");
    }
    memcpy(params->text_tag, tag, strlen(tag) + 1);
    params->language[0] = '\0';
    if (strcmp(tag, "sv") == 0 || strcmp(tag, "en") == 0)
        memcpy(params->language, tag, sizeof(params->language));
    return true;
}

/* A name that no collection of listings has is that of a local one. */
static bool read_collection(struct http_params_reading *reading, struct span value)
{
    uint8_t collection = collection_of_name(value);

    if (local_name_valid(value)) {
        reading->params->local = value;
        return true;
    }
    if (!(COLLECTION_MASK_PUBLIC >> collection & 1))
        return http_params_fail(reading,
                                "must be the name of a public collection, such as offers, or of a "
                                "local one: letters, digits, - and _, at most 64");
    reading->params->collection = collection;
    return true;
}

static bool read_language(struct http_params_reading *reading, struct span value)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";

    if (value.size < 2 || value.size > HTTP_LANGUAGE_BYTES_MAX)
        return http_params_fail(reading, "must be a language tag, such as sv");
    for (size_t i = 0; i < value.size; i++) {
        if (!memchr(letters, value.data[i], sizeof(letters) - 1))
            return http_params_fail(reading, "must be a language tag, such as sv");
    }
    memcpy(reading->params->text_language, value.data, value.size);
    reading->params->text_language[value.size] = '\0';
    return true;
}

static bool read_dry_run(struct http_params_reading *reading, struct span value)
{
    return read_bool(reading, value, &reading->params->dry_run);
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

static bool read_f(struct http_params_reading *reading, struct span value)
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
    http_params_reader *read;
} table[HTTP_PARAM_COUNT] = {
    [HTTP_PARAM_NEAR] =
        {{"near", false,
          "{\"type\":\"array\",\"items\":{\"type\":\"number\"},\"minItems\":2,"
          "\"maxItems\":2}",
          "Longitude and latitude in degrees (CRS84). The answer comes nearest first, with the "
          "distance in metres along the ellipsoid in the property distance; listings without a "
          "geometry are left out."},
         http_params_read_near},
    [HTTP_PARAM_RADIUS] = {{"radius", false,
                            "{\"type\":\"number\",\"minimum\":0,\"maximum\":20004000}",
                            "With near: how far, in metres. Without it: the nearest, however far."},
                           http_params_read_radius},
    [HTTP_PARAM_BBOX] =
        {{"bbox", false,
          "{\"type\":\"array\",\"items\":{\"type\":\"number\"},\"minItems\":4,"
          "\"maxItems\":6}",
          "West, south, east, north in degrees (CRS84); west may be greater than east, over the "
          "antimeridian. What has a point in common with the box matches; listings without a "
          "geometry match every box."},
         http_params_read_bbox},
    [HTTP_PARAM_BBOX_CRS] = {{"bbox-crs", false, "{\"type\":\"string\",\"format\":\"uri\"}",
                              "The coordinate system of bbox, with its order of axes; absent: "
                              "CRS84. /collections lists the systems."},
                             http_params_read_bbox_crs},
    [HTTP_PARAM_CRS] = {{"crs", false, "{\"type\":\"string\",\"format\":\"uri\"}",
                         "The coordinate system of the answer's geometries, with its order of "
                         "axes; absent: CRS84. /collections lists the systems."},
                        http_params_read_crs},
    [HTTP_PARAM_INTERSECTS] =
        {{"intersects", false, "{\"type\":\"string\"}",
          "A geometry in degrees (CRS84), as well-known text such as POLYGON((17 65,18 65,18 66,17 "
          "65)) or as GeoJSON: listings that have a point in common with it, by their exact "
          "geometry. Edges are straight in longitude and latitude; over the antimeridian a "
          "geometry is cut in two. Listings without a geometry are left out."},
         http_params_read_intersects},
    [HTTP_PARAM_THEME] =
        {{"theme", true, "{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"maxItems\":16}",
          "A theme, with its narrower ones. Repeated: any of them. With commas inside one value: "
          "all of them."},
         http_params_read_theme},
    [HTTP_PARAM_Q] =
        {{"q", false, "{\"type\":\"string\",\"maxLength\":200}",
          "Words that must all match a word of the name, place, provider or description: "
          "itself, without accents, by its stem or beginning. Without near the "
          "best matches come first."},
         http_params_read_q},
    [HTTP_PARAM_ORDER] =
        {{"order", false, "{\"type\":\"string\",\"enum\":[\"distance\",\"rank\"]}",
          "With near and q: distance (the default), or rank, which mixes how well the words match, "
          "how near it is and how new."},
         http_params_read_order},
    [HTTP_PARAM_DATETIME] =
        {{"datetime", true, "{\"type\":\"string\"}",
          "A date, an RFC 3339 time, or an interval start/end with .. for an open end; repeated "
          "values are intersected. Absent: what is shown now."},
         http_params_read_datetime},
    [HTTP_PARAM_ORIGIN] =
        {{"origin", true,
          "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"pattern\":"
          "\"^[0-9a-fA-F]{16,64}$\"},\"maxItems\":64}",
          "Only listings of this origin: its id, or at least its first 16 hex digits. Repeated: "
          "any of them."},
         http_params_read_origin},
    [HTTP_PARAM_MUNICIPALITY] =
        {{"municipality", true,
          "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"pattern\":"
          "\"^[0-9]{4}(,[0-9]{4})*$\"},\"maxItems\":64}",
          "SCB code of the municipality where the listing is. Repeated or with commas: any of "
          "them."},
         http_params_read_municipality},
    [HTTP_PARAM_NETWORK] = {{"network", true,
                             "{\"type\":\"array\",\"items\":{\"type\":\"string\"},"
                             "\"maxItems\":64}",
                             "Only listings that have applied to this network: the id of a listing "
                             "of the collection networks. Repeated: any of them."},
                            http_params_read_network},
    [HTTP_PARAM_REACHES] =
        {{"reaches", false,
          "{\"type\":\"array\",\"items\":{\"type\":\"number\"},\"minItems\":2,"
          "\"maxItems\":3}",
          "Longitude and latitude in degrees (CRS84), and perhaps metres (0 to 100000): who comes "
          "there. Listings whose served area (serves) holds the place, or is at most so far away, "
          "or that stop there (itinerary) within the time of datetime; without it, now or later."},
         http_params_read_reaches},
    [HTTP_PARAM_OPEN_AT] =
        {{"openAt", false, "{\"type\":\"string\",\"format\":\"date-time\"}",
          "A moment, as RFC 3339 has it: listings whose opening hours say that they are open then, "
          "by "
          "the clock of their place. Listings without opening hours are left out, and so are those "
          "whose zone torg does not compute."},
         http_params_read_open_at},
    [HTTP_PARAM_FILTER] =
        {{"filter", false, "{\"type\":\"string\",\"maxLength\":8192}",
          "What must be true, in CQL2 (OGC 21-065), as text or JSON by filter-lang; the properties "
          "are those of queryables."},
         http_params_read_filter},
    [HTTP_PARAM_FILTER_LANG] =
        {{"filter-lang", false,
          "{\"type\":\"string\",\"enum\":[\"cql2-text\",\"cql2-json\"],\"default\":"
          "\"cql2-text\"}",
          "How filter is written."},
         http_params_read_filter_lang},
    [HTTP_PARAM_FILTER_CRS] = {{"filter-crs", false, "{\"type\":\"string\",\"format\":\"uri\"}",
                                "The coordinate system of the geometries in filter, with its order "
                                "of axes; absent: CRS84."},
                               http_params_read_filter_crs},
    [HTTP_PARAM_SORTBY] =
        {{"sortby", false,
          "{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"minItems\":1,\"maxItems\":4}",
          "Properties of queryables that order the answer, with - before one for the other way; "
          "names in Swedish order, what is absent last. Not with near."},
         http_params_read_sortby},
    [HTTP_PARAM_PROPERTIES] =
        {{"properties", false,
          "{\"type\":\"array\",\"items\":{\"type\":\"string\"},"
          "\"minItems\":1,\"maxItems\":64}",
          "Show only these properties of the schema; only in GeoJSON and GeoJSON-seq."},
         http_params_read_properties},
    [HTTP_PARAM_COLLECTIONS] = {{"collections", true,
                                 "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}",
                                 "Only these collections. Repeated or with commas: any of them."},
                                http_params_read_collections},
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
         http_params_read_facets},
    [HTTP_PARAM_ALL] = {{"all", false, "{\"type\":\"boolean\"}",
                         "Everything that matches in one answer, without pages; only with "
                         "f=geojsonseq, f=geojson or f=csv, and without limit."},
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
         http_params_read_by},
    [HTTP_PARAM_PLACE] = {{"place", false, "{\"type\":\"string\",\"maxLength\":200}",
                           "A place name or a postal code."},
                          http_params_read_place},
    [HTTP_PARAM_LANG] = {{"lang", false,
                          "{\"type\":\"string\",\"enum\":[\"sv\",\"en\","
                          "\"fi\",\"fit\",\"se\",\"smj\",\"sma\",\"sje\",\"sju\"]}",
                          "The language of titles, descriptions, pages and errors (sv or en), and "
                          "of texts of listings where one is chosen; absent: as Accept-Language "
                          "has it, else Swedish, and errors in English."},
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
    for (uint64_t left = name.size ? allowed : 0; left; left &= left - 1) {
        enum http_param i = (enum http_param)__builtin_ctzll(left);

        if (table[i].text.name[0] == name.data[0] &&
            span_equal(name, span_of_str(table[i].text.name)))
            return i;
    }
    return HTTP_PARAM_COUNT;
}

static void read_pair(struct http_params_reading *reading, const struct http_pair *pair,
                      uint64_t allowed, bool form, struct problems *problems)
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
    struct http_params_reading reading = {.params = ret_params, .formats = accepted};
    size_t before = problems->count;
    enum torg_err err = TORG_OK;

    memset(ret_params, 0, HTTP_PARAMS_ZEROED);
    ret_params->query.radius_m = INFINITY;
    ret_params->query.limit = HTTP_LIMIT_DEFAULT;
    memcpy(ret_params->language, "sv", sizeof("sv"));
    memcpy(ret_params->text_tag, "sv", sizeof("sv"));
    for (size_t i = 0; i < pairs->count; i++)
        read_pair(&reading, &pairs->pairs[i], allowed, form, problems);
    if (ret_params->given & HTTP_PARAM_BIT(BBOX) && problems->count == before)
        err = http_params_finish_bbox(ret_params, problems);
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
