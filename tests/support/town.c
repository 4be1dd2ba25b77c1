/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/town.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/profile.h"

#define MUST(expression) must((expression), #expression)

static void must(enum torg_err err, const char *what)
{
    if (!err)
        return;
    fprintf(stderr, "%s: %s\n", what, torg_err_text(err));
    abort();
}

struct secret_key town_key(const struct town *town, uint64_t key_no)
{
    uint8_t seed[32] = {0};
    struct secret_key secret;
    struct public_key public_key;

    put_u64be(seed, town->seed);
    put_u64be(seed + 8, key_no + 1); /* 0 is the root key's */
    seal_key_of_seed(seed, &secret, &public_key);
    return secret;
}

static struct secret_key root_key(const struct town *town)
{
    return town_key(town, UINT64_MAX);
}

static void charter_sign(const struct town *town, const struct charter *charter, struct buffer *out)
{
    struct buffer bytes = {0};
    struct charter_signed object = {.signature_count = 1};

    MUST(charter_pack(charter, &bytes));
    object.bytes = buffer_span(&bytes);
    object.signatures[0].key = seal_public_key(&town->root);
    object.signatures[0].signature = seal_sign(DOMAIN_CHARTER, object.bytes, &town->root);
    charter_signed_pack(&object, out);
    MUST(out->err);
    buffer_done(&bytes);
}

static void charter_fill(const struct town *town, uint64_t charter_no, struct charter *ret)
{
    *ret = (struct charter){.charter_no = charter_no,
                            .epoch = town->epoch,
                            .name = span_of_str("Town"),
                            .municipality = span_of_str("2480"),
                            .threshold = 1,
                            .root_key_count = 1,
                            .signing_key_count = 1,
                            .max_stale_s = 2592000};
    ret->root_keys[0] = seal_public_key(&town->root);
    ret->signing_keys[0].key_no = town->signer.key_no;
    ret->signing_keys[0].key = seal_public_key(&town->signer.key);
    for (unsigned i = 1; i <= COLLECTION_NETWORKS; i++)
        ret->visibility[i] = town->members_only >> i & 1 ? VISIBILITY_MEMBERS : VISIBILITY_PUBLIC;
    ret->has_catalogue = town->catalogue != NULL;
    if (town->catalogue)
        ret->catalogue = *town->catalogue;
    ret->node_key_count = town->node_key != NULL;
    if (town->node_key)
        ret->node_keys[0] = *town->node_key;
}

/* The hash of charter no, 0 before the first. */
static struct hash hash_of_charter(const struct town *town, size_t no)
{
    struct charter_signed object;

    MUST(charter_signed_parse(buffer_span(&town->charters[no]), &object));
    return charter_hash(object.bytes);
}

static void charters_hold(struct town *town)
{
    struct town_write write;

    town_charters_write(town, &write);
    MUST(town_apply(town->mem, &write.write, NULL));
    town_write_done(&write);
}

void town_init(struct town *town, uint64_t seed)
{
    struct charter_signed object;
    struct charter charter;

    *town = (struct town){.seed = seed, .epoch = 1, .next_key_no = 2, .now_ms = 1790000000000};
    town->root = root_key(town);
    town->signer.key_no = 1;
    town->signer.key = town_key(town, 1);
    charter_fill(town, 0, &charter);
    charter_sign(town, &charter, &town->charters[0]);
    town->charter_count = 1;
    MUST(charter_signed_parse(buffer_span(&town->charters[0]), &object));
    town->id = charter_origin(object.bytes);
    MUST(kv_mem_new(&town->mem));
    charters_hold(town);
}

void town_done(struct town *town)
{
    for (size_t i = 0; i < town->charter_count; i++)
        buffer_done(&town->charters[i]);
    kv_mem_free(town->mem);
    *town = (struct town){0};
}

void town_rotate(struct town *town, bool new_epoch)
{
    struct charter charter;
    size_t no = town->charter_count;

    if (no == TOWN_CHARTERS_MAX)
        must(TORG_E_TOO_BIG, "town_rotate");
    town->epoch += new_epoch;
    town->signer.key_no = town->next_key_no++;
    town->signer.key = town_key(town, town->signer.key_no);
    charter_fill(town, no, &charter);
    charter.prev = hash_of_charter(town, no - 1);
    charter_sign(town, &charter, &town->charters[no]);
    town->charter_count++;
    charters_hold(town);
}

void town_next_charter(const struct town *town, uint64_t key_no, const struct public_key *key,
                       struct buffer *out)
{
    struct charter charter;

    charter_fill(town, town->charter_count, &charter);
    charter.prev = hash_of_charter(town, town->charter_count - 1);
    charter.signing_keys[0].key_no = key_no;
    charter.signing_keys[0].key = *key;
    charter_sign(town, &charter, out);
}

void town_rival_charter(const struct town *town, struct buffer *out)
{
    struct charter charter;
    size_t no = town->charter_count - 1;

    charter_fill(town, no, &charter);
    charter.name = span_of_str("Rival");
    charter.prev = hash_of_charter(town, no - 1);
    charter_sign(town, &charter, out);
}

size_t town_charters(const struct town *town, size_t from,
                     struct charter_signed out[TOWN_CHARTERS_MAX])
{
    for (size_t i = from; i < town->charter_count; i++)
        MUST(charter_signed_parse(buffer_span(&town->charters[i]), &out[i - from]));
    return town->charter_count - from;
}

enum torg_err town_commit(struct town *town, const struct local_change *changes, size_t count)
{
    struct buffer head = {0};
    struct kv kv;
    enum torg_err err;

    MUST(kv_mem_write_begin(town->mem, &kv));
    town->now_ms += 1000;
    err = replica_commit_local(&kv, &town->id, &town->signer, changes, count, town->now_ms, NULL,
                               &head);
    if (err)
        kv_mem_write_abort(&kv);
    else
        err = kv_mem_write_commit(&kv);
    buffer_done(&head);
    return err;
}

void town_sign_head(const struct town *town, const struct head *head, struct buffer *out)
{
    struct secret_key key = town_key(town, head->key_no);
    struct buffer bytes = {0};
    struct signature signature;

    head_pack(head, &bytes);
    MUST(bytes.err);
    signature = seal_sign(DOMAIN_HEAD, buffer_span(&bytes), &key);
    signed_pack(buffer_span(&bytes), &signature, out);
    MUST(out->err);
    buffer_done(&bytes);
}

/* ---- writes ---- */

void town_write_done(struct town_write *out)
{
    buffer_done(&out->bytes);
    free(out->entries);
    free(out->removed);
    *out = (struct town_write){0};
}

void town_charters_write(const struct town *town, struct town_write *out)
{
    *out = (struct town_write){0};
    out->write.kind = REPLICA_WRITE_CHARTERS;
    out->write.origin = town->id;
    out->write.charter_count = town_charters(town, 0, out->charters);
    out->write.charters = out->charters;
    out->write.now_ms = town->now_ms;
}

/* Collects headers and payloads as [u16 size, header, u32 size, payload]. */
struct collect {
    const struct kv *kv;
    uint32_t number;
    uint32_t mask;
    uint8_t collection;
    struct buffer *bytes;
    size_t count;
    /* town_part: what the other side holds */
    const struct kv *other;
    uint32_t other_number;
    struct listing_key *removed;
    size_t removed_count;
};

static void collect_add(struct collect *collect, struct span header, struct span payload)
{
    buffer_put_u16be(collect->bytes, (uint16_t)header.size);
    buffer_put_span(collect->bytes, header);
    buffer_put_u32be(collect->bytes, (uint32_t)payload.size);
    buffer_put_span(collect->bytes, payload);
    collect->count++;
}

static bool collect_change(void *context, const struct listing_key *key, struct span header_bytes)
{
    struct collect *collect = context;
    struct change_header header;
    struct span live, payload = {0};

    MUST(change_header_parse(header_bytes, &header));
    if (!(collect->mask >> header.collection & 1))
        return true;
    if (header.op == CHANGE_UPSERT)
        MUST(replica_listing_get(collect->kv, collect->number, header.collection, key, &live,
                                 &payload));
    collect_add(collect, header_bytes, payload);
    return true;
}

static void entries_fill(struct town_write *out, size_t count)
{
    struct reader in = reader_of(buffer_span(&out->bytes));

    MUST(out->bytes.err);
    out->entries = calloc(count ? count : 1, sizeof(*out->entries));
    if (!out->entries)
        must(TORG_E_NOMEM, "calloc");
    for (size_t i = 0; i < count; i++) {
        struct span header = reader_bytes(&in, reader_u16be(&in));
        struct span payload = reader_bytes(&in, reader_u32be(&in));

        MUST(replica_entry_read(header, payload, &out->entries[i]));
    }
    out->write.entries = out->entries;
    out->write.entry_count = count;
}

/* The newest head that kv holds, after the entries' bytes. */
static void head_take(const struct kv *kv, const struct replica_origin *origin,
                      struct town_write *out, size_t count)
{
    size_t at = out->bytes.size;
    struct profile_reader in;
    struct span head;

    MUST(replica_head_get(kv, origin->number, origin->head.epoch, origin->head.hno, &head));
    buffer_put_span(&out->bytes, head);
    entries_fill(out, count);
    in = profile_reader_of(span_of(out->bytes.data + at, out->bytes.size - at));
    out->write.head = signed_read(&in, HEAD_BYTES_MAX);
    MUST(profile_end(&in));
}

void town_delta(const struct town *town, const struct kv *read, uint64_t since, uint32_t mask,
                struct town_write *out)
{
    struct replica_origin origin;
    struct collect collect = {.kv = read, .mask = mask, .bytes = &out->bytes};

    *out = (struct town_write){0};
    MUST(replica_origin_get(read, &town->id, &origin));
    collect.number = origin.number;
    MUST(replica_changes_since(read, origin.number, since, collect_change, &collect));
    out->write.kind = REPLICA_WRITE_COMMIT;
    out->write.origin = town->id;
    out->write.mask = mask;
    out->write.now_ms = town->now_ms;
    head_take(read, &origin, out, collect.count);
}

static bool collect_differing(void *context, const struct listing_key *key, struct span header,
                              struct span payload)
{
    struct collect *collect = context;
    struct span held, held_payload;
    enum torg_err err = replica_listing_get(collect->other, collect->other_number,
                                            collect->collection, key, &held, &held_payload);

    if (err || !span_equal(held, header))
        collect_add(collect, header, payload);
    return true;
}

static bool collect_surplus(void *context, const struct listing_key *key, struct span header,
                            struct span payload)
{
    struct collect *collect = context;
    struct listing_key *removed;

    if (replica_listing_get(collect->kv, collect->number, collect->collection, key, &header,
                            &payload) == TORG_OK)
        return true;
    removed = reallocarray(collect->removed, collect->removed_count + 1, sizeof(*removed));
    if (!removed)
        must(TORG_E_NOMEM, "reallocarray");
    removed[collect->removed_count++] = *key;
    collect->removed = removed;
    return true;
}

void town_part(const struct town *town, const struct kv *from, const struct kv *to,
               uint8_t collection, struct town_write *out)
{
    struct replica_origin origin, other;
    struct collect collect = {
        .kv = from, .collection = collection, .bytes = &out->bytes, .other = to};

    *out = (struct town_write){0};
    MUST(replica_origin_get(from, &town->id, &origin));
    MUST(replica_origin_get(to, &town->id, &other));
    collect.number = origin.number;
    collect.other_number = other.number;
    MUST(replica_listings(from, origin.number, collection, NULL, collect_differing, &collect));
    MUST(replica_listings(to, other.number, collection, NULL, collect_surplus, &collect));
    out->write.kind = REPLICA_WRITE_PART;
    out->write.origin = town->id;
    out->write.collection = collection;
    out->removed = collect.removed;
    out->write.removed = collect.removed;
    out->write.removed_count = collect.removed_count;
    out->write.now_ms = town->now_ms;
    head_take(from, &origin, out, collect.count);
}

enum torg_err town_apply(struct kv_mem *mem, const struct replica_write *write,
                         const struct replica_observer *observer)
{
    struct kv kv;
    enum torg_err err;

    MUST(kv_mem_write_begin(mem, &kv));
    err = replica_apply(&kv, write, observer);
    if (!err)
        return kv_mem_write_commit(&kv);
    kv_mem_write_abort(&kv);
    return err;
}
