/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_FORMATS_H
#define TORG_DAEMON_HTTP_FORMATS_H

#include "daemon/http_exchange.h"

/*
 * Answers in formats that others than map programs read: iCalendar and JSON-LD.
 * begin, any number of features, end; one listing is a list of one.
 */
bool http_formats_mine(enum http_format format);
/* May the answer's listings stand in its format? query.collections is known. False: a reply is set.
 */
bool http_formats_fit(struct http_exchange *exchange);
/* Would they, if it were asked for? For links. */
bool http_formats_would_fit(const struct http_exchange *exchange, enum http_format format);

void http_formats_begin(struct http_exchange *exchange);
enum torg_err http_formats_put(struct http_exchange *exchange, struct span feature);
void http_formats_end(struct http_exchange *exchange);

#endif
