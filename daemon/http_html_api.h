/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_HTML_API_H
#define TORG_DAEMON_HTTP_HTML_API_H

#include "daemon/http_page_parts.h"

/* The API document as something to read: each path, what it does, what it takes. */
void http_html_api_put(const struct http_page_parts *page, const json_t *document);

#endif
