/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_node.h"

#include <assert.h>

#include "index/rtree_table.h"

#define LEVEL_FREE 0xff /* where a node has its level */
/* Field offsets in a node's header. */
#define AT_VERSION 0
#define AT_LEVEL RTREE_NODE_LEVEL_AT
#define AT_COUNT RTREE_NODE_COUNT_AT
#define AT_NUMBER RTREE_NODE_NUMBER_AT
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

/* Where each column begins and how wide it is; after the last, where the value ends. */
struct column {
    uint16_t at, width;
};
static const struct column leaf_columns[] = {
    {RTREE_LEAF_LON_AT, 4},    {RTREE_LEAF_LAT_AT, 4},     {RTREE_LEAF_DOCUMENT_AT, 4},
    {RTREE_LEAF_FROM_AT, 4},   {RTREE_LEAF_THROUGH_AT, 4}, {RTREE_LEAF_THEME_AT, 2},
    {RTREE_NODE_BYTES_MAX, 0},
};
static const struct column inner_columns[] = {
    {RTREE_INNER_MIN_LON_AT, 4},     {RTREE_INNER_MIN_LAT_AT, 4},  {RTREE_INNER_MAX_LON_AT, 4},
    {RTREE_INNER_MAX_LAT_AT, 4},     {RTREE_INNER_CHILD_AT, 4},    {RTREE_INNER_ITEMS_AT, 4},
    {RTREE_INNER_FROM_MIN_AT, 2},    {RTREE_INNER_FROM_MAX_AT, 2}, {RTREE_INNER_THROUGH_MIN_AT, 2},
    {RTREE_INNER_THROUGH_MAX_AT, 2}, {RTREE_INNER_THEMES_AT, 32},  {RTREE_NODE_BYTES_MAX, 0},
};

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

static enum torg_err root_read(struct span value, struct rtree_root *ret_root)
{
    struct rtree_root root;
    uint64_t items;

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

static enum torg_err theme_read(struct span value, unsigned bit, struct rtree_theme *ret_theme)
{
    const struct rtree_theme theme = {
        .items = rtree_node_u32(value.data + ROOT_THEME_ITEMS_AT, bit),
        .root = rtree_node_u32(value.data + ROOT_THEME_ROOT_AT, bit),
        .edits = rtree_node_u32(value.data + ROOT_THEME_EDITS_AT, bit),
        .height = value.data[ROOT_THEME_HEIGHT_AT + bit],
    };

    if (theme.height > RTREE_LEVELS_MAX || (theme.height == 0) != (theme.root == 0) ||
        (theme.height > 0 && theme.items == 0) ||
        theme.root >= rtree_node_u32(value.data + ROOT_NEXT_AT, 0))
        return TORG_E_CORRUPT;
    *ret_theme = theme;
    return TORG_OK;
}

enum torg_err rtree_node_root_get(const struct kv *kv, uint8_t collection,
                                  struct rtree_root *ret_root)
{
    struct span value;
    enum torg_err err = root_value(kv, collection, &value);

    return err ? err : root_read(value, ret_root);
}

enum torg_err rtree_node_theme_get(const struct kv *kv, uint8_t collection, unsigned bit,
                                   struct rtree_theme *ret_theme)
{
    struct span value;
    enum torg_err err;

    assert(bit < THEME_BITS);
    err = root_value(kv, collection, &value);
    if (err == TORG_E_NOT_FOUND) {
        *ret_theme = (struct rtree_theme){0};
        return TORG_OK;
    }
    return err ? err : theme_read(value, bit, ret_theme);
}

enum torg_err rtree_node_record_get(const struct kv *kv, uint8_t collection,
                                    struct rtree_record *ret_record)
{
    struct rtree_record record;
    struct span value;
    enum torg_err err;

    err = root_value(kv, collection, &value);
    if (!err)
        err = root_read(value, &record.root);
    for (unsigned bit = 0; bit < THEME_BITS && !err; bit++) {
        err = theme_read(value, bit, &record.themes[bit]);
        if (!err && record.themes[bit].items > record.root.items)
            err = TORG_E_CORRUPT;
    }
    if (!err)
        *ret_record = record;
    return err;
}

enum torg_err rtree_node_record_put(struct kv *kv, uint8_t collection,
                                    const struct rtree_record *record)
{
    uint8_t key[RTREE_KEY_BYTES], bytes[RTREE_NODE_BYTES_MAX] = {0};
    const struct rtree_root *root = &record->root;
    uint64_t items = htole64(root->items);

    bytes[AT_VERSION] = RTREE_FORMAT;
    bytes[ROOT_HEIGHT_AT] = (uint8_t)root->height;
    put_u32(bytes + ROOT_ROOT_AT, 0, root->root);
    put_u32(bytes + ROOT_NEXT_AT, 0, root->next);
    put_u32(bytes + ROOT_FREE_AT, 0, root->free_head);
    put_u32(bytes + ROOT_EDITS_AT, 0, root->edits);
    memcpy(bytes + ROOT_ITEMS_AT, &items, sizeof(items));
    for (unsigned bit = 0; bit < THEME_BITS; bit++) {
        const struct rtree_theme *theme = &record->themes[bit];

        put_u32(bytes + ROOT_THEME_ITEMS_AT, bit, theme->items);
        put_u32(bytes + ROOT_THEME_ROOT_AT, bit, theme->root);
        put_u32(bytes + ROOT_THEME_EDITS_AT, bit, theme->edits);
        bytes[ROOT_THEME_HEIGHT_AT + bit] = (uint8_t)theme->height;
    }
    return kv_put(kv, KV_RTREE, rtree_node_key(collection, 0, key), span_of(bytes, sizeof(bytes)));
}

enum torg_err rtree_node_counts_get(const struct kv *kv, uint8_t collection, uint32_t number,
                                    const uint8_t **ret_counts)
{
    uint8_t space = collection | RTREE_COUNTS_KEY_BIT, key[RTREE_KEY_BYTES];
    const uint8_t *known = kv->table ? rtree_table_find(kv->table, space, number) : NULL;
    struct span value;
    enum torg_err err;

    if (known) {
        *ret_counts = known;
        return TORG_OK;
    }
    err = kv_get(kv, KV_RTREE, rtree_node_key(space, number, key), &value);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
    if (value.size != RTREE_NODE_BYTES_MAX)
        return TORG_E_CORRUPT;
    if (kv->table)
        rtree_table_keep(kv->table, space, number, value.data);
    *ret_counts = value.data;
    return TORG_OK;
}

bool rtree_node_free_read(struct span value, uint32_t *ret_next)
{
    if (value.size != RTREE_FREE_BYTES || value.data[AT_VERSION] != RTREE_FORMAT ||
        value.data[AT_LEVEL] != LEVEL_FREE)
        return false;
    *ret_next = rtree_node_u32(value.data, 1);
    return true;
}

struct span rtree_node_free_write(uint32_t next, uint8_t *out)
{
    memset(out, 0, RTREE_FREE_BYTES);
    out[AT_VERSION] = RTREE_FORMAT;
    out[AT_LEVEL] = LEVEL_FREE;
    put_u32(out, 1, next);
    return span_of(out, RTREE_FREE_BYTES);
}

/* ---- reading ---- */

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
    const struct column *columns = node->level == 0 ? leaf_columns : inner_columns;
    size_t count = node->level == 0 ? ARRAY_SIZE(leaf_columns) : ARRAY_SIZE(inner_columns);

    if (!bytes_zero(node->bytes, AT_COLLECTION + 1, AT_EDITS))
        return false;
    if (node->level == 0 && rtree_node_edits(node->bytes) != 0)
        return false;
    for (size_t c = 0; c + 1 < count; c++) {
        if (!bytes_zero(node->bytes, columns[c].at + (size_t)node->count * columns[c].width,
                        columns[c + 1].at))
            return false;
    }
    return true;
}

static enum torg_err node_read(struct span value, uint8_t collection, uint32_t number,
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
    return node_read(value, collection, number, level, ret_node);
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

void rtree_node_begin(uint8_t *bytes, uint8_t collection, uint32_t number, unsigned level)
{
    memset(bytes, 0, RTREE_NODE_BYTES_MAX);
    bytes[AT_VERSION] = RTREE_FORMAT;
    bytes[AT_LEVEL] = (uint8_t)level;
    put_u32(bytes + AT_NUMBER, 0, number);
    bytes[AT_COLLECTION] = collection;
}

void rtree_node_count_set(uint8_t *bytes, unsigned count)
{
    put_u16(bytes + AT_COUNT, 0, (uint16_t)count);
}

uint32_t rtree_node_edits(const uint8_t *bytes)
{
    return rtree_node_u32(bytes + AT_EDITS, 0);
}

void rtree_node_edits_set(uint8_t *bytes, uint32_t edits)
{
    put_u32(bytes + AT_EDITS, 0, edits);
}

void rtree_node_leaf_write(uint8_t *bytes, size_t i, const struct rtree_entry *entry)
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

void rtree_node_set(uint8_t *bytes, unsigned i, const struct rtree_entry *entry)
{
    if (bytes[AT_LEVEL] == 0)
        rtree_node_leaf_write(bytes, i, entry);
    else
        inner_write(bytes, i, entry);
}

void rtree_node_append(uint8_t *bytes, const struct rtree_entry *entry)
{
    unsigned count = rtree_node_u16(bytes + AT_COUNT, 0);

    assert(count < (bytes[AT_LEVEL] == 0 ? RTREE_LEAF_MAX : RTREE_INNER_MAX));
    rtree_node_set(bytes, count, entry);
    put_u16(bytes + AT_COUNT, 0, (uint16_t)(count + 1));
}

void rtree_node_remove(uint8_t *bytes, unsigned i)
{
    bool is_leaf = bytes[AT_LEVEL] == 0;
    const struct column *columns = is_leaf ? leaf_columns : inner_columns;
    size_t column_count = is_leaf ? ARRAY_SIZE(leaf_columns) : ARRAY_SIZE(inner_columns);
    unsigned last = rtree_node_u16(bytes + AT_COUNT, 0) - 1u;

    assert(i <= last);
    for (size_t c = 0; c + 1 < column_count; c++) {
        uint8_t *column = bytes + columns[c].at;
        size_t width = columns[c].width;

        memmove(column + i * width, column + last * width, width);
        memset(column + last * width, 0, width);
    }
    put_u16(bytes + AT_COUNT, 0, (uint16_t)last);
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

struct rtree_entry rtree_node_inner_sum(const struct rtree_node *node)
{
    struct rtree_entry sum = rtree_node_child(node, 0);

    sum.child = node->number;
    for (unsigned i = 1; i < node->count; i++) {
        struct rtree_entry entry = rtree_node_child(node, i);

        rtree_node_add(&sum, &entry);
    }
    return sum;
}
