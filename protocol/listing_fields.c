/* SPDX-License-Identifier: EUPL-1.2 */
#include <string.h>

#include "protocol/listing.h"
#include "protocol/listing_shape.h"
#include "protocol/num.h"
#include "protocol/profile.h"
#include "protocol/theme.h"
#include "protocol/zone.h"

/* A local time of a body; absent when zone is empty. */
struct moment {
    struct zone_local local;
    struct span zone;
};

struct fields {
    struct listing_fields *out;
    int64_t valid_from_ms;
    int64_t valid_through_ms;
    struct moment start;
    struct moment end;
    struct span rule;
};

static void refuse(struct profile_reader *in)
{
    if (!in->in.err)
        in->in.err = TORG_E_INVALID;
}

static void read_name(struct profile_reader *in, struct fields *f)
{
    const uint8_t *from = in->in.at;
    uint32_t count = profile_map(in);

    if (count == 0)
        refuse(in);
    for (uint32_t i = 0; i < count && !in->in.err; i++) {
        struct span language = profile_str(in, LISTING_LANGUAGE_BYTES_MAX);
        struct span text = profile_str(in, LISTING_NAME_BYTES_MAX);

        if (i == 0 || span_equal(language, span_of_str("sv")))
            f->out->name = text;
    }
    f->out->names = span_of(from, (size_t)(in->in.at - from));
}

static void read_themes(struct profile_reader *in, struct fields *f)
{
    uint32_t count = profile_array(in);

    if (count > LISTING_THEMES_MAX)
        refuse(in);
    for (uint32_t i = 0; i < count && !in->in.err; i++) {
        struct span slug = profile_str(in, THEME_SLUG_BYTES_MAX);

        if (!theme_slug_valid(slug))
            refuse(in);
        f->out->themes[i] = slug;
    }
    f->out->theme_count = (uint8_t)count;
}

static void read_geometry(struct profile_reader *in, struct fields *f)
{
    struct listing_fields *out = f->out;

    out->geometry = profile_skip(in);
    if (in->in.err)
        return;
    if (listing_shape_box(out->geometry, &out->box_min, &out->box_max, &out->is_point)) {
        refuse(in);
        return;
    }
    out->has_geometry = true;
    out->point.lon_e7 = (int32_t)(((int64_t)out->box_min.lon_e7 + out->box_max.lon_e7) / 2);
    out->point.lat_e7 = (int32_t)(((int64_t)out->box_min.lat_e7 + out->box_max.lat_e7) / 2);
}

static void read_moment(struct profile_reader *in, struct moment *moment)
{
    struct span local;

    profile_array_of(in, 2);
    local = profile_str(in, 32);
    moment->zone = profile_str(in, ZONE_NAME_BYTES_MAX);
    if (in->in.err)
        return;
    if (!zone_name_valid(moment->zone) || zone_local_parse(local, &moment->local))
        refuse(in);
}

static void read_recurrence(struct profile_reader *in, struct fields *f)
{
    uint32_t count = profile_map(in);

    for (uint32_t i = 0; i < count && !in->in.err; i++) {
        if (span_equal(profile_str(in, SIZE_MAX), span_of_str("rule")))
            f->rule = profile_str(in, SIZE_MAX);
        else
            profile_skip(in);
    }
}

static void read_identifiers(struct profile_reader *in, struct fields *f)
{
    uint32_t count = profile_map(in);

    for (uint32_t i = 0; i < count && !in->in.err; i++) {
        if (!span_equal(profile_str(in, SIZE_MAX), span_of_str("source"))) {
            profile_skip(in);
            continue;
        }
        profile_array_of(in, 2);
        f->out->source_system = profile_str(in, 64);
        f->out->source_id = profile_str(in, 200);
    }
}

/* Compares with a literal whose length the compiler knows: this runs for every key ingested. */
#define IS(key, literal)                                                                           \
    ((key).size == sizeof(literal) - 1 && memcmp((key).data, literal, sizeof(literal) - 1) == 0)

static void read_rest(struct profile_reader *in, struct span key, struct listing_fields *out)
{
    out->reaches = out->reaches || IS(key, "itinerary") || IS(key, "serves");
    profile_skip(in);
}

/* The keys come in ascending order, but nothing here relies on it. */
static void read_field(struct profile_reader *in, struct span key, bool happens, struct fields *f)
{
    struct listing_fields *out = f->out;

    /* One flat list of names; the table's other properties do not matter to the index. */
    if (IS(key, "name"))
        read_name(in, f);
    else if (IS(key, "themes"))
        read_themes(in, f);
    else if (IS(key, "geometry"))
        read_geometry(in, f);
    else if (IS(key, "description"))
        out->description = profile_skip(in);
    else if (IS(key, "created"))
        out->created_ms = profile_int(in);
    else if (IS(key, "modified"))
        out->modified_ms = profile_int(in);
    else if (IS(key, "municipality"))
        out->municipality = profile_str(in, 7);
    else if (IS(key, "countryCode"))
        out->country_code = profile_str(in, 2);
    else if (IS(key, "address"))
        out->address = profile_skip(in);
    else if (IS(key, "area"))
        out->area = profile_str(in, 200);
    else if (IS(key, "asker"))
        out->asker = profile_str(in, 64);
    else if (IS(key, "form"))
        out->form = profile_str(in, 64);
    else if (IS(key, "provider"))
        profile_bin_copy(in, out->provider, sizeof(out->provider));
    else if (IS(key, "networks"))
        out->networks = profile_skip(in);
    else if (IS(key, "openingHours"))
        out->opening_hours = profile_skip(in);
    else if (IS(key, "people"))
        out->people = profile_skip(in);
    else if (IS(key, "validFrom"))
        f->valid_from_ms = profile_int(in);
    else if (IS(key, "validThrough"))
        f->valid_through_ms = profile_int(in);
    else if (IS(key, "identifiers"))
        read_identifiers(in, f);
    else if (happens && IS(key, "start"))
        read_moment(in, &f->start);
    else if (happens && IS(key, "end"))
        read_moment(in, &f->end);
    else if (happens && IS(key, "recurrence"))
        read_recurrence(in, f);
    else
        read_rest(in, key, out);
}

/* In a zone that torg does not compute, as much too early or late as any zone can be. */
static int64_t local_to_utc(struct span zone, int64_t local_ms, int side)
{
    if (zone_known(zone))
        return zone_utc_ms(zone, local_ms, NULL);
    return local_ms + side * ZONE_OFFSET_MS_MAX;
}

/* The last millisecond of the local day. */
static int64_t day_end(int64_t local_ms)
{
    int64_t into_day = local_ms % ZONE_DAY_MS;

    return local_ms - (into_day < 0 ? into_day + ZONE_DAY_MS : into_day) + ZONE_DAY_MS - 1;
}

/* UNTIL of an RRULE: 20261231, 20261231T235900 or 20261231T235900Z. */
static bool until_ms(struct span value, struct span zone, int64_t *ret_ms)
{
    char text[20];
    const char *v = (const char *)value.data;
    struct zone_local local;
    size_t size = 10;

    if (value.size != 8 && !(value.size >= 15 && value.size <= 16 && v[8] == 'T'))
        return false;
    if (value.size == 16 && v[15] != 'Z')
        return false;
    memcpy(text, v, 4);
    text[4] = '-';
    memcpy(text + 5, v + 4, 2);
    text[7] = '-';
    memcpy(text + 8, v + 6, 2);
    if (value.size > 8) {
        text[10] = 'T';
        memcpy(text + 11, v + 9, 2);
        text[13] = ':';
        memcpy(text + 14, v + 11, 2);
        text[16] = ':';
        memcpy(text + 17, v + 13, 2);
        size = 19;
    }
    if (zone_local_parse(span_of(text, size), &local))
        return false;
    if (value.size == 16)
        *ret_ms = local.local_ms;
    else
        *ret_ms = local_to_utc(zone, local.date_only ? day_end(local.local_ms) : local.local_ms, 1);
    return true;
}

/* What of an RRULE bounds it. */
struct rule {
    int64_t step_ms; /* of FREQ; 0 if others than DAILY and WEEKLY */
    int64_t count;   /* 0: none */
    int64_t interval;
    bool simple; /* nothing in it skips a step */
    bool has_until;
    int64_t until_ms;
};

static void rule_part(struct rule *rule, struct span name, struct span value, struct span zone)
{
    if (span_equal(name, span_of_str("FREQ"))) {
        if (span_equal(value, span_of_str("DAILY")))
            rule->step_ms = ZONE_DAY_MS;
        else if (span_equal(value, span_of_str("WEEKLY")))
            rule->step_ms = 7 * ZONE_DAY_MS;
    } else if (span_equal(name, span_of_str("COUNT"))) {
        if (num_parse_int(value, 1, 10000, &rule->count))
            rule->simple = false;
    } else if (span_equal(name, span_of_str("INTERVAL"))) {
        if (num_parse_int(value, 1, 1000, &rule->interval))
            rule->simple = false;
    } else if (span_equal(name, span_of_str("UNTIL"))) {
        rule->has_until = until_ms(value, zone, &rule->until_ms);
    } else if (!span_equal(name, span_of_str("WKST")) &&
               !(span_equal(name, span_of_str("BYDAY")) && rule->step_ms == 7 * ZONE_DAY_MS)) {
        rule->simple = false;
    }
}

/*
 * The end of the last time that it can be held; INT64_MAX when the rule does
 * not say, or not simply. Too late is harmless: the listing is looked at once
 * more. Too early would hide it.
 */
static int64_t recurrence_through(struct span text, struct span zone, int64_t from_ms,
                                  int64_t through_ms)
{
    struct rule rule = {.interval = 1, .simple = true};
    const uint8_t *at = text.data;
    const uint8_t *end = at + text.size;

    while (at < end) {
        const uint8_t *stop = memchr(at, ';', (size_t)(end - at));
        const uint8_t *equals;

        stop = stop ? stop : end;
        equals = memchr(at, '=', (size_t)(stop - at));
        if (!equals)
            return INT64_MAX;
        rule_part(&rule, span_of(at, (size_t)(equals - at)),
                  span_of(equals + 1, (size_t)(stop - equals - 1)), zone);
        at = stop < end ? stop + 1 : end;
    }
    if (rule.has_until)
        return (rule.until_ms > from_ms ? rule.until_ms : from_ms) + (through_ms - from_ms);
    if (rule.count && rule.step_ms && rule.simple)
        return through_ms + rule.count * rule.interval * rule.step_ms + rule.step_ms;
    return INT64_MAX;
}

static void set_time(struct fields *f)
{
    const struct moment *last = f->end.zone.size ? &f->end : &f->start;
    int64_t last_ms = last->local.local_ms;
    int64_t from_ms, through_ms;

    f->out->time_from_ms = f->valid_from_ms;
    f->out->time_through_ms = f->valid_through_ms;
    f->out->shown_from_ms = f->valid_from_ms;
    f->out->shown_through_ms = f->valid_through_ms;
    if (!f->start.zone.size)
        return;
    from_ms = local_to_utc(f->start.zone, f->start.local.local_ms, -1);
    /* Without an end nobody knows more than the day; an end that is a date is its last day. */
    if (last->local.date_only || !f->end.zone.size)
        last_ms = day_end(last_ms);
    through_ms = local_to_utc(last->zone, last_ms, 1);
    if (through_ms < from_ms)
        through_ms = from_ms;
    f->out->time_from_ms = from_ms;
    f->out->time_through_ms =
        f->rule.size ? recurrence_through(f->rule, f->start.zone, from_ms, through_ms) : through_ms;
    if (f->out->shown_through_ms > f->out->time_through_ms)
        f->out->shown_through_ms = f->out->time_through_ms;
}

enum torg_err listing_fields_read(uint8_t collection, struct span body,
                                  struct listing_fields *ret_fields)
{
    struct profile_reader in = profile_reader_of(body);
    struct listing_fields out = {0};
    struct fields f = {.out = &out, .valid_from_ms = INT64_MIN, .valid_through_ms = INT64_MAX};
    bool happens = collection == COLLECTION_EVENTS || collection == COLLECTION_COURSES;
    uint32_t count = profile_map(&in);

    for (uint32_t i = 0; i < count && !in.in.err; i++) {
        struct span key = profile_str(&in, SIZE_MAX);

        if (count == 1 && span_equal(key, span_of_str("movedTo"))) {
            profile_bin_copy(&in, out.moved_to, sizeof(out.moved_to));
            out.moved = true;
        } else {
            read_field(&in, key, happens, &f);
        }
    }
    if (profile_end(&in))
        return TORG_E_INVALID;
    set_time(&f);
    *ret_fields = out;
    return TORG_OK;
}
