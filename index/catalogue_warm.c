/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/catalogue_warm.h"

#include <string.h>

#include "index/rtree_read.h"

#define DOCUMENT_KEY_BYTES 4

/* false: the last node was before this. */
static bool warm_node(const struct kv *kv, struct span key, struct span value)
{
    struct rtree_node node;

    if (key.size != RTREE_KEY_BYTES || key.data[0] > RTREE_COLLECTION_MAX)
        return false;
    /* A tree's own record has number 0; a free number's is short. */
    if (get_u32be(key.data + 1) > 0 && value.size == RTREE_NODE_BYTES_MAX)
        (void)!rtree_read(kv, key.data[0], get_u32be(key.data + 1), rtree_node_level(value.data),
                          &node);
    return true;
}

/* false: it could not be kept, so others cannot either. */
static bool warm_document(const struct kv *kv, struct span key, struct span value)
{
    uint32_t number;

    if (key.size != DOCUMENT_KEY_BYTES)
        return false;
    number = get_u32be(key.data);
    rtree_table_keep_value(kv->table, RTREE_TABLE_DOCUMENTS, number, value);
    return value.size > RTREE_TABLE_VALUE_BYTES_MAX ||
           rtree_table_value(kv->table, RTREE_TABLE_DOCUMENTS, number).size > 0;
}

static void warm_next_phase(struct catalogue_warm *warm)
{
    warm->phase++;
    warm->key_size = 0;
}

/* The cursor stands at a value: so many from there on. */
static enum torg_err warm_values(const struct kv *kv, struct kv_cursor *cursor, struct span key,
                                 struct span value, struct catalogue_warm *warm)
{
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < CATALOGUE_WARM_VALUES && !err; i++) {
        bool more = warm->phase == CATALOGUE_WARM_NODES ? warm_node(kv, key, value)
                                                        : warm_document(kv, key, value);

        if (!more) {
            warm_next_phase(warm);
            return TORG_OK;
        }
        err = kv_cursor_next(kv, cursor, &key, &value);
    }
    if (err)
        return err;
    warm->key_size = (uint32_t)(key.size < sizeof(warm->key) ? key.size : sizeof(warm->key));
    memcpy(warm->key, key.data, warm->key_size);
    return TORG_OK;
}

enum torg_err catalogue_warm_step(const struct kv *kv, struct catalogue_warm *warm)
{
    enum kv_table table = warm->phase == CATALOGUE_WARM_NODES ? KV_RTREE : KV_DOCUMENT;
    struct kv_cursor *cursor;
    struct span key, value;
    enum torg_err err;

    if (!kv->table)
        warm->phase = CATALOGUE_WARM_DONE;
    if (warm->phase == CATALOGUE_WARM_DONE)
        return TORG_OK;
    err = kv_cursor_open(kv, table, &cursor);
    if (err)
        return err;
    err = kv_cursor_seek(kv, cursor, span_of(warm->key, warm->key_size), &key, &value);
    if (!err)
        err = warm_values(kv, cursor, key, value, warm);
    kv_cursor_close(kv, cursor);
    if (err != TORG_E_NOT_FOUND)
        return err;
    warm_next_phase(warm);
    return TORG_OK;
}
