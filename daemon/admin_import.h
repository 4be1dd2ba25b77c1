/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_ADMIN_IMPORT_H
#define TORG_DAEMON_ADMIN_IMPORT_H

#include "daemon/http_exchange.h"

/*
 * POST /import on the operators' listener: a FeatureCollection of at most
 * ADMIN_IMPORT_ROWS_MAX features, published as one commit of the own origin.
 *
 * Query: collection (else each feature's property "collection"), language of
 * texts that name none (sv), dry-run=true.
 *
 * A feature is the listing that identifiers.source names, or the one whose id
 * it carries, or else a new one. A provider may be given by its source, as
 * {"system", "id"}: the company of this origin that has it. One that would change nothing is left
 * alone. Wrong features are refused one by one and hold up no other. Where collection
 * names none of the listings', the features go into a local collection of that
 * name (admin_import_local.h), and nothing is published.
 *
 * 200 {"created":n,"updated":n,"unchanged":n,"failed":n,
 *      "rows":[{"row":0,"action":"created","id":"..."},
 *              {"row":1,"action":"failed","errors":[{"path":"...","detail":"..."}]}]}
 */
#define ADMIN_IMPORT_ROWS_MAX 1000
#define ADMIN_IMPORT_BODY_BYTES_MAX (32u << 20)

/* The handler of that route; see daemon/http_router.h. */
enum torg_err admin_import(struct http_exchange *exchange);

#endif
