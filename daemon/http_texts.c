/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_texts.h"

#include <string.h>

/* Parts that are texts have parts themselves; nothing in the table is as deep as this. */
#define DEPTH_MAX 4

/* What stands where a pattern has a placeholder. */
struct parts {
    size_t count;
    struct span items[HTTP_TEXT_PARTS_MAX];
    size_t literal_bytes; /* of the pattern */
};

/*
 * The bytes up to the next placeholder, or to the end. Moves *pattern behind
 * the placeholder; false at the end of the pattern.
 */
static bool next_literal(const char **pattern, struct span *ret_literal, bool *ret_text)
{
    const char *at = *pattern;

    while (*at && strncmp(at, "{}", 2) != 0 && strncmp(at, "{*}", 3) != 0)
        at++;
    *ret_literal = span_of(*pattern, (size_t)(at - *pattern));
    *ret_text = *at && at[1] == '*';
    *pattern = at + (*at ? *ret_text ? 3 : 2 : 0);
    return *at != '\0';
}

/* Where literal begins in text, at the end of it if last; NULL: nowhere. */
static const uint8_t *find(struct span text, struct span literal, bool last)
{
    if (literal.size > text.size)
        return NULL;
    if (!last)
        return literal.size ? memmem(text.data, text.size, literal.data, literal.size) : text.data;
    text = span_of(text.data + text.size - literal.size, literal.size);
    return span_equal(text, literal) ? text.data : NULL;
}

static bool matches(const char *pattern, struct span text, struct parts *ret_parts)
{
    struct span literal;
    bool is_text;
    bool more = next_literal(&pattern, &literal, &is_text);

    *ret_parts = (struct parts){.literal_bytes = literal.size};
    if (!more)
        return span_equal(text, literal);
    if (literal.size > text.size || memcmp(text.data, literal.data, literal.size) != 0)
        return false;
    text = span_of(text.data + literal.size, text.size - literal.size);
    while (more && ret_parts->count < HTTP_TEXT_PARTS_MAX) {
        const uint8_t *at;

        more = next_literal(&pattern, &literal, &is_text);
        at = find(text, literal, !more);
        if (!at)
            return false;
        ret_parts->items[ret_parts->count++] = span_of(text.data, (size_t)(at - text.data));
        ret_parts->literal_bytes += literal.size;
        text = span_of(at + literal.size, text.size - (size_t)(at - text.data) - literal.size);
    }
    return !more;
}

static const struct http_text *find_text(struct span english, struct parts *ret_parts)
{
    const struct http_text *best = NULL;
    size_t count;
    const struct http_text *table = http_texts_table(&count);

    for (size_t i = 0; i < count; i++) {
        struct parts parts;

        if (!matches(table[i].english, english, &parts) ||
            (best && parts.literal_bytes <= ret_parts->literal_bytes))
            continue;
        best = &table[i];
        *ret_parts = parts;
    }
    return best;
}

static bool put_swedish(struct buffer *out, struct span english, unsigned depth)
{
    struct parts parts;
    const struct http_text *text = depth < DEPTH_MAX ? find_text(english, &parts) : NULL;
    const char *pattern = text ? text->swedish : "";
    struct span literal;
    bool is_text;

    if (!text) {
        buffer_put_span(out, english);
        return false;
    }
    for (size_t i = 0; next_literal(&pattern, &literal, &is_text); i++) {
        buffer_put_span(out, literal);
        if (is_text)
            (void)put_swedish(out, parts.items[i], depth + 1);
        else
            buffer_put_span(out, parts.items[i]);
    }
    buffer_put_span(out, literal);
    return true;
}

bool http_texts_put(struct buffer *out, enum http_language language, struct span english)
{
    if (language == HTTP_SWEDISH)
        return put_swedish(out, english, 0);
    buffer_put_span(out, english);
    return true;
}
