/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/html.h"

static void put(struct buffer *out, uint8_t c)
{
    switch (c) {
    case '&':
        buffer_put_str(out, "&amp;");
        break;
    case '<':
        buffer_put_str(out, "&lt;");
        break;
    case '>':
        buffer_put_str(out, "&gt;");
        break;
    case '"':
        buffer_put_str(out, "&quot;");
        break;
    case '\'':
        buffer_put_str(out, "&#39;");
        break;
    default:
        if (c >= 0x20 || c == '\n' || c == '\t')
            buffer_put_u8(out, c);
    }
}

void html_span(struct buffer *out, struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        put(out, text.data[i]);
}

void html_text(struct buffer *out, const char *text)
{
    html_span(out, span_of_str(text));
}

void html_paragraphs(struct buffer *out, struct span text)
{
    unsigned newlines = 0;

    buffer_put_str(out, "<p>");
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '\n') {
            newlines++;
            continue;
        }
        if (newlines == 1)
            buffer_put_str(out, "<br>");
        else if (newlines > 1)
            buffer_put_str(out, "</p><p>");
        newlines = 0;
        put(out, text.data[i]);
    }
    buffer_put_str(out, "</p>");
}
