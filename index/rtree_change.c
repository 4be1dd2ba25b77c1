/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <stdlib.h>

#include "index/rtree_curve.h"
#include "index/rtree_graft.h"
#include "index/rtree_pending.h"
#include "index/rtree_stem.h"
#include "index/rtree_themes.h"

/*
 * Edits of a collection: each goes into the main tree and into the trees of its
 * themes. A batch is put in the order of the ground first, so that what lies
 * together is found together; removals come before inserts, so that the record
 * of a document is dropped before it is written anew.
 */
struct change {
    struct rtree_pages pages;
    struct theme_set touched;
};

/* One edit of a batch that is to be done. */
struct planned {
    const struct rtree_item *removed, *inserted; /* either may be NULL */
};

static void change_touch(struct change *change, const struct theme_set *themes)
{
    for (unsigned word = 0; word < 4; word++)
        change->touched.words[word] |= themes->words[word];
}

/* The same in the trees of its themes, and their numbers of items. */
static enum torg_err themes_edit(struct change *change, const struct rtree_entry *entry,
                                 const struct rtree_item *removed)
{
    enum torg_err err = TORG_OK;

    change_touch(change, &entry->themes);
    for (unsigned bit = 0; bit < THEME_BITS && !err; bit++) {
        struct rtree_theme *theme = &change->pages.record.themes[bit];
        struct rtree_stem stem;
        struct rtree_entry gone;

        if (!entry->themes.words[bit / 64]) {
            bit |= 63;
            continue;
        }
        if (!theme_set_has(&entry->themes, bit))
            continue;
        if (removed && theme->items == 0)
            return TORG_E_CORRUPT;
        theme->items += removed ? UINT32_MAX : 1;
        if (theme->height == 0)
            continue;
        stem = rtree_stem_of(&change->pages, (int)bit);
        err = removed ? rtree_stem_remove(&stem, removed, &gone) : rtree_stem_insert(&stem, entry);
        if (err == TORG_E_NOT_FOUND)
            err = TORG_E_CORRUPT;
    }
    return err;
}

static enum torg_err change_remove(struct change *change, const struct rtree_item *item)
{
    struct rtree_pages *pages = &change->pages;
    struct rtree_stem stem = rtree_stem_of(pages, RTREE_STEM_MAIN);
    struct rtree_entry entry;
    enum torg_err err;

    err = rtree_stem_remove(&stem, item, &entry);
    if (err)
        return err;
    if (pages->record.root.items == 0)
        return TORG_E_CORRUPT;
    pages->record.root.items--;
    if ((pages->record.root.items == 0) != (pages->record.root.height == 0))
        return TORG_E_CORRUPT;
    err = themes_edit(change, &entry, item);
    return err ? err : rtree_item_drop(pages->kv, pages->collection, &entry);
}

static enum torg_err change_insert(struct change *change, const struct rtree_item *item)
{
    struct rtree_pages *pages = &change->pages;
    struct rtree_stem stem = rtree_stem_of(pages, RTREE_STEM_MAIN);
    struct rtree_entry entry;
    enum torg_err err;

    if (pages->record.root.items >= UINT32_MAX)
        return TORG_E_TOO_BIG;
    err = rtree_item_pack(pages->kv, pages->collection, &pages->combinations, item, &entry);
    if (!err)
        err = rtree_stem_insert(&stem, &entry);
    if (err)
        return err;
    pages->record.root.items++;
    return themes_edit(change, &entry, NULL);
}

static enum torg_err change_finish(struct change *change)
{
    enum torg_err err = rtree_themes_settle(&change->pages, &change->touched);

    return err ? err : rtree_pages_flush(&change->pages);
}

/* ---- batches ---- */

/* Places in the order of documents, and of edits within one. */
static enum torg_err places_by_document(const struct rtree_edit *edits, size_t count,
                                        struct rtree_place *places)
{
    for (size_t i = 0; i < count; i++)
        places[i] = (struct rtree_place){edits[i].item.document, (uint32_t)i};
    return rtree_curve_sort_numbers(places, count);
}

/*
 * What remains of each document's edits: the first, when it is a removal, and
 * the last, when it is an insert; what was in the tree in between never was.
 */
static enum torg_err batch_plan(const struct rtree_edit *edits, size_t count,
                                struct rtree_place *places, struct rtree_place *removed,
                                size_t *ret_removed, struct rtree_place *inserted,
                                size_t *ret_inserted)
{
    size_t begin = 0;
    enum torg_err err = places_by_document(edits, count, places);

    *ret_removed = *ret_inserted = 0;
    while (begin < count && !err) {
        const struct rtree_edit *first = &edits[places[begin].item], *last = first;
        size_t end = begin + 1;

        for (; end < count && edits[places[end].item].item.document == first->item.document;
             end++) {
            if (edits[places[end].item].removed == last->removed)
                return TORG_E_INVALID;
            last = &edits[places[end].item];
        }
        if (first->removed)
            removed[(*ret_removed)++] =
                (struct rtree_place){rtree_curve_pair(first->item.point), places[begin].item};
        if (!last->removed)
            inserted[(*ret_inserted)++] =
                (struct rtree_place){rtree_curve_pair(last->item.point), places[end - 1].item};
        begin = end;
    }
    return err;
}

static enum torg_err batch_run(struct change *change, const struct rtree_edit *edits,
                               const struct rtree_place *places, size_t count, bool removed)
{
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < count && !err; i++) {
        const struct rtree_item *item = &edits[places[i].item].item;

        if (rtree_pages_full(&change->pages))
            err = rtree_pages_flush(&change->pages);
        if (!err)
            err = removed ? change_remove(change, item) : change_insert(change, item);
    }
    return err;
}

/* So many inserts that nodes get leaves of them. */
static enum torg_err batch_graft(struct change *change, const struct rtree_edit *edits,
                                 const struct rtree_place *places, size_t count)
{
    struct rtree_pages *pages = &change->pages;
    struct rtree_entry *entries;
    enum torg_err err = TORG_OK;

    if (count > UINT32_MAX || pages->record.root.items > UINT32_MAX - count)
        return TORG_E_TOO_BIG;
    entries = malloc(count * sizeof(*entries));
    if (!entries)
        return TORG_E_NOMEM;
    for (size_t i = 0; i < count && !err; i++) {
        err = rtree_item_pack(pages->kv, pages->collection, &pages->combinations,
                              &edits[places[i].item].item, &entries[i]);
        if (!err)
            change_touch(change, &entries[i].themes);
    }
    if (!err)
        err = rtree_graft(pages, entries, count);
    if (!err)
        pages->record.root.items += count;
    free(entries);
    return err;
}

static enum torg_err batch_insert(struct change *change, const struct rtree_edit *edits,
                                  const struct rtree_place *places, size_t count)
{
    if (count >= RTREE_GRAFT_MIN && change->pages.record.root.height > 1)
        return batch_graft(change, edits, places, count);
    return batch_run(change, edits, places, count, false);
}

/* All of them at once, none of which waits. */
static enum torg_err batch_apply(struct rtree *tree, const struct rtree_edit *edits, size_t count)
{
    struct rtree_place *places, *removed, *inserted;
    size_t removed_count, inserted_count;
    struct change *change;
    enum torg_err err;

    change = calloc(1, sizeof(*change));
    places = calloc(3 * count + 1, sizeof(*places));
    if (!change || !places) {
        err = TORG_E_NOMEM;
        goto done;
    }
    removed = places + count;
    inserted = removed + count;
    err = batch_plan(edits, count, places, removed, &removed_count, inserted, &inserted_count);
    if (!err)
        err = rtree_curve_sort(removed, removed_count);
    if (!err)
        err = rtree_curve_sort(inserted, inserted_count);
    if (!err)
        err = rtree_pages_begin(&change->pages, tree->kv, tree->collection);
    if (!err)
        err = batch_run(change, edits, removed, removed_count, true);
    if (!err)
        err = batch_insert(change, edits, inserted, inserted_count);
    if (!err)
        err = change_finish(change);
done:
    if (change)
        rtree_pages_done(&change->pages);
    free(change);
    free(places);
    return err;
}

/* ---- with what waits ---- */

/* What waits of some documents, or with NULL of all; edits has room for it. */
static enum torg_err edits_of(const struct rtree *tree, const struct rtree_node *leaf, bool removed,
                              const struct rtree_pending_some *some, struct rtree_edit *edits,
                              size_t *count)
{
    enum torg_err err = TORG_OK;

    for (unsigned i = 0; i < leaf->count && !err; i++) {
        if (some && !rtree_pending_some_has(some, rtree_node_u32(leaf->document, i)))
            continue;
        edits[*count].removed = removed;
        err = rtree_item_get(tree->kv, tree->collection, leaf, i, &edits[*count].item);
        ++*count;
    }
    return err;
}

/* What waits of some documents, or with NULL of all, and then these edits. */
static enum torg_err apply_with(struct rtree *tree, const struct rtree_pending_some *some,
                                const struct rtree_edit *edits, size_t count)
{
    struct rtree_pending pending;
    struct rtree_edit *all;
    size_t waited = 0;
    enum torg_err err = rtree_pending_get(tree->kv, tree->collection, &pending);

    if (err)
        return err;
    if (pending.gone.count + pending.added.count == 0) {
        err = batch_apply(tree, edits, count);
        return err || pending.gone.bytes ? err : rtree_pending_clear(tree->kv, tree->collection);
    }
    all = malloc((pending.gone.count + pending.added.count + count) * sizeof(*all));
    if (!all)
        return TORG_E_NOMEM;
    err = edits_of(tree, &pending.gone, true, some, all, &waited);
    if (!err)
        err = edits_of(tree, &pending.added, false, some, all, &waited);
    if (!err && count > 0)
        memcpy(all + waited, edits, count * sizeof(*edits));
    if (!err)
        err = batch_apply(tree, all, waited + count);
    free(all);
    if (err || waited == 0) /* Last: what is not found must leave everything as it was. */
        return err;
    return some ? rtree_pending_forget(tree->kv, tree->collection, some)
                : rtree_pending_clear(tree->kv, tree->collection);
}

enum torg_err rtree_apply_some(struct rtree *tree)
{
    struct rtree_pending_some some;
    struct rtree_pending pending;
    enum torg_err err = rtree_pending_get(tree->kv, tree->collection, &pending);

    if (!err)
        err = rtree_pending_choose(&pending, &some);
    if (!err)
        err = apply_with(tree, &some, NULL, 0);
    /* Nothing but the page says what is to be done. */
    return err == TORG_E_NOT_FOUND || err == TORG_E_INVALID ? TORG_E_CORRUPT : err;
}

/* At once, with what waits of the same documents: in the trees each is there once. */
static enum torg_err apply_now(struct rtree *tree, const struct rtree_edit *edits, size_t count)
{
    struct rtree_pending_some same = {.count = 0};

    assert(count <= RTREE_PENDING_EDITS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (!rtree_pending_some_has(&same, edits[i].item.document))
            same.documents[same.count++] = edits[i].item.document;
    }
    return apply_with(tree, &same, edits, count);
}

enum torg_err rtree_apply(struct rtree *tree, const struct rtree_edit *edits, size_t count)
{
    enum rtree_pending_fate fate = RTREE_PENDING_FULL;
    enum torg_err err = TORG_OK;

    if (count > UINT32_MAX - RTREE_LEAF_MAX)
        return TORG_E_TOO_BIG;
    for (size_t i = 0; i < count; i++) {
        if (!rtree_item_valid(&edits[i].item))
            return TORG_E_INVALID;
    }
    while (fate == RTREE_PENDING_FULL && !err) {
        err = rtree_pending_add(tree, edits, count, &fate);
        if (!err && fate == RTREE_PENDING_FULL)
            err = rtree_apply_some(tree);
    }
    if (err || fate == RTREE_PENDING_WAIT)
        return err;
    return fate == RTREE_PENDING_NOW ? apply_now(tree, edits, count)
                                     : apply_with(tree, NULL, edits, count);
}

enum torg_err rtree_insert(struct rtree *tree, const struct rtree_item *item)
{
    const struct rtree_edit edit = {false, *item};

    return rtree_apply(tree, &edit, 1);
}

enum torg_err rtree_remove(struct rtree *tree, const struct rtree_item *item)
{
    const struct rtree_edit edit = {true, *item};

    return rtree_apply(tree, &edit, 1);
}
