/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/profile.h"

#include <assert.h>
#include <msgpack/pack.h>
#include <string.h>

/* The head of one value: everything but the elements of a container. */
struct value {
    enum profile_kind kind;
    bool truth;
    int64_t integer;
    uint32_t count;    /* ARRAY, MAP */
    struct span bytes; /* STR, BIN */
};

/* The kind that a first byte announces; false if the profile has no such byte. */
static inline bool tag_kind(uint8_t tag, enum profile_kind *ret_kind)
{
    if ((tag >= 0xa0 && tag <= 0xbf) || (tag >= 0xd9 && tag <= 0xdb))
        *ret_kind = PROFILE_STR;
    else if (tag <= 0x7f || tag >= 0xe0 || (tag >= 0xcc && tag <= 0xd3))
        *ret_kind = PROFILE_INT;
    else if (tag >= 0xc4 && tag <= 0xc6)
        *ret_kind = PROFILE_BIN;
    else if ((tag >= 0x90 && tag <= 0x9f) || tag == 0xdc || tag == 0xdd)
        *ret_kind = PROFILE_ARRAY;
    else if ((tag >= 0x80 && tag <= 0x8f) || tag == 0xde || tag == 0xdf)
        *ret_kind = PROFILE_MAP;
    else if (tag == 0xc2 || tag == 0xc3)
        *ret_kind = PROFILE_BOOL;
    else if (tag == 0xc0)
        *ret_kind = PROFILE_NIL;
    else
        return false; /* floats, ext, and the byte that msgpack never uses */
    return true;
}

static void refuse(struct reader *in, enum torg_err err)
{
    if (!in->err)
        in->err = err;
}

/* A number of the given width that is too great for the next shorter form. */
static uint64_t long_uint(struct reader *in, unsigned width, uint64_t min)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < width; i++)
        value = value << 8 | reader_u8(in);
    if (value < min)
        refuse(in, TORG_E_PROFILE);
    return in->err ? 0 : value;
}

/* A negative number of the given width that is below the next shorter form. */
static int64_t long_negative(struct reader *in, unsigned width, int64_t max)
{
    uint64_t bits = 0;
    int64_t value;

    for (unsigned i = 0; i < width; i++)
        bits = bits << 8 | reader_u8(in);
    /* Sign extension without a shift of a negative number. */
    if (width < 8 && bits >> (8 * width - 1))
        bits |= UINT64_MAX << (8 * width);
    value = (int64_t)bits;
    if (value > max || value < -INTEGER_MAX)
        refuse(in, TORG_E_PROFILE);
    return in->err ? 0 : value;
}

static int64_t read_int(struct reader *in, uint8_t tag)
{
    uint64_t value;

    switch (tag) {
    case 0xcc:
        return (int64_t)long_uint(in, 1, 0x80);
    case 0xcd:
        return (int64_t)long_uint(in, 2, 0x100);
    case 0xce:
        return (int64_t)long_uint(in, 4, 0x10000);
    case 0xcf:
        value = long_uint(in, 8, UINT64_C(0x100000000));
        if (value > INTEGER_MAX)
            refuse(in, TORG_E_PROFILE);
        return in->err ? 0 : (int64_t)value;
    case 0xd0:
        return long_negative(in, 1, -33);
    case 0xd1:
        return long_negative(in, 2, INT8_MIN - 1);
    case 0xd2:
        return long_negative(in, 4, INT16_MIN - 1);
    case 0xd3:
        return long_negative(in, 8, (int64_t)INT32_MIN - 1);
    default:
        return tag <= 0x7f ? tag : tag - 256;
    }
}

static uint32_t str_size(struct reader *in, uint8_t tag)
{
    switch (tag) {
    case 0xd9:
        return (uint32_t)long_uint(in, 1, 32);
    case 0xda:
        return (uint32_t)long_uint(in, 2, 0x100);
    case 0xdb:
        return (uint32_t)long_uint(in, 4, 0x10000);
    default:
        return tag & 0x1f;
    }
}

static uint32_t bin_size(struct reader *in, uint8_t tag)
{
    switch (tag) {
    case 0xc4:
        return (uint32_t)long_uint(in, 1, 0);
    case 0xc5:
        return (uint32_t)long_uint(in, 2, 0x100);
    default:
        return (uint32_t)long_uint(in, 4, 0x10000);
    }
}

/* Each element takes at least a byte, so a greater count is a lie: believe nothing. */
static uint32_t container_count(struct reader *in, uint8_t tag, unsigned bytes_each)
{
    uint32_t count;

    if (tag == 0xdc || tag == 0xde)
        count = (uint32_t)long_uint(in, 2, 16);
    else if (tag == 0xdd || tag == 0xdf)
        count = (uint32_t)long_uint(in, 4, 0x10000);
    else
        count = tag & 0x0f;
    if (count > reader_left(in) / bytes_each)
        refuse(in, TORG_E_TRUNCATED);
    return in->err ? 0 : count;
}

/* Inline: each caller needs a part of the value, and the rest is never made. */
static inline struct value read_value(struct reader *in)
{
    struct value value = {.kind = PROFILE_NIL};
    uint8_t tag = reader_u8(in);

    if (in->err)
        return value;
    if (!tag_kind(tag, &value.kind)) {
        refuse(in, TORG_E_PROFILE);
        return value;
    }
    switch (value.kind) {
    case PROFILE_NIL:
        break;
    case PROFILE_BOOL:
        value.truth = tag == 0xc3;
        break;
    case PROFILE_INT:
        value.integer = read_int(in, tag);
        break;
    case PROFILE_STR:
        value.bytes = reader_bytes(in, str_size(in, tag));
        if (!utf8_valid(value.bytes))
            refuse(in, TORG_E_PROFILE);
        break;
    case PROFILE_BIN:
        value.bytes = reader_bytes(in, bin_size(in, tag));
        break;
    case PROFILE_ARRAY:
        value.count = container_count(in, tag, 1);
        break;
    case PROFILE_MAP:
        value.count = container_count(in, tag, 2);
        break;
    }
    return in->err ? (struct value){.kind = PROFILE_NIL} : value;
}

/* A container that is open while skimming: what is still to come of it. */
struct level {
    uint64_t left; /* values; a pair of a map is two */
    bool is_map;
    struct span key; /* the last one; data NULL before the first */
};

/* The value is a key if one is due; keys ascend. */
static inline void skim_key(struct reader *in, struct level *level, const struct value *value)
{
    if (!level->is_map || level->left % 2)
        return;
    if (value->kind != PROFILE_STR ||
        (level->key.data && span_compare(level->key, value->bytes) >= 0))
        refuse(in, TORG_E_PROFILE);
    level->key = value->bytes;
}

/* Pass one whole value. */
static void skim(struct reader *in)
{
    struct level levels[PROFILE_DEPTH_MAX];
    struct level *top = levels; /* one beyond the container that is open */
    struct value value;

    do {
        value = read_value(in);
        if (top > levels) {
            skim_key(in, top - 1, &value);
            top[-1].left--;
        }
        if (value.kind == PROFILE_ARRAY || value.kind == PROFILE_MAP) {
            bool is_map = value.kind == PROFILE_MAP;

            if (top == levels + PROFILE_DEPTH_MAX)
                refuse(in, TORG_E_TOO_BIG);
            else
                *top++ = (struct level){.left = (uint64_t)value.count << is_map, .is_map = is_map};
        }
        while (top > levels && top[-1].left == 0)
            top--;
    } while (top > levels && !in->err);
}

enum torg_err profile_check(struct span bytes)
{
    struct reader in = reader_of(bytes);

    skim(&in);
    if (reader_left(&in))
        refuse(&in, TORG_E_PROFILE);
    return in.err;
}

struct profile_reader profile_reader_of(struct span bytes)
{
    return (struct profile_reader){.in = reader_of(bytes)};
}

enum profile_kind profile_peek(struct profile_reader *in)
{
    enum profile_kind kind;

    if (in->in.err)
        return PROFILE_NIL;
    if (reader_left(&in->in) == 0) {
        in->in.err = TORG_E_TRUNCATED;
        return PROFILE_NIL;
    }
    if (!tag_kind(*in->in.at, &kind)) {
        in->in.err = TORG_E_PROFILE;
        return PROFILE_NIL;
    }
    return kind;
}

static struct value read_kind(struct profile_reader *in, enum profile_kind kind)
{
    struct value value = read_value(&in->in);

    if (value.kind != kind)
        refuse(&in->in, TORG_E_INVALID);
    return in->in.err ? (struct value){0} : value;
}

uint32_t profile_array(struct profile_reader *in)
{
    return read_kind(in, PROFILE_ARRAY).count;
}

uint32_t profile_map(struct profile_reader *in)
{
    return read_kind(in, PROFILE_MAP).count;
}

void profile_array_of(struct profile_reader *in, uint32_t count)
{
    if (profile_array(in) != count)
        refuse(&in->in, TORG_E_INVALID);
}

int64_t profile_int(struct profile_reader *in)
{
    return read_kind(in, PROFILE_INT).integer;
}

uint64_t profile_uint(struct profile_reader *in, uint64_t max)
{
    int64_t value = profile_int(in);

    if (value < 0 || (uint64_t)value > max) {
        refuse(&in->in, TORG_E_INVALID);
        return 0;
    }
    return (uint64_t)value;
}

bool profile_bool(struct profile_reader *in)
{
    return read_kind(in, PROFILE_BOOL).truth;
}

void profile_nil(struct profile_reader *in)
{
    read_kind(in, PROFILE_NIL);
}

static struct span bounded(struct profile_reader *in, struct span bytes, size_t size_max)
{
    if (bytes.size <= size_max)
        return bytes;
    refuse(&in->in, TORG_E_TOO_BIG);
    return (struct span){0};
}

struct span profile_str(struct profile_reader *in, size_t size_max)
{
    return bounded(in, read_kind(in, PROFILE_STR).bytes, size_max);
}

struct span profile_bin(struct profile_reader *in, size_t size_max)
{
    return bounded(in, read_kind(in, PROFILE_BIN).bytes, size_max);
}

void profile_bin_copy(struct profile_reader *in, void *out, size_t size)
{
    struct span bytes = read_kind(in, PROFILE_BIN).bytes;

    if (bytes.size != size)
        refuse(&in->in, TORG_E_INVALID);
    if (size == 0)
        return;
    if (in->in.err)
        memset(out, 0, size);
    else
        memcpy(out, bytes.data, size);
}

struct span profile_skip(struct profile_reader *in)
{
    const uint8_t *from = in->in.at;

    skim(&in->in);
    if (in->in.err)
        return (struct span){0};
    return span_of(from, (size_t)(in->in.at - from));
}

enum torg_err profile_end(struct profile_reader *in)
{
    if (reader_left(&in->in))
        refuse(&in->in, TORG_E_PROFILE);
    return in->in.err;
}

static int packer_write(void *context, const char *data, size_t size)
{
    struct buffer *out = context;

    buffer_put(out, data, size);
    return out->err ? -1 : 0;
}

/* A packer is two pointers, so each call makes its own. */
static msgpack_packer packer_of(struct buffer *out)
{
    msgpack_packer packer;

    msgpack_packer_init(&packer, out, packer_write);
    return packer;
}

void pack_array(struct buffer *out, uint32_t count)
{
    msgpack_packer packer = packer_of(out);

    msgpack_pack_array(&packer, count);
}

void pack_map(struct buffer *out, uint32_t count)
{
    msgpack_packer packer = packer_of(out);

    msgpack_pack_map(&packer, count);
}

void pack_int(struct buffer *out, int64_t value)
{
    msgpack_packer packer = packer_of(out);

    assert(value >= -INTEGER_MAX && value <= INTEGER_MAX);
    msgpack_pack_int64(&packer, value);
}

void pack_uint(struct buffer *out, uint64_t value)
{
    msgpack_packer packer = packer_of(out);

    assert(value <= INTEGER_MAX);
    msgpack_pack_uint64(&packer, value);
}

void pack_bool(struct buffer *out, bool value)
{
    msgpack_packer packer = packer_of(out);

    if (value)
        msgpack_pack_true(&packer);
    else
        msgpack_pack_false(&packer);
}

void pack_nil(struct buffer *out)
{
    msgpack_packer packer = packer_of(out);

    msgpack_pack_nil(&packer);
}

void pack_str(struct buffer *out, struct span text)
{
    msgpack_packer packer = packer_of(out);

    msgpack_pack_str(&packer, text.size);
    buffer_put_span(out, text);
}

void pack_bin(struct buffer *out, const void *data, size_t size)
{
    msgpack_packer packer = packer_of(out);

    msgpack_pack_bin(&packer, size);
    buffer_put(out, data, size);
}
