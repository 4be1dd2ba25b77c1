/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_link.h"

#include <stdarg.h>
#include <stdio.h>

#include "daemon/http_formats.h"
#include "daemon/http_router.h"
#include "daemon/json_out.h"
#include "protocol/listing_geojson.h"

#define HREF_BYTES_MAX 1024

void http_link_put_root(const struct http_exchange *exchange, struct buffer *out)
{
    const char *configured = exchange->node->config->base_url;

    if (configured[0]) {
        buffer_put_str(out, configured);
    } else if (exchange->client.host.size > 0) {
        buffer_put_str(out, exchange->client.https ? "https://" : "http://");
        buffer_put_span(out, exchange->client.host);
    }
}

void http_link_put_base(const struct http_exchange *exchange, struct buffer *out)
{
    http_link_put_root(exchange, out);
    buffer_put_str(out, exchange->node->config->base_path);
}

/* {"rel":"...","href":" : the caller goes on with the URL. Words of ours need no escape. */
static void begin_link(struct buffer *out, const char *rel)
{
    json_out_begin(out, NULL, '{');
    buffer_put_str(out, "\"rel\":\"");
    buffer_put_str(out, rel);
    buffer_put_str(out, "\",\"href\":\"");
}

static void end_link(struct buffer *out, const char *type, const char *title)
{
    buffer_put_u8(out, '"');
    if (type) {
        buffer_put_str(out, ",\"type\":\"");
        buffer_put_str(out, type);
        buffer_put_u8(out, '"');
    }
    if (title)
        json_out_text(out, "title", title);
    json_out_end(out, '}');
}

/* The same URLs as http_link_put_root and _base, as a part of a JSON string. */
static void put_root_text(const struct http_exchange *exchange, struct buffer *out)
{
    const char *configured = exchange->node->config->base_url;

    if (configured[0]) {
        json_put_text(out, span_of_str(configured));
    } else if (exchange->client.host.size > 0) {
        buffer_put_str(out, exchange->client.https ? "https://" : "http://");
        json_put_text(out, exchange->client.host);
    }
}

void http_link_put(const struct http_exchange *exchange, struct buffer *out, const char *rel,
                   const char *type, const char *title, const char *format, ...)
{
    char text[HREF_BYTES_MAX];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    begin_link(out, rel);
    put_root_text(exchange, out);
    json_put_text(out, span_of_str(exchange->node->config->base_path));
    json_put_text(out, span_of_str(text));
    end_link(out, type, title);
}

void http_link_self(const struct http_exchange *exchange, struct buffer *out, const char *type)
{
    begin_link(out, "self");
    put_root_text(exchange, out);
    json_put_text(out, exchange->request.path);
    if (exchange->request.query.size > 0) {
        buffer_put_u8(out, '?');
        json_put_text(out, exchange->request.query);
    }
    end_link(out, exchange->html ? http_params_format_type(HTTP_FORMAT_HTML) : type, NULL);
    http_link_alternates(exchange, out);
}

static bool is_left_out(struct span name, uint64_t without)
{
    for (uint64_t left = without; left; left &= left - 1) {
        enum http_param param = (enum http_param)__builtin_ctzll(left);

        if (span_equal(name, span_of_str(http_params_text(param)->name)))
            return true;
    }
    return false;
}

/* What of the request's query stays, and one more. Escaped as URLs are, it needs no other. */
static void put_query_again(const struct http_exchange *exchange, uint64_t without,
                            const char *name, struct span value, struct buffer *out)
{
    char separator = '?';

    for (size_t i = 0; i < exchange->query.count; i++) {
        const struct http_pair *pair = &exchange->query.pairs[i];

        if (is_left_out(pair->name, without))
            continue;
        buffer_put_u8(out, (uint8_t)separator);
        http_request_put_escaped(out, pair->name);
        buffer_put_u8(out, '=');
        http_request_put_escaped(out, pair->value);
        separator = '&';
    }
    if (!name)
        return;
    buffer_put_u8(out, (uint8_t)separator);
    buffer_put_str(out, name);
    buffer_put_u8(out, '=');
    http_request_put_escaped(out, value);
}

void http_link_put_again(const struct http_exchange *exchange, uint64_t without, const char *name,
                         struct span value, struct buffer *out)
{
    http_link_put_root(exchange, out);
    buffer_put_span(out, exchange->request.path);
    put_query_again(exchange, without, name, value, out);
}

void http_link_again(const struct http_exchange *exchange, const char *rel, const char *type,
                     uint64_t without, const char *name, struct span value, struct buffer *out)
{
    begin_link(out, rel);
    put_root_text(exchange, out);
    json_put_text(out, exchange->request.path);
    put_query_again(exchange, without, name, value, out);
    end_link(out, type, NULL);
}

/* In a link that was written before, between its ends. */
struct written {
    uint64_t without; /* what it leaves out */
    size_t at, size;  /* of the URL up to "f=" in the buffer; size 0: none was written */
};

static void put_alternate(const struct http_exchange *exchange, uint64_t without,
                          enum http_format format, struct written *written, struct buffer *out)
{
    size_t from;

    begin_link(out, "alternate");
    from = out->size;
    if (written->size > 0 && written->without == without) {
        if (buffer_reserve(out, written->size)) /* Its own bytes may move. */
            return;
        buffer_put(out, out->data + written->at, written->size);
    } else {
        put_root_text(exchange, out);
        json_put_text(out, exchange->request.path);
        put_query_again(exchange, without, "f", (struct span){0}, out);
        *written = (struct written){.without = without, .at = from, .size = out->size - from};
    }
    buffer_put_str(out, http_params_format_name(format)); /* Letters only. */
    end_link(out, http_params_format_type(format), NULL);
}

void http_link_alternates(const struct http_exchange *exchange, struct buffer *out)
{
    /* Only GeoJSON has a place for these; and a table knows degrees only. */
    static const uint64_t beside =
        HTTP_PARAM_BIT(F) | HTTP_PARAM_BIT(FACETS) | HTTP_PARAM_BIT(EXPLAIN);
    enum http_format own = exchange->html ? HTTP_FORMAT_HTML : exchange->params.format;
    struct written written = {0};

    for (unsigned i = HTTP_FORMAT_JSON; i <= HTTP_FORMAT_LAST; i <<= 1) {
        enum http_format format = (enum http_format)i;
        uint64_t without = format == HTTP_FORMAT_CSV || http_formats_mine(format)
                               ? beside | HTTP_PARAM_BIT(CRS)
                               : beside;

        if (!(exchange->route->formats & i) || format == own ||
            !http_formats_would_fit(exchange, format))
            continue;
        if (!(exchange->params.given & HTTP_PARAM_BIT(CRS)))
            without = beside; /* Nothing to leave out: the link as it is. */
        put_alternate(exchange, without, format, &written, out);
    }
}
