/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_item.h"
#include "daemon/http_link.h"
#include "daemon/http_reply.h"

#include <stdio.h>
#include <string.h>

#include "daemon/http_crs.h"
#include "daemon/http_formats.h"
#include "daemon/http_origins.h"
#include "daemon/http_personal.h"
#include "daemon/http_tag.h"
#include "daemon/json_out.h"

#define ETAG_TEXT_SIZE 36 /* 32 hex digits in quotes, and what names the system */

/* The answer's system; NULL for the one that listings are stored in. */
enum torg_err http_item_open_transform(const struct http_exchange *exchange,
                                       struct geo_transform **ret_transform)
{
    *ret_transform = NULL;
    if (exchange->params.crs == GEO_CRS84)
        return TORG_OK;
    return geo_transform_new(exchange->params.crs, ret_transform);
}

/* document->feature in the answer's system, standing in scratch until the next call. */
enum torg_err http_item_project(const struct http_exchange *exchange,
                                struct geo_transform *transform, struct buffer *scratch,
                                struct document *document)
{
    enum torg_err err;

    if (!transform)
        return TORG_OK;
    buffer_clear(scratch);
    err = document->collection
              ? http_crs_put_listing(transform, exchange->params.crs, document->feature, scratch)
              : http_crs_put_feature(transform, exchange->params.crs, document->feature, scratch);
    if (!err)
        document->feature = buffer_span(scratch);
    return err;
}

void http_item_reply_content_crs(struct http_exchange *exchange)
{
    http_reply_field_of(exchange, "Content-Crs", "<", http_crs_uri(exchange->params.crs), ">",
                        NULL);
}

/*
 * "32 hex digits", and in another system than CRS84 "digits-crs": other bytes
 * need another strong tag (RFC 9110, 8.8.1).
 */
static void etag_put(const uint8_t etag[16], enum geo_crs crs, char out[ETAG_TEXT_SIZE + 1])
{
    char digits[33];

    hex_encode(etag, 16, digits);
    if (crs == GEO_CRS84)
        (void)snprintf(out, ETAG_TEXT_SIZE + 1, "\"%s\"", digits);
    else
        (void)snprintf(out, ETAG_TEXT_SIZE + 1, "\"%s-%u\"", digits, (unsigned)crs % 10);
}

/*
 * Is this element of a condition a star, or the listing's tag in any coordinate system?
 * A condition may have thousands of elements: what has other digits is not compared with each.
 */
static bool names_listing(struct span element, const uint8_t etag[16], const char digits[33])
{
    if (span_equal(element, span_of_str("*")))
        return true;
    if (element.size < 33 || memcmp(element.data + 1, digits, 32) != 0)
        return false;
    for (enum geo_crs crs = GEO_CRS84; http_crs_uri(crs); crs++) {
        char text[ETAG_TEXT_SIZE + 1];

        etag_put(etag, crs, text);
        if (span_equal(element, span_of_str(text)))
            return true;
    }
    return false;
}

/* RFC 9110, 8.8.3.2: a weak tag never matches, unless weak says that it does for this. */
static bool any_names_listing(const struct http_request *request, const char *field, bool weak,
                              const uint8_t etag[16])
{
    char digits[33];

    hex_encode(etag, 16, digits);
    for (size_t i = 0; i < request->field_count; i++) {
        struct span list = request->fields[i].value;
        struct span element;

        if (!http_request_name_equal(request->fields[i].name, field))
            continue;
        while (http_request_list_next(&list, &element)) {
            if (names_listing(weak ? http_tag_opaque(element) : element, etag, digits))
                return true;
        }
    }
    return false;
}

static bool is_meant(const struct http_request *request, const uint8_t etag[16])
{
    return !http_request_field(request, "if-match") ||
           any_names_listing(request, "if-match", false, etag);
}

bool http_item_may_change(const struct http_request *request, const uint8_t etag[16])
{
    return is_meant(request, etag) && !any_names_listing(request, "if-none-match", true, etag);
}

static void put_one(struct http_exchange *exchange, const struct document *document, const char *id)
{
    struct buffer *out = &exchange->reply.body;
    const char *collection = collection_name(document->collection);
    const char *type = http_params_format_type(HTTP_FORMAT_GEOJSON);

    buffer_put(out, document->feature.data, document->feature.size - 1);
    json_out_begin(out, "links", '[');
    http_link_put(exchange, out, "self", type, NULL, "/collections/%s/items/%s", collection, id);
    if (exchange->request.method & (HTTP_GET | HTTP_HEAD))
        http_link_alternates(exchange, out);
    http_link_put(exchange, out, "collection", "application/json", NULL, "/collections/%s",
                  collection);
    json_out_end(out, ']');
    buffer_put_str(out, "}\n");
}

/* Tag, coordinate system, age; and the body unless the client has it. */
static void reply_document(struct http_exchange *exchange, const struct http_origins *origins,
                           const struct document *document, const struct feature_id *id, int status)
{
    struct query of_origin = {.origins = {document->origin_number}, .origin_count = 1};
    char etag[ETAG_TEXT_SIZE + 1];
    char text[FEATURE_ID_SIZE + 1];

    if (exchange->request.method & (HTTP_GET | HTTP_HEAD) &&
        !is_meant(&exchange->request, document->etag)) {
        http_reply_problem(exchange, 412, NULL,
                           "The listing has changed since: read it again and take its ETag.");
        return;
    }
    etag_put(document->etag, exchange->params.crs, etag);
    feature_id_format(id, text);
    if (status == 200 && !exchange->html && http_tag_known(exchange, etag)) {
        http_reply_begin(exchange, 304, NULL);
    } else {
        http_reply_begin(exchange, status, http_params_format_type(HTTP_FORMAT_GEOJSON));
        put_one(exchange, document, text);
    }
    if (!exchange->html) { /* The tag names the bytes, and a page has others. */
        exchange->reply.has_etag = true;
        http_reply_field(exchange, "ETag", "%s", etag);
        http_reply_last_modified(exchange, document->modified_ms);
    }
    http_item_reply_content_crs(exchange);
    http_origins_reply_as_of(exchange, origins, &of_origin);
}

/* The listing in a format that has no tag of its own. */
static enum torg_err reply_format(struct http_exchange *exchange,
                                  const struct http_origins *origins,
                                  const struct document *document)
{
    struct query of_origin = {.origins = {document->origin_number}, .origin_count = 1};
    enum torg_err err;

    http_reply_begin(exchange, 200, http_params_format_type(exchange->params.format));
    http_reply_last_modified(exchange, document->modified_ms);
    http_origins_reply_as_of(exchange, origins, &of_origin);
    http_formats_begin(exchange);
    err = http_formats_put(exchange, document->feature);
    http_formats_end(exchange);
    return err;
}

/* As catalogue_find, by the origins that are known already. */
static enum torg_err find_document(const struct kv *kv, const struct http_origins *origins,
                                   uint8_t collection, const struct feature_id *id,
                                   struct document *ret_document)
{
    enum torg_err err = TORG_E_NOT_FOUND;

    for (size_t i = 0; i < origins->count && err == TORG_E_NOT_FOUND; i++) {
        const struct http_origin *origin = &origins->items[i];

        if (memcmp(origin->id.bytes, id->origin_prefix, sizeof(id->origin_prefix)) == 0)
            err = catalogue_find_of(kv, origin->number, collection, &id->id, ret_document);
    }
    return err;
}

enum torg_err http_item_reply(struct http_exchange *exchange, const struct kv *kv,
                              uint8_t collection, const struct feature_id *id, int status)
{
    const struct http_origins *origins;
    struct geo_transform *transform = NULL;
    struct document document;
    struct buffer scratch = {0}, projected = {0};
    enum torg_err err = http_origins_get(exchange, kv, &origins);

    if (!err)
        err = find_document(kv, origins, collection, id, &document);
    if (!err)
        err = http_personal_feature(exchange, kv, origins, &scratch, &document);
    if (!err)
        err = http_item_open_transform(exchange, &transform);
    if (!err)
        err = http_item_project(exchange, transform, &projected, &document);
    if (!err && http_formats_mine(exchange->params.format))
        err = reply_format(exchange, origins, &document);
    else if (!err)
        reply_document(exchange, origins, &document, id, status);
    geo_transform_free(transform);
    buffer_done(&scratch);
    buffer_done(&projected);
    return err;
}
