/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_facets.h"

#include <stdlib.h>

#include "daemon/http_theme_texts.h"
#include "daemon/json_out.h"
#include "protocol/gazetteer.h"
#include "protocol/num.h"

static void put_value(struct buffer *out, const char *value, uint64_t count)
{
    json_out_text(out, "value", value);
    json_out_int(out, "count", (int64_t)count);
}

/* ---- themes: most first, then by slug ---- */

struct theme_count {
    const struct http_theme_text *text;
    uint64_t count;
};

static int theme_compare(const void *a, const void *b)
{
    const struct theme_count *left = a;
    const struct theme_count *right = b;

    if (left->count != right->count)
        return left->count > right->count ? -1 : 1;
    return (left->text > right->text) - (left->text < right->text); /* They stand by slug. */
}

/* A theme that shares its parent's bit has no number of its own. */
static void put_themes(const struct http_theme_texts *texts, const uint64_t counts[THEME_BITS],
                       struct buffer *out)
{
    struct theme_count found[THEME_BITS];
    size_t count = 0;

    for (size_t i = 0; i < texts->count && count < THEME_BITS; i++) {
        const struct http_theme_text *text = &texts->items[i];

        if (counts[text->theme->bit] > 0 && text->numbered)
            found[count++] = (struct theme_count){text, counts[text->theme->bit]};
    }
    if (count > 1)
        qsort(found, count, sizeof(found[0]), theme_compare);
    json_out_begin(out, "theme", '[');
    for (size_t i = 0; i < count; i++) {
        buffer_put(out, ",", i > 0);
        buffer_put_span(out, found[i].text->before);
        num_put_fixed(out, (int64_t)found[i].count, 0);
        buffer_put_span(out, found[i].text->after);
    }
    json_out_end(out, ']');
}

/* ---- the others ---- */

static void put_origins(const struct http_origins *origins, const struct query_facets *facets,
                        struct buffer *out)
{
    json_out_begin(out, "origin", '[');
    for (size_t i = 0; i < facets->origin_count; i++) {
        const struct http_origin *origin = http_origins_find(origins, facets->origins[i].number);

        if (!origin)
            continue;
        json_out_begin(out, NULL, '{');
        put_value(out, origin->hex, facets->origins[i].count);
        json_out_text(out, "name", origin->name);
        json_out_end(out, '}');
    }
    json_out_end(out, ']');
}

static void put_municipalities(const struct query_facets *facets, struct buffer *out)
{
    json_out_begin(out, "municipality", '[');
    for (size_t i = 0; i < facets->municipality_count; i++) {
        const char *code = facets->municipalities[i].code;
        const char *name = gazetteer_municipality(span_of_str(code));

        json_out_begin(out, NULL, '{');
        put_value(out, code, facets->municipalities[i].count);
        if (name)
            json_out_text(out, "name", name);
        json_out_end(out, '}');
    }
    json_out_end(out, ']');
}

static void put_collections(const struct query_facets *facets, struct buffer *out)
{
    json_out_begin(out, "collection", '[');
    for (uint8_t c = 1; c < COLLECTIONS_MAX; c++) {
        if (facets->collections[c] == 0)
            continue;
        json_out_begin(out, NULL, '{');
        put_value(out, collection_name(c), facets->collections[c]);
        json_out_end(out, '}');
    }
    json_out_end(out, ']');
}

enum torg_err http_facets_put(struct http_exchange *exchange, const struct http_origins *origins,
                              const struct query_facets *facets, struct buffer *out)
{
    unsigned asked = exchange->params.facets;
    const struct http_theme_texts *texts;
    enum torg_err err;

    if (!asked)
        return TORG_OK;
    err = http_theme_texts_get(exchange, &texts);
    if (err)
        return err;
    json_out_begin(out, "facets", '{');
    if (asked & QUERY_FACET_THEME)
        put_themes(texts, facets->themes, out);
    if (asked & QUERY_FACET_ORIGIN)
        put_origins(origins, facets, out);
    if (asked & QUERY_FACET_MUNICIPALITY)
        put_municipalities(facets, out);
    if (asked & QUERY_FACET_COLLECTION)
        put_collections(facets, out);
    json_out_end(out, '}');
    return out->err;
}

/* ---- explain ---- */

static void put_part(const struct query_explain_part *part, bool has_set, struct buffer *out)
{
    json_out_begin(out, NULL, '{');
    json_out_text(out, "collection", collection_name(part->collection));
    json_out_bool(out, "placed", part->placed);
    json_out_text(out, "driver", part->driver);
    json_out_int(out, "documents", (int64_t)part->documents);
    json_out_int(out, "byTree", (int64_t)part->by_tree);
    json_out_int(out, "matched", (int64_t)part->matched);
    if (has_set)
        json_out_int(out, "byPostings", (int64_t)part->by_postings);
    json_out_bool(out, "compared", part->compared);
    json_out_end(out, '}');
}

static void put_filters(const struct query_explain *explain, struct buffer *out)
{
    static const char *const names[QUERY_FILTER_COUNT] = {
        [QUERY_FILTER_TEXT] = "text",
        [QUERY_FILTER_ORIGIN] = "origin",
        [QUERY_FILTER_MUNICIPALITY] = "municipality",
        [QUERY_FILTER_NETWORK] = "network",
        [QUERY_FILTER_OPEN] = "openAt",
        [QUERY_FILTER_REACH] = "reaches",
    };

    json_out_begin(out, "filters", '[');
    for (size_t i = 0; i < QUERY_FILTER_COUNT; i++) {
        if (!explain->filters[i].asked)
            continue;
        json_out_begin(out, NULL, '{');
        json_out_text(out, "name", names[i]);
        json_out_int(out, "listings", (int64_t)explain->filters[i].listings);
        json_out_text(out, "by", explain->filters[i].by_row ? "row" : "postings");
        json_out_end(out, '}');
    }
    json_out_end(out, ']');
    if (explain->has_set)
        json_out_int(out, "set", (int64_t)explain->set_count);
}

void http_facets_put_explain(const struct query_explain *explain, struct buffer *out)
{
    json_out_begin(out, "explain", '{');
    json_out_text(out, "driver", explain->driver ? explain->driver : "none");
    put_filters(explain, out);
    json_out_begin(out, "parts", '[');
    for (size_t i = 0; i < explain->part_count; i++)
        put_part(&explain->parts[i], explain->has_set, out);
    json_out_end(out, ']');
    json_out_begin(out, "visited", '{');
    json_out_int(out, "nodes", (int64_t)explain->nodes);
    json_out_int(out, "leaves", (int64_t)explain->leaves);
    json_out_int(out, "items", (int64_t)explain->items);
    json_out_int(out, "hits", (int64_t)explain->hits);
    json_out_int(out, "rows", (int64_t)explain->rows);
    json_out_int(out, "postings", (int64_t)explain->postings);
    json_out_int(out, "geodesics", (int64_t)explain->geodesics);
    json_out_end(out, '}');
    json_out_int(out, "work", (int64_t)explain->work);
    json_out_int(out, "workMax", QUERY_WORK_MAX);
    json_out_end(out, '}');
}
