/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/journal_ops.h"

#define OP_PUT 1
#define OP_DEL 2
#define OP_PATCH 3
#define PIECE_BYTES 12 /* of a patch, besides its new bytes */
#define PIECES_MAX 64
#define VALUE_BYTES_MAX (1u << 24)
#define STEP_BYTES 256 /* that are compared at once */

/* Bytes kept from the old value, then new ones. */
struct piece {
    size_t from, kept, at, added;
};

struct patch {
    struct piece pieces[PIECES_MAX];
    size_t count;
    size_t bytes; /* as it is told */
};

/* Both have so many bytes from there on. */
static size_t same_within(struct span old, struct span value, size_t from, size_t at, size_t most)
{
    size_t n = 0;

    while (n + STEP_BYTES <= most &&
           memcmp(old.data + from + n, value.data + at + n, STEP_BYTES) == 0)
        n += STEP_BYTES;
    while (n + 8 <= most && memcmp(old.data + from + n, value.data + at + n, 8) == 0)
        n += 8;
    while (n < most && old.data[from + n] == value.data[at + n])
        n++;
    return n;
}

static size_t same_from(struct span old, struct span value, size_t from, size_t at)
{
    size_t old_left = old.size - from, left = value.size - at;

    return same_within(old, value, from, at, old_left < left ? old_left : left);
}

static size_t same_at_end(struct span old, struct span value, size_t most)
{
    const uint8_t *old_end = old.data + old.size, *value_end = value.data + value.size;
    size_t n = 0;

    while (n + STEP_BYTES <= most &&
           memcmp(old_end - n - STEP_BYTES, value_end - n - STEP_BYTES, STEP_BYTES) == 0)
        n += STEP_BYTES;
    while (n + 8 <= most && memcmp(old_end - n - 8, value_end - n - 8, 8) == 0)
        n += 8;
    while (n < most && old.data[old.size - 1 - n] == value.data[value.size - 1 - n])
        n++;
    return n;
}

static bool piece_add(struct patch *patch, struct piece piece)
{
    if (patch->count == PIECES_MAX)
        return false;
    patch->pieces[patch->count++] = piece;
    patch->bytes += PIECE_BYTES + piece.added;
    return true;
}

/* How far from at on the two, as long as each other, differ: until so many bytes are equal that a
 * piece pays. */
static size_t differs_for(struct span old, struct span value, size_t at)
{
    size_t end = at;

    while (end < value.size) {
        size_t left = value.size - end, most = left < PIECE_BYTES + 1 ? left : PIECE_BYTES + 1;
        size_t same = same_within(old, value, end, end, most);

        if (same > PIECE_BYTES || end + same == value.size)
            break;
        end += same;
        while (end < value.size && old.data[end] != value.data[end])
            end++;
    }
    return end - at;
}

/* Fields that changed in place. */
static bool patch_in_place(struct span old, struct span value, struct patch *patch)
{
    for (size_t at = 0; at < value.size;) {
        size_t kept = same_from(old, value, at, at);
        size_t added = differs_for(old, value, at + kept);

        if (!piece_add(patch, (struct piece){at, kept, at + kept, added}))
            return false;
        at += kept + added;
    }
    return true;
}

/* Something came in, or went, in one place. */
static bool patch_moved(struct span old, struct span value, struct patch *patch)
{
    size_t head = same_from(old, value, 0, 0);
    size_t most = (old.size < value.size ? old.size : value.size) - head;
    size_t tail = same_at_end(old, value, most);

    return piece_add(patch, (struct piece){0, head, head, value.size - head - tail}) &&
           piece_add(patch, (struct piece){old.size - tail, tail, 0, 0});
}

static void put_head(struct buffer *ops, uint8_t op, enum kv_table table, struct span key)
{
    buffer_put_u8(ops, op);
    buffer_put_u8(ops, (uint8_t)table);
    buffer_put_u16be(ops, (uint16_t)key.size);
    buffer_put_span(ops, key);
}

static void put_patch(struct buffer *ops, const struct patch *patch, struct span value)
{
    buffer_put_u32be(ops, (uint32_t)value.size);
    buffer_put_u16be(ops, (uint16_t)patch->count);
    for (size_t i = 0; i < patch->count; i++) {
        const struct piece *piece = &patch->pieces[i];

        buffer_put_u32be(ops, (uint32_t)piece->from);
        buffer_put_u32be(ops, (uint32_t)piece->kept);
        buffer_put_u32be(ops, (uint32_t)piece->added);
        buffer_put(ops, value.data + piece->at, piece->added);
    }
}

void journal_ops_put(struct buffer *ops, enum kv_table table, struct span key, struct span old,
                     struct span value)
{
    struct patch patch = {0};
    bool patched = old.size > 0 && old.size < VALUE_BYTES_MAX &&
                   value.size >= JOURNAL_PATCH_BYTES_MIN && value.size < VALUE_BYTES_MAX;

    if (patched)
        patched = old.size == value.size ? patch_in_place(old, value, &patch)
                                         : patch_moved(old, value, &patch);
    if (patched && patch.bytes < value.size) {
        put_head(ops, OP_PATCH, table, key);
        put_patch(ops, &patch, value);
        return;
    }
    put_head(ops, OP_PUT, table, key);
    buffer_put_u32be(ops, (uint32_t)value.size);
    buffer_put_span(ops, value);
}

void journal_ops_del(struct buffer *ops, enum kv_table table, struct span key)
{
    put_head(ops, OP_DEL, table, key);
}

/* ---- doing them again ---- */

static enum torg_err patch_read(struct reader *in, struct span old, struct buffer *value)
{
    size_t size = reader_u32be(in), count = reader_u16be(in);

    if (size >= VALUE_BYTES_MAX)
        return TORG_E_CORRUPT;
    buffer_clear(value);
    for (; count > 0 && !in->err; count--) {
        size_t from = reader_u32be(in), kept = reader_u32be(in);
        struct span added = reader_bytes(in, reader_u32be(in));

        if (in->err || from > old.size || kept > old.size - from ||
            kept + added.size > size - value->size)
            return TORG_E_CORRUPT;
        buffer_put(value, old.data + from, kept);
        buffer_put_span(value, added);
        if (value->err)
            return value->err;
    }
    return in->err || value->size != size ? TORG_E_CORRUPT : TORG_OK;
}

static enum torg_err patch_apply(struct reader *in, struct kv *kv, enum kv_table table,
                                 struct span key, struct buffer *value)
{
    struct span old;
    enum torg_err err = kv_get(kv, table, key, &old);

    if (!err)
        err = patch_read(in, old, value);
    return err ? err : kv_put(kv, table, key, buffer_span(value));
}

static enum torg_err op_apply(struct reader *in, struct kv *kv, struct buffer *value)
{
    uint8_t op = reader_u8(in), table = reader_u8(in);
    struct span key = reader_bytes(in, reader_u16be(in)), bytes;
    enum torg_err err = TORG_E_CORRUPT;

    if (in->err || table >= KV_TABLE_COUNT || key.size == 0 || key.size > KV_KEY_BYTES_MAX)
        return TORG_E_CORRUPT;
    if (op == OP_PUT) {
        bytes = reader_bytes(in, reader_u32be(in));
        err = in->err ? TORG_E_CORRUPT : kv_put(kv, table, key, bytes);
    } else if (op == OP_DEL) {
        err = kv_del(kv, table, key);
    } else if (op == OP_PATCH) {
        err = patch_apply(in, kv, table, key, value);
    }
    return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
}

enum torg_err journal_ops_apply(struct span ops, struct kv *kv)
{
    struct reader in = reader_of(ops);
    struct buffer value = {0};
    enum torg_err err = TORG_OK;

    while (!err && reader_left(&in) > 0)
        err = op_apply(&in, kv, &value);
    buffer_done(&value);
    return err;
}
