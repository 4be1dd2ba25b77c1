/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include "protocol/collate.h"

static int order(const char *a, const char *b)
{
    struct buffer left = {0}, right = {0};
    int result;

    collate_put(&left, span_of_str(a), 40);
    collate_put(&right, span_of_str(b), 40);
    assert_ok(left.err);
    result = span_compare(buffer_span(&left), buffer_span(&right));
    buffer_done(&left);
    buffer_done(&right);
    return result;
}

/* As a Swedish list of places has it; each before the next. */
static void test_swedish_order(void **state)
{
    static const char *const words[] = {
        "",        "2 älvar", "Abisko", "Arjeplog",   "Arvidsjaur",   "Bjästa",
        "Café A",  "Cafe B",  "Ström",  "Ström sund", "Strömsund",    "Umeå",
        "Vännäs",  "Über",    "Ylva",   "Zeta",       "Ånäset",       "Åsele",
        "Älvsbyn", "Ærø",     "Ö",      "Øre",        "Örnsköldsvik", "Москва",
    };

    (void)state;
    for (size_t i = 0; i + 1 < ARRAY_SIZE(words); i++) {
        for (size_t j = i + 1; j < ARRAY_SIZE(words); j++) {
            if (order(words[i], words[j]) >= 0 || order(words[j], words[i]) <= 0)
                fail_msg("%s does not come before %s", words[i], words[j]);
        }
    }
}

static void test_what_makes_no_difference(void **state)
{
    (void)state;
    assert_int_equal(order("ÅSELE", "åsele"), 0);
    assert_int_equal(order("A\xcc\x8asele", "Åsele"), 0);
    assert_int_equal(order("o\xcc\x88n", "Ön"), 0);
    assert_int_equal(order("Lycksele!", "lycksele"), 0);
    assert_int_equal(order("idé", "ide"), 0);
}

/* Keys are cut, never longer, and hold nothing below their least weight. */
static void test_keys_are_bounded(void **state)
{
    struct buffer key = {0};
    char text[400];

    (void)state;
    memset(text, 'z', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    collate_put(&key, span_of_str(text), 40);
    assert_int_equal(key.size, 40);
    buffer_clear(&key);
    collate_put(&key, span_of_str("ЖЖЖЖЖЖЖЖЖЖЖЖЖЖЖЖЖЖЖЖЖЖЖЖЖЖЖ 1 _ \t\xff after"), 40);
    assert_true(key.size <= 40);
    for (size_t i = 0; i < key.size; i++)
        assert_true(key.data[i] >= COLLATE_WEIGHT_MIN);
    buffer_done(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_swedish_order),
        cmocka_unit_test(test_what_makes_no_difference),
        cmocka_unit_test(test_keys_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
