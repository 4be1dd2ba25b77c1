/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdlib.h>
#include <string.h>

#include "protocol/sync_internal.h"

/*
 * Charters come before the heads that need them: who speaks for an origin must
 * be known before anything it says is believed.
 */

enum torg_err sync_charters_begin(struct sync *sync, uint32_t index, uint32_t peer)
{
    struct sync_origin *origin = &sync->origins[index];
    struct sync_job *job = sync_job_begin(sync, index, peer, SYNC_FOR_CHARTERS);
    struct frame frame = {.type = FRAME_CHARTER_REQ};

    if (!job)
        return TORG_OK;
    frame.charter_req.origin = origin->id;
    frame.charter_req.from = origin->known ? origin->charter_no + 1 : 0;
    return sync_job_ask(sync, job, &frame);
}

static enum torg_err charters_fill(struct sync_store *store, const struct frame_list *list)
{
    struct frame_list copy = {.count = list->count};
    struct profile_reader in;

    store->write.kind = REPLICA_WRITE_CHARTERS;
    store->charters = calloc(list->count, sizeof(*store->charters));
    buffer_put_span(&store->bytes[0], list->bytes);
    if (!store->charters || store->bytes[0].err)
        return TORG_E_NOMEM;
    copy.bytes = buffer_span(&store->bytes[0]);
    in = frame_list_reader(&copy);
    for (uint32_t i = 0; i < list->count; i++) {
        enum torg_err err = charter_signed_parse(profile_skip(&in), &store->charters[i]);

        if (err)
            return err;
    }
    store->write.charters = store->charters;
    store->write.charter_count = list->count;
    return TORG_OK;
}

enum torg_err sync_charters_answer(struct sync *sync, struct sync_job *job,
                                   const struct frame *frame)
{
    struct sync_pending pending = sync_job_pending(sync, job);
    struct sync_store *store;
    enum torg_err err;

    if (frame->charter.charters.count == 0) {
        sync_job_end(sync, job, SYNC_STRIKE);
        return TORG_OK;
    }
    store = calloc(1, sizeof(*store));
    err = store ? charters_fill(store, &frame->charter.charters) : TORG_E_NOMEM;
    if (err) {
        sync_store_free(store);
        return err;
    }
    job->asked = 0;
    return sync_store_submit(sync, store, &pending);
}

/* The store has given all the numbers that it has: nobody's fault, and no use in haste. */
static void no_number(struct sync *sync, struct sync_job *job)
{
    struct sync_origin *origin = &sync->origins[job->origin];

    sync_note(sync, "origin.refused", " origin=%02x%02x%02x%02x origins_max=%d",
              origin->id.bytes[0], origin->id.bytes[1], origin->id.bytes[2], origin->id.bytes[3],
              ORIGINS_MAX);
    origin->retry_ms = sync->now_ms + SYNC_DISTRUST_MS;
    sync_job_end(sync, job, SYNC_NEITHER);
}

void sync_charters_stored(struct sync *sync, struct sync_job *job, enum torg_err err)
{
    struct session *session = &sync->peers[job->peer].link->session;

    if (!err || err == TORG_E_KNOWN) {
        sync_job_end(sync, job, err ? SYNC_STRIKE : SYNC_DONE);
        return;
    }
    if (sync_job_is_trouble(err)) {
        sync_job_end(sync, job, SYNC_AGAIN);
        return;
    }
    if (err == TORG_E_TOO_BIG) {
        no_number(sync, job);
        return;
    }
    if (err == TORG_E_GAP || err == TORG_E_STALE) {
        /* Not what was asked for; and while it claims more, no head is asked of anybody. */
        sync_job_end(sync, job, SYNC_STRIKE);
        return;
    }
    session_close(session, err, FRAME_CODE_BAD_CHARTER, "a charter that does not follow");
    sync_job_end(sync, job, SYNC_DISTRUST);
}
