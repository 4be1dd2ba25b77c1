/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_STORE_INTERNAL_H
#define TORG_INDEX_STORE_INTERNAL_H

#include <lmdb.h>
#include <pthread.h>

#include "index/journal.h"
#include "index/store.h"

/* What store.c and store_journal.c share. */
#define STORE_FILE "torg.mdb"

struct store_txn {
    struct store *store;
    MDB_txn *mdb;
    enum torg_err err;         /* of the first failed write */
    bool write;                /* the store's one write transaction */
    bool changed;              /* something was put or deleted */
    bool open;                 /* between begin and end */
    pthread_t owner;           /* a write transaction belongs to its thread (PITFALLS, LMDB 3) */
    struct rtree_table *table; /* of a read transaction's snapshot, or NULL */
    struct buffer ops;         /* of a write transaction: what the journal will say of it */
    bool journaled;            /* ops has all of it so far */
    /* Of a write transaction: where each table was last read or put; NULL: not yet. They end with
     * it. */
    MDB_cursor *places[KV_TABLE_COUNT];
    struct store_txn *free; /* the next that waits in the pool */
    struct store_txn *next; /* of all read transactions */
};

struct kv_cursor {
    MDB_cursor *mdb;
};

struct store {
    MDB_env *env;
    MDB_dbi tables[KV_TABLE_COUNT];
    uint64_t map_bytes;
    uint64_t reserve_bytes;
    uint64_t page_bytes;
    uint32_t readers_max;
    int lock_fd;
    bool read_only;
    /* Of the writer's thread: */
    struct journal *journal;  /* NULL: each commit syncs the database */
    MDB_txn *pin;             /* reads the snapshot of the mark, so that its pages stay */
    uint32_t unsynced;        /* commits since the mark that only the journal has safe */
    bool replays;             /* the journal's records are being done again */
    bool started;             /* all of them are, and the mark is this process' own */
    uint64_t recovered;       /* commits that they brought back */
    pthread_mutex_t mutex;    /* over all that follows */
    struct store_txn write;   /* the one write transaction */
    struct store_txn *reads;  /* all read transactions, for the end */
    struct store_txn *unused; /* of these, reset and waiting */
    uint32_t read_count;      /* of reads */
    uint32_t read_open;
    bool failed;
    struct rtree_tables *node_tables; /* one of each snapshot */
};

/* Spans are const, MDB_val is not; LMDB does not write through its inputs. */
static inline MDB_val store_val_of(struct span bytes)
{
    union {
        const uint8_t *in;
        void *out;
    } data = {.in = bytes.data};

    return (MDB_val){.mv_size = bytes.size, .mv_data = data.out};
}

/* Of LMDB's numbers, which are negative, and the operating system's, which are positive. */
enum torg_err store_err_of(int rc);
/* Refuse all writes from now on: nobody knows what is on the disk. */
void store_fail(struct store *store);

/* ---- store_journal.c: what makes a commit durable ---- */

/*
 * Before LMDB opens the file: open the journal and, if the machine stopped since its mark, put the
 * file back to the mark. ret_replay: then the records are to be done again. With read_only nothing
 * is written: TORG_E_GAP when a writer must first recover. TORG_E_LOCKED: another process reads
 * what would be put back. TORG_E_CORRUPT: records are missing, or belong to another state of the
 * file.
 */
enum torg_err store_journal_begin(struct store *store, const char *directory, bool *ret_replay);
/* LMDB and the tables that are there are open: do the records again, and put a mark. */
enum torg_err store_journal_start(struct store *store, bool replay);
/* At the end: all is durable in the database, and nothing is left in the journal. */
void store_journal_end(struct store *store);

/* For the write transaction: from now on ops is kept. */
void store_journal_txn(struct store_txn *txn);
/* Before the put or delete itself. */
void store_journal_note_put(struct store_txn *txn, enum kv_table table, struct span key,
                            struct span value);
void store_journal_note_del(struct store_txn *txn, enum kv_table table, struct span key);
/*
 * mdb_txn_commit, durable when it returns 0. ret_known is false if it failed and nobody knows
 * what a start will find.
 */
int store_journal_commit(struct store_txn *txn, bool *ret_known);

#endif
