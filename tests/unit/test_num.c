/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/num.h"

#include <stdio.h>
#include <time.h>

#include "tests/support/test.h"

#define UNTOUCHED 4711

struct number_case {
    const char *text;
    enum torg_err err;
    int64_t value;
};

/* A number that is read as another one is published as a wrong price or place. */
static void test_int(void **state)
{
    static const struct number_case cases[] = {
        {"0", TORG_OK, 0},
        {"-0", TORG_OK, 0},
        {"007", TORG_OK, 7},
        {"9223372036854775807", TORG_OK, INT64_MAX},
        {"-9223372036854775808", TORG_OK, INT64_MIN},
        {"9223372036854775808", TORG_E_TOO_BIG, 0},
        {"-9223372036854775809", TORG_E_TOO_BIG, 0},
        {"99999999999999999999999", TORG_E_TOO_BIG, 0},
        {"", TORG_E_INVALID, 0},
        {"-", TORG_E_INVALID, 0},
        {"+1", TORG_E_INVALID, 0},
        {" 1", TORG_E_INVALID, 0},
        {"1 ", TORG_E_INVALID, 0},
        {"1.0", TORG_E_INVALID, 0},
        {"0x10", TORG_E_INVALID, 0},
        {"--1", TORG_E_INVALID, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t value = UNTOUCHED;

        assert_err(num_parse_int(span_of_str(cases[i].text), INT64_MIN, INT64_MAX, &value),
                   cases[i].err);
        assert_true(value == (cases[i].err ? UNTOUCHED : cases[i].value));
    }
}

static void test_int_keeps_to_its_range(void **state)
{
    int64_t value = UNTOUCHED;

    (void)state;
    assert_ok(num_parse_int(span_of_str("-5"), -5, 5, &value));
    assert_int_equal(value, -5);
    assert_ok(num_parse_int(span_of_str("5"), -5, 5, &value));
    assert_err(num_parse_int(span_of_str("6"), -5, 5, &value), TORG_E_TOO_BIG);
    assert_err(num_parse_int(span_of_str("-6"), -5, 5, &value), TORG_E_TOO_BIG);
    assert_int_equal(value, 5);
}

static void test_fixed(void **state)
{
    static const struct {
        const char *text;
        unsigned scale;
        bool exponent;
        enum torg_err err;
        int64_t value;
    } cases[] = {
        {"17.9", 7, false, TORG_OK, 179000000},
        {"-17.9", 7, false, TORG_OK, -179000000},
        {"66.05", 7, false, TORG_OK, 660500000},
        {"0.00000005", 7, false, TORG_OK, 1},
        {"-0.00000005", 7, false, TORG_OK, -1},
        {"0.000000049999999999999999999", 7, false, TORG_OK, 0},
        {"0.99999999", 7, false, TORG_OK, 10000000},
        {"2.5", 0, false, TORG_OK, 3},
        {"-2.5", 0, false, TORG_OK, -3},
        {"2.4999", 0, false, TORG_OK, 2},
        {"00012.50", 2, false, TORG_OK, 1250},
        {"-0", 3, false, TORG_OK, 0},
        {"9223372036854775807", 0, false, TORG_OK, INT64_MAX},
        {"9223372036854775807.5", 0, false, TORG_E_TOO_BIG, 0},
        {"9223372036854775808", 0, false, TORG_E_TOO_BIG, 0},
        {"9223372037", 9, false, TORG_E_TOO_BIG, 0},
        {"1e2", 2, true, TORG_OK, 10000},
        {"1.5E-1", 2, true, TORG_OK, 15},
        {"12345e-9", 2, true, TORG_OK, 0},
        {"5e-3", 2, true, TORG_OK, 1},
        {"5e-4", 2, true, TORG_OK, 0},
        {"1e+2", 0, true, TORG_OK, 100},
        {"0e999999999999999999999", 9, true, TORG_OK, 0},
        {"1e999999999999999999999", 9, true, TORG_E_TOO_BIG, 0},
        {"1e-999999999999999999999", 9, true, TORG_OK, 0},
        {"1e2", 2, false, TORG_E_INVALID, 0},
        {"1e", 2, true, TORG_E_INVALID, 0},
        {"1e+-2", 2, true, TORG_E_INVALID, 0},
        {"", 2, true, TORG_E_INVALID, 0},
        {"-", 2, true, TORG_E_INVALID, 0},
        {".5", 2, true, TORG_E_INVALID, 0},
        {"5.", 2, true, TORG_E_INVALID, 0},
        {"1,5", 2, true, TORG_E_INVALID, 0},
        {"1.2.3", 2, true, TORG_E_INVALID, 0},
        {"nan", 2, true, TORG_E_INVALID, 0},
        {"+1", 2, true, TORG_E_INVALID, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t value = UNTOUCHED;
        enum torg_err err =
            num_parse_fixed(span_of_str(cases[i].text), cases[i].scale, cases[i].exponent, &value);

        if (err != cases[i].err || value != (err ? UNTOUCHED : cases[i].value))
            fail_msg("%s at scale %u: %s, %lld", cases[i].text, cases[i].scale, torg_err_text(err),
                     (long long)value);
    }
}

static void assert_written(struct buffer *out, const char *text)
{
    assert_ok(out->err);
    buffer_put_u8(out, 0);
    assert_string_equal((const char *)out->data, text);
    buffer_clear(out);
}

static void test_put_fixed(void **state)
{
    struct buffer out = {0};

    (void)state;
    num_put_fixed(&out, 179000000, 7);
    assert_written(&out, "17.9");
    num_put_fixed(&out, -1, 7);
    assert_written(&out, "-0.0000001");
    num_put_fixed(&out, 0, 7);
    assert_written(&out, "0");
    num_put_fixed(&out, 100, 2);
    assert_written(&out, "1");
    num_put_fixed(&out, 100, 0);
    assert_written(&out, "100");
    num_put_fixed(&out, INT64_MIN, 9);
    assert_written(&out, "-9223372036.854775808");
    num_put_fixed(&out, INT64_MIN, 0);
    assert_written(&out, "-9223372036854775808");
    num_put_int(&out, INT64_MIN);
    assert_written(&out, "-9223372036854775808");
    buffer_done(&out);
}

static void test_fixed_survives_text(void **state)
{
    struct buffer out = {0};
    uint64_t seed = 11;

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        int64_t value = (int64_t)(test_random(&seed) >> test_random_below(&seed, 63)) / 2;
        unsigned scale = (unsigned)test_random_below(&seed, 10);
        int64_t read = 0;

        value = i % 2 ? -value : value;
        num_put_fixed(&out, value, scale);
        assert_ok(num_parse_fixed(buffer_span(&out), scale, false, &read));
        assert_true(read == value);
        buffer_clear(&out);
    }
    buffer_done(&out);
}

static void test_double(void **state)
{
    double value = 0;
    char longest[NUM_DOUBLE_BYTES_MAX + 2];

    (void)state;
    assert_ok(num_parse_double(span_of_str("-17.25"), &value));
    assert_true(value == -17.25);
    assert_ok(num_parse_double(span_of_str("1e3"), &value));
    assert_true(value == 1000);
    assert_ok(num_parse_double(span_of_str("1e-400"), &value));
    assert_true(value == 0);
    assert_err(num_parse_double(span_of_str("1e400"), &value), TORG_E_TOO_BIG);
    assert_err(num_parse_double(span_of_str("inf"), &value), TORG_E_INVALID);
    assert_err(num_parse_double(span_of_str("nan"), &value), TORG_E_INVALID);
    assert_err(num_parse_double(span_of_str("0x1p3"), &value), TORG_E_INVALID);
    assert_err(num_parse_double(span_of_str("1,5"), &value), TORG_E_INVALID);
    assert_err(num_parse_double(span_of_str(""), &value), TORG_E_INVALID);
    memset(longest, '1', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    assert_err(num_parse_double(span_of_str(longest), &value), TORG_E_TOO_BIG);
    assert_ok(num_parse_double(span_of(longest, NUM_DOUBLE_BYTES_MAX), &value));
}

/* An event shown at the wrong hour is worse than one refused. */
static void test_time(void **state)
{
    static const struct number_case cases[] = {
        {"1970-01-01T00:00:00Z", TORG_OK, 0},
        {"2026-09-21T14:13:20Z", TORG_OK, INT64_C(1790000000000)},
        {"2026-09-21T16:13:20+02:00", TORG_OK, INT64_C(1790000000000)},
        {"2026-09-21T09:43:20-04:30", TORG_OK, INT64_C(1790000000000)},
        {"2026-09-21t14:13:20z", TORG_OK, INT64_C(1790000000000)},
        {"1969-12-31T23:59:59.999Z", TORG_OK, -1},
        {"1970-01-01T00:00:00.2599Z", TORG_OK, 259},
        {"1970-01-01T00:00:00.5Z", TORG_OK, 500},
        {"2000-02-29T00:00:00Z", TORG_OK, INT64_C(951782400000)},
        {"2016-12-31T23:59:60Z", TORG_OK, INT64_C(1483228800000)},
        {"2017-01-01T00:59:60+01:00", TORG_OK, INT64_C(1483228800000)},
        {"0001-01-01T00:00:00Z", TORG_OK, INT64_C(-62135596800000)},
        {"9999-12-31T23:59:59.999Z", TORG_OK, INT64_C(253402300799999)},
        {"0001-01-01T00:00:00+00:01", TORG_E_TOO_BIG, 0},
        {"9999-12-31T23:59:59-00:01", TORG_E_TOO_BIG, 0},
        {"0000-01-01T00:00:00Z", TORG_E_INVALID, 0},
        {"2026-02-29T00:00:00Z", TORG_E_INVALID, 0},
        {"1900-02-29T00:00:00Z", TORG_E_INVALID, 0},
        {"2026-04-31T00:00:00Z", TORG_E_INVALID, 0},
        {"2026-13-01T00:00:00Z", TORG_E_INVALID, 0},
        {"2026-00-01T00:00:00Z", TORG_E_INVALID, 0},
        {"2026-01-00T00:00:00Z", TORG_E_INVALID, 0},
        {"2026-01-01T24:00:00Z", TORG_E_INVALID, 0},
        {"2026-01-01T00:60:00Z", TORG_E_INVALID, 0},
        {"2026-01-01T12:00:60Z", TORG_E_INVALID, 0},
        {"2026-01-01T23:59:61Z", TORG_E_INVALID, 0},
        {"2026-01-01T00:00:00", TORG_E_INVALID, 0},
        {"2026-01-01 00:00:00Z", TORG_E_INVALID, 0},
        {"2026-01-01T00:00:00.Z", TORG_E_INVALID, 0},
        {"2026-01-01T00:00:00+24:00", TORG_E_INVALID, 0},
        {"2026-01-01T00:00:00+01:60", TORG_E_INVALID, 0},
        {"2026-01-01T00:00:00+0100", TORG_E_INVALID, 0},
        {"2026-01-01T00:00:00ZZ", TORG_E_INVALID, 0},
        {"2026-1-01T00:00:00Z", TORG_E_INVALID, 0},
        {"-026-01-01T00:00:00Z", TORG_E_INVALID, 0},
        {"2026-01-01", TORG_E_INVALID, 0},
        {"", TORG_E_INVALID, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t ms = UNTOUCHED;
        enum torg_err err = num_parse_time(span_of_str(cases[i].text), &ms);

        if (err != cases[i].err || ms != (err ? UNTOUCHED : cases[i].value))
            fail_msg("%s: %s, %lld", cases[i].text, torg_err_text(err), (long long)ms);
    }
}

static void test_put_time(void **state)
{
    struct buffer out = {0};

    (void)state;
    num_put_time(&out, INT64_C(1790000000000));
    assert_written(&out, "2026-09-21T14:13:20Z");
    num_put_time(&out, -1);
    assert_written(&out, "1969-12-31T23:59:59.999Z");
    num_put_time(&out, 50);
    assert_written(&out, "1970-01-01T00:00:00.050Z");
    num_put_time(&out, INT64_MIN);
    assert_written(&out, "0001-01-01T00:00:00Z");
    num_put_time(&out, INT64_MAX);
    assert_written(&out, "9999-12-31T23:59:59.999Z");
    buffer_done(&out);
}

/* The C library knows the calendar too, and was written by others. */
static void test_calendar_agrees_with_libc(void **state)
{
    struct buffer out = {0};

    (void)state;
    for (int64_t day = -719162; day <= 2932896; day += 17) {
        time_t seconds = (time_t)(day * 86400);
        char text[32];
        struct tm tm;
        int64_t from = 0;
        int64_t through = 0;

        assert_non_null(gmtime_r(&seconds, &tm));
        snprintf(text, sizeof(text), "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday);
        assert_ok(num_parse_date(span_of_str(text), &from, &through));
        assert_true(from == seconds * INT64_C(1000));
        assert_true(through == from + 86399999);
        num_put_time(&out, from);
        assert_memory_equal(out.data, text, 10);
        buffer_clear(&out);
    }
    buffer_done(&out);
}

static void test_date_refuses_what_is_no_date(void **state)
{
    static const char *const texts[] = {
        "", "2026-11", "2026-11-31", "2026-11-21Z", "2026/11/21", "20261121", "2026-11-2",
    };
    int64_t from = UNTOUCHED;
    int64_t through = UNTOUCHED;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        assert_err(num_parse_date(span_of_str(texts[i]), &from, &through), TORG_E_INVALID);
    assert_int_equal(from, UNTOUCHED);
    assert_int_equal(through, UNTOUCHED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_int),
        cmocka_unit_test(test_int_keeps_to_its_range),
        cmocka_unit_test(test_fixed),
        cmocka_unit_test(test_put_fixed),
        cmocka_unit_test(test_fixed_survives_text),
        cmocka_unit_test(test_double),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_put_time),
        cmocka_unit_test(test_calendar_agrees_with_libc),
        cmocka_unit_test(test_date_refuses_what_is_no_date),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
