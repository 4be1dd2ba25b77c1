/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_BENCH_SERVER_H
#define TORG_TESTS_BENCH_SERVER_H

#include "protocol/bytes.h"
#include "tests/bench/bench.h"

/*
 * What the server benchmark and its peers agree on. A peer is one file,
 * server_NAME.c, one line in bench_server.c, and a function in servers.sh that
 * starts it. An answer holds what a frontend shows: how many listings match, and
 * the first of them whole, as the GeoJSON feature that was published, with their
 * distances. docs/performance.md says what is measured and why so.
 */

struct server_question {
    struct bench_query query;
    /* Whole listings in the answer: BENCH_PAGE, BENCH_NEAREST, or SERVER_EVERY of them. */
    size_t listed;
};
#define SERVER_EVERY SIZE_MAX

/* The answer's contents, for comparing. */
struct server_answer {
    bool has_matched; /* else the server was not asked how many there are */
    uint64_t matched;
    uint32_t *documents; /* room for every record of the world */
    double *distances_m; /* the same; negative when the answer has none */
    size_t count;
    uint32_t counts[BENCH_THEMES]; /* BENCH_COUNTS */
};

struct server_setup {
    const struct bench_world *world;
    const char *directory;    /* where servers.sh says how to reach the servers */
    const char *const *slugs; /* of the themes, by their number */
    size_t theme_count;
};

/* A server under test. A failure ends the program (bench_die). */
struct server_peer {
    const char *name;
    const char *pid_file; /* of its first process */
    void *(*open)(const struct server_setup *setup);
    /* Publish all living records, durably, with all indexes. Timed. */
    void (*load)(void *server);
    /* What its operator does after many writes. Not timed. NULL: nothing. */
    void (*settle)(void *server);
    /* Ask, and have the whole answer in this process. Timed. */
    void (*ask)(void *server, const struct server_question *question);
    /* What the last answer says; answer is empty. Not timed. */
    void (*read)(void *server, const struct server_question *question,
                 struct server_answer *answer);
    /*
     * Changes of different listings, in one commit where the server can, durable
     * at return. Timed when all are updates.
     */
    void (*write)(void *server, const struct bench_change *changes, size_t count);
    uint64_t (*disk_bytes)(void *server);
    void (*close)(void *server);
};

extern const struct server_peer server_torg;
extern const struct server_peer server_postgis;
extern const struct server_peer server_redis;

/*
 * For MapServer, after loading: it asks for a feature by its number as text, for
 * which it would otherwise read the whole table. server is what server_postgis.open gave.
 */
void server_postgis_index_text(void *server);

/* The listing as its owner publishes it: a GeoJSON feature. */
void server_feature_put(struct buffer *out, const struct bench_record *record, const char *slug);

/* directory/name, to its first newline; ends the program if it cannot be read. */
#define SERVER_FACT_BYTES_MAX 256
void server_fact(const char *directory, const char *name, char out[SERVER_FACT_BYTES_MAX]);
uint16_t server_fact_port(const char *directory, const char *name);

#endif
