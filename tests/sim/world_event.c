/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/sim/world_internal.h"

#include <stdlib.h>

/* A place in the heap: what it is ordered by stands here, for a country's heap is far from any
 * cache. */
struct world_slot {
    int64_t at_ms;
    uint64_t order;
    struct world_event *event;
};

static bool before(const struct world_slot *a, const struct world_slot *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void heap_up(struct world *world, size_t at)
{
    struct world_slot slot = world->heap[at];

    for (; at > 0 && before(&slot, &world->heap[(at - 1) / 2]); at = (at - 1) / 2)
        world->heap[at] = world->heap[(at - 1) / 2];
    world->heap[at] = slot;
}

static void heap_down(struct world *world, size_t at)
{
    struct world_slot slot = world->heap[at];

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= world->heap_count)
            break;
        if (child + 1 < world->heap_count && before(&world->heap[child + 1], &world->heap[child]))
            child++;
        if (!before(&world->heap[child], &slot))
            break;
        world->heap[at] = world->heap[child];
        at = child;
    }
    world->heap[at] = slot;
}

struct world_event *world_event_add(struct world *world, enum world_kind kind, int64_t at_ms,
                                    uint32_t node)
{
    struct world_event *event = world_alloc(1, sizeof(*event));

    if (world->heap_count == world->heap_capacity) {
        world->heap_capacity = world->heap_capacity ? 2 * world->heap_capacity : 256;
        world->heap = reallocarray(world->heap, world->heap_capacity, sizeof(*world->heap));
        if (!world->heap)
            world_must(TORG_E_NOMEM, "reallocarray");
    }
    event->kind = kind;
    event->at_ms = at_ms;
    event->order = world->next_event++;
    event->node = node;
    event->life = world->nodes[node].life;
    world->heap[world->heap_count++] = (struct world_slot){at_ms, event->order, event};
    heap_up(world, world->heap_count - 1);
    return event;
}

struct world_event *world_event_take(struct world *world)
{
    struct world_event *event = world->heap[0].event;

    world->heap[0] = world->heap[--world->heap_count];
    if (world->heap_count)
        heap_down(world, 0);
    return event;
}

void world_event_free(struct world_event *event)
{
    if (event->wire)
        event->wire->uses--;
    buffer_done(&event->bytes);
    free(event);
}

struct world_event *world_event_wire(struct world *world, enum world_kind kind, int64_t at_ms,
                                     struct world_wire *wire, unsigned end)
{
    struct world_event *event = world_event_add(world, kind, at_ms, wire->nodes[end]);

    event->life = wire->lives[end];
    event->wire = wire;
    event->end = end;
    if (kind != WORLD_DRAINED)
        event->sequence = ++wire->sequenced[end];
    wire->uses++;
    return event;
}

/* ---- the loop ---- */

/*
 * Towards a blocked pair nothing arrives: it waits, as TCP waits, for the way
 * to open. And nothing overtakes what was sent before it.
 */
static bool must_wait(const struct world *world, const struct world_event *event)
{
    const struct world_wire *wire = event->wire;

    if (event->at_ms < world->nodes[event->node].frozen_until_ms)
        return true;
    if (!wire || !event->sequence || wire->broken)
        return false;
    return world_wire_blocked(world, wire, event->end) ||
           event->sequence != wire->arrived[event->end] + 1;
}

static void event_put_off(struct world *world, struct world_event *event)
{
    struct world_event *later =
        world_event_add(world, event->kind, event->at_ms + 250, event->node);
    struct world_node *node = &world->nodes[event->node];

    if (event->kind == WORLD_TICK && event->at_ms == node->tick_ms)
        node->tick_ms = later->at_ms;
    event->at_ms = later->at_ms;
    event->order = later->order;
    *later = *event;
    event->wire = NULL; /* handed over, with the bytes */
    event->bytes = (struct buffer){0};
}

void world_run(struct world *world, int64_t until_ms)
{
    while (world->heap_count && world->heap[0].at_ms <= until_ms) {
        struct world_event *event = world_event_take(world);

        if (event->at_ms > world->now_ms)
            world->now_ms = event->at_ms;
        world->events++;
        if (must_wait(world, event)) {
            event_put_off(world, event);
            world_event_free(event);
            continue;
        }
        if (event->sequence)
            event->wire->arrived[event->end] = event->sequence;
        world_event_happen(world, event);
        world_event_free(event);
        if (world->events % 1024 == 0)
            world_wires_sweep(world);
    }
    if (until_ms > world->now_ms)
        world->now_ms = until_ms;
}
