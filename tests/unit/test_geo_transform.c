/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <math.h>

#include "index/geo_transform.h"

/* A wrong axis order or zone moves every imported listing; nobody measures it later. */
static void test_transforms(void **state)
{
    static const struct {
        enum geo_crs crs;
        double first, second, lon_deg, lat_deg, tolerance_deg;
    } cases[] = {
        {GEO_CRS84, 20.2630, 63.8258, 20.2630, 63.8258, 0},
        {GEO_EPSG_4326, 63.8258, 20.2630, 20.2630, 63.8258, 0},
        {GEO_EPSG_3006, 7088280.7982, 758803.4353, 20.2630, 63.8258, 2e-9},
        {GEO_EPSG_25833, 758803.4353, 7088280.7982, 20.2630, 63.8258, 2e-9},
        {GEO_EPSG_3857, 2255666.8419, 9305665.2550, 20.2630, 63.8258, 2e-9},
        /* Lantmateriet's control point for RT 90: 67 5 26.452769, 21 2 5.101575. */
        {GEO_RT90, 7453389.762, 1727060.905, 21.0347504375, 67.0906813247, 2e-9},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct geo_transform *transform;
        struct geo_point point;
        double first, second;

        assert_ok(geo_transform_new(cases[i].crs, &transform));
        assert_ok(geo_transform_point(transform, cases[i].first, cases[i].second, &point));
        assert_near(point.lon_deg, cases[i].lon_deg, cases[i].tolerance_deg);
        assert_near(point.lat_deg, cases[i].lat_deg, cases[i].tolerance_deg);
        assert_ok(geo_transform_back(transform, point, &first, &second));
        assert_near(first, cases[i].first, 1e-5);
        assert_near(second, cases[i].second, 1e-5);
        /* The other order of axes is outside, wherever the two differ enough to tell. */
        assert_err(geo_transform_point(transform, 1e300, cases[i].second, &point), TORG_E_INVALID);
        assert_err(geo_transform_point(transform, cases[i].first, NAN, &point), TORG_E_INVALID);
        if (cases[i].crs == GEO_EPSG_3006 || cases[i].crs == GEO_RT90)
            assert_err(geo_transform_point(transform, cases[i].second, cases[i].first, &point),
                       TORG_E_INVALID);
        geo_transform_free(transform);
    }
}

/* A real open file said SWEREF 99 TM and held RT 90: that must not pass. */
static void test_rt90_is_not_sweref(void **state)
{
    struct geo_transform *sweref, *rt90;
    struct geo_point point;

    (void)state;
    assert_ok(geo_transform_new(GEO_EPSG_3006, &sweref));
    assert_ok(geo_transform_new(GEO_RT90, &rt90));
    assert_err(geo_transform_point(sweref, 7094000, 1721000, &point), TORG_E_INVALID);
    assert_ok(geo_transform_point(rt90, 7094000, 1721000, &point));
    assert_true(point.lat_deg > 63.7 && point.lat_deg < 64.1);
    assert_true(point.lon_deg > 20.0 && point.lon_deg < 20.6);
    assert_err(geo_transform_point(rt90, 7088280, 758803, &point), TORG_E_INVALID);
    geo_transform_free(sweref);
    geo_transform_free(rt90);
}

/* Listings lie outside Sweden, too: an answer in SWEREF 99 TM must not lose or move them. */
static void test_wide_agrees_with_narrow(void **state)
{
    struct geo_transform *sweref, *utm;
    double a[2], b[2];

    (void)state;
    assert_ok(geo_transform_new(GEO_EPSG_3006, &sweref));
    assert_ok(geo_transform_new(GEO_EPSG_25833, &utm));
    for (double lat = 55; lat <= 69; lat += 0.7) {
        for (double lon = 10.1; lon <= 24; lon += 0.9) {
            struct geo_point point = {lon, lat};

            assert_ok(geo_transform_back(sweref, point, &a[0], &a[1]));
            assert_ok(geo_transform_back_wide(sweref, point, &b[0], &b[1]));
            assert_near(a[0], b[0], 0);
            assert_near(a[1], b[1], 0);
            assert_ok(geo_transform_back(utm, point, &b[0], &b[1]));
            assert_near(a[0], b[1], 0); /* the same projection, the other order of axes */
            assert_near(a[1], b[0], 0);
        }
    }
    /* Vinje in Norway: outside 3006's own area. */
    assert_err(geo_transform_back(sweref, (struct geo_point){7.9, 59.6}, &a[0], &a[1]),
               TORG_E_INVALID);
    assert_ok(geo_transform_back_wide(sweref, (struct geo_point){7.9, 59.6}, &a[0], &a[1]));
    assert_ok(geo_transform_back(utm, (struct geo_point){7.9, 59.6}, &b[0], &b[1]));
    assert_near(a[0], b[1], 0);
    assert_err(geo_transform_back_wide(sweref, (struct geo_point){-150, 0}, &a[0], &a[1]),
               TORG_E_INVALID);
    geo_transform_free(sweref);
    geo_transform_free(utm);
}

static bool box_holds(const struct geo_box *box, struct geo_point point)
{
    return point.lon_deg >= box->west_deg && point.lon_deg <= box->east_deg &&
           point.lat_deg >= box->south_deg && point.lat_deg <= box->north_deg;
}

/* Two corners lose what lies beyond a bent edge: a map's window would miss its rim. */
static void test_box_holds_its_points(void **state)
{
    static const enum geo_crs systems[] = {GEO_CRS84, GEO_EPSG_4326, GEO_EPSG_3006, GEO_EPSG_25833,
                                           GEO_EPSG_3857};
    static const double corners[][4] = {
        {10.5, 55.1, 24, 69}, {15, 60, 15.001, 69}, {12, 65, 24, 65.0001}, {20, 63.8, 20.1, 63.9}};

    (void)state;
    for (size_t s = 0; s < ARRAY_SIZE(systems); s++) {
        struct geo_transform *transform;

        assert_ok(geo_transform_new(systems[s], &transform));
        for (size_t c = 0; c < ARRAY_SIZE(corners); c++) {
            struct geo_point min = {corners[c][0], corners[c][1]}, point;
            struct geo_point max = {corners[c][2], corners[c][3]};
            struct geo_box box;
            double n[4], a[2], b[2];

            assert_ok(geo_transform_back_wide(transform, min, &a[0], &a[1]));
            assert_ok(geo_transform_back_wide(transform, max, &b[0], &b[1]));
            for (size_t i = 0; i < 2; i++) {
                n[i] = fmin(a[i], b[i]);
                n[2 + i] = fmax(a[i], b[i]);
            }
            assert_ok(geo_transform_box(transform, n, &box));
            for (int i = 0; i <= 300; i++) {
                double first = n[0] + (n[2] - n[0]) * i / 300;

                for (int j = 0; j <= 300; j += i % 300 ? 300 : 1) {
                    double second = n[1] + (n[3] - n[1]) * j / 300;

                    if (geo_transform_point(transform, first, second, &point) == TORG_OK)
                        assert_true(box_holds(&box, point));
                }
            }
            assert_true(box.east_deg - box.west_deg <
                        2.2 * (max.lon_deg - min.lon_deg) + 2 /* not the whole earth */);
        }
        geo_transform_free(transform);
    }
}

static void test_box_far_away(void **state)
{
    static const double far[] = {5e8, 5e8, 6e8, 6e8}, all[] = {-1e12, -1e12, 1e12, 1e12};
    static const double wrong[] = {10, 10, 9, 11}, nan_box[] = {NAN, 0, 1, 1};
    static const double over[] = {179, 10, -179, 11}, origin[] = {0, 0, 1, 1};
    struct geo_transform *transform;
    struct geo_box box;

    (void)state;
    for (enum geo_crs crs = GEO_CRS84; crs <= GEO_EPSG_3857; crs++) {
        assert_ok(geo_transform_new(crs, &transform));
        assert_err(geo_transform_box(transform, far, &box), TORG_E_NOT_FOUND);
        assert_err(geo_transform_box(transform, nan_box, &box), TORG_E_INVALID);
        assert_ok(geo_transform_box(transform, all, &box));
        assert_near(box.west_deg, -180, 1e-6);
        assert_near(box.east_deg, 180, 1e-6);
        assert_near(box.south_deg, -90, 0);
        assert_near(box.north_deg, 90, 0);
        assert_ok(geo_transform_box(transform, origin, &box));
        assert_true(geo_box_valid(&box));
        assert_err(geo_transform_box(transform, wrong, &box),
                   crs == GEO_CRS84 ? TORG_OK : TORG_E_INVALID);
        if (crs == GEO_CRS84) {
            assert_ok(geo_transform_box(transform, over, &box));
            assert_near(box.west_deg, 179, 0);
            assert_near(box.east_deg, -179, 0);
        }
        geo_transform_free(transform);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transforms),
        cmocka_unit_test(test_rt90_is_not_sweref),
        cmocka_unit_test(test_wide_agrees_with_narrow),
        cmocka_unit_test(test_box_holds_its_points),
        cmocka_unit_test(test_box_far_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
