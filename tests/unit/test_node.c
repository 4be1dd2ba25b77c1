/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/node.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/guard.h"
#include "daemon/keyfile.h"
#include "daemon/log.h"
#include "daemon/peers.h"
#include "index/settings.h"
#include "protocol/profile.h"
#include "tests/support/test.h"
#include "tests/support/town.h"

/*
 * Whole nodes in one process, talking over the loopback: a hub that is dialled,
 * and others that dial it. Nothing here is replaced by something simpler.
 */
#define WAIT_MS_MAX 20000
#define HOSTS_MAX 3

struct host {
    char directory[64];
    char message[NODE_MESSAGE_BYTES_MAX];
    struct town town;
    struct secret_key node_secret;
    struct public_key node_key;
    struct config config;
    struct node *node;
    uint16_t port;
    unsigned count; /* listings written so far */
};

static void quiet(bool on)
{
    static int null = -1;

    if (null < 0)
        null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    log_set_descriptor(on ? null : STDERR_FILENO);
}

static void write_key(const struct host *host, const char *name, const struct secret_key *secret)
{
    char message[KEYFILE_MESSAGE_BYTES_MAX];

    /* The seed is the first half of libsodium's secret key. */
    assert_ok(keyfile_write(host->directory, name, "of a test", secret->bytes, message));
}

/* What torg init does. */
static void host_found(struct host *host, uint64_t seed)
{
    struct charter_signed charters[TOWN_CHARTERS_MAX];
    struct replica_write write = {.kind = REPLICA_WRITE_CHARTERS};
    struct store_options options = store_options_default();
    uint8_t node_seed[32];
    struct store *store;
    struct kv kv;

    *host = (struct host){0};
    snprintf(host->directory, sizeof(host->directory), "/tmp/torg-test-node.XXXXXX");
    assert_non_null(mkdtemp(host->directory));
    town_init(&host->town, seed);
    memset(node_seed, (int)seed + 100, sizeof(node_seed));
    seal_key_of_seed(node_seed, &host->node_secret, &host->node_key);
    write_key(host, KEYFILE_NODE, &host->node_secret);
    write_key(host, KEYFILE_SIGNING, &host->town.signer.key);
    assert_ok(store_open(host->directory, &options, &store));
    write.origin = host->town.id;
    write.charters = charters;
    write.charter_count = town_charters(&host->town, 0, charters);
    assert_ok(store_write_begin(store, &kv));
    assert_ok(replica_apply(&kv, &write, NULL));
    assert_ok(settings_own_set(&kv, &host->town.id));
    assert_ok(store_write_commit(&kv));
    store_close(store);
}

static void remove_file(const struct host *host, const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", host->directory, name);
    unlink(path);
}

static void copy_file(const struct host *host, const char *from, const char *to)
{
    char command[400];

    snprintf(command, sizeof(command), "cp %s/%s %s/%s", host->directory, from, host->directory,
             to);
    assert_int_equal(system(command), 0);
}

static void host_stop(struct host *host)
{
    node_stop(host->node);
    host->node = NULL;
    config_done(&host->config);
}

static void host_done(struct host *host)
{
    static const char *const names[] = {
        "torg.mdb",   "torg.mdb-lock", "torg.lock",    "torg.journal",    GUARD_FILE,
        KEYFILE_NODE, KEYFILE_SIGNING, "admin.secret", "federation.conf", "old"};

    host_stop(host);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        remove_file(host, names[i]);
    assert_int_equal(rmdir(host->directory), 0);
    town_done(&host->town);
}

static void hex_line(FILE *out, const char *key, const void *bytes)
{
    char hex[65];

    hex_encode(bytes, 32, hex);
    fprintf(out, "%s = %s\n", key, hex);
}

/* hub NULL: it is the hub, dialled by all others. */
static void config_make(struct host *host, const struct host *hub, const struct host *hosts,
                        size_t count, struct config *ret_config)
{
    char path[128], message[512], key[64];
    FILE *out;

    snprintf(path, sizeof(path), "%s/federation.conf", host->directory);
    out = fopen(path, "we");
    assert_non_null(out);
    fprintf(out, "[municipality]\nname = test\ndirectory = .\nkeys = .\n[http]\nlisten = none\n"
                 "[admin]\nlisten = none\n[limits]\nmap-size = 64 MiB\n[log]\nlevel = error\n"
                 "[peer-listen]\n");
    if (hub)
        fprintf(out, "listen = none\n[trust]\n");
    else
        fprintf(out, "listen = 127.0.0.1:%u\n[trust]\n", host->port);
    for (size_t i = 0; i < count; i++) {
        snprintf(key, sizeof(key), "origin town%zu", i);
        hex_line(out, key, hosts[i].town.id.bytes);
    }
    for (size_t i = 0; i < count; i++) {
        if (&hosts[i] == host || (hub && &hosts[i] != hub))
            continue;
        fprintf(out, "[peer host%zu]\n", i);
        if (hub)
            fprintf(out, "address = localhost:%u\n", hub->port);
        hex_line(out, "key", hosts[i].node_key.bytes);
    }
    fclose(out);
    if (config_read(path, ret_config, message, sizeof(message)))
        fail_msg("%s", message);
}

static void host_start(struct host *host, const struct host *hub, const struct host *hosts,
                       size_t count)
{
    config_make(host, hub, hosts, count, &host->config);
    if (node_start(&host->config, false, &host->node, host->message))
        fail_msg("%s", host->message);
    if (!hub)
        host->port = node_ports(host->node).peers;
}

/* hosts[0] is the hub. */
static void hosts_start(struct host *hosts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        host_found(&hosts[i], i + 1);
    for (size_t i = 0; i < count; i++)
        host_start(&hosts[i], i ? &hosts[0] : NULL, hosts, count);
}

static void hosts_done(struct host *hosts, size_t count)
{
    for (size_t i = count; i-- > 0;)
        host_done(&hosts[i]);
}

/* ---- writing and looking ---- */

struct answer {
    pthread_mutex_t mutex;
    pthread_cond_t came;
    bool done;
    struct writer_result result;
};

static void on_done(void *context, const struct writer_result *result)
{
    struct answer *answer = context;

    pthread_mutex_lock(&answer->mutex);
    answer->done = true;
    answer->result = *result;
    pthread_cond_signal(&answer->came);
    pthread_mutex_unlock(&answer->mutex);
}

static struct listing_id id_of(const struct host *host, unsigned number)
{
    struct listing_id id = {{0}};

    put_u64be(id.bytes, host->town.seed);
    put_u64be(id.bytes + 8, number);
    return id;
}

static struct writer_result write_listing(struct host *host, unsigned number, bool remove)
{
    struct answer answer = {.mutex = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER};
    struct local_change change = {.collection = COLLECTION_OFFERS, .id = id_of(host, number)};
    static const uint8_t nonce[16] = {1};
    struct buffer body = {0}, payload = {0};
    enum torg_err err;

    pack_map(&body, 1);
    pack_str(&body, span_of_str("people"));
    pack_uint(&body, number);
    payload_pack(nonce, PAYLOAD_SCHEMA, buffer_span(&body), &payload);
    if (!remove)
        change.payload = buffer_span(&payload);
    err = writer_submit_local(host->node->writer, &change, 1, NULL, NULL, on_done, &answer);
    if (err)
        answer.result.err = err;
    pthread_mutex_lock(&answer.mutex);
    while (!err && !answer.done)
        pthread_cond_wait(&answer.came, &answer.mutex);
    pthread_mutex_unlock(&answer.mutex);
    buffer_done(&body);
    buffer_done(&payload);
    return answer.result;
}

static void pause_ms(unsigned ms)
{
    usleep(ms * 1000);
}

static void wait_state(const struct host *host, enum writer_state state)
{
    for (unsigned ms = 0; ms < WAIT_MS_MAX; ms += 5) {
        if (writer_state(host->node->writer) == state)
            return;
        pause_ms(5);
    }
    fail_msg("state %s, not %s: %s", writer_state_name(writer_state(host->node->writer)),
             writer_state_name(state), writer_state_reason(host->node->writer));
}

/* What at holds of the origin of from. */
static bool held(const struct host *at, const struct host *from, struct replica_origin *ret_origin)
{
    enum torg_err err;
    struct kv kv;

    assert_ok(store_read_begin(at->node->store, &kv));
    err = replica_origin_get(&kv, &from->town.id, ret_origin);
    store_read_end(&kv);
    return err == TORG_OK && ret_origin->has_head;
}

/* Until at holds exactly what from has signed last. */
static void wait_same(const struct host *at, const struct host *from)
{
    struct replica_origin want = {0}, got = {0};

    for (unsigned ms = 0; ms < WAIT_MS_MAX; ms += 5) {
        if (held(from, from, &want) && held(at, from, &got) &&
            memcmp(&got.head_hash, &want.head_hash, sizeof(got.head_hash)) == 0 &&
            replica_complete_mask(&got, COLLECTION_MASK_ALL) == COLLECTION_MASK_ALL)
            return;
        pause_ms(5);
    }
    fail_msg("head %llu, not %llu, is held", (unsigned long long)got.head.hno,
             (unsigned long long)want.head.hno);
}

/* ---- tests ---- */

/* The path of the whole system: written here, signed, relayed by another, held there. */
static void test_a_listing_goes_through_the_hub_and_back(void **state)
{
    struct host hosts[HOSTS_MAX];
    struct peer_view views[HOSTS_MAX];

    (void)state;
    hosts_start(hosts, HOSTS_MAX);
    for (size_t i = 0; i < HOSTS_MAX; i++) {
        wait_state(&hosts[i], WRITER_READY);
        for (unsigned n = 0; n < 20; n++)
            assert_ok(write_listing(&hosts[i], n, false).err);
    }
    for (size_t i = 0; i < HOSTS_MAX; i++)
        for (size_t j = 0; j < HOSTS_MAX; j++)
            wait_same(&hosts[i], &hosts[j]);
    assert_ok(write_listing(&hosts[1], 3, true).err);
    wait_same(&hosts[2], &hosts[1]);
    pause_ms(500); /* the views follow in a fifth of a second */
    assert_int_equal(peers_view(hosts[1].node->peers, views, HOSTS_MAX), 1);
    assert_string_equal(views[0].name, "host0");
    assert_int_equal(views[0].status.state, SYNC_PEER_OPEN);
    assert_true(views[0].status.answered);
    assert_int_equal(peers_view(hosts[0].node->peers, views, HOSTS_MAX), 2);
    hosts_done(hosts, HOSTS_MAX);
}

static void test_a_restarted_hub_catches_up(void **state)
{
    struct host hosts[2];

    (void)state;
    hosts_start(hosts, 2);
    wait_state(&hosts[1], WRITER_READY);
    assert_ok(write_listing(&hosts[1], 1, false).err);
    wait_same(&hosts[0], &hosts[1]);
    host_stop(&hosts[0]);
    for (unsigned n = 2; n < 40; n++)
        assert_ok(write_listing(&hosts[1], n, false).err);
    host_start(&hosts[0], NULL, hosts, 2);
    wait_same(&hosts[0], &hosts[1]);
    hosts_done(hosts, 2);
}

/* An old copy put back: what was published since comes home before anything is signed again. */
static void test_a_restored_database_gets_its_own_log_back(void **state)
{
    struct host hosts[2];
    struct replica_origin origin;

    (void)state;
    hosts_start(hosts, 2);
    wait_state(&hosts[1], WRITER_READY);
    for (unsigned n = 0; n < 5; n++)
        assert_ok(write_listing(&hosts[1], n, false).err);
    wait_same(&hosts[0], &hosts[1]);
    host_stop(&hosts[1]);
    copy_file(&hosts[1], "torg.mdb", "old");
    host_start(&hosts[1], &hosts[0], hosts, 2);
    wait_state(&hosts[1], WRITER_READY);
    for (unsigned n = 5; n < 10; n++)
        assert_ok(write_listing(&hosts[1], n, false).err);
    wait_same(&hosts[0], &hosts[1]);
    host_stop(&hosts[1]);
    copy_file(&hosts[1], "old", "torg.mdb");
    remove_file(&hosts[1], "torg.mdb-lock");
    quiet(true);
    host_start(&hosts[1], &hosts[0], hosts, 2);
    assert_err(write_listing(&hosts[1], 99, false).err, TORG_E_RECOVERING);
    wait_state(&hosts[1], WRITER_READY);
    quiet(false);
    assert_int_equal(write_listing(&hosts[1], 10, false).hno, 11);
    wait_same(&hosts[0], &hosts[1]);
    assert_true(held(&hosts[0], &hosts[1], &origin));
    assert_int_equal(origin.flags & REPLICA_FLAG_DISPUTED, 0);
    assert_int_equal(origin.held[COLLECTION_OFFERS].count, 11);
    hosts_done(hosts, 2);
}

/* Database and guard both from an old copy: only a peer can know. */
static void test_a_restored_guard_is_found_out_by_asking(void **state)
{
    struct host hosts[2];
    struct replica_origin origin;

    (void)state;
    hosts_start(hosts, 2);
    wait_state(&hosts[1], WRITER_READY);
    assert_ok(write_listing(&hosts[1], 1, false).err);
    wait_same(&hosts[0], &hosts[1]);
    host_stop(&hosts[1]);
    copy_file(&hosts[1], "torg.mdb", "old");
    copy_file(&hosts[1], GUARD_FILE, "oldguard");
    host_start(&hosts[1], &hosts[0], hosts, 2);
    wait_state(&hosts[1], WRITER_READY);
    assert_ok(write_listing(&hosts[1], 2, false).err);
    wait_same(&hosts[0], &hosts[1]);
    host_stop(&hosts[1]);
    copy_file(&hosts[1], "old", "torg.mdb");
    copy_file(&hosts[1], "oldguard", GUARD_FILE);
    remove_file(&hosts[1], "oldguard");
    remove_file(&hosts[1], "torg.mdb-lock");
    quiet(true);
    host_start(&hosts[1], &hosts[0], hosts, 2);
    wait_state(&hosts[1], WRITER_READY);
    quiet(false);
    assert_int_equal(write_listing(&hosts[1], 3, false).hno, 3);
    wait_same(&hosts[0], &hosts[1]);
    assert_true(held(&hosts[0], &hosts[1], &origin));
    assert_int_equal(origin.flags & REPLICA_FLAG_DISPUTED, 0);
    hosts_done(hosts, 2);
}

static void test_a_lost_guard_is_made_good_by_a_peer(void **state)
{
    struct host hosts[2];

    (void)state;
    hosts_start(hosts, 2);
    wait_state(&hosts[1], WRITER_READY);
    assert_ok(write_listing(&hosts[1], 1, false).err);
    wait_same(&hosts[0], &hosts[1]);
    host_stop(&hosts[1]);
    remove_file(&hosts[1], GUARD_FILE);
    quiet(true);
    host_start(&hosts[1], &hosts[0], hosts, 2);
    wait_state(&hosts[1], WRITER_READY);
    quiet(false);
    assert_int_equal(write_listing(&hosts[1], 2, false).hno, 2);
    hosts_done(hosts, 2);
}

static void wait_peer(const struct host *host, enum sync_peer_state state)
{
    struct peer_view view;

    for (unsigned ms = 0; ms < WAIT_MS_MAX; ms += 5) {
        if (peers_view(host->node->peers, &view, 1) == 1 && view.status.state == state)
            return;
        pause_ms(5);
    }
    fail_msg("the peer is %s", sync_peer_state_name(view.status.state));
}

static void test_reload_takes_and_drops_peers(void **state)
{
    struct host hosts[2], alone;
    struct config config;

    (void)state;
    hosts_start(hosts, 2);
    wait_peer(&hosts[0], SYNC_PEER_OPEN);
    alone = hosts[0]; /* the hub's configuration, without the other */
    config_make(&alone, NULL, &alone, 1, &config);
    assert_ok(node_reload(hosts[0].node, &config));
    config_done(&config);
    wait_peer(&hosts[1], SYNC_PEER_DOWN);
    for (unsigned ms = 0; ms < WAIT_MS_MAX && peers_view(hosts[0].node->peers, NULL, 0); ms += 5)
        pause_ms(5);
    assert_int_equal(peers_view(hosts[0].node->peers, NULL, 0), 0);
    config_make(&hosts[0], NULL, hosts, 2, &config);
    assert_ok(node_reload(hosts[0].node, &config));
    config_done(&config);
    wait_peer(&hosts[0], SYNC_PEER_OPEN);
    wait_state(&hosts[1], WRITER_READY);
    assert_ok(write_listing(&hosts[1], 1, false).err);
    wait_same(&hosts[0], &hosts[1]);
    hosts_done(hosts, 2);
}

/* Each wrong start names the place and what to do. */
static void refuse_start(struct host *host, const char *what, const char *remedy)
{
    struct node *node;

    host->message[0] = 0;
    if (!node_start(&host->config, false, &node, host->message))
        fail_msg("started, although: %s", what);
    if (!strstr(host->message, what) || !strstr(host->message, remedy))
        fail_msg("\"%s\" and \"%s\" expected, got: %s", what, remedy, host->message);
}

static void test_wrong_starts_say_what_to_do(void **state)
{
    struct host hosts[2];
    char path[128];
    struct store_options options = store_options_default();
    struct store *store;

    (void)state;
    hosts_start(hosts, 2);
    refuse_start(&hosts[0], hosts[0].directory, "stop it first");
    host_stop(&hosts[1]);
    /* The hub's port. */
    hosts[1].port = hosts[0].port;
    config_make(&hosts[1], NULL, hosts, 2, &hosts[1].config);
    refuse_start(&hosts[1], "Address already in use", "[peer-listen]");
    snprintf(path, sizeof(path), "%s/%s", hosts[1].directory, KEYFILE_SIGNING);
    assert_int_equal(chmod(path, 0644), 0);
    refuse_start(&hosts[1], KEYFILE_SIGNING, "chmod 600");
    assert_int_equal(unlink(path), 0);
    refuse_start(&hosts[1], KEYFILE_SIGNING, "torg init");
    write_key(&hosts[1], KEYFILE_SIGNING, &hosts[0].town.signer.key);
    refuse_start(&hosts[1], "does not list this key", "signing key of this municipality");
    assert_int_equal(unlink(path), 0);
    write_key(&hosts[1], KEYFILE_SIGNING, &hosts[1].node_secret);
    refuse_start(&hosts[1], "the same key", "one each");
    remove_file(&hosts[1], "torg.mdb");
    refuse_start(&hosts[1], "holds no data", "torg init");
    snprintf(path, sizeof(path), "%s/torg.mdb", hosts[1].directory);
    assert_int_not_equal(access(path, F_OK), 0); /* and none was made */
    assert_int_equal(
        unlink((snprintf(path, sizeof(path), "%s/%s", hosts[1].directory, KEYFILE_SIGNING), path)),
        0);
    write_key(&hosts[1], KEYFILE_SIGNING, &hosts[1].town.signer.key);
    assert_ok(store_open(hosts[1].directory, &options, &store));
    store_close(store);
    refuse_start(&hosts[1], "holds no data", "torg init");
    hosts_done(hosts, 2);
}

static int setup(void **state)
{
    (void)state;
    log_set_level(LOG_ERROR);
    signal(SIGPIPE, SIG_IGN); /* as main does */
    return seal_init() ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_listing_goes_through_the_hub_and_back),
        cmocka_unit_test(test_a_restarted_hub_catches_up),
        cmocka_unit_test(test_a_restored_database_gets_its_own_log_back),
        cmocka_unit_test(test_a_restored_guard_is_found_out_by_asking),
        cmocka_unit_test(test_a_lost_guard_is_made_good_by_a_peer),
        cmocka_unit_test(test_reload_takes_and_drops_peers),
        cmocka_unit_test(test_wrong_starts_say_what_to_do),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
