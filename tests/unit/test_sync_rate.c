/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include "tests/sim/world.h"
#include "tests/support/table.h"

/* Heads beyond the rate are conflated: fewer are taken, and nothing is lost. */
#define SECOND 1000
#define BURST 10

static struct sync_origin_status status_of(const struct sync *sync, const struct origin_id *id)
{
    struct sync_origin_status status;

    assert_true(sync_origin_status(sync, id, &status));
    return status;
}

/* Two nodes: commits of the one, so many apart, and how many heads the other one has taken. */
static unsigned heads_taken(struct world *world, unsigned commits, int64_t apart_ms)
{
    struct replica_origin record;
    unsigned taken = 0;
    uint64_t last = world_head(world, 1, &world->nodes[0].own, &record) ? record.head.hno : 0;

    for (unsigned i = 0; i < commits; i++) {
        world_write(world, 0, 2);
        for (int64_t ms = 0; ms < apart_ms; ms += 50) {
            world_run(world, world->now_ms + 50);
            if (!world_head(world, 1, &world->nodes[0].own, &record) || record.head.hno == last)
                continue;
            last = record.head.hno;
            taken++;
        }
    }
    return taken;
}

static void world_make(struct world *world, uint64_t seed, uint32_t burst)
{
    struct world_options options = world_options_default(seed);

    options.strict_store = true;
    options.limits.heads_burst = burst;
    world_init(world, &options);
    world_node_add(world, true);
    world_node_add(world, false);
    world_peer(world, 0, 1, true);
    world_start(world, 0);
    world_start(world, 1);
    world_run(world, world->now_ms + 5 * SECOND);
}

static void test_heads_are_conflated(void **state)
{
    struct world *world = test_calloc(1, sizeof(*world));
    const struct origin_id *own;
    char why[160] = "";
    unsigned taken;

    (void)state;
    world_make(world, 61, BURST);
    own = &world->nodes[0].own;
    taken = heads_taken(world, 60, SECOND);
    /* As many as at once, and one in 3.6 s of the minute. */
    assert_in_range(taken, BURST + 10, BURST + 18);
    assert_true(status_of(world->nodes[1].sync, own).throttled);
    assert_false(status_of(world->nodes[0].sync, own).throttled);
    /* The newest comes when there is room, and after a pause all is as before. */
    world_run(world, world->now_ms + 5 * SECOND);
    if (!world_converged(world, why, sizeof(why)))
        fail_msg("%s", why);
    world_run(world, world->now_ms + 70 * SECOND);
    assert_false(status_of(world->nodes[1].sync, own).throttled);
    assert_int_equal(heads_taken(world, 5, SECOND), 5);
    world_done(world);
    test_free(world);
}

/* What an import of that many commits makes is not slowed down; nor is anything without a limit. */
static void test_a_burst_and_no_limit(void **state)
{
    static const uint32_t bursts[] = {0, 70};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bursts); i++) {
        struct world *world = test_calloc(1, sizeof(*world));

        world_make(world, 62, bursts[i]);
        assert_int_equal(heads_taken(world, 60, SECOND), 60);
        assert_false(status_of(world->nodes[1].sync, &world->nodes[0].own).throttled);
        world_done(world);
        test_free(world);
    }
}

/* Claims and answers that bring no head cost none of the room. */
static void test_only_what_is_taken_counts(void **state)
{
    struct table *table = *state;
    struct sync_peer_config peers[2];
    struct origin_id trusted[1];
    struct sync_config config = table_config(table, peers, trusted);
    struct frame refusal = {.type = FRAME_ERROR};

    config.limits.heads_burst = 2;
    assert_ok(sync_reconfigure(table->sync, &config, &table->actions));
    table_carry_out(table, &table->actions);
    sync_actions_clear(&table->actions);
    table_introduce(table);
    table_commit(&table->other, 1);
    table_batch(table, &table->other, false);
    table_assert_holds(table, &table->other, 1, 0);
    /* Asked for, and refused: the second head of the burst is still to be had. */
    table_commit(&table->other, 2);
    table_commit(&table->other, 3);
    table_have(table, &table->other, 0);
    refusal.error.sid = table_heard(table, FRAME_PULL)->pull.sid;
    refusal.error.code = FRAME_CODE_NOT_HELD;
    table_say(table, &refusal);
    assert_false(status_of(table->sync, &table->other.id).throttled);
    table_answer_trie(table, &table->other);
    table_answer_fetch(table, &table->other, true);
    table_assert_holds(table, &table->other, 3, 0);
    for (unsigned i = 0; i < 3 && table_heard(table, FRAME_ANCESTRY_REQ); i++)
        table_answer_ancestry(table, &table->other, 0);
    /* Now it is used up: the next one waits, is told of, and comes. */
    table->seat->heard_count = 0;
    table_commit(&table->other, 4);
    table_batch(table, &table->other, false);
    table_tick(table, 1000);
    assert_true(status_of(table->sync, &table->other.id).throttled);
    assert_null(table_heard(table, FRAME_PULL));
    table_tick(table, 2600);
    table_tick(table, 100); /* the batch might have come by itself */
    assert_non_null(table_heard(table, FRAME_PULL));
}

/* A beat of the other town, so many ms after the first. */
static void say_beat(struct table *table, int64_t after_ms)
{
    struct frame frame = {.type = FRAME_BEAT};
    struct buffer beat = {0};
    struct kv kv;

    assert_ok(kv_mem_write_begin(table->other.mem, &kv));
    assert_ok(replica_beat_local(&kv, &table->other.id, &table->other.signer, 77, 0,
                                 1790000000000 + after_ms, &beat));
    assert_ok(kv_mem_write_commit(&kv));
    frame_rows_clear(&table->rows);
    frame_rows_packed(&table->rows, buffer_span(&beat));
    frame.beat.beats = frame_rows_list(&table->rows);
    table_say(table, &frame);
    buffer_done(&beat);
}

/* Two hosts with one key need six beats; what comes faster costs no write. */
static void test_beats_have_a_rate(void **state)
{
    struct table *table = *state;
    int64_t beat = 0;
    unsigned before;

    table_introduce(table);
    before = table->stores;
    for (unsigned i = 0; i < 20; i++)
        say_beat(table, beat++);
    assert_int_equal(table->stores - before, 8);
    for (unsigned minute = 1; minute <= 3; minute++) {
        for (unsigned i = 0; i < 3; i++) {
            table_tick(table, 20 * SECOND);
            say_beat(table, beat++);
        }
        assert_int_equal(table->stores - before, 8 + minute);
    }
    assert_false(table->seat->closed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads_are_conflated),
        cmocka_unit_test(test_a_burst_and_no_limit),
        cmocka_unit_test_setup_teardown(test_beats_have_a_rate, table_setup, table_teardown),
        cmocka_unit_test_setup_teardown(test_only_what_is_taken_counts, table_setup,
                                        table_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
