/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_items.h"
#include "daemon/http_link.h"
#include "daemon/http_local.h"
#include "daemon/http_reply.h"

#include <math.h>
#include <string.h>

#include "daemon/http_facets.h"
#include "daemon/http_filter.h"
#include "daemon/http_formats.h"
#include "daemon/http_item.h"
#include "daemon/http_origins.h"
#include "daemon/http_personal.h"
#include "daemon/http_router.h"
#include "daemon/http_tag.h"
#include "daemon/json_out.h"
#include "index/feature_select.h"
#include "index/store.h"
#include "protocol/listing_csv.h"
#include "protocol/num.h"

#define PIECE_LISTINGS 1000 /* of everything: that is sent before more is read */
/* An order by nearness or rank begins anew for each piece. */
#define PIECE_LISTINGS_ORDERED QUERY_LIMIT_MAX
#define HITS_AT_ONCE 24       /* whose documents' pages are looked up side by side */
#define HITS_AHEAD 8          /* of these, whose documents are being loaded while one is written */
#define RECORD_SEPARATOR 0x1e /* RFC 8142 */

/* One list: what was asked, what was found, where it is written. */
struct list {
    struct http_exchange *exchange;
    const struct kv *kv;
    const struct query *query;
    const struct http_origins *origins;
    const struct local_collection *local; /* whose features they are; NULL: listings */
    struct query_facets *facets;          /* NULL: none are asked for */
    struct buffer *out;
    struct buffer scratch;           /* what is shown of an expired origin */
    struct geo_transform *transform; /* NULL: CRS84, as they are stored */
    struct buffer projected;
    struct buffer selected; /* with fewer properties */
    size_t written;         /* hits */
    bool has_next;
    struct query_cursor next;
    struct query_page page;
};

/* Not an initialiser: the page has kilobytes that few ask for. */
static void list_begin(struct list *list, struct http_exchange *exchange, const struct kv *kv)
{
    memset(list, 0, offsetof(struct list, page) + QUERY_PAGE_ZEROED);
    list->exchange = exchange;
    list->kv = kv;
    list->query = &exchange->params.query;
    list->out = &exchange->reply.body;
}

uint8_t http_items_collection(struct http_exchange *exchange)
{
    uint8_t collection = collection_of_name(exchange->captures[0]);

    if (collection && (COLLECTION_MASK_PUBLIC >> collection & 1))
        return collection;
    http_reply_problem(exchange, 404, NULL,
                       "There is no such collection; /collections lists them.");
    return 0;
}

bool http_items_id(struct http_exchange *exchange, struct feature_id *ret_id)
{
    if (feature_id_parse(exchange->captures[1], ret_id) == TORG_OK)
        return true;
    http_reply_problem(exchange, 404, NULL, "There is no listing with this id.");
    return false;
}

/* ---- formats ---- */

static void put_distance(struct buffer *out, double distance_m)
{
    num_put_fixed(out, llround(distance_m * 1000), 3);
}

/* The stored feature ends with "}}", so that a property can be put in before. */
static void put_feature(struct list *list, const struct document *document, double distance_m)
{
    struct span feature = document->feature;

    if (!list->query->has_near) {
        buffer_put_span(list->out, feature);
        return;
    }
    buffer_put(list->out, feature.data, feature.size - 2);
    if (feature.data[feature.size - 3] != '{')
        buffer_put_u8(list->out, ',');
    buffer_put_str(list->out, "\"distance\":");
    put_distance(list->out, distance_m);
    buffer_put_str(list->out, "}}");
}

static enum torg_err put_csv(struct list *list, const struct document *document, double distance_m)
{
    struct listing_meta meta;
    struct span body;
    enum torg_err err = catalogue_body(list->kv, document, &meta, &body);

    if (!err)
        err = http_personal_body(list->exchange, list->origins, document, &list->scratch, &body);
    if (err)
        return err;
    if (list->query->has_near) {
        put_distance(list->out, distance_m);
        buffer_put_u8(list->out, ',');
    }
    return listing_put_csv(&meta, body, list->out);
}

/* Only those that were asked for, if any were. */
static enum torg_err select_properties(struct list *list, struct document *document)
{
    const struct http_params *params = &list->exchange->params;
    enum torg_err err;

    if (params->select_count == 0)
        return TORG_OK;
    buffer_clear(&list->selected);
    err = feature_select(document->feature, params->select, params->select_count, &list->selected);
    if (!err)
        document->feature = buffer_span(&list->selected);
    return err;
}

/* As it may be shown. */
static enum torg_err get_hit(struct list *list, uint32_t number, struct document *ret_document)
{
    enum torg_err err;

    if (list->local)
        err = local_feature_get(list->kv, list->local, number, &ret_document->feature);
    else
        err = catalogue_shown(list->kv, number, ret_document);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err; /* The index named it just now. */
    if (list->local || list->exchange->params.format == HTTP_FORMAT_CSV)
        return TORG_OK;
    return http_personal_feature(list->exchange, list->kv, list->origins, &list->scratch,
                                 ret_document);
}

static enum torg_err put_hit(struct list *list, const struct rtree_hit *hit)
{
    struct document document = {0};
    enum torg_err err = get_hit(list, hit->document, &document);

    if (!err && list->exchange->params.format == HTTP_FORMAT_CSV)
        return put_csv(list, &document, hit->distance_m);
    if (!err)
        err = http_item_project(list->exchange, list->transform, &list->projected, &document);
    if (!err)
        err = select_properties(list, &document);
    if (err)
        return err;
    switch (list->exchange->params.format) {
    case HTTP_FORMAT_ICS:
    case HTTP_FORMAT_JSONLD:
        return http_formats_put(list->exchange, document.feature);
    case HTTP_FORMAT_GEOJSONSEQ:
        buffer_put_u8(list->out, RECORD_SEPARATOR);
        put_feature(list, &document, hit->distance_m);
        buffer_put_u8(list->out, '\n');
        break;
    default:
        if (list->written > 0 || list->exchange->reply.listings > 0)
            buffer_put_str(list->out, ",\n");
        put_feature(list, &document, hit->distance_m);
    }
    return list->out->err;
}

/*
 * The documents of hits that come next. Each waits for memory three times: for where it
 * lies, for the page's address, for its bytes. A processor goes past the second only when it
 * is done with it, so each step is made for many before the next: they wait together. (One
 * by one, while the search went on, 20 pages took a seventh of an answer's time.)
 */
static void expect_hits(const struct list *list, size_t from)
{
    size_t end = from + HITS_AT_ONCE < list->page.count ? from + HITS_AT_ONCE : list->page.count;

    if (list->local)
        return;
    for (size_t i = from; i < end; i++)
        catalogue_shown_expect(list->kv, list->page.hits[i].document);
    for (size_t i = from; i < end; i++)
        catalogue_shown_begin(list->kv, list->page.hits[i].document);
    for (size_t i = from; i < end && i < from + HITS_AHEAD; i++)
        catalogue_shown_soon(list->kv, list->page.hits[i].document);
}

static void expect_before(const struct list *list, size_t i)
{
    if (i > 0 && i % HITS_AT_ONCE == 0)
        expect_hits(list, i);
    if (!list->local && i % HITS_AT_ONCE + HITS_AHEAD < HITS_AT_ONCE &&
        i + HITS_AHEAD < list->page.count)
        catalogue_shown_soon(list->kv, list->page.hits[i + HITS_AHEAD].document);
}

/* All hits, or as many as an answer may hold: the next page then begins there. */
static enum torg_err put_hits(struct list *list)
{
    list->has_next = list->page.has_next;
    list->next = list->page.next;
    for (size_t i = 0; i < list->page.count; i++) {
        const struct rtree_hit *hit = &list->page.hits[i];
        enum torg_err err;

        expect_before(list, i);
        err = put_hit(list, hit);
        if (err)
            return err;
        list->written++;
        if (list->out->size > HTTP_ANSWER_BYTES_MAX && list->written < list->page.count) {
            list->has_next = true;
            return query_cursor_at(list->kv, list->query, &list->page, i, &list->next);
        }
    }
    return TORG_OK;
}

/* Facets are of all that matches: the first page has said them. */
static const uint64_t without_in_next =
    HTTP_PARAM_BIT(CURSOR) | HTTP_PARAM_BIT(OFFSET) | HTTP_PARAM_BIT(FACETS);

static void put_cursor(const struct list *list, struct buffer *out)
{
    uint64_t binding = http_params_binding(&list->exchange->params);

    if (list->page.keys)
        http_params_sort_cursor_put(out, &list->page.keys[list->written - 1],
                                    list->page.hits[list->written - 1].document, binding);
    else
        http_params_cursor_put(out, &list->next, binding);
}

static void put_next_link(struct list *list)
{
    struct buffer cursor = {0};

    put_cursor(list, &cursor);
    http_link_again(list->exchange, "next", http_params_format_type(HTTP_FORMAT_GEOJSON),
                    without_in_next, "cursor", buffer_span(&cursor), list->out);
    if (cursor.err && !list->out->err)
        list->out->err = cursor.err;
    buffer_done(&cursor);
}

static void put_links(struct list *list, uint8_t collection)
{
    struct http_exchange *exchange = list->exchange;

    json_out_begin(list->out, "links", '[');
    http_link_self(exchange, list->out, http_params_format_type(HTTP_FORMAT_GEOJSON));
    if (list->has_next)
        put_next_link(list);
    if (collection || list->local)
        http_link_put(exchange, list->out, "collection", "application/json", NULL,
                      "/collections/%s",
                      list->local ? list->local->name : collection_name(collection));
    json_out_end(list->out, ']');
}

static enum torg_err more_list(struct http_exchange *exchange);

/*
 * After a piece of everything: the next one begins at a position, not at a number,
 * in whatever the store holds by then. So what is there throughout comes once.
 */
static void go_on(struct list *list)
{
    struct http_exchange *exchange = list->exchange;
    struct query *query = &exchange->params.query;

    if (!exchange->reply.more)
        http_reply_field(exchange, "OGC-NumberMatched", "%llu",
                         (unsigned long long)list->page.matched);
    exchange->reply.more = list->has_next ? more_list : NULL;
    exchange->reply.listings += list->written;
    exchange->params.facets = 0; /* The first piece has said them. */
    query->has_cursor = true;
    query->cursor = list->next;
    query->offset = 0;
    query->uncounted = true;
}

/* What stands before the listings. */
static enum torg_err begin_geojson(struct list *list)
{
    enum torg_err err = TORG_OK;

    json_out_begin(list->out, NULL, '{');
    json_out_text(list->out, "type", "FeatureCollection");
    json_out_int(list->out, "numberMatched", (int64_t)list->page.matched);
    json_out_time(list->out, "timeStamp", list->exchange->now_ms);
    if (list->facets)
        err = http_facets_put(list->exchange, list->origins, list->facets, list->out);
    if (err)
        return err;
    if (list->exchange->params.explain) {
        list->exchange->reply.cache = "no-store";
        http_facets_put_explain(&list->page.explain, list->out);
    }
    json_out_begin(list->out, "features", '[');
    return list->out->err;
}

static enum torg_err put_geojson(struct list *list, uint8_t collection)
{
    struct http_exchange *exchange = list->exchange;
    uint64_t before = exchange->reply.listings;
    enum torg_err err;

    expect_hits(list, 0);
    err = exchange->reply.more ? TORG_OK : begin_geojson(list);
    if (!err)
        err = put_hits(list);
    if (!err && exchange->params.all) {
        go_on(list);
        if (list->has_next)
            return list->out->err;
    }
    if (err)
        return err;
    json_out_end(list->out, ']');
    json_out_int(list->out, "numberReturned", (int64_t)(before + list->written));
    put_links(list, collection);
    buffer_put_str(list->out, "}\n");
    return list->out->err;
}

static void put_next_url(const struct list *list, struct buffer *out)
{
    struct buffer cursor = {0};

    put_cursor(list, &cursor);
    http_link_put_again(list->exchange, without_in_next, "cursor", buffer_span(&cursor), out);
    if (cursor.err && !out->err)
        out->err = cursor.err;
    buffer_done(&cursor);
}

/* The same facts as fields, for formats that have no place for them. */
static enum torg_err put_plain(struct list *list, uint8_t collection)
{
    struct http_exchange *exchange = list->exchange;
    struct buffer href = {0};
    enum torg_err err;

    if (exchange->params.format == HTTP_FORMAT_CSV && !exchange->reply.more) {
        if (list->query->has_near)
            buffer_put_str(list->out, "distance,");
        csv_put_header(collection, list->out);
    }
    if (http_formats_mine(exchange->params.format))
        http_formats_begin(exchange);
    expect_hits(list, 0);
    err = put_hits(list);
    if (err)
        return err;
    if (exchange->params.all) {
        go_on(list);
        return list->out->err;
    }
    if (http_formats_mine(exchange->params.format))
        http_formats_end(exchange);
    http_reply_field(exchange, "OGC-NumberMatched", "%llu", (unsigned long long)list->page.matched);
    http_reply_field(exchange, "OGC-NumberReturned", "%zu", list->written);
    if (list->has_next) {
        put_next_url(list, &href);
        buffer_put_u8(&href, 0);
        err = href.err;
        if (!err)
            http_reply_field(exchange, "Link", "<%s>; rel=\"next\"; type=\"%s\"",
                             (const char *)href.data,
                             http_params_format_type(exchange->params.format));
    }
    buffer_done(&href);
    return err ? err : list->out->err;
}

/* ---- lists ---- */

/* Only GeoJSON has a place for what stands beside the listings. */
static bool check_members(struct http_exchange *exchange)
{
    const struct http_params *params = &exchange->params;
    struct problems problems;

    if (params->explain && !http_router_admin(exchange))
        return false;
    if (!http_formats_fit(exchange))
        return false;
    if ((params->format == HTTP_FORMAT_CSV || http_formats_mine(params->format)) &&
        params->crs != GEO_CRS84) {
        problems.count = 0;
        problems_add(&problems, "crs", "needs f=geojson or f=geojsonseq: this has degrees");
        http_reply_problems(exchange, 400, "invalid-parameter",
                            "This format knows one coordinate system only.", &problems);
        return false;
    }
    if (params->format == HTTP_FORMAT_GEOJSON || (!params->facets && !params->explain))
        return true;
    problems.count = 0;
    problems_add(&problems, params->facets ? "facets" : "explain", "needs f=geojson");
    http_reply_problems(exchange, 400, "invalid-parameter",
                        "This format has no place for what was asked beside the listings.",
                        &problems);
    return false;
}

static bool check_cursor(struct http_exchange *exchange)
{
    struct http_params *params = &exchange->params;
    struct problems problems;

    if (!(params->given & HTTP_PARAM_BIT(CURSOR)))
        return true;
    params->query.has_cursor = true;
    params->query.cursor = params->cursor;
    if (params->cursor_binding == http_params_binding(params))
        return true;
    problems.count = 0;
    problems_add(&problems, "cursor",
                 "belongs to another query: take the next link as it is, or begin again without");
    http_reply_problems(exchange, 400, "invalid-parameter", "The cursor does not fit the query.",
                        &problems);
    return false;
}

/* In an order by properties the facets are counted apart. */
static enum torg_err run_list(struct list *list, const struct http_params *params)
{
    const struct theme_tree *themes = list->exchange->node->themes;
    struct query_page counted;
    struct query query;
    enum torg_err err;

    if (params->sort.count == 0 && !list->facets)
        return query_run(list->kv, themes, &params->query, &list->page);
    if (params->sort.count == 0)
        return query_run_facets(list->kv, themes, &params->query, params->facets, &list->page,
                                list->facets);
    query = params->query;
    query.has_cursor = false;
    query.offset = query.limit = 0;
    if (list->facets) {
        err = query_run_facets(list->kv, themes, &query, params->facets, &counted, list->facets);
        if (err)
            return err;
        query_page_done(&counted);
    }
    err = query_run_sorted(list->kv, themes, &params->query, &params->sort, &list->page);
    if (err && list->facets)
        query_facets_done(list->facets);
    return err;
}

static enum torg_err read_list(struct http_exchange *exchange, const struct kv *kv,
                               uint8_t collection)
{
    struct http_params *params = &exchange->params;
    const struct http_origins *origins;
    struct query_facets facets;
    struct list list;
    enum torg_err err;

    list_begin(&list, exchange, kv);
    err = http_origins_get(exchange, kv, &origins);
    if (err)
        return err;
    list.origins = origins;
    http_origins_resolve(origins, params);
    if (http_tag_list(exchange, kv, origins)) {
        http_origins_reply_state(exchange, origins, &params->query);
        return TORG_OK;
    }
    err = http_item_open_transform(exchange, &list.transform);
    if (err)
        return err;
    params->query.rounded = true; /* They are shown in millimetres. */
    if (params->facets)
        list.facets = &facets;
    if (!params->never)
        err = run_list(&list, params);
    else if (list.facets)
        memset(list.facets, 0, sizeof(*list.facets));
    if (err)
        goto done;
    http_reply_begin(exchange, 200, http_params_format_type(params->format));
    if (!exchange->reply.more) { /* Else the fields have been sent. */
        http_origins_reply_state(exchange, origins, &params->query);
        http_item_reply_content_crs(exchange);
    }
    if (params->format == HTTP_FORMAT_GEOJSON)
        err = put_geojson(&list, collection);
    else
        err = put_plain(&list, collection);
    query_page_done(&list.page);
    if (list.facets)
        query_facets_done(list.facets);
done:
    geo_transform_free(list.transform);
    buffer_done(&list.scratch);
    buffer_done(&list.projected);
    buffer_done(&list.selected);
    return err;
}

static enum torg_err more_list(struct http_exchange *exchange)
{
    struct span name = exchange->captures[0]; /* nothing, of a search */
    struct kv kv;
    enum torg_err err = store_read_begin(exchange->node->store, &kv);

    if (err)
        return err;
    err = read_list(exchange, &kv, name.size ? collection_of_name(name) : 0);
    store_read_end(&kv);
    return err;
}

/* Everything at once can only be written as it comes. */
static bool check_all(struct http_exchange *exchange)
{
    struct http_params *params = &exchange->params;
    bool comes = !exchange->html &&
                 params->format & (HTTP_FORMAT_GEOJSON | HTTP_FORMAT_GEOJSONSEQ | HTTP_FORMAT_CSV);
    struct problems problems;

    if (!params->all)
        return true;
    params->query.limit = params->query.has_near || params->query.text.size > 0
                              ? PIECE_LISTINGS_ORDERED
                              : PIECE_LISTINGS;
    if (comes && !(params->given & (HTTP_PARAM_BIT(LIMIT) | HTTP_PARAM_BIT(SORTBY))))
        return true;
    problems.count = 0;
    problems_add(&problems, "all",
                 comes ? "cannot stand beside limit or sortby"
                       : "needs f=geojsonseq, f=geojson or f=csv");
    http_reply_problems(exchange, 400, "invalid-parameter",
                        "Everything at once is not to be had like this.", &problems);
    return false;
}

static enum torg_err answer_list(struct http_exchange *exchange, uint8_t collection)
{
    struct kv kv;
    enum torg_err err;

    if (!check_members(exchange) || !check_cursor(exchange) || !check_all(exchange))
        return TORG_OK;
    err = store_read_begin(exchange->node->store, &kv);
    if (err)
        return err;
    err = read_list(exchange, &kv, collection);
    store_read_end(&kv);
    return err;
}

/* ---- features of local collections ---- */

static enum torg_err read_local(struct http_exchange *exchange, const struct kv *kv,
                                const struct local_collection *collection, struct filter *when)
{
    struct http_params *params = &exchange->params;
    struct list list;
    enum torg_err err;

    list_begin(&list, exchange, kv);
    list.local = collection;
    if (http_tag_list(exchange, kv, NULL))
        return TORG_OK;
    err = http_item_open_transform(exchange, &list.transform);
    if (err)
        return err;
    if (!params->never)
        err = local_query(kv, collection, &params->query, when, &params->sort, &list.page);
    if (!err) {
        http_reply_begin(exchange, 200, http_params_format_type(params->format));
        http_item_reply_content_crs(exchange);
        err = params->format == HTTP_FORMAT_GEOJSON ? put_geojson(&list, 0) : put_plain(&list, 0);
        query_page_done(&list.page);
    }
    geo_transform_free(list.transform);
    buffer_done(&list.projected);
    buffer_done(&list.selected);
    return err;
}

static enum torg_err list_local(struct http_exchange *exchange,
                                const struct local_collection *collection)
{
    struct filter *when = NULL;
    struct kv kv;
    bool good;
    enum torg_err err;

    if (!http_local_takes(exchange))
        return TORG_OK;
    if (exchange->params.all) {
        struct problems problems = {0};

        problems_add(&problems, "all", "is for listings: follow the next links here");
        http_reply_problems(exchange, 400, "invalid-parameter",
                            "A local collection comes in pages.", &problems);
        return TORG_OK;
    }
    err = http_local_filters(exchange, collection, &when, &good);
    if (!err && good && check_cursor(exchange)) {
        err = store_read_begin(exchange->node->store, &kv);
        if (!err) {
            err = read_local(exchange, &kv, collection, when);
            store_read_end(&kv);
        }
    }
    filter_free(when);
    return err;
}

static void reply_local(struct http_exchange *exchange, const struct local_collection *collection,
                        struct span feature)
{
    struct buffer *out = &exchange->reply.body;

    http_reply_begin(exchange, 200, http_params_format_type(HTTP_FORMAT_GEOJSON));
    buffer_put(out, feature.data, feature.size - 1);
    json_out_begin(out, "links", '[');
    http_link_self(exchange, out, http_params_format_type(HTTP_FORMAT_GEOJSON));
    http_link_put(exchange, out, "collection", "application/json", NULL, "/collections/%s",
                  collection->name);
    json_out_end(out, ']');
    buffer_put_str(out, "}\n");
    http_item_reply_content_crs(exchange);
}

static enum torg_err one_local(struct http_exchange *exchange,
                               const struct local_collection *collection)
{
    struct geo_transform *transform = NULL;
    struct document document = {0};
    struct buffer projected = {0};
    uint32_t number;
    struct kv kv;
    enum torg_err err;

    if (!http_local_takes(exchange))
        return TORG_OK;
    err = store_read_begin(exchange->node->store, &kv);
    if (err)
        return err;
    err = local_find(&kv, collection, exchange->captures[1], &number);
    if (!err)
        err = local_feature_get(&kv, collection, number, &document.feature);
    if (!err)
        err = http_item_open_transform(exchange, &transform);
    if (!err)
        err = http_item_project(exchange, transform, &projected, &document);
    if (!err)
        reply_local(exchange, collection, document.feature);
    store_read_end(&kv);
    geo_transform_free(transform);
    buffer_done(&projected);
    if (err != TORG_E_NOT_FOUND)
        return err;
    http_reply_problem(exchange, 404, NULL, "There is no feature with this id.");
    return TORG_OK;
}

/* True: the path named a local collection, or an error came; the handler is done. */
static bool is_local(struct http_exchange *exchange,
                     enum torg_err (*answer)(struct http_exchange *exchange,
                                             const struct local_collection *collection),
                     enum torg_err *ret_err)
{
    struct local_collection *collection = http_local_find(exchange, ret_err);

    if (!collection)
        return *ret_err != TORG_OK;
    *ret_err = answer(exchange, collection);
    local_free(collection);
    return true;
}

enum torg_err http_items_list(struct http_exchange *exchange)
{
    uint8_t collection;
    enum torg_err err;
    bool good;

    if (is_local(exchange, list_local, &err))
        return err;
    collection = http_items_collection(exchange);
    if (!collection)
        return TORG_OK;
    exchange->params.query.collections = 1u << collection;
    err = http_filter_read(exchange, &good);
    return err || !good ? err : answer_list(exchange, collection);
}

enum torg_err http_items_search(struct http_exchange *exchange)
{
    enum torg_err err;
    bool good;

    if (!exchange->params.query.collections)
        exchange->params.query.collections = COLLECTION_MASK_PUBLIC;
    err = http_filter_read(exchange, &good);
    return err || !good ? err : answer_list(exchange, 0);
}

/* ---- one listing ---- */

enum torg_err http_items_one(struct http_exchange *exchange)
{
    uint8_t collection;
    struct feature_id id;
    struct kv kv;
    enum torg_err err;

    if (is_local(exchange, one_local, &err))
        return err;
    collection = http_items_collection(exchange);
    if (!collection || !http_items_id(exchange, &id))
        return TORG_OK;
    exchange->params.query.collections = 1u << collection;
    if (!check_members(exchange))
        return TORG_OK;
    err = store_read_begin(exchange->node->store, &kv);
    if (err)
        return err;
    err = http_item_reply(exchange, &kv, collection, &id, 200);
    store_read_end(&kv);
    if (err == TORG_E_NOT_FOUND) {
        http_reply_problem(exchange, 404, NULL, "There is no listing with this id.");
        return TORG_OK;
    }
    return err;
}
