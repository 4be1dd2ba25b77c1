/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_node.h"

#include <assert.h>

#define ROOT_BYTES 32
#define FREE_BYTES 8
#define LEVEL_FREE 0xff /* where a node has its level */
/* Field offsets in a node's header. */
#define AT_VERSION 0
#define AT_LEVEL 1
#define AT_COUNT 2
#define AT_NUMBER 4
#define AT_COLLECTION 8

static_assert(RTREE_NODE_HEADER_BYTES + RTREE_LEAF_MAX * RTREE_LEAF_ENTRY_BYTES <=
                  RTREE_NODE_BYTES_MAX,
              "a leaf fits one page");
static_assert(RTREE_NODE_HEADER_BYTES + RTREE_INNER_MAX * RTREE_INNER_ENTRY_BYTES <=
                  RTREE_NODE_BYTES_MAX,
              "an inner node fits one page");
static_assert(sizeof(struct theme_set) == 32, "the themes column holds 32 bytes an entry");

static void put_u16(uint8_t *at, size_t i, uint16_t value)
{
    value = htole16(value);
    memcpy(at + 2 * i, &value, sizeof(value));
}

static void put_u32(uint8_t *at, size_t i, uint32_t value)
{
    value = htole32(value);
    memcpy(at + 4 * i, &value, sizeof(value));
}

static void put_i32(uint8_t *at, size_t i, int32_t value)
{
    put_u32(at, i, (uint32_t)value);
}

static void put_themes(uint8_t *at, size_t i, const struct theme_set *set)
{
    struct theme_set little = *set;

    for (unsigned word = 0; word < 4; word++)
        little.words[word] = htole64(little.words[word]);
    memcpy(at + sizeof(little) * i, &little, sizeof(little));
}

struct span rtree_node_key(uint8_t collection, uint32_t number, uint8_t *out)
{
    out[0] = collection;
    put_u32be(out + 1, number);
    return span_of(out, RTREE_KEY_BYTES);
}

/* ---- the tree's record and the numbers of nodes ---- */

enum torg_err rtree_node_root_get(const struct kv *kv, uint8_t collection,
                                  struct rtree_root *ret_root)
{
    uint8_t key[RTREE_KEY_BYTES];
    struct rtree_root root;
    struct span value;
    enum torg_err err;
    uint64_t items;

    err = kv_get(kv, KV_RTREE, rtree_node_key(collection, 0, key), &value);
    if (err)
        return err;
    if (value.size != ROOT_BYTES)
        return TORG_E_CORRUPT;
    if (value.data[0] != RTREE_FORMAT)
        return TORG_E_VERSION;
    root.height = value.data[1];
    root.root = rtree_node_u32(value.data, 1);
    root.next = rtree_node_u32(value.data, 2);
    root.free_head = rtree_node_u32(value.data, 3);
    memcpy(&items, value.data + 16, sizeof(items));
    root.items = le64toh(items);
    if (root.height > RTREE_LEVELS_MAX || root.next == 0 || root.root >= root.next ||
        root.free_head >= root.next)
        return TORG_E_CORRUPT;
    if ((root.height == 0) != (root.items == 0) || (root.height == 0) != (root.root == 0))
        return TORG_E_CORRUPT;
    *ret_root = root;
    return TORG_OK;
}

enum torg_err rtree_node_root_put(struct kv *kv, uint8_t collection, const struct rtree_root *root)
{
    uint8_t key[RTREE_KEY_BYTES], bytes[ROOT_BYTES] = {0};
    uint64_t items = htole64(root->items);

    bytes[0] = RTREE_FORMAT;
    bytes[1] = (uint8_t)root->height;
    put_u32(bytes, 1, root->root);
    put_u32(bytes, 2, root->next);
    put_u32(bytes, 3, root->free_head);
    memcpy(bytes + 16, &items, sizeof(items));
    return kv_put(kv, KV_RTREE, rtree_node_key(collection, 0, key), span_of(bytes, sizeof(bytes)));
}

bool rtree_node_free_read(struct span value, uint32_t *ret_next)
{
    if (value.size != FREE_BYTES || value.data[AT_VERSION] != RTREE_FORMAT ||
        value.data[AT_LEVEL] != LEVEL_FREE)
        return false;
    *ret_next = rtree_node_u32(value.data, 1);
    return true;
}

enum torg_err rtree_node_take(struct kv *kv, uint8_t collection, struct rtree_root *root,
                              uint32_t *ret_number)
{
    uint8_t key[RTREE_KEY_BYTES];
    struct span value;
    enum torg_err err;
    uint32_t next;

    if (root->free_head == 0) {
        if (root->next == UINT32_MAX)
            return TORG_E_TOO_BIG;
        *ret_number = root->next++;
        return TORG_OK;
    }
    err = kv_get(kv, KV_RTREE, rtree_node_key(collection, root->free_head, key), &value);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
    if (!rtree_node_free_read(value, &next) || next >= root->next)
        return TORG_E_CORRUPT;
    *ret_number = root->free_head;
    root->free_head = next;
    return TORG_OK;
}

enum torg_err rtree_node_give(struct kv *kv, uint8_t collection, struct rtree_root *root,
                              uint32_t number)
{
    uint8_t key[RTREE_KEY_BYTES], bytes[FREE_BYTES] = {0};
    enum torg_err err;

    bytes[AT_VERSION] = RTREE_FORMAT;
    bytes[AT_LEVEL] = LEVEL_FREE;
    put_u32(bytes, 1, root->free_head);
    err = kv_put(kv, KV_RTREE, rtree_node_key(collection, number, key),
                 span_of(bytes, sizeof(bytes)));
    if (err)
        return err;
    root->free_head = number;
    return TORG_OK;
}

/* ---- reading ---- */

/* The columns in the order of docs/index.md; each begins where the one before ends. */
static void leaf_columns(struct rtree_node *node, const uint8_t *at)
{
    size_t n = node->count;

    node->lon = at;
    node->lat = at + 4 * n;
    node->document = at + 8 * n;
    node->from = at + 12 * n;
    node->through = at + 16 * n;
    node->theme = at + 20 * n;
}

static void inner_columns(struct rtree_node *node, const uint8_t *at)
{
    size_t n = node->count;

    node->themes = at;
    node->min_lon = at + 32 * n;
    node->min_lat = at + 36 * n;
    node->max_lon = at + 40 * n;
    node->max_lat = at + 44 * n;
    node->child = at + 48 * n;
    node->items = at + 52 * n;
    node->from_min = at + 56 * n;
    node->from_max = at + 58 * n;
    node->through_min = at + 60 * n;
    node->through_max = at + 62 * n;
}

/* Without branches, so that the check of a whole column costs next to nothing. */
static bool column_within(const uint8_t *column, unsigned count, int32_t limit)
{
    bool within = true;

    for (unsigned i = 0; i < count; i++) {
        int32_t value = rtree_node_i32(column, i);

        within &= (value >= -limit) & (value <= limit);
    }
    return within;
}

static bool columns_ordered(const uint8_t *min, const uint8_t *max, unsigned count)
{
    bool ordered = true;

    for (unsigned i = 0; i < count; i++)
        ordered &= rtree_node_i32(min, i) <= rtree_node_i32(max, i);
    return ordered;
}

static bool column_not_zero(const uint8_t *column, unsigned count)
{
    bool not_zero = true;

    for (unsigned i = 0; i < count; i++)
        not_zero &= rtree_node_u32(column, i) != 0;
    return not_zero;
}

static bool leaf_sound(const struct rtree_node *node)
{
    return column_within(node->lon, node->count, GEO_LON_E7_MAX) &&
           column_within(node->lat, node->count, GEO_LAT_E7_MAX);
}

static bool inner_sound(const struct rtree_node *node)
{
    return column_within(node->min_lon, node->count, GEO_LON_E7_MAX) &&
           column_within(node->max_lon, node->count, GEO_LON_E7_MAX) &&
           column_within(node->min_lat, node->count, GEO_LAT_E7_MAX) &&
           column_within(node->max_lat, node->count, GEO_LAT_E7_MAX) &&
           columns_ordered(node->min_lon, node->max_lon, node->count) &&
           columns_ordered(node->min_lat, node->max_lat, node->count) &&
           column_not_zero(node->child, node->count) && column_not_zero(node->items, node->count);
}

enum torg_err rtree_node_get(const struct kv *kv, uint8_t collection, uint32_t number,
                             unsigned level, struct rtree_node *ret_node)
{
    uint8_t key[RTREE_KEY_BYTES];
    struct rtree_node node = {.number = number, .level = level};
    struct span value;
    enum torg_err err;
    size_t entry_bytes = level == 0 ? RTREE_LEAF_ENTRY_BYTES : RTREE_INNER_ENTRY_BYTES;

    if (number == 0)
        return TORG_E_CORRUPT;
    err = kv_get(kv, KV_RTREE, rtree_node_key(collection, number, key), &value);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
    if (value.size < RTREE_NODE_HEADER_BYTES || value.size > RTREE_NODE_BYTES_MAX ||
        value.data[AT_VERSION] != RTREE_FORMAT || value.data[AT_LEVEL] != level ||
        value.data[AT_COLLECTION] != collection ||
        rtree_node_u32(value.data + AT_NUMBER, 0) != number)
        return TORG_E_CORRUPT;
    node.count = rtree_node_u16(value.data + AT_COUNT, 0);
    /* At most a page, so the count is within RTREE_LEAF_MAX or RTREE_INNER_MAX, too. */
    if (node.count == 0 || value.size != RTREE_NODE_HEADER_BYTES + node.count * entry_bytes)
        return TORG_E_CORRUPT;
    if (level == 0)
        leaf_columns(&node, value.data + RTREE_NODE_HEADER_BYTES);
    else
        inner_columns(&node, value.data + RTREE_NODE_HEADER_BYTES);
    if (level == 0 ? !leaf_sound(&node) : !inner_sound(&node))
        return TORG_E_CORRUPT;
    *ret_node = node;
    return TORG_OK;
}

struct rtree_entry rtree_node_child(const struct rtree_node *node, unsigned i)
{
    return (struct rtree_entry){
        .min = rtree_node_min(node, i),
        .max = rtree_node_max(node, i),
        .themes = rtree_node_themes(node->themes, i),
        .from_min = rtree_node_u16(node->from_min, i),
        .from_max = rtree_node_u16(node->from_max, i),
        .through_min = rtree_node_u16(node->through_min, i),
        .through_max = rtree_node_u16(node->through_max, i),
        .count = rtree_node_u32(node->items, i),
        .child = rtree_node_u32(node->child, i),
    };
}

/* ---- writing ---- */

static void header_write(uint8_t *bytes, uint8_t collection, uint32_t number, unsigned level,
                         unsigned count)
{
    memset(bytes, 0, RTREE_NODE_HEADER_BYTES);
    bytes[AT_VERSION] = RTREE_FORMAT;
    bytes[AT_LEVEL] = (uint8_t)level;
    put_u16(bytes + AT_COUNT, 0, (uint16_t)count);
    put_u32(bytes + AT_NUMBER, 0, number);
    bytes[AT_COLLECTION] = collection;
}

static void leaf_write(uint8_t *at, const struct rtree_entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct rtree_entry *entry = &entries[i];

        put_i32(at, i, entry->point.lon_e7);
        put_i32(at + 4 * n, i, entry->point.lat_e7);
        put_u32(at + 8 * n, i, entry->child);
        put_u32(at + 12 * n, i, entry->from);
        put_u32(at + 16 * n, i, entry->through);
        put_u16(at + 20 * n, i, entry->theme);
    }
}

static void inner_write(uint8_t *at, const struct rtree_entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct rtree_entry *entry = &entries[i];

        put_themes(at, i, &entry->themes);
        put_i32(at + 32 * n, i, entry->min.lon_e7);
        put_i32(at + 36 * n, i, entry->min.lat_e7);
        put_i32(at + 40 * n, i, entry->max.lon_e7);
        put_i32(at + 44 * n, i, entry->max.lat_e7);
        put_u32(at + 48 * n, i, entry->child);
        put_u32(at + 52 * n, i, entry->count);
        put_u16(at + 56 * n, i, entry->from_min);
        put_u16(at + 58 * n, i, entry->from_max);
        put_u16(at + 60 * n, i, entry->through_min);
        put_u16(at + 62 * n, i, entry->through_max);
    }
}

enum torg_err rtree_node_put(struct kv *kv, uint8_t collection, uint32_t number, unsigned level,
                             const struct rtree_entry *entries, unsigned count)
{
    uint8_t key[RTREE_KEY_BYTES], bytes[RTREE_NODE_BYTES_MAX];
    size_t entry_bytes = level == 0 ? RTREE_LEAF_ENTRY_BYTES : RTREE_INNER_ENTRY_BYTES;

    assert(count > 0 && count <= (level == 0 ? RTREE_LEAF_MAX : RTREE_INNER_MAX));
    assert(number != 0);
    header_write(bytes, collection, number, level, count);
    if (level == 0)
        leaf_write(bytes + RTREE_NODE_HEADER_BYTES, entries, count);
    else
        inner_write(bytes + RTREE_NODE_HEADER_BYTES, entries, count);
    return kv_put(kv, KV_RTREE, rtree_node_key(collection, number, key),
                  span_of(bytes, RTREE_NODE_HEADER_BYTES + count * entry_bytes));
}

enum torg_err rtree_node_append(struct kv *kv, uint8_t collection, const struct rtree_node *leaf,
                                const struct rtree_entry *item)
{
    uint8_t key[RTREE_KEY_BYTES], bytes[RTREE_NODE_BYTES_MAX];
    uint8_t *at = bytes + RTREE_NODE_HEADER_BYTES;
    size_t n = leaf->count, more = n + 1;

    assert(leaf->level == 0 && n < RTREE_LEAF_MAX);
    header_write(bytes, collection, leaf->number, 0, (unsigned)more);
    memcpy(at, leaf->lon, 4 * n);
    memcpy(at + 4 * more, leaf->lat, 4 * n);
    memcpy(at + 8 * more, leaf->document, 4 * n);
    memcpy(at + 12 * more, leaf->from, 4 * n);
    memcpy(at + 16 * more, leaf->through, 4 * n);
    memcpy(at + 20 * more, leaf->theme, 2 * n);
    put_i32(at, n, item->point.lon_e7);
    put_i32(at + 4 * more, n, item->point.lat_e7);
    put_u32(at + 8 * more, n, item->child);
    put_u32(at + 12 * more, n, item->from);
    put_u32(at + 16 * more, n, item->through);
    put_u16(at + 20 * more, n, item->theme);
    return kv_put(kv, KV_RTREE, rtree_node_key(collection, leaf->number, key),
                  span_of(bytes, RTREE_NODE_HEADER_BYTES + more * RTREE_LEAF_ENTRY_BYTES));
}

/* ---- sums ---- */

#define LESSER(a, b) ((a) < (b) ? (a) : (b))
#define GREATER(a, b) ((a) > (b) ? (a) : (b))

void rtree_node_add(struct rtree_entry *sum, const struct rtree_entry *entry)
{
    sum->min.lon_e7 = LESSER(sum->min.lon_e7, entry->min.lon_e7);
    sum->min.lat_e7 = LESSER(sum->min.lat_e7, entry->min.lat_e7);
    sum->max.lon_e7 = GREATER(sum->max.lon_e7, entry->max.lon_e7);
    sum->max.lat_e7 = GREATER(sum->max.lat_e7, entry->max.lat_e7);
    for (unsigned word = 0; word < 4; word++)
        sum->themes.words[word] |= entry->themes.words[word];
    sum->from_min = LESSER(sum->from_min, entry->from_min);
    sum->from_max = GREATER(sum->from_max, entry->from_max);
    sum->through_min = LESSER(sum->through_min, entry->through_min);
    sum->through_max = GREATER(sum->through_max, entry->through_max);
    sum->count += entry->count;
}

struct rtree_entry rtree_node_sum(const struct rtree_entry *entries, unsigned count)
{
    struct rtree_entry sum;

    assert(count > 0);
    sum = (struct rtree_entry){
        .min = entries[0].min,
        .max = entries[0].max,
        .themes = entries[0].themes,
        .from_min = entries[0].from_min,
        .from_max = entries[0].from_max,
        .through_min = entries[0].through_min,
        .through_max = entries[0].through_max,
        .count = entries[0].count,
    };
    for (unsigned i = 1; i < count; i++)
        rtree_node_add(&sum, &entries[i]);
    return sum;
}
