/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/writer.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/ahead.h"
#include "daemon/guard.h"
#include "daemon/log.h"
#include "protocol/frame.h"
#include "protocol/profile.h"

/*
 * How a group is made. While the disk syncs one transaction, jobs gather; the
 * thread takes all that wait, in order, and makes them the next one. In it,
 * peers' writes are applied one by one, local changes are collected and signed
 * as one commit, runs come last. One transaction holds at most one own head, so
 * that a database is never more than one head ahead of its guard.
 *
 * What goes wrong with one job must not harm its neighbours: an error that
 * leaves the transaction as it was refuses the job alone, any other one aborts
 * the transaction and every job is tried again in one of its own.
 */
enum job_kind { JOB_LOCAL, JOB_STORE, JOB_RUN };

struct job {
    enum job_kind kind;
    struct local_change *changes; /* LOCAL: with their payloads in one block */
    size_t change_count;
    size_t bytes;
    writer_prepare *prepare;
    struct sync_store *store; /* STORE */
    struct ahead_task ahead;
    writer_run *run; /* RUN; LOCAL: after the changes, or NULL */
    struct loop *loop;
    writer_done *done;
    void *context;
    struct writer_result result;
    struct job *next;
};

struct job_list {
    struct job *first, **last;
    size_t count;
};

struct writer {
    struct writer_options options;
    struct ahead *ahead;
    struct guard guard;      /* the thread's, after writer_new */
    struct buffer last_head; /* the thread's: scratch for a signed head or beat */
    uint64_t id;             /* drawn at each start; in every beat */
    int64_t beat_due_ms, reader_check_due_ms;
    bool repack_due; /* the thread's: listings changed since the trees were found in order */
    pthread_t thread;

    struct loop *published_loop;
    writer_published *published;
    void *published_context;

    pthread_mutex_t mutex; /* over all that follows */
    pthread_cond_t wake;
    struct job_list queue;
    size_t queued_own, queued_store;
    bool stop;
    bool settle_due; /* the thread must look at guard, database and peers again */

    /* Why writes are not taken; all false: READY. */
    bool asking, unguarded, forked, failed, full, behind;
    bool rivalled;                     /* another host lives with our keys, and goes on */
    uint64_t answer;                   /* the writer of a beat that is to be answered; 0: none */
    int64_t answer_ts_ms;              /* newer than that the answer must be */
    bool gap;                          /* what the next head must name is not here */
    uint64_t target_epoch, target_hno; /* behind: what must be reached */
    bool told_answered;                /* unguarded: what peers say */
    uint64_t told_epoch, told_hno;
    bool has_head; /* the newest durable own head */
    uint64_t head_epoch, head_hno;
    struct writer_counters counters;
};

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t clock_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int number_compare(uint64_t epoch_a, uint64_t hno_a, uint64_t epoch_b, uint64_t hno_b)
{
    if (epoch_a != epoch_b)
        return epoch_a < epoch_b ? -1 : 1;
    return (hno_a > hno_b) - (hno_a < hno_b);
}

/* ---- jobs ---- */

static void list_init(struct job_list *list)
{
    *list = (struct job_list){.last = &list->first};
}

static void list_add(struct job_list *list, struct job *job)
{
    job->next = NULL;
    *list->last = job;
    list->last = &job->next;
    list->count++;
}

static void job_free(struct job *job)
{
    if (!job)
        return;
    sync_store_free(job->store);
    free(job->changes);
    free(job);
}

static void job_answer(void *context)
{
    struct job *job = context;

    job->done(job->context, &job->result);
    job_free(job);
}

static void job_finish(struct job *job)
{
    if (job->loop)
        loop_answer(job->loop, job_answer, job);
    else
        job_answer(job);
}

/* The changes and their payloads in one block, so that the caller's may go. */
static enum torg_err copy_changes(struct job *job, const struct local_change *changes, size_t count)
{
    uint8_t *at;

    for (size_t i = 0; i < count; i++)
        job->bytes += changes[i].payload.size;
    job->changes = malloc(count * sizeof(*changes) + job->bytes + 1);
    if (!job->changes)
        return TORG_E_NOMEM;
    job->change_count = count;
    at = (uint8_t *)(job->changes + count);
    for (size_t i = 0; i < count; i++) {
        job->changes[i] = changes[i];
        if (!changes[i].payload.size)
            continue;
        memcpy(at, changes[i].payload.data, changes[i].payload.size);
        job->changes[i].payload.data = at;
        at += changes[i].payload.size;
    }
    return TORG_OK;
}

/* Does the job only make room? Such jobs may use the store's reserve. */
static bool job_makes_room(const struct job *job)
{
    const struct replica_write *write;

    switch (job->kind) {
    case JOB_LOCAL:
        return job->bytes == 0;
    case JOB_RUN:
        return true; /* tokens and upkeep: small, and an operator may need them just now */
    case JOB_STORE:
        break;
    }
    write = &job->store->write;
    if (write->kind != REPLICA_WRITE_COMMIT && write->kind != REPLICA_WRITE_PART)
        return write->kind == REPLICA_WRITE_BEAT || write->kind == REPLICA_WRITE_PROOF;
    for (size_t i = 0; i < write->entry_count; i++)
        if (write->entries[i].header.op != CHANGE_DELETE)
            return false;
    return true;
}

/* ---- the state ---- */

/* mutex held. The order is that of how much an operator has to do. */
static enum writer_state state_of(const struct writer *writer)
{
    if (writer->failed)
        return WRITER_FAILED;
    if (writer->forked)
        return WRITER_FORKED;
    if (writer->rivalled || writer->behind || writer->unguarded || writer->gap || writer->asking)
        return WRITER_RECOVERING;
    return writer->full ? WRITER_FULL : WRITER_READY;
}

/* C's const does not reach through a mutex. */
static pthread_mutex_t *mutex_of(const struct writer *writer)
{
    union {
        const struct writer *in;
        struct writer *out;
    } both = {.in = writer};

    return &both.out->mutex;
}

enum writer_state writer_state(const struct writer *writer)
{
    enum writer_state state;

    pthread_mutex_lock(mutex_of(writer));
    state = state_of(writer);
    pthread_mutex_unlock(mutex_of(writer));
    return state;
}

const char *writer_state_name(enum writer_state state)
{
    static const char *const names[] = {"ready", "recovering", "full", "failed", "forked"};

    return names[state];
}

/* mutex held */
static const char *reason_of(const struct writer *writer)
{
    if (writer->failed)
        return "the last commit's fate is unknown after a disk error; see to the disk and start "
               "torgd again";
    if (writer->forked)
        return "two heads with one number were signed for this origin; no writes until its root "
               "key opens a new epoch";
    if (writer->rivalled)
        return "another host is running with the keys of this origin; stop one of the two, then "
               "start torgd again";
    if (writer->behind)
        return "this database is older than what was published; fetching the own origin from the "
               "peers";
    if (writer->unguarded)
        return "the guard file does not fit the database, which may be an old copy; waiting for a "
               "peer that knows this origin, or for torgd --confirm-guard";
    if (writer->gap)
        return "the next head of this origin must name an older one that is not here; fetching it "
               "from the peers (if none has it, the root key opens a new epoch)";
    if (writer->asking)
        return "asking the peers for the newest state of this origin";
    if (writer->full)
        return "the store is nearly full; delete listings, raise map-size or free disk space";
    return "ready";
}

const char *writer_state_reason(const struct writer *writer)
{
    const char *reason;

    pthread_mutex_lock(mutex_of(writer));
    reason = reason_of(writer);
    pthread_mutex_unlock(mutex_of(writer));
    return reason;
}

bool writer_wants_own(const struct writer *writer)
{
    bool wants;

    pthread_mutex_lock(mutex_of(writer));
    wants = (writer->behind || writer->unguarded || writer->gap) && !writer->forked;
    pthread_mutex_unlock(mutex_of(writer));
    return wants;
}

bool writer_own_head(const struct writer *writer, uint64_t *ret_epoch, uint64_t *ret_hno)
{
    bool has_head;

    pthread_mutex_lock(mutex_of(writer));
    has_head = writer->has_head;
    if (has_head) {
        *ret_epoch = writer->head_epoch;
        *ret_hno = writer->head_hno;
    }
    pthread_mutex_unlock(mutex_of(writer));
    return has_head;
}

void writer_told(struct writer *writer, bool asked, bool answered, uint64_t epoch, uint64_t hno)
{
    pthread_mutex_lock(&writer->mutex);
    if (asked && writer->asking) {
        writer->asking = false;
        writer->settle_due = true;
        pthread_cond_signal(&writer->wake);
        log_event(LOG_INFO, "writer.asked", "peers_answered=%s state=%s", answered ? "yes" : "no",
                  writer_state_name(state_of(writer)));
    }
    if (answered != writer->told_answered || epoch != writer->told_epoch ||
        hno != writer->told_hno) {
        writer->told_answered = answered;
        writer->told_epoch = epoch;
        writer->told_hno = hno;
        writer->settle_due = true;
        pthread_cond_signal(&writer->wake);
    }
    pthread_mutex_unlock(&writer->mutex);
}

void writer_ahead(struct writer *writer, uint64_t epoch, uint64_t hno)
{
    pthread_mutex_lock(&writer->mutex);
    if (writer->has_head && number_compare(writer->head_epoch, writer->head_hno, epoch, hno) >= 0) {
        writer->forked = true; /* that number is taken, by another head */
    } else if (!writer->behind ||
               number_compare(writer->target_epoch, writer->target_hno, epoch, hno) < 0) {
        writer->behind = true;
        writer->target_epoch = epoch;
        writer->target_hno = hno;
    }
    log_event(LOG_ERROR, "writer.ahead",
              "epoch=%" PRIu64 " hno=%" PRIu64 " state=%s: a head of the own origin that this "
              "node did not publish",
              epoch, hno, writer_state_name(state_of(writer)));
    pthread_mutex_unlock(&writer->mutex);
}

void writer_beat_seen(struct writer *writer, uint64_t beat_writer, uint64_t rival, int64_t ts_ms)
{
    if (beat_writer == writer->id)
        return;
    pthread_mutex_lock(&writer->mutex);
    writer->answer = beat_writer;
    writer->answer_ts_ms = ts_ms;
    if (rival == writer->id) {
        writer->rivalled = writer->rivalled || writer->asking || writer->id > beat_writer;
        log_event(LOG_ERROR, "writer.rival",
                  "state=%s goes_on=%s: another host is running with the keys of this origin",
                  writer_state_name(state_of(writer)), writer->rivalled ? "no" : "yes");
    }
    writer->settle_due = true;
    pthread_cond_signal(&writer->wake);
    pthread_mutex_unlock(&writer->mutex);
}

uint64_t writer_id(const struct writer *writer)
{
    return writer->id;
}

/* ---- guard and database ---- */

static enum torg_err own_read(struct writer *writer, struct replica_origin *ret_origin,
                              bool *ret_forked, bool *ret_gap)
{
    struct replica_origin origin;
    struct span proof;
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
    err = replica_proof_get(&kv, origin.number, origin.charter_epoch, &proof);
    *ret_forked = !err;
    if (err == TORG_E_NOT_FOUND)
        err = TORG_OK;
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
    if (writer->behind && number_compare(epoch, hno, writer->target_epoch, writer->target_hno) >= 0)
        writer->behind = false;
    /* Who holds nothing of this origin cannot confirm that nothing is missing. */
    if (writer->unguarded && writer->told_answered && writer->told_epoch > 0 &&
        number_compare(epoch, hno, writer->told_epoch, writer->told_hno) >= 0)
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
    before = state_of(writer);
    writer->forked = writer->forked || forked;
    writer->gap = gap;
    writer->has_head = origin.has_head;
    writer->head_epoch = origin.head.epoch;
    writer->head_hno = origin.head.hno;
    recovery_judge(writer, &origin);
    partial_judge(writer, &origin);
    /* The last beat, if any, was of an older head. */
    if (before == WRITER_RECOVERING && state_of(writer) == WRITER_READY &&
        writer->beat_due_ms != INT64_MAX)
        writer->beat_due_ms = 0;
    /* Without a mark of nothing, a crash after the first commit looks like a lost guard. */
    mark_due = (origin.has_head || !writer->guard.has_mark) && !writer->forked && !writer->behind &&
               !writer->unguarded;
    log_state(before, state_of(writer), &origin);
    pthread_mutex_unlock(&writer->mutex);
    if (!mark_due ||
        (writer->guard.has_mark && memcmp(&writer->guard.mark, &mark, sizeof(mark)) == 0))
        return TORG_OK;
    return guard_write(&writer->guard, &mark);
}

static enum torg_err start_judge(struct writer *writer)
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

/* ---- one transaction ---- */

#define TOUCHED_SLOTS 4096 /* a power of two, above twice COMMIT_CHANGES_MAX */

/* The listings of the commit that is being collected, so that none stands in it twice. */
struct touched {
    const struct local_change *slots[TOUCHED_SLOTS];
};

static const struct local_change **touched_slot(struct touched *touched,
                                                const struct local_change *change)
{
    uint32_t at = get_u32be(change->id.bytes) ^ change->collection;

    for (;; at++) {
        const struct local_change **slot = &touched->slots[at % TOUCHED_SLOTS];

        if (!*slot || ((*slot)->collection == change->collection &&
                       memcmp(&(*slot)->id, &change->id, sizeof(change->id)) == 0))
            return slot;
    }
}

struct group {
    struct writer *writer;
    struct job_list jobs;
    bool reserve; /* jobs that make room, in a store that is nearly full */
    int64_t now_ms;
    struct kv kv;
    struct catalogue_writer catalogue;
    struct replica_observer observer;
    struct local_change *changes; /* of the commit; their payloads stay in the jobs */
    size_t change_count;
    bool committed_own, beaten;
    bool wrote; /* something that must be committed */
    struct head head;
    struct hash head_hash;
};

/* Errors that leave a transaction as it was, so that others may share it. */
static bool err_is_the_jobs(enum torg_err err)
{
    return err != TORG_E_NOMEM && err != TORG_E_FULL && err != TORG_E_IO && err != TORG_E_CORRUPT &&
           err != TORG_E_TOO_BIG && err != TORG_E_BUSY;
}

/* Prepare and collect the changes of a local job. Only an error of the store is returned. */
static enum torg_err group_local(struct group *group, struct job *job)
{
    job->result.err = job->prepare ? job->prepare(job->context, &group->kv) : TORG_OK;
    if (job->result.err)
        return err_is_the_jobs(job->result.err) ? TORG_OK : job->result.err;
    if (job->change_count)
        memcpy(group->changes + group->change_count, job->changes,
               job->change_count * sizeof(*job->changes));
    group->change_count += job->change_count;
    group->committed_own = true;
    return TORG_OK;
}

static enum torg_err group_store(struct group *group, struct job *job)
{
    struct catalogue_ahead *ahead = ahead_take(group->writer->ahead, &job->ahead);

    group->catalogue.ahead = ahead;
    job->result.err = replica_apply(&group->kv, &job->store->write, &group->observer);
    group->catalogue.ahead = NULL;
    catalogue_ahead_free(ahead);
    if (job->result.err)
        return err_is_the_jobs(job->result.err) ? TORG_OK : job->result.err;
    group->wrote = true;
    return TORG_OK;
}

static enum torg_err group_commit_own(struct group *group)
{
    struct writer *writer = group->writer;
    struct buffer *bytes = &writer->last_head;
    struct profile_reader in;
    struct signed_span head;
    enum torg_err err;

    buffer_clear(bytes);
    err = replica_commit_local(&group->kv, &writer->options.own, &writer->options.signer,
                               group->changes, group->change_count, group->now_ms, &group->observer,
                               bytes);
    if (err == TORG_E_GAP) {
        pthread_mutex_lock(&writer->mutex);
        writer->settle_due = true; /* it will say so, and have the head fetched */
        pthread_mutex_unlock(&writer->mutex);
        return TORG_E_RECOVERING;
    }
    if (err)
        return err;
    in = profile_reader_of(buffer_span(bytes));
    head = signed_read(&in, HEAD_BYTES_MAX);
    err = profile_end(&in);
    if (!err)
        err = head_parse(head.bytes, &group->head);
    if (err)
        return TORG_E_INTERNAL;
    group->head_hash = head_hash(head.bytes);
    group->wrote = true;
    return TORG_OK;
}

static enum torg_err group_runs(struct group *group)
{
    for (struct job *job = group->jobs.first; job; job = job->next) {
        if (job->kind == JOB_LOCAL && job->run && !job->result.err) {
            enum torg_err err = job->run(job->context, &group->kv);

            if (err)
                return err; /* The changes are in the transaction already. */
        }
        if (job->kind != JOB_RUN)
            continue;
        job->result.err = job->run(job->context, &group->kv);
        if (!job->result.err)
            group->wrote = true;
        else if (!err_is_the_jobs(job->result.err))
            return job->result.err;
    }
    return TORG_OK;
}

/* Everything inside the transaction. An error means: abort, this cannot be committed. */
static enum torg_err group_apply(struct group *group)
{
    enum torg_err err = TORG_OK;

    for (struct job *job = group->jobs.first; job && !err; job = job->next) {
        if (job->kind == JOB_LOCAL)
            err = group_local(group, job);
        else if (job->kind == JOB_STORE)
            err = group_store(group, job);
    }
    if (!err && group->committed_own)
        err = group_commit_own(group);
    if (!err)
        err = group_runs(group);
    if (!err && group->wrote)
        err = catalogue_flush(&group->catalogue, &group->kv);
    return err;
}

/* Begin, apply, commit durably. TORG_OK also when there was nothing to commit. */
static enum torg_err group_transact(struct group *group)
{
    struct writer *writer = group->writer;
    enum torg_err err;

    group->change_count = 0;
    group->committed_own = false;
    group->wrote = false;
    for (struct job *job = group->jobs.first; job; job = job->next)
        job->result = (struct writer_result){0};
    group->catalogue = (struct catalogue_writer){.themes = writer->options.themes};
    group->observer = catalogue_observer(&group->catalogue);
    err = group->reserve ? store_write_begin_reserve(writer->options.store, &group->kv)
                         : store_write_begin(writer->options.store, &group->kv);
    if (err)
        goto done;
    err = group_apply(group);
    if (err || !group->wrote)
        store_write_abort(&group->kv);
    else
        err = store_write_commit(&group->kv);
done:
    catalogue_writer_done(&group->catalogue);
    return err;
}

/* ---- after a transaction ---- */

/* A letter with nothing of the writer in it: the loop may read it after the writer's end. */
static void publish(struct writer *writer)
{
    writer_published *published;

    pthread_mutex_lock(&writer->mutex);
    published = writer->published;
    pthread_mutex_unlock(&writer->mutex);
    if (published)
        loop_answer(writer->published_loop, published, writer->published_context);
}

static void fail_for_good(struct writer *writer, const char *what)
{
    char value[LOG_VALUE_BYTES_MAX];

    log_event(LOG_ERROR, "writer.failed", "what=%s errno=%s", what,
              log_value(value, strerror(errno)));
    pthread_mutex_lock(&writer->mutex);
    writer->failed = true;
    pthread_mutex_unlock(&writer->mutex);
}

static void settle_or_fail(struct writer *writer)
{
    enum torg_err err = settle(writer);

    if (err == TORG_E_IO)
        fail_for_good(writer, "guard");
    else if (err)
        log_event(LOG_WARN, "writer.settle", "err=\"%s\"", torg_err_text(err));
}

/* A head of ours is durable: the guard must name it before anybody hears of it. */
static enum torg_err group_guard(struct group *group)
{
    struct writer *writer = group->writer;
    struct guard_mark mark = {.origin = writer->options.own,
                              .epoch = group->head.epoch,
                              .hno = group->head.hno,
                              .head_hash = group->head_hash};
    enum torg_err err = guard_write(&writer->guard, &mark);

    if (err) {
        /* Committed, but not to be published: a start will find it one ahead of the guard. */
        fail_for_good(writer, "guard");
        return TORG_E_IO;
    }
    pthread_mutex_lock(&writer->mutex);
    writer->has_head = true;
    writer->head_epoch = mark.epoch;
    writer->head_hno = mark.hno;
    writer->counters.own_commits++;
    writer->counters.own_changes += group->change_count;
    /* writer_ahead came while this commit was on its way: now there are two histories. */
    writer->forked = writer->forked || writer->behind;
    pthread_mutex_unlock(&writer->mutex);
    for (struct job *job = group->jobs.first; job; job = job->next) {
        if (job->kind == JOB_LOCAL && !job->result.err) {
            job->result.hno = mark.hno;
            job->result.seq = group->head.seq;
        }
    }
    return TORG_OK;
}

static bool group_touches_own(const struct group *group)
{
    const struct writer *writer = group->writer;

    for (const struct job *job = group->jobs.first; job; job = job->next)
        if (job->kind == JOB_STORE && !job->result.err &&
            memcmp(&job->store->write.origin, &writer->options.own, sizeof(writer->options.own)) ==
                0)
            return true;
    return false;
}

static void group_count(struct writer *writer, const struct group *group, int64_t started_us)
{
    uint64_t us = (uint64_t)(clock_us() - started_us);

    pthread_mutex_lock(&writer->mutex);
    if (!group->reserve)
        writer->full = false;
    writer->counters.commits++;
    writer->counters.commit_us_sum += us;
    if (us > writer->counters.commit_us_max)
        writer->counters.commit_us_max = us;
    pthread_mutex_unlock(&writer->mutex);
}

/* Commit the group's jobs. An error: none of them was; its jobs have no results yet. */
static enum torg_err group_run(struct group *group)
{
    struct writer *writer = group->writer;
    int64_t started_us = clock_us();
    enum torg_err err = group_transact(group);

    if (err == TORG_E_IO) {
        fail_for_good(writer, "commit");
        return err;
    }
    if (err)
        return err;
    if (group->wrote)
        group_count(writer, group, started_us);
    if (group->committed_own) {
        err = group_guard(group);
        if (err)
            return err;
        publish(writer);
    }
    if (group_touches_own(group))
        settle_or_fail(writer);
    return TORG_OK;
}

/* ---- groups ---- */

static void jobs_set_err(struct job_list *jobs, enum torg_err err)
{
    for (struct job *job = jobs->first; job; job = job->next)
        job->result = (struct writer_result){.err = err};
}

static void jobs_finish(struct writer *writer, struct job_list *jobs)
{
    uint64_t refused = 0;

    for (struct job *job = jobs->first; job; job = job->next)
        refused += job->result.err != TORG_OK;
    pthread_mutex_lock(&writer->mutex);
    writer->counters.jobs += jobs->count;
    writer->counters.jobs_refused += refused;
    pthread_mutex_unlock(&writer->mutex);
    while (jobs->first) {
        struct job *job = jobs->first;

        jobs->first = job->next;
        catalogue_ahead_free(ahead_take(writer->ahead, &job->ahead)); /* it was refused */
        job_finish(job);
    }
    list_init(jobs);
}

static void set_full(struct writer *writer)
{
    bool was;

    pthread_mutex_lock(&writer->mutex);
    was = writer->full;
    writer->full = true;
    pthread_mutex_unlock(&writer->mutex);
    if (!was)
        log_event(LOG_ERROR, "writer.full",
                  "remedy=\"delete listings, raise map-size or free disk space\"");
}

/* One job alone; if the store is nearly full, from the reserve when the job makes room. */
static void run_alone(struct group *group, struct job *job)
{
    enum torg_err err;

    list_init(&group->jobs);
    list_add(&group->jobs, job);
    group->reserve = false;
    err = group_run(group);
    if (err == TORG_E_FULL) {
        set_full(group->writer);
        if (job_makes_room(job)) {
            group->reserve = true;
            err = group_run(group);
        }
    }
    if (err)
        job->result = (struct writer_result){.err = err};
    if (err && !err_is_the_jobs(err) && err != TORG_E_FULL)
        log_event(LOG_ERROR, "writer.job", "err=\"%s\"", torg_err_text(err));
    jobs_finish(group->writer, &group->jobs);
}

static void job_refuse(struct group *group, struct job *job, enum torg_err err)
{
    list_init(&group->jobs);
    list_add(&group->jobs, job);
    jobs_set_err(&group->jobs, err);
    jobs_finish(group->writer, &group->jobs);
}

static bool is_failed(const struct writer *writer)
{
    bool failed;

    pthread_mutex_lock(mutex_of(writer));
    failed = writer->failed;
    pthread_mutex_unlock(mutex_of(writer));
    return failed;
}

/* All together, or each alone when something is wrong with one of them. */
static void run_together(struct group *group)
{
    struct job *job = group->jobs.first;
    size_t count = group->jobs.count;
    enum torg_err err;

    if (count == 1) {
        run_alone(group, job);
        return;
    }
    group->reserve = false;
    err = group_run(group);
    if (!err || err == TORG_E_IO) {
        if (err)
            jobs_set_err(&group->jobs, err);
        jobs_finish(group->writer, &group->jobs);
        return;
    }
    while (job) {
        struct job *next = job->next;

        /* What failed for one fails for all: a second commit would hide the first one's fate. */
        if (is_failed(group->writer))
            job_refuse(group, job, TORG_E_IO);
        else
            run_alone(group, job);
        job = next;
    }
}

/* mutex held. May local changes be signed now? */
static enum torg_err local_check(const struct writer *writer)
{
    switch (state_of(writer)) {
    case WRITER_FAILED:
        return TORG_E_IO;
    case WRITER_RECOVERING:
    case WRITER_FORKED:
        return TORG_E_RECOVERING;
    default:
        return TORG_OK;
    }
}

/*
 * Can the job join the commit that is collected? Not if a listing of it stands
 * there already: a commit holds each once, and the job's conditions must see it.
 */
static bool touched_add(struct touched *touched, size_t change_count, const struct job *job)
{
    if (change_count + job->change_count > COMMIT_CHANGES_MAX)
        return false;
    for (size_t i = 0; i < job->change_count; i++)
        if (*touched_slot(touched, &job->changes[i]))
            return false;
    for (size_t i = 0; i < job->change_count; i++)
        *touched_slot(touched, &job->changes[i]) = &job->changes[i];
    return true;
}

/* mutex held. Take from the queue what makes the next transaction; the rest keeps its order. */
static void take_group(struct writer *writer, struct touched *touched, struct job_list *ret_jobs)
{
    struct job *job = writer->queue.first;
    struct job_list rest;
    size_t bytes = 0, changes = 0;
    bool local_closed = false, closed = false;

    memset(touched, 0, sizeof(*touched));
    list_init(&rest);
    list_init(ret_jobs);
    while (job) {
        struct job *next = job->next;

        if (ret_jobs->count == WRITER_GROUP_JOBS_MAX ||
            (bytes > 0 && bytes + job->bytes > WRITER_GROUP_BYTES_MAX))
            closed = true;
        if (!closed && job->kind == JOB_LOCAL && !local_closed) {
            local_closed = !touched_add(touched, changes, job);
            if (!local_closed)
                changes += job->change_count;
        }
        if (closed || (job->kind == JOB_LOCAL && local_closed)) {
            list_add(&rest, job);
        } else {
            bytes += job->bytes;
            *(job->kind == JOB_STORE ? &writer->queued_store : &writer->queued_own) -= 1;
            list_add(ret_jobs, job);
        }
        job = next;
    }
    writer->queue = rest;
    if (!rest.first)
        list_init(&writer->queue);
}

/* Between the submission and now the state may have changed: no local job passes then. */
static void refuse_local(struct writer *writer, struct job_list *jobs, enum torg_err err)
{
    struct job_list local, rest;
    struct job *job = jobs->first;

    if (!err)
        return;
    list_init(&local);
    list_init(&rest);
    while (job) {
        struct job *next = job->next;

        list_add(job->kind == JOB_LOCAL ? &local : &rest, job);
        job = next;
    }
    jobs_set_err(&local, err);
    jobs_finish(writer, &local);
    *jobs = rest;
    if (!rest.first)
        list_init(jobs);
}

/* ---- upkeep ---- */

struct beat_job {
    struct writer *writer;
    int64_t now_ms;
    uint64_t rival;
};

static enum torg_err run_beat(void *context, struct kv *kv)
{
    struct beat_job *beat = context;
    struct writer *writer = beat->writer;

    buffer_clear(&writer->last_head);
    return replica_beat_local(kv, &writer->options.own, &writer->options.signer, writer->id,
                              beat->rival, beat->now_ms, &writer->last_head);
}

static void beat_done(void *context, const struct writer_result *result)
{
    struct writer *writer = context;

    if (!result->err)
        publish(writer);
    else
        log_event(LOG_WARN, "writer.beat", "err=\"%s\"", torg_err_text(result->err));
}

/* A beat of a database that may be old, or beside what was published, would help nobody. */
static bool may_beat(struct writer *writer)
{
    bool may;

    pthread_mutex_lock(&writer->mutex);
    may = !writer->behind && !writer->unguarded && !writer->forked && !writer->failed &&
          !writer->rivalled;
    pthread_mutex_unlock(&writer->mutex);
    return may;
}

/* Whoever else has beaten is named, once: it is gone for long, or must hear of us. */
static bool answer_take(struct writer *writer, struct beat_job *beat)
{
    bool due;

    pthread_mutex_lock(&writer->mutex);
    due =
        writer->answer != 0 && state_of(writer) == WRITER_READY && writer->beat_due_ms != INT64_MAX;
    if (due) {
        beat->rival = writer->answer;
        if (beat->now_ms <= writer->answer_ts_ms)
            beat->now_ms = writer->answer_ts_ms + 1;
        writer->answer = 0;
    }
    pthread_mutex_unlock(&writer->mutex);
    return due;
}

static void upkeep(struct writer *writer, struct group *group)
{
    int64_t now_ms = clock_ms(CLOCK_MONOTONIC);
    struct beat_job beat = {.writer = writer, .now_ms = clock_ms(CLOCK_REALTIME)};

    if (now_ms >= writer->reader_check_due_ms) {
        store_reader_check(writer->options.store);
        writer->reader_check_due_ms = now_ms + WRITER_READER_CHECK_MS;
        pthread_mutex_lock(&writer->mutex);
        writer->settle_due = true; /* in case that the last try failed */
        pthread_mutex_unlock(&writer->mutex);
    }
    if ((answer_take(writer, &beat) || now_ms >= writer->beat_due_ms) && may_beat(writer)) {
        struct job *job = calloc(1, sizeof(*job));

        writer->beat_due_ms = now_ms + WRITER_BEAT_MS;
        if (!job)
            return; /* the next one will tell */
        *job = (struct job){.kind = JOB_RUN, .run = run_beat, .context = &beat};
        list_init(&group->jobs);
        list_add(&group->jobs, job);
        group->reserve = true; /* small, and what tells others that we are alive */
        job->result.err = group_run(group);
        beat_done(writer, &job->result);
        job_free(job);
    }
}

/*
 * While nobody waits: one small step that keeps the trees like packed ones. A
 * write that comes meanwhile waits for this one transaction at most.
 */
static void repack(struct writer *writer)
{
    struct catalogue_repacked repacked = {.quiet = true};
    struct kv kv;
    enum torg_err err = store_write_begin(writer->options.store, &kv);

    if (!err) {
        err = catalogue_repack(&kv, &repacked);
        if (err)
            store_write_abort(&kv);
        else
            err = store_write_commit(&kv);
    }
    if (err == TORG_E_IO)
        fail_for_good(writer, "repack");
    else if (err)
        log_event(LOG_WARN, "writer.repack", "err=\"%s\"", torg_err_text(err));
    writer->repack_due = !err && !repacked.quiet;
    if (err || repacked.quiet)
        return;
    pthread_mutex_lock(&writer->mutex);
    writer->counters.repacks++;
    writer->counters.repacked_listings += repacked.listings;
    pthread_mutex_unlock(&writer->mutex);
}

/* ---- the thread ---- */

/* mutex held. Until there is a job, something to settle or mend, upkeep is due, or the end. */
static void wait_for_work(struct writer *writer)
{
    int64_t now_ms = clock_ms(CLOCK_MONOTONIC);
    int64_t due = writer->reader_check_due_ms;
    struct timespec until;

    if (writer->beat_due_ms < due)
        due = writer->beat_due_ms;
    if (due < now_ms + 1000)
        due = now_ms + 1000; /* a beat that may not be yet: look again soon */
    until = (struct timespec){.tv_sec = due / 1000, .tv_nsec = due % 1000 * 1000000};
    while (!writer->queue.first && !writer->stop && !writer->settle_due && !writer->repack_due)
        if (pthread_cond_timedwait(&writer->wake, &writer->mutex, &until) == ETIMEDOUT)
            break;
}

static void *writer_thread(void *context)
{
    struct writer *writer = context;
    struct group group = {.writer = writer};
    struct touched *touched = malloc(sizeof(*touched));
    bool settle_due, more = true;
    enum torg_err local_err;

    group.changes = calloc(COMMIT_CHANGES_MAX, sizeof(*group.changes));
    if (!touched || !group.changes)
        abort(); /* at start, with nothing promised to anybody */
    while (more) {
        upkeep(writer, &group);
        pthread_mutex_lock(&writer->mutex);
        wait_for_work(writer);
        take_group(writer, touched, &group.jobs);
        local_err = local_check(writer);
        settle_due = writer->settle_due;
        writer->settle_due = false;
        more = !writer->stop || group.jobs.first || writer->queue.first;
        pthread_mutex_unlock(&writer->mutex);
        if (settle_due)
            settle_or_fail(writer);
        refuse_local(writer, &group.jobs, local_err);
        group.now_ms = clock_ms(CLOCK_REALTIME);
        if (group.jobs.first) {
            run_together(&group);
            writer->repack_due = true;
        } else if (writer->repack_due && more && !is_failed(writer)) {
            repack(writer);
        } else {
            writer->repack_due = false;
        }
    }
    free(group.changes);
    free(touched);
    return NULL;
}

enum torg_err writer_new(const struct writer_options *options, struct writer **ret_writer)
{
    struct writer *writer = calloc(1, sizeof(*writer));
    pthread_condattr_t monotonic;
    enum torg_err err;

    if (!writer)
        return TORG_E_NOMEM;
    writer->options = *options;
    list_init(&writer->queue);
    pthread_mutex_init(&writer->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&writer->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    writer->repack_due = true; /* what was not finished before the last end */
    randombytes_buf(&writer->id, sizeof(writer->id));
    writer->id = writer->id % INTEGER_MAX + 1; /* 0 means nobody */
    if (!options->has_own || options->no_beats)
        writer->beat_due_ms = INT64_MAX;
    err = ahead_new(options->store, options->themes, &writer->ahead);
    if (!err)
        err = guard_open(options->directory, &options->own, &writer->guard);
    if (!err)
        err = start_judge(writer);
    if (!err && pthread_create(&writer->thread, NULL, writer_thread, writer) != 0)
        err = TORG_E_NOMEM;
    if (err) {
        ahead_free(writer->ahead);
        guard_done(&writer->guard);
        pthread_cond_destroy(&writer->wake);
        pthread_mutex_destroy(&writer->mutex);
        free(writer);
        return err;
    }
    *ret_writer = writer;
    return TORG_OK;
}

void writer_free(struct writer *writer)
{
    if (!writer)
        return;
    pthread_mutex_lock(&writer->mutex);
    writer->stop = true;
    pthread_cond_signal(&writer->wake);
    pthread_mutex_unlock(&writer->mutex);
    pthread_join(writer->thread, NULL);
    ahead_free(writer->ahead);
    guard_done(&writer->guard);
    buffer_done(&writer->last_head);
    pthread_cond_destroy(&writer->wake);
    pthread_mutex_destroy(&writer->mutex);
    sodium_memzero(&writer->options.signer, sizeof(writer->options.signer));
    free(writer);
}

/* ---- submitting ---- */

static struct job *job_new(enum job_kind kind, struct loop *loop, writer_done *done, void *context)
{
    struct job *job = calloc(1, sizeof(*job));

    if (job)
        *job = (struct job){.kind = kind, .loop = loop, .done = done, .context = context};
    return job;
}

static enum torg_err submit(struct writer *writer, struct job *job)
{
    size_t *queued;
    enum torg_err err = TORG_OK;

    pthread_mutex_lock(&writer->mutex);
    queued = job->kind == JOB_STORE ? &writer->queued_store : &writer->queued_own;
    if (job->kind == JOB_LOCAL)
        err = local_check(writer);
    else if (writer->failed)
        err = TORG_E_IO;
    if (!err && (*queued >= writer->options.queue_max || writer->stop))
        err = TORG_E_BUSY;
    if (!err) {
        ++*queued;
        list_add(&writer->queue, job);
        if (job->kind == JOB_STORE)
            ahead_offer(writer->ahead, &job->ahead, job->store, job->bytes);
        pthread_cond_signal(&writer->wake);
    }
    pthread_mutex_unlock(&writer->mutex);
    return err;
}

/* Two changes of one listing cannot both be the newest. */
static bool changes_are_distinct(const struct local_change *changes, size_t count)
{
    struct touched *touched;
    bool distinct = true;

    if (count < 2)
        return true;
    touched = calloc(1, sizeof(*touched));
    if (!touched)
        return true; /* the replica looks again */
    for (size_t i = 0; i < count && distinct; i++) {
        const struct local_change **slot = touched_slot(touched, &changes[i]);

        distinct = !*slot;
        *slot = &changes[i];
    }
    free(touched);
    return distinct;
}

enum torg_err writer_submit_local(struct writer *writer, const struct local_change *changes,
                                  size_t count, writer_prepare *prepare, struct loop *loop,
                                  writer_done *done, void *context)
{
    return writer_submit_local_and(writer, changes, count, prepare, NULL, loop, done, context);
}

enum torg_err writer_submit_local_and(struct writer *writer, const struct local_change *changes,
                                      size_t count, writer_prepare *prepare, writer_run *also,
                                      struct loop *loop, writer_done *done, void *context)
{
    struct job *job;
    enum torg_err err;

    if (!writer->options.has_own)
        return TORG_E_NOT_FOUND;
    if (count > COMMIT_CHANGES_MAX || !changes_are_distinct(changes, count))
        return TORG_E_INVALID;
    job = job_new(JOB_LOCAL, loop, done, context);
    if (!job)
        return TORG_E_NOMEM;
    job->prepare = prepare;
    job->run = also;
    err = copy_changes(job, changes, count);
    if (!err)
        err = submit(writer, job);
    if (err)
        job_free(job);
    return err;
}

enum torg_err writer_submit_store(struct writer *writer, struct sync_store *store,
                                  struct loop *loop, writer_done *done, void *context)
{
    struct job *job = job_new(JOB_STORE, loop, done, context);
    enum torg_err err;

    if (!job)
        return TORG_E_NOMEM;
    for (size_t i = 0; i < store->write.entry_count; i++)
        job->bytes += store->write.entries[i].payload.size;
    job->store = store;
    err = submit(writer, job);
    if (err) {
        job->store = NULL; /* stays the caller's */
        job_free(job);
    }
    return err;
}

enum torg_err writer_submit_run(struct writer *writer, writer_run *run, struct loop *loop,
                                writer_done *done, void *context)
{
    struct job *job = job_new(JOB_RUN, loop, done, context);
    enum torg_err err;

    if (!job)
        return TORG_E_NOMEM;
    job->run = run;
    err = submit(writer, job);
    if (err)
        job_free(job);
    return err;
}

void writer_on_published(struct writer *writer, struct loop *loop, writer_published *published,
                         void *context)
{
    pthread_mutex_lock(&writer->mutex);
    writer->published_loop = loop;
    writer->published_context = context;
    writer->published = published;
    pthread_mutex_unlock(&writer->mutex);
}

void writer_counters(const struct writer *writer, struct writer_counters *ret_counters)
{
    pthread_mutex_lock(mutex_of(writer));
    *ret_counters = writer->counters;
    ret_counters->queue = writer->queued_own + writer->queued_store;
    pthread_mutex_unlock(mutex_of(writer));
}
