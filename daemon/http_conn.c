/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_conn.h"
#include "daemon/clock.h"
#include "daemon/http_reply.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/http_rate.h"
#include "daemon/http_stream.h"
#include "daemon/http_tls.h"
#include "daemon/log.h"

/* Who sends many requests at once has so much done before others get their turn. */
#define TURN_REQUESTS_MAX 16
#define TURN_US_MAX 10000

enum conn_state {
    CONN_IDLE,    /* no byte of a request yet */
    CONN_HEAD,    /* some bytes of a head */
    CONN_BODY,    /* the head is judged, the body is coming */
    CONN_RUNNING, /* a handler waits for the writer */
    CONN_READY,   /* an answer waits for the end of the loop's turn */
    CONN_WRITING, /* an answer is on its way */
    CONN_LINGER,  /* closed for writing: the last answer must not be lost to a reset */
};

struct http_conn {
    struct http_worker *worker;
    struct http_conn *before, *after;
    struct http_stream stream;
    struct event *timer, *turn;
    uint64_t deadline_us; /* monotonic; 0: none */
    uint64_t armed_us;    /* when the timer looks at it, never later; 0: it is not running */
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

/*
 * Every request has its deadlines, and hardly any comes to pass: the timer is
 * left as it is when it looks in time anyway, and then waits for the rest.
 */
static void set_deadline_at(struct http_conn *conn, uint64_t deadline_us)
{
    uint64_t now_us = (uint64_t)clock_monotonic_us();
    uint64_t wait_us = deadline_us > now_us ? deadline_us - now_us : 0;
    struct timeval tv = {.tv_sec = (time_t)(wait_us / 1000000),
                         .tv_usec = (suseconds_t)(wait_us % 1000000)};

    conn->deadline_us = deadline_us;
    if (conn->armed_us && conn->armed_us <= deadline_us)
        return;
    if (event_add(conn->timer, &tv) == 0)
        conn->armed_us = deadline_us;
}

static void set_deadline(struct http_conn *conn, uint64_t timeout_ms)
{
    set_deadline_at(conn, (uint64_t)clock_monotonic_us() + timeout_ms * 1000);
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
        http_exchange_free(conn->exchange);
    if (conn->after)
        conn->after->before = conn->before;
    if (conn->before)
        conn->before->after = conn->after;
    else
        worker->first = conn->after;
    worker->connections--;
    worker->queued_bytes -= conn->queued_bytes;
    http_outbox_forget(&worker->outbox, conn);
    http_gate_leave(worker->gate, conn->ticket);
    if (conn->timer)
        event_free(conn->timer);
    if (conn->turn)
        event_free(conn->turn);
    http_stream_close(&conn->stream);
    free(conn);
    http_worker_check_drained(worker);
}

static void linger(struct http_conn *conn)
{
    http_stream_end(&conn->stream);
    conn->state = CONN_LINGER;
    http_gate_waiting(conn->worker->gate, conn->ticket); /* It may give way to a new one. */
    set_deadline(conn, HTTP_LINGER_TIMEOUT_MS);
    http_stream_read(&conn->stream, true);
    http_stream_take(&conn->stream, http_stream_input(&conn->stream).size);
}

static void linger_read(struct http_conn *conn)
{
    size_t size = http_stream_input(&conn->stream).size;

    conn->lingered_bytes += size;
    http_stream_take(&conn->stream, size);
    if (conn->lingered_bytes > HTTP_LINGER_BYTES_MAX)
        http_conn_close(conn);
}

/* ---- answers ---- */

/* From here on the connection writes what is left after sent bytes; true on success. */
static bool start_writing(struct http_conn *conn, struct buffer *head, struct buffer *body,
                          size_t sent)
{
    uint64_t size = head->size + (body ? body->size : 0) - sent;

    if (http_stream_queue(&conn->stream, head, body, sent))
        return false;
    conn->state = CONN_WRITING;
    conn->queued_bytes = size;
    conn->worker->queued_bytes += size;
    http_stream_read(&conn->stream, false);
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

/* Sent at once, or as far as the socket takes it. true: it has left whole. */
static bool send_whole(struct http_conn *conn, struct buffer *head, struct buffer *body)
{
    size_t size = head->size + (body ? body->size : 0);
    size_t sent = http_stream_send_now(&conn->stream, head, body);

    if (sent < size && !start_writing(conn, head, body, sent)) {
        http_conn_close(conn);
        return false;
    }
    return sent == size && answered(conn);
}

/*
 * May the answer wait for the others of this turn? Not if the next request is
 * here, which would wait, too; and what TLS makes of it leaves later anyway.
 */
static bool may_wait(const struct http_conn *conn, const struct buffer *body)
{
    return http_stream_plain(&conn->stream) && http_stream_input(&conn->stream).size == 0 &&
           body->size <= HTTP_OUTBOX_BYTES_MAX;
}

void http_conn_send(struct http_conn *conn, struct buffer *head, struct buffer *body)
{
    static const struct timeval at_once = {0};

    /* Bytes that came meanwhile would not call back again. */
    if (send_whole(conn, head, body) && http_stream_input(&conn->stream).size > 0)
        (void)event_add(conn->turn, &at_once);
}

/* true: it has left, and the next request may be taken. */
static bool send_reply(struct http_conn *conn)
{
    struct http_exchange *exchange = conn->exchange;
    struct http_reply *reply = &exchange->reply;
    bool with_body = exchange->request.method != HTTP_HEAD && reply->status != 304;
    struct http_outbox *outbox = &conn->worker->outbox;
    struct buffer *head = http_outbox_head(outbox);

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
    if (http_reply_finish(exchange, head)) {
        http_conn_close(conn); /* No memory for 500 bytes: nothing to be said. */
        return false;
    }
    log_answer(conn, exchange, reply->body.size);
    if (!with_body) {
        reply->more = NULL;
        buffer_clear(&reply->body);
    }
    if (reply->more) {
        if (!write_piece(conn, head))
            http_conn_close(conn);
        return false;
    }
    count(conn, METRIC_HTTP_BYTES_SENT, head->size + reply->body.size);
    if (!may_wait(conn, &reply->body))
        return send_whole(conn, head, &reply->body);
    conn->state = CONN_READY;
    conn->deadline_us = 0;
    http_outbox_put(outbox, conn, &reply->body, conn->started_us);
    http_exchange_free(exchange);
    conn->exchange = NULL;
    http_outbox_check(outbox, conn->started_us);
    return false;
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
    http_exchange_free(exchange);
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
    conn->deadline_us = 0;
    http_stream_read(&conn->stream, false);
    return false;
}

static bool begin_body(struct http_conn *conn)
{
    struct http_exchange *exchange = conn->exchange;

    if (exchange->reply.status) {
        /* The body that was announced is not read: the connection cannot go on. */
        exchange->close = exchange->request.framing != HTTP_BODY_NONE;
        return send_reply(conn);
    }
    if (exchange->request.framing == HTTP_BODY_NONE)
        return run(conn);
    if (exchange->request.expect_continue)
        http_stream_write(&conn->stream, span_of_str("HTTP/1.1 100 Continue\r\n\r\n"));
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

static bool take_head(struct http_conn *conn, struct span head)
{
    static const struct http_refusal no_memory = {503, "there is no memory for this request now"};
    struct http_exchange *exchange = http_exchange_new(conn->worker, conn, conn->started_us);
    struct http_refusal refusal;

    if (!exchange) {
        refuse(conn, &no_memory);
        return false;
    }
    conn->exchange = exchange;
    memcpy(exchange->head, head.data, head.size);
    exchange->head_size = head.size;
    http_stream_take(&conn->stream, head.size);
    conn->head_at = 0;
    if (http_request_parse(span_of(exchange->head, exchange->head_size), &exchange->request,
                           &refusal)) {
        conn->exchange = NULL;
        http_exchange_free(exchange);
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
    struct span input = http_stream_input(&conn->stream);
    struct http_refusal refusal;
    size_t head_size;
    enum torg_err err;

    if (input.size == 0)
        return false;
    if (conn->state == CONN_IDLE)
        conn->started_us = (uint64_t)clock_monotonic_us();
    http_outbox_check(&conn->worker->outbox, conn->started_us);
    if (input.size > HTTP_HEAD_BYTES_MAX)
        input.size = HTTP_HEAD_BYTES_MAX;
    err = http_request_head_find(input, &conn->head_at, &head_size, &refusal);
    if (!err)
        return take_head(conn, span_of(input.data, head_size));
    if (err != TORG_E_TRUNCATED) {
        refuse(conn, &refusal);
    } else if (conn->state == CONN_IDLE) {
        conn->state = CONN_HEAD; /* Few heads come in pieces. */
        set_deadline(conn, HTTP_HEAD_TIMEOUT_MS);
    }
    return false;
}

static void refuse_chunked(struct http_exchange *exchange, enum http_chunked_fault fault)
{
    switch (fault) {
    case HTTP_CHUNKED_FRAMING:
        http_reply_problem(exchange, 400, NULL, "The body is not in the strict chunked coding.");
        break;
    case HTTP_CHUNKED_EXTENSIONS:
        http_reply_problem(exchange, 400, NULL,
                           "The extensions of the body's chunks may have at most %d bytes.",
                           HTTP_EXTENSION_BYTES_MAX);
        break;
    case HTTP_CHUNKED_TRAILERS:
        http_reply_problem(exchange, 431, NULL,
                           "After the body at most %d fields and %d bytes of them may come.",
                           HTTP_TRAILER_FIELDS_MAX, HTTP_TRAILER_BYTES_MAX);
        break;
    case HTTP_CHUNKED_TRAILER_NAMES:
        http_reply_problem(exchange, 400, NULL,
                           "A field that says where the request ends or goes (Content-Length, "
                           "Transfer-Encoding, Host and the like) stands after the body.");
        break;
    }
}

static bool body_failed(struct http_conn *conn, enum torg_err err)
{
    struct http_exchange *exchange = conn->exchange;

    if (err == TORG_E_TOO_BIG)
        http_reply_problem(exchange, 413, NULL, "The body may have at most %zu bytes.",
                           http_router_body_max(exchange->route));
    else if (err == TORG_E_INVALID)
        refuse_chunked(exchange, conn->chunked.fault);
    else
        http_reply_error(exchange, err);
    exchange->close = true;
    return send_reply(conn);
}

static enum torg_err read_sized(struct http_conn *conn, bool *done)
{
    struct buffer *body = &conn->exchange->body;
    size_t left = (size_t)conn->exchange->request.content_length - body->size;
    struct span input = http_stream_input(&conn->stream);

    if (input.size > left)
        input.size = left;
    buffer_put_span(body, input);
    http_stream_take(&conn->stream, input.size);
    *done = input.size == left;
    return body->err;
}

static enum torg_err read_chunked(struct http_conn *conn, bool *done)
{
    struct span input = http_stream_input(&conn->stream);
    enum torg_err err = TORG_OK;

    while (!err && !conn->chunked.done && input.size > 0) {
        size_t used;

        err = http_request_chunked_read(&conn->chunked, input,
                                        http_router_body_max(conn->exchange->route),
                                        &conn->exchange->body, &used);
        http_stream_take(&conn->stream, used);
        input = http_stream_input(&conn->stream);
    }
    *done = conn->chunked.done;
    return err;
}

static bool step_body(struct http_conn *conn)
{
    bool done = false;
    enum torg_err err;

    if (conn->exchange->request.framing == HTTP_BODY_LENGTH)
        err = read_sized(conn, &done);
    else
        err = read_chunked(conn, &done);
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
            http_stream_read(&conn->stream, false);
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
    http_exchange_free(conn->exchange);
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
    http_stream_read(&conn->stream, true);
    return true;
}

/* ---- what the stream and the clock say ---- */

static void take_input(struct http_conn *conn)
{
    if (conn->state == CONN_LINGER)
        linger_read(conn);
    else if (conn->state < CONN_RUNNING)
        advance(conn);
}

/*
 * It is taken when all sockets that are ready have been read: a system call in
 * between may empty what the processor knows of pages (without PCID it does),
 * which then costs a twentieth of an answer.
 */
static void on_input(void *context)
{
    struct http_conn *conn = context;

    event_active(conn->turn, EV_TIMEOUT, 0);
}

static void on_turn(evutil_socket_t fd, short what, void *context)
{
    struct http_conn *conn = context;

    (void)fd;
    (void)what;
    if (conn->state < CONN_RUNNING)
        http_stream_read(&conn->stream, true);
    take_input(conn);
}

static void on_written(void *context)
{
    struct http_conn *conn = context;

    if (conn->state == CONN_WRITING && conn->exchange && conn->exchange->reply.more)
        go_on(conn);
    else if (conn->state == CONN_WRITING && answered(conn)) /* not for 100 Continue */
        advance(conn); /* Bytes that came before would not call back again. */
}

static void on_ended(void *context)
{
    http_conn_close(context);
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
    static const struct http_refusal head_late = {408, "the request did not come within 10 s"};
    struct http_conn *conn = context;

    (void)fd;
    (void)what;
    conn->armed_us = 0;
    if (conn->deadline_us == 0)
        return;
    if (conn->deadline_us > (uint64_t)clock_monotonic_us()) {
        set_deadline_at(conn, conn->deadline_us);
        return;
    }
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

static enum torg_err open_stream(struct http_conn *conn, evutil_socket_t fd)
{
    static const struct http_stream_events events = {on_input, on_written, on_ended};
    struct event_base *base = loop_base(conn->worker->loop);
    SSL *session = NULL;

    if (conn->source.tls) {
        session = http_tls_session(conn->worker->options->tls);
        if (!session) {
            evutil_closesocket(fd);
            return TORG_E_NOMEM;
        }
    }
    return http_stream_open(&conn->stream, base, fd, session, &events, conn);
}

enum torg_err http_conn_open(struct http_worker *worker, evutil_socket_t fd, uint64_t ticket,
                             const struct http_conn_source *source)
{
    struct event_base *base = loop_base(worker->loop);
    struct http_conn *conn = calloc(1, sizeof(*conn));

    if (!conn) {
        evutil_closesocket(fd);
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
    if (open_stream(conn, fd) || !conn->timer || !conn->turn) {
        http_conn_close(conn);
        return TORG_E_NOMEM;
    }
    count(conn, METRIC_HTTP_CONNECTIONS, 1);
    set_deadline(conn, HTTP_HEAD_TIMEOUT_MS); /* The first head counts from here. */
    return TORG_OK;
}
