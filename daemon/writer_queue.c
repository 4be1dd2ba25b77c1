/* SPDX-License-Identifier: EUPL-1.2 */
#include <string.h>

#include "daemon/writer_internal.h"

/* What is being taken from the queue for one transaction. */
struct take {
    const struct writer *writer;
    struct writer_touched *touched;
    struct writer_jobs *jobs;
    bool own;           /* local jobs and runs are served, small writes of peers beside them */
    size_t limit;       /* payloads that it may have */
    size_t bytes;       /* that it has */
    size_t store_bytes; /* of these, peers' */
    size_t changes;     /* of the own commit */
    bool closed, local_closed, stores_closed;
};

static size_t store_limit(const struct take *take, const struct writer_job *job)
{
    size_t replaced = take->writer->options.commit_bytes / WRITER_REPLACED_FRACTION;

    return job->store->replaces && take->limit > replaced ? replaced : take->limit;
}

static bool takes_store(struct take *take, const struct writer_job *job)
{
    if (take->own) {
        take->stores_closed =
            take->stores_closed || take->store_bytes + job->bytes > WRITER_BESIDE_BYTES_MAX;
    } else {
        take->limit = store_limit(take, job);
        take->stores_closed =
            take->stores_closed || (take->bytes > 0 && take->bytes + job->bytes > take->limit);
    }
    if (take->stores_closed)
        return false;
    take->store_bytes += job->bytes;
    return true;
}

/* One that touches a listing of the commit waits for the next, and so do those behind it. */
static bool takes_local(struct take *take, const struct writer_job *job)
{
    if (!take->own || take->local_closed)
        return false;
    take->local_closed = !writer_job_touch(take->touched, take->changes, job);
    if (!take->local_closed)
        take->changes += job->change_count;
    return !take->local_closed;
}

static bool takes(struct take *take, const struct writer_job *job)
{
    take->closed = take->closed || take->jobs->count == WRITER_GROUP_JOBS_MAX ||
                   (take->bytes > 0 && take->own && take->bytes + job->bytes > take->limit);
    if (take->closed)
        return false;
    switch (job->kind) {
    case WRITER_JOB_STORE:
        return takes_store(take, job);
    case WRITER_JOB_LOCAL:
        return takes_local(take, job);
    case WRITER_JOB_RUN:
        break;
    }
    return take->own;
}

void writer_queue_take(struct writer *writer, struct writer_touched *touched,
                       struct writer_group *group)
{
    struct take take = {.writer = writer,
                        .touched = touched,
                        .jobs = &group->jobs,
                        .own = writer->queued_own > 0 && !writer->stores_turn,
                        .limit = writer->options.commit_bytes / WRITER_NEW_FRACTION};
    struct writer_job *job = writer->queue.first;
    struct writer_jobs rest;

    memset(touched, 0, sizeof(*touched));
    writer_jobs_init(&rest);
    writer_jobs_init(&group->jobs);
    while (job) {
        struct writer_job *next = job->next;

        if (takes(&take, job)) {
            take.bytes += job->bytes;
            *(job->kind == WRITER_JOB_STORE ? &writer->queued_store : &writer->queued_own) -= 1;
            writer_jobs_add(&group->jobs, job);
        } else {
            writer_jobs_add(&rest, job);
        }
        job = next;
    }
    writer->queue = rest;
    if (!rest.first)
        writer_jobs_init(&writer->queue);
    writer->stores_turn = take.own && writer->queued_store > 0;
    group->yield_bytes = take.own ? SIZE_MAX : take.limit / WRITER_YIELD_FRACTION;
}

/* mutex held. */
static void give_back(struct writer *writer, struct writer_jobs *jobs, struct writer_job *last)
{
    struct writer_jobs back = {.first = last->next, .last = jobs->last};

    for (const struct writer_job *job = back.first; job; job = job->next)
        back.count++;
    last->next = NULL;
    jobs->last = &last->next;
    jobs->count -= back.count;
    writer->queued_store += back.count;
    *back.last = writer->queue.first;
    if (writer->queue.first)
        back.last = writer->queue.last;
    back.count += writer->queue.count;
    writer->queue = back;
}

void writer_queue_yield(struct writer *writer, struct writer_group *group, struct writer_job *last)
{
    pthread_mutex_lock(&writer->mutex);
    if (last->next && writer->queued_own > 0)
        give_back(writer, &group->jobs, last);
    pthread_mutex_unlock(&writer->mutex);
}
