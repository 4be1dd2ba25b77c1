/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TOOLS_CHARTER_CHANGE_H
#define TORG_TOOLS_CHARTER_CHANGE_H

#include "daemon/config.h"
#include "protocol/replica.h"
#include "tools/charter_draft.h"

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
    const char *root_keys[CHARTER_ROOT_KEYS_MAX]; /* paths of the files of root keys that sign */
    size_t root_key_count;
    const char *name;         /* NULL: as it is */
    const char *address;      /* NULL: as it is; "": none */
    const char *new_root_key; /* path of a file to make, in the place of root_keys[0]; or NULL */
    /* Paths of files to make, or 64 hex digits of a key that another keeper has. */
    const char *add_roots[CHARTER_ROOT_KEYS_MAX - 1];
    size_t add_root_count;
    const char *remove_roots[CHARTER_ROOT_KEYS_MAX]; /* in hex */
    size_t remove_root_count;
    uint32_t threshold;   /* how many root keys sign the charters after it; 0: as it is */
    bool new_signing_key; /* the new one is then the only one that counts */
    bool new_node_key;    /* likewise */
    bool new_epoch;
    uint32_t visible;                    /* mask: collections whose visibility changes, */
    uint8_t visibility[COLLECTIONS_MAX]; /* to this (enum visibility) */
    bool new_catalogue;                  /* the next two count: */
    bool has_catalogue;
    struct origin_id catalogue;
};

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

/*
 * The same charter as a draft in a new file, signed with what root keys there
 * are, none if need be; torgd may be running, and nothing changes yet. New keys
 * wait beside the others ("signing.key.draft") for charter_take. A later draft
 * takes their place.
 */
enum torg_err charter_draft(const struct config *config, const struct charter_wish *wish,
                            const char *path, char *message);
/* As charter_change, with a draft that has been signed by enough root keys (charter_draft_sign). */
enum torg_err charter_take(const struct config *config, const char *path, uint64_t *ret_charter_no,
                           char *message);

/* A root key: from its file, and a new one into a file that is not there yet. */
enum torg_err charter_root_key_read(const char *path, struct secret_key *ret_secret,
                                    struct public_key *ret_public, char *message);
enum torg_err charter_root_key_make(const char *path, struct secret_key *ret_secret,
                                    struct public_key *ret_public, char *message);

#endif
