/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_WORDS_H
#define TORG_DAEMON_HTTP_WORDS_H

#include "protocol/bytes.h"
#include "protocol/ident.h"

/* Words that people read, in Swedish and English. Static storage. */
enum http_language { HTTP_SWEDISH, HTTP_ENGLISH };
enum http_language http_words_language(const char *tag);
const char *http_words_code(enum http_language language); /* "sv" or "en" */

/*
 * The language that texts of listings are chosen in: sv, en, fi, fit, se, smj, sma,
 * sje or sju, when tag is one of them or one of its own (sv-SE); else NULL.
 */
#define HTTP_TAG_SIZE 4
const char *http_words_tag(struct span tag);

struct http_words_collection {
    uint8_t collection;
    const char *title[2]; /* many */
    const char *one[2];   /* one of them, as a label */
    const char *description[2];
};
/* NULL for a collection that is not public. */
const struct http_words_collection *http_words_collection(uint8_t collection);

enum http_word {
    WORD_TAGLINE,
    WORD_PLACE,
    WORD_PLACE_HINT,
    WORD_WHAT,
    WORD_EVERYTHING,
    WORD_THEME,
    WORD_ALL_THEMES,
    WORD_WITHIN,
    WORD_ANY_DISTANCE,
    WORD_WORDS,
    WORD_SEARCH,
    WORD_NEAR,
    WORD_SHOWN_NOW,
    WORD_OF,
    WORD_NOTHING,
    WORD_NOTHING_HELP,
    WORD_MORE,
    WORD_FIRST,
    WORD_NO_SUCH_PLACE,
    WORD_NO_SUCH_PLACE_HELP,
    WORD_WHICH,
    WORD_OR_DID_YOU_MEAN,
    WORD_FROM,
    WORD_BY,
    WORD_SOURCE_HERE,
    WORD_AS_OF,
    WORD_STALE,
    WORD_EXPIRED,
    WORD_DISPUTED,
    WORD_WHOSE,
    WORD_LISTINGS,
    WORD_CREDIT,
    WORD_FOR_PROGRAMS,
    WORD_OTHER_LANGUAGE,
    WORD_BACK,
    WORD_PROBLEM,
    WORD_WHERE,
    WORD_WHEN,
    WORD_HOURS,
    WORD_IN_DISTURBANCE,
    WORD_PRICE,
    WORD_FREE,
    WORD_PROVIDER,
    WORD_CONTACT,
    WORD_WEBSITE,
    WORD_BOOK,
    WORD_AREA,
    WORD_VALID_THROUGH,
    WORD_MAP,
    WORD_AS_DATA,
    WORD_SKIP,
    WORD_EXAMPLE,
    WORD_COUNT
};
const char *http_words(enum http_word word, enum http_language language);

/* "för 3 minuter sedan" */
void http_words_put_age(struct buffer *out, enum http_language language, int64_t age_s);
/* "340 m", "4,2 km" */
void http_words_put_distance(struct buffer *out, enum http_language language, double distance_m);
/* "250", "12,50", "1 050" up to a million */
void http_words_put_number(struct buffer *out, enum http_language language, double value);

#endif
