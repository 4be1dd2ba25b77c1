/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TOOLS_SNAPSHOT_FILE_H
#define TORG_TOOLS_SNAPSHOT_FILE_H

#include "protocol/snapshot.h"
#include "tools/cli.h"

/* A snapshot file that is read record by record. All zero is not open. */
struct snapshot_file {
    const char *path;
    FILE *file;
    uint64_t size_bytes, at_bytes; /* the file's; what has been read */
    struct snapshot snapshot;
    struct buffer record;
    bool ended;         /* there is no record any more, and the end is right */
    struct frame frame; /* the record that was read last; borrows from this */
    struct cli_progress progress;
};

/* A place to come back to: behind the record that was read last. */
struct snapshot_place {
    uint64_t at_bytes;
    struct snapshot snapshot;
    bool ended;
};

/* All false after a message on standard error. */
bool snapshot_file_open(struct snapshot_file *file, const char *path);
void snapshot_file_close(struct snapshot_file *file);
/* The next record into frame, or ended. */
bool snapshot_file_next(struct snapshot_file *file);
struct snapshot_place snapshot_file_place(const struct snapshot_file *file);
/* The next record is the one that came after place; frame is of no use before it. */
bool snapshot_file_return(struct snapshot_file *file, const struct snapshot_place *place);
/* Read all of it once, to its end, then stand before the first record again. */
bool snapshot_file_check(struct snapshot_file *file);

#endif
