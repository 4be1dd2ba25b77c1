/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdlib.h>
#include <string.h>

#include "protocol/sync_internal.h"

/*
 * A short absence: PULL what has changed since a number. The headers alone show
 * whether the sender's log leads to its signed roots; only then are payloads
 * fetched, and all is stored in one write.
 */

enum torg_err sync_delta_pull(struct sync *sync, uint32_t index, uint32_t peer,
                              enum sync_purpose purpose)
{
    const struct sync_origin *origin = &sync->origins[index];
    struct sync_job *job = sync_job_begin(sync, index, peer, purpose);
    struct frame frame = {.type = FRAME_PULL};

    if (!job)
        return TORG_OK;
    frame.pull.origin = origin->id;
    frame.pull.mask = purpose == SYNC_FOR_DELTA ? origin->wanted : 0;
    frame.pull.since_seq = origin->seq;
    frame.pull.epoch = origin->epoch;
    frame.pull.hno = origin->hno;
    frame.pull.head_hash = origin->head_hash;
    return sync_job_ask(sync, job, &job->asked[0], &frame);
}

/* A parsed header of a delta, for sorting by place. */
struct delta_row {
    uint8_t collection;
    bool removed;
    uint32_t item;
    uint64_t payload_size;
    struct trie_entry entry;
};

static int delta_row_order(const void *a, const void *b)
{
    const struct delta_row *left = a, *right = b;

    if (left->collection != right->collection)
        return left->collection < right->collection ? -1 : 1;
    return memcmp(&left->entry.key, &right->entry.key, sizeof(left->entry.key));
}

/*
 * The headers of a delta by (collection, key). TORG_E_MISMATCH when they are
 * not what any log holds: numbers ascending above since, each listing once.
 */
static enum torg_err delta_rows(struct sync *sync, struct sync_job *job,
                                const struct frame_list *headers, struct delta_row *rows)
{
    const struct sync_origin *origin = &sync->origins[job->origin];
    struct profile_reader in = frame_list_reader(headers);
    uint64_t last = origin->seq;

    for (uint32_t i = 0; i < headers->count; i++) {
        struct span bytes = profile_bin(&in, HEADER_BYTES_MAX);
        struct replica_entry entry;

        if (replica_entry_read(bytes, (struct span){0}, &entry))
            return TORG_E_MISMATCH;
        if (entry.header.seq <= last || entry.header.seq > job->parsed.seq ||
            !(origin->wanted >> entry.header.collection & 1))
            return TORG_E_MISMATCH;
        last = entry.header.seq;
        rows[i] = (struct delta_row){
            .collection = entry.header.collection,
            .removed = entry.header.op == CHANGE_DELETE,
            .item = i,
            .payload_size = entry.header.payload_size,
            .entry = {.key = entry.key, .header_hash = entry.header_hash},
        };
        job->items[i] =
            (struct sync_item){.header_at = job->headers.size, .header_size = bytes.size};
        buffer_put_span(&job->headers, bytes);
    }
    if (job->headers.err)
        return job->headers.err;
    qsort(rows, headers->count, sizeof(*rows), delta_row_order);
    for (uint32_t i = 1; i < headers->count; i++) {
        if (delta_row_order(&rows[i - 1], &rows[i]) == 0)
            return TORG_E_MISMATCH;
    }
    return TORG_OK;
}

/* The root of one collection after its rows, against the head's. */
static enum torg_err delta_root_check(struct sync *sync, struct sync_job *job, uint8_t collection,
                                      const struct trie_root *held, const struct delta_row *rows,
                                      size_t count)
{
    const struct sync_origin *origin = &sync->origins[job->origin];
    struct head_state promised = head_state_of(&job->parsed, collection);
    struct trie_edit *edits = calloc(count ? count : 1, sizeof(*edits));
    struct trie_plan *plan = NULL;
    struct trie_store store;
    struct replica_trie trie;
    struct trie_root root;
    enum torg_err err;

    if (!edits)
        return TORG_E_NOMEM;
    for (size_t i = 0; i < count; i++)
        edits[i] = (struct trie_edit){.entry = rows[i].entry, .removed = rows[i].removed};
    replica_trie_init(&trie, sync->read, origin->number, collection, &store);
    err = trie_plan_new(collection, &store, held, edits, count, &plan);
    if (!err) {
        root = trie_plan_root(plan);
        if (root.count != promised.count ||
            memcmp(&root.digest, &promised.root, sizeof(root.digest)) != 0)
            err = TORG_E_MISMATCH;
    }
    trie_plan_free(plan);
    replica_trie_done(&trie);
    free(edits);
    return err;
}

static enum torg_err delta_roots_check(struct sync *sync, struct sync_job *job,
                                       const struct delta_row *rows, size_t count)
{
    struct replica_origin record;
    size_t at = 0;
    enum torg_err err;

    err = replica_origin_get(sync->read, &sync->origins[job->origin].id, &record);
    for (unsigned c = 1; c < COLLECTIONS_MAX && !err; c++) {
        size_t from = at;

        while (at < count && rows[at].collection == c)
            at++;
        if (sync->origins[job->origin].wanted >> c & 1)
            err = delta_root_check(sync, job, (uint8_t)c, &record.held[c], &rows[from], at - from);
    }
    return err;
}

static enum torg_err delta_wants(struct sync_job *job, const struct delta_row *rows, size_t count)
{
    uint64_t payload_bytes = 0;

    for (size_t i = 0; i < count; i++) {
        struct sync_want want = {
            .collection = rows[i].collection,
            .entry = rows[i].entry,
            .item = rows[i].item,
        };
        enum torg_err err;

        payload_bytes += rows[i].payload_size;
        if (payload_bytes > DELTA_PAYLOAD_BYTES_MAX)
            return TORG_E_MISMATCH; /* more than a delta may bring: reconcile takes it in parts */
        if (rows[i].removed)
            continue;
        err = sync_want_add(job, &want);
        if (err)
            return err;
    }
    return TORG_OK;
}

static enum torg_err delta_judge(struct sync *sync, struct sync_job *job,
                                 const struct frame_list *headers)
{
    struct delta_row *rows = calloc(headers->count ? headers->count : 1, sizeof(*rows));
    enum torg_err err;

    job->item_count = headers->count;
    job->items = calloc(headers->count ? headers->count : 1, sizeof(*job->items));
    err = rows && job->items ? TORG_OK : TORG_E_NOMEM;
    if (!err)
        err = delta_rows(sync, job, headers, rows);
    if (!err)
        err = delta_roots_check(sync, job, rows, headers->count);
    if (!err)
        err = delta_wants(job, rows, headers->count);
    free(rows);
    return err;
}

/* Does the peer still claim what it claimed when it was asked? */
static bool still_claimed(const struct sync_row *row, const struct sync_job *job)
{
    return sync_number_compare(row->epoch, row->hno, job->claim_epoch, job->claim_hno) == 0;
}

/*
 * A head of our own origin, of an epoch that no charter of ours has opened, though it names one
 * that we have: who holds it goes by another charter of that number, and takes nothing of ours
 * that could show it to him.
 */
static bool by_other_charter(const struct sync_origin *origin, struct span head_bytes)
{
    struct head head;

    return !head_parse(frame_head(head_bytes).bytes, &head) &&
           memcmp(head.origin.bytes, origin->id.bytes, sizeof(head.origin.bytes)) == 0 &&
           head.epoch > origin->charter_epoch && head.charter_no <= origin->charter_no;
}

/* Delivered or not, the claim has been looked into. */
static enum torg_err look_answer(struct sync *sync, struct sync_job *job, struct span head_bytes)
{
    struct sync_row *row = &sync->peers[job->peer].rows[job->origin];
    const struct sync_origin *origin = &sync->origins[job->origin];
    struct head head;
    enum torg_err err;

    /* A newer head of our own is what a recovery is to ask this peer for. And a claim that has
     * changed meanwhile is another one, which nobody has looked into. */
    row->useless = still_claimed(row, job) &&
                   (!origin->own || sync_number_compare(job->claim_epoch, job->claim_hno,
                                                        origin->epoch, origin->hno) <= 0);
    if (origin->own && by_other_charter(origin, head_bytes) &&
        sync_charters_doubt(sync, job->peer, job->origin)) {
        sync_job_end(sync, job, SYNC_NEITHER);
        return TORG_OK;
    }
    if (origin->own) {
        sync_own_look(sync, job->origin, head_bytes);
        sync_job_end(sync, job, SYNC_STRIKE);
        return TORG_OK;
    }
    err = sync_head_check(sync, job->origin, head_bytes, NULL, &head);
    if (sync_job_is_trouble(err))
        return err;
    if (err)
        sync_live_blame(sync, job->peer, job->origin, head_bytes, err);
    /* Our very head, after it had claimed another one. */
    sync_job_end(sync, job, err == TORG_E_KNOWN ? SYNC_STRIKE : SYNC_NEITHER);
    return TORG_OK;
}

enum torg_err sync_delta_answer(struct sync *sync, struct sync_job *job, const struct frame *frame)
{
    bool usable;
    enum torg_err err;

    if (job->purpose == SYNC_FOR_LOOK)
        return look_answer(sync, job, frame->delta.head);
    err = sync_fetch_head(sync, job, frame->delta.head, &usable);
    if (err || !usable)
        return err;
    if (job->purpose == SYNC_FOR_QUOTA) {
        uint32_t index = job->origin, peer = job->peer;

        sync_job_end(sync, job, SYNC_NEITHER);
        return sync_fetch_begin(sync, index, peer); /* it may be taken */
    }
    sync->counters.deltas_in++;
    err = delta_judge(sync, job, &frame->delta.headers);
    if (err == TORG_E_MISMATCH) {
        /* An earlier relay may have lied about a tombstone: nobody here is to blame. */
        sync->counters.mismatches++;
        sync->origins[job->origin].reconcile = true;
        sync_job_end(sync, job, SYNC_AGAIN);
        return TORG_OK;
    }
    return err ? err : sync_want_more(sync, job);
}

enum torg_err sync_delta_commit(struct sync *sync, struct sync_job *job)
{
    struct sync_pending pending = sync_job_pending(sync, job);
    struct sync_store *store = calloc(1, sizeof(*store));
    enum torg_err err = TORG_OK;

    if (!store)
        return TORG_E_NOMEM;
    store->write.kind = REPLICA_WRITE_COMMIT;
    store->write.mask = sync->origins[job->origin].wanted;
    store->bytes[0] = job->headers;
    store->bytes[1] = job->head;
    store->bytes[2] = job->payloads;
    job->headers = job->head = job->payloads = (struct buffer){0};
    store->write.head = frame_head(buffer_span(&store->bytes[1]));
    store->entries = calloc(job->item_count ? job->item_count : 1, sizeof(*store->entries));
    if (!store->entries)
        err = TORG_E_NOMEM;
    for (size_t i = 0; i < job->item_count && !err; i++) {
        const struct sync_item *item = &job->items[i];
        struct span header = span_of(store->bytes[0].data + item->header_at, item->header_size);
        struct span payload = {0};

        if (item->payload_size)
            payload = span_of(store->bytes[2].data + item->payload_at, item->payload_size);
        err = replica_entry_read(header, payload, &store->entries[i]);
    }
    if (err) {
        sync_store_free(store);
        return err;
    }
    store->write.entries = store->entries;
    store->write.entry_count = job->item_count;
    return sync_store_submit(sync, store, &pending);
}

/* A payload of a delta waits until all are there. */
enum torg_err sync_delta_add(struct sync_job *job, const struct sync_want *want,
                             const struct frame_entry *entry)
{
    struct sync_item *item = &job->items[want->item];

    item->payload_at = job->payloads.size;
    item->payload_size = entry->payload.size;
    buffer_put_span(&job->payloads, entry->payload);
    return job->payloads.err;
}

void sync_delta_stored(struct sync *sync, struct sync_job *job, enum torg_err err)
{
    if (!err || err == TORG_E_KNOWN || err == TORG_E_STALE) {
        sync_job_end(sync, job, SYNC_DONE);
        return;
    }
    if (!sync_job_is_trouble(err) && err != TORG_E_GAP) {
        /* Something came in between, or tombstones lied: the trie knows. */
        sync->counters.mismatches++;
        sync->origins[job->origin].reconcile = true;
    }
    sync_job_end(sync, job, SYNC_AGAIN);
}
