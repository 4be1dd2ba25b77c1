/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_REPLICA_H
#define TORG_PROTOCOL_REPLICA_H

#include "protocol/change.h"
#include "protocol/charter.h"
#include "protocol/head.h"
#include "protocol/kv.h"
#include "protocol/seal.h"
#include "protocol/trie.h"

/*
 * The replica: what this node holds of every origin, and the only code that
 * changes it. Own commits, peers' batches and reconciliation all end here, in
 * one transaction each, in torgd as in the simulator.
 *
 * Of each origin the record names one head: the newest under which anything
 * was ever taken. It never goes back. A collection is COMPLETE when the root
 * of what is held equals that head's root, PARTIAL otherwise: the state is
 * computed, not kept, so it cannot lie.
 *
 * Keys and values of the tables: replica_keys.c, described in docs/storage.md.
 */
#define REPLICA_HEADS_KEPT 256 /* of each origin, at least; all of the own one */
#define REPLICA_TOMBSTONES_MAX                                                                     \
    65536 /* of each origin; beyond, the oldest go and the floor rises                             \
           */
#define REPLICA_DROP_LISTINGS_MAX 4096 /* in one DROP */
#define REPLICA_PROOF_BYTES_MAX 262000 /* fork evidence fits one frame */

struct replica_origin {
    uint32_t number; /* local, stable; stands for the id in keys */
    struct origin_id id;
    uint64_t charter_no; /* the newest that is held */
    struct hash charter_hash;
    uint64_t charter_epoch;
    struct hash epoch_hash; /* of the charter that opened charter_epoch: its head number 0 */
    bool has_head;
    struct head head;
    struct hash head_hash;
    bool has_beat;
    struct beat beat;
    int64_t received_ms; /* when the newest head or beat came, by this node's clock */
    uint64_t floor_seq;  /* deltas are served for since_seq >= this only */
    uint64_t tombstones; /* how many are held */
    uint32_t flags;      /* REPLICA_FLAG_* */
    /*
     * The head of this number was held when a newer one came that does not name it, and no path
     * has shown since that the newest descends from it ("ancestry unproven"). Of several such
     * heads the oldest, then the next; 0: the newest descends from all.
     */
    uint64_t unproven_hno;
    struct trie_root held[COLLECTIONS_MAX]; /* by collection number; count 0 when empty */
    uint32_t missing[COLLECTIONS_MAX];      /* live listings without their payload */
};

/*
 * Two heads or two charters with one number; cleared by the first head of a new epoch, or by
 * its charter where no head is held.
 */
#define REPLICA_FLAG_DISPUTED 1u
/* A head whose root nobody can meet by the rules; cleared by the next head. */
#define REPLICA_FLAG_FAULTY 2u
/* This node has committed here: every head is kept. */
#define REPLICA_FLAG_OWN 4u

/* A change that was checked when it came in: parsed once, hashed once. */
struct replica_entry {
    struct span header_bytes; /* borrowed */
    struct span payload;      /* borrowed; size 0 when absent (a delete, or missing) */
    struct change_header header;
    struct hash header_hash;
    struct listing_key key;
};

/*
 * Check header bytes and, unless it is empty, the payload against it. The only
 * way to fill a replica_entry. TORG_E_MISMATCH or a parser's error.
 */
enum torg_err replica_entry_read(struct span header_bytes, struct span payload,
                                 struct replica_entry *ret_entry);

/*
 * Called for each listing that changes, and when a new charter gives a collection that is held to
 * everybody, or not any more, for each of it; inside the transaction: how the index follows.
 */
struct replica_observer {
    void *context;
    /*
     * entry NULL: the listing is gone. An entry without a payload: it is known
     * and missing here; called again when the payload comes. origin is the
     * record with the new head. An error aborts the whole write.
     */
    enum torg_err (*changed)(void *context, struct kv *kv, const struct replica_origin *origin,
                             uint8_t collection, const struct listing_key *key,
                             const struct replica_entry *entry);
};

/*
 * A verified piece of another origin's state, ready for the writer. All
 * pointers are borrowed for the call.
 *
 * CHARTERS  charters of one origin, ascending without a hole; the first may be
 *           charter 0 of an origin that is new here. The caller has decided that
 *           it is trusted. Those that are held are passed over. A second charter
 *           with a number that is held, signed as it must be, is kept beside the
 *           first and marks the origin disputed; what follows it is not looked at.
 * COMMIT    a head and the newest change of each listing since the state held
 *           (a live batch, a delta, or nothing at all for a bare head), ascending
 *           by seq. Taken only if the roots of all collections in mask come out
 *           as the head's; no entry may be of a collection outside mask. An
 *           upsert may come without its payload and then counts as missing.
 * PART      reconcile: some upserts and removals of one collection under head,
 *           which is the head held or a newer one. The head is recorded with the
 *           first PART under it, so that from then on nothing is taken under an
 *           older one; a PART without entries does only that. Since nobody knows
 *           what a reconcile passed over, deltas are served from the head's seq
 *           on, and older tombstones go. That each entry stands under the head's
 *           root, and that each removed key does not, the caller has proved: it
 *           cannot be seen here.
 * PAYLOADS  payloads that were missing, for live entries already held; those that
 *           fit nothing that is held (any more) are passed over.
 * BEAT      a newer beat.
 * PROOF     fork evidence: marks the origin disputed. Of two charters, the one that is not
 *           held is kept beside the one that is (replica_charter_rival_get): the first that
 *           comes, or the one whose hash is charter, if that is not zeros.
 * SETTLE    charter is the hash of the right one of two charters that are held under one
 *           number. If it is the rival, it takes the other's place: what stood on the
 *           other, charters, heads and beat, goes; what is held of the listings stays, and
 *           the next head heals it. The dispute of the two ends. TORG_E_KNOWN: there are no
 *           two, or it is settled; TORG_E_INVALID: the own origin, which is where it is.
 * ANCESTRY  heads below the one held, each the prev or the skip of the one before
 *           it, the first of the held one: proved by their hashes alone, and stored
 *           without a signature where they are missing, or where another branch's
 *           stood: what is served is one line. A path by the head that was held
 *           before (unproven_hno) shows that the newest descends from it; another that was held
 *           since, and that nothing shows yet, takes its place. An origin that was
 *           recovered from its peers needs them to make its next head.
 * FAULTY    head is valid and not older than the one held, but no state that obeys
 *           the rules has its roots: marks the origin faulty. What is held stays; the
 *           head is not taken.
 * DROP      collections in mask are not to be held any more: a stretch of the listings
 *           of the first that has any goes, at most REPLICA_DROP_LISTINGS_MAX, and no
 *           tombstone stays for them; deltas are served from the head's seq on.
 *           Repeated until TORG_E_KNOWN: nothing of them is left. TORG_E_INVALID for
 *           the own origin.
 */
enum replica_write_kind {
    REPLICA_WRITE_CHARTERS,
    REPLICA_WRITE_COMMIT,
    REPLICA_WRITE_PART,
    REPLICA_WRITE_PAYLOADS,
    REPLICA_WRITE_BEAT,
    REPLICA_WRITE_PROOF,
    REPLICA_WRITE_ANCESTRY,
    REPLICA_WRITE_FAULTY,
    REPLICA_WRITE_DROP,
    REPLICA_WRITE_SETTLE,
};

struct replica_write {
    enum replica_write_kind kind;
    struct origin_id origin;
    const struct charter_signed *charters;
    size_t charter_count;
    struct signed_span head;
    struct seal_proof head_proof; /* zeros, or what replica_head_check left of this head */
    uint32_t mask;      /* COMMIT: collections that this node subscribes to; DROP: that go */
    uint8_t collection; /* PART */
    const struct replica_entry *entries;
    size_t entry_count;
    const struct listing_key *removed; /* PART: ascending */
    size_t removed_count;
    struct signed_span beat;
    struct span proof;
    struct hash charter;         /* SETTLE; PROOF */
    const struct span *ancestry; /* heads' bytes, at most ANCESTRY_HEADS_MAX */
    size_t ancestry_count;
    int64_t now_ms; /* when it came */
};

/*
 * Judge and apply one write. Every check comes before the first change, so any
 * error but TORG_E_NOMEM, TORG_E_FULL, TORG_E_IO and TORG_E_CORRUPT leaves the
 * transaction as it was and others may share it. Signatures and charters are
 * checked here, whatever the caller has done before, but for the signature that
 * head_proof proves by the key that counts now; an error of the observer
 * that is none of the four comes back as TORG_E_CORRUPT.
 * TORG_E_KNOWN, TORG_E_STALE: nothing new. TORG_E_GAP: charters are missing,
 * also when the origin is not known here at all. TORG_E_MISMATCH: the roots do
 * not come out; reconcile. TORG_E_INVALID: entries that no honest log holds
 * (seq beyond the head's, not ascending, a listing twice, a collection that does
 * not belong). Errors of heads, beats and charters: replica_head_check,
 * replica_beat_check, charter_check. TORG_E_TOO_BIG: ORIGINS_MAX origins have had their number
 * here, and another is new.
 * observer may be NULL.
 */
enum torg_err replica_apply(struct kv *kv, const struct replica_write *write,
                            const struct replica_observer *observer);

/*
 * Is a received head newer than what is held, and valid? Cheapest first; changes
 * nothing. A head is valid iff its epoch is that of the newest charter held and
 * its key is listed there. TORG_E_KNOWN: it is the one that is held.
 * TORG_E_STALE: older, of an older epoch, or signed with a key that a later
 * charter dropped. TORG_E_GAP: it names a charter that is not here yet.
 * TORG_E_SIGNATURE, TORG_E_INVALID or a parser's error: whoever sent it passed
 * on what it should have refused. TORG_E_UNEXPECTED: valid in itself, but
 * another head with this number is held (fork evidence, see replica_proof_pack),
 * or the epoch is disputed.
 * proof saves the signature a second check, here or in replica_apply: zeros at first, or NULL.
 */
enum torg_err replica_head_check(const struct kv *kv, const struct replica_origin *origin,
                                 const struct signed_span *head, struct seal_proof *proof,
                                 struct head *ret_head);
/*
 * The same for a beat. It names no charter, so TORG_E_GAP also when the newest
 * charter does not list its key. TORG_E_UNEXPECTED: it contradicts the head held.
 */
enum torg_err replica_beat_check(const struct kv *kv, const struct replica_origin *origin,
                                 const struct signed_span *beat, struct beat *ret_beat);

/*
 * Fork evidence, [head, other, path], to be applied as PROOF and sent in frames:
 * two signed heads with one (epoch, hno); or a head and a signed beat that names
 * another hash for it; or a head, a later head of its epoch, and the heads on
 * the way down from that (each the prev or the skip of the one before), the last
 * of which names another hash for the first's number.
 */
void replica_proof_pack(const struct signed_span *head, const struct signed_span *other,
                        const struct span *path, size_t path_count, struct buffer *out);
/*
 * The same for two charters with one number, [charter, charter], both signed, as stored. It
 * convicts whoever signed both, if one is held and the other could have come in its place.
 */
void replica_rival_pack(struct span held, struct span rival, struct buffer *out);

/*
 * Does it convict the origin, by the keys that its newest charter lists? Errors are
 * the parser's, seal_verify's, replica_head_check's, charter_check's, TORG_E_INVALID,
 * TORG_E_MISMATCH, TORG_E_TOO_BIG: it does not; TORG_E_GAP: not by the charters that are here;
 * TORG_E_KNOWN: of that number there are two already; and of the store.
 */
enum torg_err replica_proof_check(const struct kv *kv, const struct replica_origin *origin,
                                  struct span proof, uint64_t *ret_epoch);

/*
 * next is what at names as the head before it, or by its jump; TORG_E_MISMATCH if
 * not, TORG_E_INVALID if it is of another origin or epoch, or a parser's error.
 */
enum torg_err replica_path_step(const struct head *at, struct span next, struct head *ret_next);
/*
 * Does something signed contradict what is held? other is a head, newer or
 * older than the one held, or a beat, as it came; path the heads on the way down
 * from a head, each the prev or the skip of the one before (without other
 * itself), at most ANCESTRY_HEADS_MAX. ret_evidence becomes what
 * replica_proof_pack makes, checked as replica_apply checks it, or stays empty:
 * keys that a newer charter has dropped convict nobody, and what is not held, or
 * only by its hash, cannot be compared. An error of replica_path_step when path
 * is none; TORG_E_NOMEM, TORG_E_IO, TORG_E_CORRUPT.
 */
enum torg_err replica_fork_find(const struct kv *kv, const struct replica_origin *origin,
                                const struct signed_span *other, const struct span *path,
                                size_t path_count, struct buffer *ret_evidence);

/* ---- the node's own origin ---- */

struct replica_signer {
    struct secret_key key;
    uint64_t key_no;
};

/* A local write: payload is packed; empty means delete. */
struct local_change {
    uint8_t collection;
    struct listing_id id;
    uint8_t flags; /* of the header: CHANGE_FLAG_CRITICAL; others are signed and carried as well */
    struct span payload;
};

/*
 * One commit of the own origin: numbers, headers, tries, head, signature. An
 * empty commit is allowed. At most one change per (collection, id) and at most
 * COMMIT_CHANGES_MAX, else TORG_E_INVALID before anything is touched; deletes
 * of absent listings are left out. ret_head gets [bin head, bin signature].
 * ts_ms is now_ms, or one more than the last head's if the clock stands behind.
 * Refused before anything is touched, with
 * TORG_E_INVALID     also a collection that the charter does not name;
 * TORG_E_SIGNATURE   the signer is not the key that the newest charter lists;
 * TORG_E_RECOVERING  what is held is not what the own head signs: a new head
 *                    would take the rest back for good;
 * TORG_E_UNEXPECTED  this epoch is disputed;
 * TORG_E_GAP         an own head that the new one must name is not here (ANCESTRY);
 * TORG_E_NOT_FOUND   the own origin has no charter here.
 */
enum torg_err replica_commit_local(struct kv *kv, const struct origin_id *own,
                                   const struct replica_signer *signer,
                                   const struct local_change *changes, size_t count, int64_t now_ms,
                                   const struct replica_observer *observer,
                                   struct buffer *ret_head);
/*
 * The number of the head that the next own head must name and that is not here,
 * so that replica_commit_local would say TORG_E_GAP; 0: there is none. After a
 * recovery from the peers there may be one: ANCESTRY brings it.
 */
enum torg_err replica_next_gap(const struct kv *kv, const struct replica_origin *origin,
                               uint64_t *ret_hno);
/*
 * Is one of the heads that the newest one's skips come by first, or that the
 * next one will skip to, not here? *ret_to is 0 if not, else the number down to
 * which ANCESTRY is to be asked for from the newest head on: the first that the
 * skips come by and that is here, or 1.
 */
enum torg_err replica_ancestry_gap(const struct kv *kv, const struct replica_origin *origin,
                                   uint64_t *ret_to);
/*
 * A new beat of the own origin, stored and appended to ret_beat as it travels.
 * TORG_E_SIGNATURE as above; TORG_E_STALE: the newest beat names a head that is
 * not here, so this store is older than what the origin has published.
 */
enum torg_err replica_beat_local(struct kv *kv, const struct origin_id *own,
                                 const struct replica_signer *signer, uint64_t writer,
                                 uint64_t rival, int64_t now_ms, struct buffer *ret_beat);

/* ---- reading ---- */

enum torg_err replica_origin_get(const struct kv *kv, const struct origin_id *id,
                                 struct replica_origin *ret_origin);
enum torg_err replica_origin_by_number(const struct kv *kv, uint32_t number,
                                       struct replica_origin *ret_origin);
/* The first origin whose id is above after (NULL: the first). TORG_E_NOT_FOUND at the end. */
enum torg_err replica_origin_next(const struct kv *kv, const struct origin_id *after,
                                  struct replica_origin *ret_origin);
/* Collections that are complete as of origin->head. A collection with no listings counts. */
uint32_t replica_complete_mask(const struct replica_origin *origin, uint32_t wanted);

/*
 * When the origin was last heard of, ms UTC: its newest head or beat, but not
 * later than it came here, for a clock that runs ahead makes nothing younger.
 */
int64_t replica_as_of_ms(const struct replica_origin *origin);
/*
 * Has a foreign origin not been heard of for longer than its charter allows? It
 * is still served, marked, and without personal properties (listing_personal.h).
 */
enum torg_err replica_is_expired(const struct kv *kv, const struct replica_origin *origin,
                                 int64_t now_ms, bool *ret_expired);

/* As stored: charter_signed, signed head. Borrowed. */
enum torg_err replica_charter_get(const struct kv *kv, uint32_t number, uint64_t charter_no,
                                  struct span *ret_charter);
enum torg_err replica_head_get(const struct kv *kv, uint32_t number, uint64_t epoch, uint64_t hno,
                               struct span *ret_head);
enum torg_err replica_beat_get(const struct kv *kv, uint32_t number, struct span *ret_beat);
/* The same, parsed; ret_signed may be NULL. TORG_E_CORRUPT, also when a charter that is held is
 * not. */
enum torg_err replica_charter_load(const struct kv *kv, uint32_t number, uint64_t charter_no,
                                   struct charter_signed *ret_signed, struct charter *ret_charter);
/* Collections that the newest charter gives to everybody. Errors as above. */
enum torg_err replica_public_mask(const struct kv *kv, const struct replica_origin *origin,
                                  uint32_t *ret_mask);
/* The number of which two charters are held, and their hashes: the disputed one, else the newest.
 * TORG_E_NOT_FOUND. */
enum torg_err replica_rival_find(const struct kv *kv, const struct replica_origin *origin,
                                 uint64_t *ret_charter_no, struct hash *ret_held,
                                 struct hash *ret_rival);
/* The second charter with one number, and the fork evidence of an epoch. Borrowed. */
enum torg_err replica_charter_rival_get(const struct kv *kv, uint32_t number, uint64_t charter_no,
                                        struct span *ret_charter);
enum torg_err replica_proof_get(const struct kv *kv, uint32_t number, uint64_t epoch,
                                struct span *ret_proof);
/*
 * Is there evidence of two histories in the newest charter's epoch? Then the origin itself may
 * not write on; for two charters it may, and is taken again when the right one is named.
 */
enum torg_err replica_fork_known(const struct kv *kv, const struct replica_origin *origin,
                                 bool *ret_forked);
/* A live listing. ret_payload is empty when the payload is missing here. Borrowed. */
enum torg_err replica_listing_get(const struct kv *kv, uint32_t number, uint8_t collection,
                                  const struct listing_key *key, struct span *ret_header,
                                  struct span *ret_payload);

/* Newest changes with seq > since, ascending by (seq, k), tombstones included; false stops. */
typedef bool replica_change_visit(void *context, const struct listing_key *key,
                                  struct span header_bytes);
enum torg_err replica_changes_since(const struct kv *kv, uint32_t number, uint64_t since,
                                    replica_change_visit *visit, void *context);
/* Live listings of a collection, ascending by k from (and including) from; false stops. */
typedef bool replica_listing_visit(void *context, const struct listing_key *key,
                                   struct span header_bytes, struct span payload);
enum torg_err replica_listings(const struct kv *kv, uint32_t number, uint8_t collection,
                               const struct listing_key *from, replica_listing_visit *visit,
                               void *context);
/* The same as entries of the trie; their hashes are stored, and not computed again. */
typedef bool replica_trie_visit(void *context, const struct trie_entry *entry);
enum torg_err replica_trie_entries(const struct kv *kv, uint32_t number, uint8_t collection,
                                   const struct listing_key *from, replica_trie_visit *visit,
                                   void *context);

/*
 * The stored trie of one collection, for reading: ret_store has no node_put and
 * no node_del. It keeps a cursor, so call done before the transaction ends.
 */
struct replica_trie {
    const struct kv *kv;
    struct kv *writable; /* NULL but inside the replica's own writes */
    uint32_t number;
    uint8_t collection;
    struct kv_cursor *cursor; /* of KV_LIVE, opened when it is first needed */
};
void replica_trie_init(struct replica_trie *trie, const struct kv *kv, uint32_t number,
                       uint8_t collection, struct trie_store *ret_store);
void replica_trie_done(struct replica_trie *trie);

/*
 * Recompute everything of one origin from its listings and heads, and report
 * each difference: charters chain, head signature and chain, trie = rebuilt,
 * held root and counts, byseq = live. report may be called many times.
 */
typedef void replica_verify_report(void *context, const char *what);
enum torg_err replica_verify(const struct kv *kv, const struct replica_origin *origin,
                             replica_verify_report *report, void *context);

#endif
