/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdlib.h>
#include <string.h>

#include "protocol/replica_internal.h"

static const uint8_t next_number_key[] = "replica/next-origin-number";

/* Every number that an origin's charters ever gave to a key. */
struct key_history {
    struct charter_signing_key *keys;
    size_t count;
    size_t capacity;
};

/* Charters on their way in, and what the record will say when all are in. */
struct charters {
    struct replica_origin origin;
    bool known;                        /* the origin has a record */
    const struct charter_signed *last; /* the newest so far; NULL before charter 0 */
    struct charter_signed held;        /* last, when it is a stored one */
    struct key_history history;
    size_t first_new; /* of write->charters; all from here on are new */
    bool rival;       /* instead, the one at first_new contradicts one that is held */
};

static enum torg_err history_add(struct key_history *history, const struct charter *charter)
{
    for (unsigned i = 0; i < charter->signing_key_count; i++) {
        const struct charter_signing_key *key = &charter->signing_keys[i];
        bool known = false;

        for (size_t j = 0; j < history->count && !known; j++) {
            if (history->keys[j].key_no != key->key_no)
                continue;
            if (memcmp(&history->keys[j].key, &key->key, sizeof(key->key)))
                return TORG_E_INVALID;
            known = true;
        }
        if (known)
            continue;
        if (history->count == history->capacity) {
            size_t capacity = history->capacity ? 2 * history->capacity : 16;
            struct charter_signing_key *keys = reallocarray(history->keys, capacity, sizeof(*keys));

            if (!keys)
                return TORG_E_NOMEM;
            history->keys = keys;
            history->capacity = capacity;
        }
        history->keys[history->count++] = *key;
    }
    return TORG_OK;
}

/*
 * The stored chain: its newest charter, and the keys that it ever named. Read
 * only when something new follows it: peers may send what is known as they like.
 */
static enum torg_err chain_load(const struct kv *kv, struct charters *charters)
{
    struct charter charter;
    enum torg_err err = TORG_OK;

    if (!charters->known || charters->last)
        return TORG_OK;
    for (uint64_t no = 0; no <= charters->origin.charter_no && !err; no++) {
        err = replica_charter_load(kv, charters->origin.number, no, &charters->held, &charter);
        if (!err && history_add(&charters->history, &charter) == TORG_E_NOMEM)
            err = TORG_E_NOMEM;
    }
    charters->last = &charters->held;
    return err;
}

/* A charter whose number is held: the same one, or another, which is judged as evidence is. */
static enum torg_err held_charter_check(const struct kv *kv, struct charters *charters,
                                        const struct charter_signed *next, uint64_t charter_no)
{
    struct charter_signed held;
    struct charter parsed;
    enum torg_err err;

    err = replica_charter_load(kv, charters->origin.number, charter_no, &held, &parsed);
    if (err)
        return err;
    if (span_equal(held.bytes, next->bytes))
        return TORG_E_KNOWN;
    if (charter_no == 0)
        return TORG_E_MISMATCH; /* It founds another origin. */
    charters->rival = true;
    return TORG_OK;
}

static enum torg_err new_charter_check(struct charters *charters, const struct charter_signed *next,
                                       const struct charter *parsed)
{
    struct replica_origin *origin = &charters->origin;
    struct origin_id id;
    enum torg_err err = charter_check(charters->last, next);

    if (err)
        return err;
    if (!charters->last) {
        id = charter_origin(next->bytes);
        if (memcmp(&id, &origin->id, sizeof(id)))
            return TORG_E_MISMATCH;
    }
    err = history_add(&charters->history, parsed);
    if (err)
        return err;
    origin->charter_no = parsed->charter_no;
    origin->charter_hash = charter_hash(next->bytes);
    if (!charters->last || parsed->epoch != origin->charter_epoch)
        origin->epoch_hash = origin->charter_hash;
    if (parsed->epoch != origin->charter_epoch && !origin->has_head)
        origin->flags &= ~REPLICA_FLAG_DISPUTED; /* nothing is held that a new head must heal */
    origin->charter_epoch = parsed->epoch;
    charters->last = next;
    return TORG_OK;
}

/* Judge them all; TORG_E_KNOWN when there is nothing to write. */
static enum torg_err charters_check(const struct kv *kv, struct charters *charters,
                                    const struct replica_write *write)
{
    bool held = charters->known;
    uint64_t newest = charters->origin.charter_no;

    charters->first_new = write->charter_count;
    for (size_t i = 0; i < write->charter_count; i++) {
        const struct charter_signed *next = &write->charters[i];
        struct charter parsed;
        enum torg_err err = charter_parse(next->bytes, &parsed);

        if (!err && held && parsed.charter_no <= newest) {
            err = held_charter_check(kv, charters, next, parsed.charter_no);
            if (err == TORG_E_KNOWN)
                continue;
            charters->first_new = i;
            return err;
        }
        if (!err)
            err = chain_load(kv, charters);
        if (!err)
            err = new_charter_check(charters, next, &parsed);
        if (err)
            return err;
        if (charters->first_new == write->charter_count)
            charters->first_new = i;
    }
    return charters->first_new == write->charter_count ? TORG_E_KNOWN : TORG_OK;
}

/* Numbers are given once, from 1 on, and never again: keys stand for the id by them. */
static enum torg_err number_next(const struct kv *kv, uint32_t *ret_number)
{
    struct replica_key taken;
    struct span value;
    uint32_t number = 1;
    enum torg_err err =
        kv_get(kv, KV_META, span_of(next_number_key, sizeof(next_number_key) - 1), &value);

    if (err && err != TORG_E_NOT_FOUND)
        return err;
    if (!err && value.size != 4)
        return TORG_E_CORRUPT;
    if (!err)
        number = get_u32be(value.data);
    if (number > ORIGINS_MAX)
        return TORG_E_TOO_BIG;
    taken = replica_key_number(number);
    err = kv_get(kv, KV_ORIGIN, replica_key_span(&taken), &value);
    if (number == 0 || err != TORG_E_NOT_FOUND)
        return err && err != TORG_E_NOT_FOUND ? err : TORG_E_CORRUPT;
    *ret_number = number;
    return TORG_OK;
}

static enum torg_err number_take(struct kv *kv, const struct replica_origin *origin)
{
    struct replica_key key = replica_key_number(origin->number);
    uint8_t next[4];
    enum torg_err err;

    put_u32be(next, origin->number + 1);
    err = kv_put(kv, KV_META, span_of(next_number_key, sizeof(next_number_key) - 1),
                 span_of(next, sizeof(next)));
    if (err)
        return err;
    return kv_put(kv, KV_ORIGIN, replica_key_span(&key),
                  span_of(origin->id.bytes, sizeof(origin->id.bytes)));
}

static enum torg_err charter_put(struct kv *kv, const struct replica_key *key,
                                 const struct charter_signed *charter)
{
    struct buffer value = {0};
    enum torg_err err;

    charter_signed_pack(charter, &value);
    err = value.err;
    if (!err)
        err = kv_put(kv, KV_CHARTER, replica_key_span(key), buffer_span(&value));
    buffer_done(&value);
    return err;
}

static enum torg_err charters_write(struct kv *kv, struct charters *charters,
                                    const struct replica_write *write)
{
    struct replica_origin *origin = &charters->origin;
    uint64_t charter_no = origin->charter_no - (write->charter_count - 1 - charters->first_new);
    enum torg_err err = TORG_OK;

    if (!charters->known)
        err = number_take(kv, origin);
    for (size_t i = charters->first_new; i < write->charter_count && !err; i++) {
        struct replica_key key = replica_key_charter(origin->number, charter_no++);

        err = charter_put(kv, &key, &write->charters[i]);
    }
    return err ? err : replica_origin_save(kv, origin);
}

static enum torg_err rival_write(struct kv *kv, const struct charters *charters,
                                 const struct charter_signed *rival)
{
    struct replica_write proof = {.kind = REPLICA_WRITE_PROOF, .origin = charters->origin.id};
    struct buffer packed = {0}, evidence = {0};
    struct charter parsed;
    struct span held;
    enum torg_err err = charter_parse(rival->bytes, &parsed);

    if (!err)
        err = replica_charter_get(kv, charters->origin.number, parsed.charter_no, &held);
    if (!err) {
        charter_signed_pack(rival, &packed);
        replica_rival_pack(held, buffer_span(&packed), &evidence);
        err = packed.err ? packed.err : evidence.err;
    }
    if (!err) {
        proof.proof = buffer_span(&evidence);
        err = replica_apply(kv, &proof, NULL);
    }
    buffer_done(&packed);
    buffer_done(&evidence);
    return err;
}

enum torg_err replica_visibility_follow(struct kv *kv, const struct replica_origin *origin,
                                        uint32_t before, const struct replica_observer *observer)
{
    uint32_t after;
    enum torg_err err = replica_public_mask(kv, origin, &after);

    if (err || before == after)
        return err;
    return replica_tell_again(kv, origin, before ^ after, observer);
}

enum torg_err replica_charters_apply(struct kv *kv, const struct replica_write *write,
                                     const struct replica_observer *observer)
{
    struct charters charters = {0};
    bool follows = false;
    uint32_t before = 0;
    enum torg_err err;

    err = replica_origin_get(kv, &write->origin, &charters.origin);
    charters.known = err == TORG_OK;
    if (!err && observer) {
        follows = true;
        err = replica_public_mask(kv, &charters.origin, &before);
    }
    if (err == TORG_E_NOT_FOUND) {
        charters.origin = (struct replica_origin){.id = write->origin};
        err = number_next(kv, &charters.origin.number);
    }
    if (!err)
        err = charters_check(kv, &charters, write);
    if (err)
        goto done;
    err = charters.rival ? rival_write(kv, &charters, &write->charters[charters.first_new])
                         : charters_write(kv, &charters, write);
    if (!err && follows && !charters.rival)
        err = replica_visibility_follow(kv, &charters.origin, before, observer);
done:
    free(charters.history.keys);
    return err;
}
