/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/nodes.h"

#include "tests/support/test.h"

struct world *nodes_new(uint64_t seed)
{
    struct world *world = test_calloc(1, sizeof(*world));
    struct world_options options = world_options_default(seed);

    options.strict_store = true;
    world_init(world, &options);
    return world;
}

void nodes_free(struct world *world)
{
    world_done(world);
    test_free(world);
}

struct world *nodes_in_a_row(uint64_t seed, uint32_t nodes)
{
    struct world *world = nodes_new(seed);

    for (uint32_t i = 0; i < nodes; i++) {
        world_node_add(world, true);
        world->nodes[i].follows = true;
        if (i == 0)
            world_catalogue(world, 0);
        else
            world_peer(world, i, i - 1, i % 2);
    }
    for (uint32_t i = 0; i < nodes; i++) {
        world_start(world, i);
        world_write(world, i, 5);
    }
    return world;
}

void nodes_run_for(struct world *world, int64_t ms)
{
    world_run(world, world->now_ms + ms);
}

void nodes_assert_has(struct world *world, uint32_t node, uint32_t from)
{
    char why[160] = "";

    if (world_holds_all(world, from, node, why, sizeof(why)))
        return;
    world_trace_print(world);
    fail_msg("%s", why);
}
