/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/filter.h"
#include "index/query.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/test.h"
#include "tests/support/world.h"

static const uint64_t seeds[] = {1, 2, 0x51f3, 0xa02c, 77};

static void read_begin(struct world *world, struct kv *kv)
{
    assert_ok(kv_mem_read_begin(world->mem, kv));
    world_number(world, kv);
}

static bool hits_equal(const struct rtree_hit *a, const struct rtree_hit *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (a[i].document != b[i].document || a[i].distance_m != b[i].distance_m)
            return false;
    }
    return true;
}

/* Page and answer are compared by what decides their order. */
static bool page_equal(const struct query_page *page, const struct rtree_hit *answer)
{
    for (size_t i = 0; i < page->count; i++) {
        struct query_cursor at = query_page_cursor(page, i);
        struct rtree_hit hit = {.document = at.document, .distance_m = at.distance_m};

        if (!hits_equal(&hit, &answer[i], 1))
            return false;
    }
    return true;
}

/* How often each driver found something: a comparison with none of them would pass as well. */
static const char *const drivers[] = {"rtree", "walk", "scan", "near"};
static unsigned driven[ARRAY_SIZE(drivers)];

static void note_driver(const struct query_page *page)
{
    for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
        driven[i] += page->count > 0 && strcmp(page->explain.driver, drivers[i]) == 0;
}

/* One question, its page compared with the same part of the whole answer. */
static void check_query(struct world *world, const struct kv *kv, const struct query *query,
                        uint64_t seed)
{
    struct query_page page;
    struct rtree_hit *answer;
    size_t count = world_answer(world, query, &answer);
    size_t from = query->offset < count ? query->offset : count;
    size_t size = count - from < query->limit ? count - from : query->limit;

    assert_ok(query_run(kv, world->themes, query, &page));
    if (page.matched != count)
        fail_msg("seed %#" PRIx64 ", %s: matched %" PRIu64 ", not %zu", seed, page.explain.driver,
                 page.matched, count);
    if (page.count != size || !page_equal(&page, answer + from))
        fail_msg("seed %#" PRIx64 ", %s: the page of %zu differs (%zu)", seed, page.explain.driver,
                 size, page.count);
    assert_int_equal(page.has_next, query->limit > 0 && from + size < count);
    note_driver(&page);
    query_page_done(&page);
    free(answer);
}

/*
 * A filter that is forgotten by one driver only hides listings, or shows some
 * that do not match, in some combinations: nobody would notice.
 */
static void test_answers_agree_with_brute_force(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(seeds); i++) {
        struct world world;
        struct kv kv;

        world_init(&world, seeds[i]);
        for (unsigned round = 0; round < 4; round++) {
            world_change(&world, 300, 60);
            read_begin(&world, &kv);
            for (unsigned n = 0; n < 250; n++) {
                struct query query = world_query(&world);

                check_query(&world, &kv, &query, seeds[i]);
            }
            kv_mem_read_end(&kv);
        }
        world_done(&world);
    }
}

/*
 * Events are shown ahead of their time, offers are not: where nothing has to be
 * compared with rows, trees that are asked for different times are streamed
 * side by side.
 */
static void test_streams_of_different_times(void **state)
{
    struct world world;
    struct kv kv;

    (void)state;
    world_init(&world, 0x57e4);
    world.regular = true;
    for (unsigned round = 0; round < 3; round++) {
        world_change(&world, 400, 50);
        read_begin(&world, &kv);
        for (unsigned n = 0; n < 150; n++) {
            struct query query = world_query(&world);

            query.origin_count = query.municipality_count = 0;
            query.text = (struct span){0};
            query.has_datetime = false;
            check_query(&world, &kv, &query, 0x57e4);
        }
        kv_mem_read_end(&kv);
    }
    world_done(&world);
}

/* The paths for large collections are chosen by cost: small worlds never take them. */
static void test_large_world(void **state)
{
    struct world world;
    struct kv kv;

    (void)state;
    world_init(&world, 0x1a46e);
    world_change(&world, 12000, 0);
    world_change(&world, 1000, 2000);
    read_begin(&world, &kv);
    for (unsigned n = 0; n < 150; n++) {
        struct query query = world_query(&world);

        check_query(&world, &kv, &query, 0x1a46e);
    }
    for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
        assert_true(driven[i] >= 5);
    kv_mem_read_end(&kv);
    world_done(&world);
}

/* A listing that falls between two pages, or stands on both, is lost to people or doubled. */
static void test_pages_are_the_answer(void **state)
{
    struct world world;
    struct kv kv;

    (void)state;
    world_init(&world, 0xfade);
    world_change(&world, 900, 100);
    read_begin(&world, &kv);
    for (unsigned n = 0; n < 120; n++) {
        struct query query = world_query(&world);
        struct rtree_hit *answer;
        struct query_page page = {.has_next = true};
        size_t count, at = 0;

        query.offset = 0;
        query.limit = 1 + (uint32_t)test_random_below(&world.random, 40);
        count = world_answer(&world, &query, &answer);
        while (page.has_next) {
            assert_ok(query_run(&kv, world.themes, &query, &page));
            assert_int_equal(page.matched, count);
            assert_true(at + page.count <= count);
            assert_true(page_equal(&page, answer + at));
            at += page.count;
            query.has_cursor = true;
            query.cursor = page.next;
            query_page_done(&(struct query_page){.hits = page.hits, .ranks = page.ranks});
        }
        assert_int_equal(at, count);
        free(answer);
    }
    kv_mem_read_end(&kv);
    world_done(&world);
}

static struct filter *filter_of_all(void)
{
    static const struct cql2_schema none;
    struct cql2_fault fault = {""};
    struct filter *filter;
    struct cql2 tree;

    assert_ok(cql2_parse_text(span_of_str("1 = 1"), &none, &tree, &fault));
    assert_ok(filter_new(&tree, &none, NULL, &filter, &fault));
    return filter;
}

/* In how many pages everything is read must not say how often each listing is looked at. */
static void test_later_pages_need_not_count(void **state)
{
    struct filter *filter = filter_of_all();
    struct world world;
    struct kv kv;
    unsigned by_set = 0, by_row = 0;

    (void)state;
    world_init(&world, 0xace);
    world_change(&world, 900, 100);
    read_begin(&world, &kv);
    for (unsigned n = 0; n < 120; n++) {
        struct query query = world_query(&world);
        struct rtree_hit *answer;
        struct query_page page = {.has_next = true};
        size_t count, at = 0, filtered = 0, pages = 0;

        query.offset = 0;
        query.limit = 10;
        query.filter = filter;
        count = world_answer(&world, &query, &answer);
        for (; page.has_next; pages++) {
            assert_ok(query_run(&kv, world.themes, &query, &page));
            assert_true(at + page.count <= count);
            assert_true(page_equal(&page, answer + at));
            at += page.count;
            filtered += query.uncounted ? page.explain.filtered : 0;
            query.has_cursor = query.uncounted = true;
            query.cursor = page.next;
            query_page_done(&(struct query_page){.hits = page.hits, .ranks = page.ranks});
        }
        assert_int_equal(at, count);
        free(answer);
        if (query.has_near || query.text.size > 0)
            continue;
        assert_true(filtered <= count + pages); /* and one, to know that there is more */
        by_set += pages > 3 && query.municipality_count + query.origin_count > 0;
        by_row += pages > 3;
    }
    assert_true(by_set >= 3 && by_row >= 10);
    kv_mem_read_end(&kv);
    world_done(&world);
    filter_free(filter);
}

static bool has_theme(const struct world_listing *listing, const char *theme)
{
    for (unsigned i = 0; i < listing->theme_count; i++) {
        if (strcmp(listing->themes[i], theme) == 0)
            return true;
    }
    return false;
}

/* The index is asked for themes that a filter implies: with narrower ones, which the filter drops.
 */
static void test_filters_by_themes_are_narrowed(void **state)
{
    static const struct cql2_property themes = {{(const uint8_t *)"themes", 6}, CQL2_ARRAY};
    static const struct cql2_schema schema = {&themes, 1};
    struct world world;
    struct kv kv;
    size_t found = 0;

    (void)state;
    world_init(&world, 0x7e3e);
    world_change(&world, 700, 100);
    read_begin(&world, &kv);
    for (unsigned n = 0; n < 60; n++) {
        const struct world_listing *like =
            &world.listings[test_random_below(&world.random, world.count)];
        const char *first = like->themes[0], *last = like->themes[like->theme_count - 1];
        struct query query = {.collections = COLLECTION_MASK_PUBLIC,
                              .now_ms = world.now_ms,
                              .limit = QUERY_LIMIT_MAX};
        struct cql2_fault fault = {""};
        struct rtree_hit *answer;
        struct query_page page;
        struct buffer text = {0};
        struct filter *filter;
        struct cql2 tree;
        size_t count, expected = 0;

        count = world_answer(&world, &query, &answer);
        for (size_t i = 0; i < count; i++) {
            for (size_t j = 0; j < world.count; j++)
                expected += world.listings[j].number == answer[i].document &&
                            has_theme(&world.listings[j], first) &&
                            has_theme(&world.listings[j], last);
        }
        buffer_printf(&text, "A_CONTAINS(themes, ('%s','%s'))", first, last);
        assert_ok(cql2_parse_text(buffer_span(&text), &schema, &tree, &fault));
        assert_ok(filter_new(&tree, &schema, NULL, &filter, &fault));
        query.filter = filter;
        query_narrow(&query);
        assert_int_equal(query.group_count, 1);
        assert_ok(query_run(&kv, world.themes, &query, &page));
        assert_int_equal(page.matched, expected);
        assert_int_equal(page.count, expected);
        found += expected;
        query_page_done(&page);
        filter_free(filter);
        buffer_done(&text);
        free(answer);
    }
    assert_true(found > 100);
    kv_mem_read_end(&kv);
    world_done(&world);
}

/* Number of the document -> its place in world.listings. */
static size_t listing_by_number(const struct world *world, uint32_t number)
{
    for (size_t i = 0; i < world->count; i++) {
        if (world->listings[i].number == number)
            return i;
    }
    fail_msg("document %u belongs to no listing", number);
    return 0;
}

static bool listing_unchanged(const struct world_listing *a, const struct world_listing *b)
{
    struct world_listing left = *a, right = *b;

    left.number = right.number = 0;
    return memcmp(&left, &right, sizeof(left)) == 0;
}

/* Replication never stops: what stays must come exactly once all the same. */
static void pages_while_writing(struct world *world)
{
    struct query query = world_query(world);
    struct query_page page = {.has_next = true};
    size_t count = world->count;
    struct world_listing *before = malloc(count * sizeof(*before));
    unsigned *times = calloc(count, sizeof(*times));
    bool *stable = malloc(count * sizeof(*stable));

    assert_true(before && times && stable);
    memcpy(before, world->listings, count * sizeof(*before));
    memset(stable, true, count);
    query.text = (struct span){0}; /* The world keeps what one state's texts find. */
    query.offset = 0;
    /* More than is published between two pages, or there would always be a next one. */
    query.limit = 25 + (uint32_t)test_random_below(&world->random, 40);
    while (page.has_next) {
        struct kv kv;

        read_begin(world, &kv);
        assert_ok(query_run(&kv, world->themes, &query, &page));
        for (size_t i = 0; i < page.count; i++) {
            size_t at = listing_by_number(world, page.hits[i].document);

            if (at < count)
                times[at]++;
        }
        kv_mem_read_end(&kv);
        query.has_cursor = true;
        query.cursor = page.next;
        query_page_done(&(struct query_page){.hits = page.hits, .ranks = page.ranks});
        world_change(world, 20, 20);
        for (size_t i = 0; i < count; i++)
            stable[i] = stable[i] && listing_unchanged(&before[i], &world->listings[i]);
    }
    for (size_t i = 0; i < count; i++) {
        if (stable[i])
            assert_int_equal(times[i], world_matches(world, &query, &before[i]));
    }
    free(before);
    free(times);
    free(stable);
}

static void test_pages_while_writing(void **state)
{
    struct world world;

    (void)state;
    world_init(&world, 0xbead);
    world_change(&world, 600, 0);
    for (unsigned n = 0; n < 25; n++)
        pages_while_writing(&world);
    world_done(&world);
}

static uint64_t brute_theme_count(const struct world *world, const struct query *query,
                                  const char *theme)
{
    uint64_t count = 0;

    for (size_t i = 0; i < world->count; i++) {
        const struct world_listing *l = &world->listings[i];
        bool held = false;

        for (unsigned j = 0; j < l->theme_count; j++) {
            /* What the taxonomy does not know, and nothing holds, counts as other. */
            held = held || world_theme_holds(theme, l->themes[j]) ||
                   (strcmp(theme, "other") == 0 && world_strays(l->themes[j]));
        }
        count += held && world_matches(world, query, l);
    }
    return count;
}

static void check_theme_counts(struct world *world, const struct kv *kv, struct query *query)
{
    static const char *const themes[] = {"food",           "food/cafe",  "food/bakery", "nature",
                                         "nature/fishing", "competence", "other"};
    uint64_t counts[THEME_BITS];

    assert_ok(query_theme_counts(kv, world->themes, query, counts));
    for (size_t i = 0; i < ARRAY_SIZE(themes); i++) {
        const struct theme *theme = theme_tree_find(world->themes, span_of_str(themes[i]));

        assert_non_null(theme);
        assert_int_equal(counts[theme->bit], brute_theme_count(world, query, themes[i]));
    }
}

/* A number beside a theme that differs from what a click on it shows. */
static void test_theme_counts(void **state)
{
    struct world world;
    struct kv kv;

    (void)state;
    world_init(&world, 0xc0de);
    world_change(&world, 1500, 100);
    read_begin(&world, &kv);
    for (unsigned n = 0; n < 80; n++) {
        struct query query = world_query(&world);

        check_theme_counts(&world, &kv, &query);
    }
    kv_mem_read_end(&kv);
    world_done(&world);
}

/* Listings that have the bit of THEME_OTHER, but not the theme. */
static unsigned live_strays(const struct world *world)
{
    unsigned count = 0;

    for (size_t i = 0; i < world->count; i++) {
        const struct world_listing *l = &world->listings[i];
        bool strays = false, other = false;

        for (unsigned j = 0; l->live && l->shown && j < l->theme_count; j++) {
            strays = strays || world_strays(l->themes[j]);
            other = other || strcmp(l->themes[j], THEME_OTHER) == 0;
        }
        count += strays && !other;
    }
    return count;
}

/* Are rows read to count them? Only while somebody has a theme that is not known. */
static void check_other_alone(struct world *world, const struct kv *kv)
{
    struct query query = {.collections = COLLECTION_MASK_PUBLIC,
                          .has_datetime = true,
                          .from_ms = INT64_MIN,
                          .through_ms = INT64_MAX,
                          .group_count = 1};
    struct query_page page;

    query.groups[0].count = 1;
    query.groups[0].slugs[0] = span_of_str(THEME_OTHER);
    check_query(world, kv, &query, 0);
    assert_ok(query_run(kv, world->themes, &query, &page));
    assert_true(page.matched > 0);
    assert_int_equal(page.explain.rows > 0, live_strays(world) > 0);
    query_page_done(&page);
}

/* The bit decides alone while it can: a listing with an unknown theme would be shown as other. */
static void test_other_with_and_without_strays(void **state)
{
    struct world world;
    struct kv kv;

    (void)state;
    world_init(&world, 0x0bee);
    for (unsigned round = 0; round < 5; round++) {
        world.known = round != 3;
        world_change(&world, 200, 40);
        assert_int_equal(live_strays(&world) > 0, round >= 3);
        read_begin(&world, &kv);
        check_other_alone(&world, &kv);
        for (unsigned n = 0; n < 40; n++) {
            struct query query = world_query(&world);

            query.group_count = 1;
            query.groups[0].count = 1;
            query.groups[0].slugs[0] = span_of_str(THEME_OTHER);
            check_query(&world, &kv, &query, round);
        }
        kv_mem_read_end(&kv);
    }
    world_done(&world);
}

static void brute_extent(const struct world *world, uint8_t collection, struct query_extent *extent)
{
    bool timed = false;

    *extent = (struct query_extent){.min = {INT32_MAX, INT32_MAX},
                                    .max = {INT32_MIN, INT32_MIN},
                                    .time_from_ms = INT64_MAX,
                                    .time_through_ms = INT64_MIN};
    for (size_t i = 0; i < world->count; i++) {
        const struct world_listing *l = &world->listings[i];
        const struct position *places[2] = {&l->a, l->line ? &l->b : &l->a};
        int64_t from = l->has_from ? l->from_ms : INT64_MIN;
        int64_t through = l->has_through ? l->through_ms : INT64_MAX;

        if (!l->live || !l->shown || l->collection != collection)
            continue;
        for (unsigned j = 0; l->placed && j < 2; j++) {
            extent->has_box = true;
            if (places[j]->lon_e7 < extent->min.lon_e7)
                extent->min.lon_e7 = places[j]->lon_e7;
            if (places[j]->lat_e7 < extent->min.lat_e7)
                extent->min.lat_e7 = places[j]->lat_e7;
            if (places[j]->lon_e7 > extent->max.lon_e7)
                extent->max.lon_e7 = places[j]->lon_e7;
            if (places[j]->lat_e7 > extent->max.lat_e7)
                extent->max.lat_e7 = places[j]->lat_e7;
        }
        if (l->has_start) {
            from = l->start_ms;
            through = l->has_end ? l->end_ms : l->start_ms / 86400000 * 86400000 + 86399999;
        }
        if (from == INT64_MIN && through == INT64_MAX)
            continue;
        timed = true;
        extent->time_from_ms = from < extent->time_from_ms ? from : extent->time_from_ms;
        extent->time_through_ms =
            through > extent->time_through_ms ? through : extent->time_through_ms;
    }
    if (!timed) {
        extent->time_from_ms = INT64_MIN;
        extent->time_through_ms = INT64_MAX;
    }
}

/* A map that opens at the wrong place, after the listing farthest out was deleted. */
static void test_extents(void **state)
{
    struct world world;
    struct kv kv;

    (void)state;
    world_init(&world, 0xe47);
    for (unsigned round = 0; round < 30; round++) {
        world_change(&world, 8, 8);
        read_begin(&world, &kv);
        for (uint8_t c = 1; c <= 8; c++) {
            struct query_extent want, got;
            uint64_t count;

            assert_ok(catalogue_count(&kv, c, 0, &count));
            if (count == 0) {
                assert_err(query_extent(&kv, c, &got), TORG_E_NOT_FOUND);
                continue;
            }
            brute_extent(&world, c, &want);
            assert_ok(query_extent(&kv, c, &got));
            assert_int_equal(got.has_box, want.has_box);
            if (want.has_box) {
                assert_memory_equal(&got.min, &want.min, sizeof(got.min));
                assert_memory_equal(&got.max, &want.max, sizeof(got.max));
            }
            assert_true(got.time_from_ms == want.time_from_ms);
            assert_true(got.time_through_ms == want.time_through_ms);
        }
        kv_mem_read_end(&kv);
    }
    world_done(&world);
}

/* What http lets through by mistake must not become an answer to another question. */
static void test_limits(void **state)
{
    struct world world;
    struct query_page page;
    struct query query;
    char text[QUERY_TEXT_BYTES_MAX + 1];
    struct kv kv;

    (void)state;
    world_init(&world, 5);
    world_change(&world, 50, 0);
    read_begin(&world, &kv);

    query = (struct query){.collections = COLLECTION_MASK_PUBLIC, .limit = QUERY_LIMIT_MAX + 1};
    assert_err(query_run(&kv, world.themes, &query, &page), TORG_E_INVALID);
    query.limit = 1;
    query.offset = QUERY_OFFSET_MAX + 1;
    assert_err(query_run(&kv, world.themes, &query, &page), TORG_E_EXPENSIVE);
    query.offset = 0;
    memset(text, 'a', sizeof(text));
    query.text = span_of(text, sizeof(text));
    assert_err(query_run(&kv, world.themes, &query, &page), TORG_E_TOO_BIG);
    query.text = (struct span){0};
    query.has_near = true;
    query.radius_m = (double)NAN;
    assert_err(query_run(&kv, world.themes, &query, &page), TORG_E_INVALID);
    query.radius_m = INFINITY;
    query.has_cursor = true;
    query.cursor.distance_m = -1; /* of the other order */
    assert_err(query_run(&kv, world.themes, &query, &page), TORG_E_INVALID);
    query.has_cursor = false;
    query.group_count = 1;
    assert_err(query_run(&kv, world.themes, &query, &page), TORG_E_INVALID);
    query.group_count = 0;
    query.has_datetime = true;
    query.from_ms = 1;
    assert_err(query_run(&kv, world.themes, &query, &page), TORG_E_INVALID);

    kv_mem_read_end(&kv);
    world_done(&world);
}

static void test_empty(void **state)
{
    struct world world;
    struct query_page page;
    struct query query = {.collections = COLLECTION_MASK_PUBLIC, .limit = 10};
    struct kv kv;

    (void)state;
    world_init(&world, 6);
    read_begin(&world, &kv);
    for (unsigned near = 0; near < 2; near++) {
        query.has_near = near;
        query.radius_m = 1000;
        assert_ok(query_run(&kv, world.themes, &query, &page));
        assert_int_equal(page.matched, 0);
        assert_int_equal(page.count, 0);
        assert_false(page.has_next);
        query_page_done(&page);
    }
    kv_mem_read_end(&kv);
    world_done(&world);
}

static int setup(void **state)
{
    (void)state;
    return seal_init() ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_agree_with_brute_force),
        cmocka_unit_test(test_streams_of_different_times),
        cmocka_unit_test(test_large_world),
        cmocka_unit_test(test_pages_are_the_answer),
        cmocka_unit_test(test_later_pages_need_not_count),
        cmocka_unit_test(test_filters_by_themes_are_narrowed),
        cmocka_unit_test(test_pages_while_writing),
        cmocka_unit_test(test_theme_counts),
        cmocka_unit_test(test_other_with_and_without_strays),
        cmocka_unit_test(test_extents),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_empty),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
