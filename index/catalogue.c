/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/catalogue.h"

#include <string.h>

#include "index/catalogue_row.h"
#include "index/rtree_table.h"
#include "protocol/seal.h"

/* What is loaded ahead: most documents, or so much that the processor goes on by itself. */
#define SHOWN_AHEAD_BYTES 768

static void code_copy(char *out, size_t out_size, struct span code)
{
    size_t size = code.size < out_size ? code.size : out_size - 1;

    if (size)
        memcpy(out, code.data, size);
    out[size] = '\0';
}

static void document_fill(struct document *document, const struct catalogue_record *record,
                          const struct catalogue_row *row)
{
    *document = (struct document){
        .number = row->number,
        .collection = record->collection,
        .origin_number = record->origin_number,
        .id = record->id,
        .has_geometry = row->placed,
        .is_point = row->is_point,
        .point = row->point,
        .box_min = row->box_min,
        .box_max = row->box_max,
        .themes = catalogue_row_themes(row),
        .time_from_ms = row->time_from_ms,
        .time_through_ms = row->time_through_ms,
        .created_ms = record->created_ms,
        .modified_ms = record->modified_ms,
        .themes_text = row->themes_text,
        .folded_names = row->folded_names,
        .feature = record->feature,
    };
    memcpy(document->etag, record->etag, sizeof(document->etag));
    code_copy(document->municipality, sizeof(document->municipality), row->municipality);
    code_copy(document->country_code, sizeof(document->country_code), row->country_code);
}

enum torg_err catalogue_document(const struct kv *kv, uint32_t number, struct document *ret)
{
    struct catalogue_record record;
    struct catalogue_row row;
    enum torg_err err;

    err = catalogue_record_get(kv, number, &record);
    if (err)
        return err;
    err = catalogue_row_get(kv, record.collection, record.placed, number, &row);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
    document_fill(ret, &record, &row);
    return TORG_OK;
}

enum torg_err catalogue_shown(const struct kv *kv, uint32_t number, struct document *ret)
{
    struct catalogue_record record;
    enum torg_err err = catalogue_record_get(kv, number, &record);

    if (err)
        return err;
    *ret = (struct document){
        .number = number,
        .collection = record.collection,
        .origin_number = record.origin_number,
        .id = record.id,
        .has_geometry = record.placed,
        .created_ms = record.created_ms,
        .modified_ms = record.modified_ms,
        .feature = record.feature,
    };
    memcpy(ret->etag, record.etag, sizeof(ret->etag));
    return TORG_OK;
}

void catalogue_shown_expect(const struct kv *kv, uint32_t number)
{
    if (kv->table)
        rtree_table_expect(kv->table, RTREE_TABLE_DOCUMENTS, number);
}

void catalogue_shown_begin(const struct kv *kv, uint32_t number)
{
    if (kv->table)
        __builtin_prefetch(rtree_table_value(kv->table, RTREE_TABLE_DOCUMENTS, number).data);
}

void catalogue_shown_soon(const struct kv *kv, uint32_t number)
{
    struct span value = {0};

    if (kv->table)
        value = rtree_table_value(kv->table, RTREE_TABLE_DOCUMENTS, number);
    for (size_t at = 0; at < value.size && at < SHOWN_AHEAD_BYTES; at += 64)
        __builtin_prefetch(value.data + at);
}

/* The id just below prefix followed by zeros; false when there is none. */
static bool origin_before(const uint8_t prefix[8], struct origin_id *ret_id)
{
    struct origin_id id;
    int i = 7;

    memset(id.bytes, 0xff, sizeof(id.bytes));
    memcpy(id.bytes, prefix, 8);
    while (i >= 0 && id.bytes[i]-- == 0)
        i--;
    *ret_id = id;
    return i >= 0;
}

enum torg_err catalogue_find_of(const struct kv *kv, uint32_t origin_number, uint8_t collection,
                                const struct listing_id *id, struct document *ret)
{
    struct listing_key key = listing_key_of(id);
    struct catalogue_number_key number_key = catalogue_number_key(origin_number, collection, &key);
    uint32_t number;
    enum torg_err err = catalogue_number_get(kv, &number_key, &number);

    if (err)
        return err;
    err = catalogue_shown(kv, number, ret);
    return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
}

/* Several origins may share a prefix, by malice; the listing tells which one is meant. */
enum torg_err catalogue_find(const struct kv *kv, uint8_t collection, const struct feature_id *id,
                             struct document *ret)
{
    struct replica_origin origin;
    struct origin_id after;
    bool has_after = origin_before(id->origin_prefix, &after);
    enum torg_err err;

    for (;;) {
        err = replica_origin_next(kv, has_after ? &after : NULL, &origin);
        if (err)
            return err;
        if (memcmp(origin.id.bytes, id->origin_prefix, sizeof(id->origin_prefix)) != 0)
            return TORG_E_NOT_FOUND;
        err = catalogue_find_of(kv, origin.number, collection, &id->id, ret);
        if (!err)
            return catalogue_document(kv, ret->number, ret);
        if (err != TORG_E_NOT_FOUND)
            return err;
        after = origin.id;
        has_after = true;
    }
}

enum torg_err catalogue_body(const struct kv *kv, const struct document *document,
                             struct listing_meta *ret_meta, struct span *ret_body)
{
    struct listing_key key = listing_key_of(&document->id);
    struct replica_origin origin;
    struct span header, packed;
    struct payload payload;
    enum torg_err err;

    err = replica_origin_by_number(kv, document->origin_number, &origin);
    if (err)
        return err;
    err = replica_listing_get(kv, document->origin_number, document->collection, &key, &header,
                              &packed);
    if (err)
        return err;
    err = payload_parse(packed, &payload);
    if (err)
        return TORG_E_CORRUPT;
    *ret_meta = (struct listing_meta){
        .collection = document->collection,
        .origin = origin.id,
        .id = document->id,
    };
    *ret_body = payload.body;
    return TORG_OK;
}

enum torg_err catalogue_count(const struct kv *kv, uint8_t collection, uint32_t origin_number,
                              uint64_t *ret_count)
{
    return catalogue_count_get(kv, CATALOGUE_COUNT_DOCUMENTS, collection, origin_number, ret_count);
}

/* Municipalities are found by the gazetteer's names, so these are derived from too. */
uint64_t catalogue_version(const struct theme_tree *themes)
{
    return theme_tree_version(themes) ^ gazetteer_version();
}

enum torg_err catalogue_check(const struct kv *kv, const struct theme_tree *themes)
{
    struct replica_origin origin;
    struct span stamp;
    enum torg_err err;

    err = kv_get(kv, KV_META, span_of_str(CATALOGUE_META_STAMP), &stamp);
    if (err == TORG_E_NOT_FOUND) {
        /* Nothing was ever derived: right as long as there is nothing to derive from. */
        err = replica_origin_next(kv, NULL, &origin);
        if (!err)
            return TORG_E_STALE;
        return err == TORG_E_NOT_FOUND ? TORG_OK : err;
    }
    if (err)
        return err;
    if (stamp.size != CATALOGUE_STAMP_BYTES)
        return TORG_E_STALE;
    if (get_u32be(stamp.data) != CATALOGUE_FORMAT ||
        get_u64be(stamp.data + 4) != catalogue_version(themes))
        return TORG_E_STALE;
    return TORG_OK;
}

enum torg_err catalogue_source_find(const struct kv *kv, uint32_t origin_number, uint8_t collection,
                                    struct span system, struct span id, struct listing_id *ret_id)
{
    struct listing_id first = {{0}};
    struct catalogue_source_key key;
    struct kv_cursor *cursor;
    struct span found, value;
    uint8_t hash[16];
    enum torg_err err;

    err = catalogue_source_hash(system, id, hash);
    if (err)
        return err;
    key = catalogue_source_key(origin_number, collection, hash, &first);
    err = kv_cursor_open(kv, KV_SOURCE, &cursor);
    if (err)
        return err;
    err = kv_cursor_seek(kv, cursor, span_of(key.bytes, sizeof(key.bytes)), &found, &value);
    if (!err && (found.size != sizeof(key.bytes) ||
                 memcmp(found.data, key.bytes, sizeof(key.bytes) - sizeof(first.bytes)) != 0))
        err = TORG_E_NOT_FOUND;
    if (!err)
        memcpy(ret_id->bytes, found.data + sizeof(key.bytes) - sizeof(first.bytes),
               sizeof(first.bytes));
    kv_cursor_close(kv, cursor);
    return err;
}
