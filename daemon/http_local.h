/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_LOCAL_H
#define TORG_DAEMON_HTTP_LOCAL_H

#include "daemon/http_exchange.h"
#include "index/local.h"

/*
 * What the API shows of local collections (index/local.h): this node's own
 * GeoJSON, beside the listings that are replicated.
 */

/*
 * The collection that the path names, if it is a local one; the caller frees
 * it. NULL: it is not, or an error (*ret_err).
 */
struct local_collection *http_local_find(struct http_exchange *exchange, enum torg_err *ret_err);

/* Only some parameters mean something here; else the reply is set. */
bool http_local_takes(struct http_exchange *exchange);

/*
 * The request's filter over the collection's properties, as http_filter_read,
 * and the one that datetime means; NULL without. The caller frees that.
 */
enum torg_err http_local_filters(struct http_exchange *exchange,
                                 const struct local_collection *collection,
                                 struct filter **ret_when, bool *ret_good);

/* The members of the object that describes the collection; self: "self" or "item". */
void http_local_put_collection(struct http_exchange *exchange,
                               const struct local_collection *collection, const char *self,
                               struct buffer *out);
/* All of them, as elements of an array. */
enum torg_err http_local_put_all(struct http_exchange *exchange, const struct kv *kv,
                                 struct buffer *out);

#endif
