/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <string.h>

#include "protocol/replica_internal.h"

/* Tombstones, and rows of the log, that one write may drop beyond those that it adds. */
#define TRIM_BUDGET 64

static enum torg_err origin_find(const struct kv *kv, const struct origin_id *id,
                                 struct replica_origin *ret_origin)
{
    enum torg_err err = replica_origin_get(kv, id, ret_origin);

    return err == TORG_E_NOT_FOUND ? TORG_E_GAP : err;
}

/* ---- COMMIT ---- */

/*
 * What any log looks like, before anything is computed: numbers ascend between
 * the state held and the head. After a cut (a new epoch, or the first head)
 * there is no number to begin after; the roots decide.
 */
static enum torg_err commit_entries_check(const struct replica_write *write,
                                          const struct replica_origin *origin,
                                          const struct head *head)
{
    bool goes_on =
        origin->has_head && origin->head.epoch == head->epoch && origin->head.hno < head->hno;
    uint64_t last = goes_on ? origin->head.seq : 0;

    for (size_t i = 0; i < write->entry_count; i++) {
        const struct change_header *header = &write->entries[i].header;

        if (header->seq <= last || header->seq > head->seq)
            return TORG_E_INVALID;
        if (!(write->mask >> header->collection & 1))
            return TORG_E_INVALID;
        last = header->seq;
    }
    return TORG_OK;
}

static enum torg_err commit_write(const struct replica_write *write,
                                  const struct replica_plan *plan, const struct head *head,
                                  struct replica_writing *writing)
{
    struct hash hash = head_hash(write->head.bytes);
    enum torg_err err;

    err = replica_head_write(writing, &write->head, head, &hash, write->now_ms);
    if (!err)
        err = replica_plan_write(plan, writing);
    if (!err && writing->cut)
        err = replica_floor_raise(writing);
    if (!err)
        err = replica_tombstones_trim(writing, write->entry_count + TRIM_BUDGET);
    if (!err)
        err = replica_log_trim(writing, write->entry_count + TRIM_BUDGET);
    if (!err)
        err = replica_origin_save(writing->kv, writing->origin);
    return err;
}

static enum torg_err commit_apply(struct kv *kv, const struct replica_write *write,
                                  const struct replica_observer *observer)
{
    struct replica_origin origin;
    struct replica_writing writing = {.kv = kv, .origin = &origin, .observer = observer};
    struct replica_plan plan = {0};
    struct seal_proof proof = write->head_proof;
    struct head head;
    enum torg_err err;

    err = origin_find(kv, &write->origin, &origin);
    if (!err)
        err = replica_head_check(kv, &origin, &write->head, &proof, &head);
    if (!err)
        err = commit_entries_check(write, &origin, &head);
    if (!err)
        err = replica_plan_init(&plan, write->entry_count);
    if (err)
        goto done;
    for (size_t i = 0; i < write->entry_count; i++)
        replica_plan_add(&plan, write->entries[i].header.collection, &write->entries[i].key,
                         &write->entries[i]);
    err = replica_plan_compute(&plan, kv, &origin);
    if (!err)
        err = replica_plan_prove(&plan, &origin, &head, write->mask & COLLECTION_MASK_ALL);
    if (!err)
        err = commit_write(write, &plan, &head, &writing);
done:
    replica_plan_done(&plan);
    buffer_done(&writing.scratch);
    return err;
}

/* ---- PART ---- */

/* The head of a PART: newer, or the one held as long as that is valid. */
static enum torg_err part_head_check(const struct kv *kv, const struct replica_origin *origin,
                                     const struct replica_write *write, struct head *ret_head,
                                     bool *ret_newer)
{
    struct seal_proof proof = write->head_proof;
    enum torg_err err = replica_head_check(kv, origin, &write->head, &proof, ret_head);

    *ret_newer = err == TORG_OK;
    if (err != TORG_E_KNOWN)
        return err;
    *ret_head = origin->head;
    return replica_held_head_check(kv, origin);
}

static enum torg_err part_entries_check(const struct replica_write *write, const struct head *head)
{
    if (write->collection == 0 || write->collection >= COLLECTIONS_MAX)
        return TORG_E_INVALID;
    for (size_t i = 0; i < write->entry_count; i++) {
        const struct change_header *header = &write->entries[i].header;

        if (header->collection != write->collection || header->op != CHANGE_UPSERT ||
            header->seq > head->seq)
            return TORG_E_INVALID;
    }
    return TORG_OK;
}

static enum torg_err part_write(const struct replica_write *write, const struct replica_plan *plan,
                                const struct head *head, bool newer,
                                struct replica_writing *writing)
{
    struct replica_origin *origin = writing->origin;
    struct trie_root root = replica_plan_root(plan, origin, write->collection);
    bool changes =
        memcmp(&root.digest, &origin->held[write->collection].digest, sizeof(root.digest)) != 0;
    enum torg_err err = TORG_OK;

    if (newer) {
        struct hash hash = head_hash(write->head.bytes);

        err = replica_head_write(writing, &write->head, head, &hash, write->now_ms);
    }
    if (!err && (newer || changes))
        err = replica_floor_raise(writing);
    if (!err)
        err = replica_plan_write(plan, writing);
    if (!err)
        err = replica_log_trim(writing, write->entry_count + TRIM_BUDGET);
    if (!err)
        err = replica_origin_save(writing->kv, origin);
    return err;
}

static enum torg_err part_apply(struct kv *kv, const struct replica_write *write,
                                const struct replica_observer *observer)
{
    struct replica_origin origin;
    struct replica_writing writing = {.kv = kv, .origin = &origin, .observer = observer};
    struct replica_plan plan = {0};
    struct head head;
    bool newer = false;
    enum torg_err err;

    err = origin_find(kv, &write->origin, &origin);
    if (!err)
        err = part_head_check(kv, &origin, write, &head, &newer);
    if (!err)
        err = part_entries_check(write, &head);
    if (!err && !newer && write->entry_count == 0 && write->removed_count == 0)
        err = TORG_E_KNOWN;
    if (!err && write->removed_count > SIZE_MAX - write->entry_count)
        err = TORG_E_TOO_BIG;
    if (!err)
        err = replica_plan_init(&plan, write->entry_count + write->removed_count);
    if (err)
        goto done;
    for (size_t i = 0; i < write->entry_count; i++)
        replica_plan_add(&plan, write->collection, &write->entries[i].key, &write->entries[i]);
    for (size_t i = 0; i < write->removed_count; i++)
        replica_plan_add(&plan, write->collection, &write->removed[i], NULL);
    err = replica_plan_compute(&plan, kv, &origin);
    if (!err)
        err = part_write(write, &plan, &head, newer, &writing);
done:
    replica_plan_done(&plan);
    buffer_done(&writing.scratch);
    return err;
}

/* ---- PAYLOADS ---- */

static enum torg_err payloads_apply(struct kv *kv, const struct replica_write *write,
                                    const struct replica_observer *observer)
{
    struct replica_origin origin;
    struct replica_writing writing = {.kv = kv, .origin = &origin, .observer = observer};
    size_t written = 0;
    enum torg_err err = origin_find(kv, &write->origin, &origin);

    for (size_t i = 0; i < write->entry_count && !err; i++) {
        bool one = false;

        if (write->entries[i].payload.size)
            err = replica_payload_write(&writing, &write->entries[i], &one);
        written += one;
    }
    if (!err)
        err = written ? replica_origin_save(kv, &origin) : TORG_E_KNOWN;
    buffer_done(&writing.scratch);
    return err;
}

/* ---- BEAT, PROOF ---- */

static enum torg_err beat_apply(struct kv *kv, const struct replica_write *write)
{
    struct replica_origin origin;
    struct replica_key key;
    struct buffer value = {0};
    struct beat beat;
    enum torg_err err;

    err = origin_find(kv, &write->origin, &origin);
    if (!err)
        err = replica_beat_check(kv, &origin, &write->beat, &beat);
    if (err)
        return err;
    key = replica_key_beat(origin.number);
    signed_pack(write->beat.bytes, &write->beat.signature, &value);
    err = value.err;
    if (!err)
        err = kv_put(kv, KV_ORIGIN, replica_key_span(&key), buffer_span(&value));
    buffer_done(&value);
    if (err)
        return err;
    origin.received_ms = write->now_ms;
    return replica_origin_save(kv, &origin);
}

/* The first epoch from *epoch on, but below end, whose evidence is kept whole. TORG_E_NOT_FOUND. */
static enum torg_err proof_whole(const struct kv *kv, uint32_t number, uint64_t end,
                                 uint64_t *epoch)
{
    struct replica_key from = replica_key_proof(number, *epoch);
    struct replica_key until = replica_key_proof(number, end);
    struct kv_cursor *cursor;
    struct span key, value;
    enum torg_err err = kv_cursor_open(kv, KV_PROOF, &cursor);

    if (err)
        return err;
    err = kv_cursor_seek(kv, cursor, replica_key_span(&from), &key, &value);
    while (!err) {
        if (key.size != until.size || memcmp(key.data, until.bytes, key.size) >= 0)
            err = TORG_E_NOT_FOUND;
        if (err || value.size > 0)
            break;
        err = kv_cursor_next(kv, cursor, &key, &value);
    }
    if (!err)
        *epoch = get_u64be(key.data + key.size - 8);
    kv_cursor_close(kv, cursor);
    return err;
}

/*
 * Nobody is told of a fork that a later epoch has healed: that there was one is enough. Else an
 * origin could fill the store with evidence, an epoch after the other.
 */
static enum torg_err proofs_shorten(struct kv *kv, uint32_t number, uint64_t end)
{
    uint64_t epoch = 0;
    enum torg_err err;

    while ((err = proof_whole(kv, number, end, &epoch)) == TORG_OK) {
        struct replica_key key = replica_key_proof(number, epoch);

        err = kv_put(kv, KV_PROOF, replica_key_span(&key), (struct span){0});
        if (err)
            return err;
    }
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

static enum torg_err proof_put(struct kv *kv, const struct replica_origin *origin, uint64_t epoch,
                               struct span proof)
{
    struct replica_key key = replica_key_proof(origin->number, epoch);
    enum torg_err err = proofs_shorten(kv, origin->number, epoch);

    return err ? err : kv_put(kv, KV_PROOF, replica_key_span(&key), proof);
}

static enum torg_err proof_apply(struct kv *kv, const struct replica_write *write)
{
    static const struct hash none;
    bool names = memcmp(&write->charter, &none, sizeof(none)) != 0;
    struct replica_origin origin;
    bool of_charters = replica_rival_is(write->proof), known;
    struct span held;
    uint64_t epoch = 0;
    enum torg_err err;

    err = origin_find(kv, &write->origin, &origin);
    if (!err)
        err = replica_proof_check(kv, &origin, write->proof, &epoch);
    if (err && !(err == TORG_E_KNOWN && of_charters && names))
        return err; /* else it is judged again, for it may be the one that is named */
    err = replica_proof_get(kv, origin.number, epoch, &held);
    if (err && err != TORG_E_NOT_FOUND)
        return err;
    /* One for each epoch is enough, of two histories rather than of two charters. */
    known = !err && (of_charters || !replica_rival_is(held));
    if (known && !of_charters)
        return TORG_E_KNOWN;
    err = of_charters
              ? replica_rival_keep(kv, &origin, write->proof, names ? &write->charter : NULL)
              : TORG_OK;
    if (!err && !known)
        err = proof_put(kv, &origin, epoch, write->proof);
    if (err)
        return err;
    origin.flags |= REPLICA_FLAG_DISPUTED;
    origin.unproven_hno = 0; /* it is shown not to descend from what was held */
    return replica_origin_save(kv, &origin);
}

/* ---- ANCESTRY ---- */

/* An ancestor has no signature of its own here: a later head's, over its hash, stands for it. */
static enum torg_err ancestor_put(struct kv *kv, uint32_t number, const struct head *head,
                                  struct span bytes)
{
    static const struct signature none;
    struct replica_key key = replica_key_head(number, head->epoch, head->hno);
    struct buffer value = {0};
    enum torg_err err;

    signed_pack(bytes, &none, &value);
    err = value.err;
    if (!err)
        err = kv_put(kv, KV_HEAD, replica_key_span(&key), buffer_span(&value));
    buffer_done(&value);
    return err;
}

static bool holds_head(struct span stored, struct span bytes)
{
    struct signed_span held;

    return !replica_signed_read(stored, HEAD_BYTES_MAX, &held) && span_equal(held.bytes, bytes);
}

/*
 * Walk the path; write what is missing, or only judge when kv is NULL. Does it come by the
 * head that was held before?
 */
static enum torg_err ancestry_walk(const struct kv *read, struct kv *kv,
                                   const struct replica_origin *origin,
                                   const struct replica_write *write, size_t *ret_missing,
                                   bool *ret_proves)
{
    struct head at = origin->head;

    *ret_missing = 0;
    *ret_proves = false;
    for (size_t i = 0; i < write->ancestry_count; i++) {
        struct span held;
        enum torg_err err = replica_path_step(&at, write->ancestry[i], &at);

        if (err)
            return err;
        err = replica_head_get(read, origin->number, at.epoch, at.hno, &held);
        if (!err && holds_head(held, write->ancestry[i])) {
            *ret_proves = *ret_proves || at.hno == origin->unproven_hno;
            continue;
        }
        if (!err || err == TORG_E_NOT_FOUND)
            err = kv ? ancestor_put(kv, origin->number, &at, write->ancestry[i]) : TORG_OK;
        if (err)
            return err;
        ++*ret_missing;
    }
    return TORG_OK;
}

static enum torg_err ancestry_apply(struct kv *kv, const struct replica_write *write)
{
    struct replica_origin origin;
    bool proves;
    size_t missing;
    enum torg_err err = origin_find(kv, &write->origin, &origin);

    if (err)
        return err;
    if (!origin.has_head)
        return TORG_E_GAP;
    if (write->ancestry_count > ANCESTRY_HEADS_MAX)
        return TORG_E_TOO_BIG;
    err = ancestry_walk(kv, NULL, &origin, write, &missing, &proves);
    if (!err && missing == 0 && !proves)
        err = TORG_E_KNOWN;
    if (err)
        return err;
    err = ancestry_walk(kv, kv, &origin, write, &missing, &proves);
    if (err || !proves)
        return err;
    /* Another one may have been held since, and the path have passed it by. */
    err = replica_fork_unshown(kv, &origin, origin.unproven_hno, &origin.unproven_hno);
    return err ? err : replica_origin_save(kv, &origin);
}

/* ---- FAULTY ---- */

static enum torg_err faulty_apply(struct kv *kv, const struct replica_write *write)
{
    struct replica_origin origin;
    struct head head;
    bool newer;
    enum torg_err err;

    err = origin_find(kv, &write->origin, &origin);
    if (!err)
        err = part_head_check(kv, &origin, write, &head, &newer);
    if (err)
        return err;
    if (origin.flags & REPLICA_FLAG_FAULTY)
        return TORG_E_KNOWN;
    origin.flags |= REPLICA_FLAG_FAULTY;
    return replica_origin_save(kv, &origin);
}

enum torg_err replica_apply(struct kv *kv, const struct replica_write *write,
                            const struct replica_observer *observer)
{
    switch (write->kind) {
    case REPLICA_WRITE_CHARTERS:
        return replica_charters_apply(kv, write, observer);
    case REPLICA_WRITE_SETTLE:
        return replica_settle_apply(kv, write, observer);
    case REPLICA_WRITE_COMMIT:
        return commit_apply(kv, write, observer);
    case REPLICA_WRITE_PART:
        return part_apply(kv, write, observer);
    case REPLICA_WRITE_PAYLOADS:
        return payloads_apply(kv, write, observer);
    case REPLICA_WRITE_BEAT:
        return beat_apply(kv, write);
    case REPLICA_WRITE_PROOF:
        return proof_apply(kv, write);
    case REPLICA_WRITE_ANCESTRY:
        return ancestry_apply(kv, write);
    case REPLICA_WRITE_FAULTY:
        return faulty_apply(kv, write);
    case REPLICA_WRITE_DROP:
        return replica_drop_apply(kv, write, observer);
    }
    assert(false);
    return TORG_E_INTERNAL;
}
