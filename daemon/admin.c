/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/admin.h"
#include "daemon/admin_collections.h"
#include "daemon/admin_import.h"
#include "daemon/admin_members.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/http_federation.h"
#include "daemon/http_origins.h"
#include "daemon/http_reply.h"
#include "daemon/http_workers.h"
#include "daemon/json_out.h"
#include "daemon/log.h"
#include "daemon/peers.h"
#include "index/catalogue.h"
#include "protocol/listing_geojson.h"

#define SECRET_BYTES 32
#define SECRET_DIGITS (2 * SECRET_BYTES)
#define CONNECTIONS_MAX 64
#define PLAIN_TEXT "text/plain; charset=utf-8"
#define METRICS_TEXT "text/plain; version=0.0.4; charset=utf-8"

struct admin {
    char secret[SECRET_DIGITS + 1];
    struct http_workers *workers;
};

/* Compares in constant time. */
static bool secret_matches(const struct admin *admin, struct span text)
{
    return text.size == SECRET_DIGITS &&
           sodium_memcmp(text.data, admin->secret, SECRET_DIGITS) == 0;
}

static bool is_operator(const void *service, struct span secret)
{
    return secret_matches(service, secret);
}

/* ---- health ---- */

static enum torg_err put_text(struct http_exchange *exchange, const char *text)
{
    http_reply_begin(exchange, 200, PLAIN_TEXT);
    exchange->reply.cache = "no-store";
    buffer_put_str(&exchange->reply.body, text);
    return exchange->reply.body.err;
}

static enum torg_err healthz(struct http_exchange *exchange)
{
    return put_text(exchange, "ok\n");
}

static enum torg_err readyz(struct http_exchange *exchange)
{
    const struct node *node = exchange->node;
    struct kv kv;
    enum torg_err err = store_read_begin(node->store, &kv);

    if (err) {
        http_reply_problem(exchange, 503, "not-ready", "The store cannot be read: %s.",
                           torg_err_text(err));
        return TORG_OK;
    }
    err = catalogue_check(&kv, node->themes);
    store_read_end(&kv);
    if (err)
        http_reply_problem(exchange, 503, "not-ready", "The catalogue is being made: %s.",
                           torg_err_text(err));
    else if (node->writer && writer_state(node->writer) != WRITER_READY)
        http_reply_problem(exchange, 503, "not-ready", "No writes: %s.",
                           writer_state_reason(node->writer));
    else
        return put_text(exchange, "ready\n");
    return TORG_OK;
}

/* ---- metrics ---- */

static void put_gauge(struct buffer *out, const char *name, const char *help, double value)
{
    metrics_put_sample(out, name, "gauge", help, NULL, value);
}

static void put_counter(struct buffer *out, const char *name, const char *help, double value)
{
    metrics_put_sample(out, name, "counter", help, NULL, value);
}

static void put_store(struct buffer *out, struct store *store)
{
    struct store_stat stat;
    char labels[64];

    if (store_stat(store, &stat))
        return;
    put_gauge(out, "torg_store_map_bytes", "Largest size that the store may reach.",
              (double)stat.map_bytes);
    put_gauge(out, "torg_store_used_bytes", "Bytes of the store's file in use or free.",
              (double)stat.used_bytes);
    put_gauge(out, "torg_store_free_bytes", "Bytes of these that are free.",
              (double)stat.free_bytes);
    put_gauge(out, "torg_store_readers", "Read transactions open now.", stat.readers);
    put_gauge(out, "torg_store_snapshot", "Number of the newest commit.", (double)stat.snapshot);
    put_gauge(out, "torg_store_recovered_commits",
              "Commits that the journal brought back at the start, after a power cut.",
              (double)stat.recovered);
    put_gauge(out, "torg_store_failed", "1 when a commit's fate is unknown until a restart.",
              stat.failed);
    for (int i = 0; i < KV_TABLE_COUNT; i++) {
        (void)snprintf(labels, sizeof(labels), "table=\"%s\"", store_table_name(i));
        metrics_put_sample(out, "torg_store_entries", "gauge", i ? NULL : "Entries of each table.",
                           labels, (double)stat.entries[i]);
    }
}

static void put_writer(struct buffer *out, const struct writer *writer)
{
    struct writer_counters counters;

    if (!writer)
        return;
    writer_counters(writer, &counters);
    put_gauge(out, "torg_writer_ready", "1 when writes are taken.",
              writer_state(writer) == WRITER_READY);
    put_gauge(out, "torg_writer_queue", "Jobs that wait.", (double)counters.queue);
    put_counter(out, "torg_writer_commits_total", "Durable commits.", (double)counters.commits);
    put_counter(out, "torg_writer_jobs_total", "Jobs done.", (double)counters.jobs);
    put_counter(out, "torg_writer_jobs_refused_total", "Jobs that failed or were refused.",
                (double)counters.jobs_refused);
    put_counter(out, "torg_repack_steps_total", "Steps that packed a part of a tree anew.",
                (double)counters.repacks);
    put_counter(out, "torg_repacked_listings_total", "Listings that these steps moved.",
                (double)counters.repacked_listings);
    put_counter(out, "torg_own_commits_total", "Signed commits of the own origin.",
                (double)counters.own_commits);
    put_counter(out, "torg_own_changes_total", "Changes of the own origin.",
                (double)counters.own_changes);
    put_counter(out, "torg_writer_commit_seconds_total", "Time spent in commits.",
                (double)counters.commit_us_sum / 1e6);
    put_gauge(out, "torg_writer_commit_seconds_max", "The longest commit.",
              (double)counters.commit_us_max / 1e6);
}

/* One metric of all peers: samples of one name must stand together. */
struct peer_metric {
    const char *name, *type, *help;
    double (*value)(const struct sync_peer_status *status);
};

static double peer_up(const struct sync_peer_status *status)
{
    return status->state == SYNC_PEER_OPEN || status->state == SYNC_PEER_STALLED;
}
static double peer_stalled(const struct sync_peer_status *status)
{
    return status->state == SYNC_PEER_STALLED;
}
static double peer_held_back(const struct sync_peer_status *status)
{
    return status->holds_back;
}
static double peer_lagging(const struct sync_peer_status *status)
{
    return status->lagging;
}
static double peer_bytes_in(const struct sync_peer_status *status)
{
    return (double)status->bytes_in;
}
static double peer_saved_in(const struct sync_peer_status *status)
{
    return (double)status->saved_in;
}
static double peer_saved_out(const struct sync_peer_status *status)
{
    return (double)status->saved_out;
}
static double peer_bytes_out(const struct sync_peer_status *status)
{
    return (double)status->bytes_out;
}
static double peer_frames_in(const struct sync_peer_status *status)
{
    return (double)status->frames_in;
}
static double peer_frames_out(const struct sync_peer_status *status)
{
    return (double)status->frames_out;
}
static double peer_errors(const struct sync_peer_status *status)
{
    return (double)status->errors;
}
static double peer_queued(const struct sync_peer_status *status)
{
    return (double)status->queued_bytes;
}
static double peer_rtt(const struct sync_peer_status *status)
{
    return status->rtt_ms >= 0 ? (double)status->rtt_ms / 1000 : -1;
}
static double peer_offset(const struct sync_peer_status *status)
{
    return (double)status->clock_offset_ms / 1000;
}

static const struct peer_metric peer_metrics[] = {
    {"torg_peer_up", "gauge", "1 while the peer is connected.", peer_up},
    {"torg_peer_received_bytes_total", "counter", "Bytes from the peer.", peer_bytes_in},
    {"torg_peer_sent_bytes_total", "counter", "Bytes to the peer.", peer_bytes_out},
    {"torg_peer_received_saved_bytes_total", "counter",
     "Bytes that the peer did not have to send, for frames were packed.", peer_saved_in},
    {"torg_peer_sent_saved_bytes_total", "counter",
     "Bytes that did not have to be sent, for frames were packed.", peer_saved_out},
    {"torg_peer_received_frames_total", "counter", "Frames from the peer.", peer_frames_in},
    {"torg_peer_sent_frames_total", "counter", "Frames to the peer.", peer_frames_out},
    {"torg_peer_errors_total", "counter", "Connections that ended in an error.", peer_errors},
    {"torg_peer_queued_bytes", "gauge", "Bytes that wait to be sent.", peer_queued},
    {"torg_peer_stalled", "gauge", "1 while the peer has given no credit for 30 s.", peer_stalled},
    {"torg_peer_held_back", "gauge", "1 while the peer has waited 30 s for our credit.",
     peer_held_back},
    {"torg_peer_lagging", "gauge", "1 while batches to the peer are dropped.", peer_lagging},
    {"torg_peer_rtt_seconds", "gauge", "Last round trip; -1 if none.", peer_rtt},
    {"torg_peer_clock_offset_seconds", "gauge", "The peer's clock less ours.", peer_offset},
};

static enum torg_err put_peers(struct buffer *out, const struct peers *peers)
{
    size_t count = peers ? peers_view(peers, NULL, 0) : 0;
    struct peer_view *views = calloc(count + 1, sizeof(*views));
    char name[METRICS_LABEL_BYTES_MAX];
    char labels[METRICS_LABEL_BYTES_MAX + 16];

    if (!views)
        return TORG_E_NOMEM;
    if (count > 0)
        (void)peers_view(peers, views, count);
    for (size_t i = 0; i < ARRAY_SIZE(peer_metrics); i++) {
        for (size_t j = 0; j < count; j++) {
            (void)snprintf(labels, sizeof(labels), "peer=\"%s\"",
                           metrics_label(name, views[j].name));
            metrics_put_sample(out, peer_metrics[i].name, peer_metrics[i].type,
                               j ? NULL : peer_metrics[i].help, labels,
                               peer_metrics[i].value(&views[j].status));
        }
    }
    free(views);
    return TORG_OK;
}

static void put_sync(struct buffer *out, const struct peers *peers)
{
    struct sync_counters c;

    if (!peers)
        return;
    peers_counters(peers, &c);
    put_counter(out, "torg_sync_batches_total", "Live batches taken.", (double)c.batches_in);
    put_counter(out, "torg_sync_batches_duplicate_total", "Live batches held already.",
                (double)c.batches_duplicate);
    put_counter(out, "torg_sync_deltas_total", "Deltas taken.", (double)c.deltas_in);
    put_counter(out, "torg_sync_reconciles_total", "Reconciliations.", (double)c.reconciles);
    put_counter(out, "torg_sync_reconcile_rounds_total", "Their rounds.",
                (double)c.reconcile_rounds);
    put_counter(out, "torg_sync_listings_total", "Listings taken.", (double)c.listings_in);
    put_counter(out, "torg_sync_payload_bytes_total", "Bytes of payloads taken.",
                (double)c.payload_bytes_in);
    put_counter(out, "torg_sync_mismatches_total", "Roots that did not come out.",
                (double)c.mismatches);
    put_counter(out, "torg_sync_refused_frames_total", "Frames refused.", (double)c.refused_frames);
}

static double lag_of(const struct sync_origin_status *status, const struct replica_origin *held)
{
    if (!status->claimed || status->claimed_epoch != held->head.epoch ||
        status->claimed_hno < held->head.hno)
        return 0;
    return (double)(status->claimed_hno - held->head.hno);
}

static enum torg_err put_origins(struct http_exchange *exchange, const struct kv *kv)
{
    static const char *const names[] = {"torg_origin_age_seconds",       "torg_origin_lag_heads",
                                        "torg_origin_listings",          "torg_origin_complete",
                                        "torg_origin_ancestry_unproven", "torg_origin_throttled",
                                        "torg_origin_over_quota",        "torg_origin_disputed"};
    static const char *const helps[] = {"Since the newest head or beat of the origin.",
                                        "Heads that a peer claims beyond ours.",
                                        "Listings held.",
                                        "1 when all that is wanted of it is held.",
                                        "1 until its newest head is shown to descend.",
                                        "1 while its heads come faster than they are taken.",
                                        "1 while its newest head has too many listings for here.",
                                        "1 while it has signed two histories, or two charters."};
    struct replica_origin *held = malloc(sizeof(*held));
    const struct http_origins *origins;
    enum torg_err err = held ? http_origins_get(exchange, kv, &origins) : TORG_E_NOMEM;

    for (size_t metric = 0; metric < ARRAY_SIZE(names) && !err; metric++) {
        for (size_t i = 0; i < origins->count && !err; i++) {
            const struct http_origin *origin = &origins->items[i];
            char name[METRICS_LABEL_BYTES_MAX];
            char labels[METRICS_LABEL_BYTES_MAX + 64];
            double values[ARRAY_SIZE(names)] = {0};
            struct sync_origin_status status;

            err = replica_origin_by_number(kv, origin->number, held);
            if (err)
                break;
            values[0] = (double)http_origins_age_s(origin, exchange->now_ms);
            status = http_federation_status(exchange->node, &held->id);
            values[1] = lag_of(&status, held);
            for (uint8_t c = 1; c < COLLECTIONS_MAX; c++)
                values[2] += held->held[c].count;
            values[3] = held->has_head &&
                        replica_complete_mask(held, status.collections) == status.collections;
            values[4] = held->unproven_hno != 0;
            values[5] = status.throttled;
            values[6] = status.over_quota;
            values[7] = (held->flags & REPLICA_FLAG_DISPUTED) != 0;
            (void)snprintf(labels, sizeof(labels), "origin=\"%.16s\",name=\"%s\"", origin->hex,
                           metrics_label(name, origin->name));
            metrics_put_sample(&exchange->reply.body, names[metric], "gauge",
                               i ? NULL : helps[metric], labels, values[metric]);
        }
    }
    free(held);
    return err;
}

static enum torg_err metrics(struct http_exchange *exchange)
{
    const struct node *node = exchange->node;
    struct buffer *out = &exchange->reply.body;
    struct kv kv;
    enum torg_err err;

    http_reply_begin(exchange, 200, METRICS_TEXT);
    exchange->reply.cache = "no-store";
    metrics_put(node->metrics, out);
    put_gauge(out, "torg_up_seconds", "Since the daemon started.",
              (double)(exchange->now_ms - node->started_ms) / 1000);
    put_store(out, node->store);
    put_writer(out, node->writer);
    put_sync(out, node->peers);
    err = put_peers(out, node->peers);
    if (!err)
        err = store_read_begin(node->store, &kv);
    if (err)
        return err;
    err = put_origins(exchange, &kv);
    store_read_end(&kv);
    return err;
}

/* ---- tokens ---- */

/* A token that is being made or taken back, while the writer has it. */
struct token_job {
    struct http_exchange *exchange;
    char text[TOKEN_TEXT_SIZE + 1];
    enum token_role role;
    struct feature_id company;
    char label[TOKEN_LABEL_BYTES_MAX + 1];
    struct token made;
};

static void put_token(struct buffer *out, const struct token *token, const char *text)
{
    json_out_begin(out, NULL, '{');
    json_out_text(out, "id", token->id);
    json_out_text(out, "role", token_role_name(token->role));
    json_out_text(out, "label", token->label);
    if (token->role == TOKEN_ROLE_COMPANY) {
        char company[FEATURE_ID_SIZE + 1];

        feature_id_format(&token->company, company);
        json_out_text(out, "company", company);
    }
    json_out_time(out, "created", token->created_ms);
    if (text)
        json_out_text(out, "token", text);
    json_out_end(out, '}');
}

static void job_end(struct token_job *job)
{
    struct http_exchange *exchange = job->exchange;

    sodium_memzero(job->text, sizeof(job->text));
    free(job);
    http_exchange_finish(exchange);
}

static enum torg_err token_create(void *context, struct kv *kv)
{
    struct token_job *job = context;

    return token_put(kv, job->text, job->role,
                     job->role == TOKEN_ROLE_COMPANY ? &job->company : NULL,
                     span_of_str(job->label), job->exchange->now_ms, &job->made);
}

static void token_created(void *context, const struct writer_result *result)
{
    struct token_job *job = context;
    struct http_exchange *exchange = job->exchange;

    if (!result->err) {
        http_reply_begin(exchange, 201, "application/json");
        exchange->reply.cache = "no-store";
        put_token(&exchange->reply.body, &job->made, job->text);
        log_event(LOG_INFO, "token.created", "id=%s role=%s", job->made.id,
                  token_role_name(job->made.role));
    } else if (result->err == TORG_E_TOO_BIG) {
        http_reply_problem(exchange, 409, NULL, "There are %d tokens already.", TOKENS_MAX);
    } else {
        http_reply_error(exchange, result->err);
    }
    job_end(job);
}

static enum torg_err token_remove(void *context, struct kv *kv)
{
    struct token_job *job = context;

    return token_delete(kv, job->exchange->captures[0]);
}

static void token_removed(void *context, const struct writer_result *result)
{
    struct token_job *job = context;
    struct http_exchange *exchange = job->exchange;

    if (!result->err) {
        exchange->reply.status = 204;
        log_event(LOG_INFO, "token.deleted", "id=%.*s", (int)exchange->captures[0].size,
                  (const char *)exchange->captures[0].data);
    } else if (result->err == TORG_E_INVALID || result->err == TORG_E_NOT_FOUND) {
        http_reply_problem(exchange, 404, NULL, "There is no token with this id.");
    } else {
        http_reply_error(exchange, result->err);
    }
    job_end(job);
}

static enum torg_err submit(struct token_job *job, writer_run *run, writer_done *done)
{
    struct http_exchange *exchange = job->exchange;
    enum torg_err err;

    exchange->pending = true;
    err = writer_submit_run(exchange->node->writer, run, http_exchange_loop(exchange), done, job);
    if (err) {
        exchange->pending = false;
        free(job);
    }
    return err;
}

static bool read_job(struct http_exchange *exchange, struct token_job *job)
{
    char message[200] = "";
    const char *label;
    const char *role;
    const char *company;
    json_t *json = NULL;
    bool good;

    if (listing_json_parse(buffer_span(&exchange->body), &json, message, sizeof(message))) {
        http_reply_problem(exchange, 400, "invalid-json", "The body is no JSON: %s", message);
        return false;
    }
    label = json_string_value(json_object_get(json, "label"));
    role = json_string_value(json_object_get(json, "role"));
    company = json_string_value(json_object_get(json, "company"));
    good = label && role && label[0] && strlen(label) <= TOKEN_LABEL_BYTES_MAX &&
           token_role_parse(span_of_str(role), &job->role) == TORG_OK &&
           (job->role == TOKEN_ROLE_COMPANY) == (company != NULL) &&
           (!company || feature_id_parse(span_of_str(company), &job->company) == TORG_OK);
    if (good)
        (void)snprintf(job->label, sizeof(job->label), "%s", label);
    else
        http_reply_problem(
            exchange, 422, "invalid-token",
            "The body must be {\"role\": \"editor\", \"admin\" or \"company\", \"label\": text of "
            "1 to "
            "%d bytes}, and of a company's token also \"company\": the id of its listing in the "
            "collection companies.",
            TOKEN_LABEL_BYTES_MAX);
    json_decref(json);
    return good;
}

static enum torg_err tokens_post(struct http_exchange *exchange)
{
    struct token_job *job = calloc(1, sizeof(*job));
    uint8_t secret[TOKEN_SECRET_BYTES];

    if (!job)
        return TORG_E_NOMEM;
    job->exchange = exchange;
    if (!read_job(exchange, job)) {
        free(job);
        return TORG_OK;
    }
    randombytes_buf(secret, sizeof(secret));
    token_text(secret, job->text);
    sodium_memzero(secret, sizeof(secret));
    return submit(job, token_create, token_created);
}

static enum torg_err tokens_delete(struct http_exchange *exchange)
{
    struct token_job *job = calloc(1, sizeof(*job));

    if (!job)
        return TORG_E_NOMEM;
    job->exchange = exchange;
    return submit(job, token_remove, token_removed);
}

static bool list_token(void *context, const struct token *token)
{
    put_token(context, token, NULL);
    return true;
}

static enum torg_err tokens_get(struct http_exchange *exchange)
{
    struct buffer *out = &exchange->reply.body;
    struct kv kv;
    enum torg_err err = store_read_begin(exchange->node->store, &kv);

    if (err)
        return err;
    http_reply_begin(exchange, 200, "application/json");
    exchange->reply.cache = "no-store";
    json_out_begin(out, NULL, '{');
    json_out_begin(out, "tokens", '[');
    err = token_each(&kv, list_token, out);
    buffer_put_str(out, "]}\n");
    store_read_end(&kv);
    return err ? err : out->err;
}

/* ---- the listener ---- */

static const char *const json_bodies[] = {"application/json", NULL};
static const char *const geojson_bodies[] = {"application/geo+json", "application/json", NULL};

static const struct http_route routes[] = {
    {.method = HTTP_GET, .place = HTTP_AT_ROOT, .path = "/healthz", .handler = healthz},
    {.method = HTTP_GET, .place = HTTP_AT_ROOT, .path = "/readyz", .handler = readyz},
    {.method = HTTP_GET, .place = HTTP_AT_ROOT, .path = "/metrics", .handler = metrics},
    {.method = HTTP_GET,
     .place = HTTP_AT_ROOT,
     .path = "/tokens",
     .handler = tokens_get,
     .access = HTTP_ACCESS_OPERATOR},
    {.method = HTTP_POST,
     .place = HTTP_AT_ROOT,
     .path = "/tokens",
     .handler = tokens_post,
     .access = HTTP_ACCESS_OPERATOR,
     .bodies = json_bodies},
    {.method = HTTP_DELETE,
     .place = HTTP_AT_ROOT,
     .path = "/tokens/{id}",
     .handler = tokens_delete,
     .access = HTTP_ACCESS_OPERATOR},
    {.method = HTTP_GET,
     .place = HTTP_AT_ROOT,
     .path = "/collections",
     .handler = admin_collections_get,
     .access = HTTP_ACCESS_OPERATOR},
    {.method = HTTP_DELETE,
     .place = HTTP_AT_ROOT,
     .path = "/collections/{name}",
     .handler = admin_collections_delete,
     .access = HTTP_ACCESS_OPERATOR},
    {.method = HTTP_GET,
     .place = HTTP_AT_ROOT,
     .path = "/members",
     .handler = admin_members_get,
     .access = HTTP_ACCESS_OPERATOR},
    {.method = HTTP_GET,
     .place = HTTP_AT_ROOT,
     .path = "/members/after/{key}",
     .handler = admin_members_get,
     .access = HTTP_ACCESS_OPERATOR},
    {.method = HTTP_GET,
     .place = HTTP_AT_ROOT,
     .path = "/members/{origin}",
     .handler = admin_members_get_one,
     .access = HTTP_ACCESS_OPERATOR},
    {.method = HTTP_PUT,
     .place = HTTP_AT_ROOT,
     .path = "/members/{origin}",
     .handler = admin_members_put,
     .access = HTTP_ACCESS_OPERATOR,
     .bodies = geojson_bodies},
    {.method = HTTP_DELETE,
     .place = HTTP_AT_ROOT,
     .path = "/members/{origin}",
     .handler = admin_members_delete,
     .access = HTTP_ACCESS_OPERATOR},
    {.method = HTTP_POST,
     .place = HTTP_AT_ROOT,
     .path = "/import",
     .handler = admin_import,
     .access = HTTP_ACCESS_OPERATOR,
     .params = HTTP_PARAM_BIT(COLLECTION) | HTTP_PARAM_BIT(LANGUAGE) | HTTP_PARAM_BIT(DRY_RUN),
     .bodies = geojson_bodies,
     .body_max = ADMIN_IMPORT_BODY_BYTES_MAX},
};

/* A new secret at each start, readable by the daemon's user alone. */
static enum torg_err write_secret(struct admin *admin, const char *directory)
{
    uint8_t secret[SECRET_BYTES];
    char path[600];
    bool written;
    int fd;

    randombytes_buf(secret, sizeof(secret));
    hex_encode(secret, sizeof(secret), admin->secret);
    (void)snprintf(path, sizeof(path), "%s/%s", directory, ADMIN_SECRET_FILE);
    (void)unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    written = fd >= 0 && write(fd, admin->secret, SECRET_DIGITS) == SECRET_DIGITS &&
              write(fd, "\n", 1) == 1;
    if (!written)
        log_event(LOG_ERROR, "admin.secret", "file=%s err=\"%s\"", path, strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    return written ? TORG_OK : TORG_E_IO;
}

enum torg_err admin_new(const struct node *node, struct admin **ret_admin)
{
    const struct config *config = node->config;
    struct admin *admin = calloc(1, sizeof(*admin));
    struct http_workers_options options = {
        .name = "admin",
        .node = node,
        .addresses = config->admin,
        .address_count = config->admin_count,
        .threads = 1,
        .connections_max = CONNECTIONS_MAX,
        .per_address_max = CONNECTIONS_MAX,
        .routes = {.items = routes,
                   .count = ARRAY_SIZE(routes),
                   .base_path = "",
                   .is_operator = is_operator},
        .service = admin,
    };
    enum torg_err err;

    if (!admin)
        return TORG_E_NOMEM;
    err = write_secret(admin, config->directory);
    if (!err)
        err = http_workers_new(&options, &admin->workers);
    if (err) {
        admin_free(admin);
        return err;
    }
    *ret_admin = admin;
    return TORG_OK;
}

enum torg_err admin_start(struct admin *admin)
{
    return http_workers_start(admin->workers);
}

void admin_free(struct admin *admin)
{
    if (!admin)
        return;
    http_workers_free(admin->workers);
    sodium_memzero(admin->secret, sizeof(admin->secret));
    free(admin);
}

uint16_t admin_port(const struct admin *admin)
{
    return http_workers_port(admin->workers);
}
