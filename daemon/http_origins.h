/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_ORIGINS_H
#define TORG_DAEMON_HTTP_ORIGINS_H

#include "daemon/http_exchange.h"
#include "protocol/replica.h"

/*
 * Who is behind the listings of an answer and how old what we hold of them is.
 * Each worker keeps the list of one snapshot and reads it anew when the store
 * has moved on.
 */

/* Three beats missed: people should be told. Far below the charter's max_stale_s. */
#define HTTP_STALE_S 1800

struct http_origin {
    uint32_t number;
    struct origin_id id;
    char hex[2 * sizeof(struct origin_id) + 1];
    char name[CHARTER_NAME_BYTES_MAX + 1];
    char owner_kind[33];
    char municipality[8]; /* SCB code; "" if none */
    bool own;
    bool has_head;
    int64_t as_of_ms; /* newest head or beat, not later than it came; see http_origins_age_s */
    uint64_t max_stale_s;
    uint32_t flags; /* REPLICA_FLAG_* */
};

/*
 * A collection of an origin that is not wholly here, though its head says what it
 * holds: the configuration wants other collections, or it is still coming.
 */
struct http_gap {
    uint32_t origin_number;
    uint8_t collection;
    uint64_t listings; /* at least; what is here may not all be current */
};

struct http_origins {
    uint64_t snapshot;
    size_t count;
    struct http_origin *items;
    size_t gap_count;
    struct http_gap *gaps; /* of public collections */
};

/* Of the snapshot that kv reads; valid until the next call on this thread. */
enum torg_err http_origins_get(struct http_exchange *exchange, const struct kv *kv,
                               const struct http_origins **ret_origins);
void http_origins_free(struct http_origins *origins);

/* NULL if there is none. */
const struct http_origin *http_origins_find(const struct http_origins *origins, uint32_t number);
/* How old what we hold may be, seconds; 0 for the own origin, whose truth is here. */
int64_t http_origins_age_s(const struct http_origin *origin, int64_t now_ms);
bool http_origins_stale(const struct http_origin *origin, int64_t now_ms);
bool http_origins_expired(const struct http_origin *origin, int64_t now_ms);

/* Numbers of the origins that params name by their ids; one that nobody has if none fits. */
void http_origins_resolve(const struct http_origins *origins, struct http_params *params);
/* The field torg-as-of: the oldest among the origins that query asks (all: none named). */
void http_origins_reply_as_of(struct http_exchange *exchange, const struct http_origins *origins,
                              const struct query *query);

/* What is not here of a collection, of all origins or of those that query asks. */
struct http_missing {
    uint64_t origins, listings;
};
struct http_missing http_origins_missing(const struct http_origins *origins, uint8_t collection,
                                         const struct query *query);
/* For an answer that is a list: torg-as-of, and torg-missing unless all is here that query asks. */
void http_origins_reply_state(struct http_exchange *exchange, const struct http_origins *origins,
                              const struct query *query);

#endif
