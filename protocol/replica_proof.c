/* SPDX-License-Identifier: EUPL-1.2 */
#include <string.h>

#include "protocol/replica_internal.h"

#define PROOF_FIELDS 3

static bool hash_equal(const struct hash *a, const struct hash *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

void replica_proof_pack(const struct signed_span *head, const struct signed_span *other,
                        const struct span *path, size_t path_count, struct buffer *out)
{
    pack_array(out, PROOF_FIELDS);
    signed_pack(head->bytes, &head->signature, out);
    signed_pack(other->bytes, &other->signature, out);
    pack_array(out, (uint32_t)path_count);
    for (size_t i = 0; i < path_count; i++)
        pack_bin(out, path[i].data, path[i].size);
}

/* Evidence must come from keys that speak for the origin now. */
static enum torg_err witness_check(const struct kv *kv, const struct replica_origin *origin,
                                   const char *domain, const struct signed_span *object,
                                   const struct origin_id *id, uint64_t epoch, uint64_t key_no)
{
    struct public_key key;
    enum torg_err err;

    if (memcmp(id, &origin->id, sizeof(*id)))
        return TORG_E_INVALID;
    err = replica_authority(kv, origin, epoch, key_no, &key);
    if (err)
        return err;
    return seal_verify(domain, object->bytes, &object->signature, &key);
}

static enum torg_err head_witness(const struct kv *kv, const struct replica_origin *origin,
                                  const struct signed_span *object, struct head *ret_head)
{
    struct head head;
    enum torg_err err = head_parse(object->bytes, &head);

    if (!err)
        err = witness_check(kv, origin, DOMAIN_HEAD, object, &head.origin, head.epoch, head.key_no);
    if (!err)
        *ret_head = head;
    return err;
}

enum torg_err replica_path_step(const struct head *at, struct span next, struct head *ret_next)
{
    struct hash hash = head_hash(next);
    struct head head;
    enum torg_err err = head_parse(next, &head);

    if (err)
        return err;
    if (memcmp(&head.origin, &at->origin, sizeof(head.origin)) || head.epoch != at->epoch)
        return TORG_E_INVALID;
    if (!(head.hno == at->hno - 1 && hash_equal(&hash, &at->prev)) &&
        !(head.hno == head_jump(at->hno) && hash_equal(&hash, &at->skip)))
        return TORG_E_MISMATCH;
    *ret_next = head;
    return TORG_OK;
}

/* Does other, along the path, name another hash for head's number than head's own? */
static enum torg_err path_check(const struct head *head, const struct hash *hash, struct head other,
                                struct profile_reader *path, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        enum torg_err err = replica_path_step(&other, profile_bin(path, HEAD_BYTES_MAX), &other);

        if (err)
            return err;
    }
    if (other.hno <= head->hno)
        return TORG_E_INVALID;
    if (other.hno - 1 == head->hno && !hash_equal(&other.prev, hash))
        return TORG_OK;
    if (head_jump(other.hno) == head->hno && !hash_equal(&other.skip, hash))
        return TORG_OK;
    return TORG_E_INVALID;
}

static enum torg_err other_head_check(const struct head *head, const struct hash *hash,
                                      const struct signed_span *object, const struct head *other,
                                      struct profile_reader *path, uint32_t count)
{
    struct hash other_hash = head_hash(object->bytes);

    if (count == 0 && other->hno == head->hno)
        return hash_equal(hash, &other_hash) ? TORG_E_INVALID : TORG_OK;
    return path_check(head, hash, *other, path, count);
}

/* head stands fast; other is a head or a beat that contradicts it. */
static enum torg_err other_check(const struct kv *kv, const struct replica_origin *origin,
                                 const struct head *head, const struct hash *hash,
                                 const struct signed_span *object, struct profile_reader *path)
{
    uint32_t count = profile_array(path);
    struct head other;
    struct beat beat;
    enum torg_err err;

    if (path->in.err)
        return path->in.err;
    if (count > ANCESTRY_HEADS_MAX)
        return TORG_E_TOO_BIG;
    if (beat_parse(object->bytes, &beat) == TORG_OK) {
        err = witness_check(kv, origin, DOMAIN_BEAT, object, &beat.origin, beat.epoch, beat.key_no);
        if (!err && (count || beat.hno != head->hno || hash_equal(&beat.head_hash, hash)))
            err = TORG_E_INVALID;
    } else {
        err = head_witness(kv, origin, object, &other);
        if (!err)
            err = other_head_check(head, hash, object, &other, path, count);
    }
    return err ? err : profile_end(path);
}

enum torg_err replica_proof_check(const struct kv *kv, const struct replica_origin *origin,
                                  struct span proof, uint64_t *ret_epoch)
{
    struct profile_reader in = profile_reader_of(proof);
    struct signed_span first, second;
    struct head head;
    struct hash hash;
    enum torg_err err;

    if (proof.size > REPLICA_PROOF_BYTES_MAX)
        return TORG_E_TOO_BIG;
    if (replica_rival_is(proof)) {
        *ret_epoch = origin->charter_epoch;
        return replica_rival_check(kv, origin, proof);
    }
    profile_array_of(&in, PROOF_FIELDS);
    first = signed_read(&in, HEAD_BYTES_MAX);
    second = signed_read(&in, HEAD_BYTES_MAX);
    if (in.in.err)
        return in.in.err;
    err = head_witness(kv, origin, &first, &head);
    if (err)
        return err;
    hash = head_hash(first.bytes);
    err = other_check(kv, origin, &head, &hash, &second, &in);
    if (!err)
        *ret_epoch = head.epoch;
    return err;
}

enum torg_err replica_fork_known(const struct kv *kv, const struct replica_origin *origin,
                                 bool *ret_forked)
{
    struct span proof;
    enum torg_err err = replica_proof_get(kv, origin->number, origin->charter_epoch, &proof);

    *ret_forked = !err && !replica_rival_is(proof);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}
