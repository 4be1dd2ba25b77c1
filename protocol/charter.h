/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_CHARTER_H
#define TORG_PROTOCOL_CHARTER_H

#include "protocol/ident.h"
#include "protocol/limits.h"
#include "protocol/seal.h"

/*
 * A charter says who an origin is and which keys speak for it. Charter 0 gives
 * the origin its id; each later one is signed by the root keys of the one
 * before and by its own. Format: docs/format-log.md, "Charter".
 */
#define CHARTER_ROOT_KEYS_MAX 16
#define CHARTER_SIGNING_KEYS_MAX 16
#define CHARTER_NODE_KEYS_MAX 16
#define CHARTER_ENDPOINTS_MAX 16
#define CHARTER_NAME_BYTES_MAX 200
#define CHARTER_ENDPOINT_BYTES_MAX 255
#define CHARTER_MUNICIPALITY_BYTES_MAX 16
#define CHARTER_EXTRA_BYTES_MAX 64      /* of each known text in extra */
#define CHARTER_STALE_S_MAX 3155760000u /* a century, so that times computed from it fit */
#define CHARTER_SIGNATURES_MAX (2 * CHARTER_ROOT_KEYS_MAX)

enum visibility {
    VISIBILITY_LOCAL = 0, /* not named in the charter: never leaves the node */
    VISIBILITY_PUBLIC = 1,
    VISIBILITY_MEMBERS = 2,
};

struct charter_signing_key {
    uint64_t key_no;
    struct public_key key;
};

/*
 * Parsed; texts are borrowed from the bytes, "" when absent. Root keys and node
 * keys are distinct; signing keys ascend by key_no.
 */
struct charter {
    uint64_t charter_no; /* < CHARTERS_MAX */
    struct hash prev;    /* of the charter before; zeros in charter 0 */
    uint64_t epoch;      /* >= 1; 1 in charter 0 */
    struct span name;
    struct span municipality; /* SCB code, may be empty */
    uint32_t threshold;       /* 1..root_key_count */
    uint8_t root_key_count;
    struct public_key root_keys[CHARTER_ROOT_KEYS_MAX];
    uint8_t signing_key_count;
    struct charter_signing_key signing_keys[CHARTER_SIGNING_KEYS_MAX];
    uint8_t node_key_count;
    struct public_key node_keys[CHARTER_NODE_KEYS_MAX];
    uint8_t visibility[COLLECTIONS_MAX]; /* enum visibility, by collection number */
    bool has_catalogue;
    struct origin_id catalogue;
    uint64_t max_stale_s;
    uint8_t endpoint_count;
    struct span endpoints[CHARTER_ENDPOINTS_MAX];
    struct span owner_kind;    /* extra.ownerKind */
    struct span country;       /* extra.country, ISO 3166; "" means SE */
    struct span national_code; /* extra.nationalCode: organisation or area number */
};

struct charter_signature {
    struct public_key key;
    struct signature signature;
};

/* A charter as it travels and is stored: [bin, [[root key, signature]...]]. */
struct charter_signed {
    struct span bytes;
    uint8_t signature_count;
    struct charter_signature signatures[CHARTER_SIGNATURES_MAX];
};

/*
 * Appends; TORG_E_INVALID or TORG_E_TOO_BIG, with nothing appended, for what
 * charter_parse would refuse. Unknown names in extra cannot be written by this
 * version, only read over.
 */
enum torg_err charter_pack(const struct charter *charter, struct buffer *out);
/*
 * Form only. TORG_E_VERSION for another version of the format, else
 * TORG_E_PROFILE, TORG_E_TOO_BIG, TORG_E_TRUNCATED or TORG_E_INVALID.
 */
enum torg_err charter_parse(struct span bytes, struct charter *ret_charter);
struct hash charter_hash(struct span charter_bytes);
/* The origin that charter 0 founds. */
struct origin_id charter_origin(struct span charter0_bytes);

void charter_signed_pack(const struct charter_signed *charter, struct buffer *out);
/* The signed form, and the form of the charter inside; distinct signers. */
enum torg_err charter_signed_parse(struct span bytes, struct charter_signed *ret_charter);

/*
 * May next follow before (NULL for a charter 0)? Number, prev, epoch, key
 * numbers not used for another key in before, and enough root signatures by
 * both; a signature that does not verify, or by a key of neither, refuses the
 * whole. before has passed this check already. TORG_E_GAP when charters between
 * them are missing; TORG_E_STALE when next does not come after before;
 * TORG_E_SIGNATURE, TORG_E_INVALID or a parser's error.
 */
enum torg_err charter_check(const struct charter_signed *before, const struct charter_signed *next);

/* How many root keys have signed so far, of those whose word is needed. */
struct charter_support {
    unsigned
        by_before;   /* by root keys of the charter before, which asks for its threshold of them */
    unsigned by_own; /* by its own, likewise; a key of both counts for both */
};
/*
 * As charter_check, of a charter that is being signed by one after another: all
 * but whether the signatures are enough. Either may be 0.
 */
enum torg_err charter_support_count(const struct charter_signed *before,
                                    const struct charter_signed *next,
                                    struct charter_support *ret_support);

/*
 * A key number is never used for another key. Whoever holds the whole chain
 * compares a new charter with every older one, not only with the last.
 * TORG_E_INVALID if older gave one of next's numbers to another key.
 */
enum torg_err charter_key_numbers_check(const struct charter *older, const struct charter *next);

/* The key of key_no, TORG_E_SIGNATURE if the charter does not list it. */
enum torg_err charter_signing_key(const struct charter *charter, uint64_t key_no,
                                  struct public_key *ret_key);
bool charter_has_node_key(const struct charter *charter, const struct public_key *key);

#endif
