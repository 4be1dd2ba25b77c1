/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/sim/world_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DRIP_MS 7000

bool world_wire_blocked(const struct world *world, const struct world_wire *wire, unsigned end)
{
    return world->blocked[wire->nodes[1 - end]][wire->nodes[end]];
}

struct world_wire *world_wire_of(const struct world_node *node, uint32_t link, unsigned *ret_end)
{
    const struct world_end *at = link <= node->next_link ? &node->ends[link] : NULL;

    if (!at || !at->wire || !at->wire->up[at->end])
        return NULL;
    *ret_end = at->end;
    return at->wire;
}

void world_wire_take(struct world_node *node, struct world_wire *wire, unsigned end)
{
    uint32_t link = ++node->next_link;

    if (link >= node->end_capacity) {
        node->end_capacity = link + 64;
        node->ends = reallocarray(node->ends, node->end_capacity, sizeof(*node->ends));
        if (!node->ends)
            world_must(TORG_E_NOMEM, "reallocarray");
    }
    node->ends[link] = (struct world_end){wire, end};
    wire->links[end] = link;
    wire->up[end] = true;
}

void world_wire_forget(struct world *world, const struct world_wire *wire)
{
    for (unsigned end = 0; end < 2; end++) {
        struct world_node *node = &world->nodes[wire->nodes[end]];

        if (wire->links[end])
            node->ends[wire->links[end]].wire = NULL;
    }
}

void world_wires_sweep(struct world *world)
{
    struct world_wire **at = &world->wires;

    while (*at) {
        struct world_wire *wire = *at;

        if (wire->uses == 0 && !wire->up[0] && !wire->up[1]) {
            *at = wire->next;
            world_wire_forget(world, wire);
            free(wire);
        } else {
            at = &wire->next;
        }
    }
}

void world_wire_leave(struct world *world, struct world_wire *wire, unsigned end)
{
    unsigned other = 1 - end;
    int64_t at_ms = world->now_ms + wire->delay_ms;

    wire->up[end] = false;
    wire->closed[end] = true;
    if (wire->closed[other])
        return;
    if (at_ms <= wire->arrives_ms[other])
        at_ms = wire->arrives_ms[other];
    world_event_wire(world, WORLD_BROKEN, at_ms, wire, other);
}

static void wire_break(struct world *world, struct world_wire *wire)
{
    if (wire->broken)
        return;
    wire->broken = true;
    for (unsigned end = 0; end < 2; end++) {
        if (!wire->closed[end])
            world_event_wire(world, WORLD_BROKEN, world->now_ms + world_between(world, 0, 200),
                             wire, end);
    }
}

void world_cut(struct world *world, uint32_t a, uint32_t b)
{
    for (struct world_wire *wire = world->wires; wire; wire = wire->next) {
        if ((wire->nodes[0] == a && wire->nodes[1] == b) ||
            (wire->nodes[0] == b && wire->nodes[1] == a))
            wire_break(world, wire);
    }
}

void world_block(struct world *world, uint32_t a, uint32_t b, bool blocked)
{
    world->blocked[a][b] = blocked;
    world->blocked[b][a] = blocked;
}

void world_block_one_way(struct world *world, uint32_t from, uint32_t to)
{
    world->blocked[from][to] = true;
    world->blocked[to][from] = false;
}

void world_freeze(struct world *world, uint32_t node, int64_t ms)
{
    world_trace(world, "%s stands still for %" PRId64 " ms", world->nodes[node].name, ms);
    world->nodes[node].frozen_until_ms = world->now_ms + ms;
}

void world_wire_mute(struct world *world, struct buffer *bytes)
{
    size_t at = 0, kept = 0;

    while (at < bytes->size) {
        size_t size = FRAME_LENGTH_BYTES + get_u32be(bytes->data + at);

        if (bytes->data[at + FRAME_LENGTH_BYTES] != world->mute_type) {
            memmove(bytes->data + kept, bytes->data + at, size);
            kept += size;
        } else {
            world->dropped_frames++;
        }
        at += size;
    }
    bytes->size = kept;
}

/* A frame's array, unpacked into plain if it is packed. */
static struct span frame_array(struct world *world, struct span frame, struct buffer *plain)
{
    struct span body = span_of(frame.data + FRAME_PREFIX_BYTES, frame.size - FRAME_PREFIX_BYTES);

    if (!(frame.data[FRAME_LENGTH_BYTES + 1] & FRAME_FLAG_ZSTD))
        return body;
    world->packed_frames++;
    MUST(frame_zip_unpack(world->zip, body, plain));
    return buffer_span(plain);
}

void world_wire_show(struct world_node *node, uint32_t to, struct span bytes)
{
    struct world *world = node->world;
    struct buffer plain = {0};
    size_t at = 0;

    while (at < bytes.size) {
        size_t size = FRAME_LENGTH_BYTES + get_u32be(bytes.data + at);
        uint8_t type = bytes.data[at + FRAME_LENGTH_BYTES];

        assert(at + size <= bytes.size); /* each SEND holds whole frames */
        world->frames++;
        if (world->watcher.sending)
            world->watcher.sending(world->watcher.context, node, to, type,
                                   frame_array(world, span_of(bytes.data + at, size), &plain));
        at += size;
    }
    buffer_done(&plain);
}

void world_wire_send(struct world *world, struct world_wire *wire, unsigned end, struct span bytes)
{
    unsigned other = 1 - end;
    int64_t left_ms = wire->taken_ms[end] > world->now_ms ? wire->taken_ms[end] : world->now_ms;
    size_t at = 0;

    if (world->convoy && left_ms < world->nodes[wire->nodes[end]].sent_ms)
        left_ms = world->nodes[wire->nodes[end]].sent_ms;

    while (at < bytes.size) {
        size_t left = bytes.size - at;
        size_t piece = world_chance(world, 70) ? left : 1 + (size_t)world_below(world, left);
        struct world_event *event;
        int64_t at_ms;

        if (piece > 65536)
            piece = 65536;
        left_ms += (int64_t)(piece / wire->bytes_per_ms);
        at_ms =
            left_ms + wire->delay_ms + (world_chance(world, 20) ? world_between(world, 0, 30) : 0);
        if (at_ms < wire->arrives_ms[other])
            at_ms = wire->arrives_ms[other];
        wire->arrives_ms[other] = at_ms;
        event = world_event_wire(world, WORLD_CHUNK, at_ms, wire, other);
        buffer_put(&event->bytes, bytes.data + at, piece);
        MUST(event->bytes.err);
        at += piece;
    }
    wire->taken_ms[end] = left_ms;
    world->nodes[wire->nodes[end]].sent_ms = left_ms;
    world_event_wire(world, WORLD_DRAINED, left_ms, wire, end);
    world->bytes += bytes.size;
    world->nodes[wire->nodes[other]].bytes_in += bytes.size;
}

void world_wire_dial(struct world *world, struct world_node *node, uint32_t peer)
{
    uint32_t target = node->peer_nodes[peer];
    struct world_node *other = &world->nodes[target];
    int64_t delay_ms =
        world_between(world, world->options.delay_min_ms, world->options.delay_max_ms);
    struct world_wire *wire;
    struct world_event *event;

    if (!other->up || other->dial_only || world->blocked[node->index][target] ||
        world->blocked[target][node->index]) {
        event = world_event_add(world, WORLD_DIAL_FAILED,
                                world->now_ms + world_between(world, 1, 3000), node->index);
        event->peer = peer;
        return;
    }
    wire = world_alloc(1, sizeof(*wire));
    wire->next = world->wires;
    world->wires = wire;
    wire->nodes[0] = node->index;
    wire->nodes[1] = target;
    wire->lives[0] = node->life;
    wire->lives[1] = other->life;
    wire->delay_ms = delay_ms;
    wire->bytes_per_ms =
        node->bytes_per_ms < other->bytes_per_ms ? node->bytes_per_ms : other->bytes_per_ms;
    event = world_event_wire(world, WORLD_CONNECTED, world->now_ms + 2 * delay_ms, wire, 0);
    event->peer = peer;
    event = world_event_wire(world, WORLD_CONNECTED, world->now_ms + 3 * delay_ms, wire, 1);
    for (uint32_t i = 0; i < other->peer_count; i++) {
        if (other->peer_nodes[i] == node->index)
            event->peer = i;
    }
    wire->arrives_ms[1] = world->now_ms + 3 * delay_ms;
}

/* ---- a line on which one entry comes at a time ---- */

/* One frame of entries as many, each with one and each some seconds after the other. */
static void entries_drip(struct world *world, struct world_wire *wire, unsigned end,
                         struct span body)
{
    struct frame_rows rows = {0};
    struct buffer out = {0};
    struct profile_reader in;
    struct frame frame;
    uint32_t count;
    bool more;

    MUST(frame_decode(FRAME_ENTRIES, body, &frame));
    in = frame_list_reader(&frame.entries.entries);
    count = frame.entries.entries.count;
    more = frame.entries.more;
    for (uint32_t i = 0; i < count; i++) {
        struct frame_entry entry = frame_read_entry(&in);

        frame_rows_clear(&rows);
        frame_rows_entry(&rows, &entry);
        frame.entries.entries = frame_rows_list(&rows);
        frame.entries.more = more || i + 1 < count;
        buffer_clear(&out);
        MUST(frame_encode(&frame, &out));
        if (wire->taken_ms[end] < world->now_ms)
            wire->taken_ms[end] = world->now_ms;
        wire->taken_ms[end] += DRIP_MS;
        world_wire_send(world, wire, end, buffer_span(&out));
    }
    buffer_done(&out);
    frame_rows_done(&rows);
}

void world_wire_drip(struct world *world, struct world_wire *wire, unsigned end, struct span bytes)
{
    size_t at = 0;

    while (at < bytes.size) {
        size_t size = FRAME_LENGTH_BYTES + get_u32be(bytes.data + at);
        struct span frame = span_of(bytes.data + at, size);

        if (frame.data[FRAME_LENGTH_BYTES] == FRAME_ENTRIES)
            entries_drip(world, wire, end,
                         span_of(frame.data + FRAME_PREFIX_BYTES, size - FRAME_PREFIX_BYTES));
        else
            world_wire_send(world, wire, end, frame);
        at += size;
    }
}
