/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "index/path.h"

#define GUARD_DOMAIN "torg/guard/1"
#define GUARD_CHECKED_BYTES 96 /* what the checksum covers */

static const uint8_t guard_magic[16] = "torgguard1";

static void slot_pack(const struct guard_mark *mark, uint8_t out[GUARD_SLOT_BYTES])
{
    struct hash checksum;

    memset(out, 0, GUARD_SLOT_BYTES);
    memcpy(out, guard_magic, 16);
    memcpy(out + 16, mark->origin.bytes, 32);
    put_u64be(out + 48, mark->epoch);
    put_u64be(out + 56, mark->hno);
    memcpy(out + 64, mark->head_hash.bytes, 32);
    checksum = seal_hash(GUARD_DOMAIN, span_of(out, GUARD_CHECKED_BYTES));
    memcpy(out + GUARD_CHECKED_BYTES, checksum.bytes, 32);
}

static enum torg_err slot_parse(const uint8_t slot[GUARD_SLOT_BYTES], struct guard_mark *ret_mark)
{
    struct hash checksum = seal_hash(GUARD_DOMAIN, span_of(slot, GUARD_CHECKED_BYTES));

    if (memcmp(slot, guard_magic, 16) != 0)
        return TORG_E_INVALID;
    if (memcmp(slot + GUARD_CHECKED_BYTES, checksum.bytes, 32) != 0)
        return TORG_E_MISMATCH;
    memcpy(ret_mark->origin.bytes, slot + 16, 32);
    ret_mark->epoch = get_u64be(slot + 48);
    ret_mark->hno = get_u64be(slot + 56);
    memcpy(ret_mark->head_hash.bytes, slot + 64, 32);
    return TORG_OK;
}

static enum torg_err guard_load(struct guard *guard, const struct origin_id *origin)
{
    for (unsigned i = 0; i < 2; i++) {
        uint8_t slot[GUARD_SLOT_BYTES];
        struct guard_mark mark;
        ssize_t size = pread(guard->fd, slot, sizeof(slot), (off_t)i * GUARD_SLOT_DISTANCE);

        if (size < 0)
            return TORG_E_IO;
        if ((size_t)size < sizeof(slot) || slot_parse(slot, &mark))
            continue; /* never written, or torn while it was: the other one counts */
        if (memcmp(&mark.origin, origin, sizeof(mark.origin)) != 0)
            continue; /* its numbers are not ours, however great they are */
        if (guard->has_mark && guard_mark_compare(&mark, &guard->mark) <= 0)
            continue;
        guard->has_mark = true;
        guard->mark = mark;
        guard->slot = i;
    }
    return TORG_OK;
}

enum torg_err guard_open(const char *directory, const struct origin_id *origin,
                         struct guard *ret_guard)
{
    struct guard guard = {0};
    char path[PATH_MAX];
    enum torg_err err = path_join(directory, GUARD_FILE, path, sizeof(path));
    int directory_fd;

    if (err)
        return err;
    guard.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (guard.fd < 0)
        return TORG_E_IO;
    guard.is_open = true;
    /* Its blocks now, while there is room: a full disk must not stop a mark. Where the file
     * system cannot promise that, the mark's own error will tell. */
    (void)!posix_fallocate(guard.fd, 0, GUARD_SLOT_DISTANCE + GUARD_SLOT_BYTES);
    err = guard_load(&guard, origin);
    if (err)
        goto done;
    /* Its name must survive a power cut before the first mark may be relied on. */
    directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory_fd < 0 || fsync(directory_fd) < 0)
        err = TORG_E_IO;
    if (directory_fd >= 0)
        close(directory_fd);
done:
    if (err)
        guard_done(&guard);
    else
        *ret_guard = guard;
    return err;
}

void guard_done(struct guard *guard)
{
    if (guard->is_open)
        close(guard->fd);
    *guard = (struct guard){0};
}

enum torg_err guard_write(struct guard *guard, const struct guard_mark *mark)
{
    uint8_t slot[GUARD_SLOT_BYTES];
    unsigned other = guard->has_mark ? 1 - guard->slot : 0;
    ssize_t size;

    slot_pack(mark, slot);
    size = pwrite(guard->fd, slot, sizeof(slot), (off_t)other * GUARD_SLOT_DISTANCE);
    if (size != (ssize_t)sizeof(slot)) {
        errno = size < 0 ? errno : EIO;
        return TORG_E_IO;
    }
    if (fdatasync(guard->fd) < 0)
        return TORG_E_IO;
    guard->has_mark = true;
    guard->mark = *mark;
    guard->slot = other;
    return TORG_OK;
}

int guard_mark_compare(const struct guard_mark *a, const struct guard_mark *b)
{
    if (a->epoch != b->epoch)
        return a->epoch < b->epoch ? -1 : 1;
    return (a->hno > b->hno) - (a->hno < b->hno);
}
