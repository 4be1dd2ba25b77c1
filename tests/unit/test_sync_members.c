/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include "tests/support/nodes.h"
#include "tests/support/roster.h"
#include "tests/support/table.h"

/*
 * A catalogue names whom to trust. Whoever it names must arrive everywhere, in
 * whatever order the nodes hear of it; whoever it names no more must not.
 */
#define SECOND 1000

static bool knows(struct world *world, uint32_t node, uint32_t from)
{
    struct replica_origin record;

    return world_head(world, node, &world->nodes[from].own, &record);
}

static uint64_t head_at(struct world *world, uint32_t node, uint32_t from)
{
    struct replica_origin record;

    assert_true(world_head(world, node, &world->nodes[from].own, &record));
    return record.head.hno;
}

static void assert_all_have_all(struct world *world)
{
    for (uint32_t from = 0; from < world->node_count; from++) {
        for (uint32_t node = 0; node < world->node_count; node++)
            nodes_assert_has(world, node, from);
    }
}

/* Nobody is trusted whom nobody named; who is named arrives, without a restart. */
static void test_who_is_named_arrives(void **state)
{
    struct world *world = nodes_in_a_row(1, 4);

    (void)state;
    nodes_run_for(world, 20 * SECOND);
    nodes_assert_has(world, 3, 0);
    assert_false(knows(world, 0, 3));
    assert_false(knows(world, 1, 3));
    assert_false(knows(world, 3, 1));
    for (uint32_t i = 1; i < 4; i++)
        world_member(world, i, "active", 0);
    nodes_run_for(world, 30 * SECOND);
    assert_all_have_all(world);
    for (uint32_t i = 0; i < 4; i++)
        world_write(world, i, 5);
    nodes_run_for(world, 10 * SECOND);
    assert_all_have_all(world);
    nodes_free(world);
}

/* One after the other, while the others write. */
static void test_members_come_one_by_one(void **state)
{
    struct world *world = nodes_in_a_row(2, 5);

    (void)state;
    for (uint32_t i = 1; i < 5; i++) {
        world_member(world, 5 - i, "active", 0);
        nodes_run_for(world, 3 * SECOND);
        world_write(world, 4, 3);
    }
    nodes_run_for(world, 30 * SECOND);
    assert_all_have_all(world);
    nodes_free(world);
}

static void assert_taken_no_further(struct world *world, const char *status)
{
    uint64_t before = head_at(world, 0, 2);

    world_member(world, 2, status, 0);
    nodes_run_for(world, 5 * SECOND);
    world_write(world, 2, 4);
    nodes_run_for(world, 60 * SECOND);
    assert_true(head_at(world, 2, 2) > before);
    assert_int_equal(head_at(world, 0, 2), before); /* what is held stays */
    assert_int_equal(head_at(world, 1, 2), before);
    world_write(world, 1, 4); /* and the others go on */
    nodes_run_for(world, 10 * SECOND);
    nodes_assert_has(world, 0, 1);
    nodes_assert_has(world, 2, 1);
    world_member(world, 2, "active", 0);
    nodes_run_for(world, 30 * SECOND);
    assert_all_have_all(world);
}

static void test_who_left_is_taken_no_further(void **state)
{
    struct world *world = nodes_in_a_row(3, 3);

    (void)state;
    for (uint32_t i = 1; i < 3; i++)
        world_member(world, i, "active", 0);
    nodes_run_for(world, 30 * SECOND);
    assert_all_have_all(world);
    assert_taken_no_further(world, "suspended");
    assert_taken_no_further(world, "left");
    assert_taken_no_further(world, NULL);
    assert_taken_no_further(world, "a word of a later version");
    nodes_free(world);
}

/* While it is being copied: the job ends, nothing else is disturbed. */
static void test_who_leaves_in_the_middle(void **state)
{
    struct world *world = nodes_in_a_row(4, 3);

    (void)state;
    world->nodes[2].bytes_per_ms = 20;
    for (unsigned i = 0; i < 20; i++)
        world_write_sized(world, 2, 20, 3000);
    nodes_run_for(world, 10 * SECOND);
    for (uint32_t i = 1; i < 3; i++)
        world_member(world, i, "active", 0);
    nodes_run_for(world, 5 * SECOND);
    world_member(world, 2, "suspended", 0);
    nodes_run_for(world, 20 * SECOND);
    world_write(world, 1, 5);
    nodes_run_for(world, 20 * SECOND);
    nodes_assert_has(world, 0, 1);
    world->nodes[2].bytes_per_ms = 4000;
    world_member(world, 2, "active", 0);
    nodes_run_for(world, 60 * SECOND);
    assert_all_have_all(world);
    nodes_free(world);
}

/* What was held of the catalogue counts from the start on, though it cannot be asked. */
static void test_after_a_restart(void **state)
{
    struct world *world = nodes_in_a_row(5, 4);

    (void)state;
    for (uint32_t i = 1; i < 4; i++)
        world_member(world, i, "active", 0);
    nodes_run_for(world, 30 * SECOND);
    world_crash(world, 0);
    world_crash(world, 1);
    world_crash(world, 2);
    world_write(world, 3, 3);
    nodes_run_for(world, 5 * SECOND);
    world_start(world, 2);
    nodes_run_for(world, 20 * SECOND);
    nodes_assert_has(world, 2, 3);
    nodes_free(world);
}

/* What the configuration itself pins is trusted whatever the catalogue says. */
static void test_a_pin_stands(void **state)
{
    struct world *world = nodes_in_a_row(6, 3);

    (void)state;
    world_crash(world, 1);
    world->nodes[1].follows = false;
    world_start(world, 1);
    world_member(world, 1, "active", 0);
    world_member(world, 2, "suspended", 0);
    nodes_run_for(world, 30 * SECOND);
    nodes_assert_has(world, 1, 2);
    assert_false(knows(world, 0, 2));
    nodes_free(world);
}

/* The catalogue says how much is taken of each, and may say so anew. */
static void test_the_catalogues_quota(void **state)
{
    struct world *world = nodes_in_a_row(7, 3);
    uint64_t before;

    (void)state;
    world_member(world, 1, "active", 0);
    world_member(world, 2, "active", 20);
    nodes_run_for(world, 30 * SECOND);
    assert_all_have_all(world);
    before = head_at(world, 0, 2);
    world_write_sized(world, 2, 60, 10);
    nodes_run_for(world, 30 * SECOND);
    assert_int_equal(head_at(world, 0, 2), before);
    world_member(world, 2, "active", 1000);
    nodes_run_for(world, 90 * SECOND);
    assert_all_have_all(world);
    nodes_free(world);
}

static void count_subs(void *context, struct world_node *node, uint32_t to, uint8_t type,
                       struct span body)
{
    unsigned *subs = context;

    (void)to;
    (void)body;
    *subs += type == FRAME_SUB && node->index == 1;
}

/* A catalogue may change its mind as fast as it can sign: its readers must not flood each other. */
static void test_a_restless_catalogue(void **state)
{
    struct world *world = nodes_in_a_row(8, 3);
    unsigned subs = 0;

    (void)state;
    world_member(world, 1, "active", 0);
    nodes_run_for(world, 10 * SECOND);
    world->watcher = (struct world_watcher){.context = &subs, .sending = count_subs};
    world->options.commit_min_ms = world->options.commit_max_ms = 1;
    for (unsigned i = 0; i < 700; i++) {
        world_member(world, 2, "active", 1000 + i);
        nodes_run_for(world, 10);
    }
    nodes_run_for(world, 20 * SECOND);
    assert_true(subs > 0);
    assert_true(subs <= 2 * 10);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(world_peer_status(world, 1, i).errors, 0);
    assert_all_have_all(world);
    nodes_free(world);
}

static void follow_other(struct table *table)
{
    struct sync_peer_config peers[2];
    struct origin_id trusted[1];
    struct sync_config config = table_config(table, peers, trusted);

    config.trusted_count = 0;
    config.has_catalogue = true;
    config.catalogue = table->other.id;
    config.members_mask = COLLECTION_MASK_ALL;
    config.subscribe_mask = COLLECTION_MASK_ALL;
    assert_ok(sync_reconfigure(table->sync, &config, &table->actions));
    table_carry_out(table, &table->actions);
    sync_actions_clear(&table->actions);
    table_tick(table, 1);
}

static bool trusts(const struct table *table, const struct town *town)
{
    struct sync_origin_status status;

    return sync_origin_status(table->sync, &town->id, &status);
}

/* A list that is read at a start while what an entry says is not here is read again when it is. */
static void test_a_word_that_comes_later(void **state)
{
    struct table *table = *state;
    struct buffer payload = {0};
    struct local_change change = roster_change(&table->stranger.id, "active", 0, 1, &payload);

    follow_other(table);
    table_introduce(table);
    assert_ok(town_commit(&table->other, &change, 1));
    buffer_done(&payload);
    table_push(table, &table->other, false);
    table_have_of(table, &table->other, COLLECTION_MASK_ALL);
    assert_false(trusts(table, &table->stranger));
    follow_other(table); /* as after a start */
    table_have_of(table, &table->other, COLLECTION_MASK_ALL);
    table_tick(table, 2000);
    assert_false(trusts(table, &table->stranger));
    table_answer_fetch(table, &table->other, true);
    table_tick(table, 2000);
    assert_true(trusts(table, &table->stranger));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_is_named_arrives),
        cmocka_unit_test(test_members_come_one_by_one),
        cmocka_unit_test(test_who_left_is_taken_no_further),
        cmocka_unit_test(test_who_leaves_in_the_middle),
        cmocka_unit_test(test_after_a_restart),
        cmocka_unit_test(test_a_pin_stands),
        cmocka_unit_test(test_the_catalogues_quota),
        cmocka_unit_test(test_a_restless_catalogue),
        cmocka_unit_test_setup_teardown(test_a_word_that_comes_later, table_setup, table_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
