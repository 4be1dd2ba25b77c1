/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_WRITER_INTERNAL_H
#define TORG_DAEMON_WRITER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "daemon/ahead.h"
#include "daemon/guard.h"
#include "daemon/writer.h"

/*
 * What the files of the writer share. Nobody else includes this.
 *
 *   writer.c        begin and end, submitting, upkeep, the thread
 *   writer_queue.c  what waits, and which of it makes the next transaction
 *   writer_job.c    one job, a list of them, and which fit in one commit
 *   writer_group.c  one transaction: the jobs of a group, from its begin to
 *                   their results
 *   writer_guard.c  guard file and database against each other: may be signed?
 *   writer_state.c  why writes are taken or not, and what peers say about it
 *
 * "mutex held" is writer->mutex. Everything else here is called from the
 * writer's thread, or before it starts.
 */

/*
 * How a group is made. While the disk syncs one transaction, jobs gather; the
 * thread takes what waits, in order, and makes it the next one; a crowd of
 * peers' writes lets local jobs and runs go before it (writer_queue.c). In it,
 * peers' writes are applied one by one, local changes are collected and signed
 * as one commit, runs come last. One transaction holds at most one own head, so
 * that a database is never more than one head ahead of its guard.
 *
 * What goes wrong with one job must not harm its neighbours: an error that
 * leaves the transaction as it was refuses the job alone, any other one aborts
 * the transaction and every job is tried again in one of its own.
 */
enum writer_job_kind { WRITER_JOB_LOCAL, WRITER_JOB_STORE, WRITER_JOB_RUN };

struct writer_job {
    enum writer_job_kind kind;
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
    struct writer_job *next;
};

struct writer_jobs {
    struct writer_job *first, **last;
    size_t count;
};

#define WRITER_TOUCHED_SLOTS 4096 /* a power of two, above twice COMMIT_CHANGES_MAX */

/* The listings of the commit that is being collected, so that none stands in it twice. */
struct writer_touched {
    const struct local_change *slots[WRITER_TOUCHED_SLOTS];
};

struct writer_group {
    struct writer *writer;
    struct writer_jobs jobs;
    bool reserve;       /* jobs that make room, in a store that is nearly full */
    size_t yield_bytes; /* once as many are in, it ends for a local job or a run that waits */
    int64_t now_ms;
    struct kv kv;
    struct catalogue_writer catalogue;
    struct replica_observer observer;
    struct local_change *changes; /* of the commit; their payloads stay in the jobs */
    size_t change_count;
    bool committed_own;
    bool wrote; /* something that must be committed */
    struct head head;
    struct hash head_hash;
};

struct writer {
    struct writer_options options;
    struct ahead *ahead;
    struct guard guard;      /* the thread's, after writer_new */
    struct buffer last_head; /* the thread's: scratch for a signed head or beat */
    uint64_t id;             /* drawn at each start; in every beat */
    int64_t beat_due_ms, reader_check_due_ms;
    bool repack_due; /* the thread's: listings changed since the trees were found in order */
    int64_t repack_quiet_ms; /* the thread's: from then on, nothing having come, trees are mended */
    bool checkpoint_due;     /* the thread's: commits that the journal alone has safe */
    int64_t checkpoint_quiet_ms; /* the thread's: from then on, nothing having come, it is time */
    int64_t repack_credit_us;    /* the thread's: what writes have earned mending before that */
    bool stores_turn;        /* the thread's: the last transaction left peers' writes for later */
    uint64_t repack_changes; /* the thread's: of listings, since a look found nothing to mend */
    pthread_t thread;

    struct loop *published_loop;
    writer_published *published;
    void *published_context;

    atomic_bool arrived; /* a job has, since the thread began to look out for one */

    pthread_mutex_t mutex; /* over all that follows */
    pthread_cond_t wake;
    int64_t expected_until_us; /* until then the thread looks out for a job, and does not sleep */
    struct writer_jobs queue;
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

/* ---- writer_job.c ---- */

void writer_jobs_init(struct writer_jobs *jobs);
void writer_jobs_add(struct writer_jobs *jobs, struct writer_job *job);
/* Gives all of them this result. */
void writer_jobs_set_err(struct writer_jobs *jobs, enum torg_err err);

/* NULL: no memory. Any thread, as all about one job that is not queued yet. */
struct writer_job *writer_job_new(enum writer_job_kind kind, struct loop *loop, writer_done *done,
                                  void *context);
/* With its store, if it still has one. NULL is accepted. */
void writer_job_free(struct writer_job *job);
/* Hands the result to done, on the job's loop, and frees the job. */
void writer_job_finish(struct writer_job *job);
/* The changes and their payloads in one block, so that the caller's may go. TORG_E_NOMEM. */
enum torg_err writer_job_copy_changes(struct writer_job *job, const struct local_change *changes,
                                      size_t count);
/* Does the job make room, or is it needed just when there is none? Then it may use the reserve. */
bool writer_job_makes_room(const struct writer_job *job);
/* Two changes of one listing cannot both be the newest. */
bool writer_job_changes_are_distinct(const struct local_change *changes, size_t count);
/*
 * Can the job join the commit that is collected? Not if a listing of it stands
 * there already: a commit holds each once, and the job's conditions must see it.
 * If it can, its listings are touched afterwards.
 */
bool writer_job_touch(struct writer_touched *touched, size_t change_count,
                      const struct writer_job *job);

/* ---- writer_queue.c ---- */

/*
 * mutex held. Take from the queue what makes the next transaction; the rest keeps its order.
 * touched is scratch. Sets jobs and yield_bytes of the group.
 */
void writer_queue_take(struct writer *writer, struct writer_touched *touched,
                       struct writer_group *group);
/*
 * If a local job or a run waits: the jobs of the group after last, which are peers' writes that
 * nothing has been done for, wait again, before all that came later.
 */
void writer_queue_yield(struct writer *writer, struct writer_group *group, struct writer_job *last);

/* ---- writer_group.c ---- */

/*
 * Commit the group's jobs. An error: none of them was; its jobs have no results
 * yet. The caller has filled writer, jobs, reserve, now_ms and changes.
 */
enum torg_err writer_group_run(struct writer_group *group);
/* All together, or each alone when something is wrong with one of them; all are finished. */
void writer_group_run_together(struct writer_group *group);
/* Count, finish and forget the jobs, which have their results. */
void writer_group_finish(struct writer *writer, struct writer_jobs *jobs);
/* Tell whoever listens that the own origin has a new head or beat. */
void writer_group_publish(struct writer *writer);

/* ---- writer_guard.c ---- */

/* Compare guard and database at start. TORG_E_IO: the guard cannot be written; others: the store's.
 */
enum torg_err writer_guard_start(struct writer *writer);
/* Look again at guard, database and what peers said; FAILED when the guard cannot be written. */
void writer_guard_settle(struct writer *writer);

/* ---- writer_state.c ---- */

/* mutex held */
enum writer_state writer_state_held(const struct writer *writer);
/* mutex held. May local changes be signed now? TORG_E_IO, TORG_E_RECOVERING. */
enum torg_err writer_state_local_check(const struct writer *writer);
/* C's const does not reach through a mutex. */
pthread_mutex_t *writer_state_mutex(const struct writer *writer);
/* Which of two heads of one origin is newer? Less than, equal to or greater than 0. */
int writer_state_number_compare(uint64_t epoch_a, uint64_t hno_a, uint64_t epoch_b, uint64_t hno_b);
bool writer_state_is_failed(const struct writer *writer);
/* FAILED until torgd is started again; errno says why. */
void writer_state_fail(struct writer *writer, const char *what);
void writer_state_set_full(struct writer *writer);

#endif
