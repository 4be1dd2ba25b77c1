/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_API_H
#define TORG_DAEMON_HTTP_API_H

#include "daemon/http_router.h"

/*
 * /api: OpenAPI 3.0, in Swedish or English, written from the same tables that
 * the router and the reader of parameters follow. So the document cannot say
 * what the server does not do.
 */
http_handler http_api;

#endif
