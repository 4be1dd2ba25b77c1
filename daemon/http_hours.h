/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_HOURS_H
#define TORG_DAEMON_HTTP_HOURS_H

#include <jansson.h>

#include "daemon/http_words.h"

/*
 * The openingHours of a feature as people read them, in HTML, a line for each
 * entry: "mån–fre 09:00–17:00", "first Saturday of the month 10:00–14:00
 * (2026-06-01 – 2026-08-31)". A rule without words is shown as it is written,
 * for a half of it would be wrong. Nothing when there are none.
 */
void http_hours_put(struct buffer *out, enum http_language language, const json_t *hours);

#endif
