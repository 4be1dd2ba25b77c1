/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_stem.h"

#include <assert.h>

#include "index/rtree_pack.h"
#include "index/rtree_shape.h"

/*
 * Insertion and removal (Guttman 1984), in nodes that are held in memory: only
 * what an edit changes is touched, the way up is one entry of each node.
 */

struct rtree_stem rtree_stem_of(struct rtree_pages *pages, int theme)
{
    struct rtree_root *root = &pages->record.root;
    struct rtree_theme *own;

    if (theme == RTREE_STEM_MAIN)
        return (struct rtree_stem){pages, &root->height, &root->root, &root->edits, true};
    own = &pages->record.themes[theme];
    return (struct rtree_stem){pages, &own->height, &own->root, &own->edits, false};
}

static void edits_add(uint32_t *edits, uint32_t count)
{
    *edits = *edits < UINT32_MAX - count ? *edits + count : UINT32_MAX;
}

static void node_edited(uint8_t *bytes, uint32_t count)
{
    uint32_t edits = rtree_node_edits(bytes);

    edits_add(&edits, count);
    rtree_node_edits_set(bytes, edits);
}

/* An item more or less below an inner node of the main tree. */
static enum torg_err node_count(struct rtree_stem *stem, uint32_t number,
                                const struct theme_set *themes, bool more)
{
    uint32_t *counts;
    enum torg_err err;

    if (!stem->counted || theme_set_empty(themes))
        return TORG_OK;
    err = rtree_pages_counts(stem->pages, number, &counts);
    for (unsigned word = 0; word < 4 && !err; word++) {
        for (uint64_t left = themes->words[word]; left; left &= left - 1) {
            uint32_t *count = &counts[64 * word + (unsigned)__builtin_ctzll(left)];

            if (!more && *count == 0)
                return TORG_E_CORRUPT;
            *count += more ? 1 : UINT32_MAX;
        }
    }
    return err;
}

/* What a parent says of a node that is held. */
static enum torg_err node_sum(struct rtree_stem *stem, const struct rtree_node *node,
                              struct rtree_entry *ret_sum)
{
    struct rtree_pages *pages = stem->pages;

    if (node->level == 0)
        return rtree_item_sum(pages->kv, pages->collection, &pages->combinations, node, ret_sum);
    *ret_sum = rtree_node_inner_sum(node);
    return TORG_OK;
}

/* All entries of a node; entries has room for them. */
static enum torg_err node_unpack(struct rtree_stem *stem, const struct rtree_node *node,
                                 struct rtree_entry *entries)
{
    struct rtree_pages *pages = stem->pages;
    enum torg_err err = TORG_OK;

    for (unsigned i = 0; i < node->count && !err; i++) {
        if (node->level > 0)
            entries[i] = rtree_node_child(node, i);
        else
            err = rtree_item_entry(pages->kv, pages->collection, &pages->combinations, node, i,
                                   &entries[i]);
    }
    return err;
}

/* ---- insertion ---- */

/* What comes below a node: an item, or a leaf that has so many items of each theme. */
struct gain {
    const struct rtree_entry *entry;
    const uint32_t *counts; /* NULL: an item */
};

static enum torg_err node_gain(struct rtree_stem *stem, uint32_t number, const struct gain *gain)
{
    uint32_t *counts;
    enum torg_err err;

    if (!stem->counted || !gain->counts)
        return node_count(stem, number, &gain->entry->themes, true);
    err = rtree_pages_counts(stem->pages, number, &counts);
    for (unsigned bit = 0; bit < THEME_BITS && !err; bit++)
        counts[bit] += gain->counts[bit];
    return err;
}

/* What became of a node: itself, and the sibling that was split off. */
struct grown {
    bool split;
    struct rtree_entry self, sibling;
};

static void node_refill(uint8_t *bytes, uint8_t collection, const struct rtree_node *node,
                        const struct rtree_entry *entries, unsigned count)
{
    uint32_t edits = rtree_node_edits(bytes);

    rtree_node_begin(bytes, collection, node->number, node->level);
    rtree_node_edits_set(bytes, edits);
    for (unsigned i = 0; i < count; i++)
        rtree_node_append(bytes, &entries[i]);
}

/* A full node and one more entry become two. */
static enum torg_err node_split(struct rtree_stem *stem, uint8_t *bytes,
                                const struct rtree_entry *entry, struct grown *grown)
{
    struct rtree_entry entries[RTREE_LEAF_MAX + 1];
    struct rtree_node node = rtree_node_view(bytes);
    unsigned count = node.count + 1, first;
    uint8_t *second_bytes;
    uint32_t second;
    enum torg_err err;

    err = node_unpack(stem, &node, entries);
    if (!err)
        err = rtree_pages_new(stem->pages, node.level, stem->counted, &second, &second_bytes);
    if (err)
        return err;
    entries[node.count] = *entry;
    first = rtree_shape_split(entries, count);
    node_refill(bytes, stem->pages->collection, &node, entries, first);
    for (unsigned i = first; i < count; i++)
        rtree_node_append(second_bytes, &entries[i]);
    if (node.level > 0)
        rtree_node_edits_set(second_bytes, rtree_node_edits(bytes));
    grown->split = true;
    grown->self = rtree_node_sum(entries, first);
    grown->self.child = node.number;
    grown->sibling = rtree_node_sum(entries + first, count - first);
    grown->sibling.child = second;
    if (!stem->counted || node.level == 0)
        return TORG_OK;
    err = rtree_pack_count(stem->pages, second, node.level);
    return err ? err : rtree_pack_count(stem->pages, node.number, node.level);
}

static enum torg_err root_grow(struct rtree_stem *stem, const struct grown *grown)
{
    uint8_t *bytes;
    uint32_t number;
    enum torg_err err;

    if (*stem->height == RTREE_LEVELS_MAX)
        return TORG_E_TOO_BIG;
    err = rtree_pages_new(stem->pages, *stem->height, stem->counted, &number, &bytes);
    if (err)
        return err;
    rtree_node_append(bytes, &grown->self);
    rtree_node_append(bytes, &grown->sibling);
    *stem->root = number;
    ++*stem->height;
    return stem->counted ? rtree_pack_count(stem->pages, number, *stem->height - 1) : TORG_OK;
}

/* From the root down to the node of a level below which the entry goes. */
static enum torg_err path_choose(struct rtree_stem *stem, const struct rtree_entry *entry,
                                 unsigned down_to, struct rtree_path *path)
{
    uint32_t number = *stem->root;

    for (unsigned level = *stem->height - 1; level > down_to; level--) {
        struct rtree_node node;
        enum torg_err err = rtree_pages_view(stem->pages, number, level, &node);

        if (err)
            return err;
        path->number[level] = number;
        path->index[level] = rtree_shape_choose(&node, entry);
        number = rtree_node_u32(node.child, path->index[level]);
    }
    path->number[down_to] = number;
    return TORG_OK;
}

static enum torg_err leaf_insert(struct rtree_stem *stem, uint32_t number,
                                 const struct rtree_entry *entry, struct grown *grown)
{
    uint8_t *bytes;
    enum torg_err err;

    grown->split = false;
    err = rtree_pages_edit(stem->pages, number, 0, &bytes);
    if (err)
        return err;
    if (rtree_node_view(bytes).count == RTREE_LEAF_MAX)
        return node_split(stem, bytes, entry, grown);
    rtree_node_append(bytes, entry);
    return TORG_OK;
}

/* An inner node gets one more child. */
static enum torg_err child_append(struct rtree_stem *stem, uint8_t *bytes,
                                  const struct rtree_entry *child, const struct gain *gain,
                                  struct grown *grown)
{
    struct rtree_node node = rtree_node_view(bytes);

    if (node.count == RTREE_INNER_MAX)
        return node_split(stem, bytes, child, grown);
    rtree_node_append(bytes, child);
    grown->split = false;
    return node_gain(stem, node.number, gain);
}

/* One level up: the child's entry grows, or two take its place. */
static enum torg_err node_insert(struct rtree_stem *stem, const struct rtree_path *path,
                                 unsigned level, const struct gain *gain, struct grown *grown)
{
    struct rtree_entry child;
    struct rtree_node node;
    uint8_t *bytes;
    enum torg_err err;

    err = rtree_pages_edit(stem->pages, path->number[level], level, &bytes);
    if (err)
        return err;
    node_edited(bytes, gain->entry->count);
    node = rtree_node_view(bytes);
    if (!grown->split) {
        child = rtree_node_child(&node, path->index[level]);
        rtree_node_add(&child, gain->entry);
        rtree_node_set(bytes, path->index[level], &child);
        return node_gain(stem, node.number, gain);
    }
    rtree_node_set(bytes, path->index[level], &grown->self);
    child = grown->sibling;
    return child_append(stem, bytes, &child, gain, grown);
}

/* The same from a level up to the root, and a new one where that was split. */
static enum torg_err path_insert(struct rtree_stem *stem, const struct rtree_path *path,
                                 unsigned level, const struct gain *gain, struct grown *grown)
{
    enum torg_err err = TORG_OK;

    for (; level < *stem->height && !err; level++)
        err = node_insert(stem, path, level, gain, grown);
    return !err && grown->split ? root_grow(stem, grown) : err;
}

enum torg_err rtree_stem_insert(struct rtree_stem *stem, const struct rtree_entry *entry)
{
    const struct gain gain = {.entry = entry};
    struct rtree_path path;
    struct grown grown;
    uint8_t *bytes;
    enum torg_err err;

    edits_add(stem->edits, 1);
    if (*stem->height == 0) {
        err = rtree_pages_new(stem->pages, 0, stem->counted, stem->root, &bytes);
        if (err)
            return err;
        rtree_node_append(bytes, entry);
        *stem->height = 1;
        return TORG_OK;
    }
    err = path_choose(stem, entry, 0, &path);
    if (!err)
        err = leaf_insert(stem, path.number[0], entry, &grown);
    return err ? err : path_insert(stem, &path, 1, &gain, &grown);
}

enum torg_err rtree_stem_choose(struct rtree_stem *stem, const struct rtree_entry *entry,
                                uint32_t *ret_number)
{
    struct rtree_path path;
    enum torg_err err;

    assert(*stem->height > 1);
    err = path_choose(stem, entry, 1, &path);
    if (!err)
        *ret_number = path.number[1];
    return err;
}

enum torg_err rtree_stem_adopt(struct rtree_stem *stem, const struct rtree_entry *leaf)
{
    uint32_t counts[THEME_BITS] = {0};
    const struct gain gain = {leaf, counts};
    struct rtree_path path;
    struct grown grown;
    uint8_t *bytes;
    enum torg_err err;

    assert(*stem->height > 1);
    edits_add(stem->edits, leaf->count);
    err = path_choose(stem, leaf, 1, &path);
    if (!err && stem->counted)
        err = rtree_pack_count_leaf(stem->pages, leaf->child, counts);
    if (!err)
        err = rtree_pages_edit(stem->pages, path.number[1], 1, &bytes);
    if (err)
        return err;
    node_edited(bytes, leaf->count);
    err = child_append(stem, bytes, leaf, &gain, &grown);
    return err ? err : path_insert(stem, &path, 2, &gain, &grown);
}

/* ---- removal ---- */

static bool position_equal(struct position a, struct position b)
{
    return a.lon_e7 == b.lon_e7 && a.lat_e7 == b.lat_e7;
}

static enum torg_err leaf_find(struct rtree_stem *stem, const struct rtree_node *leaf,
                               const struct rtree_item *item, struct rtree_path *path,
                               bool *ret_found)
{
    struct rtree_pages *pages = stem->pages;
    struct rtree_entry entry;
    enum torg_err err;

    for (unsigned i = 0; i < leaf->count; i++) {
        if (rtree_node_u32(leaf->document, i) != item->document ||
            !position_equal(rtree_node_point(leaf, i), item->point))
            continue;
        err = rtree_item_entry(pages->kv, pages->collection, &pages->combinations, leaf, i, &entry);
        if (err)
            return err;
        path->index[0] = i;
        *ret_found = position_equal(entry.min, item->min) && position_equal(entry.max, item->max);
        return TORG_OK;
    }
    return TORG_OK;
}

/* Nothing is written while searching, so views live through the recursion. */
static enum torg_err path_find(struct rtree_stem *stem, uint32_t number, unsigned level,
                               const struct rtree_item *item, struct rtree_path *path,
                               bool *ret_found)
{
    struct rtree_node node;
    enum torg_err err;

    err = rtree_pages_view(stem->pages, number, level, &node);
    if (err)
        return err;
    path->number[level] = number;
    if (level == 0)
        return leaf_find(stem, &node, item, path, ret_found);
    for (unsigned i = 0; i < node.count && !*ret_found && !err; i++) {
        struct position min = rtree_node_min(&node, i), max = rtree_node_max(&node, i);

        if (min.lon_e7 > item->min.lon_e7 || min.lat_e7 > item->min.lat_e7 ||
            max.lon_e7 < item->max.lon_e7 || max.lat_e7 < item->max.lat_e7)
            continue;
        path->index[level] = i;
        err = path_find(stem, rtree_node_u32(node.child, i), level - 1, item, path, ret_found);
    }
    return err;
}

/* A node that lost something: *ret_gone when it was its last entry, else what is left. */
static enum torg_err node_settle(struct rtree_stem *stem, uint8_t *bytes, bool *ret_gone,
                                 struct rtree_entry *ret_self)
{
    struct rtree_node node = rtree_node_view(bytes);

    *ret_gone = node.count == 0;
    if (*ret_gone)
        return rtree_pages_drop(stem->pages, node.number, node.level);
    return node_sum(stem, &node, ret_self);
}

/* One level up: the child's entry shrinks, or goes. */
static enum torg_err node_remove(struct rtree_stem *stem, const struct rtree_path *path,
                                 unsigned level, const struct rtree_entry *entry, bool *gone,
                                 struct rtree_entry *self)
{
    uint8_t *bytes;
    enum torg_err err;

    err = rtree_pages_edit(stem->pages, path->number[level], level, &bytes);
    if (err)
        return err;
    node_edited(bytes, 1);
    if (*gone)
        rtree_node_remove(bytes, path->index[level]);
    else
        rtree_node_set(bytes, path->index[level], self);
    err = node_count(stem, path->number[level], &entry->themes, false);
    return err ? err : node_settle(stem, bytes, gone, self);
}

/* A root with one child is no use: the child becomes the root. */
static enum torg_err shrink(struct rtree_stem *stem)
{
    while (*stem->height > 1) {
        struct rtree_node node;
        uint32_t child;
        enum torg_err err = rtree_pages_view(stem->pages, *stem->root, *stem->height - 1, &node);

        if (err || node.count > 1)
            return err;
        child = rtree_node_u32(node.child, 0);
        err = rtree_pages_drop(stem->pages, *stem->root, *stem->height - 1);
        if (err)
            return err;
        *stem->root = child;
        --*stem->height;
    }
    return TORG_OK;
}

static enum torg_err path_of(struct rtree_stem *stem, const struct rtree_item *item,
                             struct rtree_path *path)
{
    bool found = false;
    enum torg_err err;

    if (*stem->height == 0)
        return TORG_E_NOT_FOUND;
    err = path_find(stem, *stem->root, *stem->height - 1, item, path, &found);
    return !err && !found ? TORG_E_NOT_FOUND : err;
}

enum torg_err rtree_stem_find(struct rtree_stem *stem, const struct rtree_item *item,
                              struct rtree_entry *ret_entry)
{
    struct rtree_pages *pages = stem->pages;
    struct rtree_node leaf;
    struct rtree_path path;
    enum torg_err err = path_of(stem, item, &path);

    if (!err)
        err = rtree_pages_view(pages, path.number[0], 0, &leaf);
    if (!err)
        err = rtree_item_entry(pages->kv, pages->collection, &pages->combinations, &leaf,
                               path.index[0], ret_entry);
    return err;
}

enum torg_err rtree_stem_remove(struct rtree_stem *stem, const struct rtree_item *item,
                                struct rtree_entry *ret_entry)
{
    struct rtree_pages *pages = stem->pages;
    struct rtree_entry self;
    struct rtree_node leaf;
    struct rtree_path path;
    bool gone;
    uint8_t *bytes;
    enum torg_err err = path_of(stem, item, &path);

    if (!err)
        err = rtree_pages_edit(pages, path.number[0], 0, &bytes);
    if (err)
        return err;
    leaf = rtree_node_view(bytes);
    err = rtree_item_entry(pages->kv, pages->collection, &pages->combinations, &leaf, path.index[0],
                           ret_entry);
    if (err)
        return err;
    edits_add(stem->edits, 1);
    rtree_node_remove(bytes, path.index[0]);
    err = node_settle(stem, bytes, &gone, &self);
    for (unsigned level = 1; level < *stem->height && !err; level++)
        err = node_remove(stem, &path, level, ret_entry, &gone, &self);
    if (err)
        return err;
    if (gone) {
        *stem->height = 0;
        *stem->root = 0;
    }
    return shrink(stem);
}

static enum torg_err clear_below(struct rtree_stem *stem, uint32_t number, unsigned level)
{
    struct rtree_node node;
    enum torg_err err = TORG_OK;

    if (level > 0)
        err = rtree_pages_view(stem->pages, number, level, &node);
    for (unsigned i = 0; !err && level > 0 && i < node.count; i++)
        err = clear_below(stem, rtree_node_u32(node.child, i), level - 1);
    return err ? err : rtree_pages_drop(stem->pages, number, level);
}

enum torg_err rtree_stem_clear(struct rtree_stem *stem)
{
    enum torg_err err = TORG_OK;

    if (*stem->height > 0)
        err = clear_below(stem, *stem->root, *stem->height - 1);
    *stem->height = 0;
    *stem->root = 0;
    *stem->edits = 0;
    return err;
}

/* ---- replacing ---- */

/* The entries of a node but some, and others: returns how many; room for all. */
static unsigned entries_exchange(const struct rtree_node *node, const unsigned *index,
                                 unsigned index_count, const struct rtree_entry *added,
                                 size_t added_count, struct rtree_entry *out)
{
    unsigned count = 0, skip = 0;

    for (unsigned i = 0; i < node->count; i++) {
        if (skip < index_count && index[skip] == i)
            skip++;
        else
            out[count++] = rtree_node_child(node, i);
    }
    for (size_t i = 0; i < added_count; i++)
        out[count++] = added[i];
    return count;
}

/* Write entries into the node, and what is too much for it into a new sibling. */
static enum torg_err node_rewrite(struct rtree_stem *stem, uint8_t *bytes,
                                  struct rtree_entry *entries, unsigned count, struct grown *grown)
{
    struct rtree_node node = rtree_node_view(bytes);
    unsigned first = count;
    uint8_t *second_bytes;
    uint32_t second;
    enum torg_err err;

    grown->split = count > RTREE_INNER_MAX;
    if (grown->split) {
        first = rtree_shape_split(entries, count);
        err = rtree_pages_new(stem->pages, node.level, stem->counted, &second, &second_bytes);
        if (err)
            return err;
        for (unsigned i = first; i < count; i++)
            rtree_node_append(second_bytes, &entries[i]);
        rtree_node_edits_set(second_bytes, rtree_node_edits(bytes));
        grown->sibling = rtree_node_sum(entries + first, count - first);
        grown->sibling.child = second;
    }
    node_refill(bytes, stem->pages->collection, &node, entries, first);
    grown->self = rtree_node_sum(entries, first);
    grown->self.child = node.number;
    if (!grown->split || !stem->counted)
        return TORG_OK;
    err = rtree_pack_count(stem->pages, second, node.level);
    return err ? err : rtree_pack_count(stem->pages, node.number, node.level);
}

enum torg_err rtree_stem_replace(struct rtree_stem *stem, const struct rtree_path *path,
                                 unsigned level, const unsigned *index, unsigned index_count,
                                 const struct rtree_entry *added, size_t added_count)
{
    struct rtree_entry entries[RTREE_INNER_MAX + RTREE_STEM_ADDED_MAX], up[2];
    struct grown grown = {0};

    assert(level > 0 && added_count > 0 && added_count <= RTREE_STEM_ADDED_MAX);
    for (; level < *stem->height; level++) {
        struct rtree_node node;
        unsigned count;
        uint8_t *bytes;
        enum torg_err err = rtree_pages_edit(stem->pages, path->number[level], level, &bytes);

        if (err)
            return err;
        node = rtree_node_view(bytes);
        count = entries_exchange(&node, index, index_count, added, added_count, entries);
        err = node_rewrite(stem, bytes, entries, count, &grown);
        if (err)
            return err;
        up[0] = grown.self;
        up[1] = grown.sibling;
        added = up;
        added_count = grown.split ? 2 : 1;
        if (level + 1 < *stem->height)
            index = &path->index[level + 1];
        index_count = 1;
    }
    if (grown.split)
        return root_grow(stem, &grown);
    return shrink(stem);
}
