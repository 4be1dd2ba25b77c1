/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <stdlib.h>

#include "index/rtree_curve.h"
#include "index/rtree_pending.h"
#include "index/rtree_room.h"
#include "index/rtree_stem.h"
#include "index/rtree_themes.h"

/*
 * A packed tree and its themes' trees. Items are sorted once, along the curve;
 * a theme's tree takes its items in the same order.
 */
struct bulk {
    struct rtree_pages pages;
    const struct rtree_item *items;
    size_t count;
    struct rtree_place *places; /* owned */
    struct rtree_slot *slots;   /* owned; in the order of the curve */
    uint32_t *members;          /* owned; slots, theme after theme */
    size_t begins[THEME_BITS + 1];
};

/* ---- the old tree ---- */

static enum torg_err keys_clear(struct kv *kv, uint8_t first_byte)
{
    struct kv_cursor *cursor;
    struct span key, value;
    uint8_t copy[RTREE_KEY_BYTES];
    enum torg_err err;

    err = kv_cursor_open(kv, KV_RTREE, &cursor);
    if (err)
        return err;
    for (;;) {
        err = kv_cursor_seek(kv, cursor, span_of(&first_byte, 1), &key, &value);
        if (err || key.size == 0 || key.data[0] != first_byte)
            break;
        if (key.size != sizeof(copy)) {
            err = TORG_E_CORRUPT;
            break;
        }
        memcpy(copy, key.data, sizeof(copy));
        err = kv_del(kv, KV_RTREE, span_of(copy, sizeof(copy)));
        if (err)
            break;
    }
    kv_cursor_close(kv, cursor);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

static enum torg_err tree_clear(struct kv *kv, uint8_t collection)
{
    enum torg_err err = keys_clear(kv, collection);

    if (!err)
        err = keys_clear(kv, collection | RTREE_COUNTS_KEY_BIT);
    return err ? err : keys_clear(kv, collection | RTREE_RECORD_KEY_BIT);
}

/* ---- items in order ---- */

/* Ties on the curve go by document, so that the same items give the same tree. */
static enum torg_err bulk_sort(struct bulk *bulk)
{
    bool ascending = true;
    enum torg_err err = TORG_OK;

    bulk->places = rtree_room(bulk->count, sizeof(*bulk->places));
    if (!bulk->places)
        return TORG_E_NOMEM;
    for (size_t i = 1; i < bulk->count && ascending; i++)
        ascending = bulk->items[i - 1].document < bulk->items[i].document;
    for (size_t i = 0; i < bulk->count; i++) {
        const struct rtree_item *item = &bulk->items[i];

        bulk->places[i] = (struct rtree_place){
            ascending ? rtree_curve_pair(item->point) : item->document, (uint32_t)i};
    }
    if (!ascending)
        err = rtree_curve_sort_numbers(bulk->places, bulk->count);
    for (size_t i = 0; i < bulk->count && !ascending && !err; i++)
        bulk->places[i].along = rtree_curve_pair(bulk->items[bulk->places[i].item].point);
    return err ? err : rtree_curve_sort(bulk->places, bulk->count);
}

#define PREFETCH_AHEAD 16

/* Items become slots, in their order; records and the dictionary are written, and themes counted.
 */
static enum torg_err items_pack(struct bulk *bulk, struct rtree_slot *slots)
{
    struct rtree_theme *themes = bulk->pages.record.themes;
    struct rtree_pages *pages = &bulk->pages;

    for (size_t i = 0; i < bulk->count; i++) {
        struct rtree_entry entry;
        enum torg_err err;

        err = rtree_item_pack(pages->kv, pages->collection, &pages->combinations, &bulk->items[i],
                              &entry);
        if (err)
            return err;
        slots[i] =
            (struct rtree_slot){entry.point, entry.child, entry.from, entry.through, entry.theme};
        for (unsigned word = 0; word < 4; word++) {
            for (uint64_t left = entry.themes.words[word]; left; left &= left - 1)
                themes[64 * word + (unsigned)__builtin_ctzll(left)].items++;
        }
    }
    return TORG_OK;
}

/* Slots in the order of the curve: a quarter of an item is moved, not all of it. */
static enum torg_err bulk_slots(struct bulk *bulk)
{
    struct rtree_slot *slots = rtree_room(bulk->count, sizeof(*slots));
    enum torg_err err = slots ? items_pack(bulk, slots) : TORG_E_NOMEM;

    bulk->slots = err ? NULL : rtree_room(bulk->count, sizeof(*bulk->slots));
    if (!bulk->slots) {
        free(slots);
        return err ? err : TORG_E_NOMEM;
    }
    for (size_t i = 0; i < bulk->count; i++) {
        if (i + PREFETCH_AHEAD < bulk->count)
            __builtin_prefetch(&slots[bulk->places[i + PREFETCH_AHEAD].item]);
        bulk->slots[i] = slots[bulk->places[i].item];
    }
    free(slots);
    return TORG_OK;
}

/* ---- trees ---- */

static enum torg_err bulk_main(struct bulk *bulk)
{
    struct rtree_root *root = &bulk->pages.record.root;
    struct rtree_entry *entries;
    size_t entry_count;
    uint32_t *order = rtree_room(bulk->count, sizeof(*order));
    unsigned level;
    enum torg_err err;

    if (!order)
        return TORG_E_NOMEM;
    for (size_t i = 0; i < bulk->count; i++)
        order[i] = (uint32_t)i;
    err = rtree_pack_slots(&bulk->pages, bulk->slots, order, bulk->count, RTREE_LEVELS_MAX - 1,
                           true, &entries, &entry_count, &level);
    free(order);
    if (err)
        return err;
    assert(entry_count == 1);
    root->root = entries[0].child;
    root->height = level + 1;
    root->items = bulk->count;
    free(entries);
    return TORG_OK;
}

static void member_add(struct bulk *bulk, size_t *ends, unsigned bit, size_t slot)
{
    if (bulk->begins[bit] != bulk->begins[bit + 1])
        bulk->members[ends[bit]++] = (uint32_t)slot;
}

/* For each theme that gets a tree: its slots, in the order of the curve. */
static enum torg_err bulk_members(struct bulk *bulk)
{
    const struct rtree_theme *themes = bulk->pages.record.themes;
    struct rtree_pages *pages = &bulk->pages;
    size_t ends[THEME_BITS], total = 0;

    for (unsigned bit = 0; bit < THEME_BITS; bit++) {
        bulk->begins[bit] = ends[bit] = total;
        total += rtree_themes_pay(themes[bit].items, bulk->count) ? themes[bit].items : 0;
    }
    bulk->begins[THEME_BITS] = total;
    bulk->members = rtree_room(total + 1, sizeof(*bulk->members));
    if (!bulk->members)
        return TORG_E_NOMEM;
    for (size_t i = 0; i < bulk->count && total > 0; i++) {
        uint16_t number = bulk->slots[i].theme;
        struct theme_set set;
        struct rtree_item item;
        enum torg_err err;

        if (number < THEME_BITS) {
            member_add(bulk, ends, number, i);
            continue;
        }
        if (number == RTREE_THEME_RECORD) {
            err = rtree_item_record(pages->kv, pages->collection, bulk->slots[i].document, &item);
            set = item.themes;
        } else {
            err = rtree_combinations_themes(&pages->combinations, pages->kv, number, &set);
        }
        if (err)
            return err;
        for (unsigned word = 0; word < 4; word++) {
            for (uint64_t left = set.words[word]; left; left &= left - 1)
                member_add(bulk, ends, 64 * word + (unsigned)__builtin_ctzll(left), i);
        }
    }
    return TORG_OK;
}

static enum torg_err bulk_themes(struct bulk *bulk)
{
    enum torg_err err = bulk_members(bulk);

    for (unsigned bit = 0; bit < THEME_BITS && !err; bit++) {
        size_t begin = bulk->begins[bit], count = bulk->begins[bit + 1] - begin;

        if (count > 0)
            err = rtree_themes_pack(&bulk->pages, bit, bulk->slots, bulk->members + begin, count);
    }
    return err;
}

static enum torg_err bulk_run(struct bulk *bulk, struct kv *kv, uint8_t collection)
{
    enum torg_err err;

    err = rtree_pages_begin(&bulk->pages, kv, collection);
    if (!err)
        err = bulk_sort(bulk);
    if (!err)
        err = bulk_slots(bulk);
    free(bulk->places);
    bulk->places = NULL;
    if (!err)
        err = bulk_main(bulk);
    if (!err)
        err = bulk_themes(bulk);
    if (!err)
        err = rtree_pages_flush(&bulk->pages);
    return err ? err : rtree_pending_clear(kv, collection);
}

enum torg_err rtree_bulk_load(struct rtree *tree, const struct rtree_item *items, size_t count)
{
    struct bulk *bulk;
    enum torg_err err;

    assert(tree->collection > 0 && tree->collection <= RTREE_COLLECTION_MAX);
    if (count > UINT32_MAX)
        return TORG_E_TOO_BIG;
    for (size_t i = 0; i < count; i++) {
        if (!rtree_item_valid(&items[i]))
            return TORG_E_INVALID;
    }
    err = tree_clear(tree->kv, tree->collection);
    if (err || count == 0)
        return err;
    bulk = calloc(1, sizeof(*bulk));
    if (!bulk)
        return TORG_E_NOMEM;
    bulk->items = items;
    bulk->count = count;
    err = bulk_run(bulk, tree->kv, tree->collection);
    rtree_pages_done(&bulk->pages);
    free(bulk->members);
    free(bulk->slots);
    free(bulk);
    return err;
}
