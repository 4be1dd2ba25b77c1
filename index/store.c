/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "index/path.h"
#include "index/rtree_table.h"
#include "index/store_internal.h"

#define STORE_FORMAT 2     /* has a journal beside it */
#define STORE_FORMAT_MIN 1 /* had none */
#define STORE_FORMAT_KEY "store/format"
#define STORE_MAP_BYTES_DEFAULT (UINT64_C(64) << 30)
#define STORE_MAP_BYTES_MIN (UINT64_C(1) << 20)
#define STORE_READERS_DEFAULT 512
#define STORE_READERS_MAX 100000
#define STORE_LOCK_FILE "torg.lock"
#define STORE_FILE_MODE 0600
/* A disk with less room than this is called full when LMDB only says EIO. */
#define STORE_DISK_ROOM_BYTES_MIN (UINT64_C(16) << 20)
#define GATHER_PAGES 64        /* of the run that LMDB is made to look for */
#define GATHER_ROOM_PAGES 2048 /* that must be left in the map for it */

const char *const store_files[STORE_FILES_COUNT] = {STORE_FILE, STORE_FILE "-lock", JOURNAL_FILE,
                                                    STORE_LOCK_FILE};

/* Stand in files: never change a name, only add. */
static const char *const table_names[KV_TABLE_COUNT] = {
    [KV_META] = "meta",           [KV_ORIGIN] = "origin", [KV_CHARTER] = "charter",
    [KV_HEAD] = "head",           [KV_LIVE] = "live",     [KV_BYSEQ] = "byseq",
    [KV_TRIE] = "trie",           [KV_PROOF] = "proof",   [KV_DOCUMENT] = "document",
    [KV_DOCNUMBER] = "docnumber", [KV_RTREE] = "rtree",   [KV_TEXT] = "text",
    [KV_THEME] = "theme",         [KV_COUNT] = "count",   [KV_TOKEN] = "token",
    [KV_SOURCE] = "source",       [KV_TERM] = "term",     [KV_POSTING] = "posting",
    [KV_WORD] = "word",           [KV_RUN] = "run",       [KV_ANSWER] = "answer",
    [KV_LOCAL] = "local",
};

static_assert(KV_TABLE_COUNT == 22, "name every table above: a missing name is LMDB's root");

const char *store_table_name(enum kv_table table)
{
    return table_names[table];
}

enum torg_err store_err_of(int rc)
{
    switch (rc) {
    case MDB_SUCCESS:
        return TORG_OK;
    case MDB_NOTFOUND:
        return TORG_E_NOT_FOUND;
    case MDB_MAP_FULL:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return TORG_E_FULL;
    case MDB_TXN_FULL:
    case MDB_BAD_VALSIZE:
        return TORG_E_TOO_BIG;
    case MDB_READERS_FULL:
        return TORG_E_BUSY;
    case MDB_PAGE_NOTFOUND:
    case MDB_CORRUPTED:
    case MDB_INVALID:
    case MDB_INCOMPATIBLE:
        return TORG_E_CORRUPT;
    case MDB_VERSION_MISMATCH:
        return TORG_E_VERSION;
    case ENOMEM:
        return TORG_E_NOMEM;
    default:
        break;
    }
    if (rc == MDB_PANIC || rc > 0) {
        errno = rc > 0 ? rc : EIO;
        return TORG_E_IO;
    }
    return TORG_E_INTERNAL;
}

static struct span span_of_val(MDB_val val)
{
    return (struct span){.data = val.mv_data, .size = val.mv_size};
}

/* ---- transactions as kv ---- */

/* A table that the version that wrote last does not know: nothing is in it. */
#define TABLE_ABSENT UINT_MAX

static bool is_absent(const struct store_txn *txn, enum kv_table table)
{
    return txn->store->tables[table] == TABLE_ABSENT;
}

/*
 * What is written comes in runs of neighbouring keys, and mostly a key is looked
 * for before it is put: a cursor that stays finds it on the page where it stands,
 * without going down from the root.
 */
static int txn_place(struct store_txn *txn, enum kv_table table, MDB_cursor **ret_place)
{
    MDB_cursor **place = &txn->places[table];
    int rc = 0;

    if (!*place)
        rc = mdb_cursor_open(txn->mdb, txn->store->tables[table], place);
    *ret_place = *place;
    return rc;
}

/* A deletion may leave a cursor between pages; another one is opened when it is needed. */
static void txn_place_forget(struct store_txn *txn, enum kv_table table)
{
    if (txn->places[table])
        mdb_cursor_close(txn->places[table]);
    txn->places[table] = NULL;
}

static int txn_place_get(struct store_txn *txn, enum kv_table table, MDB_val *key,
                         MDB_val *ret_value)
{
    MDB_cursor *place;
    int rc = txn_place(txn, table, &place);

    return rc ? rc : mdb_cursor_get(place, key, ret_value, MDB_SET);
}

static int txn_place_put(struct store_txn *txn, enum kv_table table, MDB_val *key, MDB_val *value)
{
    MDB_cursor *place;
    int rc = txn_place(txn, table, &place);

    return rc ? rc : mdb_cursor_put(place, key, value, 0);
}

static enum torg_err txn_get(void *context, enum kv_table table, struct span key,
                             struct span *ret_value)
{
    struct store_txn *txn = context;
    MDB_val key_val = store_val_of(key), value;
    int rc;

    assert(txn->open);
    if (txn->write)
        rc = txn_place_get(txn, table, &key_val, &value);
    else if (is_absent(txn, table))
        rc = MDB_NOTFOUND;
    else
        rc = mdb_get(txn->mdb, txn->store->tables[table], &key_val, &value);
    if (rc)
        return store_err_of(rc);
    *ret_value = span_of_val(value);
    return TORG_OK;
}

/* The first error decides: LMDB has poisoned the transaction, or it is half done. */
static enum torg_err txn_fail(struct store_txn *txn, int rc)
{
    enum torg_err err = store_err_of(rc);

    if (err && err != TORG_E_NOT_FOUND && !txn->err)
        txn->err = err;
    return err;
}

static enum torg_err txn_put(void *context, enum kv_table table, struct span key, struct span value)
{
    struct store_txn *txn = context;
    MDB_val key_val = store_val_of(key), value_val = store_val_of(value);

    assert(txn->open && txn->write);
    if (txn->err)
        return txn->err;
    if (table == KV_RTREE)
        rtree_tables_note(txn->store->node_tables, key);
    txn->changed = true;
    store_journal_note_put(txn, table, key, value);
    return txn_fail(txn, txn_place_put(txn, table, &key_val, &value_val));
}

static enum torg_err txn_del(void *context, enum kv_table table, struct span key)
{
    struct store_txn *txn = context;
    MDB_val key_val = store_val_of(key);
    enum torg_err err;

    assert(txn->open && txn->write);
    if (txn->err)
        return txn->err;
    if (table == KV_RTREE)
        rtree_tables_note(txn->store->node_tables, key);
    txn_place_forget(txn, table);
    err = txn_fail(txn, mdb_del(txn->mdb, txn->store->tables[table], &key_val, NULL));
    if (err)
        return err;
    txn->changed = true;
    store_journal_note_del(txn, table, key);
    return TORG_OK;
}

/* Are so many pages left beyond the last used one? */
static bool txn_has_room(const struct store_txn *txn, uint64_t pages)
{
    MDB_envinfo info;

    return mdb_env_info(txn->store->env, &info) == 0 &&
           info.me_mapsize / txn->store->page_bytes > info.me_last_pgno + pages;
}

/*
 * LMDB takes the lowest page that it knows to be free, but of its free list it knows
 * only what it had to read: the pages that one earlier commit left, scattered over
 * the file. A value of many pages makes it search for a run of them, and read, and
 * merge, the list up to there; when the value is deleted, its pages are free again in
 * this very transaction. What is then put gets the lowest free pages of the file,
 * rising. Not close to the map's end: a put that fails would be the transaction's end.
 */
static enum torg_err txn_gather(void *context)
{
    struct store_txn *txn = context;
    MDB_dbi table = txn->store->tables[KV_RTREE];
    uint8_t none = 0; /* no collection's */
    MDB_val key = {sizeof(none), &none};
    MDB_val value = {GATHER_PAGES * txn->store->page_bytes, NULL};
    enum torg_err err;

    assert(txn->open && txn->write);
    if (txn->err)
        return txn->err;
    if (!txn_has_room(txn, GATHER_ROOM_PAGES))
        return TORG_OK;
    txn->changed = true;
    txn_place_forget(txn, KV_RTREE);
    err = txn_fail(txn, mdb_put(txn->mdb, table, &key, &value, MDB_RESERVE));
    return err ? err : txn_fail(txn, mdb_del(txn->mdb, table, &key, NULL));
}

static enum torg_err txn_cursor_open(void *context, enum kv_table table,
                                     struct kv_cursor **ret_cursor)
{
    struct store_txn *txn = context;
    struct kv_cursor *cursor;
    int rc = 0;

    assert(txn->open);
    cursor = calloc(1, sizeof(*cursor));
    if (!cursor)
        return TORG_E_NOMEM;
    if (!is_absent(txn, table))
        rc = mdb_cursor_open(txn->mdb, txn->store->tables[table], &cursor->mdb);
    if (rc) {
        free(cursor);
        return store_err_of(rc);
    }
    *ret_cursor = cursor;
    return TORG_OK;
}

static void txn_cursor_close(struct kv_cursor *cursor)
{
    if (cursor->mdb)
        mdb_cursor_close(cursor->mdb);
    free(cursor);
}

static enum torg_err txn_cursor_seek(struct kv_cursor *cursor, struct span key,
                                     struct span *ret_key, struct span *ret_value)
{
    MDB_val key_val = store_val_of(key), value;
    int rc;

    if (!cursor->mdb)
        return TORG_E_NOT_FOUND;
    /* LMDB has no empty key; to us it is the place before all others. */
    rc = mdb_cursor_get(cursor->mdb, &key_val, &value, key.size ? MDB_SET_RANGE : MDB_FIRST);
    if (rc)
        return store_err_of(rc);
    *ret_key = span_of_val(key_val);
    *ret_value = span_of_val(value);
    return TORG_OK;
}

static enum torg_err txn_cursor_next(struct kv_cursor *cursor, struct span *ret_key,
                                     struct span *ret_value)
{
    MDB_val key_val, value;
    int rc;

    rc = mdb_cursor_get(cursor->mdb, &key_val, &value, MDB_NEXT);
    if (rc)
        return store_err_of(rc);
    *ret_key = span_of_val(key_val);
    *ret_value = span_of_val(value);
    return TORG_OK;
}

static const struct kv_ops txn_ops = {
    .get = txn_get,
    .put = txn_put,
    .del = txn_del,
    .cursor_open = txn_cursor_open,
    .cursor_close = txn_cursor_close,
    .cursor_seek = txn_cursor_seek,
    .cursor_next = txn_cursor_next,
    .gather = txn_gather,
};

static struct store_txn *txn_of(const struct kv *kv)
{
    struct store_txn *txn = kv->txn;

    assert(kv->ops == &txn_ops);
    assert(txn->open);
    return txn;
}

/* ---- opening ---- */

struct store_options store_options_default(void)
{
    return (struct store_options){
        .map_bytes = STORE_MAP_BYTES_DEFAULT,
        .readers_max = STORE_READERS_DEFAULT,
    };
}

/*
 * Locks of the open file (OFD), not of the process: they hold between two
 * opens in one process too, and closing another descriptor keeps them.
 */
static struct flock whole_file(short type)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET};
}

/* The pid that the lock file names, while somebody holds the lock; else 0. */
static long lock_holder(int fd)
{
    struct flock lock = whole_file(F_WRLCK);
    char text[24];
    ssize_t size;

    if (fcntl(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
        return 0;
    size = pread(fd, text, sizeof(text) - 1, 0);
    if (size <= 0)
        return 0;
    text[size] = '\0';
    return strtol(text, NULL, 10);
}

long store_writer_pid(const char *directory)
{
    char path[PATH_MAX];
    long pid;
    int fd;

    if (path_join(directory, STORE_LOCK_FILE, path, sizeof(path)))
        return 0;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    pid = lock_holder(fd);
    close(fd);
    return pid;
}

static enum torg_err store_lock(struct store *store, const char *directory)
{
    struct flock lock = whole_file(F_WRLCK);
    char path[PATH_MAX], text[24];
    enum torg_err err;
    int length;

    err = path_join(directory, STORE_LOCK_FILE, path, sizeof(path));
    if (err)
        return err;
    store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, STORE_FILE_MODE);
    if (store->lock_fd < 0)
        return TORG_E_IO;
    if (fcntl(store->lock_fd, F_OFD_SETLK, &lock) != 0)
        return errno == EAGAIN || errno == EACCES ? TORG_E_LOCKED : TORG_E_IO;
    length = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    /* Only for messages: on a full disk the lock holds without it. */
    if (ftruncate(store->lock_fd, 0) == 0 && pwrite(store->lock_fd, text, (size_t)length, 0) < 0)
        return TORG_OK;
    return TORG_OK;
}

static enum torg_err directory_sync(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum torg_err err;

    if (fd < 0)
        return TORG_E_IO;
    err = fsync(fd) == 0 ? TORG_OK : TORG_E_IO;
    close(fd);
    return err;
}

static enum torg_err format_put(struct store *store, MDB_txn *txn)
{
    uint8_t bytes[4];
    MDB_val key = store_val_of(span_of_str(STORE_FORMAT_KEY)), value;

    put_u32be(bytes, STORE_FORMAT);
    value = store_val_of(span_of(bytes, sizeof(bytes)));
    return store_err_of(mdb_put(txn, store->tables[KV_META], &key, &value, 0));
}

static enum torg_err format_check(struct store *store, MDB_txn *txn)
{
    uint8_t bytes[4];
    MDB_val key = store_val_of(span_of_str(STORE_FORMAT_KEY)), value;
    int rc = mdb_get(txn, store->tables[KV_META], &key, &value);

    if (rc == MDB_NOTFOUND && !store->read_only)
        return format_put(store, txn);
    if (rc == MDB_NOTFOUND)
        return TORG_E_CORRUPT;
    if (rc)
        return store_err_of(rc);
    if (value.mv_size != sizeof(bytes))
        return TORG_E_CORRUPT;
    memcpy(bytes, value.mv_data, sizeof(bytes));
    if (get_u32be(bytes) > STORE_FORMAT)
        return TORG_E_VERSION;
    if (get_u32be(bytes) < STORE_FORMAT_MIN)
        return TORG_E_CORRUPT;
    if (get_u32be(bytes) == STORE_FORMAT || store->read_only)
        return TORG_OK;
    return format_put(store, txn);
}

/* Something is in the file, but nothing of ours: another program's, to which nothing is added. */
static bool is_foreign(struct store *store, MDB_txn *txn, const MDB_stat *stat_main)
{
    MDB_dbi meta;

    return !store->read_only && stat_main->ms_entries > 0 &&
           mdb_dbi_open(txn, table_names[KV_META], 0, &meta) == MDB_NOTFOUND;
}

/* Those that are there already, for the journal's records: a new one would be a commit between
 * them. */
static enum torg_err store_open_old_tables(struct store *store)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);

    if (rc)
        return store_err_of(rc);
    for (int table = 0; table < KV_TABLE_COUNT; table++) {
        rc = mdb_dbi_open(txn, table_names[table], 0, &store->tables[table]);
        if (rc && rc != MDB_NOTFOUND) {
            mdb_txn_abort(txn);
            return store_err_of(rc);
        }
    }
    return store_err_of(mdb_txn_commit(txn));
}

/* Who only reads must be able to before a writer of this version has made it. */
static bool table_may_be_absent(int table)
{
    return table == KV_RUN;
}

/* All tables in one transaction at the start: no later one has to create any. */
static enum torg_err store_open_tables(struct store *store, const MDB_stat *stat_main)
{
    unsigned flags = store->read_only ? MDB_RDONLY : 0;
    enum torg_err err;
    MDB_txn *txn;
    int rc;

    rc = mdb_txn_begin(store->env, NULL, flags, &txn);
    if (rc)
        return store_err_of(rc);
    if (is_foreign(store, txn, stat_main)) {
        mdb_txn_abort(txn);
        return TORG_E_CORRUPT;
    }
    for (int table = 0; table < KV_TABLE_COUNT; table++) {
        rc = mdb_dbi_open(txn, table_names[table], store->read_only ? 0 : MDB_CREATE,
                          &store->tables[table]);
        if (rc == MDB_NOTFOUND && table_may_be_absent(table)) {
            store->tables[table] = TABLE_ABSENT;
        } else if (rc) {
            mdb_txn_abort(txn);
            return rc == MDB_NOTFOUND ? TORG_E_CORRUPT : store_err_of(rc);
        }
    }
    err = format_check(store, txn);
    if (err) {
        mdb_txn_abort(txn);
        return err;
    }
    return store_err_of(mdb_txn_commit(txn));
}

static enum torg_err store_open_env(struct store *store, const char *directory)
{
    unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | (store->read_only ? MDB_RDONLY : 0);
    char path[PATH_MAX];
    bool replay = false;
    enum torg_err err;
    MDB_stat stat_main;
    int rc;

    err = path_join(directory, STORE_FILE, path, sizeof(path));
    if (err)
        return err;
    if (store->read_only && access(path, F_OK) != 0)
        return errno == ENOENT ? TORG_E_NOT_FOUND : TORG_E_IO;
    err = store_journal_begin(store, directory, &replay);
    if (err)
        return err;
    rc = mdb_env_create(&store->env);
    if (!rc)
        rc = mdb_env_set_maxdbs(store->env, KV_TABLE_COUNT);
    if (!rc)
        rc = mdb_env_set_maxreaders(store->env, store->readers_max + 1); /* and the pin */
    if (!rc)
        rc = mdb_env_set_mapsize(store->env, store->map_bytes);
    if (!rc)
        rc = mdb_env_open(store->env, path, flags, STORE_FILE_MODE);
    if (!rc)
        rc = mdb_env_stat(store->env, &stat_main);
    if (rc)
        return store_err_of(rc);
    store->page_bytes = stat_main.ms_psize;
    mdb_reader_check(store->env, NULL); /* What a killed process left would keep old pages. */
    if (replay)
        err = store_open_old_tables(store);
    if (!err && !store->read_only)
        err = store_journal_start(store, replay);
    if (!err)
        err = store_open_tables(store, &stat_main);
    if (err || store->read_only)
        return err;
    err = directory_sync(directory);
    return err ? err : store_checkpoint(store); /* If there were new tables. */
}

/* LMDB wants whole pages, and rounds a map that is smaller than the file up. */
static void store_size(struct store *store, const struct store_options *options)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t bytes = options->map_bytes ? options->map_bytes : STORE_MAP_BYTES_DEFAULT;

    if (bytes < STORE_MAP_BYTES_MIN)
        bytes = STORE_MAP_BYTES_MIN;
    store->map_bytes = bytes / page * page;
    store->reserve_bytes = options->reserve_bytes ? options->reserve_bytes : store->map_bytes / 16;
    if (store->reserve_bytes > store->map_bytes / 2)
        store->reserve_bytes = store->map_bytes / 2;
    store->readers_max = options->readers_max ? options->readers_max : STORE_READERS_DEFAULT;
    if (store->readers_max > STORE_READERS_MAX)
        store->readers_max = STORE_READERS_MAX;
}

static void store_mutex(void *context, bool take)
{
    struct store *store = context;

    if (take)
        pthread_mutex_lock(&store->mutex);
    else
        pthread_mutex_unlock(&store->mutex);
}

static enum torg_err store_open_once(const char *directory, const struct store_options *options,
                                     struct store **ret_store)
{
    struct store *store;
    enum torg_err err;

    store = calloc(1, sizeof(*store));
    if (!store)
        return TORG_E_NOMEM;
    store->lock_fd = -1;
    store->read_only = options->read_only;
    store->write.store = store;
    store->write.write = true;
    store_size(store, options);
    if (pthread_mutex_init(&store->mutex, NULL) != 0) {
        free(store);
        return TORG_E_NOMEM;
    }
    store->node_tables = rtree_tables_new(store_mutex, store);
    if (!store->node_tables)
        err = TORG_E_NOMEM;
    else if (!store->read_only)
        err = store_lock(store, directory);
    else /* Two environments of one file in one process break LMDB's locks (PITFALLS, LMDB 7). */
        err = store_writer_pid(directory) == (long)getpid() ? TORG_E_LOCKED : TORG_OK;
    if (!err)
        err = store_open_env(store, directory);
    if (err) {
        int saved = errno;

        store_close(store);
        errno = saved;
        return err;
    }
    *ret_store = store;
    return TORG_OK;
}

enum torg_err store_open(const char *directory, const struct store_options *options,
                         struct store **ret_store)
{
    enum torg_err err = store_open_once(directory, options, ret_store);
    struct store_options writing = *options;
    struct store *writer;

    if (err != TORG_E_GAP)
        return err;
    /* The machine stopped while somebody wrote: only a writer can make the file whole again. */
    writing.read_only = false;
    err = store_open_once(directory, &writing, &writer);
    if (err)
        return err;
    store_close(writer);
    return store_open_once(directory, options, ret_store);
}

void store_close(struct store *store)
{
    if (!store)
        return;
    assert(!store->write.open && store->read_open == 0);
    while (store->reads) {
        struct store_txn *txn = store->reads;

        store->reads = txn->next;
        mdb_txn_abort(txn->mdb);
        free(txn);
    }
    if (store->env)
        store_journal_end(store);
    journal_close(store->journal); /* If LMDB could not be opened. */
    rtree_tables_free(store->node_tables);
    if (store->env)
        mdb_env_close(store->env);
    if (store->lock_fd >= 0)
        close(store->lock_fd); /* Lets the lock go; the file stays, for its removal would race. */
    pthread_mutex_destroy(&store->mutex);
    free(store);
}

/* ---- reading ---- */

/*
 * A torg verify of this process reads while a daemon with a larger map writes:
 * take over its size, which is only allowed while no transaction is open.
 */
static int read_resized(struct store *store, int rc)
{
    if (rc != MDB_MAP_RESIZED || !store->read_only || store->read_open > 0)
        return rc;
    rtree_tables_forget(store->node_tables); /* The map may move. */
    return mdb_env_set_mapsize(store->env, 0);
}

static int read_new(struct store *store, struct store_txn **ret_txn)
{
    struct store_txn *txn = calloc(1, sizeof(*txn));
    int rc;

    if (!txn)
        return ENOMEM;
    txn->store = store;
    rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn->mdb);
    if (rc == MDB_MAP_RESIZED && read_resized(store, rc) == 0)
        rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn->mdb);
    if (rc) {
        free(txn);
        return rc;
    }
    txn->next = store->reads;
    store->reads = txn;
    store->read_count++;
    *ret_txn = txn;
    return 0;
}

static int read_renew(struct store *store, struct store_txn *txn)
{
    int rc = mdb_txn_renew(txn->mdb);

    if (rc == MDB_MAP_RESIZED && read_resized(store, rc) == 0)
        rc = mdb_txn_renew(txn->mdb);
    if (rc)
        return rc;
    store->unused = txn->free;
    txn->free = NULL;
    return 0;
}

enum torg_err store_read_begin(struct store *store, struct kv *ret_kv)
{
    struct store_txn *txn = NULL;
    int rc = 0;

    pthread_mutex_lock(&store->mutex);
    if (store->unused) {
        txn = store->unused;
        rc = read_renew(store, txn);
    } else if (store->read_count < store->readers_max) {
        rc = read_new(store, &txn);
    } else {
        rc = MDB_READERS_FULL;
    }
    if (!rc) {
        txn->open = true;
        txn->owner = pthread_self();
        txn->table = rtree_tables_acquire(store->node_tables, mdb_txn_id(txn->mdb));
        store->read_open++;
    }
    pthread_mutex_unlock(&store->mutex);
    if (rc)
        return store_err_of(rc);
    *ret_kv = (struct kv){.ops = &txn_ops, .txn = txn, .writable = false, .table = txn->table};
    return TORG_OK;
}

void store_read_end(struct kv *kv)
{
    struct store_txn *txn = txn_of(kv);
    struct store *store = txn->store;

    assert(!txn->write);
    mdb_txn_reset(txn->mdb);
    pthread_mutex_lock(&store->mutex);
    txn->open = false;
    rtree_tables_release(store->node_tables, txn->table);
    txn->table = NULL;
    txn->free = store->unused;
    store->unused = txn;
    store->read_open--;
    pthread_mutex_unlock(&store->mutex);
    *kv = (struct kv){0};
}

uint64_t store_snapshot(const struct kv *kv)
{
    return mdb_txn_id(txn_of(kv)->mdb);
}

/* ---- writing ---- */

/* Pages on LMDB's free list: its table 0, each value a count and that many numbers. */
static int free_bytes_sum(const struct store *store, MDB_txn *txn, uint64_t *ret_bytes)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    uint64_t pages = 0;
    int rc = mdb_cursor_open(txn, 0, &cursor);

    if (rc)
        return rc;
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        size_t count = 0;

        if (value.mv_size >= sizeof(count))
            memcpy(&count, value.mv_data, sizeof(count));
        pages += count;
    }
    mdb_cursor_close(cursor);
    if (rc != MDB_NOTFOUND)
        return rc;
    *ret_bytes = pages * store->page_bytes;
    return 0;
}

/*
 * Is the reserve untouched? Far from the map's end that is one comparison;
 * only close to it the free list is added up, in a read transaction, for LMDB
 * shows it to no other. Nobody else writes, so that it stays true.
 */
static enum torg_err store_check_room(struct store *store, bool reserve)
{
    MDB_envinfo info;
    uint64_t used, room, free_bytes;
    enum torg_err err;
    struct kv kv;
    int rc = mdb_env_info(store->env, &info);

    if (rc)
        return store_err_of(rc);
    used = ((uint64_t)info.me_last_pgno + 1) * store->page_bytes;
    room = used < info.me_mapsize ? info.me_mapsize - used : 0;
    if (room >= store->reserve_bytes)
        return TORG_OK;
    mdb_reader_check(store->env, NULL); /* The dead must not hold pages now. */
    err = store_checkpoint(store);      /* Nor the journal those of its mark. */
    if (err || reserve)
        return err;
    err = store_read_begin(store, &kv);
    if (err)
        return err;
    rc = free_bytes_sum(store, txn_of(&kv)->mdb, &free_bytes);
    store_read_end(&kv);
    if (rc)
        return store_err_of(rc);
    return room + free_bytes >= store->reserve_bytes ? TORG_OK : TORG_E_FULL;
}

static enum torg_err write_begin(struct store *store, bool reserve, struct kv *ret_kv)
{
    struct store_txn *txn = &store->write;
    enum torg_err err;
    bool failed;
    int rc;

    assert(!store->read_only);
    assert(!txn->open);
    pthread_mutex_lock(&store->mutex);
    failed = store->failed;
    pthread_mutex_unlock(&store->mutex);
    if (failed) {
        errno = EIO;
        return TORG_E_IO;
    }
    err = store_check_room(store, reserve);
    if (err)
        return err;
    memset(txn->places, 0, sizeof(txn->places));
    rc = mdb_txn_begin(store->env, NULL, 0, &txn->mdb);
    if (rc)
        return store_err_of(rc);
    pthread_mutex_lock(&store->mutex);
    rtree_tables_begin(store->node_tables, mdb_txn_id(txn->mdb) - 1);
    pthread_mutex_unlock(&store->mutex);
    txn->err = TORG_OK;
    txn->changed = false;
    txn->open = true;
    txn->owner = pthread_self();
    store_journal_txn(txn);
    *ret_kv = (struct kv){.ops = &txn_ops, .txn = txn, .writable = true};
    return TORG_OK;
}

enum torg_err store_write_begin(struct store *store, struct kv *ret_kv)
{
    return write_begin(store, false, ret_kv);
}

enum torg_err store_write_begin_reserve(struct store *store, struct kv *ret_kv)
{
    return write_begin(store, true, ret_kv);
}

/*
 * LMDB writes the pages, syncs, and only then writes the meta page that makes
 * them count. A failure before that changed nothing. A failure of the meta
 * page itself makes the environment refuse everything with MDB_PANIC.
 */
static bool store_panics(struct store *store)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->env, NULL, 0, &txn);

    if (rc)
        return true;
    mdb_txn_abort(txn);
    return false;
}

/* A write that ended short is EIO to LMDB; ask the disk and the limit whether it was room. */
static bool store_disk_full(const struct store *store)
{
    struct statvfs disk;
    struct rlimit limit;
    struct stat file;
    int fd;

    if (mdb_env_get_fd(store->env, &fd) != 0)
        return false;
    if (fstatvfs(fd, &disk) == 0 &&
        (uint64_t)disk.f_bavail * disk.f_frsize < STORE_DISK_ROOM_BYTES_MIN)
        return true;
    if (fstat(fd, &file) != 0 || getrlimit(RLIMIT_FSIZE, &limit) != 0)
        return false;
    return limit.rlim_cur != RLIM_INFINITY &&
           (uint64_t)file.st_size + store->page_bytes > (uint64_t)limit.rlim_cur;
}

void store_fail(struct store *store)
{
    pthread_mutex_lock(&store->mutex);
    store->failed = true;
    pthread_mutex_unlock(&store->mutex);
    if (store->journal)
        journal_distrust(store->journal);
}

static enum torg_err store_commit_failed(struct store *store, int rc, bool known)
{
    enum torg_err err = store_err_of(rc);
    bool panics = store_panics(store);

    if (rc == EIO && !panics && store_disk_full(store))
        err = TORG_E_FULL;
    /* The journal keeps pages for its mark, and whoever makes room needs some first. */
    if (known && !panics && err == TORG_E_FULL && store_checkpoint(store))
        return TORG_E_IO;
    if (known && !panics && (err == TORG_E_FULL || err == TORG_E_TOO_BIG || err == TORG_E_NOMEM))
        return err;
    store_fail(store);
    errno = rc > 0 ? rc : EIO;
    return TORG_E_IO;
}

static void write_end(struct store *store, bool committed)
{
    pthread_mutex_lock(&store->mutex);
    rtree_tables_end(store->node_tables, committed);
    pthread_mutex_unlock(&store->mutex);
}

enum torg_err store_write_commit(struct kv *kv)
{
    struct store_txn *txn = txn_of(kv);
    struct store *store = txn->store;
    enum torg_err err = txn->err;
    uint64_t snapshot;
    MDB_envinfo info;
    bool known;
    int rc;

    assert(txn->write && pthread_equal(txn->owner, pthread_self()));
    if (err) {
        store_write_abort(kv);
        return err;
    }
    snapshot = mdb_txn_id(txn->mdb);
    pthread_mutex_lock(&store->mutex);
    rtree_tables_publish(store->node_tables, snapshot);
    pthread_mutex_unlock(&store->mutex);
    txn->open = false;
    rc = store_journal_commit(txn, &known);
    txn->mdb = NULL;
    *kv = (struct kv){0};
    /* A commit that changed nothing makes no snapshot. */
    write_end(store, !rc && mdb_env_info(store->env, &info) == 0 && info.me_last_txnid == snapshot);
    return rc ? store_commit_failed(store, rc, known) : TORG_OK;
}

void store_write_abort(struct kv *kv)
{
    struct store_txn *txn = txn_of(kv);

    assert(txn->write && pthread_equal(txn->owner, pthread_self()));
    mdb_txn_abort(txn->mdb);
    txn->open = false;
    txn->mdb = NULL;
    *kv = (struct kv){0};
    write_end(txn->store, false);
}

/* ---- care ---- */

static void store_stat_readers(struct store *store, struct store_stat *stat)
{
    pthread_mutex_lock(&store->mutex);
    stat->snapshot_oldest = stat->snapshot;
    for (const struct store_txn *txn = store->reads; txn; txn = txn->next) {
        if (txn->open && mdb_txn_id(txn->mdb) < stat->snapshot_oldest)
            stat->snapshot_oldest = mdb_txn_id(txn->mdb);
    }
    stat->readers = store->read_open - 1; /* Without the one that asks. */
    stat->recovered = store->recovered;
    stat->failed = store->failed;
    pthread_mutex_unlock(&store->mutex);
}

enum torg_err store_stat(struct store *store, struct store_stat *ret_stat)
{
    struct store_stat stat = {0};
    MDB_envinfo info;
    MDB_stat table_stat;
    enum torg_err err;
    struct kv kv;
    MDB_txn *txn;
    int rc;

    err = store_read_begin(store, &kv);
    if (err)
        return err;
    txn = txn_of(&kv)->mdb;
    rc = mdb_env_info(store->env, &info);
    if (!rc)
        rc = free_bytes_sum(store, txn, &stat.free_bytes);
    for (int table = 0; !rc && table < KV_TABLE_COUNT; table++) {
        if (store->tables[table] == TABLE_ABSENT)
            continue;
        rc = mdb_stat(txn, store->tables[table], &table_stat);
        if (rc)
            break;
        stat.entries[table] = table_stat.ms_entries;
        stat.bytes[table] =
            store->page_bytes *
            (table_stat.ms_branch_pages + table_stat.ms_leaf_pages + table_stat.ms_overflow_pages);
    }
    if (!rc) {
        stat.map_bytes = info.me_mapsize;
        stat.reserve_bytes = store->reserve_bytes;
        stat.used_bytes = ((uint64_t)info.me_last_pgno + 1) * store->page_bytes;
        stat.snapshot = info.me_last_txnid;
        store_stat_readers(store, &stat);
        *ret_stat = stat;
    }
    store_read_end(&kv);
    return store_err_of(rc);
}

void store_reader_check(struct store *store)
{
    mdb_reader_check(store->env, NULL);
}
