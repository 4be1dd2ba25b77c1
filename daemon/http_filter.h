/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_FILTER_H
#define TORG_DAEMON_HTTP_FILTER_H

#include "daemon/http_exchange.h"

/*
 * filter, filter-lang, filter-crs and properties by their names become the
 * query's filter, sortby params.sort, and properties is checked: all about the listings of
 * query.collections, or of what params.queryables holds already. *ret_good is false when the
 * request was refused: then a reply is set. TORG_E_NOMEM.
 */
enum torg_err http_filter_read(struct http_exchange *exchange, bool *ret_good);

/*
 * Other parameters of the query are wrong: name what besides is neither a
 * parameter nor a property, which otherwise http_filter_read would do.
 */
enum torg_err http_filter_add_unknown(struct http_exchange *exchange, struct problems *problems);

#endif
