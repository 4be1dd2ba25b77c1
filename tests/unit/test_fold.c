/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/fold.h"
#include "tests/support/test.h"

static void assert_folds(const char *text, const char *want)
{
    struct buffer out = {0};

    fold_put(&out, span_of_str(text));
    assert_int_equal(out.err, TORG_OK);
    if (!span_equal(buffer_span(&out), span_of_str(want)))
        fail_msg("\"%s\" folds to \"%.*s\", expected \"%s\"", text, (int)out.size,
                 (const char *)out.data, want);
    buffer_done(&out);
}

/* Somebody without å on the keyboard would not find Umeå. */
static void test_letters_lose_case_and_marks(void **state)
{
    (void)state;
    assert_folds("Umeå", "umea");
    assert_folds("ÖRNSKÖLDSVIK", "ornskoldsvik");
    assert_folds("Árjepluovve", "arjepluovve");
    assert_folds("Ubmeje, Ubmi, Ŋŋ Đđ Ŧŧ Šš Žž Čč", "ubmeje, ubmi, nn dd tt ss zz cc");
    assert_folds("Ǥǥ Ǧǧ Ǩǩ Ʒʒ Ǯǯ", "gg gg kk zz zz"); /* Skolt Sami */
    assert_folds("Ærø Øst Þór Ðan STRAẞE straße", "aero ost thor dan strasse strasse");
    assert_folds("Łódź Ĳssel ŒUVRE Việt", "lodz ijssel oeuvre viet");
    assert_folds("Αθήνα ΣΟΦΟΣ", "αθηνα σοφοσ");
    assert_folds("Москва Ёлка ЙОД Ӓӓ Ѡ", "москва елка иод аа ѡ");
    assert_folds("日本 x²", "日本 x²");
}

/* A name typed on a Mac arrives decomposed and must still be found. */
static void test_composed_and_decomposed_are_equal(void **state)
{
    (void)state;
    assert_folds("Umea\xcc\x8a o\xcc\x88", "umea o");
    assert_folds("и\xcc\x86 е\xcc\x88", "и е");
    assert_folds("α\xcc\x81", "α");
}

/* Copied text brings hard spaces, soft hyphens and line breaks with it. */
static void test_spaces_become_one(void **state)
{
    (void)state;
    assert_folds("  Stora\xc2\xa0 \t\r\nSjö\xe2\x80\x89 ", "stora sjo");
    assert_folds("fisk\xc2\xad"
                 "e\xe2\x80\x8b vatten",
                 "fiske vatten");
    assert_folds("Märta’s – kafé", "marta's - kafe");
    assert_folds(" \n ", "");
    assert_folds("", "");
}

/* Bytes of a stranger's body reach this before anything else has looked at them. */
static void test_broken_bytes_are_dropped(void **state)
{
    (void)state;
    assert_folds("a\xff\xc3", "a");
    assert_folds("a\xe2\x82", "a");
    assert_folds("a\x01\x7f"
                 "b",
                 "ab");
}

/* An index folded twice, or by another version, would miss what one fold finds. */
static void test_folding_twice_changes_nothing(void **state)
{
    (void)state;
    for (uint32_t code = 0x20; code < 0x20000; code++) {
        uint8_t utf8[4];
        struct span text = span_of(utf8, 0);
        struct buffer once = {0}, twice = {0};

        if (code < 0x80) {
            utf8[0] = (uint8_t)code;
            text.size = 1;
        } else if (code < 0x800) {
            utf8[0] = (uint8_t)(0xc0 | code >> 6);
            utf8[1] = (uint8_t)(0x80 | (code & 0x3f));
            text.size = 2;
        } else if (code < 0x10000) {
            utf8[0] = (uint8_t)(0xe0 | code >> 12);
            utf8[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
            utf8[2] = (uint8_t)(0x80 | (code & 0x3f));
            text.size = 3;
        } else {
            utf8[0] = (uint8_t)(0xf0 | code >> 18);
            utf8[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
            utf8[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
            utf8[3] = (uint8_t)(0x80 | (code & 0x3f));
            text.size = 4;
        }
        fold_put(&once, text);
        fold_put(&twice, buffer_span(&once));
        if (!span_equal(buffer_span(&once), buffer_span(&twice)) || !utf8_valid(buffer_span(&once)))
            fail_msg("U+%04x folds differently the second time", (unsigned)code);
        buffer_done(&once);
        buffer_done(&twice);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_letters_lose_case_and_marks),
        cmocka_unit_test(test_composed_and_decomposed_are_equal),
        cmocka_unit_test(test_spaces_become_one),
        cmocka_unit_test(test_broken_bytes_are_dropped),
        cmocka_unit_test(test_folding_twice_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
