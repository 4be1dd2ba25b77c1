/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/listing_geojson.h"

#include <string.h>

#include "protocol/limits.h"
#include "protocol/listing_shape.h"
#include "protocol/listing_value.h"
#include "protocol/num.h"
#include "protocol/profile.h"
#include "protocol/zone.h"

/* Years 1 to 9999: what RFC 3339 can write. */
#define TIME_MS_MIN (-INT64_C(62135596800000))
#define TIME_MS_MAX INT64_C(253402300799999)

static void put_escape(struct buffer *out, uint8_t c)
{
    switch (c) {
    case '"':
        buffer_put_str(out, "\\\"");
        break;
    case '\\':
        buffer_put_str(out, "\\\\");
        break;
    case '\n':
        buffer_put_str(out, "\\n");
        break;
    case '\r':
        buffer_put_str(out, "\\r");
        break;
    case '\t':
        buffer_put_str(out, "\\t");
        break;
    case '\0': /* Right in JSON, but jansson, PostgreSQL and others refuse it. */
        buffer_put_str(out, "\xef\xbf\xbd");
        break;
    default:
        buffer_printf(out, "\\u%04x", c);
    }
}

/*
 * Is one of eight bytes a control character, a quotation mark or a backslash? A
 * byte is zero where it takes the borrow of 1 while its top bit is not set; the
 * bytes of other letters than ASCII's have it set (Hacker's Delight, 6-1).
 */
static bool any_escape(const uint8_t *bytes)
{
    static const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t word, quote, backslash;

    memcpy(&word, bytes, sizeof(word));
    quote = word ^ ones * '"';
    backslash = word ^ ones * '\\';
    return (((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) |
            ((backslash - ones) & ~backslash)) &
           ones * 0x80;
}

/* Text that is known to be UTF-8: what needs no escape is copied in runs. */
static void put_escaped(struct buffer *out, struct span text)
{
    size_t run = 0;

    for (size_t i = 0; i < text.size; i++) {
        uint8_t c;

        while (text.size - i >= sizeof(uint64_t) && !any_escape(text.data + i))
            i += sizeof(uint64_t);
        if (i == text.size)
            break;
        /* The last few, with some before them once more. */
        if (text.size - i < sizeof(uint64_t) && text.size >= sizeof(uint64_t) &&
            !any_escape(text.data + text.size - sizeof(uint64_t)))
            break;
        c = text.data[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buffer_put(out, text.data + run, i - run);
        put_escape(out, c);
        run = i + 1;
    }
    buffer_put(out, text.data + run, text.size - run);
}

/* Text out of a body, which the profile's reader has found to be UTF-8. */
static void put_quoted(struct buffer *out, struct span text)
{
    if (buffer_reserve(out, text.size + 2))
        return;
    buffer_put_u8(out, '"');
    if (text.size)
        put_escaped(out, text);
    buffer_put_u8(out, '"');
}

void json_put_text(struct buffer *out, struct span text)
{
    if (utf8_valid(text)) {
        if (text.size > 0)
            put_escaped(out, text);
        return;
    }
    for (size_t i = 0; i < text.size;) {
        size_t size = 1;

        while (size < 4 && i + size < text.size && !utf8_valid(span_of(text.data + i, size)))
            size++;
        if (utf8_valid(span_of(text.data + i, size))) {
            put_escaped(out, span_of(text.data + i, size));
            i += size;
        } else {
            buffer_put_str(out, "\xef\xbf\xbd");
            i++;
        }
    }
}

void json_put_string(struct buffer *out, struct span text)
{
    buffer_put_u8(out, '"');
    json_put_text(out, text);
    buffer_put_u8(out, '"');
}

static void refuse(struct profile_reader *in)
{
    if (!in->in.err)
        in->in.err = TORG_E_INVALID;
}

/* A key and its colon. With a zero in it, it could become equal to another key. */
static void put_key(struct buffer *out, struct profile_reader *in, struct span name)
{
    if (name.size && memchr(name.data, 0, name.size))
        refuse(in);
    put_quoted(out, name);
    buffer_put_u8(out, ':');
}

/* A value that the table does not know: as plain JSON, bytes as hex. */
static void put_plain(struct buffer *out, struct profile_reader *in, unsigned depth)
{
    struct span bytes;
    uint32_t count;

    if (depth > PROFILE_DEPTH_MAX) {
        refuse(in);
        return;
    }
    switch (profile_peek(in)) {
    case PROFILE_NIL:
        profile_nil(in);
        buffer_put_str(out, "null");
        break;
    case PROFILE_BOOL:
        buffer_put_str(out, profile_bool(in) ? "true" : "false");
        break;
    case PROFILE_INT:
        num_put_int(out, profile_int(in));
        break;
    case PROFILE_STR:
        put_quoted(out, profile_str(in, SIZE_MAX));
        break;
    case PROFILE_BIN:
        bytes = profile_bin(in, SIZE_MAX);
        buffer_put_u8(out, '"');
        for (size_t i = 0; i < bytes.size; i++) {
            char hex[3];

            hex_encode(bytes.data + i, 1, hex);
            buffer_put_str(out, hex);
        }
        buffer_put_u8(out, '"');
        break;
    case PROFILE_ARRAY:
        count = profile_array(in);
        buffer_put_u8(out, '[');
        for (uint32_t i = 0; i < count && !in->in.err; i++) {
            buffer_put_str(out, i ? "," : "");
            put_plain(out, in, depth + 1);
        }
        buffer_put_u8(out, ']');
        break;
    case PROFILE_MAP:
        count = profile_map(in);
        buffer_put_u8(out, '{');
        for (uint32_t i = 0; i < count && !in->in.err; i++) {
            buffer_put_str(out, i ? "," : "");
            put_key(out, in, profile_str(in, SIZE_MAX));
            put_plain(out, in, depth + 1);
        }
        buffer_put_u8(out, '}');
        break;
    }
}

static void put_text(struct buffer *out, struct profile_reader *in)
{
    uint32_t count = profile_map(in);

    buffer_put_u8(out, '{');
    for (uint32_t i = 0; i < count && !in->in.err; i++) {
        buffer_put_str(out, i ? "," : "");
        put_key(out, in, profile_str(in, SIZE_MAX));
        put_quoted(out, profile_str(in, SIZE_MAX));
    }
    buffer_put_u8(out, '}');
}

static void put_position(struct buffer *out, struct profile_reader *in, uint32_t *positions)
{
    int64_t lon, lat;

    profile_array_of(in, 2);
    lon = profile_int(in);
    lat = profile_int(in);
    /* One position out of range would make the whole answer invalid GeoJSON. */
    if (lon < -LISTING_LON_E7_MAX || lon > LISTING_LON_E7_MAX || lat < -LISTING_LAT_E7_MAX ||
        lat > LISTING_LAT_E7_MAX || ++*positions > LISTING_POSITIONS_MAX)
        refuse(in);
    num_put_fixed(out, lon, 7);
    buffer_put_u8(out, ',');
    num_put_fixed(out, lat, 7);
}

/* depth is at most 3: recursion is bounded by the table of shapes. */
static void put_coordinates(struct buffer *out, struct profile_reader *in, unsigned depth,
                            uint32_t *positions)
{
    uint32_t count;

    buffer_put_u8(out, '[');
    if (depth == 0) {
        put_position(out, in, positions);
    } else {
        count = profile_array(in);
        if (count == 0)
            refuse(in);
        for (uint32_t i = 0; i < count && !in->in.err; i++) {
            if (i)
                buffer_put_u8(out, ',');
            put_coordinates(out, in, depth - 1, positions);
        }
    }
    buffer_put_u8(out, ']');
}

static void put_geometry(struct buffer *out, struct profile_reader *in)
{
    const struct listing_shape *shape;
    uint32_t positions = 0;

    profile_array_of(in, 2);
    shape = listing_shape_find(profile_str(in, 32));
    if (!shape) {
        refuse(in);
        return;
    }
    buffer_put_str(out, "{\"type\":\"");
    buffer_put_str(out, shape->name);
    buffer_put_str(out, "\",\"coordinates\":");
    put_coordinates(out, in, shape->depth, &positions);
    buffer_put_u8(out, '}');
}

static void put_time(struct buffer *out, struct profile_reader *in)
{
    int64_t ms = profile_int(in);

    if (ms < TIME_MS_MIN || ms > TIME_MS_MAX) {
        refuse(in);
        return;
    }
    buffer_put_u8(out, '"');
    num_put_time(out, ms);
    buffer_put_u8(out, '"');
}

/* RFC 9557: 2026-07-04T18:00:00+02:00[Europe/Stockholm]; a day without time and offset. */
static void put_local(struct buffer *out, struct profile_reader *in)
{
    struct span text, zone;
    struct zone_local local;

    profile_array_of(in, 2);
    text = profile_str(in, 32);
    zone = profile_str(in, ZONE_NAME_BYTES_MAX);
    if (in->in.err || zone_local_parse(text, &local) || !zone_name_valid(zone)) {
        refuse(in);
        return;
    }
    buffer_put_u8(out, '"');
    zone_local_put(out, &local);
    if (!local.date_only && zone_known(zone))
        zone_offset_put(out, local.local_ms - zone_utc_ms(zone, local.local_ms, NULL));
    buffer_put_u8(out, '[');
    buffer_put_span(out, zone);
    buffer_put_str(out, "]\"");
}

static void put_reference(struct buffer *out, struct profile_reader *in)
{
    uint8_t bytes[LISTING_REFERENCE_SIZE] = {0};
    struct feature_id id;
    char text[FEATURE_ID_SIZE + 1];
    struct reader from = reader_of(span_of(bytes, sizeof(bytes)));

    profile_bin_copy(in, bytes, sizeof(bytes));
    reader_copy(&from, id.origin_prefix, sizeof(id.origin_prefix));
    reader_copy(&from, id.id.bytes, sizeof(id.id.bytes));
    feature_id_format(&id, text);
    buffer_put_u8(out, '"');
    buffer_put_str(out, text);
    buffer_put_u8(out, '"');
}

static void put_price(struct buffer *out, struct profile_reader *in)
{
    int64_t amount;
    struct span currency;

    profile_array_of(in, 2);
    amount = profile_int(in);
    currency = profile_str(in, 3);
    if (in->in.err || listing_value_currency_fault(currency)) {
        refuse(in);
        return;
    }
    buffer_put_str(out, "{\"amount\":");
    num_put_fixed(out, amount, listing_value_currency_decimals(currency));
    buffer_put_str(out, ",\"currency\":\"");
    buffer_put_span(out, currency);
    buffer_put_str(out, "\"}");
}

static void put_number(struct buffer *out, struct profile_reader *in)
{
    int64_t value;
    uint64_t decimals;

    profile_array_of(in, 2);
    value = profile_int(in);
    decimals = profile_uint(in, LISTING_NUMBER_DECIMALS_MAX);
    num_put_fixed(out, value, (unsigned)decimals);
}

static void put_value(struct buffer *out, struct profile_reader *in,
                      const struct listing_property *property);

/* A map or a tuple of fields, as an object. */
static void put_object(struct buffer *out, struct profile_reader *in,
                       const struct listing_property *property)
{
    const struct listing_property *field = property->fields;
    uint32_t count = property->tuple ? profile_array(in) : profile_map(in);
    bool first = true;

    buffer_put_u8(out, '{');
    for (uint32_t i = 0; i < count && !in->in.err; i++) {
        struct span name;

        if (property->tuple) {
            if (!field->name) {
                profile_skip(in); /* A later version's tuple may be longer. */
                continue;
            }
            if (profile_peek(in) == PROFILE_NIL) {
                profile_nil(in);
                field++;
                continue;
            }
            name = span_of_str(field->name);
        } else {
            name = profile_str(in, SIZE_MAX);
            field = listing_property_field(property, name);
        }
        buffer_put_str(out, first ? "" : ",");
        first = false;
        put_key(out, in, name);
        if (field)
            put_value(out, in, field);
        else
            put_plain(out, in, 0);
        if (property->tuple)
            field++;
    }
    buffer_put_u8(out, '}');
}

static void put_list(struct buffer *out, struct profile_reader *in,
                     const struct listing_property *property)
{
    uint32_t count = profile_array(in);

    buffer_put_u8(out, '[');
    for (uint32_t i = 0; i < count && !in->in.err; i++) {
        buffer_put_str(out, i ? "," : "");
        if (property->type == LISTING_TYPE_LIST)
            put_object(out, in, property);
        else if (property->type == LISTING_TYPE_IDS)
            put_reference(out, in);
        else
            put_quoted(out, profile_str(in, SIZE_MAX));
    }
    buffer_put_u8(out, ']');
}

/* One flat switch: each type of the table. A value of another type is the reader's error. */
static void put_value(struct buffer *out, struct profile_reader *in,
                      const struct listing_property *property)
{
    switch (property->type) {
    case LISTING_TYPE_TEXT:
        put_text(out, in);
        break;
    case LISTING_TYPE_STRING:
    case LISTING_TYPE_URI:
    case LISTING_TYPE_ENUM:
        put_quoted(out, profile_str(in, SIZE_MAX));
        break;
    case LISTING_TYPE_SLUGS:
    case LISTING_TYPE_STRINGS:
    case LISTING_TYPE_IDS:
    case LISTING_TYPE_LIST:
        put_list(out, in, property);
        break;
    case LISTING_TYPE_GEOMETRY:
        put_geometry(out, in);
        break;
    case LISTING_TYPE_TIME:
        put_time(out, in);
        break;
    case LISTING_TYPE_LOCAL:
        put_local(out, in);
        break;
    case LISTING_TYPE_INT:
        num_put_int(out, profile_int(in));
        break;
    case LISTING_TYPE_NUMBER:
        put_number(out, in);
        break;
    case LISTING_TYPE_BOOL:
        buffer_put_str(out, profile_bool(in) ? "true" : "false");
        break;
    case LISTING_TYPE_ID:
        put_reference(out, in);
        break;
    case LISTING_TYPE_PRICE:
        put_price(out, in);
        break;
    case LISTING_TYPE_MAP:
        put_object(out, in, property);
        break;
    }
}

enum torg_err listing_put_value(const struct listing_property *property, struct span value,
                                struct buffer *out)
{
    struct profile_reader in = profile_reader_of(value);
    size_t size_before = out->size;

    put_value(out, &in, property);
    if (out->err)
        return out->err;
    if (!profile_end(&in))
        return TORG_OK;
    out->size = size_before;
    return TORG_E_INVALID;
}

/*
 * One property of a received body. A value of another type than the table's is
 * left out, so that a property has one type in every feature.
 */
static void put_property(struct buffer *out, struct profile_reader *in, uint8_t collection,
                         struct span name)
{
    const struct listing_property *property = listing_property_of(collection, name);
    struct profile_reader before = *in;
    size_t size_before = out->size;

    if (!property && listing_property_reserved(name)) {
        profile_skip(in);
        return;
    }
    if (!property)
        property = listing_property_find(name);
    buffer_put_u8(out, ',');
    put_key(out, in, name);
    if (property)
        put_value(out, in, property);
    else
        put_plain(out, in, 0);
    if (!in->in.err)
        return;
    *in = before;
    profile_skip(in);
    if (!out->err)
        out->size = size_before;
}

/* The value of the body's geometry, if any. */
static struct span find_geometry(struct span body)
{
    struct profile_reader in = profile_reader_of(body);
    uint32_t count = profile_map(&in);

    for (uint32_t i = 0; i < count && !in.in.err; i++) {
        struct span name = profile_str(&in, SIZE_MAX);
        struct span value = profile_skip(&in);

        int order = span_compare(name, span_of_str("geometry"));

        if (!in.in.err && order == 0)
            return value;
        if (order > 0) /* The keys ascend. */
            break;
    }
    return (struct span){0};
}

static void put_head(struct buffer *out, const struct listing_meta *meta)
{
    struct feature_id id = {.id = meta->id};
    char text[FEATURE_ID_SIZE + 1];
    struct reader from = reader_of(span_of(meta->origin.bytes, sizeof(meta->origin.bytes)));

    reader_copy(&from, id.origin_prefix, sizeof(id.origin_prefix));
    feature_id_format(&id, text);
    buffer_put_str(out, "{\"type\":\"Feature\",\"id\":\"");
    buffer_put_str(out, text);
    buffer_put_str(out, "\",\"geometry\":");
}

enum torg_err listing_put_geojson(const struct listing_meta *meta, struct span body,
                                  struct buffer *out)
{
    const char *collection = collection_name(meta->collection);
    struct span geometry = find_geometry(body);
    size_t size_before = out->size;
    struct profile_reader in;
    char origin[17];
    uint32_t count;

    put_head(out, meta);
    if (geometry.size) {
        in = profile_reader_of(geometry);
        put_geometry(out, &in);
        if (in.in.err)
            goto invalid;
    } else {
        buffer_put_str(out, "null");
    }
    hex_encode(meta->origin.bytes, 8, origin);
    buffer_put_str(out, ",\"properties\":{\"collection\":\"");
    buffer_put_str(out, collection ? collection : "");
    buffer_put_str(out, "\",\"origin\":\"");
    buffer_put_str(out, origin);
    buffer_put_u8(out, '"');
    in = profile_reader_of(body);
    count = profile_map(&in);
    for (uint32_t i = 0; i < count && !in.in.err; i++) {
        struct span name = profile_str(&in, SIZE_MAX);

        if (span_equal(name, span_of_str("geometry")))
            profile_skip(&in);
        else
            put_property(out, &in, meta->collection, name);
    }
    buffer_put_str(out, "}}");
    if (profile_end(&in))
        goto invalid;
    return out->err;
invalid:
    if (!out->err)
        out->size = size_before;
    return TORG_E_INVALID;
}
