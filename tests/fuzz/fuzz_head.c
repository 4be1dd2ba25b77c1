/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <string.h>

#include "protocol/change.h"
#include "protocol/head.h"
#include "protocol/profile.h"

/*
 * Heads, beats and headers: what parses is packed again to the same bytes, so
 * that there is one encoding of each, and is in the profile.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect_same(struct buffer *out, struct span bytes)
{
    assert(!out->err && span_equal(buffer_span(out), bytes));
    assert(!profile_check(bytes));
    buffer_done(out);
}

static void check_object(struct span bytes)
{
    struct buffer out = {0};
    struct head head;
    struct beat beat;
    struct change_header header;

    if (!head_parse(bytes, &head)) {
        assert(bytes.size <= HEAD_BYTES_MAX);
        head_pack(&head, &out);
        expect_same(&out, bytes);
    }
    if (!beat_parse(bytes, &beat)) {
        assert(bytes.size <= BEAT_BYTES_MAX);
        beat_pack(&beat, &out);
        expect_same(&out, bytes);
    }
    if (!change_header_parse(bytes, &header)) {
        assert(bytes.size <= HEADER_BYTES_MAX);
        change_header_pack(&header, &out);
        expect_same(&out, bytes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = span_of(data, size);
    struct profile_reader in = profile_reader_of(bytes);
    struct signed_span object = signed_read(&in, HEAD_BYTES_MAX);
    struct buffer out = {0};

    check_object(bytes);
    if (profile_end(&in))
        return 0;
    signed_pack(object.bytes, &object.signature, &out);
    expect_same(&out, bytes);
    check_object(object.bytes);
    return 0;
}
