/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "index/filter_internal.h"

static bool is_ascii(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] >= 0x80)
            return false;
    }
    return true;
}

static enum torg_err map(struct span text, utf8proc_option_t options, struct buffer *out)
{
    utf8proc_uint8_t *mapped = NULL;
    utf8proc_ssize_t size = utf8proc_map(text.data, (utf8proc_ssize_t)text.size, &mapped, options);

    if (size == UTF8PROC_ERROR_NOMEM)
        return TORG_E_NOMEM;
    if (size < 0)
        buffer_put_span(out, text); /* Not UTF-8: as it is. */
    else
        buffer_put(out, mapped, (size_t)size);
    free(mapped);
    return out->err;
}

enum torg_err filter_casei(struct span text, struct buffer *out)
{
    if (!is_ascii(text))
        return map(text, UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD, out);
    if (buffer_reserve(out, text.size))
        return out->err;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];

        buffer_put_u8(out, c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c);
    }
    return out->err;
}

enum torg_err filter_accenti(struct span text, struct buffer *out)
{
    if (!is_ascii(text))
        return map(text, UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_STRIPMARK, out);
    buffer_put_span(out, text);
    return out->err;
}

static size_t character_size(struct span text, size_t at)
{
    uint8_t c = text.data[at];
    size_t size = c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

    return size < text.size - at ? size : text.size - at;
}

/* Only the last % ever has to take more: what came before it has matched as early as it could. */
bool filter_like(struct span text, struct span pattern, uint64_t *steps)
{
    size_t t = 0, p = 0, star = SIZE_MAX, taken = 0;

    while (t < text.size) {
        bool escaped = p + 1 < pattern.size && pattern.data[p] == '\\';
        uint8_t c = p < pattern.size ? pattern.data[p + escaped] : 0;

        ++*steps;
        if (p < pattern.size && !escaped && c == '%') {
            star = p++;
            taken = t;
        } else if (p < pattern.size && !escaped && c == '_') {
            t += character_size(text, t);
            p++;
        } else if (p < pattern.size && c == text.data[t]) {
            t++;
            p += 1 + escaped;
        } else if (star != SIZE_MAX) {
            taken += character_size(text, taken);
            t = taken;
            p = star + 1;
        } else {
            return false;
        }
    }
    while (p < pattern.size && pattern.data[p] == '%')
        p++;
    return p == pattern.size;
}
