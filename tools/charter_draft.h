/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TOOLS_CHARTER_DRAFT_H
#define TORG_TOOLS_CHARTER_DRAFT_H

#include <limits.h>

#include "protocol/charter.h"

/*
 * A charter on its way from one keeper of a root key to the next: the file holds
 * the charter before and the next one with the signatures so far, so that each
 * keeper sees what changes and how many signatures are still wanted, without the
 * node. Format: docs/storage.md, "A draft of a charter".
 */
#define CHARTER_DRAFT_BYTES_MAX 65536
#define CHARTER_MESSAGE_BYTES_MAX 1024

struct charter_draft {
    struct buffer file;                  /* what all the rest borrows from */
    struct charter_signed before_signed; /* its bytes alone */
    struct charter_signed next_signed;
    struct charter before, next;
    struct charter_support support;
};

/*
 * Reads and checks all of it: that the next charter may follow, and each
 * signature that is there. On any error message says what is wrong with it.
 */
enum torg_err charter_draft_read(const char *path, struct charter_draft *ret_draft, char *message);
void charter_draft_done(struct charter_draft *draft);

/* Are there as many signatures as both charters ask for? */
bool charter_draft_complete(const struct charter_draft *draft);

/* path, in one step; replace false: it must not be there yet. Errors as above. */
enum torg_err charter_draft_write(const char *path, const struct charter_signed *before,
                                  const struct charter_signed *next, bool replace, char *message);

/* One signature more, by a root key of either charter that has not signed yet; and the file anew.
 */
enum torg_err charter_draft_sign(struct charter_draft *draft, const char *path,
                                 const struct secret_key *secret, const struct public_key *key,
                                 char *message);

#endif
