/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "index/query_plan.h"

/* A page that keeps the wrong few looks like any other: what is missing is never seen. */

#define ADDED_MAX 200

static int hit_compare(const void *a, const void *b)
{
    const struct rtree_hit *x = a, *y = b;

    return query_order(x->distance_m, x->document, y->distance_m, y->document);
}

/* Beginnings in order, as a stream gives them, and then whatever comes. */
static size_t hits_random(uint64_t *random, struct rtree_hit hits[ADDED_MAX])
{
    size_t count = (size_t)test_random_below(random, ADDED_MAX + 1);
    size_t in_order = count ? (size_t)test_random_below(random, count + 1) : 0;

    if (test_random_below(random, 3) == 0)
        in_order = count;
    for (size_t i = 0; i < count; i++) /* Few distances, so that many are equal. */
        hits[i] = (struct rtree_hit){.document = (uint32_t)test_random_below(random, 1000),
                                     .distance_m = (double)test_random_below(random, 20)};
    if (in_order > 1)
        qsort(hits, in_order, sizeof(*hits), hit_compare);
    return count;
}

static void check_against_sorting(uint64_t seed)
{
    struct rtree_hit hits[ADDED_MAX], sorted[ADDED_MAX];
    uint64_t random = seed;
    struct query_top top;
    size_t max = (size_t)test_random_below(&random, 60);
    size_t count = hits_random(&random, hits);
    size_t kept;

    query_top_init(&top, max);
    for (size_t i = 0; i < count; i++) {
        memcpy(sorted, hits, i * sizeof(*hits));
        qsort(sorted, i, sizeof(*sorted), hit_compare);
        if (query_top_passes(&top, hits[i].document, hits[i].distance_m) !=
            (i >= max && (max == 0 || hit_compare(&hits[i], &sorted[max - 1]) >= 0)))
            fail_msg("seed %#" PRIx64 ": passes at %zu", seed, i);
        assert_ok(query_top_add(&top, hits[i].document, hits[i].distance_m));
    }
    qsort(hits, count, sizeof(*hits), hit_compare);
    query_top_sort(&top);
    kept = count < max ? count : max;
    if (top.count != kept)
        fail_msg("seed %#" PRIx64 ": %zu are kept, not %zu", seed, top.count, kept);
    for (size_t i = 0; i < kept; i++) {
        if (hit_compare(&top.hits[i], &hits[i]) != 0)
            fail_msg("seed %#" PRIx64 ": the hit at %zu", seed, i);
    }
    query_top_done(&top);
}

static void test_keeps_what_sorting_puts_first(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 500; seed++)
        check_against_sorting(seed);
}

/* A walk empties it and fills it anew: nothing of what it was before may stay. */
static void test_emptied_and_filled_again(void **state)
{
    struct query_top top;

    (void)state;
    query_top_init(&top, 3);
    for (uint32_t i = 9; i > 0; i--)
        assert_ok(query_top_add(&top, i, -1));
    top.count = 0;
    assert_ok(query_top_add(&top, 5, -1));
    assert_ok(query_top_add(&top, 7, -1));
    assert_ok(query_top_add(&top, 6, -1));
    query_top_sort(&top);
    assert_int_equal(top.count, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(top.hits[i].document, 5 + i);
    query_top_done(&top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeps_what_sorting_puts_first),
        cmocka_unit_test(test_emptied_and_filled_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
