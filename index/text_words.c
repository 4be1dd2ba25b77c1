/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <string.h>

#include "index/catalogue_terms.h"
#include "index/text_internal.h"
#include "protocol/fold.h"
#include "protocol/letters.h"
#include "protocol/profile.h"

/*
 * Words that say how others belong together: in a question such as "hotell i
 * Umeå" nobody means the i. Folded; Swedish, Finnish, English, Norwegian,
 * Danish and German. Ascending.
 */
static const char *const empty_words[] = {
    "a",    "af",  "an",  "and", "at",  "av",   "bei",  "das",  "den",  "der", "det",  "die",
    "ei",   "ein", "en",  "et",  "ett", "for",  "fra",  "fran", "from", "i",   "im",   "in",
    "inom", "ja",  "med", "mit", "nar", "nara", "near", "och",  "of",   "og",  "om",   "on",
    "pa",   "som", "tai", "the", "til", "till", "to",   "und",  "ur",   "vid", "with", "zu",
};

bool text_word_empty(struct span folded)
{
    size_t low = 0, high = ARRAY_SIZE(empty_words);

    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = span_compare(span_of_str(empty_words[middle]), folded);

        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* Such a word has no marks to lose. */
static bool is_ascii(struct span word)
{
    uint8_t bits = 0;

    for (size_t i = 0; i < word.size; i++)
        bits |= word.data[i];
    return bits < 0x80;
}

bool text_words_next(struct text_words *words, struct text_word *ret_word)
{
    for (;;) {
        buffer_clear(&words->letters);
        buffer_clear(&words->folded);
        if (!letters_word(&words->text, TEXT_WORD_BYTES_MAX, &words->letters))
            return false;
        ret_word->letters = ret_word->folded = buffer_span(&words->letters);
        if (!words->letters.err && is_ascii(ret_word->letters))
            return true;
        fold_put(&words->folded, buffer_span(&words->letters));
        if (words->letters.err || words->folded.err) {
            words->err = TORG_E_NOMEM;
            return false;
        }
        /* Marks without a letter fold to nothing. */
        if (words->folded.size == 0 || words->folded.size > TEXT_WORD_BYTES_MAX)
            continue;
        ret_word->folded = buffer_span(&words->folded);
        return true;
    }
}

void text_words_done(struct text_words *words)
{
    buffer_done(&words->letters);
    buffer_done(&words->folded);
}

/* The words of words' text; its buffers may be used again. */
static void whole_put(struct text_words *words, struct buffer *out)
{
    size_t start = out->size;
    struct text_word word;
    size_t size;

    while (text_words_next(words, &word)) {
        if (out->size > start)
            buffer_put_u8(out, ' ');
        buffer_put_span(out, word.folded);
    }
    if (words->err)
        out->err = words->err;
    size = out->size - start;
    if (out->err || size <= POSTINGS_KEY_BYTES_MAX)
        return;
    size = POSTINGS_KEY_BYTES_MAX;
    while (size > 0 && (out->data[start + size] & 0xc0) == 0x80)
        size--;
    out->size = start + size;
}

void text_whole(struct span text, struct buffer *out)
{
    struct text_words words = {.text = text};

    whole_put(&words, out);
    text_words_done(&words);
}

struct text_key text_key_of(const struct text_word *word, enum text_language language)
{
    struct text_key key = {.size = word->folded.size};

    assert(word->folded.size <= TEXT_WORD_BYTES_MAX && word->letters.size <= TEXT_WORD_BYTES_MAX);
    memcpy(key.bytes, word->folded.data, word->folded.size);
    key.bytes[key.size++] = 0;
    if (!span_equal(word->folded, word->letters)) {
        memcpy(key.bytes + key.size, word->letters.data, word->letters.size);
        key.size += word->letters.size;
    }
    key.bytes[key.size++] = (uint8_t)language;
    return key;
}

bool text_key_read(struct span key, struct text_word *ret_word, enum text_language *ret_language)
{
    const uint8_t *end = key.size ? memchr(key.data, 0, key.size) : NULL;
    size_t folded, letters;

    if (!end || end == key.data || key.size > TEXT_KEY_BYTES_MAX)
        return false;
    folded = (size_t)(end - key.data);
    if (key.size < folded + 2 || folded > TEXT_WORD_BYTES_MAX)
        return false;
    letters = key.size - folded - 2;
    if (letters > TEXT_WORD_BYTES_MAX || key.data[key.size - 1] < TEXT_STEMS_FIRST ||
        key.data[key.size - 1] > TEXT_OTHER)
        return false;
    ret_word->folded = span_of(key.data, folded);
    ret_word->letters = letters ? span_of(end + 1, letters) : ret_word->folded;
    *ret_language = (enum text_language)key.data[key.size - 1];
    return true;
}

/* ---- the texts of a listing ---- */

struct gather {
    struct buffer *terms;
    struct text_words words; /* its buffers are used again */
    size_t left;             /* words */
};

static void gather_text(struct gather *gather, uint8_t kind, enum text_language language,
                        struct span text)
{
    struct text_word word;
    struct text_key key;

    gather->words.text = text;
    while (gather->left > 0 && text_words_next(&gather->words, &word)) {
        gather->left--;
        key = text_key_of(&word, language);
        catalogue_terms_add(gather->terms, kind, span_of(key.bytes, key.size));
    }
}

/* A packed map of languages to texts; a value that is none ends it. */
static void gather_map(struct gather *gather, uint8_t kind, struct span packed)
{
    struct profile_reader in = profile_reader_of(packed);
    uint32_t count = profile_map(&in);

    for (uint32_t i = 0; i < count; i++) {
        struct span tag = profile_str(&in, SIZE_MAX);
        struct span text = profile_str(&in, SIZE_MAX);

        if (in.in.err)
            return;
        gather_text(gather, kind, text_language_of(tag), text);
    }
}

static void gather_whole_names(struct gather *gather, struct span packed)
{
    struct profile_reader in = profile_reader_of(packed);
    uint32_t count = profile_map(&in);
    struct buffer whole = {0};

    for (uint32_t i = 0; i < count; i++) {
        struct span text;

        profile_str(&in, SIZE_MAX);
        text = profile_str(&in, SIZE_MAX);
        if (in.in.err)
            break;
        buffer_clear(&whole);
        gather->words.text = text;
        whole_put(&gather->words, &whole);
        catalogue_terms_add(gather->terms, POSTINGS_WHOLE_NAME, buffer_span(&whole));
        if (whole.err)
            gather->terms->err = whole.err;
    }
    buffer_done(&whole);
}

static struct span packed_str(struct span packed)
{
    struct profile_reader in = profile_reader_of(packed);
    struct span text = profile_str(&in, SIZE_MAX);

    return in.in.err ? (struct span){0} : text;
}

static struct span packed_member(struct span packed, const char *name)
{
    struct profile_reader in = profile_reader_of(packed);
    uint32_t count = profile_map(&in);

    for (uint32_t i = 0; i < count && !in.in.err; i++) {
        struct span key = profile_str(&in, SIZE_MAX);
        struct span value = profile_skip(&in);

        if (!in.in.err && span_equal(key, span_of_str(name)))
            return value;
    }
    return (struct span){0};
}

/* A theme that this taxonomy does not know is searched by the words of its slug. */
static void gather_themes(struct gather *gather, const struct theme_tree *themes,
                          const struct listing_fields *fields)
{
    for (size_t i = 0; i < fields->theme_count; i++) {
        if (!theme_tree_find(themes, fields->themes[i]))
            gather_text(gather, POSTINGS_DESCRIPTION, TEXT_OTHER, fields->themes[i]);
    }
}

/* What ranks highest is taken first: a long description cannot push it out. */
void text_terms(const struct theme_tree *themes, const struct listing_fields *fields,
                struct buffer *terms)
{
    struct gather gather = {.terms = terms, .left = TEXT_LISTING_WORDS_MAX};

    gather_whole_names(&gather, fields->names);
    gather_map(&gather, POSTINGS_NAME, fields->names);
    gather_text(&gather, POSTINGS_PLACE, TEXT_OTHER,
                packed_str(packed_member(fields->address, "locality")));
    gather_text(&gather, POSTINGS_PLACE, TEXT_OTHER, fields->area);
    gather_themes(&gather, themes, fields);
    gather_map(&gather, POSTINGS_DESCRIPTION, fields->description);
    if (gather.words.err)
        terms->err = gather.words.err;
    text_words_done(&gather.words);
}
