/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/sim/world_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/roster.h"

/* Nils, up to that size of all. */
static void padding_put(struct buffer *out, size_t size)
{
    uint8_t nils[1024];

    memset(nils, 0xc0, sizeof(nils));
    while (out->size < size && !out->err)
        buffer_put(out, nils, size - out->size < sizeof(nils) ? size - out->size : sizeof(nils));
}

static void payload_draw(struct world *world, size_t size, struct buffer *out)
{
    uint8_t nonce[16];
    struct buffer body = {0};
    size_t before = out->size;

    for (size_t i = 0; i < sizeof(nonce); i += 8)
        put_u64be(nonce + i, world_random(world));
    if (world_chance(world, 10)) {
        /* Not even in the profile: kept and relayed all the same. */
        buffer_put(out, nonce, 1 + (size_t)world_below(world, sizeof(nonce)));
        buffer_put_u8(out, 0xc1);
        return;
    }
    pack_map(&body, 1);
    pack_str(&body, span_of_str("name"));
    pack_uint(&body, world_below(world, 1000));
    payload_pack(nonce, world_chance(world, 20) ? 77 : PAYLOAD_SCHEMA, buffer_span(&body), out);
    padding_put(out, before + size);
    buffer_done(&body);
}

/* A new id, or one of a listing that lives. */
static struct listing_id id_draw(struct world *world, struct world_node *node, uint8_t collection,
                                 unsigned percent_new)
{
    struct listing_id id;

    if (node->version_count && !world_chance(world, percent_new)) {
        for (unsigned i = 0; i < 8; i++) {
            const struct world_version *version =
                &node->versions[world_below(world, node->version_count)];

            if (version->collection == collection && version->to == 0)
                return version->id;
        }
    }
    put_u64be(id.bytes, world_random(world));
    put_u64be(id.bytes + 8, world_random(world));
    return id;
}

static bool already_in(const struct world_job *job, const struct local_change *change)
{
    for (size_t i = 0; i < job->change_count; i++) {
        if (job->changes[i].collection == change->collection &&
            memcmp(&job->changes[i].id, &change->id, sizeof(change->id)) == 0)
            return true;
    }
    return false;
}

static void write_draw(struct world *world, uint32_t index, unsigned count, size_t payload_size,
                       bool deletes)
{
    struct world_node *node = &world->nodes[index];
    struct world_job *job = world_alloc(1, sizeof(*job));
    size_t *at = world_alloc(count + 1, sizeof(*at));

    if (node->recovering || node->stopped) {
        free(at);
        world_job_free(job);
        return;
    }
    job->changes = world_alloc(count + 1, sizeof(*job->changes));
    for (unsigned i = 0; i < count; i++) {
        struct local_change *change = &job->changes[job->change_count];
        bool is_delete = deletes && world_chance(world, 25);

        change->collection = world_collection(
            world_chance(world, 60) ? 0 : (unsigned)world_below(world, WORLD_COLLECTIONS));
        change->id = id_draw(world, node->book, change->collection, is_delete ? 0 : 60);
        if (already_in(job, change))
            continue;
        change->flags = change->id.bytes[0] & 1 ? change->id.bytes[1] : 0; /* of any meaning */
        at[job->change_count] = job->bytes.size;
        if (!is_delete)
            payload_draw(world, payload_size, &job->bytes);
        change->payload.size = job->bytes.size - at[job->change_count];
        job->change_count++;
    }
    MUST(job->bytes.err);
    for (size_t i = 0; i < job->change_count; i++)
        job->changes[i].payload.data = job->bytes.data ? job->bytes.data + at[i] : NULL;
    free(at);
    world_job_add(node, job);
}

void world_write(struct world *world, uint32_t node, unsigned count)
{
    write_draw(world, node, count, 0, true);
}

void world_write_sized(struct world *world, uint32_t node, unsigned count, size_t payload_size)
{
    write_draw(world, node, count, payload_size, false);
}

/* The least id after *after of a listing that lives; NULL: there is none. */
static const struct world_version *version_after(const struct world_node *node, uint8_t collection,
                                                 const struct listing_id *after)
{
    const struct world_version *least = NULL;

    for (size_t i = 0; i < node->version_count; i++) {
        const struct world_version *version = &node->versions[i];

        if (version->collection == collection && version->to == 0 &&
            (!after || memcmp(&version->id, after, sizeof(*after)) > 0) &&
            (!least || memcmp(&version->id, &least->id, sizeof(least->id)) < 0))
            least = version;
    }
    return least;
}

void world_rewrite(struct world *world, uint32_t index, unsigned count, size_t payload_size)
{
    struct world_job *job = world_alloc(1, sizeof(*job));
    const struct world_version *version = NULL;
    size_t at = 0;

    job->changes = world_alloc(count + 1, sizeof(*job->changes));
    for (unsigned i = 0; i < count; i++) {
        struct local_change *change = &job->changes[i];

        version = version_after(world->nodes[index].book, world_collection(0),
                                version ? &version->id : NULL);
        if (!version)
            break;
        change->collection = version->collection;
        change->id = version->id;
        payload_draw(world, payload_size, &job->bytes);
        change->payload.size = job->bytes.size - at;
        at = job->bytes.size;
        job->change_count++;
    }
    MUST(job->bytes.err);
    at = 0;
    for (size_t i = 0; i < job->change_count; i++) {
        job->changes[i].payload.data = job->bytes.data + at;
        at += job->changes[i].payload.size;
    }
    world_job_add(&world->nodes[index], job);
}

/* What is written before it starts is there when it does. */
static void catalogue_commit(struct world *world)
{
    if (!world->nodes[world->catalogue].up)
        world_writer_commit(&world->nodes[world->catalogue]);
}

/* A charter 0 cannot name its own hash: the catalogue's next one names it. */
void world_catalogue(struct world *world, uint32_t index)
{
    assert(world->catalogue == WORLD_NONE && index + 1 == world->node_count);
    world->catalogue = index;
    world_rotate(world, index, false);
    catalogue_commit(world);
}

void world_member(struct world *world, uint32_t member, const char *status, uint32_t quota)
{
    struct world_job *job = world_alloc(1, sizeof(*job));

    world->nodes[member].member = status && strcmp(status, "active") == 0;
    world->nodes[member].ever_member |= world->nodes[member].member;
    job->changes = world_alloc(1, sizeof(*job->changes));
    job->changes[0] = roster_change(&world->nodes[member].own, world->leaky ? "active" : status,
                                    quota, world_random(world), &job->bytes);
    job->change_count = 1;
    MUST(job->bytes.err);
    world_job_add(&world->nodes[world->catalogue], job);
    catalogue_commit(world);
}

void world_member_charter(struct world *world, uint32_t member)
{
    struct world_job *job = world_alloc(1, sizeof(*job));
    struct charter_signed newest;
    struct hash hash;

    MUST(charter_signed_parse(world_charter_newest(&world->nodes[member]), &newest));
    hash = charter_hash(newest.bytes);
    job->changes = world_alloc(1, sizeof(*job->changes));
    job->changes[0] =
        roster_naming(&world->nodes[member].own, &hash, world_random(world), &job->bytes);
    job->change_count = 1;
    MUST(job->bytes.err);
    world_job_add(&world->nodes[world->catalogue], job);
    catalogue_commit(world);
}

void world_rotate(struct world *world, uint32_t index, bool new_epoch)
{
    struct world_node *node = &world->nodes[index];
    struct world_job *job = world_alloc(1, sizeof(*job));
    struct charter_signed charter_signed;
    struct charter charter;
    struct public_key unused;

    assert(node->charter_count < ARRAY_SIZE(node->charters) && !node->jobs);
    MUST(charter_signed_parse(world_charter_newest(node), &charter_signed));
    MUST(charter_parse(charter_signed.bytes, &charter));
    world_key_draw(world, &node->signer.key, &unused);
    node->signer.key_no++;
    world_charter_make(node, charter.epoch + new_epoch);
    job->charter = true;
    world_job_add(node, job);
}

void world_charter_again(struct world *world, uint32_t index)
{
    struct world_node *node = &world->nodes[index];
    struct world_job *job;
    struct replica_origin record;

    if (!world_head(world, index, &node->own, &record) ||
        record.charter_no + 1 == node->charter_count)
        return;
    job = world_alloc(1, sizeof(*job));
    job->charter = true;
    world_job_add(node, job);
}

void world_beat(struct world *world, uint32_t index)
{
    struct world_job *job;

    if (world->nodes[index].recovering || world->nodes[index].stopped)
        return;
    job = world_alloc(1, sizeof(*job));
    job->beat = true;
    world_job_add(&world->nodes[index], job);
}
