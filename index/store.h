/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_STORE_H
#define TORG_INDEX_STORE_H

#include "protocol/kv.h"

/*
 * One LMDB environment in one directory: DIR/torg.mdb with its lock file
 * DIR/torg.mdb-lock, DIR/torg.journal, and DIR/torg.lock, which keeps a second process from
 * opening it for writing. Only store*.c include lmdb.h. A commit that returned TORG_OK
 * survives power loss: small ones in the journal, until the database itself is synced.
 *
 * Write transactions: one at a time, begun and ended by the same thread. Read
 * transactions: any thread, begun and ended by the same one, and short: an
 * open one makes the file grow. A store is not used after fork.
 *
 * A value handed to kv_put must not be borrowed from the same write
 * transaction: the put may move it. Copy it first.
 */
struct store;

/* The names of all files that a store makes in its directory. */
#define STORE_FILES_COUNT 4
extern const char *const store_files[STORE_FILES_COUNT];

struct store_options {
    uint64_t map_bytes;     /* address space reserved: the largest size of the file */
    uint64_t reserve_bytes; /* of these, kept for store_write_begin_reserve; 0: a sixteenth */
    uint32_t readers_max;   /* read transactions at one time, in all processes */
    bool read_only;         /* torg verify on a running daemon's directory */
};
struct store_options store_options_default(void);

/*
 * The directory must exist. TORG_E_LOCKED when another process writes there or
 * this process has it open already, or when the machine stopped while somebody wrote
 * there and another process reads now; TORG_E_NOT_FOUND when read_only and
 * nothing is there; TORG_E_VERSION for a newer format; TORG_E_CORRUPT, for
 * another program's file too, to which nothing is added; TORG_E_IO (errno).
 * read_only, a table that only a writer of this version would make is as if empty.
 * A file that was cut off opens, and SIGBUS comes when what is missing is read. Creates its files
 * with mode 0600.
 */
enum torg_err store_open(const char *directory, const struct store_options *options,
                         struct store **ret_store);
/* Every transaction must be over. NULL is accepted. */
void store_close(struct store *store);

/* The process that writes in directory now, for messages; 0 if none or not known. */
long store_writer_pid(const char *directory);

/*
 * A snapshot. ret_kv is the transaction; hand it to store_read_end.
 * TORG_E_BUSY: readers_max are open.
 */
enum torg_err store_read_begin(struct store *store, struct kv *ret_kv);
void store_read_end(struct kv *kv);
/* Rises by one with every commit that changed something; of the snapshot that kv reads. */
uint64_t store_snapshot(const struct kv *kv);

/*
 * TORG_E_FULL: less than the reserve is left, so that only what makes room may
 * still be written: deletions, through store_write_begin_reserve. After any
 * error from kv_put or kv_del but TORG_E_NOT_FOUND the transaction can only be
 * aborted; a commit aborts it and returns that error.
 */
enum torg_err store_write_begin(struct store *store, struct kv *ret_kv);
enum torg_err store_write_begin_reserve(struct store *store, struct kv *ret_kv);
/*
 * Durable on TORG_OK. TORG_E_FULL (map, disk, quota) and TORG_E_TOO_BIG (more
 * pages than one transaction can hold): nothing was changed, go on. TORG_E_IO:
 * the commit's fate is unknown until the store is opened again; every later
 * write fails with TORG_E_IO until then. kv is over in each case.
 */
enum torg_err store_write_commit(struct kv *kv);
void store_write_abort(struct kv *kv);
/*
 * Sync what so far only the journal has safe. Nothing need ever call it: it is for moments in
 * which nobody waits. From the writer's thread, with no transaction open. TORG_E_IO as for a
 * commit.
 */
enum torg_err store_checkpoint(struct store *store);

/* As it stands in the file, and in what tells of it. Static storage. */
const char *store_table_name(enum kv_table table);

struct store_stat {
    uint64_t map_bytes;
    uint64_t reserve_bytes;
    uint64_t used_bytes; /* pages in use or free in the file */
    uint64_t free_bytes; /* of these, free */
    uint64_t entries[KV_TABLE_COUNT];
    uint64_t bytes[KV_TABLE_COUNT]; /* pages of its tree and overflow pages */
    uint32_t readers;               /* open now, in this process */
    uint64_t snapshot;              /* the newest */
    uint64_t snapshot_oldest; /* the oldest that a reader of this process holds, or the newest */
    uint64_t recovered;       /* commits that the journal brought back when it was opened */
    bool failed;              /* a commit failed with unknown fate: reopen */
};
enum torg_err store_stat(struct store *store, struct store_stat *ret_stat);

/* Clear the slots of readers that died. Now and then, from the writer's thread. */
void store_reader_check(struct store *store);

#endif
