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
    int64_t started_ms; /* clock, ms UTC */
};

#endif
