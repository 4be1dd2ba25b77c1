/* SPDX-License-Identifier: EUPL-1.2 */
#include <inttypes.h>

#include "protocol/sync_internal.h"

/*
 * Fork evidence: found here or brought by a peer, kept until it is stored, and
 * told to everybody who wants the origin. Nobody asks for it, so none may be lost:
 * not for want of room, not in a store that is full.
 */

static bool is_disputed(const struct sync_origin *origin)
{
    return origin->flags & REPLICA_FLAG_DISPUTED;
}

/* ---- out ---- */

static enum torg_err proof_send(struct sync *sync, uint32_t peer, uint32_t index,
                                struct span evidence)
{
    struct frame frame = {.type = FRAME_PROOF};
    enum torg_err err;

    frame.proof.origin = sync->origins[index].id;
    frame.proof.evidence = evidence;
    err = session_send(&sync->peers[peer].link->session, &frame, sync->now_ms);
    return err == TORG_E_BUSY ? TORG_OK : err; /* it is closing */
}

enum torg_err sync_proof_tell(struct sync *sync, uint32_t peer, uint32_t index)
{
    const struct sync_origin *origin = &sync->origins[index];
    struct span evidence;
    enum torg_err err;

    if (!is_disputed(origin) || !sync->peers[peer].rows[index].sub_mask)
        return TORG_OK;
    err = replica_proof_get(sync->read, origin->number, origin->charter_epoch, &evidence);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_OK : err;
    return proof_send(sync, peer, index, evidence);
}

static enum torg_err proof_tell_all(struct sync *sync, uint32_t index, uint32_t but_link)
{
    enum torg_err err = TORG_OK;

    for (uint32_t i = 0; i < sync->peer_count && !err; i++) {
        const struct sync_link *link = sync->peers[i].link;

        if (link && link->ready && link->id != but_link)
            err = sync_proof_tell(sync, i, index);
    }
    return err;
}

/* ---- in ---- */

enum torg_err sync_proof_keep(struct sync *sync, uint32_t index, uint32_t link,
                              struct span evidence)
{
    struct sync_origin *origin = &sync->origins[index];

    if (origin->evidence.size)
        return TORG_OK;
    buffer_put_span(&origin->evidence, evidence);
    origin->evidence_link = link;
    sync_origin_attend(sync, index);
    return origin->evidence.err;
}

enum torg_err sync_proof_take(struct sync *sync, uint32_t peer, const struct origin_id *id,
                              struct span evidence)
{
    uint32_t index = sync_origin_index(sync, id);
    struct sync_link *link = sync->peers[peer].link;
    struct replica_origin record;
    uint64_t epoch;
    enum torg_err err;

    if (index == SYNC_NONE || !sync->origins[index].known || is_disputed(&sync->origins[index]) ||
        sync->origins[index].evidence.size)
        return TORG_OK;
    session_charge(&link->session, SYNC_PROOF_CHARGE, sync->now_ms);
    err = replica_origin_get(sync->read, id, &record);
    if (!err)
        err = replica_proof_check(sync->read, &record, evidence, &epoch);
    if (err)
        return sync_job_is_trouble(err) ? err : TORG_OK; /* by other charters than ours, perhaps */
    return sync_proof_keep(sync, index, link->id, evidence);
}

enum torg_err sync_proof_find(struct sync *sync, uint32_t peer, uint32_t index,
                              const struct signed_span *other)
{
    return sync_proof_find_by(sync, peer, index, other, NULL, 0, &(bool){false});
}

enum torg_err sync_proof_find_by(struct sync *sync, uint32_t peer, uint32_t index,
                                 const struct signed_span *other, const struct span *path,
                                 size_t count, bool *ret_forked)
{
    const struct sync_origin *origin = &sync->origins[index];
    struct buffer evidence = {0};
    struct replica_origin record;
    enum torg_err err;

    *ret_forked = false;
    if (origin->evidence.size)
        *ret_forked = true;
    if (is_disputed(origin) || origin->own || origin->evidence.size)
        return TORG_OK; /* said already; and of our own, sync_own_look has spoken */
    err = replica_origin_get(sync->read, &origin->id, &record);
    if (!err)
        err = replica_fork_find(sync->read, &record, other, path, count, &evidence);
    *ret_forked = !err && evidence.size;
    if (*ret_forked) {
        sync_note(sync, "origin.forked",
                  " peer=%s origin=%02x%02x%02x%02x epoch=%" PRIu64 " hno=%" PRIu64,
                  sync->peers[peer].name, origin->id.bytes[0], origin->id.bytes[1],
                  origin->id.bytes[2], origin->id.bytes[3], origin->epoch, origin->hno);
        err = sync_proof_keep(sync, index, 0, buffer_span(&evidence));
    }
    buffer_done(&evidence);
    return err;
}

/* ---- to the writer ---- */

enum torg_err sync_proof_attend(struct sync *sync, uint32_t index)
{
    struct sync_origin *origin = &sync->origins[index];
    struct sync_pending pending = {
        .origin = index,
        .link = origin->evidence_link,
        .job = SYNC_NONE,
    };
    struct sync_store *store;
    enum torg_err err;

    if (!origin->evidence.size || origin->pending_proof)
        return TORG_OK;
    err = sync_store_begin(sync, index, REPLICA_WRITE_PROOF, &store);
    if (err || !store)
        return err;
    store->write.charter = origin->named;
    buffer_put_span(&store->bytes[0], buffer_span(&origin->evidence));
    if (store->bytes[0].err) {
        sync_store_free(store);
        return TORG_E_NOMEM;
    }
    store->write.proof = buffer_span(&store->bytes[0]);
    return sync_store_submit(sync, store, &pending);
}

enum torg_err sync_proof_stored(struct sync *sync, const struct sync_pending *pending,
                                enum torg_err err)
{
    struct sync_origin *origin = &sync->origins[pending->origin];
    struct replica_origin record;

    buffer_done(&origin->evidence);
    if (err && err != TORG_E_KNOWN)
        return TORG_OK; /* a newer charter has come in between */
    /* Our own is not read again before it is published; and it may be settled by now. */
    if (!replica_origin_get(sync->read, &origin->id, &record))
        origin->flags = record.flags;
    sync_charters_unsettled(origin);
    return proof_tell_all(sync, pending->origin, pending->link);
}
