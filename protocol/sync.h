/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_SYNC_H
#define TORG_PROTOCOL_SYNC_H

#include "protocol/replica.h"

/*
 * Replication as one state machine for all peers of a node: events in, actions
 * out. No clock, socket, file, thread or randomness inside: time comes with
 * each event, chance from the seed, storage through a read transaction that is
 * valid during the step. So a run is a function of its seed and events, in
 * torgd as in the simulator. One thread.
 *
 * Each connection (a link) is a protocol/session; sync holds what they share:
 * which origins are wanted, who is the eager parent of which, what is being
 * fetched from whom, what waits for the writer. Wire format: docs/protocol.md.
 */
#define SYNC_PEERS_MAX 1024
#define SYNC_PEER_KEYS_MAX 2 /* two pins, so that a peer can rotate its key */

struct sync_peer_config {
    const char *name;
    struct public_key keys[SYNC_PEER_KEYS_MAX];
    uint8_t key_count;
    bool dial; /* false: it only dials us */
};

struct sync_limits {
    uint32_t live_credit_bytes;   /* 1 MiB */
    uint32_t sync_credit_bytes;   /* 4 MiB */
    uint32_t output_queue_bytes;  /* 2 MiB: above it live batches are dropped */
    uint32_t sync_sessions_peer;  /* 4 */
    uint32_t sync_sessions_total; /* 16 */
    uint32_t store_queue_writes;  /* how many STORE actions may be unanswered */
    /* What catching up may take of a peer's time: see docs/protocol.md, "Catching up". */
    uint32_t answer_bytes_per_s_min; /* 16 KiB/s: who answers slower is not waited for */
    uint32_t turn_ms;                /* 60 s: then another peer that can help has its turn */
    uint32_t heads_burst;            /* 1000 heads of an origin, then one in 3.6 s; 0: no limit */
    uint32_t listings_per_origin;    /* 1 000 000: heads with more are not taken; 0: no limit */
    uint32_t compress;               /* 1: offer packed frames to peers; 0: do not */
    uint32_t parts_max;              /* 128 parts of a large reconcile with the writer at a time */
};
struct sync_limits sync_limits_default(void);

struct sync_config {
    struct public_key node_key;
    bool has_own;
    struct origin_id own;
    bool recovering;                      /* see sync_set_recovering */
    const struct sync_peer_config *peers; /* copied */
    size_t peer_count;
    const struct origin_id *trusted; /* origins that are stored and relayed; copied */
    size_t trusted_count;
    uint32_t subscribe_mask; /* collections wanted of each */
    /* Of trusted[i], which of these; NULL: all. What is held of others is dropped. Copied. */
    const uint32_t *trusted_masks;
    /* Of trusted[i], how many listings at most; NULL: limits.listings_per_origin of all. Copied. */
    const uint32_t *trusted_quotas;
    /*
     * Of trusted[i], the hash of the right one of two charters with one number, or NULL; NULL:
     * of none. Members of the catalogue have it from there. Copied.
     */
    const struct hash *const *trusted_charters;
    /*
     * An origin whose active members are trusted as well (protocol/member.h), which of
     * subscribe_mask are wanted of each; it is trusted itself. Followed as it changes.
     */
    bool has_catalogue;
    struct origin_id catalogue;
    uint32_t members_mask;
    const char *software; /* "torgd 0.1.0" */
    /* Of torg's wire format; 0: SESSION_VERSION_MIN and SESSION_VERSION_MAX of this build. */
    uint64_t version_min, version_max;
    uint64_t seed;
    struct sync_limits limits; /* credits below SYNC_CREDIT_BYTES_MIN are raised to it */
};
/* Less could keep the largest frame from ever being sent. */
#define SYNC_CREDIT_BYTES_MIN (2 * (FRAME_BYTES_MAX + 64))

struct sync;

enum sync_event_kind {
    SYNC_EVENT_TICK,         /* now_ms passed; at least when next_tick_ms came */
    SYNC_EVENT_CONNECTED,    /* TLS is up on link with the peer of that node key */
    SYNC_EVENT_BYTES,        /* bytes came on link, in stream order, any split */
    SYNC_EVENT_DRAINED,      /* queued_bytes of link's output remain unsent */
    SYNC_EVENT_DISCONNECTED, /* link is gone, whoever ended it */
    SYNC_EVENT_DIAL_FAILED,  /* peer could not be reached */
    SYNC_EVENT_STORED,       /* the STORE of that ticket is durable, or failed with err */
    SYNC_EVENT_PUBLISHED,    /* own origin has a new durable head or beat, in read */
};

struct sync_event {
    enum sync_event_kind kind;
    int64_t now_ms;        /* monotonic enough: never goes back between events */
    int64_t clock_ms;      /* wall clock, ms UTC, for what is written and compared */
    uint32_t link;         /* chosen by the caller at CONNECTED, never reused */
    uint32_t peer;         /* CONNECTED, DIAL_FAILED: index in config.peers */
    struct public_key key; /* CONNECTED: the node key that TLS proved */
    bool dialled;          /* CONNECTED: this side opened it */
    struct span bytes;
    size_t queued_bytes;
    uint64_t ticket;
    enum torg_err err;
};

enum sync_action_kind {
    SYNC_ACTION_SEND,  /* bytes on link */
    SYNC_ACTION_CLOSE, /* link, after sending what is queued; text says why */
    SYNC_ACTION_DIAL,  /* peer */
    SYNC_ACTION_STORE, /* write, in the writer; then STORED with ticket */
    SYNC_ACTION_NOTE,  /* something an operator wants in the log */
    /*
     * A peer has delivered a validly signed head of the own origin that is
     * newer than, or beside, all that was published here: stop writing. epoch
     * and hno say which; each is told once. A mere claim never causes this.
     */
    SYNC_ACTION_OWN_AHEAD,
    /*
     * A peer has delivered a validly signed beat of the own origin that is
     * newer than the own one: writer says which host made it, perhaps this one
     * in an earlier life, and rival, if not 0, to which host it answers.
     */
    SYNC_ACTION_OWN_BEAT,
};

struct sync_action {
    enum sync_action_kind kind;
    uint32_t link;
    uint32_t peer;
    struct buffer bytes;      /* SEND; owned by the action list */
    struct sync_store *store; /* STORE; the caller takes it, sync_store_free ends it */
    uint64_t ticket;
    uint64_t epoch, hno;    /* OWN_AHEAD */
    uint64_t writer, rival; /* OWN_BEAT */
    int64_t ts_ms;          /* OWN_BEAT */
    enum torg_err err;      /* CLOSE: why */
    const char *event;      /* NOTE, CLOSE, OWN_AHEAD: "peer.refused", static */
    char text[256];         /* NOTE, CLOSE, OWN_AHEAD: " peer=arjeplog err=..." */
};

/* A replica_write with the bytes that it borrows, safe to hand to another thread. */
struct sync_store {
    struct replica_write write;
    bool replaces; /* most of it is held in another version: it lies all over the store */
    struct buffer bytes[3];
    struct replica_entry *entries;
    struct listing_key *removed;
    struct charter_signed *charters;
    struct span *ancestry;
};
void sync_store_free(struct sync_store *store);

struct sync_actions {
    struct sync_action *items;
    size_t count;
    size_t capacity;
    int64_t next_tick_ms; /* when the next TICK is due, by now_ms */
};
void sync_actions_clear(struct sync_actions *actions);
void sync_actions_done(struct sync_actions *actions);

enum torg_err sync_new(const struct sync_config *config, struct sync **ret_sync);
void sync_free(struct sync *sync);

/*
 * One event. read shows a state in which every STORED and PUBLISHED told so far
 * is visible. Actions are appended; carry them out in order. TORG_E_NOMEM or a
 * storage error: the caller logs it and drops the link of the event.
 *
 * What the own origin shows at the first step counts as published, so take that
 * step (a TICK) before the first local write. A link ends with its CLOSE action
 * or with DISCONNECTED, whichever comes first; later events of it are ignored.
 * Each DIAL is answered by CONNECTED or DIAL_FAILED, each STORE by STORED. Own
 * commits are answered for only up to the last PUBLISHED, also if read shows more.
 */
enum torg_err sync_step(struct sync *sync, const struct kv *read, const struct sync_event *event,
                        struct sync_actions *ret_actions);

/*
 * While recovering, the own origin is wanted from peers like any other, and so
 * are the older heads that its next head must name. Else nothing of it is ever
 * taken from outside. The caller writes nothing to its
 * origin while it is recovering.
 */
void sync_set_recovering(struct sync *sync, bool recovering);

/* New pins after a reload; links of peers that are gone are closed. */
enum torg_err sync_reconfigure(struct sync *sync, const struct sync_config *config,
                               struct sync_actions *ret_actions);

/* Say goodbye to every peer: this node ends. Carry out the actions, then free sync. */
void sync_goodbye(struct sync *sync, struct sync_actions *ret_actions);

/* ---- what operators see ---- */

enum sync_peer_state { SYNC_PEER_DOWN, SYNC_PEER_CONNECTING, SYNC_PEER_OPEN, SYNC_PEER_STALLED };
const char *sync_peer_state_name(enum sync_peer_state state);

struct sync_peer_status {
    enum sync_peer_state state;
    int64_t since_ms;     /* now_ms of the last change of state */
    int64_t next_dial_ms; /* when down and dialling; else 0 */
    uint64_t bytes_in, bytes_out, frames_in, frames_out, errors;
    uint64_t saved_in, saved_out; /* bytes that packing the frames has saved */
    bool zips;                    /* frames are packed on this connection */
    uint64_t queued_bytes;
    int64_t rtt_ms;          /* of the last PING; -1 if none */
    int64_t clock_offset_ms; /* its clock less ours, at HELLO */
    bool holds_back;         /* we have not dealt with what it sent: it waits for our credit */
    bool lagging;            /* batches to it were dropped: it gets the newest HAVE instead */
    bool answered;           /* on this connection it has said what it holds of what we want */
    char software[64];
    char last_error[96];
};
void sync_peer_status(const struct sync *sync, uint32_t peer, struct sync_peer_status *ret_status);

struct sync_counters {
    uint64_t batches_in, batches_duplicate, deltas_in, reconciles, reconcile_rounds;
    uint64_t listings_in, payloads_in, payload_bytes_in, mismatches, refused_frames;
    uint64_t answers_in_vain; /* made, and made again for want of credit */
};
void sync_counters(const struct sync *sync, struct sync_counters *ret_counters);
struct sync_origin_status {
    bool trusted;         /* by the configuration or its catalogue: more of it is taken */
    uint32_t collections; /* that the configuration wants of it */
    bool throttled;       /* its heads come faster than they are taken: only the newest is */
    uint32_t quota;       /* listings that are taken of it at most; 0: no limit */
    bool over_quota;      /* its newest head has more, and is not taken */
    uint64_t listings;    /* over_quota: how many it has, of the collections that are wanted */
    bool claimed;         /* a peer that is believed claims to hold a head */
    uint64_t claimed_epoch, claimed_hno;
};
/* False: neither the configuration nor its catalogue names it. */
bool sync_origin_status(const struct sync *sync, const struct origin_id *origin,
                        struct sync_origin_status *ret_status);
/* The same of each origin that is trusted, ascending by id; false at the end. */
bool sync_origin_at(const struct sync *sync, uint32_t i, struct origin_id *ret_origin,
                    struct sync_origin_status *ret_status);
/* The newest head that any peer claims (HAVE) of an origin: what lag is measured against. */
bool sync_claimed_head(const struct sync *sync, const struct origin_id *origin, uint64_t *ret_epoch,
                       uint64_t *ret_hno);

#endif
