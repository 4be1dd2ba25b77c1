/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_CATALOGUE_WRITER_H
#define TORG_INDEX_CATALOGUE_WRITER_H

#include "index/catalogue_ahead.h"
#include "index/catalogue_derive.h"
#include "index/catalogue_totals.h"

/* What rebuilding shares with following; for the catalogue only. */

/* Note this version's format and the taxonomy: see catalogue_check. */
enum torg_err catalogue_writer_stamp(struct kv *kv, const struct theme_tree *themes);
/*
 * Write row, document and source of a new document, and add it to the totals; not
 * its number, nor the tree.
 */
enum torg_err catalogue_writer_store(struct catalogue_totals *totals, struct kv *kv,
                                     const struct catalogue_ready *ready, uint32_t number,
                                     bool source_kept);
/* Are the sources of this origin kept? Only imports look for one: among the own origin's. */
enum torg_err catalogue_sources_kept(const struct kv *kv, const struct origin_id *origin,
                                     bool *ret_kept);
/*
 * What was derived of an entry before, and *ret_err, what catalogue_derive said;
 * NULL if it was not. ahead may be NULL. Stays ahead's.
 */
struct catalogue_ready *catalogue_ahead_find(struct catalogue_ahead *ahead,
                                             const struct replica_origin *origin,
                                             uint8_t collection, const struct replica_entry *entry,
                                             enum torg_err *ret_err);
/* Replace a tree by a packed one over its rows. */
enum torg_err catalogue_writer_pack(struct kv *kv, uint8_t collection, bool placed);

#endif
