/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_landing.h"
#include "daemon/http_link.h"
#include "daemon/http_reply.h"

#include "daemon/json_out.h"

#define JSON_TYPE "application/json"
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
