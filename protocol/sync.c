/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/sync.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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
    err = sync_members_follow(sync);
    if (!err)
        err = sync_visible_follow(sync);
    if (!err)
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

bool sync_origin_status(const struct sync *sync, const struct origin_id *id,
                        struct sync_origin_status *ret_status)
{
    uint32_t index = sync_origin_index(sync, id);
    struct origin_id found;

    return index != SYNC_NONE && sync_origin_at(sync, index, &found, ret_status);
}

bool sync_origin_at(const struct sync *sync, uint32_t index, struct origin_id *ret_origin,
                    struct sync_origin_status *ret_status)
{
    struct sync_origin_status status = {.trusted = true};
    const struct origin_id *id;

    if (index >= sync->origin_count)
        return false;
    id = &sync->origins[index].id;
    status.collections =
        sync->origins[index].known ? sync->origins[index].wanted : sync->origins[index].subscribed;
    status.throttled = sync_rate_throttled(sync, index);
    status.quota = sync->origins[index].quota;
    status.over_quota = sync->origins[index].over_quota;
    status.listings = sync->origins[index].quota_listings;
    status.claimed = sync_claimed_head(sync, id, &status.claimed_epoch, &status.claimed_hno);
    *ret_origin = *id;
    *ret_status = status;
    return true;
}
