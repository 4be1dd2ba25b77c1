/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_write.h"
#include "daemon/http_link.h"
#include "daemon/http_reply.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/http_item.h"
#include "daemon/http_items.h"
#include "daemon/http_local.h"
#include "daemon/http_write_listing.h"
#include "daemon/log.h"
#include "index/answer.h"
#include "index/store.h"
#include "protocol/seal.h"

/* One write while it waits; exchange->state. The writer's thread alone changes what it found. */
struct write {
    uint8_t collection;
    struct feature_id id;
    bool must_exist; /* PUT, PATCH, DELETE */
    bool is_patch;   /* then of the listing with this tag: */
    uint8_t patched[16];
    bool has_key; /* Idempotency-Key */
    struct answer_key key;
    struct answer answer; /* to be kept */
    /* found inside the transaction */
    bool repeated; /* answer is what the first of these requests made */
};

/* ---- rights ---- */

static bool is_company(const struct feature_id *company, const uint8_t provider[])
{
    return memcmp(company->origin_prefix, provider, sizeof(company->origin_prefix)) == 0 &&
           memcmp(company->id.bytes, provider + sizeof(company->origin_prefix),
                  sizeof(company->id.bytes)) == 0;
}

/* May this token change the listing as it stands in the store? */
static enum torg_err check_rights(const struct token *token, const struct kv *kv,
                                  const struct document *document, const struct feature_id *id)
{
    struct listing_fields fields;
    struct listing_meta meta;
    struct span body;
    enum torg_err err;

    if (token->role != TOKEN_ROLE_COMPANY)
        return TORG_OK;
    if (document->collection == COLLECTION_COMPANIES)
        return memcmp(id, &token->company, sizeof(*id)) == 0 ? TORG_OK : TORG_E_NOT_TRUSTED;
    err = catalogue_body(kv, document, &meta, &body);
    if (!err)
        err = listing_fields_read(document->collection, body, &fields);
    if (!err && !is_company(&token->company, fields.provider))
        err = TORG_E_NOT_TRUSTED;
    return err;
}

static void refuse_company(struct http_exchange *exchange)
{
    char id[FEATURE_ID_SIZE + 1];

    feature_id_format(&exchange->token.company, id);
    http_reply_problem(exchange, 403, "another-company",
                       "This token is for one company: it may change the company %s itself, and "
                       "listings whose provider that is.",
                       id);
}

static void refuse_company_saying(struct http_exchange *exchange)
{
    char id[FEATURE_ID_SIZE + 1];

    feature_id_format(&exchange->token.company, id);
    http_reply_problem(exchange, 403, "another-company",
                       "This token is for the company %s: it may not say movedTo, nor give its "
                       "company another identifiers.source, nor a listing one that another has.",
                       id);
}

/* What a token of one company may not do whatever stands in the store. */
static bool company_may(struct http_exchange *exchange, uint8_t collection)
{
    enum http_method method = exchange->request.method;

    if (exchange->token.role != TOKEN_ROLE_COMPANY || collection != COLLECTION_COMPANIES ||
        (method & (HTTP_PUT | HTTP_PATCH)))
        return true;
    refuse_company(exchange);
    return false;
}

static bool provider_may(struct http_exchange *exchange, uint8_t collection,
                         const uint8_t provider[LISTING_REFERENCE_SIZE])
{
    if (exchange->token.role != TOKEN_ROLE_COMPANY || collection == COLLECTION_COMPANIES ||
        is_company(&exchange->token.company, provider))
        return true;
    refuse_company(exchange);
    return false;
}

/* The fields of the company's own entry as it stands; they borrow from kv. */
static enum torg_err fields_stored(const struct kv *kv, const struct write *write,
                                   struct listing_fields *ret_fields)
{
    struct document document;
    struct listing_meta meta;
    struct span body;
    enum torg_err err = catalogue_find(kv, write->collection, &write->id, &document);

    if (!err)
        err = catalogue_body(kv, &document, &meta, &body);
    return err ? err : listing_fields_read(write->collection, body, ret_fields);
}

/*
 * An import finds by identifiers.source what it changes, and whose the listings
 * are: with another's source a company would be given what is that one's.
 */
static enum torg_err check_source(struct http_exchange *exchange, const struct kv *kv,
                                  const struct write *write, const struct listing_fields *fields)
{
    struct replica_origin origin;
    struct listing_fields stored;
    struct listing_id found;
    enum torg_err err;

    if (write->collection == COLLECTION_COMPANIES) {
        err = fields_stored(kv, write, &stored);
        if (!err && (!span_equal(fields->source_system, stored.source_system) ||
                     !span_equal(fields->source_id, stored.source_id)))
            err = TORG_E_NOT_TRUSTED;
        return err;
    }
    if (fields->source_system.size == 0 && fields->source_id.size == 0)
        return TORG_OK;
    err = replica_origin_get(kv, &exchange->node->own, &origin);
    if (!err)
        err = catalogue_source_find(kv, origin.number, write->collection, fields->source_system,
                                    fields->source_id, &found);
    if (!err && memcmp(&found, &write->id.id, sizeof(found)) != 0)
        err = TORG_E_NOT_TRUSTED;
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

/* What a token of one company may not say in what it may write. */
static bool company_may_say(struct http_exchange *exchange, const struct write *write,
                            struct span packed)
{
    struct listing_fields fields;
    struct payload payload;
    struct kv kv;
    enum torg_err err;

    if (exchange->token.role != TOKEN_ROLE_COMPANY)
        return true;
    err = payload_parse(packed, &payload);
    if (!err)
        err = listing_fields_read(write->collection, payload.body, &fields);
    if (!err && fields.moved)
        err = TORG_E_NOT_TRUSTED; /* It would be gone, as if it had been deleted. */
    if (!err)
        err = store_read_begin(exchange->node->store, &kv);
    if (!err) {
        err = check_source(exchange, &kv, write, &fields);
        store_read_end(&kv);
    }
    if (err == TORG_E_NOT_TRUSTED)
        refuse_company_saying(exchange);
    else if (err)
        http_reply_error(exchange, err);
    return !err;
}

static bool may_write(struct http_exchange *exchange, uint8_t collection)
{
    if (!exchange->node->has_own) {
        http_reply_problem(exchange, 403, "no-own-origin",
                           "This node publishes nothing itself: it only holds what others "
                           "publish.");
        return false;
    }
    return company_may(exchange, collection);
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

/* Two editors at once: the second must see what the first has written (RFC 6585, 3). */
static bool has_condition(struct http_exchange *exchange)
{
    if (http_request_field(&exchange->request, "if-match"))
        return true;
    http_reply_problem(exchange, 428, NULL,
                       "This needs the field If-Match, with the listing's ETag; or with a star, "
                       "to write over whatever is there.");
    return false;
}

/* ---- in the writer's thread ---- */

static enum torg_err check_listing(const struct http_exchange *exchange, const struct write *write,
                                   const struct kv *kv)
{
    struct document document;
    enum torg_err err = catalogue_find(kv, write->collection, &write->id, &document);

    if (err)
        return err;
    if (!http_item_may_change(&exchange->request, document.etag))
        return TORG_E_MISMATCH;
    if (write->is_patch && memcmp(write->patched, document.etag, sizeof(write->patched)) != 0)
        return TORG_E_MISMATCH;
    return check_rights(&exchange->token, kv, &document, &write->id);
}

/* Was this very request carried out already? */
static enum torg_err check_key(struct write *write, const struct kv *kv)
{
    struct document document;
    struct answer found;
    enum torg_err err = answer_find(kv, &write->key, write->answer.at_ms, &found);

    if (!err && memcmp(found.request, write->answer.request, sizeof(found.request)) != 0)
        return TORG_E_UNEXPECTED;
    if (!err) {
        write->answer = found;
        write->repeated = true;
        return TORG_E_KNOWN;
    }
    if (err != TORG_E_NOT_FOUND)
        return err;
    /* The key makes the id: the listing of a key that is forgotten must not be written over. */
    err = catalogue_find(kv, write->collection, &write->id, &document);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err ? err : TORG_E_STALE;
}

static enum torg_err check_before(void *context, const struct kv *kv)
{
    const struct http_exchange *exchange = context;
    struct write *write = exchange->state;

    if (write->must_exist)
        return check_listing(exchange, write, kv);
    return write->has_key ? check_key(write, kv) : TORG_OK;
}

static enum torg_err keep_answer(void *context, struct kv *kv)
{
    const struct http_exchange *exchange = context;
    const struct write *write = exchange->state;

    return answer_put(kv, &write->key, &write->answer);
}

/* ---- the answer, on the worker's loop ---- */

static enum torg_err reply_written(struct http_exchange *exchange, uint8_t collection,
                                   const struct feature_id *id)
{
    char text[FEATURE_ID_SIZE + 1];
    struct buffer url = {0};
    struct kv kv;
    enum torg_err err = store_read_begin(exchange->node->store, &kv);

    if (err)
        return err;
    err = http_item_reply(exchange, &kv, collection, id,
                          exchange->request.method == HTTP_POST ? 201 : 200);
    store_read_end(&kv);
    if (err)
        return err;
    exchange->reply.cache = "no-store";
    feature_id_format(id, text);
    http_link_put_base(exchange, &url);
    buffer_printf(&url, "/collections/%s/items/%s", collection_name(collection), text);
    buffer_put_u8(&url, 0);
    err = url.err;
    if (!err && exchange->request.method == HTTP_POST)
        http_reply_field(exchange, "Location", "%s", (const char *)url.data);
    buffer_done(&url);
    return err;
}

/* Flat: one line for each way in which a write can be refused. */
static void reply_refused(struct http_exchange *exchange, const struct write *write,
                          enum torg_err err)
{
    switch (err) {
    case TORG_E_NOT_FOUND:
        if (write->repeated)
            http_reply_problem(exchange, 410, NULL,
                               "This request was carried out; its listing has been deleted since.");
        else
            http_reply_problem(exchange, 404, NULL, "There is no listing with this id.");
        return;
    case TORG_E_MISMATCH:
        http_reply_problem(exchange, 412, NULL,
                           "The listing has changed since: read it again and take its ETag.");
        return;
    case TORG_E_NOT_TRUSTED:
        refuse_company(exchange);
        return;
    case TORG_E_UNEXPECTED:
        http_reply_problem(exchange, 422, "idempotency-key",
                           "This Idempotency-Key was used for another request: take a new one.");
        return;
    case TORG_E_STALE:
        http_reply_problem(exchange, 422, "idempotency-key",
                           "This Idempotency-Key was used more than a day ago: take a new one.");
        return;
    default:
        http_reply_error(exchange, err);
    }
}

static void reply_result(struct http_exchange *exchange, const struct write *write,
                         enum torg_err err)
{
    if (!err && exchange->request.method == HTTP_DELETE) {
        exchange->reply.status = 204;
        exchange->reply.cache = "no-store";
        return;
    }
    if (!err) {
        err = reply_written(exchange, write->collection, &write->id);
        if (err == TORG_E_NOT_FOUND) { /* What says movedTo is shown no more. */
            exchange->reply.status = 204;
            exchange->reply.cache = "no-store";
            return;
        }
    } else if (err == TORG_E_KNOWN && write->repeated)
        err = reply_written(exchange, write->answer.collection, &write->answer.id);
    if (err)
        reply_refused(exchange, write, err);
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

/* write, which it takes: also when it fails. */
static enum torg_err submit(struct http_exchange *exchange, struct write *write,
                            struct span payload)
{
    struct local_change change = {
        .collection = write->collection, .id = write->id.id, .payload = payload};
    enum torg_err err;

    write->must_exist = exchange->request.method != HTTP_POST;
    exchange->state = write;
    exchange->pending = true;
    err = writer_submit_local_and(exchange->node->writer, &change, 1, check_before,
                                  write->has_key ? keep_answer : NULL, http_exchange_loop(exchange),
                                  on_written, exchange);
    if (err) {
        exchange->pending = false;
        exchange->state = NULL;
        free(write);
    }
    return err;
}

static bool key_valid(struct span key)
{
    for (size_t i = 0; i < key.size; i++) {
        if (key.data[i] <= 0x20 || key.data[i] >= 0x7f)
            return false;
    }
    return key.size > 0 && key.size <= ANSWER_KEY_BYTES_MAX;
}

/* The id of a new listing: drawn, or made of the client's key, so that two requests at once meet.
 */
static bool choose_id(struct http_exchange *exchange, struct write *write)
{
    const struct span *key = http_request_field(&exchange->request, "idempotency-key");
    struct buffer asked = {0};

    memcpy(write->id.origin_prefix, exchange->node->own.bytes, sizeof(write->id.origin_prefix));
    if (!key) {
        randombytes_buf(write->id.id.bytes, sizeof(write->id.id.bytes));
        return true;
    }
    if (!key_valid(*key)) {
        http_reply_problem(exchange, 400, "idempotency-key",
                           "Idempotency-Key must be 1 to %d characters without spaces, such as a "
                           "new UUID for each listing.",
                           ANSWER_KEY_BYTES_MAX);
        return false;
    }
    write->has_key = true;
    write->key = answer_key_of(exchange->token.id, *key);
    seal_hash16("torg/answer-listing/1", span_of(write->key.bytes, sizeof(write->key.bytes)),
                write->id.id.bytes);
    write->answer = (struct answer){
        .collection = write->collection, .id = write->id, .at_ms = exchange->now_ms};
    buffer_put_u8(&asked, write->collection);
    buffer_put_span(&asked, buffer_span(&exchange->body));
    seal_hash16("torg/answer-request/1", buffer_span(&asked), write->answer.request);
    buffer_done(&asked);
    return true;
}

/* The listings' collection that the path names; 0: a reply is set. */
static uint8_t collection_to_write(struct http_exchange *exchange)
{
    enum torg_err err;
    struct local_collection *local = http_local_find(exchange, &err);

    if (!local && !err)
        return http_items_collection(exchange);
    local_free(local);
    if (err) {
        http_reply_error(exchange, err);
        return 0;
    }
    http_reply_problem(
        exchange, 405, NULL,
        "This collection is a local one: torg import writes it, on the node itself.");
    http_reply_field(exchange, "Allow", "GET, HEAD, OPTIONS");
    return 0;
}

bool http_write_offered(struct http_exchange *exchange)
{
    struct feature_id id;
    enum torg_err err;
    struct local_collection *local = http_local_find(exchange, &err);

    local_free(local);
    if (local || !exchange->node->has_own)
        return false;
    return !exchange->captures[1].size || feature_id_parse(exchange->captures[1], &id) ||
           memcmp(id.origin_prefix, exchange->node->own.bytes, sizeof(id.origin_prefix)) == 0;
}

enum torg_err http_write_post(struct http_exchange *exchange)
{
    uint8_t collection = collection_to_write(exchange);
    uint8_t provider[LISTING_REFERENCE_SIZE];
    struct buffer payload = {0};
    struct write *write;
    json_t *json;
    enum torg_err err = TORG_OK;

    if (!collection || !may_write(exchange, collection) ||
        !http_write_listing_json(exchange, &json))
        return TORG_OK;
    write = calloc(1, sizeof(*write));
    if (!write) {
        json_decref(json);
        return TORG_E_NOMEM;
    }
    write->collection = collection;
    if (choose_id(exchange, write) &&
        http_write_listing_pack(exchange, collection, json, exchange->now_ms, &payload, provider) &&
        provider_may(exchange, collection, provider) &&
        company_may_say(exchange, write, buffer_span(&payload)))
        err = submit(exchange, write, buffer_span(&payload));
    else
        free(write);
    json_decref(json);
    buffer_done(&payload);
    return err;
}

/* The listing that is to be changed, as it is now: when it was made, whose it is, what is patched.
 */
static enum torg_err read_before(struct http_exchange *exchange, struct write *write,
                                 const json_t *patch, json_t **ret_patched, int64_t *ret_created_ms)
{
    struct document document;
    struct kv kv;
    enum torg_err err = store_read_begin(exchange->node->store, &kv);

    if (err)
        return err;
    err = catalogue_find(&kv, write->collection, &write->id, &document);
    if (!err)
        err = check_rights(&exchange->token, &kv, &document, &write->id);
    if (!err && patch)
        err = http_write_listing_merge(&document, patch, ret_patched);
    if (!err) {
        memcpy(write->patched, document.etag, sizeof(write->patched));
        *ret_created_ms = document.created_ms;
    }
    store_read_end(&kv);
    return err;
}

/* PUT and PATCH: the body says all, or what is to be another. */
static enum torg_err change(struct http_exchange *exchange, struct write *write, json_t *body)
{
    bool is_patch = exchange->request.method == HTTP_PATCH;
    uint8_t provider[LISTING_REFERENCE_SIZE];
    struct buffer payload = {0};
    json_t *feature = NULL;
    int64_t created_ms;
    enum torg_err err;

    write->is_patch = is_patch;
    err = read_before(exchange, write, is_patch ? body : NULL, &feature, &created_ms);
    if (err) {
        reply_refused(exchange, write, err);
        free(write);
        return TORG_OK;
    }
    if (http_write_listing_pack(exchange, write->collection, is_patch ? feature : body, created_ms,
                                &payload, provider) &&
        provider_may(exchange, write->collection, provider) &&
        company_may_say(exchange, write, buffer_span(&payload)))
        err = submit(exchange, write, buffer_span(&payload));
    else
        free(write);
    json_decref(feature);
    buffer_done(&payload);
    return err;
}

static struct write *begin_change(struct http_exchange *exchange)
{
    uint8_t collection = collection_to_write(exchange);
    struct write *write;
    struct feature_id id;

    if (!collection || !may_write(exchange, collection) || !http_items_id(exchange, &id) ||
        !is_own(exchange, &id))
        return NULL;
    write = calloc(1, sizeof(*write));
    if (!write) {
        http_reply_error(exchange, TORG_E_NOMEM);
        return NULL;
    }
    write->collection = collection;
    write->id = id;
    return write;
}

/*
 * What is not there is 404, as it were without any condition. A PUT with one could
 * have meant to make it, and has failed by the condition then (OGC 20-002).
 */
static bool is_there(struct http_exchange *exchange, const struct write *write)
{
    bool conditional = http_request_field(&exchange->request, "if-match") != NULL;
    struct document document;
    struct kv kv;
    enum torg_err err = store_read_begin(exchange->node->store, &kv);

    if (!err) {
        err = catalogue_find(&kv, write->collection, &write->id, &document);
        store_read_end(&kv);
    }
    if (err == TORG_E_NOT_FOUND && conditional && exchange->request.method == HTTP_PUT)
        http_reply_problem(exchange, 412, NULL,
                           "There is no listing with this id; a new one is made by POST.");
    else if (err)
        reply_refused(exchange, write, err);
    return !err;
}

static enum torg_err put_or_patch(struct http_exchange *exchange)
{
    struct write *write = begin_change(exchange);
    json_t *body;
    enum torg_err err;

    if (!write)
        return TORG_OK;
    if (!is_there(exchange, write) || !has_condition(exchange) ||
        !http_write_listing_json(exchange, &body)) {
        free(write);
        return TORG_OK;
    }
    if (!json_is_object(body)) {
        http_reply_problem(exchange, 422, "invalid-listing", "The body must be a JSON object.");
        free(write);
        json_decref(body);
        return TORG_OK;
    }
    err = change(exchange, write, body);
    json_decref(body);
    return err;
}

enum torg_err http_write_put(struct http_exchange *exchange)
{
    return put_or_patch(exchange);
}

enum torg_err http_write_patch(struct http_exchange *exchange)
{
    return put_or_patch(exchange);
}

enum torg_err http_write_delete(struct http_exchange *exchange)
{
    struct write *write = begin_change(exchange);

    return write ? submit(exchange, write, (struct span){0}) : TORG_OK;
}
