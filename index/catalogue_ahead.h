/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_CATALOGUE_AHEAD_H
#define TORG_INDEX_CATALOGUE_AHEAD_H

#include "index/catalogue.h"

/*
 * What the catalogue will store of some entries, derived before their
 * transaction begins and in another thread if one has time: half of the work of
 * a first copy, and it needs neither the store nor what stands in it. A writer
 * whose member ahead is set takes from there what is there, and derives the
 * rest itself; the outcome is the same, for it is the same function.
 */
struct catalogue_ahead;

/*
 * entries and all that they borrow must outlive the result, which holds nothing
 * yet. number: of the origin, in this store. TORG_E_NOMEM.
 */
enum torg_err catalogue_ahead_new(const struct theme_tree *themes, const struct origin_id *origin,
                                  uint32_t number, const struct replica_entry *entries,
                                  size_t count, struct catalogue_ahead **ret_ahead);
/*
 * Derive up to count more. false: there are no more, or one failed; then those
 * that are there can be used all the same.
 */
bool catalogue_ahead_step(struct catalogue_ahead *ahead, size_t count);
void catalogue_ahead_free(struct catalogue_ahead *ahead);

#endif
