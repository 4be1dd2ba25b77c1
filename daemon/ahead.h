/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_AHEAD_H
#define TORG_DAEMON_AHEAD_H

#include "index/catalogue_ahead.h"
#include "index/store.h"
#include "protocol/sync.h"

/*
 * A thread that derives what peers' writes will put into the catalogue while
 * the writer still has others: the writer's own work for a listing is halved
 * where there is a second processor. It is patient: it yields to everything
 * else, and what it has not begun when the writer comes to it, the writer does.
 */
struct ahead;

#define AHEAD_ENTRIES_MIN 32    /* of a write; for fewer it is not worth a switch of threads */
#define AHEAD_BYTES_MAX 8388608 /* payloads that are derived and not taken: about 40 MB derived */

/* Part of a job of the writer; all zero before it is offered. */
struct ahead_task {
    const struct sync_store *store;
    size_t bytes; /* of payloads */
    enum { AHEAD_NONE, AHEAD_WAITING, AHEAD_BUSY, AHEAD_DONE } state;
    bool wanted; /* the writer waits for it */
    struct catalogue_ahead *derived;
    struct ahead_task *next;
};

/* TORG_E_NOMEM. Starts the thread. */
enum torg_err ahead_new(struct store *store, const struct theme_tree *themes,
                        struct ahead **ret_ahead);
/* Every task must have been taken. NULL is accepted. */
void ahead_free(struct ahead *ahead);

/* Any thread. task and store must stay until ahead_take. */
void ahead_offer(struct ahead *ahead, struct ahead_task *task, const struct sync_store *store,
                 size_t bytes);
/*
 * The task is the caller's again: what has been derived so far, NULL if nothing
 * was. Waits for a few listings at most. May be called again, and gives NULL then.
 * The caller frees the result.
 */
struct catalogue_ahead *ahead_take(struct ahead *ahead, struct ahead_task *task);

#endif
