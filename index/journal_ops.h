/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_JOURNAL_OPS_H
#define TORG_INDEX_JOURNAL_OPS_H

#include "protocol/kv.h"

/*
 * What a record of the journal says: the puts and deletes of one transaction, in order. A put
 * of a value that differs little from the one before is told as what differs, for most of a
 * node of a tree or of a list of postings stays as it was.
 *
 *   put     1, table u8, size of the key u16, key, size u32, value
 *   delete  2, table u8, size of the key u16, key
 *   patch   3, table u8, size of the key u16, key, size u32 of the value, count u16, of each piece
 *           from u32 in the old value, size u32, taken from there; then size u32, bytes
 *           (so: what is kept, what is new, and so on; the pieces make the whole value)
 * Integers are big-endian. Any thread.
 */
#define JOURNAL_PATCH_BYTES_MIN 512 /* of a value: shorter ones are told whole */

/* old: the value before, or nothing. */
void journal_ops_put(struct buffer *ops, enum kv_table table, struct span key, struct span old,
                     struct span value);
void journal_ops_del(struct buffer *ops, enum kv_table table, struct span key);

/*
 * Do them again. The tables must be as they were when they were noted. TORG_E_CORRUPT: the
 * bytes are no such list, or do not fit what is there.
 */
enum torg_err journal_ops_apply(struct span ops, struct kv *kv);

#endif
