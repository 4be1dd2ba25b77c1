/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdlib.h>
#include <string.h>

#include "protocol/sync_internal.h"

/*
 * Payloads that nobody had when their listings came. The state is whole without
 * them, so they hold nothing up: peers are asked in turn, now and then.
 */

struct missing_scan {
    struct sync_job *job;
    uint32_t visited;
    struct listing_key last;
    bool full;
    enum torg_err err;
};

static bool missing_visit(void *context, const struct listing_key *key, struct span header_bytes,
                          struct span payload)
{
    struct missing_scan *scan = context;

    if (scan->job->want_count == FETCH_ENTRIES_MAX || scan->visited == SYNC_SCAN_MAX) {
        scan->full = true;
        return false;
    }
    scan->visited++;
    scan->last = *key;
    if (payload.size == 0) {
        struct sync_want want = {
            .collection = scan->job->collection,
            .entry = {.key = *key, .header_hash = change_header_hash(header_bytes)},
        };

        scan->err = sync_want_add(scan->job, &want);
    }
    return !scan->err;
}

/* The key after, as a big-endian number; all ones becomes zero. */
static struct listing_key key_after(struct listing_key key)
{
    for (size_t i = sizeof(key.bytes); i-- > 0;) {
        if (++key.bytes[i] != 0)
            break;
    }
    return key;
}

/* The next peer to ask; SYNC_NONE after the last one. */
static uint32_t missing_peer_from(const struct sync *sync, uint32_t from)
{
    for (uint32_t i = from; i < sync->peer_count; i++) {
        const struct sync_link *link = sync->peers[i].link;

        if (link && link->ready && link->answered && link->session.state == SESSION_OPEN)
            return i;
    }
    return SYNC_NONE;
}

/* The search goes on behind what was looked at; behind the last, with the next peer. */
static void missing_advance(struct sync *sync, struct sync_origin *origin,
                            const struct missing_scan *scan)
{
    if (scan->full) {
        origin->missing_from = key_after(scan->last);
        return;
    }
    origin->missing_from = (struct listing_key){0};
    origin->missing_collection++;
    if (origin->missing_collection < COLLECTIONS_MAX)
        return;
    origin->missing_collection = 1;
    origin->missing_peer++;
    if (missing_peer_from(sync, origin->missing_peer) == SYNC_NONE) {
        origin->missing_peer = 0;
        origin->missing_retry_ms = sync->now_ms + SYNC_MISSING_MS;
    }
}

void sync_missing_refused(struct sync *sync, struct sync_job *job)
{
    static const struct missing_scan done;
    struct sync_origin *origin = &sync->origins[job->origin];

    if (origin->missing_collection == job->collection)
        missing_advance(sync, origin, &done); /* the rest of it would be refused as well */
    sync_job_end(sync, job, SYNC_NEITHER);
}

/*
 * May the peer have payloads of the collection that is to be searched? Who says that it does not
 * hold it has none; and who is no member is not told what is missing of what is for members.
 */
static bool may_have(struct sync *sync, uint32_t peer, uint32_t index)
{
    const struct sync_origin *origin = &sync->origins[index];
    const struct sync_row *row = &sync->peers[peer].rows[index];
    uint32_t bit = UINT32_C(1) << origin->missing_collection;

    return (!row->claimed || row->mask & bit) && sync_visible_to(sync, peer, origin) & bit;
}

/* Ask one peer for the payloads that the next stretch of listings lacks. */
enum torg_err sync_missing_begin(struct sync *sync, uint32_t index)
{
    struct sync_origin *origin = &sync->origins[index];
    uint32_t peer = missing_peer_from(sync, origin->missing_peer);
    struct missing_scan scan = {0};
    struct sync_job *job;
    enum torg_err err;

    if (peer == SYNC_NONE)
        peer = missing_peer_from(sync, 0);
    if (peer == SYNC_NONE)
        return TORG_OK; /* somebody comes, and the origin is looked at again */
    origin->missing_peer = peer;
    job = sync_job_begin(sync, index, peer, SYNC_FOR_MISSING);
    if (!job)
        return TORG_OK;
    do {
        scan = (struct missing_scan){.job = job, .visited = scan.visited};
        job->collection = origin->missing_collection;
        err = TORG_OK;
        if (may_have(sync, peer, index))
            err = replica_listings(sync->read, origin->number, job->collection,
                                   &origin->missing_from, missing_visit, &scan);
        if (!err)
            err = scan.err;
        if (err)
            return err;
        missing_advance(sync, origin, &scan);
    } while (job->want_count == 0 && !scan.full && origin->missing_collection != 1);
    /* A long search goes on in later steps. */
    if (job->want_count == 0 && origin->missing_retry_ms <= sync->now_ms)
        origin->missing_retry_ms = sync->now_ms + SYNC_RETRY_MS_MIN;
    return sync_want_more(sync, job);
}
