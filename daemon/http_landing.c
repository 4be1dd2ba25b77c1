/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_landing.h"
#include "daemon/http_crs.h"
#include "daemon/http_link.h"
#include "daemon/http_reply.h"

#include <stdio.h>
#include <string.h>

#include "daemon/http_words.h"
#include "daemon/http_workers.h"
#include "daemon/json_out.h"
#include "index/store.h"

#define JSON_TYPE "application/json"
#define GREGORIAN "http://www.opengis.net/def/uom/ISO-8601/0/Gregorian"
/* Clients cut their requests to it and transform its corners: better too large. */
#define EXTENT_PADDING 0.2
#define E7 10000000
/* When this version of the API came out (REST API profile, VER.06). */
#define HTTP_API_RELEASED "2026-11-21"

static struct buffer *begin_json(struct http_exchange *exchange)
{
    http_reply_begin(exchange, 200, http_params_format_type(exchange->params.format));
    json_out_begin(&exchange->reply.body, NULL, '{');
    return &exchange->reply.body;
}

static enum torg_err end_json(struct http_exchange *exchange)
{
    buffer_put_str(&exchange->reply.body, "}\n");
    return exchange->reply.body.err;
}

enum torg_err http_landing(struct http_exchange *exchange)
{
    struct buffer *out = begin_json(exchange);
    const char *api = http_params_format_type(HTTP_FORMAT_OPENAPI);

    json_out_text(out, "title", exchange->node->config->name);
    json_out_text(out, "description",
                  "Listings of this municipality and of all that it is federated with: companies, "
                  "offers, events, jobs, courses, competence needs, service points and places.");
    json_out_begin(out, "links", '[');
    http_link_self(exchange, out, JSON_TYPE);
    http_link_put(exchange, out, "service-desc", api, "This API as OpenAPI 3.0", "/api");
    http_link_put(exchange, out, "service-meta", JSON_TYPE, "Version and state", "/api-info");
    http_link_put(exchange, out, "conformance", JSON_TYPE, "Standards that hold here",
                  "/conformance");
    http_link_put(exchange, out, "data", JSON_TYPE, "The collections", "/collections");
    http_link_put(exchange, out, "search", http_params_format_type(HTTP_FORMAT_GEOJSON),
                  "All collections at once", "/search");
    http_link_put(exchange, out, "describedby", JSON_TYPE, "Themes with counts", "/themes");
    http_link_put(exchange, out, "related", JSON_TYPE, "Whose listings are here, and how old",
                  "/federation");
    http_link_put(exchange, out, "related", JSON_TYPE, "Competence needs, counted",
                  "/aggregates/competence-needs");
    json_out_end(out, ']');
    return end_json(exchange);
}

enum torg_err http_conformance(struct http_exchange *exchange)
{
    static const char *const classes[] = {
        "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
        "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30",
        "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
        "http://www.opengis.net/spec/ogcapi-features-2/1.0/conf/crs",
    };
    struct buffer *out = begin_json(exchange);

    json_out_begin(out, "conformsTo", '[');
    for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
        json_out_text(out, NULL, classes[i]);
    json_out_end(out, ']');
    return end_json(exchange);
}

enum torg_err http_api_info(struct http_exchange *exchange)
{
    struct buffer *out = begin_json(exchange);
    struct buffer documentation = {0};

    http_link_put_base(exchange, &documentation);
    buffer_put_str(&documentation, "/api");
    json_out_text(out, "apiName", "torg");
    json_out_text(out, "apiVersion", TORG_VERSION);
    json_out_text(out, "apiReleased", HTTP_API_RELEASED);
    json_out_span(out, "apiDocumentation", buffer_span(&documentation));
    json_out_text(out, "apiStatus", "active");
    buffer_done(&documentation);
    return end_json(exchange);
}

/* ---- collections ---- */

static int64_t clamp_e7(double value, int64_t limit_deg)
{
    int64_t limit = limit_deg * E7;

    return value < (double)-limit ? -limit : value > (double)limit ? limit : (int64_t)value;
}

static void put_extent(struct buffer *out, const struct query_extent *extent)
{
    double width = (double)extent->max.lon_e7 - extent->min.lon_e7;
    double height = (double)extent->max.lat_e7 - extent->min.lat_e7;
    double by_lon = width * EXTENT_PADDING;
    double by_lat = height * EXTENT_PADDING;

    json_out_begin(out, "extent", '{');
    json_out_begin(out, "spatial", '{');
    json_out_begin(out, "bbox", '[');
    json_out_begin(out, NULL, '[');
    json_out_fixed(out, NULL, clamp_e7(extent->min.lon_e7 - by_lon, 180), 7);
    json_out_fixed(out, NULL, clamp_e7(extent->min.lat_e7 - by_lat, 90), 7);
    json_out_fixed(out, NULL, clamp_e7(extent->max.lon_e7 + by_lon, 180), 7);
    json_out_fixed(out, NULL, clamp_e7(extent->max.lat_e7 + by_lat, 90), 7);
    buffer_put_str(out, "]]");
    json_out_text(out, "crs", http_crs_at(0));
    json_out_end(out, '}');
    json_out_begin(out, "temporal", '{');
    json_out_begin(out, "interval", '[');
    json_out_begin(out, NULL, '[');
    if (extent->time_from_ms == INT64_MIN)
        json_out_null(out, NULL);
    else
        json_out_time(out, NULL, extent->time_from_ms);
    if (extent->time_through_ms == INT64_MAX)
        json_out_null(out, NULL);
    else
        json_out_time(out, NULL, extent->time_through_ms);
    buffer_put_str(out, "]]");
    json_out_text(out, "trs", GREGORIAN);
    buffer_put_str(out, "}}");
}

static void put_collection_links(struct http_exchange *exchange, struct buffer *out,
                                 const char *name, const char *self)
{
    json_out_begin(out, "links", '[');
    http_link_put(exchange, out, self, JSON_TYPE, NULL, "/collections/%s", name);
    http_link_put(exchange, out, "items", http_params_format_type(HTTP_FORMAT_GEOJSON), NULL,
                  "/collections/%s/items", name);
    http_link_put(exchange, out, "items", http_params_format_type(HTTP_FORMAT_CSV), NULL,
                  "/collections/%s/items?f=csv", name);
    json_out_end(out, ']');
}

/* The members of one collection's object. */
static enum torg_err put_collection(struct http_exchange *exchange, const struct kv *kv,
                                    uint8_t collection, struct buffer *out)
{
    const struct http_words_collection *words = http_words_collection(collection);
    const char *name = collection_name(collection);
    struct query_extent extent;
    uint64_t count;
    enum torg_err err;

    json_out_text(out, "id", name);
    json_out_text(out, "title", words->title[http_words_language(exchange->params.language)]);
    json_out_text(out, "description", words->description);
    json_out_text(out, "itemType", "feature");
    json_out_begin(out, "crs", '[');
    for (size_t i = 0; http_crs_at(i); i++)
        json_out_text(out, NULL, http_crs_at(i));
    json_out_end(out, ']');
    json_out_text(out, "storageCrs", http_crs_at(0));
    err = catalogue_count(kv, collection, 0, &count);
    if (err)
        return err;
    json_out_int(out, "numberOfItems", (int64_t)count);
    err = query_extent(kv, collection, &extent);
    if (!err)
        put_extent(out, &extent);
    else if (err != TORG_E_NOT_FOUND)
        return err;
    put_collection_links(exchange, out, name, exchange->captures[0].data ? "self" : "item");
    return TORG_OK;
}

static enum torg_err put_all(struct http_exchange *exchange, const struct kv *kv)
{
    struct buffer *out = begin_json(exchange);
    enum torg_err err = TORG_OK;

    json_out_begin(out, "links", '[');
    http_link_self(exchange, out, JSON_TYPE);
    json_out_end(out, ']');
    json_out_begin(out, "collections", '[');
    for (uint8_t i = 1; i < COLLECTIONS_MAX && !err; i++) {
        if (!(COLLECTION_MASK_PUBLIC >> i & 1))
            continue;
        json_out_begin(out, NULL, '{');
        err = put_collection(exchange, kv, i, out);
        json_out_end(out, '}');
    }
    json_out_end(out, ']');
    return err ? err : end_json(exchange);
}

enum torg_err http_collections(struct http_exchange *exchange)
{
    struct kv kv;
    enum torg_err err = store_read_begin(exchange->node->store, &kv);

    if (err)
        return err;
    err = put_all(exchange, &kv);
    store_read_end(&kv);
    return err;
}

enum torg_err http_collection(struct http_exchange *exchange)
{
    uint8_t collection = collection_of_name(exchange->captures[0]);
    struct kv kv;
    enum torg_err err;

    if (!http_words_collection(collection)) {
        http_reply_problem(exchange, 404, NULL,
                           "There is no such collection; /collections lists them.");
        return TORG_OK;
    }
    err = store_read_begin(exchange->node->store, &kv);
    if (err)
        return err;
    err = put_collection(exchange, &kv, collection, begin_json(exchange));
    store_read_end(&kv);
    return err ? err : end_json(exchange);
}

/* ---- the API document ---- */

static const char *method_key(enum http_method method)
{
    switch (method) {
    case HTTP_POST:
        return "post";
    case HTTP_PUT:
        return "put";
    case HTTP_DELETE:
        return "delete";
    default:
        return "get";
    }
}

static void put_path_parameters(struct buffer *out, const char *path)
{
    for (const char *at = strchr(path, '{'); at; at = strchr(at + 1, '{')) {
        size_t size = strcspn(at + 1, "}");

        json_out_begin(out, NULL, '{');
        json_out_span(out, "name", span_of(at + 1, size));
        json_out_text(out, "in", "path");
        json_out_bool(out, "required", true);
        json_out_raw(out, "schema", span_of_str("{\"type\":\"string\"}"));
        json_out_end(out, '}');
    }
}

static void put_parameters(struct buffer *out, const struct http_route *route)
{
    char reference[64];

    json_out_begin(out, "parameters", '[');
    put_path_parameters(out, route->path);
    for (enum http_param i = 0; i < HTTP_PARAM_COUNT; i++) {
        if (!(route->params >> i & 1))
            continue;
        (void)snprintf(reference, sizeof(reference), "#/components/parameters/%s",
                       http_params_text(i)->name);
        json_out_begin(out, NULL, '{');
        json_out_text(out, "$ref", reference);
        json_out_end(out, '}');
    }
    json_out_end(out, ']');
}

static void put_content(struct buffer *out, const char *type, const char *schema)
{
    json_out_begin(out, type, '{');
    json_out_raw(out, "schema", span_of_str(schema));
    json_out_end(out, '}');
}

static void put_responses(struct buffer *out, const struct http_route *route)
{
    json_out_begin(out, "responses", '{');
    json_out_begin(out, route->method == HTTP_POST ? "201" : route->formats ? "200" : "204", '{');
    json_out_text(out, "description", route->summary);
    if (route->formats) {
        json_out_begin(out, "content", '{');
        for (unsigned format = 1; format <= HTTP_FORMAT_LAST; format <<= 1) {
            if (route->formats & format)
                put_content(out, http_params_format_type((enum http_format)format),
                            format & (HTTP_FORMAT_CSV | HTTP_FORMAT_GEOJSONSEQ)
                                ? "{\"type\":\"string\"}"
                                : "{\"type\":\"object\"}");
        }
        json_out_end(out, '}');
    }
    json_out_end(out, '}');
    json_out_raw(out, "default", span_of_str("{\"$ref\":\"#/components/responses/problem\"}"));
    json_out_end(out, '}');
}

static void put_operation(struct buffer *out, const struct http_route *route)
{
    json_out_begin(out, method_key(route->method), '{');
    json_out_text(out, "operationId", route->name);
    json_out_text(out, "summary", route->summary);
    json_out_raw(out, "tags", span_of_str(route->access ? "[\"write\"]" : "[\"read\"]"));
    put_parameters(out, route);
    if (route->bodies) {
        json_out_begin(out, "requestBody", '{');
        json_out_bool(out, "required", true);
        json_out_begin(out, "content", '{');
        for (size_t i = 0; route->bodies[i]; i++)
            put_content(out, route->bodies[i], "{\"type\":\"object\"}");
        buffer_put_str(out, "}}");
    }
    if (route->access == HTTP_ACCESS_EDITOR)
        json_out_raw(out, "security", span_of_str("[{\"bearer\":[]}]"));
    put_responses(out, route);
    json_out_end(out, '}');
}

static bool in_document(const struct http_route *route)
{
    return route->name && route->place == HTTP_UNDER_BASE;
}

static void put_paths(struct buffer *out, const struct http_routes *routes)
{
    json_out_begin(out, "paths", '{');
    for (size_t i = 0; i < routes->count; i++) {
        const struct http_route *route = &routes->items[i];
        bool first = in_document(route);

        for (size_t j = 0; j < i && first; j++)
            first =
                !in_document(&routes->items[j]) || strcmp(routes->items[j].path, route->path) != 0;
        if (!first)
            continue;
        json_out_begin(out, route->path[0] ? route->path : "/", '{');
        for (size_t j = i; j < routes->count; j++) {
            if (in_document(&routes->items[j]) && strcmp(routes->items[j].path, route->path) == 0)
                put_operation(out, &routes->items[j]);
        }
        json_out_end(out, '}');
    }
    json_out_end(out, '}');
}

/* Of the routes in the document; the operators' listener has others. */
static uint32_t params_in_document(const struct http_routes *routes)
{
    uint32_t params = 0;

    for (size_t i = 0; i < routes->count; i++) {
        if (in_document(&routes->items[i]))
            params |= routes->items[i].params;
    }
    return params;
}

static void put_components(struct buffer *out, const struct http_routes *routes)
{
    uint32_t params = params_in_document(routes);

    json_out_begin(out, "components", '{');
    json_out_begin(out, "parameters", '{');
    for (enum http_param i = 0; i < HTTP_PARAM_COUNT; i++) {
        const struct http_param_text *text = http_params_text(i);

        if (!(params >> i & 1))
            continue;
        json_out_begin(out, text->name, '{');
        json_out_text(out, "name", text->name);
        json_out_text(out, "in", "query");
        json_out_text(out, "description", text->description);
        json_out_bool(out, "required", false);
        json_out_text(out, "style", "form");
        json_out_bool(out, "explode", text->repeatable);
        json_out_raw(out, "schema", span_of_str(text->schema));
        json_out_end(out, '}');
    }
    json_out_end(out, '}');
    json_out_raw(out, "responses",
                 span_of_str("{\"problem\":{\"description\":\"What went wrong (RFC 9457).\","
                             "\"content\":{\"application/problem+json\":{\"schema\":{\"type\":"
                             "\"object\",\"required\":[\"type\",\"title\",\"status\",\"detail\"],"
                             "\"properties\":{\"type\":{\"type\":\"string\"},\"title\":{\"type\":"
                             "\"string\"},\"status\":{\"type\":\"integer\"},\"detail\":{\"type\":"
                             "\"string\"},\"instance\":{\"type\":\"string\"},\"errors\":{\"type\":"
                             "\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"path\":"
                             "{\"type\":\"string\"},\"detail\":{\"type\":\"string\"}}}}}}}}}}"));
    json_out_raw(out, "securitySchemes",
                 span_of_str("{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\"}}"));
    json_out_end(out, '}');
}

enum torg_err http_api(struct http_exchange *exchange)
{
    struct buffer *out = begin_json(exchange);
    struct buffer base = {0};

    http_link_put_base(exchange, &base);
    json_out_text(out, "openapi", "3.0.3");
    json_out_begin(out, "info", '{');
    json_out_text(out, "title", "torg");
    json_out_text(out, "version", TORG_VERSION);
    json_out_text(out, "description",
                  "What is near: listings of municipalities that are federated, each from its own "
                  "origin. Reading needs no key.");
    json_out_raw(out, "license",
                 span_of_str("{\"name\":\"EUPL-1.2\",\"url\":"
                             "\"https://joinup.ec.europa.eu/collection/eupl/eupl-text-eupl-12\"}"));
    json_out_end(out, '}');
    json_out_begin(out, "servers", '[');
    json_out_begin(out, NULL, '{');
    json_out_span(out, "url", buffer_span(&base));
    buffer_put_str(out, "}]");
    json_out_raw(out, "tags",
                 span_of_str("[{\"name\":\"read\",\"description\":\"Open to everybody.\"},"
                             "{\"name\":\"write\",\"description\":\"Listings of this node's own "
                             "origin, with a bearer token.\"}]"));
    put_paths(out, &exchange->worker->options->routes);
    put_components(out, &exchange->worker->options->routes);
    buffer_done(&base);
    return end_json(exchange);
}
