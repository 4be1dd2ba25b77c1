/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_SUPPORT_TOWN_H
#define TORG_TESTS_SUPPORT_TOWN_H

#include "protocol/replica.h"
#include "tests/support/kv_mem.h"

/*
 * A made-up municipality for tests: keys from a seed, charters as they should
 * be, a store in memory in which it commits. Whatever goes wrong ends the
 * program: the test is of something else. Needs seal_init.
 */
#define TOWN_CHARTERS_MAX 16

struct town {
    struct origin_id id;
    struct secret_key root;
    struct replica_signer signer; /* what it signs with now */
    uint64_t seed;
    size_t charter_count;
    struct buffer charters[TOWN_CHARTERS_MAX]; /* signed, as they travel */
    uint64_t epoch;
    uint64_t next_key_no;
    struct kv_mem *mem; /* its own node */
    int64_t now_ms;
    /* What the next charters say: collections that are for members, of that catalogue (NULL: nil).
     */
    uint32_t members_only;
    const struct origin_id *catalogue;
    const struct public_key *node_key; /* NULL: they list none */
};

/* Charter 0, signing key 1, all named collections public. The store holds the charter. */
void town_init(struct town *town, uint64_t seed);
void town_done(struct town *town);

/* The next charter, for its own store and to be sent: a new signing key; a new epoch. */
void town_rotate(struct town *town, bool new_epoch);
/* Charters from number from on, parsed; borrowed from town. Returns how many. */
size_t town_charters(const struct town *town, size_t from,
                     struct charter_signed out[TOWN_CHARTERS_MAX]);
/* The charter after the newest, with one signing key, for nobody yet. */
void town_next_charter(const struct town *town, uint64_t key_no, const struct public_key *key,
                       struct buffer *out);
/* A charter beside the newest one, with its number. */
void town_rival_charter(const struct town *town, struct buffer *out);

/* One commit in its own store. */
enum torg_err town_commit(struct town *town, const struct local_change *changes, size_t count);
/* The secret key of a key_no. */
struct secret_key town_key(const struct town *town, uint64_t key_no);
/* head, packed and signed with the key that it names. */
void town_sign_head(const struct town *town, const struct head *head, struct buffer *out);

/* What a peer would send: a write with the bytes that it borrows. */
struct town_write {
    struct replica_write write;
    struct buffer bytes;
    struct replica_entry *entries;
    struct listing_key *removed;
    struct charter_signed charters[TOWN_CHARTERS_MAX];
};
void town_write_done(struct town_write *out);
/* Everything that read (of any node) holds of the town since seq, under its newest head. */
void town_delta(const struct town *town, const struct kv *read, uint64_t since, uint32_t mask,
                struct town_write *out);
/* All charters. */
void town_charters_write(const struct town *town, struct town_write *out);
/* What must change in the collection at to, so that it is as at from. */
void town_part(const struct town *town, const struct kv *from, const struct kv *to,
               uint8_t collection, struct town_write *out);

/* In a transaction of its own; committed when it succeeds, else aborted. */
enum torg_err town_apply(struct kv_mem *mem, const struct replica_write *write,
                         const struct replica_observer *observer);

#endif
