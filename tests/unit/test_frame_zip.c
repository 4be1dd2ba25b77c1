/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <string.h>

#include "protocol/session.h"
#include "tests/support/vectors.h"

/*
 * Packed frames: what comes out is what went in, what was not agreed on or is
 * not what it says closes the connection, and no few bytes cost much.
 */
#define NOW 1000

struct rig {
    struct frame_zip *zip;
    struct frame_rows rows;
    struct buffer plain, out;
};

static int setup(void **state)
{
    struct rig *rig = test_calloc(1, sizeof(*rig));

    assert_ok(frame_zip_new(&rig->zip));
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    frame_zip_free(rig->zip);
    frame_rows_done(&rig->rows);
    buffer_done(&rig->plain);
    buffer_done(&rig->out);
    test_free(rig);
    return 0;
}

/* An ENTRIES frame of count payloads; noise: nothing in them repeats. */
static void entries_make(struct rig *rig, unsigned count, bool noise)
{
    static const char text[] = "{\"name\":\"Fiskekort Hornavan\",\"themes\":[\"nature/fishing\"]}";
    struct frame frame = {.type = FRAME_ENTRIES};
    uint64_t random = 1;

    frame_rows_clear(&rig->rows);
    for (unsigned i = 0; i < count; i++) {
        uint8_t header[80] = {(uint8_t)i}, payload[sizeof(text) + 200];

        memcpy(payload, text, sizeof(text));
        for (size_t j = noise ? 0 : sizeof(text); j < sizeof(payload); j++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            payload[j] = noise ? (uint8_t)(random >> 56) : (uint8_t)('a' + i % 20);
        }
        for (size_t j = 0; noise && j < sizeof(header); j++)
            header[j] = payload[j] ^ payload[j + 100];
        frame_rows_entry(&rig->rows, &(struct frame_entry){
                                         .header = span_of(header, sizeof(header)),
                                         .has_payload = true,
                                         .payload = span_of(payload, sizeof(payload)),
                                     });
    }
    frame.entries.sid = 9;
    frame.entries.entries = frame_rows_list(&rig->rows);
    buffer_clear(&rig->plain);
    assert_ok(frame_encode(&frame, &rig->plain));
}

static struct span body_of(struct span frame)
{
    return span_of(frame.data + FRAME_PREFIX_BYTES, frame.size - FRAME_PREFIX_BYTES);
}

static void test_round_trip(void **state)
{
    struct rig *rig = *state;
    struct frame_prefix prefix;
    struct span zipped;
    size_t size;

    for (unsigned count = 2; count < 700; count = count * 3 + 1) {
        entries_make(rig, count, false);
        assert_ok(frame_zip_pack(rig->zip, buffer_span(&rig->plain), &zipped));
        assert_true(zipped.size < rig->plain.size / 2);
        assert_ok(frame_prefix_read(zipped, &prefix));
        assert_int_equal(prefix.type, FRAME_ENTRIES);
        assert_int_equal(prefix.flags, FRAME_FLAG_ZSTD);
        assert_int_equal(prefix.body_size + FRAME_PREFIX_BYTES, zipped.size);
        assert_ok(frame_zip_size(body_of(zipped), &size));
        assert_int_equal(size + FRAME_PREFIX_BYTES, rig->plain.size);
        assert_ok(frame_zip_unpack(rig->zip, body_of(zipped), &rig->out));
        assert_true(span_equal(buffer_span(&rig->out), body_of(buffer_span(&rig->plain))));
        /* Cut anywhere, or with more behind it, it is nothing. */
        for (size_t cut = 0; cut < zipped.size - FRAME_PREFIX_BYTES; cut += 1 + cut / 8) {
            struct span piece = span_of(zipped.data + FRAME_PREFIX_BYTES, cut);

            assert_err(frame_zip_unpack(rig->zip, piece, &rig->out), TORG_E_INVALID);
        }
    }
}

/* Hashes and small frames would only cost time. */
static void test_what_does_not_pay_stays(void **state)
{
    struct rig *rig = *state;
    struct span zipped;

    entries_make(rig, 50, true);
    assert_err(frame_zip_pack(rig->zip, buffer_span(&rig->plain), &zipped), TORG_E_TOO_BIG);
    entries_make(rig, 1, false);
    assert_true(rig->plain.size < FRAME_ZIP_BYTES_MIN);
    assert_err(frame_zip_pack(rig->zip, buffer_span(&rig->plain), &zipped), TORG_E_TOO_BIG);
}

/* The vector is a zstd frame made by hand: other versions of the library pack otherwise. */
static void test_vector(void **state)
{
    struct rig *rig = *state;
    struct buffer vector = {0}, plain = {0};

    vector_read("frame-batch-zstd", &vector);
    vector_read("frame-batch", &plain);
    assert_int_equal(vector.data[FRAME_LENGTH_BYTES + 1], FRAME_FLAG_ZSTD);
    assert_ok(frame_zip_unpack(rig->zip, body_of(buffer_span(&vector)), &rig->out));
    assert_true(span_equal(buffer_span(&rig->out), body_of(buffer_span(&plain))));
    buffer_done(&vector);
    buffer_done(&plain);
}

/* magic, descriptor, window or size ..., then blocks (RFC 8878). */
static const struct {
    const char *what;
    uint8_t bytes[24];
    size_t size;
    enum torg_err size_err, err;
} strange[] = {
    {"one byte, a thousand times",
     {0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0xe8, 3, 0, 0, 0x43, 0x1f, 0, 0x90},
     13,
     TORG_OK,
     TORG_OK},
    {"no content size",
     {0x28, 0xb5, 0x2f, 0xfd, 0, 0x50, 0x0b, 0, 0, 0x90},
     10,
     TORG_E_INVALID,
     TORG_E_INVALID},
    {"a content of 1 MiB and one byte",
     {0x28, 0xb5, 0x2f, 0xfd, 0xa0, 1, 0, 16, 0, 0x43, 0x1f, 0, 0x90},
     13,
     TORG_E_TOO_BIG,
     TORG_E_TOO_BIG},
    {"a window of 2 MiB",
     {0x28, 0xb5, 0x2f, 0xfd, 0x80, 0x58, 0xe8, 3, 0, 0, 0x43, 0x1f, 0, 0x90},
     14,
     TORG_E_TOO_BIG,
     TORG_E_TOO_BIG},
    {"less than it says",
     {0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0xe9, 3, 0, 0, 0x43, 0x1f, 0, 0x90},
     13,
     TORG_OK,
     TORG_E_INVALID},
    {"more than it says",
     {0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0xe7, 3, 0, 0, 0x43, 0x1f, 0, 0x90},
     13,
     TORG_OK,
     TORG_E_INVALID},
    {"a dictionary",
     {0x28, 0xb5, 0x2f, 0xfd, 0xa1, 7, 0xe8, 3, 0, 0, 0x43, 0x1f, 0, 0x90},
     14,
     TORG_E_INVALID,
     TORG_E_INVALID},
    {"a frame to be skipped",
     {0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4},
     12,
     TORG_E_INVALID,
     TORG_E_INVALID},
    {"something behind it",
     {0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0xe8, 3, 0, 0, 0x43, 0x1f,
      0,    0x90, 0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0},
     21,
     TORG_OK,
     TORG_E_INVALID},
};

static void test_strange_ones(void **state)
{
    struct rig *rig = *state;

    for (size_t i = 0; i < ARRAY_SIZE(strange); i++) {
        struct span body = span_of(strange[i].bytes, strange[i].size);
        size_t size;

        if (frame_zip_size(body, &size) != strange[i].size_err ||
            frame_zip_unpack(rig->zip, body, &rig->out) != strange[i].err)
            fail_msg("%s: %s, %s", strange[i].what, torg_err_text(frame_zip_size(body, &size)),
                     torg_err_text(frame_zip_unpack(rig->zip, body, &rig->out)));
    }
}

/* ---- on a connection ---- */

struct pair {
    struct session a, b;
    struct buffer body; /* of the frame that came last */
};

static void pass(struct pair *pair, struct session *from, struct session *to, unsigned *ret_frames)
{
    struct frame frame;
    struct buffer bytes;

    session_take_output(from, &bytes);
    session_drained(from, 0);
    session_input(to, buffer_span(&bytes), NOW);
    while (to->state != SESSION_CLOSED) {
        enum torg_err err = session_next(to, NOW, 0, &frame);

        if (err == TORG_E_TRUNCATED || to->state == SESSION_CLOSED)
            break;
        assert_ok(err);
        ++*ret_frames;
        buffer_clear(&pair->body);
        buffer_put_span(&pair->body, to->frame_body);
        session_release(to, to->frame_class, to->frame_bytes);
    }
    buffer_done(&bytes);
}

static void pair_init(struct pair *pair, struct frame_zip *a, struct frame_zip *b)
{
    struct session_config config = {
        .version_min = 1,
        .version_max = 1,
        .live_credit_bytes = 600000,
        .sync_credit_bytes = 700000,
        .output_queue_bytes = 2000000,
        .software = span_of_str("test 1"),
    };
    unsigned frames = 0;

    *pair = (struct pair){0};
    config.zip = a;
    assert_ok(session_init(&pair->a, &config, NOW, 0));
    config.zip = b;
    assert_ok(session_init(&pair->b, &config, NOW, 0));
    for (unsigned i = 0; i < 4; i++) {
        pass(pair, &pair->a, &pair->b, &frames);
        pass(pair, &pair->b, &pair->a, &frames);
    }
    assert_int_equal(frames, 0);
}

static void pair_done(struct pair *pair)
{
    session_done(&pair->a);
    session_done(&pair->b);
    buffer_done(&pair->body);
}

static void send_entries(struct session *session, const struct rig *rig)
{
    struct frame frame = {.type = FRAME_ENTRIES};

    frame.entries.sid = 9;
    frame.entries.entries = frame_rows_list(&rig->rows);
    assert_ok(session_send(session, &frame, NOW));
}

/* Both must want it; and credit counts what a frame is, not how it travels. */
static void test_only_when_both_want_it(void **state)
{
    struct rig *rig = *state;
    uint64_t wire[3];

    for (unsigned i = 0; i < 3; i++) {
        struct pair pair;
        unsigned frames = 0;
        uint64_t before;

        pair_init(&pair, i > 0 ? rig->zip : NULL, i > 1 ? rig->zip : NULL);
        assert_int_equal(pair.a.zips, i == 2);
        assert_int_equal(pair.b.zips, i == 2);
        entries_make(rig, 100, false);
        before = pair.a.bytes_out;
        send_entries(&pair.a, rig);
        wire[i] = pair.a.bytes_out - before;
        assert_int_equal(700000 - pair.a.credit_out[FRAME_CLASS_SYNC], rig->plain.size);
        pass(&pair, &pair.a, &pair.b, &frames);
        assert_int_equal(frames, 1);
        assert_int_equal(700000 - pair.b.credit_in[FRAME_CLASS_SYNC], rig->plain.size);
        assert_true(span_equal(buffer_span(&pair.body), body_of(buffer_span(&rig->plain))));
        assert_int_equal(pair.a.saved_out, rig->plain.size - wire[i]);
        assert_int_equal(pair.b.saved_in, pair.a.saved_out);
        pair_done(&pair);
    }
    assert_int_equal(wire[0], rig->plain.size);
    assert_int_equal(wire[1], rig->plain.size);
    assert_true(wire[2] < rig->plain.size / 2);
}

/* bytes of one frame arrive; what comes of it? */
static enum frame_code fate(struct session *to, uint8_t type, uint8_t flags, const uint8_t *body,
                            size_t size)
{
    struct buffer bytes = {0};
    struct frame frame;

    buffer_put_u32be(&bytes, (uint32_t)size + 2);
    buffer_put_u8(&bytes, type);
    buffer_put_u8(&bytes, flags);
    buffer_put(&bytes, body, size);
    session_input(to, buffer_span(&bytes), NOW);
    while (to->state != SESSION_CLOSED && session_next(to, NOW, 0, &frame) != TORG_E_TRUNCATED)
        continue;
    buffer_done(&bytes);
    return to->state == SESSION_CLOSED ? to->close_code : FRAME_CODE_NONE;
}

/* A connection that is open, for one frame. */
static enum frame_code fate_of(struct rig *rig, bool agreed, uint8_t type, uint8_t flags,
                               const uint8_t *body, size_t size)
{
    struct pair pair;
    enum frame_code code;

    pair_init(&pair, rig->zip, agreed ? rig->zip : NULL);
    code = fate(&pair.b, type, flags, body, size);
    pair_done(&pair);
    return code;
}

static void test_bombs_and_lies_close(void **state)
{
    /* 1 MiB of zeros in eight blocks: an array that is none. */
    uint8_t bomb[9 + 8 * 4] = {0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 16, 0};
    struct rig *rig = *state;
    struct buffer vector = {0};
    struct span good;

    for (unsigned i = 0; i < 8; i++)
        memcpy(bomb + 9 + 4 * i, (uint8_t[]){(uint8_t)(2 | (i == 7)), 0, 16, 0}, 4);
    vector_read("frame-batch-zstd", &vector);
    good = body_of(buffer_span(&vector));
    assert_int_equal(fate_of(rig, true, FRAME_BATCH, 1, good.data, good.size), FRAME_CODE_NONE);
    assert_int_equal(fate_of(rig, false, FRAME_BATCH, 1, good.data, good.size),
                     FRAME_CODE_BAD_FRAME);
    assert_int_equal(fate_of(rig, true, FRAME_BATCH, 2, good.data, good.size),
                     FRAME_CODE_BAD_FRAME);
    assert_int_equal(fate_of(rig, true, FRAME_BATCH, 3, good.data, good.size),
                     FRAME_CODE_BAD_FRAME);
    assert_int_equal(fate_of(rig, true, FRAME_HELLO, 1, good.data, good.size),
                     FRAME_CODE_BAD_FRAME);
    assert_int_equal(fate_of(rig, true, FRAME_CHARTER, 1, good.data, good.size),
                     FRAME_CODE_BAD_FRAME);
    assert_int_equal(fate_of(rig, true, FRAME_BATCH, 1, good.data, good.size - 1),
                     FRAME_CODE_BAD_FRAME);
    /* More than the credit that is left, before a byte of it is made. */
    assert_ok(frame_zip_unpack(rig->zip, span_of(bomb, sizeof(bomb)), &rig->out));
    assert_int_equal(rig->out.size, FRAME_ZIP_PLAIN_BYTES_MAX);
    assert_int_equal(fate_of(rig, true, FRAME_ENTRIES, 1, bomb, sizeof(bomb)),
                     FRAME_CODE_CREDIT_VIOLATION);
    /* Where there is no credit, the rate counts. */
    for (unsigned i = 0; i < ARRAY_SIZE(strange); i++) {
        if (strange[i].err)
            assert_int_equal(fate_of(rig, true, FRAME_TREE, 1, strange[i].bytes, strange[i].size),
                             FRAME_CODE_BAD_FRAME);
    }
    buffer_done(&vector);
}

/* Where there is no credit, the rate counts what it unpacks to: here 64 KiB, five control frames.
 */
static void test_the_rate_counts_what_comes_out(void **state)
{
    struct rig *rig = *state;
    struct frame frame = {.type = FRAME_SUB};
    struct frame_sub_row row = {.kind = FRAME_SUB_ORIGIN, .mask = 2};
    enum frame_code code = FRAME_CODE_NONE;
    struct span zipped;
    struct pair pair;
    unsigned sent;

    frame_rows_clear(&rig->rows);
    for (unsigned i = 0; i < 1900; i++)
        frame_rows_sub(&rig->rows, &row);
    frame.sub.rows = frame_rows_list(&rig->rows);
    buffer_clear(&rig->plain);
    assert_ok(frame_encode(&frame, &rig->plain));
    assert_true(rig->plain.size > 4 * FRAME_ZIP_CHARGE_BYTES);
    assert_ok(frame_zip_pack(rig->zip, buffer_span(&rig->plain), &zipped));
    assert_true(zipped.size < 200);
    pair_init(&pair, rig->zip, rig->zip);
    for (sent = 0; sent < 1000 && code == FRAME_CODE_NONE; sent++)
        code = fate(&pair.b, FRAME_SUB, 1, zipped.data + FRAME_PREFIX_BYTES,
                    zipped.size - FRAME_PREFIX_BYTES);
    assert_int_equal(code, FRAME_CODE_RATE);
    assert_in_range(sent, SESSION_CONTROL_BURST / 5 - 5, SESSION_CONTROL_BURST / 5 + 1);
    pair_done(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_does_not_pay_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_vector, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strange_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_when_both_want_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bombs_and_lies_close, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_rate_counts_what_comes_out, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
