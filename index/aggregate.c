/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/aggregate.h"

#include <stdlib.h>
#include <string.h>

#include "index/query_plan.h"

/* Cells by an open hash of their names; slots hold 1 + the cell's place, 0 when free. */
struct tally {
    unsigned by;
    struct aggregate_cell *cells;
    size_t count;
    size_t capacity;
    uint32_t *slots;
    size_t slot_count; /* a power of two, more than twice count */
    uint64_t needs;
};

/* FNV-1a, 64 bits: names come from signed listings, and a slow table is all that they could do. */
static uint64_t name_hash(uint64_t hash, const char *name)
{
    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
    return (hash ^ 0xff) * UINT64_C(0x100000001b3);
}

static uint64_t cell_hash(const struct aggregate_cell *cell)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    hash = name_hash(hash, cell->theme);
    hash = name_hash(hash, cell->area);
    return name_hash(hash, cell->municipality);
}

static int cell_names_compare(const struct aggregate_cell *a, const struct aggregate_cell *b)
{
    int order = strcmp(a->theme, b->theme);

    if (!order)
        order = strcmp(a->area, b->area);
    return order ? order : strcmp(a->municipality, b->municipality);
}

static int cell_compare(const void *a, const void *b)
{
    const struct aggregate_cell *left = a;
    const struct aggregate_cell *right = b;

    if (left->needs != right->needs)
        return left->needs > right->needs ? -1 : 1;
    return cell_names_compare(left, right);
}

static size_t tally_slot(const struct tally *tally, const struct aggregate_cell *cell)
{
    size_t slot = cell_hash(cell) & (tally->slot_count - 1);

    while (tally->slots[slot] &&
           cell_names_compare(&tally->cells[tally->slots[slot] - 1], cell) != 0)
        slot = (slot + 1) & (tally->slot_count - 1);
    return slot;
}

static enum torg_err tally_grow(struct tally *tally)
{
    size_t capacity = tally->capacity ? 2 * tally->capacity : 64;
    struct aggregate_cell *cells;
    uint32_t *slots;

    cells = realloc(tally->cells, capacity * sizeof(*cells));
    if (!cells)
        return TORG_E_NOMEM;
    tally->cells = cells;
    tally->capacity = capacity;
    slots = calloc(4 * capacity, sizeof(*slots));
    if (!slots)
        return TORG_E_NOMEM;
    free(tally->slots);
    tally->slots = slots;
    tally->slot_count = 4 * capacity;
    for (size_t i = 0; i < tally->count; i++)
        tally->slots[tally_slot(tally, &tally->cells[i])] = (uint32_t)(i + 1);
    return TORG_OK;
}

static enum torg_err tally_add(struct tally *tally, const struct aggregate_cell *names,
                               const struct catalogue_row *need)
{
    struct aggregate_cell *cell;
    size_t slot;
    enum torg_err err;

    if (tally->count == tally->capacity) {
        err = tally_grow(tally);
        if (err)
            return err;
    }
    slot = tally_slot(tally, names);
    if (!tally->slots[slot]) {
        tally->cells[tally->count] = *names;
        tally->slots[slot] = (uint32_t)++tally->count;
    }
    cell = &tally->cells[tally->slots[slot] - 1];
    cell->needs++;
    cell->people += need->people;
    cell->askers[need->asker]++;
    return TORG_OK;
}

static void name_copy(char *out, size_t out_size, struct span name)
{
    size_t size = name.size < out_size ? name.size : out_size - 1;

    if (size)
        memcpy(out, name.data, size);
    out[size] = '\0';
}

/* The next of a row's slugs; false after the last. */
static bool slug_next(struct span *left, struct span *ret_slug)
{
    const uint8_t *end = left->size ? memchr(left->data, 0, left->size) : NULL;

    if (!end)
        return false;
    *ret_slug = span_of(left->data, (size_t)(end - left->data));
    *left = span_of(end + 1, left->size - ret_slug->size - 1);
    return true;
}

/* A slug that stands twice in a listing is one theme of it. */
static bool slug_seen(const struct catalogue_row *row, struct span slug)
{
    struct span left = row->themes_text;
    struct span other;

    while (slug_next(&left, &other) && other.data != slug.data) {
        if (span_equal(other, slug))
            return true;
    }
    return false;
}

static enum torg_err tally_visit(void *context, uint32_t number, const struct catalogue_row *row)
{
    struct tally *tally = context;
    struct aggregate_cell names = {{0}};
    struct span left = row->themes_text;
    struct span slug;
    enum torg_err err = TORG_OK;

    (void)number;
    tally->needs++;
    if (tally->by & AGGREGATE_BY_AREA)
        name_copy(names.area, sizeof(names.area), row->area);
    if (tally->by & AGGREGATE_BY_MUNICIPALITY)
        name_copy(names.municipality, sizeof(names.municipality), row->municipality);
    if (!(tally->by & AGGREGATE_BY_THEME) || left.size == 0)
        return tally_add(tally, &names, row);
    while (!err && slug_next(&left, &slug)) {
        if (slug_seen(row, slug))
            continue;
        name_copy(names.theme, sizeof(names.theme), slug);
        err = tally_add(tally, &names, row);
    }
    return err;
}

enum torg_err aggregate_competence_needs(const struct kv *kv, const struct theme_tree *themes,
                                         const struct query *query, unsigned by,
                                         struct aggregate_table *ret_table)
{
    struct query needs = *query;
    struct query_plan plan;
    struct tally tally = {.by = by};
    enum torg_err err;

    needs.collections = UINT32_C(1) << COLLECTION_NEEDS;
    needs.limit = needs.offset = 0;
    needs.has_cursor = false;
    err = query_plan_init(&plan, kv, themes, &needs, 0);
    if (err)
        return err;
    err = query_each_part(&plan, tally_visit, &tally);
    if (!err) {
        if (tally.count > 1)
            qsort(tally.cells, tally.count, sizeof(*tally.cells), cell_compare);
        *ret_table = (struct aggregate_table){
            .cells = tally.cells,
            .count = tally.count,
            .needs = tally.needs,
        };
        tally.cells = NULL;
    }
    free(tally.cells);
    free(tally.slots);
    query_plan_done(&plan);
    return err;
}

void aggregate_table_done(struct aggregate_table *table)
{
    free(table->cells);
    *table = (struct aggregate_table){0};
}
