/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_read.h"

enum torg_err rtree_read_slowly(const struct kv *kv, uint8_t collection, uint32_t number,
                                unsigned level, const uint8_t **ret_bytes)
{
    struct rtree_node node;
    enum torg_err err = rtree_node_get(kv, collection, number, level, &node);

    if (err)
        return err;
    if (kv->table)
        rtree_table_keep(kv->table, collection, number, node.bytes);
    *ret_bytes = node.bytes;
    return TORG_OK;
}
