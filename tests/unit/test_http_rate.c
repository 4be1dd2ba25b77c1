/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "daemon/config_values.h"
#include "daemon/http_forwarded.h"
#include "daemon/http_rate.h"
#include "protocol/seal.h"

#define S UINT64_C(1000000)

static void key_of(unsigned number, uint8_t key[HTTP_RATE_KEY_BYTES])
{
    memset(key, 0, HTTP_RATE_KEY_BYTES);
    put_u32be(key, number);
}

/* Too strict locks an office out, too lax is no limit: both would show only in a bad hour. */
static void test_bucket_agrees_with_a_count_of_seconds(void **state)
{
    enum { PER_S = 4, BURST = PER_S * HTTP_RATE_BURST_S };
    struct http_rate *rate;
    uint8_t key[HTTP_RATE_KEY_BYTES], other[HTTP_RATE_KEY_BYTES];
    uint64_t now_us = 5 * S;
    double tokens = BURST; /* the same, as one would count on paper */
    uint32_t wait_s = 0;
    unsigned passed = 0;

    (void)state;
    assert_int_equal(http_rate_new(PER_S, &rate), TORG_OK);
    key_of(1, key);
    key_of(2, other);
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t step_us = i % 7 * S / 32 + (i == 1000 ? 100 * S : 0);
        bool expected;

        now_us += step_us;
        tokens += (double)(step_us * PER_S) / (double)S;
        tokens = tokens > BURST ? BURST : tokens;
        expected = tokens >= 1;
        tokens -= expected;
        assert_int_equal(http_rate_take(rate, key, now_us, &wait_s), expected);
        passed += expected;
        if (!expected)
            assert_true(wait_s >= 1 && wait_s <= HTTP_RATE_BURST_S);
    }
    assert_true(passed > BURST && passed < 2000);
    assert_true(http_rate_take(rate, other, now_us, &wait_s));
    http_rate_free(rate);
}

/* Strangers may push each other out of the table, never somebody who is at his limit. */
static void test_many_strangers_do_not_free_the_greedy(void **state)
{
    struct http_rate *rate;
    uint8_t key[HTTP_RATE_KEY_BYTES];
    uint32_t wait_s;

    (void)state;
    assert_int_equal(http_rate_new(1, &rate), TORG_OK);
    key_of(0, key);
    for (unsigned i = 0; i < HTTP_RATE_BURST_S; i++)
        assert_true(http_rate_take(rate, key, S, &wait_s));
    for (unsigned i = 1; i < 100000; i++) {
        uint8_t stranger[HTTP_RATE_KEY_BYTES];

        key_of(i, stranger);
        assert_true(http_rate_take(rate, stranger, S, &wait_s));
    }
    assert_false(http_rate_take(rate, key, S, &wait_s));
    assert_int_equal(wait_s, 1);
    assert_true(http_rate_take(rate, key, 3 * S, &wait_s));
    http_rate_free(rate);
    assert_int_equal(http_rate_new(0, &rate), TORG_OK); /* no limit */
    for (unsigned i = 0; i < 1000; i++)
        assert_true(http_rate_take(rate, key, S, &wait_s));
    http_rate_free(rate);
}

struct forwarded_case {
    const char *peer, *fields;
    const char *address, *host;
    bool https;
};

static void address_of(const char *text, uint8_t address[16])
{
    struct config_network network;
    size_t count;

    assert_true(config_read_networks(text, &network, &count));
    memcpy(address, network.address, 16);
}

static void check_forwarded(const struct config *config, const struct forwarded_case *c)
{
    struct http_request request;
    struct http_refusal refusal;
    struct http_client client;
    uint8_t peer[16], expected[16];
    char head[1024];
    int size =
        snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: own.example\r\n%s\r\n", c->fields);

    assert_int_equal(http_request_parse(span_of(head, (size_t)size), &request, &refusal), TORG_OK);
    address_of(c->peer, peer);
    address_of(c->address, expected);
    http_forwarded_read(&request, config, peer, false, &client);
    if (memcmp(client.address, expected, sizeof(expected)) != 0 || client.https != c->https ||
        !span_equal(client.host, span_of_str(c->host)))
        fail_msg("%s from %s: host %.*s", c->fields, c->peer, (int)client.host.size,
                 (const char *)client.host.data);
}

/* Who may say who he is can escape every limit, and send visitors wherever he wants. */
static void test_only_our_proxies_are_believed(void **state)
{
    static const struct forwarded_case cases[] = {
        {"10.1.2.3", "", "10.1.2.3", "own.example", false},
        {"192.0.2.1", "X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-Proto: https\r\n", "192.0.2.1",
         "own.example", false},
        {"192.0.2.1", "Forwarded: for=198.51.100.1;proto=https;host=evil.example\r\n", "192.0.2.1",
         "own.example", false},
        {"10.1.2.3", "X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-Proto: https\r\n",
         "198.51.100.1", "own.example", true},
        {"10.1.2.3", "X-Forwarded-For: 203.0.113.5, 198.51.100.1, 10.9.9.9\r\n", "198.51.100.1",
         "own.example", false},
        {"10.1.2.3", "X-Forwarded-For: 203.0.113.5\r\nX-Forwarded-For: 198.51.100.2\r\n",
         "198.51.100.2", "own.example", false},
        {"10.1.2.3", "X-Forwarded-For: 198.51.100.1:8080\r\nX-Forwarded-Host: a.example:8443\r\n",
         "198.51.100.1", "a.example:8443", false},
        {"10.1.2.3", "X-Forwarded-Host: a\"><b>\r\n", "10.1.2.3", "own.example", false},
        {"10.1.2.3", "X-Forwarded-For: unknown\r\n", "10.1.2.3", "own.example", false},
        {"10.1.2.3", "X-Forwarded-For: 203.0.113.5, _secret\r\n", "10.1.2.3", "own.example", false},
        {"2001:db8::1", "Forwarded: For=\"[2001:db8:5::7]:4711\" ; Proto=HTTPS;host=b.example\r\n",
         "2001:db8:5::7", "b.example", true},
        {"10.1.2.3", "Forwarded: for=203.0.113.5, for=198.51.100.4;proto=https\r\n", "198.51.100.4",
         "own.example", true},
        {"10.1.2.3",
         "Forwarded: for=198.51.100.4;host=a.example\r\nX-Forwarded-For: 198.51.100.5\r\n"
         "X-Forwarded-Proto: https\r\n",
         "10.1.2.3", "own.example", true},
        {"10.1.2.3",
         "Forwarded: for=198.51.100.4;host=a.example\r\nX-Forwarded-For: 198.51.100.4\r\n"
         "X-Forwarded-Host: a.example\r\n",
         "198.51.100.4", "a.example", false},
        /* What the proxy has added stands behind the client's quotation mark. */
        {"10.1.2.3", "X-Forwarded-For: 203.0.113.5:\", 198.51.100.1\r\n", "198.51.100.1",
         "own.example", false},
        {"10.1.2.3",
         "Forwarded: for=203.0.113.5;host=b.example;a=\", for=198.51.100.4;proto=https\r\n",
         "198.51.100.4", "own.example", true},
        {"10.1.2.3", "X-Forwarded-Host: b.example:\", a.example\r\n", "10.1.2.3", "a.example",
         false},
        {"10.1.2.3", "X-Forwarded-For: 10.0.0.1, 10.0.0.2\r\n", "10.0.0.1", "own.example", false},
    };
    struct config config = {0};

    (void)state;
    assert_true(config_read_networks("10.0.0.0/8, 2001:db8::/64", config.http_proxies,
                                     &config.http_proxy_count));
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        check_forwarded(&config, &cases[i]);
}

static void test_networks(void **state)
{
    static const char *const wrong[] = {"",          "x",          "10.0.0.0/33", "10.0.0.0/",
                                        "::/129",    "10.0.0/8",   "1.2.3.4/-1",  "1.2.3.4,",
                                        "1.2.3.4 5", "1.2.3.4/8x", "localhost"};
    struct config_network list[CONFIG_NETWORKS_MAX];
    uint8_t address[16];
    size_t count;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_false(config_read_networks(wrong[i], list, &count));
    assert_true(config_read_networks("172.16.0.0/12 , 192.0.2.7", list, &count));
    assert_int_equal(count, 2);
    address_of("172.31.255.255", address);
    assert_true(config_network_holds(&list[0], address));
    assert_false(config_network_holds(&list[1], address));
    address_of("172.32.0.0", address);
    assert_false(config_network_holds(&list[0], address));
    assert_true(config_read_networks("none", list, &count));
    assert_int_equal(count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bucket_agrees_with_a_count_of_seconds),
        cmocka_unit_test(test_many_strangers_do_not_free_the_greedy),
        cmocka_unit_test(test_only_our_proxies_are_believed),
        cmocka_unit_test(test_networks),
    };

    return seal_init() ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
