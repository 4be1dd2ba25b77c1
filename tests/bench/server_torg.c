/* SPDX-License-Identifier: EUPL-1.2 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/admin_import.h"
#include "protocol/num.h"
#include "tests/bench/bench_measure.h"
#include "tests/bench/server.h"
#include "tests/bench/server_http.h"

/*
 * Ourselves: torgd as it is installed, with its usual settings, over HTTP. One
 * answer has it all: numberMatched, and a page of features with their distances.
 * Listings come in by POST /import, as "torg import" sends them, and singly by
 * PUT; deletes wait for one commit together, each on a connection of its own.
 */
#define ITEMS "/torg/v1/collections/offers/items"
#define FEATURE_TYPE "application/geo+json"
#define LOADERS 8 /* requests under way: some are read while others are committed */
#define DELETERS 48
#define PAGE_EVERY 10000 /* the most in one answer */
#define PAGES_MAX 128
#define SETTLED_US 2e6   /* without a step of repacking */
#define LINKS_BYTES 4096 /* the end of an answer, where its links stand */

struct torg {
    const struct server_setup *setup;
    struct server_http *http;
    struct server_http *loaders[LOADERS];
    struct server_http *deleters[DELETERS];
    char (*ids)[FEATURE_ID_SIZE + 1]; /* by document */
    struct buffer target, body;
    struct buffer pages[PAGES_MAX]; /* of the last answer; the last page stays in http */
    size_t page_count;
    struct span last;
};

static void *torg_open(const struct server_setup *setup)
{
    struct torg *torg = calloc(1, sizeof(*torg));
    char secret[SERVER_FACT_BYTES_MAX], token[SERVER_FACT_BYTES_MAX];

    if (!torg)
        bench_die("out of memory");
    torg->setup = setup;
    torg->ids = calloc(setup->world->capacity, sizeof(*torg->ids));
    if (!torg->ids)
        bench_die("out of memory");
    server_fact(setup->directory, "torg.secret", secret);
    server_fact(setup->directory, "torg.token", token);
    torg->http = server_http_new(server_fact_port(setup->directory, "torg.http"), token);
    for (size_t i = 0; i < LOADERS; i++)
        torg->loaders[i] =
            server_http_new(server_fact_port(setup->directory, "torg.admin"), secret);
    return torg;
}

/* ---- listings in ---- */

static void import_send(struct torg *torg, struct server_http *http,
                        const struct bench_record *const *records, size_t count)
{
    struct buffer *body = &torg->body;

    buffer_clear(body);
    buffer_put_str(body, "{\"type\":\"FeatureCollection\",\"features\":[");
    for (size_t i = 0; i < count; i++) {
        buffer_put_str(body, i ? "," : "");
        server_feature_put(body, records[i], torg->setup->slugs[records[i]->theme]);
    }
    buffer_put_str(body, "]}");
    if (body->err)
        bench_die("out of memory");
    server_http_send(http, "POST", "/import?collection=offers", FEATURE_TYPE, buffer_span(body));
}

static void import_receive(struct torg *torg, struct server_http *http,
                           const struct bench_record *const *records, size_t count)
{
    struct span body;
    int status = server_http_receive(http, &body);
    json_t *json = json_loadb((const char *)body.data, body.size, 0, NULL);
    const json_t *rows = json_object_get(json, "rows");

    if (status != 200 || json_array_size(rows) != count ||
        json_integer_value(json_object_get(json, "failed")) != 0)
        bench_die("import: %d %.*s", status, (int)(body.size < 2000 ? body.size : 2000),
                  (const char *)body.data);
    for (size_t i = 0; i < count; i++) {
        const char *id = json_string_value(json_object_get(json_array_get(rows, i), "id"));

        snprintf(torg->ids[records[i]->document], sizeof(*torg->ids), "%s", id ? id : "");
    }
    json_decref(json);
}

/* Every loader has a request under way, until there is nothing left. */
static void torg_load(void *server)
{
    struct torg *torg = server;
    const struct bench_world *world = torg->setup->world;
    static const struct bench_record *chunks[LOADERS][ADMIN_IMPORT_ROWS_MAX];
    size_t sizes[LOADERS] = {0};
    size_t next = 0, waiting = 0, turn = 0;

    do {
        const struct bench_record **chunk = chunks[turn];
        struct server_http *http = torg->loaders[turn];

        if (sizes[turn] > 0) {
            import_receive(torg, http, chunk, sizes[turn]);
            sizes[turn] = 0;
            waiting--;
        }
        for (; next < world->count && sizes[turn] < ADMIN_IMPORT_ROWS_MAX; next++) {
            if (world->records[next].alive)
                chunk[sizes[turn]++] = &world->records[next];
        }
        if (sizes[turn] > 0) {
            import_send(torg, http, chunk, sizes[turn]);
            waiting++;
        }
        turn = (turn + 1) % LOADERS;
    } while (waiting > 0);
}

static void item_target(struct torg *torg, uint32_t document)
{
    buffer_clear(&torg->target);
    buffer_printf(&torg->target, ITEMS "/%s", torg->ids[document]);
    buffer_put_u8(&torg->target, '\0');
}

static void torg_update(struct torg *torg, const struct bench_record *record)
{
    struct span answer;
    int status;

    item_target(torg, record->document);
    buffer_clear(&torg->body);
    server_feature_put(&torg->body, record, torg->setup->slugs[record->theme]);
    if (torg->target.err || torg->body.err)
        bench_die("out of memory");
    server_http_send(torg->http, "PUT", (const char *)torg->target.data, FEATURE_TYPE,
                     buffer_span(&torg->body));
    status = server_http_receive(torg->http, &answer);
    if (status != 200)
        bench_die("PUT: %d %.*s", status, (int)answer.size, (const char *)answer.data);
}

/* The writer makes one commit of all that have come while the last one was written. */
static void torg_delete(struct torg *torg, const uint32_t *documents, size_t count)
{
    uint16_t port = server_fact_port(torg->setup->directory, "torg.http");
    char token[SERVER_FACT_BYTES_MAX];
    struct span answer;

    server_fact(torg->setup->directory, "torg.token", token);
    for (size_t i = 0; i < count + DELETERS; i++) {
        struct server_http **http = &torg->deleters[i % DELETERS];

        if (i >= DELETERS && i - DELETERS < count) {
            int status = server_http_receive(*http, &answer);

            if (status != 204)
                bench_die("DELETE: %d %.*s", status, (int)answer.size, (const char *)answer.data);
        }
        if (i >= count)
            continue;
        if (!*http)
            *http = server_http_new(port, token);
        item_target(torg, documents[i]);
        server_http_send(*http, "DELETE", (const char *)torg->target.data, NULL, (struct span){0});
    }
}

static void torg_write(void *server, const struct bench_change *changes, size_t count)
{
    struct torg *torg = server;
    static const struct bench_record *put[ADMIN_IMPORT_ROWS_MAX];
    static uint32_t gone[ADMIN_IMPORT_ROWS_MAX];
    size_t put_count = 0, gone_count = 0;

    if (count == 1 && changes->had && changes->has) {
        torg_update(torg, &changes->after);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (changes[i].has)
            put[put_count++] = &changes[i].after;
        else
            gone[gone_count++] = changes[i].before.document;
    }
    if (put_count > 0) {
        import_send(torg, torg->loaders[0], put, put_count);
        import_receive(torg, torg->loaders[0], put, put_count);
    }
    torg_delete(torg, gone, gone_count);
}

/* Steps in which the trees were packed again so far. */
static unsigned long long repack_steps(struct torg *torg)
{
    static const char name[] = "\ntorg_repack_steps_total ";
    struct span body = server_http_get(torg->loaders[0], "/metrics");
    const char *at = memmem(body.data, body.size, name, sizeof(name) - 1);

    if (!at)
        bench_die("torgd's metrics do not tell torg_repack_steps_total");
    return strtoull(at + sizeof(name) - 1, NULL, 10);
}

/* What PostgreSQL does by VACUUM, torgd does by itself when nothing is written: until it is over.
 */
static void torg_settle(void *server)
{
    struct torg *torg = server;
    unsigned long long before = repack_steps(torg), now;
    double begin_us = bench_now_us(), changed_us = begin_us;

    while (bench_now_us() - changed_us < SETTLED_US) {
        usleep(50000);
        now = repack_steps(torg);
        if (now != before)
            changed_us = bench_now_us();
        before = now;
    }
    fprintf(stderr, "server: torgd settled after %.0f s\n", (changed_us - begin_us) / 1e6);
}

/* ---- questions ---- */

static void put_degrees(struct buffer *out, double degrees)
{
    num_put_fixed(out, (int64_t)(degrees * 1e7 + (degrees < 0 ? -0.5 : 0.5)), 7);
}

static void put_near(struct buffer *out, const struct bench_query *query)
{
    buffer_put_str(out, "near=");
    put_degrees(out, query->lon_deg);
    buffer_put_str(out, ",");
    put_degrees(out, query->lat_deg);
    if (query->kind != BENCH_NEAR)
        buffer_printf(out, "&radius=%.0f", query->radius_m);
}

static void put_box(struct buffer *out, const struct bench_query *query)
{
    int32_t edges[] = {query->west_e7, query->south_e7, query->east_e7, query->north_e7};

    for (size_t i = 0; i < ARRAY_SIZE(edges); i++) {
        buffer_put_str(out, i ? "," : "bbox=");
        num_put_fixed(out, edges[i], 7);
    }
}

static void question_target(struct torg *torg, const struct server_question *question)
{
    const struct bench_query *query = &question->query;
    struct buffer *out = &torg->target;

    buffer_clear(out);
    if (query->kind == BENCH_COUNTS) {
        buffer_put_str(out, "/torg/v1/themes?collections=offers&");
        put_near(out, query);
    } else {
        buffer_printf(out, ITEMS "?limit=%zu&",
                      question->listed == SERVER_EVERY ? (size_t)PAGE_EVERY : question->listed);
        if (query->kind == BENCH_BOX)
            put_box(out, query);
        else
            put_near(out, query);
        if (query->theme != BENCH_THEME_ANY)
            buffer_printf(out, "&theme=%s", torg->setup->slugs[query->theme]);
    }
    buffer_put_u8(out, '\0');
    if (out->err)
        bench_die("out of memory");
}

/* The target of the link "next" at the end of a page; false when it is the last. */
static bool next_target(struct torg *torg, struct span page)
{
    size_t size = page.size < LINKS_BYTES ? page.size : LINKS_BYTES;
    const char *end = (const char *)page.data + page.size;
    const char *at = memmem(end - size, size, "\"rel\":\"next\"", 12);

    at = at ? memmem(at, (size_t)(end - at), "\"href\":\"http://", 15) : NULL;
    at = at ? memchr(at + 15, '/', (size_t)(end - at - 15)) : NULL;
    if (!at)
        return false;
    buffer_clear(&torg->target);
    buffer_put(&torg->target, at, strcspn(at, "\""));
    buffer_put_u8(&torg->target, '\0');
    if (torg->target.err)
        bench_die("out of memory");
    return true;
}

static void torg_ask(void *server, const struct server_question *question)
{
    struct torg *torg = server;

    question_target(torg, question);
    torg->page_count = 0;
    torg->last = server_http_get(torg->http, (const char *)torg->target.data);
    while (question->listed == SERVER_EVERY && next_target(torg, torg->last)) {
        struct buffer *page = &torg->pages[torg->page_count++];

        if (torg->page_count == PAGES_MAX)
            bench_die("too many pages");
        buffer_clear(page);
        buffer_put_span(page, torg->last);
        if (page->err)
            bench_die("out of memory");
        torg->last = server_http_get(torg->http, (const char *)torg->target.data);
    }
}

/* ---- answers ---- */

static json_t *parse(struct span page)
{
    json_t *json = json_loadb((const char *)page.data, page.size, 0, NULL);

    if (!json)
        bench_die("torgd's answer is not JSON");
    return json;
}

static void read_page(struct torg *torg, struct span page, struct server_answer *answer)
{
    json_t *json = parse(page);
    const json_t *feature;
    size_t i;

    answer->has_matched = true;
    answer->matched = (uint64_t)json_integer_value(json_object_get(json, "numberMatched"));
    json_array_foreach(json_object_get(json, "features"), i, feature)
    {
        const json_t *properties = json_object_get(feature, "properties");
        const json_t *distance = json_object_get(properties, "distance");
        const char *number = json_string_value(json_object_get(
            json_object_get(json_object_get(properties, "identifiers"), "source"), "id"));

        if (!number || answer->count == torg->setup->world->capacity)
            bench_die("torgd's answer has a listing that is not ours, or too many");
        answer->documents[answer->count] = (uint32_t)strtoul(number, NULL, 10);
        answer->distances_m[answer->count++] =
            json_is_number(distance) ? json_number_value(distance) : -1;
    }
    json_decref(json);
}

/* The tree of themes: those of the benchmark have nothing below them. */
static void read_themes(struct torg *torg, const json_t *themes, struct server_answer *answer)
{
    const json_t *theme;
    size_t i;

    json_array_foreach(themes, i, theme)
    {
        const char *slug = json_string_value(json_object_get(theme, "slug"));

        for (size_t t = 0; t < torg->setup->theme_count; t++) {
            if (slug && strcmp(slug, torg->setup->slugs[t]) == 0)
                answer->counts[t] = (uint32_t)json_integer_value(json_object_get(theme, "count"));
        }
        read_themes(torg, json_object_get(theme, "narrower"), answer);
    }
}

static void torg_read(void *server, const struct server_question *question,
                      struct server_answer *answer)
{
    struct torg *torg = server;

    if (question->query.kind == BENCH_COUNTS) {
        json_t *json = parse(torg->last);

        read_themes(torg, json_object_get(json, "themes"), answer);
        json_decref(json);
        return;
    }
    for (size_t i = 0; i < torg->page_count; i++)
        read_page(torg, buffer_span(&torg->pages[i]), answer);
    read_page(torg, torg->last, answer);
}

/* The store holds the signed log too, and the proofs. */
static uint64_t torg_disk_bytes(void *server)
{
    struct torg *torg = server;
    char path[4096];
    struct stat file;

    snprintf(path, sizeof(path), "%s/torg/data/torg.mdb", torg->setup->directory);
    if (stat(path, &file) != 0)
        bench_die("%s is not there", path);
    return (uint64_t)file.st_blocks * 512;
}

static void torg_close(void *server)
{
    struct torg *torg = server;

    server_http_free(torg->http);
    for (size_t i = 0; i < LOADERS; i++)
        server_http_free(torg->loaders[i]);
    for (size_t i = 0; i < DELETERS; i++)
        server_http_free(torg->deleters[i]);
    for (size_t i = 0; i < PAGES_MAX; i++)
        buffer_done(&torg->pages[i]);
    buffer_done(&torg->target);
    buffer_done(&torg->body);
    free(torg->ids);
    free(torg);
}

const struct server_peer server_torg = {
    .name = "torg",
    .pid_file = "torg.pid",
    .open = torg_open,
    .load = torg_load,
    .settle = torg_settle,
    .ask = torg_ask,
    .read = torg_read,
    .write = torg_write,
    .disk_bytes = torg_disk_bytes,
    .close = torg_close,
};
