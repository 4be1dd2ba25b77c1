/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "index/catalogue_row.h"
#include "index/text_internal.h"
#include "protocol/letters.h"

/*
 * In which way a word matches, the best first. A document's score for a word is
 * the weight of the first way in which it matches; docs/text.md has the table.
 */
enum level {
    NAME_WORD,
    NAME_FOLDED,
    NAME_STEM,
    NAME_BEGINS,
    PLACE_WORD,
    PLACE_FOLDED,
    NAME_PART,
    PROVIDER_WORD,
    PLACE_BEGINS,
    DESCRIPTION_WORD,
    DESCRIPTION_FOLDED,
    PROVIDER_BEGINS,
    DESCRIPTION_STEM,
    DESCRIPTION_BEGINS,
    LEVELS
};
static const uint16_t weights[LEVELS] = {
    [NAME_WORD] = 1000,       [NAME_FOLDED] = 950,        [NAME_STEM] = 850,
    [NAME_BEGINS] = 700,      [PLACE_WORD] = 600,         [PLACE_FOLDED] = 570,
    [NAME_PART] = 500,        [PROVIDER_WORD] = 450,      [PLACE_BEGINS] = 400,
    [DESCRIPTION_WORD] = 300, [DESCRIPTION_FOLDED] = 285, [PROVIDER_BEGINS] = 270,
    [DESCRIPTION_STEM] = 250, [DESCRIPTION_BEGINS] = 150,
};
#define WEIGHT_MAX 1000
#define WHOLE_NAME 200 /* besides, when the words are a whole name */
static_assert(TEXT_SCORE_MAX == WEIGHT_MAX + WHOLE_NAME, "the most that a document can have");

#define FRESHNESS_SINCE_MS INT64_C(1577836800000) /* 2020-01-01 */
#define FRESHNESS_STEP_MS (INT64_C(30) * 86400000)
#define NEARNESS_HALF_M 5000 /* at this distance half of TEXT_NEARNESS_MAX */

/* The levels at which the words of a field are found; stems of places are of no language. */
static const struct field {
    uint8_t kind;
    uint8_t word, folded, stem, begins;
} fields[] = {
    {POSTINGS_NAME, NAME_WORD, NAME_FOLDED, NAME_STEM, NAME_BEGINS},
    {POSTINGS_PLACE, PLACE_WORD, PLACE_FOLDED, PLACE_FOLDED, PLACE_BEGINS},
    {POSTINGS_DESCRIPTION, DESCRIPTION_WORD, DESCRIPTION_FOLDED, DESCRIPTION_STEM,
     DESCRIPTION_BEGINS},
};

struct query_word {
    struct buffer letters, folded;
    struct text_word word; /* of these */
    size_t letter_count;   /* of folded */
    struct postings_set levels[LEVELS];
};

struct text_query {
    const struct kv *kv;
    uint64_t work, work_max;
    size_t begins_min; /* letters that find what begins with them */
    struct text_stemmer stemmer;
    size_t word_count;
    struct query_word words[TEXT_QUERY_WORDS_MAX];
    struct postings_set set;
    struct postings_set whole;
    bool has_foreign;
    struct postings_set foreign; /* whose municipality is one of another country */
};

static enum torg_err query_work(struct text_query *query)
{
    query->work++;
    return query->work > query->work_max ? TORG_E_EXPENSIVE : TORG_OK;
}

static enum torg_err query_list(struct text_query *query, uint8_t kind, struct span key,
                                struct postings_set *set)
{
    enum torg_err err;

    err = postings_or(query->kv, kind, key, set, &query->work);
    return err ? err : query_work(query);
}

/* ---- words of the fields ---- */

/* The word with and without its marks, and what begins with it, side by side in one walk. */
static enum torg_err find_words(struct text_query *query, struct query_word *word,
                                const struct field *field)
{
    bool begins = word->letter_count >= query->begins_min;
    struct postings_walk walk;
    struct span key;
    uint64_t count;
    enum torg_err err;

    err = postings_walk_open(&walk, query->kv, field->kind,
                             span_of(word->folded.data, word->folded.size - begins));
    while (!err && !(err = postings_walk_next(&walk, &key, &count))) {
        enum text_language language;
        uint8_t level = field->begins;
        struct text_word found;

        err = query_work(query);
        if (!err && !text_key_read(key, &found, &language))
            err = TORG_E_CORRUPT;
        if (err)
            break;
        if (span_equal(found.letters, word->word.letters))
            level = field->word;
        else if (span_equal(found.folded, word->word.folded))
            level = field->folded;
        err = postings_walk_or(&walk, &word->levels[level], &query->work);
    }
    postings_walk_close(&walk);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

/* Entries of KV_WORD that begin alike. rest is what follows. */
typedef enum torg_err form_visit(struct text_query *query, struct query_word *word,
                                 struct span rest, const struct field *field);

static enum torg_err find_forms(struct text_query *query, struct query_word *word,
                                const struct buffer *prefix, form_visit *visit,
                                const struct field *field)
{
    struct kv_cursor *cursor;
    struct span key, value;
    enum torg_err err = prefix->err;

    if (!err)
        err = kv_cursor_open(query->kv, KV_WORD, &cursor);
    if (err)
        return err;
    err = kv_cursor_seek(query->kv, cursor, buffer_span(prefix), &key, &value);
    while (!err && key.size >= prefix->size && memcmp(key.data, prefix->data, prefix->size) == 0) {
        err = query_work(query);
        if (!err)
            err = visit(query, word, span_of(key.data + prefix->size, key.size - prefix->size),
                        field);
        if (!err)
            err = kv_cursor_next(query->kv, cursor, &key, &value);
    }
    kv_cursor_close(query->kv, cursor);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

static enum torg_err stem_found(struct text_query *query, struct query_word *word, struct span rest,
                                const struct field *field)
{
    return query_list(query, field->kind, rest, &word->levels[field->stem]);
}

static enum torg_err find_stems(struct text_query *query, struct query_word *word,
                                const struct field *field)
{
    struct buffer prefix = {0};
    enum torg_err err = TORG_OK;

    for (int language = TEXT_STEMS_FIRST; language <= TEXT_STEMS_LAST && !err; language++) {
        buffer_clear(&prefix);
        buffer_put_u8(&prefix, TEXT_FORM_STEM);
        buffer_put_u8(&prefix, field->kind);
        buffer_put_u8(&prefix, (uint8_t)language);
        err = text_stem(&query->stemmer, (enum text_language)language, word->word.letters, &prefix);
        if (err || prefix.size == 3)
            continue;
        buffer_put_u8(&prefix, 0);
        err = find_forms(query, word, &prefix, stem_found, field);
    }
    buffer_done(&prefix);
    return err;
}

/* rest: more of the part, 0, key of the word. */
static enum torg_err part_found(struct text_query *query, struct query_word *word, struct span rest,
                                const struct field *field)
{
    const uint8_t *end = rest.size ? memchr(rest.data, 0, rest.size) : NULL;

    if (!end)
        return TORG_E_CORRUPT;
    return query_list(query, field->kind,
                      span_of(end + 1, rest.size - (size_t)(end + 1 - rest.data)),
                      &word->levels[NAME_PART]);
}

static enum torg_err find_parts(struct text_query *query, struct query_word *word)
{
    struct buffer prefix = {0};
    enum torg_err err;

    if (word->letter_count < TEXT_PART_LETTERS_MIN)
        return TORG_OK;
    buffer_put_u8(&prefix, TEXT_FORM_PART);
    buffer_put_u8(&prefix, POSTINGS_NAME);
    buffer_put_span(&prefix, word->word.folded);
    err = find_forms(query, word, &prefix, part_found, &fields[0]);
    buffer_done(&prefix);
    return err;
}

/* ---- municipalities ---- */

/* A code may be one of Sweden and of another country; our names are of Sweden's. */
static enum torg_err foreign_find(struct text_query *query)
{
    struct postings_walk walk;
    struct span key;
    uint64_t count;
    enum torg_err err;

    if (query->has_foreign)
        return TORG_OK;
    query->has_foreign = true;
    err = postings_walk_open(&walk, query->kv, POSTINGS_COUNTRY, (struct span){0});
    while (!err && !(err = postings_walk_next(&walk, &key, &count))) {
        if (!span_equal(key, span_of_str("SE")))
            err = postings_walk_or(&walk, &query->foreign, &query->work);
    }
    postings_walk_close(&walk);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

/* rest: more of the folded word, 0, letters, 0, code. */
static enum torg_err municipality_found(struct text_query *query, struct query_word *word,
                                        struct span rest, const struct field *field)
{
    const uint8_t *end = rest.size ? memchr(rest.data, 0, rest.size) : NULL;
    const uint8_t *next = NULL;
    struct postings_set set = {0};
    enum level level = PLACE_BEGINS;
    size_t left;
    enum torg_err err;

    (void)field;
    if (end)
        next = memchr(end + 1, 0, rest.size - (size_t)(end + 1 - rest.data));
    if (!next)
        return TORG_E_CORRUPT;
    left = rest.size - (size_t)(next + 1 - rest.data);
    if (end == rest.data)
        level = span_equal(span_of(end + 1, (size_t)(next - end - 1)), word->word.letters)
                    ? PLACE_WORD
                    : PLACE_FOLDED;
    else if (word->letter_count < query->begins_min)
        return TORG_OK;
    err = foreign_find(query);
    if (!err)
        err = query_list(query, POSTINGS_MUNICIPALITY, span_of(next + 1, left), &set);
    if (!err)
        err = postings_set_andnot(&set, &query->foreign);
    if (!err)
        err = postings_set_or(&word->levels[level], &set);
    postings_set_done(&set);
    return err;
}

static enum torg_err find_municipalities(struct text_query *query, struct query_word *word)
{
    struct buffer prefix = {0};
    enum torg_err err;

    buffer_put_u8(&prefix, TEXT_FORM_MUNICIPALITY);
    buffer_put_span(&prefix, word->word.folded);
    err = find_forms(query, word, &prefix, municipality_found, NULL);
    buffer_done(&prefix);
    return err;
}

/* ---- providers ---- */

static enum torg_err provider_list(struct text_query *query, uint32_t number,
                                   struct postings_set *set)
{
    uint8_t reference[LISTING_REFERENCE_SIZE];
    struct catalogue_record record;
    struct replica_origin origin;
    enum torg_err err;

    err = catalogue_record_get(query->kv, number, &record);
    if (!err)
        err = replica_origin_by_number(query->kv, record.origin_number, &origin);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
    memcpy(reference, origin.id.bytes, 8);
    memcpy(reference + 8, record.id.bytes, sizeof(record.id.bytes));
    return query_list(query, POSTINGS_PROVIDER, span_of(reference, sizeof(reference)), set);
}

/* The listings of those that names found. */
static enum torg_err providers_found(struct text_query *query, const struct postings_set *names,
                                     struct postings_set *set)
{
    static const uint8_t collections[] = {COLLECTION_COMPANIES, COLLECTION_NETWORKS};
    struct postings_set bodies = {0};
    uint32_t number, from = 0;
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < ARRAY_SIZE(collections) && !err; i++)
        err = query_list(query, POSTINGS_COLLECTION, span_of(&collections[i], 1), &bodies);
    if (!err)
        err = postings_set_and(&bodies, names);
    while (!err && postings_set_read(&bodies, from, &number, 1) == 1) {
        err = provider_list(query, number, set);
        if (number == UINT32_MAX)
            break;
        from = number + 1;
    }
    postings_set_done(&bodies);
    return err;
}

static enum torg_err providers_any(const struct kv *kv, bool *ret_any)
{
    struct postings_walk walk;
    struct span key;
    uint64_t count;
    enum torg_err err;

    err = postings_walk_open(&walk, kv, POSTINGS_PROVIDER, (struct span){0});
    if (!err)
        err = postings_walk_next(&walk, &key, &count);
    postings_walk_close(&walk);
    *ret_any = !err;
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

static enum torg_err find_providers(struct text_query *query, struct query_word *word)
{
    struct postings_set names = {0};
    bool any;
    enum torg_err err;

    err = providers_any(query->kv, &any);
    if (err || !any)
        return err;
    for (int level = NAME_WORD; level <= NAME_STEM && !err; level++)
        err = postings_set_or(&names, &word->levels[level]);
    if (!err)
        err = providers_found(query, &names, &word->levels[PROVIDER_WORD]);
    if (!err)
        err = providers_found(query, &word->levels[NAME_BEGINS], &word->levels[PROVIDER_BEGINS]);
    postings_set_done(&names);
    return err;
}

/* ---- the query ---- */

static enum torg_err find_word(struct text_query *query, struct query_word *word,
                               struct postings_set *ret_any)
{
    struct postings_set any = {0};
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < ARRAY_SIZE(fields) && !err; i++) {
        err = find_words(query, word, &fields[i]);
        if (!err)
            err = find_stems(query, word, &fields[i]);
    }
    if (!err)
        err = find_parts(query, word);
    if (!err)
        err = find_municipalities(query, word);
    if (!err)
        err = find_providers(query, word);
    for (int level = 0; level < LEVELS && !err; level++)
        err = postings_set_or(&any, &word->levels[level]);
    if (err)
        postings_set_done(&any);
    else
        *ret_any = any;
    return err;
}

static enum torg_err find_all(struct text_query *query)
{
    struct postings_set any = {0};
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < query->word_count && !err; i++) {
        err = find_word(query, &query->words[i], &any);
        if (err)
            return err;
        if (i == 0) {
            query->set = any;
            continue;
        }
        err = postings_set_and(&query->set, &any);
        postings_set_done(&any);
        if (postings_set_count(&query->set) == 0)
            break;
    }
    return err;
}

static enum torg_err words_add(struct text_query *query, const struct text_word *word)
{
    struct query_word *out = &query->words[query->word_count];

    for (size_t i = 0; i < query->word_count; i++) {
        if (span_equal(query->words[i].word.letters, word->letters))
            return TORG_OK;
    }
    if (query->word_count == TEXT_QUERY_WORDS_MAX)
        return TORG_E_TOO_BIG;
    query->word_count++;
    buffer_put_span(&out->letters, word->letters);
    buffer_put_span(&out->folded, word->folded);
    buffer_put_u8(&out->folded, 0); /* Where a key's folded word ends. */
    if (out->letters.err || out->folded.err)
        return TORG_E_NOMEM;
    out->word.letters = buffer_span(&out->letters);
    out->word.folded = span_of(out->folded.data, out->folded.size - 1);
    out->letter_count = letters_count(out->word.folded);
    return TORG_OK;
}

/* Words that say nothing are left out, unless there are no others. */
static enum torg_err words_read(struct text_query *query, struct span text)
{
    enum torg_err err = TORG_OK;

    for (int empty = 0; empty < 2 && query->word_count == 0 && !err; empty++) {
        struct text_words words = {.text = text};
        struct text_word word;

        while (!err && text_words_next(&words, &word)) {
            if (empty || !text_word_empty(word.folded))
                err = words_add(query, &word);
        }
        if (!err)
            err = words.err;
        text_words_done(&words);
    }
    return err;
}

static enum torg_err find_whole(struct text_query *query, struct span text)
{
    struct buffer whole = {0};
    enum torg_err err;

    text_whole(text, &whole);
    err = whole.err;
    if (!err && whole.size)
        err = query_list(query, POSTINGS_WHOLE_NAME, buffer_span(&whole), &query->whole);
    buffer_done(&whole);
    return err;
}

enum torg_err text_query_typed(const struct kv *kv, struct span text, size_t begins_min,
                               uint64_t work_max, struct text_query **ret_query)
{
    struct text_query *query;
    enum torg_err err;

    if (text.size > TEXT_QUERY_BYTES_MAX)
        return TORG_E_TOO_BIG;
    query = calloc(1, sizeof(*query));
    if (!query)
        return TORG_E_NOMEM;
    query->kv = kv;
    query->work_max = work_max;
    query->begins_min = begins_min;
    err = words_read(query, text);
    if (!err)
        err = find_all(query);
    if (!err)
        err = find_whole(query, text);
    text_stemmer_done(&query->stemmer);
    if (err)
        text_query_free(query);
    else
        *ret_query = query;
    return err;
}

enum torg_err text_query_new(const struct kv *kv, struct span text, uint64_t work_max,
                             struct text_query **ret_query)
{
    return text_query_typed(kv, text, TEXT_BEGINS_LETTERS_MIN, work_max, ret_query);
}

void text_query_free(struct text_query *query)
{
    if (!query)
        return;
    for (size_t i = 0; i < query->word_count; i++) {
        buffer_done(&query->words[i].letters);
        buffer_done(&query->words[i].folded);
        for (int level = 0; level < LEVELS; level++)
            postings_set_done(&query->words[i].levels[level]);
    }
    postings_set_done(&query->set);
    postings_set_done(&query->whole);
    postings_set_done(&query->foreign);
    text_stemmer_done(&query->stemmer);
    free(query);
}

const struct postings_set *text_query_set(const struct text_query *query)
{
    return &query->set;
}

uint64_t text_query_count(const struct text_query *query)
{
    return postings_set_count(&query->set);
}

enum torg_err text_query_names(const struct text_query *query, struct postings_set *ret_set)
{
    struct postings_set names = {0};
    enum torg_err err;

    err = postings_set_copy(&query->set, &names);
    for (size_t i = 0; i < query->word_count && !err; i++) {
        struct postings_set word = {0};

        for (int level = NAME_WORD; level <= NAME_BEGINS && !err; level++)
            err = postings_set_or(&word, &query->words[i].levels[level]);
        if (!err)
            err = postings_set_and(&names, &word);
        postings_set_done(&word);
    }
    if (err)
        postings_set_done(&names);
    else
        *ret_set = names;
    return err;
}

uint64_t text_query_work(const struct text_query *query)
{
    return query->work;
}

uint32_t text_query_score(const struct text_query *query, uint32_t document)
{
    uint32_t score = 0;

    if (query->word_count == 0)
        return 0;
    for (size_t i = 0; i < query->word_count; i++) {
        int level = 0;

        while (level < LEVELS && !postings_set_contains(&query->words[i].levels[level], document))
            level++;
        score += level < LEVELS ? weights[level] : 0;
    }
    score /= (uint32_t)query->word_count;
    return score + (postings_set_contains(&query->whole, document) ? WHOLE_NAME : 0);
}

/* ---- rank ---- */

uint32_t text_freshness(int64_t modified_ms)
{
    int64_t steps;

    if (modified_ms < FRESHNESS_SINCE_MS)
        return 0;
    steps = (modified_ms - FRESHNESS_SINCE_MS) / FRESHNESS_STEP_MS;
    return steps > TEXT_FRESHNESS_MAX ? TEXT_FRESHNESS_MAX : (uint32_t)steps;
}

uint32_t text_rank(uint32_t score, double distance_m, uint32_t freshness)
{
    uint32_t nearness = 0;

    /* Whole metres, and whole numbers from there on: the same on every machine. */
    if (distance_m >= 0 && distance_m <= GEO_RADIUS_M_MAX)
        nearness = TEXT_NEARNESS_MAX * NEARNESS_HALF_M / (NEARNESS_HALF_M + (uint32_t)distance_m);
    return score + nearness + freshness;
}
