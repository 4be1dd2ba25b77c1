/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_write.h"
#include "daemon/http_link.h"
#include "daemon/http_reply.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/http_items.h"
#include "daemon/log.h"
#include "index/shape_region.h"
#include "index/store.h"
#include "protocol/change.h"
#include "protocol/listing_geojson.h"

#define JSON_MESSAGE_BYTES_MAX 200
/* Of texts that are given as plain strings. */
#define DEFAULT_LANGUAGE "sv"

/* One write while it waits; exchange->state. The writer's thread reads it, nobody changes it. */
struct write {
    uint8_t collection;
    struct feature_id id;
    bool must_exist;      /* PUT, DELETE */
    struct span if_match; /* in the exchange's head; data NULL if there is none */
};

/* ---- in the writer's thread ---- */

static enum torg_err check_before(void *context, const struct kv *kv)
{
    const struct http_exchange *exchange = context;
    const struct write *write = exchange->state;
    struct document document;
    enum torg_err err;

    if (!write->must_exist)
        return TORG_OK;
    err = catalogue_find(kv, write->collection, &write->id, &document);
    if (err)
        return err;
    if (write->if_match.data && !http_items_etag_matches(write->if_match, document.etag))
        return TORG_E_MISMATCH;
    return TORG_OK;
}

/* ---- the answer, on the worker's loop ---- */

static enum torg_err reply_written(struct http_exchange *exchange, const struct write *write)
{
    char text[FEATURE_ID_SIZE + 1];
    struct buffer url = {0};
    struct kv kv;
    enum torg_err err = store_read_begin(exchange->node->store, &kv);

    if (err)
        return err;
    err = http_items_reply_one(exchange, &kv, write->collection, &write->id,
                               exchange->request.method == HTTP_POST ? 201 : 200);
    store_read_end(&kv);
    if (err)
        return err;
    exchange->reply.cache = "no-store";
    feature_id_format(&write->id, text);
    http_link_put_base(exchange, &url);
    buffer_printf(&url, "/collections/%s/items/%s", collection_name(write->collection), text);
    buffer_put_u8(&url, 0);
    err = url.err;
    if (!err && exchange->request.method == HTTP_POST)
        http_reply_field(exchange, "Location", "%s", (const char *)url.data);
    buffer_done(&url);
    return err;
}

static void reply_result(struct http_exchange *exchange, const struct write *write,
                         enum torg_err err)
{
    if (!err && exchange->request.method == HTTP_DELETE) {
        exchange->reply.status = 204;
        exchange->reply.cache = "no-store";
        return;
    }
    if (!err)
        err = reply_written(exchange, write);
    if (err == TORG_E_NOT_FOUND)
        http_reply_problem(exchange, 404, NULL, "There is no listing with this id.");
    else if (err == TORG_E_MISMATCH)
        http_reply_problem(exchange, 412, NULL,
                           "The listing has changed since: read it again and take its ETag.");
    else if (err)
        http_reply_error(exchange, err);
}

static void on_written(void *context, const struct writer_result *result)
{
    struct http_exchange *exchange = context;
    struct write *write = exchange->state;

    reply_result(exchange, write, result->err);
    if (!result->err)
        log_event(LOG_INFO, "http.written", "method=%s collection=%s by=%s hno=%llu seq=%llu",
                  http_request_method_name(exchange->request.method),
                  collection_name(write->collection), exchange->token.id,
                  (unsigned long long)result->hno, (unsigned long long)result->seq);
    exchange->state = NULL;
    free(write);
    http_exchange_finish(exchange);
}

/* ---- the request ---- */

/* The body as a packed payload; false when a reply says what is wrong with it. */
static bool make_payload(struct http_exchange *exchange, uint8_t collection, int64_t created_ms,
                         struct buffer *ret_payload)
{
    static struct problems none;
    struct problems *problems = malloc(sizeof(*problems));
    char message[JSON_MESSAGE_BYTES_MAX] = "";
    struct buffer body = {0};
    uint8_t nonce[16];
    json_t *json = NULL;
    bool made = false;
    enum torg_err err = TORG_E_NOMEM;

    if (!problems)
        goto done;
    *problems = none;
    err = listing_json_parse(buffer_span(&exchange->body), &json, message, sizeof(message));
    if (err == TORG_E_INVALID || err == TORG_E_TOO_BIG) {
        http_reply_problem(exchange, 400, "invalid-json",
                           "The body is no JSON that can be taken: %s", message);
        goto done;
    }
    if (!err)
        err = listing_of_geojson(collection, json, DEFAULT_LANGUAGE, created_ms, exchange->now_ms,
                                 &body, problems);
    if (!err)
        err = shape_check_listing(collection, buffer_span(&body), problems);
    if (err == TORG_E_INVALID) {
        http_reply_problems(exchange, 422, "invalid-listing",
                            "The listing was not stored: errors names every field to mend.",
                            problems);
        goto done;
    }
    if (err)
        goto done;
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
    if (json)
        json_decref(json);
    buffer_done(&body);
    free(problems);
    return made;
}

static bool may_write(struct http_exchange *exchange)
{
    if (exchange->node->has_own)
        return true;
    http_reply_problem(exchange, 403, "no-own-origin",
                       "This node publishes nothing itself: it only holds what others publish.");
    return false;
}

/* A foreign listing can be changed at its own origin's node only. */
static bool is_own(struct http_exchange *exchange, const struct feature_id *id)
{
    if (memcmp(id->origin_prefix, exchange->node->own.bytes, sizeof(id->origin_prefix)) == 0)
        return true;
    http_reply_problem(exchange, 403, "foreign-listing",
                       "This listing is another origin's: only its own node can change it.");
    return false;
}

static enum torg_err submit(struct http_exchange *exchange, uint8_t collection,
                            const struct feature_id *id, struct span payload)
{
    const struct span *if_match = http_request_field(&exchange->request, "if-match");
    struct local_change change = {.collection = collection, .id = id->id, .payload = payload};
    struct write *write = calloc(1, sizeof(*write));
    enum torg_err err;

    if (!write)
        return TORG_E_NOMEM;
    write->collection = collection;
    write->id = *id;
    write->must_exist = exchange->request.method != HTTP_POST;
    if (if_match)
        write->if_match = *if_match;
    exchange->state = write;
    exchange->pending = true;
    err = writer_submit_local(exchange->node->writer, &change, 1, check_before,
                              http_exchange_loop(exchange), on_written, exchange);
    if (err) {
        exchange->pending = false;
        exchange->state = NULL;
        free(write);
    }
    return err;
}

enum torg_err http_write_post(struct http_exchange *exchange)
{
    uint8_t collection = http_items_collection(exchange);
    struct buffer payload = {0};
    struct feature_id id;
    enum torg_err err = TORG_OK;

    if (!collection || !may_write(exchange))
        return TORG_OK;
    if (make_payload(exchange, collection, exchange->now_ms, &payload)) {
        memcpy(id.origin_prefix, exchange->node->own.bytes, sizeof(id.origin_prefix));
        randombytes_buf(id.id.bytes, sizeof(id.id.bytes));
        err = submit(exchange, collection, &id, buffer_span(&payload));
    }
    buffer_done(&payload);
    return err;
}

/* When the listing that is replaced was made; also tells soon that there is none. */
static enum torg_err created_of(struct http_exchange *exchange, uint8_t collection,
                                const struct feature_id *id, int64_t *ret_created_ms)
{
    struct document document;
    struct kv kv;
    enum torg_err err = store_read_begin(exchange->node->store, &kv);

    if (err)
        return err;
    err = catalogue_find(&kv, collection, id, &document);
    if (!err)
        *ret_created_ms = document.created_ms;
    store_read_end(&kv);
    return err;
}

enum torg_err http_write_put(struct http_exchange *exchange)
{
    uint8_t collection = http_items_collection(exchange);
    struct buffer payload = {0};
    struct feature_id id;
    int64_t created_ms;
    enum torg_err err;

    if (!collection || !may_write(exchange) || !http_items_id(exchange, &id) ||
        !is_own(exchange, &id))
        return TORG_OK;
    err = created_of(exchange, collection, &id, &created_ms);
    if (!err && make_payload(exchange, collection, created_ms, &payload))
        err = submit(exchange, collection, &id, buffer_span(&payload));
    buffer_done(&payload);
    return err;
}

enum torg_err http_write_delete(struct http_exchange *exchange)
{
    uint8_t collection = http_items_collection(exchange);
    struct feature_id id;

    if (!collection || !may_write(exchange) || !http_items_id(exchange, &id) ||
        !is_own(exchange, &id))
        return TORG_OK;
    return submit(exchange, collection, &id, (struct span){0});
}
