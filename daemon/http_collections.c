/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_collections.h"
#include "daemon/http_crs.h"
#include "daemon/http_link.h"
#include "daemon/http_reply.h"

#include <string.h>

#include "daemon/http_local.h"
#include "daemon/http_origins.h"
#include "daemon/http_queryables.h"
#include "daemon/http_words.h"
#include "daemon/json_out.h"
#include "index/store.h"

#define JSON_TYPE "application/json"
#define GREGORIAN "http://www.opengis.net/def/uom/ISO-8601/0/Gregorian"
/* Clients cut their requests to it and transform its corners: better too large. */
#define EXTENT_PADDING 0.2
#define E7 10000000

static struct buffer *begin_json(struct http_exchange *exchange)
{
    http_reply_begin(exchange, 200, JSON_TYPE);
    http_reply_in_language(exchange);
    json_out_begin(&exchange->reply.body, NULL, '{');
    return &exchange->reply.body;
}

static enum torg_err end_json(struct http_exchange *exchange)
{
    buffer_put_str(&exchange->reply.body, "}\n");
    return exchange->reply.body.err;
}

static int64_t clamp_e7(double value, int64_t limit_deg)
{
    int64_t limit = limit_deg * E7;

    return value < (double)-limit ? -limit : value > (double)limit ? limit : (int64_t)value;
}

void http_collections_put_extent(struct buffer *out, const struct query_extent *extent)
{
    double width = (double)extent->max.lon_e7 - extent->min.lon_e7;
    double height = (double)extent->max.lat_e7 - extent->min.lat_e7;
    double by_lon = width * EXTENT_PADDING;
    double by_lat = height * EXTENT_PADDING;

    json_out_begin(out, "extent", '{');
    json_out_begin(out, "spatial", '{');
    json_out_begin(out, "bbox", '[');
    json_out_begin(out, NULL, '[');
    json_out_fixed(out, NULL, clamp_e7(extent->min.lon_e7 - by_lon, 180), 7);
    json_out_fixed(out, NULL, clamp_e7(extent->min.lat_e7 - by_lat, 90), 7);
    json_out_fixed(out, NULL, clamp_e7(extent->max.lon_e7 + by_lon, 180), 7);
    json_out_fixed(out, NULL, clamp_e7(extent->max.lat_e7 + by_lat, 90), 7);
    buffer_put_str(out, "]]");
    json_out_text(out, "crs", http_crs_at(0));
    json_out_end(out, '}');
    json_out_begin(out, "temporal", '{');
    json_out_begin(out, "interval", '[');
    json_out_begin(out, NULL, '[');
    if (extent->time_from_ms == INT64_MIN)
        json_out_null(out, NULL);
    else
        json_out_time(out, NULL, extent->time_from_ms);
    if (extent->time_through_ms == INT64_MAX)
        json_out_null(out, NULL);
    else
        json_out_time(out, NULL, extent->time_through_ms);
    buffer_put_str(out, "]]");
    json_out_text(out, "trs", GREGORIAN);
    buffer_put_str(out, "}}");
}

void http_collections_put_links(struct http_exchange *exchange, const char *name, const char *self,
                                bool has_csv, struct buffer *out)
{
    json_out_begin(out, "links", '[');
    http_link_put(exchange, out, self, JSON_TYPE, NULL, "/collections/%s", name);
    if (strcmp(self, "self") == 0)
        http_link_alternates(exchange, out);
    http_link_put(exchange, out, "items", http_params_format_type(HTTP_FORMAT_GEOJSON), NULL,
                  "/collections/%s/items", name);
    http_link_put(exchange, out, "items", http_params_format_type(HTTP_FORMAT_HTML), NULL,
                  "/collections/%s/items?f=html", name);
    if (has_csv)
        http_link_put(exchange, out, "items", http_params_format_type(HTTP_FORMAT_CSV), NULL,
                      "/collections/%s/items?f=csv", name);
    http_queryables_put_links(exchange, out, name);
    json_out_end(out, ']');
}

/* Whoever counts must know what is not here; which origins' it is stands in /federation. */
static enum torg_err put_missing(struct http_exchange *exchange, const struct kv *kv,
                                 uint8_t collection, struct buffer *out)
{
    static const struct query of_all;
    const struct http_origins *origins;
    struct http_missing missing;
    enum torg_err err = http_origins_get(exchange, kv, &origins);

    if (err)
        return err;
    missing = http_origins_missing(origins, collection, &of_all);
    if (missing.origins == 0)
        return TORG_OK;
    json_out_begin(out, "missing", '{');
    json_out_int(out, "listings", (int64_t)missing.listings);
    json_out_int(out, "origins", (int64_t)missing.origins);
    json_out_end(out, '}');
    return TORG_OK;
}

/* The members of one collection's object. */
static enum torg_err put_collection(struct http_exchange *exchange, const struct kv *kv,
                                    uint8_t collection, struct buffer *out)
{
    const struct http_words_collection *words = http_words_collection(collection);
    const char *name = collection_name(collection);
    struct query_extent extent;
    uint64_t count;
    enum torg_err err;

    json_out_text(out, "id", name);
    json_out_text(out, "title", words->title[http_words_language(exchange->params.language)]);
    json_out_text(out, "description",
                  words->description[http_words_language(exchange->params.language)]);
    json_out_text(out, "itemType", "feature");
    json_out_begin(out, "crs", '[');
    for (size_t i = 0; http_crs_at(i); i++)
        json_out_text(out, NULL, http_crs_at(i));
    json_out_end(out, ']');
    json_out_text(out, "storageCrs", http_crs_at(0));
    err = catalogue_count(kv, collection, 0, &count);
    if (err)
        return err;
    json_out_int(out, "numberOfItems", (int64_t)count);
    err = put_missing(exchange, kv, collection, out);
    if (err)
        return err;
    err = query_extent(kv, collection, &extent);
    if (!err)
        http_collections_put_extent(out, &extent);
    else if (err != TORG_E_NOT_FOUND)
        return err;
    http_collections_put_links(exchange, name, exchange->captures[0].data ? "self" : "item", true,
                               out);
    return TORG_OK;
}

static enum torg_err put_all(struct http_exchange *exchange, const struct kv *kv)
{
    struct buffer *out = begin_json(exchange);
    enum torg_err err = TORG_OK;

    json_out_begin(out, "links", '[');
    http_link_self(exchange, out, JSON_TYPE);
    json_out_end(out, ']');
    json_out_begin(out, "collections", '[');
    for (uint8_t i = 1; i < COLLECTIONS_MAX && !err; i++) {
        if (!(COLLECTION_MASK_PUBLIC >> i & 1))
            continue;
        json_out_begin(out, NULL, '{');
        err = put_collection(exchange, kv, i, out);
        json_out_end(out, '}');
    }
    if (!err)
        err = http_local_put_all(exchange, kv, out);
    json_out_end(out, ']');
    return err ? err : end_json(exchange);
}

enum torg_err http_collections(struct http_exchange *exchange)
{
    return http_reply_read(exchange, put_all);
}

enum torg_err http_collection(struct http_exchange *exchange)
{
    uint8_t collection = collection_of_name(exchange->captures[0]);
    struct local_collection *local;
    struct kv kv;
    enum torg_err err;

    local = http_local_find(exchange, &err);
    if (err)
        return err;
    if (local) {
        http_local_put_collection(exchange, local, "self", begin_json(exchange));
        local_free(local);
        return end_json(exchange);
    }
    if (!http_words_collection(collection)) {
        http_reply_problem(exchange, 404, NULL,
                           "There is no such collection; /collections lists them.");
        return TORG_OK;
    }
    err = store_read_begin(exchange->node->store, &kv);
    if (err)
        return err;
    err = put_collection(exchange, &kv, collection, begin_json(exchange));
    store_read_end(&kv);
    return err ? err : end_json(exchange);
}
