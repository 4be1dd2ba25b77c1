/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/sim/world_internal.h"

#include <stdio.h>
#include <string.h>

#include <inttypes.h>

#include "tests/sim/malice.h"

static void tick_at(struct world_node *node, int64_t at_ms)
{
    if (at_ms == INT64_MAX || at_ms >= node->tick_ms)
        return;
    if (at_ms < node->world->now_ms)
        at_ms = node->world->now_ms;
    node->tick_ms = at_ms;
    world_event_add(node->world, WORLD_TICK, at_ms, node->index);
}

static void action_send(struct world_node *node, struct sync_action *action)
{
    struct world *world = node->world;
    unsigned end = 0;
    struct world_wire *wire = world_wire_of(node, action->link, &end);

    if (node->boasts)
        malice_boast(&action->bytes, 1, 0);
    world_wire_show(node, wire ? wire->nodes[1 - end] : WORLD_NONE, buffer_span(&action->bytes));
    if (world->watcher.speaking)
        world->watcher.speaking(world->watcher.context, node, &action->bytes);
    if (world->mute_type)
        world_wire_mute(world, &action->bytes);
    malice_do(node, &action->bytes);
    world_trace_bytes(world, buffer_span(&action->bytes));
    if (wire && node->malice == WORLD_DRIPS)
        world_wire_drip(world, wire, end, buffer_span(&action->bytes));
    else if (wire && action->bytes.size)
        world_wire_send(world, wire, end, buffer_span(&action->bytes));
}

static void action_close(struct world_node *node, const struct sync_action *action)
{
    unsigned end;
    struct world_wire *wire = world_wire_of(node, action->link, &end);

    world_trace(node->world, "%s closes link %" PRIu32 " (%s%s)", node->name, action->link,
                action->event, action->text);
    if (wire)
        world_wire_leave(node->world, wire, end);
}

/* Notes name an origin by the first four bytes of its id. */
static bool node_names_own(const struct world_node *node, const char *text)
{
    char name[32];

    snprintf(name, sizeof(name), "origin=%02x%02x%02x%02x", node->own.bytes[0], node->own.bytes[1],
             node->own.bytes[2], node->own.bytes[3]);
    return node->has_own && strstr(text, name);
}

static void action_do(struct world_node *node, struct sync_action *action)
{
    struct world *world = node->world;
    struct world_job *job;

    switch (action->kind) {
    case SYNC_ACTION_SEND:
        action_send(node, action);
        break;
    case SYNC_ACTION_CLOSE:
        action_close(node, action);
        break;
    case SYNC_ACTION_DIAL:
        world_wire_dial(world, node, action->peer);
        break;
    case SYNC_ACTION_STORE:
        job = world_alloc(1, sizeof(*job));
        job->store = action->store;
        job->ticket = action->ticket;
        action->store = NULL;
        world_job_add(node, job);
        break;
    case SYNC_ACTION_OWN_BEAT:
        break; /* of an earlier life: worlds have one host for each origin */
    case SYNC_ACTION_OWN_AHEAD:
        node->stopped = node->stopped || !node->recovering;
        world_trace(world, "%s notes %s%s", node->name, action->event, action->text);
        break;
    case SYNC_ACTION_NOTE:
        if (world->coward && strcmp(action->event, "fetch.failed") == 0 &&
            node_names_own(node, action->text))
            node->stopped = true;
        world_trace(world, "%s notes %s%s", node->name, action->event, action->text);
        break;
    }
}

/* As a daemon would: the link of the event is given up. */
static void step_failed(struct world_node *node, const struct sync_event *event)
{
    struct sync_event gone = {.kind = SYNC_EVENT_DISCONNECTED, .link = event->link};
    unsigned end;
    struct world_wire *wire = world_wire_of(node, event->link, &end);

    if (!wire || event->kind == SYNC_EVENT_DISCONNECTED)
        return;
    world_wire_leave(node->world, wire, end);
    world_step(node, &gone);
}

void world_step(struct world_node *node, struct sync_event *event)
{
    struct world *world = node->world;
    struct sync_actions actions = {0};
    uint32_t life = node->life;
    struct kv read;
    enum torg_err err;

    event->now_ms = world->now_ms;
    event->clock_ms = CLOCK_MS + world->now_ms + world->clock_offset_ms[node->index];
    if (world->watcher.stepping)
        world->watcher.stepping(world->watcher.context, node);
    MUST(kv_mem_read_begin(node->store, &read));
    err = sync_step(node->sync, &read, event, &actions);
    kv_mem_read_end(&read);
    if (err)
        world_trace(world, "%s fails: %s", node->name, torg_err_text(err));
    for (size_t i = 0; i < actions.count && node->up && node->life == life; i++)
        action_do(node, &actions.items[i]);
    if (node->up && node->life == life)
        tick_at(node, actions.next_tick_ms);
    sync_actions_done(&actions);
    if (err && node->up && node->life == life)
        step_failed(node, event);
}

/* ---- events come to nodes ---- */

static void chunk_arrives(struct world *world, struct world_event *event)
{
    struct world_wire *wire = event->wire;
    struct world_node *node = &world->nodes[event->node];
    struct sync_event bytes = {.kind = SYNC_EVENT_BYTES};

    if (wire->broken || !wire->up[event->end] || node->life != event->life)
        return;
    bytes.link = wire->links[event->end];
    bytes.bytes = buffer_span(&event->bytes);
    world_step(node, &bytes);
}

static void end_connected(struct world *world, struct world_event *event)
{
    struct world_wire *wire = event->wire;
    unsigned end = event->end;
    struct world_node *node = &world->nodes[event->node];
    struct world_node *other = &world->nodes[wire->nodes[1 - end]];
    struct sync_event connected = {.kind = SYNC_EVENT_CONNECTED};

    if (node->life != event->life || !node->up)
        return;
    if (wire->broken || (wire->closed[1 - end] && end == 0)) {
        if (end == 0) {
            connected.kind = SYNC_EVENT_DIAL_FAILED;
            connected.peer = event->peer;
            world_step(node, &connected);
        }
        return;
    }
    world_wire_take(node, wire, end);
    connected.link = wire->links[end];
    connected.peer = event->peer;
    connected.key = other->node_key;
    connected.dialled = end == 0;
    world_trace(world, "%s link %" PRIu32 " %s %s", node->name, connected.link,
                end == 0 ? "to" : "from", other->name);
    world_step(node, &connected);
}

static void end_broken(struct world *world, struct world_event *event)
{
    struct world_wire *wire = event->wire;
    struct world_node *node = &world->nodes[event->node];
    struct sync_event gone = {.kind = SYNC_EVENT_DISCONNECTED};
    bool was_up = wire->up[event->end];

    wire->closed[event->end] = true;
    wire->up[event->end] = false;
    if (!was_up || node->life != event->life)
        return;
    gone.link = wire->links[event->end];
    world_trace(world, "%s link %" PRIu32 " broke", node->name, gone.link);
    world_step(node, &gone);
}

static void end_drained(struct world *world, struct world_event *event)
{
    struct world_wire *wire = event->wire;
    struct world_node *node = &world->nodes[event->node];
    struct sync_event drained = {.kind = SYNC_EVENT_DRAINED};
    int64_t left_ms = wire->taken_ms[event->end] - world->now_ms;

    if (!wire->up[event->end] || node->life != event->life)
        return;
    drained.link = wire->links[event->end];
    drained.queued_bytes =
        left_ms > 0 && node->malice != WORLD_DRIPS ? (size_t)left_ms * wire->bytes_per_ms : 0;
    world_step(node, &drained);
}

/* A flat switch: who is told of what. */
void world_event_happen(struct world *world, struct world_event *event)
{
    struct world_node *node = &world->nodes[event->node];
    struct sync_event told = {.kind = SYNC_EVENT_TICK};

    switch (event->kind) {
    case WORLD_CHUNK:
        chunk_arrives(world, event);
        return;
    case WORLD_DRAINED:
        end_drained(world, event);
        return;
    case WORLD_CONNECTED:
        end_connected(world, event);
        return;
    case WORLD_BROKEN:
        end_broken(world, event);
        return;
    default:
        break;
    }
    if (!node->up || node->life != event->life)
        return;
    switch (event->kind) {
    case WORLD_TICK:
        if (event->at_ms != node->tick_ms)
            return; /* an earlier one has taken its place */
        node->tick_ms = INT64_MAX;
        break;
    case WORLD_COMMIT:
        world_writer_commit(node);
        return;
    case WORLD_DIAL_FAILED:
        told.kind = SYNC_EVENT_DIAL_FAILED;
        told.peer = event->peer;
        break;
    case WORLD_STORED:
        told.kind = SYNC_EVENT_STORED;
        told.ticket = event->ticket;
        told.err = event->err;
        break;
    default:
        told.kind = SYNC_EVENT_PUBLISHED;
        break;
    }
    world_step(node, &told);
}
