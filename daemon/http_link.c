/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_link.h"

#include <stdarg.h>
#include <stdio.h>

#include "daemon/http_formats.h"
#include "daemon/http_router.h"
#include "daemon/json_out.h"

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

static void put_link(struct buffer *out, const char *rel, const char *type, const char *title,
                     const struct buffer *href)
{
    json_out_begin(out, NULL, '{');
    json_out_text(out, "rel", rel);
    json_out_span(out, "href", buffer_span(href));
    if (type)
        json_out_text(out, "type", type);
    if (title)
        json_out_text(out, "title", title);
    json_out_end(out, '}');
    if (href->err && !out->err)
        out->err = href->err;
}

void http_link_put(const struct http_exchange *exchange, struct buffer *out, const char *rel,
                   const char *type, const char *title, const char *format, ...)
{
    char text[HREF_BYTES_MAX];
    struct buffer href = {0};
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    http_link_put_base(exchange, &href);
    buffer_put_str(&href, text);
    put_link(out, rel, type, title, &href);
    buffer_done(&href);
}

void http_link_self(const struct http_exchange *exchange, struct buffer *out, const char *type)
{
    struct buffer href = {0};

    http_link_put_root(exchange, &href);
    buffer_put_span(&href, exchange->request.path);
    if (exchange->request.query.size > 0) {
        buffer_put_u8(&href, '?');
        buffer_put_span(&href, exchange->request.query);
    }
    put_link(out, "self", exchange->html ? http_params_format_type(HTTP_FORMAT_HTML) : type, NULL,
             &href);
    buffer_done(&href);
    http_link_alternates(exchange, out);
}

static bool is_left_out(struct span name, uint64_t without)
{
    for (enum http_param i = 0; i < HTTP_PARAM_COUNT; i++) {
        if ((without >> i & 1) && span_equal(name, span_of_str(http_params_text(i)->name)))
            return true;
    }
    return false;
}

void http_link_put_again(const struct http_exchange *exchange, uint64_t without, const char *name,
                         struct span value, struct buffer *out)
{
    char separator = '?';

    http_link_put_root(exchange, out);
    buffer_put_span(out, exchange->request.path);
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
    if (name) {
        buffer_printf(out, "%c%s=", separator, name);
        http_request_put_escaped(out, value);
    }
}

/* The same link but for the format, as JSON without its closing quote, ready for "f=". */
static void put_again_json(const struct http_exchange *exchange, uint64_t without,
                           struct buffer *scratch, struct buffer *out)
{
    buffer_clear(scratch);
    buffer_clear(out);
    http_link_put_again(exchange, without, "f", (struct span){0}, scratch);
    json_out_span(out, NULL, buffer_span(scratch));
    if (scratch->err && !out->err)
        out->err = scratch->err;
    if (!out->err)
        out->size--;
}

static void put_alternate(struct buffer *out, const struct buffer *link, enum http_format format)
{
    json_out_begin(out, NULL, '{');
    json_out_text(out, "rel", "alternate");
    json_out_raw(out, "href", buffer_span(link));
    buffer_put_str(out, http_params_format_name(format)); /* Letters only. */
    buffer_put_u8(out, '"');
    json_out_text(out, "type", http_params_format_type(format));
    json_out_end(out, '}');
    if (link->err && !out->err)
        out->err = link->err;
}

void http_link_alternates(const struct http_exchange *exchange, struct buffer *out)
{
    /* Only GeoJSON has a place for these; and a table knows degrees only. */
    static const uint64_t beside =
        HTTP_PARAM_BIT(F) | HTTP_PARAM_BIT(FACETS) | HTTP_PARAM_BIT(EXPLAIN);
    enum http_format own = exchange->html ? HTTP_FORMAT_HTML : exchange->params.format;
    struct buffer scratch = {0}, link = {0};
    uint64_t written = 0; /* what link leaves out; 0: it is empty */

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
        if (without != written)
            put_again_json(exchange, without, &scratch, &link);
        written = without;
        put_alternate(out, &link, format);
    }
    buffer_done(&scratch);
    buffer_done(&link);
}
