/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_stem.h"

#include <assert.h>

#include "index/rtree_pack.h"
#include "index/rtree_shape.h"

struct rtree_stem rtree_stem_of(struct rtree_pages *pages, int theme)
{
    struct rtree_root *root = &pages->record.root;
    struct rtree_theme *own;

    if (theme == RTREE_STEM_MAIN)
        return (struct rtree_stem){pages, &root->height, &root->root, &root->edits, true};
    own = &pages->record.themes[theme];
    return (struct rtree_stem){pages, &own->height, &own->root, &own->edits, false};
}

/* ---- search ---- */

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

enum torg_err rtree_stem_shrink(struct rtree_stem *stem)
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
    return rtree_stem_shrink(stem);
}
