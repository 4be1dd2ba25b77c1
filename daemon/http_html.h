/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_HTML_H
#define TORG_DAEMON_HTTP_HTML_H

#include "daemon/http_exchange.h"

/*
 * Any JSON answer of the API as a page for people (OGC 17-069r4, class HTML):
 * its facts, its listings, its links. Handlers know nothing of it: the router
 * lets them write JSON and has that rendered, so every resource has a page and
 * none can say something else than its JSON. Without scripts; whatever comes
 * from a listing is escaped, and only web addresses become links.
 * The reply is replaced. TORG_E_CORRUPT if it is no JSON; TORG_E_NOMEM.
 */
enum torg_err http_html_render(struct http_exchange *exchange);

#endif
