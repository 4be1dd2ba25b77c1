/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/snapshot.h"

#include <string.h>

#include "protocol/seal.h"

#define DIGEST_DOMAIN "torg/snapshot/1"

/* H(digest before || record), without a copy of the record: of the record's own hash. */
static struct hash chain(const struct hash *before, struct span record)
{
    struct hash of_record = seal_hash(DIGEST_DOMAIN, record);
    uint8_t both[2 * sizeof(struct hash)];

    memcpy(both, before->bytes, sizeof(before->bytes));
    memcpy(both + sizeof(before->bytes), of_record.bytes, sizeof(of_record.bytes));
    return seal_hash(DIGEST_DOMAIN, span_of(both, sizeof(both)));
}

static bool same_origin(const struct snapshot *snapshot, const struct origin_id *origin)
{
    return memcmp(&snapshot->origin, origin, sizeof(*origin)) == 0;
}

/* Charters of one origin may take several records; another's begin a new origin. */
static bool charter_fits(const struct snapshot *snapshot, const struct frame *frame)
{
    if (frame->charter.charters.count == 0 || snapshot->more)
        return false;
    if (snapshot->last == FRAME_CHARTER)
        return same_origin(snapshot, &frame->charter.origin);
    return snapshot->last == 0 || !same_origin(snapshot, &frame->charter.origin);
}

static bool entries_fit(const struct snapshot *snapshot, const struct frame *frame)
{
    bool first = snapshot->last == FRAME_HEAD || snapshot->last == FRAME_BEAT;

    if (!first && snapshot->last != FRAME_ENTRIES)
        return false;
    if (frame->entries.sid == 0 || frame->entries.sid >= COLLECTIONS_MAX)
        return false;
    if (frame->entries.entries.count == 0)
        return false;
    return snapshot->more ? frame->entries.sid == snapshot->collection
                          : frame->entries.sid > snapshot->collection;
}

static bool fits(const struct snapshot *snapshot, const struct frame *frame)
{
    switch (frame->type) {
    case FRAME_CHARTER:
        return charter_fits(snapshot, frame);
    case FRAME_HEAD:
        return snapshot->last == FRAME_CHARTER;
    case FRAME_BEAT:
        return snapshot->last == FRAME_HEAD && frame->beat.beats.count == 1;
    case FRAME_ENTRIES:
        return entries_fit(snapshot, frame);
    default:
        return false;
    }
}

static void go_on(struct snapshot *snapshot, const struct frame *frame)
{
    snapshot->last = frame->type;
    if (frame->type == FRAME_CHARTER) {
        snapshot->origin = frame->charter.origin;
        snapshot->collection = 0;
    } else if (frame->type == FRAME_ENTRIES) {
        snapshot->collection = (uint8_t)frame->entries.sid;
        snapshot->more = frame->entries.more;
    }
}

enum torg_err snapshot_take(struct snapshot *snapshot, struct span record, struct frame *ret_frame)
{
    struct frame_prefix prefix;
    struct frame frame;
    enum torg_err err = frame_prefix_read(record, &prefix);

    if (err)
        return err;
    if (prefix.flags != 0 || record.size != FRAME_PREFIX_BYTES + prefix.body_size)
        return TORG_E_INVALID;
    err = frame_decode(prefix.type,
                       span_of(record.data + FRAME_PREFIX_BYTES, record.size - FRAME_PREFIX_BYTES),
                       &frame);
    if (err)
        return err;
    if (snapshot->records == UINT32_MAX || !fits(snapshot, &frame))
        return TORG_E_UNEXPECTED;
    go_on(snapshot, &frame);
    snapshot->records++;
    snapshot->digest = chain(&snapshot->digest, record);
    *ret_frame = frame;
    return TORG_OK;
}

static bool is_whole(const struct snapshot *snapshot)
{
    return snapshot->last != FRAME_CHARTER && !snapshot->more;
}

enum torg_err snapshot_end(const struct snapshot *snapshot, struct span end)
{
    if (end.size != SNAPSHOT_END_BYTES)
        return TORG_E_TRUNCATED;
    if (get_u32be(end.data) != 0)
        return TORG_E_INVALID;
    if (get_u32be(end.data + 4) != snapshot->records ||
        memcmp(end.data + 8, snapshot->digest.bytes, sizeof(snapshot->digest.bytes)) != 0)
        return TORG_E_MISMATCH;
    return is_whole(snapshot) ? TORG_OK : TORG_E_UNEXPECTED;
}

enum torg_err snapshot_put(struct snapshot *snapshot, const struct frame *frame, struct buffer *out)
{
    size_t from = out->size;
    struct frame written;
    enum torg_err err = frame_encode(frame, out);

    if (err)
        return err;
    return snapshot_take(snapshot, span_of(out->data + from, out->size - from), &written);
}

void snapshot_put_end(const struct snapshot *snapshot, struct buffer *out)
{
    buffer_put_u32be(out, 0);
    buffer_put_u32be(out, snapshot->records);
    buffer_put(out, snapshot->digest.bytes, sizeof(snapshot->digest.bytes));
}
