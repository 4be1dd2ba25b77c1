/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/head.h"

#include "protocol/profile.h"
#include "tests/support/test.h"
#include "tests/support/vectors.h"

#define TS_MS INT64_C(1790000000000)

static struct secret_key signing_key(struct public_key *ret_public)
{
    struct secret_key secret;
    uint8_t seed[32];

    memset(seed, 7, sizeof(seed));
    seal_key_of_seed(seed, &secret, ret_public);
    return secret;
}

static struct head example_head(void)
{
    struct head head = {
        .epoch = 1,
        .hno = 1,
        .seq = 1,
        .ts_ms = TS_MS,
        .state_count = 1,
        .states = {{.collection = COLLECTION_OFFERS, .count = 1}},
        .key_no = 1,
    };
    struct buffer root = {0};

    memset(&head.origin, 10, sizeof(head.origin));
    memset(&head.prev, 10, sizeof(head.prev));
    memset(&head.skip, 10, sizeof(head.skip));
    vector_read("root-of-one", &root);
    memcpy(&head.states[0].root, root.data, 32);
    buffer_done(&root);
    return head;
}

/* A head that no other program can check proves nothing to anybody. */
static void test_head_vector(void **state)
{
    struct head head = example_head();
    struct head parsed;
    struct public_key key;
    struct secret_key secret = signing_key(&key);
    struct signature signature;
    struct buffer bytes = {0};
    struct hash hash;

    (void)state;
    head_pack(&head, &bytes);
    assert_vector(buffer_span(&bytes), "head");
    hash = head_hash(buffer_span(&bytes));
    assert_vector(span_of(&hash, 32), "head-hash");
    signature = seal_sign(DOMAIN_HEAD, buffer_span(&bytes), &secret);
    assert_vector(span_of(&signature, 64), "head-signature");
    assert_ok(seal_verify(DOMAIN_HEAD, buffer_span(&bytes), &signature, &key));
    assert_ok(head_parse(buffer_span(&bytes), &parsed));
    assert_memory_equal(&parsed, &head, sizeof(head));
    assert_int_equal(head_state_of(&parsed, 2).count, 1);
    assert_int_equal(head_state_of(&parsed, 3).count, 0);
    buffer_done(&bytes);
}

static void test_beat_vector(void **state)
{
    struct beat beat = {.epoch = 1, .hno = 1, .ts_ms = TS_MS + 600000, .writer = 4711, .key_no = 1};
    struct beat parsed;
    struct public_key key;
    struct secret_key secret = signing_key(&key);
    struct buffer hash = {0};
    struct buffer bytes = {0};
    struct buffer travel = {0};
    struct signature signature;
    struct signed_span object;
    struct profile_reader in;

    (void)state;
    memset(&beat.origin, 10, sizeof(beat.origin));
    vector_read("head-hash", &hash);
    memcpy(&beat.head_hash, hash.data, 32);
    beat_pack(&beat, &bytes);
    assert_vector(buffer_span(&bytes), "beat");
    signature = seal_sign(DOMAIN_BEAT, buffer_span(&bytes), &secret);
    assert_vector(span_of(&signature, 64), "beat-signature");
    signed_pack(buffer_span(&bytes), &signature, &travel);
    assert_vector(buffer_span(&travel), "beat-signed");
    in = profile_reader_of(buffer_span(&travel));
    object = signed_read(&in, BEAT_BYTES_MAX);
    assert_ok(profile_end(&in));
    assert_ok(seal_verify(DOMAIN_BEAT, object.bytes, &object.signature, &key));
    assert_ok(beat_parse(object.bytes, &parsed));
    assert_memory_equal(&parsed, &beat, sizeof(beat));

    in = profile_reader_of(buffer_span(&travel));
    assert_int_equal(signed_read(&in, bytes.size - 1).bytes.size, 0);
    assert_int_equal(in.in.err, TORG_E_TOO_BIG);
    buffer_done(&hash);
    buffer_done(&bytes);
    buffer_done(&travel);
}

static void test_cut_or_lengthened_is_refused(void **state)
{
    struct buffer bytes = {0};
    struct head head;
    struct beat beat;

    (void)state;
    vector_read("head", &bytes);
    for (size_t size = 0; size < bytes.size; size++)
        assert_true(head_parse(span_of(bytes.data, size), &head) != TORG_OK);
    buffer_put_u8(&bytes, 0);
    assert_err(head_parse(buffer_span(&bytes), &head), TORG_E_PROFILE);
    vector_read("beat", &bytes);
    for (size_t size = 0; size < bytes.size; size++)
        assert_true(beat_parse(span_of(bytes.data, size), &beat) != TORG_OK);
    buffer_put_u8(&bytes, 0);
    assert_err(beat_parse(buffer_span(&bytes), &beat), TORG_E_PROFILE);
    assert_ok(buffer_reserve(&bytes, HEAD_BYTES_MAX + 1));
    assert_err(head_parse(span_of(bytes.data, HEAD_BYTES_MAX + 1), &head), TORG_E_TOO_BIG);
    assert_err(beat_parse(span_of(bytes.data, BEAT_BYTES_MAX + 1), &beat), TORG_E_TOO_BIG);
    buffer_done(&bytes);
}

/* A head of raw fields, to write what the packer would refuse. */
struct raw_head {
    int64_t version, epoch, hno, seq, charter_no;
    unsigned state_count;
    int64_t states[3][2]; /* collection, count */
};

static enum torg_err raw_parse(const struct raw_head *raw)
{
    static const uint8_t zeros[32];
    struct buffer out = {0};
    struct head head;
    enum torg_err err;

    pack_array(&out, 11);
    pack_int(&out, raw->version);
    pack_bin(&out, zeros, 32);
    pack_int(&out, raw->epoch);
    pack_int(&out, raw->hno);
    pack_int(&out, raw->seq);
    pack_int(&out, -1);
    pack_bin(&out, zeros, 32);
    pack_bin(&out, zeros, 32);
    pack_array(&out, raw->state_count);
    for (unsigned i = 0; i < raw->state_count; i++) {
        pack_array(&out, 3);
        pack_int(&out, raw->states[i % 3][0]);
        pack_int(&out, raw->states[i % 3][1]);
        pack_bin(&out, zeros, 32);
    }
    pack_int(&out, raw->charter_no);
    pack_int(&out, 0);
    err = head_parse(buffer_span(&out), &head);
    buffer_done(&out);
    return err;
}

static void test_head_rules(void **state)
{
    static const struct {
        struct raw_head raw;
        enum torg_err err;
    } cases[] = {
        {{1, 1, 1, 0, 0, 0, {{0}}}, TORG_OK},
        {{1, INTEGER_MAX, INTEGER_MAX, INTEGER_MAX, INTEGER_MAX, 0, {{0}}}, TORG_OK},
        {{1, 1, 1, 0, 0, 3, {{1, 1}, {2, UINT32_MAX}, {31, 1}}}, TORG_OK},
        {{2, 1, 1, 0, 0, 0, {{0}}}, TORG_E_VERSION},
        {{0, 1, 1, 0, 0, 0, {{0}}}, TORG_E_VERSION},
        {{-1, 1, 1, 0, 0, 0, {{0}}}, TORG_E_INVALID},
        {{1, 0, 1, 0, 0, 0, {{0}}}, TORG_E_INVALID},
        {{1, 1, 0, 0, 0, 0, {{0}}}, TORG_E_INVALID},
        {{1, 1, 1, -1, 0, 0, {{0}}}, TORG_E_INVALID},
        {{1, 1, 1, 0, -1, 0, {{0}}}, TORG_E_INVALID},
        {{1, 1, 1, 0, 0, 2, {{2, 1}, {1, 1}}}, TORG_E_INVALID}, /* descending */
        {{1, 1, 1, 0, 0, 2, {{2, 1}, {2, 1}}}, TORG_E_INVALID}, /* twice */
        {{1, 1, 1, 0, 0, 1, {{0, 1}}}, TORG_E_INVALID},
        {{1, 1, 1, 0, 0, 1, {{32, 1}}}, TORG_E_INVALID},
        {{1, 1, 1, 0, 0, 1, {{1, 0}}}, TORG_E_INVALID}, /* an empty one is left out */
        {{1, 1, 1, 0, 0, 1, {{1, INT64_C(1) << 32}}}, TORG_E_INVALID},
        {{1, 1, 1, 0, 0, 32, {{1, 1}, {2, 1}, {3, 1}}}, TORG_E_INVALID}, /* too many */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        enum torg_err err = raw_parse(&cases[i].raw);

        if (err != cases[i].err)
            fail_msg("case %zu: %s", i, torg_err_text(err));
    }
}

static void test_longest_objects_fit(void **state)
{
    struct head head = {
        .epoch = INTEGER_MAX,
        .hno = INTEGER_MAX,
        .seq = INTEGER_MAX,
        .ts_ms = -INTEGER_MAX,
        .charter_no = INTEGER_MAX,
        .key_no = INTEGER_MAX,
        .state_count = COLLECTIONS_MAX - 1,
    };
    struct beat beat = {
        .epoch = INTEGER_MAX,
        .hno = INTEGER_MAX,
        .ts_ms = -INTEGER_MAX,
        .writer = INTEGER_MAX,
        .rival = INTEGER_MAX,
        .key_no = INTEGER_MAX,
    };
    struct buffer bytes = {0};

    (void)state;
    for (uint8_t i = 0; i < COLLECTIONS_MAX - 1; i++)
        head.states[i] = (struct head_state){.collection = (uint8_t)(i + 1), .count = UINT32_MAX};
    head_pack(&head, &bytes);
    assert_ok(head_parse(buffer_span(&bytes), &head));
    assert_true(bytes.size <= HEAD_BYTES_MAX);
    buffer_clear(&bytes);
    beat_pack(&beat, &bytes);
    assert_ok(beat_parse(buffer_span(&bytes), &beat));
    assert_true(bytes.size <= BEAT_BYTES_MAX);
    buffer_done(&bytes);
}

static void test_order(void **state)
{
    static const struct head heads[] = {
        {.epoch = 1, .hno = 1}, {.epoch = 1, .hno = 2}, {.epoch = 2, .hno = 1}};

    (void)state;
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++)
            assert_int_equal(head_compare(&heads[i], &heads[j]), (i > j) - (i < j));
    }
}

/* ---- jump pointers ---- */

enum { JUMPS = 200000 };

/* A pointer that names another head makes every ancestry proof fail. */
static void test_jump_is_myers(void **state)
{
    static const uint64_t first[] = {0, 1, 0, 3, 4, 3, 0, 7};
    static uint64_t jump[JUMPS];

    (void)state;
    assert_int_equal(head_jump(0), 0);
    for (uint64_t h = 1; h <= 8; h++)
        assert_int_equal(head_jump(h), first[h - 1]);
    for (uint64_t h = 1; h < JUMPS; h++) {
        uint64_t p = h - 1;

        jump[h] = p - jump[p] == jump[p] - jump[jump[p]] ? jump[jump[p]] : p;
        if (head_jump(h) != jump[h])
            fail_msg("jump(%llu)", (unsigned long long)h);
    }
}

static unsigned descent(uint64_t from, uint64_t to)
{
    unsigned heads = 0;

    while (from > to) {
        from = head_jump(from) >= to ? head_jump(from) : from - 1;
        heads++;
    }
    return heads;
}

/* An answer longer than ANCESTRY_HEADS_MAX would be refused, and the peer blamed. */
static void test_descent_is_short(void **state)
{
    uint64_t seed = 9;
    unsigned longest = 0;

    (void)state;
    for (unsigned i = 0; i < 300000; i++) {
        uint64_t from = 1 + test_random_below(&seed, JUMPS - 1);
        unsigned heads = descent(from, test_random_below(&seed, from));

        longest = heads > longest ? heads : longest;
    }
    assert_in_range(longest, 20, 44);
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t from = 1 + test_random_below(&seed, INTEGER_MAX) % INTEGER_MAX;
        uint64_t to = test_random(&seed) % from >> test_random_below(&seed, 50);
        unsigned heads = descent(from, to);

        assert_true(heads <= ANCESTRY_HEADS_MAX);
    }
}

static int setup(void **state)
{
    (void)state;
    return seal_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head_vector),
        cmocka_unit_test(test_beat_vector),
        cmocka_unit_test(test_cut_or_lengthened_is_refused),
        cmocka_unit_test(test_head_rules),
        cmocka_unit_test(test_longest_objects_fit),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_jump_is_myers),
        cmocka_unit_test(test_descent_is_short),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
