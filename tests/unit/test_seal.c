/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/seal.h"

#include "tests/support/test.h"
#include "tests/support/vectors.h"

static struct secret_key key_of(uint8_t byte, struct public_key *ret_public)
{
    struct secret_key secret;
    uint8_t seed[32];

    memset(seed, byte, sizeof(seed));
    seal_key_of_seed(seed, &secret, ret_public);
    return secret;
}

static void test_keys(void **state)
{
    static const struct {
        uint8_t seed;
        const char *name;
    } keys[] = {
        {1, "root-public-key"},
        {7, "signing-public-key"},
        {8, "next-signing-public-key"},
        {9, "node-public-key"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        struct public_key public_key;
        struct public_key again;
        struct secret_key secret = key_of(keys[i].seed, &public_key);

        assert_vector(span_of(&public_key, 32), keys[i].name);
        again = seal_public_key(&secret);
        assert_memory_equal(&again, &public_key, sizeof(again));
    }
}

/* Without its domain one object's hash or signature would pass for another's. */
static void test_domains_separate(void **state)
{
    struct span bytes = span_of_str("torg");
    struct public_key key;
    struct secret_key secret = key_of(7, &key);
    struct signature signature = seal_sign(DOMAIN_HEAD, bytes, &secret);
    struct hash head = seal_hash(DOMAIN_HEAD, bytes);
    struct hash beat = seal_hash(DOMAIN_BEAT, bytes);

    (void)state;
    assert_memory_not_equal(&head, &beat, sizeof(head));
    assert_ok(seal_verify(DOMAIN_HEAD, bytes, &signature, &key));
    assert_err(seal_verify(DOMAIN_BEAT, bytes, &signature, &key), TORG_E_SIGNATURE);
}

static void test_sixteen_is_not_half_of_thirty_two(void **state)
{
    struct hash whole = seal_hash(DOMAIN_KEY, span_of_str("x"));
    uint8_t half[16];

    (void)state;
    seal_hash16(DOMAIN_KEY, span_of_str("x"), half);
    assert_memory_not_equal(half, whole.bytes, sizeof(half));
}

static void test_every_bit_of_a_signature_counts(void **state)
{
    uint8_t bytes[40] = {1, 2, 3};
    struct span span = span_of(bytes, sizeof(bytes));
    struct public_key key;
    struct secret_key secret = key_of(3, &key);
    struct signature signature = seal_sign(DOMAIN_HEAD, span, &secret);

    (void)state;
    for (unsigned bit = 0; bit < 512; bit++) {
        struct signature forged = signature;

        forged.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_err(seal_verify(DOMAIN_HEAD, span, &forged, &key), TORG_E_SIGNATURE);
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] ^= 0x80;
        assert_err(seal_verify(DOMAIN_HEAD, span, &signature, &key), TORG_E_SIGNATURE);
        bytes[i] ^= 0x80;
    }
    assert_ok(seal_verify(DOMAIN_HEAD, span, &signature, &key));
}

/*
 * Keys of small order verify a signature of anything, so who could list one in
 * a charter could deny having signed. libsodium refuses them; must stay so.
 */
static void test_small_order_keys_are_refused(void **state)
{
    struct public_key key = {{0}};
    struct signature signature = {{0}};

    (void)state;
    key.bytes[0] = 1;       /* the neutral element */
    signature.bytes[0] = 1; /* R the same, S 0 */
    assert_err(seal_verify(DOMAIN_HEAD, span_of_str("x"), &signature, &key), TORG_E_SIGNATURE);
}

static void test_sizes(void **state)
{
    static uint8_t bytes[SEAL_SIGNED_BYTES_MAX + 1];
    struct public_key key;
    struct secret_key secret = key_of(3, &key);
    struct signature signature;

    (void)state;
    signature = seal_sign(DOMAIN_CHARTER, span_of(bytes, SEAL_SIGNED_BYTES_MAX), &secret);
    assert_ok(seal_verify(DOMAIN_CHARTER, span_of(bytes, SEAL_SIGNED_BYTES_MAX), &signature, &key));
    assert_err(seal_verify(DOMAIN_CHARTER, span_of(bytes, sizeof(bytes)), &signature, &key),
               TORG_E_TOO_BIG);
    signature = seal_sign(DOMAIN_CHARTER, (struct span){0}, &secret);
    assert_ok(seal_verify(DOMAIN_CHARTER, (struct span){0}, &signature, &key));
}

/* A proof that stood for anything else would let in what nobody has signed. */
static void test_a_proof_is_of_one_signature(void **state)
{
    static const struct seal_proof none;
    uint8_t bytes[40] = {4, 5, 6};
    struct span span = span_of(bytes, sizeof(bytes));
    struct public_key key, other_key;
    struct secret_key secret = key_of(3, &key);
    struct signature signature = seal_sign(DOMAIN_HEAD, span, &secret);
    struct seal_proof proof = {0}, good;

    (void)state;
    key_of(4, &other_key);
    assert_err(seal_verify_once(DOMAIN_BEAT, span, &signature, &key, &proof), TORG_E_SIGNATURE);
    assert_memory_equal(&proof, &none, sizeof(proof));
    assert_ok(seal_verify_once(DOMAIN_HEAD, span, &signature, &key, &proof));
    assert_memory_not_equal(&proof, &none, sizeof(proof));
    good = proof;
    assert_ok(seal_verify_once(DOMAIN_HEAD, span, &signature, &key, &proof));
    assert_err(seal_verify_once(DOMAIN_BEAT, span, &signature, &key, &proof), TORG_E_SIGNATURE);
    assert_err(seal_verify_once(DOMAIN_HEAD, span, &signature, &other_key, &proof),
               TORG_E_SIGNATURE);
    for (unsigned bit = 0; bit < 512; bit++) {
        struct signature forged = signature;

        forged.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_err(seal_verify_once(DOMAIN_HEAD, span, &forged, &key, &proof), TORG_E_SIGNATURE);
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] ^= 0x80;
        assert_err(seal_verify_once(DOMAIN_HEAD, span, &signature, &key, &proof), TORG_E_SIGNATURE);
        bytes[i] ^= 0x80;
    }
    assert_memory_equal(&proof, &good, sizeof(proof));
}

static int setup(void **state)
{
    (void)state;
    return seal_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_domains_separate),
        cmocka_unit_test(test_sixteen_is_not_half_of_thirty_two),
        cmocka_unit_test(test_every_bit_of_a_signature_counts),
        cmocka_unit_test(test_small_order_keys_are_refused),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_a_proof_is_of_one_signature),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
