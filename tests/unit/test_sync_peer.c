/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include "tests/support/table.h"

/*
 * One node, and a peer whose every frame we choose. What a peer sends that it
 * should not must change nothing that is stored, and must be told apart from
 * what an honest peer may send: both mistakes would stay unseen in a network
 * where all are honest and well.
 */

/* ---- stories ---- */

static void test_a_batch_is_stored_and_told(void **state)
{
    struct table *table = *state;
    const struct frame *told;
    struct profile_reader in;
    struct frame_have_row row;

    table_introduce(table);
    table_commit(&table->other, 1);
    table->seat->heard_count = 0;
    table_batch(table, &table->other, false);
    assert_false(table->seat->closed);
    told = table_heard(table, FRAME_HAVE);
    assert_non_null(told);
    in = frame_list_reader(&told->have.rows);
    row = frame_read_have(&in);
    assert_memory_equal(row.origin.bytes, table->other.id.bytes, 32);
    assert_int_equal(row.hno, 1);
    assert_int_equal(row.mask & 2, 2);
}

static void test_garbage_changes_nothing(void **state)
{
    static const uint8_t garbage[] = {0, 0, 0, 9, 8, 0, 0x92, 1, 2, 3, 4, 5, 6};
    struct table *table = *state;
    struct buffer before = {0}, after = {0};

    table_introduce(table);
    table_dump(table, &before);
    table_raw(table, garbage, sizeof(garbage));
    assert_true(table->seat->closed);
    assert_string_equal(table->last_close.event, "peer.closed");
    assert_non_null(strstr(table->last_close.text, "code=BAD_FRAME"));
    assert_int_equal(table->seat->session.close_code, FRAME_CODE_BAD_FRAME);
    table_dump(table, &after);
    assert_true(span_equal(buffer_span(&before), buffer_span(&after)));
    buffer_done(&before);
    buffer_done(&after);
}

static void test_an_oversized_frame_is_refused_by_its_length(void **state)
{
    static const uint8_t huge[] = {0x00, 0x04, 0x00, 0x01};
    struct table *table = *state;

    table_raw(table, huge, sizeof(huge));
    assert_true(table->seat->closed);
    assert_non_null(strstr(table->last_close.text, "code=TOO_BIG"));
}

static void test_an_unsigned_batch_closes(void **state)
{
    struct table *table = *state;
    struct frame frame = {.type = FRAME_BATCH};
    struct buffer head = {0}, before = {0}, after = {0};

    table_introduce(table);
    table_commit(&table->other, 1);
    table_dump(table, &before);
    table_head(&table->other, &head);
    head.data[head.size - 1] ^= 1; /* in the signature */
    frame.batch.head = buffer_span(&head);
    table->stores = 0;
    table_say(table, &frame);
    assert_true(table->seat->closed);
    assert_non_null(strstr(table->last_close.text, "code=BAD_SIG"));
    assert_int_equal(table->stores, 0);
    table_dump(table, &after);
    assert_true(span_equal(buffer_span(&before), buffer_span(&after)));
    buffer_done(&head);
    buffer_done(&before);
    buffer_done(&after);
}

static void test_a_forged_charter_closes(void **state)
{
    struct table *table = *state;
    struct buffer *signed_charter = &table->other.charters[0];

    table_have(table, &table->other, 0);
    assert_non_null(table_heard(table, FRAME_CHARTER_REQ));
    signed_charter->data[signed_charter->size - 1] ^= 1;
    table_charters(table, &table->other);
    assert_true(table->seat->closed);
    assert_non_null(strstr(table->last_close.text, "code=BAD_CHARTER"));
    signed_charter->data[signed_charter->size - 1] ^= 1;
}

/* A payload that is not what its header promises: nothing stored, the sender not believed. */
static void test_a_spoilt_payload_is_blamed_on_its_sender(void **state)
{
    struct table *table = *state;
    uint64_t epoch, hno;

    table_introduce(table);
    table_commit(&table->other, 1);
    table->stores = 0;
    table_batch(table, &table->other, true);
    assert_false(table->seat->closed);
    assert_int_equal(table->stores, 0);
    assert_int_equal(table_heard(table, FRAME_ERROR)->error.code, FRAME_CODE_MISMATCH);
    assert_int_equal(table_heard(table, FRAME_ERROR)->error.sid, 0);
    assert_false(sync_claimed_head(table->sync, &table->other.id, &epoch, &hno));
}

static void test_strangers_are_neither_stored_nor_asked_for(void **state)
{
    struct table *table = *state;

    table_commit(&table->stranger, 1);
    table->seat->heard_count = 0;
    table->stores = 0;
    table_have(table, &table->stranger, 0);
    table_charters(table, &table->stranger);
    table_batch(table, &table->stranger, false);
    assert_int_equal(table->stores, 0);
    assert_null(table_heard(table, FRAME_CHARTER_REQ));
    assert_false(table->seat->closed);
}

static void test_answers_that_nobody_asked_for_are_dropped(void **state)
{
    struct table *table = *state;
    struct frame frame = {.type = FRAME_ENTRIES};
    struct buffer head = {0};

    table_introduce(table);
    table_commit(&table->other, 1);
    table_head(&table->other, &head);
    table->stores = 0;
    frame.entries.sid = 1;
    table_say(table, &frame);
    frame = (struct frame){.type = FRAME_DELTA};
    frame.delta.sid = 77;
    frame.delta.head = buffer_span(&head);
    table_say(table, &frame);
    frame = (struct frame){.type = FRAME_TRIE};
    frame.trie.sid = 78;
    frame.trie.head = buffer_span(&head);
    table_say(table, &frame);
    table_charters(table, &table->other);
    assert_int_equal(table->stores, 0);
    assert_false(table->seat->closed);
    buffer_done(&head);
}

/* Claims cost their maker its credit, after three times. */
static void test_who_claims_too_much_is_not_believed(void **state)
{
    struct table *table = *state;
    struct frame refusal = {.type = FRAME_ERROR};
    struct sync_peer_status status;
    uint64_t epoch, hno;
    unsigned asked = 0;

    table_introduce(table);
    table_have(table, &table->other, 1000000);
    for (unsigned i = 0; i < 20; i++) {
        const struct frame *request = table_heard(table, FRAME_TRIE_REQ);

        if (request) {
            asked++;
            refusal.error.sid = request->trie_req.sid;
            refusal.error.code = FRAME_CODE_NOT_HELD;
            table->seat->heard_count = 0;
            table_say(table, &refusal);
        }
        table_tick(table, 500);
    }
    assert_int_equal(asked, 3);
    assert_false(sync_claimed_head(table->sync, &table->other.id, &epoch, &hno));
    assert_false(table->seat->closed);
    sync_peer_status(table->sync, 0, &status);
    assert_int_equal(status.state, SYNC_PEER_OPEN);
}

/* A node of a trie that is not what its parent promised. */
static void test_a_false_trie_is_blamed_on_its_sender(void **state)
{
    struct table *table = *state;
    struct frame frame = {.type = FRAME_TRIE};
    static const uint8_t entries[2 * FRAME_TRIE_ENTRY_BYTES] = {1};
    struct frame_trie_node node = {.whole = true, .bytes = {entries, FRAME_TRIE_ENTRY_BYTES}};
    const struct frame *request;
    struct buffer head = {0};
    uint64_t epoch, hno;

    table_introduce(table);
    table_commit(&table->other, 1);
    table_head(&table->other, &head);
    table_have(table, &table->other, 0);
    request = table_heard(table, FRAME_TRIE_REQ);
    assert_non_null(request);
    frame.trie.sid = request->trie_req.sid;
    frame.trie.head = buffer_span(&head);
    frame_rows_clear(&table->rows);
    frame_rows_node(&table->rows, &node);
    frame.trie.nodes = frame_rows_list(&table->rows);
    table->stores = 0;
    table_say(table, &frame);
    assert_int_equal(table_heard(table, FRAME_ERROR)->error.code, FRAME_CODE_MISMATCH);
    assert_int_equal(table_heard(table, FRAME_ERROR)->error.sid, 0);
    assert_int_equal(table->stores, 0);
    assert_false(sync_claimed_head(table->sync, &table->other.id, &epoch, &hno));
    buffer_done(&head);
}

/* A delta whose tombstones or numbers lie costs a reconcile and nobody's name. */
static void test_a_delta_that_lies_is_replaced_by_a_reconcile(void **state)
{
    struct table *table = *state;
    struct frame frame = {.type = FRAME_DELTA};
    const struct frame *request;
    struct buffer head = {0};
    uint64_t epoch, hno;

    table_introduce(table);
    table_commit(&table->other, 1);
    table_batch(table, &table->other, false);
    table_commit(&table->other, 2);
    table_commit(&table->other, 3);
    table_head(&table->other, &head);
    table->seat->heard_count = 0;
    table_have(table, &table->other, 0);
    request = table_heard(table, FRAME_PULL);
    assert_non_null(request);
    assert_int_equal(request->pull.since_seq, 1);
    frame.delta.sid = request->pull.sid;
    frame.delta.head = buffer_span(&head); /* without the headers that lead to it */
    table->stores = 0;
    table_say(table, &frame);
    assert_int_equal(table->stores, 0);
    assert_non_null(table_heard(table, FRAME_TRIE_REQ));
    assert_true(sync_claimed_head(table->sync, &table->other.id, &epoch, &hno));
    buffer_done(&head);
}

/* ---- catching up, step by step ---- */

static void test_reconcile_step_by_step(void **state)
{
    struct table *table = *state;

    table_introduce(table);
    table_commit(&table->other, 1);
    table_commit(&table->other, 2);
    table_have(table, &table->other, 0);
    table_answer_trie(table, &table->other);
    assert_int_equal(table_heard(table, FRAME_FETCH)->fetch.keys.count, 2);
    table_answer_fetch(table, &table->other, true);
    table_assert_holds(table, &table->other, 2, 0);
    assert_non_null(table_heard(table, FRAME_HAVE));
}

static void test_delta_step_by_step(void **state)
{
    struct table *table = *state;
    struct frame frame = {.type = FRAME_DELTA};
    struct buffer head = {0};
    struct town_write delta;
    struct kv read;

    table_introduce(table);
    table_commit(&table->other, 1);
    table_batch(table, &table->other, false);
    table_commit(&table->other, 2);
    table_commit(&table->other, 3);
    table_head(&table->other, &head);
    table_have(table, &table->other, 0);
    frame.delta.sid = table_heard(table, FRAME_PULL)->pull.sid;
    frame.delta.head = buffer_span(&head);
    assert_ok(kv_mem_read_begin(table->other.mem, &read));
    town_delta(&table->other, &read, 1, TABLE_MASK, &delta);
    kv_mem_read_end(&read);
    frame_rows_clear(&table->rows);
    for (size_t i = 0; i < delta.write.entry_count; i++)
        frame_rows_bin(&table->rows, delta.write.entries[i].header_bytes);
    frame.delta.headers = frame_rows_list(&table->rows);
    table_say(table, &frame);
    assert_int_equal(table_heard(table, FRAME_FETCH)->fetch.keys.count, 2);
    table_answer_fetch(table, &table->other, true);
    table_assert_holds(table, &table->other, 3, 0);
    town_write_done(&delta);
    buffer_done(&head);
}

/* A payload that nobody has here holds nothing up, and is asked for again. */
static void test_a_missing_payload_comes_later(void **state)
{
    struct table *table = *state;

    table_introduce(table);
    table_commit(&table->other, 1);
    table_have(table, &table->other, 0);
    table_answer_trie(table, &table->other);
    table_answer_fetch(table, &table->other, false);
    table_assert_holds(table, &table->other, 1, 1);
    assert_non_null(table_heard(table, FRAME_HAVE)); /* the state is whole all the same */
    assert_non_null(table_heard(table, FRAME_FETCH));
    table_answer_fetch(table, &table->other, false); /* still not */
    assert_null(table_heard(table, FRAME_FETCH));
    table_tick(table, 61000 - 20000);
    table_greet(table); /* a sign of life */
    table_tick(table, 20000);
    assert_non_null(table_heard(table, FRAME_FETCH));
    table_answer_fetch(table, &table->other, true);
    table_assert_holds(table, &table->other, 1, 0);
}

static void refuse(struct table *table, enum frame_code code)
{
    struct frame error = {.type = FRAME_ERROR};

    error.error.sid = table_heard(table, FRAME_FETCH)->fetch.sid;
    error.error.code = code;
    table->seat->heard_count = 0;
    table_say(table, &error);
}

/*
 * Payloads that nobody had are asked for on the chance that a peer has them: who has not said so
 * is no liar, and what it says of the origin's next commit is believed.
 */
static void test_who_lacks_payloads_is_no_liar(void **state)
{
    static const enum frame_code codes[] = {FRAME_CODE_NOT_HELD, FRAME_CODE_UNKNOWN_ORIGIN,
                                            FRAME_CODE_COLLECTION_FORBIDDEN, FRAME_CODE_NOT_HELD};
    struct local_change changes[ARRAY_SIZE(codes)];
    struct table *table = *state;

    table_introduce(table);
    for (uint8_t i = 0; i < ARRAY_SIZE(changes); i++)
        changes[i] = (struct local_change){.collection = (uint8_t)(COLLECTION_COMPANIES + i),
                                           .payload = span_of_str("what nobody has")};
    assert_ok(town_commit(&table->other, changes, ARRAY_SIZE(changes)));
    table_push(table, &table->other, false);
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        assert_non_null(table_heard(table, FRAME_FETCH));
        refuse(table, codes[i]);
    }
    assert_null(table_heard(table, FRAME_FETCH));
    table_commit(&table->other, 2);
    table_have(table, &table->other, 0);
    table_tick(table, 1000);
    assert_non_null(table_heard(table, FRAME_PULL));
}

/* Who says that it has nothing of a collection is not told what is missing there. */
static void test_missing_payloads_are_asked_of_who_may_have_them(void **state)
{
    struct table *table = *state;

    table_introduce(table);
    table_commit(&table->other, 1);
    table_have(table, &table->other, 0);
    table_answer_trie(table, &table->other);
    table_answer_fetch(table, &table->other, false);
    table_answer_fetch(table, &table->other, false); /* it was asked once: it has said all */
    table_have_of(table, &table->other, TABLE_MASK & ~(UINT32_C(1) << COLLECTION_COMPANIES));
    for (unsigned i = 0; i < 6; i++) {
        table_tick(table, 30000);
        table_greet(table); /* a sign of life */
        assert_null(table_heard(table, FRAME_FETCH));
    }
    table_have(table, &table->other, 0);
    for (unsigned i = 0; i < 3 && !table_heard(table, FRAME_FETCH); i++) {
        table_greet(table);
        table_tick(table, 30000);
    }
    assert_non_null(table_heard(table, FRAME_FETCH));
    table_answer_fetch(table, &table->other, true);
    table_assert_holds(table, &table->other, 1, 0);
}

/* ---- older heads ---- */

static uint64_t gap(const struct table *table, const struct origin_id *id)
{
    struct replica_origin record;
    struct kv read;
    uint64_t to;

    assert_ok(kv_mem_read_begin(table->own.mem, &read));
    assert_ok(replica_origin_get(&read, id, &record));
    assert_ok(replica_ancestry_gap(&read, &record, &to));
    kv_mem_read_end(&read);
    return to;
}

/* Who skipped commits gets the proof that they led here, and nothing waits for it. */
static void test_skipped_heads_are_asked_for(void **state)
{
    struct table *table = *state;
    uint64_t epoch, hno;

    table_introduce(table);
    for (uint8_t i = 1; i <= 13; i++)
        table_commit(&table->other, i);
    table_have(table, &table->other, 0);
    table_answer_trie(table, &table->other);
    table_answer_fetch(table, &table->other, true);
    table_assert_holds(table, &table->other, 13, 0);
    assert_true(gap(table, &table->other.id) > 0);
    assert_int_equal(table_heard(table, FRAME_ANCESTRY_REQ)->ancestry_req.from_hno, 13);

    /* A batch goes before, and the answer, which is of the older head, blames nobody. */
    table_commit(&table->other, 14);
    table_batch(table, &table->other, false);
    table_assert_holds(table, &table->other, 14, 0);
    table_answer_ancestry(table, &table->other, 0);
    assert_true(sync_claimed_head(table->sync, &table->other.id, &epoch, &hno));
    table_tick(table, 1);
    table_assert_holds(table, &table->other, 14, 0);
    for (unsigned i = 0; i < 4 && gap(table, &table->other.id); i++) {
        table_tick(table, 1000);
        if (table_heard(table, FRAME_ANCESTRY_REQ))
            table_answer_ancestry(table, &table->other, 0);
    }
    assert_int_equal(gap(table, &table->other.id), 0);
    assert_false(table->seat->closed);
}

/* Who has not all of them gives what it has; it is asked again later, not at once. */
static void test_a_path_that_ends_early(void **state)
{
    struct table *table = *state;
    unsigned asked = 0;

    table_introduce(table);
    for (uint8_t i = 1; i <= 13; i++)
        table_commit(&table->other, i);
    table_have(table, &table->other, 0);
    table_answer_trie(table, &table->other);
    table_answer_fetch(table, &table->other, true);
    for (unsigned i = 0; i < 40; i++) {
        if (table_heard(table, FRAME_ANCESTRY_REQ)) {
            asked++;
            table_answer_ancestry(table, &table->other, 1); /* nothing below the newest */
        }
        table_tick(table, 1000);
        table_deliver(table); /* a PONG: it lives */
    }
    assert_in_range(asked, 4, 7); /* 1, 2, 4, 8, 16 s apart */
    for (unsigned i = 0; i < 64 && !table_heard(table, FRAME_ANCESTRY_REQ); i++) {
        table_tick(table, 1000);
        table_deliver(table);
    }
    table_answer_ancestry(table, &table->other, 0);
    assert_int_equal(gap(table, &table->other.id), 0);
}

/* Heads of another town are no path, and who sends them is not believed. */
static void test_a_false_path_is_blamed_on_its_sender(void **state)
{
    struct table *table = *state;
    uint64_t epoch, hno;
    struct town twin;

    town_init(&twin, 2);
    table_introduce(table);
    for (uint8_t i = 1; i <= 13; i++) {
        table_commit(&table->other, i);
        table_commit(&twin, (uint8_t)(i + 100));
    }
    table_have(table, &table->other, 0);
    table_answer_trie(table, &table->other);
    table_answer_fetch(table, &table->other, true);
    table_answer_ancestry(table, &twin, 0);
    assert_true(gap(table, &table->other.id) > 0);
    assert_false(sync_claimed_head(table->sync, &table->other.id, &epoch, &hno));
    town_done(&twin);
}

/* An origin that lost its store cannot sign before it knows what its next head must name. */
static void test_a_recovered_origin_can_sign_again(void **state)
{
    static const uint8_t payload[] = "after the fire";
    struct table *table = *state;
    struct local_change change = {
        .collection = COLLECTION_COMPANIES,
        .id = {{99}},
        .payload = span_of(payload, sizeof(payload)),
    };
    struct town twin;

    town_init(&twin, 1);
    for (uint8_t i = 1; i <= 13; i++)
        table_commit(&twin, i);
    sync_set_recovering(table->sync, true);
    table_have(table, &twin, 0);
    table_answer_trie(table, &twin);
    table_answer_fetch(table, &twin, true);
    table_assert_holds(table, &twin, 13, 0);
    assert_err(town_commit(&table->own, &change, 1), TORG_E_GAP);
    table_answer_ancestry(table, &twin, 0);
    sync_set_recovering(table->sync, false);
    assert_ok(town_commit(&table->own, &change, 1));
    town_done(&twin);
}

/* ---- our own origin ---- */

/* Else who is reached faster by another way sends each of our commits back to us, for ever. */
static void test_own_commits_are_not_wanted_back(void **state)
{
    struct table *table = *state;
    struct profile_reader in;
    struct frame_tree_row row;

    table_commit(&table->own, 1);
    table_step(table, (struct sync_event){.kind = SYNC_EVENT_PUBLISHED});
    table->seat->heard_count = 0;
    table_batch(table, &table->own, false);
    in = frame_list_reader(&table_heard(table, FRAME_TREE)->tree.rows);
    row = frame_read_tree(&in);
    assert_memory_equal(&row.origin, &table->own.id, sizeof(row.origin));
    assert_false(row.graft);
    table->seat->heard_count = 0;
    table_batch(table, &table->own, false);
    table_tick(table, 1000);
    assert_null(table_heard(table, FRAME_TREE)); /* once is enough, and nobody is asked for more */
    assert_int_equal(table->own_ahead, 0);
}

/* A second host with our key has gone on: only what it signed can stop us. */
static void test_a_claim_stops_nobody_a_signed_head_does(void **state)
{
    struct table *table = *state;
    struct town twin;
    struct buffer before = {0}, after = {0};

    town_init(&twin, 1);
    table_commit(&twin, 1);
    table_dump(table, &before);
    table_have(table, &table->own, 5);
    assert_int_equal(table->own_ahead, 0);
    assert_non_null(table_heard(table, FRAME_PULL)); /* it is looked into */
    table_batch(table, &twin, false);
    assert_int_equal(table->own_ahead, 1);
    table_batch(table, &twin, false);
    assert_int_equal(table->own_ahead, 1); /* once is enough */
    table_dump(table, &after);
    assert_true(span_equal(buffer_span(&before), buffer_span(&after)));

    /* Asked to recover, the node takes it back. */
    sync_set_recovering(table->sync, true);
    table->seat->heard_count = 0;
    table_tick(table, 10);
    assert_non_null(table_heard(table, FRAME_TRIE_REQ));
    assert_memory_equal(table_heard(table, FRAME_TRIE_REQ)->trie_req.origin.bytes,
                        table->own.id.bytes, 32);
    buffer_done(&before);
    buffer_done(&after);
    town_done(&twin);
}

/* A second host with our key beats: told once for each beat, and only of newer ones. */
static void test_own_beats_of_others_are_told(void **state)
{
    struct table *table = *state;
    struct frame frame = {.type = FRAME_BEAT};
    struct buffer beats[3] = {{0}}, own = {0};
    struct town twin;
    struct kv kv;

    town_init(&twin, 1);
    assert_ok(kv_mem_write_begin(twin.mem, &kv));
    for (unsigned i = 0; i < 3; i++)
        assert_ok(replica_beat_local(&kv, &twin.id, &twin.signer, 77, i == 2 ? 55 : 0,
                                     1790000000000 + i, &beats[i]));
    assert_ok(kv_mem_write_commit(&kv));
    /* Ours is as new as the second one. */
    assert_ok(kv_mem_write_begin(table->own.mem, &kv));
    assert_ok(
        replica_beat_local(&kv, &table->own.id, &table->own.signer, 55, 0, 1790000000001, &own));
    assert_ok(kv_mem_write_commit(&kv));
    table_step(table, (struct sync_event){.kind = SYNC_EVENT_PUBLISHED});
    for (unsigned i = 0; i < 3; i++) {
        frame_rows_clear(&table->rows);
        frame_rows_packed(&table->rows, buffer_span(&beats[i]));
        frame.beat.beats = frame_rows_list(&table->rows);
        table_say(table, &frame);
        assert_int_equal(table->own_beats, i == 2);
        buffer_done(&beats[i]);
    }
    assert_int_equal(table->own_beat.writer, 77);
    assert_int_equal(table->own_beat.rival, 55);
    assert_false(table->seat->closed);
    buffer_done(&own);
    town_done(&twin);
}

static void test_own_commits_are_pushed_when_published(void **state)
{
    struct table *table = *state;

    table_commit(&table->own, 9);
    table->seat->heard_count = 0;
    table_tick(table, 10);
    assert_null(table_heard(table, FRAME_BATCH)); /* durable, but not said to be published */
    assert_null(table_heard(table, FRAME_HAVE));
    table_step(table, (struct sync_event){.kind = SYNC_EVENT_PUBLISHED});
    assert_non_null(table_heard(table, FRAME_BATCH));
    assert_int_equal(table_heard(table, FRAME_BATCH)->batch.entries.count, 1);
    assert_non_null(table_heard(table, FRAME_HAVE));
}

/* Not a byte of a head leaves before it is published, whoever asks. */
static void test_an_unpublished_head_is_not_served(void **state)
{
    struct table *table = *state;
    struct frame pull = {.type = FRAME_PULL};

    table_commit(&table->own, 9);
    table_step(table, (struct sync_event){.kind = SYNC_EVENT_PUBLISHED});
    table_commit(&table->own, 10);
    table->seat->heard_count = 0;
    pull.pull.sid = 4;
    pull.pull.origin = table->own.id;
    pull.pull.mask = 2;
    pull.pull.epoch = 1;
    pull.pull.hno = 1;
    pull.pull.since_seq = 1;
    table_say(table, &pull);
    assert_null(table_heard(table, FRAME_DELTA));
    table_step(table, (struct sync_event){.kind = SYNC_EVENT_PUBLISHED});
    table_deliver(table);
    assert_non_null(table_heard(table, FRAME_DELTA));
    assert_int_equal(table_heard(table, FRAME_DELTA)->delta.headers.count, 1);
}

/* ---- serving ---- */

static void test_requests_wait_in_a_short_queue(void **state)
{
    struct table *table = *state;
    struct frame pull = {.type = FRAME_PULL};
    unsigned busy = 0;

    table_commit(&table->own, 9);
    table_step(table, (struct sync_event){.kind = SYNC_EVENT_PUBLISHED});
    table_commit(&table->own, 10);
    table->seat->heard_count = 0;
    pull.pull.origin = table->own.id;
    pull.pull.mask = 2;
    pull.pull.epoch = 1;
    for (unsigned i = 0; i < 7; i++) {
        pull.pull.sid = i + 1;
        table_say(table, &pull); /* waits: the head is not published */
    }
    for (size_t i = 0; i < table->seat->heard_count; i++)
        busy += table->seat->heard[i].type == FRAME_ERROR &&
                table->seat->heard[i].frame.error.code == FRAME_CODE_BUSY;
    assert_int_equal(busy, 3);
}

static void test_what_is_not_public_is_not_served(void **state)
{
    struct table *table = *state;
    struct frame pull = {.type = FRAME_PULL};
    struct frame fetch = {.type = FRAME_FETCH};

    table_commit(&table->own, 9);
    table_step(table, (struct sync_event){.kind = SYNC_EVENT_PUBLISHED});
    pull.pull.sid = 1;
    pull.pull.origin = table->own.id;
    pull.pull.mask = UINT32_C(1) << 20;
    table_say(table, &pull);
    assert_int_equal(table_heard(table, FRAME_ERROR)->error.code, FRAME_CODE_COLLECTION_FORBIDDEN);
    fetch.fetch.sid = 2;
    fetch.fetch.origin = table->own.id;
    fetch.fetch.collection = 20;
    table_say(table, &fetch);
    assert_int_equal(table_heard(table, FRAME_ERROR)->error.code, FRAME_CODE_COLLECTION_FORBIDDEN);
    pull.pull.origin = table->stranger.id;
    table_say(table, &pull);
    assert_int_equal(table_heard(table, FRAME_ERROR)->error.code, FRAME_CODE_UNKNOWN_ORIGIN);
}

static void test_ancestry_is_served(void **state)
{
    struct table *table = *state;
    struct frame request = {.type = FRAME_ANCESTRY_REQ};
    const struct frame *answer;
    struct profile_reader in;
    uint64_t last = 0;

    for (uint8_t i = 1; i <= 20; i++)
        table_commit(&table->own, i);
    table_step(table, (struct sync_event){.kind = SYNC_EVENT_PUBLISHED});
    request.ancestry_req.sid = 1;
    request.ancestry_req.origin = table->own.id;
    request.ancestry_req.epoch = 1;
    request.ancestry_req.from_hno = 20;
    request.ancestry_req.to_hno = 3;
    table_say(table, &request);
    answer = table_heard(table, FRAME_ANCESTRY);
    assert_non_null(answer);
    assert_true(answer->ancestry.heads.count < 10);
    in = frame_list_reader(&answer->ancestry.heads);
    for (uint32_t i = 0; i < answer->ancestry.heads.count; i++) {
        struct head head;

        assert_ok(head_parse(profile_bin(&in, HEAD_BYTES_MAX), &head));
        assert_true(i == 0 ? head.hno == 20 : head.hno < last);
        last = head.hno;
    }
    assert_int_equal(last, 3);
}

/* ---- connections ---- */

static void test_a_key_that_is_not_pinned_is_refused(void **state)
{
    struct table *table = *state;

    table->seat->link = 9;
    table->seat->closed = false;
    table_step(table, (struct sync_event){
                          .kind = SYNC_EVENT_CONNECTED,
                          .link = 9,
                          .peer = 0,
                          .key = table_key(0x52),
                      });
    assert_true(table->seat->closed);
    assert_non_null(strstr(table->last_close.text, "code=NOT_MEMBER"));
}

/* Both sides dialled at once: each keeps the one that the smaller key opened. */
static void test_of_two_connections_the_smaller_keys_stays(void **state)
{
    struct table *table = *state;
    struct sync_event again = {
        .kind = SYNC_EVENT_CONNECTED,
        .link = 2,
        .peer = 0,
        .key = table_key(0x50),
        .dialled = true,
    };

    /* The first was opened by 0x50, we are 0x55: it stays. */
    table_step(table, again);
    assert_false(table->seat->closed);
    assert_int_equal(table->last_close.link, 2);
    assert_string_equal(table->last_close.event, "peer.duplicate");

    /* But one that has stood for long is lost to a peer that comes again. */
    table->now_ms += 11000;
    again.link = 3;
    again.dialled = false;
    table_step(table, again);
    assert_true(table->seat->closed);
}

static void test_after_a_fault_the_peer_must_wait(void **state)
{
    static const uint8_t garbage[] = {0, 0, 0, 3, 8, 0, 0xc1};
    struct table *table = *state;

    table_raw(table, garbage, sizeof(garbage));
    assert_true(table->seat->closed);
    table_connect(table, 2);
    assert_true(table->seat->closed);
    assert_non_null(strstr(table->last_close.text, "code=RATE"));
    assert_true(table->seat->session.retry_after_s >= 1);
    table->now_ms += 2000;
    table_connect(table, 3);
    assert_false(table->seat->closed);
    table_greet(table);
    assert_false(table->seat->closed);
}

static void table_goodbye(struct table *table, enum frame_code code, const char *text)
{
    struct frame frame = {.type = FRAME_GOAWAY};

    frame.goaway.code = code;
    frame.goaway.text = span_of_str(text);
    table_say(table, &frame);
    assert_true(table->seat->closed);
}

/* Refused at the door, before a greeting. */
static void table_put_off(struct table *table, uint32_t link)
{
    struct frame frame = {.type = FRAME_GOAWAY};
    struct buffer bytes = {0};

    table->seat->link = link;
    table->seat->closed = false;
    table_step(table, (struct sync_event){
                          .kind = SYNC_EVENT_CONNECTED, .link = link, .key = table_key(0x50)});
    frame.goaway.code = FRAME_CODE_RATE;
    frame.goaway.text = span_of_str("come back later");
    assert_ok(frame_encode(&frame, &bytes));
    table_raw(table, bytes.data, bytes.size);
    assert_true(table->seat->closed);
    buffer_done(&bytes);
}

/* It refuses whoever comes again too soon, which tells nobody what is wrong. */
static void test_the_reason_outlives_being_put_off(void **state)
{
    struct table *table = *state;
    struct sync_peer_status status;

    table_goodbye(table, FRAME_CODE_VERSION, "versions 1..1 and 2..3");
    table_put_off(table, 2);
    sync_peer_status(table->sync, 0, &status);
    assert_string_equal(status.last_error, "it: versions 1..1 and 2..3");
    assert_int_equal(status.errors, 2);
    /* Once it has taken us in, a reason of that kind is a reason. */
    table_connect(table, 3);
    table_greet(table);
    table_goodbye(table, FRAME_CODE_RATE, "too much");
    sync_peer_status(table->sync, 0, &status);
    assert_string_equal(status.last_error, "it: too much");
}

/* 1 s doubling, +-50 %, at most 10 min; over for who has proved itself. */
static void test_dialling_backs_off(void **state)
{
    struct table *table = *state;
    int64_t expected_ms = 1000;

    assert_int_equal(table->dials, 1); /* the hub, at the first step */
    for (unsigned i = 0; i < 14; i++) {
        struct sync_peer_status status;
        int64_t wait_ms;

        table_step(table, (struct sync_event){.kind = SYNC_EVENT_DIAL_FAILED, .peer = 1});
        sync_peer_status(table->sync, 1, &status);
        assert_int_equal(status.state, SYNC_PEER_DOWN);
        wait_ms = status.next_dial_ms - table->now_ms;
        assert_true(wait_ms >= expected_ms / 2 && wait_ms <= expected_ms * 3 / 2);
        assert_true(wait_ms <= 600000);
        table->dials = 0;
        table_tick(table, wait_ms - 1);
        assert_int_equal(table->dials, 0);
        table_tick(table, 1);
        assert_int_equal(table->dials, 1);
        expected_ms = expected_ms < 300000 ? 2 * expected_ms : 600000;
    }
}

/* A peer that takes nothing costs a bounded queue, and hears of the newest in the end. */
static void test_a_lagging_peer_gets_the_newest_have(void **state)
{
    struct table *table = *state;
    static uint8_t payload[60000] = {1};
    struct sync_peer_status status;
    unsigned batches = 0;

    table->seat->heard_count = 0;
    for (uint8_t i = 0; i < 60; i++) {
        struct local_change change = {
            .collection = COLLECTION_OFFERS,
            .id = {{i}},
            .payload = span_of(payload, sizeof(payload)),
        };

        assert_ok(town_commit(&table->own, &change, 1));
        table_step(table, (struct sync_event){.kind = SYNC_EVENT_PUBLISHED});
    }
    for (size_t i = 0; i < table->seat->heard_count; i++)
        batches += table->seat->heard[i].type == FRAME_BATCH;
    assert_true(batches < 20); /* what the credit allows: nothing was granted again */
    sync_peer_status(table->sync, 0, &status);
    assert_true(status.lagging);
    table_deliver(table); /* the puppet's CREDIT comes at last */
    table_tick(table, 10);
    assert_non_null(table_heard(table, FRAME_HAVE));
    struct profile_reader in = frame_list_reader(&table_heard(table, FRAME_HAVE)->have.rows);
    assert_int_equal(frame_read_have(&in).hno, 60);
    table_have(table, &table->own, 0); /* it has pulled it all */
    sync_peer_status(table->sync, 0, &status);
    assert_false(status.lagging);
}

static void test_a_reload_closes_whom_it_does_not_name(void **state)
{
    struct table *table = *state;
    struct sync_peer_config peers[2];
    struct origin_id trusted[1];
    struct sync_config config = table_config(table, peers, trusted);
    struct sync_peer_status status;

    /* A new origin: the peer is asked for it at once, on the same connection. */
    table_introduce(table);
    trusted[0] = table->stranger.id;
    table->seat->heard_count = 0;
    assert_ok(sync_reconfigure(table->sync, &config, &table->actions));
    table_carry_out(table, &table->actions);
    sync_actions_clear(&table->actions);
    assert_false(table->seat->closed);
    assert_non_null(table_heard(table, FRAME_SUB));
    table_have(table, &table->stranger, 0);
    assert_non_null(table_heard(table, FRAME_CHARTER_REQ));
    table_charters(table, &table->stranger);

    /* The peer's key is no longer pinned. */
    peers[0].keys[0] = table_key(0x70);
    assert_ok(sync_reconfigure(table->sync, &config, &table->actions));
    table_carry_out(table, &table->actions);
    assert_true(table->seat->closed);
    sync_peer_status(table->sync, 0, &status);
    assert_int_equal(status.state, SYNC_PEER_DOWN);
}

/* A store that fails blames nobody, and what was to be stored is asked for again. */
static void test_trouble_in_the_store_blames_nobody(void **state)
{
    struct table *table = *state;
    uint64_t epoch, hno;

    table_introduce(table);
    table_commit(&table->other, 1);
    table->store_err = TORG_E_FULL;
    table_batch(table, &table->other, false);
    table_have(table, &table->other, 0);
    assert_false(table->seat->closed);
    assert_true(sync_claimed_head(table->sync, &table->other.id, &epoch, &hno));
    table->store_err = TORG_OK;
    table->seat->heard_count = 0;
    for (unsigned i = 0; i < 10; i++)
        table_tick(table, 1000);
    assert_non_null(table_heard(table, FRAME_TRIE_REQ));
    assert_true(sync_claimed_head(table->sync, &table->other.id, &epoch, &hno));
}

/* Two heads of one number: the evidence is stored and goes to everybody. */
static void test_a_fork_gives_evidence(void **state)
{
    struct table *table = *state;
    struct town twin;

    town_init(&twin, 2);
    table_introduce(table);
    table_commit(&table->other, 1);
    table_commit(&twin, 2);
    table_batch(table, &table->other, false);
    table_batch(table, &twin, false);
    assert_true(table_record(&table->other).head.hno == 1);
    {
        struct replica_origin record;
        struct kv read;

        assert_ok(kv_mem_read_begin(table->own.mem, &read));
        assert_ok(replica_origin_get(&read, &table->other.id, &record));
        kv_mem_read_end(&read);
        assert_true(record.flags & REPLICA_FLAG_DISPUTED);
    }
    assert_false(table->seat->closed);
    assert_non_null(table_heard(table, FRAME_PROOF));
    town_done(&twin);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, table_setup, table_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_own_commits_are_not_wanted_back, table_setup,
                                        table_teardown),
        TEST(test_a_batch_is_stored_and_told),
        TEST(test_garbage_changes_nothing),
        TEST(test_an_oversized_frame_is_refused_by_its_length),
        TEST(test_an_unsigned_batch_closes),
        TEST(test_a_forged_charter_closes),
        TEST(test_a_spoilt_payload_is_blamed_on_its_sender),
        TEST(test_strangers_are_neither_stored_nor_asked_for),
        TEST(test_answers_that_nobody_asked_for_are_dropped),
        TEST(test_who_claims_too_much_is_not_believed),
        TEST(test_a_false_trie_is_blamed_on_its_sender),
        TEST(test_a_delta_that_lies_is_replaced_by_a_reconcile),
        TEST(test_reconcile_step_by_step),
        TEST(test_delta_step_by_step),
        TEST(test_a_missing_payload_comes_later),
        TEST(test_who_lacks_payloads_is_no_liar),
        TEST(test_missing_payloads_are_asked_of_who_may_have_them),
        TEST(test_skipped_heads_are_asked_for),
        TEST(test_a_path_that_ends_early),
        TEST(test_a_false_path_is_blamed_on_its_sender),
        TEST(test_a_recovered_origin_can_sign_again),
        TEST(test_a_claim_stops_nobody_a_signed_head_does),
        TEST(test_own_beats_of_others_are_told),
        TEST(test_own_commits_are_pushed_when_published),
        TEST(test_an_unpublished_head_is_not_served),
        TEST(test_requests_wait_in_a_short_queue),
        TEST(test_what_is_not_public_is_not_served),
        TEST(test_ancestry_is_served),
        TEST(test_a_key_that_is_not_pinned_is_refused),
        TEST(test_of_two_connections_the_smaller_keys_stays),
        TEST(test_after_a_fault_the_peer_must_wait),
        TEST(test_the_reason_outlives_being_put_off),
        TEST(test_dialling_backs_off),
        TEST(test_a_lagging_peer_gets_the_newest_have),
        TEST(test_a_reload_closes_whom_it_does_not_name),
        TEST(test_trouble_in_the_store_blames_nobody),
        TEST(test_a_fork_gives_evidence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
