/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TOOLS_SNAPSHOT_H
#define TORG_TOOLS_SNAPSHOT_H

#include "daemon/config.h"
#include "index/store.h"

/*
 * Snapshot files (protocol/snapshot.h, docs/snapshot.md) written and read. Both
 * print what they did, and what went wrong, for people. Return enum cli_exit.
 */

/* All states that are whole here, into a new file that takes path's place when it is whole. */
int snapshot_export(struct store *store, const char *path);
/* Into store, which nobody else may write to; config says who is trusted. */
int snapshot_import(struct store *store, const struct config *config, const char *path);

/* "Umeå kommun (0a1b2c3d4e5f6071)", as far as the newest of the signed charters tells. */
#define SNAPSHOT_NAME_BYTES 256
void snapshot_name(const struct origin_id *id, struct span charter_signed_bytes,
                   char out[SNAPSHOT_NAME_BYTES]);

#endif
