/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/catalogue_derive.h"

#include <string.h>

#include "index/reach.h"
#include "index/text.h"
#include "protocol/change.h"
#include "protocol/fold.h"
#include "protocol/opening.h"
#include "protocol/profile.h"

/* Not a fault of ours: the origin published what this version cannot show. */
static bool derive_unshowable(enum torg_err err)
{
    return err == TORG_E_INVALID || err == TORG_E_PROFILE || err == TORG_E_TRUNCATED ||
           err == TORG_E_TOO_BIG;
}

static enum torg_err derive_body(uint8_t collection, const struct replica_entry *entry,
                                 struct span *ret_body, struct listing_fields *ret_fields)
{
    struct payload payload;
    enum torg_err err;

    if (collection >= COLLECTIONS_MAX || !(COLLECTION_MASK_PUBLIC >> collection & 1))
        return TORG_E_NOT_FOUND;
    if (!entry || entry->header.op != CHANGE_UPSERT || entry->payload.size == 0)
        return TORG_E_NOT_FOUND;
    err = payload_parse(entry->payload, &payload);
    if (!err && payload.schema != PAYLOAD_SCHEMA && entry->header.flags & CHANGE_FLAG_CRITICAL)
        return TORG_E_NOT_FOUND;
    if (!err)
        err = listing_fields_read(collection, payload.body, ret_fields);
    if (err)
        return derive_unshowable(err) ? TORG_E_NOT_FOUND : err;
    if (ret_fields->moved)
        return TORG_E_NOT_FOUND;
    *ret_body = payload.body;
    return TORG_OK;
}

/* The bits of all its themes and of all broader ones, each once, ascending. */
static void derive_themes(const struct theme_tree *themes, const struct listing_fields *fields,
                          struct catalogue_derived *derived)
{
    struct theme_set all = {0};

    buffer_clear(&derived->themes_text);
    for (size_t i = 0; i < fields->theme_count; i++) {
        struct theme_set carried = theme_listing_set(themes, fields->themes[i]);

        for (unsigned word = 0; word < ARRAY_SIZE(all.words); word++)
            all.words[word] |= carried.words[word];
        buffer_put_span(&derived->themes_text, fields->themes[i]);
        buffer_put_u8(&derived->themes_text, 0);
    }
    derived->theme_bit_count = 0;
    for (unsigned bit = 0; bit < THEME_BITS; bit++) {
        if (theme_set_has(&all, bit))
            derived->theme_bits[derived->theme_bit_count++] = (uint8_t)bit;
    }
}

static enum torg_err derive_names(struct span names, struct buffer *out)
{
    struct profile_reader in = profile_reader_of(names);
    uint32_t count = profile_map(&in);

    buffer_clear(out);
    for (uint32_t i = 0; i < count && !in.in.err; i++) {
        profile_str(&in, SIZE_MAX);
        if (i > 0)
            buffer_put_u8(out, '\n');
        fold_put(out, profile_str(&in, SIZE_MAX));
    }
    return in.in.err ? in.in.err : out->err;
}

/* Longer codes than there are stand in the feature only. */
static struct span derive_code(struct span code, size_t size_max)
{
    return code.size <= size_max ? code : (struct span){0};
}

/* The one property that is counted and that no query compares. */
static uint64_t derive_people(struct span people)
{
    struct profile_reader in = profile_reader_of(people);

    return people.size ? profile_uint(&in, INTEGER_MAX) : 0;
}

static enum catalogue_asker derive_asker(struct span asker)
{
    if (span_equal(asker, span_of_str("company")))
        return CATALOGUE_ASKER_COMPANY;
    if (span_equal(asker, span_of_str("municipality")))
        return CATALOGUE_ASKER_MUNICIPALITY;
    if (span_equal(asker, span_of_str("association")))
        return CATALOGUE_ASKER_ASSOCIATION;
    return CATALOGUE_ASKER_NOT_STATED;
}

static void derive_row(const struct replica_origin *origin, uint8_t collection,
                       const struct listing_fields *fields, struct catalogue_derived *derived)
{
    struct catalogue_row *row = &derived->row;

    *row = (struct catalogue_row){
        .collection = collection,
        .placed = fields->has_geometry,
        .is_point = fields->has_geometry && fields->is_point,
        .origin_number = origin->number,
        .freshness = (uint8_t)text_freshness(fields->modified_ms),
        .time_from_ms = fields->time_from_ms,
        .time_through_ms = fields->time_through_ms,
        .shown_from_ms = fields->shown_from_ms,
        .shown_through_ms = fields->shown_through_ms,
        .theme_bits = span_of(derived->theme_bits, derived->theme_bit_count),
        .municipality = derive_code(fields->municipality, 7),
        .country_code = derive_code(fields->country_code, 3),
        .themes_text = buffer_span(&derived->themes_text),
        .folded_names = buffer_span(&derived->folded_names),
    };
    if (collection == COLLECTION_NEEDS) {
        row->asker = (uint8_t)derive_asker(fields->asker);
        row->people = derive_people(fields->people);
        row->area = derive_code(fields->area, 255);
    }
    if (row->placed) {
        row->point = fields->point;
        row->box_min = fields->box_min;
        row->box_max = fields->box_max;
    }
    /* The tree finds by the listing's own time: nothing may be shown outside of it. */
    if (row->shown_through_ms > row->time_through_ms)
        row->shown_through_ms = row->time_through_ms;
    if (!catalogue_row_regular(row) && collection != COLLECTION_EVENTS &&
        collection != COLLECTION_COURSES && row->shown_from_ms < row->time_from_ms)
        row->shown_from_ms = row->time_from_ms;
    row->stray = catalogue_row_strays(row);
    buffer_clear(&derived->row_value);
    catalogue_row_pack(row, &derived->row_value);
}

/* References to listings; one that is no reference makes none. */
static void derive_networks(struct span networks, struct buffer *terms)
{
    struct profile_reader in = profile_reader_of(networks);

    if (networks.size == 0)
        return;
    for (uint32_t left = profile_array(&in); left > 0 && !in.in.err; left--) {
        struct span reference = profile_bin(&in, LISTING_REFERENCE_SIZE);

        if (reference.size == LISTING_REFERENCE_SIZE)
            catalogue_terms_add(terms, POSTINGS_NETWORK, reference);
    }
}

static void derive_opening(struct span hours, struct buffer *terms)
{
    uint32_t slots = opening_slots(hours);

    for (uint8_t slot = 0; slot < OPENING_SLOTS; slot++) {
        if (slots >> slot & 1)
            catalogue_terms_add(terms, POSTINGS_OPEN, span_of(&slot, 1));
    }
}

/* What the listing can be found by, beside its place, time and themes. After derive_row. */
static enum torg_err derive_terms(const struct theme_tree *themes,
                                  const struct listing_fields *fields, struct span body,
                                  struct catalogue_derived *derived)
{
    static const uint8_t nobody[LISTING_REFERENCE_SIZE];
    const struct catalogue_row *row = &derived->row;
    struct buffer *terms = &derived->terms;
    struct catalogue_part_key part =
        catalogue_part_key(row->collection, row->placed, !catalogue_row_regular(row));
    uint8_t origin[4];

    buffer_clear(terms);
    put_u32be(origin, row->origin_number);
    catalogue_terms_add(terms, POSTINGS_COLLECTION, span_of(&row->collection, 1));
    catalogue_terms_add(terms, POSTINGS_PART, span_of(part.bytes, sizeof(part.bytes)));
    catalogue_terms_add(terms, POSTINGS_MUNICIPALITY, row->municipality);
    catalogue_terms_add(terms, POSTINGS_ORIGIN, span_of(origin, sizeof(origin)));
    catalogue_terms_add(terms, POSTINGS_COUNTRY, row->country_code);
    derive_networks(fields->networks, terms);
    if (fields->reaches)
        reach_terms(body, terms);
    derive_opening(fields->opening_hours, terms);
    if (memcmp(fields->provider, nobody, sizeof(nobody)) != 0)
        catalogue_terms_add(terms, POSTINGS_PROVIDER,
                            span_of(fields->provider, sizeof(fields->provider)));
    text_terms(themes, fields, terms);
    return catalogue_terms_sort(terms);
}

static enum torg_err derive_record(const struct replica_origin *origin, uint8_t collection,
                                   const struct replica_entry *entry, struct span body,
                                   const struct listing_fields *fields,
                                   struct catalogue_derived *derived)
{
    struct listing_meta meta = {
        .collection = collection,
        .origin = origin->id,
        .id = entry->header.id,
    };
    struct catalogue_record *record = &derived->record;
    enum torg_err err;

    *record = (struct catalogue_record){
        .collection = collection,
        .placed = fields->has_geometry,
        .has_source = fields->source_system.size > 0 || fields->source_id.size > 0,
        .origin_number = origin->number,
        .id = entry->header.id,
        .created_ms = fields->created_ms,
        .modified_ms = fields->modified_ms,
    };
    memcpy(record->etag, entry->header.payload_hash.bytes, sizeof(record->etag));
    if (record->has_source) {
        err = catalogue_source_hash(fields->source_system, fields->source_id, record->source);
        if (err)
            return err;
    }
    buffer_clear(&derived->record_value);
    catalogue_record_pack(record, &derived->record_value);
    return listing_put_geojson(&meta, body, &derived->record_value);
}

enum torg_err catalogue_derive(const struct theme_tree *themes, const struct replica_origin *origin,
                               uint8_t collection, const struct replica_entry *entry,
                               struct catalogue_derived *ret_derived)
{
    struct listing_fields fields;
    struct span body;
    enum torg_err err;

    err = derive_body(collection, entry, &body, &fields);
    if (err)
        return err;
    derive_themes(themes, &fields, ret_derived);
    err = derive_names(fields.names, &ret_derived->folded_names);
    if (!err)
        err = derive_record(origin, collection, entry, body, &fields, ret_derived);
    if (err)
        return derive_unshowable(err) ? TORG_E_NOT_FOUND : err;
    derive_row(origin, collection, &fields, ret_derived);
    err = derive_terms(themes, &fields, body, ret_derived);
    if (!err) {
        catalogue_record_add_terms(buffer_span(&ret_derived->terms), &ret_derived->record_value);
        err = ret_derived->record_value.err;
    }
    if (!err)
        err = ret_derived->row_value.err;
    return err ? err : ret_derived->themes_text.err;
}

void catalogue_derived_done(struct catalogue_derived *derived)
{
    buffer_done(&derived->row_value);
    buffer_done(&derived->record_value);
    buffer_done(&derived->themes_text);
    buffer_done(&derived->folded_names);
    buffer_done(&derived->terms);
    *derived = (struct catalogue_derived){0};
}

struct catalogue_ready catalogue_derived_ready(const struct catalogue_derived *derived)
{
    struct span record_value = buffer_span(&derived->record_value), terms = {0};

    /* They stand at its end; a listing that is not shown has none. */
    if (derived->terms.size)
        terms = span_of(record_value.data + record_value.size - derived->terms.size,
                        derived->terms.size);

    return (struct catalogue_ready){
        .row = derived->row,
        .record = derived->record,
        .row_value = buffer_span(&derived->row_value),
        .record_value = record_value,
        .terms = terms,
    };
}
