/* SPDX-License-Identifier: EUPL-1.2 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/peers_internal.h"

bool peers_config_by_name(const struct peers *peers, const char *name, uint32_t *ret_peer)
{
    for (uint32_t i = 0; i < peers->config->peer_count; i++) {
        if (strcmp(peers->config->peers[i].name, name) == 0) {
            *ret_peer = i;
            return true;
        }
    }
    return false;
}

bool peers_config_by_key(const struct peers *peers, const struct public_key *key,
                         uint32_t *ret_peer)
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

/* ---- what sync and transport get ---- */

/* What sync copies; the lists are ours to free. */
struct sync_lists {
    struct sync_peer_config *peers;
    struct origin_id *trusted;
    uint32_t *masks;  /* of each */
    uint32_t *quotas; /* of each */
    const struct hash **charters;
    size_t trusted_count;
};

static void lists_done(struct sync_lists *lists)
{
    free(lists->peers);
    free(lists->trusted);
    free(lists->masks);
    free(lists->quotas);
    free(lists->charters);
}

static enum torg_err lists_make(const struct peers *peers, const struct config *config,
                                struct sync_lists *ret_lists)
{
    struct sync_lists lists = {
        .peers = calloc(config->peer_count + 1, sizeof(*lists.peers)),
        .trusted = calloc(config->trust_count + 1, sizeof(*lists.trusted)),
        .masks = calloc(config->trust_count + 1, sizeof(*lists.masks)),
        .quotas = calloc(config->trust_count + 1, sizeof(*lists.quotas)),
        .charters = calloc(config->trust_count + 1, sizeof(*lists.charters)),
    };
    const struct node *node = peers->node;
    bool own_listed = !node->has_own;

    if (!lists.peers || !lists.trusted || !lists.masks || !lists.quotas || !lists.charters) {
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
        lists.masks[lists.trusted_count] = config->trust[i].collections;
        lists.quotas[lists.trusted_count] = config->trust[i].listings;
        if (config->trust[i].charter_line)
            lists.charters[lists.trusted_count] = &config->trust[i].charter;
        lists.trusted[lists.trusted_count++] = config->trust[i].origin;
        if (node->has_own && memcmp(&config->trust[i].origin, &node->own, sizeof(node->own)) == 0)
            own_listed = true;
    }
    if (!own_listed) {
        lists.masks[lists.trusted_count] = COLLECTION_MASK_ALL;
        lists.trusted[lists.trusted_count++] = node->own;
    }
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
        .trusted_masks = lists->masks,
        .trusted_quotas = lists->quotas,
        .trusted_charters = lists->charters,
        .trusted_count = lists->trusted_count,
        .has_catalogue = config->has_catalogue,
        .catalogue = config->catalogue,
        .members_mask = config->collections,
        .subscribe_mask = COLLECTION_MASK_ALL,
        .software = "torgd " TORG_VERSION,
        .limits = config->sync,
    };

    out.limits.parts_max = (uint32_t)(peers->node->commit_bytes / PEERS_PART_COMMIT_BYTES);
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

/* Room for what is seen of config's peers; those that stay keep theirs. */
static enum torg_err tables_make(struct peers *peers, const struct config *config)
{
    struct peers_extra *extras = calloc(config->peer_count + 1, sizeof(*extras));
    struct peer_view *views = calloc(config->peer_count + 1, sizeof(*views));
    uint32_t before;

    if (!extras || !views) {
        free(extras);
        free(views);
        return TORG_E_NOMEM;
    }
    for (size_t i = 0; peers->extras && i < config->peer_count; i++)
        if (peers_config_by_name(peers, config->peers[i].name, &before))
            extras[i] = peers->extras[before];
    free(peers->extras);
    peers->extras = extras;
    pthread_mutex_lock(&peers->mutex);
    free(peers->views);
    peers->views = views;
    peers->view_count = config->peer_count;
    pthread_mutex_unlock(&peers->mutex);
    return TORG_OK;
}

enum torg_err peers_config_sync_make(struct peers *peers)
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
        err = tables_make(peers, peers->config);
    lists_done(&lists);
    return err;
}

/* ---- a file that was read again ---- */

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
            err = tables_make(peers, &reload->config);
        lists_done(&lists);
    }
    if (err)
        abort(); /* out of memory in the middle: sync and this would count peers differently */
    config_done(&peers->reloaded);
    peers->reloaded = reload->config;
    peers->config = &peers->reloaded;
    free(reload);
    peers_step_carry_out(peers);
    peers_timer_set(peers->tick, 0);
    peers_view_refresh(peers);
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
