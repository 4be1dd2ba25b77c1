/* SPDX-License-Identifier: EUPL-1.2 */
#include <dirent.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/theme.h"
#include "tests/bench/bench_measure.h"
#include "tests/bench/bench_truth.h"
#include "tests/bench/bench_world.h"
#include "tests/bench/server.h"

/*
 * The server benchmark: torgd and its peers as whole servers on loopback, asked
 * over their own protocols, one question at a time, some in a row to each in
 * random order. servers.sh has started them. Every answer is compared before any
 * is timed. docs/performance.md says how and why.
 */
#define COUNT_MAX 5000000
#define PEERS_MAX 8
#define SEED UINT64_C(20260)
#define SECONDS_PER_CASE 10
/*
 * So many questions a server answers in a row, before the next has its turn, as in
 * bench_ask.c: PostgreSQL goes through hundreds of megabytes for a single one, and
 * who comes next would be timed fetching its own data into the caches again.
 */
#define QUERIES_IN_A_ROW 25
#define QUERIES_MIN (2 * QUERIES_IN_A_ROW) /* each of the rows with an order of its own */
#define QUERIES_MAX 2000
#define COMMIT_CHANGES 1000
#define COMMITS_SINGLE 300
#define COMMITS_LARGE 10
/* torgd tells distances in whole millimetres. */
#define TOLERANCE_M 0.00051
#define SLUG_SIZE (THEME_SLUG_BYTES_MAX + 1)

static const char help[] =
    "bench server - torgd beside other servers\n"
    "\n"
    "usage: tools/bench server [options]\n"
    "\n"
    "Prints a line for each case and peer, separated by tabs: benchmark, case, peer,\n"
    "ours, theirs, ratio (theirs divided by ours: above 1 we are faster), unit; then\n"
    "ours and theirs at the 99th percentile, our and their bytes of memory, listings,\n"
    "samples.\n"
    "\n"
    "  --count N        listings (default 1000000)\n"
    "  --seconds S      time for each of the twelve question cases (default 10); 50\n"
    "                   questions of each are asked at least\n"
    "  --peer NAME      only this peer; may be repeated\n"
    "  --help\n";

struct options {
    size_t count;
    double seconds;
    const char *directory;
    const char *only[PEERS_MAX];
    size_t only_count;
};

/* Ours first. To add a peer, write server_NAME.c and name it here, in server.h and in servers.sh.
 */
static const struct server_peer *const peers[] = {&server_torg, &server_postgis, &server_redis};

struct question_case {
    const char *name;
    enum bench_kind kind;
    double radius_m; /* 0: of 1 to 100 km */
    bool themed;
    size_t listed;
};

static const struct question_case cases[] = {
    {"all in radius, mix", BENCH_RADIUS, 0, false, BENCH_PAGE},
    {"all in radius, 25 km + theme", BENCH_RADIUS, 25e3, true, BENCH_PAGE},
    {"nearest 20 of a theme", BENCH_NEAR, 0, true, BENCH_NEAREST},
    {"box + theme", BENCH_BOX, 0, true, BENCH_PAGE},
    {"counts per theme, 100 km", BENCH_COUNTS, 100e3, false, 0},
    {"every one in radius, 5 km", BENCH_RADIUS, 5e3, false, SERVER_EVERY},
};

struct contender {
    const struct server_peer *peer;
    void *server;
    struct bench_series times;
    uint64_t bytes;
};

struct run {
    const struct options *options;
    struct bench_source *source;
    const struct bench_world *world;
    char slugs[BENCH_THEMES][SLUG_SIZE];
    const char *slug_list[BENCH_THEMES];
    struct server_setup setup;
    uint64_t chance; /* of the order in which the contenders come */
    struct contender contenders[PEERS_MAX];
    size_t contender_count;
    struct server_question questions[QUERIES_MAX];
    uint64_t sizes[QUERIES_MAX]; /* of the answers, as they were compared */
    struct bench_truth truth;
    struct server_answer answer;
};

static void say(const char *what, const char *of)
{
    fprintf(stderr, "server: %s%s\n", what, of);
}

/* ---- memory ---- */

static long number_in_file(const char *path, const char *field)
{
    char line[512];
    long value = -1;
    FILE *file = fopen(path, "re");

    while (file && value < 0 && fgets(line, sizeof(line), file)) {
        if (strncmp(line, field, strlen(field)) == 0)
            value = strtol(line + strlen(field), NULL, 10);
    }
    if (file)
        fclose(file);
    return value;
}

/* Of a process and its children; pages that several share are divided among them (Pss). */
static uint64_t memory_bytes(const struct run *run, const struct contender *contender)
{
    char text[SERVER_FACT_BYTES_MAX], path[64];
    const struct dirent *entry;
    uint64_t bytes = 0;
    DIR *processes = opendir("/proc");
    long root;

    server_fact(run->setup.directory, contender->peer->pid_file, text);
    root = strtol(text, NULL, 10);
    while (processes && (entry = readdir(processes))) {
        long pid = strtol(entry->d_name, NULL, 10), pss_kib;

        if (pid <= 0)
            continue;
        snprintf(path, sizeof(path), "/proc/%ld/status", pid);
        if (pid != root && number_in_file(path, "PPid:") != root)
            continue;
        snprintf(path, sizeof(path), "/proc/%ld/smaps_rollup", pid);
        pss_kib = number_in_file(path, "Pss:");
        bytes += pss_kib > 0 ? (uint64_t)pss_kib * 1024 : 0;
    }
    if (processes)
        closedir(processes);
    return bytes;
}

static void measure_memory(struct run *run)
{
    for (size_t i = 0; i < run->contender_count; i++)
        run->contenders[i].bytes = memory_bytes(run, &run->contenders[i]);
}

/* ---- results ---- */

static void print_times(struct run *run, const char *name, const char *suffix)
{
    struct contender *ours = &run->contenders[0];

    measure_memory(run);
    for (size_t i = 1; i < run->contender_count; i++) {
        struct contender *theirs = &run->contenders[i];
        struct bench_line line = {
            .benchmark = "server",
            .name = name,
            .suffix = suffix,
            .peer = theirs->peer->name,
            .ours = &ours->times,
            .theirs = &theirs->times,
            .our_bytes = ours->bytes,
            .their_bytes = theirs->bytes,
            .listings = run->options->count,
        };

        bench_line_print(&line);
    }
}

static void clear_times(struct run *run)
{
    for (size_t i = 0; i < run->contender_count; i++)
        bench_series_clear(&run->contenders[i].times);
}

/* Not a time, but a line like the others: what is on disk, in bytes. */
static void print_disk(struct run *run)
{
    uint64_t ours = run->contenders[0].peer->disk_bytes(run->contenders[0].server);

    for (size_t i = 1; i < run->contender_count; i++) {
        const struct contender *contender = &run->contenders[i];
        uint64_t theirs = contender->peer->disk_bytes(contender->server);

        printf("server\tsize on disk\t%s\t%llu\t%llu\t%.3f\tB\t\t\t\t\t%zu\t1\n",
               contender->peer->name, (unsigned long long)ours, (unsigned long long)theirs,
               (double)theirs / (double)ours, run->options->count);
    }
    fflush(stdout);
}

/* ---- comparing ---- */

static bool is_near(double a, double b)
{
    return fabs(a - b) <= TOLERANCE_M;
}

/* Each listed one matches, stands once, and is as far away as the answer says, in order. */
static const char *compare_listed(struct run *run, const struct bench_query *query)
{
    const struct server_answer *answer = &run->answer;
    uint32_t round = run->truth.round++;
    bool ordered = true;
    double before_m = 0;

    for (size_t i = 0; i < answer->count; i++) {
        uint32_t document = answer->documents[i];
        double told_m = answer->distances_m[i];
        const struct bench_record *record;

        if (document >= run->world->count || !run->world->records[document].alive)
            return "a listing that does not exist";
        record = &run->world->records[document];
        if (run->truth.marks[document] == round)
            return "a listing that stands twice";
        run->truth.marks[document] = round;
        if (query->kind == BENCH_NEAR ? !bench_has_theme(query, record)
                                      : !bench_matches(query, record))
            return "a listing that does not match";
        if (query->kind != BENCH_BOX && !is_near(told_m, bench_distance_m(query, record)))
            return "a distance";
        ordered = ordered && told_m >= before_m - TOLERANCE_M;
        before_m = told_m;
    }
    return query->kind == BENCH_NEAR && !ordered ? "the order" : NULL;
}

/* The truth cut to the nearest: distance by distance, for equal ones may change places. */
static const char *compare_nearest(struct run *run, const struct server_question *question)
{
    struct bench_answer *truth = &run->truth.answer;

    if (question->query.kind == BENCH_RADIUS)
        bench_answer_cut(&question->query, run->world, truth, question->listed, BENCH_EVERYWHERE_M);
    for (size_t i = 0; i < truth->count; i++) {
        if (!is_near(truth->distances_m[i], run->answer.distances_m[i]))
            return "the nearest";
    }
    return NULL;
}

/* NULL, or what differs. The truth's answer is used up. */
static const char *compare(struct run *run, const struct server_question *question)
{
    const struct bench_query *query = &question->query;
    struct bench_answer *truth = &run->truth.answer;
    const struct server_answer *answer = &run->answer;
    const char *differs;

    bench_truth_find(&run->truth, run->world, query, false);
    if (query->kind == BENCH_COUNTS)
        return memcmp(truth->counts, answer->counts, sizeof(truth->counts)) ? "counts" : NULL;
    if (query->kind != BENCH_NEAR && answer->has_matched && answer->matched != truth->count)
        return "the number of listings";
    if (answer->count != (truth->count < question->listed ? truth->count : question->listed))
        return "the number of listings shown";
    differs = compare_listed(run, query);
    if (!differs && query->kind != BENCH_BOX && question->listed != SERVER_EVERY)
        differs = compare_nearest(run, question);
    return differs;
}

/* ---- questions ---- */

static double question_ask(struct contender *contender, const struct server_question *question)
{
    double begin_us = bench_now_us();

    contender->peer->ask(contender->server, question);
    return bench_now_us() - begin_us;
}

static uint64_t question_read(struct run *run, struct contender *contender,
                              const struct server_question *question)
{
    struct server_answer *answer = &run->answer;
    uint64_t size = 0;

    answer->has_matched = false;
    answer->count = 0;
    memset(answer->counts, 0, sizeof(answer->counts));
    contender->peer->read(contender->server, question, answer);
    if (question->query.kind != BENCH_COUNTS)
        return answer->count;
    for (size_t theme = 0; theme < BENCH_THEMES; theme++)
        size += answer->counts[theme];
    return size;
}

static struct server_question question_new(struct run *run, const struct question_case *asked)
{
    struct server_question question = {.listed = asked->listed};

    question.query = bench_source_query(run->source, asked->kind, asked->radius_m, asked->themed);
    /* Whole metres, as in a request. */
    if (asked->kind == BENCH_RADIUS || asked->kind == BENCH_COUNTS)
        question.query = bench_query_within(&question.query, floor(question.query.radius_m));
    return question;
}

/* Pass one: every answer of every contender, in half of the time. Returns how many questions. */
static size_t compare_all(struct run *run, const struct question_case *asked)
{
    double begin_us = bench_now_us();
    size_t number = 0;

    do {
        struct server_question *question = &run->questions[number];

        *question = question_new(run, asked);
        for (size_t i = 0; i < run->contender_count; i++) {
            struct contender *contender = &run->contenders[i];
            const char *differs;

            question_ask(contender, question);
            run->sizes[number] = question_read(run, contender, question);
            differs = compare(run, question);
            if (differs)
                bench_die("%s, question %zu: %s differs from the truth in %s", asked->name, number,
                          contender->peer->name, differs);
        }
        number++;
    } while (number < QUERIES_MAX &&
             (number < QUERIES_MIN || bench_now_us() - begin_us < run->options->seconds * 1e6 / 2));
    return number;
}

/* Questions from begin on, as many as stand in a row. */
static void time_row(struct run *run, const struct question_case *asked,
                     struct contender *contender, size_t begin, size_t end)
{
    for (size_t number = begin; number < begin + QUERIES_IN_A_ROW && number < end; number++) {
        const struct server_question *question = &run->questions[number];

        bench_series_add(&contender->times, question_ask(contender, question));
        if (question_read(run, contender, question) != run->sizes[number])
            bench_die("%s, question %zu: %s answers differently the second time", asked->name,
                      number, contender->peer->name);
    }
}

/* Pass two: the same questions, timed. */
static void ask_all(struct run *run, const struct question_case *asked, const char *suffix)
{
    struct contender *order[PEERS_MAX];
    size_t questions;

    bench_source_seed(run->source, SEED + 1 + (uint64_t)(asked - cases));
    questions = compare_all(run, asked);
    fprintf(stderr, "server: %s%s: %zu questions, all answers equal\n", asked->name, suffix,
            questions);
    clear_times(run);
    for (size_t i = 0; i < run->contender_count; i++)
        order[i] = &run->contenders[i];
    for (size_t number = 0; number < questions; number += QUERIES_IN_A_ROW) {
        bench_shuffle(&run->chance, order, run->contender_count, sizeof(*order));
        for (size_t i = 0; i < run->contender_count; i++)
            time_row(run, asked, order[i], number, questions);
    }
    print_times(run, asked->name, suffix);
}

/* ---- writes ---- */

/* A listing that changes twice before the commit changes once. Returns how many are left. */
static size_t merge(struct run *run, struct bench_change *changes, size_t count)
{
    uint32_t first = run->truth.round;
    size_t left = 0;

    run->truth.round += (uint32_t)count + 1;
    for (size_t i = 0; i < count; i++) {
        const struct bench_change *change = &changes[i];
        uint32_t *mark =
            &run->truth.marks[(change->has ? &change->after : &change->before)->document];

        if (*mark >= first) {
            changes[*mark - first].has = change->has;
            changes[*mark - first].after = change->after;
        } else {
            *mark = first + (uint32_t)left;
            changes[left++] = *change;
        }
    }
    count = left;
    left = 0;
    for (size_t i = 0; i < count; i++) {
        if (changes[i].had || changes[i].has)
            changes[left++] = changes[i];
    }
    return left;
}

static void settle_all(struct run *run)
{
    for (size_t i = 0; i < run->contender_count; i++) {
        if (run->contenders[i].peer->settle)
            run->contenders[i].peer->settle(run->contenders[i].server);
    }
}

static void load_all(struct run *run)
{
    clear_times(run);
    for (size_t i = 0; i < run->contender_count; i++) {
        struct contender *contender = &run->contenders[i];
        double begin_us = bench_now_us();

        say("loading ", contender->peer->name);
        contender->peer->load(contender->server);
        bench_series_add(&contender->times, bench_now_us() - begin_us);
    }
    settle_all(run);
    print_times(run, "bulk load", "");
    print_disk(run);
}

/* A tenth of the listings: inserts, updates and deletes, in commits. */
static void write_tenth(struct run *run)
{
    static struct bench_change changes[COMMIT_CHANGES];

    say("10 % writes", "");
    bench_source_seed(run->source, SEED + 100);
    for (size_t left = run->options->count / 10; left > 0;) {
        size_t size = left < COMMIT_CHANGES ? left : COMMIT_CHANGES, merged;

        for (size_t i = 0; i < size; i++)
            bench_source_change(run->source, &changes[i]);
        merged = merge(run, changes, size);
        for (size_t i = 0; i < run->contender_count; i++)
            run->contenders[i].peer->write(run->contenders[i].server, changes, merged);
        left -= size;
    }
    settle_all(run);
}

/* Durable updates of size listings a commit: the time of one update. */
static void update_all(struct run *run, const char *name, size_t size, size_t commits)
{
    static struct bench_change changes[COMMIT_CHANGES];
    struct contender *order[PEERS_MAX];

    say(name, "");
    bench_source_seed(run->source, SEED + 200 + size);
    clear_times(run);
    for (size_t i = 0; i < run->contender_count; i++)
        order[i] = &run->contenders[i];
    for (size_t commit = 0; commit < commits; commit++) {
        size_t merged;

        for (size_t i = 0; i < size; i++)
            bench_source_update(run->source, &changes[i]);
        merged = merge(run, changes, size);
        bench_shuffle(&run->chance, order, run->contender_count, sizeof(*order));
        for (size_t i = 0; i < run->contender_count; i++) {
            double begin_us = bench_now_us();

            order[i]->peer->write(order[i]->server, changes, merged);
            bench_series_add(&order[i]->times, (bench_now_us() - begin_us) / (double)merged);
        }
    }
    print_times(run, name, "");
}

/* ---- all of it ---- */

/* The themes that have none below them, so that a theme is one value for every server. */
static void themes_init(struct run *run)
{
    struct theme_tree *tree;
    size_t count = 0;

    if (theme_tree_builtin(&tree))
        bench_die("out of memory");
    for (size_t i = 0; i < theme_tree_count(tree); i++) {
        struct span slug = span_of_str(theme_tree_at(tree, i)->slug);
        bool deepest = true;

        for (size_t j = 0; j < theme_tree_count(tree); j++)
            deepest = deepest &&
                      (j == i || !theme_holds(slug, span_of_str(theme_tree_at(tree, j)->slug)));
        if (!deepest || count == BENCH_THEMES)
            continue;
        snprintf(run->slugs[count], SLUG_SIZE, "%s", theme_tree_at(tree, i)->slug);
        run->slug_list[count] = run->slugs[count];
        count++;
    }
    theme_tree_free(tree);
    run->setup.slugs = run->slug_list;
    run->setup.theme_count = count;
}

static bool wanted(const struct options *options, const struct server_peer *peer)
{
    if (options->only_count == 0 || peer == peers[0])
        return true;
    for (size_t i = 0; i < options->only_count; i++) {
        if (strcmp(options->only[i], peer->name) == 0)
            return true;
    }
    return false;
}

static struct run *run_new(const struct options *options)
{
    struct run *run = calloc(1, sizeof(*run));

    if (!run)
        bench_die("out of memory");
    run->options = options;
    run->chance = SEED;
    themes_init(run);
    say("making listings", "");
    run->source = bench_source_new(options->count, run->setup.theme_count, SEED);
    run->world = bench_source_world(run->source);
    run->setup.world = run->world;
    run->setup.directory = options->directory;
    bench_truth_init(&run->truth, run->world->capacity);
    bench_truth_look(&run->truth, run->world);
    run->answer.documents = calloc(run->world->capacity, sizeof(*run->answer.documents));
    run->answer.distances_m = calloc(run->world->capacity, sizeof(*run->answer.distances_m));
    if (!run->answer.documents || !run->answer.distances_m)
        bench_die("out of memory");
    for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
        struct contender *contender = &run->contenders[run->contender_count];

        if (!wanted(options, peers[i]))
            continue;
        contender->peer = peers[i];
        contender->server = peers[i]->open(&run->setup);
        run->contender_count++;
    }
    return run;
}

static void run_free(struct run *run)
{
    for (size_t i = 0; i < run->contender_count; i++) {
        run->contenders[i].peer->close(run->contenders[i].server);
        bench_series_done(&run->contenders[i].times);
    }
    bench_truth_done(&run->truth);
    free(run->answer.documents);
    free(run->answer.distances_m);
    bench_source_free(run->source);
    free(run);
}

static void run_all(const struct options *options)
{
    struct run *run = run_new(options);

    load_all(run);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        ask_all(run, &cases[i], "");
    write_tenth(run);
    bench_truth_look(&run->truth, run->world);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        ask_all(run, &cases[i], " after 10 % writes");
    update_all(run, "update, 1 a commit", 1, COMMITS_SINGLE);
    update_all(run, "update, 1000 a commit", COMMIT_CHANGES, COMMITS_LARGE);
    run_free(run);
}

static void peer_add(struct options *options, const char *name)
{
    for (size_t i = 1; i < ARRAY_SIZE(peers); i++) {
        if (strcmp(peers[i]->name, name) == 0 && options->only_count < PEERS_MAX) {
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
        {"count", required_argument, NULL, 'n'}, {"seconds", required_argument, NULL, 's'},
        {"peer", required_argument, NULL, 'p'},  {"directory", required_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},        {0},
    };
    struct options options = {.count = 1000000, .seconds = SECONDS_PER_CASE, .directory = "."};
    int option;

    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (option) {
        case 'n':
            options.count = bench_number("--count", optarg, 1000, COUNT_MAX);
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
        case 'h':
            fputs(help, stdout);
            return 0;
        default:
            return 2;
        }
    }
    if (optind < argc)
        bench_die("\"%s\" is not an option; see --help", argv[optind]);
    run_all(&options);
    return 0;
}
