/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdlib.h>

#include "index/query_plan.h"

int query_order(double a_distance_m, uint32_t a_number, double b_distance_m, uint32_t b_number)
{
    if (a_distance_m != b_distance_m)
        return a_distance_m < b_distance_m ? -1 : 1;
    return (a_number > b_number) - (a_number < b_number);
}

static int hit_order(const struct rtree_hit *a, const struct rtree_hit *b)
{
    return query_order(a->distance_m, a->document, b->distance_m, b->document);
}

static int hit_compare(const void *a, const void *b)
{
    return hit_order(a, b);
}

void query_top_init(struct query_top *top, size_t max)
{
    *top = (struct query_top){.max = max};
}

static enum torg_err top_grow(struct query_top *top)
{
    size_t capacity = top->capacity ? 2 * top->capacity : 64;
    struct rtree_hit *hits;

    if (capacity > top->max)
        capacity = top->max;
    hits = realloc(top->hits, capacity * sizeof(*hits));
    if (!hits)
        return TORG_E_NOMEM;
    top->hits = hits;
    top->capacity = capacity;
    return TORG_OK;
}

static void top_swap(struct query_top *top, size_t a, size_t b)
{
    struct rtree_hit hit = top->hits[a];

    top->hits[a] = top->hits[b];
    top->hits[b] = hit;
}

static void top_rise(struct query_top *top, size_t at)
{
    while (at > 0 && hit_order(&top->hits[(at - 1) / 2], &top->hits[at]) < 0) {
        top_swap(top, (at - 1) / 2, at);
        at = (at - 1) / 2;
    }
}

static void top_sink(struct query_top *top)
{
    size_t at = 0;

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= top->count)
            return;
        if (child + 1 < top->count && hit_order(&top->hits[child], &top->hits[child + 1]) < 0)
            child++;
        if (hit_order(&top->hits[at], &top->hits[child]) >= 0)
            return;
        top_swap(top, at, child);
        at = child;
    }
}

/* The last in order. The top is not empty. */
static const struct rtree_hit *top_last(const struct query_top *top)
{
    return &top->hits[top->sorted ? top->count - 1 : 0];
}

/* What was a list, first in order first, becomes a heap: backwards it is one. */
static void top_heap(struct query_top *top)
{
    if (!top->sorted)
        return;
    for (size_t i = 0; i < top->count / 2; i++)
        top_swap(top, i, top->count - 1 - i);
    top->sorted = false;
}

bool query_top_passes(const struct query_top *top, uint32_t number, double distance_m)
{
    struct rtree_hit hit = {.document = number, .distance_m = distance_m};

    return top->count == top->max && (top->max == 0 || hit_order(&hit, top_last(top)) >= 0);
}

enum torg_err query_top_add(struct query_top *top, uint32_t number, double distance_m)
{
    struct rtree_hit hit = {.document = number, .distance_m = distance_m};
    enum torg_err err;

    if (query_top_passes(top, number, distance_m))
        return TORG_OK;
    if (top->count == top->max) {
        top_heap(top);
        top->hits[0] = hit;
        top_sink(top);
        return TORG_OK;
    }
    if (top->count == top->capacity) {
        err = top_grow(top);
        if (err)
            return err;
    }
    /* A stream gives all in order: nothing has to rise, and nothing to be sorted. */
    if (top->count == 0)
        top->sorted = true;
    else if (top->sorted && hit_order(top_last(top), &hit) > 0)
        top_heap(top);
    top->hits[top->count++] = hit;
    if (!top->sorted)
        top_rise(top, top->count - 1);
    return TORG_OK;
}

void query_top_sort(struct query_top *top)
{
    if (top->count > 1 && !top->sorted)
        qsort(top->hits, top->count, sizeof(*top->hits), hit_compare);
}

void query_top_done(struct query_top *top)
{
    free(top->hits);
    *top = (struct query_top){0};
}
