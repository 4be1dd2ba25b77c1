/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/peers.h"

#include <stdio.h>
#include <stdlib.h>

#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/peers_internal.h"

#define MAILBOX_MAX 4096
#define REFRESH_MS 200 /* of the view that other threads get */
#define GOODBYE_MS_MAX 1000

void peers_timer_set(struct event *timer, int64_t ms)
{
    struct timeval after = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    evtimer_add(timer, &after);
}

static void on_refresh(evutil_socket_t fd, short what, void *context)
{
    struct peers *peers = context;

    (void)fd;
    (void)what;
    if (!peers->stopping) {
        peers_step_own_tell(peers);
        peers_view_refresh(peers);
    } else {
        struct transport_counters counters;

        transport_counters(peers->transport, &counters);
        if (counters.links == 0 || clock_monotonic_ms() >= peers->goodbye_ms)
            loop_stop(peers->loop);
    }
    peers_timer_set(peers->refresh, peers->stopping ? REFRESH_MS / 10 : REFRESH_MS);
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
    struct peers *peers = context;
    struct sync_event event = {.kind = SYNC_EVENT_TICK};

    (void)fd;
    (void)what;
    peers_step(peers, &event);
}

static enum torg_err peers_make(struct peers *peers, const struct secret_key *node_key,
                                char *message)
{
    struct event_base *base;
    enum torg_err err = loop_new(MAILBOX_MAX, &peers->loop);

    if (err)
        return err;
    base = loop_base(peers->loop);
    peers->tick = evtimer_new(base, on_tick, peers);
    peers->refresh = evtimer_new(base, on_refresh, peers);
    peers->retry = evtimer_new(base, peers_store_retry, peers);
    if (!peers->tick || !peers->refresh || !peers->retry)
        return TORG_E_NOMEM;
    err = peers_link_transport_make(peers, node_key);
    if (!err)
        err = resolver_new(peers->loop, peers_link_resolved, peers, &peers->resolver);
    if (!err)
        err = peers_config_sync_make(peers);
    if (!err)
        err = peers_link_listen(peers, message);
    return err;
}

enum torg_err peers_new(const struct node *node, const struct secret_key *node_key,
                        struct peers **ret_peers, char *message)
{
    struct peers *peers = calloc(1, sizeof(*peers));
    struct sync_event first = {.kind = SYNC_EVENT_TICK};
    enum torg_err err;

    message[0] = 0;
    if (!peers)
        return TORG_E_NOMEM;
    peers->node = node;
    peers->config = node->config;
    peers->node_key = seal_public_key(node_key);
    peers->waiting_last = &peers->waiting;
    peers->started_ms = clock_monotonic_ms();
    pthread_mutex_init(&peers->mutex, NULL);
    err = peers_make(peers, node_key, message);
    if (err) {
        if (!message[0])
            snprintf(message, PEERS_MESSAGE_BYTES_MAX, "peers cannot start: %s",
                     torg_err_text(err));
        peers_free(peers);
        return err;
    }
    /* The own origin as it stands now counts as published: before anything is written. */
    peers_step(peers, &first);
    peers_view_refresh(peers);
    peers_timer_set(peers->refresh, 0);
    writer_on_published(node->writer, peers->loop, peers_step_published, peers);
    *ret_peers = peers;
    return TORG_OK;
}

static void *peers_thread(void *context)
{
    struct peers *peers = context;

    if (loop_run(peers->loop))
        log_event(LOG_ERROR, "peers.loop", "err=\"%s\"", torg_err_text(TORG_E_INTERNAL));
    return NULL;
}

enum torg_err peers_start(struct peers *peers)
{
    if (pthread_create(&peers->thread, NULL, peers_thread, peers) != 0)
        return TORG_E_NOMEM;
    peers->started = true;
    return TORG_OK;
}

static void on_stop(void *context)
{
    struct peers *peers = context;

    peers->stopping = true;
    peers->goodbye_ms = clock_monotonic_ms() + GOODBYE_MS_MAX;
    resolver_stop(peers->resolver);
    sync_actions_clear(&peers->actions);
    sync_goodbye(peers->sync, &peers->actions);
    peers_step_carry_out(peers);
    peers_timer_set(peers->refresh, 0);
}

void peers_stop(struct peers *peers)
{
    if (!peers || !peers->started)
        return;
    loop_answer(peers->loop, on_stop, peers);
    pthread_join(peers->thread, NULL);
    peers->started = false;
}

void peers_free(struct peers *peers)
{
    if (!peers)
        return;
    peers_stop(peers);
    peers->stopping = true;
    resolver_stop(peers->resolver);
    transport_free(peers->transport);
    if (peers->tick)
        event_free(peers->tick);
    if (peers->refresh)
        event_free(peers->refresh);
    if (peers->retry)
        event_free(peers->retry);
    while (peers->waiting) {
        struct peers_stored *stored = peers->waiting;

        peers->waiting = stored->next;
        sync_store_free(stored->store);
        free(stored);
    }
    loop_free(peers->loop); /* runs the writer's last answers */
    resolver_free(peers->resolver);
    while (peers->dials)
        peers_link_dial_free(peers, peers->dials);
    sync_free(peers->sync);
    sync_actions_done(&peers->actions);
    config_done(&peers->reloaded);
    free(peers->extras);
    free(peers->views);
    free(peers->claims);
    pthread_mutex_destroy(&peers->mutex);
    free(peers);
}
