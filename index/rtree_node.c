/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_node.h"

#include <assert.h>

#include "index/rtree_table.h"

#define FREE_BYTES 8
#define LEVEL_FREE 0xff /* where a node has its level */
/* Field offsets in a node's header. */
#define AT_VERSION 0
#define AT_LEVEL RTREE_NODE_LEVEL_AT
#define AT_COUNT 2
#define AT_NUMBER 4
#define AT_COLLECTION 8
#define AT_EDITS 12
/* In the tree's record: fields, then columns with one entry for each theme. */
#define ROOT_HEIGHT_AT 1
#define ROOT_ROOT_AT 4
#define ROOT_NEXT_AT 8
#define ROOT_FREE_AT 12
#define ROOT_ITEMS_AT 16
#define ROOT_EDITS_AT 24
#define ROOT_THEME_ITEMS_AT 48
#define ROOT_THEME_ROOT_AT (ROOT_THEME_ITEMS_AT + 4 * THEME_BITS)
#define ROOT_THEME_EDITS_AT (ROOT_THEME_ROOT_AT + 4 * THEME_BITS)
#define ROOT_THEME_HEIGHT_AT (ROOT_THEME_EDITS_AT + 4 * THEME_BITS)
#define ROOT_END_AT (ROOT_THEME_HEIGHT_AT + THEME_BITS)

static_assert(RTREE_LEAF_END_AT <= RTREE_NODE_BYTES_MAX, "a leaf fits one page");
static_assert(RTREE_INNER_END_AT <= RTREE_NODE_BYTES_MAX, "an inner node fits one page");
static_assert(ROOT_END_AT <= RTREE_NODE_BYTES_MAX, "the tree's record fits one page");
static_assert(RTREE_LEAF_MAX % 8 == 0, "a leaf's columns are whole vectors of 32 bytes");
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

static enum torg_err root_value(const struct kv *kv, uint8_t collection, struct span *ret_value)
{
    uint8_t key[RTREE_KEY_BYTES];
    const uint8_t *known = kv->table ? rtree_table_find(kv->table, collection, 0) : NULL;
    struct span value;
    enum torg_err err;

    if (known) {
        *ret_value = span_of(known, RTREE_NODE_BYTES_MAX);
        return TORG_OK;
    }
    err = kv_get(kv, KV_RTREE, rtree_node_key(collection, 0, key), &value);
    if (err)
        return err;
    if (value.size == 0)
        return TORG_E_CORRUPT;
    if (value.data[AT_VERSION] != RTREE_FORMAT)
        return TORG_E_VERSION;
    if (value.size != RTREE_NODE_BYTES_MAX)
        return TORG_E_CORRUPT;
    if (kv->table)
        rtree_table_keep(kv->table, collection, 0, value.data);
    *ret_value = value;
    return TORG_OK;
}

enum torg_err rtree_node_root_get(const struct kv *kv, uint8_t collection,
                                  struct rtree_root *ret_root)
{
    struct rtree_root root;
    struct span value;
    enum torg_err err;
    uint64_t items;

    err = root_value(kv, collection, &value);
    if (err)
        return err;
    root.height = value.data[ROOT_HEIGHT_AT];
    root.root = rtree_node_u32(value.data + ROOT_ROOT_AT, 0);
    root.next = rtree_node_u32(value.data + ROOT_NEXT_AT, 0);
    root.free_head = rtree_node_u32(value.data + ROOT_FREE_AT, 0);
    root.edits = rtree_node_u32(value.data + ROOT_EDITS_AT, 0);
    memcpy(&items, value.data + ROOT_ITEMS_AT, sizeof(items));
    root.items = le64toh(items);
    if (root.height > RTREE_LEVELS_MAX || root.next == 0 || root.root >= root.next ||
        root.free_head >= root.next)
        return TORG_E_CORRUPT;
    if ((root.height == 0) != (root.items == 0) || (root.height == 0) != (root.root == 0))
        return TORG_E_CORRUPT;
    *ret_root = root;
    return TORG_OK;
}

enum torg_err rtree_node_theme_get(const struct kv *kv, uint8_t collection, unsigned bit,
                                   struct rtree_theme *ret_theme)
{
    struct rtree_theme theme = {0};
    struct span value;
    enum torg_err err;

    assert(bit < THEME_BITS);
    err = root_value(kv, collection, &value);
    if (!err) {
        theme.items = rtree_node_u32(value.data + ROOT_THEME_ITEMS_AT, bit);
        theme.root = rtree_node_u32(value.data + ROOT_THEME_ROOT_AT, bit);
        theme.edits = rtree_node_u32(value.data + ROOT_THEME_EDITS_AT, bit);
        theme.height = value.data[ROOT_THEME_HEIGHT_AT + bit];
        if (theme.height > RTREE_LEVELS_MAX || (theme.height == 0) != (theme.root == 0) ||
            (theme.height > 0 && theme.items == 0) ||
            theme.root >= rtree_node_u32(value.data + ROOT_NEXT_AT, 0))
            err = TORG_E_CORRUPT;
    }
    if (err && err != TORG_E_NOT_FOUND)
        return err;
    *ret_theme = theme;
    return TORG_OK;
}

enum torg_err rtree_node_root_put(struct kv *kv, uint8_t collection, const struct rtree_root *root)
{
    uint8_t key[RTREE_KEY_BYTES], bytes[RTREE_NODE_BYTES_MAX] = {0};
    uint64_t items = htole64(root->items);

    bytes[AT_VERSION] = RTREE_FORMAT;
    bytes[ROOT_HEIGHT_AT] = (uint8_t)root->height;
    put_u32(bytes + ROOT_ROOT_AT, 0, root->root);
    put_u32(bytes + ROOT_NEXT_AT, 0, root->next);
    put_u32(bytes + ROOT_FREE_AT, 0, root->free_head);
    put_u32(bytes + ROOT_EDITS_AT, 0, root->edits);
    memcpy(bytes + ROOT_ITEMS_AT, &items, sizeof(items));
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

struct rtree_node rtree_node_view(const uint8_t *bytes)
{
    struct rtree_node node = {
        .bytes = bytes,
        .number = rtree_node_u32(bytes + AT_NUMBER, 0),
        .level = bytes[AT_LEVEL],
        .count = rtree_node_u16(bytes + AT_COUNT, 0),
    };

    if (node.level == 0) {
        node.lon = bytes + RTREE_LEAF_LON_AT;
        node.lat = bytes + RTREE_LEAF_LAT_AT;
        node.document = bytes + RTREE_LEAF_DOCUMENT_AT;
        node.from = bytes + RTREE_LEAF_FROM_AT;
        node.through = bytes + RTREE_LEAF_THROUGH_AT;
        node.theme = bytes + RTREE_LEAF_THEME_AT;
        return node;
    }
    node.min_lon = bytes + RTREE_INNER_MIN_LON_AT;
    node.min_lat = bytes + RTREE_INNER_MIN_LAT_AT;
    node.max_lon = bytes + RTREE_INNER_MAX_LON_AT;
    node.max_lat = bytes + RTREE_INNER_MAX_LAT_AT;
    node.child = bytes + RTREE_INNER_CHILD_AT;
    node.items = bytes + RTREE_INNER_ITEMS_AT;
    node.from_min = bytes + RTREE_INNER_FROM_MIN_AT;
    node.from_max = bytes + RTREE_INNER_FROM_MAX_AT;
    node.through_min = bytes + RTREE_INNER_THROUGH_MIN_AT;
    node.through_max = bytes + RTREE_INNER_THROUGH_MAX_AT;
    node.themes = bytes + RTREE_INNER_THEMES_AT;
    return node;
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

static bool bytes_zero(const uint8_t *bytes, size_t from, size_t to)
{
    uint8_t any = 0;

    for (size_t at = from; at < to; at++)
        any |= bytes[at];
    return any == 0;
}

bool rtree_node_rest_zero(const struct rtree_node *node)
{
    /* Where each column begins and how wide it is; the last begins where nothing more comes. */
    static const struct {
        uint16_t at, width;
    } leaf[] = {{RTREE_LEAF_LON_AT, 4},   {RTREE_LEAF_LAT_AT, 4},     {RTREE_LEAF_DOCUMENT_AT, 4},
                {RTREE_LEAF_FROM_AT, 4},  {RTREE_LEAF_THROUGH_AT, 4}, {RTREE_LEAF_THEME_AT, 2},
                {RTREE_NODE_BYTES_MAX, 0}},
      inner[] = {{RTREE_INNER_MIN_LON_AT, 4},     {RTREE_INNER_MIN_LAT_AT, 4},
                 {RTREE_INNER_MAX_LON_AT, 4},     {RTREE_INNER_MAX_LAT_AT, 4},
                 {RTREE_INNER_CHILD_AT, 4},       {RTREE_INNER_ITEMS_AT, 4},
                 {RTREE_INNER_FROM_MIN_AT, 2},    {RTREE_INNER_FROM_MAX_AT, 2},
                 {RTREE_INNER_THROUGH_MIN_AT, 2}, {RTREE_INNER_THROUGH_MAX_AT, 2},
                 {RTREE_INNER_THEMES_AT, 32},     {RTREE_NODE_BYTES_MAX, 0}};
    const bool is_leaf = node->level == 0;
    size_t columns = is_leaf ? ARRAY_SIZE(leaf) : ARRAY_SIZE(inner);

    if (!bytes_zero(node->bytes, AT_COLLECTION + 1, AT_EDITS))
        return false;
    for (size_t i = 0; i + 1 < columns; i++) {
        size_t at = is_leaf ? leaf[i].at : inner[i].at;
        size_t width = is_leaf ? leaf[i].width : inner[i].width;
        size_t end = is_leaf ? leaf[i + 1].at : inner[i + 1].at;

        if (!bytes_zero(node->bytes, at + node->count * width, end))
            return false;
    }
    return true;
}

enum torg_err rtree_node_read(struct span value, uint8_t collection, uint32_t number,
                              unsigned level, struct rtree_node *ret_node)
{
    struct rtree_node node;

    if (value.size != RTREE_NODE_BYTES_MAX || value.data[AT_VERSION] != RTREE_FORMAT ||
        value.data[AT_LEVEL] != level || value.data[AT_COLLECTION] != collection)
        return TORG_E_CORRUPT;
    node = rtree_node_view(value.data);
    if (node.number != number || node.count == 0 ||
        node.count > (level == 0 ? RTREE_LEAF_MAX : RTREE_INNER_MAX))
        return TORG_E_CORRUPT;
    if (level == 0 ? !leaf_sound(&node) : !inner_sound(&node))
        return TORG_E_CORRUPT;
    *ret_node = node;
    return TORG_OK;
}

enum torg_err rtree_node_get(const struct kv *kv, uint8_t collection, uint32_t number,
                             unsigned level, struct rtree_node *ret_node)
{
    uint8_t key[RTREE_KEY_BYTES];
    struct span value;
    enum torg_err err;

    if (number == 0)
        return TORG_E_CORRUPT;
    err = kv_get(kv, KV_RTREE, rtree_node_key(collection, number, key), &value);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
    return rtree_node_read(value, collection, number, level, ret_node);
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

static void leaf_write(uint8_t *bytes, size_t i, const struct rtree_entry *entry)
{
    put_i32(bytes + RTREE_LEAF_LON_AT, i, entry->point.lon_e7);
    put_i32(bytes + RTREE_LEAF_LAT_AT, i, entry->point.lat_e7);
    put_u32(bytes + RTREE_LEAF_DOCUMENT_AT, i, entry->child);
    put_u32(bytes + RTREE_LEAF_FROM_AT, i, entry->from);
    put_u32(bytes + RTREE_LEAF_THROUGH_AT, i, entry->through);
    put_u16(bytes + RTREE_LEAF_THEME_AT, i, entry->theme);
}

static void inner_write(uint8_t *bytes, size_t i, const struct rtree_entry *entry)
{
    put_i32(bytes + RTREE_INNER_MIN_LON_AT, i, entry->min.lon_e7);
    put_i32(bytes + RTREE_INNER_MIN_LAT_AT, i, entry->min.lat_e7);
    put_i32(bytes + RTREE_INNER_MAX_LON_AT, i, entry->max.lon_e7);
    put_i32(bytes + RTREE_INNER_MAX_LAT_AT, i, entry->max.lat_e7);
    put_u32(bytes + RTREE_INNER_CHILD_AT, i, entry->child);
    put_u32(bytes + RTREE_INNER_ITEMS_AT, i, entry->count);
    put_u16(bytes + RTREE_INNER_FROM_MIN_AT, i, entry->from_min);
    put_u16(bytes + RTREE_INNER_FROM_MAX_AT, i, entry->from_max);
    put_u16(bytes + RTREE_INNER_THROUGH_MIN_AT, i, entry->through_min);
    put_u16(bytes + RTREE_INNER_THROUGH_MAX_AT, i, entry->through_max);
    put_themes(bytes + RTREE_INNER_THEMES_AT, i, &entry->themes);
}

enum torg_err rtree_node_put(struct kv *kv, uint8_t collection, uint32_t number, unsigned level,
                             const struct rtree_entry *entries, unsigned count)
{
    uint8_t key[RTREE_KEY_BYTES], bytes[RTREE_NODE_BYTES_MAX] = {0};

    assert(count > 0 && count <= (level == 0 ? RTREE_LEAF_MAX : RTREE_INNER_MAX));
    assert(number != 0);
    header_write(bytes, collection, number, level, count);
    for (unsigned i = 0; i < count; i++) {
        if (level == 0)
            leaf_write(bytes, i, &entries[i]);
        else
            inner_write(bytes, i, &entries[i]);
    }
    return kv_put(kv, KV_RTREE, rtree_node_key(collection, number, key),
                  span_of(bytes, sizeof(bytes)));
}

enum torg_err rtree_node_append(struct kv *kv, uint8_t collection, const struct rtree_node *leaf,
                                const struct rtree_entry *item)
{
    uint8_t key[RTREE_KEY_BYTES], bytes[RTREE_NODE_BYTES_MAX];

    assert(leaf->level == 0 && leaf->count < RTREE_LEAF_MAX);
    memcpy(bytes, leaf->bytes, sizeof(bytes));
    put_u16(bytes + AT_COUNT, 0, (uint16_t)(leaf->count + 1));
    leaf_write(bytes, leaf->count, item);
    return kv_put(kv, KV_RTREE, rtree_node_key(collection, leaf->number, key),
                  span_of(bytes, sizeof(bytes)));
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
