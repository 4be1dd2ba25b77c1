/* SPDX-License-Identifier: EUPL-1.2 */
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/bench.h"

/*
 * SQLite's R*Tree on disk, in whole units of 1e-7 degree, with the theme
 * beside the box. Queries use its geometry callback: it prunes by the box,
 * tests circle and theme of an entry before a row is made of it, and orders by
 * distance where the nearest are asked for. WAL with full sync: a commit
 * survives power loss. The cache holds everything.
 */
#define CACHE_KIB 4194304

struct sqlite {
    const struct bench_world *world;
    sqlite3 *db;
    sqlite3_stmt *select, *put, *delete, *begin, *commit;
    const struct bench_query *query; /* what the callback compares with */
    double lon_scale;                /* at the query's latitude */
};

static void check(const struct sqlite *sqlite, int result, int expected)
{
    if (result != expected)
        bench_die("SQLite: %s", sqlite3_errmsg(sqlite->db));
}

static double apart(double value, double low, double high)
{
    return value < low ? low - value : value > high ? value - high : 0;
}

/* coordinates: west, east, south, north, of a node's box or of an entry */
static int match_area(const struct sqlite *sqlite, sqlite3_rtree_query_info *info)
{
    const struct bench_query *query = sqlite->query;
    const sqlite3_rtree_dbl *at = info->aCoord;

    if (at[0] > query->east_e7 || at[1] < query->west_e7 || at[2] > query->north_e7 ||
        at[3] < query->south_e7)
        info->eWithin = NOT_WITHIN;
    else if (info->iLevel > 0)
        info->eWithin = PARTLY_WITHIN;
    else if (!bench_matches(query, &sqlite->world->records[info->iRowid]))
        info->eWithin = NOT_WITHIN;
    info->rScore = info->iLevel; /* leaves first, so that few nodes wait */
    return SQLITE_OK;
}

static int match_near(const struct sqlite *sqlite, sqlite3_rtree_query_info *info)
{
    const struct bench_query *query = sqlite->query;
    const sqlite3_rtree_dbl *at = info->aCoord;

    if (info->iLevel == 0 && !bench_has_theme(query, &sqlite->world->records[info->iRowid]))
        info->eWithin = NOT_WITHIN;
    info->rScore = hypot(apart(query->lon_deg * 1e7, at[0], at[1]) * sqlite->lon_scale,
                         apart(query->lat_deg * 1e7, at[2], at[3]));
    return SQLITE_OK;
}

static int match(sqlite3_rtree_query_info *info)
{
    const struct sqlite *sqlite = info->pContext;

    info->eWithin = FULLY_WITHIN;
    return sqlite->query->kind == BENCH_NEAR ? match_near(sqlite, info) : match_area(sqlite, info);
}

static void prepare(struct sqlite *sqlite, const char *sql, sqlite3_stmt **ret_statement)
{
    check(sqlite,
          sqlite3_prepare_v3(sqlite->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_statement, NULL),
          SQLITE_OK);
}

static void *sqlite_open(const struct bench_world *world, const char *directory)
{
    struct sqlite *sqlite = calloc(1, sizeof(*sqlite));
    char text[4096];

    if (!sqlite)
        bench_die("out of memory");
    sqlite->world = world;
    snprintf(text, sizeof(text), "%s/rtree.sqlite", directory);
    check(sqlite, sqlite3_open(text, &sqlite->db), SQLITE_OK);
    snprintf(text, sizeof(text),
             "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-%d;"
             "CREATE VIRTUAL TABLE tree USING rtree_i32(id, west, east, south, north, +theme)",
             CACHE_KIB);
    check(sqlite, sqlite3_exec(sqlite->db, text, NULL, NULL, NULL), SQLITE_OK);
    check(sqlite, sqlite3_rtree_query_callback(sqlite->db, "matching", match, sqlite, NULL),
          SQLITE_OK);
    prepare(sqlite, "SELECT id FROM tree WHERE id MATCH matching()", &sqlite->select);
    prepare(sqlite, "INSERT OR REPLACE INTO tree VALUES (?1, ?2, ?2, ?3, ?3, ?4)", &sqlite->put);
    prepare(sqlite, "DELETE FROM tree WHERE id = ?1", &sqlite->delete);
    prepare(sqlite, "BEGIN", &sqlite->begin);
    prepare(sqlite, "COMMIT", &sqlite->commit);
    return sqlite;
}

static void step(struct sqlite *sqlite, sqlite3_stmt *statement)
{
    check(sqlite, sqlite3_step(statement), SQLITE_DONE);
    sqlite3_reset(statement);
}

static void put(struct sqlite *sqlite, const struct bench_record *record)
{
    sqlite3_bind_int64(sqlite->put, 1, record->document);
    sqlite3_bind_int(sqlite->put, 2, record->lon_e7);
    sqlite3_bind_int(sqlite->put, 3, record->lat_e7);
    sqlite3_bind_int(sqlite->put, 4, record->theme);
    step(sqlite, sqlite->put);
}

/* It has no bulk load: inserts in one transaction. */
static void sqlite_load(void *tree)
{
    struct sqlite *sqlite = tree;

    step(sqlite, sqlite->begin);
    for (size_t i = 0; i < sqlite->world->count; i++) {
        if (sqlite->world->records[i].alive)
            put(sqlite, &sqlite->world->records[i]);
    }
    step(sqlite, sqlite->commit);
}

static void run(struct sqlite *sqlite, const struct bench_query *query, struct bench_answer *answer)
{
    int result = SQLITE_ROW;

    sqlite->query = query;
    sqlite->lon_scale = cos(query->lat_deg * M_PI / 180);
    while (query->kind != BENCH_NEAR || answer->count < BENCH_NEAREST) {
        result = sqlite3_step(sqlite->select);
        if (result != SQLITE_ROW)
            break;
        bench_take(query, &sqlite->world->records[sqlite3_column_int64(sqlite->select, 0)], answer);
    }
    if (result != SQLITE_ROW)
        check(sqlite, result, SQLITE_DONE);
    sqlite3_reset(sqlite->select);
}

static void sqlite_run(void *tree, const struct bench_query *query, struct bench_answer *answer)
{
    struct sqlite *sqlite = tree;
    struct bench_query around;

    run(sqlite, query, answer);
    if (query->kind != BENCH_NEAR)
        return;
    around = bench_query_around(query, sqlite->world, answer);
    answer->count = 0;
    run(sqlite, &around, answer);
    bench_answer_nearest(query, sqlite->world, answer, around.radius_m);
}

static void sqlite_write(void *tree, const struct bench_change *changes, size_t count)
{
    struct sqlite *sqlite = tree;

    step(sqlite, sqlite->begin);
    for (size_t i = 0; i < count; i++) {
        if (changes[i].has) {
            put(sqlite, &changes[i].after);
        } else {
            sqlite3_bind_int64(sqlite->delete, 1, changes[i].before.document);
            step(sqlite, sqlite->delete);
        }
    }
    step(sqlite, sqlite->commit);
}

static uint64_t pragma(struct sqlite *sqlite, const char *sql)
{
    sqlite3_stmt *statement;
    uint64_t value;

    prepare(sqlite, sql, &statement);
    check(sqlite, sqlite3_step(statement), SQLITE_ROW);
    value = (uint64_t)sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

static uint64_t sqlite_bytes(void *tree)
{
    return pragma(tree, "PRAGMA page_count") * pragma(tree, "PRAGMA page_size");
}

static void sqlite_close(void *tree)
{
    struct sqlite *sqlite = tree;

    sqlite3_finalize(sqlite->select);
    sqlite3_finalize(sqlite->put);
    sqlite3_finalize(sqlite->delete);
    sqlite3_finalize(sqlite->begin);
    sqlite3_finalize(sqlite->commit);
    sqlite3_close(sqlite->db);
    free(sqlite);
}

const struct bench_peer peer_sqlite = {
    .name = "SQLite",
    .durable = true,
    .open = sqlite_open,
    .load = sqlite_load,
    .run = sqlite_run,
    .write = sqlite_write,
    .bytes = sqlite_bytes,
    .close = sqlite_close,
};
