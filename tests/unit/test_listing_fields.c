/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/listing.h"
#include "protocol/listing_geojson.h"
#include "protocol/num.h"
#include "protocol/profile.h"
#include "tests/support/listing_random.h"
#include "tests/support/test.h"

static struct buffer body;

static void feature(uint8_t collection, const char *geometry, const char *properties)
{
    static struct problems problems;
    struct buffer text = {0};
    json_t *json = NULL;
    char message[160];

    buffer_clear(&body);
    problems.count = 0;
    buffer_printf(&text, "{\"type\":\"Feature\",\"geometry\":%s,\"properties\":{%s}}", geometry,
                  properties);
    assert_ok(listing_json_parse(buffer_span(&text), &json, message, sizeof(message)));
    if (listing_of_geojson(collection, json, "sv", 7, 8, &body, &problems))
        fail_msg("%s %s", problems.items[0].path, problems.items[0].text);
    json_decref(json);
    buffer_done(&text);
}

static struct listing_fields read(uint8_t collection)
{
    struct listing_fields fields;

    assert_ok(listing_fields_read(collection, buffer_span(&body), &fields));
    return fields;
}

static void assert_span(struct span got, const char *want)
{
    if (!span_equal(got, span_of_str(want)))
        fail_msg("\"%.*s\", expected \"%s\"", (int)got.size, (const char *)got.data, want);
}

static void assert_time(int64_t got, const char *want)
{
    int64_t ms;

    assert_ok(num_parse_time(span_of_str(want), &ms));
    if (got != ms)
        fail_msg("%lld, expected %s (%lld)", (long long)got, want, (long long)ms);
}

static void test_what_the_index_needs(void **state)
{
    struct listing_fields f;

    (void)state;
    feature(COLLECTION_NEEDS, "{\"type\":\"Point\",\"coordinates\":[17.9,66.05]}",
            "\"name\":{\"en\":\"Char\",\"sv\":\"Röding\"},\"themes\":[\"food\",\"nature/fishing\"],"
            "\"municipality\":\"2506\",\"countryCode\":\"SE\",\"area\":\"Norrbotten\","
            "\"asker\":\"company\",\"form\":\"formal\",\"provider\":"
            "\"aaaaaaaaaaaaa-aeaqcaibaeaqcaibaeaqcaibae\",\"validFrom\":\"2026-01-01T00:00:00Z\","
            "\"identifiers\":{\"source\":{\"system\":\"visit\",\"id\":\"cn-1\"}}");
    f = read(COLLECTION_NEEDS);
    assert_true(f.has_geometry);
    assert_true(f.is_point);
    assert_int_equal(f.point.lon_e7, 179000000);
    assert_int_equal(f.box_min.lat_e7, 660500000);
    assert_int_equal(f.theme_count, 2);
    assert_span(f.themes[1], "nature/fishing");
    assert_span(f.name, "Röding");
    assert_int_equal(f.names.data[0], 0x82);
    assert_span(f.municipality, "2506");
    assert_span(f.country_code, "SE");
    assert_span(f.area, "Norrbotten");
    assert_span(f.asker, "company");
    assert_span(f.form, "formal");
    assert_span(f.source_system, "visit");
    assert_span(f.source_id, "cn-1");
    assert_int_equal(f.provider[8], 1);
    assert_int_equal(f.created_ms, 7);
    assert_int_equal(f.modified_ms, 8);
    assert_time(f.time_from_ms, "2026-01-01T00:00:00Z");
    assert_true(f.time_through_ms == INT64_MAX);
    assert_false(f.moved);
}

static void test_name_and_box_of_what_is_no_point(void **state)
{
    struct listing_fields f;

    (void)state;
    feature(COLLECTION_PLACES,
            "{\"type\":\"Polygon\",\"coordinates\":[[[-3,1],[5,1],[5,10],[-3,10],[-3,1]]]}",
            "\"name\":{\"se\":\"Jávri\",\"en\":\"Lake\"},\"themes\":[\"nature\"]");
    f = read(COLLECTION_PLACES);
    assert_span(f.name, "Lake");
    assert_false(f.is_point);
    assert_int_equal(f.box_min.lon_e7, -30000000);
    assert_int_equal(f.box_max.lat_e7, 100000000);
    assert_int_equal(f.point.lon_e7, 10000000);
    assert_int_equal(f.point.lat_e7, 55000000);
    feature(COLLECTION_PLACES, "null", "\"name\":\"x\",\"themes\":[\"nature\"]");
    f = read(COLLECTION_PLACES);
    assert_false(f.has_geometry);
    assert_int_equal(f.geometry.size, 0);
}

static void assert_span_of_event(const char *properties, const char *from, const char *through)
{
    struct listing_fields f;
    struct buffer all = {0};

    buffer_printf(&all, "\"name\":\"x\",\"themes\":[\"culture\"],%s%c", properties, 0);
    feature(COLLECTION_EVENTS, "null", (const char *)all.data);
    buffer_done(&all);
    f = read(COLLECTION_EVENTS);
    assert_time(f.time_from_ms, from);
    if (through)
        assert_time(f.time_through_ms, through);
    else
        assert_true(f.time_through_ms == INT64_MAX);
}

/* "What is on this weekend" must not miss what is, nor show what was. */
static void test_when_events_happen(void **state)
{
    (void)state;
    assert_span_of_event("\"start\":\"2026-07-04T18:00\",\"end\":\"2026-07-04T20:00\"",
                         "2026-07-04T16:00:00Z", "2026-07-04T18:00:00Z");
    assert_span_of_event("\"start\":\"2026-12-04T18:00[Europe/Helsinki]\"", "2026-12-04T16:00:00Z",
                         "2026-12-04T21:59:59.999Z");
    assert_span_of_event("\"start\":\"2026-07-04\",\"end\":\"2026-07-05\"", "2026-07-03T22:00:00Z",
                         "2026-07-05T21:59:59.999Z");
    assert_span_of_event("\"start\":\"2026-07-04\"", "2026-07-03T22:00:00Z",
                         "2026-07-04T21:59:59.999Z");
    /* validFrom and validThrough say when it is announced, not when it is. */
    assert_span_of_event("\"start\":\"2026-07-04\",\"validThrough\":\"2026-06-01\"",
                         "2026-07-03T22:00:00Z", "2026-07-04T21:59:59.999Z");
    assert_span_of_event("\"validFrom\":\"2026-06-01\",\"validThrough\":\"2026-06-02\"",
                         "2026-05-31T22:00:00Z", "2026-06-02T21:59:59.999Z");
}

static void test_until_when_events_repeat(void **state)
{
#define START "\"start\":\"2026-07-04T18:00\",\"end\":\"2026-07-04T20:00\",\"recurrence\":"
    (void)state;
    assert_span_of_event(START "{\"rule\":\"FREQ=WEEKLY\"}", "2026-07-04T16:00:00Z", NULL);
    assert_span_of_event(START "{\"rule\":\"FREQ=WEEKLY;UNTIL=20260901T160000Z\"}",
                         "2026-07-04T16:00:00Z", "2026-09-01T18:00:00Z");
    assert_span_of_event(START "{\"rule\":\"FREQ=MONTHLY;UNTIL=20261231\"}", "2026-07-04T16:00:00Z",
                         "2027-01-01T00:59:59.999Z");
    assert_span_of_event(START "{\"rule\":\"FREQ=MONTHLY;UNTIL=20261231T180000\"}",
                         "2026-07-04T16:00:00Z", "2026-12-31T19:00:00Z");
    /* Ten weeks, and one to spare. */
    assert_span_of_event(START "{\"rule\":\"FREQ=WEEKLY;COUNT=10;BYDAY=SA\"}",
                         "2026-07-04T16:00:00Z", "2026-09-19T18:00:00Z");
    assert_span_of_event(START "{\"rule\":\"FREQ=DAILY;INTERVAL=2;COUNT=3\"}",
                         "2026-07-04T16:00:00Z", "2026-07-11T18:00:00Z");
    /* What may skip steps stays open. */
    assert_span_of_event(START "{\"rule\":\"FREQ=MONTHLY;COUNT=3\"}", "2026-07-04T16:00:00Z", NULL);
    assert_span_of_event(START "{\"rule\":\"FREQ=DAILY;COUNT=3;BYMONTH=7\"}",
                         "2026-07-04T16:00:00Z", NULL);
    assert_span_of_event(START "{\"rule\":\"FREQ=DAILY;COUNT=3;BYDAY=MO\"}", "2026-07-04T16:00:00Z",
                         NULL);
}

static void pack_local_start(const char *local, const char *zone)
{
    buffer_clear(&body);
    pack_map(&body, 1);
    pack_str(&body, span_of_str("start"));
    pack_array(&body, 2);
    pack_str(&body, span_of_str(local));
    pack_str(&body, span_of_str(zone));
}

/* An event of a country whose zone we do not compute must be found rather too early and too long.
 */
static void test_unknown_zones_are_widened(void **state)
{
    struct listing_fields f;

    (void)state;
    pack_local_start("2026-07-04T18:00:00", "America/Nuuk");
    f = read(COLLECTION_EVENTS);
    assert_time(f.time_from_ms, "2026-07-04T04:00:00Z");
    assert_time(f.time_through_ms, "2026-07-05T13:59:59.999Z");
    pack_local_start("2026-07-04T18:00:00", "no zone");
    assert_err(listing_fields_read(COLLECTION_EVENTS, buffer_span(&body), &f), TORG_E_INVALID);
    pack_local_start("tomorrow", "UTC");
    assert_err(listing_fields_read(COLLECTION_EVENTS, buffer_span(&body), &f), TORG_E_INVALID);
    /* In other collections it is an unknown property and nobody's business. */
    f = read(COLLECTION_OFFERS);
    assert_true(f.time_from_ms == INT64_MIN);
}

static void test_moved(void **state)
{
    struct listing_fields f;

    (void)state;
    feature(COLLECTION_OFFERS, "null", "\"movedTo\":\"aaaaaaaaaaaaa-aeaqcaibaeaqcaibaeaqcaibae\"");
    f = read(COLLECTION_OFFERS);
    assert_true(f.moved);
    assert_int_equal(f.moved_to[8], 1);
    assert_int_equal(f.names.size, 0);
}

/* The worked example of the protocol has neither themes nor times. */
static void test_what_is_absent(void **state)
{
    static const uint8_t example[] = "\x82\xa8geometry\x92\xa5Point\x92\xce\x0a\xab\x52\xc0\xce\x27"
                                     "\x5e\x6e\x20\xa4name\x81\xa2sv\xa7R\xc3\xb6"
                                     "ding";
    struct listing_fields f;

    (void)state;
    assert_ok(listing_fields_read(COLLECTION_OFFERS, span_of(example, sizeof(example) - 1), &f));
    assert_span(f.name, "Röding");
    assert_int_equal(f.theme_count, 0);
    assert_true(f.time_from_ms == INT64_MIN && f.time_through_ms == INT64_MAX);
    assert_ok(listing_fields_read(COLLECTION_OFFERS, span_of("\x80", 1), &f));
}

/* A stranger's body of wrong types must be refused, not believed. */
static void test_wrong_types_are_refused(void **state)
{
    static const char *const bodies[] = {
        "\x01",                       /* no map */
        "\x81\xa4name\xa1x",          /* name: text, not a map */
        "\x81\xa4name\x80",           /* name in no language */
        "\x81\xa4name\x81\xa2sv\x01", /* name: a number */
        "\x81\xa6themes\xa4"
        "food", /* no list */
        "\x81\xa6themes\x91\xa4"
        "Food", /* no slug */
        "\x81\xa6themes\x99\xa1"
        "a\xa1"
        "b\xa1"
        "c\xa1"
        "d\xa1"
        "e\xa1"
        "f\xa1"
        "g\xa1"
        "h\xa1i",                                                    /* nine */
        "\x81\xa8geometry\x92\xa5Point\x91\x01",                     /* one coordinate */
        "\x81\xa8geometry\x92\xa5Point\x93\x01\x01\x01",             /* three */
        "\x81\xa8geometry\x92\xa5Point\x92\x01\xce\x35\xa4\xe9\x01", /* latitude above 90 */
        "\x81\xa8geometry\x92\xa7Polygon\x90",                       /* empty */
        "\x81\xa8geometry\x92\xa7Polygon\x91\x92\x01\x01",           /* too flat */
        "\x81\xa8geometry\x92\xa6"
        "Circle\x92\x01\x01",               /* no such shape */
        "\x81\xa8geometry\xc0",             /* nil */
        "\x81\xacmunicipality\xcd\x09\xb0", /* a number */
        "\x81\xacmunicipality\xa8"
        "12345678",                                   /* too long for the index */
        "\x81\xa8provider\xa1x",                      /* no reference */
        "\x81\xa9validFrom\xa1x",                     /* no time */
        "\x81\xabidentifiers\x81\xa6source\x91\xa1x", /* half a source */
        "\x81\xa7movedTo\xc4\x01x",                   /* short */
        "\x81\xa7"
        "created\xa1x",
    };
    struct listing_fields f;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
        if (listing_fields_read(COLLECTION_EVENTS, span_of_str(bodies[i]), &f) != TORG_E_INVALID)
            fail_msg("body %zu was taken", i);
    }
}

/* Whatever bytes come: an answer, within the bytes. Run under the sanitizers. */
static void test_damaged_bodies_do_no_harm(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        uint64_t random = seed;
        uint8_t collection = listing_random_collection(&random);
        struct listing_meta meta = {.collection = collection};
        struct buffer damaged = {0}, json = {0};
        struct listing_fields f;
        enum torg_err err;

        assert_ok(listing_random_body(&random, collection, &damaged));
        for (int i = 0; i < 3; i++)
            damaged.data[test_random_below(&random, damaged.size)] = (uint8_t)test_random(&random);
        err = listing_fields_read(collection, buffer_span(&damaged), &f);
        assert_true(err == TORG_OK || err == TORG_E_INVALID);
        err = listing_put_geojson(&meta, buffer_span(&damaged), &json);
        assert_true(err == TORG_OK || err == TORG_E_INVALID);
        assert_int_equal(err == TORG_OK, json.size > 0);
        buffer_done(&damaged);
        buffer_done(&json);
    }
}

static int done(void **state)
{
    (void)state;
    buffer_done(&body);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_the_index_needs),
        cmocka_unit_test(test_name_and_box_of_what_is_no_point),
        cmocka_unit_test(test_when_events_happen),
        cmocka_unit_test(test_until_when_events_repeat),
        cmocka_unit_test(test_unknown_zones_are_widened),
        cmocka_unit_test(test_moved),
        cmocka_unit_test(test_what_is_absent),
        cmocka_unit_test(test_wrong_types_are_refused),
        cmocka_unit_test(test_damaged_bodies_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, done);
}
