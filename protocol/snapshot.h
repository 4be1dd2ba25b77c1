/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_SNAPSHOT_H
#define TORG_PROTOCOL_SNAPSHOT_H

#include "protocol/frame.h"

/*
 * Snapshot files: the states of origins as one file, for a USB stick or a
 * static web server. docs/snapshot.md has the format, which is
 *
 *   SNAPSHOT_MAGIC
 *   records, each a frame of torg/1 without flags, for each origin:
 *     CHARTER (one or more), HEAD, BEAT (or none),
 *     ENTRIES of each collection, which stands in the place of sid: all
 *     collections that are whole, ascending; of each, all live listings,
 *     ascending by k; "more" until the last frame of a collection
 *   end: u32be 0 | u32be number of records | 32 bytes of digest
 *
 * The trie is a function of the entries, so it is not in the file. The digest
 * is the last of a chain, H(digest before || H(record)) by "torg/snapshot/1", that
 * begins with zeros: it finds accidents. What makes the contents true is what
 * is signed in them; nothing here looks at that.
 */
#define SNAPSHOT_MAGIC "torg snapshot 1\n"
#define SNAPSHOT_MAGIC_BYTES 16
#define SNAPSHOT_MAGIC_NAME_BYTES 14 /* "torg snapshot ": of any version */
#define SNAPSHOT_END_BYTES 40

/* A file as it is written or read, record by record. All zero is the beginning. */
struct snapshot {
    uint32_t records;
    struct hash digest;
    uint8_t last;       /* the type of the last record; 0: none yet */
    uint8_t collection; /* of the last ENTRIES of this origin; 0: none yet */
    bool more;          /* the last ENTRIES said that more follow */
    struct origin_id origin;
};

/*
 * The next record, the whole frame. Checks its form and its place; *ret_frame
 * borrows from record. TORG_E_UNEXPECTED: it does not belong there.
 * TORG_E_INVALID, TORG_E_PROFILE ...: no frame of a snapshot.
 */
enum torg_err snapshot_take(struct snapshot *snapshot, struct span record, struct frame *ret_frame);
/*
 * The end's SNAPSHOT_END_BYTES. TORG_E_MISMATCH: a byte of the file is not what
 * it was when it was written. TORG_E_UNEXPECTED: in the middle of an origin.
 */
enum torg_err snapshot_end(const struct snapshot *snapshot, struct span end);

/* Append a record, or the end, to out. Errors of frame_encode and snapshot_take. */
enum torg_err snapshot_put(struct snapshot *snapshot, const struct frame *frame,
                           struct buffer *out);
void snapshot_put_end(const struct snapshot *snapshot, struct buffer *out);

#endif
