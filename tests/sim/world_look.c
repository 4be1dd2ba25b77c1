/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/sim/world_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "protocol/member.h"

uint64_t world_commit_of(const struct world_node *origin, uint64_t epoch, uint64_t hno)
{
    for (size_t i = origin->commit_count; i-- > 0;) {
        if (origin->commits[i].epoch == epoch && origin->commits[i].hno == hno)
            return i + 1;
    }
    return 0;
}

struct world_node *world_origin(struct world *world, const struct origin_id *id)
{
    for (uint32_t i = 0; i < world->node_count; i++) {
        if (world_is_origin(&world->nodes[i]) && memcmp(&world->nodes[i].own, id, sizeof(*id)) == 0)
            return &world->nodes[i];
    }
    return NULL;
}

const struct world_version *world_version_of(const struct world_node *origin, uint8_t collection,
                                             const struct listing_key *key,
                                             const struct hash *header_hash)
{
    for (size_t i = origin->version_count; i-- > 0;) {
        const struct world_version *version = &origin->versions[i];

        if (version->collection == collection && memcmp(&version->key, key, sizeof(*key)) == 0 &&
            memcmp(&version->header_hash, header_hash, sizeof(*header_hash)) == 0)
            return version;
    }
    return NULL;
}

/* What a node has of an origin, if only a charter. */
static bool record_get(struct world *world, uint32_t node, const struct origin_id *origin,
                       struct replica_origin *ret_record)
{
    struct kv read;
    enum torg_err err;

    MUST(kv_mem_read_begin(world->nodes[node].store, &read));
    err = replica_origin_get(&read, origin, ret_record);
    kv_mem_read_end(&read);
    if (err == TORG_E_NOT_FOUND)
        return false;
    MUST(err);
    return true;
}

bool world_head(struct world *world, uint32_t node, const struct origin_id *origin,
                struct replica_origin *ret_record)
{
    return record_get(world, node, origin, ret_record) && ret_record->has_head;
}

static uint32_t visible(const struct world *world, uint32_t index, uint32_t from, bool member)
{
    if (world->catalogue == WORLD_NONE || from == world->catalogue || member ||
        world->nodes[from].book == world->nodes[index].book)
        return COLLECTION_MASK_ALL;
    return COLLECTION_MASK_ALL & ~world->members_only;
}

uint32_t world_visible(const struct world *world, uint32_t index, uint32_t from)
{
    return visible(world, index, from, world->nodes[index].member);
}

uint32_t world_visible_there(struct world *world, uint32_t index, uint32_t from)
{
    struct world_node *node = &world->nodes[index];
    struct replica_origin catalogue;
    struct member member;
    enum torg_err err = TORG_E_NOT_FOUND;
    struct kv read;

    if (world->catalogue == WORLD_NONE)
        return COLLECTION_MASK_ALL;
    MUST(kv_mem_read_begin(node->store, &read));
    if (!replica_origin_get(&read, &world->nodes[world->catalogue].own, &catalogue))
        err = member_get(&read, catalogue.number, &node->own, &member);
    kv_mem_read_end(&read);
    return visible(world, index, from,
                   err == TORG_E_GAP || (!err && member.status == MEMBER_ACTIVE));
}

uint32_t world_visible_ever(const struct world *world, uint32_t index, uint32_t from)
{
    return visible(world, index, from, world->nodes[index].ever_member);
}

uint32_t world_mask(const struct world *world, uint32_t index, uint32_t from)
{
    return world_wish(world, index, from) & world_visible(world, index, from);
}

uint32_t world_wish(const struct world *world, uint32_t index, uint32_t from)
{
    const struct world_node *node = &world->nodes[index];
    uint64_t bits = (node->part ^ (from + 1)) * UINT64_C(0x9e3779b97f4a7c15) >> 32;
    uint32_t mask = 0;

    if (!node->part || world->nodes[from].book == node->book)
        return node->subscribe_mask;
    for (unsigned i = 0; i < WORLD_COLLECTIONS; i++)
        mask |= (uint32_t)(bits >> i & 1) << world_collection(i);
    if (from == world->catalogue)
        return mask | UINT32_C(1) << COLLECTION_MEMBERS; /* or it would not know who is one */
    return mask ? mask : UINT32_C(1) << world_collection(0);
}

struct sync_peer_status world_peer_status(const struct world *world, uint32_t at, uint32_t node)
{
    const struct world_node *self = &world->nodes[at];
    struct sync_peer_status status = {0};

    for (uint32_t i = 0; self->up && i < self->peer_count; i++) {
        if (self->peer_nodes[i] == node)
            sync_peer_status(self->sync, i, &status);
    }
    return status;
}

bool world_holds_all(struct world *world, uint32_t from, uint32_t index, char *why, size_t why_size)
{
    const struct world_node *origin = &world->nodes[from];
    const struct world_node *node = &world->nodes[index];
    struct replica_origin theirs, ours;
    uint32_t mask = world_mask(world, index, from);

    if (!record_get(world, from, &origin->own, &theirs))
        return true; /* its store is lost, and with it what it is */
    /* Also of who has published nothing yet: it may be a member, by the keys that stand there. */
    if (!record_get(world, index, &origin->own, &ours) || ours.charter_no < theirs.charter_no) {
        snprintf(why, why_size, "%s lacks the charter of %s", node->name, origin->name);
        return false;
    }
    if (!theirs.has_head)
        return true; /* nothing published yet */
    if (node->curious && !mask)
        return true; /* it wants only what members get: nobody has anything of that for it */
    if (!ours.has_head) {
        snprintf(why, why_size, "%s has nothing of %s", node->name, origin->name);
        return false;
    }
    if (head_compare(&theirs.head, &ours.head) != 0 ||
        memcmp(&theirs.head_hash, &ours.head_hash, sizeof(ours.head_hash)) != 0) {
        snprintf(why, why_size,
                 "%s is at %" PRIu64 ".%" PRIu64 " of %s, which is at %" PRIu64 ".%" PRIu64,
                 node->name, ours.head.epoch, ours.head.hno, origin->name, theirs.head.epoch,
                 theirs.head.hno);
        return false;
    }
    if (replica_complete_mask(&ours, mask) != mask) {
        snprintf(why, why_size, "%s lacks listings of %s", node->name, origin->name);
        return false;
    }
    for (unsigned c = 1; c < COLLECTIONS_MAX; c++) {
        if (ours.held[c].count && !(mask >> c & 1)) {
            snprintf(why, why_size, "%s still holds what it does not want of %s", node->name,
                     origin->name);
            return false;
        }
        if (ours.missing[c]) {
            snprintf(why, why_size, "%s lacks payloads of %s", node->name, origin->name);
            return false;
        }
    }
    return true;
}

bool world_converged(struct world *world, char *why, size_t why_size)
{
    char unused[8];

    if (!why) {
        why = unused;
        why_size = sizeof(unused);
    }
    for (uint32_t from = 0; from < world->node_count; from++) {
        if (!world_is_origin(&world->nodes[from]) || world->nodes[from].malice)
            continue;
        if (world->nodes[from].recovering) {
            snprintf(why, why_size, "%s is still recovering", world->nodes[from].name);
            return false;
        }
        for (uint32_t i = 0; i < world->node_count; i++) {
            if (world->nodes[i].malice || world->nodes[i].absent)
                continue;
            if (!world->nodes[i].up) {
                snprintf(why, why_size, "%s is down", world->nodes[i].name);
                return false;
            }
            if (!world_holds_all(world, from, i, why, why_size))
                return false;
        }
    }
    return true;
}
