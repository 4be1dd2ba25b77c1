/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_PEERS_H
#define TORG_DAEMON_PEERS_H

#include "daemon/node.h"

/*
 * The thread that runs all peer connections: it turns sockets, TLS and timers
 * into events for protocol/sync and carries out its actions. It asks the peers
 * for the own origin at start, and tells the writer what they say.
 *
 * The order of a life: new, start, stop, (the writer ends), free. Between new
 * and start it shows sync the own origin, so nothing may be written before.
 */

/*
 * Listens at config.peer_listen, whose addresses are logged. On an error
 * message, of PEERS_MESSAGE_BYTES_MAX, says what to do: TORG_E_IO for an
 * address that cannot be had.
 */
#define PEERS_MESSAGE_BYTES_MAX 512
enum torg_err peers_new(const struct node *node, const struct secret_key *node_key,
                        struct peers **ret_peers, char *message);
enum torg_err peers_start(struct peers *peers);
/*
 * Says goodbye to every peer, waits a second at most until that is sent, and
 * joins the thread. What was handed to the writer is still the writer's: end it
 * before peers_free.
 */
void peers_stop(struct peers *peers);
/* NULL is accepted. */
void peers_free(struct peers *peers);

/*
 * The peers, origins and limits of sync of a file that was read again. Takes
 * over config's lists, and frees them when they are replaced. Any thread.
 */
enum torg_err peers_reload(struct peers *peers, struct config *config);

/* The port of the first address of [peer-listen], 0 without one: for tests. */
uint16_t peers_port(const struct peers *peers);

/* ---- for /federation, /metrics and torg status; any thread ---- */
struct peer_view {
    char name[64];
    char address[128];
    struct sync_peer_status status;
};
/* A copy of the newest status (a fifth of a second old), at most max peers; returns how many. */
size_t peers_view(const struct peers *peers, struct peer_view *out, size_t max);
void peers_counters(const struct peers *peers, struct sync_counters *ret_counters);
/* How an origin stands in sync; false: neither configuration nor catalogue names it. */
bool peers_origin_status(const struct peers *peers, const struct origin_id *origin,
                         struct sync_origin_status *ret_status);

#endif
