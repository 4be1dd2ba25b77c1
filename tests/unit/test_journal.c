/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "index/journal_ops.h"
#include "index/store.h"
#include "protocol/seal.h"
#include "tests/support/kv_mem.h"
#include "tests/support/test.h"

#define MIB (UINT64_C(1) << 20)
#define SECTOR 512
#define FILES 2
#define IMAGES_MAX 300

/*
 * A disk whose power can fail. What LMDB and the journal write is noted until it is synced: at
 * any moment an image can be made in which of all that was not, each sector has come to the disk or
 * not. These stand before libc's in the symbol order; LMDB calls the first two, we the third.
 */
#define INTERPOSED(name) __asm__(name) __attribute__((visibility("default"), used))

ssize_t disk_pwrite(int fd, const void *data, size_t size, off_t offset) INTERPOSED("pwrite");
ssize_t disk_writev(int fd, const struct iovec *parts, int count) INTERPOSED("writev");
ssize_t disk_pwrite64(int fd, const void *data, size_t size, off_t offset) INTERPOSED("pwrite64");
int disk_fdatasync(int fd) INTERPOSED("fdatasync");
int disk_open64(const char *path, int flags, ...) INTERPOSED("open64");

struct pending {
    struct pending *next;
    size_t at, size;
    uint8_t data[];
};

struct file {
    const char *name;
    uint8_t *durable;
    size_t size;
    struct pending *first, **last;
};

struct image {
    uint32_t acked; /* commits that had returned when it was made */
    uint32_t seen;  /* the last commit that a reader saw then */
    bool inside;    /* while one was on its way */
};

static struct disk {
    bool on;
    const char *directory;
    struct file files[FILES];
    uint64_t seed;
    uint32_t acked;
    bool inside;
    struct image images[IMAGES_MAX];
    uint32_t image_count;
    struct store *store; /* whose readers are asked what they see */
    int journal_errno;   /* of each write to the journal */
    int records_errno;   /* of each behind its marks */
    int pages_errno;     /* of each to the database, but to its meta pages */
    bool full;           /* the database cannot grow */
    bool fails_at_marks; /* and nowhere else */
    bool no_boot;        /* the kernel does not say which start of the machine it is */
} disk;

static struct file *file_of(int fd)
{
    char link[64], path[256];
    ssize_t size;

    if (!disk.on)
        return NULL;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    size = readlink(link, path, sizeof(path) - 1);
    if (size < 0)
        return NULL;
    path[size] = '\0';
    for (unsigned i = 0; i < FILES; i++)
        if (strncmp(path, disk.directory, strlen(disk.directory)) == 0 &&
            strcmp(path + strlen(disk.directory) + 1, disk.files[i].name) == 0)
            return &disk.files[i];
    return NULL;
}

/* By doubling: a sanitizer copies what is reallocated, and a file grows sector by sector. */
static size_t room_for(size_t size)
{
    size_t room = 1 << 16;

    while (room < size)
        room *= 2;
    return room;
}

/* *bytes has room_for(*held). */
static void bytes_put(uint8_t **bytes, size_t *held, const uint8_t *data, size_t size, size_t at)
{
    if (at + size > *held) {
        if (room_for(at + size) > room_for(*held))
            *bytes = realloc(*bytes, room_for(at + size));
        assert_non_null(*bytes);
        memset(*bytes + *held, 0, at + size - *held);
        *held = at + size;
    }
    memcpy(*bytes + at, data, size);
}

static void file_write(const char *path, const uint8_t *data, size_t size)
{
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    assert_int_equal(fwrite(data, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

/* share: of 4 sectors that were not synced, so many have come to the disk. */
static void image_file(const struct file *file, const char *path, uint64_t share)
{
    size_t size = file->size;
    uint8_t *bytes = malloc(room_for(size));

    assert_non_null(bytes);
    memcpy(bytes, file->durable, size);
    for (const struct pending *write = file->first; write; write = write->next)
        for (size_t at = 0; at < write->size; at += SECTOR) {
            size_t part = write->size - at < SECTOR ? write->size - at : SECTOR;

            if (test_random_below(&disk.seed, 4) < share)
                bytes_put(&bytes, &size, write->data + at, part, write->at + at);
        }
    file_write(path, bytes, size);
    free(bytes);
}

static void image_path(const char *directory, uint32_t number, const char *name, char out[256])
{
    snprintf(out, 256, "%s/image-%u%s%s", directory, number, name ? "/" : "", name ? name : "");
}

static uint32_t seen_by_readers(void)
{
    struct span value;
    uint32_t seen = 0;
    struct kv kv;

    if (!disk.store)
        return 0;
    assert_ok(store_read_begin(disk.store, &kv));
    if (!kv_get(&kv, KV_ORIGIN, span_of_str("last"), &value))
        seen = get_u32be(value.data);
    store_read_end(&kv);
    return seen;
}

static void image_make(void)
{
    uint64_t share = test_random_below(&disk.seed, 5);
    char path[256];

    if (disk.image_count == IMAGES_MAX)
        return;
    disk.on = false;
    image_path(disk.directory, disk.image_count, NULL, path);
    assert_int_equal(mkdir(path, 0700), 0);
    for (unsigned i = 0; i < FILES; i++) {
        image_path(disk.directory, disk.image_count, disk.files[i].name, path);
        image_file(&disk.files[i], path, share);
    }
    disk.images[disk.image_count++] =
        (struct image){.acked = disk.acked, .seen = seen_by_readers(), .inside = disk.inside};
    disk.on = true;
}

static void maybe_fail_power(void)
{
    if (disk.inside && !disk.fails_at_marks && test_random_below(&disk.seed, 23) == 0)
        image_make();
}

static void note_write(int fd, const void *data, size_t size, off_t at)
{
    struct file *file = file_of(fd);
    struct pending *write;

    if (!file)
        return;
    if (fcntl(fd, F_GETFL) & O_DSYNC) {
        bytes_put(&file->durable, &file->size, data, size, (size_t)at);
        return;
    }
    write = malloc(sizeof(*write) + size);
    assert_non_null(write);
    write->next = NULL;
    write->at = (size_t)at;
    write->size = size;
    memcpy(write->data, data, size);
    *file->last = write;
    file->last = &write->next;
}

static void note_sync(int fd)
{
    struct file *file = file_of(fd);

    while (file && file->first) {
        struct pending *write = file->first;

        bytes_put(&file->durable, &file->size, write->data, write->size, write->at);
        file->first = write->next;
        free(write);
    }
    if (file)
        file->last = &file->first;
}

static bool pages_fail(int fd, off_t at)
{
    struct stat file;

    if (disk.full && file_of(fd) == &disk.files[0] && fstat(fd, &file) == 0 && at >= file.st_size) {
        errno = ENOSPC;
        return true;
    }
    errno = disk.pages_errno;
    return disk.pages_errno && at >= 8192 && file_of(fd) == &disk.files[0];
}

ssize_t disk_pwrite(int fd, const void *data, size_t size, off_t offset)
{
    if (pages_fail(fd, offset))
        return -1;
    if (file_of(fd))
        maybe_fail_power();
    note_write(fd, data, size, offset);
    return syscall(SYS_pwrite64, fd, data, size, offset);
}

ssize_t disk_pwrite64(int fd, const void *data, size_t size, off_t offset)
{
    bool journal = file_of(fd) == &disk.files[1];

    if (journal && (disk.journal_errno || (offset >= 8192 && disk.records_errno))) {
        errno = disk.journal_errno ? disk.journal_errno : disk.records_errno;
        return -1;
    }
    if (journal && offset < 8192 && disk.inside && disk.fails_at_marks)
        image_make();
    return disk_pwrite(fd, data, size, offset);
}

ssize_t disk_writev(int fd, const struct iovec *parts, int count)
{
    off_t at = lseek(fd, 0, SEEK_CUR);

    if (pages_fail(fd, at))
        return -1;
    if (file_of(fd))
        maybe_fail_power();
    for (int i = 0; i < count; i++) {
        note_write(fd, parts[i].iov_base, parts[i].iov_len, at);
        at += (off_t)parts[i].iov_len;
    }
    return syscall(SYS_writev, fd, parts, count);
}

int disk_fdatasync(int fd)
{
    int rc;

    if (file_of(fd))
        maybe_fail_power();
    rc = (int)syscall(SYS_fdatasync, fd);
    note_sync(fd);
    return rc;
}

int disk_open64(const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list rest;

    va_start(rest, flags);
    if (flags & O_CREAT)
        mode = va_arg(rest, mode_t);
    va_end(rest);
    if (disk.no_boot && strstr(path, "boot_id")) {
        errno = ENOENT;
        return -1;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static void disk_begin(const char *directory, uint64_t seed)
{
    static const char *const names[FILES] = {"torg.mdb", JOURNAL_FILE};

    disk = (struct disk){.on = true, .directory = directory, .seed = seed};
    for (unsigned i = 0; i < FILES; i++) {
        disk.files[i].name = names[i];
        disk.files[i].durable = malloc(room_for(0));
        assert_non_null(disk.files[i].durable);
        disk.files[i].last = &disk.files[i].first;
    }
}

static void disk_end(void)
{
    disk.on = false;
    for (unsigned i = 0; i < FILES; i++) {
        free(disk.files[i].durable);
        while (disk.files[i].first) {
            struct pending *write = disk.files[i].first;

            disk.files[i].first = write->next;
            free(write);
        }
    }
}

/* ---- a directory for each test ---- */

struct place {
    char directory[64];
};

static int place_setup(void **state)
{
    struct place *place = calloc(1, sizeof(*place));

    /* In memory, if there is such a place: what would be on a disk is written down above. */
    snprintf(place->directory, sizeof(place->directory), "%s/torg-journal-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (seal_init() || !mkdtemp(place->directory))
        return -1;
    *state = place;
    return 0;
}

static void place_remove(const char *directory)
{
    static const char *const names[] = {"torg.mdb", "torg.mdb-lock", "torg.lock", JOURNAL_FILE,
                                        "copy"};
    char path[256];

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        unlink(path);
    }
    rmdir(directory);
}

static int place_teardown(void **state)
{
    struct place *place = *state;
    char path[256];

    for (uint32_t i = 0; i < IMAGES_MAX; i++) {
        image_path(place->directory, i, NULL, path);
        place_remove(path);
    }
    place_remove(place->directory);
    free(place);
    return 0;
}

static struct store *store_at(const char *directory)
{
    struct store_options options = store_options_default();
    struct store *store;

    options.map_bytes = 64 * MIB;
    assert_ok(store_open(directory, &options, &store));
    return store;
}

static void assert_refused(const char *directory, enum torg_err why)
{
    struct store_options options = store_options_default();
    struct store *store;

    options.map_bytes = 64 * MIB;
    assert_err(store_open(directory, &options, &store), why);
}

static struct span key_of(uint64_t number, uint8_t bytes[4])
{
    put_u32be(bytes, (uint32_t)number);
    return span_of(bytes, 4);
}

/* Of all that is in a store, with the number of the last commit. */
static struct hash content_of(struct store *store, uint32_t *ret_last)
{
    static const enum kv_table tables[] = {KV_LIVE, KV_RTREE, KV_POSTING, KV_ORIGIN};
    struct buffer all = {0};
    struct hash hash;
    struct kv kv;

    assert_ok(store_read_begin(store, &kv));
    *ret_last = 0;
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        struct kv_cursor *cursor;
        struct span key = {0}, value;
        enum torg_err err;

        assert_ok(kv_cursor_open(&kv, tables[i], &cursor));
        for (err = kv_cursor_seek(&kv, cursor, key, &key, &value); !err;
             err = kv_cursor_next(&kv, cursor, &key, &value)) {
            buffer_put_u8(&all, (uint8_t)tables[i]);
            buffer_put_span(&all, key);
            buffer_put_span(&all, value);
            if (tables[i] == KV_ORIGIN)
                *ret_last = get_u32be(value.data);
        }
        assert_int_equal(err, TORG_E_NOT_FOUND);
        kv_cursor_close(&kv, cursor);
    }
    store_read_end(&kv);
    assert_ok(all.err);
    hash = seal_hash("test", buffer_span(&all));
    buffer_done(&all);
    return hash;
}

static void assert_content(struct store *store, const struct hash *want, uint32_t want_last)
{
    uint32_t last;
    struct hash got = content_of(store, &last);

    assert_int_equal(last, want_last);
    assert_memory_equal(&got, want, sizeof(got));
}

/* Whoever opens it now finds that. */
static void assert_holds(const char *directory, const struct hash *want, uint32_t want_last)
{
    struct store *store = store_at(directory);

    assert_content(store, want, want_last);
    store_close(store);
}

/* ---- what a record says ---- */

/* A value near another one: some bytes changed, put in or taken out. */
static size_t vary(uint64_t *seed, const uint8_t *old, size_t size, uint8_t *out)
{
    size_t at = size ? (size_t)test_random_below(seed, size) : 0;
    size_t moved = (size_t)test_random_below(seed, 40);

    memcpy(out, old, size);
    switch (test_random_below(seed, 4)) {
    case 0:
        for (uint64_t n = test_random_below(seed, 90); n > 0 && size; n--)
            out[test_random_below(seed, size)] ^= (uint8_t)test_random_below(seed, 256);
        return size;
    case 1:
        memset(out + at, 0x5a, moved);
        memcpy(out + at + moved, old + at, size - at);
        return size + moved;
    case 2:
        if (moved > size - at)
            moved = size - at;
        memcpy(out + at, old + at + moved, size - at - moved);
        return size - moved;
    default:
        return size;
    }
}

static void test_ops_come_back(void **state)
{
    uint64_t seed = 0x0f5, whole = 0, told = 0;

    (void)state;
    for (int round = 0; round < 3000; round++) {
        uint8_t old[4096 + 64], value[4096 + 128], key[4];
        size_t size = (size_t)test_random_below(&seed, 4096), new_size;
        struct buffer ops = {0};
        struct kv_mem *mem;
        struct span got;
        struct kv kv;

        for (size_t i = 0; i < size; i++)
            old[i] = (uint8_t)test_random_below(&seed, 256);
        new_size = vary(&seed, old, size, value);
        assert_ok(kv_mem_new(&mem));
        assert_ok(kv_mem_write_begin(mem, &kv));
        assert_ok(kv_put(&kv, KV_LIVE, key_of(1, key), span_of(old, size)));
        assert_ok(kv_put(&kv, KV_LIVE, key_of(2, key), span_of(old, size)));
        journal_ops_put(&ops, KV_LIVE, key_of(1, key), span_of(old, size),
                        span_of(value, new_size));
        journal_ops_del(&ops, KV_LIVE, key_of(2, key));
        assert_ok(ops.err);
        assert_ok(journal_ops_apply(buffer_span(&ops), &kv));
        assert_ok(kv_get(&kv, KV_LIVE, key_of(1, key), &got));
        assert_true(span_equal(got, span_of(value, new_size)));
        assert_err(kv_get(&kv, KV_LIVE, key_of(2, key), &got), TORG_E_NOT_FOUND);
        /* Cut off anywhere it is refused, or is the same list with fewer operations. */
        ops.size = (size_t)test_random_below(&seed, ops.size);
        (void)journal_ops_apply(buffer_span(&ops), &kv);
        if (new_size >= JOURNAL_PATCH_BYTES_MIN) {
            whole += new_size;
            told += ops.size;
        }
        buffer_done(&ops);
        kv_mem_write_abort(&kv);
        kv_mem_free(mem);
    }
    assert_true(told < whole / 2);
}

/* ---- the file ---- */

struct heard {
    uint64_t snapshots[16];
    size_t count, bytes;
};

static enum torg_err hear(void *context, uint64_t snapshot, struct span ops)
{
    struct heard *heard = context;

    if (heard->count < ARRAY_SIZE(heard->snapshots))
        heard->snapshots[heard->count] = snapshot;
    heard->count++;
    heard->bytes += ops.size;
    return TORG_OK;
}

static struct heard heard_of(struct journal *journal)
{
    struct heard heard = {0};

    assert_ok(journal_read(journal, hear, &heard));
    return heard;
}

static void test_records_follow_their_mark(void **state)
{
    const struct place *place = *state;
    struct journal_mark mark = {.snapshot = 7};
    struct journal *journal;

    assert_ok(journal_open(place->directory, &journal));
    assert_null(journal_mark(journal));
    assert_err(journal_append(journal, 1, span_of_str("no mark yet")), TORG_E_FULL);
    assert_ok(journal_put_mark(journal, &mark));
    assert_ok(journal_append(journal, 8, span_of_str("first")));
    assert_ok(journal_append(journal, 9, span_of_str("second")));
    assert_ok(journal_append(journal, 10, span_of_str("taken back")));
    assert_ok(journal_void_last(journal));
    journal_close(journal);
    assert_ok(journal_open(place->directory, &journal));
    assert_int_equal(journal_mark(journal)->snapshot, 7);
    assert_int_equal(heard_of(journal).count, 2);
    assert_int_equal(heard_of(journal).snapshots[1], 9);
    assert_int_equal(heard_of(journal).bytes, 11);
    mark.snapshot = 9;
    assert_ok(journal_put_mark(journal, &mark));
    assert_int_equal(heard_of(journal).count, 0);
    assert_ok(journal_append(journal, 10, span_of_str("x")));
    journal_close(journal);
    assert_ok(journal_open_read(place->directory, &journal));
    assert_int_equal(journal_mark(journal)->snapshot, 9);
    /* What the older mark had behind the new record is not read. */
    assert_int_equal(heard_of(journal).count, 1);
    journal_close(journal);
}

static void test_a_closed_journal_keeps_nothing(void **state)
{
    const struct place *place = *state;
    struct journal_mark mark = {.snapshot = 1};
    struct journal *journal;
    struct stat file;
    char path[256];

    assert_ok(journal_open(place->directory, &journal));
    assert_ok(journal_put_mark(journal, &mark));
    assert_ok(journal_append(journal, 2, span_of_str("Anna, 070-123 45 67")));
    mark.closed = true;
    assert_ok(journal_put_mark(journal, &mark));
    journal_close(journal);
    snprintf(path, sizeof(path), "%s/%s", place->directory, JOURNAL_FILE);
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_size, 8192);
    assert_int_equal(file.st_mode & 0777, 0600);
}

static void test_damaged_marks_are_told(void **state)
{
    const struct place *place = *state;
    struct journal_mark mark = {.snapshot = 1};
    struct journal *journal;
    char path[256];
    int fd;

    assert_ok(journal_open(place->directory, &journal));
    assert_ok(journal_put_mark(journal, &mark));
    mark.snapshot = 2;
    assert_ok(journal_append(journal, 2, span_of_str("x")));
    assert_ok(journal_put_mark(journal, &mark));
    journal_close(journal);
    snprintf(path, sizeof(path), "%s/%s", place->directory, JOURNAL_FILE);
    fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, "torn", 4, 4096 + 100), 4);
    assert_ok(journal_open(place->directory, &journal));
    assert_int_equal(journal_mark(journal)->snapshot, 1);
    journal_close(journal);
    assert_int_equal(pwrite(fd, "torn", 4, 100), 4);
    close(fd);
    assert_err(journal_open(place->directory, &journal), TORG_E_CORRUPT);
}

/* The machine stopped when the very first mark was written: nothing can have been lost. */
static void test_a_torn_first_mark_is_none(void **state)
{
    const struct place *place = *state;
    struct journal *journal;
    char path[256];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", place->directory, JOURNAL_FILE);
    fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_int_equal(pwrite(fd, "torgjour", 8, 0), 8);
    close(fd);
    assert_ok(journal_open(place->directory, &journal));
    assert_null(journal_mark(journal));
    journal_close(journal);
}

/* A journal with a mark at 7 and three records; ret_path: of the file. */
static void three_records(const struct place *place, uint64_t turns, char ret_path[256])
{
    static const uint8_t ops[1000];
    struct journal_mark mark = {.snapshot = 7};
    struct journal *journal;

    snprintf(ret_path, 256, "%s/%s", place->directory, JOURNAL_FILE);
    assert_ok(journal_open(place->directory, &journal));
    for (uint64_t i = 0; i < turns; i++)
        assert_ok(journal_put_mark(journal, &mark));
    for (uint64_t i = 1; i <= 3; i++)
        assert_ok(journal_append(journal, 7 + i, span_of(ops, sizeof(ops))));
    journal_close(journal);
}

#define THREE_RECORD_BYTES (28 + 1000 + 16)

static enum torg_err scan(const struct place *place, struct journal_tail *tail)
{
    struct journal *journal;
    enum torg_err err;

    assert_ok(journal_open(place->directory, &journal));
    err = journal_scan(journal, tail);
    journal_close(journal);
    return err;
}

static void flip(int fd, off_t at)
{
    uint8_t byte;

    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x40;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

/* The last record may be torn, for nobody was told of it. None before it can be. */
static void test_only_the_end_may_be_torn(void **state)
{
    const struct place *place = *state;
    struct journal_tail tail;
    char path[256];
    int fd;

    three_records(place, 2, path);
    fd = open(path, O_RDWR);
    for (off_t at = 0; at < 3 * THREE_RECORD_BYTES; at++) {
        off_t in_last = at - 2 * THREE_RECORD_BYTES;

        flip(fd, 8192 + at);
        if (in_last < 0) {
            assert_err(scan(place, &tail), TORG_E_CORRUPT);
        } else {
            assert_ok(scan(place, &tail));
            assert_int_equal(tail.count, 2);
            assert_int_equal(tail.last, 9);
            assert_int_equal(tail.begun, in_last < 4 || in_last >= 20);
        }
        flip(fd, 8192 + at);
    }
    close(fd);
    assert_ok(scan(place, &tail));
    assert_int_equal(tail.count, 3);
    assert_false(tail.begun);
}

/* Without its newest mark the older one must not count: its records are gone. */
static void test_a_lost_mark_is_told(void **state)
{
    const struct place *place = *state;
    struct journal_tail tail;
    char path[256];
    int fd;

    three_records(place, 2, path);
    fd = open(path, O_RDWR);
    flip(fd, 4096 + 30);
    close(fd);
    assert_err(scan(place, &tail), TORG_E_CORRUPT);
}

/* Who can have bytes stored must not be able to write records: what binds them cannot be guessed.
 */
static void test_records_of_another_journal_are_none(void **state)
{
    const struct place *place = *state;
    struct journal_mark mark = {.snapshot = 7, .boot = "another start of the machine"};
    struct journal *journal;
    struct journal_tail tail;
    char path[256];
    uint8_t bytes[THREE_RECORD_BYTES];
    int fd;

    three_records(place, 1, path);
    fd = open(path, O_RDONLY);
    assert_int_equal(pread(fd, bytes, sizeof(bytes), 8192), sizeof(bytes));
    close(fd);
    unlink(path);
    assert_ok(journal_open(place->directory, &journal));
    assert_ok(journal_put_mark(journal, &mark));
    assert_ok(journal_append(journal, 8, span_of_str("x")));
    assert_ok(journal_void_last(journal));
    fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, bytes, sizeof(bytes), 8192), sizeof(bytes));
    close(fd);
    assert_ok(journal_scan(journal, &tail));
    assert_int_equal(tail.count, 0);
    assert_int_equal(heard_of(journal).count, 0);
    journal_close(journal);
}

static void test_it_is_full_one_day(void **state)
{
    const struct place *place = *state;
    static const uint8_t bytes[1000000];
    struct journal_mark mark = {.snapshot = 0};
    struct journal *journal;
    uint64_t count = 0;

    assert_ok(journal_open(place->directory, &journal));
    assert_ok(journal_put_mark(journal, &mark));
    while (!journal_append(journal, count + 1, span_of(bytes, sizeof(bytes))))
        count++;
    assert_int_equal(count, JOURNAL_BYTES_MAX / sizeof(bytes));
    assert_int_equal(heard_of(journal).count, count);
    assert_ok(journal_put_mark(journal, &mark));
    assert_ok(journal_append(journal, 1, span_of(bytes, sizeof(bytes))));
    journal_close(journal);
}

/* ---- the power fails ---- */

static void random_value(uint64_t *seed, struct kv *kv, enum kv_table table, struct span key)
{
    uint8_t value[9000];
    size_t size = 1 + (size_t)test_random_below(seed, 4000);
    struct span old;

    if (!kv_get(kv, table, key, &old) && old.size < 8000 && test_random_below(seed, 2)) {
        size = vary(seed, old.data, old.size, value);
    } else {
        for (size_t i = 0; i < size; i++)
            value[i] = (uint8_t)test_random_below(seed, 7);
    }
    assert_ok(kv_put(kv, table, key, span_of(value, size)));
}

static void random_commit(struct store *store, uint64_t *seed, uint32_t number)
{
    static const enum kv_table tables[] = {KV_LIVE, KV_RTREE, KV_POSTING};
    uint64_t changes = 1 + test_random_below(seed, 12);
    uint8_t key[4], last[4];
    struct kv kv;

    if (test_random_below(seed, 40) == 0)
        changes = 600; /* more than a record holds */
    assert_ok(store_write_begin(store, &kv));
    for (uint64_t i = 0; i < changes; i++) {
        enum kv_table table = tables[test_random_below(seed, ARRAY_SIZE(tables))];

        key_of(test_random_below(seed, 150), key);
        if (test_random_below(seed, 5) == 0)
            (void)kv_del(&kv, table, span_of(key, 4));
        else
            random_value(seed, &kv, table, span_of(key, 4));
    }
    assert_ok(kv_put(&kv, KV_ORIGIN, span_of_str("last"), key_of(number, last)));
    if (test_random_below(seed, 10) == 0) {
        store_write_abort(&kv);
        assert_ok(store_write_begin(store, &kv));
        assert_ok(kv_put(&kv, KV_ORIGIN, span_of_str("last"), key_of(number, last)));
    }
    disk.inside = true;
    assert_ok(store_write_commit(&kv));
    disk.inside = false;
    disk.acked = number;
    if (test_random_below(seed, 10) == 0) { /* one that changes nothing */
        assert_ok(store_write_begin(store, &kv));
        assert_ok(store_write_commit(&kv));
    }
}

/* The machine has stopped: no kernel remembers what was not synced. */
static void forget_kernel(const char *directory)
{
    struct journal *journal;

    assert_ok(journal_open(directory, &journal));
    journal_distrust(journal);
    journal_close(journal);
}

static void check_image(const char *directory, const struct image *image,
                        const struct hash *contents, bool *ret_recovered)
{
    struct store_stat stat;
    struct store *store;
    struct hash content;
    uint64_t seed = image->acked;
    uint32_t last;

    forget_kernel(directory);
    store = store_at(directory);
    content = content_of(store, &last);
    assert_true(last == image->acked || (image->inside && last == image->acked + 1));
    assert_true(last >= image->seen); /* or a peer may have what is not here */
    assert_memory_equal(&content, &contents[last], sizeof(content));
    assert_ok(store_stat(store, &stat));
    *ret_recovered = stat.recovered > 0;
    for (uint32_t i = 1; i <= 3; i++)
        random_commit(store, &seed, last + i);
    content = content_of(store, &last);
    store_close(store);
    assert_holds(directory, &content, last);
}

/* All that were made there; how many of them the journal had to mend. */
static uint32_t check_images(const char *directory, const struct hash *contents)
{
    uint32_t recovered = 0;

    for (uint32_t i = 0; i < disk.image_count; i++) {
        bool was_recovered;
        char path[300];

        image_path(directory, i, NULL, path);
        check_image(path, &disk.images[i], contents, &was_recovered);
        recovered += was_recovered;
        place_remove(path);
    }
    return recovered;
}

static void test_power_fails(void **state)
{
    const struct place *place = *state;
    uint32_t commits = 400, recovered;
    struct hash *contents = calloc(commits + 1, sizeof(*contents));
    uint64_t seed = 0xdeadf11e;
    struct store *store;
    uint32_t last;

    assert_non_null(contents);
    disk_begin(place->directory, 77);
    store = store_at(place->directory);
    disk.store = store;
    contents[0] = content_of(store, &last);
    for (uint32_t i = 1; i <= commits; i++) {
        random_commit(store, &seed, i);
        contents[i] = content_of(store, &last);
        assert_int_equal(last, i);
        disk.inside = test_random_below(&seed, 30) == 0; /* between two, and while it syncs */
        if (disk.inside) {
            image_make();
            assert_ok(store_checkpoint(store));
            disk.inside = false;
        }
    }
    disk_end();
    store_close(store);
    assert_true(disk.image_count > 200);
    recovered = check_images(place->directory, contents);
    assert_true(recovered > disk.image_count / 2); /* else the journal was not asked */
    free(contents);
}

/* A commit that no record tells of is shown by LMDB before the next mark is written. */
static void test_power_fails_at_marks(void **state)
{
    const struct place *place = *state;
    uint32_t commits = 80;
    struct hash *contents = calloc(commits + 1, sizeof(*contents));
    uint64_t seed = 0xdead;
    struct store *store;
    uint32_t last;

    assert_non_null(contents);
    disk_begin(place->directory, 78);
    disk.fails_at_marks = true;
    store = store_at(place->directory);
    disk.store = store;
    for (uint32_t i = 1; i <= commits; i++) {
        disk.records_errno = i % 8 == 0 ? ENOSPC : 0;
        random_commit(store, &seed, i);
        contents[i] = content_of(store, &last);
    }
    disk_end();
    store_close(store);
    assert_true(disk.image_count >= commits / 8);
    check_images(place->directory, contents);
    free(contents);
}

/* ---- what else may come ---- */

static void test_journal_without_room(void **state)
{
    const struct place *place = *state;
    uint64_t seed = 3;
    struct store *store;
    struct hash content;
    uint32_t last;

    disk_begin(place->directory, 1);
    store = store_at(place->directory);
    random_commit(store, &seed, 1);
    disk.journal_errno = ENOSPC;
    /* The record cannot be written, nor the next mark: nobody may be told that it is safe. */
    {
        uint8_t bytes[4];
        struct kv kv;

        assert_ok(store_write_begin(store, &kv));
        assert_ok(kv_put(&kv, KV_LIVE, key_of(1, bytes), span_of_str("x")));
        assert_err(store_write_commit(&kv), TORG_E_IO);
        assert_err(store_write_begin(store, &kv), TORG_E_IO);
    }
    disk.journal_errno = 0;
    store_close(store);
    store = store_at(place->directory);
    random_commit(store, &seed, 2);
    content = content_of(store, &last);
    store_close(store);
    disk_end();
    assert_holds(place->directory, &content, 2);
}

/* What the pin keeps of old pages must not stand in the way of those who make room. */
static void test_a_full_disk_gives_back_what_is_pinned(void **state)
{
    const struct place *place = *state;
    struct store *store;
    int refused = 0;

    disk_begin(place->directory, 1);
    store = store_at(place->directory);
    for (uint32_t i = 0; i < 200; i++) {
        static const uint8_t value[3000];
        enum torg_err err;
        uint8_t key[4];
        struct kv kv;

        disk.full = i >= 100;
        assert_ok(store_write_begin(store, &kv));
        assert_ok(kv_put(&kv, KV_LIVE, key_of(i % 10, key), span_of(value, sizeof(value))));
        err = store_write_commit(&kv);
        if (err)
            assert_err(err, TORG_E_FULL);
        refused += err != TORG_OK;
    }
    assert_true(refused > 0 && refused < 50);
    disk_end();
    store_close(store);
}

static void copy_file(const char *from, const char *to)
{
    char command[600];

    snprintf(command, sizeof(command), "cp %s %s", from, to);
    assert_int_equal(system(command), 0);
}

/* The journal of another time must not be poured over a database that was put back. */
static void test_backup_beside_an_old_journal(void **state)
{
    const struct place *place = *state;
    char path[256], copy[256];
    uint64_t seed = 5;
    struct store *store = store_at(place->directory);
    struct hash content;
    struct store_stat stat;
    uint32_t last;

    snprintf(path, sizeof(path), "%s/torg.mdb", place->directory);
    snprintf(copy, sizeof(copy), "%s/copy", place->directory);
    random_commit(store, &seed, 1);
    content = content_of(store, &last);
    store_close(store);
    copy_file(path, copy);
    store = store_at(place->directory);
    for (uint32_t i = 2; i < 9; i++)
        random_commit(store, &seed, i);
    assert_ok(store_checkpoint(store));
    for (uint32_t i = 9; i < 20; i++)
        random_commit(store, &seed, i);
    /* As it is when the machine stops now. */
    image_path(place->directory, 0, NULL, copy);
    assert_int_equal(mkdir(copy, 0700), 0);
    image_path(place->directory, 0, JOURNAL_FILE, copy);
    snprintf(path, sizeof(path), "%s/%s", place->directory, JOURNAL_FILE);
    copy_file(path, copy);
    store_close(store);
    snprintf(path, sizeof(path), "%s/copy", place->directory);
    image_path(place->directory, 0, "torg.mdb", copy);
    copy_file(path, copy);

    image_path(place->directory, 0, NULL, copy);
    forget_kernel(copy);
    store = store_at(copy);
    assert_content(store, &content, 1);
    assert_ok(store_stat(store, &stat));
    assert_int_equal(stat.recovered, 0);
    store_close(store);
}

/* The image of a power cut after so many commits, and what was in it. */
static void power_cut(const struct place *place, uint32_t commits, char image[256],
                      struct hash *ret_content)
{
    uint64_t seed = 17;
    struct store *store;
    uint32_t last;

    disk_begin(place->directory, 5);
    store = store_at(place->directory);
    for (uint32_t i = 1; i <= commits; i++)
        random_commit(store, &seed, i);
    *ret_content = content_of(store, &last);
    image_path(place->directory, disk.image_count, NULL, image);
    image_make();
    disk_end();
    store_close(store);
    forget_kernel(image);
}

/* Who only reads after a power cut must not see what was never whole. */
static void test_reader_after_a_power_cut(void **state)
{
    const struct place *place = *state;
    struct store_options options = store_options_default();
    struct hash content;
    struct store *store;
    char image[256];

    power_cut(place, 19, image, &content);
    options.read_only = true;
    options.map_bytes = 64 * MIB;
    assert_ok(store_open(image, &options, &store));
    assert_content(store, &content, 19);
    store_close(store);
}

/* What the disk has of the files that are there. */
static void disk_load(void)
{
    disk.on = false;
    for (unsigned i = 0; i < FILES; i++) {
        struct file *file = &disk.files[i];
        uint8_t bytes[4096];
        char path[256];
        size_t got;
        FILE *in;

        snprintf(path, sizeof(path), "%s/%s", disk.directory, file->name);
        in = fopen(path, "r");
        assert_non_null(in);
        while ((got = fread(bytes, 1, sizeof(bytes), in)) > 0)
            bytes_put(&file->durable, &file->size, bytes, got, file->size);
        assert_int_equal(fclose(in), 0);
    }
    disk.on = true;
}

/* Until the next mark is there, a recovery that was cut off begins anew. */
static void test_power_fails_in_recovery(void **state)
{
    const struct place *place = *state;
    struct hash contents[32];
    struct store *store;
    char image[256];

    power_cut(place, 30, image, &contents[30]);
    disk_begin(image, 9);
    disk_load();
    disk.acked = 30;
    disk.inside = true;
    store = store_at(image);
    disk_end();
    store_close(store);
    assert_true(disk.image_count >= 10);
    for (uint32_t i = 0; i < disk.image_count; i++)
        disk.images[i].inside = false; /* nothing more may be there either */
    check_images(image, contents);
}

static void test_a_recovery_that_fails_loses_nothing(void **state)
{
    const struct place *place = *state;
    struct hash content;
    char image[256];

    power_cut(place, 12, image, &content);
    disk_begin(image, 1);
    disk.pages_errno = ENOSPC;
    assert_refused(image, TORG_E_FULL);
    disk.pages_errno = 0;
    disk_end();
    assert_holds(image, &content, 12);
}

/* It is poured over what was put back, and takes no pages from who reads them. */
static void test_nobody_reads_what_is_recovered(void **state)
{
    const struct place *place = *state;
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1};
    struct hash content;
    char image[256], path[300];
    int fd;

    power_cut(place, 12, image, &content);
    snprintf(path, sizeof(path), "%s/torg.mdb-lock", image);
    fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
    assert_refused(image, TORG_E_LOCKED);
    close(fd);
    assert_holds(image, &content, 12);
}

/* A journal that cannot be used now must not be done over what comes now. */
static void test_start_without_boot_id(void **state)
{
    const struct place *place = *state;
    struct hash content;
    struct store *store;
    uint64_t seed = 23;
    uint32_t last;
    char image[256];

    power_cut(place, 12, image, &content);
    disk.no_boot = true;
    store = store_at(image);
    assert_content(store, &content, 12);
    random_commit(store, &seed, 13);
    content = content_of(store, &last);
    store_close(store);
    disk.no_boot = false;
    forget_kernel(image);
    assert_holds(image, &content, 13);
}

/* LMDB got the commit, so its record was whole: it was acknowledged, and cannot be done again. */
static void test_a_last_record_that_was_whole_is_missed(void **state)
{
    const struct place *place = *state;
    struct store *store = store_at(place->directory);
    char path[256], copy[256];
    uint8_t key[4];
    struct kv kv;
    int fd;

    assert_ok(store_write_begin(store, &kv));
    assert_ok(
        kv_put(&kv, KV_LIVE, key_of(1, key), span_of_str("acknowledged, and more than that")));
    assert_ok(store_write_commit(&kv));
    image_path(place->directory, 0, NULL, copy);
    assert_int_equal(mkdir(copy, 0700), 0);
    snprintf(path, sizeof(path), "%s/torg.mdb", place->directory);
    image_path(place->directory, 0, "torg.mdb", copy);
    copy_file(path, copy);
    snprintf(path, sizeof(path), "%s/%s", place->directory, JOURNAL_FILE);
    image_path(place->directory, 0, JOURNAL_FILE, copy);
    copy_file(path, copy);
    store_close(store);
    fd = open(copy, O_RDWR);
    assert_int_equal(pwrite(fd, "rot", 3, 8192 + 40), 3);
    close(fd);
    image_path(place->directory, 0, NULL, copy);
    forget_kernel(copy);
    assert_refused(copy, TORG_E_CORRUPT);
}

/* The reverse of the backup: a journal that was put back beside a database that went on. */
static void test_old_journal_beside_its_database(void **state)
{
    const struct place *place = *state;
    uint64_t seed = 5;
    char path[256], copy[256];
    struct hash content;
    struct store *store = store_at(place->directory);
    uint32_t last;

    snprintf(path, sizeof(path), "%s/%s", place->directory, JOURNAL_FILE);
    snprintf(copy, sizeof(copy), "%s/copy", place->directory);
    for (uint32_t i = 1; i < 9; i++)
        random_commit(store, &seed, i);
    copy_file(path, copy);
    for (uint32_t i = 9; i < 30; i++) {
        random_commit(store, &seed, i);
        assert_ok(store_checkpoint(store));
    }
    content = content_of(store, &last);
    store_close(store);
    copy_file(copy, path);
    forget_kernel(place->directory);
    assert_refused(place->directory, TORG_E_CORRUPT);
    assert_int_equal(unlink(path), 0); /* nothing was done to the database */
    assert_holds(place->directory, &content, 29);
}

#define JOURNAL_TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOURNAL_TEST(test_ops_come_back),
        JOURNAL_TEST(test_records_follow_their_mark),
        JOURNAL_TEST(test_a_closed_journal_keeps_nothing),
        JOURNAL_TEST(test_damaged_marks_are_told),
        JOURNAL_TEST(test_a_torn_first_mark_is_none),
        JOURNAL_TEST(test_only_the_end_may_be_torn),
        JOURNAL_TEST(test_a_lost_mark_is_told),
        JOURNAL_TEST(test_records_of_another_journal_are_none),
        JOURNAL_TEST(test_it_is_full_one_day),
        JOURNAL_TEST(test_power_fails),
        JOURNAL_TEST(test_power_fails_at_marks),
        JOURNAL_TEST(test_journal_without_room),
        JOURNAL_TEST(test_a_full_disk_gives_back_what_is_pinned),
        JOURNAL_TEST(test_backup_beside_an_old_journal),
        JOURNAL_TEST(test_reader_after_a_power_cut),
        JOURNAL_TEST(test_power_fails_in_recovery),
        JOURNAL_TEST(test_a_recovery_that_fails_loses_nothing),
        JOURNAL_TEST(test_nobody_reads_what_is_recovered),
        JOURNAL_TEST(test_start_without_boot_id),
        JOURNAL_TEST(test_a_last_record_that_was_whole_is_missed),
        JOURNAL_TEST(test_old_journal_beside_its_database),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
