/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_BENCH_SERVER_HTTP_H
#define TORG_TESTS_BENCH_SERVER_HTTP_H

#include "protocol/bytes.h"

/*
 * A plain HTTP/1.1 client on loopback, one connection, kept open: as little as
 * can stand between a question and its answer. Failures end the program.
 */
struct server_http;

struct server_http *server_http_new(uint16_t port, const char *bearer); /* bearer: or NULL */
void server_http_free(struct server_http *http);

/* target begins with '/'. type and body: of a request that has one, else NULL and empty. */
void server_http_send(struct server_http *http, const char *method, const char *target,
                      const char *type, struct span body);
/* The answer to what was sent; its body is borrowed until the next. Returns the status. */
int server_http_receive(struct server_http *http, struct span *ret_body);
/* Both, for a status that must be 200. */
struct span server_http_get(struct server_http *http, const char *target);

#endif
