/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/sim/world_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/seal.h"

#define WIRE_BYTES_PER_MS 4000 /* what a connection carries */

uint8_t world_collection(unsigned i)
{
    static const uint8_t collections[WORLD_COLLECTIONS] = {
        COLLECTION_COMPANIES,
        COLLECTION_OFFERS,
        COLLECTION_RECEIPTS,
        20,
        31, /* of a later version */
    };

    return collections[i];
}

void world_key_draw(struct world *world, struct secret_key *ret_secret,
                    struct public_key *ret_public)
{
    uint8_t seed[32];

    for (size_t i = 0; i < sizeof(seed); i += 8)
        put_u64be(seed + i, world_random(world));
    seal_key_of_seed(seed, ret_secret, ret_public);
}

/* Every other municipality says something of a later version. */
static void charter_extra_add(struct buffer *bytes)
{
    assert(bytes->data[bytes->size - 1] == 0x80); /* extra comes last, and is empty */
    bytes->size--;
    pack_map(bytes, 1);
    pack_str(bytes, span_of_str("zones"));
    pack_array(bytes, 2);
    pack_uint(bytes, 33);
    pack_map(bytes, 0);
    MUST(bytes->err);
}

/* Where there is a catalogue, its members have TLS keys of their own, and it has entries. */
static void charter_federate(const struct world_node *node, struct charter *charter)
{
    const struct world_node *catalogue = &node->world->nodes[node->world->catalogue];

    charter->node_key_count = 1;
    charter->node_keys[0] = node->node_key;
    charter->has_catalogue = true;
    charter->catalogue = catalogue->own;
    for (uint8_t c = 1; c < COLLECTIONS_MAX; c++) {
        if (node != catalogue && node->world->members_only >> c & 1)
            charter->visibility[c] = VISIBILITY_MEMBERS;
    }
    if (node == catalogue)
        charter->visibility[COLLECTION_MEMBERS] = VISIBILITY_PUBLIC;
}

/* The next charter, signed by the one root key. */
void world_charter_make(struct world_node *node, uint64_t epoch)
{
    struct charter charter = {
        .charter_no = node->charter_count,
        .epoch = epoch,
        .name = span_of_str(node->name),
        .municipality = span_of_str("2480"),
        .threshold = 1,
        .root_key_count = 1,
        .signing_key_count = 1,
        .max_stale_s = 2592000,
    };
    struct charter_signed before, charter_signed = {.signature_count = 1};
    struct buffer bytes = {0};

    charter.root_keys[0] = seal_public_key(&node->root);
    charter.signing_keys[0].key_no = node->signer.key_no;
    charter.signing_keys[0].key = seal_public_key(&node->signer.key);
    for (unsigned i = 0; i < WORLD_COLLECTIONS; i++)
        charter.visibility[world_collection(i)] = VISIBILITY_PUBLIC;
    if (node->world->catalogue != WORLD_NONE)
        charter_federate(node, &charter);
    if (node->charter_count) {
        MUST(charter_signed_parse(world_charter_newest(node), &before));
        charter.prev = charter_hash(before.bytes);
    }
    MUST(charter_pack(&charter, &bytes));
    if (node->index % 2)
        charter_extra_add(&bytes);
    charter_signed.bytes = buffer_span(&bytes);
    charter_signed.signatures[0].key = charter.root_keys[0];
    charter_signed.signatures[0].signature =
        seal_sign(DOMAIN_CHARTER, charter_signed.bytes, &node->root);
    if (node->charter_count == 0)
        node->own = charter_origin(charter_signed.bytes);
    charter_signed_pack(&charter_signed, &node->charters[node->charter_count]);
    MUST(node->charters[node->charter_count].err);
    node->charter_count++;
    buffer_done(&bytes);
}

uint32_t world_node_add(struct world *world, bool has_own)
{
    uint32_t index = world->node_count++;
    struct world_node *node = &world->nodes[index];
    struct secret_key secret;
    struct public_key unused;
    struct kv kv;

    assert(index < WORLD_NODES_MAX);
    *node = (struct world_node){
        .world = world,
        .index = index,
        .has_own = has_own,
        .subscribe_mask = COLLECTION_MASK_ALL,
        .tick_ms = INT64_MAX,
        .bytes_per_ms = WIRE_BYTES_PER_MS,
        .seed = world_random(world),
        .book = node,
    };
    snprintf(node->name, sizeof(node->name), "n%" PRIu32, index);
    world_key_draw(world, &secret, &node->node_key);
    MUST(kv_mem_new(&node->store));
    kv_mem_strict(node->store, world->options.strict_store);
    if (!has_own)
        return index;
    world_key_draw(world, &node->root, &unused);
    world_key_draw(world, &node->signer.key, &unused);
    node->signer.key_no = 1;
    world_charter_make(node, 1);
    MUST(kv_mem_write_begin(node->store, &kv));
    MUST(world_charter_hold(node, &kv));
    MUST(kv_mem_write_commit(&kv));
    return index;
}

bool world_is_origin(const struct world_node *node)
{
    return node->has_own && node->book == node;
}

uint32_t world_twin_add(struct world *world, uint32_t of, const struct kv_mem *copy, uint32_t peer)
{
    struct world_node *origin = &world->nodes[of];
    uint32_t index = world_node_add(world, false);
    struct world_node *twin = &world->nodes[index];

    twin->has_own = true;
    twin->own = origin->own;
    twin->signer = origin->signer;
    twin->root = origin->root;
    twin->book = origin;
    twin->absent = true;
    origin->forked = true;
    for (size_t i = 0; i < origin->charter_count; i++)
        buffer_put_span(&twin->charters[i], buffer_span(&origin->charters[i]));
    twin->charter_count = origin->charter_count;
    kv_mem_restore(twin->store, copy);
    world_peer(world, index, peer, true);
    return index;
}

static void peer_add(struct world_node *node, const struct world_node *other, bool dial_it)
{
    size_t count = node->peer_count + 1;

    for (size_t i = 0; i < node->peer_count; i++) {
        if (node->peer_nodes[i] == other->index) {
            node->peers[i].dial |= dial_it;
            return;
        }
    }
    node->peers = reallocarray(node->peers, count, sizeof(*node->peers));
    node->peer_nodes = reallocarray(node->peer_nodes, count, sizeof(*node->peer_nodes));
    if (!node->peers || !node->peer_nodes)
        world_must(TORG_E_NOMEM, "reallocarray");
    node->peer_nodes[node->peer_count] = other->index;
    node->peers[node->peer_count++] = (struct sync_peer_config){
        .name = other->name,
        .keys = {other->node_key},
        .key_count = 1,
        .dial = dial_it,
    };
}

void world_peer(struct world *world, uint32_t a, uint32_t b, bool b_dials_too)
{
    peer_add(&world->nodes[a], &world->nodes[b], !world->nodes[b].dial_only);
    peer_add(&world->nodes[b], &world->nodes[a],
             (b_dials_too || world->nodes[b].dial_only) && !world->nodes[a].dial_only);
}

/* The TLS key of a member's node; zeros if there is none. */
static struct public_key member_key(const struct world *world)
{
    for (uint32_t i = 0; i < world->node_count; i++) {
        if (world->nodes[i].member)
            return world->nodes[i].node_key;
    }
    return (struct public_key){{0}};
}

void world_start(struct world *world, uint32_t index)
{
    struct world_node *node = &world->nodes[index];
    struct origin_id trusted[WORLD_NODES_MAX];
    uint32_t masks[WORLD_NODES_MAX];
    struct sync_config config = {
        .node_key = node->node_key,
        .has_own = node->has_own,
        .own = node->own,
        .peers = node->peers,
        .peer_count = node->peer_count,
        .trusted = trusted,
        .trusted_masks = world->greedy ? NULL : masks,
        .subscribe_mask = node->subscribe_mask,
        .software = "sim 1",
        .version_min = node->version_min,
        .version_max = node->version_max,
        .seed = node->seed + ++node->restarts,
        .limits = world->options.limits,
    };
    struct sync_event tick = {.kind = SYNC_EVENT_TICK};

    assert(!node->up);
    config.limits.compress = node->packs;
    config.limits.listings_per_origin = node->quota;
    for (uint32_t i = 0; i < world->node_count; i++) {
        if (!world_is_origin(&world->nodes[i]) || world->nodes[i].book == node->book)
            continue;
        if (node->follows)
            continue;
        masks[config.trusted_count] = world_wish(world, index, i);
        trusted[config.trusted_count++] = world->nodes[i].own;
    }
    if (node->follows) {
        config.has_catalogue = true;
        config.catalogue = world->nodes[world->catalogue].own;
        config.members_mask = node->subscribe_mask;
    }
    if (node->curious)
        config.node_key = member_key(world);
    node->recovering = node->has_own && !node->unguarded && world_behind_guard(node);
    config.recovering = node->recovering;
    if (node->recovering)
        world_trace(world, "%s is behind its guard", node->name);
    MUST(sync_new(&config, &node->sync));
    node->up = true;
    node->tick_ms = INT64_MAX;
    world_trace(world, "%s starts", node->name);
    if (world->watcher.started)
        world->watcher.started(world->watcher.context, node);
    world_step(node, &tick);
}

void world_crash(struct world *world, uint32_t index)
{
    struct world_node *node = &world->nodes[index];

    if (!node->up)
        return;
    world_trace(world, "%s crashes", node->name);
    node->up = false;
    node->life++;
    node->frozen_until_ms = 0;
    node->writing = false;
    node->crash_on_fault = false;
    kv_mem_fail_after(node->store, 0, TORG_OK);
    while (node->jobs) {
        struct world_job *job = node->jobs;

        node->jobs = job->next;
        world_job_free(job);
    }
    sync_free(node->sync);
    node->sync = NULL;
    for (struct world_wire *wire = world->wires; wire; wire = wire->next) {
        for (unsigned end = 0; end < 2; end++) {
            if (wire->nodes[end] == index && !wire->closed[end])
                world_wire_leave(world, wire, end);
        }
    }
}

void world_restore(struct world *world, uint32_t index, const struct kv_mem *copy)
{
    struct world_node *node = &world->nodes[index];
    struct kv_mem *nothing = NULL;

    assert(!node->up);
    if (!copy) {
        MUST(kv_mem_new(&nothing));
        copy = nothing;
    }
    kv_mem_restore(node->store, copy);
    kv_mem_free(nothing);
}

void world_fault(struct world *world, uint32_t index, uint64_t after, enum torg_err err, bool crash)
{
    struct world_node *node = &world->nodes[index];

    node->crash_on_fault = crash && err;
    kv_mem_fail_after(node->store, after, err);
}
