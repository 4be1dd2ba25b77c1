/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_CONN_H
#define TORG_DAEMON_HTTP_CONN_H

#include <event2/util.h>

#include "daemon/http_workers.h"

/*
 * One connection: bytes in, exchanges through the router, answers out, one
 * after the other; what a client sends ahead waits in the kernel. Whole-head,
 * whole-body and whole-answer deadlines, so that a byte a second is no way to
 * stay. Whatever leaves doubt about where a message ends closes it.
 */
#define HTTP_HEAD_TIMEOUT_MS 10000
#define HTTP_BODY_TIMEOUT_MS 60000
#define HTTP_IDLE_TIMEOUT_MS 60000
#define HTTP_WRITE_TIMEOUT_MS 60000
#define HTTP_WRITE_BYTES_PER_S_MIN 65536 /* a slower reader is not waited for */
/* Answers that wait for their readers, of one worker: above it large ones get 503. */
#define HTTP_QUEUED_BYTES_MAX 268435456
#define HTTP_LARGE_BYTES 65536
#define HTTP_LINGER_TIMEOUT_MS 2000
#define HTTP_LINGER_BYTES_MAX 1048576

struct http_conn_source {
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    bool tls;            /* the client begins with a handshake */
};

/* Takes fd. On an error it is closed and the ticket has left the gate. */
enum torg_err http_conn_open(struct http_worker *worker, evutil_socket_t fd, uint64_t ticket,
                             const struct http_conn_source *source);
/* For the worker's outbox. The connection may be gone afterwards. */
http_outbox_send http_conn_send;
/* Close at once; a pending exchange goes on without it. */
void http_conn_close(struct http_conn *conn);
/* The worker's connection with that ticket; NULL if it is gone. */
struct http_conn *http_conn_find(struct http_worker *worker, uint64_t ticket);
/* Nothing is being asked or answered on it. */
bool http_conn_idle(const struct http_conn *conn);
struct http_conn *http_conn_next(const struct http_conn *conn);

#endif
