/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/sync.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/sync_internal.h"

/* ---- actions ---- */

static void action_done(struct sync_action *action)
{
    buffer_done(&action->bytes);
    sync_store_free(action->store);
}

void sync_actions_clear(struct sync_actions *actions)
{
    for (size_t i = 0; i < actions->count; i++)
        action_done(&actions->items[i]);
    actions->count = 0;
}

void sync_actions_done(struct sync_actions *actions)
{
    sync_actions_clear(actions);
    free(actions->items);
    *actions = (struct sync_actions){0};
}

enum torg_err sync_action_add(struct sync *sync, enum sync_action_kind kind,
                              struct sync_action **ret_action)
{
    struct sync_actions *actions = sync->actions;

    if (actions->count == actions->capacity) {
        size_t capacity = actions->capacity ? 2 * actions->capacity : 16;
        struct sync_action *grown = realloc(actions->items, capacity * sizeof(*grown));

        if (!grown)
            return TORG_E_NOMEM;
        actions->items = grown;
        actions->capacity = capacity;
    }
    *ret_action = &actions->items[actions->count++];
    **ret_action = (struct sync_action){.kind = kind};
    return TORG_OK;
}

void sync_note(struct sync *sync, const char *event, const char *format, ...)
{
    struct sync_action *action = NULL;
    va_list arguments;

    if (sync_action_add(sync, SYNC_ACTION_NOTE, &action))
        return; /* a line of the log less */
    action->event = event;
    va_start(arguments, format);
    vsnprintf(action->text, sizeof(action->text), format, arguments);
    va_end(arguments);
}

/* SplitMix64 (Steele, Lea and Flood 2014): chance that a seed decides. */
uint64_t sync_random(struct sync *sync)
{
    uint64_t z = (sync->random += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* ---- origins ---- */

int sync_number_compare(uint64_t epoch_a, uint64_t hno_a, uint64_t epoch_b, uint64_t hno_b)
{
    if (epoch_a != epoch_b)
        return epoch_a < epoch_b ? -1 : 1;
    if (hno_a != hno_b)
        return hno_a < hno_b ? -1 : 1;
    return 0;
}

uint32_t sync_origin_index(const struct sync *sync, const struct origin_id *id)
{
    uint32_t low = 0, high = sync->origin_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = memcmp(sync->origins[middle].id.bytes, id->bytes, sizeof(id->bytes));

        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return SYNC_NONE;
}

bool sync_origin_whole(const struct sync_origin *origin)
{
    return origin->complete == origin->wanted;
}

void sync_origin_attend(struct sync *sync, uint32_t index)
{
    if (sync->origins[index].attention)
        return;
    sync->origins[index].attention = true;
    sync->attention[sync->attention_count++] = index;
}

void sync_origin_attend_all(struct sync *sync)
{
    for (uint32_t i = 0; i < sync->origin_count; i++)
        sync_origin_attend(sync, i);
}

void sync_origin_attend_at(struct sync *sync, uint32_t index, int64_t at_ms)
{
    if (at_ms < sync->origins[index].due_ms)
        sync->origins[index].due_ms = at_ms;
    if (at_ms < sync->origins_due_ms)
        sync->origins_due_ms = at_ms;
}

/* Collections that anybody may hold: only those cross the wire in this version. */
static enum torg_err public_mask(struct sync *sync, const struct replica_origin *record,
                                 uint32_t *ret_mask)
{
    struct charter_signed charter_signed;
    struct charter charter;
    uint32_t mask = 0;
    struct span stored;
    enum torg_err err;

    err = replica_charter_get(sync->read, record->number, record->charter_no, &stored);
    if (!err)
        err = charter_signed_parse(stored, &charter_signed);
    if (!err)
        err = charter_parse(charter_signed.bytes, &charter);
    if (err)
        return err == TORG_E_NOMEM ? err : TORG_E_CORRUPT;
    for (unsigned c = 1; c < COLLECTIONS_MAX; c++) {
        if (charter.visibility[c] == VISIBILITY_PUBLIC)
            mask |= UINT32_C(1) << c;
    }
    *ret_mask = mask;
    return TORG_OK;
}

/*
 * The head moves on. If it does not name the one held until now, only a path
 * can show whether it descends from that.
 */
static void ancestry_note(struct sync_origin *origin, const struct replica_origin *record)
{
    const struct head *head = &record->head;

    if (!origin->has_head || !record->has_head || head->epoch != origin->epoch) {
        origin->unproven_hno = 0;
        buffer_clear(&origin->suspect);
        return;
    }
    if (head->hno == origin->hno || origin->unproven_hno)
        return;
    if (head->hno == origin->hno + 1 &&
        memcmp(&head->prev, &origin->head_hash, sizeof(head->prev)) == 0)
        return;
    if (head_jump(head->hno) == origin->hno &&
        memcmp(&head->skip, &origin->head_hash, sizeof(head->skip)) == 0)
        return;
    origin->unproven_hno = origin->hno;
    origin->ancestry_failures = 0;
    origin->ancestry_retry_ms = 0;
}

static void take_head(struct sync_origin *origin, const struct replica_origin *record)
{
    ancestry_note(origin, record);
    if (record->has_head &&
        sync_number_compare(origin->epoch, origin->hno, record->head.epoch, record->head.hno) != 0)
        origin->behind_since_ms = -1; /* it moves: the wait for a batch begins anew */
    origin->has_head = record->has_head;
    origin->epoch = record->has_head ? record->head.epoch : 0;
    origin->hno = record->has_head ? record->head.hno : 0;
    origin->seq = record->has_head ? record->head.seq : 0;
    origin->head_hash = record->has_head ? record->head_hash : (struct hash){0};
    if (origin->pending == 0) {
        origin->expected_epoch = origin->epoch;
        origin->expected_hno = origin->hno;
    }
}

static uint64_t missing_of(const struct replica_origin *record)
{
    uint64_t missing = 0;

    for (unsigned c = 1; c < COLLECTIONS_MAX; c++)
        missing += record->missing[c];
    return missing;
}

static enum torg_err take_record(struct sync *sync, struct sync_origin *origin,
                                 const struct replica_origin *record)
{
    enum torg_err err = TORG_OK;

    if (!origin->known || origin->charter_no != record->charter_no)
        err = public_mask(sync, record, &origin->public_mask);
    if (err)
        return err;
    origin->known = true;
    origin->number = record->number;
    origin->charter_no = record->charter_no;
    origin->charter_epoch = record->charter_epoch;
    origin->flags = record->flags;
    take_head(origin, record);
    origin->wanted = origin->public_mask;
    if (!origin->own)
        origin->wanted &= sync->subscribe_mask;
    origin->complete = replica_complete_mask(record, origin->wanted);
    origin->missing = missing_of(record);
    origin->beat_epoch = record->has_beat ? record->beat.epoch : 0;
    origin->beat_hno = record->has_beat ? record->beat.hno : 0;
    origin->beat_ts_ms = record->has_beat ? record->beat.ts_ms : 0;
    return TORG_OK;
}

/* A new charter: heads that could not be taken before may be valid now. */
static void rows_reconsider(struct sync *sync, uint32_t index)
{
    for (uint32_t i = 0; i < sync->peer_count; i++) {
        if (sync->peers[i].rows)
            sync->peers[i].rows[index].useless = false;
    }
}

enum torg_err sync_origin_refresh(struct sync *sync, uint32_t index)
{
    struct sync_origin *origin = &sync->origins[index];
    struct sync_origin before = *origin;
    struct replica_origin record;
    enum torg_err err;

    origin->unread = false;
    err = replica_origin_get(sync->read, &origin->id, &record);
    if (err == TORG_E_NOT_FOUND)
        return TORG_OK;
    if (!err)
        err = take_record(sync, origin, &record);
    if (err) {
        origin->unread = true;
        sync_origin_attend_at(sync, index, sync->now_ms + SYNC_DIAL_MS_MIN);
        return err;
    }
    if (before.charter_no != origin->charter_no)
        rows_reconsider(sync, index);
    if (before.known && before.charter_no == origin->charter_no && before.epoch == origin->epoch &&
        before.hno == origin->hno && before.complete == origin->complete &&
        before.flags == origin->flags)
        return TORG_OK;
    sync_link_have_due(sync, index);
    sync_origin_attend(sync, index);
    return TORG_OK;
}

enum torg_err sync_own_missing(struct sync *sync, uint32_t index)
{
    struct replica_origin record;
    enum torg_err err = replica_origin_get(sync->read, &sync->origins[index].id, &record);

    if (err)
        return err;
    sync->origins[index].missing = missing_of(&record);
    return TORG_OK;
}

enum torg_err sync_head_check(struct sync *sync, uint32_t index, struct span head,
                              struct head *ret_head)
{
    struct signed_span signed_head = frame_head(head);
    struct replica_origin record;
    enum torg_err err;

    err = replica_origin_get(sync->read, &sync->origins[index].id, &record);
    if (err == TORG_E_NOT_FOUND)
        return TORG_E_GAP; /* not even its charter is here */
    if (!err)
        err = replica_head_check(sync->read, &record, &signed_head, ret_head);
    if (err)
        return err;
    /* It may be newer and valid, and name a past that is not ours. */
    err = replica_fork_find(sync->read, &record, &signed_head, NULL, 0, &sync->scratch);
    return !err && sync->scratch.size ? TORG_E_UNEXPECTED : err;
}

/* ---- our own origin, seen from outside ---- */

/* Is it validly signed, by the keys that speak for us now? */
static bool own_signature_valid(struct sync *sync, const struct sync_origin *origin,
                                const struct signed_span *signed_head, const struct head *head)
{
    struct charter_signed charter_signed;
    struct public_key key;
    struct charter charter;
    struct span stored;

    if (!origin->known || head->epoch != origin->charter_epoch)
        return false;
    if (replica_charter_get(sync->read, origin->number, origin->charter_no, &stored) ||
        charter_signed_parse(stored, &charter_signed) ||
        charter_parse(charter_signed.bytes, &charter) ||
        charter_signing_key(&charter, head->key_no, &key))
        return false;
    return !seal_verify(DOMAIN_HEAD, signed_head->bytes, &signed_head->signature, &key);
}

/* One that was published here, or from a past that is not here any more. */
static bool own_is_held(const struct sync *sync, const struct sync_origin *origin,
                        const struct head *head, const struct signed_span *signed_head)
{
    struct span stored;

    return replica_head_get(sync->read, origin->number, head->epoch, head->hno, &stored) ||
           span_equal(frame_head(stored).bytes, signed_head->bytes);
}

void sync_own_look(struct sync *sync, uint32_t index, struct span head_bytes)
{
    struct sync_origin *origin = &sync->origins[index];
    struct signed_span signed_head = frame_head(head_bytes);
    struct sync_action *action = NULL;
    struct head head;
    int order;

    if (head_parse(signed_head.bytes, &head) ||
        memcmp(head.origin.bytes, origin->id.bytes, sizeof(head.origin.bytes)) != 0)
        return;
    order = sync_number_compare(head.epoch, head.hno, origin->epoch, origin->hno);
    if (order <= 0 && own_is_held(sync, origin, &head, &signed_head))
        return;
    if (origin->ahead_told && origin->ahead_epoch == head.epoch && origin->ahead_hno == head.hno)
        return;
    if (!own_signature_valid(sync, origin, &signed_head, &head))
        return;
    if (sync_action_add(sync, SYNC_ACTION_OWN_AHEAD, &action))
        return;
    origin->ahead_told = true;
    origin->ahead_epoch = head.epoch;
    origin->ahead_hno = head.hno;
    action->epoch = head.epoch;
    action->hno = head.hno;
    action->event = order <= 0 ? "origin.forked" : "origin.ahead";
    snprintf(action->text, sizeof(action->text),
             " epoch=%" PRIu64 " hno=%" PRIu64 " published_epoch=%" PRIu64
             " published_hno=%" PRIu64,
             head.epoch, head.hno, origin->epoch, origin->hno);
}

/* ---- begin and end ---- */

struct sync_limits sync_limits_default(void)
{
    return (struct sync_limits){
        .live_credit_bytes = 1u << 20,
        .sync_credit_bytes = 4u << 20,
        .output_queue_bytes = 2u << 20,
        .sync_sessions_peer = 4,
        .sync_sessions_total = 16,
        .store_queue_writes = 64,
        .answer_bytes_per_s_min = 16384,
        .turn_ms = 60000,
    };
}

static void origin_done(struct sync_origin *origin)
{
    buffer_done(&origin->held_beat);
    buffer_done(&origin->suspect);
}

static int origin_order(const void *a, const void *b)
{
    const struct sync_origin *left = a, *right = b;

    return memcmp(left->id.bytes, right->id.bytes, sizeof(left->id.bytes));
}

/* The trusted origins and our own, each once, ascending. */
static enum torg_err origins_make(const struct sync_config *config,
                                  struct sync_origin **ret_origins, uint32_t *ret_count)
{
    struct sync_origin *origins;
    uint32_t count = 0, kept = 0;

    if (config->trusted_count >= ORIGINS_MAX)
        return TORG_E_TOO_BIG;
    origins = calloc(config->trusted_count + 1, sizeof(*origins));
    if (!origins)
        return TORG_E_NOMEM;
    for (size_t i = 0; i < config->trusted_count; i++)
        origins[count++].id = config->trusted[i];
    if (config->has_own)
        origins[count++].id = config->own;
    qsort(origins, count, sizeof(*origins), origin_order);
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || origin_order(&origins[kept - 1], &origins[i]) != 0)
            origins[kept++] = origins[i];
    }
    for (uint32_t i = 0; i < kept; i++) {
        struct sync_origin *origin = &origins[i];

        origin->own = config->has_own &&
                      memcmp(origin->id.bytes, config->own.bytes, sizeof(config->own.bytes)) == 0;
        origin->job = SYNC_NONE;
        origin->failed_peer = SYNC_NONE;
        origin->behind_since_ms = -1;
        origin->missing_collection = 1;
        origin->beat_tokens = SYNC_BEATS_BURST;
    }
    *ret_origins = origins;
    *ret_count = kept;
    return TORG_OK;
}

static enum torg_err peers_make(const struct sync_config *config, struct sync_peer **ret_peers)
{
    struct sync_peer *peers;

    if (config->peer_count > SYNC_PEERS_MAX)
        return TORG_E_TOO_BIG;
    peers = calloc(config->peer_count + 1, sizeof(*peers));
    if (!peers)
        return TORG_E_NOMEM;
    for (size_t i = 0; i < config->peer_count; i++) {
        const struct sync_peer_config *from = &config->peers[i];

        assert(from->key_count <= SYNC_PEER_KEYS_MAX);
        snprintf(peers[i].name, sizeof(peers[i].name), "%s", from->name ? from->name : "");
        memcpy(peers[i].keys, from->keys, sizeof(peers[i].keys));
        peers[i].key_count = from->key_count;
        peers[i].dial = from->dial;
        peers[i].status.rtt_ms = -1;
    }
    *ret_peers = peers;
    return TORG_OK;
}

static uint32_t at_least(uint32_t value, uint32_t min)
{
    return value < min ? min : value;
}

static void settings_take(struct sync *sync, const struct sync_config *config)
{
    sync->node_key = config->node_key;
    sync->has_own = config->has_own;
    sync->subscribe_mask = config->subscribe_mask & COLLECTION_MASK_ALL;
    sync->limits = config->limits;
    sync->limits.live_credit_bytes =
        at_least(sync->limits.live_credit_bytes, SYNC_CREDIT_BYTES_MIN);
    sync->limits.sync_credit_bytes =
        at_least(sync->limits.sync_credit_bytes, SYNC_CREDIT_BYTES_MIN);
    sync->limits.output_queue_bytes =
        at_least(sync->limits.output_queue_bytes, SYNC_CREDIT_BYTES_MIN);
    sync->limits.sync_sessions_peer = at_least(sync->limits.sync_sessions_peer, 1);
    sync->limits.sync_sessions_total = at_least(sync->limits.sync_sessions_total, 1);
    sync->limits.store_queue_writes = at_least(sync->limits.store_queue_writes, 1);
    sync->limits.answer_bytes_per_s_min = at_least(sync->limits.answer_bytes_per_s_min, 1);
    snprintf(sync->software, sizeof(sync->software), "%s",
             config->software ? config->software : "");
}

enum torg_err sync_new(const struct sync_config *config, struct sync **ret_sync)
{
    struct sync *sync = calloc(1, sizeof(*sync));
    enum torg_err err;

    if (!sync)
        return TORG_E_NOMEM;
    settings_take(sync, config);
    sync->recovering = config->recovering;
    sync->random = config->seed;
    sync->peer_count = (uint32_t)config->peer_count;
    sync->next_sid = 1;
    sync->next_serial = 1;
    sync->next_ticket = 1;
    sync->origins_due_ms = INT64_MAX;
    err = origins_make(config, &sync->origins, &sync->origin_count);
    if (!err)
        err = peers_make(config, &sync->peers);
    if (err)
        goto done;
    sync->attention = calloc(sync->origin_count + 1, sizeof(*sync->attention));
    sync->jobs = calloc(sync->limits.sync_sessions_total, sizeof(*sync->jobs));
    if (!sync->attention || !sync->jobs) {
        err = TORG_E_NOMEM;
        goto done;
    }
    *ret_sync = sync;
    sync = NULL;
done:
    sync_free(sync);
    return err;
}

void sync_free(struct sync *sync)
{
    if (!sync)
        return;
    for (uint32_t i = 0; sync->peers && i < sync->peer_count; i++)
        sync_peer_free(&sync->peers[i]);
    for (uint32_t i = 0; sync->origins && i < sync->origin_count; i++)
        origin_done(&sync->origins[i]);
    for (uint32_t i = 0; sync->jobs && i < sync->limits.sync_sessions_total; i++)
        sync_job_free(&sync->jobs[i]);
    for (size_t i = 0; i < sync->pending_count; i++)
        buffer_done(&sync->pending[i].relay);
    free(sync->peers);
    free(sync->origins);
    free(sync->attention);
    free(sync->jobs);
    free(sync->pending);
    buffer_done(&sync->scratch);
    frame_rows_done(&sync->rows);
    free(sync);
}

void sync_set_recovering(struct sync *sync, bool recovering)
{
    if (sync->recovering == recovering)
        return;
    sync->recovering = recovering;
    for (uint32_t i = 0; i < sync->origin_count; i++) {
        if (!sync->origins[i].own)
            continue;
        sync->origins[i].ahead_told = false;
        sync_serve_own(sync);
        if (sync->origins[i].job != SYNC_NONE)
            sync_job_end(sync, &sync->jobs[sync->origins[i].job], SYNC_AGAIN);
        sync_origin_attend(sync, i);
    }
}

/* ---- one step ---- */

static enum torg_err load(struct sync *sync)
{
    enum torg_err err = TORG_OK;

    if (sync->loaded)
        return TORG_OK;
    for (uint32_t i = 0; i < sync->origin_count && !err; i++)
        err = sync_origin_refresh(sync, i);
    sync->loaded = !err;
    return err;
}

static enum torg_err event_take(struct sync *sync, const struct sync_event *event)
{
    uint32_t peer = sync_peer_of_link(sync, event->link);

    switch (event->kind) {
    case SYNC_EVENT_TICK:
        return TORG_OK;
    case SYNC_EVENT_CONNECTED:
        return sync_peer_connected(sync, event);
    case SYNC_EVENT_BYTES:
        return peer == SYNC_NONE ? TORG_OK : sync_link_bytes(sync, peer, event->bytes);
    case SYNC_EVENT_DRAINED:
        if (peer == SYNC_NONE)
            return TORG_OK;
        session_drained(&sync->peers[peer].link->session, event->queued_bytes);
        sync_link_room(sync, peer);
        return TORG_OK;
    case SYNC_EVENT_DISCONNECTED:
        if (peer != SYNC_NONE)
            sync_peer_disconnected(sync, peer, "connection lost");
        return TORG_OK;
    case SYNC_EVENT_DIAL_FAILED:
        if (event->peer < sync->peer_count)
            sync_peer_dial_failed(sync, event->peer);
        return TORG_OK;
    case SYNC_EVENT_STORED:
        return sync_store_stored(sync, event->ticket, event->err);
    case SYNC_EVENT_PUBLISHED:
        return sync_live_published(sync);
    }
    return TORG_OK;
}

/* The store could not be read when it had something new; now perhaps it can. */
static enum torg_err origin_reread(struct sync *sync, uint32_t index)
{
    return sync->origins[index].own ? sync_live_published(sync) : sync_origin_refresh(sync, index);
}

/* Whose time has come; the others say when theirs will. */
static void origins_wake(struct sync *sync)
{
    if (sync->now_ms < sync->origins_due_ms)
        return;
    sync->origins_due_ms = INT64_MAX;
    for (uint32_t i = 0; i < sync->origin_count; i++) {
        struct sync_origin *origin = &sync->origins[i];

        if (origin->due_ms <= sync->now_ms) {
            origin->due_ms = INT64_MAX;
            sync_origin_attend(sync, i);
        } else if (origin->due_ms < sync->origins_due_ms) {
            sync->origins_due_ms = origin->due_ms;
        }
    }
}

/*
 * Who found no place for a job, now that one has ended. The last one is looked
 * at first, so each time another one is the last.
 */
static void starved_wake(struct sync *sync)
{
    if (!sync->starved || !sync->job_ended)
        return;
    sync->starved = false;
    sync->job_ended = false;
    sync->starved_turn = (sync->starved_turn + 1) % sync->origin_count;
    for (uint32_t i = 0; i < sync->origin_count; i++) {
        uint32_t index = (sync->starved_turn + i) % sync->origin_count;

        if (!sync->origins[index].starved)
            continue;
        sync->origins[index].starved = false;
        sync_origin_attend(sync, index);
    }
}

/* Origins whose time has come, and those that the event touched. */
static enum torg_err origins_pump(struct sync *sync)
{
    enum torg_err err = TORG_OK;

    origins_wake(sync);
    starved_wake(sync);
    /* Attending to one may ask for another: the list may grow, each at most once. */
    while (sync->attention_count > 0 && !err) {
        uint32_t origin = sync->attention[--sync->attention_count];

        sync->origins[origin].attention = false;
        if (sync->origins[origin].unread)
            err = origin_reread(sync, origin);
        if (!err)
            err = sync_fetch_attend(sync, origin);
        if (err)
            sync_origin_attend_at(sync, origin, sync->now_ms + SYNC_DIAL_MS_MIN);
    }
    return err;
}

static enum torg_err pump(struct sync *sync)
{
    enum torg_err err;

    sync_job_timeouts(sync);
    err = origins_pump(sync);
    for (uint32_t i = 0; i < sync->peer_count && !err; i++) {
        struct sync_link *link = sync->peers[i].link;

        if (link && link->serve_due)
            err = sync_serve_pump(sync, i);
        if (!err && link && link->rows_due)
            err = sync_link_flush(sync, i);
    }
    if (!err)
        err = sync_peer_pump(sync);
    return err;
}

static int64_t next_tick_ms(const struct sync *sync)
{
    int64_t next_ms = sync->starved && sync->job_ended ? sync->now_ms : sync->origins_due_ms;
    int64_t peers_ms = sync_peer_next_tick_ms(sync);
    int64_t jobs_ms = sync_job_next_tick_ms(sync);

    if (peers_ms < next_ms)
        next_ms = peers_ms;
    if (jobs_ms < next_ms)
        next_ms = jobs_ms;
    if (sync->attention_count > 0 && sync->now_ms < next_ms)
        next_ms = sync->now_ms;
    return next_ms;
}

static bool is_ending(enum sync_event_kind kind)
{
    return kind == SYNC_EVENT_STORED || kind == SYNC_EVENT_DISCONNECTED ||
           kind == SYNC_EVENT_DIAL_FAILED;
}

enum torg_err sync_step(struct sync *sync, const struct kv *read, const struct sync_event *event,
                        struct sync_actions *ret_actions)
{
    enum torg_err err;

    sync->read = read;
    sync->actions = ret_actions;
    sync->now_ms = event->now_ms;
    sync->clock_ms = event->clock_ms;
    err = load(sync);
    /* What ends something is heard even if nothing can be read: nobody says it again. */
    if (!err || is_ending(event->kind))
        err = event_take(sync, event);
    if (!err)
        err = pump(sync);
    ret_actions->next_tick_ms = next_tick_ms(sync);
    sync->read = NULL;
    sync->actions = NULL;
    return err;
}

/* ---- a new configuration ---- */

static uint32_t peer_named(const struct sync_peer *peers, size_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(peers[i].name, name) == 0)
            return i;
    }
    return SYNC_NONE;
}

static bool peer_has_key(const struct sync_peer *peer, const struct public_key *key)
{
    for (unsigned i = 0; i < peer->key_count; i++) {
        if (memcmp(peer->keys[i].bytes, key->bytes, sizeof(key->bytes)) == 0)
            return true;
    }
    return false;
}

/* old's row of each new origin, empty where there was none. */
static enum torg_err rows_move(const struct sync *sync, const struct sync_peer *old,
                               const struct sync_origin *origins, uint32_t count,
                               struct sync_row **ret_rows)
{
    struct sync_row *rows = calloc(count + 1, sizeof(*rows));

    if (!rows)
        return TORG_E_NOMEM;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t before = sync_origin_index(sync, &origins[i].id);

        rows[i] = (struct sync_row){.eager_in = true, .eager_out = true};
        if (before != SYNC_NONE)
            rows[i] = old->rows[before];
    }
    *ret_rows = rows;
    return TORG_OK;
}

/* Carry over what is known of the peers that stay; make their rows for the new origins. */
static enum torg_err peers_move(struct sync *sync, struct sync_peer *peers, size_t peer_count,
                                const struct sync_origin *origins, uint32_t origin_count)
{
    for (size_t i = 0; i < peer_count; i++) {
        uint32_t from = peer_named(sync->peers, sync->peer_count, peers[i].name);
        struct sync_peer *old = from == SYNC_NONE ? NULL : &sync->peers[from];
        enum torg_err err;

        if (!old)
            continue;
        peers[i].dialling = old->dialling;
        peers[i].dial_started_ms = old->dial_started_ms;
        peers[i].next_dial_ms = old->next_dial_ms;
        peers[i].failures = old->failures;
        peers[i].refused_until_ms = old->refused_until_ms;
        peers[i].status = old->status;
        peers[i].status.state = old->dialling ? SYNC_PEER_CONNECTING : SYNC_PEER_DOWN;
        if (!old->rows)
            continue;
        err = rows_move(sync, old, origins, origin_count, &peers[i].rows);
        if (err)
            return err;
        if (!old->link || !peer_has_key(&peers[i], &old->link_key))
            continue;
        peers[i].status.state = old->status.state;
        peers[i].link = old->link;
        peers[i].link_key = old->link_key;
        old->link = NULL;
    }
    return TORG_OK;
}

/* Origins that were known keep their beats' rate and what was said of our own. */
static void origins_move(const struct sync *sync, struct sync_origin *origins, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t before = sync_origin_index(sync, &origins[i].id);
        const struct sync_origin *old = before == SYNC_NONE ? NULL : &sync->origins[before];

        if (!old)
            continue;
        origins[i].pending = old->pending;
        origins[i].pending_beat = old->pending_beat;
        origins[i].expected_epoch = old->expected_epoch;
        origins[i].expected_hno = old->expected_hno;
        origins[i].beat_tokens = old->beat_tokens;
        origins[i].beat_at_ms = old->beat_at_ms;
        origins[i].ahead_told = old->ahead_told;
        origins[i].ahead_epoch = old->ahead_epoch;
        origins[i].ahead_hno = old->ahead_hno;
    }
}

static void pending_move(struct sync *sync, const struct sync_origin *origins, uint32_t count)
{
    for (size_t i = 0; i < sync->pending_count; i++) {
        struct sync_pending *pending = &sync->pending[i];
        const struct origin_id *id;
        uint32_t to = SYNC_NONE;

        if (pending->origin == SYNC_NONE)
            continue;
        id = &sync->origins[pending->origin].id;
        for (uint32_t j = 0; j < count && to == SYNC_NONE; j++) {
            if (memcmp(origins[j].id.bytes, id->bytes, sizeof(id->bytes)) == 0)
                to = j;
        }
        pending->origin = to;
    }
}

/* What is shared changes hands; what was made for the old configuration goes. */
static void swap(struct sync *sync, const struct sync_config *config, struct sync_origin *origins,
                 uint32_t origin_count, struct sync_peer *peers, uint32_t *attention)
{
    for (uint32_t i = 0; i < sync->peer_count; i++)
        sync_peer_free(&sync->peers[i]);
    for (uint32_t i = 0; i < sync->origin_count; i++)
        origin_done(&sync->origins[i]);
    free(sync->peers);
    free(sync->origins);
    free(sync->attention);
    sync->peers = peers;
    sync->peer_count = (uint32_t)config->peer_count;
    sync->origins = origins;
    sync->origin_count = origin_count;
    sync->attention = attention;
    sync->attention_count = 0;
    sync->loaded = false;
    sync->origins_due_ms = 0;
    settings_take(sync, config);
}

enum torg_err sync_reconfigure(struct sync *sync, const struct sync_config *config,
                               struct sync_actions *ret_actions)
{
    uint32_t sessions = sync->limits.sync_sessions_total;
    struct sync_origin *origins = NULL;
    struct sync_peer *peers = NULL;
    uint32_t *attention = NULL;
    uint32_t origin_count = 0;
    enum torg_err err;

    sync->actions = ret_actions;
    err = origins_make(config, &origins, &origin_count);
    if (!err)
        err = peers_make(config, &peers);
    if (!err) {
        attention = calloc(origin_count + 1, sizeof(*attention));
        err = attention ? TORG_OK : TORG_E_NOMEM;
    }
    if (err)
        goto done;
    for (uint32_t i = 0; i < sessions; i++) {
        if (sync->jobs[i].active)
            sync_job_end(sync, &sync->jobs[i], SYNC_AGAIN);
    }
    err = peers_move(sync, peers, config->peer_count, origins, origin_count);
    if (err)
        goto done; /* links that have moved already are lost below: they are dialled again */
    for (uint32_t i = 0; i < sync->peer_count; i++) {
        if (sync->peers[i].link)
            sync_peer_close(sync, i, TORG_E_NOT_TRUSTED, FRAME_CODE_NOT_MEMBER, "no longer a peer");
    }
    origins_move(sync, origins, origin_count);
    pending_move(sync, origins, origin_count);
    swap(sync, config, origins, origin_count, peers, attention);
    sync->limits.sync_sessions_total = sessions; /* the jobs stay as they were made */
    origins = NULL;
    peers = NULL;
    attention = NULL;
    for (uint32_t i = 0; i < sync->peer_count && !err; i++) {
        if (sync->peers[i].link && sync->peers[i].link->opened)
            err = sync_link_subscribe(sync, i);
    }
    if (!err)
        err = sync_peer_pump(sync);
done:
    for (size_t i = 0; peers && i < config->peer_count; i++)
        sync_peer_free(&peers[i]);
    free(peers);
    free(origins);
    free(attention);
    ret_actions->next_tick_ms = sync->now_ms;
    sync->actions = NULL;
    return err;
}

void sync_goodbye(struct sync *sync, struct sync_actions *ret_actions)
{
    sync->actions = ret_actions;
    for (uint32_t i = 0; i < sync->peer_count; i++) {
        if (sync->peers[i].link)
            sync_peer_close(sync, i, TORG_OK, FRAME_CODE_SHUTDOWN, "shutting down");
    }
    sync->actions = NULL;
}

/* ---- what operators see ---- */

void sync_counters(const struct sync *sync, struct sync_counters *ret_counters)
{
    *ret_counters = sync->counters;
}

bool sync_claimed_head(const struct sync *sync, const struct origin_id *origin, uint64_t *ret_epoch,
                       uint64_t *ret_hno)
{
    uint32_t index = sync_origin_index(sync, origin);
    const struct sync_row *best = NULL;

    for (uint32_t i = 0; index != SYNC_NONE && i < sync->peer_count; i++) {
        const struct sync_peer *peer = &sync->peers[i];
        const struct sync_row *row = peer->rows ? &peer->rows[index] : NULL;

        if (!row || !peer->link || !row->claimed || !sync_peer_believed(sync, row))
            continue;
        if (!best || sync_number_compare(row->epoch, row->hno, best->epoch, best->hno) > 0)
            best = row;
    }
    if (!best)
        return false;
    *ret_epoch = best->epoch;
    *ret_hno = best->hno;
    return true;
}
