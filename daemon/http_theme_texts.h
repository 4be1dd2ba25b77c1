/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_THEME_TEXTS_H
#define TORG_DAEMON_HTTP_THEME_TEXTS_H

#include "daemon/http_exchange.h"

/*
 * The taxonomy as JSON, made once: a slug and its names in all languages are in
 * every answer that counts themes, and never change while torgd runs. What is
 * left to do for an answer is to put the numbers in between. Each worker keeps
 * its own.
 */
struct http_theme_text {
    const struct theme *theme;
    bool numbered; /* it has a bit, and so a number, of its own */
    /* An element of a facet, around its number: {"value":"food","count":, then ,"name":{...}} */
    struct span before, after;
};

struct http_theme_texts {
    size_t count;
    struct http_theme_text *items;   /* in ascending order of slug */
    struct buffer bytes;             /* what the spans borrow */
    struct buffer tree;              /* all themes, each with its narrower ones, without numbers */
    struct http_theme_place *places; /* count of them: where numbers stand in tree, in order */
};

struct http_theme_place {
    size_t at;
    uint8_t bit; /* of the theme whose number it is */
};

/* Valid as long as the worker. TORG_E_NOMEM. */
enum torg_err http_theme_texts_get(struct http_exchange *exchange,
                                   const struct http_theme_texts **ret_texts);
/* The elements of an array: the themes of the highest level, those below them inside. */
void http_theme_texts_put_tree(const struct http_theme_texts *texts,
                               const uint64_t counts[THEME_BITS], struct buffer *out);
/* NULL is accepted. */
void http_theme_texts_free(struct http_theme_texts *texts);

#endif
