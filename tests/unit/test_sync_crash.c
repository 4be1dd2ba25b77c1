/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <inttypes.h>

#include "tests/sim/world.h"

/*
 * A process may end between any two operations of its store. Two nodes go through
 * what a store is written for (a first copy, a batch, a delta, a new epoch), again
 * and again, and each time one of them ends one operation later. Whoever comes up
 * again must hold what it held, and no less than it told; and in the end both must
 * hold the same, down to each row that can be recomputed.
 */
#define SECOND 1000
#define SEED 15

static const char *const at_name[] = {"the origin", "its neighbour"};

static void must_verify(void *context, const char *what)
{
    (void)context;
    fail_msg("replica_verify: %s", what);
}

static void verify(struct world *world, uint32_t node)
{
    struct replica_origin record;
    struct kv read;

    assert_true(world_head(world, node, &world->nodes[0].own, &record));
    assert_ok(kv_mem_read_begin(world->nodes[node].store, &read));
    assert_ok(replica_verify(&read, &record, must_verify, NULL));
    kv_mem_read_end(&read);
}

/* The newest commit that the neighbour has told of. */
static void note_have(void *context, struct world_node *node, uint32_t to, uint8_t type,
                      struct span body)
{
    uint64_t *told = context;
    struct profile_reader in;
    struct frame frame;

    (void)to;
    if (node->index != 1 || type != FRAME_HAVE)
        return;
    assert_ok(frame_decode(type, body, &frame));
    in = frame_list_reader(&frame.have.rows);
    for (uint32_t i = 0; i < frame.have.rows.count; i++) {
        struct frame_have_row row = frame_read_have(&in);
        uint64_t commit = world_commit_of(&node->world->nodes[0], row.epoch, row.hno);

        *told = commit > *told ? commit : *told;
    }
}

/* It comes up again, with what it told of. */
static void come_up(struct world *world, uint32_t node, const uint64_t *told)
{
    struct replica_origin record = {0};

    (void)world_head(world, 1, &world->nodes[0].own, &record);
    assert_true(world_commit_of(&world->nodes[0], record.head.epoch, record.head.hno) >= *told);
    world_start(world, node);
    world_charter_again(world, 0);
    world_run(world, world->now_ms + 5 * SECOND);
}

/* Time passes. Did the node end meanwhile? */
static bool goes_on(struct world *world, uint32_t node, const uint64_t *told)
{
    world_run(world, world->now_ms + 5 * SECOND);
    if (world->nodes[node].up)
        return false;
    come_up(world, node, told);
    return true;
}

static bool go_through(struct world *world, uint32_t node, const uint64_t *told)
{
    bool ended;

    for (uint32_t i = 0; i < world->node_count; i++)
        world_start(world, i);
    world_write(world, 0, 200); /* a first copy, with inner nodes of tries */
    ended = goes_on(world, node, told);
    world_write(world, 0, 8); /* a batch */
    ended |= goes_on(world, node, told);
    world_block(world, 0, 1, true);
    for (unsigned i = 0; i < 3; i++)
        world_write(world, 0, 8);
    world_run(world, world->now_ms + SECOND);
    world_cut(world, 0, 1);
    world_block(world, 0, 1, false); /* a delta */
    ended |= goes_on(world, node, told);
    world_rotate(world, 0, true); /* a charter, and a head of its epoch */
    ended |= goes_on(world, node, told);
    return ended;
}

/* Did the node end before operation `after` of its store? Else there were no more. */
static bool ends_at(uint32_t node, uint64_t after)
{
    struct world *world = test_calloc(1, sizeof(*world));
    struct world_options options = world_options_default(SEED);
    uint64_t told = 0;
    char why[160] = "";
    bool ended;

    world_init(world, &options);
    world_node_add(world, true);
    world_node_add(world, false);
    world_peer(world, 1, 0, true);
    world->watcher.context = &told;
    world->watcher.sending = note_have;
    world_fault(world, node, after, TORG_E_IO, true);
    ended = go_through(world, node, &told);
    world_fault(world, node, 0, TORG_OK, false);
    world_write(world, 0, 3); /* whatever happened, it goes on */
    world_run(world, world->now_ms + 20 * SECOND);
    if (!world_converged(world, why, sizeof(why))) {
        world_trace_print(world);
        fail_msg("%s ended before operation %" PRIu64 ": %s", at_name[node], after, why);
    }
    verify(world, 0);
    verify(world, 1);
    world_done(world);
    test_free(world);
    return ended;
}

static void ends_everywhere(uint32_t node)
{
    uint64_t after = 0;

    while (ends_at(node, after))
        after++;
    /* The listings alone are more; fewer would mean that the story is over too early. */
    assert_true(after > 200);
}

static void test_the_neighbour_ends_at_each_operation(void **state)
{
    (void)state;
    ends_everywhere(1);
}

static void test_the_origin_ends_at_each_operation(void **state)
{
    (void)state;
    ends_everywhere(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_neighbour_ends_at_each_operation),
        cmocka_unit_test(test_the_origin_ends_at_each_operation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
