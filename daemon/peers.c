/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/peers.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/resolver.h"
#include "daemon/transport.h"

#define MAILBOX_MAX 4096
#define TICK_MS_MAX 1000 /* so that what the writer says is seen soon */
#define REFRESH_MS 200   /* of the view that other threads get */
#define GOODBYE_MS_MAX 1000
#define RETRY_STORE_MS 20
#define ASK_DIALLERS_MS_MAX 2000
#define REFUSED_LOG_MS 1000 /* one line in that time; the rest is counted */

/* A dial from its DIAL action to CONNECTED or DIAL_FAILED. */
struct dial {
    uint32_t number;
    char peer[64]; /* by name: a reload changes the indices */
    struct public_key keys[SYNC_PEER_KEYS_MAX];
    size_t key_count;
    struct resolver_address addresses[RESOLVER_ADDRESSES_MAX];
    size_t count, next_address;
    struct dial *next;
};

/* A STORE on its way to the writer and back. */
struct stored {
    struct peers *peers;
    uint64_t ticket;
    struct sync_store *store; /* while the writer's queue was full */
    enum torg_err err;
    struct stored *next;
};

/* What is known of a peer here and not in sync. */
struct extra {
    char address[TRANSPORT_ADDRESS_BYTES_MAX]; /* of its connection */
    uint32_t link;
    bool tried;     /* it was reached, or could not be, since the start */
    bool unreached; /* its last dial failed, which is in the log */
};

struct claim {
    struct origin_id origin;
    bool claimed;
    uint64_t epoch, hno;
};

struct peers {
    const struct node *node;
    struct loop *loop;
    pthread_t thread;
    bool started;
    uint16_t port;

    /* The thread's. */
    struct public_key node_key;
    const struct config *config; /* the node's, or reloaded */
    struct config reloaded;
    struct sync *sync;
    struct sync_actions actions;
    struct transport *transport;
    struct resolver *resolver;
    struct event *tick, *refresh, *retry;
    struct dial *dials;
    uint32_t last_dial;
    struct stored *waiting, **waiting_last; /* for room in the writer's queue */
    struct extra *extras;                   /* one for each peer of config */
    bool stepping, stopping, wants_own, asked;
    int64_t started_ms, goodbye_ms;
    int64_t refused_ms;
    uint64_t refused_unlogged;

    pthread_mutex_t mutex; /* over what other threads look at */
    struct peer_view *views;
    size_t view_count;
    struct claim *claims;
    size_t claim_count;
    struct sync_counters counters;
};

static void timer_set(struct event *timer, int64_t ms)
{
    struct timeval after = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    evtimer_add(timer, &after);
}

/* ---- peers by name, by key ---- */

static bool peer_by_name(const struct peers *peers, const char *name, uint32_t *ret_peer)
{
    for (uint32_t i = 0; i < peers->config->peer_count; i++) {
        if (strcmp(peers->config->peers[i].name, name) == 0) {
            *ret_peer = i;
            return true;
        }
    }
    return false;
}

static bool peer_by_key(const struct peers *peers, const struct public_key *key, uint32_t *ret_peer)
{
    for (uint32_t i = 0; i < peers->config->peer_count; i++) {
        const struct config_peer *peer = &peers->config->peers[i];

        for (size_t j = 0; j < peer->key_count; j++) {
            if (memcmp(&peer->keys[j], key, sizeof(*key)) == 0) {
                *ret_peer = i;
                return true;
            }
        }
    }
    return false;
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

static void carry_out(struct peers *peers);

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

static void step(struct peers *peers, struct sync_event *event)
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
    carry_out(peers);
    wait_ms = peers->actions.next_tick_ms - event->now_ms;
    if (wait_ms < 0 || own_follow(peers))
        wait_ms = 0;
    timer_set(peers->tick, wait_ms < TICK_MS_MAX ? wait_ms : TICK_MS_MAX);
    peers->stepping = false;
}

/* ---- dialling ---- */

static struct dial *dial_find(const struct peers *peers, uint32_t number)
{
    struct dial *dial = peers->dials;

    while (dial && dial->number != number)
        dial = dial->next;
    return dial;
}

static void dial_free(struct peers *peers, struct dial *dial)
{
    struct dial **at = &peers->dials;

    while (*at != dial)
        at = &(*at)->next;
    *at = dial->next;
    free(dial);
}

static void dial_ended(struct peers *peers, struct dial *dial, const char *why)
{
    struct sync_event event = {.kind = SYNC_EVENT_DIAL_FAILED, .err = TORG_E_IO};
    char value[LOG_VALUE_BYTES_MAX];
    struct extra *extra = NULL;

    if (peer_by_name(peers, dial->peer, &event.peer))
        extra = &peers->extras[event.peer];
    /* The first of a row says why; the rest would only say it again. */
    log_event(extra && !extra->unreached ? LOG_WARN : LOG_DEBUG, "peer.unreached", "peer=%s err=%s",
              dial->peer, log_value(value, why));
    dial_free(peers, dial);
    if (!extra)
        return;
    extra->tried = true;
    extra->unreached = true;
    step(peers, &event);
}

static void dial_next(struct peers *peers, struct dial *dial, const char *why)
{
    const struct resolver_address *to;

    if (peers->stopping || dial->next_address == dial->count) {
        dial_ended(peers, dial, why);
        return;
    }
    to = &dial->addresses[dial->next_address++];
    transport_dial(peers->transport, (const struct sockaddr *)&to->address, to->size, dial->keys,
                   dial->key_count, dial->number);
}

static void on_resolved(void *context, uint32_t number, const struct resolver_address *addresses,
                        size_t count, const char *why)
{
    struct peers *peers = context;
    struct dial *dial = dial_find(peers, number);

    if (!dial)
        return;
    memcpy(dial->addresses, addresses, count * sizeof(*addresses));
    dial->count = count;
    dial_next(peers, dial, why ? why : "no address");
}

static void dial_start(struct peers *peers, uint32_t index)
{
    const struct config_peer *peer = &peers->config->peers[index];
    struct dial *dial = calloc(1, sizeof(*dial));

    assert(index < peers->config->peer_count && peer->has_address);
    if (!dial)
        abort(); /* sync would wait for its end for ever; see loop_answer */
    if (++peers->last_dial == 0)
        peers->last_dial = 1;
    dial->number = peers->last_dial;
    snprintf(dial->peer, sizeof(dial->peer), "%s", peer->name);
    memcpy(dial->keys, peer->keys, sizeof(dial->keys));
    dial->key_count = peer->key_count;
    dial->next = peers->dials;
    peers->dials = dial;
    resolver_ask(peers->resolver, &peer->address, dial->number);
}

/* ---- what the transport says ---- */

static void on_connected(void *context, uint32_t link, const struct public_key *key,
                         uint32_t number)
{
    struct peers *peers = context;
    struct dial *dial = number ? dial_find(peers, number) : NULL;
    struct sync_event event = {
        .kind = SYNC_EVENT_CONNECTED, .link = link, .key = *key, .dialled = number != 0};
    bool known =
        dial ? peer_by_name(peers, dial->peer, &event.peer) : peer_by_key(peers, key, &event.peer);

    if (dial)
        dial_free(peers, dial);
    if (!known || peers->stopping) {
        transport_close(peers->transport, link); /* gone by a reload, or too late */
        return;
    }
    transport_address(peers->transport, link, peers->extras[event.peer].address);
    peers->extras[event.peer].link = link;
    peers->extras[event.peer].unreached = false;
    step(peers, &event);
}

static void on_bytes(void *context, uint32_t link, struct span bytes)
{
    struct sync_event event = {.kind = SYNC_EVENT_BYTES, .link = link, .bytes = bytes};

    step(context, &event);
}

static void on_drained(void *context, uint32_t link, size_t queued_bytes)
{
    struct sync_event event = {
        .kind = SYNC_EVENT_DRAINED, .link = link, .queued_bytes = queued_bytes};

    step(context, &event);
}

static void on_disconnected(void *context, uint32_t link, const char *why)
{
    struct peers *peers = context;
    struct sync_event event = {.kind = SYNC_EVENT_DISCONNECTED, .link = link};
    char value[LOG_VALUE_BYTES_MAX];

    for (size_t i = 0; i < peers->config->peer_count; i++) {
        if (peers->extras[i].link != link)
            continue;
        peers->extras[i].link = 0;
        peers->extras[i].tried = true;
        log_event(LOG_INFO, "peer.disconnected", "peer=%s link=%" PRIu32 " why=%s",
                  peers->config->peers[i].name, link, log_value(value, why));
    }
    step(peers, &event);
}

static void on_dial_failed(void *context, uint32_t number, const char *why)
{
    struct peers *peers = context;
    struct dial *dial = dial_find(peers, number);

    if (dial)
        dial_next(peers, dial, why);
}

/* Strangers may knock as fast as they like; the log must not fill up by it. */
static void on_refused(void *context, const char *address, const char *why)
{
    struct peers *peers = context;
    int64_t now_ms = clock_monotonic_ms();
    char value[LOG_VALUE_BYTES_MAX];

    if (now_ms < peers->refused_ms + REFUSED_LOG_MS) {
        peers->refused_unlogged++;
        return;
    }
    log_event(LOG_WARN, "peer.refused", "address=%s err=%s more=%" PRIu64, address,
              log_value(value, why), peers->refused_unlogged);
    peers->refused_ms = now_ms;
    peers->refused_unlogged = 0;
}

/* ---- storing ---- */

static void stored_tell(struct stored *stored)
{
    struct peers *peers = stored->peers;
    struct sync_event event = {
        .kind = SYNC_EVENT_STORED, .ticket = stored->ticket, .err = stored->err};

    free(stored);
    step(peers, &event);
}

static void on_stored_later(void *context)
{
    stored_tell(context);
}

static void waiting_retry(struct peers *peers);

static void on_stored(void *context, const struct writer_result *result)
{
    struct stored *stored = context;
    struct peers *peers = stored->peers;

    stored->err = result->err;
    stored_tell(stored);
    if (!peers->stopping)
        waiting_retry(peers);
}

/* Give it to the writer. false: its queue is full. */
static bool stored_submit(struct peers *peers, struct stored *stored)
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

static void store(struct peers *peers, struct sync_action *action)
{
    struct stored *stored = calloc(1, sizeof(*stored));

    if (!stored)
        abort(); /* sync would wait for its end for ever; see loop_answer */
    *stored = (struct stored){.peers = peers, .ticket = action->ticket, .store = action->store};
    action->store = NULL;
    if (!peers->waiting && stored_submit(peers, stored))
        return;
    *peers->waiting_last = stored;
    peers->waiting_last = &stored->next;
    transport_pause(peers->transport, true); /* until the writer has caught up */
    timer_set(peers->retry, RETRY_STORE_MS);
}

static void waiting_retry(struct peers *peers)
{
    while (peers->waiting) {
        struct stored *stored = peers->waiting, *next = stored->next;

        if (!stored_submit(peers, stored)) {
            timer_set(peers->retry, RETRY_STORE_MS);
            return;
        }
        peers->waiting = next;
        if (!next)
            peers->waiting_last = &peers->waiting;
    }
    transport_pause(peers->transport, false);
}

static void on_retry(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    waiting_retry(context);
}

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
        dial_start(peers, action->peer);
        break;
    case SYNC_ACTION_STORE:
        store(peers, action);
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

static void carry_out(struct peers *peers)
{
    for (size_t i = 0; i < peers->actions.count; i++)
        carry_out_one(peers, &peers->actions.items[i]);
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

/* Tell the writer what the peers know of the own origin, and how far the asking is. */
static void own_tell(struct peers *peers)
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
        timer_set(peers->tick, 0);
}

static void on_published(void *context)
{
    struct peers *peers = context;
    struct sync_event event = {.kind = SYNC_EVENT_PUBLISHED};

    step(peers, &event);
}

/* ---- what others see ---- */

static void view_put(struct peers *peers, uint32_t index, struct peer_view *view)
{
    const struct config_peer *peer = &peers->config->peers[index];
    char address[CONFIG_ADDRESS_BYTES_MAX] = "";

    snprintf(view->name, sizeof(view->name), "%s", peer->name);
    sync_peer_status(peers->sync, index, &view->status);
    if (view->status.state == SYNC_PEER_OPEN && peers->extras[index].address[0])
        snprintf(address, sizeof(address), "%s", peers->extras[index].address);
    else if (peer->has_address)
        config_address_format(&peer->address, address);
    snprintf(view->address, sizeof(view->address), "%.*s", (int)sizeof(view->address) - 1, address);
}

static void view_refresh(struct peers *peers)
{
    struct sync_counters counters;

    sync_counters(peers->sync, &counters);
    pthread_mutex_lock(&peers->mutex);
    peers->counters = counters;
    for (uint32_t i = 0; i < peers->view_count; i++)
        view_put(peers, i, &peers->views[i]);
    for (size_t i = 0; i < peers->claim_count; i++) {
        struct claim *claim = &peers->claims[i];

        claim->claimed = sync_claimed_head(peers->sync, &claim->origin, &claim->epoch, &claim->hno);
    }
    pthread_mutex_unlock(&peers->mutex);
}

static void on_refresh(evutil_socket_t fd, short what, void *context)
{
    struct peers *peers = context;

    (void)fd;
    (void)what;
    if (!peers->stopping) {
        own_tell(peers);
        view_refresh(peers);
    } else {
        struct transport_counters counters;

        transport_counters(peers->transport, &counters);
        if (counters.links == 0 || clock_monotonic_ms() >= peers->goodbye_ms)
            loop_stop(peers->loop);
    }
    timer_set(peers->refresh, peers->stopping ? REFRESH_MS / 10 : REFRESH_MS);
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
    struct peers *peers = context;
    struct sync_event event = {.kind = SYNC_EVENT_TICK};

    (void)fd;
    (void)what;
    step(peers, &event);
}

/* ---- configuration ---- */

/* What sync copies; the lists are ours to free. */
struct sync_lists {
    struct sync_peer_config *peers;
    struct origin_id *trusted;
    size_t trusted_count;
};

static void lists_done(struct sync_lists *lists)
{
    free(lists->peers);
    free(lists->trusted);
}

static enum torg_err lists_make(const struct peers *peers, const struct config *config,
                                struct sync_lists *ret_lists)
{
    struct sync_lists lists = {
        .peers = calloc(config->peer_count + 1, sizeof(*lists.peers)),
        .trusted = calloc(config->trust_count + 1, sizeof(*lists.trusted)),
    };
    const struct node *node = peers->node;
    bool own_listed = !node->has_own;

    if (!lists.peers || !lists.trusted) {
        lists_done(&lists);
        return TORG_E_NOMEM;
    }
    for (size_t i = 0; i < config->peer_count; i++) {
        const struct config_peer *peer = &config->peers[i];

        lists.peers[i] = (struct sync_peer_config){
            .name = peer->name, .key_count = peer->key_count, .dial = peer->has_address};
        memcpy(lists.peers[i].keys, peer->keys, sizeof(peer->keys));
    }
    for (size_t i = 0; i < config->trust_count; i++) {
        lists.trusted[lists.trusted_count++] = config->trust[i].origin;
        if (node->has_own && memcmp(&config->trust[i].origin, &node->own, sizeof(node->own)) == 0)
            own_listed = true;
    }
    if (!own_listed)
        lists.trusted[lists.trusted_count++] = node->own;
    *ret_lists = lists;
    return TORG_OK;
}

static struct sync_config sync_config_of(const struct peers *peers, const struct config *config,
                                         const struct sync_lists *lists)
{
    struct sync_config out = {
        .node_key = peers->node_key,
        .has_own = peers->node->has_own,
        .own = peers->node->own,
        .recovering = peers->wants_own,
        .peers = lists->peers,
        .peer_count = config->peer_count,
        .trusted = lists->trusted,
        .trusted_count = lists->trusted_count,
        .subscribe_mask = COLLECTION_MASK_ALL,
        .software = "torgd " TORG_VERSION,
        .limits = config->sync,
    };

    randombytes_buf(&out.seed, sizeof(out.seed));
    return out;
}

static enum torg_err pins_set(struct peers *peers, const struct config *config)
{
    struct public_key *pins;
    enum torg_err err;
    size_t count = 0;

    pins = calloc(config->peer_count * SYNC_PEER_KEYS_MAX + 1, sizeof(*pins));
    if (!pins)
        return TORG_E_NOMEM;
    for (size_t i = 0; i < config->peer_count; i++)
        for (size_t j = 0; j < config->peers[i].key_count; j++)
            pins[count++] = config->peers[i].keys[j];
    err = transport_set_pins(peers->transport, pins, count);
    free(pins);
    return err;
}

/* Room for what is seen of config's peers and origins; peers that stay keep theirs. */
static enum torg_err tables_make(struct peers *peers, const struct config *config,
                                 const struct sync_lists *lists)
{
    struct extra *extras = calloc(config->peer_count + 1, sizeof(*extras));
    struct peer_view *views = calloc(config->peer_count + 1, sizeof(*views));
    struct claim *claims = calloc(lists->trusted_count + 1, sizeof(*claims));
    uint32_t before;

    if (!extras || !views || !claims) {
        free(extras);
        free(views);
        free(claims);
        return TORG_E_NOMEM;
    }
    for (size_t i = 0; peers->extras && i < config->peer_count; i++)
        if (peer_by_name(peers, config->peers[i].name, &before))
            extras[i] = peers->extras[before];
    for (size_t i = 0; i < lists->trusted_count; i++)
        claims[i].origin = lists->trusted[i];
    free(peers->extras);
    peers->extras = extras;
    pthread_mutex_lock(&peers->mutex);
    free(peers->views);
    free(peers->claims);
    peers->views = views;
    peers->view_count = config->peer_count;
    peers->claims = claims;
    peers->claim_count = lists->trusted_count;
    pthread_mutex_unlock(&peers->mutex);
    return TORG_OK;
}

struct reload {
    struct peers *peers;
    struct config config;
};

static void on_reload(void *context)
{
    struct reload *reload = context;
    struct peers *peers = reload->peers;
    struct sync_lists lists;
    struct sync_config config;
    enum torg_err err;

    if (peers->stopping) {
        config_done(&reload->config);
        free(reload);
        return;
    }
    err = lists_make(peers, &reload->config, &lists);
    if (!err) {
        config = sync_config_of(peers, &reload->config, &lists);
        sync_actions_clear(&peers->actions);
        err = sync_reconfigure(peers->sync, &config, &peers->actions);
        if (!err)
            err = pins_set(peers, &reload->config);
        if (!err)
            err = tables_make(peers, &reload->config, &lists);
        lists_done(&lists);
    }
    if (err)
        abort(); /* out of memory in the middle: sync and this would count peers differently */
    config_done(&peers->reloaded);
    peers->reloaded = reload->config;
    peers->config = &peers->reloaded;
    free(reload);
    carry_out(peers);
    timer_set(peers->tick, 0);
    view_refresh(peers);
    log_event(LOG_INFO, "peers.reloaded", "peers=%zu origins=%zu", peers->config->peer_count,
              peers->config->trust_count);
}

enum torg_err peers_reload(struct peers *peers, struct config *config)
{
    struct reload *reload = malloc(sizeof(*reload));
    enum torg_err err;

    if (!reload)
        return TORG_E_NOMEM;
    *reload = (struct reload){.peers = peers, .config = *config};
    err = loop_post(peers->loop, on_reload, reload);
    if (err) {
        free(reload);
        return err;
    }
    config->peers = NULL;
    config->trust = NULL;
    return TORG_OK;
}

/* ---- life ---- */

static enum torg_err listen_all(struct peers *peers, char *message)
{
    const struct config *config = peers->config;

    for (size_t i = 0; i < config->peer_listen_count; i++) {
        char address[CONFIG_ADDRESS_BYTES_MAX];
        struct config_address bound = config->peer_listen[i];
        enum torg_err err = transport_listen(peers->transport, &bound, &bound.port);

        if (err) {
            int saved_errno = errno;

            snprintf(message, PEERS_MESSAGE_BYTES_MAX,
                     "cannot listen for peers at %s: %s; %s in [peer-listen] of %.200s",
                     config_address_format(&config->peer_listen[i], address),
                     err == TORG_E_IO ? strerror(saved_errno) : torg_err_text(err),
                     saved_errno == EADDRINUSE
                         ? "end the process that has this port, or set another"
                         : "set an address of this machine",
                     config->file);
            return err;
        }
        if (i == 0)
            peers->port = bound.port;
        log_event(LOG_INFO, "peers.listen", "address=%s", config_address_format(&bound, address));
    }
    return TORG_OK;
}

static enum torg_err transport_make(struct peers *peers, const struct secret_key *node_key)
{
    struct transport_options options = {
        .base = loop_base(peers->loop),
        .node_key = *node_key,
        .handshakes_max = peers->config->handshakes_max,
        .handshakes_per_address = peers->config->handshakes_per_address,
        .callbacks = {.context = peers,
                      .connected = on_connected,
                      .bytes = on_bytes,
                      .drained = on_drained,
                      .disconnected = on_disconnected,
                      .dial_failed = on_dial_failed,
                      .refused = on_refused},
    };
    enum torg_err err = transport_new(&options, &peers->transport);

    sodium_memzero(&options.node_key, sizeof(options.node_key));
    return err;
}

static enum torg_err sync_make(struct peers *peers)
{
    struct sync_lists lists;
    struct sync_config config;
    enum torg_err err = lists_make(peers, peers->config, &lists);

    if (err)
        return err;
    peers->wants_own = writer_wants_own(peers->node->writer);
    config = sync_config_of(peers, peers->config, &lists);
    err = sync_new(&config, &peers->sync);
    if (!err)
        err = pins_set(peers, peers->config);
    if (!err)
        err = tables_make(peers, peers->config, &lists);
    lists_done(&lists);
    return err;
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
    peers->retry = evtimer_new(base, on_retry, peers);
    if (!peers->tick || !peers->refresh || !peers->retry)
        return TORG_E_NOMEM;
    err = transport_make(peers, node_key);
    if (!err)
        err = resolver_new(peers->loop, on_resolved, peers, &peers->resolver);
    if (!err)
        err = sync_make(peers);
    if (!err)
        err = listen_all(peers, message);
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
    step(peers, &first);
    view_refresh(peers);
    timer_set(peers->refresh, 0);
    writer_on_published(node->writer, peers->loop, on_published, peers);
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
    carry_out(peers);
    timer_set(peers->refresh, 0);
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
        struct stored *stored = peers->waiting;

        peers->waiting = stored->next;
        sync_store_free(stored->store);
        free(stored);
    }
    loop_free(peers->loop); /* runs the writer's last answers */
    resolver_free(peers->resolver);
    while (peers->dials)
        dial_free(peers, peers->dials);
    sync_free(peers->sync);
    sync_actions_done(&peers->actions);
    config_done(&peers->reloaded);
    free(peers->extras);
    free(peers->views);
    free(peers->claims);
    pthread_mutex_destroy(&peers->mutex);
    free(peers);
}

/* ---- for other threads ---- */

/* C's const does not reach through a mutex. */
static pthread_mutex_t *mutex_of(const struct peers *peers)
{
    union {
        const struct peers *in;
        struct peers *out;
    } both = {.in = peers};

    return &both.out->mutex;
}

uint16_t peers_port(const struct peers *peers)
{
    return peers->port;
}

size_t peers_view(const struct peers *peers, struct peer_view *out, size_t max)
{
    size_t count;

    pthread_mutex_lock(mutex_of(peers));
    count = peers->view_count;
    if (max && count)
        memcpy(out, peers->views, (count < max ? count : max) * sizeof(*out));
    pthread_mutex_unlock(mutex_of(peers));
    return count;
}

void peers_counters(const struct peers *peers, struct sync_counters *ret_counters)
{
    pthread_mutex_lock(mutex_of(peers));
    *ret_counters = peers->counters;
    pthread_mutex_unlock(mutex_of(peers));
}

bool peers_claimed_head(const struct peers *peers, const struct origin_id *origin,
                        uint64_t *ret_epoch, uint64_t *ret_hno)
{
    bool claimed = false;

    pthread_mutex_lock(mutex_of(peers));
    for (size_t i = 0; i < peers->claim_count; i++) {
        const struct claim *claim = &peers->claims[i];

        if (memcmp(&claim->origin, origin, sizeof(*origin)) != 0)
            continue;
        claimed = claim->claimed;
        if (claimed) {
            *ret_epoch = claim->epoch;
            *ret_hno = claim->hno;
        }
        break;
    }
    pthread_mutex_unlock(mutex_of(peers));
    return claimed;
}
