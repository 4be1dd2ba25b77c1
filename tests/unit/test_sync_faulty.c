/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include "tests/support/table.h"

/*
 * An origin may sign what nobody can hold: below the root of its head stands a
 * header that breaks the rules. Every holder has the same bytes, so no peer is to
 * blame, what is held stays, everybody may see what is wrong, and it is not asked
 * for over and over again; and the next head is tried as if nothing had been.
 */
#define SECOND 1000

/* A head that is signed as it should be, and a header below it that is not in its place. */
struct bad {
    struct buffer head;
    struct buffer header;
    struct trie_entry entry;
};

static struct replica_origin record_at_node(const struct table *table)
{
    struct replica_origin record;
    struct kv read;

    assert_ok(kv_mem_read_begin(table->own.mem, &read));
    assert_ok(replica_origin_get(&read, &table->other.id, &record));
    kv_mem_read_end(&read);
    return record;
}

static void bad_make(const struct town *town, struct bad *bad)
{
    struct head head = table_record(town).head;
    struct change_header header = {
        .seq = head.seq + 1,
        .collection = COLLECTION_OFFERS, /* and it stands below the root of the companies */
        .op = CHANGE_UPSERT,
        .payload_size = 1,
        .payload_hash = payload_hash(span_of("x", 1)),
    };
    struct trie_root root;

    *bad = (struct bad){0};
    memset(header.id.bytes, 0x77, sizeof(header.id.bytes));
    change_header_pack(&header, &bad->header);
    bad->entry.key = listing_key_of(&header.id);
    bad->entry.header_hash = change_header_hash(buffer_span(&bad->header));
    root = trie_build(COLLECTION_COMPANIES, &bad->entry, 1);
    head.hno++;
    head.seq++;
    head.prev = head.skip = table_record(town).head_hash;
    head.states[0].count = root.count;
    head.states[0].root = root.digest;
    town_sign_head(town, &head, &bad->head);
}

static void bad_done(struct bad *bad)
{
    buffer_done(&bad->head);
    buffer_done(&bad->header);
}

/* The log does not help: the node compares tries. */
static void refuse_delta(struct table *table)
{
    struct frame refusal = {.type = FRAME_ERROR};
    const struct frame *pull = table_heard(table, FRAME_PULL);

    assert_non_null(pull);
    refusal.error.sid = pull->pull.sid;
    refusal.error.code = FRAME_CODE_NOT_HELD;
    table->seat->heard_count = 0;
    table_say(table, &refusal);
}

static void answer_trie(struct table *table, const struct bad *bad)
{
    struct frame frame = {.type = FRAME_TRIE};

    frame.trie.sid = table_heard(table, FRAME_TRIE_REQ)->trie_req.sid;
    frame.trie.head = buffer_span(&bad->head);
    frame_rows_clear(&table->rows);
    frame_rows_node(&table->rows,
                    &(struct frame_trie_node){
                        .whole = true,
                        .bytes = span_of((const uint8_t *)&bad->entry, sizeof(bad->entry)),
                    });
    frame.trie.nodes = frame_rows_list(&table->rows);
    table_say(table, &frame);
}

static void answer_fetch(struct table *table, const struct bad *bad)
{
    struct frame frame = {.type = FRAME_ENTRIES};

    frame.entries.sid = table_heard(table, FRAME_FETCH)->fetch.sid;
    frame_rows_clear(&table->rows);
    frame_rows_entry(&table->rows, &(struct frame_entry){
                                       .header = buffer_span(&bad->header),
                                       .has_payload = true,
                                       .payload = span_of("x", 1),
                                   });
    frame.entries.entries = frame_rows_list(&table->rows);
    table->seat->heard_count = 0;
    table_say(table, &frame);
}

/* The peer claims the head after the other town's newest, and gives what is below its root. */
static void offer(struct table *table, const struct bad *bad)
{
    table->seat->heard_count = 0;
    table_have(table, &table->other, 1);
    table_tick(table, SECOND); /* no batch comes */
    if (table_heard(table, FRAME_PULL))
        refuse_delta(table);
    answer_trie(table, bad);
    answer_fetch(table, bad);
}

static bool told_faulty(const struct table *table)
{
    const struct frame *have = table_heard(table, FRAME_HAVE);
    struct profile_reader in;

    assert_non_null(have);
    in = frame_list_reader(&have->have.rows);
    return frame_read_have(&in).state & FRAME_STATE_FAULTY;
}

static void begin(struct table *table, struct bad *bad)
{
    table_introduce(table);
    table_commit(&table->other, 1);
    table_batch(table, &table->other, false);
    table_assert_holds(table, &table->other, 1, 0);
    bad_make(&table->other, bad);
    offer(table, bad);
}

static void test_a_state_that_nobody_can_hold_is_shown(void **state)
{
    struct table *table = *state;
    struct bad bad;

    begin(table, &bad);
    assert_true(record_at_node(table).flags & REPLICA_FLAG_FAULTY);
    assert_true(told_faulty(table));
    table_assert_holds(table, &table->other, 1, 0); /* what is held stays */
    assert_null(table_heard(table, FRAME_ERROR));   /* and nobody is told that he lied */
    assert_false(table->seat->closed);
    bad_done(&bad);
}

static void test_it_is_asked_for_once_of_each_peer(void **state)
{
    struct table *table = *state;
    struct bad bad;

    begin(table, &bad);
    for (unsigned i = 0; i < 50; i++) {
        table_tick(table, SECOND);
        table_deliver(table); /* its PONG */
        assert_null(table_heard(table, FRAME_PULL));
        assert_null(table_heard(table, FRAME_TRIE_REQ));
    }
    table_sit(table, 1, 2);
    offer(table, &bad); /* who has the same may have been lied to all the same, or not */
    table_tick(table, SECOND);
    assert_null(table_heard(table, FRAME_TRIE_REQ));
    assert_null(table_heard(table, FRAME_ERROR));
    bad_done(&bad);
}

static void test_the_next_head_is_tried(void **state)
{
    struct table *table = *state;
    struct bad bad;

    begin(table, &bad);
    table_commit(&table->other, 2);
    table_commit(&table->other, 3);
    table->seat->heard_count = 0;
    table_have(table, &table->other, 0);
    table_tick(table, SECOND);
    if (table_heard(table, FRAME_PULL))
        refuse_delta(table);
    table_answer_trie(table, &table->other);
    table_answer_fetch(table, &table->other, true);
    table_assert_holds(table, &table->other, 3, 0);
    assert_false(record_at_node(table).flags & REPLICA_FLAG_FAULTY);
    assert_false(told_faulty(table));
    bad_done(&bad);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, table_setup, table_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_state_that_nobody_can_hold_is_shown),
        TEST(test_it_is_asked_for_once_of_each_peer),
        TEST(test_the_next_head_is_tried),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
