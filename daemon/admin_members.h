/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_ADMIN_MEMBERS_H
#define TORG_DAEMON_ADMIN_MEMBERS_H

#include "daemon/http_router.h"

/*
 * The members of the own origin as a catalogue, for operators. An entry is a
 * GeoJSON feature of the collection members (docs/listings.md) and stands under
 * its member's origin id, 64 hex digits.
 */
/*
 * GET /members: at most ADMIN_MEMBERS_PAGE entries, and in "after" what GET
 * /members/after/{key} goes on from; without "after" these were the last.
 */
http_handler admin_members_get;
#define ADMIN_MEMBERS_PAGE 500
http_handler admin_members_get_one; /* GET /members/{origin} */
/* PUT /members/{origin}: 200 with the entry, also when it is a new one. */
http_handler admin_members_put;
http_handler admin_members_delete; /* DELETE /members/{origin} */

#endif
