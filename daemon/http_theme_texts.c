/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_theme_texts.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/http_workers.h"
#include "daemon/json_out.h"
#include "protocol/listing_geojson.h"

/* Where a text begins and ends in the bytes, which may move until all are there. */
struct extent {
    size_t slug, names, end;
};

static void put_text(struct buffer *out, const struct theme *theme, struct extent *extent)
{
    extent->slug = out->size;
    json_put_string(out, span_of_str(theme->slug));
    extent->names = out->size;
    buffer_put_str(out, "{");
    for (size_t i = 0; i < theme->name_count; i++)
        json_out_text(out, theme->languages[i], theme->names[i]);
    buffer_put_str(out, "}");
    extent->end = out->size;
}

static bool is_numbered(const struct theme_tree *themes, const struct theme *theme)
{
    const struct theme *parent =
        theme->parent ? theme_tree_find(themes, span_of_str(theme->parent)) : NULL;

    return !parent || parent->bit != theme->bit;
}

/* Parents come before what is below them, but not next to it: "food", "food-x", "food/cafe". */
static size_t find_parent(const struct http_theme_texts *texts, size_t i)
{
    const char *parent = texts->items[i].theme->parent;

    for (size_t j = i; parent && j-- > 0;) {
        if (strcmp(texts->items[j].theme->slug, parent) == 0)
            return j;
    }
    return SIZE_MAX;
}

/* From the last to the first, so that each goes before those of its parent that stand already. */
static void link_all(struct http_theme_texts *texts)
{
    texts->first = SIZE_MAX;
    for (size_t i = 0; i < texts->count; i++)
        texts->items[i].first_narrower = SIZE_MAX;
    for (size_t i = texts->count; i-- > 0;) {
        size_t parent = find_parent(texts, i);
        size_t *first = parent == SIZE_MAX ? &texts->first : &texts->items[parent].first_narrower;

        texts->items[i].next = *first;
        *first = i;
    }
}

static enum torg_err texts_make(struct http_theme_texts *texts, const struct theme_tree *themes)
{
    size_t count = theme_tree_count(themes);
    struct extent *extents = calloc(count + 1, sizeof(*extents));

    texts->items = calloc(count + 1, sizeof(*texts->items));
    if (!extents || !texts->items) {
        free(extents);
        return TORG_E_NOMEM;
    }
    texts->count = count;
    for (size_t i = 0; i < count; i++) {
        texts->items[i].theme = theme_tree_at(themes, i);
        texts->items[i].numbered = is_numbered(themes, texts->items[i].theme);
        put_text(&texts->bytes, texts->items[i].theme, &extents[i]);
    }
    for (size_t i = 0; i < count && !texts->bytes.err; i++) {
        const struct extent *extent = &extents[i];
        const uint8_t *bytes = texts->bytes.data;

        texts->items[i].slug = span_of(bytes + extent->slug, extent->names - extent->slug);
        texts->items[i].names = span_of(bytes + extent->names, extent->end - extent->names);
    }
    free(extents);
    link_all(texts);
    return texts->bytes.err;
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
    free(texts->items);
    free(texts);
}
