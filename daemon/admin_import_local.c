/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/admin_import_local.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/admin_import.h"
#include "daemon/http_reply.h"
#include "daemon/json_out.h"
#include "daemon/log.h"
#include "daemon/writer.h"
#include "index/local.h"
#include "protocol/listing_geojson.h"

#define JSON_MESSAGE_BYTES_MAX 200

/* One import while it waits for the writer; exchange->state. */
struct import {
    struct http_exchange *exchange;
    json_t *json;
    const json_t *features;
    struct buffer rows; /* the answer's, as JSON */
    size_t counts[3];   /* by enum local_action */
    size_t failed;
};

static void import_free(struct import *import)
{
    if (!import)
        return;
    json_decref(import->json);
    buffer_done(&import->rows);
    free(import);
}

static void put_failed(struct import *import, const struct problems *problems)
{
    struct buffer *out = &import->rows;

    json_out_text(out, "action", "failed");
    json_out_begin(out, "errors", '[');
    for (size_t i = 0; i < problems->count && i < PROBLEMS_MAX; i++) {
        json_out_begin(out, NULL, '{');
        json_out_text(out, "path", problems->items[i].path);
        json_out_text(out, "detail", problems->items[i].text);
        json_out_end(out, '}');
    }
    json_out_end(out, ']');
    import->failed++;
}

/* write: NULL only looks. */
static enum torg_err import_row(struct import *import, const struct kv *kv, struct kv *write,
                                struct local_collection *collection, const json_t *json)
{
    static const char *const names[] = {"created", "updated", "unchanged"};
    struct local_feature feature = {0};
    enum local_action action = LOCAL_CREATED;
    struct problems problems;
    uint32_t number;
    enum torg_err err;

    problems.count = 0;
    err = local_feature_read(json, &collection->types, &feature, &problems);
    if (!err)
        err = write ? local_put(write, collection, &feature, &action)
                    : local_compare(kv, collection, &feature, &action, &number);
    if (err == TORG_E_TOO_BIG)
        problems_add(&problems, "", "the collection has %d features already, which is the most",
                     LOCAL_FEATURES_MAX);
    if (err == TORG_E_INVALID || err == TORG_E_TOO_BIG) {
        put_failed(import, &problems);
        err = TORG_OK;
    } else if (!err) {
        json_out_text(&import->rows, "action", names[action]);
        json_out_text(&import->rows, "id", feature.id);
        import->counts[action]++;
    }
    local_feature_done(&feature);
    return err;
}

/* May run more than once: what an earlier run said is forgotten. */
static enum torg_err import_rows(struct import *import, const struct kv *kv, struct kv *write)
{
    struct local_collection *collection;
    enum torg_err err;
    const json_t *row;
    size_t i;

    buffer_clear(&import->rows);
    memset(import->counts, 0, sizeof(import->counts));
    import->failed = 0;
    err = local_get_or_new(kv, import->exchange->params.local, &collection);
    if (err)
        return err;
    json_array_foreach(import->features, i, row)
    {
        json_out_begin(&import->rows, NULL, '{');
        json_out_int(&import->rows, "row", (int64_t)i);
        err = import_row(import, kv, write, collection, row);
        json_out_end(&import->rows, '}');
        if (err)
            break;
    }
    if (!err)
        err = import->rows.err;
    if (!err && write && import->failed < json_array_size(import->features))
        err = local_save(write, collection);
    local_free(collection);
    return err;
}

static enum torg_err run(void *context, struct kv *kv)
{
    return import_rows(context, kv, kv);
}

static void reply(struct http_exchange *exchange, const struct import *import)
{
    struct buffer *body = &exchange->reply.body;

    http_reply_begin(exchange, 200, "application/json");
    exchange->reply.cache = "no-store";
    json_out_begin(body, NULL, '{');
    json_out_begin(body, "rows", '[');
    buffer_put_span(body, buffer_span(&import->rows));
    json_out_end(body, ']');
    json_out_int(body, "created", (int64_t)import->counts[LOCAL_CREATED]);
    json_out_int(body, "updated", (int64_t)import->counts[LOCAL_UPDATED]);
    json_out_int(body, "unchanged", (int64_t)import->counts[LOCAL_UNCHANGED]);
    json_out_int(body, "failed", (int64_t)import->failed);
    json_out_end(body, '}');
}

static void on_written(void *context, const struct writer_result *result)
{
    struct import *import = context;
    struct http_exchange *exchange = import->exchange;

    if (result->err) {
        http_reply_error(exchange, result->err);
    } else {
        reply(exchange, import);
        log_event(LOG_INFO, "import.local", "collection=%.*s rows=%zu failed=%zu",
                  (int)exchange->params.local.size, (const char *)exchange->params.local.data,
                  json_array_size(import->features), import->failed);
    }
    exchange->state = NULL;
    import_free(import);
    http_exchange_finish(exchange);
}

/* Nothing is stored: what would become of the rows is looked up. */
static enum torg_err look(struct http_exchange *exchange, struct import *import)
{
    struct kv kv;
    enum torg_err err = store_read_begin(exchange->node->store, &kv);

    if (err)
        return err;
    err = import_rows(import, &kv, NULL);
    store_read_end(&kv);
    if (!err)
        reply(exchange, import);
    return err;
}

static enum torg_err submit(struct http_exchange *exchange, struct import *import)
{
    enum torg_err err;

    exchange->state = import;
    exchange->pending = true;
    err = writer_submit_run(exchange->node->writer, run, http_exchange_loop(exchange), on_written,
                            import);
    if (err) {
        exchange->pending = false;
        exchange->state = NULL;
    }
    return err;
}

enum torg_err admin_import_local(struct http_exchange *exchange)
{
    struct import *import = calloc(1, sizeof(*import));
    char message[JSON_MESSAGE_BYTES_MAX] = "";
    enum torg_err err = TORG_E_NOMEM;

    if (!import)
        return err;
    import->exchange = exchange;
    err = listing_json_parse(buffer_span(&exchange->body), &import->json, message, sizeof(message));
    if (err == TORG_E_INVALID || err == TORG_E_TOO_BIG) {
        http_reply_problem(exchange, 400, "invalid-json", "The body cannot be taken: %s", message);
        err = TORG_OK;
        goto done;
    }
    if (err)
        goto done;
    import->features = json_object_get(import->json, "features");
    if (!json_is_array(import->features) ||
        json_array_size(import->features) > ADMIN_IMPORT_ROWS_MAX) {
        http_reply_problem(exchange, 400, "invalid-import",
                           "A FeatureCollection of at most %d features is expected.",
                           ADMIN_IMPORT_ROWS_MAX);
        goto done;
    }
    if (exchange->params.dry_run) {
        err = look(exchange, import);
        goto done;
    }
    err = submit(exchange, import);
    if (!err)
        import = NULL; /* It is the exchange's now, until the writer answers. */
done:
    import_free(import);
    return err;
}
