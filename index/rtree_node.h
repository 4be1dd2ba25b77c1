/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_RTREE_NODE_H
#define TORG_INDEX_RTREE_NODE_H

#include <endian.h>
#include <string.h>

#include "index/rtree.h"

/*
 * Nodes of an R-tree as bytes. A node is one value of KV_RTREE in columns, so
 * that a scan reads one field of many entries at a stride the compiler can
 * vectorise; a view borrows it. What is read is checked for shape and range
 * once, so that damaged bytes are an error and never a wild access.
 *
 * Every node, and the tree's record, is written with RTREE_NODE_BYTES_MAX
 * bytes whatever it holds, so LMDB gives it a page of its own, which stays
 * where it is until this very value is written again. Columns stand at fixed
 * offsets; what no entry uses is zero. LMDB's value begins 16 bytes after a
 * page's beginning, so a column at 16 + 32 n can be loaded 32 bytes at a time,
 * aligned; other stores give no alignment: load as if there were none.
 *
 * Keys: collection, node number (u32 big-endian); node 0 is the tree's own
 * record. With the collection's high bit set: document number -> the exact
 * fields of an item that its leaf entry cannot hold (rtree_item.h). With the
 * next bit set: number of an inner node -> its counts by theme. A theme may have
 * a tree of its own over the items that have it; its nodes are numbered with
 * the others', and only the record tells which tree they belong to. All fields
 * of values are little-endian. docs/index.md has the format as a table.
 */
#define RTREE_FORMAT 2
#define RTREE_NODE_HEADER_BYTES 16
#define RTREE_NODE_LEVEL_AT 1
#define RTREE_NODE_COUNT_AT 2
#define RTREE_NODE_NUMBER_AT 4
#define RTREE_LEAF_MAX 184
#define RTREE_INNER_MAX 63
#define RTREE_LEVELS_MAX 12
#define RTREE_KEY_BYTES 5
#define RTREE_COLLECTION_MAX 63   /* in the first byte of a key */
#define RTREE_RECORD_KEY_BIT 0x80 /* beside it */

/* Where columns begin. A leaf's are as long as RTREE_LEAF_MAX entries. */
enum {
    RTREE_LEAF_LON_AT = 16,
    RTREE_LEAF_LAT_AT = RTREE_LEAF_LON_AT + 4 * RTREE_LEAF_MAX,
    RTREE_LEAF_DOCUMENT_AT = RTREE_LEAF_LAT_AT + 4 * RTREE_LEAF_MAX,
    RTREE_LEAF_FROM_AT = RTREE_LEAF_DOCUMENT_AT + 4 * RTREE_LEAF_MAX,
    RTREE_LEAF_THROUGH_AT = RTREE_LEAF_FROM_AT + 4 * RTREE_LEAF_MAX,
    RTREE_LEAF_THEME_AT = RTREE_LEAF_THROUGH_AT + 4 * RTREE_LEAF_MAX,
    RTREE_LEAF_END_AT = RTREE_LEAF_THEME_AT + 2 * RTREE_LEAF_MAX,
};
/* An inner node's have room for 64 entries, for whole vectors; only the last has not. */
enum {
    RTREE_INNER_MIN_LON_AT = 16,
    RTREE_INNER_MIN_LAT_AT = RTREE_INNER_MIN_LON_AT + 256,
    RTREE_INNER_MAX_LON_AT = RTREE_INNER_MIN_LAT_AT + 256,
    RTREE_INNER_MAX_LAT_AT = RTREE_INNER_MAX_LON_AT + 256,
    RTREE_INNER_CHILD_AT = RTREE_INNER_MAX_LAT_AT + 256,
    RTREE_INNER_ITEMS_AT = RTREE_INNER_CHILD_AT + 256,
    RTREE_INNER_FROM_MIN_AT = RTREE_INNER_ITEMS_AT + 256,
    RTREE_INNER_FROM_MAX_AT = RTREE_INNER_FROM_MIN_AT + 128,
    RTREE_INNER_THROUGH_MIN_AT = RTREE_INNER_FROM_MAX_AT + 128,
    RTREE_INNER_THROUGH_MAX_AT = RTREE_INNER_THROUGH_MIN_AT + 128,
    RTREE_INNER_THEMES_AT = RTREE_INNER_THROUGH_MAX_AT + 128,
    RTREE_INNER_END_AT = RTREE_INNER_THEMES_AT + 32 * RTREE_INNER_MAX,
};

/* Times of a subtree in days of 1970: the first kind rounds down, the second up. */
#define RTREE_DAY_MS INT64_C(86400000)
#define RTREE_DAY_LOWER_MAX 65534 /* 0: no lower bound */
#define RTREE_DAY_UPPER_MIN 1     /* 65535: no upper bound */
#define RTREE_DAY_OPEN 65535

/*
 * One entry of a node: of an inner node what its parent knows of a child, of a
 * leaf an item, whose last fields are as they stand in the leaf.
 */
struct rtree_entry {
    struct position min, max;
    struct theme_set themes;
    uint16_t from_min, from_max;       /* days: the earliest and the latest beginning */
    uint16_t through_min, through_max; /* days: the earliest and the latest end */
    uint32_t count;                    /* items */
    uint32_t child;                    /* node number; of an item its document */
    struct position point;             /* items only, and what follows */
    uint32_t from, through;            /* words of rtree_item.h */
    uint16_t theme;
};

/* A node borrowed from a transaction. Columns of a leaf or of an inner node. */
struct rtree_node {
    const uint8_t *bytes; /* RTREE_NODE_BYTES_MAX */
    uint32_t number;
    unsigned level; /* 0: leaf */
    unsigned count;
    /* leaf */
    const uint8_t *lon, *lat, *document, *from, *through, *theme;
    /* inner */
    const uint8_t *themes, *min_lon, *min_lat, *max_lon, *max_lat, *child, *items;
    const uint8_t *from_min, *from_max, *through_min, *through_max;
};

/* The tree's own record. height 0: the tree is empty and has no root. */
struct rtree_root {
    unsigned height; /* levels */
    uint32_t root;
    uint32_t next;      /* the first number never used */
    uint32_t free_head; /* a chain of numbers to use again; 0: none */
    uint64_t items;
    uint32_t edits; /* inserts and removals since the tree was last packed or found in order */
};

/*
 * What the tree's record says of a theme: how many items have it, and its own
 * tree, which holds exactly these.
 */
struct rtree_theme {
    uint32_t items;  /* exact, tree or not */
    unsigned height; /* 0: it has no tree of its own */
    uint32_t root;
    uint32_t edits; /* as above */
};

/* All of it. */
struct rtree_record {
    struct rtree_root root;
    struct rtree_theme themes[THEME_BITS];
};

static inline uint16_t rtree_node_u16(const uint8_t *column, unsigned i)
{
    uint16_t value;

    memcpy(&value, column + 2 * (size_t)i, sizeof(value));
    return le16toh(value);
}
static inline uint32_t rtree_node_u32(const uint8_t *column, unsigned i)
{
    uint32_t value;

    memcpy(&value, column + 4 * (size_t)i, sizeof(value));
    return le32toh(value);
}
static inline int32_t rtree_node_i32(const uint8_t *column, unsigned i)
{
    return (int32_t)rtree_node_u32(column, i);
}
static inline struct theme_set rtree_node_themes(const uint8_t *column, unsigned i)
{
    struct theme_set set;

    memcpy(&set, column + sizeof(set) * i, sizeof(set));
    for (unsigned word = 0; word < 4; word++)
        set.words[word] = le64toh(set.words[word]);
    return set;
}
static inline struct position rtree_node_point(const struct rtree_node *node, unsigned i)
{
    return (struct position){rtree_node_i32(node->lon, i), rtree_node_i32(node->lat, i)};
}
static inline struct position rtree_node_min(const struct rtree_node *node, unsigned i)
{
    return (struct position){rtree_node_i32(node->min_lon, i), rtree_node_i32(node->min_lat, i)};
}
static inline struct position rtree_node_max(const struct rtree_node *node, unsigned i)
{
    return (struct position){rtree_node_i32(node->max_lon, i), rtree_node_i32(node->max_lat, i)};
}

/* out holds RTREE_KEY_BYTES; the span borrows it. */
struct span rtree_node_key(uint8_t collection, uint32_t number, uint8_t *out);

/* TORG_E_NOT_FOUND when the collection has no tree; TORG_E_CORRUPT, TORG_E_VERSION. */
enum torg_err rtree_node_root_get(const struct kv *kv, uint8_t collection,
                                  struct rtree_root *ret_root);
/* Of an absent tree all zero. TORG_E_CORRUPT, TORG_E_VERSION. */
enum torg_err rtree_node_theme_get(const struct kv *kv, uint8_t collection, unsigned bit,
                                   struct rtree_theme *ret_theme);
/* TORG_E_NOT_FOUND, TORG_E_CORRUPT, TORG_E_VERSION. */
enum torg_err rtree_node_record_get(const struct kv *kv, uint8_t collection,
                                    struct rtree_record *ret_record);
enum torg_err rtree_node_record_put(struct kv *kv, uint8_t collection,
                                    const struct rtree_record *record);

/*
 * How many items below an inner node of the main tree have each theme, a column
 * of THEME_BITS for rtree_node_u32, borrowed. TORG_E_CORRUPT when it is absent.
 */
enum torg_err rtree_node_counts_get(const struct kv *kv, uint8_t collection, uint32_t number,
                                    const uint8_t **ret_counts);
/* Keys of these: a node's. */
#define RTREE_COUNTS_KEY_BIT 0x40 /* in the key's first byte */

/* Is the record under this number a free one, and which comes next in the chain? */
bool rtree_node_free_read(struct span value, uint32_t *ret_next);

/* TORG_E_CORRUPT when it is absent, of another level, or fails its checks. */
enum torg_err rtree_node_get(const struct kv *kv, uint8_t collection, uint32_t number,
                             unsigned level, struct rtree_node *ret_node);
static inline unsigned rtree_node_level(const uint8_t *bytes)
{
    return bytes[RTREE_NODE_LEVEL_AT];
}
/*
 * A view of RTREE_NODE_BYTES_MAX bytes that were checked before. Each visit makes
 * one: every field is named, so that nothing is zeroed first.
 */
static inline struct rtree_node rtree_node_view(const uint8_t *bytes)
{
    bool leaf = rtree_node_level(bytes) == 0;

    return (struct rtree_node){
        .bytes = bytes,
        .number = rtree_node_u32(bytes + RTREE_NODE_NUMBER_AT, 0),
        .level = rtree_node_level(bytes),
        .count = rtree_node_u16(bytes + RTREE_NODE_COUNT_AT, 0),
        .lon = leaf ? bytes + RTREE_LEAF_LON_AT : NULL,
        .lat = leaf ? bytes + RTREE_LEAF_LAT_AT : NULL,
        .document = leaf ? bytes + RTREE_LEAF_DOCUMENT_AT : NULL,
        .from = leaf ? bytes + RTREE_LEAF_FROM_AT : NULL,
        .through = leaf ? bytes + RTREE_LEAF_THROUGH_AT : NULL,
        .theme = leaf ? bytes + RTREE_LEAF_THEME_AT : NULL,
        .min_lon = leaf ? NULL : bytes + RTREE_INNER_MIN_LON_AT,
        .min_lat = leaf ? NULL : bytes + RTREE_INNER_MIN_LAT_AT,
        .max_lon = leaf ? NULL : bytes + RTREE_INNER_MAX_LON_AT,
        .max_lat = leaf ? NULL : bytes + RTREE_INNER_MAX_LAT_AT,
        .child = leaf ? NULL : bytes + RTREE_INNER_CHILD_AT,
        .items = leaf ? NULL : bytes + RTREE_INNER_ITEMS_AT,
        .from_min = leaf ? NULL : bytes + RTREE_INNER_FROM_MIN_AT,
        .from_max = leaf ? NULL : bytes + RTREE_INNER_FROM_MAX_AT,
        .through_min = leaf ? NULL : bytes + RTREE_INNER_THROUGH_MIN_AT,
        .through_max = leaf ? NULL : bytes + RTREE_INNER_THROUGH_MAX_AT,
        .themes = leaf ? NULL : bytes + RTREE_INNER_THEMES_AT,
    };
}
/* Is everything zero that no entry uses? What was taken out must not stay in the file. */
bool rtree_node_rest_zero(const struct rtree_node *node);
/* The i-th entry of an inner node. */
struct rtree_entry rtree_node_child(const struct rtree_node *node, unsigned i);
/*
 * Writing into RTREE_NODE_BYTES_MAX bytes: an empty node; its i-th entry (that
 * is there already), one more, one less (the last takes its place).
 */
void rtree_node_begin(uint8_t *bytes, uint8_t collection, uint32_t number, unsigned level);
void rtree_node_set(uint8_t *bytes, unsigned i, const struct rtree_entry *entry);
void rtree_node_append(uint8_t *bytes, const struct rtree_entry *entry);
void rtree_node_remove(uint8_t *bytes, unsigned i);
/* The i-th entry of a leaf's columns, whatever the header says. */
void rtree_node_leaf_write(uint8_t *bytes, size_t i, const struct rtree_entry *entry);
void rtree_node_count_set(uint8_t *bytes, unsigned count); /* after filling columns oneself */
/* Of an inner node: changes below it since it was packed. */
uint32_t rtree_node_edits(const uint8_t *bytes);
void rtree_node_edits_set(uint8_t *bytes, uint32_t edits);
/* A free number's record. out holds RTREE_FREE_BYTES; the span borrows it. */
#define RTREE_FREE_BYTES 8
struct span rtree_node_free_write(uint32_t next, uint8_t *out);

/* What a parent says of an inner node. */
struct rtree_entry rtree_node_inner_sum(const struct rtree_node *node);
/* The same of entries: sums and unions; child is left 0. count > 0. */
struct rtree_entry rtree_node_sum(const struct rtree_entry *entries, unsigned count);
/* Add what entry holds to sum; sum keeps its child. */
void rtree_node_add(struct rtree_entry *sum, const struct rtree_entry *entry);

#endif
