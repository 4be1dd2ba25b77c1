/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdlib.h>
#include <string.h>

#include "protocol/limits.h"
#include "protocol/listing_check.h"
#include "protocol/listing_csv.h"
#include "protocol/listing_geojson.h"
#include "protocol/listing_value.h"
#include "protocol/num.h"

/*
 * A record becomes a GeoJSON feature and goes the same way as one: rules that
 * exist once cannot differ.
 */
#define LEVELS_MAX 4 /* identifiers.source.system, booking.slots ... and a language */
#define NAME_BYTES_MAX 96

enum column_kind {
    COLUMN_PASSED, /* the API's own, or without a name */
    COLUMN_LONGITUDE,
    COLUMN_LATITUDE,
    COLUMN_GEOMETRY,
    COLUMN_VALUE,
};

struct column {
    enum column_kind kind;
    const struct listing_property *property; /* the last of the path; NULL in a price's parts */
    unsigned levels;
    char path[LEVELS_MAX][NAME_BYTES_MAX]; /* of keys in "properties"; "" is the default language */
    bool amount;                           /* price.amount */
};

struct csv_columns {
    uint8_t collection;
    bool decimal_comma;
    size_t count;
    struct column columns[CSV_COLUMNS_MAX];
};

static struct span trimmed(struct span text)
{
    while (text.size && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.size--;
    }
    while (text.size && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

/* ---- the header ---- */

static bool is_name(struct span name, const char *const *names)
{
    for (size_t i = 0; names[i]; i++) {
        if (span_equal(name, span_of_str(names[i])))
            return true;
    }
    return false;
}

static void path_add(struct column *column, struct span key)
{
    size_t size = key.size < NAME_BYTES_MAX - 1 ? key.size : NAME_BYTES_MAX - 1;

    if (column->levels == LEVELS_MAX)
        return;
    if (size)
        memcpy(column->path[column->levels], key.data, size);
    column->path[column->levels][size] = '\0';
    column->levels++;
}

/* Up to the next '.', and *rest to what follows it. */
static struct span take_part(struct span *rest)
{
    const uint8_t *dot = rest->size ? memchr(rest->data, '.', rest->size) : NULL;
    struct span part = *rest;

    if (!dot) {
        *rest = (struct span){0};
        return part;
    }
    part.size = (size_t)(dot - rest->data);
    *rest = span_of(dot + 1, rest->size - part.size - 1);
    return part;
}

static void fields_accepted(const struct listing_property *property, struct span name,
                            struct problems *problems)
{
    char path[NAME_BYTES_MAX];
    struct buffer names = {0};
    size_t size = name.size < sizeof(path) - 1 ? name.size : sizeof(path) - 1;

    memcpy(path, name.data, size);
    path[size] = '\0';
    for (const struct listing_property *f = property->fields; f && f->name; f++)
        buffer_printf(&names, "%s%s.%s", f == property->fields ? "" : ", ", path, f->name);
    if (property->type == LISTING_TYPE_PRICE)
        buffer_printf(&names, "%s.amount and %s.currency", path, path);
    problems_add(problems, path, "has parts, each a column of its own: %.*s", (int)names.size,
                 (const char *)names.data);
    buffer_done(&names);
}

/* The rest of a column's name, within a property that has parts; false names the mistake. */
static bool column_parts(struct csv_columns *columns, struct column *column, struct span name,
                         struct span rest, struct problems *problems)
{
    char path[NAME_BYTES_MAX] = {0};

    memcpy(path, name.data, name.size < sizeof(path) - 1 ? name.size : sizeof(path) - 1);
    while (column->property->type == LISTING_TYPE_MAP && rest.size) {
        struct span part = take_part(&rest);
        const struct listing_property *field = listing_property_field(column->property, part);

        if (!field) {
            listing_check_unknown(columns->collection, column->property->fields, part, path,
                                  problems);
            return false;
        }
        path_add(column, part);
        column->property = field;
    }
    if (column->property->type == LISTING_TYPE_TEXT) {
        if (rest.size && listing_value_fault(LISTING_FORMAT_LANGUAGE, rest)) {
            problems_add(problems, path, "ends in a language that %s",
                         listing_value_fault(LISTING_FORMAT_LANGUAGE, rest));
            return false;
        }
        path_add(column, rest);
        return true;
    }
    if (column->property->type == LISTING_TYPE_PRICE &&
        (span_equal(rest, span_of_str("amount")) || span_equal(rest, span_of_str("currency")))) {
        column->amount = rest.data[0] == 'a';
        column->property = NULL;
        path_add(column, rest);
        return true;
    }
    if (column->property->type == LISTING_TYPE_MAP ||
        column->property->type == LISTING_TYPE_PRICE) {
        fields_accepted(column->property, name, problems);
        return false;
    }
    if (rest.size) {
        problems_add(problems, path, "has no parts");
        return false;
    }
    return true;
}

static bool is_position(struct span column)
{
    static const char *const positions[] = {"longitude", "latitude", NULL};

    return is_name(column, positions);
}

/* Spreadsheets are headed in the office's language: say which column was meant. */
static void column_unknown(const struct csv_columns *columns, struct span name, struct span first,
                           const char *path, struct problems *problems)
{
    const char *meant = csv_column_meant(name);
    struct span rest = span_of_str(meant ? meant : "");
    struct span property = take_part(&rest);
    bool known = property.size &&
                 (is_position(property) || listing_property_of(columns->collection, property));

    if (known)
        problems_add(problems, path, "is not known; did you mean %s?", meant);
    else
        listing_check_unknown(columns->collection, NULL, first, path, problems);
}

static bool column_read(struct csv_columns *columns, struct column *column, struct span name,
                        struct problems *problems)
{
    static const char *const longitudes[] = {"longitude", "lon", "lng", NULL};
    static const char *const latitudes[] = {"latitude", "lat", NULL};
    struct span rest = name;
    struct span first;
    char path[NAME_BYTES_MAX] = {0};

    memcpy(path, name.data, name.size < sizeof(path) - 1 ? name.size : sizeof(path) - 1);
    if (is_name(name, longitudes)) {
        column->kind = COLUMN_LONGITUDE;
        return true;
    }
    if (is_name(name, latitudes)) {
        column->kind = COLUMN_LATITUDE;
        return true;
    }
    if (span_equal(name, span_of_str("geometry"))) {
        column->kind = COLUMN_GEOMETRY;
        return true;
    }
    first = take_part(&rest);
    column->property = listing_property_of(columns->collection, first);
    if (listing_property_reserved(name) || (column->property && column->property->read_only))
        return true;
    if (!column->property) {
        column_unknown(columns, name, first, path, problems);
        return false;
    }
    column->kind = COLUMN_VALUE;
    path_add(column, first);
    return column_parts(columns, column, name, rest, problems);
}

/* Two columns for one thing: which of them would count? */
static bool same_target(const struct column *a, const struct column *b)
{
    if (a->kind != b->kind || a->kind == COLUMN_PASSED || a->levels != b->levels)
        return false;
    for (unsigned i = 0; i < a->levels; i++) {
        if (strcmp(a->path[i], b->path[i]) != 0)
            return false;
    }
    return true;
}

enum torg_err csv_columns_new(uint8_t collection, const struct csv_reader *header,
                              struct csv_columns **ret_columns, struct problems *problems)
{
    struct csv_columns *columns;
    size_t before = problems->count;

    if (collection >= COLLECTIONS_MAX || !(LISTING_COLLECTIONS >> collection & 1)) {
        problems_add(problems, "collection", "does not hold listings");
        return TORG_E_INVALID;
    }
    columns = calloc(1, sizeof(*columns));
    if (!columns)
        return TORG_E_NOMEM;
    columns->collection = collection;
    columns->decimal_comma = header->separator == ';';
    columns->count = header->field_count;
    for (size_t i = 0; i < columns->count; i++) {
        struct span name = trimmed(csv_cell_text(header->fields[i]));

        if (!name.size) /* Spreadsheets leave columns without a name behind. */
            continue;
        if (!column_read(columns, &columns->columns[i], name, problems))
            columns->columns[i].kind = COLUMN_PASSED;
        for (size_t j = 0; j < i; j++) {
            if (same_target(&columns->columns[i], &columns->columns[j])) {
                char path[NAME_BYTES_MAX] = {0};

                memcpy(path, name.data,
                       name.size < sizeof(path) - 1 ? name.size : sizeof(path) - 1);
                problems_add(problems, path, "stands twice in the header");
            }
        }
    }
    if (problems->count > before) {
        csv_columns_free(columns);
        return TORG_E_INVALID;
    }
    *ret_columns = columns;
    return TORG_OK;
}

void csv_columns_free(struct csv_columns *columns)
{
    free(columns);
}

/* ---- records ---- */

struct record {
    const struct csv_columns *columns;
    const char *language;
    json_t *properties;
    json_t *geometry;
    json_t *longitude;
    json_t *latitude;
    struct problems *problems;
    bool no_memory;
};

static json_t *json_of(struct span text)
{
    return json_stringn(text.size ? (const char *)text.data : "", text.size);
}

/* A number; what is none stays a text, which the conversion names. */
static json_t *number_cell(const struct csv_columns *columns, struct span cell)
{
    char text[64] = {0};
    struct span number = span_of(text, cell.size);
    int64_t whole;
    double real;

    if (cell.size >= sizeof(text))
        return json_of(cell);
    memcpy(text, cell.data, cell.size);
    for (size_t i = 0; i < cell.size && columns->decimal_comma; i++) {
        if (text[i] == ',')
            text[i] = '.';
    }
    if (!num_parse_int(number, -INTEGER_MAX, INTEGER_MAX, &whole))
        return json_integer(whole);
    if (!num_parse_double(number, &real))
        return json_real(real);
    return json_of(cell);
}

/* English and Swedish words for yes and no: spreadsheets write them in the office's language. */
static json_t *bool_cell(struct span cell)
{
    static const char *const yes[] = {"true", "TRUE", "1", "yes", "ja", "sant", "SANT", NULL};
    static const char *const no[] = {"false", "FALSE", "0", "no", "nej", "falskt", "FALSKT", NULL};

    if (is_name(cell, yes))
        return json_true();
    return is_name(cell, no) ? json_false() : json_of(cell);
}

static json_t *json_cell(struct record *record, const char *path, struct span cell)
{
    char message[160];
    json_t *json = NULL;

    if (listing_json_parse(cell, &json, message, sizeof(message)) == TORG_E_NOMEM)
        record->no_memory = true;
    else if (!json)
        problems_add(record->problems, path, "must be JSON: %s", message);
    return json;
}

/* a;b;c, or a JSON array. */
static json_t *list_cell(struct record *record, const char *path, struct span cell)
{
    json_t *list;
    size_t at = 0;

    if (cell.data[0] == '[')
        return json_cell(record, path, cell);
    list = json_array();
    while (at <= cell.size) {
        size_t stop = at;
        struct span item;

        while (stop < cell.size && cell.data[stop] != ';')
            stop++;
        item = trimmed(span_of(cell.data + at, stop - at));
        if (item.size && json_array_append_new(list, json_of(item)))
            record->no_memory = true;
        at = stop + 1;
    }
    return list;
}

/* One flat switch: how a cell of each type becomes JSON. NULL: nothing, or named. */
static json_t *cell_value(struct record *record, const struct column *column, const char *path,
                          struct span cell)
{
    const struct listing_property *property = column->property;
    struct span bare = trimmed(cell);

    if (!property)
        return column->amount ? number_cell(record->columns, bare) : json_of(bare);
    switch (property->type) {
    case LISTING_TYPE_TEXT:
        return json_of(cell);
    case LISTING_TYPE_STRING:
        return json_of(property->format == LISTING_FORMAT_NONE ||
                               property->format == LISTING_FORMAT_TELEPHONE
                           ? cell
                           : bare);
    case LISTING_TYPE_URI:
    case LISTING_TYPE_ENUM:
    case LISTING_TYPE_TIME:
    case LISTING_TYPE_LOCAL:
    case LISTING_TYPE_ID:
        return json_of(bare);
    case LISTING_TYPE_INT:
    case LISTING_TYPE_NUMBER:
        return number_cell(record->columns, bare);
    case LISTING_TYPE_BOOL:
        return bool_cell(bare);
    case LISTING_TYPE_SLUGS:
    case LISTING_TYPE_STRINGS:
    case LISTING_TYPE_IDS:
        return list_cell(record, path, bare);
    case LISTING_TYPE_GEOMETRY:
    case LISTING_TYPE_LIST:
        return json_cell(record, path, bare);
    case LISTING_TYPE_PRICE:
    case LISTING_TYPE_MAP:
        break; /* have parts; the header would not have passed */
    }
    return NULL;
}

/* "address.locality" */
static void column_path(const struct record *record, const struct column *column,
                        struct problem_path *path)
{
    for (unsigned i = 0; i < column->levels; i++) {
        const char *key = column->path[i][0] ? column->path[i] : record->language;

        problem_path_push(path, key, strlen(key));
    }
}

static void set_value(struct record *record, const struct column *column, const char *path,
                      json_t *value)
{
    json_t *object = record->properties;
    const char *last = column->path[column->levels - 1];

    for (unsigned i = 0; i + 1 < column->levels; i++) {
        json_t *inner = json_object_get(object, column->path[i]);

        if (!inner) {
            inner = json_object();
            if (json_object_set_new(object, column->path[i], inner))
                record->no_memory = true;
        }
        object = inner;
    }
    if (!last[0])
        last = record->language; /* "name" beside "name.sv" */
    if (json_object_get(object, last)) {
        problems_add(record->problems, path, "stands twice, once without its language");
        json_decref(value);
    } else if (json_object_set_new(object, last, value)) {
        record->no_memory = true;
    }
}

static void read_cell(struct record *record, const struct column *column, struct span cell)
{
    struct problem_path path = {0};
    json_t *value;

    if (!trimmed(cell).size) /* Blank is as empty. */
        return;
    switch (column->kind) {
    case COLUMN_PASSED:
        break;
    case COLUMN_LONGITUDE:
        record->longitude = number_cell(record->columns, trimmed(cell));
        break;
    case COLUMN_LATITUDE:
        record->latitude = number_cell(record->columns, trimmed(cell));
        break;
    case COLUMN_GEOMETRY:
        record->geometry = json_cell(record, "geometry", trimmed(cell));
        break;
    case COLUMN_VALUE:
        column_path(record, column, &path);
        value = cell_value(record, column, path.text, cell);
        if (value)
            set_value(record, column, path.text, value);
        break;
    }
}

static void read_place(struct record *record)
{
    json_t *coordinates;

    if (!record->longitude && !record->latitude)
        return;
    if (!record->longitude || !record->latitude) {
        problems_add(record->problems, record->longitude ? "latitude" : "longitude",
                     "is missing: a position has both");
        return;
    }
    if (record->geometry) {
        problems_add(record->problems, "geometry",
                     "must be empty where longitude and latitude are given");
        return;
    }
    if (!json_is_number(record->longitude) || !json_is_number(record->latitude)) {
        problems_add(record->problems, json_is_number(record->longitude) ? "latitude" : "longitude",
                     "must be a number of degrees, as %s",
                     record->columns->decimal_comma ? "20,263 or 20.263" : "20.263");
        return;
    }
    coordinates = json_pack("[O,O]", record->longitude, record->latitude);
    record->geometry = json_pack("{s:s,s:o}", "type", "Point", "coordinates", coordinates);
    if (!record->geometry)
        record->no_memory = true;
}

/* Paths of a feature to names of columns. */
static void rename_paths(struct problems *problems, size_t first, bool point)
{
    static const char inside[] = "properties.";

    for (size_t i = first; i < problems->count && i < PROBLEMS_MAX; i++) {
        char *path = problems->items[i].path;

        if (strncmp(path, inside, sizeof(inside) - 1) == 0)
            memmove(path, path + sizeof(inside) - 1,
                    sizeof(problems->items[i].path) - (sizeof(inside) - 1));
        else if (point && strncmp(path, "geometry.coordinates", 20) == 0)
            strncpy(path, "longitude, latitude", sizeof(problems->items[i].path) - 1);
    }
}

static enum torg_err record_convert(struct record *record, bool already_wrong, int64_t created_ms,
                                    int64_t modified_ms, struct buffer *ret_body)
{
    bool point = record->longitude && record->latitude;
    size_t before = record->problems->count;
    json_t *feature = json_pack("{s:s,s:O,s:O?}", "type", "Feature", "properties",
                                record->properties, "geometry", record->geometry);
    struct buffer body = {0};
    enum torg_err err;

    if (!feature)
        return TORG_E_NOMEM;
    err = listing_of_geojson(record->columns->collection, feature, record->language, created_ms,
                             modified_ms, &body, record->problems);
    json_decref(feature);
    rename_paths(record->problems, before, point);
    if (!err && already_wrong)
        err = TORG_E_INVALID;
    if (!err) {
        buffer_put_span(ret_body, buffer_span(&body));
        err = ret_body->err;
    }
    buffer_done(&body);
    return err;
}

enum torg_err listing_of_csv(const struct csv_columns *columns, const struct csv_reader *record,
                             const char *language, int64_t created_ms, int64_t modified_ms,
                             struct buffer *ret_body, struct problems *problems)
{
    struct record r = {.columns = columns,
                       .language = language ? language : "sv",
                       .problems = problems,
                       .properties = json_object()};
    size_t before = problems->count;
    enum torg_err err = TORG_E_NOMEM;

    if (!r.properties)
        return err;
    for (size_t i = 0; i < record->field_count; i++) {
        struct span cell = csv_cell_text(record->fields[i]);

        if (i < columns->count) {
            read_cell(&r, &columns->columns[i], cell);
        } else if (cell.size) {
            problems_add(problems, "record", "has more cells (%zu) than the header (%zu)",
                         record->field_count, columns->count);
            break;
        }
    }
    read_place(&r);
    if (!r.no_memory)
        err = record_convert(&r, problems->count > before, created_ms, modified_ms, ret_body);
    json_decref(r.properties);
    json_decref(r.geometry);
    json_decref(r.longitude);
    json_decref(r.latitude);
    return err;
}
