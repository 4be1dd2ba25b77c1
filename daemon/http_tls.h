/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_TLS_H
#define TORG_DAEMON_HTTP_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "protocol/err.h"

/*
 * The certificate of the web: TLS 1.2 and 1.3 for any visitor, unlike the pinned
 * keys between nodes (transport.h). The files are looked at again when torgd is
 * told to reload, and at the next connection when one has changed, so that a
 * renewed certificate needs no restart; new files that cannot be used are logged,
 * and the old certificate stays. Any thread.
 */
#define HTTP_TLS_LOOK_S 2 /* how often the files are looked at, at most */

struct http_tls;

/* The paths are copied. TORG_E_CONFIG (logged): a file cannot be used. */
enum torg_err http_tls_new(const char *certificate, const char *key, struct http_tls **ret_tls);
void http_tls_free(struct http_tls *tls);
/* The server's end of a new connection, which the caller owns; NULL without memory. */
SSL *http_tls_session(struct http_tls *tls);
void http_tls_reload(struct http_tls *tls);

#endif
