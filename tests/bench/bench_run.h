/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_BENCH_RUN_H
#define TORG_TESTS_BENCH_RUN_H

#include <limits.h>

#include "tests/bench/bench.h"
#include "tests/bench/bench_measure.h"
#include "tests/bench/bench_truth.h"
#include "tests/bench/bench_world.h"

/*
 * A run of the index benchmark: the peers that take part, and the questions
 * that they are asked. bench_index.c loads and writes, bench_ask.c asks.
 */
#define BENCH_PEERS_MAX 16
#define BENCH_QUERIES_MAX 2000
#define BENCH_SEED UINT64_C(20260)

struct bench_contender {
    const struct bench_peer *peer;
    void *tree; /* NULL: not in the run now */
    char directory[PATH_MAX];
    struct bench_series loads;
    struct bench_series times; /* in the order of the questions, until it is sorted */
    uint64_t bytes;
    size_t asked;    /* of a case's questions, the first: a slow peer gets fewer */
    double spent_us; /* on these, while they were compared */
};

struct bench_run {
    double seconds; /* of a case */
    char name[32];
    char directory[PATH_MAX];
    size_t count;
    struct bench_source *source;
    const struct bench_world *world;
    uint64_t chance; /* of the order in which the contenders come */
    struct bench_contender contenders[BENCH_PEERS_MAX]; /* ours first */
    size_t contender_count;
    struct bench_query queries[BENCH_QUERIES_MAX];
    struct bench_truth truth;
    struct bench_answer answer;
    size_t sizes[BENCH_QUERIES_MAX]; /* of the answers, as they were compared */
    struct bench_series nearest;     /* our times of "nearest 20 of a theme", freshly loaded */
};

/* The contenders that are in the run now, in random order. Their number. */
size_t bench_run_order(struct bench_run *run, struct bench_contender **order);

/* A line for each peer that has times of a case, beside ours of the same questions. */
void bench_run_print(const struct bench_run *run, const char *name, const char *suffix);

/*
 * All query cases: first every answer of every contender is compared with the
 * truth, then the same questions are timed, and the lines printed. suffix is
 * added to the names of the cases.
 */
void bench_run_ask(struct bench_run *run, const char *suffix);

#endif
