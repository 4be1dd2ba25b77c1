/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_EXCHANGE_H
#define TORG_DAEMON_HTTP_EXCHANGE_H

#include "daemon/http_forwarded.h"
#include "daemon/http_params.h"
#include "daemon/node.h"
#include "index/token.h"
#include "protocol/http_request.h"

/*
 * One request and its answer: what the connection, the router and the handlers
 * hand to each other. It belongs to one worker's thread. A handler fills reply
 * and returns; one that must wait (for the writer) sets pending, returns, and
 * calls http_exchange_finish later on the same thread. The connection may be
 * gone by then; the exchange is not.
 */
#define HTTP_BODY_BYTES_MAX 1048576
#define HTTP_ANSWER_BYTES_MAX 67108864 /* of a list: pages are cut there */
#define HTTP_CAPTURES_MAX 3
#define HTTP_SPARE_BYTES_MAX 131072 /* of each buffer that a worker keeps for its next answer */

struct http_conn;
struct http_worker;
struct http_route;
struct http_exchange;

struct http_reply {
    int status;           /* 0 until somebody has answered */
    const char *type;     /* of the body; static storage */
    const char *cache;    /* Cache-Control; NULL: "no-cache" */
    bool has_etag;        /* then it is not compressed: the tag names these bytes */
    bool page;            /* for people: stricter headers, no CORS */
    bool has_language;    /* Content-Language is among the fields */
    struct buffer fields; /* further fields, each with its CRLF */
    struct buffer body;
    /*
     * More of the body, when all before it has been sent: it fills body again, and
     * sets more to NULL with the last piece. NULL: body is all. What it needs it
     * reads anew, for nothing of the store may be held while a client reads.
     */
    enum torg_err (*more)(struct http_exchange *exchange);
    uint64_t listings; /* in the pieces before */
};

struct http_exchange {
    struct http_worker *worker;
    struct http_conn *conn; /* NULL: the client has gone */
    const struct node *node;
    void *service;       /* what the listeners were made for */
    int64_t now_ms;      /* clock, when the head was complete */
    uint64_t started_us; /* monotonic, first byte */

    size_t head_size;
    struct http_client client; /* who asks, and how he got here */
    struct buffer body;

    const struct http_route *route;
    struct span captures[HTTP_CAPTURES_MAX]; /* {names} of the route's path, in order */
    bool has_token;
    struct token token;
    bool accepts_html; /* by name, as browsers do */
    bool html;         /* what the handler writes as JSON is to be rendered as a page */

    bool pending;
    bool close;  /* after the answer */
    void *state; /* a waiting handler's own */
    struct http_reply reply;

    struct http_params params;
#define HTTP_EXCHANGE_ZEROED (offsetof(struct http_exchange, params) + HTTP_PARAMS_ZEROED)
    /* Large, and not zeroed: each is written before it is read. */
    struct http_request request;
    struct http_path path;
    struct http_query query;
    uint8_t head[HTTP_HEAD_BYTES_MAX];
};

/*
 * For http_conn.c: an exchange in the memory that the worker kept of the last
 * one, if it has any, and the end of one. NULL: no memory; free accepts it.
 */
struct http_exchange *http_exchange_new(struct http_worker *worker, struct http_conn *conn,
                                        uint64_t started_us);
void http_exchange_free(struct http_exchange *exchange);
/* What a worker keeps, when it ends. NULL is accepted. */
void http_exchange_free_spare(struct http_exchange *exchange);

/* The answer of a pending exchange is complete. Ends the exchange. */
void http_exchange_finish(struct http_exchange *exchange);
/* The loop on which a waiting handler is to be called back. */
struct loop *http_exchange_loop(const struct http_exchange *exchange);

#endif
