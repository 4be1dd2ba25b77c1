/* SPDX-License-Identifier: EUPL-1.2 */
#include <string.h>

#include "protocol/replica_internal.h"

enum torg_err replica_entry_read(struct span header_bytes, struct span payload,
                                 struct replica_entry *ret_entry)
{
    struct replica_entry entry = {.header_bytes = header_bytes, .payload = payload};
    enum torg_err err = change_header_parse(header_bytes, &entry.header);

    if (err)
        return err;
    if (payload.size) {
        err = change_payload_check(&entry.header, payload);
        if (err)
            return err;
    }
    entry.header_hash = change_header_hash(header_bytes);
    entry.key = listing_key_of(&entry.header.id);
    *ret_entry = entry;
    return TORG_OK;
}

/* ---- the rule of validity ---- */

enum torg_err replica_authority(const struct kv *kv, const struct replica_origin *origin,
                                uint64_t epoch, uint64_t key_no, struct public_key *ret_key)
{
    struct charter charter;
    enum torg_err err;

    if (epoch != origin->charter_epoch)
        return epoch < origin->charter_epoch ? TORG_E_STALE : TORG_E_GAP;
    err = replica_charter_load(kv, origin->number, origin->charter_no, NULL, &charter);
    if (err)
        return err;
    return charter_signing_key(&charter, key_no, ret_key);
}

enum torg_err replica_held_head_check(const struct kv *kv, const struct replica_origin *origin)
{
    struct public_key key;
    enum torg_err err =
        replica_authority(kv, origin, origin->head.epoch, origin->head.key_no, &key);

    return err == TORG_E_SIGNATURE || err == TORG_E_GAP ? TORG_E_STALE : err;
}

/*
 * The key of a head. One that its own charter listed and a later one dropped is
 * no forgery: an honest peer without the later charter may still send it.
 */
static enum torg_err head_authority(const struct kv *kv, const struct replica_origin *origin,
                                    const struct head *head, struct public_key *ret_key)
{
    struct charter charter;
    struct public_key dropped;
    enum torg_err err;

    if (head->charter_no > origin->charter_no)
        return TORG_E_GAP;
    err = replica_authority(kv, origin, head->epoch, head->key_no, ret_key);
    if (err == TORG_E_GAP)
        return TORG_E_INVALID; /* It claims an epoch that the charter it names does not open. */
    if (err != TORG_E_SIGNATURE || head->charter_no == origin->charter_no)
        return err;
    err = replica_charter_load(kv, origin->number, head->charter_no, NULL, &charter);
    if (err)
        return err;
    return charter_signing_key(&charter, head->key_no, &dropped) ? TORG_E_SIGNATURE : TORG_E_STALE;
}

static bool epoch_is_disputed(const struct kv *kv, const struct replica_origin *origin,
                              uint64_t epoch)
{
    struct span proof;

    return origin->flags & REPLICA_FLAG_DISPUTED &&
           replica_proof_get(kv, origin->number, epoch, &proof) == TORG_OK;
}

enum torg_err replica_head_check(const struct kv *kv, const struct replica_origin *origin,
                                 const struct signed_span *signed_head, struct seal_proof *proof,
                                 struct head *ret_head)
{
    struct seal_proof none = {0};
    struct head head;
    struct public_key key;
    int order = 1;
    enum torg_err err = head_parse(signed_head->bytes, &head);

    if (err)
        return err;
    if (memcmp(&head.origin, &origin->id, sizeof(head.origin)))
        return TORG_E_INVALID;
    if (origin->has_head)
        order = head_compare(&head, &origin->head);
    if (order < 0)
        return TORG_E_STALE;
    if (order == 0) {
        struct hash hash = head_hash(signed_head->bytes);

        if (memcmp(&hash, &origin->head_hash, sizeof(hash)) == 0)
            return TORG_E_KNOWN;
    }
    err = head_authority(kv, origin, &head, &key);
    if (!err)
        err = seal_verify_once(DOMAIN_HEAD, signed_head->bytes, &signed_head->signature, &key,
                               proof ? proof : &none);
    if (err)
        return err;
    if (epoch_is_disputed(kv, origin, head.epoch))
        return TORG_E_UNEXPECTED;
    if (order == 0) {
        /* Two heads with one number: a fork, unless the other's key was taken back. */
        err = replica_held_head_check(kv, origin);
        if (err != TORG_E_STALE)
            return err ? err : TORG_E_UNEXPECTED;
    }
    *ret_head = head;
    return TORG_OK;
}

/* ---- beats ---- */

/* Order by (epoch, hno, ts_ms). */
static int beat_compare(const struct beat *a, const struct beat *b)
{
    if (a->epoch != b->epoch)
        return a->epoch < b->epoch ? -1 : 1;
    if (a->hno != b->hno)
        return a->hno < b->hno ? -1 : 1;
    return (a->ts_ms > b->ts_ms) - (a->ts_ms < b->ts_ms);
}

/* Does the beat name what is held under its number, if that is held? */
static bool beat_fits(const struct replica_origin *origin, const struct beat *beat)
{
    const struct hash *hash = NULL;

    if (beat->hno == 0)
        hash = &origin->epoch_hash;
    else if (origin->has_head && beat->epoch == origin->head.epoch && beat->hno == origin->head.hno)
        hash = &origin->head_hash;
    return !hash || memcmp(hash, &beat->head_hash, sizeof(*hash)) == 0;
}

enum torg_err replica_beat_check(const struct kv *kv, const struct replica_origin *origin,
                                 const struct signed_span *signed_beat, struct beat *ret_beat)
{
    struct beat beat;
    struct public_key key;
    enum torg_err err = beat_parse(signed_beat->bytes, &beat);

    if (err)
        return err;
    if (memcmp(&beat.origin, &origin->id, sizeof(beat.origin)))
        return TORG_E_INVALID;
    if (origin->has_beat) {
        int order = beat_compare(&beat, &origin->beat);

        if (order <= 0)
            return order ? TORG_E_STALE : TORG_E_KNOWN;
    }
    err = replica_authority(kv, origin, beat.epoch, beat.key_no, &key);
    if (err == TORG_E_SIGNATURE)
        return TORG_E_GAP; /* A beat names no charter: its key may be in one not yet here. */
    if (!err)
        err = seal_verify(DOMAIN_BEAT, signed_beat->bytes, &signed_beat->signature, &key);
    if (err)
        return err;
    if (beat.hno && origin->has_head && beat.epoch == origin->head.epoch &&
        beat.hno < origin->head.hno) {
        struct buffer evidence = {0};
        bool contradicts;

        err = replica_fork_find(kv, origin, signed_beat, NULL, 0, &evidence);
        contradicts = evidence.size > 0;
        buffer_done(&evidence);
        if (err || contradicts)
            return err ? err : TORG_E_UNEXPECTED;
    }
    if (!beat_fits(origin, &beat)) {
        if (beat.hno == 0)
            return TORG_E_INVALID;
        /* A dropped key's head is no fork; see replica_head_check. */
        err = replica_held_head_check(kv, origin);
        if (err != TORG_E_STALE)
            return err ? err : TORG_E_UNEXPECTED;
    }
    *ret_beat = beat;
    return TORG_OK;
}
