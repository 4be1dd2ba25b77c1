/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdio.h>
#include <stdlib.h>

#include "protocol/limits.h"
#include "protocol/listing.h"
#include "protocol/listing_geojson.h"
#include "protocol/listing_value.h"
#include "protocol/profile.h"
#include "tests/support/test.h"

static struct problems problems;

static bool has_problem(const char *path, const char *text)
{
    for (size_t i = 0; i < problems.count && i < PROBLEMS_MAX; i++) {
        if (strcmp(problems.items[i].path, path) == 0 && strstr(problems.items[i].text, text))
            return true;
    }
    return false;
}

static enum torg_err convert(uint8_t collection, const char *feature)
{
    struct buffer body = {0};
    json_t *json = NULL;
    char message[160] = "";
    enum torg_err err;

    problems.count = 0;
    if (listing_json_parse(span_of_str(feature), &json, message, sizeof(message)))
        fail_msg("%s: %s", feature, message);
    err = listing_of_geojson(collection, json, "sv", 1, 2, &body, &problems);
    assert_int_equal(err == TORG_OK, body.size > 0);
    json_decref(json);
    buffer_done(&body);
    return err;
}

static void assert_mistake(uint8_t collection, const char *feature, const char *path,
                           const char *text)
{
    assert_err(convert(collection, feature), TORG_E_INVALID);
    if (!has_problem(path, text))
        fail_msg("%s: expected %s: %s; got %zu, the first is %s: %s", feature, path, text,
                 problems.count, problems.items[0].path, problems.items[0].text);
    if (problems.count != 1)
        fail_msg("%s: one mistake was named %zu times: %s: %s; %s: %s", feature, problems.count,
                 problems.items[0].path, problems.items[0].text, problems.items[1].path,
                 problems.items[1].text);
}

/* A feature with one property besides those that it needs. */
static const char *with(const char *property)
{
    static char text[4096];

    snprintf(text, sizeof(text),
             "{\"type\":\"Feature\",\"geometry\":null,\"properties\":{\"name\":\"x\","
             "\"themes\":[\"food\"],%s}}",
             property);
    return text;
}

static const char *at(const char *geometry)
{
    static char text[4096];

    snprintf(text, sizeof(text),
             "{\"type\":\"Feature\",\"geometry\":%s,\"properties\":{\"name\":\"x\","
             "\"themes\":[\"food\"]}}",
             geometry);
    return text;
}

#define POINT(coordinates) "{\"type\":\"Point\",\"coordinates\":" coordinates "}"

/*
 * Each mistake is named once, at its place, with what is accepted: this is all
 * that a municipal officer sees of us on a bad day.
 */
static void test_each_mistake_is_named(void **state)
{
    static const struct {
        uint8_t collection;
        const char *property;
        const char *path;
        const char *text;
    } cases[] = {
        /* names of properties */
        {COLLECTION_OFFERS, "\"desription\":\"y\"", "properties.desription",
         "did you mean description?"},
        {COLLECTION_OFFERS, "\"Url\":\"y\"", "properties.Url", "did you mean url?"},
        {COLLECTION_OFFERS, "\"colour\":\"y\"", "properties.colour", "is not known"},
        {COLLECTION_COMPANIES, "\"price\":0", "properties.price",
         "is a property of offers, events and courses, not of companies"},
        {COLLECTION_OFFERS, "\"address\":{\"town\":\"y\"}", "properties.address.town",
         "is not known"},
        {COLLECTION_OFFERS, "\"geometry\":null", "properties.geometry", "stands beside"},
        /* texts */
        {COLLECTION_OFFERS, "\"description\":7", "properties.description", "must be a text"},
        {COLLECTION_OFFERS, "\"description\":{\"sv\":7}", "properties.description.sv",
         "must be a text"},
        {COLLECTION_OFFERS, "\"description\":{\"swedish\":\"y\"}", "properties.description.swedish",
         "language tag"},
        {COLLECTION_OFFERS, "\"description\":{}", "properties.description",
         "at least one language"},
        {COLLECTION_OFFERS, "\"description\":\" \"", "properties.description.sv",
         "must not be empty"},
        {COLLECTION_OFFERS, "\"description\":\"a\\u0007\"", "properties.description.sv",
         "control characters"},
        {COLLECTION_OFFERS, "\"description\":\"a\\u0085\"", "properties.description.sv",
         "control characters"},
        {COLLECTION_OFFERS, "\"priceUnit\":\"a\\nb\"", "properties.priceUnit", "one line"},
        {COLLECTION_OFFERS, "\"priceUnit\":\"\"", "properties.priceUnit", "must not be empty"},
        {COLLECTION_OFFERS,
         "\"priceUnit\":\"0123456789012345678901234567890123456789012345678901234567890\"",
         "properties.priceUnit", "at most 60 bytes"},
        {COLLECTION_OFFERS, "\"municipality\":2480", "properties.municipality", "in quotes"},
        /* codes */
        {COLLECTION_OFFERS, "\"municipality\":\"248\"", "properties.municipality", "four digits"},
        {COLLECTION_OFFERS, "\"municipality\":\"a91\",\"countryCode\":\"FI\"",
         "properties.municipality", "digits or capitals"},
        {COLLECTION_OFFERS, "\"countryCode\":\"se\"", "properties.countryCode", "ISO 3166"},
        {COLLECTION_COMPANIES, "\"identifiers\":{\"organisationNumber\":\"556036-0794\"}",
         "properties.identifiers.organisationNumber", "control digit"},
        {COLLECTION_COMPANIES, "\"identifiers\":{\"organisationNumber\":\"811218-9876\"}",
         "properties.identifiers.organisationNumber", "personal identity number"},
        {COLLECTION_COMPANIES, "\"identifiers\":{\"organisationNumber\":\"55603-60793\"}",
         "properties.identifiers.organisationNumber", "NNNNNN-NNNN"},
        {COLLECTION_COMPANIES, "\"identifiers\":{\"source\":{\"system\":\"a\"}}",
         "properties.identifiers.source.id", "is missing"},
        {COLLECTION_COMPANIES, "\"identifiers\":{\"sni\":{\"code\":\"5\",\"version\":\"2007\"}}",
         "properties.identifiers.sni.code", "SNI"},
        {COLLECTION_COMPANIES, "\"identifiers\":{\"geonames\":\"G1\"}",
         "properties.identifiers.geonames", "digits"},
        {COLLECTION_COMPANIES, "\"identifiers\":{\"wikidata\":\"25579\"}",
         "properties.identifiers.wikidata", "Q25579"},
        {COLLECTION_JOBS, "\"occupation\":{\"jobtech\":\"123\"}", "properties.occupation.jobtech",
         "JobTech"},
        {COLLECTION_JOBS, "\"occupation\":{\"ssyk\":\"12345\"}", "properties.occupation.ssyk",
         "SSYK"},
        {COLLECTION_JOBS, "\"occupation\":{}", "properties.occupation", "must not be empty"},
        {COLLECTION_NEEDS, "\"competence\":{\"sun\":\"a-b\"}", "properties.competence.sun", "SUN"},
        {COLLECTION_COMPANIES, "\"qualifications\":[\"Welding\"]", "properties.qualifications[0]",
         "slug"},
        {COLLECTION_COURSES, "\"language\":[\"svenska\"]", "properties.language[0]",
         "language tag"},
        {COLLECTION_COMPANIES, "\"image\":{\"url\":\"https://a.se/x\",\"sha256\":\"00\"}",
         "properties.image.sha256", "64"},
        /* addresses of the web, of people */
        {COLLECTION_OFFERS, "\"url\":\"www.umea.se\"", "properties.url", "http:// or https://"},
        {COLLECTION_OFFERS, "\"url\":\"javascript:alert(1)\"", "properties.url", "http://"},
        {COLLECTION_OFFERS, "\"url\":\"https://\"", "properties.url", "http://"},
        {COLLECTION_OFFERS, "\"url\":\"https:///x\"", "properties.url", "must name a host"},
        {COLLECTION_OFFERS, "\"url\":\"https://a b.se\"", "properties.url", "characters"},
        {COLLECTION_OFFERS, "\"url\":\"https://\u00e5re.se\"", "properties.url", "xn--re-xia"},
        {COLLECTION_OFFERS, "\"url\":\"https://a@b.se\"", "properties.url", "user name"},
        {COLLECTION_OFFERS, "\"url\":\"https://a.se:x\"", "properties.url", "host"},
        {COLLECTION_OFFERS, "\"url\":\"https://a.se/%zz\"", "properties.url", "%XX"},
        {COLLECTION_OFFERS, "\"image\":{\"alt\":\"y\"}", "properties.image.url", "is missing"},
        {COLLECTION_OFFERS, "\"contact\":{\"email\":\"x@y\"}", "properties.contact.email",
         "e-mail"},
        {COLLECTION_OFFERS, "\"contact\":{\"telephone\":\"ring\"}", "properties.contact.telephone",
         "telephone"},
        /* lists */
        {COLLECTION_OFFERS, "\"networks\":\"x\"", "properties.networks", "must be a list"},
        {COLLECTION_OFFERS, "\"networks\":[\"x\"]", "properties.networks[0]", "id of a listing"},
        {COLLECTION_OFFERS, "\"provider\":7", "properties.provider", "id of a listing"},
        {COLLECTION_SERVICE_POINTS, "\"services\":[]", "properties.services", "at least one"},
        {COLLECTION_SERVICE_POINTS, "\"services\":[\"post\",\"post\"]", "properties.services[1]",
         "twice"},
        {COLLECTION_SERVICE_POINTS, "\"services\":[\"post\",null]", "properties.services[1]",
         "must be a text"},
        {COLLECTION_COURSES, "\"language\":[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\"]",
         "properties.language", "at most 8"},
        /* choices, numbers, truth */
        {COLLECTION_OFFERS, "\"kind\":\"swap\"", "properties.kind",
         "sell, rent, lend, give, reuse or seek"},
        {COLLECTION_OFFERS, "\"kind\":true", "properties.kind", "must be sell"},
        {COLLECTION_EVENTS, "\"status\":\"open\"", "properties.status",
         "scheduled, cancelled or moved"},
        {COLLECTION_NEEDS, "\"status\":\"scheduled\"", "properties.status",
         "open, matched, met or withdrawn"},
        {COLLECTION_OFFERS, "\"example\":\"yes\"", "properties.example", "true or false"},
        {COLLECTION_NEEDS, "\"people\":2.5", "properties.people", "whole number"},
        {COLLECTION_NEEDS, "\"people\":-1", "properties.people", "from 0 to 1000000"},
        {COLLECTION_COURSES, "\"credits\":\"7\"", "properties.credits", "must be a number"},
        {COLLECTION_COURSES, "\"credits\":7.1234", "properties.credits", "at most 3 decimals"},
        {COLLECTION_COURSES, "\"credits\":1001", "properties.credits", "from 0 to 1000"},
        {COLLECTION_COURSES, "\"credits\":1e300", "properties.credits", "too great"},
        {COLLECTION_OFFERS, "\"price\":199.5", "properties.price", "must be a price"},
        {COLLECTION_OFFERS, "\"price\":{\"amount\":1}", "properties.price.currency", "is missing"},
        {COLLECTION_OFFERS, "\"price\":{\"amount\":1,\"currency\":\"kr\"}",
         "properties.price.currency", "ISO 4217"},
        {COLLECTION_OFFERS, "\"price\":{\"currency\":\"SEK\"}", "properties.price.amount",
         "is missing"},
        {COLLECTION_OFFERS, "\"price\":{\"amount\":-1,\"currency\":\"SEK\"}",
         "properties.price.amount", "negative"},
        {COLLECTION_OFFERS, "\"price\":{\"amount\":1.005,\"currency\":\"SEK\"}",
         "properties.price.amount", "at most 2 decimals"},
        {COLLECTION_OFFERS, "\"price\":{\"amount\":1.5,\"currency\":\"ISK\"}",
         "properties.price.amount", "at most 0 decimals"},
        {COLLECTION_OFFERS, "\"price\":{\"amount\":1,\"currency\":\"SEK\",\"unit\":\"h\"}",
         "properties.price.unit", "amount and currency"},
        {COLLECTION_OFFERS, "\"booking\":{\"capacity\":5,\"remaining\":6}",
         "properties.booking.remaining", "greater than capacity"},
        {COLLECTION_OFFERS,
         "\"booking\":{\"slots\":[{\"from\":\"2026-07-04T10:00\",\"through\":\"2026-07-04T09:00\"}]"
         "}",
         "properties.booking.slots[0]", "before from"},
        {COLLECTION_OFFERS,
         "\"booking\":{\"slots\":[{\"from\":\"2026-07-04\",\"through\":\"2026-07-05\","
         "\"capacity\":1,\"remaining\":2}]}",
         "properties.booking.slots[0]", "greater than capacity"},
        {COLLECTION_OFFERS, "\"booking\":{\"slots\":[7]}", "properties.booking.slots[0]",
         "must be an object"},
        {COLLECTION_OFFERS, "\"booking\":7", "properties.booking", "must be an object"},
        /* times */
        {COLLECTION_OFFERS, "\"validFrom\":1790000000", "properties.validFrom", "must be a time"},
        {COLLECTION_OFFERS, "\"validFrom\":\"4 juli\"", "properties.validFrom", "must be a time"},
        {COLLECTION_OFFERS, "\"validFrom\":\"2026-07-04T18:00[Asia/Tokyo]\"",
         "properties.validFrom", "Europe/Stockholm"},
        {COLLECTION_OFFERS, "\"validFrom\":\"2026-07-04\",\"validThrough\":\"2026-07-03\"",
         "properties.validThrough", "before validFrom"},
        {COLLECTION_EVENTS, "\"start\":\"2026-07-04T18:00[Asia/Tokyo]\"", "properties.start",
         "Europe/Helsinki"},
        {COLLECTION_EVENTS, "\"start\":\"2026-07-04T18:00:00+01:00[Europe/Stockholm]\"",
         "properties.start", "offset"},
        {COLLECTION_EVENTS, "\"start\":\"2026-03-29T02:30\"", "properties.start", "does not exist"},
        {COLLECTION_EVENTS, "\"start\":\"1995-07-04T18:00\"", "properties.start", "1996"},
        {COLLECTION_EVENTS, "\"start\":7", "properties.start", "local time"},
        {COLLECTION_EVENTS, "\"start\":\"kl 18\"", "properties.start", "local time"},
        {COLLECTION_EVENTS, "\"end\":\"2026-07-04T18:00\"", "properties.start", "is missing"},
        {COLLECTION_EVENTS, "\"recurrence\":{\"rule\":\"FREQ=DAILY\"}", "properties.start",
         "is missing"},
        {COLLECTION_EVENTS, "\"start\":\"2026-07-04T18:00\",\"end\":\"2026-07-04T17:00\"",
         "properties.end", "before start"},
        {COLLECTION_EVENTS, "\"start\":\"2026-07-04\",\"end\":\"2026-07-04T17:00\"",
         "properties.end", "must be a date if start is one"},
        {COLLECTION_EVENTS,
         "\"start\":\"2026-07-04\",\"recurrence\":{\"rule\":\"varje l\u00f6rdag\"}",
         "properties.recurrence.rule", "RFC 5545"},
        {COLLECTION_EVENTS,
         "\"start\":\"2026-07-04\",\"recurrence\":{\"rule\":\"FREQ=DAILY\",\"exceptions\":"
         "[\"midsommar\"]}",
         "properties.recurrence.exceptions[0]", "local date"},
        {COLLECTION_PLACES,
         "\"openingHours\":[{\"days\":\"m\u00e5n-fre\",\"opens\":\"09:00\",\"closes\":\"17:00\","
         "\"zone\":\"Europe/Stockholm\"}]",
         "properties.openingHours[0].days", "weekdays"},
        {COLLECTION_PLACES,
         "\"openingHours\":[{\"days\":\"MO,MO\",\"opens\":\"09:00\",\"closes\":\"17:00\","
         "\"zone\":\"Europe/Stockholm\"}]",
         "properties.openingHours[0].days", "once"},
        {COLLECTION_PLACES,
         "\"openingHours\":[{\"days\":\"MO\",\"opens\":\"9\",\"closes\":\"17:00\","
         "\"zone\":\"Europe/Stockholm\"}]",
         "properties.openingHours[0].opens", "time of day"},
        {COLLECTION_PLACES,
         "\"openingHours\":[{\"days\":\"MO\",\"opens\":\"09:00\",\"closes\":\"17:00\","
         "\"zone\":\"svensk tid\"}]",
         "properties.openingHours[0].zone", "IANA"},
        {COLLECTION_PLACES,
         "\"openingHours\":[{\"days\":\"MO\",\"opens\":\"09:00\",\"closes\":\"17:00\"}]",
         "properties.openingHours[0].zone", "is missing"},
        {COLLECTION_PLACES,
         "\"openingHours\":[{\"days\":\"MO\",\"opens\":\"09:00\",\"closes\":\"17:00\",\"zone\":"
         "\"UTC\",\"from\":\"1 juni\"}]",
         "properties.openingHours[0].from", "must be a date"},
        {COLLECTION_PLACES,
         "\"openingHours\":[{\"days\":\"MO\",\"opens\":\"09:00\",\"closes\":\"17:00\",\"zone\":"
         "\"UTC\",\"from\":\"2026-06-01\",\"through\":\"2026-05-01\"}]",
         "properties.openingHours[0]", "before from"},
        {COLLECTION_OFFERS, "\"movedTo\":\"aaaaaaaaaaaaa-aeaqcaibaeaqcaibaeaqcaibae\"",
         "properties.name", "says only movedTo"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        if (strstr(cases[i].property, "movedTo")) { /* themes, created ... are as wrong */
            assert_err(convert(cases[i].collection, with(cases[i].property)), TORG_E_INVALID);
            assert_true(has_problem(cases[i].path, cases[i].text));
        } else if (strstr(cases[i].property, "[\"a\",\"a\"")) {
            assert_err(convert(cases[i].collection, with(cases[i].property)), TORG_E_INVALID);
            assert_true(has_problem(cases[i].path, cases[i].text));
        } else {
            assert_mistake(cases[i].collection, with(cases[i].property), cases[i].path,
                           cases[i].text);
        }
    }
}

static void test_required_and_the_feature_itself(void **state)
{
    (void)state;
    assert_mistake(COLLECTION_OFFERS, "7", "type", "Feature");
    assert_mistake(COLLECTION_OFFERS, "{\"type\":\"FeatureCollection\"}", "type", "Feature");
    assert_mistake(COLLECTION_OFFERS, "{\"type\":\"Feature\",\"geometry\":null}", "properties",
                   "must be an object");
    assert_mistake(COLLECTION_OFFERS,
                   "{\"type\":\"Feature\",\"properties\":{\"themes\":[\"food\"]}}",
                   "properties.name", "is missing");
    assert_mistake(COLLECTION_OFFERS,
                   "{\"type\":\"Feature\",\"properties\":{\"name\":7,\"themes\":[\"food\"]}}",
                   "properties.name", "must be a text");
    assert_mistake(COLLECTION_OFFERS, "{\"type\":\"Feature\",\"properties\":{\"name\":\"x\"}}",
                   "properties.themes", "is missing");
    assert_mistake(COLLECTION_OFFERS,
                   "{\"type\":\"Feature\",\"properties\":{\"name\":\"x\",\"themes\":[]}}",
                   "properties.themes", "at least one");
    assert_mistake(COLLECTION_OFFERS,
                   "{\"type\":\"Feature\",\"properties\":{\"name\":\"x\",\"themes\":[\"Mat\"]}}",
                   "properties.themes[0]", "food/cafe");
    assert_mistake(COLLECTION_OFFERS,
                   "{\"type\":\"Feature\",\"crs\":{\"type\":\"name\",\"properties\":{\"name\":"
                   "\"EPSG:3006\"}},\"properties\":{\"name\":\"x\",\"themes\":[\"food\"]}}",
                   "crs", "WGS 84");
    assert_mistake(COLLECTION_RECEIPTS, "{}", "collection", "does not hold listings");
    assert_mistake(200, "{}", "collection", "does not hold listings");
    /* What the API adds comes back unharmed, null is absent, moved stands alone. */
    assert_ok(convert(COLLECTION_OFFERS,
                      with("\"id\":1,\"collection\":2,\"origin\":3,\"distance\":4,\"created\":5,"
                           "\"modified\":6,\"originName\":7,\"url\":null,"
                           "\"address\":{\"street\":null,\"locality\":\"y\"}")));
    assert_ok(convert(COLLECTION_OFFERS, "{\"type\":\"Feature\",\"properties\":{\"movedTo\":"
                                         "\"aaaaaaaaaaaaa-aeaqcaibaeaqcaibaeaqcaibae\"}}"));
}

/* Positions in the wrong system put a whole municipality into the sea, silently. */
static void test_geometry(void **state)
{
    static const struct {
        const char *geometry;
        const char *path;
        const char *text;
    } cases[] = {
        {POINT("[181,0]"), "geometry.coordinates", "longitude, which stands first"},
        {POINT("[0,-90.0000001]"), "geometry.coordinates", "latitude, which stands second"},
        {POINT("[63.8258,20.2630]"), "geometry.coordinates", "latitude before longitude"},
        {POINT("[758803.4,7088280.8]"), "geometry.coordinates", "SWEREF 99 TM"},
        {POINT("[7088280.8,758803.4]"), "geometry.coordinates", "SWEREF 99 TM"},
        {POINT("[7088280,151000]"), "geometry.coordinates", "local zone"},
        {POINT("[1720000,7080000]"), "geometry.coordinates", "RT 90"},
        {POINT("[7080000,1720000]"), "geometry.coordinates", "RT 90"},
        {POINT("[2255672.8,9231000.5]"), "geometry.coordinates", "Web Mercator"},
        {POINT("[500000,500000]"), "geometry.coordinates", "metres"},
        {POINT("[1e20,0]"), "geometry.coordinates", "too great"},
        {POINT("[17.9]"), "geometry.coordinates", "[longitude, latitude]"},
        {POINT("[\"17.9\",\"66\"]"), "geometry.coordinates", "in numbers"},
        {POINT("null"), "geometry.coordinates", "[longitude, latitude]"},
        {"{\"type\":\"Circle\",\"coordinates\":[0,0]}", "geometry", "must be a Point"},
        {"{\"type\":\"GeometryCollection\",\"geometries\":[]}", "geometry", "must be a Point"},
        {"[17.9,66]", "geometry", "GeoJSON geometry"},
        {"{\"type\":\"LineString\",\"coordinates\":[[1,1]]}", "geometry.coordinates",
         "at least 2 positions"},
        {"{\"type\":\"LineString\",\"coordinates\":[1,1]}", "geometry.coordinates[0]",
         "[longitude, latitude]"},
        {"{\"type\":\"Polygon\",\"coordinates\":[[1,1],[2,2]]}", "geometry.coordinates[0][0]",
         "[longitude, latitude]"},
        {"{\"type\":\"Polygon\",\"coordinates\":[]}", "geometry.coordinates", "must not be empty"},
        {"{\"type\":\"Polygon\",\"coordinates\":{}}", "geometry.coordinates", "must be an array"},
        {"{\"type\":\"Polygon\",\"coordinates\":[[[1,1],[2,1],[1,1]]]}", "geometry.coordinates[0]",
         "at least 4 positions"},
        {"{\"type\":\"Polygon\",\"coordinates\":[[[1,1],[2,1],[2,2],[1,2]]]}",
         "geometry.coordinates[0]", "must be closed"},
        {"{\"type\":\"MultiPolygon\",\"coordinates\":[[[[1,1],[2,1],[2,2],[1,1]]],[[[1,1],[2,1],"
         "[2,2],[1,3]]]]}",
         "geometry.coordinates[1][0]", "must be closed"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_mistake(COLLECTION_PLACES, at(cases[i].geometry), cases[i].path, cases[i].text);
    /* Where a country says so, these are real places: Muscat, and the swapped range's south. */
    assert_ok(convert(COLLECTION_PLACES, "{\"type\":\"Feature\",\"geometry\":" POINT(
                                             "[58.4,23.6]") ",\"properties\":{\"name\":\"x\","
                                                            "\"themes\":[\"food\"],"
                                                            "\"countryCode\":\"OM\"}}"));
    assert_ok(convert(COLLECTION_PLACES, at(POINT("[180,90]"))));
    assert_ok(convert(COLLECTION_PLACES, at(POINT("[17.9,66,420,7]"))));
}

static void test_too_many_positions(void **state)
{
    struct buffer text = {0};

    (void)state;
    for (int pass = 0; pass < 2; pass++) {
        int count = LISTING_POSITIONS_MAX + pass;

        buffer_clear(&text);
        buffer_put_str(&text, "{\"type\":\"Feature\",\"properties\":{\"name\":\"x\",\"themes\":"
                              "[\"food\"]},\"geometry\":{\"type\":\"LineString\","
                              "\"coordinates\":[");
        for (int i = 0; i < count; i++)
            buffer_printf(&text, "%s[0.%04d,1]", i ? "," : "", i);
        buffer_put_str(&text, "]}}");
        buffer_put_u8(&text, 0);
        if (pass == 0)
            assert_ok(convert(COLLECTION_PLACES, (const char *)text.data));
        else
            assert_mistake(COLLECTION_PLACES, (const char *)text.data, "geometry.coordinates",
                           "at most 4096");
    }
    buffer_done(&text);
}

/* A payload past 64 KiB cannot be signed: better said at the form than by the writer. */
static void test_too_long_in_all(void **state)
{
    struct buffer text = {0};

    (void)state;
    buffer_put_str(&text, "{\"type\":\"Feature\",\"properties\":{\"name\":\"x\",\"themes\":"
                          "[\"food\"],\"description\":{");
    for (int language = 0; language < 9; language++) {
        buffer_printf(&text, "%s\"a%c\":\"", language ? "," : "", 'a' + language);
        for (int i = 0; i < LISTING_DESCRIPTION_BYTES_MAX; i++)
            buffer_put_u8(&text, 'x');
        buffer_put_u8(&text, '"');
    }
    buffer_put_str(&text, "}}}");
    buffer_put_u8(&text, 0);
    assert_mistake(COLLECTION_PLACES, (const char *)text.data, "properties", "too long in all");
    assert_int_equal(LISTING_BODY_BYTES_MAX, PAYLOAD_BYTES_MAX - 1 - 18 - 1);
    buffer_done(&text);
}

/* Somebody who mends one mistake at a time gives up before the third. */
static void test_every_mistake_at_once(void **state)
{
    (void)state;
    assert_err(convert(COLLECTION_OFFERS,
                       "{\"type\":\"Feature\",\"geometry\":" POINT(
                           "[999,66]") ",\"properties\":{\"nam\":\"x\",\"themes\":[\"A\",7],"
                                       "\"url\":\"x\",\"address\":{\"street\":7,\"town\":1},"
                                       "\"price\":{\"amount\":\"x\",\"currency\":\"kr\"},"
                                       "\"booking\":{\"slots\":[{\"from\":\"x\"}]}}}"),
               TORG_E_INVALID);
    assert_true(has_problem("geometry.coordinates", "longitude"));
    assert_true(has_problem("properties.nam", "did you mean name"));
    assert_true(has_problem("properties.name", "is missing"));
    assert_true(has_problem("properties.themes[0]", "must be a theme"));
    assert_true(has_problem("properties.themes[1]", "must be a text"));
    assert_true(has_problem("properties.url", "http"));
    assert_true(has_problem("properties.address.street", "must be a text"));
    assert_true(has_problem("properties.address.town", "is not known"));
    assert_true(has_problem("properties.price.amount", "must be a number"));
    assert_true(has_problem("properties.price.currency", "ISO 4217"));
    assert_true(has_problem("properties.booking.slots[0].from", "must be a time"));
    assert_true(has_problem("properties.booking.slots[0].through", "is missing"));
    assert_int_equal(problems.count, 12);
}

/* Past PROBLEMS_MAX only the count grows. */
static void test_problems_are_bounded(void **state)
{
    struct buffer text = {0};

    (void)state;
    buffer_put_str(&text, "{\"type\":\"Feature\",\"properties\":{\"name\":\"x\",\"themes\":"
                          "[\"food\"]");
    for (int i = 0; i < 100; i++)
        buffer_printf(&text, ",\"unknown%d\":1", i);
    buffer_put_str(&text, "}}");
    buffer_put_u8(&text, 0);
    assert_err(convert(COLLECTION_OFFERS, (const char *)text.data), TORG_E_INVALID);
    assert_int_equal(problems.count, 100);
    buffer_done(&text);
}

/* Bodies that no conversion has made: wrong types are named, not believed. */
static void test_bodies_of_wrong_types(void **state)
{
    struct buffer body = {0};
    const struct listing_property *p;

    (void)state;
    for (p = listing_properties(); p->name; p++) {
        for (int kind = 0; kind < 5; kind++) {
            uint8_t collection = 1;

            while (!(p->collections >> collection & 1))
                collection++;
            buffer_clear(&body);
            pack_map(&body, 1);
            pack_str(&body, span_of_str(p->name));
            if (kind == 0)
                pack_nil(&body);
            else if (kind == 1)
                pack_map(&body, 0);
            else if (kind == 2)
                pack_array(&body, 0);
            else if (kind == 3)
                pack_int(&body, -1);
            else
                pack_bin(&body, "x", 1);
            problems.count = 0;
            /* -1 is a time. */
            if (kind == 3 && p->type == LISTING_TYPE_TIME)
                continue;
            listing_check(collection, buffer_span(&body), &problems);
            if (!problems_has(&problems, strcmp(p->name, "geometry") ? "properties" : "geometry"))
                fail_msg("%s of kind %d was taken", p->name, kind);
        }
    }
    problems.count = 0;
    assert_err(listing_check(1, span_of("\x01", 1), &problems), TORG_E_INVALID);
    assert_err(listing_check(1, span_of("", 0), &problems), TORG_E_INVALID);
    assert_err(listing_check(1, span_of("\x81", 1), &problems), TORG_E_INVALID);
    buffer_done(&body);
}

static void test_values(void **state)
{
    static const struct {
        enum listing_format format;
        const char *text;
    } good[] = {
        {LISTING_FORMAT_RRULE, "FREQ=MONTHLY;BYDAY=1MO,-1SU;BYSETPOS=-1;INTERVAL=2;WKST=SU"},
        {LISTING_FORMAT_RRULE, "FREQ=YEARLY;BYMONTH=6;BYMONTHDAY=-1;UNTIL=20301231"},
        {LISTING_FORMAT_RRULE, "BYHOUR=0,23;FREQ=DAILY;BYMINUTE=30;COUNT=5"},
        {LISTING_FORMAT_DAYS, "SU"},
        {LISTING_FORMAT_DAYS, "FREQ=MONTHLY;BYDAY=1MO"},
        {LISTING_FORMAT_CLOCK, "24:00"},
        {LISTING_FORMAT_CLOCK, "00:00"},
        {LISTING_FORMAT_LANGUAGE, "zh-Hans-CN"},
        {LISTING_FORMAT_LANGUAGE, "fi-SE"},
        {LISTING_FORMAT_LANGUAGE, "es-419"},
        {LISTING_FORMAT_ORGANISATION, "556036-0793"},
        {LISTING_FORMAT_ORGANISATION, "212000-2627"},
        {LISTING_FORMAT_SNI, "56.100"},
        {LISTING_FORMAT_SNI, "56"},
        {LISTING_FORMAT_EMAIL, "kommun@arjeplog.se"},
        {LISTING_FORMAT_SLUG, "norrbotten/inland"},
        {LISTING_FORMAT_ENDPOINT, "torg.example.se:8490"},
        {LISTING_FORMAT_ENDPOINT, "192.0.2.1:1"},
        {LISTING_FORMAT_ENDPOINT, "[2001:db8::1]:65535"},
        {LISTING_FORMAT_ORIGIN, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
    };
    static const struct {
        enum listing_format format;
        const char *text;
    } bad[] = {
        {LISTING_FORMAT_RRULE, ""},
        {LISTING_FORMAT_RRULE, "BYDAY=MO"},
        {LISTING_FORMAT_RRULE, "FREQ=HOURLY"},
        {LISTING_FORMAT_RRULE, "FREQ=DAILY;"},
        {LISTING_FORMAT_RRULE, "FREQ=DAILY;FREQ=DAILY"},
        {LISTING_FORMAT_RRULE, "FREQ=DAILY;COUNT=0"},
        {LISTING_FORMAT_RRULE, "FREQ=DAILY;COUNT=+1"},
        {LISTING_FORMAT_RRULE, "FREQ=DAILY;COUNT=2;UNTIL=20300101"},
        {LISTING_FORMAT_RRULE, "FREQ=DAILY;UNTIL=2030-01-01"},
        {LISTING_FORMAT_RRULE, "FREQ=DAILY;BYMONTH=13"},
        {LISTING_FORMAT_RRULE, "FREQ=DAILY;BYMONTHDAY=0"},
        {LISTING_FORMAT_RRULE, "FREQ=DAILY;BYDAY=54MO"},
        {LISTING_FORMAT_RRULE, "FREQ=DAILY;BYDAY=+MO"},
        {LISTING_FORMAT_RRULE, "FREQ=DAILY;X=1"},
        {LISTING_FORMAT_DAYS, "MO,"},
        {LISTING_FORMAT_CLOCK, "24:01"},
        {LISTING_FORMAT_CLOCK, "9:00"},
        {LISTING_FORMAT_CLOCK, "-1:00"},
        {LISTING_FORMAT_LANGUAGE, "SV"},
        {LISTING_FORMAT_LANGUAGE, "sv-"},
        {LISTING_FORMAT_LANGUAGE, "sv-x-a"},
        {LISTING_FORMAT_LANGUAGE, "sv-Latn-SE-x"},
        {LISTING_FORMAT_SNI, "56."},
        {LISTING_FORMAT_SNI, "5.6"},
        {LISTING_FORMAT_EMAIL, "a@b@c.se"},
        {LISTING_FORMAT_EMAIL, "@b.se"},
        {LISTING_FORMAT_EMAIL, "a@.se"},
        {LISTING_FORMAT_LOCAL, "2026-07-04 18:00:00"},
        {LISTING_FORMAT_SLUG, "Norrbotten"},
        {LISTING_FORMAT_ENDPOINT, "torg.example.se"},
        {LISTING_FORMAT_ENDPOINT, "torg.example.se:"},
        {LISTING_FORMAT_ENDPOINT, ":8490"},
        {LISTING_FORMAT_ENDPOINT, "8490"},
        {LISTING_FORMAT_ENDPOINT, "a b:8490"},
        {LISTING_FORMAT_ENDPOINT, "torg.example.se:65536"},
        {LISTING_FORMAT_ENDPOINT, "2001:db8::1"},
        {LISTING_FORMAT_ORIGIN, "0123456789abcdef"},
        {LISTING_FORMAT_ORIGIN, "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef"},
    };
    static const char *const uris[] = {"http://a", "https://xn--re-xia.se/",
                                       "https://a.se:8443?q=%C3%A5#b", "http://[2001:db8::1]:80/",
                                       "http://192.0.2.1/"};
    static const char *const bad_uris[] = {"http://[::1",       "http://[]/",     "http://a..b/",
                                           "http://-a.se/",     "http://a.se:0/", "http://:80/",
                                           "http://a.se:99999", "HTTP://a.se",    "http://a.se/\"",
                                           "ftp://a.se",        "http://a.se/%4", "http://[-::1]/"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        if (listing_value_fault(good[i].format, span_of_str(good[i].text)))
            fail_msg("%s: %s", good[i].text,
                     listing_value_fault(good[i].format, span_of_str(good[i].text)));
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (!listing_value_fault(bad[i].format, span_of_str(bad[i].text)))
            fail_msg("%s was taken", bad[i].text);
    }
    for (size_t i = 0; i < ARRAY_SIZE(uris); i++) {
        if (listing_value_uri_fault(span_of_str(uris[i])))
            fail_msg("%s: %s", uris[i], listing_value_uri_fault(span_of_str(uris[i])));
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad_uris); i++) {
        if (!listing_value_uri_fault(span_of_str(bad_uris[i])))
            fail_msg("%s was taken", bad_uris[i]);
    }
    assert_int_equal(listing_value_currency_decimals(span_of_str("SEK")), 2);
    assert_int_equal(listing_value_currency_decimals(span_of_str("ISK")), 0);
    assert_int_equal(listing_value_currency_decimals(span_of_str("KWD")), 3);
}

/* The table is what all else follows: rows that contradict each other break everything at once. */
static void test_the_table_is_sound(void **state)
{
    const struct listing_property *rows = listing_properties();
    size_t count = 0;

    (void)state;
    for (const struct listing_property *p = rows; p->name; p++, count++) {
        assert_non_null(p->meaning);
        assert_true(p->collections != 0 && (p->collections & ~(uint32_t)LISTING_COLLECTIONS) == 0);
        assert_int_equal(p->type == LISTING_TYPE_ENUM, p->choices != NULL);
        assert_int_equal(p->type == LISTING_TYPE_MAP || p->type == LISTING_TYPE_LIST,
                         p->fields != NULL);
        assert_false(listing_property_reserved(span_of_str(p->name)));
        for (const struct listing_property *q = rows; q < p; q++) {
            if (strcmp(p->name, q->name) == 0)
                assert_int_equal(p->collections & q->collections, 0);
        }
        for (uint8_t collection = 1; collection < 14; collection++) {
            if (p->collections >> collection & 1)
                assert_ptr_equal(listing_property_of(collection, span_of_str(p->name)), p);
        }
    }
    assert_in_range(count, 40, 64);
    assert_null(listing_property_find(span_of_str("")));
    assert_null(listing_property_of(COLLECTION_COMPANIES, span_of_str("provider")));
    assert_null(listing_property_of(COLLECTION_MEMBERS, span_of_str("themes")));
    assert_null(listing_property_of(COLLECTION_RECEIPTS, span_of_str("name")));
    assert_non_null(listing_property_of(COLLECTION_MEMBERS, span_of_str("member")));
    assert_true(listing_property_find(span_of_str("contact"))->personal);
}

/* What people read must name what the program knows. */
static void test_the_manual_names_every_property(void **state)
{
    FILE *file = fopen(TORG_SOURCE_ROOT "/docs/listings.md", "rb");
    static char text[100000];
    size_t size;

    (void)state;
    assert_non_null(file);
    size = fread(text, 1, sizeof(text) - 1, file);
    text[size] = '\0';
    fclose(file);
    for (const struct listing_property *p = listing_properties(); p->name; p++) {
        char name[64];

        snprintf(name, sizeof(name), "`%s`", p->name);
        if (!strstr(text, name))
            fail_msg("docs/listings.md does not name %s", name);
        for (const struct listing_property *f = p->fields; f && f->name; f++) {
            snprintf(name, sizeof(name), "`%s`", f->name);
            if (!strstr(text, name))
                fail_msg("docs/listings.md does not name %s of %s", name, p->name);
        }
        for (const char *const *choice = p->choices; choice && *choice; choice++) {
            if (!strstr(text, *choice))
                fail_msg("docs/listings.md does not name %s of %s", *choice, p->name);
        }
    }
}

/* The first thing that somebody tries is the example: it must work. */
static void test_the_manuals_example_is_right(void **state)
{
    FILE *file = fopen(TORG_SOURCE_ROOT "/docs/listings.md", "rb");
    static char text[100000];
    char *start, *end;
    size_t size;

    (void)state;
    assert_non_null(file);
    size = fread(text, 1, sizeof(text) - 1, file);
    text[size] = '\0';
    fclose(file);
    start = strstr(text, "```json\n");
    assert_non_null(start);
    end = strstr(start + 8, "```");
    assert_non_null(end);
    *end = '\0';
    assert_ok(convert(COLLECTION_OFFERS, start + 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_mistake_is_named),
        cmocka_unit_test(test_required_and_the_feature_itself),
        cmocka_unit_test(test_geometry),
        cmocka_unit_test(test_too_many_positions),
        cmocka_unit_test(test_too_long_in_all),
        cmocka_unit_test(test_every_mistake_at_once),
        cmocka_unit_test(test_problems_are_bounded),
        cmocka_unit_test(test_bodies_of_wrong_types),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_the_table_is_sound),
        cmocka_unit_test(test_the_manual_names_every_property),
        cmocka_unit_test(test_the_manuals_example_is_right),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
