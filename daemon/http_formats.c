/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_formats.h"

#include "daemon/http_link.h"
#include "daemon/http_reply.h"
#include "protocol/listing_ical.h"
#include "protocol/listing_jsonld.h"

/* What has a start, and so can stand in a calendar. */
#define DATED (1u << COLLECTION_EVENTS | 1u << COLLECTION_COURSES)

bool http_formats_mine(enum http_format format)
{
    return format == HTTP_FORMAT_ICS || format == HTTP_FORMAT_JSONLD;
}

bool http_formats_would_fit(const struct http_exchange *exchange, enum http_format format)
{
    uint32_t collections = exchange->params.query.collections;

    if (format == HTTP_FORMAT_ICS)
        return collections && !(collections & ~DATED);
    /* Columns and words are those of listings; a local collection's features have neither. */
    return (format != HTTP_FORMAT_JSONLD && format != HTTP_FORMAT_CSV) || collections;
}

bool http_formats_fit(struct http_exchange *exchange)
{
    struct problems problems;

    if (http_formats_would_fit(exchange, exchange->params.format))
        return true;
    problems.count = 0;
    problems_add(&problems, "f", "ics is for the collections events and courses");
    http_reply_problems(exchange, 400, "invalid-parameter",
                        "A calendar holds what has a start; /search needs collections=events.",
                        &problems);
    return false;
}

void http_formats_begin(struct http_exchange *exchange)
{
    struct buffer *out = &exchange->reply.body;

    if (exchange->params.format == HTTP_FORMAT_ICS)
        listing_ical_begin(out, span_of_str(exchange->node->config->name));
    else
        buffer_put_str(out, "{\"@context\":\"" LISTING_JSONLD_CONTEXT "\",\"@graph\":[");
}

enum torg_err http_formats_put(struct http_exchange *exchange, struct span feature)
{
    struct buffer *out = &exchange->reply.body;
    struct buffer base = {0};
    enum torg_err err;

    if (exchange->params.format == HTTP_FORMAT_ICS)
        return listing_put_ical(feature, exchange->params.text_tag, out);
    if (out->size && out->data[out->size - 1] == '}')
        buffer_put_str(out, ",\n");
    http_link_put_base(exchange, &base);
    err = base.err ? base.err : listing_put_jsonld(feature, buffer_span(&base), out);
    buffer_done(&base);
    return err;
}

void http_formats_end(struct http_exchange *exchange)
{
    if (exchange->params.format == HTTP_FORMAT_ICS)
        listing_ical_end(&exchange->reply.body);
    else
        buffer_put_str(&exchange->reply.body, "]}\n");
}
