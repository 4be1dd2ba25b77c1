/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree.h"

#include <assert.h>
#include <stdalign.h>

#include "index/rtree_counts.h"
#include "index/rtree_pending.h"
#include "index/rtree_read.h"

/* A walk in depth holds at most what a node's siblings leave, on each level. */
#define STACK_MAX (RTREE_LEVELS_MAX * RTREE_INNER_MAX)
/* Beside RTREE_INSIDE_ALL and what is below it: nothing of the leaf matches. */
#define OUTSIDE 0xff
/* Items that cost as much as reading and adding a node's counts by theme: an estimate. */
#define COUNTS_ITEMS 256

struct walk_place {
    uint32_t number;
    uint8_t level;
    uint8_t inside;
    bool loading; /* its bytes were asked for */
    bool take;    /* of a leaf: what does not match is taken from the counts */
};

struct walk {
    struct rtree_filter filter;
    uint8_t collection;
    bool want_distance;
    bool stopped;
    rtree_visit *visit; /* NULL: only count */
    void *context;
    struct rtree_counts *themes; /* count these too; or NULL */
    uint64_t count;
    struct rtree_gone gone; /* what a walk finds in the tree and must not */
    unsigned depth;
    struct walk_place stack[STACK_MAX];
};

/* The exact distances of a leaf's matches, in their order. */
static enum torg_err leaf_distances(struct walk *walk, const struct rtree_node *leaf,
                                    struct rtree_mask left, double *distances_m)
{
    enum torg_err err = TORG_OK;
    size_t k = 0;

    for (unsigned i; !err && rtree_mask_next(&left, &i); k++) {
        if (rtree_filter_is_shape(&walk->filter, leaf, i))
            err = rtree_filter_shape_m(&walk->filter, rtree_node_u32(leaf->document, i),
                                       &distances_m[k]);
        else
            distances_m[k] = rtree_filter_distance_m(&walk->filter, rtree_node_point(leaf, i));
    }
    return err;
}

/* A column of words as an array, where machine and store have it so; else NULL. */
static const uint32_t *column_as_is(const uint8_t *column)
{
    const void *words = column;

    if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || (uintptr_t)words % alignof(uint32_t) != 0)
        return NULL;
    return words;
}

static enum torg_err walk_hits(struct walk *walk, const struct rtree_node *leaf,
                               const struct rtree_mask *chosen)
{
    uint32_t documents[RTREE_LEAF_MAX + 8]; /* gather writes eight at a time */
    double distances_m[RTREE_LEAF_MAX];
    struct rtree_batch batch = {.count = walk->filter.kernel->count(chosen)};
    enum torg_err err = TORG_OK;

    if (batch.count == 0)
        return TORG_OK;
    if (batch.count == leaf->count)
        batch.documents = column_as_is(leaf->document);
    if (!batch.documents) {
        walk->filter.kernel->gather(leaf->document, chosen, documents);
        batch.documents = documents;
    }
    if (walk->want_distance) {
        err = leaf_distances(walk, leaf, *chosen, distances_m);
        batch.distances_m = distances_m;
    }
    if (!err)
        walk->stopped = !walk->visit(walk->context, &batch);
    return err;
}

/*
 * Everything below the leaf's parent is counted already: what does not match is
 * taken from that. Of a leaf that the filter has left out, which is nothing.
 */
static enum torg_err walk_leaf_take(struct walk *walk, const struct rtree_node *leaf,
                                    unsigned inside)
{
    struct rtree_mask chosen = rtree_mask_of(leaf->count);
    enum torg_err err = TORG_OK;

    if (inside != OUTSIDE) {
        struct rtree_mask matching = chosen;

        err = rtree_filter_leaf(&walk->filter, walk->collection, leaf, inside, &matching);
        for (unsigned word = 0; word < RTREE_MASK_WORDS; word++)
            chosen.words[word] &= ~matching.words[word];
    }
    if (err)
        return err;
    walk->count -= walk->filter.kernel->count(&chosen);
    return rtree_counts_leaf(walk->themes, walk->filter.kv, walk->collection, leaf, &chosen,
                             RTREE_COUNTS_TAKE);
}

static enum torg_err walk_leaf(struct walk *walk, const struct rtree_node *leaf, unsigned inside)
{
    struct rtree_mask chosen = rtree_mask_of(leaf->count);
    enum torg_err err = TORG_OK;

    if (inside != RTREE_INSIDE_ALL)
        err = rtree_filter_leaf(&walk->filter, walk->collection, leaf, inside, &chosen);
    if (err)
        return err;
    if (walk->visit && walk->gone.count > 0)
        rtree_gone_narrow(&walk->gone, leaf, &chosen);
    if (walk->visit)
        return walk_hits(walk, leaf, &chosen);
    walk->count += walk->filter.kernel->count(&chosen);
    if (walk->themes)
        return rtree_counts_leaf(walk->themes, walk->filter.kv, walk->collection, leaf, &chosen,
                                 RTREE_COUNTS_ADD);
    return TORG_OK;
}

static void walk_push(struct walk *walk, struct walk_place place)
{
    const struct rtree_table *table = walk->filter.kv->table;

    if (table)
        rtree_table_expect(table, walk->collection, place.number);
    assert(walk->depth < STACK_MAX); /* Levels only go down, at most RTREE_LEVELS_MAX. */
    walk->stack[walk->depth++] = place;
}

/* Are the items of leaves that match wholly far more than those of leaves that do not at all? */
static bool walk_few_outside(const struct rtree_node *node, const struct rtree_children *children)
{
    uint64_t inside = 0, outside = COUNTS_ITEMS;

    for (unsigned i = 0; i < node->count; i++) {
        if (!(children->may >> i & 1))
            outside += rtree_node_u32(node->items, i);
        else if (children->inside[i] == RTREE_INSIDE_ALL)
            inside += rtree_node_u32(node->items, i);
    }
    return inside > outside;
}

/* Counts everything below a node of leaves; these are visited for what must be taken from that. */
static enum torg_err walk_take(struct walk *walk, uint32_t number, const struct rtree_node *node,
                               const struct rtree_children *children)
{
    for (unsigned i = 0; i < node->count; i++) {
        bool may = children->may >> i & 1;

        walk->count += rtree_node_u32(node->items, i);
        if (may && children->inside[i] == RTREE_INSIDE_ALL)
            continue;
        walk_push(walk, (struct walk_place){
                            .number = rtree_node_u32(node->child, i),
                            .inside = may ? children->inside[i] : OUTSIDE,
                            .take = true,
                        });
    }
    return rtree_counts_below(walk->themes, walk->filter.kv, walk->filter.kernel, walk->collection,
                              number);
}

static enum torg_err walk_inner(struct walk *walk, uint32_t number, const struct rtree_node *node,
                                unsigned inside)
{
    bool counts = !walk->visit && !walk->themes;
    struct rtree_children children;
    enum torg_err err;

    rtree_filter_children(&walk->filter, node, inside, &children);
    if (walk->themes && node->level == 1 && walk_few_outside(node, &children))
        return walk_take(walk, number, node, &children);
    for (uint64_t left = children.may; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        uint32_t child = rtree_node_u32(node->child, i);

        if (counts && children.inside[i] == RTREE_INSIDE_ALL) {
            walk->count += rtree_node_u32(node->items, i);
            continue;
        }
        if (walk->themes && node->level > 1 && children.inside[i] == RTREE_INSIDE_ALL) {
            err = rtree_counts_below(walk->themes, walk->filter.kv, walk->filter.kernel,
                                     walk->collection, child);
            if (err)
                return err;
            walk->count += rtree_node_u32(node->items, i);
            continue;
        }
        walk_push(walk, (struct walk_place){
                            .number = child,
                            .level = (uint8_t)(node->level - 1),
                            .inside = children.inside[i],
                        });
    }
    return TORG_OK;
}

/*
 * Of an inner node its boxes are needed, of a leaf the positions unless all of
 * it matches, and then the documents or the themes.
 */
static void walk_ahead(const struct walk *walk, const struct walk_place *next)
{
    const struct kv *kv = walk->filter.kv;

    if (next->level > 0)
        rtree_read_ahead(kv, walk->collection, next->number, 0, RTREE_INNER_ITEMS_AT);
    else if (next->inside != RTREE_INSIDE_ALL && next->inside != OUTSIDE)
        rtree_read_ahead(kv, walk->collection, next->number, 0, RTREE_LEAF_DOCUMENT_AT);
    if (next->level == 0 && walk->themes)
        rtree_read_ahead(kv, walk->collection, next->number, RTREE_LEAF_THEME_AT,
                         RTREE_NODE_BYTES_MAX);
    else if (next->level == 0 && next->inside == RTREE_INSIDE_ALL)
        rtree_read_ahead(kv, walk->collection, next->number, RTREE_LEAF_DOCUMENT_AT,
                         RTREE_LEAF_FROM_AT);
}

/*
 * The next two: of one alone, the walk would wait for most of the way from
 * memory; more would push each other out of the processor's queue.
 */
static void walk_load(struct walk *walk)
{
    for (unsigned ahead = 1; ahead <= 2 && ahead <= walk->depth; ahead++) {
        struct walk_place *next = &walk->stack[walk->depth - ahead];

        if (!next->loading)
            walk_ahead(walk, next);
        next->loading = true;
    }
}

/* The root is the first to be looked at. */
static void walk_push_root(struct walk *walk, const struct rtree_start *start)
{
    if (start->height == 0)
        return;
    walk_push(walk, (struct walk_place){
                        .number = start->root,
                        .level = (uint8_t)(start->height - 1),
                        .inside = start->inside,
                    });
    walk_load(walk);
}

static enum torg_err walk_run(struct walk *walk)
{
    struct rtree_node node;
    enum torg_err err;

    while (walk->depth > 0 && !walk->stopped) {
        struct walk_place place = walk->stack[--walk->depth];

        if (!place.loading)
            walk_ahead(walk, &place); /* All of it at once, not line by line. */
        walk_load(walk);
        err = rtree_filter_visit(&walk->filter, place.level);
        if (!err)
            err = rtree_read(walk->filter.kv, walk->collection, place.number, place.level, &node);
        if (!err && place.level == 0)
            err = (place.take ? walk_leaf_take : walk_leaf)(walk, &node, place.inside);
        else if (!err)
            err = walk_inner(walk, place.number, &node, place.inside);
        if (err)
            return err;
    }
    return TORG_OK;
}

/* What waits to go out of the tree is not handed out, or taken from the counts. */
static enum torg_err walk_gone(struct walk *walk, const struct rtree_node *gone)
{
    struct rtree_mask chosen;
    enum torg_err err = rtree_pending_match(&walk->filter, walk->collection, gone, &chosen);

    if (err)
        return err;
    if (walk->visit) {
        rtree_gone_fill(&walk->gone, gone, chosen);
        return TORG_OK;
    }
    walk->count -= walk->filter.kernel->count(&chosen); /* below 0, for a while */
    if (walk->themes)
        return rtree_counts_take(walk->themes, walk->filter.kv, gone, &chosen);
    return TORG_OK;
}

/* What waits to come, when the tree itself is done. */
static enum torg_err walk_added(struct walk *walk, const struct rtree_node *added)
{
    enum torg_err err = rtree_filter_visit(&walk->filter, 0);

    walk->gone.count = 0;
    return err ? err : walk_leaf(walk, added, rtree_filter_inside(&walk->filter));
}

static enum torg_err walk_tree(struct walk *walk, const struct kv *kv,
                               const struct rtree_query *query, struct rtree_work *work)
{
    struct rtree_start start;
    struct rtree_pending pending;
    enum torg_err err;

    err = rtree_filter_init(&walk->filter, kv, query);
    if (err)
        return err;
    err = rtree_filter_start(&walk->filter, walk->collection, !walk->themes, &start);
    if (!err) {
        walk_push_root(walk, &start);
        rtree_filter_circle(&walk->filter);
        err = rtree_pending_get(kv, walk->collection, &pending);
    }
    if (!err && pending.gone.count > 0)
        err = walk_gone(walk, &pending.gone);
    if (!err)
        err = walk_run(walk);
    if (!err && !walk->stopped && pending.added.count > 0)
        err = walk_added(walk, &pending.added);
    if (work)
        *work = walk->filter.work;
    rtree_filter_done(&walk->filter);
    return err;
}

/* Not an initialiser: the stack need not be zeroed. */
static void walk_begin(struct walk *walk, uint8_t collection)
{
    walk->collection = collection;
    walk->want_distance = false;
    walk->stopped = false;
    walk->visit = NULL;
    walk->context = NULL;
    walk->themes = NULL;
    walk->count = 0;
    walk->gone.count = 0;
    walk->depth = 0;
}

enum torg_err rtree_search(const struct kv *kv, uint8_t collection, const struct rtree_query *query,
                           bool want_distance, rtree_visit *visit, void *context,
                           struct rtree_work *work)
{
    struct walk walk;

    walk_begin(&walk, collection);
    walk.want_distance = want_distance && query->has_centre;
    walk.visit = visit;
    walk.context = context;
    return walk_tree(&walk, kv, query, work);
}

enum torg_err rtree_count(const struct kv *kv, uint8_t collection, const struct rtree_query *query,
                          uint64_t *ret_count, struct rtree_work *work)
{
    struct walk walk;
    enum torg_err err;

    walk_begin(&walk, collection);
    err = walk_tree(&walk, kv, query, work);
    if (err)
        return err;
    if (walk.count > UINT32_MAX) /* More waits to go than there is. */
        return TORG_E_CORRUPT;
    *ret_count = walk.count;
    return TORG_OK;
}

enum torg_err rtree_theme_counts(const struct kv *kv, uint8_t collection,
                                 const struct rtree_query *query, uint64_t ret_counts[THEME_BITS],
                                 uint64_t *ret_count, struct rtree_work *work)
{
    struct rtree_counts *counts;
    struct walk walk;
    enum torg_err err = rtree_counts_new(kv, &counts);

    if (err)
        return err;
    walk_begin(&walk, collection);
    walk.themes = counts;
    err = walk_tree(&walk, kv, query, work);
    if (!err && walk.count > UINT32_MAX)
        err = TORG_E_CORRUPT;
    if (!err)
        err = rtree_counts_sum(counts, kv, ret_counts);
    if (!err && ret_count)
        *ret_count = walk.count;
    rtree_counts_free(counts);
    return err;
}

enum torg_err rtree_size(const struct kv *kv, uint8_t collection, uint64_t *ret_count)
{
    struct rtree_pending pending;
    struct rtree_root root;
    enum torg_err err = rtree_node_root_get(kv, collection, &root);

    if (err == TORG_E_NOT_FOUND)
        root.items = 0;
    else if (err)
        return err;
    err = rtree_pending_get(kv, collection, &pending);
    if (!err && pending.gone.count > root.items)
        err = TORG_E_CORRUPT;
    if (!err)
        *ret_count = root.items - pending.gone.count + pending.added.count;
    return err;
}

/* ---- every item ---- */

struct items {
    const struct kv *kv;
    uint8_t collection;
    rtree_item_visit *visit;
    void *context;
    struct rtree_gone gone;
    bool stopped;
};

static enum torg_err items_leaf(struct items *items, const struct rtree_node *leaf)
{
    struct rtree_item item;
    enum torg_err err = TORG_OK;

    for (unsigned i = 0; !err && !items->stopped && i < leaf->count; i++) {
        if (rtree_gone_has(&items->gone, rtree_node_u32(leaf->document, i)))
            continue;
        err = rtree_item_get(items->kv, items->collection, leaf, i, &item);
        if (!err && !items->visit(items->context, &item))
            items->stopped = true;
    }
    return err;
}

static enum torg_err items_below(struct items *items, uint32_t number, unsigned level)
{
    struct rtree_node node;
    enum torg_err err;

    err = rtree_node_get(items->kv, items->collection, number, level, &node);
    if (!err && level == 0)
        return items_leaf(items, &node);
    for (unsigned i = 0; !err && !items->stopped && i < node.count; i++)
        err = items_below(items, rtree_node_u32(node.child, i), level - 1);
    return err;
}

enum torg_err rtree_items(const struct kv *kv, uint8_t collection, rtree_item_visit *visit,
                          void *context)
{
    struct items items = {.kv = kv, .collection = collection, .visit = visit, .context = context};
    struct rtree_pending pending;
    struct rtree_root root;
    enum torg_err err = rtree_node_root_get(kv, collection, &root);

    if (err == TORG_E_NOT_FOUND)
        return TORG_OK;
    if (!err)
        err = rtree_pending_get(kv, collection, &pending);
    if (err || root.height == 0)
        return err;
    rtree_gone_fill(&items.gone, &pending.gone, rtree_mask_of(pending.gone.count));
    err = items_below(&items, root.root, root.height - 1);
    items.gone.count = 0;
    return err ? err : items_leaf(&items, &pending.added);
}
