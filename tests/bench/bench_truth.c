/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/bench/bench_truth.h"

#include <stdlib.h>
#include <string.h>

void bench_answer_init(struct bench_answer *answer, size_t capacity)
{
    *answer = (struct bench_answer){.documents = calloc(capacity, sizeof(*answer->documents))};
    if (!answer->documents)
        bench_die("out of memory");
}

void bench_answer_done(struct bench_answer *answer)
{
    free(answer->documents);
}

void bench_truth_init(struct bench_truth *truth, size_t capacity)
{
    bench_answer_init(&truth->answer, capacity);
    truth->marks = calloc(capacity, sizeof(*truth->marks));
    truth->round = 1;
    if (!truth->marks)
        bench_die("out of memory");
}

void bench_truth_done(struct bench_truth *truth)
{
    bench_answer_done(&truth->answer);
    free(truth->marks);
}

static bool belongs(const struct bench_query *query, const struct bench_record *record,
                    bool by_geodesics)
{
    if (query->kind == BENCH_NEAR)
        return bench_has_theme(query, record);
    if (!by_geodesics || query->kind == BENCH_BOX)
        return bench_matches(query, record);
    return bench_has_theme(query, record) && bench_distance_m(query, record) <= query->radius_m;
}

static int distance_compare(const void *a, const void *b)
{
    const double *left = a, *right = b;

    return *left < *right ? -1 : *left > *right;
}

/* Every distance, sorted. The documents of equal distances may come in any order: none is kept. */
static void nearest_by_geodesics(struct bench_truth *truth, const struct bench_world *world,
                                 const struct bench_query *query)
{
    struct bench_answer *answer = &truth->answer;
    double *distances_m = calloc(answer->count + 1, sizeof(*distances_m));

    if (!distances_m)
        bench_die("out of memory");
    for (size_t i = 0; i < answer->count; i++)
        distances_m[i] = bench_distance_m(query, &world->records[answer->documents[i]]);
    qsort(distances_m, answer->count, sizeof(*distances_m), distance_compare);
    if (answer->count > BENCH_NEAREST)
        answer->count = BENCH_NEAREST;
    memcpy(answer->distances_m, distances_m, answer->count * sizeof(*distances_m));
    free(distances_m);
}

void bench_truth_find(struct bench_truth *truth, const struct bench_world *world,
                      const struct bench_query *query, bool by_geodesics)
{
    struct bench_answer *answer = &truth->answer;

    answer->count = 0;
    memset(answer->counts, 0, sizeof(answer->counts));
    for (size_t i = 0; i < world->count; i++) {
        const struct bench_record *record = &world->records[i];

        if (record->alive && belongs(query, record, by_geodesics))
            bench_take(query, record, answer);
    }
    if (query->kind != BENCH_NEAR)
        return;
    if (by_geodesics)
        nearest_by_geodesics(truth, world, query);
    else
        bench_answer_nearest(query, world, answer, BENCH_EVERYWHERE_M);
}

/* Each document of the answer once, and each of the truth's. */
static bool same_documents(struct bench_truth *truth, const struct bench_answer *answer)
{
    uint32_t expected = truth->round++, seen = truth->round++;

    for (size_t i = 0; i < truth->answer.count; i++)
        truth->marks[truth->answer.documents[i]] = expected;
    for (size_t i = 0; i < answer->count; i++) {
        if (truth->marks[answer->documents[i]] != expected)
            return false;
        truth->marks[answer->documents[i]] = seen;
    }
    return true;
}

const char *bench_truth_compare(struct bench_truth *truth, const struct bench_query *query,
                                const struct bench_answer *answer)
{
    if (query->kind == BENCH_COUNTS)
        return memcmp(truth->answer.counts, answer->counts, sizeof(answer->counts)) ? "counts"
                                                                                    : NULL;
    if (truth->answer.count != answer->count)
        return "the number of listings";
    if (query->kind == BENCH_NEAR)
        return memcmp(truth->answer.distances_m, answer->distances_m,
                      answer->count * sizeof(*answer->distances_m))
                   ? "distances"
                   : NULL;
    return same_documents(truth, answer) ? NULL : "the set of listings";
}
