/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_REPLICA_INTERNAL_H
#define TORG_PROTOCOL_REPLICA_INTERNAL_H

#include "protocol/profile.h"
#include "protocol/replica.h"

/*
 * What the files replica*.c share; nobody else includes it.
 *   replica_keys    keys and values of the tables
 *   replica_read    everything that only reads
 *   replica_check   who may speak for an origin: heads and beats
 *   replica_proof   fork evidence: its bytes, and whether they convict
 *   replica_fork    finding it
 *   replica_plan    what a write does to listings: first computed, then written
 *   replica_apply   other origins' writes
 *   replica_drop    collections that are not held any more
 *   replica_charter charters
 *   replica_rival   two charters with one number, and which of them is right
 *   replica_local   the own origin's commits and beats
 *   replica_verify  recompute and compare: listings, tries and log
 *   replica_verify_chain  the same for charters, heads and beats
 */

/* ---- replica_keys.c: layouts, documented in docs/storage.md ---- */

#define REPLICA_KEY_BYTES_MAX 40

struct replica_key {
    uint8_t size;
    uint8_t bytes[REPLICA_KEY_BYTES_MAX];
};

static inline struct span replica_key_span(const struct replica_key *key)
{
    return span_of(key->bytes, key->size);
}

/* KV_BYSEQ holds three things of an origin, each in a range of its own. */
enum replica_byseq {
    /* seq, collection, k -> nothing: the header is in KV_LIVE. Above the floor each live listing
     * has one; at or below it a row may have stayed behind, also of an older version. */
    REPLICA_BYSEQ_LIVE = 0,
    REPLICA_BYSEQ_TOMBSTONE = 1, /* seq, collection, k -> header */
    REPLICA_BYSEQ_ERASED = 2,    /* collection, k -> seq of its tombstone */
};

struct replica_key replica_key_origin(const struct origin_id *id);
struct replica_key replica_key_number(uint32_t number);
struct replica_key replica_key_beat(uint32_t number);
struct replica_key replica_key_charter(uint32_t number, uint64_t charter_no);
struct replica_key replica_key_rival(uint32_t number, uint64_t charter_no);
struct replica_key replica_key_head(uint32_t number, uint64_t epoch, uint64_t hno);
struct replica_key replica_key_live(uint32_t number, uint8_t collection,
                                    const struct listing_key *key);
/* part is REPLICA_BYSEQ_LIVE or REPLICA_BYSEQ_TOMBSTONE. */
struct replica_key replica_key_byseq(uint32_t number, enum replica_byseq part, uint64_t seq,
                                     uint8_t collection, const struct listing_key *key);
struct replica_key replica_key_erased(uint32_t number, uint8_t collection,
                                      const struct listing_key *key);
struct replica_key replica_key_trie(uint32_t number, uint8_t collection,
                                    const struct trie_prefix *prefix);
struct replica_key replica_key_proof(uint32_t number, uint64_t epoch);

/* What a key of KV_BYSEQ says; TORG_E_CORRUPT unless it is of that part. */
struct replica_byseq_key {
    uint64_t seq;
    uint8_t collection;
    struct listing_key key;
};
enum torg_err replica_byseq_key_read(struct span bytes, struct replica_byseq_key *ret_key);

/* A value of KV_LIVE; spans are borrowed. */
struct replica_live {
    struct hash header_hash;
    struct span header;
    struct span payload; /* empty: missing */
};
void replica_live_pack(const struct replica_live *live, struct buffer *out);
enum torg_err replica_live_read(struct span bytes, struct replica_live *ret_live);

/* The fixed part of an origin; head and beat stand in their own rows. */
void replica_record_pack(const struct replica_origin *origin, struct buffer *out);
/* Fills all but head and beat; has_head is set, head.epoch and head.hno say which. */
enum torg_err replica_record_read(struct span bytes, struct replica_origin *ret_origin);

/* [bin, signature], alone in a value or an element of evidence; TORG_E_CORRUPT. */
enum torg_err replica_signed_read(struct span bytes, size_t size_max, struct signed_span *ret);

/* Is it our own store or memory that failed, whatever was asked of it? */
static inline bool replica_is_storage_error(enum torg_err err)
{
    return err == TORG_E_NOMEM || err == TORG_E_FULL || err == TORG_E_IO || err == TORG_E_CORRUPT;
}

/* Only errors after which a transaction is aborted may come out of a begun write. */
enum torg_err replica_fatal(enum torg_err err);

/* ---- replica_read.c ---- */

/* As replica_trie_init, for writing. */
void replica_trie_init_writable(struct replica_trie *trie, struct kv *kv, uint32_t number,
                                uint8_t collection, struct trie_store *ret_store);
enum torg_err replica_origin_save(struct kv *kv, const struct replica_origin *origin);

/* ---- replica_check.c ---- */

/*
 * The rule of validity: key_no speaks for epoch if that is the newest charter's
 * epoch and the charter lists the key. TORG_E_STALE for an older epoch,
 * TORG_E_GAP for a newer one, TORG_E_SIGNATURE for a key that is not listed.
 */
enum torg_err replica_authority(const struct kv *kv, const struct replica_origin *origin,
                                uint64_t epoch, uint64_t key_no, struct public_key *ret_key);
/* TORG_E_STALE when the head that is held is not valid any more. */
enum torg_err replica_held_head_check(const struct kv *kv, const struct replica_origin *origin);

/* ---- replica_plan.c ---- */

/* What becomes of one listing. */
struct replica_edit {
    uint8_t collection;
    struct listing_key key;
    const struct replica_entry *entry; /* NULL: gone, as reconcile found; no tombstone is known */
};

/* Edits in the order of (collection, k), and the tries as they will be. */
struct replica_plan {
    struct replica_edit *edits;
    size_t count;
    struct trie_plan *tries[COLLECTIONS_MAX]; /* of the collections that the edits touch */
};

/* Room for capacity edits. replica_plan_done accepts a plan of zeros. */
enum torg_err replica_plan_init(struct replica_plan *plan, size_t capacity);
void replica_plan_done(struct replica_plan *plan);
void replica_plan_add(struct replica_plan *plan, uint8_t collection, const struct listing_key *key,
                      const struct replica_entry *entry);
/* Sort and compute; nothing is written. TORG_E_INVALID: two edits of one listing. */
enum torg_err replica_plan_compute(struct replica_plan *plan, const struct kv *kv,
                                   const struct replica_origin *origin);
struct trie_root replica_plan_root(const struct replica_plan *plan,
                                   const struct replica_origin *origin, uint8_t collection);
/* Do the roots of all collections in mask come out as head's? TORG_E_MISMATCH. */
enum torg_err replica_plan_prove(const struct replica_plan *plan,
                                 const struct replica_origin *origin, const struct head *head,
                                 uint32_t mask);

/* A write under way: from here on an error means that the transaction is aborted. */
struct replica_writing {
    struct kv *kv;
    struct replica_origin *origin; /* changed as the write goes; saved by the caller */
    const struct replica_observer *observer;
    bool cut; /* the head written does not go on from the one held: raise the floor */
    struct buffer scratch;
};
enum torg_err replica_plan_write(const struct replica_plan *plan, struct replica_writing *writing);
/* Put in entry's payload if just that version is held without one. */
enum torg_err replica_payload_write(struct replica_writing *writing,
                                    const struct replica_entry *entry, bool *ret_written);
/*
 * Store head and name it in the record. A head that does not go on from the one
 * held (another epoch, another branch, or the first head with a past that is not
 * here) sets cut: no delta may reach back over it.
 */
enum torg_err replica_head_write(struct replica_writing *writing, const struct signed_span *head,
                                 const struct head *parsed, const struct hash *hash,
                                 int64_t now_ms);
/* ---- replica_log.c: KV_BYSEQ ---- */

enum torg_err replica_tombstone_put(struct replica_writing *writing,
                                    const struct replica_entry *entry);
/* A listing has one row in the log: a tombstone goes when something newer comes. */
enum torg_err replica_tombstone_replace(struct replica_writing *writing, uint8_t collection,
                                        const struct listing_key *key);
/*
 * The row of a live listing, or of the version of it that goes. No delta begins
 * below the floor, so there the log has none: a first copy comes in the order of
 * keys, and would scatter a row over the whole table for each of its listings.
 * One that is from before the floor rose is left to replica_log_trim.
 */
enum torg_err replica_log_put(struct replica_writing *writing, const struct replica_edit *edit,
                              uint64_t seq);
enum torg_err replica_log_delete(struct replica_writing *writing, const struct replica_edit *edit,
                                 uint64_t seq);
/* No delta may begin before the record's head: its tombstones go. */
enum torg_err replica_floor_raise(struct replica_writing *writing);
/* Rows of the log at or below the floor go, at most budget of them: nobody reads them. */
enum torg_err replica_log_trim(struct replica_writing *writing, size_t budget);
/* Keep at most REPLICA_TOMBSTONES_MAX; cheap when called after each write. */
enum torg_err replica_tombstones_trim(struct replica_writing *writing, size_t budget);

/* ---- replica_verify.c, replica_verify_chain.c ---- */

struct replica_verifying {
    const struct kv *kv;
    const struct replica_origin *origin;
    replica_verify_report *report;
    void *context;
};
void replica_verify_say(struct replica_verifying *verifying, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Charters, heads and beat: chains and signatures. Storage errors only. */
enum torg_err replica_verify_chain(struct replica_verifying *verifying);

/* ---- replica_fork.c ---- */

/*
 * The first head above above_hno and below the newest that is held with its signature, and
 * that nothing which is held shows to be the newest one's ancestor; 0: there is none. A path
 * may pass such a head by. Of heads in a row only the last is looked at.
 */
enum torg_err replica_fork_unshown(const struct kv *kv, const struct replica_origin *origin,
                                   uint64_t above_hno, uint64_t *ret_hno);

/* ---- replica_drop.c ---- */

enum torg_err replica_drop_apply(struct kv *kv, const struct replica_write *write,
                                 const struct replica_observer *observer);

/* ---- replica_charter.c ---- */

enum torg_err replica_charters_apply(struct kv *kv, const struct replica_write *write,
                                     const struct replica_observer *observer);

/* What everybody may see now and could not before, or the other way round. */
enum torg_err replica_visibility_follow(struct kv *kv, const struct replica_origin *origin,
                                        uint32_t before, const struct replica_observer *observer);

/* ---- replica_rival.c ---- */

/* Is this evidence of two charters, and not of two heads? */
bool replica_rival_is(struct span proof);
/* As replica_proof_check, for that. TORG_E_KNOWN: the number has a rival already. */
enum torg_err replica_rival_check(const struct kv *kv, const struct replica_origin *origin,
                                  struct span proof);
/* The same, and the rival is stored; instead of another one if it has the hash that is named. */
enum torg_err replica_rival_keep(struct kv *kv, const struct replica_origin *origin,
                                 struct span proof, const struct hash *named);
enum torg_err replica_settle_apply(struct kv *kv, const struct replica_write *write,
                                   const struct replica_observer *observer);

/* ---- replica_visible.c ---- */
/* The observer is told of all listings of these collections, as they are. */
enum torg_err replica_tell_again(struct kv *kv, const struct replica_origin *origin, uint32_t mask,
                                 const struct replica_observer *observer);

#endif
