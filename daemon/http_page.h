/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_PAGE_H
#define TORG_DAEMON_HTTP_PAGE_H

#include "daemon/http_router.h"

/*
 * The page for people: a search box, the nearest listings, a page for each,
 * whose data it is and how old. HTML without scripts, in Swedish or English.
 */
struct http_page; /* exchange->service of the public listeners: the place names */

enum torg_err http_page_new(struct http_page **ret_page);
void http_page_free(struct http_page *page);
const struct gazetteer *http_page_gazetteer(const struct http_page *page);

http_handler http_page_home;    /* / */
http_handler http_page_listing; /* /listing/{id} */
http_handler http_page_style;   /* /torg.css */
http_handler http_page_icon;    /* /torg.svg */

/* An error for people, as a page; problems, if not NULL, says what to mend, one by one. */
void http_page_problem(struct http_exchange *exchange, int status, const char *detail,
                       const struct problems *problems);

#endif
