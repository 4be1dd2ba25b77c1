/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_pending.h"

#include <math.h>
#include <stdlib.h>

#include "index/catalogue_row.h"
#include "index/rtree_repack.h"
#include "tests/support/kv_mem.h"
#include "tests/support/test.h"

/*
 * Edits that wait are right when nobody can tell: every question gets the
 * answer of a tree that was packed anew, in a collection beside it.
 */
#define WAITING 3
#define BESIDE 4 /* the same town, edited in larger batches */
#define PACKED 5
#define ITEMS_MAX 4000
#define EDITS_MAX 4 /* of one call of edit_some */

struct town {
    uint64_t seed;
    struct rtree_item items[ITEMS_MAX]; /* document i + 1 */
    bool alive[ITEMS_MAX];
    size_t count;
    struct kv_mem *mem;
    struct kv kv;
    struct rtree tree;
    struct rtree_theme_group group; /* of the query in hand */
};

static struct rtree_item random_item(uint64_t *seed, uint32_t document)
{
    struct rtree_item item = {
        .document = document, .time_from_ms = INT64_MIN, .time_through_ms = INT64_MAX};
    uint64_t village = test_random_below(seed, 12);

    item.point.lon_e7 =
        (int32_t)(180000000 + 4000000 * (double)village + 1e6 * pow(test_random_unit(seed), 3));
    item.point.lat_e7 = (int32_t)(640000000 + 3000000 * (double)(village * 5 % 12) +
                                  1e6 * pow(test_random_unit(seed), 3));
    if (test_random_below(seed, 4) == 0)
        item.time_through_ms = (int64_t)test_random_below(seed, 1000) * 86400000;
    item.min = item.max = item.point;
    theme_set_add(&item.themes, (unsigned)test_random_below(seed, 8));
    if (test_random_below(seed, 3) == 0)
        theme_set_add(&item.themes, 100);
    return item;
}

/* One that needs a record cannot wait. */
static void make_area(struct rtree_item *item)
{
    item->max.lat_e7 += 3000;
}

static struct town *town_new(uint64_t seed, size_t count)
{
    struct town *town = calloc(1, sizeof(*town));

    assert_non_null(town);
    town->seed = seed;
    assert_ok(kv_mem_new(&town->mem));
    assert_ok(kv_mem_write_begin(town->mem, &town->kv));
    town->tree = (struct rtree){.kv = &town->kv, .collection = WAITING};
    for (town->count = 0; town->count < count; town->count++) {
        town->items[town->count] = random_item(&town->seed, (uint32_t)town->count + 1);
        town->alive[town->count] = true;
    }
    assert_ok(rtree_bulk_load(&town->tree, town->items, count));
    return town;
}

static void town_free(struct town *town)
{
    kv_mem_write_abort(&town->kv);
    kv_mem_free(town->mem);
    free(town);
}

static size_t waiting_in(const struct town *town, uint8_t collection)
{
    struct rtree_pending pending;

    assert_ok(rtree_pending_get(&town->kv, collection, &pending));
    return pending.gone.count + pending.added.count;
}

static size_t waiting(const struct town *town)
{
    return waiting_in(town, WAITING);
}

/* A listing comes, goes, moves, or comes and goes before anybody saw it. */
static size_t edit_some(struct town *town, struct rtree_edit *edits)
{
    size_t at = test_random_below(&town->seed, town->count + 1), used = 0;

    if (at == town->count) {
        if (town->count == ITEMS_MAX)
            return 0;
        town->count++;
    }
    do {
        if (!town->alive[at]) {
            town->items[at] = random_item(&town->seed, (uint32_t)at + 1);
            if (test_random_below(&town->seed, 30) == 0)
                make_area(&town->items[at]);
        }
        edits[used++] = (struct rtree_edit){town->alive[at], town->items[at]};
        town->alive[at] = !town->alive[at];
    } while (used < EDITS_MAX && test_random_below(&town->seed, 2) == 0);
    return used;
}

static void print_breach(void *context, const char *what)
{
    (void)context;
    print_error("%s\n", what);
}

/* ---- the same answers ---- */

struct answer {
    uint32_t documents[ITEMS_MAX];
    size_t count;
};

static bool answer_take(void *context, const struct rtree_batch *batch)
{
    struct answer *answer = context;

    for (size_t i = 0; i < batch->count; i++)
        answer->documents[answer->count++] = batch->documents[i];
    return true;
}

static int document_compare(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

    return (a > b) - (a < b);
}

static struct answer *answer_of(const struct town *town, uint8_t collection,
                                const struct rtree_query *query)
{
    struct answer *answer = calloc(1, sizeof(*answer));

    assert_non_null(answer);
    assert_ok(rtree_search(&town->kv, collection, query, true, answer_take, answer, NULL));
    qsort(answer->documents, answer->count, sizeof(answer->documents[0]), document_compare);
    return answer;
}

static void compare_counts(const struct town *town, uint8_t collection,
                           const struct rtree_query *query, size_t found)
{
    uint64_t ours[THEME_BITS], theirs[THEME_BITS], count, theirs_count;

    assert_ok(rtree_count(&town->kv, collection, query, &count, NULL));
    assert_int_equal(count, found);
    assert_ok(rtree_theme_counts(&town->kv, collection, query, ours, &count, NULL));
    assert_ok(rtree_theme_counts(&town->kv, PACKED, query, theirs, &theirs_count, NULL));
    assert_int_equal(count, found);
    assert_int_equal(theirs_count, found);
    assert_memory_equal(ours, theirs, sizeof(ours));
}

/* More than the hint says, so that the walk begins anew. */
static void compare_nearest(const struct town *town, uint8_t collection, struct rtree_query query,
                            uint32_t hint)
{
    struct rtree_near *ours, *theirs;
    enum torg_err err;

    query.near_hint = hint;
    assert_ok(rtree_near_new(&town->kv, UINT32_C(1) << collection, &query, &ours));
    assert_ok(rtree_near_new(&town->kv, UINT32_C(1) << PACKED, &query, &theirs));
    for (int i = 0; i < 60; i++) {
        struct rtree_hit ours_hit, theirs_hit;

        err = rtree_near_next(theirs, &theirs_hit);
        assert_err(rtree_near_next(ours, &ours_hit), err);
        if (err)
            break;
        assert_int_equal(ours_hit.document, theirs_hit.document);
        assert_true(ours_hit.distance_m == theirs_hit.distance_m);
    }
    rtree_near_free(ours);
    rtree_near_free(theirs);
}

static struct rtree_query random_query(struct town *town)
{
    const struct rtree_item *item = &town->items[test_random_below(&town->seed, town->count)];
    struct geo_point at = geo_point_of(item->point); /* also where something has just gone */
    double half = 0.5 * pow(test_random_unit(&town->seed), 4) + 1e-6;
    struct rtree_query query = {.time_from_ms = INT64_MIN, .time_through_ms = INT64_MAX};

    if (test_random_below(&town->seed, 3) > 0) {
        query.has_centre = true;
        query.centre = at;
        query.radius_m = test_random_below(&town->seed, 3) == 0 ? (double)INFINITY : half * 1e5;
    } else if (test_random_below(&town->seed, 4) > 0) {
        query.has_box = true;
        query.box = (struct geo_box){at.lon_deg - half, at.lat_deg - half, at.lon_deg + half,
                                     at.lat_deg + half};
    }
    if (test_random_below(&town->seed, 2) == 0) {
        town->group = (struct rtree_theme_group){.count = 1};
        theme_set_add(&town->group.sets[0], (unsigned)test_random_below(&town->seed, 9));
        query.group_count = 1;
        query.groups = &town->group;
    }
    if (test_random_below(&town->seed, 3) == 0)
        query.time_from_ms = (int64_t)test_random_below(&town->seed, 1000) * 86400000;
    return query;
}

static bool item_alive(void *context, const struct rtree_item *item)
{
    const struct town *town = context;

    assert_true(item->document >= 1 && item->document <= town->count);
    assert_true(town->alive[item->document - 1]);
    assert_true(catalogue_item_equal(item, &town->items[item->document - 1]));
    return true;
}

static size_t pack(struct town *town)
{
    struct rtree packed = {.kv = &town->kv, .collection = PACKED};
    struct rtree_item *items = calloc(town->count + 1, sizeof(*items));
    size_t count = 0;

    assert_non_null(items);
    for (size_t i = 0; i < town->count; i++) {
        if (town->alive[i])
            items[count++] = town->items[i];
    }
    assert_ok(rtree_bulk_load(&packed, items, count));
    free(items);
    return count;
}

static void compare_in(struct town *town, uint8_t collection, int queries)
{
    size_t count = pack(town);
    struct rtree_stat stat;
    uint64_t size;

    assert_ok(rtree_check(&town->kv, collection, print_breach, NULL, &stat));
    assert_int_equal(stat.items, count);
    assert_ok(rtree_size(&town->kv, collection, &size));
    assert_int_equal(size, count);
    assert_ok(rtree_items(&town->kv, collection, item_alive, town));
    for (int i = 0; i < queries; i++) {
        struct rtree_query query = random_query(town);
        struct answer *ours = answer_of(town, collection, &query);
        struct answer *theirs = answer_of(town, PACKED, &query);

        assert_int_equal(ours->count, theirs->count);
        assert_memory_equal(ours->documents, theirs->documents,
                            theirs->count * sizeof(theirs->documents[0]));
        compare_counts(town, collection, &query, theirs->count);
        if (query.has_centre)
            compare_nearest(town, collection, query, (uint32_t)test_random_below(&town->seed, 12));
        free(ours);
        free(theirs);
    }
}

static void compare(struct town *town, int queries)
{
    compare_in(town, WAITING, queries);
}

/* ---- tests ---- */

/*
 * What a query forgets of the page is missing, or still there, until some later commit. And if one
 * edit had to pay for all that wait, it would take five times as long as the others: of one
 * document two wait at most, and of so many documents may an edit do what waits.
 */
static void test_what_waits_is_answered(void **state)
{
    static const uint64_t seeds[] = {0x3a17, 1, 2};
    struct rtree_edit edits[EDITS_MAX];

    (void)state;
    for (size_t s = 0; s < ARRAY_SIZE(seeds); s++) {
        struct town *town = town_new(seeds[s], 1500);
        size_t most = 0, drained = 0;

        for (int round = 0; round < 600; round++) {
            size_t before = waiting(town), used = edit_some(town, edits), after;

            assert_ok(rtree_apply(&town->tree, edits, used));
            after = waiting(town);
            assert_true(after + 2 * (RTREE_PENDING_SOME_MAX + 1) >= before);
            most = after > most ? after : most;
            drained += after + 2 < before;
            if (round % 25 == 7)
                compare(town, 30);
        }
        assert_true(most > 120);
        assert_true(drained > 20);
        town_free(town);
    }
}

/* Batches over several documents need more room at a time, and one collection's must not take
 * another's. */
static void test_batches_wait_beside_single_edits(void **state)
{
    static const uint64_t seeds[] = {0x77b, 5};
    struct rtree_edit edits[RTREE_PENDING_EDITS_MAX + 2 * EDITS_MAX];

    (void)state;
    for (size_t s = 0; s < ARRAY_SIZE(seeds); s++) {
        struct town *town = town_new(seeds[s], 1200);
        struct rtree beside = {.kv = &town->kv, .collection = BESIDE};
        struct rtree_item *items = calloc(town->count, sizeof(*items));
        size_t count = 0, most = 0, wanted = 1;

        assert_non_null(items);
        memcpy(items, town->items, town->count * sizeof(*items));
        assert_ok(rtree_bulk_load(&beside, items, town->count));
        free(items);
        for (int round = 0; round < 900; round++) {
            size_t used = edit_some(town, edits + count);

            assert_ok(rtree_apply(&town->tree, edits + count, used));
            count += used;
            if (count < wanted)
                continue;
            assert_ok(rtree_apply(&beside, edits, count));
            most = waiting_in(town, BESIDE) > most ? waiting_in(town, BESIDE) : most;
            count = 0; /* Now and then one that is too large to wait. */
            wanted = 1 + test_random_below(&town->seed, RTREE_PENDING_EDITS_MAX);
            if (round % 40 < 5) {
                compare_in(town, WAITING, 10);
                compare_in(town, BESIDE, 10);
            }
        }
        assert_true(most > 100);
        town_free(town);
    }
}

/* An edit that has to make room first writes in several places: a disk that is full at one of them
 * undoes all. */
static void test_making_room_can_fail(void **state)
{
    struct town *town = town_new(0x5e2, 1500);
    size_t before;

    (void)state;
    for (size_t i = 0; i < RTREE_PENDING_GONE_MAX; i++) {
        assert_ok(rtree_remove(&town->tree, &town->items[i]));
        town->alive[i] = false;
    }
    before = waiting(town);
    assert_ok(kv_mem_write_commit(&town->kv));
    kv_mem_strict(town->mem, true); /* And nothing that was read may be kept over a write. */
    for (unsigned after = 0; after < 60; after++) {
        enum torg_err err;

        assert_ok(kv_mem_write_begin(town->mem, &town->kv));
        kv_mem_fail_after(town->mem, after, TORG_E_FULL);
        err = rtree_remove(&town->tree, &town->items[RTREE_PENDING_GONE_MAX]);
        kv_mem_fail_after(town->mem, 0, TORG_OK);
        assert_true(err == TORG_E_FULL || after > 10);
        assert_true(err == TORG_E_FULL || err == TORG_OK);
        if (!err)
            assert_int_equal(waiting(town), before + 1 - RTREE_PENDING_SOME_MAX);
        kv_mem_write_abort(&town->kv);
    }
    assert_ok(kv_mem_write_begin(town->mem, &town->kv));
    assert_int_equal(waiting(town), before);
    compare(town, 5);
    town_free(town);
}

/* The repacking makes room before it is needed, in small steps too, and the answers stay. */
static void test_repacking_does_what_waits(void **state)
{
    struct town *town = town_new(0x9e1, 1500);
    struct rtree_repacked repacked = {0};

    (void)state;
    for (size_t i = 0; i < 80; i++) {
        assert_ok(rtree_remove(&town->tree, &town->items[i]));
        town->alive[i] = false;
    }
    assert_int_equal(waiting(town), 80);
    for (int step = 0; step < 1000 && !repacked.quiet; step++) {
        size_t before = waiting(town);

        assert_ok(rtree_repack_step(&town->tree, &repacked));
        assert_true(waiting(town) + RTREE_PENDING_SOME_MAX >= before);
    }
    assert_true(repacked.quiet);
    assert_in_range(waiting(town), 1, 79);
    compare(town, 20);
    town_free(town);
}

/* A node holds more than are wanted, and most of them are to go: what is beyond it is wanted too.
 */
static void test_nodes_that_are_nearly_gone(void **state)
{
    struct town *town = town_new(0x6e4, 600);
    struct rtree_query query = {.has_centre = true,
                                .radius_m = INFINITY,
                                .time_from_ms = INT64_MIN,
                                .time_through_ms = INT64_MAX};

    (void)state;
    for (size_t i = 0; i < 600; i++) { /* A hundred in one place, the others far away. */
        struct position far = {200000000 + (int32_t)i * 100, 680000000};
        struct position here = {150000000 + (int32_t)i * 100, 600000000};

        town->items[i].point = i < 100 ? here : far;
        town->items[i].min = town->items[i].max = town->items[i].point;
    }
    assert_ok(rtree_bulk_load(&town->tree, town->items, town->count));
    query.centre = geo_point_of(town->items[0].point);
    for (size_t i = 0; i < 90; i++) {
        assert_ok(rtree_remove(&town->tree, &town->items[i]));
        town->alive[i] = false;
    }
    assert_int_equal(waiting(town), 90);
    compare(town, 5);
    compare_nearest(town, WAITING, query, 20);
    town_free(town);
}

/* Not found must be said at once, not by the commit that at last does what waits. */
static void test_what_is_not_there_cannot_go(void **state)
{
    struct town *town = town_new(0x40f, 600);
    struct rtree_item other = town->items[7];
    const struct rtree_edit both[] = {{true, town->items[9]}, {true, other}};

    (void)state;
    assert_ok(rtree_remove(&town->tree, &town->items[7]));
    assert_err(rtree_remove(&town->tree, &town->items[7]), TORG_E_NOT_FOUND);
    other.point.lat_e7++;
    other.min = other.max = other.point;
    assert_err(rtree_remove(&town->tree, &other), TORG_E_NOT_FOUND);
    assert_ok(rtree_insert(&town->tree, &other)); /* It waits to come... */
    assert_err(rtree_remove(&town->tree, &town->items[7]), TORG_E_NOT_FOUND);
    assert_ok(rtree_remove(&town->tree, &other)); /* ...and never does. */
    assert_int_equal(waiting(town), 1);
    assert_err(rtree_apply(&town->tree, both, 2), TORG_E_NOT_FOUND);
    assert_int_equal(waiting(town), 1);
    town->alive[7] = false;
    compare(town, 10);
    town_free(town);
}

static struct buffer page_copy(const struct town *town)
{
    uint8_t key[RTREE_KEY_BYTES];
    struct buffer page = {0};
    struct span value;

    assert_ok(kv_get(&town->kv, KV_RTREE, rtree_node_key(WAITING | RTREE_COUNTS_KEY_BIT, 0, key),
                     &value));
    buffer_put_span(&page, value);
    return page;
}

static void page_put(struct town *town, const struct buffer *page)
{
    uint8_t key[RTREE_KEY_BYTES];

    assert_ok(kv_put(&town->kv, KV_RTREE, rtree_node_key(WAITING | RTREE_COUNTS_KEY_BIT, 0, key),
                     buffer_span(page)));
}

/* Of bits that are not flipped back, the check must see all but those of a time or a place. */
static void test_damage_is_seen(void **state)
{
    struct town *town = town_new(0xda3, 800);
    struct buffer page, harmed = {0};
    unsigned seen = 0;

    (void)state;
    for (size_t i = 0; i < 20; i++) {
        assert_ok(rtree_remove(&town->tree, &town->items[i]));
        town->items[i] = random_item(&town->seed, (uint32_t)i + 1);
        assert_ok(rtree_insert(&town->tree, &town->items[i]));
    }
    page = page_copy(town);
    for (int round = 0; round < 400; round++) {
        struct rtree_query query = random_query(town);
        struct answer *answer = calloc(1, sizeof(*answer));
        uint64_t count;
        enum torg_err err;

        assert_non_null(answer);
        harmed.size = 0;
        buffer_put_span(&harmed, buffer_span(&page));
        harmed.data[test_random_below(&town->seed, harmed.size)] ^=
            (uint8_t)(1u << test_random_below(&town->seed, 8));
        page_put(town, &harmed);
        err = rtree_check(&town->kv, WAITING, NULL, NULL, NULL);
        assert_true(!err || err == TORG_E_CORRUPT);
        seen += err != TORG_OK;
        err = rtree_search(&town->kv, WAITING, &query, false, answer_take, answer, NULL);
        assert_true(!err || err == TORG_E_CORRUPT);
        err = rtree_count(&town->kv, WAITING, &query, &count, NULL);
        assert_true(!err || err == TORG_E_CORRUPT);
        free(answer);
    }
    assert_true(seen >
                330); /* A bit of what is to come may make another that is just as possible. */
    page_put(town, &page);
    compare(town, 5);
    buffer_done(&page);
    buffer_done(&harmed);
    town_free(town);
}

/* With a full dictionary packing writes a record: what never came to stay must leave none. */
static void test_what_comes_and_goes_leaves_no_record(void **state)
{
    static const uint8_t next_key[] = {0, 'c'}, next[] = {0xff, 0xff};
    struct town *town = town_new(0x6d1, 1500);
    struct rtree_edit edits[2] = {{.item = random_item(&town->seed, 2000)}, {.removed = true}};

    (void)state;
    assert_ok(kv_put(&town->kv, KV_THEME, span_of(next_key, sizeof(next_key)),
                     span_of(next, sizeof(next))));
    for (unsigned bit = 20; bit < 24; bit++)
        theme_set_add(&edits[0].item.themes, bit);
    edits[1].item = edits[0].item;
    assert_ok(rtree_apply(&town->tree, edits, ARRAY_SIZE(edits)));
    compare(town, 2);
    assert_ok(rtree_apply(&town->tree, edits, 1));
    assert_ok(rtree_apply(&town->tree, edits + 1, 1));
    compare(town, 2);
    town_free(town);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_waits_is_answered),
        cmocka_unit_test(test_batches_wait_beside_single_edits),
        cmocka_unit_test(test_making_room_can_fail),
        cmocka_unit_test(test_repacking_does_what_waits),
        cmocka_unit_test(test_nodes_that_are_nearly_gone),
        cmocka_unit_test(test_what_is_not_there_cannot_go),
        cmocka_unit_test(test_damage_is_seen),
        cmocka_unit_test(test_what_comes_and_goes_leaves_no_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
