/* SPDX-License-Identifier: EUPL-1.2 */
#include <dirent.h>
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "protocol/listing.h"
#include "protocol/theme.h"
#include "tests/bench/bench_world.h"
#include "tests/bench/http_load.h"
#include "tests/bench/server.h"
#include "tests/bench/server_http.h"

/*
 * The HTTP benchmark: how many whole answers a second, and how late, beside a
 * file server, a hand-written service and MapServer on the same data. servers.sh
 * has started them. The question is another one each time. docs/performance.md
 * says how and why.
 */
#define COUNT_MAX 5000000
#define SEED UINT64_C(50820)
#define QUESTIONS 20000 /* of each case; so many different requests */
#define COMPARED 100    /* of them, whose answers are compared before */
#define ROUNDS 3
#define SECONDS_STANDARD 2
#define SERVER_PROCESSOR 0
#define CLIENT_PROCESSOR 1
#define REQUEST_BYTES_MAX 512
#define SLUG_SIZE (THEME_SLUG_BYTES_MAX + 1)
#define PEERS 4
#define CASES 3
#define ITEMS "/torg/v1/collections/offers/items"
#define MAPSERVER "/ogcapi/collections/listing/items?f=json"

static const char help[] =
    "bench http - torgd's answers beside other servers of HTTP\n"
    "\n"
    "usage: tools/bench http [options]\n"
    "\n"
    "Prints a line for each case and peer, separated by tabs: benchmark, case, peer,\n"
    "ours, theirs, ratio (theirs divided by ours: above 1 we are faster), unit; then\n"
    "ours and theirs at the 99th percentile, two columns of 0, listings, samples. A\n"
    "case's own line is of microseconds for each answer at 16 connections, so that\n"
    "the ratio is that of requests a second; its 99th percentiles, and the lines of 1,\n"
    "16 and 64 connections, are of the time that one answer took.\n"
    "\n"
    "  --count N        listings (default 1000000)\n"
    "  --seconds S      of each measurement, of which there are 3 of each case, peer and\n"
    "                   number of connections (default 2; 0: a tenth)\n"
    "  --peer NAME      only this peer: \"nginx static\", \"Node + PostGIS\", MapServer\n"
    "  --help\n";

static const size_t connection_counts[] = {1, 16, 64};
#define COUNTS ARRAY_SIZE(connection_counts)
#define MAIN_COUNT 1 /* the place of 16 */

enum peer { TORG, NGINX, NODE, MAP };
static const struct {
    const char *name, *port_file;
} peers[PEERS] = {
    {"torg", "torg.http"},
    {"nginx static", "nginx.port"},
    {"Node + PostGIS", "node.port"},
    {"MapServer", "mapserver.port"},
};

enum http_case { NEAR, BOX, ONE };
static const struct {
    const char *name, *file;
    bool by[PEERS];
} cases[CASES] = {
    {"near + theme, 20 features", "near.json", {true, true, true, false}},
    {"box + theme, 100 features", "box.json", {true, true, true, true}},
    {"one feature", "one.json", {true, true, true, true}},
};

struct series {
    struct bench_series latencies, each; /* each: microseconds for an answer, one a round */
};

struct run {
    const char *directory, *only;
    size_t count;
    double seconds;
    struct bench_source *source;
    char slugs[BENCH_THEMES][SLUG_SIZE];
    const char *slug_list[BENCH_THEMES];
    struct server_setup setup;
    uint16_t ports[PEERS];
    char (*ids)[FEATURE_ID_SIZE + 1]; /* that answers told, and their numbers */
    uint32_t *numbers;
    size_t id_count;
    struct bench_query *queries;
    struct span requests[PEERS][QUESTIONS];
    size_t request_counts[PEERS];
    struct http_load loads[PEERS];
    struct series measured[PEERS][COUNTS];
};

static void say(const char *what)
{
    fprintf(stderr, "http: %s\n", what);
}

/* ---- the questions ---- */

/* The themes that have none below them, so that a theme is one value for every server. */
static void themes_init(struct run *run)
{
    struct theme_tree *tree;
    size_t count = 0;

    if (theme_tree_builtin(&tree))
        bench_die("out of memory");
    for (size_t i = 0; i < theme_tree_count(tree) && count < BENCH_THEMES; i++) {
        struct span slug = span_of_str(theme_tree_at(tree, i)->slug);
        bool deepest = true;

        for (size_t j = 0; j < theme_tree_count(tree); j++)
            deepest = deepest &&
                      (j == i || !theme_holds(slug, span_of_str(theme_tree_at(tree, j)->slug)));
        if (!deepest)
            continue;
        snprintf(run->slugs[count], SLUG_SIZE, "%s", theme_tree_at(tree, i)->slug);
        run->slug_list[count] = run->slugs[count];
        count++;
    }
    theme_tree_free(tree);
    run->setup.slugs = run->slug_list;
    run->setup.theme_count = count;
}

static void put_near(const struct run *run, enum peer peer, size_t i, char *out, size_t size)
{
    const struct bench_query *query = &run->queries[i];

    if (peer == TORG)
        snprintf(out, size, ITEMS "?near=%.7f,%.7f&theme=%s&limit=20", query->lon_deg,
                 query->lat_deg, run->slugs[query->theme]);
    else
        snprintf(out, size, "/near?lon=%.7f&lat=%.7f&theme=%u", query->lon_deg, query->lat_deg,
                 query->theme);
}

static void put_box(const struct run *run, enum peer peer, size_t i, char *out, size_t size)
{
    const struct bench_query *query = &run->queries[i];
    char box[96];

    snprintf(box, sizeof(box), "%.7f,%.7f,%.7f,%.7f", query->west_e7 / 1e7, query->south_e7 / 1e7,
             query->east_e7 / 1e7, query->north_e7 / 1e7);
    if (peer == TORG)
        snprintf(out, size, ITEMS "?bbox=%s&theme=%s&limit=100", box, run->slugs[query->theme]);
    else if (peer == NODE)
        snprintf(out, size, "/box?bbox=%s&theme=%u", box, query->theme);
    else
        snprintf(out, size, MAPSERVER "&bbox=%s&theme=%u&limit=100", box, query->theme);
}

static void put_one(const struct run *run, enum peer peer, size_t i, char *out, size_t size)
{
    size_t which = i % run->id_count;

    if (peer == TORG)
        snprintf(out, size, ITEMS "/%s", run->ids[which]);
    else if (peer == NODE)
        snprintf(out, size, "/one?number=%u", run->numbers[which]);
    else
        snprintf(out, size, "/ogcapi/collections/every/items/%u?f=json", run->numbers[which]);
}

static void put_target(const struct run *run, enum http_case http_case, enum peer peer, size_t i,
                       char *out, size_t size)
{
    if (peer == NGINX)
        snprintf(out, size, "/%s", cases[http_case].file);
    else if (http_case == NEAR)
        put_near(run, peer, i, out, size);
    else if (http_case == BOX)
        put_box(run, peer, i, out, size);
    else
        put_one(run, peer, i, out, size);
}

static void questions_init(struct run *run, enum http_case http_case)
{
    static const enum bench_kind kinds[CASES] = {BENCH_NEAR, BENCH_BOX, BENCH_NEAR};

    for (size_t i = 0; i < QUESTIONS; i++)
        run->queries[i] = bench_source_query(run->source, kinds[http_case], 0, true);
    for (size_t peer = 0; peer < PEERS; peer++) {
        if (!cases[http_case].by[peer])
            continue;
        for (size_t i = 0; i < QUESTIONS; i++) {
            char target[REQUEST_BYTES_MAX];
            char *request = NULL;
            int length;

            put_target(run, http_case, (enum peer)peer, i, target, sizeof(target));
            length = asprintf(&request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", target,
                              run->ports[peer]);
            if (length < 0)
                bench_die("out of memory");
            free((void *)(uintptr_t)run->requests[peer][i].data);
            run->requests[peer][i] = span_of(request, (size_t)length);
        }
        run->loads[peer] = (struct http_load){.name = peers[peer].name,
                                              .port = run->ports[peer],
                                              .requests = run->requests[peer],
                                              .request_count = QUESTIONS};
    }
}

/* ---- that the answers are the same ---- */

static bool asked(const struct run *run, enum http_case http_case, size_t peer)
{
    return cases[http_case].by[peer] &&
           (peer == TORG || !run->only || strcmp(run->only, peers[peer].name) == 0);
}

static uint64_t member(struct span body, const char *name)
{
    const uint8_t *at = memmem(body.data, body.size, name, strlen(name));
    char digits[24] = "";

    if (!at)
        bench_die("an answer without %s: %.*s", name, (int)(body.size < 300 ? body.size : 300),
                  (const char *)body.data);
    at += strlen(name);
    at += strspn((const char *)at, " :");
    snprintf(digits, sizeof(digits), "%.20s", (const char *)at);
    return strtoull(digits, NULL, 10);
}

/* The numbers of an answer's listings, as they were published, in the answer's order. */
static size_t numbers_of(struct span body, enum peer peer, uint32_t *numbers, size_t max)
{
    static const char plain[] = "\"torg-bench\",\"id\":\"";
    static const char quoted[] = "\\\"torg-bench\\\",\\\"id\\\":\\\"";
    const char *mark = peer == MAP ? quoted : plain;
    const uint8_t *at = body.data, *end = body.data + body.size;
    size_t count = 0;

    while (count < max && (at = memmem(at, (size_t)(end - at), mark, strlen(mark)))) {
        at += strlen(mark);
        numbers[count++] = (uint32_t)strtoul((const char *)at, NULL, 10);
    }
    return count;
}

static int by_number(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

/* Feature ids of torg's answer, for questions about single listings. */
static void keep_ids(struct run *run, struct span body, const uint32_t *numbers, size_t count)
{
    static const char mark[] = "\"Feature\",\"id\":\"";
    const uint8_t *at = body.data, *end = body.data + body.size;

    for (size_t i = 0; i < count && run->id_count < QUESTIONS; i++) {
        at = memmem(at, (size_t)(end - at), mark, sizeof(mark) - 1);
        if (!at)
            return;
        at += sizeof(mark) - 1;
        snprintf(run->ids[run->id_count], sizeof(*run->ids), "%.*s", FEATURE_ID_SIZE,
                 (const char *)at);
        run->numbers[run->id_count++] = numbers[i];
    }
}

static struct span get(struct run *run, struct server_http **clients, enum http_case http_case,
                       enum peer peer, size_t i)
{
    char target[REQUEST_BYTES_MAX];

    put_target(run, http_case, peer, i, target, sizeof(target));
    if (!clients[peer])
        clients[peer] = server_http_new(run->ports[peer], NULL);
    return server_http_get(clients[peer], target);
}

static void compare(enum http_case http_case, enum peer peer, struct span body, uint64_t matched,
                    const uint32_t *ours, size_t our_count)
{
    uint32_t theirs[BENCH_PAGE];
    size_t count = numbers_of(body, peer, theirs, BENCH_PAGE);

    if (http_case != ONE && member(body, "\"numberMatched\"") != matched)
        bench_die("%s, %s: %" PRIu64 " match, torg says %" PRIu64, cases[http_case].name,
                  peers[peer].name, member(body, "\"numberMatched\""), matched);
    if (count != our_count)
        bench_die("%s, %s: %zu features, torg has %zu", cases[http_case].name, peers[peer].name,
                  count, our_count);
    qsort(theirs, count, sizeof(*theirs), by_number);
    /* Whoever shows 100 of more may choose which. */
    if ((http_case != BOX || matched <= BENCH_PAGE) &&
        memcmp(ours, theirs, count * sizeof(*ours)) != 0)
        bench_die("%s, %s: other listings than torg's", cases[http_case].name, peers[peer].name);
}

/* Ask some questions of all; the file that nginx serves then has the mean size of our answers. */
static void compare_all(struct run *run, enum http_case http_case)
{
    struct server_http *clients[PEERS] = {0};
    uint64_t bytes = 0;
    char path[4096];
    FILE *file;

    for (size_t i = 0; i < COMPARED; i++) {
        struct span body = get(run, clients, http_case, TORG, i);
        uint64_t matched = http_case == ONE ? 1 : member(body, "\"numberMatched\"");
        uint32_t numbers[BENCH_PAGE];
        size_t count = numbers_of(body, TORG, numbers, BENCH_PAGE);

        bytes += body.size;
        if (http_case != ONE)
            keep_ids(run, body, numbers, count);
        qsort(numbers, count, sizeof(*numbers), by_number);
        for (size_t peer = NODE; peer < PEERS; peer++) {
            if (asked(run, http_case, peer))
                compare(http_case, (enum peer)peer,
                        get(run, clients, http_case, (enum peer)peer, i), matched, numbers, count);
        }
    }
    for (size_t peer = 0; peer < PEERS; peer++)
        server_http_free(clients[peer]);
    snprintf(path, sizeof(path), "%s/nginx/www/%s", run->directory, cases[http_case].file);
    file = fopen(path, "we");
    for (uint64_t i = 0; file && i < bytes / COMPARED; i++)
        fputc('x', file);
    if (!file || fclose(file) || chmod(path, 0644))
        bench_die("%s cannot be written", path);
}

/* ---- measuring ---- */

static void measure_case(struct run *run, enum http_case http_case)
{
    uint64_t chance = SEED + http_case;

    for (size_t round = 0; round < ROUNDS * COUNTS; round++) {
        size_t count = round % COUNTS;
        size_t order[PEERS] = {TORG, NGINX, NODE, MAP};

        bench_shuffle(&chance, order, PEERS, sizeof(*order));
        for (size_t i = 0; i < PEERS; i++) {
            struct series *series = &run->measured[order[i]][count];
            struct http_load_result result;

            if (!asked(run, http_case, order[i]))
                continue;
            result = http_load_run(&run->loads[order[i]], connection_counts[count], run->seconds,
                                   &series->latencies);
            bench_series_add(&series->each, result.us / (double)result.answers);
        }
    }
}

static void print_line(const struct run *run, const char *name, const char *suffix, size_t peer,
                       double ours, double theirs, struct series *our, struct series *their)
{
    printf("http\t%s%s\t%s\t%.2f\t%.2f\t%.3f\tus\t%.2f\t%.2f\t0\t0\t%zu\t%zu\n", name, suffix,
           peers[peer].name, ours, theirs, theirs / ours, bench_series_at(&our->latencies, 0.99),
           bench_series_at(&their->latencies, 0.99), run->count, their->latencies.count);
    fflush(stdout);
}

static void print_case(struct run *run, enum http_case http_case)
{
    const char *name = cases[http_case].name;

    for (size_t peer = NGINX; peer < PEERS; peer++) {
        struct series *our = run->measured[TORG], *their = run->measured[peer];

        if (!asked(run, http_case, peer))
            continue;
        print_line(run, name, "", peer, bench_series_at(&our[MAIN_COUNT].each, 0.5),
                   bench_series_at(&their[MAIN_COUNT].each, 0.5), &our[MAIN_COUNT],
                   &their[MAIN_COUNT]);
        for (size_t count = 0; count < COUNTS; count++) {
            char suffix[40];

            snprintf(suffix, sizeof(suffix), ", %zu connection%s", connection_counts[count],
                     connection_counts[count] == 1 ? "" : "s");
            print_line(run, name, suffix, peer, bench_series_at(&our[count].latencies, 0.5),
                       bench_series_at(&their[count].latencies, 0.5), &our[count], &their[count]);
        }
    }
    for (size_t peer = 0; peer < PEERS; peer++) {
        for (size_t count = 0; count < COUNTS; count++) {
            bench_series_clear(&run->measured[peer][count].latencies);
            bench_series_clear(&run->measured[peer][count].each);
        }
    }
}

static void load_one(const struct server_peer *peer, const struct run *run)
{
    void *server = peer->open(&run->setup);

    fprintf(stderr, "http: loading %s\n", peer->name);
    peer->load(server);
    if (peer == &server_postgis)
        server_postgis_index_text(server);
    if (peer->settle)
        peer->settle(server);
    peer->close(server);
}

static void pin(pid_t thread, int processor)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    if (sched_setaffinity(thread, sizeof(set), &set) != 0)
        bench_die("this benchmark needs two processors: one for the server, one for the client");
}

/* From here on all threads of torgd share one; while it loaded it had both. */
static void pin_torg(const struct run *run)
{
    char pid[SERVER_FACT_BYTES_MAX], path[SERVER_FACT_BYTES_MAX + 32];
    const struct dirent *thread;
    DIR *threads;

    server_fact(run->directory, server_torg.pid_file, pid);
    snprintf(path, sizeof(path), "/proc/%s/task", pid);
    threads = opendir(path);
    if (!threads)
        bench_die("torgd has ended");
    while ((thread = readdir(threads))) {
        long id = strtol(thread->d_name, NULL, 10);

        if (id > 0)
            pin((pid_t)id, SERVER_PROCESSOR);
    }
    closedir(threads);
}

static void run_all(struct run *run)
{
    themes_init(run);
    run->source = bench_source_new(run->count, run->setup.theme_count, SEED);
    run->queries = calloc(QUESTIONS, sizeof(*run->queries));
    run->ids = calloc(QUESTIONS, sizeof(*run->ids));
    run->numbers = calloc(QUESTIONS, sizeof(*run->numbers));
    if (!run->queries || !run->ids || !run->numbers)
        bench_die("out of memory");
    run->setup.world = bench_source_world(run->source);
    run->setup.directory = run->directory;
    for (size_t peer = 0; peer < PEERS; peer++)
        run->ports[peer] = server_fact_port(run->directory, peers[peer].port_file);
    load_one(&server_torg, run);
    if (!run->only || strcmp(run->only, peers[NGINX].name) != 0)
        load_one(&server_postgis, run);
    pin_torg(run);
    pin(0, CLIENT_PROCESSOR);
    bench_source_seed(run->source, SEED + 1);
    for (size_t i = 0; i < CASES; i++) {
        questions_init(run, (enum http_case)i);
        say(cases[i].name);
        compare_all(run, (enum http_case)i);
        measure_case(run, (enum http_case)i);
        print_case(run, (enum http_case)i);
    }
}

static void run_free(struct run *run)
{
    for (size_t peer = 0; peer < PEERS; peer++) {
        for (size_t i = 0; i < QUESTIONS; i++)
            free((void *)(uintptr_t)run->requests[peer][i].data);
        for (size_t count = 0; count < COUNTS; count++) {
            bench_series_done(&run->measured[peer][count].latencies);
            bench_series_done(&run->measured[peer][count].each);
        }
    }
    bench_source_free(run->source);
    free(run->queries);
    free(run->ids);
    free(run->numbers);
    free(run);
}

static const char *peer_named(const char *name)
{
    for (size_t peer = NGINX; peer < PEERS; peer++) {
        if (strcmp(peers[peer].name, name) == 0)
            return name;
    }
    bench_die("--peer: there is no \"%s\"; there are: nginx static, Node + PostGIS, MapServer",
              name);
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"count", required_argument, NULL, 'n'}, {"seconds", required_argument, NULL, 's'},
        {"peer", required_argument, NULL, 'p'},  {"directory", required_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},        {0},
    };
    struct run *run = calloc(1, sizeof(*run));
    int option;

    if (!run)
        bench_die("out of memory");
    run->count = 1000000;
    run->seconds = SECONDS_STANDARD;
    run->directory = ".";
    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (option) {
        case 'n':
            run->count = bench_number("--count", optarg, 1000, COUNT_MAX);
            break;
        case 's':
            run->seconds = (double)bench_number("--seconds", optarg, 0, 600);
            break;
        case 'p':
            run->only = peer_named(optarg);
            break;
        case 'd':
            run->directory = optarg;
            break;
        case 'h':
            fputs(help, stdout);
            free(run);
            return 0;
        default:
            return 2;
        }
    }
    if (optind < argc)
        bench_die("\"%s\" is not an option; see --help", argv[optind]);
    if (run->seconds < 0.1)
        run->seconds = 0.1;
    run_all(run);
    run_free(run);
    return 0;
}
