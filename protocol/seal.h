/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_SEAL_H
#define TORG_PROTOCOL_SEAL_H

#include "protocol/ident.h"
#include "protocol/limits.h"

/*
 * Hashes and signatures, by libsodium. Every use has a domain: a text that,
 * with one zero byte, goes before the bytes, so that no signature or hash of
 * one kind of object can pass for another.
 *   hash   BLAKE2b (RFC 7693), unkeyed, 32 or 16 bytes of output
 *   sign   pure Ed25519 (RFC 8032); accepted exactly when libsodium accepts it
 * All functions: any thread, after seal_init.
 */
#define DOMAIN_CHARTER "torg/charter/1"
#define DOMAIN_HEAD "torg/head/1"
#define DOMAIN_BEAT "torg/beat/1"
#define DOMAIN_HEADER "torg/header/1"
#define DOMAIN_PAYLOAD "torg/payload/1"
#define DOMAIN_KEY "torg/key/1"
#define DOMAIN_LEAF "torg/leaf/1"
#define DOMAIN_INNER "torg/inner/1"
#define DOMAIN_SUMMARY "torg/summary/1"

/* The longest object that is ever signed. */
#define SEAL_SIGNED_BYTES_MAX CHARTER_BYTES_MAX

/* A signing key: libsodium's 64 bytes, seed and public key. Wipe after use. */
struct secret_key {
    uint8_t bytes[64];
};

/* Once, before anything else here; TORG_E_INTERNAL if libsodium cannot start. */
enum torg_err seal_init(void);

struct hash seal_hash(const char *domain, struct span bytes);
/* Output length 16, which is another function than the first half of 32. */
void seal_hash16(const char *domain, struct span bytes, uint8_t out[16]);

/* bytes.size <= SEAL_SIGNED_BYTES_MAX (asserted). */
struct signature seal_sign(const char *domain, struct span bytes, const struct secret_key *key);
/* TORG_E_SIGNATURE if it does not verify, TORG_E_TOO_BIG if nobody can have signed it. */
enum torg_err seal_verify(const char *domain, struct span bytes, const struct signature *signature,
                          const struct public_key *key);

/*
 * Which one signature was found good by this process: the hash of all that it is about. Zeros: none
 * was. Only seal_verify_once fills it, so it may be copied and handed on, and never be made.
 */
struct seal_proof {
    struct hash of;
};
/*
 * seal_verify, unless proof is of this very domain, bytes, signature and key; afterwards it is. An
 * error leaves it as it was.
 */
enum torg_err seal_verify_once(const char *domain, struct span bytes,
                               const struct signature *signature, const struct public_key *key,
                               struct seal_proof *proof);

void seal_key_of_seed(const uint8_t seed[32], struct secret_key *ret_secret,
                      struct public_key *ret_public);
struct public_key seal_public_key(const struct secret_key *key);

/* H16("torg/key/1", id). */
struct listing_key listing_key_of(const struct listing_id *id);

#endif
