/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_ITEM_H
#define TORG_DAEMON_HTTP_ITEM_H

#include "daemon/http_exchange.h"
#include "index/catalogue.h"
#include "index/geo_transform.h"

/*
 * How one listing becomes an answer, alone (http_items_reply_one and
 * http_items_etag_matches, which http_items.h promises) or in a list: in the
 * coordinate system that was asked for.
 */

/* NULL for CRS84, in which listings are stored. The caller frees. */
enum torg_err http_item_open_transform(const struct http_exchange *exchange,
                                       struct geo_transform **ret_transform);
/* document->feature in that system; it stands in scratch until the next call. */
enum torg_err http_item_project(const struct http_exchange *exchange,
                                struct geo_transform *transform, struct buffer *scratch,
                                struct document *document);
void http_item_reply_content_crs(struct http_exchange *exchange);

#endif
