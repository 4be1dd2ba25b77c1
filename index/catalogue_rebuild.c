/* SPDX-License-Identifier: EUPL-1.2 */
#include <string.h>

#include "index/catalogue_writer.h"

/* A batch of listings is copied out of the store before writing: writes end borrowed spans. */
#define REBUILD_BATCH_BYTES 1048576
#define REBUILD_POSTINGS_BYTES_MAX 67108864

struct rebuild_entry {
    struct listing_key key;
    size_t header_at, header_size;
    size_t payload_at, payload_size;
};

struct rebuild {
    struct kv *kv;
    const struct theme_tree *themes;
    catalogue_progress *progress;
    void *context;
    uint64_t done, total;
    struct buffer entries; /* of struct rebuild_entry */
    struct buffer bytes;
    struct catalogue_derived derived;
    struct catalogue_totals totals;
    bool sources_kept; /* of the origin that it has come to */
    struct postings_writer postings;
    struct text_stemmer stemmer;
};

static enum torg_err table_clear(struct kv *kv, enum kv_table table)
{
    static const uint8_t lowest[1] = {0};
    struct kv_cursor *cursor;
    struct span key, value;
    uint8_t copy[511];
    enum torg_err err;

    err = kv_cursor_open(kv, table, &cursor);
    if (err)
        return err;
    for (;;) {
        err = kv_cursor_seek(kv, cursor, span_of(lowest, sizeof(lowest)), &key, &value);
        if (err)
            break;
        if (key.size > sizeof(copy)) {
            err = TORG_E_CORRUPT;
            break;
        }
        memcpy(copy, key.data, key.size);
        err = kv_del(kv, table, span_of(copy, key.size));
        if (err)
            break;
    }
    kv_cursor_close(kv, cursor);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

/* The counter must stand above every number that is still in use, also after damage. */
static enum torg_err next_mend(struct kv *kv, const struct theme_tree *themes)
{
    static const uint8_t lowest[1] = {0};
    struct kv_cursor *cursor;
    struct span key, value;
    uint32_t next = 1;
    uint8_t bytes[4];
    enum torg_err err;

    err = kv_get(kv, KV_META, span_of_str(CATALOGUE_META_NEXT), &value);
    if (!err && value.size == sizeof(bytes))
        next = get_u32be(value.data);
    err = kv_cursor_open(kv, KV_DOCNUMBER, &cursor);
    if (err)
        return err;
    err = kv_cursor_seek(kv, cursor, span_of(lowest, sizeof(lowest)), &key, &value);
    while (!err) {
        uint32_t number = value.size == sizeof(bytes) ? get_u32be(value.data) : 0;

        if (number >= next && number < UINT32_MAX)
            next = number + 1;
        err = kv_cursor_next(kv, cursor, &key, &value);
    }
    kv_cursor_close(kv, cursor);
    if (err != TORG_E_NOT_FOUND)
        return err;
    put_u32be(bytes, next);
    err = kv_put(kv, KV_META, span_of_str(CATALOGUE_META_NEXT), span_of(bytes, sizeof(bytes)));
    return err ? err : catalogue_writer_stamp(kv, themes);
}

static bool batch_visit(void *context, const struct listing_key *key, struct span header_bytes,
                        struct span payload)
{
    struct rebuild *rebuild = context;
    struct rebuild_entry entry = {.key = *key};

    entry.header_at = rebuild->bytes.size;
    entry.header_size = header_bytes.size;
    buffer_put_span(&rebuild->bytes, header_bytes);
    entry.payload_at = rebuild->bytes.size;
    entry.payload_size = payload.size;
    buffer_put_span(&rebuild->bytes, payload);
    buffer_put(&rebuild->entries, &entry, sizeof(entry));
    return rebuild->bytes.size < REBUILD_BATCH_BYTES;
}

/* The number that the listing had, unless damage has given it to two. */
static enum torg_err rebuild_number(struct rebuild *rebuild,
                                    const struct catalogue_number_key *number_key,
                                    uint32_t *ret_number)
{
    struct catalogue_record other;
    uint8_t value[4];
    uint32_t number;
    enum torg_err err;

    err = catalogue_number_get(rebuild->kv, number_key, &number);
    if (!err && number != 0 && number != UINT32_MAX) {
        err = catalogue_record_get(rebuild->kv, number, &other);
        if (err == TORG_E_NOT_FOUND) {
            *ret_number = number;
            return TORG_OK;
        }
    }
    if (err && err != TORG_E_NOT_FOUND && err != TORG_E_CORRUPT)
        return err;
    err = catalogue_totals_number(&rebuild->totals, rebuild->kv, rebuild->themes, &number);
    if (err)
        return err;
    put_u32be(value, number);
    err = kv_put(rebuild->kv, KV_DOCNUMBER, span_of(number_key->bytes, sizeof(number_key->bytes)),
                 span_of(value, sizeof(value)));
    if (!err)
        *ret_number = number;
    return err;
}

static enum torg_err rebuild_listing(struct rebuild *rebuild, const struct replica_origin *origin,
                                     uint8_t collection, const struct rebuild_entry *at)
{
    struct span header = span_of(rebuild->bytes.data + at->header_at, at->header_size);
    struct span payload = span_of(rebuild->bytes.data + at->payload_at, at->payload_size);
    struct catalogue_number_key number_key =
        catalogue_number_key(origin->number, collection, &at->key);
    struct catalogue_ready ready;
    struct replica_entry entry;
    uint32_t number;
    enum torg_err err;

    err = replica_entry_read(header, payload, &entry);
    if (err == TORG_E_NOMEM)
        return err;
    if (err)
        return TORG_OK; /* Damage in the replica, which replica_verify tells: not to be shown. */
    err = catalogue_derive(rebuild->themes, origin, collection, &entry, &rebuild->derived);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_OK : err;
    ready = catalogue_derived_ready(&rebuild->derived);
    err = rebuild_number(rebuild, &number_key, &number);
    if (!err)
        err = catalogue_writer_store(&rebuild->totals, rebuild->kv, &ready, number,
                                     rebuild->sources_kept);
    return err ? err
               : catalogue_terms_change(&rebuild->postings, number, (struct span){0}, ready.terms);
}

/* The key after key; false after the last one. */
static bool key_after(struct listing_key *key)
{
    int i = (int)sizeof(key->bytes) - 1;

    while (i >= 0 && ++key->bytes[i] == 0)
        i--;
    return i >= 0;
}

static enum torg_err rebuild_collection(struct rebuild *rebuild,
                                        const struct replica_origin *origin, uint8_t collection)
{
    struct listing_key from = {{0}};
    struct rebuild_entry entry;
    enum torg_err err;
    size_t count;

    err = catalogue_sources_kept(rebuild->kv, &origin->id, &rebuild->sources_kept);
    if (err)
        return err;
    do {
        buffer_clear(&rebuild->entries);
        buffer_clear(&rebuild->bytes);
        err =
            replica_listings(rebuild->kv, origin->number, collection, &from, batch_visit, rebuild);
        if (!err)
            err = rebuild->bytes.err ? rebuild->bytes.err : rebuild->entries.err;
        count = rebuild->entries.size / sizeof(entry);
        for (size_t i = 0; i < count && !err; i++) {
            memcpy(&entry, rebuild->entries.data + i * sizeof(entry), sizeof(entry));
            err = rebuild_listing(rebuild, origin, collection, &entry);
            from = entry.key;
        }
        if (!err && postings_pending(&rebuild->postings) >= REBUILD_POSTINGS_BYTES_MAX)
            err = catalogue_terms_flush(&rebuild->postings, &rebuild->stemmer, rebuild->kv);
        rebuild->done += count;
        if (!err && rebuild->progress)
            rebuild->progress(rebuild->context, rebuild->done, rebuild->total);
    } while (!err && count > 0 && key_after(&from));
    return err;
}

typedef enum torg_err rebuild_step(struct rebuild *rebuild, const struct replica_origin *origin,
                                   uint8_t collection);

static enum torg_err rebuild_total(struct rebuild *rebuild, const struct replica_origin *origin,
                                   uint8_t collection)
{
    rebuild->total += origin->held[collection].count;
    return TORG_OK;
}

static enum torg_err rebuild_each(struct rebuild *rebuild, rebuild_step *step)
{
    struct replica_origin origin;
    struct origin_id after;
    uint32_t mask = 0;
    enum torg_err err;

    err = replica_origin_next(rebuild->kv, NULL, &origin);
    while (!err) {
        err = replica_public_mask(rebuild->kv, &origin, &mask);
        for (uint8_t collection = 1; collection < COLLECTIONS_MAX && !err; collection++) {
            if (COLLECTION_MASK_PUBLIC & mask & UINT32_C(1) << collection)
                err = step(rebuild, &origin, collection);
        }
        after = origin.id;
        if (!err)
            err = replica_origin_next(rebuild->kv, &after, &origin);
    }
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

static bool number_used(const struct kv *kv, struct span key, struct span value)
{
    struct catalogue_number_key own;
    struct catalogue_record record;
    struct listing_key listing;

    if (value.size != 4 || catalogue_record_get(kv, get_u32be(value.data), &record))
        return false;
    listing = listing_key_of(&record.id);
    own = catalogue_number_key(record.origin_number, record.collection, &listing);
    return span_equal(key, span_of(own.bytes, sizeof(own.bytes)));
}

/* Numbers of listings that are gone, or never were. */
static enum torg_err numbers_sweep(struct kv *kv)
{
    uint8_t at[512] = {0};
    size_t at_size = 1;
    struct kv_cursor *cursor;
    struct span key, value;
    enum torg_err err;

    err = kv_cursor_open(kv, KV_DOCNUMBER, &cursor);
    if (err)
        return err;
    err = kv_cursor_seek(kv, cursor, span_of(at, at_size), &key, &value);
    while (!err) {
        if (number_used(kv, key, value)) {
            err = kv_cursor_next(kv, cursor, &key, &value);
            continue;
        }
        if (key.size >= sizeof(at)) {
            err = TORG_E_CORRUPT;
            break;
        }
        memcpy(at, key.data, key.size);
        at_size = key.size;
        err = kv_del(kv, KV_DOCNUMBER, span_of(at, at_size));
        if (!err)
            err = kv_cursor_seek(kv, cursor, span_of(at, at_size), &key, &value);
    }
    kv_cursor_close(kv, cursor);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

enum torg_err catalogue_rebuild(struct kv *kv, const struct theme_tree *themes,
                                catalogue_progress *progress, void *context)
{
    static const enum kv_table derived[] = {KV_DOCUMENT, KV_TEXT, KV_RTREE, KV_THEME,   KV_COUNT,
                                            KV_SOURCE,   KV_RUN,  KV_TERM,  KV_POSTING, KV_WORD};
    struct rebuild rebuild = {
        .kv = kv,
        .themes = themes,
        .progress = progress,
        .context = context,
    };
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < ARRAY_SIZE(derived) && !err; i++)
        err = table_clear(kv, derived[i]);
    if (!err)
        err = next_mend(kv, themes);
    if (!err)
        err = rebuild_each(&rebuild, rebuild_total);
    if (!err)
        err = rebuild_each(&rebuild, rebuild_collection);
    if (!err)
        err = catalogue_terms_flush(&rebuild.postings, &rebuild.stemmer, kv);
    if (!err)
        err = catalogue_totals_flush(&rebuild.totals, kv);
    if (!err)
        err = numbers_sweep(kv);
    for (uint8_t collection = 1; collection < COLLECTIONS_MAX && !err; collection++) {
        if (!(COLLECTION_MASK_PUBLIC >> collection & 1))
            continue;
        err = catalogue_writer_pack(kv, collection, true);
        if (!err)
            err = catalogue_writer_pack(kv, collection, false);
    }
    buffer_done(&rebuild.entries);
    buffer_done(&rebuild.bytes);
    postings_writer_done(&rebuild.postings);
    text_stemmer_done(&rebuild.stemmer);
    catalogue_derived_done(&rebuild.derived);
    return err;
}
