/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_POSTINGS_INTERNAL_H
#define TORG_INDEX_POSTINGS_INTERNAL_H

#include "index/postings.h"

/* What the postings' own files share: keys, records and chunks. */

struct postings_key {
    size_t size;
    uint8_t bytes[5 + POSTINGS_KEY_BYTES_MAX + 2];
};
struct span postings_key_span(const struct postings_key *key);
/* KV_TERM: kind, key. */
struct postings_key postings_key_term(uint8_t kind, struct span key);
/* KV_POSTING: kind, size of the key, key, chunk. Chunks of one list stand in their order. */
struct postings_key postings_key_chunk(uint8_t kind, struct span key, uint16_t chunk);

/* A value of KV_TERM. Borrowed. */
struct postings_record {
    uint32_t count;
    struct span numbers; /* u32be each, ascending; empty when the list is in chunks */
};
/* TORG_E_CORRUPT. */
enum torg_err postings_record_read(struct span value, struct postings_record *ret_record);
/* All zero when there is no such list. */
enum torg_err postings_record_get(const struct kv *kv, uint8_t kind, struct span key,
                                  struct postings_record *ret_record);

/* Is this a chunk as postings_chunk_pack writes it? */
bool postings_chunk_valid(struct span value, uint16_t chunk, uint32_t *ret_count);
/* Check the chunk, and add it to set. TORG_E_CORRUPT. */
enum torg_err postings_chunk_or(struct span value, uint16_t chunk, struct postings_set *set);
/* Append the value of a chunk: set is not empty, and all of it is of this chunk. */
void postings_chunk_pack(struct postings_set *set, struct buffer *out);
/* TORG_E_CORRUPT when the number is there already, or not there to be removed. */
enum torg_err postings_set_change(struct postings_set *set, uint32_t number, bool removed);

/* ---- changes of one list (postings_list.c) ---- */

struct postings_edit {
    uint32_t number;
    uint32_t order; /* of its coming, where there are several of one number */
    bool removed;
};
struct postings_list_edits {
    struct kv *kv;
    uint8_t kind;
    struct span key;
    const struct postings_edit *edits; /* ascending by number, each number once */
    size_t count;
    struct buffer *scratch;
};
/* Change what is in KV_TERM and KV_POSTING. Did the list, does it have any number? TORG_E_CORRUPT.
 */
enum torg_err postings_list_change(const struct postings_list_edits *list, bool *ret_lived,
                                   bool *ret_lives);

/* ---- runs (postings_run.c) ---- */

/*
 * A large flush does not look for each of its lists in KV_TERM: changes of short ones that nothing
 * else hangs on wait in KV_RUN, in the order of their keys, and all who ask for a list take what
 * waits of it into account. Merged later, in the order of keys, each page of KV_TERM is written
 * once (O'Neil, Cheng, Gawlick and O'Neil, "The log-structured merge-tree", 1996).
 */
#define POSTINGS_RUNS_MAX 256
#define POSTINGS_RUN_LISTS_MIN 4096 /* lists of a flush that are worth a run of their own */
#define POSTINGS_RUN_CHANGES_MAX POSTINGS_INLINE_MAX /* of one list in one run */

struct postings_run {
    uint32_t number; /* from 1: later runs have greater ones */
    uint32_t lists;
    bool merging; /* of those that are being merged: its first keys are gone */
};
/* All, the earliest first. */
struct postings_runs {
    size_t count;
    struct postings_run runs[POSTINGS_RUNS_MAX];
};
/* No look at the store but one when there are none. TORG_E_CORRUPT. */
enum torg_err postings_runs_get(const struct kv *kv, struct postings_runs *ret_runs);
enum torg_err postings_runs_put(struct kv *kv, const struct postings_runs *runs);

/*
 * May changes of the list wait? Not of municipalities, nor of words that are more than digits:
 * KV_WORD follows whether anybody has them (text.h). Part of the format: what may not, is not
 * looked for.
 */
bool postings_may_wait(uint8_t kind, struct span key);

/* KV_RUN: run, kind, key. */
struct postings_key postings_key_run(uint32_t run, uint8_t kind, struct span key);
/* A value of KV_RUN: numbers put in, then those taken out, u32be each and ascending. Borrowed. */
struct postings_changes {
    struct span added, removed;
};
/* TORG_E_CORRUPT. */
enum torg_err postings_changes_read(struct span value, struct postings_changes *ret_changes);
/* How many more numbers the list has after them. */
int64_t postings_changes_sum(const struct postings_changes *changes);
/* Change the set of a list accordingly. TORG_E_CORRUPT: it was not what they were made for. */
enum torg_err postings_changes_apply(const struct postings_changes *changes,
                                     struct postings_set *set);
/* Let the edits of a list, POSTINGS_RUN_CHANGES_MAX at most, wait in a run that has none of it. */
enum torg_err postings_run_put(const struct postings_list_edits *list, uint32_t run);
/*
 * Bring what waits of one list to where it belongs; its edits are not used. runs is kept, but not
 * written; *ret_merged becomes true if there was something.
 */
enum torg_err postings_runs_merge_list(const struct postings_list_edits *list,
                                       struct postings_runs *runs, bool *ret_merged);
/* What waits of the list in the run; empty: nothing. */
enum torg_err postings_run_get(const struct kv *kv, const struct postings_run *run, uint8_t kind,
                               struct span key, struct postings_changes *ret_changes);

/* Walk over the first count runs alone: postings_walk_step, and postings_walk_close at the end. */
enum torg_err postings_runs_open(struct postings_walk *walk, const struct kv *kv,
                                 const struct postings_runs *runs, size_t count);
/* To the next list, also one that nobody is in: walk->stored. TORG_E_NOT_FOUND: there is none. */
enum torg_err postings_walk_step(struct postings_walk *walk);
/* What waits of it in a run. Borrowed; empty: nothing. */
struct span postings_walk_changes(const struct postings_walk *walk, size_t run);

/* Add a list whose record is known. Only chunks in which within has something; NULL: all. */
enum torg_err postings_list_or(const struct kv *kv, uint8_t kind, struct span key,
                               const struct postings_record *record,
                               const struct postings_set *within, struct postings_set *set,
                               uint64_t *work);

#endif
