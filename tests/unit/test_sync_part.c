/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include "tests/support/nodes.h"
#include "tests/support/table.h"

/*
 * Nodes that hold only some collections of an origin: they hold all of these and
 * nothing else, serve and announce just that, and change their minds.
 */
#define SECOND 1000
#define BIT(collection) (UINT32_C(1) << (collection))
/* A known collection, and one that no version knows. */
#define PART_MASK (BIT(COLLECTION_OFFERS) | BIT(31))

static struct world *world_make(uint64_t seed, uint32_t nodes)
{
    struct world *world = nodes_new(seed);

    for (uint32_t i = 0; i < nodes; i++)
        world_node_add(world, i == 0);
    return world;
}

static uint32_t held_mask(struct world *world, uint32_t node)
{
    struct replica_origin record;
    uint32_t mask = 0;

    if (!world_head(world, node, &world->nodes[0].own, &record))
        return 0;
    for (unsigned c = 1; c < COLLECTIONS_MAX; c++)
        mask |= record.held[c].count ? BIT(c) : 0;
    return mask;
}

/* Every collection that the world has, so that "nothing else" says something. */
static void write_everywhere(struct world *world)
{
    for (unsigned i = 0; i < 100 && held_mask(world, 0) != 0x80100806; i++) {
        world_write(world, 0, 40);
        nodes_run_for(world, SECOND);
    }
    assert_int_equal(held_mask(world, 0), 0x80100806);
}

static void restart_with(struct world *world, uint32_t node, uint32_t mask)
{
    world_crash(world, node);
    world->nodes[node].subscribe_mask = mask;
    world_start(world, node);
}

/* The middle holds all, the leaf two collections: their roots are the head's, and nothing else is
 * there. */
static void test_a_leaf_holds_a_part(void **state)
{
    struct world *world = world_make(41, 3);
    struct sync_counters before, after;

    (void)state;
    world_peer(world, 0, 1, true);
    world_peer(world, 1, 2, true);
    world->nodes[2].subscribe_mask = PART_MASK;
    for (uint32_t i = 0; i < 3; i++)
        world_start(world, i);
    write_everywhere(world);
    nodes_run_for(world, 10 * SECOND);
    nodes_assert_has(world, 1, 0);
    nodes_assert_has(world, 2, 0);
    assert_int_equal(held_mask(world, 1), held_mask(world, 0));
    assert_int_equal(held_mask(world, 2), PART_MASK);
    /* In quiet it keeps up by batches alone: its roots come out of what they carry. */
    sync_counters(world->nodes[2].sync, &before);
    for (unsigned i = 0; i < 10; i++) {
        world_write(world, 0, 3);
        nodes_run_for(world, 3 * SECOND);
    }
    nodes_assert_has(world, 2, 0);
    sync_counters(world->nodes[2].sync, &after);
    assert_int_equal(after.batches_in, before.batches_in + 10);
    assert_int_equal(after.reconciles, before.reconciles);
    assert_int_equal(after.deltas_in, before.deltas_in);
    assert_int_equal(after.mismatches, 0);
    nodes_free(world);
}

/* Behind a relay that holds a part there is that part to be had, and no half commit is tried. */
static void test_a_part_is_relayed(void **state)
{
    struct world *world = world_make(42, 4);
    struct replica_origin record;
    struct sync_counters counters;

    (void)state;
    world_peer(world, 0, 1, true);
    world_peer(world, 1, 2, true);
    world_peer(world, 1, 3, true);
    world->nodes[1].subscribe_mask = PART_MASK | BIT(COLLECTION_COMPANIES);
    world->nodes[2].subscribe_mask = PART_MASK;
    for (uint32_t i = 0; i < 4; i++)
        world_start(world, i);
    write_everywhere(world);
    for (unsigned i = 0; i < 5; i++) {
        world_write(world, 0, 10);
        nodes_run_for(world, 10 * SECOND);
    }
    nodes_assert_has(world, 1, 0);
    nodes_assert_has(world, 2, 0);
    assert_int_equal(held_mask(world, 2), PART_MASK);
    /* The one that wants all has the newest head, and of it what its only peer holds. */
    assert_int_equal(held_mask(world, 3), PART_MASK | BIT(COLLECTION_COMPANIES));
    assert_true(world_head(world, 3, &world->nodes[0].own, &record));
    assert_int_equal(replica_complete_mask(&record, held_mask(world, 0)),
                     PART_MASK | BIT(COLLECTION_COMPANIES));
    sync_counters(world->nodes[3].sync, &counters);
    assert_int_equal(counters.mismatches, 0);
    assert_int_equal(counters.batches_in, 0);
    nodes_free(world);
}

/* A full neighbour is a moment behind the partial one: nobody breaks off what it holds for that. */
static void test_a_part_does_not_break_the_whole(void **state)
{
    struct world *world = world_make(43, 4);

    (void)state;
    world_peer(world, 0, 1, true);
    world_peer(world, 1, 3, true); /* the partial way */
    world_peer(world, 0, 2, true);
    world_peer(world, 2, 3, true); /* the whole one */
    world->nodes[1].subscribe_mask = PART_MASK;
    for (uint32_t i = 0; i < 4; i++)
        world_start(world, i);
    write_everywhere(world);
    nodes_run_for(world, 10 * SECOND);
    nodes_assert_has(world, 3, 0);
    for (unsigned i = 0; i < 5; i++) {
        world_freeze(world, 2, 2 * SECOND);
        world_write(world, 0, 10);
        for (unsigned tenth = 0; tenth < 80; tenth++) {
            struct replica_origin record;

            nodes_run_for(world, SECOND / 10);
            assert_true(world_head(world, 3, &world->nodes[0].own, &record));
            assert_int_equal(replica_complete_mask(&record, COLLECTION_MASK_ALL),
                             COLLECTION_MASK_ALL);
        }
        nodes_assert_has(world, 3, 0);
    }
    nodes_free(world);
}

static void test_narrower_and_wider(void **state)
{
    struct world *world = world_make(44, 3);

    (void)state;
    world_peer(world, 0, 1, true);
    world_peer(world, 1, 2, true);
    for (uint32_t i = 0; i < 3; i++)
        world_start(world, i);
    write_everywhere(world);
    nodes_run_for(world, 10 * SECOND);
    assert_int_equal(held_mask(world, 1), held_mask(world, 0));
    restart_with(world, 1, PART_MASK);
    nodes_run_for(world, 60 * SECOND);
    assert_int_equal(held_mask(world, 1), PART_MASK);
    nodes_assert_has(world, 1, 0);
    /* Who is behind it keeps what it had, whole collections under the older or the newer head. */
    world_write(world, 0, 30);
    nodes_run_for(world, 60 * SECOND);
    nodes_assert_has(world, 1, 0);
    restart_with(world, 1, PART_MASK | BIT(COLLECTION_COMPANIES));
    nodes_run_for(world, 60 * SECOND);
    assert_int_equal(held_mask(world, 1), PART_MASK | BIT(COLLECTION_COMPANIES));
    nodes_assert_has(world, 1, 0);
    restart_with(world, 1, COLLECTION_MASK_ALL);
    world_write(world, 0, 30);
    nodes_run_for(world, 120 * SECOND);
    nodes_assert_has(world, 1, 0);
    nodes_assert_has(world, 2, 0);
    nodes_free(world);
}

/* ---- one node whose configuration changes, frame by frame ---- */

static void reconfigure(struct table *table, uint32_t mask)
{
    struct sync_peer_config peers[2];
    struct origin_id trusted[1];
    struct sync_config config = table_config(table, peers, trusted);

    config.trusted_masks = &mask;
    table->seat->heard_count = 0;
    assert_ok(sync_reconfigure(table->sync, &config, &table->actions));
    table_carry_out(table, &table->actions);
    sync_actions_clear(&table->actions);
    table_tick(table, 1);
}

static uint32_t subscribed(const struct table *table)
{
    const struct frame *frame = table_heard(table, FRAME_SUB);
    struct profile_reader in;

    assert_non_null(frame);
    in = frame_list_reader(&frame->sub.rows);
    for (uint32_t i = 0; i < frame->sub.rows.count; i++) {
        struct frame_sub_row row = frame_read_sub(&in);

        if (memcmp(&row.origin, &table->other.id, sizeof(row.origin)) == 0)
            return row.mask;
    }
    fail_msg("the origin is not in SUB");
    return 0;
}

/* What the node's newest HAVE says is complete of the other town. */
static uint32_t announced(const struct table *table)
{
    const struct frame *frame = table_heard(table, FRAME_HAVE);
    struct profile_reader in;

    assert_non_null(frame);
    in = frame_list_reader(&frame->have.rows);
    for (uint32_t i = 0; i < frame->have.rows.count; i++) {
        struct frame_have_row row = frame_read_have(&in);

        if (memcmp(&row.origin, &table->other.id, sizeof(row.origin)) == 0)
            return row.mask;
    }
    fail_msg("the origin is not in HAVE");
    return 0;
}

static void commit_in(struct town *town, uint8_t collection, uint8_t byte)
{
    uint8_t payload[40] = {byte};
    struct local_change change = {.collection = collection,
                                  .payload = span_of(payload, sizeof(payload))};

    memset(&change.id, byte, sizeof(change.id));
    assert_ok(town_commit(town, &change, 1));
}

static void expect_refusal(struct table *table, const struct frame *ask, enum frame_code code)
{
    const struct frame *error;

    table->seat->heard_count = 0;
    table_say(table, ask);
    error = table_heard(table, FRAME_ERROR);
    assert_non_null(error);
    assert_int_equal(error->error.code, code);
}

static void test_a_reload_narrows(void **state)
{
    struct table *table = *state;
    struct replica_origin record;
    struct frame ask = {.type = FRAME_TRIE_REQ};

    table_introduce(table);
    assert_int_equal(subscribed(table), TABLE_MASK);
    commit_in(&table->other, COLLECTION_COMPANIES, 1);
    table_batch(table, &table->other, false);
    commit_in(&table->other, COLLECTION_EVENTS, 2);
    table_batch(table, &table->other, false);
    record = table_held(table);
    assert_int_equal(record.held[COLLECTION_COMPANIES].count, 1);
    assert_int_equal(record.held[COLLECTION_EVENTS].count, 1);

    reconfigure(table, BIT(COLLECTION_EVENTS));
    assert_int_equal(subscribed(table), BIT(COLLECTION_EVENTS));
    record = table_held(table);
    assert_int_equal(record.held[COLLECTION_COMPANIES].count, 0);
    assert_int_equal(record.held[COLLECTION_EVENTS].count, 1);
    assert_int_equal(record.floor_seq, record.head.seq);
    assert_int_equal(announced(table), BIT(COLLECTION_EVENTS));

    /* What is not held is not served, and it is said why. */
    ask.trie_req.sid = 1;
    ask.trie_req.origin = table->other.id;
    ask.trie_req.collection = COLLECTION_COMPANIES;
    ask.trie_req.whole = 32;
    frame_rows_clear(&table->rows);
    frame_rows_prefix(&table->rows, &(struct trie_prefix){0});
    ask.trie_req.prefixes = frame_rows_list(&table->rows);
    expect_refusal(table, &ask, FRAME_CODE_NOT_HELD);
    ask = (struct frame){.type = FRAME_PULL};
    ask.pull.sid = 2;
    ask.pull.origin = table->other.id;
    ask.pull.mask = BIT(COLLECTION_COMPANIES) | BIT(COLLECTION_EVENTS);
    ask.pull.epoch = 1;
    expect_refusal(table, &ask, FRAME_CODE_NOT_HELD);

    /* Wider again: the collection is asked for, under the head that is held. */
    reconfigure(table, COLLECTION_MASK_ALL);
    table_have(table, &table->other, 0);
    table_answer_trie(table, &table->other);
    table_answer_fetch(table, &table->other, true);
    record = table_held(table);
    assert_int_equal(record.held[COLLECTION_COMPANIES].count, 1);
    assert_int_equal(replica_complete_mask(&record, COLLECTION_MASK_ALL), COLLECTION_MASK_ALL);
}

/* A SUB that names a set which nobody configured here would else be met by silence. */
static void test_an_unknown_set_is_refused(void **state)
{
    struct table *table = *state;
    struct frame sub = {.type = FRAME_SUB};

    frame_rows_clear(&table->rows);
    frame_rows_sub(&table->rows, &(struct frame_sub_row){.kind = FRAME_SUB_SET,
                                                         .set = span_of_str("norrbotten"),
                                                         .mask = UINT32_MAX});
    sub.sub.rows = frame_rows_list(&table->rows);
    expect_refusal(table, &sub, FRAME_CODE_UNKNOWN_ORIGIN);
    assert_false(table->seat->closed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_leaf_holds_a_part),
        cmocka_unit_test(test_a_part_is_relayed),
        cmocka_unit_test(test_a_part_does_not_break_the_whole),
        cmocka_unit_test(test_narrower_and_wider),
        cmocka_unit_test_setup_teardown(test_a_reload_narrows, table_setup, table_teardown),
        cmocka_unit_test_setup_teardown(test_an_unknown_set_is_refused, table_setup,
                                        table_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
