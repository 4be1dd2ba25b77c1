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
 *
 * It also beats for the own origin (at start and every 600 s), clears the slots
 * of dead readers every minute, repacks trees by small steps and syncs what only
 * the journal has safe when nothing has come for a while, and knows whether
 * writes may be taken: see writer_state.
 *
 * Any thread may call what stands below, but for writer_new and writer_free.
 */
struct writer;

struct writer_options {
    struct store *store;
    const struct theme_tree *themes;
    const char *directory; /* of the guard file */
    bool has_own;
    struct origin_id own;
    struct replica_signer signer;
    size_t queue_max;    /* jobs of one kind (local and run; store) that may wait */
    size_t commit_bytes; /* memory for the pages of one transaction: see below */
    bool ask;            /* take no writes before writer_told says that peers were asked */
    bool confirm_guard;  /* the operator says: this database is the newest, guard or no guard */
    bool no_beats;       /* tests and tools */
};

#define WRITER_BEAT_MS 600000
#define WRITER_READER_CHECK_MS 60000
#define WRITER_GROUP_JOBS_MAX 1024
/*
 * Peers' writes join one transaction as long as its pages find room in commit_bytes: of payloads
 * that are new an eighth of these, of such as replace what is held, each of which changes pages of
 * its own, a thirty-second; measured, with listings of 300 bytes. One job may be more.
 */
#define WRITER_COMMIT_BYTES_DEFAULT ((size_t)256 << 20)
#define WRITER_NEW_FRACTION 8
#define WRITER_REPLACED_FRACTION 32
#define WRITER_REMOVED_BYTES 128 /* what a removal counts, which changes as many pages */
/*
 * Local jobs and runs wait for no such crowd. Once a quarter of it is in the transaction, one that
 * comes ends it; the next one takes what waits of them, and of peers' writes only so many bytes
 * with them. Then it is the peers' turn, so that neither keeps the other waiting for ever.
 */
#define WRITER_YIELD_FRACTION 4
#define WRITER_BESIDE_BYTES_MAX 65536

/*
 * Compares the guard with the database and starts the thread. seal_init must
 * have been called. TORG_E_IO (errno): the guard file cannot be used.
 */
enum torg_err writer_new(const struct writer_options *options, struct writer **ret_writer);
/* Finishes what is queued, then joins the thread. NULL is accepted. */
void writer_free(struct writer *writer);

/*
 * Called after the group's commit; result is the job's own. hno and seq are of
 * the signed head for local jobs, else 0. TORG_E_FULL: nothing changed, reads
 * and deletes go on. TORG_E_IO: not acknowledged, its fate is unknown.
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
 * from it refuses this job alone. It may run more than once, and sees of the
 * own origin what the commit before left: jobs that touch a listing which waits
 * in the same commit go into the next one, so conditions on the job's own
 * listings are exact. Payload bytes are copied. done runs on loop, or in the
 * writer's thread when loop is NULL; it is called exactly once if this returns
 * TORG_OK.
 *
 * TORG_E_BUSY: the queue is full. TORG_E_RECOVERING: no writes now, see
 * writer_state_reason. TORG_E_IO: no writes until a restart. TORG_E_INVALID:
 * more than COMMIT_CHANGES_MAX changes, or two of one listing.
 */
typedef enum torg_err writer_prepare(void *context, const struct kv *kv);
enum torg_err writer_submit_local(struct writer *writer, const struct local_change *changes,
                                  size_t count, writer_prepare *prepare, struct loop *loop,
                                  writer_done *done, void *context);

typedef enum torg_err writer_run(void *context, struct kv *kv);
/*
 * The same, and also runs in the same transaction after the changes, with the
 * context, for what must be durable together with them. It may run more than
 * once; its error means that nothing of the transaction can be committed.
 */
enum torg_err writer_submit_local_and(struct writer *writer, const struct local_change *changes,
                                      size_t count, writer_prepare *prepare, writer_run *also,
                                      struct loop *loop, writer_done *done, void *context);

/*
 * A peer's write; takes store on TORG_OK only. done runs on loop, with what
 * replica_apply said if it is not one of TORG_E_NOMEM, FULL, IO and CORRUPT.
 */
enum torg_err writer_submit_store(struct writer *writer, struct sync_store *store,
                                  struct loop *loop, writer_done *done, void *context);

/*
 * A peer's write may come in less time than it takes to wake a thread: wake now, and look out for
 * it for WRITER_EXPECT_US. A hint only, which costs that time of a processor when nothing comes.
 */
#define WRITER_EXPECT_US 200
void writer_expect(struct writer *writer);

/*
 * Any function inside the group's transaction (tokens, maintenance), after its
 * commits. It may run more than once: an error, which it must return before it
 * changes anything, refuses this job alone.
 */
enum torg_err writer_submit_run(struct writer *writer, writer_run *run, struct loop *loop,
                                writer_done *done, void *context);

/*
 * Called on loop after each commit that gave the own origin a new head or beat.
 * Set once, before anything is submitted.
 */
typedef void writer_published(void *context);
void writer_on_published(struct writer *writer, struct loop *loop, writer_published *published,
                         void *context);

/*
 * READY       writes are taken
 * RECOVERING  this database may be older than what was published: asking, or
 *             fetching the own origin back; only peers' writes are taken
 * FULL        the store is nearly full: deletes are taken, the rest gets FULL
 * FAILED      a commit's fate is unknown until torgd is started again
 * FORKED      two heads with one number exist; the root key must open an epoch
 */
enum writer_state { WRITER_READY, WRITER_RECOVERING, WRITER_FULL, WRITER_FAILED, WRITER_FORKED };
enum writer_state writer_state(const struct writer *writer);
const char *writer_state_name(enum writer_state state);
/* For people, with what to do; static storage. */
const char *writer_state_reason(const struct writer *writer);

/* ---- what the peers' thread knows ---- */

/* Should the own origin be fetched from peers? (sync_set_recovering) */
bool writer_wants_own(const struct writer *writer);
/* The newest own head that is durable here; false if there is none. */
bool writer_own_head(const struct writer *writer, uint64_t *ret_epoch, uint64_t *ret_hno);
/*
 * asked: every peer that can be reached has said what it holds of the own
 * origin, or time is up. answered: at least one has, and (epoch, hno) is the
 * newest that any claims, 0 if none. As often as it changes.
 */
void writer_told(struct writer *writer, bool asked, bool answered, uint64_t epoch, uint64_t hno);
/* A peer delivered a validly signed own head that this node did not publish: stop writing. */
void writer_ahead(struct writer *writer, uint64_t epoch, uint64_t hno);
/*
 * A peer delivered a beat of the own origin, newer than the own one, by the
 * host that calls itself beat_writer: this one in an earlier life, or a second
 * host with the same keys. It is answered with a beat that names it, once this
 * node is ready; if rival names this node, the other one lives: it says so
 * loudly, and if it is still asking, or its own number is the greater one, it
 * takes no more writes.
 */
void writer_beat_seen(struct writer *writer, uint64_t beat_writer, uint64_t rival, int64_t ts_ms);
/* What this host calls itself in beats. */
uint64_t writer_id(const struct writer *writer);

struct writer_counters {
    uint64_t commits, jobs, jobs_refused, own_commits, own_changes;
    uint64_t queue, commit_us_sum, commit_us_max;
    uint64_t repacks, repacked_listings; /* steps that mended a tree, and listings in them */
};
void writer_counters(const struct writer *writer, struct writer_counters *ret_counters);

#endif
