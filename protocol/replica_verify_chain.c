/* SPDX-License-Identifier: EUPL-1.2 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/replica_internal.h"

/* What the charters say, as the heads need it: one element for each charter. */
struct charter_note {
    bool read;
    uint64_t epoch;
    struct hash epoch_hash; /* of the charter that opened this epoch */
    uint8_t signing_key_count;
    struct charter_signing_key signing_keys[CHARTER_SIGNING_KEYS_MAX];
};

struct chain_check {
    struct replica_verifying *verifying;
    struct charter_note *notes; /* charter_no + 1 of them */
    struct head last;           /* of the walk over heads */
    struct hash last_hash;
    bool has_last;
};

static bool hash_equal(const struct hash *a, const struct hash *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* ---- charters ---- */

static void charter_note_take(struct chain_check *check, uint64_t no, const struct charter *charter,
                              const struct hash *hash)
{
    struct charter_note *note = &check->notes[no];

    note->read = true;
    note->epoch = charter->epoch;
    note->epoch_hash = *hash;
    if (no && check->notes[no - 1].read && check->notes[no - 1].epoch == charter->epoch)
        note->epoch_hash = check->notes[no - 1].epoch_hash;
    note->signing_key_count = charter->signing_key_count;
    memcpy(note->signing_keys, charter->signing_keys, sizeof(note->signing_keys));
}

/* before: the one below, when it could be read. */
static void charter_verify(struct chain_check *check, uint64_t no,
                           const struct charter_signed *before, const struct charter_signed *object,
                           const struct charter *charter)
{
    const struct replica_origin *origin = check->verifying->origin;
    struct hash hash = charter_hash(object->bytes);
    struct origin_id id = charter_origin(object->bytes);

    if (no == 0 && memcmp(&id, &origin->id, sizeof(id)))
        replica_verify_say(check->verifying, "charter 0 founds another origin");
    if ((no == 0 || before) && charter_check(before, object))
        replica_verify_say(check->verifying,
                           "charter %" PRIu64 " does not follow the one before, or is not signed",
                           no);
    charter_note_take(check, no, charter, &hash);
    if (no != origin->charter_no)
        return;
    if (!hash_equal(&hash, &origin->charter_hash))
        replica_verify_say(check->verifying,
                           "charter %" PRIu64 " is not the one in the origin's record", no);
    if (charter->epoch != origin->charter_epoch ||
        !hash_equal(&check->notes[no].epoch_hash, &origin->epoch_hash))
        replica_verify_say(check->verifying, "the record names another epoch than the charters");
}

static enum torg_err charters_verify(struct chain_check *check)
{
    const struct replica_origin *origin = check->verifying->origin;
    struct charter_signed objects[2];
    const struct charter_signed *before = NULL;

    for (uint64_t no = 0; no <= origin->charter_no; no++) {
        struct charter_signed *object = &objects[no % 2];
        struct charter charter;
        enum torg_err err =
            replica_charter_load(check->verifying->kv, origin->number, no, object, &charter);

        if (err == TORG_E_CORRUPT) {
            replica_verify_say(check->verifying, "charter %" PRIu64 " is missing or cannot be read",
                               no);
            before = NULL;
            continue;
        }
        if (err)
            return err;
        charter_verify(check, no, before, object, &charter);
        before = object;
    }
    return TORG_OK;
}

/* ---- heads ---- */

static const struct charter_note *note_of_epoch(const struct chain_check *check, uint64_t epoch)
{
    for (uint64_t no = 0; no <= check->verifying->origin->charter_no; no++) {
        if (check->notes[no].read && check->notes[no].epoch == epoch)
            return &check->notes[no];
    }
    return NULL;
}

/* The signature, by the key that the charter which the head names lists. */
static bool head_is_signed(const struct chain_check *check, const struct signed_span *object,
                           const struct head *head)
{
    const struct charter_note *note;

    if (head->charter_no > check->verifying->origin->charter_no)
        return false;
    note = &check->notes[head->charter_no];
    for (unsigned i = 0; i < note->signing_key_count; i++) {
        if (note->signing_keys[i].key_no == head->key_no)
            return !seal_verify(DOMAIN_HEAD, object->bytes, &object->signature,
                                &note->signing_keys[i].key);
    }
    return false;
}

/* Taken by its hash alone, from a path below a signed head; see REPLICA_WRITE_ANCESTRY. */
static bool head_is_ancestor(const struct chain_check *check, const struct signed_span *object,
                             const struct head *head)
{
    static const struct signature none;

    return memcmp(&object->signature, &none, sizeof(none)) == 0 &&
           head_compare(head, &check->verifying->origin->head) < 0;
}

/* A forked epoch has two lines; and so has one in which a key was taken back. */
static bool is_other_branch(const struct chain_check *check, uint64_t epoch,
                            const struct signed_span *object)
{
    const struct replica_origin *origin = check->verifying->origin;
    const struct charter_note *newest = &check->notes[origin->charter_no];
    struct head head;
    struct span proof;

    if (replica_proof_get(check->verifying->kv, origin->number, epoch, &proof) == TORG_OK)
        return true;
    if (head_parse(object->bytes, &head) || newest->epoch != epoch)
        return false;
    for (unsigned i = 0; i < newest->signing_key_count; i++) {
        if (newest->signing_keys[i].key_no == head.key_no)
            return false;
    }
    return true;
}

/* Is hash what stands at (epoch, hno), as far as that is here? */
static enum torg_err link_check(const struct chain_check *check, uint64_t epoch, uint64_t hno,
                                const struct hash *hash, bool *ret_fits)
{
    struct signed_span object;
    struct span value;
    struct hash stored;
    enum torg_err err;

    *ret_fits = true;
    if (hno == 0) {
        const struct charter_note *note = note_of_epoch(check, epoch);

        *ret_fits = !note || hash_equal(hash, &note->epoch_hash);
        return TORG_OK;
    }
    err = replica_head_get(check->verifying->kv, check->verifying->origin->number, epoch, hno,
                           &value);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_OK : err;
    if (replica_signed_read(value, HEAD_BYTES_MAX, &object))
        return TORG_OK; /* Told when the walk comes there. */
    stored = head_hash(object.bytes);
    *ret_fits = hash_equal(hash, &stored) || is_other_branch(check, epoch, &object);
    return TORG_OK;
}

static enum torg_err head_verify(struct chain_check *check, uint64_t epoch, uint64_t hno,
                                 struct span value)
{
    struct replica_verifying *verifying = check->verifying;
    struct signed_span object;
    struct head head;
    bool prev_fits, skip_fits;
    enum torg_err err;

    if (replica_signed_read(value, HEAD_BYTES_MAX, &object) || head_parse(object.bytes, &head) ||
        head.epoch != epoch || head.hno != hno ||
        memcmp(&head.origin, &verifying->origin->id, sizeof(head.origin))) {
        replica_verify_say(verifying, "head %" PRIu64 " of epoch %" PRIu64 " cannot be read", hno,
                           epoch);
        return TORG_OK;
    }
    if (!head_is_ancestor(check, &object, &head) && !head_is_signed(check, &object, &head))
        replica_verify_say(verifying, "head %" PRIu64 " of epoch %" PRIu64 " is not signed", hno,
                           epoch);
    err = link_check(check, epoch, hno - 1, &head.prev, &prev_fits);
    if (!err)
        err = link_check(check, epoch, head_jump(hno), &head.skip, &skip_fits);
    if (err)
        return err;
    if (!prev_fits || !skip_fits)
        replica_verify_say(verifying,
                           "head %" PRIu64 " of epoch %" PRIu64 " does not follow the %s", hno,
                           epoch, prev_fits ? "head that it skips to" : "one before");
    check->last = head;
    check->last_hash = head_hash(object.bytes);
    check->has_last = true;
    return TORG_OK;
}

static enum torg_err heads_verify(struct chain_check *check)
{
    const struct kv *kv = check->verifying->kv;
    const struct replica_origin *origin = check->verifying->origin;
    struct replica_key from = replica_key_head(origin->number, 0, 0);
    struct kv_cursor *cursor;
    struct span key, value;
    enum torg_err err = kv_cursor_open(kv, KV_HEAD, &cursor);

    if (err)
        return err;
    err = kv_cursor_seek(kv, cursor, replica_key_span(&from), &key, &value);
    while (!err && key.size == from.size && memcmp(key.data, from.bytes, 4) == 0) {
        err = head_verify(check, get_u64be(key.data + 4), get_u64be(key.data + 12), value);
        if (!err)
            err = kv_cursor_next(kv, cursor, &key, &value);
    }
    kv_cursor_close(kv, cursor);
    if (err && err != TORG_E_NOT_FOUND)
        return err;
    if (origin->has_head != check->has_last ||
        (check->has_last && (head_compare(&check->last, &origin->head) ||
                             !hash_equal(&check->last_hash, &origin->head_hash))))
        replica_verify_say(check->verifying, "the record does not name the newest head");
    return TORG_OK;
}

/* ---- the beat ---- */

static enum torg_err beat_verify(struct chain_check *check)
{
    const struct replica_origin *origin = check->verifying->origin;
    struct signed_span object;
    struct public_key key;
    struct span value;
    enum torg_err err = replica_beat_get(check->verifying->kv, origin->number, &value);

    if (err == TORG_E_NOT_FOUND)
        return TORG_OK;
    if (err)
        return err;
    if (replica_signed_read(value, BEAT_BYTES_MAX, &object)) {
        replica_verify_say(check->verifying, "the beat cannot be read");
        return TORG_OK;
    }
    /* An older epoch's beat, or a dropped key's, stays until a newer one comes. */
    if (replica_authority(check->verifying->kv, origin, origin->beat.epoch, origin->beat.key_no,
                          &key))
        return TORG_OK;
    if (seal_verify(DOMAIN_BEAT, object.bytes, &object.signature, &key))
        replica_verify_say(check->verifying, "the beat is not signed");
    return TORG_OK;
}

enum torg_err replica_verify_chain(struct replica_verifying *verifying)
{
    struct chain_check check = {.verifying = verifying};
    enum torg_err err;

    if (verifying->origin->charter_no >= CHARTERS_MAX) {
        replica_verify_say(verifying, "the record counts more charters than there may be");
        return TORG_OK;
    }
    check.notes = calloc(verifying->origin->charter_no + 1, sizeof(*check.notes));
    if (!check.notes)
        return TORG_E_NOMEM;
    err = charters_verify(&check);
    if (!err)
        err = heads_verify(&check);
    if (!err)
        err = beat_verify(&check);
    free(check.notes);
    return err;
}
