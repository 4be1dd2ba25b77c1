/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_LANDING_H
#define TORG_DAEMON_HTTP_LANDING_H

#include "daemon/http_router.h"

/* What a client reads first: where it is, what there is, what is true of it. */
http_handler http_landing;     /* the base itself */
http_handler http_conformance; /* /conformance */
http_handler http_api_info;    /* /api-info */
http_handler http_api;         /* /api: OpenAPI 3.0, from the routes */
http_handler http_collections; /* /collections */
http_handler http_collection;  /* /collections/{collection} */

#endif
