/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_WRITE_LISTING_H
#define TORG_DAEMON_HTTP_WRITE_LISTING_H

#include <jansson.h>

#include "daemon/http_exchange.h"
#include "index/catalogue.h"

/* From a request's body to what is signed. Where false comes back, a reply says what is wrong. */

/* The request's body as JSON, which the caller releases; positions are in degrees by now. */
bool http_write_listing_json(struct http_exchange *exchange, json_t **ret_json);
/*
 * A GeoJSON feature as a packed payload. ret_provider: the reference that the
 * listing has as its provider, zeros if none.
 */
bool http_write_listing_pack(struct http_exchange *exchange, uint8_t collection,
                             const json_t *feature, int64_t created_ms, struct buffer *ret_payload,
                             uint8_t ret_provider[LISTING_REFERENCE_SIZE]);
/*
 * A stored listing with a merge patch (RFC 7396) applied: null takes a member
 * away, an object goes into an object, everything else replaces.
 */
enum torg_err http_write_listing_merge(const struct document *document, const json_t *patch,
                                       json_t **ret_feature);

#endif
