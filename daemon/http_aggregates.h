/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_AGGREGATES_H
#define TORG_DAEMON_HTTP_AGGREGATES_H

#include "daemon/http_router.h"

/* /aggregates/competence-needs: public needs, counted. JSON and CSV. */
http_handler http_aggregates_needs;

#endif
