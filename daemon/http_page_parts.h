/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_PAGE_PARTS_H
#define TORG_DAEMON_HTTP_PAGE_PARTS_H

#include <jansson.h>

#include "daemon/http_exchange.h"
#include "daemon/http_origins.h"
#include "daemon/http_words.h"
#include "index/catalogue.h"

/* What every page for people has, and how a listing's facts are written in one. */
struct http_page_parts {
    struct http_exchange *exchange;
    struct buffer *out;                 /* the reply's body */
    enum http_language language;        /* of its words */
    const char *tag;                    /* of listings' texts */
    const struct kv *kv;                /* NULL on pages of errors */
    const struct http_origins *origins; /* NULL on pages of errors */
};

struct http_page_parts http_page_parts_of(struct http_exchange *exchange, const struct kv *kv,
                                          const struct http_origins *origins);
const char *http_page_parts_word(const struct http_page_parts *page, enum http_word word);

/* Everything up to the content, and from its end on. title: NULL for the start page. */
void http_page_parts_begin(const struct http_page_parts *page, int status, struct span title);
void http_page_parts_end(const struct http_page_parts *page);

/* "&lang=en" after a '?', or "?lang=en" (separator), so that links keep it; nothing in Swedish. */
void http_page_parts_lang(const struct http_page_parts *page, char separator);
/* href="/listing/ID?lang=.." of a document */
void http_page_parts_href(const struct http_page_parts *page, const struct document *document);

/* A text of a feature in the language of texts, else Swedish, else any; "" if it is none. */
const char *http_page_parts_text(const struct http_page_parts *page, const json_t *value);
/* properties of a stored feature; the caller releases *ret_feature. */
enum torg_err http_page_parts_feature(const struct document *document, json_t **ret_feature,
                                      const json_t **ret_properties);

/* What kind of thing it is, as labels: its collection, and "example" if it says so itself. */
void http_page_parts_labels(const struct http_page_parts *page, const struct document *document,
                            const json_t *properties);
/* Whose it is and how old: "Från Umeå, för 3 minuter sedan", with marks. */
void http_page_parts_source(const struct http_page_parts *page, const struct document *document);
/* "Umeå" for the document's municipality; "" when not known. */
const char *http_page_parts_municipality(const struct document *document);
/* The provider's name as a link to its page; false if there is none that is held here. */
bool http_page_parts_provider(const struct http_page_parts *page, const json_t *properties,
                              const char *before);
/* A time of a feature, RFC 3339 or local, as "2026-11-28 18:00". */
void http_page_parts_moment(const struct http_page_parts *page, const char *text);
/* When it begins and ends, and what it costs, between before and after; nothing if not stated. */
void http_page_parts_start(const struct http_page_parts *page, const json_t *properties,
                           const char *before, const char *after);
void http_page_parts_price(const struct http_page_parts *page, const json_t *properties,
                           const char *before, const char *after);

#endif
