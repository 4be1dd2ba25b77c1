/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_QUERYABLES_H
#define TORG_DAEMON_HTTP_QUERYABLES_H

#include "daemon/http_exchange.h"
#include "daemon/http_words.h"

/*
 * What a collection's features have (OGC API - Features, Part 5), and what a
 * filter may name of it (Part 3): JSON Schema 2020-12, titles in the language
 * of lang. Both follow the table of properties.
 */
enum torg_err http_queryables(struct http_exchange *exchange);
enum torg_err http_schema(struct http_exchange *exchange);

/* The links from a collection to both. */
void http_queryables_put_links(const struct http_exchange *exchange, struct buffer *out,
                               const char *collection);

/* What stands in its schema as a filter sees it. property: NULL unless it is a listing's. */
void http_queryables_put_type(struct buffer *out, const struct cql2_property *item,
                              const struct listing_property *property);

/* What a property is called; its own name when nobody has said. Static storage, or name. */
const char *http_queryables_title(const char *name, enum http_language language);

#endif
