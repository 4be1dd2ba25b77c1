/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_NODE_H
#define TORG_DAEMON_NODE_H

#include "daemon/config.h"
#include "daemon/metrics.h"
#include "daemon/writer.h"
#include "index/store.h"

/*
 * What every part of a running torgd may use: constants handed down, set by
 * main before any thread starts and freed after the last has ended.
 */
struct peers;

struct node {
    const struct config *config;
    struct store *store;
    const struct theme_tree *themes;
    struct writer *writer;
    struct peers *peers;
    struct metrics *metrics;
    bool has_own;
    struct origin_id own;
    uint64_t commit_bytes; /* memory for the pages of one commit */
    int64_t started_ms;    /* clock, ms UTC */
};

/*
 * A whole node: store, writer, peers, HTTP and admin listeners, running. config
 * is kept and must outlive it; seal_init must have been called. On any error
 * message (of NODE_MESSAGE_BYTES_MAX) says what is wrong and what to do, and
 * nothing runs.
 */
#define NODE_MESSAGE_BYTES_MAX 1024
enum torg_err node_start(const struct config *config, bool confirm_guard, struct node **ret_node,
                         char *message);
/* Orderly: what was accepted is written and answered, peers are told. NULL is accepted. */
void node_stop(struct node *node);

/* Takes over what config says newly of peers, origins, limits and the log. Any one thread. */
enum torg_err node_reload(struct node *node, struct config *config);
/* Is there no use in going on: can the store not even be read any more? */
bool node_is_broken(const struct node *node);

/* The ports of the first addresses, which the kernel may have chosen; 0 without one. */
struct node_ports {
    uint16_t http, peers, admin;
};
struct node_ports node_ports(const struct node *node);

#endif
