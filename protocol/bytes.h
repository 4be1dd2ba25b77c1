/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_BYTES_H
#define TORG_PROTOCOL_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "protocol/err.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Borrowed bytes: size of them at data. data may be NULL when size is 0. */
struct span {
    const uint8_t *data;
    size_t size;
};

/*
 * Owned bytes that grow at the end. A failed append sets err, and every later
 * append does nothing, so that a writer checks once, at its end. All zero is a
 * valid empty buffer.
 */
struct buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
    enum torg_err err;
};

/*
 * A cursor over borrowed bytes that remembers its first mistake. After a
 * failed read it gives zeros and empty spans; check err before believing them.
 */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
    enum torg_err err;
};

static inline struct span span_of(const void *data, size_t size)
{
    return (struct span){.data = (const uint8_t *)data, .size = size};
}

/* The bytes of a C string, without its terminating zero. */
static inline struct span span_of_str(const char *text)
{
    return span_of(text, strlen(text));
}

bool span_equal(struct span a, struct span b);
/* Order by unsigned bytes, a shorter prefix first: <0, 0 or >0. */
int span_compare(struct span a, struct span b);

static inline struct span buffer_span(const struct buffer *buffer)
{
    return span_of(buffer->data, buffer->size);
}

void buffer_done(struct buffer *buffer);
/* Empty it and forget its error, keeping its memory. */
void buffer_clear(struct buffer *buffer);
/* Room for extra more bytes; on success they may be written at data + size. */
enum torg_err buffer_reserve(struct buffer *buffer, size_t extra);

/* An answer is made of hundreds of small appends: here, so that they cost no calls. */
static inline void buffer_put(struct buffer *buffer, const void *data, size_t size)
{
    if (size == 0 || buffer->err)
        return;
    if (size > buffer->capacity - buffer->size && buffer_reserve(buffer, size))
        return;
    memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
}

static inline void buffer_put_span(struct buffer *buffer, struct span bytes)
{
    buffer_put(buffer, bytes.data, bytes.size);
}

static inline void buffer_put_str(struct buffer *buffer, const char *text)
{
    buffer_put(buffer, text, strlen(text));
}

static inline void buffer_put_u8(struct buffer *buffer, uint8_t value)
{
    buffer_put(buffer, &value, 1);
}

void buffer_put_u16be(struct buffer *buffer, uint16_t value);
void buffer_put_u32be(struct buffer *buffer, uint32_t value);
void buffer_put_u64be(struct buffer *buffer, uint64_t value);
/* printf into the buffer; the locale never matters because it is never set. */
void buffer_printf(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

struct reader reader_of(struct span input);

static inline size_t reader_left(const struct reader *in)
{
    return in->err ? 0 : (size_t)(in->end - in->at);
}

/* What is received is read byte by byte more than anything: here, so that a byte costs no call. */
static inline uint8_t reader_u8(struct reader *in)
{
    if (!in->err && in->at == in->end)
        in->err = TORG_E_TRUNCATED;
    return in->err ? 0 : *in->at++;
}

uint16_t reader_u16be(struct reader *in);
uint32_t reader_u32be(struct reader *in);
uint64_t reader_u64be(struct reader *in);
/* size bytes, borrowed from the input. */
struct span reader_bytes(struct reader *in, size_t size);
/* Copies size bytes to out; zeros after a failure. */
void reader_copy(struct reader *in, void *out, size_t size);

/* Big-endian fields at any alignment. */
static inline uint16_t get_u16be(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t get_u32be(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline uint64_t get_u64be(const uint8_t *at)
{
    return (uint64_t)get_u32be(at) << 32 | get_u32be(at + 4);
}

static inline void put_u16be(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void put_u32be(uint8_t *at, uint32_t value)
{
    put_u16be(at, (uint16_t)(value >> 16));
    put_u16be(at + 2, (uint16_t)value);
}

static inline void put_u64be(uint8_t *at, uint64_t value)
{
    put_u32be(at, (uint32_t)(value >> 32));
    put_u32be(at + 4, (uint32_t)value);
}

/* Lower-case hex with a terminating zero: out holds 2 * size + 1. */
void hex_encode(const void *data, size_t size, char *out);
/* Exactly 2 * size hex digits of either case, then the end; else TORG_E_INVALID. */
enum torg_err hex_decode(const char *text, void *out, size_t size);

/* Well-formed UTF-8 (RFC 3629): no overlong form, no surrogate, at most U+10FFFF. */
bool utf8_valid(struct span text);
/* A text that was cut to fit: if the last code point is not all there, what is left of it goes. */
void utf8_trim(char *text);
/* Append a code point, which is at most U+10FFFF and no half of a pair. */
void buffer_put_utf8(struct buffer *buffer, uint32_t code);

#endif
