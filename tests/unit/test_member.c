/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/listing.h"
#include "protocol/member.h"
#include "tests/support/roster.h"
#include "tests/support/test.h"
#include "tests/support/town.h"

/* What a catalogue says decides whose bytes a node takes: nothing may be read into it. */
struct fixture {
    struct town catalogue;
    struct kv kv;
    uint32_t number;
};

static void view(struct fixture *f)
{
    struct replica_origin origin;

    assert_ok(kv_mem_read_begin(f->catalogue.mem, &f->kv));
    assert_ok(replica_origin_get(&f->kv, &f->catalogue.id, &origin));
    f->number = origin.number;
}

static struct origin_id somebody(uint8_t first)
{
    struct origin_id id = {{first, 1, 2, 3}};

    id.bytes[31] = first;
    return id;
}

static void say(struct fixture *f, const struct origin_id *member, const char *status)
{
    struct buffer payload = {0};
    struct local_change change = roster_change(member, status, 0, 7, &payload);

    assert_ok(payload.err);
    assert_ok(town_commit(&f->catalogue, &change, 1));
    buffer_done(&payload);
}

static enum torg_err ask(struct fixture *f, const struct origin_id *origin,
                         struct member *ret_member)
{
    enum torg_err err;

    view(f);
    err = member_get(&f->kv, f->number, origin, ret_member);
    kv_mem_read_end(&f->kv);
    return err;
}

static bool count_active(void *context, const struct member *member)
{
    *(unsigned *)context += member->status == MEMBER_ACTIVE;
    return true;
}

static unsigned active(struct fixture *f)
{
    unsigned count = 0;

    view(f);
    assert_ok(member_each(&f->kv, f->number, count_active, &count));
    kv_mem_read_end(&f->kv);
    return count;
}

static int set_up(void **state)
{
    struct fixture *f = test_calloc(1, sizeof(*f));

    town_init(&f->catalogue, 31);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    town_done(&f->catalogue);
    test_free(f);
    return 0;
}

static void test_who_belongs(void **state)
{
    struct origin_id a = somebody(1), b = somebody(2), c = somebody(3), d = somebody(4);
    struct fixture *f = *state;
    struct buffer payload = {0};
    struct local_change change;
    struct member member;

    assert_int_equal(active(f), 0);
    say(f, &a, "active");
    say(f, &b, "suspended");
    say(f, &c, "left");
    assert_ok(ask(f, &a, &member));
    assert_int_equal(member.status, MEMBER_ACTIVE);
    assert_memory_equal(&member.origin, &a, sizeof(a));
    assert_ok(ask(f, &b, &member));
    assert_int_equal(member.status, MEMBER_SUSPENDED);
    assert_ok(ask(f, &c, &member));
    assert_int_equal(member.status, MEMBER_LEFT);
    assert_int_equal(ask(f, &d, &member), TORG_E_NOT_FOUND);
    assert_int_equal(active(f), 1);
    assert_int_equal(member.quota, 0);
    change = roster_change(&b, "active", 500, 7, &payload);
    assert_ok(town_commit(&f->catalogue, &change, 1));
    say(f, &a, NULL);
    assert_int_equal(ask(f, &a, &member), TORG_E_NOT_FOUND);
    assert_ok(ask(f, &b, &member));
    assert_int_equal(member.status, MEMBER_ACTIVE);
    assert_int_equal(member.quota, 500);
    assert_int_equal(active(f), 1);
    buffer_done(&payload);
}

/* An entry under another id, or with a word of a later version, must not let anybody in. */
static void test_what_says_nothing(void **state)
{
    struct origin_id a = somebody(1), b = somebody(2), twin = a;
    struct fixture *f = *state;
    struct buffer payload = {0};
    struct local_change change = roster_change(&a, "active", 0, 7, &payload);
    struct member member;

    change.id = member_listing_id(&b);
    assert_ok(town_commit(&f->catalogue, &change, 1));
    assert_int_equal(ask(f, &a, &member), TORG_E_NOT_FOUND);
    assert_int_equal(ask(f, &b, &member), TORG_E_NOT_FOUND);
    say(f, &a, "observing");
    assert_int_equal(ask(f, &a, &member), TORG_E_NOT_FOUND);
    assert_int_equal(active(f), 0);
    /* Another origin whose id begins alike is not the one that is named. */
    say(f, &a, "active");
    twin.bytes[20] ^= 1;
    assert_int_equal(ask(f, &twin, &member), TORG_E_NOT_FOUND);
    assert_ok(ask(f, &a, &member));
    /* Bytes that are no payload at all. */
    change = roster_change(&a, "active", 0, 7, &payload);
    change.payload = span_of("?", 1);
    assert_ok(town_commit(&f->catalogue, &change, 1));
    assert_int_equal(ask(f, &a, &member), TORG_E_NOT_FOUND);
    assert_int_equal(active(f), 0);
    buffer_done(&payload);
}

/* A schema that is not known and must be known says nothing; one that need not be, as before. */
static void test_later_schemas(void **state)
{
    struct origin_id a = somebody(1);
    struct fixture *f = *state;
    struct buffer payload = {0}, later = {0};
    struct local_change change = roster_change(&a, "active", 0, 7, &payload);
    struct payload parsed;
    struct member member;

    assert_ok(payload_parse(buffer_span(&payload), &parsed));
    payload_pack(parsed.nonce, PAYLOAD_SCHEMA + 1, parsed.body, &later);
    change.payload = buffer_span(&later);
    assert_ok(town_commit(&f->catalogue, &change, 1));
    assert_ok(ask(f, &a, &member));
    change.flags = CHANGE_FLAG_CRITICAL;
    assert_ok(town_commit(&f->catalogue, &change, 1));
    assert_int_equal(ask(f, &a, &member), TORG_E_NOT_FOUND);
    buffer_done(&payload);
    buffer_done(&later);
}

/* What the tests write is what listings.md allows. */
static void test_the_entry_is_a_listing(void **state)
{
    static struct problems problems;
    struct origin_id a = somebody(1);
    struct buffer payload = {0};
    struct payload parsed;

    (void)state;
    (void)roster_change(&a, "suspended", 0, 7, &payload);
    assert_ok(payload_parse(buffer_span(&payload), &parsed));
    assert_ok(listing_check(COLLECTION_MEMBERS, parsed.body, &problems));
    buffer_done(&payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_who_belongs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_says_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_later_schemas, set_up, tear_down),
        cmocka_unit_test(test_the_entry_is_a_listing),
    };

    if (seal_init())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
