/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdio.h>
#include <string.h>

#include "daemon/peers_internal.h"

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

void peers_view_refresh(struct peers *peers)
{
    struct sync_counters counters;

    sync_counters(peers->sync, &counters);
    pthread_mutex_lock(&peers->mutex);
    peers->counters = counters;
    for (uint32_t i = 0; i < peers->view_count; i++)
        view_put(peers, i, &peers->views[i]);
    for (size_t i = 0; i < peers->claim_count; i++) {
        struct peers_claim *claim = &peers->claims[i];

        claim->known = sync_origin_status(peers->sync, &claim->origin, &claim->status);
    }
    pthread_mutex_unlock(&peers->mutex);
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

bool peers_origin_status(const struct peers *peers, const struct origin_id *origin,
                         struct sync_origin_status *ret_status)
{
    bool known = false;

    pthread_mutex_lock(mutex_of(peers));
    for (size_t i = 0; i < peers->claim_count && !known; i++) {
        const struct peers_claim *claim = &peers->claims[i];

        if (memcmp(&claim->origin, origin, sizeof(*origin)) != 0)
            continue;
        known = claim->known;
        *ret_status = claim->status;
        break;
    }
    pthread_mutex_unlock(mutex_of(peers));
    return known;
}
