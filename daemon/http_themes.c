/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_themes.h"
#include "daemon/http_link.h"
#include "daemon/http_reply.h"

#include <string.h>

#include "daemon/http_origins.h"
#include "daemon/json_out.h"
#include "index/store.h"

static bool is_below(const struct theme *theme, const char *parent)
{
    if (!theme->parent || !parent)
        return !theme->parent && !parent;
    return strcmp(theme->parent, parent) == 0;
}

static void put_theme(struct buffer *out, const struct theme *theme,
                      const uint64_t counts[THEME_BITS])
{
    json_out_text(out, "slug", theme->slug);
    json_out_begin(out, "name", '{');
    for (size_t i = 0; i < theme->name_count; i++)
        json_out_text(out, theme->languages[i], theme->names[i]);
    json_out_end(out, '}');
    json_out_int(out, "count", (int64_t)counts[theme->bit]);
}

/*
 * At most THEME_LEVELS_MAX deep: the taxonomy's parser sees to it. Themes stand in the order of
 * their slugs, so those whose slugs begin with the parent's stand together, from first on.
 */
static void put_below(struct buffer *out, const struct theme_tree *tree, size_t first,
                      const char *parent, const uint64_t counts[THEME_BITS])
{
    size_t prefix = parent ? strlen(parent) : 0;

    for (size_t i = first; i < theme_tree_count(tree); i++) {
        const struct theme *theme = theme_tree_at(tree, i);

        if (prefix > 0 && strncmp(theme->slug, parent, prefix) != 0)
            break;
        if (!is_below(theme, parent))
            continue;
        json_out_begin(out, NULL, '{');
        put_theme(out, theme, counts);
        json_out_begin(out, "narrower", '[');
        put_below(out, tree, i + 1, theme->slug, counts);
        json_out_end(out, ']');
        json_out_end(out, '}');
    }
}

static enum torg_err answer(struct http_exchange *exchange, const struct kv *kv)
{
    struct query *query = &exchange->params.query;
    uint64_t counts[THEME_BITS] = {0};
    struct buffer *out = &exchange->reply.body;
    const struct http_origins *origins;
    enum torg_err err = http_origins_get(exchange, kv, &origins);

    if (err)
        return err;
    http_origins_resolve(origins, &exchange->params);
    if (!query->collections)
        query->collections = COLLECTION_MASK_PUBLIC;
    if (!exchange->params.never)
        err = query_theme_counts(kv, exchange->node->themes, query, counts);
    if (err)
        return err;
    http_reply_begin(exchange, 200, http_params_format_type(HTTP_FORMAT_JSON));
    http_origins_reply_as_of(exchange, origins, query);
    json_out_begin(out, NULL, '{');
    json_out_time(out, "timeStamp", exchange->now_ms);
    json_out_begin(out, "themes", '[');
    put_below(out, exchange->node->themes, 0, NULL, counts);
    json_out_end(out, ']');
    json_out_begin(out, "links", '[');
    http_link_self(exchange, out, http_params_format_type(HTTP_FORMAT_JSON));
    buffer_put_str(out, "]}\n");
    return out->err;
}

enum torg_err http_themes(struct http_exchange *exchange)
{
    struct kv kv;
    enum torg_err err = store_read_begin(exchange->node->store, &kv);

    if (err)
        return err;
    err = answer(exchange, &kv);
    store_read_end(&kv);
    return err;
}
