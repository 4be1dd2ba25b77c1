/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_SIM_WORLD_H
#define TORG_TESTS_SIM_WORLD_H

#include "protocol/frame.h"
#include "protocol/frame_zip.h"
#include "protocol/replica.h"
#include "protocol/sync.h"
#include "tests/support/kv_mem.h"

/*
 * Many nodes in one process: each a sync, a store in memory and a writer, on a
 * made-up network under a made-up clock. One seed decides everything, so a run
 * can be had again. Whatever goes wrong in the world's own works ends the
 * program; what goes wrong in the nodes is the caller's to see, by its watcher.
 *
 * Connections are streams, as TCP gives them: bytes arrive in order, late, cut
 * anywhere, or never, when the connection breaks. A blocked pair of nodes
 * delivers nothing until it is unblocked, or a session gives up waiting.
 */
#define WORLD_NODES_MAX 320
#define WORLD_NONE UINT32_MAX
#define WORLD_COLLECTIONS 5 /* those that worlds write to; see world_collection */

struct world;
struct world_event;
struct world_slot;

/* What a node does to the frames that it sends. */
enum world_malice {
    WORLD_HONEST,
    WORLD_SPOILS,    /* flips bits, cuts, drops, doubles */
    WORLD_DRIPS,     /* one entry at a time, some seconds apart */
    WORLD_REPLAYS,   /* says again what it said before */
    WORLD_BOASTS,    /* claims heads and collections that it does not have */
    WORLD_LIES,      /* leaves headers out of deltas, numbers them as it likes, withholds entries */
    WORLD_TRUNCATES, /* answers lack their ends, frames change places */
    WORLD_INVENTS,   /* heads, beats, evidence that nobody signed */
    WORLD_MALICES,
};

/* A listing that an origin signed, and while which of its heads it was live. */
struct world_version {
    uint8_t collection;
    struct listing_key key;
    struct listing_id id;
    struct hash header_hash;
    struct buffer header;
    struct buffer payload;
    uint64_t from; /* the commit that brought it, counted from 1 over all epochs */
    uint64_t to;   /* the commit that ended it; 0 while it lives */
};

/* A commit of an origin, by its place in the order of all. */
struct world_commit {
    uint64_t epoch, hno;
};

/* One end of a connection. */
struct world_end {
    struct world_wire *wire; /* NULL: gone */
    unsigned end;
};

struct world_node {
    struct world *world;
    uint32_t index;
    char name[16];
    struct public_key node_key;
    bool has_own;
    bool dial_only; /* nobody can reach it */
    bool packs;     /* it offers packed frames */
    bool later;     /* it says what only a later version understands; see later.h */
    uint64_t version_min, version_max; /* of the wire format; 0: this build's */
    enum world_malice malice;
    struct buffer replays[8]; /* frames that it sent before */
    uint32_t bytes_per_ms;    /* of its line, in each connection */
    int64_t sent_ms;          /* when the last of what it sent leaves it */
    uint64_t bytes_in;        /* that were sent to it */
    int64_t frozen_until_ms;  /* it does nothing, as if stopped by a signal */
    int64_t full_until_ms;    /* its disk has no room */
    struct origin_id own;
    struct replica_signer signer;
    struct secret_key root;
    struct buffer charters[8]; /* signed */
    size_t charter_count;

    struct kv_mem *store;
    struct sync *sync;
    bool up;
    uint32_t life;   /* events for an earlier one are stale */
    int64_t tick_ms; /* when the next one is due; INT64_MAX: none is */
    struct sync_peer_config *peers;
    uint32_t *peer_nodes; /* beside each of them */
    size_t peer_count;
    struct world_end *ends; /* by link */
    uint32_t next_link, end_capacity;
    uint32_t subscribe_mask;
    bool member;      /* of the world's catalogue, by its newest word */
    bool ever_member; /* it may hold what it got then */
    bool curious;     /* it takes itself for a member, and wants what members get */
    bool follows;     /* it trusts whom the world's catalogue names, and nobody else */
    uint64_t part;    /* of others' origins it wants only what this decides; 0: all */
    uint32_t quota;   /* listings that it takes of each of them; 0: no limit */
    uint64_t seed;
    uint64_t restarts;

    /* The writer. */
    struct world_job *jobs; /* in the order they came */
    bool writing;
    bool crash_on_fault; /* the next storage fault is the end of this life */
    bool dead_writer;    /* --break: nothing is ever answered */
    bool boasts;         /* --break: its HAVE tells of one head more */
    bool recovering; /* its store is behind what it published: it fetches that, and signs nothing */
    bool unguarded;  /* --break: it does not know what it published */

    struct world_node *book; /* where what it signs is written down: itself, or whose twin it is */
    bool stopped;            /* it was shown what its origin signed elsewhere: it signs no more */
    uint64_t own_commits;    /* that it made itself */
    bool absent;             /* nobody expects anything of it */
    bool forked;             /* of a book: two hosts have written into it */

    /* Everything that its origin ever signed. */
    struct world_version *versions;
    size_t version_count, version_capacity;
    struct world_commit *commits;
    size_t commit_count, commit_capacity;
};

/* What a test wants to see. All may be NULL. */
struct world_watcher {
    void *context;
    /* Inside the write transaction, after one write that was applied. */
    void (*applied)(void *context, struct world_node *node, struct kv *kv,
                    const struct origin_id *origin);
    /* The transaction is over: all of it is durable, or none of it was. */
    void (*ended)(void *context, struct world_node *node, bool committed);
    /* A frame that a node sends to another, before it is on the wire. */
    void (*sending)(void *context, struct world_node *node, uint32_t to, uint8_t type,
                    struct span body);
    /* Before a node's sync gets an event. */
    void (*stepping)(void *context, const struct world_node *node);
    /* What a node sends, whole frames, and may be added to. */
    void (*speaking)(void *context, const struct world_node *node, struct buffer *bytes);
    /* A node was started; its store is as the last life left it. */
    void (*started)(void *context, struct world_node *node);
};

struct world_options {
    uint64_t seed;
    int64_t delay_min_ms, delay_max_ms; /* of each connection, drawn once */
    int64_t commit_min_ms, commit_max_ms;
    struct sync_limits limits;
    bool trace; /* print each line as it happens */
    bool strict_store;
};

struct world {
    struct world_options options;
    struct world_watcher watcher;
    uint64_t random;
    int64_t now_ms;
    struct world_node nodes[WORLD_NODES_MAX];
    uint32_t node_count;
    bool blocked[WORLD_NODES_MAX][WORLD_NODES_MAX]; /* from, to */
    struct world_slot *heap;
    size_t heap_count, heap_capacity;
    uint64_t next_event;
    struct world_wire *wires;
    uint64_t events, bytes, frames, packed_frames;
    struct frame_zip *zip; /* for who looks into what nodes say */
    uint64_t trace_hash;
    char **lines; /* the newest ones */
    size_t line_next;
    int64_t clock_offset_ms[WORLD_NODES_MAX];
    unsigned invent_percent; /* of what inventors send has an invention beside it */
    uint32_t catalogue;      /* the node that is one; WORLD_NONE: none is */
    uint32_t members_only;   /* collections that all origins but the catalogue keep for members */
    bool leaky;        /* --break: the catalogue's word is not looked at: all count as members */
    bool coward;       /* --break: a peer that does not deliver what it claims stops who writes */
    bool greedy;       /* --break: who wants a part is told to want all */
    bool convoy;       /* --break: nothing is sent to one while something is sent to another */
    uint8_t mute_type; /* --break: frames of this type never arrive */
    uint64_t dropped_frames;
};

struct world_options world_options_default(uint64_t seed);
void world_init(struct world *world, const struct world_options *options);
void world_done(struct world *world);

/*
 * A second host with the keys of an origin's node and a copy of its store, which
 * knows peer and is known to it. The origin's node has one book for both.
 */
uint32_t world_twin_add(struct world *world, uint32_t of, const struct kv_mem *copy, uint32_t peer);
/* Before the first start. has_own: it is a municipality, else a mere relay. */
uint32_t world_node_add(struct world *world, bool has_own);
/* a knows b and dials it; b knows a. */
void world_peer(struct world *world, uint32_t a, uint32_t b, bool b_dials_too);
void world_start(struct world *world, uint32_t node);
void world_crash(struct world *world, uint32_t node);

/* Put a stopped node's store back to a copy of it, or, with NULL, to nothing. */
void world_restore(struct world *world, uint32_t node, const struct kv_mem *copy);

/* Everything that happens until then. */
void world_run(struct world *world, int64_t until_ms);
void world_block(struct world *world, uint32_t a, uint32_t b, bool blocked);
/* What from sends does not arrive at to; the other way is open. */
void world_block_one_way(struct world *world, uint32_t from, uint32_t to);
/* The node stands still for so long; the world goes on around it. */
void world_freeze(struct world *world, uint32_t node, int64_t ms);
/* Break the connections between two nodes; they notice it, each in its time. */
void world_cut(struct world *world, uint32_t a, uint32_t b);
/* After so many write operations the store fails; or with crash, the node ends there. */
void world_fault(struct world *world, uint32_t node, uint64_t after, enum torg_err err, bool crash);

/* The i-th collection that worlds use, 0 <= i < WORLD_COLLECTIONS; unknown ones among them. */
uint8_t world_collection(unsigned i);
/* count random changes of a node's own origin, as one job for its writer. */
void world_write(struct world *world, uint32_t node, unsigned count);
/* The same with sized payloads and no deletes. */
void world_write_sized(struct world *world, uint32_t node, unsigned count, size_t payload_size);
/* New versions of the count listings of its first collection whose ids are least. */
void world_rewrite(struct world *world, uint32_t node, unsigned count, size_t payload_size);
/* A next charter: a new signing key, or with new_epoch also a new epoch; then an empty commit. */
void world_rotate(struct world *world, uint32_t node, bool new_epoch);
/* Once more the charters, if the write of one failed: until then it can sign nothing. */
void world_charter_again(struct world *world, uint32_t node);
void world_beat(struct world *world, uint32_t node);
/*
 * From now on this node is the catalogue: before other nodes are added, whose charters name it.
 * Then what it says of a member: status NULL takes the entry away, quota 0 says none.
 */
void world_catalogue(struct world *world, uint32_t node);
void world_member(struct world *world, uint32_t member, const char *status, uint32_t quota);
/* And that its newest charter is the right one of two. */
void world_member_charter(struct world *world, uint32_t member);

/* The version of a listing that the origin signed with that hash; NULL if it never did. */
const struct world_version *world_version_of(const struct world_node *origin, uint8_t collection,
                                             const struct listing_key *key,
                                             const struct hash *header_hash);
/* Which of an origin's commits, from 1, a head is; 0 if it never signed one with that number. */
uint64_t world_commit_of(const struct world_node *origin, uint64_t epoch, uint64_t hno);
struct world_node *world_origin(struct world *world, const struct origin_id *id);
/* Is it the node of an origin, and not another host's twin? */
bool world_is_origin(const struct world_node *node);
/* Newest head that a node holds of an origin; false if none. */
bool world_head(struct world *world, uint32_t node, const struct origin_id *origin,
                struct replica_origin *ret_record);
/* Collections of the origin at from that the node may hold: not those for members, if it is none.
 */
uint32_t world_visible(const struct world *world, uint32_t node, uint32_t from);
/* The same by what the node itself holds of the list of members: it acts by that. */
uint32_t world_visible_there(struct world *world, uint32_t node, uint32_t from);
/* The same, if it was a member once: then it may hold, or be sent, what is on its way yet. */
uint32_t world_visible_ever(const struct world *world, uint32_t node, uint32_t from);
/* The collections that a node is to hold of the origin at from: that it wants, and may hold. */
uint32_t world_mask(const struct world *world, uint32_t node, uint32_t from);
/* What the sync at a node says of its peer that is node; zeros if it is down or has none such. */
struct sync_peer_status world_peer_status(const struct world *world, uint32_t at, uint32_t node);
/* Does node hold all of the origin at from: charter, newest head? why as below, never NULL. */
bool world_holds_all(struct world *world, uint32_t from, uint32_t node, char *why, size_t why_size);
/* Do all nodes hold everything of all origins? why (if not NULL) gets the first difference. */
bool world_converged(struct world *world, char *why, size_t why_size);

uint64_t world_random(struct world *world);
uint64_t world_below(struct world *world, uint64_t limit);
bool world_chance(struct world *world, unsigned percent);
void world_trace(struct world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The newest lines of the trace, to stderr. */
void world_trace_print(const struct world *world);

#endif
