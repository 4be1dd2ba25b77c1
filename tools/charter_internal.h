/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TOOLS_CHARTER_INTERNAL_H
#define TORG_TOOLS_CHARTER_INTERNAL_H

#include "daemon/guard.h"
#include "tools/charter_change.h"
#include "tools/charter_draft.h"

/*
 * What the files that change a charter share. Nobody else includes this.
 *
 *   charter_change.c  store, guard, the order of steps: new, draft, take
 *   charter_next.c    what the next charter says, and who signs it
 *   charter_keys.c    key files: those that there are, those to be, spare ones
 */

/*
 * Keys that are to be stand under names of their own until their charter is in
 * the store: SPARE for one step, DRAFT while a charter goes round to be signed.
 */
#define SPARE ".new"
#define DRAFT ".draft"

struct charter_key {
    bool made; /* its file, in this run */
    struct secret_key secret;
    struct public_key public;
};

struct charter_change {
    const struct config *config;
    const struct charter_wish *wish;
    char *message;
    const char *suffix; /* of key files that are made: SPARE or DRAFT */
    struct store *store;
    struct guard guard;
    struct charter_own own;
    struct charter next;
    struct buffer next_bytes; /* packed; what next_signed borrows from, unless from draft */
    struct charter_signed next_signed;
    struct charter_draft draft;                      /* when one is taken */
    struct charter_key roots[CHARTER_ROOT_KEYS_MAX]; /* those that were brought */
    size_t root_count;
    struct charter_key new_roots[CHARTER_ROOT_KEYS_MAX]; /* new_root_key, then those added */
    size_t new_root_count;
    struct charter_key signing, node;
    bool speaks; /* a head follows the charter */
};

enum torg_err charter_refuse(struct charter_change *change, enum torg_err err, const char *format,
                             ...) __attribute__((format(printf, 3, 4)));

/* ---- charter_keys.c ---- */
bool charter_lists_signing(const struct charter *charter, const struct public_key *key);
bool charter_lists_root(const struct charter *charter, const struct public_key *key);
/* What a run left that was cut off: the newest charter knows what it is. */
enum torg_err charter_keys_settle(struct charter_change *change);
/* Root keys that the wish names, and the signing key if it stays. */
enum torg_err charter_keys_read_roots(struct charter_change *change);
enum torg_err charter_keys_read_signing(struct charter_change *change);
/* New keys, as the wish has them; charter_keys_drop takes their files away again. */
enum torg_err charter_keys_draw(struct charter_change *change);
void charter_keys_drop(const struct charter_change *change);
/* For a draft that is taken: its keys, from DRAFT to SPARE beside it, or those in use. */
enum torg_err charter_keys_of_draft(struct charter_change *change);
/* SPARE takes the old key's name; and nothing of a draft stays. */
enum torg_err charter_keys_finish(struct charter_change *change);

/* ---- charter_next.c ---- */
/* next, next_bytes and next_signed, by the wish and with all root keys that are there. */
enum torg_err charter_next_make(struct charter_change *change, const struct kv *kv);
/* Are its signatures enough? */
enum torg_err charter_next_check(struct charter_change *change);

#endif
