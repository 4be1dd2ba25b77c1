/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/sync_internal.h"

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
        .heads_burst = 1000,
        .listings_per_origin = 1000000,
        .parts_max = 128,
    };
}

static void origin_done(struct sync_origin *origin)
{
    buffer_done(&origin->held_beat);
    buffer_done(&origin->suspect);
    buffer_done(&origin->evidence);
    free(origin->node_keys);
}

static int pin_order(const void *a, const void *b)
{
    const struct sync_pin *left = a, *right = b;

    return memcmp(left->id.bytes, right->id.bytes, sizeof(left->id.bytes));
}

static int origin_order(const void *a, const void *b)
{
    const struct sync_origin *left = a, *right = b;

    return memcmp(left->id.bytes, right->id.bytes, sizeof(left->id.bytes));
}

bool sync_trust_pins(const struct sync_trust *trust, const struct origin_id *id)
{
    struct sync_pin pin = {.id = *id};

    return (trust->has_own && memcmp(id, &trust->own, sizeof(*id)) == 0) ||
           bsearch(&pin, trust->pins, trust->pin_count, sizeof(*trust->pins), pin_order);
}

static void trust_done(struct sync_trust *trust)
{
    free(trust->pins);
    free(trust->members);
    *trust = (struct sync_trust){0};
}

/* The origins that the file names, and its catalogue, each once, ascending. */
static void pins_settle(struct sync_trust *trust)
{
    uint32_t kept = 0;

    qsort(trust->pins, trust->pin_count, sizeof(*trust->pins), pin_order);
    for (uint32_t i = 0; i < trust->pin_count; i++) {
        const struct sync_pin *pin = &trust->pins[i];

        if (kept > 0 && pin_order(&trust->pins[kept - 1], pin) == 0)
            trust->pins[kept - 1].mask |= pin->mask; /* a catalogue that is pinned as well */
        else
            trust->pins[kept++] = *pin;
    }
    trust->pin_count = kept;
}

static void pin_read(const struct sync_config *config, size_t i, struct sync_pin *pin)
{
    const struct hash *charter = config->trusted_charters ? config->trusted_charters[i] : NULL;

    *pin = (struct sync_pin){
        .id = config->trusted[i],
        .mask = config->subscribe_mask &
                (config->trusted_masks ? config->trusted_masks[i] : COLLECTION_MASK_ALL),
        .quota =
            config->trusted_quotas ? config->trusted_quotas[i] : config->limits.listings_per_origin,
    };
    pin->has_charter = charter != NULL;
    if (charter)
        pin->charter = *charter;
}

static enum torg_err trust_make(const struct sync_config *config, struct sync_trust *ret_trust)
{
    struct sync_trust trust = {
        .has_own = config->has_own,
        .own = config->own,
        .has_catalogue = config->has_catalogue,
        .catalogue = config->catalogue,
        .members_mask = config->subscribe_mask & config->members_mask,
    };

    if (config->trusted_count + config->has_catalogue >= ORIGINS_MAX)
        return TORG_E_TOO_BIG;
    trust.pins = calloc(config->trusted_count + 1, sizeof(*trust.pins));
    if (!trust.pins)
        return TORG_E_NOMEM;
    for (size_t i = 0; i < config->trusted_count; i++)
        pin_read(config, i, &trust.pins[trust.pin_count++]);
    if (config->has_catalogue)
        trust.pins[trust.pin_count++] = (struct sync_pin){
            .id = config->catalogue,
            .mask = trust.members_mask | UINT32_C(1) << COLLECTION_MEMBERS,
            .quota = config->limits.listings_per_origin,
        };
    pins_settle(&trust);
    *ret_trust = trust;
    return TORG_OK;
}

static void origin_name(const struct sync_pin *pin, struct sync_origin *origin)
{
    origin->id = pin->id;
    origin->subscribed = pin->mask;
    origin->quota = pin->quota;
    sync_charters_name(origin, pin->has_charter ? &pin->charter : NULL);
}

static void origin_begin(const struct sync_trust *trust, uint32_t heads_burst,
                         struct sync_origin *origin)
{
    origin->own =
        trust->has_own && memcmp(origin->id.bytes, trust->own.bytes, sizeof(trust->own.bytes)) == 0;
    if (origin->own) {
        origin->subscribed = COLLECTION_MASK_ALL;
        origin->quota = 0;
    }
    origin->job = SYNC_NONE;
    origin->failed_peer = SYNC_NONE;
    origin->behind_since_ms = -1;
    origin->missing_collection = 1;
    origin->beat_tokens = SYNC_BEATS_BURST;
    origin->head_tokens = heads_burst;
}

/* The trusted origins and our own, each once, ascending. */
static enum torg_err origins_make(const struct sync_trust *trust, uint32_t heads_burst,
                                  struct sync_origin **ret_origins, uint32_t *ret_count)
{
    size_t most = (size_t)trust->pin_count + trust->member_count + 1;
    struct sync_origin *origins = calloc(most, sizeof(*origins));
    uint32_t count = 0, kept = 0;

    if (!origins)
        return TORG_E_NOMEM;
    for (uint32_t i = 0; i < trust->pin_count; i++)
        origin_name(&trust->pins[i], &origins[count++]);
    for (uint32_t i = 0; i < trust->member_count; i++) {
        if (!sync_trust_pins(trust, &trust->members[i].id))
            origin_name(&trust->members[i], &origins[count++]);
    }
    if (trust->has_own)
        origins[count++].id = trust->own;
    qsort(origins, count, sizeof(*origins), origin_order);
    for (uint32_t i = 0; i < count; i++) {
        if (kept == 0 || origin_order(&origins[kept - 1], &origins[i]) != 0)
            origins[kept++] = origins[i];
    }
    for (uint32_t i = 0; i < kept; i++)
        origin_begin(trust, heads_burst, &origins[i]);
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
    sync->version_min = config->version_min ? config->version_min : SESSION_VERSION_MIN;
    sync->version_max = config->version_max ? config->version_max : SESSION_VERSION_MAX;
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
    err = frame_zip_new(&sync->zip);
    if (!err)
        err = trust_make(config, &sync->trust);
    if (!err)
        err = origins_make(&sync->trust, sync->limits.heads_burst, &sync->origins,
                           &sync->origin_count);
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
    trust_done(&sync->trust);
    sync_speaker_forget(&sync->speaker);
    free(sync->peers);
    free(sync->origins);
    free(sync->attention);
    free(sync->jobs);
    free(sync->pending);
    frame_zip_free(sync->zip);
    buffer_done(&sync->scratch);
    frame_rows_done(&sync->rows);
    free(sync);
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

        rows[i] = (struct sync_row){
            .eager_in = true, .eager_out = true, .have_due = true, .beat_due = true};
        if (before != SYNC_NONE)
            rows[i] = old->rows[before];
        rows[i].too_large = false; /* by the old quota */
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
        peers[i].link->rows_from = 0; /* other rows, some of which have something due */
        peers[i].link->rows_to = origin_count;
        peers[i].link_key = old->link_key;
        old->link = NULL;
    }
    return TORG_OK;
}

/* Origins that were known keep their beats' rate, their forks, and what was said of our own. */
static void origins_move(struct sync *sync, struct sync_origin *origins, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t before = sync_origin_index(sync, &origins[i].id);
        struct sync_origin *old = before == SYNC_NONE ? NULL : &sync->origins[before];

        if (!old)
            continue;
        origins[i].evidence = old->evidence;
        origins[i].evidence_link = old->evidence_link;
        origins[i].pending_proof = old->pending_proof;
        origins[i].pending_settle = old->pending_settle;
        if (origins[i].has_named == old->has_named &&
            memcmp(&origins[i].named, &old->named, sizeof(old->named)) == 0)
            origins[i].settle_due = old->settle_due;
        old->evidence = (struct buffer){0};
        origins[i].pending = old->pending;
        origins[i].pending_beat = old->pending_beat;
        origins[i].pending_drop = old->pending_drop;
        origins[i].dropping = old->dropping;
        origins[i].expected_epoch = old->expected_epoch;
        origins[i].expected_hno = old->expected_hno;
        if (old->head_tokens < origins[i].head_tokens)
            origins[i].head_tokens = old->head_tokens;
        origins[i].head_at_ms = old->head_at_ms;
        origins[i].throttled = old->throttled;
        origins[i].over_quota = old->over_quota && !origins[i].own;
        origins[i].quota_listings = old->quota_listings;
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

/* Who was named by the same catalogue stays named until it is read again. */
static enum torg_err members_move(const struct sync_trust *old, struct sync_trust *trust)
{
    if (!old->has_catalogue || !trust->has_catalogue || !old->member_count ||
        memcmp(&old->catalogue, &trust->catalogue, sizeof(old->catalogue)) != 0 ||
        trust->pin_count + old->member_count + 1 > ORIGINS_MAX)
        return TORG_OK;
    trust->members = malloc(old->member_count * sizeof(*trust->members));
    if (!trust->members)
        return TORG_E_NOMEM;
    memcpy(trust->members, old->members, old->member_count * sizeof(*trust->members));
    trust->member_count = old->member_count;
    return TORG_OK;
}

/* What is shared changes hands; what was made for the old configuration goes. */
static void swap(struct sync *sync, const struct sync_config *config,
                 const struct sync_trust *trust, struct sync_origin *origins, uint32_t origin_count,
                 struct sync_peer *peers, uint32_t *attention)
{
    trust_done(&sync->trust);
    sync->trust = *trust;
    sync->members_read = false;
    sync->members_next_ms = 0;
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
    sync_visible_regrouped(sync);
}

/* What peers want of origins that are new here they have said before; we say it now. */
static enum torg_err links_resubscribe(struct sync *sync)
{
    enum torg_err err = TORG_OK;

    for (uint32_t i = 0; i < sync->peer_count && !err; i++) {
        struct sync_link *link = sync->peers[i].link;

        if (!link)
            continue;
        sync_link_sub_apply(sync, i);
        if (link->opened)
            err = sync_link_subscribe(sync, i);
        if (err == TORG_E_BUSY)
            err = TORG_OK; /* closed meanwhile */
    }
    return err;
}

enum torg_err sync_reconfigure(struct sync *sync, const struct sync_config *config,
                               struct sync_actions *ret_actions)
{
    uint32_t sessions = sync->limits.sync_sessions_total;
    struct sync_trust trust = {0};
    struct sync_origin *origins = NULL;
    struct sync_peer *peers = NULL;
    uint32_t *attention = NULL;
    uint32_t origin_count = 0;
    enum torg_err err;

    sync->actions = ret_actions;
    err = trust_make(config, &trust);
    if (!err)
        err = members_move(&sync->trust, &trust);
    if (!err)
        err = origins_make(&trust, config->limits.heads_burst, &origins, &origin_count);
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
    swap(sync, config, &trust, origins, origin_count, peers, attention);
    trust = (struct sync_trust){0};
    sync->limits.sync_sessions_total = sessions; /* the jobs stay as they were made */
    origins = NULL;
    peers = NULL;
    attention = NULL;
    err = links_resubscribe(sync);
    if (!err)
        err = sync_peer_pump(sync);
done:
    trust_done(&trust);
    for (size_t i = 0; peers && i < config->peer_count; i++)
        sync_peer_free(&peers[i]);
    free(peers);
    free(origins);
    free(attention);
    ret_actions->next_tick_ms = sync->now_ms;
    sync->actions = NULL;
    return err;
}

/* ---- the catalogue names others ---- */

/* What is made before anything changes. */
struct regroup {
    struct sync_trust trust; /* its lists belong to others */
    struct sync_origin *origins;
    uint32_t origin_count;
    uint32_t *attention;
    uint32_t *place;        /* of each old origin; SYNC_NONE: it goes */
    struct sync_row **rows; /* of each peer that has any */
};

static void regroup_done(struct sync *sync, struct regroup *regroup)
{
    for (uint32_t i = 0; regroup->rows && i < sync->peer_count; i++)
        free(regroup->rows[i]);
    free(regroup->rows);
    free(regroup->origins);
    free(regroup->attention);
    free(regroup->place);
}

static enum torg_err regroup_make(struct sync *sync, struct regroup *regroup)
{
    uint32_t at = 0;
    enum torg_err err = origins_make(&regroup->trust, sync->limits.heads_burst, &regroup->origins,
                                     &regroup->origin_count);

    if (err)
        return err;
    regroup->attention = calloc(regroup->origin_count + 1, sizeof(*regroup->attention));
    regroup->place = calloc(sync->origin_count + 1, sizeof(*regroup->place));
    regroup->rows = calloc(sync->peer_count + 1, sizeof(struct sync_row *));
    if (!regroup->attention || !regroup->place || !regroup->rows)
        return TORG_E_NOMEM;
    for (uint32_t i = 0; i < sync->peer_count && !err; i++) {
        if (sync->peers[i].rows)
            err = rows_move(sync, &sync->peers[i], regroup->origins, regroup->origin_count,
                            &regroup->rows[i]);
    }
    for (uint32_t i = 0; i < sync->origin_count; i++) { /* both ascend */
        while (at < regroup->origin_count &&
               origin_order(&regroup->origins[at], &sync->origins[i]) < 0)
            at++;
        regroup->place[i] = at < regroup->origin_count &&
                                    origin_order(&regroup->origins[at], &sync->origins[i]) == 0
                                ? at
                                : SYNC_NONE;
    }
    return err;
}

/* Everything that says which origin it is about goes with it. */
static void regroup_take(struct sync *sync, struct regroup *regroup)
{
    for (uint32_t i = 0; i < sync->limits.sync_sessions_total; i++) {
        struct sync_job *job = &sync->jobs[i];

        if (job->active && regroup->place[job->origin] == SYNC_NONE)
            sync_job_end(sync, job, SYNC_NEITHER);
        if (job->active)
            job->origin = regroup->place[job->origin];
    }
    for (size_t i = 0; i < sync->pending_count; i++) {
        if (sync->pending[i].origin != SYNC_NONE)
            sync->pending[i].origin = regroup->place[sync->pending[i].origin];
    }
    for (uint32_t i = 0; i < sync->origin_count; i++) {
        struct sync_origin *to = &regroup->origins[regroup->place[i]];
        struct sync_origin fresh;

        if (regroup->place[i] == SYNC_NONE) {
            origin_done(&sync->origins[i]);
            continue;
        }
        fresh = *to;
        *to = sync->origins[i];
        to->subscribed = fresh.subscribed;
        to->quota = fresh.quota;
        if (!to->own)
            sync_charters_name(to, fresh.has_named ? &fresh.named : NULL);
        to->attention = false;
    }
    for (uint32_t i = 0; i < sync->peer_count; i++) {
        free(sync->peers[i].rows);
        sync->peers[i].rows = regroup->rows[i];
        regroup->rows[i] = NULL;
    }
    free(sync->origins);
    free(sync->attention);
    sync->origins = regroup->origins;
    sync->origin_count = regroup->origin_count;
    sync->attention = regroup->attention;
    sync->attention_count = 0;
    sync->origins_due_ms = 0;
    sync_visible_regrouped(sync);
    regroup->origins = NULL;
    regroup->attention = NULL;
}

enum torg_err sync_members_set(struct sync *sync, struct sync_pin *members, uint32_t count)
{
    struct regroup regroup = {.trust = sync->trust};
    enum torg_err err;

    regroup.trust.members = members;
    regroup.trust.member_count = count;
    err = regroup_make(sync, &regroup);
    if (err)
        goto done;
    regroup_take(sync, &regroup);
    free(sync->trust.members);
    sync->trust = regroup.trust;
    sync_origin_attend_all(sync);
    for (uint32_t i = 0; i < sync->origin_count; i++) {
        /* One that cannot be read now is read when there is time. */
        if (!sync->origins[i].known)
            (void)sync_origin_refresh(sync, i);
    }
    (void)links_resubscribe(sync);
done:
    regroup_done(sync, &regroup);
    return err;
}
