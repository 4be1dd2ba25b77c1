/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_TEXT_SUGGEST_H
#define TORG_INDEX_TEXT_SUGGEST_H

#include "index/text.h"

/*
 * Type-ahead: what somebody may be about to write. Themes and places whose name
 * has words that begin so, and names of listings that are shown now and have
 * every word, or one that it begins, in their name.
 */
#define TEXT_SUGGEST_MAX 50
#define TEXT_SUGGEST_NAMES_LOOKED_AT 20000 /* of more listings the first so many */

enum text_suggest_type {
    TEXT_SUGGEST_THEME,
    TEXT_SUGGEST_PLACE,
    TEXT_SUGGEST_NAME,
};

struct text_suggestion {
    enum text_suggest_type type;
    const struct theme *theme;           /* THEME */
    const struct gazetteer_place *place; /* PLACE */
    uint32_t document;                   /* NAME: the best listing of that name */
    uint8_t collection;                  /* NAME: its collection */
    struct span name;                    /* NAME: in the language asked for; borrowed from kv */
    uint64_t listings;                   /* NAME: how many listings have it, shown or not */
};

struct text_suggest {
    const struct kv *kv;
    const struct theme_tree *themes;
    const struct gazetteer *gazetteer;
    const char *language; /* of names, where they have it */
    int64_t now_ms;
};

/*
 * At most max, and TEXT_SUGGEST_MAX, are written to out: themes, then places,
 * then names, of each the best first and, as long as the others have any, not
 * more than a third. TORG_E_TOO_BIG, TORG_E_EXPENSIVE, TORG_E_CORRUPT,
 * TORG_E_NOMEM.
 */
enum torg_err text_suggest(const struct text_suggest *suggest, struct span text,
                           struct text_suggestion *out, size_t max, size_t *ret_count);

#endif
