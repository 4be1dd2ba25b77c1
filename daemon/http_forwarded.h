/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_FORWARDED_H
#define TORG_DAEMON_HTTP_FORWARDED_H

#include "daemon/config.h"
#include "protocol/http_request.h"

/*
 * What proxies say about whom they speak for: Forwarded (RFC 7239), or
 * X-Forwarded-For, -Proto and -Host. Only the proxies of the configuration are
 * believed, and each only about the one before it: the fields are read from
 * their end, as far as the chain is trusted. Anybody else may write there what
 * he wants, and it is passed over. Where both kinds stand, one may be a client's:
 * then an address or a host counts only if both say the same.
 */
struct http_client {
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    bool https;          /* between the client and the first proxy, as the last one tells */
    struct span host;    /* borrowed from the request; checked as its Host field is */
};

/*
 * peer: whose connection it is; https: is it encrypted? Without a trusted proxy
 * the answer is these and the request's own Host field.
 */
void http_forwarded_read(const struct http_request *request, const struct config *config,
                         const uint8_t peer[16], bool https, struct http_client *ret_client);

/* Is it one of the proxies of the configuration? */
bool http_forwarded_trusts(const struct config *config, const uint8_t address[16]);

#endif
