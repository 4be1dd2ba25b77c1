/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/ident.h"

#include <string.h>

#include "protocol/limits.h"

static const char *const collection_names[COLLECTIONS_MAX] = {
    [COLLECTION_COMPANIES] = "companies",
    [COLLECTION_OFFERS] = "offers",
    [COLLECTION_EVENTS] = "events",
    [COLLECTION_JOBS] = "jobs",
    [COLLECTION_COURSES] = "courses",
    [COLLECTION_NEEDS] = "needs",
    [COLLECTION_SERVICE_POINTS] = "service-points",
    [COLLECTION_PLACES] = "places",
    [COLLECTION_NEED_STATISTICS] = "need-statistics",
    [COLLECTION_MATURITY_STATISTICS] = "maturity-statistics",
    [COLLECTION_RECEIPTS] = "receipts",
    [COLLECTION_MEMBERS] = "members",
    [COLLECTION_NETWORKS] = "networks",
};

const char *collection_name(uint8_t collection)
{
    return collection < COLLECTIONS_MAX ? collection_names[collection] : NULL;
}

uint8_t collection_of_name(struct span name)
{
    for (uint8_t i = 0; i < COLLECTIONS_MAX; i++) {
        if (collection_names[i] && span_equal(span_of_str(collection_names[i]), name))
            return i;
    }
    return 0;
}

static const char base32_digits[] = "abcdefghijklmnopqrstuvwxyz234567";

#define ORIGIN_PREFIX_DIGITS 13
#define LISTING_ID_DIGITS 26

/* RFC 4648 section 6 without padding; returns the end of what it wrote. */
static char *base32_encode(const uint8_t *bytes, size_t size, char *out)
{
    unsigned bits = 0;
    unsigned held = 0;

    for (size_t i = 0; i < size; i++) {
        bits = (bits << 8 | bytes[i]) & 0xfff;
        held += 8;
        while (held >= 5) {
            held -= 5;
            *out++ = base32_digits[bits >> held & 31];
        }
    }
    if (held)
        *out++ = base32_digits[bits << (5 - held) & 31];
    return out;
}

static int base32_digit(uint8_t c)
{
    if (c >= 'a' && c <= 'z')
        return c - 'a';
    if (c >= '2' && c <= '7')
        return c - '2' + 26;
    return -1;
}

/* size bytes from digit_count digits; the bits that are left over must be 0. */
static bool base32_decode(const uint8_t *digits, size_t digit_count, uint8_t *out, size_t size)
{
    unsigned bits = 0;
    unsigned held = 0;
    size_t done = 0;

    for (size_t i = 0; i < digit_count; i++) {
        int digit = base32_digit(digits[i]);

        if (digit < 0)
            return false;
        bits = (bits << 5 | (unsigned)digit) & 0xfff;
        held += 5;
        if (held >= 8 && done < size) {
            held -= 8;
            out[done++] = (uint8_t)(bits >> held);
        }
    }
    return done == size && (bits & ((1u << held) - 1)) == 0;
}

void feature_id_format(const struct feature_id *id, char *out)
{
    out = base32_encode(id->origin_prefix, sizeof(id->origin_prefix), out);
    *out++ = '-';
    out = base32_encode(id->id.bytes, sizeof(id->id.bytes), out);
    *out = '\0';
}

enum torg_err feature_id_parse(struct span text, struct feature_id *ret_id)
{
    struct feature_id id;
    const uint8_t *listing;

    if (text.size != FEATURE_ID_SIZE || text.data[ORIGIN_PREFIX_DIGITS] != '-')
        return TORG_E_INVALID;
    listing = text.data + ORIGIN_PREFIX_DIGITS + 1;
    if (!base32_decode(text.data, ORIGIN_PREFIX_DIGITS, id.origin_prefix, sizeof(id.origin_prefix)))
        return TORG_E_INVALID;
    if (!base32_decode(listing, LISTING_ID_DIGITS, id.id.bytes, sizeof(id.id.bytes)))
        return TORG_E_INVALID;
    *ret_id = id;
    return TORG_OK;
}
