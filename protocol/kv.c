/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/kv.h"

#include <assert.h>

enum torg_err kv_get(const struct kv *kv, enum kv_table table, struct span key,
                     struct span *ret_value)
{
    return kv->ops->get(kv->txn, table, key, ret_value);
}

enum torg_err kv_put(struct kv *kv, enum kv_table table, struct span key, struct span value)
{
    assert(kv->writable);
    return kv->ops->put(kv->txn, table, key, value);
}

enum torg_err kv_del(struct kv *kv, enum kv_table table, struct span key)
{
    assert(kv->writable);
    return kv->ops->del(kv->txn, table, key);
}

enum torg_err kv_gather(struct kv *kv)
{
    assert(kv->writable);
    return kv->ops->gather ? kv->ops->gather(kv->txn) : TORG_OK;
}

enum torg_err kv_cursor_open(const struct kv *kv, enum kv_table table,
                             struct kv_cursor **ret_cursor)
{
    return kv->ops->cursor_open(kv->txn, table, ret_cursor);
}

void kv_cursor_close(const struct kv *kv, struct kv_cursor *cursor)
{
    if (cursor)
        kv->ops->cursor_close(cursor);
}

enum torg_err kv_cursor_seek(const struct kv *kv, struct kv_cursor *cursor, struct span key,
                             struct span *ret_key, struct span *ret_value)
{
    return kv->ops->cursor_seek(cursor, key, ret_key, ret_value);
}

enum torg_err kv_cursor_next(const struct kv *kv, struct kv_cursor *cursor, struct span *ret_key,
                             struct span *ret_value)
{
    return kv->ops->cursor_next(cursor, ret_key, ret_value);
}
