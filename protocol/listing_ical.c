/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/listing_ical.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "protocol/num.h"
#include "protocol/zone.h"

#define LINE_OCTETS_MAX 75 /* RFC 5545, 3.1 */

/* ---- lines ---- */

/* One content line, folded where a character ends, so that no reader sees half of one. */
static void put_line(struct buffer *out, const struct buffer *line)
{
    size_t at = 0;
    size_t room = LINE_OCTETS_MAX;

    if (line->err && !out->err)
        out->err = line->err;
    while (line->size - at > room) {
        size_t size = room;

        while (size > 1 && (line->data[at + size] & 0xc0) == 0x80)
            size--;
        buffer_put(out, line->data + at, size);
        buffer_put_str(out, "\r\n ");
        at += size;
        room = LINE_OCTETS_MAX - 1; /* The space counts. */
    }
    buffer_put(out, line->data + at, line->size - at);
    buffer_put_str(out, "\r\n");
}

static void put_escaped(struct buffer *out, struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];

        if (c == '\n') {
            buffer_put_str(out, "\\n");
        } else if (c == '\t' || (c >= 0x20 && c != 0x7f)) { /* No control character may stand. */
            if (strchr("\\;,", c))
                buffer_put_u8(out, '\\');
            buffer_put_u8(out, c);
        }
    }
}

/* NAME:text, escaped; nothing for an empty text. */
static void put_text(struct buffer *out, const char *name, struct span text)
{
    struct buffer line = {0};

    if (text.size == 0)
        return;
    buffer_put_str(&line, name);
    buffer_put_u8(&line, ':');
    put_escaped(&line, text);
    put_line(out, &line);
    buffer_done(&line);
}

/* The same for values that are no TEXT: a rule, a web address. What could end the line is left out.
 */
static void put_plain(struct buffer *out, const char *name, const char *value)
{
    struct buffer line = {0};

    buffer_put_str(&line, name);
    buffer_put_u8(&line, ':');
    for (; *value; value++) {
        if ((unsigned char)*value >= 0x20 && *value != 0x7f)
            buffer_put_u8(&line, (uint8_t)*value);
    }
    put_line(out, &line);
    buffer_done(&line);
}

/* ---- time ---- */

/* "2026-07-04T18:00:00+02:00[Europe/Stockholm]" or "2026-07-04[Europe/Stockholm]". */
struct moment {
    struct zone_local local;
    struct span zone;
};

static bool read_moment(const char *text, struct moment *ret_moment)
{
    const char *bracket = text ? strchr(text, '[') : NULL;
    size_t size = bracket ? (size_t)(bracket - text) : 0;
    struct moment moment;

    if (!bracket || text[strlen(text) - 1] != ']')
        return false;
    if (size > 19)
        size = 19; /* Behind it stands the offset, which the zone says again. */
    moment.zone = span_of(bracket + 1, strlen(bracket) - 2);
    if (zone_local_parse(span_of(text, size), &moment.local) || !zone_known(moment.zone))
        return false;
    *ret_moment = moment;
    return true;
}

/* 20260704 or 20260704T180000 */
static void put_local(struct buffer *out, const struct zone_local *local)
{
    struct buffer text = {0};

    zone_local_put(&text, local);
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != '-' && text.data[i] != ':')
            buffer_put_u8(out, text.data[i]);
    }
    if (text.err && !out->err)
        out->err = text.err;
    buffer_done(&text);
}

static bool is_utc(const struct moment *moment)
{
    return span_equal(moment->zone, span_of_str("UTC"));
}

/* ;VALUE=DATE, ;TZID=..., or nothing for UTC. */
static void put_kind(struct buffer *out, const struct moment *moment)
{
    if (moment->local.date_only) {
        buffer_put_str(out, ";VALUE=DATE");
    } else if (!is_utc(moment)) {
        buffer_put_str(out, ";TZID=");
        buffer_put_span(out, moment->zone);
    }
}

static void put_moment(struct buffer *out, const char *name, struct moment moment, int64_t later_ms)
{
    struct buffer line = {0};

    moment.local.local_ms += later_ms;
    buffer_put_str(&line, name);
    put_kind(&line, &moment);
    buffer_put_u8(&line, ':');
    put_local(&line, &moment.local);
    if (!moment.local.date_only && is_utc(&moment))
        buffer_put_u8(&line, 'Z');
    put_line(out, &line);
    buffer_done(&line);
}

/* An instant in UTC. */
static void put_instant(struct buffer *out, const char *name, int64_t ms)
{
    struct moment moment = {.local = {.local_ms = ms - ms % 1000}, .zone = span_of_str("UTC")};

    put_moment(out, name, moment, 0);
}

/* Both clocks of a zone that follows the EU's rule; hour: when it changes, in UTC 01:00. */
static void put_zone(struct buffer *out, const char *name, int hours, const char *winter,
                     const char *summer)
{
    buffer_printf(out,
                  "BEGIN:VTIMEZONE\r\nTZID:%s\r\n"
                  "BEGIN:DAYLIGHT\r\nDTSTART:19960331T%02d0000\r\n"
                  "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\n"
                  "TZOFFSETFROM:+%02d00\r\nTZOFFSETTO:+%02d00\r\nTZNAME:%s\r\nEND:DAYLIGHT\r\n",
                  name, 1 + hours, hours, hours + 1, summer);
    buffer_printf(out,
                  "BEGIN:STANDARD\r\nDTSTART:19961027T%02d0000\r\n"
                  "RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\n"
                  "TZOFFSETFROM:+%02d00\r\nTZOFFSETTO:+%02d00\r\nTZNAME:%s\r\nEND:STANDARD\r\n"
                  "END:VTIMEZONE\r\n",
                  2 + hours, hours + 1, hours, winter);
}

void listing_ical_begin(struct buffer *out, struct span name)
{
    buffer_put_str(out, "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//torg//torg//EN\r\n"
                        "CALSCALE:GREGORIAN\r\nMETHOD:PUBLISH\r\n");
    put_text(out, "X-WR-CALNAME", name);
    put_zone(out, "Europe/Stockholm", 1, "CET", "CEST");
    put_zone(out, "Europe/Oslo", 1, "CET", "CEST");
    put_zone(out, "Europe/Copenhagen", 1, "CET", "CEST");
    put_zone(out, "Europe/Helsinki", 2, "EET", "EEST");
}

void listing_ical_end(struct buffer *out)
{
    buffer_put_str(out, "END:VCALENDAR\r\n");
}

/* ---- an event ---- */

static const char *text_of(const json_t *value, const char *language)
{
    const json_t *text = json_object_get(value, language);

    if (json_is_string(value))
        return json_string_value(value);
    if (!text)
        text = json_object_get(value, "sv");
    if (!text)
        text = json_object_iter_value(json_object_iter((json_t *)(uintptr_t)value));
    return json_is_string(text) ? json_string_value(text) : "";
}

static void put_place(struct buffer *out, const json_t *feature, const json_t *properties)
{
    static const char *const parts[] = {"street", "postalCode", "locality"};
    const json_t *address = json_object_get(properties, "address");
    const json_t *geometry = json_object_get(feature, "geometry");
    const char *type = json_string_value(json_object_get(geometry, "type"));
    const json_t *position = json_object_get(geometry, "coordinates");
    struct buffer place = {0};

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        const char *part = json_string_value(json_object_get(address, parts[i]));

        if (part)
            buffer_printf(&place, "%s%s", !place.size ? "" : i == 1 ? ", " : " ", part);
    }
    put_text(out, "LOCATION", buffer_span(&place));
    buffer_done(&place);
    if (type && strcmp(type, "Point") == 0 && json_array_size(position) >= 2) {
        struct buffer line = {0};

        buffer_put_str(&line, "GEO:");
        num_put_fixed(&line, llround(json_number_value(json_array_get(position, 1)) * 1e6), 6);
        buffer_put_u8(&line, ';');
        num_put_fixed(&line, llround(json_number_value(json_array_get(position, 0)) * 1e6), 6);
        put_line(out, &line);
        buffer_done(&line);
    }
}

static void put_times(struct buffer *out, const json_t *properties, const struct moment *start)
{
    const json_t *recurrence = json_object_get(properties, "recurrence");
    const char *rule = json_string_value(json_object_get(recurrence, "rule"));
    const json_t *exceptions = json_object_get(recurrence, "exceptions");
    struct moment end;

    put_moment(out, "DTSTART", *start, 0);
    if (read_moment(json_string_value(json_object_get(properties, "end")), &end))
        put_moment(out, "DTEND", end, end.local.date_only ? ZONE_DAY_MS : 0);
    if (rule)
        put_plain(out, "RRULE", rule);
    for (size_t i = 0; rule && i < json_array_size(exceptions); i++) {
        const char *text = json_string_value(json_array_get(exceptions, i));
        struct moment exception = *start;

        /* A date without a time: that day's. */
        if (!text || zone_local_parse(span_of_str(text), &exception.local))
            continue;
        if (exception.local.date_only && !start->local.date_only) {
            exception.local.local_ms += start->local.local_ms % ZONE_DAY_MS;
            exception.local.date_only = false;
        }
        put_moment(out, "EXDATE", exception, 0);
    }
}

static void put_themes(struct buffer *out, const json_t *themes)
{
    struct buffer line = {0};

    if (json_array_size(themes) == 0)
        return;
    buffer_put_str(&line, "CATEGORIES:");
    for (size_t i = 0; i < json_array_size(themes); i++) {
        const char *theme = json_string_value(json_array_get(themes, i));

        buffer_put_str(&line, i ? "," : "");
        put_escaped(&line, span_of_str(theme ? theme : ""));
    }
    put_line(out, &line);
    buffer_done(&line);
}

static void put_changes(struct buffer *out, const json_t *properties)
{
    const char *created = json_string_value(json_object_get(properties, "created"));
    const char *modified = json_string_value(json_object_get(properties, "modified"));
    int64_t created_ms = 0, modified_ms = 0;
    char sequence[24];

    if (created && num_parse_time(span_of_str(created), &created_ms))
        created_ms = 0;
    if (!modified || num_parse_time(span_of_str(modified), &modified_ms))
        modified_ms = created_ms;
    put_instant(out, "DTSTAMP", modified_ms);
    put_instant(out, "CREATED", created_ms);
    put_instant(out, "LAST-MODIFIED", modified_ms);
    (void)snprintf(sequence, sizeof(sequence), "%d",
                   modified_ms > created_ms ? (int)((modified_ms - created_ms) / 1000 % INT32_MAX)
                                            : 0);
    put_plain(out, "SEQUENCE", sequence);
}

static void put_event(struct buffer *out, const json_t *feature, const struct moment *start,
                      const char *language)
{
    const json_t *properties = json_object_get(feature, "properties");
    const char *id = json_string_value(json_object_get(feature, "id"));
    const char *status = json_string_value(json_object_get(properties, "status"));
    const char *url = json_string_value(json_object_get(properties, "url"));
    bool cancelled = status && strcmp(status, "cancelled") == 0;

    buffer_put_str(out, "BEGIN:VEVENT\r\n");
    buffer_printf(out, "UID:%s@torg\r\n", id ? id : "");
    put_changes(out, properties);
    put_times(out, properties, start);
    put_text(out, "SUMMARY", span_of_str(text_of(json_object_get(properties, "name"), language)));
    put_text(out, "DESCRIPTION",
             span_of_str(text_of(json_object_get(properties, "description"), language)));
    put_place(out, feature, properties);
    if (url)
        put_plain(out, "URL", url);
    put_themes(out, json_object_get(properties, "themes"));
    buffer_printf(out, "STATUS:%s\r\nEND:VEVENT\r\n", cancelled ? "CANCELLED" : "CONFIRMED");
}

enum torg_err listing_put_ical(struct span feature, const char *language, struct buffer *out)
{
    json_t *json = json_loadb((const char *)feature.data, feature.size, 0, NULL);
    const json_t *properties = json_object_get(json, "properties");
    struct moment start;

    if (!json_is_object(properties)) {
        json_decref(json);
        return TORG_E_INVALID;
    }
    if (read_moment(json_string_value(json_object_get(properties, "start")), &start))
        put_event(out, json, &start, language);
    json_decref(json);
    return out->err;
}
