/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include "tests/sim/world_internal.h"

/*
 * What a reconcile costs: not what an origin has, but what differs. Were it the
 * other way round, a federation would drown in its own healing.
 */
#define SECOND 1000
#define LISTINGS 100000
#define A_COMMIT 1000
#define DIFFERENCES 10
#define ROUND_TRIPS_MAX 6
#define BYTES_MAX 32768
#define SLOW_COMMIT_MS 20000
#define PARTS 16               /* of a reconcile that may wait for the writer */
#define PARTS_MORE (PARTS + 1) /* with one whose listings had been asked for by then */
#define PARTS_GROWN 20         /* once so many listings are here */
#define PARTS_LISTINGS 4096    /* for each */

struct cost {
    unsigned round_trips;
    size_t bytes;
};

static void count(void *context, struct world_node *node, uint32_t to, uint8_t type,
                  struct span body)
{
    struct cost *cost = context;

    (void)node;
    (void)to;
    if (type == FRAME_TRIE_REQ || type == FRAME_FETCH)
        cost->round_trips++;
    if (type == FRAME_TRIE_REQ || type == FRAME_FETCH || type == FRAME_TRIE ||
        type == FRAME_ENTRIES)
        cost->bytes += body.size + FRAME_PREFIX_BYTES;
}

static struct listing_id id_of(uint32_t number)
{
    struct listing_id id = {{0}};

    put_u32be(id.bytes, number);
    return id;
}

/* Listings from..from + size - 1, each with a payload that names version; 0: deleted. */
static void commit(struct world_node *node, uint32_t from, uint32_t size, uint32_t stride,
                   uint8_t version, size_t payload_size)
{
    uint8_t payload[256];
    struct local_change *changes = test_calloc(size, sizeof(*changes));
    struct buffer head = {0};
    struct kv kv;

    memset(payload, version, sizeof(payload));
    for (uint32_t i = 0; i < size; i++)
        changes[i] = (struct local_change){
            .collection = world_collection(0),
            .id = id_of(from + i * stride),
            .payload = span_of(payload, version && (version < 3 || i % 3) ? payload_size : 0),
        };
    assert_ok(kv_mem_write_begin(node->store, &kv));
    assert_ok(replica_commit_local(&kv, &node->own, &node->signer, changes, size, 1790000000000,
                                   NULL, &head));
    assert_ok(kv_mem_write_commit(&kv));
    buffer_done(&head);
    test_free(changes);
}

/* The first node's store after size listings; both: the second has the same. */
static struct world *pair_make(uint32_t size, bool both, size_t payload_size)
{
    struct world *world = test_calloc(1, sizeof(*world));
    struct world_options options = world_options_default(4711);

    world_init(world, &options);
    world_node_add(world, true);
    world_node_add(world, false);
    world_peer(world, 0, 1, false);
    for (uint32_t i = 0; i < size; i += A_COMMIT)
        commit(&world->nodes[0], i, A_COMMIT, 1, 1, payload_size);
    if (both)
        kv_mem_restore(world->nodes[1].store, world->nodes[0].store);
    return world;
}

static void test_ten_differences_in_a_hundred_thousand(void **state)
{
    struct world *world = pair_make(LISTINGS, true, 1);
    struct cost cost = {0};
    char why[160] = "";

    (void)state;
    /* Changed, deleted and new, all over; and a new epoch, which no delta leads into. */
    commit(&world->nodes[0], 7, DIFFERENCES, LISTINGS / DIFFERENCES + 1, 3, 1);
    world->watcher = (struct world_watcher){.context = &cost, .sending = count};
    world_start(world, 0);
    world_rotate(world, 0, true);
    world_run(world, world->now_ms + SECOND);
    world_start(world, 1);
    world_run(world, world->now_ms + 5 * SECOND);
    if (!world_converged(world, why, sizeof(why)))
        fail_msg("%s", why);
    print_message("%d differences in %d listings: %u round trips, %zu bytes\n", DIFFERENCES,
                  LISTINGS, cost.round_trips, cost.bytes);
    assert_in_range(cost.round_trips, 1, ROUND_TRIPS_MAX);
    assert_in_range(cost.bytes, 1, BYTES_MAX);
    world_done(world);
    test_free(world);
}

struct waiting {
    size_t commits, early, late; /* parts that waited at most, at first and later */
};

static void waiting_count(void *context, struct world_node *node, bool durable)
{
    struct waiting *waiting = context;
    size_t count = 0, *most;

    (void)durable;
    for (const struct world_job *job = node->jobs; job; job = job->next)
        count += job->store && job->store->write.kind == REPLICA_WRITE_PART;
    waiting->commits += count > 0;
    most = waiting->commits <= 3 ? &waiting->early : &waiting->late;
    *most = count > *most ? count : *most;
}

static struct waiting first_copy(uint32_t parts_max)
{
    struct world *world =
        pair_make((PARTS_GROWN + 1) * PARTS_LISTINGS / A_COMMIT * A_COMMIT, false, 256);
    struct waiting waiting = {0};
    char why[160] = "";

    if (parts_max)
        world->options.limits.parts_max = parts_max;
    world->options.commit_min_ms = world->options.commit_max_ms = SLOW_COMMIT_MS;
    world->watcher = (struct world_watcher){.context = &waiting, .ended = waiting_count};
    world_start(world, 0);
    world_start(world, 1);
    world_run(world, world->now_ms + 1000 * SECOND);
    if (!world_converged(world, why, sizeof(why)))
        fail_msg("%s", why);
    world_done(world);
    test_free(world);
    return waiting;
}

/*
 * With a commit for every few thousand listings a first copy of a million would write most pages of
 * its store anew in each; were as many gathered from the start, a small origin would take the
 * memory of a large one; and where there is little memory, none may.
 */
static void test_a_first_copy_that_has_grown_gathers_more(void **state)
{
    struct waiting waiting = first_copy(0);

    (void)state;
    assert_in_range(waiting.early, PARTS, PARTS_MORE);
    assert_in_range(waiting.late, PARTS_MORE + 1, PARTS_GROWN + 1);
    waiting = first_copy(PARTS);
    assert_in_range(waiting.late, PARTS, PARTS_MORE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_first_copy_that_has_grown_gathers_more),
        cmocka_unit_test(test_ten_differences_in_a_hundred_thousand),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
