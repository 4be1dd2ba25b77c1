/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_FEDERATION_H
#define TORG_DAEMON_HTTP_FEDERATION_H

#include "daemon/http_router.h"

/*
 * /federation: what this node holds of every origin, how old and how complete
 * it is, and how its peers are. Staleness is never hidden. Peers' addresses are
 * not told.
 */
http_handler http_federation;

/* Do its heads come faster than they are taken here? */
bool http_federation_throttled(const struct node *node, const struct origin_id *origin);
/* The collections that this node wants of an origin; all of one that no configuration names. */
uint32_t http_federation_collections(const struct node *node, const struct origin_id *origin);

#endif
