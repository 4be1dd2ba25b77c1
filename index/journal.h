/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_JOURNAL_H
#define TORG_INDEX_JOURNAL_H

#include "protocol/seal.h"

/*
 * DIR/torg.journal: what small commits changed, one after the other, so that such a
 * commit is durable after one write and one sync of one place instead of pages all over
 * the database (redo log with physical checkpoints; Gray and Reuter, "Transaction
 * Processing", 1993, chapter 10; Haerder and Reuter 1983). The file and its checks only:
 * what a record says is journal_ops.h, when to write and to read it is store.c.
 * docs/index.md, "The journal".
 *
 * A *mark* says to which state of the database the records that follow are to be applied.
 * A new mark makes all records before it void. Belongs to one thread.
 */
#define JOURNAL_FILE "torg.journal"
#define JOURNAL_BYTES_MAX (UINT64_C(16) << 20) /* of records between two marks */
#define JOURNAL_RECORD_BYTES_MAX (1u << 20)
#define JOURNAL_ROOT_BYTES 152 /* LMDB 0.9's meta page up to its end */
#define JOURNAL_BOOT_BYTES 36  /* of the kernel's boot id, as text */

struct journal;

struct journal_mark {
    uint64_t snapshot;                /* of the database, durable */
    uint8_t root[JOURNAL_ROOT_BYTES]; /* the meta page that makes it this snapshot */
    struct hash top;                  /* of the page that root names as the top of the tree */
    char boot[JOURNAL_BOOT_BYTES];    /* of the kernel that ran then; zeros: not to be trusted */
    bool closed;                      /* nothing was written after it, and nothing will be */
};

/*
 * Open it in directory, or make it. TORG_E_CORRUPT: it has had records, and neither of its
 * marks is whole, so that nobody knows what they belong to; TORG_E_VERSION; TORG_E_IO
 * (errno).
 */
enum torg_err journal_open(const char *directory, struct journal **ret_journal);
/* The same for looking only. TORG_E_NOT_FOUND: there is none. */
enum torg_err journal_open_read(const char *directory, struct journal **ret_journal);
/* NULL is accepted. */
void journal_close(struct journal *journal);

/* The newest mark; NULL if there was none yet. Owned by the journal, until the next one. */
const struct journal_mark *journal_mark(const struct journal *journal);

/* What follows the mark. */
struct journal_tail {
    uint64_t count; /* of whole records */
    uint64_t last;  /* the snapshot that the last one leads to, or the mark's */
    bool begun;     /* another one begins behind them, which is not whole */
};

/*
 * Look through all records before one of them is done again. One that is not whole is no
 * mistake if it is the last, for then the machine stopped while it was written and nobody was
 * told. TORG_E_CORRUPT: whole ones follow it, or belong to a mark that is lost, or one is missing
 * between two, so that something that was acknowledged can no longer be read. Not before the
 * first mark.
 */
enum torg_err journal_scan(struct journal *journal, struct journal_tail *ret_tail);

/*
 * The records since the mark, in order, each with the snapshot that it led to, until the first
 * that is not whole. ops is borrowed for the call. An error of visit ends it and is returned.
 */
typedef enum torg_err journal_visit(void *context, uint64_t snapshot, struct span ops);
enum torg_err journal_read(struct journal *journal, journal_visit *visit, void *context);

/*
 * Durable on TORG_OK. TORG_E_FULL: no room, or the file could not be written; nothing was
 * added, and a mark is needed. TORG_E_IO (errno): the sync failed, and nobody knows. Not before
 * the first mark.
 */
enum torg_err journal_append(struct journal *journal, uint64_t snapshot, struct span ops);
/* The record that was added last does not count: its commit failed. TORG_E_IO: it may count. */
enum torg_err journal_void_last(struct journal *journal);
/*
 * A sync of the database failed: what the kernel shows of it may never have come to the disk,
 * so the next start must begin at the mark. As well as it can be said on such a disk.
 */
void journal_distrust(struct journal *journal);

/*
 * From now on records follow this state. Durable on TORG_OK; on TORG_E_IO (errno) either
 * mark may count after a start. A closed mark also cuts the records off, for they hold what may
 * have been deleted since.
 */
enum torg_err journal_put_mark(struct journal *journal, const struct journal_mark *mark);

#endif
