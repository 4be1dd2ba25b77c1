/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/table.h"

#include "tests/support/test.h"

struct public_key table_key(uint8_t byte)
{
    struct public_key key;

    memset(key.bytes, byte, sizeof(key.bytes));
    return key;
}

static void hear(struct table *table, struct table_seat *seat, struct span bytes)
{
    struct frame frame;
    enum torg_err err;

    session_input(&seat->session, bytes, table->now_ms);
    while (seat->session.state != SESSION_CLOSED) {
        struct table_heard *heard = &seat->heard[seat->heard_count];

        err = session_next(&seat->session, table->now_ms, 0, &frame);
        if (seat->session.state == SESSION_CLOSED || err == TORG_E_TRUNCATED)
            break;
        assert_ok(err);
        assert_true(seat->heard_count < TABLE_HEARD_MAX);
        heard->type = frame.type;
        buffer_clear(&heard->body);
        buffer_put_span(&heard->body, seat->session.frame_body);
        assert_ok(frame_decode(frame.type, buffer_span(&heard->body), &heard->frame));
        seat->heard_count++;
        session_release(&seat->session, seat->session.frame_class, seat->session.frame_bytes);
    }
}

static struct table_seat *seat_of(struct table *table, uint32_t link)
{
    for (size_t i = 0; i < TABLE_SEATS; i++) {
        if (table->seats[i].link == link)
            return &table->seats[i];
    }
    return NULL;
}

static void store(struct table *table, const struct sync_action *action)
{
    struct sync_event stored = {.kind = SYNC_EVENT_STORED, .ticket = action->ticket};

    table->stores++;
    table->ticket = action->ticket;
    if (table->writer_stuck)
        return;
    stored.err = table->store_err;
    if (!stored.err)
        stored.err = town_apply(table->own.mem, &action->store->write, NULL);
    table_step(table, stored);
}

void table_carry_out(struct table *table, struct sync_actions *actions)
{
    for (size_t i = 0; i < actions->count; i++) {
        struct sync_action *action = &actions->items[i];

        switch (action->kind) {
        case SYNC_ACTION_SEND:
            if (seat_of(table, action->link))
                hear(table, seat_of(table, action->link), buffer_span(&action->bytes));
            break;
        case SYNC_ACTION_CLOSE:
            if (seat_of(table, action->link))
                seat_of(table, action->link)->closed = true;
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
        case SYNC_ACTION_OWN_BEAT:
            table->own_beats++;
            table->own_beat = *action;
            break;
        case SYNC_ACTION_NOTE:
            break;
        }
    }
}

void table_step(struct table *table, struct sync_event event)
{
    struct sync_actions actions = {0};
    struct kv read;

    event.now_ms = table->now_ms;
    event.clock_ms = 1790000000000 + table->now_ms;
    assert_ok(kv_mem_read_begin(table->own.mem, &read));
    assert_ok(sync_step(table->sync, &read, &event, &actions));
    kv_mem_read_end(&read);
    table->actions.next_tick_ms = actions.next_tick_ms;
    table_carry_out(table, &actions);
    sync_actions_done(&actions);
}

void table_tick(struct table *table, int64_t ms)
{
    table->now_ms += ms;
    table_step(table, (struct sync_event){.kind = SYNC_EVENT_TICK});
}

void table_forget(struct table *table, size_t count)
{
    struct table_seat *seat = table->seat;

    for (size_t i = count; i < seat->heard_count; i++) {
        struct table_heard moved = seat->heard[i - count];

        seat->heard[i - count] = seat->heard[i];
        seat->heard[i] = moved;
    }
    seat->heard_count -= count;
}

/* What the peer has to say arrives. */
void table_deliver(struct table *table)
{
    struct buffer bytes;

    session_take_output(&table->seat->session, &bytes);
    session_drained(&table->seat->session, 0);
    if (bytes.size)
        table_step(table, (struct sync_event){
                              .kind = SYNC_EVENT_BYTES,
                              .link = table->seat->link,
                              .bytes = buffer_span(&bytes),
                          });
    buffer_done(&bytes);
    table_step(table, (struct sync_event){.kind = SYNC_EVENT_DRAINED, .link = table->seat->link});
}

void table_say(struct table *table, const struct frame *frame)
{
    assert_ok(session_send(&table->seat->session, frame, table->now_ms));
    table_deliver(table);
}

void table_raw(struct table *table, const void *bytes, size_t size)
{
    table_step(table, (struct sync_event){
                          .kind = SYNC_EVENT_BYTES,
                          .link = table->seat->link,
                          .bytes = span_of(bytes, size),
                      });
}

struct sync_config table_config(const struct table *table, struct sync_peer_config *peers,
                                struct origin_id *trusted)
{
    peers[0] = (struct sync_peer_config){
        .name = "peer",
        .keys = {table_key(0x50), table_key(0x51)},
        .key_count = 2,
    };
    peers[1] = (struct sync_peer_config){
        .name = "hub",
        .keys = {table_key(0x60)},
        .key_count = 1,
        .dial = true,
    };
    trusted[0] = table->other.id;
    return (struct sync_config){
        .node_key = table_key(0x55),
        .has_own = true,
        .own = table->own.id,
        .peers = peers,
        .peer_count = 2,
        .trusted = trusted,
        .trusted_count = 1,
        .subscribe_mask = TABLE_MASK,
        .software = "test 1",
        .seed = 1,
        .limits = sync_limits_default(),
    };
}

void table_connect(struct table *table, uint32_t link)
{
    struct session_config config = {
        .version_min = 1,
        .version_max = 1,
        .live_credit_bytes = 1 << 20,
        .sync_credit_bytes = 4 << 20,
        .output_queue_bytes = 8 << 20,
        .software = span_of_str("puppet 1"),
    };

    session_done(&table->seat->session);
    assert_ok(session_init(&table->seat->session, &config, table->now_ms, 0));
    table->seat->link = link;
    table->seat->closed = false;
    table->seat->heard_count = 0;
    table_step(table, (struct sync_event){
                          .kind = SYNC_EVENT_CONNECTED,
                          .link = link,
                          .peer = (uint32_t)(table->seat - table->seats),
                          .key = table_key(table->seat == table->seats ? 0x50 : 0x60),
                          .dialled = table->seat != table->seats,
                      });
    table_deliver(table);
}

/* Through the greeting, wanting everything and having nothing. */
void table_greet(struct table *table)
{
    static const uint8_t digest[FRAME_DIGEST_BYTES];
    struct frame sub = {.type = FRAME_SUB};
    struct frame summary = {.type = FRAME_SUMMARY};

    frame_rows_clear(&table->rows);
    frame_rows_sub(&table->rows,
                   &(struct frame_sub_row){.kind = FRAME_SUB_ALL, .mask = UINT32_MAX});
    sub.sub.rows = frame_rows_list(&table->rows);
    table_say(table, &sub);
    summary.summary.digests = span_of(digest, sizeof(digest));
    table_say(table, &summary);
}

int table_setup(void **state)
{
    struct table *table = test_calloc(1, sizeof(*table));
    struct sync_peer_config peers[2];
    struct origin_id trusted[1];
    struct sync_config config;

    assert_ok(seal_init());
    table->now_ms = 1000;
    table->seat = table->seats;
    town_init(&table->own, 1);
    town_init(&table->other, 2);
    town_init(&table->stranger, 3);
    config = table_config(table, peers, trusted);
    assert_ok(sync_new(&config, &table->sync));
    table_step(table, (struct sync_event){.kind = SYNC_EVENT_TICK});
    table_connect(table, TABLE_LINK);
    table_greet(table);
    *state = table;
    return 0;
}

int table_teardown(void **state)
{
    struct table *table = *state;

    for (size_t i = 0; i < TABLE_SEATS; i++) {
        for (size_t j = 0; j < TABLE_HEARD_MAX; j++)
            buffer_done(&table->seats[i].heard[j].body);
        session_done(&table->seats[i].session);
    }
    sync_actions_done(&table->actions);
    sync_free(table->sync);
    frame_rows_done(&table->rows);
    town_done(&table->own);
    town_done(&table->other);
    town_done(&table->stranger);
    test_free(table);
    return 0;
}

void table_sit(struct table *table, unsigned seat, uint32_t link)
{
    table->seat = &table->seats[seat];
    if (table->seat->link)
        return;
    table_connect(table, link);
    table_greet(table);
}

const struct frame *table_heard(const struct table *table, uint8_t type)
{
    for (size_t i = table->seat->heard_count; i-- > 0;) {
        if (table->seat->heard[i].type == type)
            return &table->seat->heard[i].frame;
    }
    return NULL;
}

/* The whole store as text of bytes. */
void table_dump(const struct table *table, struct buffer *out)
{
    struct kv read;

    buffer_clear(out);
    assert_ok(kv_mem_read_begin(table->own.mem, &read));
    assert_ok(kv_mem_dump(&read, out));
    kv_mem_read_end(&read);
}

/* ---- what a peer offers ---- */

void table_commit(struct town *town, uint8_t byte)
{
    table_commit_sized(town, byte, 33);
}

void table_commit_sized(struct town *town, uint8_t byte, size_t payload_size)
{
    static const uint8_t payload[PAYLOAD_BYTES_MAX] = "a payload that nobody looks into";
    struct local_change change = {
        .collection = COLLECTION_COMPANIES,
        .payload = span_of(payload, payload_size),
    };

    memset(change.id.bytes, byte, sizeof(change.id.bytes));
    assert_ok(town_commit(town, &change, 1));
}

struct replica_origin table_record(const struct town *town)
{
    struct replica_origin record;
    struct kv read;

    assert_ok(kv_mem_read_begin(town->mem, &read));
    assert_ok(replica_origin_get(&read, &town->id, &record));
    kv_mem_read_end(&read);
    return record;
}

static void say_have(struct table *table, const struct town *town, uint64_t claimed_more,
                     uint32_t mask)
{
    struct replica_origin record = table_record(town);
    struct frame frame = {.type = FRAME_HAVE};
    struct frame_have_row row = {
        .origin = town->id,
        .epoch = record.has_head ? record.head.epoch
                 : claimed_more  ? 1
                                 : 0,
        .hno = record.head.hno + claimed_more,
        .seq = record.head.seq,
        .mask = mask,
        .charter_no = record.charter_no,
    };

    memcpy(row.head_hash, record.head_hash.bytes, sizeof(row.head_hash));
    frame_rows_clear(&table->rows);
    frame_rows_have(&table->rows, &row);
    frame.have.rows = frame_rows_list(&table->rows);
    table_say(table, &frame);
}

/* HAVE of what a town holds, claimed_more heads too many. */
void table_have(struct table *table, const struct town *town, uint64_t claimed_more)
{
    say_have(table, town, claimed_more, TABLE_MASK);
}

void table_have_of(struct table *table, const struct town *town, uint32_t mask)
{
    say_have(table, town, 0, mask);
}

void table_charters(struct table *table, const struct town *town)
{
    struct frame frame = {.type = FRAME_CHARTER};

    frame_rows_clear(&table->rows);
    for (size_t i = 0; i < town->charter_count; i++)
        frame_rows_packed(&table->rows, buffer_span(&town->charters[i]));
    frame.charter.origin = town->id;
    frame.charter.charters = frame_rows_list(&table->rows);
    table_say(table, &frame);
}

/* The node knows the charters of the other town. */
void table_introduce(struct table *table)
{
    table_have(table, &table->other, 0);
    assert_non_null(table_heard(table, FRAME_CHARTER_REQ));
    table_charters(table, &table->other);
}

struct replica_origin table_held(const struct table *table)
{
    struct replica_origin record;
    struct kv read;

    assert_ok(kv_mem_read_begin(table->own.mem, &read));
    assert_ok(replica_origin_get(&read, &table->other.id, &record));
    kv_mem_read_end(&read);
    return record;
}

void table_head(const struct town *town, struct buffer *out)
{
    struct replica_origin record = table_record(town);
    struct span head;
    struct kv read;

    assert_ok(kv_mem_read_begin(town->mem, &read));
    assert_ok(replica_head_get(&read, record.number, record.head.epoch, record.head.hno, &head));
    buffer_put_span(out, head);
    kv_mem_read_end(&read);
}

/* Where the newest commit begins. */
static uint64_t seq_before(const struct kv *read, const struct replica_origin *record)
{
    struct head before;
    struct span stored;

    if (record->head.hno == 1)
        return 0;
    assert_ok(
        replica_head_get(read, record->number, record->head.epoch, record->head.hno - 1, &stored));
    assert_ok(head_parse(frame_head(stored).bytes, &before));
    return before.seq;
}

static void batch(struct table *table, const struct town *town, bool spoil, bool with_payloads)
{
    struct replica_origin record = table_record(town);
    struct frame frame = {.type = FRAME_BATCH};
    struct buffer head = {0}, payload = {0};
    struct town_write delta;
    struct kv read;

    table_head(town, &head);
    assert_ok(kv_mem_read_begin(town->mem, &read));
    town_delta(town, &read, seq_before(&read, &record), COLLECTION_MASK_ALL, &delta);
    kv_mem_read_end(&read);
    frame_rows_clear(&table->rows);
    for (size_t i = 0; i < delta.write.entry_count; i++) {
        buffer_clear(&payload);
        buffer_put_span(&payload, delta.write.entries[i].payload);
        payload.data[payload.size - 1] ^= spoil;
        frame_rows_entry(&table->rows, &(struct frame_entry){
                                           .header = delta.write.entries[i].header_bytes,
                                           .has_payload = with_payloads,
                                           .payload = buffer_span(&payload),
                                       });
    }
    frame.batch.head = buffer_span(&head);
    frame.batch.entries = frame_rows_list(&table->rows);
    table_say(table, &frame);
    town_write_done(&delta);
    buffer_done(&payload);
    buffer_done(&head);
}

/* The last commit of a town as it would be pushed. spoil: a bit of its payload. */
void table_batch(struct table *table, const struct town *town, bool spoil)
{
    batch(table, town, spoil, true);
}

void table_push(struct table *table, const struct town *town, bool with_payloads)
{
    batch(table, town, false, with_payloads);
}

/* Answers to what the node has asked last, from what a town holds. */
void table_answer_trie(struct table *table, const struct town *town)
{
    struct frame frame = {.type = FRAME_TRIE};
    struct replica_origin record = table_record(town);
    struct trie_prefix top = {0};
    struct trie_entry entries[TRIE_LEAF_MAX];
    uint8_t bytes[TRIE_LEAF_MAX * FRAME_TRIE_ENTRY_BYTES];
    struct buffer head = {0};
    struct trie_store store;
    struct replica_trie trie;
    struct kv read;
    size_t count;

    frame.trie.sid = table_heard(table, FRAME_TRIE_REQ)->trie_req.sid;
    table_head(town, &head);
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
    table->seat->heard_count = 0;
    table_say(table, &frame);
    buffer_done(&head);
}

void table_answer_some(struct table *table, const struct town *town, uint32_t from, uint32_t count,
                       bool with_payloads)
{
    const struct frame *request = table_heard(table, FRAME_FETCH);
    struct profile_reader in = frame_list_reader(&request->fetch.keys);
    struct replica_origin record = table_record(town);
    struct frame frame = {.type = FRAME_ENTRIES};
    struct kv read;

    frame.entries.sid = request->fetch.sid;
    frame.entries.more = from + count < request->fetch.keys.count;
    frame_rows_clear(&table->rows);
    assert_ok(kv_mem_read_begin(town->mem, &read));
    for (uint32_t i = 0; i < from + count && i < request->fetch.keys.count; i++) {
        struct trie_entry key = frame_read_key(&in);
        struct frame_entry entry = {.has_payload = with_payloads};

        assert_ok(replica_listing_get(&read, record.number, request->fetch.collection, &key.key,
                                      &entry.header, &entry.payload));
        if (i >= from)
            frame_rows_entry(&table->rows, &entry);
    }
    kv_mem_read_end(&read);
    frame.entries.entries = frame_rows_list(&table->rows);
    table_say(table, &frame);
}

void table_answer_fetch(struct table *table, const struct town *town, bool with_payloads)
{
    size_t heard = table->seat->heard_count;

    table_answer_some(table, town, 0, FETCH_ENTRIES_MAX, with_payloads);
    table_forget(table, heard);
}

void table_answer_ancestry(struct table *table, const struct town *town, unsigned steps)
{
    const struct frame *request = table_heard(table, FRAME_ANCESTRY_REQ);
    struct replica_origin record = table_record(town);
    struct frame frame = {.type = FRAME_ANCESTRY};
    uint64_t at = request->ancestry_req.from_hno, to = request->ancestry_req.to_hno;
    struct kv read;

    frame.ancestry.sid = request->ancestry_req.sid;
    frame_rows_clear(&table->rows);
    assert_ok(kv_mem_read_begin(town->mem, &read));
    while (at >= to) {
        struct span head;

        assert_ok(replica_head_get(&read, record.number, request->ancestry_req.epoch, at, &head));
        frame_rows_bin(&table->rows, frame_head(head).bytes);
        if (at == to || table->rows.count == steps)
            break;
        at = head_jump(at) >= to ? head_jump(at) : at - 1;
    }
    kv_mem_read_end(&read);
    frame.ancestry.heads = frame_rows_list(&table->rows);
    table->seat->heard_count = 0;
    table_say(table, &frame);
}

void table_assert_holds(struct table *table, const struct town *town, unsigned count,
                        unsigned missing)
{
    struct replica_origin record;
    struct kv read;

    assert_ok(kv_mem_read_begin(table->own.mem, &read));
    assert_ok(replica_origin_get(&read, &town->id, &record));
    kv_mem_read_end(&read);
    assert_int_equal(record.head.hno, table_record(town).head.hno);
    assert_int_equal(replica_complete_mask(&record, TABLE_MASK), TABLE_MASK);
    assert_int_equal(record.held[COLLECTION_COMPANIES].count, count);
    assert_int_equal(record.missing[COLLECTION_COMPANIES], missing);
}
