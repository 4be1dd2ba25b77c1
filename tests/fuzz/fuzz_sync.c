/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <string.h>

#include "protocol/sync.h"
#include "tests/support/town.h"

/*
 * Whatever a peer sends, in whatever order: the node stands, what it stores
 * verifies, and its own origin is as it was. Input: chunks of u16be size and
 * bytes, as the peer of tests/unit/test_sync_peer.c sends them; a size from
 * 0x8000 on lets so many times 10 ms pass instead. The seeds were recorded there.
 */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINK 1
#define PASS 0x8000u

struct node {
    struct town own, other;
    struct sync *sync;
    int64_t now_ms;
    bool closed;
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return seal_init();
}

static struct public_key key_of(uint8_t byte)
{
    struct public_key key;

    memset(key.bytes, byte, sizeof(key.bytes));
    return key;
}

static void step(struct node *node, struct sync_event event);

static void carry_out(struct node *node, struct sync_actions *actions)
{
    for (size_t i = 0; i < actions->count; i++) {
        struct sync_action *action = &actions->items[i];

        if (action->kind == SYNC_ACTION_CLOSE)
            node->closed = true;
        if (action->kind == SYNC_ACTION_STORE) {
            assert(memcmp(&action->store->write.origin, &node->own.id, sizeof(node->own.id)));
            step(node, (struct sync_event){
                           .kind = SYNC_EVENT_STORED,
                           .ticket = action->ticket,
                           .err = town_apply(node->own.mem, &action->store->write, NULL),
                       });
        }
    }
}

static void step(struct node *node, struct sync_event event)
{
    struct sync_actions actions = {0};
    struct kv read;
    enum torg_err err;

    event.now_ms = node->now_ms;
    event.clock_ms = 1790000000000 + node->now_ms;
    err = kv_mem_read_begin(node->own.mem, &read);
    assert(!err);
    err = sync_step(node->sync, &read, &event, &actions);
    assert(!err);
    kv_mem_read_end(&read);
    assert(actions.next_tick_ms >= 0);
    carry_out(node, &actions);
    sync_actions_done(&actions);
}

static void node_init(struct node *node)
{
    struct sync_peer_config peer = {
        .name = "peer",
        .keys = {key_of(0x50)},
        .key_count = 1,
    };
    struct sync_config config = {
        .node_key = key_of(0x55),
        .has_own = true,
        .peers = &peer,
        .peer_count = 1,
        .trusted_count = 1,
        .subscribe_mask = 0x21fe,
        .software = "test 1",
        .seed = 1,
        .limits = sync_limits_default(),
    };
    enum torg_err err;

    *node = (struct node){.now_ms = 1000};
    town_init(&node->own, 1);
    town_init(&node->other, 2);
    config.own = node->own.id;
    config.trusted = &node->other.id;
    config.limits.compress = 1; /* if its HELLO wants it */
    err = sync_new(&config, &node->sync);
    assert(!err);
    step(node, (struct sync_event){.kind = SYNC_EVENT_TICK});
    step(node, (struct sync_event){
                   .kind = SYNC_EVENT_CONNECTED,
                   .link = LINK,
                   .key = key_of(0x50),
               });
}

static void report(void *context, const char *what)
{
    (void)context;
    (void)what;
    assert(!"what is stored does not verify");
}

static void node_done(struct node *node)
{
    struct replica_origin record;
    struct kv read;
    enum torg_err err;

    err = kv_mem_read_begin(node->own.mem, &read);
    assert(!err);
    if (!replica_origin_get(&read, &node->other.id, &record)) {
        err = replica_verify(&read, &record, report, NULL);
        assert(!err);
    }
    kv_mem_read_end(&read);
    sync_free(node->sync);
    town_done(&node->own);
    town_done(&node->other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader in = reader_of(span_of(data, size));
    struct node node;

    node_init(&node);
    while (reader_left(&in) >= 2 && !node.closed) {
        uint16_t chunk = reader_u16be(&in);
        struct span bytes;

        if (chunk >= PASS) {
            node.now_ms += (chunk - PASS) * 10;
            step(&node, (struct sync_event){.kind = SYNC_EVENT_TICK});
            continue;
        }
        bytes = reader_bytes(&in, chunk < reader_left(&in) ? chunk : reader_left(&in));
        step(&node, (struct sync_event){
                        .kind = SYNC_EVENT_BYTES,
                        .link = LINK,
                        .bytes = bytes,
                    });
        step(&node, (struct sync_event){.kind = SYNC_EVENT_DRAINED, .link = LINK});
    }
    node_done(&node);
    return 0;
}
