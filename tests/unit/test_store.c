/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lmdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/test.h"

#define MIB (UINT64_C(1) << 20)

/*
 * A disk that fails on demand: these stand before libc's in the symbol order,
 * so that LMDB calls them. By assembler name, for off_t of 64 bits would turn
 * pwrite into pwrite64, which LMDB does not call.
 */
#define INTERPOSED(name) __asm__(name) __attribute__((visibility("default"), used))
static _Atomic int disk_write_errno, disk_sync_errno, disk_meta_errno;

ssize_t disk_pwrite(int fd, const void *data, size_t size, off_t offset) INTERPOSED("pwrite");
ssize_t disk_writev(int fd, const struct iovec *parts, int count) INTERPOSED("writev");
int disk_fdatasync(int fd) INTERPOSED("fdatasync");

ssize_t disk_pwrite(int fd, const void *data, size_t size, off_t offset)
{
    int fail = offset < 8192 ? disk_meta_errno : disk_write_errno;

    if (fail) {
        errno = fail;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, data, size, offset);
}

ssize_t disk_writev(int fd, const struct iovec *parts, int count)
{
    if (disk_write_errno) {
        errno = disk_write_errno;
        return -1;
    }
    return syscall(SYS_writev, fd, parts, count);
}

int disk_fdatasync(int fd)
{
    if (disk_sync_errno) {
        errno = disk_sync_errno;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

/* ---- a directory for each test ---- */

struct place {
    char directory[64];
};

static int place_setup(void **state)
{
    struct place *place = calloc(1, sizeof(*place));

    strcpy(place->directory, "/tmp/torg-store-XXXXXX");
    if (!mkdtemp(place->directory))
        return -1;
    *state = place;
    return 0;
}

static void place_remove(const char *directory)
{
    static const char *const names[] = {"torg.mdb", "torg.mdb-lock", "torg.lock", "torg.journal"};
    char path[128];

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        unlink(path);
    }
    rmdir(directory);
}

static int place_teardown(void **state)
{
    struct place *place = *state;

    place_remove(place->directory);
    free(place);
    return 0;
}

static struct store *store_at(const char *directory, uint64_t map_bytes)
{
    struct store_options options = store_options_default();
    struct store *store;

    options.map_bytes = map_bytes;
    assert_ok(store_open(directory, &options, &store));
    return store;
}

static struct span key_of(uint32_t number, uint8_t bytes[4])
{
    put_u32be(bytes, number);
    return span_of(bytes, 4);
}

static enum torg_err put_number(struct kv *kv, uint32_t key, size_t size, uint8_t fill)
{
    uint8_t bytes[4];
    uint8_t *value = malloc(size);
    enum torg_err err;

    assert_non_null(value);
    memset(value, fill, size);
    err = kv_put(kv, KV_LIVE, key_of(key, bytes), span_of(value, size));
    free(value);
    return err;
}

static void commit_number(struct store *store, uint32_t key, size_t size, uint8_t fill)
{
    struct kv kv;

    assert_ok(store_write_begin(store, &kv));
    assert_ok(put_number(&kv, key, size, fill));
    assert_ok(store_write_commit(&kv));
}

static enum torg_err get_number(struct store *store, uint32_t key, uint8_t *ret_fill)
{
    uint8_t bytes[4];
    struct span value;
    enum torg_err err;
    struct kv kv;

    assert_ok(store_read_begin(store, &kv));
    err = kv_get(&kv, KV_LIVE, key_of(key, bytes), &value);
    if (!err)
        *ret_fill = value.data[0];
    store_read_end(&kv);
    return err;
}

/* ---- tests ---- */

/* What others can read or lock, others can copy or block. */
static void test_files_are_private(void **state)
{
    static const char *const names[] = {"torg.mdb", "torg.mdb-lock", "torg.lock", "torg.journal"};
    struct place *place = *state;
    struct store *store;
    struct stat file;
    char path[128];
    mode_t mask = umask(0);

    store = store_at(place->directory, 8 * MIB);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", place->directory, names[i]);
        assert_int_equal(stat(path, &file), 0);
        assert_int_equal(file.st_mode & 0777, 0600);
    }
    store_close(store);
    umask(mask);
}

/* Two writers on one directory would break the locks and then the file. */
static void test_second_open_is_refused(void **state)
{
    struct place *place = *state;
    struct store_options options = store_options_default();
    struct store *store = store_at(place->directory, 8 * MIB);
    struct store *second;
    int status;
    pid_t child;

    assert_int_equal(store_writer_pid(place->directory), getpid());
    assert_err(store_open(place->directory, &options, &second), TORG_E_LOCKED);
    options.read_only = true;
    assert_err(store_open(place->directory, &options, &second), TORG_E_LOCKED);
    options.read_only = false;
    child = fork();
    if (child == 0)
        _exit(store_open(place->directory, &options, &second) == TORG_E_LOCKED ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    store_close(store);
    assert_int_equal(store_writer_pid(place->directory), 0);
    store = store_at(place->directory, 8 * MIB);
    store_close(store);
}

/* A read-only opener in another process sees what a running writer commits. */
static void test_read_only_beside_a_writer(void **state)
{
    struct place *place = *state;
    struct store_options options = store_options_default();
    struct store *store, *reader;
    int status;
    pid_t child;

    options.read_only = true;
    assert_err(store_open(place->directory, &options, &reader), TORG_E_NOT_FOUND);
    store = store_at(place->directory, 64 * MIB);
    commit_number(store, 1, 10, 7);
    child = fork();
    if (child == 0) {
        uint8_t fill = 0;

        options.map_bytes = MIB;
        if (store_open(place->directory, &options, &reader))
            _exit(1);
        if (get_number(reader, 1, &fill) || fill != 7)
            _exit(2);
        store_close(reader);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    store_close(store);
}

/* Bring the file to what the version before the table of runs has left. */
static void drop_runs(const char *directory)
{
    char path[PATH_MAX];
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi table;

    snprintf(path, sizeof(path), "%s/%s", directory, store_files[0]);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, KV_TABLE_COUNT), 0);
    assert_int_equal(mdb_env_open(env, path, MDB_NOSUBDIR, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "run", 0, &table), 0);
    assert_int_equal(mdb_drop(txn, table, 1), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

/* A snapshot or a charter is wanted of it before the new daemon has been started. */
static void test_an_older_store_can_be_read(void **state)
{
    struct place *place = *state;
    struct store_options options = store_options_default();
    struct store *store = store_at(place->directory, 8 * MIB);
    struct kv_cursor *cursor;
    struct span key, value;
    struct store_stat stat;
    uint8_t fill = 0;
    struct kv kv;

    commit_number(store, 1, 10, 7);
    store_close(store);
    drop_runs(place->directory);
    options.read_only = true;
    assert_ok(store_open(place->directory, &options, &store));
    assert_ok(get_number(store, 1, &fill));
    assert_int_equal(fill, 7);
    assert_ok(store_read_begin(store, &kv));
    assert_err(kv_get(&kv, KV_RUN, span_of("", 1), &value), TORG_E_NOT_FOUND);
    assert_ok(kv_cursor_open(&kv, KV_RUN, &cursor));
    assert_err(kv_cursor_seek(&kv, cursor, span_of("", 1), &key, &value), TORG_E_NOT_FOUND);
    kv_cursor_close(&kv, cursor);
    store_read_end(&kv);
    assert_ok(store_stat(store, &stat));
    assert_int_equal(stat.entries[KV_RUN], 0);
    store_close(store);
    store = store_at(place->directory, 8 * MIB);
    assert_ok(get_number(store, 1, &fill));
    store_close(store);
}

/* Keys in byte order, seeks at and between keys, and the ends: every scan relies on it. */
static void test_cursor_order(void **state)
{
    struct place *place = *state;
    struct store *store = store_at(place->directory, 8 * MIB);
    struct kv_cursor *cursor;
    struct span key, value;
    struct kv kv;

    assert_ok(store_write_begin(store, &kv));
    assert_ok(kv_cursor_open(&kv, KV_TEXT, &cursor));
    assert_err(kv_cursor_seek(&kv, cursor, span_of(NULL, 0), &key, &value), TORG_E_NOT_FOUND);
    assert_ok(kv_put(&kv, KV_TEXT, span_of_str("b"), span_of_str("2")));
    assert_ok(kv_put(&kv, KV_TEXT, span_of_str("ab"), span_of_str("1")));
    assert_ok(kv_put(&kv, KV_TEXT, span_of_str("\xff"), span_of(NULL, 0)));
    assert_ok(kv_put(&kv, KV_SOURCE, span_of_str("aa"), span_of_str("of another table")));
    assert_ok(kv_cursor_seek(&kv, cursor, span_of_str("a"), &key, &value));
    assert_true(span_equal(key, span_of_str("ab")));
    assert_ok(kv_cursor_next(&kv, cursor, &key, &value));
    assert_true(span_equal(value, span_of_str("2")));
    assert_ok(kv_cursor_next(&kv, cursor, &key, &value));
    assert_int_equal(value.size, 0);
    assert_err(kv_cursor_next(&kv, cursor, &key, &value), TORG_E_NOT_FOUND);
    assert_ok(kv_cursor_seek(&kv, cursor, span_of(NULL, 0), &key, &value));
    assert_true(span_equal(key, span_of_str("ab")));
    kv_cursor_close(&kv, cursor);
    assert_err(kv_del(&kv, KV_TEXT, span_of_str("c")), TORG_E_NOT_FOUND);
    assert_ok(store_write_commit(&kv));
    store_close(store);
}

/* ---- a transaction against an array ---- */

#define MODEL_KEYS 1500
#define MODEL_VALUE_BYTES_MAX 6000 /* some need pages of their own */

/* What must be stored: the size of each value, or -1; and what it is filled with. */
struct model {
    int size[2][MODEL_KEYS];
    uint8_t fill[2][MODEL_KEYS];
};
static const enum kv_table model_tables[2] = {KV_TEXT, KV_RTREE};

/* Mostly beside the last key, as what is written mostly is. */
static size_t model_key(uint64_t *random, size_t last, uint8_t bytes[4])
{
    size_t n = test_random_below(random, 4) ? last + test_random_below(random, 3)
                                            : test_random_below(random, MODEL_KEYS);

    n %= MODEL_KEYS;
    put_u32be(bytes, (uint32_t)n);
    return n;
}

static void model_expect(const struct model *model, const struct kv *kv, unsigned t, size_t n)
{
    struct span value;
    uint8_t key[4];

    put_u32be(key, (uint32_t)n);
    if (model->size[t][n] < 0) {
        assert_err(kv_get(kv, model_tables[t], span_of(key, sizeof(key)), &value),
                   TORG_E_NOT_FOUND);
        return;
    }
    assert_ok(kv_get(kv, model_tables[t], span_of(key, sizeof(key)), &value));
    assert_int_equal(value.size, model->size[t][n]);
    for (size_t i = 0; i < value.size; i++)
        assert_int_equal(value.data[i], model->fill[t][n]);
}

static void model_put(struct model *model, struct kv *kv, unsigned t, size_t n, uint64_t *random)
{
    static uint8_t bytes[MODEL_VALUE_BYTES_MAX];
    size_t size = test_random_below(random, test_random_below(random, 8) ? 300 : sizeof(bytes));
    uint8_t key[4];

    put_u32be(key, (uint32_t)n);
    model->size[t][n] = (int)size;
    model->fill[t][n] = (uint8_t)test_random(random);
    memset(bytes, model->fill[t][n], size);
    assert_ok(kv_put(kv, model_tables[t], span_of(key, sizeof(key)), span_of(bytes, size)));
}

static void model_del(struct model *model, struct kv *kv, unsigned t, size_t n)
{
    uint8_t key[4];

    put_u32be(key, (uint32_t)n);
    assert_err(kv_del(kv, model_tables[t], span_of(key, sizeof(key))),
               model->size[t][n] < 0 ? TORG_E_NOT_FOUND : TORG_OK);
    model->size[t][n] = -1;
}

/* The first entry from key n on, by another cursor than those that the transaction keeps. */
static void model_seek(const struct model *model, const struct kv *kv, unsigned t, size_t n)
{
    struct kv_cursor *cursor;
    struct span key, value;
    uint8_t from[4];
    enum torg_err err;

    put_u32be(from, (uint32_t)n);
    assert_ok(kv_cursor_open(kv, model_tables[t], &cursor));
    err = kv_cursor_seek(kv, cursor, span_of(from, sizeof(from)), &key, &value);
    while (n < MODEL_KEYS && model->size[t][n] < 0)
        n++;
    assert_err(err, n == MODEL_KEYS ? TORG_E_NOT_FOUND : TORG_OK);
    if (!err)
        assert_int_equal(get_u32be(key.data), n);
    kv_cursor_close(kv, cursor);
}

/* Some hundred steps; every other transaction mostly deletes, so that pages are merged too. */
static void model_steps(struct model *model, struct kv *kv, uint64_t *random, bool fewer)
{
    size_t n = 0;
    uint8_t key[4];

    for (unsigned step = 0; step < 800; step++) {
        unsigned t = (unsigned)test_random_below(random, 2);

        n = model_key(random, n, key);
        model_expect(model, kv, t, n);
        if (test_random_below(random, 5) < (fewer ? 1 : 3))
            model_put(model, kv, t, n, random);
        else if (fewer || test_random_below(random, 4) == 0)
            model_del(model, kv, t, n);
        if (test_random_below(random, 16) == 0)
            model_seek(model, kv, t, (n + 1) % MODEL_KEYS);
        if (test_random_below(random, 200) == 0)
            assert_ok(kv_gather(kv));
    }
}

/* A cursor that stays in a table must follow what is written beside it, and end with its time. */
static void test_transactions_agree_with_an_array(void **state)
{
    static const uint64_t seeds[] = {1, 2, 0xc0f1};
    struct place *place = *state;
    struct store *store = store_at(place->directory, 64 * MIB);
    struct model *model = malloc(2 * sizeof(*model));
    struct kv kv;

    assert_non_null(model);
    memset(model->size, -1, sizeof(model->size));
    for (unsigned turn = 0; turn < 8 * ARRAY_SIZE(seeds); turn++) {
        uint64_t random = seeds[turn % ARRAY_SIZE(seeds)] + turn;

        model[1] = model[0];
        assert_ok(store_write_begin(store, &kv));
        model_steps(&model[1], &kv, &random, turn % 2);
        if (turn % 5 == 4) {
            store_write_abort(&kv);
        } else {
            assert_ok(store_write_commit(&kv));
            model[0] = model[1];
        }
        assert_ok(store_read_begin(store, &kv));
        for (size_t n = 0; n < MODEL_KEYS; n++) {
            model_expect(&model[0], &kv, 0, n);
            model_expect(&model[0], &kv, 1, n);
        }
        store_read_end(&kv);
    }
    free(model);
    store_close(store);
}

/* LMDB's key limit must come out as an error, and end the transaction. */
static void test_key_limits(void **state)
{
    struct place *place = *state;
    struct store *store = store_at(place->directory, 8 * MIB);
    uint8_t key[512] = {0};
    uint8_t fill;
    struct kv kv;

    assert_ok(store_write_begin(store, &kv));
    assert_ok(put_number(&kv, 5, 1, 1));
    assert_ok(kv_put(&kv, KV_LIVE, span_of(key, 511), span_of(NULL, 0)));
    assert_err(kv_put(&kv, KV_LIVE, span_of(key, 512), span_of(NULL, 0)), TORG_E_TOO_BIG);
    assert_err(put_number(&kv, 6, 1, 1), TORG_E_TOO_BIG);
    assert_err(store_write_commit(&kv), TORG_E_TOO_BIG);
    assert_err(get_number(store, 5, &fill), TORG_E_NOT_FOUND);
    store_close(store);
}

/* A reader that saw half a commit would answer with a state that never was. */
static void test_snapshot_stays(void **state)
{
    struct place *place = *state;
    struct store *store = store_at(place->directory, 8 * MIB);
    struct store_stat stat;
    struct kv read, write;
    struct span value;
    uint8_t bytes[4], fill;
    uint64_t before;

    commit_number(store, 1, 100, 1);
    assert_ok(store_read_begin(store, &read));
    before = store_snapshot(&read);
    for (uint8_t i = 2; i < 20; i++)
        commit_number(store, 1, 100, i);
    assert_ok(kv_get(&read, KV_LIVE, key_of(1, bytes), &value));
    assert_int_equal(value.data[0], 1);
    assert_ok(store_write_begin(store, &write));
    assert_ok(put_number(&write, 1, 100, 99));
    assert_ok(get_number(store, 1, &fill));
    assert_int_equal(fill, 19);
    store_write_abort(&write);
    assert_ok(store_stat(store, &stat));
    assert_int_equal(stat.snapshot, before + 18);
    assert_int_equal(stat.snapshot_oldest, before);
    assert_int_equal(stat.readers, 1);
    assert_int_equal(stat.entries[KV_LIVE], 1);
    store_read_end(&read);
    store_close(store);
}

/* Slots must come back to the pool, or a day's reading uses them all up. */
static void test_readers_are_pooled(void **state)
{
    struct place *place = *state;
    struct store_options options = store_options_default();
    struct store *store;
    struct kv kvs[4], more;

    options.map_bytes = 8 * MIB;
    options.readers_max = 4;
    assert_ok(store_open(place->directory, &options, &store));
    for (int round = 0; round < 100; round++) {
        for (size_t i = 0; i < ARRAY_SIZE(kvs); i++)
            assert_ok(store_read_begin(store, &kvs[i]));
        assert_err(store_read_begin(store, &more), TORG_E_BUSY);
        for (size_t i = 0; i < ARRAY_SIZE(kvs); i++)
            store_read_end(&kvs[i]);
    }
    store_close(store);
}

struct crowd {
    struct store *store;
    _Atomic bool stop;
    _Atomic uint64_t wrong, reads;
};

/* Each commit writes keys 0..9 with one number; a reader must see ten equal ones. */
static void *crowd_read(void *context)
{
    struct crowd *crowd = context;

    while (!crowd->stop) {
        uint8_t first = 0;
        struct kv kv;

        if (store_read_begin(crowd->store, &kv)) {
            crowd->wrong++;
            break;
        }
        for (uint32_t key = 0; key < 10; key++) {
            uint8_t bytes[4];
            struct span value;

            if (kv_get(&kv, KV_LIVE, key_of(key, bytes), &value) ||
                (key > 0 && value.data[0] != first))
                crowd->wrong++;
            else
                first = value.data[0];
        }
        store_read_end(&kv);
        crowd->reads++;
    }
    return NULL;
}

static void test_threads_read_while_one_writes(void **state)
{
    struct place *place = *state;
    struct store *store = store_at(place->directory, 64 * MIB);
    struct crowd crowd = {.store = store};
    pthread_t threads[4];
    struct kv kv;

    for (uint8_t round = 0; round < 60; round++) {
        assert_ok(store_write_begin(store, &kv));
        for (uint32_t key = 0; key < 10; key++)
            assert_ok(put_number(&kv, key, 300, round));
        assert_ok(store_write_commit(&kv));
        for (size_t i = 0; round == 0 && i < ARRAY_SIZE(threads); i++)
            assert_int_equal(pthread_create(&threads[i], NULL, crowd_read, &crowd), 0);
    }
    crowd.stop = true;
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(crowd.wrong, 0);
    assert_true(crowd.reads > 0);
    store_close(store);
}

/* A full map that also refused deletions could never be emptied again. */
static void test_map_full(void **state)
{
    struct place *place = *state;
    struct store *store = store_at(place->directory, 4 * MIB);
    enum torg_err err = TORG_OK;
    uint32_t count = 0;
    uint8_t bytes[4], fill;
    struct kv kv;

    /* One transaction larger than the map is refused as a whole. */
    assert_ok(store_write_begin(store, &kv));
    for (uint32_t key = 1000000; !err; key++)
        err = put_number(&kv, key, 50000, 1);
    assert_int_equal(err, TORG_E_FULL);
    assert_err(store_write_commit(&kv), TORG_E_FULL);
    assert_err(get_number(store, 1000000, &fill), TORG_E_NOT_FOUND);

    for (; count < 100000; count++) {
        err = store_write_begin(store, &kv);
        if (err)
            break;
        assert_ok(put_number(&kv, count, 3000, (uint8_t)count));
        assert_ok(store_write_commit(&kv));
    }
    assert_int_equal(err, TORG_E_FULL);
    assert_true(count > 100);
    for (uint32_t key = 0; key < count; key++) {
        assert_ok(get_number(store, key, &fill));
        assert_int_equal(fill, (uint8_t)key);
    }
    for (uint32_t key = 0; key < count; key++) {
        assert_ok(store_write_begin_reserve(store, &kv));
        assert_ok(kv_del(&kv, KV_LIVE, key_of(key, bytes)));
        assert_ok(store_write_commit(&kv));
    }
    commit_number(store, 1, 3000, 42);
    store_close(store);
    store = store_at(place->directory, 4 * MIB);
    assert_ok(get_number(store, 1, &fill));
    assert_int_equal(fill, 42);
    store_close(store);
}

/* A disk without room must cost the one write, not the store. */
static void test_disk_full(void **state)
{
    struct place *place = *state;
    struct store *store = store_at(place->directory, 64 * MIB);
    uint8_t fill;
    struct kv kv;

    commit_number(store, 1, 100, 1);
    disk_write_errno = ENOSPC;
    for (uint32_t i = 0; i < 3; i++) {
        assert_ok(store_write_begin(store, &kv));
        assert_ok(put_number(&kv, 2 + i, 100000, 2));
        assert_err(store_write_commit(&kv), TORG_E_FULL);
        assert_ok(get_number(store, 1, &fill));
        assert_err(get_number(store, 2 + i, &fill), TORG_E_NOT_FOUND);
    }
    disk_write_errno = 0;
    commit_number(store, 9, 100, 3);
    store_close(store);
    store = store_at(place->directory, 64 * MIB);
    assert_ok(get_number(store, 9, &fill));
    store_close(store);
}

/* A write that ends short is EIO to LMDB; the file size limit must still read as full. */
static void test_file_size_limit(void **state)
{
    struct place *place = *state;
    struct store *store = store_at(place->directory, 64 * MIB);
    struct rlimit before, limit;
    enum torg_err err = TORG_OK;
    uint8_t fill;
    struct kv kv;

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 1000000; /* Not a whole page, so that a write ends short. */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (uint32_t i = 0; i < 100 && !err; i++) {
        assert_ok(store_write_begin(store, &kv));
        assert_ok(put_number(&kv, i, 50000, 1));
        err = store_write_commit(&kv);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(err, TORG_E_FULL);
    assert_ok(get_number(store, 0, &fill));
    commit_number(store, 500, 50000, 5);
    assert_ok(get_number(store, 500, &fill));
    store_close(store);
}

/* After a failed sync nobody knows what is on the disk: acknowledge nothing more. */
static void test_failed_sync_latches(void **state)
{
    struct place *place = *state;
    struct store *store = store_at(place->directory, 64 * MIB);
    struct store_stat stat;
    uint8_t fill;
    struct kv kv;

    commit_number(store, 1, 100, 1);
    assert_ok(store_write_begin(store, &kv));
    assert_ok(put_number(&kv, 2, 100, 2));
    disk_sync_errno = EIO;
    assert_err(store_write_commit(&kv), TORG_E_IO);
    disk_sync_errno = 0;
    assert_err(store_write_begin(store, &kv), TORG_E_IO);
    assert_err(store_write_begin_reserve(store, &kv), TORG_E_IO);
    assert_ok(get_number(store, 1, &fill));
    assert_ok(store_stat(store, &stat));
    assert_true(stat.failed);
    store_close(store);
    store = store_at(place->directory, 64 * MIB);
    assert_ok(get_number(store, 1, &fill));
    assert_err(get_number(store, 2, &fill), TORG_E_NOT_FOUND);
    commit_number(store, 2, 100, 2);
    store_close(store);
}

static void test_failed_meta_page_latches(void **state)
{
    struct place *place = *state;
    struct store *store = store_at(place->directory, 64 * MIB);
    uint8_t fill;
    struct kv kv;

    commit_number(store, 1, 100, 1);
    assert_ok(store_write_begin(store, &kv));
    assert_ok(put_number(&kv, 2, 100, 2));
    disk_meta_errno = EIO;
    assert_err(store_write_commit(&kv), TORG_E_IO);
    disk_meta_errno = 0;
    assert_err(store_write_begin(store, &kv), TORG_E_IO);
    store_close(store);
    store = store_at(place->directory, 64 * MIB);
    assert_ok(get_number(store, 1, &fill));
    commit_number(store, 3, 100, 3);
    store_close(store);
}

/* The child's writes: commit i, then say so. */
static void stream_commits(const char *directory, int out)
{
    struct store_options options = store_options_default();
    struct store *store;

    options.map_bytes = 64 * MIB;
    if (store_open(directory, &options, &store))
        _exit(1);
    for (uint32_t i = 0;; i++) {
        uint8_t bytes[4], value[2000];
        struct kv kv;

        memset(value, (int)i, sizeof(value));
        if (store_write_begin(store, &kv))
            _exit(2);
        for (uint32_t table = 0; table < 3; table++) {
            enum kv_table names[3] = {KV_LIVE, KV_RTREE, KV_HEAD};

            if (kv_put(&kv, names[table], key_of(i % 100, bytes), span_of(value, sizeof(value))))
                _exit(3);
        }
        if (kv_put(&kv, KV_ORIGIN, span_of_str("last"), key_of(i, bytes)))
            _exit(4);
        if (store_write_commit(&kv) || write(out, bytes, 4) != 4)
            _exit(5);
    }
}

/* What was acknowledged and is gone after kill -9 breaks the one promise of a log. */
static void test_killed_writer(void **state)
{
    struct place *place = *state;
    uint64_t seed = 0x5eed;

    for (int round = 0; round < 15; round++) {
        uint32_t acked = UINT32_MAX, last;
        uint8_t bytes[4];
        struct store *store;
        struct span value;
        struct kv kv;
        int pipes[2], status;
        pid_t child;

        assert_int_equal(pipe(pipes), 0);
        child = fork();
        if (child == 0) {
            close(pipes[0]);
            stream_commits(place->directory, pipes[1]);
        }
        close(pipes[1]);
        for (uint64_t i = 0, n = 1 + test_random_below(&seed, 40); i < n; i++) {
            assert_int_equal(read(pipes[0], bytes, 4), 4);
            acked = get_u32be(bytes);
        }
        usleep((useconds_t)test_random_below(&seed, 3000));
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        while (read(pipes[0], bytes, 4) == 4)
            acked = get_u32be(bytes);
        close(pipes[0]);

        store = store_at(place->directory, 64 * MIB);
        assert_ok(store_read_begin(store, &kv));
        assert_ok(kv_get(&kv, KV_ORIGIN, span_of_str("last"), &value));
        last = get_u32be(value.data);
        assert_true(last == acked || last == acked + 1);
        assert_ok(kv_get(&kv, KV_HEAD, key_of(last % 100, bytes), &value));
        assert_int_equal(value.data[1999], (uint8_t)last);
        store_read_end(&kv);
        store_close(store);
    }
}

/* A file of a later version, or no store at all, must be refused and left alone. */
static void test_wrong_files_are_refused(void **state)
{
    struct place *place = *state;
    struct store_options options = store_options_default();
    struct store *store = store_at(place->directory, 8 * MIB);
    char path[128];
    uint8_t bytes[4];
    struct kv kv;
    int fd;

    assert_ok(store_write_begin(store, &kv));
    assert_ok(kv_put(&kv, KV_META, span_of_str("store/format"), key_of(3, bytes)));
    assert_ok(store_write_commit(&kv));
    store_close(store);
    assert_err(store_open(place->directory, &options, &store), TORG_E_VERSION);

    snprintf(path, sizeof(path), "%s/torg.mdb", place->directory);
    fd = open(path, O_WRONLY | O_TRUNC);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(write(fd, "not a store ", 12), 12);
    close(fd);
    assert_err(store_open(place->directory, &options, &store), TORG_E_CORRUPT);
    assert_err(store_open("/tmp/no such directory", &options, &store), TORG_E_IO);
    assert_int_equal(errno, ENOENT);
}

/* Another program's environment in our file's place: our tables in it would be a disaster to both.
 */
static void test_another_programs_file_is_left_alone(void **state)
{
    struct place *place = *state;
    struct store_options options = store_options_default();
    char path[128], word[] = "theirs";
    MDB_val value = {.mv_size = sizeof(word), .mv_data = word};
    struct store *store;
    MDB_stat stat;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;

    snprintf(path, sizeof(path), "%s/torg.mdb", place->directory);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(mdb_env_create(&env), 0);
        assert_int_equal(mdb_env_open(env, path, MDB_NOSUBDIR, 0600), 0);
        assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
        assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
        assert_int_equal(mdb_put(txn, dbi, &value, &value, 0), 0);
        assert_int_equal(mdb_txn_commit(txn), 0);
        assert_int_equal(mdb_env_stat(env, &stat), 0);
        assert_int_equal(stat.ms_entries, 1);
        mdb_env_close(env);
        options.read_only = round == 1;
        assert_err(store_open(place->directory, &options, &store), TORG_E_CORRUPT);
    }
}

/* ---- where values lie ---- */

#define LIE_VALUES 1200
#define LIE_AGAIN 200

static struct span lie_key(uint32_t number, uint8_t out[5])
{
    out[0] = 1;
    put_u32be(out + 1, number);
    return span_of(out, 5);
}

static void lie_put(struct kv *kv, uint32_t number)
{
    uint8_t key[5], bytes[4080];

    memset(bytes, (int)(number % 251), sizeof(bytes));
    assert_ok(kv_put(kv, KV_RTREE, lie_key(number, key), span_of(bytes, sizeof(bytes))));
}

/* How often a value lies before the one that was put before it. */
static unsigned lie_falls(struct store *store, uint32_t first)
{
    uintptr_t last = 0;
    unsigned falls = 0;
    struct kv kv;

    assert_ok(store_read_begin(store, &kv));
    for (uint32_t i = 0; i < LIE_AGAIN; i++) {
        uint8_t key[5];
        struct span value;

        assert_ok(kv_get(&kv, KV_RTREE, lie_key(first + i, key), &value));
        assert_int_equal(value.size, 4080);
        assert_int_equal(value.data[4079], (first + i) % 251);
        falls += (uintptr_t)value.data < last;
        last = (uintptr_t)value.data;
    }
    store_read_end(&kv);
    return falls;
}

/* Pages all over the file are freed, a few by each commit; then many values are put. */
static unsigned lie_in_order(const char *directory, bool gather)
{
    struct store_options options = store_options_default();
    struct store *store;
    unsigned falls;
    uint64_t entries;
    struct store_stat stat;
    uint8_t none = 0;
    struct span value;
    struct kv kv;

    options.map_bytes = 64 * MIB;
    assert_ok(store_open(directory, &options, &store));
    assert_ok(store_write_begin(store, &kv));
    for (uint32_t i = 0; i < LIE_VALUES; i++)
        lie_put(&kv, i);
    assert_ok(store_write_commit(&kv));
    for (uint32_t step = 0; step < 24; step++) {
        assert_ok(store_write_begin(store, &kv));
        for (uint32_t i = step * 7 % 24; i < LIE_VALUES; i += 48) {
            uint8_t key[5];

            assert_ok(kv_del(&kv, KV_RTREE, lie_key(i, key)));
        }
        assert_ok(store_write_commit(&kv));
    }
    assert_ok(store_checkpoint(store)); /* until then the journal needs the freed pages */
    assert_ok(store_stat(store, &stat));
    entries = stat.entries[KV_RTREE];
    assert_ok(store_write_begin(store, &kv));
    if (gather)
        assert_ok(kv_gather(&kv));
    for (uint32_t i = 0; i < LIE_AGAIN; i++)
        lie_put(&kv, LIE_VALUES + i);
    assert_ok(store_write_commit(&kv));
    falls = lie_falls(store, LIE_VALUES);
    assert_ok(store_stat(store, &stat));
    assert_int_equal(stat.entries[KV_RTREE], entries + LIE_AGAIN); /* It left nothing behind. */
    assert_ok(store_read_begin(store, &kv));
    assert_err(kv_get(&kv, KV_RTREE, span_of(&none, 1), &value), TORG_E_NOT_FOUND);
    store_read_end(&kv);
    store_close(store);
    return falls;
}

static void test_gathered_values_lie_in_order(void **state)
{
    const struct place *place = *state;

    assert_int_equal(lie_in_order(place->directory, true), 0);
}

/* Else the test above would prove nothing. */
static void test_others_do_not(void **state)
{
    const struct place *place = *state;

    assert_true(lie_in_order(place->directory, false) > 3);
}

int main(void)
{
#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_files_are_private),
        STORE_TEST(test_second_open_is_refused),
        STORE_TEST(test_read_only_beside_a_writer),
        STORE_TEST(test_an_older_store_can_be_read),
        STORE_TEST(test_cursor_order),
        STORE_TEST(test_transactions_agree_with_an_array),
        STORE_TEST(test_key_limits),
        STORE_TEST(test_snapshot_stays),
        STORE_TEST(test_readers_are_pooled),
        STORE_TEST(test_threads_read_while_one_writes),
        STORE_TEST(test_map_full),
        STORE_TEST(test_disk_full),
        STORE_TEST(test_file_size_limit),
        STORE_TEST(test_failed_sync_latches),
        STORE_TEST(test_failed_meta_page_latches),
        STORE_TEST(test_killed_writer),
        STORE_TEST(test_gathered_values_lie_in_order),
        STORE_TEST(test_others_do_not),
        STORE_TEST(test_wrong_files_are_refused),
        STORE_TEST(test_another_programs_file_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
