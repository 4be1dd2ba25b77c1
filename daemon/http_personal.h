/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_PERSONAL_H
#define TORG_DAEMON_HTTP_PERSONAL_H

#include "daemon/http_origins.h"
#include "index/catalogue.h"

/*
 * What an answer shows of an expired origin: its listings, without personal
 * properties. scratch is the caller's; what these make stands in it, until the
 * next call with it. Nothing happens for other origins.
 */

/* document->feature and etag become those of what is shown. */
enum torg_err http_personal_feature(const struct http_exchange *exchange, const struct kv *kv,
                                    const struct http_origins *origins, struct buffer *scratch,
                                    struct document *document);
/* The same for the packed body. */
enum torg_err http_personal_body(const struct http_exchange *exchange,
                                 const struct http_origins *origins,
                                 const struct document *document, struct buffer *scratch,
                                 struct span *body);

#endif
