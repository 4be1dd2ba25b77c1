/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_stream.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define READ_BYTES 16384
#define INPUT_BYTES_KEPT 4096 /* an emptied buffer of more is given back */

/* ---- in ---- */

struct span http_stream_input(const struct http_stream *stream)
{
    if (stream->input.size == stream->taken)
        return (struct span){0}; /* There may be no buffer at all. */
    return span_of(stream->input.data + stream->taken, stream->input.size - stream->taken);
}

void http_stream_take(struct http_stream *stream, size_t size)
{
    stream->taken += size;
    if (stream->taken < stream->input.size)
        return;
    stream->taken = 0;
    if (stream->input.capacity > INPUT_BYTES_KEPT)
        buffer_done(&stream->input);
    else
        buffer_clear(&stream->input);
}

/* Room behind what has come, which moves to the beginning. */
static enum torg_err make_room(struct http_stream *stream, size_t size)
{
    struct buffer *input = &stream->input;
    enum torg_err err;

    if (stream->taken > 0) {
        input->size -= stream->taken;
        memmove(input->data, input->data + stream->taken, input->size);
        stream->taken = 0;
    }
    err = buffer_reserve(input, size);
    input->err = TORG_OK; /* There may be memory later. */
    return err;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
    struct http_stream *stream = context;
    uint8_t bytes[READ_BYTES];
    ssize_t size = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    (void)what;
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0 || make_room(stream, (size_t)size)) {
        stream->events->ended(stream->context);
        return;
    }
    buffer_put(&stream->input, bytes, (size_t)size);
    stream->events->input(stream->context);
}

/* What TLS has made readable. Without memory it stays where it is until more comes. */
static void pull(struct http_stream *stream)
{
    struct evbuffer *from = bufferevent_get_input(stream->bev);
    size_t size = evbuffer_get_length(from);

    if (size == 0 || make_room(stream, size) ||
        evbuffer_remove(from, stream->input.data + stream->input.size, size) != (int)size)
        return;
    stream->input.size += size;
}

static void on_tls_read(struct bufferevent *bev, void *context)
{
    struct http_stream *stream = context;

    (void)bev;
    if (!stream->reading)
        return; /* http_stream_read pulls it. */
    pull(stream);
    stream->events->input(stream->context);
}

bool http_stream_plain(const struct http_stream *stream)
{
    return stream->readable != NULL;
}

void http_stream_read(struct http_stream *stream, bool on)
{
    if (stream->reading == on)
        return;
    stream->reading = on;
    if (stream->readable && on) {
        (void)event_add(stream->readable, NULL);
    } else if (stream->readable) {
        (void)event_del(stream->readable);
    } else if (on) {
        (void)bufferevent_enable(stream->bev, EV_READ);
        pull(stream);
    } else {
        (void)bufferevent_disable(stream->bev, EV_READ);
    }
}

/* ---- out ---- */

size_t http_stream_send_now(struct http_stream *stream, const struct buffer *head,
                            const struct buffer *body)
{
    struct iovec parts[2] = {{.iov_base = head->data, .iov_len = head->size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 1};
    ssize_t sent;

    if (!stream->readable || evbuffer_get_length(bufferevent_get_output(stream->bev)) > 0)
        return 0;
    if (body && body->size > 0)
        parts[message.msg_iovlen++] = (struct iovec){.iov_base = body->data, .iov_len = body->size};
    sent = sendmsg(bufferevent_getfd(stream->bev), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent > 0 ? (size_t)sent : 0;
}

static void free_body(const void *data, size_t size, void *context)
{
    (void)data;
    (void)size;
    free(context);
}

enum torg_err http_stream_queue(struct http_stream *stream, const struct buffer *head,
                                struct buffer *body, size_t sent)
{
    struct evbuffer *output = bufferevent_get_output(stream->bev);
    size_t of_head = sent < head->size ? sent : head->size, of_body = sent - of_head;

    if (head->size > of_head && evbuffer_add(output, head->data + of_head, head->size - of_head))
        return TORG_E_NOMEM;
    if (!body || body->size <= of_body)
        return TORG_OK;
    if (evbuffer_add_reference(output, body->data + of_body, body->size - of_body, free_body,
                               body->data))
        return TORG_E_NOMEM;
    *body = (struct buffer){0}; /* The output owns its bytes now. */
    return TORG_OK;
}

void http_stream_write(struct http_stream *stream, struct span bytes)
{
    (void)bufferevent_write(stream->bev, bytes.data, bytes.size);
}

void http_stream_end(struct http_stream *stream)
{
    if (!stream->readable)
        (void)SSL_shutdown(bufferevent_openssl_get_ssl(stream->bev)); /* no truncation */
    (void)shutdown(bufferevent_getfd(stream->bev), SHUT_WR);
}

static void on_written(struct bufferevent *bev, void *context)
{
    struct http_stream *stream = context;

    (void)bev;
    stream->events->written(stream->context);
}

static void on_event(struct bufferevent *bev, short what, void *context)
{
    struct http_stream *stream = context;

    (void)bev;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
        stream->events->ended(stream->context);
}

/* ---- from beginning to end ---- */

static enum torg_err open_plain(struct http_stream *stream, struct event_base *base,
                                evutil_socket_t fd)
{
    stream->bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!stream->bev) {
        evutil_closesocket(fd);
        return TORG_E_NOMEM;
    }
    stream->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, stream);
    if (!stream->readable || event_add(stream->readable, NULL) != 0) {
        http_stream_close(stream);
        return TORG_E_NOMEM;
    }
    bufferevent_setcb(stream->bev, NULL, on_written, on_event, stream);
    return TORG_OK;
}

static enum torg_err open_tls(struct http_stream *stream, struct event_base *base,
                              evutil_socket_t fd, SSL *session)
{
    stream->bev = bufferevent_openssl_socket_new(base, fd, session, BUFFEREVENT_SSL_ACCEPTING,
                                                 BEV_OPT_CLOSE_ON_FREE);
    if (!stream->bev) {
        SSL_free(session);
        evutil_closesocket(fd);
        return TORG_E_NOMEM;
    }
    bufferevent_setcb(stream->bev, on_tls_read, on_written, on_event, stream);
    (void)bufferevent_enable(stream->bev, EV_READ | EV_WRITE);
    return TORG_OK;
}

enum torg_err http_stream_open(struct http_stream *stream, struct event_base *base,
                               evutil_socket_t fd, SSL *session,
                               const struct http_stream_events *events, void *context)
{
    *stream = (struct http_stream){.events = events, .context = context, .reading = true};
    return session ? open_tls(stream, base, fd, session) : open_plain(stream, base, fd);
}

void http_stream_close(struct http_stream *stream)
{
    if (stream->readable)
        event_free(stream->readable);
    if (stream->bev)
        bufferevent_free(stream->bev);
    buffer_done(&stream->input);
    *stream = (struct http_stream){0};
}
