/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_CONFIG_H
#define TORG_DAEMON_CONFIG_H

#include "protocol/sync.h"

/*
 * federation.conf: an INI file read by inih. Every key has a default, a unit
 * and a line in the manual page; an unknown section or key is an error, with
 * file, line and what is accepted. docs: federation.conf at the top.
 *
 * [municipality] name, directory (data), keys (directory of signing.key,
 *                node.key; mode 0600)
 * [http]         listen (address:port, repeatable by commas), base-url, threads,
 *                base-path, connections, connections-per-address
 * [peer-listen]  listen ("none" for a node that only dials out)
 * [admin]        listen
 * [peer NAME]    address (host:port; absent: it dials us), key (node key, hex),
 *                key-next
 * [trust]        origin NAME = origin id, hex (its listings are stored, relayed)
 * [limits]       map-size, ...
 * [log]          level
 */
#define CONFIG_PEERS_MAX SYNC_PEERS_MAX
#define CONFIG_LISTEN_MAX 8

struct config_address {
    char host[128]; /* numeric, or a name when dialling */
    uint16_t port;
};

struct config_peer {
    char name[64];
    bool has_address;
    struct config_address address;
    struct public_key keys[SYNC_PEER_KEYS_MAX];
    uint8_t key_count;
};

struct config_trust {
    char name[64];
    struct origin_id origin;
};

struct config {
    char file[512];
    char name[201];
    char directory[512];
    char keys_directory[512];
    size_t http_count;
    struct config_address http[CONFIG_LISTEN_MAX];
    char base_path[64]; /* "/torg/v1" */
    char base_url[256]; /* "" = from the request's Host */
    uint32_t http_threads;
    uint32_t http_connections_max;
    uint32_t http_connections_per_address;
    size_t peer_listen_count;
    struct config_address peer_listen[CONFIG_LISTEN_MAX];
    size_t admin_count;
    struct config_address admin[CONFIG_LISTEN_MAX];
    size_t peer_count;
    struct config_peer *peers;
    size_t trust_count;
    struct config_trust *trust;
    uint64_t map_bytes;
    uint32_t writer_queue_max;
    struct sync_limits sync;
    int log_level;
};

/*
 * Read and check the whole file. On TORG_E_CONFIG message is
 * "federation.conf:12: ..., accepted: ..." for the first mistake.
 */
enum torg_err config_read(const char *file, struct config *ret_config, char *message,
                          size_t message_size);
void config_done(struct config *config);

#endif
