/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_OUTBOX_H
#define TORG_DAEMON_HTTP_OUTBOX_H

#include <event2/event.h>

#include "protocol/bytes.h"

/*
 * Answers of one turn of a worker's loop, which leave together at its end.
 * The first packet wakes a client that sleeps on this machine, a proxy for
 * instance, and waking another processor takes the kernel as long as sending;
 * what follows at once finds it awake. The worker's thread only.
 */
#define HTTP_OUTBOX_ANSWERS_MAX 16
#define HTTP_OUTBOX_BYTES_MAX 65536 /* of one body: a larger one leaves at once */
#define HTTP_OUTBOX_WAIT_US_MAX 250 /* then they leave before another request is begun */

struct http_conn;

/* The answer to a connection is to leave. What it leaves of the buffers is used again. */
typedef void http_outbox_send(struct http_conn *conn, struct buffer *head, struct buffer *body);

struct http_outbox {
    http_outbox_send *send;
    struct event *turn; /* ends it: runs behind all that is ready now */
    uint64_t since_us;  /* when the first answer's request came, monotonic */
    size_t count;
    struct http_outbox_answer {
        struct http_conn *conn; /* NULL: it has gone meanwhile */
        struct buffer head, body;
    } answers[HTTP_OUTBOX_ANSWERS_MAX];
};

/* All of outbox is zero. TORG_E_NOMEM. */
enum torg_err http_outbox_init(struct http_outbox *outbox, struct event_base *base,
                               http_outbox_send *send);
/* All zero is accepted; what waits is lost. */
void http_outbox_done(struct http_outbox *outbox);

/* Where the next answer's head is to be written; empty. It need not be put. */
struct buffer *http_outbox_head(struct http_outbox *outbox);
/*
 * That head and this body, of at most HTTP_OUTBOX_BYTES_MAX, wait for the turn's end; check
 * comes before the next put. body becomes an empty buffer, with memory if there is some.
 */
void http_outbox_put(struct http_outbox *outbox, struct http_conn *conn, struct buffer *body,
                     uint64_t came_us);
/* All leave when there is no room for another, or when they have waited long enough. */
void http_outbox_check(struct http_outbox *outbox, uint64_t now_us);
/* The connection ends: its answer, if one waits, will not be sent. */
void http_outbox_forget(struct http_outbox *outbox, const struct http_conn *conn);

#endif
