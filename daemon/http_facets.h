/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_FACETS_H
#define TORG_DAEMON_HTTP_FACETS_H

#include "daemon/http_exchange.h"
#include "daemon/http_origins.h"

/*
 * What an answer says beside its listings: how they divide ("facets"), and how
 * they were found ("explain").
 */

/* The member facets; nothing when params ask for none. */
enum torg_err http_facets_put(struct http_exchange *exchange, const struct http_origins *origins,
                              const struct query_facets *facets, struct buffer *out);

/* The member explain. */
void http_facets_put_explain(const struct query_explain *explain, struct buffer *out);

#endif
