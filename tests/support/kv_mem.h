/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_SUPPORT_KV_MEM_H
#define TORG_TESTS_SUPPORT_KV_MEM_H

#include "protocol/kv.h"

/*
 * protocol/kv.h in memory, for tests and the simulator: a store that can be
 * cloned, crashed and made to fail, and that gives the same answer twice.
 *
 * Each table is a persistent treap: a commit, a snapshot and a clone cost a
 * few reference counts, whatever the size. One thread; one write transaction
 * at a time; any number of readers, which keep seeing what they began with.
 * Method: Seidel and Aragon, "Randomized search trees", 1996, with priorities
 * hashed from the keys, so that a tree's shape depends on its keys alone.
 */
struct kv_mem;

enum torg_err kv_mem_new(struct kv_mem **ret_mem);
/* NULL is accepted. All transactions must be over. */
void kv_mem_free(struct kv_mem *mem);

/* A second store with what is committed in mem: a backup, or a disk after a crash. */
enum torg_err kv_mem_clone(const struct kv_mem *mem, struct kv_mem **ret_mem);
/* Put mem back to what is committed in from: a restored backup. No transaction may be open. */
void kv_mem_restore(struct kv_mem *mem, const struct kv_mem *from);

enum torg_err kv_mem_read_begin(struct kv_mem *mem, struct kv *ret_kv);
void kv_mem_read_end(struct kv *kv);

enum torg_err kv_mem_write_begin(struct kv_mem *mem, struct kv *ret_kv);
/* Everything or, on an error, nothing. kv is over in each case. */
enum torg_err kv_mem_write_commit(struct kv *kv);
void kv_mem_write_abort(struct kv *kv);

/*
 * Let the write operation (put, del or commit) after the next `after` ones fail
 * with err, once; the transaction then fails until it is aborted, as LMDB's
 * does. TORG_OK takes the fault back.
 */
void kv_mem_fail_after(struct kv_mem *mem, uint64_t after, enum torg_err err);
/* Write operations since the store was made; to choose a place for a fault. */
uint64_t kv_mem_operations(const struct kv_mem *mem);
/* Commits that succeeded. */
uint64_t kv_mem_commits(const struct kv_mem *mem);

/*
 * Hand out copies that are freed at the next write, so that a sanitizer catches
 * who keeps a span over a write. Slower; for transactions begun afterwards.
 */
void kv_mem_strict(struct kv_mem *mem, bool strict);

/* Every table's every entry, in order: two transactions are equal iff their dumps are. */
enum torg_err kv_mem_dump(const struct kv *kv, struct buffer *out);

#endif
