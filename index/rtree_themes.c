/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_themes.h"

#include <assert.h>
#include <stdlib.h>

#include "index/rtree_curve.h"
#include "index/rtree_stem.h"

/* ---- members ---- */

enum torg_err rtree_members_find(const struct rtree_entry *entries, size_t count,
                                 struct rtree_members *ret_members)
{
    size_t ends[THEME_BITS] = {0}, total = 0;
    uint32_t *items;

    for (size_t i = 0; i < count; i++)
        for (unsigned word = 0; word < 4; word++)
            for (uint64_t left = entries[i].themes.words[word]; left; left &= left - 1)
                ends[64 * word + (unsigned)__builtin_ctzll(left)]++;
    for (unsigned bit = 0; bit < THEME_BITS; bit++) {
        ret_members->begins[bit] = total;
        total += ends[bit];
        ends[bit] = ret_members->begins[bit];
    }
    ret_members->begins[THEME_BITS] = total;
    items = malloc((total + 1) * sizeof(*items));
    if (!items)
        return TORG_E_NOMEM;
    for (size_t i = 0; i < count; i++)
        for (unsigned word = 0; word < 4; word++)
            for (uint64_t left = entries[i].themes.words[word]; left; left &= left - 1)
                items[ends[64 * word + (unsigned)__builtin_ctzll(left)]++] = (uint32_t)i;
    ret_members->items = items;
    return TORG_OK;
}

void rtree_members_done(struct rtree_members *members)
{
    free(members->items);
    members->items = NULL;
}

/* ---- items of subtrees ---- */

void rtree_gather_done(struct rtree_gather *gather)
{
    free(gather->slots);
    *gather = (struct rtree_gather){0};
}

static enum torg_err gather_grow(struct rtree_gather *gather)
{
    size_t capacity = gather->capacity ? 2 * gather->capacity : 4096;
    struct rtree_slot *slots = realloc(gather->slots, capacity * sizeof(*slots));

    if (!slots)
        return TORG_E_NOMEM;
    gather->slots = slots;
    gather->capacity = capacity;
    return TORG_OK;
}

static enum torg_err gather_leaf(struct rtree_gather *gather, struct rtree_pages *pages,
                                 const struct rtree_node *leaf, int bit)
{
    for (unsigned i = 0; i < leaf->count; i++) {
        struct rtree_slot slot = {
            .point = rtree_node_point(leaf, i),
            .document = rtree_node_u32(leaf->document, i),
            .from = rtree_node_u32(leaf->from, i),
            .through = rtree_node_u32(leaf->through, i),
            .theme = rtree_node_u16(leaf->theme, i),
        };
        enum torg_err err = TORG_OK;

        if (bit != RTREE_STEM_MAIN && slot.theme != bit) {
            struct rtree_entry entry;

            if (slot.theme <= RTREE_THEME_NONE)
                continue;
            err = rtree_item_entry(pages->kv, pages->collection, &pages->combinations, leaf, i,
                                   &entry);
            if (!err && !theme_set_has(&entry.themes, (unsigned)bit))
                continue;
        }
        if (!err && gather->count == gather->capacity)
            err = gather_grow(gather);
        if (err)
            return err;
        gather->slots[gather->count++] = slot;
    }
    return TORG_OK;
}

enum torg_err rtree_gather_below(struct rtree_gather *gather, struct rtree_pages *pages,
                                 uint32_t number, unsigned level, int bit)
{
    struct rtree_node node;
    enum torg_err err;

    err = rtree_pages_view(pages, number, level, &node);
    if (err)
        return err;
    if (level == 0)
        return gather_leaf(gather, pages, &node, bit);
    for (unsigned i = 0; i < node.count && !err; i++) {
        struct theme_set themes = rtree_node_themes(node.themes, i);

        if (bit == RTREE_STEM_MAIN || theme_set_has(&themes, (unsigned)bit))
            err = rtree_gather_below(gather, pages, rtree_node_u32(node.child, i), level - 1, bit);
        if (!err && gather->count > pages->record.root.items)
            err = TORG_E_CORRUPT; /* Damage may lead to a node many times. */
    }
    return err;
}

enum torg_err rtree_gather_order(const struct rtree_gather *gather, uint32_t **ret_order)
{
    struct rtree_place *places = calloc(gather->count + 1, sizeof(*places));
    uint32_t *order = calloc(gather->count + 1, sizeof(*order));
    enum torg_err err = TORG_E_NOMEM;

    if (places && order) {
        for (size_t i = 0; i < gather->count; i++)
            places[i] = (struct rtree_place){gather->slots[i].document, (uint32_t)i};
        err = rtree_curve_sort_numbers(places, gather->count);
    }
    if (!err) {
        for (size_t i = 0; i < gather->count; i++)
            places[i].along = rtree_curve_pair(gather->slots[places[i].item].point);
        err = rtree_curve_sort(places, gather->count);
    }
    for (size_t i = 0; i < gather->count && !err; i++)
        order[i] = places[i].item;
    free(places);
    if (err) {
        free(order);
        return err;
    }
    *ret_order = order;
    return TORG_OK;
}

/* ---- trees of themes ---- */

enum torg_err rtree_themes_pack(struct rtree_pages *pages, unsigned bit,
                                const struct rtree_slot *slots, uint32_t *order, size_t count)
{
    struct rtree_theme *theme = &pages->record.themes[bit];
    struct rtree_entry *entries;
    size_t entry_count;
    unsigned level;
    enum torg_err err;

    err = rtree_pack_slots(pages, slots, order, count, RTREE_LEVELS_MAX - 1, false, &entries,
                           &entry_count, &level);
    if (err)
        return err;
    assert(entry_count == 1);
    theme->root = entries[0].child;
    theme->height = level + 1;
    theme->edits = 0;
    free(entries);
    return TORG_OK;
}

static enum torg_err theme_build(struct rtree_pages *pages, unsigned bit)
{
    const struct rtree_root *root = &pages->record.root;
    struct rtree_gather gather = {0};
    uint32_t *order = NULL;
    enum torg_err err;

    err = rtree_gather_below(&gather, pages, root->root, root->height - 1, (int)bit);
    if (!err && gather.count != pages->record.themes[bit].items)
        err = TORG_E_CORRUPT;
    if (!err)
        err = rtree_gather_order(&gather, &order);
    if (!err)
        err = rtree_themes_pack(pages, bit, gather.slots, order, gather.count);
    free(order);
    rtree_gather_done(&gather);
    return err;
}

static enum torg_err theme_settle(struct rtree_pages *pages, unsigned bit)
{
    const struct rtree_theme *theme = &pages->record.themes[bit];
    uint64_t all = pages->record.root.items;

    if (theme->height > 0) {
        struct rtree_stem stem = rtree_stem_of(pages, (int)bit);

        if (theme->items >= RTREE_THEMES_DROP && theme->items <= all / 4 * 3)
            return TORG_OK;
        return rtree_stem_clear(&stem);
    }
    if (!rtree_themes_pay(theme->items, all) || theme->items > RTREE_THEMES_BUILD_MAX)
        return TORG_OK;
    return theme_build(pages, bit);
}

enum torg_err rtree_themes_settle(struct rtree_pages *pages, const struct theme_set *touched)
{
    enum torg_err err = TORG_OK;

    for (unsigned word = 0; word < 4 && !err; word++) {
        for (uint64_t left = touched->words[word]; left && !err; left &= left - 1)
            err = theme_settle(pages, 64 * word + (unsigned)__builtin_ctzll(left));
    }
    return err;
}
