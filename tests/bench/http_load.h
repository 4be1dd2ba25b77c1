/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_BENCH_HTTP_LOAD_H
#define TORG_TESTS_BENCH_HTTP_LOAD_H

#include "protocol/bytes.h"
#include "tests/bench/bench_measure.h"

/*
 * Many connections to one HTTP server on loopback, all kept busy by one thread:
 * each sends its next question when it has the whole answer to the last one. As
 * little work per answer as can be, since the client's processor must not be the
 * limit. Whatever is not a 200 ends the program.
 */
#define HTTP_LOAD_CONNECTIONS_MAX 256

struct http_load {
    const char *name; /* of the server, for messages */
    uint16_t port;
    const struct span *requests; /* whole requests as they are sent; asked in turn, over and over */
    size_t request_count;
    size_t next; /* the one to begin with; goes on from run to run */
};

struct http_load_result {
    size_t answers;
    uint64_t bytes; /* heads included */
    double us;      /* that it took */
};

/*
 * For so long, with so many connections; the time that each answer took is added
 * to latencies. What is under way at the end is waited for.
 */
struct http_load_result http_load_run(struct http_load *load, size_t connections, double seconds,
                                      struct bench_series *latencies);

#endif
