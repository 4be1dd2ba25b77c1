/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_ADMIN_COLLECTIONS_H
#define TORG_DAEMON_ADMIN_COLLECTIONS_H

#include "daemon/http_router.h"

/* Local collections, for operators: which there are, and taking one away. */
http_handler admin_collections_get; /* GET /collections */
/*
 * DELETE /collections/{name}: one step, at most ADMIN_DELETE_FEATURES_MAX
 * features in one commit, so that nobody's write waits long. The answer says
 * how many were deleted and how many are left: the same again until none is.
 */
http_handler admin_collections_delete;
#define ADMIN_DELETE_FEATURES_MAX 5000

#endif
