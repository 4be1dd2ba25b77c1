/* SPDX-License-Identifier: EUPL-1.2 */
#include <inttypes.h>
#include <stdio.h>

#include "protocol/sync_internal.h"

/*
 * How many listings of an origin are held. A head says how many it has before
 * any of them is asked for, so an origin that would fill everybody's disk costs
 * a head: one that has more than its quota is not taken, and what is held stays.
 * What holds no more than is held already is taken all the same, for deletes
 * must come through also where an operator has lowered the quota.
 */

static uint64_t listings_of(const struct head *head, uint32_t mask)
{
    uint64_t listings = 0;

    for (unsigned i = 0; i < head->state_count; i++)
        listings += mask >> head->states[i].collection & 1 ? head->states[i].count : 0;
    return listings;
}

/* What is held of them now; nothing, if that cannot be read. */
static uint64_t listings_held(const struct sync *sync, const struct sync_origin *origin)
{
    struct replica_origin record;
    uint64_t listings = 0;

    if (replica_origin_get(sync->read, &origin->id, &record))
        return 0;
    for (unsigned c = 1; c < COLLECTIONS_MAX; c++)
        listings += origin->wanted >> c & 1 ? record.held[c].count : 0;
    return listings;
}

static void note(struct sync *sync, const struct sync_origin *origin, const char *event,
                 const struct head *head, uint64_t listings)
{
    sync_note(sync, event,
              " origin=%02x%02x%02x%02x epoch=%" PRIu64 " hno=%" PRIu64 " listings=%" PRIu64
              " quota=%" PRIu32,
              origin->id.bytes[0], origin->id.bytes[1], origin->id.bytes[2], origin->id.bytes[3],
              head->epoch, head->hno, listings, origin->quota);
}

/* Who brought it may be the origin's own node, whose operator is the one to know. */
static void tell(struct sync *sync, const struct sync_origin *origin, uint32_t peer,
                 uint64_t listings)
{
    char text[96];

    snprintf(text, sizeof(text), "%02x%02x%02x%02x: %" PRIu64 " listings, %" PRIu32 " are taken",
             origin->id.bytes[0], origin->id.bytes[1], origin->id.bytes[2], origin->id.bytes[3],
             listings, origin->quota);
    sync_link_error(sync, peer, 0, FRAME_CODE_OVER_QUOTA, text);
}

/* Whoever claims this head need not be asked for it. */
static void rows_mark(struct sync *sync, uint32_t index, const struct head *head)
{
    for (uint32_t i = 0; i < sync->peer_count; i++) {
        struct sync_row *row = sync->peers[i].rows ? &sync->peers[i].rows[index] : NULL;

        if (row && row->claimed && row->epoch == head->epoch && row->hno == head->hno)
            row->too_large = true;
    }
}

static void refuse(struct sync *sync, uint32_t index, uint32_t peer, const struct head *head,
                   uint64_t listings)
{
    struct sync_origin *origin = &sync->origins[index];

    if (!origin->over_quota) {
        note(sync, origin, "origin.over_quota", head, listings);
        tell(sync, origin, peer, listings);
    }
    origin->over_quota = true;
    origin->quota_epoch = head->epoch;
    origin->quota_hno = head->hno;
    origin->quota_listings = listings;
    if (sync->now_ms >= origin->quota_look_ms) /* heads that are pushed put off no look */
        origin->quota_look_ms = sync->now_ms + SYNC_QUOTA_MS;
    rows_mark(sync, index, head);
}

bool sync_quota_admits(struct sync *sync, uint32_t index, uint32_t peer, const struct head *head)
{
    struct sync_origin *origin = &sync->origins[index];
    uint64_t listings = listings_of(head, origin->wanted);

    if (origin->quota && listings > origin->quota && listings > listings_held(sync, origin)) {
        refuse(sync, index, peer, head, listings);
        return false;
    }
    /* An older one that fits may be taken, but the origin has more than that by now. */
    if (origin->over_quota &&
        sync_number_compare(head->epoch, head->hno, origin->quota_epoch, origin->quota_hno) > 0) {
        note(sync, origin, "origin.within_quota", head, listings);
        origin->over_quota = false;
    }
    return true;
}

bool sync_quota_refused(const struct sync_origin *origin, uint64_t epoch, uint64_t hno)
{
    return origin->over_quota && origin->quota_epoch == epoch && origin->quota_hno == hno;
}

bool sync_quota_room(struct sync *sync, uint32_t index)
{
    const struct sync_origin *origin = &sync->origins[index];

    if (!origin->over_quota || sync->now_ms >= origin->quota_look_ms)
        return true;
    sync_origin_attend_at(sync, index, origin->quota_look_ms);
    return false;
}

void sync_quota_forget(struct sync_origin *origin)
{
    origin->quota_epoch = 0;
    origin->quota_hno = 0;
    origin->quota_look_ms = 0;
}
