/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include "tests/support/table.h"

/*
 * Forks, as one node sees them: wherever the two branches of an origin meet, what
 * is held and signed must convict it, and nothing else may.
 */

/* A second host with the other town's keys. */
static void twin_init(struct town *twin)
{
    town_init(twin, 2);
}

static bool is_disputed(const struct table *table)
{
    return table_held(table).flags & REPLICA_FLAG_DISPUTED;
}

/* The other town's first count commits arrive one after another. */
static void batches(struct table *table, uint8_t count)
{
    for (uint8_t i = 1; i <= count; i++) {
        table_commit(&table->other, i);
        table_batch(table, &table->other, false);
    }
}

/* The node fell behind on one branch, took a later head of the other, and asks how it got there. */
static void test_a_path_shows_a_fork(void **state)
{
    struct table *table = *state;
    struct frame refusal = {.type = FRAME_ERROR};
    struct town twin;

    twin_init(&twin);
    table_introduce(table);
    batches(table, 1);
    for (uint8_t i = 101; i <= 105; i++)
        table_commit(&twin, i);
    table->seat->heard_count = 0;
    table_have(table, &twin, 0);
    refusal.error.sid = table_heard(table, FRAME_PULL)->pull.sid;
    refusal.error.code = FRAME_CODE_NOT_HELD;
    table_say(table, &refusal);
    table_answer_trie(table, &twin);
    table_answer_fetch(table, &twin, true);
    table_assert_holds(table, &twin, 5, 0); /* nothing waited for the proof */
    assert_false(is_disputed(table));
    for (unsigned i = 0; i < 4 && !is_disputed(table); i++) {
        assert_non_null(table_heard(table, FRAME_ANCESTRY_REQ));
        table_answer_ancestry(table, &twin, 0);
        table_tick(table, 1000);
    }
    assert_true(is_disputed(table));
    assert_non_null(table_heard(table, FRAME_PROOF));
    assert_false(table->seat->closed);
    town_done(&twin);
}

static void test_an_old_head_of_another_branch_is_evidence(void **state)
{
    struct table *table = *state;
    struct town twin;

    twin_init(&twin);
    table_introduce(table);
    batches(table, 5);
    table_commit(&twin, 101);
    table_commit(&twin, 102);
    table_batch(table, &twin, false);
    assert_true(is_disputed(table));
    assert_int_equal(table_record(&table->other).head.hno, 5);
    assert_non_null(table_heard(table, FRAME_PROOF));
    town_done(&twin);
}

static void test_an_old_head_of_this_branch_is_none(void **state)
{
    struct table *table = *state;
    struct town same;

    twin_init(&same);
    table_introduce(table);
    for (uint8_t i = 1; i <= 5; i++) {
        table_commit(&same, i);
        table_batch(table, &same, false);
    }
    for (uint8_t i = 1; i <= 3; i++) {
        table_commit(&table->other, i);
        table_batch(table, &table->other, false); /* as a slow relay would repeat it */
    }
    assert_false(is_disputed(table));
    town_done(&same);
}

/* A newer head whose past is not the one that was published here. */
static void test_a_next_head_of_another_branch_is_not_taken(void **state)
{
    struct table *table = *state;
    struct replica_origin record;
    struct town twin;
    struct kv read;

    twin_init(&twin);
    table_introduce(table);
    batches(table, 1);
    table_commit(&twin, 101);
    table_commit(&twin, 102);
    table_batch(table, &twin, false);
    assert_true(is_disputed(table));
    assert_ok(kv_mem_read_begin(table->own.mem, &read));
    assert_ok(replica_origin_get(&read, &table->other.id, &record));
    kv_mem_read_end(&read);
    assert_int_equal(record.head.hno, 1);
    town_done(&twin);
}

/* Two branches of one length have nothing to fetch: the claims show that they differ. */
static void test_a_claim_of_another_head_is_looked_into(void **state)
{
    struct table *table = *state;
    struct frame answer = {.type = FRAME_DELTA};
    struct buffer head = {0};
    struct town twin;

    twin_init(&twin);
    table_introduce(table);
    batches(table, 3);
    for (uint8_t i = 101; i <= 103; i++)
        table_commit(&twin, i);
    table->seat->heard_count = 0;
    table_have(table, &twin, 0);
    assert_int_equal(table_heard(table, FRAME_PULL)->pull.mask, 0);
    answer.delta.sid = table_heard(table, FRAME_PULL)->pull.sid;
    table_head(&twin, &head);
    answer.delta.head = buffer_span(&head);
    table_say(table, &answer);
    assert_true(is_disputed(table));
    buffer_done(&head);
    town_done(&twin);
}

/* The node does not take what a PULL would bring, asks for everything, and gets it. */
static void reconcile(struct table *table, const struct town *town)
{
    struct frame refusal = {.type = FRAME_ERROR};

    refusal.error.sid = table_heard(table, FRAME_PULL)->pull.sid;
    refusal.error.code = FRAME_CODE_NOT_HELD;
    table_say(table, &refusal);
    table_answer_trie(table, town);
    table_answer_fetch(table, town, true);
}

/* What the peer claims meanwhile is another claim, which nobody has looked into. */
static void test_a_claim_that_grows_is_not_forgotten(void **state)
{
    struct table *table = *state;
    struct frame answer = {.type = FRAME_DELTA};
    struct buffer head = {0};
    struct town twin;

    twin_init(&twin);
    table_introduce(table);
    batches(table, 3);
    for (uint8_t i = 101; i <= 103; i++)
        table_commit(&twin, i);
    table_have(table, &twin, 0);
    assert_int_equal(table_heard(table, FRAME_PULL)->pull.mask, 0);
    answer.delta.sid = table_heard(table, FRAME_PULL)->pull.sid;
    for (uint8_t i = 104; i <= 107; i++)
        table_commit(&twin, i);
    table_have(table, &twin, 0);
    table_head(&twin, &head);
    answer.delta.head = buffer_span(&head); /* head 7 names 6, of which nothing is known here */
    table->seat->heard_count = 0;
    table_say(table, &answer);
    assert_false(is_disputed(table));
    assert_non_null(table_heard(table, FRAME_PULL));
    reconcile(table, &twin);
    for (unsigned i = 0; i < 4 && table_heard(table, FRAME_ANCESTRY_REQ); i++) {
        table_answer_ancestry(table, &twin, 0);
        table_tick(table, 1000);
    }
    assert_true(is_disputed(table));
    buffer_done(&head);
    town_done(&twin);
}

/*
 * Two heads that nobody has shown to be of one line, 1 and 4, and then one that descends from
 * the first alone: the path to that passes the other by.
 */
static void test_every_head_that_was_held_is_looked_for(void **state)
{
    struct table *table = *state;
    struct town twin;

    twin_init(&twin);
    table_introduce(table);
    batches(table, 1);
    table_commit(&twin, 1);
    for (uint8_t i = 2; i <= 4; i++)
        table_commit(&table->other, i);
    table->seat->heard_count = 0;
    table_have(table, &table->other, 0);
    reconcile(table, &table->other);
    assert_int_equal(table_held(table).unproven_hno, 1);
    for (uint8_t i = 102; i <= 107; i++)
        table_commit(&twin, i);
    table->seat->heard_count = 0;
    table_have(table, &twin, 0);
    reconcile(table, &twin);
    assert_int_equal(table_held(table).head.hno, 7);
    assert_int_equal(table_held(table).unproven_hno, 1);
    for (unsigned i = 0; i < 8 && !is_disputed(table); i++) {
        if (table_heard(table, FRAME_ANCESTRY_REQ))
            table_answer_ancestry(table, &twin, 0);
        table_tick(table, 1000);
    }
    assert_true(is_disputed(table));
    assert_int_equal(table_held(table).unproven_hno, 0);
    town_done(&twin);
}

/* The same of one line: when both are shown, nothing is unproven. */
static void test_heads_that_a_path_shows_are_settled(void **state)
{
    struct table *table = *state;

    table_introduce(table);
    batches(table, 1);
    for (uint8_t i = 2; i <= 9; i++) {
        table_commit(&table->other, i);
        if (i != 4 && i != 9)
            continue;
        table->seat->heard_count = 0;
        table_have(table, &table->other, 0);
        reconcile(table, &table->other);
        assert_int_equal(table_held(table).unproven_hno, 1);
    }
    for (unsigned i = 0; i < 8 && table_held(table).unproven_hno; i++) {
        if (table_heard(table, FRAME_ANCESTRY_REQ))
            table_answer_ancestry(table, &table->other, 0);
        table_tick(table, 1000);
    }
    assert_int_equal(table_held(table).unproven_hno, 0);
    assert_false(is_disputed(table));
}

/*
 * A claim of the next head, and then that commit and one more of the other branch:
 * the claim, which could not be compared when it came, is looked into now.
 */
static void test_a_claim_that_is_passed_is_looked_into(void **state)
{
    struct table *table = *state;
    struct frame answer = {.type = FRAME_DELTA};
    struct buffer head = {0};
    struct town twin;

    twin_init(&twin);
    table_introduce(table);
    batches(table, 1);
    table_commit(&twin, 1);
    table_commit(&twin, 102);
    table_sit(table, 1, 2);
    table_greet(table);
    table_have(table, &twin, 0);
    table_sit(table, 0, TABLE_LINK);
    for (uint8_t i = 2; i <= 3; i++) {
        table_commit(&table->other, i);
        table_batch(table, &table->other, false);
    }
    table_sit(table, 1, 2);
    assert_non_null(table_heard(table, FRAME_PULL));
    assert_int_equal(table_heard(table, FRAME_PULL)->pull.mask, 0);
    answer.delta.sid = table_heard(table, FRAME_PULL)->pull.sid;
    table_head(&twin, &head);
    answer.delta.head = buffer_span(&head);
    table_say(table, &answer);
    assert_true(is_disputed(table));
    buffer_done(&head);
    town_done(&twin);
}

/* The other's head 6 is held and shown to descend, 1 to 5 were never here; the twin is at its 5. */
static void skip_to_six(struct table *table, struct town *ret_twin)
{
    twin_init(ret_twin);
    table_introduce(table);
    for (uint8_t i = 1; i <= 6; i++)
        table_commit(&table->other, i);
    table_have(table, &table->other, 0);
    table_answer_trie(table, &table->other);
    table_answer_fetch(table, &table->other, true);
    for (unsigned i = 0; i < 4 && table_heard(table, FRAME_ANCESTRY_REQ); i++) {
        table_answer_ancestry(table, &table->other, 0);
        table_tick(table, 1000);
    }
    for (uint8_t i = 101; i <= 105; i++)
        table_commit(ret_twin, i);
}

/* What is not held cannot be compared at once: a path to its number is asked for first. */
static void test_a_head_of_a_number_that_was_skipped(void **state)
{
    struct table *table = *state;
    struct town twin;

    skip_to_six(table, &twin);
    table_batch(table, &twin, false);
    for (unsigned i = 0; i < 4 && !is_disputed(table); i++) {
        if (table_heard(table, FRAME_ANCESTRY_REQ))
            table_answer_ancestry(table, &table->other, 0);
        table_tick(table, 1000);
    }
    assert_true(is_disputed(table));
    assert_false(table->seat->closed);
    town_done(&twin);
}

/*
 * A peer claims a head whose number was skipped, and stays there: a path to that
 * number is asked for, and shows that the claim is of another branch.
 */
static void test_a_claim_of_a_number_that_was_skipped(void **state)
{
    struct table *table = *state;
    struct frame answer = {.type = FRAME_DELTA};
    struct buffer head = {0};
    struct town twin;

    skip_to_six(table, &twin);
    table_sit(table, 1, 2);
    table_greet(table);
    table_have(table, &twin, 0);
    table_sit(table, 0, TABLE_LINK);
    for (unsigned i = 0; i < 8 && !table_heard(table, FRAME_ANCESTRY_REQ); i++)
        table_tick(table, 1000);
    assert_int_equal(table_heard(table, FRAME_ANCESTRY_REQ)->ancestry_req.to_hno, 5);
    table_answer_ancestry(table, &table->other, 0);
    table_sit(table, 1, 2);
    assert_non_null(table_heard(table, FRAME_PULL));
    assert_int_equal(table_heard(table, FRAME_PULL)->pull.mask, 0);
    answer.delta.sid = table_heard(table, FRAME_PULL)->pull.sid;
    table_head(&twin, &head);
    answer.delta.head = buffer_span(&head);
    table_say(table, &answer);
    assert_true(is_disputed(table));
    buffer_done(&head);
    town_done(&twin);
}

/* A thief's head is no fork once his key is dropped. */
static void test_a_dropped_key_convicts_nobody(void **state)
{
    struct table *table = *state;
    struct town twin;

    twin_init(&twin);
    table_introduce(table);
    batches(table, 2);
    table_commit(&twin, 101);
    town_rotate(&table->other, false);
    table_commit(&table->other, 3);
    table_have(table, &table->other, 0);
    table_charters(table, &table->other);
    table_batch(table, &table->other, false);
    table_assert_holds(table, &table->other, 3, 0);
    table_batch(table, &twin, false);
    assert_false(is_disputed(table));
    assert_null(table_heard(table, FRAME_PROOF));
    town_done(&twin);
}

/* Of the own origin an old head counts as well: somebody else has signed. */
/* Two heads with one number: what a PROOF carries. */
static void evidence_pack(const struct town *left, const struct town *right, struct buffer *out)
{
    struct buffer heads[2] = {0};
    struct signed_span first, second;

    table_head(left, &heads[0]);
    table_head(right, &heads[1]);
    first = frame_head(buffer_span(&heads[0]));
    second = frame_head(buffer_span(&heads[1]));
    replica_proof_pack(&first, &second, NULL, 0, out);
    assert_ok(out->err);
    buffer_done(&heads[0]);
    buffer_done(&heads[1]);
}

static void proof_say(struct table *table, const struct buffer *evidence)
{
    struct frame proof = {.type = FRAME_PROOF};

    proof.proof.origin = table->other.id;
    proof.proof.evidence = buffer_span(evidence);
    table_say(table, &proof);
}

/* Nobody asks for evidence, and who brought it does not bring it again. */
static void test_evidence_outlasts_a_full_store(void **state)
{
    struct table *table = *state;
    struct buffer evidence = {0};
    struct town twin;

    twin_init(&twin);
    table_introduce(table);
    batches(table, 1);
    table_commit(&twin, 101);
    evidence_pack(&table->other, &twin, &evidence);
    table->store_err = TORG_E_FULL;
    proof_say(table, &evidence);
    table_tick(table, 5000);
    assert_false(is_disputed(table));
    table->store_err = TORG_OK;
    table_tick(table, 1000);
    assert_true(is_disputed(table));
    table_sit(table, 1, 2);
    assert_true(
        span_equal(table_heard(table, FRAME_PROOF)->proof.evidence, buffer_span(&evidence)));
    buffer_done(&evidence);
    town_done(&twin);
}

/* A configuration that is read anew in between must not cost it either. */
static void test_evidence_outlasts_a_new_configuration(void **state)
{
    struct table *table = *state;
    struct sync_peer_config peers[2];
    struct origin_id trusted[1];
    struct sync_config config = table_config(table, peers, trusted);
    struct sync_actions actions = {0};
    struct town twin;

    twin_init(&twin);
    table_introduce(table);
    batches(table, 1);
    table_commit(&twin, 101);
    table_commit(&twin, 102);
    table->store_err = TORG_E_FULL;
    table_batch(table, &twin, false); /* found here this time */
    assert_ok(sync_reconfigure(table->sync, &config, &actions));
    table_carry_out(table, &actions);
    sync_actions_done(&actions);
    table->store_err = TORG_OK;
    table_tick(table, 2000);
    table_tick(table, 2000);
    assert_true(is_disputed(table));
    town_done(&twin);
}

/* What convicts nobody takes no place from what does. */
static void test_false_evidence_is_not_kept(void **state)
{
    struct table *table = *state;
    struct buffer evidence = {0};
    struct town twin;

    twin_init(&twin);
    table_introduce(table);
    batches(table, 1);
    table->store_err = TORG_E_FULL;
    evidence_pack(&table->other, &table->other, &evidence);
    proof_say(table, &evidence);
    buffer_clear(&evidence);
    table_commit(&twin, 101);
    evidence_pack(&table->other, &twin, &evidence);
    proof_say(table, &evidence);
    table->store_err = TORG_OK;
    table_tick(table, 1000);
    assert_true(is_disputed(table));
    assert_false(table->seat->closed);
    buffer_done(&evidence);
    town_done(&twin);
}

/* HAVE of a node that knows the other town's charter and no head. */
static void have_charter(struct table *table)
{
    struct frame have = {.type = FRAME_HAVE};
    struct frame_have_row row = {.origin = table->other.id};

    frame_rows_clear(&table->rows);
    frame_rows_have(&table->rows, &row);
    have.have.rows = frame_rows_list(&table->rows);
    table_say(table, &have);
}

/* Who is new can judge no evidence before it has the charters, and must hear it then. */
static void test_who_learns_the_charters_hears_the_evidence(void **state)
{
    struct table *table = *state;
    struct town twin;

    twin_init(&twin);
    table_introduce(table);
    batches(table, 5);
    table_commit(&twin, 101);
    table_commit(&twin, 102);
    table_batch(table, &twin, false);
    assert_true(is_disputed(table));
    table_sit(table, 1, 2);
    assert_non_null(table_heard(table, FRAME_PROOF));
    table->seat->heard_count = 0;
    have_charter(table);
    assert_non_null(table_heard(table, FRAME_PROOF));
    table->seat->heard_count = 0;
    have_charter(table);
    assert_null(table_heard(table, FRAME_PROOF));
    town_done(&twin);
}

/* Without a head there is nothing to heal: the charter of the next epoch ends the dispute. */
static void test_a_new_epoch_ends_it_for_who_has_no_head(void **state)
{
    struct table *table = *state;
    struct buffer evidence = {0};
    struct town twin;

    twin_init(&twin);
    table_introduce(table);
    table_commit(&table->other, 1);
    table_commit(&twin, 101);
    evidence_pack(&table->other, &twin, &evidence);
    proof_say(table, &evidence);
    assert_true(is_disputed(table));
    town_rotate(&table->other, true);
    table_commit(&table->other, 2);
    table_have(table, &table->other, 0);
    table_charters(table, &table->other);
    assert_false(is_disputed(table));
    table_answer_trie(table, &table->other);
    table_answer_fetch(table, &table->other, true);
    table_assert_holds(table, &table->other, 2, 0);
    assert_false(is_disputed(table));
    buffer_done(&evidence);
    town_done(&twin);
}

static void test_an_old_own_head_stops_writing(void **state)
{
    struct table *table = *state;
    struct town twin;

    town_init(&twin, 1);
    for (uint8_t i = 1; i <= 3; i++)
        table_commit(&table->own, i);
    table_step(table, (struct sync_event){.kind = SYNC_EVENT_PUBLISHED});
    table_commit(&twin, 101);
    table_batch(table, &twin, false);
    assert_int_equal(table->own_ahead, 1);
    town_done(&twin);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, table_setup, table_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_new_epoch_ends_it_for_who_has_no_head, table_setup,
                                        table_teardown),
        cmocka_unit_test_setup_teardown(test_evidence_outlasts_a_full_store, table_setup,
                                        table_teardown),
        cmocka_unit_test_setup_teardown(test_evidence_outlasts_a_new_configuration, table_setup,
                                        table_teardown),
        cmocka_unit_test_setup_teardown(test_false_evidence_is_not_kept, table_setup,
                                        table_teardown),
        cmocka_unit_test_setup_teardown(test_who_learns_the_charters_hears_the_evidence,
                                        table_setup, table_teardown),
        cmocka_unit_test_setup_teardown(test_a_claim_that_grows_is_not_forgotten, table_setup,
                                        table_teardown),
        cmocka_unit_test_setup_teardown(test_every_head_that_was_held_is_looked_for, table_setup,
                                        table_teardown),
        cmocka_unit_test_setup_teardown(test_heads_that_a_path_shows_are_settled, table_setup,
                                        table_teardown),
        TEST(test_a_path_shows_a_fork),
        TEST(test_an_old_head_of_another_branch_is_evidence),
        TEST(test_an_old_head_of_this_branch_is_none),
        TEST(test_a_next_head_of_another_branch_is_not_taken),
        TEST(test_a_claim_of_another_head_is_looked_into),
        TEST(test_a_claim_that_is_passed_is_looked_into),
        TEST(test_a_head_of_a_number_that_was_skipped),
        TEST(test_a_claim_of_a_number_that_was_skipped),
        TEST(test_a_dropped_key_convicts_nobody),
        TEST(test_an_old_own_head_stops_writing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
