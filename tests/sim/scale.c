/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/sim/scale.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/world.h"

#define SECOND INT64_C(1000)
#define HUBS 2
#define NEIGHBOURS 2
#define LISTINGS_EACH 10
#define WRITERS 40 /* municipalities that write in each round; fewer if there are not so many */
#define ROUNDS 5
#define LISTINGS_A_COMMIT 3
#define GIVE_UP_MS (600 * SECOND)
#define COPIES_MAX 1.1

struct scale {
    struct world *world;
    uint64_t payloads_sent; /* in batches and answers, by all nodes */
};

/* What a node says; in a quiet world all of it arrives. */
static void count_payloads(void *context, struct world_node *node, uint32_t to, uint8_t type,
                           struct span body)
{
    struct scale *scale = context;
    struct frame_list *entries;
    struct profile_reader in;
    struct frame frame;

    (void)node;
    (void)to;
    if ((type != FRAME_BATCH && type != FRAME_ENTRIES) || frame_decode(type, body, &frame))
        return;
    entries = type == FRAME_BATCH ? &frame.batch.entries : &frame.entries.entries;
    in = frame_list_reader(entries);
    for (uint32_t i = 0; i < entries->count; i++)
        scale->payloads_sent += frame_read_entry(&in).has_payload;
}

static void build(struct scale *scale, uint32_t nodes)
{
    struct world *world = scale->world;

    for (uint32_t i = 0; i < nodes; i++)
        world_node_add(world, true);
    world_peer(world, 0, 1, true);
    for (uint32_t i = HUBS; i < nodes; i++) {
        for (uint32_t hub = 0; hub < HUBS; hub++)
            world_peer(world, i, hub, false);
        for (unsigned n = 0; n < NEIGHBOURS; n++) {
            uint32_t other = (uint32_t)world_below(world, nodes);

            if (other != i)
                world_peer(world, i, other, false);
        }
    }
}

/*
 * While nobody writes, who holds the newest head of an origin keeps it. So the
 * search for somebody who does not goes on where it stopped (pair).
 */
static bool is_converged(struct world *world, uint64_t *pair, char *why, size_t why_size)
{
    uint64_t count = world->node_count;

    for (; *pair < count * count; ++*pair) {
        if (!world_holds_all(world, (uint32_t)(*pair / count), (uint32_t)(*pair % count), why,
                             why_size))
            return false;
    }
    return world_converged(world, why, why_size);
}

/* How many ms it took until everybody had everything; -1: it did not happen. */
static int64_t converge(struct scale *scale)
{
    struct world *world = scale->world;
    int64_t from_ms = world->now_ms;
    char why[160] = "";
    uint64_t pair = 0;

    while (world->now_ms < from_ms + GIVE_UP_MS) {
        world_run(world, world->now_ms + 100);
        if (is_converged(world, &pair, why, sizeof(why)))
            return world->now_ms - from_ms;
    }
    printf("sim: after %" PRId64 " s %s\n", GIVE_UP_MS / SECOND, why);
    return -1;
}

static uint64_t payloads_of_all(const struct world *world)
{
    uint64_t versions = 0;

    for (uint32_t i = 0; i < world->node_count; i++)
        versions += world->nodes[i].version_count;
    return versions;
}

/* Copies of each payload that a node got, on average; negative: no convergence. */
static double round_run(struct scale *scale, unsigned round)
{
    struct world *world = scale->world;
    uint32_t writers = world->node_count < WRITERS ? world->node_count : WRITERS;
    uint64_t sent = scale->payloads_sent, bytes = world->bytes, made = payloads_of_all(world);
    double copies;
    int64_t ms;

    for (uint32_t i = 0; i < writers; i++) {
        world_write_sized(world, i * (world->node_count / writers), LISTINGS_A_COMMIT, 400);
        world_run(world, world->now_ms + (int64_t)world_below(world, 500));
    }
    ms = converge(scale);
    if (ms < 0)
        return -1;
    world_run(world, world->now_ms + SECOND); /* what is still on its way */
    made = payloads_of_all(world) - made;
    copies = (double)(scale->payloads_sent - sent) / ((double)made * (world->node_count - 1));
    printf("round %u: %" PRIu64 " payloads everywhere %" PRId64 " ms after the last was written; "
           "%.3f copies, %" PRIu64 " bytes per node\n",
           round, made, ms, copies, (world->bytes - bytes) / world->node_count);
    return copies;
}

bool scale_run(uint32_t nodes, uint64_t seed)
{
    struct world *world = calloc(1, sizeof(*world));
    struct world_options options = world_options_default(seed);
    struct scale scale = {.world = world};
    int64_t ms;
    double copies = 0;

    if (!world)
        abort();
    setvbuf(stdout, NULL, _IOLBF, 0); /* a line as soon as it is known: this takes minutes */
    world_init(world, &options);
    world->watcher = (struct world_watcher){.context = &scale, .sending = count_payloads};
    build(&scale, nodes);
    for (uint32_t i = 0; i < nodes; i++) {
        world_start(world, i);
        world_write_sized(world, i, LISTINGS_EACH, 400);
    }
    ms = converge(&scale);
    if (ms >= 0)
        printf("start: everybody has everything after %" PRId64 " ms; %.3f copies, %" PRIu64
               " bytes per node\n",
               ms, (double)scale.payloads_sent / ((double)payloads_of_all(world) * (nodes - 1)),
               world->bytes / nodes);
    for (unsigned round = 1; round <= ROUNDS && ms >= 0 && copies >= 0; round++)
        copies = round_run(&scale, round);
    printf("sim: %" PRIu32 " nodes, %s, %" PRId64
           " ms to converge, %.3f payload copies per node in "
           "the last round, %" PRIu64 " bytes per node, %" PRIu64 " events, %" PRIu64 " frames\n",
           nodes, ms >= 0 && copies >= 0 ? "converged" : "NOT converged", ms, copies,
           world->bytes / nodes, world->events, world->frames);
    world_done(world);
    free(world);
    return ms >= 0 && copies >= 0 && copies <= COPIES_MAX;
}
