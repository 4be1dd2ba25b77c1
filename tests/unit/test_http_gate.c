/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include "daemon/http_gate.h"

/* If a stranger's slow connections could fill the house, nobody else would be answered. */

static struct http_gate_address address(uint8_t last)
{
    return (struct http_gate_address){{[15] = last}};
}

static uint64_t enter(struct http_gate *gate, uint8_t from, uint64_t *ret_victim)
{
    struct http_gate_address a = address(from);
    uint64_t ticket = 0;
    void *worker = NULL;

    if (http_gate_enter(gate, &a, gate, &ticket, ret_victim, &worker))
        return 0;
    if (*ret_victim)
        assert_ptr_equal(worker, gate);
    return ticket;
}

static void test_the_longest_waiting_gives_way(void **state)
{
    struct http_gate *gate;
    uint64_t ticket[5];
    uint64_t victim;

    (void)state;
    assert_ok(http_gate_new(3, 3, &gate));
    for (uint8_t i = 0; i < 3; i++) {
        ticket[i] = enter(gate, i, &victim);
        assert_int_not_equal(ticket[i], 0);
        assert_int_equal(victim, 0);
    }
    http_gate_busy(gate, ticket[0]);
    http_gate_busy(gate, ticket[1]);
    http_gate_waiting(gate, ticket[1]); /* answered: now behind 2 */
    ticket[3] = enter(gate, 3, &victim);
    assert_int_equal(victim, ticket[2]);
    http_gate_leave(gate, ticket[2]); /* its worker's late word changes nothing */
    assert_int_equal(http_gate_count(gate), 3);
    ticket[4] = enter(gate, 4, &victim);
    assert_int_equal(victim, ticket[1]);
    http_gate_busy(gate, ticket[3]);
    http_gate_busy(gate, ticket[4]);
    assert_int_equal(enter(gate, 5, &victim), 0); /* all are being answered */
    http_gate_leave(gate, ticket[0]);
    assert_int_not_equal(enter(gate, 5, &victim), 0);
    assert_int_equal(victim, 0);
    http_gate_free(gate);
}

static void test_one_address_cannot_take_all(void **state)
{
    struct http_gate *gate;
    uint64_t first;
    uint64_t second;
    uint64_t victim;

    (void)state;
    assert_ok(http_gate_new(100, 2, &gate));
    first = enter(gate, 1, &victim);
    second = enter(gate, 1, &victim);
    assert_int_not_equal(enter(gate, 2, &victim), 0);
    assert_int_equal(victim, 0);
    http_gate_busy(gate, first);
    assert_int_not_equal(enter(gate, 1, &victim), 0);
    assert_int_equal(victim, second); /* its own, not the other address's older one */
    assert_int_equal(http_gate_count(gate), 3);
    http_gate_free(gate);
}

static void test_addresses(void **state)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    struct http_gate_address a = http_gate_address_of((struct sockaddr *)(void *)&four);
    struct http_gate_address b;

    (void)state;
    six.sin6_addr.s6_addr[10] = six.sin6_addr.s6_addr[11] = 0xff;
    six.sin6_addr.s6_addr[12] = 127;
    six.sin6_addr.s6_addr[15] = 1;
    b = http_gate_address_of((struct sockaddr *)(void *)&six);
    assert_memory_equal(&a, &b, sizeof(a)); /* one client, whichever socket it came through */
    six.sin6_addr = (struct in6_addr){.s6_addr = {0x20, 1, 0xd, 0xb8, 0, 1, 0, 2, 9, 9}};
    a = http_gate_address_of((struct sockaddr *)(void *)&six);
    six.sin6_addr.s6_addr[9] = 1;
    b = http_gate_address_of((struct sockaddr *)(void *)&six);
    assert_memory_equal(&a, &b, sizeof(a)); /* the same site */
    six.sin6_addr.s6_addr[7] = 1;
    b = http_gate_address_of((struct sockaddr *)(void *)&six);
    assert_memory_not_equal(&a, &b, sizeof(a));
}

/* Every ticket that left is dead, whatever is said about it later. */
static void test_random_traffic_keeps_its_counts(void **state)
{
    struct http_gate *gate;
    uint64_t tickets[16] = {0};
    uint64_t dead[64] = {0};
    uint64_t seed = 0x9a7e;
    uint64_t victim;

    (void)state;
    assert_ok(http_gate_new(16, 5, &gate));
    for (int round = 0; round < 20000; round++) {
        size_t i = test_random_below(&seed, 16);
        uint32_t alive = 0;

        switch (test_random_below(&seed, 5)) {
        case 0:
            http_gate_busy(gate, tickets[i]);
            break;
        case 1:
            http_gate_waiting(gate, tickets[i]);
            break;
        case 2:
            dead[test_random_below(&seed, 64)] = tickets[i];
            http_gate_leave(gate, tickets[i]);
            tickets[i] = 0;
            break;
        case 3:
            http_gate_leave(gate, dead[test_random_below(&seed, 64)]);
            break;
        default:
            if (tickets[i])
                break;
            tickets[i] = enter(gate, (uint8_t)test_random_below(&seed, 4), &victim);
            for (size_t j = 0; j < 16 && victim; j++) {
                if (tickets[j] == victim)
                    tickets[j] = 0;
            }
        }
        for (size_t j = 0; j < 16; j++)
            alive += tickets[j] != 0;
        assert_int_equal(http_gate_count(gate), alive);
    }
    http_gate_free(gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_longest_waiting_gives_way),
        cmocka_unit_test(test_one_address_cannot_take_all),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_random_traffic_keeps_its_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
