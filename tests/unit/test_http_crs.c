/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <string.h>

#include "daemon/http_crs.h"

/* A position in the wrong order of axes looks right in no map, and is found there too late. */
static void assert_feature(enum geo_crs crs, const char *geometry, const char *expected)
{
    struct buffer feature = {0}, wanted = {0}, got = {0};
    struct geo_transform *transform;

    buffer_printf(&feature,
                  "{\"type\":\"Feature\",\"id\":\"a\",\"geometry\":%s,\"properties\":{"
                  "\"geometry\":{\"coordinates\":[1,2]}}}",
                  geometry);
    buffer_printf(&wanted,
                  "{\"type\":\"Feature\",\"id\":\"a\",\"geometry\":%s,\"properties\":{"
                  "\"geometry\":{\"coordinates\":[1,2]}}}",
                  expected);
    buffer_put_u8(&wanted, 0);
    assert_ok(geo_transform_new(crs, &transform));
    assert_ok(http_crs_put_feature(transform, crs, buffer_span(&feature), &got));
    buffer_put_u8(&got, 0);
    assert_string_equal((const char *)got.data, (const char *)wanted.data);
    geo_transform_free(transform);
    buffer_done(&feature);
    buffer_done(&wanted);
    buffer_done(&got);
}

#define POINT "{\"type\":\"Point\",\"coordinates\":[20.263,63.8258]}"
#define POINT_OF(text) "{\"type\":\"Point\",\"coordinates\":[" text "]}"

static void test_known_point(void **state)
{
    (void)state;
    assert_feature(GEO_CRS84, POINT, POINT);
    assert_feature(GEO_EPSG_4326, POINT, POINT_OF("63.8258,20.263"));
    assert_feature(GEO_EPSG_3006, POINT, POINT_OF("7088280.7982,758803.4353"));
    assert_feature(GEO_EPSG_25833, POINT, POINT_OF("758803.4353,7088280.7982"));
    assert_feature(GEO_EPSG_3857, POINT, POINT_OF("2255666.8419,9305665.255"));
}

/* What a text says is no geometry, whatever it looks like. */
static void test_geometries_of_listings(void **state)
{
    static const char before[] =
        "{\"geometry\":null,\"properties\":{\"name\":\"\\\"serves\\\":{\\\"coordinates\\\":[1,2]}"
        ",\\\"itinerary\\\":[\",\"itinerary\":[{\"geometry\":" POINT ",\"note\":\"]\\\"\"},"
        "{\"geometry\":" POINT "}],\"geometry\":" POINT ",\"serves\":" POINT ",\"url\":\"[3,4]\"}}";
    static const char wanted[] =
        "{\"geometry\":null,\"properties\":{\"name\":\"\\\"serves\\\":{\\\"coordinates\\\":[1,2]}"
        ",\\\"itinerary\\\":[\",\"itinerary\":[{\"geometry\":" POINT_OF(
            "63.8258,20.263") ",\"note\":\"]\\\"\"},"
                              "{\"geometry\":" POINT_OF(
                                  "63.8258,20.263") "}],\"geometry\":" POINT
                                                    ",\"serves\":" POINT_OF(
                                                        "63.8258,20.263") ",\"url\":\"[3,4]\"}}";
    struct geo_transform *transform;
    struct buffer got = {0};

    (void)state;
    assert_ok(geo_transform_new(GEO_EPSG_4326, &transform));
    assert_ok(http_crs_put_listing(transform, GEO_EPSG_4326, span_of_str(before), &got));
    buffer_put_u8(&got, 0);
    assert_string_equal((const char *)got.data, wanted);
    /* Cut anywhere it is an error, or what was cut is at its end. */
    for (size_t size = 0; size < sizeof(before) - 1; size++) {
        buffer_clear(&got);
        (void)http_crs_put_listing(transform, GEO_EPSG_4326, span_of(before, size), &got);
    }
    geo_transform_free(transform);
    buffer_done(&got);
}

static void test_every_geometry(void **state)
{
    (void)state;
    assert_feature(GEO_EPSG_4326, "null", "null");
    assert_feature(GEO_EPSG_4326, "{\"type\":\"MultiPoint\",\"coordinates\":[]}",
                   "{\"type\":\"MultiPoint\",\"coordinates\":[]}");
    assert_feature(GEO_EPSG_4326,
                   "{\"type\":\"Polygon\",\"coordinates\":[[[1,2],[3,-4.5],[5,6,70],[1,2]]]}",
                   "{\"type\":\"Polygon\",\"coordinates\":[[[2,1],[-4.5,3],[6,5,70],[2,1]]]}");
    assert_feature(GEO_EPSG_4326,
                   "{ \"type\":\"GeometryCollection\", \"note\":\"[7,8]\\\"\", \"geometries\": [ "
                   "{\"type\":\"Point\",\"coordinates\":[1 , 2]}]}",
                   "{ \"type\":\"GeometryCollection\", \"note\":\"[7,8]\\\"\", \"geometries\": [ "
                   "{\"type\":\"Point\",\"coordinates\":[2,1]}]}");
}

/* No number is better than a wrong one. */
static void test_what_a_system_cannot_hold(void **state)
{
    (void)state;
    assert_feature(GEO_EPSG_3857, POINT_OF("0,89"), "null");
    assert_feature(GEO_EPSG_3006, "{\"type\":\"LineString\",\"coordinates\":[[20,60],[-160,60]]}",
                   "null");
}

static void test_what_is_no_feature(void **state)
{
    static const char *const bad[] = {"",
                                      "{}",
                                      "{\"geometry\":{",
                                      "{\"geometry\":{\"a\":[1,",
                                      "{\"geometry\":{\"a\":[1]}}",
                                      "{\"geometry\":{\"a"};
    struct geo_transform *transform;
    struct buffer out = {0};

    (void)state;
    assert_ok(geo_transform_new(GEO_EPSG_3006, &transform));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_err(http_crs_put_feature(transform, GEO_EPSG_3006, span_of_str(bad[i]), &out),
                   TORG_E_CORRUPT);
        assert_int_equal(out.size, 0);
    }
    geo_transform_free(transform);
    buffer_done(&out);
}

static void test_names(void **state)
{
    enum geo_crs crs;

    (void)state;
    for (size_t i = 0; http_crs_at(i); i++) {
        assert_true(http_crs_find(span_of_str(http_crs_at(i)), &crs));
        assert_ptr_equal(http_crs_uri(crs), http_crs_at(i));
    }
    assert_true(http_crs_find(span_of_str("EPSG:3006"), &crs));
    assert_int_equal(crs, GEO_EPSG_3006);
    assert_false(http_crs_find(span_of_str("http://www.opengis.net/def/crs/EPSG/0/3021"), &crs));
    assert_false(http_crs_find(span_of_str(""), &crs));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_point),        cmocka_unit_test(test_geometries_of_listings),
        cmocka_unit_test(test_every_geometry),     cmocka_unit_test(test_what_a_system_cannot_hold),
        cmocka_unit_test(test_what_is_no_feature), cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
