/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/http_world.h"

/* Filters and properties in the query, and the documents that say what there is to ask. */
#define BASE "/torg/v1"

static void publish(struct http_world *world, uint8_t collection, const char *name, double lon_deg,
                    const char *more)
{
    char text[500], id[FEATURE_ID_SIZE + 1];

    (void)snprintf(text, sizeof(text),
                   "{\"type\":\"Feature\",\"geometry\":{\"type\":\"Point\",\"coordinates\":[%.7f,"
                   "63.8258]},\"properties\":{\"name\":\"%s\",\"themes\":[\"food/cafe\"]%s}}",
                   lon_deg, name, more);
    http_world_publish(world, &world->own, collection, text, id);
}

static int set_up(void **state)
{
    struct http_world *world;

    http_world_setup(state);
    world = *state;
    publish(world, COLLECTION_OFFERS, "Bastu", 20.263,
            ",\"kind\":\"rent\",\"price\":{\"amount\":250,\"currency\":\"SEK\"},"
            "\"municipality\":\"2480\",\"validFrom\":\"2020-01-01T00:00:00Z\"");
    publish(world, COLLECTION_OFFERS, "Båt", 20.5,
            ",\"kind\":\"sell\",\"price\":{\"amount\":9000,\"currency\":\"SEK\"},"
            "\"municipality\":\"2284\"");
    publish(world, COLLECTION_OFFERS, "Cykel", 21,
            ",\"kind\":\"lend\",\"address\":{\"locality\":\"Umeå\"},\"municipality\":\"2480\"");
    publish(world, COLLECTION_COMPANIES, "Bageri", 20.263, ",\"municipality\":\"2480\"");
    return 0;
}

/* path below the base, "?", name=value with the value as it is meant; the body as JSON. */
static json_t *ask(struct http_world *world, int status, const char *path, const char *query)
{
    struct http_answer answer = {0};
    struct buffer line = {0};
    json_t *json;

    buffer_printf(&line, "GET " BASE "%s%s", path, query[0] ? "?" : "");
    for (const char *at = query; *at; at++) {
        if (strchr(" \"'{}[]<>|\\^%+#", *at) || (unsigned char)*at >= 0x80)
            buffer_printf(&line, "%%%02X", (unsigned char)*at);
        else
            buffer_put_u8(&line, (uint8_t)*at);
    }
    buffer_put_u8(&line, 0);
    assert_ok(line.err);
    http_client_request(world, (const char *)line.data, "", NULL, &answer);
    if (answer.status != status)
        fail_msg("%s: %d, expected %d: %.900s", (const char *)line.data, answer.status, status,
                 answer.body.size ? (const char *)answer.body.data : "");
    json = json_loadb((const char *)answer.body.data, answer.body.size, 0, NULL);
    assert_non_null(json);
    http_answer_done(&answer);
    buffer_done(&line);
    return json;
}

static void expect_matched(struct http_world *world, const char *path, const char *query,
                           json_int_t matched)
{
    json_t *json = ask(world, 200, path, query);

    if (json_integer_value(json_object_get(json, "numberMatched")) != matched ||
        (json_int_t)json_array_size(json_object_get(json, "features")) != matched)
        fail_msg("%s: %lld matched, %lld expected", query,
                 (long long)json_integer_value(json_object_get(json, "numberMatched")),
                 (long long)matched);
    json_decref(json);
}

/* The request is refused, and the one mistake is at path and says so. */
static void expect_refused(struct http_world *world, const char *path, const char *query,
                           const char *where, const char *says)
{
    json_t *json = ask(world, 400, path, query);
    const json_t *error = json_array_get(json_object_get(json, "errors"), 0);
    const char *detail = json_string_value(json_object_get(error, "detail"));

    assert_string_equal(json_string_value(json_object_get(error, "path")), where);
    if (!detail || !strstr(detail, says))
        fail_msg("%s: says \"%s\", not \"%s\"", query, detail, says);
    json_decref(json);
}

static void test_filters_narrow(void **state)
{
    static const struct {
        const char *path, *query;
        int matched;
    } cases[] = {
        {"/collections/offers/items", "filter=name = 'Bastu'", 1},
        {"/collections/offers/items", "filter=casei(name) like 'b%'", 2},
        {"/collections/offers/items", "filter=accenti(name) = 'Bat'", 1},
        {"/collections/offers/items", "filter=price.amount < 1000 or kind = 'lend'", 2},
        {"/collections/offers/items", "filter=price.amount is null", 1},
        {"/collections/offers/items", "filter=not price.amount < 1000", 1},
        {"/collections/offers/items", "filter=address.locality = 'Umeå'", 1},
        {"/collections/offers/items", "filter=municipality = '2480' and kind <> 'rent'", 1},
        {"/collections/offers/items", "filter=municipality in ('2480','2284')", 3},
        {"/collections/offers/items", "municipality=2284&filter=municipality = '2480'", 0},
        {"/collections/offers/items", "filter=s_intersects(geometry,bbox(20.2,63,20.6,64))", 2},
        {"/collections/offers/items",
         "bbox=20.4,63,22,64&filter=s_within(geom,bbox(20,63,20.6,64))", 1},
        {"/collections/offers/items", "filter=s_disjoint(geometry,bbox(20.2,63,20.6,64))", 1},
        {"/collections/offers/items",
         "filter=t_before(validFrom,date('2021-01-01')) and validFrom > date('2000-01-01')", 1},
        {"/collections/offers/items", "near=20.263,63.8258&filter=kind in ('rent','lend')", 2},
        {"/collections/offers/items", "theme=food&q=cykel&filter=kind = 'lend'", 1},
        {"/collections/offers/items",
         "filter-lang=cql2-json&filter={\"op\":\"=\",\"args\":[{\"property\":\"kind\"},\"sell\"]}",
         1},
        {"/collections/offers/items",
         "filter-crs=http://www.opengis.net/def/crs/EPSG/0/4326&filter=s_intersects(geometry,"
         "bbox(63,20.2,64,20.6))",
         2},
        {"/collections/offers/items",
         "filter-crs=http://www.opengis.net/def/crs/EPSG/0/3006&filter=s_intersects(geometry,"
         "bbox(7088000,758000,7089000,759000))",
         1},
        {"/search", "filter=municipality = '2480' and collection = 'companies'", 1},
        {"/search", "filter=kind = 'rent' or collection = 'companies'", 2},
        /* properties by their names */
        {"/collections/offers/items", "kind=rent", 1},
        {"/collections/offers/items", "kind=rent&name=Båt", 0},
        {"/collections/offers/items", "price.amount=9000&filter=kind = 'sell'", 1},
        {"/collections/offers/items", "validFrom=2019-01-01/2020-06-01", 1},
        {"/search", "name=Bageri", 1},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        expect_matched(*state, cases[i].path, cases[i].query, cases[i].matched);
}

static void test_mistakes_are_told(void **state)
{
    static const struct {
        const char *path, *query, *where, *says;
    } cases[] = {
        {"/collections/offers/items", "filter=nam = 'x'", "filter",
         "at character 1: there is no property \"nam\""},
        {"/collections/offers/items", "filter=name = ", "filter", "but the filter ends"},
        {"/collections/offers/items", "filter=name = 'x'&filter-lang=cql-text", "filter-lang",
         "must be cql2-text or cql2-json"},
        {"/collections/offers/items", "filter={\"op\":1}&filter-lang=cql2-json", "filter",
         "an operation has \"op\""},
        {"/collections/offers/items", "filter=s_within(geometry,polygon((0 0,2 2,2 0,0 2,0 0)))",
         "filter", "a geometry is not valid"},
        {"/collections/offers/items",
         "filter-crs=http://www.opengis.net/def/crs/EPSG/0/3006&filter=s_intersects(geometry,"
         "point(20 63))",
         "filter", "outside the coordinate system"},
        {"/collections/offers/items", "color=red", "color",
         "is no parameter here; allowed: near, radius"},
        {"/collections/offers/items", "color=red", "color", "; and properties: collection origin"},
        {"/collections/offers/items", "price.amount=much", "price.amount", "must be a number"},
        {"/collections/offers/items", "geometry=x", "geometry", "use bbox"},
        {"/collections/offers/items", "validFrom=now", "validFrom", "write it as"},
        {"/collections/companies/items", "kind=rent", "kind", "is no parameter here"},
        /* Nobody searches for people. */
        {"/collections/offers/items", "contact.email=a@b.se", "contact.email",
         "is no parameter here"},
        {"/collections", "kind=rent", "kind", "is no parameter here"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        expect_refused(*state, cases[i].path, cases[i].query, cases[i].where, cases[i].says);
}

/* A page goes on where the last one ended, and only under the same filter. */
static void test_pages_keep_their_filter(void **state)
{
    struct http_world *world = *state;
    json_t *json = ask(world, 200, "/collections/offers/items",
                       "limit=1&filter=municipality = '2480' and name <> 'x'&kind=lend");
    const json_t *link;
    const char *next = NULL;
    size_t i;

    assert_int_equal(json_integer_value(json_object_get(json, "numberMatched")), 1);
    json_decref(json);
    json = ask(world, 200, "/collections/offers/items", "limit=1&filter=municipality = '2480'");
    json_array_foreach(json_object_get(json, "links"), i, link)
    {
        if (strcmp(json_string_value(json_object_get(link, "rel")), "next") == 0)
            next = json_string_value(json_object_get(link, "href"));
    }
    assert_non_null(next);
    next = strstr(next, "cursor=");
    assert_non_null(next);
    {
        char query[200];
        json_t *second;

        (void)snprintf(query, sizeof(query), "limit=1&filter=municipality = '2480'&%.35s", next);
        second = ask(world, 200, "/collections/offers/items", query);
        assert_string_not_equal(json_string_value(json_object_get(
                                    json_array_get(json_object_get(json, "features"), 0), "id")),
                                json_string_value(json_object_get(
                                    json_array_get(json_object_get(second, "features"), 0), "id")));
        json_decref(second);
        (void)snprintf(query, sizeof(query), "limit=1&filter=municipality = '2284'&%.35s", next);
        expect_refused(world, "/collections/offers/items", query, "cursor",
                       "belongs to another query");
    }
    json_decref(json);
}

/* The names in the order of the answer, by pages of one, each by the link of the one before. */
static void expect_order(struct http_world *world, const char *sortby, const char *const *names)
{
    char query[600];
    size_t count = 0;
    bool more = true;

    (void)snprintf(query, sizeof(query), "limit=1&sortby=%s", sortby);
    while (more) {
        json_t *json = ask(world, 200, "/collections/offers/items", query);
        const json_t *feature = json_array_get(json_object_get(json, "features"), 0);
        const json_t *name =
            json_object_get(json_object_get(json_object_get(feature, "properties"), "name"), "sv");
        const json_t *link;
        size_t i;

        assert_int_equal(json_integer_value(json_object_get(json, "numberMatched")), 3);
        if (!names[count] || strcmp(json_string_value(name), names[count]) != 0)
            fail_msg("%s: %s is number %zu", sortby, json_string_value(name), count);
        count++;
        more = false;
        json_array_foreach(json_object_get(json, "links"), i, link)
        {
            const char *href = json_string_value(json_object_get(link, "href"));

            if (strcmp(json_string_value(json_object_get(link, "rel")), "next") != 0)
                continue;
            more = true;
            (void)snprintf(query, sizeof(query), "limit=1&sortby=%s&%s", sortby,
                           strstr(href, "cursor="));
        }
        json_decref(json);
    }
    assert_null(names[count]);
}

static void test_an_order_by_properties(void **state)
{
    static const char *const by_name[] = {"Bastu", "Båt", "Cykel", NULL};
    static const char *const by_name_down[] = {"Cykel", "Båt", "Bastu", NULL};
    static const char *const by_price_down[] = {"Båt", "Bastu", "Cykel", NULL};
    static const char *const by_two[] = {"Cykel", "Bastu", "Båt", NULL};

    expect_order(*state, "name", by_name);
    expect_order(*state, "-name", by_name_down);
    /* What has no price comes last either way. */
    expect_order(*state, "price.amount", by_name);
    expect_order(*state, "-price.amount", by_price_down);
    expect_order(*state, "-municipality,-name", by_two);
    expect_refused(*state, "/collections/offers/items", "sortby=color", "sortby",
                   "nothing to sort by");
    expect_refused(*state, "/collections/offers/items", "sortby=geometry", "sortby",
                   "nothing to sort by");
    expect_refused(*state, "/collections/offers/items", "sortby=name,,kind", "sortby",
                   "nothing to sort by");
    expect_refused(*state, "/collections/offers/items", "near=20,63&sortby=name", "sortby",
                   "near is an order of its own");
    expect_matched(*state, "/collections/offers/items",
                   "sortby=name&facets=municipality&filter=name < 'C'", 2);
}

/* The properties of the only feature, as many as there should be. */
static void expect_shown(struct http_world *world, const char *query, size_t count,
                         const char *name)
{
    json_t *json = ask(world, 200, "/collections/offers/items", query);
    const json_t *feature = json_array_get(json_object_get(json, "features"), 0);
    const json_t *properties = json_object_get(feature, "properties");

    assert_non_null(json_object_get(feature, "geometry"));
    assert_non_null(json_object_get(feature, "id"));
    assert_int_equal(json_object_size(properties), count);
    if (name)
        assert_non_null(json_object_get(properties, name));
    json_decref(json);
}

static void test_some_properties_only(void **state)
{
    expect_shown(*state, "name=Bastu&properties=name,price", 2, "price");
    expect_shown(*state, "name=Cykel&properties=price", 0, NULL);
    expect_shown(*state, "name=Cykel&properties=price&near=20,63", 1, "distance");
    expect_shown(*state, "name=Cykel&properties=themes,kind&near=20,63", 3, "themes");
    expect_refused(*state, "/collections/offers/items", "properties=name,color", "properties",
                   "\"color\" is no property here");
    expect_refused(*state, "/collections/offers/items", "properties=name&f=csv", "properties",
                   "other formats have them all");
}

static const char *member(const json_t *document, const char *property, const char *name)
{
    const json_t *properties = json_object_get(document, "properties");

    return json_string_value(json_object_get(json_object_get(properties, property), name));
}

static void test_what_there_is_to_ask(void **state)
{
    json_t *json = ask(*state, 200, "/collections/offers/queryables", "");
    json_t *english = ask(*state, 200, "/collections/offers/queryables", "lang=en");

    assert_string_equal(json_string_value(json_object_get(json, "$schema")),
                        "https://json-schema.org/draft/2020-12/schema");
    assert_string_equal(member(json, "geometry", "x-ogc-role"), "primary-geometry");
    assert_string_equal(member(json, "geometry", "format"), "geometry-any");
    assert_string_equal(member(json, "name", "type"), "string");
    assert_string_equal(member(json, "name", "title"), "Namn");
    assert_string_equal(member(english, "name", "title"), "Name");
    assert_string_equal(member(json, "price.amount", "type"), "number");
    assert_string_equal(member(json, "validFrom", "format"), "date-time");
    assert_null(member(json, "contact.email", "type"));
    assert_string_equal(member(json, "themes", "type"), "array");
    assert_true(json_is_false(json_object_get(json, "additionalProperties")));
    json_decref(json);
    json_decref(english);
    json = ask(*state, 200, "/collections/offers/schema", "");
    assert_string_equal(member(json, "id", "x-ogc-role"), "id");
    assert_string_equal(member(json, "name", "type"), "object");
    assert_string_equal(member(json, "themes", "type"), "array");
    json_decref(json);
    json = ask(*state, 404, "/collections/nothing/queryables", "");
    json_decref(json);
}

/* Every property that is named has a title in two languages: none is shown as a key. */
static void test_everything_has_a_title(void **state)
{
    json_t *all = ask(*state, 200, "/collections", "");
    const json_t *collection, *property;
    const char *key;
    size_t i;

    json_array_foreach(json_object_get(all, "collections"), i, collection)
    {
        char path[100];
        json_t *json;

        (void)snprintf(path, sizeof(path), "/collections/%s/queryables",
                       json_string_value(json_object_get(collection, "id")));
        json = ask(*state, 200, path, "lang=en");
        json_object_foreach(json_object_get(json, "properties"), key, property)
        {
            if (strcmp(json_string_value(json_object_get(property, "title")), key) == 0)
                fail_msg("%s has no title", key);
        }
        json_decref(json);
    }
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filters_narrow),          cmocka_unit_test(test_some_properties_only),
        cmocka_unit_test(test_an_order_by_properties),  cmocka_unit_test(test_mistakes_are_told),
        cmocka_unit_test(test_pages_keep_their_filter), cmocka_unit_test(test_what_there_is_to_ask),
        cmocka_unit_test(test_everything_has_a_title),
    };

    return cmocka_run_group_tests(tests, set_up, http_world_teardown);
}
