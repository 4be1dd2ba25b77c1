/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include "protocol/replica_internal.h"
#include "tests/support/table.h"

/*
 * A head that does not itself name the one held before is taken at once; that it
 * descends from it has still to be shown, and until then everybody may see so.
 */

/* The node holds head 1, and then head 6, of which it saw nothing in between. */
static void jump(struct table *table)
{
    struct frame refusal = {.type = FRAME_ERROR};

    table_introduce(table);
    table_commit(&table->other, 1);
    table_batch(table, &table->other, false);
    assert_int_equal(table_held(table).head.hno, 1);
    for (uint8_t i = 2; i <= 6; i++)
        table_commit(&table->other, i);
    table->seat->heard_count = 0;
    table_have(table, &table->other, 0);
    refusal.error.sid = table_heard(table, FRAME_PULL)->pull.sid;
    refusal.error.code = FRAME_CODE_NOT_HELD;
    table_say(table, &refusal);
    table_answer_trie(table, &table->other);
    table_answer_fetch(table, &table->other, true);
    table_assert_holds(table, &table->other, 6, 0);
    assert_int_equal(table_held(table).unproven_hno, 1);
}

/* Paths are asked for, and given as far as allowed, until there is nothing more to ask. */
static unsigned answer_paths(struct table *table, uint64_t but_hno, unsigned ticks)
{
    struct frame ping = {.type = FRAME_PING};
    unsigned refused = 0;

    for (unsigned i = 0; i < ticks; i++) {
        const struct frame *asked = table_heard(table, FRAME_ANCESTRY_REQ);

        if (asked && asked->ancestry_req.to_hno == but_hno) {
            struct frame refusal = {.type = FRAME_ERROR};

            refusal.error.sid = asked->ancestry_req.sid;
            refusal.error.code = FRAME_CODE_NOT_HELD;
            table->seat->heard_count = 0;
            table_say(table, &refusal);
            refused++;
        } else if (asked) {
            table_answer_ancestry(table, &table->other, 0);
        }
        if (i % 20 == 0)
            table_say(table, &ping); /* who is silent is cut off */
        table_tick(table, 1000);
    }
    return refused;
}

static void restart(struct table *table, uint32_t link)
{
    struct sync_peer_config peers[2];
    struct origin_id trusted[1];
    struct sync_config config = table_config(table, peers, trusted);

    sync_free(table->sync);
    table->sync = NULL;
    assert_ok(sync_new(&config, &table->sync));
    table_step(table, (struct sync_event){.kind = SYNC_EVENT_TICK});
    table_connect(table, link);
    table_greet(table);
}

/* Else an origin that forked while this node was being updated would never be found out. */
static void test_a_restart_does_not_forget(void **state)
{
    struct table *table = *state;

    jump(table);
    assert_true(answer_paths(table, 1, 20) >= 2);
    assert_int_equal(table_held(table).unproven_hno, 1);
    restart(table, 9);
    table_have(table, &table->other, 0);
    for (unsigned i = 0; i < 4 && table_held(table).unproven_hno; i++) {
        assert_non_null(table_heard(table, FRAME_ANCESTRY_REQ));
        table_answer_ancestry(table, &table->other, 0);
        table_tick(table, 1000);
    }
    assert_int_equal(table_held(table).unproven_hno, 0);
    assert_false(table->seat->closed);
}

/* One peer has not the path; the next one has it. */
static void test_other_peers_are_asked(void **state)
{
    struct table *table = *state;

    jump(table);
    table_sit(table, 1, 2);
    table_have(table, &table->other, 0);
    table_sit(table, 0, TABLE_LINK);
    assert_true(answer_paths(table, 1, 2) >= 1);
    table_sit(table, 1, 2);
    for (unsigned i = 0; i < 30 && table_held(table).unproven_hno; i++) {
        table_sit(table, i % 2, 2);
        answer_paths(table, i % 2 ? 0 : 1, 1);
    }
    assert_int_equal(table_held(table).unproven_hno, 0);
}

/*
 * Who holds just what this node holds says so by no row, in its answer to the SUMMARY; yet it
 * may be the only one that has the path, and the origin itself at that.
 */
static void test_who_holds_the_same_is_asked(void **state)
{
    struct table *table = *state;
    struct frame nothing = {.type = FRAME_HAVE};
    struct frame refusal = {.type = FRAME_ERROR};

    jump(table);
    table_sit(table, 1, 2);
    table_say(table, &nothing);
    for (unsigned i = 0; i < 3 && !table_heard(table, FRAME_ANCESTRY_REQ); i++) {
        table_sit(table, 0, TABLE_LINK);
        answer_paths(table, 1, 2);
        table_sit(table, 1, 2);
    }
    assert_non_null(table_heard(table, FRAME_ANCESTRY_REQ));
    /* It does not know the origin at all: no fault. */
    for (unsigned i = 0; i < 6; i++) {
        if (table_heard(table, FRAME_ANCESTRY_REQ)) {
            refusal.error.sid = table_heard(table, FRAME_ANCESTRY_REQ)->ancestry_req.sid;
            refusal.error.code = FRAME_CODE_UNKNOWN_ORIGIN;
            table->seat->heard_count = 0;
            table_say(table, &refusal);
        }
        table_tick(table, 5000);
        table_say(table, &(struct frame){.type = FRAME_PING});
        table_sit(table, 0, TABLE_LINK);
        answer_paths(table, 1, 1);
        table_sit(table, 1, 2);
    }
    table_have(table, &table->other, 0);
    for (unsigned i = 0; i < 40 && table_held(table).unproven_hno; i++) {
        table_sit(table, i % 2, 2);
        answer_paths(table, i % 2 ? 0 : 1, 1);
        table_tick(table, 2000);
    }
    assert_int_equal(table_held(table).unproven_hno, 0);
}

/* The next head goes on from the newest, not from what has still to be shown. */
static void test_newer_heads_do_not_hide_it(void **state)
{
    struct table *table = *state;

    jump(table);
    for (uint8_t i = 7; i <= 9; i++) {
        table_commit(&table->other, i);
        table_batch(table, &table->other, false);
    }
    assert_int_equal(table_held(table).head.hno, 9);
    assert_int_equal(table_held(table).unproven_hno, 1);
    answer_paths(table, 0, 20);
    assert_int_equal(table_held(table).unproven_hno, 0);
    /* And a head that names the one before it needs no path. */
    table_commit(&table->other, 10);
    table_batch(table, &table->other, false);
    assert_int_equal(table_held(table).unproven_hno, 0);
}

/*
 * A peer that asks for paths which nobody has makes the node ask others for a
 * while; it must not be able to keep it at that, nor to make the origin look bad.
 */
static void test_a_hostile_ask_ends(void **state)
{
    struct table *table = *state;
    struct frame ask = {.type = FRAME_ANCESTRY_REQ};
    unsigned refused;

    table_introduce(table);
    for (uint8_t i = 1; i <= 6; i++)
        table_commit(&table->other, i);
    table_have(table, &table->other, 0);
    table_answer_trie(table, &table->other);
    table_answer_fetch(table, &table->other, true);
    answer_paths(table, 0, 5);
    table->seat->heard_count = 0;
    ask.ancestry_req.sid = 1;
    ask.ancestry_req.origin = table->other.id;
    ask.ancestry_req.epoch = 1;
    ask.ancestry_req.from_hno = 6;
    ask.ancestry_req.to_hno = 4;
    table_say(table, &ask);
    refused = answer_paths(table, 4, 1200);
    assert_true(refused >= 2 && refused <= 8);
    assert_null(table_heard(table, FRAME_ANCESTRY_REQ));
    assert_int_equal(table_held(table).unproven_hno, 0);
    /* What has really to be shown is, also while somebody asks for something else. */
    table_say(table, &ask);
    assert_int_equal(answer_paths(table, 4, 1), 1);
    for (uint8_t i = 7; i <= 12; i++)
        table_commit(&table->other, i);
    table_have(table, &table->other, 0);
    for (unsigned i = 0; i < 3 && table_held(table).head.hno < 12; i++) {
        struct frame refusal = {.type = FRAME_ERROR};

        if (table_heard(table, FRAME_PULL)) {
            refusal.error.sid = table_heard(table, FRAME_PULL)->pull.sid;
            refusal.error.code = FRAME_CODE_NOT_HELD;
            table_say(table, &refusal);
        }
        if (!table_heard(table, FRAME_TRIE_REQ)) {
            table_tick(table, 1000);
            continue;
        }
        table_answer_trie(table, &table->other);
        table_answer_fetch(table, &table->other, true);
    }
    assert_int_equal(table_held(table).head.hno, 12);
    assert_int_equal(table_held(table).unproven_hno, 6);
    answer_paths(table, 4, 30);
    assert_int_equal(table_held(table).unproven_hno, 0);
}

/* Heads that everybody has lost are asked for in vain; what can be had does not wait for that. */
static void test_a_shorter_path_comes_first(void **state)
{
    struct table *table = *state;
    struct frame ask = {.type = FRAME_ANCESTRY_REQ};

    table_introduce(table);
    for (uint8_t i = 1; i <= 6; i++)
        table_commit(&table->other, i);
    table_have(table, &table->other, 0);
    table_answer_trie(table, &table->other);
    table_answer_fetch(table, &table->other, true);
    answer_paths(table, 0, 5);
    ask.ancestry_req.sid = 1;
    ask.ancestry_req.origin = table->other.id;
    ask.ancestry_req.epoch = 1;
    ask.ancestry_req.from_hno = 6;
    ask.ancestry_req.to_hno = 4;
    table_say(table, &ask);
    assert_true(answer_paths(table, 4, 10) >= 2);
    table->seat->heard_count = 0;
    ask.ancestry_req.to_hno = 5;
    table_say(table, &ask);
    assert_non_null(table_heard(table, FRAME_ANCESTRY_REQ));
    assert_int_equal(table_heard(table, FRAME_ANCESTRY_REQ)->ancestry_req.to_hno, 5);
    /* And not the other way round: who wants the longer one does not take the place. */
    ask.ancestry_req.to_hno = 4;
    table_say(table, &ask);
    assert_int_equal(answer_paths(table, 4, 1), 0);
}

/* A node that is updated holds records without the number: nothing is known to be unproven. */
static void test_a_record_of_the_first_layout(void **state)
{
    enum { AT = 1 + 4 + 32 + 8 + 32 + 8 + 32 + 8 + 8 + 32 + 8 + 8 + 8 + 4 };
    struct table *table = *state;
    struct replica_origin record, read;
    struct buffer bytes = {0};

    jump(table);
    record = table_held(table);
    replica_record_pack(&record, &bytes);
    assert_ok(replica_record_read(buffer_span(&bytes), &read));
    assert_int_equal(read.unproven_hno, 1);
    memmove(bytes.data + AT, bytes.data + AT + 8, bytes.size - AT - 8);
    bytes.size -= 8;
    assert_err(replica_record_read(buffer_span(&bytes), &read), TORG_E_CORRUPT);
    bytes.data[0] = 1;
    assert_ok(replica_record_read(buffer_span(&bytes), &read));
    assert_int_equal(read.unproven_hno, 0);
    assert_int_equal(read.head.hno, 6);
    assert_int_equal(read.held[COLLECTION_COMPANIES].count, 6);
    bytes.data[0] = 3;
    assert_err(replica_record_read(buffer_span(&bytes), &read), TORG_E_CORRUPT);
    buffer_done(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_restart_does_not_forget, table_setup,
                                        table_teardown),
        cmocka_unit_test_setup_teardown(test_other_peers_are_asked, table_setup, table_teardown),
        cmocka_unit_test_setup_teardown(test_who_holds_the_same_is_asked, table_setup,
                                        table_teardown),
        cmocka_unit_test_setup_teardown(test_newer_heads_do_not_hide_it, table_setup,
                                        table_teardown),
        cmocka_unit_test_setup_teardown(test_a_hostile_ask_ends, table_setup, table_teardown),
        cmocka_unit_test_setup_teardown(test_a_shorter_path_comes_first, table_setup,
                                        table_teardown),
        cmocka_unit_test_setup_teardown(test_a_record_of_the_first_layout, table_setup,
                                        table_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
