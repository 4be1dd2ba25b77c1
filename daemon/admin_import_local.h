/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_ADMIN_IMPORT_LOCAL_H
#define TORG_DAEMON_ADMIN_IMPORT_LOCAL_H

#include "daemon/http_exchange.h"

/*
 * POST /import with a name of a local collection (index/local.h), which is made
 * if it is not there. The request and the answer are those of admin_import.h;
 * features are any, and stay on this node.
 */
enum torg_err admin_import_local(struct http_exchange *exchange);

#endif
