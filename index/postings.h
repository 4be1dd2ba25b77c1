/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_POSTINGS_H
#define TORG_INDEX_POSTINGS_H

#include "protocol/kv.h"

/*
 * Postings: for a kind and a key, the exact set of the numbers of the documents
 * that have it: a word, a municipality, an origin. Kept in the transaction of
 * the listings themselves. docs/postings.md shows the bytes.
 *
 * KV_TERM holds for each list its exact length and, while it is short, its
 * numbers; longer lists are cut by the high 16 bits of the numbers into chunks,
 * compressed bitmaps of one container each, in KV_POSTING; what a large write changes in
 * short lists waits in KV_RUN at first. Stored bytes are
 * checked, bit by bit, before the bitmaps' library (CRoaring: Chambi, Lemire,
 * Kaser and Godin, "Better bitmap performance with Roaring bitmaps", 2016) sees
 * them, for it believes what it reads. Only postings.c includes its header.
 */
#define POSTINGS_KEY_BYTES_MAX 120
#define POSTINGS_INLINE_MAX 32 /* numbers that stand in KV_TERM itself */

/* What a key is. On disk: never renumber. */
enum postings_kind {
    POSTINGS_COLLECTION = 1,   /* number, one byte */
    POSTINGS_MUNICIPALITY = 2, /* the code as it stands in the row */
    POSTINGS_ORIGIN = 3,       /* origin number, u32be */
    POSTINGS_NETWORK = 4,      /* reference to a listing, 24 bytes: applied to it */
    POSTINGS_PROVIDER = 5,     /* reference to a listing, 24 bytes */
    POSTINGS_COUNTRY = 6,      /* the country's code as it stands in the row */
    POSTINGS_PART = 7,         /* catalogue_part_key: collection, placed, irregular */
    POSTINGS_REACH = 8,        /* a cell of reach.h: a place that it serves or stops at */
    POSTINGS_OPEN = 9,         /* opening_slot: may be open in that quarter of a day of the week */
    POSTINGS_NAME = 16,        /* words: text.h says what a word's key is */
    POSTINGS_PLACE = 17,
    POSTINGS_DESCRIPTION = 18,
    POSTINGS_WHOLE_NAME = 19, /* a name, folded, as a whole */
};

/* ---- changing ---- */

/*
 * Changes of one write transaction, which wait until postings_flush: many of
 * them touch the same lists. All zero is a valid beginning.
 */
struct postings_writer {
    struct buffer keys; /* of the lists: kind u8, size u8, key */
    struct postings_pending_list *lists;
    struct postings_pending_edit *edits;
    uint32_t *slots; /* 1 + a list, by the hash of its key; 0: none */
    size_t list_count, list_capacity, edit_count, edit_capacity, slot_count;
    /* Optional: a list was empty and is not any more, or the other way. May write to other tables.
     */
    enum torg_err (*turned)(void *context, struct kv *kv, uint8_t kind, struct span key, bool born);
    void *context;
};
/* key has 1 to POSTINGS_KEY_BYTES_MAX bytes, and is copied. TORG_E_NOMEM. */
enum torg_err postings_add(struct postings_writer *writer, uint8_t kind, struct span key,
                           uint32_t number);
enum torg_err postings_remove(struct postings_writer *writer, uint8_t kind, struct span key,
                              uint32_t number);
/* Bytes of memory that wait: flush before it is too much. */
size_t postings_pending(const struct postings_writer *writer);
/*
 * Apply what waits, in the order of keys. Changes of one number in one list
 * turn it in and out, and those that undo each other are as if they had not
 * been. TORG_E_CORRUPT: a number to be added is there, or one to be removed is
 * not, or what is stored fails its checks.
 *
 * Where many lists change, those of the short ones only go to the end of
 * KV_RUN, for postings_merge; whoever asks sees no difference.
 */
enum torg_err postings_flush(struct postings_writer *writer, struct kv *kv);
/*
 * Bring up to max lists whose changes wait in KV_RUN to where they belong. *ret_merged
 * is how many it were; fewer than max: nothing waits any more.
 */
enum torg_err postings_merge(struct kv *kv, size_t max, size_t *ret_merged);
/* Changes of so many lists wait. */
enum torg_err postings_unmerged(const struct kv *kv, uint64_t *ret_lists);
/* Forget what waits. */
void postings_writer_done(struct postings_writer *writer);

/* ---- asking ---- */

/* How many numbers the list has, exactly; 0 when there is none. One look-up. TORG_E_CORRUPT. */
enum torg_err postings_count(const struct kv *kv, uint8_t kind, struct span key,
                             uint64_t *ret_count);
/* At most two look-ups. */
enum torg_err postings_contains(const struct kv *kv, uint8_t kind, struct span key, uint32_t number,
                                bool *ret_contains);

/*
 * A set of document numbers in memory, its own and not the store's: about two
 * bytes a number, and never more than 8 KiB for each 65,536 numbers. All zero
 * is the empty set. Operations on a set that fail leave it as it was, or empty.
 */
struct postings_set {
    struct roaring_bitmap_s *bitmap;
};
void postings_set_done(struct postings_set *set);
uint64_t postings_set_count(const struct postings_set *set);
bool postings_set_contains(const struct postings_set *set, uint32_t number);
enum torg_err postings_set_add(struct postings_set *set, const uint32_t *numbers, size_t count);
/* a = a or b; a and b; a without b. TORG_E_NOMEM. */
enum torg_err postings_set_or(struct postings_set *a, const struct postings_set *b);
enum torg_err postings_set_and(struct postings_set *a, const struct postings_set *b);
enum torg_err postings_set_andnot(struct postings_set *a, const struct postings_set *b);
enum torg_err postings_set_copy(const struct postings_set *from, struct postings_set *ret_set);
/* How many both have. */
uint64_t postings_set_and_count(const struct postings_set *a, const struct postings_set *b);
/* Up to max numbers at or after from, ascending; returns how many were written. */
size_t postings_set_read(const struct postings_set *set, uint32_t from, uint32_t *numbers,
                         size_t max);

/*
 * Add a stored list to a set. *work, if not NULL, grows by one for each entry
 * of the store that was read.
 */
enum torg_err postings_or(const struct kv *kv, uint8_t kind, struct span key,
                          struct postings_set *set, uint64_t *work);
/* set = set and the list. Reads no chunk in which set has nothing. */
enum torg_err postings_and(const struct kv *kv, uint8_t kind, struct span key,
                           struct postings_set *set, uint64_t *work);

/*
 * The lists of a kind whose key begins with prefix, in the order of their keys.
 * Nothing may be written while a walk is open.
 */
struct postings_source; /* where lists are: KV_TERM, or a run of changes that wait */
struct postings_walk {
    const struct kv *kv;
    struct postings_source *sources; /* KV_TERM's is the first */
    size_t source_count;
    uint8_t prefix[1 + POSTINGS_KEY_BYTES_MAX];
    size_t prefix_size;
    struct span stored; /* kind and key of the list that it stands at */
};
/* Close it also after an error. prefix: at most POSTINGS_KEY_BYTES_MAX, else nothing is found.
 * TORG_E_NOMEM. */
enum torg_err postings_walk_open(struct postings_walk *walk, const struct kv *kv, uint8_t kind,
                                 struct span prefix);
/* key is borrowed until the next call. TORG_E_NOT_FOUND at the end. */
enum torg_err postings_walk_next(struct postings_walk *walk, struct span *ret_key,
                                 uint64_t *ret_count);
/* Add the list that the walk stands at. */
enum torg_err postings_walk_or(const struct postings_walk *walk, struct postings_set *set,
                               uint64_t *work);
/* How many of set are in the list that the walk stands at: a facet. */
enum torg_err postings_walk_and_count(const struct postings_walk *walk,
                                      const struct postings_set *set, uint64_t *ret_count,
                                      uint64_t *work);
void postings_walk_close(struct postings_walk *walk);

/*
 * Look at every entry of the three tables: sound, in its order, counted right,
 * every chunk of a list that is there, and every change that waits one of a list
 * as it was then. *ret_pairs: the numbers of all lists.
 */
typedef void postings_report(void *context, const char *what);
enum torg_err postings_check(const struct kv *kv, postings_report *report, void *context,
                             uint64_t *ret_pairs);

#endif
