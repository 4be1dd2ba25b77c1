/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_ITEM_H
#define TORG_DAEMON_HTTP_ITEM_H

#include "daemon/http_exchange.h"
#include "index/catalogue.h"
#include "index/geo_transform.h"

/*
 * How one listing becomes an answer, alone or in a list: in the coordinate
 * system that was asked for.
 */

/*
 * A single listing as the answer: body, ETag, links. kv: any transaction that
 * shows it. TORG_E_NOT_FOUND.
 */
enum torg_err http_item_reply(struct http_exchange *exchange, const struct kv *kv,
                              uint8_t collection, const struct feature_id *id, int status);
/*
 * Do If-Match and If-None-Match, as far as the request has them, let it change
 * the listing with this tag (RFC 9110, 13.1)? The tag of any coordinate system counts.
 */
bool http_item_may_change(const struct http_request *request, const uint8_t etag[16]);

/* NULL for CRS84, in which listings are stored. The caller frees. */
enum torg_err http_item_open_transform(const struct http_exchange *exchange,
                                       struct geo_transform **ret_transform);
/*
 * document->feature in that system, of a local collection if document->collection is 0; it stands
 * in scratch until the next call.
 */
enum torg_err http_item_project(const struct http_exchange *exchange,
                                struct geo_transform *transform, struct buffer *scratch,
                                struct document *document);
void http_item_reply_content_crs(struct http_exchange *exchange);

#endif
