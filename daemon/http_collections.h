/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_COLLECTIONS_H
#define TORG_DAEMON_HTTP_COLLECTIONS_H

#include "daemon/http_router.h"

/* The collections: what they are called, where and when their listings lie, how they are asked. */
http_handler http_collections; /* /collections */
http_handler http_collection;  /* /collections/{collectionId} */

/* The member links of a collection's object; self: "self" or "item". */
void http_collections_put_links(struct http_exchange *exchange, const char *name, const char *self,
                                bool has_csv, struct buffer *out);
/* The member extent of a collection's object, padded. */
void http_collections_put_extent(struct buffer *out, const struct query_extent *extent);

#endif
