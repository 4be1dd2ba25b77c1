/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <string.h>

#include "index/catalogue_derive.h"
#include "protocol/listing_geojson.h"

/*
 * The first byte is a collection, the second a header's flags, the rest a
 * stranger's payload: either it has no document, or a row that reads back as it
 * was packed and a feature that is JSON. The same bytes are then read as a row
 * and as a record, as if the disk had damaged them.
 */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct theme_tree *themes;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    assert(!theme_tree_builtin(&themes));
    return seal_init();
}

static void check_derived(const struct catalogue_derived *derived)
{
    struct catalogue_row_key key =
        catalogue_row_key(derived->row.collection, derived->row.placed, 7);
    struct buffer again = {0};
    struct catalogue_record record;
    struct catalogue_row row;
    char message[200];
    json_t *json;

    assert(!catalogue_row_read(span_of(key.bytes, sizeof(key.bytes)),
                               buffer_span(&derived->row_value), &row));
    assert(span_equal(row.folded_names, derived->row.folded_names));
    assert(row.shown_through_ms <= row.time_through_ms);
    catalogue_row_pack(&row, &again);
    assert(span_equal(buffer_span(&again), buffer_span(&derived->row_value)));
    assert(!catalogue_record_read(buffer_span(&derived->record_value), &record));
    assert(span_equal(record.terms, buffer_span(&derived->terms)));
    assert(!listing_json_parse(record.feature, &json, message, sizeof(message)));
    json_decref(json);
    buffer_done(&again);
}

static void check_payload(uint8_t collection, uint8_t flags, struct span payload)
{
    struct replica_origin origin = {.number = 3};
    struct replica_entry entry = {.payload = payload};
    struct catalogue_derived derived = {0};
    enum torg_err err;

    entry.header.op = CHANGE_UPSERT;
    entry.header.flags = flags;
    entry.header.collection = collection;
    err = catalogue_derive(themes, &origin, collection, &entry, &derived);
    assert(!err || err == TORG_E_NOT_FOUND);
    if (!err)
        check_derived(&derived);
    catalogue_derived_done(&derived);
}

static size_t touch(struct span bytes)
{
    size_t sum = 0;

    for (size_t i = 0; i < bytes.size; i++)
        sum += bytes.data[i];
    return sum;
}

static void check_stored(struct span value, bool placed)
{
    static const uint8_t collections[] = {COLLECTION_OFFERS, COLLECTION_NEEDS};
    struct catalogue_record record;
    struct catalogue_row row;

    for (size_t i = 0; i < ARRAY_SIZE(collections); i++) {
        struct catalogue_row_key key = catalogue_row_key(collections[i], placed, 1);

        if (catalogue_row_read(span_of(key.bytes, sizeof(key.bytes)), value, &row))
            continue;
        (void)catalogue_row_themes(&row);
        assert(touch(row.theme_bits) + touch(row.municipality) + touch(row.country_code) +
                   touch(row.themes_text) + touch(row.folded_names) + touch(row.area) <
               SIZE_MAX);
        assert(row.asker <= CATALOGUE_ASKER_NOT_STATED);
    }
    if (!catalogue_record_read(value, &record))
        assert(touch(record.feature) + touch(record.terms) < SIZE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    check_payload(data[0], data[1], span_of(data + 2, size - 2));
    check_stored(span_of(data + 2, size - 2), data[1] & 1);
    return 0;
}
