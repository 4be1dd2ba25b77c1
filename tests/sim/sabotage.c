/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/sim/sabotage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/replica_internal.h"

#define MUST(expression) must((expression), #expression)

static void must(enum torg_err err, const char *what)
{
    if (!err)
        return;
    fprintf(stderr, "sabotage: %s: %s\n", what, torg_err_text(err));
    abort();
}

static bool take_first(void *context, const struct listing_key *key, struct span header,
                       struct span payload)
{
    (void)header;
    (void)payload;
    memcpy(context, key, sizeof(*key));
    return false;
}

/* The place of the first listing of the first collection; false if there is none. */
static bool first_row(const struct kv *kv, const struct world_node *origin,
                      struct replica_key *ret_key)
{
    uint8_t collection = world_collection(0);
    struct listing_key key = {0};
    struct replica_origin record;

    if (replica_origin_get(kv, &origin->own, &record) || record.held[collection].count == 0)
        return false;
    MUST(replica_listings(kv, record.number, collection, NULL, take_first, &key));
    *ret_key = replica_key_live(record.number, collection, &key);
    return true;
}

static void flip_last(struct kv *kv, enum kv_table table, const struct replica_key *key)
{
    struct buffer copy = {0};
    struct span value;

    MUST(kv_get(kv, table, replica_key_span(key), &value));
    buffer_put_span(&copy, value);
    MUST(copy.err);
    copy.data[copy.size - 1] ^= 1;
    MUST(kv_put(kv, table, replica_key_span(key), buffer_span(&copy)));
    buffer_done(&copy);
}

bool sabotage_lose_row(struct world *world, uint32_t node, uint32_t origin)
{
    struct replica_key key;
    struct kv kv;
    bool found;

    MUST(kv_mem_write_begin(world->nodes[node].store, &kv));
    found = first_row(&kv, &world->nodes[origin], &key);
    if (found)
        MUST(kv_del(&kv, KV_LIVE, replica_key_span(&key)));
    MUST(kv_mem_write_commit(&kv));
    return found;
}

bool sabotage_forge_payload(struct world *world, uint32_t node, uint32_t origin)
{
    struct replica_key key;
    struct kv kv;
    bool found;

    MUST(kv_mem_write_begin(world->nodes[node].store, &kv));
    found = first_row(&kv, &world->nodes[origin], &key);
    if (found)
        flip_last(&kv, KV_LIVE, &key);
    MUST(kv_mem_write_commit(&kv));
    return found;
}

/* A version that was over before the node's head of the origin, and is not held. */
static const struct world_version *dead_version(const struct kv *kv,
                                                const struct world_node *origin,
                                                const struct replica_origin *record)
{
    uint64_t commit = world_commit_of(origin, record->head.epoch, record->head.hno);

    for (size_t i = 0; i < origin->version_count; i++) {
        const struct world_version *version = &origin->versions[i];
        struct span header, payload;

        if (version->to && version->to <= commit &&
            replica_listing_get(kv, record->number, version->collection, &version->key, &header,
                                &payload) == TORG_E_NOT_FOUND)
            return version;
    }
    return NULL;
}

bool sabotage_resurrect(struct world *world, uint32_t node, uint32_t origin)
{
    const struct world_version *version = NULL;
    struct replica_origin record;
    struct buffer row = {0};
    struct kv kv;

    MUST(kv_mem_write_begin(world->nodes[node].store, &kv));
    if (!replica_origin_get(&kv, &world->nodes[origin].own, &record) && record.has_head)
        version = dead_version(&kv, &world->nodes[origin], &record);
    if (version) {
        struct replica_key key =
            replica_key_live(record.number, version->collection, &version->key);
        struct replica_live live = {
            .header_hash = version->header_hash,
            .header = buffer_span(&version->header),
            .payload = buffer_span(&version->payload),
        };

        replica_live_pack(&live, &row);
        MUST(kv_put(&kv, KV_LIVE, replica_key_span(&key), buffer_span(&row)));
    }
    MUST(kv_mem_write_commit(&kv));
    buffer_done(&row);
    return version != NULL;
}

bool sabotage_keep_erased(struct world *world, uint32_t node, uint32_t origin)
{
    static const uint8_t key[] = "rubbish";
    const struct world_version *version = NULL;
    struct replica_origin record;
    struct kv kv;

    MUST(kv_mem_write_begin(world->nodes[node].store, &kv));
    if (!replica_origin_get(&kv, &world->nodes[origin].own, &record) && record.has_head)
        version = dead_version(&kv, &world->nodes[origin], &record);
    if (version)
        MUST(kv_put(&kv, KV_META, span_of(key, sizeof(key)), buffer_span(&version->payload)));
    MUST(kv_mem_write_commit(&kv));
    return version != NULL;
}

bool sabotage_forge_charter(struct world *world, uint32_t node, uint32_t origin)
{
    struct replica_origin record;
    struct kv kv;
    bool found;

    MUST(kv_mem_write_begin(world->nodes[node].store, &kv));
    found = !replica_origin_get(&kv, &world->nodes[origin].own, &record);
    if (found) {
        struct replica_key key = replica_key_charter(record.number, record.charter_no);

        flip_last(&kv, KV_CHARTER, &key);
    }
    MUST(kv_mem_write_commit(&kv));
    return found;
}

bool sabotage_dispute(struct world *world, uint32_t node, uint32_t origin)
{
    struct replica_origin record;
    struct kv kv;
    bool found;

    MUST(kv_mem_write_begin(world->nodes[node].store, &kv));
    found = !replica_origin_get(&kv, &world->nodes[origin].own, &record);
    record.flags |= REPLICA_FLAG_DISPUTED;
    if (found)
        MUST(replica_origin_save(&kv, &record));
    MUST(kv_mem_write_commit(&kv));
    return found;
}
