/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <string.h>

#include "protocol/change.h"
#include "protocol/profile.h"

/*
 * The profile has one encoding per value: whatever the skim accepts, read and
 * packed again, is the same bytes. And a reader that goes on over bytes that
 * the skim refuses must stop by itself, without a step past the end.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads one value and packs it again; nothing is packed after a mistake. */
static void copy_value(struct profile_reader *in, struct buffer *out, unsigned depth)
{
    enum profile_kind kind = profile_peek(in);
    uint32_t count;

    if (in->in.err || depth > PROFILE_DEPTH_MAX)
        return;
    switch (kind) {
    case PROFILE_NIL:
        profile_nil(in);
        pack_nil(out);
        break;
    case PROFILE_BOOL:
        pack_bool(out, profile_bool(in));
        break;
    case PROFILE_INT:
        pack_int(out, profile_int(in));
        break;
    case PROFILE_STR:
        pack_str(out, profile_str(in, SIZE_MAX));
        break;
    case PROFILE_BIN: {
        struct span bytes = profile_bin(in, SIZE_MAX);

        pack_bin(out, bytes.data, bytes.size);
        break;
    }
    case PROFILE_ARRAY:
        count = profile_array(in);
        pack_array(out, count);
        for (uint32_t i = 0; i < count && !in->in.err; i++)
            copy_value(in, out, depth + 1);
        break;
    case PROFILE_MAP:
        count = profile_map(in);
        pack_map(out, count);
        for (uint32_t i = 0; i < 2 * count && !in->in.err; i++)
            copy_value(in, out, depth + 1);
        break;
    }
}

static void check_payload(struct span bytes, enum torg_err profile_err)
{
    struct payload payload;
    enum torg_err err = payload_parse(bytes, &payload);
    struct buffer out = {0};

    if (bytes.size > PAYLOAD_BYTES_MAX) {
        assert(err == TORG_E_TOO_BIG);
        return;
    }
    assert(profile_err ? err == profile_err : !err || err == TORG_E_INVALID);
    if (err)
        return;
    payload_pack(payload.nonce, payload.schema, payload.body, &out);
    assert(!out.err && span_equal(buffer_span(&out), bytes));
    assert(!profile_check(payload.body));
    buffer_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = span_of(data, size);
    enum torg_err profile_err = profile_check(bytes);
    struct profile_reader in = profile_reader_of(bytes);
    struct buffer out = {0};
    struct span skipped;

    copy_value(&in, &out, 0);
    if (!profile_err) {
        assert(!profile_end(&in) && !out.err);
        assert(span_equal(buffer_span(&out), bytes));
    }
    buffer_done(&out);

    in = profile_reader_of(bytes);
    skipped = profile_skip(&in);
    assert(in.in.err || (skipped.size >= 1 && skipped.size <= size));
    assert(in.in.err || !profile_check(skipped));
    check_payload(bytes, profile_err);
    return 0;
}
