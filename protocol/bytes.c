/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool span_equal(struct span a, struct span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

int span_compare(struct span a, struct span b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;

    if (order)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}

void buffer_done(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

void buffer_clear(struct buffer *buffer)
{
    buffer->size = 0;
    buffer->err = TORG_OK;
}

enum torg_err buffer_reserve(struct buffer *buffer, size_t extra)
{
    size_t capacity = buffer->capacity ? buffer->capacity : 256;
    uint8_t *data;

    if (buffer->err)
        return buffer->err;
    if (extra <= buffer->capacity - buffer->size)
        return TORG_OK;
    if (extra > SIZE_MAX / 2 - buffer->size)
        return buffer->err = TORG_E_TOO_BIG;
    while (capacity < buffer->size + extra)
        capacity *= 2;
    data = realloc(buffer->data, capacity);
    if (!data)
        return buffer->err = TORG_E_NOMEM;
    buffer->data = data;
    buffer->capacity = capacity;
    return TORG_OK;
}

void buffer_put_u16be(struct buffer *buffer, uint16_t value)
{
    uint8_t bytes[2];

    put_u16be(bytes, value);
    buffer_put(buffer, bytes, sizeof(bytes));
}

void buffer_put_u32be(struct buffer *buffer, uint32_t value)
{
    uint8_t bytes[4];

    put_u32be(bytes, value);
    buffer_put(buffer, bytes, sizeof(bytes));
}

void buffer_put_u64be(struct buffer *buffer, uint64_t value)
{
    uint8_t bytes[8];

    put_u64be(bytes, value);
    buffer_put(buffer, bytes, sizeof(bytes));
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list args;
    int size;

    va_start(args, format);
    size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size < 0) {
        buffer->err = buffer->err ? buffer->err : TORG_E_INTERNAL;
        return;
    }
    /* vsnprintf writes a zero past the text; it is not part of the buffer. */
    if (buffer_reserve(buffer, (size_t)size + 1))
        return;
    va_start(args, format);
    vsnprintf((char *)buffer->data + buffer->size, (size_t)size + 1, format, args);
    va_end(args);
    buffer->size += (size_t)size;
}

struct reader reader_of(struct span input)
{
    /* NULL + 0 is undefined in C, so an empty input points somewhere. */
    static const uint8_t nothing[1];
    const uint8_t *at = input.size ? input.data : nothing;

    return (struct reader){.at = at, .end = at + input.size};
}

struct span reader_bytes(struct reader *in, size_t size)
{
    struct span bytes;

    if (!in->err && size > (size_t)(in->end - in->at))
        in->err = TORG_E_TRUNCATED;
    if (in->err)
        return (struct span){0};
    bytes = span_of(in->at, size);
    in->at += size;
    return bytes;
}

void reader_copy(struct reader *in, void *out, size_t size)
{
    struct span bytes = reader_bytes(in, size);

    if (in->err)
        memset(out, 0, size);
    else if (size)
        memcpy(out, bytes.data, size);
}

uint16_t reader_u16be(struct reader *in)
{
    uint8_t bytes[2];

    reader_copy(in, bytes, sizeof(bytes));
    return get_u16be(bytes);
}

uint32_t reader_u32be(struct reader *in)
{
    uint8_t bytes[4];

    reader_copy(in, bytes, sizeof(bytes));
    return get_u32be(bytes);
}

uint64_t reader_u64be(struct reader *in)
{
    uint8_t bytes[8];

    reader_copy(in, bytes, sizeof(bytes));
    return get_u64be(bytes);
}

void hex_encode(const void *data, size_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *bytes = data;

    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * size] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

enum torg_err hex_decode(const char *text, void *out, size_t size)
{
    uint8_t *bytes = out;

    if (strlen(text) != 2 * size)
        return TORG_E_INVALID;
    for (size_t i = 0; i < 2 * size; i++) {
        if (hex_digit(text[i]) < 0)
            return TORG_E_INVALID;
    }
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
    return TORG_OK;
}

/* The size of the well-formed sequence at the start of text, 0 if there is none. */
static size_t utf8_sequence(const uint8_t *at, size_t left)
{
    uint8_t first = at[0];
    uint8_t low = 0x80;
    uint8_t high = 0xbf;
    size_t size;

    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        size = 2;
    else if (first >= 0xe0 && first <= 0xef)
        size = 3;
    else if (first >= 0xf0 && first <= 0xf4)
        size = 4;
    else
        return 0;
    if (size > left)
        return 0;
    /* The Unicode Standard, table 3-7: only the second byte has special ranges. */
    if (first == 0xe0)
        low = 0xa0;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++) {
        if (at[i] < 0x80 || at[i] > 0xbf)
            return 0;
    }
    return size;
}

bool utf8_valid(struct span text)
{
    size_t at = 0;

    while (at < text.size) {
        size_t left = text.size - at;
        size_t size;
        uint64_t word;

        /* Most text is ASCII, and every text that is read or shown passes here. */
        if (left >= sizeof(word)) {
            memcpy(&word, text.data + at, sizeof(word));
            if (!(word & UINT64_C(0x8080808080808080))) {
                at += sizeof(word);
                continue;
            }
        }
        while (at < text.size && text.data[at] < 0x80)
            at++; /* At most seven: then one of the eight, or the text's end. */
        if (at == text.size)
            break;
        size = utf8_sequence(text.data + at, text.size - at);
        if (size == 0)
            return false;
        at += size;
    }
    return true;
}

void utf8_trim(char *text)
{
    size_t size = strlen(text);

    for (size_t back = 1; back <= 3 && back <= size; back++) {
        uint8_t byte = (uint8_t)text[size - back];
        size_t whole = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;

        if (byte >= 0x80 && byte < 0xc0)
            continue;
        if (whole > back)
            text[size - back] = '\0';
        return;
    }
}

void buffer_put_utf8(struct buffer *out, uint32_t code)
{
    if (code < 0x80) {
        buffer_put_u8(out, (uint8_t)code);
    } else if (code < 0x800) {
        buffer_put_u8(out, (uint8_t)(0xc0 | code >> 6));
        buffer_put_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
    } else if (code < 0x10000) {
        buffer_put_u8(out, (uint8_t)(0xe0 | code >> 12));
        buffer_put_u8(out, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
        buffer_put_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
    } else {
        buffer_put_u8(out, (uint8_t)(0xf0 | code >> 18));
        buffer_put_u8(out, (uint8_t)(0x80 | (code >> 12 & 0x3f)));
        buffer_put_u8(out, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
        buffer_put_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
    }
}
