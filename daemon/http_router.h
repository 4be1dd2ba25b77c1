/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_ROUTER_H
#define TORG_DAEMON_HTTP_ROUTER_H

#include "daemon/http_exchange.h"

/*
 * Which handler answers what: a table of routes. The router checks all that
 * the table says (method, access, body, parameters, format) before a handler
 * runs, and the API document is written from the same table.
 */

/* A handler's error becomes a problem unless it has answered itself. */
typedef enum torg_err http_handler(struct http_exchange *exchange);

enum http_access {
    HTTP_ACCESS_PUBLIC,
    HTTP_ACCESS_EDITOR,   /* a bearer token of this node */
    HTTP_ACCESS_OPERATOR, /* the admin listener's secret */
};

enum http_place {
    HTTP_UNDER_BASE, /* path stands below the API's base path */
    HTTP_AT_ROOT,    /* path stands at the host's root */
};

struct http_route {
    enum http_method method; /* GET answers HEAD as well */
    enum http_place place;
    const char *path; /* "/collections/{collectionId}/items"; "" is the base itself */
    http_handler *handler;
    enum http_access access;
    /* Is it there for the very resource that the path names? For OPTIONS. NULL: it is. */
    bool (*offered)(struct http_exchange *exchange);
    unsigned formats;        /* HTTP_FORMAT_*, or-ed; 0 for an answer without a body */
    enum http_format format; /* what is sent when the client has no wish */
    uint64_t params;
    uint64_t required;         /* of params: refused without */
    bool form;                 /* empty parameters count as absent */
    const char *const *bodies; /* media types of the body, NULL-terminated; NULL: no body */
    bool steady;               /* the answer changes seldom: it has a tag, and is kept compressed */
    size_t body_max;           /* bytes; 0: HTTP_BODY_BYTES_MAX */
    const char *name;          /* operationId; NULL: not in the API document */
    const char *summary;
};

/* How long a body the route takes, in bytes. */
size_t http_router_body_max(const struct http_route *route);

struct http_routes {
    const struct http_route *items;
    size_t count;
    const char *base_path;
    /* Is this the secret of HTTP_ACCESS_OPERATOR? NULL when no route asks. */
    bool (*is_operator)(const void *service, struct span secret);
};

/*
 * The head is there: find the route, check method and access. A reply is set
 * when the request is refused before its body is read. Then, with the body,
 * http_router_run answers it or leaves it pending.
 */
void http_router_begin(const struct http_routes *routes, struct http_exchange *exchange);
void http_router_run(struct http_exchange *exchange);

/*
 * Does the request carry an administrator's token? For what a route shows to
 * them only; else it is refused: 401 without a token that is known here, 403
 * with another role's.
 */
bool http_router_admin(struct http_exchange *exchange);

/*
 * What Accept-Language likes best of the languages of texts (http_words_tag), with
 * words of sv and en only; NULL when it names none of them.
 */
const char *http_router_language(const struct http_request *request, bool words);
/* May a body of that encoding be sent? Only gzip is asked for. */
bool http_router_accepts_gzip(const struct http_request *request);

#endif
