/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/admin_collections.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/http_reply.h"
#include "daemon/json_out.h"
#include "daemon/log.h"
#include "daemon/writer.h"
#include "index/local.h"
#include "index/store.h"

static enum torg_err put_all(const struct kv *kv, struct buffer *out)
{
    char after[LOCAL_NAME_BYTES_MAX + 1] = "";
    struct local_collection *collection;
    enum torg_err err;

    while ((err = local_next(kv, span_of_str(after), &collection)) == TORG_OK) {
        json_out_begin(out, NULL, '{');
        json_out_text(out, "name", collection->name);
        json_out_int(out, "features", collection->count);
        json_out_end(out, '}');
        memcpy(after, collection->name, sizeof(after));
        local_free(collection);
    }
    return err == TORG_E_NOT_FOUND ? out->err : err;
}

enum torg_err admin_collections_get(struct http_exchange *exchange)
{
    struct buffer *out = &exchange->reply.body;
    struct kv kv;
    enum torg_err err = store_read_begin(exchange->node->store, &kv);

    if (err)
        return err;
    http_reply_begin(exchange, 200, "application/json");
    exchange->reply.cache = "no-store";
    json_out_begin(out, NULL, '{');
    json_out_begin(out, "collections", '[');
    err = put_all(&kv, out);
    store_read_end(&kv);
    buffer_put_str(out, "]}\n");
    return err ? err : out->err;
}

/* One step while the writer has it. */
struct step {
    struct http_exchange *exchange;
    size_t deleted, left;
};

static enum torg_err run(void *context, struct kv *kv)
{
    struct step *step = context;
    struct local_collection *collection;
    enum torg_err err = local_get(kv, step->exchange->captures[0], &collection);

    if (err)
        return err;
    err = local_delete(kv, collection, ADMIN_DELETE_FEATURES_MAX, &step->deleted);
    step->left = collection->count;
    local_free(collection);
    return err;
}

static void on_deleted(void *context, const struct writer_result *result)
{
    struct step *step = context;
    struct http_exchange *exchange = step->exchange;
    struct buffer *out = &exchange->reply.body;

    if (!result->err) {
        http_reply_begin(exchange, 200, "application/json");
        exchange->reply.cache = "no-store";
        json_out_begin(out, NULL, '{');
        json_out_int(out, "deleted", (int64_t)step->deleted);
        json_out_int(out, "left", (int64_t)step->left);
        json_out_end(out, '}');
        log_event(LOG_INFO, "collection.deleted", "collection=%.*s features=%zu left=%zu",
                  (int)exchange->captures[0].size, (const char *)exchange->captures[0].data,
                  step->deleted, step->left);
    } else if (result->err == TORG_E_NOT_FOUND) {
        http_reply_problem(exchange, 404, NULL,
                           "There is no local collection of this name. Listings are deleted one by "
                           "one, over the API.");
    } else {
        http_reply_error(exchange, result->err);
    }
    free(step);
    http_exchange_finish(exchange);
}

enum torg_err admin_collections_delete(struct http_exchange *exchange)
{
    struct step *step = calloc(1, sizeof(*step));
    enum torg_err err;

    if (!step)
        return TORG_E_NOMEM;
    step->exchange = exchange;
    exchange->pending = true;
    err = writer_submit_run(exchange->node->writer, run, http_exchange_loop(exchange), on_deleted,
                            step);
    if (err) {
        exchange->pending = false;
        free(step);
    }
    return err;
}
