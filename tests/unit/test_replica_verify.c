/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/follower.h"
#include "tests/support/test.h"

/* What verify said, and what it should say. */
struct findings {
    const char *wanted;
    size_t count;
    bool found;
    char first[512];
};

static void report_note(void *context, const char *what)
{
    struct findings *findings = context;

    if (findings->count++ == 0)
        snprintf(findings->first, sizeof(findings->first), "%s", what);
    if (findings->wanted && strstr(what, findings->wanted))
        findings->found = true;
}

/* A town with heads, tombstones, inner trie nodes, a beat, a rotation and a missing payload. */
static void damage_town_init(struct town *town)
{
    static struct local_change changes[200];
    struct buffer beat = {0};
    struct kv kv;

    town_init(town, 200);
    for (unsigned i = 0; i < ARRAY_SIZE(changes); i++)
        changes[i] = (struct local_change){
            .collection = 2, .id = model_id(i), .payload = span_of_str("payload")};
    assert_ok(town_commit(town, changes, ARRAY_SIZE(changes)));
    for (unsigned i = 0; i < 10; i++)
        changes[i].payload = (struct span){0};
    assert_ok(town_commit(town, changes, 10));
    town_rotate(town, false);
    assert_ok(town_commit(town, NULL, 0));
    assert_ok(town_commit(town, changes + 100, 5));
    assert_ok(kv_mem_write_begin(town->mem, &kv));
    assert_ok(replica_beat_local(&kv, &town->id, &town->signer, 1, 0, town->now_ms, &beat));
    assert_ok(kv_mem_write_commit(&kv));
    buffer_done(&beat);
    assert_verifies(town->mem, &town->id, "before any damage");
}

/* Row number `at` of a table, copied. */
struct row {
    struct buffer key, value;
};

static bool row_find(const struct kv *kv, enum kv_table table, struct span from, size_t at,
                     struct row *ret_row)
{
    struct kv_cursor *cursor;
    struct span key, value;
    enum torg_err err;

    *ret_row = (struct row){0};
    assert_ok(kv_cursor_open(kv, table, &cursor));
    err = kv_cursor_seek(kv, cursor, from, &key, &value);
    while (!err && at--)
        err = kv_cursor_next(kv, cursor, &key, &value);
    if (!err) {
        buffer_put_span(&ret_row->key, key);
        buffer_put_span(&ret_row->value, value);
    }
    kv_cursor_close(kv, cursor);
    return !err;
}

static void row_done(struct row *row)
{
    buffer_done(&row->key);
    buffer_done(&row->value);
}

enum act { FLIP, REMOVE, COPY, MOVE, CUT };

/* One kind of damage: what is done to which row, and what an operator must read. */
struct damage {
    enum kv_table table;
    uint8_t from[6]; /* origin number 1, then what the table's keys go on with */
    size_t from_size;
    size_t row;
    enum act act;
    size_t at; /* FLIP: byte of the value; COPY, MOVE: byte of the key that changes */
    const char *wanted;
};

static void damage_do(struct kv *kv, const struct damage *damage)
{
    struct row row;

    assert_true(
        row_find(kv, damage->table, span_of(damage->from, damage->from_size), damage->row, &row));
    switch (damage->act) {
    case FLIP:
        assert_true(damage->at < row.value.size);
        row.value.data[damage->at] ^= 1;
        break;
    case REMOVE:
        break;
    case COPY:
    case MOVE:
        assert_true(damage->at < row.key.size);
        break;
    case CUT:
        row.value.size--;
        break;
    }
    if (damage->act == REMOVE || damage->act == MOVE)
        assert_ok(kv_del(kv, damage->table, buffer_span(&row.key)));
    if (damage->act == COPY || damage->act == MOVE)
        row.key.data[damage->at] ^= 1;
    if (damage->act != REMOVE)
        assert_ok(kv_put(kv, damage->table, buffer_span(&row.key), buffer_span(&row.value)));
    row_done(&row);
}

/* Damage that verify does not see is damage that stays. */
static void test_each_damage_is_found(void **state)
{
    static const struct damage damages[] = {
        /* live: header hash 32, size, header (about 75 bytes), payload */
        {KV_LIVE, {0, 0, 0, 1}, 4, 7, FLIP, 3, "header hash kept"},
        {KV_LIVE, {0, 0, 0, 1}, 4, 7, FLIP, 40, "stands under the key of another"},
        {KV_LIVE, {0, 0, 0, 1}, 4, 7, FLIP, 100, "payload is not the one"},
        {KV_LIVE, {0, 0, 0, 1}, 4, 7, FLIP, 32, "cannot be read"},
        {KV_LIVE, {0, 0, 0, 1}, 4, 7, CUT, 0, "payload is not the one"},
        {KV_LIVE, {0, 0, 0, 1}, 4, 7, REMOVE, 0, "the log has a row of it, but it is not there"},
        {KV_LIVE, {0, 0, 0, 1}, 4, 7, REMOVE, 0, "189 listings are there, the record counts 190"},
        {KV_LIVE, {0, 0, 0, 1}, 4, 7, REMOVE, 0, "collection offers: the state root"},
        {KV_LIVE, {0, 0, 0, 1}, 4, 7, MOVE, 12, "stands under the key of another"},
        {KV_LIVE, {0, 0, 0, 1}, 4, 7, COPY, 4, "its header says another collection"},
        {KV_BYSEQ, {0, 0, 0, 1, 0}, 5, 9, REMOVE, 0, "the log has no row of its number"},
        {KV_BYSEQ, {0, 0, 0, 1, 0}, 5, 9, COPY, 12, "the log has a row of an older version"},
        {KV_BYSEQ, {0, 0, 0, 1, 0}, 5, 9, COPY, 20, "but it is not there"},
        {KV_BYSEQ, {0, 0, 0, 1, 1}, 5, 2, REMOVE, 0, "9 tombstones, 10 rows that find them"},
        {KV_BYSEQ, {0, 0, 0, 1, 1}, 5, 2, FLIP, 8, "tombstone stands in another's place"},
        {KV_BYSEQ, {0, 0, 0, 1, 1}, 5, 2, CUT, 0, "tombstone is not a delete"},
        {KV_BYSEQ, {0, 0, 0, 1, 2}, 5, 2, REMOVE, 0, "cannot be found by its key"},
        {KV_BYSEQ, {0, 0, 0, 1, 2}, 5, 2, FLIP, 7, "cannot be found by its key"},
        {KV_TRIE, {0, 0, 0, 1}, 4, 0, FLIP, 20, "trie: the node at \"\" is not what"},
        {KV_TRIE, {0, 0, 0, 1}, 4, 0, REMOVE, 0, "trie: the node at \"\" is missing"},
        {KV_TRIE, {0, 0, 0, 1}, 4, 0, COPY, 4, "trie: 1 nodes are stored, 0 belong there"},
        {KV_HEAD, {0, 0, 0, 1}, 4, 1, FLIP, 60, "head 2 of epoch 1"},
        {KV_HEAD, {0, 0, 0, 1}, 4, 0, REMOVE, 0, NULL}, /* A recovered origin lacks heads, too. */
        {KV_HEAD, {0, 0, 0, 1}, 4, 3, COPY, 19, "head 5 of epoch 1 cannot be read"},
        {KV_CHARTER, {0, 0, 0, 1}, 4, 0, FLIP, 70, "charter"},
        {KV_CHARTER, {0, 0, 0, 1}, 4, 0, REMOVE, 0, "charter 0 is missing"},
        {KV_CHARTER, {0, 0, 0, 1}, 4, 1, FLIP, 250, "charter 1"},
        {KV_ORIGIN, {'b', 0, 0, 0, 1}, 5, 0, FLIP, 150, "the beat is not signed"},
    };
    struct town town;

    (void)state;
    damage_town_init(&town);
    for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
        struct findings findings = {.wanted = damages[i].wanted};
        struct replica_origin origin;
        struct kv kv;

        assert_ok(kv_mem_write_begin(town.mem, &kv));
        assert_ok(replica_origin_get(&kv, &town.id, &origin));
        damage_do(&kv, &damages[i]);
        assert_ok(replica_verify(&kv, &origin, report_note, &findings));
        if (damages[i].wanted && !findings.found)
            fail_msg("damage %zu: wanted \"%s\", got %zu findings, the first \"%s\"", i,
                     damages[i].wanted, findings.count, findings.first);
        kv_mem_write_abort(&kv);
    }
    assert_verifies(town.mem, &town.id, "after all is taken back");
    town_done(&town);
}

/* The record's own fields, each of which something else must contradict. */
static void test_a_wrong_record_is_found(void **state)
{
    struct replica_origin good, bad;
    struct findings findings;
    struct town town;
    struct kv kv;

    (void)state;
    damage_town_init(&town);
    origin_read(town.mem, &town.id, &good);
    assert_ok(kv_mem_read_begin(town.mem, &kv));

    bad = good;
    bad.held[2].digest.bytes[4] ^= 1;
    findings = (struct findings){.wanted = "the own head does not sign what is held"};
    assert_ok(replica_verify(&kv, &bad, report_note, &findings));
    assert_true(findings.found);
    bad = good;
    bad.missing[2] = 1;
    findings = (struct findings){.wanted = "payloads are missing"};
    assert_ok(replica_verify(&kv, &bad, report_note, &findings));
    assert_true(findings.found);
    bad = good;
    bad.tombstones++;
    findings = (struct findings){.wanted = "tombstones"};
    assert_ok(replica_verify(&kv, &bad, report_note, &findings));
    assert_true(findings.found);
    bad = good;
    bad.head_hash.bytes[0] ^= 1;
    findings = (struct findings){.wanted = "does not name the newest head"};
    assert_ok(replica_verify(&kv, &bad, report_note, &findings));
    assert_true(findings.found);
    bad = good;
    bad.charter_hash.bytes[0] ^= 1;
    findings = (struct findings){.wanted = "not the one in the origin's record"};
    assert_ok(replica_verify(&kv, &bad, report_note, &findings));
    assert_true(findings.found);
    bad = good;
    bad.epoch_hash.bytes[0] ^= 1;
    findings = (struct findings){.wanted = "another epoch"};
    assert_ok(replica_verify(&kv, &bad, report_note, &findings));
    assert_true(findings.found);
    kv_mem_read_end(&kv);
    town_done(&town);
}

/* Use everything that reads or writes on a damaged store: errors, but no crash. */
static bool go_on_change(void *context, const struct listing_key *key, struct span header)
{
    (void)context;
    (void)key;
    (void)header;
    return true;
}

static bool go_on_listing(void *context, const struct listing_key *key, struct span header,
                          struct span payload)
{
    (void)context;
    (void)key;
    (void)header;
    (void)payload;
    return true;
}

static void use_everything(struct town *town, struct kv *kv, const struct replica_write *writes,
                           size_t write_count)
{
    struct local_change changes[4];
    struct findings findings = {0};
    struct replica_origin origin;
    struct buffer out = {0};

    if (replica_origin_get(kv, &town->id, &origin) == TORG_OK) {
        (void)replica_verify(kv, &origin, report_note, &findings);
        (void)replica_changes_since(kv, origin.number, 0, go_on_change, NULL);
        (void)replica_listings(kv, origin.number, 2, NULL, go_on_listing, NULL);
        (void)replica_complete_mask(&origin, MODEL_MASK);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(changes); i++)
        changes[i] =
            (struct local_change){.collection = 2,
                                  .id = model_id(i * 40),
                                  .payload = i % 2 ? span_of_str("other") : (struct span){0}};
    (void)replica_beat_local(kv, &town->id, &town->signer, 1, 0, town->now_ms + 1, &out);
    (void)replica_commit_local(kv, &town->id, &town->signer, changes, ARRAY_SIZE(changes),
                               town->now_ms + 1, NULL, &out);
    for (size_t i = 0; i < write_count; i++)
        (void)replica_apply(kv, &writes[i], NULL);
    buffer_done(&out);
}

static void random_damage(struct kv *kv, uint64_t *random)
{
    static const enum kv_table tables[] = {KV_META, KV_ORIGIN, KV_CHARTER, KV_HEAD,
                                           KV_LIVE, KV_BYSEQ,  KV_TRIE};
    static const uint8_t first[1] = {0};
    enum kv_table table = tables[test_random_below(random, ARRAY_SIZE(tables))];
    struct row row;

    if (!row_find(kv, table, span_of(first, 1), test_random_below(random, 40), &row)) {
        row_done(&row);
        return;
    }
    switch (test_random_below(random, 5)) {
    case 0:
        assert_ok(kv_del(kv, table, buffer_span(&row.key)));
        break;
    case 1:
        row.value.size = test_random_below(random, row.value.size + 1);
        assert_ok(kv_put(kv, table, buffer_span(&row.key), buffer_span(&row.value)));
        break;
    case 2: /* A row where none belongs. */
        row.key.data[test_random_below(random, row.key.size)] ^=
            (uint8_t)(1 << test_random_below(random, 8));
        assert_ok(kv_put(kv, table, buffer_span(&row.key), buffer_span(&row.value)));
        break;
    default:
        if (row.value.size)
            row.value.data[test_random_below(random, row.value.size)] ^=
                (uint8_t)(1 << test_random_below(random, 8));
        assert_ok(kv_put(kv, table, buffer_span(&row.key), buffer_span(&row.value)));
    }
    row_done(&row);
}

/* A bad disk must give errors, not take the process with all other origins down. */
static void test_damage_never_crashes(void **state)
{
    struct town_write delta, part, charters;
    struct kv_mem *before;
    struct town town;
    struct kv kv;

    (void)state;
    damage_town_init(&town);
    assert_ok(kv_mem_clone(town.mem, &before));
    for (unsigned i = 0; i < 3; i++) {
        struct local_change change = {
            .collection = 2, .id = model_id(20 + i), .payload = span_of_str("new")};

        assert_ok(town_commit(&town, &change, 1));
    }
    town_rotate(&town, true);
    assert_ok(town_commit(&town, NULL, 0));
    next_write(&town, town.mem, before, MODEL_MASK, &delta);
    {
        struct kv from, to;

        assert_ok(kv_mem_read_begin(town.mem, &from));
        assert_ok(kv_mem_read_begin(before, &to));
        town_part(&town, &from, &to, 2, &part);
        kv_mem_read_end(&from);
        kv_mem_read_end(&to);
    }
    town_charters_write(&town, &charters);
    for (uint64_t seed = 1; seed <= 400; seed++) {
        const struct replica_write writes[] = {delta.write, part.write, charters.write, delta.write,
                                               part.write};
        uint64_t random = seed;

        assert_ok(kv_mem_write_begin(before, &kv));
        for (uint64_t i = 0; i <= seed % 4; i++)
            random_damage(&kv, &random);
        use_everything(&town, &kv, writes, ARRAY_SIZE(writes));
        kv_mem_write_abort(&kv);
    }
    town_write_done(&delta);
    town_write_done(&part);
    town_write_done(&charters);
    kv_mem_free(before);
    town_done(&town);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_damage_is_found),
        cmocka_unit_test(test_a_wrong_record_is_found),
        cmocka_unit_test(test_damage_never_crashes),
    };

    assert_int_equal(seal_init(), TORG_OK);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
