/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/change.h"

#include <assert.h>
#include <string.h>

#include "protocol/profile.h"
#include "protocol/seal.h"

#define HEADER_FIELDS 8
#define PAYLOAD_FIELDS 3
#define FLAGS_MAX 255

static bool hash_is_zero(const struct hash *hash)
{
    static const struct hash zero;

    return memcmp(hash, &zero, sizeof(zero)) == 0;
}

/* What an op promises about its payload. */
static bool header_payload_fits(const struct change_header *header)
{
    if (header->op == CHANGE_DELETE)
        return header->payload_size == 0 && hash_is_zero(&header->payload_hash);
    return header->op == CHANGE_UPSERT && header->payload_size >= 1 &&
           header->payload_size <= PAYLOAD_BYTES_MAX;
}

void change_header_pack(const struct change_header *header, struct buffer *out)
{
    assert(header->seq >= 1 && header->collection >= 1 && header->collection < COLLECTIONS_MAX);
    assert(header_payload_fits(header));
    pack_array(out, HEADER_FIELDS);
    pack_uint(out, header->seq);
    pack_uint(out, header->collection);
    pack_bin(out, header->id.bytes, sizeof(header->id.bytes));
    pack_uint(out, header->op);
    pack_int(out, header->ts_ms);
    pack_uint(out, header->flags);
    pack_uint(out, header->payload_size);
    pack_bin(out, header->payload_hash.bytes, sizeof(header->payload_hash.bytes));
}

enum torg_err change_header_parse(struct span bytes, struct change_header *ret_header)
{
    struct profile_reader in = profile_reader_of(bytes);
    struct change_header header = {0};

    if (bytes.size > HEADER_BYTES_MAX)
        return TORG_E_TOO_BIG;
    profile_array_of(&in, HEADER_FIELDS);
    header.seq = profile_uint(&in, INTEGER_MAX);
    header.collection = (uint8_t)profile_uint(&in, COLLECTIONS_MAX - 1);
    profile_bin_copy(&in, header.id.bytes, sizeof(header.id.bytes));
    header.op = (enum change_op)profile_uint(&in, CHANGE_DELETE);
    header.ts_ms = profile_int(&in);
    header.flags = (uint8_t)profile_uint(&in, FLAGS_MAX);
    header.payload_size = (uint32_t)profile_uint(&in, PAYLOAD_BYTES_MAX);
    profile_bin_copy(&in, header.payload_hash.bytes, sizeof(header.payload_hash.bytes));
    if (profile_end(&in))
        return in.in.err;
    if (header.seq == 0 || header.collection == 0 || !header_payload_fits(&header))
        return TORG_E_INVALID;
    *ret_header = header;
    return TORG_OK;
}

struct hash change_header_hash(struct span header_bytes)
{
    return seal_hash(DOMAIN_HEADER, header_bytes);
}

void payload_pack(const uint8_t nonce[16], uint64_t schema, struct span body, struct buffer *out)
{
    pack_array(out, PAYLOAD_FIELDS);
    pack_bin(out, nonce, 16);
    pack_uint(out, schema);
    buffer_put_span(out, body);
}

enum torg_err payload_parse(struct span bytes, struct payload *ret_payload)
{
    struct profile_reader in = profile_reader_of(bytes);
    struct payload payload = {0};
    enum torg_err err;

    if (bytes.size > PAYLOAD_BYTES_MAX)
        return TORG_E_TOO_BIG;
    err = profile_check(bytes);
    if (err)
        return err;
    profile_array_of(&in, PAYLOAD_FIELDS);
    profile_bin_copy(&in, payload.nonce, sizeof(payload.nonce));
    payload.schema = profile_uint(&in, INTEGER_MAX);
    if (profile_peek(&in) != PROFILE_MAP)
        return in.in.err ? in.in.err : TORG_E_INVALID;
    /* The check has passed over one array of so many values, so the last one is all the rest. */
    payload.body = span_of(in.in.at, reader_left(&in.in));
    *ret_payload = payload;
    return TORG_OK;
}

struct hash payload_hash(struct span payload_bytes)
{
    return seal_hash(DOMAIN_PAYLOAD, payload_bytes);
}

enum torg_err change_payload_check(const struct change_header *header, struct span payload)
{
    struct hash hash;

    if (payload.size != header->payload_size)
        return TORG_E_MISMATCH;
    if (payload.size == 0)
        return TORG_OK; /* A delete, whose hash the parser has seen to be zero. */
    hash = payload_hash(payload);
    return memcmp(&hash, &header->payload_hash, sizeof(hash)) ? TORG_E_MISMATCH : TORG_OK;
}
