/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TOOLS_CONF_FILE_H
#define TORG_TOOLS_CONF_FILE_H

#include "protocol/bytes.h"

/*
 * Changing a federation.conf that people write too: their lines and comments
 * stay as they are. The new text is read back and checked before it takes the
 * old one's place, in one step, so that a wrong edit changes nothing.
 */

/* Replace the whole file, or make it. message: why not. TORG_E_CONFIG, TORG_E_IO. */
enum torg_err conf_file_replace(const char *path, struct span text, char *message,
                                size_t message_size);

/*
 * text without the section [name] up to the next section's line, appended to
 * out; *ret_found tells whether there was one.
 */
void conf_text_without_section(struct span text, const char *name, struct buffer *out,
                               bool *ret_found);
/* text with line at the end of [section], which is made when it is not there. */
void conf_text_with_line(struct span text, const char *section, const char *line,
                         struct buffer *out);
/* text without the line of key within [section]. */
void conf_text_without_key(struct span text, const char *section, const char *key,
                           struct buffer *out, bool *ret_found);

#endif
