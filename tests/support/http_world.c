/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/http_world.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/peers.h"
#include "index/settings.h"
#include "index/token.h"
#include "protocol/change.h"
#include "protocol/listing_geojson.h"

#define MUST(expression) must((expression), #expression)
#define WAIT_MS 5000
#define HELD_MAX 16

static void must(enum torg_err err, const char *what)
{
    if (!err)
        return;
    fprintf(stderr, "%s: %s\n", what, torg_err_text(err));
    abort();
}

/* ---- the writer that does as it is told ---- */

struct held_job {
    struct local_change change;
    struct buffer payload;
    writer_prepare *prepare;
    bool is_change;
    writer_run *run; /* of a change: after it, or NULL */
    struct loop *loop;
    writer_done *done;
    void *context;
};

struct writer {
    pthread_mutex_t mutex;
    struct http_world *world;
    enum http_world_writing writing;
    enum torg_err refusal;
    size_t held_count;
    struct held_job held[HELD_MAX];
};

struct finished_job {
    writer_done *done;
    void *context;
    struct writer_result result;
};

static void deliver(void *context)
{
    struct finished_job *job = context;

    job->done(job->context, &job->result);
    free(job);
}

static enum torg_err commit(struct http_world *world, const struct town *town,
                            const struct local_change *change, struct kv *kv)
{
    struct catalogue_writer catalogue = {.themes = world->themes};
    struct replica_observer observer = catalogue_observer(&catalogue);
    struct buffer head = {0};
    enum torg_err err = replica_commit_local(kv, &town->id, &town->signer, change, 1, town->now_ms,
                                             &observer, &head);

    if (!err)
        err = catalogue_flush(&catalogue, kv);
    catalogue_writer_done(&catalogue);
    buffer_done(&head);
    return err;
}

static void job_do(struct writer *writer, struct held_job *job)
{
    struct finished_job *finished = calloc(1, sizeof(*finished));
    struct http_world *world = writer->world;
    struct kv kv;
    enum torg_err err;

    if (!finished)
        abort();
    job->change.payload = buffer_span(&job->payload);
    MUST(store_write_begin(world->node.store, &kv));
    err = job->prepare ? job->prepare(job->context, &kv) : TORG_OK;
    if (!err && job->is_change)
        err = commit(world, &world->own, &job->change, &kv);
    if (!err && job->run)
        err = job->run(job->context, &kv);
    if (err)
        store_write_abort(&kv);
    else
        MUST(store_write_commit(&kv));
    buffer_done(&job->payload);
    *finished = (struct finished_job){
        .done = job->done, .context = job->context, .result = {.err = err, .hno = 1, .seq = 1}};
    loop_answer(job->loop, deliver, finished);
}

static enum torg_err job_take(struct writer *writer, struct held_job *job)
{
    enum torg_err err = TORG_OK;

    pthread_mutex_lock(&writer->mutex);
    if (writer->writing == WRITING_REFUSES)
        err = writer->refusal;
    else if (writer->writing == WRITING_HOLDS && writer->held_count < HELD_MAX)
        writer->held[writer->held_count++] = *job;
    else
        job_do(writer, job);
    pthread_mutex_unlock(&writer->mutex);
    if (err)
        buffer_done(&job->payload);
    return err;
}

enum torg_err writer_submit_local(struct writer *writer, const struct local_change *changes,
                                  size_t count, writer_prepare *prepare, struct loop *loop,
                                  writer_done *done, void *context)
{
    return writer_submit_local_and(writer, changes, count, prepare, NULL, loop, done, context);
}

enum torg_err writer_submit_local_and(struct writer *writer, const struct local_change *changes,
                                      size_t count, writer_prepare *prepare, writer_run *also,
                                      struct loop *loop, writer_done *done, void *context)
{
    struct held_job job = {.change = changes[0],
                           .prepare = prepare,
                           .is_change = true,
                           .run = also,
                           .loop = loop,
                           .done = done,
                           .context = context};

    if (count != 1)
        abort();
    buffer_put_span(&job.payload, changes[0].payload);
    return job_take(writer, &job);
}

enum torg_err writer_submit_run(struct writer *writer, writer_run *run, struct loop *loop,
                                writer_done *done, void *context)
{
    struct held_job job = {.run = run, .loop = loop, .done = done, .context = context};

    return job_take(writer, &job);
}

enum writer_state writer_state(const struct writer *writer)
{
    return writer->writing == WRITING_REFUSES ? WRITER_RECOVERING : WRITER_READY;
}

const char *writer_state_reason(const struct writer *writer)
{
    (void)writer;
    return "peers are being asked";
}

void writer_counters(const struct writer *writer, struct writer_counters *ret_counters)
{
    (void)writer;
    *ret_counters = (struct writer_counters){.commits = 1};
}

void http_world_writing(struct http_world *world, enum http_world_writing writing,
                        enum torg_err refusal)
{
    struct writer *writer = world->node.writer;

    pthread_mutex_lock(&writer->mutex);
    writer->writing = writing;
    writer->refusal = refusal;
    pthread_mutex_unlock(&writer->mutex);
}

size_t http_world_held(struct http_world *world)
{
    struct writer *writer = world->node.writer;
    size_t count;

    pthread_mutex_lock(&writer->mutex);
    count = writer->held_count;
    pthread_mutex_unlock(&writer->mutex);
    return count;
}

void http_world_release(struct http_world *world)
{
    struct writer *writer = world->node.writer;

    pthread_mutex_lock(&writer->mutex);
    writer->writing = WRITING_COMMITS;
    for (size_t i = 0; i < writer->held_count; i++)
        job_do(writer, &writer->held[i]);
    writer->held_count = 0;
    pthread_mutex_unlock(&writer->mutex);
}

/* ---- peers that are not there ---- */

size_t peers_view(const struct peers *peers, struct peer_view *out, size_t max)
{
    (void)peers;
    if (max > 0) {
        memset(out, 0, sizeof(*out));
        (void)snprintf(out->name, sizeof(out->name), "arjeplog");
        (void)snprintf(out->address, sizeof(out->address), "192.0.2.17:8490");
        out->status.rtt_ms = 12;
    }
    return 1;
}

void peers_counters(const struct peers *peers, struct sync_counters *ret_counters)
{
    (void)peers;
    *ret_counters = (struct sync_counters){0};
}

bool peers_origin_status(const struct peers *peers, const struct origin_id *origin,
                         struct sync_origin_status *ret_status)
{
    (void)peers;
    (void)origin;
    *ret_status = (struct sync_origin_status){
        .trusted = true,
        .collections = COLLECTION_MASK_ALL,
        .claimed = true,
        .claimed_epoch = 1,
        .claimed_hno = 1000000,
    };
    return true;
}

const char *sync_peer_state_name(enum sync_peer_state state)
{
    (void)state;
    return "down";
}

/* ---- the world ---- */

static void found(struct http_world *world, struct town *town, uint64_t seed)
{
    struct town_write charters;
    struct kv kv;

    town_init(town, seed);
    town_charters_write(town, &charters);
    MUST(store_write_begin(world->node.store, &kv));
    MUST(replica_apply(&kv, &charters.write, NULL));
    if (town == &world->own)
        MUST(settings_own_set(&kv, &town->id));
    MUST(store_write_commit(&kv));
    town_write_done(&charters);
}

static void make_token(struct http_world *world)
{
    uint8_t secret[TOKEN_SECRET_BYTES] = {7};
    struct token token;
    struct kv kv;

    token_text(secret, world->token);
    MUST(store_write_begin(world->node.store, &kv));
    MUST(token_put(&kv, world->token, TOKEN_ROLE_EDITOR, NULL, span_of_str("test"), 0, &token));
    MUST(store_write_commit(&kv));
}

static void rebuild_catalogue(struct http_world *world)
{
    struct kv kv;

    MUST(store_write_begin(world->node.store, &kv));
    MUST(catalogue_rebuild(&kv, world->themes, NULL, NULL));
    MUST(store_write_commit(&kv));
}

void http_world_init(struct http_world *world, uint32_t connections_max, uint32_t per_address)
{
    struct store_options options = store_options_default();

    memset(world, 0, sizeof(*world));
    log_set_level(LOG_ERROR);
    MUST(seal_init());
    (void)snprintf(world->directory, sizeof(world->directory), "/tmp/torg_http.XXXXXX");
    if (!mkdtemp(world->directory))
        abort();
    options.map_bytes = 64 << 20;
    MUST(store_open(world->directory, &options, &world->node.store));
    MUST(theme_tree_builtin(&world->themes));
    rebuild_catalogue(world);
    (void)snprintf(world->config.name, sizeof(world->config.name), "Umeå");
    (void)snprintf(world->config.directory, sizeof(world->config.directory), "%s",
                   world->directory);
    (void)snprintf(world->config.base_path, sizeof(world->config.base_path), "/torg/v1");
    (void)snprintf(world->config.http[0].host, sizeof(world->config.http[0].host), "127.0.0.1");
    world->config.http_count = 1;
    world->config.http_threads = 2;
    world->config.http_connections_max = connections_max;
    world->config.http_connections_per_address = per_address;
    MUST(metrics_new(&world->node.metrics));
    found(world, &world->own, 1);
    found(world, &world->foreign, 2);
    make_token(world);
    world->node.config = &world->config;
    world->node.themes = world->themes;
    world->node.has_own = true;
    world->node.own = world->own.id;
    world->node.peers = (struct peers *)(void *)world;
    world->node.writer = calloc(1, sizeof(*world->node.writer));
    if (!world->node.writer)
        abort();
    world->node.writer->world = world;
    pthread_mutex_init(&world->node.writer->mutex, NULL);
    MUST(http_new(&world->node, &world->http));
    MUST(http_start(world->http));
    world->port = http_port(world->http);
}

void http_world_done(struct http_world *world)
{
    char path[128];

    http_free(world->http);
    pthread_mutex_destroy(&world->node.writer->mutex);
    free(world->node.writer);
    store_close(world->node.store);
    metrics_free(world->node.metrics);
    theme_tree_free(world->themes);
    town_done(&world->own);
    town_done(&world->foreign);
    for (size_t i = 0; i < STORE_FILES_COUNT; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", world->directory, store_files[i]);
        (void)unlink(path);
    }
    (void)rmdir(world->directory);
}

int http_world_setup(void **state)
{
    struct http_world *world = calloc(1, sizeof(*world));

    if (!world)
        return -1;
    http_world_init(world, 64, 64);
    *state = world;
    return 0;
}

int http_world_teardown(void **state)
{
    http_world_done(*state);
    free(*state);
    return 0;
}

void http_world_publish(struct http_world *world, struct town *town, uint8_t collection,
                        const char *geojson, char *ret_id)
{
    struct local_change change = {.collection = collection};
    struct problems problems = {.count = 0};
    struct buffer body = {0};
    struct buffer payload = {0};
    struct feature_id id;
    char message[200];
    uint8_t nonce[16];
    json_t *json;
    struct kv kv;

    MUST(listing_json_parse(span_of_str(geojson), &json, message, sizeof(message)));
    if (listing_of_geojson(collection, json, "sv", 1, 1, &body, &problems)) {
        fprintf(stderr, "%s: %s\n", problems.items[0].path, problems.items[0].text);
        abort();
    }
    json_decref(json);
    randombytes_buf(nonce, sizeof(nonce));
    randombytes_buf(change.id.bytes, sizeof(change.id.bytes));
    payload_pack(nonce, PAYLOAD_SCHEMA, buffer_span(&body), &payload);
    change.payload = buffer_span(&payload);
    MUST(store_write_begin(world->node.store, &kv));
    MUST(commit(world, town, &change, &kv));
    MUST(store_write_commit(&kv));
    if (ret_id) {
        id.id = change.id;
        memcpy(id.origin_prefix, town->id.bytes, sizeof(id.origin_prefix));
        feature_id_format(&id, ret_id);
    }
    buffer_done(&body);
    buffer_done(&payload);
}

/* ---- the client ---- */

void http_answer_done(struct http_answer *answer)
{
    buffer_done(&answer->head);
    buffer_done(&answer->body);
    answer->status = 0;
}

const char *http_answer_field(struct http_answer *answer, const char *name)
{
    static char value[4][2048];
    static unsigned turn;
    size_t size = strlen(name);

    for (const char *line = (const char *)answer->head.data; line && *line;) {
        const char *end = strstr(line, "\r\n");

        if (end && strncasecmp(line, name, size) == 0 && line[size] == ':') {
            turn = (turn + 1) % 4;
            (void)snprintf(value[turn], sizeof(value[turn]), "%.*s",
                           (int)(end - line - (long)size - 2), line + size + 2);
            return value[turn];
        }
        line = end ? end + 2 : NULL;
    }
    return NULL;
}

int http_client_connect(const struct http_world *world)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(world->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)(void *)&address, sizeof(address)))
        abort();
    return fd;
}

void http_client_send(int fd, const char *text)
{
    size_t size = strlen(text);

    while (size > 0) {
        ssize_t sent = send(fd, text, size, MSG_NOSIGNAL);

        if (sent <= 0)
            return; /* The server has closed: the answer tells why. */
        text += sent;
        size -= (size_t)sent;
    }
}

/* One byte, or false at the end or after five seconds. */
static bool read_byte(int fd, uint8_t *ret_byte)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    return poll(&poll_fd, 1, WAIT_MS) == 1 && recv(fd, ret_byte, 1, 0) == 1;
}

void http_client_read(int fd, bool with_body, struct http_answer *answer)
{
    const char *length;
    uint8_t byte;

    buffer_clear(&answer->head);
    buffer_clear(&answer->body);
    answer->status = 0;
    while (answer->head.size < 4 ||
           memcmp(answer->head.data + answer->head.size - 4, "\r\n\r\n", 4) != 0) {
        if (!read_byte(fd, &byte))
            return;
        buffer_put_u8(&answer->head, byte);
    }
    buffer_put_u8(&answer->head, 0);
    answer->status = (int)strtol((const char *)answer->head.data + 9, NULL, 10);
    length = http_answer_field(answer, "Content-Length");
    for (long left = length && with_body ? strtol(length, NULL, 10) : 0; left > 0; left--) {
        if (!read_byte(fd, &byte)) {
            answer->status = 0;
            return;
        }
        buffer_put_u8(&answer->body, byte);
    }
    buffer_put_u8(&answer->body, 0); /* so that it can be looked at as text */
    answer->body.size--;
}

bool http_client_closed(int fd)
{
    uint8_t byte;
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    return poll(&poll_fd, 1, WAIT_MS) == 1 && recv(fd, &byte, 1, 0) <= 0;
}

void http_client_ask(const struct http_world *world, const char *request,
                     struct http_answer *answer)
{
    int fd = http_client_connect(world);

    http_client_send(fd, request);
    http_client_read(fd, true, answer);
    (void)close(fd);
}

void http_client_request(const struct http_world *world, const char *method_and_target,
                         const char *fields, const char *body, struct http_answer *answer)
{
    struct buffer request = {0};

    buffer_printf(&request, "%s HTTP/1.1\r\nHost: torg.example\r\n%s", method_and_target, fields);
    if (body)
        buffer_printf(&request, "Content-Length: %zu\r\n", strlen(body));
    buffer_printf(&request, "\r\n%s", body ? body : "");
    buffer_put_u8(&request, 0);
    http_client_ask(world, (const char *)request.data, answer);
    buffer_done(&request);
}
