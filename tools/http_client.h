/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TOOLS_HTTP_CLIENT_H
#define TORG_TOOLS_HTTP_CLIENT_H

#include <jansson.h>

#include "protocol/bytes.h"

/* How the commands ask a running torgd: over HTTP, by libcurl. */
struct http_client;

struct http_answer {
    int status;
    struct buffer body;
    char content_type[128];
};
void http_answer_done(struct http_answer *answer);

/* url: "http://host:port"; bearer: the token sent with each request, or NULL. */
enum torg_err http_client_new(const char *url, const char *bearer, struct http_client **ret_client);
void http_client_free(struct http_client *client);

/*
 * One request; path begins with '/'. body may be empty. TORG_E_IO when no
 * answer came; http_client_error says why. Any status is TORG_OK.
 */
enum torg_err http_client_request(struct http_client *client, const char *method, const char *path,
                                  const char *content_type, struct span body,
                                  struct http_answer *ret_answer);
const char *http_client_error(const struct http_client *client);

/* The answer's body as JSON; NULL if it is none. The caller releases it. */
json_t *http_answer_json(const struct http_answer *answer);
/*
 * "404 Not Found: no such listing" from problem+json, or the status alone; the
 * fields that are wrong follow, a line each.
 */
void http_answer_problem(const struct http_answer *answer, char *out, size_t size);

/* Percent-encoded, appended to a query string. */
void http_query_put(struct buffer *out, const char *name, const char *value);

#endif
