/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <string.h>

#include "protocol/snapshot.h"

/*
 * A snapshot file: whatever is taken can be put again, and gives the same bytes
 * and the same digest. Of the end only the form is free: a fuzzer finds no hash.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Record by record up to the end, or to what is none. */
static void go_through(struct span left)
{
    struct snapshot snapshot = {0}, again = {0};
    struct buffer out = {0};

    while (left.size >= FRAME_LENGTH_BYTES) {
        size_t record = (size_t)get_u32be(left.data) + FRAME_LENGTH_BYTES;
        struct frame frame;

        if (record == FRAME_LENGTH_BYTES) {
            enum torg_err err = snapshot_end(&snapshot, left);

            assert(err || left.size == SNAPSHOT_END_BYTES);
            break;
        }
        if (record > left.size || snapshot_take(&snapshot, span_of(left.data, record), &frame))
            break;
        assert(snapshot.records > 0 && snapshot.last == frame.type);
        buffer_clear(&out);
        assert(!snapshot_put(&again, &frame, &out));
        /* A later version's frames may be longer: what it adds is passed over. */
        if (out.size == record) {
            assert(memcmp(out.data, left.data, record) == 0);
            assert(memcmp(&again.digest, &snapshot.digest, sizeof(again.digest)) == 0);
        }
        again = snapshot;
        left = span_of(left.data + record, left.size - record);
    }
    buffer_clear(&out);
    snapshot_put_end(&again, &out);
    assert(out.err || out.size == SNAPSHOT_END_BYTES);
    buffer_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < SNAPSHOT_MAGIC_BYTES || memcmp(data, SNAPSHOT_MAGIC, SNAPSHOT_MAGIC_BYTES) != 0)
        return 0;
    go_through(span_of(data + SNAPSHOT_MAGIC_BYTES, size - SNAPSHOT_MAGIC_BYTES));
    return 0;
}
