/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_page.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/html.h"
#include "daemon/http_page_parts.h"
#include "daemon/http_reply.h"
#include "daemon/http_texts.h"
#include "protocol/gazetteer.h"

#define PAGE_LISTINGS 20
#define CHOICES_MAX 12
#define DESCRIPTION_BYTES_SHOWN 180

extern const unsigned char web_css[];
extern const size_t web_css_size;
extern const unsigned char web_icon[];
extern const size_t web_icon_size;

struct http_page {
    struct gazetteer *gazetteer;
};

enum torg_err http_page_new(struct http_page **ret_page)
{
    struct http_page *page = calloc(1, sizeof(*page));
    enum torg_err err;

    if (!page)
        return TORG_E_NOMEM;
    err = gazetteer_new(&page->gazetteer);
    if (err) {
        free(page);
        return err;
    }
    *ret_page = page;
    return TORG_OK;
}

void http_page_free(struct http_page *page)
{
    if (!page)
        return;
    gazetteer_free(page->gazetteer);
    free(page);
}

const struct gazetteer *http_page_gazetteer(const struct http_page *page)
{
    return page->gazetteer;
}

static enum torg_err reply_file(struct http_exchange *exchange, const char *type,
                                const unsigned char *data, size_t size)
{
    http_reply_begin(exchange, 200, type);
    exchange->reply.cache = "public, max-age=3600";
    buffer_put(&exchange->reply.body, data, size);
    return exchange->reply.body.err;
}

enum torg_err http_page_style(struct http_exchange *exchange)
{
    return reply_file(exchange, "text/css; charset=utf-8", web_css, web_css_size);
}

enum torg_err http_page_icon(struct http_exchange *exchange)
{
    return reply_file(exchange, "image/svg+xml", web_icon, web_icon_size);
}

static void put_text(const struct http_page_parts *page, const char *english)
{
    struct buffer text = {0};

    (void)http_texts_put(&text, page->language, span_of_str(english));
    html_span(page->out, buffer_span(&text));
    if (text.err)
        page->out->err = text.err;
    buffer_done(&text);
}

static void put_problems(const struct http_page_parts *page, const struct problems *problems)
{
    struct buffer *out = page->out;

    buffer_put_str(out, "<ul>\n");
    for (size_t i = 0; i < problems->count && i < PROBLEMS_MAX; i++) {
        buffer_put_str(out, "<li><b>");
        html_text(out, problems->items[i].path);
        buffer_put_str(out, "</b>: ");
        put_text(page, problems->items[i].text);
        buffer_put_str(out, "</li>\n");
    }
    buffer_put_str(out, "</ul>\n");
}

void http_page_problem(struct http_exchange *exchange, int status, const char *detail,
                       const struct problems *problems)
{
    struct http_page_parts page = http_page_parts_of(exchange, NULL, NULL);
    const char *heading = http_page_parts_word(&page, WORD_PROBLEM);

    http_page_parts_begin(&page, status, span_of_str(heading));
    buffer_printf(page.out, "<div id=\"content\"><h1>%s</h1>\n<p>", heading);
    put_text(&page, detail);
    buffer_put_str(page.out, "</p>\n");
    if (problems)
        put_problems(&page, problems);
    buffer_printf(page.out, "<p>%d ", status);
    put_text(&page, http_reply_status_text(status));
    buffer_put_str(page.out, "</p>\n<p><a href=\"/");
    http_page_parts_lang(&page, '?');
    buffer_printf(page.out, "\">%s</a></p></div>\n", http_page_parts_word(&page, WORD_BACK));
    http_page_parts_end(&page);
}

/* ---- the start page ---- */

/* What the visitor asked for, and where that is. */
struct search {
    struct http_page_parts page;
    struct http_params *params;
    struct span text; /* of the place: as typed, or this node's own name */
    bool typed;
    double radius_m; /* as asked for, also when there is no place to measure from */
    const struct gazetteer_place *choices[CHOICES_MAX];
    size_t count; /* of all that fit; choices holds at most CHOICES_MAX */
    bool exact;
    const struct gazetteer_place *place; /* NULL: none, or not decided */
};

/* The municipality whose node this is; empty when it is another kind of owner. */
static struct span own_place(const struct search *search)
{
    for (size_t i = 0; i < search->page.origins->count; i++) {
        const struct http_origin *origin = &search->page.origins->items[i];
        const char *name = gazetteer_municipality(span_of_str(origin->municipality));

        if (origin->own && name)
            return span_of_str(name);
    }
    return (struct span){0};
}

/* Without a typed place the search begins at home. */
static enum torg_err find_place(struct search *search)
{
    const struct http_page *service = search->page.exchange->service;
    enum torg_err err;

    search->typed = search->params->place.size > 0;
    search->text = search->typed ? search->params->place : own_place(search);
    err = gazetteer_find(service->gazetteer, search->text, search->choices, CHOICES_MAX,
                         &search->count, &search->exact);
    if (err)
        return err;
    if (search->count > 0 && (search->exact || (search->typed && search->count == 1)))
        search->place = search->choices[0];
    return TORG_OK;
}

static void put_option(struct buffer *out, const char *value, const char *label, bool selected)
{
    buffer_put_str(out, "<option value=\"");
    html_text(out, value);
    buffer_put_str(out, selected ? "\" selected>" : "\">");
    html_text(out, label);
    buffer_put_str(out, "</option>\n");
}

static bool pair_is(const struct search *search, const char *name, const char *value)
{
    const struct http_query *query = &search->page.exchange->query;

    for (size_t i = 0; i < query->count; i++) {
        if (span_equal(query->pairs[i].name, span_of_str(name)))
            return span_equal(query->pairs[i].value, span_of_str(value));
    }
    return value[0] == '\0';
}

static void put_themes(const struct search *search)
{
    const struct http_page_parts *page = &search->page;
    const struct theme_tree *tree = page->exchange->node->themes;

    buffer_printf(page->out, "<label>%s<select name=\"theme\">\n",
                  http_page_parts_word(page, WORD_THEME));
    put_option(page->out, "", http_page_parts_word(page, WORD_ALL_THEMES), false);
    for (size_t i = 0; i < theme_tree_count(tree); i++) {
        const struct theme *theme = theme_tree_at(tree, i);
        struct buffer label = {0};

        for (const char *c = theme->slug; *c; c++)
            buffer_put_str(&label, *c == '/' ? "\u00a0\u00a0\u00a0" : "");
        buffer_put_str(&label, theme_name(theme, page->tag));
        buffer_put_u8(&label, 0);
        if (!label.err)
            put_option(page->out, theme->slug, (const char *)label.data,
                       pair_is(search, "theme", theme->slug));
        buffer_done(&label);
    }
    buffer_put_str(page->out, "</select></label>\n");
}

static void put_collections(const struct search *search)
{
    const struct http_page_parts *page = &search->page;

    buffer_printf(page->out, "<label>%s<select name=\"collections\">\n",
                  http_page_parts_word(page, WORD_WHAT));
    put_option(page->out, "", http_page_parts_word(page, WORD_EVERYTHING), false);
    for (uint8_t i = 1; i < COLLECTIONS_MAX; i++) {
        const struct http_words_collection *words = http_words_collection(i);

        if (words)
            put_option(page->out, collection_name(i), words->title[page->language],
                       pair_is(search, "collections", collection_name(i)));
    }
    buffer_put_str(page->out, "</select></label>\n");
}

/* A link may carry any radius: the form must say the one that counts. */
static void put_other_distance(const struct search *search)
{
    const struct http_page_parts *page = &search->page;
    struct buffer label = {0};
    char metres[32];

    (void)snprintf(metres, sizeof(metres), "%.10g", search->radius_m);
    http_words_put_distance(&label, page->language, search->radius_m);
    buffer_put_u8(&label, 0);
    if (!label.err)
        put_option(page->out, metres, (const char *)label.data, true);
    buffer_done(&label);
}

static void put_distances(const struct search *search)
{
    static const int choices_km[] = {2, 5, 10, 30, 50, 100};
    const struct http_page_parts *page = &search->page;
    bool chosen = isinf(search->radius_m);

    buffer_printf(page->out, "<label class=\"within\">%s<select name=\"radius\">\n",
                  http_page_parts_word(page, WORD_WITHIN));
    put_option(page->out, "", http_page_parts_word(page, WORD_ANY_DISTANCE), chosen);
    for (size_t i = 0; i < ARRAY_SIZE(choices_km); i++) {
        bool is_this = search->radius_m == choices_km[i] * 1000;
        char metres[16], label[16];

        (void)snprintf(metres, sizeof(metres), "%d", choices_km[i] * 1000);
        (void)snprintf(label, sizeof(label), "%d km", choices_km[i]);
        put_option(page->out, metres, label, is_this);
        chosen = chosen || is_this;
    }
    if (!chosen)
        put_other_distance(search);
    buffer_put_str(page->out, "</select></label>\n");
}

static void put_form(const struct search *search)
{
    const struct http_page_parts *page = &search->page;
    struct buffer *out = page->out;

    buffer_put_str(out, "<form class=\"search\" method=\"get\" action=\"/\" role=\"search\">\n");
    if (strcmp(page->tag, "sv") != 0)
        buffer_printf(out, "<input type=\"hidden\" name=\"lang\" value=\"%s\">\n", page->tag);
    buffer_printf(
        out,
        "<label class=\"where\">%s<input name=\"place\" type=\"search\" maxlength=\"100\" "
        "autocomplete=\"off\" placeholder=\"%s\" value=\"",
        http_page_parts_word(page, WORD_PLACE), http_page_parts_word(page, WORD_PLACE_HINT));
    html_span(out, search->params->place);
    buffer_put_str(out, "\"></label>\n");
    put_distances(search);
    put_collections(search);
    put_themes(search);
    buffer_printf(out, "<label>%s<input name=\"q\" maxlength=\"100\" value=\"",
                  http_page_parts_word(page, WORD_WORDS));
    html_span(out, search->params->query.text);
    buffer_printf(out, "\"></label>\n<button>%s</button>\n</form>\n",
                  http_page_parts_word(page, WORD_SEARCH));
}

/* A link that repeats the search; a place of its own, or another offset. */
static void put_again(const struct search *search, const struct gazetteer_place *place,
                      uint32_t offset)
{
    const struct http_query *query = &search->page.exchange->query;
    struct buffer *out = search->page.out;
    const char *separator = "?";

    buffer_put_str(out, "/");
    for (size_t i = 0; i < query->count; i++) {
        const struct http_pair *pair = &query->pairs[i];

        if (!pair->value.size || span_equal(pair->name, span_of_str("offset")) ||
            (place && span_equal(pair->name, span_of_str("place"))))
            continue;
        buffer_put_str(out, separator);
        http_request_put_escaped(out, pair->name);
        buffer_put_u8(out, '=');
        http_request_put_escaped(out, pair->value);
        separator = "&amp;";
    }
    if (place) {
        const char *municipality = gazetteer_municipality(span_of_str(place->municipality_code));

        buffer_printf(out, "%splace=", separator);
        http_request_put_escaped(out, span_of_str(place->name));
        if (municipality) {
            http_request_put_escaped(out, span_of_str(", "));
            http_request_put_escaped(out, span_of_str(municipality));
        }
        separator = "&amp;";
    }
    if (offset > 0)
        buffer_printf(out, "%soffset=%u", separator, offset);
}

static void put_place_name(struct buffer *out, const struct gazetteer_place *place)
{
    const char *municipality = gazetteer_municipality(span_of_str(place->municipality_code));

    html_text(out, place->name);
    if (municipality && strcmp(municipality, place->name) != 0) {
        buffer_put_str(out, ", ");
        html_text(out, municipality);
    }
}

/* No such place, or several: say so, and offer what may be meant. */
static void put_choices(const struct search *search)
{
    const struct http_page_parts *page = &search->page;
    struct buffer *out = page->out;
    size_t shown = search->count < CHOICES_MAX ? search->count : CHOICES_MAX;

    if (!search->typed || (search->place && search->count == 1))
        return;
    buffer_put_str(out, "<div class=\"note\">");
    if (search->count == 0) {
        buffer_printf(out, "<h1 class=\"found\">%s <strong>",
                      http_page_parts_word(page, WORD_NO_SUCH_PLACE));
        html_span(out, search->text);
        buffer_printf(out, "</strong></h1>\n<p>%s</p></div>\n",
                      http_page_parts_word(page, WORD_NO_SUCH_PLACE_HELP));
        return;
    }
    if (search->place)
        buffer_printf(out, "<p>%s</p>\n<ul>\n", http_page_parts_word(page, WORD_OR_DID_YOU_MEAN));
    else
        buffer_printf(out, "<h1 class=\"found\">%s</h1>\n<ul>\n",
                      http_page_parts_word(page, WORD_WHICH));
    for (size_t i = 0; i < shown; i++) {
        if (search->choices[i] == search->place)
            continue;
        buffer_put_str(out, "<li><a href=\"");
        put_again(search, search->choices[i], 0);
        buffer_put_str(out, "\">");
        put_place_name(out, search->choices[i]);
        buffer_put_str(out, "</a></li>\n");
    }
    buffer_put_str(out, "</ul></div>\n");
}

/* The beginning of a description, cut at a word. */
static void put_beginning(struct buffer *out, const char *text)
{
    size_t size = strcspn(text, "\n");

    if (size == 0)
        return;
    buffer_put_str(out, "<p>");
    if (size > DESCRIPTION_BYTES_SHOWN) {
        size = DESCRIPTION_BYTES_SHOWN;
        while (size > 0 && text[size] != ' ')
            size--;
        html_span(out, span_of(text, size));
        buffer_put_str(out, " …");
    } else {
        html_span(out, span_of(text, size));
    }
    buffer_put_str(out, "</p>\n");
}

static enum torg_err put_card(const struct search *search, const struct rtree_hit *hit)
{
    const struct http_page_parts *page = &search->page;
    struct buffer *out = page->out;
    struct document document;
    const json_t *properties;
    json_t *feature;
    enum torg_err err = catalogue_document(page->kv, hit->document, &document);

    if (!err)
        err = http_page_parts_feature(&document, &feature, &properties);
    if (err)
        return err;
    buffer_put_str(out, "<li class=\"card\"><h2><a ");
    http_page_parts_href(page, &document);
    buffer_put_u8(out, '>');
    html_text(out, http_page_parts_text(page, json_object_get(properties, "name")));
    buffer_put_str(out, "</a></h2>");
    if (hit->distance_m >= 0) {
        buffer_put_str(out, "<span class=\"distance\">");
        http_words_put_distance(out, page->language, hit->distance_m);
        buffer_put_str(out, "</span>");
    }
    buffer_put_str(out, "\n<p>");
    http_page_parts_labels(page, &document, properties);
    html_text(out, http_page_parts_municipality(&document));
    if (!http_page_parts_provider(page, properties, document.municipality[0] ? " · " : "") &&
        !document.municipality[0])
        html_text(out, http_page_parts_text(page, json_object_get(properties, "area")));
    http_page_parts_start(page, properties, " · ", "");
    http_page_parts_price(page, properties, " · ", "");
    buffer_put_str(out, "</p>\n");
    put_beginning(out, http_page_parts_text(page, json_object_get(properties, "description")));
    buffer_put_str(out, "<p class=\"source\">");
    http_page_parts_source(page, &document);
    buffer_put_str(out, "</p></li>\n");
    json_decref(feature);
    return out->err;
}

static void put_heading(const struct search *search, const struct query_page *hits)
{
    const struct http_page_parts *page = &search->page;
    struct buffer *out = page->out;
    uint32_t offset = search->params->query.offset;

    buffer_put_str(out, "<h1 class=\"found\">");
    if (search->place) {
        buffer_printf(out, "%s ", http_page_parts_word(page, WORD_NEAR));
        put_place_name(out, search->place);
    } else {
        buffer_put_str(out, http_page_parts_word(page, WORD_SHOWN_NOW));
    }
    buffer_put_str(out, "</h1>\n");
    if (hits->count > 0)
        buffer_printf(out, "<p class=\"count\">%u–%zu %s %llu</p>\n", offset + 1,
                      offset + hits->count, http_page_parts_word(page, WORD_OF),
                      (unsigned long long)hits->matched);
}

static enum torg_err put_hits(const struct search *search, const struct query_page *hits)
{
    const struct http_page_parts *page = &search->page;
    uint32_t offset = search->params->query.offset;

    put_heading(search, hits);
    if (hits->count == 0)
        buffer_printf(page->out, "<p>%s %s</p>\n", http_page_parts_word(page, WORD_NOTHING),
                      http_page_parts_word(page, WORD_NOTHING_HELP));
    buffer_put_str(page->out, "<ol class=\"list\">\n");
    for (size_t i = 0; i < hits->count; i++) {
        enum torg_err err = put_card(search, &hits->hits[i]);

        if (err)
            return err;
    }
    buffer_put_str(page->out, "</ol>\n<p class=\"more\">");
    if (offset > 0) {
        buffer_put_str(page->out, "<a href=\"");
        put_again(search, NULL, 0);
        buffer_printf(page->out, "\">%s</a>", http_page_parts_word(page, WORD_FIRST));
    }
    if (hits->has_next && offset + PAGE_LISTINGS <= HTTP_OFFSET_MAX) {
        buffer_put_str(page->out, "<a href=\"");
        put_again(search, NULL, offset + PAGE_LISTINGS);
        buffer_printf(page->out, "\">%s</a>", http_page_parts_word(page, WORD_MORE));
    }
    buffer_put_str(page->out, "</p>\n");
    return TORG_OK;
}

static void prepare_query(struct search *search)
{
    struct query *query = &search->params->query;

    query->limit = PAGE_LISTINGS;
    query->rounded = true;
    if (!query->collections)
        query->collections = COLLECTION_MASK_PUBLIC;
    if (search->place) {
        query->has_near = true;
        query->near = geo_point_of(search->place->position);
    } else {
        query->radius_m = INFINITY;
    }
}

static enum torg_err answer_home(struct http_exchange *exchange, const struct kv *kv)
{
    struct search search = {.params = &exchange->params,
                            .radius_m = exchange->params.query.radius_m};
    const struct http_origins *origins;
    struct query_page hits = {0};
    enum torg_err err = http_origins_get(exchange, kv, &origins);

    if (err)
        return err;
    search.page = http_page_parts_of(exchange, kv, origins);
    err = find_place(&search);
    if (err)
        return err;
    prepare_query(&search);
    if (search.place || !search.typed)
        err = query_run(kv, exchange->node->themes, &exchange->params.query, &hits);
    if (err)
        return err;
    http_page_parts_begin(&search.page, 200, search.typed ? search.text : (struct span){0});
    put_form(&search);
    buffer_put_str(search.page.out, "<div id=\"content\">\n");
    put_choices(&search);
    if (search.place || !search.typed)
        err = put_hits(&search, &hits);
    buffer_put_str(search.page.out, "</div>\n");
    http_page_parts_end(&search.page);
    query_page_done(&hits);
    return err;
}

enum torg_err http_page_home(struct http_exchange *exchange)
{
    return http_reply_read(exchange, answer_home);
}
