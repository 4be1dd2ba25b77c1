/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/head.h"

#include <assert.h>

#include "protocol/profile.h"

#define HEAD_VERSION 1
#define HEAD_FIELDS 11
#define STATE_FIELDS 3
#define BEAT_VERSION 1
#define BEAT_FIELDS 9
#define SIGNED_FIELDS 2

static void hash_pack(struct buffer *out, const struct hash *hash)
{
    pack_bin(out, hash->bytes, sizeof(hash->bytes));
}

static void hash_read(struct profile_reader *in, struct hash *hash)
{
    profile_bin_copy(in, hash->bytes, sizeof(hash->bytes));
}

void head_pack(const struct head *head, struct buffer *out)
{
    assert(head->epoch >= 1 && head->hno >= 1 && head->state_count < COLLECTIONS_MAX);
    pack_array(out, HEAD_FIELDS);
    pack_uint(out, HEAD_VERSION);
    pack_bin(out, head->origin.bytes, sizeof(head->origin.bytes));
    pack_uint(out, head->epoch);
    pack_uint(out, head->hno);
    pack_uint(out, head->seq);
    pack_int(out, head->ts_ms);
    hash_pack(out, &head->prev);
    hash_pack(out, &head->skip);
    pack_array(out, head->state_count);
    for (unsigned i = 0; i < head->state_count; i++) {
        const struct head_state *state = &head->states[i];

        assert(state->count >= 1);
        assert(state->collection > (i ? head->states[i - 1].collection : 0));
        pack_array(out, STATE_FIELDS);
        pack_uint(out, state->collection);
        pack_uint(out, state->count);
        hash_pack(out, &state->root);
    }
    pack_uint(out, head->charter_no);
    pack_uint(out, head->key_no);
}

/* Collections ascend and none is empty, so that one state has one encoding. */
static enum torg_err states_read(struct profile_reader *in, struct head *head)
{
    uint32_t count = profile_array(in);
    uint8_t last = 0;

    if (count >= COLLECTIONS_MAX)
        return TORG_E_INVALID;
    for (uint32_t i = 0; i < count; i++) {
        struct head_state *state = &head->states[i];

        profile_array_of(in, STATE_FIELDS);
        state->collection = (uint8_t)profile_uint(in, COLLECTIONS_MAX - 1);
        state->count = (uint32_t)profile_uint(in, UINT32_MAX);
        hash_read(in, &state->root);
        if (in->in.err)
            return in->in.err;
        if (state->collection <= last || state->count == 0)
            return TORG_E_INVALID;
        last = state->collection;
    }
    head->state_count = (uint8_t)count;
    return TORG_OK;
}

/* The first two steps of every signed object: its array and its version. */
static enum torg_err version_read(struct profile_reader *in, uint32_t fields, uint64_t version)
{
    profile_array_of(in, fields);
    if (profile_uint(in, INTEGER_MAX) != version && !in->in.err)
        return TORG_E_VERSION;
    return in->in.err;
}

enum torg_err head_parse(struct span bytes, struct head *ret_head)
{
    struct profile_reader in = profile_reader_of(bytes);
    struct head head = {0};
    enum torg_err err;

    if (bytes.size > HEAD_BYTES_MAX)
        return TORG_E_TOO_BIG;
    err = version_read(&in, HEAD_FIELDS, HEAD_VERSION);
    if (err)
        return err;
    profile_bin_copy(&in, head.origin.bytes, sizeof(head.origin.bytes));
    head.epoch = profile_uint(&in, INTEGER_MAX);
    head.hno = profile_uint(&in, INTEGER_MAX);
    head.seq = profile_uint(&in, INTEGER_MAX);
    head.ts_ms = profile_int(&in);
    hash_read(&in, &head.prev);
    hash_read(&in, &head.skip);
    err = states_read(&in, &head);
    if (err)
        return err;
    head.charter_no = profile_uint(&in, INTEGER_MAX);
    head.key_no = profile_uint(&in, INTEGER_MAX);
    err = profile_end(&in);
    if (err)
        return err;
    if (head.epoch == 0 || head.hno == 0)
        return TORG_E_INVALID;
    *ret_head = head;
    return TORG_OK;
}

struct hash head_hash(struct span head_bytes)
{
    return seal_hash(DOMAIN_HEAD, head_bytes);
}

struct head_state head_state_of(const struct head *head, uint8_t collection)
{
    for (unsigned i = 0; i < head->state_count; i++) {
        if (head->states[i].collection == collection)
            return head->states[i];
    }
    return (struct head_state){.collection = collection};
}

int head_compare(const struct head *a, const struct head *b)
{
    if (a->epoch != b->epoch)
        return a->epoch < b->epoch ? -1 : 1;
    return (a->hno > b->hno) - (a->hno < b->hno);
}

/*
 * Myers, "An applicative random-access stack", 1983: write hno greedily as a
 * sum of numbers 2^i - 1; the pointer leaps over the last of them.
 */
uint64_t head_jump(uint64_t hno)
{
    uint64_t rest = hno;
    uint64_t last = 0;

    while (rest) {
        last = UINT64_MAX >> __builtin_clzll(rest);
        if (last > rest)
            last >>= 1;
        rest -= last;
    }
    return hno - last;
}

void beat_pack(const struct beat *beat, struct buffer *out)
{
    assert(beat->epoch >= 1);
    pack_array(out, BEAT_FIELDS);
    pack_uint(out, BEAT_VERSION);
    pack_bin(out, beat->origin.bytes, sizeof(beat->origin.bytes));
    pack_uint(out, beat->epoch);
    pack_uint(out, beat->hno);
    hash_pack(out, &beat->head_hash);
    pack_int(out, beat->ts_ms);
    pack_uint(out, beat->writer);
    pack_uint(out, beat->rival);
    pack_uint(out, beat->key_no);
}

enum torg_err beat_parse(struct span bytes, struct beat *ret_beat)
{
    struct profile_reader in = profile_reader_of(bytes);
    struct beat beat = {0};
    enum torg_err err;

    if (bytes.size > BEAT_BYTES_MAX)
        return TORG_E_TOO_BIG;
    err = version_read(&in, BEAT_FIELDS, BEAT_VERSION);
    if (err)
        return err;
    profile_bin_copy(&in, beat.origin.bytes, sizeof(beat.origin.bytes));
    beat.epoch = profile_uint(&in, INTEGER_MAX);
    beat.hno = profile_uint(&in, INTEGER_MAX);
    hash_read(&in, &beat.head_hash);
    beat.ts_ms = profile_int(&in);
    beat.writer = profile_uint(&in, INTEGER_MAX);
    beat.rival = profile_uint(&in, INTEGER_MAX);
    beat.key_no = profile_uint(&in, INTEGER_MAX);
    err = profile_end(&in);
    if (err)
        return err;
    if (beat.epoch == 0)
        return TORG_E_INVALID;
    *ret_beat = beat;
    return TORG_OK;
}

void signed_pack(struct span bytes, const struct signature *signature, struct buffer *out)
{
    pack_array(out, SIGNED_FIELDS);
    pack_bin(out, bytes.data, bytes.size);
    pack_bin(out, signature->bytes, sizeof(signature->bytes));
}

struct signed_span signed_read(struct profile_reader *in, size_t size_max)
{
    struct signed_span object = {0};

    profile_array_of(in, SIGNED_FIELDS);
    object.bytes = profile_bin(in, size_max);
    profile_bin_copy(in, object.signature.bytes, sizeof(object.signature.bytes));
    return in->in.err ? (struct signed_span){0} : object;
}
