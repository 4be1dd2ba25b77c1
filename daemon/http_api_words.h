/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_API_WORDS_H
#define TORG_DAEMON_HTTP_API_WORDS_H

#include "daemon/http_words.h"

/*
 * What the API document says in Swedish, and its examples. The English stands
 * beside what it describes: in the table of routes and that of parameters. A
 * test sees to it that nothing in the document is without Swedish.
 */
struct http_api_words {
    const char *name; /* of a parameter, or an operationId */
    const char *sv;
    const char *example; /* JSON; of a parameter, or of an operation's body; else NULL */
};
/* NULL if there is none. */
const struct http_api_words *http_api_words(const char *name);

/* What a status means to a client, in both languages; ends with status 0. */
struct http_api_status {
    int status;
    const char *text[2];
    const char *kind; /* the last word of an example's type; NULL: about:blank */
};
const struct http_api_status *http_api_statuses(void);

#endif
