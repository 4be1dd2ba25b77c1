/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/rrule.h"

#include <string.h>

#include "protocol/num.h"
#include "protocol/zone.h"

#define DAYS_OF_WEEK 7

/* ---- reading ---- */

static bool split(struct span *text, char separator, struct span *ret_part)
{
    const uint8_t *end;

    if (text->size == 0)
        return false;
    end = memchr(text->data, separator, text->size);
    *ret_part = end ? span_of(text->data, (size_t)(end - text->data)) : *text;
    *text = end ? span_of(end + 1, text->size - ret_part->size - 1) : span_of(text->data, 0);
    return true;
}

static bool read_number(struct span text, int64_t *ret_value)
{
    if (text.size && text.data[0] == '+') /* num_parse_int has none; ours may */
        text = span_of(text.data + 1, text.size - 1);
    return num_parse_int(text, -366, 366, ret_value) == TORG_OK;
}

static enum torg_err numbers_add(struct rrule_numbers *numbers, struct span text)
{
    int64_t value;

    if (!read_number(text, &value) || value == 0)
        return TORG_E_INVALID;
    if (numbers->count == RRULE_LIST_MAX)
        return TORG_E_TOO_BIG;
    numbers->values[numbers->count++] = (int16_t)value;
    return TORG_OK;
}

static bool read_weekday(struct span text, unsigned *ret_weekday)
{
    static const char names[] = "MOTUWETHFRSASU";

    for (unsigned i = 0; i < DAYS_OF_WEEK && text.size == 2; i++) {
        *ret_weekday = i;
        if (memcmp(text.data, names + (size_t)2 * i, 2) == 0)
            return true;
    }
    return false;
}

/* MO, 1MO or -1SU */
static enum torg_err read_by_day(struct rrule *rule, struct span text)
{
    size_t digits = text.size < 2 ? 0 : text.size - 2;
    unsigned weekday;
    enum torg_err err;

    if (!read_weekday(span_of(text.data + digits, text.size - digits), &weekday))
        return TORG_E_INVALID;
    if (digits == 0) {
        rule->weekdays |= (uint8_t)(1u << weekday);
        return TORG_OK;
    }
    err = numbers_add(&rule->nth, span_of(text.data, digits));
    if (!err)
        rule->nth_weekdays[rule->nth.count - 1] = (uint8_t)weekday;
    return err;
}

static bool read_frequency(struct span text, enum rrule_frequency *ret_frequency)
{
    static const char *const names[] = {"DAILY", "WEEKLY", "MONTHLY", "YEARLY"};

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        *ret_frequency = (enum rrule_frequency)i;
        if (span_equal(text, span_of_str(names[i])))
            return true;
    }
    return false;
}

/* 20261231, 20261231T235900 or 20261231T235900Z */
static bool read_until(struct rrule *rule, struct span text)
{
    static const char form[] = "0000-00-00T00:00:00"; /* zone_local_parse wants it so */
    char iso[sizeof(form)];
    struct zone_local local;
    size_t at = 0, size = text.size == 8 ? 10 : 19;

    if (text.size != 8 && text.size != 15 && !(text.size == 16 && text.data[15] == 'Z'))
        return false;
    for (size_t i = 0; i < size; i++) {
        bool between = form[i] == '-' || form[i] == ':';

        iso[i] = between ? form[i] : (char)text.data[at];
        at += !between;
    }
    if (zone_local_parse(span_of(iso, size), &local))
        return false;
    rule->end = text.size == 16 ? RRULE_UNTIL_UTC : RRULE_UNTIL_LOCAL;
    rule->until_ms = local.local_ms + (local.date_only ? ZONE_DAY_MS - 1 : 0);
    return true;
}

static enum torg_err read_list(struct rrule *rule, struct span name, struct span value)
{
    const struct {
        const char *name;
        struct rrule_numbers *numbers;
    } lists[] = {
        {"BYMONTHDAY", &rule->month_days}, {"BYYEARDAY", &rule->year_days},
        {"BYWEEKNO", &rule->weeks},        {"BYMONTH", &rule->months},
        {"BYSETPOS", &rule->positions},
    };
    bool by_day = span_equal(name, span_of_str("BYDAY"));
    size_t i = 0;
    struct span item;
    enum torg_err err = TORG_OK;

    while (i < ARRAY_SIZE(lists) && !span_equal(name, span_of_str(lists[i].name)))
        i++;
    if (!by_day && i == ARRAY_SIZE(lists))
        return TORG_E_INVALID;
    while (!err && split(&value, ',', &item))
        err = by_day ? read_by_day(rule, item) : numbers_add(lists[i].numbers, item);
    return err;
}

static enum torg_err read_part(struct rrule *rule, struct span name, struct span value,
                               bool *has_frequency)
{
    bool good = true;

    if (span_equal(name, span_of_str("FREQ")))
        good = *has_frequency = read_frequency(value, &rule->frequency);
    else if (span_equal(name, span_of_str("UNTIL")))
        good = read_until(rule, value);
    else if (span_equal(name, span_of_str("COUNT")))
        good = num_parse_int(value, 1, 10000, &rule->times) == TORG_OK;
    else if (span_equal(name, span_of_str("INTERVAL")))
        good = num_parse_int(value, 1, 1000, &rule->interval) == TORG_OK;
    else if (span_equal(name, span_of_str("WKST")))
        good = read_weekday(value, &rule->week_start);
    else if (!span_equal(name, span_of_str("BYHOUR")) && !span_equal(name, span_of_str("BYMINUTE")))
        return read_list(rule, name, value);
    return good ? TORG_OK : TORG_E_INVALID;
}

enum torg_err rrule_parse(struct span text, struct rrule *ret_rule)
{
    struct rrule rule = {.interval = 1};
    bool has_frequency = false;
    struct span part;
    enum torg_err err = TORG_OK;

    while (!err && split(&text, ';', &part)) {
        struct span name;

        if (!split(&part, '=', &name) || part.size == 0)
            return TORG_E_INVALID;
        err = read_part(&rule, name, part, &has_frequency);
    }
    if (!err && !has_frequency)
        err = TORG_E_INVALID;
    if (!err)
        *ret_rule = rule;
    return err;
}

/* ---- days ---- */

struct day {
    int64_t number;
    int year, month, day;
    int of_year; /* 1 for the first of January */
    int month_length, year_length;
    unsigned weekday;
};

static int year_length(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 366 : 365;
}

static struct day day_of(int64_t number)
{
    struct day day = {.number = number};

    zone_date_of_days(number, &day.year, &day.month, &day.day);
    day.of_year = (int)(number - zone_days_of_date(day.year, 1, 1)) + 1;
    day.year_length = year_length(day.year);
    day.month_length = day.month == 12 ? 31
                                       : (int)(zone_days_of_date(day.year, day.month + 1, 1) -
                                               zone_days_of_date(day.year, day.month, 1));
    day.weekday = zone_weekday(number);
    return day;
}

static int64_t week_begin(int64_t number, unsigned week_start)
{
    return number - (zone_weekday(number) + DAYS_OF_WEEK - week_start) % DAYS_OF_WEEK;
}

/* A place counted from 1 in so many, and a list that counts from either end. */
static bool numbers_hold(const struct rrule_numbers *numbers, int place, int length)
{
    for (size_t i = 0; i < numbers->count; i++) {
        if (numbers->values[i] == place || numbers->values[i] == place - length - 1)
            return true;
    }
    return false;
}

/* The first week of a year is the first with four days in it. */
static int64_t weeks_begin(int year, unsigned week_start)
{
    return week_begin(zone_days_of_date(year, 1, 4), week_start);
}

static bool in_weeks(const struct rrule *rule, const struct day *day)
{
    int year = day->year;
    int64_t begin;

    if (day->number >= weeks_begin(year + 1, rule->week_start))
        year++;
    else if (day->number < weeks_begin(year, rule->week_start))
        year--;
    begin = weeks_begin(year, rule->week_start);
    return numbers_hold(&rule->weeks, (int)((day->number - begin) / DAYS_OF_WEEK) + 1,
                        (int)((weeks_begin(year + 1, rule->week_start) - begin) / DAYS_OF_WEEK));
}

/* "-1SU": of the month, or of the year where no month is named. */
static bool is_nth(const struct rrule *rule, const struct day *day)
{
    bool of_month = rule->frequency == RRULE_MONTHLY || rule->months.count > 0;
    int place = of_month ? day->day : day->of_year;
    int length = of_month ? day->month_length : day->year_length;

    for (size_t i = 0; i < rule->nth.count; i++) {
        int nth = rule->nth.values[i];

        if (rule->nth_weekdays[i] != day->weekday)
            continue;
        /* The numbers mean nothing by the day or the week. */
        if (rule->frequency < RRULE_MONTHLY || nth == (place - 1) / DAYS_OF_WEEK + 1 ||
            -nth == (length - place) / DAYS_OF_WEEK + 1)
            return true;
    }
    return false;
}

static bool by_day(const struct rrule *rule)
{
    return rule->weekdays != 0 || rule->nth.count > 0;
}

/* Does the rule leave open which days of its period are meant? */
static bool unspecified(const struct rrule *rule)
{
    return rule->frequency != RRULE_DAILY && !by_day(rule) && rule->month_days.count == 0 &&
           rule->year_days.count == 0 && rule->weeks.count == 0;
}

bool rrule_needs_first(const struct rrule *rule)
{
    return rule->interval > 1 || rule->times > 0 || unspecified(rule);
}

/* Then it is the first day that says. */
static bool like_first(const struct rrule *rule, const struct day *day, const struct day *first)
{
    if (rule->frequency == RRULE_WEEKLY)
        return day->weekday == first->weekday;
    return day->day == first->day && (rule->frequency == RRULE_MONTHLY || rule->months.count > 0 ||
                                      day->month == first->month);
}

static bool day_passes(const struct rrule *rule, const struct day *day, const struct day *first)
{
    if (rule->months.count > 0 && !numbers_hold(&rule->months, day->month, 12))
        return false;
    if (rule->weeks.count > 0 && !in_weeks(rule, day))
        return false;
    if (rule->year_days.count > 0 &&
        !numbers_hold(&rule->year_days, day->of_year, day->year_length))
        return false;
    if (rule->month_days.count > 0 && !numbers_hold(&rule->month_days, day->day, day->month_length))
        return false;
    if (by_day(rule) && !(rule->weekdays >> day->weekday & 1) && !is_nth(rule, day))
        return false;
    return !unspecified(rule) || like_first(rule, day, first);
}

/* ---- periods ---- */

static int64_t period_begin(const struct rrule *rule, const struct day *day)
{
    switch (rule->frequency) {
    case RRULE_WEEKLY:
        return week_begin(day->number, rule->week_start);
    case RRULE_MONTHLY:
        return day->number - day->day + 1;
    case RRULE_YEARLY:
        return day->number - day->of_year + 1;
    case RRULE_DAILY:
        break;
    }
    return day->number;
}

static int period_length(const struct rrule *rule, const struct day *begin)
{
    switch (rule->frequency) {
    case RRULE_WEEKLY:
        return DAYS_OF_WEEK;
    case RRULE_MONTHLY:
        return begin->month_length;
    case RRULE_YEARLY:
        return begin->year_length;
    case RRULE_DAILY:
        break;
    }
    return 1;
}

/* How many periods lie between two beginnings of one. */
static int64_t periods_between(const struct rrule *rule, const struct day *from,
                               const struct day *to)
{
    switch (rule->frequency) {
    case RRULE_WEEKLY:
        return (to->number - from->number) / DAYS_OF_WEEK;
    case RRULE_MONTHLY:
        return (int64_t)(to->year - from->year) * 12 + to->month - from->month;
    case RRULE_YEARLY:
        return to->year - from->year;
    case RRULE_DAILY:
        break;
    }
    return to->number - from->number;
}

/*
 * How many days of the period that begins there are the rule's, from the first
 * day on and until last; is last one of them?
 */
static int64_t period_days(const struct rrule *rule, int64_t begin, const struct day *first,
                           int64_t last, bool *ret_has_last, uint64_t *work)
{
    struct day begins = day_of(begin);
    int length = period_length(rule, &begins), passed = 0, place = 0;
    bool passes[366];
    int64_t counted = 0;

    *ret_has_last = false;
    *work += (uint64_t)length;
    for (int i = 0; i < length; i++) {
        struct day day = day_of(begin + i);

        passes[i] = day_passes(rule, &day, first);
        passed += passes[i];
    }
    for (int i = 0; i < length && begin + i <= last; i++) {
        place += passes[i];
        if (!passes[i] || begin + i < first->number ||
            (rule->positions.count > 0 && !numbers_hold(&rule->positions, place, passed)))
            continue;
        counted++;
        *ret_has_last = begin + i == last;
    }
    return counted;
}

static int64_t next_begin(const struct rrule *rule, int64_t begin)
{
    struct day day = day_of(begin);
    int64_t month = (int64_t)day.year * 12 + day.month - 1 + rule->interval;

    switch (rule->frequency) {
    case RRULE_WEEKLY:
        return begin + DAYS_OF_WEEK * rule->interval;
    case RRULE_MONTHLY:
        return zone_days_of_date((int)(month / 12), (int)(month % 12) + 1, 1);
    case RRULE_YEARLY:
        return zone_days_of_date(day.year + (int)rule->interval, 1, 1);
    case RRULE_DAILY:
        break;
    }
    return begin + rule->interval;
}

/* With COUNT, all that was before is counted. */
static bool counted_day(const struct rrule *rule, const struct day *first, int64_t day,
                        uint64_t *work)
{
    int64_t begin = period_begin(rule, first), counted = 0;
    bool has_day = false;

    if (day - first->number > RRULE_COUNT_DAYS)
        return false;
    while (begin <= day && counted < rule->times && !has_day) {
        counted += period_days(rule, begin, first, day, &has_day, work);
        begin = next_begin(rule, begin);
    }
    return has_day && counted <= rule->times;
}

bool rrule_has_day(const struct rrule *rule, int64_t first, int64_t day, uint64_t *work)
{
    bool has_first = first != INT64_MIN;
    struct day wanted = day_of(day);
    struct day from = has_first ? day_of(first) : wanted; /* with none, nothing hangs on it */
    struct day begin, first_begin;
    bool has_day;

    *work += 1;
    if ((!has_first && rrule_needs_first(rule)) || day < from.number)
        return false;
    if (!day_passes(rule, &wanted, &from))
        return false;
    if (rule->times > 0)
        return counted_day(rule, &from, day, work);
    begin = day_of(period_begin(rule, &wanted));
    first_begin = day_of(period_begin(rule, &from));
    if (periods_between(rule, &first_begin, &begin) % rule->interval != 0)
        return false;
    if (rule->positions.count == 0)
        return true;
    if (!has_first)
        from.number = begin.number;
    period_days(rule, begin.number, &from, day, &has_day, work);
    return has_day;
}
