/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTML_H
#define TORG_DAEMON_HTML_H

#include "protocol/bytes.h"

/* Text into HTML: safe in content and in attributes that stand in double quotes. */
void html_span(struct buffer *out, struct span text);
void html_text(struct buffer *out, const char *text);
/* The same, each run of empty lines beginning a new paragraph. */
void html_paragraphs(struct buffer *out, struct span text);

#endif
