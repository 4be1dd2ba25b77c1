/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/sync_internal.h"

/*
 * Reconcile, the receiving side: descend the sender's trie where its digests
 * differ from ours, delete what a subtree lacks, fetch what differs. Each
 * answer verifies by itself under its signed head, so the sender may move on to
 * newer heads meanwhile; a node's own trie is all the progress there is.
 * Method: Merkle, "A digital signature based on a conventional encryption
 * function", 1987, for the tree; the descent is that of Dynamo's anti-entropy.
 */

#define NODES_MAX ((size_t)TRIE_PREFIXES_MAX * (TRIE_DEPTH_MAX + 1))

/* One answer while it is being judged. */
struct answer {
    struct sync *sync;
    struct sync_job *job;
    struct sync_asked *asked;
    struct frame_trie_node *nodes;
    size_t node_count;
    uint32_t number;                            /* of the origin in the store */
    struct trie_prefix seen[TRIE_PREFIXES_MAX]; /* subtrees dealt with in this answer */
    size_t seen_count;
    bool lied;
};

static bool prefix_equal(const struct trie_prefix *a, const struct trie_prefix *b)
{
    return a->size == b->size && memcmp(a->nibbles, b->nibbles, a->size) == 0;
}

static struct trie_prefix prefix_child(const struct trie_prefix *prefix, unsigned nibble)
{
    struct trie_prefix child = *prefix;

    assert(child.size < TRIE_DEPTH_MAX);
    child.nibbles[child.size++] = (uint8_t)nibble;
    return child;
}

static struct trie_entry entry_at(struct span entries, size_t index)
{
    struct trie_entry entry;
    const uint8_t *at = entries.data + index * FRAME_TRIE_ENTRY_BYTES;

    memcpy(entry.key.bytes, at, sizeof(entry.key.bytes));
    memcpy(entry.header_hash.bytes, at + sizeof(entry.key.bytes), sizeof(entry.header_hash.bytes));
    return entry;
}

static unsigned nibble_of(const struct listing_key *key, unsigned depth)
{
    return depth % 2 ? key->bytes[depth / 2] & 15 : key->bytes[depth / 2] >> 4;
}

/* The digest of a subtree that begins at depth: the rule is the same at every depth. */
static struct hash subtree_digest(uint8_t collection, const struct trie_entry *entries,
                                  size_t count, unsigned depth)
{
    uint8_t node[TRIE_INNER_BYTES] = {0};
    size_t from = 0;

    if (count == 0)
        return (struct hash){0};
    if (count <= TRIE_LEAF_MAX)
        return trie_leaf_digest(collection, entries, count);
    for (unsigned child = 0; child < 16; child++) {
        uint8_t *slot = node + (size_t)child * (TRIE_INNER_BYTES / 16);
        size_t to = from;
        struct hash digest;

        while (to < count && nibble_of(&entries[to].key, depth) == child)
            to++;
        digest = subtree_digest(collection, &entries[from], to - from, depth + 1);
        put_u32be(slot, (uint32_t)(to - from));
        memcpy(slot + 4, digest.bytes, sizeof(digest.bytes));
        from = to;
    }
    return trie_inner_digest(span_of(node, sizeof(node)));
}

/* ---- does a node keep what its parent promised? ---- */

static bool whole_fits(const struct answer *answer, const struct frame_trie_node *node,
                       const struct trie_root *expected)
{
    static const size_t entry_max = FRAME_WHOLE_MAX;
    size_t count = node->bytes.size / FRAME_TRIE_ENTRY_BYTES;
    struct trie_entry entries[FRAME_WHOLE_MAX];
    struct hash digest;

    if (count != expected->count || count > entry_max)
        return false;
    for (size_t i = 0; i < count; i++) {
        entries[i] = entry_at(node->bytes, i);
        if (!trie_prefix_holds(&node->prefix, &entries[i].key))
            return false;
        if (i > 0 && memcmp(&entries[i - 1].key, &entries[i].key, sizeof(entries[i].key)) >= 0)
            return false;
    }
    digest = subtree_digest(answer->job->collection, entries, count, node->prefix.size);
    return memcmp(&digest, &expected->digest, sizeof(digest)) == 0;
}

static bool node_fits(const struct answer *answer, const struct frame_trie_node *node,
                      const struct trie_root *expected)
{
    struct hash digest;
    uint32_t count;

    if (node->whole)
        return whole_fits(answer, node, expected);
    if (expected->count <= TRIE_LEAF_MAX || node->prefix.size == TRIE_DEPTH_MAX)
        return false;
    if (trie_inner_count(node->bytes, &count) || count != expected->count)
        return false;
    digest = trie_inner_digest(node->bytes);
    return memcmp(&digest, &expected->digest, sizeof(digest)) == 0;
}

static const struct frame_trie_node *node_at(const struct answer *answer,
                                             const struct trie_prefix *prefix)
{
    for (size_t i = 0; i < answer->node_count; i++) {
        if (prefix_equal(&answer->nodes[i].prefix, prefix))
            return &answer->nodes[i];
    }
    return NULL;
}

/* ---- what differs from ours ---- */

/* Room for one element more. */
static enum torg_err grow(void **items, size_t count, size_t *capacity, size_t size)
{
    size_t wanted = *capacity ? 2 * *capacity : 64;
    void *grown;

    if (count < *capacity)
        return TORG_OK;
    grown = reallocarray(*items, wanted, size);
    if (!grown)
        return TORG_E_NOMEM;
    *items = grown;
    *capacity = wanted;
    return TORG_OK;
}

static enum torg_err remove_add(struct sync_job *job, const struct listing_key *key)
{
    enum torg_err err;

    if (job->removed_count == SYNC_REMOVED_MAX)
        return TORG_OK; /* the rest goes in the next round */
    err = grow((void **)&job->removed, job->removed_count, &job->removed_capacity,
               sizeof(*job->removed));
    if (!err)
        job->removed[job->removed_count++] = *key;
    return err;
}

static enum torg_err want_add(struct sync_job *job, const struct trie_entry *entry)
{
    struct sync_want want = {.collection = job->collection, .entry = *entry};

    return sync_want_add(job, &want);
}

/* A walk through our listings below a prefix, beside the sender's entries. */
struct diff {
    struct sync_job *job;
    const struct trie_prefix *prefix;
    struct span entries;
    size_t next, count;
    enum torg_err err;
};

static bool diff_visit(void *context, const struct trie_entry *ours)
{
    struct diff *diff = context;
    struct trie_entry theirs;
    int order = -1;

    if (!trie_prefix_holds(diff->prefix, &ours->key))
        return false;
    while (diff->next < diff->count) {
        theirs = entry_at(diff->entries, diff->next);
        order = memcmp(&ours->key, &theirs.key, sizeof(ours->key));
        if (order <= 0)
            break;
        diff->err = want_add(diff->job, &theirs);
        if (diff->err)
            return false;
        diff->next++;
    }
    if (diff->next == diff->count || order < 0) {
        diff->err = remove_add(diff->job, &ours->key);
        return !diff->err;
    }
    diff->next++;
    if (memcmp(&ours->header_hash, &theirs.header_hash, sizeof(theirs.header_hash)) != 0)
        diff->err = want_add(diff->job, &theirs);
    return !diff->err;
}

/* The lowest key below a prefix. */
static struct listing_key key_first(const struct trie_prefix *prefix)
{
    struct listing_key key = {0};

    for (unsigned i = 0; i < prefix->size; i++)
        key.bytes[i / 2] |= (uint8_t)(prefix->nibbles[i] << (i % 2 ? 0 : 4));
    return key;
}

/* entries is all that the sender has below prefix: note what to remove and what to fetch. */
static enum torg_err subtree_diff(struct answer *answer, const struct trie_prefix *prefix,
                                  struct span entries)
{
    struct diff diff = {
        .job = answer->job,
        .prefix = prefix,
        .entries = entries,
        .count = entries.size / FRAME_TRIE_ENTRY_BYTES,
    };
    struct listing_key from = key_first(prefix);
    enum torg_err err;

    err = replica_trie_entries(answer->sync->read, answer->number, answer->job->collection, &from,
                               diff_visit, &diff);
    if (!err)
        err = diff.err;
    for (; diff.next < diff.count && !err; diff.next++) {
        struct trie_entry theirs = entry_at(entries, diff.next);

        err = want_add(answer->job, &theirs);
    }
    return err;
}

static enum torg_err frontier_push(struct sync_job *job, const struct sync_region *region)
{
    enum torg_err err;

    if (job->frontier_count == SYNC_FRONTIER_MAX)
        return TORG_OK; /* the rest shows in the next round */
    err = grow((void **)&job->frontier, job->frontier_count, &job->frontier_capacity,
               sizeof(*job->frontier));
    if (!err)
        job->frontier[job->frontier_count++] = *region;
    return err;
}

/* Our own sixteen children below a prefix. */
static enum torg_err children_of(struct answer *answer, const struct trie_prefix *prefix,
                                 struct trie_root children[16])
{
    struct trie_entry entries[TRIE_LEAF_MAX];
    struct trie_store store;
    struct replica_trie trie;
    struct span node;
    size_t count = 0, from = 0;
    enum torg_err err;

    replica_trie_init(&trie, answer->sync->read, answer->number, answer->job->collection, &store);
    err = store.node_get(store.context, prefix, &node);
    if (!err) {
        for (unsigned child = 0; child < 16; child++)
            children[child] = (struct trie_root){
                .count = trie_inner_child_count(node, child),
                .digest = trie_inner_child_digest(node, child),
            };
    } else if (err == TORG_E_NOT_FOUND) {
        err = store.entries(store.context, prefix, TRIE_LEAF_MAX, entries, &count);
        for (unsigned child = 0; child < 16 && !err; child++) {
            size_t to = from;

            while (to < count && nibble_of(&entries[to].key, prefix->size) == child)
                to++;
            children[child].count = (uint32_t)(to - from);
            children[child].digest = subtree_digest(answer->job->collection, &entries[from],
                                                    to - from, prefix->size + 1u);
            from = to;
        }
    }
    replica_trie_done(&trie);
    return err;
}

static enum torg_err node_diff(struct answer *answer, const struct trie_prefix *prefix,
                               struct span node)
{
    struct trie_root ours[16];
    enum torg_err err;

    err = children_of(answer, prefix, ours);
    for (unsigned child = 0; child < 16 && !err; child++) {
        struct sync_region region = {
            .prefix = prefix_child(prefix, child),
            .expected = {.count = trie_inner_child_count(node, child),
                         .digest = trie_inner_child_digest(node, child)},
            .current = true,
        };

        if (region.expected.count == ours[child].count &&
            memcmp(&region.expected.digest, &ours[child].digest, sizeof(struct hash)) == 0)
            continue;
        if (region.expected.count == 0)
            err = subtree_diff(answer, &region.prefix, (struct span){0});
        else
            err = frontier_push(answer->job, &region);
    }
    return err;
}

/* ---- one answer ---- */

/* Several prefixes may be answered by one leaf above them all. */
static bool first_time(struct answer *answer, const struct trie_prefix *prefix)
{
    for (size_t i = 0; i < answer->seen_count; i++) {
        if (prefix_equal(&answer->seen[i], prefix))
            return false;
    }
    answer->seen[answer->seen_count++] = *prefix;
    return true;
}

/*
 * Follow the answer from at, whose count and digest are known to be expected,
 * down to the region that was asked for or to the leaf that covers it.
 * *ret_found false: the answer does not reach it.
 */
static enum torg_err region_resolve(struct answer *answer, const struct sync_region *region,
                                    struct trie_prefix at, struct trie_root expected,
                                    bool *ret_found)
{
    *ret_found = true;
    for (;;) {
        const struct frame_trie_node *node;
        unsigned child;

        if (expected.count == 0)
            return first_time(answer, &at) ? subtree_diff(answer, &at, (struct span){0}) : TORG_OK;
        node = node_at(answer, &at);
        if (!node) {
            *ret_found = false;
            return TORG_OK;
        }
        if (!node_fits(answer, node, &expected)) {
            answer->lied = true;
            return TORG_OK;
        }
        if (node->whole)
            return first_time(answer, &at) ? subtree_diff(answer, &at, node->bytes) : TORG_OK;
        if (at.size == region->prefix.size)
            return first_time(answer, &at) ? node_diff(answer, &at, node->bytes) : TORG_OK;
        child = region->prefix.nibbles[at.size];
        expected.count = trie_inner_child_count(node->bytes, child);
        expected.digest = trie_inner_child_digest(node->bytes, child);
        at = prefix_child(&at, child);
    }
}

/* The head may have moved on: then what older nodes promised no longer holds. */
static void root_take(struct sync_job *job)
{
    struct head_state state = head_state_of(&job->parsed, job->collection);
    struct trie_root root = {.count = state.count, .digest = state.root};

    if (root.count == job->root.count &&
        memcmp(&root.digest, &job->root.digest, sizeof(root.digest)) == 0)
        return;
    job->root = root;
    for (size_t i = 0; i < job->frontier_count; i++)
        job->frontier[i].current = false;
    for (size_t i = 0; i < SYNC_ASKED_MAX; i++) {
        for (size_t at = 0; at < job->asked[i].region_count; at++)
            job->asked[i].regions[at].current = false;
    }
}

static enum torg_err answer_judge(struct answer *answer, size_t *ret_resolved)
{
    struct sync_job *job = answer->job;
    const struct sync_asked *asked = answer->asked;
    enum torg_err err = TORG_OK;

    *ret_resolved = 0;
    for (size_t i = 0; i < asked->region_count && !err && !answer->lied; i++) {
        const struct sync_region *region = &asked->regions[i];
        bool found;

        if (region->current)
            err = region_resolve(answer, region, region->prefix, region->expected, &found);
        else
            err = region_resolve(answer, region, (struct trie_prefix){0}, job->root, &found);
        if (err)
            break;
        if (found)
            ++*ret_resolved;
        else
            err = frontier_push(job, region);
    }
    return err;
}

static int want_order(const void *a, const void *b)
{
    const struct sync_want *left = a, *right = b;

    return memcmp(&left->entry.key, &right->entry.key, sizeof(left->entry.key));
}

/* Up to TRIE_PREFIXES_MAX regions from the end of the frontier. */
enum torg_err sync_trie_ask(struct sync *sync, struct sync_job *job, struct sync_asked *asked)
{
    struct frame frame = {.type = FRAME_TRIE_REQ};
    bool current = job->frontier[job->frontier_count - 1].current;

    frame_rows_clear(&sync->rows);
    asked->region_count = 0;
    while (job->frontier_count > 0 && asked->region_count < TRIE_PREFIXES_MAX &&
           job->frontier[job->frontier_count - 1].current == current) {
        const struct sync_region *region = &job->frontier[--job->frontier_count];

        asked->regions[asked->region_count++] = *region;
        frame_rows_prefix(&sync->rows, &region->prefix);
    }
    if (sync->rows.bytes.err)
        return sync->rows.bytes.err;
    frame.trie_req.origin = sync->origins[job->origin].id;
    frame.trie_req.collection = job->collection;
    frame.trie_req.root = current ? job->root.digest : (struct hash){0};
    frame.trie_req.whole = job->whole;
    frame.trie_req.prefixes = frame_rows_list(&sync->rows);
    sync->counters.reconcile_rounds++;
    return sync_job_ask(sync, job, asked, &frame);
}

static enum torg_err answer_take(struct sync *sync, struct sync_job *job, struct sync_asked *asked,
                                 const struct frame *frame, bool *ret_lied)
{
    struct answer answer = {
        .sync = sync,
        .job = job,
        .asked = asked,
        .number = sync->origins[job->origin].number,
        .node_count = frame->trie.nodes.count,
    };
    struct profile_reader in = frame_list_reader(&frame->trie.nodes);
    size_t resolved = 0;
    enum torg_err err;

    *ret_lied = true;
    if (answer.node_count > NODES_MAX)
        return TORG_OK;
    answer.nodes = calloc(answer.node_count + 1, sizeof(*answer.nodes));
    if (!answer.nodes)
        return TORG_E_NOMEM;
    for (size_t i = 0; i < answer.node_count; i++)
        answer.nodes[i] = frame_read_node(&in);
    root_take(job);
    sync_want_forget(job);
    err = answer_judge(&answer, &resolved);
    *ret_lied = answer.lied || resolved == 0;
    free(answer.nodes);
    return err;
}

/*
 * What was gathered was true under the head that it was gathered under. What
 * was only found to be wanted shows again in the next round; from now on it is
 * fetched at once, so that an origin that never rests holds nothing up.
 */
static enum torg_err head_moved(struct sync *sync, struct sync_job *job)
{
    job->want_count = job->want_next;
    job->moving = true;
    if (!job->part.count && !job->removed_count)
        return TORG_OK;
    return sync_want_store_part(sync, job, REPLICA_WRITE_PART);
}

/*
 * The head moved on while entries under the one before are still to come, and
 * these must not be stored under another: ask again when they are here.
 */
static enum torg_err answer_put_off(struct sync_job *job, const struct sync_asked *asked)
{
    enum torg_err err = TORG_OK;

    job->moving = true;
    for (size_t i = 0; i < asked->region_count && !err; i++)
        err = frontier_push(job, &asked->regions[i]);
    return err;
}

bool sync_trie_may_gather(const struct sync *sync, const struct sync_job *job)
{
    return !job->moving && job->frontier_count > 0 && job->removed_count < SYNC_REMOVED_MAX / 2 &&
           !sync_fetch_turn_over(sync, job);
}

enum torg_err sync_trie_answer(struct sync *sync, struct sync_job *job, struct sync_asked *asked,
                               const struct frame *frame)
{
    bool moved = job->head.size && !span_equal(buffer_span(&job->head), frame->trie.head);
    bool usable, lied;
    enum torg_err err = TORG_OK;

    if (moved && sync_job_waits_for(job, FRAME_FETCH))
        return answer_put_off(job, asked);
    if (moved)
        err = head_moved(sync, job);
    if (err)
        return err;
    err = sync_fetch_head(sync, job, frame->trie.head, &usable);
    if (err || !usable)
        return err;
    err = answer_take(sync, job, asked, frame, &lied);
    if (err)
        return err;
    if (lied) {
        sync_job_blame(sync, job, "a node does not verify");
        return TORG_OK;
    }
    if (job->want_next < job->want_count)
        qsort(job->wants + job->want_next, job->want_count - job->want_next, sizeof(*job->wants),
              want_order);
    return sync_want_more(sync, job);
}

/* ---- from collection to collection ---- */

static bool root_equal(const struct trie_root *held, const struct head_state *state)
{
    return held->count == state->count &&
           memcmp(&held->digest, &state->root, sizeof(held->digest)) == 0;
}

/* The first collection of mask that differs under head; 0 if none does. */
static uint8_t next_differing(const struct replica_origin *record, const struct head *head,
                              uint32_t mask)
{
    for (unsigned c = 1; c < COLLECTIONS_MAX; c++) {
        struct head_state state = head_state_of(head, (uint8_t)c);

        if (mask >> c & 1 && !root_equal(&record->held[c], &state))
            return (uint8_t)c;
    }
    return 0;
}

static enum torg_err collection_begin(struct sync *sync, struct sync_job *job,
                                      const struct replica_origin *record, uint8_t collection)
{
    struct sync_region top = {0};
    enum torg_err err;

    if (job->collection != collection)
        job->rounds = 0;
    job->collection = collection;
    job->root = (struct trie_root){0};
    job->held = record->held[collection].count;
    job->frontier_count = 0;
    if (job->head.size) {
        struct head_state state = head_state_of(&job->parsed, collection);

        job->root = (struct trie_root){.count = state.count, .digest = state.root};
    }
    /* Where most is missing, whole subtrees spare round trips; else they cost bytes. */
    job->whole =
        record->held[collection].count <= job->root.count / 2 ? FRAME_WHOLE_MAX : FRAME_WHOLE_MIN;
    err = frontier_push(job, &top);
    return err ? err : sync_trie_ask(sync, job, &job->asked[0]);
}

/* Nothing differs any more: the head itself is what is left to take. */
static enum torg_err head_store(struct sync *sync, struct sync_job *job,
                                const struct replica_origin *record)
{
    uint32_t wanted = sync->origins[job->origin].wanted;

    if (next_differing(record, &job->parsed, wanted) == 0)
        return sync_want_store_part(sync, job, REPLICA_WRITE_COMMIT);
    return sync_want_store_part(sync, job, REPLICA_WRITE_PART);
}

/* What was found so far is stored: the next peer may go on from there. */
static enum torg_err ask_on(struct sync *sync, struct sync_job *job)
{
    if (!sync_fetch_turn_over(sync, job))
        return sync_trie_ask(sync, job, &job->asked[0]);
    sync_job_end(sync, job, SYNC_SLOW);
    return TORG_OK;
}

enum torg_err sync_trie_go_on(struct sync *sync, struct sync_job *job)
{
    struct sync_origin *origin = &sync->origins[job->origin];
    struct replica_origin record;
    uint8_t collection;
    enum torg_err err;

    if (job->frontier_count)
        return ask_on(sync, job);
    err = replica_origin_get(sync->read, &origin->id, &record);
    if (err)
        return err;
    collection = next_differing(&record, &job->parsed, job->mask);
    if (collection && collection == job->collection && ++job->rounds > SYNC_ROUNDS_MAX) {
        sync->counters.mismatches++;
        sync_job_end(sync, job, SYNC_AGAIN);
        return TORG_OK;
    }
    if (collection && sync_fetch_turn_over(sync, job)) {
        sync_job_end(sync, job, SYNC_SLOW);
        return TORG_OK;
    }
    if (collection)
        return collection_begin(sync, job, &record, collection);
    if (!record.has_head || head_compare(&record.head, &job->parsed) < 0)
        return head_store(sync, job, &record);
    origin->reconcile = false;
    sync_job_end(sync, job, SYNC_DONE);
    return TORG_OK;
}

enum torg_err sync_trie_begin(struct sync *sync, struct sync_job *job)
{
    const struct sync_origin *origin = &sync->origins[job->origin];
    const struct sync_row *row = &sync->peers[job->peer].rows[job->origin];
    struct replica_origin record;
    uint8_t collection = 0;
    enum torg_err err;

    sync->counters.reconciles++;
    job->mask = origin->wanted & row->mask;
    err = replica_origin_get(sync->read, &origin->id, &record);
    if (err)
        return err;
    if (record.has_head)
        collection = next_differing(&record, &record.head, job->mask);
    for (unsigned c = 1; c < COLLECTIONS_MAX && !collection; c++) {
        if (job->mask >> c & 1)
            collection = (uint8_t)c;
    }
    assert(collection); /* row_helps has seen to it */
    return collection_begin(sync, job, &record, collection);
}
