/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "daemon/transport.h"

#define WAIT_MS_MAX 10000
#define DIAL 77

/* One end: a transport and what its callbacks said. */
struct end {
    struct transport *transport;
    struct secret_key secret;
    struct public_key key;
    uint16_t port;
    unsigned connected, disconnected, failed, refused;
    uint32_t link, dial;
    struct public_key peer;
    char why[128];
    struct buffer got;
    size_t drained;
    bool echo;
};

static struct event_base *base;

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void on_connected(void *context, uint32_t link, const struct public_key *key, uint32_t dial)
{
    struct end *end = context;

    end->connected++;
    end->link = link;
    end->peer = *key;
    end->dial = dial;
}

static void on_bytes(void *context, uint32_t link, struct span bytes)
{
    struct end *end = context;

    buffer_put_span(&end->got, bytes);
    if (end->echo)
        transport_send(end->transport, link, bytes);
}

static void on_drained(void *context, uint32_t link, size_t queued_bytes)
{
    struct end *end = context;

    (void)link;
    end->drained = queued_bytes;
}

static void on_disconnected(void *context, uint32_t link, const char *why)
{
    struct end *end = context;

    assert_int_equal(link, end->link);
    end->disconnected++;
    snprintf(end->why, sizeof(end->why), "%s", why);
}

static void on_dial_failed(void *context, uint32_t dial, const char *why)
{
    struct end *end = context;

    end->failed++;
    end->dial = dial;
    snprintf(end->why, sizeof(end->why), "%s", why);
}

static void on_refused(void *context, const char *address, const char *why)
{
    struct end *end = context;

    assert_int_equal(strncmp(address, "127.0.0.1:", 10), 0);
    end->refused++;
    snprintf(end->why, sizeof(end->why), "%s", why);
}

static void end_init(struct end *end, uint8_t seed_byte, uint32_t handshakes, uint32_t per_address,
                     uint32_t handshake_ms)
{
    uint8_t seed[32];
    struct transport_options options = {
        .base = base,
        .handshakes_max = handshakes,
        .handshakes_per_address = per_address,
        .handshake_ms_max = handshake_ms,
        .callbacks = {end, on_connected, on_bytes, on_drained, on_disconnected, on_dial_failed,
                      on_refused},
    };
    struct config_address address = {.host = "127.0.0.1"};

    *end = (struct end){0};
    memset(seed, seed_byte, sizeof(seed));
    seal_key_of_seed(seed, &end->secret, &end->key);
    options.node_key = end->secret;
    assert_ok(transport_new(&options, &end->transport));
    assert_ok(transport_listen(end->transport, &address, &end->port));
    assert_true(end->port > 0);
}

static void end_done(struct end *end)
{
    transport_free(end->transport);
    buffer_done(&end->got);
}

static void dial_keys(struct end *from, const struct end *to, const struct public_key *keys,
                      size_t count)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(to->port)};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    transport_dial(from->transport, (struct sockaddr *)&address, sizeof(address), keys, count,
                   DIAL);
}

/* Run the base until condition holds; it must before long. */
#define PUMP_UNTIL(condition)                                                                      \
    do {                                                                                           \
        int64_t pump_until = now_ms() + WAIT_MS_MAX;                                               \
        while (!(condition)) {                                                                     \
            if (now_ms() > pump_until)                                                             \
                fail_msg("%s did not come", #condition);                                           \
            event_base_loop(base, EVLOOP_NONBLOCK);                                                \
            usleep(200);                                                                           \
        }                                                                                          \
    } while (0)

static void pump_ms(int64_t ms)
{
    int64_t until = now_ms() + ms;

    while (now_ms() < until) {
        event_base_loop(base, EVLOOP_NONBLOCK);
        usleep(200);
    }
}

static void connect_both(struct end *a, struct end *b)
{
    assert_ok(transport_set_pins(b->transport, &a->key, 1));
    dial_keys(a, b, &b->key, 1);
    PUMP_UNTIL(a->connected == 1 && b->connected == 1);
}

/* Bytes changed, lost or doubled on the way would break every frame after them. */
static void test_pinned_ends_exchange_bytes(void **state)
{
    struct end a, b;
    struct buffer sent = {0};
    struct transport_counters counters;
    uint64_t random = 0x51f3;

    (void)state;
    end_init(&a, 1, 8, 8, 0);
    end_init(&b, 2, 8, 8, 0);
    b.echo = true;
    connect_both(&a, &b);
    assert_memory_equal(&a.peer, &b.key, sizeof(a.peer));
    assert_memory_equal(&b.peer, &a.key, sizeof(b.peer));
    assert_int_equal(a.dial, DIAL);
    assert_int_equal(b.dial, 0);
    while (sent.size < 3000000) {
        uint8_t piece[70000];
        size_t size = 1 + test_random_below(&random, sizeof(piece));

        for (size_t i = 0; i < size; i++)
            piece[i] = (uint8_t)test_random(&random);
        transport_send(a.transport, a.link, span_of(piece, size));
        buffer_put(&sent, piece, size);
    }
    assert_true(transport_queued(a.transport, a.link) > 0);
    PUMP_UNTIL(a.got.size >= sent.size);
    assert_true(span_equal(buffer_span(&a.got), buffer_span(&sent)));
    assert_true(span_equal(buffer_span(&b.got), buffer_span(&sent)));
    assert_int_equal(a.drained, 0);
    transport_counters(b.transport, &counters);
    assert_int_equal(counters.links, 1);
    assert_int_equal(counters.handshakes, 0);
    assert_int_equal(counters.accepted, 1);
    buffer_done(&sent);
    end_done(&a);
    end_done(&b);
}

/* The last frame says why a link is closed: cut short, the other end would learn nothing. */
static void test_close_sends_what_is_queued(void **state)
{
    static uint8_t bytes[1000000];
    struct end a, b;

    (void)state;
    end_init(&a, 1, 8, 8, 0);
    end_init(&b, 2, 8, 8, 0);
    connect_both(&a, &b);
    transport_send(b.transport, b.link, span_of(bytes, 5000)); /* unread when a closes */
    transport_send(a.transport, a.link, span_of(bytes, sizeof(bytes)));
    transport_close(a.transport, a.link);
    transport_send(a.transport, a.link, span_of(bytes, 1)); /* passed over */
    PUMP_UNTIL(a.disconnected == 1 && b.disconnected == 1);
    assert_int_equal(b.got.size, sizeof(bytes));
    assert_int_equal(a.got.size, 0);
    assert_string_equal(a.why, "closed here");
    assert_string_equal(b.why, "closed by the other end");
    end_done(&a);
    end_done(&b);
}

static void test_unknown_key_is_refused_by_the_listener(void **state)
{
    struct end a, b;

    (void)state;
    end_init(&a, 1, 8, 8, 0);
    end_init(&b, 2, 8, 8, 0);
    assert_ok(transport_set_pins(b.transport, &b.key, 1)); /* not a's */
    dial_keys(&a, &b, &b.key, 1);
    PUMP_UNTIL(b.refused == 1 && a.disconnected + a.failed == 1);
    assert_int_equal(b.connected, 0);
    assert_string_equal(b.why, "its key is not pinned here");
    assert_string_equal(a.why, "refused by the other end: it does not know our node key");
    end_done(&a);
    end_done(&b);
}

static void test_unknown_key_is_refused_by_the_dialler(void **state)
{
    struct end a, b;

    (void)state;
    end_init(&a, 1, 8, 8, 0);
    end_init(&b, 2, 8, 8, 0);
    assert_ok(transport_set_pins(b.transport, &a.key, 1));
    assert_ok(
        transport_set_pins(a.transport, &b.key, 1)); /* it may dial us, but is not who we dial */
    dial_keys(&a, &b, &a.key, 1);
    PUMP_UNTIL(a.failed == 1);
    assert_int_equal(a.connected, 0);
    assert_int_equal(a.dial, DIAL);
    assert_string_equal(a.why, "its key is not pinned here");
    PUMP_UNTIL(b.refused == 1);
    assert_int_equal(b.connected, 0);
    end_done(&a);
    end_done(&b);
}

static void test_either_of_two_pins_will_do(void **state)
{
    struct end a, b;

    (void)state;
    end_init(&a, 1, 8, 8, 0);
    end_init(&b, 2, 8, 8, 0);
    assert_ok(transport_set_pins(b.transport, (struct public_key[]){b.key, a.key}, 2));
    dial_keys(&a, &b, (struct public_key[]){a.key, b.key}, 2);
    PUMP_UNTIL(a.connected == 1 && b.connected == 1);
    end_done(&a);
    end_done(&b);
}

static void test_nobody_listens(void **state)
{
    struct end a, b;

    (void)state;
    end_init(&a, 1, 8, 8, 0);
    end_init(&b, 2, 8, 8, 0);
    transport_free(b.transport);
    b.transport = NULL;
    dial_keys(&a, &b, &b.key, 1);
    assert_int_equal(a.failed, 0); /* never from within the call */
    PUMP_UNTIL(a.failed == 1);
    assert_string_equal(a.why, "Connection refused");
    end_done(&a);
    end_done(&b);
}

/* ---- strangers, with OpenSSL or bare TCP in a thread of their own ---- */

struct stranger {
    uint16_t port;
    int version_max;
    bool connected; /* its handshake and a first read went through */
};

static int connect_tcp(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void *run_stranger(void *context)
{
    struct stranger *stranger = context;
    SSL_CTX *context_ssl = SSL_CTX_new(TLS_client_method());
    SSL *ssl;
    char byte;
    int fd = connect_tcp(stranger->port);

    SSL_CTX_set_max_proto_version(context_ssl, stranger->version_max);
    ssl = SSL_new(context_ssl);
    SSL_set_fd(ssl, fd);
    if (SSL_connect(ssl) == 1)
        stranger->connected = SSL_read(ssl, &byte, 1) > 0;
    SSL_free(ssl);
    SSL_CTX_free(context_ssl);
    close(fd);
    return NULL;
}

static void refuse_stranger(int version_max, const char *why)
{
    struct end a;
    struct stranger stranger = {.version_max = version_max};
    pthread_t thread;

    end_init(&a, 1, 8, 8, 0);
    assert_ok(transport_set_pins(a.transport, &a.key, 1));
    stranger.port = a.port;
    pthread_create(&thread, NULL, run_stranger, &stranger);
    PUMP_UNTIL(a.refused == 1);
    pthread_join(thread, NULL);
    assert_false(stranger.connected);
    assert_int_equal(a.connected, 0);
    if (!strstr(a.why, why))
        fail_msg("\"%s\" expected, got \"%s\"", why, a.why);
    end_done(&a);
}

static void test_no_certificate_is_refused(void **state)
{
    (void)state;
    refuse_stranger(TLS1_3_VERSION, "peer did not return a certificate");
}

static void test_tls_1_2_is_refused(void **state)
{
    (void)state;
    refuse_stranger(TLS1_2_VERSION, "unsupported protocol");
}

/* Who connects and says nothing must not hold a place for ever. */
static void test_silent_handshake_ends(void **state)
{
    struct end a;
    int fd;

    (void)state;
    end_init(&a, 1, 8, 8, 50);
    fd = connect_tcp(a.port);
    assert_true(fd >= 0);
    PUMP_UNTIL(a.refused == 1);
    assert_string_equal(a.why, "TLS handshake not done in time");
    close(fd);
    end_done(&a);
}

static void test_handshakes_per_address_are_bounded(void **state)
{
    struct transport_counters counters;
    struct end a;
    int fds[5];

    (void)state;
    end_init(&a, 1, 100, 3, 0);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        fds[i] = connect_tcp(a.port);
    PUMP_UNTIL(a.refused == 2);
    assert_string_equal(a.why, "too many handshakes at one time from this address");
    transport_counters(a.transport, &counters);
    assert_int_equal(counters.handshakes, 3);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        close(fds[i]);
    end_done(&a);
}

/* Silent connections must not keep a real peer out. */
static void oldest_gives_way(uint32_t handshakes, uint32_t per_address, const char *why)
{
    struct end a, b;
    int fds[3];

    end_init(&a, 1, handshakes, per_address, 0);
    end_init(&b, 2, 8, 8, 0);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        fds[i] = connect_tcp(a.port);
    pump_ms(50);
    assert_ok(transport_set_pins(a.transport, &b.key, 1));
    dial_keys(&b, &a, &a.key, 1);
    PUMP_UNTIL(a.connected == 1 && b.connected == 1 && a.refused >= 1);
    assert_string_equal(a.why, why);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        close(fds[i]);
    end_done(&a);
    end_done(&b);
}

static void test_oldest_handshake_gives_way(void **state)
{
    (void)state;
    oldest_gives_way(3, 100, "too many handshakes at one time");
    oldest_gives_way(100, 3, "too many handshakes at one time from this address");
}

/* A full writer stops reading; what was sent meanwhile must come later, whole. */
static void test_pause_holds_bytes_back(void **state)
{
    static uint8_t bytes[200000];
    struct end a, b;

    (void)state;
    end_init(&a, 1, 8, 8, 0);
    end_init(&b, 2, 8, 8, 0);
    connect_both(&a, &b);
    transport_pause(b.transport, true);
    transport_send(a.transport, a.link, span_of(bytes, sizeof(bytes)));
    pump_ms(100);
    assert_int_equal(b.got.size, 0);
    transport_pause(b.transport, false);
    PUMP_UNTIL(b.got.size == sizeof(bytes));
    end_done(&a);
    end_done(&b);
}

static void test_taken_port_is_told(void **state)
{
    struct end a;
    struct config_address address = {.host = "127.0.0.1"};

    (void)state;
    end_init(&a, 1, 8, 8, 0);
    address.port = a.port;
    errno = 0;
    assert_err(transport_listen(a.transport, &address, NULL), TORG_E_IO);
    assert_int_equal(errno, EADDRINUSE);
    end_done(&a);
}

static int setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN); /* as main does */
    base = event_base_new();
    return !base || seal_init() ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    event_base_loop(base, EVLOOP_NONBLOCK);
    event_base_free(base);
    libevent_global_shutdown();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pinned_ends_exchange_bytes),
        cmocka_unit_test(test_close_sends_what_is_queued),
        cmocka_unit_test(test_unknown_key_is_refused_by_the_listener),
        cmocka_unit_test(test_unknown_key_is_refused_by_the_dialler),
        cmocka_unit_test(test_either_of_two_pins_will_do),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_no_certificate_is_refused),
        cmocka_unit_test(test_tls_1_2_is_refused),
        cmocka_unit_test(test_silent_handshake_ends),
        cmocka_unit_test(test_handshakes_per_address_are_bounded),
        cmocka_unit_test(test_oldest_handshake_gives_way),
        cmocka_unit_test(test_pause_holds_bytes_back),
        cmocka_unit_test(test_taken_port_is_told),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
