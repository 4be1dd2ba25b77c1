/* SPDX-License-Identifier: EUPL-1.2 */
#include <inttypes.h>

#include "protocol/sync_internal.h"

/*
 * How many heads of an origin are taken: so many at once, then one in
 * SYNC_HEAD_MS. An origin that signs one after the other costs every node a
 * write for each; beyond the rate they are conflated: what was passed over is in
 * the newest, which is fetched when its time has come.
 */

static uint32_t tokens_at(const struct sync *sync, const struct sync_origin *origin)
{
    uint64_t more = (uint64_t)(sync->now_ms - origin->head_at_ms) / SYNC_HEAD_MS;
    uint64_t tokens = origin->head_tokens + more;

    return tokens < sync->limits.heads_burst ? (uint32_t)tokens : sync->limits.heads_burst;
}

static void refill(struct sync *sync, struct sync_origin *origin)
{
    uint32_t tokens = tokens_at(sync, origin);

    if (tokens == sync->limits.heads_burst)
        origin->head_at_ms = sync->now_ms;
    else
        origin->head_at_ms += (int64_t)(tokens - origin->head_tokens) * SYNC_HEAD_MS;
    origin->head_tokens = tokens;
    if (tokens >= SYNC_HEADS_CALM || tokens == sync->limits.heads_burst)
        origin->throttled = false;
}

static bool is_limited(const struct sync *sync, const struct sync_origin *origin)
{
    return sync->limits.heads_burst > 0 && !origin->own;
}

void sync_rate_head_taken(struct sync *sync, uint32_t index)
{
    struct sync_origin *origin = &sync->origins[index];

    if (!is_limited(sync, origin))
        return;
    refill(sync, origin);
    if (origin->head_tokens > 0)
        origin->head_tokens--;
}

bool sync_rate_head_room(struct sync *sync, uint32_t index)
{
    struct sync_origin *origin = &sync->origins[index];

    if (!is_limited(sync, origin))
        return true;
    refill(sync, origin);
    /* What is with the writer will have its token when it is stored. */
    if (origin->head_tokens > origin->pending)
        return true;
    if (!origin->throttled)
        sync_note(sync, "origin.throttled",
                  " origin=%02x%02x%02x%02x epoch=%" PRIu64 " hno=%" PRIu64, origin->id.bytes[0],
                  origin->id.bytes[1], origin->id.bytes[2], origin->id.bytes[3], origin->epoch,
                  origin->hno);
    origin->throttled = true;
    sync_origin_attend_at(sync, index, origin->head_at_ms + SYNC_HEAD_MS);
    return false;
}

bool sync_rate_throttled(const struct sync *sync, uint32_t index)
{
    const struct sync_origin *origin = &sync->origins[index];

    return origin->throttled && is_limited(sync, origin) &&
           tokens_at(sync, origin) < SYNC_HEADS_CALM;
}
