/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_sweep.h"

#include <math.h>
#include <stdlib.h>

#include "index/catalogue_row.h"
#include "tests/support/kv_mem.h"
#include "tests/support/test.h"

#define COLLECTION 4
#define VILLAGES 30
#define STRIDE 7919 /* a prime, so that it comes to each listing once */

/* Villages whose listings move, come and go many at a time. */
struct county {
    uint64_t seed;
    struct rtree_item *items; /* owned; document = index + 1 */
    bool *alive;              /* owned */
    size_t count;
    struct kv_mem *mem;
    struct kv kv;
    struct rtree tree;
};

static struct position random_point(uint64_t *seed, uint64_t village)
{
    double reach = pow(10, 4 + 2 * test_random_unit(seed));

    return (struct position){
        (int32_t)(150000000 + 2100000 * (double)(village * 11 % VILLAGES) +
                  reach * (test_random_unit(seed) + test_random_unit(seed))),
        (int32_t)(610000000 + 2300000 * (double)village +
                  reach * (test_random_unit(seed) + test_random_unit(seed))),
    };
}

static void item_place(struct rtree_item *item, struct position point)
{
    item->max.lon_e7 += point.lon_e7 - item->point.lon_e7;
    item->max.lat_e7 += point.lat_e7 - item->point.lat_e7;
    item->point = item->min = point;
}

/* A few are areas, or have times that are not whole minutes: these have records. */
static struct rtree_item random_item(uint64_t *seed, uint32_t document, uint64_t village)
{
    struct rtree_item item = {
        .document = document, .time_from_ms = INT64_MIN, .time_through_ms = INT64_MAX};

    item.point = item.min = item.max = random_point(seed, village);
    if (test_random_below(seed, 20) == 0)
        item.max.lat_e7 += (int32_t)test_random_below(seed, 200000);
    if (test_random_below(seed, 20) == 0)
        item.time_from_ms = (int64_t)test_random_below(seed, 1000000000);
    theme_set_add(&item.themes, (unsigned)(pow(test_random_unit(seed), 2) * 12));
    if (test_random_below(seed, 4) == 0)
        theme_set_add(&item.themes, 200);
    return item;
}

static struct county county_new(uint64_t seed, size_t count, bool strict)
{
    struct county county = {.seed = seed, .count = count};

    county.items = calloc(count, sizeof(*county.items));
    county.alive = calloc(count, sizeof(*county.alive));
    assert_non_null(county.items);
    assert_non_null(county.alive);
    for (size_t i = 0; i < count; i++)
        county.items[i] =
            random_item(&county.seed, (uint32_t)i + 1, test_random_below(&county.seed, VILLAGES));
    assert_ok(kv_mem_new(&county.mem));
    kv_mem_strict(county.mem, strict);
    assert_ok(kv_mem_write_begin(county.mem, &county.kv));
    return county;
}

static void county_done(struct county *county)
{
    kv_mem_write_abort(&county->kv);
    kv_mem_free(county->mem);
    free(county->items);
    free(county->alive);
}

static void county_load(const struct county *county, struct kv *kv)
{
    struct rtree tree = {.kv = kv, .collection = COLLECTION};
    struct rtree_item *items = calloc(county->count, sizeof(*items));
    size_t count = 0;

    assert_non_null(items);
    for (size_t i = 0; i < county->count; i++) {
        if (county->alive[i])
            items[count++] = county->items[i];
    }
    assert_ok(rtree_bulk_load(&tree, items, count));
    free(items);
}

/* ---- what becomes of a listing in a batch ---- */

enum fate { STAY, GO, COME, NEAR, FAR, SPOT, OTHER };

static enum fate chance(struct county *county, size_t i, unsigned of)
{
    static const enum fate fates[] = {NEAR, NEAR, NEAR, FAR, OTHER, GO};

    if (test_random_below(&county->seed, of) > 0)
        return STAY;
    return county->alive[i] ? fates[test_random_below(&county->seed, ARRAY_SIZE(fates))] : COME;
}

static enum fate fate_few(struct county *county, size_t i)
{
    return chance(county, i, 200);
}

static enum fate fate_some(struct county *county, size_t i)
{
    return chance(county, i, 10);
}

static enum fate fate_grow(struct county *county, size_t i)
{
    return county->alive[i] ? chance(county, i, 100) : COME;
}

static enum fate fate_all_of_some_villages(struct county *county, size_t i)
{
    int32_t lat_e7 = county->items[i].point.lat_e7;

    if (lat_e7 < 616000000)
        return county->alive[i] ? GO : COME;
    return lat_e7 < 622000000 ? NEAR : STAY;
}

static enum fate fate_far(struct county *county, size_t i)
{
    return county->alive[i] ? FAR : STAY;
}

static enum fate fate_spot(struct county *county, size_t i)
{
    return county->alive[i] && i % 3 == 0 ? SPOT : STAY;
}

static enum fate fate_other(struct county *county, size_t i)
{
    return county->alive[i] ? OTHER : STAY;
}

static enum fate fate_go(struct county *county, size_t i)
{
    return county->alive[i] && test_random_below(&county->seed, 50) > 0 ? GO : STAY;
}

static void item_become(struct county *county, struct rtree_item *item, enum fate fate)
{
    struct position point = item->point;

    switch (fate) {
    case NEAR:
        point.lon_e7 += (int32_t)test_random_below(&county->seed, 60000) - 30000;
        point.lat_e7 += (int32_t)test_random_below(&county->seed, 30000) - 15000;
        item_place(item, point);
        break;
    case FAR: /* Where nothing was before: away from all boxes. */
        item_place(item, random_point(&county->seed, VILLAGES + 5));
        break;
    case SPOT:
        item_place(item, (struct position){200000000, 650000000});
        break;
    case OTHER: /* Where it was, but something else. */
        *item = random_item(&county->seed, item->document, 0);
        item->max.lat_e7 = point.lat_e7 + (item->max.lat_e7 - item->point.lat_e7);
        item->max.lon_e7 = point.lon_e7;
        item->point = item->min = point;
        break;
    default:
        break;
    }
}

static void county_edit(struct county *county, enum fate (*choose)(struct county *, size_t))
{
    struct rtree_edit *edits = calloc(2 * county->count, sizeof(*edits));
    size_t count = 0, first = test_random_below(&county->seed, county->count);

    assert_non_null(edits);
    for (size_t k = 0; k < county->count; k++) { /* in an order that the trees do not know */
        size_t i = (first + k * STRIDE) % county->count;
        enum fate fate = choose(county, i);

        if (fate == STAY || (fate == GO) > county->alive[i])
            continue;
        if (county->alive[i])
            edits[count++] = (struct rtree_edit){true, county->items[i]};
        item_become(county, &county->items[i], fate);
        county->alive[i] = fate != GO;
        if (fate != GO)
            edits[count++] = (struct rtree_edit){false, county->items[i]};
    }
    assert_ok(rtree_apply(&county->tree, edits, count));
    free(edits);
}

/* ---- what is asked afterwards ---- */

static void print_breach(void *context, const char *what)
{
    (void)context;
    print_error("%s\n", what);
}

static bool item_is_there(void *context, const struct rtree_item *item)
{
    const struct county *county = context;

    assert_in_range(item->document, 1, county->count);
    assert_true(county->alive[item->document - 1]);
    assert_true(catalogue_item_equal(item, &county->items[item->document - 1]));
    return true;
}

static uint64_t brute_count(const struct county *county, const struct rtree_query *query)
{
    uint64_t count = 0;

    for (size_t i = 0; i < county->count; i++) {
        const struct rtree_item *item = &county->items[i];
        bool themed = query->group_count == 0;

        for (unsigned word = 0; word < 4 && !themed; word++)
            themed = query->groups[0].sets[0].words[word] & item->themes.words[word];
        count += county->alive[i] && themed &&
                 geo_distance_m(query->centre, geo_point_of(item->point)) <= query->radius_m;
    }
    return count;
}

/* Circles of all sizes around listings, without a theme and with one, and the nodes looked at. */
static uint64_t ask(const struct county *county, const struct kv *kv, unsigned questions,
                    bool brute)
{
    uint64_t seed = 0xa5c, total = 0;

    for (unsigned i = 0; i < questions; i++) {
        const struct rtree_item *near = &county->items[test_random_below(&seed, county->count)];
        struct rtree_theme_group group = {.count = 1, .sets = {near->themes}};
        struct rtree_query query = {.has_centre = true,
                                    .centre = geo_point_of(near->point),
                                    .radius_m = pow(10, 2 + 4 * test_random_unit(&seed)),
                                    .group_count = i % 2,
                                    .groups = &group,
                                    .time_from_ms = INT64_MIN,
                                    .time_through_ms = INT64_MAX};
        struct rtree_work work;
        uint64_t count;

        assert_ok(rtree_count(kv, COLLECTION, &query, &count, &work));
        if (brute)
            assert_int_equal(count, brute_count(county, &query));
        total += work.nodes + work.leaves;
    }
    return total;
}

static void county_check(struct county *county)
{
    size_t alive = 0;
    uint64_t size;

    for (size_t i = 0; i < county->count; i++)
        alive += county->alive[i];
    assert_ok(rtree_check(&county->kv, COLLECTION, print_breach, NULL, NULL));
    assert_ok(rtree_items(&county->kv, COLLECTION, item_is_there, county));
    assert_ok(rtree_size(&county->kv, COLLECTION, &size));
    assert_int_equal(size, alive);
    ask(county, &county->kv, 12, true);
}

/* ---- tests ---- */

/* Each of the ways through a sweep, after each other: an item that is lost stays lost. */
static void run_batches(uint64_t seed, size_t count, bool strict)
{
    static enum fate (*const batches[])(struct county *, size_t) = {
        fate_grow, fate_few,  fate_some,  fate_other, fate_all_of_some_villages,
        fate_some, fate_spot, fate_some,  fate_far,   fate_grow,
        fate_some, fate_go,   fate_other, fate_grow,  fate_all_of_some_villages,
    };
    struct county county = county_new(seed, count, strict);

    county.tree = (struct rtree){.kv = &county.kv, .collection = COLLECTION};
    for (size_t i = 0; i < count; i++)
        county.alive[i] = i % 2;
    county_load(&county, &county.kv);
    for (size_t i = 0; i < ARRAY_SIZE(batches); i++) {
        county_edit(&county, batches[i]);
        county_check(&county);
    }
    county_done(&county);
}

static void test_batches_agree_with_brute_force(void **state)
{
    static const uint64_t seeds[] = {0x5eeb, 1, 2};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(seeds); i++)
        run_batches(seeds[i], 15000, false);
    run_batches(7, 400, false);
}

/* Who keeps a span over a flush reads freed memory. */
static void test_no_span_outlives_a_flush(void **state)
{
    (void)state;
    run_batches(3, 3000, true);
}

/* Batches must not leave a tree that everybody waits for until it is mended. */
static void test_shape_stays(void **state)
{
    struct county county = county_new(0x51a, 20000, false);
    uint64_t swept, packed;
    struct kv_mem *mem;
    struct kv kv;

    (void)state;
    county.tree = (struct rtree){.kv = &county.kv, .collection = COLLECTION};
    memset(county.alive, 1, county.count * sizeof(*county.alive));
    county_load(&county, &county.kv);
    for (int round = 0; round < 6; round++)
        county_edit(&county, fate_some);
    assert_ok(kv_mem_new(&mem));
    assert_ok(kv_mem_write_begin(mem, &kv));
    county_load(&county, &kv);
    swept = ask(&county, &county.kv, 1000, false);
    packed = ask(&county, &kv, 1000, false);
    print_message("nodes: after batches %llu, packed %llu\n", (unsigned long long)swept,
                  (unsigned long long)packed);
    assert_true((double)swept <= 1.25 * (double)packed);
    kv_mem_write_abort(&kv);
    kv_mem_free(mem);
    county_done(&county);
}

/* What is not there must be said, wherever in a large batch it stands. */
static void test_what_is_not_there(void **state)
{
    struct county county = county_new(9, 4000, false);
    struct rtree_edit *edits = calloc(county.count, sizeof(*edits));

    (void)state;
    assert_non_null(edits);
    county.tree = (struct rtree){.kv = &county.kv, .collection = COLLECTION};
    memset(county.alive, 1, county.count * sizeof(*county.alive));
    county_load(&county, &county.kv);
    assert_ok(kv_mem_write_commit(&county.kv));
    for (size_t i = 0; i < 500; i++)
        edits[i] = (struct rtree_edit){true, county.items[i]};
    for (size_t wrong = 0; wrong < 500; wrong += 83) {
        assert_ok(kv_mem_write_begin(county.mem, &county.kv));
        edits[wrong].item.point.lat_e7++;
        edits[wrong].item.min.lat_e7 = edits[wrong].item.max.lat_e7 =
            edits[wrong].item.point.lat_e7;
        assert_err(rtree_apply(&county.tree, edits, 500), TORG_E_NOT_FOUND);
        edits[wrong].item = county.items[wrong];
        kv_mem_write_abort(&county.kv);
    }
    assert_ok(kv_mem_write_begin(county.mem, &county.kv));
    county_check(&county);
    free(edits);
    county_done(&county);
}

/* Every write of a batch can fail; the error must come out, and the memory with it. */
static void test_failing_batches(void **state)
{
    struct county county = county_new(0xfa, 6000, false);

    (void)state;
    county.tree = (struct rtree){.kv = &county.kv, .collection = COLLECTION};
    memset(county.alive, 1, 4000 * sizeof(*county.alive));
    county_load(&county, &county.kv);
    assert_ok(kv_mem_write_commit(&county.kv));
    for (unsigned after = 0; after < 120; after += 7) {
        struct rtree_edit edits[2000];
        enum torg_err err;

        for (size_t i = 0; i < 1000; i++) {
            edits[2 * i] = (struct rtree_edit){true, county.items[3 * i]};
            edits[2 * i + 1] = (struct rtree_edit){false, county.items[3 * i]};
            item_place(&edits[2 * i + 1].item, random_point(&county.seed, i % VILLAGES));
        }
        assert_ok(kv_mem_write_begin(county.mem, &county.kv));
        kv_mem_fail_after(county.mem, after, TORG_E_FULL);
        err = rtree_apply(&county.tree, edits, ARRAY_SIZE(edits));
        assert_true(err == TORG_E_FULL || err == TORG_OK);
        kv_mem_fail_after(county.mem, 0, TORG_OK);
        kv_mem_write_abort(&county.kv);
    }
    assert_ok(kv_mem_write_begin(county.mem, &county.kv));
    county_check(&county);
    county_done(&county);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batches_agree_with_brute_force),
        cmocka_unit_test(test_no_span_outlives_a_flush),
        cmocka_unit_test(test_shape_stays),
        cmocka_unit_test(test_what_is_not_there),
        cmocka_unit_test(test_failing_batches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
