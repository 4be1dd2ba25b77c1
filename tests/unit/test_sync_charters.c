/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include "tests/support/nodes.h"
#include "tests/support/table.h"

/*
 * Two charters with one number, as a node sees them that went by one and meets a peer that goes
 * by the other. The peer is as honest as the node: nobody is cut off.
 */

/* The other town, whose root key has signed a second charter 1 elsewhere. */
static void twin_init(struct town *twin)
{
    town_init(twin, 2);
    twin->next_key_no = 7;
    town_rotate(twin, false);
}

/* The node goes by charter 1 of the other town, and holds a commit under it. */
static void begin(struct table *table, struct town *twin)
{
    twin_init(twin);
    town_rotate(&table->other, false);
    table_introduce(table);
    table_commit(&table->other, 1);
    table_batch(table, &table->other, false);
    table_assert_holds(table, &table->other, 1, 0);
    table->seat->heard_count = 0;
}

static bool is_disputed(const struct table *table)
{
    return table_held(table).flags & REPLICA_FLAG_DISPUTED;
}

static bool goes_by(const struct table *table, const struct town *town)
{
    struct replica_origin held = table_held(table), right = table_record(town);

    return memcmp(&held.charter_hash, &right.charter_hash, sizeof(held.charter_hash)) == 0;
}

/* From whatever the node asked for last, most at one time. */
static void answer_charters(struct table *table, const struct town *town, size_t most)
{
    const struct frame *asked = table_heard(table, FRAME_CHARTER_REQ);
    struct frame frame = {.type = FRAME_CHARTER};
    uint64_t from;

    assert_non_null(asked);
    from = asked->charter_req.from;
    table->seat->heard_count = 0;
    frame_rows_clear(&table->rows);
    for (size_t i = from; i < town->charter_count && i < from + most; i++)
        frame_rows_packed(&table->rows, buffer_span(&town->charters[i]));
    frame.charter.origin = town->id;
    frame.charter.charters = frame_rows_list(&table->rows);
    table_say(table, &frame);
}

static void test_a_charter_that_follows_another(void **state)
{
    struct table *table = *state;
    struct town twin;

    begin(table, &twin);
    town_rotate(&twin, false);
    table_have(table, &twin, 0);
    assert_int_equal(table_heard(table, FRAME_CHARTER_REQ)->charter_req.from, 2);
    answer_charters(table, &twin, 9);
    assert_int_equal(table_heard(table, FRAME_CHARTER_REQ)->charter_req.from, 1);
    answer_charters(table, &twin, 9);
    assert_false(table->seat->closed);
    assert_true(is_disputed(table));
    assert_non_null(table_heard(table, FRAME_PROOF)); /* who has the other is told of ours */
    assert_int_equal(table_held(table).charter_no, 1);
    table->seat->heard_count = 0;
    table_have(table, &twin, 0);
    table_tick(table, 10000);
    assert_null(table_heard(table, FRAME_CHARTER_REQ)); /* it is known now, for a while */
    assert_null(table_heard(table, FRAME_PULL));
    assert_false(table->seat->closed);
    town_done(&twin);
}

static bool is_asked_to_push(const struct table *table)
{
    const struct frame *tree = table_heard(table, FRAME_TREE);
    struct profile_reader in;

    assert_non_null(tree);
    in = frame_list_reader(&tree->tree.rows);
    return frame_read_tree(&in).graft;
}

/* The number says nothing: both have charter 1. A head says that they differ. */
static void test_a_head_under_another(void **state)
{
    struct table *table = *state;
    struct town twin;

    begin(table, &twin);
    table_commit(&twin, 101);
    table_commit(&twin, 102);
    table_batch(table, &twin, false);
    assert_int_equal(table_heard(table, FRAME_CHARTER_REQ)->charter_req.from, 1);
    answer_charters(table, &twin, 9);
    assert_true(is_disputed(table));
    assert_non_null(table_heard(table, FRAME_PROOF));
    table_commit(&twin, 103);
    table_batch(table, &twin, false); /* it cannot know better */
    table_tick(table, 1000);
    assert_false(table->seat->closed);
    assert_false(is_asked_to_push(table));
    assert_int_equal(table_held(table).head.hno, 1);
    table_assert_holds(table, &table->other, 1, 0);
    town_done(&twin);
}

/* Many charters come in several frames. */
static void test_charters_one_by_one(void **state)
{
    struct table *table = *state;
    struct town twin;

    town_init(&twin, 2);
    for (int i = 0; i < 3; i++) {
        town_rotate(&twin, false);
        town_rotate(&table->other, false);
    }
    twin.next_key_no = 7;
    town_rotate(&twin, false);
    town_rotate(&table->other, false);
    table_introduce(table);
    town_rotate(&twin, false);
    table->seat->heard_count = 0;
    table_have(table, &twin, 0);
    answer_charters(table, &twin, 1); /* number 5 */
    for (uint64_t no = 1; no <= 4; no++) {
        assert_int_equal(table_heard(table, FRAME_CHARTER_REQ)->charter_req.from, no);
        assert_false(is_disputed(table));
        answer_charters(table, &twin, 1);
    }
    assert_true(is_disputed(table));
    assert_false(table->seat->closed);
    town_done(&twin);
}

/* Whoever goes by the same charters has no excuse. */
static void test_a_forger_is_found_out(void **state)
{
    struct table *table = *state;
    struct town stranger;

    town_init(&stranger, 2);
    town_rotate(&table->other, false);
    table_introduce(table);
    table->seat->heard_count = 0;
    stranger.next_key_no = 7;
    town_rotate(&stranger, false);
    table_commit(&stranger, 101);
    table_batch(table, &stranger, false);
    assert_false(table->seat->closed);
    answer_charters(table, &table->other, 9);
    assert_true(table->seat->closed);
    assert_false(is_disputed(table));
    town_done(&stranger);
}

/* And so has one who shows a charter that no root key has signed. */
static void test_a_forged_charter_is_no_excuse(void **state)
{
    struct table *table = *state;
    struct charter_signed forged;
    struct buffer bytes = {0};
    struct town twin;

    begin(table, &twin);
    table_commit(&twin, 101);
    table_batch(table, &twin, false);
    assert_ok(charter_signed_parse(buffer_span(&twin.charters[1]), &forged));
    forged.signatures[0].signature.bytes[5] ^= 1;
    charter_signed_pack(&forged, &bytes);
    buffer_done(&twin.charters[1]);
    twin.charters[1] = bytes;
    answer_charters(table, &twin, 9);
    assert_true(table->seat->closed);
    assert_false(is_disputed(table));
    town_done(&twin);
}

/* It does not answer, and goes on sending: that has its price. */
static void test_a_doubt_cannot_be_kept_up(void **state)
{
    struct table *table = *state;
    struct town twin;

    begin(table, &twin);
    for (int i = 0; i < 500 && !table->seat->closed; i++) {
        table_commit(&twin, 101);
        table_batch(table, &twin, false);
    }
    assert_true(table->seat->closed);
    town_done(&twin);
}

static void name_right(struct table *table, const struct town *right)
{
    struct sync_actions actions = {0};
    struct sync_peer_config peers[2];
    struct origin_id trusted[1];
    struct sync_config config = table_config(table, peers, trusted);
    struct charter_signed object;
    const struct hash *names[1];
    struct hash hash;

    assert_ok(charter_signed_parse(buffer_span(&right->charters[1]), &object));
    hash = charter_hash(object.bytes);
    names[0] = &hash;
    config.trusted_charters = names;
    assert_ok(sync_reconfigure(table->sync, &config, &actions));
    table_carry_out(table, &actions);
    sync_actions_done(&actions);
    table_tick(table, 1000);
}

/* The operator names the other one: the node goes over, and is healed by whoever has it. */
static void test_the_right_one_is_named(void **state)
{
    struct table *table = *state;
    struct town twin;

    begin(table, &twin);
    table_commit(&twin, 101);
    table_batch(table, &twin, false);
    answer_charters(table, &twin, 9);
    assert_true(is_disputed(table));
    table->seat->heard_count = 0;
    name_right(table, &twin);
    assert_false(is_disputed(table));
    assert_true(goes_by(table, &twin));
    table_have(table, &twin, 0);
    table_answer_trie(table, &twin);
    table_answer_fetch(table, &twin, true);
    table_assert_holds(table, &twin, 1, 0);
    assert_false(table->seat->closed);
    town_done(&twin);
}

/* Named before anybody has seen the other: the first dispute ends where it begins. */
static void test_named_beforehand(void **state)
{
    struct table *table = *state;
    struct town twin;

    begin(table, &twin);
    name_right(table, &twin);
    table_commit(&twin, 101);
    table_batch(table, &twin, false);
    answer_charters(table, &twin, 9);
    table_tick(table, 1000);
    assert_false(is_disputed(table));
    table_have(table, &twin, 0);
    table_answer_trie(table, &twin);
    table_answer_fetch(table, &twin, true);
    table_assert_holds(table, &twin, 1, 0);
    town_done(&twin);
}

/* The one that stands is named: its heads are taken again. */
static void test_ours_is_named(void **state)
{
    struct table *table = *state;
    struct town twin;

    begin(table, &twin);
    table_commit(&twin, 101);
    table_batch(table, &twin, false);
    answer_charters(table, &twin, 9);
    table_commit(&table->other, 2);
    table_batch(table, &table->other, false);
    assert_int_equal(table_held(table).head.hno, 1);
    name_right(table, &table->other);
    assert_false(is_disputed(table));
    table_commit(&table->other, 3);
    table_have(table, &table->other, 0);
    table_tick(table, 1000);
    assert_false(table->seat->closed);
    town_done(&twin);
}

/* What the node has asked for by PULL is answered with a town's newest head, and nothing else. */
static void answer_pull(struct table *table, const struct town *town)
{
    struct frame frame = {.type = FRAME_DELTA};
    struct buffer head = {0};

    assert_non_null(table_heard(table, FRAME_PULL));
    frame.delta.sid = table_heard(table, FRAME_PULL)->pull.sid;
    table_head(town, &head);
    frame.delta.head = buffer_span(&head);
    table->seat->heard_count = 0;
    table_say(table, &frame);
    buffer_done(&head);
}

/*
 * The other charter of our own origin has opened an epoch. Who goes by it takes what we publish
 * for old: unless we look, neither side ever hears of the other.
 */
static void test_our_own_under_another(void **state)
{
    struct table *table = *state;
    struct town twin;

    town_init(&twin, 1);
    twin.next_key_no = 7;
    town_rotate(&twin, true);
    table_commit(&twin, 101);
    town_rotate(&table->own, false);
    table_step(table, (struct sync_event){.kind = SYNC_EVENT_PUBLISHED});
    table_have(table, &twin, 0);
    answer_pull(table, &twin);
    assert_int_equal(table_heard(table, FRAME_CHARTER_REQ)->charter_req.from, 1);
    answer_charters(table, &twin, 9);
    assert_false(table->seat->closed);
    assert_true(table_record(&table->own).flags & REPLICA_FLAG_DISPUTED);
    assert_non_null(table_heard(table, FRAME_PROOF));
    assert_int_equal(table->own_ahead, 0); /* it is not ours: nothing stops */
    town_done(&twin);
}

/* A head of the other town under its other charter is out, and its charters are asked for. */
static void doubt(struct table *table, struct town *twin)
{
    begin(table, twin);
    table_commit(twin, 101);
    table_batch(table, twin, false);
    assert_int_equal(table_heard(table, FRAME_CHARTER_REQ)->charter_req.from, 1);
}

static void say_proof(struct table *table, const struct town *a, const struct town *b)
{
    struct frame frame = {.type = FRAME_PROOF};
    struct buffer evidence = {0};

    replica_rival_pack(buffer_span(&a->charters[1]), buffer_span(&b->charters[1]), &evidence);
    frame.proof.origin = a->id;
    frame.proof.evidence = buffer_span(&evidence);
    table_say(table, &frame);
    buffer_done(&evidence);
}

/* The node goes over while the peer is asked: then what it sent was right. */
static void test_gone_over_while_asking(void **state)
{
    struct table *table = *state;
    struct town twin;

    begin(table, &twin);
    name_right(table, &twin);
    table_commit(&twin, 101);
    table_batch(table, &twin, false);
    say_proof(table, &table->other, &twin);
    assert_true(goes_by(table, &twin));
    answer_charters(table, &twin, 9);
    assert_false(table->seat->closed);
    table_have(table, &twin, 0);
    table_answer_trie(table, &twin);
    table_answer_fetch(table, &twin, true);
    table_assert_holds(table, &twin, 1, 0);
    town_done(&twin);
}

/* The peer has gone over to ours before it answers: it was honest all the time. */
static void test_the_peer_goes_over_while_asked(void **state)
{
    struct table *table = *state;
    struct town twin;

    doubt(table, &twin);
    say_proof(table, &table->other, &twin);
    assert_true(is_disputed(table));
    answer_charters(table, &table->other, 9);
    assert_false(table->seat->closed);
    town_done(&twin);
}

/* But not again and again. */
static void test_two_charters_excuse_no_forger(void **state)
{
    struct table *table = *state;
    struct town twin;

    doubt(table, &twin);
    say_proof(table, &table->other, &twin);
    assert_true(is_disputed(table));
    for (int i = 0; i < 100 && !table->seat->closed; i++) {
        if (table_heard(table, FRAME_CHARTER_REQ))
            answer_charters(table, &table->other, 9);
        table_batch(table, &twin, false);
        table_tick(table, 1);
    }
    assert_true(table->seat->closed);
    town_done(&twin);
}

/* Another one is named while the first is still with the writer: the last word counts. */
static void test_named_anew_before_it_is_stored(void **state)
{
    struct table *table = *state;
    struct town twin;

    doubt(table, &twin);
    say_proof(table, &table->other, &twin);
    table->writer_stuck = true;
    name_right(table, &twin);
    name_right(table, &table->other);
    table->writer_stuck = false;
    table_step(table, (struct sync_event){
                          .kind = SYNC_EVENT_STORED, .ticket = table->ticket, .err = TORG_E_KNOWN});
    table_tick(table, 1000);
    assert_false(is_disputed(table));
    assert_true(goes_by(table, &table->other));
    town_done(&twin);
}

/* Three with one number: the two that are known here are both wrong. */
static void test_the_third_is_right(void **state)
{
    struct table *table = *state;
    struct town twin, third;

    doubt(table, &twin);
    town_init(&third, 2);
    third.next_key_no = 9;
    town_rotate(&third, false);
    say_proof(table, &table->other, &twin);
    name_right(table, &third);
    assert_true(is_disputed(table));
    table_sit(table, 1, 2);
    table_commit(&third, 55);
    table_batch(table, &third, false);
    answer_charters(table, &third, 9);
    assert_false(table->seat->closed);
    assert_true(goes_by(table, &third));
    assert_false(is_disputed(table));
    town_done(&third);
    town_done(&twin);
}

/* What was named and is settled already is not written with each reload. */
static void test_named_once_more(void **state)
{
    struct table *table = *state;
    struct town twin;
    unsigned stores;

    doubt(table, &twin);
    say_proof(table, &table->other, &twin);
    name_right(table, &twin);
    stores = table->stores;
    name_right(table, &twin);
    assert_int_equal(table->stores, stores);
    town_done(&twin);
}

/* A rival charter that comes as the next one's answer is evidence, too, and the word is waiting. */
static void test_a_rival_that_was_fetched(void **state)
{
    struct table *table = *state;
    struct town twin;

    begin(table, &twin);
    name_right(table, &twin);
    town_rotate(&twin, false);
    table_have(table, &twin, 0);
    assert_int_equal(table_heard(table, FRAME_CHARTER_REQ)->charter_req.from, 2);
    table->seat->heard_count = 0;
    table_charters(table, &twin); /* from 0 on: who serves so is odd, but it is signed */
    assert_false(is_disputed(table));
    table_tick(table, 1000);
    answer_charters(table, &twin, 9);
    assert_true(goes_by(table, &twin));
    assert_false(table->seat->closed);
    town_done(&twin);
}

/* Who is asked for its charters and keeps them does not keep others from what they have. */
static void test_no_answer_starves_nobody(void **state)
{
    struct table *table = *state;
    struct town twin;
    bool asked = false;

    doubt(table, &twin);
    table_sit(table, 1, 2);
    table->seat->heard_count = 0;
    table_commit(&table->other, 2);
    table_have(table, &table->other, 0);
    for (int i = 0; i < 60 && !asked; i++) {
        table_sit(table, 0, TABLE_LINK);
        table->seat->heard_count = 0;
        table_batch(table, &twin, false);
        table_tick(table, 1000);
        table_sit(table, 1, 2);
        asked = table_heard(table, FRAME_PULL) != NULL;
        table->seat->heard_count = 0;
        table_have(table, &table->other, 0);
    }
    assert_true(asked);
    town_done(&twin);
}

/* Two charters open one epoch with one key: a beat before its first head names the charter. */
static void test_a_beat_under_another(void **state)
{
    struct frame frame = {.type = FRAME_BEAT};
    struct table *table = *state;
    struct buffer beat = {0};
    struct town twin;
    struct kv kv;

    town_init(&twin, 2);
    twin.members_only = UINT32_C(1) << COLLECTION_COMPANIES;
    town_rotate(&twin, true);
    town_rotate(&table->other, true);
    table_introduce(table);
    table->seat->heard_count = 0;
    assert_ok(kv_mem_write_begin(twin.mem, &kv));
    assert_ok(replica_beat_local(&kv, &twin.id, &twin.signer, 77, 0, 1790000000000, &beat));
    assert_ok(kv_mem_write_commit(&kv));
    frame_rows_clear(&table->rows);
    frame_rows_packed(&table->rows, buffer_span(&beat));
    frame.beat.beats = frame_rows_list(&table->rows);
    table_say(table, &frame);
    assert_false(table->seat->closed);
    answer_charters(table, &twin, 9);
    assert_false(table->seat->closed);
    assert_true(is_disputed(table));
    buffer_done(&beat);
    town_done(&twin);
}

/* ---- many nodes ---- */

#define SECOND 1000
#define FORKED 1 /* the node of the origin that has two charters */

static struct world *row_make(uint64_t seed, uint32_t nodes)
{
    struct world *world = nodes_in_a_row(seed, nodes);

    for (uint32_t i = 1; i < nodes; i++)
        world_member(world, i, "active", 0);
    nodes_run_for(world, 40 * SECOND);
    return world;
}

/* A second host beside the last of the row, with the keys: it signs a charter of its own. */
static uint32_t split(struct world *world, bool own_epoch, bool twin_epoch)
{
    uint32_t last = world->node_count - 1, twin;
    struct kv_mem *copy = NULL;

    for (uint32_t i = 2; i < last; i++)
        nodes_assert_has(world, i, FORKED);
    world_block(world, 2, 3, true);
    assert_ok(kv_mem_clone(world->nodes[FORKED].store, &copy));
    world_crash(world, last);
    twin = world_twin_add(world, FORKED, copy, last);
    kv_mem_free(copy);
    world_start(world, last);
    world_start(world, twin);
    nodes_run_for(world, 5 * SECOND);
    world_rotate(world, FORKED, own_epoch);
    world_rotate(world, twin, twin_epoch);
    nodes_run_for(world, 5 * SECOND);
    for (int i = 0; i < 3; i++) {
        world_write(world, FORKED, 4);
        world_write(world, twin, 4);
        nodes_run_for(world, 2 * SECOND);
    }
    world_crash(world, twin);
    return twin;
}

static bool disputes(struct world *world, uint32_t node)
{
    struct replica_origin record;

    (void)world_head(world, node, &world->nodes[FORKED].own, &record);
    return record.flags & REPLICA_FLAG_DISPUTED;
}

/*
 * One half of a row goes by one charter, the other by the other. All others' listings go on
 * through the place where they meet, everybody learns of it, and the catalogue's word heals all.
 */
static void test_a_row_of_two_halves(void **state)
{
    (void)state;
    for (unsigned epochs = 0; epochs < 4; epochs++) {
        struct world *world = row_make(500 + epochs, 6);

        split(world, epochs & 1, epochs & 2);
        world_block(world, 2, 3, false);
        nodes_run_for(world, 60 * SECOND);
        for (uint32_t i = 0; i < 6; i++) {
            if (i != FORKED)
                world_write(world, i, 3);
        }
        nodes_run_for(world, 60 * SECOND);
        for (uint32_t node = 0; node < 6; node++) {
            for (uint32_t from = 0; from < 6; from++) {
                if (from != FORKED)
                    nodes_assert_has(world, node, from);
            }
            if (!disputes(world, node)) {
                world_trace_print(world);
                fail_msg("node %u does not know of two charters", node);
            }
        }
        world_write(world, FORKED, 3);
        world_member_charter(world, FORKED);
        nodes_run_for(world, 60 * SECOND);
        for (uint32_t node = 0; node < 6; node++) {
            nodes_assert_has(world, node, FORKED);
            if (disputes(world, node)) {
                world_trace_print(world);
                fail_msg("node %u still disputes it (epochs %u)", node, epochs);
            }
        }
        nodes_free(world);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, table_setup, table_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_charter_that_follows_another),
        TEST(test_a_head_under_another),
        TEST(test_charters_one_by_one),
        TEST(test_a_forger_is_found_out),
        TEST(test_a_forged_charter_is_no_excuse),
        TEST(test_a_doubt_cannot_be_kept_up),
        TEST(test_the_right_one_is_named),
        TEST(test_named_beforehand),
        TEST(test_ours_is_named),
        TEST(test_our_own_under_another),
        TEST(test_gone_over_while_asking),
        TEST(test_the_peer_goes_over_while_asked),
        TEST(test_two_charters_excuse_no_forger),
        TEST(test_named_anew_before_it_is_stored),
        TEST(test_the_third_is_right),
        TEST(test_named_once_more),
        TEST(test_a_rival_that_was_fetched),
        TEST(test_no_answer_starves_nobody),
        TEST(test_a_beat_under_another),
        cmocka_unit_test(test_a_row_of_two_halves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
