/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#include "protocol/listing_ical.h"

/*
 * A calendar program says nothing about an event that it does not understand:
 * it is not there, or an hour late. So lines are compared to the letter.
 */
#define FEATURE(properties)                                                                        \
    "{\"type\":\"Feature\",\"id\":\"aaa-bbb\",\"geometry\":{\"type\":\"Point\",\"coordinates\":"   \
    "[20.263,63.8258]},\"properties\":{\"collection\":\"events\",\"name\":{\"sv\":\"Konsert\","    \
    "\"en\":\"Concert\"},\"created\":\"2026-01-01T00:00:00Z\",\"modified\":"                       \
    "\"2026-01-01T01:00:00.250Z\"" properties "}}"

static void put(const char *feature, const char *language, struct buffer *out)
{
    buffer_clear(out);
    assert_ok(listing_put_ical(span_of_str(feature), language, out));
    buffer_put_u8(out, 0);
    assert_ok(out->err);
}

static void assert_line(const struct buffer *out, const char *line)
{
    char wanted[200];

    (void)snprintf(wanted, sizeof(wanted), "\r\n%s\r\n", line);
    if (!strstr((const char *)out->data, wanted))
        fail_msg("%s is not in %s", line, (const char *)out->data);
}

static void test_an_event(void **state)
{
    struct buffer out = {0};

    (void)state;
    put(FEATURE(",\"start\":\"2026-07-04T18:00:00+02:00[Europe/Stockholm]\","
                "\"end\":\"2026-07-04T20:30:00+02:00[Europe/Stockholm]\","
                "\"address\":{\"street\":\"Storgatan 1\",\"postalCode\":\"903 26\","
                "\"locality\":\"Umeå\"},\"url\":\"https://example.org/?a=b,c;d\","
                "\"themes\":[\"culture/music\",\"food/cafe\"],\"description\":{\"sv\":"
                "\"Med kaffe; kakor, \\\\ bröd.\\nVälkomna\"}"),
        "sv", &out);
    assert_line(&out, "UID:aaa-bbb@torg");
    assert_line(&out, "DTSTAMP:20260101T010000Z");
    assert_line(&out, "CREATED:20260101T000000Z");
    assert_line(&out, "SEQUENCE:3600");
    assert_line(&out, "DTSTART;TZID=Europe/Stockholm:20260704T180000");
    assert_line(&out, "DTEND;TZID=Europe/Stockholm:20260704T203000");
    assert_line(&out, "SUMMARY:Konsert");
    assert_line(&out, "DESCRIPTION:Med kaffe\\; kakor\\, \\\\ bröd.\\nVälkomna");
    assert_line(&out, "LOCATION:Storgatan 1\\, 903 26 Umeå");
    assert_line(&out, "GEO:63.8258;20.263");
    assert_line(&out, "URL:https://example.org/?a=b,c;d");
    assert_line(&out, "CATEGORIES:culture/music,food/cafe");
    assert_line(&out, "STATUS:CONFIRMED");
    put(FEATURE(",\"start\":\"2026-07-04[Europe/Stockholm]\",\"status\":\"cancelled\","
                "\"end\":\"2026-07-05[Europe/Stockholm]\""),
        "en", &out);
    assert_line(&out, "DTSTART;VALUE=DATE:20260704");
    assert_line(&out, "DTEND;VALUE=DATE:20260706"); /* the day after the last */
    assert_line(&out, "SUMMARY:Concert");
    assert_line(&out, "STATUS:CANCELLED");
    put(FEATURE(",\"start\":\"2026-07-04T18:00:00+00:00[UTC]\",\"recurrence\":{\"rule\":"
                "\"FREQ=WEEKLY;BYDAY=SA\",\"exceptions\":[\"2026-07-11\",\"2026-07-18T18:00\"]}"),
        "fi", &out);
    assert_line(&out, "DTSTART:20260704T180000Z");
    assert_line(&out, "RRULE:FREQ=WEEKLY;BYDAY=SA");
    assert_line(&out, "EXDATE:20260711T180000Z");
    assert_line(&out, "EXDATE:20260718T180000Z");
    assert_line(&out, "SUMMARY:Konsert");
    buffer_done(&out);
}

/* No line of a listing may become a line of the calendar. */
static void test_nothing_breaks_out(void **state)
{
    struct buffer out = {0};

    (void)state;
    put(FEATURE(",\"start\":\"2026-07-04[Europe/Stockholm]\",\"url\":"
                "\"https://x/\\r\\nBEGIN:VALARM\",\"description\":{\"sv\":"
                "\"a\\r\\nEND:VEVENT\\u2028\"}"),
        "sv", &out);
    assert_null(strstr((const char *)out.data, "\nBEGIN:VALARM"));
    assert_line(&out, "DESCRIPTION:a\\nEND:VEVENT\u2028");
    buffer_done(&out);
}

/* Half a letter at a fold is no letter. */
static void test_folding(void **state)
{
    struct buffer out = {0};

    (void)state;
    for (size_t shift = 0; shift < 4; shift++) {
        char feature[1200], text[600] = "";
        const uint8_t *line, *end;

        memset(text, 'x', shift);
        for (size_t i = 0; i < 60; i++)
            strcat(text, i % 3 ? "å" : "🐟");
        (void)snprintf(feature, sizeof(feature),
                       FEATURE(",\"start\":\"2026-07-04[Europe/Stockholm]\",\"description\":"
                               "{\"sv\":\"%s\"}"),
                       text);
        put(feature, "sv", &out);
        for (line = out.data; *line; line = end + 2) {
            end = memmem(line, out.size - (size_t)(line - out.data), "\r\n", 2);
            assert_non_null(end);
            assert_true(end - line <= 75);
            assert_true(utf8_valid(span_of(line, (size_t)(end - line))));
        }
    }
    buffer_done(&out);
}

static void test_what_is_no_event(void **state)
{
    static const char *const without_start[] = {
        FEATURE(""), FEATURE(",\"start\":\"2026-07-04T18:00:00+02:00[Asia/Tokyo]\""),
        FEATURE(",\"start\":\"2026\""), FEATURE(",\"start\":\"[\""), FEATURE(",\"start\":\"[]\"")};
    struct buffer out = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(without_start); i++) {
        assert_ok(listing_put_ical(span_of_str(without_start[i]), "sv", &out));
        assert_int_equal(out.size, 0);
    }
    assert_err(listing_put_ical(span_of_str("{"), "sv", &out), TORG_E_INVALID);
    assert_err(listing_put_ical(span_of_str("{}"), "sv", &out), TORG_E_INVALID);
    assert_int_equal(out.size, 0);
    buffer_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_event),
        cmocka_unit_test(test_nothing_breaks_out),
        cmocka_unit_test(test_folding),
        cmocka_unit_test(test_what_is_no_event),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
