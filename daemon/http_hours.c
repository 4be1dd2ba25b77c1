/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_hours.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "daemon/html.h"
#include "protocol/rrule.h"

#define WEEKDAYS 7
#define EVERY_DAY 0x7f
#define RUN_MIN 3 /* "mån–ons", but "mån, tis" */
#define RULE_BYTES_MAX 256
#define HOME_ZONE "Europe/Stockholm"

static const char *either(enum http_language language, const char *sv, const char *en)
{
    return language == HTTP_ENGLISH ? en : sv;
}

/* ---- days ---- */

static const char *weekday(enum http_language language, unsigned i)
{
    static const char *const names[][2] = {{"mån", "Mon"},  {"tis", "Tue"}, {"ons", "Wed"},
                                           {"tors", "Thu"}, {"fre", "Fri"}, {"lör", "Sat"},
                                           {"sön", "Sun"}};

    return names[i][language];
}

/* Before the number'th of count things in a list: ", " or " och ". */
static void put_between(struct buffer *out, enum http_language language, unsigned number,
                        unsigned count)
{
    if (number > 0)
        buffer_put_str(out, number + 1 < count ? ", " : either(language, " och ", " and "));
}

static void put_weekdays(struct buffer *out, enum http_language language, uint8_t days)
{
    struct {
        unsigned first, last;
    } runs[WEEKDAYS];
    unsigned count = 0;

    if (days == EVERY_DAY) {
        buffer_put_str(out, either(language, "alla dagar", "every day"));
        return;
    }
    for (unsigned i = 0; i < WEEKDAYS; i++) {
        unsigned last = i;

        if (!(days >> i & 1))
            continue;
        while (last + 1 < WEEKDAYS && (days >> (last + 1) & 1))
            last++;
        if (last - i + 1 < RUN_MIN)
            last = i;
        runs[count].first = i;
        runs[count++].last = last;
        i = last;
    }
    for (unsigned i = 0; i < count; i++) {
        put_between(out, language, i, count);
        buffer_put_str(out, weekday(language, runs[i].first));
        if (runs[i].last > runs[i].first)
            buffer_printf(out, "–%s", weekday(language, runs[i].last));
    }
}

/* NULL: a number that has no word. */
static const char *ordinal(enum http_language language, int16_t number)
{
    static const char *const names[][2] = {{"första", "first"},
                                           {"andra", "second"},
                                           {"tredje", "third"},
                                           {"fjärde", "fourth"},
                                           {"femte", "fifth"}};

    if (number == -1)
        return either(language, "sista", "last");
    return number >= 1 && (size_t)number <= ARRAY_SIZE(names) ? names[number - 1][language] : NULL;
}

/* "första lördagen och sista söndagen i månaden" */
static bool put_nth(struct buffer *out, enum http_language language, const struct rrule *rule)
{
    static const char *const names[][2] = {
        {"måndagen", "Monday"},    {"tisdagen", "Tuesday"}, {"onsdagen", "Wednesday"},
        {"torsdagen", "Thursday"}, {"fredagen", "Friday"},  {"lördagen", "Saturday"},
        {"söndagen", "Sunday"},
    };

    for (unsigned i = 0; i < rule->nth.count; i++) {
        if (!ordinal(language, rule->nth.values[i]))
            return false;
    }
    for (unsigned i = 0; i < rule->nth.count; i++) {
        put_between(out, language, i, rule->nth.count);
        buffer_printf(out, "%s %s", ordinal(language, rule->nth.values[i]),
                      names[rule->nth_weekdays[i]][language]);
    }
    buffer_put_str(out, either(language, " i månaden", " of the month"));
    return true;
}

/* "den 1 och 15 i månaden" */
static bool put_month_days(struct buffer *out, enum http_language language,
                           const struct rrule *rule)
{
    const struct rrule_numbers *days = &rule->month_days;

    for (unsigned i = 0; i < days->count; i++) {
        if (days->values[i] < 0)
            return false;
    }
    buffer_put_str(out, either(language, "den ", "day "));
    for (unsigned i = 0; i < days->count; i++) {
        put_between(out, language, i, days->count);
        buffer_printf(out, "%d", days->values[i]);
    }
    buffer_put_str(out, either(language, " i månaden", " of the month"));
    return true;
}

static void put_interval(struct buffer *out, enum http_language language, int64_t interval)
{
    if (interval == 2)
        buffer_put_str(out, either(language, "varannan vecka: ", "every other week: "));
    else if (interval > 2)
        buffer_printf(out, "%s%" PRId64 "%s", either(language, "var ", "every "), interval,
                      either(language, ":e vecka: ", " weeks: "));
}

/* false: it has no words, and nothing was written. */
static bool put_rule(struct buffer *out, enum http_language language, const struct rrule *rule)
{
    bool plain = !rule->times && !rule->year_days.count && !rule->weeks.count &&
                 !rule->months.count && !rule->positions.count;
    bool by_weekday = plain && rule->weekdays && !rule->nth.count && !rule->month_days.count;
    bool every = plain && !rule->weekdays && !rule->nth.count && !rule->month_days.count;

    switch (rule->frequency) {
    case RRULE_DAILY:
        if (rule->interval != 1 || !(every || by_weekday))
            return false;
        put_weekdays(out, language, every ? EVERY_DAY : rule->weekdays);
        return true;
    case RRULE_WEEKLY:
        if (!by_weekday)
            return false;
        put_interval(out, language, rule->interval);
        put_weekdays(out, language, rule->weekdays);
        return true;
    case RRULE_MONTHLY:
        if (!plain || rule->interval != 1 || rule->weekdays ||
            !rule->nth.count == !rule->month_days.count)
            return false;
        return rule->nth.count ? put_nth(out, language, rule) : put_month_days(out, language, rule);
    case RRULE_YEARLY:
        break;
    }
    return false;
}

static void put_until(struct buffer *out, enum http_language language, const struct rrule *rule)
{
    time_t seconds = (time_t)(rule->until_ms / 1000);
    struct tm tm;

    if (rule->end == RRULE_FOR_EVER || !gmtime_r(&seconds, &tm))
        return;
    buffer_printf(out, "%s%04d-%02d-%02d", either(language, " till och med ", " through "),
                  tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
}

/* Weekdays with commas, or a recurrence rule. */
static void put_days(struct buffer *out, enum http_language language, const char *days)
{
    bool is_rule = strncmp(days, "FREQ=", 5) == 0;
    char text[RULE_BYTES_MAX];
    struct rrule rule;
    int size = snprintf(text, sizeof(text), "%s%s", is_rule ? "" : "FREQ=WEEKLY;BYDAY=", days);

    if (size < (int)sizeof(text) && !rrule_parse(span_of_str(text), &rule) &&
        put_rule(out, language, &rule)) {
        put_until(out, language, &rule);
        return;
    }
    html_text(out, days);
}

/* ---- entries ---- */

static const char *text_of(const json_t *entry, const char *name)
{
    const char *text = json_string_value(json_object_get(entry, name));

    return text ? text : "";
}

static void put_times(struct buffer *out, enum http_language language, const char *opens,
                      const char *closes)
{
    if (strcmp(opens, "00:00") == 0 && strcmp(closes, "24:00") == 0) {
        buffer_put_str(out, either(language, "dygnet runt", "all day and night"));
        return;
    }
    html_text(out, opens);
    buffer_put_str(out, "–");
    html_text(out, closes);
    if (strcmp(opens, closes) == 0)
        buffer_put_str(out, either(language, " nästa dag", " the next day"));
}

static void put_season(struct buffer *out, enum http_language language, const char *from,
                       const char *through)
{
    if (!from[0] && !through[0])
        return;
    buffer_put_str(out, " (");
    if (!through[0])
        buffer_put_str(out, either(language, "från ", "from "));
    html_text(out, from);
    if (strcmp(from, through) != 0 && through[0]) {
        buffer_put_str(out, from[0] ? " – " : either(language, "till och med ", "through "));
        html_text(out, through);
    }
    buffer_put_str(out, ")");
}

static void put_entry(struct buffer *out, enum http_language language, const json_t *entry)
{
    const char *zone = text_of(entry, "zone");

    put_days(out, language, text_of(entry, "days"));
    buffer_put_u8(out, ' ');
    put_times(out, language, text_of(entry, "opens"), text_of(entry, "closes"));
    put_season(out, language, text_of(entry, "from"), text_of(entry, "through"));
    if (zone[0] && strcmp(zone, HOME_ZONE) != 0) {
        buffer_put_u8(out, ' ');
        html_text(out, zone);
    }
}

void http_hours_put(struct buffer *out, enum http_language language, const json_t *hours)
{
    bool any = false;

    for (size_t i = 0; i < json_array_size(hours); i++) {
        const json_t *entry = json_array_get(hours, i);

        if (!text_of(entry, "days")[0] || !text_of(entry, "opens")[0] ||
            !text_of(entry, "closes")[0])
            continue; /* What strangers sign may be anything. */
        buffer_put_str(out, any ? "<br>" : "");
        put_entry(out, language, entry);
        any = true;
    }
}
