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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_listings_come_back),
        cmocka_unit_test(test_a_feature_as_it_is_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
