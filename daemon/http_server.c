/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_server.h"

#include <stdlib.h>

#include "daemon/http_aggregates.h"
#include "daemon/http_api.h"
#include "daemon/http_collections.h"
#include "daemon/http_conformance.h"
#include "daemon/http_dcat.h"
#include "daemon/http_federation.h"
#include "daemon/http_items.h"
#include "daemon/http_landing.h"
#include "daemon/http_page.h"
#include "daemon/http_queryables.h"
#include "daemon/http_rate.h"
#include "daemon/http_suggest.h"
#include "daemon/http_themes.h"
#include "daemon/http_tls.h"
#include "daemon/http_workers.h"
#include "daemon/http_write.h"

struct http {
    struct http_workers *workers;
    struct http_tls *tls; /* NULL without */
    struct http_rate *per_address, *per_token;
    struct http_page *page;
};

static const char *const patch_bodies[] = {"application/merge-patch+json", NULL};
static const char *const listing_bodies[] = {"application/geo+json", "application/json", NULL};

#define SCHEMA .formats = HTTP_FORMAT_SCHEMA | HTTP_FORMAT_HTML, .format = HTTP_FORMAT_SCHEMA
#define JSON .formats = HTTP_FORMAT_JSON | HTTP_FORMAT_HTML, .format = HTTP_FORMAT_JSON
#define FEATURES(others) .formats = HTTP_FORMAT_GEOJSON | (others), .format = HTTP_FORMAT_GEOJSON
#define PAGE .place = HTTP_AT_ROOT, .formats = HTTP_FORMAT_HTML, .format = HTTP_FORMAT_HTML
#define F (HTTP_PARAM_BIT(F) | LANG)
#define LANG HTTP_PARAM_BIT(LANG)
#define COLLECTIONS HTTP_PARAM_BIT(COLLECTIONS)

/*
 * Everything that is served, and all that is said about it: the router checks
 * requests against this table and /api is written from it.
 */
static const struct http_route routes[] = {
    {.method = HTTP_GET,
     .steady = true,
     .path = "",
     .handler = http_landing,
     JSON,
     .params = F,
     .name = "getLandingPage",
     .summary = "Where everything is"},
    {.method = HTTP_GET,
     .steady = true,
     .path = "/conformance",
     .handler = http_conformance,
     JSON,
     .params = F,
     .name = "getConformance",
     .summary = "The standards that hold here"},
    {.method = HTTP_GET,
     .steady = true,
     .path = "/api",
     .handler = http_api,
     .formats = HTTP_FORMAT_OPENAPI | HTTP_FORMAT_HTML,
     .format = HTTP_FORMAT_OPENAPI,
     .params = F,
     .name = "getApi",
     .summary = "This API as OpenAPI 3.0"},
    {.method = HTTP_GET,
     .steady = true,
     .path = "/api-info",
     .handler = http_api_info,
     JSON,
     .params = F,
     .name = "getApiInfo",
     .summary = "Name, version and state of the API"},
    {.method = HTTP_GET,
     .path = "/collections",
     .handler = http_collections,
     JSON,
     .params = F,
     .name = "getCollections",
     .summary = "The collections of listings"},
    {.method = HTTP_GET,
     .path = "/collections/{collectionId}",
     .handler = http_collection,
     JSON,
     .params = F,
     .name = "getCollection",
     .summary = "One collection"},
    {.method = HTTP_GET,
     .steady = true,
     .path = "/collections/{collectionId}/queryables",
     .handler = http_queryables,
     SCHEMA,
     .params = F,
     .name = "getQueryables",
     .summary = "What a filter may name, as JSON Schema"},
    {.method = HTTP_GET,
     .steady = true,
     .path = "/collections/{collectionId}/schema",
     .handler = http_schema,
     SCHEMA,
     .params = F,
     .name = "getSchema",
     .summary = "What the features of a collection have, as JSON Schema"},
    {.method = HTTP_GET,
     .path = "/collections/{collectionId}/items",
     .handler = http_items_list,
     FEATURES(HTTP_FORMAT_GEOJSONSEQ | HTTP_FORMAT_CSV | HTTP_FORMAT_HTML | HTTP_FORMAT_ICS |
              HTTP_FORMAT_JSONLD),
     .params =
         HTTP_PARAMS_FILTER | HTTP_PARAMS_CQL2 | HTTP_PARAMS_PAGE | HTTP_PARAM_BIT(ALL) | LANG,
     .name = "getItems",
     .summary = "Listings of one collection"},
    {.method = HTTP_POST,
     .path = "/collections/{collectionId}/items",
     .handler = http_write_post,
     .offered = http_write_offered,
     FEATURES(0),
     .access = HTTP_ACCESS_EDITOR,
     .bodies = listing_bodies,
     .name = "createItem",
     .summary = "A new listing of this node's own origin"},
    {.method = HTTP_GET,
     .path = "/collections/{collectionId}/items/{featureId}",
     .handler = http_items_one,
     FEATURES(HTTP_FORMAT_HTML | HTTP_FORMAT_ICS | HTTP_FORMAT_JSONLD),
     .params = HTTP_PARAM_BIT(CRS) | F,
     .name = "getItem",
     .summary = "One listing"},
    {.method = HTTP_PUT,
     .path = "/collections/{collectionId}/items/{featureId}",
     .handler = http_write_put,
     .offered = http_write_offered,
     FEATURES(0),
     .access = HTTP_ACCESS_EDITOR,
     .bodies = listing_bodies,
     .name = "replaceItem",
     .summary = "Replace a listing of this node's own origin"},
    {.method = HTTP_PATCH,
     .path = "/collections/{collectionId}/items/{featureId}",
     .handler = http_write_patch,
     .offered = http_write_offered,
     FEATURES(0),
     .access = HTTP_ACCESS_EDITOR,
     .bodies = patch_bodies,
     .name = "updateItem",
     .summary = "Change parts of a listing of this node's own origin"},
    {.method = HTTP_DELETE,
     .path = "/collections/{collectionId}/items/{featureId}",
     .handler = http_write_delete,
     .offered = http_write_offered,
     .access = HTTP_ACCESS_EDITOR,
     .name = "deleteItem",
     .summary = "Delete a listing of this node's own origin, everywhere"},
    {.method = HTTP_GET,
     .path = "/search",
     .handler = http_items_search,
     FEATURES(HTTP_FORMAT_GEOJSONSEQ | HTTP_FORMAT_HTML | HTTP_FORMAT_ICS | HTTP_FORMAT_JSONLD),
     .params = HTTP_PARAMS_FILTER | HTTP_PARAMS_CQL2 | HTTP_PARAMS_PAGE | HTTP_PARAM_BIT(ALL) |
               COLLECTIONS | LANG,
     .name = "search",
     .summary = "Listings of several collections at once"},
    {.method = HTTP_GET,
     .path = "/themes",
     .handler = http_themes,
     JSON,
     .params = (HTTP_PARAMS_FILTER & ~HTTP_PARAM_BIT(THEME)) | COLLECTIONS | F,
     .name = "getThemes",
     .summary = "The tree of themes, with counts"},
    {.method = HTTP_GET,
     .path = "/suggest",
     .handler = http_suggest,
     JSON,
     .params = HTTP_PARAM_BIT(Q) | HTTP_PARAM_BIT(LIMIT) | F,
     .required = HTTP_PARAM_BIT(Q),
     .name = "getSuggestions",
     .summary = "Themes, places and names that begin as q does"},
    {.method = HTTP_GET,
     .path = "/federation",
     .handler = http_federation,
     JSON,
     .params = F,
     .name = "getFederation",
     .summary = "Whose listings are held here, how old and how complete"},
    {.method = HTTP_GET,
     .path = "/aggregates/competence-needs",
     .handler = http_aggregates_needs,
     .formats = HTTP_FORMAT_JSON | HTTP_FORMAT_CSV | HTTP_FORMAT_HTML,
     .format = HTTP_FORMAT_JSON,
     .params = HTTP_PARAMS_FILTER | HTTP_PARAM_BIT(BY) | F,
     .name = "getCompetenceNeeds",
     .summary = "Public competence needs, counted"},

    {.method = HTTP_GET,
     PAGE,
     .path = "",
     .handler = http_page_home,
     .form = true,
     .params = HTTP_PARAM_BIT(PLACE) | HTTP_PARAM_BIT(THEME) | HTTP_PARAM_BIT(RADIUS) |
               HTTP_PARAM_BIT(Q) | HTTP_PARAM_BIT(COLLECTIONS) | HTTP_PARAM_BIT(OFFSET) | LANG},
    {.method = HTTP_GET,
     PAGE,
     .path = "/listing/{id}",
     .handler = http_page_listing,
     .form = true,
     .params = LANG},
    {.method = HTTP_GET, .place = HTTP_AT_ROOT, .path = "/datasets/dcat", .handler = http_dcat},
    {.method = HTTP_GET,
     .place = HTTP_AT_ROOT,
     .steady = true,
     .path = "/torg.css",
     .handler = http_page_style},
    {.method = HTTP_GET,
     .place = HTTP_AT_ROOT,
     .steady = true,
     .path = "/torg.svg",
     .handler = http_page_icon},
};

enum torg_err http_new(const struct node *node, struct http **ret_http)
{
    const struct config *config = node->config;
    struct http *http = calloc(1, sizeof(*http));
    struct http_workers_options options = {
        .name = "http",
        .node = node,
        .addresses = config->http,
        .address_count = config->http_count,
        .tls_addresses = config->http_tls,
        .tls_address_count = config->http_tls_count,
        .threads = config->http_threads,
        .connections_max = config->http_connections_max,
        .per_address_max = config->http_connections_per_address,
        .routes = {.items = routes, .count = ARRAY_SIZE(routes), .base_path = config->base_path},
    };
    enum torg_err err;

    if (!http)
        return TORG_E_NOMEM;
    err = http_page_new(&http->page);
    if (err)
        goto done;
    if (config->http_tls_count > 0)
        err = http_tls_new(config->http_tls_certificate, config->http_tls_key, &http->tls);
    if (!err)
        err = http_rate_new(config->http_requests_per_address, &http->per_address);
    if (!err)
        err = http_rate_new(config->http_requests_per_token, &http->per_token);
    if (err)
        goto done;
    options.tls = http->tls;
    options.per_address = http->per_address;
    options.per_token = http->per_token;
    options.service = http->page;
    err = http_workers_new(&options, &http->workers);
    if (err)
        goto done;
    *ret_http = http;
    return TORG_OK;
done:
    http_free(http);
    return err;
}

enum torg_err http_start(struct http *http)
{
    return http_workers_start(http->workers);
}

void http_free(struct http *http)
{
    if (!http)
        return;
    http_workers_free(http->workers);
    http_page_free(http->page);
    http_tls_free(http->tls);
    http_rate_free(http->per_address);
    http_rate_free(http->per_token);
    free(http);
}

void http_reload(struct http *http)
{
    if (http->tls)
        http_tls_reload(http->tls);
}

uint16_t http_port(const struct http *http)
{
    return http_workers_port(http->workers);
}
