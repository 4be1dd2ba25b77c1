/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_THEME_TEXTS_H
#define TORG_DAEMON_HTTP_THEME_TEXTS_H

#include "daemon/http_exchange.h"

/*
 * The taxonomy as JSON, made once: a slug and its names in all languages are in
 * every answer that counts themes, and never change while torgd runs. Each
 * worker keeps its own.
 */
struct http_theme_text {
    const struct theme *theme;
    struct span slug;  /* a string of JSON */
    struct span names; /* an object of JSON: language, name */
    bool numbered;     /* it has a bit, and so a number, of its own */
    /* Places in items; SIZE_MAX: none. */
    size_t first_narrower, next; /* next of the same parent, by slug */
};

struct http_theme_texts {
    size_t count;
    struct http_theme_text *items; /* in ascending order of slug; at the top: first, next */
    size_t first;
    struct buffer bytes; /* what the spans borrow */
};

/* Valid as long as the worker. TORG_E_NOMEM. */
enum torg_err http_theme_texts_get(struct http_exchange *exchange,
                                   const struct http_theme_texts **ret_texts);
/* NULL is accepted. */
void http_theme_texts_free(struct http_theme_texts *texts);

#endif
