/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "index/path.h"

/*
 * Two marks, each within a sector, are written in turn, so that one is whole whatever happens.
 * Records follow. Each has its mark's turn and the beginning of its mark's hash: what older marks
 * left behind it is not read. Of the bytes of a record many come from other people, who could write
 * a record into them; but they cannot know that hash, for the boot id is in it.
 */
#define MARK_DOMAIN "torg/journal-mark/1"
#define RECORD_DOMAIN "torg/journal-record/1"
#define MARK_DISTANCE 4096
#define DISTRUST_AT 2048 /* the turn of a mark whose boot counts no more */
#define RECORDS_AT (2 * MARK_DISTANCE)
#define MARK_CHECKED_BYTES 256
#define MARK_BYTES (MARK_CHECKED_BYTES + 32)
#define BINDING_BYTES 16     /* turn u64, 8 bytes of the mark's hash */
#define RECORD_HEAD_BYTES 28 /* size u32, binding, snapshot u64 */
#define RECORD_HASH_BYTES 16
/* The file grows ahead of its records, for a sync that changes its size costs two. */
#define GROWTH_BYTES (1u << 20)

static const uint8_t mark_magic[16] = "torgjournal1";

struct journal {
    int fd;
    bool has_mark;
    unsigned slot; /* of the mark */
    uint64_t turn; /* of the mark; rises by one with each */
    struct journal_mark mark;
    uint8_t binding[BINDING_BYTES]; /* of records to it */
    uint64_t end;                   /* of the records, from RECORDS_AT on */
    uint64_t last;                  /* where the last one begins */
    uint64_t size;                  /* of the file */
    struct buffer record;
};

static enum torg_err write_at(int fd, const uint8_t *data, size_t size, uint64_t at)
{
    while (size > 0) {
        ssize_t written = pwrite(fd, data, size, (off_t)at);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            errno = written < 0 ? errno : EIO;
            return TORG_E_IO;
        }
        data += written;
        size -= (size_t)written;
        at += (uint64_t)written;
    }
    return TORG_OK;
}

/* As many bytes as are there. */
static enum torg_err read_at(int fd, uint8_t *data, size_t size, uint64_t at, size_t *ret_size)
{
    *ret_size = 0;
    while (*ret_size < size) {
        ssize_t got = pread(fd, data + *ret_size, size - *ret_size, (off_t)(at + *ret_size));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return TORG_E_IO;
        if (got == 0)
            break;
        *ret_size += (size_t)got;
    }
    return TORG_OK;
}

static enum torg_err sync_file(int fd)
{
    return fdatasync(fd) == 0 ? TORG_OK : TORG_E_IO;
}

/* ---- marks ---- */

static void mark_pack(const struct journal_mark *mark, uint64_t turn, uint8_t out[MARK_BYTES])
{
    struct hash checksum;

    memset(out, 0, MARK_BYTES);
    memcpy(out, mark_magic, 16);
    put_u64be(out + 16, turn);
    put_u64be(out + 24, mark->snapshot);
    memcpy(out + 32, mark->root, JOURNAL_ROOT_BYTES);
    memcpy(out + 184, mark->boot, JOURNAL_BOOT_BYTES);
    out[220] = mark->closed;
    memcpy(out + 224, mark->top.bytes, sizeof(mark->top.bytes));
    checksum = seal_hash(MARK_DOMAIN, span_of(out, MARK_CHECKED_BYTES));
    memcpy(out + MARK_CHECKED_BYTES, checksum.bytes, sizeof(checksum.bytes));
}

static enum torg_err mark_parse(const uint8_t slot[MARK_BYTES], struct journal_mark *ret_mark,
                                uint64_t *ret_turn)
{
    struct hash checksum = seal_hash(MARK_DOMAIN, span_of(slot, MARK_CHECKED_BYTES));

    if (memcmp(slot + MARK_CHECKED_BYTES, checksum.bytes, sizeof(checksum.bytes)) != 0)
        return TORG_E_CORRUPT;
    if (memcmp(slot, mark_magic, sizeof(mark_magic)) != 0)
        return TORG_E_VERSION;
    *ret_turn = get_u64be(slot + 16);
    *ret_mark = (struct journal_mark){.snapshot = get_u64be(slot + 24), .closed = slot[220] != 0};
    memcpy(ret_mark->root, slot + 32, JOURNAL_ROOT_BYTES);
    memcpy(ret_mark->boot, slot + 184, JOURNAL_BOOT_BYTES);
    memcpy(ret_mark->top.bytes, slot + 224, sizeof(ret_mark->top.bytes));
    return TORG_OK;
}

/* From now on it is the newest. */
static void mark_take(struct journal *journal, const struct journal_mark *mark, uint64_t turn,
                      unsigned slot, const uint8_t packed[MARK_BYTES])
{
    journal->has_mark = true;
    journal->mark = *mark;
    journal->turn = turn;
    journal->slot = slot;
    put_u64be(journal->binding, turn);
    memcpy(journal->binding + 8, packed + MARK_CHECKED_BYTES, BINDING_BYTES - 8);
}

static enum torg_err distrust_load(struct journal *journal)
{
    uint8_t turn[8] = {0};
    size_t size;
    enum torg_err err = read_at(journal->fd, turn, sizeof(turn), DISTRUST_AT, &size);

    if (!err && journal->has_mark && get_u64be(turn) == journal->turn)
        memset(journal->mark.boot, 0, sizeof(journal->mark.boot));
    return err;
}

static bool is_blank(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (data[i])
            return false;
    return true;
}

/*
 * A mark that is not whole was torn when it was written: then the other one counts. If that was
 * the first one ever, the file has no room for records yet, and there is no mark.
 */
static enum torg_err marks_load(struct journal *journal)
{
    bool blank = true;

    for (unsigned slot = 0; slot < 2; slot++) {
        uint8_t bytes[MARK_BYTES] = {0};
        struct journal_mark mark;
        uint64_t turn;
        size_t size;
        enum torg_err err =
            read_at(journal->fd, bytes, sizeof(bytes), (uint64_t)slot * MARK_DISTANCE, &size);

        if (err)
            return err;
        blank = blank && is_blank(bytes, sizeof(bytes));
        err = mark_parse(bytes, &mark, &turn);
        if (err == TORG_E_VERSION)
            return err;
        if (err || (journal->has_mark && turn < journal->turn))
            continue;
        mark_take(journal, &mark, turn, slot, bytes);
    }
    if (!journal->has_mark && !blank && journal->size > RECORDS_AT)
        return TORG_E_CORRUPT;
    return distrust_load(journal);
}

/* ---- records ---- */

/* TORG_E_NOT_FOUND: no whole record of this mark begins there. Its bytes come into journal->record.
 */
static enum torg_err record_load(struct journal *journal, uint64_t at, uint64_t *ret_snapshot,
                                 struct span *ret_ops)
{
    struct buffer *record = &journal->record;
    uint8_t head[RECORD_HEAD_BYTES], hash[RECORD_HASH_BYTES];
    size_t size, got;
    enum torg_err err = read_at(journal->fd, head, sizeof(head), RECORDS_AT + at, &got);

    if (err)
        return err;
    if (got < sizeof(head) || memcmp(head + 4, journal->binding, BINDING_BYTES) != 0 ||
        get_u32be(head) > JOURNAL_RECORD_BYTES_MAX)
        return TORG_E_NOT_FOUND;
    size = RECORD_HEAD_BYTES + get_u32be(head) + RECORD_HASH_BYTES;
    buffer_clear(record);
    err = buffer_reserve(record, size);
    if (!err)
        err = read_at(journal->fd, record->data, size, RECORDS_AT + at, &got);
    if (err)
        return err;
    if (got < size)
        return TORG_E_NOT_FOUND;
    record->size = size;
    seal_hash16(RECORD_DOMAIN, span_of(record->data, size - RECORD_HASH_BYTES), hash);
    if (memcmp(hash, record->data + size - RECORD_HASH_BYTES, sizeof(hash)) != 0)
        return TORG_E_NOT_FOUND;
    *ret_snapshot = get_u64be(record->data + 4 + BINDING_BYTES);
    *ret_ops = span_of(record->data + RECORD_HEAD_BYTES, get_u32be(record->data));
    return TORG_OK;
}

enum torg_err journal_read(struct journal *journal, journal_visit *visit, void *context)
{
    uint64_t at = 0, snapshot;
    struct span ops;
    enum torg_err err;

    if (!journal->has_mark)
        return TORG_OK;
    while (!(err = record_load(journal, at, &snapshot, &ops))) {
        at += journal->record.size;
        err = visit(context, snapshot, ops);
        if (err)
            return err;
    }
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

/* Does a whole record of this mark begin anywhere behind at? */
static enum torg_err record_follows(struct journal *journal, uint64_t at, bool *ret_follows)
{
    uint64_t held = journal->size - RECORDS_AT;
    size_t size = 0, most = (size_t)((held < JOURNAL_BYTES_MAX ? held : JOURNAL_BYTES_MAX) - at);
    uint8_t *rest = malloc(most);
    enum torg_err err;

    if (!rest)
        return TORG_E_NOMEM;
    *ret_follows = false;
    err = read_at(journal->fd, rest, most, RECORDS_AT + at, &size);
    for (size_t i = 1; !err && !*ret_follows && i + RECORD_HEAD_BYTES <= size; i++) {
        uint64_t snapshot;
        struct span ops;

        if (memcmp(rest + i + 4, journal->binding, BINDING_BYTES) != 0)
            continue;
        err = record_load(journal, at + i, &snapshot, &ops);
        *ret_follows = !err;
        if (err == TORG_E_NOT_FOUND)
            err = TORG_OK;
    }
    free(rest);
    return err;
}

/* Behind the last whole record: was it the end? */
static enum torg_err tail_check(struct journal *journal, uint64_t at, struct journal_tail *tail)
{
    uint8_t head[RECORD_HEAD_BYTES] = {0};
    bool follows = false;
    size_t size;
    enum torg_err err = read_at(journal->fd, head, sizeof(head), RECORDS_AT + at, &size);

    if (err)
        return err;
    /* The place of the first record: what stands there was begun by the newest of all marks. */
    if (at == 0 && get_u64be(head + 4) > journal->turn)
        return TORG_E_CORRUPT;
    tail->begun = memcmp(head + 4, journal->binding, BINDING_BYTES) == 0;
    if (journal->size > RECORDS_AT + at && at < JOURNAL_BYTES_MAX)
        err = record_follows(journal, at, &follows);
    return !err && follows ? TORG_E_CORRUPT : err;
}

enum torg_err journal_scan(struct journal *journal, struct journal_tail *ret_tail)
{
    struct journal_tail tail = {.last = journal->mark.snapshot};
    uint64_t at = 0, snapshot;
    struct span ops;
    enum torg_err err;

    while (!(err = record_load(journal, at, &snapshot, &ops))) {
        if (snapshot != tail.last + 1)
            return TORG_E_CORRUPT;
        at += journal->record.size;
        tail.last = snapshot;
        tail.count++;
    }
    if (err == TORG_E_NOT_FOUND)
        err = tail_check(journal, at, &tail);
    if (!err)
        *ret_tail = tail;
    return err;
}

static void record_pack(struct journal *journal, uint64_t snapshot, struct span ops)
{
    struct buffer *record = &journal->record;
    uint8_t hash[RECORD_HASH_BYTES];

    buffer_clear(record);
    buffer_put_u32be(record, (uint32_t)ops.size);
    buffer_put(record, journal->binding, BINDING_BYTES);
    buffer_put_u64be(record, snapshot);
    buffer_put_span(record, ops);
    if (record->err)
        return;
    seal_hash16(RECORD_DOMAIN, buffer_span(record), hash);
    buffer_put(record, hash, sizeof(hash));
}

/* Room for records up to end, with zeros, for what stood there may look like one. */
static enum torg_err grow(struct journal *journal, uint64_t end)
{
    static const uint8_t zeros[GROWTH_BYTES];

    while (journal->size < RECORDS_AT + end) {
        enum torg_err err = write_at(journal->fd, zeros, sizeof(zeros), journal->size);

        if (err)
            return err;
        journal->size += sizeof(zeros);
    }
    return TORG_OK;
}

/* What begins there is none, on the disk too. */
static enum torg_err record_void(struct journal *journal, uint64_t at)
{
    static const uint8_t zeros[RECORD_HEAD_BYTES];
    enum torg_err err = write_at(journal->fd, zeros, sizeof(zeros), RECORDS_AT + at);

    return err ? err : sync_file(journal->fd);
}

enum torg_err journal_append(struct journal *journal, uint64_t snapshot, struct span ops)
{
    const struct buffer *record = &journal->record;

    if (!journal->has_mark || ops.size > JOURNAL_RECORD_BYTES_MAX)
        return TORG_E_FULL;
    record_pack(journal, snapshot, ops);
    if (record->err || journal->end + record->size > JOURNAL_BYTES_MAX ||
        grow(journal, journal->end + record->size))
        return TORG_E_FULL;
    if (write_at(journal->fd, record->data, record->size, RECORDS_AT + journal->end)) {
        (void)!record_void(journal, journal->end); /* its beginning would look like a loss */
        return TORG_E_FULL;
    }
    journal->last = journal->end;
    journal->end += record->size;
    return sync_file(journal->fd);
}

enum torg_err journal_void_last(struct journal *journal)
{
    journal->end = journal->last;
    return record_void(journal, journal->last);
}

void journal_distrust(struct journal *journal)
{
    uint8_t turn[8];

    put_u64be(turn, journal->turn);
    if (!write_at(journal->fd, turn, sizeof(turn), DISTRUST_AT))
        (void)!sync_file(journal->fd);
}

const struct journal_mark *journal_mark(const struct journal *journal)
{
    return journal->has_mark ? &journal->mark : NULL;
}

enum torg_err journal_put_mark(struct journal *journal, const struct journal_mark *mark)
{
    unsigned slot = journal->has_mark ? 1 - journal->slot : 0;
    uint64_t turn = journal->turn + 1;
    uint8_t bytes[MARK_BYTES];
    enum torg_err err;

    mark_pack(mark, turn, bytes);
    err = write_at(journal->fd, bytes, sizeof(bytes), (uint64_t)slot * MARK_DISTANCE);
    if (!err)
        err = sync_file(journal->fd);
    if (err)
        return err;
    mark_take(journal, mark, turn, slot, bytes);
    journal->end = journal->last = 0;
    if (!mark->closed || journal->size <= RECORDS_AT)
        return TORG_OK;
    if (ftruncate(journal->fd, RECORDS_AT) != 0)
        return TORG_E_IO;
    journal->size = RECORDS_AT;
    return sync_file(journal->fd);
}

/* ---- opening ---- */

static enum torg_err open_file(const char *directory, int flags, struct journal **ret_journal)
{
    struct journal *journal = calloc(1, sizeof(*journal));
    char path[PATH_MAX];
    enum torg_err err;
    struct stat file;

    if (!journal)
        return TORG_E_NOMEM;
    err = path_join(directory, JOURNAL_FILE, path, sizeof(path));
    if (err) {
        free(journal);
        return err;
    }
    journal->fd = open(path, flags | O_CLOEXEC, 0600);
    if (journal->fd < 0) {
        free(journal);
        return errno == ENOENT ? TORG_E_NOT_FOUND : TORG_E_IO;
    }
    /* The blocks of the marks now, while there is room: a full disk must not stop one. */
    if (flags & O_CREAT)
        (void)!posix_fallocate(journal->fd, 0, RECORDS_AT);
    err = fstat(journal->fd, &file) == 0 ? TORG_OK : TORG_E_IO;
    if (!err) {
        journal->size = (uint64_t)file.st_size > RECORDS_AT ? (uint64_t)file.st_size : RECORDS_AT;
        err = marks_load(journal);
    }
    if (err) {
        journal_close(journal);
        return err;
    }
    *ret_journal = journal;
    return TORG_OK;
}

enum torg_err journal_open(const char *directory, struct journal **ret_journal)
{
    enum torg_err err = open_file(directory, O_RDWR | O_CREAT, ret_journal);

    return err == TORG_E_NOT_FOUND ? TORG_E_IO : err;
}

enum torg_err journal_open_read(const char *directory, struct journal **ret_journal)
{
    return open_file(directory, O_RDONLY, ret_journal);
}

void journal_close(struct journal *journal)
{
    int saved = errno;

    if (!journal)
        return;
    close(journal->fd);
    buffer_done(&journal->record);
    free(journal);
    errno = saved;
}
