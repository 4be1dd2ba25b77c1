/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_write_listing.h"
#include "daemon/http_crs.h"
#include "daemon/http_reply.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "index/shape_region.h"
#include "protocol/change.h"
#include "protocol/listing_geojson.h"

#define JSON_MESSAGE_BYTES_MAX 200
/* Of texts that are given as plain strings. */
#define DEFAULT_LANGUAGE "sv"

/* <URI> in Content-Crs says in which system the body's positions are; CRS84 without. */
static bool read_system(struct http_exchange *exchange, enum geo_crs *ret_crs)
{
    const struct span *field = http_request_field(&exchange->request, "content-crs");

    *ret_crs = GEO_CRS84;
    if (!field ||
        (field->size > 2 && field->data[0] == '<' && field->data[field->size - 1] == '>' &&
         http_crs_find(span_of(field->data + 1, field->size - 2), ret_crs)))
        return true;
    http_reply_problem(
        exchange, 400, "invalid-crs", "Content-Crs must be one of <%s>, <%s>, <%s>, <%s> and <%s>.",
        http_crs_at(0), http_crs_at(1), http_crs_at(2), http_crs_at(3), http_crs_at(4));
    return false;
}

static bool to_degrees(struct http_exchange *exchange, enum geo_crs crs, json_t *json)
{
    struct problems *problems = calloc(1, sizeof(*problems));
    enum torg_err err = problems ? http_crs_read_listing(crs, json, problems) : TORG_E_NOMEM;
    bool good = !err && problems->count == 0;

    if (err)
        http_reply_error(exchange, err);
    else if (!good)
        http_reply_problems(exchange, 422, "invalid-listing",
                            "The listing was not stored: errors names every field to mend.",
                            problems);
    free(problems);
    return good;
}

bool http_write_listing_json(struct http_exchange *exchange, json_t **ret_json)
{
    char message[JSON_MESSAGE_BYTES_MAX] = "";
    enum geo_crs crs;
    enum torg_err err;

    if (!read_system(exchange, &crs))
        return false;
    err = listing_json_parse(buffer_span(&exchange->body), ret_json, message, sizeof(message));

    if (!err && (crs == GEO_CRS84 || to_degrees(exchange, crs, *ret_json)))
        return true;
    if (!err)
        json_decref(*ret_json);
    else if (err == TORG_E_INVALID || err == TORG_E_TOO_BIG)
        http_reply_problem(exchange, 400, "invalid-json",
                           "The body is no JSON that can be taken: %s", message);
    else
        http_reply_error(exchange, err);
    return false;
}

static enum torg_err pack_body(struct http_exchange *exchange, uint8_t collection,
                               const json_t *feature, int64_t created_ms, struct buffer *body)
{
    struct problems *problems = calloc(1, sizeof(*problems));
    enum torg_err err;

    if (!problems)
        return TORG_E_NOMEM;
    err = listing_of_geojson(collection, feature, DEFAULT_LANGUAGE, created_ms, exchange->now_ms,
                             body, problems);
    if (!err)
        err = shape_check_listing(collection, buffer_span(body), problems);
    if (err == TORG_E_INVALID)
        http_reply_problems(exchange, 422, "invalid-listing",
                            "The listing was not stored: errors names every field to mend.",
                            problems);
    free(problems);
    return err;
}

bool http_write_listing_pack(struct http_exchange *exchange, uint8_t collection,
                             const json_t *feature, int64_t created_ms, struct buffer *ret_payload,
                             uint8_t ret_provider[LISTING_REFERENCE_SIZE])
{
    struct listing_fields fields;
    struct buffer body = {0};
    uint8_t nonce[16];
    bool made = false;
    enum torg_err err = pack_body(exchange, collection, feature, created_ms, &body);

    if (!err)
        err = listing_fields_read(collection, buffer_span(&body), &fields);
    if (err)
        goto done;
    memcpy(ret_provider, fields.provider, LISTING_REFERENCE_SIZE);
    randombytes_buf(nonce, sizeof(nonce));
    payload_pack(nonce, PAYLOAD_SCHEMA, buffer_span(&body), ret_payload);
    err = ret_payload->err;
    made = !err && ret_payload->size <= PAYLOAD_BYTES_MAX;
    if (!err && !made)
        http_reply_problem(exchange, 422, "invalid-listing",
                           "The listing has %zu bytes when packed, %d are allowed.",
                           ret_payload->size, PAYLOAD_BYTES_MAX);
done:
    if (err && !exchange->reply.status)
        http_reply_error(exchange, err);
    buffer_done(&body);
    return made;
}

/* Both are at most as deep as listing_json_parse takes. False when memory ran out. */
static bool merge(json_t *target, const json_t *patch)
{
    for (void *at = json_object_iter((json_t *)(uintptr_t)patch); at;
         at = json_object_iter_next((json_t *)(uintptr_t)patch, at)) {
        const char *name = json_object_iter_key(at);
        json_t *value = json_object_iter_value(at);
        json_t *held = json_object_get(target, name);

        if (json_is_null(value)) {
            (void)json_object_del(target, name);
            continue;
        }
        if (!json_is_object(value)) {
            if (json_object_set_new(target, name, json_deep_copy(value)))
                return false;
            continue;
        }
        if (!json_is_object(held)) { /* Into an empty one, so that its nulls are taken away. */
            held = json_object();
            if (json_object_set_new(target, name, held))
                return false;
        }
        if (!merge(held, value))
            return false;
    }
    return true;
}

enum torg_err http_write_listing_merge(const struct document *document, const json_t *patch,
                                       json_t **ret_feature)
{
    json_t *feature =
        json_loadb((const char *)document->feature.data, document->feature.size, 0, NULL);

    if (!json_is_object(feature)) {
        json_decref(feature);
        return TORG_E_CORRUPT;
    }
    if (!merge(feature, patch)) {
        json_decref(feature);
        return TORG_E_NOMEM;
    }
    *ret_feature = feature;
    return TORG_OK;
}
