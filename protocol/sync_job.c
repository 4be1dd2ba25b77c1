/* SPDX-License-Identifier: EUPL-1.2 */
#include <inttypes.h>
#include <stdlib.h>

#include "protocol/sync_internal.h"

void sync_job_free(struct sync_job *job)
{
    buffer_done(&job->head);
    buffer_done(&job->headers);
    buffer_done(&job->payloads);
    frame_rows_done(&job->part);
    buffer_done(&job->part_read);
    free(job->wants);
    free(job->items);
    free(job->frontier);
    free(job->removed);
    *job = (struct sync_job){0};
}

static uint32_t job_index(const struct sync *sync, const struct sync_job *job)
{
    return (uint32_t)(job - sync->jobs);
}

static uint32_t requests_of(const struct sync_job *job)
{
    uint32_t count = 0;

    for (size_t i = 0; i < SYNC_ASKED_MAX; i++)
        count += job->asked[i].type != 0;
    return count;
}

/* A job whose answer is with the writer will ask again: it has a place as well. */
bool sync_job_room(const struct sync *sync, uint32_t peer)
{
    uint32_t with_peer = 0;

    for (uint32_t i = 0; i < sync->limits.sync_sessions_total; i++) {
        const struct sync_job *job = &sync->jobs[i];
        uint32_t requests = job->active ? requests_of(job) : 0;

        if (job->active && job->peer == peer)
            with_peer += requests ? requests : 1;
    }
    return with_peer < sync->limits.sync_sessions_peer;
}

bool sync_job_waits(const struct sync_job *job)
{
    return requests_of(job) > 0;
}

bool sync_job_waits_for(const struct sync_job *job, uint8_t type)
{
    for (size_t i = 0; i < SYNC_ASKED_MAX; i++) {
        if (job->asked[i].type == type)
            return true;
    }
    return false;
}

/*
 * A reconcile asks for the next thing before it has the last, so that the peer
 * has something to do while this side judges what came; unless another origin
 * has not got a place to ask anything.
 */
struct sync_asked *sync_job_may_ask(const struct sync *sync, struct sync_job *job)
{
    bool first = !sync_job_waits(job);

    if (!first && (job->purpose != SYNC_FOR_TRIE || job->moving || sync->starved ||
                   !sync_job_room(sync, job->peer)))
        return NULL;
    for (size_t i = 0; i < SYNC_ASKED_MAX; i++) {
        if (!job->asked[i].type)
            return &job->asked[i];
    }
    return NULL;
}

void sync_job_answered(struct sync *sync, struct sync_job *job, struct sync_asked *asked)
{
    job->about = asked->type;
    asked->type = 0;
    if (sync_job_waits(job))
        sync->job_ended = true; /* that was a place more than the job's own */
}

/* A free place, if the peer may be asked for one thing more. */
static struct sync_job *job_find(struct sync *sync, uint32_t peer)
{
    for (uint32_t i = 0; i < sync->limits.sync_sessions_total; i++) {
        if (!sync->jobs[i].active)
            return sync_job_room(sync, peer) ? &sync->jobs[i] : NULL;
    }
    return NULL;
}

void sync_job_starve(struct sync *sync, uint32_t origin)
{
    sync->starved = true;
    sync->origins[origin].starved = true;
}

struct sync_job *sync_job_begin(struct sync *sync, uint32_t origin, uint32_t peer,
                                enum sync_purpose purpose)
{
    struct sync_job *job = job_find(sync, peer);
    const struct sync_row *row = &sync->peers[peer].rows[origin];

    if (!job) {
        sync_job_starve(sync, origin);
        return NULL;
    }
    *job = (struct sync_job){
        .active = true,
        .serial = sync->next_serial++,
        .purpose = purpose,
        .origin = origin,
        .peer = peer,
        .link = sync->peers[peer].link->id,
        .started_ms = sync->now_ms,
        .claim_epoch = row->epoch,
        .claim_hno = row->hno,
        .claim_charter_no = row->charter_no,
    };
    sync->job_count++;
    sync->origins[origin].job = job_index(sync, job);
    return job;
}

static int64_t retry_wait_ms(unsigned failures)
{
    int64_t wait_ms = failures <= 1 ? 0 : SYNC_RETRY_MS_MIN;

    for (unsigned i = 2; i < failures && wait_ms < SYNC_RETRY_MS_MAX; i++)
        wait_ms *= 2;
    return wait_ms < SYNC_RETRY_MS_MAX ? wait_ms : SYNC_RETRY_MS_MAX;
}

void sync_job_end(struct sync *sync, struct sync_job *job, enum sync_outcome outcome)
{
    struct sync_origin *origin = &sync->origins[job->origin];
    struct sync_peer *peer = &sync->peers[job->peer];
    bool same_link = peer->link && peer->link->id == job->link;
    uint32_t index = job->origin;

    if (outcome == SYNC_DONE) {
        origin->failures = 0;
        origin->failed_peer = SYNC_NONE;
        if (same_link) {
            peer->rows[index].strikes = 0;
            peer->rows[index].slow_ms = 0;
        }
    } else if (outcome == SYNC_SLOW) {
        origin->failures = 0;
        origin->failed_peer = job->peer;
        peer->rows[index].slow_ms = sync->now_ms;
    } else if (outcome != SYNC_NEITHER) {
        origin->failures++;
        origin->failed_peer = job->peer;
        origin->retry_ms = sync->now_ms + retry_wait_ms(origin->failures);
        if (job->storage_full && origin->retry_ms < sync->now_ms + SYNC_DIAL_MS_MIN)
            origin->retry_ms = sync->now_ms + SYNC_DIAL_MS_MIN;
    }
    if (outcome == SYNC_STRIKE || outcome == SYNC_DISTRUST) {
        sync_note(sync, "fetch.failed",
                  " peer=%s origin=%02x%02x%02x%02x request=%s claimed_hno=%" PRIu64, peer->name,
                  origin->id.bytes[0], origin->id.bytes[1], origin->id.bytes[2],
                  origin->id.bytes[3], frame_type_name(job->about), job->claim_hno);
        sync_peer_strike(sync, job->peer, index, outcome == SYNC_DISTRUST);
    }
    sync_charters_compared(sync, job);
    origin->job = SYNC_NONE;
    sync_job_free(job);
    sync->job_count--;
    sync->job_ended = true;
    sync_origin_attend(sync, index);
}

void sync_job_blame(struct sync *sync, struct sync_job *job, const char *what)
{
    sync->counters.mismatches++;
    /* Not its sid: to the peer that would be a refusal of one of its own requests. */
    sync_link_error(sync, job->peer, 0, FRAME_CODE_MISMATCH, what);
    sync_job_end(sync, job, SYNC_DISTRUST);
}

/* The beginning of a frame that is coming in. */
static uint64_t partial_bytes(const struct sync_link *link)
{
    return link->session.partial_taken ? 0 : link->session.partial.size;
}

static uint64_t link_answered_bytes(const struct sync_link *link)
{
    return link->answered_bytes + partial_bytes(link);
}

/* How long so many bytes may take. */
static int64_t time_for(const struct sync *sync, uint64_t bytes)
{
    return (int64_t)(bytes * 1000 / sync->limits.answer_bytes_per_s_min);
}

enum torg_err sync_job_ask(struct sync *sync, struct sync_job *job, struct sync_asked *asked,
                           struct frame *frame)
{
    struct session *session = &sync->peers[job->peer].link->session;
    enum torg_err err;

    asked->sid = sync->next_sid++;
    switch (frame->type) {
    case FRAME_PULL:
        frame->pull.sid = asked->sid;
        break;
    case FRAME_TRIE_REQ:
        frame->trie_req.sid = asked->sid;
        break;
    case FRAME_FETCH:
        frame->fetch.sid = asked->sid;
        break;
    case FRAME_ANCESTRY_REQ:
        frame->ancestry_req.sid = asked->sid;
        break;
    default:
        break; /* CHARTER_REQ has none */
    }
    asked->type = job->about = frame->type;
    asked->at_ms = sync->now_ms;
    asked->bytes = link_answered_bytes(sync->peers[job->peer].link);
    err = session_send(session, frame, sync->now_ms);
    if (err == TORG_E_BUSY) {
        sync_job_end(sync, job, SYNC_AGAIN); /* the session is closing */
        return TORG_OK;
    }
    return err;
}

struct sync_pending sync_job_pending(const struct sync *sync, const struct sync_job *job)
{
    return (struct sync_pending){
        .origin = job->origin,
        .link = job->link,
        .job = job_index(sync, job),
        .job_serial = job->serial,
        .epoch = job->parsed.epoch,
        .hno = job->parsed.hno,
    };
}

bool sync_job_is_trouble(enum torg_err err)
{
    return err == TORG_E_NOMEM || err == TORG_E_FULL || err == TORG_E_IO || err == TORG_E_BUSY ||
           err == TORG_E_CORRUPT || err == TORG_E_LOCKED;
}

/*
 * An answer is waited for SYNC_ANSWER_MS_MAX, and so is each of its frames. But
 * who sends little at a time does not hold an origin for ever: all the waiting
 * for one request together is paid for in bytes, at the least rate. What the
 * link answers to other requests counts, for it may be a slow line that all share.
 */
static int64_t request_deadline_ms(const struct sync *sync, const struct sync_link *link,
                                   const struct sync_asked *asked)
{
    uint64_t bytes = link_answered_bytes(link);
    int64_t from_ms = link->answered_ms > asked->at_ms ? link->answered_ms : asked->at_ms;
    int64_t frame_ms = from_ms + SYNC_ANSWER_MS_MAX + time_for(sync, partial_bytes(link));
    int64_t whole_ms = asked->at_ms + SYNC_ANSWER_MS_MAX;

    if (bytes > asked->bytes)
        whole_ms += time_for(sync, bytes - asked->bytes);
    return frame_ms < whole_ms ? frame_ms : whole_ms;
}

/* Of the request that has been out for longest; INT64_MAX: none is. */
static int64_t deadline_ms(const struct sync *sync, const struct sync_job *job,
                           const struct sync_asked **ret_asked)
{
    int64_t first_ms = INT64_MAX;

    for (size_t i = 0; job->active && i < SYNC_ASKED_MAX; i++) {
        const struct sync_asked *asked = &job->asked[i];
        int64_t due_ms;

        if (!asked->type)
            continue;
        due_ms = request_deadline_ms(sync, sync->peers[job->peer].link, asked);
        if (due_ms < first_ms) {
            first_ms = due_ms;
            *ret_asked = asked;
        }
    }
    return first_ms;
}

void sync_job_timeouts(struct sync *sync)
{
    for (uint32_t i = 0; sync->job_count && i < sync->limits.sync_sessions_total; i++) {
        struct sync_job *job = &sync->jobs[i];
        const struct sync_link *link = job->active ? sync->peers[job->peer].link : NULL;
        const struct sync_asked *asked = NULL;

        if (!link || sync->now_ms < deadline_ms(sync, job, &asked))
            continue;
        job->about = asked->type;
        /* Who is silent altogether is cut off, not a liar; the session sees to that. */
        sync_job_end(sync, job, link->session.heard_ms > asked->at_ms ? SYNC_STRIKE : SYNC_AGAIN);
    }
}

void sync_job_link_lost(struct sync *sync, uint32_t link)
{
    for (uint32_t i = 0; i < sync->limits.sync_sessions_total; i++) {
        if (sync->jobs[i].active && sync->jobs[i].link == link)
            sync_job_end(sync, &sync->jobs[i], SYNC_AGAIN);
    }
}

int64_t sync_job_next_tick_ms(const struct sync *sync)
{
    int64_t next_ms = INT64_MAX;

    for (uint32_t i = 0; sync->job_count && i < sync->limits.sync_sessions_total; i++) {
        const struct sync_asked *asked;
        int64_t due_ms = deadline_ms(sync, &sync->jobs[i], &asked);

        if (due_ms < next_ms)
            next_ms = due_ms;
    }
    return next_ms;
}
