/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/http_reply.h"

#include "daemon/clock.h"
#include "daemon/http_gzip.h"
#include "daemon/http_page.h"
#include "daemon/http_router.h"
#include "daemon/http_tag.h"
#include "daemon/http_texts.h"
#include "daemon/http_workers.h"
#include "daemon/log.h"
#include "index/store.h"
#include "protocol/listing_geojson.h"
#include "protocol/num.h"

#define HEAD_BYTES_USUAL 1024
#define GZIP_BYTES_MIN 1024
#define DETAIL_BYTES_MAX 800

static const struct {
    int status;
    const char *text;
} statuses[] = {
    {100, "Continue"},
    {200, "OK"},
    {201, "Created"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *http_reply_status_text(int status)
{
    for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
        if (statuses[i].status == status)
            return statuses[i].text;
    }
    return "Unknown";
}

/* 0 to 99 with both digits. Several dates stand in each answer, and printf is dear. */
static void put_two(struct buffer *out, const char *before, int value)
{
    buffer_put_str(out, before);
    buffer_put_u8(out, (uint8_t)('0' + value / 10 % 10));
    buffer_put_u8(out, (uint8_t)('0' + value % 10));
}

/* IMF-fixdate (RFC 9110, 5.6.7) of the years 0 to 9999; nothing beyond. */
static void put_date(struct buffer *out, int64_t ms)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;

    if (!gmtime_r(&seconds, &tm) || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900)
        return;
    buffer_put(out, days[tm.tm_wday], 3);
    put_two(out, ", ", tm.tm_mday);
    buffer_put_u8(out, ' ');
    buffer_put(out, months[tm.tm_mon], 3);
    put_two(out, " ", (tm.tm_year + 1900) / 100);
    put_two(out, "", (tm.tm_year + 1900) % 100);
    put_two(out, " ", tm.tm_hour);
    put_two(out, ":", tm.tm_min);
    put_two(out, ":", tm.tm_sec);
    buffer_put_str(out, " GMT");
}

/* ---- what handlers say ---- */

void http_reply_begin(struct http_exchange *exchange, int status, const char *type)
{
    exchange->reply.status = status;
    exchange->reply.type = type;
    buffer_clear(&exchange->reply.body);
}

enum torg_err http_reply_read(struct http_exchange *exchange, http_reply_answer *answer)
{
    struct kv kv;
    enum torg_err err = store_read_begin(exchange->node->store, &kv);

    if (err)
        return err;
    err = answer(exchange, &kv);
    store_read_end(&kv);
    return err;
}

/* No value may begin a line of its own. */
static void put_value(struct buffer *out, const char *value)
{
    while (*value) {
        size_t run = 0;

        while ((unsigned char)value[run] >= 0x20 && value[run] != 0x7f)
            run++;
        buffer_put(out, value, run);
        value += run + (value[run] ? 1 : 0);
    }
}

static void put_field(struct buffer *out, const char *name, const char *value)
{
    buffer_put_str(out, name);
    buffer_put_str(out, ": ");
    put_value(out, value);
    buffer_put_str(out, "\r\n");
}

void http_reply_field_of(struct http_exchange *exchange, const char *name, ...)
{
    struct buffer *fields = &exchange->reply.fields;
    const char *part;
    va_list args;

    buffer_put_str(fields, name);
    buffer_put_str(fields, ": ");
    va_start(args, name);
    while ((part = va_arg(args, const char *)))
        put_value(fields, part);
    va_end(args);
    buffer_put_str(fields, "\r\n");
}

void http_reply_field(struct http_exchange *exchange, const char *name, const char *format, ...)
{
    struct buffer *fields = &exchange->reply.fields;
    char *value;
    va_list args;
    int size;

    if (strcmp(format, "%s") == 0) {
        va_start(args, format);
        put_field(fields, name, va_arg(args, const char *));
        va_end(args);
        return;
    }
    va_start(args, format);
    size = vasprintf(&value, format, args); /* A link may repeat a query of 8 KiB, escaped. */
    va_end(args);
    if (size < 0) {
        if (!fields->err)
            fields->err = TORG_E_NOMEM;
        return;
    }
    put_field(fields, name, value);
    free(value);
}

void http_reply_last_modified(struct http_exchange *exchange, int64_t ms)
{
    buffer_put_str(&exchange->reply.fields, "Last-Modified: ");
    put_date(&exchange->reply.fields, ms);
    buffer_put_str(&exchange->reply.fields, "\r\n");
}

/* ---- errors ---- */

/*
 * What is said to whoever asks: as lang has it, else Accept-Language, else English;
 * on a page, as the page is.
 */
static enum http_language language_of(const struct http_exchange *exchange)
{
    const struct http_params *params = &exchange->params;
    bool chosen = params->given & HTTP_PARAM_BIT(LANG) && params->language[0];
    const char *wanted = exchange->reply.page || chosen
                             ? params->language
                             : http_router_language(&exchange->request, true);

    return wanted ? http_words_language(wanted) : HTTP_ENGLISH;
}

static void tell_language(struct http_exchange *exchange, enum http_language language)
{
    if (!exchange->reply.has_language)
        http_reply_field(exchange, "Content-Language", "%s", http_words_code(language));
    exchange->reply.has_language = true;
}

void http_reply_in_language(struct http_exchange *exchange)
{
    tell_language(exchange, http_words_language(exchange->params.language));
}

static void put_text(struct buffer *out, enum http_language language, const char *english)
{
    struct buffer text = {0};

    (void)http_texts_put(&text, language, span_of_str(english));
    json_put_string(out, buffer_span(&text));
    if (text.err)
        out->err = text.err;
    buffer_done(&text);
}

static void put_problem_head(struct buffer *out, enum http_language language, int status,
                             const char *kind, const char *detail)
{
    if (kind)
        buffer_printf(out, "{\"type\":\"urn:torg:problem:%s\"", kind);
    else
        buffer_put_str(out, "{\"type\":\"about:blank\"");
    buffer_put_str(out, ",\"title\":");
    put_text(out, language, http_reply_status_text(status));
    buffer_printf(out, ",\"status\":%d,\"detail\":", status);
    put_text(out, language, detail);
}

/* problems: NULL, or what a page says besides; JSON gets them from the caller. */
static void begin_problem(struct http_exchange *exchange, int status, const char *kind,
                          const char *detail, const struct problems *problems)
{
    struct http_reply *reply = &exchange->reply;
    enum http_language language = language_of(exchange);

    buffer_clear(&reply->fields);
    reply->more = NULL;
    reply->has_etag = false;
    reply->has_language = false;
    reply->cache = "no-store";
    tell_language(exchange, language);
    if (reply->page) {
        http_page_problem(exchange, status, detail, problems);
        return;
    }
    http_reply_begin(exchange, status, "application/problem+json");
    put_problem_head(&reply->body, language, status, kind, detail);
    if (exchange->request.path.size > 0) {
        buffer_put_str(&reply->body, ",\"instance\":");
        json_put_string(&reply->body, exchange->request.path);
    }
}

static void end_problem(struct http_exchange *exchange)
{
    if (!exchange->reply.page)
        buffer_put_str(&exchange->reply.body, "}\n");
}

void http_reply_problem(struct http_exchange *exchange, int status, const char *kind,
                        const char *format, ...)
{
    char detail[DETAIL_BYTES_MAX];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    utf8_trim(detail);
    begin_problem(exchange, status, kind, detail, NULL);
    end_problem(exchange);
}

void http_reply_problems(struct http_exchange *exchange, int status, const char *kind,
                         const char *detail, const struct problems *problems)
{
    size_t shown = problems->count < PROBLEMS_MAX ? problems->count : PROBLEMS_MAX;
    enum http_language language = language_of(exchange);
    struct buffer *body = &exchange->reply.body;

    begin_problem(exchange, status, kind, detail, problems);
    if (exchange->reply.page)
        return;
    buffer_put_str(body, ",\"errors\":[");
    for (size_t i = 0; i < shown; i++) {
        buffer_put_str(body, i ? ",{\"path\":" : "{\"path\":");
        json_put_string(body, span_of_str(problems->items[i].path));
        buffer_put_str(body, ",\"detail\":");
        put_text(body, language, problems->items[i].text);
        buffer_put_u8(body, '}');
    }
    buffer_put_u8(body, ']');
    if (problems->count > shown)
        buffer_printf(body, ",\"errorCount\":%zu", problems->count);
    end_problem(exchange);
}

/* What of the query would make it smaller, most promising first. */
static void reply_expensive(struct http_exchange *exchange)
{
    const struct http_params *params = &exchange->params;
    const struct query *query = &params->query;
    enum http_language language = language_of(exchange);
    struct buffer advice = {0};
    const struct {
        bool fits;
        const char *words;
    } ways[] = {
        {!query->has_near && !query->has_box, "near with a radius, or a bbox"},
        {query->has_near && !(params->given & HTTP_PARAM_BIT(RADIUS)), "a radius"},
        {query->has_near && params->given & HTTP_PARAM_BIT(RADIUS), "a smaller radius"},
        {query->has_box && !query->has_near, "a smaller bbox"},
        {query->text.size > 0, "a longer q"},
        {query->has_reach && query->reach_m > 0, "fewer metres in reaches"},
        {query->group_count == 0, "a theme"},
        {query->municipality_count == 0, "a municipality"},
        {params->facets != 0, "fewer facets"},
        {query->offset > 0, "no offset but the next links"},
        {false, "fewer themes"}, /* when nothing else is to be said */
    };

    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        if (!ways[i].fits && (advice.size || i + 1 < ARRAY_SIZE(ways)))
            continue;
        buffer_put_str(&advice, advice.size ? "; " : "");
        (void)http_texts_put(&advice, language, span_of_str(ways[i].words));
    }
    http_reply_problem(exchange, 400, "query-too-expensive",
                       "This query would look at too much: more than %d listings, rows and nodes. "
                       "What makes it smaller: %.*s.",
                       QUERY_WORK_MAX, (int)advice.size, advice.err ? "" : (char *)advice.data);
    buffer_done(&advice);
}

/* Flat: one line for each error that the layers below can mean. */
void http_reply_error(struct http_exchange *exchange, enum torg_err err)
{
    switch (err) {
    case TORG_E_NOT_FOUND:
        http_reply_problem(exchange, 404, NULL, "There is no such thing here.");
        return;
    case TORG_E_TOO_BIG:
        http_reply_problem(exchange, 400, "invalid-parameter",
                           "There is too much in this request: a text q may have %d bytes and %d "
                           "words.",
                           TEXT_QUERY_BYTES_MAX, TEXT_QUERY_WORDS_MAX);
        return;
    case TORG_E_EXPENSIVE:
        reply_expensive(exchange);
        return;
    case TORG_E_FULL:
        http_reply_problem(exchange, 507, "storage-full",
                           "The store is full: nothing was changed, and reading goes on. Delete "
                           "listings; or the operator frees disk space, or raises map-size in the "
                           "section [limits] of federation.conf.");
        return;
    case TORG_E_RECOVERING:
        http_reply_problem(exchange, 503, "recovering", "No writes now: %s.",
                           writer_state_reason(exchange->node->writer));
        http_reply_field(exchange, "Retry-After", "10");
        return;
    case TORG_E_BUSY:
        http_reply_problem(exchange, 503, "busy", "Too much is waiting; try again shortly.");
        http_reply_field(exchange, "Retry-After", "1");
        return;
    case TORG_E_IO:
        http_reply_problem(exchange, 503, "storage",
                           "The disk refused. Whether the write happened shows after a restart.");
        return;
    case TORG_E_NOMEM:
        http_reply_problem(exchange, 503, "memory", "There is no memory for this answer now.");
        http_reply_field(exchange, "Retry-After", "5");
        return;
    default:
        log_event(LOG_ERROR, "http.failed", "route=%s err=\"%s\"",
                  exchange->route ? exchange->route->path : "-", torg_err_text(err));
        http_reply_problem(exchange, 500, NULL, "This node failed to answer; its log says why.");
    }
}

/* ---- what goes out ---- */

static bool is_steady(const struct http_exchange *exchange)
{
    return exchange->route && exchange->route->steady && exchange->reply.status == 200;
}

static bool compress_body(struct http_exchange *exchange)
{
    struct http_worker *worker = exchange->worker;

    if (!worker->gzip && http_gzip_new(&worker->gzip))
        return false;
    return http_gzip_body(worker->gzip, &exchange->reply.body, is_steady(exchange));
}

static void put_security_fields(const struct http_exchange *exchange, struct buffer *out)
{
    if (exchange->reply.page) {
        buffer_put_str(out, /* A search has a place in its URL. */
                       "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
                       "Content-Security-Policy: default-src 'none'; style-src 'self'; "
                       "img-src 'self'; form-action 'self'; base-uri 'none'; "
                       "frame-ancestors 'none'\r\n");
        return;
    }
    buffer_put_str(out, "X-Content-Type-Options: nosniff\r\n"
                        "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n");
    if (exchange->request.method & (HTTP_GET | HTTP_HEAD | HTTP_OPTIONS))
        buffer_put_str(out, "Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: "
                            "ETag, Link, Content-Crs, Retry-After, torg-as-of, torg-missing, "
                            "OGC-NumberMatched, OGC-NumberReturned\r\n");
}

/* The date now. It is the same for a second, and all answers of that second. */
static void put_now(struct buffer *out, const struct http_exchange *exchange)
{
    struct http_worker *worker = exchange->worker;
    int64_t second = exchange->now_ms / 1000;

    if (worker->date.size == 0 || worker->date_s != second) {
        buffer_clear(&worker->date);
        put_date(&worker->date, exchange->now_ms);
        worker->date_s = second;
    }
    buffer_put_span(out, buffer_span(&worker->date));
    if (worker->date.err)
        out->err = worker->date.err;
}

enum torg_err http_reply_finish(struct http_exchange *exchange, struct buffer *ret_head)
{
    struct http_reply *reply = &exchange->reply;
    bool compressed = false;

    if (is_steady(exchange))
        http_tag_document(exchange);
    if (reply->body.size >= GZIP_BYTES_MIN && !reply->has_etag && !reply->more &&
        http_router_accepts_gzip(&exchange->request))
        compressed = compress_body(exchange);
    (void)buffer_reserve(ret_head, HEAD_BYTES_USUAL);
    buffer_put_str(ret_head, "HTTP/1.1 ");
    num_put_int(ret_head, reply->status);
    buffer_put_u8(ret_head, ' ');
    buffer_put_str(ret_head, http_reply_status_text(reply->status));
    buffer_put_str(ret_head, "\r\nDate: ");
    put_now(ret_head, exchange);
    buffer_put_str(ret_head, "\r\nVary: Accept, Accept-Encoding, Accept-Language\r\n");
    if (reply->status != 304 && reply->status != 204) {
        if (!reply->more) {
            buffer_put_str(ret_head, "Content-Length: ");
            num_put_int(ret_head, (int64_t)reply->body.size);
            buffer_put_str(ret_head, "\r\n");
        } else if (exchange->request.minor > 0) {
            buffer_put_str(ret_head, "Transfer-Encoding: chunked\r\n");
        }
        if (reply->body.size > 0)
            put_field(ret_head, "Content-Type", reply->type);
    }
    if (compressed)
        put_field(ret_head, "Content-Encoding", "gzip");
    put_field(ret_head, "Cache-Control", reply->cache ? reply->cache : "no-cache");
    put_security_fields(exchange, ret_head);
    buffer_put_span(ret_head, buffer_span(&reply->fields));
    if (exchange->close)
        put_field(ret_head, "Connection", "close");
    buffer_put_str(ret_head, "\r\n");
    return ret_head->err;
}

void http_reply_plain(const struct http_refusal *refusal, struct buffer *out)
{
    struct buffer body = {0};

    put_problem_head(&body, HTTP_ENGLISH, refusal->status, NULL, refusal->detail);
    buffer_put_str(&body, "}\n");
    buffer_printf(out, "HTTP/1.1 %d %s\r\nDate: ", refusal->status,
                  http_reply_status_text(refusal->status));
    put_date(out, clock_wall_ms());
    buffer_printf(out,
                  "\r\nContent-Length: %zu\r\n"
                  "Content-Type: application/problem+json\r\nContent-Language: en\r\n"
                  "Cache-Control: no-store\r\n"
                  "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
                  body.size);
    buffer_put_span(out, buffer_span(&body));
    buffer_done(&body);
}
