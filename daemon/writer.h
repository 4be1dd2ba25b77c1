/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_WRITER_H
#define TORG_DAEMON_WRITER_H

#include "daemon/loop.h"
#include "index/catalogue.h"
#include "index/store.h"
#include "protocol/sync.h"

/*
 * The writer: the one thread that owns every write transaction. It takes jobs
 * from a bounded queue and makes what waits into one durable commit: local
 * changes become one signed commit of the own origin, peers' writes join the
 * same transaction. Then each job's done runs on the loop that submitted it.
 * No acknowledgement before the commit is on disk and, for own commits, before
 * the guard file names the head.
 */
struct writer;

struct writer_options {
    struct store *store;
    const struct theme_tree *themes;
    const char *directory; /* of the guard file */
    bool has_own;
    struct origin_id own;
    struct replica_signer signer;
    size_t queue_max; /* jobs that may wait */
};

enum torg_err writer_new(const struct writer_options *options, struct writer **ret_writer);
/* Finishes what is queued, then joins the thread. */
void writer_free(struct writer *writer);

/*
 * Called in the writer's thread after the group's commit; result is the job's
 * own. For local jobs ret_head is the signed head as it travels.
 */
struct writer_result {
    enum torg_err err;
    uint64_t hno, seq;
};
typedef void writer_done(void *context, const struct writer_result *result);

/*
 * Upserts and deletes of the own origin: all or none, in one commit. prepare
 * runs in the writer's thread inside the transaction, before anything is
 * changed, for conditions on the current state (If-Match, exists); an error
 * from it refuses this job alone. Payload bytes are copied. done runs on loop.
 * TORG_E_BUSY: the queue is full. TORG_E_RECOVERING: no writes now.
 */
typedef enum torg_err writer_prepare(void *context, const struct kv *kv);
enum torg_err writer_submit_local(struct writer *writer, const struct local_change *changes,
                                  size_t count, writer_prepare *prepare, struct loop *loop,
                                  writer_done *done, void *context);

/* A peer's write; takes store. done runs on loop. */
enum torg_err writer_submit_store(struct writer *writer, struct sync_store *store,
                                  struct loop *loop, writer_done *done, void *context);

/* Any function inside the group's transaction (tokens, beats, maintenance). */
typedef enum torg_err writer_run(void *context, struct kv *kv);
enum torg_err writer_submit_run(struct writer *writer, writer_run *run, struct loop *loop,
                                writer_done *done, void *context);

/* Called on loop after every commit that changed the own origin. */
typedef void writer_published(void *context);
void writer_on_published(struct writer *writer, struct loop *loop, writer_published *published,
                         void *context);

enum writer_state { WRITER_READY, WRITER_RECOVERING, WRITER_FULL, WRITER_FAILED };
enum writer_state writer_state(const struct writer *writer);
const char *writer_state_reason(const struct writer *writer);

struct writer_counters {
    uint64_t commits, jobs, jobs_refused, own_commits, own_changes;
    uint64_t queue, commit_us_sum, commit_us_max;
};
void writer_counters(const struct writer *writer, struct writer_counters *ret_counters);

#endif
