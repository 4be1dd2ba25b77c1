/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_TEXT_INTERNAL_H
#define TORG_INDEX_TEXT_INTERNAL_H

#include "index/text.h"

/*
 * The language of a word, as far as stems go. On disk: never renumber. A word
 * of a language that has no stemmer here is found without one.
 */
enum text_language {
    TEXT_SV = 1,
    TEXT_FI = 2,
    TEXT_EN = 3,
    TEXT_NO = 4,
    TEXT_DA = 5,
    TEXT_DE = 6,
    TEXT_OTHER = 7,
};
#define TEXT_STEMS_FIRST TEXT_SV
#define TEXT_STEMS_LAST TEXT_DE
/* By a BCP 47 tag: only its language counts. */
enum text_language text_language_of(struct span tag);

/* The stem of a word, without its marks, appended; of TEXT_OTHER nothing. TORG_E_NOMEM. */
enum torg_err text_stem(struct text_stemmer *stemmer, enum text_language language,
                        struct span letters, struct buffer *out);
/* What more of a Swedish stem goes: definite endings. Borrowed. */
struct span text_swedish_stem(struct span stem);

/* A word: at most TEXT_WORD_BYTES_MAX bytes of letters, and the same without marks. */
struct text_word {
    struct span letters;
    struct span folded;
};

/*
 * Words of a text, one after the other, borrowed until the next call. False at
 * the end. All zero but text is a beginning; done frees.
 */
struct text_words {
    struct span text;
    struct buffer letters;
    struct buffer folded;
    enum torg_err err; /* TORG_E_NOMEM: then next is false */
};
bool text_words_next(struct text_words *words, struct text_word *ret_word);
void text_words_done(struct text_words *words);
/* Folded words with one space between, cut to what a key can hold. */
void text_whole(struct span text, struct buffer *out);
/* text_query_new, where so many letters find what begins with them. */
enum torg_err text_query_typed(const struct kv *kv, struct span text, size_t begins_min,
                               uint64_t work_max, struct text_query **ret_query);
/* Is it a word that a query can do without? */
bool text_word_empty(struct span folded);

/*
 * The key of a word in postings: folded, 0, letters if they are others, language.
 * No word holds a byte below 0x20.
 */
#define TEXT_KEY_BYTES_MAX (2 * TEXT_WORD_BYTES_MAX + 2)
struct text_key {
    size_t size;
    uint8_t bytes[TEXT_KEY_BYTES_MAX];
};
struct text_key text_key_of(const struct text_word *word, enum text_language language);
/* Borrowed. False if it is none. */
bool text_key_read(struct span key, struct text_word *ret_word, enum text_language *ret_language);

/*
 * KV_WORD: nothing stands under these.
 *   TEXT_FORM_STEM, kind, language, stem, 0, key of the word
 *   TEXT_FORM_PART, kind, the folded word from its second letter on or a later one, 0, key
 *   TEXT_FORM_MUNICIPALITY, folded, 0, letters, 0, code: a word of a municipality's names
 */
enum text_form {
    TEXT_FORM_STEM = 1,
    TEXT_FORM_PART = 2,
    TEXT_FORM_MUNICIPALITY = 3,
};
#define TEXT_FORM_BYTES_MAX (3 + TEXT_WORD_BYTES_MAX + 1 + TEXT_KEY_BYTES_MAX)

/* Each entry of KV_WORD that a list in use must have. An error stops, and comes back. */
typedef enum torg_err text_form_visit(void *context, struct span entry);
enum torg_err text_forms(struct text_stemmer *stemmer, uint8_t kind, struct span key,
                         text_form_visit *visit, void *context);

#endif
