/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/sim/run.h"

/*
 * Troubles that last, which single blows do not show. A swizzle, as FoundationDB's
 * testers call it: nodes lose all their connections one after the other, and get
 * them back one after the other in another order, so that who can reach whom is
 * never the same for long. And disks that stay full while others write.
 */
#define SWIZZLE_DUE 5 /* one run of eight */
#define FULL_DUE 4    /* one run of eight */
#define STEP_MS_MAX 4000
#define FULL_STEPS 16

/* Drawn apart from all else, and so that seeds that are kept stay what they were. */
static uint64_t lasting_draw(const struct run *run)
{
    return run->world->options.seed * UINT64_C(0x3fc1ea36f17fd375) >> 24;
}

/* Some time, in which somebody writes. */
static void time_passes(struct run *run)
{
    struct world *world = run->world;
    uint32_t node = (uint32_t)world_below(world, run->nodes);

    if (world->nodes[node].up && world->nodes[node].has_own)
        world_write(world, node, 1 + (unsigned)world_below(world, 8));
    world_run(world, world->now_ms + 1 + (int64_t)world_below(world, STEP_MS_MAX));
}

static void shuffle(struct world *world, uint32_t *items, uint32_t count)
{
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = (uint32_t)world_below(world, i);
        uint32_t item = items[i - 1];

        items[i - 1] = items[other];
        items[other] = item;
    }
}

/* A way is open where neither end is shut. */
static void ends_shut(struct run *run, const uint32_t *nodes, uint32_t count, bool *shut, bool to)
{
    struct world *world = run->world;

    for (uint32_t i = 0; i < count && !check_violation(run->check, NULL); i++) {
        uint32_t node = nodes[i];

        world_trace(world, to ? "%s loses its connections" : "%s has its connections back",
                    world->nodes[node].name);
        shut[node] = to;
        for (uint32_t other = 0; other < world->node_count; other++)
            world_block(world, node, other, shut[node] || shut[other]);
        time_passes(run);
    }
}

static void swizzle(struct run *run)
{
    uint32_t count = run->world->node_count;
    uint32_t some = 2 + (uint32_t)world_below(run->world, count - 1);
    uint32_t nodes[WORLD_NODES_MAX];
    bool shut[WORLD_NODES_MAX] = {false};

    for (uint32_t i = 0; i < count; i++)
        nodes[i] = i;
    shuffle(run->world, nodes, count);
    ends_shut(run, nodes, some, shut, true);
    shuffle(run->world, nodes, some);
    ends_shut(run, nodes, some, shut, false);
}

static void disks_fill(struct run *run)
{
    struct world *world = run->world;
    uint32_t some = 1 + (uint32_t)world_below(world, run->nodes / 2);

    for (uint32_t i = 0; i < some; i++) {
        struct world_node *node = &world->nodes[world_below(world, run->nodes)];

        world_trace(world, "%s has a full disk", node->name);
        node->full_until_ms = world->now_ms + (int64_t)world_below(world, MINUTE);
    }
    for (unsigned i = 0; i < FULL_STEPS && !check_violation(run->check, NULL); i++)
        time_passes(run);
}

void run_lasting(struct run *run)
{
    uint64_t bits = lasting_draw(run);

    if (run->settings->fault != FAULT_NONE)
        return;
    if ((bits >> 3 & 7) == FULL_DUE)
        disks_fill(run);
    if ((bits & 7) == SWIZZLE_DUE)
        swizzle(run);
}
