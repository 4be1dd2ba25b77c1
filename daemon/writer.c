/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/writer.h"

#include <sched.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/writer_internal.h"
#include "index/store_room.h"
#include "protocol/limits.h"

/*
 * Mending trees must not stand between the batches of somebody who waits for
 * each answer before he sends the next: it begins when nothing has come for a
 * while. Where writes never pause for so long, an eighth of their time is its.
 */
#define WRITER_REPACK_QUIET_MS 250
#define WRITER_REPACK_FRACTION 8
#define WRITER_REPACK_CREDIT_US_MAX 1000000
/* Nor may a look at the trees, after each small commit, be in the way of those who carry it on. */
#define WRITER_REPACK_CHANGES 8
/* The database is synced when nobody has written for so long: a sync takes long after many commits.
 */
#define WRITER_CHECKPOINT_QUIET_MS 1000

/* ---- what the state refuses ---- */

/* Between the submission and now the state may have changed: no local job passes then. */
static void refuse_local(struct writer *writer, struct writer_jobs *jobs, enum torg_err err)
{
    struct writer_jobs local, rest;
    struct writer_job *job = jobs->first;

    if (!err)
        return;
    writer_jobs_init(&local);
    writer_jobs_init(&rest);
    while (job) {
        struct writer_job *next = job->next;

        writer_jobs_add(job->kind == WRITER_JOB_LOCAL ? &local : &rest, job);
        job = next;
    }
    writer_jobs_set_err(&local, err);
    writer_group_finish(writer, &local);
    *jobs = rest;
    if (!rest.first)
        writer_jobs_init(jobs);
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
        writer_group_publish(writer);
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
    due = writer->answer != 0 && writer_state_held(writer) == WRITER_READY &&
          writer->beat_due_ms != INT64_MAX;
    if (due) {
        beat->rival = writer->answer;
        if (beat->now_ms <= writer->answer_ts_ms)
            beat->now_ms = writer->answer_ts_ms + 1;
        writer->answer = 0;
    }
    pthread_mutex_unlock(&writer->mutex);
    return due;
}

static void upkeep(struct writer *writer, struct writer_group *group)
{
    int64_t now_ms = clock_monotonic_ms();
    struct beat_job beat = {.writer = writer, .now_ms = clock_wall_ms()};

    if (now_ms >= writer->reader_check_due_ms) {
        store_reader_check(writer->options.store);
        writer->reader_check_due_ms = now_ms + WRITER_READER_CHECK_MS;
        pthread_mutex_lock(&writer->mutex);
        writer->settle_due = true; /* in case that the last try failed */
        pthread_mutex_unlock(&writer->mutex);
    }
    if ((answer_take(writer, &beat) || now_ms >= writer->beat_due_ms) && may_beat(writer)) {
        struct writer_job *job = calloc(1, sizeof(*job));

        writer->beat_due_ms = now_ms + WRITER_BEAT_MS;
        if (!job)
            return; /* the next one will tell */
        *job = (struct writer_job){.kind = WRITER_JOB_RUN, .run = run_beat, .context = &beat};
        writer_jobs_init(&group->jobs);
        writer_jobs_add(&group->jobs, job);
        group->reserve = true; /* small, and what tells others that we are alive */
        job->result.err = writer_group_run(group);
        beat_done(writer, &job->result);
        writer_job_free(job);
    }
}

static void checkpoint_later(struct writer *writer)
{
    writer->checkpoint_due = true;
    writer->checkpoint_quiet_ms = clock_monotonic_ms() + WRITER_CHECKPOINT_QUIET_MS;
}

static bool checkpoint_may_begin(const struct writer *writer)
{
    return writer->checkpoint_due && clock_monotonic_ms() >= writer->checkpoint_quiet_ms;
}

static void checkpoint(struct writer *writer)
{
    writer->checkpoint_due = false;
    if (store_checkpoint(writer->options.store))
        writer_state_fail(writer, "checkpoint");
}

/* A group took so long: mending waits anew, and has earned its part. */
static void repack_earn(struct writer *writer, int64_t took_us)
{
    int64_t credit_us = writer->repack_credit_us + took_us / WRITER_REPACK_FRACTION;

    checkpoint_later(writer);
    writer->repack_due = true;
    writer->repack_quiet_ms = clock_monotonic_ms() + WRITER_REPACK_QUIET_MS;
    writer->repack_credit_us =
        credit_us < WRITER_REPACK_CREDIT_US_MAX ? credit_us : WRITER_REPACK_CREDIT_US_MAX;
}

static bool repack_may_begin(const struct writer *writer)
{
    bool earned = writer->repack_credit_us > 0 && writer->repack_changes >= WRITER_REPACK_CHANGES;

    return writer->repack_due && (earned || clock_monotonic_ms() >= writer->repack_quiet_ms);
}

/*
 * While nobody waits: one small step that keeps the trees like packed ones. A
 * write that comes meanwhile waits for this one transaction at most.
 */
static void repack(struct writer *writer)
{
    struct catalogue_repacked repacked = {.quiet = true};
    int64_t started_us = clock_monotonic_us();
    struct kv kv;
    enum torg_err err = store_write_begin(writer->options.store, &kv);

    if (!err) {
        err = catalogue_repack(&kv, &repacked);
        if (err)
            store_write_abort(&kv);
        else
            err = store_write_commit(&kv);
    }
    checkpoint_later(writer);
    if (err == TORG_E_IO)
        writer_state_fail(writer, "repack");
    else if (err)
        log_event(LOG_WARN, "writer.repack", "err=\"%s\"", torg_err_text(err));
    writer->repack_due = !err && !repacked.quiet;
    if (writer->repack_credit_us > 0)
        writer->repack_credit_us -= clock_monotonic_us() - started_us;
    if (err || repacked.quiet) {
        writer->repack_changes = 0;
        return;
    }
    pthread_mutex_lock(&writer->mutex);
    writer->counters.repacks++;
    writer->counters.repacked_listings += repacked.listings;
    pthread_mutex_unlock(&writer->mutex);
}

/* ---- the thread ---- */

/*
 * mutex held, but for the time that it takes. Until a job comes, or the time is up: a thread that
 * sleeps takes as long to wake as the check of a commit.
 */
static void look_out(struct writer *writer)
{
    int64_t until_us = writer->expected_until_us;

    writer->expected_until_us = 0;
    atomic_store(&writer->arrived, false);
    pthread_mutex_unlock(&writer->mutex);
    /* Who checks what is expected may need this very processor. */
    while (!atomic_load(&writer->arrived) && clock_monotonic_us() < until_us)
        sched_yield();
    pthread_mutex_lock(&writer->mutex);
}

/* mutex held. Until there is a job, something to settle or mend, upkeep is due, or the end. */
static void wait_for_work(struct writer *writer)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t due = writer->reader_check_due_ms;

    if (writer->beat_due_ms < due)
        due = writer->beat_due_ms;
    if (due < now_ms + 1000)
        due = now_ms + 1000; /* a beat that may not be yet: look again soon */
    if (writer->repack_due && due > writer->repack_quiet_ms)
        due = writer->repack_quiet_ms;
    if (writer->checkpoint_due && due > writer->checkpoint_quiet_ms)
        due = writer->checkpoint_quiet_ms;
    while (!writer->queue.first && !writer->stop && !writer->settle_due &&
           !repack_may_begin(writer) && !checkpoint_may_begin(writer)) {
        if (writer->expected_until_us)
            look_out(writer);
        else if (!clock_cond_wait(&writer->wake, &writer->mutex, due))
            break;
    }
}

static void *writer_thread(void *context)
{
    struct writer *writer = context;
    struct writer_group group = {.writer = writer};
    struct writer_touched *touched = malloc(sizeof(*touched));
    bool settle_due, more = true;
    enum torg_err local_err;
    int64_t started_us;

    store_room_make(writer->options.commit_bytes);
    group.changes = calloc(COMMIT_CHANGES_MAX, sizeof(*group.changes));
    if (!touched || !group.changes)
        abort(); /* at start, with nothing promised to anybody */
    while (more) {
        upkeep(writer, &group);
        pthread_mutex_lock(&writer->mutex);
        wait_for_work(writer);
        writer_queue_take(writer, touched, &group);
        local_err = writer_state_local_check(writer);
        settle_due = writer->settle_due;
        writer->settle_due = false;
        more = !writer->stop || group.jobs.first || writer->queue.first;
        pthread_mutex_unlock(&writer->mutex);
        if (settle_due)
            writer_guard_settle(writer);
        refuse_local(writer, &group.jobs, local_err);
        group.now_ms = clock_wall_ms();
        if (group.jobs.first) {
            started_us = clock_monotonic_us();
            writer_group_run_together(&group);
            repack_earn(writer, clock_monotonic_us() - started_us);
        } else if (repack_may_begin(writer) && more && !writer_state_is_failed(writer)) {
            repack(writer);
        } else if (checkpoint_may_begin(writer) && more && !writer_state_is_failed(writer)) {
            checkpoint(writer);
        } else if (!more || writer_state_is_failed(writer)) {
            writer->repack_due = writer->checkpoint_due = false;
        }
    }
    free(group.changes);
    free(touched);
    return NULL;
}

enum torg_err writer_new(const struct writer_options *options, struct writer **ret_writer)
{
    struct writer *writer = calloc(1, sizeof(*writer));
    enum torg_err err;

    if (!writer)
        return TORG_E_NOMEM;
    writer->options = *options;
    if (!writer->options.commit_bytes)
        writer->options.commit_bytes = WRITER_COMMIT_BYTES_DEFAULT;
    writer_jobs_init(&writer->queue);
    pthread_mutex_init(&writer->mutex, NULL);
    clock_cond_init(&writer->wake);
    writer->repack_due = true; /* what was not finished before the last end */
    randombytes_buf(&writer->id, sizeof(writer->id));
    writer->id = writer->id % INTEGER_MAX + 1; /* 0 means nobody */
    if (!options->has_own || options->no_beats)
        writer->beat_due_ms = INT64_MAX;
    err = ahead_new(options->store, options->themes, &writer->ahead);
    if (!err)
        err = guard_open(options->directory, &options->own, &writer->guard);
    if (!err)
        err = writer_guard_start(writer);
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

static enum torg_err submit(struct writer *writer, struct writer_job *job)
{
    size_t *queued;
    enum torg_err err = TORG_OK;

    pthread_mutex_lock(&writer->mutex);
    queued = job->kind == WRITER_JOB_STORE ? &writer->queued_store : &writer->queued_own;
    if (job->kind == WRITER_JOB_LOCAL)
        err = writer_state_local_check(writer);
    else if (writer->failed)
        err = TORG_E_IO;
    if (!err && (*queued >= writer->options.queue_max || writer->stop))
        err = TORG_E_BUSY;
    if (!err) {
        ++*queued;
        writer_jobs_add(&writer->queue, job);
        if (job->kind == WRITER_JOB_STORE)
            ahead_offer(writer->ahead, &job->ahead, job->store, job->bytes);
        atomic_store(&writer->arrived, true);
        pthread_cond_signal(&writer->wake);
    }
    pthread_mutex_unlock(&writer->mutex);
    return err;
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
    struct writer_job *job;
    enum torg_err err;

    if (!writer->options.has_own)
        return TORG_E_NOT_FOUND;
    if (count > COMMIT_CHANGES_MAX || !writer_job_changes_are_distinct(changes, count))
        return TORG_E_INVALID;
    job = writer_job_new(WRITER_JOB_LOCAL, loop, done, context);
    if (!job)
        return TORG_E_NOMEM;
    job->prepare = prepare;
    job->run = also;
    err = writer_job_copy_changes(job, changes, count);
    if (!err)
        err = submit(writer, job);
    if (err)
        writer_job_free(job);
    return err;
}

enum torg_err writer_submit_store(struct writer *writer, struct sync_store *store,
                                  struct loop *loop, writer_done *done, void *context)
{
    struct writer_job *job = writer_job_new(WRITER_JOB_STORE, loop, done, context);
    enum torg_err err;

    if (!job)
        return TORG_E_NOMEM;
    for (size_t i = 0; i < store->write.entry_count; i++)
        job->bytes += store->write.entries[i].payload.size;
    job->bytes += store->write.removed_count * WRITER_REMOVED_BYTES;
    job->store = store;
    err = submit(writer, job);
    if (err) {
        job->store = NULL; /* stays the caller's */
        writer_job_free(job);
    }
    return err;
}

void writer_expect(struct writer *writer)
{
    pthread_mutex_lock(&writer->mutex);
    writer->expected_until_us = clock_monotonic_us() + WRITER_EXPECT_US;
    pthread_cond_signal(&writer->wake);
    pthread_mutex_unlock(&writer->mutex);
}

enum torg_err writer_submit_run(struct writer *writer, writer_run *run, struct loop *loop,
                                writer_done *done, void *context)
{
    struct writer_job *job = writer_job_new(WRITER_JOB_RUN, loop, done, context);
    enum torg_err err;

    if (!job)
        return TORG_E_NOMEM;
    job->run = run;
    err = submit(writer, job);
    if (err)
        writer_job_free(job);
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
    pthread_mutex_lock(writer_state_mutex(writer));
    *ret_counters = writer->counters;
    ret_counters->queue = writer->queued_own + writer->queued_store;
    pthread_mutex_unlock(writer_state_mutex(writer));
}
