/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_CATALOGUE_TERMS_H
#define TORG_INDEX_CATALOGUE_TERMS_H

#include "index/text.h"

/*
 * A document's terms: the postings that it is in. Its record ends with them, since
 * what the listing was is not known any more when it changes: kind u8, size u8, key
 * for each, ascending, each once.
 */

/* Append a term, in any order. A key that is empty or too long is left out. */
void catalogue_terms_add(struct buffer *terms, uint8_t kind, struct span key);
/* Put what was appended in order, each once. TORG_E_NOMEM. */
enum torg_err catalogue_terms_sort(struct buffer *terms);
/* Take the first of *left; false at the end, or where it is damaged. Borrowed. */
bool catalogue_terms_next(struct span *left, uint8_t *ret_kind, struct span *ret_key);

/*
 * The document had the terms before (none: it is new) and has after from now on (none: it is
 * gone). What differs is left to the writer; nothing is written yet. TORG_E_CORRUPT.
 */
enum torg_err catalogue_terms_change(struct postings_writer *writer, uint32_t number,
                                     struct span before, struct span after);
/* postings_flush, with the words' forms kept. */
enum torg_err catalogue_terms_flush(struct postings_writer *writer, struct text_stemmer *stemmer,
                                    struct kv *kv);
#endif
