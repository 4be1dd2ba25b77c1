/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdio.h>
#include <stdlib.h>

#include "protocol/profile.h"
#include "tests/support/test.h"
#include "tests/support/town.h"

#define IDS 160       /* listings that may exist, in each collection of the model */
#define COLLECTIONS 3 /* 1, 2, 3 */
#define MODEL_MASK 0xeu
#define PAYLOAD_BYTES 40

/* What an origin should hold: too simple to be wrong. size 0: not there. */
struct model {
    uint8_t sizes[COLLECTIONS][IDS];
    uint8_t payloads[COLLECTIONS][IDS][PAYLOAD_BYTES];
};

static struct listing_id id_of(unsigned i)
{
    struct listing_id id = {0};

    put_u32be(id.bytes, i * 2654435761u);
    return id;
}

/* ---- an index that only notes what it is told, in the transaction itself ---- */

static enum torg_err shadow_changed(void *context, struct kv *kv,
                                    const struct replica_origin *origin, uint8_t collection,
                                    const struct listing_key *key,
                                    const struct replica_entry *entry)
{
    uint8_t row[17] = {collection};
    enum torg_err err;

    (void)origin;
    if (context)
        return *(enum torg_err *)context;
    memcpy(row + 1, key->bytes, sizeof(key->bytes));
    if (entry)
        return kv_put(kv, KV_DOCUMENT, span_of(row, sizeof(row)), entry->header_bytes);
    err = kv_del(kv, KV_DOCUMENT, span_of(row, sizeof(row)));
    assert_int_equal(err, TORG_OK); /* Told of its end, but not of its life. */
    return err;
}

static const struct replica_observer shadow = {.changed = shadow_changed};

/* ---- what must hold after each step ---- */

static void report_fail(void *context, const char *what)
{
    fail_msg("%s: %s", (const char *)context, what);
}

static void assert_verifies(struct kv_mem *mem, const struct origin_id *id, const char *when)
{
    struct replica_origin origin;
    struct kv kv;

    assert_ok(kv_mem_read_begin(mem, &kv));
    assert_ok(replica_origin_get(&kv, id, &origin));
    assert_ok(replica_verify(&kv, &origin, report_fail, (void *)(uintptr_t)when));
    kv_mem_read_end(&kv);
}

struct count_visit {
    const struct kv *kv;
    uint8_t collection;
    size_t count;
};

static bool count_shadow(void *context, const struct listing_key *key, struct span header,
                         struct span payload)
{
    struct count_visit *visit = context;
    uint8_t row[17] = {visit->collection};
    struct span noted;

    (void)payload;
    memcpy(row + 1, key->bytes, sizeof(key->bytes));
    assert_ok(kv_get(visit->kv, KV_DOCUMENT, span_of(row, sizeof(row)), &noted));
    assert_true(span_equal(noted, header));
    visit->count++;
    return true;
}

/* The shadow index and the listings are the same set. */
static void assert_shadow(struct kv_mem *mem, const struct origin_id *id)
{
    struct replica_origin origin;
    struct kv_cursor *cursor;
    struct span key, value;
    struct kv kv;
    size_t listings = 0, rows = 0;
    enum torg_err err;

    assert_ok(kv_mem_read_begin(mem, &kv));
    assert_ok(replica_origin_get(&kv, id, &origin));
    for (uint8_t c = 1; c < COLLECTIONS_MAX; c++) {
        struct count_visit visit = {.kv = &kv, .collection = c};

        assert_ok(replica_listings(&kv, origin.number, c, NULL, count_shadow, &visit));
        listings += visit.count;
    }
    assert_ok(kv_cursor_open(&kv, KV_DOCUMENT, &cursor));
    for (err = kv_cursor_seek(&kv, cursor, span_of("", 1), &key, &value); !err;
         err = kv_cursor_next(&kv, cursor, &key, &value))
        rows++;
    kv_cursor_close(&kv, cursor);
    assert_int_equal(rows, listings);
    kv_mem_read_end(&kv);
}

static void assert_holds(struct kv_mem *mem, const struct origin_id *id, const struct model *model)
{
    struct replica_origin origin;
    struct kv kv;

    assert_ok(kv_mem_read_begin(mem, &kv));
    assert_ok(replica_origin_get(&kv, id, &origin));
    for (unsigned c = 0; c < COLLECTIONS; c++) {
        uint32_t count = 0;

        for (unsigned i = 0; i < IDS; i++) {
            struct listing_id listing = id_of(i);
            struct listing_key key = listing_key_of(&listing);
            struct span header, payload;
            enum torg_err err =
                replica_listing_get(&kv, origin.number, (uint8_t)(c + 1), &key, &header, &payload);

            assert_int_equal(err, model->sizes[c][i] ? TORG_OK : TORG_E_NOT_FOUND);
            if (err)
                continue;
            count++;
            assert_true(span_equal(payload, span_of(model->payloads[c][i], model->sizes[c][i])));
        }
        assert_int_equal(origin.held[c + 1].count, count);
        assert_int_equal(origin.missing[c + 1], 0);
    }
    assert_int_equal(replica_complete_mask(&origin, MODEL_MASK), MODEL_MASK);
    kv_mem_read_end(&kv);
}

static void dump(struct kv_mem *mem, struct buffer *out)
{
    struct kv kv;

    buffer_clear(out);
    assert_ok(kv_mem_read_begin(mem, &kv));
    assert_ok(kv_mem_dump(&kv, out));
    kv_mem_read_end(&kv);
}

/* ---- random commits ---- */

static void random_commit(struct town *town, struct model *model, uint64_t *random, size_t max)
{
    struct local_change changes[64];
    bool taken[COLLECTIONS][IDS] = {0};
    size_t count = 0;
    size_t wanted = test_random_below(random, (max < 64 ? max : 64) + 1);

    for (size_t n = 0; n < wanted; n++) {
        unsigned c = (unsigned)test_random_below(random, COLLECTIONS);
        unsigned i = (unsigned)test_random_below(random, IDS);
        bool erase = test_random_below(random, 3) == 0;

        if (taken[c][i])
            continue;
        taken[c][i] = true;
        model->sizes[c][i] = erase ? 0 : (uint8_t)(1 + test_random_below(random, PAYLOAD_BYTES));
        for (unsigned b = 0; b < model->sizes[c][i]; b++)
            model->payloads[c][i][b] = (uint8_t)test_random(random);
        changes[count++] =
            (struct local_change){.collection = (uint8_t)(c + 1),
                                  .id = id_of(i),
                                  .payload = span_of(model->payloads[c][i], model->sizes[c][i])};
    }
    assert_ok(town_commit(town, changes, count));
}

/* Another node that knows the town's charters and nothing else. */
static struct kv_mem *follower_new(const struct town *town)
{
    struct town_write write;
    struct kv_mem *mem;

    assert_ok(kv_mem_new(&mem));
    kv_mem_strict(mem, true);
    town_charters_write(town, &write);
    assert_ok(town_apply(mem, &write.write, NULL));
    town_write_done(&write);
    return mem;
}

static void origin_read(struct kv_mem *mem, const struct origin_id *id,
                        struct replica_origin *ret_origin)
{
    struct kv kv;

    assert_ok(kv_mem_read_begin(mem, &kv));
    assert_ok(replica_origin_get(&kv, id, ret_origin));
    kv_mem_read_end(&kv);
}

/* Everything since what mem holds, from the town's own node, in one COMMIT. */
static enum torg_err catch_up(struct town *town, struct kv_mem *mem, uint32_t mask)
{
    struct replica_origin origin;
    struct town_write write;
    struct kv kv;
    enum torg_err err;

    origin_read(mem, &town->id, &origin);
    assert_ok(kv_mem_read_begin(town->mem, &kv));
    town_delta(town, &kv, origin.has_head ? origin.head.seq : 0, mask, &write);
    kv_mem_read_end(&kv);
    err = town_apply(mem, &write.write, &shadow);
    town_write_done(&write);
    return err;
}

/* ---- tests ---- */

/* A listing lost or left behind by the origin itself is lost everywhere, with a signature. */
static void test_local_commits_agree_with_a_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct model model = {0};
        uint64_t random = seed;
        struct town town;

        town_init(&town, seed);
        for (int i = 0; i < 40; i++) {
            random_commit(&town, &model, &random, 40);
            if (i % 8 == 0)
                assert_verifies(town.mem, &town.id, "after a commit");
        }
        assert_holds(town.mem, &town.id, &model);
        assert_verifies(town.mem, &town.id, "at the end");
        town_done(&town);
    }
}

/* A follower that depends on how the log was cut would differ from its neighbour. */
static void test_replay_in_any_grouping(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct model model = {0};
        uint64_t random = seed;
        struct kv_mem *live, *lazy;
        struct town town;

        town_init(&town, seed);
        live = follower_new(&town);
        lazy = follower_new(&town);
        for (int i = 0; i < 40; i++) {
            random_commit(&town, &model, &random, 30);
            assert_ok(catch_up(&town, live, MODEL_MASK));
            if (test_random_below(&random, 5) == 0)
                assert_ok(catch_up(&town, lazy, MODEL_MASK));
        }
        assert_holds(live, &town.id, &model);
        assert_err(catch_up(&town, live, MODEL_MASK), TORG_E_KNOWN);
        if (catch_up(&town, lazy, MODEL_MASK) != TORG_E_KNOWN)
            assert_holds(lazy, &town.id, &model);
        assert_verifies(live, &town.id, "live");
        assert_verifies(lazy, &town.id, "lazy");
        assert_shadow(live, &town.id);
        assert_shadow(lazy, &town.id);
        kv_mem_free(live);
        kv_mem_free(lazy);
        town_done(&town);
    }
}

/* Apply what write says piece by piece, each piece with some of its entries and removals. */
static void apply_in_pieces(struct kv_mem *mem, const struct town_write *whole, uint64_t *random)
{
    size_t entry = 0, removal = 0;

    do {
        struct replica_write piece = whole->write;
        size_t entries = piece.entry_count - entry;
        size_t removals = piece.removed_count - removal;
        enum torg_err err;

        piece.entries += entry;
        piece.entry_count = entries ? 1 + test_random_below(random, entries) : 0;
        if (piece.removed)
            piece.removed += removal;
        piece.removed_count = removals ? 1 + test_random_below(random, removals) : 0;
        entry += piece.entry_count;
        removal += piece.removed_count;
        err = town_apply(mem, &piece, &shadow);
        if (err != TORG_E_KNOWN)
            assert_ok(err);
    } while (entry < whole->write.entry_count || removal < whole->write.removed_count);
}

static void reconcile(struct town *town, struct kv_mem *from, struct kv_mem *to, uint64_t *random)
{
    for (uint8_t c = 1; c <= COLLECTIONS; c++) {
        struct town_write write;
        struct kv source, target;

        assert_ok(kv_mem_read_begin(from, &source));
        assert_ok(kv_mem_read_begin(to, &target));
        town_part(town, &source, &target, c, &write);
        kv_mem_read_end(&source);
        kv_mem_read_end(&target);
        apply_in_pieces(to, &write, random);
        town_write_done(&write);
    }
}

/* Reconcile is what heals everything else: it must end at the head from anywhere. */
static void test_reconcile_from_divergent_states(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct replica_origin origin;
        struct model model = {0};
        uint64_t random = seed;
        struct kv_mem *follower;
        struct town town;

        town_init(&town, seed);
        follower = follower_new(&town);
        for (int round = 0; round < 6; round++) {
            for (int i = 0; i < 5; i++) {
                random_commit(&town, &model, &random, 60);
                if (test_random_below(&random, 3) == 0)
                    (void)catch_up(&town, follower, MODEL_MASK);
            }
            reconcile(&town, town.mem, follower, &random);
            assert_holds(follower, &town.id, &model);
            assert_verifies(follower, &town.id, "after reconcile");
            assert_shadow(follower, &town.id);
            origin_read(follower, &town.id, &origin);
            if (origin.tombstones)
                assert_true(origin.floor_seq < origin.head.seq);
            /* From here on it follows by batches again. */
            random_commit(&town, &model, &random, 20);
            assert_ok(catch_up(&town, follower, MODEL_MASK));
        }
        kv_mem_free(follower);
        town_done(&town);
    }
}

/* A write refused with err must leave the store byte for byte as it was. */
static void assert_refused(struct kv_mem *mem, const struct replica_write *write, enum torg_err err)
{
    struct buffer before = {0}, after = {0};
    struct kv kv;

    dump(mem, &before);
    assert_ok(kv_mem_write_begin(mem, &kv));
    assert_err(replica_apply(&kv, write, &shadow), err);
    assert_ok(kv_mem_write_commit(&kv)); /* Others' writes may share the transaction. */
    dump(mem, &after);
    assert_true(span_equal(buffer_span(&before), buffer_span(&after)));
    buffer_done(&before);
    buffer_done(&after);
}

/* The write that would bring mem up to the town's newest head. */
static void next_write(struct town *town, struct kv_mem *mem, struct town_write *ret_write)
{
    struct replica_origin origin;
    struct kv kv;

    origin_read(mem, &town->id, &origin);
    assert_ok(kv_mem_read_begin(town->mem, &kv));
    town_delta(town, &kv, origin.has_head ? origin.head.seq : 0, MODEL_MASK, ret_write);
    kv_mem_read_end(&kv);
}

/* A relay that could slip in one wrong entry would own every node behind it. */
static void test_refused_commits_change_nothing(void **state)
{
    struct model model = {0};
    struct replica_write bad;
    struct replica_entry *entries, swap;
    struct town_write write;
    struct kv_mem *mem;
    struct town town;
    uint64_t random = 3;

    (void)state;
    town_init(&town, 3);
    mem = follower_new(&town);
    random_commit(&town, &model, &random, 60);
    assert_ok(catch_up(&town, mem, MODEL_MASK));
    random_commit(&town, &model, &random, 60);
    random_commit(&town, &model, &random, 60);
    next_write(&town, mem, &write);
    entries = write.entries;
    assert_true(write.write.entry_count > 3);

    bad = write.write; /* One entry short. */
    bad.entry_count--;
    assert_refused(mem, &bad, TORG_E_MISMATCH);
    bad = write.write;
    bad.entries++;
    bad.entry_count--;
    assert_refused(mem, &bad, TORG_E_MISMATCH);
    bad.entry_count = 0;
    assert_refused(mem, &bad, TORG_E_MISMATCH);

    bad = write.write; /* Of a collection that is not subscribed. */
    bad.mask = 0xc;
    assert_refused(mem, &bad, TORG_E_INVALID);
    bad.mask = MODEL_MASK | 0x10; /* Not held and empty: nothing to prove. */
    bad.head.signature.bytes[3] ^= 1;
    assert_refused(mem, &bad, TORG_E_SIGNATURE);

    swap = entries[0]; /* Not ascending. */
    entries[0] = entries[1];
    entries[1] = swap;
    assert_refused(mem, &write.write, TORG_E_INVALID);
    entries[1] = entries[0]; /* Twice. */
    entries[0] = swap;
    swap = entries[1];
    entries[1] = entries[0];
    entries[1].header.seq++;
    assert_refused(mem, &write.write, TORG_E_INVALID);
    entries[1] = swap;
    swap = entries[0];
    entries[0].header.seq = 1; /* At or below what is held, and beyond the head. */
    assert_refused(mem, &write.write, TORG_E_INVALID);
    entries[0] = swap;
    swap = entries[write.write.entry_count - 1];
    entries[write.write.entry_count - 1].header.seq += 1000;
    assert_refused(mem, &write.write, TORG_E_INVALID);
    entries[write.write.entry_count - 1] = swap;

    bad = write.write; /* Another origin, which is not known here. */
    bad.origin.bytes[0] ^= 1;
    assert_refused(mem, &bad, TORG_E_GAP);

    assert_ok(town_apply(mem, &write.write, &shadow));
    assert_holds(mem, &town.id, &model);
    assert_refused(mem, &write.write, TORG_E_KNOWN);
    town_write_done(&write);
    kv_mem_free(mem);
    town_done(&town);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_local_commits_agree_with_a_model),
        cmocka_unit_test(test_replay_in_any_grouping),
        cmocka_unit_test(test_reconcile_from_divergent_states),
        cmocka_unit_test(test_refused_commits_change_nothing),
    };

    assert_int_equal(seal_init(), TORG_OK);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
