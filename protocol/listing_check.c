/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/listing_check.h"

#include <stdio.h>
#include <string.h>

#include "protocol/limits.h"
#include "protocol/listing_shape.h"
#include "protocol/listing_value.h"
#include "protocol/nearest.h"
#include "protocol/profile.h"
#include "protocol/theme.h"
#include "protocol/zone.h"

/* Years 1 to 9999: what RFC 3339 can write. */
#define TIME_MS_MIN (-INT64_C(62135596800000))
#define TIME_MS_MAX INT64_C(253402300799999)

struct check {
    uint8_t collection;
    struct problems *problems;
    struct problem_path path;
    struct span country;
};

/* Named here, at the place where the check stands. */
#define FAULT(c, ...) problems_add((c)->problems, (c)->path.text, __VA_ARGS__)

static void fault_unless_null(struct check *c, const char *fault)
{
    if (fault)
        FAULT(c, "%s", fault);
}

void listing_check_choices(const char *const *choices, char *out, size_t out_size)
{
    size_t size = 0;

    out[0] = '\0';
    for (size_t i = 0; choices[i] && size < out_size; i++) {
        const char *before = i == 0 ? "" : choices[i + 1] ? ", " : " or ";

        size += (size_t)snprintf(out + size, out_size - size, "%s%s", before, choices[i]);
    }
}

/* ---- unknown names ---- */

static const char *nearest_name(uint8_t collection, const struct listing_property *fields,
                                struct span name)
{
    const struct listing_property *p = fields ? fields : listing_properties();
    unsigned best = name.size < 4 ? 2 : 3; /* Further off it is another word. */
    const char *found = NULL;

    for (; p->name; p++) {
        unsigned distance;

        if (!fields && (!(p->collections >> collection & 1) || p->read_only))
            continue;
        distance = nearest_distance(name, span_of_str(p->name));
        if (distance < best) {
            best = distance;
            found = p->name;
        }
    }
    return found;
}

/* "offers, events and courses" */
static void collection_names(struct span name, char *out, size_t out_size)
{
    uint32_t mask = 0;
    size_t size = 0;

    for (const struct listing_property *p = listing_properties(); p->name; p++) {
        if (span_equal(name, span_of_str(p->name)))
            mask |= p->collections;
    }
    out[0] = '\0';
    for (uint8_t i = 1; i < COLLECTIONS_MAX; i++) {
        const char *before = size == 0 ? "" : mask >> i >> 1 ? ", " : " and ";

        if (mask >> i & 1 && size < out_size)
            size +=
                (size_t)snprintf(out + size, out_size - size, "%s%s", before, collection_name(i));
    }
}

void listing_check_unknown(uint8_t collection, const struct listing_property *fields,
                           struct span name, const char *path, struct problems *problems)
{
    const char *near = nearest_name(collection, fields, name);

    if (!fields && listing_property_find(name)) {
        char names[120];

        collection_names(name, names, sizeof(names));
        problems_add(problems, path, "is a property of %s, not of %s", names,
                     collection_name(collection));
    } else if (near) {
        problems_add(problems, path, "is not known; did you mean %s?", near);
    } else {
        problems_add(problems, path, "is not known; docs/listings.md lists what is");
    }
}

/* ---- values ---- */

static void check_string(struct check *c, struct profile_reader *in, size_t max, bool paragraphs,
                         enum listing_format format)
{
    struct span text = profile_str(in, SIZE_MAX);
    const char *fault = listing_value_text_fault(text, paragraphs);

    if (in->in.err)
        return;
    if (!fault && format == LISTING_FORMAT_MUNICIPALITY)
        fault = listing_value_municipality_fault(text, c->country);
    else if (!fault)
        fault = listing_value_fault(format, text);
    if (fault)
        FAULT(c, "%s", fault);
    else if (text.size > max)
        FAULT(c, "must be at most %zu bytes long (in UTF-8), is %zu", max, text.size);
}

static void check_text(struct check *c, struct profile_reader *in,
                       const struct listing_property *property)
{
    uint32_t count = profile_map(in);

    if (count == 0 && !in->in.err && !problems_has(c->problems, c->path.text))
        FAULT(c, "must have a text in at least one language");
    if (count > LISTING_LANGUAGES_MAX)
        FAULT(c, "must have at most %d languages", LISTING_LANGUAGES_MAX);
    for (uint32_t i = 0; i < count && !in->in.err; i++) {
        struct span language = profile_str(in, SIZE_MAX);
        size_t back = problem_path_push(&c->path, (const char *)language.data, language.size);

        if (listing_value_fault(LISTING_FORMAT_LANGUAGE, language))
            FAULT(c, "%s", listing_value_fault(LISTING_FORMAT_LANGUAGE, language));
        check_string(c, in, property->max, property->format == LISTING_FORMAT_PARAGRAPHS,
                     LISTING_FORMAT_NONE);
        problem_path_pop(&c->path, back);
    }
}

/* Lists of strings are short: comparing all with all is fast enough. */
static bool stood_before(struct profile_reader list, uint32_t before, struct span value)
{
    for (uint32_t i = 0; i < before; i++) {
        if (span_equal(profile_skip(&list), value))
            return true;
    }
    return false;
}

static void check_item(struct check *c, struct profile_reader *in,
                       const struct listing_property *property)
{
    if (property->type == LISTING_TYPE_SLUGS) {
        if (!theme_slug_valid(profile_str(in, SIZE_MAX)) && !in->in.err)
            FAULT(c,
                  "must be a theme: 1 to %d levels of a-z, 0-9 and hyphens, at most %d bytes, as "
                  "food/cafe",
                  THEME_LEVELS_MAX, THEME_SLUG_BYTES_MAX);
    } else if (property->type == LISTING_TYPE_IDS) {
        uint8_t reference[LISTING_REFERENCE_SIZE];

        profile_bin_copy(in, reference, sizeof(reference));
    } else {
        check_string(c, in, LISTING_ITEM_BYTES_MAX, false, property->format);
    }
}

/* May value be nil because its conversion has been complained about? Else complains. */
static bool check_nil(struct check *c, struct profile_reader *in)
{
    if (profile_peek(in) != PROFILE_NIL)
        return false;
    profile_nil(in);
    if (!problems_has(c->problems, c->path.text))
        FAULT(c, "must not be null");
    return true;
}

static void check_items(struct check *c, struct profile_reader *in,
                        const struct listing_property *property)
{
    uint32_t count = profile_array(in);
    struct profile_reader first = *in;

    if (count == 0 && !in->in.err)
        FAULT(c, property->required ? "must have at least one entry"
                                    : "must have at least one entry; or leave it out");
    if (count > property->max)
        FAULT(c, "must have at most %u entries, has %u", (unsigned)property->max, (unsigned)count);
    for (uint32_t i = 0; i < count && i < property->max && !in->in.err; i++) {
        size_t back = problem_path_push_index(&c->path, i);
        struct profile_reader item = *in;
        struct span value = profile_skip(in);

        if (!check_nil(c, &item)) {
            check_item(c, &item, property);
            if (item.in.err)
                FAULT(c, "has a wrong type");
            else if (stood_before(first, i, value))
                FAULT(c, "stands twice");
        }
        problem_path_pop(&c->path, back);
    }
    for (uint32_t i = property->max; i < count; i++)
        profile_skip(in);
}

static void check_local(struct check *c, struct profile_reader *in)
{
    struct span text, zone;
    struct zone_local local;
    bool exists;

    profile_array_of(in, 2);
    text = profile_str(in, SIZE_MAX);
    zone = profile_str(in, SIZE_MAX);
    if (in->in.err)
        return;
    if (listing_value_fault(LISTING_FORMAT_LOCAL, text)) {
        FAULT(c, "%s", listing_value_fault(LISTING_FORMAT_LOCAL, text));
        return;
    }
    if (!zone_known(zone)) {
        FAULT(c, "must be in the time zone %s", ZONE_KNOWN_TEXT);
        return;
    }
    zone_local_parse(text, &local);
    zone_utc_ms(zone, local.local_ms, &exists);
    if (zone_year(local.local_ms) < ZONE_YEAR_MIN || zone_year(local.local_ms) > ZONE_YEAR_MAX)
        FAULT(c, "must be in the years %d to %d", ZONE_YEAR_MIN, ZONE_YEAR_MAX);
    else if (!exists)
        FAULT(c, "does not exist: that hour is skipped when clocks go forward");
}

static void check_number(struct check *c, struct profile_reader *in,
                         const struct listing_property *property)
{
    int64_t value, limit = property->max;
    uint64_t decimals;

    profile_array_of(in, 2);
    value = profile_int(in);
    decimals = profile_uint(in, LISTING_NUMBER_DECIMALS_MAX);
    if (in->in.err)
        return;
    for (uint64_t i = 0; i < decimals; i++)
        limit *= 10;
    if (value < 0 || value > limit)
        FAULT(c, "must be a number from 0 to %u", (unsigned)property->max);
    else if (decimals && value % 10 == 0)
        FAULT(c, "must not end in zero decimals");
}

static void check_price(struct check *c, struct profile_reader *in)
{
    size_t back;

    if (profile_array(in) != 2) {
        in->in.err = in->in.err ? in->in.err : TORG_E_INVALID;
        return;
    }
    back = problem_path_push(&c->path, "amount", 6);
    if (!check_nil(c, in) && profile_int(in) < 0)
        FAULT(c, "must not be negative");
    problem_path_pop(&c->path, back);
    back = problem_path_push(&c->path, "currency", 8);
    if (!check_nil(c, in)) {
        struct span currency = profile_str(in, SIZE_MAX);

        if (!in->in.err)
            fault_unless_null(c, listing_value_currency_fault(currency));
    }
    problem_path_pop(&c->path, back);
}

static void check_choice(struct check *c, struct profile_reader *in,
                         const struct listing_property *property)
{
    struct span text = profile_str(in, SIZE_MAX);
    char choices[160];

    if (in->in.err)
        return;
    for (const char *const *choice = property->choices; *choice; choice++) {
        if (span_equal(text, span_of_str(*choice)))
            return;
    }
    listing_check_choices(property->choices, choices, sizeof(choices));
    FAULT(c, "must be %s", choices);
}

/* ---- geometry ---- */

struct geometry {
    struct check *check;
    const struct listing_shape *shape;
    uint32_t positions;
    struct listing_shape_range range;
};

static void check_position(struct geometry *g, struct profile_reader *in)
{
    int64_t first, second;

    profile_array_of(in, 2);
    first = profile_int(in);
    second = profile_int(in);
    if (in->in.err)
        return;
    if (g->positions++ == 0)
        g->range = (struct listing_shape_range){first, first, second, second};
    g->range.first_min = first < g->range.first_min ? first : g->range.first_min;
    g->range.first_max = first > g->range.first_max ? first : g->range.first_max;
    g->range.second_min = second < g->range.second_min ? second : g->range.second_min;
    g->range.second_max = second > g->range.second_max ? second : g->range.second_max;
}

static void check_line(struct geometry *g, uint32_t count, struct profile_reader line)
{
    struct span first, last = {0};

    if (count < g->shape->positions_min) {
        FAULT(g->check, "a %s needs at least %u positions, has %u",
              g->shape->rings ? "ring" : "line", (unsigned)g->shape->positions_min,
              (unsigned)count);
        return;
    }
    if (!g->shape->rings)
        return;
    first = profile_skip(&line);
    for (uint32_t i = 1; i < count; i++)
        last = profile_skip(&line);
    if (!line.in.err && !span_equal(first, last))
        FAULT(g->check, "a ring must be closed: its last position must equal its first");
}

/* depth is at most 3: recursion is bounded by the table. */
static void check_coordinates(struct geometry *g, struct profile_reader *in, unsigned depth)
{
    uint32_t count;

    if (depth == 0) {
        check_position(g, in);
        return;
    }
    count = profile_array(in);
    if (in->in.err)
        return;
    if (depth == 1)
        check_line(g, count, *in);
    else if (count == 0)
        FAULT(g->check, "must not be empty");
    for (uint32_t i = 0; i < count && !in->in.err; i++) {
        size_t back = problem_path_push_index(&g->check->path, i);

        check_coordinates(g, in, depth - 1);
        problem_path_pop(&g->check->path, back);
    }
}

/* Where longitude 54 to 72 and latitude 4 to 32 are certainly a mistake. */
static bool country_is_northern(struct span country)
{
    static const char codes[] = "SENOFIDKISEELVLTPLDEGBIEFOAXGLSJ";

    for (size_t i = 0; country.size == 2 && i + 2 < sizeof(codes); i += 2) {
        if (memcmp(codes + i, country.data, 2) == 0)
            return true;
    }
    return country.size == 0;
}

static void check_range(struct check *c, const struct listing_shape_range *range)
{
    const char *system = listing_shape_system(range);
    bool degrees = listing_shape_in_degrees(range);

    if (degrees && (!system || !country_is_northern(c->country)))
        return;
    if (system) {
        FAULT(c,
              "seems to be %s; must be degrees in WGS 84, first longitude (-180 to 180), then "
              "latitude (-90 to 90)",
              system);
        return;
    }
    if (range->first_min < -LISTING_LON_E7_MAX || range->first_max > LISTING_LON_E7_MAX)
        FAULT(c, "longitude, which stands first, must be between -180 and 180 degrees");
    if (range->second_min < -LISTING_LAT_E7_MAX || range->second_max > LISTING_LAT_E7_MAX)
        FAULT(c, "latitude, which stands second, must be between -90 and 90 degrees");
}

static void check_geometry(struct check *c, struct profile_reader *in)
{
    struct geometry g = {.check = c};
    size_t back;

    profile_array_of(in, 2);
    g.shape = listing_shape_find(profile_str(in, SIZE_MAX));
    if (in->in.err)
        return;
    if (!g.shape) {
        FAULT(c, "must be a %s", LISTING_SHAPE_NAMES);
        profile_skip(in);
        return;
    }
    back = problem_path_push(&c->path, "coordinates", 11);
    check_coordinates(&g, in, g.shape->depth);
    if (!in->in.err && g.positions)
        check_range(c, &g.range);
    if (g.positions > LISTING_POSITIONS_MAX)
        FAULT(c, "must have at most %d positions, has %u; simplify it", LISTING_POSITIONS_MAX,
              (unsigned)g.positions);
    problem_path_pop(&c->path, back);
}

/* ---- maps and lists of fields ---- */

static void check_value(struct check *c, struct profile_reader *in,
                        const struct listing_property *property);

static void check_missing(struct check *c, const struct listing_property *field)
{
    size_t back = problem_path_push(&c->path, field->name, strlen(field->name));

    if (!problems_has(c->problems, c->path.text))
        FAULT(c, "is missing: %s", field->meaning);
    problem_path_pop(&c->path, back);
}

static void check_map(struct check *c, struct profile_reader *in,
                      const struct listing_property *property)
{
    uint32_t count = profile_map(in);
    uint64_t seen = 0;

    if (count == 0 && !in->in.err && !problems_has(c->problems, c->path.text))
        FAULT(c, "must not be empty; or leave it out");
    for (uint32_t i = 0; i < count && !in->in.err; i++) {
        struct span name = profile_str(in, SIZE_MAX);
        const struct listing_property *field = listing_property_field(property, name);
        size_t back = problem_path_push(&c->path, (const char *)name.data, name.size);

        if (field) {
            seen |= UINT64_C(1) << (field - property->fields);
            check_value(c, in, field);
        } else {
            listing_check_unknown(c->collection, property->fields, name, c->path.text, c->problems);
            profile_skip(in);
        }
        problem_path_pop(&c->path, back);
    }
    for (const struct listing_property *f = property->fields; f->name && count; f++) {
        if (f->required && !(seen >> (f - property->fields) & 1))
            check_missing(c, f);
    }
}

static void check_tuple(struct check *c, struct profile_reader *in,
                        const struct listing_property *property)
{
    uint32_t count = 0;

    while (property->fields[count].name)
        count++;
    profile_array_of(in, count);
    for (uint32_t i = 0; i < count && !in->in.err; i++) {
        const struct listing_property *field = &property->fields[i];

        if (profile_peek(in) == PROFILE_NIL) {
            profile_nil(in);
            if (field->required)
                check_missing(c, field);
        } else {
            size_t back = problem_path_push(&c->path, field->name, strlen(field->name));

            check_value(c, in, field);
            problem_path_pop(&c->path, back);
        }
    }
}

/* The integer or text of a tuple's field, by its name; false if it is absent. */
static bool tuple_field(struct span tuple, const struct listing_property *property,
                        const char *name, struct span *ret_value)
{
    struct profile_reader in = profile_reader_of(tuple);

    profile_array(&in);
    for (const struct listing_property *f = property->fields; f->name; f++) {
        struct span value = profile_skip(&in);

        if (strcmp(f->name, name) == 0) {
            *ret_value = value;
            return !in.in.err && value.size > 0 && value.data[0] != 0xc0; /* nil */
        }
    }
    return false;
}

static bool packed_int(struct span value, int64_t *ret_value)
{
    struct profile_reader in = profile_reader_of(value);

    *ret_value = profile_int(&in);
    return !in.in.err;
}

/* from and through of itinerary, slots and openingHours; remaining and capacity of slots. */
static void check_tuple_order(struct check *c, struct span tuple,
                              const struct listing_property *property)
{
    struct span a, b;
    int64_t from, through;

    if (tuple_field(tuple, property, "from", &a) && tuple_field(tuple, property, "through", &b)) {
        bool ints = packed_int(a, &from) && packed_int(b, &through);

        /* Dates of one length compare as text. */
        if (ints ? from > through : span_compare(a, b) > 0)
            FAULT(c, "through must not be before from");
    }
    if (tuple_field(tuple, property, "remaining", &a) &&
        tuple_field(tuple, property, "capacity", &b) && packed_int(a, &from) &&
        packed_int(b, &through) && from > through)
        FAULT(c, "remaining must not be greater than capacity");
}

static void check_list(struct check *c, struct profile_reader *in,
                       const struct listing_property *property)
{
    uint32_t count = profile_array(in);

    if (count == 0 && !in->in.err)
        FAULT(c, "must have at least one entry; or leave it out");
    if (count > property->max)
        FAULT(c, "must have at most %u entries, has %u", (unsigned)property->max, (unsigned)count);
    for (uint32_t i = 0; i < count && !in->in.err; i++) {
        size_t back = problem_path_push_index(&c->path, i);
        struct profile_reader item = *in;
        struct span value = profile_skip(in);

        if (i < property->max && !check_nil(c, &item)) {
            if (property->tuple)
                check_tuple(c, &item, property);
            else
                check_map(c, &item, property);
            if (item.in.err)
                FAULT(c, "has a wrong type");
            else if (property->tuple)
                check_tuple_order(c, value, property);
        }
        problem_path_pop(&c->path, back);
    }
}

/* One flat switch: each type of the table. */
static void check_typed(struct check *c, struct profile_reader *in,
                        const struct listing_property *property)
{
    uint8_t reference[LISTING_REFERENCE_SIZE];
    struct span text;
    int64_t value;

    switch (property->type) {
    case LISTING_TYPE_TEXT:
        check_text(c, in, property);
        break;
    case LISTING_TYPE_STRING:
        check_string(c, in, property->max, false, property->format);
        break;
    case LISTING_TYPE_SLUGS:
    case LISTING_TYPE_STRINGS:
    case LISTING_TYPE_IDS:
        check_items(c, in, property);
        break;
    case LISTING_TYPE_GEOMETRY:
        check_geometry(c, in);
        break;
    case LISTING_TYPE_TIME:
        value = profile_int(in);
        if (value < TIME_MS_MIN || value > TIME_MS_MAX)
            FAULT(c, "must be in the years 1 to 9999");
        break;
    case LISTING_TYPE_LOCAL:
        check_local(c, in);
        break;
    case LISTING_TYPE_INT:
        value = profile_int(in);
        if (value < 0 || value > (int64_t)property->max)
            FAULT(c, "must be a whole number from 0 to %u", (unsigned)property->max);
        break;
    case LISTING_TYPE_NUMBER:
        check_number(c, in, property);
        break;
    case LISTING_TYPE_BOOL:
        profile_bool(in);
        break;
    case LISTING_TYPE_URI:
        text = profile_str(in, SIZE_MAX);
        if (text.size > property->max)
            FAULT(c, "must be at most %u bytes long, is %zu", (unsigned)property->max, text.size);
        else if (!in->in.err)
            fault_unless_null(c, listing_value_uri_fault(text));
        break;
    case LISTING_TYPE_ENUM:
        check_choice(c, in, property);
        break;
    case LISTING_TYPE_ID:
        profile_bin_copy(in, reference, sizeof(reference));
        break;
    case LISTING_TYPE_PRICE:
        check_price(c, in);
        break;
    case LISTING_TYPE_MAP:
        if (property->tuple)
            check_tuple(c, in, property);
        else
            check_map(c, in, property);
        break;
    case LISTING_TYPE_LIST:
        check_list(c, in, property);
        break;
    }
}

static void check_value(struct check *c, struct profile_reader *in,
                        const struct listing_property *property)
{
    struct span value = profile_skip(in);
    struct profile_reader value_in = profile_reader_of(value);

    if (in->in.err)
        return;
    check_typed(c, &value_in, property);
    if (value_in.in.err)
        FAULT(c, "has a wrong type");
}

/* ---- the whole ---- */

/* The packed value of a key of a packed map; empty if it is not there. */
static struct span map_value(struct span map, const char *key)
{
    struct profile_reader in = profile_reader_of(map);
    uint32_t count = profile_map(&in);

    for (uint32_t i = 0; i < count && !in.in.err; i++) {
        struct span name = profile_str(&in, SIZE_MAX);
        struct span value = profile_skip(&in);

        if (!in.in.err && span_equal(name, span_of_str(key)))
            return value;
    }
    return (struct span){0};
}

static bool packed_local(struct span value, int64_t *ret_utc_ms, bool *ret_date_only)
{
    struct profile_reader in = profile_reader_of(value);
    struct zone_local local;
    struct span text, zone;

    profile_array_of(&in, 2);
    text = profile_str(&in, SIZE_MAX);
    zone = profile_str(&in, SIZE_MAX);
    if (in.in.err || zone_local_parse(text, &local) || !zone_known(zone))
        return false;
    *ret_utc_ms = zone_utc_ms(zone, local.local_ms, NULL);
    *ret_date_only = local.date_only;
    return true;
}

static void check_times(struct check *c, struct span body)
{
    struct span start = map_value(body, "start");
    struct span end = map_value(body, "end");
    int64_t from, through;
    bool from_date, through_date;

    if (packed_int(map_value(body, "validFrom"), &from) &&
        packed_int(map_value(body, "validThrough"), &through) && from > through)
        problems_add(c->problems, "properties.validThrough", "must not be before validFrom");
    if (!start.size && (end.size || map_value(body, "recurrence").size) &&
        !problems_has(c->problems, "properties.start"))
        problems_add(c->problems, "properties.start",
                     "is missing: end and recurrence need a start");
    if (!packed_local(start, &from, &from_date) || !packed_local(end, &through, &through_date))
        return;
    if (from_date != through_date)
        problems_add(c->problems, "properties.end",
                     "must be a date if start is one, and a time if start is one");
    else if (through < from)
        problems_add(c->problems, "properties.end", "must not be before start");
}

static void check_booking(struct check *c, struct span body)
{
    struct span booking = map_value(body, "booking");
    int64_t remaining, capacity;

    if (packed_int(map_value(booking, "remaining"), &remaining) &&
        packed_int(map_value(booking, "capacity"), &capacity) && remaining > capacity)
        problems_add(c->problems, "properties.booking.remaining",
                     "must not be greater than capacity");
}

/* Returns whether the body says only where the listing went. */
static bool check_properties(struct check *c, struct span body)
{
    bool moved = map_value(body, "movedTo").size > 0;
    struct profile_reader in = profile_reader_of(body);
    uint32_t count = profile_map(&in);

    for (uint32_t i = 0; i < count; i++) {
        struct span name = profile_str(&in, SIZE_MAX);
        const struct listing_property *property = listing_property_of(c->collection, name);
        size_t back = c->path.size;

        if (!span_equal(name, span_of_str("geometry"))) {
            problem_path_push(&c->path, "properties", 10);
            problem_path_push(&c->path, (const char *)name.data, name.size);
        } else {
            problem_path_push(&c->path, "geometry", 8);
        }
        if (property && moved && count > 1 && strcmp(property->name, "movedTo") != 0)
            FAULT(c, "must be left out: a listing that moved says only movedTo");
        if (property) {
            check_value(c, &in, property);
        } else {
            listing_check_unknown(c->collection, NULL, name, c->path.text, c->problems);
            profile_skip(&in);
        }
        problem_path_pop(&c->path, back);
    }
    return moved;
}

static void check_required(struct check *c, struct span body)
{
    problem_path_push(&c->path, "properties", 10);
    for (const struct listing_property *p = listing_properties(); p->name; p++) {
        if (p->required && p->collections >> c->collection & 1 && !map_value(body, p->name).size)
            check_missing(c, p);
    }
    problem_path_pop(&c->path, 0);
}

enum torg_err listing_check(uint8_t collection, struct span body, struct problems *problems)
{
    struct check c = {.collection = collection, .problems = problems};
    struct profile_reader whole, country;
    size_t before = problems->count;

    if (collection >= COLLECTIONS_MAX || !(LISTING_COLLECTIONS >> collection & 1)) {
        problems_add(problems, "collection", "does not hold listings");
        return TORG_E_INVALID;
    }
    whole = profile_reader_of(body);
    if (profile_check(body) || profile_peek(&whole) != PROFILE_MAP) {
        problems_add(problems, "properties", "is not a map in the strict msgpack profile");
        return TORG_E_INVALID;
    }
    if (body.size > LISTING_BODY_BYTES_MAX)
        problems_add(problems, "properties",
                     "is too long in all: %zu bytes packed, at most %d; shorten texts or the "
                     "geometry",
                     body.size, LISTING_BODY_BYTES_MAX);
    country = profile_reader_of(map_value(body, "countryCode"));
    c.country = profile_str(&country, SIZE_MAX);
    if (!check_properties(&c, body))
        check_required(&c, body);
    check_times(&c, body);
    check_booking(&c, body);
    return problems->count > before ? TORG_E_INVALID : TORG_OK;
}
