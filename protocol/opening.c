/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/opening.h"

#include <string.h>

#include "protocol/profile.h"
#include "protocol/rrule.h"
#include "protocol/zone.h"

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)
#define SLOT_MS (6 * HOUR_MS)
#define WEEK_MS (7 * ZONE_DAY_MS)
/* Of the zones that zone.h computes, in any season. */
#define ZONE_OFFSET_MIN_MS 0
#define ZONE_OFFSET_MAX_MS (3 * HOUR_MS)
/* An entry's hours begin on its day and end, at the latest, two days later. */
#define DAYS_BACK 2

struct entry {
    struct span days, zone;
    int64_t opens_ms, closes_ms; /* from the beginning of its day; opens before closes */
    int64_t from, through;       /* the season's days; INT64_MIN and MAX when open */
};

bool opening_moment_valid(int64_t utc_ms)
{
    int year = utc_ms < INT64_MAX / 2 && utc_ms > INT64_MIN / 2 ? zone_year(utc_ms) : 0;

    return year >= ZONE_YEAR_MIN && year <= ZONE_YEAR_MAX;
}

/* "09:00", 00:00 to 24:00 */
static bool read_clock(struct span text, int64_t *ret_ms)
{
    int digits[4];

    if (text.size != 5 || text.data[2] != ':')
        return false;
    for (size_t i = 0; i < 4; i++) {
        digits[i] = text.data[i + i / 2] - '0';
        if (digits[i] < 0 || digits[i] > 9)
            return false;
    }
    *ret_ms = (digits[0] * 10 + digits[1]) * HOUR_MS + (digits[2] * 10 + digits[3]) * MINUTE_MS;
    return digits[2] < 6 && *ret_ms <= ZONE_DAY_MS;
}

/* nil, or not there at all: open. */
static bool read_date(struct profile_reader *in, int64_t otherwise, int64_t *ret_day)
{
    struct zone_local local;
    struct span text;

    *ret_day = otherwise;
    if (reader_left(&in->in) == 0)
        return true;
    if (profile_peek(in) == PROFILE_NIL) {
        profile_nil(in);
        return true;
    }
    text = profile_str(in, SIZE_MAX);
    if (in->in.err || zone_local_parse(text, &local) || !local.date_only)
        return false;
    *ret_day = zone_day(local.local_ms);
    return true;
}

/* Its parts in the order of docs/listings.md. false: nobody can know what it says. */
static bool read_entry(struct span value, struct entry *ret_entry)
{
    struct profile_reader in = profile_reader_of(value);
    struct entry entry;
    struct span opens, closes;

    if (profile_array(&in) < 4)
        return false;
    entry.days = profile_str(&in, SIZE_MAX);
    opens = profile_str(&in, SIZE_MAX);
    closes = profile_str(&in, SIZE_MAX);
    entry.zone = profile_str(&in, SIZE_MAX);
    if (in.in.err || !zone_known(entry.zone) || !read_clock(opens, &entry.opens_ms) ||
        !read_clock(closes, &entry.closes_ms) || !read_date(&in, INT64_MIN, &entry.from) ||
        !read_date(&in, INT64_MAX, &entry.through))
        return false;
    if (entry.closes_ms <= entry.opens_ms)
        entry.closes_ms += ZONE_DAY_MS;
    *ret_entry = entry;
    return true;
}

static bool is_rule(struct span days)
{
    return days.size > 5 && memcmp(days.data, "FREQ=", 5) == 0;
}

/* "MO,TU,WE"; false when it is no list of weekdays. */
static bool read_weekdays(struct span days, unsigned *ret_bits)
{
    static const char names[] = "MOTUWETHFRSASU";

    *ret_bits = 0;
    for (size_t at = 0; at < days.size || at == 0; at += 3) {
        unsigned i = 0;

        if (days.size < at + 2 || days.size == at + 3 ||
            (days.size > at + 2 && days.data[at + 2] != ','))
            return false;
        while (i < 7 && memcmp(days.data + at, names + (size_t)2 * i, 2) != 0)
            i++;
        if (i == 7)
            return false;
        *ret_bits |= 1u << i;
    }
    return true;
}

/* ---- open at a moment ---- */

/* The day is the rule's, and its UNTIL is not before it opens. */
static bool rule_has(const struct entry *entry, int64_t day, uint64_t *work)
{
    int64_t local_ms = day * ZONE_DAY_MS + entry->opens_ms;
    struct rrule rule;

    if (rrule_parse(entry->days, &rule) ||
        (rule.end == RRULE_UNTIL_LOCAL && local_ms > rule.until_ms) ||
        (rule.end == RRULE_UNTIL_UTC && zone_utc_ms(entry->zone, local_ms, NULL) > rule.until_ms))
        return false;
    return rrule_has_day(&rule, entry->from, day, work);
}

static bool entry_has_day(const struct entry *entry, int64_t day, uint64_t *work)
{
    unsigned weekdays;

    if (day < entry->from || day > entry->through)
        return false;
    if (is_rule(entry->days))
        return rule_has(entry, day, work);
    return read_weekdays(entry->days, &weekdays) && weekdays >> zone_weekday(day) & 1;
}

static bool entry_open(const struct entry *entry, int64_t utc_ms, uint64_t *work)
{
    int64_t today = zone_day(utc_ms + zone_offset_ms(entry->zone, utc_ms));

    for (int64_t day = today - DAYS_BACK; day <= today; day++) {
        int64_t begin_ms = day * ZONE_DAY_MS;

        /* The clock first: it costs less than a rule. */
        if (utc_ms >= zone_utc_ms(entry->zone, begin_ms + entry->opens_ms, NULL) &&
            utc_ms < zone_utc_ms(entry->zone, begin_ms + entry->closes_ms, NULL) &&
            entry_has_day(entry, day, work))
            return true;
    }
    return false;
}

struct span opening_of_body(struct span body)
{
    struct profile_reader in = profile_reader_of(body);
    uint32_t count = profile_map(&in);

    for (uint32_t i = 0; i < count && !in.in.err; i++) {
        struct span key = profile_str(&in, SIZE_MAX), value = profile_skip(&in);
        int order = span_compare(key, span_of_str("openingHours"));

        if (in.in.err || order > 0) /* Keys ascend. */
            break;
        if (order == 0)
            return value;
    }
    return (struct span){0};
}

bool opening_at(struct span hours, int64_t utc_ms, uint64_t *work)
{
    struct profile_reader list = profile_reader_of(hours);
    struct entry entry;

    if (hours.size == 0)
        return false;
    for (uint32_t left = profile_array(&list); left > 0; left--) {
        struct span value = profile_skip(&list);

        if (list.in.err)
            break;
        *work += 1;
        if (read_entry(value, &entry) && entry_open(&entry, utc_ms, work))
            return true;
    }
    return false;
}

/* ---- where it may be open ---- */

unsigned opening_slot(int64_t utc_ms)
{
    int64_t day = zone_day(utc_ms);

    return zone_weekday(day) * 4 + (unsigned)((utc_ms - day * ZONE_DAY_MS) / SLOT_MS);
}

static uint32_t entry_slots(const struct entry *entry)
{
    unsigned weekdays = 0x7f; /* A rule may have any. */
    uint32_t slots = 0;

    if (!is_rule(entry->days) && !read_weekdays(entry->days, &weekdays))
        return 0;
    for (int64_t day = 0; day < 7; day++) {
        /* An hour more: what is skipped or comes twice. */
        int64_t from_ms = day * ZONE_DAY_MS + entry->opens_ms - ZONE_OFFSET_MAX_MS;
        int64_t through_ms = day * ZONE_DAY_MS + entry->closes_ms - ZONE_OFFSET_MIN_MS + HOUR_MS;

        if (!(weekdays >> day & 1))
            continue;
        for (int64_t slot = (from_ms + WEEK_MS) / SLOT_MS; slot <= (through_ms + WEEK_MS) / SLOT_MS;
             slot++)
            slots |= UINT32_C(1) << slot % OPENING_SLOTS;
    }
    return slots;
}

uint32_t opening_slots(struct span hours)
{
    struct profile_reader list = profile_reader_of(hours);
    struct entry entry;
    uint32_t slots = 0;

    if (hours.size == 0)
        return 0;
    for (uint32_t left = profile_array(&list); left > 0; left--) {
        struct span value = profile_skip(&list);

        if (list.in.err)
            break;
        if (read_entry(value, &entry))
            slots |= entry_slots(&entry);
    }
    return slots;
}
