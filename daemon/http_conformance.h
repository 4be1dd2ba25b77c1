/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_CONFORMANCE_H
#define TORG_DAEMON_HTTP_CONFORMANCE_H

#include "daemon/http_router.h"

/* /conformance: the standards' classes that hold here. All that is said is tested. */
http_handler http_conformance;

#endif
