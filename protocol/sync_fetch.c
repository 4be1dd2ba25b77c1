/* SPDX-License-Identifier: EUPL-1.2 */
#include <string.h>

#include "protocol/sync_internal.h"

/* ---- who can help ---- */

enum need { NEED_CHARTERS, NEED_HEAD, NEED_REST };

/* How far a row is ahead of us: <0 behind, 0 the same head, >0 newer. */
static int row_ahead(const struct sync_row *row, const struct sync_origin *origin)
{
    if (row->hno == 0)
        return -1; /* it holds no head */
    return sync_number_compare(row->epoch, row->hno, origin->epoch, origin->hno);
}

static bool row_helps(const struct sync_row *row, const struct sync_origin *origin, enum need need)
{
    uint32_t lacking = origin->wanted & ~origin->complete;

    if (!row->claimed)
        return false;
    if (need != NEED_CHARTERS && row->too_large)
        return false;
    switch (need) {
    case NEED_CHARTERS:
        return !origin->known || row->charter_no > origin->charter_no;
    case NEED_HEAD:
        return !row->useless && row->epoch >= origin->charter_epoch && row_ahead(row, origin) > 0 &&
               (row->mask & origin->wanted || !origin->wanted);
    case NEED_REST:
        return !row->useless && row->epoch >= origin->charter_epoch &&
               row_ahead(row, origin) == 0 && row->mask & lacking;
    }
    return false;
}

/*
 * Fewer strikes first, then not who was slow, or longest ago, then not the one
 * that failed just now, then who has more, then who may be asked for one thing more.
 */
static bool better(const struct sync *sync, const struct sync_origin *origin, uint32_t index,
                   uint32_t a, uint32_t b)
{
    const struct sync_row *left = &sync->peers[a].rows[index];
    const struct sync_row *right = &sync->peers[b].rows[index];
    bool left_full = (origin->wanted & ~left->mask) == 0;
    bool right_full = (origin->wanted & ~right->mask) == 0;
    int order;

    if (left->strikes != right->strikes)
        return left->strikes < right->strikes;
    if (left->slow_ms != right->slow_ms)
        return left->slow_ms < right->slow_ms;
    if ((a == origin->failed_peer) != (b == origin->failed_peer))
        return b == origin->failed_peer;
    if (left_full != right_full)
        return left_full;
    order = sync_number_compare(left->epoch, left->hno, right->epoch, right->hno);
    if (order)
        return order > 0;
    return sync_job_room(sync, a) && !sync_job_room(sync, b);
}

static uint32_t choose(struct sync *sync, uint32_t index, enum need need)
{
    const struct sync_origin *origin = &sync->origins[index];
    uint32_t best = SYNC_NONE;

    for (uint32_t i = 0; i < sync->peer_count; i++) {
        const struct sync_peer *peer = &sync->peers[i];

        if (!peer->link || peer->link->session.state != SESSION_OPEN)
            continue;
        if (!row_helps(&peer->rows[index], origin, need))
            continue;
        if (!sync_peer_believed(sync, &peer->rows[index])) {
            sync_origin_attend_at(sync, index, peer->rows[index].distrusted_until_ms);
            continue;
        }
        if (sync_charters_differ(sync, &peer->rows[index])) {
            sync_origin_attend_at(sync, index, peer->rows[index].differs_until_ms);
            continue;
        }
        if (best == SYNC_NONE || better(sync, origin, index, i, best))
            best = i;
    }
    return best;
}

bool sync_fetch_turn_over(const struct sync *sync, const struct sync_job *job)
{
    const struct sync_origin *origin = &sync->origins[job->origin];

    if (sync->now_ms < job->started_ms + (int64_t)sync->limits.turn_ms)
        return false;
    for (uint32_t i = 0; i < sync->peer_count; i++) {
        const struct sync_peer *peer = &sync->peers[i];
        const struct sync_row *row = peer->rows ? &peer->rows[job->origin] : NULL;

        if (i == job->peer || !peer->link || peer->link->session.state != SESSION_OPEN)
            continue;
        if (sync_peer_believed(sync, row) && !sync_charters_differ(sync, row) &&
            (row_helps(row, origin, NEED_HEAD) || row_helps(row, origin, NEED_REST)))
            return true;
    }
    return false;
}

/* ---- heads in answers ---- */

/* A head that cannot be used: whose fault is it? */
static void head_refused(struct sync *sync, struct sync_job *job, struct span head_bytes,
                         enum torg_err err)
{
    struct sync_row *row = &sync->peers[job->peer].rows[job->origin];
    struct signed_span signed_head = frame_head(head_bytes);
    struct head head;

    sync_live_blame(sync, job->peer, job->origin, head_bytes, err);
    if (head_parse(signed_head.bytes, &head)) {
        sync_job_end(sync, job, SYNC_DISTRUST);
        return;
    }
    switch (err) {
    case TORG_E_GAP:
        if (row->charter_no < head.charter_no)
            row->charter_no = head.charter_no;
        sync_job_end(sync, job, SYNC_AGAIN);
        break;
    case TORG_E_KNOWN:
    case TORG_E_STALE:
        if (sync_number_compare(head.epoch, head.hno, job->claim_epoch, job->claim_hno) < 0) {
            sync_job_end(sync, job, SYNC_STRIKE); /* less than it claims to have */
            break;
        }
        /* Its newest head is from before a charter that we have: it waits for a newer one, too. */
        row->useless = true;
        sync_job_end(sync, job, SYNC_AGAIN);
        break;
    case TORG_E_UNEXPECTED:
        row->useless = true;
        sync_job_end(sync, job, SYNC_AGAIN);
        break;
    default:
        sync_job_end(sync, job,
                     row->charters_doubted || sync_charters_differ(sync, row) ? SYNC_NEITHER
                                                                              : SYNC_DISTRUST);
    }
}

static bool claimed_is_held(const struct sync_origin *origin, const struct sync_job *job)
{
    return sync_number_compare(job->claim_epoch, job->claim_hno, origin->epoch, origin->hno) <= 0;
}

enum torg_err sync_fetch_head(struct sync *sync, struct sync_job *job, struct span head_bytes,
                              bool *ret_usable)
{
    struct sync_origin *origin = &sync->origins[job->origin];
    struct signed_span signed_head = frame_head(head_bytes);
    struct head head;
    enum torg_err err;

    *ret_usable = false;
    if (job->head.size && span_equal(buffer_span(&job->head), head_bytes)) {
        *ret_usable = true;
        return TORG_OK;
    }
    err = sync_head_check(sync, job->origin, head_bytes, NULL, &head);
    /* The head that is held, of which something is still missing, will do as well; but not
     * from one who claimed a newer one, and could claim so for ever. */
    if (err == TORG_E_KNOWN && !sync_origin_whole(origin) && claimed_is_held(origin, job))
        err = head_parse(signed_head.bytes, &head);
    if (err == TORG_E_NOMEM || err == TORG_E_IO || err == TORG_E_CORRUPT)
        return err;
    if (err) {
        head_refused(sync, job, head_bytes, err);
        return TORG_OK;
    }
    if (!sync_quota_admits(sync, job->origin, job->peer, &head)) {
        bool less = sync_number_compare(head.epoch, head.hno, job->claim_epoch, job->claim_hno) < 0;

        sync_job_end(sync, job, less ? SYNC_STRIKE : SYNC_NEITHER);
        return TORG_OK;
    }
    buffer_clear(&job->head);
    buffer_put_span(&job->head, head_bytes);
    job->parsed = head;
    *ret_usable = !job->head.err;
    return job->head.err;
}

/* ---- what an origin needs ---- */

static int64_t grace_ms(const struct sync *sync, uint32_t peer)
{
    int64_t rtt_ms = sync->peers[peer].link->session.rtt_ms;

    return 3 * rtt_ms > SYNC_GRAFT_MS_MIN ? 3 * rtt_ms : SYNC_GRAFT_MS_MIN;
}

/* The next commit alone is missing, and somebody should be sending it: give it time. */
static bool batch_may_come(struct sync *sync, uint32_t index, uint32_t peer)
{
    struct sync_origin *origin = &sync->origins[index];
    const struct sync_row *row = &sync->peers[peer].rows[index];
    int64_t due_ms;

    if (origin->behind_since_ms < 0)
        origin->behind_since_ms = sync->now_ms;
    if (!origin->has_head || row->epoch != origin->epoch || row->hno != origin->hno + 1 ||
        !sync_origin_whole(origin))
        return false;
    due_ms = origin->behind_since_ms + grace_ms(sync, peer);
    if (sync->now_ms >= due_ms)
        return false;
    sync_origin_attend_at(sync, index, due_ms);
    return true;
}

/*
 * Only a peer that holds a part of what is wanted has a newer head, while another one holds all:
 * to take the part now would break off the rest, which that one is about to have.
 */
static bool rest_may_come(struct sync *sync, uint32_t index, uint32_t peer)
{
    struct sync_origin *origin = &sync->origins[index];
    int64_t due_ms = origin->behind_since_ms + SYNC_PART_WAIT_MS;
    bool full = false;

    if (!origin->has_head || !sync_origin_whole(origin) || sync->now_ms >= due_ms ||
        !(origin->wanted & ~sync->peers[peer].rows[index].mask))
        return false;
    for (uint32_t i = 0; i < sync->peer_count && !full; i++) {
        const struct sync_row *row = sync->peers[i].rows ? &sync->peers[i].rows[index] : NULL;

        full = sync->peers[i].link && row->claimed && sync_peer_believed(sync, row) &&
               !(origin->wanted & ~row->mask);
    }
    if (full)
        sync_origin_attend_at(sync, index, due_ms);
    return full;
}

static void graft(struct sync *sync, uint32_t index, uint32_t peer)
{
    struct sync_row *row = &sync->peers[peer].rows[index];

    if (row->eager_in)
        return;
    row->eager_in = true;
    row->tree_due = SYNC_TREE_GRAFT;
    sync_link_row_due(sync, peer, index);
}

enum torg_err sync_fetch_begin(struct sync *sync, uint32_t index, uint32_t peer)
{
    struct sync_origin *origin = &sync->origins[index];
    const struct sync_row *row = &sync->peers[peer].rows[index];
    struct sync_job *job;

    /* Of an origin of which nothing is wanted only the head is taken. */
    if (!origin->wanted || (origin->has_head && sync_origin_whole(origin) && !origin->reconcile &&
                            row->epoch == origin->epoch && (origin->wanted & ~row->mask) == 0))
        return sync_delta_pull(sync, index, peer, SYNC_FOR_DELTA);
    job = sync_job_begin(sync, index, peer, SYNC_FOR_TRIE);
    return job ? sync_trie_begin(sync, job) : TORG_OK;
}

static bool takes_no_heads(const struct sync_origin *origin)
{
    return origin->flags & REPLICA_FLAG_DISPUTED && origin->epoch == origin->charter_epoch;
}

/* If the last path that pushed to us is gone, ask the best of the others to push. */
static void parent_check(struct sync *sync, uint32_t index)
{
    uint32_t best = SYNC_NONE;

    for (uint32_t i = 0; i < sync->peer_count; i++) {
        const struct sync_peer *peer = &sync->peers[i];
        const struct sync_row *row = peer->rows ? &peer->rows[index] : NULL;

        if (!peer->link || !peer->link->ready || !row->claimed)
            continue;
        if (row->charters_doubted || sync_charters_differ(sync, row))
            continue; /* nothing that it would push can be taken */
        if (row->eager_in)
            return;
        if (best == SYNC_NONE || better(sync, &sync->origins[index], index, i, best))
            best = i;
    }
    if (best != SYNC_NONE)
        graft(sync, index, best);
}

/* May a newer head be taken, or be looked at, now? */
static bool head_room(struct sync *sync, uint32_t index)
{
    return sync_rate_head_room(sync, index) && sync_quota_room(sync, index);
}

/* A newer head does not wait for older ones. */
static void ancestry_gives_way(struct sync *sync, uint32_t index)
{
    struct sync_origin *origin = &sync->origins[index];
    struct sync_job *job = origin->job == SYNC_NONE ? NULL : &sync->jobs[origin->job];

    if (job && job->purpose == SYNC_FOR_ANCESTRY && sync_job_waits(job) &&
        !takes_no_heads(origin) && choose(sync, index, NEED_HEAD) != SYNC_NONE &&
        head_room(sync, index))
        sync_job_end(sync, job, SYNC_NEITHER);
}

/* Who claims another head under a number that is held here; SYNC_NONE: nobody does. */
static uint32_t contradicting(const struct sync *sync, uint32_t index)
{
    const struct sync_origin *origin = &sync->origins[index];

    if (!origin->has_head || origin->flags & REPLICA_FLAG_DISPUTED)
        return SYNC_NONE;
    for (uint32_t i = 0; i < sync->peer_count; i++) {
        const struct sync_peer *peer = &sync->peers[i];
        const struct sync_row *row = peer->rows ? &peer->rows[index] : NULL;

        if (!peer->link || peer->link->session.state != SESSION_OPEN || !row->claimed ||
            row->useless || !sync_peer_believed(sync, row) || sync_charters_differ(sync, row))
            continue;
        if (row->contradicts && row->epoch == origin->epoch)
            return i;
        if (row_ahead(row, origin) == 0 &&
            memcmp(row->head_hash, origin->head_hash.bytes, sizeof(row->head_hash)) != 0)
            return i;
    }
    return SYNC_NONE;
}

/* Payloads that nobody had, when it is time to ask again. */
static enum torg_err missing_attend(struct sync *sync, uint32_t index)
{
    struct sync_origin *origin = &sync->origins[index];

    if (origin->missing == 0)
        return TORG_OK;
    if (sync->now_ms < origin->missing_retry_ms) {
        sync_origin_attend_at(sync, index, origin->missing_retry_ms);
        return TORG_OK;
    }
    return sync_missing_begin(sync, index);
}

enum torg_err sync_fetch_attend(struct sync *sync, uint32_t index)
{
    struct sync_origin *origin = &sync->origins[index];
    bool asked = false;
    uint32_t peer;
    enum torg_err err;

    err = sync_drop_attend(sync, index);
    if (!err)
        err = sync_proof_attend(sync, index);
    if (!err)
        err = sync_charters_settle(sync, index);
    if (err || origin->evidence.size)
        return err; /* of a fork nothing is to be fetched before it is on record */
    ancestry_gives_way(sync, index);
    if (origin->job != SYNC_NONE ||
        origin->pending > (uint32_t)origin->pending_beat + (uint32_t)origin->pending_drop)
        return TORG_OK;
    if (!origin->own || sync->recovering)
        parent_check(sync, index);
    if (sync->now_ms < origin->retry_ms) {
        sync_origin_attend_at(sync, index, origin->retry_ms);
        return TORG_OK;
    }
    if (sync->job_count == sync->limits.sync_sessions_total) {
        sync_job_starve(sync, index); /* whatever it needs, there is no place for a job */
        return TORG_OK;
    }
    err = sync_charters_compare(sync, index, &asked);
    if (err || asked)
        return err;
    peer = choose(sync, index, NEED_CHARTERS);
    if (peer != SYNC_NONE)
        return sync_charters_begin(sync, index, peer);
    if (!origin->known)
        return TORG_OK;
    peer = contradicting(sync, index);
    if (peer != SYNC_NONE)
        return sync_delta_pull(sync, index, peer, SYNC_FOR_LOOK);
    peer = takes_no_heads(origin) ? SYNC_NONE : choose(sync, index, NEED_HEAD);
    /* Payloads that a recovery did not find are still wanted: their hashes are our own word. */
    if (origin->own && !sync->recovering)
        return peer == SYNC_NONE ? missing_attend(sync, index)
                                 : sync_delta_pull(sync, index, peer, SYNC_FOR_LOOK);
    if (peer != SYNC_NONE && !head_room(sync, index))
        peer = SYNC_NONE; /* later, and then the newest */
    if (peer == SYNC_NONE && !sync_origin_whole(origin))
        peer = choose(sync, index, NEED_REST);
    if (peer != SYNC_NONE && origin->over_quota)
        return sync_delta_pull(sync, index, peer, SYNC_FOR_QUOTA);
    if (peer != SYNC_NONE) {
        if (batch_may_come(sync, index, peer) || rest_may_come(sync, index, peer))
            return TORG_OK;
        graft(sync, index, peer);
        return sync_fetch_begin(sync, index, peer);
    }
    origin->behind_since_ms = -1;
    if (sync_origin_whole(origin)) {
        sync_ancestry_place(sync, index);
        err = sync_ancestry_begin(sync, index, &asked);
        if (err || asked)
            return err;
    }
    return missing_attend(sync, index);
}

/* ---- answers ---- */

static bool answers(const struct sync *sync, const struct sync_job *job,
                    const struct sync_asked *asked, const struct frame *frame, uint64_t sid)
{
    if (frame->type == FRAME_CHARTER)
        return asked->type == FRAME_CHARTER_REQ &&
               memcmp(&sync->origins[job->origin].id, &frame->charter.origin,
                      sizeof(frame->charter.origin)) == 0;
    return asked->type && asked->sid == sid;
}

/* The request that a frame answers; NULL: it came too late. */
static struct sync_asked *asked_of(struct sync *sync, uint32_t peer, const struct frame *frame,
                                   uint64_t sid, struct sync_job **ret_job)
{
    uint32_t link = sync->peers[peer].link->id;

    for (uint32_t i = 0; i < sync->limits.sync_sessions_total; i++) {
        struct sync_job *job = &sync->jobs[i];

        for (size_t at = 0; job->active && job->link == link && at < SYNC_ASKED_MAX; at++) {
            if (!answers(sync, job, &job->asked[at], frame, sid))
                continue;
            *ret_job = job;
            return &job->asked[at];
        }
    }
    return NULL;
}

static void refused(struct sync *sync, struct sync_job *job, uint64_t code)
{
    struct sync_row *row = &sync->peers[job->peer].rows[job->origin];
    struct sync_origin *origin = &sync->origins[job->origin];

    /* CHARTER_REQ has no sid: nobody who follows the protocol can refuse it with one. */
    if ((code == FRAME_CODE_BUSY || code == FRAME_CODE_INTERNAL) &&
        job->purpose != SYNC_FOR_CHARTERS) {
        sync_job_end(sync, job, SYNC_AGAIN);
        return;
    }
    if (job->purpose == SYNC_FOR_MISSING) {
        sync_missing_refused(sync, job);
        return;
    }
    if (code == FRAME_CODE_COLLECTION_FORBIDDEN && row->mask & ~origin->public_mask) {
        row->mask &= origin->public_mask; /* it has heard before us that we are no member now */
        sync_job_end(sync, job, SYNC_AGAIN);
        return;
    }
    if ((code == FRAME_CODE_NOT_HELD || code == FRAME_CODE_UNKNOWN_ORIGIN) &&
        job->purpose == SYNC_FOR_ANCESTRY) {
        sync_ancestry_refused(sync, job); /* it need not keep all heads, nor know the origin */
        return;
    }
    if (code == FRAME_CODE_NOT_HELD && job->purpose == SYNC_FOR_DELTA) {
        origin->reconcile = true; /* too far behind for a delta; no fault in that */
        sync_job_end(sync, job, SYNC_AGAIN);
        return;
    }
    sync_job_end(sync, job, SYNC_STRIKE);
}

enum torg_err sync_fetch_answer(struct sync *sync, uint32_t peer, const struct frame *frame)
{
    uint64_t sid = 0;
    uint8_t asked = 0;
    struct sync_asked *request;
    struct sync_job *job;

    switch (frame->type) {
    case FRAME_ERROR:
        sid = frame->error.sid;
        break;
    case FRAME_DELTA:
        sid = frame->delta.sid;
        asked = FRAME_PULL;
        break;
    case FRAME_TRIE:
        sid = frame->trie.sid;
        asked = FRAME_TRIE_REQ;
        break;
    case FRAME_ENTRIES:
        sid = frame->entries.sid;
        asked = FRAME_FETCH;
        break;
    case FRAME_CHARTER:
        asked = FRAME_CHARTER_REQ;
        break;
    default:
        sid = frame->ancestry.sid;
        asked = FRAME_ANCESTRY_REQ;
        break;
    }
    request = asked_of(sync, peer, frame, sid, &job);
    if (!request)
        return TORG_OK;
    sync->peers[peer].link->answered_ms = sync->now_ms;
    sync->peers[peer].link->answered_bytes += sync->peers[peer].link->session.frame_bytes;
    if (frame->type == FRAME_ERROR) {
        refused(sync, job, frame->error.code);
        return TORG_OK;
    }
    if (request->type != asked) {
        sync_job_blame(sync, job, "an answer of another kind");
        return TORG_OK;
    }
    if (frame->type != FRAME_ENTRIES || !frame->entries.more)
        sync_job_answered(sync, job, request);
    switch (frame->type) {
    case FRAME_CHARTER:
        return sync_charters_answer(sync, job, frame);
    case FRAME_DELTA:
        return sync_delta_answer(sync, job, frame);
    case FRAME_ENTRIES:
        return sync_want_answer(sync, job, request, frame);
    case FRAME_ANCESTRY:
        return sync_ancestry_answer(sync, job, frame);
    default:
        return sync_trie_answer(sync, job, request, frame);
    }
}

/* ---- what the writer says ---- */

enum torg_err sync_fetch_stored(struct sync *sync, const struct sync_pending *pending,
                                enum torg_err err)
{
    struct sync_job *job = &sync->jobs[pending->job];

    if (!job->active || job->serial != pending->job_serial)
        return TORG_OK; /* its connection is gone; what was stored stays */
    job->stores--;
    if (sync_job_is_trouble(err))
        job->storage_full = true;
    switch (job->purpose) {
    case SYNC_FOR_CHARTERS:
        sync_charters_stored(sync, job, err);
        return TORG_OK;
    case SYNC_FOR_DELTA:
        sync_delta_stored(sync, job, err);
        return TORG_OK;
    case SYNC_FOR_ANCESTRY:
        return sync_ancestry_stored(sync, job, err);
    default:
        break;
    }
    if (err && err != TORG_E_KNOWN)
        job->store_failed = true;
    if (sync_job_waits(job) && job->purpose != SYNC_FOR_TRIE)
        return TORG_OK;
    if (job->purpose == SYNC_FOR_MISSING && !job->store_failed) {
        if (job->stores == 0)
            sync_job_end(sync, job, SYNC_DONE);
        return TORG_OK;
    }
    return sync_want_more(sync, job);
}
