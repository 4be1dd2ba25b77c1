/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdio.h>
#include <stdlib.h>
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

/* Room for one more; without memory the last ones are not seen for a while. */
static bool claim_room(struct peers *peers)
{
    size_t capacity = peers->claim_capacity ? 2 * peers->claim_capacity : 64;
    struct peers_claim *grown;

    if (peers->claim_count < peers->claim_capacity)
        return true;
    grown = realloc(peers->claims, capacity * sizeof(*grown));
    if (!grown)
        return false;
    peers->claims = grown;
    peers->claim_capacity = capacity;
    return true;
}

static void claims_refresh(struct peers *peers)
{
    struct peers_claim claim;

    peers->claim_count = 0;
    for (uint32_t i = 0; sync_origin_at(peers->sync, i, &claim.origin, &claim.status); i++) {
        if (!claim_room(peers))
            return;
        peers->claims[peers->claim_count++] = claim;
    }
}

void peers_view_refresh(struct peers *peers)
{
    struct sync_counters counters;

    sync_counters(peers->sync, &counters);
    pthread_mutex_lock(&peers->mutex);
    peers->counters = counters;
    for (uint32_t i = 0; i < peers->view_count; i++)
        view_put(peers, i, &peers->views[i]);
    claims_refresh(peers);
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

static int claim_order(const void *key, const void *element)
{
    const struct peers_claim *claim = element;

    return memcmp(key, claim->origin.bytes, sizeof(claim->origin.bytes));
}

bool peers_origin_status(const struct peers *peers, const struct origin_id *origin,
                         struct sync_origin_status *ret_status)
{
    const struct peers_claim *claim = NULL;

    pthread_mutex_lock(mutex_of(peers));
    if (peers->claim_count)
        claim =
            bsearch(origin->bytes, peers->claims, peers->claim_count, sizeof(*claim), claim_order);
    if (claim)
        *ret_status = claim->status;
    pthread_mutex_unlock(mutex_of(peers));
    return claim != NULL;
}
