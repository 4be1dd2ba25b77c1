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

/*
 * other stands below the newest head, under a number whose own head is not held,
 * or only its hash: go down from the newest as far as that is held.
 */
static enum torg_err past_search(const struct search *search, const struct signed_span *other,
                                 const struct head *head)
{
    struct hash hash = head_hash(other->bytes);
    struct span path[ANCESTRY_HEADS_MAX];
    struct head at = search->origin->head;
    struct signed_span newest, next;
    struct span stored;
    size_t count = 0;
    enum torg_err err = signed_head_held(search, at.epoch, at.hno, &newest);

    while (!err && count < ANCESTRY_HEADS_MAX) {
        uint64_t jump = head_jump(at.hno);
        const struct hash *named = at.hno - 1 == head->hno ? &at.prev
                                   : jump == head->hno     ? &at.skip
                                                           : NULL;

        if (named)
            return memcmp(named, &hash, sizeof(hash)) == 0
                       ? TORG_OK
                       : convict(search, other, &newest, path, count);
        err = replica_head_get(search->kv, search->origin->number, at.epoch,
                               jump > head->hno ? jump : at.hno - 1, &stored);
        if (!err)
            err = replica_signed_read(stored, HEAD_BYTES_MAX, &next);
        if (!err)
            err = replica_path_step(&at, next.bytes, &at);
        if (!err)
            path[count++] = next.bytes;
    }
    return replica_is_storage_error(err) ? err : TORG_OK;
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
