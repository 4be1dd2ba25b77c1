/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <jansson.h>
#include <string.h>

#include "daemon/http_crs.h"
#include "protocol/listing_geojson.h"
#include "protocol/listing_ical.h"
#include "protocol/listing_jsonld.h"
#include "protocol/opening.h"
#include "protocol/profile.h"

/*
 * What a stranger may have signed, in the other formats: no line of a listing
 * becomes a line of a calendar, every line is short and whole, JSON stays JSON.
 * The input is a collection and a packed body, or a GeoJSON feature.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CREATED_MS INT64_C(1790000000000)

static struct problems problems;

static bool is_json(const struct buffer *text)
{
    json_t *json = json_loadb((const char *)text->data, text->size, 0, NULL);
    bool good = json_is_object(json);

    json_decref(json);
    return good;
}

/* Lines: a name and a colon, or a space of a folded one; one event, never two. */
static void check_calendar(const struct buffer *text)
{
    size_t begins = 0;
    size_t at = 0;

    while (at < text->size) {
        const uint8_t *line = text->data + at;
        const uint8_t *end = memmem(line, text->size - at, "\r\n", 2);
        size_t size;

        assert(end);
        size = (size_t)(end - line);
        assert(size > 0 && size <= 75 && !memchr(line, '\n', size) && !memchr(line, '\r', size));
        assert(line[0] == ' ' || (line[0] >= 'A' && line[0] <= 'Z'));
        assert(utf8_valid(span_of(line, size)));
        begins += size >= 6 && memcmp(line, "BEGIN:", 6) == 0;
        at += size + 2;
    }
    assert(begins == (text->size > 0));
}

static void check_systems(struct span feature)
{
    for (enum geo_crs crs = GEO_CRS84; http_crs_uri(crs); crs++) {
        struct geo_transform *transform;
        struct buffer out = {0};

        if (geo_transform_new(crs, &transform))
            return;
        assert(!http_crs_put_listing(transform, crs, feature, &out));
        assert(is_json(&out));
        geo_transform_free(transform);
        buffer_done(&out);
    }
}

/* Where the slots say closed it is. */
static void check_hours(struct span body)
{
    static const int64_t moments[] = {0x18e00000000, 0x18e12345678, 0x1a0ffffffff, 0x1b5e0b10a00};
    struct span hours = opening_of_body(body);
    uint32_t slots = opening_slots(hours);
    uint64_t work = 0;

    for (size_t i = 0; i < ARRAY_SIZE(moments); i++)
        assert(!opening_at(hours, moments[i], &work) || slots >> opening_slot(moments[i]) & 1);
}

static void check_feature(const struct listing_meta *meta, struct span body)
{
    struct buffer feature = {0}, out = {0};
    enum torg_err err;

    check_hours(body);
    if (!listing_put_geojson(meta, body, &feature) && is_json(&feature)) {
        assert(!listing_put_ical(buffer_span(&feature), "en", &out));
        check_calendar(&out);
        buffer_clear(&out);
        err = listing_put_jsonld(buffer_span(&feature), span_of_str("http://a/b"), &out);
        assert(err ? err == TORG_E_INVALID && !out.size : is_json(&out));
        check_systems(buffer_span(&feature));
    }
    buffer_done(&feature);
    buffer_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct listing_meta meta = {0};
    struct buffer body = {0};
    char message[160];
    json_t *json = NULL;
    struct span input;

    if (size < 1)
        return 0;
    meta.collection = 1 + data[0] % 13;
    input = span_of(data + 1, size - 1);
    if (!profile_check(input))
        check_feature(&meta, input);
    problems.count = 0;
    if (!listing_json_parse(input, &json, message, sizeof(message)) &&
        !listing_of_geojson(meta.collection, json, "sv", CREATED_MS, CREATED_MS, &body, &problems))
        check_feature(&meta, buffer_span(&body));
    json_decref(json);
    buffer_done(&body);
    return 0;
}
