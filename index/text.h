/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_TEXT_H
#define TORG_INDEX_TEXT_H

#include "index/postings.h"
#include "protocol/gazetteer.h"
#include "protocol/listing.h"
#include "protocol/theme.h"

/*
 * Finding listings by words. docs/text.md tells what people may expect: which
 * fields are searched, what matches a word, and how matches are ranked.
 *
 * A word of a field is kept in postings under its letters (å is not a) and, in
 * front of them, its folded form (å is a): so one walk over keys that begin
 * alike finds a word with and without its marks, and what begins with it. Other
 * ways to a word, by its stem and by its parts, are in KV_WORD: they are
 * written when a word comes into use and go when nobody uses it any more.
 */
#define TEXT_WORD_BYTES_MAX 48      /* of a word: what is longer is cut */
#define TEXT_LISTING_WORDS_MAX 2048 /* of a listing: what follows is not searched */
#define TEXT_QUERY_BYTES_MAX 200
#define TEXT_QUERY_WORDS_MAX 32
#define TEXT_BEGINS_LETTERS_MIN 2 /* so many letters find what begins with them */
#define TEXT_PART_LETTERS_MIN 3   /* so many find what they are part of */

/* ---- writing ---- */

/* Append the terms of a listing's texts, for catalogue_terms_sort. */
void text_terms(const struct theme_tree *themes, const struct listing_fields *fields,
                struct buffer *terms);

/* Of the changes of one or many transactions; one thread at a time. All zero is a beginning. */
struct text_stemmer {
    struct sb_stemmer *stemmers[8];
};
void text_stemmer_done(struct text_stemmer *stemmer);

/* For postings_writer.turned, with a text_stemmer as its context: keeps KV_WORD. */
enum torg_err text_turned(void *context, struct kv *kv, uint8_t kind, struct span key, bool born);
/* Compare KV_WORD with the words in use. */
enum torg_err text_check(const struct kv *kv, postings_report *report, void *context);

/* ---- asking ---- */

/*
 * Every word must match in some field; words such as "i" or "the" need not, if
 * there are others. In each of these ways less than in the one before, by field:
 * the word itself, without marks, by its stem, a word that it begins, and in
 * names a word that it is part of.
 */
struct text_query;
/*
 * Finds all that match. TORG_E_TOO_BIG: more bytes or words than above.
 * TORG_E_EXPENSIVE: more than work_max entries of the store. TORG_E_CORRUPT,
 * TORG_E_NOMEM. A text without a word matches nothing.
 */
enum torg_err text_query_new(const struct kv *kv, struct span text, uint64_t work_max,
                             struct text_query **ret_query);
void text_query_free(struct text_query *query);
/* All that match: exact. Borrowed. */
const struct postings_set *text_query_set(const struct text_query *query);
uint64_t text_query_count(const struct text_query *query);
/* How well a document of the set matches: 0 to TEXT_SCORE_MAX. No look at the store. */
uint32_t text_query_score(const struct text_query *query, uint32_t document);
/* Those of which every word is in their own name, or begins a word of it. Owned by the caller. */
enum torg_err text_query_names(const struct text_query *query, struct postings_set *ret_set);
uint64_t text_query_work(const struct text_query *query);
#define TEXT_SCORE_MAX 1200

/*
 * The order of an answer: by rank, the highest first, then by document number,
 * the lowest first. A whole number made of the score, of the distance in metres
 * (negative: not asked), and of how new the listing is: text_freshness of its
 * time of change. None of it hangs on the clock, so a rank stays as it is while
 * somebody pages through the answer.
 */
#define TEXT_FRESHNESS_MAX 255
uint32_t text_freshness(int64_t modified_ms);
#define TEXT_NEARNESS_MAX 400
#define TEXT_RANK_MAX (TEXT_SCORE_MAX + TEXT_NEARNESS_MAX + TEXT_FRESHNESS_MAX)
uint32_t text_rank(uint32_t score, double distance_m, uint32_t freshness);

#endif
