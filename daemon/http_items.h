/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_ITEMS_H
#define TORG_DAEMON_HTTP_ITEMS_H

#include "daemon/http_router.h"

/* Listings: lists of them, and one. */
http_handler http_items_list;   /* /collections/{collectionId}/items */
http_handler http_items_search; /* /search */
http_handler http_items_one;    /* /collections/{collectionId}/items/{featureId} */

/* The public collection that the path names; 0, with a reply, if there is none. */
uint8_t http_items_collection(struct http_exchange *exchange);
/* The feature id that the path names; false, with a reply, if it is none. */
bool http_items_id(struct http_exchange *exchange, struct feature_id *ret_id);

#endif
