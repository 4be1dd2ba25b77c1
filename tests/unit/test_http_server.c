/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "daemon/http_conn.h"
#include "daemon/http_params.h"
#include "daemon/http_workers.h"
#include "tests/support/http_world.h"

/*
 * The server as clients see it: every route, every refusal, and what strangers
 * try on the connection. A listing that is acknowledged must be there; one
 * client's bytes must never become another's request.
 */
#define BASE "/torg/v1"
#define CAFE                                                                                       \
    "{\"type\":\"Feature\",\"geometry\":{\"type\":\"Point\",\"coordinates\":[20.26,63.83]},"       \
    "\"properties\":{\"name\":{\"sv\":\"Kafé Älven\",\"en\":\"River café\"},"                   \
    "\"themes\":[\"food/cafe\"],\"municipality\":\"2480\"}}"

static void get(struct http_world *world, const char *target, struct http_answer *answer)
{
    char line[1100];

    (void)snprintf(line, sizeof(line), "GET %s", target);
    http_client_request(world, line, "", NULL, answer);
}

static json_t *json_of(const struct http_answer *answer)
{
    json_t *json = json_loadb((const char *)answer->body.data, answer->body.size,
                              JSON_REJECT_DUPLICATES, NULL);

    if (!json)
        fail_msg("no JSON: %.300s", (const char *)answer->body.data);
    return json;
}

/* An error is an error in every respect: status, type and a text that says something. */
static void assert_problem(struct http_answer *answer, int status)
{
    json_t *json;

    if (answer->status != status)
        fail_msg("%d, expected %d: %.300s", answer->status, status,
                 answer->body.size ? (const char *)answer->body.data : "");
    assert_string_equal(http_answer_field(answer, "Content-Type"), "application/problem+json");
    json = json_of(answer);
    assert_int_equal(json_integer_value(json_object_get(json, "status")), status);
    assert_true(strlen(json_string_value(json_object_get(json, "detail"))) > 10);
    assert_true(json_is_string(json_object_get(json, "title")));
    assert_true(json_is_string(json_object_get(json, "type")));
    json_decref(json);
}

static void publish_many(struct http_world *world, struct town *town, uint8_t collection,
                         size_t count)
{
    char text[400];

    for (size_t i = 0; i < count; i++) {
        (void)snprintf(text, sizeof(text),
                       "{\"type\":\"Feature\",\"geometry\":{\"type\":\"Point\",\"coordinates\":"
                       "[%.4f,63.83]},\"properties\":{\"name\":\"Plats %zu\",\"themes\":"
                       "[\"food/cafe\"],\"municipality\":\"2480\"}}",
                       20.26 + 0.001 * (double)i, i);
        http_world_publish(world, town, collection, text, NULL);
    }
}

/* ---- what there is ---- */

static void test_every_json_resource(void **state)
{
    static const char *const targets[] = {
        BASE,
        BASE "/",
        BASE "/conformance",
        BASE "/api-info",
        BASE "/collections",
        BASE "/collections/offers",
        BASE "/themes",
        BASE "/suggest?q=fisk",
        BASE "/federation",
        BASE "/aggregates/competence-needs",
        BASE "/collections?f=json&lang=en",
    };
    struct http_answer answer = {0};

    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        get(*state, targets[i], &answer);
        if (answer.status != 200)
            fail_msg("%s: %d %s", targets[i], answer.status, (const char *)answer.body.data);
        assert_string_equal(http_answer_field(&answer, "Content-Type"), "application/json");
        assert_string_equal(http_answer_field(&answer, "Access-Control-Allow-Origin"), "*");
        assert_string_equal(http_answer_field(&answer, "X-Content-Type-Options"), "nosniff");
        json_decref(json_of(&answer));
    }
    http_answer_done(&answer);
}

static void test_api_document(void **state)
{
    struct http_answer answer = {0};
    const json_t *paths;
    const json_t *items;
    json_t *json;

    http_client_request(*state, "GET " BASE "/api",
                        "Accept: application/vnd.oai.openapi+json;version=3.0\r\n", NULL, &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(http_answer_field(&answer, "Content-Type"),
                        "application/vnd.oai.openapi+json;version=3.0");
    json = json_of(&answer);
    paths = json_object_get(json, "paths");
    items = json_object_get(paths, "/collections/{collectionId}/items");
    assert_true(json_is_object(json_object_get(items, "get")));
    assert_true(json_is_object(json_object_get(items, "post")));
    assert_true(json_is_object(json_object_get(json_object_get(paths, "/"), "get")));
    assert_null(json_object_get(paths, "/torg.css"));
    json_decref(json);
    http_answer_done(&answer);
}

static void test_list_near(void **state)
{
    struct http_answer answer = {0};
    struct http_world *world = *state;
    double before = -1;
    const json_t *features;
    json_t *json;

    publish_many(world, &world->own, COLLECTION_OFFERS, 3);
    publish_many(world, &world->foreign, COLLECTION_OFFERS, 2);
    http_world_publish(world, &world->own, COLLECTION_EVENTS, CAFE, NULL);
    get(world, BASE "/search?near=20.2625,63.83&radius=500&collections=offers", &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(http_answer_field(&answer, "Content-Type"), "application/geo+json");
    assert_non_null(http_answer_field(&answer, "torg-as-of"));
    json = json_of(&answer);
    features = json_object_get(json, "features");
    assert_int_equal(json_integer_value(json_object_get(json, "numberMatched")), 5);
    assert_int_equal(json_integer_value(json_object_get(json, "numberReturned")), 5);
    assert_int_equal(json_array_size(features), 5);
    for (size_t i = 0; i < 5; i++) {
        const json_t *properties = json_object_get(json_array_get(features, i), "properties");
        double distance_m = json_number_value(json_object_get(properties, "distance"));

        assert_true(distance_m >= before && distance_m <= 500);
        assert_near(distance_m * 1000, round(distance_m * 1000), 1e-6);
        before = distance_m;
    }
    json_decref(json);
    get(world, BASE "/collections/offers/items", &answer);
    json = json_of(&answer);
    features = json_object_get(json, "features");
    assert_null(
        json_object_get(json_object_get(json_array_get(features, 0), "properties"), "distance"));
    json_decref(json);
    http_answer_done(&answer);
}

/* How many listings a query finds; *ret_first_m is the first one's distance, -1 without. */
static int64_t found(struct http_world *world, const char *target, double *ret_first_m)
{
    struct http_answer answer = {0};
    const json_t *first, *distance;
    int64_t matched;
    json_t *json;

    get(world, target, &answer);
    if (answer.status != 200)
        fail_msg("%s: %d %.300s", target, answer.status, (const char *)answer.body.data);
    json = json_of(&answer);
    matched = json_integer_value(json_object_get(json, "numberMatched"));
    first = json_array_get(json_object_get(json, "features"), 0);
    distance = json_object_get(json_object_get(first, "properties"), "distance");
    *ret_first_m = json_is_number(distance) ? json_number_value(distance) : -1;
    json_decref(json);
    http_answer_done(&answer);
    return matched;
}

/* An angler on the shore is 0 m from the water, not 12 km, and a bay's box is not the bay. */
static void test_areas(void **state)
{
    static const char water[] =
        "{\"type\":\"Feature\",\"geometry\":{\"type\":\"Polygon\",\"coordinates\":[[[17.5,66],"
        "[18,66],[18,66.2],[17.9,66.2],[17.9,66.05],[17.5,66.05],[17.5,66]]]},\"properties\":{"
        "\"name\":\"Viken\",\"themes\":[\"nature/fishing\"]}}";
    struct http_world *world = *state;
    struct http_answer answer = {0};
    double first_m;

    http_world_publish(world, &world->foreign, COLLECTION_PLACES, water, NULL);
    publish_many(world, &world->own, COLLECTION_OFFERS, 2);
    assert_int_equal(found(world, BASE "/search?near=17.95,66.15&radius=0", &first_m), 1);
    assert_near(first_m, 0, 0);
    assert_int_equal(found(world, BASE "/search?near=17.89,66.15&radius=1000", &first_m), 1);
    assert_near(first_m, 451.8, 1);
    assert_int_equal(found(world, BASE "/search?near=17.89,66.15&radius=400", &first_m), 0);
    assert_int_equal(found(world, BASE "/search?bbox=17.6,66.1,17.7,66.15", &first_m), 0);
    assert_int_equal(found(world, BASE "/search?bbox=17.6,66.05,17.7,66.15", &first_m), 1);
    assert_int_equal(found(world, BASE "/search?bbox=17.91,66.1,17.92,66.15", &first_m), 1);
    assert_int_equal(found(world,
                           BASE "/search?intersects=POLYGON((17.6+66.1,17.7+66.1,17.7+66.15,"
                                "17.6+66.15,17.6+66.1))",
                           &first_m),
                     0);
    assert_int_equal(
        found(world, BASE "/search?intersects=LINESTRING(17.6+66.1,17.95+66.1)", &first_m), 1);
    assert_int_equal(
        found(world,
              BASE "/collections/offers/items?intersects=%7B%22type%22:%22Point%22,%22coordinates"
                   "%22:%5B20.261,63.83%5D%7D",
              &first_m),
        1);
    get(world, BASE "/search?intersects=POLYGON((17+66,18+67,18+66,17+67,17+66))", &answer);
    assert_problem(&answer, 400);
    assert_non_null(strstr((const char *)answer.body.data, "Self-intersection at longitude 17.5"));
    http_answer_done(&answer);
}

/* OGC API Features: only what itself meets the box, not what lies around it. */
static void test_what_lies_around_a_box(void **state)
{
    static const char *const around[] = {
        "{\"type\":\"MultiPoint\",\"coordinates\":[[17.1,66.1],[17.2,66.2]]}",
        "{\"type\":\"LineString\",\"coordinates\":[[17.1,66.1],[17.1,66.2],[17.2,66.2]]}",
        "{\"type\":\"Polygon\",\"coordinates\":[[[17.1,66.1],[17.2,66.1],[17.2,66.2],"
        "[17.1,66.2],[17.1,66.1]],[[17.11,66.11],[17.11,66.19],[17.19,66.19],[17.19,66.11],"
        "[17.11,66.11]]]}"};
    static const struct {
        const char *query;
        int matched;
    } questions[] = {
        {"bbox=17.15,66.15,17.16,66.16", 0},
        {"bbox=17.15,66.15,17.16,66.16&facets=theme", 0},
        {"bbox=17.15,66.15,17.16,66.16&near=17.1,66.1", 0},
        {"bbox=17.15,66.15,17.16,66.16&intersects=POINT(17.1+66.1)", 0},
        {"bbox=17.15,66.15,17.16,66.16&q=platsen", 0},
        {"bbox=17.15,66.15,17.16,66.16&theme=nature", 0},
        {"bbox=17.1,66.1,17.1,66.1", 3},   /* all have that corner */
        {"bbox=17.15,66.15,17.2,66.2", 3}, /* and this one */
        {"bbox=17.15,66.15,17.2,66.2&near=17,66", 3},
        {"bbox=17.105,66.15,17.16,66.16", 1}, /* between ring and hole */
        {"bbox=17.11,66.15,17.11,66.16", 1},  /* on the hole's ring */
        {"bbox=17.1000001,66.15,17.1000002,66.16", 1},
        {"bbox=17.1,66.15,17.1000002,66.16", 2}, /* and the line */
        {"bbox=170,60,17.1,66.15", 3},           /* over the antimeridian */
        {"bbox=17.3,60,17.05,67", 0},
    };
    struct http_world *world = *state;
    char text[700];
    double first_m;

    for (size_t i = 0; i < ARRAY_SIZE(around); i++) {
        (void)snprintf(text, sizeof(text),
                       "{\"type\":\"Feature\",\"geometry\":%s,\"properties\":{\"name\":\"Platsen\","
                       "\"themes\":[\"nature/fishing\"]}}",
                       around[i]);
        http_world_publish(world, &world->foreign, COLLECTION_PLACES, text, NULL);
    }
    for (size_t i = 0; i < ARRAY_SIZE(questions); i++) {
        (void)snprintf(text, sizeof(text), BASE "/collections/places/items?%s", questions[i].query);
        if (found(world, text, &first_m) != questions[i].matched)
            fail_msg("%s: not %d", text, questions[i].matched);
    }
}

/* The chimney sweep of the next town comes here, and the bakery's van on Tuesdays. */
static void test_who_comes(void **state)
{
    static const char sweep[] =
        "{\"type\":\"Feature\",\"geometry\":{\"type\":\"Point\",\"coordinates\":[20.26,63.83]},"
        "\"properties\":{\"name\":\"Sotaren\",\"themes\":[\"building\"],\"serves\":{\"type\":"
        "\"Polygon\",\"coordinates\":[[[18,66],[19,66],[19,67],[18,67],[18,66]]]}}}";
    static const char van[] =
        "{\"type\":\"Feature\",\"geometry\":null,\"properties\":{\"name\":\"Bageribilen\","
        "\"themes\":[\"food/"
        "bakery\"],\"itinerary\":[{\"from\":\"2099-03-03T09:00:00Z\",\"through\":"
        "\"2099-03-03T11:00:00Z\",\"geometry\":{\"type\":\"Point\",\"coordinates\":[18.5,66.5]}}]}"
        "}";
    struct http_world *world = *state;
    struct http_answer answer = {0};
    double first_m;

    http_world_publish(world, &world->foreign, COLLECTION_COMPANIES, sweep, NULL);
    http_world_publish(world, &world->own, COLLECTION_COMPANIES, van, NULL);
    publish_many(world, &world->own, COLLECTION_OFFERS, 2);
    assert_int_equal(found(world, BASE "/search?reaches=18.5,66.5", &first_m), 2);
    assert_int_equal(found(world, BASE "/search?reaches=18.51,66.5", &first_m), 1);
    assert_int_equal(found(world, BASE "/search?reaches=18.51,66.5,500", &first_m), 2);
    assert_int_equal(found(world, BASE "/search?reaches=19.01,66.5", &first_m), 0);
    assert_int_equal(found(world, BASE "/search?reaches=19.01,66.5,450", &first_m), 1);
    assert_int_equal(
        found(world, BASE "/search?reaches=18.5,66.5&datetime=2099-03-03T10:00:00Z", &first_m), 2);
    assert_int_equal(
        found(world, BASE "/search?reaches=18.5,66.5&datetime=2099-03-04T10:00:00Z", &first_m), 1);
    assert_int_equal(
        found(world, BASE "/search?reaches=18.5,66.5&near=20.26,63.83&radius=1000", &first_m), 1);
    assert_int_equal(found(world, BASE "/search?reaches=20.26,63.83", &first_m), 0);
    get(world, BASE "/search?reaches=18.5", &answer);
    assert_problem(&answer, 400);
    http_answer_done(&answer);
}

/* A name that fits, 2 km away, or a word in the text of what is next door? */
static void test_order(void **state)
{
    static const char named[] =
        "{\"type\":\"Feature\",\"geometry\":{\"type\":\"Point\",\"coordinates\":[20.3,63.83]},"
        "\"properties\":{\"name\":\"Kanoten\",\"themes\":[\"nature\"]}}";
    static const char near[] =
        "{\"type\":\"Feature\",\"geometry\":{\"type\":\"Point\",\"coordinates\":[20.26,63.83]},"
        "\"properties\":{\"name\":\"Viken\",\"themes\":[\"nature\"],\"description\":"
        "\"Ta med kanoten\"}}";
    struct http_world *world = *state;
    struct http_answer answer = {0};
    double first_m;

    http_world_publish(world, &world->own, COLLECTION_PLACES, named, NULL);
    http_world_publish(world, &world->own, COLLECTION_PLACES, near, NULL);
    assert_int_equal(found(world, BASE "/search?near=20.26,63.83&q=kanoten", &first_m), 2);
    assert_near(first_m, 0, 0);
    assert_int_equal(found(world, BASE "/search?near=20.26,63.83&q=kanoten&order=rank", &first_m),
                     2);
    assert_near(first_m, 1971, 5);
    get(world, BASE "/search?near=20.26,63.83&order=rank", &answer);
    assert_problem(&answer, 400);
    http_answer_done(&answer);
}

/* The target of the link with that rel, without the host; NULL if there is none. */
static const char *link_of(const json_t *json, const char *rel)
{
    const json_t *links = json_object_get(json, "links");

    for (size_t i = 0; i < json_array_size(links); i++) {
        const json_t *link = json_array_get(links, i);
        const char *href = json_string_value(json_object_get(link, "href"));

        if (strcmp(json_string_value(json_object_get(link, "rel")), rel) != 0)
            continue;
        assert_int_equal(strncmp(href, "http://torg.example/", 20), 0);
        return href + 19;
    }
    return NULL;
}

static void test_paging_sees_each_listing_once(void **state)
{
    static const char *const queries[] = {"?limit=7", "?limit=7&near=20.28,63.83&theme=food"};
    struct http_answer answer = {0};
    struct http_world *world = *state;

    publish_many(world, &world->own, COLLECTION_PLACES, 45);
    for (size_t q = 0; q < ARRAY_SIZE(queries); q++) {
        char target[1024];
        bool seen[45] = {false};
        size_t count = 0;
        const char *next;

        (void)snprintf(target, sizeof(target), "%s%s", BASE "/collections/places/items",
                       queries[q]);
        do {
            const json_t *features;
            json_t *json;

            get(world, target, &answer);
            assert_int_equal(answer.status, 200);
            json = json_of(&answer);
            assert_int_equal(json_integer_value(json_object_get(json, "numberMatched")), 45);
            features = json_object_get(json, "features");
            for (size_t i = 0; i < json_array_size(features); i++) {
                const json_t *name = json_object_get(
                    json_object_get(json_array_get(features, i), "properties"), "name");
                const char *text = json_string_value(json_object_get(name, "sv"));
                size_t number = strtoul(text + 6, NULL, 10);

                assert_true(number < 45 && !seen[number]);
                seen[number] = true;
                count++;
            }
            next = link_of(json, "next");
            if (next)
                (void)snprintf(target, sizeof(target), "%s", next);
            json_decref(json);
        } while (next);
        assert_int_equal(count, 45);
    }
    http_answer_done(&answer);
}

static void test_a_cursor_fits_its_query_only(void **state)
{
    struct http_answer answer = {0};
    struct http_world *world = *state;
    char target[1024];
    const char *cursor;
    json_t *json;

    publish_many(world, &world->own, COLLECTION_PLACES, 3);
    get(world, BASE "/collections/places/items?limit=1", &answer);
    json = json_of(&answer);
    cursor = strstr(link_of(json, "next"), "cursor=");
    assert_non_null(cursor);
    (void)snprintf(target, sizeof(target), BASE "/collections/offers/items?%s", cursor);
    get(world, target, &answer);
    assert_problem(&answer, 400);
    (void)snprintf(target, sizeof(target), BASE "/collections/places/items?theme=food&%s", cursor);
    get(world, target, &answer);
    assert_problem(&answer, 400);
    (void)snprintf(target, sizeof(target), BASE "/collections/places/items?limit=2&%s", cursor);
    get(world, target, &answer);
    assert_int_equal(answer.status, 200);
    json_decref(json);
    http_answer_done(&answer);
}

static void test_filters(void **state)
{
    static const struct {
        const char *query;
        int matched;
    } cases[] = {
        {"", 3},
        {"q=kafe", 1},
        {"q=ALVEN", 1},
        {"q=nothing", 0},
        {"theme=food", 3},
        {"theme=nature", 0},
        {"theme=nature&theme=food/cafe", 3},
        {"theme=nature,food", 0},
        {"municipality=2480", 3},
        {"municipality=2506", 0},
        {"bbox=20.25,63.8,20.2605,63.9", 2},
        {"near=20.26,63.83&radius=1", 2},
        {"near=0,0&radius=1", 0},
        {"origin=0000000000000000", 0},
        {"datetime=2026-11-21&datetime=2026-11-25", 0},
        {"datetime=2026-11-21", 3},
        {"limit=0", 3},
    };
    struct http_answer answer = {0};
    struct http_world *world = *state;
    char target[400];
    char hex[65];

    http_world_publish(world, &world->own, COLLECTION_COMPANIES, CAFE, NULL);
    publish_many(world, &world->foreign, COLLECTION_COMPANIES, 2);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *json;

        (void)snprintf(target, sizeof(target), BASE "/collections/companies/items?%s",
                       cases[i].query);
        get(world, target, &answer);
        if (answer.status != 200)
            fail_msg("%s: %s", cases[i].query, (const char *)answer.body.data);
        json = json_of(&answer);
        if (json_integer_value(json_object_get(json, "numberMatched")) != cases[i].matched)
            fail_msg("%s: %s", cases[i].query, (const char *)answer.body.data);
        json_decref(json);
    }
    hex_encode(world->foreign.id.bytes, 10, hex);
    (void)snprintf(target, sizeof(target), BASE "/search?origin=%s", hex);
    get(world, target, &answer);
    assert_non_null(strstr((const char *)answer.body.data, "\"numberMatched\":2,"));
    http_answer_done(&answer);
}

static void publish_named(struct http_world *world, const char *name)
{
    char text[300];

    (void)snprintf(text, sizeof(text),
                   "{\"type\":\"Feature\",\"geometry\":null,\"properties\":{\"name\":\"%s\","
                   "\"themes\":[\"food/cafe\"]}}",
                   name);
    http_world_publish(world, &world->own, COLLECTION_OFFERS, text, NULL);
}

/* "theme text", "place text" or "name text", one a line. */
static void assert_suggests(struct http_world *world, const char *query, const char *want)
{
    struct http_answer answer = {0};
    char got[1000] = "";
    char target[300];
    const json_t *item;
    json_t *json;
    size_t i;

    (void)snprintf(target, sizeof(target), BASE "/suggest?%s", query);
    get(world, target, &answer);
    assert_int_equal(answer.status, 200);
    json = json_of(&answer);
    json_array_foreach(json_object_get(json, "suggestions"), i, item)
    {
        (void)snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s %s\n",
                       json_string_value(json_object_get(item, "type")),
                       json_string_value(json_object_get(item, "text")));
    }
    json_decref(json);
    http_answer_done(&answer);
    assert_string_equal(got, want);
}

/* Type-ahead that leads to nothing, or misses what is there, teaches people not to ask. */
static void test_suggestions(void **state)
{
    struct http_answer answer = {0};
    struct http_world *world = *state;

    publish_named(world, "Hörneforskaffe");
    publish_named(world, "Hörneforskaffe");
    publish_named(world, "Kaffe i Hörnefors");
    publish_named(world, "Sportfiskekort Hornavan");
    assert_suggests(world, "q=hornefors",
                    "place Hörnefors\nname Kaffe i Hörnefors\n"
                    "name Hörneforskaffe\n");
    assert_suggests(world, "q=H%C3%B6rneforsk", "name Hörneforskaffe\n");
    assert_suggests(world, "q=fiskekort", "theme Fiskevatten och fiskekort\n");
    assert_suggests(world, "q=sportfiskekort%20h", "name Sportfiskekort Hornavan\n");
    assert_suggests(world, "q=caf&lang=en&limit=1", "theme Café\n");
    get(world, BASE "/suggest", &answer);
    assert_problem(&answer, 400);
    get(world, BASE "/suggest?q=a&near=20,63", &answer);
    assert_problem(&answer, 400);
    http_answer_done(&answer);
}

static void test_other_formats(void **state)
{
    struct http_answer answer = {0};
    struct http_world *world = *state;

    publish_many(world, &world->own, COLLECTION_OFFERS, 3);
    get(world, BASE "/collections/offers/items?f=csv&limit=2&near=20.26,63.83", &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(http_answer_field(&answer, "Content-Type"), "text/csv; charset=utf-8");
    assert_string_equal(http_answer_field(&answer, "OGC-NumberMatched"), "3");
    assert_string_equal(http_answer_field(&answer, "OGC-NumberReturned"), "2");
    assert_non_null(strstr(http_answer_field(&answer, "Link"), "rel=\"next\""));
    assert_int_equal(strncmp((const char *)answer.body.data, "distance,", 9), 0);
    assert_non_null(strstr((const char *)answer.body.data, "\r\n0,"));
    http_client_request(world, "GET " BASE "/search?limit=2",
                        "Accept: application/geo+json-seq\r\n", NULL, &answer);
    assert_string_equal(http_answer_field(&answer, "Content-Type"), "application/geo+json-seq");
    assert_int_equal(answer.body.data[0], 0x1e);
    get(world, BASE "/aggregates/competence-needs?f=csv&by=theme,municipality", &answer);
    assert_int_equal(strncmp((const char *)answer.body.data, "theme,themeName,municipality,", 29),
                     0);
    http_answer_done(&answer);
}

/* A link that was cut would lead to another page, or nowhere. */
static void test_a_long_query_comes_back_whole(void **state)
{
    struct http_answer answer = {0};
    struct http_world *world = *state;
    struct buffer line = {0};
    const char *link;

    publish_many(world, &world->own, COLLECTION_OFFERS, 3);
    buffer_put_str(&line, "GET " BASE "/collections/offers/items?f=csv&limit=1");
    for (int i = 0; i < 64; i++)
        buffer_printf(&line, "&origin=0123456789abcdef0123456789abcdef0123456789abcdef%04d", i);
    for (int i = 0; i < 60; i++)
        buffer_put_str(&line, "&municipality=2480");
    buffer_put_u8(&line, 0);
    http_client_request(world, (const char *)line.data, "", NULL, &answer);
    assert_int_equal(answer.status, 200); /* no such origins: nothing follows */
    assert_null(http_answer_field(&answer, "Link"));
    buffer_clear(&line);
    buffer_put_str(&line, "GET " BASE "/collections/offers/items?f=csv&limit=1&municipality=2480");
    for (int i = 0; i < 63; i++)
        buffer_put_str(&line, ",2480");
    for (int i = 0; i < 90; i++)
        buffer_put_str(&line, "&datetime=2020-01-01/2099-12-31");
    buffer_put_u8(&line, 0);
    http_client_request(world, (const char *)line.data, "", NULL, &answer);
    assert_int_equal(answer.status, 200);
    link = strstr((const char *)answer.head.data, "\r\nLink: <");
    assert_non_null(link);
    link = strstr(link, "&cursor=");
    assert_non_null(link);
    assert_int_equal(strncmp(link + 8 + HTTP_CURSOR_TEXT_SIZE, ">; rel=\"next\"", 13), 0);
    buffer_done(&line);
    http_answer_done(&answer);
}

static void test_gzip(void **state)
{
    struct http_answer answer = {0};
    z_stream stream = {0};
    char text[65536];

    http_client_request(*state, "GET " BASE "/themes", "Accept-Encoding: br, gzip;q=0.5\r\n", NULL,
                        &answer);
    assert_string_equal(http_answer_field(&answer, "Content-Encoding"), "gzip");
    stream.next_in = answer.body.data;
    stream.avail_in = (uInt)answer.body.size;
    stream.next_out = (Bytef *)text;
    stream.avail_out = sizeof(text);
    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(text[0], '{');
    (void)inflateEnd(&stream);
    http_client_request(*state, "GET " BASE "/themes", "Accept-Encoding: gzip;q=0\r\n", NULL,
                        &answer);
    assert_null(http_answer_field(&answer, "Content-Encoding"));
    http_answer_done(&answer);
}

static void test_federation(void **state)
{
    struct http_answer answer = {0};
    struct http_world *world = *state;
    const json_t *origins;
    json_t *json;

    publish_many(world, &world->own, COLLECTION_OFFERS, 2);
    publish_many(world, &world->foreign, COLLECTION_PLACES, 1);
    get(world, BASE "/federation", &answer);
    json = json_of(&answer);
    origins = json_object_get(json, "origins");
    assert_int_equal(json_array_size(origins), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *origin = json_array_get(origins, i);
        const json_t *collection = json_array_get(json_object_get(origin, "collections"), 0);

        assert_string_equal(json_string_value(json_object_get(origin, "state")), "complete");
        assert_int_equal(strlen(json_string_value(json_object_get(collection, "root"))), 64);
        assert_true(json_is_true(json_object_get(collection, "complete")));
        assert_true(json_integer_value(json_object_get(origin, "age_s")) >= 0);
        assert_true(json_integer_value(json_object_get(origin, "lag")) > 0);
    }
    /* Where the peers are is nobody's business. */
    assert_null(strstr((const char *)answer.body.data, "192.0.2.17"));
    assert_non_null(strstr((const char *)answer.body.data, "\"arjeplog\""));
    json_decref(json);
    http_answer_done(&answer);
}

/* ---- writing ---- */

static void write_request(struct http_world *world, const char *method_and_target,
                          const char *more_fields, const char *body, struct http_answer *answer)
{
    char fields[400];

    (void)snprintf(fields, sizeof(fields), "Authorization: Bearer %s\r\n%s%s", world->token,
                   body ? "Content-Type: application/geo+json\r\n" : "", more_fields);
    http_client_request(world, method_and_target, fields, body, answer);
}

/* The tag of a list, and that it is not sent again. The node may write of itself, and a minute end.
 */
static void assert_known_again(struct http_world *world, const char *target, char etag[64])
{
    struct http_answer answer = {0};
    char line[300], fields[200];

    (void)snprintf(line, sizeof(line), "GET %s", target);
    for (unsigned attempts = 0; attempts < 10; attempts++) {
        http_client_request(world, line, "", NULL, &answer);
        assert_int_equal(answer.status, 200);
        (void)snprintf(etag, 64, "%s", http_answer_field(&answer, "ETag"));
        assert_int_equal(strncmp(etag, "W/\"", 3), 0);
        (void)snprintf(fields, sizeof(fields), "If-None-Match: \"x\", %s\r\n", etag);
        http_client_request(world, line, fields, NULL, &answer);
        if (answer.status == 304)
            break;
    }
    assert_int_equal(answer.status, 304);
    assert_int_equal(answer.body.size, 0);
    assert_string_equal(http_answer_field(&answer, "ETag"), etag);
    http_answer_done(&answer);
}

/* A list that changed and was not sent again would never be seen. */
static void test_lists_have_tags(void **state)
{
    static const char *const others[] = {
        BASE "/collections/offers/items?datetime=../2150-01-01T00:00:00Z&limit=3",
        BASE "/collections/offers/items?datetime=../2150-01-01T00:00:00Z&f=csv",
        BASE "/collections/needs/items?datetime=../2150-01-01T00:00:00Z",
        BASE "/search?datetime=../2150-01-01T00:00:00Z",
        BASE "/collections/offers/items",
    };
    static const char target[] = BASE "/collections/offers/items?datetime=../2150-01-01T00:00:00Z";
    struct http_answer answer = {0};
    struct http_world *world = *state;
    char etag[64], other[64], line[300], fields[200];

    assert_known_again(world, target, etag);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        assert_known_again(world, others[i], other);
        assert_string_not_equal(other, etag);
        (void)snprintf(line, sizeof(line), "GET %s", others[i]);
        (void)snprintf(fields, sizeof(fields), "If-None-Match: %s\r\n", etag);
        http_client_request(world, line, fields, NULL, &answer);
        assert_int_equal(answer.status, 200);
    }
    write_request(world, "POST " BASE "/collections/offers/items", "", CAFE, &answer);
    assert_int_equal(answer.status, 201);
    (void)snprintf(line, sizeof(line), "GET %s", target);
    http_client_request(world, line, fields, NULL, &answer);
    assert_int_equal(answer.status, 200);
    assert_string_not_equal(http_answer_field(&answer, "ETag"), etag);
    http_client_request(world, line, "Accept: text/html\r\n", NULL, &answer);
    assert_int_equal(answer.status, 200);
    assert_null(http_answer_field(&answer, "ETag")); /* A page has other words. */
    http_client_request(world, "GET " BASE "/search?limit=x", "If-None-Match: *\r\n", NULL,
                        &answer);
    assert_problem(&answer, 400);
    http_answer_done(&answer);
}

/* What seldom changes is not sent again to who has kept it, compressed or not. */
static void test_documents_have_tags(void **state)
{
    static const char *const targets[] = {
        BASE, BASE "/api", BASE "/conformance", BASE "/collections/offers/schema", "/torg.css",
    };
    struct http_answer answer = {0};
    struct http_world *world = *state;
    char line[200], etag[64], fields[200];

    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        (void)snprintf(line, sizeof(line), "GET %s", targets[i]);
        http_client_request(world, line, "", NULL, &answer);
        assert_int_equal(answer.status, 200);
        (void)snprintf(etag, sizeof(etag), "%s", http_answer_field(&answer, "ETag"));
        assert_int_equal(strncmp(etag, "W/\"", 3), 0);
        (void)snprintf(fields, sizeof(fields), "Accept-Encoding: gzip\r\nIf-None-Match: %s\r\n",
                       etag);
        http_client_request(world, line, fields, NULL, &answer);
        assert_int_equal(answer.status, 304);
        assert_int_equal(answer.body.size, 0);
        assert_null(http_answer_field(&answer, "Content-Encoding"));
        (void)snprintf(fields, sizeof(fields), "Accept-Language: en\r\nIf-None-Match: %s\r\n",
                       etag);
        http_client_request(world, line, fields, NULL, &answer);
        /* Other words are other bytes; the standards that hold and the style have none. */
        assert_int_equal(answer.status, i == 2 || i == 4 ? 304 : 200);
    }
    http_client_request(world, "GET " BASE "/api?f=xml", "If-None-Match: *\r\n", NULL, &answer);
    assert_problem(&answer, 400);
    http_answer_done(&answer);
}

static void test_a_listing_lives_and_dies(void **state)
{
    struct http_answer answer = {0};
    struct http_world *world = *state;
    char target[200];
    char line[300];
    char etag[64];
    char fields[200];

    write_request(world, "POST " BASE "/collections/offers/items", "", CAFE, &answer);
    if (answer.status != 201)
        fail_msg("%d %s", answer.status, (const char *)answer.body.data);
    assert_int_equal(strncmp(http_answer_field(&answer, "Location"),
                             "http://torg.example" BASE "/collections/offers/items/",
                             19 + strlen(BASE "/collections/offers/items/")),
                     0);
    (void)snprintf(target, sizeof(target), "%s", http_answer_field(&answer, "Location") + 19);
    (void)snprintf(etag, sizeof(etag), "%s", http_answer_field(&answer, "ETag"));
    assert_int_equal(etag[0], '"');
    assert_non_null(strstr((const char *)answer.body.data, "Kafé Älven"));

    (void)snprintf(line, sizeof(line), "GET %s", target);
    (void)snprintf(fields, sizeof(fields), "If-None-Match: \"x\", W/%s\r\n", etag);
    http_client_request(world, line, fields, NULL, &answer);
    assert_int_equal(answer.status, 304);
    assert_int_equal(answer.body.size, 0);
    (void)snprintf(fields, sizeof(fields), "If-None-Match: \"x\"\r\nIf-None-Match: %s\r\n", etag);
    http_client_request(world, line, fields, NULL, &answer);
    assert_int_equal(answer.status, 304);

    (void)snprintf(line, sizeof(line), "PUT %s", target);
    write_request(world, line, "If-Match: \"00000000000000000000000000000000\"\r\n", CAFE, &answer);
    assert_problem(&answer, 412);
    (void)snprintf(fields, sizeof(fields), "If-Match: %s\r\n", etag);
    write_request(world, line, fields, CAFE, &answer);
    assert_int_equal(answer.status, 200);
    assert_string_not_equal(http_answer_field(&answer, "ETag"), etag);
    write_request(world, line, fields, CAFE, &answer); /* the old tag again */
    assert_problem(&answer, 412);

    (void)snprintf(line, sizeof(line), "DELETE %s", target);
    write_request(world, line, "", NULL, &answer);
    assert_int_equal(answer.status, 204);
    write_request(world, line, "", NULL, &answer);
    assert_problem(&answer, 404);
    get(world, target, &answer);
    assert_problem(&answer, 404);
    http_answer_done(&answer);
}

/* RFC 9110, 13.1.2: who names what is there in If-None-Match does not want it changed. */
static void test_a_write_heeds_every_condition(void **state)
{
    static const char *const refusing[][2] = {
        {"If-Match: *\r\nIf-None-Match: *, ", ""},
        {"If-Match: *\r\nIf-None-Match: \"x\"\r\nIf-None-Match: ", ""},
        {"If-Match: *\r\nIf-None-Match: \"x\", W/", ""},
        {"If-Match: \"x\"\r\nIf-Match: W/", ""},
        {"If-None-Match: ", "If-Match: *\r\n"},
    };
    struct http_answer answer = {0};
    struct http_world *world = *state;
    char line[300], put[300], etag[64], fields[300];

    write_request(world, "POST " BASE "/collections/offers/items", "", CAFE, &answer);
    assert_int_equal(answer.status, 201);
    (void)snprintf(put, sizeof(put), "PUT %s", http_answer_field(&answer, "Location") + 19);
    (void)snprintf(etag, sizeof(etag), "%s", http_answer_field(&answer, "ETag"));
    for (size_t i = 0; i < ARRAY_SIZE(refusing); i++) {
        (void)snprintf(fields, sizeof(fields), "%s%s\r\n%s", refusing[i][0], etag, refusing[i][1]);
        write_request(world, put, fields, CAFE, &answer);
        assert_problem(&answer, 412);
        (void)snprintf(line, sizeof(line), "DELETE %s", put + 4);
        write_request(world, line, fields, NULL, &answer);
        assert_problem(&answer, 412);
    }
    (void)snprintf(line, sizeof(line), "GET %s", put + 4);
    http_client_request(world, line, "If-Match: \"x\"\r\n", NULL, &answer);
    assert_problem(&answer, 412); /* A question has that condition, too. */
    http_client_request(world, line, "If-Match: *\r\n", NULL, &answer);
    assert_string_equal(http_answer_field(&answer, "ETag"), etag);
    (void)snprintf(fields, sizeof(fields),
                   "If-Match: \"x\"\r\nIf-Match: %s\r\nIf-None-Match: \"y\"\r\n", etag);
    write_request(world, put, fields, CAFE, &answer);
    assert_int_equal(answer.status, 200);
    http_answer_done(&answer);
}

static void test_writing_is_refused(void **state)
{
    struct http_answer answer = {0};
    struct http_world *world = *state;
    const char *post = "POST " BASE "/collections/offers/items";
    char id[64];
    char line[200];

    http_client_request(world, post, "Content-Type: application/json\r\n", CAFE, &answer);
    assert_problem(&answer, 401);
    assert_non_null(strstr(http_answer_field(&answer, "WWW-Authenticate"), "Bearer"));
    http_client_request(world, post,
                        "Authorization: Bearer torg_0000000000000000000000000000000000000000\r\n"
                        "Content-Type: application/json\r\n",
                        CAFE, &answer);
    assert_problem(&answer, 401);
    http_client_request(world, post, "Authorization: Basic dGVzdDp0ZXN0\r\n", CAFE, &answer);
    assert_problem(&answer, 401);
    write_request(world, post, "", NULL, &answer);
    assert_problem(&answer, 411);
    write_request(world, post, "", "{\"type\":", &answer);
    assert_problem(&answer, 400);
    write_request(world, post, "Content-Encoding: gzip\r\n", CAFE, &answer);
    assert_problem(&answer, 415);
    write_request(world, post, "Content-Length: 1048577\r\n", NULL, &answer);
    assert_problem(&answer, 413);
    write_request(world, post, "Content-Length: 4\r\n", NULL, &answer);
    assert_problem(&answer, 415); /* no type was given */
    write_request(world, "POST " BASE "/collections/members/items", "", CAFE, &answer);
    assert_problem(&answer, 404);
    write_request(world, "PATCH " BASE "/collections/offers/items", "", CAFE, &answer);
    assert_problem(&answer, 405);
    assert_string_equal(http_answer_field(&answer, "Allow"), "GET, HEAD, OPTIONS, POST");

    http_world_publish(world, &world->foreign, COLLECTION_OFFERS, CAFE, id);
    (void)snprintf(line, sizeof(line), "DELETE " BASE "/collections/offers/items/%s", id);
    write_request(world, line, "", NULL, &answer);
    assert_problem(&answer, 403);
    http_answer_done(&answer);
}

static void test_too_large_a_body(void **state)
{
    struct http_answer answer = {0};
    struct http_world *world = *state;
    char request[500];
    int fd = http_client_connect(world);

    (void)snprintf(request, sizeof(request),
                   "POST " BASE "/collections/offers/items HTTP/1.1\r\nHost: a\r\n"
                   "Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
                   "Content-Length: 1048577\r\nExpect: 100-continue\r\n\r\n",
                   world->token);
    http_client_send(fd, request);
    http_client_read(fd, true, &answer);
    assert_problem(&answer, 413); /* and no 100 Continue before */
    assert_true(http_client_closed(fd));
    (void)close(fd);
    http_answer_done(&answer);
}

/* Whoever publishes a water that crosses itself must learn where, among its thousand corners. */
static void test_an_area_that_crosses_itself(void **state)
{
    struct http_answer answer = {0};

    write_request(
        *state, "POST " BASE "/collections/places/items", "",
        "{\"type\":\"Feature\",\"geometry\":{\"type\":\"Polygon\",\"coordinates\":[[[17,66],"
        "[18,67],[18,66],[17,67],[17,66]]]},\"properties\":{\"name\":\"Viken\",\"themes\":["
        "\"nature/fishing\"]}}",
        &answer);
    assert_problem(&answer, 422);
    assert_non_null(strstr((const char *)answer.body.data,
                           "Self-intersection at longitude 17.5000000, latitude 66.5000000"));
    http_answer_done(&answer);
}

/* One answer names every field, so that an editor mends all at once. */
static void test_every_mistake_is_named(void **state)
{
    struct http_answer answer = {0};
    json_t *json;

    write_request(*state, "POST " BASE "/collections/offers/items", "",
                  "{\"type\":\"Feature\",\"geometry\":{\"type\":\"Point\",\"coordinates\":"
                  "[20.26,163.83]},\"properties\":{\"themes\":[\"NO\"],\"kind\":\"steal\","
                  "\"colour\":1}}",
                  &answer);
    assert_problem(&answer, 422);
    json = json_of(&answer);
    assert_true(json_array_size(json_object_get(json, "errors")) >= 4);
    json_decref(json);
    http_answer_done(&answer);
}

static void test_what_the_writer_cannot(void **state)
{
    static const struct {
        enum torg_err err;
        int status;
    } cases[] = {{TORG_E_BUSY, 503},
                 {TORG_E_FULL, 507},
                 {TORG_E_RECOVERING, 503},
                 {TORG_E_IO, 503},
                 {TORG_E_NOMEM, 503}};
    struct http_answer answer = {0};
    struct http_world *world = *state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        http_world_writing(world, WRITING_REFUSES, cases[i].err);
        write_request(world, "POST " BASE "/collections/offers/items", "", CAFE, &answer);
        assert_problem(&answer, cases[i].status);
        if (cases[i].err == TORG_E_BUSY)
            assert_string_equal(http_answer_field(&answer, "Retry-After"), "1");
        if (cases[i].err == TORG_E_RECOVERING)
            assert_non_null(strstr((const char *)answer.body.data, "peers are being asked"));
        get(world, BASE "/collections/offers/items", &answer);
        assert_int_equal(answer.status, 200); /* Reading goes on. */
    }
    http_answer_done(&answer);
}

static void wait_held(struct http_world *world, size_t count)
{
    for (int i = 0; i < 5000 && http_world_held(world) < count; i++)
        (void)usleep(1000);
    assert_int_equal(http_world_held(world), count);
}

static void post_and_hang_up(struct http_world *world)
{
    char request[800];
    int fd = http_client_connect(world);

    (void)snprintf(request, sizeof(request),
                   "POST " BASE "/collections/offers/items HTTP/1.1\r\nHost: a\r\n"
                   "Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
                   "Content-Length: %zu\r\n\r\n%s",
                   world->token, strlen(CAFE), CAFE);
    http_client_send(fd, request);
    wait_held(world, 1);
    (void)close(fd);
}

/* A client that hangs up has still published; and nothing must touch its freed connection. */
static void test_the_client_hangs_up_while_its_write_waits(void **state)
{
    struct http_answer answer = {0};
    struct http_world *world = *state;

    http_world_writing(world, WRITING_HOLDS, TORG_OK);
    post_and_hang_up(world);
    get(world, BASE, &answer); /* Others are answered meanwhile. */
    assert_int_equal(answer.status, 200);
    http_world_release(world);
    for (int i = 0; i < 5000; i++) {
        get(world, BASE "/collections/offers/items?limit=0", &answer);
        if (strstr((const char *)answer.body.data, "\"numberMatched\":1,"))
            break;
    }
    assert_non_null(strstr((const char *)answer.body.data, "\"numberMatched\":1,"));
    http_answer_done(&answer);
}

static void *release_later(void *context)
{
    (void)usleep(300000);
    http_world_release(context);
    return NULL;
}

/* Stopping waits for the write: its answer must not reach a loop that is gone. */
static void test_stopping_while_a_write_waits(void **state)
{
    struct http_world *world = calloc(1, sizeof(*world));
    pthread_t thread;

    (void)state;
    assert_non_null(world);
    http_world_init(world, 8, 8);
    http_world_writing(world, WRITING_HOLDS, TORG_OK);
    post_and_hang_up(world);
    assert_int_equal(pthread_create(&thread, NULL, release_later, world), 0);
    http_free(world->http);
    world->http = NULL;
    (void)pthread_join(thread, NULL);
    assert_int_equal(http_world_held(world), 0);
    http_world_done(world);
    free(world);
}

/* ---- the connection ---- */

static void test_pipelined_requests_are_answered_in_order(void **state)
{
    struct http_answer answer = {0};
    int fd = http_client_connect(*state);

    http_client_send(fd, "GET " BASE "/conformance HTTP/1.1\r\nHost: a\r\n\r\n"
                         "HEAD " BASE "/api HTTP/1.1\r\nHost: a\r\n\r\n"
                         "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n"
                         "GET " BASE "/api-info HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                         "GET " BASE "/never HTTP/1.1\r\nHost: a\r\n\r\n");
    http_client_read(fd, true, &answer);
    assert_non_null(strstr((const char *)answer.body.data, "conformsTo"));
    http_client_read(fd, false, &answer);
    assert_int_equal(answer.status, 200);
    assert_true(atol(http_answer_field(&answer, "Content-Length")) > 1000);
    http_client_read(fd, true, &answer);
    assert_problem(&answer, 404);
    http_client_read(fd, true, &answer);
    assert_non_null(strstr((const char *)answer.body.data, "apiName"));
    assert_string_equal(http_answer_field(&answer, "Connection"), "close");
    assert_true(http_client_closed(fd)); /* and nothing after it */
    (void)close(fd);
    http_answer_done(&answer);
}

/* What could be read in two ways ends the connection; the rest of it is never a request. */
static void test_doubtful_bytes_close(void **state)
{
    static const struct {
        const char *bytes;
        int status;
    } cases[] = {
        {"GET / HTTP/1.1\nHost: a\n\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
         400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x4\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 4\r\n\r\n", 400},
        {"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
        {"GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", 417},
        {"\x16\x03\x01\x02\x01\x01\x01\n", 400},
        /* A body where none belongs is not skipped. */
        {"GET " BASE " HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n", 400},
    };
    struct http_answer answer = {0};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int fd = http_client_connect(*state);

        http_client_send(fd, cases[i].bytes);
        http_client_send(fd, "GET " BASE "/smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        http_client_read(fd, true, &answer);
        if (answer.status != cases[i].status)
            fail_msg("%d, expected %d: %s", answer.status, cases[i].status, cases[i].bytes);
        assert_problem(&answer, cases[i].status);
        assert_string_equal(http_answer_field(&answer, "Connection"), "close");
        assert_non_null(http_answer_field(&answer, "Date"));
        assert_true(http_client_closed(fd));
        (void)close(fd);
    }
    http_answer_done(&answer);
}

static void test_one_byte_at_a_time(void **state)
{
    static const char request[] = "GET " BASE "/conformance HTTP/1.1\r\nHost: a\r\n\r\n";
    struct http_answer answer = {0};
    int fd = http_client_connect(*state);

    for (size_t i = 0; request[i]; i++) {
        char byte[2] = {request[i], 0};

        http_client_send(fd, byte);
        (void)usleep(500);
    }
    http_client_read(fd, true, &answer);
    assert_int_equal(answer.status, 200);
    (void)close(fd);
    http_answer_done(&answer);
}

static void test_chunked_and_expected_bodies(void **state)
{
    struct http_answer answer = {0};
    struct http_world *world = *state;
    char request[1200];
    int fd = http_client_connect(world);

    (void)snprintf(request, sizeof(request),
                   "POST " BASE "/collections/offers/items HTTP/1.1\r\nHost: a\r\n"
                   "Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
                   "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
                   world->token);
    http_client_send(fd, request);
    http_client_read(fd, false, &answer);
    assert_int_equal(answer.status, 100);
    (void)snprintf(request, sizeof(request),
                   "10;part=1\r\n%.16s\r\n%zX\r\n%s\r\n0\r\nDigest: none\r\n\r\n", CAFE,
                   strlen(CAFE) - 16, &CAFE[16]);
    http_client_send(fd, request);
    http_client_read(fd, true, &answer);
    assert_int_equal(answer.status, 201);
    http_client_send(fd, "GET " BASE "/conformance HTTP/1.1\r\nHost: a\r\n\r\n");
    http_client_read(fd, true, &answer);
    assert_int_equal(answer.status, 200); /* The framing came out even. */
    (void)close(fd);
    http_answer_done(&answer);
}

/* A body that is refused ends the connection, and says why in the asker's language. */
static void test_doubtful_chunks_close(void **state)
{
    static const struct {
        const char *body;
        int status;
        const char *said;
    } cases[] = {
        {"+4\r\nabcd\r\n", 400, "följer inte kodningen chunked"},
        {"2;a=\"\n\"\r\n{}\r\n0\r\n\r\n", 400, "följer inte kodningen chunked"},
        {"2\r\n{}\r\n0\r\nContent-Length: 2\r\n\r\n", 400, "står efter innehållet"},
        {"2\r\n{}\r\n0\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:"
         "\r\na:\r\n"
         "a:\r\na:\r\na:\r\na:\r\n\r\n",
         431, "högst 16 fält"},
        {NULL, 400, "högst 4096 byte"},
    };
    struct http_world *world = *state;
    struct http_answer answer = {0};
    char request[8192], extension[HTTP_EXTENSION_BYTES_MAX + 8];

    (void)snprintf(extension, sizeof(extension), "2;%0*d", HTTP_EXTENSION_BYTES_MAX, 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int fd = http_client_connect(world);

        (void)snprintf(request, sizeof(request),
                       "POST " BASE "/collections/offers/items HTTP/1.1\r\nHost: a\r\n"
                       "Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
                       "Accept-Language: sv\r\nTransfer-Encoding: chunked\r\n\r\n%s",
                       world->token, cases[i].body ? cases[i].body : extension);
        http_client_send(fd, request);
        http_client_send(fd, "GET " BASE "/smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        http_client_read(fd, true, &answer);
        assert_problem(&answer, cases[i].status);
        assert_non_null(strstr((const char *)answer.body.data, cases[i].said));
        assert_true(http_client_closed(fd));
        (void)close(fd);
    }
    http_answer_done(&answer);
}

static void test_http_1_0(void **state)
{
    struct http_answer answer = {0};
    int fd = http_client_connect(*state);

    http_client_send(fd, "GET " BASE " HTTP/1.0\r\n\r\n");
    http_client_read(fd, true, &answer);
    assert_int_equal(answer.status, 200);
    /* Without a host the links begin with a slash. */
    assert_non_null(strstr((const char *)answer.body.data, "\"href\":\"" BASE "/collections\""));
    assert_true(http_client_closed(fd));
    (void)close(fd);
    http_answer_done(&answer);
}

static void test_options_and_negotiation(void **state)
{
    struct http_answer answer = {0};

    http_client_request(*state, "OPTIONS " BASE "/collections/offers/items",
                        "Origin: https://x.example\r\nAccess-Control-Request-Method: GET\r\n", NULL,
                        &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(http_answer_field(&answer, "Access-Control-Allow-Origin"), "*");
    assert_non_null(strstr(http_answer_field(&answer, "Access-Control-Allow-Methods"), "GET"));
    assert_string_equal(http_answer_field(&answer, "Allow"), "GET, HEAD, OPTIONS, POST");
    http_client_request(*state, "OPTIONS *", "", NULL, &answer);
    assert_int_equal(answer.status, 200);
    http_client_request(*state, "GET " BASE "/search", "Accept: image/png\r\n", NULL, &answer);
    assert_problem(&answer, 406);
    http_client_request(*state, "GET " BASE "/search",
                        "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n", NULL, &answer);
    assert_string_equal(http_answer_field(&answer, "Content-Type"), "text/html; charset=utf-8");
    http_client_request(*state, "GET " BASE "/search",
                        "Accept: text/html;q=0.5,application/json\r\n", NULL, &answer);
    assert_string_equal(http_answer_field(&answer, "Content-Type"), "application/geo+json");
    http_client_request(*state, "GET " BASE "/search", "Accept: */*\r\n", NULL, &answer);
    assert_string_equal(http_answer_field(&answer, "Content-Type"), "application/geo+json");
    http_client_request(*state, "GET " BASE "/collections/offers/items", "Accept: text/*\r\n", NULL,
                        &answer);
    assert_string_equal(http_answer_field(&answer, "Content-Type"), "text/csv; charset=utf-8");
    http_client_request(*state, "GET " BASE "/collections/offers/items", "Accept: Text/CSV\r\n",
                        NULL, &answer);
    assert_string_equal(http_answer_field(&answer, "Content-Type"), "text/csv; charset=utf-8");
    http_client_request(*state, "GET " BASE "/search?f=geojson", "Accept: image/png\r\n", NULL,
                        &answer);
    assert_int_equal(answer.status, 200);
    http_answer_done(&answer);
}

static void test_wrong_targets(void **state)
{
    static const struct {
        const char *target;
        int status;
    } cases[] = {
        {"/nothing", 404},
        {BASE "/collections/nothing", 404},
        {BASE "/collections/members/items", 404},
        {BASE "/collections/offers/items/nothing", 404},
        {BASE "/collections/offers/items/aaaaaaaaaaaaa-aaaaaaaaaaaaaaaaaaaaaaaaaa", 404},
        {BASE "/collections/offers%2Fitems", 404},
        {BASE "/../../etc/passwd", 404},
        {BASE "/%2e%2e/%2e%2e/etc/passwd", 404},
        {BASE "//collections", 404},
        {"/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o", 404},
        {BASE "/search?nonsense=1", 400},
        {BASE "/search?near=1", 400},
        {BASE "/search?q=%ff", 400},
        {BASE "/search?q=%00", 400},
        {BASE "/conformance?limit=1", 400},
        {BASE "/api?f=csv", 400},
    };
    struct http_answer answer = {0};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        get(*state, cases[i].target, &answer);
        if (answer.status != cases[i].status)
            fail_msg("%s: %d, expected %d", cases[i].target, answer.status, cases[i].status);
        assert_problem(&answer, cases[i].status);
    }
    get(*state, BASE "/search?nonsense=1", &answer);
    assert_non_null(strstr((const char *)answer.body.data, "near, radius, bbox, bbox-crs, "));
    http_answer_done(&answer);
}

static void test_the_longest_waiting_connection_gives_way(void **state)
{
    struct http_world *world = calloc(1, sizeof(*world));
    struct http_answer answer = {0};
    int slow[4];

    (void)state;
    assert_non_null(world);
    http_world_init(world, 100, 4);
    for (size_t i = 0; i < ARRAY_SIZE(slow); i++) {
        slow[i] = http_client_connect(world);
        http_client_send(slow[i], "GET / HTTP/1.1\r\nHost: ");
        (void)usleep(20000);
    }
    get(world, BASE, &answer);
    assert_int_equal(answer.status, 200);
    assert_true(http_client_closed(slow[0]));
    http_client_send(slow[3], "a\r\n\r\n");
    http_client_read(slow[3], true, &answer);
    assert_int_equal(answer.status, 200);
    for (size_t i = 0; i < ARRAY_SIZE(slow); i++)
        (void)close(slow[i]);
    http_answer_done(&answer);
    http_world_done(world);
    free(world);
}

/* ---- personal properties ---- */

#define ASK_ANNA                                                                                   \
    "{\"type\":\"Feature\",\"geometry\":{\"type\":\"Point\",\"coordinates\":[20.26,63.83]},"       \
    "\"properties\":{\"name\":{\"sv\":\"Bageri\"},\"themes\":[\"food/cafe\"],"                     \
    "\"contact\":{\"name\":\"Anna\",\"email\":\"anna@example.se\"},\"municipality\":\"2480\"}}"

static bool shows_anna(struct http_world *world, const char *target, const char *accept)
{
    struct http_answer answer = {0};
    char line[300];
    bool shown;

    (void)snprintf(line, sizeof(line), "GET %s", target);
    http_client_request(world, line, accept, NULL, &answer);
    assert_int_equal(answer.status, 200);
    buffer_put_u8(&answer.body, 0);
    assert_non_null(strstr((const char *)answer.body.data, "Bageri"));
    shown = strstr((const char *)answer.body.data, "Anna") != NULL ||
            strstr((const char *)answer.body.data, "anna@") != NULL;
    http_answer_done(&answer);
    return shown;
}

static void assert_shown_everywhere(struct http_world *world, const char *id, bool shown)
{
    static const char *const formats[] = {"geojson", "geojsonseq", "csv"};
    char target[200];

    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        (void)snprintf(target, sizeof(target), BASE "/collections/offers/items?f=%s", formats[i]);
        assert_int_equal(shows_anna(world, target, ""), shown);
        (void)strncat(target, "&near=20.26,63.83&radius=1000", sizeof(target) - strlen(target) - 1);
        assert_int_equal(shows_anna(world, target, ""), shown);
    }
    (void)snprintf(target, sizeof(target), BASE "/collections/offers/items/%s", id);
    assert_int_equal(shows_anna(world, target, ""), shown);
    (void)snprintf(target, sizeof(target), "/listing/%s", id);
    assert_int_equal(shows_anna(world, target, "Accept: text/html\r\n"), shown);
}

/*
 * A municipality that cannot be reached cannot tell that somebody wants to be
 * gone either: after max_stale_s its listings are shown without such details.
 */
static void test_an_expired_origin_shows_no_contact(void **state)
{
    struct http_world *world = *state;
    struct http_answer answer = {0};
    char id[FEATURE_ID_SIZE + 1], line[300], etag[80];

    world->foreign.now_ms = INT64_C(1000000000000); /* last heard of in 2001 */
    http_world_publish(world, &world->foreign, COLLECTION_OFFERS, ASK_ANNA, id);
    assert_shown_everywhere(world, id, false);
    (void)snprintf(line, sizeof(line), BASE "/collections/offers/items/%s", id);
    get(world, line, &answer);
    (void)snprintf(etag, sizeof(etag), "%s", http_answer_field(&answer, "ETag"));

    /* It is heard of again: all is shown, and a copy without is known to be another. */
    world->foreign.now_ms = (int64_t)time(NULL) * 1000;
    http_world_publish(world, &world->foreign, COLLECTION_PLACES, ASK_ANNA, line);
    assert_shown_everywhere(world, id, true);
    (void)snprintf(line, sizeof(line), BASE "/collections/offers/items/%s", id);
    get(world, line, &answer);
    assert_string_not_equal(http_answer_field(&answer, "ETag"), etag);
    http_answer_done(&answer);
}

/* The own origin does not expire: its truth is here. */
static void test_the_own_origin_keeps_its_contacts(void **state)
{
    struct http_world *world = *state;
    char id[FEATURE_ID_SIZE + 1];

    world->own.now_ms = INT64_C(1000000000000);
    http_world_publish(world, &world->own, COLLECTION_OFFERS, ASK_ANNA, id);
    assert_shown_everywhere(world, id, true);
}

/* ---- readers that do not read ---- */

#define BIG_BYTES (HTTP_QUEUED_BYTES_MAX / 4 - 4096) /* four fit, five do not */

static enum torg_err big_answer(struct http_exchange *exchange)
{
    exchange->reply.status = 200;
    exchange->reply.type = "application/json";
    buffer_done(&exchange->reply.body);               /* what the last answer has left */
    exchange->reply.body.data = calloc(1, BIG_BYTES); /* untouched, it costs address space only */
    assert_non_null(exchange->reply.body.data);
    exchange->reply.body.size = exchange->reply.body.capacity = BIG_BYTES;
    return TORG_OK;
}

/* Asks, and reads no more than the status. */
static int ask_for_much(const struct http_workers *workers, int *ret_status)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char line[13] = "";

    address.sin_port = htons(http_workers_port(workers));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    http_client_send(fd, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(recv(fd, line, 12, MSG_WAITALL), 12);
    *ret_status = (int)strtol(line + 9, NULL, 10);
    return fd;
}

/* Many who ask for much and read nothing would otherwise take all memory. */
static void test_what_waits_for_readers_is_bounded(void **state)
{
    static const struct http_route route = {
        .method = HTTP_GET,
        .place = HTTP_AT_ROOT,
        .path = "/big",
        .handler = big_answer,
        .formats = HTTP_FORMAT_JSON,
        .format = HTTP_FORMAT_JSON,
    };
    struct http_world *world = *state;
    struct http_workers_options options = {
        .name = "big",
        .node = &world->node,
        .addresses = world->config.http,
        .address_count = 1,
        .threads = 1,
        .connections_max = 100,
        .per_address_max = 100,
        .routes = {.items = &route, .count = 1, .base_path = "/none"},
    };
    struct http_workers *workers;
    int fds[4], status = 0, late;

    assert_ok(http_workers_new(&options, &workers));
    assert_ok(http_workers_start(workers));
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = ask_for_much(workers, &status);
        assert_int_equal(status, 200);
    }
    late = ask_for_much(workers, &status);
    assert_int_equal(status, 503);
    (void)close(late);
    /* One who gives up makes room; the server hears of it in its own time. */
    (void)close(fds[0]);
    for (unsigned i = 0; i < 5000 && status != 200; i++) {
        (void)usleep(1000);
        late = ask_for_much(workers, &status);
        (void)close(late);
    }
    assert_int_equal(status, 200);
    for (size_t i = 1; i < ARRAY_SIZE(fds); i++)
        (void)close(fds[i]);
    http_workers_free(workers);
}

/* ---- many requests at once ---- */

static struct {
    sem_t begun, go_on;
    unsigned many, many_before_one;
} turns;

static enum torg_err answer_many(struct http_exchange *exchange)
{
    if (turns.many++ == 0) {
        assert_int_equal(sem_post(&turns.begun), 0);
        assert_int_equal(sem_wait(&turns.go_on), 0);
    }
    exchange->reply.status = 204;
    return TORG_OK;
}

static enum torg_err answer_one(struct http_exchange *exchange)
{
    turns.many_before_one = turns.many;
    exchange->reply.status = 204;
    return TORG_OK;
}

static int connect_to(const struct http_workers *workers)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_port = htons(http_workers_port(workers));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Each may take seconds: one packet of them must not keep a thread from all others. */
static void test_many_requests_at_once_take_turns(void **state)
{
    static const struct http_route route[] = {
        {.method = HTTP_GET,
         .place = HTTP_AT_ROOT,
         .path = "/many",
         .handler = answer_many,
         .formats = HTTP_FORMAT_JSON,
         .format = HTTP_FORMAT_JSON},
        {.method = HTTP_GET,
         .place = HTTP_AT_ROOT,
         .path = "/one",
         .handler = answer_one,
         .formats = HTTP_FORMAT_JSON,
         .format = HTTP_FORMAT_JSON},
    };
    struct http_world *world = *state;
    struct http_workers_options options = {
        .name = "turns",
        .node = &world->node,
        .addresses = world->config.http,
        .address_count = 1,
        .threads = 1,
        .connections_max = 100,
        .per_address_max = 100,
        .routes = {.items = route, .count = ARRAY_SIZE(route), .base_path = "/none"},
    };
    struct http_workers *workers;
    struct buffer packet = {0};
    char line[12];
    int one, many;

    assert_int_equal(sem_init(&turns.begun, 0, 0), 0);
    assert_int_equal(sem_init(&turns.go_on, 0, 0), 0);
    assert_ok(http_workers_new(&options, &workers));
    assert_ok(http_workers_start(workers));
    one = connect_to(workers);
    http_client_send(one, "GET /one HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(recv(one, line, sizeof(line), 0), sizeof(line)); /* it is accepted */
    many = connect_to(workers);
    for (unsigned i = 0; i < 100; i++)
        buffer_put_str(&packet, "GET /many HTTP/1.1\r\nHost: a\r\n\r\n");
    buffer_put_u8(&packet, 0);
    assert_ok(packet.err);
    http_client_send(many, (const char *)packet.data);
    assert_int_equal(sem_wait(&turns.begun), 0);
    http_client_send(one, "GET /one HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(sem_post(&turns.go_on), 0);
    for (size_t answers = 0, ends = 0; answers < 100;) { /* all of them are answered */
        char c;

        assert_int_equal(recv(many, &c, 1, 0), 1);
        ends = c == '\n' ? ends + 1 : c == '\r' ? ends : 0;
        answers += ends == 2; /* an empty line */
    }
    (void)close(one);
    (void)close(many);
    http_workers_free(workers);
    assert_in_range(turns.many_before_one, 1, 50);
    buffer_done(&packet);
    (void)sem_destroy(&turns.begun);
    (void)sem_destroy(&turns.go_on);
}

/* ---- the page ---- */

static void test_the_page(void **state)
{
    struct http_answer answer = {0};
    struct http_world *world = *state;
    const char *body;
    char id[64];
    char target[200];

    http_world_publish(
        world, &world->own, COLLECTION_OFFERS,
        "{\"type\":\"Feature\",\"geometry\":{\"type\":\"Point\",\"coordinates\":"
        "[20.008,63.68]},\"properties\":{\"name\":\"<script>alert('1')</script>\","
        "\"description\":\"A & B\\n\\n\\\"C\\\"\",\"url\":\"https://x.example/?a&b\","
        "\"themes\":[\"food/cafe\"],\"municipality\":\"2480\","
        "\"price\":{\"amount\":250,\"currency\":\"SEK\"}}}",
        id);
    get(world, "/?place=s%C3%B6rmj%C3%B6le&theme=&radius=30000&q=&collections=", &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(http_answer_field(&answer, "Content-Type"), "text/html; charset=utf-8");
    assert_non_null(
        strstr(http_answer_field(&answer, "Content-Security-Policy"), "default-src 'none'"));
    assert_null(http_answer_field(&answer, "Access-Control-Allow-Origin"));
    body = (const char *)answer.body.data;
    assert_null(strstr(body, "<script"));
    assert_non_null(strstr(body, "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;"));
    assert_non_null(strstr(body, "Sörmjöle"));
    assert_non_null(strstr(body, "Sörmjöle, Umeå"));
    assert_non_null(strstr(body, "GeoNames"));
    assert_non_null(strstr(body, "direkt från källan"));
    (void)snprintf(target, sizeof(target), "/listing/%s", id);
    assert_non_null(strstr(body, target));
    get(world, target, &answer);
    body = (const char *)answer.body.data;
    assert_int_equal(answer.status, 200);
    assert_null(strstr(body, "<script"));
    assert_non_null(strstr(body, "<p>A &amp; B</p><p>&quot;C&quot;</p>"));
    assert_non_null(strstr(body, "href=\"https://x.example/?a&amp;b\""));
    assert_non_null(strstr(body, "250 kr"));
    get(world, "/?place=ingenstans&lang=en", &answer);
    assert_non_null(strstr((const char *)answer.body.data, "We know no place called"));
    get(world, "/torg.css", &answer);
    assert_string_equal(http_answer_field(&answer, "Content-Type"), "text/css; charset=utf-8");
    http_answer_done(&answer);
}

/* A person gets a page, a program problem+json, whatever went wrong. */
static void test_errors_for_people(void **state)
{
    static const char *const targets[] = {"/nothing", "/listing/x", "/?radius=far",
                                          "/listing/aaaaaaaaaaaaa-aaaaaaaaaaaaaaaaaaaaaaaaaa",
                                          "/?place=%22%3E%3Cscript%3E&x=1"};
    struct http_answer answer = {0};

    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        char line[200];

        (void)snprintf(line, sizeof(line), "GET %s", targets[i]);
        http_client_request(*state, line, "Accept: text/html,*/*;q=0.8\r\n", NULL, &answer);
        assert_true(answer.status == 404 || answer.status == 400);
        assert_string_equal(http_answer_field(&answer, "Content-Type"), "text/html; charset=utf-8");
        assert_null(strstr((const char *)answer.body.data, "<script"));
    }
    http_answer_done(&answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_json_resource, http_world_setup,
                                        http_world_teardown),
        cmocka_unit_test_setup_teardown(test_api_document, http_world_setup, http_world_teardown),
        cmocka_unit_test_setup_teardown(test_list_near, http_world_setup, http_world_teardown),
        cmocka_unit_test_setup_teardown(test_areas, http_world_setup, http_world_teardown),
        cmocka_unit_test_setup_teardown(test_what_lies_around_a_box, http_world_setup,
                                        http_world_teardown),
        cmocka_unit_test_setup_teardown(test_who_comes, http_world_setup, http_world_teardown),
        cmocka_unit_test_setup_teardown(test_order, http_world_setup, http_world_teardown),
        cmocka_unit_test_setup_teardown(test_an_area_that_crosses_itself, http_world_setup,
                                        http_world_teardown),
        cmocka_unit_test_setup_teardown(test_paging_sees_each_listing_once, http_world_setup,
                                        http_world_teardown),
        cmocka_unit_test_setup_teardown(test_a_cursor_fits_its_query_only, http_world_setup,
                                        http_world_teardown),
        cmocka_unit_test_setup_teardown(test_filters, http_world_setup, http_world_teardown),
        cmocka_unit_test_setup_teardown(test_suggestions, http_world_setup, http_world_teardown),
        cmocka_unit_test_setup_teardown(test_other_formats, http_world_setup, http_world_teardown),
        cmocka_unit_test_setup_teardown(test_a_long_query_comes_back_whole, http_world_setup,
                                        http_world_teardown),
        cmocka_unit_test_setup_teardown(test_gzip, http_world_setup, http_world_teardown),
        cmocka_unit_test_setup_teardown(test_federation, http_world_setup, http_world_teardown),
        cmocka_unit_test_setup_teardown(test_lists_have_tags, http_world_setup,
                                        http_world_teardown),
        cmocka_unit_test_setup_teardown(test_documents_have_tags, http_world_setup,
                                        http_world_teardown),
        cmocka_unit_test_setup_teardown(test_a_listing_lives_and_dies, http_world_setup,
                                        http_world_teardown),
        cmocka_unit_test_setup_teardown(test_a_write_heeds_every_condition, http_world_setup,
                                        http_world_teardown),
        cmocka_unit_test_setup_teardown(test_writing_is_refused, http_world_setup,
                                        http_world_teardown),
        cmocka_unit_test_setup_teardown(test_too_large_a_body, http_world_setup,
                                        http_world_teardown),
        cmocka_unit_test_setup_teardown(test_every_mistake_is_named, http_world_setup,
                                        http_world_teardown),
        cmocka_unit_test_setup_teardown(test_what_the_writer_cannot, http_world_setup,
                                        http_world_teardown),
        cmocka_unit_test_setup_teardown(test_the_client_hangs_up_while_its_write_waits,
                                        http_world_setup, http_world_teardown),
        cmocka_unit_test(test_stopping_while_a_write_waits),
        cmocka_unit_test_setup_teardown(test_pipelined_requests_are_answered_in_order,
                                        http_world_setup, http_world_teardown),
        cmocka_unit_test_setup_teardown(test_doubtful_bytes_close, http_world_setup,
                                        http_world_teardown),
        cmocka_unit_test_setup_teardown(test_one_byte_at_a_time, http_world_setup,
                                        http_world_teardown),
        cmocka_unit_test_setup_teardown(test_chunked_and_expected_bodies, http_world_setup,
                                        http_world_teardown),
        cmocka_unit_test_setup_teardown(test_doubtful_chunks_close, http_world_setup,
                                        http_world_teardown),
        cmocka_unit_test_setup_teardown(test_http_1_0, http_world_setup, http_world_teardown),
        cmocka_unit_test_setup_teardown(test_options_and_negotiation, http_world_setup,
                                        http_world_teardown),
        cmocka_unit_test_setup_teardown(test_wrong_targets, http_world_setup, http_world_teardown),
        cmocka_unit_test(test_the_longest_waiting_connection_gives_way),
        cmocka_unit_test_setup_teardown(test_an_expired_origin_shows_no_contact, http_world_setup,
                                        http_world_teardown),
        cmocka_unit_test_setup_teardown(test_the_own_origin_keeps_its_contacts, http_world_setup,
                                        http_world_teardown),
        cmocka_unit_test_setup_teardown(test_what_waits_for_readers_is_bounded, http_world_setup,
                                        http_world_teardown),
        cmocka_unit_test_setup_teardown(test_many_requests_at_once_take_turns, http_world_setup,
                                        http_world_teardown),
        cmocka_unit_test_setup_teardown(test_the_page, http_world_setup, http_world_teardown),
        cmocka_unit_test_setup_teardown(test_errors_for_people, http_world_setup,
                                        http_world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
