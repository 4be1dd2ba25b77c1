/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_page_parts.h"

#include <string.h>

#include "daemon/html.h"
#include "daemon/http_reply.h"
#include "protocol/gazetteer.h"

struct http_page_parts http_page_parts_of(struct http_exchange *exchange, const struct kv *kv,
                                          const struct http_origins *origins)
{
    const struct http_params *params = &exchange->params;

    return (struct http_page_parts){
        .exchange = exchange,
        .out = &exchange->reply.body,
        .language = http_words_language(params->language),
        .tag = params->text_tag[0] ? params->text_tag : "sv",
        .kv = kv,
        .origins = origins,
    };
}

const char *http_page_parts_word(const struct http_page_parts *page, enum http_word word)
{
    return http_words(word, page->language);
}

void http_page_parts_lang(const struct http_page_parts *page, char separator)
{
    if (strcmp(page->tag, "sv") != 0)
        buffer_printf(page->out, "%slang=%s", separator == '&' ? "&amp;" : "?", page->tag);
}

/* The link to the same page in the other language. */
static void put_other_language(const struct http_page_parts *page)
{
    static const char *const tags[] = {"en", "sv"}; /* the other one's */
    const struct http_query *query = &page->exchange->query;

    buffer_printf(page->out, "<a class=\"language\" lang=\"%s\" hreflang=\"%s\" href=\"?lang=%s",
                  tags[page->language], tags[page->language], tags[page->language]);
    for (size_t i = 0; i < query->count; i++) {
        if (span_equal(query->pairs[i].name, span_of_str("lang")) || !query->pairs[i].value.size)
            continue;
        buffer_put_str(page->out, "&amp;");
        http_request_put_escaped(page->out, query->pairs[i].name);
        buffer_put_u8(page->out, '=');
        http_request_put_escaped(page->out, query->pairs[i].value);
    }
    buffer_printf(page->out, "\">%s</a>", http_page_parts_word(page, WORD_OTHER_LANGUAGE));
}

void http_page_parts_begin(const struct http_page_parts *page, int status, struct span title)
{
    struct buffer *out = page->out;
    const char *name = page->exchange->node->config->name;

    http_reply_begin(page->exchange, status, "text/html; charset=utf-8");
    if (status == 200)
        http_reply_in_language(page->exchange);
    buffer_printf(out,
                  "<!doctype html>\n<html lang=\"%s\">\n<head>\n<meta charset=\"utf-8\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                  "<title>",
                  http_words_code(page->language));
    if (title.size > 0) {
        html_span(out, title);
        buffer_put_str(out, " – ");
    }
    buffer_put_str(out, "torg ");
    html_text(out, name);
    buffer_put_str(
        out, "</title>\n<link rel=\"stylesheet\" href=\"/torg.css\">\n"
             "<link rel=\"icon\" type=\"image/svg+xml\" href=\"/torg.svg\">\n</head>\n<body>\n");
    buffer_printf(out, "<a class=\"skip\" href=\"#content\">%s</a>\n",
                  http_page_parts_word(page, WORD_SKIP));
    buffer_put_str(out, "<header class=\"top\"><div class=\"wide\"><a class=\"brand\" href=\"/");
    http_page_parts_lang(page, '?');
    buffer_put_str(out, "\">torg <b>");
    html_text(out, name);
    buffer_put_str(out, "</b></a> ");
    put_other_language(page);
    buffer_printf(out, " <span class=\"tagline\">%s</span>",
                  http_page_parts_word(page, WORD_TAGLINE));
    buffer_put_str(out, "</div></header>\n<main class=\"wide\">\n");
}

/* "för 3 minuter sedan" of one origin, with marks, or that this is the source. */
static void put_age(const struct http_page_parts *page, const struct http_origin *origin)
{
    int64_t now_ms = page->exchange->now_ms;
    enum http_word mark = WORD_COUNT;

    if (origin->own) {
        buffer_put_str(page->out, http_page_parts_word(page, WORD_SOURCE_HERE));
        return;
    }
    buffer_printf(page->out, "%s ", http_page_parts_word(page, WORD_AS_OF));
    http_words_put_age(page->out, page->language, http_origins_age_s(origin, now_ms));
    if (origin->flags & REPLICA_FLAG_DISPUTED)
        mark = WORD_DISPUTED;
    else if (http_origins_expired(origin, now_ms))
        mark = WORD_EXPIRED;
    else if (http_origins_stale(origin, now_ms))
        mark = WORD_STALE;
    if (mark != WORD_COUNT)
        buffer_printf(page->out, " <span class=\"mark\">(%s)</span>",
                      http_page_parts_word(page, mark));
}

/* Each origin with its age: nobody should have to guess how fresh the answers are. */
static void put_origins(const struct http_page_parts *page)
{
    struct buffer *out = page->out;

    buffer_printf(out, "<h2>%s</h2>\n<ul>\n", http_page_parts_word(page, WORD_WHOSE));
    for (size_t i = 0; i < page->origins->count; i++) {
        const struct http_origin *origin = &page->origins->items[i];
        uint64_t count = 0;

        if (!origin->has_head)
            continue;
        for (uint8_t c = 1; c < COLLECTIONS_MAX; c++) {
            uint64_t of_collection = 0;

            if ((COLLECTION_MASK_PUBLIC >> c & 1) &&
                catalogue_count(page->kv, c, origin->number, &of_collection) == TORG_OK)
                count += of_collection;
        }
        buffer_put_str(out, "<li><strong>");
        html_text(out, origin->name);
        buffer_printf(out, "</strong>: %llu %s, ", (unsigned long long)count,
                      http_page_parts_word(page, WORD_LISTINGS));
        put_age(page, origin);
        buffer_put_str(out, "</li>\n");
    }
    buffer_put_str(out, "</ul>\n");
}

void http_page_parts_end(const struct http_page_parts *page)
{
    struct buffer *out = page->out;

    buffer_put_str(out, "</main>\n<footer class=\"foot\"><div class=\"wide\">\n");
    if (page->origins && page->kv)
        put_origins(page);
    buffer_printf(out, "<p>%s <a href=\"", http_page_parts_word(page, WORD_CREDIT));
    html_text(out, page->exchange->node->config->base_path);
    buffer_printf(out, "/\">%s</a>.</p>\n</div></footer>\n</body>\n</html>\n",
                  http_page_parts_word(page, WORD_FOR_PROGRAMS));
}

/* ---- a listing's facts ---- */

const char *http_page_parts_text(const struct http_page_parts *page, const json_t *value)
{
    const json_t *text;

    if (json_is_string(value))
        return json_string_value(value);
    if (!json_is_object(value))
        return "";
    text = json_object_get(value, page->tag);
    if (!text)
        text = json_object_get(value, "sv");
    if (!text)
        text = json_object_iter_value(json_object_iter((json_t *)(uintptr_t)value));
    return json_is_string(text) ? json_string_value(text) : "";
}

enum torg_err http_page_parts_feature(const struct document *document, json_t **ret_feature,
                                      const json_t **ret_properties)
{
    json_t *feature =
        json_loadb((const char *)document->feature.data, document->feature.size, 0, NULL);
    const json_t *properties = json_object_get(feature, "properties");

    if (!json_is_object(properties)) {
        json_decref(feature);
        return TORG_E_CORRUPT; /* The catalogue wrote it. */
    }
    *ret_feature = feature;
    *ret_properties = properties;
    return TORG_OK;
}

void http_page_parts_href(const struct http_page_parts *page, const struct document *document)
{
    const struct http_origin *origin = http_origins_find(page->origins, document->origin_number);
    struct feature_id id = {.id = document->id};
    char text[FEATURE_ID_SIZE + 1];

    if (origin)
        memcpy(id.origin_prefix, origin->id.bytes, sizeof(id.origin_prefix));
    feature_id_format(&id, text);
    buffer_printf(page->out, "href=\"/listing/%s", text);
    http_page_parts_lang(page, '?');
    buffer_put_u8(page->out, '"');
}

void http_page_parts_labels(const struct http_page_parts *page, const struct document *document,
                            const json_t *properties)
{
    const struct http_words_collection *words = http_words_collection(document->collection);

    if (words)
        buffer_printf(page->out, "<span class=\"kind\">%s</span>", words->one[page->language]);
    if (json_is_true(json_object_get(properties, "example")))
        buffer_printf(page->out, "<span class=\"kind made-up\">%s</span>",
                      http_page_parts_word(page, WORD_EXAMPLE));
}

void http_page_parts_source(const struct http_page_parts *page, const struct document *document)
{
    const struct http_origin *origin = http_origins_find(page->origins, document->origin_number);

    if (!origin)
        return;
    buffer_printf(page->out, "%s ", http_page_parts_word(page, WORD_FROM));
    html_text(page->out, origin->name);
    buffer_put_str(page->out, ", ");
    put_age(page, origin);
}

const char *http_page_parts_municipality(const struct document *document)
{
    const char *name = gazetteer_municipality(span_of_str(document->municipality));

    return name ? name : "";
}

bool http_page_parts_provider(const struct http_page_parts *page, const json_t *properties,
                              const char *before)
{
    const char *text = json_string_value(json_object_get(properties, "provider"));
    struct document document;
    struct feature_id id;
    const json_t *of_provider;
    json_t *feature;

    if (!text || feature_id_parse(span_of_str(text), &id) ||
        catalogue_find(page->kv, COLLECTION_COMPANIES, &id, &document) ||
        http_page_parts_feature(&document, &feature, &of_provider))
        return false;
    buffer_put_str(page->out, before);
    buffer_put_str(page->out, "<a ");
    http_page_parts_href(page, &document);
    buffer_put_u8(page->out, '>');
    html_text(page->out, http_page_parts_text(page, json_object_get(of_provider, "name")));
    buffer_put_str(page->out, "</a>");
    json_decref(feature);
    return true;
}

void http_page_parts_moment(const struct http_page_parts *page, const char *text)
{
    size_t size = strlen(text);

    html_span(page->out, span_of(text, size < 10 ? size : 10));
    if (size >= 16 && text[10] == 'T') {
        buffer_put_u8(page->out, ' ');
        html_span(page->out, span_of(text + 11, 5));
    }
}

void http_page_parts_start(const struct http_page_parts *page, const json_t *properties,
                           const char *before, const char *after)
{
    const char *start = json_string_value(json_object_get(properties, "start"));
    const char *end = json_string_value(json_object_get(properties, "end"));

    if (!start)
        return;
    buffer_put_str(page->out, before);
    http_page_parts_moment(page, start);
    if (end) {
        buffer_put_str(page->out, " – ");
        if (strlen(end) >= 16 && strncmp(start, end, 10) == 0)
            html_span(page->out, span_of(end + 11, 5)); /* the same day */
        else
            http_page_parts_moment(page, end);
    }
    buffer_put_str(page->out, after);
}

void http_page_parts_price(const struct http_page_parts *page, const json_t *properties,
                           const char *before, const char *after)
{
    const json_t *price = json_object_get(properties, "price");
    const json_t *amount = json_object_get(price, "amount");
    const char *currency = json_string_value(json_object_get(price, "currency"));
    const char *unit = http_page_parts_text(page, json_object_get(properties, "priceUnit"));

    if (!json_is_number(amount) || !currency)
        return;
    buffer_put_str(page->out, before);
    if (json_number_value(amount) == 0) {
        buffer_put_str(page->out, http_page_parts_word(page, WORD_FREE));
    } else {
        http_words_put_number(page->out, page->language, json_number_value(amount));
        buffer_put_u8(page->out, ' ');
        html_text(page->out,
                  page->language == HTTP_SWEDISH && strcmp(currency, "SEK") == 0 ? "kr" : currency);
        if (unit[0]) {
            buffer_put_str(page->out, strncmp(unit, "per ", 4) == 0 ? " " : " / ");
            html_text(page->out, unit);
        }
    }
    buffer_put_str(page->out, after);
}
