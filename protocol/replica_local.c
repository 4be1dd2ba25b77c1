/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdlib.h>
#include <string.h>

#include "protocol/replica_internal.h"

/* A commit on its way: what is read and made before the first write. */
struct local_commit {
    struct replica_origin origin;
    struct charter charter;
    struct head head;         /* the one to be signed */
    struct buffer headers;    /* never grows after it was reserved: entries point into it */
    struct buffer head_bytes; /* the new head, packed */
    struct replica_entry *entries;
    size_t entry_count;
    struct replica_plan plan;
};

/* ---- may this key speak, and go on from what is held? ---- */

/* The signing key must be the one that the newest charter lists under its number. */
static enum torg_err signer_check(const struct kv *kv, const struct replica_origin *origin,
                                  const struct replica_signer *signer)
{
    struct public_key own = seal_public_key(&signer->key);
    struct public_key listed;
    enum torg_err err =
        replica_authority(kv, origin, origin->charter_epoch, signer->key_no, &listed);

    if (err)
        return err;
    return memcmp(&own, &listed, sizeof(own)) ? TORG_E_SIGNATURE : TORG_OK;
}

/*
 * A head over a part of the state would take everything else back, for good;
 * so would one beside a head of the same number.
 */
static enum torg_err ready_check(const struct kv *kv, const struct replica_origin *origin)
{
    bool forked = false;
    enum torg_err err;

    if (origin->has_head &&
        replica_complete_mask(origin, COLLECTION_MASK_ALL) != COLLECTION_MASK_ALL)
        return TORG_E_RECOVERING;
    err = replica_fork_known(kv, origin, &forked);
    return !err && forked ? TORG_E_UNEXPECTED : err;
}

/* The hash of the own head of that number; number 0 is the charter that opened the epoch. */
static enum torg_err ancestor_hash(const struct kv *kv, const struct replica_origin *origin,
                                   uint64_t hno, struct hash *ret_hash)
{
    struct signed_span object;
    struct span value;
    enum torg_err err;

    if (hno == 0) {
        *ret_hash = origin->epoch_hash;
        return TORG_OK;
    }
    if (hno == origin->head.hno) {
        *ret_hash = origin->head_hash;
        return TORG_OK;
    }
    err = replica_head_get(kv, origin->number, origin->charter_epoch, hno, &value);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_GAP : err;
    err = replica_signed_read(value, HEAD_BYTES_MAX, &object);
    if (!err)
        *ret_hash = head_hash(object.bytes);
    return err;
}

enum torg_err replica_next_gap(const struct kv *kv, const struct replica_origin *origin,
                               uint64_t *ret_hno)
{
    struct hash unused;
    uint64_t hno = 0;
    enum torg_err err = TORG_OK;

    if (origin->has_head && origin->head.epoch == origin->charter_epoch)
        hno = head_jump(origin->head.hno + 1);
    if (hno)
        err = ancestor_hash(kv, origin, hno, &unused);
    if (err && err != TORG_E_GAP)
        return err;
    *ret_hno = err ? hno : 0;
    return TORG_OK;
}

static enum torg_err ancestor_is_held(const struct kv *kv, const struct replica_origin *origin,
                                      uint64_t hno, bool *ret_held)
{
    struct span head;
    enum torg_err err = TORG_OK;

    if (hno > 0 && hno != origin->head.hno)
        err = replica_head_get(kv, origin->number, origin->head.epoch, hno, &head);
    *ret_held = !err;
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

enum torg_err replica_ancestry_gap(const struct kv *kv, const struct replica_origin *origin,
                                   uint64_t *ret_to)
{
    uint64_t at = head_jump(origin->head.hno);
    bool held = true, next_held = true;
    enum torg_err err = TORG_OK;

    *ret_to = 0;
    if (!origin->has_head)
        return TORG_OK;
    err = ancestor_is_held(kv, origin, at, &held);
    if (!err)
        err = ancestor_is_held(kv, origin, head_jump(origin->head.hno + 1), &next_held);
    if (err || (held && next_held))
        return err;
    /* Where the first is held and the second not, an earlier answer ended between them. */
    for (held = false; at > 0 && !held && !err;) {
        at = head_jump(at);
        err = ancestor_is_held(kv, origin, at, &held);
    }
    *ret_to = at > 0 ? at : 1;
    return err;
}

/* A clock that stands behind must not make time go back. */
static enum torg_err time_after(int64_t now_ms, int64_t last_ms, int64_t *ret_ms)
{
    int64_t ms = now_ms > last_ms ? now_ms : last_ms + 1;

    if (ms > INTEGER_MAX || ms < -INTEGER_MAX)
        return TORG_E_INVALID;
    *ret_ms = ms;
    return TORG_OK;
}

/* Everything of the new head but seq and states. */
static enum torg_err head_begin(const struct kv *kv, struct local_commit *commit, uint64_t key_no,
                                int64_t now_ms)
{
    const struct replica_origin *origin = &commit->origin;
    bool goes_on = origin->has_head && origin->head.epoch == origin->charter_epoch;
    struct head *head = &commit->head;
    enum torg_err err;

    head->origin = origin->id;
    head->epoch = origin->charter_epoch;
    head->hno = goes_on ? origin->head.hno + 1 : 1;
    /* In a new epoch, too, numbers go on: above every live header's. */
    head->seq = origin->has_head ? origin->head.seq : 0;
    head->charter_no = origin->charter_no;
    head->key_no = key_no;
    if (head->hno > INTEGER_MAX || head->seq > INTEGER_MAX - COMMIT_CHANGES_MAX)
        return TORG_E_TOO_BIG;
    err = origin->has_head ? time_after(now_ms, origin->head.ts_ms, &head->ts_ms)
                           : time_after(now_ms, INT64_MIN, &head->ts_ms);
    if (!err)
        err = ancestor_hash(kv, origin, head->hno - 1, &head->prev);
    if (!err)
        err = ancestor_hash(kv, origin, head_jump(head->hno), &head->skip);
    return err;
}

/* ---- changes ---- */

static enum torg_err change_check(const struct charter *charter, const struct local_change *change)
{
    if (change->collection == 0 || change->collection >= COLLECTIONS_MAX)
        return TORG_E_INVALID;
    /* What the charter does not name must not leave the node; a head would carry it out. */
    if (charter->visibility[change->collection] == VISIBILITY_LOCAL)
        return TORG_E_INVALID;
    return change->payload.size > PAYLOAD_BYTES_MAX ? TORG_E_INVALID : TORG_OK;
}

/* Give change the next number and make its header. */
static void entry_make(struct local_commit *commit, const struct local_change *change,
                       const struct listing_key *key)
{
    struct replica_entry *entry = &commit->entries[commit->entry_count++];
    struct change_header *header = &entry->header;
    size_t before = commit->headers.size;

    header->seq = ++commit->head.seq;
    header->collection = change->collection;
    header->id = change->id;
    header->op = change->payload.size ? CHANGE_UPSERT : CHANGE_DELETE;
    header->ts_ms = commit->head.ts_ms;
    header->flags = change->flags;
    header->payload_size = (uint32_t)change->payload.size;
    if (change->payload.size)
        header->payload_hash = payload_hash(change->payload);
    change_header_pack(header, &commit->headers);
    entry->header_bytes = span_of(commit->headers.data + before, commit->headers.size - before);
    entry->payload = change->payload;
    entry->header_hash = change_header_hash(entry->header_bytes);
    entry->key = *key;
}

static enum torg_err listing_is_held(const struct kv *kv, uint32_t number, uint8_t collection,
                                     const struct listing_key *key, bool *ret_held)
{
    struct span header, payload;
    enum torg_err err = replica_listing_get(kv, number, collection, key, &header, &payload);

    if (err && err != TORG_E_NOT_FOUND)
        return err;
    *ret_held = !err;
    return TORG_OK;
}

static enum torg_err entries_make(const struct kv *kv, struct local_commit *commit,
                                  const struct local_change *changes, size_t count)
{
    enum torg_err err;

    commit->entries = calloc(count ? count : 1, sizeof(*commit->entries));
    if (!commit->entries)
        return TORG_E_NOMEM;
    err = replica_plan_init(&commit->plan, count);
    if (!err)
        err = buffer_reserve(&commit->headers, count * HEADER_BYTES_MAX);
    for (size_t i = 0; i < count && !err; i++) {
        struct listing_key key = listing_key_of(&changes[i].id);
        bool wanted = true;

        err = change_check(&commit->charter, &changes[i]);
        if (!err && changes[i].payload.size == 0)
            err = listing_is_held(kv, commit->origin.number, changes[i].collection, &key, &wanted);
        if (!err && wanted)
            entry_make(commit, &changes[i], &key);
        /* One that is left out is planned all the same: a second change of it is an error. */
        if (!err)
            replica_plan_add(&commit->plan, changes[i].collection, &key,
                             wanted ? &commit->entries[commit->entry_count - 1] : NULL);
    }
    return err ? err : commit->headers.err;
}

static void head_states_fill(struct local_commit *commit)
{
    struct head *head = &commit->head;

    for (unsigned i = 1; i < COLLECTIONS_MAX; i++) {
        struct trie_root root = replica_plan_root(&commit->plan, &commit->origin, (uint8_t)i);

        if (root.count == 0)
            continue;
        head->states[head->state_count++] =
            (struct head_state){.collection = (uint8_t)i, .count = root.count, .root = root.digest};
    }
}

/* ---- the commit ---- */

/* Everything but the writing: what goes wrong here leaves the transaction as it was. */
static enum torg_err commit_prepare(const struct kv *kv, struct local_commit *commit,
                                    const struct replica_signer *signer,
                                    const struct local_change *changes, size_t count,
                                    int64_t now_ms)
{
    struct replica_origin *origin = &commit->origin;
    enum torg_err err = signer_check(kv, origin, signer);

    if (!err)
        err = ready_check(kv, origin);
    if (!err)
        err = replica_charter_load(kv, origin->number, origin->charter_no, NULL, &commit->charter);
    if (!err)
        err = head_begin(kv, commit, signer->key_no, now_ms);
    if (!err)
        err = entries_make(kv, commit, changes, count);
    if (!err)
        err = replica_plan_compute(&commit->plan, kv, origin);
    if (err)
        return err;
    head_states_fill(commit);
    head_pack(&commit->head, &commit->head_bytes);
    return commit->head_bytes.err;
}

static enum torg_err commit_write(struct kv *kv, struct local_commit *commit,
                                  const struct signed_span *head, int64_t now_ms,
                                  const struct replica_observer *observer)
{
    struct replica_writing writing = {.kv = kv, .origin = &commit->origin, .observer = observer};
    struct hash hash = head_hash(head->bytes);
    enum torg_err err;

    commit->origin.flags |= REPLICA_FLAG_OWN;
    err = replica_head_write(&writing, head, &commit->head, &hash, now_ms);
    commit->origin.unproven_hno = 0; /* who signs it says what it descends from */
    if (!err)
        err = replica_plan_write(&commit->plan, &writing);
    if (!err && writing.cut)
        err = replica_floor_raise(&writing);
    if (!err)
        err = replica_tombstones_trim(&writing, commit->entry_count);
    if (!err)
        err = replica_log_trim(&writing, commit->entry_count);
    if (!err)
        err = replica_origin_save(kv, &commit->origin);
    buffer_done(&writing.scratch);
    return err;
}

enum torg_err replica_commit_local(struct kv *kv, const struct origin_id *own,
                                   const struct replica_signer *signer,
                                   const struct local_change *changes, size_t count, int64_t now_ms,
                                   const struct replica_observer *observer, struct buffer *ret_head)
{
    struct local_commit commit = {0};
    struct signed_span head;
    enum torg_err err;

    if (count > COMMIT_CHANGES_MAX)
        return TORG_E_INVALID;
    err = buffer_reserve(ret_head, HEAD_BYTES_MAX + sizeof(struct signature) + 16);
    if (!err)
        err = replica_origin_get(kv, own, &commit.origin);
    if (!err)
        err = commit_prepare(kv, &commit, signer, changes, count, now_ms);
    if (err)
        goto done;
    head.bytes = buffer_span(&commit.head_bytes);
    head.signature = seal_sign(DOMAIN_HEAD, head.bytes, &signer->key);
    err = commit_write(kv, &commit, &head, now_ms, observer);
    if (!err)
        signed_pack(head.bytes, &head.signature, ret_head);
done:
    replica_plan_done(&commit.plan);
    buffer_done(&commit.head_bytes);
    buffer_done(&commit.headers);
    free(commit.entries);
    return err;
}

/* ---- the beat ---- */

/* Under the newest charter: the newest head of its epoch, or number 0 when there is none yet. */
static enum torg_err beat_make(const struct replica_origin *origin, uint64_t key_no,
                               uint64_t writer, uint64_t rival, int64_t now_ms,
                               struct beat *ret_beat)
{
    bool has_head = origin->has_head && origin->head.epoch == origin->charter_epoch;
    struct beat beat = {.origin = origin->id,
                        .epoch = origin->charter_epoch,
                        .hno = has_head ? origin->head.hno : 0,
                        .head_hash = has_head ? origin->head_hash : origin->epoch_hash,
                        .writer = writer,
                        .rival = rival,
                        .key_no = key_no};
    enum torg_err err;

    if (writer > INTEGER_MAX || rival > INTEGER_MAX)
        return TORG_E_INVALID;
    /* A beat of a head that is not here: this database is older than what it published. */
    if (origin->has_beat && (origin->beat.epoch > beat.epoch ||
                             (origin->beat.epoch == beat.epoch && origin->beat.hno > beat.hno)))
        return TORG_E_STALE;
    /* A beat from before the charter must not hold the first after it back. */
    err = time_after(now_ms, origin->has_beat ? origin->beat.ts_ms : INT64_MIN, &beat.ts_ms);
    if (!err)
        *ret_beat = beat;
    return err;
}

enum torg_err replica_beat_local(struct kv *kv, const struct origin_id *own,
                                 const struct replica_signer *signer, uint64_t writer,
                                 uint64_t rival, int64_t now_ms, struct buffer *ret_beat)
{
    struct replica_origin origin;
    struct buffer bytes = {0}, value = {0};
    struct replica_key key;
    struct signature signature;
    struct beat beat;
    enum torg_err err;

    err = replica_origin_get(kv, own, &origin);
    if (!err)
        err = signer_check(kv, &origin, signer);
    if (!err)
        err = beat_make(&origin, signer->key_no, writer, rival, now_ms, &beat);
    if (err)
        return err;
    beat_pack(&beat, &bytes);
    err = bytes.err;
    if (err)
        goto done;
    signature = seal_sign(DOMAIN_BEAT, buffer_span(&bytes), &signer->key);
    signed_pack(buffer_span(&bytes), &signature, &value);
    err = value.err ? value.err : buffer_reserve(ret_beat, value.size);
    if (err)
        goto done;
    key = replica_key_beat(origin.number);
    err = kv_put(kv, KV_ORIGIN, replica_key_span(&key), buffer_span(&value));
    origin.received_ms = now_ms;
    if (!err)
        err = replica_origin_save(kv, &origin);
    if (!err)
        buffer_put_span(ret_beat, buffer_span(&value));
done:
    buffer_done(&bytes);
    buffer_done(&value);
    return err;
}
