/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_REPLY_H
#define TORG_DAEMON_HTTP_REPLY_H

#include "daemon/http_exchange.h"
#include "daemon/http_words.h"

/* Filling the reply of an exchange, and the bytes that it becomes. */

/* An answer with a body; the body itself goes to reply.body. type: static storage. */
void http_reply_begin(struct http_exchange *exchange, int status, const char *type);
/* What answer says of one snapshot of the store, which ends before this returns. */
typedef enum torg_err http_reply_answer(struct http_exchange *exchange, const struct kv *kv);
enum torg_err http_reply_read(struct http_exchange *exchange, http_reply_answer *answer);
/* One field; what format makes may hold no control characters, which are left out. */
void http_reply_field(struct http_exchange *exchange, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same of strings that are put together, the last one followed by NULL. */
void http_reply_field_of(struct http_exchange *exchange, const char *name, ...)
    __attribute__((sentinel));

/* Content-Language, once, of an answer whose words are in one language. */
void http_reply_in_language(struct http_exchange *exchange);
void http_reply_last_modified(struct http_exchange *exchange, int64_t ms);

/*
 * An error (RFC 9457), whose texts are made in English and said in that language
 * (http_texts.h): kind is the last word of its type, static ("not-found");
 * NULL when the status says it all. What the reply held before is dropped.
 */
void http_reply_problem(struct http_exchange *exchange, int status, const char *kind,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The same, naming every mistake in its member errors. */
void http_reply_problems(struct http_exchange *exchange, int status, const char *kind,
                         const char *detail, const struct problems *problems);
/* What an error of the layers below means to a client. */
void http_reply_error(struct http_exchange *exchange, enum torg_err err);
const char *http_reply_status_text(int status);

/*
 * Status line and fields as they go out, and the body compressed if the client
 * takes that and it pays. method HEAD: the same head, no body sent.
 */
enum torg_err http_reply_finish(struct http_exchange *exchange, struct buffer *ret_head);
/* A whole answer to something that never became an exchange. */
void http_reply_plain(const struct http_refusal *refusal, struct buffer *out);

#endif
