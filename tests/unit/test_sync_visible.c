/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include "tests/support/nodes.h"
#include "tests/support/roster.h"
#include "tests/support/table.h"

/*
 * Collections for members: they reach every member that is connected with one,
 * and nobody else gets a byte of them, whatever it asks for; while what is
 * public goes everywhere, through members and others.
 */
#define SECOND 1000
#define SECRET COLLECTION_COMPANIES /* world_collection(0) */
#define BIT(collection) (UINT32_C(1) << (collection))

/* ---- stories ---- */

enum { CATALOGUE, TOWN, OTHER, MEMBER, NODES }; /* OTHER is no member, MEMBER is */

/* What was sent to OTHER. */
struct heard {
    unsigned secrets, batches, heads;
};

static void count(void *context, struct world_node *node, uint32_t to, uint8_t type,
                  struct span body)
{
    struct heard *heard = context;
    struct profile_reader in;
    struct frame frame;
    bool entries = type == FRAME_BATCH || type == FRAME_ENTRIES;
    uint32_t rows;

    if (to != OTHER || node->index == CATALOGUE)
        return;
    heard->batches += type == FRAME_BATCH;
    heard->heads += type == FRAME_HEAD;
    if (!entries && type != FRAME_DELTA)
        return;
    assert_ok(frame_decode(type, body, &frame));
    in = frame_list_reader(type == FRAME_BATCH     ? &frame.batch.entries
                           : type == FRAME_ENTRIES ? &frame.entries.entries
                                                   : &frame.delta.headers);
    rows = type == FRAME_BATCH     ? frame.batch.entries.count
           : type == FRAME_ENTRIES ? frame.entries.entries.count
                                   : frame.delta.headers.count;
    for (uint32_t i = 0; i < rows; i++) {
        struct span header_bytes =
            entries ? frame_read_entry(&in).header : profile_bin(&in, HEADER_BYTES_MAX);
        struct change_header header;

        assert_ok(change_header_parse(header_bytes, &header));
        heard->secrets += header.collection == SECRET;
    }
}

/*
 * TOWN - OTHER - MEMBER in a row, the catalogue beside OTHER; TOWN and MEMBER
 * have a line of their own, which is down at first.
 */
static struct world *town_make(uint64_t seed, struct heard *heard)
{
    struct world *world = nodes_new(seed);

    world->members_only = BIT(SECRET);
    for (uint32_t i = 0; i < NODES; i++) {
        world_node_add(world, true);
        if (i == CATALOGUE)
            world_catalogue(world, CATALOGUE);
    }
    world_peer(world, CATALOGUE, OTHER, true);
    world_peer(world, TOWN, OTHER, true);
    world_peer(world, MEMBER, OTHER, true);
    world_peer(world, TOWN, MEMBER, true);
    world_block(world, TOWN, MEMBER, true);
    world_member(world, TOWN, "active", 0);
    world_member(world, MEMBER, "active", 0);
    world->watcher = (struct world_watcher){.context = heard, .sending = count};
    return world;
}

static void start_all(struct world *world)
{
    for (uint32_t i = 0; i < NODES; i++) {
        world_start(world, i);
        world_write(world, i, 40);
    }
}

static uint32_t secrets_at(struct world *world, uint32_t node, uint32_t from)
{
    struct replica_origin record;

    return world_head(world, node, &world->nodes[from].own, &record) ? record.held[SECRET].count
                                                                     : 0;
}

static void assert_all_right(struct world *world, const struct heard *heard)
{
    for (uint32_t from = 0; from < NODES; from++) {
        for (uint32_t node = 0; node < NODES; node++)
            nodes_assert_has(world, node, from);
    }
    assert_true(secrets_at(world, MEMBER, TOWN) > 0);
    assert_int_equal(secrets_at(world, OTHER, TOWN), 0);
    assert_int_equal(secrets_at(world, CATALOGUE, TOWN), 0);
    assert_int_equal(heard->secrets, 0);
}

static void test_only_members_get_it(void **state)
{
    struct heard heard = {0};
    struct world *world = town_make(1, &heard);
    struct replica_origin record;

    (void)state;
    start_all(world);
    nodes_run_for(world, 60 * SECOND);
    /* Through OTHER only what is public can come; and it does. */
    nodes_assert_has(world, OTHER, TOWN);
    assert_true(world_head(world, MEMBER, &world->nodes[TOWN].own, &record));
    assert_int_equal(record.held[SECRET].count, 0);
    assert_int_equal(replica_complete_mask(&record, COLLECTION_MASK_ALL),
                     COLLECTION_MASK_ALL & ~BIT(SECRET));
    world_block(world, TOWN, MEMBER, false);
    nodes_run_for(world, 700 * SECOND); /* until they dial again */
    assert_all_right(world, &heard);
    for (unsigned i = 0; i < 5; i++) {
        world_write(world, TOWN, 10);
        world_write(world, MEMBER, 10);
        nodes_run_for(world, 10 * SECOND);
        assert_all_right(world, &heard);
    }
    nodes_free(world);
}

/* A commit with nothing public in it comes to others as a head: they know that there is one. */
static void test_a_secret_commit_is_a_head_to_others(void **state)
{
    struct heard heard = {0}, before;
    struct world *world = town_make(2, &heard);
    struct replica_origin record;
    uint64_t hno;

    (void)state;
    world_block(world, TOWN, MEMBER, false);
    start_all(world);
    nodes_run_for(world, 60 * SECOND);
    assert_all_right(world, &heard);
    assert_true(world_head(world, OTHER, &world->nodes[TOWN].own, &record));
    hno = record.head.hno;
    before = heard;
    world_rewrite(world, TOWN, 3, 100);
    nodes_run_for(world, 10 * SECOND);
    assert_all_right(world, &heard);
    assert_true(world_head(world, OTHER, &world->nodes[TOWN].own, &record));
    assert_int_equal(record.head.hno, hno + 1);
    assert_int_equal(heard.batches, before.batches);
    assert_true(heard.heads > before.heads);
    nodes_free(world);
}

/* Who is let in gets it then; who is suspended gets no more, and drops what it held. */
static void test_members_come_and_go(void **state)
{
    struct heard heard = {0};
    struct world *world = town_make(3, &heard);

    (void)state;
    world_block(world, TOWN, MEMBER, false);
    world_member(world, MEMBER, "suspended", 0);
    start_all(world);
    nodes_run_for(world, 60 * SECOND);
    assert_int_equal(secrets_at(world, MEMBER, TOWN), 0);
    nodes_assert_has(world, MEMBER, TOWN);
    world_member(world, MEMBER, "active", 0);
    nodes_run_for(world, 60 * SECOND);
    assert_all_right(world, &heard);
    world_member(world, MEMBER, "left", 0);
    nodes_run_for(world, 60 * SECOND);
    assert_int_equal(secrets_at(world, MEMBER, TOWN), 0);
    nodes_assert_has(world, MEMBER, TOWN);
    world_write(world, TOWN, 30);
    nodes_run_for(world, 20 * SECOND);
    assert_int_equal(secrets_at(world, MEMBER, TOWN), 0);
    nodes_assert_has(world, MEMBER, TOWN);
    world_member(world, MEMBER, "active", 0);
    nodes_run_for(world, 60 * SECOND);
    assert_all_right(world, &heard);
    /* And if it is the town that is no member: what others may hold of it stays theirs. */
    world_member(world, TOWN, "left", 0);
    nodes_run_for(world, 30 * SECOND);
    assert_int_equal(secrets_at(world, TOWN, MEMBER), 0);
    assert_true(secrets_at(world, MEMBER, TOWN) > 0);
    nodes_free(world);
}

static unsigned bucket_of(const struct world *world, uint32_t node)
{
    return world->nodes[node].own.bytes[0] >> 6; /* of more than eight and at most 16 origins */
}

/*
 * At the greeting both held the same head, and each thought that nothing was lacking; so no
 * row was told. Then one hears that it is a member, and must come to know who has the rest.
 */
static void test_who_hears_late_that_it_is_a_member(void **state)
{
    struct heard heard = {0};
    struct world *world = town_make(6, &heard);

    (void)state;
    while (world->node_count < 12)
        world_node_add(world, true); /* they never start, but SUMMARY has several buckets */
    assert_int_not_equal(bucket_of(world, TOWN), bucket_of(world, CATALOGUE));
    world_block(world, TOWN, MEMBER, false);
    world_member(world, MEMBER, "suspended", 0);
    start_all(world);
    nodes_run_for(world, 60 * SECOND);
    nodes_assert_has(world, MEMBER, TOWN);
    world_crash(world, MEMBER);
    world_member(world, MEMBER, "active", 0);
    nodes_run_for(world, 10 * SECOND);
    world_start(world, MEMBER);
    nodes_run_for(world, 60 * SECOND);
    nodes_assert_has(world, MEMBER, TOWN);
    assert_true(secrets_at(world, MEMBER, TOWN) > 0);
    nodes_free(world);
}

/* Who only says that it is a member is told from one by its key. */
static void test_the_curious_get_nothing(void **state)
{
    struct heard heard = {0};
    struct world *world = town_make(4, &heard);

    (void)state;
    world_block(world, TOWN, MEMBER, false);
    world->nodes[OTHER].curious = true;
    start_all(world);
    for (unsigned i = 0; i < 6; i++) {
        nodes_run_for(world, 30 * SECOND);
        world_write(world, TOWN, 10);
    }
    nodes_run_for(world, 60 * SECOND);
    assert_int_equal(secrets_at(world, OTHER, TOWN), 0);
    assert_int_equal(heard.secrets, 0);
    nodes_assert_has(world, MEMBER, TOWN);
    nodes_assert_has(world, CATALOGUE, TOWN); /* what is public goes through it all the same */
    nodes_free(world);
}

/* What a member holds is not dropped and fetched again at each start. */
static void test_a_restart_keeps_it(void **state)
{
    struct heard heard = {0};
    struct world *world = town_make(5, &heard);
    struct sync_counters counters;
    uint32_t before;

    (void)state;
    world_block(world, TOWN, MEMBER, false);
    start_all(world);
    nodes_run_for(world, 60 * SECOND);
    assert_all_right(world, &heard);
    before = secrets_at(world, MEMBER, TOWN);
    world_crash(world, MEMBER);
    world_start(world, MEMBER);
    for (unsigned i = 0; i < 100; i++) {
        nodes_run_for(world, 100);
        assert_int_equal(secrets_at(world, MEMBER, TOWN), before);
    }
    sync_counters(world->nodes[MEMBER].sync, &counters);
    assert_int_equal(counters.payloads_in, 0);
    nodes_free(world);
}

/* ---- one node, and a peer whose every frame is chosen ---- */

static void say_pull(struct table *table, uint32_t mask)
{
    struct frame pull = {.type = FRAME_PULL};

    pull.pull.sid = 1;
    pull.pull.origin = table->own.id;
    pull.pull.mask = mask;
    pull.pull.epoch = 1;
    table_say(table, &pull);
}

static void assert_forbidden(struct table *table)
{
    const struct frame *error = table_heard(table, FRAME_ERROR);

    assert_non_null(error);
    assert_int_equal(error->error.code, FRAME_CODE_COLLECTION_FORBIDDEN);
    assert_null(table_heard(table, FRAME_DELTA));
    assert_null(table_heard(table, FRAME_TRIE));
    assert_null(table_heard(table, FRAME_ENTRIES));
    table->seat->heard_count = 0;
}

static void test_whatever_is_asked_for(void **state)
{
    struct table *table = *state;
    struct frame trie = {.type = FRAME_TRIE_REQ}, fetch = {.type = FRAME_FETCH};
    struct profile_reader in;
    struct frame_have_row have;

    table_introduce(table);
    table->own.members_only = BIT(SECRET);
    table->own.catalogue = &table->other.id;
    town_rotate(&table->own, false);
    table_step(table, (struct sync_event){.kind = SYNC_EVENT_PUBLISHED});
    table->seat->heard_count = 0;
    table_commit(&table->own, 7);
    table_step(table, (struct sync_event){.kind = SYNC_EVENT_PUBLISHED});
    assert_null(table_heard(table, FRAME_BATCH));
    assert_non_null(table_heard(table, FRAME_HEAD));
    in = frame_list_reader(&table_heard(table, FRAME_HAVE)->have.rows);
    have = frame_read_have(&in);
    assert_memory_equal(&have.origin, &table->own.id, sizeof(have.origin));
    assert_int_equal(have.mask & BIT(SECRET), 0);
    assert_int_not_equal(have.mask & BIT(COLLECTION_OFFERS), 0);
    table->seat->heard_count = 0;

    say_pull(table, BIT(SECRET));
    assert_forbidden(table);
    say_pull(table, BIT(SECRET) | BIT(COLLECTION_OFFERS));
    assert_forbidden(table);
    trie.trie_req.sid = 2;
    trie.trie_req.origin = table->own.id;
    trie.trie_req.collection = SECRET;
    trie.trie_req.whole = 32;
    frame_rows_clear(&table->rows);
    frame_rows_prefix(&table->rows, &(struct trie_prefix){.size = 0});
    trie.trie_req.prefixes = frame_rows_list(&table->rows);
    table_say(table, &trie);
    assert_forbidden(table);
    fetch.fetch.sid = 3;
    fetch.fetch.origin = table->own.id;
    fetch.fetch.collection = SECRET;
    table_say(table, &fetch);
    assert_forbidden(table);
}

/*
 * The other town is its own catalogue, and its companies are for members. The node's key stands in
 * its charter; wants members, too.
 */
static void other_is_a_catalogue(struct table *table, const struct public_key *node_key)
{
    struct sync_peer_config peers[2];
    struct origin_id trusted[1];
    struct sync_config config = table_config(table, peers, trusted);

    config.subscribe_mask |= BIT(COLLECTION_MEMBERS);
    assert_ok(sync_reconfigure(table->sync, &config, &table->actions));
    table_carry_out(table, &table->actions);
    sync_actions_clear(&table->actions);
    table->own.node_key = node_key;
    town_rotate(&table->own, false);
    table_step(table, (struct sync_event){.kind = SYNC_EVENT_PUBLISHED});
    table->other.members_only = BIT(SECRET);
    table->other.catalogue = &table->other.id;
    town_rotate(&table->other, false);
    table_introduce(table);
}

/* What it says of the node, as a batch; or with contents false without what it says. */
static void say_entry(struct table *table, const char *status, uint64_t nonce, bool contents)
{
    struct buffer payload = {0};
    struct local_change change = roster_change(&table->own.id, status, 0, nonce, &payload);

    assert_ok(town_commit(&table->other, &change, 1));
    buffer_done(&payload);
    table_push(table, &table->other, contents);
    table_have_of(table, &table->other, COLLECTION_MASK_ALL);
}

static struct replica_origin held_of(struct table *table)
{
    struct replica_origin record;
    struct kv read;

    assert_ok(kv_mem_read_begin(table->own.mem, &read));
    assert_ok(replica_origin_get(&read, &table->other.id, &record));
    kv_mem_read_end(&read);
    return record;
}

/*
 * Whoever passes on a catalogue's word may keep its contents back. A member that cannot read what
 * is said of it now must not drop what it holds for that.
 */
static void test_a_word_that_is_kept_back_drops_nothing(void **state)
{
    struct table *table = *state;
    const struct public_key node_key = table_key(0x55);

    other_is_a_catalogue(table, &node_key);
    say_entry(table, "active", 1, true);
    table_commit(&table->other, 1);
    table_push(table, &table->other, true);
    assert_int_equal(held_of(table).held[SECRET].count, 1);
    say_entry(table, "active", 2, false);
    assert_int_equal(held_of(table).missing[COLLECTION_MEMBERS], 1);
    assert_int_equal(held_of(table).held[SECRET].count, 1);
    /* When it comes, it says that the node belongs as before. */
    table_answer_fetch(table, &table->other, true);
    assert_int_equal(held_of(table).missing[COLLECTION_MEMBERS], 0);
    assert_int_equal(held_of(table).held[SECRET].count, 1);
    /* And what it says then counts. */
    say_entry(table, "left", 3, false);
    for (unsigned i = 0; i < 3 && !table_heard(table, FRAME_FETCH); i++) {
        assert_int_equal(held_of(table).held[SECRET].count, 1);
        table_greet(table);
        table_tick(table, 30000);
    }
    table_answer_fetch(table, &table->other, true);
    assert_int_equal(held_of(table).held[SECRET].count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_members_get_it),
        cmocka_unit_test(test_a_secret_commit_is_a_head_to_others),
        cmocka_unit_test(test_members_come_and_go),
        cmocka_unit_test(test_who_hears_late_that_it_is_a_member),
        cmocka_unit_test(test_the_curious_get_nothing),
        cmocka_unit_test(test_a_restart_keeps_it),
        cmocka_unit_test_setup_teardown(test_whatever_is_asked_for, table_setup, table_teardown),
        cmocka_unit_test_setup_teardown(test_a_word_that_is_kept_back_drops_nothing, table_setup,
                                        table_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
