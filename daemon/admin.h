/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_ADMIN_H
#define TORG_DAEMON_ADMIN_H

#include "daemon/node.h"

/*
 * The operators' listeners ([admin], loopback by default): one thread.
 *   GET /healthz   200 as long as the process answers
 *   GET /readyz    200 when the store reads and the writer is ready; else 503 and the reason
 *   GET /metrics   Prometheus text format 0.0.4
 *   POST /tokens   {"role":"editor|admin|company","label":"..."} -> 201 {"token":...};
 *                  of a company with its "company":"ID"
 *   GET /tokens, DELETE /tokens/{id}
 *   /import, /collections, /members: admin_import.h, admin_collections.h, admin_members.h
 * All but the first three ask for `Authorization: Bearer SECRET`, where SECRET is what stands in
 * DIRECTORY/admin.secret, written at start with mode 0600: whoever can read the
 * data directory may make tokens while the daemon runs (`torg token` does).
 */
#define ADMIN_SECRET_FILE "admin.secret"

struct admin;

/* Binds and writes the secret. TORG_E_IO (errno; what failed is logged). */
enum torg_err admin_new(const struct node *node, struct admin **ret_admin);
enum torg_err admin_start(struct admin *admin);
/* As http_free. NULL is accepted. */
void admin_free(struct admin *admin);
uint16_t admin_port(const struct admin *admin);

#endif
