/* SPDX-License-Identifier: EUPL-1.2 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/sync_internal.h"

int sync_number_compare(uint64_t epoch_a, uint64_t hno_a, uint64_t epoch_b, uint64_t hno_b)
{
    if (epoch_a != epoch_b)
        return epoch_a < epoch_b ? -1 : 1;
    if (hno_a != hno_b)
        return hno_a < hno_b ? -1 : 1;
    return 0;
}

uint32_t sync_origin_index(const struct sync *sync, const struct origin_id *id)
{
    uint32_t low = 0, high = sync->origin_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = memcmp(sync->origins[middle].id.bytes, id->bytes, sizeof(id->bytes));

        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return SYNC_NONE;
}

bool sync_origin_whole(const struct sync_origin *origin)
{
    return origin->complete == origin->wanted;
}

void sync_origin_attend(struct sync *sync, uint32_t index)
{
    if (sync->origins[index].attention)
        return;
    sync->origins[index].attention = true;
    sync->attention[sync->attention_count++] = index;
}

void sync_origin_attend_all(struct sync *sync)
{
    for (uint32_t i = 0; i < sync->origin_count; i++)
        sync_origin_attend(sync, i);
}

void sync_origin_attend_at(struct sync *sync, uint32_t index, int64_t at_ms)
{
    if (at_ms < sync->origins[index].due_ms)
        sync->origins[index].due_ms = at_ms;
    if (at_ms < sync->origins_due_ms)
        sync->origins_due_ms = at_ms;
}

/* What the newest charter says about who may hold what, and which nodes are the origin's. */
static enum torg_err take_charter(struct sync *sync, const struct replica_origin *record,
                                  struct sync_origin *origin)
{
    struct charter_signed charter_signed;
    struct public_key *node_keys;
    struct charter charter;
    struct span stored;
    enum torg_err err;

    err = replica_charter_get(sync->read, record->number, record->charter_no, &stored);
    if (!err)
        err = charter_signed_parse(stored, &charter_signed);
    if (!err)
        err = charter_parse(charter_signed.bytes, &charter);
    if (err)
        return err == TORG_E_NOMEM ? err : TORG_E_CORRUPT;
    node_keys = calloc(charter.node_key_count + 1u, sizeof(*node_keys));
    if (!node_keys)
        return TORG_E_NOMEM;
    sync_visible_charter(sync, origin, &charter);
    memcpy(node_keys, charter.node_keys, charter.node_key_count * sizeof(*node_keys));
    free(origin->node_keys);
    origin->node_keys = node_keys;
    origin->node_key_count = charter.node_key_count;
    origin->has_catalogue = charter.has_catalogue;
    origin->catalogue = charter.catalogue;
    origin->public_mask = 0;
    origin->members_mask = 0;
    for (unsigned c = 1; c < COLLECTIONS_MAX; c++) {
        if (charter.visibility[c] == VISIBILITY_PUBLIC)
            origin->public_mask |= UINT32_C(1) << c;
        if (charter.visibility[c] == VISIBILITY_MEMBERS)
            origin->members_mask |= UINT32_C(1) << c;
    }
    return TORG_OK;
}

/* A path to the head that was held before is wanted while that is not shown to be its ancestor. */
static void ancestry_note(struct sync_origin *origin, const struct replica_origin *record)
{
    if (!origin->has_head || !record->has_head || record->head.epoch != origin->epoch) {
        origin->look_hno = 0;
        buffer_clear(&origin->suspect);
    }
    if (record->unproven_hno && !origin->unproven_hno) {
        origin->ancestry_failures = 0;
        origin->ancestry_retry_ms = 0;
    }
    origin->unproven_hno = record->unproven_hno;
}

static void take_head(struct sync_origin *origin, const struct replica_origin *record)
{
    ancestry_note(origin, record);
    if (record->has_head && sync_number_compare(origin->epoch, origin->hno, record->head.epoch,
                                                record->head.hno) != 0) {
        origin->behind_since_ms = -1; /* it moves: the wait for a batch begins anew */
        origin->gapless = false;
    }
    origin->has_head = record->has_head;
    origin->epoch = record->has_head ? record->head.epoch : 0;
    origin->hno = record->has_head ? record->head.hno : 0;
    origin->seq = record->has_head ? record->head.seq : 0;
    origin->head_charter_no = record->has_head ? record->head.charter_no : 0;
    origin->head_hash = record->has_head ? record->head_hash : (struct hash){0};
    if (origin->pending == 0) {
        origin->expected_epoch = origin->epoch;
        origin->expected_hno = origin->hno;
    }
}

static uint64_t missing_of(const struct replica_origin *record)
{
    uint64_t missing = 0;

    for (unsigned c = 1; c < COLLECTIONS_MAX; c++)
        missing += record->missing[c];
    return missing;
}

static uint32_t held_of(const struct replica_origin *record)
{
    uint32_t mask = 0;

    for (unsigned c = 1; c < COLLECTIONS_MAX; c++)
        mask |= record->held[c].count ? UINT32_C(1) << c : 0;
    return mask;
}

static bool is_charter(const struct sync_origin *origin, const struct hash *hash)
{
    return memcmp(&origin->charter_hash, hash, sizeof(*hash)) == 0;
}

static enum torg_err take_record(struct sync *sync, struct sync_origin *origin,
                                 const struct replica_origin *record)
{
    uint32_t visible = 0, perhaps = 0;
    enum torg_err err = TORG_OK;

    if (!origin->known || !is_charter(origin, &record->charter_hash))
        err = take_charter(sync, record, origin);
    sync_visible_look(sync, origin, record);
    if (!err)
        err = sync_visible_here(sync, origin, &visible, &perhaps);
    if (err)
        return err;
    origin->known = true;
    origin->number = record->number;
    origin->charter_no = record->charter_no;
    origin->charter_hash = record->charter_hash;
    origin->charter_epoch = record->charter_epoch;
    if (record->flags & ~origin->flags & REPLICA_FLAG_DISPUTED)
        sync_charters_unsettled(origin); /* by evidence, or by a charter that was fetched */
    origin->flags = record->flags;
    take_head(origin, record);
    origin->wanted = visible & origin->subscribed;
    origin->unwanted =
        origin->own ? 0 : held_of(record) & ~((visible | perhaps) & origin->subscribed);
    origin->complete = replica_complete_mask(record, origin->wanted);
    origin->missing = missing_of(record);
    origin->beat_epoch = record->has_beat ? record->beat.epoch : 0;
    origin->beat_hno = record->has_beat ? record->beat.hno : 0;
    origin->beat_ts_ms = record->has_beat ? record->beat.ts_ms : 0;
    return TORG_OK;
}

/* More is wanted: a head of which nothing more was needed may have the rest. */
static void rows_useful(struct sync *sync, uint32_t index)
{
    for (uint32_t i = 0; i < sync->peer_count; i++) {
        if (sync->peers[i].rows)
            sync->peers[i].rows[index].useless = false;
    }
}

/* Another charter, or no dispute any more: heads that could not be taken may be valid now. */
static void rows_reconsider(struct sync *sync, uint32_t index)
{
    for (uint32_t i = 0; i < sync->peer_count; i++) {
        if (!sync->peers[i].rows)
            continue;
        sync->peers[i].rows[index].useless = false;
        sync->peers[i].rows[index].too_large = false;
        sync->peers[i].rows[index].charters_doubted = false;
        sync->peers[i].rows[index].differs_until_ms = 0;
    }
}

void sync_origin_compare(struct sync *sync, uint32_t index, struct sync_row *row)
{
    const struct sync_origin *origin = &sync->origins[index];
    int64_t since_ms = row->unplaced_ms ? row->unplaced_ms : sync->now_ms;
    struct span stored;
    struct hash hash;
    enum torg_err err;

    row->contradicts = false;
    row->unplaced_ms = 0;
    if (!origin->has_head || row->epoch != origin->epoch || row->hno == 0 ||
        row->hno >= origin->hno)
        return;
    err = replica_head_get(sync->read, origin->number, row->epoch, row->hno, &stored);
    if (err == TORG_E_NOT_FOUND && !origin->own) {
        row->unplaced_ms = since_ms;
        sync_origin_attend_at(sync, index, since_ms + SYNC_UNPLACED_MS);
    }
    if (err)
        return;
    hash = head_hash(frame_head(stored).bytes);
    row->contradicts = memcmp(row->head_hash, hash.bytes, sizeof(row->head_hash)) != 0;
}

void sync_origin_compare_unplaced(struct sync *sync, uint32_t index)
{
    for (uint32_t i = 0; i < sync->peer_count; i++) {
        struct sync_row *row = sync->peers[i].rows ? &sync->peers[i].rows[index] : NULL;

        if (row && row->claimed && row->unplaced_ms)
            sync_origin_compare(sync, index, row);
    }
}

/*
 * The head moved on, past what peers claim: their claims, which until now said
 * nothing about what is held, may name another head than the one that is here.
 */
static void rows_compare(struct sync *sync, uint32_t index, const struct sync_origin *before)
{
    const struct sync_origin *origin = &sync->origins[index];

    for (uint32_t i = 0; i < sync->peer_count; i++) {
        struct sync_row *row = sync->peers[i].rows ? &sync->peers[i].rows[index] : NULL;

        if (!row || !row->claimed || row->contradicts)
            continue;
        if (row->epoch == before->epoch && row->hno < before->hno)
            continue; /* compared when it came, or then */
        if (before->has_head && row->epoch == before->epoch && row->hno == before->hno)
            row->contradicts =
                origin->epoch == before->epoch &&
                memcmp(row->head_hash, before->head_hash.bytes, sizeof(row->head_hash)) != 0;
        else
            sync_origin_compare(sync, index, row);
    }
}

enum torg_err sync_origin_refresh(struct sync *sync, uint32_t index)
{
    struct sync_origin *origin = &sync->origins[index];
    struct sync_origin before = *origin;
    struct replica_origin record;
    enum torg_err err;

    origin->unread = false;
    err = replica_origin_get(sync->read, &origin->id, &record);
    if (err == TORG_E_NOT_FOUND)
        return TORG_OK;
    if (!err)
        err = take_record(sync, origin, &record);
    if (!err)
        sync_members_look(sync, origin);
    if (err) {
        origin->unread = true;
        sync_origin_attend_at(sync, index, sync->now_ms + SYNC_DIAL_MS_MIN);
        return err;
    }
    if (!is_charter(origin, &before.charter_hash))
        sync_quota_forget(origin);
    if (!is_charter(origin, &before.charter_hash) ||
        before.flags & ~origin->flags & REPLICA_FLAG_DISPUTED)
        rows_reconsider(sync, index);
    if (origin->wanted & ~before.wanted)
        rows_useful(sync, index);
    if (before.epoch != origin->epoch || before.hno != origin->hno)
        rows_compare(sync, index, &before);
    if (before.known && is_charter(origin, &before.charter_hash) && before.epoch == origin->epoch &&
        before.hno == origin->hno && before.complete == origin->complete &&
        before.wanted == origin->wanted && before.flags == origin->flags)
        return TORG_OK;
    sync_link_have_due(sync, index);
    sync_origin_attend(sync, index);
    return TORG_OK;
}

enum torg_err sync_own_missing(struct sync *sync, uint32_t index)
{
    struct replica_origin record;
    enum torg_err err = replica_origin_get(sync->read, &sync->origins[index].id, &record);

    if (err)
        return err;
    sync->origins[index].missing = missing_of(&record);
    sync_visible_look(sync, &sync->origins[index], &record); /* it may have been who is a member */
    return TORG_OK;
}

enum torg_err sync_head_check(struct sync *sync, uint32_t index, struct span head,
                              struct seal_proof *proof, struct head *ret_head)
{
    struct signed_span signed_head = frame_head(head);
    struct replica_origin record;
    enum torg_err err;

    err = replica_origin_get(sync->read, &sync->origins[index].id, &record);
    if (err == TORG_E_NOT_FOUND)
        return TORG_E_GAP; /* not even its charter is here */
    if (!err)
        err = replica_head_check(sync->read, &record, &signed_head, proof, ret_head);
    if (err)
        return err;
    /* It may be newer and valid, and name a past that is not ours. */
    err = replica_fork_find(sync->read, &record, &signed_head, NULL, 0, &sync->scratch);
    return !err && sync->scratch.size ? TORG_E_UNEXPECTED : err;
}

/* ---- our own origin, seen from outside ---- */

/* Is it validly signed, by the keys that speak for us now? */
static bool own_signature_valid(struct sync *sync, const struct sync_origin *origin,
                                const struct signed_span *signed_head, const struct head *head)
{
    struct charter_signed charter_signed;
    struct public_key key;
    struct charter charter;
    struct span stored;

    if (!origin->known || head->epoch != origin->charter_epoch)
        return false;
    if (replica_charter_get(sync->read, origin->number, origin->charter_no, &stored) ||
        charter_signed_parse(stored, &charter_signed) ||
        charter_parse(charter_signed.bytes, &charter) ||
        charter_signing_key(&charter, head->key_no, &key))
        return false;
    return !seal_verify(DOMAIN_HEAD, signed_head->bytes, &signed_head->signature, &key);
}

/* One that was published here, or from a past that is not here any more. */
static bool own_is_held(const struct sync *sync, const struct sync_origin *origin,
                        const struct head *head, const struct signed_span *signed_head)
{
    struct span stored;

    return replica_head_get(sync->read, origin->number, head->epoch, head->hno, &stored) ||
           span_equal(frame_head(stored).bytes, signed_head->bytes);
}

void sync_own_look(struct sync *sync, uint32_t index, struct span head_bytes)
{
    struct sync_origin *origin = &sync->origins[index];
    struct signed_span signed_head = frame_head(head_bytes);
    struct sync_action *action = NULL;
    struct head head;
    int order;

    if (head_parse(signed_head.bytes, &head) ||
        memcmp(head.origin.bytes, origin->id.bytes, sizeof(head.origin.bytes)) != 0)
        return;
    order = sync_number_compare(head.epoch, head.hno, origin->epoch, origin->hno);
    if (order <= 0 && own_is_held(sync, origin, &head, &signed_head))
        return;
    if (origin->ahead_told && origin->ahead_epoch == head.epoch && origin->ahead_hno == head.hno)
        return;
    if (!own_signature_valid(sync, origin, &signed_head, &head))
        return;
    if (sync_action_add(sync, SYNC_ACTION_OWN_AHEAD, &action))
        return;
    origin->ahead_told = true;
    origin->ahead_epoch = head.epoch;
    origin->ahead_hno = head.hno;
    action->epoch = head.epoch;
    action->hno = head.hno;
    action->event = order <= 0 ? "origin.forked" : "origin.ahead";
    snprintf(action->text, sizeof(action->text),
             " epoch=%" PRIu64 " hno=%" PRIu64 " published_epoch=%" PRIu64
             " published_hno=%" PRIu64,
             head.epoch, head.hno, origin->epoch, origin->hno);
}
