/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TOOLS_CHARTER_CHANGE_H
#define TORG_TOOLS_CHARTER_CHANGE_H

#include "daemon/config.h"
#include "protocol/replica.h"

/*
 * The next charter of the own origin: keys, name, address or epoch change, the
 * root key signs, and from the next start on the node speaks with the new keys.
 * docs/protocol.md tells how neighbours follow.
 */

/* The newest charter of the origin that a store belongs to. Texts point into the store. */
struct charter_own {
    struct replica_origin origin;
    struct charter_signed charter_signed;
    struct charter charter;
};
/* TORG_E_NOT_FOUND when nobody is founded in the store; TORG_E_CORRUPT and others. */
enum torg_err charter_own_get(const struct kv *kv, struct charter_own *ret_own);

struct charter_wish {
    const char *root_key;     /* path of the root key's file */
    const char *name;         /* NULL: as it is */
    const char *address;      /* NULL: as it is; "": none */
    const char *new_root_key; /* NULL: as it is; else the path of a file to make */
    bool new_signing_key;     /* the new one is then the only one that counts */
    bool new_node_key;        /* likewise */
    bool new_epoch;
    uint32_t visible;                    /* mask: collections whose visibility changes, */
    uint8_t visibility[COLLECTIONS_MAX]; /* to this (enum visibility) */
};

#define CHARTER_MESSAGE_BYTES_MAX 1024

/*
 * Makes the keys, the charter and, if anything was published, the first head
 * under it, in one durable step; torgd must not be running. A run that was cut
 * off leaves either nothing but spare key files or all of it, and the next run
 * puts the key files in order. On any error message (of
 * CHARTER_MESSAGE_BYTES_MAX) says what is wrong and what to do, and the data
 * directory is as it was.
 */
enum torg_err charter_change(const struct config *config, const struct charter_wish *wish,
                             uint64_t *ret_charter_no, char *message);

#endif
