/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_FEDERATION_H
#define TORG_DAEMON_HTTP_FEDERATION_H

#include "daemon/http_router.h"
#include "protocol/sync.h"

/*
 * /federation: what this node holds of every origin, how old and how complete
 * it is, and how its peers are. Staleness is never hidden. Peers' addresses are
 * not told.
 */
http_handler http_federation;

/* What replication says of an origin; of one that no configuration names: all is wanted. */
struct sync_origin_status http_federation_status(const struct node *node,
                                                 const struct origin_id *origin);

#endif
