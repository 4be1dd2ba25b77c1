/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdlib.h>

#include "daemon/peers_internal.h"

#define RETRY_STORE_MS 20

static void stored_tell(struct peers_stored *stored)
{
    struct peers *peers = stored->peers;
    struct sync_event event = {
        .kind = SYNC_EVENT_STORED, .ticket = stored->ticket, .err = stored->err};

    free(stored);
    peers_step(peers, &event);
}

static void on_stored_later(void *context)
{
    stored_tell(context);
}

static void waiting_retry(struct peers *peers);

static void on_stored(void *context, const struct writer_result *result)
{
    struct peers_stored *stored = context;
    struct peers *peers = stored->peers;

    stored->err = result->err;
    stored_tell(stored);
    if (!peers->stopping)
        waiting_retry(peers);
}

/* Give it to the writer. false: its queue is full. */
static bool stored_submit(struct peers *peers, struct peers_stored *stored)
{
    enum torg_err err =
        writer_submit_store(peers->node->writer, stored->store, peers->loop, on_stored, stored);

    if (err == TORG_E_BUSY && !peers->stopping)
        return false;
    if (err) {
        sync_store_free(stored->store);
        stored->err = err;
        /* Not now: a step may be going on. */
        loop_answer(peers->loop, on_stored_later, stored);
    }
    stored->store = NULL; /* the writer's, or gone */
    return true;
}

void peers_store(struct peers *peers, struct sync_action *action)
{
    struct peers_stored *stored = calloc(1, sizeof(*stored));

    if (!stored)
        abort(); /* sync would wait for its end for ever; see loop_answer */
    *stored =
        (struct peers_stored){.peers = peers, .ticket = action->ticket, .store = action->store};
    action->store = NULL;
    if (!peers->waiting && stored_submit(peers, stored))
        return;
    *peers->waiting_last = stored;
    peers->waiting_last = &stored->next;
    transport_pause(peers->transport, true); /* until the writer has caught up */
    peers_timer_set(peers->retry, RETRY_STORE_MS);
}

static void waiting_retry(struct peers *peers)
{
    while (peers->waiting) {
        struct peers_stored *stored = peers->waiting, *next = stored->next;

        if (!stored_submit(peers, stored)) {
            peers_timer_set(peers->retry, RETRY_STORE_MS);
            return;
        }
        peers->waiting = next;
        if (!next)
            peers->waiting_last = &peers->waiting;
    }
    transport_pause(peers->transport, false);
}

void peers_store_retry(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    waiting_retry(context);
}
