/* SPDX-License-Identifier: EUPL-1.2 */
#include <string.h>

#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/writer_internal.h"
#include "protocol/profile.h"

/* Errors that leave a transaction as it was, so that others may share it. */
static bool err_is_the_jobs(enum torg_err err)
{
    return err != TORG_E_NOMEM && err != TORG_E_FULL && err != TORG_E_IO && err != TORG_E_CORRUPT &&
           err != TORG_E_TOO_BIG && err != TORG_E_BUSY;
}

/* ---- one transaction ---- */

/* Prepare and collect the changes of a local job. Only an error of the store is returned. */
static enum torg_err group_local(struct writer_group *group, struct writer_job *job)
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

static enum torg_err group_store(struct writer_group *group, struct writer_job *job)
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

static enum torg_err group_commit_own(struct writer_group *group)
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

static enum torg_err group_runs(struct writer_group *group)
{
    for (struct writer_job *job = group->jobs.first; job; job = job->next) {
        if (job->kind == WRITER_JOB_LOCAL && job->run && !job->result.err) {
            enum torg_err err = job->run(job->context, &group->kv);

            if (err)
                return err; /* The changes are in the transaction already. */
        }
        if (job->kind != WRITER_JOB_RUN)
            continue;
        job->result.err = job->run(job->context, &group->kv);
        if (!job->result.err)
            group->wrote = true;
        else if (!err_is_the_jobs(job->result.err))
            return job->result.err;
    }
    return TORG_OK;
}

/* Local changes and peers' writes; fewer of these where somebody here has come to write. */
static enum torg_err group_jobs(struct writer_group *group)
{
    enum torg_err err = TORG_OK;
    size_t bytes = 0;

    for (struct writer_job *job = group->jobs.first; job && !err; job = job->next) {
        if (job->kind == WRITER_JOB_LOCAL)
            err = group_local(group, job);
        else if (job->kind == WRITER_JOB_STORE)
            err = group_store(group, job);
        bytes += job->bytes;
        if (!err && bytes >= group->yield_bytes)
            writer_queue_yield(group->writer, group, job);
    }
    return err;
}

/* Everything inside the transaction. An error means: abort, this cannot be committed. */
static enum torg_err group_apply(struct writer_group *group)
{
    enum torg_err err = group_jobs(group);

    if (!err && group->committed_own)
        err = group_commit_own(group);
    if (!err)
        err = group_runs(group);
    if (!err && group->wrote)
        err = catalogue_flush(&group->catalogue, &group->kv);
    return err;
}

/* Begin, apply, commit durably. TORG_OK also when there was nothing to commit. */
static enum torg_err group_transact(struct writer_group *group)
{
    struct writer *writer = group->writer;
    enum torg_err err;

    group->change_count = 0;
    group->committed_own = false;
    group->wrote = false;
    for (struct writer_job *job = group->jobs.first; job; job = job->next)
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
    if (!err)
        writer->repack_changes += group->catalogue.changed;
done:
    catalogue_writer_done(&group->catalogue);
    return err;
}

/* ---- after a transaction ---- */

/* A letter with nothing of the writer in it: the loop may read it after the writer's end. */
void writer_group_publish(struct writer *writer)
{
    writer_published *published;

    pthread_mutex_lock(&writer->mutex);
    published = writer->published;
    pthread_mutex_unlock(&writer->mutex);
    if (published)
        loop_answer(writer->published_loop, published, writer->published_context);
}

/* A head of ours is durable: the guard must name it before anybody hears of it. */
static enum torg_err group_guard(struct writer_group *group)
{
    struct writer *writer = group->writer;
    struct guard_mark mark = {.origin = writer->options.own,
                              .epoch = group->head.epoch,
                              .hno = group->head.hno,
                              .head_hash = group->head_hash};
    enum torg_err err = guard_write(&writer->guard, &mark);

    if (err) {
        /* Committed, but not to be published: a start will find it one ahead of the guard. */
        writer_state_fail(writer, "guard");
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
    for (struct writer_job *job = group->jobs.first; job; job = job->next) {
        if (job->kind == WRITER_JOB_LOCAL && !job->result.err) {
            job->result.hno = mark.hno;
            job->result.seq = group->head.seq;
        }
    }
    return TORG_OK;
}

static bool group_touches_own(const struct writer_group *group)
{
    const struct writer *writer = group->writer;

    for (const struct writer_job *job = group->jobs.first; job; job = job->next)
        if (job->kind == WRITER_JOB_STORE && !job->result.err &&
            memcmp(&job->store->write.origin, &writer->options.own, sizeof(writer->options.own)) ==
                0)
            return true;
    return false;
}

static void group_count(struct writer *writer, const struct writer_group *group, int64_t started_us)
{
    uint64_t us = (uint64_t)(clock_monotonic_us() - started_us);

    pthread_mutex_lock(&writer->mutex);
    if (!group->reserve)
        writer->full = false;
    writer->counters.commits++;
    writer->counters.commit_us_sum += us;
    if (us > writer->counters.commit_us_max)
        writer->counters.commit_us_max = us;
    pthread_mutex_unlock(&writer->mutex);
}

enum torg_err writer_group_run(struct writer_group *group)
{
    struct writer *writer = group->writer;
    int64_t started_us = clock_monotonic_us();
    enum torg_err err = group_transact(group);

    if (err == TORG_E_IO) {
        writer_state_fail(writer, "commit");
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
        writer_group_publish(writer);
    }
    if (group_touches_own(group))
        writer_guard_settle(writer);
    return TORG_OK;
}

/* ---- together or alone ---- */

void writer_group_finish(struct writer *writer, struct writer_jobs *jobs)
{
    uint64_t refused = 0;

    for (struct writer_job *job = jobs->first; job; job = job->next)
        refused += job->result.err != TORG_OK;
    pthread_mutex_lock(&writer->mutex);
    writer->counters.jobs += jobs->count;
    writer->counters.jobs_refused += refused;
    pthread_mutex_unlock(&writer->mutex);
    while (jobs->first) {
        struct writer_job *job = jobs->first;

        jobs->first = job->next;
        catalogue_ahead_free(ahead_take(writer->ahead, &job->ahead)); /* it was refused */
        writer_job_finish(job);
    }
    writer_jobs_init(jobs);
}

/* One job alone; if the store is nearly full, from the reserve when the job makes room. */
static void run_alone(struct writer_group *group, struct writer_job *job)
{
    enum torg_err err;

    writer_jobs_init(&group->jobs);
    writer_jobs_add(&group->jobs, job);
    group->reserve = false;
    err = writer_group_run(group);
    if (err == TORG_E_FULL) {
        writer_state_set_full(group->writer);
        if (writer_job_makes_room(job)) {
            group->reserve = true;
            err = writer_group_run(group);
        }
    }
    if (err)
        job->result = (struct writer_result){.err = err};
    if (err && !err_is_the_jobs(err) && err != TORG_E_FULL)
        log_event(LOG_ERROR, "writer.job", "err=\"%s\"", torg_err_text(err));
    writer_group_finish(group->writer, &group->jobs);
}

static void job_refuse(struct writer_group *group, struct writer_job *job, enum torg_err err)
{
    writer_jobs_init(&group->jobs);
    writer_jobs_add(&group->jobs, job);
    writer_jobs_set_err(&group->jobs, err);
    writer_group_finish(group->writer, &group->jobs);
}

void writer_group_run_together(struct writer_group *group)
{
    struct writer_job *job = group->jobs.first;
    size_t count = group->jobs.count;
    enum torg_err err;

    if (count == 1) {
        run_alone(group, job);
        return;
    }
    group->reserve = false;
    err = writer_group_run(group);
    if (!err || err == TORG_E_IO) {
        if (err)
            writer_jobs_set_err(&group->jobs, err);
        writer_group_finish(group->writer, &group->jobs);
        return;
    }
    while (job) {
        struct writer_job *next = job->next;

        /* What failed for one fails for all: a second commit would hide the first one's fate. */
        if (writer_state_is_failed(group->writer))
            job_refuse(group, job, TORG_E_IO);
        else
            run_alone(group, job);
        job = next;
    }
}
