/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/guard.h"
#include "daemon/log.h"
#include "index/settings.h"
#include "protocol/frame.h"
#include "protocol/profile.h"
#include "tests/support/test.h"
#include "tests/support/town.h"

#define MIB (UINT64_C(1) << 20)
#define GUARD_KEPT "guard.old"
#define WAIT_S 20

/* A disk that fails on demand; see test_store.c. The guard's slots are 136 bytes, LMDB's pages not.
 */
#define INTERPOSED(name) __asm__(name) __attribute__((visibility("default"), used))
static _Atomic int disk_sync_errno;
static _Atomic int guard_sync_errno; /* of the guard alone: its file is smaller than any store */

int disk_fdatasync(int fd) INTERPOSED("fdatasync");

int disk_fdatasync(int fd)
{
    struct stat file;

    if (disk_sync_errno) {
        errno = disk_sync_errno;
        return -1;
    }
    if (guard_sync_errno && fstat(fd, &file) == 0 && file.st_size < 2 * GUARD_SLOT_DISTANCE) {
        errno = guard_sync_errno;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

/* ---- a node's directory: store, guard, own origin ---- */

struct desk {
    char directory[64];
    struct town own, other;
    struct theme_tree *themes;
    struct store *store;
    struct writer *writer;
    uint64_t map_bytes;
};

static void store_start(struct desk *desk)
{
    struct store_options options = store_options_default();

    options.map_bytes = desk->map_bytes;
    assert_ok(store_open(desk->directory, &options, &desk->store));
}

/* What torg init does. */
static void desk_found(struct desk *desk)
{
    struct charter_signed charters[TOWN_CHARTERS_MAX];
    struct replica_write write = {.kind = REPLICA_WRITE_CHARTERS, .origin = desk->own.id};
    struct kv kv;

    write.charters = charters;
    write.charter_count = town_charters(&desk->own, 0, charters);
    assert_ok(store_write_begin(desk->store, &kv));
    assert_ok(replica_apply(&kv, &write, NULL));
    assert_ok(settings_own_set(&kv, &desk->own.id));
    assert_ok(store_write_commit(&kv));
}

static struct writer_options options_of(const struct desk *desk)
{
    return (struct writer_options){
        .store = desk->store,
        .themes = desk->themes,
        .directory = desk->directory,
        .has_own = true,
        .own = desk->own.id,
        .signer = desk->own.signer,
        .queue_max = 10000,
        .no_beats = true,
    };
}

static void writer_start(struct desk *desk)
{
    struct writer_options options = options_of(desk);

    assert_ok(writer_new(&options, &desk->writer));
}

static void desk_init(struct desk *desk, uint64_t map_bytes)
{
    *desk = (struct desk){.map_bytes = map_bytes};
    snprintf(desk->directory, sizeof(desk->directory), "/tmp/torg-test-writer.XXXXXX");
    assert_non_null(mkdtemp(desk->directory));
    town_init(&desk->own, 1);
    town_init(&desk->other, 2);
    assert_ok(theme_tree_builtin(&desk->themes));
    store_start(desk);
    desk_found(desk);
}

static void desk_start(struct desk *desk)
{
    store_start(desk);
    writer_start(desk);
}

/* Founded, and with a writer. */
static void desk_begin(struct desk *desk)
{
    desk_init(desk, 64 * MIB);
    writer_start(desk);
}

static void desk_stop(struct desk *desk)
{
    writer_free(desk->writer);
    desk->writer = NULL;
    store_close(desk->store);
    desk->store = NULL;
}

static void remove_file(const struct desk *desk, const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", desk->directory, name);
    unlink(path);
}

static void desk_done(struct desk *desk)
{
    desk_stop(desk);
    theme_tree_free(desk->themes);
    town_done(&desk->own);
    town_done(&desk->other);
    remove_file(desk, "torg.mdb");
    remove_file(desk, "torg.mdb-lock");
    remove_file(desk, "torg.lock");
    remove_file(desk, "torg.journal");
    remove_file(desk, GUARD_FILE);
    remove_file(desk, GUARD_KEPT);
    assert_int_equal(rmdir(desk->directory), 0);
}

static struct replica_origin own_origin(const struct desk *desk)
{
    struct replica_origin origin;
    struct kv kv;

    assert_ok(store_read_begin(desk->store, &kv));
    assert_ok(replica_origin_get(&kv, &desk->own.id, &origin));
    store_read_end(&kv);
    return origin;
}

static bool listing_is_live(const struct desk *desk, const struct listing_id *id)
{
    struct replica_origin origin = own_origin(desk);
    struct listing_key key = listing_key_of(id);
    struct span header, payload;
    enum torg_err err;
    struct kv kv;

    assert_ok(store_read_begin(desk->store, &kv));
    err = replica_listing_get(&kv, origin.number, COLLECTION_OFFERS, &key, &header, &payload);
    store_read_end(&kv);
    assert_true(err == TORG_OK || err == TORG_E_NOT_FOUND);
    return err == TORG_OK;
}

/* ---- changes ---- */

static struct listing_id id_of(uint64_t number)
{
    struct listing_id id;
    uint64_t random = number;

    put_u64be(id.bytes, test_random(&random));
    put_u64be(id.bytes + 8, number);
    return id;
}

/* A payload that is in the profile and no listing: replicated and not shown. */
static struct buffer payload_of(uint64_t number, size_t size)
{
    struct buffer body = {0}, payload = {0};
    uint8_t nonce[16] = {0};
    char *text = calloc(1, size + 1);

    memset(text, 'x', size);
    put_u64be(nonce, number);
    pack_map(&body, 1);
    pack_str(&body, span_of_str("text"));
    pack_str(&body, span_of(text, size));
    payload_pack(nonce, PAYLOAD_SCHEMA, buffer_span(&body), &payload);
    assert_ok(payload.err);
    buffer_done(&body);
    free(text);
    return payload;
}

/* ---- answers ---- */

struct answer {
    pthread_mutex_t mutex;
    pthread_cond_t came;
    unsigned count;
    struct writer_result result;
};

#define ANSWER_INIT                                                                                \
    {                                                                                              \
        .mutex = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER                       \
    }

static void on_done(void *context, const struct writer_result *result)
{
    struct answer *answer = context;

    pthread_mutex_lock(&answer->mutex);
    answer->count++;
    answer->result = *result;
    pthread_cond_broadcast(&answer->came);
    pthread_mutex_unlock(&answer->mutex);
}

static struct writer_result answer_wait(struct answer *answer, unsigned count)
{
    struct writer_result result;
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    pthread_mutex_lock(&answer->mutex);
    while (answer->count < count)
        if (pthread_cond_timedwait(&answer->came, &answer->mutex, &until) == ETIMEDOUT)
            fail_msg("no answer");
    result = answer->result;
    pthread_mutex_unlock(&answer->mutex);
    return result;
}

static struct writer_result put_size(struct desk *desk, uint64_t number, size_t size)
{
    struct answer answer = ANSWER_INIT;
    struct buffer payload = payload_of(number, size);
    struct local_change change = {
        .collection = COLLECTION_OFFERS, .id = id_of(number), .payload = buffer_span(&payload)};
    enum torg_err err = writer_submit_local(desk->writer, &change, 1, NULL, NULL, on_done, &answer);

    buffer_done(&payload);
    return err ? (struct writer_result){.err = err} : answer_wait(&answer, 1);
}

static struct writer_result put(struct desk *desk, uint64_t number)
{
    return put_size(desk, number, 10);
}

static struct writer_result del(struct desk *desk, uint64_t number)
{
    struct answer answer = ANSWER_INIT;
    struct local_change change = {.collection = COLLECTION_OFFERS, .id = id_of(number)};

    assert_ok(writer_submit_local(desk->writer, &change, 1, NULL, NULL, on_done, &answer));
    return answer_wait(&answer, 1);
}

/* ---- a gate: a run job that holds the writer, so that jobs gather behind it ---- */

struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    bool entered, open;
    struct answer answer;
};

static enum torg_err run_gate(void *context, struct kv *kv)
{
    struct gate *gate = context;

    (void)kv;
    pthread_mutex_lock(&gate->mutex);
    gate->entered = true;
    pthread_cond_broadcast(&gate->moved);
    while (!gate->open)
        pthread_cond_wait(&gate->moved, &gate->mutex);
    pthread_mutex_unlock(&gate->mutex);
    return TORG_OK;
}

static void gate_done(void *context, const struct writer_result *result)
{
    struct gate *gate = context;

    on_done(&gate->answer, result);
}

static void gate_close(struct desk *desk, struct gate *gate)
{
    *gate = (struct gate){.mutex = PTHREAD_MUTEX_INITIALIZER,
                          .moved = PTHREAD_COND_INITIALIZER,
                          .answer = ANSWER_INIT};
    assert_ok(writer_submit_run(desk->writer, run_gate, NULL, gate_done, gate));
    pthread_mutex_lock(&gate->mutex);
    while (!gate->entered)
        pthread_cond_wait(&gate->moved, &gate->mutex);
    pthread_mutex_unlock(&gate->mutex);
}

static void gate_open(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    gate->open = true;
    pthread_cond_broadcast(&gate->moved);
    pthread_mutex_unlock(&gate->mutex);
    answer_wait(&gate->answer, 1);
}

/* ---- tests ---- */

/* Errors that a test provokes are not for its reader. */
static void quiet(bool on)
{
    static int null = -1;

    if (null < 0)
        null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    log_set_descriptor(on ? null : STDERR_FILENO);
}

static void test_a_write_is_signed_durable_and_guarded(void **state)
{
    struct desk desk;
    struct writer_result result;
    struct replica_origin origin;
    struct guard guard;
    struct listing_id id = id_of(7);
    uint64_t epoch, hno;

    (void)state;
    desk_begin(&desk);
    assert_int_equal(writer_state(desk.writer), WRITER_READY);
    assert_false(writer_own_head(desk.writer, &epoch, &hno));
    result = put(&desk, 7);
    assert_ok(result.err);
    assert_int_equal(result.hno, 1);
    assert_int_equal(result.seq, 1);
    result = put(&desk, 8);
    assert_int_equal(result.hno, 2);
    assert_true(writer_own_head(desk.writer, &epoch, &hno));
    assert_int_equal(hno, 2);
    origin = own_origin(&desk);
    assert_int_equal(origin.head.hno, 2);
    assert_true(listing_is_live(&desk, &id));
    writer_free(desk.writer);
    desk.writer = NULL;
    assert_ok(guard_open(desk.directory, &desk.own.id, &guard));
    assert_true(guard.has_mark);
    assert_int_equal(guard.mark.hno, 2);
    assert_memory_equal(&guard.mark.head_hash, &origin.head_hash, sizeof(struct hash));
    guard_done(&guard);
    desk_done(&desk);
}

/* One commit for each would make a hundred clients wait for a hundred syncs. */
static void test_what_waits_becomes_one_commit(void **state)
{
    struct desk desk;
    struct gate gate;
    struct answer answer = ANSWER_INIT;
    struct writer_counters before, after;

    (void)state;
    desk_begin(&desk);
    gate_close(&desk, &gate);
    writer_counters(desk.writer, &before);
    for (uint64_t i = 0; i < 100; i++) {
        struct buffer payload = payload_of(i, 10);
        struct local_change change = {
            .collection = COLLECTION_OFFERS, .id = id_of(i), .payload = buffer_span(&payload)};

        assert_ok(writer_submit_local(desk.writer, &change, 1, NULL, NULL, on_done, &answer));
        buffer_done(&payload);
    }
    writer_counters(desk.writer, &after);
    assert_int_equal(after.queue, 100);
    gate_open(&gate);
    answer_wait(&answer, 100);
    writer_counters(desk.writer, &after);
    assert_int_equal(after.own_commits - before.own_commits, 1);
    assert_int_equal(after.own_changes - before.own_changes, 100);
    assert_int_equal(own_origin(&desk).head.hno, 1);
    assert_int_equal(own_origin(&desk).head.seq, 100);
    desk_done(&desk);
}

/* A commit holds each listing once: the second write of one must not get lost, nor come first. */
static void test_two_writes_of_one_listing_are_two_commits(void **state)
{
    struct desk desk;
    struct gate gate;
    struct answer answers[3] = {ANSWER_INIT, ANSWER_INIT, ANSWER_INIT};
    struct listing_id id = id_of(5);
    struct writer_result first, second, third;

    (void)state;
    desk_begin(&desk);
    gate_close(&desk, &gate);
    for (int i = 0; i < 3; i++) {
        struct buffer payload = payload_of((uint64_t)i, 10);
        struct local_change change = {.collection = COLLECTION_OFFERS, .id = id};

        if (i != 1) /* put, delete, put */
            change.payload = buffer_span(&payload);
        assert_ok(writer_submit_local(desk.writer, &change, 1, NULL, NULL, on_done, &answers[i]));
        buffer_done(&payload);
    }
    gate_open(&gate);
    first = answer_wait(&answers[0], 1);
    second = answer_wait(&answers[1], 1);
    third = answer_wait(&answers[2], 1);
    assert_int_equal(first.hno, 1);
    assert_int_equal(second.hno, 2);
    assert_int_equal(third.hno, 3);
    assert_true(listing_is_live(&desk, &id));
    desk_done(&desk);
}

static void test_a_large_crowd_is_split_at_the_commit_limit(void **state)
{
    struct desk desk;
    struct gate gate;
    struct answer answer = ANSWER_INIT;
    struct local_change *changes = calloc(COMMIT_CHANGES_MAX + 1, sizeof(*changes));
    struct buffer payload = payload_of(1, 10);

    (void)state;
    desk_init(&desk, 256 * MIB);
    writer_start(&desk);
    for (uint64_t i = 0; i < COMMIT_CHANGES_MAX + 1; i++)
        changes[i] = (struct local_change){
            .collection = COLLECTION_OFFERS, .id = id_of(i), .payload = buffer_span(&payload)};
    assert_err(writer_submit_local(desk.writer, changes, COMMIT_CHANGES_MAX + 1, NULL, NULL,
                                   on_done, &answer),
               TORG_E_INVALID);
    gate_close(&desk, &gate);
    for (size_t i = 0; i < 3; i++)
        assert_ok(
            writer_submit_local(desk.writer, changes + i * 300, 300, NULL, NULL, on_done, &answer));
    assert_ok(writer_submit_local(desk.writer, changes, 200, NULL, NULL, on_done, &answer));
    gate_open(&gate);
    answer_wait(&answer, 4);
    assert_int_equal(own_origin(&desk).head.hno, 2);
    assert_int_equal(own_origin(&desk).head.seq, 1100);
    /* Two changes of one listing in one job: neither is the newest. */
    changes[1] = changes[0];
    assert_err(writer_submit_local(desk.writer, changes, 2, NULL, NULL, on_done, &answer),
               TORG_E_INVALID);
    buffer_done(&payload);
    free(changes);
    desk_done(&desk);
}

static enum torg_err prepare_refuse(void *context, const struct kv *kv)
{
    (void)context;
    (void)kv;
    return TORG_E_STALE;
}

static enum torg_err run_refuse(void *context, struct kv *kv)
{
    (void)context;
    (void)kv;
    return TORG_E_KNOWN;
}

/* One client's wrong condition or bad change must not cost its neighbours their writes. */
static void test_a_refused_job_harms_no_other(void **state)
{
    struct desk desk;
    struct gate gate;
    struct answer answers[4] = {ANSWER_INIT, ANSWER_INIT, ANSWER_INIT, ANSWER_INIT};
    struct answer run = ANSWER_INIT;
    struct listing_id ids[4];

    (void)state;
    desk_begin(&desk);
    gate_close(&desk, &gate);
    for (uint64_t i = 0; i < 4; i++) {
        struct buffer payload = payload_of(i, 10);
        struct local_change change = {
            .collection = COLLECTION_OFFERS, .id = id_of(i), .payload = buffer_span(&payload)};

        ids[i] = change.id;
        if (i == 2)
            change.collection = 31; /* the charter does not name it */
        assert_ok(writer_submit_local(desk.writer, &change, 1, i == 1 ? prepare_refuse : NULL, NULL,
                                      on_done, &answers[i]));
        buffer_done(&payload);
    }
    assert_ok(writer_submit_run(desk.writer, run_refuse, NULL, on_done, &run));
    gate_open(&gate);
    assert_ok(answer_wait(&answers[0], 1).err);
    assert_err(answer_wait(&answers[1], 1).err, TORG_E_STALE);
    assert_err(answer_wait(&answers[2], 1).err, TORG_E_INVALID);
    assert_ok(answer_wait(&answers[3], 1).err);
    assert_err(answer_wait(&run, 1).err, TORG_E_KNOWN);
    assert_true(listing_is_live(&desk, &ids[0]));
    assert_false(listing_is_live(&desk, &ids[1]));
    assert_false(listing_is_live(&desk, &ids[2]));
    assert_true(listing_is_live(&desk, &ids[3]));
    desk_done(&desk);
}

static void test_a_full_queue_says_busy(void **state)
{
    struct desk desk;
    struct gate gate;
    struct answer answer = ANSWER_INIT;
    struct writer_options options;
    struct local_change change = {.collection = COLLECTION_OFFERS, .id = id_of(1)};

    (void)state;
    desk_init(&desk, 64 * MIB);
    options = options_of(&desk);
    options.queue_max = 2;
    assert_ok(writer_new(&options, &desk.writer));
    gate_close(&desk, &gate);
    assert_ok(writer_submit_local(desk.writer, &change, 1, NULL, NULL, on_done, &answer));
    assert_ok(writer_submit_local(desk.writer, &change, 1, NULL, NULL, on_done, &answer));
    assert_err(writer_submit_local(desk.writer, &change, 1, NULL, NULL, on_done, &answer),
               TORG_E_BUSY);
    gate_open(&gate);
    answer_wait(&answer, 2);
    desk_done(&desk);
}

/* Full is not the end: what was acknowledged stays, reads go on, deletes make room. */
static void test_a_full_map_refuses_writes_but_not_deletes(void **state)
{
    struct desk desk;
    struct writer_result result;
    struct listing_id id;
    uint64_t count = 0;

    (void)state;
    desk_init(&desk, 4 * MIB);
    writer_start(&desk);
    while (count < 1000) {
        result = put_size(&desk, count, 30000);
        if (result.err)
            break;
        count++;
    }
    assert_err(result.err, TORG_E_FULL);
    assert_true(count > 10);
    assert_int_equal(writer_state(desk.writer), WRITER_FULL);
    for (uint64_t i = 0; i < count; i++) {
        id = id_of(i);
        assert_true(listing_is_live(&desk, &id));
    }
    assert_int_equal(own_origin(&desk).head.seq, count);
    for (uint64_t i = 0; i < count; i += 2)
        assert_ok(del(&desk, i).err);
    assert_ok(put(&desk, 5000).err);
    assert_int_equal(writer_state(desk.writer), WRITER_READY);
    desk_done(&desk);
}

/* A commit that may or may not be on disk: nothing is signed on top of a guess. */
static void test_a_failed_sync_stops_writing_until_a_restart(void **state)
{
    struct desk desk;
    struct listing_id id = id_of(1);
    struct answer answer = ANSWER_INIT;

    (void)state;
    desk_begin(&desk);
    quiet(true);
    assert_ok(put(&desk, 1).err);
    disk_sync_errno = EIO;
    assert_err(put(&desk, 2).err, TORG_E_IO);
    disk_sync_errno = 0;
    assert_int_equal(writer_state(desk.writer), WRITER_FAILED);
    assert_non_null(strstr(writer_state_reason(desk.writer), "start torgd again"));
    assert_err(put(&desk, 3).err, TORG_E_IO);
    assert_err(writer_submit_run(desk.writer, run_refuse, NULL, on_done, &answer), TORG_E_IO);
    assert_true(listing_is_live(&desk, &id));
    desk_stop(&desk);
    desk_start(&desk);
    assert_int_equal(writer_state(desk.writer), WRITER_READY);
    assert_ok(put(&desk, 3).err);
    quiet(false);
    desk_done(&desk);
}

static enum torg_err run_no_memory(void *context, struct kv *kv)
{
    (void)context;
    (void)kv;
    return TORG_E_NOMEM;
}

/*
 * A group that cannot be committed as a whole is tried job by job. If the guard
 * fails for one of them, the next must not sign on: the database would be two
 * ahead of its guard, and a start would take it for a copy.
 */
static void test_a_failed_guard_stops_the_rest_of_its_group(void **state)
{
    struct desk desk;
    struct gate gate;
    struct answer answers[2] = {ANSWER_INIT, ANSWER_INIT}, run = ANSWER_INIT;

    (void)state;
    desk_begin(&desk);
    quiet(true);
    assert_ok(put(&desk, 1).err);
    gate_close(&desk, &gate);
    for (uint64_t i = 0; i < 2; i++) {
        struct buffer payload = payload_of(i + 2, 10);
        struct local_change change = {
            .collection = COLLECTION_OFFERS, .id = id_of(i + 2), .payload = buffer_span(&payload)};

        assert_ok(writer_submit_local(desk.writer, &change, 1, NULL, NULL, on_done, &answers[i]));
        buffer_done(&payload);
    }
    assert_ok(writer_submit_run(desk.writer, run_no_memory, NULL, on_done, &run));
    guard_sync_errno = EIO;
    gate_open(&gate);
    assert_err(answer_wait(&answers[0], 1).err, TORG_E_IO);
    assert_err(answer_wait(&answers[1], 1).err, TORG_E_IO);
    assert_err(answer_wait(&run, 1).err, TORG_E_IO);
    guard_sync_errno = 0;
    assert_int_equal(own_origin(&desk).head.hno, 2);
    desk_stop(&desk);
    desk_start(&desk);
    assert_int_equal(writer_state(desk.writer), WRITER_READY);
    quiet(false);
    desk_done(&desk);
}

/* ---- the guard and the database at start ---- */

static void copy_file(const struct desk *desk, const char *from, const char *to)
{
    char command[400];

    snprintf(command, sizeof(command), "cp %s/%s %s/%s", desk->directory, from, desk->directory,
             to);
    assert_int_equal(system(command), 0);
}

static void guard_keep(const struct desk *desk)
{
    copy_file(desk, GUARD_FILE, GUARD_KEPT);
}

/* As if the crash had come before the guard file was written, or an old one had been put back. */
static void restart_with_kept_guard(struct desk *desk, enum writer_state state)
{
    desk_stop(desk);
    copy_file(desk, GUARD_KEPT, GUARD_FILE);
    desk_start(desk);
    assert_int_equal(writer_state(desk->writer), state);
}

static void test_one_ahead_of_the_guard_is_normal(void **state)
{
    struct desk desk;

    (void)state;
    desk_begin(&desk);
    assert_ok(put(&desk, 1).err);
    guard_keep(&desk);
    assert_ok(put(&desk, 2).err);
    restart_with_kept_guard(&desk, WRITER_READY);
    assert_int_equal(put(&desk, 3).hno, 3);
    desk_done(&desk);
}

/* More than one ahead, and the two are not of one day: nobody knows what else is missing. */
static void test_far_ahead_of_the_guard_is_in_doubt(void **state)
{
    struct desk desk;

    (void)state;
    desk_begin(&desk);
    assert_ok(put(&desk, 1).err);
    guard_keep(&desk);
    assert_ok(put(&desk, 2).err);
    assert_ok(put(&desk, 3).err);
    restart_with_kept_guard(&desk, WRITER_RECOVERING);
    assert_true(writer_wants_own(desk.writer));
    desk_done(&desk);
}

/* The first commit is no exception: there was a mark before it. */
static void test_a_crash_before_the_first_guard_is_normal(void **state)
{
    struct desk desk;

    (void)state;
    desk_begin(&desk);
    assert_int_equal(writer_state(desk.writer), WRITER_READY);
    guard_keep(&desk);
    assert_ok(put(&desk, 1).err);
    restart_with_kept_guard(&desk, WRITER_READY);
    assert_int_equal(put(&desk, 2).hno, 2);
    /* But two heads after that mark are a restored guard. */
    restart_with_kept_guard(&desk, WRITER_RECOVERING);
    desk_done(&desk);
}

/* The charter of the next epoch, into a store that no writer has open. */
static void new_epoch(struct desk *desk)
{
    struct charter_signed charters[TOWN_CHARTERS_MAX];
    struct replica_write write = {.kind = REPLICA_WRITE_CHARTERS, .origin = desk->own.id};
    struct kv kv;

    town_rotate(&desk->own, true);
    write.charters = charters;
    write.charter_count = town_charters(&desk->own, desk->own.charter_count - 1, charters);
    assert_ok(store_write_begin(desk->store, &kv));
    assert_ok(replica_apply(&kv, &write, NULL));
    assert_ok(store_write_commit(&kv));
}

/* Nor is the first commit of a new epoch, whose prev is a charter and not the guard's head. */
static void test_a_crash_before_the_guard_of_a_new_epoch_is_normal(void **state)
{
    struct desk desk;

    (void)state;
    desk_begin(&desk);
    assert_ok(put(&desk, 1).err);
    assert_ok(put(&desk, 2).err);
    desk_stop(&desk);
    guard_keep(&desk);
    store_start(&desk);
    new_epoch(&desk);
    writer_start(&desk);
    assert_int_equal(writer_state(desk.writer), WRITER_READY);
    assert_int_equal(put(&desk, 3).hno, 1);
    restart_with_kept_guard(&desk, WRITER_READY);
    assert_int_equal(put(&desk, 4).hno, 2);
    /* But a second head of the new epoch, or one more of the old, is a restored guard. */
    restart_with_kept_guard(&desk, WRITER_RECOVERING);
    desk_done(&desk);
}

static void test_a_guard_from_before_the_last_head_of_an_epoch_is_in_doubt(void **state)
{
    struct desk desk;

    (void)state;
    desk_begin(&desk);
    assert_ok(put(&desk, 1).err);
    guard_keep(&desk);
    assert_ok(put(&desk, 2).err);
    desk_stop(&desk);
    store_start(&desk);
    new_epoch(&desk);
    writer_start(&desk);
    assert_int_equal(put(&desk, 3).hno, 1);
    restart_with_kept_guard(&desk, WRITER_RECOVERING);
    desk_done(&desk);
}

/*
 * Recovered from its peers a database may lack an older head that the next one
 * must name. To take writes and refuse each with an error would help nobody.
 */
static void test_a_missing_ancestor_holds_writes_back(void **state)
{
    struct desk desk;
    struct town_write whole;
    struct replica_write ancestry = {.kind = REPLICA_WRITE_ANCESTRY};
    struct replica_origin origin;
    struct span heads[13];
    struct guard guard;
    struct kv kv, from;

    (void)state;
    desk_init(&desk, 64 * MIB);
    for (unsigned i = 0; i < 13; i++)
        assert_ok(town_commit(&desk.own, NULL, 0)); /* what was lost */
    assert_ok(kv_mem_read_begin(desk.own.mem, &from));
    town_delta(&desk.own, &from, 0, COLLECTION_MASK_ALL, &whole);
    assert_ok(store_write_begin(desk.store, &kv));
    assert_ok(replica_apply(&kv, &whole.write, NULL));
    assert_ok(replica_origin_get(&kv, &desk.own.id, &origin));
    assert_ok(store_write_commit(&kv));
    assert_ok(guard_open(desk.directory, &desk.own.id, &guard));
    assert_ok(guard_write(
        &guard, &(struct guard_mark){
                    .origin = desk.own.id, .epoch = 1, .hno = 13, .head_hash = origin.head_hash}));
    guard_done(&guard);
    writer_start(&desk);
    assert_int_equal(writer_state(desk.writer), WRITER_RECOVERING);
    assert_true(writer_wants_own(desk.writer));
    assert_int_equal(put(&desk, 1).err, TORG_E_RECOVERING);
    desk_stop(&desk);

    for (uint64_t hno = 12; hno > 0; hno--) {
        struct span head;

        assert_ok(replica_head_get(&from, origin.number, 1, hno, &head));
        heads[ancestry.ancestry_count++] = frame_head(head).bytes;
    }
    store_start(&desk);
    ancestry.origin = desk.own.id;
    ancestry.ancestry = heads;
    assert_ok(store_write_begin(desk.store, &kv));
    assert_ok(replica_apply(&kv, &ancestry, NULL));
    assert_ok(store_write_commit(&kv));
    writer_start(&desk);
    assert_int_equal(writer_state(desk.writer), WRITER_READY);
    assert_int_equal(put(&desk, 1).hno, 14);
    kv_mem_read_end(&from);
    town_write_done(&whole);
    desk_done(&desk);
}

/* A restored old database would sign numbers again that the world has seen. */
static void test_a_database_behind_its_guard_takes_no_writes(void **state)
{
    struct desk desk;
    struct guard guard;
    struct guard_mark mark;

    (void)state;
    desk_begin(&desk);
    assert_ok(put(&desk, 1).err);
    desk_stop(&desk);
    copy_file(&desk, "torg.mdb", "old");
    desk_start(&desk);
    assert_ok(put(&desk, 2).err);
    assert_ok(put(&desk, 3).err);
    desk_stop(&desk);
    assert_ok(guard_open(desk.directory, &desk.own.id, &guard));
    mark = guard.mark;
    guard_done(&guard);
    copy_file(&desk, "torg.mdb", "new");
    copy_file(&desk, "old", "torg.mdb");
    remove_file(&desk, "torg.mdb-lock");
    desk_start(&desk);
    assert_int_equal(writer_state(desk.writer), WRITER_RECOVERING);
    assert_true(writer_wants_own(desk.writer));
    assert_err(put(&desk, 4).err, TORG_E_RECOVERING);
    /* A peer that knows less does not end it. */
    writer_told(desk.writer, true, true, mark.epoch, 1);
    usleep(50000);
    assert_int_equal(writer_state(desk.writer), WRITER_RECOVERING);
    desk_stop(&desk);
    assert_ok(guard_open(desk.directory, &desk.own.id, &guard)); /* what it names stands */
    assert_int_equal(guard.mark.hno, 3);
    guard_done(&guard);
    remove_file(&desk, "old");
    remove_file(&desk, "new");
    desk_done(&desk);
}

static void wait_state(const struct desk *desk, enum writer_state state)
{
    for (int i = 0; i < WAIT_S * 100 && writer_state(desk->writer) != state; i++)
        usleep(10000);
    assert_string_equal(writer_state_name(writer_state(desk->writer)), writer_state_name(state));
}

static void test_a_lost_guard_needs_a_peer_or_the_operator(void **state)
{
    struct desk desk;
    struct writer_options options;

    (void)state;
    desk_begin(&desk);
    assert_ok(put(&desk, 1).err);
    assert_ok(put(&desk, 2).err);
    desk_stop(&desk);
    remove_file(&desk, GUARD_FILE);
    desk_start(&desk);
    assert_int_equal(writer_state(desk.writer), WRITER_RECOVERING);
    assert_non_null(strstr(writer_state_reason(desk.writer), "--confirm-guard"));
    /* A peer that holds nothing of this origin cannot know. */
    writer_told(desk.writer, true, true, 0, 0);
    usleep(50000);
    assert_int_equal(writer_state(desk.writer), WRITER_RECOVERING);
    /* One that has what we have can. */
    writer_told(desk.writer, true, true, 1, 2);
    wait_state(&desk, WRITER_READY);
    assert_int_equal(put(&desk, 3).hno, 3);
    desk_stop(&desk);
    /* Nobody there: the operator says so. */
    remove_file(&desk, GUARD_FILE);
    store_start(&desk);
    options = options_of(&desk);
    options.confirm_guard = true;
    assert_ok(writer_new(&options, &desk.writer));
    assert_int_equal(writer_state(desk.writer), WRITER_READY);
    assert_int_equal(put(&desk, 4).hno, 4);
    desk_stop(&desk);
    store_start(&desk);
    writer_start(&desk); /* and only once */
    assert_int_equal(writer_state(desk.writer), WRITER_READY);
    desk_done(&desk);
}

static void test_asking_holds_writes_back(void **state)
{
    struct desk desk;
    struct writer_options options;

    (void)state;
    desk_init(&desk, 64 * MIB);
    options = options_of(&desk);
    options.ask = true;
    assert_ok(writer_new(&options, &desk.writer));
    assert_int_equal(writer_state(desk.writer), WRITER_RECOVERING);
    assert_false(writer_wants_own(desk.writer));
    assert_err(put(&desk, 1).err, TORG_E_RECOVERING);
    writer_told(desk.writer, false, true, 0, 0);
    assert_int_equal(writer_state(desk.writer), WRITER_RECOVERING);
    writer_told(desk.writer, true, true, 0, 0);
    assert_int_equal(writer_state(desk.writer), WRITER_READY);
    assert_ok(put(&desk, 1).err);
    desk_done(&desk);
}

static void test_a_foreign_own_head_stops_writing(void **state)
{
    struct desk desk;

    (void)state;
    desk_begin(&desk);
    quiet(true);
    assert_ok(put(&desk, 1).err);
    writer_ahead(desk.writer, 1, 5);
    assert_int_equal(writer_state(desk.writer), WRITER_RECOVERING);
    assert_true(writer_wants_own(desk.writer));
    assert_err(put(&desk, 2).err, TORG_E_RECOVERING);
    /* One with a number that we have signed ourselves. */
    writer_ahead(desk.writer, 1, 1);
    assert_int_equal(writer_state(desk.writer), WRITER_FORKED);
    assert_false(writer_wants_own(desk.writer));
    assert_err(put(&desk, 2).err, TORG_E_RECOVERING);
    quiet(false);
    desk_done(&desk);
}

/* ---- peers' writes ---- */

/* As sync hands them over: everything that it borrows goes with it. */
static struct sync_store *store_of(struct town_write *from)
{
    struct sync_store *store = calloc(1, sizeof(*store));

    assert_non_null(store);
    store->write = from->write;
    store->bytes[0] = from->bytes;
    store->entries = from->entries;
    store->removed = from->removed;
    if (from->write.charter_count) {
        store->charters = calloc(from->write.charter_count, sizeof(*store->charters));
        assert_non_null(store->charters);
        memcpy(store->charters, from->charters,
               from->write.charter_count * sizeof(*store->charters));
        store->write.charters = store->charters;
    }
    *from = (struct town_write){0};
    return store;
}

static void other_commits(struct desk *desk, uint64_t first, size_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct buffer payload = payload_of(first + i, 10);
        struct local_change change = {.collection = COLLECTION_OFFERS,
                                      .id = id_of(first + i),
                                      .payload = buffer_span(&payload)};

        assert_ok(town_commit(&desk->other, &change, 1));
        buffer_done(&payload);
    }
}

static struct sync_store *other_charters(struct desk *desk)
{
    struct town_write write;

    town_charters_write(&desk->other, &write);
    return store_of(&write);
}

static struct sync_store *other_delta(struct desk *desk)
{
    struct town_write write;
    struct kv kv;

    assert_ok(kv_mem_read_begin(desk->other.mem, &kv));
    town_delta(&desk->other, &kv, 0, COLLECTION_MASK_ALL, &write);
    kv_mem_read_end(&kv);
    return store_of(&write);
}

/* Two origins move in one transaction; a peer's wrong batch stops neither. */
static void test_peers_writes_share_the_transaction(void **state)
{
    struct desk desk;
    struct gate gate;
    struct answer answers[4] = {ANSWER_INIT, ANSWER_INIT, ANSWER_INIT, ANSWER_INIT};
    struct writer_counters before, after;
    struct local_change change = {.collection = COLLECTION_OFFERS, .id = id_of(1)};
    struct buffer payload = payload_of(1, 10);
    struct sync_store *wrong;
    struct replica_origin origin;
    struct kv kv;

    (void)state;
    desk_begin(&desk);
    change.payload = buffer_span(&payload);
    other_commits(&desk, 100, 5);
    gate_close(&desk, &gate);
    writer_counters(desk.writer, &before);
    wrong = other_delta(&desk);
    wrong->write.entry_count--; /* the roots cannot come out */
    assert_ok(writer_submit_store(desk.writer, other_charters(&desk), NULL, on_done, &answers[0]));
    assert_ok(writer_submit_store(desk.writer, wrong, NULL, on_done, &answers[1]));
    assert_ok(writer_submit_local(desk.writer, &change, 1, NULL, NULL, on_done, &answers[2]));
    assert_ok(writer_submit_store(desk.writer, other_delta(&desk), NULL, on_done, &answers[3]));
    gate_open(&gate);
    assert_ok(answer_wait(&answers[0], 1).err);
    assert_err(answer_wait(&answers[1], 1).err, TORG_E_MISMATCH);
    assert_ok(answer_wait(&answers[2], 1).err);
    assert_ok(answer_wait(&answers[3], 1).err);
    writer_counters(desk.writer, &after);
    assert_int_equal(after.commits - before.commits, 2); /* the gate's, and this one */
    assert_int_equal(after.jobs_refused - before.jobs_refused, 1);
    assert_ok(store_read_begin(desk.store, &kv));
    assert_ok(replica_origin_get(&kv, &desk.other.id, &origin));
    store_read_end(&kv);
    assert_int_equal(origin.head.hno, 5);
    assert_int_equal(origin.held[COLLECTION_OFFERS].count, 5);
    assert_int_equal(own_origin(&desk).head.hno, 1);
    buffer_done(&payload);
    desk_done(&desk);
}

/* Who looks out for a write must not miss it, whenever it comes, nor wait for one for ever. */
static void test_an_expected_write_comes_or_not(void **state)
{
    struct desk desk;
    struct answer answer = ANSWER_INIT;
    struct local_change change = {.collection = COLLECTION_OFFERS, .id = id_of(1)};

    (void)state;
    desk_begin(&desk);
    for (unsigned i = 1; i <= 200; i++) {
        writer_expect(desk.writer);
        if (i % 3)
            continue;
        assert_ok(writer_submit_local(desk.writer, &change, 1, NULL, NULL, on_done, &answer));
        assert_ok(answer_wait(&answer, i / 3).err);
    }
    writer_expect(desk.writer);
    desk_done(&desk);
}

/* Many keys to be removed, in place of all that a write has. */
static void remove_only(struct sync_store *store, size_t count)
{
    store->write.kind = REPLICA_WRITE_PART;
    store->write.entry_count = 0;
    store->removed = calloc(count, sizeof(*store->removed));
    assert_non_null(store->removed);
    store->write.removed = store->removed;
    store->write.removed_count = count;
}

/* ---- crowds of peers' writes ---- */

#define CROWD_COMMIT_BYTES (8 * MIB) /* 1 MiB of what is new, 256 KiB of what replaces */
#define CROWD_MAX 16

/* In which order jobs were answered: 'S' of a peer, 'L' of this node. */
struct order {
    pthread_mutex_t mutex;
    char kinds[CROWD_MAX + 1];
    size_t count;
    struct answer all;
};

#define ORDER_INIT                                                                                 \
    {                                                                                              \
        .mutex = PTHREAD_MUTEX_INITIALIZER, .all = ANSWER_INIT                                     \
    }

static void order_note(struct order *order, char kind, const struct writer_result *result)
{
    pthread_mutex_lock(&order->mutex);
    order->kinds[order->count++] = kind;
    pthread_mutex_unlock(&order->mutex);
    on_done(&order->all, result);
}

static void on_store(void *context, const struct writer_result *result)
{
    order_note(context, 'S', result);
}

static void on_local(void *context, const struct writer_result *result)
{
    order_note(context, 'L', result);
}

static void crowd_begin(struct desk *desk, size_t commit_bytes)
{
    struct answer answer = ANSWER_INIT;
    struct writer_options options;

    desk_init(desk, 256 * MIB);
    options = options_of(desk);
    options.commit_bytes = commit_bytes;
    assert_ok(writer_new(&options, &desk->writer));
    assert_ok(writer_submit_store(desk->writer, other_charters(desk), NULL, on_done, &answer));
    assert_ok(answer_wait(&answer, 1).err);
}

/* The next commit of the other origin, of 100,000 bytes, as it would come from a peer. */
static struct sync_store *other_step(struct desk *desk, uint64_t turn)
{
    struct local_change changes[4];
    struct buffer payloads[4];
    struct town_write write;
    struct kv kv;

    for (uint64_t i = 0; i < 4; i++) {
        payloads[i] = payload_of(100 + 4 * turn + i, 25000);
        changes[i] = (struct local_change){.collection = COLLECTION_OFFERS,
                                           .id = id_of(100 + 4 * turn + i),
                                           .payload = buffer_span(&payloads[i])};
    }
    assert_ok(town_commit(&desk->other, changes, 4));
    for (size_t i = 0; i < 4; i++)
        buffer_done(&payloads[i]);
    assert_ok(kv_mem_read_begin(desk->other.mem, &kv));
    town_delta(&desk->other, &kv, 4 * turn, COLLECTION_MASK_ALL, &write);
    kv_mem_read_end(&kv);
    return store_of(&write);
}

static void submit_put(struct desk *desk, uint64_t number, struct order *order)
{
    struct buffer payload = payload_of(number, 10);
    struct local_change change = {
        .collection = COLLECTION_OFFERS, .id = id_of(number), .payload = buffer_span(&payload)};

    assert_ok(writer_submit_local(desk->writer, &change, 1, NULL, NULL, on_local, order));
    buffer_done(&payload);
}

/* How many commits become of twelve large writes that wait. */
static uint64_t commits_of(size_t commit_bytes, bool replaces)
{
    struct order order = ORDER_INIT;
    struct writer_counters before, after;
    struct desk desk;
    struct gate gate;

    crowd_begin(&desk, commit_bytes);
    gate_close(&desk, &gate);
    writer_counters(desk.writer, &before);
    for (uint64_t turn = 0; turn < 12; turn++) {
        struct sync_store *store = other_step(&desk, turn);

        store->replaces = replaces;
        assert_ok(writer_submit_store(desk.writer, store, NULL, on_store, &order));
    }
    gate_open(&gate);
    assert_ok(answer_wait(&order.all, 12).err);
    writer_counters(desk.writer, &after);
    desk_done(&desk);
    return after.commits - before.commits - 1; /* the gate's */
}

/*
 * Too much in one, and its pages need memory that the operator has not given; too little, and most
 * pages of words are written anew with each.
 */
static void test_commits_are_as_large_as_their_memory(void **state)
{
    (void)state;
    assert_int_equal(commits_of(CROWD_COMMIT_BYTES, false), 2);
    assert_int_equal(commits_of(CROWD_COMMIT_BYTES, true), 6);
    assert_int_equal(commits_of(2 * CROWD_COMMIT_BYTES, false), 1);
    assert_int_equal(commits_of(2 * CROWD_COMMIT_BYTES, true), 3);
}

/*
 * Whoever publishes here would wait for seconds behind a node that catches up, and it would never
 * catch up behind an import that always has more. Both local writes are of one listing, so that
 * the second waits while peers' writes have their turn: it ends when three have been done.
 */
static void test_a_crowd_of_peers_writes_lets_local_ones_in(void **state)
{
    struct order order = ORDER_INIT;
    struct desk desk;
    struct gate gate;

    (void)state;
    crowd_begin(&desk, CROWD_COMMIT_BYTES);
    gate_close(&desk, &gate);
    for (uint64_t turn = 0; turn < 5; turn++)
        assert_ok(
            writer_submit_store(desk.writer, other_step(&desk, turn), NULL, on_store, &order));
    submit_put(&desk, 1, &order);
    submit_put(&desk, 1, &order);
    gate_open(&gate);
    assert_ok(answer_wait(&order.all, 7).err);
    assert_string_equal(order.kinds, "LSSSLSS");
    assert_int_equal(own_origin(&desk).head.hno, 2);
    desk_done(&desk);
}

/* Of removals, which have no payload, a hundred parts would go before who waits for an answer. */
static void test_many_removals_are_a_crowd(void **state)
{
    static const struct {
        size_t removed;
        const char *order;
    } cases[] = {{1, "SSL"}, {40000, "LSS"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct order order = ORDER_INIT;
        struct desk desk;
        struct gate gate;

        crowd_begin(&desk, CROWD_COMMIT_BYTES);
        other_commits(&desk, 100, 1);
        gate_close(&desk, &gate);
        for (int turn = 0; turn < 2; turn++) {
            struct sync_store *store = other_delta(&desk); /* its roots cannot come out: refused */

            remove_only(store, cases[i].removed);
            assert_ok(writer_submit_store(desk.writer, store, NULL, on_store, &order));
        }
        submit_put(&desk, 1, &order);
        gate_open(&gate);
        answer_wait(&order.all, 3);
        assert_string_equal(order.kinds, cases[i].order);
        desk_done(&desk);
    }
}

/* While no own write is taken, the others' listings still come in. */
static void test_peers_writes_go_on_while_recovering(void **state)
{
    struct desk desk;
    struct answer answer = ANSWER_INIT;

    (void)state;
    desk_begin(&desk);
    other_commits(&desk, 100, 1);
    quiet(true);
    writer_ahead(desk.writer, 1, 9);
    assert_err(put(&desk, 1).err, TORG_E_RECOVERING);
    assert_ok(writer_submit_store(desk.writer, other_charters(&desk), NULL, on_done, &answer));
    assert_ok(answer_wait(&answer, 1).err);
    assert_ok(writer_submit_store(desk.writer, other_delta(&desk), NULL, on_done, &answer));
    assert_ok(answer_wait(&answer, 2).err);
    quiet(false);
    desk_done(&desk);
}

/* Where nothing fits any more a charter still takes keys back; but nobody new comes in. */
static void test_a_full_map_takes_charters_of_who_is_known(void **state)
{
    struct answer answer = ANSWER_INIT;
    struct sync_store *next;
    struct town stranger;
    struct town_write write;
    uint64_t count = 0;
    struct desk desk;

    (void)state;
    desk_init(&desk, 4 * MIB);
    writer_start(&desk);
    town_init(&stranger, 99);
    assert_ok(writer_submit_store(desk.writer, other_charters(&desk), NULL, on_done, &answer));
    assert_ok(answer_wait(&answer, 1).err);
    for (size_t size = 30000; size > 10; size /= 10) {
        while (count < 2000 && !put_size(&desk, count, size).err)
            count++;
    }
    assert_int_equal(writer_state(desk.writer), WRITER_FULL);
    town_rotate(&desk.other, false);
    next = other_charters(&desk);
    next->write.charters++; /* after the one that is held */
    next->write.charter_count--;
    assert_ok(writer_submit_store(desk.writer, next, NULL, on_done, &answer));
    assert_ok(answer_wait(&answer, 2).err);
    town_charters_write(&stranger, &write);
    assert_ok(writer_submit_store(desk.writer, store_of(&write), NULL, on_done, &answer));
    assert_err(answer_wait(&answer, 3).err, TORG_E_FULL);
    town_done(&stranger);
    desk_done(&desk);
}

/* ---- beats and publishing ---- */

struct heard {
    struct loop *loop;
    _Atomic unsigned published;
};

static void on_published(void *context)
{
    struct heard *heard = context;

    heard->published++;
    loop_stop(heard->loop);
}

static void test_a_start_beats_and_a_commit_is_published(void **state)
{
    struct desk desk;
    struct heard heard = {0};
    struct writer_options options;
    struct replica_origin origin;

    (void)state;
    desk_init(&desk, 64 * MIB);
    options = options_of(&desk);
    options.no_beats = false;
    assert_ok(loop_new(8, &heard.loop));
    assert_ok(writer_new(&options, &desk.writer));
    for (int i = 0; i < WAIT_S * 100 && !own_origin(&desk).has_beat; i++)
        usleep(10000);
    origin = own_origin(&desk);
    assert_true(origin.has_beat);
    assert_true(origin.beat.writer > 0);
    assert_int_equal(origin.beat.rival, 0);
    writer_on_published(desk.writer, heard.loop, on_published, &heard);
    assert_ok(put(&desk, 1).err);
    assert_ok(loop_run(heard.loop));
    assert_true(heard.published >= 1);
    desk_stop(&desk);
    loop_free(heard.loop);
    desk_done(&desk);
}

/* ---- two hosts ---- */

#define OLD_LIFE 3 /* a writer that this node was before it was started anew */

static struct replica_origin wait_for_rival(struct desk *desk, uint64_t rival)
{
    struct replica_origin origin = own_origin(desk);

    for (int i = 0; i < WAIT_S * 100 && origin.beat.rival != rival; i++) {
        usleep(10000);
        origin = own_origin(desk);
    }
    assert_int_equal(origin.beat.rival, rival);
    return origin;
}

/*
 * A clone of this host would sign the same numbers. Each names the writer whose
 * beat it sees; who is named knows that the other one lives, whatever the
 * clocks say. A beat of an earlier life names nobody, and stops nobody.
 */
static void test_a_second_host_is_noticed(void **state)
{
    struct desk desk;
    struct writer_options options;
    int64_t future_ms = INT64_C(4000000000000);
    uint64_t id;

    (void)state;
    desk_init(&desk, 64 * MIB);
    options = options_of(&desk);
    options.no_beats = false;
    assert_ok(writer_new(&options, &desk.writer));
    id = writer_id(desk.writer);
    writer_beat_seen(desk.writer, OLD_LIFE, 0, future_ms);
    assert_true(wait_for_rival(&desk, OLD_LIFE).beat.ts_ms > future_ms);
    assert_int_equal(writer_state(desk.writer), WRITER_READY);

    /* It lives, but its number is the greater one: it is the one to stop. */
    writer_beat_seen(desk.writer, id + 1, id, future_ms + 5);
    assert_int_equal(writer_state(desk.writer), WRITER_READY);
    assert_true(wait_for_rival(&desk, id + 1).beat.ts_ms > future_ms + 5);
    assert_ok(put(&desk, 1).err);

    /* Its number is the lesser one. */
    writer_beat_seen(desk.writer, id - 1, id, future_ms + 9);
    assert_int_equal(writer_state(desk.writer), WRITER_RECOVERING);
    assert_non_null(strstr(writer_state_reason(desk.writer), "another host"));
    assert_false(writer_wants_own(desk.writer));
    assert_err(put(&desk, 2).err, TORG_E_RECOVERING);
    desk_done(&desk);
}

/* Who has only just come does not begin where another is at work. */
static void test_a_host_that_asks_gives_way(void **state)
{
    struct desk desk;
    struct writer_options options;

    (void)state;
    desk_init(&desk, 64 * MIB);
    options = options_of(&desk);
    options.ask = true;
    assert_ok(writer_new(&options, &desk.writer));
    writer_beat_seen(desk.writer, INTEGER_MAX, writer_id(desk.writer), 5);
    writer_told(desk.writer, true, true, 0, 0);
    assert_int_equal(writer_state(desk.writer), WRITER_RECOVERING);
    assert_err(put(&desk, 1).err, TORG_E_RECOVERING);
    desk_done(&desk);
}

/* ---- kill -9 ---- */

#define KILL_ROUNDS 25

/* Writes until it is killed, and notes in shared memory what was acknowledged. */
static void child_writes(struct desk *desk, _Atomic uint64_t *acknowledged, uint64_t from)
{
    store_start(desk);
    writer_start(desk);
    for (uint64_t number = from;; number++) {
        if (writer_state(desk->writer) != WRITER_READY || put(desk, number).err)
            _exit(1);
        *acknowledged = number;
    }
}

/* What was acknowledged must be there, and no number may be signed twice. */
static void test_kill_9_loses_nothing_that_was_acknowledged(void **state)
{
    struct desk desk;
    uint64_t random = 0xa02c, from = 1;
    _Atomic uint64_t *acknowledged = mmap(NULL, sizeof(*acknowledged), PROT_READ | PROT_WRITE,
                                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    (void)state;
    desk_init(&desk, 64 * MIB);
    desk_stop(&desk);
    for (int round = 0; round < KILL_ROUNDS; round++) {
        pid_t child = fork();
        int status;

        assert_true(child >= 0);
        if (child == 0)
            child_writes(&desk, acknowledged, from);
        while (*acknowledged < from)
            assert_int_equal(waitpid(child, &status, WNOHANG), 0);
        usleep((useconds_t)test_random_below(&random, 60000));
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        store_start(&desk);
        writer_start(&desk);
        assert_int_equal(writer_state(desk.writer), WRITER_READY);
        for (uint64_t number = 1; number <= *acknowledged; number++) {
            struct listing_id id = id_of(number);

            if (!listing_is_live(&desk, &id))
                fail_msg("round %d: %" PRIu64 " of %" PRIu64 " is gone", round, number,
                         *acknowledged);
        }
        from = own_origin(&desk).head.seq + 1;
        desk_stop(&desk);
    }
    munmap(acknowledged, sizeof(*acknowledged));
    desk_done(&desk);
}

/* ---- many threads ---- */

#define THREADS 4
#define WRITES 200

struct client {
    struct desk *desk;
    uint64_t first;
    unsigned acknowledged;
};

static void *run_client(void *context)
{
    struct client *client = context;

    for (uint64_t i = 0; i < WRITES; i++) {
        struct listing_id id = id_of(client->first + i);

        if (put(client->desk, client->first + i).err == TORG_OK &&
            listing_is_live(client->desk, &id))
            client->acknowledged++;
    }
    return NULL;
}

static void test_many_clients_at_one_time(void **state)
{
    struct desk desk;
    struct client clients[THREADS];
    pthread_t threads[THREADS];
    struct writer_counters counters;

    (void)state;
    desk_begin(&desk);
    for (uint64_t i = 0; i < THREADS; i++) {
        clients[i] = (struct client){.desk = &desk, .first = i * 10000};
        pthread_create(&threads[i], NULL, run_client, &clients[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(clients[i].acknowledged, WRITES);
    }
    writer_counters(desk.writer, &counters);
    assert_int_equal(counters.own_changes, THREADS * WRITES);
    assert_int_equal(own_origin(&desk).head.seq, THREADS * WRITES);
    assert_int_equal(own_origin(&desk).head.hno, counters.own_commits);
    desk_done(&desk);
}

static int setup(void **state)
{
    (void)state;
    return seal_init() ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_write_is_signed_durable_and_guarded),
        cmocka_unit_test(test_what_waits_becomes_one_commit),
        cmocka_unit_test(test_two_writes_of_one_listing_are_two_commits),
        cmocka_unit_test(test_a_large_crowd_is_split_at_the_commit_limit),
        cmocka_unit_test(test_a_refused_job_harms_no_other),
        cmocka_unit_test(test_a_full_queue_says_busy),
        cmocka_unit_test(test_a_full_map_refuses_writes_but_not_deletes),
        cmocka_unit_test(test_a_failed_sync_stops_writing_until_a_restart),
        cmocka_unit_test(test_a_failed_guard_stops_the_rest_of_its_group),
        cmocka_unit_test(test_one_ahead_of_the_guard_is_normal),
        cmocka_unit_test(test_far_ahead_of_the_guard_is_in_doubt),
        cmocka_unit_test(test_a_crash_before_the_first_guard_is_normal),
        cmocka_unit_test(test_a_crash_before_the_guard_of_a_new_epoch_is_normal),
        cmocka_unit_test(test_a_missing_ancestor_holds_writes_back),
        cmocka_unit_test(test_a_guard_from_before_the_last_head_of_an_epoch_is_in_doubt),
        cmocka_unit_test(test_a_database_behind_its_guard_takes_no_writes),
        cmocka_unit_test(test_a_lost_guard_needs_a_peer_or_the_operator),
        cmocka_unit_test(test_asking_holds_writes_back),
        cmocka_unit_test(test_a_foreign_own_head_stops_writing),
        cmocka_unit_test(test_peers_writes_share_the_transaction),
        cmocka_unit_test(test_an_expected_write_comes_or_not),
        cmocka_unit_test(test_commits_are_as_large_as_their_memory),
        cmocka_unit_test(test_a_crowd_of_peers_writes_lets_local_ones_in),
        cmocka_unit_test(test_many_removals_are_a_crowd),
        cmocka_unit_test(test_peers_writes_go_on_while_recovering),
        cmocka_unit_test(test_a_full_map_takes_charters_of_who_is_known),
        cmocka_unit_test(test_a_start_beats_and_a_commit_is_published),
        cmocka_unit_test(test_a_second_host_is_noticed),
        cmocka_unit_test(test_a_host_that_asks_gives_way),
        cmocka_unit_test(test_kill_9_loses_nothing_that_was_acknowledged),
        cmocka_unit_test(test_many_clients_at_one_time),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
