/* SPDX-License-Identifier: EUPL-1.2 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/run.h"
#include "tests/sim/scale.h"

/*
 * The simulator's program: many federations, one for each seed, by one process
 * or several.
 */
#define TWICE_EVERY 8 /* one seed in so many is run again and compared */
#define JOBS_MAX 64
#define TASKS_MAX 100000000

static const struct {
    const char *name;
    enum fault fault;
    unsigned invariants[3]; /* who must find it */
} faults[] = {
    {"lose-row", FAULT_LOSE_ROW, {1}},
    {"forge-payload", FAULT_FORGE_PAYLOAD, {2, 18}},
    {"forge-charter", FAULT_FORGE_CHARTER, {18}},
    {"resurrect", FAULT_RESURRECT, {3}},
    {"early-have", FAULT_EARLY_HAVE, {5}},
    {"accept-old-head", FAULT_ACCEPT_OLD, {3, 5}},
    {"forget-commit", FAULT_FORGET_COMMIT, {3, 5}},
    {"deaf-writer", FAULT_DEAF_WRITER, {11}},
    {"mute-trie", FAULT_MUTE_TRIE, {11}},
    {"unsteady", FAULT_UNSTEADY, {19}},
    {"unguarded", FAULT_UNGUARDED, {4}},
    {"patience", FAULT_PATIENCE, {11}},
    {"mute-proof", FAULT_MUTE_PROOF, {6}},
    {"false-dispute", FAULT_FALSE_DISPUTE, {6}},
    {"no-cure", FAULT_NO_CURE, {17}},
    {"gullible", FAULT_GULLIBLE, {2, 7}},
    {"convoy", FAULT_CONVOY, {15}},
    {"hoard", FAULT_HOARD, {8}},
    {"blind", FAULT_BLIND, {16}},
    {"clock-purge", FAULT_CLOCK_PURGE, {10}},
    {"keep-erased", FAULT_KEEP_ERASED, {9}},
    {"amnesia", FAULT_AMNESIA, {13}},
    {"flood", FAULT_FLOOD, {14}},
    {"coward", FAULT_COWARD, {7}},
    {"greedy", FAULT_GREEDY, {11}},
    {"strict", FAULT_STRICT, {11}},
    {"any-version", FAULT_ANY_VERSION, {16}},
    {"unmeasured", FAULT_UNMEASURED, {8}},
    {"leaky", FAULT_LEAKY, {20, 11}},
};

/* ---- the program ---- */

static void usage(FILE *out)
{
    fputs(
        "usage: torg-sim [--seeds N] [--nodes M | --nodes MIN-MAX] [--seed S] [--twice]\n"
        "                [--jobs N] [--trace] [--break FAULT]\n"
        "  --seeds N      so many runs, from the first seed on (20)\n"
        "  --nodes M      nodes in each (3-20); with 33 and more it is one country in quiet, and\n"
        "                 what replication costs it\n"
        "  --seed S       the first seed, in decimal or 0x hex (1)\n"
        "  --twice        run every seed twice and compare, not only one in eight\n"
        "  --jobs N       so many processes beside each other (1); the output is the same\n"
        "  --kept FILE    the seeds that FILE lists instead, each with its number of nodes\n"
        "  --trace        print what happens\n"
        "  --break FAULT  break something on purpose; succeeds only if it is found:\n",
        out);
    for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
        fprintf(out, "                   %s\n", faults[i].name);
}

static bool number_parse(const char *text, uint64_t max, uint64_t *ret)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 0);

    if (end == text || *end || value > max)
        return false;
    *ret = value;
    return true;
}

static bool nodes_parse(const char *text, struct settings *settings)
{
    char copy[32];
    char *dash;
    uint64_t min, max;

    if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy))
        return false;
    dash = strchr(copy, '-');
    if (dash)
        *dash = '\0';
    if (!number_parse(copy, WORLD_NODES_MAX - 1, &min) ||
        !number_parse(dash ? dash + 1 : copy, WORLD_NODES_MAX - 1, &max) || min < 2 || max < min)
        return false;
    settings->nodes_min = (uint32_t)min;
    settings->nodes_max = (uint32_t)max;
    return true;
}

static bool fault_parse(const char *text, struct settings *settings)
{
    for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
        if (strcmp(faults[i].name, text) == 0) {
            settings->fault = faults[i].fault;
            return true;
        }
    }
    return false;
}

static bool arguments_parse(int argc, char **argv, struct settings *settings)
{
    static const struct option options[] = {
        {"seeds", required_argument, NULL, 'n'}, {"nodes", required_argument, NULL, 'm'},
        {"seed", required_argument, NULL, 's'},  {"break", required_argument, NULL, 'b'},
        {"trace", no_argument, NULL, 't'},       {"twice", no_argument, NULL, '2'},
        {"jobs", required_argument, NULL, 'j'},  {"kept", required_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0},
    };
    uint64_t jobs = 1;
    int option;

    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        bool understood = true;

        switch (option) {
        case 'n':
            understood = number_parse(optarg, TASKS_MAX, &settings->seed_count);
            break;
        case 'm':
            understood = nodes_parse(optarg, settings);
            break;
        case 's':
            understood = number_parse(optarg, UINT64_MAX, &settings->seed);
            break;
        case 'b':
            understood = fault_parse(optarg, settings);
            break;
        case 'j':
            understood = number_parse(optarg, JOBS_MAX, &jobs) && jobs > 0;
            settings->jobs = (unsigned)jobs;
            break;
        case 'k':
            settings->kept = optarg;
            break;
        case 't':
            settings->trace = true;
            break;
        case '2':
            settings->twice = true;
            break;
        case 'h':
            usage(stdout);
            exit(0);
        default:
            understood = false;
        }
        if (!understood)
            return false;
    }
    return optind == argc;
}

static bool found_by(enum fault fault, unsigned invariant)
{
    for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
        if (faults[i].fault != fault)
            continue;
        for (size_t j = 0; j < ARRAY_SIZE(faults[i].invariants); j++) {
            if (invariant && faults[i].invariants[j] == invariant)
                return true;
        }
    }
    return false;
}

/* Run a seed, and for some seeds again: the same must happen. */
static struct result seed_judge(const struct settings *settings, uint64_t seed, bool print)
{
    struct result result = run_seed(settings, seed, print);
    struct settings again = *settings;
    struct result second;

    again.trace = false;
    if (result.invariant ||
        !(settings->twice || settings->fault == FAULT_UNSTEADY || seed % TWICE_EVERY == 0))
        return result;
    if (settings->fault == FAULT_UNSTEADY)
        again.nodes_max = again.nodes_min = settings->nodes_min + 1;
    second = run_seed(&again, seed, print);
    if (second.trace_hash != result.trace_hash) {
        result.invariant = 19;
        snprintf(result.text, sizeof(result.text), "two runs differ: %016" PRIx64 ", %016" PRIx64,
                 result.trace_hash, second.trace_hash);
    }
    return result;
}

/* ---- many seeds, by several processes ---- */

struct task {
    uint64_t seed;
    uint32_t nodes_min, nodes_max;
};

struct tasks {
    struct task *items;
    size_t count;
};

static struct settings settings_for(const struct settings *settings, const struct task *task)
{
    struct settings own = *settings;

    own.nodes_min = task->nodes_min;
    own.nodes_max = task->nodes_max;
    return own;
}

/* Lines "SEED NODES" or "SEED MIN-MAX"; what follows # is for people. */
static bool kept_read(struct settings *settings, struct tasks *tasks)
{
    FILE *file = fopen(settings->kept, "r");
    char line[256], nodes[32];
    uint64_t seed;
    bool good = file != NULL;

    while (good && fgets(line, sizeof(line), file)) {
        struct task *grown;

        line[strcspn(line, "#\n")] = '\0';
        if (line[strspn(line, " ")] == '\0')
            continue;
        grown = reallocarray(tasks->items, tasks->count + 1, sizeof(*grown));
        if (!grown)
            abort();
        tasks->items = grown;
        good = sscanf(line, "%" SCNu64 " %31s", &seed, nodes) == 2 && nodes_parse(nodes, settings);
        tasks->items[tasks->count++] =
            (struct task){seed, settings->nodes_min, settings->nodes_max};
    }
    if (file)
        fclose(file);
    return good && tasks->count > 0;
}

static bool tasks_make(struct settings *settings, struct tasks *tasks)
{
    if (settings->kept)
        return kept_read(settings, tasks);
    tasks->items = calloc(settings->seed_count + 1, sizeof(*tasks->items));
    if (!tasks->items)
        abort();
    for (; tasks->count < settings->seed_count; tasks->count++)
        tasks->items[tasks->count] =
            (struct task){settings->seed + tasks->count, settings->nodes_min, settings->nodes_max};
    return true;
}

static struct result task_run(const struct settings *settings, const struct task *task, bool print)
{
    struct settings own = settings_for(settings, task);

    return seed_judge(&own, task->seed, print);
}

/* Results of every jobs-th task from first on, one after another. */
static void worker(const struct settings *settings, const struct tasks *tasks, unsigned first,
                   int out)
{
    for (size_t i = first; i < tasks->count; i += settings->jobs) {
        struct result result = task_run(settings, &tasks->items[i], false);

        /* A pipe takes so little at once, or the reader is gone. */
        if (write(out, &result, sizeof(result)) != (ssize_t)sizeof(result))
            _exit(2);
    }
    _exit(0);
}

static void workers_start(const struct settings *settings, const struct tasks *tasks,
                          int *ret_pipes)
{
    for (unsigned i = 0; i < settings->jobs; i++) {
        int ends[2];
        pid_t child;

        if (pipe(ends) || (child = fork()) < 0) {
            perror("sim");
            exit(2);
        }
        if (child == 0) {
            close(ends[0]);
            worker(settings, tasks, i, ends[1]);
        }
        close(ends[1]);
        ret_pipes[i] = ends[0];
    }
}

/* A worker that ended early has told why; its seed failed. */
static struct result worker_result(int from, uint64_t seed)
{
    struct result result;
    size_t size = 0;

    while (size < sizeof(result)) {
        ssize_t got = read(from, (char *)&result + size, sizeof(result) - size);

        if (got <= 0) {
            fprintf(stderr, "seed %" PRIu64 ": the run ended by itself\n", seed);
            exit(2);
        }
        size += (size_t)got;
    }
    return result;
}

struct sums {
    uint64_t violations, found, events, frames, packed_frames, bytes;
    int64_t heal_ms_max, virtual_ms;
    uint64_t slowest;
};

static void sums_add(struct sums *sums, const struct settings *settings, const struct task *task,
                     const struct result *result)
{
    sums->events += result->events;
    sums->frames += result->frames;
    sums->packed_frames += result->packed_frames;
    sums->bytes += result->bytes;
    sums->virtual_ms += result->virtual_ms;
    if (result->heal_ms > sums->heal_ms_max) {
        sums->heal_ms_max = result->heal_ms;
        sums->slowest = task->seed;
    }
    if (!result->invariant)
        return;
    sums->violations++;
    sums->found += found_by(settings->fault, result->invariant);
    fprintf(stderr, "seed %" PRIu64 ": invariant %u: %s\n", task->seed, result->invariant,
            result->text);
    if (settings->fault == FAULT_NONE)
        fprintf(stderr,
                "again: tools/sim --seeds 1 --seed %" PRIu64 " --nodes %" PRIu32 "-%" PRIu32
                " --trace\n",
                task->seed, task->nodes_min, task->nodes_max);
}

static void tasks_run(const struct settings *settings, const struct tasks *tasks, struct sums *sums)
{
    int pipes[JOBS_MAX];

    if (settings->jobs > 1)
        workers_start(settings, tasks, pipes);
    for (size_t i = 0; i < tasks->count; i++) {
        const struct task *task = &tasks->items[i];
        bool print = settings->fault == FAULT_NONE;
        struct result result = settings->jobs > 1
                                   ? worker_result(pipes[i % settings->jobs], task->seed)
                                   : task_run(settings, task, print);

        if (settings->jobs > 1 && result.invariant && print)
            result = task_run(settings, task, true); /* once more, for its trace */
        sums_add(sums, settings, task, &result);
    }
    while (settings->jobs > 1 && wait(NULL) > 0)
        continue;
}

int main(int argc, char **argv)
{
    struct settings settings = {
        .seed = 1, .seed_count = 20, .nodes_min = 3, .nodes_max = 20, .jobs = 1};
    struct tasks tasks = {0};
    struct sums sums = {0};

    if (!arguments_parse(argc, argv, &settings)) {
        usage(stderr);
        return 2;
    }
    if (settings.nodes_min >= SCALE_NODES_MIN)
        return scale_run(settings.nodes_min, settings.seed) ? 0 : 1;
    if (!tasks_make(&settings, &tasks)) {
        fprintf(stderr, "sim: %s cannot be read, or has a line that is not \"SEED NODES\"\n",
                settings.kept);
        return 2;
    }
    tasks_run(&settings, &tasks, &sums);
    printf("sim: %zu seeds, %" PRIu64 " violations, %" PRIu64 " events, %" PRIu64
           " frames (%" PRIu64 " packed), %" PRIu64 " MB, %" PRId64
           " virtual minutes, slowest healing %" PRId64 " s (seed %" PRIu64 ")\n",
           tasks.count, sums.violations, sums.events, sums.frames, sums.packed_frames,
           sums.bytes / 1000000, sums.virtual_ms / MINUTE, sums.heal_ms_max / SECOND, sums.slowest);
    free(tasks.items);
    if (settings.fault)
        return sums.found ? 0 : 1;
    return sums.violations ? 1 : 0;
}
