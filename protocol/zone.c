/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/zone.h"

#include <assert.h>

#define HOUR_MS INT64_C(3600000)

static const struct {
    const char *name;
    int64_t winter_ms;
    bool summer_time;
} zones[] = {
    {"Europe/Stockholm", HOUR_MS, true},
    {"Europe/Oslo", HOUR_MS, true},
    {"Europe/Copenhagen", HOUR_MS, true},
    {"Europe/Helsinki", 2 * HOUR_MS, true},
    {"UTC", 0, false},
};

static size_t zone_index(struct span name)
{
    size_t i = 0;

    while (i < ARRAY_SIZE(zones) && !span_equal(name, span_of_str(zones[i].name)))
        i++;
    return i;
}

bool zone_known(struct span name)
{
    return zone_index(name) < ARRAY_SIZE(zones);
}

bool zone_name_valid(struct span name)
{
    bool part_begins = true;

    if (name.size == 0 || name.size > ZONE_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

        if (part_begins ? !letter
                        : !letter && !(c >= '0' && c <= '9') && c != '_' && c != '-' && c != '+' &&
                              c != '/')
            return false;
        part_begins = c == '/';
    }
    return !part_begins;
}

/* Hinnant, "chrono-compatible low-level date algorithms". */
int64_t zone_days_of_date(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

void zone_date_of_days(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;

    *ret_day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *ret_month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *ret_year = (int)(year_of_era + era * 400 + (*ret_month <= 2));
}

int64_t zone_day(int64_t ms)
{
    return (ms >= 0 ? ms : ms - (ZONE_DAY_MS - 1)) / ZONE_DAY_MS;
}

unsigned zone_weekday(int64_t days)
{
    return (unsigned)(((days + 3) % 7 + 7) % 7); /* 1970-01-01 was a Thursday. */
}

int zone_year(int64_t local_ms)
{
    int year, month, day;

    zone_date_of_days(zone_day(local_ms), &year, &month, &day);
    return year;
}

/* 01:00 UTC on the last Sunday of a month with 31 days. */
static int64_t last_sunday_ms(int year, int month)
{
    int64_t last = zone_days_of_date(year, month, 31);

    return (last - (zone_weekday(last) + 1) % 7) * ZONE_DAY_MS + HOUR_MS;
}

static int64_t offset_of(size_t zone, int64_t utc_ms)
{
    int year = zone_year(utc_ms);
    bool summer = zones[zone].summer_time && utc_ms >= last_sunday_ms(year, 3) &&
                  utc_ms < last_sunday_ms(year, 10);

    return zones[zone].winter_ms + (summer ? HOUR_MS : 0);
}

int64_t zone_offset_ms(struct span zone, int64_t utc_ms)
{
    size_t i = zone_index(zone);

    assert(i < ARRAY_SIZE(zones));
    return offset_of(i, utc_ms);
}

int64_t zone_utc_ms(struct span zone, int64_t local_ms, bool *ret_exists)
{
    size_t i = zone_index(zone);
    int64_t winter, summer;

    assert(i < ARRAY_SIZE(zones));
    winter = local_ms - zones[i].winter_ms;
    summer = winter - HOUR_MS;
    if (ret_exists)
        *ret_exists = true;
    if (zones[i].summer_time && offset_of(i, summer) > zones[i].winter_ms)
        return summer;
    if (offset_of(i, winter) != zones[i].winter_ms && ret_exists)
        *ret_exists = false;
    return winter;
}

/* count digits at text, or -1. */
static int digits(struct span text, size_t at, size_t count)
{
    int value = 0;

    if (text.size < at + count)
        return -1;
    for (size_t i = at; i < at + count; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return -1;
        value = value * 10 + (text.data[i] - '0');
    }
    return value;
}

static bool is_char(struct span text, size_t at, char c)
{
    return at < text.size && text.data[at] == (uint8_t)c;
}

static enum torg_err parse_date(struct span text, int64_t *ret_days)
{
    int year = digits(text, 0, 4);
    int month = digits(text, 5, 2);
    int day = digits(text, 8, 2);
    int year_back, month_back, day_back;

    if (year < 1 || month < 1 || month > 12 || day < 1 || day > 31 || !is_char(text, 4, '-') ||
        !is_char(text, 7, '-'))
        return TORG_E_INVALID;
    *ret_days = zone_days_of_date(year, month, day);
    /* February 30 comes back as March 2. */
    zone_date_of_days(*ret_days, &year_back, &month_back, &day_back);
    return day_back == day && month_back == month ? TORG_OK : TORG_E_INVALID;
}

enum torg_err zone_local_parse(struct span text, struct zone_local *ret_local)
{
    int64_t days;
    int hour, minute, second = 0;

    if ((text.size != 10 && text.size != 16 && text.size != 19) || parse_date(text, &days))
        return TORG_E_INVALID;
    if (text.size == 10) {
        *ret_local = (struct zone_local){.local_ms = days * ZONE_DAY_MS, .date_only = true};
        return TORG_OK;
    }
    hour = digits(text, 11, 2);
    minute = digits(text, 14, 2);
    if (text.size == 19)
        second = is_char(text, 16, ':') ? digits(text, 17, 2) : -1;
    if ((!is_char(text, 10, 'T') && !is_char(text, 10, ' ')) || !is_char(text, 13, ':') ||
        hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
        return TORG_E_INVALID;
    *ret_local = (struct zone_local){
        .local_ms = days * ZONE_DAY_MS + (int64_t)hour * HOUR_MS + minute * 60000 + second * 1000,
    };
    return TORG_OK;
}

/* The last count decimal digits of value: printf costs more than all the rest of a feature. */
static void put_digits(struct buffer *out, int value, size_t count)
{
    char text[4];

    for (size_t i = count; i > 0; i--) {
        text[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    buffer_put(out, text, count);
}

void zone_local_put(struct buffer *out, const struct zone_local *local)
{
    int64_t days = zone_day(local->local_ms);
    int rest_s = (int)((local->local_ms - days * ZONE_DAY_MS) / 1000);
    int year, month, day;

    zone_date_of_days(days, &year, &month, &day);
    put_digits(out, year, 4);
    buffer_put_u8(out, '-');
    put_digits(out, month, 2);
    buffer_put_u8(out, '-');
    put_digits(out, day, 2);
    if (local->date_only)
        return;
    buffer_put_u8(out, 'T');
    put_digits(out, rest_s / 3600, 2);
    buffer_put_u8(out, ':');
    put_digits(out, rest_s / 60 % 60, 2);
    buffer_put_u8(out, ':');
    put_digits(out, rest_s % 60, 2);
}

void zone_offset_put(struct buffer *out, int64_t offset_ms)
{
    int minutes = (int)((offset_ms < 0 ? -offset_ms : offset_ms) / 60000);

    buffer_put_u8(out, offset_ms < 0 ? '-' : '+');
    put_digits(out, minutes / 60, 2);
    buffer_put_u8(out, ':');
    put_digits(out, minutes % 60, 2);
}
