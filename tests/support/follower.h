/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_SUPPORT_FOLLOWER_H
#define TORG_TESTS_SUPPORT_FOLLOWER_H

#include "tests/support/town.h"

/*
 * Nodes that follow a made-up municipality, and a model of what it should hold.
 * Whatever must hold and does not, fails the test that runs (CMocka).
 */
#define MODEL_IDS 160 /* listings that may exist in each collection */
#define MODEL_COLLECTIONS 3
#define MODEL_MASK 0xeu /* collections 1, 2, 3 */
#define MODEL_PAYLOAD_BYTES 40

/* What an origin should hold: too simple to be wrong. size 0: not there. */
struct model {
    uint8_t sizes[MODEL_COLLECTIONS][MODEL_IDS];
    uint8_t payloads[MODEL_COLLECTIONS][MODEL_IDS][MODEL_PAYLOAD_BYTES];
};
struct listing_id model_id(unsigned i);
/* A commit of the town with up to max changes, in its store and in the model. */
void model_commit(struct town *town, struct model *model, uint64_t *random, size_t max);
/* mem holds exactly the model, with all payloads, complete under its head. */
void assert_holds(struct kv_mem *mem, const struct origin_id *id, const struct model *model);

/*
 * An index that notes in KV_DOCUMENT what it is told of; a context, if set,
 * points to an error that it returns instead.
 */
enum torg_err shadow_changed(void *context, struct kv *kv, const struct replica_origin *origin,
                             uint8_t collection, const struct listing_key *key,
                             const struct replica_entry *entry);
extern const struct replica_observer shadow;
/* The shadow index and the listings are the same set. */
void assert_shadow(struct kv_mem *mem, const struct origin_id *id);

/* Another node that knows the town's charters and nothing else; strict about spans. */
struct kv_mem *follower_new(const struct town *town);
void origin_read(struct kv_mem *mem, const struct origin_id *id, struct replica_origin *ret_origin);
/* Everything since what mem holds, from the node `from`, as one COMMIT. */
void next_write(struct town *town, struct kv_mem *from, struct kv_mem *mem, uint32_t mask,
                struct town_write *ret_write);
/* The same, applied. */
enum torg_err catch_up(struct town *town, struct kv_mem *mem, uint32_t mask);
/* Bring `to` to what `from` holds, by PARTs of random size. */
void reconcile(struct town *town, struct kv_mem *from, struct kv_mem *to, uint64_t *random);

/* replica_verify finds nothing. */
void assert_verifies(struct kv_mem *mem, const struct origin_id *id, const char *when);
/* Refused with err, and the store is byte for byte as it was. */
void assert_refused(struct kv_mem *mem, const struct replica_write *write, enum torg_err err);
/* Everything committed in mem, replacing what is in out. */
void dump(struct kv_mem *mem, struct buffer *out);

#endif
