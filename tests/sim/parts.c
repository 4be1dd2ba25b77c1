/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/sim/run.h"

/*
 * Nodes that hold a part: of each origin some collections, others of another. Only
 * at the edges, where nobody depends on what they would pass on, and never next to
 * the first node, which must find all that it published if its store goes back.
 */
#define PARTS_TURN 2       /* one run of four */
#define CHANGES_PERCENT 40 /* of starts after a crash come with other wishes */

/* Drawn apart from all else, so that seeds that are kept stay what they were. */
static uint64_t parts_draw(const struct run *run)
{
    return run->world->options.seed * UINT64_C(0x8ebc6af09c88c6e3) >> 24;
}

/* Has it one neighbour among the honest? */
static bool is_edge(const struct world *world, const struct world_node *node)
{
    unsigned honest = 0;

    for (size_t i = 0; i < node->peer_count; i++)
        honest +=
            !world->nodes[node->peer_nodes[i]].malice && !world->nodes[node->peer_nodes[i]].absent;
    return honest == 1;
}

void run_parts_choose(struct run *run)
{
    uint64_t bits = parts_draw(run);
    bool due = run->settings->fault == FAULT_GREEDY ||
               (run->settings->fault == FAULT_NONE && (bits & 3) == PARTS_TURN);

    for (uint32_t i = 2; i < run->nodes && due; i++) {
        struct world_node *node = &run->world->nodes[i];

        if (is_edge(run->world, node) &&
            (run->settings->fault == FAULT_GREEDY || bits >> (2 + i % 16) & 1))
            node->part = bits + i;
    }
}

void run_parts_change(struct run *run, uint32_t index)
{
    struct world_node *node = &run->world->nodes[index];

    if (!node->part || !world_chance(run->world, CHANGES_PERCENT))
        return;
    node->part = world_random(run->world) | 1;
    world_trace(run->world, "%s wants other collections now", node->name);
}
