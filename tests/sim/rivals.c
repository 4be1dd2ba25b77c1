/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/sim/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Two charters with one number: an origin's keepers sign one, and somebody who has
 * the root key signs another one, beside another node, behind a partition. When
 * both can meet, all must come to know of it, everybody else's listings must go
 * on as if nothing had been, and the catalogue's word must heal it everywhere.
 */
#define NODES_MIN 4
#define NODES_SPREAD 5
#define EDGES_MORE 2
#define APART_MS (30 * SECOND)
#define CUTS_PERCENT 10

/* A random tree, and some edges more, of origins that follow the first one's catalogue. */
static struct world *rivals_make(const struct run *run)
{
    struct world *world = calloc(1, sizeof(*world));
    uint32_t nodes;

    if (!world)
        abort();
    world_init(world, &run->world->options);
    nodes = NODES_MIN + (uint32_t)world_below(world, NODES_SPREAD);
    for (uint32_t i = 0; i < nodes; i++) {
        world_node_add(world, true);
        world->nodes[i].follows = true;
        if (i == 0)
            world_catalogue(world, 0);
        else
            world_peer(world, i, (uint32_t)world_below(world, i), world_chance(world, 50));
    }
    for (unsigned i = 0; i < EDGES_MORE; i++) {
        uint32_t a = (uint32_t)world_below(world, nodes), b = (uint32_t)world_below(world, nodes);

        if (a != b)
            world_peer(world, a, b, false);
    }
    for (uint32_t i = 0; i < nodes; i++) {
        world_start(world, i);
        world_write(world, i, 5);
        if (i > 0)
            world_member(world, i, "active", 0);
    }
    return world;
}

static bool disputes(struct world *world, uint32_t node, uint32_t origin)
{
    struct replica_origin record = {0};

    (void)world_head(world, node, &world->nodes[origin].own, &record);
    return record.flags & REPLICA_FLAG_DISPUTED;
}

/* What a story waits for; why gets what is still missing. */
typedef bool rivals_goal(struct world *world, uint32_t origin, char *why, size_t why_size);

static bool all_hold(struct world *world, uint32_t origin, char *why, size_t why_size)
{
    (void)origin;
    return world_converged(world, why, why_size);
}

static bool all_know(struct world *world, uint32_t origin, char *why, size_t why_size)
{
    for (uint32_t i = 0; i < world->node_count; i++) {
        if (world->nodes[i].absent || disputes(world, i, origin))
            continue;
        snprintf(why, why_size, "%s does not know of two charters of %s", world->nodes[i].name,
                 world->nodes[origin].name);
        return false;
    }
    return true;
}

static bool others_hold(struct world *world, uint32_t origin, char *why, size_t why_size)
{
    for (uint32_t from = 0; from < world->node_count; from++) {
        for (uint32_t i = 0; i < world->node_count; i++) {
            if (from != origin && world_is_origin(&world->nodes[from]) && !world->nodes[i].absent &&
                !world_holds_all(world, from, i, why, why_size))
                return false;
        }
    }
    return true;
}

static bool all_healed(struct world *world, uint32_t origin, char *why, size_t why_size)
{
    if (!world_converged(world, why, why_size))
        return false;
    for (uint32_t i = 0; i < world->node_count; i++) {
        if (world->nodes[i].absent || !disputes(world, i, origin))
            continue;
        snprintf(why, why_size, "%s still calls %s disputed", world->nodes[i].name,
                 world->nodes[origin].name);
        return false;
    }
    return true;
}

/* Until the goal is reached, while connections break. */
static void reach(struct run *run, struct world *world, uint32_t origin, unsigned invariant,
                  rivals_goal *goal)
{
    int64_t from_ms = world->now_ms;
    char why[160] = "";

    while (!check_violation(run->check, NULL) && !goal(world, origin, why, sizeof(why))) {
        world_run(world, world->now_ms + SECOND);
        if (world->now_ms < from_ms + MINUTE && world_chance(world, CUTS_PERCENT))
            world_cut(world, (uint32_t)world_below(world, world->node_count),
                      (uint32_t)world_below(world, world->node_count));
        if (world->now_ms > from_ms + HEAL_MS_MAX)
            check_violate(run->check, invariant, "%s, %" PRId64 " minutes after two charters", why,
                          (world->now_ms - from_ms) / MINUTE);
    }
}

/* Some are with the origin, some with its twin. */
static void part(struct world *world, uint32_t origin, uint32_t neighbour, uint32_t twin)
{
    bool side[WORLD_NODES_MAX];

    for (uint32_t i = 0; i < world->node_count; i++)
        side[i] = i == neighbour || i == twin || (i != origin && world_chance(world, 50));
    for (uint32_t i = 0; i < world->node_count; i++) {
        for (uint32_t j = 0; j < i; j++)
            world_block(world, i, j, side[i] != side[j]);
    }
}

static void meet(struct world *world)
{
    for (uint32_t i = 0; i < world->node_count; i++) {
        for (uint32_t j = 0; j < i; j++)
            world_block(world, i, j, false);
    }
}

/* Do the two hold different charters under one number? */
static bool are_rivals(struct world *world, uint32_t origin, uint32_t neighbour)
{
    const struct world_node *own = &world->nodes[origin];
    struct replica_origin record;
    struct span stored;
    bool rivals;
    struct kv read;

    if (!world_head(world, neighbour, &own->own, &record) ||
        record.charter_no + 1 != own->charter_count)
        return false;
    if (kv_mem_read_begin(world->nodes[neighbour].store, &read) ||
        replica_charter_get(&read, record.number, record.charter_no, &stored))
        abort();
    rivals = !span_equal(stored, buffer_span(&own->charters[record.charter_no]));
    kv_mem_read_end(&read);
    return rivals;
}

static void twin_signs(struct world *world, uint32_t origin, uint32_t neighbour)
{
    struct kv_mem *copy = NULL;
    uint32_t twin;

    if (kv_mem_clone(world->nodes[origin].store, &copy))
        abort();
    world_crash(world, neighbour);
    twin = world_twin_add(world, origin, copy, neighbour);
    kv_mem_free(copy);
    part(world, origin, neighbour, twin);
    world_start(world, neighbour);
    world_start(world, twin);
    world_run(world, world->now_ms + APART_MS);
    world_rotate(world, origin, world_chance(world, 50));
    world_rotate(world, twin, world_chance(world, 50));
    world_run(world, world->now_ms + APART_MS);
    world_write(world, origin, 4);
    world_write(world, twin, 4);
    world_run(world, world->now_ms + APART_MS);
    world_crash(world, twin);
    meet(world);
}

void run_rivals(struct run *run)
{
    struct world *world = rivals_make(run);
    uint32_t nodes = world->node_count;
    uint32_t origin = 1 + (uint32_t)world_below(world, nodes - 1);
    uint32_t neighbour = (origin + 1 + (uint32_t)world_below(world, nodes - 1)) % nodes;

    reach(run, world, origin, 11, all_hold);
    world_run(world, world->now_ms + APART_MS); /* no write is on its way any more */
    twin_signs(world, origin, neighbour);
    if (are_rivals(world, origin, neighbour)) {
        reach(run, world, origin, 6, all_know);
        for (uint32_t i = 0; i < nodes; i++)
            world_write(world, i, 3);
        reach(run, world, origin, 11, others_hold);
        world_member_charter(world, origin);
        reach(run, world, origin, 17, all_healed);
    }
    world_done(world);
    free(world);
}
