/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/http_crs.h"
#include "tests/support/http_world.h"

/*
 * What the OGC's standards promise to map programs beyond the core. They
 * believe it: a wrong order of axes puts a café into the Indian Ocean.
 */
#define BASE "/torg/v1"
#define CRS "http://www.opengis.net/def/crs/"

/* GET with further fields; the status must be as expected. */
static void ask(struct http_world *world, const char *target, const char *fields, int status,
                struct http_answer *answer)
{
    char line[1100];

    (void)snprintf(line, sizeof(line), "GET %s", target);
    http_client_request(world, line, fields, NULL, answer);
    if (answer->status != status)
        fail_msg("%s: %d, expected %d: %.300s", target, answer->status, status,
                 answer->body.size ? (const char *)answer->body.data : "");
}

static json_t *ask_json(struct http_world *world, const char *target)
{
    struct http_answer answer = {0};
    json_t *json;

    ask(world, target, "", 200, &answer);
    json = json_loadb((const char *)answer.body.data, answer.body.size, 0, NULL);
    assert_non_null(json);
    http_answer_done(&answer);
    return json;
}

static void publish_at(struct http_world *world, double lon_deg, double lat_deg, char *ret_id)
{
    char text[300];

    (void)snprintf(text, sizeof(text),
                   "{\"type\":\"Feature\",\"geometry\":{\"type\":\"Point\",\"coordinates\":[%.7f,"
                   "%.7f]},\"properties\":{\"name\":\"Plats\",\"themes\":[\"food/cafe\"]}}",
                   lon_deg, lat_deg);
    http_world_publish(world, &world->own, COLLECTION_OFFERS, text, ret_id);
}

/* ---- coordinate systems ---- */

static void test_one_listing_in_every_system(void **state)
{
    static const struct {
        const char *crs;
        const char *position;
    } cases[] = {
        {"OGC/1.3/CRS84", "[20.263,63.8258]"},
        {"EPSG/0/4326", "[63.8258,20.263]"},
        {"EPSG/0/3006", "[7088280.7982,758803.4353]"},
        {"EPSG/0/25833", "[758803.4353,7088280.7982]"},
        {"EPSG/0/3857", "[2255666.8419,9305665.255]"},
    };
    struct http_world *world = *state;
    struct http_answer answer = {0};
    char target[300], field[200], etag[2][80], id[FEATURE_ID_SIZE + 1];

    publish_at(world, 20.2630, 63.8258, id);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        (void)snprintf(field, sizeof(field), "<" CRS "%s>", cases[i].crs);
        (void)snprintf(target, sizeof(target), BASE "/collections/offers/items/%s?crs=" CRS "%s",
                       id, cases[i].crs);
        ask(world, target, "", 200, &answer);
        assert_string_equal(http_answer_field(&answer, "Content-Crs"), field);
        assert_non_null(strstr((const char *)answer.body.data, cases[i].position));
        (void)snprintf(etag[1], sizeof(etag[1]), "%s", http_answer_field(&answer, "ETag"));
        if (i) /* other bytes, another tag */
            assert_string_not_equal(etag[0], etag[1]);
        memcpy(etag[0], etag[1], sizeof(etag[0]));
        (void)snprintf(field, sizeof(field), "If-None-Match: %s\r\n", etag[1]);
        ask(world, target, field, 304, &answer);
        (void)snprintf(target, sizeof(target), BASE "/search?near=20.263,63.8258&crs=" CRS "%s",
                       cases[i].crs);
        ask(world, target, "", 200, &answer);
        assert_non_null(strstr((const char *)answer.body.data, cases[i].position));
        assert_non_null(strstr((const char *)answer.body.data, "\"distance\":0}"));
        assert_non_null(http_answer_field(&answer, "Content-Crs"));
    }
    ask(world, BASE "/search", "", 200, &answer);
    assert_string_equal(http_answer_field(&answer, "Content-Crs"), "<" CRS "OGC/1.3/CRS84>");
    ask(world, BASE "/search?crs=EPSG:3021", "", 400, &answer);
    ask(world, BASE "/search?bbox=1,2,3,4&bbox-crs=x", "", 400, &answer);
    ask(world, BASE "/collections/offers/items?f=csv&crs=EPSG:3006", "", 400, &answer);
    http_answer_done(&answer);
}

/* The box of each listing alone finds that listing: in every system, near every edge. */
static void test_boxes_in_every_system(void **state)
{
    static const double places[][2] = {
        {20.2630, 63.8258}, {11.2, 59}, {24.1, 65.8}, {15, 69}, {13.4, 55.4}};
    struct http_world *world = *state;
    struct http_answer answer = {0};

    for (size_t i = 0; i < ARRAY_SIZE(places); i++)
        publish_at(world, places[i][0], places[i][1], NULL);
    for (enum geo_crs crs = GEO_CRS84; http_crs_uri(crs); crs++) {
        struct geo_transform *transform;

        assert_ok(geo_transform_new(crs, &transform));
        for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
            struct geo_point point = {places[i][0], places[i][1]};
            double first, second, half = crs <= GEO_EPSG_4326 ? 1e-6 : 0.1;
            char target[400];

            assert_ok(geo_transform_back_wide(transform, point, &first, &second));
            (void)snprintf(target, sizeof(target),
                           BASE "/search?bbox=%.7f,%.7f,%.7f,%.7f&bbox-crs=%s", first - half,
                           second - half, first + half, second + half, http_crs_uri(crs));
            ask(world, target, "", 200, &answer);
            assert_non_null(strstr((const char *)answer.body.data, "\"numberMatched\":1,"));
            (void)snprintf(target, sizeof(target),
                           BASE "/search?bbox=%.7f,%.7f,%.7f,%.7f&bbox-crs=%s", first + 2 * half,
                           second - half, first + 4 * half, second + half, http_crs_uri(crs));
            ask(world, target, "", 200, &answer);
            assert_non_null(strstr((const char *)answer.body.data, "\"numberMatched\":0,"));
        }
        geo_transform_free(transform);
    }
    /* Beside the earth there is nothing, which is no mistake. */
    ask(world, BASE "/search?bbox=5e8,5e8,6e8,6e8&bbox-crs=EPSG:3006", "", 200, &answer);
    assert_non_null(strstr((const char *)answer.body.data, "\"numberMatched\":0,"));
    ask(world, BASE "/search?bbox=200,100,210,110&bbox-crs=EPSG:4326", "", 200, &answer);
    ask(world, BASE "/search?bbox=200,100,210,110", "", 400, &answer);
    ask(world, BASE "/search?bbox=2,1,1,2&bbox-crs=EPSG:3006", "", 400, &answer);
    http_answer_done(&answer);
}

static void test_systems_are_told(void **state)
{
    struct http_world *world = *state;
    json_t *json = ask_json(world, BASE "/collections/offers");
    const json_t *list = json_object_get(json, "crs");

    assert_int_equal(json_array_size(list), 5);
    for (size_t i = 0; i < json_array_size(list); i++) {
        char target[300];
        struct http_answer answer = {0};

        (void)snprintf(target, sizeof(target), BASE "/collections/offers/items?crs=%s",
                       json_string_value(json_array_get(list, i)));
        ask(world, target, "", 200, &answer);
        http_answer_done(&answer);
    }
    assert_string_equal(json_string_value(json_object_get(json, "storageCrs")),
                        CRS "OGC/1.3/CRS84");
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_listing_in_every_system, http_world_setup,
                                        http_world_teardown),
        cmocka_unit_test_setup_teardown(test_boxes_in_every_system, http_world_setup,
                                        http_world_teardown),
        cmocka_unit_test_setup_teardown(test_systems_are_told, http_world_setup,
                                        http_world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
