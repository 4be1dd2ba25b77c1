/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_BENCH_MEASURE_H
#define TORG_TESTS_BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>

/* Times in microseconds, as many as come. All zero is an empty series. */
struct bench_series {
    double *us;
    size_t count, capacity;
};

/*
 * A stopwatch for work that waits for nothing: the time that passed, or what
 * the thread computed where another process took its processor meanwhile.
 */
struct bench_watch {
    double wall_us, busy_us;
    long taken; /* how often */
};
struct bench_watch bench_watch_start(void);
double bench_watch_us(const struct bench_watch *watch);
/* What the thread computed since, whatever it waited for. */
double bench_watch_busy_us(const struct bench_watch *watch);

double bench_now_us(void);
void bench_series_add(struct bench_series *series, double us);
/* The first count of them, in the order in which they came; the caller's. */
struct bench_series bench_series_first(const struct bench_series *series, size_t count);
void bench_series_clear(struct bench_series *series);
void bench_series_done(struct bench_series *series);
/* The value that this share of all does not exceed; sorts the series. 0 when empty. */
double bench_series_at(struct bench_series *series, double share);

/* What is allocated now, in this process. */
uint64_t bench_heap_bytes(void);

/* One line of the output; docs/performance.md says what stands where. */
struct bench_line {
    const char *benchmark, *name, *suffix, *peer;
    struct bench_series *ours, *theirs; /* sorted by this */
    uint64_t our_bytes, their_bytes;
    size_t listings;
};
void bench_line_print(const struct bench_line *line);

/* The number of a command line's option; ends the program if it is none of min to max. */
size_t bench_number(const char *option, const char *text, size_t min, size_t max);

#endif
