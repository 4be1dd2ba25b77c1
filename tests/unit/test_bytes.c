/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

/* A reader that believed a size from outside would read past the end. */
static void test_reader_keeps_its_first_mistake(void **state)
{
    static const uint8_t bytes[] = {0, 0, 0, 5, 'a', 'b'};
    struct reader in = reader_of(span_of(bytes, sizeof(bytes)));

    (void)state;
    assert_int_equal(reader_u32be(&in), 5);
    assert_int_equal(reader_bytes(&in, 5).size, 0);
    assert_int_equal(in.err, TORG_E_TRUNCATED);
    assert_int_equal(reader_u8(&in), 0);
    assert_int_equal(reader_left(&in), 0);
}

static void test_reader_of_nothing(void **state)
{
    struct reader in = reader_of((struct span){0});

    (void)state;
    assert_int_equal(reader_u8(&in), 0);
    assert_int_equal(in.err, TORG_E_TRUNCATED);
}

static void test_buffer_grows_and_formats(void **state)
{
    struct buffer out = {0};

    (void)state;
    for (int i = 0; i < 1000; i++)
        buffer_printf(&out, "%d,", i);
    assert_ok(out.err);
    assert_memory_equal(out.data, "0,1,2,3,", 8);
    assert_memory_equal(out.data + out.size - 4, "999,", 4);
    assert_err(buffer_reserve(&out, SIZE_MAX - 4), TORG_E_TOO_BIG);
    buffer_put_u8(&out, 1);
    assert_int_equal(out.err, TORG_E_TOO_BIG);
    buffer_done(&out);
}

static void test_hex_refuses_what_it_did_not_write(void **state)
{
    uint8_t out[2];
    char text[5];

    (void)state;
    assert_ok(hex_decode("0aF0", out, 2));
    hex_encode(out, 2, text);
    assert_string_equal(text, "0af0");
    assert_err(hex_decode("0aF", out, 2), TORG_E_INVALID);
    assert_err(hex_decode("0aFg", out, 2), TORG_E_INVALID);
    assert_err(hex_decode("0aF00", out, 2), TORG_E_INVALID);
}

static void test_utf8(void **state)
{
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        {"", true},
        {"Röding", true},
        {"\xe2\x82\xac", true},
        {"\xf0\x9f\x90\x9f", true},
        {"\xc0\xaf", false},
        {"\xed\xa0\x80", false},
        {"\xf4\x90\x80\x80", false},
        {"\xe2\x82", false},
        {"\x80", false},
        {"\xf8\x88\x80\x80\x80", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(utf8_valid(span_of_str(cases[i].text)), cases[i].valid);
    /* Eight ASCII bytes are passed in one step: at every place around such steps. */
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        for (size_t before = 0; before < 20; before++) {
            for (size_t after = 0; after < 20; after++) {
                struct buffer text = {0};

                buffer_put(&text, "abcdefghijklmnopqrst", before);
                buffer_put_str(&text, cases[i].text);
                buffer_put(&text, "abcdefghijklmnopqrst", after);
                assert_int_equal(utf8_valid(buffer_span(&text)), cases[i].valid);
                buffer_done(&text);
            }
        }
    }
}

/* Cut anywhere, a text stays one; whole, it stays as it is. */
static void test_utf8_trim(void **state)
{
    static const char whole[] = "aö€🐟";

    (void)state;
    for (size_t size = 0; size < sizeof(whole); size++) {
        char text[sizeof(whole)] = "";

        memcpy(text, whole, size);
        utf8_trim(text);
        assert_true(utf8_valid(span_of_str(text)));
        assert_true(strlen(text) + 3 >= size);
        if (utf8_valid(span_of(whole, size)))
            assert_int_equal(strlen(text), strnlen(whole, size));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader_keeps_its_first_mistake),
        cmocka_unit_test(test_reader_of_nothing),
        cmocka_unit_test(test_buffer_grows_and_formats),
        cmocka_unit_test(test_hex_refuses_what_it_did_not_write),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_utf8_trim),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
