/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/aggregate.h"

#include <stdlib.h>
#include <string.h>

#include "index/query_plan.h"
#include "protocol/profile.h"
#include "protocol/seal.h"

enum asker { ASKER_COMPANY, ASKER_MUNICIPALITY, ASKER_ASSOCIATION, ASKER_NOT_STATED };

/* Cells by an open hash of their names; slots hold 1 + the cell's place, 0 when free. */
struct tally {
    struct query_plan *plan;
    unsigned by;
    struct aggregate_cell *cells;
    size_t count;
    size_t capacity;
    uint32_t *slots;
    size_t slot_count; /* a power of two, more than twice count */
    uint64_t needs;
};

/* What a need adds to each of its cells. */
struct need {
    struct listing_fields fields;
    uint64_t people;
    enum asker asker;
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
                               const struct need *need)
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

/* The one property that counts here and that no query compares. */
static uint64_t body_people(struct span body)
{
    struct profile_reader in = profile_reader_of(body);
    uint32_t count = profile_map(&in);

    for (uint32_t i = 0; i < count && !in.in.err; i++) {
        if (!span_equal(profile_str(&in, SIZE_MAX), span_of_str("people"))) {
            profile_skip(&in);
            continue;
        }
        return profile_uint(&in, INTEGER_MAX);
    }
    return 0;
}

static enum asker asker_of(struct span asker)
{
    if (span_equal(asker, span_of_str("company")))
        return ASKER_COMPANY;
    if (span_equal(asker, span_of_str("municipality")))
        return ASKER_MUNICIPALITY;
    if (span_equal(asker, span_of_str("association")))
        return ASKER_ASSOCIATION;
    return ASKER_NOT_STATED;
}

static enum torg_err need_read(const struct kv *kv, const struct catalogue_row *row,
                               struct need *ret_need)
{
    struct catalogue_record record;
    struct listing_key key;
    struct payload payload;
    struct span header, packed;
    enum torg_err err;

    err = catalogue_record_get(kv, row->number, &record);
    if (err)
        return TORG_E_CORRUPT;
    key = listing_key_of(&record.id);
    err = replica_listing_get(kv, record.origin_number, record.collection, &key, &header, &packed);
    if (!err)
        err = payload_parse(packed, &payload);
    if (!err)
        err = listing_fields_read(record.collection, payload.body, &ret_need->fields);
    if (err)
        return err == TORG_E_NOMEM ? err : TORG_E_CORRUPT;
    ret_need->people = body_people(payload.body);
    ret_need->asker = asker_of(ret_need->fields.asker);
    return TORG_OK;
}

/* A slug that stands twice in a listing is one theme of it. */
static bool slug_seen(const struct listing_fields *fields, size_t i)
{
    for (size_t j = 0; j < i; j++) {
        if (span_equal(fields->themes[j], fields->themes[i]))
            return true;
    }
    return false;
}

static enum torg_err tally_visit(void *context, const struct query_match *match)
{
    struct tally *tally = context;
    struct aggregate_cell names = {{0}};
    struct need need;
    enum torg_err err;

    err = need_read(tally->plan->kv, match->row, &need);
    if (err)
        return err;
    tally->needs++;
    if (tally->by & AGGREGATE_BY_AREA)
        name_copy(names.area, sizeof(names.area), need.fields.area);
    if (tally->by & AGGREGATE_BY_MUNICIPALITY)
        name_copy(names.municipality, sizeof(names.municipality), need.fields.municipality);
    if (!(tally->by & AGGREGATE_BY_THEME) || need.fields.theme_count == 0)
        return tally_add(tally, &names, &need);
    for (size_t i = 0; i < need.fields.theme_count && !err; i++) {
        if (slug_seen(&need.fields, i))
            continue;
        name_copy(names.theme, sizeof(names.theme), need.fields.themes[i]);
        err = tally_add(tally, &names, &need);
    }
    return err;
}

enum torg_err aggregate_competence_needs(const struct kv *kv, const struct theme_tree *themes,
                                         const struct query *query, unsigned by,
                                         struct aggregate_table *ret_table)
{
    struct query needs = *query;
    struct query_plan plan;
    struct tally tally = {.plan = &plan, .by = by};
    enum query_driver driver;
    uint64_t estimate;
    enum torg_err err;

    needs.collections = UINT32_C(1) << COLLECTION_NEEDS;
    needs.limit = needs.offset = 0;
    needs.has_cursor = false;
    err = query_plan_init(&plan, kv, themes, &needs);
    if (err)
        return err;
    err = query_plan_driver(&plan, true, &driver, &estimate);
    if (!err)
        err = query_plan_each(&plan, driver, QUERY_EACH_ROWS, tally_visit, &tally);
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
