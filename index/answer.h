/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_ANSWER_H
#define TORG_INDEX_ANSWER_H

#include "protocol/ident.h"
#include "protocol/kv.h"

/*
 * What a write was answered with, for a client that must send it again because
 * it never saw the answer (the field Idempotency-Key). Kept in KV_ANSWER, put
 * there in the transaction of the write itself, for ANSWER_KEPT_MS.
 *
 * key    'k', H16("torg/answer/1", token's id, the client's key): 17 bytes
 * value  [1, collection, feature id (24 bytes), hash of the request (16), at_ms]
 * key    't', at_ms u64 big-endian, the same hash: 25 bytes; value empty.
 *        By which old ones are found.
 */
#define ANSWER_KEPT_MS 86400000
#define ANSWER_KEY_BYTES_MAX 255
/* Old ones that each new one clears away: more than come, so that they get fewer. */
#define ANSWER_CLEARED_MAX 16

struct answer_key {
    uint8_t bytes[16];
};
struct answer_key answer_key_of(const char *token_id, struct span key);

struct answer {
    uint8_t collection;
    struct feature_id id; /* of the listing that was made */
    uint8_t request[16];  /* hash of what was asked */
    int64_t at_ms;
};

/* TORG_E_NOT_FOUND, also for one that is older than ANSWER_KEPT_MS. */
enum torg_err answer_find(const struct kv *kv, const struct answer_key *key, int64_t now_ms,
                          struct answer *ret_answer);
/* Inserts or replaces, and clears some that are too old at answer->at_ms. */
enum torg_err answer_put(struct kv *kv, const struct answer_key *key, const struct answer *answer);

#endif
