/* SPDX-License-Identifier: EUPL-1.2 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/run.h"

/*
 * What replication may cost: in quiet hardly more than one copy of each payload
 * for each node (14), and for a peer that was away for long what differs, not
 * what happened (13).
 */

/* ---- copies in quiet ---- */

#define ROUNDS_FIRST 8 /* in which second copies prune the paths that are not needed */
#define ROUNDS 4
#define QUIET_TRIES 8
#define COPIES_PERCENT_MAX 110

static uint64_t payloads_made(const struct world *world)
{
    uint64_t versions = 0;

    for (uint32_t i = 0; i < world->node_count; i++)
        versions += world->nodes[i].version_count;
    return versions;
}

static uint64_t holders(const struct world *world)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < world->node_count; i++)
        count += !world->nodes[i].absent;
    return count;
}

static void everybody_writes(struct run *run)
{
    for (uint32_t i = 0; i < run->world->node_count; i++) {
        if (world_is_origin(&run->world->nodes[i]))
            world_write(run->world, i, 3);
    }
    run_settle(run, 11);
}

static uint64_t links_made(const struct world *world)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < world->node_count; i++)
        count += world->nodes[i].next_link;
    return count;
}

void run_quiet(struct run *run)
{
    struct world *world = run->world;
    uint64_t sent, made, links;
    unsigned tries = 0;

    if (run->settings->fault == FAULT_FLOOD)
        world->mute_type = FRAME_TREE; /* nobody hears that his copies are not needed */
    /*
     * A new connection is a new way, which is tried before it is pruned: that is no quiet. One that
     * came up just before what is counted costs as much as one that comes up meanwhile, so after
     * each the pruning has its rounds again.
     */
    do {
        links = links_made(world);
        for (unsigned i = 0; i < ROUNDS_FIRST; i++)
            everybody_writes(run);
        sent = check_payloads_sent(run->check);
        made = payloads_made(world);
        for (unsigned i = 0; i < ROUNDS; i++)
            everybody_writes(run);
    } while (links_made(world) != links && ++tries < QUIET_TRIES);
    if (links_made(world) != links)
        return;
    sent = check_payloads_sent(run->check) - sent;
    made = (payloads_made(world) - made) * (holders(world) - 1);
    world_trace(world, "%" PRIu64 " payloads were sent for %" PRIu64, sent, made);
    if (!check_violation(run->check, NULL) && 100 * sent > COPIES_PERCENT_MAX * made)
        check_violate(run->check, 14,
                      "%" PRIu64 " payloads were sent where %" PRIu64 " were to arrive", sent,
                      made);
}

/* ---- who was away ---- */

#define NODES 3
#define AWAY 2
#define LISTINGS 500
#define COMMITS 40  /* while it is away */
#define REWRITTEN 5 /* listings, by each of them */
#define PAYLOAD_BYTES 1000
#define GREETING_BYTES 12288 /* HELLO, SUMMARY, HAVE, beat, charters, heads that skips come by */
#define LISTING_BYTES 500    /* entry, header, the leaves on its way */

static struct world *away_make(const struct run *run)
{
    struct world *world = calloc(1, sizeof(*world));
    struct world_options options = world_options_default(run->world->options.seed);

    if (!world)
        abort();
    options.trace = run->settings->trace;
    world_init(world, &options);
    for (uint32_t i = 0; i < NODES; i++)
        world_node_add(world, i == 0);
    for (uint32_t i = 1; i < NODES; i++)
        world_peer(world, i, 0, false);
    for (uint32_t i = 0; i < NODES; i++)
        world_start(world, i);
    world_write_sized(world, 0, LISTINGS, PAYLOAD_BYTES);
    return world;
}

static void away_settle(struct run *run, struct world *world)
{
    int64_t until_ms = world->now_ms + HEAL_MS_MAX;
    char why[160] = "";

    do
        world_run(world, world->now_ms + SECOND);
    while (!world_converged(world, why, sizeof(why)) && world->now_ms < until_ms);
    if (world->now_ms >= until_ms)
        check_violate(run->check, 11, "%s, of three", why);
}

/* Listings that came, went or changed since a commit. */
static uint64_t differences(const struct world_node *origin, uint64_t commit)
{
    uint64_t count = 0;

    for (size_t i = 0; i < origin->version_count; i++) {
        const struct world_version *version = &origin->versions[i];

        count += (version->from > commit) != (version->to > commit);
    }
    return count;
}

/* new_epoch: no log reaches over it, so the tries must do. */
static void story_away(struct run *run, bool new_epoch)
{
    struct world *world = away_make(run);
    const struct world_node *origin = &world->nodes[0];
    uint64_t commit, bytes, differ, bound;

    away_settle(run, world);
    commit = origin->commit_count;
    world_crash(world, AWAY);
    for (unsigned i = 0; i < COMMITS; i++) {
        world_rewrite(world, 0, REWRITTEN, PAYLOAD_BYTES);
        world_run(world, world->now_ms + SECOND);
    }
    if (new_epoch)
        world_rotate(world, 0, true);
    world_run(world, world->now_ms + 10 * SECOND);
    if (run->settings->fault == FAULT_AMNESIA)
        world_restore(world, AWAY, NULL);
    bytes = world->nodes[AWAY].bytes_in;
    world_start(world, AWAY);
    away_settle(run, world);
    bytes = world->nodes[AWAY].bytes_in - bytes;
    differ = differences(origin, commit);
    bound = GREETING_BYTES + differ * (PAYLOAD_BYTES + LISTING_BYTES);
    world_trace(run->world, "%" PRIu64 " bytes for %" PRIu64 " differences", bytes, differ);
    if (bytes > bound)
        check_violate(run->check, 13,
                      "n%d got %" PRIu64 " bytes for %" PRIu64 " differences, of at most %" PRIu64,
                      AWAY, bytes, differ, bound);
    world_done(world);
    free(world);
}

void run_away(struct run *run)
{
    story_away(run, false);
    if (!check_violation(run->check, NULL))
        story_away(run, true);
}
