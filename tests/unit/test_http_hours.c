/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include "daemon/http_hours.h"

/* Hours that read well and are wrong send people on a journey for nothing. */

static struct buffer out;

static const char *read_as(enum http_language language, const char *json)
{
    json_t *hours = json_loads(json, JSON_DECODE_ANY, NULL);

    assert_non_null(hours);
    buffer_clear(&out);
    http_hours_put(&out, language, hours);
    buffer_put_u8(&out, 0);
    assert_int_equal(out.err, TORG_OK);
    json_decref(hours);
    return (const char *)out.data;
}

static void assert_days(const char *days, const char *sv, const char *en)
{
    const char *const expected[] = {[HTTP_SWEDISH] = sv, [HTTP_ENGLISH] = en};

    for (enum http_language i = HTTP_SWEDISH; i <= HTTP_ENGLISH; i++) {
        char json[400], text[400];

        (void)snprintf(json, sizeof(json),
                       "[{\"days\":\"%s\",\"opens\":\"09:00\",\"closes\":\"17:00\","
                       "\"zone\":\"Europe/Stockholm\"}]",
                       days);
        (void)snprintf(text, sizeof(text), "%s 09:00–17:00", expected[i]);
        assert_string_equal(read_as(i, json), text);
    }
}

static void test_weekdays(void **state)
{
    (void)state;
    assert_days("MO", "mån", "Mon");
    assert_days("MO,TU", "mån och tis", "Mon and Tue");
    assert_days("TU,MO,WE", "mån–ons", "Mon–Wed");
    assert_days("MO,TU,WE,TH,FR", "mån–fre", "Mon–Fri");
    assert_days("SU,MO,WE,TH,FR", "mån, ons–fre och sön", "Mon, Wed–Fri and Sun");
    assert_days("MO,WE,FR,SU", "mån, ons, fre och sön", "Mon, Wed, Fri and Sun");
    assert_days("MO,TU,WE,TH,FR,SA,SU", "alla dagar", "every day");
}

static void test_rules(void **state)
{
    (void)state;
    assert_days("FREQ=DAILY", "alla dagar", "every day");
    assert_days("FREQ=DAILY;BYDAY=SA,SU", "lör och sön", "Sat and Sun");
    assert_days("FREQ=WEEKLY;BYDAY=TU", "tis", "Tue");
    assert_days("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU", "varannan vecka: tis", "every other week: Tue");
    assert_days("FREQ=WEEKLY;INTERVAL=3;BYDAY=TU", "var 3:e vecka: tis", "every 3 weeks: Tue");
    assert_days("FREQ=MONTHLY;BYDAY=1SA", "första lördagen i månaden",
                "first Saturday of the month");
    assert_days("FREQ=MONTHLY;BYDAY=2TU,-1SU", "andra tisdagen och sista söndagen i månaden",
                "second Tuesday and last Sunday of the month");
    assert_days("FREQ=MONTHLY;BYMONTHDAY=1,15", "den 1 och 15 i månaden",
                "day 1 and 15 of the month");
    assert_days("FREQ=WEEKLY;BYDAY=SA;UNTIL=20261231", "lör till och med 2026-12-31",
                "Sat through 2026-12-31");
}

/* Half of such a rule in words would be wrong; all of it says at least what it is. */
static void test_rules_without_words(void **state)
{
    static const char *const rules[] = {
        "FREQ=DAILY;INTERVAL=2",
        "FREQ=DAILY;BYMONTH=6",
        "FREQ=WEEKLY",
        "FREQ=WEEKLY;BYDAY=MO;COUNT=3",
        "FREQ=WEEKLY;BYDAY=MO;BYMONTH=1,2",
        "FREQ=MONTHLY",
        "FREQ=MONTHLY;BYDAY=SA;BYSETPOS=1",
        "FREQ=MONTHLY;BYDAY=1SA,SU",
        "FREQ=MONTHLY;BYDAY=1SA;BYMONTHDAY=3",
        "FREQ=MONTHLY;INTERVAL=2;BYDAY=1SA",
        "FREQ=MONTHLY;BYDAY=-2SA",
        "FREQ=MONTHLY;BYMONTHDAY=-1",
        "FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=24",
        "FREQ=NEVER",
        "XX",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
        assert_days(rules[i], rules[i], rules[i]);
}

static void test_times_and_seasons(void **state)
{
    static const struct {
        const char *json, *sv, *en;
    } cases[] = {
        {"[]", "", ""},
        {"null", "", ""},
        {"[{\"days\":\"MO\",\"opens\":\"00:00\",\"closes\":\"24:00\"}]", "mån dygnet runt",
         "Mon all day and night"},
        {"[{\"days\":\"FR\",\"opens\":\"22:00\",\"closes\":\"02:00\"}]", "fre 22:00–02:00",
         "Fri 22:00–02:00"},
        {"[{\"days\":\"FR\",\"opens\":\"08:00\",\"closes\":\"08:00\"}]",
         "fre 08:00–08:00 nästa dag", "Fri 08:00–08:00 the next day"},
        {"[{\"days\":\"FR\",\"opens\":\"08:00\",\"closes\":\"09:00\",\"from\":\"2026-06-01\","
         "\"through\":\"2026-08-31\"}]",
         "fre 08:00–09:00 (2026-06-01 – 2026-08-31)", "Fri 08:00–09:00 (2026-06-01 – 2026-08-31)"},
        {"[{\"days\":\"TH\",\"opens\":\"08:00\",\"closes\":\"09:00\",\"from\":\"2026-12-24\","
         "\"through\":\"2026-12-24\"}]",
         "tors 08:00–09:00 (2026-12-24)", "Thu 08:00–09:00 (2026-12-24)"},
        {"[{\"days\":\"TH\",\"opens\":\"08:00\",\"closes\":\"09:00\",\"from\":\"2026-12-24\"}]",
         "tors 08:00–09:00 (från 2026-12-24)", "Thu 08:00–09:00 (from 2026-12-24)"},
        {"[{\"days\":\"TH\",\"opens\":\"08:00\",\"closes\":\"09:00\",\"through\":\"2026-12-24\"}]",
         "tors 08:00–09:00 (till och med 2026-12-24)", "Thu 08:00–09:00 (through 2026-12-24)"},
        {"[{\"days\":\"TH\",\"opens\":\"08:00\",\"closes\":\"09:00\",\"zone\":"
         "\"Europe/Helsinki\"},{\"days\":\"SA\",\"opens\":\"10:00\",\"closes\":\"12:00\","
         "\"zone\":\"Europe/Stockholm\"}]",
         "tors 08:00–09:00 Europe/Helsinki<br>lör 10:00–12:00",
         "Thu 08:00–09:00 Europe/Helsinki<br>Sat 10:00–12:00"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_string_equal(read_as(HTTP_SWEDISH, cases[i].json), cases[i].sv);
        assert_string_equal(read_as(HTTP_ENGLISH, cases[i].json), cases[i].en);
    }
}

/* Another torg's program may sign anything. */
static void test_strangers_hours(void **state)
{
    (void)state;
    assert_string_equal(read_as(HTTP_SWEDISH, "[1,{},{\"days\":7,\"opens\":[],\"closes\":null},"
                                              "{\"days\":\"MO\",\"opens\":\"08:00\"}]"),
                        "");
    assert_string_equal(
        read_as(HTTP_SWEDISH, "[{\"days\":\"<i>\",\"opens\":\"<b>\",\"closes\":\"\\\"x\",\"zone\":"
                              "\"<u>\",\"from\":\"&\",\"through\":\"'\"}]"),
        "&lt;i&gt; &lt;b&gt;–&quot;x (&amp; – &#39;) &lt;u&gt;");
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
        cmocka_unit_test(test_weekdays),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_rules_without_words),
        cmocka_unit_test(test_times_and_seasons),
        cmocka_unit_test(test_strangers_hours),
    };

    return cmocka_run_group_tests(tests, NULL, free_buffer);
}
