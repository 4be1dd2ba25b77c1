/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/sim/run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/session.h"
#include "tests/sim/sabotage.h"

/*
 * Small worlds in which one thing happens, for what a world in chaos cannot show:
 * that one slow peer costs the others nothing and its node little, that who
 * waits for whom can be seen, and that nobody holds more than it wants to; and the end of a run, in
 * quiet, where nothing may happen at all.
 */
#define STORY_NODES 5
#define SLOW 4 /* the peer with the slow line */
#define DEAF 3 /* the peer whose writer answers nothing any more */
#define SLOW_BYTES_PER_MS 5
#define STORY_WRITES 24 /* more than may ever wait for one peer */
#define STORY_PAYLOAD_BYTES 60000
#define SMALL 2 /* the peer that takes few listings of an origin */
#define SMALL_QUOTA 40
#define DELAY_MS_MAX 2000 /* for a commit of a frame's size, over lines that carry it in 100 ms */
#define SEEN_MS_MAX (SESSION_STALLED_MS + 1000)

/* What the hub may have waiting for one peer, whatever that peer does. */
static size_t queue_bytes_max(const struct sync_limits *limits)
{
    return limits->output_queue_bytes + SESSION_OUTPUT_SLACK_BYTES + FRAME_BYTES_MAX;
}

static struct world *star_make(const struct run *run)
{
    struct world *world = calloc(1, sizeof(*world));
    struct world_options options = world_options_default(run->world->options.seed);

    if (!world)
        abort();
    options.trace = run->settings->trace;
    if (run->settings->fault == FAULT_HOARD) {
        options.limits.output_queue_bytes = UINT32_MAX / 2;
        options.limits.live_credit_bytes = 64u << 20;
        options.limits.sync_credit_bytes = 64u << 20;
    }
    world_init(world, &options);
    world->convoy = run->settings->fault == FAULT_CONVOY;
    for (uint32_t i = 0; i < STORY_NODES; i++)
        world_node_add(world, i == 0);
    for (uint32_t i = 1; i < STORY_NODES; i++)
        world_peer(world, i, 0, false);
    for (uint32_t i = 0; i < STORY_NODES; i++)
        world_start(world, i);
    world_write(world, 0, 1);
    world_run(world, world->now_ms + 5 * SECOND);
    return world;
}

static bool has_newest(struct world *world, uint32_t node)
{
    struct replica_origin ours, theirs;

    return world_head(world, 0, &world->nodes[0].own, &ours) &&
           world_head(world, node, &world->nodes[0].own, &theirs) &&
           head_compare(&ours.head, &theirs.head) == 0;
}

/* One commit of the hub: when do the peers with good lines have it? */
static void write_and_wait(struct run *run, struct world *world, uint32_t good_peers)
{
    size_t bound = queue_bytes_max(&(struct sync_limits){.output_queue_bytes = 2u << 20});
    int64_t from_ms = world->now_ms;
    uint32_t late = 0;

    world_write_sized(world, 0, 3, STORY_PAYLOAD_BYTES);
    do {
        world_run(world, world->now_ms + 20);
        late = 0;
        for (uint32_t i = 1; i <= good_peers && !late; i++)
            late = has_newest(world, i) && world->now_ms > from_ms + 40 ? 0 : i;
        for (uint32_t i = 1; i < STORY_NODES; i++) {
            if (world_peer_status(world, 0, i).queued_bytes > bound)
                check_violate(run->check, 8, "%" PRIu64 " bytes wait for n%" PRIu32,
                              world_peer_status(world, 0, i).queued_bytes, i);
        }
    } while (late && world->now_ms < from_ms + DELAY_MS_MAX);
    if (late)
        check_violate(run->check, 15,
                      "n%" PRIu32 " waits %" PRId64 " ms for what a slow peer delays", late,
                      world->now_ms - from_ms);
}

static void story_slow_peer(struct run *run)
{
    struct world *world = star_make(run);

    world_cut(world, 0, SLOW);
    world->nodes[SLOW].bytes_per_ms = SLOW_BYTES_PER_MS;
    world_run(world, world->now_ms + 10 * SECOND);
    for (unsigned i = 0; i < STORY_WRITES && !check_violation(run->check, NULL); i++)
        write_and_wait(run, world, SLOW - 1);
    world_done(world);
    free(world);
}

/* A peer takes nothing any more: both sides say so, in time, and the others go on. */
static void story_stalled_peer(struct run *run)
{
    struct world *world = star_make(run);
    struct sync_peer_status hub, peer;

    world->nodes[DEAF].dead_writer = true;
    /* Two listings of a commit may be one, and so small a batch may still find room. */
    for (unsigned i = 0;
         i < STORY_WRITES || (i < 2 * STORY_WRITES && !world_peer_status(world, 0, DEAF).lagging);
         i++) {
        if (check_violation(run->check, NULL))
            break;
        write_and_wait(run, world, DEAF - 1);
    }
    if (run->settings->fault == FAULT_BLIND) {
        /* Who stands still sees nothing. */
        world_freeze(world, 0, 10 * MINUTE);
        world_freeze(world, DEAF, 10 * MINUTE);
    }
    world_run(world, world->now_ms + SEEN_MS_MAX);
    hub = world_peer_status(world, 0, DEAF);
    peer = world_peer_status(world, DEAF, 0);
    if (hub.state != SYNC_PEER_STALLED || !hub.lagging)
        check_violate(run->check, 16, "n0 does not say that n%d is stalled and lags", DEAF);
    if (!peer.holds_back)
        check_violate(run->check, 16, "n%d does not say that it holds n0 back", DEAF);
    world_done(world);
    free(world);
}

static void quota_set(struct world *world, uint32_t quota)
{
    world_crash(world, SMALL);
    world->nodes[SMALL].quota = quota;
    world_start(world, SMALL);
    world_run(world, world->now_ms + 5 * SECOND);
}

static bool over_quota(const struct world *world, uint32_t node)
{
    struct sync_origin_status status;

    return sync_origin_status(world->nodes[node].sync, &world->nodes[0].own, &status) &&
           status.over_quota;
}

/* What a node holds of the hub's, and whether that is whole. */
static uint64_t listings_held(struct world *world, uint32_t node, bool *ret_whole)
{
    struct replica_origin record;
    uint64_t listings = 0;

    *ret_whole = world_head(world, node, &world->nodes[0].own, &record) &&
                 replica_complete_mask(&record, COLLECTION_MASK_ALL) == COLLECTION_MASK_ALL;
    for (unsigned c = 1; c < COLLECTIONS_MAX && *ret_whole; c++)
        listings += record.held[c].count;
    return listings;
}

/* An origin outgrows what one peer takes: that peer keeps what it has, and says so. */
static void story_small_peer(struct run *run)
{
    struct world *world = star_make(run);
    char why[160] = "";
    bool whole, hub_whole;

    quota_set(world, run->settings->fault == FAULT_UNMEASURED ? 0 : SMALL_QUOTA);
    /* Some of what is written replaces or deletes what was. */
    for (unsigned i = 0; i < 8 || (i < 64 && listings_held(world, 0, &hub_whole) <= SMALL_QUOTA);
         i++) {
        world_write_sized(world, 0, SMALL_QUOTA / 4, 100);
        world_run(world, world->now_ms + 2 * SECOND);
        if (listings_held(world, SMALL, &whole) > SMALL_QUOTA)
            check_violate(run->check, 8, "n%d holds more of n0 than its quota", SMALL);
    }
    if (!whole)
        check_violate(run->check, 8, "n%d holds nothing whole of n0, which outgrew its quota",
                      SMALL);
    if (!over_quota(world, SMALL) || over_quota(world, SMALL - 1))
        check_violate(run->check, 16, "n%d does not say that n0 is over its quota, or n%d does",
                      SMALL, SMALL - 1);
    quota_set(world, 0);
    world_run(world, world->now_ms + MINUTE);
    if (!world_converged(world, why, sizeof(why)))
        check_violate(run->check, 11, "%s, with no quota any more", why);
    world_done(world);
    free(world);
}

void run_stories(struct run *run)
{
    static void (*const stories[])(struct run *) = {
        story_slow_peer,
        story_stalled_peer,
        story_small_peer,
    };

    for (size_t i = 0; i < ARRAY_SIZE(stories) && !check_violation(run->check, NULL); i++)
        stories[i](run);
}

/* ---- a wrong clock in quiet ---- */

/* What is held of all origins at a node, but for when it came. */
static void state_dump(struct world *world, uint32_t node, struct buffer *out)
{
    static const enum kv_table tables[] = {KV_CHARTER, KV_LIVE, KV_TRIE};
    static const uint8_t first[1] = {0};
    struct kv read;

    buffer_clear(out);
    if (kv_mem_read_begin(world->nodes[node].store, &read))
        abort();
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        struct kv_cursor *cursor;
        struct span key, value;
        enum torg_err err = kv_cursor_open(&read, tables[i], &cursor);

        if (!err)
            err = kv_cursor_seek(&read, cursor, span_of(first, sizeof(first)), &key, &value);
        while (!err) {
            buffer_put_span(out, key);
            buffer_put_span(out, value);
            err = kv_cursor_next(&read, cursor, &key, &value);
        }
        kv_cursor_close(&read, cursor);
    }
    kv_mem_read_end(&read);
    if (out->err)
        abort();
}

void run_clock(struct run *run)
{
    struct world *world = run->world;
    struct buffer before = {0}, after = {0};
    uint32_t node = (uint32_t)world_below(world, run->nodes);

    /* What was on its way when all was settled comes first. */
    world_run(world, world->now_ms + 10 * SECOND);
    state_dump(world, node, &before);
    world->clock_offset_ms[node] =
        world_chance(world, 50) ? INT64_C(400000000000) : -INT64_C(400000000000);
    world_trace(world, "%s has a clock that is wrong by 12 years", world->nodes[node].name);
    world_run(world, world->now_ms + 3 * MINUTE);
    if (run->settings->fault == FAULT_CLOCK_PURGE) /* as one would who trusts his clock */
        sabotage_lose_row(world, node, node == 0 ? 1 : 0);
    state_dump(world, node, &after);
    if (!span_equal(buffer_span(&before), buffer_span(&after)))
        check_violate(run->check, 10, "%s has changed what it holds, for its clock jumped",
                      world->nodes[node].name);
    world->clock_offset_ms[node] = 0;
    buffer_done(&before);
    buffer_done(&after);
}
