/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/geo_short.h"

#include <geodesic.h>
#include <inttypes.h>
#include <stdlib.h>

#include "tests/support/test.h"

/* TORG_GEO_SHORT_PAIRS asks for more; docs/index.md says what was seen of ten millions. */
#define PAIRS_DEFAULT 200000

static struct geod_geodesic wgs84;

static double uniform(uint64_t *seed, double min, double max)
{
    return min + (max - min) * test_random_unit(seed);
}

static uint64_t pairs(void)
{
    const char *text = getenv("TORG_GEO_SHORT_PAIRS");

    return text && *text ? strtoull(text, NULL, 0) : test_rounds(PAIRS_DEFAULT);
}

/* A centre and a point some way off: near the poles, along meridians and parallels, anywhere. */
struct pair {
    struct geo_point centre, point;
};

static struct geo_point random_centre(uint64_t *seed)
{
    double lon_deg = uniform(seed, -180, 180), lat_deg = uniform(seed, -90, 90);

    switch (test_random_below(seed, 10)) {
    case 0:
        lat_deg = 90 - pow(10, uniform(seed, -9, 1));
        break;
    case 1:
        lat_deg = -90 + pow(10, uniform(seed, -9, 1));
        break;
    case 2:
        lat_deg = test_random_below(seed, 2) ? 90 : -90;
        break;
    case 3:
        lat_deg = uniform(seed, -2, 2);
        break;
    case 4:
        lon_deg = test_random_below(seed, 2) ? uniform(seed, -180, -179) : uniform(seed, 179, 180);
        break;
    case 5:
        lat_deg = uniform(seed, 55, 70);
        break;
    default:
        break;
    }
    return (struct geo_point){lon_deg, lat_deg};
}

static struct pair random_pair(uint64_t *seed, double distance_m)
{
    struct pair pair = {.centre = random_centre(seed)};
    double azimuth_deg = test_random_below(seed, 3) ? uniform(seed, -180, 180)
                                                    : 90.0 * (double)test_random_below(seed, 4);

    geod_direct(&wgs84, pair.centre.lat_deg, pair.centre.lon_deg, azimuth_deg, distance_m,
                &pair.point.lat_deg, &pair.point.lon_deg, NULL);
    return pair;
}

/* A millimetre to the limit, the longest most of all, for there the error is greatest. */
static double random_distance(uint64_t *seed)
{
    if (test_random_below(seed, 2))
        return uniform(seed, 0.8, 1) * GEO_SHORT_CHORD_M_MAX;
    return pow(10, uniform(seed, -3, log10(GEO_SHORT_CHORD_M_MAX)));
}

static struct geo_point on_grid(struct geo_point point)
{
    return (struct geo_point){round(point.lon_deg * 1e7) / 1e7, round(point.lat_deg * 1e7) / 1e7};
}

/* Three times as good as it says: an error above its bound would put hits in the wrong order. */
static void test_error_is_far_below_its_bound(void **state)
{
    uint64_t seed = 0x5407, count = pairs();
    double worst_m = 0;

    (void)state;
    for (uint64_t i = 0; i < count; i++) {
        struct pair pair = random_pair(&seed, random_distance(&seed));
        struct geo_centre centre = geo_centre_of(pair.centre);
        double exact_m = geo_distance_m(pair.centre, pair.point), short_m;

        assert_true(geo_short_m(&centre, pair.point, &short_m));
        worst_m = fmax(worst_m, fabs(short_m - exact_m));
        if (!(fabs(short_m - exact_m) <= GEO_SHORT_ERROR_M / 3))
            fail_msg("pair %" PRIu64 ": %.17g %.17g to %.17g %.17g: %.9f for %.9f", i,
                     pair.centre.lon_deg, pair.centre.lat_deg, pair.point.lon_deg,
                     pair.point.lat_deg, short_m, exact_m);
    }
    print_message("%" PRIu64 " pairs, at most %.3g m\n", count, worst_m);
    assert_true(worst_m > GEO_SHORT_ERROR_M / 100); /* The hard cases were among them. */
}

static bool shows_the_same(double a_m, double b_m)
{
    return llround(a_m * 1000) == llround(b_m * 1000) && llround(a_m / 10) == llround(b_m / 10) &&
           llround(a_m / 100) == llround(b_m / 100) && llround(a_m / 1000) == llround(b_m / 1000) &&
           (a_m < 995) == (b_m < 995);
}

/* What an answer shows must not depend on how it was computed, at borders least of all. */
static void test_what_rounds_shows_the_same(void **state)
{
    uint64_t seed = 0x20d5, count = pairs(), left = 0;

    (void)state;
    for (uint64_t i = 0; i < count; i++) {
        bool at_border = test_random_below(&seed, 2);
        double distance_m = random_distance(&seed), exact_m, short_m;
        struct geo_centre centre;
        struct pair pair;

        if (at_border) /* of a millimetre, of ten metres, of a kilometre */
            distance_m = round(distance_m * 2000) / 2000 + uniform(&seed, -3e-6, 3e-6);
        if (at_border && distance_m > 1000 && test_random_below(&seed, 2))
            distance_m = round(distance_m / 5) * 5 + uniform(&seed, -1e-6, 1e-6);
        pair = random_pair(&seed, fmax(distance_m, 0));
        if (!at_border)
            pair = (struct pair){on_grid(pair.centre), on_grid(pair.point)};
        centre = geo_centre_of(pair.centre);
        exact_m = geo_distance_m(pair.centre, pair.point);
        if (!geo_short_m(&centre, pair.point, &short_m))
            continue; /* Rounded to the grid it may be a hair too far. */
        if (geo_short_rounds(short_m) && !shows_the_same(short_m, exact_m))
            fail_msg("pair %" PRIu64 ": %.17g for %.17g", i, short_m, exact_m);
        left += !at_border && exact_m > 1 && !geo_short_rounds(short_m);
    }
    assert_true(left < count / 100); /* Few need the geodesic, or it would gain nothing. */
}

/* A second copy of a listing, the other side of the antimeridian, and what is too far. */
static void test_ends(void **state)
{
    struct geo_centre centre = geo_centre_of((struct geo_point){180, 64});
    struct geo_centre pole = geo_centre_of((struct geo_point){20, 90});
    double short_m = -1;

    (void)state;
    assert_true(geo_short_m(&centre, (struct geo_point){180, 64}, &short_m));
    assert_true(short_m == 0);
    assert_true(geo_short_m(&centre, (struct geo_point){-180, 64}, &short_m));
    assert_near(short_m, 0, GEO_SHORT_ERROR_M);
    assert_true(geo_short_m(&pole, (struct geo_point){-133, 90}, &short_m));
    assert_near(short_m, 0, GEO_SHORT_ERROR_M);
    short_m = -1;
    assert_false(geo_short_m(&centre, (struct geo_point){0, -64}, &short_m));
    assert_false(geo_short_m(&centre, (struct geo_point){180, 66.25}, &short_m));
    assert_true(short_m == -1);
    assert_false(geo_short_rounds(0));
    assert_false(geo_short_rounds(12.3455));
    assert_false(geo_short_rounds(12.3455 + 0.9 * GEO_SHORT_ERROR_M));
    assert_false(geo_short_rounds(995 - 0.9 * GEO_SHORT_ERROR_M));
    assert_true(geo_short_rounds(12.34525));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_is_far_below_its_bound),
        cmocka_unit_test(test_what_rounds_shows_the_same),
        cmocka_unit_test(test_ends),
    };

    geod_init(&wgs84, 6378137.0, 1 / 298.257223563);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
