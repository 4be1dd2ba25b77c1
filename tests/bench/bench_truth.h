/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_BENCH_TRUTH_H
#define TORG_TESTS_BENCH_TRUTH_H

#include "tests/bench/bench.h"

/*
 * What a query's answer is, found without any index. Marks live with it, so
 * that comparing takes as long as the answer.
 */
struct bench_truth {
    struct bench_answer answer;
    uint32_t *marks; /* by document: the round in which it belonged to the answer */
    uint32_t round;
    /* The world by columns, as it was when it was looked at last. */
    double *x, *y, *z;
    int32_t *lon_e7, *lat_e7;
    uint16_t *theme;
};

void bench_answer_init(struct bench_answer *answer, size_t capacity);
void bench_answer_done(struct bench_answer *answer);

/* Zeroed truth; capacity: the most records the world can have. */
void bench_truth_init(struct bench_truth *truth, size_t capacity);
void bench_truth_done(struct bench_truth *truth);

/* Whenever the world has changed: take its records into the columns. */
void bench_truth_look(struct bench_truth *truth, const struct bench_world *world);
/*
 * Look at every record. by_geodesics: measure each of them, instead of
 * believing the chord; slow, for a few queries that check the test itself.
 */
void bench_truth_find(struct bench_truth *truth, const struct bench_world *world,
                      const struct bench_query *query, bool by_geodesics);
/* NULL, or what differs. */
const char *bench_truth_compare(struct bench_truth *truth, const struct bench_query *query,
                                const struct bench_answer *answer);

#endif
