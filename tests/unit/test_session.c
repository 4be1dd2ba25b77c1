/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include "protocol/session.h"

/*
 * A connection: if it believed a peer that breaks its rules, one peer could
 * take all memory or all time of a node, and no log would say which.
 */
#define NOW 1000
#define CLOCK INT64_C(1790000000000)
#define CREDIT_LIVE 600000
#define CREDIT_SYNC 700000

static struct session_config config_default(void)
{
    return (struct session_config){
        .version_min = 1,
        .version_max = 1,
        .live_credit_bytes = CREDIT_LIVE,
        .sync_credit_bytes = CREDIT_SYNC,
        .output_queue_bytes = 2000000,
        .software = span_of_str("test\x01 1"),
        .id = 7,
    };
}

struct pair {
    struct session a, b;
};

static void pair_init(struct pair *pair, const struct session_config *a,
                      const struct session_config *b)
{
    assert_ok(session_init(&pair->a, a, NOW, CLOCK));
    assert_ok(session_init(&pair->b, b, NOW, CLOCK + 5000));
}

static void pair_done(struct pair *pair)
{
    session_done(&pair->a);
    session_done(&pair->b);
}

/* Everything that from has to say, in pieces; frames for the caller are counted. */
static unsigned pass(struct session *from, struct session *to, size_t piece, int64_t now_ms)
{
    struct buffer bytes;
    unsigned frames = 0;

    session_take_output(from, &bytes);
    session_drained(from, 0);
    for (size_t at = 0; at < bytes.size; at += piece) {
        size_t size = bytes.size - at < piece ? bytes.size - at : piece;
        struct frame frame;

        session_input(to, span_of(bytes.data + at, size), now_ms);
        for (;;) {
            enum torg_err err = session_next(to, now_ms, CLOCK, &frame);

            if (to->state == SESSION_CLOSED || err == TORG_E_TRUNCATED)
                break;
            if (err == TORG_E_UNEXPECTED)
                continue;
            assert_ok(err);
            frames++;
            session_release(to, to->frame_class, to->frame_bytes);
        }
    }
    buffer_done(&bytes);
    return frames;
}

static void settle(struct pair *pair, int64_t now_ms)
{
    for (unsigned i = 0; i < 6; i++) {
        pass(&pair->a, &pair->b, 100000, now_ms);
        pass(&pair->b, &pair->a, 100000, now_ms);
    }
}

static void feed(struct session *session, const void *bytes, size_t size, int64_t now_ms)
{
    struct frame frame;

    session_input(session, span_of(bytes, size), now_ms);
    while (session->state != SESSION_CLOSED &&
           session_next(session, now_ms, CLOCK, &frame) != TORG_E_TRUNCATED) {
    }
}

static void test_greeting(void **state)
{
    struct session_config config = config_default();
    struct pair pair;

    (void)state;
    pair_init(&pair, &config, &config);
    settle(&pair, NOW);
    assert_int_equal(pair.a.state, SESSION_OPEN);
    assert_int_equal(pair.b.state, SESSION_OPEN);
    assert_int_equal(pair.a.version, 1);
    assert_int_equal(pair.a.credit_out[FRAME_CLASS_LIVE], CREDIT_LIVE);
    assert_int_equal(pair.a.credit_out[FRAME_CLASS_SYNC], CREDIT_SYNC);
    assert_int_equal(pair.a.peer_clock_offset_ms, 5000);
    assert_int_equal(pair.a.rtt_ms, 0);
    assert_string_equal(pair.a.peer_software, "test? 1"); /* for terminals */
    pair_done(&pair);
}

static void test_versions_that_do_not_meet_are_named(void **state)
{
    struct session_config old = config_default(), new = config_default();
    struct pair pair;

    (void)state;
    new.version_min = 2;
    new.version_max = 3;
    pair_init(&pair, &old, &new);
    pass(&pair.a, &pair.b, 1000, NOW);
    assert_int_equal(pair.b.state, SESSION_CLOSED);
    assert_int_equal(pair.b.close_code, FRAME_CODE_VERSION);
    assert_string_equal(pair.b.close_text, "versions 2..3 and 1..1");
    pair_done(&pair);

    old.version_max = 2;
    pair_init(&pair, &old, &new);
    settle(&pair, NOW);
    assert_int_equal(pair.a.version, 2);
    assert_int_equal(pair.b.version, 2);
    pair_done(&pair);
}

static void test_a_stream_may_be_cut_anywhere(void **state)
{
    struct session_config config = config_default();
    static uint8_t payload[60000];
    struct frame_rows rows = {0};
    struct frame frame = {.type = FRAME_ENTRIES};

    (void)state;
    frame_rows_entry(&rows, &(struct frame_entry){
                                .header = span_of(payload, 80),
                                .has_payload = true,
                                .payload = span_of(payload, sizeof(payload)),
                            });
    frame.entries.entries = frame_rows_list(&rows);
    for (size_t piece = 1; piece < 70000; piece = piece * 3 + 1) {
        struct pair pair;

        pair_init(&pair, &config, &config);
        settle(&pair, NOW);
        for (unsigned i = 0; i < 3; i++)
            assert_ok(session_send(&pair.a, &frame, NOW));
        assert_int_equal(pass(&pair.a, &pair.b, piece, NOW), 3);
        assert_int_equal(pair.b.partial.size, 0);
        pair_done(&pair);
    }
    frame_rows_done(&rows);
}

static void test_garbage_closes_with_a_reason(void **state)
{
    static const struct {
        uint8_t bytes[8];
        size_t size;
        enum frame_code code;
    } cases[] = {
        {{0xff, 0xff, 0xff, 0xff}, 4, FRAME_CODE_TOO_BIG},
        {{0x00, 0x04, 0x00, 0x01}, 4, FRAME_CODE_TOO_BIG},
        {{0x00, 0x00, 0x00, 0x02}, 4, FRAME_CODE_BAD_FRAME},
        {{0x00, 0x00, 0x00, 0x03, 0x15, 0x01, 0x90}, 7, FRAME_CODE_BAD_FRAME}, /* zstd */
        {{0x00, 0x00, 0x00, 0x03, 0x15, 0x00, 0x90}, 7, FRAME_CODE_BAD_FRAME}, /* too few */
        {{0x00, 0x00, 0x00, 0x03, 0x15, 0x00, 0xc1}, 7, FRAME_CODE_BAD_FRAME},
        {{0x00, 0x00, 0x00, 0x03, 0x63, 0x00, 0xc1}, 7, FRAME_CODE_BAD_FRAME},
        {{'G', 'E', 'T', ' ', '/', ' ', 'H', 'T'}, 8, FRAME_CODE_TOO_BIG},
    };
    struct session_config config = config_default();

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct pair pair;

        pair_init(&pair, &config, &config);
        settle(&pair, NOW);
        feed(&pair.a, cases[i].bytes, cases[i].size, NOW);
        assert_int_equal(pair.a.state, SESSION_CLOSED);
        assert_int_equal(pair.a.close_code, cases[i].code);
        assert_true(pair.a.partial.size <= FRAME_PREFIX_BYTES + 8);
        /* The other side hears why. */
        pass(&pair.a, &pair.b, 1000, NOW);
        assert_int_equal(pair.b.state, SESSION_CLOSED);
        assert_true(pair.b.closed_by_peer);
        assert_int_equal(pair.b.close_code, cases[i].code);
        assert_true(strlen(pair.b.close_text) > 0);
        pair_done(&pair);
    }
}

static void test_nothing_comes_before_hello(void **state)
{
    struct session_config config = config_default();
    struct frame frame = {.type = FRAME_PING};
    struct buffer bytes = {0};
    struct pair pair;

    (void)state;
    pair_init(&pair, &config, &config);
    assert_ok(frame_encode(&frame, &bytes));
    feed(&pair.a, bytes.data, bytes.size, NOW);
    assert_int_equal(pair.a.state, SESSION_CLOSED);
    assert_int_equal(pair.a.close_code, FRAME_CODE_BAD_FRAME);
    buffer_done(&bytes);
    pair_done(&pair);
}

static void test_hello_comes_once(void **state)
{
    struct session_config config = config_default();
    struct pair pair;
    struct session again;

    (void)state;
    pair_init(&pair, &config, &config);
    settle(&pair, NOW);
    assert_ok(session_init(&again, &config, NOW, CLOCK));
    pass(&again, &pair.a, 1000, NOW);
    assert_int_equal(pair.a.state, SESSION_CLOSED);
    session_done(&again);
    pair_done(&pair);
}

static void test_later_frames_are_passed_over(void **state)
{
    static const uint8_t later[] = {0, 0, 0, 4, 0x40, 0, 0x91, 0x05};
    struct session_config config = config_default();
    struct pair pair;

    (void)state;
    pair_init(&pair, &config, &config);
    settle(&pair, NOW);
    feed(&pair.a, later, sizeof(later), NOW);
    assert_int_equal(pair.a.state, SESSION_OPEN);
    pair_done(&pair);
}

/* A frame of n bytes in the sync class. */
static void entries_of(struct frame_rows *rows, struct frame *frame, size_t payload_size)
{
    static const uint8_t payload[PAYLOAD_BYTES_MAX];

    frame_rows_clear(rows);
    while (payload_size > 0) {
        size_t size = payload_size < sizeof(payload) ? payload_size : sizeof(payload);

        frame_rows_entry(rows, &(struct frame_entry){
                                   .header = span_of(payload, 80),
                                   .has_payload = true,
                                   .payload = span_of(payload, size),
                               });
        payload_size -= size;
    }
    *frame = (struct frame){.type = FRAME_ENTRIES};
    frame->entries.entries = frame_rows_list(rows);
}

/* Nobody is sent more than it has asked for; and what it takes is granted again. */
static void test_credit_is_spent_and_comes_back(void **state)
{
    struct session_config config = config_default();
    struct frame_rows rows = {0};
    struct frame frame;
    struct pair pair;
    unsigned sent = 0;

    (void)state;
    pair_init(&pair, &config, &config);
    settle(&pair, NOW);
    entries_of(&rows, &frame, 200000);
    while (session_send(&pair.a, &frame, NOW) == TORG_OK)
        sent++;
    assert_int_equal(sent, 3);
    assert_false(session_stalled(&pair.a, NOW + SESSION_STALLED_MS - 1));
    assert_true(session_stalled(&pair.a, NOW + SESSION_STALLED_MS));
    settle(&pair, NOW);
    assert_false(session_stalled(&pair.a, NOW + SESSION_STALLED_MS));
    for (unsigned i = 0; i < 50; i++) {
        assert_ok(session_send(&pair.a, &frame, NOW));
        settle(&pair, NOW);
    }
    assert_int_equal(pair.a.state, SESSION_OPEN);
    frame_rows_done(&rows);
    pair_done(&pair);
}

/* The same from the other side: who does not deal with what came is told that somebody waits. */
static void test_who_holds_back_knows_it(void **state)
{
    struct session_config config = config_default();
    struct buffer output = {0};
    struct frame_rows rows = {0};
    struct frame frame, got;
    struct pair pair;

    (void)state;
    pair_init(&pair, &config, &config);
    settle(&pair, NOW);
    entries_of(&rows, &frame, 200000);
    while (session_send(&pair.a, &frame, NOW) == TORG_OK)
        continue;
    assert_false(session_holds_back(&pair.b, NOW + SESSION_STALLED_MS));
    session_take_output(&pair.a, &output);
    session_input(&pair.b, buffer_span(&output), NOW);
    while (session_next(&pair.b, NOW, NOW, &got) != TORG_E_TRUNCATED)
        continue;
    session_tick(&pair.b, NOW + 1, NOW + 1);
    assert_in_range(session_next_tick_ms(&pair.b), NOW + 1, NOW + SESSION_STALLED_MS);
    assert_false(session_holds_back(&pair.b, NOW + SESSION_STALLED_MS - 1));
    assert_true(session_holds_back(&pair.b, NOW + SESSION_STALLED_MS));
    session_release(&pair.b, FRAME_CLASS_SYNC, output.size);
    assert_false(session_holds_back(&pair.b, NOW + SESSION_STALLED_MS));
    buffer_done(&output);
    frame_rows_done(&rows);
    pair_done(&pair);
}

static void test_more_than_the_credit_is_a_violation(void **state)
{
    struct session_config config = config_default();
    struct frame_rows rows = {0};
    struct frame frame;
    struct pair pair;

    (void)state;
    pair_init(&pair, &config, &config);
    settle(&pair, NOW);
    pair.a.credit_out[FRAME_CLASS_SYNC] = 10 * CREDIT_SYNC; /* it cheats */
    entries_of(&rows, &frame, 200000);
    for (unsigned i = 0; i < 4; i++)
        assert_ok(session_send(&pair.a, &frame, NOW));
    /* Not granted again meanwhile: the receiver is busy. */
    struct buffer bytes;
    session_take_output(&pair.a, &bytes);
    feed(&pair.b, bytes.data, bytes.size, NOW);
    assert_int_equal(pair.b.state, SESSION_CLOSED);
    assert_int_equal(pair.b.close_code, FRAME_CODE_CREDIT_VIOLATION);
    buffer_done(&bytes);
    frame_rows_done(&rows);
    pair_done(&pair);
}

/* The largest frame must fit whatever is left of the least credit that is given. */
static void test_the_largest_frame_always_finds_credit(void **state)
{
    struct session_config config = config_default();
    struct frame_rows rows = {0};
    struct frame frame;
    struct pair pair;

    (void)state;
    config.sync_credit_bytes = 2 * (FRAME_BYTES_MAX + 64);
    pair_init(&pair, &config, &config);
    settle(&pair, NOW);
    for (unsigned i = 0; i < 200; i++) {
        entries_of(&rows, &frame, i % 2 ? 255000 : 1 + i * 701);
        assert_ok(session_send(&pair.a, &frame, NOW));
        settle(&pair, NOW);
    }
    frame_rows_done(&rows);
    pair_done(&pair);
}

static void test_floods_are_cut_off(void **state)
{
    struct session_config config = config_default();
    struct frame frame = {.type = FRAME_PING};
    struct buffer bytes = {0};
    struct pair pair;

    (void)state;
    pair_init(&pair, &config, &config);
    settle(&pair, NOW);
    for (unsigned i = 0; i < SESSION_CONTROL_BURST + 2; i++)
        assert_ok(frame_encode(&frame, &bytes));
    feed(&pair.a, bytes.data, bytes.size, NOW);
    assert_int_equal(pair.a.state, SESSION_CLOSED);
    assert_int_equal(pair.a.close_code, FRAME_CODE_RATE);
    pair_done(&pair);

    /* The same in good time is no flood. */
    pair_init(&pair, &config, &config);
    settle(&pair, NOW);
    buffer_clear(&bytes);
    assert_ok(frame_encode(&frame, &bytes));
    for (unsigned i = 0; i < 4 * SESSION_CONTROL_BURST; i++) {
        feed(&pair.a, bytes.data, bytes.size, NOW + i * 20);
        session_drained(&pair.a, 0);
        buffer_clear(&pair.a.output);
    }
    assert_int_equal(pair.a.state, SESSION_OPEN);
    buffer_done(&bytes);
    pair_done(&pair);
}

static void test_who_does_not_read_is_hung_up_on(void **state)
{
    struct session_config config = config_default();
    static char detail[FRAME_TEXT_BYTES_MAX + 1];
    struct frame frame = {.type = FRAME_ERROR};
    struct pair pair;

    (void)state;
    memset(detail, 'x', FRAME_TEXT_BYTES_MAX);
    pair_init(&pair, &config, &config);
    settle(&pair, NOW);
    frame.error.detail = span_of_str(detail);
    for (unsigned i = 0; i < 100000 && pair.a.state == SESSION_OPEN; i++) {
        if (session_send(&pair.a, &frame, NOW))
            break;
    }
    assert_int_equal(pair.a.state, SESSION_CLOSED);
    assert_true(session_queued_bytes(&pair.a) <
                config.output_queue_bytes + SESSION_OUTPUT_SLACK_BYTES + 1000);
    pair_done(&pair);
}

static void test_signs_of_life(void **state)
{
    struct session_config config = config_default();
    struct pair pair;

    (void)state;
    pair_init(&pair, &config, &config);
    settle(&pair, NOW);
    pair.a.got_sub = pair.a.got_summary = true;
    pair.b.got_sub = pair.b.got_summary = true;
    for (int64_t now_ms = NOW; now_ms < NOW + 10 * SESSION_SILENT_MS_MAX;) {
        now_ms = session_next_tick_ms(&pair.a);
        session_tick(&pair.a, now_ms, CLOCK);
        session_tick(&pair.b, now_ms, CLOCK);
        pass(&pair.a, &pair.b, 1000, now_ms + 20);
        pass(&pair.b, &pair.a, 1000, now_ms + 40);
    }
    assert_int_equal(pair.a.state, SESSION_OPEN);
    assert_int_equal(pair.a.rtt_ms, 40);
    /* Now b is silent. */
    int64_t heard_ms = pair.a.heard_ms;
    while (pair.a.state == SESSION_OPEN)
        session_tick(&pair.a, session_next_tick_ms(&pair.a), CLOCK);
    assert_string_equal(pair.a.close_text, "silent");
    assert_int_equal(pair.a.heard_ms, heard_ms);
    pair_done(&pair);
}

static void test_who_does_not_greet_is_dropped(void **state)
{
    struct session_config config = config_default();
    struct pair pair;

    (void)state;
    pair_init(&pair, &config, &config);
    session_tick(&pair.a, NOW + SESSION_HELLO_MS_MAX - 1, CLOCK);
    assert_int_equal(pair.a.state, SESSION_GREETING);
    session_tick(&pair.a, session_next_tick_ms(&pair.a), CLOCK);
    assert_int_equal(pair.a.state, SESSION_CLOSED);
    assert_string_equal(pair.a.close_text, "no hello in time");
    pair_done(&pair);

    pair_init(&pair, &config, &config);
    settle(&pair, NOW);
    session_tick(&pair.a, NOW + SESSION_SUMMARY_MS_MAX, CLOCK);
    assert_string_equal(pair.a.close_text, "no summary in time");
    pair_done(&pair);
}

static void test_goodbye_is_heard(void **state)
{
    struct session_config config = config_default();
    struct frame frame = {.type = FRAME_GOAWAY};
    struct buffer bytes = {0};
    struct pair pair;

    (void)state;
    pair_init(&pair, &config, &config);
    settle(&pair, NOW);
    frame.goaway.code = FRAME_CODE_SHUTDOWN;
    frame.goaway.text = span_of_str("maintenance\nfake log line");
    frame.goaway.retry_after_s = 90;
    assert_ok(frame_encode(&frame, &bytes));
    feed(&pair.a, bytes.data, bytes.size, NOW);
    assert_int_equal(pair.a.state, SESSION_CLOSED);
    assert_true(pair.a.closed_by_peer);
    assert_int_equal(pair.a.retry_after_s, 90);
    assert_string_equal(pair.a.close_text, "maintenance?fake log line");
    assert_int_equal(pair.a.output.size, 0); /* nothing more is said */
    buffer_done(&bytes);
    pair_done(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greeting),
        cmocka_unit_test(test_versions_that_do_not_meet_are_named),
        cmocka_unit_test(test_a_stream_may_be_cut_anywhere),
        cmocka_unit_test(test_garbage_closes_with_a_reason),
        cmocka_unit_test(test_nothing_comes_before_hello),
        cmocka_unit_test(test_hello_comes_once),
        cmocka_unit_test(test_later_frames_are_passed_over),
        cmocka_unit_test(test_credit_is_spent_and_comes_back),
        cmocka_unit_test(test_who_holds_back_knows_it),
        cmocka_unit_test(test_more_than_the_credit_is_a_violation),
        cmocka_unit_test(test_the_largest_frame_always_finds_credit),
        cmocka_unit_test(test_floods_are_cut_off),
        cmocka_unit_test(test_who_does_not_read_is_hung_up_on),
        cmocka_unit_test(test_signs_of_life),
        cmocka_unit_test(test_who_does_not_greet_is_dropped),
        cmocka_unit_test(test_goodbye_is_heard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
