/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/text_suggest.h"

#include <string.h>

#include "index/catalogue_row.h"
#include "index/text_internal.h"
#include "protocol/letters.h"
#include "protocol/profile.h"

#define WORK_MAX 500000
/* Several listings may have one name: so many are looked at for each that is wanted. */
#define CANDIDATES_EACH 4
#define CANDIDATES_MAX (CANDIDATES_EACH * TEXT_SUGGEST_MAX)

/* Up to TEXT_SUGGEST_MAX of one type. */
struct list {
    struct text_suggestion items[TEXT_SUGGEST_MAX];
    size_t count, max;
};

/* ---- themes ---- */

/* Does some word of text begin with the folded word? */
static enum torg_err text_begins(struct span text, struct span folded, bool *ret_begins)
{
    struct text_words words = {.text = text};
    struct text_word word;
    bool begins = false;
    enum torg_err err;

    while (!begins && text_words_next(&words, &word))
        begins = word.folded.size >= folded.size &&
                 memcmp(word.folded.data, folded.data, folded.size) == 0;
    err = words.err;
    text_words_done(&words);
    *ret_begins = begins;
    return err;
}

/* Every word of the question begins a word of the name. */
static enum torg_err name_has(const char *name, struct span text, bool *ret_has)
{
    struct text_words words = {.text = text};
    struct text_word word;
    bool has = true;
    bool any = false;
    enum torg_err err = TORG_OK;

    while (!err && has && text_words_next(&words, &word)) {
        any = true;
        err = text_begins(span_of_str(name), word.folded, &has);
    }
    if (!err)
        err = words.err;
    text_words_done(&words);
    *ret_has = any && has;
    return err;
}

static enum torg_err suggest_themes(const struct text_suggest *suggest, struct span text,
                                    struct list *list)
{
    size_t count = theme_tree_count(suggest->themes);
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < count && list->count < list->max && !err; i++) {
        const struct theme *theme = theme_tree_at(suggest->themes, i);
        bool has = false;

        for (size_t j = 0; j < theme->name_count && !has && !err; j++)
            err = name_has(theme->names[j], text, &has);
        if (!err && has)
            list->items[list->count++] =
                (struct text_suggestion){.type = TEXT_SUGGEST_THEME, .theme = theme};
    }
    return err;
}

/* ---- places ---- */

static enum torg_err suggest_places(const struct text_suggest *suggest, struct span text,
                                    struct list *list)
{
    const struct gazetteer_place *places[TEXT_SUGGEST_MAX];
    size_t count = 0;
    bool exact;
    enum torg_err err;

    err = gazetteer_find(suggest->gazetteer, text, places, list->max, &count, &exact);
    if (count > list->max)
        count = list->max;
    for (size_t i = 0; i < count && !err; i++)
        list->items[list->count++] =
            (struct text_suggestion){.type = TEXT_SUGGEST_PLACE, .place = places[i]};
    return err;
}

/* ---- names ---- */

struct candidate {
    uint32_t document;
    uint32_t score;
};

/* The best first, in order: high scores, then low numbers. */
struct candidates {
    struct candidate items[CANDIDATES_MAX];
    size_t count, max;
};

static void candidates_add(struct candidates *best, struct candidate candidate)
{
    size_t at = best->count;

    /* Numbers come ascending: among equals the new one is the last. */
    if (at == best->max && best->items[at - 1].score >= candidate.score)
        return;
    if (at < best->max)
        best->count++;
    else
        at--;
    for (; at > 0 && best->items[at - 1].score < candidate.score; at--)
        best->items[at] = best->items[at - 1];
    best->items[at] = candidate;
}

static void candidates_find(const struct text_query *query, const struct postings_set *names,
                            struct candidates *best)
{
    uint32_t numbers[256];
    uint32_t from = 0;
    size_t seen = 0, got;

    while (seen < TEXT_SUGGEST_NAMES_LOOKED_AT &&
           (got = postings_set_read(names, from, numbers, ARRAY_SIZE(numbers))) > 0) {
        for (size_t i = 0; i < got; i++)
            candidates_add(best,
                           (struct candidate){numbers[i], text_query_score(query, numbers[i])});
        if (numbers[got - 1] == UINT32_MAX)
            break;
        from = numbers[got - 1] + 1;
        seen += got;
    }
}

/* In that language, else Swedish, else the first. */
static struct span name_in(struct span names, const char *language)
{
    struct profile_reader in = profile_reader_of(names);
    uint32_t count = profile_map(&in);
    struct span best = {0};

    for (uint32_t i = 0; i < count; i++) {
        struct span tag = profile_str(&in, SIZE_MAX);
        struct span name = profile_str(&in, SIZE_MAX);

        if (in.in.err)
            break;
        if (span_equal(tag, span_of_str(language)))
            return name;
        if (i == 0 || span_equal(tag, span_of_str("sv")))
            best = name;
    }
    return best;
}

/* Is it shown now, and what is it called? An empty name: not to be suggested. */
static enum torg_err candidate_name(const struct text_suggest *suggest, uint32_t number,
                                    struct text_suggestion *ret_suggestion)
{
    struct listing_fields fields;
    struct listing_meta meta;
    struct catalogue_row row;
    struct document document;
    struct span body;
    enum torg_err err;

    *ret_suggestion = (struct text_suggestion){.type = TEXT_SUGGEST_NAME, .document = number};
    err = catalogue_document(suggest->kv, number, &document);
    if (!err)
        err = catalogue_row_get(suggest->kv, document.collection, document.has_geometry, number,
                                &row);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
    if (row.shown_from_ms > suggest->now_ms || row.shown_through_ms < suggest->now_ms)
        return TORG_OK;
    err = catalogue_body(suggest->kv, &document, &meta, &body);
    if (!err)
        err = listing_fields_read(document.collection, body, &fields);
    if (err)
        return TORG_E_CORRUPT; /* It was read when it became a document. */
    ret_suggestion->collection = document.collection;
    ret_suggestion->name = name_in(fields.names, suggest->language);
    return TORG_OK;
}

static bool names_equal(const struct buffer *a, struct span b, struct buffer *scratch)
{
    buffer_clear(scratch);
    text_whole(b, scratch);
    return span_equal(buffer_span(a), buffer_span(scratch));
}

/* A name that differs in marks and capitals only is the same. */
static enum torg_err names_add(const struct text_suggest *suggest,
                               struct text_suggestion *suggestion, struct list *list)
{
    struct buffer whole = {0}, scratch = {0};
    bool known = false;
    enum torg_err err;

    text_whole(suggestion->name, &whole);
    for (size_t i = 0; i < list->count && !known; i++)
        known = names_equal(&whole, list->items[i].name, &scratch);
    err = whole.err ? whole.err : scratch.err;
    if (!err && !known && whole.size)
        err = postings_count(suggest->kv, POSTINGS_WHOLE_NAME, buffer_span(&whole),
                             &suggestion->listings);
    if (!err && !known && whole.size)
        list->items[list->count++] = *suggestion;
    buffer_done(&whole);
    buffer_done(&scratch);
    return err;
}

static enum torg_err suggest_names(const struct text_suggest *suggest, struct span text,
                                   struct list *list)
{
    struct candidates best = {.max = CANDIDATES_EACH * list->max};
    struct postings_set names = {0};
    struct buffer whole = {0};
    struct text_query *query;
    enum torg_err err;

    text_whole(text, &whole);
    err = whole.err;
    /* The word that is being written may be one letter yet; alone, it would find too much. */
    if (!err)
        err = text_query_typed(suggest->kv, text,
                               letters_count(buffer_span(&whole)) > 1 ? 1 : TEXT_BEGINS_LETTERS_MIN,
                               WORK_MAX, &query);
    buffer_done(&whole);
    if (err)
        return err;
    err = text_query_names(query, &names);
    if (!err)
        candidates_find(query, &names, &best);
    for (size_t i = 0; i < best.count && list->count < list->max && !err; i++) {
        struct text_suggestion suggestion;

        err = candidate_name(suggest, best.items[i].document, &suggestion);
        if (!err && suggestion.name.size)
            err = names_add(suggest, &suggestion, list);
    }
    postings_set_done(&names);
    text_query_free(query);
    return err;
}

/* ---- all of them ---- */

/* A third for each, and what one leaves for the others. */
static void shares(struct list *lists, size_t count, size_t max)
{
    size_t left = max, need = 0;

    for (size_t i = 0; i < count; i++)
        need += lists[i].count;
    for (size_t i = 0; i < count && need > max; i++) {
        size_t share = max / count;
        size_t others = 0;

        for (size_t j = 0; j < count; j++)
            others += j == i ? 0 : lists[j].count < share ? lists[j].count : share;
        share = max - others;
        if (lists[i].count > share) {
            need -= lists[i].count - share;
            lists[i].count = share;
        }
    }
    for (size_t i = 0; i < count; i++) {
        lists[i].count = lists[i].count < left ? lists[i].count : left;
        left -= lists[i].count;
    }
}

enum torg_err text_suggest(const struct text_suggest *suggest, struct span text,
                           struct text_suggestion *out, size_t max, size_t *ret_count)
{
    struct list lists[3] = {0};
    size_t count = 0;
    enum torg_err err;

    if (text.size > TEXT_QUERY_BYTES_MAX)
        return TORG_E_TOO_BIG;
    if (max > TEXT_SUGGEST_MAX)
        max = TEXT_SUGGEST_MAX;
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        lists[i].max = max;
    *ret_count = 0;
    if (max == 0)
        return TORG_OK;
    err = suggest_themes(suggest, text, &lists[0]);
    if (!err)
        err = suggest_places(suggest, text, &lists[1]);
    if (!err)
        err = suggest_names(suggest, text, &lists[2]);
    if (err)
        return err;
    shares(lists, ARRAY_SIZE(lists), max);
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        memcpy(out + count, lists[i].items, lists[i].count * sizeof(*out));
        count += lists[i].count;
    }
    *ret_count = count;
    return TORG_OK;
}
