/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/peers_internal.h"
#include "protocol/frame.h"

#define REFUSED_LOG_MS 1000 /* one line in that time; the rest is counted */

/* ---- dialling ---- */

static struct peers_dial *dial_find(const struct peers *peers, uint32_t number)
{
    struct peers_dial *dial = peers->dials;

    while (dial && dial->number != number)
        dial = dial->next;
    return dial;
}

void peers_link_dial_free(struct peers *peers, struct peers_dial *dial)
{
    struct peers_dial **at = &peers->dials;

    while (*at != dial)
        at = &(*at)->next;
    *at = dial->next;
    free(dial);
}

static void dial_ended(struct peers *peers, struct peers_dial *dial, const char *why)
{
    struct sync_event event = {.kind = SYNC_EVENT_DIAL_FAILED, .err = TORG_E_IO};
    char value[LOG_VALUE_BYTES_MAX];
    struct peers_extra *extra = NULL;

    if (peers_config_by_name(peers, dial->peer, &event.peer))
        extra = &peers->extras[event.peer];
    /* The first of a row says why; the rest would only say it again. */
    log_event(extra && !extra->unreached ? LOG_WARN : LOG_DEBUG, "peer.unreached", "peer=%s err=%s",
              dial->peer, log_value(value, why));
    peers_link_dial_free(peers, dial);
    if (!extra)
        return;
    extra->tried = true;
    extra->unreached = true;
    peers_step(peers, &event);
}

static void dial_next(struct peers *peers, struct peers_dial *dial, const char *why)
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

void peers_link_resolved(void *context, uint32_t number, const struct resolver_address *addresses,
                         size_t count, const char *why)
{
    struct peers *peers = context;
    struct peers_dial *dial = dial_find(peers, number);

    if (!dial)
        return;
    memcpy(dial->addresses, addresses, count * sizeof(*addresses));
    dial->count = count;
    dial_next(peers, dial, why ? why : "no address");
}

void peers_link_dial(struct peers *peers, uint32_t index)
{
    const struct config_peer *peer = &peers->config->peers[index];
    struct peers_dial *dial = calloc(1, sizeof(*dial));

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
    struct peers_dial *dial = number ? dial_find(peers, number) : NULL;
    struct sync_event event = {
        .kind = SYNC_EVENT_CONNECTED, .link = link, .key = *key, .dialled = number != 0};
    bool known = dial ? peers_config_by_name(peers, dial->peer, &event.peer)
                      : peers_config_by_key(peers, key, &event.peer);

    if (dial)
        peers_link_dial_free(peers, dial);
    if (!known || peers->stopping) {
        transport_close(peers->transport, link); /* gone by a reload, or too late */
        return;
    }
    transport_address(peers->transport, link, peers->extras[event.peer].address);
    peers->extras[event.peer].link = link;
    peers->extras[event.peer].unreached = false;
    peers_step(peers, &event);
}

static void on_bytes(void *context, uint32_t link, struct span bytes)
{
    struct sync_event event = {.kind = SYNC_EVENT_BYTES, .link = link, .bytes = bytes};
    struct peers *peers = context;
    struct frame_prefix prefix;

    /* A commit that is pushed will be the writer's as soon as it has been checked. */
    if (!frame_prefix_read(bytes, &prefix) && prefix.type == FRAME_BATCH)
        writer_expect(peers->node->writer);
    peers_step(peers, &event);
}

static void on_drained(void *context, uint32_t link, size_t queued_bytes)
{
    struct sync_event event = {
        .kind = SYNC_EVENT_DRAINED, .link = link, .queued_bytes = queued_bytes};

    peers_step(context, &event);
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
    peers_step(peers, &event);
}

static void on_dial_failed(void *context, uint32_t number, const char *why)
{
    struct peers *peers = context;
    struct peers_dial *dial = dial_find(peers, number);

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

/* ---- begin ---- */

enum torg_err peers_link_listen(struct peers *peers, char *message)
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

enum torg_err peers_link_transport_make(struct peers *peers, const struct secret_key *node_key)
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
