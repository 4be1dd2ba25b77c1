/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_theme_texts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/http_workers.h"
#include "daemon/json_out.h"
#include "protocol/listing_geojson.h"
#include "protocol/num.h"

#define NUMBER_BYTES_MAX 20

static void put_names(struct buffer *out, const struct theme *theme)
{
    buffer_put_str(out, ",\"name\":{");
    for (size_t i = 0; i < theme->name_count; i++)
        json_out_text(out, theme->languages[i], theme->names[i]);
    buffer_put_str(out, "}");
}

static bool is_numbered(const struct theme_tree *themes, const struct theme *theme)
{
    const struct theme *parent =
        theme->parent ? theme_tree_find(themes, span_of_str(theme->parent)) : NULL;

    return !parent || parent->bit != theme->bit;
}

/* ---- elements of a facet ---- */

/* Where a text begins and ends in the bytes, which may move until all are there. */
struct extent {
    size_t before, after, end;
};

static void put_element(struct buffer *out, const struct theme *theme, struct extent *extent)
{
    extent->before = out->size;
    buffer_put_str(out, "{\"value\":");
    json_put_string(out, span_of_str(theme->slug));
    buffer_put_str(out, ",\"count\":");
    extent->after = out->size;
    put_names(out, theme);
    buffer_put_str(out, "}");
    extent->end = out->size;
}

static enum torg_err elements_make(struct http_theme_texts *texts)
{
    struct extent *extents = calloc(texts->count + 1, sizeof(*extents));

    if (!extents)
        return TORG_E_NOMEM;
    for (size_t i = 0; i < texts->count; i++)
        put_element(&texts->bytes, texts->items[i].theme, &extents[i]);
    for (size_t i = 0; i < texts->count && !texts->bytes.err; i++) {
        const struct extent *extent = &extents[i];
        const uint8_t *bytes = texts->bytes.data;

        texts->items[i].before = span_of(bytes + extent->before, extent->after - extent->before);
        texts->items[i].after = span_of(bytes + extent->after, extent->end - extent->after);
    }
    free(extents);
    return texts->bytes.err;
}

/* ---- the tree ---- */

static bool is_below(const struct theme *theme, const char *parent)
{
    return parent ? theme->parent && strcmp(theme->parent, parent) == 0 : !theme->parent;
}

/*
 * The themes of one parent, NULL for those at the top, of which none stands
 * before the item first. At most THEME_LEVELS_MAX deep: the taxonomy's parser
 * sees to it. What is below a theme begins with its slug, so it ends where these do.
 */
static void put_level(struct http_theme_texts *texts, const char *parent, size_t first,
                      size_t *placed)
{
    struct buffer *out = &texts->tree;
    size_t common = parent ? strlen(parent) : 0;
    bool comma = false;

    for (size_t i = first; i < texts->count; i++) {
        const struct theme *theme = texts->items[i].theme;

        if (common && strncmp(theme->slug, parent, common) != 0)
            break;
        if (!is_below(theme, parent))
            continue;
        buffer_put_str(out, comma ? ",{\"slug\":" : "{\"slug\":");
        json_put_string(out, span_of_str(theme->slug));
        put_names(out, theme);
        buffer_put_str(out, ",\"count\":");
        texts->places[(*placed)++] = (struct http_theme_place){out->size, theme->bit};
        buffer_put_str(out, ",\"narrower\":[");
        put_level(texts, theme->slug, i + 1, placed);
        buffer_put_str(out, "]}");
        comma = true;
    }
}

void http_theme_texts_put_tree(const struct http_theme_texts *texts,
                               const uint64_t counts[THEME_BITS], struct buffer *out)
{
    const uint8_t *tree = texts->tree.data;
    size_t at = 0;

    if (buffer_reserve(out, texts->tree.size + texts->count * NUMBER_BYTES_MAX))
        return;
    for (size_t i = 0; i < texts->count; i++) {
        const struct http_theme_place *place = &texts->places[i];

        buffer_put(out, tree + at, place->at - at);
        num_put_fixed(out, (int64_t)counts[place->bit], 0);
        at = place->at;
    }
    buffer_put(out, tree + at, texts->tree.size - at);
}

/* ---- all of it ---- */

static enum torg_err texts_make(struct http_theme_texts *texts, const struct theme_tree *themes)
{
    size_t count = theme_tree_count(themes), placed = 0;
    enum torg_err err;

    texts->items = calloc(count + 1, sizeof(*texts->items));
    texts->places = calloc(count + 1, sizeof(*texts->places));
    if (!texts->items || !texts->places)
        return TORG_E_NOMEM;
    texts->count = count;
    for (size_t i = 0; i < count; i++) {
        texts->items[i].theme = theme_tree_at(themes, i);
        texts->items[i].numbered = is_numbered(themes, texts->items[i].theme);
    }
    err = elements_make(texts);
    if (err)
        return err;
    put_level(texts, NULL, 0, &placed);
    assert(placed == count); /* Every parent is there: the parser of the taxonomy sees to it. */
    return texts->tree.err;
}

enum torg_err http_theme_texts_get(struct http_exchange *exchange,
                                   const struct http_theme_texts **ret_texts)
{
    struct http_worker *worker = exchange->worker;
    struct http_theme_texts *texts = worker->theme_texts;
    enum torg_err err;

    if (!texts) {
        texts = calloc(1, sizeof(*texts));
        if (!texts)
            return TORG_E_NOMEM;
        err = texts_make(texts, exchange->node->themes);
        if (err) {
            http_theme_texts_free(texts);
            return err;
        }
        worker->theme_texts = texts;
    }
    *ret_texts = texts;
    return TORG_OK;
}

void http_theme_texts_free(struct http_theme_texts *texts)
{
    if (!texts)
        return;
    buffer_done(&texts->bytes);
    buffer_done(&texts->tree);
    free(texts->places);
    free(texts->items);
    free(texts);
}
