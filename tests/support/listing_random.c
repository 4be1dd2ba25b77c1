/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/listing_random.h"

#include <stdio.h>
#include <stdlib.h>

#include "protocol/listing_geojson.h"
#include "protocol/zone.h"
#include "tests/support/test.h"

#define CREATED_MS INT64_C(1790000000000)

static const char *pick(uint64_t *state, const char *const *words, size_t count)
{
    return words[test_random_below(state, count)];
}

#define PICK(state, words) pick(state, words, ARRAY_SIZE(words))

uint8_t listing_random_collection(uint64_t *state)
{
    uint8_t collection;

    do {
        collection = (uint8_t)test_random_below(state, 14);
    } while (!(LISTING_COLLECTIONS >> collection & 1));
    return collection;
}

/* Words that have broken readers of text before: quotes, separators, marks, signs. */
static json_t *random_text(uint64_t *state, size_t max, bool lines)
{
    static const char *const words[] = {
        "Röding", "i",   "Sörmjöle", "\"fjäll\"", "a,b",   "c;d",       "=SUM(A1)", "@home",
        "-3",     "+46", "'",        "'=x",       "Ŋárga", "日本",      "\\",       "</b>",
        "&",      "😀",   "[1]",      "{\"a\"",    "\tx",   "e\xcc\x81", "1,5",      "' x ' "};
    char text[200];
    size_t size = 0;
    size_t count = 1 + test_random_below(state, 5);

    for (size_t i = 0; i < count; i++) {
        const char *word = PICK(state, words);

        if (word[0] == '\t' && !lines)
            word++;
        if (size + 1 + strlen(word) > max && size)
            break;
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%s%s",
                                 i == 0                                      ? ""
                                 : lines && test_random_below(state, 3) == 0 ? "\n"
                                                                             : " ",
                                 word);
    }
    return json_string(text);
}

static json_t *random_language_map(uint64_t *state, size_t max, bool lines)
{
    static const char *const languages[] = {"sv",  "en",  "fi",  "fit", "se",
                                            "smj", "sma", "sje", "sju"};
    json_t *map = json_object();
    size_t count = 1 + test_random_below(state, 3);

    for (size_t i = 0; i < count; i++)
        json_object_set_new(map, PICK(state, languages), random_text(state, max, lines));
    return map;
}

static json_t *random_position(uint64_t *state, double lon, double lat, double size)
{
    /* Not rounded to the grid: rounding is part of what is tested. */
    return json_pack("[f,f]", lon + size * test_random_unit(state),
                     lat + size * test_random_unit(state));
}

static json_t *random_positions(uint64_t *state, double lon, double lat, size_t count)
{
    json_t *line = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(line, random_position(state, lon, lat, 0.5));
    return line;
}

/* A rectangle, turned either way. */
static json_t *random_ring(uint64_t *state, double lon, double lat, double size)
{
    double w = lon, e = lon + size * (1 + test_random_unit(state));
    double s = lat, n = lat + size * (1 + test_random_unit(state));

    if (test_random_below(state, 2))
        return json_pack("[[f,f],[f,f],[f,f],[f,f],[f,f]]", w, s, e, s, e, n, w, n, w, s);
    return json_pack("[[f,f],[f,f],[f,f],[f,f],[f,f]]", w, s, w, n, e, n, e, s, w, s);
}

static json_t *random_polygon(uint64_t *state, double lon, double lat)
{
    json_t *polygon = json_array();

    json_array_append_new(polygon, random_ring(state, lon, lat, 0.3));
    if (test_random_below(state, 2))
        json_array_append_new(polygon, random_ring(state, lon + 0.1, lat + 0.1, 0.05));
    return polygon;
}

static json_t *random_geometry(uint64_t *state)
{
    static const char *const types[] = {"Point",           "MultiPoint", "LineString",
                                        "MultiLineString", "Polygon",    "MultiPolygon"};
    /* West of where a position would look swapped. */
    double lon = -179 + 230 * test_random_unit(state);
    double lat = -89 + 177 * test_random_unit(state);
    size_t type = test_random_below(state, 2) ? 0 : test_random_below(state, 6);
    size_t count = 1 + test_random_below(state, 4);
    json_t *coordinates = json_array();

    if (type == 0) {
        json_decref(coordinates);
        coordinates = random_position(state, lon, lat, 0.5);
    } else if (type <= 2) {
        json_decref(coordinates);
        coordinates = random_positions(state, lon, lat, count + 1);
    } else if (type == 4) {
        json_decref(coordinates);
        coordinates = random_polygon(state, lon, lat);
    } else {
        for (size_t i = 0; i < count; i++)
            json_array_append_new(coordinates, type == 3
                                                   ? random_positions(state, lon, lat, count + 1)
                                                   : random_polygon(state, lon, lat));
    }
    return json_pack("{s:s,s:o}", "type", types[type], "coordinates", coordinates);
}

static json_t *random_slug(uint64_t *state)
{
    static const char *const slugs[] = {
        "food/cafe", "nature/fishing", "culture/music",          "nature/hunting/elk",
        "other",     "crafts",         "competence/it-security", "zebra/stripe-2"};

    return json_string(PICK(state, slugs));
}

static json_t *random_reference(uint64_t *state)
{
    struct feature_id id;
    char text[FEATURE_ID_SIZE + 1];

    for (size_t i = 0; i < sizeof(id.origin_prefix); i++)
        id.origin_prefix[i] = (uint8_t)test_random(state);
    for (size_t i = 0; i < sizeof(id.id.bytes); i++)
        id.id.bytes[i] = (uint8_t)test_random(state);
    feature_id_format(&id, text);
    return json_string(text);
}

/* later: of a pair (from, through; start, end) the second. */
static int random_year(uint64_t *state, bool later)
{
    return (later ? 2030 : 2020) + (int)test_random_below(state, 9);
}

static json_t *random_time(uint64_t *state, bool later)
{
    static const char *const tails[] = {"T09:30:00Z",      "T23:59:59.999+01:00",
                                        "T00:00:00-05:30", "",
                                        "T18:00",          "T18:00[Europe/Helsinki]"};

    return json_sprintf("%04d-%02d-%02d%s", random_year(state, later),
                        1 + (int)test_random_below(state, 12),
                        1 + (int)test_random_below(state, 28), PICK(state, tails));
}

/* day: a date only. From 04:00, since that hour exists on every day. */
static json_t *random_local(uint64_t *state, bool later, bool day)
{
    static const char *const zones[] = {
        "",     "[Europe/Stockholm]", "[Europe/Helsinki]", "[Europe/Oslo]", "[Europe/Copenhagen]",
        "[UTC]"};
    char date[16], time[16];

    snprintf(date, sizeof(date), "%04d-%02d-%02d", random_year(state, later),
             1 + (int)test_random_below(state, 12), 1 + (int)test_random_below(state, 28));
    snprintf(time, sizeof(time), "T%02d:%02d:%02d", 4 + (int)test_random_below(state, 20),
             (int)test_random_below(state, 60), (int)test_random_below(state, 60));
    return json_sprintf("%s%s%s", date, day ? "" : time, PICK(state, zones));
}

static char luhn(const char *nine)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < 9; i++) {
        unsigned digit = (unsigned)(nine[i] - '0') << (i % 2 == 0);

        sum += digit / 10 + digit % 10;
    }
    return (char)('0' + (10 - sum % 10) % 10);
}

static json_t *random_organisation(uint64_t *state)
{
    char nine[10];

    for (unsigned i = 0; i < 9; i++)
        nine[i] = (char)('0' + test_random_below(state, 10));
    nine[2] = (char)('2' + test_random_below(state, 8));
    nine[9] = '\0';
    return json_sprintf("%.6s%s%.3s%c", nine, test_random_below(state, 2) ? "-" : "", nine + 6,
                        luhn(nine));
}

/* One flat switch: each format. */
static json_t *random_formatted(uint64_t *state, enum listing_format format, size_t max, bool later)
{
    static const char *const rules[] = {"FREQ=WEEKLY;BYDAY=SA",
                                        "FREQ=MONTHLY;BYDAY=-1SU;UNTIL=20271231T235959Z",
                                        "FREQ=DAILY;INTERVAL=2;COUNT=10"};
    static const char *const qualifications[] = {"welding", "fg7B_yov_smw", "crane/mobile"};
    static const char *const languages[] = {"sv", "en", "smj", "fi-SE", "zh-Hans-CN"};
    static const char *const zones[] = {"Europe/Stockholm", "UTC",
                                        "America/Argentina/Buenos_Aires"};
    static const char *const groups[] = {"norrbotten", "inland/south", "e-12"};
    static const char *const endpoints[] = {"torg.example.se:8490", "[2001:db8::1]:8490"};
    char hex[65];

    switch (format) {
    case LISTING_FORMAT_NONE:
    case LISTING_FORMAT_PARAGRAPHS:
    case LISTING_FORMAT_DAY_END:
        return random_text(state, max, false);
    case LISTING_FORMAT_MUNICIPALITY:
        return json_string("0114");
    case LISTING_FORMAT_COUNTRY:
        return json_string("SE");
    case LISTING_FORMAT_ORGANISATION:
        return random_organisation(state);
    case LISTING_FORMAT_EMAIL:
        return json_string("kåre.o'neil+x@example.se");
    case LISTING_FORMAT_TELEPHONE:
        return json_string("+46 (0)90-12 34 56");
    case LISTING_FORMAT_LANGUAGE:
        return json_string(PICK(state, languages));
    case LISTING_FORMAT_ZONE:
        return json_string(PICK(state, zones));
    case LISTING_FORMAT_DATE:
        return json_string(later ? "2027-08-31" : "2026-06-01");
    case LISTING_FORMAT_LOCAL:
        return json_string(test_random_below(state, 2) ? "2026-12-24" : "2026-12-25T18:00:00");
    case LISTING_FORMAT_CLOCK:
        return json_string(later ? "17:30" : "08:00");
    case LISTING_FORMAT_RRULE:
        return json_string(PICK(state, rules));
    case LISTING_FORMAT_DAYS:
        return json_string(test_random_below(state, 2) ? "MO,WE,FR" : rules[0]);
    case LISTING_FORMAT_SHA256:
    case LISTING_FORMAT_ORIGIN:
        for (unsigned i = 0; i < 64; i++)
            hex[i] = "0123456789abcdef"[test_random_below(state, 16)];
        hex[64] = '\0';
        return json_string(hex);
    case LISTING_FORMAT_CONCEPT:
        return json_string("fg7B_yov_smw");
    case LISTING_FORMAT_QUALIFICATION:
        return json_string(PICK(state, qualifications));
    case LISTING_FORMAT_SSYK:
        return json_string("0214");
    case LISTING_FORMAT_SUN:
        return json_string("480b");
    case LISTING_FORMAT_SNI:
        return json_string("56.100");
    case LISTING_FORMAT_DIGITS:
        return json_sprintf("%u", (unsigned)test_random_below(state, 1000000));
    case LISTING_FORMAT_WIKIDATA:
        return json_string("Q25579");
    case LISTING_FORMAT_SLUG:
        return json_string(PICK(state, groups));
    case LISTING_FORMAT_ENDPOINT:
        return json_string(PICK(state, endpoints));
    }
    return NULL;
}

static json_t *random_value(uint64_t *state, const struct listing_property *property, bool day);

static json_t *random_object(uint64_t *state, const struct listing_property *property)
{
    json_t *object = json_object();

    for (const struct listing_property *f = property->fields; f->name; f++) {
        if (f->required || test_random_below(state, 2))
            json_object_set_new(object, f->name, random_value(state, f, false));
    }
    if (json_object_size(object) == 0)
        json_object_set_new(object, property->fields->name,
                            random_value(state, property->fields, false));
    return object;
}

static json_t *random_item(uint64_t *state, const struct listing_property *property)
{
    switch (property->type) {
    case LISTING_TYPE_SLUGS:
        return random_slug(state);
    case LISTING_TYPE_IDS:
        return random_reference(state);
    case LISTING_TYPE_LIST:
        return random_object(state, property);
    default:
        return random_formatted(state, property->format, LISTING_ITEM_BYTES_MAX, false);
    }
}

static json_t *random_list(uint64_t *state, const struct listing_property *property)
{
    json_t *list = json_array();
    size_t count = 1 + test_random_below(state, 4);

    for (size_t i = 0; i < count && i < property->max; i++) {
        json_t *item = random_item(state, property);
        bool twice = false;
        json_t *other;
        size_t at;

        json_array_foreach(list, at, other) twice = twice || json_equal(other, item);
        if (twice && property->type != LISTING_TYPE_LIST)
            json_decref(item);
        else
            json_array_append_new(list, item);
    }
    return list;
}

static json_t *random_price(uint64_t *state)
{
    if (test_random_below(state, 4) == 0)
        return json_pack("{s:i,s:s}", "amount", (int)test_random_below(state, 10000), "currency",
                         "ISK");
    return json_pack("{s:f,s:s}", "amount", (double)test_random_below(state, 100000) / 100,
                     "currency", "SEK");
}

static bool is_later(const char *name)
{
    return strcmp(name, "through") == 0 || strcmp(name, "validThrough") == 0 ||
           strcmp(name, "end") == 0 || strcmp(name, "closes") == 0;
}

/* One flat switch: each type. */
static json_t *random_value(uint64_t *state, const struct listing_property *property, bool day)
{
    bool later = is_later(property->name);
    bool lines = property->format == LISTING_FORMAT_PARAGRAPHS;
    size_t choices = 0;

    switch (property->type) {
    case LISTING_TYPE_TEXT:
        return test_random_below(state, 3) ? random_language_map(state, property->max, lines)
                                           : random_text(state, property->max, lines);
    case LISTING_TYPE_STRING:
        return random_formatted(state, property->format, property->max, later);
    case LISTING_TYPE_GEOMETRY:
        return random_geometry(state);
    case LISTING_TYPE_TIME:
        return random_time(state, later);
    case LISTING_TYPE_LOCAL:
        return random_local(state, later, day);
    case LISTING_TYPE_INT: /* remaining stays at or under capacity */
        return json_integer((json_int_t)(strcmp(property->name, "remaining") == 0
                                             ? test_random_below(state, 10)
                                             : 10 + test_random_below(state, property->max - 10)));
    case LISTING_TYPE_NUMBER:
        return json_real((double)test_random_below(state, 100000) / 1000);
    case LISTING_TYPE_BOOL:
        return json_boolean(test_random_below(state, 2));
    case LISTING_TYPE_URI:
        return json_string("https://example.se:8443/%C3%A5?q=1,2;3&x='y'#z");
    case LISTING_TYPE_ENUM:
        while (property->choices[choices])
            choices++;
        return json_string(property->choices[test_random_below(state, choices)]);
    case LISTING_TYPE_ID:
        return random_reference(state);
    case LISTING_TYPE_PRICE:
        return random_price(state);
    case LISTING_TYPE_MAP:
        return random_object(state, property);
    case LISTING_TYPE_SLUGS:
    case LISTING_TYPE_IDS:
    case LISTING_TYPE_STRINGS:
    case LISTING_TYPE_LIST:
        return random_list(state, property);
    }
    return NULL;
}

json_t *listing_random_feature(uint64_t *state, uint8_t collection)
{
    json_t *properties = json_object();
    json_t *geometry = json_null();
    bool day = test_random_below(state, 3) == 0;

    for (const struct listing_property *p = listing_properties(); p->name; p++) {
        if (!(p->collections >> collection & 1) || p->read_only ||
            strcmp(p->name, "movedTo") == 0 || (!p->required && test_random_below(state, 2)))
            continue;
        if (p->type == LISTING_TYPE_GEOMETRY && strcmp(p->name, "geometry") == 0)
            geometry = random_geometry(state);
        else
            json_object_set_new(properties, p->name, random_value(state, p, day));
    }
    /* end and recurrence need a start. */
    if (!json_object_get(properties, "start")) {
        json_object_del(properties, "end");
        json_object_del(properties, "recurrence");
    }
    return json_pack("{s:s,s:o,s:o}", "type", "Feature", "geometry", geometry, "properties",
                     properties);
}

enum torg_err listing_random_body(uint64_t *state, uint8_t collection, struct buffer *ret_body)
{
    json_t *feature = listing_random_feature(state, collection);
    struct problems *problems = calloc(1, sizeof(*problems));
    enum torg_err err = TORG_E_NOMEM;

    if (feature && problems)
        err = listing_of_geojson(collection, feature, "sv", CREATED_MS, CREATED_MS + 1, ret_body,
                                 problems);
    if (err == TORG_E_INVALID)
        fprintf(stderr, "random listing: %s %s\n", problems->items[0].path,
                problems->items[0].text);
    free(problems);
    json_decref(feature);
    return err;
}
