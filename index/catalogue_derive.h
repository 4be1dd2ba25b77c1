/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_CATALOGUE_DERIVE_H
#define TORG_INDEX_CATALOGUE_DERIVE_H

#include "index/catalogue_row.h"
#include "index/catalogue_terms.h"

/*
 * What the catalogue stores of one listing: a function of the replica's entry
 * and the taxonomy and of nothing else, so that following, rebuilding and
 * verifying cannot disagree. Only the document's number is not in here.
 */
struct catalogue_derived {
    struct catalogue_row row;       /* number 0; borrows from this and from the entry */
    struct catalogue_record record; /* without feature and terms */
    struct buffer row_value;        /* of KV_TEXT */
    struct buffer record_value;     /* of KV_DOCUMENT, with both */
    uint8_t theme_bits[LISTING_THEMES_MAX * THEME_LEVELS_MAX];
    size_t theme_bit_count;
    struct buffer themes_text;
    struct buffer folded_names;
    struct buffer terms; /* which end record_value */
};

/* What of it is written, wherever its bytes are kept. Borrowed. */
struct catalogue_ready {
    struct catalogue_row row; /* of its spans only theme_bits may be used */
    struct catalogue_record record;
    struct span row_value, record_value, terms; /* terms: the end of record_value */
};

/*
 * All zero is a valid ret_derived before the first use; it may be used again.
 * entry may be NULL. TORG_E_NOT_FOUND: this listing has no document, because it
 * is gone, its payload is missing here, it moved, its collection is not public,
 * its schema is critical and unknown, or its body cannot be shown.
 */
enum torg_err catalogue_derive(const struct theme_tree *themes, const struct replica_origin *origin,
                               uint8_t collection, const struct replica_entry *entry,
                               struct catalogue_derived *ret_derived);
void catalogue_derived_done(struct catalogue_derived *derived);
/* Borrows from derived. */
struct catalogue_ready catalogue_derived_ready(const struct catalogue_derived *derived);

#endif
