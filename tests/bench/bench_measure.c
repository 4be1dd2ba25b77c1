/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/bench/bench_measure.h"

#include <malloc.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "tests/bench/bench.h"

void bench_die(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("bench: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static double clock_us(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static long times_taken(void)
{
    struct rusage usage;

    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
}

double bench_now_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

/* The wall clock is read last and first: it costs 30 ns, the others are system calls. */
struct bench_watch bench_watch_start(void)
{
    struct bench_watch watch = {.taken = times_taken(),
                                .busy_us = clock_us(CLOCK_THREAD_CPUTIME_ID)};

    watch.wall_us = bench_now_us();
    return watch;
}

double bench_watch_us(const struct bench_watch *watch)
{
    double wall_us = bench_now_us() - watch->wall_us;

    return times_taken() == watch->taken ? wall_us : bench_watch_busy_us(watch);
}

double bench_watch_busy_us(const struct bench_watch *watch)
{
    return clock_us(CLOCK_THREAD_CPUTIME_ID) - watch->busy_us;
}

void bench_series_add(struct bench_series *series, double us)
{
    if (series->count == series->capacity) {
        series->capacity = series->capacity ? series->capacity * 2 : 64;
        series->us = realloc(series->us, series->capacity * sizeof(*series->us));
        if (!series->us)
            bench_die("out of memory");
    }
    series->us[series->count++] = us;
}

struct bench_series bench_series_first(const struct bench_series *series, size_t count)
{
    struct bench_series first = {0};

    for (size_t i = 0; i < count && i < series->count; i++)
        bench_series_add(&first, series->us[i]);
    return first;
}

void bench_series_clear(struct bench_series *series)
{
    series->count = 0;
}

void bench_series_done(struct bench_series *series)
{
    free(series->us);
    *series = (struct bench_series){0};
}

static int us_compare(const void *a, const void *b)
{
    const double *left = a, *right = b;

    return *left < *right ? -1 : *left > *right;
}

double bench_series_at(struct bench_series *series, double share)
{
    size_t rank;

    if (series->count == 0)
        return 0;
    qsort(series->us, series->count, sizeof(*series->us), us_compare);
    rank = (size_t)ceil(share * (double)series->count);
    return series->us[rank > 0 ? rank - 1 : 0];
}

uint64_t bench_heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

void bench_line_print(const struct bench_line *line)
{
    double our_us = bench_series_at(line->ours, 0.5), their_us = bench_series_at(line->theirs, 0.5);

    printf("%s\t%s%s\t%s\t%.2f\t%.2f\t%.3f\tus\t%.2f\t%.2f\t%llu\t%llu\t%zu\t%zu\n",
           line->benchmark, line->name, line->suffix, line->peer, our_us, their_us,
           their_us / our_us, bench_series_at(line->ours, 0.99),
           bench_series_at(line->theirs, 0.99), (unsigned long long)line->our_bytes,
           (unsigned long long)line->their_bytes, line->listings, line->theirs->count);
    fflush(stdout);
}

size_t bench_number(const char *option, const char *text, size_t min, size_t max)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);

    if (*text < '0' || *text > '9' || *end || value < min || value > max)
        bench_die("%s: \"%s\" is not a number of %zu to %zu", option, text, min, max);
    return (size_t)value;
}
