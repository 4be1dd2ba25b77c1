/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_THEMES_H
#define TORG_DAEMON_HTTP_THEMES_H

#include "daemon/http_router.h"

/* /themes: the taxonomy as a tree, with the number of listings that a query leaves in each. */
http_handler http_themes;

#endif
