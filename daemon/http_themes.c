/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_themes.h"
#include "daemon/http_link.h"
#include "daemon/http_reply.h"

#include "daemon/http_origins.h"
#include "daemon/http_theme_texts.h"
#include "daemon/json_out.h"

static enum torg_err answer(struct http_exchange *exchange, const struct kv *kv)
{
    struct query *query = &exchange->params.query;
    uint64_t counts[THEME_BITS] = {0};
    struct buffer *out = &exchange->reply.body;
    const struct http_theme_texts *texts;
    const struct http_origins *origins;
    enum torg_err err = http_theme_texts_get(exchange, &texts);

    if (!err)
        err = http_origins_get(exchange, kv, &origins);
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
    http_origins_reply_state(exchange, origins, query);
    json_out_begin(out, NULL, '{');
    json_out_time(out, "timeStamp", exchange->now_ms);
    json_out_begin(out, "themes", '[');
    http_theme_texts_put_tree(texts, counts, out);
    json_out_end(out, ']');
    json_out_begin(out, "links", '[');
    http_link_self(exchange, out, http_params_format_type(HTTP_FORMAT_JSON));
    buffer_put_str(out, "]}\n");
    return out->err;
}

enum torg_err http_themes(struct http_exchange *exchange)
{
    return http_reply_read(exchange, answer);
}
