/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_WARM_H
#define TORG_DAEMON_WARM_H

#include "index/store.h"

/*
 * A thread that finds where nodes and documents lie before anybody asks for
 * them (catalogue_warm.h), when nothing has been written for a while: at the start,
 * after a load, between commits that come seldom. It yields to those that answer,
 * spends a small part of the time, and reads what is in memory: where the store
 * is larger than that, it would drive out what is asked for.
 */
struct warm;

#define WARM_LOOK_MS 1000  /* a snapshot that is still the newest after so long is worth it */
#define WARM_FRACTION 16   /* of the time at most */
#define WARM_FAULTS_MAX 64 /* pages that had to be read from the disk: then it is given up */

/* TORG_E_NOMEM. Starts the thread. */
enum torg_err warm_new(struct store *store, struct warm **ret_warm);
/* Before the store is closed. NULL is accepted. */
void warm_free(struct warm *warm);

#endif
