/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_STORE_H
#define TORG_INDEX_STORE_H

#include "protocol/kv.h"

/*
 * One LMDB environment in one directory: DIR/torg.mdb with its lock file, and
 * DIR/torg.lock, which keeps a second process from opening it for writing. The
 * only file that includes lmdb.h. Full sync: a commit that returned TORG_OK
 * survives power loss.
 *
 * Write transactions: one thread only, the one that opened the store. Read
 * transactions: any thread, begun and ended by the same one, and short: an
 * open one makes the file grow.
 */
struct store;

struct store_options {
    uint64_t map_bytes;   /* address space reserved: the largest size of the file */
    uint32_t readers_max; /* read transactions at one time */
    bool read_only;       /* torg verify on a running daemon's directory */
};
struct store_options store_options_default(void);

/*
 * TORG_E_LOCKED when another process writes there, TORG_E_NOT_FOUND when
 * read_only and nothing is there, TORG_E_VERSION for a newer format,
 * TORG_E_CORRUPT, TORG_E_IO (errno). Creates the directory's files with mode 0600.
 */
enum torg_err store_open(const char *directory, const struct store_options *options,
                         struct store **ret_store);
void store_close(struct store *store);

/* A snapshot. ret_kv is the transaction; hand it to store_read_end. */
enum torg_err store_read_begin(struct store *store, struct kv *ret_kv);
void store_read_end(struct kv *kv);
/* Rises by one with every commit; of the snapshot that kv reads. */
uint64_t store_snapshot(const struct kv *kv);

enum torg_err store_write_begin(struct store *store, struct kv *ret_kv);
/*
 * Durable on TORG_OK. TORG_E_FULL: nothing was changed, go on. TORG_E_IO: the
 * commit's fate is unknown until the store is opened again; every later write
 * fails with TORG_E_IO until then. kv is over in each case.
 */
enum torg_err store_write_commit(struct kv *kv);
void store_write_abort(struct kv *kv);

struct store_stat {
    uint64_t map_bytes;
    uint64_t used_bytes; /* pages in use or free in the file */
    uint64_t free_bytes; /* of these, free */
    uint64_t entries[KV_TABLE_COUNT];
    uint64_t bytes[KV_TABLE_COUNT];
    uint32_t readers;
};
enum torg_err store_stat(struct store *store, struct store_stat *ret_stat);

/* Clear the slots of readers that died. Now and then, from the writer's thread. */
void store_reader_check(struct store *store);

/* A compacting copy into directory (which must be empty): hot backup, and how deleted bytes go. */
enum torg_err store_copy(struct store *store, const char *directory);

#endif
