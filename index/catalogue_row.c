/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/catalogue_row.h"

#include <string.h>

#include "index/rtree_table.h"
#include "protocol/seal.h"

#define ROW_POINT 1u /* the box is the point alone */
#define ROW_TIMED 2u /* not open at both ends */
#define ROW_SHOWN 4u /* shown at other times than its own */
#define ROW_STRAY 8u /* has bit 0 by a theme that is not known */
#define ROW_FIXED_BYTES 11
#define ROW_NEED_BYTES 10 /* asker, people, size of the area; then the area */

#define DOCUMENT_PLACED 1u
#define DOCUMENT_SOURCE 2u
#define DOCUMENT_TERMS_SIZE_AT 70
#define DOCUMENT_FEATURE_AT 74 /* behind fields of fixed sizes */

/* See catalogue_source_hash: ids that differ in their last two bytes stand together. */
#define SOURCE_TAIL_BYTES 2
#define SOURCE_GROUP_BYTES 6

#define EXTENT_BOX 1u
#define EXTENT_TIME 2u

static void position_put(struct buffer *out, struct position position)
{
    buffer_put_u32be(out, (uint32_t)position.lon_e7);
    buffer_put_u32be(out, (uint32_t)position.lat_e7);
}

static struct position position_get(const uint8_t *at)
{
    return (struct position){
        .lon_e7 = (int32_t)get_u32be(at),
        .lat_e7 = (int32_t)get_u32be(at + 4),
    };
}

struct catalogue_row_key catalogue_row_key(uint8_t collection, bool placed, uint32_t number)
{
    struct catalogue_row_key key;

    key.bytes[0] = collection;
    key.bytes[1] = placed;
    put_u32be(key.bytes + 2, number);
    return key;
}

static unsigned row_flags(const struct catalogue_row *row)
{
    unsigned flags = 0;

    if (row->placed && row->is_point)
        flags |= ROW_POINT;
    if (row->time_from_ms != INT64_MIN || row->time_through_ms != INT64_MAX)
        flags |= ROW_TIMED;
    if (row->shown_from_ms != row->time_from_ms || row->shown_through_ms != row->time_through_ms)
        flags |= ROW_SHOWN;
    if (row->stray)
        flags |= ROW_STRAY;
    return flags;
}

void catalogue_row_pack(const struct catalogue_row *row, struct buffer *out)
{
    unsigned flags = row_flags(row);

    buffer_put_u8(out, (uint8_t)flags);
    buffer_put_u8(out, (uint8_t)row->theme_bits.size);
    buffer_put_u8(out, (uint8_t)row->municipality.size);
    buffer_put_u8(out, (uint8_t)row->country_code.size);
    buffer_put_u16be(out, (uint16_t)row->themes_text.size);
    buffer_put_u32be(out, row->origin_number);
    buffer_put_u8(out, row->freshness);
    if (row->placed)
        position_put(out, row->point);
    if (row->placed && !(flags & ROW_POINT)) {
        position_put(out, row->box_min);
        position_put(out, row->box_max);
    }
    if (flags & ROW_TIMED) {
        buffer_put_u64be(out, (uint64_t)row->time_from_ms);
        buffer_put_u64be(out, (uint64_t)row->time_through_ms);
    }
    if (flags & ROW_SHOWN) {
        buffer_put_u64be(out, (uint64_t)row->shown_from_ms);
        buffer_put_u64be(out, (uint64_t)row->shown_through_ms);
    }
    if (row->collection == COLLECTION_NEEDS) {
        buffer_put_u8(out, row->asker);
        buffer_put_u64be(out, row->people);
        buffer_put_u8(out, (uint8_t)row->area.size);
        buffer_put_span(out, row->area);
    }
    buffer_put_span(out, row->theme_bits);
    buffer_put_span(out, row->municipality);
    buffer_put_span(out, row->country_code);
    buffer_put_span(out, row->themes_text);
    buffer_put_span(out, row->folded_names);
}

/* The place and the times, after the fixed bytes. */
static size_t row_middle_size(bool placed, unsigned flags)
{
    size_t size = 0;

    if (placed)
        size += flags & ROW_POINT ? 8 : 24;
    if (flags & ROW_TIMED)
        size += 16;
    if (flags & ROW_SHOWN)
        size += 16;
    return size;
}

static bool row_size_valid(const struct catalogue_row *row, struct span value)
{
    const uint8_t *at = value.data;
    size_t size = ROW_FIXED_BYTES;

    if (value.size < size)
        return false;
    size += (size_t)at[1] + at[2] + at[3] + get_u16be(at + 4) + row_middle_size(row->placed, at[0]);
    if (row->collection != COLLECTION_NEEDS)
        return value.size >= size;
    size += ROW_NEED_BYTES;
    if (value.size < size)
        return false;
    at += ROW_FIXED_BYTES + row_middle_size(row->placed, at[0]);
    return value.size >= size + at[ROW_NEED_BYTES - 1];
}

static struct span row_take(const uint8_t **at, size_t size)
{
    struct span bytes = span_of(*at, size);

    *at += size;
    return bytes;
}

static void row_read_place(struct catalogue_row *row, const uint8_t **at)
{
    row->point = position_get(*at);
    row->box_min = row->box_max = row->point;
    *at += 8;
    if (row->is_point)
        return;
    row->box_min = position_get(*at);
    row->box_max = position_get(*at + 8);
    *at += 16;
}

static void row_read_span(const uint8_t **at, int64_t *ret_from_ms, int64_t *ret_through_ms)
{
    *ret_from_ms = (int64_t)get_u64be(*at);
    *ret_through_ms = (int64_t)get_u64be(*at + 8);
    *at += 16;
}

static void row_read_need(struct catalogue_row *row, const uint8_t **at)
{
    row->asker = (*at)[0] < CATALOGUE_ASKER_NOT_STATED ? (*at)[0] : CATALOGUE_ASKER_NOT_STATED;
    row->people = get_u64be(*at + 1);
    row->area = span_of(*at + ROW_NEED_BYTES, (*at)[ROW_NEED_BYTES - 1]);
    *at += ROW_NEED_BYTES + row->area.size;
}

/* A scan calls this for every row: one check of the size, then plain loads. */
enum torg_err catalogue_row_read(struct span key, struct span value, struct catalogue_row *ret_row)
{
    struct catalogue_row row = {.time_from_ms = INT64_MIN, .time_through_ms = INT64_MAX};
    const uint8_t *at = value.data;
    unsigned flags;

    if (key.size != CATALOGUE_ROW_KEY_BYTES || key.data[1] > 1)
        return TORG_E_CORRUPT;
    row.collection = key.data[0];
    row.placed = key.data[1];
    row.number = get_u32be(key.data + 2);
    if (!row_size_valid(&row, value))
        return TORG_E_CORRUPT;
    flags = at[0];
    row.origin_number = get_u32be(at + 6);
    row.freshness = at[10];
    at += ROW_FIXED_BYTES;
    row.is_point = flags & ROW_POINT;
    row.stray = flags & ROW_STRAY;
    if (row.placed)
        row_read_place(&row, &at);
    if (flags & ROW_TIMED)
        row_read_span(&at, &row.time_from_ms, &row.time_through_ms);
    row.shown_from_ms = row.time_from_ms;
    row.shown_through_ms = row.time_through_ms;
    if (flags & ROW_SHOWN)
        row_read_span(&at, &row.shown_from_ms, &row.shown_through_ms);
    if (row.collection == COLLECTION_NEEDS)
        row_read_need(&row, &at);
    row.theme_bits = row_take(&at, value.data[1]);
    row.municipality = row_take(&at, value.data[2]);
    row.country_code = row_take(&at, value.data[3]);
    row.themes_text = row_take(&at, get_u16be(value.data + 4));
    row.folded_names = span_of(at, value.size - (size_t)(at - value.data));
    *ret_row = row;
    return TORG_OK;
}

enum torg_err catalogue_row_get(const struct kv *kv, uint8_t collection, bool placed,
                                uint32_t number, struct catalogue_row *ret_row)
{
    struct catalogue_row_key key = catalogue_row_key(collection, placed, number);
    struct span key_span = span_of(key.bytes, sizeof(key.bytes));
    struct span value;
    enum torg_err err;

    err = kv_get(kv, KV_TEXT, key_span, &value);
    if (err)
        return err;
    return catalogue_row_read(key_span, value, ret_row);
}

struct theme_set catalogue_row_themes(const struct catalogue_row *row)
{
    struct theme_set set = {{0}};

    for (size_t i = 0; i < row->theme_bits.size; i++)
        theme_set_add(&set, row->theme_bits.data[i]);
    return set;
}

bool catalogue_row_has_theme(const struct catalogue_row *row, struct span theme)
{
    struct span left = row->themes_text;

    while (left.size > 0) {
        const uint8_t *end = memchr(left.data, 0, left.size);
        size_t size = end ? (size_t)(end - left.data) : left.size;

        if (theme_holds(theme, span_of(left.data, size)))
            return true;
        if (!end)
            return false;
        left = span_of(end + 1, left.size - size - 1);
    }
    return false;
}

bool catalogue_row_strays(const struct catalogue_row *row)
{
    struct theme_set themes = catalogue_row_themes(row);

    return theme_set_has(&themes, 0) && !catalogue_row_has_theme(row, span_of_str(THEME_OTHER));
}

uint8_t catalogue_tree(uint8_t collection, bool placed)
{
    return placed ? collection : CATALOGUE_TREE_UNPLACED + collection;
}

/* Once around the equator, and so on one unit further north: one position for one number. */
static struct position position_of_number(uint32_t number)
{
    uint32_t around = 2u * GEO_LON_E7_MAX;

    return (struct position){
        .lon_e7 = (int32_t)((int64_t)(number % around) - GEO_LON_E7_MAX),
        .lat_e7 = (int32_t)(number / around),
    };
}

struct rtree_item catalogue_row_item(const struct catalogue_row *row)
{
    struct rtree_item item = {
        .point = row->point,
        .min = row->box_min,
        .max = row->box_max,
        .document = row->number,
        .themes = catalogue_row_themes(row),
        .time_from_ms = row->time_from_ms,
        .time_through_ms = row->time_through_ms,
    };

    if (!row->placed)
        item.point = item.min = item.max = position_of_number(row->number);
    return item;
}

static bool position_equal(struct position a, struct position b)
{
    return a.lon_e7 == b.lon_e7 && a.lat_e7 == b.lat_e7;
}

bool catalogue_item_equal(const struct rtree_item *a, const struct rtree_item *b)
{
    return a->document == b->document && position_equal(a->point, b->point) &&
           position_equal(a->min, b->min) && position_equal(a->max, b->max) &&
           memcmp(&a->themes, &b->themes, sizeof(a->themes)) == 0 &&
           a->time_from_ms == b->time_from_ms && a->time_through_ms == b->time_through_ms;
}

static bool collection_happens(uint8_t collection)
{
    return collection == COLLECTION_EVENTS || collection == COLLECTION_COURSES;
}

void catalogue_shown_span(uint8_t collection, int64_t now_ms, int64_t *ret_from_ms,
                          int64_t *ret_through_ms)
{
    *ret_from_ms = now_ms;
    *ret_through_ms = collection_happens(collection) ? INT64_MAX : now_ms;
}

bool catalogue_row_regular(const struct catalogue_row *row)
{
    int64_t from_ms = collection_happens(row->collection) ? INT64_MIN : row->time_from_ms;

    return row->shown_from_ms == from_ms && row->shown_through_ms == row->time_through_ms;
}

struct catalogue_part_key catalogue_part_key(uint8_t collection, bool placed, bool irregular)
{
    return (struct catalogue_part_key){.bytes = {collection, placed, irregular}};
}

void catalogue_record_pack(const struct catalogue_record *record, struct buffer *out)
{
    buffer_put_u8(out, record->collection);
    buffer_put_u8(out, (uint8_t)((record->placed ? DOCUMENT_PLACED : 0u) |
                                 (record->has_source ? DOCUMENT_SOURCE : 0u)));
    buffer_put_u32be(out, record->origin_number);
    buffer_put(out, record->id.bytes, sizeof(record->id.bytes));
    buffer_put(out, record->etag, sizeof(record->etag));
    buffer_put(out, record->source, sizeof(record->source));
    buffer_put_u64be(out, (uint64_t)record->created_ms);
    buffer_put_u64be(out, (uint64_t)record->modified_ms);
    buffer_put_u32be(out, (uint32_t)record->terms.size);
    buffer_put_span(out, record->feature);
    buffer_put_span(out, record->terms);
}

void catalogue_record_add_terms(struct span terms, struct buffer *out)
{
    buffer_put_span(out, terms);
    if (!out->err)
        put_u32be(out->data + DOCUMENT_TERMS_SIZE_AT, (uint32_t)terms.size);
}

enum torg_err catalogue_record_read(struct span value, struct catalogue_record *ret_record)
{
    const uint8_t *at = value.data;
    size_t rest, terms;

    if (value.size < DOCUMENT_FEATURE_AT || at[1] > (DOCUMENT_PLACED | DOCUMENT_SOURCE))
        return TORG_E_CORRUPT;
    rest = value.size - DOCUMENT_FEATURE_AT;
    terms = get_u32be(at + DOCUMENT_TERMS_SIZE_AT);
    if (terms > rest)
        return TORG_E_CORRUPT;
    ret_record->collection = at[0];
    ret_record->placed = at[1] & DOCUMENT_PLACED;
    ret_record->has_source = at[1] & DOCUMENT_SOURCE;
    ret_record->origin_number = get_u32be(at + 2);
    memcpy(ret_record->id.bytes, at + 6, sizeof(ret_record->id.bytes));
    memcpy(ret_record->etag, at + 22, sizeof(ret_record->etag));
    memcpy(ret_record->source, at + 38, sizeof(ret_record->source));
    ret_record->created_ms = (int64_t)get_u64be(at + 54);
    ret_record->modified_ms = (int64_t)get_u64be(at + 62);
    ret_record->feature = span_of(at + DOCUMENT_FEATURE_AT, rest - terms);
    ret_record->terms = span_of(at + value.size - terms, terms);
    return TORG_OK;
}

enum torg_err catalogue_record_get(const struct kv *kv, uint32_t number,
                                   struct catalogue_record *ret_record)
{
    uint8_t key[4];
    struct span value = {0};
    enum torg_err err;

    if (kv->table)
        value = rtree_table_value(kv->table, RTREE_TABLE_DOCUMENTS, number);
    if (value.size > 0)
        return catalogue_record_read(value, ret_record);
    put_u32be(key, number);
    err = kv_get(kv, KV_DOCUMENT, span_of(key, sizeof(key)), &value);
    if (err)
        return err;
    if (kv->table)
        rtree_table_keep_value(kv->table, RTREE_TABLE_DOCUMENTS, number, value);
    return catalogue_record_read(value, ret_record);
}

enum torg_err catalogue_record_body(const struct kv *kv, uint32_t number, struct span *ret_body)
{
    struct catalogue_record record;
    struct span header, packed;
    struct listing_key key;
    struct payload payload;
    enum torg_err err;

    err = catalogue_record_get(kv, number, &record);
    if (err)
        return err;
    key = listing_key_of(&record.id);
    err = replica_listing_get(kv, record.origin_number, record.collection, &key, &header, &packed);
    if (err)
        return err;
    if (payload_parse(packed, &payload))
        return TORG_E_CORRUPT;
    *ret_body = payload.body;
    return TORG_OK;
}

struct catalogue_number_key catalogue_number_key(uint32_t origin_number, uint8_t collection,
                                                 const struct listing_key *key)
{
    struct catalogue_number_key number_key;

    put_u32be(number_key.bytes, origin_number);
    number_key.bytes[4] = collection;
    memcpy(number_key.bytes + 5, key->bytes, sizeof(key->bytes));
    return number_key;
}

enum torg_err catalogue_number_get(const struct kv *kv, const struct catalogue_number_key *key,
                                   uint32_t *ret_number)
{
    struct span value;
    enum torg_err err;

    err = kv_get(kv, KV_DOCNUMBER, span_of(key->bytes, sizeof(key->bytes)), &value);
    if (err)
        return err;
    if (value.size != 4)
        return TORG_E_CORRUPT;
    *ret_number = get_u32be(value.data);
    return TORG_OK;
}

struct catalogue_source_key catalogue_source_key(uint32_t origin_number, uint8_t collection,
                                                 const uint8_t source[16],
                                                 const struct listing_id *id)
{
    struct catalogue_source_key key;

    put_u32be(key.bytes, origin_number);
    key.bytes[4] = collection;
    memcpy(key.bytes + 5, source, 16);
    memcpy(key.bytes + 21, id->bytes, sizeof(id->bytes));
    return key;
}

/*
 * The first part leaves the end of the id out: the ids of one system are often
 * numbers, and listings that are imported together then lie together, some on
 * each page instead of each on one of its own. The second part tells them apart.
 */
enum torg_err catalogue_source_hash(struct span system, struct span id, uint8_t ret_hash[16])
{
    size_t tail = id.size < SOURCE_TAIL_BYTES ? id.size : SOURCE_TAIL_BYTES;
    struct buffer both = {0};
    uint8_t group[16], own[16];
    enum torg_err err;

    buffer_put_u32be(&both, (uint32_t)system.size);
    buffer_put_span(&both, system);
    buffer_put_span(&both, id);
    err = both.err;
    if (!err) {
        seal_hash16("torg/source/1", span_of(both.data, both.size - tail), group);
        seal_hash16("torg/source/1", buffer_span(&both), own);
        memcpy(ret_hash, group, SOURCE_GROUP_BYTES);
        memcpy(ret_hash + SOURCE_GROUP_BYTES, own, 16 - SOURCE_GROUP_BYTES);
    }
    buffer_done(&both);
    return err;
}

static struct catalogue_count_key count_key(enum catalogue_counter counter, uint8_t collection,
                                            uint32_t origin_number)
{
    struct catalogue_count_key key;

    key.bytes[0] = (uint8_t)counter;
    key.bytes[1] = collection;
    put_u32be(key.bytes + 2, origin_number);
    return key;
}

enum torg_err catalogue_count_get(const struct kv *kv, enum catalogue_counter counter,
                                  uint8_t collection, uint32_t origin_number, uint64_t *ret_count)
{
    struct catalogue_count_key key = count_key(counter, collection, origin_number);
    struct span value;
    enum torg_err err;

    err = kv_get(kv, KV_COUNT, span_of(key.bytes, sizeof(key.bytes)), &value);
    if (err == TORG_E_NOT_FOUND) {
        *ret_count = 0;
        return TORG_OK;
    }
    if (err)
        return err;
    if (value.size != 8)
        return TORG_E_CORRUPT;
    *ret_count = get_u64be(value.data);
    return TORG_OK;
}

/* A counter at zero has no entry, so that equal states have equal tables. */
static enum torg_err count_clear(struct kv *kv, const struct catalogue_count_key *key)
{
    enum torg_err err = kv_del(kv, KV_COUNT, span_of(key->bytes, sizeof(key->bytes)));

    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

enum torg_err catalogue_count_put(struct kv *kv, enum catalogue_counter counter, uint8_t collection,
                                  uint32_t origin_number, uint64_t count)
{
    struct catalogue_count_key key = count_key(counter, collection, origin_number);
    uint8_t value[8];

    if (count == 0)
        return count_clear(kv, &key);
    put_u64be(value, count);
    return kv_put(kv, KV_COUNT, span_of(key.bytes, sizeof(key.bytes)),
                  span_of(value, sizeof(value)));
}

static int32_t min_i32(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static int32_t max_i32(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static bool row_timed(const struct catalogue_row *row)
{
    return row->time_from_ms != INT64_MIN || row->time_through_ms != INT64_MAX;
}

void catalogue_extent_add(struct catalogue_extent *extent, const struct catalogue_row *row)
{
    if (row->placed && !extent->has_box) {
        extent->has_box = true;
        extent->min = row->box_min;
        extent->max = row->box_max;
    } else if (row->placed) {
        extent->min.lon_e7 = min_i32(extent->min.lon_e7, row->box_min.lon_e7);
        extent->min.lat_e7 = min_i32(extent->min.lat_e7, row->box_min.lat_e7);
        extent->max.lon_e7 = max_i32(extent->max.lon_e7, row->box_max.lon_e7);
        extent->max.lat_e7 = max_i32(extent->max.lat_e7, row->box_max.lat_e7);
    }
    if (!row_timed(row))
        return;
    if (!extent->has_time || row->time_from_ms < extent->time_from_ms)
        extent->time_from_ms = row->time_from_ms;
    if (!extent->has_time || row->time_through_ms > extent->time_through_ms)
        extent->time_through_ms = row->time_through_ms;
    extent->has_time = true;
}

bool catalogue_extent_touches(const struct catalogue_extent *extent,
                              const struct catalogue_row *row)
{
    if (row->placed &&
        (row->box_min.lon_e7 <= extent->min.lon_e7 || row->box_min.lat_e7 <= extent->min.lat_e7 ||
         row->box_max.lon_e7 >= extent->max.lon_e7 || row->box_max.lat_e7 >= extent->max.lat_e7))
        return true;
    return row_timed(row) && (row->time_from_ms <= extent->time_from_ms ||
                              row->time_through_ms >= extent->time_through_ms);
}

bool catalogue_extent_equal(const struct catalogue_extent *a, const struct catalogue_extent *b)
{
    return a->has_box == b->has_box && a->has_time == b->has_time &&
           position_equal(a->min, b->min) && position_equal(a->max, b->max) &&
           a->time_from_ms == b->time_from_ms && a->time_through_ms == b->time_through_ms;
}

enum torg_err catalogue_extent_get(const struct kv *kv, uint8_t collection,
                                   struct catalogue_extent *ret_extent)
{
    struct catalogue_count_key key = count_key(CATALOGUE_COUNT_EXTENT, collection, 0);
    struct catalogue_extent extent = {0};
    struct span value;
    enum torg_err err;

    err = kv_get(kv, KV_COUNT, span_of(key.bytes, sizeof(key.bytes)), &value);
    if (err == TORG_E_NOT_FOUND) {
        *ret_extent = extent;
        return TORG_OK;
    }
    if (err)
        return err;
    if (value.size != CATALOGUE_EXTENT_BYTES)
        return TORG_E_CORRUPT;
    extent.has_box = value.data[0] & EXTENT_BOX;
    extent.has_time = value.data[0] & EXTENT_TIME;
    extent.min = position_get(value.data + 1);
    extent.max = position_get(value.data + 9);
    extent.time_from_ms = (int64_t)get_u64be(value.data + 17);
    extent.time_through_ms = (int64_t)get_u64be(value.data + 25);
    *ret_extent = extent;
    return TORG_OK;
}

enum torg_err catalogue_extent_put(struct kv *kv, uint8_t collection,
                                   const struct catalogue_extent *extent)
{
    struct catalogue_count_key key = count_key(CATALOGUE_COUNT_EXTENT, collection, 0);
    uint8_t value[CATALOGUE_EXTENT_BYTES];

    if (!extent->has_box && !extent->has_time)
        return count_clear(kv, &key);
    value[0] =
        (uint8_t)((extent->has_box ? EXTENT_BOX : 0u) | (extent->has_time ? EXTENT_TIME : 0u));
    put_u32be(value + 1, (uint32_t)extent->min.lon_e7);
    put_u32be(value + 5, (uint32_t)extent->min.lat_e7);
    put_u32be(value + 9, (uint32_t)extent->max.lon_e7);
    put_u32be(value + 13, (uint32_t)extent->max.lat_e7);
    put_u64be(value + 17, (uint64_t)extent->time_from_ms);
    put_u64be(value + 25, (uint64_t)extent->time_through_ms);
    return kv_put(kv, KV_COUNT, span_of(key.bytes, sizeof(key.bytes)),
                  span_of(value, sizeof(value)));
}

static enum torg_err extent_visit(void *context, const struct catalogue_row *row)
{
    catalogue_extent_add(context, row);
    return TORG_OK;
}

enum torg_err catalogue_extent_scan(const struct kv *kv, uint8_t collection,
                                    struct catalogue_extent *ret_extent)
{
    struct catalogue_extent extent = {0};
    enum torg_err err;

    err = catalogue_rows(kv, collection, false, 0, extent_visit, &extent);
    if (err)
        return err;
    err = catalogue_rows(kv, collection, true, 0, extent_visit, &extent);
    if (err)
        return err;
    *ret_extent = extent;
    return TORG_OK;
}

enum torg_err catalogue_rows(const struct kv *kv, uint8_t collection, bool placed, uint32_t from,
                             catalogue_row_visit *visit, void *context)
{
    struct catalogue_row_key first = catalogue_row_key(collection, placed, from);
    struct kv_cursor *cursor;
    struct catalogue_row row;
    struct span key, value;
    enum torg_err err, visit_err = TORG_OK;

    err = kv_cursor_open(kv, KV_TEXT, &cursor);
    if (err)
        return err;
    err = kv_cursor_seek(kv, cursor, span_of(first.bytes, sizeof(first.bytes)), &key, &value);
    while (!err && key.size >= 2 && memcmp(key.data, first.bytes, 2) == 0) {
        visit_err = catalogue_row_read(key, value, &row);
        if (!visit_err)
            visit_err = visit(context, &row);
        if (visit_err)
            break;
        err = kv_cursor_next(kv, cursor, &key, &value);
    }
    kv_cursor_close(kv, cursor);
    if (visit_err)
        return visit_err;
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}
