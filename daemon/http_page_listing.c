/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdio.h>
#include <string.h>

#include "daemon/html.h"
#include "daemon/http_hours.h"
#include "daemon/http_page.h"
#include "daemon/http_page_parts.h"
#include "daemon/http_personal.h"
#include "index/store.h"

/* One listing's page. */
struct shown {
    struct http_page_parts page;
    struct document document;
    const json_t *properties;
};

static const char *text_of(const struct shown *shown, const char *name)
{
    return http_page_parts_text(&shown->page, json_object_get(shown->properties, name));
}

static void fact_begin(const struct shown *shown, enum http_word word)
{
    buffer_printf(shown->page.out, "<dt>%s</dt><dd>", http_page_parts_word(&shown->page, word));
}

static void fact_end(const struct shown *shown)
{
    buffer_put_str(shown->page.out, "</dd>\n");
}

static void put_fact(const struct shown *shown, enum http_word word, const char *text)
{
    if (!text || !text[0])
        return;
    fact_begin(shown, word);
    html_text(shown->page.out, text);
    fact_end(shown);
}

/* Only what is certainly a web address becomes a link. */
static void put_link(const struct shown *shown, enum http_word word, const char *url)
{
    if (!url || (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0))
        return;
    fact_begin(shown, word);
    buffer_put_str(shown->page.out, "<a rel=\"nofollow noreferrer\" href=\"");
    html_text(shown->page.out, url);
    buffer_put_str(shown->page.out, "\">");
    html_text(shown->page.out, url);
    buffer_put_str(shown->page.out, "</a>");
    fact_end(shown);
}

static void put_when(const struct shown *shown)
{
    const char *through = json_string_value(json_object_get(shown->properties, "validThrough"));
    char before[96];

    (void)snprintf(before, sizeof(before), "<dt>%s</dt><dd>",
                   http_page_parts_word(&shown->page, WORD_WHEN));
    http_page_parts_start(&shown->page, shown->properties, before, "</dd>\n");
    if (through) {
        fact_begin(shown, WORD_VALID_THROUGH);
        http_page_parts_moment(&shown->page, through);
        fact_end(shown);
    }
}

static void put_price(const struct shown *shown)
{
    char before[96];

    (void)snprintf(before, sizeof(before), "<dt>%s</dt><dd>",
                   http_page_parts_word(&shown->page, WORD_PRICE));
    http_page_parts_price(&shown->page, shown->properties, before, "</dd>\n");
}

static void put_hours(const struct shown *shown)
{
    struct buffer hours = {0};

    http_hours_put(&hours, shown->page.language,
                   json_object_get(shown->properties, "openingHours"));
    if (hours.size > 0) {
        fact_begin(shown, WORD_HOURS);
        buffer_put_span(shown->page.out, buffer_span(&hours));
        fact_end(shown);
    }
    if (hours.err)
        shown->page.out->err = hours.err;
    buffer_done(&hours);
}

static void put_where(const struct shown *shown)
{
    const json_t *address = json_object_get(shown->properties, "address");
    const char *const parts[] = {
        json_string_value(json_object_get(address, "street")),
        json_string_value(json_object_get(address, "postalCode")),
        json_string_value(json_object_get(address, "locality")),
        http_page_parts_municipality(&shown->document),
    };
    struct buffer *out = shown->page.out;
    const char *before = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        if (!parts[i] || !parts[i][0] || (before && strcmp(before, parts[i]) == 0))
            continue;
        if (!before)
            fact_begin(shown, WORD_WHERE);
        else
            buffer_put_str(out, i == 2 ? " " : ", ");
        html_text(out, parts[i]);
        before = parts[i];
    }
    if (shown->document.has_geometry) {
        double lat = shown->document.point.lat_e7 / 1e7;
        double lon = shown->document.point.lon_e7 / 1e7;

        if (!before)
            fact_begin(shown, WORD_WHERE);
        buffer_printf(out,
                      "%s<a rel=\"noreferrer\" href=\"https://www.openstreetmap.org/"
                      "?mlat=%.5f&amp;mlon=%.5f#map=13/%.5f/%.5f\">%s</a>",
                      before ? "<br>" : "", lat, lon, lat, lon,
                      http_page_parts_word(&shown->page, WORD_MAP));
        before = "";
    }
    if (before)
        fact_end(shown);
    put_fact(shown, WORD_AREA, text_of(shown, "area"));
}

static void put_contact(const struct shown *shown)
{
    static const char *const names[] = {"name", "telephone", "email"};
    const json_t *contact = json_object_get(shown->properties, "contact");
    bool any = false;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *text = json_string_value(json_object_get(contact, names[i]));

        if (!text || !text[0])
            continue;
        if (!any)
            fact_begin(shown, WORD_CONTACT);
        else
            buffer_put_str(shown->page.out, "<br>");
        html_text(shown->page.out, text);
        any = true;
    }
    if (any)
        fact_end(shown);
}

static void put_themes(const struct shown *shown)
{
    const json_t *themes = json_object_get(shown->properties, "themes");
    const struct theme_tree *tree = shown->page.exchange->node->themes;
    size_t count = json_array_size(themes);

    if (count == 0)
        return;
    fact_begin(shown, WORD_THEME);
    for (size_t i = 0; i < count; i++) {
        const char *slug = json_string_value(json_array_get(themes, i));
        const struct theme *theme = slug ? theme_tree_find(tree, span_of_str(slug)) : NULL;

        if (i > 0)
            buffer_put_str(shown->page.out, ", ");
        if (slug)
            html_text(shown->page.out, theme ? theme_name(theme, shown->page.tag) : slug);
    }
    fact_end(shown);
}

static void put_facts(const struct shown *shown)
{
    const json_t *booking = json_object_get(shown->properties, "booking");
    const json_t *crisis = json_object_get(shown->properties, "crisis");
    char provider[96];

    buffer_put_str(shown->page.out, "<dl class=\"facts\">\n");
    (void)snprintf(provider, sizeof(provider), "<dt>%s</dt><dd>",
                   http_page_parts_word(&shown->page, WORD_PROVIDER));
    if (http_page_parts_provider(&shown->page, shown->properties, provider))
        fact_end(shown);
    put_where(shown);
    put_when(shown);
    put_hours(shown);
    put_fact(shown, WORD_IN_DISTURBANCE,
             http_page_parts_text(&shown->page, json_object_get(crisis, "opening")));
    put_price(shown);
    put_link(shown, WORD_BOOK, json_string_value(json_object_get(booking, "url")));
    put_themes(shown);
    put_contact(shown);
    put_link(shown, WORD_WEBSITE, json_string_value(json_object_get(shown->properties, "url")));
    buffer_put_str(shown->page.out, "</dl>\n");
}

static void put_listing(const struct shown *shown, const char *id)
{
    const struct http_page_parts *page = &shown->page;
    struct buffer *out = page->out;
    const char *name = text_of(shown, "name");
    const char *description = text_of(shown, "description");

    http_page_parts_begin(page, 200, span_of_str(name));
    buffer_put_str(out, "<article id=\"content\"><h1>");
    html_text(out, name);
    buffer_put_str(out, "</h1>\n<p class=\"source\">");
    http_page_parts_labels(page, &shown->document, shown->properties);
    http_page_parts_source(page, &shown->document);
    buffer_put_str(out, "</p>\n");
    if (description[0]) {
        buffer_put_str(out, "<div class=\"lead\">");
        html_paragraphs(out, span_of_str(description));
        buffer_put_str(out, "</div>\n");
    }
    put_facts(shown);
    buffer_put_str(out, "<p class=\"more\"><a href=\"/");
    http_page_parts_lang(page, '?');
    buffer_printf(out, "\">%s</a> <a href=\"", http_page_parts_word(page, WORD_BACK));
    html_text(out, page->exchange->node->config->base_path);
    buffer_printf(out, "/collections/%s/items/%s\">%s</a></p>\n</article>\n",
                  collection_name(shown->document.collection), id,
                  http_page_parts_word(page, WORD_AS_DATA));
    http_page_parts_end(page);
}

/* The page's address names no collection: an id is rarely in two, and then any will do. */
static enum torg_err find_anywhere(const struct kv *kv, const struct feature_id *id,
                                   struct document *ret_document)
{
    for (uint8_t i = 1; i < COLLECTIONS_MAX; i++) {
        enum torg_err err = TORG_E_NOT_FOUND;

        if (COLLECTION_MASK_PUBLIC >> i & 1)
            err = catalogue_find(kv, i, id, ret_document);
        if (err != TORG_E_NOT_FOUND)
            return err;
    }
    return TORG_E_NOT_FOUND;
}

static enum torg_err answer(struct http_exchange *exchange, const struct kv *kv,
                            const struct feature_id *id)
{
    const struct http_origins *origins;
    struct shown shown;
    struct buffer scratch = {0};
    char text[FEATURE_ID_SIZE + 1];
    json_t *feature;
    enum torg_err err = http_origins_get(exchange, kv, &origins);

    if (err)
        return err;
    shown.page = http_page_parts_of(exchange, kv, origins);
    err = find_anywhere(kv, id, &shown.document);
    if (!err)
        err = http_personal_feature(exchange, kv, origins, &scratch, &shown.document);
    if (!err)
        err = http_page_parts_feature(&shown.document, &feature, &shown.properties);
    if (err)
        goto done;
    feature_id_format(id, text);
    put_listing(&shown, text);
    json_decref(feature);
    err = exchange->reply.body.err;
done:
    buffer_done(&scratch);
    return err;
}

enum torg_err http_page_listing(struct http_exchange *exchange)
{
    struct feature_id id;
    struct kv kv;
    enum torg_err err;

    if (feature_id_parse(exchange->captures[0], &id))
        return TORG_E_NOT_FOUND;
    err = store_read_begin(exchange->node->store, &kv);
    if (err)
        return err;
    err = answer(exchange, &kv, &id);
    store_read_end(&kv);
    return err;
}
