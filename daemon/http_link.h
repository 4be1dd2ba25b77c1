/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_LINK_H
#define TORG_DAEMON_HTTP_LINK_H

#include "daemon/http_exchange.h"

/* Absolute URLs, and the link objects of the OGC's APIs. */

/* "https://host": the configured base URL, else the request's host; nothing if neither. */
void http_link_put_root(const struct http_exchange *exchange, struct buffer *out);
/* The same with the API's base path behind it. */
void http_link_put_base(const struct http_exchange *exchange, struct buffer *out);
/*
 * {"rel":...,"href":...,"type":...,"title":...} with an absolute href: format
 * goes on behind the API's base URL. title may be NULL.
 */
void http_link_put(const struct http_exchange *exchange, struct buffer *out, const char *rel,
                   const char *type, const char *title, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
/* The same question in each other format of the route. */
void http_link_alternates(const struct http_exchange *exchange, struct buffer *out);
/* The link self, the request as it came, and its alternates. */
void http_link_self(const struct http_exchange *exchange, struct buffer *out, const char *type);
/* The request again, without the parameters in the mask, and with "name=value" behind. */
void http_link_put_again(const struct http_exchange *exchange, uint64_t without, const char *name,
                         struct span value, struct buffer *out);
/* The same as a link object. */
void http_link_again(const struct http_exchange *exchange, const char *rel, const char *type,
                     uint64_t without, const char *name, struct span value, struct buffer *out);

#endif
