/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdlib.h>

#include "protocol/profile.h"
#include "tests/support/follower.h"
#include "tests/support/test.h"

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
            model_commit(&town, &model, &random, 40);
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
            model_commit(&town, &model, &random, 30);
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
                model_commit(&town, &model, &random, 60);
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
            model_commit(&town, &model, &random, 20);
            assert_ok(catch_up(&town, follower, MODEL_MASK));
        }
        kv_mem_free(follower);
        town_done(&town);
    }
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
    model_commit(&town, &model, &random, 60);
    assert_ok(catch_up(&town, mem, MODEL_MASK));
    model_commit(&town, &model, &random, 60);
    model_commit(&town, &model, &random, 60);
    next_write(&town, town.mem, mem, MODEL_MASK, &write);
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

/* A peer that shows an old state must not bring back what was deleted since. */
static void test_old_heads_are_refused(void **state)
{
    struct model model = {0};
    struct kv_mem *mem, *past, *restarted;
    struct town_write old, part, ahead;
    struct kv from, to;
    struct town town;
    uint64_t random = 11;

    (void)state;
    town_init(&town, 11);
    mem = follower_new(&town);
    model_commit(&town, &model, &random, 60);
    assert_ok(kv_mem_clone(town.mem, &past));
    next_write(&town, past, mem, MODEL_MASK, &old);
    model_commit(&town, &model, &random, 60);
    model_commit(&town, &model, &random, 60);
    next_write(&town, town.mem, mem, MODEL_MASK, &ahead);

    /* Only a piece of one collection is taken under the newest head; then a restart. */
    ahead.write.kind = REPLICA_WRITE_PART;
    ahead.write.collection = 1;
    ahead.write.entry_count = 0;
    assert_ok(town_apply(mem, &ahead.write, &shadow));
    assert_ok(kv_mem_clone(mem, &restarted));
    assert_refused(restarted, &old.write, TORG_E_STALE);
    assert_ok(kv_mem_read_begin(past, &from));
    assert_ok(kv_mem_read_begin(restarted, &to));
    town_part(&town, &from, &to, 1, &part);
    kv_mem_read_end(&from);
    kv_mem_read_end(&to);
    assert_refused(restarted, &part.write, TORG_E_STALE);
    /* The same head again, with nothing: not an error to be blamed for. */
    assert_refused(restarted, &ahead.write, TORG_E_KNOWN);
    reconcile(&town, town.mem, restarted, &random);
    assert_holds(restarted, &town.id, &model);

    town_write_done(&old);
    town_write_done(&part);
    town_write_done(&ahead);
    kv_mem_free(restarted);
    kv_mem_free(past);
    kv_mem_free(mem);
    town_done(&town);
}

/* A PART may not bring in what no honest trie holds. */
static void test_refused_parts_change_nothing(void **state)
{
    struct model model = {0};
    struct listing_key twice[2];
    struct replica_write bad;
    struct replica_entry *entry;
    struct town_write part;
    struct kv_mem *mem;
    struct kv from, to;
    struct town town;
    uint64_t random = 12;

    (void)state;
    town_init(&town, 12);
    mem = follower_new(&town);
    for (int i = 0; i < 4; i++)
        model_commit(&town, &model, &random, 60);
    assert_ok(kv_mem_read_begin(town.mem, &from));
    assert_ok(kv_mem_read_begin(mem, &to));
    town_part(&town, &from, &to, 2, &part);
    kv_mem_read_end(&from);
    kv_mem_read_end(&to);
    entry = &part.entries[1];

    bad = part.write;
    bad.collection = 3;
    assert_refused(mem, &bad, TORG_E_INVALID);
    bad.collection = 0;
    assert_refused(mem, &bad, TORG_E_INVALID);
    bad.collection = 32;
    assert_refused(mem, &bad, TORG_E_INVALID);
    bad = part.write;
    bad.head.signature.bytes[0] ^= 1;
    assert_refused(mem, &bad, TORG_E_SIGNATURE);
    bad = part.write; /* The same listing twice, put and taken away. */
    bad.removed = &entry->key;
    bad.removed_count = 1;
    assert_refused(mem, &bad, TORG_E_INVALID);
    bad.entry_count = 0;
    twice[0] = twice[1] = entry->key;
    bad.removed = twice;
    bad.removed_count = 2;
    assert_refused(mem, &bad, TORG_E_INVALID);
    entry->header.seq += 100000; /* Above the head. */
    assert_refused(mem, &part.write, TORG_E_INVALID);
    entry->header.seq -= 100000;
    entry->header.op = CHANGE_DELETE;
    assert_refused(mem, &part.write, TORG_E_INVALID);
    entry->header.op = CHANGE_UPSERT;
    assert_ok(town_apply(mem, &part.write, &shadow));
    assert_verifies(mem, &town.id, "after the part");
    town_write_done(&part);
    kv_mem_free(mem);
    town_done(&town);
}

static struct local_change change_of(uint8_t collection, unsigned i, const char *payload)
{
    return (struct local_change){
        .collection = collection, .id = model_id(i), .payload = span_of_str(payload)};
}

static void commit(struct town *town, uint8_t collection, unsigned i, const char *payload)
{
    struct local_change change = change_of(collection, i, payload);

    assert_ok(town_commit(town, &change, 1));
}

struct seen {
    size_t live, tombstones;
    uint64_t last;
};

static bool see(void *context, const struct listing_key *key, struct span header_bytes)
{
    struct seen *seen = context;
    struct change_header header;
    struct listing_key own;

    assert_ok(change_header_parse(header_bytes, &header));
    own = listing_key_of(&header.id);
    assert_memory_equal(&own, key, sizeof(own));
    assert_true(header.seq > seen->last);
    seen->last = header.seq;
    seen->live += header.op == CHANGE_UPSERT;
    seen->tombstones += header.op == CHANGE_DELETE;
    return true;
}

static void assert_changes(struct kv_mem *mem, const struct town *town, uint64_t since, size_t live,
                           size_t tombstones)
{
    struct replica_origin origin;
    struct seen seen = {.last = since};
    struct kv kv;

    assert_ok(kv_mem_read_begin(mem, &kv));
    assert_ok(replica_origin_get(&kv, &town->id, &origin));
    assert_ok(replica_changes_since(&kv, origin.number, since, see, &seen));
    assert_int_equal(seen.live, live);
    assert_int_equal(seen.tombstones, tombstones);
    kv_mem_read_end(&kv);
}

/* A lost tombstone only costs a reconcile; a stale one beside its listing breaks every delta. */
static void test_one_log_row_for_each_listing(void **state)
{
    struct replica_origin origin;
    struct kv_mem *mem;
    struct town town;
    uint64_t random = 1;

    (void)state;
    town_init(&town, 13);
    mem = follower_new(&town);
    commit(&town, 1, 1, "one");      /* seq 1 */
    commit(&town, 1, 2, "two");      /* 2 */
    commit(&town, 2, 1, "the same"); /* 3: another collection, the same id */
    assert_ok(catch_up(&town, mem, MODEL_MASK));
    /* The first head that came had a past which did not come: nothing is served from before it. */
    origin_read(mem, &town.id, &origin);
    assert_int_equal(origin.floor_seq, 3);
    assert_changes(mem, &town, 0, 0, 0);
    commit(&town, 1, 1, ""); /* 4 */
    assert_ok(catch_up(&town, mem, MODEL_MASK));
    assert_changes(mem, &town, 3, 0, 1);
    commit(&town, 1, 1, ""); /* Nothing to delete: an empty commit. */
    assert_ok(catch_up(&town, mem, MODEL_MASK));
    assert_changes(mem, &town, 3, 0, 1);
    commit(&town, 1, 1, "again"); /* 5 */
    commit(&town, 1, 1, "");      /* 6 */
    commit(&town, 1, 3, "three"); /* 7 */
    assert_ok(catch_up(&town, mem, MODEL_MASK));
    assert_changes(mem, &town, 3, 1, 1);
    assert_changes(mem, &town, 4, 1, 1);
    assert_changes(town.mem, &town, 4, 1, 1);
    origin_read(mem, &town.id, &origin);
    assert_int_equal(origin.tombstones, 1);
    assert_verifies(mem, &town.id, "tombstones");
    /* A follower of the follower gets the tombstone, also of what it never held. */
    commit(&town, 2, 1, "");    /* 8 */
    commit(&town, 1, 2, "new"); /* 9 */
    reconcile(&town, town.mem, mem, &random);
    assert_changes(mem, &town, 0, 0, 0);
    origin_read(mem, &town.id, &origin);
    assert_int_equal(origin.tombstones, 0);
    assert_int_equal(origin.floor_seq, 9);
    assert_verifies(mem, &town.id, "after reconcile");
    kv_mem_free(mem);
    town_done(&town);
}

/* Rows of live listings in the log. */
static size_t log_rows(struct kv_mem *mem, const struct town *town)
{
    uint8_t range[5] = {0};
    struct replica_origin origin;
    struct kv_cursor *cursor;
    struct span key, value;
    size_t rows = 0;
    enum torg_err err;
    struct kv kv;

    assert_ok(kv_mem_read_begin(mem, &kv));
    assert_ok(replica_origin_get(&kv, &town->id, &origin));
    put_u32be(range, origin.number);
    assert_ok(kv_cursor_open(&kv, KV_BYSEQ, &cursor));
    err = kv_cursor_seek(&kv, cursor, span_of(range, sizeof(range)), &key, &value);
    for (; !err && memcmp(key.data, range, sizeof(range)) == 0; rows++)
        err = kv_cursor_next(&kv, cursor, &key, &value);
    assert_true(err == TORG_OK || err == TORG_E_NOT_FOUND);
    kv_cursor_close(&kv, cursor);
    kv_mem_read_end(&kv);
    return rows;
}

/* What stayed behind below a floor that rose must not come out in a delta, nor stay for ever. */
static void test_log_below_the_floor(void **state)
{
    enum { COUNT = 200 };
    struct replica_origin origin;
    struct kv_mem *mem;
    struct town town;
    uint64_t random = 1, floor;

    (void)state;
    town_init(&town, 17);
    mem = follower_new(&town);
    for (unsigned i = 0; i < COUNT; i++) {
        commit(&town, 1, i, "new");
        assert_ok(catch_up(&town, mem, MODEL_MASK));
    }
    assert_int_equal(log_rows(mem, &town), COUNT);
    commit(&town, 1, 0, "passed over"); /* a row of an older version stays behind */
    commit(&town, 1, 1, "");            /* and one of a listing that is gone */
    commit(&town, 1, COUNT - 1, "passed over, too");
    reconcile(&town, town.mem, mem, &random);
    origin_read(mem, &town.id, &origin);
    floor = origin.floor_seq;
    assert_int_equal(floor, origin.head.seq);
    assert_true(log_rows(mem, &town) > 0); /* else this says nothing */
    assert_changes(mem, &town, floor, 0, 0);
    assert_verifies(mem, &town.id, "with rows below the floor");
    commit(&town, 1, COUNT - 1, "again");
    commit(&town, 1, COUNT - 2, "");
    commit(&town, 1, 1, "back");
    assert_ok(catch_up(&town, mem, MODEL_MASK));
    assert_changes(mem, &town, floor, 2, 1);
    assert_changes(town.mem, &town, floor, 2, 1);
    assert_verifies(mem, &town.id, "changed above the floor");
    for (unsigned i = 0; i < 4; i++) {
        commit(&town, 1, i, "once more");
        assert_ok(catch_up(&town, mem, MODEL_MASK));
    }
    assert_int_equal(log_rows(mem, &town), 5); /* listing 1 was changed twice */
    assert_verifies(mem, &town.id, "all went");
    kv_mem_free(mem);
    town_done(&town);
}

/* Node C behind node B: what B serves from its own tables is what the origin would. */
static void test_deltas_from_a_relay(void **state)
{
    (void)state;
    for (uint64_t seed = 20; seed < 26; seed++) {
        struct replica_origin relay_state, leaf_state;
        struct model model = {0};
        struct kv_mem *relay, *leaf;
        struct town_write write;
        struct town town;
        uint64_t random = seed;

        town_init(&town, seed);
        relay = follower_new(&town);
        leaf = follower_new(&town);
        for (int i = 0; i < 60; i++) {
            enum torg_err err;

            model_commit(&town, &model, &random, 15);
            if (test_random_below(&random, 12) == 0)
                reconcile(&town, town.mem, relay, &random);
            else
                assert_ok(catch_up(&town, relay, MODEL_MASK));
            if (test_random_below(&random, 3))
                continue;
            next_write(&town, relay, leaf, MODEL_MASK, &write);
            err = town_apply(leaf, &write.write, &shadow);
            town_write_done(&write);
            origin_read(relay, &town.id, &relay_state);
            origin_read(leaf, &town.id, &leaf_state);
            /* What the floor allows must come out; below it, it may not. */
            if (leaf_state.head.hno != relay_state.head.hno) {
                assert_int_equal(err, TORG_E_MISMATCH);
                assert_true(leaf_state.head.seq < relay_state.floor_seq);
                reconcile(&town, relay, leaf, &random);
            }
            assert_holds(leaf, &town.id, &model);
        }
        assert_verifies(relay, &town.id, "relay");
        assert_verifies(leaf, &town.id, "leaf");
        assert_shadow(leaf, &town.id);
        kv_mem_free(relay);
        kv_mem_free(leaf);
        town_done(&town);
    }
}

/* Payloads that a relay lacks must neither hold the state up nor be counted twice. */
static void test_missing_payloads(void **state)
{
    struct replica_origin origin;
    struct model model = {0};
    struct replica_write bad;
    struct town_write write;
    struct kv_mem *mem;
    struct town town;
    uint64_t random = 30;
    uint32_t missing = 0;

    (void)state;
    town_init(&town, 30);
    mem = follower_new(&town);
    for (int i = 0; i < 3; i++)
        model_commit(&town, &model, &random, 60);
    next_write(&town, town.mem, mem, MODEL_MASK, &write);
    for (size_t i = 0; i < write.write.entry_count; i++) {
        if (i % 3 == 0)
            write.entries[i].payload = (struct span){0};
    }
    assert_ok(town_apply(mem, &write.write, &shadow));
    town_write_done(&write);
    origin_read(mem, &town.id, &origin);
    for (unsigned c = 1; c < COLLECTIONS_MAX; c++)
        missing += origin.missing[c];
    assert_true(missing > 0);
    assert_int_equal(replica_complete_mask(&origin, MODEL_MASK), MODEL_MASK);
    assert_verifies(mem, &town.id, "while payloads are missing");

    /* Some of them go or change meanwhile, others come. */
    model_commit(&town, &model, &random, 60);
    assert_ok(catch_up(&town, mem, MODEL_MASK));
    assert_verifies(mem, &town.id, "after changes of missing ones");
    next_write(&town, town.mem, mem, MODEL_MASK, &write); /* Under the same head: nothing. */
    assert_refused(mem, &write.write, TORG_E_KNOWN);
    town_write_done(&write);
    {
        struct kv kv;

        assert_ok(kv_mem_read_begin(town.mem, &kv));
        town_delta(&town, &kv, 0, MODEL_MASK, &write);
        kv_mem_read_end(&kv);
    }
    write.write.kind = REPLICA_WRITE_PAYLOADS;
    bad = write.write;
    bad.entry_count = 0;
    assert_refused(mem, &bad, TORG_E_KNOWN);
    assert_ok(town_apply(mem, &write.write, &shadow));
    assert_holds(mem, &town.id, &model);
    assert_refused(mem, &write.write, TORG_E_KNOWN);
    assert_verifies(mem, &town.id, "when all are there");
    assert_shadow(mem, &town.id);
    town_write_done(&write);
    kv_mem_free(mem);
    town_done(&town);
}

/* A wrong payload under a right header would be shown as the origin's word. */
static void test_entries_are_checked_against_their_payload(void **state)
{
    static const uint8_t payload[] = "payload";
    struct change_header header = {.seq = 7,
                                   .collection = 2,
                                   .id = model_id(1),
                                   .op = CHANGE_UPSERT,
                                   .payload_size = sizeof(payload),
                                   .payload_hash = payload_hash(span_of(payload, sizeof(payload)))};
    struct listing_key key = listing_key_of(&header.id);
    struct replica_entry entry;
    struct buffer bytes = {0};

    (void)state;
    change_header_pack(&header, &bytes);
    assert_ok(replica_entry_read(buffer_span(&bytes), span_of(payload, sizeof(payload)), &entry));
    assert_memory_equal(&entry.key, &key, sizeof(key));
    assert_ok(replica_entry_read(buffer_span(&bytes), (struct span){0}, &entry));
    assert_err(replica_entry_read(buffer_span(&bytes), span_of(payload, 3), &entry),
               TORG_E_MISMATCH);
    assert_err(replica_entry_read(buffer_span(&bytes), span_of("PAYLOAD", 8), &entry),
               TORG_E_MISMATCH);
    assert_err(replica_entry_read(span_of(bytes.data, bytes.size - 1), (struct span){0}, &entry),
               TORG_E_TRUNCATED);
    buffer_clear(&bytes);
    header =
        (struct change_header){.seq = 8, .collection = 2, .id = header.id, .op = CHANGE_DELETE};
    change_header_pack(&header, &bytes);
    assert_ok(replica_entry_read(buffer_span(&bytes), (struct span){0}, &entry));
    assert_err(replica_entry_read(buffer_span(&bytes), span_of(payload, 3), &entry),
               TORG_E_MISMATCH);
    buffer_done(&bytes);
}

/* ---- the own origin ---- */

static enum torg_err try_commit(struct town *town, const struct local_change *changes, size_t count)
{
    struct buffer before = {0}, after = {0}, head = {0};
    struct kv kv;
    enum torg_err err;

    dump(town->mem, &before);
    assert_ok(kv_mem_write_begin(town->mem, &kv));
    err = replica_commit_local(&kv, &town->id, &town->signer, changes, count, town->now_ms, NULL,
                               &head);
    assert_int_equal(head.size, 0);
    assert_ok(kv_mem_write_commit(&kv));
    dump(town->mem, &after);
    assert_true(span_equal(buffer_span(&before), buffer_span(&after)));
    buffer_done(&before);
    buffer_done(&after);
    buffer_done(&head);
    return err;
}

/* What the own node signs by mistake is signed for ever. */
static void test_local_commits_that_are_refused(void **state)
{
    static uint8_t big[PAYLOAD_BYTES_MAX + 1];
    static struct local_change many[COMMIT_CHANGES_MAX + 1];
    struct local_change changes[2];
    struct town town, stranger;
    struct replica_signer signer;

    (void)state;
    town_init(&town, 40);
    town_init(&stranger, 41);
    commit(&town, 1, 1, "one");
    changes[0] = change_of(0, 1, "x");
    assert_err(try_commit(&town, changes, 1), TORG_E_INVALID);
    changes[0] = change_of(32, 1, "x");
    assert_err(try_commit(&town, changes, 1), TORG_E_INVALID);
    changes[0] = change_of(20, 1, "x"); /* A collection that the charter does not name. */
    assert_err(try_commit(&town, changes, 1), TORG_E_INVALID);
    changes[0] = change_of(1, 1, "x");
    changes[1] = change_of(1, 1, "");
    assert_err(try_commit(&town, changes, 2), TORG_E_INVALID);
    changes[0] = change_of(1, 5, ""); /* Absent, but still twice. */
    changes[1] = change_of(1, 5, "");
    assert_err(try_commit(&town, changes, 2), TORG_E_INVALID);
    changes[0].payload = span_of(big, sizeof(big));
    assert_err(try_commit(&town, changes, 1), TORG_E_INVALID);
    for (unsigned i = 0; i < ARRAY_SIZE(many); i++)
        many[i] = change_of(1, i, "x");
    assert_err(try_commit(&town, many, ARRAY_SIZE(many)), TORG_E_INVALID);
    signer = town.signer;
    town.signer = stranger.signer; /* Another key under the same number. */
    assert_err(try_commit(&town, many, 1), TORG_E_SIGNATURE);
    town.signer = signer;
    town.signer.key_no = 9;
    assert_err(try_commit(&town, many, 1), TORG_E_SIGNATURE);
    town.signer = signer;
    assert_ok(town_commit(&town, many, COMMIT_CHANGES_MAX));
    assert_verifies(town.mem, &town.id, "after the largest commit");
    town_done(&town);
    town_done(&stranger);
}

/* The clock went back, and the next commit is older than the last: time stands, almost. */
static void test_time_never_goes_back(void **state)
{
    struct replica_origin before, after;
    struct town town;

    (void)state;
    town_init(&town, 42);
    commit(&town, 1, 1, "one");
    origin_read(town.mem, &town.id, &before);
    town.now_ms -= 86400000;
    commit(&town, 1, 1, "two");
    origin_read(town.mem, &town.id, &after);
    assert_int_equal(after.head.ts_ms, before.head.ts_ms + 1);
    assert_int_equal(after.head.hno, 2);
    assert_memory_equal(&after.head.prev, &before.head_hash, sizeof(struct hash));
    town_done(&town);
}

/* The own node lost its database and has its state back from peers; it must go on by the rules. */
static void test_recovered_origin_goes_on(void **state)
{
    struct replica_origin origin;
    struct model model = {0};
    struct span ancestry[64];
    struct replica_write write = {.kind = REPLICA_WRITE_ANCESTRY};
    struct kv_mem *recovered, *lost;
    struct kv kv;
    struct town town;
    uint64_t random = 43;
    uint64_t hno;

    (void)state;
    town_init(&town, 43);
    for (int i = 0; i < 12; i++)
        model_commit(&town, &model, &random, 20);
    recovered = follower_new(&town);
    kv_mem_strict(recovered, false);
    /* Half a state must not be signed. */
    {
        struct town_write part;
        struct kv to;

        assert_ok(kv_mem_read_begin(town.mem, &kv));
        assert_ok(kv_mem_read_begin(recovered, &to));
        town_part(&town, &kv, &to, 1, &part);
        kv_mem_read_end(&kv);
        kv_mem_read_end(&to);
        part.write.entry_count--;
        assert_ok(town_apply(recovered, &part.write, &shadow));
        town_write_done(&part);
    }
    lost = town.mem;
    town.mem = recovered;
    assert_err(try_commit(&town, NULL, 0), TORG_E_RECOVERING);
    reconcile(&town, lost, recovered, &random);
    /* hno 13 is next; it names jump(13) = 12's prev, or a head that is not here. */
    assert_err(try_commit(&town, NULL, 0), head_jump(13) == 12 ? TORG_OK : TORG_E_GAP);

    assert_ok(kv_mem_read_begin(lost, &kv));
    assert_ok(replica_origin_get(&kv, &town.id, &origin));
    write.origin = town.id;
    write.ancestry = ancestry;
    for (hno = head_jump(origin.head.hno); hno; hno = head_jump(hno)) {
        struct profile_reader in;
        struct span value;

        assert_ok(replica_head_get(&kv, origin.number, 1, hno, &value));
        in = profile_reader_of(value);
        ancestry[write.ancestry_count++] = signed_read(&in, HEAD_BYTES_MAX).bytes;
    }
    write.ancestry++;
    write.ancestry_count--;
    assert_refused(recovered, &write, TORG_E_MISMATCH); /* A hole in the path. */
    write.ancestry--;
    write.ancestry_count++;
    assert_ok(town_apply(recovered, &write, NULL));
    assert_refused(recovered, &write, TORG_E_KNOWN);
    kv_mem_read_end(&kv);
    for (int i = 0; i < 20; i++)
        model_commit(&town, &model, &random, 10);
    assert_holds(recovered, &town.id, &model);
    assert_verifies(recovered, &town.id, "recovered");
    kv_mem_free(lost);
    town_done(&town);
}

/* ---- storage that fails ---- */

/* A full disk in the middle must come out as it is, and leave nothing behind. */
static void test_storage_errors_come_back(void **state)
{
    static const enum torg_err faults[] = {TORG_E_FULL, TORG_E_IO};
    struct model model = {0};
    struct buffer before = {0}, after = {0};
    struct town_write write;
    struct kv_mem *mem;
    struct town town;
    uint64_t random = 50, operations;

    (void)state;
    town_init(&town, 50);
    mem = follower_new(&town);
    for (int i = 0; i < 3; i++)
        model_commit(&town, &model, &random, 60);
    assert_ok(catch_up(&town, mem, MODEL_MASK));
    for (int i = 0; i < 3; i++)
        model_commit(&town, &model, &random, 60);
    next_write(&town, town.mem, mem, MODEL_MASK, &write);
    {
        struct kv_mem *probe;

        assert_ok(kv_mem_clone(mem, &probe));
        operations = kv_mem_operations(probe);
        assert_ok(town_apply(probe, &write.write, &shadow));
        operations = kv_mem_operations(probe) - operations;
        kv_mem_free(probe);
    }
    assert_true(operations > 100);
    dump(mem, &before);
    for (uint64_t i = 0; i < operations; i += 1 + i / 16) {
        kv_mem_fail_after(mem, i, faults[i % 2]);
        assert_err(town_apply(mem, &write.write, &shadow), faults[i % 2]);
        dump(mem, &after);
        assert_true(span_equal(buffer_span(&before), buffer_span(&after)));
    }
    kv_mem_fail_after(mem, 0, TORG_OK);
    assert_ok(town_apply(mem, &write.write, &shadow));
    assert_holds(mem, &town.id, &model);
    town_write_done(&write);
    buffer_done(&before);
    buffer_done(&after);
    kv_mem_free(mem);
    town_done(&town);
}

/* An index that refuses must not look like a refusal that left everything as it was. */
static void test_observer_errors_abort(void **state)
{
    enum torg_err refusal = TORG_E_INVALID;
    struct replica_observer refusing = {.context = &refusal, .changed = shadow_changed};
    struct model model = {0};
    struct town_write write;
    struct kv_mem *mem;
    struct town town;
    uint64_t random = 51;

    (void)state;
    town_init(&town, 51);
    mem = follower_new(&town);
    model_commit(&town, &model, &random, 60);
    next_write(&town, town.mem, mem, MODEL_MASK, &write);
    assert_err(town_apply(mem, &write.write, &refusing), TORG_E_CORRUPT);
    refusal = TORG_E_NOMEM;
    assert_err(town_apply(mem, &write.write, &refusing), TORG_E_NOMEM);
    assert_ok(town_apply(mem, &write.write, &shadow));
    town_write_done(&write);
    kv_mem_free(mem);
    town_done(&town);
}

/* ---- bounds ---- */

/* Heads of a hostile origin must not fill the disk; those of the own one must all stay. */
static void test_heads_are_pruned(void **state)
{
    struct replica_origin origin;
    struct kv_mem *mem;
    struct span head;
    struct kv kv;
    struct town town;

    (void)state;
    town_init(&town, 60);
    mem = follower_new(&town);
    for (unsigned i = 0; i < REPLICA_HEADS_KEPT + 48; i++) {
        assert_ok(town_commit(&town, NULL, 0));
        assert_ok(catch_up(&town, mem, MODEL_MASK));
    }
    origin_read(mem, &town.id, &origin);
    assert_ok(kv_mem_read_begin(mem, &kv));
    assert_ok(replica_head_get(&kv, origin.number, 1, 49, &head));
    assert_err(replica_head_get(&kv, origin.number, 1, 48, &head), TORG_E_NOT_FOUND);
    /* But not what the newest skips to: the origin may need it, if it loses all. */
    for (uint64_t hno = head_jump(origin.head.hno); hno > 0; hno = head_jump(hno))
        assert_ok(replica_head_get(&kv, origin.number, 1, hno, &head));
    kv_mem_read_end(&kv);
    assert_ok(kv_mem_read_begin(town.mem, &kv));
    assert_ok(replica_head_get(&kv, origin.number, 1, 1, &head));
    kv_mem_read_end(&kv);
    assert_verifies(mem, &town.id, "pruned");
    kv_mem_free(mem);
    town_done(&town);
}

/* A delete of what nobody holds, numbered by a hostile origin. */
static void tombstone_make(struct replica_entry *entry, uint64_t seq, uint8_t *bytes)
{
    struct change_header header = {
        .seq = seq, .collection = 1, .id = model_id((unsigned)seq), .op = CHANGE_DELETE};
    struct buffer packed = {0};

    change_header_pack(&header, &packed);
    assert_true(packed.size <= HEADER_BYTES_MAX);
    memcpy(bytes, packed.data, packed.size);
    assert_ok(replica_entry_read(span_of(bytes, packed.size), (struct span){0}, entry));
    buffer_done(&packed);
}

/* Tombstones of things that never were must not fill the disk either. */
static void test_tombstones_are_bounded(void **state)
{
    enum { EXTRA = 100, COUNT = REPLICA_TOMBSTONES_MAX + EXTRA };
    struct replica_entry *entries = calloc(COUNT, sizeof(*entries));
    uint8_t *headers = calloc(COUNT, HEADER_BYTES_MAX);
    struct replica_write write = {.kind = REPLICA_WRITE_COMMIT, .mask = MODEL_MASK};
    struct replica_origin origin;
    struct profile_reader in;
    struct buffer signed_head = {0};
    struct head head;
    struct kv_mem *mem;
    struct town town;

    (void)state;
    assert_non_null(entries);
    assert_non_null(headers);
    town_init(&town, 61);
    mem = follower_new(&town);
    kv_mem_strict(mem, false);
    commit(&town, 1, 0, "one");
    assert_ok(catch_up(&town, mem, MODEL_MASK));
    origin_read(mem, &town.id, &origin);
    head = origin.head;
    head.hno = 2;
    head.prev = head.skip = origin.head_hash;
    head.seq = COUNT + 1;
    town_sign_head(&town, &head, &signed_head);
    in = profile_reader_of(buffer_span(&signed_head));
    write.head = signed_read(&in, HEAD_BYTES_MAX);
    write.origin = town.id;
    write.entries = entries;
    write.entry_count = COUNT;
    for (size_t i = 0; i < COUNT; i++)
        tombstone_make(&entries[i], i + 2, headers + i * HEADER_BYTES_MAX);
    assert_ok(town_apply(mem, &write, &shadow));
    origin_read(mem, &town.id, &origin);
    assert_int_equal(origin.tombstones, REPLICA_TOMBSTONES_MAX);
    assert_int_equal(origin.floor_seq, EXTRA + 1);
    assert_verifies(mem, &town.id, "bounded");
    buffer_done(&signed_head);
    kv_mem_free(mem);
    town_done(&town);
    free(entries);
    free(headers);
}

/* ---- reading ---- */

static bool count_some(void *context, const struct listing_key *key, struct span header,
                       struct span payload)
{
    size_t *left = context;

    (void)key;
    (void)header;
    (void)payload;
    return --*left > 0;
}

static void test_reading_walks(void **state)
{
    struct replica_origin origin, first, second;
    struct town_write charters;
    struct listing_key key;
    struct kv_mem *mem;
    struct kv kv;
    struct town a, b;
    size_t left;

    (void)state;
    town_init(&a, 70);
    town_init(&b, 71);
    mem = follower_new(&a);
    town_charters_write(&b, &charters);
    assert_ok(town_apply(mem, &charters.write, NULL));
    town_write_done(&charters);
    for (unsigned i = 0; i < 50; i++)
        commit(&a, 1, i, "x");
    assert_ok(catch_up(&a, mem, MODEL_MASK));

    assert_ok(kv_mem_read_begin(mem, &kv));
    assert_ok(replica_origin_next(&kv, NULL, &first));
    assert_ok(replica_origin_next(&kv, &first.id, &second));
    assert_true(memcmp(&first.id, &second.id, sizeof(first.id)) < 0);
    assert_err(replica_origin_next(&kv, &second.id, &origin), TORG_E_NOT_FOUND);
    assert_ok(replica_origin_by_number(&kv, 2, &origin));
    assert_memory_equal(&origin.id, &b.id, sizeof(b.id));
    assert_err(replica_origin_by_number(&kv, 3, &origin), TORG_E_NOT_FOUND);
    assert_int_equal(replica_complete_mask(&origin, MODEL_MASK), 0);

    left = 7;
    assert_ok(replica_listings(&kv, 1, 1, NULL, count_some, &left));
    assert_int_equal(left, 0);
    memset(&key, 0xff, sizeof(key));
    left = 7;
    assert_ok(replica_listings(&kv, 1, 1, &key, count_some, &left));
    assert_int_equal(left, 7);
    kv_mem_read_end(&kv);
    kv_mem_free(mem);
    town_done(&a);
    town_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_local_commits_agree_with_a_model),
        cmocka_unit_test(test_replay_in_any_grouping),
        cmocka_unit_test(test_reconcile_from_divergent_states),
        cmocka_unit_test(test_refused_commits_change_nothing),
        cmocka_unit_test(test_old_heads_are_refused),
        cmocka_unit_test(test_refused_parts_change_nothing),
        cmocka_unit_test(test_one_log_row_for_each_listing),
        cmocka_unit_test(test_log_below_the_floor),
        cmocka_unit_test(test_deltas_from_a_relay),
        cmocka_unit_test(test_missing_payloads),
        cmocka_unit_test(test_entries_are_checked_against_their_payload),
        cmocka_unit_test(test_local_commits_that_are_refused),
        cmocka_unit_test(test_time_never_goes_back),
        cmocka_unit_test(test_recovered_origin_goes_on),
        cmocka_unit_test(test_storage_errors_come_back),
        cmocka_unit_test(test_observer_errors_abort),
        cmocka_unit_test(test_heads_are_pruned),
        cmocka_unit_test(test_tombstones_are_bounded),
        cmocka_unit_test(test_reading_walks),
    };

    assert_int_equal(seal_init(), TORG_OK);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
