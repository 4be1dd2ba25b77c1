/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/profile.h"
#include "tests/support/follower.h"
#include "tests/support/hostile.h"
#include "tests/support/test.h"

/* One signed object of a town, and the write that carries it. */
struct carried {
    struct buffer bytes;
    struct replica_write write;
};

static struct signed_span signed_of(struct span bytes)
{
    struct profile_reader in = profile_reader_of(bytes);
    struct signed_span object = signed_read(&in, HEAD_BYTES_MAX);

    assert_ok(profile_end(&in));
    return object;
}

static void carry_head(const struct town *town, const struct head *head, struct carried *out)
{
    *out = (struct carried){0};
    town_sign_head(town, head, &out->bytes);
    out->write.kind = REPLICA_WRITE_COMMIT;
    out->write.origin = head->origin;
    out->write.mask = MODEL_MASK;
    out->write.head = signed_of(buffer_span(&out->bytes));
}

static void carry_beat(const struct town *town, const struct beat *beat, struct carried *out)
{
    struct secret_key key = town_key(town, beat->key_no);
    struct buffer bytes = {0};
    struct signature signature;

    *out = (struct carried){0};
    beat_pack(beat, &bytes);
    signature = seal_sign(DOMAIN_BEAT, buffer_span(&bytes), &key);
    signed_pack(buffer_span(&bytes), &signature, &out->bytes);
    buffer_done(&bytes);
    out->write.kind = REPLICA_WRITE_BEAT;
    out->write.origin = beat->origin;
    out->write.beat = signed_of(buffer_span(&out->bytes));
    out->write.now_ms = beat->ts_ms + 5;
}

static void carry_proof(const struct origin_id *origin, const struct signed_span *a,
                        const struct signed_span *b, const struct span *path, size_t path_count,
                        struct carried *out)
{
    *out = (struct carried){0};
    replica_proof_pack(a, b, path, path_count, &out->bytes);
    assert_ok(out->bytes.err);
    out->write.kind = REPLICA_WRITE_PROOF;
    out->write.origin = *origin;
    out->write.proof = buffer_span(&out->bytes);
}

/* The head after the one that origin has, with nothing changed but its number. */
static struct head head_after(const struct replica_origin *origin)
{
    struct head head = origin->head;

    head.hno++;
    head.ts_ms++;
    head.prev = origin->head_hash;
    head.skip = origin->head_hash;
    return head;
}

static void assert_head_refused(struct kv_mem *mem, const struct town *town,
                                const struct head *head, enum torg_err err)
{
    struct carried carried;

    carry_head(town, head, &carried);
    assert_refused(mem, &carried.write, err);
    buffer_done(&carried.bytes);
}

static enum torg_err head_apply(struct kv_mem *mem, const struct town *town,
                                const struct head *head)
{
    struct carried carried;
    enum torg_err err;

    carry_head(town, head, &carried);
    err = town_apply(mem, &carried.write, &shadow);
    buffer_done(&carried.bytes);
    return err;
}

/* Town and follower, both with the same three commits. */
struct pair {
    struct town town;
    struct kv_mem *mem;
    struct model model;
    uint64_t random;
};

static void pair_init(struct pair *pair, uint64_t seed)
{
    *pair = (struct pair){.random = seed};
    town_init(&pair->town, seed);
    pair->mem = follower_new(&pair->town);
    for (int i = 0; i < 3; i++) {
        model_commit(&pair->town, &pair->model, &pair->random, 40);
        assert_ok(catch_up(&pair->town, pair->mem, MODEL_MASK));
    }
}

static void pair_done(struct pair *pair)
{
    kv_mem_free(pair->mem);
    town_done(&pair->town);
}

static enum torg_err charters_apply(struct pair *pair)
{
    struct town_write write;
    enum torg_err err;

    town_charters_write(&pair->town, &write);
    err = town_apply(pair->mem, &write.write, NULL);
    town_write_done(&write);
    return err;
}

/* ---- heads ---- */

/* Whoever can pass a head off as an origin's owns that origin. */
static void test_heads_that_are_not_valid(void **state)
{
    struct replica_origin origin;
    struct pair pair;
    struct town stranger;
    struct head head;

    (void)state;
    pair_init(&pair, 100);
    town_init(&stranger, 101);
    origin_read(pair.mem, &pair.town.id, &origin);
    head = head_after(&origin);
    assert_head_refused(pair.mem, &stranger, &head, TORG_E_SIGNATURE);
    head.key_no = 2;
    assert_head_refused(pair.mem, &pair.town, &head, TORG_E_SIGNATURE);
    head = head_after(&origin);
    head.charter_no = 1;
    assert_head_refused(pair.mem, &pair.town, &head, TORG_E_GAP);
    head = head_after(&origin);
    head.epoch = 2;
    assert_head_refused(pair.mem, &pair.town, &head, TORG_E_INVALID);
    head = head_after(&origin);
    head.origin = stranger.id;
    assert_head_refused(pair.mem, &pair.town, &head, TORG_E_GAP); /* not known here */
    head = head_after(&origin);
    head.states[0].count++;
    assert_head_refused(pair.mem, &pair.town, &head, TORG_E_MISMATCH);
    head = head_after(&origin);
    head.states[0].root.bytes[5] ^= 1;
    assert_head_refused(pair.mem, &pair.town, &head, TORG_E_MISMATCH);
    head = head_after(&origin);
    head.state_count--;
    assert_head_refused(pair.mem, &pair.town, &head, TORG_E_MISMATCH);
    head = origin.head;
    head.hno--;
    assert_head_refused(pair.mem, &pair.town, &head, TORG_E_STALE);
    head = head_after(&origin);
    assert_ok(head_apply(pair.mem, &pair.town, &head));
    assert_head_refused(pair.mem, &pair.town, &head, TORG_E_KNOWN);
    assert_verifies(pair.mem, &pair.town.id, "a bare head");
    town_done(&stranger);
    pair_done(&pair);
}

/* What one head was found to be says nothing of another, nor of a key that was dropped since. */
static void test_a_proof_admits_no_other_head(void **state)
{
    struct replica_origin origin;
    struct carried good, forged;
    struct pair pair;
    struct town stranger;
    struct head head, checked;
    struct kv kv;

    (void)state;
    pair_init(&pair, 104);
    town_init(&stranger, 105);
    origin_read(pair.mem, &pair.town.id, &origin);
    head = head_after(&origin);
    carry_head(&pair.town, &head, &good);
    carry_head(&stranger, &head, &forged);
    assert_ok(kv_mem_read_begin(pair.mem, &kv));
    assert_ok(replica_head_check(&kv, &origin, &good.write.head, &good.write.head_proof, &checked));
    kv_mem_read_end(&kv);
    forged.write.head_proof = good.write.head_proof;
    assert_refused(pair.mem, &forged.write, TORG_E_SIGNATURE);
    town_rotate(&pair.town, false);
    assert_ok(charters_apply(&pair));
    assert_refused(pair.mem, &good.write, TORG_E_STALE);
    buffer_done(&good.bytes);
    buffer_done(&forged.bytes);
    town_done(&stranger);
    pair_done(&pair);
}

/* A head carried in a write that names another origin must not reach that one's record. */
static void test_a_head_stays_with_its_origin(void **state)
{
    struct replica_origin origin;
    struct town_write charters;
    struct carried carried;
    struct pair pair;
    struct town other;
    struct head head;

    (void)state;
    pair_init(&pair, 102);
    town_init(&other, 103);
    town_charters_write(&other, &charters);
    assert_ok(town_apply(pair.mem, &charters.write, NULL));
    town_write_done(&charters);
    origin_read(pair.mem, &pair.town.id, &origin);
    head = head_after(&origin);
    carry_head(&pair.town, &head, &carried);
    carried.write.origin = other.id;
    assert_refused(pair.mem, &carried.write, TORG_E_INVALID);
    buffer_done(&carried.bytes);
    town_done(&other);
    pair_done(&pair);
}

/* ---- charters ---- */

static void test_charters_that_are_refused(void **state)
{
    struct town_write write;
    struct replica_write bad;
    struct town town, other;
    struct kv_mem *mem;

    (void)state;
    town_init(&town, 110);
    town_init(&other, 111);
    town_rotate(&town, false);
    town_rotate(&town, true);
    assert_ok(kv_mem_new(&mem));
    town_charters_write(&town, &write);

    bad = write.write; /* The first is missing. */
    bad.charters++;
    bad.charter_count--;
    assert_refused(mem, &bad, TORG_E_GAP);
    bad = write.write; /* For another origin. */
    bad.origin = other.id;
    assert_refused(mem, &bad, TORG_E_MISMATCH);
    bad = write.write; /* The last is not signed: nothing of them is taken. */
    write.charters[2].signatures[0].signature.bytes[7] ^= 1;
    assert_refused(mem, &bad, TORG_E_SIGNATURE);
    write.charters[2].signatures[0].signature.bytes[7] ^= 1;
    bad.charter_count = 0;
    assert_refused(mem, &bad, TORG_E_KNOWN);
    bad = write.write;
    bad.charter_count = 1;
    assert_ok(town_apply(mem, &bad, NULL));
    bad.charters = write.charters + 2; /* A hole. */
    assert_refused(mem, &bad, TORG_E_GAP);
    assert_ok(town_apply(mem, &write.write, NULL)); /* Those that are held are passed over. */
    assert_refused(mem, &write.write, TORG_E_KNOWN);
    assert_verifies(mem, &town.id, "three charters");
    town_write_done(&write);
    kv_mem_free(mem);
    town_done(&town);
    town_done(&other);
}

/* A number given to a second key would make old signatures ambiguous. */
static void test_key_numbers_are_never_reused(void **state)
{
    struct replica_write write = {.kind = REPLICA_WRITE_CHARTERS, .charter_count = 1};
    struct secret_key other;
    struct public_key key;
    struct charter_signed next;
    struct buffer bytes = {0};
    struct pair pair;

    (void)state;
    pair_init(&pair, 112);
    town_rotate(&pair.town, false); /* Key 2; key 1 is not listed any more. */
    assert_ok(charters_apply(&pair));
    other = town_key(&pair.town, 7);
    key = seal_public_key(&other);
    write.origin = pair.town.id;
    write.charters = &next;
    town_next_charter(&pair.town, 1, &key, &bytes);
    assert_ok(charter_signed_parse(buffer_span(&bytes), &next));
    assert_refused(pair.mem, &write, TORG_E_INVALID);
    other = town_key(&pair.town, 1); /* The same key under its old number may come back. */
    key = seal_public_key(&other);
    buffer_clear(&bytes);
    town_next_charter(&pair.town, 1, &key, &bytes);
    assert_ok(charter_signed_parse(buffer_span(&bytes), &next));
    assert_ok(town_apply(pair.mem, &write, NULL));
    buffer_done(&bytes);
    pair_done(&pair);
}

/* A rotation must not take away what is served, nor may the old key speak again. */
static void test_rotation(void **state)
{
    struct replica_origin origin;
    struct head old;
    struct pair pair;

    (void)state;
    pair_init(&pair, 113);
    origin_read(pair.mem, &pair.town.id, &origin);
    old = head_after(&origin);
    town_rotate(&pair.town, false);
    assert_ok(charters_apply(&pair));
    origin_read(pair.mem, &pair.town.id, &origin);
    assert_int_equal(replica_complete_mask(&origin, MODEL_MASK), MODEL_MASK);
    assert_int_equal(origin.head.hno, 3);
    assert_head_refused(pair.mem, &pair.town, &old, TORG_E_STALE); /* The dropped key. */
    old.charter_no = 1; /* It claims the new charter, which never listed it. */
    assert_head_refused(pair.mem, &pair.town, &old, TORG_E_SIGNATURE);
    assert_ok(town_commit(&pair.town, NULL, 0)); /* At once, an empty commit with the new key. */
    assert_ok(catch_up(&pair.town, pair.mem, MODEL_MASK));
    model_commit(&pair.town, &pair.model, &pair.random, 30);
    assert_ok(catch_up(&pair.town, pair.mem, MODEL_MASK));
    assert_holds(pair.mem, &pair.town.id, &pair.model);
    assert_verifies(pair.mem, &pair.town.id, "rotated");
    assert_verifies(pair.town.mem, &pair.town.id, "rotated, at home");
    pair_done(&pair);
}

/* A thief's head 4, then the true head 4: who took the first goes over to the second. */
static void test_a_dropped_keys_head_gives_way(void **state)
{
    struct replica_origin origin;
    struct head stolen;
    struct pair pair;

    (void)state;
    pair_init(&pair, 114);
    origin_read(pair.mem, &pair.town.id, &origin);
    stolen = head_after(&origin);
    stolen.ts_ms += 77;
    assert_ok(head_apply(pair.mem, &pair.town, &stolen));
    town_rotate(&pair.town, false);
    assert_ok(town_commit(&pair.town, NULL, 0));
    assert_err(catch_up(&pair.town, pair.mem, MODEL_MASK), TORG_E_GAP);
    assert_ok(charters_apply(&pair));
    assert_ok(catch_up(&pair.town, pair.mem, MODEL_MASK));
    origin_read(pair.mem, &pair.town.id, &origin);
    assert_int_equal(origin.head.key_no, 2);
    assert_int_equal(origin.head.hno, 4);
    assert_verifies(pair.mem, &pair.town.id, "gave way");
    pair_done(&pair);
}

/* epoch+1 closes everything that a thief may have signed, whatever its number. */
static void test_new_epoch(void **state)
{
    struct replica_origin origin;
    struct head stolen;
    struct pair pair;

    (void)state;
    pair_init(&pair, 115);
    origin_read(pair.mem, &pair.town.id, &origin);
    stolen = head_after(&origin);
    stolen.hno = 5000;
    assert_ok(head_apply(pair.mem, &pair.town, &stolen));
    town_rotate(&pair.town, true);
    assert_ok(charters_apply(&pair));
    origin_read(pair.mem, &pair.town.id, &origin);
    assert_int_equal(origin.head.hno, 5000); /* Served until something valid comes. */
    stolen.hno = 5001;
    assert_head_refused(pair.mem, &pair.town, &stolen, TORG_E_STALE);
    stolen.hno = 5000;
    {
        struct carried part;

        carry_head(&pair.town, &stolen, &part); /* Nor is the old head reconciled to any more. */
        part.write.kind = REPLICA_WRITE_PART;
        part.write.collection = 1;
        assert_refused(pair.mem, &part.write, TORG_E_STALE);
        buffer_done(&part.bytes);
    }
    model_commit(&pair.town, &pair.model, &pair.random, 40);
    origin_read(pair.town.mem, &pair.town.id, &origin);
    assert_int_equal(origin.head.epoch, 2);
    assert_int_equal(origin.head.hno, 1);
    assert_memory_equal(&origin.head.prev, &origin.epoch_hash, sizeof(struct hash));
    assert_memory_equal(&origin.head.skip, &origin.epoch_hash, sizeof(struct hash));
    reconcile(&pair.town, pair.town.mem, pair.mem, &pair.random);
    assert_holds(pair.mem, &pair.town.id, &pair.model);
    origin_read(pair.mem, &pair.town.id, &origin);
    assert_int_equal(origin.head.epoch, 2);
    assert_int_equal(origin.tombstones, 0);
    assert_int_equal(origin.floor_seq, origin.head.seq);
    for (int i = 0; i < 8; i++) { /* Past the heads whose skip is the epoch's charter. */
        model_commit(&pair.town, &pair.model, &pair.random, 10);
        assert_ok(catch_up(&pair.town, pair.mem, MODEL_MASK));
    }
    assert_verifies(pair.mem, &pair.town.id, "new epoch");
    assert_verifies(pair.town.mem, &pair.town.id, "new epoch, at home");
    pair_done(&pair);
}

static void test_rival_charters_dispute(void **state)
{
    struct replica_origin origin;
    struct replica_write write = {.kind = REPLICA_WRITE_CHARTERS};
    struct charter_signed rival;
    struct buffer bytes = {0};
    struct span stored;
    struct pair pair;
    struct kv kv;

    (void)state;
    pair_init(&pair, 116);
    town_rotate(&pair.town, false);
    assert_ok(charters_apply(&pair));
    town_rival_charter(&pair.town, &bytes);
    assert_ok(charter_signed_parse(buffer_span(&bytes), &rival));
    write.origin = pair.town.id;
    write.charters = &rival;
    write.charter_count = 1;
    rival.signatures[0].signature.bytes[0] ^= 1;
    assert_refused(pair.mem, &write, TORG_E_SIGNATURE);
    rival.signatures[0].signature.bytes[0] ^= 1;
    assert_ok(town_apply(pair.mem, &write, NULL));
    assert_refused(pair.mem, &write, TORG_E_KNOWN);
    origin_read(pair.mem, &pair.town.id, &origin);
    assert_true(origin.flags & REPLICA_FLAG_DISPUTED);
    assert_ok(kv_mem_read_begin(pair.mem, &kv));
    assert_ok(replica_charter_get(&kv, origin.number, 1, &stored));
    assert_true(span_equal(stored, buffer_span(&pair.town.charters[1]))); /* The first stays. */
    assert_ok(replica_charter_rival_get(&kv, origin.number, 1, &stored));
    assert_true(span_equal(stored, buffer_span(&bytes)));
    kv_mem_read_end(&kv);
    buffer_done(&bytes);
    pair_done(&pair);
}

/* ---- beats ---- */

static void assert_beat_refused(const struct pair *pair, const struct town *signer,
                                const struct beat *beat, enum torg_err err)
{
    struct carried carried;

    carry_beat(signer, beat, &carried);
    assert_refused(pair->mem, &carried.write, err);
    buffer_done(&carried.bytes);
}

static enum torg_err beat_apply(const struct pair *pair, const struct beat *beat)
{
    struct carried carried;
    enum torg_err err;

    carry_beat(&pair->town, beat, &carried);
    err = town_apply(pair->mem, &carried.write, NULL);
    buffer_done(&carried.bytes);
    return err;
}

/* A false beat would make stale data look fresh. */
static void test_beats(void **state)
{
    struct replica_origin origin;
    struct town stranger;
    struct pair pair;
    struct beat beat;

    (void)state;
    pair_init(&pair, 120);
    town_init(&stranger, 121);
    origin_read(pair.mem, &pair.town.id, &origin);
    beat = (struct beat){.origin = pair.town.id,
                         .epoch = 1,
                         .hno = 3,
                         .head_hash = origin.head_hash,
                         .ts_ms = pair.town.now_ms,
                         .writer = 77,
                         .key_no = 1};
    assert_beat_refused(&pair, &stranger, &beat, TORG_E_SIGNATURE);
    beat.key_no = 5;
    assert_beat_refused(&pair, &pair.town, &beat, TORG_E_GAP);
    beat.key_no = 1;
    beat.epoch = 2;
    assert_beat_refused(&pair, &pair.town, &beat, TORG_E_GAP);
    beat.epoch = 1;
    beat.head_hash.bytes[0] ^= 1;
    assert_beat_refused(&pair, &pair.town, &beat, TORG_E_UNEXPECTED);
    beat.head_hash = origin.head_hash;
    beat.hno = 0;
    assert_beat_refused(&pair, &pair.town, &beat, TORG_E_INVALID);
    beat.hno = 3;
    assert_ok(beat_apply(&pair, &beat));
    assert_beat_refused(&pair, &pair.town, &beat, TORG_E_KNOWN);
    beat.ts_ms--;
    assert_beat_refused(&pair, &pair.town, &beat, TORG_E_STALE);
    beat.ts_ms += 100000;
    assert_ok(beat_apply(&pair, &beat));
    origin_read(pair.mem, &pair.town.id, &origin);
    assert_true(origin.has_beat);
    assert_int_equal(origin.beat.ts_ms, beat.ts_ms);
    assert_int_equal(origin.received_ms, beat.ts_ms + 5);
    beat.hno = 9; /* Of a head that is not here yet. */
    assert_ok(beat_apply(&pair, &beat));
    town_rotate(&pair.town, true);
    assert_ok(charters_apply(&pair));
    beat.hno = 10;
    assert_beat_refused(&pair, &pair.town, &beat, TORG_E_STALE);
    assert_verifies(pair.mem, &pair.town.id, "beats");
    town_done(&stranger);
    pair_done(&pair);
}

static enum torg_err own_beat(struct town *town, uint64_t writer, int64_t now_ms,
                              struct buffer *out)
{
    struct kv kv;
    enum torg_err err;

    assert_ok(kv_mem_write_begin(town->mem, &kv));
    err = replica_beat_local(&kv, &town->id, &town->signer, writer, 0, now_ms, out);
    if (err)
        kv_mem_write_abort(&kv);
    else
        assert_ok(kv_mem_write_commit(&kv));
    return err;
}

static void test_own_beats(void **state)
{
    struct replica_write write = {.kind = REPLICA_WRITE_BEAT};
    struct replica_origin origin;
    struct buffer bytes = {0};
    struct kv_mem *old;
    struct pair pair;

    (void)state;
    pair_init(&pair, 122);
    write.origin = pair.town.id;
    assert_ok(own_beat(&pair.town, 7, 1000, &bytes));
    write.beat = signed_of(buffer_span(&bytes));
    assert_ok(town_apply(pair.mem, &write, NULL));
    buffer_clear(&bytes);
    assert_ok(own_beat(&pair.town, 7, 500, &bytes)); /* The clock went back. */
    write.beat = signed_of(buffer_span(&bytes));
    assert_ok(town_apply(pair.mem, &write, NULL));
    origin_read(pair.mem, &pair.town.id, &origin);
    assert_int_equal(origin.beat.ts_ms, 1001);
    assert_int_equal(origin.beat.writer, 7);
    assert_int_equal(origin.beat.hno, 3);

    /* A restored backup hears of its own newer beat: it must not answer with an older one. */
    assert_ok(kv_mem_clone(pair.town.mem, &old));
    model_commit(&pair.town, &pair.model, &pair.random, 10);
    buffer_clear(&bytes);
    assert_ok(own_beat(&pair.town, 7, 2000, &bytes));
    kv_mem_restore(pair.town.mem, old);
    write.beat = signed_of(buffer_span(&bytes));
    assert_ok(town_apply(pair.town.mem, &write, NULL));
    buffer_clear(&bytes);
    assert_err(own_beat(&pair.town, 8, 3000, &bytes), TORG_E_STALE);
    assert_int_equal(bytes.size, 0);

    /* Nothing committed in the new epoch yet: the beat names its charter. */
    town_rotate(&pair.town, true);
    assert_ok(own_beat(&pair.town, 8, 4000, &bytes));
    assert_ok(charters_apply(&pair));
    write.beat = signed_of(buffer_span(&bytes));
    assert_ok(town_apply(pair.mem, &write, NULL));
    origin_read(pair.mem, &pair.town.id, &origin);
    assert_int_equal(origin.beat.hno, 0);
    assert_int_equal(origin.beat.epoch, 2);
    assert_err(own_beat(&pair.town, UINT64_MAX, 5000, &bytes), TORG_E_INVALID);
    pair.town.signer.key_no = 1;
    assert_err(own_beat(&pair.town, 8, 5000, &bytes), TORG_E_SIGNATURE);
    buffer_done(&bytes);
    kv_mem_free(old);
    pair_done(&pair);
}

/* ---- forks ---- */

/* Two heads with one number, both signed: shown to everybody, and healed by the next epoch. */
static void test_fork_and_cure(void **state)
{
    struct replica_origin origin;
    struct carried ours, theirs, proof;
    struct head head, other;
    struct span stored;
    struct pair pair;
    struct kv kv;

    (void)state;
    pair_init(&pair, 130);
    origin_read(pair.mem, &pair.town.id, &origin);
    head = head_after(&origin);
    other = head;
    other.ts_ms++;
    carry_head(&pair.town, &head, &ours);
    carry_head(&pair.town, &other, &theirs);
    assert_ok(town_apply(pair.mem, &ours.write, &shadow));
    assert_refused(pair.mem, &theirs.write, TORG_E_UNEXPECTED);
    carry_proof(&pair.town.id, &ours.write.head, &ours.write.head, NULL, 0, &proof);
    assert_refused(pair.mem, &proof.write, TORG_E_INVALID);
    buffer_done(&proof.bytes);
    theirs.write.head.signature.bytes[0] ^= 1;
    carry_proof(&pair.town.id, &ours.write.head, &theirs.write.head, NULL, 0, &proof);
    assert_refused(pair.mem, &proof.write, TORG_E_SIGNATURE);
    buffer_done(&proof.bytes);
    theirs.write.head.signature.bytes[0] ^= 1;
    carry_proof(&pair.town.id, &ours.write.head, &theirs.write.head, NULL, 0, &proof);
    assert_ok(town_apply(pair.mem, &proof.write, NULL));
    assert_refused(pair.mem, &proof.write, TORG_E_KNOWN);
    origin_read(pair.mem, &pair.town.id, &origin);
    assert_true(origin.flags & REPLICA_FLAG_DISPUTED);
    assert_int_equal(replica_complete_mask(&origin, MODEL_MASK), MODEL_MASK);
    assert_ok(kv_mem_read_begin(pair.mem, &kv));
    assert_ok(replica_proof_get(&kv, origin.number, 1, &stored));
    kv_mem_read_end(&kv);
    head = head_after(&origin);
    assert_head_refused(pair.mem, &pair.town, &head, TORG_E_UNEXPECTED);
    /* At home, too, nothing more is signed in this epoch. */
    assert_ok(town_apply(pair.town.mem, &proof.write, NULL));
    assert_err(town_commit(&pair.town, NULL, 0), TORG_E_UNEXPECTED);

    town_rotate(&pair.town, true);
    assert_ok(charters_apply(&pair));
    assert_refused(pair.mem, &proof.write, TORG_E_STALE);
    assert_ok(town_commit(&pair.town, NULL, 0));
    assert_ok(catch_up(&pair.town, pair.mem, MODEL_MASK));
    origin_read(pair.mem, &pair.town.id, &origin);
    assert_false(origin.flags & REPLICA_FLAG_DISPUTED);
    assert_holds(pair.mem, &pair.town.id, &pair.model);
    assert_verifies(pair.mem, &pair.town.id, "cured");
    buffer_done(&ours.bytes);
    buffer_done(&theirs.bytes);
    buffer_done(&proof.bytes);
    pair_done(&pair);
}

/* The town forks now, and that is proved. */
static void fork_and_prove(struct pair *pair)
{
    struct replica_origin origin;
    struct carried ours, theirs, proof;
    struct head head, other;

    origin_read(pair->mem, &pair->town.id, &origin);
    head = head_after(&origin);
    other = head;
    other.ts_ms++;
    carry_head(&pair->town, &head, &ours);
    carry_head(&pair->town, &other, &theirs);
    assert_ok(town_apply(pair->mem, &ours.write, &shadow));
    carry_proof(&pair->town.id, &ours.write.head, &theirs.write.head, NULL, 0, &proof);
    assert_ok(town_apply(pair->mem, &proof.write, NULL));
    buffer_done(&ours.bytes);
    buffer_done(&theirs.bytes);
    buffer_done(&proof.bytes);
}

static size_t proof_size(const struct pair *pair, uint64_t epoch)
{
    struct replica_origin origin;
    struct span stored;
    struct kv kv;

    origin_read(pair->mem, &pair->town.id, &origin);
    assert_ok(kv_mem_read_begin(pair->mem, &kv));
    assert_ok(replica_proof_get(&kv, origin.number, epoch, &stored));
    kv_mem_read_end(&kv);
    return stored.size;
}

/* An origin that forks in each of its epochs fills nobody's store with the evidence. */
static void test_of_old_forks_only_the_fact_is_kept(void **state)
{
    struct pair pair;

    (void)state;
    pair_init(&pair, 131);
    for (uint64_t epoch = 1; epoch <= 4; epoch++) {
        fork_and_prove(&pair);
        for (uint64_t before = 1; before < epoch; before++)
            assert_int_equal(proof_size(&pair, before), 0);
        assert_true(proof_size(&pair, epoch) > 0);
        town_rotate(&pair.town, true);
        assert_ok(charters_apply(&pair));
        assert_true(proof_size(&pair, epoch) > 0);
        assert_ok(town_commit(&pair.town, NULL, 0));
        assert_ok(catch_up(&pair.town, pair.mem, MODEL_MASK));
        assert_holds(pair.mem, &pair.town.id, &pair.model);
        assert_verifies(pair.mem, &pair.town.id, "cured");
    }
    pair_done(&pair);
}

/* A beat, or a later head over a path, can contradict a head as well. */
static void test_other_evidence(void **state)
{
    struct replica_origin origin;
    struct carried head4, other4, head5, head6, beat4, proof;
    struct head a, b;
    struct beat beat;
    struct span path[1];
    struct pair pair;

    (void)state;
    pair_init(&pair, 131);
    origin_read(pair.mem, &pair.town.id, &origin);
    a = head_after(&origin);
    carry_head(&pair.town, &a, &head4);
    b = a;
    b.ts_ms++;
    carry_head(&pair.town, &b, &other4);
    b.hno = 5;
    b.prev = head_hash(other4.write.head.bytes);
    b.skip = origin.head_hash; /* jump(5) = 4 in truth; the path below uses prev. */
    carry_head(&pair.town, &b, &head5);
    b.hno = 6;
    b.prev = head_hash(head5.write.head.bytes);
    carry_head(&pair.town, &b, &head6);

    path[0] = head5.write.head.bytes;
    carry_proof(&pair.town.id, &head4.write.head, &head6.write.head, path, 1, &proof);
    {
        struct kv_mem *mem;

        assert_ok(kv_mem_clone(pair.mem, &mem));
        assert_ok(town_apply(mem, &proof.write, NULL));
        kv_mem_free(mem);
    }
    buffer_done(&proof.bytes);
    /* The same without its middle, over another's, and against the head that it does name. */
    carry_proof(&pair.town.id, &head4.write.head, &head6.write.head, NULL, 0, &proof);
    assert_refused(pair.mem, &proof.write, TORG_E_INVALID);
    buffer_done(&proof.bytes);
    path[0] = other4.write.head.bytes;
    carry_proof(&pair.town.id, &head4.write.head, &head6.write.head, path, 1, &proof);
    assert_refused(pair.mem, &proof.write, TORG_E_MISMATCH);
    buffer_done(&proof.bytes);
    beat = (struct beat){.origin = pair.town.id,
                         .epoch = 1,
                         .hno = 4,
                         .head_hash = head_hash(head4.write.head.bytes),
                         .key_no = 1};
    carry_beat(&pair.town, &beat, &beat4);
    carry_proof(&pair.town.id, &head4.write.head, &beat4.write.beat, NULL, 0, &proof);
    assert_refused(pair.mem, &proof.write, TORG_E_INVALID); /* It agrees. */
    buffer_done(&proof.bytes);
    carry_proof(&pair.town.id, &other4.write.head, &beat4.write.beat, NULL, 0, &proof);
    assert_ok(town_apply(pair.mem, &proof.write, NULL));
    buffer_done(&proof.bytes);
    buffer_done(&head4.bytes);
    buffer_done(&other4.bytes);
    buffer_done(&head5.bytes);
    buffer_done(&head6.bytes);
    buffer_done(&beat4.bytes);
    pair_done(&pair);
}

/* An origin that published one chain cannot be accused. */
static void test_no_proof_against_an_honest_chain(void **state)
{
    struct replica_origin origin;
    struct signed_span heads[12];
    struct pair pair;
    struct kv kv;

    (void)state;
    pair_init(&pair, 132);
    for (int i = 3; i < 12; i++)
        model_commit(&pair.town, &pair.model, &pair.random, 5);
    assert_ok(kv_mem_read_begin(pair.town.mem, &kv));
    assert_ok(replica_origin_get(&kv, &pair.town.id, &origin));
    for (uint64_t hno = 1; hno <= 12; hno++) {
        struct span value;

        assert_ok(replica_head_get(&kv, origin.number, 1, hno, &value));
        heads[hno - 1] = signed_of(value);
    }
    for (size_t a = 0; a < 12; a++) {
        for (size_t b = 0; b < 12; b++) {
            for (size_t c = 0; c <= 12; c++) {
                struct span path[1] = {c < 12 ? heads[c].bytes : (struct span){0}};
                struct carried proof;
                struct kv_mem *mem;
                enum torg_err err;

                assert_ok(kv_mem_clone(pair.mem, &mem));
                carry_proof(&pair.town.id, &heads[a], &heads[b], path, c < 12, &proof);
                err = town_apply(mem, &proof.write, NULL);
                assert_true(err == TORG_E_INVALID || err == TORG_E_MISMATCH);
                buffer_done(&proof.bytes);
                kv_mem_free(mem);
            }
        }
    }
    kv_mem_read_end(&kv);
    pair_done(&pair);
}

static void test_faulty(void **state)
{
    struct replica_origin origin;
    struct carried bad;
    struct head head;
    struct pair pair;

    (void)state;
    pair_init(&pair, 133);
    origin_read(pair.mem, &pair.town.id, &origin);
    head = head_after(&origin);
    head.states[0].root.bytes[0] ^= 1;
    carry_head(&pair.town, &head, &bad);
    assert_refused(pair.mem, &bad.write, TORG_E_MISMATCH);
    bad.write.kind = REPLICA_WRITE_FAULTY;
    assert_ok(town_apply(pair.mem, &bad.write, NULL));
    assert_refused(pair.mem, &bad.write, TORG_E_KNOWN);
    origin_read(pair.mem, &pair.town.id, &origin);
    assert_true(origin.flags & REPLICA_FLAG_FAULTY);
    assert_int_equal(origin.head.hno, 3); /* What is held stays. */
    assert_int_equal(replica_complete_mask(&origin, MODEL_MASK), MODEL_MASK);
    head = head_after(&origin); /* The next head is tried. */
    head.hno++;
    assert_ok(head_apply(pair.mem, &pair.town, &head));
    origin_read(pair.mem, &pair.town.id, &origin);
    assert_false(origin.flags & REPLICA_FLAG_FAULTY);
    buffer_done(&bad.bytes);
    pair_done(&pair);
}

/* An origin that signs anything, over a bad disk, may hurt itself only. */
static void test_hostile_origin(void **state)
{
    static uint8_t bytes[6000];

    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        uint64_t random = seed;

        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)(test_random(&random) >> 32);
        hostile_run(bytes, sizeof(bytes));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads_that_are_not_valid),
        cmocka_unit_test(test_a_proof_admits_no_other_head),
        cmocka_unit_test(test_a_head_stays_with_its_origin),
        cmocka_unit_test(test_charters_that_are_refused),
        cmocka_unit_test(test_key_numbers_are_never_reused),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_a_dropped_keys_head_gives_way),
        cmocka_unit_test(test_new_epoch),
        cmocka_unit_test(test_rival_charters_dispute),
        cmocka_unit_test(test_beats),
        cmocka_unit_test(test_own_beats),
        cmocka_unit_test(test_fork_and_cure),
        cmocka_unit_test(test_of_old_forks_only_the_fact_is_kept),
        cmocka_unit_test(test_other_evidence),
        cmocka_unit_test(test_no_proof_against_an_honest_chain),
        cmocka_unit_test(test_faulty),
        cmocka_unit_test(test_hostile_origin),
    };

    assert_int_equal(seal_init(), TORG_OK);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
