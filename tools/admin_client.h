/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TOOLS_ADMIN_CLIENT_H
#define TORG_TOOLS_ADMIN_CLIENT_H

#include "tools/http_client.h"

/*
 * The operators' listener of the running torgd that a configuration describes,
 * with the secret that torgd keeps in its data directory: whoever may read the
 * data directory may ask. See daemon/admin.h.
 */

/* NULL after a message that says what to do. */
struct http_client *admin_client_open(const char *command, const char *config_option);

/*
 * One request, answered with JSON. NULL after a message; else the caller
 * releases it. body may be NULL.
 */
json_t *admin_client_ask(const char *command, struct http_client *client, const char *method,
                         const char *path, const json_t *body);

#endif
