/* SPDX-License-Identifier: EUPL-1.2 */
#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "protocol/bytes.h"
#include "tests/bench/bench_run.h"

/*
 * The index benchmark: torg and its peers in one process, the same queries
 * for all, in random order query by query. Every answer is compared before any
 * is timed. docs/performance.md says how and why.
 */
#define COUNT_MAX 20000000
#define COUNT_SMALL 100000
#define COUNT_LARGE 10000000
#define SECONDS_PER_CASE 30
#define LOADS 3 /* of those that take less than LOAD_SHORT_US */
#define LOAD_SHORT_US 3e6
#define COMMIT_CHANGES 1000
#define COMMITS_SINGLE 300
#define COMMITS_LARGE 20

/* ---- options ---- */

static const char help[] =
    "bench index - torg's R-tree beside other spatial indexes\n"
    "\n"
    "usage: tools/bench index [options]\n"
    "\n"
    "Prints a line for each case and peer, separated by tabs: benchmark, case, peer,\n"
    "ours, theirs, ratio (theirs divided by ours: above 1 we are faster), unit; then\n"
    "ours and theirs at the 99th percentile, our and their bytes, listings, samples.\n"
    "\n"
    "  --count N        listings (default 1000000)\n"
    "  --all            besides, 100000 and 10000000\n"
    "  --seconds S      time for each of the twelve query cases (default 30); 25 questions\n"
    "                   of each are asked at least\n"
    "  --peer NAME      only this peer; may be repeated\n"
    "  --writes         loading and updates only, no questions\n"
    "  --directory DIR  for what is kept on disk; a new directory below it is used\n"
    "                   and removed (default: here)\n"
    "  --help\n";

struct options {
    size_t count;
    bool all;
    bool writes;
    double seconds;
    const char *directory;
    const char *only[BENCH_PEERS_MAX];
    size_t only_count;
};

/*
 * Ours first; torg packed takes part after the writes only. To add a peer, write
 * peer_NAME and name it here, in bench.h and in meson.build. BENCH_ALONE is for
 * the tests: our own answers against the truth, where no peer is installed.
 */
static const struct bench_peer *const peers[] = {
    &peer_torg,
#ifndef BENCH_ALONE
    &peer_boost_packed, &peer_boost_rstar, &peer_boost_by_theme, &peer_geos,
    &peer_spatialindex, &peer_sqlite,      &peer_nanoflann,
#endif
    &peer_torg_packed,
};

/* ---- results ---- */

static void say(const struct bench_run *run, const char *what, const char *of)
{
    fprintf(stderr, "%s: %s%s\n", run->name, what, of);
}

/* ---- loading ---- */

static int remove_entry(const char *path, const struct stat *stat, int kind, struct FTW *walk)
{
    (void)stat;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void directory_remove(const char *path)
{
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
        bench_die("%s: %s", path, strerror(errno));
}

static void contender_close(struct bench_contender *contender)
{
    if (contender->tree)
        contender->peer->close(contender->tree);
    contender->tree = NULL;
    directory_remove(contender->directory);
}

/* Opened, loaded and timed, in place of what it was. */
static void contender_load(struct bench_run *run, struct bench_contender *contender)
{
    const struct bench_peer *peer = contender->peer;
    uint64_t heap_bytes;
    struct bench_watch watch;

    contender_close(contender);
    if (mkdir(contender->directory, 0700) != 0)
        bench_die("%s: %s", contender->directory, strerror(errno));
    heap_bytes = bench_heap_bytes();
    contender->tree = peer->open(run->world, contender->directory);
    watch = bench_watch_start();
    peer->load(contender->tree);
    bench_series_add(&contender->loads, bench_watch_busy_us(&watch));
    contender->bytes = peer->bytes ? peer->bytes(contender->tree) : bench_heap_bytes() - heap_bytes;
}

static void print_loads(struct bench_run *run)
{
    struct bench_contender *ours = &run->contenders[0];

    for (size_t i = 1; i < run->contender_count; i++) {
        struct bench_contender *theirs = &run->contenders[i];
        struct bench_line line = {
            .benchmark = run->name,
            .name = "bulk load",
            .suffix = "",
            .peer = theirs->peer->name,
            .ours = &ours->loads,
            .theirs = &theirs->loads,
            .our_bytes = ours->bytes,
            .their_bytes = theirs->bytes,
            .listings = run->count,
        };

        if (theirs->loads.count > 0)
            bench_line_print(&line);
    }
}

static void load_all(struct bench_run *run)
{
    for (size_t round = 0; round < LOADS; round++) {
        for (size_t i = 0; i < run->contender_count; i++) {
            struct bench_contender *contender = &run->contenders[i];

            if (contender->peer == &peer_torg_packed)
                continue;
            if (round > 0 && bench_series_at(&contender->loads, 1) > LOAD_SHORT_US)
                continue;
            say(run, "loading ", contender->peer->name);
            contender_load(run, contender);
        }
    }
    print_loads(run);
}

/* ---- writes ---- */

/* What a peer does while nobody writes, told beside the writes that made it due. */
static void settle_all(struct bench_run *run)
{
    for (size_t i = 0; i < run->contender_count; i++) {
        struct bench_contender *contender = &run->contenders[i];
        double begin_us = bench_now_us();
        size_t steps;

        if (!contender->tree || !contender->peer->settle)
            continue;
        steps = contender->peer->settle(contender->tree);
        fprintf(stderr, "%s: %s settles in %zu steps, %.0f ms\n", run->name, contender->peer->name,
                steps, (bench_now_us() - begin_us) / 1e3);
    }
}

/* A tenth of the listings, committed; what cannot change is built again. */
static void write_tenth(struct bench_run *run)
{
    static struct bench_change changes[COMMIT_CHANGES];
    struct bench_contender *order[BENCH_PEERS_MAX];
    size_t left = run->count / 10;

    say(run, "10 % writes", "");
    bench_source_seed(run->source, BENCH_SEED + 100);
    while (left > 0) {
        size_t size = left < COMMIT_CHANGES ? left : COMMIT_CHANGES;
        size_t count = bench_run_order(run, order);

        for (size_t i = 0; i < size; i++)
            bench_source_change(run->source, &changes[i]);
        for (size_t i = 0; i < count; i++) {
            if (order[i]->peer->write)
                order[i]->peer->write(order[i]->tree, changes, size);
        }
        left -= size;
    }
    settle_all(run);
    for (size_t i = 0; i < run->contender_count; i++) {
        if (!run->contenders[i].peer->write)
            contender_load(run, &run->contenders[i]);
        else if (run->contenders[i].peer->bytes)
            run->contenders[i].bytes = run->contenders[i].peer->bytes(run->contenders[i].tree);
    }
}

/* Durable updates of size listings a commit: the time of one update. */
static void update_all(struct bench_run *run, const char *name, size_t size, size_t commits)
{
    static struct bench_change changes[COMMIT_CHANGES];
    struct bench_contender *order[BENCH_PEERS_MAX];

    say(run, name, "");
    bench_source_seed(run->source, BENCH_SEED + 200 + size);
    for (size_t i = 0; i < run->contender_count; i++)
        bench_series_clear(&run->contenders[i].times);
    for (size_t commit = 0; commit < commits; commit++) {
        size_t count = bench_run_order(run, order);

        for (size_t i = 0; i < size; i++)
            bench_source_update(run->source, &changes[i]);
        for (size_t i = 0; i < count; i++) {
            double begin_us = bench_now_us();

            if (!order[i]->peer->durable)
                continue;
            order[i]->peer->write(order[i]->tree, changes, size);
            bench_series_add(&order[i]->times, (bench_now_us() - begin_us) / (double)size);
        }
    }
    bench_run_print(run, name, "");
}

/* ---- all of it ---- */

static bool wanted(const struct options *options, const struct bench_peer *peer)
{
    if (options->only_count == 0 || peer == &peer_torg)
        return true;
    for (size_t i = 0; i < options->only_count; i++) {
        if (strcmp(options->only[i], peer->name) == 0)
            return true;
    }
    return false;
}

static struct bench_run *run_new(const struct options *options, const char *name, size_t count)
{
    struct bench_run *run = calloc(1, sizeof(*run));

    if (!run)
        bench_die("out of memory");
    run->seconds = options->seconds;
    run->count = count;
    snprintf(run->name, sizeof(run->name), "%s", name);
    snprintf(run->directory, sizeof(run->directory), "%.1000s/bench-XXXXXX", options->directory);
    if (!mkdtemp(run->directory))
        bench_die("%s: %s", options->directory, strerror(errno));
    say(run, "making listings", "");
    run->source = bench_source_new(count, BENCH_THEMES, BENCH_SEED);
    run->world = bench_source_world(run->source);
    bench_truth_init(&run->truth, run->world->capacity);
    bench_answer_init(&run->answer, run->world->capacity);
    for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
        struct bench_contender *contender = &run->contenders[run->contender_count];

        if (!wanted(options, peers[i]))
            continue;
        contender->peer = peers[i];
        snprintf(contender->directory, sizeof(contender->directory), "%.2000s/%zu", run->directory,
                 i);
        run->contender_count++;
    }
    return run;
}

static void run_free(struct bench_run *run)
{
    for (size_t i = 0; i < run->contender_count; i++) {
        contender_close(&run->contenders[i]);
        bench_series_done(&run->contenders[i].loads);
        bench_series_done(&run->contenders[i].times);
    }
    directory_remove(run->directory);
    bench_truth_done(&run->truth);
    bench_answer_done(&run->answer);
    bench_source_free(run->source);
    free(run);
}

/* ret_nearest: our times of "nearest 20 of a theme"; the caller's. */
static void run_all(const struct options *options, const char *name, size_t count,
                    struct bench_series *ret_nearest)
{
    struct bench_run *run = run_new(options, name, count);

    load_all(run);
    if (!options->writes)
        bench_run_ask(run, "");
    write_tenth(run);
    if (!options->writes)
        bench_run_ask(run, " after 10 % writes");
    update_all(run, "update, 1 a commit", 1, COMMITS_SINGLE);
    update_all(run, "update, 1000 a commit", COMMIT_CHANGES, COMMITS_LARGE);
    *ret_nearest = run->nearest;
    run_free(run);
}

/* How the cost grows with the data: the index itself at 100 times the size. */
static void run_three(const struct options *options)
{
    struct bench_series small, middle, large;
    struct bench_line line = {
        .benchmark = "index, 10 M",
        .name = "nearest 20 of a theme",
        .suffix = ", 10 M beside 100 k",
        .peer = "torg at 100 k",
        .ours = &large,
        .theirs = &small,
        .listings = COUNT_LARGE,
    };

    run_all(options, "index, 100 k", COUNT_SMALL, &small);
    run_all(options, "index", options->count, &middle);
    run_all(options, "index, 10 M", COUNT_LARGE, &large);
    bench_line_print(&line);
    bench_series_done(&small);
    bench_series_done(&middle);
    bench_series_done(&large);
}

static void peer_add(struct options *options, const char *name)
{
    for (size_t i = 1; i < ARRAY_SIZE(peers); i++) {
        if (strcmp(peers[i]->name, name) == 0 && options->only_count < BENCH_PEERS_MAX) {
            options->only[options->only_count++] = name;
            return;
        }
    }
    fputs("bench: --peer: there are:", stderr);
    for (size_t i = 1; i < ARRAY_SIZE(peers); i++)
        fprintf(stderr, " \"%s\"", peers[i]->name);
    fputc('\n', stderr);
    exit(2);
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"count", required_argument, NULL, 'n'},
        {"all", no_argument, NULL, 'a'},
        {"seconds", required_argument, NULL, 's'},
        {"peer", required_argument, NULL, 'p'},
        {"directory", required_argument, NULL, 'd'},
        {"writes", no_argument, NULL, 'w'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct options options = {.count = 1000000, .seconds = SECONDS_PER_CASE, .directory = "."};
    int option;

    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (option) {
        case 'n':
            options.count = bench_number("--count", optarg, 1000, COUNT_MAX);
            break;
        case 'a':
            options.all = true;
            break;
        case 's':
            options.seconds = (double)bench_number("--seconds", optarg, 0, 3600);
            break;
        case 'p':
            peer_add(&options, optarg);
            break;
        case 'd':
            options.directory = optarg;
            break;
        case 'w':
            options.writes = true;
            break;
        case 'h':
            fputs(help, stdout);
            return 0;
        default:
            return 2;
        }
    }
    if (optind < argc)
        bench_die("\"%s\" is not an option; see --help", argv[optind]);
    if (options.all) {
        run_three(&options);
    } else {
        struct bench_series nearest;

        run_all(&options, "index", options.count, &nearest);
        bench_series_done(&nearest);
    }
    return 0;
}
