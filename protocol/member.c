/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/member.h"

#include <string.h>

#include "protocol/profile.h"

struct listing_id member_listing_id(const struct origin_id *member)
{
    struct listing_id id;

    memcpy(id.bytes, member->bytes, sizeof(id.bytes));
    return id;
}

static bool status_read(struct span text, enum member_status *ret_status)
{
    static const char *const words[] = {
        [MEMBER_ACTIVE] = "active", [MEMBER_SUSPENDED] = "suspended", [MEMBER_LEFT] = "left"};

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (span_equal(text, span_of_str(words[i]))) {
            *ret_status = (enum member_status)i;
            return true;
        }
    }
    return false;
}

/* 64 digits: an origin id, or the hash of a charter. */
static bool digits_read(struct span hex, uint8_t out[32])
{
    char text[2 * 32 + 1];

    if (hex.size != sizeof(text) - 1)
        return false;
    memcpy(text, hex.data, hex.size);
    text[hex.size] = '\0';
    return hex_decode(text, out, 32) == TORG_OK;
}

/* The properties that decide; the others are for people. */
static bool body_read(struct span body, struct member *member)
{
    struct profile_reader in = profile_reader_of(body);
    uint32_t count = profile_map(&in);
    bool has_origin = false, has_status = false;

    *member = (struct member){0};
    for (uint32_t i = 0; i < count && !in.in.err; i++) {
        struct span name = profile_str(&in, SIZE_MAX);

        if (span_equal(name, span_of_str("member"))) {
            has_origin = digits_read(profile_str(&in, SIZE_MAX), member->origin.bytes);
        } else if (span_equal(name, span_of_str("status"))) {
            has_status = status_read(profile_str(&in, SIZE_MAX), &member->status);
        } else if (span_equal(name, span_of_str("quota"))) {
            member->quota = (uint32_t)profile_uint(&in, UINT32_MAX);
        } else if (span_equal(name, span_of_str("charter"))) {
            member->has_charter = digits_read(profile_str(&in, SIZE_MAX), member->charter.bytes);
        } else {
            profile_skip(&in);
        }
    }
    return !in.in.err && has_origin && has_status;
}

enum torg_err member_read(const struct listing_key *key, struct span header_bytes,
                          struct span payload_bytes, struct member *ret_member)
{
    struct change_header header;
    struct payload payload;
    struct listing_key right;
    struct listing_id id;
    struct member member;

    if (payload_bytes.size == 0 || payload_parse(payload_bytes, &payload) ||
        change_header_parse(header_bytes, &header))
        return TORG_E_INVALID; /* missing here, or written by nobody who knows how */
    if (payload.schema != PAYLOAD_SCHEMA && header.flags & CHANGE_FLAG_CRITICAL)
        return TORG_E_INVALID;
    if (!body_read(payload.body, &member))
        return TORG_E_INVALID;
    id = member_listing_id(&member.origin);
    right = listing_key_of(&id);
    if (memcmp(&right, key, sizeof(right)) != 0)
        return TORG_E_INVALID;
    *ret_member = member;
    return TORG_OK;
}

enum torg_err member_get(const struct kv *kv, uint32_t catalogue, const struct origin_id *origin,
                         struct member *ret_member)
{
    struct listing_id id = member_listing_id(origin);
    struct listing_key key = listing_key_of(&id);
    struct span header, payload;
    struct member member;
    enum torg_err err =
        replica_listing_get(kv, catalogue, COLLECTION_MEMBERS, &key, &header, &payload);

    if (!err && payload.size == 0)
        return TORG_E_GAP;
    if (!err)
        err = member_read(&key, header, payload, &member);
    if (err == TORG_E_INVALID)
        return TORG_E_NOT_FOUND;
    if (err)
        return err;
    /* Two origins whose ids begin alike share an entry, and it names one of them. */
    if (memcmp(&member.origin, origin, sizeof(*origin)) != 0)
        return TORG_E_NOT_FOUND;
    *ret_member = member;
    return TORG_OK;
}

struct each {
    member_visit *visit;
    void *context;
};

static bool each_listing(void *context, const struct listing_key *key, struct span header,
                         struct span payload)
{
    struct each *each = context;
    struct member member;

    return member_read(key, header, payload, &member) || each->visit(each->context, &member);
}

enum torg_err member_each(const struct kv *kv, uint32_t catalogue, member_visit *visit,
                          void *context)
{
    struct each each = {.visit = visit, .context = context};

    return replica_listings(kv, catalogue, COLLECTION_MEMBERS, NULL, each_listing, &each);
}
