/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_place.h"

#include <stdlib.h>

bool rtree_place_before(const struct rtree_place *a, const struct rtree_place *b)
{
    if (a->distance_m != b->distance_m)
        return a->distance_m < b->distance_m;
    if (a->kind != b->kind)
        return a->kind < b->kind;
    return a->number < b->number;
}

enum torg_err rtree_places_push(struct rtree_places *queue, const struct rtree_place *place)
{
    size_t at;

    if (queue->count == queue->capacity) {
        size_t capacity = queue->capacity ? queue->capacity * 2 : 512;
        struct rtree_place *heap = realloc(queue->heap, capacity * sizeof(*heap));

        if (!heap)
            return TORG_E_NOMEM;
        queue->heap = heap;
        queue->capacity = capacity;
    }
    at = queue->count++;
    while (at > 0 && rtree_place_before(place, &queue->heap[(at - 1) / 2])) {
        queue->heap[at] = queue->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    queue->heap[at] = *place;
    return TORG_OK;
}

struct rtree_place rtree_places_pop(struct rtree_places *queue)
{
    struct rtree_place first = queue->heap[0];
    struct rtree_place last = queue->heap[--queue->count];
    size_t at = 0;

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= queue->count)
            break;
        if (child + 1 < queue->count &&
            rtree_place_before(&queue->heap[child + 1], &queue->heap[child]))
            child++;
        if (!rtree_place_before(&queue->heap[child], &last))
            break;
        queue->heap[at] = queue->heap[child];
        at = child;
    }
    queue->heap[at] = last;
    return first;
}

void rtree_places_done(struct rtree_places *queue)
{
    free(queue->heap);
    *queue = (struct rtree_places){0};
}
