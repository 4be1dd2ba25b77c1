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
    truth->x = calloc(capacity, sizeof(*truth->x));
    truth->y = calloc(capacity, sizeof(*truth->y));
    truth->z = calloc(capacity, sizeof(*truth->z));
    truth->lon_e7 = calloc(capacity, sizeof(*truth->lon_e7));
    truth->lat_e7 = calloc(capacity, sizeof(*truth->lat_e7));
    truth->theme = calloc(capacity, sizeof(*truth->theme));
    if (!truth->marks || !truth->x || !truth->y || !truth->z || !truth->lon_e7 || !truth->lat_e7 ||
        !truth->theme)
        bench_die("out of memory");
}

void bench_truth_done(struct bench_truth *truth)
{
    bench_answer_done(&truth->answer);
    free(truth->marks);
    free(truth->x);
    free(truth->y);
    free(truth->z);
    free(truth->lon_e7);
    free(truth->lat_e7);
    free(truth->theme);
}

void bench_truth_look(struct bench_truth *truth, const struct bench_world *world)
{
    for (size_t i = 0; i < world->count; i++) {
        const struct bench_record *record = &world->records[i];

        truth->x[i] = record->x;
        truth->y[i] = record->y;
        truth->z[i] = record->z;
        truth->lon_e7[i] = record->lon_e7;
        truth->lat_e7[i] = record->lat_e7;
        truth->theme[i] = record->theme;
    }
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

/*
 * Who may belong to the answer, without a branch for each record, so that there
 * is time for many questions: by the theme, and by the box or the outer chord.
 */
static size_t candidates(const struct bench_truth *truth, size_t count,
                         const struct bench_query *query, uint32_t *out)
{
    const bool any = query->theme == BENCH_THEME_ANY;
    size_t found = 0;

    if (query->kind == BENCH_BOX) {
        for (size_t i = 0; i < count; i++) {
            out[found] = (uint32_t)i;
            found += (any | (truth->theme[i] == query->theme)) &
                     (truth->lon_e7[i] >= query->west_e7) & (truth->lon_e7[i] <= query->east_e7) &
                     (truth->lat_e7[i] >= query->south_e7) & (truth->lat_e7[i] <= query->north_e7);
        }
    } else if (query->kind == BENCH_NEAR) {
        for (size_t i = 0; i < count; i++) {
            out[found] = (uint32_t)i;
            found += any | (truth->theme[i] == query->theme);
        }
    } else {
        for (size_t i = 0; i < count; i++) {
            double x = truth->x[i] - query->x, y = truth->y[i] - query->y,
                   z = truth->z[i] - query->z;

            out[found] = (uint32_t)i;
            found += (any | (truth->theme[i] == query->theme)) &
                     (x * x + y * y + z * z <= query->out_m2);
        }
    }
    return found;
}

void bench_truth_find(struct bench_truth *truth, const struct bench_world *world,
                      const struct bench_query *query, bool by_geodesics)
{
    struct bench_answer *answer = &truth->answer;
    size_t left =
        by_geodesics ? world->count : candidates(truth, world->count, query, answer->documents);

    answer->count = 0;
    memset(answer->counts, 0, sizeof(answer->counts));
    for (size_t i = 0; i < left; i++) { /* What is taken stands before what is still to be read. */
        const struct bench_record *record =
            &world->records[by_geodesics ? i : answer->documents[i]];

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
