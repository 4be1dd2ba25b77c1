/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/query.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "index/geo_short.h"
#include "tests/support/test.h"
#include "tests/support/world.h"

/*
 * Thousands of random questions to a store on disk while it is written to, each
 * compared with a loop over the listings that were published. Questions stand
 * on the edges: a circle through a listing, a millimetre more and less, boxes
 * whose corner is a listing, times a millisecond apart, poles and the
 * antimeridian. An index that is wrong in one of ten thousand answers hides a
 * listing from those who look for it, and nobody would notice.
 *
 * TORG_EXACT_QUERIES says how many (10,000 unless given, fewer under a sanitizer), TORG_EXACT_SEED
 * repeats one world: what a failure prints.
 */
#define QUERIES_DEFAULT 10000
#define QUERIES_A_WORLD 1000
#define QUERIES_A_COMMIT 50
#define SEED_FIRST UINT64_C(0x70726700)

/* Worlds that once failed, and two of other tests; asked first, each time. */
static const uint64_t regressions[] = {0x51f3, 0xa02c};

/* How often each way was taken: a comparison without one of them would pass as well. */
static const char *const drivers[] = {"count", "rtree", "postings", "scan", "near", "walk"};
static unsigned counted[ARRAY_SIZE(drivers)], filled[ARRAY_SIZE(drivers)];
static unsigned shortened; /* hits whose distance was not exact, and need not be */

static char directory[] = "/tmp/torg-exact-XXXXXX";
static char message[400];

/* ---- one question ---- */

/* The listings as they were when a read transaction began. */
struct view {
    struct world world; /* listings: a copy */
    struct kv kv;
};

static void view_open(struct world *world, struct view *view)
{
    world_read_begin(world, &view->kv);
    world_number(world, &view->kv);
    view->world = *world;
    view->world.kv = view->kv;
    memset(view->world.regions, 0, sizeof(view->world.regions));
    view->world.listings = malloc((world->count + 1) * sizeof(*world->listings));
    assert_non_null(view->world.listings);
    memcpy(view->world.listings, world->listings, world->count * sizeof(*world->listings));
}

static void view_close(struct view *view)
{
    world_texts_done(&view->world);
    world_read_end(&view->world, &view->kv);
    world_regions_done(&view->world);
    free(view->world.listings);
}

static bool chance(struct world *world, unsigned percent)
{
    return test_random_below(&world->random, 100) < percent;
}

static const struct world_listing *any_listing(struct world *world)
{
    return &world->listings[test_random_below(&world->random, world->count)];
}

/* Places where formulas for longitudes and latitudes break. */
static struct geo_point edge_point(struct world *world)
{
    static const struct geo_point points[] = {{0, 90},   {180, 90},  {-180, -90},
                                              {180, 60}, {-180, 60}, {0, 0},
                                              {180, 0},  {-70, -90}, {179.999, 60}};

    if (chance(world, 60))
        return geo_point_of(any_listing(world)->a);
    return points[test_random_below(&world->random, ARRAY_SIZE(points))];
}

/* The circle goes through a listing, or misses it by as little as can be said. */
static void edge_circle(struct world *world, struct query *query)
{
    static const double steps_m[] = {0, 0.001, -0.001, 0.0005, -0.0005, 1e-6, -1e-6, 1, -1};
    double radius_m;

    query->near = edge_point(world);
    radius_m = world_distance(query, any_listing(world));
    if (chance(world, 20))
        radius_m = nextafter(radius_m, chance(world, 50) ? 0 : INFINITY);
    else
        radius_m += steps_m[test_random_below(&world->random, ARRAY_SIZE(steps_m))];
    query->radius_m = fmin(fmax(radius_m, 0), GEO_RADIUS_M_MAX);
}

/* Corners on listings, boxes without width or height, the whole world and half of it. */
static void edge_box(struct world *world, struct query *query)
{
    static const struct geo_box boxes[] = {{-180, -90, 180, 90}, {180, -90, -180, 90},
                                           {180, -90, 180, 90},  {-180, -90, -180, 90},
                                           {0, 90, 180, 90},     {170, 50, -170, 70},
                                           {-180, -90, 180, 0},  {179.9999999, 59, -180, 61}};
    struct geo_point a = edge_point(world), b = edge_point(world);

    if (chance(world, 30)) {
        query->box = boxes[test_random_below(&world->random, ARRAY_SIZE(boxes))];
        return;
    }
    if (chance(world, 20))
        b = a;
    query->box = (struct geo_box){a.lon_deg, fmin(a.lat_deg, b.lat_deg), b.lon_deg,
                                  fmax(a.lat_deg, b.lat_deg)};
}

static int64_t edge_time(struct world *world)
{
    const struct world_listing *l = any_listing(world);
    int64_t times[] = {l->from_ms, l->through_ms, l->start_ms, l->end_ms, world->now_ms};

    return times[test_random_below(&world->random, ARRAY_SIZE(times))] +
           (int64_t)test_random_below(&world->random, 3) - 1;
}

static struct query edge_query(struct world *world)
{
    struct query query = world_query(world);

    query.rounded = chance(world, 50);
    if (query.has_near && chance(world, 70))
        edge_circle(world, &query);
    if (query.has_box && chance(world, 70))
        edge_box(world, &query);
    if (chance(world, 40)) {
        query.from_ms = edge_time(world);
        query.through_ms = chance(world, 50) ? query.from_ms : edge_time(world);
        query.now_ms = edge_time(world);
        if (query.through_ms < query.from_ms)
            query.through_ms = query.from_ms;
    }
    return query;
}

static void query_print(const struct query *q, char *out, size_t size)
{
    (void)snprintf(
        out, size,
        "collections %#x near %d %.9f,%.9f radius %.9g box %d %.9f,%.9f,%.9f,%.9f "
        "groups %u text \"%.*s\" rank %d datetime %d %" PRId64 "..%" PRId64 " now %" PRId64
        " region %d origins %zu municipalities %zu networks %zu reach %d %.9f,%.9f,%.9g "
        "open %d %" PRId64 " "
        "limit %u offset %u rounded %d",
        q->collections, q->has_near, q->near.lon_deg, q->near.lat_deg, q->radius_m, q->has_box,
        q->box.west_deg, q->box.south_deg, q->box.east_deg, q->box.north_deg, q->group_count,
        (int)q->text.size, q->text.size ? (const char *)q->text.data : "", q->by_rank,
        q->has_datetime, q->from_ms, q->through_ms, q->now_ms, q->region != NULL, q->origin_count,
        q->municipality_count, q->network_count, q->has_reach, q->reach.lon_deg, q->reach.lat_deg,
        q->reach_m, q->has_open, q->open_ms, q->limit, q->offset, q->rounded);
}

static void note_drivers(const struct query_page *page)
{
    for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
        filled[i] += page->count > 0 && strcmp(page->explain.driver, drivers[i]) == 0;
        for (size_t j = 0; j < page->explain.part_count; j++)
            counted[i] += page->explain.parts[j].matched > 0 &&
                          strcmp(page->explain.parts[j].driver, drivers[i]) == 0;
    }
}

/* Of what is to be shown only, by the half of a millimetre; the last of a page is where the next
 * begins. */
static bool rounding_differs(const struct query *query, double exact_m, double shown_m)
{
    if (!query->rounded)
        return shown_m != exact_m;
    return fabs(shown_m - exact_m) > 2 * GEO_SHORT_ERROR_M ||
           floor(shown_m * 2000) != floor(exact_m * 2000);
}

/* In the order of rank, how far away what is on the page lies. */
static const char *rank_fault(const struct view *view, const struct query *query,
                              const struct query_page *page)
{
    for (size_t i = 0; query->by_rank && query->has_near && i < page->count; i++) {
        for (size_t j = 0; j < view->world.count; j++) {
            const struct world_listing *l = &view->world.listings[j];

            if (l->live && l->shown && l->number == page->hits[i].document &&
                rounding_differs(query, world_distance(query, l), page->hits[i].distance_m))
                return "a distance beside the rank";
        }
    }
    return NULL;
}

/* The same place in the answer? Of what is to be shown only, to the half of a millimetre. */
static bool same_hit(const struct view *view, const struct query *query,
                     const struct query_page *page, size_t i, const struct rtree_hit *answer)
{
    double shown_m = page->hits[i].distance_m;
    struct query_cursor hit;

    if (query_cursor_at(&view->kv, query, page, i, &hit))
        return false;
    if (query->rounded && query->has_near && !page->ranks &&
        rounding_differs(query, hit.distance_m, shown_m))
        return false;
    shortened += shown_m != hit.distance_m && !page->ranks;
    return hit.document == answer->document && hit.distance_m == answer->distance_m;
}

/* NULL, or what is wrong with a page of the answer. */
static const char *page_fault(const struct view *view, const struct query *query,
                              const struct query_page *page, const struct rtree_hit *answer,
                              size_t count)
{
    size_t from = query->offset < count ? query->offset : count;
    size_t size = count - from < query->limit ? count - from : query->limit;

    if (page->matched != count)
        return "the number of matches";
    if (page->count != size)
        return "the length of the page";
    for (size_t i = 0; i < size; i++) {
        if (!same_hit(view, query, page, i, &answer[from + i]))
            return "what is on the page";
    }
    if (page->has_next != (query->limit > 0 && from + size < count))
        return "whether there is more";
    return page->explain.work > QUERY_WORK_MAX ? "the work" : NULL;
}

/* From page to page by cursors: everything that matches, each exactly once. */
static const char *paging_fault(const struct view *view, const struct query *asked,
                                const struct rtree_hit *answer, size_t count)
{
    struct query query = *asked;
    struct query_page page = {.has_next = true};
    size_t at = 0;

    query.offset = 0;
    query.limit = 1 + (uint32_t)(count / 3);
    query.rounded = !query.rounded;
    while (page.has_next) {
        if (query_run(&view->kv, view->world.themes, &query, &page))
            return "an error on a later page";
        for (size_t i = 0; i < page.count; i++) {
            if (at + i >= count || !same_hit(view, &query, &page, i, &answer[at + i])) {
                query_page_done(&page);
                return "what is on a later page";
            }
        }
        at += page.count;
        query.has_cursor = true;
        query.cursor = page.next;
        query_page_done(&(struct query_page){.hits = page.hits, .ranks = page.ranks});
    }
    return at == count ? NULL : "how many are on all pages";
}

/* ---- facets ---- */

static uint64_t brute_theme(const struct view *view, const struct query *query,
                            const struct theme *theme)
{
    uint64_t count = 0;

    for (size_t i = 0; i < view->world.count; i++) {
        const struct world_listing *l = &view->world.listings[i];
        bool held = false;

        for (unsigned j = 0; j < l->theme_count; j++) {
            /* What the taxonomy does not know, and nothing holds, counts as other. */
            held = held || world_theme_holds(theme->slug, l->themes[j]) ||
                   (strcmp(theme->slug, "other") == 0 && world_strays(l->themes[j]));
        }
        count += held && world_matches(&view->world, query, l);
    }
    return count;
}

/* What nobody asked for must stay empty. */
static bool facets_unasked(const struct query_facets *facets, unsigned asked)
{
    static const struct query_facets none;

    return (!(asked & QUERY_FACET_ORIGIN) && facets->origin_count > 0) ||
           (!(asked & QUERY_FACET_MUNICIPALITY) && facets->municipality_count > 0) ||
           (!(asked & QUERY_FACET_COLLECTION) &&
            memcmp(facets->collections, none.collections, sizeof(none.collections)) != 0) ||
           (!(asked & QUERY_FACET_THEME) &&
            memcmp(facets->themes, none.themes, sizeof(none.themes)) != 0);
}

/* By themselves, or with the page, as n wants it. */
static enum torg_err facets_get(const struct view *view, const struct query *query, unsigned asked,
                                unsigned n, struct query_facets *facets, uint64_t *ret_matched)
{
    struct query_page page;
    enum torg_err err;

    if (n % 2)
        return query_facets_get(&view->kv, view->world.themes, query, asked, facets);
    err = query_run_facets(&view->kv, view->world.themes, query, asked, &page, facets);
    if (err)
        return err;
    *ret_matched = page.matched;
    query_page_done(&page);
    return TORG_OK;
}

static const char *facets_fault(const struct view *view, const struct query *query, unsigned n)
{
    static const unsigned masks[] = {
        QUERY_FACET_THEME | QUERY_FACET_ORIGIN | QUERY_FACET_MUNICIPALITY | QUERY_FACET_COLLECTION,
        QUERY_FACET_ORIGIN | QUERY_FACET_MUNICIPALITY, QUERY_FACET_THEME,
        QUERY_FACET_ORIGIN | QUERY_FACET_COLLECTION, QUERY_FACET_THEME | QUERY_FACET_MUNICIPALITY};
    unsigned asked = masks[n / 11 % ARRAY_SIZE(masks)];
    uint64_t told = UINT64_MAX;

    static const char *const slugs[] = {"food", "food/cafe", "nature", "nature/fishing", "other"};
    const struct world *world = &view->world;
    uint64_t collections[COLLECTIONS_MAX] = {0};
    uint64_t with_municipality = 0, matched = 0;
    struct query_facets facets;
    const char *fault = NULL;

    if (facets_get(view, query, asked, n, &facets, &told))
        return "an error of the facets";
    if (facets_unasked(&facets, asked)) {
        query_facets_done(&facets);
        return "facets that were not asked for";
    }
    for (size_t i = 0; i < world->count; i++) {
        const struct world_listing *l = &world->listings[i];

        if (!world_matches(world, query, l))
            continue;
        matched++;
        collections[l->collection]++;
        with_municipality += l->municipality != NULL;
        for (size_t j = 0; j < facets.origin_count; j++) {
            if (facets.origins[j].number == world->origin_numbers[l->origin])
                facets.origins[j].count--;
        }
        for (size_t j = 0; l->municipality && j < facets.municipality_count; j++) {
            if (strcmp(facets.municipalities[j].code, l->municipality) == 0)
                facets.municipalities[j].count--;
        }
    }
    /* Each was taken off where it belongs: nothing may be left, and nothing below zero. */
    for (size_t j = 0; j < facets.origin_count; j++)
        fault = facets.origins[j].count ? "the facet of origins" : fault;
    for (size_t j = 0; j < facets.municipality_count; j++)
        fault = facets.municipalities[j].count ? "the facet of municipalities" : fault;
    if ((asked & QUERY_FACET_ORIGIN && (matched > 0) != (facets.origin_count > 0)) ||
        (asked & QUERY_FACET_MUNICIPALITY &&
         (with_municipality > 0) != (facets.municipality_count > 0)))
        fault = "which values the facets have";
    if (told != UINT64_MAX && told != matched)
        fault = "the number of matches beside facets";
    if (asked & QUERY_FACET_COLLECTION &&
        memcmp(collections, facets.collections, sizeof(collections)) != 0)
        fault = "the facet of collections";
    for (size_t i = 0; asked & QUERY_FACET_THEME && i < ARRAY_SIZE(slugs) && !fault; i++) {
        const struct theme *theme = theme_tree_find(world->themes, span_of_str(slugs[i]));

        if (facets.themes[theme->bit] != brute_theme(view, query, theme))
            fault = "the facet of themes";
    }
    query_facets_done(&facets);
    return fault;
}

/* ---- comparing ---- */

static const char *query_fault(struct view *view, const struct query *query, unsigned n)
{
    struct rtree_hit *answer;
    struct query_page page;
    size_t count = world_answer(&view->world, query, &answer);
    const char *fault;

    if (query_run(&view->kv, view->world.themes, query, &page)) {
        free(answer);
        return "an error";
    }
    note_drivers(&page);
    fault = page_fault(view, query, &page, answer, count);
    if (!fault)
        fault = rank_fault(view, query, &page);
    query_page_done(&page);
    if (!fault && n % 7 == 0)
        fault = paging_fault(view, query, answer, count);
    free(answer);
    if (!fault && n % 11 == 0)
        fault = facets_fault(view, query, n);
    return fault;
}

static void ask(struct view *view, uint64_t seed, unsigned n)
{
    struct query query = edge_query(&view->world);
    const char *fault = query_fault(view, &query, n);
    char text[400];

    if (!fault)
        return;
    query_print(&query, text, sizeof(text));
    (void)snprintf(message, sizeof(message), "TORG_EXACT_SEED=%#" PRIx64 ", question %u: %s: %s",
                   seed, n, fault, text);
    fail_msg("%s", message);
}

static void remove_store(void)
{
    static const char *const names[] = {"torg.mdb", "torg.mdb-lock", "torg.lock", "torg.journal"};
    char path[sizeof(directory) + 32];

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        (void)unlink(path);
    }
}

/* A reader from before each commit and one from after it are asked in turn. */
static void check_world(uint64_t seed, unsigned queries)
{
    struct world world;
    struct view old, new;

    world_init_on_disk(&world, seed, directory);
    world.regular = seed % 3 == 0;
    for (unsigned i = 0; i < 4; i++)
        world_change(&world, 450, 50);
    view_open(&world, &new);
    for (unsigned n = 0; n < queries; n++) {
        if (n % QUERIES_A_COMMIT == 0) {
            new.world.random = world.random;
            old = new;
            world_change(&world, 40, 30);
            view_open(&world, &new);
        }
        ask(n % 3 ? &new : &old, seed, n);
        if (n % QUERIES_A_COMMIT == QUERIES_A_COMMIT - 1 || n + 1 == queries)
            view_close(&old);
    }
    view_close(&new);
    world_done(&world);
    remove_store();
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static void test_queries_agree_with_brute_force(void **state)
{
    uint64_t queries = number_of("TORG_EXACT_QUERIES", test_rounds(QUERIES_DEFAULT));
    uint64_t seed = number_of("TORG_EXACT_SEED", 0);
    uint64_t worlds = (queries + QUERIES_A_WORLD - 1) / QUERIES_A_WORLD;

    (void)state;
    if (seed) {
        check_world(seed, QUERIES_A_WORLD);
        return;
    }
    for (uint64_t i = 0; i < worlds; i++)
        check_world(i < ARRAY_SIZE(regressions) ? regressions[i] : SEED_FIRST + i, QUERIES_A_WORLD);
    assert_true(shortened > 0);
    for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
        if (counted[i] + filled[i] < queries / 200)
            fail_msg("way \"%s\" was taken %u times only", drivers[i], counted[i] + filled[i]);
    }
}

/* ---- readers during writes ---- */

#define STATES_MAX 40

/* What the store held at each snapshot: the writer notes it just after its commit. */
struct story {
    struct world world;
    pthread_mutex_t lock;
    pthread_cond_t told;
    size_t count;
    struct view states[STATES_MAX];
    uint64_t snapshots[STATES_MAX];
    bool over;
};

static void story_tell(struct story *story)
{
    struct view view;
    uint64_t snapshot;

    view_open(&story->world, &view);
    snapshot = store_snapshot(&view.kv);
    world_read_end(&story->world, &view.kv);
    pthread_mutex_lock(&story->lock);
    story->states[story->count] = view;
    story->snapshots[story->count++] = snapshot;
    pthread_cond_broadcast(&story->told);
    pthread_mutex_unlock(&story->lock);
}

static void *story_write(void *context)
{
    struct story *story = context;

    for (unsigned i = 1; i < STATES_MAX; i++) {
        world_change(&story->world, 60, 50);
        story_tell(story);
    }
    pthread_mutex_lock(&story->lock);
    story->over = true;
    pthread_mutex_unlock(&story->lock);
    return NULL;
}

/* The state that a snapshot shows; waits until the writer has told it. */
static struct view *story_state(struct story *story, uint64_t snapshot, bool *ret_over)
{
    struct view *view = NULL;

    pthread_mutex_lock(&story->lock);
    while (!view) {
        for (size_t i = 0; i < story->count && !view; i++) {
            if (story->snapshots[i] == snapshot)
                view = &story->states[i];
        }
        if (!view)
            pthread_cond_wait(&story->told, &story->lock);
    }
    *ret_over = story->over;
    pthread_mutex_unlock(&story->lock);
    return view;
}

/* Half of a commit in an answer: a listing that moved stands at both places, or at none. */
static void test_readers_see_one_state(void **state)
{
    struct story *story = calloc(1, sizeof(*story));
    uint64_t random = 0x57a7e;
    pthread_t writer;
    bool over = false;

    (void)state;
    assert_non_null(story);
    pthread_mutex_init(&story->lock, NULL);
    pthread_cond_init(&story->told, NULL);
    world_init_on_disk(&story->world, random, directory);
    world_change(&story->world, 1200, 0);
    story_tell(story);
    assert_int_equal(pthread_create(&writer, NULL, story_write, story), 0);
    for (unsigned n = 0; !over; n++) {
        struct view view;
        struct kv kv;

        world_read_begin(&story->world, &kv);
        view = *story_state(story, store_snapshot(&kv), &over);
        view.kv = view.world.kv = kv;
        view.world.random = test_random(&random);
        for (unsigned i = 0; i < 10; i++)
            ask(&view, 0x57a7e, n);
        world_regions_done(&view.world);
        world_texts_done(&view.world);
        world_read_end(&story->world, &kv);
    }
    assert_int_equal(pthread_join(writer, NULL), 0);
    for (size_t i = 0; i < story->count; i++)
        free(story->states[i].world.listings);
    world_done(&story->world);
    pthread_cond_destroy(&story->told);
    pthread_mutex_destroy(&story->lock);
    free(story);
    remove_store();
}

static int setup(void **state)
{
    (void)state;
    return !mkdtemp(directory) || seal_init() ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_store();
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queries_agree_with_brute_force),
        cmocka_unit_test(test_readers_see_one_state),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
