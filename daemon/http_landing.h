/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_LANDING_H
#define TORG_DAEMON_HTTP_LANDING_H

#include "daemon/http_router.h"

/* What a client reads first: where it is, and what it may do there. */
http_handler http_landing;  /* the base itself */
http_handler http_api_info; /* /api-info */

#endif
