/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/seal.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

_Static_assert(sizeof(struct secret_key) == crypto_sign_SECRETKEYBYTES, "libsodium's secret key");
_Static_assert(sizeof(struct public_key) == crypto_sign_PUBLICKEYBYTES, "libsodium's public key");
_Static_assert(sizeof(struct signature) == crypto_sign_BYTES, "libsodium's signature");

#define DOMAIN_BYTES_MAX 32
#define PROOF_DOMAIN "torg/proof/1" /* never leaves the process */

enum torg_err seal_init(void)
{
    return sodium_init() < 0 ? TORG_E_INTERNAL : TORG_OK;
}

static void hash_to(const char *domain, struct span bytes, uint8_t *out, size_t size)
{
    crypto_generichash_state state;

    /* These fail only for sizes that BLAKE2b does not have. */
    crypto_generichash_init(&state, NULL, 0, size);
    crypto_generichash_update(&state, (const uint8_t *)domain, strlen(domain) + 1);
    crypto_generichash_update(&state, bytes.data, bytes.size);
    crypto_generichash_final(&state, out, size);
}

struct hash seal_hash(const char *domain, struct span bytes)
{
    struct hash hash;

    hash_to(domain, bytes, hash.bytes, sizeof(hash.bytes));
    return hash;
}

void seal_hash16(const char *domain, struct span bytes, uint8_t out[16])
{
    hash_to(domain, bytes, out, 16);
}

/* What is really signed: pure Ed25519 passes over its message twice, so it must lie in one piece.
 */
struct message {
    uint8_t bytes[DOMAIN_BYTES_MAX + SEAL_SIGNED_BYTES_MAX];
    size_t size;
};

static void message_fill(struct message *message, const char *domain, struct span bytes)
{
    size_t domain_size = strlen(domain) + 1;

    assert(domain_size <= DOMAIN_BYTES_MAX && bytes.size <= SEAL_SIGNED_BYTES_MAX);
    memcpy(message->bytes, domain, domain_size);
    if (bytes.size)
        memcpy(message->bytes + domain_size, bytes.data, bytes.size);
    message->size = domain_size + bytes.size;
}

struct signature seal_sign(const char *domain, struct span bytes, const struct secret_key *key)
{
    struct message message;
    struct signature signature;

    message_fill(&message, domain, bytes);
    crypto_sign_detached(signature.bytes, NULL, message.bytes, message.size, key->bytes);
    return signature;
}

enum torg_err seal_verify(const char *domain, struct span bytes, const struct signature *signature,
                          const struct public_key *key)
{
    struct message message;

    if (bytes.size > SEAL_SIGNED_BYTES_MAX)
        return TORG_E_TOO_BIG;
    message_fill(&message, domain, bytes);
    if (crypto_sign_verify_detached(signature->bytes, message.bytes, message.size, key->bytes))
        return TORG_E_SIGNATURE;
    return TORG_OK;
}

/* The domain ends with its zero byte, and key and signature have one size: no part runs into
 * another. */
static struct hash proof_hash(const char *domain, struct span bytes,
                              const struct signature *signature, const struct public_key *key)
{
    crypto_generichash_state state;
    struct hash hash;

    crypto_generichash_init(&state, NULL, 0, sizeof(hash.bytes));
    crypto_generichash_update(&state, (const uint8_t *)PROOF_DOMAIN, sizeof(PROOF_DOMAIN));
    crypto_generichash_update(&state, (const uint8_t *)domain, strlen(domain) + 1);
    crypto_generichash_update(&state, key->bytes, sizeof(key->bytes));
    crypto_generichash_update(&state, signature->bytes, sizeof(signature->bytes));
    crypto_generichash_update(&state, bytes.data, bytes.size);
    crypto_generichash_final(&state, hash.bytes, sizeof(hash.bytes));
    return hash;
}

enum torg_err seal_verify_once(const char *domain, struct span bytes,
                               const struct signature *signature, const struct public_key *key,
                               struct seal_proof *proof)
{
    struct hash of = proof_hash(domain, bytes, signature, key);
    enum torg_err err;

    if (memcmp(&of, &proof->of, sizeof(of)) == 0)
        return TORG_OK;
    err = seal_verify(domain, bytes, signature, key);
    if (!err)
        proof->of = of;
    return err;
}

void seal_key_of_seed(const uint8_t seed[32], struct secret_key *ret_secret,
                      struct public_key *ret_public)
{
    crypto_sign_seed_keypair(ret_public->bytes, ret_secret->bytes, seed);
}

struct public_key seal_public_key(const struct secret_key *key)
{
    struct public_key public_key;

    crypto_sign_ed25519_sk_to_pk(public_key.bytes, key->bytes);
    return public_key;
}

struct listing_key listing_key_of(const struct listing_id *id)
{
    struct listing_key key;

    seal_hash16(DOMAIN_KEY, span_of(id->bytes, sizeof(id->bytes)), key.bytes);
    return key;
}
