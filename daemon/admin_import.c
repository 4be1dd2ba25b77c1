/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/admin_import.h"
#include "daemon/admin_import_local.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/http_reply.h"
#include "daemon/log.h"
#include "index/shape_region.h"
#include "index/store.h"
#include "protocol/change.h"
#include "protocol/listing_geojson.h"

#define JSON_MESSAGE_BYTES_MAX 200

enum row_action { ROW_FAILED, ROW_CREATED, ROW_UPDATED, ROW_UNCHANGED };

struct row {
    enum row_action action;
    uint8_t collection;
    struct listing_id id;
    struct span source_system, source_id; /* while rows are read; empty without a source */
    size_t payload_at, payload_size;      /* in payloads */
    size_t error_at, error_size;          /* in errors: the row's problems as JSON */
};

/* One import while it waits; exchange->state. */
struct import {
    uint8_t collection; /* 0: each feature says it */
    char language[HTTP_LANGUAGE_BYTES_MAX + 1];
    bool dry_run;
    uint32_t own_number;
    size_t row_count;
    struct row rows[ADMIN_IMPORT_ROWS_MAX];
    struct buffer payloads;
    struct buffer errors;
    struct problems problems; /* of the row at hand */
};

static void import_free(struct import *import)
{
    if (!import)
        return;
    buffer_done(&import->payloads);
    buffer_done(&import->errors);
    free(import);
}

/* ---- one row ---- */

static void row_fail(struct import *import, struct row *row)
{
    struct problems *problems = &import->problems;
    size_t shown = problems->count < PROBLEMS_MAX ? problems->count : PROBLEMS_MAX;

    row->action = ROW_FAILED;
    row->error_at = import->errors.size;
    for (size_t i = 0; i < shown; i++) {
        buffer_put_str(&import->errors, i ? ",{\"path\":" : "{\"path\":");
        json_put_string(&import->errors, span_of_str(problems->items[i].path));
        buffer_put_str(&import->errors, ",\"detail\":");
        json_put_string(&import->errors, span_of_str(problems->items[i].text));
        buffer_put_str(&import->errors, "}");
    }
    row->error_size = import->errors.size - row->error_at;
}

static struct span string_span(const json_t *json)
{
    return span_of(json_string_value(json), json_string_length(json));
}

/* identifiers.source, or anything of that form. */
static bool source_of(const json_t *source, struct span *ret_system, struct span *ret_id)
{
    const json_t *system = json_object_get(source, "system");
    const json_t *id = json_object_get(source, "id");

    if (!json_is_string(system) || !json_is_string(id))
        return false;
    *ret_system = string_span(system);
    *ret_id = string_span(id);
    return true;
}

static bool row_collection(struct import *import, const json_t *properties, struct row *row)
{
    const json_t *named = json_object_get(properties, "collection");

    row->collection = import->collection;
    if (!row->collection && json_is_string(named))
        row->collection = collection_of_name(string_span(named));
    if (COLLECTION_MASK_PUBLIC >> row->collection & 1)
        return true;
    problems_add(&import->problems, "properties.collection",
                 "must name the collection: companies, offers, events, jobs, courses, needs, "
                 "service-points, places or networks");
    return false;
}

/*
 * A business system knows its companies by its own ids: a provider that is
 * given by its source becomes the listing's id.
 */
static enum torg_err resolve_provider(struct import *import, const struct kv *kv,
                                      const struct http_exchange *exchange, json_t *properties)
{
    struct feature_id provider;
    char text[FEATURE_ID_SIZE + 1];
    struct span system, id;
    enum torg_err err;

    if (!source_of(json_object_get(properties, "provider"), &system, &id))
        return TORG_OK;
    err = catalogue_source_find(kv, import->own_number, COLLECTION_COMPANIES, system, id,
                                &provider.id);
    if (err == TORG_E_NOT_FOUND) {
        problems_add(&import->problems, "properties.provider",
                     "no company here has this source; import the companies first");
        return TORG_E_INVALID;
    }
    if (err)
        return err;
    memcpy(provider.origin_prefix, exchange->node->own.bytes, sizeof(provider.origin_prefix));
    feature_id_format(&provider, text);
    return json_object_set_new(properties, "provider", json_string(text)) ? TORG_E_NOMEM : TORG_OK;
}

/* Which listing the row is about: TORG_E_NOT_FOUND when it is a new one. */
static enum torg_err row_existing(struct import *import, const struct kv *kv,
                                  const struct http_exchange *exchange, const json_t *feature,
                                  struct row *row, struct feature_id *ret_id)
{
    const json_t *properties = json_object_get(feature, "properties");
    const json_t *own_id = json_object_get(feature, "id");

    memcpy(ret_id->origin_prefix, exchange->node->own.bytes, sizeof(ret_id->origin_prefix));
    if (source_of(json_object_get(json_object_get(properties, "identifiers"), "source"),
                  &row->source_system, &row->source_id))
        return catalogue_source_find(kv, import->own_number, row->collection, row->source_system,
                                     row->source_id, &ret_id->id);
    if (json_is_string(own_id)) {
        struct feature_id named;

        /* Another origin's id is a copy's origin, not a listing of ours. */
        if (feature_id_parse(string_span(own_id), &named) == TORG_OK &&
            memcmp(named.origin_prefix, ret_id->origin_prefix, sizeof(named.origin_prefix)) == 0) {
            *ret_id = named;
            return TORG_OK;
        }
    }
    return TORG_E_NOT_FOUND;
}

/* Two new rows of one source have no id in common yet. */
static bool is_repeated(const struct import *import, const struct row *row)
{
    for (const struct row *other = import->rows; other < row; other++) {
        if (other->action == ROW_FAILED || other->collection != row->collection)
            continue;
        if (memcmp(&other->id, &row->id, sizeof(row->id)) == 0 ||
            (row->source_id.size > 0 && span_equal(other->source_id, row->source_id) &&
             span_equal(other->source_system, row->source_system)))
            return true;
    }
    return false;
}

static enum torg_err put_payload(struct import *import, struct row *row, struct span body)
{
    uint8_t nonce[16];

    randombytes_buf(nonce, sizeof(nonce));
    row->payload_at = import->payloads.size;
    payload_pack(nonce, PAYLOAD_SCHEMA, body, &import->payloads);
    row->payload_size = import->payloads.size - row->payload_at;
    if (import->payloads.err)
        return import->payloads.err;
    if (row->payload_size <= PAYLOAD_BYTES_MAX)
        return TORG_OK;
    problems_add(&import->problems, "", "the listing has %zu bytes when packed, %d are allowed",
                 row->payload_size, PAYLOAD_BYTES_MAX);
    return TORG_E_INVALID;
}

/* Packed as it would be if nothing but the row had changed since it was stored. */
static enum torg_err row_is_same(struct import *import, const struct kv *kv, const json_t *feature,
                                 const struct row *row, const struct document *document,
                                 bool *ret_same)
{
    struct listing_meta meta;
    struct buffer body = {0};
    struct span stored;
    enum torg_err err;

    *ret_same = false;
    err = listing_of_geojson(row->collection, feature, import->language, document->created_ms,
                             document->modified_ms, &body, &import->problems);
    if (!err)
        err = catalogue_body(kv, document, &meta, &stored);
    if (!err)
        *ret_same = span_equal(stored, buffer_span(&body));
    buffer_done(&body);
    return err;
}

static enum torg_err row_pack(struct import *import, const struct kv *kv,
                              const struct http_exchange *exchange, const json_t *feature,
                              struct row *row)
{
    int64_t created_ms = exchange->now_ms;
    struct document document;
    struct feature_id id;
    struct buffer body = {0};
    bool same = false;
    enum torg_err err = row_existing(import, kv, exchange, feature, row, &id);

    row->action = ROW_CREATED;
    if (!err)
        err = catalogue_find(kv, row->collection, &id, &document);
    if (!err) {
        row->action = ROW_UPDATED;
        row->id = id.id;
        created_ms = document.created_ms;
        err = row_is_same(import, kv, feature, row, &document, &same);
    } else if (err == TORG_E_NOT_FOUND) {
        randombytes_buf(row->id.bytes, sizeof(row->id.bytes));
        err = TORG_OK;
    }
    if (err)
        return err;
    if (same) {
        row->action = ROW_UNCHANGED;
        return TORG_OK;
    }
    if (is_repeated(import, row)) {
        problems_add(&import->problems, "properties.identifiers.source",
                     "an earlier row is the same listing");
        return TORG_E_INVALID;
    }
    err = listing_of_geojson(row->collection, feature, import->language, created_ms,
                             exchange->now_ms, &body, &import->problems);
    if (!err)
        err = shape_check_listing(row->collection, buffer_span(&body), &import->problems);
    if (!err)
        err = put_payload(import, row, buffer_span(&body));
    buffer_done(&body);
    return err;
}

static enum torg_err row_read(struct import *import, const struct kv *kv,
                              const struct http_exchange *exchange, json_t *feature)
{
    struct row *row = &import->rows[import->row_count];
    json_t *properties = json_object_get(feature, "properties");
    enum torg_err err;

    import->problems.count = 0;
    err = row_collection(import, properties, row) ? TORG_OK : TORG_E_INVALID;
    if (!err)
        err = resolve_provider(import, kv, exchange, properties);
    if (!err)
        err = row_pack(import, kv, exchange, feature, row);
    if (err == TORG_E_INVALID || err == TORG_E_TOO_BIG) {
        row_fail(import, row);
        err = TORG_OK;
    }
    import->row_count++;
    return err;
}

/* ---- the answer ---- */

static void reply_rows(struct http_exchange *exchange, const struct import *import)
{
    static const char *const names[] = {"failed", "created", "updated", "unchanged"};
    size_t counts[ARRAY_SIZE(names)] = {0};
    struct buffer *body = &exchange->reply.body;
    char text[FEATURE_ID_SIZE + 1];
    struct feature_id id;

    http_reply_begin(exchange, 200, "application/json");
    exchange->reply.cache = "no-store";
    memcpy(id.origin_prefix, exchange->node->own.bytes, sizeof(id.origin_prefix));
    buffer_put_str(body, "{\"rows\":[");
    for (size_t i = 0; i < import->row_count; i++) {
        const struct row *row = &import->rows[i];

        counts[row->action]++;
        buffer_printf(body, "%s{\"row\":%zu,\"action\":\"%s\"", i ? "," : "", i,
                      names[row->action]);
        if (row->action == ROW_FAILED) {
            buffer_put_str(body, ",\"errors\":[");
            buffer_put(body, import->errors.data + row->error_at, row->error_size);
            buffer_put_str(body, "]");
        } else {
            id.id = row->id;
            feature_id_format(&id, text);
            buffer_printf(body, ",\"id\":\"%s\"", text);
        }
        buffer_put_str(body, "}");
    }
    buffer_put_str(body, "]");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        buffer_printf(body, ",\"%s\":%zu", names[i], counts[i]);
    buffer_put_str(body, "}");
}

static void on_written(void *context, const struct writer_result *result)
{
    struct http_exchange *exchange = context;
    struct import *import = exchange->state;

    if (result->err)
        http_reply_error(exchange, result->err);
    else
        reply_rows(exchange, import);
    if (!result->err)
        log_event(LOG_INFO, "import.written", "rows=%zu hno=%llu seq=%llu", import->row_count,
                  (unsigned long long)result->hno, (unsigned long long)result->seq);
    exchange->state = NULL;
    import_free(import);
    http_exchange_finish(exchange);
}

/* ---- the request ---- */

static enum torg_err submit(struct http_exchange *exchange, struct import *import)
{
    struct local_change *changes = calloc(import->row_count, sizeof(*changes));
    size_t count = 0;
    enum torg_err err;

    if (!changes)
        return TORG_E_NOMEM;
    for (size_t i = 0; i < import->row_count; i++) {
        const struct row *row = &import->rows[i];

        if (row->action == ROW_CREATED || row->action == ROW_UPDATED)
            changes[count++] = (struct local_change){
                .collection = row->collection,
                .id = row->id,
                .payload = span_of(import->payloads.data + row->payload_at, row->payload_size),
            };
    }
    exchange->state = import;
    exchange->pending = true;
    err = writer_submit_local(exchange->node->writer, changes, count, NULL,
                              http_exchange_loop(exchange), on_written, exchange);
    if (err) {
        exchange->pending = false;
        exchange->state = NULL;
    }
    free(changes);
    return err;
}

static bool has_changes(const struct import *import)
{
    for (size_t i = 0; i < import->row_count; i++) {
        if (import->rows[i].action == ROW_CREATED || import->rows[i].action == ROW_UPDATED)
            return true;
    }
    return false;
}

static enum torg_err read_rows(struct http_exchange *exchange, struct import *import,
                               json_t *features)
{
    struct replica_origin origin;
    json_t *feature;
    struct kv kv;
    size_t i;
    enum torg_err err = store_read_begin(exchange->node->store, &kv);

    if (err)
        return err;
    err = replica_origin_get(&kv, &exchange->node->own, &origin);
    import->own_number = origin.number;
    json_array_foreach(features, i, feature)
    {
        if (err)
            break;
        err = row_read(import, &kv, exchange, feature);
    }
    store_read_end(&kv);
    return err ? err : import->payloads.err ? import->payloads.err : import->errors.err;
}

enum torg_err admin_import(struct http_exchange *exchange)
{
    struct import *import;
    char message[JSON_MESSAGE_BYTES_MAX] = "";
    json_t *json = NULL;
    json_t *features;
    enum torg_err err = TORG_E_NOMEM;

    if (exchange->params.local.size)
        return admin_import_local(exchange);
    import = calloc(1, sizeof(*import));
    if (!import)
        goto done;
    import->collection = exchange->params.collection;
    import->dry_run = exchange->params.dry_run;
    (void)snprintf(import->language, sizeof(import->language), "%s",
                   exchange->params.text_language[0] ? exchange->params.text_language : "sv");
    err = listing_json_parse(buffer_span(&exchange->body), &json, message, sizeof(message));
    if (err == TORG_E_INVALID || err == TORG_E_TOO_BIG) {
        http_reply_problem(exchange, 400, "invalid-json", "The body cannot be taken: %s", message);
        err = TORG_OK;
        goto done;
    }
    if (err)
        goto done;
    features = json_object_get(json, "features");
    if (!json_is_array(features) || json_array_size(features) > ADMIN_IMPORT_ROWS_MAX) {
        http_reply_problem(exchange, 400, "invalid-import",
                           "A FeatureCollection of at most %d features is expected.",
                           ADMIN_IMPORT_ROWS_MAX);
        goto done;
    }
    err = read_rows(exchange, import, features);
    if (err)
        goto done;
    if (import->dry_run || !has_changes(import)) {
        reply_rows(exchange, import);
        goto done;
    }
    err = submit(exchange, import);
    if (!err)
        import = NULL; /* It is the exchange's now, until the writer answers. */
done:
    if (json)
        json_decref(json);
    import_free(import);
    return err;
}
