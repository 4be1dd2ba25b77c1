/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_CATALOGUE_TOTALS_H
#define TORG_INDEX_CATALOGUE_TOTALS_H

#include "index/catalogue_row.h"

/*
 * Counts, extents and the next document's number while a transaction changes
 * documents: each listing changes five of them, so they are kept in memory and
 * written once. All zero is a beginning, and one is of one transaction. For the
 * catalogue only.
 */
struct catalogue_totals {
    uint32_t next; /* the number that the next new document gets; 0: not read yet */
    bool next_changed;
    uint32_t origin_number; /* whose documents of_origin counts */
    /* Changes, by collection. */
    int64_t of_origin[COLLECTIONS_MAX];
    int64_t documents[COLLECTIONS_MAX];
    int64_t placed[COLLECTIONS_MAX];
    int64_t irregular[COLLECTIONS_MAX];
    int64_t stray[COLLECTIONS_MAX];
    /* As they are to be; masks of collections. */
    struct catalogue_extent extents[COLLECTIONS_MAX];
    uint32_t extents_read, extents_changed, shrunk;
};

/* The number of a new document. TORG_E_FULL: there are no more; TORG_E_CORRUPT. */
enum torg_err catalogue_totals_number(struct catalogue_totals *totals, struct kv *kv,
                                      const struct theme_tree *themes, uint32_t *ret_number);
/* One document more (change 1) or less (-1), of the row's collection and origin. */
enum torg_err catalogue_totals_count(struct catalogue_totals *totals, struct kv *kv,
                                     const struct catalogue_row *row, int change);
/* A row that its collection's extent must hold. */
enum torg_err catalogue_totals_extend(struct catalogue_totals *totals, const struct kv *kv,
                                      const struct catalogue_row *row);
/* A row goes: where it touched the border, the extent is found again when they are written. */
enum torg_err catalogue_totals_shrink(struct catalogue_totals *totals, const struct kv *kv,
                                      const struct catalogue_row *row);
/* Write all that has changed; the tables of rows are as they will be. TORG_E_CORRUPT. */
enum torg_err catalogue_totals_flush(struct catalogue_totals *totals, struct kv *kv);

#endif
