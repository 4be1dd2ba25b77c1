/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/query_sort.h"

#include <stdlib.h>
#include <string.h>

#include "index/filter_internal.h"
#include "index/query_plan.h"
#include "protocol/collate.h"
#include "protocol/num.h"

#define PRESENT 1
#define ABSENT 255
#define WORK_HITS 32 /* what reading a feature costs beside its row, in hits of a tree */

struct entry {
    struct query_sort_key key;
    uint32_t number;
};

struct query_sorter {
    const struct query_sort *sort;
    struct filter_path paths[QUERY_SORT_KEYS_MAX];
    uint32_t offset, limit;
    size_t max; /* offset, limit and one more */
    size_t count, capacity;
    struct entry *heap; /* the last in order on top */
    struct buffer key, scratch;
};

/* ---- keys ---- */

static void put_double(struct buffer *out, double value)
{
    uint64_t bits;

    value += 0.0; /* -0 is 0 */
    memcpy(&bits, &value, sizeof(bits));
    buffer_put_u64be(out, bits >> 63 ? ~bits : bits | UINT64_C(1) << 63);
}

/* False: it has no value of that type. */
static bool put_value(struct query_sorter *sorter, enum cql2_type type, struct span json)
{
    struct buffer *out = &sorter->key;
    struct cql2_instant instant;
    struct span text;
    double number;

    switch (type) {
    case CQL2_BOOLEAN:
        buffer_put_u8(out, span_equal(json, span_of_str("true")));
        return true;
    case CQL2_NUMBER:
        if (num_parse_double(json, &number))
            return false;
        put_double(out, number);
        return true;
    case CQL2_STRING:
        if (!filter_json_string(json, &sorter->scratch, &text))
            return false;
        collate_put(out, text, QUERY_SORT_WEIGHTS_MAX);
        buffer_put_u8(out, 0);
        return true;
    default:
        if (!filter_json_string(json, &sorter->scratch, &text) ||
            !filter_time(type, text, &instant))
            return false;
        buffer_put_u64be(out, (uint64_t)instant.from_ms + (UINT64_C(1) << 63));
        return true;
    }
}

static enum torg_err make_key(struct query_sorter *sorter, struct span feature)
{
    const struct query_sort *sort = sorter->sort;
    struct span found[QUERY_SORT_KEYS_MAX];
    struct buffer *key = &sorter->key;
    enum torg_err err = filter_json_find(feature, sorter->paths, sort->count, found);

    buffer_clear(key);
    for (size_t i = 0; i < sort->count && !err; i++) {
        size_t at = key->size;

        buffer_put_u8(key, PRESENT);
        if (!found[i].size || !put_value(sorter, sort->by[i].type, found[i])) {
            key->size = key->err ? key->size : at;
            buffer_put_u8(key, ABSENT);
        }
        err = key->err;
        for (size_t j = at + 1; sort->by[i].descending && j < key->size && !err; j++)
            key->data[j] = (uint8_t)~key->data[j];
    }
    return err;
}

static int entry_order(const struct entry *entry, struct span key, uint32_t number)
{
    int order = span_compare(span_of(entry->key.bytes, entry->key.size), key);

    return order ? order : (entry->number > number) - (entry->number < number);
}

static int entry_compare(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;

    return entry_order(left, span_of(right->key.bytes, right->key.size), right->number);
}

/* ---- the heap ---- */

static void entry_swap(struct entry *a, struct entry *b)
{
    struct entry swap = *a;

    *a = *b;
    *b = swap;
}

static void heap_up(struct entry *heap, size_t i)
{
    while (i > 0 && entry_compare(&heap[i], &heap[(i - 1) / 2]) > 0) {
        entry_swap(&heap[i], &heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
}

static void heap_down(struct entry *heap, size_t count)
{
    size_t i = 0, child;

    while ((child = 2 * i + 1) < count) {
        if (child + 1 < count && entry_compare(&heap[child + 1], &heap[child]) > 0)
            child++;
        if (entry_compare(&heap[i], &heap[child]) >= 0)
            return;
        entry_swap(&heap[i], &heap[child]);
        i = child;
    }
}

static enum torg_err heap_room(struct query_sorter *sorter)
{
    size_t capacity = sorter->capacity ? 2 * sorter->capacity : 64;
    struct entry *heap;

    if (sorter->count < sorter->capacity)
        return TORG_OK;
    heap = realloc(sorter->heap, capacity * sizeof(*heap));
    if (!heap)
        return TORG_E_NOMEM;
    sorter->heap = heap;
    sorter->capacity = capacity;
    return TORG_OK;
}

static bool after_cursor(const struct query_sort *sort, struct span key, uint32_t number)
{
    int order = span_compare(key, span_of(sort->after.bytes, sort->after.size));

    return !sort->has_after || order > 0 || (order == 0 && number > sort->after_document);
}

enum torg_err query_sorter_add(struct query_sorter *sorter, uint32_t number, struct span feature)
{
    struct entry *entry;
    struct span key;
    enum torg_err err;

    if (sorter->max == 0)
        return TORG_OK;
    err = make_key(sorter, feature);
    key = buffer_span(&sorter->key);
    if (err || !after_cursor(sorter->sort, key, number))
        return err;
    if (sorter->count == sorter->max && entry_order(&sorter->heap[0], key, number) < 0)
        return TORG_OK;
    if (sorter->count == sorter->max) {
        entry = &sorter->heap[0];
    } else {
        err = heap_room(sorter);
        if (err)
            return err;
        entry = &sorter->heap[sorter->count++];
    }
    entry->number = number;
    entry->key.size = (uint16_t)key.size;
    memcpy(entry->key.bytes, key.data, key.size);
    if (entry == &sorter->heap[0])
        heap_down(sorter->heap, sorter->count);
    else
        heap_up(sorter->heap, sorter->count - 1);
    return TORG_OK;
}

enum torg_err query_sorter_new(const struct query_sort *sort, uint32_t offset, uint32_t limit,
                               struct query_sorter **ret_sorter)
{
    struct query_sorter *sorter;

    if ((uint64_t)offset + limit > QUERY_SORT_WANTED_MAX)
        return TORG_E_EXPENSIVE;
    sorter = calloc(1, sizeof(*sorter));
    if (!sorter)
        return TORG_E_NOMEM;
    sorter->sort = sort;
    sorter->offset = offset;
    sorter->limit = limit;
    sorter->max = limit ? (size_t)offset + limit + 1 : 0;
    for (size_t i = 0; i < sort->count; i++)
        sorter->paths[i].name = sort->by[i].name;
    *ret_sorter = sorter;
    return TORG_OK;
}

void query_sorter_free(struct query_sorter *sorter)
{
    if (!sorter)
        return;
    buffer_done(&sorter->key);
    buffer_done(&sorter->scratch);
    free(sorter->heap);
    free(sorter);
}

enum torg_err query_sorter_page(struct query_sorter *sorter, struct query_page *page)
{
    size_t count = sorter->count > sorter->offset ? sorter->count - sorter->offset : 0;

    page->has_next = count > sorter->limit;
    count = page->has_next ? sorter->limit : count;
    if (sorter->count)
        qsort(sorter->heap, sorter->count, sizeof(*sorter->heap), entry_compare);
    free(page->hits);
    page->count = 0;
    page->hits = malloc((count ? count : 1) * sizeof(*page->hits));
    page->keys = malloc((count ? count : 1) * sizeof(*page->keys));
    if (!page->hits || !page->keys)
        return TORG_E_NOMEM;
    for (; page->count < count; page->count++) {
        const struct entry *entry = &sorter->heap[sorter->offset + page->count];

        page->hits[page->count] = (struct rtree_hit){.document = entry->number, .distance_m = -1};
        page->keys[page->count] = entry->key;
    }
    sorter->count = 0;
    return TORG_OK;
}

/* ---- listings ---- */

struct run {
    struct query_plan *plan;
    struct query_sorter *sorter;
    uint64_t matched;
};

static enum torg_err run_visit(void *context, uint32_t number, const struct catalogue_row *row)
{
    struct run *run = context;
    struct catalogue_record record;
    enum torg_err err;

    (void)row;
    run->matched++;
    if (run->sorter->max == 0)
        return TORG_OK;
    err = query_plan_hits(run->plan, WORK_HITS);
    if (!err)
        err = catalogue_record_get(run->plan->kv, number, &record);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
    return query_sorter_add(run->sorter, number, record.feature);
}

enum torg_err query_run_sorted(const struct kv *kv, const struct theme_tree *themes,
                               const struct query *query, const struct query_sort *sort,
                               struct query_page *ret_page)
{
    struct query whole = *query;
    struct query_page page = {0};
    struct query_plan plan;
    struct run run = {.plan = &plan};
    enum torg_err err;

    if (query->has_near || sort->count == 0 || sort->count > QUERY_SORT_KEYS_MAX)
        return TORG_E_INVALID;
    whole.has_cursor = false;
    whole.offset = 0;
    err = query_plan_init(&plan, kv, themes, &whole, 0);
    if (err)
        return err;
    err = query_sorter_new(sort, query->offset, query->limit, &run.sorter);
    if (!err)
        err = query_each_part(&plan, run_visit, &run);
    if (!err)
        err = query_plan_settle(&plan);
    if (!err)
        err = query_sorter_page(run.sorter, &page);
    page.matched = run.matched;
    page.explain = plan.explain;
    page.explain.driver = "sort";
    query_sorter_free(run.sorter);
    query_plan_done(&plan);
    if (err)
        query_page_done(&page);
    else
        *ret_page = page;
    return err;
}
