/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_GATE_H
#define TORG_DAEMON_HTTP_GATE_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "protocol/bytes.h"

/*
 * Who may be connected: caps in total and per address, shared by all threads of
 * a set of listeners. At a cap the connection that has waited longest without a
 * complete head gives way, so that slow or idle strangers cannot keep others
 * out; if every connection is being answered, the new one is refused.
 * An IPv6 address counts by its first 64 bits, which is what one site has.
 */
struct http_gate;

struct http_gate_address {
    uint8_t bytes[16];
};
struct http_gate_address http_gate_address_of(const struct sockaddr *address);
/* All of it, IPv4 as ::ffff:a.b.c.d; and is it that? */
void http_gate_whole_address(const struct sockaddr *address, uint8_t ret_address[16]);
bool http_gate_is_ipv4(const uint8_t address[16]);

/* TORG_E_NOMEM. */
enum torg_err http_gate_new(uint32_t connections_max, uint32_t per_address_max,
                            struct http_gate **ret_gate);
/* NULL is accepted. */
void http_gate_free(struct http_gate *gate);

/*
 * A connection comes: TORG_OK, with its ticket, which is never 0 and never used
 * again. address NULL: of a proxy, whom only the total limits. ret_victim is 0, or the ticket of
 * the connection that its worker must close now; ret_victim_worker is what was given as worker at
 * its entry. TORG_E_BUSY: refused. Any thread.
 */
enum torg_err http_gate_enter(struct http_gate *gate, const struct http_gate_address *address,
                              void *worker, uint64_t *ret_ticket, uint64_t *ret_victim,
                              void **ret_victim_worker);
/* It waits for a head (as it does at its entry), or its head is complete. */
void http_gate_waiting(struct http_gate *gate, uint64_t ticket);
void http_gate_busy(struct http_gate *gate, uint64_t ticket);
/* It is gone; a victim's place was taken from it already. */
void http_gate_leave(struct http_gate *gate, uint64_t ticket);
/* How many have a place now. Any thread. */
uint32_t http_gate_count(struct http_gate *gate);

#endif
