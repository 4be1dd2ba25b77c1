/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_graft.h"

#include <stdlib.h>

#include "index/rtree_curve.h"
#include "index/rtree_pack.h"
#include "index/rtree_stem.h"

/* With fewer items than half a leaf's, a node would only get thin leaves. */
#define GRAFT_LEAF_MIN (RTREE_LEAF_MAX / 2)

struct graft {
    struct rtree_pages *pages;
    const struct rtree_entry *entries;
    size_t count;
    struct rtree_slot *slots;   /* owned: the same items */
    struct rtree_place *places; /* owned: room to sort them by node */
    uint32_t *order;            /* owned: those of one tree */
    uint32_t *members;          /* owned: all, theme after theme */
    size_t begins[THEME_BITS + 1];
};

/* ---- one tree ---- */

static enum torg_err room_make(struct graft *graft)
{
    return rtree_pages_full(graft->pages) ? rtree_pages_flush(graft->pages) : TORG_OK;
}

/* Each for itself. */
static enum torg_err items_insert(struct graft *graft, struct rtree_stem *stem,
                                  const uint32_t *order, size_t count)
{
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < count && !err; i++) {
        err = room_make(graft);
        if (!err)
            err = rtree_stem_insert(stem, &graft->entries[order[i]]);
    }
    return err;
}

static enum torg_err leaves_adopt(struct graft *graft, struct rtree_stem *stem, uint32_t *order,
                                  size_t count)
{
    struct rtree_entry *leaves;
    size_t leaf_count;
    unsigned level;
    enum torg_err err;

    err = rtree_pack_slots(graft->pages, graft->slots, order, count, 0, false, &leaves, &leaf_count,
                           &level);
    if (err)
        return err;
    for (size_t i = 0; i < leaf_count && !err; i++) {
        err = room_make(graft);
        if (!err)
            err = rtree_stem_adopt(stem, &leaves[i]);
    }
    free(leaves);
    return err;
}

/* By node, and below one along the curve as before. */
static enum torg_err items_group(struct graft *graft, struct rtree_stem *stem,
                                 const uint32_t *items, size_t count)
{
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < count && !err; i++) {
        uint32_t number;

        err = rtree_stem_choose(stem, &graft->entries[items[i]], &number);
        if (!err)
            graft->places[i] = (struct rtree_place){number, items[i]};
    }
    return err ? err : rtree_curve_sort_numbers(graft->places, count);
}

static enum torg_err tree_graft(struct graft *graft, int theme, const uint32_t *items, size_t count)
{
    struct rtree_stem stem = rtree_stem_of(graft->pages, theme);
    enum torg_err err;

    if (count < GRAFT_LEAF_MIN || *stem.height < 2)
        return items_insert(graft, &stem, items, count);
    err = items_group(graft, &stem, items, count);
    for (size_t i = 0; i < count && !err; i++)
        graft->order[i] = graft->places[i].item;
    for (size_t begin = 0; begin < count && !err;) {
        size_t end = begin + 1;

        while (end < count && graft->places[end].along == graft->places[begin].along)
            end++;
        if (end - begin < GRAFT_LEAF_MIN)
            err = items_insert(graft, &stem, graft->order + begin, end - begin);
        else
            err = leaves_adopt(graft, &stem, graft->order + begin, end - begin);
        begin = end;
    }
    return err;
}

/* ---- all of them ---- */

static void slots_fill(struct graft *graft)
{
    for (size_t i = 0; i < graft->count; i++) {
        const struct rtree_entry *entry = &graft->entries[i];

        graft->slots[i] = (struct rtree_slot){entry->point, entry->child, entry->from,
                                              entry->through, entry->theme};
        graft->members[i] = (uint32_t)i;
    }
}

static enum torg_err graft_init(struct graft *graft)
{
    size_t count = graft->count;

    graft->slots = malloc(count * sizeof(*graft->slots));
    graft->places = malloc(count * sizeof(*graft->places));
    graft->order = malloc(count * sizeof(*graft->order));
    graft->members = calloc(count + 1, sizeof(*graft->members));
    if (!graft->slots || !graft->places || !graft->order || !graft->members)
        return TORG_E_NOMEM;
    slots_fill(graft);
    return TORG_OK;
}

static void graft_done(struct graft *graft)
{
    free(graft->slots);
    free(graft->places);
    free(graft->order);
    free(graft->members);
}

/* The items of each theme, which are counted with it. */
static enum torg_err members_find(struct graft *graft)
{
    struct rtree_theme *themes = graft->pages->record.themes;
    size_t counts[THEME_BITS] = {0}, total = 0;
    uint32_t *members;

    for (size_t i = 0; i < graft->count; i++)
        for (unsigned word = 0; word < 4; word++)
            for (uint64_t left = graft->entries[i].themes.words[word]; left; left &= left - 1)
                counts[64 * word + (unsigned)__builtin_ctzll(left)]++;
    for (unsigned bit = 0; bit < THEME_BITS; bit++) {
        graft->begins[bit] = total;
        total += counts[bit];
        themes[bit].items += (uint32_t)counts[bit];
        counts[bit] = graft->begins[bit];
    }
    graft->begins[THEME_BITS] = total;
    members = realloc(graft->members, (total + 1) * sizeof(*members));
    if (!members)
        return TORG_E_NOMEM;
    graft->members = members;
    for (size_t i = 0; i < graft->count; i++)
        for (unsigned word = 0; word < 4; word++)
            for (uint64_t left = graft->entries[i].themes.words[word]; left; left &= left - 1)
                members[counts[64 * word + (unsigned)__builtin_ctzll(left)]++] = (uint32_t)i;
    return TORG_OK;
}

enum torg_err rtree_graft(struct rtree_pages *pages, const struct rtree_entry *entries,
                          size_t count)
{
    struct graft graft = {.pages = pages, .entries = entries, .count = count};
    enum torg_err err = graft_init(&graft);

    if (!err)
        err = tree_graft(&graft, RTREE_STEM_MAIN, graft.members, count);
    if (!err)
        err = members_find(&graft);
    for (unsigned bit = 0; bit < THEME_BITS && !err; bit++) {
        size_t begin = graft.begins[bit], of_theme = graft.begins[bit + 1] - begin;

        if (of_theme > 0 && pages->record.themes[bit].height > 0)
            err = tree_graft(&graft, (int)bit, graft.members + begin, of_theme);
    }
    graft_done(&graft);
    return err;
}
