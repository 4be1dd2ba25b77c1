/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/sim/world_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/seal.h"

#define LINES_KEPT 400
#define TRACE_PRIME UINT64_C(0x100000001b3)

void world_must(enum torg_err err, const char *what)
{
    if (!err)
        return;
    fprintf(stderr, "world: %s: %s\n", what, torg_err_text(err));
    abort();
}

void *world_alloc(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (!memory)
        world_must(TORG_E_NOMEM, "calloc");
    return memory;
}

/* ---- chance and trace ---- */

uint64_t world_random(struct world *world)
{
    uint64_t z = (world->random += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t world_below(struct world *world, uint64_t limit)
{
    return world_random(world) % limit;
}

bool world_chance(struct world *world, unsigned percent)
{
    return world_below(world, 100) < percent;
}

int64_t world_between(struct world *world, int64_t min, int64_t max)
{
    return min + (int64_t)world_below(world, (uint64_t)(max - min) + 1);
}

void world_trace(struct world *world, const char *format, ...)
{
    char line[320];
    size_t size;
    va_list arguments;
    int head = snprintf(line, sizeof(line), "%10" PRId64 " ", world->now_ms - START_MS);

    va_start(arguments, format);
    vsnprintf(line + head, sizeof(line) - (size_t)head, format, arguments);
    va_end(arguments);
    size = strlen(line);
    /* FNV-1a: any difference between two runs shows in the end. */
    for (size_t i = 0; i < size; i++)
        world->trace_hash = (world->trace_hash ^ (uint8_t)line[i]) * TRACE_PRIME;
    if (world->options.trace)
        fprintf(stderr, "%s\n", line);
    free(world->lines[world->line_next]);
    world->lines[world->line_next] = strdup(line);
    world->line_next = (world->line_next + 1) % LINES_KEPT;
}

void world_trace_bytes(struct world *world, struct span bytes)
{
    size_t at = 0;

    /* By words: what all nodes send is much. */
    for (; at + 8 <= bytes.size; at += 8) {
        world->trace_hash = (world->trace_hash ^ get_u64be(bytes.data + at)) * TRACE_PRIME;
        world->trace_hash ^= world->trace_hash >> 32; /* or high bits would never come down */
    }
    for (; at < bytes.size; at++)
        world->trace_hash = (world->trace_hash ^ bytes.data[at]) * TRACE_PRIME;
}

void world_trace_print(const struct world *world)
{
    for (size_t i = 0; i < LINES_KEPT; i++) {
        const char *line = world->lines[(world->line_next + i) % LINES_KEPT];

        if (line)
            fprintf(stderr, "%s\n", line);
    }
}

/* ---- begin and end ---- */

struct world_options world_options_default(uint64_t seed)
{
    return (struct world_options){
        .seed = seed,
        .delay_min_ms = 1,
        .delay_max_ms = 40,
        .commit_min_ms = 1,
        .commit_max_ms = 12,
        .limits = sync_limits_default(),
    };
}

void world_init(struct world *world, const struct world_options *options)
{
    MUST(seal_init());
    *world = (struct world){
        .options = *options,
        .random = options->seed,
        .now_ms = START_MS,
        .invent_percent = 5,
        .catalogue = WORLD_NONE,
        .trace_hash = UINT64_C(0xcbf29ce484222325),
        .lines = world_alloc(LINES_KEPT, sizeof(char *)),
    };
    MUST(frame_zip_new(&world->zip));
}

static void node_done(struct world_node *node)
{
    for (size_t i = 0; i < node->version_count; i++) {
        buffer_done(&node->versions[i].header);
        buffer_done(&node->versions[i].payload);
    }
    free(node->versions);
    free(node->commits);
    free(node->peers);
    free(node->peer_nodes);
    free(node->ends);
    for (size_t i = 0; i < node->charter_count; i++)
        buffer_done(&node->charters[i]);
    for (size_t i = 0; i < ARRAY_SIZE(node->replays); i++)
        buffer_done(&node->replays[i]);
    kv_mem_free(node->store);
}

void world_done(struct world *world)
{
    for (uint32_t i = 0; i < world->node_count; i++)
        world_crash(world, i);
    while (world->heap_count)
        world_event_free(world_event_take(world));
    world_wires_sweep(world);
    while (world->wires) {
        struct world_wire *wire = world->wires;

        world->wires = wire->next;
        world_wire_forget(world, wire);
        free(wire);
    }
    for (uint32_t i = 0; i < world->node_count; i++)
        node_done(&world->nodes[i]);
    for (size_t i = 0; i < LINES_KEPT; i++)
        free(world->lines[i]);
    frame_zip_free(world->zip);
    free(world->lines);
    free(world->heap);
    *world = (struct world){0};
}
