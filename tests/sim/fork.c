/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/sim/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sabotage.h"

/*
 * An origin that forks: a second host with its keys and a copy of its store signs
 * beside it, seen by some neighbour; perhaps behind a partition, perhaps far. When
 * both branches can meet, every honest node must come to know; then the first host
 * opens a new epoch with its root key, and all must be as if nothing had been.
 */
#define BRANCH_COMMITS_MAX 6

static bool is_witness(const struct world_node *node)
{
    return node->up && !node->malice && !node->absent && node->index != 0;
}

/* A neighbour for the twin: one that others can reach through, so that branches meet. */
static uint32_t neighbour_draw(struct run *run)
{
    for (unsigned i = 0; i < 64; i++) {
        uint32_t node = (uint32_t)world_below(run->world, run->nodes);

        if (is_witness(&run->world->nodes[node]) && !run->world->nodes[node].dial_only)
            return node;
    }
    return WORLD_NONE;
}

static bool all_know(struct run *run, char *why, size_t why_size)
{
    const struct origin_id *origin = &run->world->nodes[0].own;

    for (uint32_t i = 0; i < run->world->node_count; i++) {
        const struct world_node *node = &run->world->nodes[i];
        struct replica_origin record = {0};

        if (!is_witness(node))
            continue;
        (void)world_head(run->world, i, origin, &record); /* who is new takes none of a fork */
        if (record.flags & REPLICA_FLAG_DISPUTED)
            continue;
        snprintf(why, why_size, "%s does not know that %s has forked", node->name,
                 run->world->nodes[0].name);
        return false;
    }
    return true;
}

static void partition(struct run *run, uint32_t twin, uint32_t neighbour, bool blocked)
{
    for (uint32_t i = 0; i < run->world->node_count; i++) {
        if (i == neighbour || i == twin)
            continue;
        world_block(run->world, i, neighbour, blocked);
    }
}

static void branches_write(struct run *run, uint32_t twin, bool apart)
{
    struct world *world = run->world;
    uint64_t left = 1 + world_below(world, BRANCH_COMMITS_MAX);
    uint64_t right = 1 + world_below(world, BRANCH_COMMITS_MAX);

    while (left || right) {
        if (left && (!right || world_chance(world, 50))) {
            world_write(world, 0, 1 + (unsigned)world_below(world, 5));
            left--;
        } else {
            world_write(world, twin, 1 + (unsigned)world_below(world, 5));
            right--;
        }
        /* Apart, each branch grows as it likes; together, whoever is first shown stops. */
        world_run(world, world->now_ms + (apart ? 2 * SECOND : (int64_t)world_below(world, 20)));
    }
}

static void evidence_spreads(struct run *run)
{
    struct world *world = run->world;
    int64_t from_ms = world->now_ms;
    char why[160] = "";

    while (!check_violation(run->check, NULL)) {
        world_run(world, world->now_ms + SECOND);
        if (all_know(run, why, sizeof(why)))
            return;
        if (world->now_ms > from_ms + HEAL_MS_MAX)
            check_violate(run->check, 6, "%s, %" PRId64 " minutes after both branches could meet",
                          why, (world->now_ms - from_ms) / MINUTE);
    }
}

/* Who loses everything, or comes new, cannot judge what it hears before it has the charters. */
static void newcomer_learns(struct run *run)
{
    struct world *world = run->world;

    for (uint32_t i = 1; i < run->nodes; i++) {
        if (!is_witness(&world->nodes[i]) || world->nodes[i].has_own)
            continue;
        world_crash(world, i);
        world_trace(world, "%s loses everything", world->nodes[i].name);
        world_restore(world, i, NULL);
        check_forget(run->check, i);
        world_start(world, i);
        evidence_spreads(run);
        return;
    }
}

/* Has the first host's branch something that the twin's has not, and the other way round? */
static bool has_forked(struct run *run, uint32_t twin)
{
    const struct origin_id *origin = &run->world->nodes[0].own;
    struct replica_origin left, right;

    return world_head(run->world, 0, origin, &left) &&
           world_head(run->world, twin, origin, &right) &&
           memcmp(&left.head_hash, &right.head_hash, sizeof(left.head_hash)) != 0 &&
           run->world->nodes[0].own_commits && run->world->nodes[twin].own_commits;
}

static void cure(struct run *run, uint32_t twin)
{
    struct world *world = run->world;

    world_crash(world, twin);
    while (world->nodes[0].jobs) /* what waits for the writer comes first */
        world_run(world, world->now_ms + 100);
    world_trace(world, "%s opens a new epoch", world->nodes[0].name);
    world->nodes[0].stopped = false; /* the operator has decided */
    if (run->settings->fault != FAULT_NO_CURE)
        world_rotate(world, 0, true);
    world_run(world, world->now_ms + 5 * SECOND);
    run_settle(run, 17);
    for (uint32_t i = 0; i < world->node_count && !check_violation(run->check, NULL); i++) {
        struct replica_origin record;

        if (is_witness(&world->nodes[i]) && (!world_head(world, i, &world->nodes[0].own, &record) ||
                                             record.flags & REPLICA_FLAG_DISPUTED))
            check_violate(run->check, 17, "%s still calls %s disputed", world->nodes[i].name,
                          world->nodes[0].name);
    }
}

void run_fork(struct run *run)
{
    struct world *world = run->world;
    uint32_t neighbour = neighbour_draw(run);
    bool apart = world_chance(world, 60);
    struct replica_origin record;
    struct kv_mem *copy = NULL;
    uint32_t twin;

    if (run->settings->fault == FAULT_FALSE_DISPUTE) {
        sabotage_dispute(world, run->nodes - 1, 0);
        return;
    }
    if (neighbour == WORLD_NONE || !world_head(world, 0, &world->nodes[0].own, &record) ||
        world->nodes[0].charter_count == ARRAY_SIZE(world->nodes[0].charters))
        return;
    if (kv_mem_clone(world->nodes[0].store, &copy))
        abort();
    world_crash(world, neighbour);
    twin = world_twin_add(world, 0, copy, neighbour);
    kv_mem_free(copy);
    world_trace(world, "%s is a second host of %s, beside %s", world->nodes[twin].name,
                world->nodes[0].name, world->nodes[neighbour].name);
    world_start(world, neighbour);
    world_start(world, twin);
    world->nodes[0].own_commits = 0;
    if (run->settings->fault == FAULT_MUTE_PROOF)
        world->mute_type = FRAME_PROOF;
    partition(run, twin, neighbour, apart);
    world_run(world, world->now_ms + 10 * SECOND);
    branches_write(run, twin, apart);
    world_run(world, world->now_ms + SECOND);
    partition(run, twin, neighbour, false);
    if (!has_forked(run, twin))
        return; /* one of them stopped in time, or was down */
    evidence_spreads(run);
    if (!check_violation(run->check, NULL))
        newcomer_learns(run);
    if (!check_violation(run->check, NULL))
        cure(run, twin);
}
