/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_GZIP_H
#define TORG_DAEMON_HTTP_GZIP_H

#include "protocol/bytes.h"

/*
 * Bodies compressed (RFC 1952), by one thread. Its state of deflate, a quarter of
 * a megabyte, is made once. Documents that stay the same for long are compressed
 * once, as well as can be, and kept: an answer is then a look at its bytes.
 */
#define HTTP_GZIP_KEPT_MAX 24
#define HTTP_GZIP_KEPT_BYTES_MAX 262144 /* of one; a larger document is compressed each time */

struct http_gzip;

/* TORG_E_NOMEM. */
enum torg_err http_gzip_new(struct http_gzip **ret_gzip);
/* NULL is accepted. */
void http_gzip_free(struct http_gzip *gzip);

/*
 * body compressed, in its place; false, and body as it was, if that makes it no
 * smaller or there is no memory. steady: it will be asked for again as it is.
 */
bool http_gzip_body(struct http_gzip *gzip, struct buffer *body, bool steady);

#endif
