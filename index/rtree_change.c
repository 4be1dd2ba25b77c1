/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <stdlib.h>

#include "index/rtree_curve.h"
#include "index/rtree_pending.h"
#include "index/rtree_sweep.h"
#include "index/rtree_themes.h"

/* Growth, for which grafting is: so many inserts, and fewer removals for each. */
#define GRAFT_INSERTS_MIN 1024
#define GRAFT_REMOVED_FRACTION 4

/*
 * Edits of a collection: each goes into the main tree and into the trees of its
 * themes. A batch goes through each of these trees in one walk (rtree_sweep.h).
 */
struct change {
    struct rtree_pages pages;
    struct theme_set touched;
};

static void change_touch(struct change *change, const struct theme_set *themes)
{
    for (unsigned word = 0; word < 4; word++)
        change->touched.words[word] |= themes->words[word];
}

static enum torg_err change_finish(struct change *change)
{
    enum torg_err err = rtree_themes_settle(&change->pages, &change->touched);

    return err ? err : rtree_pages_flush(&change->pages);
}

/* ---- edits that go through the trees together ---- */

struct wave {
    struct change *change;
    const struct rtree_edit *edits;
    const struct rtree_place *removed, *inserted;
    size_t removed_count, inserted_count;
    bool grafts;
    struct rtree_entry *found, *added; /* owned: the same as the trees have them */
    struct rtree_removal *removals;    /* owned: those of one tree */
    uint32_t *inserts;                 /* owned: the same */
};

static enum torg_err wave_init(struct wave *wave)
{
    size_t removed = wave->removed_count + 1, inserted = wave->inserted_count + 1;

    wave->found = malloc(removed * sizeof(*wave->found));
    wave->removals = malloc(removed * sizeof(*wave->removals));
    wave->added = malloc(inserted * sizeof(*wave->added));
    wave->inserts = malloc(inserted * sizeof(*wave->inserts));
    return wave->found && wave->removals && wave->added && wave->inserts ? TORG_OK : TORG_E_NOMEM;
}

static void wave_done(struct wave *wave)
{
    free(wave->found);
    free(wave->removals);
    free(wave->added);
    free(wave->inserts);
}

static enum torg_err wave_pack(struct wave *wave)
{
    struct rtree_pages *pages = &wave->change->pages;
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < wave->inserted_count && !err; i++) {
        err = rtree_item_pack(pages->kv, pages->collection, &pages->combinations,
                              &wave->edits[wave->inserted[i].item].item, &wave->added[i]);
        if (!err)
            change_touch(wave->change, &wave->added[i].themes);
    }
    return err;
}

static enum torg_err wave_main(struct wave *wave)
{
    struct rtree_pages *pages = &wave->change->pages;
    struct rtree_stem stem = rtree_stem_of(pages, RTREE_STEM_MAIN);
    const struct rtree_sweep sweep = {wave->removals, wave->removed_count, wave->found,
                                      wave->added,    wave->inserts,       wave->inserted_count,
                                      wave->grafts};
    struct rtree_root *root = &pages->record.root;
    enum torg_err err;

    for (size_t i = 0; i < wave->removed_count; i++) {
        const struct rtree_item *item = &wave->edits[wave->removed[i].item].item;

        wave->removals[i] =
            (struct rtree_removal){item->min, item->max, item->point, item->document, (uint32_t)i};
    }
    for (size_t i = 0; i < wave->inserted_count; i++)
        wave->inserts[i] = (uint32_t)i;
    err = rtree_sweep(&stem, &sweep);
    if (err)
        return err;
    if (root->items < wave->removed_count)
        return TORG_E_CORRUPT;
    root->items += wave->inserted_count - wave->removed_count;
    return (root->items == 0) == (root->height == 0) ? TORG_OK : TORG_E_CORRUPT;
}

/* The same in the tree of a theme, and its number of items. */
static enum torg_err wave_theme(struct wave *wave, unsigned bit, const uint32_t *removed,
                                size_t removed_count, const uint32_t *inserted,
                                size_t inserted_count)
{
    struct rtree_pages *pages = &wave->change->pages;
    struct rtree_theme *theme = &pages->record.themes[bit];
    struct rtree_stem stem = rtree_stem_of(pages, (int)bit);
    const struct rtree_sweep sweep = {wave->removals, removed_count,  NULL,        wave->added,
                                      wave->inserts,  inserted_count, wave->grafts};
    enum torg_err err;

    if (theme->items < removed_count)
        return TORG_E_CORRUPT;
    theme->items += (uint32_t)inserted_count - (uint32_t)removed_count;
    if (theme->height == 0 || removed_count + inserted_count == 0)
        return TORG_OK;
    for (size_t i = 0; i < removed_count; i++) {
        const struct rtree_entry *entry = &wave->found[removed[i]];

        wave->removals[i] =
            (struct rtree_removal){entry->min, entry->max, entry->point, entry->child, removed[i]};
    }
    memcpy(wave->inserts, inserted, inserted_count * sizeof(*inserted));
    err = rtree_sweep(&stem, &sweep);
    return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
}

static enum torg_err wave_themes(struct wave *wave)
{
    struct rtree_members removed = {.items = NULL}, added = {.items = NULL};
    enum torg_err err = rtree_members_find(wave->found, wave->removed_count, &removed);

    if (!err)
        err = rtree_members_find(wave->added, wave->inserted_count, &added);
    for (unsigned bit = 0; bit < THEME_BITS && !err; bit++) {
        size_t out = removed.begins[bit], in = added.begins[bit];

        err = wave_theme(wave, bit, removed.items + out, removed.begins[bit + 1] - out,
                         added.items + in, added.begins[bit + 1] - in);
    }
    rtree_members_done(&removed);
    rtree_members_done(&added);
    return err;
}

/* The removed ones are in no tree any more: their records go, too. */
static enum torg_err wave_drop(struct wave *wave)
{
    struct rtree_pages *pages = &wave->change->pages;
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < wave->removed_count && !err; i++) {
        change_touch(wave->change, &wave->found[i].themes);
        err = rtree_item_drop(pages->kv, pages->collection, &wave->found[i]);
    }
    return err;
}

static enum torg_err wave_run(struct wave *wave)
{
    enum torg_err err = wave_init(wave);

    if (!err)
        err = wave_pack(wave);
    if (!err)
        err = wave_main(wave);
    if (!err)
        err = wave_themes(wave);
    if (!err)
        err = wave_drop(wave);
    wave_done(wave);
    return err;
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

/* The edits that remain of a batch. */
struct batch {
    struct change change;
    const struct rtree_edit *edits;
    struct rtree_place *places; /* owned: room for the rest */
    struct rtree_place *removed, *inserted, *late;
    size_t removed_count, inserted_count, late_count;
    bool grafts;
};

/*
 * What remains of each document's edits: the first, when it is a removal, and
 * the last, when it is an insert; what was in the tree in between never was.
 */
static enum torg_err batch_plan(struct batch *batch, size_t count)
{
    struct rtree_place *places = batch->places;
    size_t begin = 0;
    enum torg_err err = places_by_document(batch->edits, count, places);

    while (begin < count && !err) {
        const struct rtree_edit *first = &batch->edits[places[begin].item], *last = first;
        size_t end = begin + 1;

        for (; end < count && batch->edits[places[end].item].item.document == first->item.document;
             end++) {
            if (batch->edits[places[end].item].removed == last->removed)
                return TORG_E_INVALID;
            last = &batch->edits[places[end].item];
        }
        if (first->removed)
            batch->removed[batch->removed_count++] = places[begin];
        if (!last->removed)
            batch->inserted[batch->inserted_count++] =
                (struct rtree_place){rtree_curve_pair(last->item.point), places[end - 1].item};
        begin = end;
    }
    return err;
}

static enum torg_err batch_wave(struct batch *batch, size_t removed_count,
                                const struct rtree_place *inserted, size_t inserted_count)
{
    struct wave wave = {&batch->change, batch->edits,   batch->removed, inserted,
                        removed_count,  inserted_count, batch->grafts};

    return removed_count + inserted_count > 0 ? wave_run(&wave) : TORG_OK;
}

/*
 * Inserts that write a record come later than removals, for both may be of one document and
 * it has one record; and what is not found must not have written any.
 */
static enum torg_err batch_part(struct batch *batch)
{
    struct rtree_pages *pages = &batch->change.pages;
    size_t kept = 0;
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < batch->inserted_count && !err; i++) {
        struct rtree_place place = batch->inserted[i];
        bool late = false;

        err = rtree_item_recorded(pages->kv, &pages->combinations, &batch->edits[place.item].item,
                                  &late);
        if (late)
            batch->late[batch->late_count++] = place;
        else
            batch->inserted[kept++] = place;
    }
    batch->inserted_count = kept;
    return err;
}

static enum torg_err batch_run(struct batch *batch)
{
    const struct rtree_root *root = &batch->change.pages.record.root;
    enum torg_err err = TORG_OK;

    if (root->items + batch->inserted_count > UINT32_MAX)
        return TORG_E_TOO_BIG;
    batch->grafts = batch->inserted_count >= GRAFT_INSERTS_MIN &&
                    batch->removed_count < batch->inserted_count / GRAFT_REMOVED_FRACTION;
    if (batch->removed_count > 0)
        err = batch_part(batch);
    if (!err)
        err = batch_wave(batch, batch->removed_count, batch->inserted, batch->inserted_count);
    return err ? err : batch_wave(batch, 0, batch->late, batch->late_count);
}

/* All of them at once, none of which waits. */
static enum torg_err batch_apply(struct rtree *tree, const struct rtree_edit *edits, size_t count)
{
    struct batch *batch = calloc(1, sizeof(*batch));
    enum torg_err err = TORG_E_NOMEM;

    if (!batch)
        return TORG_E_NOMEM;
    batch->edits = edits;
    batch->places = calloc(4 * count + 1, sizeof(*batch->places));
    if (!batch->places)
        goto done;
    batch->removed = batch->places + count;
    batch->inserted = batch->removed + count;
    batch->late = batch->inserted + count;
    err = batch_plan(batch, count);
    if (!err)
        err = rtree_curve_sort(batch->inserted, batch->inserted_count);
    if (!err)
        err = rtree_pages_begin(&batch->change.pages, tree->kv, tree->collection);
    if (!err)
        err = batch_run(batch);
    if (!err)
        err = change_finish(&batch->change);
done:
    rtree_pages_done(&batch->change.pages);
    free(batch->places);
    free(batch);
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
