/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_BENCH_WORLD_H
#define TORG_TESTS_BENCH_WORLD_H

#include "tests/bench/bench.h"

/*
 * The data and the questions, all from one seed: listings around the places
 * of northern Sweden in proportion to their size, most within a few kilometres,
 * with 256 themes of which a few are common and most are rare (Zipf), as
 * "torg generate" makes them. Questions are asked from all places alike.
 */
struct bench_source;

/* count listings of 1 to BENCH_THEMES themes, with room for a tenth more. */
struct bench_source *bench_source_new(size_t count, size_t theme_count, uint64_t seed);
void bench_source_free(struct bench_source *source);
/* As it is now; the records stay at their place. */
const struct bench_world *bench_source_world(const struct bench_source *source);

/* One random insert, update or delete, done in the world and told in ret_change. */
void bench_source_change(struct bench_source *source, struct bench_change *ret_change);
/* The same, but an update. */
void bench_source_update(struct bench_source *source, struct bench_change *ret_change);

/*
 * A random query of a kind. radius_m: of circles; 0 for one of 1 to 100 km, all
 * magnitudes alike. themed: with the theme of a random listing.
 */
struct bench_query bench_source_query(struct bench_source *source, enum bench_kind kind,
                                      double radius_m, bool themed);

/* From here on another part of the same chances, whatever was drawn before. */
void bench_source_seed(struct bench_source *source, uint64_t seed);

/* 0 <= result < limit */
size_t bench_random_below(uint64_t *state, size_t limit);
/* count items of size bytes at base, in any order; size at most BENCH_SHUFFLE_BYTES_MAX. */
#define BENCH_SHUFFLE_BYTES_MAX 64
void bench_shuffle(uint64_t *state, void *base, size_t count, size_t size);

#endif
