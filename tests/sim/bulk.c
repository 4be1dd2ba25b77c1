/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/sim/run.h"

#include <inttypes.h>
#include <stdlib.h>

/*
 * Much to copy. Elsewhere an origin's collections are so small that a reconcile is
 * two or three answers, one after the other; here one has thousands of listings, so
 * that several requests are out at once, and parts wait for the writer, while
 * connections break, stores fail, nodes end and the origin goes on writing.
 */
#define NODES 3
#define COPY 2 /* the node that comes new, and then from an earlier epoch */
#define WRITES 5
#define LISTINGS_A_WRITE 1000
#define BLOWS 12
#define BLOW_MS_MAX 3000
#define STORE_OPERATIONS 4000

static struct world *bulk_make(const struct run *run)
{
    struct world *world = calloc(1, sizeof(*world));

    if (!world)
        abort();
    world_init(world, &run->world->options);
    for (uint32_t i = 0; i < NODES; i++)
        world_node_add(world, i == 0);
    world_peer(world, 1, 0, false);
    world_peer(world, COPY, 0, false);
    world_peer(world, COPY, 1, false);
    return world;
}

/* A flat switch: what may happen to who copies, and to those that it asks. */
static void blow(struct world *world)
{
    switch (world_below(world, 8)) {
    case 0:
        world_cut(world, COPY, 0);
        break;
    case 1:
        world_cut(world, COPY, 1);
        break;
    case 2:
        world_fault(world, COPY, world_below(world, STORE_OPERATIONS), TORG_E_IO, true);
        break;
    case 3:
        world_fault(world, COPY, world_below(world, STORE_OPERATIONS), TORG_E_FULL, false);
        break;
    case 4:
        world_freeze(world, (uint32_t)world_below(world, NODES),
                     (int64_t)world_below(world, 5 * SECOND));
        break;
    case 5:
        world_crash(world, COPY);
        break;
    default:
        world_write(world, 0, 1 + (unsigned)world_below(world, 40));
    }
}

/* Blows, and then none: everybody must come to hold everything. */
static void copy_under_blows(struct world *world, struct check *check)
{
    int64_t until_ms;
    char why[160] = "";

    for (unsigned i = 0; i < BLOWS && !check_violation(check, NULL); i++) {
        if (!world->nodes[COPY].up)
            world_start(world, COPY);
        world_run(world, world->now_ms + 1 + (int64_t)world_below(world, BLOW_MS_MAX));
        blow(world);
    }
    world_fault(world, COPY, 0, TORG_OK, false);
    if (!world->nodes[COPY].up)
        world_start(world, COPY);
    until_ms = world->now_ms + HEAL_MS_MAX;
    do
        world_run(world, world->now_ms + SECOND);
    while (!world_converged(world, why, sizeof(why)) && world->now_ms < until_ms &&
           !check_violation(check, NULL));
    if (world->now_ms >= until_ms)
        check_violate(check, 12, "%s, of three, one of whom copies much", why);
}

void run_bulk(struct run *run)
{
    struct world *world = bulk_make(run);
    struct check *check = check_new(world);
    const char *text;
    unsigned invariant;

    for (uint32_t i = 0; i < COPY; i++)
        world_start(world, i);
    for (unsigned i = 0; i < WRITES; i++) {
        world_write(world, 0, LISTINGS_A_WRITE);
        world_run(world, world->now_ms + MINUTE);
    }
    copy_under_blows(world, check);
    world_crash(world, COPY);
    world_write(world, 0, LISTINGS_A_WRITE); /* what differs lies all over the tries */
    world_run(world, world->now_ms + 10 * SECOND);
    if (!world->nodes[0].jobs)
        world_rotate(world, 0, true);
    world_run(world, world->now_ms + 10 * SECOND);
    copy_under_blows(world, check);
    if (!check_violation(check, NULL))
        check_all(check);
    invariant = check_violation(check, &text);
    if (invariant)
        check_violate(run->check, invariant, "%s", text);
    check_free(check);
    world_done(world);
    free(world);
}
