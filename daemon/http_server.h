/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_SERVER_H
#define TORG_DAEMON_HTTP_SERVER_H

#include "daemon/node.h"

/*
 * The public HTTP listeners: config.http_threads threads, each with its own
 * loop and its own SO_REUSEPORT listener on every address of [http]. What they
 * serve: docs/api.md.
 */
struct http;

/*
 * Binds the listeners, so that an address that is taken shows before anything
 * runs. node is kept and must outlive it. TORG_E_IO (errno; what failed is logged).
 */
enum torg_err http_new(const struct node *node, struct http **ret_http);
enum torg_err http_start(struct http *http);
/*
 * Stops accepting, waits for the writes that were handed to the writer and a
 * short while for answers on their way, then joins the threads. The writer and
 * the peers must still be there. NULL is accepted.
 */
void http_free(struct http *http);
/* Read the certificate again. Any thread. */
void http_reload(struct http *http);
/* The port that the first address was bound to: for tests, which ask for port 0. */
uint16_t http_port(const struct http *http);

#endif
