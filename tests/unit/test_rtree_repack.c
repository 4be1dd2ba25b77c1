/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_repack.h"

#include <math.h>
#include <stdlib.h>

#include "index/catalogue_row.h"
#include "tests/support/kv_mem.h"
#include "tests/support/test.h"

#define COLLECTION 3
#define STEPS_MAX 2000 /* far more than any history here needs: beyond it, it never ends */

/* Villages of several sizes, in several themes, some of them areas. */
struct town {
    uint64_t seed;
    struct rtree_item *items; /* owned */
    bool *alive;              /* owned */
    size_t count;
    struct kv_mem *mem;
    struct kv kv;
    struct rtree tree;
};

static struct rtree_item random_item(uint64_t *seed, uint32_t document)
{
    double reach = pow(10, 3 + 3 * test_random_unit(seed));
    uint64_t village = test_random_below(seed, 40);
    struct rtree_item item = {
        .document = document, .time_from_ms = INT64_MIN, .time_through_ms = INT64_MAX};

    item.point.lon_e7 = (int32_t)(150000000 + 1900000 * (double)(village * 7 % 40) +
                                  reach * (test_random_unit(seed) + test_random_unit(seed)));
    item.point.lat_e7 = (int32_t)(610000000 + 1900000 * (double)village +
                                  reach * (test_random_unit(seed) + test_random_unit(seed)));
    item.min = item.max = item.point;
    if (test_random_below(seed, 50) == 0)
        item.max.lat_e7 += 20000;
    theme_set_add(&item.themes, (unsigned)(pow(test_random_unit(seed), 2) * 20));
    if (test_random_below(seed, 3) == 0)
        theme_set_add(&item.themes, 100);
    return item;
}

static struct town town_new(uint64_t seed, size_t count)
{
    struct town town = {.seed = seed, .count = count};

    town.items = calloc(count, sizeof(*town.items));
    town.alive = calloc(count, sizeof(*town.alive));
    assert_non_null(town.items);
    assert_non_null(town.alive);
    for (size_t i = 0; i < count; i++)
        town.items[i] = random_item(&town.seed, (uint32_t)i + 1);
    assert_ok(kv_mem_new(&town.mem));
    assert_ok(kv_mem_write_begin(town.mem, &town.kv));
    return town;
}

static void town_done(struct town *town)
{
    kv_mem_write_abort(&town->kv);
    kv_mem_free(town->mem);
    free(town->items);
    free(town->alive);
}

/* Those of a range: in, out, or somewhere else. */
static void town_edit(struct town *town, size_t begin, size_t end, bool random)
{
    struct rtree_edit *edits = calloc(2 * (end - begin), sizeof(*edits));
    size_t count = 0;

    assert_non_null(edits);
    for (size_t k = begin; k < end; k++) {
        size_t i = random ? test_random_below(&town->seed, town->count) : k;
        bool moves = random && town->alive[i] && test_random_below(&town->seed, 3) > 0;

        edits[count++] = (struct rtree_edit){town->alive[i], town->items[i]};
        town->alive[i] = !town->alive[i];
        if (moves) {
            town->items[i] = random_item(&town->seed, (uint32_t)i + 1);
            edits[count++] = (struct rtree_edit){false, town->items[i]};
            town->alive[i] = true;
        }
    }
    assert_ok(rtree_apply(&town->tree, edits, count));
    free(edits);
}

static void town_load(struct town *town, struct kv *kv)
{
    struct rtree tree = {.kv = kv, .collection = COLLECTION};
    struct rtree_item *items = calloc(town->count, sizeof(*items));
    size_t count = 0;

    assert_non_null(items);
    for (size_t i = 0; i < town->count; i++) {
        if (town->alive[i])
            items[count++] = town->items[i];
    }
    assert_ok(rtree_bulk_load(&tree, items, count));
    free(items);
}

static void print_breach(void *context, const char *what)
{
    (void)context;
    print_error("%s\n", what);
}

static bool item_is_there(void *context, const struct rtree_item *item)
{
    const struct town *town = context;

    assert_in_range(item->document, 1, town->count);
    assert_true(town->alive[item->document - 1]);
    assert_true(catalogue_item_equal(item, &town->items[item->document - 1]));
    return true;
}

static void town_check(struct town *town)
{
    size_t alive = 0;
    uint64_t size;

    for (size_t i = 0; i < town->count; i++)
        alive += town->alive[i];
    assert_ok(rtree_check(&town->kv, COLLECTION, print_breach, NULL, NULL));
    assert_ok(rtree_items(&town->kv, COLLECTION, item_is_there, town));
    assert_ok(rtree_size(&town->kv, COLLECTION, &size));
    assert_int_equal(size, alive);
}

/* The nodes that a fixed set of questions visits: counts, so that a busy machine changes nothing.
 */
static uint64_t visits(const struct kv *kv, bool themed)
{
    uint64_t seed = 0x1ea5, total = 0;

    for (int i = 0; i < 400; i++) {
        struct rtree_item near = random_item(&seed, 1);
        struct rtree_query query = {.has_centre = true,
                                    .centre = geo_point_of(near.point),
                                    .radius_m = pow(10, 3 + 2 * test_random_unit(&seed)),
                                    .time_from_ms = INT64_MIN,
                                    .time_through_ms = INT64_MAX};
        struct rtree_theme_group group = {.count = 1, .sets = {near.themes}};
        struct rtree_work work;
        uint64_t count;

        if (themed) {
            group.sets[0].words[1] = 0;
            query.group_count = 1;
            query.groups = &group;
        }
        assert_ok(rtree_count(kv, COLLECTION, &query, &count, &work));
        total += work.nodes + work.leaves;
    }
    return total;
}

/* Steps until there is nothing left to do; returns how many. */
static unsigned repack(struct town *town)
{
    struct rtree_repacked repacked = {0};
    unsigned steps = 0;

    while (!repacked.quiet) {
        assert_ok(rtree_repack_step(&town->tree, &repacked));
        assert_true(repacked.items <= 60000);
        steps++;
        assert_true(steps < STEPS_MAX);
        if (steps % 8 == 1 || repacked.quiet)
            town_check(town);
    }
    assert_ok(rtree_repack_step(&town->tree, &repacked));
    assert_true(repacked.quiet);
    return steps;
}

static void assert_like_packed(struct town *town, const char *what)
{
    struct kv_mem *mem;
    struct kv kv;

    assert_ok(kv_mem_new(&mem));
    assert_ok(kv_mem_write_begin(mem, &kv));
    town_load(town, &kv);
    for (int themed = 0; themed < 2; themed++) {
        uint64_t before = visits(&town->kv, themed), packed = visits(&kv, themed), after;
        unsigned steps = themed ? 0 : repack(town);

        after = visits(&town->kv, themed);
        print_message("%s, %s: %u steps; nodes before %llu, after %llu, packed %llu\n", what,
                      themed ? "theme" : "all", steps, (unsigned long long)before,
                      (unsigned long long)after, (unsigned long long)packed);
        assert_true((double)after <= 1.25 * (double)packed);
    }
    kv_mem_write_abort(&kv);
    kv_mem_free(mem);
}

/* Trees only get worse by edits; without mending, everybody waits a little longer each year. */
static void test_any_history_comes_out_like_packed(void **state)
{
    struct town town = town_new(0x70, 16000);

    (void)state;
    town.tree = (struct rtree){.kv = &town.kv, .collection = COLLECTION};
    for (size_t begin = 0; begin < 12000; begin += 500)
        town_edit(&town, begin, begin + 500, false);
    assert_like_packed(&town, "grown by inserts");
    for (int round = 0; round < 6; round++)
        town_edit(&town, 0, 1000, true);
    assert_like_packed(&town, "a third edited");
    town_edit(&town, 0, 16000, false); /* who was in goes, the others come */
    assert_like_packed(&town, "three quarters gone");
    town_load(&town, &town.kv);
    for (int round = 0; round < 8; round++) {
        town_edit(&town, 0, 200, true);
        repack(&town);
    }
    assert_like_packed(&town, "mended after each commit");
    for (size_t i = 0; i < town.count; i++) {
        if (town.alive[i])
            town_edit(&town, i, i + 1, false);
    }
    repack(&town);
    town_done(&town);
}

/* Leaves of a large batch lie over those that are there: they must be found, and mended in the end.
 */
static void test_large_batches(void **state)
{
    struct town town = town_new(0x74, 40000);

    (void)state;
    town.tree = (struct rtree){.kv = &town.kv, .collection = COLLECTION};
    for (size_t begin = 0; begin < 36000; begin += 6000) {
        town_edit(&town, begin, begin + 6000, false);
        town_check(&town);
    }
    for (int round = 0; round < 3; round++) {
        town_edit(&town, 0, 5000, true);
        town_check(&town);
    }
    assert_like_packed(&town, "grown by large batches");
    town_done(&town);
}

/* A batch that fails half-way must not lose anything either. */
static void test_failing_batch(void **state)
{
    struct town town = town_new(0x75, 12000);

    (void)state;
    town.tree = (struct rtree){.kv = &town.kv, .collection = COLLECTION};
    town_edit(&town, 0, 9000, false);
    assert_ok(kv_mem_write_commit(&town.kv));
    for (unsigned after = 0; after < 200; after += 7) {
        struct rtree_edit *edits = calloc(3000, sizeof(*edits));
        enum torg_err err;

        assert_non_null(edits);
        for (size_t i = 0; i < 3000; i++)
            edits[i].item = town.items[9000 + i];
        assert_ok(kv_mem_write_begin(town.mem, &town.kv));
        kv_mem_fail_after(town.mem, after, TORG_E_FULL);
        err = rtree_apply(&town.tree, edits, 3000);
        assert_true(err == TORG_E_FULL || err == TORG_OK);
        kv_mem_fail_after(town.mem, 0, TORG_OK);
        kv_mem_write_abort(&town.kv);
        free(edits);
    }
    assert_ok(kv_mem_write_begin(town.mem, &town.kv));
    town_check(&town);
    town_edit(&town, 9000, 12000, false);
    town_check(&town);
    town_done(&town);
}

/* One step must not become a rebuild: bounded work, whatever the tree. */
static void test_all_on_one_spot(void **state)
{
    struct town town = town_new(0x71, 3000);

    (void)state;
    town.tree = (struct rtree){.kv = &town.kv, .collection = COLLECTION};
    for (size_t i = 0; i < town.count; i++)
        town.items[i].point = town.items[i].min = town.items[i].max = town.items[0].point;
    for (size_t begin = 0; begin < 1500; begin += 300)
        town_edit(&town, begin, begin + 300, false);
    town_edit(&town, 1500, 3000, false);
    repack(&town);
    for (int round = 0; round < 4; round++)
        town_edit(&town, 0, 300, true);
    repack(&town);
    town_done(&town);
}

static void test_nothing_to_do(void **state)
{
    struct town town = town_new(0x72, 2000);

    (void)state;
    town.tree = (struct rtree){.kv = &town.kv, .collection = COLLECTION};
    assert_int_equal(repack(&town), 1);
    for (size_t i = 0; i < town.count; i++)
        town.alive[i] = true;
    town_load(&town, &town.kv);
    assert_int_equal(repack(&town), 1);
    town_done(&town);
}

/* A step that fails half-way must not lose anything: the transaction is aborted. */
static void test_failing_step(void **state)
{
    struct town town = town_new(0x73, 4000);
    struct rtree_repacked repacked;

    (void)state;
    town.tree = (struct rtree){.kv = &town.kv, .collection = COLLECTION};
    for (size_t begin = 0; begin < 4000; begin += 400)
        town_edit(&town, begin, begin + 400, false);
    assert_ok(kv_mem_write_commit(&town.kv));
    for (unsigned after = 0; after < 40; after++) {
        enum torg_err err;

        assert_ok(kv_mem_write_begin(town.mem, &town.kv));
        kv_mem_fail_after(town.mem, after, TORG_E_FULL);
        err = rtree_repack_step(&town.tree, &repacked);
        assert_true(err == TORG_E_FULL || err == TORG_OK);
        kv_mem_fail_after(town.mem, 0, TORG_OK);
        kv_mem_write_abort(&town.kv);
    }
    assert_ok(kv_mem_write_begin(town.mem, &town.kv));
    town_check(&town);
    repack(&town);
    town_done(&town);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_history_comes_out_like_packed),
        cmocka_unit_test(test_large_batches),
        cmocka_unit_test(test_failing_batch),
        cmocka_unit_test(test_all_on_one_spot),
        cmocka_unit_test(test_nothing_to_do),
        cmocka_unit_test(test_failing_step),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
