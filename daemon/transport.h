/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_TRANSPORT_H
#define TORG_DAEMON_TRANSPORT_H

#include <event2/event.h>
#include <sys/socket.h>

#include "daemon/config.h"
#include "protocol/seal.h"

/*
 * Links to peers: TCP and TLS, and nothing that torg/1 says. TLS 1.3 only,
 * mutual, with self-signed Ed25519 certificates made at start from the node
 * key; a peer is who proves a pinned key, whatever else stands in its
 * certificate. No tickets, no resumption, no early data, no renegotiation.
 *
 * One thread: the one that runs the event base. Callbacks come from the base,
 * never from within a call into here; they may call anything but
 * transport_free. A link is a number, never used twice. SIGPIPE must be ignored.
 */
struct transport;

struct transport_callbacks {
    void *context;
    /* TLS is up: the other end has proved key. dial: what transport_dial got; 0 if it dialled us.
     */
    void (*connected)(void *context, uint32_t link, const struct public_key *key, uint32_t dial);
    /* In stream order; any split. Borrowed. */
    void (*bytes)(void *context, uint32_t link, struct span bytes);
    /* Output went out; queued_bytes of it wait. */
    void (*drained)(void *context, uint32_t link, size_t queued_bytes);
    /* Last word of a link that was connected, also after transport_close. */
    void (*disconnected)(void *context, uint32_t link, const char *why);
    /* Last word of a dial that did not connect. */
    void (*dial_failed)(void *context, uint32_t dial, const char *why);
    /* Somebody at address was turned away before proving a pinned key. */
    void (*refused)(void *context, const char *address, const char *why);
};

struct transport_options {
    struct event_base *base;
    struct secret_key node_key;
    uint32_t handshakes_max; /* accepted connections that TLS has not admitted */
    uint32_t handshakes_per_address;
    uint32_t handshake_ms_max; /* 0: TRANSPORT_HANDSHAKE_MS_MAX */
    struct transport_callbacks callbacks;
};

#define TRANSPORT_HANDSHAKE_MS_MAX 10000
#define TRANSPORT_CONNECT_MS_MAX 10000
#define TRANSPORT_LINGER_MS_MAX 2000       /* how long a closed link may still send */
#define TRANSPORT_QUEUE_BYTES_MAX 67108864 /* output of one link, whatever the caller forgot */
#define TRANSPORT_ADDRESS_BYTES_MAX 64

/* TORG_E_INTERNAL when OpenSSL refuses. */
enum torg_err transport_new(const struct transport_options *options,
                            struct transport **ret_transport);
/* Cuts every link without a word to the callbacks. NULL is accepted. */
void transport_free(struct transport *transport);

/* Whose dialling is admitted: their keys. Links that are up stay; the caller closes them. Copied.
 */
enum torg_err transport_set_pins(struct transport *transport, const struct public_key *keys,
                                 size_t count);

/*
 * Listen at a numeric address; TORG_E_IO (errno). *ret_port, unless NULL, gets
 * the port, which the kernel chose if address says 0.
 */
enum torg_err transport_listen(struct transport *transport, const struct config_address *address,
                               uint16_t *ret_port);

/*
 * Connect, admitting only who proves one of keys (at most SYNC_PEER_KEYS_MAX).
 * dial, above 0, comes back in connected or dial_failed, exactly once.
 */
void transport_dial(struct transport *transport, const struct sockaddr *address, socklen_t size,
                    const struct public_key *keys, size_t key_count, uint32_t dial);

/* Copies. Unknown links and links that are being closed are passed over. */
void transport_send(struct transport *transport, uint32_t link, struct span bytes);
/* Bytes of output that wait; 0 for an unknown link. */
size_t transport_queued(const struct transport *transport, uint32_t link);
/* Send what is queued, at most TRANSPORT_LINGER_MS_MAX, then close. No more bytes come in. */
void transport_close(struct transport *transport, uint32_t link);
/* Stop and go on reading from all links: how a full writer holds back every peer. */
void transport_pause(struct transport *transport, bool paused);
/* "192.0.2.1:8490"; empty for an unknown link. */
void transport_address(const struct transport *transport, uint32_t link,
                       char out[TRANSPORT_ADDRESS_BYTES_MAX]);

struct transport_counters {
    uint64_t accepted, dialled, connected, refused; /* refused: by a limit or by TLS */
    uint32_t links, handshakes;                     /* now */
};
void transport_counters(const struct transport *transport, struct transport_counters *ret_counters);

#endif
