/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_html.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/html.h"
#include "daemon/http_api_words.h"
#include "daemon/http_html_api.h"
#include "daemon/http_link.h"
#include "daemon/http_page_parts.h"
#include "daemon/http_router.h"

#define DESCRIPTION_BYTES_SHOWN 200
#define LANGUAGE_TAG_BYTES_MAX 3

static const char *either(const struct http_page_parts *page, const char *sv, const char *en)
{
    return page->language == HTTP_ENGLISH ? en : sv;
}

static void put_number(struct buffer *out, const json_t *value)
{
    /* More digits than a coordinate has, fewer than a double's noise. */
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(13));

    html_text(out, text ? text : "");
    free(text);
}

static bool is_web_address(const char *text)
{
    return strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0;
}

static void put_text(struct buffer *out, const char *text)
{
    if (!is_web_address(text)) {
        html_text(out, text);
        return;
    }
    buffer_put_str(out, "<a rel=\"nofollow noreferrer\" href=\"");
    html_text(out, text);
    buffer_put_str(out, "\">");
    html_text(out, text);
    buffer_put_str(out, "</a>");
}

/* {"sv":"..","en":".."}: the same text in several languages. */
static bool is_language_map(const json_t *value)
{
    void *at = json_object_iter((json_t *)(uintptr_t)value);

    if (!at)
        return false;
    for (; at; at = json_object_iter_next((json_t *)(uintptr_t)value, at)) {
        const char *tag = json_object_iter_key(at);
        size_t size = strspn(tag, "abcdefghijklmnopqrstuvwxyz");

        if (tag[size] || size < 2 || size > LANGUAGE_TAG_BYTES_MAX ||
            !json_is_string(json_object_iter_value(at)))
            return false;
    }
    return true;
}

static bool is_plain(const json_t *value)
{
    return !json_is_object(value) && !json_is_array(value);
}

/* A list of facts or of several such: it gets the page's whole width, below its name. */
static bool is_deep(const json_t *value)
{
    if (json_is_object(value))
        return json_object_size(value) > 0 && !is_language_map(value);
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (!is_plain(json_array_get(value, i)))
            return true;
    }
    return false;
}

static void put_value(const struct http_page_parts *page, const json_t *value);

static void put_array(const struct http_page_parts *page, const json_t *array)
{
    struct buffer *out = page->out;
    bool plain = !is_deep(array);

    if (!plain)
        buffer_put_str(out, "<ul>");
    for (size_t i = 0; i < json_array_size(array); i++) {
        buffer_put_str(out, !plain ? "<li>" : i ? ", " : "");
        put_value(page, json_array_get(array, i));
        buffer_put_str(out, plain ? "" : "</li>\n");
    }
    if (!plain)
        buffer_put_str(out, "</ul>\n");
}

/* Members as a list of facts; those that have a place of their own on the page are left out. */
static void put_members(const struct http_page_parts *page, const json_t *object,
                        const char *const *without)
{
    struct buffer *out = page->out;
    size_t count = 0;

    for (void *at = json_object_iter((json_t *)(uintptr_t)object); at;
         at = json_object_iter_next((json_t *)(uintptr_t)object, at)) {
        const char *name = json_object_iter_key(at);
        const json_t *value = json_object_iter_value(at);
        bool skip = false;

        for (size_t i = 0; without && without[i]; i++)
            skip = skip || strcmp(without[i], name) == 0;
        if (skip)
            continue;
        buffer_put_str(out, count++ ? "<dt>" : "<dl class=\"facts\">\n<dt>");
        html_text(out, name);
        buffer_put_str(out, is_deep(value) ? "</dt><dd class=\"deep\">" : "</dt><dd>");
        put_value(page, value);
        buffer_put_str(out, "</dd>\n");
    }
    if (count > 0)
        buffer_put_str(out, "</dl>\n");
}

/* As deep as the JSON is, which jansson has limited and our own writers far more so. */
static void put_value(const struct http_page_parts *page, const json_t *value)
{
    struct buffer *out = page->out;

    if (json_is_string(value))
        put_text(out, json_string_value(value));
    else if (json_is_boolean(value))
        buffer_put_str(out,
                       json_is_true(value) ? either(page, "ja", "yes") : either(page, "nej", "no"));
    else if (json_is_number(value))
        put_number(out, value);
    else if (json_is_array(value))
        put_array(page, value);
    else if (is_language_map(value))
        html_text(out, http_page_parts_text(page, value));
    else if (json_is_object(value))
        put_members(page, value, NULL);
    else
        buffer_put_str(out, "–");
}

/* ---- the page's parts ---- */

static void put_link(const struct http_page_parts *page, const json_t *link)
{
    const char *href = json_string_value(json_object_get(link, "href"));
    const char *rel = json_string_value(json_object_get(link, "rel"));
    const char *title = json_string_value(json_object_get(link, "title"));
    const char *type = json_string_value(json_object_get(link, "type"));

    if (!href)
        return;
    buffer_put_str(page->out, "<li><a href=\"");
    html_text(page->out, href);
    buffer_put_str(page->out, "\">");
    html_text(page->out, title ? title : rel ? rel : href);
    buffer_put_str(page->out, "</a>");
    if (type) {
        buffer_put_str(page->out, " <small>");
        html_text(page->out, type);
        buffer_put_str(page->out, "</small>");
    }
    buffer_put_str(page->out, "</li>\n");
}

static void put_links(const struct http_page_parts *page, const json_t *links)
{
    if (json_array_size(links) == 0)
        return;
    buffer_printf(page->out, "<h2>%s</h2>\n<ul>\n", either(page, "Länkar", "Links"));
    for (size_t i = 0; i < json_array_size(links); i++)
        put_link(page, json_array_get(links, i));
    buffer_put_str(page->out, "</ul>\n");
}

/* A step of a path on which nothing stands, so that a link would lead nowhere. */
static bool leads_nowhere(struct span step)
{
    return span_equal(step, span_of_str("aggregates"));
}

static void put_step(const struct http_page_parts *page, struct span path, struct span step)
{
    struct buffer *out = page->out;

    if (leads_nowhere(step)) {
        html_span(out, step);
        return;
    }
    buffer_put_str(out, "<a href=\"");
    html_span(out, path);
    buffer_put_str(out, "?f=html");
    http_page_parts_lang(page, '&');
    buffer_put_str(out, "\">");
    html_span(out, step);
    buffer_put_str(out, "</a>");
}

/* The way from the base here, each step that has a page a link. */
static void put_way(const struct http_page_parts *page)
{
    const struct http_exchange *exchange = page->exchange;
    struct span path = exchange->request.path;
    size_t base = strlen(exchange->node->config->base_path);
    struct buffer *out = page->out;

    buffer_put_str(out, "<p><a href=\"");
    html_text(out, exchange->node->config->base_path);
    buffer_put_str(out, "/?f=html");
    http_page_parts_lang(page, '&');
    buffer_put_str(out, "\">API</a>");
    for (size_t start = base + 1; start < path.size;) {
        const uint8_t *slash = memchr(path.data + start, '/', path.size - start);
        size_t end = slash ? (size_t)(slash - path.data) : path.size;

        buffer_put_str(out, " › ");
        put_step(page, span_of(path.data, end), span_of(path.data + start, end - start));
        start = end + 1;
    }
    buffer_put_str(out, "</p>\n");
}

static const char *name_of(const struct http_page_parts *page, const json_t *feature)
{
    const json_t *properties = json_object_get(feature, "properties");
    const char *name = http_page_parts_text(page, json_object_get(properties, "name"));
    const char *id = json_string_value(json_object_get(feature, "id"));

    return name[0] ? name : id ? id : "–";
}

static void put_beginning(struct buffer *out, const char *text)
{
    size_t size = strlen(text);

    if (size == 0)
        return;
    buffer_put_str(out, "<p>");
    if (size > DESCRIPTION_BYTES_SHOWN) {
        for (size = DESCRIPTION_BYTES_SHOWN; size > 0 && text[size] != ' ';)
            size--;
        html_span(out, span_of(text, size));
        buffer_put_str(out, " …");
    } else {
        html_text(out, text);
    }
    buffer_put_str(out, "</p>\n");
}

static void put_card(const struct http_page_parts *page, const json_t *feature)
{
    struct http_exchange *exchange = page->exchange;
    const json_t *properties = json_object_get(feature, "properties");
    const char *collection = json_string_value(json_object_get(properties, "collection"));
    const json_t *distance = json_object_get(properties, "distance");
    const char *id = json_string_value(json_object_get(feature, "id"));
    struct buffer *out = page->out;
    struct buffer base = {0};

    http_link_put_base(exchange, &base);
    buffer_put_str(out, "<li class=\"card\"><h2><a href=\"");
    html_span(out, buffer_span(&base));
    buffer_put_str(out, "/collections/");
    if (collection)
        html_text(out, collection);
    else
        html_span(out, exchange->captures[0]);
    buffer_put_str(out, "/items/");
    http_request_put_escaped(out, span_of_str(id ? id : ""));
    buffer_put_str(out, "?f=html");
    http_page_parts_lang(page, '&');
    buffer_put_str(out, "\">");
    html_text(out, name_of(page, feature));
    buffer_put_str(out, "</a></h2>");
    if (json_is_number(distance)) {
        buffer_put_str(out, "<span class=\"distance\">");
        http_words_put_distance(out, page->language, json_number_value(distance));
        buffer_put_str(out, "</span>");
    }
    put_beginning(out, http_page_parts_text(page, json_object_get(properties, "description")));
    buffer_put_str(out, "</li>\n");
    buffer_done(&base);
}

static void put_collection(const struct http_page_parts *page, const json_t *json)
{
    static const char *const elsewhere[] = {"type", "features", "links", NULL};
    const json_t *features = json_object_get(json, "features");
    const json_t *links = json_object_get(json, "links");

    put_members(page, json, elsewhere);
    buffer_put_str(page->out, "<ol class=\"list\">\n");
    for (size_t i = 0; i < json_array_size(features); i++)
        put_card(page, json_array_get(features, i));
    buffer_put_str(page->out, "</ol>\n");
    for (size_t i = 0; i < json_array_size(links); i++) {
        const json_t *link = json_array_get(links, i);
        const char *rel = json_string_value(json_object_get(link, "rel"));
        const char *href = json_string_value(json_object_get(link, "href"));

        if (!rel || !href || strcmp(rel, "next") != 0)
            continue;
        buffer_put_str(page->out, "<p class=\"more\"><a rel=\"next\" href=\"");
        html_text(page->out, href);
        buffer_printf(page->out, "\">%s</a></p>\n", http_page_parts_word(page, WORD_MORE));
    }
}

/* For what has no title of its own: which collection's it is, or what the API document calls it. */
static struct span title_of_route(const struct http_page_parts *page)
{
    const struct http_exchange *exchange = page->exchange;
    const struct http_route *route = exchange->route;
    const struct http_api_words *words = http_api_words(route->name);
    const struct http_words_collection *collection;

    if (strstr(route->path, "{collectionId}")) {
        collection = http_words_collection(collection_of_name(exchange->captures[0]));
        return collection ? span_of_str(collection->title[page->language]) : exchange->captures[0];
    }
    return span_of_str(words && page->language == HTTP_SWEDISH ? words->sv : route->summary);
}

static struct span title_of(const struct http_page_parts *page, const json_t *json)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    const char *text = type && strcmp(type, "Feature") == 0
                           ? name_of(page, json)
                           : http_page_parts_text(page, json_object_get(json, "title"));

    return text[0] ? span_of_str(text) : title_of_route(page);
}

static void put_page(struct http_exchange *exchange, const json_t *json)
{
    static const char *const elsewhere[] = {"type", "title", "links", NULL};
    struct http_page_parts page = http_page_parts_of(exchange, NULL, NULL);
    struct span title = title_of(&page, json);

    http_page_parts_begin(&page, exchange->reply.status, title);
    put_way(&page);
    buffer_put_str(page.out, "<div id=\"content\">\n<h1>");
    html_span(page.out, title);
    buffer_put_str(page.out, "</h1>\n");
    if (json_is_array(json_object_get(json, "features")))
        put_collection(&page, json);
    else if (exchange->route->format == HTTP_FORMAT_OPENAPI)
        http_html_api_put(&page, json);
    else
        put_members(&page, json, elsewhere);
    put_links(&page, json_object_get(json, "links"));
    buffer_put_str(page.out, "</div>\n");
    http_page_parts_end(&page);
}

enum torg_err http_html_render(struct http_exchange *exchange)
{
    struct http_reply *reply = &exchange->reply;
    json_t *json = json_loadb((const char *)reply->body.data, reply->body.size, 0, NULL);

    if (!json_is_object(json)) {
        json_decref(json);
        return TORG_E_CORRUPT;
    }
    reply->page = true;
    put_page(exchange, json);
    json_decref(json);
    return reply->body.err;
}
