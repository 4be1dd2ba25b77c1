/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>

#include "index/rtree_item.h"
#include "index/rtree_shape.h"

/*
 * Insertion and removal (Guttman 1984). A span from the transaction dies with
 * the next write, so a node is unpacked before anything below it is changed.
 * Recursion is as deep as the tree has levels, at most RTREE_LEVELS_MAX.
 */
#define ORPHANS_MAX (RTREE_LEAF_MIN + RTREE_LEVELS_MAX * RTREE_INNER_MIN)

/* Entries of a node that became too small, to be inserted again at its level. */
struct orphan {
    unsigned level;
    struct rtree_entry entry;
};

struct change {
    struct kv *kv;
    uint8_t collection;
    struct rtree_root root;
    unsigned orphan_count;
    struct orphan orphans[ORPHANS_MAX];
};

static enum torg_err change_begin(struct change *change, struct rtree *tree)
{
    enum torg_err err;

    assert(tree->collection > 0 && tree->collection <= RTREE_COLLECTION_MAX);
    change->kv = tree->kv;
    change->collection = tree->collection;
    change->orphan_count = 0;
    err = rtree_node_root_get(tree->kv, tree->collection, &change->root);
    if (err == TORG_E_NOT_FOUND) {
        change->root = (struct rtree_root){.next = 1};
        return TORG_OK;
    }
    return err;
}

/* All entries of a node; entries holds one more than a node can. */
static enum torg_err node_unpack(const struct change *change, const struct rtree_node *node,
                                 struct rtree_entry *entries)
{
    enum torg_err err = TORG_OK;

    for (unsigned i = 0; i < node->count && !err; i++) {
        if (node->level > 0)
            entries[i] = rtree_node_child(node, i);
        else
            err = rtree_item_entry(change->kv, change->collection, node, i, &entries[i]);
    }
    return err;
}

/* ---- insertion ---- */

/* What became of a node: itself, and the sibling that it was split off. */
struct grown {
    struct rtree_entry self;
    bool split;
    struct rtree_entry sibling;
};

static enum torg_err node_split(struct change *change, uint32_t number, unsigned level,
                                struct rtree_entry *entries, unsigned count, struct grown *grown)
{
    unsigned first = rtree_shape_split(entries, count);
    enum torg_err err;
    uint32_t second;

    err = rtree_node_take(change->kv, change->collection, &change->root, &second);
    if (!err)
        err = rtree_node_put(change->kv, change->collection, number, level, entries, first);
    if (!err)
        err = rtree_node_put(change->kv, change->collection, second, level, entries + first,
                             count - first);
    if (err)
        return err;
    grown->self = rtree_node_sum(entries, first);
    grown->self.child = number;
    grown->split = true;
    grown->sibling = rtree_node_sum(entries + first, count - first);
    grown->sibling.child = second;
    return TORG_OK;
}

static enum torg_err leaf_insert(struct change *change, const struct rtree_entry *entry,
                                 struct grown *grown)
{
    struct rtree_entry entries[RTREE_LEAF_MAX + 1];
    struct rtree_node leaf;
    enum torg_err err;

    err = rtree_node_get(change->kv, change->collection, grown->self.child, 0, &leaf);
    if (err)
        return err;
    if (leaf.count < RTREE_LEAF_MAX) {
        rtree_node_add(&grown->self, entry);
        return rtree_node_append(change->kv, change->collection, &leaf, entry);
    }
    err = node_unpack(change, &leaf, entries);
    if (err)
        return err;
    entries[leaf.count] = *entry;
    return node_split(change, leaf.number, 0, entries, leaf.count + 1, grown);
}

/*
 * Insert entry into a node of level target below the node grown->self.child.
 * In: what the parent knows of that node. Out: what it knows afterwards.
 */
static enum torg_err node_insert(struct change *change, unsigned level, unsigned target,
                                 const struct rtree_entry *entry, struct grown *grown)
{
    struct rtree_entry entries[RTREE_INNER_MAX + 1];
    struct grown child = {0};
    struct rtree_node node;
    unsigned count, i;
    enum torg_err err;

    if (level == 0)
        return leaf_insert(change, entry, grown);
    err = rtree_node_get(change->kv, change->collection, grown->self.child, level, &node);
    if (!err)
        err = node_unpack(change, &node, entries);
    if (err)
        return err;
    count = node.count;
    if (level == target) {
        entries[count++] = *entry;
    } else {
        i = rtree_shape_choose(entries, count, entry, level == 1);
        child.self = entries[i];
        err = node_insert(change, level - 1, target, entry, &child);
        if (err)
            return err;
        entries[i] = child.self;
        if (child.split)
            entries[count++] = child.sibling;
    }
    if (count > RTREE_INNER_MAX)
        return node_split(change, grown->self.child, level, entries, count, grown);
    rtree_node_add(&grown->self, entry);
    return rtree_node_put(change->kv, change->collection, grown->self.child, level, entries, count);
}

static enum torg_err root_grow(struct change *change, const struct grown *grown)
{
    const struct rtree_entry entries[2] = {grown->self, grown->sibling};
    enum torg_err err;
    uint32_t number;

    if (change->root.height == RTREE_LEVELS_MAX)
        return TORG_E_TOO_BIG;
    err = rtree_node_take(change->kv, change->collection, &change->root, &number);
    if (!err)
        err =
            rtree_node_put(change->kv, change->collection, number, change->root.height, entries, 2);
    if (err)
        return err;
    change->root.root = number;
    change->root.height++;
    return TORG_OK;
}

static enum torg_err entry_insert(struct change *change, unsigned target,
                                  const struct rtree_entry *entry)
{
    struct grown grown = {.self = *entry}; /* Of the root nobody knows a sum, and nobody asks. */
    enum torg_err err;

    if (change->root.height == 0) {
        assert(target == 0);
        err = rtree_node_take(change->kv, change->collection, &change->root, &change->root.root);
        if (err)
            return err;
        change->root.height = 1;
        return rtree_node_put(change->kv, change->collection, change->root.root, 0, entry, 1);
    }
    assert(target < change->root.height);
    grown.self.child = change->root.root;
    err = node_insert(change, change->root.height - 1, target, entry, &grown);
    if (!err && grown.split)
        err = root_grow(change, &grown);
    return err;
}

enum torg_err rtree_insert(struct rtree *tree, const struct rtree_item *item)
{
    struct rtree_entry entry;
    struct change change;
    enum torg_err err;

    if (!rtree_item_valid(item))
        return TORG_E_INVALID;
    err = change_begin(&change, tree);
    if (!err)
        err = rtree_item_pack(change.kv, change.collection, item, &entry);
    if (!err)
        err = entry_insert(&change, 0, &entry);
    if (err)
        return err;
    change.root.items++;
    return rtree_node_root_put(change.kv, change.collection, &change.root);
}

/* ---- removal ---- */

enum removal { REMOVAL_NOT_HERE, REMOVAL_DONE, REMOVAL_DISSOLVED };

static bool position_equal(struct position a, struct position b)
{
    return a.lon_e7 == b.lon_e7 && a.lat_e7 == b.lat_e7;
}

static bool leaf_find(const struct rtree_node *leaf, const struct rtree_item *item, unsigned *ret_i)
{
    for (unsigned i = 0; i < leaf->count; i++) {
        if (rtree_node_u32(leaf->document, i) == item->document &&
            position_equal(rtree_node_point(leaf, i), item->point)) {
            *ret_i = i;
            return true;
        }
    }
    return false;
}

/* A node with too few entries left goes, and its entries find a place anew. */
static enum torg_err node_dissolve(struct change *change, uint32_t number, unsigned level,
                                   const struct rtree_entry *entries, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (change->orphan_count == ORPHANS_MAX)
            return TORG_E_CORRUPT; /* Nodes below the least size were there before. */
        change->orphans[change->orphan_count++] = (struct orphan){level, entries[i]};
    }
    return rtree_node_give(change->kv, change->collection, &change->root, number);
}

/* Write what is left of a node after one of its entries went or changed. */
static enum torg_err node_settle(struct change *change, uint32_t number, unsigned level,
                                 const struct rtree_entry *entries, unsigned count,
                                 enum removal *ret_removal, struct rtree_entry *ret_self)
{
    unsigned least = level == 0 ? RTREE_LEAF_MIN : RTREE_INNER_MIN;
    bool is_root = number == change->root.root;

    if (count == 0 || (count < least && !is_root)) {
        *ret_removal = REMOVAL_DISSOLVED;
        return node_dissolve(change, number, level, entries, count);
    }
    *ret_removal = REMOVAL_DONE;
    *ret_self = rtree_node_sum(entries, count);
    ret_self->child = number;
    return rtree_node_put(change->kv, change->collection, number, level, entries, count);
}

static enum torg_err leaf_remove(struct change *change, uint32_t number,
                                 const struct rtree_item *item, enum removal *ret_removal,
                                 struct rtree_entry *ret_self)
{
    struct rtree_entry entries[RTREE_LEAF_MAX + 1];
    struct rtree_node leaf;
    enum torg_err err;
    unsigned i;

    *ret_removal = REMOVAL_NOT_HERE;
    err = rtree_node_get(change->kv, change->collection, number, 0, &leaf);
    if (err || !leaf_find(&leaf, item, &i))
        return err;
    err = node_unpack(change, &leaf, entries);
    if (err)
        return err;
    if (!position_equal(entries[i].min, item->min) || !position_equal(entries[i].max, item->max))
        return TORG_OK;
    err = rtree_item_drop(change->kv, change->collection, &entries[i]);
    if (err)
        return err;
    memmove(&entries[i], &entries[i + 1], (leaf.count - i - 1) * sizeof(entries[0]));
    return node_settle(change, number, 0, entries, leaf.count - 1, ret_removal, ret_self);
}

static bool entry_holds(const struct rtree_entry *entry, const struct rtree_item *item)
{
    return entry->min.lon_e7 <= item->min.lon_e7 && entry->min.lat_e7 <= item->min.lat_e7 &&
           entry->max.lon_e7 >= item->max.lon_e7 && entry->max.lat_e7 >= item->max.lat_e7;
}

static enum torg_err node_remove(struct change *change, uint32_t number, unsigned level,
                                 const struct rtree_item *item, enum removal *ret_removal,
                                 struct rtree_entry *ret_self)
{
    struct rtree_entry entries[RTREE_INNER_MAX + 1];
    struct rtree_node node;
    unsigned count, i;
    enum torg_err err;

    if (level == 0)
        return leaf_remove(change, number, item, ret_removal, ret_self);
    *ret_removal = REMOVAL_NOT_HERE;
    err = rtree_node_get(change->kv, change->collection, number, level, &node);
    if (!err)
        err = node_unpack(change, &node, entries);
    if (err)
        return err;
    count = node.count;
    for (i = 0; i < count; i++) {
        uint32_t child = entries[i].child;

        if (!entry_holds(&entries[i], item))
            continue;
        err = node_remove(change, child, level - 1, item, ret_removal, &entries[i]);
        if (err)
            return err;
        if (*ret_removal != REMOVAL_NOT_HERE)
            break;
    }
    if (i == count)
        return TORG_OK;
    if (*ret_removal == REMOVAL_DISSOLVED) {
        memmove(&entries[i], &entries[i + 1], (count - i - 1) * sizeof(entries[0]));
        count--;
    }
    return node_settle(change, number, level, entries, count, ret_removal, ret_self);
}

/* A root with one child is no use: the child becomes the root. */
static enum torg_err root_shrink(struct change *change)
{
    struct rtree_node node;
    enum torg_err err;
    uint32_t old;

    while (change->root.height > 1) {
        err = rtree_node_get(change->kv, change->collection, change->root.root,
                             change->root.height - 1, &node);
        if (err)
            return err;
        if (node.count > 1)
            break;
        old = change->root.root;
        change->root.root = rtree_node_u32(node.child, 0);
        change->root.height--;
        err = rtree_node_give(change->kv, change->collection, &change->root, old);
        if (err)
            return err;
    }
    return TORG_OK;
}

static enum torg_err orphans_insert(struct change *change)
{
    enum torg_err err = TORG_OK;

    /* The highest first: they are whole subtrees, and came last. */
    for (unsigned i = change->orphan_count; i-- > 0 && !err;) {
        const struct orphan *orphan = &change->orphans[i];

        if (orphan->level >= change->root.height)
            return TORG_E_CORRUPT;
        err = entry_insert(change, orphan->level, &orphan->entry);
    }
    return err;
}

enum torg_err rtree_remove(struct rtree *tree, const struct rtree_item *item)
{
    struct rtree_entry self;
    struct change change;
    enum removal removal;
    enum torg_err err;

    if (!rtree_item_valid(item))
        return TORG_E_INVALID;
    err = change_begin(&change, tree);
    if (err)
        return err;
    if (change.root.height == 0)
        return TORG_E_NOT_FOUND;
    err = node_remove(&change, change.root.root, change.root.height - 1, item, &removal, &self);
    if (err)
        return err;
    if (removal == REMOVAL_NOT_HERE)
        return TORG_E_NOT_FOUND;
    change.root.items--;
    if (removal == REMOVAL_DISSOLVED) { /* Only when nothing is left. */
        change.root.height = 0;
        change.root.root = 0;
        if (change.root.items > 0 || change.orphan_count > 0)
            return TORG_E_CORRUPT;
    }
    err = orphans_insert(&change);
    if (!err)
        err = root_shrink(&change);
    if (err)
        return err;
    if ((change.root.items == 0) != (change.root.height == 0))
        return TORG_E_CORRUPT;
    return rtree_node_root_put(change.kv, change.collection, &change.root);
}
