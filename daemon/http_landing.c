/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_landing.h"
#include "daemon/http_link.h"
#include "daemon/http_reply.h"

#include "daemon/http_words.h"
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
    static const struct {
        const char *rel;
        enum http_format format;
        const char *path;
        const char *title[2];
    } links[] = {
        {"service-desc",
         HTTP_FORMAT_OPENAPI,
         "/api",
         {"Gränssnittet som OpenAPI 3.0", "This API as OpenAPI 3.0"}},
        {"service-doc",
         HTTP_FORMAT_HTML,
         "/api?f=html",
         {"Gränssnittet att läsa", "This API, to read"}},
        {"service-meta",
         HTTP_FORMAT_JSON,
         "/api-info",
         {"Version och status", "Version and state"}},
        {"conformance",
         HTTP_FORMAT_JSON,
         "/conformance",
         {"Standarder som gäller här", "Standards that hold here"}},
        {"data", HTTP_FORMAT_JSON, "/collections", {"Samlingarna", "The collections"}},
        {"search",
         HTTP_FORMAT_GEOJSON,
         "/search",
         {"Alla samlingar på en gång", "All collections at once"}},
        {"describedby", HTTP_FORMAT_JSON, "/themes", {"Teman med antal", "Themes with counts"}},
        {"related",
         HTTP_FORMAT_JSON,
         "/federation",
         {"Vems uppgifter som finns här, och hur gamla", "Whose listings are here, and how old"}},
        {"related",
         HTTP_FORMAT_JSON,
         "/aggregates/competence-needs",
         {"Kompetensbehov, räknade", "Competence needs, counted"}},
    };
    static const char *const descriptions[] = {
        "Uppgifter från kommunen och alla som den är förbunden med: företag, erbjudanden, "
        "evenemang, jobb, kurser, kompetensbehov, servicepunkter, platser och nätverk.",
        "Listings of this municipality and of all that it is federated with: companies, offers, "
        "events, jobs, courses, competence needs, service points, places and networks.",
    };
    enum http_language language = http_words_language(exchange->params.language);
    struct buffer *out = begin_json(exchange);

    http_reply_in_language(exchange);
    json_out_text(out, "title", exchange->node->config->name);
    json_out_text(out, "description", descriptions[language]);
    json_out_begin(out, "links", '[');
    http_link_self(exchange, out, JSON_TYPE);
    for (size_t i = 0; i < ARRAY_SIZE(links); i++)
        http_link_put(exchange, out, links[i].rel, http_params_format_type(links[i].format),
                      links[i].title[language], "%s", links[i].path);
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
