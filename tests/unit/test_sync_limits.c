/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include "tests/support/table.h"

/*
 * The limits of docs/protocol.md, "Limits", that no story would come near: what
 * one more than so many does.
 */
#define SECOND 1000
#define MANY 24 /* origins at one peer */

static unsigned heard_count(const struct table_seat *seat, uint8_t type)
{
    unsigned count = 0;

    for (size_t i = 0; i < seat->heard_count; i++)
        count += seat->heard[i].type == type;
    return count;
}

/* ---- how much goes on at one time ---- */

/* The peer has charters of many origins that are new here. */
static void have_many(struct table *table, const struct origin_id *origins)
{
    struct frame frame = {.type = FRAME_HAVE};

    frame_rows_clear(&table->rows);
    for (unsigned i = 0; i < MANY; i++)
        frame_rows_have(&table->rows, &(struct frame_have_row){.origin = origins[i]});
    frame.have.rows = frame_rows_list(&table->rows);
    table_say(table, &frame);
}

/* However much a peer offers: so many requests go to it, so many to all, and all have their turn.
 */
static void test_requests_at_one_time(void **state)
{
    struct table *table = *state;
    struct sync_peer_config peers[2];
    struct origin_id trusted[MANY];
    struct sync_config config = table_config(table, peers, trusted);
    struct frame none = {.type = FRAME_CHARTER};
    unsigned asked = 0;

    for (unsigned i = 0; i < MANY; i++)
        memset(trusted[i].bytes, (int)(100 + i), sizeof(trusted[i].bytes));
    config.trusted_count = MANY;
    config.limits.sync_sessions_total = 6;
    sync_free(table->sync);
    assert_ok(sync_new(&config, &table->sync));
    table_connect(table, TABLE_LINK);
    table_greet(table);
    have_many(table, trusted);
    assert_int_equal(heard_count(&table->seats[0], FRAME_CHARTER_REQ), 4);
    table_sit(table, 1, 2);
    have_many(table, trusted);
    assert_int_equal(heard_count(&table->seats[1], FRAME_CHARTER_REQ), 2);
    /* Each answer makes room for one. */
    for (unsigned i = 0; i < 20 && asked < MANY - 4; i++) {
        none.charter.origin =
            table->seats[1].heard[table->seats[1].heard_count - 1].frame.charter_req.origin;
        table_say(table, &none);
        asked = heard_count(&table->seats[1], FRAME_CHARTER_REQ);
        assert_int_equal(heard_count(&table->seats[0], FRAME_CHARTER_REQ), 4);
    }
    assert_int_equal(asked, MANY - 4);
}

/* A writer that does not keep up: batches wait for it in so many, and all else is fetched later. */
static void test_batches_that_wait_for_the_writer(void **state)
{
    struct table *table = *state;
    struct sync_peer_config peers[2];
    struct origin_id trusted[1];
    struct sync_config config = table_config(table, peers, trusted);
    unsigned before;

    config.limits.store_queue_writes = 3;
    assert_ok(sync_reconfigure(table->sync, &config, &table->actions));
    table_carry_out(table, &table->actions);
    sync_actions_clear(&table->actions);
    table_introduce(table);
    table->writer_stuck = true;
    before = table->stores;
    for (uint8_t i = 1; i <= 9; i++) {
        table_commit(&table->other, i);
        table_batch(table, &table->other, false);
    }
    assert_int_equal(table->stores - before, 3);
    assert_false(table->seat->closed);
}

/* ---- what a delta may bring ---- */

/* Commits of the own town: count listings with payloads of that size. */
static void own_commits(struct table *table, uint32_t count, size_t payload_size)
{
    static const uint8_t payload[PAYLOAD_BYTES_MAX] = "x";
    struct local_change *changes = test_calloc(count, sizeof(*changes));
    static uint32_t next_id;

    for (uint32_t i = 0; i < count; i++) {
        changes[i] = (struct local_change){.collection = COLLECTION_COMPANIES,
                                           .payload = span_of(payload, payload_size)};
        put_u32be(changes[i].id.bytes, ++next_id);
    }
    assert_ok(town_commit(&table->own, changes, count));
    test_free(changes);
    table_step(table, (struct sync_event){.kind = SYNC_EVENT_PUBLISHED});
}

static uint8_t pulled_mask(struct table *table, const struct replica_origin *since, uint32_t mask)
{
    struct frame frame = {.type = FRAME_PULL};

    frame.pull.sid = 9;
    frame.pull.origin = table->own.id;
    frame.pull.mask = mask;
    frame.pull.since_seq = since->head.seq;
    frame.pull.epoch = since->head.epoch;
    frame.pull.hno = since->head.hno;
    frame.pull.head_hash = since->head_hash;
    table->seat->heard_count = 0;
    table_say(table, &frame);
    if (table_heard(table, FRAME_ERROR))
        assert_int_equal(table_heard(table, FRAME_ERROR)->error.code, FRAME_CODE_NOT_HELD);
    return table_heard(table, FRAME_DELTA) ? FRAME_DELTA : FRAME_ERROR;
}

static uint8_t pulled_from(struct table *table, const struct replica_origin *since)
{
    return pulled_mask(table, since, TABLE_MASK);
}

static void test_a_delta_has_so_many_headers(void **state)
{
    struct table *table = *state;
    struct replica_origin since;

    own_commits(table, 1, 40);
    since = table_record(&table->own);
    own_commits(table, COMMIT_CHANGES_MAX, 40);
    own_commits(table, DELTA_HEADERS_MAX - COMMIT_CHANGES_MAX, 40);
    assert_int_equal(pulled_from(table, &since), FRAME_DELTA);
    assert_int_equal(table_heard(table, FRAME_DELTA)->delta.headers.count, DELTA_HEADERS_MAX);
    own_commits(table, 1, 40);
    assert_int_equal(pulled_from(table, &since), FRAME_ERROR);
}

static void test_a_delta_has_so_many_bytes(void **state)
{
    struct table *table = *state;
    uint32_t full = DELTA_PAYLOAD_BYTES_MAX / PAYLOAD_BYTES_MAX;
    struct replica_origin since;

    own_commits(table, 1, 40);
    since = table_record(&table->own);
    own_commits(table, full, PAYLOAD_BYTES_MAX);
    assert_int_equal(pulled_from(table, &since), FRAME_DELTA);
    own_commits(table, 1, 1);
    assert_int_equal(pulled_from(table, &since), FRAME_ERROR);
}

/* A mask that fits little must not make the log be read from end to end. */
static void test_a_pull_looks_at_so_many_changes(void **state)
{
    struct table *table = *state;
    struct replica_origin since;

    own_commits(table, 1, 40);
    since = table_record(&table->own);
    for (unsigned i = 0; i < 65536 / COMMIT_CHANGES_MAX; i++)
        own_commits(table, COMMIT_CHANGES_MAX, 1);
    assert_int_equal(pulled_mask(table, &since, 1u << COLLECTION_OFFERS), FRAME_DELTA);
    own_commits(table, 1, 1);
    assert_int_equal(pulled_mask(table, &since, 1u << COLLECTION_OFFERS), FRAME_ERROR);
}

/* Who is sent more does not take it all the same: it would wait in memory. */
static void test_a_delta_of_too_many_bytes_is_not_fetched(void **state)
{
    struct table *table = *state;
    struct frame frame = {.type = FRAME_DELTA};
    struct buffer head = {0};
    struct town_write delta;
    struct kv read;

    table_introduce(table);
    table_commit(&table->other, 1);
    table_batch(table, &table->other, false);
    for (unsigned i = 0; i <= DELTA_PAYLOAD_BYTES_MAX / PAYLOAD_BYTES_MAX; i++)
        table_commit_sized(&table->other, (uint8_t)(2 + i), PAYLOAD_BYTES_MAX);
    table_have(table, &table->other, 0);
    table_head(&table->other, &head);
    assert_ok(kv_mem_read_begin(table->other.mem, &read));
    town_delta(&table->other, &read, 1, TABLE_MASK, &delta);
    kv_mem_read_end(&read);
    frame.delta.sid = table_heard(table, FRAME_PULL)->pull.sid;
    frame.delta.head = buffer_span(&head);
    frame_rows_clear(&table->rows);
    for (size_t i = 0; i < delta.write.entry_count; i++)
        frame_rows_bin(&table->rows, delta.write.entries[i].header_bytes);
    frame.delta.headers = frame_rows_list(&table->rows);
    table_say(table, &frame);
    assert_null(table_heard(table, FRAME_FETCH));
    assert_non_null(table_heard(table, FRAME_TRIE_REQ)); /* it comes in parts */
    assert_false(table->seat->closed);
    town_write_done(&delta);
    buffer_done(&head);
}

/* ---- how often ---- */

/* Nobody can deliver: it is asked again, and ever more seldom. */
static void test_what_fails_is_tried_again_with_back_off(void **state)
{
    struct table *table = *state;
    struct frame refusal = {.type = FRAME_ERROR};
    unsigned asked = 0, late = 0;

    table_introduce(table);
    table_commit(&table->other, 1);
    table_have(table, &table->other, 0);
    refusal.error.code = FRAME_CODE_BUSY;
    for (unsigned tick = 0; tick < 3000; tick++) {
        const struct frame *request = table_heard(table, FRAME_TRIE_REQ);

        if (tick % 100 == 0)
            table_say(table, &(struct frame){.type = FRAME_PING});
        if (request) {
            asked++;
            late += tick > 2000;
            refusal.error.sid = request->trie_req.sid;
            table->seat->heard_count = 0;
            table_say(table, &refusal);
        }
        table->seat->heard_count =
            table_heard(table, FRAME_TRIE_REQ) ? table->seat->heard_count : 0;
        table_tick(table, 100);
    }
    /* 100 ms doubling up to 30 s, in five minutes; then one in 30 s. */
    assert_in_range(asked, 15, 22);
    assert_in_range(late, 3, 4);
    assert_false(table->seat->closed);
}

/* ---- how many origins ---- */

static void test_so_many_origins(void **state)
{
    struct table *table = *state;
    struct sync_peer_config peers[2];
    struct origin_id *many = test_calloc(ORIGINS_MAX, sizeof(*many));
    struct origin_id trusted[1];
    struct sync_config config = table_config(table, peers, trusted);
    struct sync *sync;

    for (uint32_t i = 0; i < ORIGINS_MAX; i++)
        put_u32be(many[i].bytes, i);
    config.trusted = many;
    config.trusted_count = ORIGINS_MAX;
    assert_err(sync_new(&config, &sync), TORG_E_TOO_BIG); /* the own one is one of them */
    config.trusted_count = ORIGINS_MAX - 1;
    assert_ok(sync_new(&config, &sync));
    sync_free(sync);
    test_free(many);
}

/* The numbers of a store are at an end: that is no fault of who brings another origin. */
static void test_no_number_is_left(void **state)
{
    static const char key[] = "replica/next-origin-number";
    struct table *table = *state;
    struct replica_origin record;
    uint8_t next[4];
    struct kv kv;

    put_u32be(next, ORIGINS_MAX + 1);
    assert_ok(kv_mem_write_begin(table->own.mem, &kv));
    assert_ok(kv_put(&kv, KV_META, span_of_str(key), span_of(next, sizeof(next))));
    assert_ok(kv_mem_write_commit(&kv));
    table_introduce(table);
    table->seat->heard_count = 0;
    table_tick(table, 30 * SECOND);
    assert_false(table->seat->closed);
    assert_null(table_heard(table, FRAME_CHARTER_REQ));
    assert_ok(kv_mem_read_begin(table->own.mem, &kv));
    assert_err(replica_origin_get(&kv, &table->other.id, &record), TORG_E_NOT_FOUND);
    kv_mem_read_end(&kv);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, table_setup, table_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_requests_at_one_time),
        TEST(test_batches_that_wait_for_the_writer),
        TEST(test_a_delta_has_so_many_headers),
        TEST(test_a_delta_has_so_many_bytes),
        TEST(test_a_pull_looks_at_so_many_changes),
        TEST(test_a_delta_of_too_many_bytes_is_not_fetched),
        TEST(test_what_fails_is_tried_again_with_back_off),
        TEST(test_so_many_origins),
        TEST(test_no_number_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
