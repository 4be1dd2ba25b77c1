/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_conn.h"
#include "daemon/clock.h"
#include "daemon/http_reply.h"

#include <assert.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "daemon/http_rate.h"
#include "daemon/http_tls.h"
#include "daemon/log.h"

#define BODY_PIECE_BYTES 16384
/* Who sends many requests at once has so much done before others get their turn. */
#define TURN_REQUESTS_MAX 16
#define TURN_US_MAX 10000

enum conn_state {
    CONN_IDLE,    /* no byte of a request yet */
    CONN_HEAD,    /* some bytes of a head */
    CONN_BODY,    /* the head is judged, the body is coming */
    CONN_RUNNING, /* a handler waits for the writer */
    CONN_WRITING, /* an answer is on its way */
    CONN_LINGER,  /* closed for writing: the last answer must not be lost to a reset */
};

struct http_conn {
    struct http_worker *worker;
    struct http_conn *before, *after;
    struct bufferevent *bev;
    struct event *timer, *turn;
    uint64_t ticket;
    struct http_conn_source source;
    enum conn_state state;
    bool closing; /* after the answer */
    size_t head_at;
    struct http_chunked chunked;
    uint64_t started_us;
    uint64_t queued_bytes; /* of the answer that is being sent */
    size_t lingered_bytes;
    struct http_exchange *exchange;
};

static void count(struct http_conn *conn, enum metrics_counter counter, uint64_t value)
{
    metrics_add(conn->worker->options->node->metrics, counter, value);
}

static void set_deadline(struct http_conn *conn, uint64_t timeout_ms)
{
    struct timeval tv = {.tv_sec = (time_t)(timeout_ms / 1000),
                         .tv_usec = (suseconds_t)(timeout_ms % 1000 * 1000)};

    (void)event_add(conn->timer, &tv);
}

/* ---- exchanges ---- */

/* Memory that the next answer can use as it is; small enough to be kept. */
static struct buffer spare_buffer(struct buffer *used)
{
    struct buffer kept = {0};

    if (used->capacity <= HTTP_SPARE_BYTES_MAX) {
        kept = *used;
        buffer_clear(&kept);
    } else {
        buffer_done(used);
    }
    *used = (struct buffer){0};
    return kept;
}

static struct http_exchange *exchange_new(struct http_conn *conn)
{
    struct http_exchange *exchange = conn->worker->spare;
    struct buffer fields = {0}, body = {0};

    if (exchange) {
        fields = exchange->reply.fields;
        body = exchange->reply.body;
    } else {
        exchange = malloc(sizeof(*exchange));
    }
    conn->worker->spare = NULL;
    if (!exchange)
        return NULL;
    memset(exchange, 0, HTTP_EXCHANGE_ZEROED);
    exchange->reply.fields = fields;
    exchange->reply.body = body;
    exchange->query.count = 0;
    exchange->path.count = 0;
    exchange->worker = conn->worker;
    exchange->conn = conn;
    exchange->node = conn->worker->options->node;
    exchange->service = conn->worker->options->service;
    exchange->now_ms = clock_wall_ms();
    exchange->started_us = conn->started_us;
    conn->worker->exchanges++;
    conn->exchange = exchange;
    return exchange;
}

void http_exchange_free_spare(struct http_exchange *exchange)
{
    if (!exchange)
        return;
    buffer_done(&exchange->reply.fields);
    buffer_done(&exchange->reply.body);
    free(exchange);
}

static void exchange_free(struct http_exchange *exchange)
{
    struct http_worker *worker;

    if (!exchange)
        return;
    worker = exchange->worker;
    http_params_done(&exchange->params);
    buffer_done(&exchange->body);
    exchange->reply.fields = spare_buffer(&exchange->reply.fields);
    exchange->reply.body = spare_buffer(&exchange->reply.body);
    worker->exchanges--;
    if (worker->spare)
        http_exchange_free_spare(exchange);
    else
        worker->spare = exchange;
}

struct loop *http_exchange_loop(const struct http_exchange *exchange)
{
    return exchange->worker->loop;
}

/* ---- the end of a connection ---- */

struct http_conn *http_conn_next(const struct http_conn *conn)
{
    return conn->after;
}

bool http_conn_idle(const struct http_conn *conn)
{
    return conn->state == CONN_IDLE || conn->state == CONN_HEAD || conn->state == CONN_LINGER;
}

struct http_conn *http_conn_find(struct http_worker *worker, uint64_t ticket)
{
    struct http_conn *conn = worker->first;

    while (conn && conn->ticket != ticket)
        conn = conn->after;
    return conn;
}

void http_conn_close(struct http_conn *conn)
{
    struct http_worker *worker = conn->worker;

    if (conn->exchange && conn->exchange->pending)
        conn->exchange->conn = NULL; /* The write goes on; nobody hears of it. */
    else
        exchange_free(conn->exchange);
    if (conn->after)
        conn->after->before = conn->before;
    if (conn->before)
        conn->before->after = conn->after;
    else
        worker->first = conn->after;
    worker->connections--;
    worker->queued_bytes -= conn->queued_bytes;
    http_gate_leave(worker->gate, conn->ticket);
    if (conn->timer)
        event_free(conn->timer);
    if (conn->turn)
        event_free(conn->turn);
    bufferevent_free(conn->bev);
    free(conn);
    http_worker_check_drained(worker);
}

static void linger(struct http_conn *conn)
{
    if (conn->source.tls)
        (void)SSL_shutdown(bufferevent_openssl_get_ssl(conn->bev)); /* no truncation */
    (void)shutdown(bufferevent_getfd(conn->bev), SHUT_WR);
    conn->state = CONN_LINGER;
    http_gate_waiting(conn->worker->gate, conn->ticket); /* It may give way to a new one. */
    set_deadline(conn, HTTP_LINGER_TIMEOUT_MS);
    (void)evbuffer_drain(bufferevent_get_input(conn->bev), SIZE_MAX);
    (void)bufferevent_enable(conn->bev, EV_READ);
}

static void linger_read(struct http_conn *conn)
{
    struct evbuffer *input = bufferevent_get_input(conn->bev);

    conn->lingered_bytes += evbuffer_get_length(input);
    (void)evbuffer_drain(input, SIZE_MAX);
    if (conn->lingered_bytes > HTTP_LINGER_BYTES_MAX)
        http_conn_close(conn);
}

/* ---- answers ---- */

static void free_body(const void *data, size_t size, void *context)
{
    (void)data;
    (void)size;
    free(context);
}

/*
 * Most answers fit into the socket's buffer: they leave in one call, without a
 * wait, a timer or a look at the descriptor. Returns how many bytes did; what is
 * wrong with the socket shows when the rest is written.
 */
static size_t send_now(struct http_conn *conn, const struct buffer *head, const struct buffer *body)
{
    struct iovec parts[2] = {{.iov_base = head->data, .iov_len = head->size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 1};
    ssize_t sent;

    if (conn->source.tls || evbuffer_get_length(bufferevent_get_output(conn->bev)) > 0)
        return 0;
    if (body && body->size > 0)
        parts[message.msg_iovlen++] = (struct iovec){.iov_base = body->data, .iov_len = body->size};
    sent = sendmsg(bufferevent_getfd(conn->bev), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent > 0 ? (size_t)sent : 0;
}

/* From here on the connection writes what is left after sent bytes; true on success. */
static bool start_writing(struct http_conn *conn, struct buffer *head, struct buffer *body,
                          size_t sent)
{
    struct evbuffer *output = bufferevent_get_output(conn->bev);
    size_t of_head = sent < head->size ? sent : head->size, of_body = sent - of_head;
    uint64_t size = head->size + (body ? body->size : 0) - sent;

    if (head->size > of_head && evbuffer_add(output, head->data + of_head, head->size - of_head))
        return false;
    if (body && body->size > of_body) {
        if (evbuffer_add_reference(output, body->data + of_body, body->size - of_body, free_body,
                                   body->data))
            return false;
        *body = (struct buffer){0}; /* The output owns its bytes now. */
    }
    conn->state = CONN_WRITING;
    conn->queued_bytes = size;
    conn->worker->queued_bytes += size;
    (void)bufferevent_disable(conn->bev, EV_READ);
    set_deadline(conn, HTTP_WRITE_TIMEOUT_MS + size * 1000 / HTTP_WRITE_BYTES_PER_S_MIN);
    return true;
}

static void count_status(struct http_conn *conn, int status)
{
    static const enum metrics_counter by_class[] = {
        METRIC_HTTP_REQUESTS_2XX, METRIC_HTTP_REQUESTS_3XX, METRIC_HTTP_REQUESTS_4XX,
        METRIC_HTTP_REQUESTS_5XX};

    count(conn, by_class[status / 100 - 2], 1);
}

/* Bytes that are no request: say why, and close. Ends the connection if it cannot. */
static void refuse(struct http_conn *conn, const struct http_refusal *refusal)
{
    struct buffer out = {0};

    count(conn, METRIC_HTTP_BAD_REQUESTS, 1);
    count_status(conn, refusal->status);
    log_event(LOG_DEBUG, "http.refused", "listener=%s status=%d why=\"%s\"",
              conn->worker->options->name, refusal->status, refusal->detail);
    http_gate_busy(conn->worker->gate, conn->ticket);
    conn->closing = true;
    http_reply_plain(refusal, &out);
    count(conn, METRIC_HTTP_BYTES_SENT, out.size);
    if (out.err || !start_writing(conn, &out, NULL, 0))
        http_conn_close(conn);
    buffer_done(&out);
}

/* No query and no address: what people look for stays with them. */
static void log_answer(const struct http_conn *conn, const struct http_exchange *exchange,
                       size_t body_bytes)
{
    log_event(LOG_DEBUG, "http.answered", "method=%s route=%s status=%d bytes=%zu us=%llu",
              http_request_method_name(exchange->request.method),
              exchange->route ? exchange->route->path : "-", exchange->reply.status, body_bytes,
              (unsigned long long)((uint64_t)clock_monotonic_us() - conn->started_us));
}

static bool answered(struct http_conn *conn);

/* One piece of a body that comes in pieces, as a chunk (RFC 9112, 7.1); HTTP/1.0 has none. */
static bool write_piece(struct http_conn *conn, struct buffer *head)
{
    struct http_exchange *exchange = conn->exchange;
    struct buffer *body = &exchange->reply.body;
    bool chunked = exchange->request.minor > 0;

    if (chunked && body->size > 0) {
        buffer_printf(head, "%zx\r\n", body->size);
        buffer_put_str(body, "\r\n");
    }
    if (chunked && !exchange->reply.more)
        buffer_put_str(body, "0\r\n\r\n");
    count(conn, METRIC_HTTP_BYTES_SENT, head->size + body->size);
    return !head->err && !body->err && start_writing(conn, head, body, 0);
}

/* A piece has left, however slowly: the next one. */
static void go_on(struct http_conn *conn)
{
    struct http_exchange *exchange = conn->exchange;
    struct buffer head = {0};

    conn->worker->queued_bytes -= conn->queued_bytes;
    conn->queued_bytes = 0;
    /* After half a body nothing can be said any more: the client sees that the end is missing. */
    if (conn->worker->draining || exchange->reply.more(exchange) || !write_piece(conn, &head))
        http_conn_close(conn);
    buffer_done(&head);
}

/* true: it has left, and the next request may be taken. */
static bool send_reply(struct http_conn *conn)
{
    struct http_exchange *exchange = conn->exchange;
    struct http_reply *reply = &exchange->reply;
    bool with_body = exchange->request.method != HTTP_HEAD && reply->status != 304;
    struct buffer *head = &conn->worker->head, *body = with_body ? &reply->body : NULL;
    size_t size, sent;

    /* Many who ask for much and read slowly must not take all memory. */
    if (reply->body.size > HTTP_LARGE_BYTES &&
        conn->worker->queued_bytes + reply->body.size > HTTP_QUEUED_BYTES_MAX) {
        buffer_done(&reply->body);
        http_reply_error(exchange, TORG_E_BUSY);
    }
    if (!exchange->request.keep_alive || conn->worker->draining ||
        (reply->more && exchange->request.minor == 0))
        exchange->close = true;
    conn->closing = exchange->close;
    count_status(conn, reply->status);
    buffer_clear(head);
    if (http_reply_finish(exchange, head)) {
        http_conn_close(conn); /* No memory for 500 bytes: nothing to be said. */
        return false;
    }
    log_answer(conn, exchange, reply->body.size);
    if (!with_body)
        reply->more = NULL;
    if (reply->more) {
        if (!write_piece(conn, head))
            http_conn_close(conn);
        return false;
    }
    size = head->size + (body ? body->size : 0);
    count(conn, METRIC_HTTP_BYTES_SENT, size);
    sent = send_now(conn, head, body);
    if (sent < size && !start_writing(conn, head, body, sent)) {
        http_conn_close(conn);
        return false;
    }
    return sent == size && answered(conn);
}

static void advance(struct http_conn *conn);

void http_exchange_finish(struct http_exchange *exchange)
{
    struct http_worker *worker = exchange->worker;
    struct http_conn *conn = exchange->conn;

    assert(exchange->pending);
    exchange->pending = false;
    if (conn) {
        if (send_reply(conn))
            advance(conn);
        return;
    }
    exchange_free(exchange);
    http_worker_check_drained(worker);
}

/* ---- requests: each step returns whether another can follow ---- */

static bool run(struct http_conn *conn)
{
    struct http_exchange *exchange = conn->exchange;

    conn->state = CONN_RUNNING;
    http_router_run(exchange);
    if (!exchange->pending)
        return send_reply(conn);
    (void)event_del(conn->timer);
    (void)bufferevent_disable(conn->bev, EV_READ);
    return false;
}

static bool begin_body(struct http_conn *conn)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct http_exchange *exchange = conn->exchange;

    if (exchange->reply.status) {
        /* The body that was announced is not read: the connection cannot go on. */
        exchange->close = exchange->request.framing != HTTP_BODY_NONE;
        return send_reply(conn);
    }
    if (exchange->request.framing == HTTP_BODY_NONE)
        return run(conn);
    if (exchange->request.expect_continue)
        (void)bufferevent_write(conn->bev, go_on, sizeof(go_on) - 1);
    conn->state = CONN_BODY;
    conn->chunked = (struct http_chunked){0};
    set_deadline(conn, HTTP_BODY_TIMEOUT_MS);
    return true;
}

/* Who asks too often is told when to come again, whatever he asks. */
static void check_rate(struct http_exchange *exchange)
{
    const struct http_workers_options *options = exchange->worker->options;
    struct http_rate *rate = exchange->has_token ? options->per_token : options->per_address;
    uint8_t key[HTTP_RATE_KEY_BYTES] = {0};
    uint32_t wait_s;

    if (exchange->has_token)
        memcpy(key, exchange->token.id, strnlen(exchange->token.id, sizeof(key)));
    else /* Of IPv6 one site has 64 bits. */
        memcpy(key, exchange->client.address,
               http_gate_is_ipv4(exchange->client.address) ? sizeof(key) : sizeof(key) / 2);
    if (!rate || http_rate_take(rate, key, exchange->started_us, &wait_s))
        return;
    metrics_add(exchange->node->metrics, METRIC_HTTP_LIMITED, 1);
    http_reply_problem(exchange, 429, NULL, "Too many requests from this %s; try again in %u s.",
                       exchange->has_token ? "token" : "address", wait_s);
    http_reply_field(exchange, "Retry-After", "%u", wait_s);
}

static bool take_head(struct http_conn *conn, const uint8_t *data, size_t size)
{
    static const struct http_refusal no_memory = {503, "there is no memory for this request now"};
    struct http_exchange *exchange = exchange_new(conn);
    struct http_refusal refusal;

    if (!exchange) {
        refuse(conn, &no_memory);
        return false;
    }
    memcpy(exchange->head, data, size);
    exchange->head_size = size;
    (void)evbuffer_drain(bufferevent_get_input(conn->bev), size);
    conn->head_at = 0;
    if (http_request_parse(span_of(exchange->head, size), &exchange->request, &refusal)) {
        conn->exchange = NULL;
        exchange_free(exchange);
        refuse(conn, &refusal);
        return false;
    }
    http_gate_busy(conn->worker->gate, conn->ticket);
    http_forwarded_read(&exchange->request, exchange->node->config, conn->source.address,
                        conn->source.tls, &exchange->client);
    http_router_begin(&conn->worker->options->routes, exchange);
    check_rate(exchange);
    return begin_body(conn);
}

static bool step_head(struct http_conn *conn)
{
    struct evbuffer *input = bufferevent_get_input(conn->bev);
    size_t size = evbuffer_get_length(input);
    struct http_refusal refusal;
    const uint8_t *data;
    size_t head_size;
    enum torg_err err;

    if (size == 0)
        return false;
    if (conn->state == CONN_IDLE) {
        conn->state = CONN_HEAD;
        conn->started_us = (uint64_t)clock_monotonic_us();
        set_deadline(conn, HTTP_HEAD_TIMEOUT_MS);
    }
    if (size > HTTP_HEAD_BYTES_MAX)
        size = HTTP_HEAD_BYTES_MAX;
    data = evbuffer_pullup(input, (ev_ssize_t)size);
    if (!data) {
        http_conn_close(conn);
        return false;
    }
    err = http_request_head_find(span_of(data, size), &conn->head_at, &head_size, &refusal);
    if (err == TORG_E_TRUNCATED)
        return false;
    if (err) {
        refuse(conn, &refusal);
        return false;
    }
    return take_head(conn, data, head_size);
}

static bool body_failed(struct http_conn *conn, enum torg_err err)
{
    struct http_exchange *exchange = conn->exchange;

    if (err == TORG_E_TOO_BIG)
        http_reply_problem(exchange, 413, NULL, "The body may have at most %zu bytes.",
                           http_router_body_max(exchange->route));
    else if (err == TORG_E_INVALID)
        http_reply_problem(exchange, 400, NULL, "The body is not in the strict chunked coding.");
    else
        http_reply_error(exchange, err);
    exchange->close = true;
    return send_reply(conn);
}

static enum torg_err read_sized(struct http_exchange *exchange, struct evbuffer *input, bool *done)
{
    size_t left = (size_t)exchange->request.content_length - exchange->body.size;
    size_t size = evbuffer_get_length(input);
    enum torg_err err;

    if (size > left)
        size = left;
    err = buffer_reserve(&exchange->body, size);
    if (err)
        return err;
    if (size > 0 &&
        evbuffer_remove(input, exchange->body.data + exchange->body.size, size) != (int)size)
        return TORG_E_INTERNAL;
    exchange->body.size += size;
    *done = size == left;
    return TORG_OK;
}

static enum torg_err read_chunked(struct http_conn *conn, struct evbuffer *input, bool *done)
{
    enum torg_err err = TORG_OK;

    while (!err && !conn->chunked.done && evbuffer_get_length(input) > 0) {
        size_t size = evbuffer_get_length(input);
        const uint8_t *data;
        size_t used;

        if (size > BODY_PIECE_BYTES)
            size = BODY_PIECE_BYTES;
        data = evbuffer_pullup(input, (ev_ssize_t)size);
        if (!data)
            return TORG_E_NOMEM;
        err = http_request_chunked_read(&conn->chunked, span_of(data, size),
                                        http_router_body_max(conn->exchange->route),
                                        &conn->exchange->body, &used);
        (void)evbuffer_drain(input, used);
    }
    *done = conn->chunked.done;
    return err;
}

static bool step_body(struct http_conn *conn)
{
    struct evbuffer *input = bufferevent_get_input(conn->bev);
    bool done = false;
    enum torg_err err;

    if (conn->exchange->request.framing == HTTP_BODY_LENGTH)
        err = read_sized(conn->exchange, input, &done);
    else
        err = read_chunked(conn, input, &done);
    if (err)
        return body_failed(conn, err);
    return done ? run(conn) : false;
}

static void advance(struct http_conn *conn)
{
    static const struct timeval at_once = {0};
    uint64_t begun_us = (uint64_t)clock_monotonic_us();
    unsigned answers = 0;
    bool again = true;

    while (again) {
        again = conn->state == CONN_BODY ? step_body(conn) : step_head(conn);
        if (again && conn->state == CONN_IDLE &&
            (++answers == TURN_REQUESTS_MAX ||
             (uint64_t)clock_monotonic_us() - begun_us > TURN_US_MAX)) {
            (void)event_add(conn->turn, &at_once); /* after whatever else has come */
            return;
        }
    }
}

/* The answer has left: the next request may already be there. true: it may be taken. */
static bool answered(struct http_conn *conn)
{
    conn->worker->queued_bytes -= conn->queued_bytes;
    conn->queued_bytes = 0;
    metrics_http_time_us(conn->worker->options->node->metrics,
                         (uint64_t)clock_monotonic_us() - conn->started_us);
    exchange_free(conn->exchange);
    conn->exchange = NULL;
    if (conn->worker->draining) {
        http_conn_close(conn);
        return false;
    }
    if (conn->closing) {
        linger(conn);
        return false;
    }
    conn->state = CONN_IDLE;
    http_gate_waiting(conn->worker->gate, conn->ticket);
    set_deadline(conn, HTTP_IDLE_TIMEOUT_MS);
    (void)bufferevent_enable(conn->bev, EV_READ);
    return true;
}

/* ---- libevent's callbacks ---- */

static void on_read(struct bufferevent *bev, void *context)
{
    struct http_conn *conn = context;

    (void)bev;
    if (conn->state == CONN_LINGER)
        linger_read(conn);
    else if (conn->state != CONN_RUNNING && conn->state != CONN_WRITING)
        advance(conn);
}

static void on_turn(evutil_socket_t fd, short what, void *context)
{
    struct http_conn *conn = context;

    (void)fd;
    (void)what;
    on_read(conn->bev, conn);
}

static void on_written(struct bufferevent *bev, void *context)
{
    struct http_conn *conn = context;

    (void)bev;
    if (conn->state == CONN_WRITING && conn->exchange && conn->exchange->reply.more)
        go_on(conn);
    else if (conn->state == CONN_WRITING && answered(conn)) /* not for 100 Continue */
        advance(conn); /* Bytes that came before would not call back again. */
}

static void on_event(struct bufferevent *bev, short what, void *context)
{
    (void)bev;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
        http_conn_close(context);
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
    static const struct http_refusal head_late = {408, "the request did not come within 10 s"};
    struct http_conn *conn = context;

    (void)fd;
    (void)what;
    if (conn->state != CONN_LINGER && conn->state != CONN_IDLE)
        count(conn, METRIC_HTTP_TIMEOUTS, 1);
    if (conn->state == CONN_HEAD) {
        refuse(conn, &head_late);
    } else if (conn->state == CONN_BODY) {
        http_reply_problem(conn->exchange, 408, NULL, "The body did not come within 60 s.");
        conn->exchange->close = true;
        (void)send_reply(conn); /* It closes. */
    } else {
        http_conn_close(conn);
    }
}

static struct bufferevent *stream_new(struct http_worker *worker, evutil_socket_t fd, bool tls)
{
    struct event_base *base = loop_base(worker->loop);
    struct bufferevent *bev;
    SSL *session;

    if (!tls)
        return bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    session = http_tls_session(worker->options->tls);
    if (!session)
        return NULL;
    bev = bufferevent_openssl_socket_new(base, fd, session, BUFFEREVENT_SSL_ACCEPTING,
                                         BEV_OPT_CLOSE_ON_FREE);
    if (!bev)
        SSL_free(session);
    return bev;
}

enum torg_err http_conn_open(struct http_worker *worker, evutil_socket_t fd, uint64_t ticket,
                             const struct http_conn_source *source)
{
    struct event_base *base = loop_base(worker->loop);
    struct http_conn *conn = calloc(1, sizeof(*conn));

    if (conn)
        conn->bev = stream_new(worker, fd, source->tls);
    if (!conn || !conn->bev) {
        evutil_closesocket(fd);
        free(conn);
        http_gate_leave(worker->gate, ticket);
        return TORG_E_NOMEM;
    }
    conn->worker = worker;
    conn->ticket = ticket;
    conn->source = *source;
    conn->after = worker->first;
    if (conn->after)
        conn->after->before = conn;
    worker->first = conn;
    worker->connections++;
    conn->timer = evtimer_new(base, on_deadline, conn);
    conn->turn = evtimer_new(base, on_turn, conn);
    if (!conn->timer || !conn->turn) {
        http_conn_close(conn);
        return TORG_E_NOMEM;
    }
    count(conn, METRIC_HTTP_CONNECTIONS, 1);
    bufferevent_setcb(conn->bev, on_read, on_written, on_event, conn);
    (void)bufferevent_enable(conn->bev, EV_READ | EV_WRITE);
    set_deadline(conn, HTTP_HEAD_TIMEOUT_MS); /* The first head counts from here. */
    return TORG_OK;
}
