/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <stdlib.h>

#include "protocol/session.h"
#include "protocol/sync.h"
#include "tests/support/town.h"

/*
 * One node, and a peer whose every frame we choose. What a peer sends that it
 * should not must change nothing that is stored, and must be told apart from
 * what an honest peer may send: both mistakes would stay unseen in a network
 * where all are honest and well.
 */
#define LINK 1
#define MASK 0x21feu
#define HEARD_MAX 256

struct heard {
    uint8_t type;
    struct buffer body;
    struct frame frame;
};

struct table {
    struct town own;   /* the node's: its store is the node's store */
    struct town other; /* somebody's, that the node trusts */
    struct town stranger;
    struct sync *sync;
    struct sync_actions actions;
    struct session peer;
    uint32_t link;
    int64_t now_ms;
    struct heard heard[HEARD_MAX];
    size_t heard_count;
    bool closed;
    struct sync_action last_close;
    unsigned stores, dials, own_ahead;
    enum torg_err store_err; /* what every STORE comes to; TORG_OK: as it goes */
    struct frame_rows rows;
};

static struct public_key key_of(uint8_t byte)
{
    struct public_key key;

    memset(key.bytes, byte, sizeof(key.bytes));
    return key;
}

static void step(struct table *table, struct sync_event event);

static void hear(struct table *table, struct span bytes)
{
    struct frame frame;
    enum torg_err err;

    session_input(&table->peer, bytes, table->now_ms);
    while (table->peer.state != SESSION_CLOSED) {
        struct heard *heard = &table->heard[table->heard_count];

        err = session_next(&table->peer, table->now_ms, 0, &frame);
        if (table->peer.state == SESSION_CLOSED || err == TORG_E_TRUNCATED)
            break;
        assert_ok(err);
        assert_true(table->heard_count < HEARD_MAX);
        heard->type = frame.type;
        buffer_clear(&heard->body);
        buffer_put_span(&heard->body, table->peer.frame_body);
        assert_ok(frame_decode(frame.type, buffer_span(&heard->body), &heard->frame));
        table->heard_count++;
        session_release(&table->peer, table->peer.frame_class, table->peer.frame_bytes);
    }
}

static void store(struct table *table, const struct sync_action *action)
{
    struct sync_event stored = {.kind = SYNC_EVENT_STORED, .ticket = action->ticket};

    table->stores++;
    stored.err = table->store_err;
    if (!stored.err)
        stored.err = town_apply(table->own.mem, &action->store->write, NULL);
    step(table, stored);
}

static void carry_out(struct table *table, struct sync_actions *actions)
{
    for (size_t i = 0; i < actions->count; i++) {
        struct sync_action *action = &actions->items[i];

        switch (action->kind) {
        case SYNC_ACTION_SEND:
            if (action->link == table->link)
                hear(table, buffer_span(&action->bytes));
            break;
        case SYNC_ACTION_CLOSE:
            if (action->link == table->link)
                table->closed = true;
            table->last_close = *action;
            break;
        case SYNC_ACTION_DIAL:
            table->dials++;
            break;
        case SYNC_ACTION_STORE:
            store(table, action);
            break;
        case SYNC_ACTION_OWN_AHEAD:
            table->own_ahead++;
            break;
        case SYNC_ACTION_NOTE:
            break;
        }
    }
}

static void step(struct table *table, struct sync_event event)
{
    struct sync_actions actions = {0};
    struct kv read;

    event.now_ms = table->now_ms;
    event.clock_ms = 1790000000000 + table->now_ms;
    assert_ok(kv_mem_read_begin(table->own.mem, &read));
    assert_ok(sync_step(table->sync, &read, &event, &actions));
    kv_mem_read_end(&read);
    table->actions.next_tick_ms = actions.next_tick_ms;
    carry_out(table, &actions);
    sync_actions_done(&actions);
}

static void tick(struct table *table, int64_t ms)
{
    table->now_ms += ms;
    step(table, (struct sync_event){.kind = SYNC_EVENT_TICK});
}

/* What the peer has to say arrives. */
static void deliver(struct table *table)
{
    struct buffer bytes;

    session_take_output(&table->peer, &bytes);
    session_drained(&table->peer, 0);
    if (bytes.size)
        step(table, (struct sync_event){
                        .kind = SYNC_EVENT_BYTES,
                        .link = table->link,
                        .bytes = buffer_span(&bytes),
                    });
    buffer_done(&bytes);
    step(table, (struct sync_event){.kind = SYNC_EVENT_DRAINED, .link = table->link});
}

static void say(struct table *table, const struct frame *frame)
{
    assert_ok(session_send(&table->peer, frame, table->now_ms));
    deliver(table);
}

static void raw(struct table *table, const void *bytes, size_t size)
{
    step(table, (struct sync_event){
                    .kind = SYNC_EVENT_BYTES,
                    .link = table->link,
                    .bytes = span_of(bytes, size),
                });
}

static struct sync_config config_of(const struct table *table, struct sync_peer_config *peers,
                                    struct origin_id *trusted)
{
    peers[0] = (struct sync_peer_config){
        .name = "peer",
        .keys = {key_of(0x50), key_of(0x51)},
        .key_count = 2,
    };
    peers[1] = (struct sync_peer_config){
        .name = "hub",
        .keys = {key_of(0x60)},
        .key_count = 1,
        .dial = true,
    };
    trusted[0] = table->other.id;
    return (struct sync_config){
        .node_key = key_of(0x55),
        .has_own = true,
        .own = table->own.id,
        .peers = peers,
        .peer_count = 2,
        .trusted = trusted,
        .trusted_count = 1,
        .subscribe_mask = MASK,
        .software = "test 1",
        .seed = 1,
        .limits = sync_limits_default(),
    };
}

static void connect(struct table *table, uint32_t link)
{
    struct session_config config = {
        .version_min = 1,
        .version_max = 1,
        .live_credit_bytes = 1 << 20,
        .sync_credit_bytes = 4 << 20,
        .output_queue_bytes = 8 << 20,
        .software = span_of_str("puppet 1"),
    };

    session_done(&table->peer);
    assert_ok(session_init(&table->peer, &config, table->now_ms, 0));
    table->link = link;
    table->closed = false;
    table->heard_count = 0;
    step(table, (struct sync_event){
                    .kind = SYNC_EVENT_CONNECTED,
                    .link = link,
                    .peer = 0,
                    .key = key_of(0x50),
                });
    deliver(table);
}

/* Through the greeting, wanting everything and having nothing. */
static void greet(struct table *table)
{
    static const uint8_t digest[FRAME_DIGEST_BYTES];
    struct frame sub = {.type = FRAME_SUB};
    struct frame summary = {.type = FRAME_SUMMARY};

    frame_rows_clear(&table->rows);
    frame_rows_sub(&table->rows,
                   &(struct frame_sub_row){.kind = FRAME_SUB_ALL, .mask = UINT32_MAX});
    sub.sub.rows = frame_rows_list(&table->rows);
    say(table, &sub);
    summary.summary.digests = span_of(digest, sizeof(digest));
    say(table, &summary);
}

static int setup(void **state)
{
    struct table *table = test_calloc(1, sizeof(*table));
    struct sync_peer_config peers[2];
    struct origin_id trusted[1];
    struct sync_config config;

    assert_ok(seal_init());
    table->now_ms = 1000;
    town_init(&table->own, 1);
    town_init(&table->other, 2);
    town_init(&table->stranger, 3);
    config = config_of(table, peers, trusted);
    assert_ok(sync_new(&config, &table->sync));
    step(table, (struct sync_event){.kind = SYNC_EVENT_TICK});
    connect(table, LINK);
    greet(table);
    *state = table;
    return 0;
}

static int teardown(void **state)
{
    struct table *table = *state;

    for (size_t i = 0; i < HEARD_MAX; i++)
        buffer_done(&table->heard[i].body);
    sync_actions_done(&table->actions);
    sync_free(table->sync);
    session_done(&table->peer);
    frame_rows_done(&table->rows);
    town_done(&table->own);
    town_done(&table->other);
    town_done(&table->stranger);
    test_free(table);
    return 0;
}

static const struct frame *heard_last(const struct table *table, uint8_t type)
{
    for (size_t i = table->heard_count; i-- > 0;) {
        if (table->heard[i].type == type)
            return &table->heard[i].frame;
    }
    return NULL;
}

/* The whole store as text of bytes. */
static void dump(const struct table *table, struct buffer *out)
{
    struct kv read;

    buffer_clear(out);
    assert_ok(kv_mem_read_begin(table->own.mem, &read));
    assert_ok(kv_mem_dump(&read, out));
    kv_mem_read_end(&read);
}

/* ---- what a peer offers ---- */

static void commit(struct town *town, uint8_t byte)
{
    static const uint8_t payload[] = "a payload that nobody looks into";
    struct local_change change = {
        .collection = COLLECTION_COMPANIES,
        .payload = span_of(payload, sizeof(payload)),
    };

    memset(change.id.bytes, byte, sizeof(change.id.bytes));
    assert_ok(town_commit(town, &change, 1));
}

static struct replica_origin record_of(const struct town *town)
{
    struct replica_origin record;
    struct kv read;

    assert_ok(kv_mem_read_begin(town->mem, &read));
    assert_ok(replica_origin_get(&read, &town->id, &record));
    kv_mem_read_end(&read);
    return record;
}

/* HAVE of what a town holds, claimed_more heads too many. */
static void have(struct table *table, const struct town *town, uint64_t claimed_more)
{
    struct replica_origin record = record_of(town);
    struct frame frame = {.type = FRAME_HAVE};
    struct frame_have_row row = {
        .origin = town->id,
        .epoch = record.has_head || claimed_more ? 1 : 0,
        .hno = record.head.hno + claimed_more,
        .seq = record.head.seq,
        .mask = MASK,
        .charter_no = record.charter_no,
    };

    memcpy(row.head_hash, record.head_hash.bytes, sizeof(row.head_hash));
    frame_rows_clear(&table->rows);
    frame_rows_have(&table->rows, &row);
    frame.have.rows = frame_rows_list(&table->rows);
    say(table, &frame);
}

static void charters(struct table *table, const struct town *town)
{
    struct frame frame = {.type = FRAME_CHARTER};

    frame_rows_clear(&table->rows);
    for (size_t i = 0; i < town->charter_count; i++)
        frame_rows_packed(&table->rows, buffer_span(&town->charters[i]));
    frame.charter.origin = town->id;
    frame.charter.charters = frame_rows_list(&table->rows);
    say(table, &frame);
}

/* The node knows the charters of the other town. */
static void introduce(struct table *table)
{
    have(table, &table->other, 0);
    assert_non_null(heard_last(table, FRAME_CHARTER_REQ));
    charters(table, &table->other);
}

static void head_of(const struct town *town, struct buffer *out)
{
    struct replica_origin record = record_of(town);
    struct span head;
    struct kv read;

    assert_ok(kv_mem_read_begin(town->mem, &read));
    assert_ok(replica_head_get(&read, record.number, record.head.epoch, record.head.hno, &head));
    buffer_put_span(out, head);
    kv_mem_read_end(&read);
}

/* The last commit of a town as it would be pushed. spoil: a bit of its payload. */
static void batch(struct table *table, const struct town *town, bool spoil)
{
    struct replica_origin record = record_of(town);
    struct frame frame = {.type = FRAME_BATCH};
    struct buffer head = {0}, payload = {0};
    struct town_write delta;
    struct kv read;

    head_of(town, &head);
    assert_ok(kv_mem_read_begin(town->mem, &read));
    town_delta(town, &read, record.head.seq - 1, COLLECTION_MASK_ALL, &delta);
    kv_mem_read_end(&read);
    frame_rows_clear(&table->rows);
    for (size_t i = 0; i < delta.write.entry_count; i++) {
        buffer_put_span(&payload, delta.write.entries[i].payload);
        payload.data[payload.size - 1] ^= spoil;
        frame_rows_entry(&table->rows, &(struct frame_entry){
                                           .header = delta.write.entries[i].header_bytes,
                                           .has_payload = true,
                                           .payload = buffer_span(&payload),
                                       });
    }
    frame.batch.head = buffer_span(&head);
    frame.batch.entries = frame_rows_list(&table->rows);
    say(table, &frame);
    town_write_done(&delta);
    buffer_done(&payload);
    buffer_done(&head);
}

/* ---- stories ---- */

static void test_a_batch_is_stored_and_told(void **state)
{
    struct table *table = *state;
    const struct frame *told;
    struct profile_reader in;
    struct frame_have_row row;

    introduce(table);
    commit(&table->other, 1);
    table->heard_count = 0;
    batch(table, &table->other, false);
    assert_false(table->closed);
    told = heard_last(table, FRAME_HAVE);
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

    introduce(table);
    dump(table, &before);
    raw(table, garbage, sizeof(garbage));
    assert_true(table->closed);
    assert_string_equal(table->last_close.event, "peer.closed");
    assert_non_null(strstr(table->last_close.text, "code=BAD_FRAME"));
    assert_int_equal(table->peer.close_code, FRAME_CODE_BAD_FRAME);
    dump(table, &after);
    assert_true(span_equal(buffer_span(&before), buffer_span(&after)));
    buffer_done(&before);
    buffer_done(&after);
}

static void test_an_oversized_frame_is_refused_by_its_length(void **state)
{
    static const uint8_t huge[] = {0x00, 0x04, 0x00, 0x01};
    struct table *table = *state;

    raw(table, huge, sizeof(huge));
    assert_true(table->closed);
    assert_non_null(strstr(table->last_close.text, "code=TOO_BIG"));
}

static void test_an_unsigned_batch_closes(void **state)
{
    struct table *table = *state;
    struct frame frame = {.type = FRAME_BATCH};
    struct buffer head = {0}, before = {0}, after = {0};

    introduce(table);
    commit(&table->other, 1);
    dump(table, &before);
    head_of(&table->other, &head);
    head.data[head.size - 1] ^= 1; /* in the signature */
    frame.batch.head = buffer_span(&head);
    table->stores = 0;
    say(table, &frame);
    assert_true(table->closed);
    assert_non_null(strstr(table->last_close.text, "code=BAD_SIG"));
    assert_int_equal(table->stores, 0);
    dump(table, &after);
    assert_true(span_equal(buffer_span(&before), buffer_span(&after)));
    buffer_done(&head);
    buffer_done(&before);
    buffer_done(&after);
}

static void test_a_forged_charter_closes(void **state)
{
    struct table *table = *state;
    struct buffer *signed_charter = &table->other.charters[0];

    have(table, &table->other, 0);
    assert_non_null(heard_last(table, FRAME_CHARTER_REQ));
    signed_charter->data[signed_charter->size - 1] ^= 1;
    charters(table, &table->other);
    assert_true(table->closed);
    assert_non_null(strstr(table->last_close.text, "code=BAD_CHARTER"));
    signed_charter->data[signed_charter->size - 1] ^= 1;
}

/* A payload that is not what its header promises: nothing stored, the sender not believed. */
static void test_a_spoilt_payload_is_blamed_on_its_sender(void **state)
{
    struct table *table = *state;
    uint64_t epoch, hno;

    introduce(table);
    commit(&table->other, 1);
    table->stores = 0;
    batch(table, &table->other, true);
    assert_false(table->closed);
    assert_int_equal(table->stores, 0);
    assert_int_equal(heard_last(table, FRAME_ERROR)->error.code, FRAME_CODE_MISMATCH);
    assert_false(sync_claimed_head(table->sync, &table->other.id, &epoch, &hno));
}

static void test_strangers_are_neither_stored_nor_asked_for(void **state)
{
    struct table *table = *state;

    commit(&table->stranger, 1);
    table->heard_count = 0;
    table->stores = 0;
    have(table, &table->stranger, 0);
    charters(table, &table->stranger);
    batch(table, &table->stranger, false);
    assert_int_equal(table->stores, 0);
    assert_null(heard_last(table, FRAME_CHARTER_REQ));
    assert_false(table->closed);
}

static void test_answers_that_nobody_asked_for_are_dropped(void **state)
{
    struct table *table = *state;
    struct frame frame = {.type = FRAME_ENTRIES};
    struct buffer head = {0};

    introduce(table);
    commit(&table->other, 1);
    head_of(&table->other, &head);
    table->stores = 0;
    frame.entries.sid = 1;
    say(table, &frame);
    frame = (struct frame){.type = FRAME_DELTA};
    frame.delta.sid = 77;
    frame.delta.head = buffer_span(&head);
    say(table, &frame);
    frame = (struct frame){.type = FRAME_TRIE};
    frame.trie.sid = 78;
    frame.trie.head = buffer_span(&head);
    say(table, &frame);
    charters(table, &table->other);
    assert_int_equal(table->stores, 0);
    assert_false(table->closed);
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

    introduce(table);
    have(table, &table->other, 1000000);
    for (unsigned i = 0; i < 20; i++) {
        const struct frame *request = heard_last(table, FRAME_TRIE_REQ);

        if (request) {
            asked++;
            refusal.error.sid = request->trie_req.sid;
            refusal.error.code = FRAME_CODE_NOT_HELD;
            table->heard_count = 0;
            say(table, &refusal);
        }
        tick(table, 500);
    }
    assert_int_equal(asked, 3);
    assert_false(sync_claimed_head(table->sync, &table->other.id, &epoch, &hno));
    assert_false(table->closed);
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

    introduce(table);
    commit(&table->other, 1);
    head_of(&table->other, &head);
    have(table, &table->other, 0);
    request = heard_last(table, FRAME_TRIE_REQ);
    assert_non_null(request);
    frame.trie.sid = request->trie_req.sid;
    frame.trie.head = buffer_span(&head);
    frame_rows_clear(&table->rows);
    frame_rows_node(&table->rows, &node);
    frame.trie.nodes = frame_rows_list(&table->rows);
    table->stores = 0;
    say(table, &frame);
    assert_int_equal(heard_last(table, FRAME_ERROR)->error.code, FRAME_CODE_MISMATCH);
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

    introduce(table);
    commit(&table->other, 1);
    batch(table, &table->other, false);
    commit(&table->other, 2);
    commit(&table->other, 3);
    head_of(&table->other, &head);
    table->heard_count = 0;
    have(table, &table->other, 0);
    request = heard_last(table, FRAME_PULL);
    assert_non_null(request);
    assert_int_equal(request->pull.since_seq, 1);
    frame.delta.sid = request->pull.sid;
    frame.delta.head = buffer_span(&head); /* without the headers that lead to it */
    table->stores = 0;
    say(table, &frame);
    assert_int_equal(table->stores, 0);
    assert_non_null(heard_last(table, FRAME_TRIE_REQ));
    assert_true(sync_claimed_head(table->sync, &table->other.id, &epoch, &hno));
    buffer_done(&head);
}

/* ---- catching up, step by step ---- */

/* Answers to what the node has asked last, from what a town holds. */
static void answer_trie(struct table *table, const struct town *town)
{
    struct frame frame = {.type = FRAME_TRIE};
    struct replica_origin record = record_of(town);
    struct trie_prefix top = {0};
    struct trie_entry entries[TRIE_LEAF_MAX];
    uint8_t bytes[TRIE_LEAF_MAX * FRAME_TRIE_ENTRY_BYTES];
    struct buffer head = {0};
    struct trie_store store;
    struct replica_trie trie;
    struct kv read;
    size_t count;

    frame.trie.sid = heard_last(table, FRAME_TRIE_REQ)->trie_req.sid;
    head_of(town, &head);
    frame.trie.head = buffer_span(&head);
    assert_ok(kv_mem_read_begin(town->mem, &read));
    replica_trie_init(&trie, &read, record.number, COLLECTION_COMPANIES, &store);
    assert_ok(store.entries(store.context, &top, TRIE_LEAF_MAX, entries, &count));
    replica_trie_done(&trie);
    kv_mem_read_end(&read);
    for (size_t i = 0; i < count; i++)
        memcpy(bytes + i * sizeof(entries[i]), &entries[i], sizeof(entries[i]));
    frame_rows_clear(&table->rows);
    frame_rows_node(&table->rows, &(struct frame_trie_node){
                                      .whole = true,
                                      .bytes = span_of(bytes, count * FRAME_TRIE_ENTRY_BYTES),
                                  });
    frame.trie.nodes = frame_rows_list(&table->rows);
    table->heard_count = 0;
    say(table, &frame);
    buffer_done(&head);
}

static void answer_fetch(struct table *table, const struct town *town, bool with_payloads)
{
    const struct frame *request = heard_last(table, FRAME_FETCH);
    struct profile_reader in = frame_list_reader(&request->fetch.keys);
    struct replica_origin record = record_of(town);
    struct frame frame = {.type = FRAME_ENTRIES};
    struct kv read;

    frame.entries.sid = request->fetch.sid;
    frame_rows_clear(&table->rows);
    assert_ok(kv_mem_read_begin(town->mem, &read));
    for (uint32_t i = 0; i < request->fetch.keys.count; i++) {
        struct trie_entry key = frame_read_key(&in);
        struct frame_entry entry = {.has_payload = with_payloads};

        assert_ok(replica_listing_get(&read, record.number, request->fetch.collection, &key.key,
                                      &entry.header, &entry.payload));
        frame_rows_entry(&table->rows, &entry);
    }
    kv_mem_read_end(&read);
    frame.entries.entries = frame_rows_list(&table->rows);
    table->heard_count = 0;
    say(table, &frame);
}

static void assert_holds(struct table *table, const struct town *town, unsigned count,
                         unsigned missing)
{
    struct replica_origin record;
    struct kv read;

    assert_ok(kv_mem_read_begin(table->own.mem, &read));
    assert_ok(replica_origin_get(&read, &town->id, &record));
    kv_mem_read_end(&read);
    assert_int_equal(record.head.hno, record_of(town).head.hno);
    assert_int_equal(replica_complete_mask(&record, MASK), MASK);
    assert_int_equal(record.held[COLLECTION_COMPANIES].count, count);
    assert_int_equal(record.missing[COLLECTION_COMPANIES], missing);
}

static void test_reconcile_step_by_step(void **state)
{
    struct table *table = *state;

    introduce(table);
    commit(&table->other, 1);
    commit(&table->other, 2);
    have(table, &table->other, 0);
    answer_trie(table, &table->other);
    assert_int_equal(heard_last(table, FRAME_FETCH)->fetch.keys.count, 2);
    answer_fetch(table, &table->other, true);
    assert_holds(table, &table->other, 2, 0);
    assert_non_null(heard_last(table, FRAME_HAVE));
}

static void test_delta_step_by_step(void **state)
{
    struct table *table = *state;
    struct frame frame = {.type = FRAME_DELTA};
    struct buffer head = {0};
    struct town_write delta;
    struct kv read;

    introduce(table);
    commit(&table->other, 1);
    batch(table, &table->other, false);
    commit(&table->other, 2);
    commit(&table->other, 3);
    head_of(&table->other, &head);
    have(table, &table->other, 0);
    frame.delta.sid = heard_last(table, FRAME_PULL)->pull.sid;
    frame.delta.head = buffer_span(&head);
    assert_ok(kv_mem_read_begin(table->other.mem, &read));
    town_delta(&table->other, &read, 1, MASK, &delta);
    kv_mem_read_end(&read);
    frame_rows_clear(&table->rows);
    for (size_t i = 0; i < delta.write.entry_count; i++)
        frame_rows_bin(&table->rows, delta.write.entries[i].header_bytes);
    frame.delta.headers = frame_rows_list(&table->rows);
    say(table, &frame);
    assert_int_equal(heard_last(table, FRAME_FETCH)->fetch.keys.count, 2);
    answer_fetch(table, &table->other, true);
    assert_holds(table, &table->other, 3, 0);
    town_write_done(&delta);
    buffer_done(&head);
}

/* A payload that nobody has here holds nothing up, and is asked for again. */
static void test_a_missing_payload_comes_later(void **state)
{
    struct table *table = *state;

    introduce(table);
    commit(&table->other, 1);
    have(table, &table->other, 0);
    answer_trie(table, &table->other);
    answer_fetch(table, &table->other, false);
    assert_holds(table, &table->other, 1, 1);
    assert_non_null(heard_last(table, FRAME_HAVE)); /* the state is whole all the same */
    assert_non_null(heard_last(table, FRAME_FETCH));
    answer_fetch(table, &table->other, false); /* still not */
    assert_null(heard_last(table, FRAME_FETCH));
    tick(table, 61000 - 20000);
    greet(table); /* a sign of life */
    tick(table, 20000);
    assert_non_null(heard_last(table, FRAME_FETCH));
    answer_fetch(table, &table->other, true);
    assert_holds(table, &table->other, 1, 0);
}

/* ---- our own origin ---- */

/* A second host with our key has gone on: only what it signed can stop us. */
static void test_a_claim_stops_nobody_a_signed_head_does(void **state)
{
    struct table *table = *state;
    struct town twin;
    struct buffer before = {0}, after = {0};

    town_init(&twin, 1);
    commit(&twin, 1);
    dump(table, &before);
    have(table, &table->own, 5);
    assert_int_equal(table->own_ahead, 0);
    assert_non_null(heard_last(table, FRAME_PULL)); /* it is looked into */
    batch(table, &twin, false);
    assert_int_equal(table->own_ahead, 1);
    batch(table, &twin, false);
    assert_int_equal(table->own_ahead, 1); /* once is enough */
    dump(table, &after);
    assert_true(span_equal(buffer_span(&before), buffer_span(&after)));

    /* Asked to recover, the node takes it back. */
    sync_set_recovering(table->sync, true);
    table->heard_count = 0;
    tick(table, 10);
    assert_non_null(heard_last(table, FRAME_TRIE_REQ));
    assert_memory_equal(heard_last(table, FRAME_TRIE_REQ)->trie_req.origin.bytes,
                        table->own.id.bytes, 32);
    buffer_done(&before);
    buffer_done(&after);
    town_done(&twin);
}

static void test_own_commits_are_pushed_when_published(void **state)
{
    struct table *table = *state;

    commit(&table->own, 9);
    table->heard_count = 0;
    tick(table, 10);
    assert_null(heard_last(table, FRAME_BATCH)); /* durable, but not said to be published */
    assert_null(heard_last(table, FRAME_HAVE));
    step(table, (struct sync_event){.kind = SYNC_EVENT_PUBLISHED});
    assert_non_null(heard_last(table, FRAME_BATCH));
    assert_int_equal(heard_last(table, FRAME_BATCH)->batch.entries.count, 1);
    assert_non_null(heard_last(table, FRAME_HAVE));
}

/* Not a byte of a head leaves before it is published, whoever asks. */
static void test_an_unpublished_head_is_not_served(void **state)
{
    struct table *table = *state;
    struct frame pull = {.type = FRAME_PULL};

    commit(&table->own, 9);
    step(table, (struct sync_event){.kind = SYNC_EVENT_PUBLISHED});
    commit(&table->own, 10);
    table->heard_count = 0;
    pull.pull.sid = 4;
    pull.pull.origin = table->own.id;
    pull.pull.mask = 2;
    pull.pull.epoch = 1;
    pull.pull.hno = 1;
    pull.pull.since_seq = 1;
    say(table, &pull);
    assert_null(heard_last(table, FRAME_DELTA));
    step(table, (struct sync_event){.kind = SYNC_EVENT_PUBLISHED});
    deliver(table);
    assert_non_null(heard_last(table, FRAME_DELTA));
    assert_int_equal(heard_last(table, FRAME_DELTA)->delta.headers.count, 1);
}

/* ---- serving ---- */

static void test_requests_wait_in_a_short_queue(void **state)
{
    struct table *table = *state;
    struct frame pull = {.type = FRAME_PULL};
    unsigned busy = 0;

    commit(&table->own, 9);
    step(table, (struct sync_event){.kind = SYNC_EVENT_PUBLISHED});
    commit(&table->own, 10);
    table->heard_count = 0;
    pull.pull.origin = table->own.id;
    pull.pull.mask = 2;
    pull.pull.epoch = 1;
    for (unsigned i = 0; i < 7; i++) {
        pull.pull.sid = i + 1;
        say(table, &pull); /* waits: the head is not published */
    }
    for (size_t i = 0; i < table->heard_count; i++)
        busy += table->heard[i].type == FRAME_ERROR &&
                table->heard[i].frame.error.code == FRAME_CODE_BUSY;
    assert_int_equal(busy, 3);
}

static void test_what_is_not_public_is_not_served(void **state)
{
    struct table *table = *state;
    struct frame pull = {.type = FRAME_PULL};
    struct frame fetch = {.type = FRAME_FETCH};

    commit(&table->own, 9);
    step(table, (struct sync_event){.kind = SYNC_EVENT_PUBLISHED});
    pull.pull.sid = 1;
    pull.pull.origin = table->own.id;
    pull.pull.mask = UINT32_C(1) << 20;
    say(table, &pull);
    assert_int_equal(heard_last(table, FRAME_ERROR)->error.code, FRAME_CODE_COLLECTION_FORBIDDEN);
    fetch.fetch.sid = 2;
    fetch.fetch.origin = table->own.id;
    fetch.fetch.collection = 20;
    say(table, &fetch);
    assert_int_equal(heard_last(table, FRAME_ERROR)->error.code, FRAME_CODE_COLLECTION_FORBIDDEN);
    pull.pull.origin = table->stranger.id;
    say(table, &pull);
    assert_int_equal(heard_last(table, FRAME_ERROR)->error.code, FRAME_CODE_UNKNOWN_ORIGIN);
}

static void test_ancestry_is_served(void **state)
{
    struct table *table = *state;
    struct frame request = {.type = FRAME_ANCESTRY_REQ};
    const struct frame *answer;
    struct profile_reader in;
    uint64_t last = 0;

    for (uint8_t i = 1; i <= 20; i++)
        commit(&table->own, i);
    step(table, (struct sync_event){.kind = SYNC_EVENT_PUBLISHED});
    request.ancestry_req.sid = 1;
    request.ancestry_req.origin = table->own.id;
    request.ancestry_req.epoch = 1;
    request.ancestry_req.from_hno = 20;
    request.ancestry_req.to_hno = 3;
    say(table, &request);
    answer = heard_last(table, FRAME_ANCESTRY);
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

    table->link = 9;
    table->closed = false;
    step(table, (struct sync_event){
                    .kind = SYNC_EVENT_CONNECTED,
                    .link = 9,
                    .peer = 0,
                    .key = key_of(0x52),
                });
    assert_true(table->closed);
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
        .key = key_of(0x50),
        .dialled = true,
    };

    /* The first was opened by 0x50, we are 0x55: it stays. */
    step(table, again);
    assert_false(table->closed);
    assert_int_equal(table->last_close.link, 2);
    assert_string_equal(table->last_close.event, "peer.duplicate");

    /* But one that has stood for long is lost to a peer that comes again. */
    table->now_ms += 11000;
    again.link = 3;
    again.dialled = false;
    step(table, again);
    assert_true(table->closed);
}

static void test_after_a_fault_the_peer_must_wait(void **state)
{
    static const uint8_t garbage[] = {0, 0, 0, 3, 8, 0, 0xc1};
    struct table *table = *state;

    raw(table, garbage, sizeof(garbage));
    assert_true(table->closed);
    connect(table, 2);
    assert_true(table->closed);
    assert_non_null(strstr(table->last_close.text, "code=RATE"));
    assert_true(table->peer.retry_after_s >= 1);
    table->now_ms += 2000;
    connect(table, 3);
    assert_false(table->closed);
    greet(table);
    assert_false(table->closed);
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

        step(table, (struct sync_event){.kind = SYNC_EVENT_DIAL_FAILED, .peer = 1});
        sync_peer_status(table->sync, 1, &status);
        assert_int_equal(status.state, SYNC_PEER_DOWN);
        wait_ms = status.next_dial_ms - table->now_ms;
        assert_true(wait_ms >= expected_ms / 2 && wait_ms <= expected_ms * 3 / 2);
        assert_true(wait_ms <= 600000);
        table->dials = 0;
        tick(table, wait_ms - 1);
        assert_int_equal(table->dials, 0);
        tick(table, 1);
        assert_int_equal(table->dials, 1);
        expected_ms = expected_ms < 300000 ? 2 * expected_ms : 600000;
    }
}

/* A peer that takes nothing costs a bounded queue, and hears of the newest in the end. */
static void test_a_lagging_peer_gets_the_newest_have(void **state)
{
    struct table *table = *state;
    static uint8_t payload[60000] = {1};
    unsigned batches = 0;

    table->heard_count = 0;
    for (uint8_t i = 0; i < 60; i++) {
        struct local_change change = {
            .collection = COLLECTION_OFFERS,
            .id = {{i}},
            .payload = span_of(payload, sizeof(payload)),
        };

        assert_ok(town_commit(&table->own, &change, 1));
        step(table, (struct sync_event){.kind = SYNC_EVENT_PUBLISHED});
    }
    for (size_t i = 0; i < table->heard_count; i++)
        batches += table->heard[i].type == FRAME_BATCH;
    assert_true(batches < 20); /* what the credit allows: nothing was granted again */
    deliver(table);            /* the puppet's CREDIT comes at last */
    tick(table, 10);
    assert_non_null(heard_last(table, FRAME_HAVE));
    struct profile_reader in = frame_list_reader(&heard_last(table, FRAME_HAVE)->have.rows);
    assert_int_equal(frame_read_have(&in).hno, 60);
}

static void test_a_reload_closes_whom_it_does_not_name(void **state)
{
    struct table *table = *state;
    struct sync_peer_config peers[2];
    struct origin_id trusted[1];
    struct sync_config config = config_of(table, peers, trusted);
    struct sync_peer_status status;

    /* A new origin: the peer is asked for it at once, on the same connection. */
    introduce(table);
    trusted[0] = table->stranger.id;
    table->heard_count = 0;
    assert_ok(sync_reconfigure(table->sync, &config, &table->actions));
    carry_out(table, &table->actions);
    sync_actions_clear(&table->actions);
    assert_false(table->closed);
    assert_non_null(heard_last(table, FRAME_SUB));
    have(table, &table->stranger, 0);
    assert_non_null(heard_last(table, FRAME_CHARTER_REQ));
    charters(table, &table->stranger);

    /* The peer's key is no longer pinned. */
    peers[0].keys[0] = key_of(0x70);
    assert_ok(sync_reconfigure(table->sync, &config, &table->actions));
    carry_out(table, &table->actions);
    assert_true(table->closed);
    sync_peer_status(table->sync, 0, &status);
    assert_int_equal(status.state, SYNC_PEER_DOWN);
}

/* A store that fails blames nobody, and what was to be stored is asked for again. */
static void test_trouble_in_the_store_blames_nobody(void **state)
{
    struct table *table = *state;
    uint64_t epoch, hno;

    introduce(table);
    commit(&table->other, 1);
    table->store_err = TORG_E_FULL;
    batch(table, &table->other, false);
    have(table, &table->other, 0);
    assert_false(table->closed);
    assert_true(sync_claimed_head(table->sync, &table->other.id, &epoch, &hno));
    table->store_err = TORG_OK;
    table->heard_count = 0;
    for (unsigned i = 0; i < 10; i++)
        tick(table, 1000);
    assert_non_null(heard_last(table, FRAME_TRIE_REQ));
    assert_true(sync_claimed_head(table->sync, &table->other.id, &epoch, &hno));
}

/* Two heads of one number: the evidence is stored and goes to everybody. */
static void test_a_fork_gives_evidence(void **state)
{
    struct table *table = *state;
    struct town twin;

    town_init(&twin, 2);
    introduce(table);
    commit(&table->other, 1);
    commit(&twin, 2);
    batch(table, &table->other, false);
    batch(table, &twin, false);
    assert_true(record_of(&table->other).head.hno == 1);
    {
        struct replica_origin record;
        struct kv read;

        assert_ok(kv_mem_read_begin(table->own.mem, &read));
        assert_ok(replica_origin_get(&read, &table->other.id, &record));
        kv_mem_read_end(&read);
        assert_true(record.flags & REPLICA_FLAG_DISPUTED);
    }
    assert_false(table->closed);
    assert_non_null(heard_last(table, FRAME_PROOF));
    town_done(&twin);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
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
        TEST(test_a_claim_stops_nobody_a_signed_head_does),
        TEST(test_own_commits_are_pushed_when_published),
        TEST(test_an_unpublished_head_is_not_served),
        TEST(test_requests_wait_in_a_short_queue),
        TEST(test_what_is_not_public_is_not_served),
        TEST(test_ancestry_is_served),
        TEST(test_a_key_that_is_not_pinned_is_refused),
        TEST(test_of_two_connections_the_smaller_keys_stays),
        TEST(test_after_a_fault_the_peer_must_wait),
        TEST(test_dialling_backs_off),
        TEST(test_a_lagging_peer_gets_the_newest_have),
        TEST(test_a_reload_closes_whom_it_does_not_name),
        TEST(test_trouble_in_the_store_blames_nobody),
        TEST(test_a_fork_gives_evidence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
