/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_PEERS_H
#define TORG_DAEMON_PEERS_H

#include "daemon/node.h"

/*
 * The thread that runs all peer connections: it turns sockets, TLS and timers
 * into events for protocol/sync and carries out its actions.
 */
enum torg_err peers_new(const struct node *node, struct peers **ret_peers);
enum torg_err peers_start(struct peers *peers);
/* Says goodbye to every peer, then joins the thread. */
void peers_free(struct peers *peers);

/* ---- for /federation, /metrics and torg status; any thread ---- */
struct peer_view {
    char name[64];
    char address[128];
    struct sync_peer_status status;
};
/* A copy of the newest status, at most max peers; returns how many there are. */
size_t peers_view(const struct peers *peers, struct peer_view *out, size_t max);
void peers_counters(const struct peers *peers, struct sync_counters *ret_counters);
/* The newest head that any peer claims to hold of origin; false if none. */
bool peers_claimed_head(const struct peers *peers, const struct origin_id *origin,
                        uint64_t *ret_epoch, uint64_t *ret_hno);

#endif
