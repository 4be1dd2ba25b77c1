/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_PEERS_INTERNAL_H
#define TORG_DAEMON_PEERS_INTERNAL_H

#include <pthread.h>

#include "daemon/loop.h"
#include "daemon/peers.h"
#include "daemon/resolver.h"
#include "daemon/transport.h"

/*
 * What the files of the peers' thread share. Nobody else includes this.
 *
 *   peers.c         begin and end, timers
 *   peers_step.c    an event into sync, its actions out; what the writer is told
 *   peers_link.c    dialling, and what the transport says
 *   peers_store.c   writes on their way to the writer and back
 *   peers_config.c  the file's peers and origins as sync and transport want them
 *   peers_view.c    what other threads see
 *
 * All run in the peers' thread, or before it starts and after its end, unless
 * it says otherwise.
 */

/*
 * Parts of a large reconcile wait for the writer, so that it finds enough of them for a commit
 * while it makes another: one for so much of the memory that pages of a commit have.
 */
#define PEERS_PART_COMMIT_BYTES 2097152

/* A dial from its DIAL action to CONNECTED or DIAL_FAILED. */
struct peers_dial {
    uint32_t number;
    char peer[64]; /* by name: a reload changes the indices */
    struct public_key keys[SYNC_PEER_KEYS_MAX];
    size_t key_count;
    struct resolver_address addresses[RESOLVER_ADDRESSES_MAX];
    size_t count, next_address;
    struct peers_dial *next;
};

/* A STORE on its way to the writer and back. */
struct peers_stored {
    struct peers *peers;
    uint64_t ticket;
    struct sync_store *store; /* while the writer's queue was full */
    enum torg_err err;
    struct peers_stored *next;
};

/* What is known of a peer here and not in sync. */
struct peers_extra {
    char address[TRANSPORT_ADDRESS_BYTES_MAX]; /* of its connection */
    uint32_t link;
    bool tried;     /* it was reached, or could not be, since the start */
    bool unreached; /* its last dial failed, which is in the log */
};

struct peers_claim {
    struct origin_id origin;
    struct sync_origin_status status;
};

struct peers {
    const struct node *node;
    struct loop *loop;
    pthread_t thread;
    bool started;
    uint16_t port;

    /* The thread's. */
    struct public_key node_key;
    const struct config *config; /* the node's, or reloaded */
    struct config reloaded;
    struct sync *sync;
    struct sync_actions actions;
    struct transport *transport;
    struct resolver *resolver;
    struct event *tick, *refresh, *retry;
    struct peers_dial *dials;
    uint32_t last_dial;
    struct peers_stored *waiting, **waiting_last; /* for room in the writer's queue */
    struct peers_extra *extras;                   /* one for each peer of config */
    bool stepping, stopping, wants_own, asked;
    int64_t started_ms, goodbye_ms;
    int64_t refused_ms;
    uint64_t refused_unlogged;

    pthread_mutex_t mutex; /* over what other threads look at */
    struct peer_view *views;
    size_t view_count;
    struct peers_claim *claims; /* ascending by origin */
    size_t claim_count, claim_capacity;
    struct sync_counters counters;
};

/* ---- peers.c ---- */

void peers_timer_set(struct event *timer, int64_t ms);

/* ---- peers_step.c ---- */

/* Hands the event to sync and carries out what it wants. Not from within a step. */
void peers_step(struct peers *peers, struct sync_event *event);
/* What stands in peers->actions: for callers of sync's other functions. */
void peers_step_carry_out(struct peers *peers);
/* Tell the writer what the peers know of the own origin, and how far the asking is. */
void peers_step_own_tell(struct peers *peers);
/* The writer's: a new head or beat of the own origin is durable. */
void peers_step_published(void *context);

/* ---- peers_link.c ---- */

/* Listen at every address of the configuration; message as in peers_new. */
enum torg_err peers_link_listen(struct peers *peers, char *message);
enum torg_err peers_link_transport_make(struct peers *peers, const struct secret_key *node_key);
/* index is a peer with an address. Ends in CONNECTED or DIAL_FAILED, later. */
void peers_link_dial(struct peers *peers, uint32_t index);
void peers_link_dial_free(struct peers *peers, struct peers_dial *dial);
/* The resolver's. */
void peers_link_resolved(void *context, uint32_t number, const struct resolver_address *addresses,
                         size_t count, const char *why);

/* ---- peers_store.c ---- */

/* Takes action->store to the writer, at once or when there is room; ends in STORED, later. */
void peers_store(struct peers *peers, struct sync_action *action);
/* The timer's: try again what found no room. */
void peers_store_retry(evutil_socket_t fd, short what, void *context);

/* ---- peers_config.c ---- */

/* Which peer has the name, or the key? false: none, and ret_peer is untouched. */
bool peers_config_by_name(const struct peers *peers, const char *name, uint32_t *ret_peer);
bool peers_config_by_key(const struct peers *peers, const struct public_key *key,
                         uint32_t *ret_peer);
/* sync, pins and tables of peers->config. TORG_E_NOMEM. */
enum torg_err peers_config_sync_make(struct peers *peers);

/* ---- peers_view.c ---- */

/* Show other threads how it stands. */
void peers_view_refresh(struct peers *peers);

#endif
