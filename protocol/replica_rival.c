/* SPDX-License-Identifier: EUPL-1.2 */
#include <string.h>

#include "protocol/replica_internal.h"

/*
 * Two charters with one number, both signed as they must be: which one is right only people can
 * say. The one that came first stands, the other is kept as its rival, both are told to all as
 * evidence; and when the right one is named, whoever holds the other goes over to it.
 */
#define RIVAL_FIELDS 2

/* ---- evidence ---- */

bool replica_rival_is(struct span proof)
{
    struct profile_reader in = profile_reader_of(proof);

    return profile_array(&in) == RIVAL_FIELDS && !in.in.err;
}

void replica_rival_pack(struct span held, struct span rival, struct buffer *out)
{
    pack_array(out, RIVAL_FIELDS);
    buffer_put_span(out, held);
    buffer_put_span(out, rival);
}

/* One of the two charters in the evidence. */
struct side {
    struct span stored; /* as it travels */
    struct charter_signed object;
    struct charter charter;
};

static enum torg_err sides_read(struct span proof, struct side sides[2])
{
    struct profile_reader in = profile_reader_of(proof);
    enum torg_err err;

    profile_array_of(&in, RIVAL_FIELDS);
    for (unsigned i = 0; i < 2; i++)
        sides[i].stored = profile_skip(&in);
    err = profile_end(&in);
    for (unsigned i = 0; i < 2 && !err; i++) {
        err = charter_signed_parse(sides[i].stored, &sides[i].object);
        if (!err)
            err = charter_parse(sides[i].object.bytes, &sides[i].charter);
    }
    if (err)
        return err;
    if (sides[0].charter.charter_no != sides[1].charter.charter_no ||
        sides[0].charter.charter_no == 0 ||
        span_equal(sides[0].object.bytes, sides[1].object.bytes))
        return TORG_E_INVALID;
    return TORG_OK;
}

/* Could it have come instead of the charter that is held under its number? Signatures first. */
static enum torg_err rival_check(const struct kv *kv, const struct replica_origin *origin,
                                 const struct side *rival)
{
    uint64_t number = rival->charter.charter_no;
    struct charter_signed before;
    struct charter older;
    enum torg_err err = replica_charter_load(kv, origin->number, number - 1, &before, &older);

    if (!err)
        err = charter_check(&before, &rival->object);
    for (uint64_t no = 0; no + 1 < number && !err; no++) {
        err = replica_charter_load(kv, origin->number, no, NULL, &older);
        if (!err)
            err = charter_key_numbers_check(&older, &rival->charter);
    }
    return err;
}

/* named NULL: no charter is. */
static bool is_named(const struct charter_signed *object, const struct hash *named)
{
    struct hash own = charter_hash(object->bytes);

    return named && memcmp(&own, named, sizeof(own)) == 0;
}

/*
 * *ret_rival is the side that is not held. One rival is enough to dispute a number; but of three
 * charters the third may be the right one: if it is named, it comes in the other rival's place.
 */
static enum torg_err evidence_check(const struct kv *kv, const struct replica_origin *origin,
                                    struct span proof, const struct hash *named,
                                    struct side sides[2], unsigned *ret_rival)
{
    struct charter_signed held;
    struct charter charter;
    struct span stored;
    bool has_rival;
    uint64_t number;
    enum torg_err err = sides_read(proof, sides);

    if (err)
        return err;
    number = sides[0].charter.charter_no;
    if (number > origin->charter_no)
        return TORG_E_GAP;
    err = replica_charter_rival_get(kv, origin->number, number, &stored);
    if (err && err != TORG_E_NOT_FOUND)
        return err;
    has_rival = !err;
    if (has_rival && !named)
        return TORG_E_KNOWN;
    err = replica_charter_load(kv, origin->number, number, &held, &charter);
    if (err)
        return err;
    if (span_equal(held.bytes, sides[0].object.bytes))
        *ret_rival = 1;
    else if (span_equal(held.bytes, sides[1].object.bytes))
        *ret_rival = 0;
    else
        return TORG_E_INVALID;
    if (has_rival && (!is_named(&sides[*ret_rival].object, named) ||
                      span_equal(stored, sides[*ret_rival].stored)))
        return TORG_E_KNOWN;
    return rival_check(kv, origin, &sides[*ret_rival]);
}

enum torg_err replica_rival_check(const struct kv *kv, const struct replica_origin *origin,
                                  struct span proof)
{
    struct side sides[2];
    unsigned rival;

    return evidence_check(kv, origin, proof, NULL, sides, &rival);
}

enum torg_err replica_rival_keep(struct kv *kv, const struct replica_origin *origin,
                                 struct span proof, const struct hash *named)
{
    struct side sides[2];
    struct replica_key key;
    unsigned rival = 0;
    enum torg_err err = evidence_check(kv, origin, proof, named, sides, &rival);

    if (err)
        return err;
    key = replica_key_rival(origin->number, sides[rival].charter.charter_no);
    return kv_put(kv, KV_CHARTER, replica_key_span(&key), sides[rival].stored);
}

/* ---- the right one is named ---- */

/* The number under which two charters are held, of which one is meant. */
struct meant {
    uint64_t number;
    bool is_rival;       /* the right one is not the one that stands */
    struct buffer right; /* signed, as stored */
    struct buffer wrong;
};

static void meant_done(struct meant *meant)
{
    buffer_done(&meant->right);
    buffer_done(&meant->wrong);
}

static enum torg_err stored_hash(struct span stored, struct hash *ret_hash)
{
    struct charter_signed object;

    if (charter_signed_parse(stored, &object))
        return TORG_E_CORRUPT;
    *ret_hash = charter_hash(object.bytes);
    return TORG_OK;
}

/* TORG_E_NOT_FOUND: of that number there is one charter. */
static enum torg_err two_read(const struct kv *kv, uint32_t number, uint64_t charter_no,
                              struct span stored[2], struct hash hashes[2])
{
    enum torg_err err = replica_charter_rival_get(kv, number, charter_no, &stored[1]);

    if (err)
        return err;
    err = replica_charter_get(kv, number, charter_no, &stored[0]);
    for (unsigned i = 0; i < 2 && !err; i++)
        err = stored_hash(stored[i], &hashes[i]);
    return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
}

/* The number that the evidence of now is about; 0: there is none, or it is of heads. */
static uint64_t disputed_number(const struct kv *kv, const struct replica_origin *origin)
{
    struct side sides[2];
    struct span proof;

    if (replica_proof_get(kv, origin->number, origin->charter_epoch, &proof) ||
        !replica_rival_is(proof) || sides_read(proof, sides))
        return 0;
    return sides[0].charter.charter_no;
}

enum torg_err replica_rival_find(const struct kv *kv, const struct replica_origin *origin,
                                 uint64_t *ret_charter_no, struct hash *ret_held,
                                 struct hash *ret_rival)
{
    struct span stored[2];
    struct hash hashes[2];
    uint64_t no = disputed_number(kv, origin);
    enum torg_err err = no ? two_read(kv, origin->number, no, stored, hashes) : TORG_E_NOT_FOUND;

    for (uint64_t below = origin->charter_no + 1; below > 1 && err == TORG_E_NOT_FOUND; below--) {
        no = below - 1;
        err = two_read(kv, origin->number, no, stored, hashes);
    }
    if (err)
        return err;
    *ret_charter_no = no;
    *ret_held = hashes[0];
    *ret_rival = hashes[1];
    return TORG_OK;
}

/* TORG_E_NOT_FOUND: no two charters are held of which one has that hash. */
static enum torg_err meant_find(const struct kv *kv, const struct replica_origin *origin,
                                const struct hash *named, struct meant *meant)
{
    for (uint64_t no = 1; no <= origin->charter_no; no++) {
        struct span stored[2];
        struct hash hashes[2];
        enum torg_err err = two_read(kv, origin->number, no, stored, hashes);

        if (err == TORG_E_NOT_FOUND)
            continue;
        if (err)
            return err;
        meant->is_rival = memcmp(&hashes[1], named, sizeof(*named)) == 0;
        if (!meant->is_rival && memcmp(&hashes[0], named, sizeof(*named)) != 0)
            continue;
        meant->number = no;
        /* Copies: a write may move what is stored. */
        buffer_put_span(&meant->right, stored[meant->is_rival]);
        buffer_put_span(&meant->wrong, stored[!meant->is_rival]);
        return meant->right.err ? meant->right.err : meant->wrong.err;
    }
    return TORG_E_NOT_FOUND;
}

/* The evidence of an epoch goes if it is of two charters, or if the epoch is not one any more. */
static enum torg_err evidence_drop(struct kv *kv, const struct replica_origin *origin,
                                   uint64_t epoch, bool gone)
{
    struct replica_key key = replica_key_proof(origin->number, epoch);
    struct span proof;
    enum torg_err err = replica_proof_get(kv, origin->number, epoch, &proof);

    if (err == TORG_E_NOT_FOUND || (!err && !gone && !replica_rival_is(proof)))
        return TORG_OK;
    return err ? err : kv_del(kv, KV_PROOF, replica_key_span(&key));
}

static enum torg_err row_drop(struct kv *kv, enum kv_table table, const struct replica_key *key)
{
    enum torg_err err = kv_del(kv, table, replica_key_span(key));

    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

/* The charters from number on, and the rivals of those above it, which stand on the wrong one. */
static enum torg_err charters_replace(struct kv *kv, const struct replica_origin *origin,
                                      const struct meant *meant)
{
    struct replica_key key = replica_key_charter(origin->number, meant->number);
    enum torg_err err;

    err = kv_put(kv, KV_CHARTER, replica_key_span(&key), buffer_span(&meant->right));
    key = replica_key_rival(origin->number, meant->number);
    if (!err)
        err = kv_put(kv, KV_CHARTER, replica_key_span(&key), buffer_span(&meant->wrong));
    for (uint64_t no = meant->number + 1; no <= origin->charter_no && !err; no++) {
        key = replica_key_charter(origin->number, no);
        err = row_drop(kv, KV_CHARTER, &key);
        key = replica_key_rival(origin->number, no);
        if (!err)
            err = row_drop(kv, KV_CHARTER, &key);
    }
    return err;
}

/* The hash of the charter that opened the epoch of charter no. */
static enum torg_err epoch_opened(const struct kv *kv, uint32_t number, uint64_t no,
                                  struct hash *ret_hash)
{
    struct charter_signed object;
    struct charter charter;
    uint64_t epoch;
    enum torg_err err = replica_charter_load(kv, number, no, &object, &charter);

    epoch = charter.epoch;
    while (!err && no > 0 && charter.epoch == epoch) {
        *ret_hash = charter_hash(object.bytes);
        err = replica_charter_load(kv, number, --no, &object, &charter);
    }
    if (!err && charter.epoch == epoch)
        *ret_hash = charter_hash(object.bytes);
    return err;
}

/* One of the newest 256 and a few dozen: all that are held of a foreign origin. */
static enum torg_err heads_drop(struct kv *kv, uint32_t number)
{
    struct replica_key from = replica_key_head(number, 0, 0);
    struct kv_cursor *cursor;
    struct span key, value;
    enum torg_err err = kv_cursor_open(kv, KV_HEAD, &cursor);

    if (err)
        return err;
    err = kv_cursor_seek(kv, cursor, replica_key_span(&from), &key, &value);
    while (!err && key.size == from.size && memcmp(key.data, from.bytes, 4) == 0) {
        memcpy(from.bytes, key.data, key.size); /* A write ends what was borrowed. */
        err = kv_del(kv, KV_HEAD, replica_key_span(&from));
        if (!err)
            err = kv_cursor_seek(kv, cursor, replica_key_span(&from), &key, &value);
    }
    kv_cursor_close(kv, cursor);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

/*
 * A head from under the wrong charter stands no more, and a right one may have a lower number: the
 * origin is as one of which no head has come yet. What is held of it stays, is served, and becomes
 * what the next head says by a reconcile.
 */
static enum torg_err head_drop(struct kv *kv, struct replica_origin *origin)
{
    struct replica_writing writing = {.kv = kv, .origin = origin};
    enum torg_err err = replica_floor_raise(&writing);

    if (!err)
        err = heads_drop(kv, origin->number);
    origin->has_head = false;
    origin->head = (struct head){0};
    origin->head_hash = (struct hash){0};
    origin->unproven_hno = 0;
    origin->flags &= ~REPLICA_FLAG_FAULTY;
    return err;
}

static enum torg_err beat_drop(struct kv *kv, struct replica_origin *origin)
{
    struct replica_key key = replica_key_beat(origin->number);

    origin->has_beat = false;
    return row_drop(kv, KV_ORIGIN, &key);
}

/* To the other charter: nothing that was said under the wrong one counts any more. */
static enum torg_err go_over(struct kv *kv, struct replica_origin *origin,
                             const struct meant *meant)
{
    struct charter_signed object;
    struct charter right, before = {0};
    enum torg_err err;

    err = charter_signed_parse(buffer_span(&meant->right), &object);
    if (!err)
        err = charter_parse(object.bytes, &right);
    if (!err)
        err = replica_charter_load(kv, origin->number, meant->number - 1, NULL, &before);
    if (!err)
        err = charters_replace(kv, origin, meant);
    for (uint64_t epoch = before.epoch; epoch <= origin->charter_epoch && !err; epoch++)
        err = evidence_drop(kv, origin, epoch, epoch > before.epoch);
    if (!err && origin->has_head &&
        (origin->head.epoch > before.epoch || origin->head.charter_no >= meant->number))
        err = head_drop(kv, origin);
    if (!err)
        err = beat_drop(kv, origin);
    if (err)
        return err;
    origin->charter_no = meant->number;
    origin->charter_hash = charter_hash(object.bytes);
    origin->charter_epoch = right.epoch;
    return epoch_opened(kv, origin->number, meant->number, &origin->epoch_hash);
}

/* Is there still evidence against the epoch that the newest charter stands for? */
static enum torg_err dispute_follow(const struct kv *kv, struct replica_origin *origin)
{
    struct span proof;
    enum torg_err err = replica_proof_get(kv, origin->number, origin->charter_epoch, &proof);

    if (err == TORG_E_NOT_FOUND)
        origin->flags &= ~REPLICA_FLAG_DISPUTED;
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

static enum torg_err settle_write(struct kv *kv, struct replica_origin *origin,
                                  const struct meant *meant,
                                  const struct replica_observer *observer)
{
    uint32_t public_mask = 0;
    enum torg_err err = replica_public_mask(kv, origin, &public_mask);

    if (!err && meant->is_rival)
        err = go_over(kv, origin, meant);
    else if (!err)
        err = evidence_drop(kv, origin, origin->charter_epoch, false);
    if (!err)
        err = dispute_follow(kv, origin);
    if (!err)
        err = replica_origin_save(kv, origin);
    if (!err && meant->is_rival && observer)
        err = replica_visibility_follow(kv, origin, public_mask, observer);
    return replica_fatal(err);
}

enum torg_err replica_settle_apply(struct kv *kv, const struct replica_write *write,
                                   const struct replica_observer *observer)
{
    struct replica_origin origin;
    struct meant meant = {0};
    enum torg_err err = replica_origin_get(kv, &write->origin, &origin);

    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_GAP : err;
    err = meant_find(kv, &origin, &write->charter, &meant);
    if (err == TORG_E_NOT_FOUND ||
        (!err && !meant.is_rival && !(origin.flags & REPLICA_FLAG_DISPUTED)))
        err = TORG_E_KNOWN;
    if (!err && meant.is_rival && origin.flags & REPLICA_FLAG_OWN)
        err = TORG_E_INVALID;
    if (!err)
        err = settle_write(kv, &origin, &meant, observer);
    meant_done(&meant);
    return err;
}
