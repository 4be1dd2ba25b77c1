/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "index/catalogue_row.h"
#include "index/geo_short.h"
#include "index/rtree_kernel.h"
#include "index/rtree_node.h"
#include "index/store.h"
#include "tests/support/kv_mem.h"
#include "tests/support/test.h"

#define COLLECTION 2
#define NOW_MS INT64_C(1760000000000)
#define HOUR_MS INT64_C(3600000)

/* ---- items ---- */

enum flavour { SWEDEN, WORLD, POLES, ANTIMERIDIAN, ONE_SPOT, FLAVOURS };

/* Every item ever made, and whether it is in the tree. */
struct world {
    uint64_t seed;
    enum flavour flavour;
    bool brief;               /* all times within a few days: then whole subtrees can be inside */
    struct rtree_item *items; /* owned; document = index + 1 */
    bool *alive;              /* owned */
    size_t count, capacity;
    /* of the query in hand: a disc in the plane of degrees, and where distances begin */
    struct rtree_theme_group groups[RTREE_THEME_GROUPS_MAX];
    struct rtree_shapes shapes;
    struct geo_point region_centre, centre;
    double region_deg;
};

static void world_init(struct world *world, uint64_t seed, enum flavour flavour, size_t capacity)
{
    *world = (struct world){
        .seed = seed, .flavour = flavour, .brief = seed % 2 == 0, .capacity = capacity};
    world->items = calloc(capacity, sizeof(*world->items));
    world->alive = calloc(capacity, sizeof(*world->alive));
    assert_non_null(world->items);
    assert_non_null(world->alive);
}

static void world_done(struct world *world)
{
    free(world->items);
    free(world->alive);
}

static double spread(uint64_t *seed, double reach)
{
    return (test_random_unit(seed) + test_random_unit(seed) - 1) * reach;
}

/* Villages with a few streets each, as listings lie in fact. */
static struct geo_point random_place(uint64_t *seed, enum flavour flavour)
{
    static const struct geo_point villages[] = {
        {20.263, 63.826}, {20.085, 63.675}, {20.988, 63.690}, {18.716, 63.291}, {18.115, 63.451},
        {18.500, 63.264}, {17.890, 66.052}, {19.172, 65.590}, {21.690, 66.325}, {16.680, 64.161}};
    struct geo_point point = villages[test_random_below(seed, ARRAY_SIZE(villages))];
    double reach = pow(10, -5 + 5 * test_random_unit(seed));

    switch (flavour) {
    case SWEDEN:
        point.lon_deg += spread(seed, reach);
        point.lat_deg += spread(seed, reach / 2);
        break;
    case POLES:
        point.lon_deg = -180 + 360 * test_random_unit(seed);
        point.lat_deg = 90 - pow(10, -8 + 9.5 * test_random_unit(seed));
        if (test_random_below(seed, 4) == 0)
            point.lat_deg = -point.lat_deg;
        break;
    case ANTIMERIDIAN:
        point.lon_deg = 180 + spread(seed, reach * 5);
        if (point.lon_deg > 180)
            point.lon_deg -= 360;
        point.lat_deg = -17 + spread(seed, 10);
        break;
    case ONE_SPOT:
        point = villages[test_random_below(seed, 3)];
        break;
    default:
        point.lon_deg = -180 + 360 * test_random_unit(seed);
        point.lat_deg = -90 + 180 * test_random_unit(seed);
        break;
    }
    return point;
}

static struct position position_of(struct geo_point point)
{
    return (struct position){(int32_t)lround(point.lon_deg * 1e7),
                             (int32_t)lround(point.lat_deg * 1e7)};
}

static int64_t random_time(struct world *world, int64_t open)
{
    uint64_t *seed = &world->seed;
    int64_t ms = NOW_MS + (int64_t)(spread(seed, world->brief ? 5 : 200) * 24 * (double)HOUR_MS);

    if (world->brief)
        return test_random_below(seed, 3) ? ms : ms / (24 * HOUR_MS) * (24 * HOUR_MS);
    switch (test_random_below(seed, 8)) {
    case 0: /* now, to the minute and around it: where words cannot decide */
        return NOW_MS / 60000 * 60000 + (int64_t)test_random_below(seed, 5) - 2;
    case 1:
        return ms;
    case 2:
        return ms / HOUR_MS * HOUR_MS;
    case 3: /* beyond what days and minutes can say */
        return test_random_below(seed, 2) ? INT64_C(300000000000000) : -INT64_C(90000000000000);
    default:
        return open;
    }
}

static struct theme_set random_themes(uint64_t *seed)
{
    struct theme_set set = {0};
    uint64_t count = test_random_below(seed, 5) == 0 ? test_random_below(seed, 5) : 1;

    for (uint64_t i = 0; i < count; i++) {
        double skewed = pow(test_random_unit(seed), 3);

        theme_set_add(&set, (unsigned)(skewed * (THEME_BITS - 1)));
    }
    return set;
}

static struct rtree_item *world_add(struct world *world)
{
    uint64_t *seed = &world->seed;
    struct rtree_item *item = &world->items[world->count];

    assert_true(world->count < world->capacity);
    item->document = (uint32_t)++world->count;
    item->point = position_of(random_place(seed, world->flavour));
    if (world->count > 1 && test_random_below(seed, 10) == 0)
        item->point = world->items[test_random_below(seed, world->count - 1)].point;
    item->min = item->max = item->point;
    if (test_random_below(seed, 10) == 0) { /* an area */
        int32_t width = (int32_t)pow(10, 7 * test_random_unit(seed));

        item->min.lon_e7 = item->point.lon_e7 < -GEO_LON_E7_MAX + width
                               ? -GEO_LON_E7_MAX
                               : item->point.lon_e7 - width;
        item->max.lat_e7 = item->point.lat_e7 > GEO_LAT_E7_MAX - width ? GEO_LAT_E7_MAX
                                                                       : item->point.lat_e7 + width;
    }
    item->themes = random_themes(seed);
    item->time_from_ms = random_time(world, INT64_MIN);
    item->time_through_ms = random_time(world, INT64_MAX);
    return item;
}

/* ---- shapes: those of areas are two points, opposite corners of their boxes ---- */

static bool region_holds(const struct world *world, struct position at)
{
    struct geo_point point = geo_point_of(at);

    return hypot(point.lon_deg - world->region_centre.lon_deg,
                 point.lat_deg - world->region_centre.lat_deg) <= world->region_deg;
}

static enum geo_side region_box(void *context, struct position min, struct position max)
{
    const struct world *world = context;
    struct geo_point centre = world->region_centre, low = geo_point_of(min),
                     high = geo_point_of(max);
    double lon = fmax(fmax(low.lon_deg - centre.lon_deg, centre.lon_deg - high.lon_deg), 0);
    double lat = fmax(fmax(low.lat_deg - centre.lat_deg, centre.lat_deg - high.lat_deg), 0);

    assert_true(min.lon_e7 <= max.lon_e7 && min.lat_e7 <= max.lat_e7);
    if (memcmp(&min, &max, sizeof(min)) == 0)
        return region_holds(world, min) ? GEO_IN : GEO_OUT;
    if (region_holds(world, min) && region_holds(world, max) &&
        region_holds(world, (struct position){min.lon_e7, max.lat_e7}) &&
        region_holds(world, (struct position){max.lon_e7, min.lat_e7}))
        return GEO_IN;
    return hypot(lon, lat) > world->region_deg + 1e-9 ? GEO_OUT : GEO_BORDER;
}

/* A point, or what a damaged leaf names, has no shape: NULL. */
static const struct rtree_item *shape_of(const struct world *world, uint32_t document)
{
    const struct rtree_item *item;

    if (document < 1 || document > world->count)
        return NULL;
    item = &world->items[document - 1];
    return memcmp(&item->min, &item->max, sizeof(item->min)) == 0 ? NULL : item;
}

static enum torg_err region_item(void *context, uint32_t document, bool *ret_touches)
{
    const struct world *world = context;
    const struct rtree_item *item = shape_of(world, document);

    if (!item)
        return TORG_E_CORRUPT;
    *ret_touches = region_holds(world, item->min) || region_holds(world, item->max);
    return TORG_OK;
}

static enum torg_err shape_distance(void *context, uint32_t document, double *ret_m)
{
    const struct world *world = context;
    const struct rtree_item *item = shape_of(world, document);

    if (!item)
        return TORG_E_CORRUPT;
    *ret_m = fmin(geo_distance_m(world->centre, geo_point_of(item->min)),
                  geo_distance_m(world->centre, geo_point_of(item->max)));
    return TORG_OK;
}

/* ---- the answer that is too simple to be wrong ---- */

static bool brute_box(const struct geo_box *box, const struct rtree_item *item)
{
    struct geo_point min = geo_point_of(item->min), max = geo_point_of(item->max);
    bool over = box->west_deg > box->east_deg;
    bool in;

    if (max.lat_deg < box->south_deg || min.lat_deg > box->north_deg)
        return false;
    in = over ? max.lon_deg >= box->west_deg || min.lon_deg <= box->east_deg
              : max.lon_deg >= box->west_deg && min.lon_deg <= box->east_deg;
    /* -180 and 180 are one meridian. */
    in |= max.lon_deg == 180 && (box->west_deg == -180 || over);
    in |= min.lon_deg == -180 && (box->east_deg == 180 || over);
    return in;
}

static bool brute_themes(const struct rtree_query *query, const struct theme_set *themes)
{
    bool any = query->group_count == 0;

    for (unsigned g = 0; g < query->group_count; g++) {
        bool all = true;

        for (unsigned s = 0; s < query->groups[g].count; s++)
            all &= theme_set_shares(&query->groups[g].sets[s], themes);
        any |= all;
    }
    return any;
}

static bool brute_shape(const struct rtree_query *query, const struct rtree_item *item,
                        double *distance_m)
{
    const struct rtree_shapes *shapes = query->shapes;
    bool area = memcmp(&item->min, &item->max, sizeof(item->min)) != 0, touches = true;

    if (shapes->distance && area && query->has_centre)
        assert_ok(shapes->distance(shapes->context, item->document, distance_m));
    if (shapes->has_region && area)
        assert_ok(shapes->region_item(shapes->context, item->document, &touches));
    else if (shapes->has_region)
        touches = region_holds(shapes->context, item->point);
    return touches;
}

static bool brute_match(const struct rtree_query *query, const struct rtree_item *item,
                        double *ret_distance_m)
{
    *ret_distance_m = -1;
    if (query->has_box && !brute_box(&query->box, item))
        return false;
    if (!brute_themes(query, &item->themes) || item->time_from_ms > query->time_through_ms ||
        item->time_through_ms < query->time_from_ms)
        return false;
    /* Last, for the geodesic is slow. */
    if (query->has_centre)
        *ret_distance_m = geo_distance_m(query->centre, geo_point_of(item->point));
    if (query->shapes && !brute_shape(query, item, ret_distance_m))
        return false;
    return !query->has_centre || *ret_distance_m <= query->radius_m;
}

struct hits {
    struct rtree_hit *hits; /* owned */
    size_t count, capacity;
};

static void hits_add(struct hits *hits, const struct rtree_hit *hit)
{
    assert_true(hits->count < hits->capacity);
    hits->hits[hits->count++] = *hit;
}

static bool hits_add_batch(void *context, const struct rtree_batch *batch)
{
    assert_true(batch->count > 0);
    for (size_t i = 0; i < batch->count; i++) {
        struct rtree_hit hit = {.document = batch->documents[i],
                                .distance_m = batch->distances_m ? batch->distances_m[i] : -1};

        hits_add(context, &hit);
    }
    return true;
}

static int hit_compare(const void *left, const void *right)
{
    const struct rtree_hit *a = left, *b = right;

    if (a->distance_m != b->distance_m)
        return a->distance_m < b->distance_m ? -1 : 1;
    return (a->document > b->document) - (a->document < b->document);
}

static void hits_sort(struct hits *hits)
{
    qsort(hits->hits, hits->count, sizeof(*hits->hits), hit_compare);
}

static struct hits hits_new(const struct world *world)
{
    return (struct hits){.hits = calloc(world->count + 1, sizeof(struct rtree_hit)),
                         .capacity = world->count};
}

static struct hits brute_force(const struct world *world, const struct rtree_query *query)
{
    struct hits hits = hits_new(world);
    struct rtree_hit hit;

    for (size_t i = 0; i < world->count; i++) {
        if (!world->alive[i] || !brute_match(query, &world->items[i], &hit.distance_m))
            continue;
        hit.document = world->items[i].document;
        hits_add(&hits, &hit);
    }
    hits_sort(&hits);
    return hits;
}

/* ---- questions ---- */

static void query_random_circle(struct world *world, struct rtree_query *query)
{
    uint64_t *seed = &world->seed;
    const struct rtree_item *target = &world->items[test_random_below(seed, world->count)];

    query->has_centre = true;
    query->centre = test_random_below(seed, 3) ? random_place(seed, world->flavour)
                                               : geo_point_of(target->point);
    if (test_random_below(seed, 20) == 0)
        query->centre.lat_deg = 90;
    switch (test_random_below(seed, 4)) {
    case 0: /* exactly at a listing, a hair inside it or beyond */
        query->radius_m = geo_distance_m(query->centre, geo_point_of(target->point));
        if (test_random_below(seed, 2))
            query->radius_m = fmax(query->radius_m + spread(seed, 0.002), 0);
        break;
    case 1:
        query->radius_m =
            test_random_below(seed, 4) ? pow(10, 7.3 * test_random_unit(seed)) : GEO_RADIUS_M_MAX;
        break;
    case 2:
        query->radius_m = INFINITY;
        break;
    default:
        query->radius_m = 100000 * test_random_unit(seed);
        break;
    }
}

static void query_random_box(struct world *world, struct rtree_query *query)
{
    uint64_t *seed = &world->seed;
    struct geo_point a = geo_point_of(world->items[test_random_below(seed, world->count)].point);
    struct geo_point b =
        test_random_below(seed, 2)
            ? geo_point_of(world->items[test_random_below(seed, world->count)].point)
            : random_place(seed, world->flavour);

    query->has_box = true;
    query->box = (struct geo_box){a.lon_deg, fmin(a.lat_deg, b.lat_deg), b.lon_deg,
                                  fmax(a.lat_deg, b.lat_deg)};
    if (test_random_below(seed, 10) == 0)
        query->box.east_deg = 180;
    if (test_random_below(seed, 10) == 0)
        query->box.west_deg = -180;
}

static void query_random_groups(struct world *world, struct rtree_query *query)
{
    uint64_t *seed = &world->seed;

    query->group_count = (uint8_t)(1 + test_random_below(seed, 3));
    query->groups = world->groups;
    for (unsigned g = 0; g < query->group_count; g++) {
        struct rtree_theme_group *group = &world->groups[g];

        *group = (struct rtree_theme_group){0};
        group->count = (uint8_t)(1 + test_random_below(seed, 2));
        for (unsigned s = 0; s < group->count; s++) {
            uint64_t bits = 1 + test_random_below(seed, test_random_below(seed, 4) ? 3 : 100);

            for (uint64_t bit = 0; bit < bits; bit++)
                theme_set_add(&group->sets[s], (unsigned)(pow(test_random_unit(seed), 2) * 255));
        }
    }
}

static void query_random_times(struct world *world, struct rtree_query *query)
{
    const struct rtree_item *item = &world->items[test_random_below(&world->seed, world->count)];

    switch (test_random_below(&world->seed, 4)) {
    case 0: /* valid now, as every plain question asks */
        query->time_from_ms = query->time_through_ms = NOW_MS;
        break;
    case 1:
        query->time_from_ms = query->time_through_ms = item->time_through_ms;
        break;
    case 2:
        query->time_from_ms = random_time(world, INT64_MIN);
        query->time_through_ms = item->time_from_ms;
        break;
    default:
        query->time_from_ms = random_time(world, INT64_MIN);
        query->time_through_ms = random_time(world, INT64_MAX);
        break;
    }
}

static void query_random_shapes(struct world *world, struct rtree_query *query)
{
    uint64_t *seed = &world->seed;

    world->centre = query->centre;
    world->region_centre = geo_point_of(world->items[test_random_below(seed, world->count)].point);
    world->region_deg = pow(10, -5 + 6.5 * test_random_unit(seed));
    world->shapes = (struct rtree_shapes){
        .context = world,
        .has_region = test_random_below(seed, 3) > 0,
        .region_box = region_box,
        .region_item = region_item,
        .distance = test_random_below(seed, 2) ? shape_distance : NULL,
    };
    query->shapes = &world->shapes;
}

static struct rtree_query query_random(struct world *world)
{
    struct rtree_query query = {.time_from_ms = INT64_MIN, .time_through_ms = INT64_MAX};

    if (test_random_below(&world->seed, 3))
        query_random_circle(world, &query);
    if (test_random_below(&world->seed, 3) == 0)
        query_random_box(world, &query);
    if (test_random_below(&world->seed, 2))
        query_random_groups(world, &query);
    if (test_random_below(&world->seed, 2))
        query_random_times(world, &query);
    if (test_random_below(&world->seed, 4) == 0)
        query_random_shapes(world, &query);
    return query;
}

/* ---- comparing ---- */

static void fail_query(const struct world *world, uint64_t number, const char *what,
                       const struct hits *got, const struct hits *want)
{
    size_t i = 0;

    while (i < got->count && i < want->count && got->hits[i].document == want->hits[i].document &&
           got->hits[i].distance_m == want->hits[i].distance_m)
        i++;
    fail_msg("flavour %d, query %" PRIu64 ": %s: %zu hits, expected %zu; at %zu: %u %.9f, "
             "expected %u %.9f",
             (int)world->flavour, number, what, got->count, want->count, i, got->hits[i].document,
             got->hits[i].distance_m, want->hits[i].document, want->hits[i].distance_m);
}

static bool hits_equal(const struct hits *a, const struct hits *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (a->hits[i].document != b->hits[i].document ||
            a->hits[i].distance_m != b->hits[i].distance_m)
            return false;
    }
    return true;
}

static unsigned shortened; /* distances that were not exact, and need not be */

static bool rounds_as(double a_m, double b_m)
{
    return floor(a_m * 2000) == floor(b_m * 2000);
}

/* Where a distance need only round well it does, and in the order of the exact ones. */
static struct rtree_hit exact_hit(const struct world *world, const struct rtree_query *query,
                                  const struct rtree_hit *hit)
{
    const struct rtree_item *item = &world->items[hit->document - 1];
    struct rtree_hit exact = *hit;

    assert_true(brute_match(query, item, &exact.distance_m));
    if (fabs(hit->distance_m - exact.distance_m) > GEO_SHORT_ERROR_M ||
        !rounds_as(hit->distance_m, exact.distance_m))
        fail_msg("%.17g for %.17g", hit->distance_m, exact.distance_m);
    shortened += hit->distance_m != exact.distance_m;
    return exact;
}

/* Where the next page begins: too far, and a listing in between would be lost. */
static void go_behind(struct rtree_near *near, const struct rtree_hit *exact, struct rtree_hit *hit)
{
    rtree_near_behind(near, hit);
    if (hit->distance_m < exact->distance_m ||
        hit->distance_m > exact->distance_m + 2 * GEO_SHORT_ERROR_M ||
        !rounds_as(hit->distance_m, exact->distance_m))
        fail_msg("behind %.17g at %.17g", exact->distance_m, hit->distance_m);
}

/* Page by page of random size, each from a cursor, as a visitor leafs through. */
static void hits_by_pages(struct world *world, const struct kv *kv, const struct rtree_query *asked,
                          struct hits *hits)
{
    struct rtree_query query = *asked;
    struct rtree_hit hit = {0}, exact;
    enum torg_err err = TORG_OK;
    bool begun = false;

    while (!err) {
        uint64_t page = 1 + test_random_below(&world->seed, 200);
        struct rtree_near *near;

        query.near_rounded = test_random_below(&world->seed, 2);
        /* Nothing may hang on the hint: none, less than is taken, just that, more. */
        query.near_hint = (uint32_t)(page * test_random_below(&world->seed, 5) / 2);
        assert_ok(rtree_near_new(kv, COLLECTION_MASK_ALL, &query, &near));
        if (begun)
            rtree_near_after(near, hit.distance_m, hit.document);
        begun = true;
        for (uint64_t i = 0; i < page && !err; i++) {
            err = rtree_near_next(near, &hit);
            if (err)
                break;
            exact = query.near_rounded ? exact_hit(world, &query, &hit) : hit;
            hits_add(hits, &exact);
            if (i + 1 == page)
                go_behind(near, &exact, &hit);
        }
        rtree_near_free(near);
    }
    assert_int_equal(err, TORG_E_NOT_FOUND);
}

/* Every theme of every match, one by one. */
static void compare_themes(struct world *world, const struct kv *kv,
                           const struct rtree_query *query, const struct hits *matches,
                           uint64_t number)
{
    uint64_t want[THEME_BITS] = {0}, got[THEME_BITS], got_all;

    for (size_t i = 0; i < matches->count; i++) {
        for (unsigned bit = 0; bit < THEME_BITS; bit++)
            want[bit] += theme_set_has(&world->items[matches->hits[i].document - 1].themes, bit);
    }
    assert_ok(rtree_theme_counts(kv, COLLECTION, query, got, &got_all, NULL));
    if (got_all != matches->count)
        fail_msg("flavour %d, query %" PRIu64 ": %" PRIu64 " counted of %zu", (int)world->flavour,
                 number, got_all, matches->count);
    for (unsigned bit = 0; bit < THEME_BITS; bit++) {
        if (got[bit] != want[bit])
            fail_msg("flavour %d, query %" PRIu64 ": theme %u counted %" PRIu64 " of %" PRIu64,
                     (int)world->flavour, number, bit, got[bit], want[bit]);
    }
}

static void compare(struct world *world, const struct kv *kv, uint64_t number)
{
    struct rtree_query query = query_random(world);
    struct hits want = brute_force(world, &query), got = hits_new(world);
    uint64_t count = 0;
    unsigned kernels = 0;

    while (rtree_kernel_at(kernels))
        kernels++;
    rtree_kernel_force(rtree_kernel_at((unsigned)(number % kernels)));
    assert_ok(rtree_search(kv, COLLECTION, &query, true, hits_add_batch, &got, NULL));
    hits_sort(&got);
    if (!hits_equal(&got, &want))
        fail_query(world, number, "search", &got, &want);
    assert_ok(rtree_count(kv, COLLECTION, &query, &count, NULL));
    if (count != want.count)
        fail_msg("flavour %d, query %" PRIu64 ": counted %" PRIu64 " of %zu", (int)world->flavour,
                 number, count, want.count);
    compare_themes(world, kv, &query, &want, number);
    if (query.has_centre) {
        got.count = 0;
        hits_by_pages(world, kv, &query, &got);
        if (!hits_equal(&got, &want))
            fail_query(world, number, "near", &got, &want);
    }
    rtree_kernel_force(NULL);
    free(want.hits);
    free(got.hits);
}

static void print_breach(void *context, const char *what)
{
    (void)context;
    print_error("%s\n", what);
}

static void check(const struct world *world, const struct kv *kv)
{
    struct rtree_stat stat;
    uint64_t alive = 0, size;

    for (size_t i = 0; i < world->count; i++)
        alive += world->alive[i];
    assert_ok(rtree_check(kv, COLLECTION, print_breach, NULL, &stat));
    assert_int_equal(stat.items, alive);
    assert_ok(rtree_size(kv, COLLECTION, &size));
    assert_int_equal(size, alive);
}

/* ---- histories ---- */

static void insert_some(struct world *world, struct rtree *tree, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_ok(rtree_insert(tree, world_add(world)));
        world->alive[world->count - 1] = true;
    }
}

static void remove_some(struct world *world, struct rtree *tree, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t at = test_random_below(&world->seed, world->count);

        if (!world->alive[at]) {
            assert_err(rtree_remove(tree, &world->items[at]), TORG_E_NOT_FOUND);
            continue;
        }
        assert_ok(rtree_remove(tree, &world->items[at]));
        world->alive[at] = false;
    }
}

/*
 * A batch as a commit brings it: new items, items that go, items that go and
 * come back elsewhere, or that come and go again before anybody saw them.
 */
static void apply_some(struct world *world, struct rtree *tree, size_t count)
{
    struct rtree_edit *edits = calloc(4 * count, sizeof(*edits));
    size_t used = 0;

    assert_non_null(edits);
    while (used < count) {
        size_t at = test_random_below(&world->seed, world->count + 1);
        struct rtree_item *item;

        if (at == world->count && world->count == world->capacity)
            continue;
        if (at == world->count || test_random_below(&world->seed, 3) == 0) {
            if (world->count == world->capacity)
                continue;
            item = world_add(world);
            at = world->count - 1;
        }
        item = &world->items[at];
        edits[used].removed = world->alive[at];
        edits[used++].item = *item;
        world->alive[at] = !world->alive[at];
        while (test_random_below(&world->seed, 3) == 0 && used < 4 * count) {
            if (!world->alive[at]) { /* It comes back as another. */
                struct rtree_item again = world->items[test_random_below(&world->seed, at + 1)];

                again.document = item->document;
                *item = again;
            }
            edits[used].removed = world->alive[at];
            edits[used++].item = *item;
            world->alive[at] = !world->alive[at];
        }
    }
    assert_ok(rtree_apply(tree, edits, used));
    free(edits);
}

static void bulk_load(struct world *world, struct rtree *tree, size_t more)
{
    struct rtree_item *items;
    size_t count = 0;

    for (size_t i = 0; i < more; i++) {
        world_add(world);
        world->alive[world->count - 1] = true;
    }
    items = calloc(world->count + 1, sizeof(*items));
    assert_non_null(items);
    for (size_t i = 0; i < world->count; i++) {
        if (world->alive[i])
            items[count++] = world->items[i];
    }
    for (size_t i = count; i > 1; i--) { /* in any order */
        size_t j = test_random_below(&world->seed, i);
        struct rtree_item swap = items[i - 1];

        items[i - 1] = items[j];
        items[j] = swap;
    }
    assert_ok(rtree_bulk_load(tree, items, count));
    free(items);
}

static bool items_compare(void *context, const struct rtree_item *item)
{
    const struct world *world = context;

    assert_true(item->document >= 1 && item->document <= world->count);
    assert_true(world->alive[item->document - 1]);
    assert_true(catalogue_item_equal(item, &world->items[item->document - 1]));
    return true;
}

struct phase {
    enum { INSERT, REMOVE, BULK, APPLY } kind;
    size_t count;
};

static void run_history(struct kv *kv, uint64_t seed, enum flavour flavour,
                        const struct phase *phases, size_t phase_count, uint64_t queries)
{
    struct rtree tree = {.kv = kv, .collection = COLLECTION};
    struct world world;

    world_init(&world, seed, flavour, 20000);
    for (size_t i = 0; i < phase_count; i++) {
        switch (phases[i].kind) {
        case INSERT:
            insert_some(&world, &tree, phases[i].count);
            break;
        case REMOVE:
            remove_some(&world, &tree, phases[i].count);
            break;
        case BULK:
            bulk_load(&world, &tree, phases[i].count);
            break;
        case APPLY:
            apply_some(&world, &tree, phases[i].count);
            break;
        }
        check(&world, kv);
        for (uint64_t q = 0; q < test_rounds(queries); q++)
            compare(&world, kv, i * queries + q);
        assert_ok(rtree_items(kv, COLLECTION, items_compare, &world));
    }
    assert_true(shortened > 0 || flavour != SWEDEN);
    world_done(&world);
}

struct mem {
    struct kv_mem *mem;
    struct kv kv;
};

static struct mem mem_open(bool strict)
{
    struct mem mem;

    assert_ok(kv_mem_new(&mem.mem));
    kv_mem_strict(mem.mem, strict);
    assert_ok(kv_mem_write_begin(mem.mem, &mem.kv));
    return mem;
}

static void mem_close(struct mem *mem)
{
    kv_mem_write_abort(&mem->kv);
    kv_mem_free(mem->mem);
}

/* ---- tests ---- */

/* A wrongly pruned branch hides listings that are there: nobody would notice. */
static void test_histories_agree_with_brute_force(void **state)
{
    static const struct phase phases[] = {
        {INSERT, 150}, {INSERT, 100}, {REMOVE, 200}, {INSERT, 900}, {REMOVE, 700},  {BULK, 800},
        {INSERT, 400}, {APPLY, 900},  {APPLY, 30},   {APPLY, 500},  {REMOVE, 1500}, {REMOVE, 5000}};
    static const uint64_t seeds[] = {0x51f3, 1, 2};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(seeds); i++) {
        for (int flavour = 0; flavour < FLAVOURS; flavour++) {
            struct mem mem = mem_open(false);

            run_history(&mem.kv, seeds[i], (enum flavour)flavour, phases, ARRAY_SIZE(phases), 25);
            mem_close(&mem);
        }
    }
}

/* The same with spans that die at the next write: who keeps one reads freed memory. */
static void test_no_span_outlives_a_write(void **state)
{
    static const struct phase phases[] = {
        {INSERT, 600}, {REMOVE, 500}, {BULK, 300}, {REMOVE, 300}, {APPLY, 400}};
    struct mem mem = mem_open(true);

    (void)state;
    run_history(&mem.kv, 0x57a1, SWEDEN, phases, ARRAY_SIZE(phases), 5);
    mem_close(&mem);
}

/* Bulk loads of every awkward size: one, a full leaf, one more, a full node of leaves. */
static void test_bulk_sizes(void **state)
{
    static const size_t sizes[] = {0,   1,   2,    RTREE_LEAF_MAX, RTREE_LEAF_MAX + 1,
                                   337, 673, 9744, 10000,          12000};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        const struct phase phases[] = {{BULK, sizes[i]}, {INSERT, 30}, {REMOVE, 60}, {INSERT, 200}};
        struct mem mem = mem_open(false);

        run_history(&mem.kv, 0xb + i, SWEDEN, phases, ARRAY_SIZE(phases), sizes[i] == 0 ? 0 : 3);
        mem_close(&mem);
    }
}

/* Through LMDB, several levels deep, values in pages and beside them. */
static void test_in_the_store(void **state)
{
    static const struct phase phases[] = {
        {BULK, 14000}, {INSERT, 2000}, {REMOVE, 4000}, {APPLY, 1500}, {INSERT, 500}};
    struct store_options options = store_options_default();
    char directory[] = "/tmp/torg-rtree-XXXXXX", command[64];
    struct store *store;
    struct kv kv;

    (void)state;
    assert_non_null(mkdtemp(directory));
    options.map_bytes = UINT64_C(256) << 20;
    assert_ok(store_open(directory, &options, &store));
    assert_ok(store_write_begin(store, &kv));
    run_history(&kv, 0x1a0db, SWEDEN, phases, ARRAY_SIZE(phases), 15);
    assert_ok(store_write_commit(&kv));
    store_close(store);
    snprintf(command, sizeof(command), "rm -r %s", directory);
    assert_int_equal(system(command), 0);
}

static bool ignore_hits(void *context, const struct rtree_batch *batch)
{
    (void)context;
    (void)batch;
    return true;
}

/* When all combinations have been given out, further ones must still be told apart. */
static void test_full_dictionary(void **state)
{
    static const struct phase phases[] = {{INSERT, 500}, {BULK, 300}, {REMOVE, 400}, {INSERT, 100}};
    static const uint8_t next_key[] = {0, 'c'}, next[] = {0xff, 0xfa};
    struct mem mem = mem_open(false);

    (void)state;
    assert_ok(kv_put(&mem.kv, KV_THEME, span_of(next_key, 2), span_of(next, 2)));
    run_history(&mem.kv, 0xd1c, SWEDEN, phases, ARRAY_SIZE(phases), 60);
    mem_close(&mem);
}

/* The themes of a listing and all broader ones: few combinations, each with several bits. */
static void themes_nested(struct rtree_item *item, unsigned theme)
{
    item->themes = (struct theme_set){0};
    theme_set_add(&item->themes, theme);
    theme_set_add(&item->themes, 200 + theme / 4);
    if (theme % 3 == 0)
        theme_set_add(&item->themes, 255);
}

static uint32_t theme_trees(const struct kv *kv)
{
    struct rtree_stat stat;

    assert_ok(rtree_check(kv, COLLECTION, print_breach, NULL, &stat));
    return stat.theme_trees;
}

/* So many together, with all that waits (rtree_pending.h): then the trees have everything. */
#define TOGETHER 20

static void apply_together(struct rtree *tree, const struct rtree_item *items, bool removed)
{
    struct rtree_edit edits[TOGETHER];

    for (size_t i = 0; i < TOGETHER; i++)
        edits[i] = (struct rtree_edit){removed, items[i]};
    assert_ok(rtree_apply(tree, edits, TOGETHER));
}

/* A theme's tree that lags behind the main one answers wrong, and only for that theme. */
static void test_theme_trees_come_and_go(void **state)
{
    struct mem mem = mem_open(false);
    struct rtree tree = {.kv = &mem.kv, .collection = COLLECTION};
    struct world world;
    uint32_t most = 0;

    (void)state;
    world_init(&world, 0x7e3, SWEDEN, 4000);
    for (size_t i = 0; i < 4000; i++) {
        themes_nested(world_add(&world), (unsigned)test_random_below(&world.seed, 40));
        world.items[i].document = (uint32_t)i + 1;
    }
    for (size_t i = 0; i < 4000; i++) { /* They come with the 64th of a theme. */
        assert_ok(rtree_insert(&tree, &world.items[i]));
        if (i % 100 == 0)
            most = theme_trees(&mem.kv);
        if (i == 200)
            assert_true(most < 20);
    }
    assert_int_equal(theme_trees(&mem.kv), 51); /* 40, 10 broader ones and 255 */
    for (size_t i = 0; i < 3400; i++)
        assert_ok(rtree_remove(&tree, &world.items[i]));
    most = theme_trees(&mem.kv);
    assert_true(most > 5 && most < 20);
    assert_ok(rtree_bulk_load(&tree, world.items, 1000));
    assert_int_equal(theme_trees(&mem.kv), 11);
    for (size_t i = TOGETHER; i < 1000; i++)
        assert_ok(rtree_remove(&tree, &world.items[i]));
    apply_together(&tree, world.items, true);
    assert_int_equal(theme_trees(&mem.kv), 0);
    world_done(&world);
    mem_close(&mem);
}

/* Where nobody sees it, half a batch would be worse than none. */
static void test_batches_that_contradict(void **state)
{
    struct mem mem = mem_open(false);
    struct rtree tree = {.kv = &mem.kv, .collection = COLLECTION};
    struct rtree_edit edits[3] = {{.item.document = 1}, {.item.document = 1}, {.item.document = 2}};
    uint64_t size;

    (void)state;
    assert_err(rtree_apply(&tree, edits, 2), TORG_E_INVALID);
    edits[1].removed = true;
    edits[2].removed = true;
    assert_err(rtree_apply(&tree, edits, 3), TORG_E_NOT_FOUND);
    assert_ok(rtree_apply(&tree, edits, 2)); /* It came and went. */
    assert_ok(rtree_apply(&tree, edits, 0));
    assert_ok(rtree_size(&mem.kv, COLLECTION, &size));
    assert_int_equal(size, 0);
    assert_ok(rtree_check(&mem.kv, COLLECTION, print_breach, NULL, NULL));
    mem_close(&mem);
}

static double leaves_per_query(const struct kv *kv)
{
    struct rtree_query query = {
        .has_box = true, .time_from_ms = INT64_MIN, .time_through_ms = INT64_MAX};
    uint64_t seed = 0x1ea, leaves = 0;

    for (int i = 0; i < 500; i++) {
        struct geo_point at = {-170 + 340 * test_random_unit(&seed),
                               -60 + 120 * test_random_unit(&seed)};
        struct rtree_work work;

        query.box =
            (struct geo_box){at.lon_deg - 5, at.lat_deg - 3, at.lon_deg + 5, at.lat_deg + 3};
        assert_ok(rtree_search(kv, COLLECTION, &query, false, ignore_hits, NULL, &work));
        leaves += work.leaves;
    }
    return (double)leaves / 500;
}

/* A tree of the wrong shape still answers right; only everybody waits. */
static void test_shape(void **state)
{
    struct mem packed = mem_open(false), grown = mem_open(false);
    struct rtree tree = {.kv = &packed.kv, .collection = COLLECTION};
    double of_packed, of_grown;
    struct world world;

    (void)state;
    world_init(&world, 0x5a, WORLD, 15000);
    for (size_t i = 0; i < 15000; i++) { /* Points: areas would blur it. */
        struct rtree_item *item = world_add(&world);

        item->min = item->max = item->point;
        world.alive[i] = true;
    }
    bulk_load(&world, &tree, 0);
    tree.kv = &grown.kv;
    for (size_t i = TOGETHER; i < world.count; i++)
        assert_ok(rtree_insert(&tree, &world.items[i]));
    apply_together(&tree, world.items, false);
    of_packed = leaves_per_query(&packed.kv);
    of_grown = leaves_per_query(&grown.kv);
    print_message("leaves a query: packed %.2f, grown %.2f\n", of_packed, of_grown);
    assert_true(of_packed < 2.5);
    assert_true(of_grown < 2.0);
    world_done(&world);
    mem_close(&packed);
    mem_close(&grown);
}

/* One queue over several collections must merge them as one. */
static void test_near_over_collections(void **state)
{
    struct rtree_query query = {.has_centre = true,
                                .centre = {20.26, 63.82},
                                .radius_m = INFINITY,
                                .time_from_ms = INT64_MIN,
                                .time_through_ms = INT64_MAX};
    struct mem mem = mem_open(false);
    struct rtree_near *near;
    struct world world;
    struct hits want, got;
    struct rtree_hit hit;

    (void)state;
    world_init(&world, 77, SWEDEN, 3000);
    for (size_t i = 0; i < 3000; i++) {
        struct rtree tree = {.kv = &mem.kv, .collection = (uint8_t)(1 + i % 3)};

        assert_ok(rtree_insert(&tree, world_add(&world)));
        world.alive[i] = i % 3 != 2; /* The third collection is not asked for. */
    }
    want = brute_force(&world, &query);
    got = hits_new(&world);
    assert_ok(rtree_near_new(&mem.kv, 1u << 1 | 1u << 2 | 1u << 9, &query, &near));
    while (rtree_near_next(near, &hit) == TORG_OK)
        hits_add(&got, &hit);
    assert_true(hits_equal(&got, &want));
    rtree_near_free(near);
    free(want.hits);
    free(got.hits);
    world_done(&world);
    mem_close(&mem);
}

/* What lies wholly inside is counted without a visit, or counting a county reads it all. */
static void test_counting_does_not_visit_what_is_inside(void **state)
{
    struct rtree_query query = {.has_centre = true,
                                .centre = {19, 65},
                                .radius_m = 2000000,
                                .time_from_ms = INT64_MIN,
                                .time_through_ms = INT64_MAX};
    struct mem mem = mem_open(false);
    struct rtree tree = {.kv = &mem.kv, .collection = COLLECTION};
    struct rtree_work work;
    struct world world;
    uint64_t count;

    (void)state;
    world_init(&world, 5, SWEDEN, 12000);
    bulk_load(&world, &tree, 12000);
    assert_ok(rtree_count(&mem.kv, COLLECTION, &query, &count, &work));
    assert_int_equal(count, 12000);
    assert_int_equal(work.leaves, 0);
    assert_int_equal(work.geodesics, 0);
    query.radius_m = 30000;
    query.centre = (struct geo_point){20.263, 63.826};
    assert_ok(rtree_count(&mem.kv, COLLECTION, &query, &count, &work));
    assert_true(count > 500 && work.items < 4000 && work.geodesics < 3);
    query.work_max = 1;
    assert_err(rtree_count(&mem.kv, COLLECTION, &query, &count, &work), TORG_E_EXPENSIVE);
    world_done(&world);
    mem_close(&mem);
}

/* What came from outside and breaks a rule must be refused before anything is written. */
static void test_invalid_is_refused(void **state)
{
    struct mem mem = mem_open(false);
    struct rtree tree = {.kv = &mem.kv, .collection = COLLECTION};
    struct rtree_item item = {.document = 1};
    struct rtree_query query = {.has_centre = true, .radius_m = -1};
    struct rtree_near *near;
    uint64_t count;

    (void)state;
    item.point.lat_e7 = item.min.lat_e7 = item.max.lat_e7 = GEO_LAT_E7_MAX + 1;
    assert_err(rtree_insert(&tree, &item), TORG_E_INVALID);
    assert_err(rtree_bulk_load(&tree, &item, 1), TORG_E_INVALID);
    item.point.lat_e7 = 0;
    item.max.lat_e7 = 10;
    item.min.lat_e7 = 5;
    assert_err(rtree_insert(&tree, &item), TORG_E_INVALID);
    assert_err(rtree_remove(&tree, &item), TORG_E_INVALID);
    item.min.lat_e7 = 0;
    assert_err(rtree_remove(&tree, &item), TORG_E_NOT_FOUND);
    assert_err(rtree_count(&mem.kv, COLLECTION, &query, &count, NULL), TORG_E_INVALID);
    query.radius_m = NAN;
    assert_err(rtree_near_new(&mem.kv, COLLECTION_MASK_ALL, &query, &near), TORG_E_INVALID);
    query.has_centre = false;
    assert_err(rtree_near_new(&mem.kv, COLLECTION_MASK_ALL, &query, &near), TORG_E_INVALID);
    assert_ok(rtree_count(&mem.kv, COLLECTION, &query, &count, NULL));
    assert_int_equal(count, 0);
    assert_ok(rtree_check(&mem.kv, COLLECTION, print_breach, NULL, NULL));
    mem_close(&mem);
}

/* ---- damage ---- */

static struct buffer random_key(const struct kv *kv, uint64_t *seed, enum kv_table table)
{
    struct buffer copy = {0};
    struct kv_cursor *cursor;
    struct span key, value;
    uint64_t total = 0, pick;

    assert_ok(kv_cursor_open(kv, table, &cursor));
    for (int round = 0; round < 2; round++) {
        enum torg_err err = kv_cursor_seek(kv, cursor, span_of(NULL, 0), &key, &value);

        pick = round ? test_random_below(seed, total) : UINT64_MAX;
        for (uint64_t i = 0; !err && i < pick; i++) {
            total += round == 0;
            err = kv_cursor_next(kv, cursor, &key, &value);
        }
    }
    buffer_put_span(&copy, key);
    kv_cursor_close(kv, cursor);
    return copy;
}

static void damage(struct kv *kv, uint64_t *seed)
{
    enum kv_table table = test_random_below(seed, 10) == 0 ? KV_THEME : KV_RTREE;
    struct buffer key = random_key(kv, seed, table), bytes = {0};
    struct span value;

    assert_ok(kv_get(kv, table, buffer_span(&key), &value));
    buffer_put_span(&bytes, value);
    switch (test_random_below(seed, 6)) {
    case 0:
        bytes.size = test_random_below(seed, bytes.size + 1);
        break;
    case 1:
        buffer_put_u64be(&bytes, test_random(seed));
        break;
    case 2:
        bytes.size = 0;
        break;
    case 3: /* a node without entries */
        bytes.size = bytes.size > RTREE_NODE_HEADER_BYTES ? RTREE_NODE_HEADER_BYTES : bytes.size;
        if (bytes.size > 4)
            bytes.data[2] = bytes.data[3] = 0;
        break;
    default:
        for (uint64_t i = 0, n = 1 + test_random_below(seed, 8); i < n; i++)
            bytes.data[test_random_below(seed, bytes.size)] ^=
                (uint8_t)(1u << test_random_below(seed, 8));
        break;
    }
    if (bytes.size == 0)
        assert_ok(kv_del(kv, table, buffer_span(&key)));
    else
        assert_ok(kv_put(kv, table, buffer_span(&key), buffer_span(&bytes)));
    buffer_done(&key);
    buffer_done(&bytes);
}

static bool ignore_item(void *context, const struct rtree_item *item)
{
    (void)context;
    (void)item;
    return true;
}

static bool is_expected(enum torg_err err)
{
    return err == TORG_OK || err == TORG_E_CORRUPT || err == TORG_E_VERSION ||
           err == TORG_E_NOT_FOUND || err == TORG_E_TOO_BIG;
}

static void use_damaged(struct world *world, struct kv *kv)
{
    struct rtree tree = {.kv = kv, .collection = COLLECTION};
    struct rtree_query query = query_random(world);
    struct rtree_near *near;
    struct rtree_hit hit;
    enum torg_err err;
    uint64_t count, counts[THEME_BITS];

    assert_true(is_expected(rtree_theme_counts(kv, COLLECTION, &query, counts, NULL, NULL)));
    assert_true(is_expected(rtree_search(kv, COLLECTION, &query, true, ignore_hits, NULL, NULL)));
    assert_true(is_expected(rtree_count(kv, COLLECTION, &query, &count, NULL)));
    query.has_centre = true;
    err = rtree_near_new(kv, COLLECTION_MASK_ALL, &query, &near);
    assert_true(is_expected(err));
    if (!err) {
        for (int i = 0; i < 1000 && !err; i++)
            err = rtree_near_next(near, &hit);
        assert_true(is_expected(err));
        rtree_near_free(near);
    }
    assert_true(is_expected(rtree_items(kv, COLLECTION, ignore_item, NULL)));
    assert_true(is_expected(rtree_check(kv, COLLECTION, NULL, NULL, NULL)));
    for (int i = 0; i < 20; i++) {
        size_t at = test_random_below(&world->seed, world->count);

        assert_true(is_expected(rtree_remove(&tree, &world->items[at])));
        err = rtree_insert(&tree, &world->items[at]);
        assert_true(is_expected(err) || err == TORG_E_INVALID); /* It seems to wait already. */
    }
}

/* A damaged page must cost an error, not the process: the other collections go on. */
static void test_damage_is_an_error(void **state)
{
    struct mem mem = mem_open(false);
    struct rtree tree = {.kv = &mem.kv, .collection = COLLECTION};
    struct world world;
    uint64_t seed = 0xdead;

    (void)state;
    world_init(&world, 9, SWEDEN, 1500);
    bulk_load(&world, &tree, 1000);
    insert_some(&world, &tree, 500);
    remove_some(&world, &tree, 700);
    assert_ok(kv_mem_write_commit(&mem.kv));
    for (uint64_t round = 0; round < test_rounds(1000); round++) {
        assert_ok(kv_mem_write_begin(mem.mem, &mem.kv));
        for (uint64_t i = 0, n = 1 + test_random_below(&seed, 3); i < n; i++)
            damage(&mem.kv, &seed);
        use_damaged(&world, &mem.kv);
        kv_mem_write_abort(&mem.kv);
    }
    assert_ok(kv_mem_write_begin(mem.mem, &mem.kv));
    check(&world, &mem.kv);
    world_done(&world);
    mem_close(&mem);
}

/* The check is the last word on a tree; a check that overlooks is worse than none. */
static void test_check_sees_wrong_sums(void **state)
{
    struct mem mem = mem_open(false);
    struct rtree tree = {.kv = &mem.kv, .collection = COLLECTION};
    struct world world;
    unsigned seen = 0, rounds = 0;
    uint64_t seed = 0x5ee;

    (void)state;
    world_init(&world, 10, SWEDEN, 1200);
    bulk_load(&world, &tree, 1200);
    assert_ok(kv_mem_write_commit(&mem.kv));
    for (; rounds < test_rounds(400); rounds++) {
        uint8_t key[RTREE_KEY_BYTES];
        struct buffer bytes = {0};
        struct span value, at;

        assert_ok(kv_mem_write_begin(mem.mem, &mem.kv));
        at = rtree_node_key(COLLECTION, 1 + (uint32_t)test_random_below(&seed, 8), key);
        assert_ok(kv_get(&mem.kv, KV_RTREE, at, &value));
        buffer_put_span(&bytes, value);
        bytes.data[RTREE_NODE_HEADER_BYTES +
                   test_random_below(&seed, bytes.size - RTREE_NODE_HEADER_BYTES)] ^=
            (uint8_t)(1u << test_random_below(&seed, 8));
        assert_ok(kv_put(&mem.kv, KV_RTREE, at, buffer_span(&bytes)));
        seen += rtree_check(&mem.kv, COLLECTION, NULL, NULL, NULL) == TORG_E_CORRUPT;
        buffer_done(&bytes);
        kv_mem_write_abort(&mem.kv);
    }
    /* A position or a document may change to another that is just as possible. */
    assert_true(seen > rounds / 4);
    assert_ok(kv_mem_write_begin(mem.mem, &mem.kv));
    world_done(&world);
    mem_close(&mem);
}

/* Every write can fail; the error must come out and the memory with it. */
static void test_failing_writes(void **state)
{
    struct mem mem = mem_open(true);
    struct rtree tree = {.kv = &mem.kv, .collection = COLLECTION};
    struct world world;
    uint64_t seed = 0xfa11;

    (void)state;
    world_init(&world, 11, ONE_SPOT, 3000);
    insert_some(&world, &tree, 400);
    assert_ok(kv_mem_write_commit(&mem.kv));
    for (int round = 0; round < 100; round++) {
        enum torg_err err = TORG_OK;

        assert_ok(kv_mem_write_begin(mem.mem, &mem.kv));
        kv_mem_fail_after(mem.mem, test_random_below(&seed, 60), TORG_E_FULL);
        for (int i = 0; i < 200 && !err; i++) {
            const struct rtree_item *item = &world.items[test_random_below(&seed, world.count)];

            err = rtree_remove(&tree, item);
            if (err == TORG_E_NOT_FOUND)
                err = rtree_insert(&tree, item);
        }
        assert_int_equal(err, TORG_E_FULL);
        kv_mem_fail_after(mem.mem, 0, TORG_OK);
        kv_mem_write_abort(&mem.kv);
    }
    assert_ok(kv_mem_write_begin(mem.mem, &mem.kv));
    check(&world, &mem.kv);
    world_done(&world);
    mem_close(&mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histories_agree_with_brute_force),
        cmocka_unit_test(test_no_span_outlives_a_write),
        cmocka_unit_test(test_bulk_sizes),
        cmocka_unit_test(test_in_the_store),
        cmocka_unit_test(test_full_dictionary),
        cmocka_unit_test(test_theme_trees_come_and_go),
        cmocka_unit_test(test_batches_that_contradict),
        cmocka_unit_test(test_shape),
        cmocka_unit_test(test_near_over_collections),
        cmocka_unit_test(test_counting_does_not_visit_what_is_inside),
        cmocka_unit_test(test_invalid_is_refused),
        cmocka_unit_test(test_damage_is_an_error),
        cmocka_unit_test(test_check_sees_wrong_sums),
        cmocka_unit_test(test_failing_writes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
