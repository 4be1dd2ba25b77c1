/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/replica_internal.h"

/* ---- compute ---- */

enum torg_err replica_plan_init(struct replica_plan *plan, size_t capacity)
{
    *plan = (struct replica_plan){0};
    /* calloc, because it checks the product. */
    plan->edits = calloc(capacity ? capacity : 1, sizeof(*plan->edits));
    return plan->edits ? TORG_OK : TORG_E_NOMEM;
}

void replica_plan_done(struct replica_plan *plan)
{
    for (unsigned i = 0; i < COLLECTIONS_MAX; i++)
        trie_plan_free(plan->tries[i]);
    free(plan->edits);
    *plan = (struct replica_plan){0};
}

void replica_plan_add(struct replica_plan *plan, uint8_t collection, const struct listing_key *key,
                      const struct replica_entry *entry)
{
    plan->edits[plan->count++] =
        (struct replica_edit){.collection = collection, .key = *key, .entry = entry};
}

static int edit_compare(const void *a, const void *b)
{
    const struct replica_edit *left = a;
    const struct replica_edit *right = b;

    if (left->collection != right->collection)
        return left->collection < right->collection ? -1 : 1;
    return memcmp(&left->key, &right->key, sizeof(left->key));
}

static bool edit_removes(const struct replica_edit *edit)
{
    return !edit->entry || edit->entry->header.op == CHANGE_DELETE;
}

/* The trie of the collection that edits (count of them) belong to. */
static enum torg_err trie_compute(struct replica_plan *plan, const struct kv *kv,
                                  const struct replica_origin *origin,
                                  const struct replica_edit *edits, size_t count)
{
    uint8_t collection = edits[0].collection;
    struct trie_edit *changes = calloc(count, sizeof(*changes));
    struct replica_trie trie;
    struct trie_store store;
    enum torg_err err;

    if (!changes)
        return TORG_E_NOMEM;
    for (size_t i = 0; i < count; i++) {
        changes[i].entry.key = edits[i].key;
        changes[i].removed = edit_removes(&edits[i]);
        if (!changes[i].removed)
            changes[i].entry.header_hash = edits[i].entry->header_hash;
    }
    replica_trie_init(&trie, kv, origin->number, collection, &store);
    err = trie_plan_new(collection, &store, &origin->held[collection], changes, count,
                        &plan->tries[collection]);
    replica_trie_done(&trie);
    free(changes);
    return err;
}

enum torg_err replica_plan_compute(struct replica_plan *plan, const struct kv *kv,
                                   const struct replica_origin *origin)
{
    size_t first = 0;

    qsort(plan->edits, plan->count, sizeof(*plan->edits), edit_compare);
    for (size_t i = 1; i < plan->count; i++) {
        if (edit_compare(&plan->edits[i - 1], &plan->edits[i]) == 0)
            return TORG_E_INVALID;
    }
    while (first < plan->count) {
        size_t end = first + 1;
        enum torg_err err;

        while (end < plan->count && plan->edits[end].collection == plan->edits[first].collection)
            end++;
        err = trie_compute(plan, kv, origin, &plan->edits[first], end - first);
        if (err)
            return err;
        first = end;
    }
    return TORG_OK;
}

struct trie_root replica_plan_root(const struct replica_plan *plan,
                                   const struct replica_origin *origin, uint8_t collection)
{
    if (plan->tries[collection])
        return trie_plan_root(plan->tries[collection]);
    return origin->held[collection];
}

enum torg_err replica_plan_prove(const struct replica_plan *plan,
                                 const struct replica_origin *origin, const struct head *head,
                                 uint32_t mask)
{
    for (unsigned i = 1; i < COLLECTIONS_MAX; i++) {
        struct trie_root root = replica_plan_root(plan, origin, (uint8_t)i);
        struct head_state state = head_state_of(head, (uint8_t)i);

        if (!(mask >> i & 1))
            continue;
        if (root.count != state.count || memcmp(&root.digest, &state.root, sizeof(state.root)))
            return TORG_E_MISMATCH;
    }
    return TORG_OK;
}

/* ---- heads ---- */

#define PRUNE_EVERY 16     /* numbers: a write then mostly touches one end of the table only */
#define PRUNE_MAX 64       /* rows at once; more than were added, so that the table comes down */
#define PRUNE_STAY_MAX 160 /* that may stand before them and stay: see ANCESTRY_HEADS_MAX */

/* Do the skips from the newest head come by hno? */
static bool is_skipped_to(uint64_t newest, uint64_t hno)
{
    while (newest > hno)
        newest = head_jump(newest);
    return newest == hno;
}

/*
 * May the head of (epoch, hno) go, now that the record's head is newer? Those
 * that the newest head's skips come by stay, a few dozen at most: every later
 * head skips to one of them or to a newer one, so an origin that lost its disk
 * can get from its neighbours what its next head must name.
 */
static bool head_may_go(const struct head *newest, uint64_t unproven_hno, uint64_t epoch,
                        uint64_t hno)
{
    if (newest->hno <= REPLICA_HEADS_KEPT)
        return false;
    if (epoch < newest->epoch)
        return true;
    if (hno == unproven_hno)
        return false; /* what a path is to be compared with */
    return hno <= newest->hno - REPLICA_HEADS_KEPT && !is_skipped_to(newest->hno, hno);
}

static enum torg_err heads_prune(struct replica_writing *writing)
{
    const struct replica_origin *origin = writing->origin;
    struct replica_key from = replica_key_head(origin->number, 0, 0);
    struct kv_cursor *cursor;
    unsigned dropped = 0;
    enum torg_err err;

    if (origin->flags & REPLICA_FLAG_OWN)
        return TORG_OK;
    err = kv_cursor_open(writing->kv, KV_HEAD, &cursor);
    if (err)
        return err;
    for (unsigned i = 0; i < PRUNE_MAX + PRUNE_STAY_MAX && dropped < PRUNE_MAX && !err; i++) {
        struct span key, value;
        uint64_t epoch, hno;

        err = kv_cursor_seek(writing->kv, cursor, replica_key_span(&from), &key, &value);
        if (err || key.size != from.size || memcmp(key.data, from.bytes, 4))
            break;
        epoch = get_u64be(key.data + 4);
        hno = get_u64be(key.data + 12);
        if (epoch == origin->head.epoch && hno + REPLICA_HEADS_KEPT > origin->head.hno)
            break;
        from = replica_key_head(origin->number, epoch, hno); /* A write ends what was borrowed. */
        if (head_may_go(&origin->head, origin->unproven_hno, epoch, hno)) {
            err = kv_del(writing->kv, KV_HEAD, replica_key_span(&from));
            dropped++;
        }
        from = replica_key_head(origin->number, epoch, hno + 1);
    }
    kv_cursor_close(writing->kv, cursor);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

/*
 * The head moves on. If the new one does not itself name the one held until
 * now, only a path can show whether it descends from that.
 */
static void ancestry_note(struct replica_origin *origin, const struct head *head)
{
    const struct head *before = &origin->head;

    if (!origin->has_head || before->epoch != head->epoch || before->hno >= head->hno) {
        origin->unproven_hno = 0;
        return;
    }
    if (origin->unproven_hno ||
        (head->hno == before->hno + 1 &&
         memcmp(&head->prev, &origin->head_hash, sizeof(head->prev)) == 0) ||
        (head_jump(head->hno) == before->hno &&
         memcmp(&head->skip, &origin->head_hash, sizeof(head->skip)) == 0))
        return;
    origin->unproven_hno = before->hno;
}

enum torg_err replica_head_write(struct replica_writing *writing, const struct signed_span *head,
                                 const struct head *parsed, const struct hash *hash, int64_t now_ms)
{
    struct replica_origin *origin = writing->origin;
    struct replica_key key = replica_key_head(origin->number, parsed->epoch, parsed->hno);
    bool first = !origin->has_head;
    bool new_epoch = !first && parsed->epoch != origin->head.epoch;
    bool goes_on = first ? parsed->hno == 1 : !new_epoch && parsed->hno > origin->head.hno;
    bool prune = new_epoch || parsed->hno / PRUNE_EVERY != origin->head.hno / PRUNE_EVERY;
    enum torg_err err;

    buffer_clear(&writing->scratch);
    signed_pack(head->bytes, &head->signature, &writing->scratch);
    err = writing->scratch.err;
    if (!err)
        err = kv_put(writing->kv, KV_HEAD, replica_key_span(&key), buffer_span(&writing->scratch));
    if (err)
        return replica_fatal(err);
    if (new_epoch)
        origin->flags &= ~REPLICA_FLAG_DISPUTED;
    origin->flags &= ~REPLICA_FLAG_FAULTY;
    ancestry_note(origin, parsed);
    origin->has_head = true;
    origin->head = *parsed;
    origin->head_hash = *hash;
    origin->received_ms = now_ms;
    writing->cut = !goes_on;
    return prune ? replica_fatal(heads_prune(writing)) : TORG_OK;
}

/* ---- listings ---- */

/* What is held of a listing before an edit. */
struct held {
    bool live;
    bool has_payload;
    struct hash header_hash;
    uint64_t seq;
};

static enum torg_err held_get(const struct replica_writing *writing,
                              const struct replica_edit *edit, struct held *ret_held)
{
    struct replica_key key =
        replica_key_live(writing->origin->number, edit->collection, &edit->key);
    struct change_header header;
    struct replica_live live;
    struct span value;
    enum torg_err err;

    *ret_held = (struct held){0};
    err = kv_get(writing->kv, KV_LIVE, replica_key_span(&key), &value);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_OK : err;
    if (replica_live_read(value, &live) || change_header_parse(live.header, &header))
        return TORG_E_CORRUPT;
    *ret_held = (struct held){.live = true,
                              .has_payload = live.payload.size != 0,
                              .header_hash = live.header_hash,
                              .seq = header.seq};
    return TORG_OK;
}

static enum torg_err tell(const struct replica_writing *writing, const struct replica_edit *edit)
{
    const struct replica_observer *observer = writing->observer;

    if (!observer)
        return TORG_OK;
    return observer->changed(observer->context, writing->kv, writing->origin, edit->collection,
                             &edit->key, edit_removes(edit) ? NULL : edit->entry);
}

static enum torg_err live_put(struct replica_writing *writing, const struct replica_edit *edit)
{
    struct replica_key key =
        replica_key_live(writing->origin->number, edit->collection, &edit->key);
    struct replica_live live = {.header_hash = edit->entry->header_hash,
                                .header = edit->entry->header_bytes,
                                .payload = edit->entry->payload};

    buffer_clear(&writing->scratch);
    replica_live_pack(&live, &writing->scratch);
    if (writing->scratch.err)
        return writing->scratch.err;
    return kv_put(writing->kv, KV_LIVE, replica_key_span(&key), buffer_span(&writing->scratch));
}

/* The listing's new version into live and log; the old version's row goes. */
static enum torg_err version_replace(struct replica_writing *writing,
                                     const struct replica_edit *edit, const struct held *held)
{
    enum torg_err err;

    if (held->live)
        err = replica_log_delete(writing, edit, held->seq);
    else
        err = replica_tombstone_replace(writing, edit->collection, &edit->key);
    if (!err)
        err = live_put(writing, edit);
    if (!err)
        err = replica_log_put(writing, edit, edit->entry->header.seq);
    return err;
}

/* A live listing without its payload is counted; now it is not one any more. */
static enum torg_err missing_end(struct replica_writing *writing, const struct replica_edit *edit,
                                 const struct held *held)
{
    if (!held->live || held->has_payload)
        return TORG_OK;
    if (writing->origin->missing[edit->collection] == 0)
        return TORG_E_CORRUPT;
    writing->origin->missing[edit->collection]--;
    return TORG_OK;
}

static bool holds_version(const struct held *held, const struct replica_entry *entry)
{
    return held->live &&
           memcmp(&held->header_hash, &entry->header_hash, sizeof(held->header_hash)) == 0;
}

static enum torg_err upsert(struct replica_writing *writing, const struct replica_edit *edit,
                            const struct held *held)
{
    bool has_payload = edit->entry->payload.size != 0;
    bool same = holds_version(held, edit->entry);
    enum torg_err err;

    if (same && (held->has_payload || !has_payload))
        return TORG_OK;
    err = same ? live_put(writing, edit) : version_replace(writing, edit, held);
    if (!err)
        err = missing_end(writing, edit, held);
    if (err)
        return err;
    if (!has_payload)
        writing->origin->missing[edit->collection]++;
    return tell(writing, edit);
}

static enum torg_err erase(struct replica_writing *writing, const struct replica_edit *edit,
                           const struct held *held)
{
    struct replica_key key =
        replica_key_live(writing->origin->number, edit->collection, &edit->key);
    enum torg_err err;

    if (!held->live && !edit->entry)
        return TORG_OK;
    if (held->live) {
        err = kv_del(writing->kv, KV_LIVE, replica_key_span(&key));
        if (!err)
            err = replica_log_delete(writing, edit, held->seq);
        if (!err)
            err = missing_end(writing, edit, held);
    } else {
        err = replica_tombstone_replace(writing, edit->collection, &edit->key);
    }
    if (!err && edit->entry)
        err = replica_tombstone_put(writing, edit->entry);
    if (!err && held->live)
        err = tell(writing, edit);
    return err;
}

static enum torg_err tries_write(const struct replica_plan *plan, struct replica_writing *writing)
{
    struct replica_origin *origin = writing->origin;
    enum torg_err err = TORG_OK;

    for (unsigned i = 1; i < COLLECTIONS_MAX && !err; i++) {
        struct replica_trie trie;
        struct trie_store store;

        if (!plan->tries[i])
            continue;
        replica_trie_init_writable(&trie, writing->kv, origin->number, (uint8_t)i, &store);
        err = trie_plan_write(plan->tries[i], &store);
        replica_trie_done(&trie);
        origin->held[i] = trie_plan_root(plan->tries[i]);
    }
    return err;
}

enum torg_err replica_plan_write(const struct replica_plan *plan, struct replica_writing *writing)
{
    enum torg_err err = tries_write(plan, writing);

    for (size_t i = 0; i < plan->count && !err; i++) {
        const struct replica_edit *edit = &plan->edits[i];
        struct held held;

        err = held_get(writing, edit, &held);
        if (err)
            break;
        err = edit_removes(edit) ? erase(writing, edit, &held) : upsert(writing, edit, &held);
    }
    return replica_fatal(err);
}

enum torg_err replica_payload_write(struct replica_writing *writing,
                                    const struct replica_entry *entry, bool *ret_written)
{
    struct replica_edit edit = {
        .collection = entry->header.collection, .key = entry->key, .entry = entry};
    struct held held;
    enum torg_err err = held_get(writing, &edit, &held);

    *ret_written = false;
    if (err || !holds_version(&held, entry) || held.has_payload)
        return replica_fatal(err);
    err = live_put(writing, &edit);
    if (!err)
        err = missing_end(writing, &edit, &held);
    if (!err)
        err = tell(writing, &edit);
    if (!err)
        *ret_written = true;
    return replica_fatal(err);
}
