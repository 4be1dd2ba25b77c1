/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_local.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/http_collections.h"
#include "daemon/http_crs.h"
#include "daemon/http_filter.h"
#include "daemon/http_formats.h"
#include "daemon/http_reply.h"
#include "daemon/json_out.h"
#include "index/store.h"

/* Whatever else there is speaks of listings. */
#define TAKES                                                                                      \
    (HTTP_PARAMS_CQL2 | HTTP_PARAM_BIT(BBOX) | HTTP_PARAM_BIT(BBOX_CRS) | HTTP_PARAM_BIT(CRS) |    \
     HTTP_PARAM_BIT(DATETIME) | HTTP_PARAM_BIT(LIMIT) | HTTP_PARAM_BIT(OFFSET) |                   \
     HTTP_PARAM_BIT(CURSOR) | HTTP_PARAM_BIT(LANG) | HTTP_PARAM_BIT(F))

struct local_collection *http_local_find(struct http_exchange *exchange, enum torg_err *ret_err)
{
    struct local_collection *collection = NULL;
    struct kv kv;

    *ret_err = TORG_OK;
    if (!local_name_valid(exchange->captures[0]))
        return NULL;
    *ret_err = store_read_begin(exchange->node->store, &kv);
    if (*ret_err)
        return NULL;
    *ret_err = local_get(&kv, exchange->captures[0], &collection);
    store_read_end(&kv);
    if (*ret_err == TORG_E_NOT_FOUND)
        *ret_err = TORG_OK;
    return collection;
}

bool http_local_takes(struct http_exchange *exchange)
{
    struct buffer names = {0};
    struct problems problems;

    problems.count = 0;
    http_params_put_names(exchange->route->params & TAKES, &names);
    buffer_put_u8(&names, 0);
    for (enum http_param i = 0; i < HTTP_PARAM_COUNT; i++) {
        if ((exchange->params.given & ~TAKES) >> i & 1)
            problems_add(&problems, http_params_text(i)->name,
                         "is not for this collection, which is local; allowed: %s",
                         names.err ? "" : (const char *)names.data);
    }
    if (exchange->params.format == HTTP_FORMAT_CSV || http_formats_mine(exchange->params.format))
        problems_add(&problems, "f",
                     "must be json, geojsonseq or html: this collection is a local one");
    buffer_done(&names);
    if (problems.count == 0)
        return true;
    http_reply_problems(exchange, 400, "invalid-parameter",
                        "At least one parameter of the query is wrong.", &problems);
    return false;
}

/* ---- filters ---- */

/* The names are copied: the filter may outlive the collection. */
static struct queryables *copy_types(const struct local_collection *collection)
{
    struct queryables *out = calloc(1, sizeof(*out));

    for (size_t i = 0; out && i < collection->types.count; i++)
        (void)queryables_add(out, collection->types.items[i].name, collection->types.items[i].type,
                             NULL);
    return out;
}

static enum torg_err make_when(struct http_exchange *exchange, struct filter **ret_when)
{
    const struct http_params *params = &exchange->params;
    struct cql2_schema schema = queryables_schema(params->queryables);
    struct cql2_fault fault = {""};
    struct buffer text = {0};
    struct cql2 tree;
    enum torg_err err;

    if (!params->query.has_datetime)
        return TORG_OK;
    local_put_when(params->queryables, params->query.from_ms, params->query.through_ms, &text);
    err = text.err;
    if (!err && text.size > 0) {
        err = cql2_parse_text(buffer_span(&text), &schema, &tree, &fault);
        if (!err)
            err = filter_new(&tree, &schema, NULL, ret_when, &fault);
        if (err == TORG_E_INVALID)
            err = TORG_E_INTERNAL; /* We have written it. */
    }
    buffer_done(&text);
    return err;
}

enum torg_err http_local_filters(struct http_exchange *exchange,
                                 const struct local_collection *collection,
                                 struct filter **ret_when, bool *ret_good)
{
    enum torg_err err;

    *ret_when = NULL;
    exchange->params.queryables = copy_types(collection);
    if (!exchange->params.queryables)
        return TORG_E_NOMEM;
    err = http_filter_read(exchange, ret_good);
    return err || !*ret_good ? err : make_when(exchange, ret_when);
}

/* ---- descriptions ---- */

void http_local_put_collection(struct http_exchange *exchange,
                               const struct local_collection *collection, const char *self,
                               struct buffer *out)
{
    static const char *const descriptions[] = {
        "Uppgifter som bara finns på den här noden.",
        "Features that are on this node only.",
    };
    struct query_extent extent = {.has_box = collection->has_box,
                                  .min = collection->min,
                                  .max = collection->max,
                                  .time_from_ms = INT64_MIN,
                                  .time_through_ms = INT64_MAX};

    json_out_text(out, "id", collection->name);
    json_out_text(out, "title", collection->name);
    json_out_text(out, "description", descriptions[http_words_language(exchange->params.language)]);
    json_out_text(out, "itemType", "feature");
    json_out_begin(out, "crs", '[');
    for (size_t i = 0; http_crs_at(i); i++)
        json_out_text(out, NULL, http_crs_at(i));
    json_out_end(out, ']');
    json_out_text(out, "storageCrs", http_crs_at(0));
    json_out_int(out, "numberOfItems", collection->count);
    if (collection->has_box)
        http_collections_put_extent(out, &extent);
    http_collections_put_links(exchange, collection->name, self, false, out);
}

enum torg_err http_local_put_all(struct http_exchange *exchange, const struct kv *kv,
                                 struct buffer *out)
{
    char after[LOCAL_NAME_BYTES_MAX + 1] = "";
    struct local_collection *collection;
    enum torg_err err;

    while ((err = local_next(kv, span_of_str(after), &collection)) == TORG_OK) {
        json_out_begin(out, NULL, '{');
        http_local_put_collection(exchange, collection, "item", out);
        json_out_end(out, '}');
        memcpy(after, collection->name, sizeof(after));
        local_free(collection);
    }
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}
