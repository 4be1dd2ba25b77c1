/* SPDX-License-Identifier: EUPL-1.2 */

#include "tests/support/follower.h"
#include "tests/support/test.h"

#define MANY (REPLICA_DROP_LISTINGS_MAX + 100)
#define BIT(collection) (UINT32_C(1) << (collection))

static void commit_many(struct town *town, uint8_t collection, unsigned count)
{
    struct local_change *changes = test_calloc(count, sizeof(*changes));
    static const uint8_t payload[8] = {1, 2, 3};

    for (unsigned i = 0; i < count; i++) {
        changes[i] = (struct local_change){.collection = collection,
                                           .payload = span_of(payload, sizeof(payload))};
        put_u32be(changes[i].id.bytes, i + 1);
        changes[i].id.bytes[15] = collection;
    }
    for (unsigned i = 0; i < count; i += 1000)
        assert_ok(town_commit(town, changes + i, count - i < 1000 ? count - i : 1000));
    test_free(changes);
}

/* The first listing of a collection is deleted: a tombstone stays. */
static void commit_delete(struct town *town, uint8_t collection)
{
    struct local_change change = {.collection = collection};

    put_u32be(change.id.bytes, 1);
    change.id.bytes[15] = collection;
    assert_ok(town_commit(town, &change, 1));
}

/*
 * A dropped collection must leave nothing behind: not in the index, not in the
 * log, no tombstone; what stays must be whole and go on.
 */
static void test_drop(void **state)
{
    struct replica_write write = {.kind = REPLICA_WRITE_DROP, .mask = BIT(2) | BIT(1)};
    struct replica_origin origin;
    struct town town;
    struct kv_mem *mem;

    (void)state;
    town_init(&town, 7);
    mem = follower_new(&town);
    write.origin = town.id;
    commit_many(&town, 2, MANY);
    commit_many(&town, 3, 10);
    assert_ok(catch_up(&town, mem, MODEL_MASK));
    commit_delete(&town, 2);
    commit_delete(&town, 3);
    assert_ok(catch_up(&town, mem, MODEL_MASK));
    origin_read(mem, &town.id, &origin);
    assert_int_equal(origin.tombstones, 2);

    /* No more than a stretch goes in one transaction. */
    assert_ok(town_apply(mem, &write, &shadow));
    origin_read(mem, &town.id, &origin);
    assert_int_equal(origin.held[2].count, MANY - 1 - REPLICA_DROP_LISTINGS_MAX);
    assert_int_equal(replica_complete_mask(&origin, MODEL_MASK), BIT(1) | BIT(3));
    assert_shadow(mem, &town.id);
    assert_verifies(mem, &town.id, "half dropped");
    assert_ok(town_apply(mem, &write, &shadow));
    origin_read(mem, &town.id, &origin);
    assert_int_equal(origin.held[2].count, 0);
    assert_int_equal(origin.held[3].count, 9);
    assert_int_equal(origin.tombstones, 0);
    assert_int_equal(origin.floor_seq, origin.head.seq);
    assert_shadow(mem, &town.id);
    assert_verifies(mem, &town.id, "dropped");
    assert_refused(mem, &write, TORG_E_KNOWN);

    /* What stays goes on without it. */
    commit_many(&town, 3, 20);
    commit_many(&town, 2, 5);
    assert_ok(catch_up(&town, mem, BIT(3)));
    origin_read(mem, &town.id, &origin);
    assert_int_equal(origin.held[3].count, 20);
    assert_int_equal(origin.held[2].count, 0);
    assert_verifies(mem, &town.id, "gone on");
    kv_mem_free(mem);
    town_done(&town);
}

/* What nobody else holds is not dropped by whatever mistake. */
static void test_the_own_origin_stays(void **state)
{
    struct replica_write write = {.kind = REPLICA_WRITE_DROP, .mask = COLLECTION_MASK_ALL};
    struct town town, stranger;

    (void)state;
    town_init(&town, 8);
    town_init(&stranger, 9);
    commit_many(&town, 2, 3);
    write.origin = town.id;
    assert_refused(town.mem, &write, TORG_E_INVALID);
    write.origin = stranger.id;
    assert_refused(town.mem, &write, TORG_E_GAP);
    town_done(&town);
    town_done(&stranger);
}

static enum torg_err count_told(void *context, struct kv *kv, const struct replica_origin *origin,
                                uint8_t collection, const struct listing_key *key,
                                const struct replica_entry *entry)
{
    unsigned *told = context;

    (void)kv;
    (void)key;
    assert_int_equal(collection, 2);
    assert_int_equal(origin->held[2].count, MANY);
    assert_int_equal(entry->payload.size, 8);
    ++*told;
    return TORG_OK;
}

/* Whoever shows listings must hear when a charter takes them back from everybody, or gives them. */
static void test_a_charter_says_who_may_see(void **state)
{
    static const uint32_t wishes[] = {BIT(2), BIT(2) | BIT(5), 0};
    static const unsigned expected[] = {MANY, 0, MANY};
    unsigned told = 0;
    struct replica_observer observer = {.context = &told, .changed = count_told};
    struct replica_origin origin;
    struct town town;
    struct kv_mem *mem;

    (void)state;
    town_init(&town, 11);
    mem = follower_new(&town);
    commit_many(&town, 2, MANY);
    assert_ok(catch_up(&town, mem, MODEL_MASK));
    for (size_t i = 0; i < ARRAY_SIZE(wishes); i++) {
        struct town_write write;
        uint32_t mask;
        struct kv kv;

        town.members_only = wishes[i];
        town_rotate(&town, false);
        town_charters_write(&town, &write);
        told = 0;
        assert_ok(town_apply(mem, &write.write, &observer));
        town_write_done(&write);
        assert_int_equal(told, expected[i]);
        origin_read(mem, &town.id, &origin);
        assert_ok(kv_mem_read_begin(mem, &kv));
        assert_ok(replica_public_mask(&kv, &origin, &mask));
        kv_mem_read_end(&kv);
        assert_int_equal(mask & (BIT(2) | BIT(5)), (BIT(2) | BIT(5)) & ~wishes[i]);
    }
    kv_mem_free(mem);
    town_done(&town);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drop),
        cmocka_unit_test(test_the_own_origin_stays),
        cmocka_unit_test(test_a_charter_says_who_may_see),
    };

    if (seal_init())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
