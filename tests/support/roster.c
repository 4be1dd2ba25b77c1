/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/roster.h"

#include "protocol/member.h"
#include "protocol/profile.h"

static void put_hex(struct buffer *body, const char *name, const uint8_t bytes[32])
{
    char hex[2 * 32 + 1];

    hex_encode(bytes, 32, hex);
    pack_str(body, span_of_str(name));
    pack_str(body, span_of_str(hex));
}

static struct local_change entry_make(const struct origin_id *member, const char *status,
                                      uint32_t quota, const struct hash *charter, uint64_t nonce,
                                      struct buffer *payload)
{
    struct local_change change = {.collection = COLLECTION_MEMBERS,
                                  .id = member_listing_id(member)};
    uint8_t nonce_bytes[16] = {0};
    struct buffer body = {0};

    pack_map(&body, 3u + (quota != 0) + (charter != NULL));
    if (charter)
        put_hex(&body, "charter", charter->bytes);
    put_hex(&body, "member", member->bytes);
    pack_str(&body, span_of_str("name"));
    pack_map(&body, 1);
    pack_str(&body, span_of_str("sv"));
    pack_str(&body, span_of_str("Grannen"));
    if (quota) {
        pack_str(&body, span_of_str("quota"));
        pack_uint(&body, quota);
    }
    pack_str(&body, span_of_str("status"));
    pack_str(&body, span_of_str(status));
    put_u64be(nonce_bytes, nonce);
    payload_pack(nonce_bytes, PAYLOAD_SCHEMA, buffer_span(&body), payload);
    buffer_done(&body);
    change.payload = buffer_span(payload);
    return change;
}

struct local_change roster_change(const struct origin_id *member, const char *status,
                                  uint32_t quota, uint64_t nonce, struct buffer *payload)
{
    buffer_clear(payload);
    if (!status)
        return (struct local_change){.collection = COLLECTION_MEMBERS,
                                     .id = member_listing_id(member)};
    return entry_make(member, status, quota, NULL, nonce, payload);
}

struct local_change roster_naming(const struct origin_id *member, const struct hash *charter,
                                  uint64_t nonce, struct buffer *payload)
{
    buffer_clear(payload);
    return entry_make(member, "active", 0, charter, nonce, payload);
}
