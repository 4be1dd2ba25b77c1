/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <stdlib.h>

#include "daemon/http_params.h"
#include "index/aggregate.h"

/*
 * A parameter that is taken for something else gives an answer that looks right
 * and is not. So everything that is not understood must be refused, by name.
 */
#define ALL ((UINT64_C(1) << HTTP_PARAM_COUNT) - 1)
#define LISTS (HTTP_PARAMS_FILTER | HTTP_PARAMS_PAGE)
#define FEATURES (HTTP_FORMAT_GEOJSON | HTTP_FORMAT_CSV)

struct reading {
    struct http_query pairs;
    struct http_params params;
    struct problems problems;
};

static int set_up(void **state)
{
    *state = calloc(1, sizeof(struct reading));
    assert_non_null(*state);
    return 0;
}

static int tear_down(void **state)
{
    http_params_done(&((struct reading *)*state)->params);
    free(*state);
    return 0;
}

static enum torg_err read_with(struct reading *r, const char *query, uint64_t allowed, bool form)
{
    r->problems.count = 0;
    http_params_done(&r->params);
    assert_ok(http_request_query_parse(span_of_str(query), &r->pairs));
    return http_params_read(&r->pairs, allowed, FEATURES, form, &r->params, &r->problems);
}

static struct http_params *read_good(struct reading *r, const char *query)
{
    if (read_with(r, query, ALL, false))
        fail_msg("%s: %s %s", query, r->problems.items[0].path, r->problems.items[0].text);
    return &r->params;
}

static void assert_refused(struct reading *r, const char *query, const char *path)
{
    if (read_with(r, query, ALL, false) != TORG_E_INVALID)
        fail_msg("accepted: %s", query);
    assert_int_equal(r->problems.count, 1);
    assert_string_equal(r->problems.items[0].path, path);
    assert_true(r->problems.items[0].text[0]);
}

static void assert_refused_with(struct reading *r, const char *query, const char *text)
{
    assert_refused(r, query, "near");
    if (!strstr(r->problems.items[0].text, text))
        fail_msg("%s: %s", query, r->problems.items[0].text);
}

static void assert_span(struct span got, const char *want)
{
    if (!span_equal(got, span_of_str(want)))
        fail_msg("\"%.*s\", expected \"%s\"", (int)got.size, (const char *)got.data, want);
}

static void test_nothing_asked(void **state)
{
    struct http_params *p = read_good(*state, "");

    assert_int_equal(p->given, 0);
    assert_int_equal(p->query.limit, HTTP_LIMIT_DEFAULT);
    assert_true(isinf(p->query.radius_m));
    assert_false(p->query.has_near || p->query.has_box || p->query.has_datetime || p->never);
}

static void test_place(void **state)
{
    struct http_params *p = read_good(*state, "near=20.26,63.83&radius=2.5e4");

    assert_true(p->query.has_near);
    assert_near(p->query.near.lon_deg, 20.26, 0);
    assert_near(p->query.near.lat_deg, 63.83, 0);
    assert_near(p->query.radius_m, 25000, 0);
    p = read_good(*state, "bbox=17,63,-179.5,64.25");
    assert_near(p->query.box.west_deg, 17, 0);
    assert_near(p->query.box.east_deg, -179.5, 0);       /* over the antimeridian */
    p = read_good(*state, "bbox=17,63,-100,18,64,5000"); /* with heights */
    assert_near(p->query.box.east_deg, 18, 0);
    assert_near(p->query.box.north_deg, 64, 0);
    assert_refused(*state, "near=20.26", "near");
    assert_refused(*state, "near=20.26,63.83,5", "near");
    assert_refused(*state, "near=20.26,91", "near");
    assert_refused(*state, "near=181,0", "near");
    assert_refused(*state, "near=nan,0", "near");
    assert_refused(*state, "near=,", "near");
    assert_refused(*state, "near=20,26,63,83", "near"); /* decimal commas */
    assert_refused(*state, "near=1,1&radius=-1", "radius");
    assert_refused(*state, "near=1,1&q=a&order=price", "order");
    assert_refused(*state, "near=1,1&order=rank", "order");
    assert_refused(*state, "openAt=2026-11-21", "openAt");
    assert_refused(*state, "openAt=2026-11-21T09:00:00", "openAt");
    assert_refused(*state, "openAt=2200-01-01T00:00:00Z", "openAt");
    assert_refused(*state, "openAt=9999-12-31T23:59:59Z", "openAt");
    assert_refused(*state, "reaches=20.26", "reaches");
    assert_refused(*state, "reaches=20.26,91", "reaches");
    assert_refused(*state, "reaches=63.83,20.26", "reaches"); /* latitude first */
    assert_refused(*state, "reaches=20.26,63.83,-1", "reaches");
    assert_refused(*state, "reaches=20.26,63.83,100001", "reaches");
    assert_refused(*state, "reaches=20.26,63.83,1,1", "reaches");
    assert_refused(*state, "near=1,1&radius=20004001", "radius");
    assert_refused(*state, "near=1,1&radius=inf", "radius");
    assert_refused(*state, "near=1,1&radius=10km", "radius");
    assert_refused(*state, "radius=1000", "radius"); /* of what? */
    assert_refused(*state, "bbox=1,2,3", "bbox");
    assert_refused(*state, "bbox=1,2,3,4,5", "bbox");
    assert_refused(*state, "bbox=17,64,18,63", "bbox"); /* south above north */
    read_good(*state, "bbox=17,63,5,18,64,5");
    assert_refused(*state, "bbox=17,63,5.5,18,64,5", "bbox"); /* heights upside down */
    assert_refused(*state, "bbox=17,63,18,64,0,1", "bbox");   /* heights at the end */
    assert_refused(*state, "near=1,1&near=2,2", "near");
}

static void test_intersects(void **state)
{
    assert_non_null(
        read_good(*state, "intersects=POLYGON((17+65,18+65,18+66,17+65))")->query.region);
    assert_non_null(
        read_good(*state, "intersects={\"type\":\"Point\",\"coordinates\":[17,65]}")->query.region);
    assert_null(read_good(*state, "bbox=1,2,3,4")->query.region);
    assert_refused(*state, "intersects=POLYGON((17+65,18+65,18+66))", "intersects");
    assert_refused(*state, "intersects=POLYGON((17+66,18+67,18+66,17+67,17+66))", "intersects");
    assert_refused(*state, "intersects={\"type\":\"Point\"", "intersects");
    assert_refused(*state, "intersects={\"type\":\"Point\"}", "intersects");
    assert_refused(*state, "intersects=POINT(65+17)", "intersects"); /* latitude first */
    assert_refused(*state, "intersects=17,65,18,66", "intersects");
    assert_refused(*state, "intersects=POINT(1+2)&intersects=POINT(1+2)", "intersects");
}

/* A map gives latitude first: the search would answer, and find nothing near. */
static void test_a_swapped_place_is_recognised(void **state)
{
    assert_refused_with(*state, "near=63.83,20.26", "did you mean 20.26,63.83?");
    assert_refused_with(*state, "near=55.6,12.99", "latitude before longitude");
    assert_refused_with(*state, "near=758803,7088280", "SWEREF 99 TM");
    assert_refused_with(*state, "near=7088280,758803", "SWEREF 99 TM");
    assert_refused_with(*state, "near=1e300,5", "longitude must be");
    /* What lies elsewhere may be meant. */
    read_good(*state, "near=53.9,20.26");
    read_good(*state, "near=63.83,32.1");
    read_good(*state, "near=-63.83,20.26");
    read_good(*state, "bbox=60,18,65,22");
}

static void test_themes(void **state)
{
    struct http_params *p =
        read_good(*state, "theme=food%2Fcafe&theme=nature/fishing,nature/hunting");

    assert_int_equal(p->query.group_count, 2);
    assert_int_equal(p->query.groups[0].count, 1);
    assert_span(p->query.groups[0].slugs[0], "food/cafe");
    assert_int_equal(p->query.groups[1].count, 2);
    assert_span(p->query.groups[1].slugs[1], "nature/hunting");
    assert_refused(*state, "theme=Food", "theme");
    assert_refused(*state, "theme=food,", "theme");
    assert_refused(*state, "theme=a,b,c,d,e,f,g,h,i", "theme");
    assert_refused(*state,
                   "theme=a&theme=a&theme=a&theme=a&theme=a&theme=a&theme=a&theme=a&theme=a&"
                   "theme=a&theme=a&theme=a&theme=a&theme=a&theme=a&theme=a&theme=a",
                   "theme");
}

static void test_times(void **state)
{
    struct http_params *p = read_good(*state, "datetime=2026-11-21T09:00:00Z");
    const int64_t nine = 1795251600000;

    assert_int_equal(p->query.from_ms, nine);
    assert_int_equal(p->query.through_ms, nine);
    p = read_good(*state, "datetime=2026-11-21T10:00:00%2B01:00/..");
    assert_int_equal(p->query.from_ms, nine);
    assert_int_equal(p->query.through_ms, INT64_MAX);
    p = read_good(*state, "datetime=/2026-11-21T09:00:00Z");
    assert_int_equal(p->query.from_ms, INT64_MIN);
    assert_int_equal(p->query.through_ms, nine);
    p = read_good(*state, "datetime=2026-11-21");
    assert_int_equal(p->query.from_ms, nine - 9 * 3600 * 1000);
    assert_int_equal(p->query.through_ms, nine + 15 * 3600 * 1000 - 1);
    /* GDAL sends the ends of an interval apart. */
    p = read_good(*state, "datetime=2026-11-21T09:00:00Z/..&datetime=../2026-11-22T09:00:00Z");
    assert_int_equal(p->query.from_ms, nine);
    assert_int_equal(p->query.through_ms, nine + 24 * 3600 * 1000);
    assert_false(p->never);
    p = read_good(*state, "datetime=2026-11-21&datetime=2026-11-23");
    assert_true(p->never);
    assert_refused(*state, "datetime=2026-11-23/2026-11-21", "datetime");
    assert_refused(*state, "datetime=yesterday", "datetime");
    assert_refused(*state, "datetime=2026-11-21T09:00:00", "datetime"); /* whose clock? */
    assert_refused(*state, "datetime=2026-11-21/2026-11-22/2026-11-23", "datetime");
}

static void test_origins_and_municipalities(void **state)
{
    struct http_params *p =
        read_good(*state, "origin=0123456789abcdef&origin=FEDCBA98765432100&municipality=2480,2284&"
                          "municipality=2506");

    assert_int_equal(p->origin_count, 2);
    assert_span(p->origins[1], "FEDCBA98765432100");
    assert_int_equal(p->query.municipality_count, 3);
    assert_span(p->query.municipalities[2], "2506");
    assert_refused(*state, "origin=0123456789abcde", "origin");
    assert_refused(*state, "origin=0123456789abcdeg", "origin");
    assert_refused(*state, "municipality=248", "municipality");
    assert_refused(*state, "municipality=ume%C3%A5", "municipality");
    assert_refused(*state, "municipality=2480,", "municipality");
}

static void test_pages_and_formats(void **state)
{
    struct http_params *p = read_good(*state, "limit=10000000000000000000000&offset=40&f=csv");

    assert_int_equal(p->query.limit, QUERY_LIMIT_MAX);
    assert_int_equal(p->query.offset, 40);
    assert_int_equal(p->format, HTTP_FORMAT_CSV);
    p = read_good(*state, "limit=0&f=json&by=theme,area&lang=en&collections=needs,offers");
    assert_int_equal(p->query.limit, 0);
    assert_int_equal(p->format, HTTP_FORMAT_GEOJSON);
    assert_int_equal(p->by, AGGREGATE_BY_THEME | AGGREGATE_BY_AREA);
    assert_string_equal(p->language, "en");
    assert_int_equal(p->query.collections, 1u << COLLECTION_NEEDS | 1u << COLLECTION_OFFERS);
    assert_refused(*state, "limit=-1", "limit");
    assert_refused(*state, "limit=-99999999999999999999999", "limit");
    assert_refused(*state, "limit=ten", "limit");
    assert_refused(*state, "limit=", "limit");
    assert_refused(*state, "offset=1000001", "offset");
    assert_refused(*state, "f=html", "f");
    assert_non_null(strstr(((struct reading *)*state)->problems.items[0].text, "csv"));
    assert_refused(*state, "by=colour", "by");
    assert_refused(*state, "lang=sve", "lang");
    assert_refused(*state, "collections=members", "collections"); /* not public */
    assert_refused(*state, "cursor=AAAA", "cursor");
}

static void test_what_a_route_does_not_know(void **state)
{
    struct reading *r = *state;

    assert_err(read_with(r, "nearby=1,1&limit=x&place=Ume%C3%A5", LISTS, false), TORG_E_INVALID);
    assert_int_equal(r->problems.count, 3); /* every mistake, not the first */
    assert_string_equal(r->problems.items[0].path, "nearby");
    assert_non_null(strstr(r->problems.items[0].text, "near, radius, bbox"));
    assert_null(strstr(r->problems.items[0].text, "place"));
    assert_string_equal(r->problems.items[1].path, "limit");
    assert_string_equal(r->problems.items[2].path, "place");
    assert_err(read_with(r, "x=1", 0, false), TORG_E_INVALID);
    assert_non_null(strstr(r->problems.items[0].text, "none"));
}

/* A browser sends a form's empty fields too. */
static void test_forms(void **state)
{
    struct reading *r = *state;

    assert_ok(read_with(r, "place=&theme=&radius=&q=", ALL, true));
    assert_int_equal(r->params.given, 0);
    assert_ok(read_with(r, "place=Ume%C3%A5&radius=5000", ALL, true)); /* near comes from place */
    assert_span(r->params.place, "Umeå");
    assert_err(read_with(r, "radius=5km", ALL, true), TORG_E_INVALID);
}

static void test_a_cursor_comes_back(void **state)
{
    static const struct query_cursor cursors[] = {
        {-1, 0}, {0, 1}, {1234.567, UINT32_MAX}, {20003931.4585, 77}};
    struct buffer text = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cursors); i++) {
        struct query_cursor got;
        uint64_t binding;

        buffer_clear(&text);
        http_params_cursor_put(&text, &cursors[i], 0xfedcba9876543210 + i);
        assert_int_equal(text.size, HTTP_CURSOR_TEXT_SIZE);
        assert_ok(http_params_cursor_parse(buffer_span(&text), &got, &binding));
        assert_near(got.distance_m, cursors[i].distance_m, 0);
        assert_int_equal(got.document, cursors[i].document);
        assert_int_equal(binding, 0xfedcba9876543210 + i);
        text.data[3] = '+'; /* not of the URL's alphabet */
        assert_err(http_params_cursor_parse(buffer_span(&text), &got, &binding), TORG_E_INVALID);
    }
    buffer_done(&text);
}

/* Distances that no query can have would send the tree astray. */
static void test_hostile_cursors(void **state)
{
    static const double distances[] = {NAN, INFINITY, -INFINITY, -2, 1e300};
    struct buffer text = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(distances); i++) {
        struct query_cursor cursor = {.distance_m = distances[i]};
        uint64_t binding;

        buffer_clear(&text);
        http_params_cursor_put(&text, &cursor, 1);
        assert_err(http_params_cursor_parse(buffer_span(&text), &cursor, &binding), TORG_E_INVALID);
    }
    buffer_done(&text);
}

static uint64_t binding_of(struct reading *r, const char *query)
{
    return http_params_binding(read_good(r, query));
}

static void test_a_cursor_belongs_to_its_query(void **state)
{
    static const char *const queries[] = {
        "",
        "near=20,63",
        "near=20,63&radius=1000",
        "near=20,63.5&radius=1000",
        "bbox=1,2,3,4",
        "intersects=POINT(1 2)",
        "intersects=POINT(1 3)",
        "theme=food",
        "theme=food&theme=nature",
        "theme=food,nature",
        "theme=foodnature",
        "q=ab",
        "q=a",
        "datetime=2026-11-21",
        "datetime=2026-11-21/..",
        "origin=0123456789abcdef",
        "municipality=2480",
        "municipality=2480,2284",
        "collections=offers",
        "collections=offers,events",
    };

    for (size_t i = 0; i < ARRAY_SIZE(queries); i++) {
        for (size_t j = 0; j < i; j++) {
            if (binding_of(*state, queries[i]) == binding_of(*state, queries[j]))
                fail_msg("%s and %s", queries[i], queries[j]);
        }
    }
    /* What only cuts or writes the pages does not matter. */
    assert_int_equal(binding_of(*state, "theme=food"),
                     binding_of(*state, "limit=3&theme=food&f=csv&offset=1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_asked),
        cmocka_unit_test(test_place),
        cmocka_unit_test(test_intersects),
        cmocka_unit_test(test_a_swapped_place_is_recognised),
        cmocka_unit_test(test_themes),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_origins_and_municipalities),
        cmocka_unit_test(test_pages_and_formats),
        cmocka_unit_test(test_what_a_route_does_not_know),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_a_cursor_comes_back),
        cmocka_unit_test(test_hostile_cursors),
        cmocka_unit_test(test_a_cursor_belongs_to_its_query),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
