/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdlib.h>
#include <string.h>

#include "daemon/writer_internal.h"

void writer_jobs_init(struct writer_jobs *list)
{
    *list = (struct writer_jobs){.last = &list->first};
}

void writer_jobs_add(struct writer_jobs *list, struct writer_job *job)
{
    job->next = NULL;
    *list->last = job;
    list->last = &job->next;
    list->count++;
}

void writer_jobs_set_err(struct writer_jobs *jobs, enum torg_err err)
{
    for (struct writer_job *job = jobs->first; job; job = job->next)
        job->result = (struct writer_result){.err = err};
}

struct writer_job *writer_job_new(enum writer_job_kind kind, struct loop *loop, writer_done *done,
                                  void *context)
{
    struct writer_job *job = calloc(1, sizeof(*job));

    if (job)
        *job = (struct writer_job){.kind = kind, .loop = loop, .done = done, .context = context};
    return job;
}

void writer_job_free(struct writer_job *job)
{
    if (!job)
        return;
    sync_store_free(job->store);
    free(job->changes);
    free(job);
}

static void job_answer(void *context)
{
    struct writer_job *job = context;

    job->done(job->context, &job->result);
    writer_job_free(job);
}

void writer_job_finish(struct writer_job *job)
{
    if (job->loop)
        loop_answer(job->loop, job_answer, job);
    else
        job_answer(job);
}

enum torg_err writer_job_copy_changes(struct writer_job *job, const struct local_change *changes,
                                      size_t count)
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

/*
 * Charters that go on from one that is held make no room, but take back keys and what everybody
 * may see: a thief's deletes must not come through where the charter that stops him does not. An
 * origin has so many of them at most, and a new one waits.
 */
static bool takes_back(const struct replica_write *write)
{
    struct charter first;

    return write->kind == REPLICA_WRITE_CHARTERS && write->charter_count > 0 &&
           charter_parse(write->charters[0].bytes, &first) == TORG_OK && first.charter_no > 0;
}

bool writer_job_makes_room(const struct writer_job *job)
{
    const struct replica_write *write;

    switch (job->kind) {
    case WRITER_JOB_LOCAL:
        return job->bytes == 0;
    case WRITER_JOB_RUN:
        return true; /* tokens and upkeep: small, and an operator may need them just now */
    case WRITER_JOB_STORE:
        break;
    }
    write = &job->store->write;
    if (write->kind != REPLICA_WRITE_COMMIT && write->kind != REPLICA_WRITE_PART)
        return write->kind == REPLICA_WRITE_BEAT || write->kind == REPLICA_WRITE_PROOF ||
               write->kind == REPLICA_WRITE_DROP || write->kind == REPLICA_WRITE_SETTLE ||
               takes_back(write);
    for (size_t i = 0; i < write->entry_count; i++)
        if (write->entries[i].header.op != CHANGE_DELETE)
            return false;
    return true;
}

/* ---- listings of one commit ---- */

static const struct local_change **touched_slot(struct writer_touched *touched,
                                                const struct local_change *change)
{
    uint32_t at = get_u32be(change->id.bytes) ^ change->collection;

    for (;; at++) {
        const struct local_change **slot = &touched->slots[at % WRITER_TOUCHED_SLOTS];

        if (!*slot || ((*slot)->collection == change->collection &&
                       memcmp(&(*slot)->id, &change->id, sizeof(change->id)) == 0))
            return slot;
    }
}

bool writer_job_changes_are_distinct(const struct local_change *changes, size_t count)
{
    struct writer_touched *touched;
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

bool writer_job_touch(struct writer_touched *touched, size_t change_count,
                      const struct writer_job *job)
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
