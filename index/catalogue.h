/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_CATALOGUE_H
#define TORG_INDEX_CATALOGUE_H

#include "index/text.h"
#include "protocol/listing_geojson.h"
#include "protocol/replica.h"
#include "protocol/theme.h"

/*
 * The catalogue: one document for each listing that can be shown, and that the
 * origin's newest charter gives to everybody. It has a
 * number (stable for the listing's life), the fields that queries compare, and
 * the feature as ready-to-send JSON, so that an answer is a copy. It follows
 * the replica inside the replica's transactions, through catalogue_observer.
 */
struct document {
    uint32_t number;
    uint8_t collection;
    uint32_t origin_number;
    struct listing_id id;
    bool has_geometry, is_point;
    struct position point, box_min, box_max;
    struct theme_set themes;
    int64_t time_from_ms, time_through_ms;
    int64_t created_ms, modified_ms;
    char municipality[8];     /* "" if absent; terminated */
    char country_code[4];     /* "" if absent */
    struct span themes_text;  /* slugs, each followed by a zero byte */
    struct span folded_names; /* fold_put of each language, separated by '\n' */
    struct span feature;      /* JSON; ends with "}}", see listing_geojson.h */
    uint8_t etag[16];         /* of the payload */
};

/* Borrowed from kv. TORG_E_NOT_FOUND. */
enum torg_err catalogue_document(const struct kv *kv, uint32_t number, struct document *ret);
/*
 * Only what an answer shows of it, at half the price: what queries compare stays
 * zero (places, themes, times but created and modified, codes, texts).
 */
enum torg_err catalogue_shown(const struct kv *kv, uint32_t number, struct document *ret);
/*
 * It is asked for soon: begin to load where it lies, if that is known; its first
 * bytes; all of it. Each is done for many documents before the next, for it waits
 * for the one before.
 */
void catalogue_shown_expect(const struct kv *kv, uint32_t number);
void catalogue_shown_begin(const struct kv *kv, uint32_t number);
void catalogue_shown_soon(const struct kv *kv, uint32_t number);
/* As catalogue_shown. TORG_E_NOT_FOUND: the origin has no such listing in the collection. */
enum torg_err catalogue_find_of(const struct kv *kv, uint32_t origin_number, uint8_t collection,
                                const struct listing_id *id, struct document *ret);
/* By what the API's feature id says. */
enum torg_err catalogue_find(const struct kv *kv, uint8_t collection, const struct feature_id *id,
                             struct document *ret);
/* The packed body of a listing, for CSV and other formats. Borrowed. */
enum torg_err catalogue_body(const struct kv *kv, const struct document *document,
                             struct listing_meta *ret_meta, struct span *ret_body);
/* Documents, without regard to time: in all, of a collection (origin_number 0: of all origins). */
enum torg_err catalogue_count(const struct kv *kv, uint8_t collection, uint32_t origin_number,
                              uint64_t *ret_count);

/*
 * The observer for replica_apply and replica_commit_local: one for one write
 * transaction. Set themes, leave the rest zero; call catalogue_flush before the
 * commit, and catalogue_writer_done after it and after an abort. What waits in
 * pending belongs to the transaction and must not outlive it.
 */
struct catalogue_ahead;
struct catalogue_totals;
struct catalogue_writer {
    const struct theme_tree *themes;
    struct catalogue_ahead *ahead; /* of the entries that are applied now, or NULL */
    struct buffer pending;         /* edits of the trees, in order, until the flush */
    struct postings_writer postings;
    struct text_stemmer stemmer; /* for what the postings' words are found by */
    uint64_t dirty;              /* mask: trees with pending edits */
    struct catalogue_totals
        *totals;            /* counts and extents, until the flush; NULL before the first */
    uint32_t origin_number; /* of the last listing, and whether its sources are kept */
    bool sources_kept;
    bool shows_known;       /* the next three are set: */
    uint32_t shows_number;  /* what everybody may see of this origin */
    uint64_t shows_charter; /* by this charter of it */
    uint32_t shows;
    uint64_t changed; /* listings that were shown, changed or taken away */
};
struct replica_observer catalogue_observer(struct catalogue_writer *writer);
/*
 * Once before each commit: bring the postings up to date, the counts, and the trees, by
 * single edits or, when many listings have changed since a tree was last
 * packed, by a bulk load.
 */
enum torg_err catalogue_flush(struct catalogue_writer *writer, struct kv *kv);
void catalogue_writer_done(struct catalogue_writer *writer);

/*
 * One small step that keeps the trees as quick to search as packed ones, in a
 * transaction of its own, when there is nothing else to write (rtree_repack.h).
 */
struct catalogue_repacked {
    bool quiet;        /* nothing was left to do */
    uint64_t listings; /* in what was packed anew */
};
enum torg_err catalogue_repack(struct kv *kv, struct catalogue_repacked *ret_repacked);

/*
 * Was what is stored derived in this version's format, with this taxonomy?
 * TORG_E_STALE if not: catalogue_rebuild must run before it is used.
 */
enum torg_err catalogue_check(const struct kv *kv, const struct theme_tree *themes);

/*
 * Derive every document, tree and count again from the replica. Listings keep
 * their document numbers, so that cursors stay good.
 */
typedef void catalogue_progress(void *context, uint64_t done, uint64_t total);
enum torg_err catalogue_rebuild(struct kv *kv, const struct theme_tree *themes,
                                catalogue_progress *progress, void *context);
/* Compare documents, trees and counts with the replica; report each difference. */
typedef void catalogue_report(void *context, const char *what);
enum torg_err catalogue_verify(const struct kv *kv, const struct theme_tree *themes,
                               catalogue_report *report, void *context);

/*
 * The listing of an origin that identifiers.source names, so that an import
 * updates instead of duplicating; the one with the smallest id if several do.
 * TORG_E_NOT_FOUND.
 */
enum torg_err catalogue_source_find(const struct kv *kv, uint32_t origin_number, uint8_t collection,
                                    struct span system, struct span id, struct listing_id *ret_id);

#endif
