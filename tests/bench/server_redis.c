/* SPDX-License-Identifier: EUPL-1.2 */
#include <hiredis/hiredis.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "protocol/num.h"
#include "tests/bench/server.h"

/*
 * Redis with its GEO commands, by hiredis: one sorted set of all listings, one for each
 * theme, and the features as strings. It knows a sphere only, and keeps positions
 * in cells of some decimetres. To be exact, what it is asked is a little larger,
 * and the client decides by what it knows itself: each listing's position and
 * theme stand in an array, as if every client had them. That time is in the
 * answer's. Appended to a log that is synced at every commit.
 */
#define SPHERE_M 6372797.560856 /* Redis's */
/* At most so much longer on the sphere than a geodesic: 6,372,798 m to 6,335,439 m. */
#define SPHERE_OF_SPHEROID 1.006
#define SPHEROID_OF_SPHERE 0.994
#define CELL_M 1.0 /* more than a listing lies from its cell's middle */
#define NEAREST_FIRST_M 10000.0
#define NEAREST_SPARE 10
#define CHUNK 1000 /* listings in one command of loading */
#define ARGUMENTS_MAX (3 * CHUNK + 8)
#define KEY_BYTES 24

struct redis {
    const struct server_setup *setup;
    redisContext *context;
    struct bench_answer found; /* of the last question: what it shows */
    size_t matched;            /* how many there were */
    double *distances_m;       /* of every one, when all are shown */
    redisReply *features;      /* the same; NULL if there are none */
    /* A command as it is made. */
    const char *arguments[ARGUMENTS_MAX];
    size_t sizes[ARGUMENTS_MAX];
    int argument_count;
    struct buffer texts;
    size_t pending; /* commands without their replies */
};

/* ---- commands ---- */

static void add_span(struct redis *redis, struct span text)
{
    if (redis->argument_count == ARGUMENTS_MAX)
        bench_die("Redis: the command is too long");
    redis->arguments[redis->argument_count] = (const char *)text.data;
    redis->sizes[redis->argument_count++] = text.size;
}

static void begin(struct redis *redis, const char *name)
{
    redis->argument_count = 0;
    buffer_clear(&redis->texts);
    if (buffer_reserve(&redis->texts, (size_t)ARGUMENTS_MAX * KEY_BYTES))
        bench_die("out of memory"); /* So that it never moves. */
    add_span(redis, span_of_str(name));
}

static void add(struct redis *redis, const char *word)
{
    add_span(redis, span_of_str(word));
}

static void add_text(struct redis *redis, size_t from)
{
    add_span(redis, span_of(redis->texts.data + from, redis->texts.size - from));
}

static void add_number(struct redis *redis, const char *prefix, unsigned long number)
{
    size_t from = redis->texts.size;

    buffer_printf(&redis->texts, "%s%lu", prefix, number);
    add_text(redis, from);
}

static void add_degrees(struct redis *redis, int64_t e7)
{
    size_t from = redis->texts.size;

    num_put_fixed(&redis->texts, e7, 7);
    add_text(redis, from);
}

static void add_metres(struct redis *redis, double metres)
{
    size_t from = redis->texts.size;

    buffer_printf(&redis->texts, "%.3f", metres);
    add_text(redis, from);
}

static void add_set(struct redis *redis, uint16_t theme)
{
    if (theme == BENCH_THEME_ANY)
        add(redis, "all");
    else
        add_number(redis, "t:", theme);
}

static void append(struct redis *redis)
{
    if (redisAppendCommandArgv(redis->context, redis->argument_count, redis->arguments,
                               redis->sizes) != REDIS_OK)
        bench_die("Redis: %s", redis->context->errstr);
    redis->pending++;
}

static redisReply *receive(struct redis *redis)
{
    void *reply = NULL;

    if (redisGetReply(redis->context, &reply) != REDIS_OK)
        bench_die("Redis: %s", redis->context->errstr);
    redis->pending--;
    if (((redisReply *)reply)->type == REDIS_REPLY_ERROR)
        bench_die("Redis: %s", ((redisReply *)reply)->str);
    return reply;
}

static void receive_all(struct redis *redis)
{
    while (redis->pending > 0) {
        redisReply *reply = receive(redis);

        for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
            if (reply->element[i]->type == REDIS_REPLY_ERROR)
                bench_die("Redis: %s", reply->element[i]->str);
        }
        freeReplyObject(reply);
    }
}

static void *redis_open(const struct server_setup *setup)
{
    struct redis *redis = calloc(1, sizeof(*redis));
    char password[SERVER_FACT_BYTES_MAX];

    if (!redis)
        bench_die("out of memory");
    redis->setup = setup;
    redis->found.documents = calloc(setup->world->capacity, sizeof(*redis->found.documents));
    redis->distances_m = calloc(setup->world->capacity, sizeof(*redis->distances_m));
    server_fact(setup->directory, "redis.password", password);
    redis->context = redisConnect("127.0.0.1", server_fact_port(setup->directory, "redis.port"));
    if (!redis->found.documents || !redis->distances_m || !redis->context || redis->context->err)
        bench_die("Redis: %s", redis->context ? redis->context->errstr : "out of memory");
    begin(redis, "AUTH");
    add(redis, password);
    append(redis);
    receive_all(redis);
    return redis;
}

/* ---- writes ---- */

static void append_member(struct redis *redis, uint16_t set, const struct bench_record *record)
{
    begin(redis, "GEOADD");
    add_set(redis, set);
    add_degrees(redis, record->lon_e7);
    add_degrees(redis, record->lat_e7);
    add_number(redis, "", record->document);
    append(redis);
}

static void append_drop(struct redis *redis, uint16_t set, uint32_t document)
{
    begin(redis, "ZREM");
    add_set(redis, set);
    add_number(redis, "", document);
    append(redis);
}

static void append_feature(struct redis *redis, const struct bench_record *record)
{
    struct buffer feature = {0};

    server_feature_put(&feature, record, redis->setup->slugs[record->theme]);
    begin(redis, "SET");
    add_number(redis, "f:", record->document);
    add_span(redis, buffer_span(&feature));
    if (feature.err)
        bench_die("out of memory");
    append(redis);
    buffer_done(&feature);
}

/* All members of a chunk that are in a set, in one command. */
static void load_set(struct redis *redis, uint16_t set, const struct bench_record *const *records,
                     size_t count)
{
    bool any = false;

    begin(redis, "GEOADD");
    add_set(redis, set);
    for (size_t i = 0; i < count; i++) {
        if (set != BENCH_THEME_ANY && records[i]->theme != set)
            continue;
        add_degrees(redis, records[i]->lon_e7);
        add_degrees(redis, records[i]->lat_e7);
        add_number(redis, "", records[i]->document);
        any = true;
    }
    if (any)
        append(redis);
}

static void redis_load(void *server)
{
    struct redis *redis = server;
    const struct bench_world *world = redis->setup->world;
    static const struct bench_record *chunk[CHUNK];
    size_t next = 0, count;

    begin(redis, "FLUSHALL");
    append(redis);
    do {
        for (count = 0; next < world->count && count < CHUNK; next++) {
            if (world->records[next].alive)
                chunk[count++] = &world->records[next];
        }
        load_set(redis, BENCH_THEME_ANY, chunk, count);
        for (uint16_t theme = 0; theme < redis->setup->theme_count; theme++)
            load_set(redis, theme, chunk, count);
        for (size_t i = 0; i < count; i++)
            append_feature(redis, chunk[i]);
        receive_all(redis);
    } while (count > 0);
}

static void redis_write(void *server, const struct bench_change *changes, size_t count)
{
    struct redis *redis = server;

    begin(redis, "MULTI");
    append(redis);
    for (size_t i = 0; i < count; i++) {
        const struct bench_change *change = &changes[i];

        if (change->had && !(change->has && change->after.theme == change->before.theme))
            append_drop(redis, change->before.theme, change->before.document);
        if (change->has) {
            append_member(redis, BENCH_THEME_ANY, &change->after);
            append_member(redis, change->after.theme, &change->after);
            append_feature(redis, &change->after);
        } else {
            append_drop(redis, BENCH_THEME_ANY, change->before.document);
            begin(redis, "DEL");
            add_number(redis, "f:", change->before.document);
            append(redis);
        }
    }
    begin(redis, "EXEC");
    append(redis);
    receive_all(redis);
}

/* ---- questions ---- */

static void begin_search(struct redis *redis, const struct bench_query *query)
{
    begin(redis, "GEOSEARCH");
    add_set(redis, query->theme);
    add(redis, "FROMLONLAT");
    add_degrees(redis, llround(query->lon_deg * 1e7));
    add_degrees(redis, llround(query->lat_deg * 1e7));
}

static double redis_radius(double radius_m)
{
    return radius_m * SPHERE_OF_SPHEROID + CELL_M;
}

/* Redis measures a box's width at each listing's own latitude: the southern edge is the longest. */
static void add_box(struct redis *redis, const struct bench_query *query)
{
    double south = query->south_e7 / 1e7 * M_PI / 180;
    double half_width = (query->east_e7 - query->west_e7) / 2e7 * M_PI / 180;
    double height = (query->north_e7 - query->south_e7) / 1e7 * M_PI / 180;

    add(redis, "BYBOX");
    add_metres(redis, 4 * SPHERE_M * asin(cos(south) * sin(half_width / 2)) + 4 * CELL_M);
    add_metres(redis, SPHERE_M * height + 4 * CELL_M);
    add(redis, "m");
}

static uint32_t number_of(const struct redis *redis, const redisReply *reply)
{
    unsigned long number = reply->str ? strtoul(reply->str, NULL, 10) : ULONG_MAX;

    if (number >= redis->setup->world->count)
        bench_die("Redis: \"%s\" is not a listing", reply->str ? reply->str : "");
    return (uint32_t)number;
}

/* Of all that Redis found, those that match. */
static void take_matching(struct redis *redis, const struct bench_query *query)
{
    const struct bench_record *records = redis->setup->world->records;
    redisReply *reply;

    append(redis);
    reply = receive(redis);
    for (size_t i = 0; i < reply->elements; i++) {
        const struct bench_record *record = &records[number_of(redis, reply->element[i])];

        if (bench_matches(query, record))
            bench_take(query, record, &redis->found);
    }
    freeReplyObject(reply);
}

static void fetch_features(struct redis *redis, size_t count)
{
    struct buffer keys = {0};
    const char **arguments = calloc(count + 1, sizeof(*arguments));
    size_t *sizes = calloc(count + 1, sizeof(*sizes));

    if (!arguments || !sizes || buffer_reserve(&keys, (count + 1) * KEY_BYTES))
        bench_die("out of memory");
    arguments[0] = "MGET";
    sizes[0] = 4;
    for (size_t i = 0; i < count; i++) {
        arguments[i + 1] = (const char *)keys.data + keys.size;
        buffer_printf(&keys, "f:%u", redis->found.documents[i]);
        sizes[i + 1] = (size_t)((const char *)keys.data + keys.size - arguments[i + 1]);
    }
    if (redisAppendCommandArgv(redis->context, (int)count + 1, arguments, sizes) != REDIS_OK)
        bench_die("Redis: %s", redis->context->errstr);
    redis->pending++;
    redis->features = receive(redis);
    free(arguments);
    free(sizes);
    buffer_done(&keys);
}

/*
 * The nearest in a circle on the sphere, some more than wanted. False when
 * something that was not among them may be nearer: then a larger one is needed.
 */
static bool try_nearest(struct redis *redis, const struct bench_query *query, double radius_m,
                        size_t candidates)
{
    double reach_m = radius_m * SPHEROID_OF_SPHERE - CELL_M;
    redisReply *reply;

    begin_search(redis, query);
    add(redis, "BYRADIUS");
    add_metres(redis, radius_m);
    add(redis, "m");
    add(redis, "ASC");
    add(redis, "COUNT");
    add_number(redis, "", candidates);
    add(redis, "WITHDIST");
    append(redis);
    reply = receive(redis);
    redis->found.count = 0;
    for (size_t i = 0; i < reply->elements; i++)
        redis->found.documents[redis->found.count++] =
            number_of(redis, reply->element[i]->element[0]);
    if (reply->elements == candidates)
        reach_m =
            strtod(reply->element[candidates - 1]->element[1]->str, NULL) * SPHEROID_OF_SPHERE -
            CELL_M;
    else if (radius_m >= BENCH_EVERYWHERE_M)
        reach_m = BENCH_EVERYWHERE_M;
    freeReplyObject(reply);
    return bench_answer_nearest(query, redis->setup->world, &redis->found, reach_m);
}

static void ask_nearest(struct redis *redis, const struct bench_query *query)
{
    size_t candidates = BENCH_NEAREST + NEAREST_SPARE;
    double radius_m = NEAREST_FIRST_M;

    while (!try_nearest(redis, query, radius_m, candidates)) {
        if (redis->found.count == candidates)
            candidates *= 4;
        else
            radius_m = fmin(radius_m * 4, BENCH_EVERYWHERE_M);
    }
}

/* What the answer shows of all that match, with its distances. */
static void choose(struct redis *redis, const struct server_question *question)
{
    const struct bench_query *query = &question->query;
    const struct bench_world *world = redis->setup->world;
    struct bench_answer *found = &redis->found;

    if (question->listed == SERVER_EVERY) {
        for (size_t i = 0; i < found->count; i++)
            redis->distances_m[i] = bench_distance_m(query, &world->records[found->documents[i]]);
    } else if (query->kind == BENCH_RADIUS) {
        bench_answer_cut(query, world, found, question->listed, BENCH_EVERYWHERE_M);
    } else if (found->count > question->listed) {
        found->count = question->listed;
    }
}

static void redis_ask(void *server, const struct server_question *question)
{
    struct redis *redis = server;
    const struct bench_query *query = &question->query;

    if (redis->features)
        freeReplyObject(redis->features);
    redis->features = NULL;
    redis->found.count = 0;
    memset(redis->found.counts, 0, sizeof(redis->found.counts));
    if (query->kind == BENCH_NEAR) {
        ask_nearest(redis, query);
    } else {
        begin_search(redis, query);
        if (query->kind == BENCH_BOX) {
            add_box(redis, query);
        } else {
            add(redis, "BYRADIUS");
            add_metres(redis, redis_radius(query->radius_m));
            add(redis, "m");
        }
        take_matching(redis, query);
        redis->matched = redis->found.count;
        if (query->kind != BENCH_COUNTS)
            choose(redis, question);
    }
    if (redis->found.count > 0)
        fetch_features(redis, redis->found.count);
}

static void redis_read(void *server, const struct server_question *question,
                       struct server_answer *answer)
{
    struct redis *redis = server;
    const struct bench_answer *found = &redis->found;

    if (question->query.kind == BENCH_COUNTS) {
        memcpy(answer->counts, found->counts, sizeof(found->counts));
        return;
    }
    answer->has_matched = question->query.kind != BENCH_NEAR;
    answer->matched = redis->matched;
    answer->count = found->count;
    memcpy(answer->documents, found->documents, found->count * sizeof(*found->documents));
    for (size_t i = 0; i < found->count; i++) {
        if (!redis->features->element[i]->str)
            bench_die("Redis: a feature is missing");
        answer->distances_m[i] = question->query.kind == BENCH_BOX  ? -1
                                 : question->listed == SERVER_EVERY ? redis->distances_m[i]
                                                                    : found->distances_m[i];
    }
}

static uint64_t redis_disk_bytes(void *server)
{
    struct redis *redis = server;
    static const char field[] = "aof_current_size:";
    redisReply *reply;
    const char *at;
    uint64_t bytes;

    begin(redis, "INFO");
    add(redis, "persistence");
    append(redis);
    reply = receive(redis);
    at = reply->str ? strstr(reply->str, field) : NULL;
    bytes = at ? strtoull(at + sizeof(field) - 1, NULL, 10) : 0;
    freeReplyObject(reply);
    return bytes;
}

static void redis_close(void *server)
{
    struct redis *redis = server;

    if (redis->features)
        freeReplyObject(redis->features);
    redisFree(redis->context);
    buffer_done(&redis->texts);
    free(redis->found.documents);
    free(redis->distances_m);
    free(redis);
}

const struct server_peer server_redis = {
    .name = "Redis",
    .pid_file = "redis.pid",
    .open = redis_open,
    .load = redis_load,
    .ask = redis_ask,
    .read = redis_read,
    .write = redis_write,
    .disk_bytes = redis_disk_bytes,
    .close = redis_close,
};
