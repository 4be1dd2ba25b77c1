/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/limits.h"
#include "protocol/listing_check.h"
#include "protocol/listing_geojson.h"
#include "protocol/listing_geojson_internal.h"
#include "protocol/listing_value.h"
#include "protocol/num.h"
#include "protocol/profile.h"
#include "protocol/zone.h"

/*
 * JSON to a packed body in two steps: here each value is brought into its
 * body's type, and what cannot be is named; then listing_check looks at the
 * whole. So every mistake is named, and both ways in (GeoJSON, CSV) and what
 * is in the store obey the same rules.
 */
#define JSON_DEPTH_MAX 32
#define MAP_ENTRIES_MAX 128

/* Nesting, before jansson's recursion sees the text. */
static bool json_too_deep(struct span text)
{
    unsigned depth = 0;
    bool string = false;

    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];

        if (string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                string = false;
        } else if (c == '"') {
            string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > JSON_DEPTH_MAX)
                return true;
        } else if ((c == ']' || c == '}') && depth) {
            depth--;
        }
    }
    return false;
}

enum torg_err listing_json_parse(struct span text, json_t **ret_json, char *message,
                                 size_t message_size)
{
    json_error_t error;
    json_t *json;

    if (json_too_deep(text)) {
        snprintf(message, message_size, "nested more than %d deep", JSON_DEPTH_MAX);
        return TORG_E_INVALID;
    }
    /* jansson takes a zero byte for the end and ignores what follows (2.14). */
    if (text.size && memchr(text.data, 0, text.size)) {
        snprintf(message, message_size, "a zero byte is not JSON");
        return TORG_E_INVALID;
    }
    json = json_loadb(text.size ? (const char *)text.data : "", text.size,
                      JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!json) {
        if (json_error_code(&error) == json_error_out_of_memory)
            return TORG_E_NOMEM;
        snprintf(message, message_size, "line %d, column %d: %s", error.line, error.column,
                 error.text);
        utf8_trim(message);
        return TORG_E_INVALID;
    }
    *ret_json = json;
    return TORG_OK;
}

static struct span json_text(const json_t *json)
{
    return span_of(json_string_value(json), json_string_length(json));
}

/* ---- maps, sorted ---- */

/* A map's packed values in the order in which they came, and where each is. */
struct map_builder {
    struct buffer values;
    size_t count;
    struct {
        struct span name;
        size_t start;
        size_t size;
    } entries[MAP_ENTRIES_MAX];
};

/* The value was packed to builder->values from start on. */
static void map_add(struct map_builder *builder, struct span name, size_t start)
{
    if (builder->count == MAP_ENTRIES_MAX) {
        builder->values.err = builder->values.err ? builder->values.err : TORG_E_TOO_BIG;
        return;
    }
    builder->entries[builder->count].name = name;
    builder->entries[builder->count].start = start;
    builder->entries[builder->count].size = builder->values.size - start;
    builder->count++;
}

/* Writes the map and empties the builder. Insertion sort: maps are small. */
static void map_finish(struct map_builder *builder, struct buffer *out)
{
    uint8_t order[MAP_ENTRIES_MAX];

    for (size_t i = 0; i < builder->count; i++) {
        size_t at = i;

        while (at &&
               span_compare(builder->entries[order[at - 1]].name, builder->entries[i].name) > 0) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = (uint8_t)i;
    }
    if (builder->values.err) {
        out->err = out->err ? out->err : builder->values.err;
    } else {
        pack_map(out, (uint32_t)builder->count);
        for (size_t i = 0; i < builder->count; i++) {
            pack_str(out, builder->entries[order[i]].name);
            buffer_put(out, builder->values.data + builder->entries[order[i]].start,
                       builder->entries[order[i]].size);
        }
    }
    buffer_done(&builder->values);
}

/* ---- texts ---- */

/* Windows writes line ends as two characters. */
static void pack_lines(struct buffer *out, struct span text)
{
    struct buffer lines = {0};

    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != '\r' || i + 1 == text.size || text.data[i + 1] != '\n')
            buffer_put_u8(&lines, text.data[i]);
    }
    out->err = out->err ? out->err : lines.err;
    pack_str(out, buffer_span(&lines));
    buffer_done(&lines);
}

static void pack_text(struct buffer *out, const struct listing_property *property, struct span text)
{
    if (property->format == LISTING_FORMAT_PARAGRAPHS && memchr(text.data, '\r', text.size))
        pack_lines(out, text);
    else
        pack_str(out, text);
}

static bool convert_text(struct listing_geojson_convert *c, const struct listing_property *property,
                         json_t *json, struct buffer *out)
{
    struct map_builder map = {0};
    const char *language;
    json_t *text;

    if (json_is_string(json)) {
        pack_map(out, 1);
        pack_str(out, span_of_str(c->language));
        pack_text(out, property, json_text(json));
        return true;
    }
    if (!json_is_object(json)) {
        LISTING_GEOJSON_FAULT(c, "must be a text, or texts by language: {\"sv\": \"...\"}");
        return false;
    }
    json_object_foreach(json, language, text)
    {
        size_t back = problem_path_push(&c->path, language, strlen(language));
        size_t start = map.values.size;

        if (map.count > LISTING_LANGUAGES_MAX) {
            /* listing_check names it; more need not be packed. */
        } else if (json_is_string(text)) {
            pack_text(&map.values, property, json_text(text));
            map_add(&map, span_of_str(language), start);
        } else if (!json_is_null(text)) {
            LISTING_GEOJSON_FAULT(c, "must be a text");
        }
        problem_path_pop(&c->path, back);
    }
    map_finish(&map, out);
    return true;
}

/* 5560360793 and 165560360793 are written 556036-0793. */
static void pack_organisation(struct buffer *out, struct span text)
{
    char hyphened[11];
    int64_t digits;

    if (text.size == 12 && memcmp(text.data, "16", 2) == 0)
        text = span_of(text.data + 2, 10);
    if (text.size != 10 || num_parse_int(text, 0, INT64_C(9999999999), &digits)) {
        pack_str(out, text);
        return;
    }
    memcpy(hyphened, text.data, 6);
    hyphened[6] = '-';
    memcpy(hyphened + 7, text.data + 6, 4);
    pack_str(out, span_of(hyphened, sizeof(hyphened)));
}

static bool convert_string(struct listing_geojson_convert *c,
                           const struct listing_property *property, const json_t *json,
                           struct buffer *out)
{
    if (!json_is_string(json)) {
        LISTING_GEOJSON_FAULT(c, json_is_number(json)
                                     ? "must be a text, in quotes: codes keep their zeros"
                                     : "must be a text");
        return false;
    }
    if (property->format == LISTING_FORMAT_ORGANISATION)
        pack_organisation(out, json_text(json));
    else
        pack_str(out, json_text(json));
    return true;
}

static bool convert_reference(struct listing_geojson_convert *c, const json_t *json,
                              struct buffer *out)
{
    uint8_t bytes[LISTING_REFERENCE_SIZE];
    struct feature_id id;

    if (!json_is_string(json) || feature_id_parse(json_text(json), &id)) {
        LISTING_GEOJSON_FAULT(c, "must be the id of a listing, as the API gives it");
        return false;
    }
    memcpy(bytes, id.origin_prefix, sizeof(id.origin_prefix));
    memcpy(bytes + sizeof(id.origin_prefix), id.id.bytes, sizeof(id.id.bytes));
    pack_bin(out, bytes, sizeof(bytes));
    return true;
}

/* ---- times ---- */

/* text without [zone], and the zone; false if it does not end in one that torg computes. */
static bool split_zone(struct listing_geojson_convert *c, struct span text, struct span *ret_text,
                       struct span *ret_zone)
{
    const uint8_t *open = text.size ? memchr(text.data, '[', text.size) : NULL;

    *ret_text = text;
    *ret_zone = span_of_str(ZONE_DEFAULT);
    if (!open)
        return true;
    ret_text->size = (size_t)(open - text.data);
    if (text.data[text.size - 1] == ']')
        *ret_zone = span_of(open + 1, text.size - ret_text->size - 2);
    if (text.data[text.size - 1] == ']' && zone_known(*ret_zone))
        return true;
    LISTING_GEOJSON_FAULT(c, "must be in the time zone %s, in brackets", ZONE_KNOWN_TEXT);
    return false;
}

#define LOCAL_ACCEPTED                                                                             \
    "must be a local time with its zone, as 2026-07-04T18:00[Europe/Stockholm], or a date"

static bool convert_local(struct listing_geojson_convert *c, const json_t *json, struct buffer *out)
{
    struct span text, zone;
    struct zone_local local;
    struct buffer canonical = {0};
    int64_t utc_ms;

    if (!json_is_string(json)) {
        LISTING_GEOJSON_FAULT(c, LOCAL_ACCEPTED);
        return false;
    }
    if (!split_zone(c, json_text(json), &text, &zone))
        return false;
    if (zone_local_parse(text, &local)) {
        struct zone_local written;

        if (num_parse_time(text, &utc_ms)) {
            LISTING_GEOJSON_FAULT(c, LOCAL_ACCEPTED);
            return false;
        }
        local.local_ms = utc_ms + zone_offset_ms(zone, utc_ms);
        local.date_only = false;
        /* With a zone of its own, an offset that contradicts it is a mistake. */
        if (text.data[text.size - 1] != 'Z' && text.data[text.size - 1] != 'z' &&
            json_string_length(json) > text.size &&
            (zone_local_parse(span_of(text.data, 19), &written) ||
             written.local_ms != local.local_ms - local.local_ms % 1000)) {
            LISTING_GEOJSON_FAULT(c, "must have the offset of its time zone at that time, or none");
            return false;
        }
    }
    zone_local_put(&canonical, &local);
    pack_array(out, 2);
    pack_str(out, buffer_span(&canonical));
    pack_str(out, zone);
    out->err = out->err ? out->err : canonical.err;
    buffer_done(&canonical);
    return true;
}

static bool convert_time(struct listing_geojson_convert *c, const struct listing_property *property,
                         const json_t *json, struct buffer *out)
{
    struct span text, zone;
    struct zone_local local;
    int64_t ms;

    if (!json_is_string(json)) {
        LISTING_GEOJSON_FAULT(c, "must be a time, as 2026-11-21T09:00:00+01:00, or a date");
        return false;
    }
    if (!num_parse_time(json_text(json), &ms)) {
        pack_int(out, ms);
        return true;
    }
    if (!split_zone(c, json_text(json), &text, &zone))
        return false;
    if (zone_local_parse(text, &local)) {
        LISTING_GEOJSON_FAULT(c, "must be a time, as 2026-11-21T09:00:00+01:00, or a date");
        return false;
    }
    if (local.date_only && property->format == LISTING_FORMAT_DAY_END)
        local.local_ms += ZONE_DAY_MS - 1;
    pack_int(out, zone_utc_ms(zone, local.local_ms, NULL));
    return true;
}

/* ---- numbers with a meaning ---- */

static bool convert_number(struct listing_geojson_convert *c, const json_t *json,
                           struct buffer *out)
{
    int64_t value;
    unsigned decimals = LISTING_NUMBER_DECIMALS_MAX;

    if (!listing_geojson_fixed(c, json, decimals, true, &value))
        return false;
    while (decimals && value % 10 == 0) {
        value /= 10;
        decimals--;
    }
    pack_array(out, 2);
    pack_int(out, value);
    pack_uint(out, decimals);
    return true;
}

static bool convert_price(struct listing_geojson_convert *c, json_t *json, struct buffer *out)
{
    const json_t *amount = json_object_get(json, "amount");
    const json_t *currency = json_object_get(json, "currency");
    const char *name;
    json_t *value;
    int64_t minor = 0;
    size_t back;

    if (!json_is_object(json)) {
        LISTING_GEOJSON_FAULT(c, "must be a price: {\"amount\": 199.5, \"currency\": \"SEK\"}");
        return false;
    }
    json_object_foreach(json, name, value)
    {
        if (value != amount && value != currency) {
            back = problem_path_push(&c->path, name, strlen(name));
            LISTING_GEOJSON_FAULT(c, "is not known; a price has amount and currency");
            problem_path_pop(&c->path, back);
        }
    }
    pack_array(out, 2);
    back = problem_path_push(&c->path, "amount", 6);
    if (!amount || json_is_null(amount)) {
        LISTING_GEOJSON_FAULT(c, "is missing; 0 is free");
        pack_nil(out);
    } else if (listing_geojson_fixed(
                   c, amount, listing_value_currency_decimals(json_text(currency)), true, &minor)) {
        pack_int(out, minor);
    } else {
        pack_nil(out);
    }
    problem_path_pop(&c->path, back);
    back = problem_path_push(&c->path, "currency", 8);
    if (json_is_string(currency)) {
        pack_str(out, json_text(currency));
    } else {
        LISTING_GEOJSON_FAULT(c, "%s; must be three capital letters (ISO 4217), as SEK",
                              currency ? "is not a text" : "is missing");
        pack_nil(out);
    }
    problem_path_pop(&c->path, back);
    return true;
}

/* ---- maps and lists ---- */

static bool convert_value(struct listing_geojson_convert *c,
                          const struct listing_property *property, json_t *json,
                          struct buffer *out);

/* A value whose conversion failed leaves nothing behind. */
static bool convert_or_nothing(struct listing_geojson_convert *c,
                               const struct listing_property *property, json_t *json,
                               struct buffer *out)
{
    size_t before = out->size;

    if (convert_value(c, property, json, out))
        return true;
    out->size = before;
    return false;
}

static void unknown_fields(struct listing_geojson_convert *c,
                           const struct listing_property *property, json_t *json)
{
    const char *name;
    json_t *value;

    json_object_foreach(json, name, value)
    {
        if (!listing_property_field(property, span_of_str(name))) {
            size_t back = problem_path_push(&c->path, name, strlen(name));

            listing_check_unknown(c->collection, property->fields, span_of_str(name), c->path.text,
                                  c->problems);
            problem_path_pop(&c->path, back);
        }
    }
}

/* An object to a map or a tuple of the property's fields. */
static bool convert_object(struct listing_geojson_convert *c,
                           const struct listing_property *property, json_t *json,
                           struct buffer *out)
{
    struct map_builder map = {0};
    uint32_t count = 0;

    if (!json_is_object(json)) {
        LISTING_GEOJSON_FAULT(c, "must be an object");
        return false;
    }
    unknown_fields(c, property, json);
    while (property->fields[count].name)
        count++;
    if (property->tuple)
        pack_array(out, count);
    for (const struct listing_property *f = property->fields; f->name; f++) {
        json_t *value = json_object_get(json, f->name);
        size_t back = problem_path_push(&c->path, f->name, strlen(f->name));
        size_t start = map.values.size;
        bool has = value && !json_is_null(value);

        if (property->tuple) {
            if (!has || !convert_or_nothing(c, f, value, out))
                pack_nil(out);
        } else if (has && convert_or_nothing(c, f, value, &map.values)) {
            map_add(&map, span_of_str(f->name), start);
        }
        problem_path_pop(&c->path, back);
    }
    if (!property->tuple)
        map_finish(&map, out);
    return true;
}

static bool convert_item(struct listing_geojson_convert *c, const struct listing_property *property,
                         json_t *json, struct buffer *out)
{
    if (property->type == LISTING_TYPE_LIST)
        return convert_object(c, property, json, out);
    if (property->type == LISTING_TYPE_IDS)
        return convert_reference(c, json, out);
    return convert_string(c, property, json, out);
}

static bool convert_list(struct listing_geojson_convert *c, const struct listing_property *property,
                         json_t *json, struct buffer *out)
{
    size_t count = json_array_size(json);

    if (!json_is_array(json)) {
        LISTING_GEOJSON_FAULT(c, "must be a list: [...]");
        return false;
    }
    if (count > property->max) {
        LISTING_GEOJSON_FAULT(c, "must have at most %u entries, has %zu", (unsigned)property->max,
                              count);
        return false;
    }
    pack_array(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        size_t back = problem_path_push_index(&c->path, i);
        size_t before = out->size;

        /* nil keeps the place, so that later entries are named by their own number. */
        if (!convert_item(c, property, json_array_get(json, i), out)) {
            out->size = before;
            pack_nil(out);
        }
        problem_path_pop(&c->path, back);
    }
    return true;
}

static bool convert_choice(struct listing_geojson_convert *c,
                           const struct listing_property *property, const json_t *json,
                           struct buffer *out)
{
    char choices[160];

    if (json_is_string(json)) {
        pack_str(out, json_text(json));
        return true;
    }
    listing_check_choices(property->choices, choices, sizeof(choices));
    LISTING_GEOJSON_FAULT(c, "must be %s", choices);
    return false;
}

/* One flat switch: each type of the table. */
static bool convert_value(struct listing_geojson_convert *c,
                          const struct listing_property *property, json_t *json, struct buffer *out)
{
    switch (property->type) {
    case LISTING_TYPE_TEXT:
        return convert_text(c, property, json, out);
    case LISTING_TYPE_STRING:
    case LISTING_TYPE_URI:
        return convert_string(c, property, json, out);
    case LISTING_TYPE_SLUGS:
    case LISTING_TYPE_IDS:
    case LISTING_TYPE_STRINGS:
    case LISTING_TYPE_LIST:
        return convert_list(c, property, json, out);
    case LISTING_TYPE_GEOMETRY:
        return listing_geojson_geometry(c, json, out);
    case LISTING_TYPE_TIME:
        return convert_time(c, property, json, out);
    case LISTING_TYPE_LOCAL:
        return convert_local(c, json, out);
    case LISTING_TYPE_INT:
        if (json_is_integer(json) && json_integer_value(json) >= 0 &&
            json_integer_value(json) <= (json_int_t)property->max) {
            pack_int(out, json_integer_value(json));
            return true;
        }
        LISTING_GEOJSON_FAULT(c, "must be a whole number from 0 to %u", (unsigned)property->max);
        return false;
    case LISTING_TYPE_NUMBER:
        return convert_number(c, json, out);
    case LISTING_TYPE_BOOL:
        if (json_is_boolean(json)) {
            pack_bool(out, json_is_true(json));
            return true;
        }
        LISTING_GEOJSON_FAULT(c, "must be true or false");
        return false;
    case LISTING_TYPE_ENUM:
        return convert_choice(c, property, json, out);
    case LISTING_TYPE_ID:
        return convert_reference(c, json, out);
    case LISTING_TYPE_PRICE:
        return convert_price(c, json, out);
    case LISTING_TYPE_MAP:
        return convert_object(c, property, json, out);
    }
    return false;
}

/* ---- the feature ---- */

static void convert_properties(struct listing_geojson_convert *c, json_t *properties,
                               struct map_builder *map)
{
    const char *name;
    json_t *value;

    json_object_foreach(properties, name, value)
    {
        struct span key = span_of_str(name);
        const struct listing_property *property = listing_property_of(c->collection, key);
        size_t back = problem_path_push(&c->path, name, key.size);
        size_t start = map->values.size;

        if (span_equal(key, span_of_str("geometry"))) {
            LISTING_GEOJSON_FAULT(c, "stands beside \"properties\", not inside");
        } else if (listing_property_reserved(key) || (property && property->read_only)) {
            /* What the API itself adds: a feature may be sent back as it came. */
        } else if (!property) {
            listing_check_unknown(c->collection, NULL, key, c->path.text, c->problems);
        } else if (!json_is_null(value) && convert_or_nothing(c, property, value, &map->values)) {
            map_add(map, span_of_str(property->name), start);
        }
        problem_path_pop(&c->path, back);
    }
}

/* The old way (2008) to name a coordinate system, which RFC 7946 took away. */
static void check_crs(struct listing_geojson_convert *c, const json_t *crs)
{
    const char *name =
        json_string_value(json_object_get(json_object_get(crs, "properties"), "name"));

    if (!crs || json_is_null(crs))
        return;
    if (name && (strstr(name, "CRS84") || strcmp(name, "EPSG:4326") == 0))
        return;
    problems_add(c->problems, "crs",
                 "must be left out: GeoJSON is always WGS 84, longitude before latitude");
}

/* False: it is no feature, so that nothing can be said about what it should hold. */
static bool convert_feature(struct listing_geojson_convert *c, const json_t *feature,
                            struct map_builder *map)
{
    json_t *geometry = json_object_get(feature, "geometry");
    json_t *properties = json_object_get(feature, "properties");
    const char *type = json_string_value(json_object_get(feature, "type"));
    size_t back;

    if (!type || strcmp(type, "Feature") != 0) {
        problems_add(c->problems, "type", "must be \"Feature\"");
        return false;
    }
    check_crs(c, json_object_get(feature, "crs"));
    if (geometry && !json_is_null(geometry)) {
        size_t start = map->values.size;

        back = problem_path_push(&c->path, "geometry", 8);
        if (listing_geojson_geometry(c, geometry, &map->values))
            map_add(map, span_of_str("geometry"), start);
        else
            map->values.size = start;
        problem_path_pop(&c->path, back);
    }
    if (!json_is_object(properties)) {
        problems_add(c->problems, "properties", "must be an object");
        return false;
    }
    back = problem_path_push(&c->path, "properties", 10);
    convert_properties(c, properties, map);
    problem_path_pop(&c->path, back);
    return true;
}

static void add_time(struct map_builder *map, const char *name, int64_t ms)
{
    size_t start = map->values.size;

    pack_int(&map->values, ms);
    map_add(map, span_of_str(name), start);
}

static bool map_has(const struct map_builder *map, const char *name)
{
    for (size_t i = 0; i < map->count; i++) {
        if (span_equal(map->entries[i].name, span_of_str(name)))
            return true;
    }
    return false;
}

enum torg_err listing_of_geojson(uint8_t collection, const json_t *feature, const char *language,
                                 int64_t created_ms, int64_t modified_ms, struct buffer *ret_body,
                                 struct problems *problems)
{
    struct listing_geojson_convert c = {
        .collection = collection, .language = language ? language : "sv", .problems = problems};
    struct map_builder map = {0};
    struct buffer body = {0};
    size_t before = problems->count;
    bool is_feature;
    enum torg_err err;

    if (collection >= COLLECTIONS_MAX || !(LISTING_COLLECTIONS >> collection & 1)) {
        problems_add(problems, "collection", "does not hold listings");
        return TORG_E_INVALID;
    }
    is_feature = convert_feature(&c, feature, &map);
    if (!map_has(&map, "movedTo")) {
        add_time(&map, "created", created_ms);
        add_time(&map, "modified", modified_ms);
    }
    map_finish(&map, &body);
    err = body.err;
    if (err)
        goto done;
    if (is_feature)
        listing_check(collection, buffer_span(&body), problems);
    if (problems->count > before) {
        err = TORG_E_INVALID;
        goto done;
    }
    buffer_put_span(ret_body, buffer_span(&body));
    err = ret_body->err;
done:
    buffer_done(&body);
    return err;
}
