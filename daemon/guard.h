/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_GUARD_H
#define TORG_DAEMON_GUARD_H

#include "protocol/head.h"

/*
 * The guard file, DIRECTORY/guard: the newest own head that may have left this
 * node, kept outside the database. A database that was restored from an old
 * copy stands behind its guard, and must not sign those numbers again.
 *
 * Two slots, 4096 bytes apart so that no torn write harms both, overwritten in
 * turn with one fdatasync. A slot, 136 bytes:
 *   "torgguard1\0\0\0\0\0\0" 16 | origin 32 | epoch u64be | hno u64be |
 *   headhash 32 | checksum 32 | u64be 0
 * checksum = BLAKE2b-256, domain "torg/guard/1", of what stands before it. Of
 * two valid slots of the origin the one with the greater (epoch, hno) counts; what an earlier
 * origin left in the directory says nothing about this one.
 */
#define GUARD_FILE "guard"
#define GUARD_SLOT_BYTES 136
#define GUARD_SLOT_DISTANCE 4096

struct guard_mark {
    struct origin_id origin;
    uint64_t epoch, hno;
    struct hash head_hash;
};

struct guard {
    int fd;
    bool is_open;
    bool has_mark;
    struct guard_mark mark;
    unsigned slot; /* which of the two the mark stands in */
};

/*
 * Opens the file for an origin, creating it if it is not there (then without a
 * mark, as when both slots are damaged or another origin's). TORG_E_IO (errno).
 */
enum torg_err guard_open(const char *directory, const struct origin_id *origin,
                         struct guard *ret_guard);
void guard_done(struct guard *guard);

/* Durable on TORG_OK. TORG_E_IO: the older mark still stands. */
enum torg_err guard_write(struct guard *guard, const struct guard_mark *mark);

/* Order by (epoch, hno): <0, 0, >0. */
int guard_mark_compare(const struct guard_mark *a, const struct guard_mark *b);

#endif
