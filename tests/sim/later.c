/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/sim/later.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(expression) must((expression), #expression)
#define ELEMENTS_MAX 3
#define ELEMENTS_BYTES_MAX 256
#define TYPE_FIRST 0x40 /* types that no version near ours gives to anything */
#define TYPES 0x40
#define CAPS (UINT64_C(0xff00) << 16) /* far from those of the next minor versions */
#define FIX_ARRAY 0x90u
#define FIX_ARRAY_MAX 15u

enum torg_err __real_frame_encode(const struct frame *frame, struct buffer *out);
enum torg_err __wrap_frame_encode(const struct frame *frame, struct buffer *out);
enum torg_err __real_frame_decode(uint8_t type, struct span body, struct frame *ret_frame);
enum torg_err __wrap_frame_decode(uint8_t type, struct span body, struct frame *ret_frame);

static struct {
    uint64_t random;
    uint64_t count;
    bool speaks; /* the node whose step it is */
    bool strict;
} later;

static void must(enum torg_err err, const char *what)
{
    if (!err)
        return;
    fprintf(stderr, "later: %s: %s\n", what, torg_err_text(err));
    abort();
}

void later_begin(uint64_t seed, bool strict)
{
    later.random = seed ^ UINT64_C(0x6a09e667f3bcc909);
    later.count = 0;
    later.speaks = false;
    later.strict = strict;
}

uint64_t later_count(void)
{
    return later.count;
}

/* Chance of its own, so that a world's goes as it would without. SplitMix64. */
static uint64_t below(uint64_t limit)
{
    uint64_t z = (later.random += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % limit;
}

/* Any value of the strict profile, not large. */
static void value_put(struct buffer *out)
{
    switch (below(6)) {
    case 0:
        pack_uint(out, below(INTEGER_MAX));
        break;
    case 1:
        pack_nil(out);
        break;
    case 2:
        pack_str(out, span_of_str("f\xc3\xb6r senare"));
        break;
    case 3:
        pack_bin(out, "\0\1\2\3", 4);
        break;
    case 4:
        pack_map(out, 1);
        pack_str(out, span_of_str("hint"));
        pack_bool(out, below(2));
        break;
    default:
        pack_array(out, 2);
        pack_int(out, -(int64_t)below(1000));
        pack_array(out, 0);
    }
}

/* The frame that begins at start gets elements at its end. */
static void elements_add(struct buffer *out, size_t start)
{
    uint8_t *count = out->data + start + FRAME_PREFIX_BYTES;
    uint32_t added = 1 + (uint32_t)below(ELEMENTS_MAX);

    if ((*count & ~FIX_ARRAY_MAX) != FIX_ARRAY || (*count & FIX_ARRAY_MAX) + added > FIX_ARRAY_MAX)
        return;
    *count = (uint8_t)(*count + added);
    for (uint32_t i = 0; i < added; i++)
        value_put(out);
    MUST(out->err);
    put_u32be(out->data + start, (uint32_t)(out->size - start - FRAME_LENGTH_BYTES));
    later.count++;
}

enum torg_err __wrap_frame_encode(const struct frame *frame, struct buffer *out)
{
    struct frame changed = *frame;
    size_t start = out->size;
    enum torg_err err;

    if (later.speaks && frame->type == FRAME_HELLO)
        changed.hello.caps |= CAPS;
    err = __real_frame_encode(&changed, out);
    if (!err && later.speaks && out->data[start + FRAME_LENGTH_BYTES + 1] == 0 &&
        out->size - start + ELEMENTS_BYTES_MAX < FRAME_BYTES_MAX && below(2))
        elements_add(out, start);
    return err;
}

/* As one would who takes what he does not know for a mistake (a deliberate fault). */
enum torg_err __wrap_frame_decode(uint8_t type, struct span body, struct frame *ret_frame)
{
    enum torg_err err = __real_frame_decode(type, body, ret_frame);
    struct buffer known = {0};

    if (!later.strict)
        return err;
    if (err)
        return err == TORG_E_UNEXPECTED ? TORG_E_PROFILE : err;
    if (!__real_frame_encode(ret_frame, &known) && known.size - FRAME_PREFIX_BYTES < body.size)
        err = TORG_E_PROFILE;
    buffer_done(&known);
    return err;
}

void later_stepping(void *context, const struct world_node *node)
{
    (void)context;
    later.speaks = node->later;
}

void later_speaking(void *context, const struct world_node *node, struct buffer *bytes)
{
    size_t start = bytes->size;

    (void)context;
    /* Before its greeting has been heard nobody can be told anything. */
    if (!node->later || start == 0 || bytes->data[FRAME_LENGTH_BYTES] == FRAME_HELLO || below(4))
        return;
    buffer_put_u32be(bytes, 0);
    buffer_put_u8(bytes, (uint8_t)(TYPE_FIRST + below(TYPES)));
    buffer_put_u8(bytes, 0);
    pack_array(bytes, 1);
    value_put(bytes);
    MUST(bytes->err);
    put_u32be(bytes->data + start, (uint32_t)(bytes->size - start - FRAME_LENGTH_BYTES));
    later.count++;
}
