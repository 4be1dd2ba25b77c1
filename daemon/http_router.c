/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_router.h"
#include "daemon/http_filter.h"
#include "daemon/http_html.h"
#include "daemon/http_reply.h"

#include <string.h>
#include <strings.h>

#include "index/store.h"

/* ---- what the client accepts ---- */

/* A page is rendered at once, and read by somebody: the next link leads on. */
#define HTML_LIMIT_MAX 500

static struct span media_type(const char *type)
{
    return span_of(type, strcspn(type, ";"));
}

/* Types are the same in any case (RFC 9110, 8.3.1). */
static bool begin_equal(struct span a, struct span b, size_t size)
{
    return strncasecmp((const char *)a.data, (const char *)b.data, size) == 0;
}

/* How closely range fits type: 3 exactly, 2 "application/" and a star, 1 all, 0 not. */
static unsigned range_fit(struct span range, struct span type)
{
    const uint8_t *slash = memchr(type.data, '/', type.size);
    size_t group = (size_t)(slash - type.data) + 1;

    if (span_equal(range, span_of_str("*/*")))
        return 1;
    if (range.size == group + 1 && range.data[group] == '*' && begin_equal(range, type, group))
        return 2;
    return range.size == type.size && begin_equal(range, type, type.size) ? 3 : 0;
}

/* Does the Accept field (absent: everything) take this type, and how much (0..1000)? */
static unsigned accepts(const struct http_request *request, const char *type)
{
    unsigned best_fit = 0;
    unsigned quality = 0;
    bool any = false;

    for (size_t i = 0; i < request->field_count; i++) {
        struct span list = request->fields[i].value;
        struct span element;
        struct span range;

        if (!http_request_name_equal(request->fields[i].name, "accept"))
            continue;
        while (http_request_list_next(&list, &element)) {
            unsigned q = http_request_list_quality(element, &range);
            unsigned fit = range.size ? range_fit(range, media_type(type)) : 0;

            any = true;
            if (fit > best_fit) {
                best_fit = fit;
                quality = q;
            }
        }
    }
    return any ? quality : 1000;
}

bool http_router_accepts_gzip(const struct http_request *request)
{
    for (size_t i = 0; i < request->field_count; i++) {
        struct span list = request->fields[i].value;
        struct span element;
        struct span coding;

        if (!http_request_name_equal(request->fields[i].name, "accept-encoding"))
            continue;
        while (http_request_list_next(&list, &element)) {
            if (http_request_list_quality(element, &coding) > 0 &&
                http_request_name_equal(coding, "gzip"))
                return true;
        }
    }
    return false;
}

/* The best of the route's formats; 0 if the client takes none. GeoJSON is JSON, too. */
static enum http_format negotiate(const struct http_exchange *exchange)
{
    const struct http_route *route = exchange->route;
    enum http_format best = 0;
    unsigned best_quality = 0;

    if (!http_request_field(&exchange->request, "accept") && (route->formats & route->format))
        return route->format;
    for (unsigned format = HTTP_FORMAT_JSON; format <= HTTP_FORMAT_LAST; format <<= 1) {
        unsigned quality;

        if (!(route->formats & format))
            continue;
        quality = accepts(&exchange->request, http_params_format_type((enum http_format)format));
        if ((format & (HTTP_FORMAT_GEOJSON | HTTP_FORMAT_OPENAPI | HTTP_FORMAT_SCHEMA)) &&
            quality == 0)
            quality = accepts(&exchange->request, "application/json");
        if (quality > best_quality ||
            (quality == best_quality && quality > 0 && format == (unsigned)route->format)) {
            best = (enum http_format)format;
            best_quality = quality;
        }
    }
    return best;
}

const char *http_router_language(const struct http_request *request, bool words)
{
    const char *best = NULL;
    unsigned best_quality = 0;

    for (size_t i = 0; i < request->field_count; i++) {
        struct span list = request->fields[i].value;
        struct span element, range;

        if (!http_request_name_equal(request->fields[i].name, "accept-language"))
            continue;
        while (http_request_list_next(&list, &element)) {
            unsigned quality = http_request_list_quality(element, &range);
            const char *tag = http_words_tag(range);

            if (!tag || quality <= best_quality ||
                (words && strcmp(tag, "sv") != 0 && strcmp(tag, "en") != 0))
                continue;
            best_quality = quality;
            best = tag;
        }
    }
    return best;
}

/* What lang has not said, Accept-Language says. */
static void choose_languages(struct http_exchange *exchange)
{
    struct http_params *params = &exchange->params;
    bool given = params->given & HTTP_PARAM_BIT(LANG);
    const char *texts = http_router_language(&exchange->request, false);
    const char *words = texts ? http_router_language(&exchange->request, true) : NULL;

    if (!given || !params->language[0])
        memcpy(params->language, words ? words : "sv", sizeof(params->language));
    if (!given && texts)
        memcpy(params->text_tag, texts, strlen(texts) + 1);
}

/* ---- finding the route ---- */

/* The template's next segment, without the slash; false at its end. */
static bool template_next(const char **at, struct span *ret_segment)
{
    size_t size;

    if (**at != '/')
        return false;
    size = strcspn(*at + 1, "/");
    *ret_segment = span_of(*at + 1, size);
    *at += size + 1;
    return true;
}

/* Match template against the segments from *i on; captures its {names}. */
static bool match_template(const char *template, const struct http_path *path, size_t *i,
                           struct span *captures, size_t *capture_count)
{
    struct span segment;

    while (template_next(&template, &segment)) {
        if (*i == path->count)
            return false;
        if (segment.size && segment.data[0] == '{') {
            if (path->segments[*i].size == 0)
                return false;
            captures[(*capture_count)++] = path->segments[*i];
        } else if (!span_equal(segment, path->segments[*i])) {
            return false;
        }
        (*i)++;
    }
    return true;
}

/* base: how many segments of the path are the base's; SIZE_MAX: it does not stand below that. */
static bool route_matches(const struct http_route *route, size_t base,
                          struct http_exchange *exchange)
{
    const struct http_path *path = &exchange->path;
    size_t count = 0;
    size_t i = route->place == HTTP_UNDER_BASE ? base : 0;

    if (i == SIZE_MAX)
        return false;
    if (!match_template(route->path, path, &i, exchange->captures, &count))
        return false;
    /* A slash at the end makes no difference. */
    return i == path->count || (i + 1 == path->count && path->segments[i].size == 0);
}

static size_t base_segments(const struct http_routes *routes, const struct http_path *path)
{
    struct span captures[HTTP_CAPTURES_MAX];
    size_t count = 0;
    size_t i = 0;

    return match_template(routes->base_path, path, &i, captures, &count) ? i : SIZE_MAX;
}

static unsigned route_methods(const struct http_route *route)
{
    return route->method == HTTP_GET ? HTTP_GET | HTTP_HEAD : route->method;
}

static void put_methods(struct buffer *out, unsigned methods)
{
    for (unsigned method = HTTP_GET; method <= HTTP_DELETE; method <<= 1) {
        if (methods & method)
            buffer_printf(out, "%s%s", out->size ? ", " : "",
                          http_request_method_name((enum http_method)method));
    }
    buffer_put_u8(out, 0);
}

static void answer_options(struct http_exchange *exchange, unsigned methods)
{
    struct buffer list = {0};

    put_methods(&list, methods | HTTP_OPTIONS);
    exchange->reply.status = 200; /* as Part 4 of OGC API - Features wants it; there is no body */
    exchange->reply.cache = "max-age=86400";
    if (!list.err)
        http_reply_field(exchange, "Allow", "%s", (const char *)list.data);
    http_reply_field(exchange, "Access-Control-Allow-Methods", "GET, HEAD, OPTIONS");
    http_reply_field(exchange, "Access-Control-Allow-Headers", "Accept, If-None-Match");
    http_reply_field(exchange, "Access-Control-Max-Age", "86400");
    buffer_done(&list);
}

static void answer_wrong_method(struct http_exchange *exchange, unsigned methods)
{
    struct buffer list = {0};

    put_methods(&list, methods | HTTP_OPTIONS);
    if (list.err) {
        http_reply_error(exchange, list.err);
    } else {
        http_reply_problem(exchange, 405, NULL, "This resource knows %s.", (const char *)list.data);
        http_reply_field(exchange, "Allow", "%s", (const char *)list.data);
    }
    buffer_done(&list);
}

/* ---- before the body ---- */

static struct span bearer_of(const struct http_request *request)
{
    const struct span *field = http_request_field(request, "authorization");
    static const char scheme[] = "bearer ";
    size_t size = sizeof(scheme) - 1;

    if (!field || field->size <= size ||
        !http_request_name_equal(span_of(field->data, size), scheme))
        return (struct span){0};
    return span_of(field->data + size, field->size - size);
}

static void refuse_access(struct http_exchange *exchange, const char *detail, const char *challenge)
{
    http_reply_problem(exchange, 401, NULL, "%s", detail);
    http_reply_field(exchange, "WWW-Authenticate", "%s", challenge);
}

/* missing: what is said when there is no token. */
static void check_token(struct http_exchange *exchange, const char *missing)
{
    struct span text = bearer_of(&exchange->request);
    struct kv kv;
    enum torg_err err;

    if (text.size == 0) {
        refuse_access(exchange, missing, "Bearer realm=\"torg\"");
        return;
    }
    err = store_read_begin(exchange->node->store, &kv);
    if (!err) {
        err = token_find(&kv, text, &exchange->token);
        store_read_end(&kv);
    }
    if (err == TORG_E_NOT_FOUND)
        refuse_access(exchange, "This token is not known here, or no longer.",
                      "Bearer realm=\"torg\", error=\"invalid_token\"");
    else if (err)
        http_reply_error(exchange, err);
    exchange->has_token = !err;
}

bool http_router_admin(struct http_exchange *exchange)
{
    check_token(exchange, "This needs Authorization: Bearer TOKEN, with an administrator's token.");
    if (exchange->has_token && exchange->token.role != TOKEN_ROLE_ADMIN)
        http_reply_problem(exchange, 403, NULL,
                           "This is for administrators: the token's role is %s.",
                           token_role_name(exchange->token.role));
    return exchange->has_token && exchange->token.role == TOKEN_ROLE_ADMIN;
}

static void check_access(const struct http_routes *routes, struct http_exchange *exchange)
{
    switch (exchange->route->access) {
    case HTTP_ACCESS_PUBLIC:
        return;
    case HTTP_ACCESS_EDITOR:
        check_token(exchange, "Writing needs the field Authorization: Bearer TOKEN.");
        return;
    case HTTP_ACCESS_OPERATOR:
        if (!routes->is_operator(exchange->service, bearer_of(&exchange->request)))
            refuse_access(exchange,
                          "This needs Authorization: Bearer and what stands in the file "
                          "admin.secret of the data directory.",
                          "Bearer realm=\"torg admin\"");
        return;
    }
}

size_t http_router_body_max(const struct http_route *route)
{
    return route->body_max ? route->body_max : HTTP_BODY_BYTES_MAX;
}

static void check_body(struct http_exchange *exchange)
{
    const struct http_request *request = &exchange->request;
    const struct span *type = http_request_field(request, "content-type");
    const struct span *encoding = http_request_field(request, "content-encoding");
    const char *const *accepted = exchange->route->bodies;

    if (!accepted) {
        if (request->framing != HTTP_BODY_NONE)
            http_reply_problem(exchange, 400, NULL, "This request takes no body.");
        return;
    }
    if (request->framing == HTTP_BODY_NONE) {
        http_reply_problem(exchange, http_request_field(request, "content-length") ? 400 : 411,
                           NULL, "This request needs a body of type %s.", accepted[0]);
        return;
    }
    if (request->framing == HTTP_BODY_LENGTH &&
        request->content_length > http_router_body_max(exchange->route)) {
        http_reply_problem(exchange, 413, NULL, "The body may have at most %zu bytes.",
                           http_router_body_max(exchange->route));
        return;
    }
    for (size_t i = 0; type && accepted[i]; i++) {
        struct span token;

        http_request_list_quality(*type, &token);
        if (http_request_name_equal(token, accepted[i]) && !encoding)
            return;
    }
    http_reply_problem(exchange, 415, NULL, "The body must be %s, not encoded further.",
                       accepted[0]);
}

void http_router_begin(const struct http_routes *routes, struct http_exchange *exchange)
{
    const struct http_request *request = &exchange->request;
    unsigned methods = 0;
    size_t base;

    exchange->accepts_html = http_request_field(request, "accept") &&
                             accepts(request, "text/html") > 0 &&
                             accepts(request, "x/x") < accepts(request, "text/html");
    if (span_equal(request->path, span_of_str("*"))) {
        answer_options(exchange,
                       HTTP_GET | HTTP_HEAD | HTTP_POST | HTTP_PUT | HTTP_PATCH | HTTP_DELETE);
        return;
    }
    if (http_request_path_parse(request->path, &exchange->path)) {
        http_reply_problem(exchange, 404, NULL, "Nothing has such a path.");
        return;
    }
    base = base_segments(routes, &exchange->path);
    for (size_t i = 0; i < routes->count && !exchange->route; i++) {
        if (!route_matches(&routes->items[i], base, exchange))
            continue;
        if (request->method == HTTP_OPTIONS && routes->items[i].offered &&
            !routes->items[i].offered(exchange))
            continue;
        methods |= route_methods(&routes->items[i]);
        if (route_methods(&routes->items[i]) & request->method)
            exchange->route = &routes->items[i];
    }
    if (!methods) {
        exchange->reply.page = exchange->accepts_html && base == SIZE_MAX;
        http_reply_problem(exchange, 404, NULL, "Nothing has this path.");
    } else if (request->method == HTTP_OPTIONS) {
        answer_options(exchange, methods);
    } else if (!exchange->route) {
        answer_wrong_method(exchange, methods);
    } else {
        exchange->reply.page = exchange->route->formats == HTTP_FORMAT_HTML;
        check_access(routes, exchange);
        if (!exchange->reply.status)
            check_body(exchange);
    }
}

/* ---- with the body ---- */

static bool read_params(struct http_exchange *exchange)
{
    const struct http_route *route = exchange->route;
    struct problems problems;
    enum torg_err err = http_request_query_parse(exchange->request.query, &exchange->query);

    problems.count = 0;
    if (err) {
        http_reply_problem(exchange, 400, "invalid-query",
                           err == TORG_E_TOO_BIG
                               ? "The query has more than %d parameters."
                               : "The query is not percent-encoded UTF-8 text (at most %d "
                                 "parameters).",
                           HTTP_QUERY_PAIRS_MAX);
        return false;
    }
    err = http_params_read(&exchange->query, route->params, route->formats, route->form,
                           &exchange->params, &problems);
    if (err == TORG_E_INVALID && http_filter_add_unknown(exchange, &problems))
        err = TORG_E_NOMEM;
    if (err && err != TORG_E_INVALID) {
        http_reply_error(exchange, err);
        return false;
    }
    if (err) {
        http_reply_problems(exchange, 400, "invalid-parameter",
                            "At least one parameter of the query is wrong.", &problems);
        return false;
    }
    if (route->required & ~exchange->params.given) {
        for (enum http_param i = 0; i < HTTP_PARAM_COUNT; i++) {
            if ((route->required & ~exchange->params.given) >> i & 1)
                problems_add(&problems, http_params_text(i)->name, "is missing");
        }
        http_reply_problems(exchange, 400, "invalid-parameter",
                            "A parameter of the query is missing.", &problems);
        return false;
    }
    exchange->params.query.now_ms = exchange->now_ms;
    if (!exchange->params.format)
        exchange->params.format = route->formats ? negotiate(exchange) : HTTP_FORMAT_JSON;
    if (!exchange->params.format) {
        http_reply_problem(exchange, 406, NULL,
                           "This resource has no format that the Accept field takes.");
        return false;
    }
    if (exchange->params.format == HTTP_FORMAT_HTML && route->format != HTTP_FORMAT_HTML) {
        exchange->html = true;
        exchange->params.format = route->format;
        if (exchange->params.query.limit > HTML_LIMIT_MAX)
            exchange->params.query.limit = HTML_LIMIT_MAX;
    }
    if ((route->params & HTTP_PARAM_BIT(LANG)) && route->place == HTTP_UNDER_BASE)
        choose_languages(exchange);
    return true;
}

void http_router_run(struct http_exchange *exchange)
{
    enum torg_err err;

    if (exchange->reply.status || !read_params(exchange))
        return;
    err = exchange->route->handler(exchange);
    if (exchange->pending)
        return;
    if (!err)
        err = exchange->reply.body.err ? exchange->reply.body.err : exchange->reply.fields.err;
    if (!err && exchange->html && exchange->reply.status == 200)
        err = http_html_render(exchange);
    if (err)
        http_reply_error(exchange, err);
}
