/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_RTREE_READ_H
#define TORG_INDEX_RTREE_READ_H

#include "index/rtree_node.h"
#include "index/rtree_table.h"

/*
 * How walks read nodes: through the table of the snapshot where there is one,
 * so that a node is searched for and checked when it is first read, and then
 * only looked at. rtree_node_get always goes to the store and checks.
 */
enum torg_err rtree_read_slowly(const struct kv *kv, uint8_t collection, uint32_t number,
                                unsigned level, const uint8_t **ret_bytes);

/* As rtree_node_get. */
static inline enum torg_err rtree_read(const struct kv *kv, uint8_t collection, uint32_t number,
                                       unsigned level, struct rtree_node *ret_node)
{
    const uint8_t *bytes = kv->table ? rtree_table_find(kv->table, collection, number) : NULL;
    enum torg_err err;

    /* Sound in itself, but its parent's claim is not checked: levels must go down. */
    if (!bytes || rtree_node_level(bytes) != level) {
        err = rtree_read_slowly(kv, collection, number, level, &bytes);
        if (err)
            return err;
    }
    *ret_node = rtree_node_view(bytes);
    return TORG_OK;
}

/*
 * Begin to load bytes of a node that a walk will look at next, if its address
 * is known: processors do not guess from one page to the next.
 */
static inline void rtree_read_ahead(const struct kv *kv, uint8_t collection, uint32_t number,
                                    unsigned from, unsigned to)
{
    const uint8_t *bytes = kv->table ? rtree_table_find(kv->table, collection, number) : NULL;

    if (!bytes)
        return;
    __builtin_prefetch(bytes);
    for (unsigned at = from; at < to; at += 64)
        __builtin_prefetch(bytes + at);
}

#endif
