/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_TEXTS_H
#define TORG_DAEMON_HTTP_TEXTS_H

#include "daemon/http_words.h"

/*
 * What errors say, in the language of whoever asks. A text is made in English
 * where the mistake is found, for the layers below know no readers, and logs and
 * the command want no other language. Here it is known again by its pattern, and
 * said in Swedish. tests/repo/check_texts.py refuses a text without a pattern.
 */
#define HTTP_TEXT_PARTS_MAX 8

/*
 * {} stands for what goes over as it is (numbers, names, what somebody typed),
 * {*} for what is a text of the table, too. Both sides have the same, in the
 * same order.
 */
struct http_text {
    const char *english;
    const char *swedish;
};
const struct http_text *http_texts_table(size_t *ret_count);

/*
 * Append english in that language. false: no pattern fits, and the text was
 * copied. Where several fit, the one with the most words of its own does.
 */
bool http_texts_put(struct buffer *out, enum http_language language, struct span english);

#endif
