/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/listing_geojson.h"
#include "protocol/profile.h"
#include "tests/support/listing_random.h"
#include "tests/support/test.h"

static const struct listing_meta meta = {
    .collection = COLLECTION_OFFERS,
    .origin = {{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 9, 9}},
    .id = {{0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
};

static json_t *parsed(struct span text)
{
    json_t *json = NULL;
    char message[200];

    if (listing_json_parse(text, &json, message, sizeof(message)))
        fail_msg("%s in %.*s", message, (int)text.size, (const char *)text.data);
    return json;
}

static void packed(uint8_t collection, const char *text, struct buffer *out)
{
    static struct problems problems;
    json_t *feature = parsed(span_of_str(text));

    problems.count = 0;
    if (listing_of_geojson(collection, feature, "sv", 1000, 2000, out, &problems))
        fail_msg("%s: %s %s", text, problems.items[0].path, problems.items[0].text);
    json_decref(feature);
}

/* What is signed here must mean the same at every node that shows it, and come back as sent. */
static void test_random_listings_come_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        static struct problems problems;
        uint64_t random = seed;
        struct listing_meta m = meta;
        struct buffer body = {0}, json = {0}, again = {0};
        json_t *feature;

        m.collection = listing_random_collection(&random);
        problems.count = 0;
        assert_ok(listing_random_body(&random, m.collection, &body));
        assert_ok(profile_check(buffer_span(&body)));
        assert_ok(listing_put_geojson(&m, buffer_span(&body), &json));
        feature = parsed(buffer_span(&json));
        if (listing_of_geojson(m.collection, feature, "en", INT64_C(1790000000000),
                               INT64_C(1790000000001), &again, &problems))
            fail_msg("seed %d: %s %s in %.*s", (int)seed, problems.items[0].path,
                     problems.items[0].text, (int)json.size, (const char *)json.data);
        if (!span_equal(buffer_span(&body), buffer_span(&again)))
            fail_msg("seed %d came back changed: %.*s", (int)seed, (int)json.size,
                     (const char *)json.data);
        json_decref(feature);
        buffer_done(&body);
        buffer_done(&json);
        buffer_done(&again);
    }
}

/* Frontends and the index rely on this very text; a change here is a change of the API. */
static void test_a_feature_as_it_is_sent(void **state)
{
    static const char sent[] =
        "{\"type\":\"Feature\",\"geometry\":{\"type\":\"Point\",\"coordinates\":[17.9,66.05,420]},"
        "\"properties\":{\"name\":{\"sv\":\"R\u00f6ding\",\"en\":\"Char\"},\"themes\":"
        "[\"nature/fishing\"],\"price\":{\"amount\":199.50,\"currency\":\"SEK\"},"
        "\"description\":\"En\\r\\nrad\",\"validThrough\":\"2026-08-31\",\"example\":true,"
        "\"identifiers\":{\"source\":{\"system\":\"visit\",\"id\":\"7\"}}}}";
    static const char want[] =
        "{\"type\":\"Feature\",\"id\":\"aerukz4jvpg66-74aqeayeaudaocajbifqydiob4\","
        "\"geometry\":{\"type\":\"Point\",\"coordinates\":[17.9,66.05]},"
        "\"properties\":{\"collection\":\"offers\",\"origin\":\"0123456789abcdef\","
        "\"created\":\"1970-01-01T00:00:01Z\",\"description\":{\"sv\":\"En\\nrad\"},"
        "\"example\":true,\"identifiers\":{\"source\":{\"system\":\"visit\",\"id\":\"7\"}},"
        "\"modified\":\"1970-01-01T00:00:02Z\",\"name\":{\"en\":\"Char\",\"sv\":\"R\u00f6ding\"},"
        "\"price\":{\"amount\":199.5,\"currency\":\"SEK\"},\"themes\":[\"nature/fishing\"],"
        "\"validThrough\":\"2026-08-31T21:59:59.999Z\"}}";
    struct buffer body = {0}, json = {0};

    (void)state;
    packed(COLLECTION_OFFERS, sent, &body);
    assert_ok(listing_put_geojson(&meta, buffer_span(&body), &json));
    buffer_put_u8(&json, 0);
    assert_string_equal((const char *)json.data, want);
    buffer_done(&body);
    buffer_done(&json);
}

/* The feature of a body that is packed here, with the part between two texts compared. */
static void assert_shows(struct span body, const char *want)
{
    struct buffer json = {0};

    assert_ok(listing_put_geojson(&meta, body, &json));
    json_decref(parsed(buffer_span(&json)));
    buffer_put_u8(&json, 0);
    if (!strstr((const char *)json.data, want))
        fail_msg("%s is not in %s", want, (const char *)json.data);
    buffer_done(&json);
}

static void assert_property(uint8_t collection, const char *sent, const char *want)
{
    struct buffer text = {0}, body = {0};

    buffer_printf(&text,
                  "{\"type\":\"Feature\",\"geometry\":null,\"properties\":{\"name\":\"x\","
                  "\"themes\":[\"food\"],%s}}%c",
                  sent, 0);
    packed(collection, (const char *)text.data, &body);
    assert_shows(buffer_span(&body), want);
    buffer_done(&text);
    buffer_done(&body);
}

/* Each way to write a time or a number that we accept, and the one way in which we do. */
static void test_forms_of_values(void **state)
{
    (void)state;
    assert_property(COLLECTION_EVENTS, "\"start\":\"2026-07-04T18:00\"",
                    "\"start\":\"2026-07-04T18:00:00+02:00[Europe/Stockholm]\"");
    assert_property(COLLECTION_EVENTS, "\"start\":\"2026-12-04 18:00[Europe/Helsinki]\"",
                    "\"start\":\"2026-12-04T18:00:00+02:00[Europe/Helsinki]\"");
    assert_property(COLLECTION_EVENTS, "\"start\":\"2026-07-04T16:00:00Z\"",
                    "\"start\":\"2026-07-04T18:00:00+02:00[Europe/Stockholm]\"");
    assert_property(COLLECTION_EVENTS, "\"start\":\"2026-07-04T16:00:00Z[Europe/Helsinki]\"",
                    "\"start\":\"2026-07-04T19:00:00+03:00[Europe/Helsinki]\"");
    assert_property(COLLECTION_EVENTS, "\"start\":\"2026-07-04T18:00:00+02:00[Europe/Stockholm]\"",
                    "\"start\":\"2026-07-04T18:00:00+02:00[Europe/Stockholm]\"");
    assert_property(COLLECTION_EVENTS, "\"start\":\"2026-10-25T02:30:00+01:00\"",
                    "\"start\":\"2026-10-25T02:30:00+02:00[Europe/Stockholm]\"");
    assert_property(COLLECTION_EVENTS, "\"start\":\"2026-07-04\"",
                    "\"start\":\"2026-07-04[Europe/Stockholm]\"");
    assert_property(COLLECTION_OFFERS, "\"validFrom\":\"2026-07-04\"",
                    "\"validFrom\":\"2026-07-03T22:00:00Z\"");
    assert_property(COLLECTION_OFFERS, "\"validThrough\":\"2026-12-24[Europe/Helsinki]\"",
                    "\"validThrough\":\"2026-12-24T21:59:59.999Z\"");
    assert_property(COLLECTION_OFFERS, "\"validFrom\":\"2026-07-04T09:00:00.5+02:00\"",
                    "\"validFrom\":\"2026-07-04T07:00:00.500Z\"");
    assert_property(COLLECTION_COURSES, "\"credits\":7.50", "\"credits\":7.5,");
    assert_property(COLLECTION_COURSES, "\"credits\":1e2", "\"credits\":100,");
    assert_property(COLLECTION_COURSES, "\"credits\":0", "\"credits\":0,");
    assert_property(COLLECTION_OFFERS, "\"price\":{\"amount\":1e3,\"currency\":\"ISK\"}",
                    "\"price\":{\"amount\":1000,\"currency\":\"ISK\"}");
    assert_property(COLLECTION_OFFERS, "\"price\":{\"amount\":0.07,\"currency\":\"SEK\"}",
                    "\"price\":{\"amount\":0.07,\"currency\":\"SEK\"}");
    assert_property(COLLECTION_COMPANIES, "\"identifiers\":{\"organisationNumber\":\"5560360793\"}",
                    "\"556036-0793\"");
    assert_property(COLLECTION_COMPANIES,
                    "\"identifiers\":{\"organisationNumber\":\"165560360793\"}", "\"556036-0793\"");
    assert_property(COLLECTION_PLACES,
                    "\"openingHours\":[{\"days\":\"MO\",\"opens\":\"09:00\",\"closes\":\"17:00\","
                    "\"zone\":\"UTC\",\"through\":\"2026-08-31\"}]",
                    "[{\"days\":\"MO\",\"opens\":\"09:00\",\"closes\":\"17:00\",\"zone\":\"UTC\","
                    "\"through\":\"2026-08-31\"}]");
}

static void assert_geometry(const char *sent, const char *want)
{
    struct buffer text = {0}, body = {0};

    buffer_printf(&text,
                  "{\"type\":\"Feature\",\"geometry\":%s,\"properties\":{\"name\":\"x\","
                  "\"themes\":[\"food\"]}}%c",
                  sent, 0);
    packed(COLLECTION_PLACES, (const char *)text.data, &body);
    assert_shows(buffer_span(&body), want);
    buffer_done(&text);
    buffer_done(&body);
}

/* A coordinate that moves by a grid step on each import would drift for ever. */
static void test_coordinates_are_exact(void **state)
{
    (void)state;
    assert_geometry("{\"type\":\"Point\",\"coordinates\":[17.12345675,-66.12345675]}",
                    "[17.1234568,-66.1234568]");
    assert_geometry("{\"type\":\"Point\",\"coordinates\":[17.12345674999,0.00000005]}",
                    "[17.1234567,0.0000001]");
    assert_geometry("{\"type\":\"Point\",\"coordinates\":[1e-7,-4.9e-8]}", "[0.0000001,0]");
    assert_geometry("{\"type\":\"Point\",\"coordinates\":[-180,90,420.5]}", "[-180,90]");
    assert_geometry("{\"type\":\"Point\",\"coordinates\":[1.7e1,6.605E+1]}", "[17,66.05]");
}

/* Clients that fill by winding paint the whole world but the hunting ground. */
static void test_rings_turn_by_the_right_hand_rule(void **state)
{
    (void)state;
    assert_geometry("{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[0,9],[9,9],[9,0],[0,0]],"
                    "[[1,1],[2,1],[2,2],[1,2],[1,1]]]}",
                    "[[[0,0],[9,0],[9,9],[0,9],[0,0]],[[1,1],[1,2],[2,2],[2,1],[1,1]]]");
    assert_geometry("{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[9,0],[9,9],[0,9],[0,0]],"
                    "[[1,1],[1,2],[2,2],[2,1],[1,1]]]}",
                    "[[[0,0],[9,0],[9,9],[0,9],[0,0]],[[1,1],[1,2],[2,2],[2,1],[1,1]]]");
    assert_geometry("{\"type\":\"MultiPolygon\",\"coordinates\":[[[[0,0],[0,9],[9,9],[0,0]]],"
                    "[[[20,0],[20,9],[29,9],[20,0]]]]}",
                    "[[[[0,0],[9,9],[0,9],[0,0]]],[[[20,0],[29,9],[20,9],[20,0]]]]");
}

/* A newer node's properties are shown; nobody's body may speak for the API. */
static void test_what_strangers_put_in(void **state)
{
    struct buffer body = {0};

    (void)state;
    pack_map(&body, 8);
    pack_str(&body, span_of_str("distance"));
    pack_int(&body, 1);
    pack_str(&body, span_of_str("origin"));
    pack_str(&body, span_of_str("mine"));
    pack_str(&body, span_of_str("price")); /* of another type than the table's */
    pack_int(&body, 5);
    pack_str(&body, span_of_str("url"));
    pack_map(&body, 0);
    pack_str(&body, span_of_str("w"));
    pack_bin(&body, "\x00\xff", 2);
    pack_str(&body, span_of_str("x"));
    pack_array(&body, 3);
    pack_nil(&body);
    pack_bool(&body, true);
    pack_map(&body, 1);
    pack_str(&body, span_of_str("k\"\n"));
    pack_int(&body, -7);
    pack_str(&body, span_of("y\0", 2));
    pack_int(&body, 1);
    pack_str(&body, span_of_str("z"));
    pack_str(&body, span_of("\0\x01", 2));
    assert_ok(profile_check(buffer_span(&body)));
    assert_shows(buffer_span(&body),
                 "\"properties\":{\"collection\":\"offers\",\"origin\":\"0123456789abcdef\",\"w\":"
                 "\"00ff\",\"x\":[null,true,{\"k\\\"\\n\":-7}],\"z\":\"\xef\xbf\xbd\\u0001\"}}");
    buffer_done(&body);
    assert_shows(span_of("\x80", 1), "\"origin\":\"0123456789abcdef\"}}");
}

static void test_what_cannot_be_shown_leaves_nothing(void **state)
{
    struct buffer json = {0};

    (void)state;
    buffer_put_str(&json, "before");
    assert_err(listing_put_geojson(&meta, span_of("\x01", 1), &json), TORG_E_INVALID);
    assert_err(listing_put_geojson(&meta, span_of_str("\x81\xa8geometry\xc0"), &json),
               TORG_E_INVALID);
    assert_err(listing_put_geojson(&meta, span_of_str("\x81\xa4name"), &json), TORG_E_INVALID);
    assert_true(span_equal(buffer_span(&json), span_of_str("before")));
    buffer_done(&json);
}

static void test_json_strings(void **state)
{
    struct buffer out = {0};

    (void)state;
    json_put_string(&out, span_of_str("a\"\\\b\t\r\n\x1f\x7f</\xc3\xa5"));
    json_put_string(&out, span_of("", 0));
    json_put_string(&out, span_of_str("a\xff\"\xc3\xa5\xe2\x82x"));
    buffer_put_u8(&out, 0);
    assert_string_equal((const char *)out.data,
                        "\"a\\\"\\\\\\u0008\\t\\r\\n\\u001f\x7f</\xc3\xa5\"\"\""
                        "\"a\xef\xbf\xbd\\\"\xc3\xa5\xef\xbf\xbd\xef\xbf\xbdx\"");
    buffer_done(&out);
}

/* Eight bytes are looked at together: whatever stands where, the text comes back as it was. */
static void test_json_strings_of_all_bytes_at_all_places(void **state)
{
    static const char *const letters[] = {"a", "\xc3\xa5", "\xef\xbc\x82", "\xf0\x9f\x98\x80"};
    struct buffer text = {0}, out = {0};

    (void)state;
    for (unsigned c = 1; c < 0x80; c++) {
        for (size_t at = 0; at < 20; at++) {
            json_t *json;

            buffer_clear(&text);
            buffer_clear(&out);
            for (size_t i = 0; i < 20; i++) {
                if (i == at)
                    buffer_put_u8(&text, (uint8_t)c);
                else
                    buffer_put_str(&text, letters[(i + c) % ARRAY_SIZE(letters)]);
            }
            json_put_string(&out, buffer_span(&text));
            json = json_loadb((const char *)out.data, out.size, JSON_DECODE_ANY, NULL);
            assert_non_null(json);
            assert_int_equal(json_string_length(json), text.size);
            assert_memory_equal(json_string_value(json), text.data, text.size);
            json_decref(json);
        }
    }
    buffer_done(&text);
    buffer_done(&out);
}

/* Deep nesting must not reach a parser that recurses. */
static void test_json_is_parsed_strictly(void **state)
{
    static const char *const bad[] = {"",    "{",   "{\"a\":1,\"a\":2}", "[1,]",
                                      "1 2", "nul", "{\"a\":\"\xff\"}",  "\"\\u0000\""};
    struct buffer deep = {0};
    char message[160] = "";
    json_t *json = NULL;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_err(listing_json_parse(span_of_str(bad[i]), &json, message, sizeof(message)),
                   TORG_E_INVALID);
        assert_non_null(strstr(message, "line 1"));
    }
    assert_err(listing_json_parse(span_of("1\0", 2), &json, message, sizeof(message)),
               TORG_E_INVALID);
    for (int i = 0; i < 32; i++)
        buffer_put_u8(&deep, '[');
    buffer_put_str(&deep, "\"[[[[]\\\"[\"");
    for (int i = 0; i < 32; i++)
        buffer_put_u8(&deep, ']');
    assert_ok(listing_json_parse(buffer_span(&deep), &json, message, sizeof(message)));
    json_decref(json);
    buffer_clear(&deep);
    for (int i = 0; i < 100000; i++)
        buffer_put_u8(&deep, '[');
    assert_err(listing_json_parse(buffer_span(&deep), &json, message, sizeof(message)),
               TORG_E_INVALID);
    assert_non_null(strstr(message, "32 deep"));
    buffer_done(&deep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_listings_come_back),
        cmocka_unit_test(test_a_feature_as_it_is_sent),
        cmocka_unit_test(test_forms_of_values),
        cmocka_unit_test(test_coordinates_are_exact),
        cmocka_unit_test(test_rings_turn_by_the_right_hand_rule),
        cmocka_unit_test(test_what_strangers_put_in),
        cmocka_unit_test(test_what_cannot_be_shown_leaves_nothing),
        cmocka_unit_test(test_json_strings),
        cmocka_unit_test(test_json_strings_of_all_bytes_at_all_places),
        cmocka_unit_test(test_json_is_parsed_strictly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
