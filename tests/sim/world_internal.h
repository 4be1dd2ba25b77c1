/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_SIM_WORLD_INTERNAL_H
#define TORG_TESTS_SIM_WORLD_INTERNAL_H

#include "tests/sim/world.h"

/*
 * What the files of world share. Nobody else includes this.
 *
 *   world.c        begin and end, chance, the trace
 *   world_event.c  the heap of what is to happen, and the loop
 *   world_wire.c   connections: what is sent, cut, blocked, and comes late
 *   world_step.c   events come to a node, its sync's actions are carried out
 *   world_writer.c a node's writer, and its origin's book
 *   world_node.c   nodes: made, started, crashed, restored; their charters
 *   world_write.c  what municipalities write
 *   world_look.c   what somebody outside can see
 */
#define MUST(expression) world_must((expression), #expression)
#define START_MS 1000000
#define CLOCK_MS INT64_C(1790000000000)

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

/* What waits for a node's writer. */
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

/* ---- world.c ---- */
/* The world's own works have failed: end the program. */
void world_must(enum torg_err err, const char *what);
/* Zeroed memory, or the end of the program. */
void *world_alloc(size_t count, size_t size);
int64_t world_between(struct world *world, int64_t min, int64_t max);
/* Into the trace's hash alone. */
void world_trace_bytes(struct world *world, struct span bytes);

/* ---- world_event.c ---- */
/* Something that happens to node at that time, in this life of it. */
struct world_event *world_event_add(struct world *world, enum world_kind kind, int64_t at_ms,
                                    uint32_t node);
/* The next one; the caller frees it. */
struct world_event *world_event_take(struct world *world);
void world_event_free(struct world_event *event);
/* Something at one end of a wire, in the order of what arrives there. */
struct world_event *world_event_wire(struct world *world, enum world_kind kind, int64_t at_ms,
                                     struct world_wire *wire, unsigned end);

/* ---- world_wire.c ---- */
/* Towards that end. */
bool world_wire_blocked(const struct world *world, const struct world_wire *wire, unsigned end);
/* The wire of a node's link that is still up, NULL if none is; *ret_end is the node's end. */
struct world_wire *world_wire_of(const struct world_node *node, uint32_t link, unsigned *ret_end);
/* A new link of a node, for its end of wire. */
void world_wire_take(struct world_node *node, struct world_wire *wire, unsigned end);
/* The wire is about to go. */
void world_wire_forget(struct world *world, const struct world_wire *wire);
/* Free the wires that nobody names any more. */
void world_wires_sweep(struct world *world);
/* The end is gone: the other one gets what was sent and then notices. */
void world_wire_leave(struct world *world, struct world_wire *wire, unsigned end);
/* Frames of the muted type are taken out of what is sent (a deliberate fault). */
void world_wire_mute(struct world *world, struct buffer *bytes);
/* Whole frames that a node sends, to the watcher. */
void world_wire_show(struct world_node *node, uint32_t to, struct span bytes);
/* Bytes leave an end and arrive in pieces of any size. */
void world_wire_send(struct world *world, struct world_wire *wire, unsigned end, struct span bytes);
void world_wire_dial(struct world *world, struct world_node *node, uint32_t peer);
/* The same, but one entry at a time and each some seconds after the other. */
void world_wire_drip(struct world *world, struct world_wire *wire, unsigned end, struct span bytes);

/* ---- world_writer.c ---- */
void world_job_free(struct world_job *job);
/* For the writer of node, which then owns it. */
void world_job_add(struct world_node *node, struct world_job *job);
/* As signed. */
struct span world_charter_newest(const struct world_node *node);
/* The newest charter into the store of its own node. */
enum torg_err world_charter_hold(struct world_node *node, struct kv *kv);
/* What a guard file tells a daemon: is the store older than what this origin has published? */
bool world_behind_guard(const struct world_node *node);
/* What waits becomes one durable commit, or, when the store fails, nothing. */
void world_writer_commit(struct world_node *node);

/* ---- world_look.c ---- */
/* The collections that a node is configured to want of the origin at from. */
uint32_t world_wish(const struct world *world, uint32_t node, uint32_t from);

/* ---- world_node.c ---- */
void world_key_draw(struct world *world, struct secret_key *ret_secret,
                    struct public_key *ret_public);
/* The next charter of a node's origin, in that epoch. */
void world_charter_make(struct world_node *node, uint64_t epoch);

/* ---- world_step.c ---- */
/* An event for a node's sync, and all that it wants done. */
void world_step(struct world_node *node, struct sync_event *event);
/* Its time has come. */
void world_event_happen(struct world *world, struct world_event *event);

#endif
