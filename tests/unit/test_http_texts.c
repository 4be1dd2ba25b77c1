/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include "daemon/http_texts.h"
#include "protocol/listing.h"

/*
 * A text that is known by the wrong pattern is still Swedish, and says something
 * else than the mistake.
 */

static struct buffer out;

static const char *swedish(const char *english, bool known)
{
    buffer_clear(&out);
    assert_int_equal(http_texts_put(&out, HTTP_SWEDISH, span_of_str(english)), known);
    buffer_put_u8(&out, 0);
    assert_int_equal(out.err, TORG_OK);
    return (const char *)out.data;
}

static void test_texts(void **state)
{
    static const struct {
        const char *english, *swedish;
    } cases[] = {
        {"is empty", "är tom"},
        {"The body may have at most 1048576 bytes.", "Innehållet får ha högst 1048576 byte."},
        /* What somebody typed goes over as it is, also when it is a text of its own. */
        {"\"is empty\" is no date; write it as 2026-11-21",
         "\"is empty\" är inget datum; skriv det som 2026-11-21"},
        {"\"cod or ling\" is no date; write it as 2026-11-21",
         "\"cod or ling\" är inget datum; skriv det som 2026-11-21"},
        /* Texts within texts. */
        {"at character 8: a number cannot be compared with a string",
         "vid tecken 8: ett tal går inte att jämföra med en sträng"},
        {"in args[0].args[1]: a date cannot be compared with a number; times are "
         "DATE('2026-11-21') or TIMESTAMP('2026-11-21T09:00:00Z')",
         "i args[0].args[1]: ett datum går inte att jämföra med ett tal; tider är "
         "DATE('2026-11-21') eller TIMESTAMP('2026-11-21T09:00:00Z')"},
        {"must be sell, rent or lend", "måste vara sell, rent eller lend"},
        {"must be a Point, MultiPoint or Polygon", "måste vara en Point, MultiPoint eller Polygon"},
        /* Several patterns fit; the closest one counts. */
        {"must be a number from 0 to 7", "måste vara ett tal från 0 till 7"},
        {"must be a number", "måste vara ett tal"},
        {"is not valid: Self-intersection", "är inte giltig: Self-intersection"},
        {"is not valid: Self-intersection at longitude 17.5, latitude 65.5; mend it, in QGIS by "
         "\"Fix geometries\"",
         "är inte giltig: Self-intersection vid longitud 17.5, latitud 65.5; rätta den, i QGIS med "
         "\"Fix geometries\""},
        {"is not known; did you mean ?", "är inte känd; menade du ?"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_string_equal(swedish(cases[i].english, true), cases[i].swedish);
}

static void test_unknown_texts_are_copied(void **state)
{
    static const char *const cases[] = {"", "something else", "is empty ", "The body may have"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_string_equal(swedish(cases[i], false), cases[i]);
}

static void test_english_is_left_alone(void **state)
{
    (void)state;
    buffer_clear(&out);
    assert_true(http_texts_put(&out, HTTP_ENGLISH, span_of_str("is empty")));
    assert_true(span_equal(buffer_span(&out), span_of_str("is empty")));
}

/* The pattern with the number 7 in each of its places. */
static const char *filled(const char *pattern, struct buffer *text)
{
    buffer_clear(text);
    while (*pattern) {
        size_t skip = strncmp(pattern, "{}", 2) == 0 ? 2 : strncmp(pattern, "{*}", 3) == 0 ? 3 : 0;

        buffer_put_u8(text, skip ? '7' : (uint8_t)*pattern);
        pattern += skip ? skip : 1;
    }
    buffer_put_u8(text, 0);
    return (const char *)text->data;
}

/* None hides another: each is found by itself, and says all that it was given. */
static void test_every_entry_finds_itself(void **state)
{
    struct buffer english = {0}, expected = {0};
    size_t count;
    const struct http_text *table = http_texts_table(&count);

    (void)state;
    for (size_t i = 0; i < count; i++)
        assert_string_equal(swedish(filled(table[i].english, &english), true),
                            filled(table[i].swedish, &expected));
    buffer_done(&english);
    buffer_done(&expected);
}

static void assert_meanings(const struct listing_property *property)
{
    for (; property && property->name; property++) {
        (void)swedish(property->meaning, true);
        assert_meanings(property->fields);
    }
}

/* Schemas say in either language what a property means. */
static void test_meanings_of_properties(void **state)
{
    (void)state;
    assert_meanings(listing_properties());
}

static int free_buffer(void **state)
{
    (void)state;
    buffer_done(&out);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_unknown_texts_are_copied),
        cmocka_unit_test(test_english_is_left_alone),
        cmocka_unit_test(test_every_entry_finds_itself),
        cmocka_unit_test(test_meanings_of_properties),
    };

    return cmocka_run_group_tests(tests, NULL, free_buffer);
}
