/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdlib.h>
#include <string.h>

#include "index/query_plan.h"

/*
 * Counts by a number that stands for a value: an origin's number, or the bytes
 * of a municipality's code. An open hash; slots hold 1 + the entry's place.
 */
struct tally_entry {
    uint64_t key;
    uint64_t count;
};

struct tally {
    struct tally_entry *entries;
    size_t count;
    size_t capacity; /* a power of two or 0; there are twice as many slots */
    uint32_t *slots;
};

static size_t tally_slot(const struct tally *tally, uint64_t key)
{
    size_t mask = 2 * tally->capacity - 1;
    size_t slot = (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) & mask;

    while (tally->slots[slot] && tally->entries[tally->slots[slot] - 1].key != key)
        slot = (slot + 1) & mask;
    return slot;
}

static enum torg_err tally_grow(struct tally *tally)
{
    size_t capacity = tally->capacity ? 2 * tally->capacity : 64;
    struct tally_entry *entries = realloc(tally->entries, capacity * sizeof(*entries));
    uint32_t *slots;

    if (!entries)
        return TORG_E_NOMEM;
    tally->entries = entries;
    slots = calloc(2 * capacity, sizeof(*slots));
    if (!slots)
        return TORG_E_NOMEM;
    free(tally->slots);
    tally->slots = slots;
    tally->capacity = capacity;
    for (size_t i = 0; i < tally->count; i++)
        tally->slots[tally_slot(tally, tally->entries[i].key)] = (uint32_t)(i + 1);
    return TORG_OK;
}

static enum torg_err tally_add(struct tally *tally, uint64_t key, uint64_t count)
{
    size_t slot;
    enum torg_err err;

    if (tally->count == tally->capacity) {
        err = tally_grow(tally);
        if (err)
            return err;
    }
    slot = tally_slot(tally, key);
    if (!tally->slots[slot]) {
        tally->entries[tally->count] = (struct tally_entry){.key = key};
        tally->slots[slot] = (uint32_t)++tally->count;
    }
    tally->entries[tally->slots[slot] - 1].count += count;
    return TORG_OK;
}

/* Most first, then by key: codes are big-endian in their keys, so by code. */
static int tally_compare(const void *a, const void *b)
{
    const struct tally_entry *left = a;
    const struct tally_entry *right = b;

    if (left->count != right->count)
        return left->count > right->count ? -1 : 1;
    return (left->key > right->key) - (left->key < right->key);
}

static void tally_sort(struct tally *tally)
{
    if (tally->count > 1)
        qsort(tally->entries, tally->count, sizeof(*tally->entries), tally_compare);
}

static void tally_done(struct tally *tally)
{
    free(tally->entries);
    free(tally->slots);
}

/* ---- counting ---- */

struct count {
    unsigned facets; /* those that the rows of this part are asked for */
    struct query_facets *out;
    struct tally origins;
    struct tally municipalities;
};

/* A row carries the bits of its themes and of all broader ones, each once. */
static void count_themes(struct count *count, const struct catalogue_row *row)
{
    for (size_t i = 0; i < row->theme_bits.size; i++)
        count->out->themes[row->theme_bits.data[i]]++;
}

static enum torg_err count_municipality(struct count *count, struct span code)
{
    uint8_t bytes[8] = {0};

    if (code.size == 0)
        return TORG_OK;
    if (code.size >= sizeof(bytes))
        return TORG_E_CORRUPT; /* Rows hold at most seven. */
    memcpy(bytes, code.data, code.size);
    return tally_add(&count->municipalities, get_u64be(bytes), 1);
}

static enum torg_err count_visit(void *context, uint32_t number, const struct catalogue_row *row)
{
    struct count *count = context;
    enum torg_err err = TORG_OK;

    (void)number;
    if (count->facets & QUERY_FACET_THEME)
        count_themes(count, row);
    if (count->facets & QUERY_FACET_COLLECTION)
        count->out->collections[row->collection]++;
    if (count->facets & QUERY_FACET_ORIGIN)
        err = tally_add(&count->origins, row->origin_number, 1);
    if (!err && count->facets & QUERY_FACET_MUNICIPALITY)
        err = count_municipality(count, row->municipality);
    return err;
}

/* The tree knows how many of each theme there are below a node: no row is read. */
static enum torg_err count_themes_by_tree(struct count *count, struct query_plan *plan,
                                          const struct query_part *part)
{
    struct rtree_query tree = query_plan_tree(plan, part);
    uint64_t themes[THEME_BITS];
    struct rtree_work work = {0};
    enum torg_err err;

    err = rtree_theme_counts(plan->kv, catalogue_tree(part->collection, part->placed), &tree,
                             themes, &work);
    for (size_t bit = 0; !err && bit < THEME_BITS; bit++)
        count->out->themes[bit] += themes[bit];
    return err ? err : query_plan_walked(plan, &work);
}

/* Where the tree's counts are the answer, no row is asked for collection and theme. */
static enum torg_err count_part(struct count *count, struct query_plan *plan,
                                const struct query_part *part, unsigned facets)
{
    enum query_driver driver;
    enum torg_err err = TORG_OK;

    count->facets = facets;
    if (query_plan_counted(plan, part)) {
        if (facets & QUERY_FACET_COLLECTION)
            count->out->collections[part->collection] += part->by_tree;
        if (facets & QUERY_FACET_THEME)
            err = count_themes_by_tree(count, plan, part);
        count->facets &= ~(unsigned)(QUERY_FACET_COLLECTION | QUERY_FACET_THEME);
    }
    if (err || !count->facets)
        return err;
    return query_each(plan, part, true, count_visit, count, &driver);
}

static enum torg_err put_origins(struct tally *tally, struct query_facets *out)
{
    tally_sort(tally);
    out->origins = calloc(tally->count + 1, sizeof(*out->origins));
    if (!out->origins)
        return TORG_E_NOMEM;
    for (size_t i = 0; i < tally->count; i++) {
        out->origins[i].number = (uint32_t)tally->entries[i].key;
        out->origins[i].count = tally->entries[i].count;
    }
    out->origin_count = tally->count;
    return TORG_OK;
}

static enum torg_err put_municipalities(struct tally *tally, struct query_facets *out)
{
    tally_sort(tally);
    out->municipalities = calloc(tally->count + 1, sizeof(*out->municipalities));
    if (!out->municipalities)
        return TORG_E_NOMEM;
    for (size_t i = 0; i < tally->count; i++) {
        put_u64be((uint8_t *)out->municipalities[i].code, tally->entries[i].key);
        out->municipalities[i].count = tally->entries[i].count;
    }
    out->municipality_count = tally->count;
    return TORG_OK;
}

enum torg_err query_facets_get(const struct kv *kv, const struct theme_tree *themes,
                               const struct query *query, unsigned facets,
                               struct query_facets *ret_facets)
{
    struct query_facets out = {.origins = NULL};
    struct count count = {.out = &out};
    struct query_plan plan;
    enum torg_err err;

    err = query_plan_init(&plan, kv, themes, query);
    if (err)
        return err;
    for (size_t i = 0; i < plan.part_count && !err; i++)
        err = count_part(&count, &plan, &plan.parts[i], facets);
    if (!err)
        err = put_origins(&count.origins, &out);
    if (!err)
        err = put_municipalities(&count.municipalities, &out);
    if (!err)
        *ret_facets = out;
    else
        query_facets_done(&out);
    tally_done(&count.origins);
    tally_done(&count.municipalities);
    query_plan_done(&plan);
    return err;
}

void query_facets_done(struct query_facets *facets)
{
    free(facets->origins);
    free(facets->municipalities);
    *facets = (struct query_facets){.origins = NULL};
}

enum torg_err query_theme_counts(const struct kv *kv, const struct theme_tree *themes,
                                 const struct query *query, uint64_t counts[THEME_BITS])
{
    struct query_facets facets;
    enum torg_err err;

    err = query_facets_get(kv, themes, query, QUERY_FACET_THEME, &facets);
    if (err)
        return err;
    memcpy(counts, facets.themes, sizeof(facets.themes));
    query_facets_done(&facets);
    return TORG_OK;
}
