/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/zone.h"

#include <stdlib.h>
#include <time.h>

#include "protocol/num.h"
#include "tests/support/test.h"

static int64_t utc(const char *text)
{
    int64_t ms;

    assert_ok(num_parse_time(span_of_str(text), &ms));
    return ms;
}

static int64_t local_ms(const char *text)
{
    struct zone_local local;

    assert_ok(zone_local_parse(span_of_str(text), &local));
    return local.local_ms;
}

static const struct span stockholm = {(const uint8_t *)"Europe/Stockholm", 16};

/* An event an hour off, twice a year, in every calendar that takes our feed. */
static void test_summer_time_begins_and_ends(void **state)
{
    (void)state;
    /* 2026: March 29 and October 25. */
    assert_int_equal(zone_offset_ms(stockholm, utc("2026-03-29T00:59:59.999Z")), 3600000);
    assert_int_equal(zone_offset_ms(stockholm, utc("2026-03-29T01:00:00Z")), 7200000);
    assert_int_equal(zone_offset_ms(stockholm, utc("2026-10-25T00:59:59.999Z")), 7200000);
    assert_int_equal(zone_offset_ms(stockholm, utc("2026-10-25T01:00:00Z")), 3600000);
    /* Sunday the 31st, and the year 2027 when it is the 28th. */
    assert_int_equal(zone_offset_ms(stockholm, utc("2024-03-31T01:00:00Z")), 7200000);
    assert_int_equal(zone_offset_ms(stockholm, utc("2024-03-31T00:59:59Z")), 3600000);
    assert_int_equal(zone_offset_ms(stockholm, utc("2027-03-28T01:00:00Z")), 7200000);
    assert_int_equal(zone_offset_ms(span_of_str("UTC"), utc("2026-07-01T00:00:00Z")), 0);
    assert_int_equal(zone_offset_ms(span_of_str("Europe/Helsinki"), utc("2026-07-01T00:00:00Z")),
                     3 * 3600000);
}

/* The system's own time zone database is the judge, where it is installed. */
static void test_agrees_with_the_system(void **state)
{
    static const char *const names[] = {"Europe/Stockholm", "Europe/Helsinki", "Europe/Oslo",
                                        "Europe/Copenhagen"};
    uint64_t random = 0x20e5;

    (void)state;
    for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
        struct tm tm;
        time_t july = 1783000000;

        setenv("TZ", names[n], 1);
        tzset();
        localtime_r(&july, &tm);
        if (tm.tm_gmtoff == 0)
            skip(); /* no tzdata */
        for (int i = 0; i < 20000; i++) {
            /* 1996-01-01 to the end of 2037, where many databases stop. */
            time_t t = 820454400 + (time_t)test_random_below(&random, 1325000000);
            bool exists;

            localtime_r(&t, &tm);
            if (zone_offset_ms(span_of_str(names[n]), (int64_t)t * 1000) / 1000 != tm.tm_gmtoff)
                fail_msg("%s at %lld", names[n], (long long)t);
            /* And back, but for the second of two equal hours. */
            if (zone_utc_ms(span_of_str(names[n]), ((int64_t)t + tm.tm_gmtoff) * 1000, &exists) !=
                (int64_t)t * 1000) {
                assert_int_equal(tm.tm_mon, 9);
                assert_int_equal(tm.tm_isdst, 0);
            }
            assert_true(exists);
        }
    }
    unsetenv("TZ");
    tzset();
}

static void test_hours_that_come_twice_or_never(void **state)
{
    bool exists;

    (void)state;
    assert_int_equal(zone_utc_ms(stockholm, local_ms("2026-10-25T02:30"), &exists),
                     utc("2026-10-25T00:30:00Z"));
    assert_true(exists);
    assert_int_equal(zone_utc_ms(stockholm, local_ms("2026-10-25T03:00"), &exists),
                     utc("2026-10-25T02:00:00Z"));
    assert_true(exists);
    assert_int_equal(zone_utc_ms(stockholm, local_ms("2026-03-29T02:30"), &exists),
                     utc("2026-03-29T01:30:00Z"));
    assert_false(exists);
    assert_int_equal(zone_utc_ms(stockholm, local_ms("2026-03-29T03:00"), &exists),
                     utc("2026-03-29T01:00:00Z"));
    assert_true(exists);
    assert_int_equal(zone_utc_ms(span_of_str("UTC"), local_ms("2026-03-29T02:30"), NULL),
                     utc("2026-03-29T02:30:00Z"));
}

static void test_local_times_as_text(void **state)
{
    static const struct {
        const char *text;
        const char *canonical;
    } good[] = {{"2026-07-04", "2026-07-04"},
                {"2026-07-04T18:00", "2026-07-04T18:00:00"},
                {"2026-07-04 18:00", "2026-07-04T18:00:00"},
                {"2024-02-29T23:59:59", "2024-02-29T23:59:59"},
                {"0001-01-01T00:00:00", "0001-01-01T00:00:00"},
                {"9999-12-31", "9999-12-31"}};
    static const char *const bad[] = {"",
                                      "2026-7-4",
                                      "2026-02-29",
                                      "2026-13-01",
                                      "2026-00-01",
                                      "2026-01-32",
                                      "2100-02-29",
                                      "2026-07-04T24:00",
                                      "2026-07-04T18:60",
                                      "0000-01-01",
                                      "2026-07-04T18:00Z",
                                      "2026-07-04T18-00",
                                      "2026-07-04T18:00:60",
                                      "2026-07-04x18:00",
                                      "20260704"};
    struct zone_local local;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct buffer out = {0};

        assert_ok(zone_local_parse(span_of_str(good[i].text), &local));
        zone_local_put(&out, &local);
        assert_true(span_equal(buffer_span(&out), span_of_str(good[i].canonical)));
        assert_int_equal(zone_year(local.local_ms), (int)strtol(good[i].text, NULL, 10));
        buffer_done(&out);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (zone_local_parse(span_of_str(bad[i]), &local) != TORG_E_INVALID)
            fail_msg("%s was taken", bad[i]);
    }
}

static void test_names_and_offsets(void **state)
{
    struct buffer out = {0};

    (void)state;
    assert_true(zone_known(stockholm));
    assert_false(zone_known(span_of_str("Europe/Berlin")));
    assert_true(zone_name_valid(span_of_str("America/Argentina/Buenos_Aires")));
    assert_true(zone_name_valid(span_of_str("Etc/GMT+5")));
    assert_false(zone_name_valid(span_of_str("")));
    assert_false(zone_name_valid(span_of_str("/Europe")));
    assert_false(zone_name_valid(span_of_str("Europe/")));
    assert_false(zone_name_valid(span_of_str("Europe//Oslo")));
    assert_false(zone_name_valid(span_of_str("../etc/passwd")));
    assert_false(zone_name_valid(span_of_str("+01:00")));
    zone_offset_put(&out, -(5 * 3600000 + 30 * 60000));
    zone_offset_put(&out, 7200000);
    assert_true(span_equal(buffer_span(&out), span_of_str("-05:30+02:00")));
    buffer_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_summer_time_begins_and_ends),
        cmocka_unit_test(test_agrees_with_the_system),
        cmocka_unit_test(test_hours_that_come_twice_or_never),
        cmocka_unit_test(test_local_times_as_text),
        cmocka_unit_test(test_names_and_offsets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
