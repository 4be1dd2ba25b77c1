/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>

#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/peers_internal.h"

#define TICK_MS_MAX 1000 /* so that what the writer says is seen soon */

#define ASK_DIALLERS_MS_MAX 2000

/* ---- actions ---- */

/* sync's texts begin with a space. */
static const char *text_of(const struct sync_action *action)
{
    return action->text + (action->text[0] == ' ');
}

static void carry_out_one(struct peers *peers, struct sync_action *action)
{
    switch (action->kind) {
    case SYNC_ACTION_SEND:
        transport_send(peers->transport, action->link, buffer_span(&action->bytes));
        break;
    case SYNC_ACTION_CLOSE:
        log_event(action->err ? LOG_WARN : LOG_INFO, action->event ? action->event : "peer.closed",
                  "%s", text_of(action));
        transport_close(peers->transport, action->link);
        break;
    case SYNC_ACTION_DIAL:
        peers_link_dial(peers, action->peer);
        break;
    case SYNC_ACTION_STORE:
        peers_store(peers, action);
        break;
    case SYNC_ACTION_NOTE:
        log_event(LOG_INFO, action->event, "%s", text_of(action));
        break;
    case SYNC_ACTION_OWN_AHEAD:
        log_event(LOG_ERROR, action->event, "%s", text_of(action));
        writer_ahead(peers->node->writer, action->epoch, action->hno);
        break;
    case SYNC_ACTION_OWN_BEAT:
        writer_beat_seen(peers->node->writer, action->writer, action->rival, action->ts_ms);
        break;
    }
}

void peers_step_carry_out(struct peers *peers)
{
    for (size_t i = 0; i < peers->actions.count; i++)
        carry_out_one(peers, &peers->actions.items[i]);
}

/* ---- a step ---- */

/*
 * A transaction that gives nothing but an error, for the step after the store
 * could not be read: sync must hear every event all the same.
 */
static enum torg_err broken_get(void *txn, enum kv_table table, struct span key,
                                struct span *ret_value)
{
    (void)txn;
    (void)table;
    (void)key;
    (void)ret_value;
    return TORG_E_IO;
}

static enum torg_err broken_cursor_open(void *txn, enum kv_table table,
                                        struct kv_cursor **ret_cursor)
{
    (void)txn;
    (void)table;
    (void)ret_cursor;
    return TORG_E_IO;
}

static const struct kv_ops broken_ops = {.get = broken_get, .cursor_open = broken_cursor_open};

/* As soon as the writer wants the own origin back, or has it, sync must know. */
static bool own_follow(struct peers *peers)
{
    bool wants = writer_wants_own(peers->node->writer);

    if (wants == peers->wants_own)
        return false;
    peers->wants_own = wants;
    sync_set_recovering(peers->sync, wants);
    return true;
}

void peers_step(struct peers *peers, struct sync_event *event)
{
    struct kv read = {.ops = &broken_ops};
    enum torg_err err, read_err;
    int64_t wait_ms;

    if (peers->stopping)
        return;               /* goodbye has been said */
    assert(!peers->stepping); /* callbacks come from the loop, never from within a step */
    peers->stepping = true;
    event->now_ms = clock_monotonic_ms();
    event->clock_ms = clock_wall_ms();
    read_err = store_read_begin(peers->node->store, &read);
    sync_actions_clear(&peers->actions);
    err = sync_step(peers->sync, &read, event, &peers->actions);
    if (!read_err)
        store_read_end(&read);
    if (err) {
        log_event(LOG_ERROR, "peers.step", "event=%d err=\"%s\" read=\"%s\"", (int)event->kind,
                  torg_err_text(err), torg_err_text(read_err));
        if (event->link)
            transport_close(peers->transport, event->link);
    }
    peers_step_carry_out(peers);
    wait_ms = peers->actions.next_tick_ms - event->now_ms;
    if (wait_ms < 0 || own_follow(peers))
        wait_ms = 0;
    peers_timer_set(peers->tick, wait_ms < TICK_MS_MAX ? wait_ms : TICK_MS_MAX);
    peers->stepping = false;
}

/* ---- the own origin ---- */

/* Does the peer still have something to say that is worth waiting for? */
static bool peer_is_awaited(const struct peers *peers, uint32_t index,
                            const struct sync_peer_status *status, int64_t asking_ms)
{
    uint64_t epoch, hno;

    if (status->answered)
        return false;
    if (status->state == SYNC_PEER_OPEN)
        return true;
    if (peers->extras[index].tried)
        return false; /* it may come back in minutes */
    if (peers->config->peers[index].has_address)
        return true;
    /* Who dials us comes soon if it was there before our restart; and knew nothing of a new one. */
    return asking_ms < ASK_DIALLERS_MS_MAX && writer_own_head(peers->node->writer, &epoch, &hno);
}

void peers_step_own_tell(struct peers *peers)
{
    int64_t asking_ms = clock_monotonic_ms() - peers->started_ms;
    uint64_t epoch = 0, hno = 0, own_epoch = 0, own_hno = 0;
    bool answered = false, awaited = false;

    if (!peers->node->has_own)
        return;
    for (uint32_t i = 0; i < peers->config->peer_count; i++) {
        struct sync_peer_status status;

        sync_peer_status(peers->sync, i, &status);
        answered = answered || status.answered;
        awaited = awaited || peer_is_awaited(peers, i, &status, asking_ms);
    }
    sync_claimed_head(peers->sync, &peers->node->own, &epoch, &hno);
    writer_own_head(peers->node->writer, &own_epoch, &own_hno);
    /* A newer one than ours is worth the rest of the time: it may be delivered, and true. */
    if (epoch > own_epoch || (epoch == own_epoch && hno > own_hno))
        awaited = true;
    peers->asked = peers->asked || !awaited || asking_ms >= peers->config->ask_peers_s * 1000;
    writer_told(peers->node->writer, peers->asked, answered, epoch, hno);
    if (own_follow(peers))
        peers_timer_set(peers->tick, 0);
}

void peers_step_published(void *context)
{
    struct peers *peers = context;
    struct sync_event event = {.kind = SYNC_EVENT_PUBLISHED};

    peers_step(peers, &event);
}
