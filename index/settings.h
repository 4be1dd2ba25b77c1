/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_SETTINGS_H
#define TORG_INDEX_SETTINGS_H

#include "protocol/ident.h"
#include "protocol/kv.h"

/*
 * What a store says about its node, in KV_META beside the format version:
 *   "own"  the origin id, 32 bytes, that this node writes. torg init sets it
 *          together with charter 0; a store without it belongs to nobody yet.
 */

/* TORG_E_NOT_FOUND before torg init; TORG_E_CORRUPT if it is no origin id. */
enum torg_err settings_own_get(const struct kv *kv, struct origin_id *ret_own);
/* Once for each store: TORG_E_KNOWN if another origin is set (the same one again is TORG_OK). */
enum torg_err settings_own_set(struct kv *kv, const struct origin_id *own);

#endif
