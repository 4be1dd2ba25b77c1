/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include "tests/sim/world.h"
#include "tests/support/table.h"

/*
 * An origin with more listings than a node takes of it: it costs a head now and
 * then, what is held stays, and nobody else notices.
 */
#define SECOND 1000
#define MINUTE (60 * SECOND)

static void reconfigure(struct table *table, uint32_t quota)
{
    struct sync_peer_config peers[2];
    struct origin_id trusted[1];
    struct sync_config config = table_config(table, peers, trusted);

    config.trusted_quotas = &quota;
    assert_ok(sync_reconfigure(table->sync, &config, &table->actions));
    table_carry_out(table, &table->actions);
    sync_actions_clear(&table->actions);
    table_tick(table, 1);
}

static struct sync_origin_status status_of(const struct sync *sync, const struct origin_id *id)
{
    struct sync_origin_status status;

    assert_true(sync_origin_status(sync, id, &status));
    return status;
}

static struct sync_origin_status status_here(const struct table *table)
{
    return status_of(table->sync, &table->other.id);
}

static void commit_delete(struct town *town, uint8_t byte)
{
    struct local_change change = {.collection = COLLECTION_COMPANIES};

    memset(change.id.bytes, byte, sizeof(change.id.bytes));
    assert_ok(town_commit(town, &change, 1));
}

static void assert_held(struct table *table, uint64_t hno, uint32_t count)
{
    struct replica_origin record;
    struct kv read;

    assert_ok(kv_mem_read_begin(table->own.mem, &read));
    assert_ok(replica_origin_get(&read, &table->other.id, &record));
    kv_mem_read_end(&read);
    assert_int_equal(record.head.hno, hno);
    assert_int_equal(record.held[COLLECTION_COMPANIES].count, count);
    assert_int_equal(replica_complete_mask(&record, TABLE_MASK), TABLE_MASK);
}

/* The node is introduced, takes quota listings at most, and gets the first count commits. */
static void begin(struct table *table, uint32_t quota, uint8_t count)
{
    table_introduce(table);
    reconfigure(table, quota);
    for (uint8_t i = 1; i <= count; i++) {
        table_commit(&table->other, i);
        table_batch(table, &table->other, false);
    }
    table->seat->heard_count = 0;
}

/* The answer to a PULL for the head alone. */
static void answer_head(struct table *table, const struct town *town)
{
    const struct frame *pull = table_heard(table, FRAME_PULL);
    struct frame frame = {.type = FRAME_DELTA};
    struct buffer head = {0};

    assert_non_null(pull);
    assert_int_equal(pull->pull.mask, 0);
    table_head(town, &head);
    frame.delta.sid = pull->pull.sid;
    frame.delta.head = buffer_span(&head);
    table->seat->heard_count = 0;
    table_say(table, &frame);
    buffer_done(&head);
}

/* The answer to a PULL of what has changed, and the payloads after it. */
static void answer_delta(struct table *table, const struct town *town)
{
    const struct frame *pull = table_heard(table, FRAME_PULL);
    struct frame frame = {.type = FRAME_DELTA};
    struct buffer head = {0};
    struct town_write delta;
    struct kv read;

    assert_non_null(pull);
    assert_int_equal(pull->pull.mask, TABLE_MASK);
    table_head(town, &head);
    assert_ok(kv_mem_read_begin(town->mem, &read));
    town_delta(town, &read, pull->pull.since_seq, TABLE_MASK, &delta);
    kv_mem_read_end(&read);
    frame.delta.sid = pull->pull.sid;
    frame.delta.head = buffer_span(&head);
    frame_rows_clear(&table->rows);
    for (size_t i = 0; i < delta.write.entry_count; i++)
        frame_rows_bin(&table->rows, delta.write.entries[i].header_bytes);
    frame.delta.headers = frame_rows_list(&table->rows);
    table_say(table, &frame);
    if (table_heard(table, FRAME_FETCH))
        table_answer_fetch(table, town, true);
    town_write_done(&delta);
    buffer_done(&head);
}

/* Time passes, and the peer is heard of, so that its connection stands. */
static void wait(struct table *table, int64_t ms)
{
    for (; ms > 0; ms -= 20 * SECOND) {
        table_tick(table, ms < 20 * SECOND ? ms : 20 * SECOND);
        table_say(table, &(struct frame){.type = FRAME_PING});
    }
}

/* How many frames of that type the peer heard. */
static unsigned heard_count(const struct table *table, uint8_t type)
{
    unsigned count = 0;

    for (size_t i = 0; i < table->seat->heard_count; i++)
        count += table->seat->heard[i].type == type;
    return count;
}

/* A batch, and more of them: not taken, said once, and nothing is asked for. */
static void test_batches_beyond_are_not_taken(void **state)
{
    struct table *table = *state;
    unsigned stores;

    begin(table, 2, 2);
    assert_held(table, 2, 2);
    assert_false(status_here(table).over_quota);
    assert_int_equal(status_here(table).quota, 2);
    stores = table->stores;
    for (uint8_t i = 3; i <= 6; i++) {
        table_commit(&table->other, i);
        table_batch(table, &table->other, false);
        table_have(table, &table->other, 0);
        assert_true(status_here(table).over_quota);
        assert_int_equal(status_here(table).listings, i);
    }
    assert_held(table, 2, 2);
    assert_int_equal(table->stores, stores);
    assert_int_equal(heard_count(table, FRAME_ERROR), 1);
    assert_int_equal(table_heard(table, FRAME_ERROR)->error.code, FRAME_CODE_OVER_QUOTA);
    assert_int_equal(table_heard(table, FRAME_ERROR)->error.sid, 0);
    assert_null(table_heard(table, FRAME_PULL));
    assert_null(table_heard(table, FRAME_TRIE_REQ));
    /* Nobody claims more than what was refused: there is nothing to look at, however long. */
    wait(table, 3 * MINUTE);
    assert_null(table_heard(table, FRAME_PULL));
    /* A head that is within it ends it: what was passed over is fetched with it. */
    for (uint8_t i = 3; i <= 6; i++)
        commit_delete(&table->other, i);
    table_commit(&table->other, 1);
    table_batch(table, &table->other, false);
    assert_false(status_here(table).over_quota);
    answer_delta(table, &table->other);
    assert_held(table, 11, 2);
    assert_false(table->seat->closed);
}

/* Claims say no numbers: a head is looked at, one in a minute, and no listing with it. */
static void test_claims_are_looked_at_now_and_then(void **state)
{
    struct table *table = *state;

    begin(table, 3, 3);
    table_commit(&table->other, 4);
    table_commit(&table->other, 5);
    table_have(table, &table->other, 0);
    assert_int_equal(table_heard(table, FRAME_PULL)->pull.mask, TABLE_MASK);
    /* The first time nothing is known yet; the answer's head is enough to know it. */
    answer_delta(table, &table->other);
    assert_true(status_here(table).over_quota);
    assert_int_equal(status_here(table).listings, 5);
    for (unsigned minute = 0; minute < 3; minute++) {
        table->seat->heard_count = 0;
        table_commit(&table->other, (uint8_t)(6 + minute));
        table_have(table, &table->other, 0);
        wait(table, 30 * SECOND);
        assert_null(table_heard(table, FRAME_PULL));
        wait(table, 31 * SECOND);
        assert_int_equal(heard_count(table, FRAME_PULL), 1);
        answer_head(table, &table->other);
        assert_true(status_here(table).over_quota);
        assert_null(table_heard(table, FRAME_PULL));
        assert_null(table_heard(table, FRAME_ERROR)); /* said once */
    }
    assert_int_equal(status_here(table).listings, 8);
    assert_held(table, 3, 3);
    for (uint8_t i = 3; i <= 8; i++)
        commit_delete(&table->other, i);
    table_have(table, &table->other, 0);
    wait(table, 61 * SECOND);
    answer_head(table, &table->other);
    assert_false(status_here(table).over_quota);
    answer_delta(table, &table->other);
    assert_held(table, 14, 2);
}

/* A first copy ends with its first answer; a greater quota in the configuration begins it again. */
static void test_a_first_copy_waits_for_a_greater_quota(void **state)
{
    struct table *table = *state;
    unsigned stores;

    for (uint8_t i = 1; i <= 5; i++)
        table_commit(&table->other, i);
    reconfigure(table, 4);
    table_introduce(table);
    stores = table->stores;
    table_answer_trie(table, &table->other);
    assert_true(status_here(table).over_quota);
    assert_null(table_heard(table, FRAME_FETCH));
    assert_int_equal(table->stores, stores);
    wait(table, 2 * MINUTE);
    assert_null(table_heard(table, FRAME_PULL));
    assert_null(table_heard(table, FRAME_TRIE_REQ));
    /* Still too little: one look says so. */
    table->seat->heard_count = 0;
    reconfigure(table, 4);
    answer_head(table, &table->other);
    assert_true(status_here(table).over_quota);
    assert_null(table_heard(table, FRAME_ERROR));
    table->seat->heard_count = 0;
    reconfigure(table, 5);
    assert_true(status_here(table).over_quota); /* until it is seen */
    answer_head(table, &table->other);
    assert_false(status_here(table).over_quota);
    table_answer_trie(table, &table->other);
    table_answer_fetch(table, &table->other, true);
    assert_held(table, 5, 5);
}

/* Who lowers the quota still gets what is deleted, and what is changed. */
static void test_what_does_not_grow_is_taken(void **state)
{
    struct table *table = *state;

    begin(table, 0, 4);
    assert_held(table, 4, 4);
    reconfigure(table, 2);
    assert_false(status_here(table).over_quota);
    table_commit(&table->other, 4);
    table_batch(table, &table->other, false);
    assert_held(table, 5, 4);
    commit_delete(&table->other, 4);
    table_have(table, &table->other, 0);
    table_tick(table, 200);
    answer_delta(table, &table->other);
    assert_held(table, 6, 3);
    table_commit(&table->other, 5);
    table_batch(table, &table->other, false);
    assert_held(table, 6, 3);
    assert_true(status_here(table).over_quota);
}

/* Who claims heads and delivers others would have one looked at each minute for ever. */
static void test_empty_claims_are_struck(void **state)
{
    struct table *table = *state;
    unsigned looks = 0;

    begin(table, 1, 1);
    table_commit(&table->other, 2);
    table_batch(table, &table->other, false);
    assert_true(status_here(table).over_quota);
    for (unsigned i = 0; i < 8; i++) {
        table->seat->heard_count = 0;
        table_have(table, &table->other, 1 + i);
        wait(table, 61 * SECOND);
        looks += heard_count(table, FRAME_PULL);
        if (table_heard(table, FRAME_PULL))
            answer_head(table, &table->other);
    }
    assert_int_equal(looks, 3);
    assert_false(table->seat->closed);
}

/* Several paths bring what is not taken: one is enough to know of it. */
static void test_second_copies_are_not_wanted(void **state)
{
    struct table *table = *state;

    begin(table, 1, 1);
    table_commit(&table->other, 2);
    table_batch(table, &table->other, false);
    table_sit(table, 1, 2);
    table->seat->heard_count = 0;
    table_batch(table, &table->other, false);
    assert_non_null(table_heard(table, FRAME_TREE));
    assert_true(status_here(table).over_quota);
    /* Nor is it looked at because another one claims it. */
    table_connect(table, 3);
    table_greet(table);
    table_have(table, &table->other, 0);
    table_tick(table, MINUTE - SECOND);
    table->seat->heard_count = 0;
    table_have(table, &table->other, 0);
    table_tick(table, 2 * SECOND);
    assert_null(table_heard(table, FRAME_PULL));
}

/* Heads with a thief's key were refused; those of the next charter begin below their numbers. */
static void test_a_charter_makes_others_count(void **state)
{
    struct table *table = *state;
    struct town twin;

    town_init(&twin, 2);
    begin(table, 2, 2);
    table_commit(&twin, 1);
    table_commit(&twin, 2);
    for (uint8_t i = 3; i <= 6; i++)
        table_commit(&table->other, i);
    table_batch(table, &table->other, false);
    assert_true(status_here(table).over_quota);
    town_rotate(&twin, false);
    table_commit(&twin, 1);
    table_have(table, &twin, 0);
    assert_non_null(table_heard(table, FRAME_CHARTER_REQ));
    table_charters(table, &twin);
    answer_head(table, &twin);
    assert_false(status_here(table).over_quota);
    table_tick(table, 100); /* its batch might have come by itself */
    answer_delta(table, &twin);
    assert_held(table, table_record(&twin).head.hno, 2);
    town_done(&twin);
}

/* Who is behind may have a head that fits: it is taken, whole, and the origin stays too large. */
static void test_older_heads_that_fit_are_taken(void **state)
{
    struct table *table = *state;
    struct town behind;

    town_init(&behind, 2);
    begin(table, 3, 1);
    for (uint8_t i = 1; i <= 3; i++)
        table_commit(&behind, i);
    for (uint8_t i = 2; i <= 5; i++)
        table_commit(&table->other, i);
    table_have(table, &table->other, 0);
    answer_delta(table, &table->other);
    assert_true(status_here(table).over_quota);
    table_sit(table, 1, 2);
    table_have(table, &behind, 0);
    for (unsigned i = 0; i < 4 && !table_heard(table, FRAME_PULL); i++) {
        wait(table, 20 * SECOND);
        table_sit(table, 0, 1);
        table_say(table, &(struct frame){.type = FRAME_PING});
        table_sit(table, 1, 2);
    }
    answer_head(table, &behind);
    answer_delta(table, &behind);
    assert_held(table, 3, 3);
    assert_true(status_here(table).over_quota);
    assert_int_equal(status_here(table).listings, 5);
    town_done(&behind);
}

/* A second head under a number that is held is found out as ever. */
static void test_forks_are_found_all_the_same(void **state)
{
    struct table *table = *state;
    struct replica_origin record;
    struct town twin;
    struct kv read;

    town_init(&twin, 2);
    begin(table, 2, 2);
    table_commit(&table->other, 3);
    table_batch(table, &table->other, false);
    assert_true(status_here(table).over_quota);
    table_commit(&twin, 101);
    table_commit(&twin, 102);
    table_batch(table, &twin, false);
    assert_ok(kv_mem_read_begin(table->own.mem, &read));
    assert_ok(replica_origin_get(&read, &table->other.id, &record));
    kv_mem_read_end(&read);
    assert_true(record.flags & REPLICA_FLAG_DISPUTED);
    assert_non_null(table_heard(table, FRAME_PROOF));
    town_done(&twin);
}

/* In a federation: who takes less holds what fits, passes it on, and takes all of the others. */
static void test_others_are_not_held_up(void **state)
{
    struct world *world = test_calloc(1, sizeof(*world));
    struct world_options options = world_options_default(71);
    struct replica_origin before, after;
    char why[160] = "";

    (void)state;
    options.strict_store = true;
    world_init(world, &options);
    for (uint32_t i = 0; i < 4; i++)
        world_node_add(world, i < 3);
    world_peer(world, 0, 1, true);
    world_peer(world, 1, 2, true);
    world_peer(world, 0, 3, true);
    world->nodes[1].quota = 30;
    for (uint32_t i = 0; i < 4; i++)
        world_start(world, i);
    world_write(world, 0, 20);
    world_run(world, world->now_ms + 10 * SECOND);
    assert_true(world_holds_all(world, 0, 2, why, sizeof(why)));
    assert_true(world_head(world, 2, &world->nodes[0].own, &before));
    world_write_sized(world, 0, 60, 100);
    world_write(world, 2, 25);
    world_run(world, world->now_ms + 10 * SECOND);
    assert_true(status_of(world->nodes[1].sync, &world->nodes[0].own).over_quota);
    assert_false(status_of(world->nodes[3].sync, &world->nodes[0].own).over_quota);
    assert_true(world_holds_all(world, 0, 3, why, sizeof(why)));
    /* Behind it there is what it holds, whole; and what comes from there goes through it. */
    assert_true(world_head(world, 2, &world->nodes[0].own, &after));
    assert_int_equal(after.head.hno, before.head.hno);
    for (uint32_t i = 0; i < 4; i++)
        assert_true(world_holds_all(world, 2, i, why, sizeof(why)));
    /* It comes back with a greater quota: everybody gets everything. */
    world_crash(world, 1);
    world->nodes[1].quota = 1000;
    world_start(world, 1);
    world_run(world, world->now_ms + MINUTE);
    if (!world_converged(world, why, sizeof(why)))
        fail_msg("%s", why);
    world_done(world);
    test_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_batches_beyond_are_not_taken, table_setup,
                                        table_teardown),
        cmocka_unit_test_setup_teardown(test_claims_are_looked_at_now_and_then, table_setup,
                                        table_teardown),
        cmocka_unit_test_setup_teardown(test_a_first_copy_waits_for_a_greater_quota, table_setup,
                                        table_teardown),
        cmocka_unit_test_setup_teardown(test_what_does_not_grow_is_taken, table_setup,
                                        table_teardown),
        cmocka_unit_test_setup_teardown(test_empty_claims_are_struck, table_setup, table_teardown),
        cmocka_unit_test_setup_teardown(test_second_copies_are_not_wanted, table_setup,
                                        table_teardown),
        cmocka_unit_test_setup_teardown(test_a_charter_makes_others_count, table_setup,
                                        table_teardown),
        cmocka_unit_test_setup_teardown(test_older_heads_that_fit_are_taken, table_setup,
                                        table_teardown),
        cmocka_unit_test_setup_teardown(test_forks_are_found_all_the_same, table_setup,
                                        table_teardown),
        cmocka_unit_test(test_others_are_not_held_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
