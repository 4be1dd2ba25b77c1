/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/opening.h"

#include <string.h>

#include "protocol/num.h"
#include "protocol/profile.h"
#include "protocol/rrule.h"
#include "protocol/zone.h"
#include "tests/support/test.h"

/* A day as text, "2026-11-21". */
static int64_t day(const char *text)
{
    struct zone_local local;

    assert_ok(zone_local_parse(span_of_str(text), &local));
    return zone_day(local.local_ms);
}

static int64_t moment(const char *text)
{
    int64_t ms;

    assert_ok(num_parse_time(span_of_str(text), &ms));
    return ms;
}

/*
 * Each rule's first days from a first day on, as dateutil (2.9) and a calendar
 * have them: a rule that is off by one opens a shop on the wrong day.
 */
static void test_days_of_rules(void **state)
{
    static const struct {
        const char *rule, *first;
        const char *days[6]; /* all that there are up to the last of them */
    } cases[] = {
        {"FREQ=DAILY;INTERVAL=3", "2026-02-26", {"2026-02-26", "2026-03-01", "2026-03-04"}},
        {"FREQ=DAILY;BYMONTH=1,3;BYDAY=SU",
         "2026-01-20",
         {"2026-01-25", "2026-03-01", "2026-03-08"}},
        {"FREQ=WEEKLY", "2026-11-18", {"2026-11-18", "2026-11-25", "2026-12-02"}},
        {"FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=MO",
         "1997-08-05",
         {"1997-08-05", "1997-08-10", "1997-08-19", "1997-08-24"}},
        {"FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU",
         "1997-08-05",
         {"1997-08-05", "1997-08-17", "1997-08-19", "1997-08-31"}},
        {"FREQ=MONTHLY", "2026-01-31", {"2026-01-31", "2026-03-31", "2026-05-31"}},
        {"FREQ=MONTHLY;BYDAY=1SA", "2026-11-08", {"2026-12-05", "2027-01-02", "2027-02-06"}},
        {"FREQ=MONTHLY;BYDAY=-1SU,2MO",
         "2026-02-01",
         {"2026-02-09", "2026-02-22", "2026-03-09", "2026-03-29"}},
        {"FREQ=MONTHLY;BYMONTHDAY=-1,15", "2028-02-01", {"2028-02-15", "2028-02-29", "2028-03-15"}},
        {"FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13",
         "2026-01-01",
         {"2026-02-13", "2026-03-13", "2026-11-13"}},
        {"FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
         "2026-01-01",
         {"2026-01-30", "2026-02-27", "2026-03-31"}},
        {"FREQ=MONTHLY;INTERVAL=5;BYMONTHDAY=1", "2026-09-10", {"2027-02-01", "2027-07-01"}},
        {"FREQ=YEARLY", "2024-02-29", {"2024-02-29", "2028-02-29"}},
        {"FREQ=YEARLY;BYMONTH=6", "2026-06-24", {"2026-06-24", "2027-06-24"}},
        {"FREQ=YEARLY;BYDAY=20MO", "1997-05-19", {"1997-05-19", "1998-05-18", "1999-05-17"}},
        {"FREQ=YEARLY;BYMONTH=6;BYDAY=3SA", "2026-01-01", {"2026-06-20", "2027-06-19"}},
        {"FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO",
         "1997-05-12",
         {"1997-05-12", "1998-05-11", "1999-05-17"}},
        {"FREQ=YEARLY;BYWEEKNO=1;BYDAY=TU",
         "2024-01-01",
         {"2024-01-02", "2024-12-31", "2025-12-30"}},
        {"FREQ=YEARLY;BYWEEKNO=-1;BYDAY=SU", "2026-01-01", {"2027-01-03", "2028-01-02"}},
        {"FREQ=YEARLY;BYYEARDAY=1,-1", "2026-06-01", {"2026-12-31", "2027-01-01", "2027-12-31"}},
        {"FREQ=DAILY;COUNT=2;BYDAY=MO", "2026-11-17", {"2026-11-23", "2026-11-30", "2026-11-30"}},
        {"FREQ=MONTHLY;COUNT=3;BYMONTHDAY=31;BYHOUR=9",
         "2026-11-01",
         {"2026-12-31", "2027-01-31", "2027-03-31", "2027-03-31"}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t first = day(cases[i].first), at = first - 400;
        uint64_t work = 0;
        struct rrule rule;

        assert_ok(rrule_parse(span_of_str(cases[i].rule), &rule));
        for (size_t j = 0; j < ARRAY_SIZE(cases[i].days) && cases[i].days[j]; j++) {
            int64_t wanted = day(cases[i].days[j]);

            for (; at <= wanted; at++) {
                if (rrule_has_day(&rule, first, at, &work) != (at == wanted))
                    fail_msg("%s, day %zu: %d days before %s", cases[i].rule, j, (int)(wanted - at),
                             cases[i].days[j]);
            }
        }
        /* A count that is used up; the last day stands twice to say so. */
        for (int64_t later = at; rule.times > 0 && later < at + 800; later++)
            assert_false(rrule_has_day(&rule, first, later, &work));
    }
}

static void test_rules_that_are_none(void **state)
{
    static const char *const texts[] = {"",
                                        "FREQ=HOURLY",
                                        "BYDAY=MO",
                                        "FREQ=DAILY;BYDAY=",
                                        "FREQ=DAILY;BYDAY=XX",
                                        "FREQ=DAILY;BYDAY=1",
                                        "FREQ=DAILY;COUNT=0",
                                        "FREQ=DAILY;UNTIL=2026",
                                        "FREQ=DAILY;UNTIL=20261301",
                                        "FREQ=DAILY;BYMONTHDAY=0",
                                        "FREQ=DAILY;INTERVAL=1001",
                                        "FREQ=DAILY;X=1",
                                        "FREQ"};
    char many[400] = "FREQ=YEARLY;BYYEARDAY=1";
    struct rrule rule;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        assert_int_equal(rrule_parse(span_of_str(texts[i]), &rule), TORG_E_INVALID);
    for (int i = 0; i < RRULE_LIST_MAX; i++)
        strcat(many, ",1");
    assert_int_equal(rrule_parse(span_of_str(many), &rule), TORG_E_TOO_BIG);
    /* Every other day of what? */
    assert_ok(rrule_parse(span_of_str("FREQ=DAILY;INTERVAL=2"), &rule));
    assert_true(rrule_needs_first(&rule));
    assert_false(rrule_has_day(&rule, INT64_MIN, 0, &(uint64_t){0}));
    assert_ok(rrule_parse(span_of_str("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=2"), &rule));
    assert_false(rrule_needs_first(&rule));
    assert_true(rrule_has_day(&rule, INT64_MIN, day("2026-11-09"), &(uint64_t){0}));
}

/* NULL for from and through: nil. */
static void put_entry(struct buffer *out, const char *const parts[6])
{
    pack_array(out, 6);
    for (size_t i = 0; i < 6; i++) {
        if (parts[i])
            pack_str(out, span_of_str(parts[i]));
        else
            pack_nil(out);
    }
}

/* Both ways: also where the slots say closed nothing may be open. */
static bool is_open(const struct buffer *hours, int64_t ms)
{
    uint64_t work = 0;
    bool open = opening_at(buffer_span(hours), ms, &work);

    if (open)
        assert_true(opening_slots(buffer_span(hours)) >> opening_slot(ms) & 1);
    return open;
}

/* From the first moment on, until just before the last one. */
static void assert_opens(const char *const parts[6], const char *from, const char *until)
{
    struct buffer hours = {0};

    pack_array(&hours, 1);
    put_entry(&hours, parts);
    if (is_open(&hours, moment(from) - 1) || !is_open(&hours, moment(from)) ||
        !is_open(&hours, moment(until) - 1) || is_open(&hours, moment(until)))
        fail_msg("%s %s-%s is not open from %s until %s", parts[0], parts[1], parts[2], from,
                 until);
    buffer_done(&hours);
}

static void test_hours_and_clocks(void **state)
{
    static const char *const week[] = {"MO,TU,WE,TH,FR",   "09:00", "17:00",
                                       "Europe/Stockholm", NULL,    NULL};
    static const char *const night[] = {"SA", "22:00", "02:30", "Europe/Stockholm", NULL, NULL};
    static const char *const skipped[] = {"SU", "02:30", "05:00", "Europe/Stockholm", NULL, NULL};
    static const char *const whole[] = {"WE", "00:00", "24:00", "Europe/Helsinki", NULL, NULL};
    static const char *const round[] = {"WE", "08:00", "08:00", "UTC", NULL, NULL};
    static const char *const late[] = {"WE", "24:00", "01:00", "UTC", NULL, NULL};
    static const char *const season[] = {"MO,TU,WE,TH,FR,SA,SU", "20:00",      "04:00",
                                         "Europe/Stockholm",     "2026-06-01", "2026-08-31"};
    static const char *const until[] = {"FREQ=WEEKLY;BYDAY=SA;UNTIL=20261121T090000Z",
                                        "10:00",
                                        "12:00",
                                        "Europe/Stockholm",
                                        NULL,
                                        NULL};
    static const char *const ended[] = {"FREQ=WEEKLY;BYDAY=SA;UNTIL=20261121T085959Z",
                                        "10:00",
                                        "12:00",
                                        "Europe/Stockholm",
                                        NULL,
                                        NULL};
    struct buffer hours = {0};

    (void)state;
    assert_opens(week, "2026-07-06T07:00:00Z", "2026-07-06T15:00:00Z");
    assert_opens(week, "2026-11-20T08:00:00Z", "2026-11-20T16:00:00Z");
    /* Into the hour that comes twice: the first of the two is meant. */
    assert_opens(night, "2026-10-24T20:00:00Z", "2026-10-25T00:30:00Z");
    /* Into the hour that is skipped, and out of it. */
    assert_opens(night, "2026-03-28T21:00:00Z", "2026-03-29T01:30:00Z");
    assert_opens(skipped, "2026-03-29T01:30:00Z", "2026-03-29T03:00:00Z");
    assert_opens(whole, "2026-10-20T21:00:00Z", "2026-10-21T21:00:00Z");
    assert_opens(round, "2026-11-18T08:00:00Z", "2026-11-19T08:00:00Z");
    assert_opens(late, "2026-11-19T00:00:00Z", "2026-11-19T01:00:00Z");
    /* The day on which it opens is that of the season. */
    assert_opens(season, "2026-06-01T18:00:00Z", "2026-06-02T02:00:00Z");
    assert_opens(season, "2026-08-31T18:00:00Z", "2026-09-01T02:00:00Z");
    assert_opens(until, "2026-11-21T09:00:00Z", "2026-11-21T11:00:00Z");
    pack_array(&hours, 1);
    put_entry(&hours, ended);
    assert_false(is_open(&hours, moment("2026-11-21T10:00:00Z")));
    assert_true(is_open(&hours, moment("2026-11-14T10:00:00Z")));
    buffer_clear(&hours);
    pack_array(&hours, 1);
    put_entry(&hours, season);
    assert_false(is_open(&hours, moment("2026-06-01T01:00:00Z")));
    assert_false(is_open(&hours, moment("2026-09-01T19:00:00Z")));
    buffer_done(&hours);
}

/* What a stranger signed may be anything; one bad entry does not hide a good one. */
static void test_what_nobody_knows_is_closed(void **state)
{
    static const char *const wrong[][6] = {
        {"MO,TU,WE,TH,FR,SA,SU", "00:00", "24:00", "Asia/Tokyo", NULL, NULL},
        {"MO,TU,WE,TH,FR,SA,SU,", "00:00", "24:00", "UTC", NULL, NULL},
        {"", "00:00", "24:00", "UTC", NULL, NULL},
        {"MO;TU", "00:00", "24:00", "UTC", NULL, NULL},
        {"FREQ=DAILY;INTERVAL=2", "00:00", "24:00", "UTC", NULL, NULL},
        {"FREQ=DAILY;NEVER=2", "00:00", "24:00", "UTC", NULL, NULL},
        {"MO,TU,WE,TH,FR,SA,SU", "0:00", "24:00", "UTC", NULL, NULL},
        {"MO,TU,WE,TH,FR,SA,SU", "00:00", "24:01", "UTC", NULL, NULL},
        {"MO,TU,WE,TH,FR,SA,SU", "00:60", "24:00", "UTC", NULL, NULL},
        {"MO,TU,WE,TH,FR,SA,SU", "00:00", "24:00", "UTC", "soon", NULL},
        {"MO,TU,WE,TH,FR,SA,SU", "00:00", "24:00", "UTC", NULL, "2026-02-30"},
    };
    static const char *const good[] = {"FR", "09:00", "10:00", "UTC", NULL, NULL};
    int64_t ms = moment("2026-11-20T09:30:00Z");
    struct buffer hours = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        buffer_clear(&hours);
        pack_array(&hours, 1);
        put_entry(&hours, wrong[i]);
        assert_false(is_open(&hours, ms));
        buffer_clear(&hours);
        pack_array(&hours, 3);
        put_entry(&hours, wrong[i]);
        pack_str(&hours, span_of_str("always"));
        put_entry(&hours, good);
        assert_true(is_open(&hours, ms));
    }
    buffer_clear(&hours);
    assert_false(is_open(&hours, ms));
    pack_str(&hours, span_of_str("always"));
    assert_false(is_open(&hours, ms));
    buffer_done(&hours);
    assert_false(opening_moment_valid(INT64_MIN));
    assert_false(opening_moment_valid(INT64_MAX));
    assert_true(opening_moment_valid(ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_days_of_rules),
        cmocka_unit_test(test_rules_that_are_none),
        cmocka_unit_test(test_hours_and_clocks),
        cmocka_unit_test(test_what_nobody_knows_is_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
