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
/*
 * A single listing as the answer: body, ETag, links. kv: any transaction that
 * shows it. TORG_E_NOT_FOUND.
 */
enum torg_err http_items_reply_one(struct http_exchange *exchange, const struct kv *kv,
                                   uint8_t collection, const struct feature_id *id, int status);
/*
 * Does an If-Match value name this listing's tag, in any coordinate system, or
 * is it a star? RFC 9110, 8.8.3.2: a weak tag never does.
 */
bool http_items_etag_matches(struct span field, const uint8_t etag[16]);

#endif
