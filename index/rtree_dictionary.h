/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_RTREE_DICTIONARY_H
#define TORG_INDEX_RTREE_DICTIONARY_H

#include "index/rtree_node.h"

/*
 * The dictionary of theme combinations, shared by all trees of a database. Its
 * keys in KV_THEME begin with a zero byte, which no slug does: 'n' and a number
 * (u16 big-endian) -> 32 bytes of themes; 's' and those 32 bytes -> the number;
 * 'c' -> the first number not given out. rtree_item.c looks up and learns.
 */
#define RTREE_DICTIONARY_FIRST 257
#define RTREE_DICTIONARY_SET_KEY_BYTES 34
#define RTREE_DICTIONARY_NUMBER_KEY_BYTES 4
#define RTREE_DICTIONARY_NEXT_KEY_BYTES 2

/*
 * Does every combination lead to its number and back, are numbers given from
 * the first on without a hole, and is there nothing else? Reports each breach.
 * TORG_OK also when there was any; TORG_E_IO, TORG_E_NOMEM. A wrong number here
 * gives the next listing of that combination other themes than its own.
 */
enum torg_err rtree_dictionary_check(const struct kv *kv, rtree_report *report, void *context);

/* The first number not given out, RTREE_DICTIONARY_FIRST at least. TORG_E_CORRUPT. */
enum torg_err rtree_dictionary_end(const struct kv *kv, unsigned *ret_end);

/*
 * The themes of many numbers, asked for in ascending order: what the snapshot's
 * table does not know yet costs a step of a cursor from its neighbour instead of
 * a search. Close it also after an error.
 */
struct rtree_dictionary_reader {
    const struct kv *kv;
    struct kv_cursor *cursor; /* NULL: not needed so far */
    unsigned number;          /* where it stands; 0: nowhere yet */
    struct span value;
};
void rtree_dictionary_open(struct rtree_dictionary_reader *reader, const struct kv *kv);
/* TORG_E_CORRUPT when the number was not given out. */
enum torg_err rtree_dictionary_themes(struct rtree_dictionary_reader *reader, unsigned number,
                                      struct theme_set *ret_set);
void rtree_dictionary_close(struct rtree_dictionary_reader *reader);

#endif
