/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/sim/world_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void world_job_free(struct world_job *job)
{
    sync_store_free(job->store);
    free(job->changes);
    buffer_done(&job->bytes);
    free(job);
}

void world_job_add(struct world_node *node, struct world_job *job)
{
    struct world *world = node->world;
    struct world_job **last = &node->jobs;

    while (*last)
        last = &(*last)->next;
    *last = job;
    if (node->writing || node->dead_writer)
        return;
    node->writing = true;
    world_event_add(world, WORLD_COMMIT,
                    world->now_ms + world_between(world, world->options.commit_min_ms,
                                                  world->options.commit_max_ms),
                    node->index);
}

static bool is_fatal(enum torg_err err)
{
    return err == TORG_E_NOMEM || err == TORG_E_FULL || err == TORG_E_IO || err == TORG_E_CORRUPT;
}

static struct world_version *version_live(struct world_node *node, uint8_t collection,
                                          const struct listing_key *key)
{
    for (size_t i = node->version_count; i-- > 0;) {
        struct world_version *version = &node->versions[i];

        if (version->to == 0 && version->collection == collection &&
            memcmp(&version->key, key, sizeof(*key)) == 0)
            return version;
    }
    return NULL;
}

/* Versions that a write which failed after all had begun or ended. */
static void versions_undo(struct world_node *node, size_t commits)
{
    for (size_t i = 0; i < node->version_count; i++) {
        if (node->versions[i].to > commits)
            node->versions[i].to = 0;
    }
    while (node->version_count > 0 && node->versions[node->version_count - 1].from > commits) {
        node->version_count--;
        buffer_done(&node->versions[node->version_count].header);
        buffer_done(&node->versions[node->version_count].payload);
    }
    node->commit_count = commits;
}

/* Write down, independently of any node, what the origin has now signed. */
static void version_note(struct world_node *host, const struct kv *kv, uint32_t number,
                         const struct local_change *change, uint64_t commit)
{
    struct world_node *node = host->book;
    struct listing_key key = listing_key_of(&change->id);
    struct world_version *live = version_live(node, change->collection, &key);
    struct world_version *version;
    struct span header, payload;

    if (live)
        live->to = commit;
    if (change->payload.size == 0)
        return;
    MUST(replica_listing_get(kv, number, change->collection, &key, &header, &payload));
    if (node->version_count == node->version_capacity) {
        node->version_capacity = node->version_capacity ? 2 * node->version_capacity : 64;
        node->versions =
            reallocarray(node->versions, node->version_capacity, sizeof(*node->versions));
        if (!node->versions)
            world_must(TORG_E_NOMEM, "reallocarray");
    }
    version = &node->versions[node->version_count++];
    *version = (struct world_version){
        .collection = change->collection,
        .key = key,
        .id = change->id,
        .header_hash = change_header_hash(header),
        .from = commit,
    };
    buffer_put_span(&version->header, header);
    buffer_put_span(&version->payload, change->payload);
}

struct span world_charter_newest(const struct world_node *node)
{
    return buffer_span(&node->charters[node->charter_count - 1]);
}

/* All of them: an earlier one may have been lost when its write failed. */
enum torg_err world_charter_hold(struct world_node *node, struct kv *kv)
{
    struct charter_signed charters[ARRAY_SIZE(node->charters)];
    struct replica_write write = {
        .kind = REPLICA_WRITE_CHARTERS,
        .origin = node->own,
        .charters = charters,
        .charter_count = node->charter_count,
    };

    for (size_t i = 0; i < node->charter_count; i++)
        MUST(charter_signed_parse(buffer_span(&node->charters[i]), &charters[i]));
    return replica_apply(kv, &write, NULL);
}

static enum torg_err apply_own(struct world_node *host, struct kv *kv, struct world_job *job)
{
    struct world_node *node = host->book;
    struct buffer head = {0};
    struct replica_origin record;
    enum torg_err err = TORG_OK;
    int64_t clock_ms = CLOCK_MS + node->world->now_ms;

    if (job->beat) {
        err =
            replica_beat_local(kv, &node->own, &host->signer, 1 + host->index, 0, clock_ms, &head);
        buffer_done(&head);
        return err;
    }
    if (job->charter)
        err = world_charter_hold(host, kv);
    if (!err)
        err = replica_commit_local(kv, &node->own, &host->signer, job->changes, job->change_count,
                                   clock_ms, NULL, &head);
    buffer_done(&head);
    if (err)
        return err;
    host->own_commits++;
    MUST(replica_origin_get(kv, &node->own, &record));
    if (node->commit_count == node->commit_capacity) {
        node->commit_capacity = node->commit_capacity ? 2 * node->commit_capacity : 64;
        node->commits = reallocarray(node->commits, node->commit_capacity, sizeof(*node->commits));
        if (!node->commits)
            world_must(TORG_E_NOMEM, "reallocarray");
    }
    node->commits[node->commit_count++] =
        (struct world_commit){.epoch = record.head.epoch, .hno = record.head.hno};
    for (size_t i = 0; i < job->change_count; i++)
        version_note(host, kv, record.number, &job->changes[i], node->commit_count);
    return TORG_OK;
}

static enum torg_err apply(struct world_node *node, struct kv *kv, struct world_job *job)
{
    struct world_watcher *watcher = &node->world->watcher;
    const struct origin_id *origin = job->store ? &job->store->write.origin : &node->own;
    enum torg_err err;

    err = job->store ? replica_apply(kv, &job->store->write, NULL) : apply_own(node, kv, job);
    if (!err && watcher->applied)
        watcher->applied(watcher->context, node, kv, origin);
    return err;
}

static void answer(struct world_node *node, const struct world_job *job, enum torg_err err)
{
    struct world *world = node->world;
    int64_t at_ms = world->now_ms + world_between(world, 0, 3);
    struct world_event *event;

    if (job->store) {
        event = world_event_add(world, WORLD_STORED, at_ms, node->index);
        event->ticket = job->ticket;
        event->err = err;
        return;
    }
    if (!err)
        world_event_add(world, WORLD_PUBLISHED, at_ms, node->index);
}

static const char *job_name(const struct world_job *job)
{
    static const char *const names[] = {"charters", "commit",   "part",   "payloads", "beat",
                                        "proof",    "ancestry", "faulty", "drop",     "settle"};

    if (!job->store)
        return job->beat ? "own beat" : job->charter ? "own charter" : "own commit";
    return names[job->store->write.kind];
}

bool world_behind_guard(const struct world_node *node)
{
    const struct world_commit *newest =
        node->commit_count ? &node->commits[node->commit_count - 1] : NULL;
    struct replica_origin record = {0};
    uint64_t gap = 0;
    bool behind;
    struct kv read;

    if (!newest || node->book->forked)
        return false; /* of two hosts each has its own guard file, and is at peace with it */
    MUST(kv_mem_read_begin(node->store, &read));
    MUST(replica_origin_get(&read, &node->own, &record));
    behind = !record.has_head || record.head.epoch != newest->epoch ||
             record.head.hno != newest->hno ||
             replica_complete_mask(&record, COLLECTION_MASK_ALL) != COLLECTION_MASK_ALL;
    MUST(replica_next_gap(&read, &record, &gap));
    kv_mem_read_end(&read);
    return behind || gap;
}

static void recovery_look(struct world_node *node)
{
    if (!node->recovering || world_behind_guard(node))
        return;
    world_trace(node->world, "%s has recovered", node->name);
    node->recovering = false;
    sync_set_recovering(node->sync, false);
}

void world_writer_commit(struct world_node *node)
{
    struct world *world = node->world;
    struct world_job *jobs = node->jobs;
    enum torg_err fatal = TORG_OK;
    enum torg_err errs[64];
    size_t commits_before = node->book->commit_count;
    size_t count = 0;
    struct kv kv;

    node->writing = false;
    if (world->now_ms < node->full_until_ms)
        kv_mem_fail_after(node->store, 0, TORG_E_FULL);
    MUST(kv_mem_write_begin(node->store, &kv));
    for (struct world_job *job = jobs; job && count < 64 && !fatal; job = job->next) {
        errs[count] = apply(node, &kv, job);
        fatal = is_fatal(errs[count]) ? errs[count] : TORG_OK;
        count++;
    }
    if (fatal)
        kv_mem_write_abort(&kv);
    else
        fatal = kv_mem_write_commit(&kv);
    if (fatal)
        versions_undo(node->book, commits_before);
    if (world->watcher.ended)
        world->watcher.ended(world->watcher.context, node, !fatal);
    if (fatal && node->crash_on_fault) {
        world_trace(world, "%s ends in its store: %s", node->name, torg_err_text(fatal));
        world_crash(world, node->index);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct world_job *job = node->jobs;

        node->jobs = job->next;
        world_trace(world, "%s %s %" PRIu64 ": %s", node->name, job_name(job), job->ticket,
                    torg_err_text(fatal ? fatal : errs[i]));
        answer(node, job, fatal ? fatal : errs[i]);
        world_job_free(job);
    }
    recovery_look(node);
    if (!node->jobs)
        return;
    node->writing = true;
    world_event_add(world, WORLD_COMMIT, world->now_ms + 1, node->index);
}
