/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdlib.h>
#include <string.h>

#include "index/local_internal.h"
#include "protocol/listing_geojson.h"

/* The number of the first feature that is there from this one on. TORG_E_NOT_FOUND. */
static enum torg_err first_from(const struct kv *kv, uint32_t collection, uint32_t *number)
{
    struct local_feature_key from = local_feature_key(collection, *number);
    struct kv_cursor *cursor;
    struct span key, value;
    enum torg_err err = kv_cursor_open(kv, KV_LOCAL, &cursor);

    if (err)
        return err;
    err = kv_cursor_seek(kv, cursor, span_of(from.bytes, sizeof(from.bytes)), &key, &value);
    if (!err && (key.size != sizeof(from.bytes) || memcmp(key.data, from.bytes, 5) != 0))
        err = TORG_E_NOT_FOUND;
    if (!err)
        *number = get_u32be(key.data + 5);
    kv_cursor_close(kv, cursor);
    return err;
}

/* What it is called by, as when it came. types: for reading, filled in passing. */
static enum torg_err read_id(const struct kv *kv, const struct local_collection *collection,
                             uint32_t number, struct queryables *types,
                             char ret_id[LOCAL_ID_BYTES_MAX + 1])
{
    struct local_feature feature = {0};
    struct problems problems;
    char message[160];
    struct span text;
    json_t *json;
    enum torg_err err = local_feature_get(kv, collection, number, &text);

    if (!err)
        err = listing_json_parse(text, &json, message, sizeof(message));
    if (err)
        return err == TORG_E_NOMEM ? err : TORG_E_CORRUPT;
    problems.count = 0;
    types->count = types->names_size = 0;
    err = local_feature_read(json, types, &feature, &problems);
    if (!err)
        memcpy(ret_id, feature.id, sizeof(feature.id));
    json_decref(json);
    local_feature_done(&feature);
    return err == TORG_E_INVALID ? TORG_E_CORRUPT : err;
}

static enum torg_err delete_feature(struct kv *kv, const struct local_collection *collection,
                                    uint32_t number, struct queryables *types)
{
    struct local_feature_key key = local_feature_key(collection->number, number);
    uint8_t bytes[LOCAL_ID_KEY_BYTES];
    char id[LOCAL_ID_BYTES_MAX + 1];
    enum torg_err err = read_id(kv, collection, number, types, id);

    if (!err)
        err = kv_del(kv, KV_LOCAL, local_id_key(collection->number, span_of_str(id), bytes));
    if (!err)
        err = kv_del(kv, KV_LOCAL, span_of(key.bytes, sizeof(key.bytes)));
    return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
}

enum torg_err local_delete(struct kv *kv, struct local_collection *collection, size_t max,
                           size_t *ret_deleted)
{
    struct queryables *types = calloc(1, sizeof(*types));
    uint8_t bytes[LOCAL_NAME_KEY_BYTES_MAX];
    uint32_t number = 0;
    size_t deleted = 0;
    enum torg_err err = types ? TORG_OK : TORG_E_NOMEM;

    while (!err && deleted < max) {
        err = first_from(kv, collection->number, &number);
        if (!err)
            err = delete_feature(kv, collection, number, types);
        deleted += !err;
    }
    free(types);
    if (err && err != TORG_E_NOT_FOUND)
        return err;
    if (deleted > collection->count)
        return TORG_E_CORRUPT;
    collection->count -= (uint32_t)deleted;
    *ret_deleted = deleted;
    if (err == TORG_OK && collection->count > 0)
        return local_save(kv, collection);
    collection->count = 0;
    return kv_del(kv, KV_LOCAL, local_name_key(span_of_str(collection->name), bytes));
}
