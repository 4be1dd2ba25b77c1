/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_WORKERS_H
#define TORG_DAEMON_HTTP_WORKERS_H

#include "daemon/http_gate.h"
#include "daemon/http_outbox.h"
#include "daemon/http_router.h"
#include "daemon/http_tag.h"
#include "daemon/loop.h"

/*
 * Threads that listen and answer by a table of routes: the public API has one
 * set of them, the admin listener another. Each thread has its own loop and its
 * own listener on every address; they share nothing but the gate.
 */
struct http_gzip;
struct http_origins;
struct http_rate;
struct http_tls;

struct http_workers_options {
    const char *name; /* for the log, static */
    const struct node *node;
    const struct config_address *addresses;
    size_t address_count;
    uint32_t threads; /* 0: one for each processor */
    const struct config_address *tls_addresses;
    size_t tls_address_count;
    struct http_tls *tls; /* for those; borrowed */
    uint32_t connections_max, per_address_max;
    struct http_rate *per_address, *per_token; /* borrowed; NULL: no limit on requests */
    struct http_routes routes;
    void *service; /* for handlers: exchange->service */
};

struct http_workers;

/* Binds. TORG_E_IO (logged), TORG_E_NOMEM. */
enum torg_err http_workers_new(const struct http_workers_options *options,
                               struct http_workers **ret_workers);
enum torg_err http_workers_start(struct http_workers *workers);
/* Stops accepting, waits for pending exchanges and shortly for answers, joins. NULL is accepted. */
void http_workers_free(struct http_workers *workers);
uint16_t http_workers_port(const struct http_workers *workers);

/* ---- between http_workers.c, http_conn.c and http_origins.c ---- */

struct http_worker {
    struct http_workers *all;
    const struct http_workers_options *options;
    struct http_gate *gate;
    struct loop *loop;
    struct http_conn *first;
    size_t connections;
    size_t exchanges;      /* alive, their connections or not */
    uint64_t queued_bytes; /* of answers that are not yet sent whole */
    bool draining;
    struct http_exchange *spare;         /* memory for the next one; NULL */
    uint8_t tag_key[HTTP_TAG_KEY_BYTES]; /* the same in all of them; see http_tag.h */
    struct http_gzip *gzip;              /* made when first needed; NULL */
    struct http_outbox outbox;
    struct buffer date; /* the field Date, of the second date_s */
    int64_t date_s;
    struct http_origins *origins;         /* cache of this thread; see http_origins.h */
    struct http_theme_texts *theme_texts; /* the same; see http_theme_texts.h */
};

/* Call after a connection or an exchange of a draining worker has ended. */
void http_worker_check_drained(struct http_worker *worker);

#endif
