/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_repack.h"

#include <math.h>
#include <stdlib.h>

#include "index/rtree_curve.h"
#include "index/rtree_pending.h"
#include "index/rtree_stem.h"
#include "index/rtree_themes.h"

/* A tree is looked at again when so many of its items were edited, and packed... */
#define LOOK_FRACTION 64
#define LOOK_MIN 32
/* ...below a node when so many of the node's were, or a third of its leaves could be saved. */
#define MEND_FRACTION 16
/* The children of a higher node are spread anew when so many of its items were edited. */
#define SPREAD_FRACTION 4
/* Nodes of one step, and how much of the first a sibling must overlap to come with it. */
#define GROUP_MAX 4
#define GROUP_OVERLAP 0.02
/* Of a page of waiting edits that is so full a step does some, before an edit has to. */
#define PENDING_FULL 0.75
/* Nodes that one step looks at while it searches: some hundred million items. */
#define LOOKED_MAX 8192

struct repack {
    struct rtree_pages pages;
    struct rtree_stem stem;
    unsigned looked;
    /* The worst node so far. */
    double worst;
    unsigned level;
    struct rtree_path path; /* to it; path.index[level + 1] is its place in its parent */
};

/* ---- which node ---- */

/* How urgent it is: 1 and more is worth a step. */
static double node_decay(const struct repack *repack, const struct rtree_node *node)
{
    bool is_root = node->number == *repack->stem.root;
    double edits = rtree_node_edits(node->bytes), items = 0;

    if (edits == 0 || (node->level > 1 && is_root))
        return 0;
    for (unsigned i = 0; i < node->count; i++)
        items += rtree_node_u32(node->items, i);
    if (node->level > 1)
        return edits * SPREAD_FRACTION / items;
    if (node->count > 2 && items < node->count * (RTREE_PACK_LEAF * 2.0 / 3.0))
        return 1 + edits / items;
    return edits * MEND_FRACTION / items;
}

/* Looks at a node and all inner ones below it. */
static enum torg_err worst_below(struct repack *repack, struct rtree_path *path, uint32_t number,
                                 unsigned level)
{
    struct rtree_node node;
    double decay;
    enum torg_err err;

    err = rtree_pages_view(&repack->pages, number, level, &node);
    if (err)
        return err;
    repack->looked++;
    path->number[level] = number;
    decay = node_decay(repack, &node);
    if (decay > repack->worst) {
        repack->worst = decay;
        repack->level = level;
        repack->path = *path;
    }
    for (unsigned i = 0; level > 1 && i < node.count && repack->looked < LOOKED_MAX && !err; i++) {
        path->index[level] = i;
        err = worst_below(repack, path, rtree_node_u32(node.child, i), level - 1);
    }
    return err;
}

/* ---- what is packed with it ---- */

struct group {
    unsigned count;
    uint32_t numbers[GROUP_MAX];
    unsigned index[GROUP_MAX]; /* in the parent; ascending */
};

static double box_area(struct position min, struct position max)
{
    return ((double)max.lon_e7 - min.lon_e7) * ((double)max.lat_e7 - min.lat_e7);
}

static double box_overlap(const struct rtree_node *node, unsigned i, unsigned j)
{
    struct position a_min = rtree_node_min(node, i), a_max = rtree_node_max(node, i);
    struct position b_min = rtree_node_min(node, j), b_max = rtree_node_max(node, j);
    double width = fmin(a_max.lon_e7, b_max.lon_e7) - fmax(a_min.lon_e7, b_min.lon_e7);
    double height = fmin(a_max.lat_e7, b_max.lat_e7) - fmax(a_min.lat_e7, b_min.lat_e7);

    return width > 0 && height > 0 ? width * height : 0;
}

/* The area that the two would have together beyond their own. */
static double box_gap(const struct rtree_node *node, unsigned i, unsigned j)
{
    struct position a_min = rtree_node_min(node, i), a_max = rtree_node_max(node, i);
    struct position b_min = rtree_node_min(node, j), b_max = rtree_node_max(node, j);
    double width = fmax(a_max.lon_e7, b_max.lon_e7) - fmin(a_min.lon_e7, b_min.lon_e7);
    double height = fmax(a_max.lat_e7, b_max.lat_e7) - fmin(a_min.lat_e7, b_min.lat_e7);

    return width * height - box_area(a_min, a_max) - box_area(b_min, b_max);
}

static void group_add(struct group *group, const struct rtree_node *parent, unsigned i)
{
    unsigned at = group->count++;

    for (; at > 0 && group->index[at - 1] > i; at--) {
        group->index[at] = group->index[at - 1];
        group->numbers[at] = group->numbers[at - 1];
    }
    group->index[at] = i;
    group->numbers[at] = rtree_node_u32(parent->child, i);
}

static bool group_has(const struct group *group, unsigned i)
{
    for (unsigned k = 0; k < group->count; k++) {
        if (group->index[k] == i)
            return true;
    }
    return false;
}

/* The sibling that overlaps it most, or, for a node that is half empty, fits it best. */
static bool sibling_find(const struct group *group, const struct rtree_node *parent, unsigned self,
                         bool thin, unsigned *ret_i)
{
    double least = box_area(rtree_node_min(parent, self), rtree_node_max(parent, self));
    double best = least * GROUP_OVERLAP, best_gap = INFINITY;
    bool found = false;

    for (unsigned i = 0; i < parent->count; i++) {
        double overlap;

        if (group_has(group, i))
            continue;
        overlap = box_overlap(parent, self, i);
        if (overlap > best) {
            best = overlap;
            *ret_i = i;
            found = true;
        }
        if (!found && thin && box_gap(parent, self, i) < best_gap) {
            best_gap = box_gap(parent, self, i);
            *ret_i = i;
        }
    }
    return found || best_gap < INFINITY;
}

static enum torg_err group_choose(struct repack *repack, struct group *group)
{
    unsigned above = repack->level + 1, self, other = 0, full = RTREE_PACK_INNER;
    struct rtree_node parent, node;
    bool thin;
    enum torg_err err;

    err =
        rtree_pages_view(&repack->pages, repack->path.number[repack->level], repack->level, &node);
    if (!err)
        err = rtree_pages_view(&repack->pages, repack->path.number[above], above, &parent);
    if (err)
        return err;
    self = repack->path.index[above];
    thin = repack->level > 1 ? node.count < full / 2
                             : rtree_node_u32(parent.items, self) < full * RTREE_PACK_LEAF / 2;
    group_add(group, &parent, self);
    while (group->count < GROUP_MAX && sibling_find(group, &parent, self, thin, &other)) {
        group_add(group, &parent, other);
        thin = false;
    }
    return TORG_OK;
}

/* ---- packing ---- */

static enum torg_err leaves_drop(struct repack *repack, uint32_t number)
{
    struct rtree_node node;
    enum torg_err err;

    err = rtree_pages_view(&repack->pages, number, 1, &node);
    for (unsigned i = 0; !err && i < node.count; i++)
        err = rtree_pages_drop(&repack->pages, rtree_node_u32(node.child, i), 0);
    return err ? err : rtree_pages_drop(&repack->pages, number, 1);
}

/* All items below a group of nodes above leaves into new nodes of that level, at most level_max. */
static enum torg_err items_pack(struct repack *repack, const struct group *group,
                                unsigned level_max, struct rtree_entry **ret_entries,
                                size_t *ret_count, unsigned *ret_level, uint64_t *ret_items)
{
    struct rtree_pages *pages = &repack->pages;
    struct rtree_gather gather = {0};
    uint32_t *order = NULL;
    enum torg_err err = TORG_OK;

    for (unsigned k = 0; k < group->count && !err; k++)
        err = rtree_gather_below(&gather, pages, group->numbers[k], 1, RTREE_STEM_MAIN);
    if (!err)
        err = rtree_gather_order(&gather, &order);
    for (unsigned k = 0; k < group->count && !err; k++)
        err = leaves_drop(repack, group->numbers[k]);
    rtree_pages_dropped_sort(pages);
    if (!err)
        err = rtree_pack_slots(pages, gather.slots, order, gather.count, level_max,
                               repack->stem.counted, ret_entries, ret_count, ret_level);
    *ret_items = gather.count;
    free(order);
    rtree_gather_done(&gather);
    return err;
}

/* A root above leaves: all of the tree. */
static enum torg_err root_repack(struct repack *repack, uint64_t *ret_items)
{
    const struct group group = {.count = 1, .numbers = {*repack->stem.root}};
    struct rtree_entry *entries = NULL;
    unsigned level;
    size_t count;
    enum torg_err err;

    err = items_pack(repack, &group, RTREE_LEVELS_MAX - 1, &entries, &count, &level, ret_items);
    if (err)
        return err;
    *repack->stem.root = entries[0].child;
    *repack->stem.height = level + 1;
    free(entries);
    return TORG_OK;
}

static enum torg_err items_repack(struct repack *repack, uint64_t *ret_items)
{
    struct group group = {0};
    struct rtree_entry *entries = NULL;
    unsigned level;
    size_t count;
    enum torg_err err;

    err = group_choose(repack, &group);
    if (err)
        return err;
    err = items_pack(repack, &group, 1, &entries, &count, &level, ret_items);
    if (!err && level == 0)
        err = rtree_pack_level(&repack->pages, 1, repack->stem.counted, entries, &count);
    if (!err)
        err = rtree_stem_replace(&repack->stem, &repack->path, 2, group.index, group.count, entries,
                                 count);
    free(entries);
    return err;
}

/* The children of a few higher nodes, in the order of their middles. */
static enum torg_err children_spread(struct repack *repack)
{
    struct rtree_entry entries[GROUP_MAX * RTREE_INNER_MAX], sorted[GROUP_MAX * RTREE_INNER_MAX];
    struct rtree_place places[GROUP_MAX * RTREE_INNER_MAX];
    struct rtree_pages *pages = &repack->pages;
    struct group group = {0};
    size_t count = 0;
    enum torg_err err;

    err = group_choose(repack, &group);
    for (unsigned k = 0; k < group.count && !err; k++) {
        struct rtree_node node;

        err = rtree_pages_view(pages, group.numbers[k], repack->level, &node);
        for (unsigned i = 0; !err && i < node.count; i++)
            entries[count++] = rtree_node_child(&node, i);
        if (!err)
            err = rtree_pages_drop(pages, group.numbers[k], repack->level);
    }
    for (size_t i = 0; i < count && !err; i++) {
        struct position middle = {
            (int32_t)(((int64_t)entries[i].min.lon_e7 + entries[i].max.lon_e7) / 2),
            (int32_t)(((int64_t)entries[i].min.lat_e7 + entries[i].max.lat_e7) / 2)};

        places[i] = (struct rtree_place){rtree_curve_pair(middle), (uint32_t)i};
    }
    if (!err)
        err = rtree_curve_sort(places, count);
    for (size_t i = 0; i < count && !err; i++)
        sorted[i] = entries[places[i].item];
    if (!err)
        err = rtree_pack_level(pages, repack->level, repack->stem.counted, sorted, &count);
    if (err)
        return err;
    return rtree_stem_replace(&repack->stem, &repack->path, repack->level + 1, group.index,
                              group.count, sorted, count);
}

/* ---- steps ---- */

/* The worst node of one tree, if it has any that is worth it. */
static enum torg_err stem_step(struct repack *repack, uint64_t items,
                               struct rtree_repacked *repacked)
{
    const struct rtree_stem *stem = &repack->stem;
    struct rtree_path path;
    enum torg_err err;

    if (*stem->edits < LOOK_MIN || *stem->edits < items / LOOK_FRACTION)
        return TORG_OK;
    repack->worst = 0;
    if (*stem->height > 1) {
        err = worst_below(repack, &path, *stem->root, *stem->height - 1);
        if (err)
            return err;
    }
    if (repack->worst < 1) { /* Look again after as many edits. */
        *stem->edits = 0;
        return TORG_OK;
    }
    repacked->quiet = false;
    if (repack->level > 1)
        return children_spread(repack);
    return *stem->height == 2 ? root_repack(repack, &repacked->items)
                              : items_repack(repack, &repacked->items);
}

static enum torg_err repack_step(struct repack *repack, struct rtree_repacked *repacked)
{
    const struct rtree_record *record = &repack->pages.record;
    enum torg_err err = TORG_OK;

    for (int theme = RTREE_STEM_MAIN; theme < THEME_BITS && repacked->quiet && !err; theme++) {
        uint64_t items =
            theme == RTREE_STEM_MAIN ? record->root.items : record->themes[theme].items;

        repack->stem = rtree_stem_of(&repack->pages, theme);
        err = stem_step(repack, items, repacked);
    }
    return err;
}

/*
 * A few of the edits that wait, where there is nothing to mend: a commit that finds the page full
 * does the same, but nobody else mends.
 */
static enum torg_err pending_step(struct rtree *tree, struct rtree_repacked *repacked)
{
    struct rtree_pending pending;
    enum torg_err err = rtree_pending_get(tree->kv, tree->collection, &pending);

    if (err || rtree_pending_full(&pending) < PENDING_FULL)
        return err;
    repacked->quiet = false;
    repacked->items = RTREE_PENDING_SOME_MAX;
    return rtree_apply_some(tree);
}

static enum torg_err mend_step(struct rtree *tree, struct rtree_repacked *repacked)
{
    struct repack *repack = calloc(1, sizeof(*repack));
    struct rtree_record before;
    enum torg_err err;

    if (!repack)
        return TORG_E_NOMEM;
    err = rtree_pages_begin(&repack->pages, tree->kv, tree->collection);
    before = repack->pages.record;
    if (!err)
        err = repack_step(repack, repacked);
    if (!err && !repacked->quiet)
        err = kv_gather(tree->kv); /* Leaves side by side cost a walk less than scattered ones. */
    if (!err && (!repacked->quiet || memcmp(&before, &repack->pages.record, sizeof(before)) != 0))
        err = rtree_pages_flush(&repack->pages);
    rtree_pages_done(&repack->pages);
    free(repack);
    return err;
}

enum torg_err rtree_repack_step(struct rtree *tree, struct rtree_repacked *ret_repacked)
{
    struct rtree_repacked repacked = {.quiet = true};
    enum torg_err err = mend_step(tree, &repacked);

    if (!err && repacked.quiet)
        err = pending_step(tree, &repacked);
    if (!err)
        *ret_repacked = repacked;
    return err;
}
