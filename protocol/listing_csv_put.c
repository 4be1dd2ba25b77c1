/* SPDX-License-Identifier: EUPL-1.2 */
#include <string.h>

#include "protocol/limits.h"
#include "protocol/listing_csv.h"
#include "protocol/listing_geojson.h"
#include "protocol/listing_value.h"
#include "protocol/num.h"
#include "protocol/profile.h"

/* The header and the records walk the table of properties in the same way. */

#define ROWS_MAX 64
#define COLUMN_NAME_BYTES_MAX 96

struct column_name {
    char text[COLUMN_NAME_BYTES_MAX];
    size_t size;
};

static size_t name_push(struct column_name *name, const char *part)
{
    size_t before = name->size;
    size_t size = strlen(part);

    /* Names come from the table, three levels deep at most. */
    if (name->size + size + 2 > sizeof(name->text))
        return before;
    if (before)
        name->text[name->size++] = '.';
    memcpy(name->text + name->size, part, size);
    name->size += size;
    return before;
}

static void header_cell(struct buffer *out, const struct column_name *name, const char *last)
{
    buffer_put_u8(out, ',');
    buffer_put(out, name->text, name->size);
    if (last) {
        buffer_put_u8(out, '.');
        buffer_put_str(out, last);
    }
}

static void header_property(struct buffer *out, struct column_name *name,
                            const struct listing_property *property)
{
    size_t back = name_push(name, property->name);

    if (property->type == LISTING_TYPE_TEXT) {
        for (size_t i = 0; csv_languages[i]; i++)
            header_cell(out, name, csv_languages[i]);
    } else if (property->type == LISTING_TYPE_PRICE) {
        header_cell(out, name, "amount");
        header_cell(out, name, "currency");
    } else if (property->type == LISTING_TYPE_MAP) {
        for (const struct listing_property *f = property->fields; f->name; f++)
            header_property(out, name, f);
    } else {
        header_cell(out, name, NULL);
    }
    name->size = back;
}

static bool is_place(const struct listing_property *property)
{
    return property->collections && strcmp(property->name, "geometry") == 0;
}

void csv_put_header(uint8_t collection, struct buffer *out)
{
    struct column_name name = {0};

    buffer_put_str(out, "id,collection,origin");
    for (const struct listing_property *p = listing_properties(); p->name; p++) {
        if (!(p->collections >> collection & 1))
            continue;
        if (is_place(p))
            buffer_put_str(out, ",longitude,latitude");
        header_property(out, &name, p);
    }
    buffer_put_str(out, "\r\n");
}

/* ---- records ---- */

/* The packed value of a key of a packed map; empty if it is not there. */
static struct span map_value(struct span map, struct span key)
{
    struct profile_reader in = profile_reader_of(map);
    uint32_t count = map.size ? profile_map(&in) : 0;

    for (uint32_t i = 0; i < count && !in.in.err; i++) {
        struct span name = profile_str(&in, SIZE_MAX);
        struct span value = profile_skip(&in);

        if (!in.in.err && span_equal(name, key))
            return value;
    }
    return (struct span){0};
}

/* The i-th value of a packed array; empty if it is not there, or nil. */
static struct span tuple_value(struct span tuple, size_t i)
{
    struct profile_reader in = profile_reader_of(tuple);
    uint32_t count = tuple.size ? profile_array(&in) : 0;
    struct span value = {0};

    if (i >= count)
        return value;
    for (size_t at = 0; at < i; at++)
        profile_skip(&in);
    if (profile_peek(&in) != PROFILE_NIL)
        value = profile_skip(&in);
    return in.in.err ? (struct span){0} : value;
}

static void put_string(struct buffer *out, struct span value)
{
    struct profile_reader in = profile_reader_of(value);
    struct span text = profile_str(&in, SIZE_MAX);

    if (!in.in.err)
        csv_put_cell(out, text);
}

static void put_texts(struct buffer *out, struct span value)
{
    for (size_t i = 0; csv_languages[i]; i++) {
        struct span text = map_value(value, span_of_str(csv_languages[i]));

        buffer_put_u8(out, ',');
        if (text.size)
            put_string(out, text);
    }
}

/* As JSON writes it, numbers and true included; a text without its quotes. */
static void put_json(struct buffer *out, const struct listing_property *property, struct span value)
{
    struct buffer json = {0};
    enum torg_err err = listing_put_value(property, value, &json);

    if (!err && json.size >= 2 && json.data[0] == '"')
        csv_put_cell(out, span_of(json.data + 1, json.size - 2));
    else if (!err && (json.data[0] == '[' || json.data[0] == '{'))
        csv_put_cell(out, buffer_span(&json));
    else if (!err) /* A number: a minus sign is no formula. */
        buffer_put_span(out, buffer_span(&json));
    if (err == TORG_E_NOMEM)
        out->err = out->err ? out->err : err;
    buffer_done(&json);
}

static bool joinable(struct span item)
{
    return item.size && !memchr(item.data, ';', item.size) && item.data[0] != '[' &&
           item.data[0] != ' ' && item.data[item.size - 1] != ' ';
}

/* a;b;c, or a JSON array where an item would not survive that. */
static void put_strings(struct buffer *out, const struct listing_property *property,
                        struct span value)
{
    struct profile_reader in = profile_reader_of(value);
    struct buffer joined = {0};
    uint32_t count = profile_array(&in);
    bool plain = true;

    for (uint32_t i = 0; i < count && !in.in.err; i++) {
        struct span item = profile_str(&in, SIZE_MAX);

        plain = plain && joinable(item);
        buffer_put_str(&joined, i ? ";" : "");
        buffer_put_span(&joined, item);
    }
    if (!plain && !in.in.err)
        put_json(out, property, value);
    else if (!in.in.err && !joined.err)
        csv_put_cell(out, buffer_span(&joined));
    if (joined.err)
        out->err = out->err ? out->err : joined.err;
    buffer_done(&joined);
}

/* References are made of letters and digits: their JSON list, without its signs. */
static void put_references(struct buffer *out, const struct listing_property *property,
                           struct span value)
{
    struct buffer json = {0};

    if (listing_put_value(property, value, &json) == TORG_OK) {
        for (size_t i = 0; i < json.size; i++) {
            uint8_t c = json.data[i];

            if (c == ',')
                buffer_put_u8(out, ';');
            else if (c != '[' && c != ']' && c != '"')
                buffer_put_u8(out, c);
        }
    }
    buffer_done(&json);
}

static void put_price(struct buffer *out, struct span value)
{
    struct profile_reader in = profile_reader_of(value);
    int64_t amount;
    struct span currency;

    buffer_put_u8(out, ',');
    if (value.size) {
        profile_array_of(&in, 2);
        amount = profile_int(&in);
        currency = profile_str(&in, 3);
        if (!in.in.err && !listing_value_currency_fault(currency)) {
            num_put_fixed(out, amount, listing_value_currency_decimals(currency));
            buffer_put_u8(out, ',');
            buffer_put_span(out, currency);
            return;
        }
    }
    buffer_put_u8(out, ',');
}

/* One or more cells, each after a comma; empty when value is, or has another type. */
static void put_cells(struct buffer *out, const struct listing_property *property,
                      struct span value)
{
    size_t i = 0;

    if (property->type == LISTING_TYPE_TEXT) {
        put_texts(out, value);
        return;
    }
    if (property->type == LISTING_TYPE_PRICE) {
        put_price(out, value);
        return;
    }
    if (property->type == LISTING_TYPE_MAP) {
        for (const struct listing_property *f = property->fields; f->name; f++, i++)
            put_cells(out, f,
                      property->tuple ? tuple_value(value, i)
                                      : map_value(value, span_of_str(f->name)));
        return;
    }
    buffer_put_u8(out, ',');
    if (!value.size)
        return;
    if (property->type == LISTING_TYPE_STRING || property->type == LISTING_TYPE_URI ||
        property->type == LISTING_TYPE_ENUM)
        put_string(out, value);
    else if (property->type == LISTING_TYPE_SLUGS || property->type == LISTING_TYPE_STRINGS)
        put_strings(out, property, value);
    else if (property->type == LISTING_TYPE_IDS)
        put_references(out, property, value);
    else
        put_json(out, property, value);
}

static void put_place(struct buffer *out, const struct listing_property *property,
                      struct span value, const struct listing_fields *fields)
{
    buffer_put_u8(out, ',');
    if (fields->is_point)
        num_put_fixed(out, fields->point.lon_e7, 7);
    buffer_put_u8(out, ',');
    if (fields->is_point)
        num_put_fixed(out, fields->point.lat_e7, 7);
    put_cells(out, property, fields->is_point ? (struct span){0} : value);
}

enum torg_err listing_put_csv(const struct listing_meta *meta, struct span body, struct buffer *out)
{
    const struct listing_property *rows = listing_properties();
    struct span values[ROWS_MAX] = {{0}};
    struct listing_fields fields;
    struct feature_id id = {.id = meta->id};
    char text[FEATURE_ID_SIZE + 1];
    struct profile_reader in = profile_reader_of(body);
    enum torg_err err;
    uint32_t count;

    if (meta->collection >= COLLECTIONS_MAX || !(LISTING_COLLECTIONS >> meta->collection & 1))
        return TORG_E_INVALID;
    err = listing_fields_read(meta->collection, body, &fields);
    if (err)
        return err;
    count = profile_map(&in);
    for (uint32_t i = 0; i < count; i++) {
        const struct listing_property *property =
            listing_property_of(meta->collection, profile_str(&in, SIZE_MAX));
        struct span value = profile_skip(&in);

        if (property && property - rows < ROWS_MAX)
            values[property - rows] = value;
    }
    memcpy(id.origin_prefix, meta->origin.bytes, sizeof(id.origin_prefix));
    feature_id_format(&id, text);
    buffer_put_str(out, text);
    buffer_put_u8(out, ',');
    buffer_put_str(out, collection_name(meta->collection));
    buffer_put_u8(out, ',');
    hex_encode(meta->origin.bytes, 8, text);
    buffer_put_str(out, text);
    for (const struct listing_property *p = rows; p->name && p - rows < ROWS_MAX; p++) {
        if (!(p->collections >> meta->collection & 1))
            continue;
        if (is_place(p))
            put_place(out, p, values[p - rows], &fields);
        else
            put_cells(out, p, values[p - rows]);
    }
    buffer_put_str(out, "\r\n");
    return out->err;
}
