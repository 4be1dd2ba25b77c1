/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include "daemon/html.h"
#include "daemon/http_words.h"
#include "protocol/limits.h"

/* Words that are wrong are read by everybody and reported by nobody. */

static struct buffer out;

static const char *written(void)
{
    buffer_put_u8(&out, 0);
    assert_int_equal(out.err, TORG_OK);
    return (const char *)out.data;
}

static void test_ages(void **state)
{
    static const struct {
        int64_t age_s;
        const char *sv, *en;
    } cases[] = {
        {0, "nyss", "just now"},
        {59, "nyss", "just now"},
        {60, "för 1 minut sedan", "1 minute ago"},
        {179, "för 2 minuter sedan", "2 minutes ago"},
        {3600, "för 1 timme sedan", "1 hour ago"},
        {86399, "för 23 timmar sedan", "23 hours ago"},
        {86400, "för 1 dag sedan", "1 day ago"},
        {40 * 86400, "för 40 dagar sedan", "40 days ago"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        buffer_clear(&out);
        http_words_put_age(&out, HTTP_SWEDISH, cases[i].age_s);
        assert_string_equal(written(), cases[i].sv);
        buffer_clear(&out);
        http_words_put_age(&out, HTTP_ENGLISH, cases[i].age_s);
        assert_string_equal(written(), cases[i].en);
    }
}

static void test_distances(void **state)
{
    static const struct {
        double distance_m;
        const char *text;
    } cases[] = {
        {0, "0 m"},       {4.9, "0 m"},       {994, "990 m"},         {995, "1,0 km"},
        {1049, "1,0 km"}, {1051, "1,1 km"},   {9949, "9,9 km"},       {9951, "10 km"},
        {10499, "10 km"}, {547123, "547 km"}, {20003931, "20004 km"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        buffer_clear(&out);
        http_words_put_distance(&out, HTTP_SWEDISH, cases[i].distance_m);
        assert_string_equal(written(), cases[i].text);
    }
    buffer_clear(&out);
    http_words_put_distance(&out, HTTP_ENGLISH, 1234);
    assert_string_equal(written(), "1.2 km");
}

static void test_numbers(void **state)
{
    static const struct {
        double value;
        const char *sv, *en;
    } cases[] = {
        {250, "250", "250"},           {12.5, "12,50", "12.50"},
        {0.05, "0,05", "0.05"},        {999.99, "999,99", "999.99"},
        {1050, "1\u00a0050", "1,050"}, {12007.1, "12\u00a0007,10", "12,007.10"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        buffer_clear(&out);
        http_words_put_number(&out, HTTP_SWEDISH, cases[i].value);
        assert_string_equal(written(), cases[i].sv);
        buffer_clear(&out);
        http_words_put_number(&out, HTTP_ENGLISH, cases[i].value);
        assert_string_equal(written(), cases[i].en);
    }
}

static void test_every_word_is_there_in_both_languages(void **state)
{
    (void)state;
    for (enum http_word word = 0; word < WORD_COUNT; word++) {
        assert_non_null(http_words(word, HTTP_SWEDISH));
        assert_non_null(http_words(word, HTTP_ENGLISH));
    }
    for (uint8_t i = 0; i < COLLECTIONS_MAX; i++) {
        const struct http_words_collection *words = http_words_collection(i);

        assert_int_equal(words != NULL, COLLECTION_MASK_PUBLIC >> i & 1);
        assert_true(!words || (words->title[1][0] && words->one[0][0] && words->description[0][0] &&
                               words->description[1][0]));
    }
}

/* What an editor writes is text, whatever it looks like. */
static void test_html_is_escaped(void **state)
{
    (void)state;
    buffer_clear(&out);
    html_text(&out, "<a href=\"x\" onclick='y'>&amp;</a>\x01");
    assert_string_equal(written(),
                        "&lt;a href=&quot;x&quot; onclick=&#39;y&#39;&gt;&amp;amp;&lt;/a&gt;");
    buffer_clear(&out);
    html_paragraphs(&out, span_of_str("A\nB\n\n\nC<\n"));
    assert_string_equal(written(), "<p>A<br>B</p><p>C&lt;</p>");
    buffer_clear(&out);
    html_paragraphs(&out, (struct span){0});
    assert_string_equal(written(), "<p></p>");
    buffer_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ages),
        cmocka_unit_test(test_distances),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_every_word_is_there_in_both_languages),
        cmocka_unit_test(test_html_is_escaped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
