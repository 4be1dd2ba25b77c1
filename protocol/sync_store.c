/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/sync_internal.h"

void sync_store_free(struct sync_store *store)
{
    if (!store)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(store->bytes); i++)
        buffer_done(&store->bytes[i]);
    free(store->entries);
    free(store->removed);
    free(store->charters);
    free(store->ancestry);
    free(store);
}

/* Live batches only: what was fetched was asked for, a job at a time, and is let through. */
bool sync_store_room(const struct sync *sync)
{
    return sync->pending_live < sync->limits.store_queue_writes;
}

enum torg_err sync_store_begin(struct sync *sync, uint32_t index, enum replica_write_kind kind,
                               struct sync_store **ret_store)
{
    struct sync_store *store;

    if (sync->now_ms < sync->origins[index].retry_ms || !sync_store_room(sync)) {
        sync_origin_attend_at(sync, index, sync->now_ms + SYNC_DIAL_MS_MIN);
        *ret_store = NULL;
        return TORG_OK;
    }
    store = calloc(1, sizeof(*store));
    if (!store)
        return TORG_E_NOMEM;
    store->write.kind = kind;
    *ret_store = store;
    return TORG_OK;
}

static enum torg_err pending_add(struct sync *sync, struct sync_pending *pending)
{
    if (sync->pending_count == sync->pending_capacity) {
        size_t capacity = sync->pending_capacity ? 2 * sync->pending_capacity : 16;
        struct sync_pending *grown =
            realloc(sync->pending, capacity * sizeof(*grown)); /* NOLINT: counts are small */

        if (!grown)
            return TORG_E_NOMEM;
        sync->pending = grown;
        sync->pending_capacity = capacity;
    }
    sync->pending[sync->pending_count++] = *pending;
    sync->pending_live += pending->job == SYNC_NONE;
    return TORG_OK;
}

enum torg_err sync_store_submit(struct sync *sync, struct sync_store *store,
                                struct sync_pending *pending)
{
    struct sync_origin *origin = &sync->origins[pending->origin];
    struct sync_action *action = NULL;
    enum torg_err err;

    pending->ticket = sync->next_ticket;
    pending->kind = store->write.kind;
    pending->recovering = sync->recovering;
    store->write.origin = origin->id;
    store->write.now_ms = sync->clock_ms;
    err = pending_add(sync, pending);
    if (err)
        goto done;
    err = sync_action_add(sync, SYNC_ACTION_STORE, &action);
    if (err) {
        sync->pending_count--;
        sync->pending_live -= pending->job == SYNC_NONE;
        goto done;
    }
    sync->next_ticket++;
    action->ticket = pending->ticket;
    action->store = store;
    origin->pending++;
    if (pending->kind == REPLICA_WRITE_BEAT)
        origin->pending_beat = true;
    if (pending->kind == REPLICA_WRITE_DROP)
        origin->pending_drop = true;
    if (pending->kind == REPLICA_WRITE_PROOF)
        origin->pending_proof = true;
    if (pending->kind == REPLICA_WRITE_SETTLE)
        origin->pending_settle = true;
    if (pending->kind == REPLICA_WRITE_COMMIT) {
        origin->expected_epoch = pending->epoch;
        origin->expected_hno = pending->hno;
    }
    if (pending->job != SYNC_NONE)
        sync->jobs[pending->job].stores++;
    return TORG_OK;
done:
    buffer_done(&pending->relay);
    sync_store_free(store);
    return err;
}

/* What a live write's answer means; those of jobs go to sync_fetch_stored. */
static enum torg_err live_stored(struct sync *sync, const struct sync_pending *pending,
                                 enum torg_err err)
{
    if (pending->kind == REPLICA_WRITE_PROOF && !sync_job_is_trouble(err))
        return sync_proof_stored(sync, pending, err);
    if (pending->kind == REPLICA_WRITE_SETTLE)
        sync_charters_settled(sync, pending, err);
    switch (err) {
    case TORG_OK:
        if (pending->kind == REPLICA_WRITE_COMMIT)
            return sync_live_relay(sync, pending);
        if (pending->kind == REPLICA_WRITE_BEAT)
            sync_link_beat_due(sync, pending->origin, pending->link);
        if (pending->kind == REPLICA_WRITE_DROP)
            sync_drop_stored(sync, pending->origin);
        return TORG_OK;
    case TORG_E_MISMATCH:
        sync->counters.mismatches++;
        return TORG_OK;
    case TORG_E_NOMEM:
    case TORG_E_FULL:
    case TORG_E_IO:
    case TORG_E_BUSY:
    case TORG_E_CORRUPT:
        /* Ours to solve; nothing is asked for until that has had time. */
        sync->origins[pending->origin].retry_ms = sync->now_ms + SYNC_DIAL_MS_MIN;
        sync_origin_attend_at(sync, pending->origin, sync->origins[pending->origin].retry_ms);
        return TORG_OK;
    default:
        return TORG_OK; /* known, stale, a gap: what else is needed will be asked for */
    }
}

enum torg_err sync_store_stored(struct sync *sync, uint64_t ticket, enum torg_err err)
{
    struct sync_pending pending;
    struct sync_origin *origin;
    enum torg_err result;
    uint64_t epoch, hno;
    uint32_t peer;
    size_t at = 0;

    while (at < sync->pending_count && sync->pending[at].ticket != ticket)
        at++;
    if (at == sync->pending_count)
        return TORG_OK;
    pending = sync->pending[at];
    memmove(&sync->pending[at], &sync->pending[at + 1],
            (--sync->pending_count - at) * sizeof(pending));
    sync->pending_live -= pending.job == SYNC_NONE;
    peer = sync_peer_of_link(sync, pending.link);
    if (peer != SYNC_NONE && pending.held_bytes)
        session_release(&sync->peers[peer].link->session, FRAME_CLASS_LIVE, pending.held_bytes);
    if (pending.origin == SYNC_NONE) {
        buffer_done(&pending.relay);
        return TORG_OK;
    }
    origin = &sync->origins[pending.origin];
    epoch = origin->epoch;
    hno = origin->hno;
    origin->pending--;
    if (pending.kind == REPLICA_WRITE_BEAT)
        origin->pending_beat = false;
    if (pending.kind == REPLICA_WRITE_DROP)
        origin->pending_drop = false;
    if (pending.kind == REPLICA_WRITE_PROOF)
        origin->pending_proof = false;
    if (pending.kind == REPLICA_WRITE_SETTLE)
        origin->pending_settle = false;
    result = origin->own && !pending.recovering ? sync_own_missing(sync, pending.origin)
                                                : sync_origin_refresh(sync, pending.origin);
    if (!err && (pending.kind == REPLICA_WRITE_COMMIT ||
                 (pending.kind == REPLICA_WRITE_PART &&
                  sync_number_compare(epoch, hno, origin->epoch, origin->hno) != 0)))
        sync_rate_head_taken(sync, pending.origin);
    /* What cannot be read back is taken up again later; the books are kept all the same. */
    if (result)
        err = result;
    if (pending.job == SYNC_NONE)
        err = live_stored(sync, &pending, err);
    else
        err = sync_fetch_stored(sync, &pending, err);
    if (!result)
        result = err;
    if (!result && pending.kind == REPLICA_WRITE_CHARTERS)
        result = sync_link_held_beat(sync, pending.origin);
    sync_origin_attend(sync, pending.origin);
    buffer_done(&pending.relay);
    return result;
}
