/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdlib.h>
#include <string.h>

#include "protocol/sync_internal.h"

/*
 * The heads that the newest head's skips come by, where commits were skipped:
 * they prove that it goes on from what was held before, and an origin that was
 * recovered from its peers cannot sign its next head without them. They prove
 * themselves by their hashes. No head waits for them: the state is proved by its
 * root, so a batch or a fetch goes before, and what is missing is asked for again.
 */

/*
 * Does the peer hold our head? It says so in a row; or it has answered our SUMMARY
 * without one, for what it holds is what we hold, or it does not know the origin.
 */
static bool may_hold(const struct sync_peer *peer, const struct sync_row *row,
                     const struct sync_origin *origin)
{
    if (!row->claimed)
        return peer->link->answered;
    return row->epoch == origin->epoch && row->hno >= origin->hno;
}

/* The peer that holds our head and was asked longest ago; SYNC_NONE: there is none. */
static uint32_t peer_choose(const struct sync *sync, uint32_t index)
{
    const struct sync_origin *origin = &sync->origins[index];
    const struct sync_row *best_row = NULL;
    uint32_t best = SYNC_NONE;

    for (uint32_t i = 0; i < sync->peer_count; i++) {
        const struct sync_peer *peer = &sync->peers[i];
        const struct sync_row *row = peer->rows ? &peer->rows[index] : NULL;

        if (!peer->link || peer->link->session.state != SESSION_OPEN ||
            !may_hold(peer, row, origin) || !sync_peer_believed(sync, row))
            continue;
        if (!best_row || row->ancestry_ms < best_row->ancestry_ms) {
            best = i;
            best_row = row;
        }
    }
    return best;
}

#define PATHS_MAX 3

/*
 * Down to which heads a path is wanted; 0: to none. The heads that the skips come
 * by, the head that was held when the newest one came, and one that somebody's word
 * is about.
 */
static enum torg_err paths_wanted(struct sync *sync, uint32_t index, uint64_t ret_to[PATHS_MAX])
{
    struct sync_origin *origin = &sync->origins[index];
    struct replica_origin record;
    enum torg_err err = TORG_OK;

    ret_to[0] = 0;
    if (!origin->gapless) { /* else each look at an origin would be a look into the store */
        err = replica_origin_get(sync->read, &origin->id, &record);
        if (!err)
            err = replica_ancestry_gap(sync->read, &record, &ret_to[0]);
        origin->gapless = !err && ret_to[0] == 0;
    }
    if (err)
        return err;
    ret_to[1] = origin->unproven_hno;
    ret_to[2] = origin->look_hno;
    return TORG_OK;
}

/* One of them, by turns, so that one that cannot be had does not keep the others waiting. */
static uint64_t path_choose(const struct sync_origin *origin, const uint64_t to[PATHS_MAX])
{
    for (unsigned i = 0; i < PATHS_MAX; i++) {
        uint64_t chosen = to[(origin->ancestry_turn + i) % PATHS_MAX];

        if (chosen)
            return chosen;
    }
    return 0;
}

enum torg_err sync_ancestry_begin(struct sync *sync, uint32_t index, bool *ret_asked)
{
    struct sync_origin *origin = &sync->origins[index];
    struct frame frame = {.type = FRAME_ANCESTRY_REQ};
    uint64_t wanted[PATHS_MAX];
    struct sync_job *job;
    uint64_t to;
    uint32_t peer;
    enum torg_err err;

    *ret_asked = false;
    if (!origin->has_head || origin->epoch != origin->charter_epoch)
        return TORG_OK;
    err = paths_wanted(sync, index, wanted);
    to = err ? 0 : path_choose(origin, wanted);
    if (!to)
        return err;
    if (sync->now_ms < origin->ancestry_retry_ms) {
        sync_origin_attend_at(sync, index, origin->ancestry_retry_ms);
        return TORG_OK;
    }
    peer = peer_choose(sync, index);
    if (peer == SYNC_NONE)
        return TORG_OK; /* somebody comes, and the origin is looked at again */
    job = sync_job_begin(sync, index, peer, SYNC_FOR_ANCESTRY);
    if (!job)
        return TORG_OK;
    frame.ancestry_req.origin = origin->id;
    frame.ancestry_req.epoch = origin->epoch;
    frame.ancestry_req.from_hno = origin->hno;
    frame.ancestry_req.to_hno = to;
    job->parsed.hno = origin->hno;
    job->path_to = to;
    origin->ancestry_turn++;
    sync->peers[peer].rows[index].ancestry_ms = sync->now_ms;
    *ret_asked = true;
    return sync_job_ask(sync, job, &job->asked[0], &frame);
}

/* May a path be asked for on somebody's word? One at a time, and not at once after one in vain. */
static bool may_look(const struct sync *sync, const struct sync_origin *origin)
{
    return !origin->own && !origin->look_hno && sync->now_ms >= origin->look_after_ms;
}

/* It is another path than those that were asked for in vain: it is asked for at once. */
static void look_at(struct sync_origin *origin, uint64_t hno)
{
    origin->look_hno = hno;
    origin->ancestry_failures = 0;
    origin->ancestry_retry_ms = 0;
}

static void look_begin(struct sync_origin *origin, uint64_t hno)
{
    origin->look_failures = 0;
    look_at(origin, hno);
}

static void look_end(struct sync_origin *origin)
{
    origin->look_hno = 0;
    origin->look_failures = 0;
    buffer_clear(&origin->suspect);
}

/* Later, and another peer: if nobody has it, nothing is gained by haste. */
static void ask_later(struct sync *sync, struct sync_job *job)
{
    struct sync_origin *origin = &sync->origins[job->origin];

    if (origin->ancestry_failures < SYNC_ANCESTRY_DOUBLINGS_MAX)
        origin->ancestry_failures++;
    if (job->path_to == origin->look_hno && ++origin->look_failures >= SYNC_LOOKS_MAX) {
        /* It was only somebody's word. */
        look_end(origin);
        origin->look_after_ms = sync->now_ms + SYNC_LOOK_AGAIN_MS;
    }
    origin->ancestry_retry_ms =
        sync->now_ms + ((int64_t)SYNC_DIAL_MS_MIN << (origin->ancestry_failures - 1));
    sync_job_end(sync, job, SYNC_NEITHER);
}

static enum torg_err ancestry_fill(struct sync_store *store, const struct frame_list *list)
{
    struct frame_list copy = {.count = list->count};
    struct profile_reader in;

    store->write.kind = REPLICA_WRITE_ANCESTRY;
    store->ancestry = calloc(list->count, sizeof(*store->ancestry));
    buffer_put_span(&store->bytes[0], list->bytes);
    if (!store->ancestry || store->bytes[0].err)
        return TORG_E_NOMEM;
    copy.bytes = buffer_span(&store->bytes[0]);
    in = frame_list_reader(&copy);
    /* The first is the head that the path goes down from, which is held. */
    (void)profile_bin(&in, HEAD_BYTES_MAX);
    for (uint32_t i = 1; i < list->count; i++)
        store->ancestry[store->write.ancestry_count++] = profile_bin(&in, HEAD_BYTES_MAX);
    store->write.ancestry = store->ancestry;
    return TORG_OK;
}

/*
 * Does the path lead to another head than the one that was held here? Then the
 * origin has forked: the head held, the newest one and the path between them show it.
 */
static enum torg_err lineage_look(struct sync *sync, struct sync_job *job,
                                  const struct sync_store *store, bool *ret_forked)
{
    struct sync_origin *origin = &sync->origins[job->origin];
    size_t count = store->write.ancestry_count;
    struct signed_span newest;
    struct span stored;
    struct head last;
    enum torg_err err;

    *ret_forked = false;
    if ((!origin->unproven_hno && !origin->look_hno) || origin->hno != job->parsed.hno)
        return TORG_OK;
    err = replica_head_get(sync->read, origin->number, origin->epoch, origin->hno, &stored);
    if (err)
        return err;
    newest = frame_head(stored);
    err = sync_proof_find_by(sync, job->peer, job->origin, &newest, store->write.ancestry, count,
                             ret_forked);
    if (err)
        return sync_job_is_trouble(err) ? err : TORG_OK; /* no path: the writer says so, too */
    if (*ret_forked ||
        (!head_parse(store->write.ancestry[count - 1], &last) && last.hno <= origin->look_hno))
        origin->look_hno = 0; /* the newest is shown to descend from it, or not to */
    return TORG_OK;
}

enum torg_err sync_ancestry_suspect(struct sync *sync, uint32_t index, struct span head,
                                    const struct head *parsed)
{
    struct sync_origin *origin = &sync->origins[index];
    struct span stored;

    if (!may_look(sync, origin) || origin->suspect.size || origin->flags & REPLICA_FLAG_DISPUTED ||
        replica_head_get(sync->read, origin->number, parsed->epoch, parsed->hno, &stored) !=
            TORG_E_NOT_FOUND)
        return TORG_OK;
    buffer_put_span(&origin->suspect, head);
    look_begin(origin, parsed->hno);
    sync_origin_attend(sync, index);
    return origin->suspect.err;
}

void sync_ancestry_wanted(struct sync *sync, const struct sync_origin *asked, uint64_t epoch,
                          uint64_t to)
{
    uint32_t index = (uint32_t)(asked - sync->origins);
    struct sync_origin *origin = &sync->origins[index];

    if (!origin->has_head || epoch != origin->epoch || to == 0 || to >= origin->hno)
        return;
    /*
     * Heads may be lost to everybody. A path that nobody has must not stand before a shorter
     * one; but the answers in vain count on, so that such wishes end.
     */
    if (origin->look_hno && !origin->suspect.size && to > origin->look_hno)
        look_at(origin, to);
    else if (may_look(sync, origin))
        look_begin(origin, to);
    else
        return;
    sync_origin_attend(sync, index);
}

void sync_ancestry_place(struct sync *sync, uint32_t index)
{
    struct sync_origin *origin = &sync->origins[index];

    if (!may_look(sync, origin) || origin->flags & REPLICA_FLAG_DISPUTED)
        return;
    for (uint32_t i = 0; i < sync->peer_count; i++) {
        const struct sync_peer *peer = &sync->peers[i];
        struct sync_row *row = peer->rows ? &peer->rows[index] : NULL;
        int64_t due_ms;

        if (!peer->link || !row->claimed || !row->unplaced_ms || !sync_peer_believed(sync, row))
            continue;
        due_ms = row->unplaced_ms + SYNC_UNPLACED_MS;
        if (row->placed_ms && due_ms < row->placed_ms + SYNC_PLACE_MS)
            due_ms = row->placed_ms + SYNC_PLACE_MS;
        if (sync->now_ms < due_ms) {
            sync_origin_attend_at(sync, index, due_ms);
            continue;
        }
        row->placed_ms = sync->now_ms;
        look_begin(origin, row->hno);
        return;
    }
}

/* The path is there: is what was suspected on it? */
static enum torg_err suspect_look(struct sync *sync, struct sync_job *job)
{
    struct sync_origin *origin = &sync->origins[job->origin];
    struct buffer suspect = origin->suspect;
    struct signed_span head;
    enum torg_err err;

    if (origin->look_hno || !suspect.size)
        return TORG_OK;
    origin->suspect = (struct buffer){0};
    head = frame_head(buffer_span(&suspect));
    err = sync_proof_find(sync, job->peer, job->origin, &head);
    buffer_done(&suspect);
    return err;
}

enum torg_err sync_ancestry_answer(struct sync *sync, struct sync_job *job,
                                   const struct frame *frame)
{
    struct sync_pending pending = sync_job_pending(sync, job);
    struct sync_store *store;
    bool forked = false;
    enum torg_err err;

    if (frame->ancestry.heads.count < 2) {
        ask_later(sync, job);
        return TORG_OK;
    }
    store = calloc(1, sizeof(*store));
    err = store ? ancestry_fill(store, &frame->ancestry.heads) : TORG_E_NOMEM;
    if (!err)
        err = lineage_look(sync, job, store, &forked);
    if (forked) {
        sync_store_free(store);
        sync_job_end(sync, job, SYNC_NEITHER);
        return err;
    }
    if (err) {
        sync_store_free(store);
        return err;
    }
    return sync_store_submit(sync, store, &pending);
}

enum torg_err sync_ancestry_stored(struct sync *sync, struct sync_job *job, enum torg_err err)
{
    struct sync_origin *origin = &sync->origins[job->origin];
    uint64_t wanted[PATHS_MAX];
    enum torg_err read = paths_wanted(sync, job->origin, wanted);
    bool still_wanted = false;

    for (unsigned i = 0; i < PATHS_MAX && !read; i++)
        still_wanted = still_wanted || (wanted[i] && wanted[i] == job->path_to);
    if (!read && (!err || err == TORG_E_KNOWN)) {
        sync_origin_compare_unplaced(sync, job->origin);
        read = suspect_look(sync, job);
    }
    if (read || sync_job_is_trouble(err)) {
        sync_job_end(sync, job, SYNC_AGAIN);
    } else if (err && err != TORG_E_KNOWN && err != TORG_E_GAP && origin->hno == job->parsed.hno) {
        sync_job_end(sync, job, SYNC_DISTRUST); /* it is no path down from the head */
    } else if (still_wanted && origin->hno == job->parsed.hno) {
        ask_later(sync, job); /* not far enough */
    } else {
        origin->ancestry_failures = 0;
        sync_job_end(sync, job, SYNC_DONE);
    }
    return read;
}

void sync_ancestry_refused(struct sync *sync, struct sync_job *job)
{
    ask_later(sync, job);
}
