/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_KEYFILE_H
#define TORG_DAEMON_KEYFILE_H

#include "protocol/seal.h"

/*
 * A file that holds one Ed25519 key as its 32-byte seed: comment lines that
 * begin with '#', then 64 hex digits and a newline. Mode 0600. torg init writes
 * them, torgd reads them:
 *   signing.key  signs heads and beats
 *   node.key     proves the node to its peers in TLS
 *   root.key     signs charters; kept offline
 * Which number a signing key has in the charter, the charter says.
 */
#define KEYFILE_SIGNING "signing.key"
#define KEYFILE_NODE "node.key"
#define KEYFILE_ROOT "root.key"
#define KEYFILE_BYTES_MAX 4096
#define KEYFILE_MESSAGE_BYTES_MAX 640

/*
 * directory/name. On any error message (of KEYFILE_MESSAGE_BYTES_MAX) says
 * what is wrong with which file and what to do: TORG_E_NOT_FOUND,
 * TORG_E_CONFIG when others may read it, TORG_E_INVALID when it holds no key,
 * TORG_E_IO. seal_init must have been called.
 */
enum torg_err keyfile_read(const char *directory, const char *name, struct secret_key *ret_secret,
                           struct public_key *ret_public, char *message);

/*
 * A new file of mode 0600 that did not exist, durable on TORG_OK. comment: one
 * line without the '#'. TORG_E_KNOWN when the file is there, which is never
 * overwritten; TORG_E_IO.
 */
enum torg_err keyfile_write(const char *directory, const char *name, const char *comment,
                            const uint8_t seed[32], char *message);

#endif
