/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "index/journal_ops.h"
#include "index/path.h"
#include "protocol/seal.h"

/*
 * A commit changes pages all over LMDB's file, and a sync of these takes as long as the disk
 * needs for each: 35 scattered pages 2.4 ms, one record of 32 KiB 0.26 ms (measured,
 * docs/storage.md). So a small commit is made durable by a record of the journal first, and then
 * given to LMDB with MDB_NOSYNC; a large one, and every so often a small one, syncs the database
 * itself, and the journal begins anew at a mark.
 *
 * LMDB alone would not survive a power cut then: of pages that were not synced anything may be on
 * the disk, and its two meta pages may name them. Three things make it whole again. The mark has
 * the meta page of the last synced snapshot. A reader pins that snapshot, so that LMDB uses none of
 * its pages again. And after the machine has stopped, the file gets this meta page back, and the
 * records since are done again. A process that is killed needs none of it: the kernel has all that
 * it wrote.
 */
#define COMMITS_MAX 1024 /* between marks: each may leave some forty pages that the pin keeps */
#define BOOT_FILE "/proc/sys/kernel/random/boot_id"
/* Where LMDB 0.9 has what in a meta page; native byte order. */
#define ROOT_AT_PAGE_NUMBER 0
#define ROOT_AT_MAGIC 16
#define ROOT_AT_PAGE_BYTES 40
#define ROOT_AT_TOP 128 /* page number of the top of the tree that has the tables in it */
#define ROOT_AT_SNAPSHOT 144
#define ROOT_MAGIC 0xBEEFC0DEu
#define ROOT_PAGE_BYTES_MAX 65536
#define TOP_NONE UINT64_MAX /* the tree is empty */
#define TOP_DOMAIN "torg/journal-top/1"
#define LMDB_LOCK_FILE STORE_FILE "-lock"

static uint64_t native_u64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

static uint32_t native_u32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

/* Is this a meta page as this LMDB makes them? If not, there is no journal, only syncs. */
static bool root_is_known(const uint8_t root[JOURNAL_ROOT_BYTES])
{
    uint32_t page_bytes = native_u32(root + ROOT_AT_PAGE_BYTES);

    return sizeof(size_t) == 8 && native_u32(root + ROOT_AT_MAGIC) == ROOT_MAGIC &&
           page_bytes >= 512 && page_bytes <= ROOT_PAGE_BYTES_MAX;
}

/* The kernel's number of this start of the machine; false: it does not say. */
static bool boot_get(char boot[JOURNAL_BOOT_BYTES])
{
    int fd = open(BOOT_FILE, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, boot, JOURNAL_BOOT_BYTES);

    if (fd >= 0)
        close(fd);
    return size == JOURNAL_BOOT_BYTES;
}

static bool boot_is_ours(const struct journal_mark *mark)
{
    char boot[JOURNAL_BOOT_BYTES];

    return boot_get(boot) && memcmp(boot, mark->boot, sizeof(boot)) == 0;
}

/*
 * The hash of the page at the top of root's tree. It has the roots of all tables, so that no two
 * snapshots have the same; and once the snapshot is no longer pinned, it is among the first to be
 * used again.
 */
static enum torg_err top_hash(int fd, const uint8_t root[JOURNAL_ROOT_BYTES], struct hash *ret_top)
{
    uint64_t page_bytes = native_u32(root + ROOT_AT_PAGE_BYTES);
    uint64_t page = native_u64(root + ROOT_AT_TOP);
    uint8_t bytes[ROOT_PAGE_BYTES_MAX];
    ssize_t size = 0;

    if (page != TOP_NONE && page <= INT64_MAX / ROOT_PAGE_BYTES_MAX)
        size = pread(fd, bytes, page_bytes, (off_t)(page * page_bytes));
    if (size < 0)
        return TORG_E_IO;
    *ret_top = seal_hash(TOP_DOMAIN, span_of(bytes, (size_t)size));
    return TORG_OK;
}

/* ---- putting the file back ---- */

/* The greatest snapshot that a meta page names; 0: none does. */
static enum torg_err newest_get(int fd, const struct journal_mark *mark, uint64_t *ret_newest)
{
    uint64_t page_bytes = native_u32(mark->root + ROOT_AT_PAGE_BYTES);

    *ret_newest = 0;
    for (unsigned slot = 0; slot < 2; slot++) {
        uint8_t root[JOURNAL_ROOT_BYTES];
        ssize_t size = pread(fd, root, sizeof(root), (off_t)(slot * page_bytes));

        if (size < 0)
            return TORG_E_IO;
        if (size == (ssize_t)sizeof(root) && root_is_known(root) &&
            native_u64(root + ROOT_AT_SNAPSHOT) > *ret_newest)
            *ret_newest = native_u64(root + ROOT_AT_SNAPSHOT);
    }
    return TORG_OK;
}

/*
 * Is it the file that mark and records speak of? A backup that was put back is older than the mark.
 * Else the file must be at a snapshot that they lead to, or one further: that of a commit that LMDB
 * synced itself, or that was taken back.
 */
static enum torg_err file_check(int fd, const struct journal_mark *mark,
                                const struct journal_tail *tail, bool *ret_restore)
{
    struct hash top;
    uint64_t newest;
    enum torg_err err = newest_get(fd, mark, &newest);

    *ret_restore = false;
    if (err || newest < mark->snapshot)
        return err;
    if (newest > tail->last + 1 || (newest == tail->last + 1 && tail->begun))
        return TORG_E_CORRUPT; /* a record was there once that is not there now */
    if (tail->count == 0)
        return TORG_OK;
    err = top_hash(fd, mark->root, &top);
    if (!err && memcmp(&top, &mark->top, sizeof(top)) != 0)
        err = TORG_E_CORRUPT; /* this file went on without this journal */
    *ret_restore = !err;
    return err;
}

/* LMDB locks the first byte of its file as long as a process has the database open. */
static bool is_open_elsewhere(const char *directory)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    char path[PATH_MAX];
    bool is_open;
    int fd;

    if (path_join(directory, LMDB_LOCK_FILE, path, sizeof(path)))
        return false;
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return false;
    is_open = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    close(fd);
    return is_open;
}

static enum torg_err roots_write(int fd, const struct journal_mark *mark)
{
    uint64_t page_bytes = native_u32(mark->root + ROOT_AT_PAGE_BYTES);
    uint8_t root[JOURNAL_ROOT_BYTES];

    memcpy(root, mark->root, sizeof(root));
    for (uint64_t slot = 0; slot < 2; slot++) {
        memcpy(root + ROOT_AT_PAGE_NUMBER, &slot, sizeof(slot));
        if (pwrite(fd, root, sizeof(root), (off_t)(slot * page_bytes)) != (ssize_t)sizeof(root))
            return TORG_E_IO;
    }
    return fdatasync(fd) == 0 ? TORG_OK : TORG_E_IO;
}

/* After a stop of the machine. ret_restored is false if the file is to be taken as it is. */
static enum torg_err file_restore(const char *directory, const struct journal_mark *mark,
                                  const struct journal_tail *tail, bool *ret_restored)
{
    char path[PATH_MAX];
    enum torg_err err = path_join(directory, STORE_FILE, path, sizeof(path));
    int fd;

    *ret_restored = false;
    if (err)
        return err;
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? TORG_OK : TORG_E_IO; /* another file is to be made */
    err = file_check(fd, mark, tail, ret_restored);
    if (!err && *ret_restored && is_open_elsewhere(directory))
        err = TORG_E_LOCKED;
    if (!err && *ret_restored)
        err = roots_write(fd, mark);
    close(fd);
    return err;
}

/* Did the machine, as far as we know, stop since the mark, or was what it wrote last lost? */
static bool must_look(const struct journal_mark *mark)
{
    return mark && !mark->closed && !boot_is_ours(mark);
}

static enum torg_err begin_read_only(const char *directory)
{
    struct journal_tail tail = {0};
    struct journal *journal;
    enum torg_err err = journal_open_read(directory, &journal);

    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_OK : err;
    if (must_look(journal_mark(journal)))
        err = journal_scan(journal, &tail);
    journal_close(journal);
    return !err && tail.count > 0 ? TORG_E_GAP : err;
}

enum torg_err store_journal_begin(struct store *store, const char *directory, bool *ret_replay)
{
    const struct journal_mark *mark;
    struct journal_tail tail;
    enum torg_err err;

    *ret_replay = false;
    if (store->read_only)
        return begin_read_only(directory);
    err = journal_open(directory, &store->journal);
    if (err)
        return err;
    mark = journal_mark(store->journal);
    if (!must_look(mark))
        return TORG_OK;
    if (!root_is_known(mark->root))
        return TORG_E_VERSION; /* of a machine or an LMDB of another kind */
    err = journal_scan(store->journal, &tail);
    return err ? err : file_restore(directory, mark, &tail, ret_replay);
}

/* ---- marks ---- */

/* Snapshot and meta page of the newest commit; false if they are not as they should be. */
static bool root_get(struct store *store, struct journal_mark *mark)
{
    MDB_envinfo info;
    off_t at;
    int fd;

    if (mdb_env_info(store->env, &info) != 0 || mdb_env_get_fd(store->env, &fd) != 0)
        return false;
    mark->snapshot = info.me_last_txnid;
    at = (off_t)((mark->snapshot & 1) * store->page_bytes);
    return pread(fd, mark->root, JOURNAL_ROOT_BYTES, at) == JOURNAL_ROOT_BYTES &&
           root_is_known(mark->root) &&
           native_u64(mark->root + ROOT_AT_SNAPSHOT) == mark->snapshot &&
           top_hash(fd, mark->root, &mark->top) == TORG_OK;
}

static enum torg_err pin_renew(struct store *store)
{
    int rc;

    if (!store->pin)
        return store_err_of(mdb_txn_begin(store->env, NULL, MDB_RDONLY, &store->pin));
    mdb_txn_reset(store->pin);
    rc = mdb_txn_renew(store->pin);
    return store_err_of(rc);
}

/* All that is committed is durable in the database. */
static enum torg_err mark_put(struct store *store, bool closed)
{
    struct journal_mark mark = {.closed = closed};
    enum torg_err err;

    if (!store->journal)
        return TORG_OK;
    if (!boot_get(mark.boot) || !root_get(store, &mark)) {
        errno = EIO;
        return TORG_E_IO;
    }
    err = journal_put_mark(store->journal, &mark);
    if (!err && !closed)
        err = pin_renew(store);
    if (!err)
        store->unsynced = 0;
    return err;
}

/* What has been committed becomes durable in the database, and the journal begins anew. */
static enum torg_err sync_and_mark(struct store *store, bool closed)
{
    int rc = mdb_env_sync(store->env, 1);

    if (!rc)
        return mark_put(store, closed);
    errno = rc;
    return TORG_E_IO;
}

enum torg_err store_checkpoint(struct store *store)
{
    MDB_envinfo info;
    enum torg_err err;

    if (!store->journal || store->write.open || store->replays)
        return TORG_OK;
    if (store->started && mdb_env_info(store->env, &info) == 0 &&
        info.me_last_txnid == journal_mark(store->journal)->snapshot)
        return TORG_OK;
    err = sync_and_mark(store, false);
    if (err)
        store_fail(store);
    return err;
}

/* ---- start and end ---- */

struct replay {
    struct store *store;
    uint64_t snapshot; /* that is reached */
};

static enum torg_err replay_visit(void *context, uint64_t snapshot, struct span ops)
{
    struct replay *replay = context;
    struct kv kv;
    enum torg_err err;

    if (snapshot != replay->snapshot + 1)
        return TORG_E_CORRUPT; /* each is whole, so none is missing */
    err = store_write_begin_reserve(replay->store, &kv);
    if (err)
        return err;
    err = journal_ops_apply(ops, &kv);
    if (err)
        store_write_abort(&kv);
    else
        err = store_write_commit(&kv);
    if (!err) {
        replay->snapshot = snapshot;
        replay->store->recovered++;
    }
    return err;
}

static enum torg_err journal_replay(struct store *store)
{
    struct replay replay = {.store = store, .snapshot = journal_mark(store->journal)->snapshot};
    enum torg_err err = pin_renew(store);

    if (err)
        return err;
    if (mdb_txn_id(store->pin) != replay.snapshot)
        return TORG_E_LOCKED; /* somebody opened it just now, as it was before */
    store->replays = true;
    mdb_env_set_flags(store->env, MDB_NOSYNC, 1); /* what is lost is done again */
    err = journal_read(store->journal, replay_visit, &replay);
    mdb_env_set_flags(store->env, MDB_NOSYNC, 0);
    store->replays = false;
    return err;
}

static bool journal_is_possible(struct store *store)
{
    struct journal_mark mark;

    return boot_get(mark.boot) && root_get(store, &mark);
}

/*
 * A kernel that has no boot id, or an LMDB with other meta pages: then the database is synced
 * with each commit, as if there were no journal. What is in it from before must never be done
 * again over these commits.
 */
static enum torg_err journal_leave(struct store *store)
{
    const struct journal_mark *mark = journal_mark(store->journal);
    const struct journal_mark closed = {.closed = true};
    enum torg_err err = TORG_OK;
    int rc = mdb_env_sync(store->env, 1);

    if (rc) {
        errno = rc;
        return TORG_E_IO;
    }
    if (mark && !mark->closed)
        err = journal_put_mark(store->journal, &closed);
    if (err)
        return err;
    journal_close(store->journal);
    store->journal = NULL;
    return TORG_OK;
}

enum torg_err store_journal_start(struct store *store, bool replay)
{
    enum torg_err err = replay ? journal_replay(store) : TORG_OK;

    if (err)
        return err;
    if (!journal_is_possible(store))
        return journal_leave(store);
    err = store_checkpoint(store);
    store->started = !err;
    return err;
}

void store_journal_end(struct store *store)
{
    bool failed;

    pthread_mutex_lock(&store->mutex);
    failed = store->failed;
    pthread_mutex_unlock(&store->mutex);
    /* What cannot be synced now, or could not be done again, is in the journal still. */
    if (store->journal && store->started && !failed)
        (void)!sync_and_mark(store, true);
    if (store->pin)
        mdb_txn_abort(store->pin);
    store->pin = NULL;
    journal_close(store->journal);
    store->journal = NULL;
    buffer_done(&store->write.ops);
}

/* ---- a transaction ---- */

void store_journal_txn(struct store_txn *txn)
{
    buffer_clear(&txn->ops);
    txn->journaled =
        txn->store->journal && txn->store->started && txn->store->unsynced < COMMITS_MAX;
}

/* Too much to be worth a record: this commit syncs the database. */
static void ops_check(struct store_txn *txn)
{
    if (!txn->ops.err && txn->ops.size <= JOURNAL_RECORD_BYTES_MAX)
        return;
    txn->journaled = false;
    buffer_clear(&txn->ops);
}

void store_journal_note_put(struct store_txn *txn, enum kv_table table, struct span key,
                            struct span value)
{
    MDB_val key_val = store_val_of(key), old = {0, NULL};

    if (!txn->journaled)
        return;
    if (value.size >= JOURNAL_PATCH_BYTES_MIN &&
        mdb_get(txn->mdb, txn->store->tables[table], &key_val, &old) != 0)
        old = (MDB_val){0, NULL};
    journal_ops_put(&txn->ops, table, key, span_of(old.mv_data, old.mv_size), value);
    ops_check(txn);
}

void store_journal_note_del(struct store_txn *txn, enum kv_table table, struct span key)
{
    if (!txn->journaled)
        return;
    journal_ops_del(&txn->ops, table, key);
    ops_check(txn);
}

/* The record comes first: nobody may read what could still be lost. */
static int commit_journaled(struct store_txn *txn, bool *ret_known)
{
    struct store *store = txn->store;
    enum torg_err err =
        journal_append(store->journal, mdb_txn_id(txn->mdb), buffer_span(&txn->ops));
    int rc;

    if (err) {
        rc = err == TORG_E_IO && errno ? errno : EIO;
        if (err == TORG_E_IO) {
            (void)!journal_void_last(store->journal);
            mdb_txn_abort(txn->mdb);
            *ret_known = false;
        } else {
            txn->journaled = false;
        }
        return rc;
    }
    mdb_env_set_flags(store->env, MDB_NOSYNC, 1);
    rc = mdb_txn_commit(txn->mdb);
    mdb_env_set_flags(store->env, MDB_NOSYNC, 0);
    if (!rc)
        store->unsynced++;
    else if (journal_void_last(store->journal))
        *ret_known = false;
    return rc;
}

/*
 * LMDB syncs, and the journal begins anew: before the commit too if there are records, for from the
 * moment that readers see it until the mark is written a power cut would go back to the old mark.
 */
static int commit_synced(struct store_txn *txn, bool *ret_known)
{
    struct store *store = txn->store;
    int rc;

    if (store->unsynced > 0 && sync_and_mark(store, false)) {
        rc = errno ? errno : EIO;
        mdb_txn_abort(txn->mdb);
        *ret_known = false;
        return rc;
    }
    rc = mdb_txn_commit(txn->mdb);
    if (rc || mark_put(store, false) == TORG_OK)
        return rc;
    *ret_known = false;
    return errno ? errno : EIO;
}

int store_journal_commit(struct store_txn *txn, bool *ret_known)
{
    *ret_known = true;
    /* LMDB syncs nothing for a transaction that changed nothing, so no mark may come of it. */
    if (txn->store->replays || !txn->changed)
        return mdb_txn_commit(txn->mdb);
    if (txn->journaled && txn->ops.size > 0) {
        int rc = commit_journaled(txn, ret_known);

        if (txn->journaled)
            return rc;
    }
    return commit_synced(txn, ret_known);
}
