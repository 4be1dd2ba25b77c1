/* SPDX-License-Identifier: EUPL-1.2 */
#include <inttypes.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/writer_internal.h"
#include "protocol/frame.h"

static enum torg_err own_read(struct writer *writer, struct replica_origin *ret_origin,
                              bool *ret_forked, bool *ret_gap)
{
    struct replica_origin origin;
    uint64_t gap;
    struct kv kv;
    enum torg_err err = store_read_begin(writer->options.store, &kv);

    if (err)
        return err;
    err = replica_origin_get(&kv, &writer->options.own, &origin);
    if (err)
        goto done;
    err = replica_next_gap(&kv, &origin, &gap);
    if (err)
        goto done;
    *ret_gap = gap != 0;
    err = replica_fork_known(&kv, &origin, ret_forked);
    *ret_origin = origin;
done:
    store_read_end(&kv);
    return err;
}

static struct guard_mark mark_of(const struct replica_origin *origin)
{
    return (struct guard_mark){.origin = origin->id,
                               .epoch = origin->head.epoch,
                               .hno = origin->head.hno,
                               .head_hash = origin->head_hash};
}

static bool origin_is_whole(const struct replica_origin *origin)
{
    return replica_complete_mask(origin, COLLECTION_MASK_ALL) == COLLECTION_MASK_ALL;
}

/*
 * The mark of an origin of which nothing was ever published: number 0 is the
 * charter that opened the epoch, as in beats. Its epoch 0 is below every head's.
 */
static struct guard_mark mark_of_nothing(const struct replica_origin *origin)
{
    return (struct guard_mark){.origin = origin->id, .head_hash = origin->epoch_hash};
}

static bool is_first_after(const struct replica_origin *origin, const struct guard_mark *mark)
{
    return origin->head.hno == 1 &&
           memcmp(&origin->head.prev, &mark->head_hash, sizeof(mark->head_hash)) == 0;
}

static enum torg_err head_is_held(const struct kv *kv, uint32_t number, uint64_t epoch,
                                  uint64_t hno, bool *ret_held)
{
    struct span head;
    enum torg_err err = replica_head_get(kv, number, epoch, hno, &head);

    *ret_held = !err;
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

/*
 * Is the origin's head the first of an epoch, and the one before it, the last
 * of an earlier epoch, what the guard names? In a first head prev is a charter,
 * so the heads that the database holds must tell.
 */
static enum torg_err epoch_follows(const struct writer *writer, const struct replica_origin *origin,
                                   const struct guard_mark *mark, bool *ret_follows)
{
    bool later = false;
    struct hash hash;
    struct span head;
    enum torg_err err;
    struct kv kv;

    *ret_follows = false;
    if (!origin->has_head || origin->head.hno != 1 || mark->hno == 0 ||
        mark->epoch >= origin->head.epoch)
        return TORG_OK;
    err = store_read_begin(writer->options.store, &kv);
    if (err)
        return err;
    err = replica_head_get(&kv, origin->number, mark->epoch, mark->hno, &head);
    if (err)
        goto done;
    hash = head_hash(frame_head(head).bytes);
    err = head_is_held(&kv, origin->number, mark->epoch, mark->hno + 1, &later);
    for (uint64_t epoch = mark->epoch + 1; epoch < origin->head.epoch && !err && !later; epoch++)
        err = head_is_held(&kv, origin->number, epoch, 1, &later);
    *ret_follows = !later && memcmp(&hash, &mark->head_hash, sizeof(hash)) == 0;
done:
    store_read_end(&kv);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

/*
 * What the guard says about the database, at start. Normal is: they name the
 * same head, or the database is one ahead, for a crash came between its commit
 * and the guard's. Before the first head the guard names number 0.
 */
static void guard_judge(struct writer *writer, const struct replica_origin *origin,
                        bool epoch_follows)
{
    const struct guard_mark *mark = &writer->guard.mark;
    bool marked =
        writer->guard.has_mark && memcmp(&mark->origin, &origin->id, sizeof(mark->origin)) == 0;
    struct guard_mark own = mark_of(origin);
    int order;

    if (!marked) {
        writer->unguarded = origin->has_head;
        return;
    }
    if (mark->hno == 0) {
        writer->unguarded = origin->has_head && !is_first_after(origin, mark);
        return;
    }
    order = origin->has_head ? guard_mark_compare(&own, mark) : -1;
    if (order < 0) {
        writer->behind = true;
        writer->target_epoch = mark->epoch;
        writer->target_hno = mark->hno;
    } else if (order == 0) {
        writer->forked = memcmp(&own.head_hash, &mark->head_hash, sizeof(own.head_hash)) != 0;
    } else {
        bool follows = own.epoch == mark->epoch && own.hno == mark->hno + 1 &&
                       memcmp(&origin->head.prev, &mark->head_hash, sizeof(mark->head_hash)) == 0;

        writer->unguarded = !follows && !epoch_follows;
    }
}

/* mutex held. Has what was lost come back, or a peer confirmed that nothing was? */
static void recovery_judge(struct writer *writer, const struct replica_origin *origin)
{
    uint64_t epoch = origin->head.epoch, hno = origin->head.hno;

    if (!origin->has_head || !origin_is_whole(origin))
        return;
    if (writer->behind &&
        writer_state_number_compare(epoch, hno, writer->target_epoch, writer->target_hno) >= 0)
        writer->behind = false;
    /* Who holds nothing of this origin cannot confirm that nothing is missing. */
    if (writer->unguarded && writer->told_answered && writer->told_epoch > 0 &&
        writer_state_number_compare(epoch, hno, writer->told_epoch, writer->told_hno) >= 0)
        writer->unguarded = false;
}

/* mutex held. A half of the own state: a recovery goes on, or was interrupted before a restart. */
static void partial_judge(struct writer *writer, const struct replica_origin *origin)
{
    if (!origin->has_head || origin_is_whole(origin) || writer->behind)
        return;
    writer->behind = true;
    writer->target_epoch = origin->head.epoch;
    writer->target_hno = origin->head.hno;
}

static void log_state(enum writer_state before, enum writer_state after,
                      const struct replica_origin *origin)
{
    if (after == before)
        return;
    log_event(after == WRITER_READY ? LOG_INFO : LOG_WARN, "writer.state",
              "state=%s before=%s epoch=%" PRIu64 " hno=%" PRIu64, writer_state_name(after),
              writer_state_name(before), origin->head.epoch, origin->head.hno);
}

/*
 * Look again at guard, database and what peers said; a mark that is due is
 * written. TORG_E_IO: the guard could not be; other errors: try again.
 */
static enum torg_err settle(struct writer *writer)
{
    struct replica_origin origin;
    struct guard_mark mark;
    enum writer_state before;
    bool forked = false, gap = false, mark_due;
    enum torg_err err;

    if (!writer->options.has_own)
        return TORG_OK;
    err = own_read(writer, &origin, &forked, &gap);
    if (err)
        return err;
    mark = origin.has_head ? mark_of(&origin) : mark_of_nothing(&origin);
    pthread_mutex_lock(&writer->mutex);
    before = writer_state_held(writer);
    writer->forked = writer->forked || forked;
    writer->gap = gap;
    writer->has_head = origin.has_head;
    writer->head_epoch = origin.head.epoch;
    writer->head_hno = origin.head.hno;
    recovery_judge(writer, &origin);
    partial_judge(writer, &origin);
    /* The last beat, if any, was of an older head. */
    if (before == WRITER_RECOVERING && writer_state_held(writer) == WRITER_READY &&
        writer->beat_due_ms != INT64_MAX)
        writer->beat_due_ms = 0;
    /* Without a mark of nothing, a crash after the first commit looks like a lost guard. */
    mark_due = (origin.has_head || !writer->guard.has_mark) && !writer->forked && !writer->behind &&
               !writer->unguarded;
    log_state(before, writer_state_held(writer), &origin);
    pthread_mutex_unlock(&writer->mutex);
    if (!mark_due ||
        (writer->guard.has_mark && memcmp(&writer->guard.mark, &mark, sizeof(mark)) == 0))
        return TORG_OK;
    return guard_write(&writer->guard, &mark);
}

void writer_guard_settle(struct writer *writer)
{
    enum torg_err err = settle(writer);

    if (err == TORG_E_IO)
        writer_state_fail(writer, "guard");
    else if (err)
        log_event(LOG_WARN, "writer.settle", "err=\"%s\"", torg_err_text(err));
}

enum torg_err writer_guard_start(struct writer *writer)
{
    struct replica_origin origin;
    bool forked = false, gap = false, follows = false;
    enum torg_err err;

    if (!writer->options.has_own)
        return TORG_OK;
    err = own_read(writer, &origin, &forked, &gap);
    if (!err && writer->guard.has_mark)
        err = epoch_follows(writer, &origin, &writer->guard.mark, &follows);
    if (err)
        return err;
    guard_judge(writer, &origin, follows);
    if (writer->unguarded && writer->options.confirm_guard) {
        writer->unguarded = false;
        log_event(LOG_WARN, "writer.confirmed",
                  "epoch=%" PRIu64 " hno=%" PRIu64 ": the operator says that this is the newest",
                  origin.head.epoch, origin.head.hno);
    }
    writer->asking = writer->options.ask;
    return settle(writer);
}
