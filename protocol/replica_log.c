/* SPDX-License-Identifier: EUPL-1.2 */
#include <string.h>

#include "protocol/replica_internal.h"

#define PART_BYTES 5 /* of a row's key: the origin's number and the part */

/* The origin's first row of a part; TORG_E_NOT_FOUND: it has none. */
static enum torg_err oldest(const struct replica_writing *writing, enum replica_byseq part,
                            struct replica_byseq_key *ret_at)
{
    static const struct listing_key lowest;
    struct replica_key from = replica_key_byseq(writing->origin->number, part, 0, 0, &lowest);
    struct kv_cursor *cursor;
    struct span key, value;
    enum torg_err err = kv_cursor_open(writing->kv, KV_BYSEQ, &cursor);

    if (err)
        return err;
    err = kv_cursor_seek(writing->kv, cursor, replica_key_span(&from), &key, &value);
    if (!err && (key.size < PART_BYTES || memcmp(key.data, from.bytes, PART_BYTES) != 0))
        err = TORG_E_NOT_FOUND;
    if (!err)
        err = replica_byseq_key_read(key, ret_at);
    kv_cursor_close(writing->kv, cursor);
    return err;
}

/* ---- tombstones ---- */

enum torg_err replica_tombstone_put(struct replica_writing *writing,
                                    const struct replica_entry *entry)
{
    uint32_t number = writing->origin->number;
    uint8_t collection = entry->header.collection;
    struct replica_key row = replica_key_byseq(number, REPLICA_BYSEQ_TOMBSTONE, entry->header.seq,
                                               collection, &entry->key);
    struct replica_key index = replica_key_erased(number, collection, &entry->key);
    uint8_t seq[8];
    enum torg_err err;

    put_u64be(seq, entry->header.seq);
    err = kv_put(writing->kv, KV_BYSEQ, replica_key_span(&row), entry->header_bytes);
    if (!err)
        err = kv_put(writing->kv, KV_BYSEQ, replica_key_span(&index), span_of(seq, sizeof(seq)));
    if (!err)
        writing->origin->tombstones++;
    return err;
}

static enum torg_err tombstone_delete(struct replica_writing *writing, uint64_t seq,
                                      uint8_t collection, const struct listing_key *key)
{
    uint32_t number = writing->origin->number;
    struct replica_key row =
        replica_key_byseq(number, REPLICA_BYSEQ_TOMBSTONE, seq, collection, key);
    struct replica_key index = replica_key_erased(number, collection, key);
    enum torg_err err = kv_del(writing->kv, KV_BYSEQ, replica_key_span(&row));

    if (!err)
        err = kv_del(writing->kv, KV_BYSEQ, replica_key_span(&index));
    if (!err && writing->origin->tombstones == 0)
        err = TORG_E_CORRUPT;
    if (!err)
        writing->origin->tombstones--;
    return err;
}

enum torg_err replica_tombstone_replace(struct replica_writing *writing, uint8_t collection,
                                        const struct listing_key *key)
{
    struct replica_key index = replica_key_erased(writing->origin->number, collection, key);
    struct span value;
    enum torg_err err;

    if (writing->origin->tombstones == 0)
        return TORG_OK; /* A first copy passes here a million times. */
    err = kv_get(writing->kv, KV_BYSEQ, replica_key_span(&index), &value);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_OK : err;
    if (value.size != 8)
        return TORG_E_CORRUPT;
    return tombstone_delete(writing, get_u64be(value.data), collection, key);
}

/* The oldest tombstone goes; *ret_seq was its number. */
static enum torg_err tombstone_drop_oldest(struct replica_writing *writing, uint64_t *ret_seq)
{
    struct replica_byseq_key at;
    enum torg_err err = oldest(writing, REPLICA_BYSEQ_TOMBSTONE, &at);

    if (err == TORG_E_NOT_FOUND)
        return TORG_E_CORRUPT; /* The record counts more than there are. */
    if (!err)
        err = tombstone_delete(writing, at.seq, at.collection, &at.key);
    if (!err)
        *ret_seq = at.seq;
    return err;
}

enum torg_err replica_tombstones_trim(struct replica_writing *writing, size_t budget)
{
    struct replica_origin *origin = writing->origin;

    while (origin->tombstones > REPLICA_TOMBSTONES_MAX && budget-- > 0) {
        uint64_t seq;
        enum torg_err err = tombstone_drop_oldest(writing, &seq);

        if (err)
            return replica_fatal(err);
        if (seq > origin->floor_seq)
            origin->floor_seq = seq;
    }
    return TORG_OK;
}

/* The oldest row of a live listing, if no delta can need it any more; *ret_dropped tells. */
static enum torg_err log_drop_oldest(struct replica_writing *writing, bool *ret_dropped)
{
    struct replica_byseq_key at;
    struct replica_key row;
    enum torg_err err = oldest(writing, REPLICA_BYSEQ_LIVE, &at);

    *ret_dropped = !err && at.seq <= writing->origin->floor_seq;
    if (!*ret_dropped)
        return err == TORG_E_NOT_FOUND ? TORG_OK : err;
    row = replica_key_byseq(writing->origin->number, REPLICA_BYSEQ_LIVE, at.seq, at.collection,
                            &at.key);
    return kv_del(writing->kv, KV_BYSEQ, replica_key_span(&row));
}

enum torg_err replica_log_trim(struct replica_writing *writing, size_t budget)
{
    bool more = writing->origin->floor_seq > 0;
    enum torg_err err = TORG_OK;

    while (!err && more && budget-- > 0)
        err = log_drop_oldest(writing, &more);
    return replica_fatal(err);
}

enum torg_err replica_floor_raise(struct replica_writing *writing)
{
    uint64_t seq;

    /* At most REPLICA_TOMBSTONES_MAX and one write's deletes. */
    while (writing->origin->tombstones) {
        enum torg_err err = tombstone_drop_oldest(writing, &seq);

        if (err)
            return replica_fatal(err);
    }
    /* Never down, also when a new epoch begins below a branch that is left: above the floor the
     * log is whole. */
    if (writing->origin->floor_seq < writing->origin->head.seq)
        writing->origin->floor_seq = writing->origin->head.seq;
    return TORG_OK;
}

/* ---- rows of live listings ---- */

enum torg_err replica_log_put(struct replica_writing *writing, const struct replica_edit *edit,
                              uint64_t seq)
{
    struct replica_key key = replica_key_byseq(writing->origin->number, REPLICA_BYSEQ_LIVE, seq,
                                               edit->collection, &edit->key);

    if (seq <= writing->origin->floor_seq)
        return TORG_OK;
    return kv_put(writing->kv, KV_BYSEQ, replica_key_span(&key), (struct span){0});
}

enum torg_err replica_log_delete(struct replica_writing *writing, const struct replica_edit *edit,
                                 uint64_t seq)
{
    struct replica_key key = replica_key_byseq(writing->origin->number, REPLICA_BYSEQ_LIVE, seq,
                                               edit->collection, &edit->key);

    if (seq <= writing->origin->floor_seq)
        return TORG_OK;
    return kv_del(writing->kv, KV_BYSEQ, replica_key_span(&key));
}
