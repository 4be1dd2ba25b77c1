/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/charter.h"

#include "tests/support/test.h"
#include "tests/support/vectors.h"

/* Seeds of the keys in the vectors. */
enum { ROOT = 1, ROOT_B = 2, ROOT_C = 3, SIGNING = 7, NEXT_SIGNING = 8, NODE = 9 };

static struct secret_key secret_of(uint8_t seed_byte, struct public_key *ret_public)
{
    struct secret_key secret;
    uint8_t seed[32];

    memset(seed, seed_byte, sizeof(seed));
    seal_key_of_seed(seed, &secret, ret_public);
    return secret;
}

static struct public_key public_of(uint8_t seed_byte)
{
    struct public_key key;

    secret_of(seed_byte, &key);
    return key;
}

static struct charter example_charter(void)
{
    struct charter charter = {
        .epoch = 1,
        .name = span_of_str("Arjeplogs kommun"),
        .municipality = span_of_str("2506"),
        .threshold = 1,
        .root_key_count = 1,
        .signing_key_count = 1,
        .node_key_count = 1,
        .max_stale_s = 2592000,
        .endpoint_count = 1,
        .owner_kind = span_of_str("municipality"),
        .country = span_of_str("SE"),
    };

    charter.root_keys[0] = public_of(ROOT);
    charter.signing_keys[0].key_no = 1;
    charter.signing_keys[0].key = public_of(SIGNING);
    charter.node_keys[0] = public_of(NODE);
    charter.visibility[COLLECTION_OFFERS] = VISIBILITY_PUBLIC;
    charter.visibility[COLLECTION_EVENTS] = VISIBILITY_PUBLIC;
    charter.visibility[COLLECTION_MEMBERS] = VISIBILITY_MEMBERS;
    charter.endpoints[0] = span_of_str("torg.arjeplog.example:4848");
    return charter;
}

/* Pack and sign with the root keys of the seeds, ending in 0. bytes stays the caller's. */
static struct charter_signed sign_charter(const struct charter *charter, const uint8_t *seeds,
                                          struct buffer *bytes)
{
    struct charter_signed out = {0};

    buffer_clear(bytes);
    assert_ok(charter_pack(charter, bytes));
    out.bytes = buffer_span(bytes);
    for (; *seeds; seeds++) {
        struct charter_signature *by = &out.signatures[out.signature_count++];
        struct secret_key secret = secret_of(*seeds, &by->key);

        by->signature = seal_sign(DOMAIN_CHARTER, out.bytes, &secret);
    }
    return out;
}

/* The id of an origin is the hash of these bytes: one bit off, and it is a stranger. */
static void test_vector_of_charter_0(void **state)
{
    static const uint8_t signers[] = {ROOT, 0};
    struct charter charter = example_charter();
    struct charter parsed;
    struct charter_signed parsed_signed;
    struct buffer bytes = {0};
    struct buffer travel = {0};
    struct charter_signed signed_charter = sign_charter(&charter, signers, &bytes);
    struct origin_id origin = charter_origin(buffer_span(&bytes));

    (void)state;
    assert_vector(buffer_span(&bytes), "charter-0");
    assert_vector(span_of(&origin, 32), "origin-id");
    assert_vector(span_of(&signed_charter.signatures[0].signature, 64), "charter-0-signature");
    charter_signed_pack(&signed_charter, &travel);
    assert_vector(buffer_span(&travel), "charter-0-signed");

    assert_ok(charter_signed_parse(buffer_span(&travel), &parsed_signed));
    assert_ok(charter_check(NULL, &parsed_signed));
    assert_ok(charter_parse(parsed_signed.bytes, &parsed));
    assert_true(span_equal(parsed.name, charter.name));
    assert_true(span_equal(parsed.municipality, charter.municipality));
    assert_true(span_equal(parsed.endpoints[0], charter.endpoints[0]));
    assert_true(span_equal(parsed.owner_kind, charter.owner_kind));
    assert_true(span_equal(parsed.country, charter.country));
    assert_int_equal(parsed.national_code.size, 0);
    assert_memory_equal(parsed.visibility, charter.visibility, sizeof(parsed.visibility));
    assert_false(parsed.has_catalogue);
    assert_int_equal(parsed.max_stale_s, 2592000);
    assert_true(charter_has_node_key(&parsed, &charter.node_keys[0]));
    assert_false(charter_has_node_key(&parsed, &charter.root_keys[0]));
    buffer_done(&bytes);
    buffer_done(&travel);
}

/* Charter 1 says something in extra that this version does not know. */
static void test_vector_of_charter_1(void **state)
{
    struct buffer first = {0};
    struct buffer second = {0};
    struct charter_signed before;
    struct charter_signed next;
    struct charter parsed;
    struct public_key key;
    struct public_key next_key = public_of(NEXT_SIGNING);
    struct hash hash;

    (void)state;
    vector_read("charter-0-signed", &first);
    vector_read("charter-1-signed", &second);
    assert_ok(charter_signed_parse(buffer_span(&first), &before));
    assert_ok(charter_signed_parse(buffer_span(&second), &next));
    assert_vector(next.bytes, "charter-1");
    hash = charter_hash(next.bytes);
    assert_vector(span_of(&hash, 32), "charter-1-hash");
    assert_ok(charter_check(&before, &next));
    assert_ok(charter_parse(next.bytes, &parsed));
    assert_int_equal(parsed.charter_no, 1);
    assert_int_equal(parsed.epoch, 2);
    assert_true(parsed.has_catalogue);
    assert_int_equal(parsed.catalogue.bytes[0], 10);
    assert_ok(charter_signing_key(&parsed, 2, &key));
    assert_memory_equal(&key, &next_key, sizeof(key));
    assert_err(charter_signing_key(&parsed, 1, &key), TORG_E_SIGNATURE);

    assert_err(charter_check(NULL, &next), TORG_E_GAP);
    assert_err(charter_check(&next, &before), TORG_E_STALE);
    assert_err(charter_check(&next, &next), TORG_E_STALE);
    buffer_done(&first);
    buffer_done(&second);
}

/* ---- succession ---- */

struct succession {
    struct buffer before_bytes;
    struct buffer next_bytes;
    struct charter before;
    struct charter next;
};

/* Two of three root keys; the next charter drops C and needs both others. */
static void succession_init(struct succession *s)
{
    *s = (struct succession){0};
    s->before = example_charter();
    s->before.root_key_count = 3;
    s->before.root_keys[1] = public_of(ROOT_B);
    s->before.root_keys[2] = public_of(ROOT_C);
    s->before.threshold = 2;
    assert_ok(charter_pack(&s->before, &s->before_bytes));
    s->next = s->before;
    s->next.root_key_count = 2;
    s->next.charter_no = 1;
    s->next.prev = charter_hash(buffer_span(&s->before_bytes));
}

static enum torg_err succession_check(struct succession *s, const char *signers)
{
    static const uint8_t both[] = {ROOT, ROOT_B, 0};
    struct charter_signed before = sign_charter(&s->before, both, &s->before_bytes);
    struct charter_signed next = sign_charter(&s->next, (const uint8_t *)signers, &s->next_bytes);

    assert_ok(charter_check(NULL, &before));
    return charter_check(&before, &next);
}

static void succession_done(struct succession *s)
{
    buffer_done(&s->before_bytes);
    buffer_done(&s->next_bytes);
}

/* Whoever may write the next charter owns the municipality's name. */
static void test_root_signatures(void **state)
{
    struct succession s;

    (void)state;
    succession_init(&s);
    assert_ok(succession_check(&s, "\1\2"));
    assert_ok(succession_check(&s, "\3\2\1"));
    assert_err(succession_check(&s, ""), TORG_E_SIGNATURE);
    assert_err(succession_check(&s, "\1"), TORG_E_SIGNATURE);
    assert_err(succession_check(&s, "\1\3"), TORG_E_SIGNATURE);   /* not enough of its own */
    assert_err(succession_check(&s, "\1\1"), TORG_E_INVALID);     /* one key twice */
    assert_err(succession_check(&s, "\1\2\4"), TORG_E_SIGNATURE); /* a key of nobody's */
    assert_err(succession_check(&s, "\1\7"), TORG_E_SIGNATURE);   /* an online key */
    /* Enough of its own, not of the charter before. */
    s.next.root_keys[1] = public_of(5);
    assert_err(succession_check(&s, "\1\5"), TORG_E_SIGNATURE);
    assert_ok(succession_check(&s, "\1\5\2"));
    succession_done(&s);
}

/* Who signs in turn sees how many are still wanted, and never a signature that is none. */
static void test_support_while_it_is_signed(void **state)
{
    static const uint8_t both[] = {ROOT, ROOT_B, 0};
    static const struct {
        const char *signers;
        unsigned by_before, by_own;
    } cases[] = {{"", 0, 0},     {"\1", 1, 1},     {"\3", 1, 0},   {"\5", 0, 1},
                 {"\1\3", 2, 1}, {"\5\1\2", 2, 2}, {"\3\5", 1, 1}, {"\1\2\3\5", 3, 2}};
    struct charter_support support;
    struct charter_signed before;
    struct charter_signed next;
    struct succession s;

    (void)state;
    succession_init(&s);
    s.next.root_keys[1] = public_of(5);
    before = sign_charter(&s.before, both, &s.before_bytes);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        next = sign_charter(&s.next, (const uint8_t *)cases[i].signers, &s.next_bytes);
        assert_ok(charter_support_count(&before, &next, &support));
        assert_int_equal(support.by_before, cases[i].by_before);
        assert_int_equal(support.by_own, cases[i].by_own);
    }
    next.signatures[2].signature.bytes[5] ^= 1;
    assert_err(charter_support_count(&before, &next, &support), TORG_E_SIGNATURE);
    next = sign_charter(&s.next, (const uint8_t *)"\1\1", &s.next_bytes);
    assert_err(charter_support_count(&before, &next, &support), TORG_E_INVALID);
    next = sign_charter(&s.next, (const uint8_t *)"\1\4", &s.next_bytes);
    assert_err(charter_support_count(&before, &next, &support), TORG_E_SIGNATURE);
    succession_done(&s);
}

static void test_forged_signature_refuses_the_whole(void **state)
{
    static const uint8_t signers[] = {ROOT, ROOT_B, ROOT_C, 0};
    struct succession s;
    struct charter_signed before;
    struct charter_signed next;

    (void)state;
    succession_init(&s);
    before = sign_charter(&s.before, signers, &s.before_bytes);
    next = sign_charter(&s.next, signers, &s.next_bytes);
    assert_ok(charter_check(&before, &next));
    next.signatures[2].signature.bytes[5] ^= 1; /* Two good ones would be enough. */
    assert_err(charter_check(&before, &next), TORG_E_SIGNATURE);
    succession_done(&s);
}

static void test_succession_rules(void **state)
{
    struct succession s;

    (void)state;
    succession_init(&s);
    s.next.epoch = 2;
    assert_ok(succession_check(&s, "\1\2"));
    s.next.epoch = 3;
    assert_err(succession_check(&s, "\1\2"), TORG_E_INVALID);
    s.next.epoch = 1;
    s.next.charter_no = 2;
    assert_err(succession_check(&s, "\1\2"), TORG_E_GAP);
    s.next.charter_no = 1;
    s.next.prev.bytes[31] ^= 1;
    assert_err(succession_check(&s, "\1\2"), TORG_E_INVALID);
    s.next.prev.bytes[31] ^= 1;
    s.next.signing_keys[0].key = public_of(NEXT_SIGNING); /* number 1 for another key */
    assert_err(succession_check(&s, "\1\2"), TORG_E_INVALID);
    s.next.signing_keys[0].key_no = 2;
    assert_ok(succession_check(&s, "\1\2"));
    s.next.signing_keys[0].key = s.before.signing_keys[0].key; /* one key, two numbers */
    assert_ok(succession_check(&s, "\1\2"));
    succession_done(&s);
}

static void test_key_numbers_of_older_charters(void **state)
{
    struct charter older = example_charter();
    struct charter next = example_charter();

    (void)state;
    assert_ok(charter_key_numbers_check(&older, &next));
    next.signing_keys[0].key = public_of(NEXT_SIGNING);
    assert_err(charter_key_numbers_check(&older, &next), TORG_E_INVALID);
    next.signing_key_count = 0;
    assert_ok(charter_key_numbers_check(&older, &next));
}

/* ---- form ---- */

static enum torg_err pack_and_parse(const struct charter *charter)
{
    struct buffer bytes = {0};
    struct charter parsed;
    enum torg_err err;

    buffer_put_u8(&bytes, 42); /* What stood in the buffer before stays. */
    err = charter_pack(charter, &bytes);
    assert_int_equal(bytes.data[0], 42);
    if (err)
        assert_int_equal(bytes.size, 1);
    else
        assert_ok(charter_parse(span_of(bytes.data + 1, bytes.size - 1), &parsed));
    buffer_done(&bytes);
    return err;
}

static void test_rules_for_numbers_and_keys(void **state)
{
    struct charter charter = example_charter();

    (void)state;
    assert_ok(pack_and_parse(&charter));
    charter.threshold = 0;
    assert_err(pack_and_parse(&charter), TORG_E_INVALID);
    charter.threshold = 2; /* of one key */
    assert_err(pack_and_parse(&charter), TORG_E_INVALID);
    charter.root_key_count = 2;
    charter.root_keys[1] = charter.root_keys[0];
    assert_err(pack_and_parse(&charter), TORG_E_INVALID);
    charter = example_charter();
    charter.epoch = 0;
    assert_err(pack_and_parse(&charter), TORG_E_INVALID);
    charter.epoch = 2; /* charter 0 opens epoch 1 */
    assert_err(pack_and_parse(&charter), TORG_E_INVALID);
    charter.charter_no = CHARTERS_MAX - 1;
    assert_ok(pack_and_parse(&charter));
    charter.charter_no = CHARTERS_MAX;
    assert_err(pack_and_parse(&charter), TORG_E_INVALID);
    charter = example_charter();
    charter.prev.bytes[0] = 1; /* nothing is before charter 0 */
    assert_err(pack_and_parse(&charter), TORG_E_INVALID);
    charter = example_charter();
    charter.signing_key_count = 2;
    charter.signing_keys[1] = charter.signing_keys[0];
    assert_err(pack_and_parse(&charter), TORG_E_INVALID);
    charter.signing_keys[1].key_no = INT64_MAX;
    assert_err(pack_and_parse(&charter), TORG_E_INVALID);
    charter.signing_keys[1].key_no = INTEGER_MAX;
    assert_ok(pack_and_parse(&charter));
    charter.signing_key_count = 0;
    assert_ok(pack_and_parse(&charter)); /* Nobody speaks for it any more. */
    charter.max_stale_s = CHARTER_STALE_S_MAX;
    assert_ok(pack_and_parse(&charter));
    charter.max_stale_s++;
    assert_err(pack_and_parse(&charter), TORG_E_INVALID);
    charter.max_stale_s = 0;
    charter.visibility[31] = 3;
    assert_err(pack_and_parse(&charter), TORG_E_INVALID);
}

static void test_rules_for_texts(void **state)
{
    static char text[CHARTER_ENDPOINT_BYTES_MAX + 1];
    struct charter charter = example_charter();

    (void)state;
    memset(text, 'x', sizeof(text));
    charter.name = span_of(text, CHARTER_NAME_BYTES_MAX);
    charter.municipality = span_of(text, CHARTER_MUNICIPALITY_BYTES_MAX);
    charter.endpoints[0] = span_of(text, CHARTER_ENDPOINT_BYTES_MAX);
    charter.national_code = span_of(text, CHARTER_EXTRA_BYTES_MAX);
    assert_ok(pack_and_parse(&charter));
    charter.name.size++;
    assert_err(pack_and_parse(&charter), TORG_E_TOO_BIG);
    charter.name = span_of_str("\xff");
    assert_err(pack_and_parse(&charter), TORG_E_INVALID);
    charter.name = span_of_str("");
    charter.municipality = span_of_str("");
    assert_ok(pack_and_parse(&charter));
    charter.endpoints[0].size++;
    assert_err(pack_and_parse(&charter), TORG_E_TOO_BIG);
    charter.endpoint_count = 0;
    charter.national_code.size++;
    assert_err(pack_and_parse(&charter), TORG_E_TOO_BIG);
}

/* The greatest charter that the counts allow is one that a peer accepts. */
static void test_greatest_charter(void **state)
{
    static char text[CHARTER_ENDPOINT_BYTES_MAX];
    struct charter charter = example_charter();

    (void)state;
    memset(text, 'x', sizeof(text));
    charter.root_key_count = CHARTER_ROOT_KEYS_MAX;
    charter.threshold = CHARTER_ROOT_KEYS_MAX;
    charter.signing_key_count = CHARTER_SIGNING_KEYS_MAX;
    charter.node_key_count = CHARTER_NODE_KEYS_MAX;
    charter.endpoint_count = CHARTER_ENDPOINTS_MAX;
    for (uint8_t i = 0; i < 16; i++) {
        charter.root_keys[i] = public_of((uint8_t)(100 + i));
        charter.signing_keys[i].key_no = INTEGER_MAX - 16 + i;
        charter.node_keys[i] = public_of((uint8_t)(100 + i));
        charter.endpoints[i] = span_of(text, sizeof(text));
    }
    for (unsigned i = 1; i < COLLECTIONS_MAX; i++)
        charter.visibility[i] = VISIBILITY_MEMBERS;
    assert_ok(pack_and_parse(&charter));
    charter.root_key_count++;
    assert_err(pack_and_parse(&charter), TORG_E_INVALID);
}

static void test_signed_form(void **state)
{
    struct buffer bytes = {0};
    struct buffer travel = {0};
    struct charter charter = example_charter();
    struct charter_signed parsed;
    struct charter_signed made = sign_charter(&charter, (const uint8_t[]){ROOT, 0}, &bytes);

    (void)state;
    vector_read("charter-0-signed", &travel);
    for (size_t size = 0; size < travel.size; size++)
        assert_true(charter_signed_parse(span_of(travel.data, size), &parsed) != TORG_OK);
    buffer_put_u8(&travel, 0xc0);
    assert_err(charter_signed_parse(buffer_span(&travel), &parsed), TORG_E_PROFILE);

    made.signatures[1] = made.signatures[0]; /* one signer twice */
    made.signature_count = 2;
    buffer_clear(&travel);
    charter_signed_pack(&made, &travel);
    assert_err(charter_signed_parse(buffer_span(&travel), &parsed), TORG_E_INVALID);

    made.signature_count = CHARTER_SIGNATURES_MAX;
    buffer_clear(&travel);
    for (unsigned i = 0; i < CHARTER_SIGNATURES_MAX; i++)
        made.signatures[i].key.bytes[0] = (uint8_t)i;
    charter_signed_pack(&made, &travel);
    assert_ok(charter_signed_parse(buffer_span(&travel), &parsed));
    assert_int_equal(parsed.signature_count, CHARTER_SIGNATURES_MAX);
    assert_err(charter_check(NULL, &parsed), TORG_E_SIGNATURE);
    buffer_done(&bytes);
    buffer_done(&travel);
}

static void test_bytes_of_a_stranger(void **state)
{
    struct buffer bytes = {0};
    struct charter parsed;

    (void)state;
    vector_read("charter-0", &bytes);
    assert_ok(charter_parse(buffer_span(&bytes), &parsed));
    for (size_t size = 0; size < bytes.size; size++)
        assert_true(charter_parse(span_of(bytes.data, size), &parsed) != TORG_OK);
    bytes.data[1] = 2;
    assert_err(charter_parse(buffer_span(&bytes), &parsed), TORG_E_VERSION);
    assert_ok(buffer_reserve(&bytes, CHARTER_BYTES_MAX + 1));
    assert_err(charter_parse(span_of(bytes.data, CHARTER_BYTES_MAX + 1), &parsed), TORG_E_TOO_BIG);
    buffer_done(&bytes);
}

static int setup(void **state)
{
    (void)state;
    return seal_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vector_of_charter_0),
        cmocka_unit_test(test_vector_of_charter_1),
        cmocka_unit_test(test_root_signatures),
        cmocka_unit_test(test_support_while_it_is_signed),
        cmocka_unit_test(test_forged_signature_refuses_the_whole),
        cmocka_unit_test(test_succession_rules),
        cmocka_unit_test(test_key_numbers_of_older_charters),
        cmocka_unit_test(test_rules_for_numbers_and_keys),
        cmocka_unit_test(test_rules_for_texts),
        cmocka_unit_test(test_greatest_charter),
        cmocka_unit_test(test_signed_form),
        cmocka_unit_test(test_bytes_of_a_stranger),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
