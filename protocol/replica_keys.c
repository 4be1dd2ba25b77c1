/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <string.h>

#include "protocol/replica_internal.h"

/* A key is written field by field, all big-endian, so that order is meaning. */
static void key_u8(struct replica_key *key, uint8_t value)
{
    key->bytes[key->size++] = value;
}

static void key_u32(struct replica_key *key, uint32_t value)
{
    put_u32be(key->bytes + key->size, value);
    key->size += 4;
}

static void key_u64(struct replica_key *key, uint64_t value)
{
    put_u64be(key->bytes + key->size, value);
    key->size += 8;
}

static void key_bytes(struct replica_key *key, const void *bytes, size_t size)
{
    assert(key->size + size <= sizeof(key->bytes));
    memcpy(key->bytes + key->size, bytes, size);
    key->size = (uint8_t)(key->size + size);
}

struct replica_key replica_key_origin(const struct origin_id *id)
{
    struct replica_key key = {0};

    key_u8(&key, 'i');
    key_bytes(&key, id->bytes, sizeof(id->bytes));
    return key;
}

struct replica_key replica_key_number(uint32_t number)
{
    struct replica_key key = {0};

    key_u8(&key, 'n');
    key_u32(&key, number);
    return key;
}

struct replica_key replica_key_beat(uint32_t number)
{
    struct replica_key key = {0};

    key_u8(&key, 'b');
    key_u32(&key, number);
    return key;
}

struct replica_key replica_key_charter(uint32_t number, uint64_t charter_no)
{
    struct replica_key key = {0};

    key_u32(&key, number);
    key_u64(&key, charter_no);
    key_u8(&key, 0);
    return key;
}

struct replica_key replica_key_rival(uint32_t number, uint64_t charter_no)
{
    struct replica_key key = {0};

    key_u32(&key, number);
    key_u64(&key, charter_no);
    key_u8(&key, 1);
    return key;
}

struct replica_key replica_key_head(uint32_t number, uint64_t epoch, uint64_t hno)
{
    struct replica_key key = {0};

    key_u32(&key, number);
    key_u64(&key, epoch);
    key_u64(&key, hno);
    return key;
}

struct replica_key replica_key_live(uint32_t number, uint8_t collection,
                                    const struct listing_key *listing)
{
    struct replica_key key = {0};

    key_u32(&key, number);
    key_u8(&key, collection);
    key_bytes(&key, listing->bytes, sizeof(listing->bytes));
    return key;
}

struct replica_key replica_key_byseq(uint32_t number, enum replica_byseq part, uint64_t seq,
                                     uint8_t collection, const struct listing_key *listing)
{
    struct replica_key key = {0};

    key_u32(&key, number);
    key_u8(&key, (uint8_t)part);
    key_u64(&key, seq);
    key_u8(&key, collection);
    key_bytes(&key, listing->bytes, sizeof(listing->bytes));
    return key;
}

struct replica_key replica_key_erased(uint32_t number, uint8_t collection,
                                      const struct listing_key *listing)
{
    struct replica_key key = {0};

    key_u32(&key, number);
    key_u8(&key, REPLICA_BYSEQ_ERASED);
    key_u8(&key, collection);
    key_bytes(&key, listing->bytes, sizeof(listing->bytes));
    return key;
}

struct replica_key replica_key_trie(uint32_t number, uint8_t collection,
                                    const struct trie_prefix *prefix)
{
    struct replica_key key = {0};

    key_u32(&key, number);
    key_u8(&key, collection);
    key_bytes(&key, prefix->nibbles, prefix->size);
    return key;
}

struct replica_key replica_key_proof(uint32_t number, uint64_t epoch)
{
    struct replica_key key = {0};

    key_u32(&key, number);
    key_u64(&key, epoch);
    return key;
}

enum torg_err replica_byseq_key_read(struct span bytes, struct replica_byseq_key *ret_key)
{
    struct reader in = reader_of(bytes);
    struct replica_byseq_key key;

    reader_u32be(&in);
    reader_u8(&in);
    key.seq = reader_u64be(&in);
    key.collection = reader_u8(&in);
    reader_copy(&in, key.key.bytes, sizeof(key.key.bytes));
    if (in.err || reader_left(&in) || key.collection == 0 || key.collection >= COLLECTIONS_MAX)
        return TORG_E_CORRUPT;
    *ret_key = key;
    return TORG_OK;
}

void replica_live_pack(const struct replica_live *live, struct buffer *out)
{
    assert(live->header.size <= HEADER_BYTES_MAX);
    buffer_put(out, live->header_hash.bytes, sizeof(live->header_hash.bytes));
    buffer_put_u8(out, (uint8_t)live->header.size);
    buffer_put_span(out, live->header);
    buffer_put_span(out, live->payload);
}

enum torg_err replica_live_read(struct span bytes, struct replica_live *ret_live)
{
    struct reader in = reader_of(bytes);
    struct replica_live live;

    reader_copy(&in, live.header_hash.bytes, sizeof(live.header_hash.bytes));
    live.header = reader_bytes(&in, reader_u8(&in));
    live.payload = reader_bytes(&in, reader_left(&in));
    if (in.err || live.header.size == 0)
        return TORG_E_CORRUPT;
    *ret_live = live;
    return TORG_OK;
}

/* ---- the record of an origin ---- */

#define RECORD_VERSION 2
#define RECORD_VERSION_MIN 1 /* without unproven_hno */

void replica_record_pack(const struct replica_origin *origin, struct buffer *out)
{
    uint8_t count = 0;

    buffer_put_u8(out, RECORD_VERSION);
    buffer_put_u32be(out, origin->number);
    buffer_put(out, origin->id.bytes, sizeof(origin->id.bytes));
    buffer_put_u64be(out, origin->charter_no);
    buffer_put(out, origin->charter_hash.bytes, sizeof(origin->charter_hash.bytes));
    buffer_put_u64be(out, origin->charter_epoch);
    buffer_put(out, origin->epoch_hash.bytes, sizeof(origin->epoch_hash.bytes));
    /* Epochs begin at 1, so 0 says that there is no head. */
    buffer_put_u64be(out, origin->has_head ? origin->head.epoch : 0);
    buffer_put_u64be(out, origin->has_head ? origin->head.hno : 0);
    buffer_put(out, origin->head_hash.bytes, sizeof(origin->head_hash.bytes));
    buffer_put_u64be(out, (uint64_t)origin->received_ms);
    buffer_put_u64be(out, origin->floor_seq);
    buffer_put_u64be(out, origin->tombstones);
    buffer_put_u32be(out, origin->flags);
    buffer_put_u64be(out, origin->unproven_hno);
    for (unsigned i = 1; i < COLLECTIONS_MAX; i++)
        count += origin->held[i].count != 0;
    buffer_put_u8(out, count);
    for (unsigned i = 1; i < COLLECTIONS_MAX; i++) {
        if (origin->held[i].count == 0)
            continue;
        buffer_put_u8(out, (uint8_t)i);
        buffer_put_u32be(out, origin->held[i].count);
        buffer_put(out, origin->held[i].digest.bytes, sizeof(origin->held[i].digest.bytes));
        buffer_put_u32be(out, origin->missing[i]);
    }
}

static void record_collections_read(struct reader *in, struct replica_origin *origin)
{
    uint8_t count = reader_u8(in);
    uint8_t last = 0;

    for (unsigned i = 0; i < count && !in->err; i++) {
        uint8_t collection = reader_u8(in);

        if (collection <= last || collection >= COLLECTIONS_MAX) {
            in->err = TORG_E_CORRUPT;
            return;
        }
        origin->held[collection].count = reader_u32be(in);
        reader_copy(in, origin->held[collection].digest.bytes, sizeof(struct hash));
        origin->missing[collection] = reader_u32be(in);
        last = collection;
    }
}

/* What the rest of the code takes for granted: a damaged record must not reach an assert. */
static bool record_is_sound(const struct replica_origin *origin)
{
    if (origin->number == 0 || origin->number > ORIGINS_MAX || origin->charter_no >= CHARTERS_MAX)
        return false;
    if (origin->charter_epoch == 0 || origin->charter_epoch > INTEGER_MAX)
        return false;
    if (origin->head.epoch > origin->charter_epoch || origin->head.hno > INTEGER_MAX)
        return false;
    if (origin->unproven_hno && origin->unproven_hno >= origin->head.hno)
        return false;
    return origin->floor_seq <= INTEGER_MAX && origin->has_head == (origin->head.hno != 0);
}

enum torg_err replica_record_read(struct span bytes, struct replica_origin *ret_origin)
{
    struct reader in = reader_of(bytes);
    struct replica_origin origin = {0};
    uint8_t version = reader_u8(&in);

    origin.number = reader_u32be(&in);
    reader_copy(&in, origin.id.bytes, sizeof(origin.id.bytes));
    origin.charter_no = reader_u64be(&in);
    reader_copy(&in, origin.charter_hash.bytes, sizeof(origin.charter_hash.bytes));
    origin.charter_epoch = reader_u64be(&in);
    reader_copy(&in, origin.epoch_hash.bytes, sizeof(origin.epoch_hash.bytes));
    origin.head.epoch = reader_u64be(&in);
    origin.head.hno = reader_u64be(&in);
    origin.has_head = origin.head.epoch != 0;
    reader_copy(&in, origin.head_hash.bytes, sizeof(origin.head_hash.bytes));
    origin.received_ms = (int64_t)reader_u64be(&in);
    origin.floor_seq = reader_u64be(&in);
    origin.tombstones = reader_u64be(&in);
    origin.flags = reader_u32be(&in);
    if (version > RECORD_VERSION_MIN)
        origin.unproven_hno = reader_u64be(&in);
    record_collections_read(&in, &origin);
    if (in.err || reader_left(&in) || version < RECORD_VERSION_MIN || version > RECORD_VERSION ||
        !record_is_sound(&origin))
        return TORG_E_CORRUPT;
    *ret_origin = origin;
    return TORG_OK;
}

enum torg_err replica_signed_read(struct span bytes, size_t size_max, struct signed_span *ret)
{
    struct profile_reader in = profile_reader_of(bytes);
    struct signed_span object = signed_read(&in, size_max);

    if (profile_end(&in))
        return TORG_E_CORRUPT;
    *ret = object;
    return TORG_OK;
}

enum torg_err replica_fatal(enum torg_err err)
{
    switch (err) {
    case TORG_OK:
    case TORG_E_NOMEM:
    case TORG_E_FULL:
    case TORG_E_IO:
        return err;
    default:
        /* A row that must be there is not, or an observer contradicts the replica. */
        return TORG_E_CORRUPT;
    }
}
