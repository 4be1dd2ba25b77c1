/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <inttypes.h>

#include "tests/sim/check.h"

/*
 * A reconcile asks for the next thing before it has the last. What would break
 * unseen: that it waits all the same, or asks for more than a peer has places
 * for; and, where the origin writes meanwhile, that entries which were asked for
 * under one head are stored under another, in which they no longer live.
 */
#define SECOND 1000
#define A_JOB 1000
#define JOBS 6
#define A_FEW 390 /* so that there are subtrees to ask for when the first FETCH is out */

struct requests {
    unsigned out, out_max, fetches_beside_tries;
    uint8_t types[8]; /* of those that are out */
};

static void request_ends(struct requests *requests, uint8_t type)
{
    for (unsigned i = 0; i < requests->out; i++) {
        if (requests->types[i] != type)
            continue;
        requests->types[i] = requests->types[--requests->out];
        return;
    }
    fail_msg("an answer of type %u without a request", type);
}

static void request_begins(struct requests *requests, uint8_t type)
{
    assert_in_range(requests->out, 0, ARRAY_SIZE(requests->types) - 1);
    requests->types[requests->out++] = type;
    if (requests->out > requests->out_max)
        requests->out_max = requests->out;
    if (requests->out == 2 && requests->types[0] != requests->types[1])
        requests->fetches_beside_tries++;
}

static void note(void *context, struct world_node *node, uint32_t to, uint8_t type,
                 struct span body)
{
    struct frame frame;

    (void)node;
    (void)to;
    if (type == FRAME_TRIE_REQ || type == FRAME_FETCH)
        request_begins(context, type);
    if (type == FRAME_TRIE)
        request_ends(context, FRAME_TRIE_REQ);
    if (type != FRAME_ENTRIES)
        return;
    assert_ok(frame_decode(type, body, &frame));
    if (!frame.entries.more)
        request_ends(context, FRAME_FETCH);
}

/* The second node has what the first one wrote, goes, and misses some jobs of so many changes. */
static struct world *absence_make(uint64_t seed, unsigned missed)
{
    struct world *world = test_calloc(1, sizeof(*world));
    struct world_options options = world_options_default(seed);

    options.commit_min_ms = options.commit_max_ms = 1;
    world_init(world, &options);
    world_node_add(world, true);
    world_node_add(world, false);
    world_peer(world, 0, 1, false);
    world_start(world, 0);
    for (unsigned i = 0; i < JOBS; i++)
        world_write_sized(world, 0, A_JOB, 0);
    world_run(world, world->now_ms + SECOND);
    kv_mem_restore(world->nodes[1].store, world->nodes[0].store);
    for (unsigned i = 0; i < JOBS; i++)
        world_write(world, 0, missed);
    world_run(world, world->now_ms + SECOND);
    return world;
}

static void assert_in_step(struct world *world)
{
    char why[160] = "";

    if (!world_converged(world, why, sizeof(why)))
        fail_msg("%s", why);
}

static void test_two_requests_are_out(void **state)
{
    struct world *world = absence_make(1, A_JOB);
    struct requests requests = {0};

    (void)state;
    world->watcher = (struct world_watcher){.context = &requests, .sending = note};
    world_start(world, 1);
    world_run(world, world->now_ms + 20 * SECOND);
    assert_in_step(world);
    assert_int_equal(requests.out, 0);
    assert_int_equal(requests.out_max, 2);
    assert_in_range(requests.fetches_beside_tries, 1, UINT32_MAX);
    world_done(world);
    test_free(world);
}

/* A peer that says its ENTRIES after a TRIE for which it was asked later, as long as that goes. */
static struct buffer held_back;
static bool holds_back;

static void say_late(void *context, const struct world_node *node, struct buffer *bytes)
{
    struct buffer late = held_back, rest = {0};
    bool tries = false;

    (void)context;
    if (node->index != 0)
        return;
    held_back = (struct buffer){0};
    for (size_t at = 0, size; at < bytes->size; at += size) {
        uint8_t type = bytes->data[at + 4];

        size = 4 + get_u32be(bytes->data + at);
        tries = tries || type == FRAME_TRIE;
        buffer_put(holds_back && type == FRAME_ENTRIES ? &held_back : &rest, bytes->data + at,
                   size);
    }
    if (tries || !holds_back) {
        buffer_put_span(&rest, buffer_span(&late));
    } else {
        buffer_put_span(&late, buffer_span(&held_back));
        buffer_done(&held_back);
        held_back = late;
        late = (struct buffer){0};
    }
    buffer_clear(bytes);
    buffer_put_span(bytes, buffer_span(&rest));
    assert_ok(bytes->err);
    buffer_done(&rest);
    buffer_done(&late);
}

static void test_what_is_taken_lives_in_its_head(void **state)
{
    static const uint64_t seeds[] = {1, 2, 3, 4};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(seeds); i++) {
        struct world *world = absence_make(seeds[i], A_FEW);
        struct check *check = check_new(world);
        const char *text = "";

        check_forget(check, 0); /* what they hold by now is what it begins from */
        check_forget(check, 1);
        world->watcher.speaking = say_late;
        holds_back = true;
        world_start(world, 1);
        while (held_back.size == 0)
            world_run(world, world->now_ms + 1);
        world_rewrite(world, 0, A_JOB, 0); /* some of these are on their way */
        world_run(world, world->now_ms + SECOND);
        holds_back = false;
        world_write(world, 0, 1);
        world_run(world, world->now_ms + 20 * SECOND);
        if (check_violation(check, &text))
            fail_msg("seed %" PRIu64 ": %s", seeds[i], text);
        assert_in_step(world);
        buffer_done(&held_back);
        check_free(check);
        world_done(world);
        test_free(world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_requests_are_out),
        cmocka_unit_test(test_what_is_taken_lives_in_its_head),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
