/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_WRITE_H
#define TORG_DAEMON_HTTP_WRITE_H

#include "daemon/http_router.h"

/*
 * Listings of the own origin, made, replaced, changed and deleted (OGC API -
 * Features, Part 4). Answered when the commit is on disk: the connection waits
 * meanwhile, its thread does not. The change is made also if the client hangs
 * up. Conditions (If-Match), rights and repeated requests (Idempotency-Key) are
 * decided inside the transaction of the write.
 */
http_handler http_write_post;   /* /collections/{collectionId}/items */
http_handler http_write_put;    /* /collections/{collectionId}/items/{featureId} */
http_handler http_write_patch;  /* the same */
http_handler http_write_delete; /* the same */

/* Not of a local collection, a foreign listing, or where nothing is published. */
bool http_write_offered(struct http_exchange *exchange);

#endif
