/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_STREAM_H
#define TORG_DAEMON_HTTP_STREAM_H

#include <event2/event.h>
#include <event2/util.h>
#include <openssl/ssl.h>

#include "protocol/bytes.h"

/*
 * The bytes of one connection, in and out. What has come stands in one piece
 * until it is taken; what does not leave at once is queued. A plain socket is
 * read here: libevent's bufferevent would ask the kernel first how much there
 * is and keep a list of pieces. It still writes what is queued, and it does
 * all of TLS. One thread: that of the event base.
 */
struct bufferevent;

struct http_stream_events {
    void (*input)(void *context);   /* more has come; may close the stream */
    void (*written)(void *context); /* the queue is empty; may close the stream */
    void (*ended)(void *context);   /* by the other end, or an error; should close it */
};

struct http_stream {
    const struct http_stream_events *events;
    void *context;
    struct bufferevent *bev;
    struct event *readable; /* NULL with TLS */
    bool reading;
    struct buffer input;
    size_t taken; /* of its bytes */
};

/*
 * Reads from now on. Takes fd, and session, which is NULL without TLS: on an error
 * they are closed. events is borrowed. TORG_E_NOMEM.
 */
enum torg_err http_stream_open(struct http_stream *stream, struct event_base *base,
                               evutil_socket_t fd, SSL *session,
                               const struct http_stream_events *events, void *context);
/* Closes the socket. What is queued is lost. All zero is accepted. */
void http_stream_close(struct http_stream *stream);

/* Without TLS? */
bool http_stream_plain(const struct http_stream *stream);
/* While it is off, more of what the client sends waits in the kernel. */
void http_stream_read(struct http_stream *stream, bool on);
/* What has come and is not taken yet; valid until it is taken or the next event. */
struct span http_stream_input(const struct http_stream *stream);
void http_stream_take(struct http_stream *stream, size_t size);

/*
 * Most answers fit into the socket's buffer: they leave in one call, without a
 * wait or a look at the descriptor. body may be NULL. Returns how many bytes
 * did, 0 if others are queued; what is wrong with the socket shows when the rest
 * is written.
 */
size_t http_stream_send_now(struct http_stream *stream, const struct buffer *head,
                            const struct buffer *body);
/* Queue what is left of both behind sent bytes. Takes body's memory. TORG_E_NOMEM. */
enum torg_err http_stream_queue(struct http_stream *stream, const struct buffer *head,
                                struct buffer *body, size_t sent);
/* Queue a few bytes that no answer waits for. */
void http_stream_write(struct http_stream *stream, struct span bytes);
/* Nothing more will be written: the client sees the end. */
void http_stream_end(struct http_stream *stream);

#endif
