/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_SUGGEST_H
#define TORG_DAEMON_HTTP_SUGGEST_H

#include "daemon/http_router.h"

http_handler http_suggest; /* /suggest: type-ahead over themes, places and names */

#endif
