/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_suggest.h"

#include "daemon/http_link.h"
#include "daemon/http_page.h"
#include "daemon/http_reply.h"
#include "daemon/json_out.h"
#include "index/text_suggest.h"

#define LIMIT_DEFAULT 10

static void put_theme(struct buffer *out, const struct theme *theme, const char *language)
{
    json_out_text(out, "type", "theme");
    json_out_text(out, "text", theme_name(theme, language));
    json_out_text(out, "theme", theme->slug);
}

static void put_place(struct buffer *out, const struct gazetteer_place *place)
{
    const char *municipality = gazetteer_municipality(span_of_str(place->municipality_code));

    json_out_text(out, "type", "place");
    json_out_text(out, "text", place->name);
    if (municipality) {
        json_out_text(out, "municipality", place->municipality_code);
        json_out_text(out, "municipalityName", municipality);
    }
    json_out_begin(out, "coordinates", '[');
    json_out_fixed(out, NULL, place->position.lon_e7, 7);
    json_out_fixed(out, NULL, place->position.lat_e7, 7);
    json_out_end(out, ']');
}

static void put_name(struct buffer *out, const struct text_suggestion *suggestion)
{
    json_out_text(out, "type", "name");
    json_out_span(out, "text", suggestion->name);
    json_out_text(out, "collection", collection_name(suggestion->collection));
    json_out_int(out, "listings", (int64_t)suggestion->listings);
}

static enum torg_err answer(struct http_exchange *exchange, const struct kv *kv)
{
    const struct http_params *params = &exchange->params;
    struct text_suggestion items[TEXT_SUGGEST_MAX];
    struct buffer *out = &exchange->reply.body;
    struct text_suggest suggest = {
        .kv = kv,
        .themes = exchange->node->themes,
        .gazetteer = http_page_gazetteer(exchange->service),
        .language = params->text_tag,
        .now_ms = exchange->now_ms,
    };
    size_t max = params->given & HTTP_PARAM_BIT(LIMIT) ? params->query.limit : LIMIT_DEFAULT;
    size_t count;
    enum torg_err err;

    err = text_suggest(&suggest, params->query.text, items, max, &count);
    if (err)
        return err;
    http_reply_begin(exchange, 200, http_params_format_type(HTTP_FORMAT_JSON));
    json_out_begin(out, NULL, '{');
    json_out_begin(out, "suggestions", '[');
    for (size_t i = 0; i < count; i++) {
        json_out_begin(out, NULL, '{');
        if (items[i].type == TEXT_SUGGEST_THEME)
            put_theme(out, items[i].theme, suggest.language);
        else if (items[i].type == TEXT_SUGGEST_PLACE)
            put_place(out, items[i].place);
        else
            put_name(out, &items[i]);
        json_out_end(out, '}');
    }
    json_out_end(out, ']');
    json_out_begin(out, "links", '[');
    http_link_self(exchange, out, http_params_format_type(HTTP_FORMAT_JSON));
    buffer_put_str(out, "]}\n");
    return out->err;
}

enum torg_err http_suggest(struct http_exchange *exchange)
{
    return http_reply_read(exchange, answer);
}
