/* SPDX-License-Identifier: EUPL-1.2 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/sync_internal.h"

enum torg_err sync_want_add(struct sync_job *job, const struct sync_want *want)
{
    if (job->want_count == job->want_capacity) {
        size_t capacity = job->want_capacity ? 2 * job->want_capacity : 64;
        struct sync_want *grown = realloc(job->wants, capacity * sizeof(*grown));

        if (!grown)
            return TORG_E_NOMEM;
        job->wants = grown;
        job->want_capacity = capacity;
    }
    job->wants[job->want_count++] = *want;
    return TORG_OK;
}

void sync_want_forget(struct sync_job *job)
{
    size_t answered = job->want_next;

    for (size_t i = 0; i < SYNC_ASKED_MAX; i++) {
        const struct sync_asked *asked = &job->asked[i];

        if (asked->type == FRAME_FETCH && asked->want_first < answered)
            answered = asked->want_first;
    }
    if (!answered)
        return;
    memmove(job->wants, job->wants + answered, (job->want_count - answered) * sizeof(*job->wants));
    job->want_count -= answered;
    job->want_next -= answered;
    for (size_t i = 0; i < SYNC_ASKED_MAX; i++) {
        struct sync_asked *asked = &job->asked[i];

        if (asked->type != FRAME_FETCH)
            continue;
        asked->want_first -= answered;
        asked->want_seen -= answered;
        asked->want_end -= answered;
    }
}

/* Neither asked for nor to be asked for: nothing more comes of these subtrees. */
static bool all_came(const struct sync_job *job)
{
    return job->frontier_count == 0 && job->want_next == job->want_count && !sync_job_waits(job);
}

/* Enough has been gathered for a write, or this was all. */
static bool part_is_due(const struct sync *sync, const struct sync_job *job)
{
    if (!job->part.count && !job->removed_count)
        return false;
    return job->part.bytes.size > SYNC_PART_BYTES || job->removed_count >= SYNC_REMOVED_MAX / 2 ||
           all_came(job) || sync_fetch_turn_over(sync, job);
}

/* How many parts of a reconcile may be with the writer at a time. */
static uint32_t stores_max(const struct sync *sync, const struct sync_job *job)
{
    bool copy = job->whole == FRAME_WHOLE_MAX;
    uint32_t most = sync->limits.parts_max; /* also of all jobs together */
    uint64_t stores =
        job->held * most / (copy ? SYNC_STORES_COPY_LISTINGS : SYNC_STORES_REPLACED_LISTINGS);

    if (stores <= SYNC_STORES_MAX || sync->pending_count >= most)
        return SYNC_STORES_MAX;
    return stores < most ? (uint32_t)stores : most;
}

/*
 * All that was wanted has been answered. A reconcile goes on to other subtrees
 * while the writer has what these have brought: a disk that syncs and a line
 * that carries need not wait for each other.
 */
static enum torg_err fetched(struct sync *sync, struct sync_job *job)
{
    enum torg_err err = TORG_OK;

    if (job->purpose == SYNC_FOR_DELTA)
        return sync_delta_commit(sync, job);
    if (job->purpose == SYNC_FOR_MISSING) {
        if (job->part.count)
            err = sync_want_store_part(sync, job, REPLICA_WRITE_PAYLOADS);
        if (!err && job->stores == 0)
            sync_job_end(sync, job, SYNC_DONE);
        return err;
    }
    if (part_is_due(sync, job))
        err = sync_want_store_part(sync, job, REPLICA_WRITE_PART);
    if (!err && (job->stores == 0 || (job->frontier_count && job->stores < stores_max(sync, job))))
        err = sync_trie_go_on(sync, job);
    return err;
}

/*
 * Its turn is over: what a reconcile has gathered is stored, and the next peer
 * goes on from there. A delta is all or nothing, so a reconcile takes its place.
 */
static enum torg_err turn_end(struct sync *sync, struct sync_job *job)
{
    if (job->purpose == SYNC_FOR_DELTA) {
        sync->origins[job->origin].reconcile = true;
        sync_job_end(sync, job, SYNC_SLOW);
        return TORG_OK;
    }
    for (size_t i = 0; i < SYNC_ASKED_MAX; i++)
        sync_job_answered(sync, job, &job->asked[i]);
    job->want_next = job->want_count;
    return fetched(sync, job);
}

static bool turn_ends(const struct sync *sync, const struct sync_job *job)
{
    return (job->purpose == SYNC_FOR_DELTA || job->purpose == SYNC_FOR_TRIE) &&
           sync_fetch_turn_over(sync, job);
}

static enum torg_err fetch_ask(struct sync *sync, struct sync_job *job, struct sync_asked *asked)
{
    struct frame frame = {.type = FRAME_FETCH};
    size_t next = job->want_next;

    frame_rows_clear(&sync->rows);
    frame.fetch.collection = job->wants[next].collection;
    while (next < job->want_count && sync->rows.count < FETCH_ENTRIES_MAX &&
           job->wants[next].collection == frame.fetch.collection)
        frame_rows_key(&sync->rows, &job->wants[next++].entry);
    if (sync->rows.bytes.err)
        return sync->rows.bytes.err;
    asked->want_first = asked->want_seen = job->want_next;
    asked->want_end = job->want_next = next;
    frame.fetch.origin = sync->origins[job->origin].id;
    frame.fetch.keys = frame_rows_list(&sync->rows);
    return sync_job_ask(sync, job, asked, &frame);
}

/*
 * Where little differs in each subtree, the wants of several make one FETCH.
 * TORG_E_NOT_FOUND: there is nothing to ask for now.
 */
static enum torg_err reconcile_ask(struct sync *sync, struct sync_job *job,
                                   struct sync_asked *asked)
{
    size_t wanted = job->want_count - job->want_next;
    bool gathers = sync_trie_may_gather(sync, job);

    if (wanted >= FETCH_ENTRIES_MAX ||
        (wanted && !gathers && !sync_job_waits_for(job, FRAME_TRIE_REQ))) {
        if (job->stores >= stores_max(sync, job))
            return TORG_E_NOT_FOUND; /* until the writer has taken some of it */
        return fetch_ask(sync, job, asked);
    }
    return gathers ? sync_trie_ask(sync, job, asked) : TORG_E_NOT_FOUND;
}

static enum torg_err reconcile_more(struct sync *sync, struct sync_job *job)
{
    struct sync_asked *asked;
    enum torg_err err = TORG_OK;

    while (!err && job->active && (asked = sync_job_may_ask(sync, job)))
        err = reconcile_ask(sync, job, asked);
    if (err == TORG_E_NOT_FOUND)
        err = TORG_OK;
    if (err || !job->active)
        return err;
    if (!sync_job_waits(job) && job->want_next == job->want_count)
        return fetched(sync, job);
    return part_is_due(sync, job) ? sync_want_store_part(sync, job, REPLICA_WRITE_PART) : TORG_OK;
}

enum torg_err sync_want_more(struct sync *sync, struct sync_job *job)
{
    if (job->store_failed) {
        if (job->stores == 0 && !sync_job_waits(job))
            sync_job_end(sync, job, SYNC_AGAIN);
        return TORG_OK; /* else it ends when all are back */
    }
    if (job->want_next < job->want_count && turn_ends(sync, job))
        return turn_end(sync, job);
    if (job->purpose == SYNC_FOR_TRIE)
        return reconcile_more(sync, job);
    return job->want_next < job->want_count ? fetch_ask(sync, job, &job->asked[0])
                                            : fetched(sync, job);
}

/* The want that an entry answers: they come in the order they were asked for, some left out. */
static const struct sync_want *want_match(const struct sync_job *job, struct sync_asked *asked,
                                          const struct hash *header_hash)
{
    while (asked->want_seen < asked->want_end) {
        const struct sync_want *want = &job->wants[asked->want_seen++];

        if (memcmp(&want->entry.header_hash, header_hash, sizeof(*header_hash)) == 0)
            return want;
    }
    return NULL;
}

/*
 * An entry of a reconcile, or a payload that was missing: gathered until there is enough. What
 * was found out about it is kept: hashing it once more would cost as much again.
 */
static enum torg_err part_add(struct sync *sync, struct sync_job *job,
                              const struct frame_entry *entry, const struct replica_entry *read)
{
    bool reconcile = job->purpose == SYNC_FOR_TRIE;
    enum torg_err err = TORG_OK;

    if (!reconcile && !entry->has_payload)
        return TORG_OK;
    if (job->part.bytes.size > SYNC_PART_BYTES)
        err = sync_want_store_part(sync, job,
                                   reconcile ? REPLICA_WRITE_PART : REPLICA_WRITE_PAYLOADS);
    if (err)
        return err;
    frame_rows_entry(&job->part, entry);
    buffer_put(&job->part_read, read, sizeof(*read));
    return job->part.bytes.err ? job->part.bytes.err : job->part_read.err;
}

/*
 * One entry against what was asked for. *ret_fault says why it does not fit:
 * the sender is to sync_job_blame, or, with origin_fault, the origin itself.
 */
static enum torg_err entry_take(struct sync *sync, struct sync_job *job, struct sync_asked *asked,
                                const struct frame_entry *entry, const char **ret_fault,
                                bool *ret_origin_fault)
{
    const struct sync_want *want;
    struct replica_entry read;
    struct hash header_hash;
    enum torg_err err;

    err = replica_entry_read(entry->header, entry->payload, &read);
    if (err == TORG_E_NOMEM)
        return err;
    header_hash = err ? change_header_hash(entry->header) : read.header_hash;
    want = want_match(job, asked, &header_hash);
    if (!want) {
        *ret_fault = "an entry that was not asked for";
        return TORG_OK;
    }
    if (err == TORG_E_MISMATCH) {
        *ret_fault = "a payload differs from its header";
        return TORG_OK;
    }
    /* Its hash stands under the signed root, so these bytes are what the origin signed. */
    if (err || read.header.op != CHANGE_UPSERT || read.header.collection != want->collection ||
        memcmp(&read.key, &want->entry.key, sizeof(read.key)) != 0) {
        *ret_origin_fault = true;
        return TORG_OK;
    }
    sync->counters.listings_in++;
    sync->counters.payloads_in += entry->has_payload;
    sync->counters.payload_bytes_in += entry->payload.size;
    if (job->purpose == SYNC_FOR_DELTA)
        return sync_delta_add(job, want, entry);
    return part_add(sync, job, entry, &read);
}

/*
 * No state that obeys the rules has this root: said once, and the next head is waited for. Who
 * claims this one is not asked for it again, for the same bytes would come.
 */
static enum torg_err origin_faulty(struct sync *sync, struct sync_job *job)
{
    struct sync_pending pending = sync_job_pending(sync, job);
    struct sync_row *row = &sync->peers[job->peer].rows[job->origin];
    const uint8_t *id = sync->origins[job->origin].id.bytes;
    struct sync_store *store = calloc(1, sizeof(*store));

    if (!store)
        return TORG_E_NOMEM;
    buffer_put_span(&store->bytes[1], buffer_span(&job->head));
    if (store->bytes[1].err) {
        sync_store_free(store);
        return TORG_E_NOMEM;
    }
    store->write.kind = REPLICA_WRITE_FAULTY;
    store->write.head = frame_head(buffer_span(&store->bytes[1]));
    sync_note(sync, "origin.faulty", " origin=%02x%02x%02x%02x epoch=%" PRIu64 " hno=%" PRIu64,
              id[0], id[1], id[2], id[3], job->parsed.epoch, job->parsed.hno);
    pending.job = SYNC_NONE;
    row->useless =
        sync_number_compare(row->epoch, row->hno, job->parsed.epoch, job->parsed.hno) <= 0;
    sync_job_end(sync, job, SYNC_AGAIN);
    return sync_store_submit(sync, store, &pending);
}

enum torg_err sync_want_answer(struct sync *sync, struct sync_job *job, struct sync_asked *asked,
                               const struct frame *frame)
{
    struct profile_reader in = frame_list_reader(&frame->entries.entries);
    bool origin_fault = false;
    const char *fault = NULL;
    enum torg_err err = TORG_OK;

    for (uint32_t i = 0; i < frame->entries.entries.count && !fault && !origin_fault && !err; i++) {
        struct frame_entry entry = frame_read_entry(&in);

        err = entry_take(sync, job, asked, &entry, &fault, &origin_fault);
    }
    if (err)
        return err;
    if (fault) {
        sync_job_blame(sync, job, fault);
        return TORG_OK;
    }
    if (origin_fault)
        return origin_faulty(sync, job);
    if (frame->entries.more && frame->entries.entries.count == 0) {
        sync_job_end(sync, job, SYNC_STRIKE); /* it could go on for ever */
        return TORG_OK;
    }
    if (frame->entries.more)
        return turn_ends(sync, job) ? turn_end(sync, job) : TORG_OK;
    return sync_want_more(sync, job);
}

/* ---- parts: reconcile and missing payloads ---- */

static int key_order(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct listing_key));
}

static void part_fill(struct sync_job *job, struct sync_store *store)
{
    struct frame_list list;
    struct profile_reader in;
    void *read = job->part_read.data;

    store->bytes[0] = job->part.bytes;
    store->entries = read;
    job->part.bytes = job->part_read = (struct buffer){0};
    list = (struct frame_list){.count = job->part.count, .bytes = buffer_span(&store->bytes[0])};
    job->part.count = 0;
    job->held += list.count;
    store->removed = job->removed;
    store->write.removed = job->removed;
    store->write.removed_count = job->removed_count;
    job->removed = NULL;
    job->removed_count = job->removed_capacity = 0;
    if (store->removed)
        qsort(store->removed, store->write.removed_count, sizeof(*store->removed), key_order);
    in = frame_list_reader(&list);
    for (uint32_t i = 0; i < list.count; i++) { /* they were read where they came in */
        struct frame_entry entry = frame_read_entry(&in);

        store->entries[i].header_bytes = entry.header;
        store->entries[i].payload = entry.payload;
    }
    store->write.entries = store->entries;
    store->write.entry_count = list.count;
}

enum torg_err sync_want_store_part(struct sync *sync, struct sync_job *job,
                                   enum replica_write_kind kind)
{
    struct sync_pending pending = sync_job_pending(sync, job);
    struct sync_store *store = calloc(1, sizeof(*store));
    enum torg_err err;

    if (!store)
        return TORG_E_NOMEM;
    store->write.kind = kind;
    store->write.collection = job->collection;
    store->write.mask = sync->origins[job->origin].wanted;
    buffer_put_span(&store->bytes[1], buffer_span(&job->head));
    err = store->bytes[1].err;
    if (err) {
        sync_store_free(store);
        return err;
    }
    part_fill(job, store);
    store->replaces = kind == REPLICA_WRITE_PART && job->whole == FRAME_WHOLE_MIN;
    if (job->head.size)
        store->write.head = frame_head(buffer_span(&store->bytes[1]));
    return sync_store_submit(sync, store, &pending);
}
