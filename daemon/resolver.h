/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_RESOLVER_H
#define TORG_DAEMON_RESOLVER_H

#include <sys/socket.h>

#include "daemon/config.h"
#include "daemon/loop.h"

/*
 * Host names to addresses without holding up the loop that asks. A numeric
 * address needs no thread; names go one after another through getaddrinfo in a
 * helper thread, which may take long when a name server does not answer. One
 * loop's thread uses a resolver.
 */
#define RESOLVER_ADDRESSES_MAX 8

struct resolver;

struct resolver_address {
    struct sockaddr_storage address;
    socklen_t size;
};

/* In the loop's thread, later. count 0: why says what is wrong; static storage. */
typedef void resolver_answer(void *context, uint32_t question,
                             const struct resolver_address *addresses, size_t count,
                             const char *why);

enum torg_err resolver_new(struct loop *loop, resolver_answer *answer, void *context,
                           struct resolver **ret_resolver);
/* No answer comes any more. Does not wait for a name server. NULL is accepted. */
void resolver_stop(struct resolver *resolver);
/* After resolver_stop, when the loop has run what was in its mailbox. NULL is accepted. */
void resolver_free(struct resolver *resolver);

/* question comes back with the answer, exactly once unless the resolver is stopped. */
void resolver_ask(struct resolver *resolver, const struct config_address *address,
                  uint32_t question);

#endif
