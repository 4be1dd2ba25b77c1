/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_TAG_H
#define TORG_DAEMON_HTTP_TAG_H

#include "daemon/http_origins.h"

/*
 * Entity tags (RFC 9110, 8.8.3), so that a client need not fetch what it has.
 *
 * A list's tag is weak, for each answer says when it was made. It stands for the
 * snapshot, the question, the form of the answer and which origins have expired;
 * and for the minute, unless the question names its time itself: what is shown
 * now changes with the clock alone. Its key is made at start, so that no tag is
 * taken for that of a restored database or of another node.
 */

/* A tag in its quotes, without the W/ of a weak one. */
struct span http_tag_opaque(struct span tag);
/*
 * Does the client, who reads, hold what this tag, in its quotes, names? A weak tag will do for
 * that. Of who writes, If-None-Match asks something else (http_item_may_change).
 */
bool http_tag_known(const struct http_exchange *exchange, const char *quoted);

#define HTTP_TAG_KEY_BYTES 16
void http_tag_key_new(uint8_t ret_key[HTTP_TAG_KEY_BYTES]);
/*
 * Before a list is looked for: its tag goes into the reply. true: the client has
 * it, and status 304 is set. origins: NULL for a local collection, which has none
 * and does not know the clock.
 */
bool http_tag_list(struct http_exchange *exchange, const struct kv *kv,
                   const struct http_origins *origins);
/*
 * The reply's body, which seldom changes, is whole: a tag of its bytes goes into the
 * reply, weak, for they may go out compressed. If the client has it, the reply is 304.
 */
void http_tag_document(struct http_exchange *exchange);

#endif
