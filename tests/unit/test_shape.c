/* SPDX-License-Identifier: EUPL-1.2 */
#include <inttypes.h>
#include <stdlib.h>

#include "index/shape_box.h"
#include "index/shape_distance.h"
#include "index/shape_region.h"
#include "protocol/profile.h"
#include "tests/support/shape_brute.h"
#include "tests/support/test.h"

static const uint64_t seeds[] = {1, 2, 0x51f3, 0xa02c, 77};

static enum torg_err read_json(struct shape *shape, const char *text, struct shape_fault *fault)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    enum torg_err err;

    assert_non_null(json);
    err = shape_read_geojson(shape, json, fault);
    json_decref(json);
    return err;
}

static struct shape shape_of(const char *wkt)
{
    struct shape_fault fault;
    struct shape shape = {0};

    if (shape_read_wkt(&shape, span_of_str(wkt), &fault))
        fail_msg("%s %s", wkt, fault.text);
    return shape;
}

static struct shape_region *region_of(const struct shape *shape)
{
    struct shape_region *region = NULL;
    struct shape_fault fault;

    if (shape_region_new(shape, &region, &fault))
        fail_msg("a region %s", fault.text);
    return region;
}

static bool touches(const struct shape *a, const struct shape *b)
{
    struct shape_region *region = region_of(a);
    bool out = false;

    assert_ok(shape_region_touches(region, b, &out));
    shape_region_free(region);
    return out;
}

/* ---- random shapes ---- */

/* Where shapes lie, and how finely: a coarse grid makes them touch in every way there is. */
struct ground {
    int64_t lon_e7, lat_e7, step_e7;
    uint64_t steps;
};

static struct ground random_ground(uint64_t *random)
{
    static const struct ground grounds[] = {
        {170000000, 660000000, 10000000, 8},      /* a coarse grid: everything touches */
        {170000000, 660000000, 1, 6},             /* single units */
        {170000000, 660000000, 1, 3000000},       /* a county */
        {-1700000000, -800000000, 1, 1600000000}, /* half of the world */
        {-1790000000, 899999990, 400000000, 9},   /* wide and thin, at the pole */
    };

    return grounds[test_random_below(random, ARRAY_SIZE(grounds))];
}

static struct position random_position(const struct ground *ground, uint64_t *random)
{
    int64_t lon =
        ground->lon_e7 + ground->step_e7 * (int64_t)test_random_below(random, ground->steps);
    int64_t lat = ground->lat_e7 + (ground->lat_e7 > 899000000 ? 1 : ground->step_e7) *
                                       (int64_t)test_random_below(random, ground->steps);

    return (struct position){.lon_e7 = (int32_t)lon,
                             .lat_e7 = (int32_t)(lat > 900000000 ? 900000000 : lat)};
}

/* Any kind, any number of parts, rings that cross themselves and each other among them. */
static void random_shape(struct shape *shape, const struct ground *ground, uint64_t *random)
{
    static const char *const names[] = {"Point",           "MultiPoint", "LineString",
                                        "MultiLineString", "Polygon",    "MultiPolygon"};
    const struct listing_shape *form =
        listing_shape_find(span_of_str(names[test_random_below(random, ARRAY_SIZE(names))]));
    uint64_t parts = form->depth > 1 ? 1 + test_random_below(random, 3) : 1;

    shape_begin(shape, form);
    for (uint64_t i = 0; i < parts; i++) {
        uint64_t count = form->positions_min + (form->depth ? test_random_below(random, 5) : 0);
        bool hole = i > 0 && shape->kind == SHAPE_AREAS &&
                    (form->depth == 2 || test_random_below(random, 2));

        assert_ok(shape_path_begin(shape, hole));
        for (uint64_t j = 0; j < count; j++)
            assert_ok(shape_add(shape, random_position(ground, random)));
        assert_ok(shape_path_end(shape));
    }
}

static bool has_hole(const struct shape *shape)
{
    bool hole = false;

    for (uint32_t i = 0; i < shape->path_count; i++)
        hole = hole || shape->paths[i].hole;
    return hole;
}

/* One that is valid, as regions are: tried until GEOS is content. */
static void random_region(struct shape *shape, const struct ground *ground, uint64_t *random)
{
    struct shape_fault fault;

    do {
        random_shape(shape, ground, random);
    } while (shape_check(shape, &fault));
}

/* A listing's: valid or not, but holes lie within (what sticks out of an area means nothing). */
static void random_listing(struct shape *shape, const struct ground *ground, uint64_t *random)
{
    struct shape_fault fault;

    do {
        random_shape(shape, ground, random);
    } while (has_hole(shape) && shape_check(shape, &fault));
}

/* ---- tests ---- */

/*
 * A wrong sign of one determinant hides a fishing water that only touches the
 * region, or shows one that does not: nobody would notice.
 */
static void test_touches_agrees_with_brute_force(void **state)
{
    struct shape left = {0}, right = {0};
    unsigned met = 0, missed = 0;

    (void)state;
    for (size_t s = 0; s < ARRAY_SIZE(seeds); s++) {
        uint64_t random = seeds[s];

        for (unsigned n = 0; n < 4000; n++) {
            struct ground ground = random_ground(&random);
            bool want, got;

            random_region(&left, &ground, &random);
            random_listing(&right, &ground, &random);
            want = shape_brute_touches(&left, &right);
            got = touches(&left, &right);
            if (got != want)
                fail_msg("seed %#" PRIx64 ", %u: touches %d, not %d", seeds[s], n, got, want);
            met += want;
            missed += !want;
        }
    }
    assert_true(met > 2000 && missed > 2000);
    shape_done(&left);
    shape_done(&right);
}

/* Some hundred times the same corner: the same region, but too long for the plain way. */
static void lengthen(struct shape *shape)
{
    struct shape_path *last = &shape->paths[shape->path_count - 1];

    for (unsigned i = 0; i < 300; i++)
        assert_ok(shape_add(shape, shape->positions[shape->position_count - 1]));
    last->count += 300;
}

/* A box wrongly taken to be inside would give out listings that are not, unasked. */
static void test_boxes_agree_with_brute_force(void **state)
{
    struct shape left = {0}, box = {0};
    unsigned sides[3] = {0};

    (void)state;
    for (size_t s = 0; s < ARRAY_SIZE(seeds); s++) {
        uint64_t random = seeds[s];

        for (unsigned n = 0; n < 2500; n++) {
            struct ground ground = random_ground(&random);
            struct position a = random_position(&ground, &random);
            struct position c =
                test_random_below(&random, 3) ? random_position(&ground, &random) : a;
            struct position min = {a.lon_e7 < c.lon_e7 ? a.lon_e7 : c.lon_e7,
                                   a.lat_e7 < c.lat_e7 ? a.lat_e7 : c.lat_e7};
            struct position max = {a.lon_e7 > c.lon_e7 ? a.lon_e7 : c.lon_e7,
                                   a.lat_e7 > c.lat_e7 ? a.lat_e7 : c.lat_e7};
            struct shape_region *region;
            enum geo_side side;
            bool meets;

            random_region(&left, &ground, &random);
            shape_begin(&box, listing_shape_find(span_of_str("Polygon")));
            assert_ok(shape_path_begin(&box, false));
            assert_ok(shape_add(&box, min));
            assert_ok(shape_add(&box, (struct position){max.lon_e7, min.lat_e7}));
            assert_ok(shape_add(&box, max));
            assert_ok(shape_add(&box, (struct position){min.lon_e7, max.lat_e7}));
            assert_ok(shape_path_end(&box));
            if (n % 2)
                lengthen(&left);
            meets = shape_brute_touches(&left, &box);
            region = region_of(&left);
            assert_ok(shape_region_box(region, min, max, &side));
            shape_region_free(region);
            sides[side]++;
            if ((side != GEO_OUT) != meets)
                fail_msg("seed %#" PRIx64 ", %u: a box on the wrong side", seeds[s], n);
            if (memcmp(&min, &max, sizeof(min)) == 0)
                assert_true(side != GEO_BORDER);
            else if (side == GEO_IN) /* No edge of the region may pass through. */
                assert_true(shape_brute_holds(&left, min) && shape_brute_holds(&left, max));
            for (uint32_t p = 0, i = 0; side == GEO_IN && left.kind == SHAPE_AREAS &&
                                        memcmp(&min, &max, sizeof(min)) != 0 &&
                                        shape_brute_edge(&left, &p, &i, &a, &c);) {
                struct shape edge = {.kind = SHAPE_LINES,
                                     .positions = (struct position[]){a, c},
                                     .position_count = 2,
                                     .paths = &(struct shape_path){.count = 2},
                                     .path_count = 1};

                assert_false(shape_brute_touches(&edge, &box));
            }
        }
    }
    assert_true(sides[GEO_IN] > 150 && sides[GEO_OUT] > 300 && sides[GEO_BORDER] > 300);
    shape_done(&left);
    shape_done(&box);
}

/* The positions of a shape of single units from base on, tenfold: room for bounds between units. */
static void stretch(const struct shape *shape, struct position base, struct shape *ret)
{
    static const char *const names[] = {"MultiPoint", "MultiLineString", "MultiPolygon"};

    shape_begin(ret, listing_shape_find(span_of_str(names[shape->kind])));
    for (uint32_t p = 0; p < shape->path_count; p++) {
        const struct shape_path *path = &shape->paths[p];

        assert_ok(shape_path_begin(ret, path->hole));
        for (uint32_t i = 0; i < path->count; i++) {
            struct position at = shape->positions[path->first + i];

            assert_ok(shape_add(ret, (struct position){10 * (at.lon_e7 - base.lon_e7),
                                                       10 * (at.lat_e7 - base.lat_e7)}));
        }
        assert_ok(shape_path_end(ret));
    }
}

static void box_shape(struct shape *box, struct position min, struct position max)
{
    shape_begin(box, listing_shape_find(span_of_str("Polygon")));
    assert_ok(shape_path_begin(box, false));
    assert_ok(shape_add(box, min));
    assert_ok(shape_add(box, (struct position){max.lon_e7, min.lat_e7}));
    assert_ok(shape_add(box, max));
    assert_ok(shape_add(box, (struct position){min.lon_e7, max.lat_e7}));
    assert_ok(shape_path_end(box));
}

static struct geo_box box_of(struct position min, struct position max)
{
    struct geo_point a = geo_point_of(min), b = geo_point_of(max);

    return (struct geo_box){a.lon_deg, a.lat_deg, b.lon_deg, b.lat_deg};
}

static json_t *json_path_of(const struct shape *shape, const struct shape_path *path)
{
    json_t *out = json_array();

    for (uint32_t i = 0; i < path->count; i++) {
        struct geo_point at = geo_point_of(shape->positions[path->first + i]);

        assert_int_equal(json_array_append_new(out, json_pack("[ff]", at.lon_deg, at.lat_deg)), 0);
    }
    return out;
}

/* As its kind with several parts: what each part is of stays the same. */
static json_t *json_of(const struct shape *shape)
{
    static const char *const names[] = {"MultiPoint", "MultiLineString", "MultiPolygon"};
    json_t *parts = json_array(), *area = NULL;

    for (uint32_t p = 0; p < shape->path_count; p++) {
        json_t *path = json_path_of(shape, &shape->paths[p]);

        if (shape->kind == SHAPE_POINTS) {
            json_decref(parts);
            parts = path;
            continue;
        }
        if (shape->kind == SHAPE_AREAS && !shape->paths[p].hole) {
            area = json_array();
            assert_int_equal(json_array_append_new(parts, area), 0);
        }
        assert_int_equal(json_array_append_new(area ? area : parts, path), 0);
    }
    return json_pack("{s:s,s:o}", "type", names[shape->kind], "coordinates", parts);
}

static bool box_touches(const struct geo_box *asked, const struct shape *shape)
{
    struct shape_box box = shape_box_of(asked);
    json_t *json = json_of(shape);
    bool touches = shape_box_touches(&box, shape), by_json;
    uint64_t positions;

    assert_ok(shape_box_touches_geojson(&box, json, &by_json, &positions));
    assert_int_equal(by_json, touches);
    /* Who looks at boxes first must not lose anything by it. */
    assert_true(!touches || geo_window_overlaps(&box.window, shape->min, shape->max));
    assert_true(touches || !geo_window_holds(&box.window, shape->min, shape->max));
    json_decref(json);
    return touches;
}

/* What lies around a box would be found by it, or what just touches it would not. */
static void test_what_boxes_touch(void **state)
{
    struct shape listing = {0}, box = {0};
    unsigned touched = 0, apart = 0;

    (void)state;
    for (size_t s = 0; s < ARRAY_SIZE(seeds); s++) {
        uint64_t random = seeds[s];

        for (unsigned n = 0; n < 4000; n++) {
            struct ground ground = random_ground(&random);
            struct position a = random_position(&ground, &random);
            struct position c =
                test_random_below(&random, 3) ? random_position(&ground, &random) : a;
            struct position min = {a.lon_e7, a.lat_e7 < c.lat_e7 ? a.lat_e7 : c.lat_e7};
            struct position max = {c.lon_e7, a.lat_e7 > c.lat_e7 ? a.lat_e7 : c.lat_e7};
            struct geo_box asked = box_of(min, max);
            bool meets;

            random_listing(&listing, &ground, &random);
            if (a.lon_e7 <= c.lon_e7) {
                box_shape(&box, min, max);
                meets = shape_brute_touches(&box, &listing);
            } else { /* Two ranges: over the antimeridian. */
                box_shape(&box, min, (struct position){GEO_LON_E7_MAX, max.lat_e7});
                meets = shape_brute_touches(&box, &listing);
                box_shape(&box, (struct position){-GEO_LON_E7_MAX, min.lat_e7}, max);
                meets = meets || shape_brute_touches(&box, &listing);
            }
            if (box_touches(&asked, &listing) != meets)
                fail_msg("seed %#" PRIx64 ", %u: a box and a listing", seeds[s], n);
            touched += meets;
            apart += !meets;
        }
    }
    assert_true(touched > 3000 && apart > 3000);
    shape_done(&listing);
    shape_done(&box);
}

/* A program's box has more digits than a listing: between two units there is room for an edge. */
static void test_boxes_between_units(void **state)
{
    static const struct ground ground = {170000000, 660000000, 1, 6};
    static const struct position base = {170000000, 660000000};
    struct shape listing = {0}, tenfold = {0}, box = {0};
    unsigned touched = 0, apart = 0;

    (void)state;
    for (size_t s = 0; s < ARRAY_SIZE(seeds); s++) {
        uint64_t random = seeds[s];

        for (unsigned n = 0; n < 4000; n++) {
            int32_t tenths[4];
            struct geo_box asked;
            bool meets;

            for (unsigned i = 0; i < 4; i++)
                tenths[i] = (int32_t)test_random_below(&random, 60);
            tenths[2] = tenths[0] + tenths[2] % 15;
            tenths[3] = tenths[1] + tenths[3] % 15;
            asked = (struct geo_box){
                (base.lon_e7 * 10.0 + tenths[0]) / 1e8, (base.lat_e7 * 10.0 + tenths[1]) / 1e8,
                (base.lon_e7 * 10.0 + tenths[2]) / 1e8, (base.lat_e7 * 10.0 + tenths[3]) / 1e8};
            random_listing(&listing, &ground, &random);
            stretch(&listing, base, &tenfold);
            box_shape(&box, (struct position){tenths[0], tenths[1]},
                      (struct position){tenths[2], tenths[3]});
            meets = shape_brute_touches(&box, &tenfold);
            if (box_touches(&asked, &listing) != meets)
                fail_msg("seed %#" PRIx64 ", %u: a box between units", seeds[s], n);
            touched += meets;
            apart += !meets;
        }
    }
    assert_true(touched > 3000 && apart > 3000);
    shape_done(&listing);
    shape_done(&tenfold);
    shape_done(&box);
}

/* 180 and -180 are the same meridian: what lies on it is met from both sides. */
static void test_antimeridian(void **state)
{
    struct shape west = shape_of("POLYGON((170 60,180 60,180 70,170 70,170 60))");
    struct shape east = shape_of("POLYGON((-180 60,-170 60,-170 70,-180 70,-180 60))");
    struct shape above = shape_of("POLYGON((-180 70.0000001,-170 71,-180 71,-180 70.0000001))");
    struct shape point = shape_of("POINT(-180 65)");
    struct shape_region *region = region_of(&west);
    struct geo_window window = shape_region_window(region);
    struct geo_centre centre = geo_centre_of((struct geo_point){-179.9, 65});
    double distance_m;
    uint64_t work = 0;
    enum geo_side side;

    (void)state;
    assert_true(touches(&west, &east));
    assert_true(touches(&east, &west));
    assert_true(touches(&west, &point));
    assert_false(touches(&west, &above));
    assert_false(touches(&above, &west));
    assert_true(geo_window_overlaps(&window, point.min, point.max));
    assert_ok(shape_region_box(region, point.min, point.max, &side));
    assert_int_equal(side, GEO_IN);
    assert_ok(shape_distance(&west, &centre, &work, &distance_m));
    assert_near(distance_m, geo_distance_m(centre.point, (struct geo_point){180, 65}), 2.0);
    assert_true(distance_m < geo_distance_m(centre.point, (struct geo_point){180, 65}) + 1e-3);
    shape_region_free(region);
    shape_done(&west);
    shape_done(&east);
    shape_done(&above);
    shape_done(&point);
}

/* ---- distances ---- */

static double along(struct geo_point centre, struct geo_point a, struct geo_point b, double t)
{
    struct geo_point point = {a.lon_deg + t * (b.lon_deg - a.lon_deg),
                              fmax(fmin(a.lat_deg + t * (b.lat_deg - a.lat_deg), 90), -90)};

    return geo_distance_m(centre, point);
}

/* Many samples, and a search by thirds around each that is lower than its neighbours. */
static double brute_edge(struct geo_point centre, struct geo_point a, struct geo_point b)
{
    enum { SAMPLES = 400 };
    double f[SAMPLES + 1], best = INFINITY;

    for (int i = 0; i <= SAMPLES; i++) {
        f[i] = along(centre, a, b, (double)i / SAMPLES);
        best = fmin(best, f[i]);
    }
    for (int i = 0; i <= SAMPLES; i++) {
        double low = fmax(i - 1, 0) / SAMPLES, high = fmin(i + 1, SAMPLES) / SAMPLES;

        if ((i > 0 && f[i - 1] < f[i]) || (i < SAMPLES && f[i + 1] < f[i]))
            continue;
        for (int n = 0; n < 45; n++) {
            double x = low + (high - low) / 3, y = high - (high - low) / 3;

            if (along(centre, a, b, x) < along(centre, a, b, y))
                high = y;
            else
                low = x;
        }
        best = fmin(best, along(centre, a, b, (low + high) / 2));
    }
    return best;
}

static double brute_distance(const struct shape *shape, struct geo_point centre)
{
    struct position a, b;
    double best = INFINITY;

    if (shape_holds(shape, centre))
        return 0;
    for (uint32_t p = 0, i = 0; shape_brute_edge(shape, &p, &i, &a, &b);)
        best = fmin(best, brute_edge(centre, geo_point_of(a), geo_point_of(b)));
    return best;
}

static struct geo_point random_centre(const struct shape *shape, uint64_t *random)
{
    static const struct geo_point special[] = {{0, 90},   {17, -90}, {180, 66},
                                               {-180, 0}, {0, 0},    {17.9, 66.05}};
    struct geo_point point = geo_point_of(shape->positions[0]);
    double away_deg = pow(10, 2 - 6 * test_random_unit(random));

    if (test_random_below(random, 4) == 0)
        return special[test_random_below(random, ARRAY_SIZE(special))];
    point.lon_deg += away_deg * (2 * test_random_unit(random) - 1);
    point.lat_deg += away_deg * (2 * test_random_unit(random) - 1);
    if (!geo_point_valid(point))
        point = (struct geo_point){360 * test_random_unit(random) - 180,
                                   180 * test_random_unit(random) - 90};
    return point;
}

static const struct ground distance_grounds[] = {
    {170000000, 660000000, 1, 3000},          /* a pond */
    {170000000, 660000000, 1, 3000000},       /* a lake */
    {100000000, 550000000, 1, 150000000},     /* a country */
    {-1800000000, 600000000, 1, 300000000},   /* at the antimeridian */
    {-1700000000, -800000000, 1, 1600000000}, /* half of the world */
    {-1800000000, 800000000, 25000000, 41},   /* up to the pole itself */
    {170000000, -899990000, 1, 20000},
};

/*
 * The nearest point of a long edge may lie far from both of its ends; one that
 * is found too late, or passed over, gives the wrong order.
 */
static void test_distance_agrees_with_sampling(void **state)
{
    struct shape shape = {0};

    (void)state;
    for (size_t s = 0; s < ARRAY_SIZE(seeds); s++) {
        uint64_t random = seeds[s];

        for (unsigned n = 0; n < 30; n++) {
            const struct ground *ground =
                &distance_grounds[test_random_below(&random, ARRAY_SIZE(distance_grounds))];
            struct geo_centre centre;
            double want_m, got_m, margin_m;
            uint64_t work = 0;

            random_shape(&shape, ground, &random);
            centre = geo_centre_of(random_centre(&shape, &random));
            want_m = brute_distance(&shape, centre.point);
            assert_ok(shape_distance(&shape, &centre, &work, &got_m));
            margin_m = SHAPE_DISTANCE_M_MARGIN + 1e-9 * want_m;
            if (!(got_m >= want_m - 1e-5 - 1e-9 * want_m && got_m <= want_m + margin_m))
                fail_msg("seed %#" PRIx64 ", %u: %.6f m, not %.6f m", seeds[s], n, got_m, want_m);
            if (work > 2000)
                fail_msg("seed %#" PRIx64 ", %u: work %" PRIu64, seeds[s], n, work);
        }
    }
    shape_done(&shape);
}

static double distance_of(const char *wkt, double lon_deg, double lat_deg, uint64_t *work)
{
    struct geo_centre centre = geo_centre_of((struct geo_point){lon_deg, lat_deg});
    struct shape shape = shape_of(wkt);
    double distance_m = -1;

    *work = 0;
    assert_ok(shape_distance(&shape, &centre, work, &distance_m));
    shape_done(&shape);
    return distance_m;
}

/* The worst that can be drawn: edges that stay equally far all the way. */
static void test_distance_at_its_worst(void **state)
{
    struct geo_centre pole = geo_centre_of((struct geo_point){0, 90});
    double parallel_m = geo_distance_m(pole.point, (struct geo_point){0, 10});
    struct shape shape = {0};
    uint64_t work;
    double got_m;

    (void)state;
    got_m = distance_of("LINESTRING(-180 10,180 10)", 0, 90, &work);
    assert_near(got_m, parallel_m, 0.1);
    assert_true(work < 20000);
    shape_begin(&shape, listing_shape_find(span_of_str("LineString")));
    assert_ok(shape_path_begin(&shape, false));
    for (uint32_t i = 0; i < SHAPE_POSITIONS_MAX; i++)
        assert_ok(shape_add(&shape, (struct position){i % 2 ? -1800000000 : 1800000000,
                                                      100000000 - (int32_t)(i / 2)}));
    assert_ok(shape_path_end(&shape));
    work = 0;
    assert_ok(shape_distance(&shape, &pole, &work, &got_m));
    assert_near(got_m, parallel_m, 10.0);
    assert_true(work < 100000);
    shape_done(&shape);
}

/* Inside is 0, and a hole's inside is not; both ends of the earth are far. */
static void test_distance_by_hand(void **state)
{
    const char *ring = "POLYGON((17 66,18 66,18 67,17 67,17 66),"
                       "(17.4 66.4,17.4 66.6,17.6 66.6,17.6 66.4,17.4 66.4))";
    uint64_t work;

    (void)state;
    assert_true(distance_of(ring, 17.2, 66.5, &work) == 0);
    assert_true(distance_of(ring, 17, 66, &work) == 0);
    assert_near(distance_of(ring, 17.5, 66.41, &work), 1115, 10);
    assert_near(distance_of("POINT(17 66)", 17, 66.01, &work), 1115, 10);
    assert_near(distance_of("LINESTRING(0 0,10 0)", -170, 0, &work), 18924313.4349, 0.1);
    assert_near(distance_of("LINESTRING(90 89,90 90)", -90, 90, &work), 0, 1e-6);
    assert_near(distance_of("LINESTRING(0 90,180 90)", 12, 89, &work), 111693.9, 1);
}

/* ---- reading ---- */

static const struct {
    const char *json, *says; /* NULL: right */
} json_cases[] = {
    {"{\"type\":\"Point\",\"coordinates\":[17.9,66.05]}", NULL},
    {"{\"type\":\"Point\",\"coordinates\":[17.9,66.05,430.5]}", NULL},
    {"{\"type\":\"MultiPoint\",\"coordinates\":[[17.9,66.05],[18,67]]}", NULL},
    {"{\"type\":\"LineString\",\"coordinates\":[[17.9,66.05],[18,67]]}", NULL},
    {"{\"type\":\"MultiLineString\",\"coordinates\":[[[17.9,66.05],[18,67]]]}", NULL},
    {"{\"type\":\"Polygon\",\"coordinates\":[[[17,66],[18,66],[18,67],[17,66]]]}", NULL},
    {"{\"type\":\"MultiPolygon\",\"coordinates\":[[[[17,66],[18,66],[18,67],[17,66]]]]}", NULL},
    {"{\"type\":\"Polygon\",\"coordinates\":[[[17,66],[18,66],[18,67],[17,67]]]}", "closed"},
    {"{\"type\":\"Polygon\",\"coordinates\":[[[17,66],[18,66],[17,66]]]}", "at least 4"},
    {"{\"type\":\"Polygon\",\"coordinates\":[[17,66],[18,66],[17,66]]}", "numbers"},
    {"{\"type\":\"Polygon\",\"coordinates\":[]}", "empty"},
    {"{\"type\":\"Polygon\"}", "empty"},
    {"{\"type\":\"LineString\",\"coordinates\":[[17.9,66.05]]}", "at least 2"},
    {"{\"type\":\"Point\",\"coordinates\":[7331000,759000]}", "degrees"},
    {"{\"type\":\"Point\",\"coordinates\":[\"17\",66]}", "numbers"},
    {"{\"type\":\"Point\",\"coordinates\":[17]}", "numbers"},
    {"{\"type\":\"GeometryCollection\",\"geometries\":[]}", "Point, MultiPoint"},
    {"{\"coordinates\":[17,66]}", "Point, MultiPoint"},
    {"[17,66]", "Point, MultiPoint"},
};

static void test_geojson(void **state)
{
    struct shape shape = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(json_cases); i++) {
        struct shape_fault fault = {""};
        enum torg_err err = read_json(&shape, json_cases[i].json, &fault);

        if (json_cases[i].says ? err != TORG_E_INVALID || !strstr(fault.text, json_cases[i].says)
                               : err != TORG_OK)
            fail_msg("%s: %s: %s", json_cases[i].json, torg_err_text(err), fault.text);
    }
    shape_done(&shape);
}

static const struct {
    const char *wkt, *says;
} wkt_cases[] = {
    {"POINT(17.9 66.05)", NULL},
    {" point Z ( 17.9 66.05 430 ) ", NULL},
    {"MULTIPOINT((17.9 66.05),(18 67))", NULL},
    {"MULTIPOINT(17.9 66.05,18 67)", NULL},
    {"LineString(17.9 66.05,18 67)", NULL},
    {"MULTILINESTRING((17.9 66.05,18 67),(1 2,3 4))", NULL},
    {"POLYGON((17 66,18 66,18 67,17 66),(17.5 66.1,17.6 66.1,17.6 66.2,17.5 66.1))", NULL},
    {"MULTIPOLYGON(((17 66,18 66,18 67,17 66)),((1 2,3 4,5 2,1 2)))", NULL},
    {"POLYGON((17 66,18 66,18 67,17 67))", "closed"},
    {"POLYGON(17 66,18 66,18 67,17 66)", "bracket"},
    {"POLYGON((17 66,18 66,18 67,17 66)", "bracket"},
    {"POLYGON((17 66,18 66,18 67,17 66)))", "follows"},
    {"POLYGON EMPTY", "bracket"},
    {"POINT(17,66)", "two numbers"},
    {"POINT(17 north)", "two numbers"},
    {"POINT(66 170)", "degrees"},
    {"POINT(nan nan)", "two numbers"},
    {"CIRCLE(17 66)", "begins"},
    {"", "begins"},
};

static void test_wkt(void **state)
{
    struct shape shape = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wkt_cases); i++) {
        struct shape_fault fault = {""};
        enum torg_err err = shape_read_wkt(&shape, span_of_str(wkt_cases[i].wkt), &fault);

        if (wkt_cases[i].says ? err != TORG_E_INVALID || !strstr(fault.text, wkt_cases[i].says)
                              : err != TORG_OK)
            fail_msg("%s: %s: %s", wkt_cases[i].wkt, torg_err_text(err), fault.text);
    }
    shape_done(&shape);
}

static void pack_position(struct buffer *out, int64_t lon, int64_t lat)
{
    pack_array(out, 2);
    pack_int(out, lon);
    pack_int(out, lat);
}

/* A ring of count positions in a polygon, open, as nobody should publish it. */
static void pack_ring(struct buffer *out, uint32_t count)
{
    buffer_clear(out);
    pack_array(out, 2);
    pack_str(out, span_of_str("Polygon"));
    pack_array(out, 1);
    pack_array(out, count);
    for (uint32_t i = 0; i < count; i++)
        pack_position(out, 170000000 + (int64_t)i * 1000, 660000000 + (int64_t)(i % 2) * 1000);
}

/* What others have signed cannot be sent back: it is shown as it was drawn. */
static void test_listings_as_drawn(void **state)
{
    struct shape shape = {0}, point = shape_of("POINT(17 66)");
    struct buffer packed = {0};
    bool is_point;
    struct position min, max;

    (void)state;
    for (uint32_t count = 1; count <= 6; count++) {
        pack_ring(&packed, count);
        assert_ok(shape_read(&shape, buffer_span(&packed)));
        assert_int_equal(shape.paths[0].count, count < 4 ? 4 : count + 1);
        assert_memory_equal(&shape.positions[0], &shape.positions[shape.position_count - 1],
                            sizeof(shape.positions[0]));
        assert_true(touches(&point, &shape));
    }
    for (uint32_t more = 0; more < 2; more++) {
        pack_ring(&packed, SHAPE_POSITIONS_MAX + more);
        assert_err(shape_read(&shape, buffer_span(&packed)), more ? TORG_E_INVALID : TORG_OK);
        assert_err(listing_shape_box(buffer_span(&packed), &min, &max, &is_point),
                   more ? TORG_E_INVALID : TORG_OK);
    }
    pack_ring(&packed, 0);
    assert_err(shape_read(&shape, buffer_span(&packed)), TORG_E_INVALID);
    pack_ring(&packed, 5);
    for (size_t size = 0; size < packed.size; size++)
        assert_err(shape_read(&shape, span_of(packed.data, size)), TORG_E_INVALID);
    buffer_done(&packed);
    shape_done(&shape);
    shape_done(&point);
}

/* The same bytes must be a shape to both readers, or a listing is in the tree and never found. */
static void test_readers_agree(void **state)
{
    struct shape shape = {0};
    struct buffer packed = {0};
    uint64_t random = 0x5ea1;
    unsigned right = 0;

    (void)state;
    for (unsigned n = 0; n < 20000; n++) {
        struct position min, max;
        enum torg_err err;
        bool is_point;

        pack_ring(&packed, 1 + (uint32_t)test_random_below(&random, 7));
        for (unsigned i = 0; i < 2; i++)
            packed.data[test_random_below(&random, packed.size)] = (uint8_t)test_random(&random);
        err = shape_read(&shape, buffer_span(&packed));
        assert_err(listing_shape_box(buffer_span(&packed), &min, &max, &is_point), err);
        if (err)
            continue;
        right++;
        assert_memory_equal(&shape.min, &min, sizeof(min));
        assert_memory_equal(&shape.max, &max, sizeof(max));
    }
    assert_true(right > 1000);
    buffer_done(&packed);
    shape_done(&shape);
}

/* A message that does not say where sends people searching through ten thousand positions. */
static void test_validity(void **state)
{
    struct shape bow = shape_of("POLYGON((17 66,18 67,18 66,17 67,17 66))");
    struct shape outside = shape_of("POLYGON((17 66,18 66,18 67,17 66),(1 1,2 1,2 2,1 1))");
    struct shape touching =
        shape_of("POLYGON((17 66,18 66,18 67,17.5 67,17.7 66.5,17.3 66.5,17.5 67,17 67,17 66))");
    struct shape line = shape_of("LINESTRING(17 66,18 67,18 66,17 67)");
    struct shape_region *region;
    struct shape_fault fault = {""};

    (void)state;
    assert_err(shape_check(&bow, &fault), TORG_E_INVALID);
    assert_non_null(strstr(fault.text, "Self-intersection at longitude 17.5000000, "
                                       "latitude 66.5000000"));
    assert_err(shape_region_new(&bow, &region, &fault), TORG_E_INVALID);
    assert_err(shape_check(&outside, &fault), TORG_E_INVALID);
    assert_non_null(strstr(fault.text, "Hole lies outside shell"));
    assert_ok(shape_check(&touching, &fault));
    assert_ok(shape_check(&line, &fault));
    shape_done(&bow);
    shape_done(&outside);
    shape_done(&touching);
    shape_done(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_touches_agrees_with_brute_force),
        cmocka_unit_test(test_boxes_agree_with_brute_force),
        cmocka_unit_test(test_what_boxes_touch),
        cmocka_unit_test(test_boxes_between_units),
        cmocka_unit_test(test_antimeridian),
        cmocka_unit_test(test_distance_agrees_with_sampling),
        cmocka_unit_test(test_distance_at_its_worst),
        cmocka_unit_test(test_distance_by_hand),
        cmocka_unit_test(test_geojson),
        cmocka_unit_test(test_wkt),
        cmocka_unit_test(test_listings_as_drawn),
        cmocka_unit_test(test_readers_agree),
        cmocka_unit_test(test_validity),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
