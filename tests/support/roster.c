/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/roster.h"

#include "protocol/member.h"
#include "protocol/profile.h"

struct local_change roster_change(const struct origin_id *member, const char *status,
                                  uint32_t quota, uint64_t nonce, struct buffer *payload)
{
    struct local_change change = {.collection = COLLECTION_MEMBERS,
                                  .id = member_listing_id(member)};
    uint8_t nonce_bytes[16] = {0};
    char hex[2 * sizeof(member->bytes) + 1];
    struct buffer body = {0};

    buffer_clear(payload);
    if (!status)
        return change;
    hex_encode(member->bytes, sizeof(member->bytes), hex);
    pack_map(&body, quota ? 4 : 3);
    pack_str(&body, span_of_str("member"));
    pack_str(&body, span_of_str(hex));
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
