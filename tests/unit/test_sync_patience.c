/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include "tests/support/table.h"

/*
 * Peers that do everything right, only slowly: some because their line is slow,
 * some to hold an origin for themselves, or to make a node work for nothing. A
 * node that waits for either for ever, or for the first not long enough, looks
 * healthy to everybody, and has old listings.
 */
#define SECOND 1000

/* Both peers hold all of the other town; the first is asked, and answers the way down. */
static void both_offer(struct table *table, unsigned listings, size_t payload_size)
{
    table_introduce(table);
    for (unsigned i = 0; i < listings; i++)
        table_commit_sized(&table->other, (uint8_t)(i + 1), payload_size);
    table_have(table, &table->other, 0);
    assert_non_null(table_heard(table, FRAME_TRIE_REQ));
    table_sit(table, 1, 2);
    table_have(table, &table->other, 0);
    assert_null(table_heard(table, FRAME_TRIE_REQ));
    table_sit(table, 0, 1);
    table_answer_trie(table, &table->other);
    assert_int_equal(table_heard(table, FRAME_FETCH)->fetch.keys.count, listings);
}

static bool other_is_asked(struct table *table)
{
    bool asked;

    table_sit(table, 1, 2);
    table_deliver(table); /* its PONG: it lives */
    asked = table_heard(table, FRAME_TRIE_REQ) != NULL;
    table_sit(table, 0, 1);
    return asked;
}

/* A few bytes now and then are no progress: another peer is asked. */
static void test_dripped_entries_hold_nothing_up(void **state)
{
    struct table *table = *state;

    both_offer(table, 12, 33);
    for (uint32_t i = 0; i < 11 && !other_is_asked(table); i++) {
        table_tick(table, 5 * SECOND);
        table_answer_some(table, &table->other, i, 1, true);
    }
    assert_true(other_is_asked(table));
    assert_true(table->now_ms < 20 * SECOND);
    table_sit(table, 1, 2);
    table_answer_trie(table, &table->other);
    table_answer_fetch(table, &table->other, true);
    table_assert_holds(table, &table->other, 12, 0);
}

/* 60,000 bytes in three seconds is a slow line, and no fault. */
static void test_a_slow_line_is_waited_for(void **state)
{
    struct table *table = *state;

    both_offer(table, 12, 60000);
    for (uint32_t i = 0; i < 12; i++) {
        table_tick(table, 3 * SECOND);
        table_answer_some(table, &table->other, i, 1, true);
    }
    assert_false(other_is_asked(table));
    table_assert_holds(table, &table->other, 12, 0);
}

/* But not while others may be faster: they get their turn, and go on where it left off. */
static void test_a_long_turn_ends(void **state)
{
    struct table *table = *state;
    uint32_t i = 0;

    both_offer(table, 30, 60000);
    for (; i < 29 && !other_is_asked(table); i++) {
        table_tick(table, 3 * SECOND);
        table_answer_some(table, &table->other, i, 1, true);
    }
    assert_in_range(table->now_ms, 60 * SECOND, 65 * SECOND);
    table_sit(table, 1, 2);
    table_answer_trie(table, &table->other);
    assert_int_equal(table_heard(table, FRAME_FETCH)->fetch.keys.count, 30 - i);
    for (uint32_t from = 0; from < 30 - i; from += 4)
        table_answer_some(table, &table->other, from, 4, true);
    table_assert_holds(table, &table->other, 30, 0);
}

/* A peer that is the only one has all the time that it needs. */
static void test_the_only_peer_keeps_its_turn(void **state)
{
    struct table *table = *state;

    table_introduce(table);
    for (unsigned i = 0; i < 30; i++)
        table_commit_sized(&table->other, (uint8_t)(i + 1), 60000);
    table_have(table, &table->other, 0);
    table_answer_trie(table, &table->other);
    for (uint32_t i = 0; i < 30; i++) {
        table_tick(table, 3 * SECOND);
        table_answer_some(table, &table->other, i, 1, true);
    }
    table_assert_holds(table, &table->other, 30, 0);
}

static void fetch_all(struct table *table, const struct town *town, uint64_t sid)
{
    struct frame fetch = {.type = FRAME_FETCH};
    struct replica_origin record = table_record(town);
    struct trie_prefix top = {0};
    struct trie_entry entries[TRIE_LEAF_MAX];
    struct trie_store store;
    struct replica_trie trie;
    struct kv read;
    size_t count;

    assert_ok(kv_mem_read_begin(town->mem, &read));
    replica_trie_init(&trie, &read, record.number, COLLECTION_COMPANIES, &store);
    assert_ok(store.entries(store.context, &top, TRIE_LEAF_MAX, entries, &count));
    replica_trie_done(&trie);
    kv_mem_read_end(&read);
    frame_rows_clear(&table->rows);
    for (size_t i = 0; i < 4 * count; i++)
        frame_rows_key(&table->rows, &entries[i % count]);
    fetch.fetch.sid = sid;
    fetch.fetch.origin = town->id;
    fetch.fetch.collection = COLLECTION_COMPANIES;
    fetch.fetch.keys = frame_rows_list(&table->rows);
    table_say(table, &fetch);
}

static uint64_t in_vain(const struct table *table)
{
    struct sync_counters counters;

    sync_counters(table->sync, &counters);
    return counters.answers_in_vain;
}

/*
 * An answer that waits for credit was made anew whenever a byte came: a peer
 * could keep a node busy by a few bytes a second.
 */
static void test_dripped_bytes_make_no_work(void **state)
{
    struct table *table = *state;
    struct frame ping = {.type = FRAME_PING};
    struct frame credit = {.type = FRAME_CREDIT};
    struct buffer bytes = {0};
    uint64_t before;
    size_t answers;

    for (uint8_t i = 0; i < 30; i++)
        table_commit_sized(&table->own, (uint8_t)(i + 1), 60000);
    table_step(table, (struct sync_event){.kind = SYNC_EVENT_PUBLISHED});
    table->seat->heard_count = 0;
    fetch_all(table, &table->own, 1); /* 7 MB: more than there is credit for */
    table_step(table, (struct sync_event){.kind = SYNC_EVENT_DRAINED, .link = TABLE_LINK});
    before = in_vain(table);
    assert_true(before > 0);
    answers = table->seat->heard_count;
    assert_ok(frame_encode(&ping, &bytes));
    for (size_t i = 0; i < bytes.size; i++)
        table_raw(table, bytes.data + i, 1);
    table_tick(table, SECOND);
    /* Nor by credit that is not enough. */
    buffer_clear(&bytes);
    credit.credit.class = FRAME_CLASS_SYNC;
    credit.credit.bytes = 1;
    assert_ok(frame_encode(&credit, &bytes));
    for (unsigned i = 0; i < 50; i++)
        table_raw(table, bytes.data, bytes.size);
    assert_int_equal(in_vain(table), before);
    table_deliver(table); /* the puppet's own CREDIT */
    assert_true(table->seat->heard_count > answers + 1);
    assert_false(table->seat->closed);
    buffer_done(&bytes);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, table_setup, table_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_dripped_entries_hold_nothing_up),
        TEST(test_a_slow_line_is_waited_for),
        TEST(test_a_long_turn_ends),
        TEST(test_the_only_peer_keeps_its_turn),
        TEST(test_dripped_bytes_make_no_work),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
