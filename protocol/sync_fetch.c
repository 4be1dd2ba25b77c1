/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/sync_internal.h"

/* ---- jobs ---- */

void sync_fetch_free(struct sync_job *job)
{
    buffer_done(&job->head);
    buffer_done(&job->headers);
    buffer_done(&job->payloads);
    frame_rows_done(&job->part);
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

/* A free place, if the peer may be asked for one thing more. */
static struct sync_job *job_find(struct sync *sync, uint32_t peer)
{
    struct sync_job *found = NULL;
    uint32_t with_peer = 0;

    for (uint32_t i = 0; i < sync->limits.sync_sessions_total; i++) {
        if (!sync->jobs[i].active)
            found = found ? found : &sync->jobs[i];
        else if (sync->jobs[i].peer == peer)
            with_peer++;
    }
    if (!found || with_peer >= sync->limits.sync_sessions_peer)
        return NULL;
    return found;
}

static void starve(struct sync *sync, uint32_t origin)
{
    sync->starved = true;
    sync->origins[origin].starved = true;
}

struct sync_job *sync_fetch_begin(struct sync *sync, uint32_t origin, uint32_t peer,
                                  enum sync_purpose purpose)
{
    struct sync_job *job = job_find(sync, peer);
    const struct sync_row *row = &sync->peers[peer].rows[origin];

    if (!job) {
        starve(sync, origin);
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

void sync_fetch_end(struct sync *sync, struct sync_job *job, enum sync_outcome outcome)
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
                  origin->id.bytes[3], frame_type_name(job->asked), job->claim_hno);
        sync_peer_strike(sync, job->peer, index, outcome == SYNC_DISTRUST);
    }
    origin->job = SYNC_NONE;
    sync_fetch_free(job);
    sync->job_count--;
    sync->job_ended = true;
    sync_origin_attend(sync, index);
}

/* What the peer sent does not verify by itself: it is told, and others are asked. */
static void blame(struct sync *sync, struct sync_job *job, const char *what)
{
    sync->counters.mismatches++;
    sync_link_error(sync, job->peer, job->sid, FRAME_CODE_MISMATCH, what);
    sync_fetch_end(sync, job, SYNC_DISTRUST);
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

enum torg_err sync_fetch_ask(struct sync *sync, struct sync_job *job, struct frame *frame)
{
    struct session *session = &sync->peers[job->peer].link->session;
    enum torg_err err;

    job->sid = sync->next_sid++;
    switch (frame->type) {
    case FRAME_PULL:
        frame->pull.sid = job->sid;
        break;
    case FRAME_TRIE_REQ:
        frame->trie_req.sid = job->sid;
        break;
    case FRAME_FETCH:
        frame->fetch.sid = job->sid;
        break;
    case FRAME_ANCESTRY_REQ:
        frame->ancestry_req.sid = job->sid;
        break;
    default:
        break; /* CHARTER_REQ has none */
    }
    job->asked = frame->type;
    job->asked_ms = sync->now_ms;
    job->asked_bytes = link_answered_bytes(sync->peers[job->peer].link);
    err = session_send(session, frame, sync->now_ms);
    if (err == TORG_E_BUSY) {
        sync_fetch_end(sync, job, SYNC_AGAIN); /* the session is closing */
        return TORG_OK;
    }
    return err;
}

struct sync_pending sync_fetch_pending(const struct sync *sync, const struct sync_job *job)
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

bool sync_fetch_is_trouble(enum torg_err err)
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
static int64_t deadline_ms(const struct sync *sync, const struct sync_job *job)
{
    const struct sync_link *link = sync->peers[job->peer].link;
    uint64_t bytes = link_answered_bytes(link);
    int64_t from_ms = link->answered_ms > job->asked_ms ? link->answered_ms : job->asked_ms;
    int64_t frame_ms = from_ms + SYNC_ANSWER_MS_MAX + time_for(sync, partial_bytes(link));
    int64_t whole_ms = job->asked_ms + SYNC_ANSWER_MS_MAX;

    if (bytes > job->asked_bytes)
        whole_ms += time_for(sync, bytes - job->asked_bytes);
    return frame_ms < whole_ms ? frame_ms : whole_ms;
}

void sync_fetch_timeouts(struct sync *sync)
{
    for (uint32_t i = 0; i < sync->limits.sync_sessions_total; i++) {
        struct sync_job *job = &sync->jobs[i];

        const struct sync_link *link = job->active ? sync->peers[job->peer].link : NULL;

        if (!link || !job->asked || sync->now_ms < deadline_ms(sync, job))
            continue;
        /* Who is silent altogether is cut off, not a liar; the session sees to that. */
        sync_fetch_end(sync, job,
                       link->session.heard_ms > job->asked_ms ? SYNC_STRIKE : SYNC_AGAIN);
    }
}

void sync_fetch_link_lost(struct sync *sync, uint32_t link)
{
    for (uint32_t i = 0; i < sync->limits.sync_sessions_total; i++) {
        if (sync->jobs[i].active && sync->jobs[i].link == link)
            sync_fetch_end(sync, &sync->jobs[i], SYNC_AGAIN);
    }
}

int64_t sync_fetch_next_tick_ms(const struct sync *sync)
{
    int64_t next_ms = INT64_MAX;

    for (uint32_t i = 0; i < sync->limits.sync_sessions_total; i++) {
        const struct sync_job *job = &sync->jobs[i];

        if (job->active && job->asked && deadline_ms(sync, job) < next_ms)
            next_ms = deadline_ms(sync, job);
    }
    return next_ms;
}

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
 * that failed just now, then who has more.
 */
static bool better(const struct sync *sync, const struct sync_origin *origin, uint32_t index,
                   uint32_t a, uint32_t b)
{
    const struct sync_row *left = &sync->peers[a].rows[index];
    const struct sync_row *right = &sync->peers[b].rows[index];
    bool left_full = (origin->wanted & ~left->mask) == 0;
    bool right_full = (origin->wanted & ~right->mask) == 0;

    if (left->strikes != right->strikes)
        return left->strikes < right->strikes;
    if (left->slow_ms != right->slow_ms)
        return left->slow_ms < right->slow_ms;
    if ((a == origin->failed_peer) != (b == origin->failed_peer))
        return b == origin->failed_peer;
    if (left_full != right_full)
        return left_full;
    return sync_number_compare(left->epoch, left->hno, right->epoch, right->hno) > 0;
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
        if (sync_peer_believed(sync, row) &&
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
        sync_fetch_end(sync, job, SYNC_DISTRUST);
        return;
    }
    switch (err) {
    case TORG_E_GAP:
        if (row->charter_no < head.charter_no)
            row->charter_no = head.charter_no;
        sync_fetch_end(sync, job, SYNC_AGAIN);
        break;
    case TORG_E_KNOWN:
    case TORG_E_STALE:
        if (sync_number_compare(head.epoch, head.hno, job->claim_epoch, job->claim_hno) < 0) {
            sync_fetch_end(sync, job, SYNC_STRIKE); /* less than it claims to have */
            break;
        }
        /* Its newest head is from before a charter that we have: it waits for a newer one, too. */
        row->useless = true;
        sync_fetch_end(sync, job, SYNC_AGAIN);
        break;
    case TORG_E_UNEXPECTED:
        row->useless = true;
        sync_fetch_end(sync, job, SYNC_AGAIN);
        break;
    default:
        sync_fetch_end(sync, job, SYNC_DISTRUST);
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
    err = sync_head_check(sync, job->origin, head_bytes, &head);
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
    buffer_clear(&job->head);
    buffer_put_span(&job->head, head_bytes);
    job->parsed = head;
    *ret_usable = !job->head.err;
    return job->head.err;
}

/* ---- what is to be fetched ---- */

enum torg_err sync_fetch_want(struct sync_job *job, const struct sync_want *want)
{
    if (job->want_count == job->want_capacity) {
        size_t capacity = job->want_capacity ? 2 * job->want_capacity : 64;
        struct sync_want *grown = realloc(job->wants, capacity * sizeof(*grown));

        if (!grown)
            return TORG_E_NOMEM;
        job->wants = grown;
        job->want_capacity = capacity;
    }
    job->wants[job->want_count++] = *want;
    return TORG_OK;
}

/* Enough has been gathered for a write, or this was all. */
static bool part_is_due(const struct sync *sync, const struct sync_job *job)
{
    if (!job->part.count && !job->removed_count)
        return false;
    return job->part.bytes.size > SYNC_PART_BYTES || job->removed_count >= SYNC_REMOVED_MAX / 2 ||
           job->frontier_count == 0 || sync_fetch_turn_over(sync, job);
}

/*
 * All that was wanted has been answered. A reconcile goes on to other subtrees
 * while the writer has what these have brought: a disk that syncs and a line
 * that carries need not wait for each other.
 */
static enum torg_err fetched(struct sync *sync, struct sync_job *job)
{
    enum torg_err err = TORG_OK;

    if (job->purpose == SYNC_FOR_DELTA)
        return sync_delta_commit(sync, job);
    if (job->purpose == SYNC_FOR_MISSING) {
        if (job->part.count)
            err = sync_fetch_store_part(sync, job, REPLICA_WRITE_PAYLOADS);
        if (!err && job->stores == 0)
            sync_fetch_end(sync, job, SYNC_DONE);
        return err;
    }
    if (part_is_due(sync, job))
        err = sync_fetch_store_part(sync, job, REPLICA_WRITE_PART);
    if (!err && (job->stores == 0 || (job->frontier_count && job->stores < SYNC_STORES_MAX)))
        err = sync_trie_go_on(sync, job);
    return err;
}

/*
 * Its turn is over: what a reconcile has gathered is stored, and the next peer
 * goes on from there. A delta is all or nothing, so a reconcile takes its place.
 */
static enum torg_err turn_end(struct sync *sync, struct sync_job *job)
{
    if (job->purpose == SYNC_FOR_DELTA) {
        sync->origins[job->origin].reconcile = true;
        sync_fetch_end(sync, job, SYNC_SLOW);
        return TORG_OK;
    }
    job->asked = 0;
    job->want_next = job->want_count;
    return fetched(sync, job);
}

static bool turn_ends(const struct sync *sync, const struct sync_job *job)
{
    return (job->purpose == SYNC_FOR_DELTA || job->purpose == SYNC_FOR_TRIE) &&
           sync_fetch_turn_over(sync, job);
}

enum torg_err sync_fetch_more(struct sync *sync, struct sync_job *job)
{
    struct frame frame = {.type = FRAME_FETCH};
    size_t next = job->want_next;

    job->asked = 0;
    if (job->store_failed) {
        if (job->stores == 0)
            sync_fetch_end(sync, job, SYNC_AGAIN);
        return TORG_OK; /* else it ends when all are back */
    }
    if (next < job->want_count && turn_ends(sync, job))
        return turn_end(sync, job);
    if (next == job->want_count)
        return fetched(sync, job);
    if (job->purpose == SYNC_FOR_TRIE && job->stores >= SYNC_STORES_MAX)
        return TORG_OK; /* until the writer has taken some of it */
    frame_rows_clear(&sync->rows);
    frame.fetch.collection = job->wants[next].collection;
    while (next < job->want_count && sync->rows.count < FETCH_ENTRIES_MAX &&
           job->wants[next].collection == frame.fetch.collection)
        frame_rows_key(&sync->rows, &job->wants[next++].entry);
    if (sync->rows.bytes.err)
        return sync->rows.bytes.err;
    job->want_first = job->want_next;
    job->want_seen = job->want_next;
    job->want_next = next;
    frame.fetch.origin = sync->origins[job->origin].id;
    frame.fetch.keys = frame_rows_list(&sync->rows);
    return sync_fetch_ask(sync, job, &frame);
}

/* The want that an entry answers: they come in the order they were asked for, some left out. */
static const struct sync_want *want_match(struct sync_job *job, const struct hash *header_hash)
{
    while (job->want_seen < job->want_next) {
        const struct sync_want *want = &job->wants[job->want_seen++];

        if (memcmp(&want->entry.header_hash, header_hash, sizeof(*header_hash)) == 0)
            return want;
    }
    return NULL;
}

/* An entry of a reconcile, or a payload that was missing: gathered until there is enough. */
static enum torg_err part_add(struct sync *sync, struct sync_job *job,
                              const struct frame_entry *entry)
{
    bool reconcile = job->purpose == SYNC_FOR_TRIE;
    enum torg_err err = TORG_OK;

    if (!reconcile && !entry->has_payload)
        return TORG_OK;
    if (job->part.bytes.size > SYNC_PART_BYTES)
        err = sync_fetch_store_part(sync, job,
                                    reconcile ? REPLICA_WRITE_PART : REPLICA_WRITE_PAYLOADS);
    if (err)
        return err;
    frame_rows_entry(&job->part, entry);
    return job->part.bytes.err;
}

/*
 * One entry against what was asked for. *ret_fault says why it does not fit:
 * the sender is to blame, or, with origin_fault, the origin itself.
 */
static enum torg_err entry_take(struct sync *sync, struct sync_job *job,
                                const struct frame_entry *entry, const char **ret_fault,
                                bool *ret_origin_fault)
{
    struct hash header_hash = change_header_hash(entry->header);
    const struct sync_want *want = want_match(job, &header_hash);
    struct replica_entry read;
    enum torg_err err;

    if (!want) {
        *ret_fault = "an entry that was not asked for";
        return TORG_OK;
    }
    err = replica_entry_read(entry->header, entry->payload, &read);
    if (err == TORG_E_NOMEM)
        return err;
    if (err == TORG_E_MISMATCH) {
        *ret_fault = "a payload differs from its header";
        return TORG_OK;
    }
    /* Its hash stands under the signed root, so these bytes are what the origin signed. */
    if (err || read.header.op != CHANGE_UPSERT || read.header.collection != want->collection ||
        memcmp(&read.key, &want->entry.key, sizeof(read.key)) != 0) {
        *ret_origin_fault = true;
        return TORG_OK;
    }
    sync->counters.listings_in++;
    sync->counters.payloads_in += entry->has_payload;
    sync->counters.payload_bytes_in += entry->payload.size;
    if (job->purpose == SYNC_FOR_DELTA)
        return sync_delta_add(job, want, entry);
    return part_add(sync, job, entry);
}

/* No state that obeys the rules has this root: said once, and the next head is waited for. */
static enum torg_err origin_faulty(struct sync *sync, struct sync_job *job)
{
    struct sync_pending pending = sync_fetch_pending(sync, job);
    struct sync_store *store = calloc(1, sizeof(*store));

    if (!store)
        return TORG_E_NOMEM;
    buffer_put_span(&store->bytes[1], buffer_span(&job->head));
    if (store->bytes[1].err) {
        sync_store_free(store);
        return TORG_E_NOMEM;
    }
    store->write.kind = REPLICA_WRITE_FAULTY;
    store->write.head = frame_head(buffer_span(&store->bytes[1]));
    sync_note(sync, "origin.faulty", " epoch=%" PRIu64 " hno=%" PRIu64, job->parsed.epoch,
              job->parsed.hno);
    pending.job = SYNC_NONE;
    sync->origins[job->origin].retry_ms = sync->now_ms + SYNC_RETRY_MS_MAX;
    sync_fetch_end(sync, job, SYNC_AGAIN);
    return sync_store_submit(sync, store, &pending);
}

static enum torg_err entries_answer(struct sync *sync, struct sync_job *job,
                                    const struct frame *frame)
{
    struct profile_reader in = frame_list_reader(&frame->entries.entries);
    bool origin_fault = false;
    const char *fault = NULL;
    enum torg_err err = TORG_OK;

    for (uint32_t i = 0; i < frame->entries.entries.count && !fault && !origin_fault && !err; i++) {
        struct frame_entry entry = frame_read_entry(&in);

        err = entry_take(sync, job, &entry, &fault, &origin_fault);
    }
    if (err)
        return err;
    if (fault) {
        blame(sync, job, fault);
        return TORG_OK;
    }
    if (origin_fault)
        return origin_faulty(sync, job);
    if (frame->entries.more && frame->entries.entries.count == 0) {
        sync_fetch_end(sync, job, SYNC_STRIKE); /* it could go on for ever */
        return TORG_OK;
    }
    if (frame->entries.more)
        return turn_ends(sync, job) ? turn_end(sync, job) : TORG_OK;
    return sync_fetch_more(sync, job);
}

/* ---- parts: reconcile and missing payloads ---- */

static int key_order(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct listing_key));
}

static enum torg_err part_fill(struct sync_job *job, struct sync_store *store)
{
    struct frame_list list;
    struct profile_reader in;

    store->bytes[0] = job->part.bytes;
    job->part.bytes = (struct buffer){0};
    list = (struct frame_list){.count = job->part.count, .bytes = buffer_span(&store->bytes[0])};
    job->part.count = 0;
    store->removed = job->removed;
    store->write.removed = job->removed;
    store->write.removed_count = job->removed_count;
    job->removed = NULL;
    job->removed_count = job->removed_capacity = 0;
    if (store->removed)
        qsort(store->removed, store->write.removed_count, sizeof(*store->removed), key_order);
    store->entries = calloc(list.count ? list.count : 1, sizeof(*store->entries));
    if (!store->entries)
        return TORG_E_NOMEM;
    in = frame_list_reader(&list);
    for (uint32_t i = 0; i < list.count; i++) {
        struct frame_entry entry = frame_read_entry(&in);
        enum torg_err err = replica_entry_read(entry.header, entry.payload, &store->entries[i]);

        if (err)
            return err;
    }
    store->write.entries = store->entries;
    store->write.entry_count = list.count;
    return TORG_OK;
}

enum torg_err sync_fetch_store_part(struct sync *sync, struct sync_job *job,
                                    enum replica_write_kind kind)
{
    struct sync_pending pending = sync_fetch_pending(sync, job);
    struct sync_store *store = calloc(1, sizeof(*store));
    enum torg_err err;

    if (!store)
        return TORG_E_NOMEM;
    store->write.kind = kind;
    store->write.collection = job->collection;
    store->write.mask = sync->origins[job->origin].wanted;
    buffer_put_span(&store->bytes[1], buffer_span(&job->head));
    err = store->bytes[1].err;
    if (!err)
        err = part_fill(job, store);
    if (err) {
        sync_store_free(store);
        return err;
    }
    if (job->head.size)
        store->write.head = frame_head(buffer_span(&store->bytes[1]));
    return sync_store_submit(sync, store, &pending);
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

static void graft(struct sync *sync, uint32_t index, uint32_t peer)
{
    struct sync_row *row = &sync->peers[peer].rows[index];

    if (row->eager_in)
        return;
    row->eager_in = true;
    row->tree_due = SYNC_TREE_GRAFT;
    sync->peers[peer].link->rows_due = true;
}

static enum torg_err head_begin(struct sync *sync, uint32_t index, uint32_t peer)
{
    struct sync_origin *origin = &sync->origins[index];
    const struct sync_row *row = &sync->peers[peer].rows[index];
    struct sync_job *job;

    /* Of an origin of which nothing is wanted only the head is taken. */
    if (!origin->wanted || (origin->has_head && sync_origin_whole(origin) && !origin->reconcile &&
                            row->epoch == origin->epoch && (origin->wanted & ~row->mask) == 0))
        return sync_delta_pull(sync, index, peer, SYNC_FOR_DELTA);
    job = sync_fetch_begin(sync, index, peer, SYNC_FOR_TRIE);
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
        if (row->eager_in)
            return;
        if (best == SYNC_NONE || better(sync, &sync->origins[index], index, i, best))
            best = i;
    }
    if (best != SYNC_NONE)
        graft(sync, index, best);
}

/* A newer head does not wait for older ones. */
static void ancestry_gives_way(struct sync *sync, uint32_t index)
{
    struct sync_origin *origin = &sync->origins[index];
    struct sync_job *job = origin->job == SYNC_NONE ? NULL : &sync->jobs[origin->job];

    if (job && job->purpose == SYNC_FOR_ANCESTRY && job->asked && !takes_no_heads(origin) &&
        choose(sync, index, NEED_HEAD) != SYNC_NONE)
        sync_fetch_end(sync, job, SYNC_NEITHER);
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
            row->useless || !sync_peer_believed(sync, row))
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

    ancestry_gives_way(sync, index);
    if (origin->job != SYNC_NONE || origin->pending > (origin->pending_beat ? 1 : 0))
        return TORG_OK;
    parent_check(sync, index);
    if (sync->now_ms < origin->retry_ms) {
        sync_origin_attend_at(sync, index, origin->retry_ms);
        return TORG_OK;
    }
    if (sync->job_count == sync->limits.sync_sessions_total) {
        starve(sync, index); /* whatever it needs, there is no place for a job */
        return TORG_OK;
    }
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
    if (peer == SYNC_NONE && !sync_origin_whole(origin))
        peer = choose(sync, index, NEED_REST);
    if (peer != SYNC_NONE) {
        if (batch_may_come(sync, index, peer))
            return TORG_OK;
        graft(sync, index, peer);
        return head_begin(sync, index, peer);
    }
    origin->behind_since_ms = -1;
    if (sync_origin_whole(origin)) {
        enum torg_err err = sync_ancestry_begin(sync, index, &asked);

        if (err || asked)
            return err;
    }
    return missing_attend(sync, index);
}

/* ---- answers ---- */

static struct sync_job *job_of(struct sync *sync, uint32_t peer, const struct frame *frame,
                               uint64_t sid)
{
    uint32_t link = sync->peers[peer].link->id;

    for (uint32_t i = 0; i < sync->limits.sync_sessions_total; i++) {
        struct sync_job *job = &sync->jobs[i];

        if (!job->active || job->link != link || !job->asked)
            continue;
        if (frame->type == FRAME_CHARTER) {
            if (job->asked == FRAME_CHARTER_REQ &&
                memcmp(&sync->origins[job->origin].id, &frame->charter.origin,
                       sizeof(frame->charter.origin)) == 0)
                return job;
        } else if (job->sid == sid) {
            return job;
        }
    }
    return NULL;
}

static void refused(struct sync *sync, struct sync_job *job, uint64_t code)
{
    struct sync_origin *origin = &sync->origins[job->origin];

    /* CHARTER_REQ has no sid: nobody who follows the protocol can refuse it with one. */
    if ((code == FRAME_CODE_BUSY || code == FRAME_CODE_INTERNAL) &&
        job->purpose != SYNC_FOR_CHARTERS) {
        sync_fetch_end(sync, job, SYNC_AGAIN);
        return;
    }
    if (code == FRAME_CODE_NOT_HELD && job->purpose == SYNC_FOR_ANCESTRY) {
        sync_ancestry_refused(sync, job); /* it need not keep all heads */
        return;
    }
    if (code == FRAME_CODE_NOT_HELD && job->purpose == SYNC_FOR_DELTA) {
        origin->reconcile = true; /* too far behind for a delta; no fault in that */
        sync_fetch_end(sync, job, SYNC_AGAIN);
        return;
    }
    sync_fetch_end(sync, job, SYNC_STRIKE);
}

enum torg_err sync_fetch_answer(struct sync *sync, uint32_t peer, const struct frame *frame)
{
    uint64_t sid = 0;
    uint8_t asked = 0;
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
    job = job_of(sync, peer, frame, sid);
    if (!job)
        return TORG_OK; /* an answer that came too late */
    sync->peers[peer].link->answered_ms = sync->now_ms;
    sync->peers[peer].link->answered_bytes += sync->peers[peer].link->session.frame_bytes;
    if (frame->type == FRAME_ERROR) {
        refused(sync, job, frame->error.code);
        return TORG_OK;
    }
    if (job->asked != asked) {
        blame(sync, job, "an answer of another kind");
        return TORG_OK;
    }
    switch (frame->type) {
    case FRAME_CHARTER:
        return sync_charters_answer(sync, job, frame);
    case FRAME_DELTA:
        return sync_delta_answer(sync, job, frame);
    case FRAME_ENTRIES:
        return entries_answer(sync, job, frame);
    case FRAME_ANCESTRY:
        return sync_ancestry_answer(sync, job, frame);
    default:
        return sync_trie_answer(sync, job, frame);
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
    if (sync_fetch_is_trouble(err))
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
    if (job->asked)
        return TORG_OK;
    if (job->purpose == SYNC_FOR_MISSING && !job->store_failed) {
        if (job->stores == 0)
            sync_fetch_end(sync, job, SYNC_DONE);
        return TORG_OK;
    }
    return sync_fetch_more(sync, job);
}
