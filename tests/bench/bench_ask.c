/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdio.h>
#include <string.h>

#include "protocol/bytes.h"
#include "tests/bench/bench_run.h"

#define QUERIES_MIN 25
#define QUERIES_BY_GEODESICS 2 /* of each case: checks the test that all share */
/*
 * So many questions a contender answers in a row, before the next has its turn:
 * single ones would time how its data comes back into the caches after others
 * have used them, which is not how a server is asked.
 */
#define QUERIES_IN_A_ROW 25

enum themed { THEMED_NEVER, THEMED_EVERY_OTHER, THEMED_ALWAYS };

struct query_case {
    const char *name;
    enum bench_kind kind;
    double radius_m; /* 0: of 1 to 100 km */
    enum themed themed;
};

static const struct query_case cases[] = {
    {"all in radius, mix", BENCH_RADIUS, 0, THEMED_EVERY_OTHER},
    {"all in radius, no theme", BENCH_RADIUS, 0, THEMED_NEVER},
    {"all in radius, 25 km + theme", BENCH_RADIUS, 25e3, THEMED_ALWAYS},
    {"nearest 20 of a theme", BENCH_NEAR, 0, THEMED_ALWAYS},
    {"box + theme", BENCH_BOX, 0, THEMED_ALWAYS},
    {"counts per theme, 100 km", BENCH_COUNTS, 100e3, THEMED_NEVER},
};

size_t bench_run_order(struct bench_run *run, struct bench_contender **order)
{
    size_t count = 0;

    for (size_t i = 0; i < run->contender_count; i++) {
        if (run->contenders[i].tree)
            order[count++] = &run->contenders[i];
    }
    bench_shuffle(&run->chance, order, count, sizeof(*order));
    return count;
}

void bench_run_print(const struct bench_run *run, const char *name, const char *suffix)
{
    const struct bench_contender *ours = &run->contenders[0];

    for (size_t i = 1; i < run->contender_count; i++) {
        const struct bench_contender *theirs = &run->contenders[i];
        struct bench_series ours_same = bench_series_first(&ours->times, theirs->times.count);
        struct bench_series theirs_all = bench_series_first(&theirs->times, theirs->times.count);
        struct bench_line line = {
            .benchmark = run->name,
            .name = name,
            .suffix = suffix,
            .peer = theirs->peer->name,
            .ours = &ours_same,
            .theirs = &theirs_all,
            .our_bytes = ours->bytes,
            .their_bytes = theirs->bytes,
            .listings = run->count,
        };

        if (theirs->tree && theirs->times.count > 0)
            bench_line_print(&line);
        bench_series_done(&ours_same);
        bench_series_done(&theirs_all);
    }
}

/* How many listings an answer speaks of. */
static size_t answer_size(const struct bench_query *query, const struct bench_answer *answer)
{
    size_t size = 0;

    if (query->kind != BENCH_COUNTS)
        return answer->count;
    for (size_t theme = 0; theme < BENCH_THEMES; theme++)
        size += answer->counts[theme];
    return size;
}

static double query_run(struct bench_run *run, struct bench_contender *contender,
                        const struct bench_query *query)
{
    struct bench_watch watch;

    run->answer.count = 0;
    memset(run->answer.counts, 0, sizeof(run->answer.counts));
    watch = bench_watch_start();
    contender->peer->run(contender->tree, query, &run->answer);
    return bench_watch_us(&watch);
}

/* ---- pass one: compared ---- */

/* The quick test of a distance, which all share, against a geodesic for every listing. */
static void check_by_geodesics(struct bench_run *run, const struct query_case *asked, size_t number)
{
    const struct bench_query *query = &run->queries[number];
    struct bench_answer *quick = &run->truth.answer, *kept = &run->answer;
    const char *differs;

    bench_truth_find(&run->truth, run->world, query, false);
    kept->count = quick->count;
    memcpy(kept->documents, quick->documents, quick->count * sizeof(*quick->documents));
    memcpy(kept->counts, quick->counts, sizeof(quick->counts));
    memcpy(kept->distances_m, quick->distances_m, sizeof(quick->distances_m));
    bench_truth_find(&run->truth, run->world, query, true);
    differs = bench_truth_compare(&run->truth, query, kept);
    if (differs)
        bench_die("%s, query %zu: chords and geodesics differ in %s", asked->name, number, differs);
}

/* Ours is asked as long as anybody is. */
static bool has_time(const struct bench_run *run, const struct bench_contender *contender)
{
    double share_us = run->seconds * 1e6 / 2 / (double)run->contender_count;

    return contender->asked < QUERIES_MIN || contender == &run->contenders[0] ||
           contender->spent_us < share_us;
}

/* Asks one question of all that have time left; how many these were, besides ours. */
static size_t compare_one(struct bench_run *run, const struct query_case *asked, size_t number)
{
    struct bench_contender *order[BENCH_PEERS_MAX];
    const struct bench_query *query = &run->queries[number];
    size_t count = bench_run_order(run, order), others = 0;

    for (size_t i = 0; i < count; i++) {
        const char *differs;

        if (order[i]->asked < number || !has_time(run, order[i]))
            continue;
        order[i]->spent_us += query_run(run, order[i], query);
        order[i]->asked++;
        others += order[i] != &run->contenders[0];
        differs = bench_truth_compare(&run->truth, query, &run->answer);
        if (differs)
            bench_die("%s, query %zu: %s differs from the truth in %s", asked->name, number,
                      order[i]->peer->name, differs);
    }
    return others;
}

/*
 * As many questions as half of the time allows. A peer that has used its share of it
 * is asked no more, so that the slow ones do not leave the fast ones a few questions.
 */
static size_t compare_all(struct bench_run *run, const struct query_case *asked)
{
    double begin_us = bench_now_us(), aside_us;
    size_t number = 0, others;

    for (size_t i = 0; i < run->contender_count; i++) {
        run->contenders[i].asked = 0;
        run->contenders[i].spent_us = 0;
    }
    do {
        bool themed = asked->themed == THEMED_ALWAYS ||
                      (asked->themed == THEMED_EVERY_OTHER && number % 2 == 1);

        run->queries[number] =
            bench_source_query(run->source, asked->kind, asked->radius_m, themed);
        aside_us = bench_now_us();
        if (number < QUERIES_BY_GEODESICS)
            check_by_geodesics(run, asked, number);
        begin_us += bench_now_us() - aside_us;
        bench_truth_find(&run->truth, run->world, &run->queries[number], false);
        run->sizes[number] = answer_size(&run->queries[number], &run->truth.answer);
        others = compare_one(run, asked, number);
        number++;
    } while (number < BENCH_QUERIES_MAX &&
             (number < QUERIES_MIN ||
              (others > 0 && bench_now_us() - begin_us < run->seconds * 1e6 / 2)));
    return number;
}

/* ---- pass two: timed ---- */

static void time_row(struct bench_run *run, const struct query_case *asked,
                     struct bench_contender *contender, size_t begin)
{
    for (size_t number = begin; number < begin + QUERIES_IN_A_ROW && number < contender->asked;
         number++) {
        const struct bench_query *query = &run->queries[number];

        bench_series_add(&contender->times, query_run(run, contender, query));
        if (answer_size(query, &run->answer) != run->sizes[number])
            bench_die("%s, query %zu: %s answers differently the second time", asked->name, number,
                      contender->peer->name);
    }
}

static void ask_one(struct bench_run *run, const struct query_case *asked, const char *suffix)
{
    struct bench_contender *order[BENCH_PEERS_MAX];
    size_t queries, found = 0;

    /* The same questions again and in every run, however many of them there is time for. */
    bench_source_seed(run->source, BENCH_SEED + 1 + (uint64_t)(asked - cases));
    queries = compare_all(run, asked);
    for (size_t number = 0; number < queries; number++)
        found += run->sizes[number];
    fprintf(stderr, "%s: %s%s: %zu queries, all answers equal, %zu listings in one on average\n",
            run->name, asked->name, suffix, queries, found / queries);
    for (size_t i = 0; i < run->contender_count; i++)
        bench_series_clear(&run->contenders[i].times);
    for (size_t number = 0; number < queries; number += QUERIES_IN_A_ROW) {
        size_t count = bench_run_order(run, order);

        for (size_t i = 0; i < count; i++)
            time_row(run, asked, order[i], number);
    }
    bench_run_print(run, asked->name, suffix);
    if (asked->kind == BENCH_NEAR && !*suffix) {
        for (size_t i = 0; i < run->contenders[0].times.count; i++)
            bench_series_add(&run->nearest, run->contenders[0].times.us[i]);
    }
}

void bench_run_ask(struct bench_run *run, const char *suffix)
{
    bench_truth_look(&run->truth, run->world);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        ask_one(run, &cases[i], suffix);
}
