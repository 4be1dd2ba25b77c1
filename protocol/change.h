/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_CHANGE_H
#define TORG_PROTOCOL_CHANGE_H

#include "protocol/ident.h"
#include "protocol/limits.h"

/*
 * A change: one entry of an origin's log. It is a header, which stays as proof,
 * and a payload, which a later version or a delete erases. Format:
 * docs/format-log.md, "Header" and "Payload".
 */
enum change_op {
    CHANGE_UPSERT = 1,
    CHANGE_DELETE = 2,
};

/* A reader that does not know the payload's schema must not show the listing. */
#define CHANGE_FLAG_CRITICAL 1u

struct change_header {
    uint64_t seq; /* >= 1 */
    uint8_t collection;
    struct listing_id id;
    enum change_op op;
    int64_t ts_ms;
    uint8_t flags;
    uint32_t payload_size; /* 1..PAYLOAD_BYTES_MAX; 0 in a delete */
    struct hash payload_hash;
};

/* The payload's envelope; body is the packed map, borrowed. */
struct payload {
    uint8_t nonce[16];
    uint64_t schema;
    struct span body;
};
#define PAYLOAD_SCHEMA 1u

void change_header_pack(const struct change_header *header, struct buffer *out);
/* TORG_E_PROFILE, TORG_E_TOO_BIG or TORG_E_INVALID when bytes are not one header. */
enum torg_err change_header_parse(struct span bytes, struct change_header *ret_header);
/* hh: what the state trie holds of a listing. */
struct hash change_header_hash(struct span header_bytes);

/* [nonce, schema, body]; body is a packed map. */
void payload_pack(const uint8_t nonce[16], uint64_t schema, struct span body, struct buffer *out);
/* Checks the whole payload against the profile first. */
enum torg_err payload_parse(struct span bytes, struct payload *ret_payload);
struct hash payload_hash(struct span payload_bytes);
/*
 * Is payload what header promises, by length and hash alone? What is inside is
 * judged by whoever wants to show it. TORG_E_MISMATCH if not.
 */
enum torg_err change_payload_check(const struct change_header *header, struct span payload);

#endif
