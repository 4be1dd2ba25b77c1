/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_POSTINGS_INTERNAL_H
#define TORG_INDEX_POSTINGS_INTERNAL_H

#include "index/postings.h"

/* What the postings' own files share: keys, records and chunks. */

struct postings_key {
    size_t size;
    uint8_t bytes[2 + POSTINGS_KEY_BYTES_MAX + 2];
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

/* Add a list whose record is known. Only chunks in which within has something; NULL: all. */
enum torg_err postings_list_or(const struct kv *kv, uint8_t kind, struct span key,
                               const struct postings_record *record,
                               const struct postings_set *within, struct postings_set *set,
                               uint64_t *work);

#endif
