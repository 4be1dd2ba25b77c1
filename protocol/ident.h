/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_IDENT_H
#define TORG_PROTOCOL_IDENT_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/bytes.h"

/* What names things: all of them plain bytes that compare with memcmp. */
struct hash {
    uint8_t bytes[32];
};
/* An origin: the hash of its charter 0. */
struct origin_id {
    uint8_t bytes[32];
};
/* A listing within (origin, collection); drawn at random by its origin. */
struct listing_id {
    uint8_t bytes[16];
};
/* Where a listing stands in the state trie: H16("torg/key/1", id). */
struct listing_key {
    uint8_t bytes[16];
};
/* An Ed25519 public key. */
struct public_key {
    uint8_t bytes[32];
};
struct signature {
    uint8_t bytes[64];
};

/* Collection numbers, as signed. */
enum collection {
    COLLECTION_COMPANIES = 1,
    COLLECTION_OFFERS = 2,
    COLLECTION_EVENTS = 3,
    COLLECTION_JOBS = 4,
    COLLECTION_COURSES = 5,
    COLLECTION_NEEDS = 6,
    COLLECTION_SERVICE_POINTS = 7,
    COLLECTION_PLACES = 8,
    COLLECTION_NEED_STATISTICS = 9,
    COLLECTION_MATURITY_STATISTICS = 10,
    COLLECTION_RECEIPTS = 11,
    COLLECTION_MEMBERS = 12,
    COLLECTION_NETWORKS = 13,
};
#define COLLECTION_MASK_ALL 0xfffffffeu
/* The collections that the HTTP API serves to everybody. */
#define COLLECTION_MASK_PUBLIC 0x000021feu /* 1..8 and 13 */

/* "companies" for 1, NULL for a number without a name. Static storage. */
const char *collection_name(uint8_t collection);
/* The number of a name, 0 if there is none. */
uint8_t collection_of_name(struct span name);

/*
 * A feature's id in the API: lower-case base32 (RFC 4648, no padding) of the
 * first 8 bytes of the origin id (13 characters), a hyphen, and of the
 * listing's id (26 characters).
 */
#define FEATURE_ID_SIZE 40
struct feature_id {
    uint8_t origin_prefix[8];
    struct listing_id id;
};
/* out holds FEATURE_ID_SIZE + 1; terminated. */
void feature_id_format(const struct feature_id *id, char *out);
/* TORG_E_INVALID unless text is exactly what feature_id_format writes. */
enum torg_err feature_id_parse(struct span text, struct feature_id *ret_id);

#endif
