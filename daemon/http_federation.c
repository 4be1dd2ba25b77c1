/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_federation.h"
#include "daemon/clock.h"
#include "daemon/http_link.h"
#include "daemon/http_reply.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/http_origins.h"
#include "daemon/json_out.h"
#include "daemon/peers.h"

static bool is_zero(const struct hash *hash)
{
    static const struct hash zero;

    return memcmp(hash, &zero, sizeof(zero)) == 0;
}

struct sync_origin_status http_federation_status(const struct node *node,
                                                 const struct origin_id *id)
{
    struct sync_origin_status status;

    if (node->peers && peers_origin_status(node->peers, id, &status))
        return status;
    return (struct sync_origin_status){.trusted = !node->peers, .collections = COLLECTION_MASK_ALL};
}

static bool any_missing(const struct replica_origin *held)
{
    bool missing = false;

    for (uint8_t i = 1; i < COLLECTIONS_MAX; i++)
        missing = missing || held->missing[i] > 0;
    return missing;
}

/* Does it hold only some of the collections that the head promises, by choice? */
static bool is_subset(const struct replica_origin *held, uint32_t wanted)
{
    for (uint8_t i = 1; i < COLLECTIONS_MAX; i++) {
        if (!(wanted >> i & 1) && head_state_of(&held->head, i).count > 0)
            return true;
    }
    return false;
}

static bool is_complete(const struct replica_origin *held, uint32_t wanted)
{
    return held->has_head && replica_complete_mask(held, wanted) == wanted;
}

static void put_flags(struct buffer *out, const struct replica_origin *held,
                      const struct http_origin *origin, const struct sync_origin_status *status,
                      int64_t now_ms)
{
    json_out_begin(out, "flags", '[');
    if (http_origins_stale(origin, now_ms))
        json_out_text(out, NULL, "stale");
    if (http_origins_expired(origin, now_ms))
        json_out_text(out, NULL, "expired");
    if (origin->flags & REPLICA_FLAG_DISPUTED)
        json_out_text(out, NULL, "disputed");
    if (origin->flags & REPLICA_FLAG_FAULTY)
        json_out_text(out, NULL, "faulty");
    if (!status->trusted)
        json_out_text(out, NULL, "suspended");
    if (status->throttled)
        json_out_text(out, NULL, "throttled");
    if (status->over_quota)
        json_out_text(out, NULL, "over-quota");
    if (held->unproven_hno)
        json_out_text(out, NULL, "ancestry-unproven");
    if (!is_complete(held, status->collections))
        json_out_text(out, NULL, "partial");
    if (is_subset(held, status->collections))
        json_out_text(out, NULL, "subset");
    if (any_missing(held))
        json_out_text(out, NULL, "missing-payloads");
    json_out_end(out, ']');
}

static void put_collection(struct buffer *out, const struct replica_origin *held, uint8_t number,
                           bool wanted)
{
    struct head_state promised = head_state_of(&held->head, number);
    const struct trie_root *root = &held->held[number];
    char hex[2 * sizeof(struct hash) + 1];

    json_out_begin(out, NULL, '{');
    if (collection_name(number))
        json_out_text(out, "id", collection_name(number));
    json_out_int(out, "number", number);
    json_out_bool(out, "wanted", wanted);
    json_out_int(out, "count", root->count);
    hex_encode(root->digest.bytes, sizeof(root->digest.bytes), hex);
    json_out_text(out, "root", hex);
    json_out_bool(out, "complete", (replica_complete_mask(held, 1u << number) >> number & 1) != 0);
    json_out_int(out, "promised", promised.count);
    json_out_int(out, "missingPayloads", held->missing[number]);
    json_out_end(out, '}');
}

static void put_head(struct buffer *out, const struct replica_origin *held)
{
    char hex[2 * sizeof(struct hash) + 1];

    json_out_begin(out, "head", '{');
    json_out_int(out, "epoch", (int64_t)held->head.epoch);
    json_out_int(out, "hno", (int64_t)held->head.hno);
    json_out_int(out, "seq", (int64_t)held->head.seq);
    json_out_time(out, "time", held->head.ts_ms);
    if (!is_zero(&held->head_hash)) {
        hex_encode(held->head_hash.bytes, sizeof(held->head_hash.bytes), hex);
        json_out_text(out, "hash", hex);
    }
    json_out_end(out, '}');
    if (held->has_beat)
        json_out_time(out, "beat", held->beat.ts_ms);
    if (held->received_ms > 0)
        json_out_time(out, "received", held->received_ms);
}

/* How many heads the best-informed peer claims beyond ours; only within one epoch. */
static void put_lag(struct buffer *out, const struct sync_origin_status *status,
                    const struct replica_origin *held)
{
    uint64_t lag = 0;

    if (!status->claimed)
        return;
    if (status->claimed_epoch == held->head.epoch && status->claimed_hno > held->head.hno)
        lag = status->claimed_hno - held->head.hno;
    else if (status->claimed_epoch > held->head.epoch)
        lag = status->claimed_hno;
    json_out_int(out, "lag", (int64_t)lag);
}

static void put_hash(struct buffer *out, const char *name, const struct hash *hash)
{
    char hex[2 * sizeof(hash->bytes) + 1];

    hex_encode(hash->bytes, sizeof(hash->bytes), hex);
    json_out_text(out, name, hex);
}

/* Two charters with one number: somebody has to say which one is right. */
static enum torg_err put_charters(struct buffer *out, const struct kv *kv,
                                  const struct replica_origin *held)
{
    struct hash stands, rival;
    uint64_t number;
    enum torg_err err;

    json_out_int(out, "charter", (int64_t)held->charter_no);
    put_hash(out, "charterHash", &held->charter_hash);
    if (!(held->flags & REPLICA_FLAG_DISPUTED))
        return TORG_OK;
    err = replica_rival_find(kv, held, &number, &stands, &rival);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_OK : err;
    json_out_begin(out, "twoCharters", '{');
    json_out_int(out, "number", (int64_t)number);
    put_hash(out, "stands", &stands);
    put_hash(out, "rival", &rival);
    json_out_end(out, '}');
    return TORG_OK;
}

static enum torg_err put_origin(struct http_exchange *exchange, const struct kv *kv,
                                const struct replica_origin *held, const struct http_origin *origin)
{
    struct buffer *out = &exchange->reply.body;
    const struct sync_origin_status status = http_federation_status(exchange->node, &held->id);
    bool complete = is_complete(held, status.collections);
    uint64_t listings = 0;
    enum torg_err err;

    json_out_begin(out, NULL, '{');
    json_out_text(out, "id", origin->hex);
    json_out_text(out, "name", origin->name);
    json_out_text(out, "ownerKind", origin->owner_kind);
    json_out_bool(out, "own", origin->own);
    err = put_charters(out, kv, held);
    if (held->has_head) {
        put_head(out, held);
        json_out_time(out, "asOf", origin->own ? exchange->now_ms : origin->as_of_ms);
        json_out_int(out, "age_s", http_origins_age_s(origin, exchange->now_ms));
        put_lag(out, &status, held);
    }
    json_out_text(out, "state", !held->has_head ? "empty" : complete ? "complete" : "partial");
    put_flags(out, held, origin, &status, exchange->now_ms);
    json_out_begin(out, "collections", '[');
    for (uint8_t i = 1; i < COLLECTIONS_MAX; i++) {
        if (held->held[i].count > 0 || head_state_of(&held->head, i).count > 0)
            put_collection(out, held, i, (status.collections >> i & 1) != 0);
        listings += held->held[i].count;
    }
    json_out_end(out, ']');
    json_out_int(out, "listings", (int64_t)listings);
    if (status.quota)
        json_out_int(out, "quota", status.quota);
    if (status.over_quota)
        json_out_int(out, "refusedListings", (int64_t)status.listings);
    json_out_end(out, '}');
    return err;
}

static enum torg_err put_origins(struct http_exchange *exchange, const struct kv *kv,
                                 const struct http_origins *origins)
{
    struct buffer *out = &exchange->reply.body;
    struct replica_origin *held = malloc(sizeof(*held));
    enum torg_err err = TORG_OK;

    if (!held)
        return TORG_E_NOMEM;
    json_out_begin(out, "origins", '[');
    for (size_t i = 0; i < origins->count && !err; i++) {
        err = replica_origin_by_number(kv, origins->items[i].number, held);
        if (!err)
            err = put_origin(exchange, kv, held, &origins->items[i]);
    }
    json_out_end(out, ']');
    free(held);
    return err;
}

static void put_peer(struct http_exchange *exchange, const struct peer_view *peer)
{
    const struct sync_peer_status *status = &peer->status;
    struct buffer *out = &exchange->reply.body;

    json_out_begin(out, NULL, '{');
    json_out_text(out, "name", peer->name);
    json_out_text(out, "state", sync_peer_state_name(status->state));
    json_out_int(out, "since_s", (clock_monotonic_ms() - status->since_ms) / 1000);
    if (status->state == SYNC_PEER_OPEN) {
        json_out_text(out, "software", status->software);
        json_out_bool(out, "compressed", status->zips);
    }
    if (status->rtt_ms >= 0)
        json_out_int(out, "rtt_ms", status->rtt_ms);
    if (status->last_error[0])
        json_out_text(out, "lastError", status->last_error);
    json_out_end(out, '}');
}

static enum torg_err put_peers(struct http_exchange *exchange)
{
    struct buffer *out = &exchange->reply.body;
    const struct peers *peers = exchange->node->peers;
    size_t count = peers ? peers_view(peers, NULL, 0) : 0;
    struct peer_view *views = calloc(count + 1, sizeof(*views));
    size_t shown;

    if (!views)
        return TORG_E_NOMEM;
    shown = count ? peers_view(peers, views, count) : 0;
    json_out_begin(out, "peers", '[');
    for (size_t i = 0; i < shown && i < count; i++)
        put_peer(exchange, &views[i]);
    json_out_end(out, ']');
    free(views);
    return TORG_OK;
}

static enum torg_err answer(struct http_exchange *exchange, const struct kv *kv)
{
    struct buffer *out = &exchange->reply.body;
    const struct query all = {0};
    const struct http_origins *origins;
    enum torg_err err = http_origins_get(exchange, kv, &origins);

    if (err)
        return err;
    http_reply_begin(exchange, 200, http_params_format_type(HTTP_FORMAT_JSON));
    http_origins_reply_as_of(exchange, origins, &all);
    json_out_begin(out, NULL, '{');
    json_out_text(out, "node", exchange->node->config->name);
    json_out_text(out, "software", "torgd " TORG_VERSION);
    json_out_time(out, "timeStamp", exchange->now_ms);
    err = put_origins(exchange, kv, origins);
    if (!err)
        err = put_peers(exchange);
    if (err)
        return err;
    json_out_begin(out, "links", '[');
    http_link_self(exchange, out, http_params_format_type(HTTP_FORMAT_JSON));
    buffer_put_str(out, "]}\n");
    return out->err;
}

enum torg_err http_federation(struct http_exchange *exchange)
{
    return http_reply_read(exchange, answer);
}
