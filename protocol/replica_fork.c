/* SPDX-License-Identifier: EUPL-1.2 */
#include <string.h>

#include "protocol/replica_internal.h"

/*
 * Finding forks. What is held is the witness: heads that came signed stay so, and
 * whatever names another hash under the number of one of them convicts the origin.
 */

struct search {
    const struct kv *kv;
    const struct replica_origin *origin;
    struct buffer *evidence;
};

/* A signed head that is held; TORG_E_NOT_FOUND also for one that is known by its hash alone. */
static enum torg_err signed_head_held(const struct search *search, uint64_t epoch, uint64_t hno,
                                      struct signed_span *ret_head)
{
    static const struct signature none;
    struct signed_span head;
    struct span stored;
    enum torg_err err;

    err = replica_head_get(search->kv, search->origin->number, epoch, hno, &stored);
    if (!err)
        err = replica_signed_read(stored, HEAD_BYTES_MAX, &head);
    if (err)
        return err;
    if (memcmp(&head.signature, &none, sizeof(none)) == 0)
        return TORG_E_NOT_FOUND;
    *ret_head = head;
    return TORG_OK;
}

/*
 * Pack it, and keep it only if everybody would accept it: keys that a newer
 * charter dropped convict nobody.
 */
static enum torg_err convict(const struct search *search, const struct signed_span *head,
                             const struct signed_span *other, const struct span *path, size_t count)
{
    uint64_t epoch;
    enum torg_err err;

    buffer_clear(search->evidence);
    replica_proof_pack(head, other, path, count, search->evidence);
    if (search->evidence->err)
        return search->evidence->err;
    err = replica_proof_check(search->kv, search->origin, buffer_span(search->evidence), &epoch);
    if (err)
        buffer_clear(search->evidence);
    return replica_is_storage_error(err) ? err : TORG_OK;
}

/* at, reached from other by path, says that hno has that hash: is another one held? */
static enum torg_err name_check(const struct search *search, const struct head *at, uint64_t hno,
                                const struct hash *named, const struct signed_span *other,
                                const struct span *path, size_t count)
{
    struct signed_span held;
    struct hash hash;
    enum torg_err err;

    if (hno == 0 || search->evidence->size)
        return TORG_OK;
    err = signed_head_held(search, at->epoch, hno, &held);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_OK : err;
    hash = head_hash(held.bytes);
    if (memcmp(&hash, named, sizeof(hash)) == 0)
        return TORG_OK;
    return convict(search, &held, other, path, count);
}

/* other, and what leads down from it, against what is held. */
static enum torg_err path_search(const struct search *search, const struct signed_span *other,
                                 struct head at, const struct span *path, size_t count)
{
    enum torg_err err = TORG_OK;

    for (size_t i = 0; !err; i++) {
        err = name_check(search, &at, at.hno - 1, &at.prev, other, path, i);
        if (!err)
            err = name_check(search, &at, head_jump(at.hno), &at.skip, other, path, i);
        if (err || search->evidence->size || i == count)
            break;
        err = replica_path_step(&at, path[i], &at);
    }
    return err;
}

/* Down from the newest head, as far as heads are held, to the one that names a number. */
struct descent {
    struct span path[ANCESTRY_HEADS_MAX]; /* below the newest */
    size_t count;
    bool found;
    struct hash named;
};

/* found false: what is held does not reach so far. */
static enum torg_err descend(const struct search *search, uint64_t hno, struct descent *ret)
{
    struct head at = search->origin->head;
    enum torg_err err = TORG_OK;

    ret->count = 0;
    ret->found = false;
    while (!err && ret->count < ANCESTRY_HEADS_MAX) {
        uint64_t jump = head_jump(at.hno);
        struct signed_span next;
        struct span stored;

        if (at.hno - 1 == hno || jump == hno) {
            ret->found = true;
            ret->named = at.hno - 1 == hno ? at.prev : at.skip;
            return TORG_OK;
        }
        err = replica_head_get(search->kv, search->origin->number, at.epoch,
                               jump > hno ? jump : at.hno - 1, &stored);
        if (!err)
            err = replica_signed_read(stored, HEAD_BYTES_MAX, &next);
        if (!err)
            err = replica_path_step(&at, next.bytes, &at);
        if (!err)
            ret->path[ret->count++] = next.bytes;
    }
    return replica_is_storage_error(err) ? err : TORG_OK;
}

/*
 * other stands below the newest head, under a number whose own head is not held,
 * or only its hash: go down from the newest as far as that is held.
 */
static enum torg_err past_search(const struct search *search, const struct signed_span *other,
                                 const struct head *head)
{
    struct hash hash = head_hash(other->bytes);
    struct signed_span newest;
    struct descent descent;
    enum torg_err err =
        signed_head_held(search, search->origin->head.epoch, search->origin->head.hno, &newest);

    if (!err)
        err = descend(search, head->hno, &descent);
    if (err)
        return replica_is_storage_error(err) ? err : TORG_OK;
    if (!descent.found || memcmp(&descent.named, &hash, sizeof(hash)) == 0)
        return TORG_OK;
    return convict(search, other, &newest, descent.path, descent.count);
}

static enum torg_err old_head_search(const struct search *search, const struct signed_span *other,
                                     const struct head *head)
{
    struct signed_span held;
    enum torg_err err = signed_head_held(search, head->epoch, head->hno, &held);

    if (err == TORG_E_NOT_FOUND)
        return past_search(search, other, head);
    if (err || span_equal(held.bytes, other->bytes))
        return err;
    return convict(search, &held, other, NULL, 0);
}

static enum torg_err beat_search(const struct search *search, const struct signed_span *other,
                                 const struct beat *beat)
{
    struct signed_span held;
    struct hash hash;
    enum torg_err err = signed_head_held(search, beat->epoch, beat->hno, &held);

    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_OK : err;
    hash = head_hash(held.bytes);
    if (memcmp(&hash, &beat->head_hash, sizeof(hash)) == 0)
        return TORG_OK;
    return convict(search, &held, other, NULL, 0);
}

enum torg_err replica_fork_find(const struct kv *kv, const struct replica_origin *origin,
                                const struct signed_span *other, const struct span *path,
                                size_t path_count, struct buffer *ret_evidence)
{
    struct search search = {.kv = kv, .origin = origin, .evidence = ret_evidence};
    struct head head;
    struct beat beat;

    buffer_clear(ret_evidence);
    if (!origin->has_head)
        return TORG_OK;
    if (beat_parse(other->bytes, &beat) == TORG_OK)
        return beat.epoch == origin->head.epoch ? beat_search(&search, other, &beat) : TORG_OK;
    if (head_parse(other->bytes, &head) || head.epoch != origin->head.epoch)
        return TORG_OK;
    if (path_count || head.hno > origin->head.hno)
        return path_search(&search, other, head, path, path_count);
    return old_head_search(&search, other, &head);
}

/* ---- what has still to be shown ---- */

/* Does the next number's head, held with its signature, name this one? Then that one decides. */
static enum torg_err is_followed(const struct search *search, const struct head *head,
                                 const struct hash *hash, bool *ret_followed)
{
    struct signed_span next;
    struct head parsed;
    enum torg_err err = signed_head_held(search, head->epoch, head->hno + 1, &next);

    *ret_followed = false;
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_OK : err;
    err = head_parse(next.bytes, &parsed);
    if (err)
        return TORG_E_CORRUPT;
    *ret_followed = memcmp(&parsed.prev, hash, sizeof(*hash)) == 0;
    return TORG_OK;
}

/* A head that is held: is it known by its hash alone, or shown to be the newest one's ancestor? */
static enum torg_err is_settled(const struct search *search, uint64_t hno, bool *ret_settled)
{
    struct signed_span held;
    struct descent descent;
    struct head head;
    struct hash hash;
    enum torg_err err = signed_head_held(search, search->origin->head.epoch, hno, &held);

    *ret_settled = true;
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_OK : err;
    if (head_parse(held.bytes, &head))
        return TORG_E_CORRUPT;
    hash = head_hash(held.bytes);
    err = is_followed(search, &head, &hash, ret_settled);
    if (err || *ret_settled)
        return err;
    err = descend(search, hno, &descent);
    *ret_settled = descent.found && memcmp(&descent.named, &hash, sizeof(hash)) == 0;
    return err;
}

enum torg_err replica_fork_unshown(const struct kv *kv, const struct replica_origin *origin,
                                   uint64_t above_hno, uint64_t *ret_hno)
{
    const struct search search = {.kv = kv, .origin = origin};
    uint64_t epoch = origin->head.epoch, hno = 0;
    struct replica_key from = replica_key_head(origin->number, epoch, above_hno + 1);
    struct replica_key until = replica_key_head(origin->number, epoch, origin->head.hno);
    struct kv_cursor *cursor;
    struct span key, value;
    bool settled = true;
    enum torg_err err = kv_cursor_open(kv, KV_HEAD, &cursor);

    if (err)
        return err;
    err = kv_cursor_seek(kv, cursor, replica_key_span(&from), &key, &value);
    while (!err && key.size == until.size && memcmp(key.data, until.bytes, key.size) < 0) {
        hno = get_u64be(key.data + key.size - 8);
        err = is_settled(&search, hno, &settled);
        if (err || !settled)
            break;
        err = kv_cursor_next(kv, cursor, &key, &value);
    }
    kv_cursor_close(kv, cursor);
    if (err && err != TORG_E_NOT_FOUND)
        return err;
    *ret_hno = settled ? 0 : hno;
    return TORG_OK;
}
