/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_api.h"
#include "daemon/http_link.h"
#include "daemon/http_reply.h"
#include "daemon/http_texts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/http_api_words.h"
#include "daemon/http_queryables.h"
#include "daemon/http_workers.h"
#include "daemon/json_out.h"

#define ITEMS_PATH "/collections/{collectionId}/items"
#define PROPERTY_BYTES_MAX 300
#define LICENCE_URL "https://joinup.ec.europa.eu/collection/eupl/eupl-text-eupl-12"

/* The document while it is written. */
struct api {
    struct http_exchange *exchange;
    struct buffer *out;
    const struct http_routes *routes;
    enum http_language language;
    /* of one collection, whose path stands by itself; NULL for all */
    const char *collection;
    const struct queryables *queryables;
};

/* The English stands beside what it describes; Swedish by name, else English. */
static const char *say(const struct api *api, const char *name, const char *english)
{
    const struct http_api_words *words = http_api_words(name);

    return api->language == HTTP_SWEDISH && words ? words->sv : english;
}

static const char *method_key(enum http_method method)
{
    switch (method) {
    case HTTP_POST:
        return "post";
    case HTTP_PUT:
        return "put";
    case HTTP_PATCH:
        return "patch";
    case HTTP_DELETE:
        return "delete";
    default:
        return "get";
    }
}

static bool in_document(const struct http_route *route)
{
    return route->name && route->place == HTTP_UNDER_BASE;
}

/* ---- operations ---- */

static void put_example(struct buffer *out, const char *name)
{
    const struct http_api_words *words = http_api_words(name);

    if (words && words->example)
        json_out_raw(out, "example", span_of_str(words->example));
}

static void put_path_parameters(const struct api *api, const char *path)
{
    for (const char *at = strchr(path, '{'); at; at = strchr(at + 1, '{')) {
        size_t size = strcspn(at + 1, "}");
        char name[32];

        (void)snprintf(name, sizeof(name), "%.*s", (int)size, at + 1);
        json_out_begin(api->out, NULL, '{');
        json_out_text(api->out, "name", name);
        json_out_text(api->out, "in", "path");
        json_out_text(api->out, "description",
                      say(api, name,
                          strcmp(name, "featureId") == 0
                              ? "The listing's id."
                              : "The collection's name; /collections lists "
                                "them."));
        json_out_bool(api->out, "required", true);
        json_out_raw(api->out, "schema", span_of_str("{\"type\":\"string\"}"));
        put_example(api->out, name);
        json_out_end(api->out, '}');
    }
}

static void put_reference(struct buffer *out, const char *name, const char *kind, const char *of)
{
    char reference[80];

    (void)snprintf(reference, sizeof(reference), "#/components/%s/%s", kind, of);
    json_out_begin(out, name, '{');
    json_out_text(out, "$ref", reference);
    json_out_end(out, '}');
}

/* What f may say depends on the route, and so does what must be there. */
static bool is_own_parameter(const struct http_route *route, enum http_param param)
{
    return param == HTTP_PARAM_F || (route->required >> param & 1);
}

static void put_formats(struct buffer *out, unsigned formats)
{
    json_out_begin(out, "schema", '{');
    json_out_text(out, "type", "string");
    json_out_begin(out, "enum", '[');
    json_out_text(out, NULL, "json");
    for (unsigned format = HTTP_FORMAT_JSON; format <= HTTP_FORMAT_LAST; format <<= 1) {
        const char *name = http_params_format_name((enum http_format)format);

        if ((formats & format) && strcmp(name, "json") != 0)
            json_out_text(out, NULL, name);
    }
    buffer_put_str(out, "]}");
}

/*
 * May each value of an array stand by itself? datetime may stand twice, too, but Part 1
 * of OGC API - Features (7.15.4) wants it declared as one string, not exploded.
 */
static bool explodes(const struct http_param_text *text)
{
    return text->repeatable && strstr(text->schema, "\"array\"") != NULL;
}

/* route: of a parameter that is described where it stands; NULL in components. */
static void put_parameter(const struct api *api, enum http_param param,
                          const struct http_route *route)
{
    const struct http_param_text *text = http_params_text(param);
    struct buffer *out = api->out;

    json_out_begin(out, route ? NULL : text->name, '{');
    json_out_text(out, "name", text->name);
    json_out_text(out, "in", "query");
    json_out_text(out, "description", say(api, text->name, text->description));
    json_out_bool(out, "required", route && (route->required >> param & 1));
    json_out_text(out, "style", "form");
    json_out_bool(out, "explode", explodes(text));
    if (param == HTTP_PARAM_F && route)
        put_formats(out, route->formats);
    else
        json_out_raw(out, "schema", span_of_str(text->schema));
    put_example(out, text->name);
    json_out_end(out, '}');
}

static bool is_parameter(const struct http_route *route, struct span name)
{
    for (enum http_param i = 0; i < HTTP_PARAM_COUNT; i++) {
        if ((route->params >> i & 1) && span_equal(name, span_of_str(http_params_text(i)->name)))
            return true;
    }
    return false;
}

/* The collection's properties by their names: GDAL sends those that it finds here. */
static void put_properties(const struct api *api, const struct http_route *route)
{
    struct buffer *out = api->out;

    for (size_t i = 0; i < api->queryables->count; i++) {
        const struct cql2_property *item = &api->queryables->items[i];
        char name[PROPERTY_BYTES_MAX], text[2 * PROPERTY_BYTES_MAX];

        if (item->type == CQL2_GEOMETRY || item->type == CQL2_ARRAY ||
            is_parameter(route, item->name))
            continue;
        (void)snprintf(name, sizeof(name), "%.*s", (int)item->name.size,
                       (const char *)item->name.data);
        (void)snprintf(text, sizeof(text),
                       api->language == HTTP_SWEDISH ? "Egenskapen är lika med värdet: %s."
                                                     : "The property equals the value: %s.",
                       http_queryables_title(name, api->language));
        json_out_begin(out, NULL, '{');
        json_out_text(out, "name", name);
        json_out_text(out, "in", "query");
        json_out_text(out, "description", text);
        json_out_bool(out, "required", false);
        json_out_begin(out, "schema", '{');
        http_queryables_put_type(out, item, api->queryables->listing[i]);
        buffer_put_str(out, "}}");
    }
}

/* Fields of the request that mean something to a route, besides those of HTTP itself. */
static const struct field {
    const char *name, *text;
    unsigned methods;  /* of routes that write; 0: of those that show listings */
    unsigned required; /* methods that are refused without (428) */
} fields[] = {
    {"If-Match", "The ETag of the version that is meant, or *.",
     HTTP_PUT | HTTP_PATCH | HTTP_DELETE, HTTP_PUT | HTTP_PATCH},
    {"Content-Crs",
     "The coordinate system of the body's geometries, in angle brackets; CRS84 without.",
     HTTP_POST | HTTP_PUT | HTTP_PATCH, 0},
    {"Idempotency-Key",
     "A name of the client's own for this request: sent again, it is carried out once.", HTTP_POST,
     0},
    {"If-None-Match", "ETags of answers that the client has: 304 if one of them still holds.", 0,
     0},
};

/* Listings, and documents that seldom change. */
static bool has_tag(const struct http_route *route)
{
    return route->method == HTTP_GET && (route->steady || (route->params >> HTTP_PARAM_CRS & 1));
}

static bool field_applies(const struct field *field, const struct http_route *route)
{
    if (field->methods == 0)
        return has_tag(route);
    return route->access == HTTP_ACCESS_EDITOR && (field->methods & route->method);
}

static void put_fields(const struct api *api, const struct http_route *route)
{
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        const struct field *field = &fields[i];

        if (!field_applies(field, route))
            continue;
        json_out_begin(api->out, NULL, '{');
        json_out_text(api->out, "name", field->name);
        json_out_text(api->out, "in", "header");
        json_out_text(api->out, "description", say(api, field->name, field->text));
        json_out_bool(api->out, "required", field->required & route->method);
        json_out_raw(api->out, "schema", span_of_str("{\"type\":\"string\"}"));
        put_example(api->out, field->name);
        json_out_end(api->out, '}');
    }
}

static void put_parameters(const struct api *api, const struct http_route *route)
{
    json_out_begin(api->out, "parameters", '[');
    if (!api->collection)
        put_path_parameters(api, route->path);
    for (enum http_param i = 0; i < HTTP_PARAM_COUNT; i++) {
        if (!(route->params >> i & 1))
            continue;
        if (is_own_parameter(route, i))
            put_parameter(api, i, route);
        else
            put_reference(api->out, NULL, "parameters", http_params_text(i)->name);
    }
    if (api->collection && (route->params >> HTTP_PARAM_FILTER & 1))
        put_properties(api, route);
    put_fields(api, route);
    json_out_end(api->out, ']');
}

static const char *schema_of(const struct http_route *route, unsigned format)
{
    if (format & (HTTP_FORMAT_JSON | HTTP_FORMAT_OPENAPI | HTTP_FORMAT_SCHEMA | HTTP_FORMAT_JSONLD))
        return "{\"type\":\"object\"}";
    if (format != HTTP_FORMAT_GEOJSON)
        return "{\"type\":\"string\"}";
    return strstr(route->path, "{featureId}") || route->method == HTTP_POST
               ? "{\"$ref\":\"#/components/schemas/feature\"}"
               : "{\"$ref\":\"#/components/schemas/featureCollection\"}";
}

static void put_content(struct buffer *out, const char *type, const char *schema)
{
    json_out_begin(out, type, '{');
    json_out_raw(out, "schema", span_of_str(schema));
    json_out_end(out, '}');
}

static void put_body(struct buffer *out, const struct http_route *route)
{
    json_out_begin(out, "requestBody", '{');
    json_out_bool(out, "required", true);
    json_out_begin(out, "content", '{');
    for (size_t i = 0; route->bodies[i]; i++) {
        json_out_begin(out, route->bodies[i], '{');
        json_out_raw(out, "schema",
                     span_of_str(route->method == HTTP_PATCH
                                     ? "{\"type\":\"object\"}"
                                     : "{\"$ref\":\"#/components/schemas/feature\"}"));
        put_example(out, route->name);
        json_out_end(out, '}');
    }
    buffer_put_str(out, "}}");
}

/* Can a request to this route end so? The router and the handlers see to it that none other does.
 */
static bool route_may_answer(const struct http_route *route, int status)
{
    bool writes = route->access == HTTP_ACCESS_EDITOR;
    bool has_id = strstr(route->path, "{featureId}") != NULL;

    switch (status) {
    case 404:
        return strchr(route->path, '{') != NULL;
    case 406:
        return route->formats != 0;
    case 401:
    case 403:
        return writes || (route->params >> HTTP_PARAM_EXPLAIN & 1);
    case 410:
        return route->method == HTTP_POST;
    case 412:
        return has_id;
    case 428:
        return has_id && (route->method & (HTTP_PUT | HTTP_PATCH));
    case 413:
    case 415:
    case 422:
        return route->bodies != NULL;
    default:
        return true;
    }
}

/* One listing: what was asked for, or what has just been written. */
static bool answers_one(const struct http_route *route)
{
    return (route->formats & HTTP_FORMAT_GEOJSON) &&
           (route->method == HTTP_POST || strstr(route->path, "{featureId}"));
}

static bool answers_listings(const struct http_route *route)
{
    return (route->params >> HTTP_PARAM_CRS & 1) || answers_one(route);
}

static bool answers_with_tag(const struct http_route *route)
{
    return has_tag(route) || answers_one(route);
}

static bool answers_new(const struct http_route *route)
{
    return route->method == HTTP_POST && answers_one(route);
}

/* Fields of a successful answer in the format that is sent without a wish. */
static const struct answer_field {
    const char *name;
    const char *words; /* a request may have a field of that name, too */
    const char *text;
    bool (*sent)(const struct http_route *route);
} answer_fields[] = {
    {"Content-Crs", "Content-Crs of an answer",
     "The coordinate system of the answer's geometries, in angle brackets.", answers_listings},
    {"ETag", "ETag", "Names this version; for If-None-Match, and a listing's for If-Match.",
     answers_with_tag},
    {"Last-Modified", "Last-Modified", "When the listing was last changed.", answers_one},
    {"Location", "Location", "The URL of the new listing.", answers_new},
};

static bool is_sent(const struct http_routes *routes, const struct answer_field *field)
{
    for (size_t i = 0; i < routes->count; i++) {
        if (in_document(&routes->items[i]) && field->sent(&routes->items[i]))
            return true;
    }
    return false;
}

static void put_answer_fields(struct buffer *out, const struct http_route *route)
{
    json_out_begin(out, "headers", '{');
    for (size_t i = 0; i < ARRAY_SIZE(answer_fields); i++) {
        const char *name = answer_fields[i].name;

        if (answer_fields[i].sent(route))
            put_reference(out, name, "headers", name);
    }
    json_out_end(out, '}');
}

static void put_responses(const struct api *api, const struct http_route *route)
{
    struct buffer *out = api->out;
    char number[16], name[24];

    json_out_begin(out, "responses", '{');
    json_out_begin(out, route->method == HTTP_POST ? "201" : route->formats ? "200" : "204", '{');
    json_out_text(out, "description", say(api, route->name, route->summary));
    put_answer_fields(out, route);
    if (route->formats) {
        json_out_begin(out, "content", '{');
        for (unsigned format = 1; format <= HTTP_FORMAT_LAST; format <<= 1) {
            if (route->formats & format)
                put_content(out, http_params_format_type((enum http_format)format),
                            schema_of(route, format));
        }
        json_out_end(out, '}');
    }
    json_out_end(out, '}');
    if (has_tag(route)) {
        json_out_begin(out, "304", '{');
        json_out_text(out, "description", say(api, "304", "What If-None-Match names still holds."));
        json_out_end(out, '}');
    }
    for (const struct http_api_status *status = http_api_statuses(); status->status; status++) {
        if (!route_may_answer(route, status->status))
            continue;
        (void)snprintf(number, sizeof(number), "%d", status->status);
        (void)snprintf(name, sizeof(name), "problem%d", status->status);
        put_reference(out, number, "responses", name);
    }
    put_reference(out, "default", "responses", "problem");
    json_out_end(out, '}');
}

static void put_operation(const struct api *api, const struct http_route *route)
{
    struct buffer *out = api->out;
    const char *summary = say(api, route->name, route->summary);
    char name[64];

    (void)snprintf(name, sizeof(name), "%s%s%s", route->name, api->collection ? "-" : "",
                   api->collection ? api->collection : "");
    json_out_begin(out, method_key(route->method), '{');
    json_out_text(out, "operationId", name);
    json_out_text(out, "summary", summary);
    json_out_text(out, "description", summary);
    json_out_raw(out, "tags", span_of_str(route->access ? "[\"write\"]" : "[\"read\"]"));
    put_parameters(api, route);
    if (route->bodies)
        put_body(out, route);
    if (route->access == HTTP_ACCESS_EDITOR)
        json_out_raw(out, "security", span_of_str("[{\"bearer\":[]}]"));
    put_responses(api, route);
    json_out_end(out, '}');
}

/* All operations of a path; of one collection, if the api says so. */
static void put_path(const struct api *api, const char *path, const char *shown)
{
    const struct http_routes *routes = api->routes;

    json_out_begin(api->out, shown, '{');
    for (size_t i = 0; i < routes->count; i++) {
        if (in_document(&routes->items[i]) && strcmp(routes->items[i].path, path) == 0)
            put_operation(api, &routes->items[i]);
    }
    json_out_end(api->out, '}');
}

/* Each collection has properties of its own, which may be asked for by their names. */
static enum torg_err put_collections(const struct api *api)
{
    struct queryables *queryables = calloc(1, sizeof(*queryables));

    if (!queryables)
        return TORG_E_NOMEM;
    for (uint8_t i = 1; i < COLLECTIONS_MAX; i++) {
        struct api one = *api;
        char path[64];

        if (!(COLLECTION_MASK_PUBLIC >> i & 1))
            continue;
        one.collection = collection_name(i);
        one.queryables = queryables;
        queryables_of_listings(1u << i, queryables);
        (void)snprintf(path, sizeof(path), "/collections/%s/items", one.collection);
        put_path(&one, ITEMS_PATH, path);
    }
    free(queryables);
    return TORG_OK;
}

static enum torg_err put_paths(const struct api *api)
{
    const struct http_routes *routes = api->routes;
    enum torg_err err;

    json_out_begin(api->out, "paths", '{');
    for (size_t i = 0; i < routes->count; i++) {
        const struct http_route *route = &routes->items[i];
        bool first = in_document(route);

        for (size_t j = 0; j < i && first; j++)
            first =
                !in_document(&routes->items[j]) || strcmp(routes->items[j].path, route->path) != 0;
        if (!first)
            continue;
        put_path(api, route->path, route->path[0] ? route->path : "/");
    }
    err = put_collections(api);
    json_out_end(api->out, '}');
    return err;
}

/* ---- what operations refer to ---- */

/* Parameters that a route refers to; the operators' listener has others. */
static bool is_referred_to(const struct http_routes *routes, enum http_param param)
{
    for (size_t i = 0; i < routes->count; i++) {
        const struct http_route *route = &routes->items[i];

        if (in_document(route) && (route->params >> param & 1) && !is_own_parameter(route, param))
            return true;
    }
    return false;
}

static void put_problem_response(const struct api *api, const char *name, const char *description,
                                 int status, const char *kind)
{
    struct buffer *out = api->out;
    char type[64] = "about:blank";
    struct buffer title = {0};

    if (kind)
        (void)snprintf(type, sizeof(type), "urn:torg:problem:%s", kind);
    (void)http_texts_put(&title, api->language, span_of_str(http_reply_status_text(status)));
    json_out_begin(out, name, '{');
    json_out_text(out, "description", description);
    json_out_begin(out, "content", '{');
    json_out_begin(out, "application/problem+json", '{');
    put_reference(out, "schema", "schemas", "problem");
    if (status) {
        json_out_begin(out, "example", '{');
        json_out_text(out, "type", type);
        json_out_span(out, "title", buffer_span(&title));
        json_out_int(out, "status", status);
        json_out_text(out, "detail", description);
        json_out_end(out, '}');
    }
    buffer_put_str(out, "}}}");
    if (title.err)
        out->err = title.err;
    buffer_done(&title);
}

static void put_responses_of_all(const struct api *api)
{
    char name[24];

    json_out_begin(api->out, "responses", '{');
    for (const struct http_api_status *status = http_api_statuses(); status->status; status++) {
        (void)snprintf(name, sizeof(name), "problem%d", status->status);
        put_problem_response(api, name, status->text[api->language], status->status, status->kind);
    }
    put_problem_response(api, "problem",
                         api->language == HTTP_SWEDISH ? "Vad som gick fel (RFC 9457)."
                                                       : "What went wrong (RFC 9457).",
                         0, NULL);
    json_out_end(api->out, '}');
}

static const char schemas[] =
    "{\"problem\":{\"type\":\"object\",\"required\":[\"type\",\"title\",\"status\",\"detail\"],"
    "\"properties\":{\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},"
    "\"status\":{\"type\":\"integer\"},\"detail\":{\"type\":\"string\"},"
    "\"instance\":{\"type\":\"string\"},\"errors\":{\"type\":\"array\",\"items\":{"
    "\"type\":\"object\",\"properties\":{\"path\":{\"type\":\"string\"},"
    "\"detail\":{\"type\":\"string\"}}}},\"errorCount\":{\"type\":\"integer\"}}},"
    "\"link\":{\"type\":\"object\",\"required\":[\"rel\",\"href\"],\"properties\":{"
    "\"rel\":{\"type\":\"string\"},\"href\":{\"type\":\"string\",\"format\":\"uri-reference\"},"
    "\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"}}},"
    "\"feature\":{\"type\":\"object\",\"required\":[\"type\",\"geometry\",\"properties\"],"
    "\"properties\":{\"type\":{\"type\":\"string\",\"enum\":[\"Feature\"]},"
    "\"id\":{\"type\":\"string\"},\"geometry\":{\"type\":\"object\",\"nullable\":true},"
    "\"properties\":{\"type\":\"object\"},\"links\":{\"type\":\"array\",\"items\":{"
    "\"$ref\":\"#/components/schemas/link\"}}}},"
    "\"featureCollection\":{\"type\":\"object\",\"required\":[\"type\",\"features\","
    "\"numberMatched\",\"numberReturned\",\"timeStamp\",\"links\"],\"properties\":{"
    "\"type\":{\"type\":\"string\",\"enum\":[\"FeatureCollection\"]},"
    "\"features\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/feature\"}},"
    "\"numberMatched\":{\"type\":\"integer\",\"minimum\":0},"
    "\"numberReturned\":{\"type\":\"integer\",\"minimum\":0},"
    "\"timeStamp\":{\"type\":\"string\",\"format\":\"date-time\"},"
    "\"links\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/link\"}}}}}";

static void put_headers_of_all(const struct api *api)
{
    struct buffer *out = api->out;

    json_out_begin(out, "headers", '{');
    for (size_t i = 0; i < ARRAY_SIZE(answer_fields); i++) {
        const struct answer_field *field = &answer_fields[i];

        if (!is_sent(api->routes, field))
            continue;
        json_out_begin(out, field->name, '{');
        json_out_text(out, "description", say(api, field->words, field->text));
        json_out_raw(out, "schema", span_of_str("{\"type\":\"string\"}"));
        put_example(out, field->words);
        json_out_end(out, '}');
    }
    json_out_end(out, '}');
}

static void put_components(const struct api *api)
{
    struct buffer *out = api->out;

    json_out_begin(out, "components", '{');
    json_out_begin(out, "parameters", '{');
    for (enum http_param i = 0; i < HTTP_PARAM_COUNT; i++) {
        if (is_referred_to(api->routes, i))
            put_parameter(api, i, NULL);
    }
    json_out_end(out, '}');
    put_headers_of_all(api);
    put_responses_of_all(api);
    json_out_raw(out, "schemas", span_of_str(schemas));
    json_out_raw(out, "securitySchemes",
                 span_of_str("{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\"}}"));
    json_out_end(out, '}');
}

static void put_info(const struct api *api, const struct buffer *root)
{
    struct buffer *out = api->out;
    bool swedish = api->language == HTTP_SWEDISH;

    json_out_begin(out, "info", '{');
    json_out_text(out, "title", "torg");
    json_out_text(out, "version", TORG_VERSION);
    json_out_text(out, "description",
                  swedish ? "Det som finns nära: uppgifter från förbundna kommuner, var och en "
                            "från sin egen källa. Att läsa kräver ingen nyckel."
                          : "What is near: listings of municipalities that are federated, each "
                            "from its own origin. Reading needs no key.");
    json_out_begin(out, "contact", '{');
    json_out_text(out, "name", api->exchange->node->config->name);
    json_out_span(out, "url", buffer_span(root));
    json_out_end(out, '}');
    json_out_begin(out, "license", '{');
    json_out_text(out, "name", "EUPL-1.2");
    json_out_text(out, "url", LICENCE_URL);
    buffer_put_str(out, "}}");
    json_out_begin(out, "tags", '[');
    json_out_begin(out, NULL, '{');
    json_out_text(out, "name", "read");
    json_out_text(out, "description", swedish ? "Öppet för alla." : "Open to everybody.");
    json_out_end(out, '}');
    json_out_begin(out, NULL, '{');
    json_out_text(out, "name", "write");
    json_out_text(out, "description",
                  swedish ? "Uppgifter från nodens egen utgivare, med en nyckel."
                          : "Listings of this node's own origin, with a bearer token.");
    buffer_put_str(out, "}]");
}

enum torg_err http_api(struct http_exchange *exchange)
{
    struct api api = {.exchange = exchange,
                      .out = &exchange->reply.body,
                      .routes = &exchange->worker->options->routes,
                      .language = http_words_language(exchange->params.language)};
    struct buffer root = {0}, base = {0};
    enum torg_err err;

    http_reply_begin(exchange, 200, http_params_format_type(HTTP_FORMAT_OPENAPI));
    http_reply_in_language(exchange);
    json_out_begin(api.out, NULL, '{');
    http_link_put_root(exchange, &root);
    http_link_put_base(exchange, &base);
    json_out_text(api.out, "openapi", "3.0.3");
    put_info(&api, &root);
    json_out_begin(api.out, "servers", '[');
    json_out_begin(api.out, NULL, '{');
    json_out_span(api.out, "url", buffer_span(&base));
    buffer_put_str(api.out, "}]");
    err = put_paths(&api);
    put_components(&api);
    buffer_put_str(api.out, "}\n");
    if (!err)
        err = root.err ? root.err : base.err ? base.err : api.out->err;
    buffer_done(&root);
    buffer_done(&base);
    return err;
}
