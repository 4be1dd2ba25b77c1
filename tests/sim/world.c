/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/sim/world.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/seal.h"
#include "tests/sim/malice.h"

#define MUST(expression) must((expression), #expression)
#define LINES_KEPT 400
#define START_MS 1000000
#define CLOCK_MS INT64_C(1790000000000)
#define WIRE_BYTES_PER_MS 4000 /* what a connection carries */
#define DRIP_MS 7000

static void must(enum torg_err err, const char *what)
{
    if (!err)
        return;
    fprintf(stderr, "world: %s: %s\n", what, torg_err_text(err));
    abort();
}

static void *must_alloc(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (!memory)
        must(TORG_E_NOMEM, "calloc");
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

static int64_t between(struct world *world, int64_t min, int64_t max)
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
        world->trace_hash = (world->trace_hash ^ (uint8_t)line[i]) * UINT64_C(0x100000001b3);
    if (world->options.trace)
        fprintf(stderr, "%s\n", line);
    free(world->lines[world->line_next]);
    world->lines[world->line_next] = strdup(line);
    world->line_next = (world->line_next + 1) % LINES_KEPT;
}

static void trace_bytes(struct world *world, struct span bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        world->trace_hash = (world->trace_hash ^ bytes.data[i]) * UINT64_C(0x100000001b3);
}

void world_trace_print(const struct world *world)
{
    for (size_t i = 0; i < LINES_KEPT; i++) {
        const char *line = world->lines[(world->line_next + i) % LINES_KEPT];

        if (line)
            fprintf(stderr, "%s\n", line);
    }
}

/* ---- events ---- */

enum world_kind {
    WORLD_TICK,
    WORLD_CHUNK,     /* bytes at the end of a wire */
    WORLD_DRAINED,   /* a wire took bytes over */
    WORLD_CONNECTED, /* one end of a wire is up */
    WORLD_BROKEN,    /* one end of a wire notices that it is gone */
    WORLD_DIAL_FAILED,
    WORLD_COMMIT, /* the writer commits what waits */
    WORLD_STORED,
    WORLD_PUBLISHED,
};

struct world_event {
    int64_t at_ms;
    uint64_t order;
    enum world_kind kind;
    uint32_t node;
    uint32_t life;
    struct world_wire *wire;
    unsigned end; /* of the wire: which side it concerns */
    uint32_t peer;
    struct buffer bytes;
    size_t queued_bytes;
    uint64_t ticket;
    enum torg_err err;
    uint64_t sequence; /* among what arrives at this end; 0: whenever */
};

/* One connection. End 0 dialled. */
struct world_wire {
    struct world_wire *next;
    uint32_t nodes[2];
    uint32_t lives[2];
    uint32_t links[2];
    bool up[2];     /* this end has been told CONNECTED and has not left */
    bool broken;    /* nothing sent from now on arrives */
    bool closed[2]; /* this end has closed it: what it sent before still arrives */
    int64_t delay_ms;
    uint32_t bytes_per_ms;
    int64_t arrives_ms[2]; /* when the last chunk towards that end arrives */
    int64_t taken_ms[2];   /* when the last byte from that end has left it */
    unsigned uses;         /* events that name it */
    uint64_t sequenced[2]; /* how much was given a place in the order of arrival */
    uint64_t arrived[2];
};

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

static struct world_event *event_add(struct world *world, enum world_kind kind, int64_t at_ms,
                                     uint32_t node)
{
    struct world_event *event = must_alloc(1, sizeof(*event));

    if (world->heap_count == world->heap_capacity) {
        world->heap_capacity = world->heap_capacity ? 2 * world->heap_capacity : 256;
        world->heap = reallocarray(world->heap, world->heap_capacity, sizeof(*world->heap));
        if (!world->heap)
            must(TORG_E_NOMEM, "reallocarray");
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

static struct world_event *event_take(struct world *world)
{
    struct world_event *event = world->heap[0].event;

    world->heap[0] = world->heap[--world->heap_count];
    if (world->heap_count)
        heap_down(world, 0);
    return event;
}

static void event_free(struct world_event *event)
{
    if (event->wire)
        event->wire->uses--;
    buffer_done(&event->bytes);
    free(event);
}

static struct world_event *wire_event(struct world *world, enum world_kind kind, int64_t at_ms,
                                      struct world_wire *wire, unsigned end)
{
    struct world_event *event = event_add(world, kind, at_ms, wire->nodes[end]);

    event->life = wire->lives[end];
    event->wire = wire;
    event->end = end;
    if (kind != WORLD_DRAINED)
        event->sequence = ++wire->sequenced[end];
    wire->uses++;
    return event;
}

/* ---- the writer ---- */

struct world_job {
    struct world_job *next;
    uint64_t ticket;
    struct sync_store *store;     /* a peer's write, or */
    struct local_change *changes; /* our own: payloads point into bytes */
    size_t change_count;
    struct buffer bytes;
    bool charter; /* the newest charter, then an empty commit */
    bool beat;
};

static void job_free(struct world_job *job)
{
    sync_store_free(job->store);
    free(job->changes);
    buffer_done(&job->bytes);
    free(job);
}

static void job_add(struct world_node *node, struct world_job *job)
{
    struct world *world = node->world;
    struct world_job **last = &node->jobs;

    while (*last)
        last = &(*last)->next;
    *last = job;
    if (node->writing || node->dead_writer)
        return;
    node->writing = true;
    event_add(world, WORLD_COMMIT,
              world->now_ms +
                  between(world, world->options.commit_min_ms, world->options.commit_max_ms),
              node->index);
}

static bool is_fatal(enum torg_err err)
{
    return err == TORG_E_NOMEM || err == TORG_E_FULL || err == TORG_E_IO || err == TORG_E_CORRUPT;
}

static struct world_version *version_live(struct world_node *node, uint8_t collection,
                                          const struct listing_key *key)
{
    for (size_t i = node->version_count; i-- > 0;) {
        struct world_version *version = &node->versions[i];

        if (version->to == 0 && version->collection == collection &&
            memcmp(&version->key, key, sizeof(*key)) == 0)
            return version;
    }
    return NULL;
}

/* Versions that a write which failed after all had begun or ended. */
static void versions_undo(struct world_node *node, size_t commits)
{
    for (size_t i = 0; i < node->version_count; i++) {
        if (node->versions[i].to > commits)
            node->versions[i].to = 0;
    }
    while (node->version_count > 0 && node->versions[node->version_count - 1].from > commits) {
        node->version_count--;
        buffer_done(&node->versions[node->version_count].header);
        buffer_done(&node->versions[node->version_count].payload);
    }
    node->commit_count = commits;
}

/* Write down, independently of any node, what the origin has now signed. */
static void version_note(struct world_node *host, const struct kv *kv, uint32_t number,
                         const struct local_change *change, uint64_t commit)
{
    struct world_node *node = host->book;
    struct listing_key key = listing_key_of(&change->id);
    struct world_version *live = version_live(node, change->collection, &key);
    struct world_version *version;
    struct span header, payload;

    if (live)
        live->to = commit;
    if (change->payload.size == 0)
        return;
    MUST(replica_listing_get(kv, number, change->collection, &key, &header, &payload));
    if (node->version_count == node->version_capacity) {
        node->version_capacity = node->version_capacity ? 2 * node->version_capacity : 64;
        node->versions =
            reallocarray(node->versions, node->version_capacity, sizeof(*node->versions));
        if (!node->versions)
            must(TORG_E_NOMEM, "reallocarray");
    }
    version = &node->versions[node->version_count++];
    *version = (struct world_version){
        .collection = change->collection,
        .key = key,
        .id = change->id,
        .header_hash = change_header_hash(header),
        .from = commit,
    };
    buffer_put_span(&version->header, header);
    buffer_put_span(&version->payload, change->payload);
}

static struct span newest_charter(const struct world_node *node)
{
    return buffer_span(&node->charters[node->charter_count - 1]);
}

static enum torg_err charter_hold(struct world_node *node, struct kv *kv)
{
    struct charter_signed charter;
    struct replica_write write = {
        .kind = REPLICA_WRITE_CHARTERS,
        .origin = node->own,
        .charters = &charter,
        .charter_count = 1,
    };

    MUST(charter_signed_parse(newest_charter(node), &charter));
    return replica_apply(kv, &write, NULL);
}

static enum torg_err apply_own(struct world_node *host, struct kv *kv, struct world_job *job)
{
    struct world_node *node = host->book;
    struct buffer head = {0};
    struct replica_origin record;
    enum torg_err err = TORG_OK;
    int64_t clock_ms = CLOCK_MS + node->world->now_ms;

    if (job->beat) {
        err =
            replica_beat_local(kv, &node->own, &node->signer, 1 + host->index, 0, clock_ms, &head);
        buffer_done(&head);
        return err;
    }
    if (job->charter)
        err = charter_hold(node, kv);
    if (!err)
        err = replica_commit_local(kv, &node->own, &node->signer, job->changes, job->change_count,
                                   clock_ms, NULL, &head);
    buffer_done(&head);
    if (err)
        return err;
    host->own_commits++;
    MUST(replica_origin_get(kv, &node->own, &record));
    if (node->commit_count == node->commit_capacity) {
        node->commit_capacity = node->commit_capacity ? 2 * node->commit_capacity : 64;
        node->commits = reallocarray(node->commits, node->commit_capacity, sizeof(*node->commits));
        if (!node->commits)
            must(TORG_E_NOMEM, "reallocarray");
    }
    node->commits[node->commit_count++] =
        (struct world_commit){.epoch = record.head.epoch, .hno = record.head.hno};
    for (size_t i = 0; i < job->change_count; i++)
        version_note(host, kv, record.number, &job->changes[i], node->commit_count);
    return TORG_OK;
}

static enum torg_err apply(struct world_node *node, struct kv *kv, struct world_job *job)
{
    struct world_watcher *watcher = &node->world->watcher;
    const struct origin_id *origin = job->store ? &job->store->write.origin : &node->own;
    enum torg_err err;

    err = job->store ? replica_apply(kv, &job->store->write, NULL) : apply_own(node, kv, job);
    if (!err && watcher->applied)
        watcher->applied(watcher->context, node, kv, origin);
    return err;
}

static void answer(struct world_node *node, const struct world_job *job, enum torg_err err)
{
    struct world *world = node->world;
    int64_t at_ms = world->now_ms + between(world, 0, 3);
    struct world_event *event;

    if (job->store) {
        event = event_add(world, WORLD_STORED, at_ms, node->index);
        event->ticket = job->ticket;
        event->err = err;
        return;
    }
    if (!err)
        event_add(world, WORLD_PUBLISHED, at_ms, node->index);
}

static const char *job_name(const struct world_job *job)
{
    static const char *const names[] = {"charters", "commit", "part",     "payloads",
                                        "beat",     "proof",  "ancestry", "faulty"};

    if (!job->store)
        return job->beat ? "own beat" : job->charter ? "own charter" : "own commit";
    return names[job->store->write.kind];
}

/* What a guard file tells a daemon: is the store older than what this origin has published? */
static bool behind_guard(const struct world_node *node)
{
    const struct world_commit *newest =
        node->commit_count ? &node->commits[node->commit_count - 1] : NULL;
    struct replica_origin record = {0};
    uint64_t gap = 0;
    bool behind;
    struct kv read;

    if (!newest || node->book->forked)
        return false; /* of two hosts each has its own guard file, and is at peace with it */
    MUST(kv_mem_read_begin(node->store, &read));
    MUST(replica_origin_get(&read, &node->own, &record));
    behind = !record.has_head || record.head.epoch != newest->epoch ||
             record.head.hno != newest->hno ||
             replica_complete_mask(&record, COLLECTION_MASK_ALL) != COLLECTION_MASK_ALL;
    MUST(replica_next_gap(&read, &record, &gap));
    kv_mem_read_end(&read);
    return behind || gap;
}

static void recovery_look(struct world_node *node)
{
    if (!node->recovering || behind_guard(node))
        return;
    world_trace(node->world, "%s has recovered", node->name);
    node->recovering = false;
    sync_set_recovering(node->sync, false);
}

/* What waits becomes one durable commit, or, when the store fails, nothing. */
static void writer_commit(struct world_node *node)
{
    struct world *world = node->world;
    struct world_job *jobs = node->jobs;
    enum torg_err fatal = TORG_OK;
    enum torg_err errs[64];
    size_t commits_before = node->book->commit_count;
    size_t count = 0;
    struct kv kv;

    node->writing = false;
    MUST(kv_mem_write_begin(node->store, &kv));
    for (struct world_job *job = jobs; job && count < 64 && !fatal; job = job->next) {
        errs[count] = apply(node, &kv, job);
        fatal = is_fatal(errs[count]) ? errs[count] : TORG_OK;
        count++;
    }
    if (fatal)
        kv_mem_write_abort(&kv);
    else
        fatal = kv_mem_write_commit(&kv);
    if (fatal)
        versions_undo(node->book, commits_before);
    if (world->watcher.ended)
        world->watcher.ended(world->watcher.context, node, !fatal);
    if (fatal && node->crash_on_fault) {
        world_trace(world, "%s ends in its store: %s", node->name, torg_err_text(fatal));
        world_crash(world, node->index);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct world_job *job = node->jobs;

        node->jobs = job->next;
        world_trace(world, "%s %s %" PRIu64 ": %s", node->name, job_name(job), job->ticket,
                    torg_err_text(fatal ? fatal : errs[i]));
        answer(node, job, fatal ? fatal : errs[i]);
        job_free(job);
    }
    recovery_look(node);
    if (!node->jobs)
        return;
    node->writing = true;
    event_add(world, WORLD_COMMIT, world->now_ms + 1, node->index);
}

/* ---- the network ---- */

/* Towards that end. */
static bool is_blocked(const struct world *world, const struct world_wire *wire, unsigned end)
{
    return world->blocked[wire->nodes[1 - end]][wire->nodes[end]];
}

/* The wire of a node's link that is still up; *ret_end is the node's end. */
static struct world_wire *wire_of(const struct world_node *node, uint32_t link, unsigned *ret_end)
{
    const struct world_end *at = link <= node->next_link ? &node->ends[link] : NULL;

    if (!at || !at->wire || !at->wire->up[at->end])
        return NULL;
    *ret_end = at->end;
    return at->wire;
}

/* A new link of a node, for its end of wire. */
static void link_take(struct world_node *node, struct world_wire *wire, unsigned end)
{
    uint32_t link = ++node->next_link;

    if (link >= node->end_capacity) {
        node->end_capacity = link + 64;
        node->ends = reallocarray(node->ends, node->end_capacity, sizeof(*node->ends));
        if (!node->ends)
            must(TORG_E_NOMEM, "reallocarray");
    }
    node->ends[link] = (struct world_end){wire, end};
    wire->links[end] = link;
    wire->up[end] = true;
}

/* The wire is about to go. */
static void links_forget(struct world *world, const struct world_wire *wire)
{
    for (unsigned end = 0; end < 2; end++) {
        struct world_node *node = &world->nodes[wire->nodes[end]];

        if (wire->links[end])
            node->ends[wire->links[end]].wire = NULL;
    }
}

static void wires_sweep(struct world *world)
{
    struct world_wire **at = &world->wires;

    while (*at) {
        struct world_wire *wire = *at;

        if (wire->uses == 0 && !wire->up[0] && !wire->up[1]) {
            *at = wire->next;
            links_forget(world, wire);
            free(wire);
        } else {
            at = &wire->next;
        }
    }
}

/* The end is gone: the other one gets what was sent and then notices. */
static void end_leaves(struct world *world, struct world_wire *wire, unsigned end)
{
    unsigned other = 1 - end;
    int64_t at_ms = world->now_ms + wire->delay_ms;

    wire->up[end] = false;
    wire->closed[end] = true;
    if (wire->closed[other])
        return;
    if (at_ms <= wire->arrives_ms[other])
        at_ms = wire->arrives_ms[other];
    wire_event(world, WORLD_BROKEN, at_ms, wire, other);
}

static void wire_break(struct world *world, struct world_wire *wire)
{
    if (wire->broken)
        return;
    wire->broken = true;
    for (unsigned end = 0; end < 2; end++) {
        if (!wire->closed[end])
            wire_event(world, WORLD_BROKEN, world->now_ms + between(world, 0, 200), wire, end);
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

/* Frames of the muted type are taken out of what is sent (a deliberate fault). */
static void mute(struct world *world, struct buffer *bytes)
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

static void frames_show(struct world_node *node, struct span bytes)
{
    struct world *world = node->world;
    size_t at = 0;

    while (at < bytes.size) {
        size_t size = FRAME_LENGTH_BYTES + get_u32be(bytes.data + at);
        uint8_t type = bytes.data[at + FRAME_LENGTH_BYTES];

        assert(at + size <= bytes.size); /* each SEND holds whole frames */
        world->frames++;
        if (world->watcher.sending)
            world->watcher.sending(
                world->watcher.context, node, type,
                span_of(bytes.data + at + FRAME_PREFIX_BYTES, size - FRAME_PREFIX_BYTES));
        at += size;
    }
}

/* Bytes leave an end and arrive in pieces of any size. */
static void wire_send(struct world *world, struct world_wire *wire, unsigned end, struct span bytes)
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
        at_ms = left_ms + wire->delay_ms + (world_chance(world, 20) ? between(world, 0, 30) : 0);
        if (at_ms < wire->arrives_ms[other])
            at_ms = wire->arrives_ms[other];
        wire->arrives_ms[other] = at_ms;
        event = wire_event(world, WORLD_CHUNK, at_ms, wire, other);
        buffer_put(&event->bytes, bytes.data + at, piece);
        MUST(event->bytes.err);
        at += piece;
    }
    wire->taken_ms[end] = left_ms;
    world->nodes[wire->nodes[end]].sent_ms = left_ms;
    wire_event(world, WORLD_DRAINED, left_ms, wire, end);
    world->bytes += bytes.size;
}

static void dial(struct world *world, struct world_node *node, uint32_t peer)
{
    uint32_t target = node->peer_nodes[peer];
    struct world_node *other = &world->nodes[target];
    int64_t delay_ms = between(world, world->options.delay_min_ms, world->options.delay_max_ms);
    struct world_wire *wire;
    struct world_event *event;

    if (!other->up || other->dial_only || world->blocked[node->index][target] ||
        world->blocked[target][node->index]) {
        event = event_add(world, WORLD_DIAL_FAILED, world->now_ms + between(world, 1, 3000),
                          node->index);
        event->peer = peer;
        return;
    }
    wire = must_alloc(1, sizeof(*wire));
    wire->next = world->wires;
    world->wires = wire;
    wire->nodes[0] = node->index;
    wire->nodes[1] = target;
    wire->lives[0] = node->life;
    wire->lives[1] = other->life;
    wire->delay_ms = delay_ms;
    wire->bytes_per_ms =
        node->bytes_per_ms < other->bytes_per_ms ? node->bytes_per_ms : other->bytes_per_ms;
    event = wire_event(world, WORLD_CONNECTED, world->now_ms + 2 * delay_ms, wire, 0);
    event->peer = peer;
    event = wire_event(world, WORLD_CONNECTED, world->now_ms + 3 * delay_ms, wire, 1);
    for (uint32_t i = 0; i < other->peer_count; i++) {
        if (other->peer_nodes[i] == node->index)
            event->peer = i;
    }
    wire->arrives_ms[1] = world->now_ms + 3 * delay_ms;
}

/* ---- a node's step ---- */

static void tick_at(struct world_node *node, int64_t at_ms)
{
    if (at_ms == INT64_MAX || at_ms >= node->tick_ms)
        return;
    if (at_ms < node->world->now_ms)
        at_ms = node->world->now_ms;
    node->tick_ms = at_ms;
    event_add(node->world, WORLD_TICK, at_ms, node->index);
}

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
        wire_send(world, wire, end, buffer_span(&out));
    }
    buffer_done(&out);
    frame_rows_done(&rows);
}

static void drip(struct world *world, struct world_wire *wire, unsigned end, struct span bytes)
{
    size_t at = 0;

    while (at < bytes.size) {
        size_t size = FRAME_LENGTH_BYTES + get_u32be(bytes.data + at);
        struct span frame = span_of(bytes.data + at, size);

        if (frame.data[FRAME_LENGTH_BYTES] == FRAME_ENTRIES)
            entries_drip(world, wire, end,
                         span_of(frame.data + FRAME_PREFIX_BYTES, size - FRAME_PREFIX_BYTES));
        else
            wire_send(world, wire, end, frame);
        at += size;
    }
}

static void action_send(struct world_node *node, struct sync_action *action)
{
    struct world *world = node->world;
    unsigned end = 0;
    struct world_wire *wire = wire_of(node, action->link, &end);

    if (node->boasts)
        malice_boast(&action->bytes, 1, 0);
    frames_show(node, buffer_span(&action->bytes));
    if (world->mute_type)
        mute(world, &action->bytes);
    malice_do(node, &action->bytes);
    trace_bytes(world, buffer_span(&action->bytes));
    if (wire && node->malice == WORLD_DRIPS)
        drip(world, wire, end, buffer_span(&action->bytes));
    else if (wire && action->bytes.size)
        wire_send(world, wire, end, buffer_span(&action->bytes));
}

static void action_close(struct world_node *node, const struct sync_action *action)
{
    unsigned end;
    struct world_wire *wire = wire_of(node, action->link, &end);

    world_trace(node->world, "%s closes link %" PRIu32 " (%s%s)", node->name, action->link,
                action->event, action->text);
    if (wire)
        end_leaves(node->world, wire, end);
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
        dial(world, node, action->peer);
        break;
    case SYNC_ACTION_STORE:
        job = must_alloc(1, sizeof(*job));
        job->store = action->store;
        job->ticket = action->ticket;
        action->store = NULL;
        job_add(node, job);
        break;
    case SYNC_ACTION_OWN_BEAT:
        break; /* of an earlier life: worlds have one host for each origin */
    case SYNC_ACTION_OWN_AHEAD:
        node->stopped = node->stopped || !node->recovering;
        world_trace(world, "%s notes %s%s", node->name, action->event, action->text);
        break;
    case SYNC_ACTION_NOTE:
        world_trace(world, "%s notes %s%s", node->name, action->event, action->text);
        break;
    }
}

static void step(struct world_node *node, struct sync_event *event);

/* As a daemon would: the link of the event is given up. */
static void step_failed(struct world_node *node, const struct sync_event *event)
{
    struct sync_event gone = {.kind = SYNC_EVENT_DISCONNECTED, .link = event->link};
    unsigned end;
    struct world_wire *wire = wire_of(node, event->link, &end);

    if (!wire || event->kind == SYNC_EVENT_DISCONNECTED)
        return;
    end_leaves(node->world, wire, end);
    step(node, &gone);
}

static void step(struct world_node *node, struct sync_event *event)
{
    struct world *world = node->world;
    struct sync_actions actions = {0};
    uint32_t life = node->life;
    struct kv read;
    enum torg_err err;

    event->now_ms = world->now_ms;
    event->clock_ms = CLOCK_MS + world->now_ms + world->clock_offset_ms[node->index];
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
    step(node, &bytes);
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
            step(node, &connected);
        }
        return;
    }
    link_take(node, wire, end);
    connected.link = wire->links[end];
    connected.peer = event->peer;
    connected.key = other->node_key;
    connected.dialled = end == 0;
    world_trace(world, "%s link %" PRIu32 " %s %s", node->name, connected.link,
                end == 0 ? "to" : "from", other->name);
    step(node, &connected);
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
    step(node, &gone);
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
    step(node, &drained);
}

/* A flat switch: who is told of what. */
static void event_happen(struct world *world, struct world_event *event)
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
        writer_commit(node);
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
    step(node, &told);
}

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
    return is_blocked(world, wire, event->end) || event->sequence != wire->arrived[event->end] + 1;
}

static void event_put_off(struct world *world, struct world_event *event)
{
    struct world_event *later = event_add(world, event->kind, event->at_ms + 250, event->node);
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
        struct world_event *event = event_take(world);

        if (event->at_ms > world->now_ms)
            world->now_ms = event->at_ms;
        world->events++;
        if (must_wait(world, event)) {
            event_put_off(world, event);
            event_free(event);
            continue;
        }
        if (event->sequence)
            event->wire->arrived[event->end] = event->sequence;
        event_happen(world, event);
        event_free(event);
        if (world->events % 1024 == 0)
            wires_sweep(world);
    }
    if (until_ms > world->now_ms)
        world->now_ms = until_ms;
}

/* ---- nodes ---- */

uint8_t world_collection(unsigned i)
{
    static const uint8_t collections[WORLD_COLLECTIONS] = {
        COLLECTION_COMPANIES,
        COLLECTION_OFFERS,
        COLLECTION_RECEIPTS,
        20,
        31, /* of a later version */
    };

    return collections[i];
}

static void key_draw(struct world *world, struct secret_key *ret_secret,
                     struct public_key *ret_public)
{
    uint8_t seed[32];

    for (size_t i = 0; i < sizeof(seed); i += 8)
        put_u64be(seed + i, world_random(world));
    seal_key_of_seed(seed, ret_secret, ret_public);
}

/* The next charter, signed by the one root key; extra says something of a later version. */
static void charter_make(struct world_node *node, uint64_t epoch)
{
    struct charter charter = {
        .charter_no = node->charter_count,
        .epoch = epoch,
        .name = span_of_str(node->name),
        .municipality = span_of_str("2480"),
        .threshold = 1,
        .root_key_count = 1,
        .signing_key_count = 1,
        .max_stale_s = 2592000,
    };
    struct charter_signed before, charter_signed = {.signature_count = 1};
    struct buffer bytes = {0};

    charter.root_keys[0] = seal_public_key(&node->root);
    charter.signing_keys[0].key_no = node->signer.key_no;
    charter.signing_keys[0].key = seal_public_key(&node->signer.key);
    for (unsigned i = 0; i < WORLD_COLLECTIONS; i++)
        charter.visibility[world_collection(i)] = VISIBILITY_PUBLIC;
    if (node->charter_count) {
        MUST(charter_signed_parse(newest_charter(node), &before));
        charter.prev = charter_hash(before.bytes);
    }
    MUST(charter_pack(&charter, &bytes));
    charter_signed.bytes = buffer_span(&bytes);
    charter_signed.signatures[0].key = charter.root_keys[0];
    charter_signed.signatures[0].signature =
        seal_sign(DOMAIN_CHARTER, charter_signed.bytes, &node->root);
    if (node->charter_count == 0)
        node->own = charter_origin(charter_signed.bytes);
    charter_signed_pack(&charter_signed, &node->charters[node->charter_count]);
    MUST(node->charters[node->charter_count].err);
    node->charter_count++;
    buffer_done(&bytes);
}

uint32_t world_node_add(struct world *world, bool has_own)
{
    uint32_t index = world->node_count++;
    struct world_node *node = &world->nodes[index];
    struct secret_key secret;
    struct public_key unused;
    struct kv kv;

    assert(index < WORLD_NODES_MAX);
    *node = (struct world_node){
        .world = world,
        .index = index,
        .has_own = has_own,
        .subscribe_mask = COLLECTION_MASK_ALL,
        .tick_ms = INT64_MAX,
        .bytes_per_ms = WIRE_BYTES_PER_MS,
        .seed = world_random(world),
        .book = node,
    };
    snprintf(node->name, sizeof(node->name), "n%" PRIu32, index);
    key_draw(world, &secret, &node->node_key);
    MUST(kv_mem_new(&node->store));
    kv_mem_strict(node->store, world->options.strict_store);
    if (!has_own)
        return index;
    key_draw(world, &node->root, &unused);
    key_draw(world, &node->signer.key, &unused);
    node->signer.key_no = 1;
    charter_make(node, 1);
    MUST(kv_mem_write_begin(node->store, &kv));
    MUST(charter_hold(node, &kv));
    MUST(kv_mem_write_commit(&kv));
    return index;
}

bool world_is_origin(const struct world_node *node)
{
    return node->has_own && node->book == node;
}

uint32_t world_twin_add(struct world *world, uint32_t of, const struct kv_mem *copy, uint32_t peer)
{
    struct world_node *origin = &world->nodes[of];
    uint32_t index = world_node_add(world, false);
    struct world_node *twin = &world->nodes[index];

    twin->has_own = true;
    twin->own = origin->own;
    twin->signer = origin->signer;
    twin->root = origin->root;
    twin->book = origin;
    twin->absent = true;
    origin->forked = true;
    kv_mem_restore(twin->store, copy);
    world_peer(world, index, peer, true);
    return index;
}

static void peer_add(struct world_node *node, const struct world_node *other, bool dial_it)
{
    size_t count = node->peer_count + 1;

    for (size_t i = 0; i < node->peer_count; i++) {
        if (node->peer_nodes[i] == other->index) {
            node->peers[i].dial |= dial_it;
            return;
        }
    }
    node->peers = reallocarray(node->peers, count, sizeof(*node->peers));
    node->peer_nodes = reallocarray(node->peer_nodes, count, sizeof(*node->peer_nodes));
    if (!node->peers || !node->peer_nodes)
        must(TORG_E_NOMEM, "reallocarray");
    node->peer_nodes[node->peer_count] = other->index;
    node->peers[node->peer_count++] = (struct sync_peer_config){
        .name = other->name,
        .keys = {other->node_key},
        .key_count = 1,
        .dial = dial_it,
    };
}

void world_peer(struct world *world, uint32_t a, uint32_t b, bool b_dials_too)
{
    peer_add(&world->nodes[a], &world->nodes[b], !world->nodes[b].dial_only);
    peer_add(&world->nodes[b], &world->nodes[a],
             (b_dials_too || world->nodes[b].dial_only) && !world->nodes[a].dial_only);
}

void world_start(struct world *world, uint32_t index)
{
    struct world_node *node = &world->nodes[index];
    struct origin_id trusted[WORLD_NODES_MAX];
    struct sync_config config = {
        .node_key = node->node_key,
        .has_own = node->has_own,
        .own = node->own,
        .peers = node->peers,
        .peer_count = node->peer_count,
        .trusted = trusted,
        .subscribe_mask = node->subscribe_mask,
        .software = "sim 1",
        .seed = node->seed + ++node->restarts,
        .limits = world->options.limits,
    };
    struct sync_event tick = {.kind = SYNC_EVENT_TICK};

    assert(!node->up);
    for (uint32_t i = 0; i < world->node_count; i++) {
        if (world_is_origin(&world->nodes[i]) && world->nodes[i].book != node->book)
            trusted[config.trusted_count++] = world->nodes[i].own;
    }
    node->recovering = node->has_own && !node->unguarded && behind_guard(node);
    config.recovering = node->recovering;
    if (node->recovering)
        world_trace(world, "%s is behind its guard", node->name);
    MUST(sync_new(&config, &node->sync));
    node->up = true;
    node->tick_ms = INT64_MAX;
    world_trace(world, "%s starts", node->name);
    if (world->watcher.started)
        world->watcher.started(world->watcher.context, node);
    step(node, &tick);
}

void world_crash(struct world *world, uint32_t index)
{
    struct world_node *node = &world->nodes[index];

    if (!node->up)
        return;
    world_trace(world, "%s crashes", node->name);
    node->up = false;
    node->life++;
    node->frozen_until_ms = 0;
    node->writing = false;
    node->crash_on_fault = false;
    kv_mem_fail_after(node->store, 0, TORG_OK);
    while (node->jobs) {
        struct world_job *job = node->jobs;

        node->jobs = job->next;
        job_free(job);
    }
    sync_free(node->sync);
    node->sync = NULL;
    for (struct world_wire *wire = world->wires; wire; wire = wire->next) {
        for (unsigned end = 0; end < 2; end++) {
            if (wire->nodes[end] == index && !wire->closed[end])
                end_leaves(world, wire, end);
        }
    }
}

void world_restore(struct world *world, uint32_t index, const struct kv_mem *copy)
{
    struct world_node *node = &world->nodes[index];
    struct kv_mem *nothing = NULL;

    assert(!node->up);
    if (!copy) {
        MUST(kv_mem_new(&nothing));
        copy = nothing;
    }
    kv_mem_restore(node->store, copy);
    kv_mem_free(nothing);
}

void world_fault(struct world *world, uint32_t index, uint64_t after, enum torg_err err, bool crash)
{
    struct world_node *node = &world->nodes[index];

    node->crash_on_fault = crash && err;
    kv_mem_fail_after(node->store, after, err);
}

/* ---- what municipalities write ---- */

static void payload_draw(struct world *world, size_t size, struct buffer *out)
{
    uint8_t nonce[16];
    struct buffer body = {0};
    size_t before = out->size;

    for (size_t i = 0; i < sizeof(nonce); i += 8)
        put_u64be(nonce + i, world_random(world));
    if (world_chance(world, 10)) {
        /* Not even in the profile: kept and relayed all the same. */
        buffer_put(out, nonce, 1 + (size_t)world_below(world, sizeof(nonce)));
        buffer_put_u8(out, 0xc1);
        return;
    }
    pack_map(&body, 1);
    pack_str(&body, span_of_str("name"));
    pack_uint(&body, world_below(world, 1000));
    payload_pack(nonce, world_chance(world, 20) ? 77 : PAYLOAD_SCHEMA, buffer_span(&body), out);
    while (out->size < before + size)
        buffer_put_u8(out, 0xc0);
    buffer_done(&body);
}

/* A new id, or one of a listing that lives. */
static struct listing_id id_draw(struct world *world, struct world_node *node, uint8_t collection,
                                 unsigned percent_new)
{
    struct listing_id id;

    if (node->version_count && !world_chance(world, percent_new)) {
        for (unsigned i = 0; i < 8; i++) {
            const struct world_version *version =
                &node->versions[world_below(world, node->version_count)];

            if (version->collection == collection && version->to == 0)
                return version->id;
        }
    }
    put_u64be(id.bytes, world_random(world));
    put_u64be(id.bytes + 8, world_random(world));
    return id;
}

static bool already_in(const struct world_job *job, const struct local_change *change)
{
    for (size_t i = 0; i < job->change_count; i++) {
        if (job->changes[i].collection == change->collection &&
            memcmp(&job->changes[i].id, &change->id, sizeof(change->id)) == 0)
            return true;
    }
    return false;
}

static void write_draw(struct world *world, uint32_t index, unsigned count, size_t payload_size,
                       bool deletes)
{
    struct world_node *node = &world->nodes[index];
    struct world_job *job = must_alloc(1, sizeof(*job));
    size_t *at = must_alloc(count + 1, sizeof(*at));

    if (node->recovering || node->stopped) {
        free(at);
        job_free(job);
        return;
    }
    job->changes = must_alloc(count + 1, sizeof(*job->changes));
    for (unsigned i = 0; i < count; i++) {
        struct local_change *change = &job->changes[job->change_count];
        bool is_delete = deletes && world_chance(world, 25);

        change->collection = world_collection(
            world_chance(world, 60) ? 0 : (unsigned)world_below(world, WORLD_COLLECTIONS));
        change->id = id_draw(world, node->book, change->collection, is_delete ? 0 : 60);
        if (already_in(job, change))
            continue;
        at[job->change_count] = job->bytes.size;
        if (!is_delete)
            payload_draw(world, payload_size, &job->bytes);
        change->payload.size = job->bytes.size - at[job->change_count];
        job->change_count++;
    }
    MUST(job->bytes.err);
    for (size_t i = 0; i < job->change_count; i++)
        job->changes[i].payload.data = job->bytes.data ? job->bytes.data + at[i] : NULL;
    free(at);
    job_add(node, job);
}

void world_write(struct world *world, uint32_t node, unsigned count)
{
    write_draw(world, node, count, 0, true);
}

void world_write_sized(struct world *world, uint32_t node, unsigned count, size_t payload_size)
{
    write_draw(world, node, count, payload_size, false);
}

void world_rotate(struct world *world, uint32_t index, bool new_epoch)
{
    struct world_node *node = &world->nodes[index];
    struct world_job *job = must_alloc(1, sizeof(*job));
    struct charter_signed charter_signed;
    struct charter charter;
    struct public_key unused;

    assert(node->charter_count < ARRAY_SIZE(node->charters) && !node->jobs);
    MUST(charter_signed_parse(newest_charter(node), &charter_signed));
    MUST(charter_parse(charter_signed.bytes, &charter));
    key_draw(world, &node->signer.key, &unused);
    node->signer.key_no++;
    charter_make(node, charter.epoch + new_epoch);
    job->charter = true;
    job_add(node, job);
}

void world_beat(struct world *world, uint32_t index)
{
    struct world_job *job;

    if (world->nodes[index].recovering || world->nodes[index].stopped)
        return;
    job = must_alloc(1, sizeof(*job));
    job->beat = true;
    job_add(&world->nodes[index], job);
}

/* ---- looking ---- */

uint64_t world_commit_of(const struct world_node *origin, uint64_t epoch, uint64_t hno)
{
    for (size_t i = origin->commit_count; i-- > 0;) {
        if (origin->commits[i].epoch == epoch && origin->commits[i].hno == hno)
            return i + 1;
    }
    return 0;
}

struct world_node *world_origin(struct world *world, const struct origin_id *id)
{
    for (uint32_t i = 0; i < world->node_count; i++) {
        if (world_is_origin(&world->nodes[i]) && memcmp(&world->nodes[i].own, id, sizeof(*id)) == 0)
            return &world->nodes[i];
    }
    return NULL;
}

const struct world_version *world_version_of(const struct world_node *origin, uint8_t collection,
                                             const struct listing_key *key,
                                             const struct hash *header_hash)
{
    for (size_t i = origin->version_count; i-- > 0;) {
        const struct world_version *version = &origin->versions[i];

        if (version->collection == collection && memcmp(&version->key, key, sizeof(*key)) == 0 &&
            memcmp(&version->header_hash, header_hash, sizeof(*header_hash)) == 0)
            return version;
    }
    return NULL;
}

bool world_head(struct world *world, uint32_t node, const struct origin_id *origin,
                struct replica_origin *ret_record)
{
    struct kv read;
    enum torg_err err;

    MUST(kv_mem_read_begin(world->nodes[node].store, &read));
    err = replica_origin_get(&read, origin, ret_record);
    kv_mem_read_end(&read);
    if (err == TORG_E_NOT_FOUND)
        return false;
    MUST(err);
    return ret_record->has_head;
}

bool world_holds_all(struct world *world, uint32_t from, uint32_t index, char *why, size_t why_size)
{
    const struct world_node *origin = &world->nodes[from];
    const struct world_node *node = &world->nodes[index];
    struct replica_origin theirs, ours;
    uint32_t mask = node->subscribe_mask;

    if (!world_head(world, from, &origin->own, &theirs))
        return true; /* nothing published yet */
    if (!world_head(world, index, &origin->own, &ours)) {
        snprintf(why, why_size, "%s has nothing of %s", node->name, origin->name);
        return false;
    }
    if (head_compare(&theirs.head, &ours.head) != 0 ||
        memcmp(&theirs.head_hash, &ours.head_hash, sizeof(ours.head_hash)) != 0) {
        snprintf(why, why_size,
                 "%s is at %" PRIu64 ".%" PRIu64 " of %s, which is at %" PRIu64 ".%" PRIu64,
                 node->name, ours.head.epoch, ours.head.hno, origin->name, theirs.head.epoch,
                 theirs.head.hno);
        return false;
    }
    if (replica_complete_mask(&ours, mask) != mask) {
        snprintf(why, why_size, "%s lacks listings of %s", node->name, origin->name);
        return false;
    }
    for (unsigned c = 1; c < COLLECTIONS_MAX; c++) {
        if (ours.missing[c]) {
            snprintf(why, why_size, "%s lacks payloads of %s", node->name, origin->name);
            return false;
        }
    }
    return true;
}

bool world_converged(struct world *world, char *why, size_t why_size)
{
    char unused[8];

    if (!why) {
        why = unused;
        why_size = sizeof(unused);
    }
    for (uint32_t from = 0; from < world->node_count; from++) {
        if (!world_is_origin(&world->nodes[from]) || world->nodes[from].malice)
            continue;
        if (world->nodes[from].recovering) {
            snprintf(why, why_size, "%s is still recovering", world->nodes[from].name);
            return false;
        }
        for (uint32_t i = 0; i < world->node_count; i++) {
            if (world->nodes[i].malice || world->nodes[i].absent)
                continue;
            if (!world->nodes[i].up) {
                snprintf(why, why_size, "%s is down", world->nodes[i].name);
                return false;
            }
            if (!world_holds_all(world, from, i, why, why_size))
                return false;
        }
    }
    return true;
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
        .trace_hash = UINT64_C(0xcbf29ce484222325),
        .lines = must_alloc(LINES_KEPT, sizeof(char *)),
    };
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
        event_free(event_take(world));
    wires_sweep(world);
    while (world->wires) {
        struct world_wire *wire = world->wires;

        world->wires = wire->next;
        links_forget(world, wire);
        free(wire);
    }
    for (uint32_t i = 0; i < world->node_count; i++)
        node_done(&world->nodes[i]);
    for (size_t i = 0; i < LINES_KEPT; i++)
        free(world->lines[i]);
    free(world->lines);
    free(world->heap);
    *world = (struct world){0};
}
