/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <stdio.h>

#include "protocol/frame.h"
#include "protocol/seal.h"
#include "tests/support/vectors.h"

/*
 * Every byte of a frame comes from outside. What breaks here breaks unseen: a
 * peer could stop a daemon, or two versions could read one message in two ways.
 */

struct rig {
    struct frame_rows rows;
    struct buffer head;
    struct buffer out;
    struct buffer charter;
    uint8_t zeros[FRAME_DIGEST_BYTES << 2];
};

static int setup(void **state)
{
    struct rig *rig = test_calloc(1, sizeof(*rig));
    uint8_t bytes[40] = {1, 2, 3};
    struct signature signature = {.bytes = {9}};

    assert_ok(seal_init());
    signed_pack(span_of(bytes, sizeof(bytes)), &signature, &rig->head);
    vector_read("charter-0-signed", &rig->charter);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    frame_rows_done(&rig->rows);
    buffer_done(&rig->head);
    buffer_done(&rig->out);
    buffer_done(&rig->charter);
    test_free(rig);
    return 0;
}

static struct origin_id origin_of(uint8_t byte)
{
    struct origin_id origin;

    memset(origin.bytes, byte, sizeof(origin.bytes));
    return origin;
}

static struct frame_list two_entries(struct rig *rig)
{
    static const uint8_t header[80] = {0x98};
    static const uint8_t payload[300] = {0x93};

    frame_rows_clear(&rig->rows);
    frame_rows_entry(&rig->rows, &(struct frame_entry){
                                     .header = span_of(header, sizeof(header)),
                                     .has_payload = true,
                                     .payload = span_of(payload, sizeof(payload)),
                                 });
    frame_rows_entry(&rig->rows, &(struct frame_entry){.header = span_of(header, 60)});
    return frame_rows_list(&rig->rows);
}

static struct frame_list rows_of(struct rig *rig, uint8_t type)
{
    struct trie_prefix prefix = {.size = 3, .nibbles = {1, 15, 0}};
    uint8_t node[TRIE_INNER_BYTES] = {0};

    frame_rows_clear(&rig->rows);
    switch (type) {
    case FRAME_SUB:
        frame_rows_sub(&rig->rows, &(struct frame_sub_row){.kind = FRAME_SUB_ALL, .mask = 6});
        frame_rows_sub(&rig->rows, &(struct frame_sub_row){
                                       .kind = FRAME_SUB_SET,
                                       .set = span_of_str("north"),
                                       .mask = UINT32_MAX,
                                   });
        frame_rows_sub(&rig->rows, &(struct frame_sub_row){
                                       .kind = FRAME_SUB_ORIGIN,
                                       .origin = origin_of(7),
                                       .mask = 2,
                                   });
        break;
    case FRAME_HAVE:
        for (uint8_t i = 0; i < 3; i++)
            frame_rows_have(&rig->rows, &(struct frame_have_row){
                                            .origin = origin_of(i),
                                            .epoch = 1,
                                            .hno = i * 1000u,
                                            .seq = INTEGER_MAX,
                                            .head_hash = {i},
                                            .mask = 0x21fe,
                                            .charter_no = i,
                                            .state = FRAME_STATE_DISPUTED,
                                        });
        break;
    case FRAME_TREE:
        frame_rows_tree(&rig->rows, &(struct frame_tree_row){origin_of(3), true});
        frame_rows_tree(&rig->rows, &(struct frame_tree_row){origin_of(4), false});
        break;
    case FRAME_TRIE_REQ:
        frame_rows_prefix(&rig->rows, &(struct trie_prefix){0});
        frame_rows_prefix(&rig->rows, &prefix);
        break;
    case FRAME_TRIE:
        frame_rows_node(&rig->rows, &(struct frame_trie_node){
                                        .prefix = prefix,
                                        .bytes = span_of(node, sizeof(node)),
                                    });
        frame_rows_node(&rig->rows, &(struct frame_trie_node){
                                        .whole = true,
                                        .bytes = span_of(node, 2 * FRAME_TRIE_ENTRY_BYTES),
                                    });
        break;
    case FRAME_FETCH:
        frame_rows_key(&rig->rows, &(struct trie_entry){.key = {{1}}, .header_hash = {{2}}});
        break;
    case FRAME_DELTA:
    case FRAME_ANCESTRY:
        frame_rows_bin(&rig->rows, span_of(node, 80));
        frame_rows_bin(&rig->rows, span_of(node, 70));
        break;
    case FRAME_BEAT:
        frame_rows_packed(&rig->rows, buffer_span(&rig->head));
        break;
    case FRAME_CHARTER:
        frame_rows_packed(&rig->rows, buffer_span(&rig->charter));
        break;
    default:
        break;
    }
    return frame_rows_list(&rig->rows);
}

/* One message of each type with something in every field. */
static struct frame example(struct rig *rig, uint8_t type)
{
    struct frame frame = {.type = type};
    struct span head = buffer_span(&rig->head);

    switch ((enum frame_type)type) {
    case FRAME_HELLO:
        frame.hello = (struct frame_hello){
            .version_min = 1,
            .version_max = 3,
            .caps = 1,
            .has_origin = true,
            .origin = origin_of(5),
            .live_credit_bytes = 1 << 20,
            .sync_credit_bytes = 4 << 20,
            .now_ms = 1790000000000,
            .software = span_of_str("torgd 0.1.0"),
            .session = 12345678901234,
        };
        break;
    case FRAME_SUB:
        frame.sub.rows = rows_of(rig, type);
        break;
    case FRAME_SUMMARY:
        frame.summary.bits = 2;
        frame.summary.digests = span_of(rig->zeros, sizeof(rig->zeros));
        break;
    case FRAME_HAVE:
        frame.have.rows = rows_of(rig, type);
        break;
    case FRAME_CHARTER_REQ:
        frame.charter_req.origin = origin_of(1);
        frame.charter_req.from = 4;
        break;
    case FRAME_CHARTER:
        frame.charter.origin = origin_of(1);
        frame.charter.charters = rows_of(rig, type);
        break;
    case FRAME_HEAD:
        frame.head.head = head;
        break;
    case FRAME_BATCH:
        frame.batch.head = head;
        frame.batch.entries = two_entries(rig);
        break;
    case FRAME_BEAT:
        frame.beat.beats = rows_of(rig, type);
        break;
    case FRAME_TREE:
        frame.tree.rows = rows_of(rig, type);
        break;
    case FRAME_PULL:
        frame.pull.sid = 7;
        frame.pull.origin = origin_of(1);
        frame.pull.mask = 0x21fe;
        frame.pull.since_seq = 99;
        frame.pull.epoch = 1;
        frame.pull.hno = 3;
        frame.pull.head_hash = (struct hash){{4}};
        break;
    case FRAME_DELTA:
        frame.delta.sid = 7;
        frame.delta.head = head;
        frame.delta.headers = rows_of(rig, type);
        break;
    case FRAME_TRIE_REQ:
        frame.trie_req.sid = 8;
        frame.trie_req.origin = origin_of(1);
        frame.trie_req.collection = 31;
        frame.trie_req.root = (struct hash){{1}};
        frame.trie_req.whole = 512;
        frame.trie_req.prefixes = rows_of(rig, type);
        break;
    case FRAME_TRIE:
        frame.trie.sid = 8;
        frame.trie.head = head;
        frame.trie.nodes = rows_of(rig, type);
        break;
    case FRAME_FETCH:
        frame.fetch.sid = 9;
        frame.fetch.origin = origin_of(1);
        frame.fetch.collection = 1;
        frame.fetch.keys = rows_of(rig, type);
        break;
    case FRAME_ENTRIES:
        frame.entries.sid = 9;
        frame.entries.more = true;
        frame.entries.entries = two_entries(rig);
        break;
    case FRAME_ANCESTRY_REQ:
        frame.ancestry_req.sid = 1;
        frame.ancestry_req.origin = origin_of(1);
        frame.ancestry_req.epoch = 1;
        frame.ancestry_req.from_hno = 900;
        frame.ancestry_req.to_hno = 2;
        break;
    case FRAME_ANCESTRY:
        frame.ancestry.sid = 1;
        frame.ancestry.heads = rows_of(rig, type);
        break;
    case FRAME_PROOF:
        frame.proof.origin = origin_of(1);
        frame.proof.evidence = span_of(rig->zeros, sizeof(rig->zeros));
        break;
    case FRAME_CREDIT:
        frame.credit.class = FRAME_CLASS_SYNC;
        frame.credit.bytes = 500000;
        break;
    case FRAME_PING:
    case FRAME_PONG:
        frame.ping.nonce = 5;
        frame.ping.now_ms = -1;
        frame.ping.queued_bytes = 100;
        break;
    case FRAME_GOAWAY:
        frame.goaway.code = FRAME_CODE_SHUTDOWN;
        frame.goaway.text = span_of_str("see you");
        frame.goaway.retry_after_s = 60;
        break;
    case FRAME_ERROR:
        frame.error.sid = 3;
        frame.error.code = FRAME_CODE_NOT_HELD;
        frame.error.detail = span_of_str("below the floor");
        break;
    }
    return frame;
}

static struct span body_of(const struct buffer *out)
{
    return span_of(out->data + FRAME_PREFIX_BYTES, out->size - FRAME_PREFIX_BYTES);
}

/* Packed by hand from the document, by tests/vectors/frames.py: another reader, the same bytes. */
static void test_the_bytes_are_the_documents(void **state)
{
    struct rig *rig = *state;

    for (uint8_t type = FRAME_HELLO; type <= FRAME_ERROR; type++) {
        struct frame frame = example(rig, type);
        char name[32];

        snprintf(name, sizeof(name), "frame-%s", frame_type_name(type));
        buffer_clear(&rig->out);
        assert_ok(frame_encode(&frame, &rig->out));
        assert_vector(buffer_span(&rig->out), name);
    }
}

/* If a field were read in another order than written, only this would tell. */
static void test_every_type_survives_the_wire(void **state)
{
    struct rig *rig = *state;

    for (uint8_t type = FRAME_HELLO; type <= FRAME_ERROR; type++) {
        struct frame frame = example(rig, type);
        struct frame_prefix prefix;
        struct frame decoded;
        struct buffer again = {0};

        buffer_clear(&rig->out);
        assert_ok(frame_encode(&frame, &rig->out));
        assert_ok(frame_prefix_read(buffer_span(&rig->out), &prefix));
        assert_int_equal(prefix.type, type);
        assert_int_equal(prefix.flags, 0);
        assert_int_equal(prefix.body_size + FRAME_PREFIX_BYTES, rig->out.size);
        if (frame_decode(type, body_of(&rig->out), &decoded))
            fail_msg("%s does not decode", frame_type_name(type));
        assert_ok(frame_encode(&decoded, &again));
        if (!span_equal(buffer_span(&again), buffer_span(&rig->out)))
            fail_msg("%s: decoded and encoded again it differs", frame_type_name(type));
        buffer_done(&again);
    }
}

static void test_fields_arrive_where_they_belong(void **state)
{
    struct rig *rig = *state;
    struct frame frame = example(rig, FRAME_HAVE);
    struct frame decoded;
    struct profile_reader in;
    struct frame_have_row row;

    buffer_clear(&rig->out);
    assert_ok(frame_encode(&frame, &rig->out));
    assert_ok(frame_decode(FRAME_HAVE, body_of(&rig->out), &decoded));
    assert_int_equal(decoded.have.rows.count, 3);
    in = frame_list_reader(&decoded.have.rows);
    frame_read_have(&in);
    row = frame_read_have(&in);
    assert_int_equal(row.origin.bytes[31], 1);
    assert_int_equal(row.epoch, 1);
    assert_int_equal(row.hno, 1000);
    assert_true(row.seq == INTEGER_MAX);
    assert_int_equal(row.mask, 0x21fe);
    assert_int_equal(row.charter_no, 1);
    assert_int_equal(row.state, FRAME_STATE_DISPUTED);
    frame_read_have(&in);
    assert_ok(profile_end(&in));
}

/* A frame cut anywhere must be refused, never half believed. */
static void test_a_cut_frame_is_refused(void **state)
{
    struct rig *rig = *state;

    for (uint8_t type = FRAME_HELLO; type <= FRAME_ERROR; type++) {
        struct frame frame = example(rig, type);
        struct frame decoded;
        struct span body;

        buffer_clear(&rig->out);
        assert_ok(frame_encode(&frame, &rig->out));
        body = body_of(&rig->out);
        for (size_t size = 0; size < body.size; size++) {
            enum torg_err err = frame_decode(type, span_of(body.data, size), &decoded);

            if (!err || err == TORG_E_UNEXPECTED)
                fail_msg("%s cut to %zu bytes: %s", frame_type_name(type), size,
                         torg_err_text(err));
        }
    }
}

/* Any single byte changed: decoded or refused, with the same answer twice, and no crash. */
static void test_a_damaged_frame_harms_nobody(void **state)
{
    struct rig *rig = *state;
    uint64_t random = 0xf4a3e;

    for (unsigned round = 0; round < 20000; round++) {
        uint8_t type = (uint8_t)(1 + test_random_below(&random, FRAME_ERROR));
        struct frame frame = example(rig, type);
        struct frame decoded;
        enum torg_err err;
        size_t at;

        buffer_clear(&rig->out);
        assert_ok(frame_encode(&frame, &rig->out));
        at = FRAME_PREFIX_BYTES + test_random_below(&random, rig->out.size - FRAME_PREFIX_BYTES);
        rig->out.data[at] = (uint8_t)test_random(&random);
        err = frame_decode(type, body_of(&rig->out), &decoded);
        assert_int_equal(err, frame_decode(type, body_of(&rig->out), &decoded));
        /* To the session that would mean: wait for the rest, with this frame still unread. */
        assert_int_not_equal(err, TORG_E_TRUNCATED);
    }
}

/* A later minor version adds fields; refusing them would split the federation. */
static void test_later_fields_are_passed_over(void **state)
{
    struct rig *rig = *state;
    struct buffer body = {0};
    struct frame decoded;

    (void)rig;
    pack_array(&body, 4);
    pack_uint(&body, 5);
    pack_int(&body, 17);
    pack_uint(&body, 0);
    pack_map(&body, 1);
    pack_str(&body, span_of_str("later"));
    pack_array(&body, 0);
    assert_ok(frame_decode(FRAME_PING, buffer_span(&body), &decoded));
    assert_int_equal(decoded.ping.nonce, 5);
    buffer_done(&body);
}

static void test_later_types_are_told_from_garbage(void **state)
{
    static const uint8_t array[] = {0x91, 0x01};
    static const uint8_t not_shortest[] = {0x91, 0xcc, 0x01};
    static const uint8_t not_array[] = {0x01};
    struct frame decoded;

    (void)state;
    assert_err(frame_decode(0x19, span_of(array, sizeof(array)), &decoded), TORG_E_UNEXPECTED);
    assert_err(frame_decode(0xff, span_of(array, sizeof(array)), &decoded), TORG_E_UNEXPECTED);
    assert_err(frame_decode(0x00, span_of(array, sizeof(array)), &decoded), TORG_E_UNEXPECTED);
    assert_err(frame_decode(0x19, span_of(not_shortest, sizeof(not_shortest)), &decoded),
               TORG_E_PROFILE);
    assert_err(frame_decode(0x19, span_of(not_array, sizeof(not_array)), &decoded), TORG_E_INVALID);
    assert_string_equal(frame_type_name(0x19), "unknown");
}

/* Five bytes must not make anybody reserve memory or wait for 4 GB. */
static void test_lengths_are_judged_at_once(void **state)
{
    static const uint8_t longest[] = {0x00, 0x04, 0x00, 0x00, 0x08, 0x00};
    static const uint8_t too_long[] = {0x00, 0x04, 0x00, 0x01};
    static const uint8_t too_short[] = {0x00, 0x00, 0x00, 0x02};
    struct frame_prefix prefix;

    (void)state;
    assert_ok(frame_prefix_read(span_of(longest, sizeof(longest)), &prefix));
    assert_int_equal(prefix.body_size, FRAME_BYTES_MAX - 2);
    assert_err(frame_prefix_read(span_of(longest, 5), &prefix), TORG_E_TRUNCATED);
    assert_err(frame_prefix_read(span_of(longest, 3), &prefix), TORG_E_TRUNCATED);
    assert_err(frame_prefix_read(span_of(too_long, sizeof(too_long)), &prefix), TORG_E_TOO_BIG);
    assert_err(frame_prefix_read(span_of(too_short, sizeof(too_short)), &prefix), TORG_E_INVALID);
}

static void test_what_does_not_fit_leaves_nothing_behind(void **state)
{
    struct rig *rig = *state;
    static uint8_t payload[PAYLOAD_BYTES_MAX];
    struct frame frame = {.type = FRAME_BATCH};

    frame_rows_clear(&rig->rows);
    for (unsigned i = 0; i < 5; i++)
        frame_rows_entry(&rig->rows, &(struct frame_entry){
                                         .header = span_of(payload, 80),
                                         .has_payload = true,
                                         .payload = span_of(payload, sizeof(payload)),
                                     });
    assert_false(frame_rows_fit(&rig->rows, 0));
    frame.batch.head = buffer_span(&rig->head);
    frame.batch.entries = frame_rows_list(&rig->rows);
    buffer_clear(&rig->out);
    buffer_put_u8(&rig->out, 1);
    assert_err(frame_encode(&frame, &rig->out), TORG_E_TOO_BIG);
    assert_int_equal(rig->out.size, 1);
}

/* Values that are well formed and still break a rule of their field. */
static void test_fields_keep_their_rules(void **state)
{
    struct rig *rig = *state;
    struct frame frame, decoded;
    static const struct frame_trie_node odd = {.whole = true, .bytes = {(const uint8_t *)"x", 1}};

    frame = example(rig, FRAME_SUMMARY);
    frame.summary.digests.size -= FRAME_DIGEST_BYTES;
    buffer_clear(&rig->out);
    assert_ok(frame_encode(&frame, &rig->out));
    assert_err(frame_decode(FRAME_SUMMARY, body_of(&rig->out), &decoded), TORG_E_INVALID);

    frame = example(rig, FRAME_TRIE_REQ);
    frame.trie_req.collection = 0;
    buffer_clear(&rig->out);
    assert_ok(frame_encode(&frame, &rig->out));
    assert_err(frame_decode(FRAME_TRIE_REQ, body_of(&rig->out), &decoded), TORG_E_INVALID);

    frame = example(rig, FRAME_TRIE_REQ);
    frame.trie_req.whole = FRAME_WHOLE_MAX + 1;
    buffer_clear(&rig->out);
    assert_ok(frame_encode(&frame, &rig->out));
    assert_err(frame_decode(FRAME_TRIE_REQ, body_of(&rig->out), &decoded), TORG_E_INVALID);

    frame = example(rig, FRAME_TRIE);
    frame_rows_clear(&rig->rows);
    frame_rows_node(&rig->rows, &odd);
    frame.trie.nodes = frame_rows_list(&rig->rows);
    buffer_clear(&rig->out);
    assert_ok(frame_encode(&frame, &rig->out));
    assert_err(frame_decode(FRAME_TRIE, body_of(&rig->out), &decoded), TORG_E_INVALID);

    frame = example(rig, FRAME_CREDIT);
    frame.credit.class = FRAME_CLASS_REQUEST;
    buffer_clear(&rig->out);
    assert_ok(frame_encode(&frame, &rig->out));
    assert_err(frame_decode(FRAME_CREDIT, body_of(&rig->out), &decoded), TORG_E_INVALID);

    frame = example(rig, FRAME_TRIE_REQ);
    frame_rows_clear(&rig->rows);
    for (unsigned i = 0; i <= TRIE_PREFIXES_MAX; i++)
        frame_rows_prefix(&rig->rows, &(struct trie_prefix){0});
    frame.trie_req.prefixes = frame_rows_list(&rig->rows);
    buffer_clear(&rig->out);
    assert_ok(frame_encode(&frame, &rig->out));
    assert_err(frame_decode(FRAME_TRIE_REQ, body_of(&rig->out), &decoded), TORG_E_TOO_BIG);
}

/* As many rows as the type allows, and one more. */
static void test_rows_are_counted(void **state)
{
    struct rig *rig = *state;
    const struct {
        uint8_t type;
        uint32_t max;
    } cases[] = {{FRAME_SUB, FRAME_SUB_ROWS_MAX},
                 {FRAME_DELTA, DELTA_HEADERS_MAX},
                 {FRAME_FETCH, FETCH_ENTRIES_MAX},
                 {FRAME_ENTRIES, FETCH_ENTRIES_MAX},
                 {FRAME_ANCESTRY, ANCESTRY_HEADS_MAX}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct frame frame = example(rig, cases[i].type), decoded;
        struct frame_list *list = cases[i].type == FRAME_SUB       ? &frame.sub.rows
                                  : cases[i].type == FRAME_DELTA   ? &frame.delta.headers
                                  : cases[i].type == FRAME_FETCH   ? &frame.fetch.keys
                                  : cases[i].type == FRAME_ENTRIES ? &frame.entries.entries
                                                                   : &frame.ancestry.heads;

        frame_rows_clear(&rig->rows);
        for (uint32_t row = 0; row <= cases[i].max; row++) {
            if (cases[i].type == FRAME_SUB)
                frame_rows_sub(&rig->rows, &(struct frame_sub_row){.kind = FRAME_SUB_ALL});
            else if (cases[i].type == FRAME_FETCH)
                frame_rows_key(&rig->rows, &(struct trie_entry){.key = {{1}}});
            else if (cases[i].type == FRAME_ENTRIES)
                frame_rows_entry(&rig->rows, &(struct frame_entry){.header = span_of("h", 1)});
            else
                frame_rows_bin(&rig->rows, span_of("h", 1));
            if (row + 2 < cases[i].max)
                continue;
            *list = frame_rows_list(&rig->rows);
            buffer_clear(&rig->out);
            assert_ok(frame_encode(&frame, &rig->out));
            assert_err(frame_decode(cases[i].type, body_of(&rig->out), &decoded),
                       row < cases[i].max ? TORG_OK : TORG_E_TOO_BIG);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_bytes_are_the_documents),
        cmocka_unit_test(test_every_type_survives_the_wire),
        cmocka_unit_test(test_fields_arrive_where_they_belong),
        cmocka_unit_test(test_a_cut_frame_is_refused),
        cmocka_unit_test(test_a_damaged_frame_harms_nobody),
        cmocka_unit_test(test_later_fields_are_passed_over),
        cmocka_unit_test(test_later_types_are_told_from_garbage),
        cmocka_unit_test(test_lengths_are_judged_at_once),
        cmocka_unit_test(test_what_does_not_fit_leaves_nothing_behind),
        cmocka_unit_test(test_fields_keep_their_rules),
        cmocka_unit_test(test_rows_are_counted),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
