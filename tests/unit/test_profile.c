/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/profile.h"

#include "tests/support/test.h"

#define BYTES_MAX 256

struct profile_case {
    const char *hex;
    enum torg_err err;
};

static size_t bytes_of(const char *hex, uint8_t out[BYTES_MAX])
{
    size_t size = strlen(hex) / 2;

    assert_true(size <= BYTES_MAX);
    assert_ok(hex_decode(hex, out, size));
    return size;
}

static void check_cases(const struct profile_case *cases, size_t count)
{
    uint8_t bytes[BYTES_MAX];

    for (size_t i = 0; i < count; i++) {
        size_t size = bytes_of(cases[i].hex, bytes);
        enum torg_err err = profile_check(span_of(bytes, size));

        if (err != cases[i].err)
            fail_msg("%s: %s, expected: %s", cases[i].hex, torg_err_text(err),
                     torg_err_text(cases[i].err));
    }
}

/* Two encodings of one value are two hashes of one meaning: a listing forks. */
static void test_integers(void **state)
{
    static const struct profile_case cases[] = {
        {"00", TORG_OK},
        {"7f", TORG_OK},
        {"cc80", TORG_OK},
        {"ccff", TORG_OK},
        {"cc7f", TORG_E_PROFILE},
        {"cd0100", TORG_OK},
        {"cd00ff", TORG_E_PROFILE},
        {"ce00010000", TORG_OK},
        {"ce0000ffff", TORG_E_PROFILE},
        {"cf0000000100000000", TORG_OK},
        {"cf00000000ffffffff", TORG_E_PROFILE},
        {"cf001fffffffffffff", TORG_OK}, /* 2^53 - 1 */
        {"cf0020000000000000", TORG_E_PROFILE},
        {"cfffffffffffffffff", TORG_E_PROFILE},
        {"e0", TORG_OK},
        {"ff", TORG_OK},
        {"d0df", TORG_OK}, /* -33 */
        {"d080", TORG_OK},
        {"d0e0", TORG_E_PROFILE}, /* -32 fits one byte */
        {"d001", TORG_E_PROFILE}, /* not negative */
        {"d1ff7f", TORG_OK},      /* -129 */
        {"d18000", TORG_OK},
        {"d1ff80", TORG_E_PROFILE},
        {"d10001", TORG_E_PROFILE},
        {"d2ffff7fff", TORG_OK}, /* -32769 */
        {"d280000000", TORG_OK},
        {"d2ffff8000", TORG_E_PROFILE},
        {"d27fffffff", TORG_E_PROFILE},
        {"d3ffffffff7fffffff", TORG_OK}, /* -2^31 - 1 */
        {"d3ffe0000000000001", TORG_OK}, /* -(2^53 - 1) */
        {"d3ffe0000000000000", TORG_E_PROFILE},
        {"d3ffffffff80000000", TORG_E_PROFILE},
        {"d38000000000000000", TORG_E_PROFILE},
        {"d30000000100000000", TORG_E_PROFILE},
    };

    (void)state;
    check_cases(cases, ARRAY_SIZE(cases));
}

static void test_lengths(void **state)
{
    static const struct profile_case cases[] = {
        {"a0", TORG_OK},
        {"a161", TORG_OK},
        {"d90161", TORG_E_PROFILE},
        {"da000161", TORG_E_PROFILE},
        {"db0000000161", TORG_E_PROFILE},
        {"c400", TORG_OK},
        {"c401ff", TORG_OK},
        {"c50001ff", TORG_E_PROFILE},
        {"c600000001ff", TORG_E_PROFILE},
        {"90", TORG_OK},
        {"9101", TORG_OK},
        {"dc000101", TORG_E_PROFILE},
        {"dd0000000101", TORG_E_PROFILE},
        {"80", TORG_OK},
        {"81a16101", TORG_OK},
        {"de0001a16101", TORG_E_PROFILE},
        {"df00000001a16101", TORG_E_PROFILE},
        {"dc001000000000000000000000000000000000", TORG_OK},
    };

    (void)state;
    check_cases(cases, ARRAY_SIZE(cases));
}

static void test_kinds_outside_the_profile(void **state)
{
    static const struct profile_case cases[] = {
        {"c0", TORG_OK},
        {"c2", TORG_OK},
        {"c3", TORG_OK},
        {"c1", TORG_E_PROFILE},
        {"ca00000000", TORG_E_PROFILE},
        {"cb0000000000000000", TORG_E_PROFILE},
        {"c7010000", TORG_E_PROFILE},
        {"c800010000", TORG_E_PROFILE},
        {"c9000000010000", TORG_E_PROFILE},
        {"d40000", TORG_E_PROFILE},
        {"d6ff00000000", TORG_E_PROFILE}, /* msgpack's timestamp */
        {"d8ff00000000000000000000000000000000", TORG_E_PROFILE},
        {"91ca00000000", TORG_E_PROFILE},
    };

    (void)state;
    check_cases(cases, ARRAY_SIZE(cases));
}

static void test_text(void **state)
{
    static const struct profile_case cases[] = {
        {"a752c3b664696e67", TORG_OK}, {"a2c0af", TORG_E_PROFILE}, /* overlong */
        {"a3eda080", TORG_E_PROFILE},                              /* a surrogate */
        {"a1ff", TORG_E_PROFILE},      {"a1c3", TORG_E_PROFILE}, /* cut in the middle of a letter */
        {"c402c0af", TORG_OK},                                   /* a bin may hold anything */
        {"81a1ff01", TORG_E_PROFILE},
    };

    (void)state;
    check_cases(cases, ARRAY_SIZE(cases));
}

static void test_map_keys(void **state)
{
    static const struct profile_case cases[] = {
        {"82a16101a16202", TORG_OK},
        {"82a16201a16102", TORG_E_PROFILE},       /* descending */
        {"82a16101a16102", TORG_E_PROFILE},       /* twice */
        {"82a16101a2616102", TORG_OK},            /* a prefix comes first */
        {"82a2616101a16102", TORG_E_PROFILE},     /* "aa", "a" */
        {"82a0c0a161c0", TORG_OK},                /* the empty key is a key */
        {"82a0c0a0c0", TORG_E_PROFILE},           /* and not twice */
        {"82a17ac0a2c3a5c0", TORG_OK},            /* "z" before "å", by bytes */
        {"810101", TORG_E_PROFILE},               /* a number as key */
        {"81c4016101", TORG_E_PROFILE},           /* a bin as key */
        {"819001", TORG_E_PROFILE},               /* an array as key */
        {"81a16182a16201a16102", TORG_E_PROFILE}, /* inside */
        {"82a16181a17a01a16202", TORG_OK},        /* an inner map does not disturb the outer */
        {"82a1629081a16101", TORG_E_PROFILE},
    };

    (void)state;
    check_cases(cases, ARRAY_SIZE(cases));
}

/* Five bytes that promise gigabytes must cost nothing. */
static void test_counts_beyond_the_bytes(void **state)
{
    static const struct profile_case cases[] = {
        {"", TORG_E_TRUNCATED},
        {"cc", TORG_E_TRUNCATED},
        {"cf00000001", TORG_E_TRUNCATED},
        {"a261", TORG_E_TRUNCATED},
        {"dbffffffff", TORG_E_TRUNCATED},
        {"c6ffffffff", TORG_E_TRUNCATED},
        {"91", TORG_E_TRUNCATED},
        {"dcffff", TORG_E_TRUNCATED},
        {"ddffffffff", TORG_E_TRUNCATED},
        {"dfffffffff", TORG_E_TRUNCATED},
        {"81", TORG_E_TRUNCATED},
        {"81a161", TORG_E_TRUNCATED},
        {"dd0001000000", TORG_E_TRUNCATED},
        {"9100ff", TORG_E_PROFILE}, /* a trailing byte */
        {"c0c0", TORG_E_PROFILE},
    };

    (void)state;
    check_cases(cases, ARRAY_SIZE(cases));
}

static void test_depth(void **state)
{
    uint8_t bytes[PROFILE_DEPTH_MAX + 2];

    (void)state;
    memset(bytes, 0x91, sizeof(bytes));
    bytes[PROFILE_DEPTH_MAX] = 0x01;
    assert_ok(profile_check(span_of(bytes, PROFILE_DEPTH_MAX + 1)));
    /* The 13th container, though it is empty. */
    bytes[PROFILE_DEPTH_MAX] = 0x90;
    assert_err(profile_check(span_of(bytes, PROFILE_DEPTH_MAX + 1)), TORG_E_TOO_BIG);
    bytes[PROFILE_DEPTH_MAX] = 0x80;
    assert_err(profile_check(span_of(bytes, PROFILE_DEPTH_MAX + 1)), TORG_E_TOO_BIG);
    /* Containers side by side are not deep. */
    memset(bytes, 0x90, sizeof(bytes));
    bytes[0] = 0x9d;
    assert_ok(profile_check(span_of(bytes, sizeof(bytes))));
}

/* ---- reading ---- */

static void test_reader_reads_what_was_packed(void **state)
{
    static const int64_t numbers[] = {
        0,      1,          127,         128,         255,         256,          65535,
        65536,  4294967295, -1,          -32,         -33,         -128,         -129,
        -32768, -32769,     -2147483648, -2147483649, INTEGER_MAX, -INTEGER_MAX, 4294967296,
    };
    struct buffer out = {0};
    struct profile_reader in;
    uint8_t bin[3] = {1, 2, 3};
    uint8_t copy[3];

    (void)state;
    pack_array(&out, ARRAY_SIZE(numbers) + 6);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        pack_int(&out, numbers[i]);
    pack_uint(&out, INTEGER_MAX);
    pack_nil(&out);
    pack_bool(&out, true);
    pack_str(&out, span_of_str("Röding"));
    pack_bin(&out, bin, sizeof(bin));
    pack_map(&out, 1);
    pack_str(&out, span_of_str("a"));
    pack_array(&out, 0);
    assert_ok(out.err);
    assert_ok(profile_check(buffer_span(&out)));

    in = profile_reader_of(buffer_span(&out));
    profile_array_of(&in, ARRAY_SIZE(numbers) + 6);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        assert_true(profile_int(&in) == numbers[i]);
    assert_true(profile_uint(&in, INTEGER_MAX) == INTEGER_MAX);
    profile_nil(&in);
    assert_true(profile_bool(&in));
    assert_int_equal(profile_peek(&in), PROFILE_STR);
    assert_true(span_equal(profile_str(&in, 7), span_of_str("Röding")));
    profile_bin_copy(&in, copy, sizeof(copy));
    assert_memory_equal(copy, bin, sizeof(bin));
    assert_int_equal(profile_skip(&in).size, 4);
    assert_ok(profile_end(&in));
    buffer_done(&out);
}

/* Lengths around the borders of the forms, where a packer or reader goes wrong. */
static void test_lengths_around_their_borders(void **state)
{
    static const uint32_t sizes[] = {0, 15, 16, 31, 32, 255, 256, 65535, 65536};
    static uint8_t bytes[65536];
    struct buffer out = {0};

    (void)state;
    memset(bytes, 'x', sizeof(bytes));
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct profile_reader in;

        buffer_clear(&out);
        pack_array(&out, 2);
        pack_str(&out, span_of(bytes, sizes[i]));
        pack_bin(&out, bytes, sizes[i]);
        assert_ok(profile_check(buffer_span(&out)));
        in = profile_reader_of(buffer_span(&out));
        profile_array_of(&in, 2);
        assert_int_equal(profile_str(&in, sizes[i]).size, sizes[i]);
        assert_int_equal(profile_bin(&in, sizes[i]).size, sizes[i]);
        assert_ok(profile_end(&in));

        buffer_clear(&out);
        pack_array(&out, sizes[i]);
        for (uint32_t j = 0; j < sizes[i]; j++)
            pack_int(&out, 0);
        assert_ok(profile_check(buffer_span(&out)));
        in = profile_reader_of(buffer_span(&out));
        assert_int_equal(profile_array(&in), sizes[i]);
    }
    buffer_done(&out);
}

static struct profile_reader reader_of_hex(const char *hex, uint8_t out[BYTES_MAX])
{
    return profile_reader_of(span_of(out, bytes_of(hex, out)));
}

static void test_reader_keeps_its_first_mistake(void **state)
{
    uint8_t bytes[BYTES_MAX];
    uint8_t copy[4] = {9, 9, 9, 9};
    struct profile_reader in = reader_of_hex("93a16101c40102", bytes);

    (void)state;
    assert_int_equal(profile_array(&in), 3);
    assert_int_equal(profile_int(&in), 0); /* It is a str. */
    assert_int_equal(in.in.err, TORG_E_INVALID);
    assert_int_equal(profile_int(&in), 0);
    assert_int_equal(profile_str(&in, 10).size, 0);
    assert_int_equal(profile_array(&in), 0);
    assert_int_equal(profile_peek(&in), PROFILE_NIL);
    assert_int_equal(profile_skip(&in).size, 0);
    profile_bin_copy(&in, copy, sizeof(copy));
    assert_memory_equal(copy, "\0\0\0\0", 4);
    assert_err(profile_end(&in), TORG_E_INVALID);
}

static void test_reader_limits(void **state)
{
    uint8_t bytes[BYTES_MAX];
    uint8_t copy[2];
    struct profile_reader in;

    (void)state;
    in = reader_of_hex("a3616161", bytes);
    profile_str(&in, 2);
    assert_int_equal(in.in.err, TORG_E_TOO_BIG);
    in = reader_of_hex("c403616161", bytes);
    profile_bin(&in, 2);
    assert_int_equal(in.in.err, TORG_E_TOO_BIG);
    in = reader_of_hex("c403616161", bytes);
    profile_bin_copy(&in, copy, sizeof(copy));
    assert_int_equal(in.in.err, TORG_E_INVALID);
    in = reader_of_hex("ff", bytes);
    profile_uint(&in, 5);
    assert_int_equal(in.in.err, TORG_E_INVALID);
    in = reader_of_hex("06", bytes);
    profile_uint(&in, 5);
    assert_int_equal(in.in.err, TORG_E_INVALID);
    in = reader_of_hex("9101", bytes);
    profile_array_of(&in, 2);
    assert_int_equal(in.in.err, TORG_E_INVALID);
    in = reader_of_hex("ddffffffff", bytes);
    assert_int_equal(profile_array(&in), 0);
    assert_int_equal(in.in.err, TORG_E_TRUNCATED);
    in = reader_of_hex("", bytes);
    assert_int_equal(profile_peek(&in), PROFILE_NIL);
    assert_int_equal(in.in.err, TORG_E_TRUNCATED);
    in = reader_of_hex("c1", bytes);
    assert_int_equal(profile_peek(&in), PROFILE_NIL);
    assert_int_equal(in.in.err, TORG_E_PROFILE);
    in = reader_of_hex("0102", bytes);
    profile_int(&in);
    assert_err(profile_end(&in), TORG_E_PROFILE);
    in = reader_of_hex("92010203", bytes);
    assert_int_equal(profile_skip(&in).size, 3);
    assert_int_equal(profile_int(&in), 3);
    assert_ok(profile_end(&in));
}

static void test_packer_keeps_its_first_mistake(void **state)
{
    struct buffer out = {.err = TORG_E_NOMEM};

    (void)state;
    pack_array(&out, 70000);
    pack_str(&out, span_of_str("x"));
    pack_bin(&out, "x", 1);
    assert_int_equal(out.size, 0);
    assert_int_equal(out.err, TORG_E_NOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_kinds_outside_the_profile),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_map_keys),
        cmocka_unit_test(test_counts_beyond_the_bytes),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_reader_reads_what_was_packed),
        cmocka_unit_test(test_lengths_around_their_borders),
        cmocka_unit_test(test_reader_keeps_its_first_mistake),
        cmocka_unit_test(test_reader_limits),
        cmocka_unit_test(test_packer_keeps_its_first_mistake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
