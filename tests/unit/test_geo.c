/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/geo.h"

#include <inttypes.h>

#include "tests/support/test.h"

static double uniform(uint64_t *seed, double min, double max)
{
    return min + (max - min) * test_random_unit(seed);
}

static double wrapped_lon(double lon_deg)
{
    if (lon_deg > 180.0)
        return lon_deg - 360.0;
    return lon_deg < -180.0 ? lon_deg + 360.0 : lon_deg;
}

static double clamped_lat(double lat_deg)
{
    return fmax(fmin(lat_deg, 90.0), -90.0);
}

/* Everywhere, but poles, equator and antimeridian far more often than chance has them. */
static struct geo_point random_point(uint64_t *seed)
{
    struct geo_point point = {uniform(seed, -180, 180), uniform(seed, -90, 90)};

    switch (test_random_below(seed, 8)) {
    case 0:
        point.lat_deg = 90.0 - pow(10, uniform(seed, -9, 1));
        break;
    case 1:
        point.lat_deg = -90.0 + pow(10, uniform(seed, -9, 1));
        break;
    case 2:
        point.lat_deg = uniform(seed, -1e-3, 1e-3);
        break;
    case 3:
        point.lon_deg = wrapped_lon(180 + uniform(seed, -1e-3, 1e-3));
        break;
    case 4:
        point = (struct geo_point){uniform(seed, 15, 22), uniform(seed, 62, 68)};
        break;
    default:
        break;
    }
    if (test_random_below(seed, 64) == 0)
        point.lat_deg = test_random_below(seed, 2) ? 90 : -90;
    return point;
}

/* Around a point at any scale from a millimetre to its antipode. */
static struct geo_point random_partner(uint64_t *seed, struct geo_point point)
{
    double reach = pow(10, uniform(seed, -8, 2));

    switch (test_random_below(seed, 4)) {
    case 0:
        return random_point(seed);
    case 1: /* near the other side of the earth */
        point = (struct geo_point){wrapped_lon(point.lon_deg + 180), -point.lat_deg};
        break;
    default:
        break;
    }
    point.lon_deg = wrapped_lon(point.lon_deg + fmod(uniform(seed, -reach, reach), 180));
    point.lat_deg = clamped_lat(point.lat_deg + uniform(seed, -reach, reach));
    return point;
}

/* A bound on the wrong side hides a listing that is inside the circle. */
static void test_bounds_hold_the_geodesic(void **state)
{
    uint64_t seed = 0x9e0;

    (void)state;
    for (int i = 0; i < 800000; i++) {
        struct geo_point a = random_point(&seed), b = random_partner(&seed, a);
        struct geo_centre centre = geo_centre_of(a);
        double lower_m, upper_m, exact_m = geo_distance_m(a, b);

        geo_distance_bounds(&centre, b, &lower_m, &upper_m);
        if (!(lower_m <= exact_m && exact_m <= upper_m))
            fail_msg("round %d: %.9f %.9f to %.9f %.9f: %.9f <= %.9f <= %.9f", i, a.lon_deg,
                     a.lat_deg, b.lon_deg, b.lat_deg, lower_m, exact_m, upper_m);
        if (exact_m < 100000 && upper_m - lower_m > 0.021)
            fail_msg("round %d: %.9f m apart: %.9f to %.9f is wide", i, exact_m, lower_m, upper_m);
        if (upper_m - lower_m > 0.011 * exact_m + 1)
            fail_msg("round %d: %.9f m apart: %.9f to %.9f is wide", i, exact_m, lower_m, upper_m);
    }
}

static struct position position_of(struct geo_point point)
{
    return (struct position){(int32_t)lround(point.lon_deg * 1e7),
                             (int32_t)lround(point.lat_deg * 1e7)};
}

static void random_box(uint64_t *seed, struct geo_point near, struct position *ret_min,
                       struct position *ret_max)
{
    double width = pow(10, uniform(seed, -7, 2.55)), height = pow(10, uniform(seed, -7, 2.25));
    struct position corner = position_of(random_partner(seed, near));
    double east = fmin(corner.lon_e7 + width * 1e7, 1.8e9);
    double north = fmin(corner.lat_e7 + height * 1e7, 9e8);

    *ret_min = corner;
    *ret_max = (struct position){(int32_t)east, (int32_t)north};
}

static int32_t pick_between(uint64_t *seed, int32_t min, int32_t max)
{
    switch (test_random_below(seed, 4)) {
    case 0:
        return min;
    case 1:
        return max;
    default:
        return (int32_t)(min + (int64_t)(test_random_unit(seed) * ((double)max - min)));
    }
}

/* A box wrongly pruned, or wrongly taken as inside, is a wrong answer by a whole subtree. */
static void test_box_bounds_hold_every_point(void **state)
{
    uint64_t seed = 0xb0c5;

    (void)state;
    for (int i = 0; i < 60000; i++) {
        struct geo_point a = random_point(&seed);
        struct geo_centre centre = geo_centre_of(a);
        struct position min, max;
        double lower_m, upper_m;

        random_box(&seed, a, &min, &max);
        lower_m = geo_box_lower_m(&centre, min, max);
        upper_m = geo_box_upper_m(&centre, min, max);
        for (int j = 0; j < 12; j++) {
            struct position in = {pick_between(&seed, min.lon_e7, max.lon_e7),
                                  pick_between(&seed, min.lat_e7, max.lat_e7)};
            double exact_m = geo_distance_m(a, geo_point_of(in));

            if (!(lower_m <= exact_m && exact_m <= upper_m))
                fail_msg("box %d: from %.9f %.9f to %d %d in %d %d, %d %d: %.9f <= %.9f <= %.9f", i,
                         a.lon_deg, a.lat_deg, in.lon_e7, in.lat_e7, min.lon_e7, min.lat_e7,
                         max.lon_e7, max.lat_e7, lower_m, exact_m, upper_m);
        }
    }
}

/* Bounds that hold but say nothing would make every query read the whole tree. */
static void test_box_bounds_are_close(void **state)
{
    uint64_t seed = 0xc105e;

    (void)state;
    for (int i = 0; i < 2000; i++) {
        struct geo_point a = random_point(&seed);
        struct geo_centre centre = geo_centre_of(a);
        struct position min, max;
        double lower_m, upper_m, nearest_m = INFINITY, farthest_m = 0;

        random_box(&seed, a, &min, &max);
        lower_m = geo_box_lower_m(&centre, min, max);
        upper_m = geo_box_upper_m(&centre, min, max);
        for (int j = 0; j < 81; j++) { /* the border, where both extremes are as a rule */
            double part = (j % 20) / 20.0;
            double lon = min.lon_e7 + part * ((double)max.lon_e7 - min.lon_e7);
            double lat = min.lat_e7 + part * ((double)max.lat_e7 - min.lat_e7);
            struct geo_point edges[] = {{lon / 1e7, min.lat_e7 / 1e7},
                                        {lon / 1e7, max.lat_e7 / 1e7},
                                        {min.lon_e7 / 1e7, lat / 1e7},
                                        {max.lon_e7 / 1e7, lat / 1e7}};
            double exact_m = geo_distance_m(a, edges[j / 20 % 4]);

            nearest_m = fmin(nearest_m, exact_m);
            farthest_m = fmax(farthest_m, exact_m);
        }
        assert_true(upper_m <= 20110000);
        if ((int64_t)max.lon_e7 - min.lon_e7 < 10000000 && max.lat_e7 - min.lat_e7 < 10000000) {
            double size_m =
                geo_distance_m(geo_point_of(min), geo_point_of(max)) + 0.003 * farthest_m;

            /* Close to the other side of the earth everything is far, and a bound need not be
             * close. */
            if (lower_m > 0 && nearest_m < 15000000 &&
                nearest_m - lower_m > 0.011 * nearest_m + size_m / 4 + 3)
                fail_msg("box %d: nearest %.3f, bound %.3f", i, nearest_m, lower_m);
            if (farthest_m < 15000000 && upper_m - farthest_m > 0.011 * farthest_m + size_m / 4 + 3)
                fail_msg("box %d: farthest %.3f, bound %.3f", i, farthest_m, upper_m);
        }
    }
}

static bool box_has(const struct geo_box *box, struct position at)
{
    struct geo_point point = geo_point_of(at);
    double lon[2] = {point.lon_deg, fabs(point.lon_deg) == 180 ? -point.lon_deg : point.lon_deg};
    bool in = false;

    if (point.lat_deg < box->south_deg || point.lat_deg > box->north_deg)
        return false;
    for (int i = 0; i < 2; i++) {
        if (box->west_deg <= box->east_deg)
            in |= lon[i] >= box->west_deg && lon[i] <= box->east_deg;
        else
            in |= lon[i] >= box->west_deg || lon[i] <= box->east_deg;
    }
    return in;
}

/* In or out must be true, and the border narrow, or every listing costs a geodesic. */
static void test_circle_side_is_true(void **state)
{
    uint64_t seed = 0xc1de, border = 0, rounds = 500000;

    (void)state;
    for (uint64_t i = 0; i < rounds; i++) {
        struct geo_point a = random_point(&seed);
        struct position b = position_of(random_partner(&seed, a));
        double exact_m = geo_distance_m(a, geo_point_of(b)), radius_m = exact_m;
        struct geo_circle circle;
        enum geo_side side;

        switch (test_random_below(&seed, 3)) {
        case 0:
            radius_m *= uniform(&seed, 0.9, 1.1);
            break;
        case 1: /* a hair's breadth */
            radius_m = fmax(radius_m + uniform(&seed, -3e-6, 3e-6), 0);
            break;
        default:
            break;
        }
        circle = geo_circle_of(a, radius_m);
        side = geo_circle_side(&circle, b);
        if ((side == GEO_IN && exact_m > radius_m) || (side == GEO_OUT && exact_m <= radius_m))
            fail_msg("round %" PRIu64 ": %.9f %.9f to %d %d: side %d, %.9f of %.9f", i, a.lon_deg,
                     a.lat_deg, b.lon_e7, b.lat_e7, (int)side, exact_m, radius_m);
        if (side == GEO_BORDER && exact_m < 100000 && fabs(exact_m - radius_m) > 0.021)
            fail_msg("round %" PRIu64 ": %.9f of %.9f is no border", i, exact_m, radius_m);
        border += side == GEO_BORDER;
    }
    assert_true(border < rounds);
}

/* One unit wrong at an edge, and a listing on a tile's border is in both tiles or in none. */
static void test_box_window_is_exact(void **state)
{
    uint64_t seed = 0xb0;

    (void)state;
    for (int i = 0; i < 200000; i++) {
        struct position at = {pick_between(&seed, -GEO_LON_E7_MAX, GEO_LON_E7_MAX),
                              pick_between(&seed, -GEO_LAT_E7_MAX, GEO_LAT_E7_MAX)};
        struct geo_point point = geo_point_of(at);
        struct geo_box box = {point.lon_deg, point.lat_deg, point.lon_deg, point.lat_deg};
        double *edges[] = {&box.west_deg, &box.south_deg, &box.east_deg, &box.north_deg};
        struct geo_window window;

        for (int j = 0; j < 4; j++) {
            switch (test_random_below(&seed, 5)) {
            case 0:
                *edges[j] = nextafter(*edges[j], 1000);
                break;
            case 1:
                *edges[j] = nextafter(*edges[j], -1000);
                break;
            case 2:
                *edges[j] += uniform(&seed, -1e-6, 1e-6);
                break;
            case 3:
                *edges[j] = uniform(&seed, j % 2 ? -90 : -180, j % 2 ? 90 : 180);
                break;
            default:
                break;
            }
        }
        if (!geo_box_valid(&box))
            continue;
        window = geo_window_of_box(&box);
        if (geo_window_overlaps(&window, at, at) != box_has(&box, at))
            fail_msg("round %d: %d %d in %.17g %.17g %.17g %.17g", i, at.lon_e7, at.lat_e7,
                     box.west_deg, box.south_deg, box.east_deg, box.north_deg);
        if (geo_window_holds(&window, at, at))
            assert_true(geo_window_overlaps(&window, at, at));
    }
}

/* The window goes before every other test: a listing outside is never looked at. */
static void test_circle_window_holds_the_circle(void **state)
{
    uint64_t seed = 0xc1c;
    uint64_t inside = 0, window_only = 0;

    (void)state;
    for (int i = 0; i < 300000; i++) {
        struct geo_point a = random_point(&seed);
        struct position b = position_of(random_partner(&seed, a));
        double exact_m = geo_distance_m(a, geo_point_of(b));
        double radius_m = exact_m * (test_random_below(&seed, 2) ? 1 : uniform(&seed, 0.5, 2));
        struct geo_window window;

        if (!geo_position_valid(b))
            continue;
        window = geo_window_of_circle(a, radius_m);
        if (exact_m <= radius_m && !geo_window_overlaps(&window, b, b))
            fail_msg("round %d: %.9f %.9f, %.6f m to %d %d", i, a.lon_deg, a.lat_deg, radius_m,
                     b.lon_e7, b.lat_e7);
        if (radius_m < 1e6) {
            inside += exact_m <= radius_m;
            window_only += exact_m > radius_m && geo_window_overlaps(&window, b, b);
        }
    }
    assert_true(window_only < inside / 2); /* It is worth having. */
}

static void test_validity(void **state)
{
    struct geo_box box = {170, -10, -170, 10};

    (void)state;
    assert_true(geo_point_valid((struct geo_point){180, -90}));
    assert_false(geo_point_valid((struct geo_point){180.0000001, 0}));
    assert_false(geo_point_valid((struct geo_point){0, NAN}));
    assert_false(geo_point_valid((struct geo_point){-INFINITY, 0}));
    assert_true(geo_box_valid(&box));
    box.south_deg = 11;
    assert_false(geo_box_valid(&box));
}

static void test_known_distances(void **state)
{
    (void)state;
    assert_near(geo_distance_m((struct geo_point){0, -90}, (struct geo_point){77, 90}),
                20003931.4586, 1e-3);
    assert_near(geo_distance_m((struct geo_point){0, 0}, (struct geo_point){1, 0}), 111319.4908,
                1e-3);
    assert_near(geo_distance_m((struct geo_point){180, 64}, (struct geo_point){-180, 64}), 0, 0);
    /* Umea to Arjeplog. */
    assert_near(
        geo_distance_m((struct geo_point){20.2630, 63.8258}, (struct geo_point){17.8896, 66.0517}),
        272317.9125, 1e-3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds_hold_the_geodesic),
        cmocka_unit_test(test_box_bounds_hold_every_point),
        cmocka_unit_test(test_box_bounds_are_close),
        cmocka_unit_test(test_circle_side_is_true),
        cmocka_unit_test(test_box_window_is_exact),
        cmocka_unit_test(test_circle_window_holds_the_circle),
        cmocka_unit_test(test_validity),
        cmocka_unit_test(test_known_distances),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
