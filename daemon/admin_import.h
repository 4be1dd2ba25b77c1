/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_ADMIN_IMPORT_H
#define TORG_DAEMON_ADMIN_IMPORT_H

/*
 * POST /import on the operators' listener: a FeatureCollection of at most
 * ADMIN_IMPORT_ROWS_MAX features, published as one commit of the own origin.
 *
 * Query: collection (else each feature's property "collection"), language of
 * texts that name none (sv), dry-run=true.
 *
 * A feature is the listing that identifiers.source names, or the one whose id
 * it carries, or else a new one. One that would change nothing is left alone.
 * Wrong features are refused one by one and hold up no other.
 *
 * 200 {"created":n,"updated":n,"unchanged":n,"failed":n,
 *      "rows":[{"row":0,"action":"created","id":"..."},
 *              {"row":1,"action":"failed","errors":[{"path":"...","detail":"..."}]}]}
 */
#define ADMIN_IMPORT_ROWS_MAX 1000
#define ADMIN_IMPORT_BODY_BYTES_MAX (32u << 20)

#endif
