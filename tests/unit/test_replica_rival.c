/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/follower.h"
#include "tests/support/test.h"

/*
 * Two charters with one number: both are kept, and when the right one is named, a node is as if
 * it had never heard of the other.
 */

/* A town, a second host with its root key, and a node that went by the second one's charter. */
struct pair {
    struct town town, twin;
    struct kv_mem *mem;
    struct model model, other;
    uint64_t random;
};

static void charters_take(const struct town *town, struct kv_mem *mem)
{
    struct town_write write;

    town_charters_write(town, &write);
    assert_ok(town_apply(mem, &write.write, NULL));
    town_write_done(&write);
}

static void pair_init(struct pair *pair, uint64_t seed, bool town_epoch, bool twin_epoch)
{
    *pair = (struct pair){.random = seed};
    town_init(&pair->town, seed);
    town_init(&pair->twin, seed);
    pair->mem = follower_new(&pair->town);
    for (int i = 0; i < 3; i++) {
        model_commit(&pair->town, &pair->model, &pair->random, 40);
        assert_ok(catch_up(&pair->town, pair->mem, MODEL_MASK));
    }
    pair->other = pair->model;
    kv_mem_free(pair->twin.mem);
    assert_ok(kv_mem_clone(pair->town.mem, &pair->twin.mem));
    pair->twin.now_ms = pair->town.now_ms;
    pair->twin.next_key_no = 7;
    town_rotate(&pair->twin, twin_epoch);
    charters_take(&pair->twin, pair->mem);
    for (int i = 0; i < 5; i++) {
        model_commit(&pair->twin, &pair->other, &pair->random, 60);
        reconcile(&pair->twin, pair->twin.mem, pair->mem, &pair->random);
    }
    town_rotate(&pair->town, town_epoch);
    model_commit(&pair->town, &pair->model, &pair->random, 40);
}

static void pair_done(struct pair *pair)
{
    kv_mem_free(pair->mem);
    town_done(&pair->town);
    town_done(&pair->twin);
}

static struct hash hash_of(const struct buffer *stored)
{
    struct charter_signed object;

    assert_ok(charter_signed_parse(buffer_span(stored), &object));
    return charter_hash(object.bytes);
}

static void evidence_pack(const struct buffer *a, const struct buffer *b, struct buffer *out)
{
    buffer_clear(out);
    replica_rival_pack(buffer_span(a), buffer_span(b), out);
    assert_ok(out->err);
}

static struct replica_write proof_of(const struct pair *pair, const struct buffer *evidence)
{
    return (struct replica_write){
        .kind = REPLICA_WRITE_PROOF, .origin = pair->town.id, .proof = buffer_span(evidence)};
}

static struct replica_write settle_for(const struct pair *pair, const struct town *right)
{
    return (struct replica_write){.kind = REPLICA_WRITE_SETTLE,
                                  .origin = pair->town.id,
                                  .charter = hash_of(&right->charters[1])};
}

static void dispute(struct pair *pair)
{
    struct buffer evidence = {0};
    struct replica_write proof;

    evidence_pack(&pair->town.charters[1], &pair->twin.charters[1], &evidence);
    proof = proof_of(pair, &evidence);
    assert_ok(town_apply(pair->mem, &proof, NULL));
    assert_refused(pair->mem, &proof, TORG_E_KNOWN);
    buffer_done(&evidence);
}

static void test_evidence(void **state)
{
    struct buffer evidence = {0}, forged = {0};
    struct charter_signed object;
    struct replica_origin origin;
    struct replica_write proof;
    struct span stored;
    struct pair pair;
    struct kv kv;

    (void)state;
    pair_init(&pair, 400, false, false);
    /* The same twice, a charter 0, one that nobody signed, neither held: nobody is convicted. */
    evidence_pack(&pair.twin.charters[1], &pair.twin.charters[1], &evidence);
    proof = proof_of(&pair, &evidence);
    assert_refused(pair.mem, &proof, TORG_E_INVALID);
    evidence_pack(&pair.twin.charters[0], &pair.twin.charters[1], &evidence);
    proof = proof_of(&pair, &evidence);
    assert_refused(pair.mem, &proof, TORG_E_INVALID);
    assert_ok(charter_signed_parse(buffer_span(&pair.town.charters[1]), &object));
    object.signatures[0].signature.bytes[0] ^= 1;
    charter_signed_pack(&object, &forged);
    evidence_pack(&forged, &pair.twin.charters[1], &evidence);
    proof = proof_of(&pair, &evidence);
    assert_refused(pair.mem, &proof, TORG_E_SIGNATURE);
    evidence_pack(&forged, &pair.town.charters[1], &evidence);
    proof = proof_of(&pair, &evidence);
    assert_refused(pair.mem, &proof, TORG_E_INVALID);
    town_rotate(&pair.town, false);
    town_rotate(&pair.twin, false);
    evidence_pack(&pair.town.charters[2], &pair.twin.charters[2], &evidence);
    proof = proof_of(&pair, &evidence);
    assert_refused(pair.mem, &proof, TORG_E_GAP);

    dispute(&pair);
    origin_read(pair.mem, &pair.town.id, &origin);
    assert_true(origin.flags & REPLICA_FLAG_DISPUTED);
    assert_ok(kv_mem_read_begin(pair.mem, &kv));
    assert_ok(replica_charter_get(&kv, origin.number, 1, &stored));
    assert_true(span_equal(stored, buffer_span(&pair.twin.charters[1]))); /* the first stays */
    assert_ok(replica_charter_rival_get(&kv, origin.number, 1, &stored));
    assert_true(span_equal(stored, buffer_span(&pair.town.charters[1])));
    kv_mem_read_end(&kv);
    model_commit(&pair.twin, &pair.other, &pair.random, 5);
    assert_err(catch_up(&pair.twin, pair.mem, MODEL_MASK), TORG_E_GAP); /* names charter 2 */
    assert_verifies(pair.mem, &pair.town.id, "disputed");
    buffer_done(&evidence);
    buffer_done(&forged);
    pair_done(&pair);
}

/* In an epoch of its own or not, either of the two: what was said under the wrong one is gone. */
static void test_the_other_is_right(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct replica_origin origin;
        struct replica_write settle;
        struct pair pair;

        pair_init(&pair, 410 + i, i & 1, i & 2);
        dispute(&pair);
        settle = settle_for(&pair, &pair.town);
        assert_ok(town_apply(pair.mem, &settle, &shadow));
        origin_read(pair.mem, &pair.town.id, &origin);
        assert_int_equal(origin.charter_no, 1);
        assert_int_equal(origin.charter_epoch, pair.town.epoch);
        assert_memory_equal(&origin.charter_hash, &settle.charter, sizeof(settle.charter));
        assert_false(origin.flags & REPLICA_FLAG_DISPUTED);
        assert_false(origin.has_head);
        assert_verifies(pair.mem, &pair.town.id, "gone over");
        assert_shadow(pair.mem, &pair.town.id); /* served as it was */
        assert_refused(pair.mem, &settle, TORG_E_KNOWN);
        reconcile(&pair.town, pair.town.mem, pair.mem, &pair.random);
        assert_holds(pair.mem, &pair.town.id, &pair.model);
        for (int j = 0; j < 3; j++) {
            model_commit(&pair.town, &pair.model, &pair.random, 40);
            assert_ok(catch_up(&pair.town, pair.mem, MODEL_MASK));
        }
        assert_holds(pair.mem, &pair.town.id, &pair.model);
        assert_verifies(pair.mem, &pair.town.id, "healed");
        pair_done(&pair);
    }
}

/* Charters that follow the wrong one go with it; the right one's are taken. */
static void test_what_stands_on_the_wrong_one_goes(void **state)
{
    struct replica_origin origin;
    struct replica_write settle;
    struct span stored;
    struct pair pair;
    struct kv kv;

    (void)state;
    pair_init(&pair, 420, false, true);
    town_rotate(&pair.twin, true);
    charters_take(&pair.twin, pair.mem);
    model_commit(&pair.twin, &pair.other, &pair.random, 20);
    reconcile(&pair.twin, pair.twin.mem, pair.mem, &pair.random);
    dispute(&pair);
    settle = settle_for(&pair, &pair.town);
    assert_ok(town_apply(pair.mem, &settle, &shadow));
    origin_read(pair.mem, &pair.town.id, &origin);
    assert_int_equal(origin.charter_no, 1);
    assert_int_equal(origin.charter_epoch, 1);
    assert_ok(kv_mem_read_begin(pair.mem, &kv));
    assert_err(replica_charter_get(&kv, origin.number, 2, &stored), TORG_E_NOT_FOUND);
    kv_mem_read_end(&kv);
    assert_verifies(pair.mem, &pair.town.id, "two gone");
    town_rotate(&pair.town, true);
    charters_take(&pair.town, pair.mem);
    model_commit(&pair.town, &pair.model, &pair.random, 20);
    reconcile(&pair.town, pair.town.mem, pair.mem, &pair.random);
    assert_holds(pair.mem, &pair.town.id, &pair.model);
    assert_verifies(pair.mem, &pair.town.id, "and the next");
    pair_done(&pair);
}

/* A head from before both stands. */
static void test_a_head_from_before_stands(void **state)
{
    struct replica_origin origin;
    struct replica_write settle;
    struct pair pair = {.random = 430};

    (void)state;
    town_init(&pair.town, 430);
    town_init(&pair.twin, 430);
    pair.mem = follower_new(&pair.town);
    model_commit(&pair.town, &pair.model, &pair.random, 40);
    assert_ok(catch_up(&pair.town, pair.mem, MODEL_MASK));
    pair.twin.next_key_no = 7;
    town_rotate(&pair.twin, false);
    charters_take(&pair.twin, pair.mem);
    town_rotate(&pair.town, false);
    dispute(&pair);
    settle = settle_for(&pair, &pair.town);
    assert_ok(town_apply(pair.mem, &settle, &shadow));
    origin_read(pair.mem, &pair.town.id, &origin);
    assert_int_equal(origin.head.hno, 1);
    model_commit(&pair.town, &pair.model, &pair.random, 40);
    assert_ok(catch_up(&pair.town, pair.mem, MODEL_MASK)); /* a delta does */
    assert_holds(pair.mem, &pair.town.id, &pair.model);
    assert_verifies(pair.mem, &pair.town.id, "went on");
    pair_done(&pair);
}

/* The one that stands was right: the dispute ends, and that number is not disputed again. */
static void test_the_one_that_stands_is_right(void **state)
{
    struct replica_origin origin;
    struct replica_write settle;
    struct pair pair;

    (void)state;
    pair_init(&pair, 440, false, false);
    dispute(&pair);
    model_commit(&pair.twin, &pair.other, &pair.random, 10);
    assert_err(catch_up(&pair.twin, pair.mem, MODEL_MASK), TORG_E_UNEXPECTED);
    settle = settle_for(&pair, &pair.twin);
    assert_ok(town_apply(pair.mem, &settle, &shadow));
    origin_read(pair.mem, &pair.town.id, &origin);
    assert_false(origin.flags & REPLICA_FLAG_DISPUTED);
    assert_ok(catch_up(&pair.twin, pair.mem, MODEL_MASK));
    assert_holds(pair.mem, &pair.town.id, &pair.other);
    assert_refused(pair.mem, &settle, TORG_E_KNOWN);
    {
        struct buffer evidence = {0};
        struct replica_write proof;

        evidence_pack(&pair.town.charters[1], &pair.twin.charters[1], &evidence);
        proof = proof_of(&pair, &evidence);
        assert_refused(pair.mem, &proof, TORG_E_KNOWN);
        buffer_done(&evidence);
    }
    assert_verifies(pair.mem, &pair.town.id, "settled");
    pair_done(&pair);
}

static void newest_dispute(struct pair *pair)
{
    size_t no = pair->town.charter_count - 1;
    struct buffer rival = {0}, evidence = {0};
    struct replica_write proof;

    town_rival_charter(&pair->town, &rival);
    evidence_pack(&pair->town.charters[no], &rival, &evidence);
    proof = proof_of(pair, &evidence);
    assert_ok(town_apply(pair->mem, &proof, NULL));
    buffer_done(&rival);
    buffer_done(&evidence);
}

/* One number is settled, the next disputed: that is the one to be shown, and settled. */
static void test_a_second_dispute(void **state)
{
    struct pair pair = {.random = 460};
    struct replica_origin origin;
    struct hash stands, rival;
    uint64_t number = 0;
    struct kv kv;

    (void)state;
    town_init(&pair.town, 460);
    town_init(&pair.twin, 460);
    pair.mem = follower_new(&pair.town);
    for (size_t no = 1; no <= 2; no++) {
        struct replica_write settle = {.kind = REPLICA_WRITE_SETTLE, .origin = pair.town.id};

        town_rotate(&pair.town, false);
        charters_take(&pair.town, pair.mem);
        newest_dispute(&pair);
        origin_read(pair.mem, &pair.town.id, &origin);
        assert_true(origin.flags & REPLICA_FLAG_DISPUTED);
        settle.charter = hash_of(&pair.town.charters[no]);
        assert_ok(kv_mem_read_begin(pair.mem, &kv));
        assert_ok(replica_rival_find(&kv, &origin, &number, &stands, &rival));
        kv_mem_read_end(&kv);
        assert_int_equal(number, no);
        assert_memory_equal(&stands, &settle.charter, sizeof(stands));
        assert_ok(town_apply(pair.mem, &settle, NULL));
    }
    assert_verifies(pair.mem, &pair.town.id, "settled twice");
    pair_done(&pair);
}

/* A hash that is neither's, and the own origin. */
static void test_what_cannot_be_settled(void **state)
{
    struct buffer evidence = {0};
    struct replica_write settle, proof;
    struct pair pair;

    (void)state;
    pair_init(&pair, 450, false, false);
    settle = settle_for(&pair, &pair.town);
    assert_refused(pair.mem, &settle, TORG_E_KNOWN); /* only one is here */
    dispute(&pair);
    settle.charter.bytes[0] ^= 1;
    assert_refused(pair.mem, &settle, TORG_E_KNOWN);
    evidence_pack(&pair.town.charters[1], &pair.twin.charters[1], &evidence);
    proof = proof_of(&pair, &evidence);
    assert_ok(town_apply(pair.town.mem, &proof, NULL));
    settle = settle_for(&pair, &pair.twin);
    assert_refused(pair.town.mem, &settle, TORG_E_INVALID);
    settle = settle_for(&pair, &pair.town);
    assert_ok(town_apply(pair.town.mem, &settle, NULL));
    model_commit(&pair.town, &pair.model, &pair.random, 10); /* it may write again */
    buffer_done(&evidence);
    pair_done(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_evidence),
        cmocka_unit_test(test_the_other_is_right),
        cmocka_unit_test(test_what_stands_on_the_wrong_one_goes),
        cmocka_unit_test(test_a_head_from_before_stands),
        cmocka_unit_test(test_the_one_that_stands_is_right),
        cmocka_unit_test(test_a_second_dispute),
        cmocka_unit_test(test_what_cannot_be_settled),
    };

    assert_int_equal(seal_init(), TORG_OK);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
