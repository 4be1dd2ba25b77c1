/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_CATALOGUE_ROW_H
#define TORG_INDEX_CATALOGUE_ROW_H

#include "index/catalogue.h"
#include "index/rtree.h"

/*
 * The keys and values of the catalogue's tables, for the catalogue and the
 * queries only. docs/catalogue.md shows them byte by byte. What a query
 * compares (a row, in KV_TEXT) stands apart from what it sends (KV_DOCUMENT):
 * a scan reads short rows side by side and never touches the features.
 */

/* KV_TEXT: collection, placed, document number. */
#define CATALOGUE_ROW_KEY_BYTES 6
struct catalogue_row_key {
    uint8_t bytes[CATALOGUE_ROW_KEY_BYTES];
};
struct catalogue_row_key catalogue_row_key(uint8_t collection, bool placed, uint32_t number);

/* In the order of struct aggregate_cell. */
enum catalogue_asker {
    CATALOGUE_ASKER_COMPANY,
    CATALOGUE_ASKER_MUNICIPALITY,
    CATALOGUE_ASKER_ASSOCIATION,
    CATALOGUE_ASKER_NOT_STATED,
};

struct catalogue_row {
    uint32_t number;
    uint8_t collection;
    bool placed; /* has geometry */
    bool is_point;
    bool stray; /* see catalogue_row_strays */
    uint32_t origin_number;
    uint8_t freshness;                       /* text_freshness of its change */
    struct position point, box_min, box_max; /* when placed */
    int64_t time_from_ms, time_through_ms;
    int64_t shown_from_ms, shown_through_ms;
    struct span theme_bits; /* of its themes and of all broader ones, one byte each */
    struct span municipality;
    struct span country_code;
    struct span themes_text;
    struct span folded_names;
    /* Needs only: what is counted of them, so that a table costs one scan. */
    uint8_t asker; /* enum catalogue_asker */
    uint64_t people;
    struct span area; /* at most 255 bytes */
};

/* Append the value of a row. */
void catalogue_row_pack(const struct catalogue_row *row, struct buffer *out);
/* Borrowed. TORG_E_CORRUPT. */
enum torg_err catalogue_row_read(struct span key, struct span value, struct catalogue_row *ret_row);
enum torg_err catalogue_row_get(const struct kv *kv, uint8_t collection, bool placed,
                                uint32_t number, struct catalogue_row *ret_row);
struct theme_set catalogue_row_themes(const struct catalogue_row *row);
/* Has it the theme or one below it, as text? */
bool catalogue_row_has_theme(const struct catalogue_row *row, struct span theme);
/*
 * Has it bit 0 only because the taxonomy does not know one of its themes? Where no listing
 * does, the bit says who has THEME_OTHER, and no row need be read for it.
 */
bool catalogue_row_strays(const struct catalogue_row *row);
/*
 * Every document is in a tree, so that trees count by theme and time whether or
 * not there is a place. Those without one are in a tree of their own, numbered
 * apart from the collections, in the order of their numbers: a made-up position
 * on the equator stands for the number, and no box or circle is asked of it.
 */
#define CATALOGUE_TREE_UNPLACED 32
uint8_t catalogue_tree(uint8_t collection, bool placed);
/* What its tree holds of a row. */
struct rtree_item catalogue_row_item(const struct catalogue_row *row);
bool catalogue_item_equal(const struct rtree_item *a, const struct rtree_item *b);

/*
 * The times that the tree is asked for to find what is shown at now_ms: events
 * and courses are shown ahead of their start, all else in its time only.
 */
void catalogue_shown_span(uint8_t collection, int64_t now_ms, int64_t *ret_from_ms,
                          int64_t *ret_through_ms);
/* Does the tree's answer to that question hold for this row? If not it is only a superset. */
bool catalogue_row_regular(const struct catalogue_row *row);

/*
 * Every document is in the list of its part, so that lists of other kinds can
 * be divided as the trees are, and what needs its row be known without it.
 */
#define CATALOGUE_PART_KEY_BYTES 3
struct catalogue_part_key {
    uint8_t bytes[CATALOGUE_PART_KEY_BYTES];
};
struct catalogue_part_key catalogue_part_key(uint8_t collection, bool placed, bool irregular);

/*
 * A KV_DOCUMENT value: a part of fixed size, the feature, and the document's terms, which stand
 * here because whatever changes the one nearly always changes the other. Key: u32be number.
 */
struct catalogue_record {
    uint8_t collection;
    bool placed;
    bool has_source;
    uint32_t origin_number;
    struct listing_id id;
    uint8_t etag[16];
    uint8_t source[16]; /* of identifiers.source; zeros without */
    int64_t created_ms, modified_ms;
    struct span feature; /* borrowed */
    struct span terms;   /* as catalogue_terms.h has them; borrowed */
};
void catalogue_record_pack(const struct catalogue_record *record, struct buffer *out);
/* Of a record that begins out and was packed without terms, which are known now. */
void catalogue_record_add_terms(struct span terms, struct buffer *out);
enum torg_err catalogue_record_read(struct span value, struct catalogue_record *ret_record);
enum torg_err catalogue_record_get(const struct kv *kv, uint32_t number,
                                   struct catalogue_record *ret_record);
/* The listing that a document stands for, as its origin packed it; borrowed. TORG_E_CORRUPT. */
enum torg_err catalogue_record_body(const struct kv *kv, uint32_t number, struct span *ret_body);

/* KV_DOCNUMBER: origin number, collection, k -> u32be number. */
#define CATALOGUE_NUMBER_KEY_BYTES 21
struct catalogue_number_key {
    uint8_t bytes[CATALOGUE_NUMBER_KEY_BYTES];
};
struct catalogue_number_key catalogue_number_key(uint32_t origin_number, uint8_t collection,
                                                 const struct listing_key *key);
/* TORG_E_NOT_FOUND. */
enum torg_err catalogue_number_get(const struct kv *kv, const struct catalogue_number_key *key,
                                   uint32_t *ret_number);

/* KV_SOURCE: origin number, collection, hash of system and id, listing id -> nothing. */
#define CATALOGUE_SOURCE_KEY_BYTES 37
struct catalogue_source_key {
    uint8_t bytes[CATALOGUE_SOURCE_KEY_BYTES];
};
struct catalogue_source_key catalogue_source_key(uint32_t origin_number, uint8_t collection,
                                                 const uint8_t source[16],
                                                 const struct listing_id *id);
enum torg_err catalogue_source_hash(struct span system, struct span id, uint8_t ret_hash[16]);

/* KV_COUNT: what is counted, collection, origin number (0 for all) -> u64be, never 0. */
enum catalogue_counter {
    CATALOGUE_COUNT_DOCUMENTS = 1, /* by collection, and by origin and collection */
    CATALOGUE_COUNT_PLACED = 2,
    CATALOGUE_COUNT_IRREGULAR = 3, /* see catalogue_row_regular */
    CATALOGUE_COUNT_EDITS = 4,     /* of a tree, by its number, since it was last packed */
    CATALOGUE_COUNT_EXTENT = 5,    /* not a number but a struct catalogue_extent */
    CATALOGUE_COUNT_STRAY = 6,     /* see catalogue_row_strays */
};
#define CATALOGUE_COUNT_KEY_BYTES 6
struct catalogue_count_key {
    uint8_t bytes[CATALOGUE_COUNT_KEY_BYTES];
};
/* 0 when there is none. */
enum torg_err catalogue_count_get(const struct kv *kv, enum catalogue_counter counter,
                                  uint8_t collection, uint32_t origin_number, uint64_t *ret_count);
enum torg_err catalogue_count_put(struct kv *kv, enum catalogue_counter counter, uint8_t collection,
                                  uint32_t origin_number, uint64_t count);

/* The box and the times of a collection's documents; those without time do not count. */
#define CATALOGUE_EXTENT_BYTES 33
struct catalogue_extent {
    bool has_box;
    bool has_time;
    struct position min, max;
    int64_t time_from_ms, time_through_ms;
};
void catalogue_extent_add(struct catalogue_extent *extent, const struct catalogue_row *row);
/* Might the extent be smaller without this row? */
bool catalogue_extent_touches(const struct catalogue_extent *extent,
                              const struct catalogue_row *row);
bool catalogue_extent_equal(const struct catalogue_extent *a, const struct catalogue_extent *b);
/* All zero when the collection is empty. */
enum torg_err catalogue_extent_get(const struct kv *kv, uint8_t collection,
                                   struct catalogue_extent *ret_extent);
enum torg_err catalogue_extent_put(struct kv *kv, uint8_t collection,
                                   const struct catalogue_extent *extent);
/* By looking at every row. */
enum torg_err catalogue_extent_scan(const struct kv *kv, uint8_t collection,
                                    struct catalogue_extent *ret_extent);

/* Each row of a collection, placed or not, ascending from from; an error stops the walk. */
typedef enum torg_err catalogue_row_visit(void *context, const struct catalogue_row *row);
enum torg_err catalogue_rows(const struct kv *kv, uint8_t collection, bool placed, uint32_t from,
                             catalogue_row_visit *visit, void *context);

/* KV_META: the number that the next new document gets, and what the index was derived with. */
#define CATALOGUE_META_NEXT "index.next"
#define CATALOGUE_META_STAMP "index.stamp"
#define CATALOGUE_FORMAT 12
#define CATALOGUE_STAMP_BYTES 12
/* Of all that is derived from beside the replica: the taxonomy, the gazetteer. */
uint64_t catalogue_version(const struct theme_tree *themes);

#endif
