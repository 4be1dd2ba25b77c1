/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <string.h>

#include "protocol/listing_csv.h"
#include "protocol/listing_geojson.h"
#include "protocol/profile.h"

/*
 * Any file is read to its end, with each record inside it. A listing that is
 * taken in is in the profile and, exported and imported again, the same, but for
 * languages that have no column.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CREATED_MS INT64_C(1790000000000)

static struct problems problems;

static enum torg_err import_one(uint8_t collection, struct span text, struct buffer *ret_body)
{
    struct csv_reader csv;
    struct csv_columns *columns = NULL;
    enum torg_err err;

    csv_reader_init(&csv, text);
    assert(!csv_reader_next(&csv));
    problems.count = 0;
    assert(!csv_columns_new(collection, &csv, &columns, &problems));
    assert(!csv_reader_next(&csv));
    err = listing_of_csv(columns, &csv, "sv", CREATED_MS, CREATED_MS, ret_body, &problems);
    csv_columns_free(columns);
    csv_reader_done(&csv);
    return err;
}

static bool language_has_column(const char *language)
{
    for (size_t i = 0; csv_languages[i]; i++) {
        if (strcmp(csv_languages[i], language) == 0)
            return true;
    }
    return false;
}

/* Does every text of an object of properties have only languages that have columns? */
static bool carried(const struct listing_property *properties, json_t *object)
{
    for (const struct listing_property *p = properties; p->name; p++) {
        json_t *value = json_object_get(object, p->name);
        const char *language;
        json_t *text;

        if (p->type == LISTING_TYPE_MAP && value && !carried(p->fields, value))
            return false;
        if (p->type != LISTING_TYPE_TEXT)
            continue;
        json_object_foreach(value, language, text)
        {
            if (!language_has_column(language))
                return false;
        }
    }
    return true;
}

static void there_and_back(uint8_t collection, struct span body)
{
    struct listing_meta meta = {.collection = collection};
    struct buffer text = {0}, again = {0}, json = {0};
    char message[160];
    json_t *feature = NULL;

    assert(!profile_check(body));
    csv_put_header(collection, &text);
    assert(!listing_put_csv(&meta, body, &text));
    assert(!listing_put_geojson(&meta, body, &json));
    assert(!listing_json_parse(buffer_span(&json), &feature, message, sizeof(message)));
    if (carried(listing_properties(), json_object_get(feature, "properties"))) {
        assert(!import_one(collection, buffer_span(&text), &again));
        /* A listing that moved has no times of its own to come back. */
        assert(span_equal(buffer_span(&again), body));
    }
    json_decref(feature);
    buffer_done(&text);
    buffer_done(&again);
    buffer_done(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct csv_reader csv;
    struct csv_columns *columns = NULL;
    struct buffer body = {0};
    uint8_t collection;
    enum torg_err err;

    if (size < 1)
        return 0;
    collection = data[0] % 9 == 8 ? COLLECTION_NETWORKS : 1 + data[0] % 9;
    csv_reader_init(&csv, span_of(data + 1, size - 1));
    problems.count = 0;
    err = csv_reader_next(&csv);
    if (!err && csv_columns_new(collection, &csv, &columns, &problems))
        columns = NULL;
    for (size_t records = 0; err != TORG_E_NOT_FOUND && !csv.unreadable; records++) {
        assert(records <= size);
        err = csv_reader_next(&csv);
        assert(!err || csv.problem || err == TORG_E_NOT_FOUND);
        if (err || !columns)
            continue;
        buffer_clear(&body);
        problems.count = 0;
        if (!listing_of_csv(columns, &csv, "sv", CREATED_MS, CREATED_MS, &body, &problems))
            there_and_back(collection, buffer_span(&body));
        else
            assert(problems.count > 0 && body.size == 0);
    }
    csv_columns_free(columns);
    csv_reader_done(&csv);
    buffer_done(&body);
    return 0;
}
