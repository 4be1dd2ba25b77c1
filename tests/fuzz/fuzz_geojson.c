/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>

#include "protocol/listing_csv.h"
#include "protocol/listing_geojson.h"
#include "protocol/profile.h"

/*
 * What is taken in is in the profile, passes the checks and can be indexed; as
 * GeoJSON it comes back byte for byte. And what a stranger may have signed, the
 * input taken as a body, is shown as JSON or refused, without harm.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CREATED_MS INT64_C(1790000000000)

static struct problems problems;

static json_t *parsed(struct span text)
{
    json_t *json = NULL;
    char message[160];

    return listing_json_parse(text, &json, message, sizeof(message)) ? NULL : json;
}

static bool convert(uint8_t collection, const json_t *feature, struct buffer *ret_body)
{
    problems.count = 0;
    if (listing_of_geojson(collection, feature, "sv", CREATED_MS, CREATED_MS, ret_body,
                           &problems)) {
        assert(problems.count > 0 && ret_body->size == 0);
        return false;
    }
    return true;
}

static void there_and_back(const struct listing_meta *meta, const json_t *feature)
{
    struct buffer body = {0}, again = {0}, text = {0};
    struct listing_fields fields;
    json_t *shown;

    if (convert(meta->collection, feature, &body)) {
        assert(!profile_check(buffer_span(&body)));
        assert(!listing_check(meta->collection, buffer_span(&body), &problems));
        assert(!listing_fields_read(meta->collection, buffer_span(&body), &fields));
        assert(!listing_put_geojson(meta, buffer_span(&body), &text));
        shown = parsed(buffer_span(&text));
        assert(shown && convert(meta->collection, shown, &again));
        assert(span_equal(buffer_span(&body), buffer_span(&again)));
        json_decref(shown);
    }
    buffer_done(&body);
    buffer_done(&again);
    buffer_done(&text);
}

static void as_body(const struct listing_meta *meta, struct span body)
{
    struct buffer text = {0};
    struct listing_fields fields;
    enum torg_err err = listing_fields_read(meta->collection, body, &fields);

    assert(!err || err == TORG_E_INVALID);
    err = listing_put_csv(meta, body, &text);
    assert(!err || err == TORG_E_INVALID);
    buffer_clear(&text);
    problems.count = 0;
    listing_check(meta->collection, body, &problems);
    if (!listing_put_geojson(meta, body, &text) && !profile_check(body)) {
        json_t *shown = parsed(buffer_span(&text));

        assert(shown && json_is_object(json_object_get(shown, "properties")));
        assert(text.size > 2 && text.data[text.size - 1] == '}' && text.data[text.size - 2] == '}');
        json_decref(shown);
    }
    buffer_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct listing_meta meta = {0};
    json_t *feature;

    if (size < 1)
        return 0;
    meta.collection = 1 + data[0] % 13;
    as_body(&meta, span_of(data + 1, size - 1));
    feature = parsed(span_of(data + 1, size - 1));
    if (feature)
        there_and_back(&meta, feature);
    json_decref(feature);
    return 0;
}
