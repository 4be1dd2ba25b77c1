/* SPDX-License-Identifier: EUPL-1.2 */
#include <inttypes.h>
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
    return sync_job_ask(sync, job, &job->asked[0], &frame);
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

/* ---- two charters with one number ---- */

bool sync_charters_differ(const struct sync *sync, const struct sync_row *row)
{
    return sync->now_ms < row->differs_until_ms;
}

bool sync_charters_doubt(struct sync *sync, uint32_t peer, uint32_t index)
{
    struct sync_row *row = &sync->peers[peer].rows[index];
    struct sync_origin *origin = &sync->origins[index];

    if (!origin->known || origin->charter_no == 0)
        return false;
    row->useless = true;
    if (row->charters_doubted || sync_charters_differ(sync, row) ||
        !sync_peer_believed(sync, row)) {
        /* It is on its way to be found out: until then each costs as much as evidence. */
        session_charge(&sync->peers[peer].link->session, SYNC_PROOF_CHARGE, sync->now_ms);
        return true;
    }
    row->charters_doubted = true;
    sync_origin_attend(sync, index);
    return true;
}

static enum torg_err compare_ask(struct sync *sync, struct sync_job *job)
{
    struct frame frame = {.type = FRAME_CHARTER_REQ};

    frame.charter_req.origin = sync->origins[job->origin].id;
    frame.charter_req.from = job->compared;
    return sync_job_ask(sync, job, &job->asked[0], &frame);
}

enum torg_err sync_charters_compare(struct sync *sync, uint32_t index, bool *ret_asked)
{
    *ret_asked = false;
    for (uint32_t i = 0; i < sync->peer_count; i++) {
        const struct sync_peer *peer = &sync->peers[i];
        struct sync_job *job;

        if (!peer->link || peer->link->session.state != SESSION_OPEN ||
            !peer->rows[index].charters_doubted)
            continue;
        job = sync_job_begin(sync, index, i, SYNC_FOR_CHARTERS);
        if (!job)
            continue; /* it answers other questions first, and others about this origin */
        *ret_asked = true;
        job->compared = 1; /* charter 0 is the origin's id */
        job->compared_with = sync->origins[index].charter_hash;
        return compare_ask(sync, job);
    }
    return TORG_OK;
}

void sync_charters_compared(struct sync *sync, const struct sync_job *job)
{
    struct sync_row *rows = sync->peers[job->peer].rows;

    if (job->compared && rows)
        rows[job->origin].charters_doubted = false;
}

static void compare_blame(struct sync *sync, struct sync_job *job)
{
    session_close(&sync->peers[job->peer].link->session, TORG_E_SIGNATURE, FRAME_CODE_BAD_SIG,
                  "signed by nobody whom the charters name");
    sync_job_end(sync, job, SYNC_DISTRUST);
}

/*
 * Its charters are ours, and it sent what they do not allow. If two are known, it may have gone
 * over to ours meanwhile, and is to be asked again; not for nothing, nor for ever.
 */
static enum torg_err compare_same(struct sync *sync, struct sync_job *job)
{
    const struct sync_origin *origin = &sync->origins[job->origin];
    struct replica_origin record;
    struct hash held, rival;
    uint64_t number;
    enum torg_err err = replica_origin_get(sync->read, &origin->id, &record);

    if (!err && !origin->evidence.size)
        err = replica_rival_find(sync->read, &record, &number, &held, &rival);
    if (err == TORG_E_NOT_FOUND) {
        compare_blame(sync, job);
        return TORG_OK;
    }
    if (err)
        return err;
    session_charge(&sync->peers[job->peer].link->session, SYNC_PROOF_CHARGE, sync->now_ms);
    sync->peers[job->peer].rows[job->origin].useless = false;
    sync_job_end(sync, job, SYNC_STRIKE);
    return TORG_OK;
}

/* Is it the right one of them, as we were told? */
static bool is_named(const struct sync_origin *origin, struct span stored)
{
    struct charter_signed object;
    struct hash hash;

    if (!origin->has_named || charter_signed_parse(stored, &object))
        return false;
    hash = charter_hash(object.bytes);
    return memcmp(&hash, &origin->named, sizeof(hash)) == 0;
}

/* Its charter of that number is another: are both signed as they must be? */
static enum torg_err compare_differs(struct sync *sync, struct sync_job *job, struct span held,
                                     struct span theirs)
{
    struct sync_peer *peer = &sync->peers[job->peer];
    struct sync_origin *origin = &sync->origins[job->origin];
    struct replica_origin record;
    struct buffer evidence = {0};
    uint64_t epoch;
    enum torg_err err;

    session_charge(&peer->link->session, SYNC_PROOF_CHARGE, sync->now_ms);
    replica_rival_pack(held, theirs, &evidence);
    err = evidence.err;
    if (!err)
        err = replica_origin_get(sync->read, &origin->id, &record);
    if (!err)
        err = replica_proof_check(sync->read, &record, buffer_span(&evidence), &epoch);
    if (!err || (err == TORG_E_KNOWN && is_named(origin, theirs))) {
        sync_note(sync, "origin.charters", " peer=%s origin=%02x%02x%02x%02x number=%" PRIu64,
                  peer->name, origin->id.bytes[0], origin->id.bytes[1], origin->id.bytes[2],
                  origin->id.bytes[3], job->compared);
        err = sync_proof_keep(sync, job->origin, 0, buffer_span(&evidence));
    }
    buffer_done(&evidence);
    if (sync_job_is_trouble(err))
        return err;
    if (err && err != TORG_E_KNOWN) {
        compare_blame(sync, job);
        return TORG_OK;
    }
    peer->rows[job->origin].differs_until_ms = sync->now_ms + SYNC_CHARTERS_MS;
    sync_job_end(sync, job, SYNC_NEITHER);
    return TORG_OK;
}

/* The next of its charters beside ours; *ret_same false when the job has ended. */
static enum torg_err compare_one(struct sync *sync, struct sync_job *job, struct span theirs,
                                 bool *ret_same)
{
    struct charter_signed held, other;
    struct charter charter;
    struct span stored;
    enum torg_err err = charter_signed_parse(theirs, &other);

    *ret_same = false;
    if (!err)
        err = charter_parse(other.bytes, &charter);
    if (err) {
        compare_blame(sync, job);
        return TORG_OK;
    }
    if (charter.charter_no != job->compared) {
        sync_job_end(sync, job, SYNC_STRIKE); /* of an older request, perhaps: it has no sid */
        return TORG_OK;
    }
    err =
        replica_charter_get(sync->read, sync->origins[job->origin].number, job->compared, &stored);
    if (!err)
        err = charter_signed_parse(stored, &held);
    if (err)
        return TORG_E_CORRUPT;
    if (!span_equal(held.bytes, other.bytes))
        return compare_differs(sync, job, stored, theirs);
    *ret_same = true;
    job->compared++;
    return TORG_OK;
}

static enum torg_err compare_answer(struct sync *sync, struct sync_job *job,
                                    const struct frame_list *list)
{
    struct profile_reader in = frame_list_reader(list);
    const struct sync_origin *origin = &sync->origins[job->origin];
    uint64_t newest = origin->charter_no;

    if (memcmp(&job->compared_with, &origin->charter_hash, sizeof(origin->charter_hash)) != 0) {
        /* Ours are others now, and with these what it sent may be right. */
        sync_job_end(sync, job, SYNC_NEITHER);
        return TORG_OK;
    }
    for (uint32_t i = 0; i < list->count && job->compared <= newest; i++) {
        bool same;
        enum torg_err err = compare_one(sync, job, profile_skip(&in), &same);

        if (err || !same)
            return err;
    }
    if (list->count && job->compared <= newest)
        return compare_ask(sync, job);
    return compare_same(sync, job);
}

void sync_charters_unsettled(struct sync_origin *origin)
{
    origin->settle_due = origin->has_named;
}

void sync_charters_name(struct sync_origin *origin, const struct hash *named)
{
    struct hash hash = named ? *named : (struct hash){0};

    /* Told again with each change of a list of thousands; what is done need not be done again. */
    if (origin->has_named == (named != NULL) &&
        memcmp(&origin->named, &hash, sizeof(origin->named)) == 0)
        return;
    origin->has_named = named != NULL;
    origin->named = hash;
    sync_charters_unsettled(origin);
}

enum torg_err sync_charters_settle(struct sync *sync, uint32_t index)
{
    struct sync_origin *origin = &sync->origins[index];
    struct sync_pending pending = {.origin = index, .job = SYNC_NONE};
    struct sync_store *store;
    enum torg_err err;

    if (!origin->settle_due || origin->pending_settle || !origin->known)
        return TORG_OK;
    err = sync_store_begin(sync, index, REPLICA_WRITE_SETTLE, &store);
    if (err || !store)
        return err;
    store->write.charter = origin->named;
    err = sync_store_submit(sync, store, &pending);
    origin->settle_due = err != TORG_OK; /* anew, when another one is named before it is stored */
    return err;
}

void sync_charters_settled(struct sync *sync, const struct sync_pending *pending, enum torg_err err)
{
    struct sync_origin *origin = &sync->origins[pending->origin];
    struct replica_origin record;

    if (sync_job_is_trouble(err))
        sync_charters_unsettled(origin);
    if (err)
        return;
    /* Of the own one nothing is read again before it is published. */
    if (origin->own && !replica_origin_get(sync->read, &origin->id, &record))
        origin->flags = record.flags;
    sync_note(sync, "origin.settled", " origin=%02x%02x%02x%02x charter_no=%" PRIu64,
              origin->id.bytes[0], origin->id.bytes[1], origin->id.bytes[2], origin->id.bytes[3],
              origin->charter_no);
}

/* ---- answers ---- */

enum torg_err sync_charters_answer(struct sync *sync, struct sync_job *job,
                                   const struct frame *frame)
{
    struct sync_pending pending = sync_job_pending(sync, job);
    struct sync_store *store;
    enum torg_err err;

    if (job->compared)
        return compare_answer(sync, job, &frame->charter.charters);
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
    if (sync_charters_doubt(sync, job->peer, job->origin)) {
        sync_job_end(sync, job, SYNC_NEITHER); /* it may follow another one than ours */
        return;
    }
    session_close(session, err, FRAME_CODE_BAD_CHARTER, "a charter that does not follow");
    sync_job_end(sync, job, SYNC_DISTRUST);
}
