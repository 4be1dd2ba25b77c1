/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_QUERY_TALLY_H
#define TORG_INDEX_QUERY_TALLY_H

#include "protocol/bytes.h"

/*
 * Counts by a number that stands for a value: an origin's number, or the bytes
 * of a municipality's code. An open hash; slots hold 1 + the entry's place.
 */
struct query_tally_entry {
    uint64_t key;
    uint64_t count;
};

struct query_tally {
    struct query_tally_entry *entries;
    size_t count;
    size_t capacity; /* a power of two or 0; there are twice as many slots */
    uint32_t *slots;
};
/* All zero is a valid beginning. TORG_E_NOMEM. */
enum torg_err query_tally_add(struct query_tally *tally, uint64_t key, uint64_t count);
/* Most first, then by key. Nothing may be added after. */
void query_tally_sort(struct query_tally *tally);
void query_tally_done(struct query_tally *tally);

#endif
