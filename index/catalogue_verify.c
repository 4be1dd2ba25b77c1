/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index/catalogue_writer.h"
#include "index/rtree_dictionary.h"

/*
 * Everything in the catalogue is a function of the replica, so it is checked by
 * deriving it again. First every live listing is compared with what is stored
 * of it; then every table is walked for entries that no listing accounts for;
 * then trees and counts are compared with the rows, which have been proved.
 */
struct verify {
    const struct kv *kv;
    const struct theme_tree *themes;
    catalogue_report *report;
    void *context;
    const struct replica_origin *origin;
    uint8_t collection;
    bool sources_kept;         /* of origin */
    uint64_t origin_documents; /* of origin and collection */
    uint64_t documents[COLLECTIONS_MAX];
    uint64_t placed[COLLECTIONS_MAX];
    uint64_t irregular[COLLECTIONS_MAX];
    uint64_t stray[COLLECTIONS_MAX];
    uint64_t counters; /* entries of KV_COUNT that must be there */
    uint64_t terms;    /* numbers that must be in postings */
    struct catalogue_extent extents[COLLECTIONS_MAX];
    struct catalogue_derived derived;
    enum torg_err err;
};

static void verify_say(const struct verify *v, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void verify_say(const struct verify *v, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    v->report(v->context, text);
}

static void verify_say_listing(const struct verify *v, const struct listing_key *key,
                               const char *what)
{
    char hex[2 * sizeof(key->bytes) + 1];

    hex_encode(key->bytes, sizeof(key->bytes), hex);
    verify_say(v, "origin number %u, %s, key %s: %s", v->origin->number,
               collection_name(v->collection), hex, what);
}

static void verify_terms(struct verify *v, const struct listing_key *key, uint32_t number)
{
    struct span want = buffer_span(&v->derived.terms), term;
    uint8_t kind;
    bool there;

    while (catalogue_terms_next(&want, &kind, &term)) {
        v->terms++;
        if (postings_contains(v->kv, kind, term, number, &there) || !there)
            verify_say_listing(v, key, "is missing in the postings of a term");
    }
}

static void verify_stored(struct verify *v, const struct listing_key *key, uint32_t number)
{
    const struct catalogue_row *row = &v->derived.row;
    struct catalogue_row_key row_key = catalogue_row_key(row->collection, row->placed, number);
    struct catalogue_source_key source;
    struct span value;
    uint8_t document_key[4];

    put_u32be(document_key, number);
    if (kv_get(v->kv, KV_DOCUMENT, span_of(document_key, sizeof(document_key)), &value))
        verify_say_listing(v, key, "its document is missing");
    else if (!span_equal(value, buffer_span(&v->derived.record_value)))
        verify_say_listing(v, key, "its document differs");
    if (kv_get(v->kv, KV_TEXT, span_of(row_key.bytes, sizeof(row_key.bytes)), &value))
        verify_say_listing(v, key, "its row is missing");
    else if (!span_equal(value, buffer_span(&v->derived.row_value)))
        verify_say_listing(v, key, "its row differs");
    verify_terms(v, key, number);
    if (!v->derived.record.has_source || !v->sources_kept)
        return;
    source = catalogue_source_key(row->origin_number, row->collection, v->derived.record.source,
                                  &v->derived.record.id);
    if (kv_get(v->kv, KV_SOURCE, span_of(source.bytes, sizeof(source.bytes)), &value))
        verify_say_listing(v, key, "its source is missing");
}

static void verify_tally(struct verify *v)
{
    const struct catalogue_row *row = &v->derived.row;

    v->origin_documents++;
    v->documents[row->collection]++;
    v->placed[row->collection] += row->placed;
    v->irregular[row->collection] += !catalogue_row_regular(row);
    v->stray[row->collection] += row->stray;
    catalogue_extent_add(&v->extents[row->collection], row);
}

static bool verify_listing(void *context, const struct listing_key *key, struct span header_bytes,
                           struct span payload)
{
    struct verify *v = context;
    struct catalogue_number_key number_key =
        catalogue_number_key(v->origin->number, v->collection, key);
    struct replica_entry entry;
    uint32_t number = 0;
    enum torg_err err, number_err;

    err = replica_entry_read(header_bytes, payload, &entry);
    if (!err)
        err = catalogue_derive(v->themes, v->origin, v->collection, &entry, &v->derived);
    else if (err != TORG_E_NOMEM)
        err = TORG_E_NOT_FOUND; /* replica_verify says what is wrong with it. */
    if (err && err != TORG_E_NOT_FOUND) {
        v->err = err;
        return false;
    }
    number_err = catalogue_number_get(v->kv, &number_key, &number);
    if (!err)
        verify_tally(v);
    if (!err && number_err)
        verify_say_listing(v, key, "has no document");
    else if (!err)
        verify_stored(v, key, number);
    else if (!number_err)
        verify_say_listing(v, key, "has a document, but cannot be shown");
    return true;
}

static void verify_counter(struct verify *v, enum catalogue_counter counter, const char *what,
                           uint8_t collection, uint32_t origin_number, uint64_t want)
{
    uint64_t got = 0;

    if (want > 0)
        v->counters++;
    if (catalogue_count_get(v->kv, counter, collection, origin_number, &got) || got != want)
        verify_say(v, "%s: %s of origin number %u: %llu are counted, %llu are there",
                   collection_name(collection), what, origin_number, (unsigned long long)got,
                   (unsigned long long)want);
}

static enum torg_err verify_origin(struct verify *v, const struct replica_origin *origin)
{
    uint32_t mask;
    enum torg_err err = replica_public_mask(v->kv, origin, &mask);

    if (err == TORG_E_CORRUPT) {
        mask = 0; /* replica_verify says what is wrong with its charter */
        err = TORG_OK;
    }
    if (!err)
        err = catalogue_sources_kept(v->kv, &origin->id, &v->sources_kept);
    v->origin = origin;
    for (uint8_t collection = 1; collection < COLLECTIONS_MAX && !err; collection++) {
        if (!(COLLECTION_MASK_PUBLIC & mask & UINT32_C(1) << collection))
            continue;
        v->collection = collection;
        v->origin_documents = 0;
        err = replica_listings(v->kv, origin->number, collection, &(struct listing_key){{0}},
                               verify_listing, v);
        if (!err)
            err = v->err;
        if (!err)
            verify_counter(v, CATALOGUE_COUNT_DOCUMENTS, "documents", collection, origin->number,
                           v->origin_documents);
    }
    return err;
}

static enum torg_err verify_origins(struct verify *v)
{
    struct replica_origin origin;
    struct origin_id after;
    enum torg_err err;

    err = replica_origin_next(v->kv, NULL, &origin);
    while (!err) {
        err = verify_origin(v, &origin);
        after = origin.id;
        if (!err)
            err = replica_origin_next(v->kv, &after, &origin);
    }
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

/* ---- entries that no listing accounts for ---- */

typedef bool verify_entry(const struct verify *v, struct span key, struct span value);

static bool number_accounted(const struct verify *v, struct span key, struct span value)
{
    struct listing_key listing;
    struct span header, payload;

    (void)value; /* What it should be was compared when its listing came by. */
    if (key.size != CATALOGUE_NUMBER_KEY_BYTES)
        return false;
    memcpy(listing.bytes, key.data + 5, sizeof(listing.bytes));
    return replica_listing_get(v->kv, get_u32be(key.data), key.data[4], &listing, &header,
                               &payload) == TORG_OK;
}

static bool record_is(const struct verify *v, const struct catalogue_record *record,
                      uint32_t number)
{
    struct listing_key listing = listing_key_of(&record->id);
    struct catalogue_number_key key =
        catalogue_number_key(record->origin_number, record->collection, &listing);
    uint32_t known;

    return !catalogue_number_get(v->kv, &key, &known) && known == number;
}

static bool document_accounted(const struct verify *v, struct span key, struct span value)
{
    struct catalogue_record record;

    return key.size == 4 && !catalogue_record_read(value, &record) &&
           record_is(v, &record, get_u32be(key.data));
}

static bool row_accounted(const struct verify *v, struct span key, struct span value)
{
    struct catalogue_record record;
    struct catalogue_row row;

    return !catalogue_row_read(key, value, &row) &&
           !catalogue_record_get(v->kv, row.number, &record) &&
           record.collection == row.collection && record.placed == row.placed &&
           record_is(v, &record, row.number);
}

static bool source_accounted(const struct verify *v, struct span key, struct span value)
{
    struct catalogue_number_key number_key;
    struct catalogue_source_key own;
    struct catalogue_record record;
    struct replica_origin origin;
    struct listing_key listing;
    struct listing_id id;
    uint32_t number;
    bool kept;

    (void)value;
    if (key.size != sizeof(own.bytes))
        return false;
    memcpy(id.bytes, key.data + 21, sizeof(id.bytes));
    listing = listing_key_of(&id);
    number_key = catalogue_number_key(get_u32be(key.data), key.data[4], &listing);
    if (catalogue_number_get(v->kv, &number_key, &number) ||
        catalogue_record_get(v->kv, number, &record) || !record.has_source ||
        replica_origin_by_number(v->kv, record.origin_number, &origin) ||
        catalogue_sources_kept(v->kv, &origin.id, &kept) || !kept)
        return false;
    own = catalogue_source_key(record.origin_number, record.collection, record.source, &record.id);
    return span_equal(key, span_of(own.bytes, sizeof(own.bytes)));
}

static enum torg_err verify_table(const struct verify *v, enum kv_table table, const char *what,
                                  verify_entry *accounted)
{
    static const uint8_t lowest[1] = {0};
    char hex[2 * 64 + 1];
    struct kv_cursor *cursor;
    struct span key, value;
    enum torg_err err;

    err = kv_cursor_open(v->kv, table, &cursor);
    if (err)
        return err;
    err = kv_cursor_seek(v->kv, cursor, span_of(lowest, sizeof(lowest)), &key, &value);
    while (!err) {
        if (!accounted(v, key, value)) {
            hex_encode(key.data, key.size < 64 ? key.size : 64, hex);
            verify_say(v, "%s %s belongs to no listing", what, hex);
        }
        err = kv_cursor_next(v->kv, cursor, &key, &value);
    }
    kv_cursor_close(v->kv, cursor);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

static enum torg_err verify_tables(const struct verify *v)
{
    enum torg_err err;

    err = verify_table(v, KV_DOCNUMBER, "document number", number_accounted);
    if (!err)
        err = verify_table(v, KV_DOCUMENT, "document", document_accounted);
    if (!err)
        err = verify_table(v, KV_TEXT, "row", row_accounted);
    return err ? err : verify_table(v, KV_SOURCE, "source", source_accounted);
}

/* ---- counts ---- */

static void verify_extent(struct verify *v, uint8_t collection)
{
    struct catalogue_extent *want = &v->extents[collection];
    struct catalogue_extent got;

    if (want->has_box || want->has_time)
        v->counters++;
    if (catalogue_extent_get(v->kv, collection, &got) || !catalogue_extent_equal(&got, want))
        verify_say(v, "%s: the extent differs from its listings'", collection_name(collection));
}

static enum torg_err verify_counters_present(const struct verify *v)
{
    static const uint8_t lowest[1] = {0};
    struct kv_cursor *cursor;
    struct span key, value;
    uint64_t present = 0;
    enum torg_err err;

    err = kv_cursor_open(v->kv, KV_COUNT, &cursor);
    if (err)
        return err;
    err = kv_cursor_seek(v->kv, cursor, span_of(lowest, sizeof(lowest)), &key, &value);
    while (!err) {
        present += key.size != CATALOGUE_COUNT_KEY_BYTES || key.data[0] != CATALOGUE_COUNT_EDITS;
        err = kv_cursor_next(v->kv, cursor, &key, &value);
    }
    kv_cursor_close(v->kv, cursor);
    if (err == TORG_E_NOT_FOUND && present > v->counters)
        verify_say(v, "%llu counts are of nothing that is there",
                   (unsigned long long)(present - v->counters));
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

static enum torg_err verify_counts(struct verify *v)
{
    for (uint8_t c = 1; c < COLLECTIONS_MAX; c++) {
        if (!(COLLECTION_MASK_PUBLIC >> c & 1))
            continue;
        verify_counter(v, CATALOGUE_COUNT_DOCUMENTS, "documents", c, 0, v->documents[c]);
        verify_counter(v, CATALOGUE_COUNT_PLACED, "documents with a place", c, 0, v->placed[c]);
        verify_counter(v, CATALOGUE_COUNT_IRREGULAR, "documents shown at other times", c, 0,
                       v->irregular[c]);
        verify_counter(v, CATALOGUE_COUNT_STRAY, "documents with a theme that is not known", c, 0,
                       v->stray[c]);
        verify_extent(v, c);
    }
    return verify_counters_present(v);
}

/* ---- postings ---- */

/* Every pair that must be there was found: so if the numbers agree there is no other. */
static enum torg_err verify_postings(const struct verify *v)
{
    uint64_t pairs = 0;
    enum torg_err err;

    err = text_check(v->kv, v->report, v->context);
    if (!err)
        err = postings_check(v->kv, v->report, v->context, &pairs);
    if (!err && pairs != v->terms)
        verify_say(v, "%llu numbers are in postings, the listings account for %llu",
                   (unsigned long long)pairs, (unsigned long long)v->terms);
    return err;
}

/* ---- trees ---- */

struct verify_tree {
    struct verify *verify;
    uint8_t collection;
    bool placed;
    struct rtree_item *items; /* owned; ascending by document once read */
    size_t count;
    size_t capacity;
    size_t at;
    uint64_t surplus;
};

static const char *tree_name(const struct verify_tree *tree)
{
    return tree->placed ? "tree" : "tree of those without a place";
}

static void verify_tree_report(void *context, const char *what)
{
    const struct verify_tree *tree = context;

    verify_say(tree->verify, "%s: %s: %s", collection_name(tree->collection), tree_name(tree),
               what);
}

static bool verify_tree_item(void *context, const struct rtree_item *item)
{
    struct verify_tree *tree = context;

    if (tree->count < tree->capacity)
        tree->items[tree->count++] = *item;
    else
        tree->surplus++;
    return true;
}

static int item_compare(const void *a, const void *b)
{
    const struct rtree_item *left = a;
    const struct rtree_item *right = b;

    return (left->document > right->document) - (left->document < right->document);
}

static void verify_tree_say(struct verify_tree *tree, uint32_t document, const char *what)
{
    verify_say(tree->verify, "%s: %s: document %u %s", collection_name(tree->collection),
               tree_name(tree), document, what);
}

static enum torg_err verify_tree_row(void *context, const struct catalogue_row *row)
{
    struct verify_tree *tree = context;
    struct rtree_item want = catalogue_row_item(row);

    while (tree->at < tree->count && tree->items[tree->at].document < row->number)
        verify_tree_say(tree, tree->items[tree->at++].document, "is in it, but has no row");
    if (tree->at == tree->count || tree->items[tree->at].document != row->number) {
        verify_tree_say(tree, row->number, "is missing");
        return TORG_OK;
    }
    if (!catalogue_item_equal(&tree->items[tree->at], &want))
        verify_tree_say(tree, row->number, "differs from its row");
    tree->at++;
    return TORG_OK;
}

static enum torg_err verify_tree_items(struct verify_tree *tree)
{
    const struct verify *v = tree->verify;
    enum torg_err err;

    err =
        rtree_items(v->kv, catalogue_tree(tree->collection, tree->placed), verify_tree_item, tree);
    if (err)
        return err;
    qsort(tree->items, tree->count, sizeof(*tree->items), item_compare);
    err = catalogue_rows(v->kv, tree->collection, tree->placed, 0, verify_tree_row, tree);
    tree->surplus += tree->count - tree->at;
    if (!err && tree->surplus)
        verify_say(v, "%s: %s: %llu entries too many", collection_name(tree->collection),
                   tree_name(tree), (unsigned long long)tree->surplus);
    return err;
}

static enum torg_err verify_one_tree(struct verify *v, uint8_t collection, bool placed)
{
    struct verify_tree tree = {.verify = v, .collection = collection, .placed = placed};
    struct rtree_stat stat;
    enum torg_err err;

    err = rtree_check(v->kv, catalogue_tree(collection, placed), verify_tree_report, &tree, &stat);
    if (err == TORG_E_CORRUPT || err == TORG_E_VERSION)
        return TORG_OK; /* Said already; its items cannot be walked. */
    if (err)
        return err;
    tree.capacity = (size_t)stat.items;
    tree.items = calloc(tree.capacity + 1, sizeof(*tree.items));
    if (!tree.items)
        return TORG_E_NOMEM;
    err = verify_tree_items(&tree);
    if (err == TORG_E_CORRUPT) {
        verify_tree_report(&tree, "cannot be walked, or a row cannot be read");
        err = TORG_OK;
    }
    free(tree.items);
    return err;
}

enum torg_err catalogue_verify(const struct kv *kv, const struct theme_tree *themes,
                               catalogue_report *report, void *context)
{
    struct verify v = {.kv = kv, .themes = themes, .report = report, .context = context};
    enum torg_err err;

    err = catalogue_check(kv, themes);
    if (err == TORG_E_STALE) {
        verify_say(&v, "the index was derived by another version, or with another taxonomy");
        return TORG_OK;
    }
    if (!err)
        err = verify_origins(&v);
    if (!err)
        err = verify_tables(&v);
    if (!err)
        err = verify_counts(&v);
    if (!err)
        err = verify_postings(&v);
    if (!err)
        err = rtree_dictionary_check(kv, report, context);
    for (uint8_t collection = 1; collection < COLLECTIONS_MAX && !err; collection++) {
        if (!(COLLECTION_MASK_PUBLIC >> collection & 1))
            continue;
        err = verify_one_tree(&v, collection, true);
        if (!err)
            err = verify_one_tree(&v, collection, false);
    }
    catalogue_derived_done(&v.derived);
    return err;
}
