/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_SUPPORT_TEST_H
#define TORG_TESTS_SUPPORT_TEST_H

/* cmocka needs these before it, in this order. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <math.h>
#include <string.h>

#include "protocol/bytes.h"

#define assert_ok(expression)                                                                      \
    do {                                                                                           \
        enum torg_err assert_ok_err = (expression);                                                \
        if (assert_ok_err)                                                                         \
            fail_msg("%s: %s", #expression, torg_err_text(assert_ok_err));                         \
    } while (0)

#define assert_err(expression, expected)                                                           \
    do {                                                                                           \
        enum torg_err assert_err_got = (expression);                                               \
        if (assert_err_got != (expected))                                                          \
            fail_msg("%s: %s, expected: %s", #expression, torg_err_text(assert_err_got),           \
                     torg_err_text(expected));                                                     \
    } while (0)

/* cmocka's assert_float_equal casts to float. */
#define assert_near(got, want, tolerance)                                                          \
    do {                                                                                           \
        double assert_near_got = (got), assert_near_want = (want);                                 \
        if (!(fabs(assert_near_got - assert_near_want) <= (tolerance)))                            \
            fail_msg("%s: %.12g, expected %.12g", #got, assert_near_got, assert_near_want);        \
    } while (0)

/* A small deterministic generator for tests (SplitMix64, Steele et al. 2014). */
static inline uint64_t test_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
static inline uint64_t test_random_below(uint64_t *state, uint64_t limit)
{
    return test_random(state) % limit;
}
static inline double test_random_unit(uint64_t *state)
{
    return (double)(test_random(state) >> 11) / 9007199254740992.0;
}

/*
 * How often a test repeats something random. Sanitizers make that some ten times
 * slower, and look at memory and arithmetic, for which a part of the rounds
 * is enough: a fifth, at least one. The full number runs in the other builds.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define TEST_SANITIZED 1
#endif
#endif
#ifndef TEST_SANITIZED
#define TEST_SANITIZED 0
#endif
static inline uint64_t test_rounds(uint64_t rounds)
{
    return TEST_SANITIZED ? (rounds + 4) / 5 : rounds;
}

#endif
