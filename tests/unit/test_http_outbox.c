/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "daemon/http_outbox.h"

/* A lost or doubled answer leaves a client waiting, or gives it another's. */

struct http_conn {
    unsigned sent;
    char text[32];
    struct http_outbox *outbox;
    const struct http_conn *forgets; /* while it is sent */
};

struct world {
    struct event_base *base;
    struct http_outbox outbox;
    struct http_conn conns[HTTP_OUTBOX_ANSWERS_MAX + 1];
};

static void send_one(struct http_conn *conn, struct buffer *head, struct buffer *body)
{
    conn->sent++;
    (void)snprintf(conn->text, sizeof(conn->text), "%.*s%.*s", (int)head->size,
                   (const char *)head->data, (int)body->size, (const char *)body->data);
    if (conn->forgets)
        http_outbox_forget(conn->outbox, conn->forgets);
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    world->base = event_base_new();
    assert_non_null(world->base);
    assert_int_equal(http_outbox_init(&world->outbox, world->base, send_one), TORG_OK);
    for (size_t i = 0; i < ARRAY_SIZE(world->conns); i++)
        world->conns[i].outbox = &world->outbox;
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;

    http_outbox_done(&world->outbox);
    event_base_free(world->base);
    free(world);
    return 0;
}

static void put(struct world *world, size_t i, uint64_t came_us)
{
    struct buffer body = {0};

    buffer_printf(http_outbox_head(&world->outbox), "head %zu, ", i);
    buffer_printf(&body, "body %zu", i);
    http_outbox_put(&world->outbox, &world->conns[i], &body, came_us);
    assert_int_equal(body.size, 0);
    buffer_done(&body);
}

static void assert_sent(const struct world *world, size_t i, unsigned times)
{
    char expected[32];

    assert_int_equal(world->conns[i].sent, times);
    (void)snprintf(expected, sizeof(expected), "head %zu, body %zu", i, i);
    if (times > 0)
        assert_string_equal(world->conns[i].text, expected);
}

static void turn(const struct world *world)
{
    assert_int_not_equal(event_base_loop(world->base, EVLOOP_NONBLOCK), -1);
}

static void test_all_leave_once_at_the_end_of_the_turn(void **state)
{
    struct world *world = *state;

    for (unsigned round = 1; round <= 3; round++) {
        for (size_t i = 0; i < 3; i++) {
            put(world, i, 1000);
            http_outbox_check(&world->outbox, 1000 + HTTP_OUTBOX_WAIT_US_MAX);
            assert_sent(world, i, round - 1);
        }
        turn(world);
        for (size_t i = 0; i < 3; i++)
            assert_sent(world, i, round);
        turn(world);
        assert_sent(world, 0, round);
    }
}

/* One long answer must not keep those before it for more than its own time. */
static void test_who_has_waited_leaves_before_the_next_is_begun(void **state)
{
    struct world *world = *state;

    put(world, 0, 1000);
    put(world, 1, 1200);
    http_outbox_check(&world->outbox, 1000 + HTTP_OUTBOX_WAIT_US_MAX);
    assert_sent(world, 0, 0);
    http_outbox_check(&world->outbox, 1001 + HTTP_OUTBOX_WAIT_US_MAX);
    assert_sent(world, 0, 1);
    assert_sent(world, 1, 1);
    put(world, 2, 2000); /* The event of before is still due: it sends this one, too. */
    turn(world);
    assert_sent(world, 0, 1);
    assert_sent(world, 2, 1);
}

static void test_a_full_box_is_emptied(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < HTTP_OUTBOX_ANSWERS_MAX; i++) {
        assert_sent(world, 0, 0);
        put(world, i, 1000);
        http_outbox_check(&world->outbox, 1000);
    }
    for (size_t i = 0; i < HTTP_OUTBOX_ANSWERS_MAX; i++)
        assert_sent(world, i, 1);
    put(world, HTTP_OUTBOX_ANSWERS_MAX, 1000);
    turn(world);
    assert_sent(world, HTTP_OUTBOX_ANSWERS_MAX, 1);
    assert_sent(world, 0, 1);
}

/* Its memory may be another connection's by then. */
static void test_nothing_is_sent_to_who_has_gone(void **state)
{
    struct world *world = *state;

    put(world, 0, 1000);
    put(world, 1, 1000);
    put(world, 2, 1000);
    http_outbox_forget(&world->outbox, &world->conns[0]);
    world->conns[1].forgets = &world->conns[2];
    turn(world);
    assert_sent(world, 0, 0);
    assert_sent(world, 1, 1);
    assert_sent(world, 2, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_leave_once_at_the_end_of_the_turn, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_who_has_waited_leaves_before_the_next_is_begun, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_full_box_is_emptied, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_is_sent_to_who_has_gone, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
