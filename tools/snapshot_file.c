/* SPDX-License-Identifier: EUPL-1.2 */
#include "tools/snapshot_file.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define COMMAND "snapshot import"
#define MESSAGE_CUT                                                                                \
    "%s: ends in the middle of something, at byte %" PRIu64                                        \
    ": it was not copied whole, or the stick was pulled out; copy it again"

static bool fail_at(const struct snapshot_file *file, enum torg_err err)
{
    if (err == TORG_E_TRUNCATED)
        cli_fail(COMMAND, MESSAGE_CUT, file->path, file->size_bytes);
    else if (err == TORG_E_NOMEM)
        cli_fail(COMMAND, "%s", torg_err_text(err));
    else
        cli_fail(COMMAND, "%s: damaged at byte %" PRIu64 " (%s); copy it again, or make a new one",
                 file->path, file->at_bytes, torg_err_text(err));
    return false;
}

/* So many bytes more into record. */
static bool read_bytes(struct snapshot_file *file, size_t size)
{
    size_t from = file->record.size;

    if (buffer_reserve(&file->record, size))
        return fail_at(file, TORG_E_NOMEM);
    errno = 0;
    if (fread(file->record.data + from, 1, size, file->file) == size) {
        file->record.size += size;
        file->at_bytes += size;
        return true;
    }
    if (ferror(file->file)) {
        cli_fail(COMMAND, "%s: %s", file->path, strerror(errno));
        return false;
    }
    return fail_at(file, TORG_E_TRUNCATED);
}

static bool read_magic(struct snapshot_file *file)
{
    char magic[SNAPSHOT_MAGIC_BYTES];
    size_t read = fread(magic, 1, sizeof(magic), file->file);

    file->at_bytes = read;
    if (read == sizeof(magic) && memcmp(magic, SNAPSHOT_MAGIC, sizeof(magic)) == 0)
        return true;
    if (read < sizeof(magic) && read && memcmp(magic, SNAPSHOT_MAGIC, read) == 0)
        return fail_at(file, TORG_E_TRUNCATED);
    if (read == sizeof(magic) && memcmp(magic, SNAPSHOT_MAGIC, SNAPSHOT_MAGIC_NAME_BYTES) == 0)
        cli_fail(COMMAND,
                 "%s: a snapshot of a newer format; install that version of torg, or have "
                 "the file made with this one",
                 file->path);
    else
        cli_fail(COMMAND, "%s: is no snapshot of torg; \"torg snapshot export\" makes one",
                 file->path);
    return false;
}

bool snapshot_file_open(struct snapshot_file *file, const char *path)
{
    struct stat stat;

    *file = (struct snapshot_file){.path = path, .file = fopen(path, "rbe")};
    if (!file->file || fstat(fileno(file->file), &stat) != 0) {
        cli_fail(COMMAND, "%s: %s", path, strerror(errno));
        return false;
    }
    if (!S_ISREG(stat.st_mode)) {
        cli_fail(COMMAND, "%s: is no file that can be read twice; copy it to a disk first", path);
        return false;
    }
    file->size_bytes = (uint64_t)stat.st_size;
    return read_magic(file);
}

void snapshot_file_close(struct snapshot_file *file)
{
    if (file->file)
        fclose(file->file);
    buffer_done(&file->record);
    *file = (struct snapshot_file){0};
}

static bool read_end(struct snapshot_file *file)
{
    enum torg_err err;

    if (!read_bytes(file, SNAPSHOT_END_BYTES - FRAME_LENGTH_BYTES))
        return false;
    err = snapshot_end(&file->snapshot, buffer_span(&file->record));
    if (!err && file->at_bytes != file->size_bytes)
        err = TORG_E_INVALID; /* something stands behind the end */
    if (err)
        return fail_at(file, err);
    file->ended = true;
    return true;
}

bool snapshot_file_next(struct snapshot_file *file)
{
    uint32_t size;
    enum torg_err err;

    buffer_clear(&file->record);
    if (!read_bytes(file, FRAME_LENGTH_BYTES))
        return false;
    size = get_u32be(file->record.data);
    if (size == 0)
        return read_end(file);
    if (size > FRAME_BYTES_MAX)
        return fail_at(file, TORG_E_TOO_BIG);
    if (!read_bytes(file, size))
        return false;
    err = snapshot_take(&file->snapshot, buffer_span(&file->record), &file->frame);
    if (err)
        return fail_at(file, err == TORG_E_TRUNCATED ? TORG_E_INVALID : err);
    cli_progress_set(&file->progress, file->at_bytes);
    return true;
}

struct snapshot_place snapshot_file_place(const struct snapshot_file *file)
{
    return (struct snapshot_place){
        .at_bytes = file->at_bytes, .snapshot = file->snapshot, .ended = file->ended};
}

bool snapshot_file_return(struct snapshot_file *file, const struct snapshot_place *place)
{
    if (fseeko(file->file, (off_t)place->at_bytes, SEEK_SET) != 0) {
        cli_fail(COMMAND, "%s: %s", file->path, strerror(errno));
        return false;
    }
    file->at_bytes = place->at_bytes;
    file->snapshot = place->snapshot;
    file->ended = place->ended;
    return true;
}

bool snapshot_file_check(struct snapshot_file *file)
{
    struct snapshot_place begin = snapshot_file_place(file);
    bool good = true;

    cli_progress_begin(&file->progress, "checking, bytes", file->size_bytes);
    while (good && !file->ended)
        good = snapshot_file_next(file);
    cli_progress_end(&file->progress);
    file->progress = (struct cli_progress){0};
    return good && snapshot_file_return(file, &begin);
}
