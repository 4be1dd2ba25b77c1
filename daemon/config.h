/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_CONFIG_H
#define TORG_DAEMON_CONFIG_H

#include "protocol/sync.h"

/*
 * federation.conf: an INI file read by inih. Every key has a default, a unit
 * and a line in the manual page; an unknown section or key is an error, with
 * file, line and what is accepted. A working example with every key:
 * federation.conf at the top; man/federation.conf.5.
 *
 * [municipality] name, directory (data), keys (directory of signing.key,
 *                node.key; mode 0600); relative paths start where the file is
 * [http]         listen (address:port, several with commas), base-url, base-path,
 *                tls-listen, tls-certificate, tls-key, proxies, threads, connections,
 *                connections-per-address, requests-per-address, requests-per-token
 * [peer-listen]  listen ("none" for a node that only dials out), handshakes,
 *                handshakes-per-address
 * [admin]        listen
 * [peer NAME]    address (host:port; absent: it dials us), key (node key, hex),
 *                key-next
 * [trust]        origin NAME = origin id, hex (its listings are stored, relayed);
 *                catalogue: an origin id, whose active members are trusted as well;
 *                collections, collections NAME: which of them; listings NAME: how many
 * [limits]       map-size, commit-memory, writer-queue, ask-peers, and those of
 *                sync_limits
 * [log]          level
 */
#define CONFIG_PEERS_MAX SYNC_PEERS_MAX
#define CONFIG_TRUST_MAX 4096
#define CONFIG_LISTEN_MAX 8
#define CONFIG_NAME_BYTES_MAX 40 /* of a peer or an origin: inih cuts longer section names */
#define CONFIG_LINE_BYTES_MAX 1000
#define CONFIG_FILE_BYTES_MAX 1048576

struct config_address {
    char host[128]; /* numeric, or a name when dialling; IPv6 without brackets */
    uint16_t port;  /* 0 in a listen: the kernel chooses */
};

#define CONFIG_NETWORKS_MAX 16
/* Addresses that begin with the same bits; IPv4 as ::ffff:a.b.c.d. */
struct config_network {
    uint8_t address[16];
    uint8_t bits;
};
bool config_network_holds(const struct config_network *network, const uint8_t address[16]);

struct config_peer {
    char name[64];
    bool has_address;
    struct config_address address;
    struct public_key keys[SYNC_PEER_KEYS_MAX];
    uint8_t key_count;
    uint32_t line; /* where its section begins */
};

struct config_trust {
    char name[64];
    struct origin_id origin;
    uint32_t collections;      /* mask: those that are held of it */
    uint32_t collections_line; /* of its own key, 0 without one */
    uint32_t listings;         /* that are held of it at most; 0: no limit */
    uint32_t listings_line;
    struct hash charter; /* the right one of two with one number; all 0: not said */
    uint32_t charter_line;
};

struct config {
    char file[512];
    char name[201];
    char directory[512];
    char keys_directory[512];
    size_t http_count;
    struct config_address http[CONFIG_LISTEN_MAX];
    char base_path[64]; /* "/torg/v1"; "" serves at the root */
    char base_url[256]; /* "" = from the request's Host */
    size_t http_tls_count;
    struct config_address http_tls[CONFIG_LISTEN_MAX];
    char http_tls_certificate[512]; /* "" without TLS */
    char http_tls_key[512];
    size_t http_proxy_count;
    struct config_network http_proxies[CONFIG_NETWORKS_MAX]; /* whose word about clients counts */
    uint32_t http_threads;                                   /* 0 = one for each processor */
    uint32_t http_connections_max;
    uint32_t http_connections_per_address;
    uint32_t http_requests_per_address; /* a second; 0: no limit */
    uint32_t http_requests_per_token;
    size_t peer_listen_count;
    struct config_address peer_listen[CONFIG_LISTEN_MAX];
    uint32_t handshakes_max; /* connections that TLS has not yet admitted */
    uint32_t handshakes_per_address;
    size_t admin_count;
    struct config_address admin[CONFIG_LISTEN_MAX];
    size_t peer_count;
    struct config_peer *peers;
    size_t trust_count;
    struct config_trust *trust;
    bool has_catalogue;
    struct origin_id catalogue; /* whose members are trusted */
    uint32_t collections;       /* held of origins that have no key of their own for it */
    uint64_t map_bytes;
    uint64_t commit_bytes; /* for the pages of one commit; 0: memory_for_commits() */
    uint32_t writer_queue_max;
    uint32_t ask_peers_s; /* how long a start asks peers for the own origin, at most */
    struct sync_limits sync;
    uint32_t log_level; /* enum log_level */
};

/*
 * Read and check the whole file. On TORG_E_CONFIG message is
 * "federation.conf:12: ..., accepted: ..." for the first mistake. Uses inih's
 * global settings, so one thread at a time.
 */
enum torg_err config_read(const char *file, struct config *ret_config, char *message,
                          size_t message_size);
/* The same of a text that is not in file yet. */
enum torg_err config_parse(const char *file, struct span text, struct config *ret_config,
                           char *message, size_t message_size);
void config_done(struct config *config);

/* Is it what a neighbour can dial: a name or number, and a port? */
bool config_address_dialable(const char *text);
/* Is it what a listen key takes: addresses with ports, or "none"? */
bool config_listen_valid(const char *text);

/* "127.0.0.1:8480", "[::1]:8480"; out holds CONFIG_ADDRESS_BYTES_MAX. */
#define CONFIG_ADDRESS_BYTES_MAX 144
const char *config_address_format(const struct config_address *address,
                                  char out[CONFIG_ADDRESS_BYTES_MAX]);

/*
 * Every key that a file may hold, in the manual's order: tests compare this
 * with the manual and the example.
 */
struct config_key {
    const char *section; /* "http"; "peer NAME" for all sections of that kind */
    const char *name;    /* "listen"; "origin NAME", "listings NAME" in [trust] */
    const char *accepted;
    const char *standard; /* the default as it would be written; NULL: none */
};
const struct config_key *config_key_at(size_t i); /* NULL past the end */

/* The first key whose new value only counts after a restart; NULL if there is none. */
const struct config_key *config_restart_key(const struct config *before,
                                            const struct config *after);

#endif
