/* SPDX-License-Identifier: EUPL-1.2 */
#include <libpq-fe.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/num.h"
#include "tests/bench/server.h"

/*
 * PostgreSQL with PostGIS, by libpq: prepared statements, binary, on loopback. What a page
 * needs goes as one pipeline: how many there are, and the first of them.
 *
 * The operator <-> orders geography by a sphere, so some spare candidates are
 * taken in its order and sorted by the spheroid; reach says how far they are
 * complete. When that is not far enough, a second statement asks for all that
 * may be nearer. So the answers are exact.
 */
#define SPARE_SHARE 5 /* a fifth more candidates than wanted, and some */
#define SPARE_MIN 10
/* A geodesic is at least this much of the distance on PostGIS's sphere: 6,335,439 m to 6,371,009 m.
 */
#define SPHEROID_OF_SPHERE 0.994
#define POINT_BYTES 25 /* EWKB: order, kind with SRID, SRID, longitude, latitude */
#define COPY_BYTES (1u << 20)
#define RESULTS_MAX 2

enum statement {
    COUNT_ALL,
    COUNT_THEME,
    COUNT_BOX,
    FIRST_ALL,
    FIRST_THEME,
    FIRST_BOX,
    NEAREST_THEME,
    EXACT_ALL,
    EXACT_THEME,
    EVERY_ALL,
    THEMES,
    UPDATE_ONE,
    PUT_LISTINGS,
    PUT_FEATURES,
    DROP_LISTINGS,
    DROP_FEATURES,
    STATEMENTS
};

/* Of the first of some candidates; WHERE and LIMIT of both are missing. */
#define FIRST                                                                                      \
    "WITH candidate AS MATERIALIZED (SELECT number, place <-> $1 AS sphere_m, "                    \
    "ST_Distance(place, $1) AS m FROM listing WHERE %s ORDER BY place <-> $1 LIMIT %zu) "          \
    "SELECT number, m, CASE WHEN (SELECT count(*) FROM candidate) < %zu THEN 'Infinity' "          \
    "ELSE (SELECT max(sphere_m) FROM candidate) END AS reach, feature FROM "                       \
    "(SELECT number, m FROM candidate ORDER BY m, number LIMIT %zu) AS chosen "                    \
    "JOIN feature USING (number) ORDER BY m, number"
#define EXACT                                                                                      \
    "SELECT number, m, 'Infinity'::float8, feature FROM (SELECT number, "                          \
    "ST_Distance(place, $1) AS m FROM listing WHERE %s ORDER BY m, number LIMIT %zu) AS chosen "   \
    "JOIN feature USING (number) ORDER BY m, number"
#define CIRCLE "ST_DWithin(place, $1, $2)"
#define BOX "theme = $1 AND ST_Intersects(place::geometry, ST_MakeEnvelope($2, $3, $4, $5, 4326))"

struct postgis {
    const struct server_setup *setup;
    PGconn *connection;
    PGresult *results[RESULTS_MAX]; /* of the last question: the count, if any, and the rows */
    size_t result_count;
};

static void check(const struct postgis *postgis, bool ok, const char *what)
{
    if (!ok)
        bench_die("PostGIS: %s: %s", what, PQerrorMessage(postgis->connection));
}

static void run_sql(struct postgis *postgis, const char *sql)
{
    PGresult *result = PQexec(postgis->connection, sql);

    check(postgis,
          PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_TUPLES_OK,
          sql);
    PQclear(result);
}

static void *postgis_open(const struct server_setup *setup)
{
    struct postgis *postgis = calloc(1, sizeof(*postgis));
    char password[SERVER_FACT_BYTES_MAX], port[8];
    const char *const names[] = {"host", "port", "user", "password", "dbname", NULL};
    const char *const values[] = {"127.0.0.1", port, "postgres", password, "postgres", NULL};

    if (!postgis)
        bench_die("out of memory");
    postgis->setup = setup;
    server_fact(setup->directory, "postgis.password", password);
    snprintf(port, sizeof(port), "%u", server_fact_port(setup->directory, "postgis.port"));
    postgis->connection = PQconnectdbParams(names, values, 0);
    check(postgis, PQstatus(postgis->connection) == CONNECTION_OK, "connect");
    run_sql(postgis, "SET client_min_messages = warning");
    run_sql(postgis, "CREATE EXTENSION IF NOT EXISTS postgis");
    run_sql(postgis, "CREATE EXTENSION IF NOT EXISTS btree_gist");
    return postgis;
}

/* ---- statements ---- */

static void prepare(struct postgis *postgis, enum statement statement, const char *sql)
{
    char name[8];
    PGresult *result;

    snprintf(name, sizeof(name), "s%d", (int)statement);
    result = PQprepare(postgis->connection, name, sql, 0, NULL);
    check(postgis, PQresultStatus(result) == PGRES_COMMAND_OK, sql);
    PQclear(result);
}

static void prepare_first(struct postgis *postgis, enum statement statement, const char *where,
                          size_t wanted)
{
    size_t candidates = wanted + wanted / SPARE_SHARE + SPARE_MIN;
    char sql[1024];

    snprintf(sql, sizeof(sql), FIRST, where, candidates, candidates, wanted);
    prepare(postgis, statement, sql);
}

static void prepare_exact(struct postgis *postgis, enum statement statement, const char *where,
                          size_t wanted)
{
    char sql[1024];

    snprintf(sql, sizeof(sql), EXACT, where, wanted);
    prepare(postgis, statement, sql);
}

static void prepare_questions(struct postgis *postgis)
{
    prepare(postgis, COUNT_ALL, "SELECT count(*) FROM listing WHERE " CIRCLE);
    prepare(postgis, COUNT_THEME, "SELECT count(*) FROM listing WHERE theme = $3 AND " CIRCLE);
    prepare(postgis, COUNT_BOX, "SELECT count(*) FROM listing WHERE " BOX);
    prepare_first(postgis, FIRST_ALL, CIRCLE, BENCH_PAGE);
    prepare_first(postgis, FIRST_THEME, "theme = $3 AND " CIRCLE, BENCH_PAGE);
    prepare_first(postgis, NEAREST_THEME, "theme = $2", BENCH_NEAREST);
    prepare_exact(postgis, EXACT_ALL, CIRCLE, BENCH_PAGE);
    prepare_exact(postgis, EXACT_THEME, "theme = $3 AND " CIRCLE, BENCH_PAGE);
    prepare(postgis, FIRST_BOX,
            "SELECT number, -1::float8, 'Infinity'::float8, feature FROM (SELECT number FROM "
            "listing WHERE " BOX " LIMIT 100) AS chosen JOIN feature USING (number)");
    prepare(postgis, EVERY_ALL,
            "SELECT number, ST_Distance(place, $1), 'Infinity'::float8, feature FROM listing JOIN "
            "feature USING (number) WHERE " CIRCLE);
    prepare(postgis, THEMES, "SELECT theme, count(*) FROM listing WHERE " CIRCLE " GROUP BY theme");
}

static void prepare_writes(struct postgis *postgis)
{
    prepare(postgis, UPDATE_ONE,
            "WITH moved AS (UPDATE listing SET theme = $2, place = ST_MakePoint($3, $4)::geography "
            "WHERE number = $1) UPDATE feature SET feature = $5 WHERE number = $1");
    prepare(postgis, PUT_LISTINGS,
            "INSERT INTO listing SELECT number, theme, ST_MakePoint(lon, lat)::geography FROM "
            "unnest($1::int[], $2::smallint[], $3::float8[], $4::float8[]) AS put(number, theme, "
            "lon, lat) ON CONFLICT (number) DO UPDATE SET theme = excluded.theme, "
            "place = excluded.place");
    prepare(postgis, PUT_FEATURES,
            "INSERT INTO feature SELECT * FROM unnest($1::int[], $2::text[]) AS put(number, "
            "feature) ON CONFLICT (number) DO UPDATE SET feature = excluded.feature");
    prepare(postgis, DROP_LISTINGS, "DELETE FROM listing WHERE number = ANY($1::int[])");
    prepare(postgis, DROP_FEATURES, "DELETE FROM feature WHERE number = ANY($1::int[])");
}

/* ---- loading ---- */

/* What the tables are made of: the narrow one is searched, the wide one shown. */
static const char schema[] = "DROP TABLE IF EXISTS listing, feature;"
                             "CREATE TABLE listing (number int NOT NULL, theme smallint NOT NULL,"
                             "  place geography(Point, 4326) NOT NULL);"
                             "CREATE TABLE feature (number int NOT NULL, feature text NOT NULL)";
static const char *const indexes[] = {
    "CREATE INDEX listing_place ON listing USING gist (place)",
    "CLUSTER listing USING listing_place",
    "ALTER TABLE listing ADD PRIMARY KEY (number)",
    "CREATE INDEX listing_theme_place ON listing USING gist (theme, place)",
    "CREATE INDEX listing_theme_plane ON listing USING gist (theme, (place::geometry))",
    "ALTER TABLE feature ADD PRIMARY KEY (number)",
    "ANALYZE listing, feature",
};

static void put_ewkb(double lon_deg, double lat_deg, uint8_t out[POINT_BYTES])
{
    static const uint8_t head[] = {1, 1, 0, 0, 0x20, 0xe6, 0x10, 0, 0};

    memcpy(out, head, sizeof(head));
    memcpy(out + sizeof(head), &lon_deg, sizeof(lon_deg)); /* little-endian, as the head says */
    memcpy(out + sizeof(head) + sizeof(lon_deg), &lat_deg, sizeof(lat_deg));
}

static void copy_rows(struct postgis *postgis, const char *sql,
                      void (*put)(const struct postgis *postgis, const struct bench_record *record,
                                  struct buffer *out))
{
    const struct bench_world *world = postgis->setup->world;
    struct buffer rows = {0};
    PGresult *result = PQexec(postgis->connection, sql);

    check(postgis, PQresultStatus(result) == PGRES_COPY_IN, sql);
    PQclear(result);
    for (size_t i = 0; i < world->count; i++) {
        if (world->records[i].alive)
            put(postgis, &world->records[i], &rows);
        if (rows.size < COPY_BYTES && i + 1 < world->count)
            continue;
        check(postgis,
              !rows.err &&
                  PQputCopyData(postgis->connection, (char *)rows.data, (int)rows.size) == 1,
              sql);
        buffer_clear(&rows);
    }
    check(postgis, PQputCopyEnd(postgis->connection, NULL) == 1, sql);
    result = PQgetResult(postgis->connection);
    check(postgis, PQresultStatus(result) == PGRES_COMMAND_OK, sql);
    PQclear(result);
    check(postgis, !PQgetResult(postgis->connection), sql);
    buffer_done(&rows);
}

static void put_listing_row(const struct postgis *postgis, const struct bench_record *record,
                            struct buffer *out)
{
    uint8_t point[POINT_BYTES];
    char hex[2 * POINT_BYTES + 1];

    (void)postgis;
    put_ewkb(record->lon_e7 / 1e7, record->lat_e7 / 1e7, point);
    hex_encode(point, sizeof(point), hex);
    buffer_printf(out, "%u\t%u\t%s\n", record->document, record->theme, hex);
}

/* Quotation marks and backslashes need a backslash; there are no control characters. */
static void put_escaped(struct span text, const char *special, struct buffer *out)
{
    for (size_t i = 0; i < text.size; i++) {
        if (strchr(special, text.data[i]))
            buffer_put_u8(out, '\\');
        buffer_put_u8(out, text.data[i]);
    }
}

static void put_feature_row(const struct postgis *postgis, const struct bench_record *record,
                            struct buffer *out)
{
    struct buffer feature = {0};

    server_feature_put(&feature, record, postgis->setup->slugs[record->theme]);
    buffer_printf(out, "%u\t", record->document);
    put_escaped(buffer_span(&feature), "\\", out);
    buffer_put_u8(out, '\n');
    if (feature.err)
        bench_die("out of memory");
    buffer_done(&feature);
}

static void postgis_load(void *server)
{
    struct postgis *postgis = server;

    run_sql(postgis, "DEALLOCATE ALL");
    run_sql(postgis, schema);
    copy_rows(postgis, "COPY listing FROM STDIN", put_listing_row);
    copy_rows(postgis, "COPY feature FROM STDIN", put_feature_row);
    for (size_t i = 0; i < ARRAY_SIZE(indexes); i++)
        run_sql(postgis, indexes[i]);
    prepare_questions(postgis);
    prepare_writes(postgis);
}

void server_postgis_index_text(void *server)
{
    run_sql(server, "CREATE INDEX listing_number_text ON listing ((number::text))");
}

/* As autovacuum would in its time; the checkpoint then falls into nobody's time. */
static void postgis_settle(void *server)
{
    run_sql(server, "VACUUM ANALYZE listing");
    run_sql(server, "VACUUM ANALYZE feature");
    run_sql(server, "CHECKPOINT");
}

/* ---- questions ---- */

struct parameters {
    uint8_t bytes[5][POINT_BYTES];
    const char *values[5];
    int sizes[5], formats[5];
    int count;
};

static void add_parameter(struct parameters *parameters, size_t size)
{
    parameters->values[parameters->count] = (const char *)parameters->bytes[parameters->count];
    parameters->sizes[parameters->count] = (int)size;
    parameters->formats[parameters->count++] = 1;
}

static void add_point(struct parameters *parameters, double lon_deg, double lat_deg)
{
    put_ewkb(lon_deg, lat_deg, parameters->bytes[parameters->count]);
    add_parameter(parameters, POINT_BYTES);
}

static void add_double(struct parameters *parameters, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    put_u64be(parameters->bytes[parameters->count], bits);
    add_parameter(parameters, sizeof(bits));
}

static void add_theme(struct parameters *parameters, uint16_t theme)
{
    put_u16be(parameters->bytes[parameters->count], theme);
    add_parameter(parameters, sizeof(theme));
}

static void send_statement(struct postgis *postgis, enum statement statement,
                           const struct parameters *parameters)
{
    char name[8];

    snprintf(name, sizeof(name), "s%d", (int)statement);
    check(postgis,
          PQsendQueryPrepared(postgis->connection, name, parameters->count, parameters->values,
                              parameters->sizes, parameters->formats, 1) == 1,
          name);
}

static PGresult *receive_result(struct postgis *postgis, ExecStatusType expected)
{
    PGresult *result = PQgetResult(postgis->connection);

    check(postgis, PQresultStatus(result) == expected, "statement");
    check(postgis, !PQgetResult(postgis->connection), "statement");
    return result;
}

/* count statements with the same parameters, in one go. */
static void ask(struct postgis *postgis, const enum statement *statements, size_t count,
                const struct parameters *parameters)
{
    for (size_t i = 0; i < postgis->result_count; i++)
        PQclear(postgis->results[i]);
    postgis->result_count = count;
    if (count == 1) {
        send_statement(postgis, statements[0], parameters);
        postgis->results[0] = receive_result(postgis, PGRES_TUPLES_OK);
        return;
    }
    check(postgis, PQenterPipelineMode(postgis->connection) == 1, "pipeline");
    for (size_t i = 0; i < count; i++)
        send_statement(postgis, statements[i], parameters);
    check(postgis, PQpipelineSync(postgis->connection) == 1, "pipeline");
    for (size_t i = 0; i < count; i++)
        postgis->results[i] = receive_result(postgis, PGRES_TUPLES_OK);
    PQclear(PQgetResult(postgis->connection));
    check(postgis, PQexitPipelineMode(postgis->connection) == 1, "pipeline");
}

static double double_at(const PGresult *result, int row, int column)
{
    uint64_t bits = get_u64be((const uint8_t *)PQgetvalue(result, row, column));
    double value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* Was everything that may be nearer than the last row among the candidates? */
static bool is_settled(const struct postgis *postgis)
{
    const PGresult *rows = postgis->results[postgis->result_count - 1];
    int count = PQntuples(rows);

    return count == 0 ||
           double_at(rows, count - 1, 1) <= double_at(rows, 0, 2) * SPHEROID_OF_SPHERE;
}

/* All within the last row's distance, sorted: what it does not hold is farther away. */
static void ask_exactly(struct postgis *postgis, const struct bench_query *query)
{
    PGresult *rows = postgis->results[postgis->result_count - 1];
    double last_m = double_at(rows, PQntuples(rows) - 1, 1);
    bool themed = query->theme != BENCH_THEME_ANY;
    struct parameters parameters = {0};

    add_point(&parameters, query->lon_deg, query->lat_deg);
    add_double(&parameters, last_m + 1e-6);
    if (themed)
        add_theme(&parameters, query->theme);
    send_statement(postgis, themed ? EXACT_THEME : EXACT_ALL, &parameters);
    postgis->results[postgis->result_count - 1] = receive_result(postgis, PGRES_TUPLES_OK);
    PQclear(rows);
}

static void ask_box(struct postgis *postgis, const struct bench_query *query)
{
    static const enum statement statements[] = {COUNT_BOX, FIRST_BOX};
    struct parameters parameters = {0};

    add_theme(&parameters, query->theme);
    add_double(&parameters, query->west_e7 / 1e7);
    add_double(&parameters, query->south_e7 / 1e7);
    add_double(&parameters, query->east_e7 / 1e7);
    add_double(&parameters, query->north_e7 / 1e7);
    ask(postgis, statements, 2, &parameters);
}

static void ask_near(struct postgis *postgis, const struct bench_query *query)
{
    static const enum statement statement = NEAREST_THEME;
    struct parameters parameters = {0};

    add_point(&parameters, query->lon_deg, query->lat_deg);
    add_theme(&parameters, query->theme);
    ask(postgis, &statement, 1, &parameters);
    if (!is_settled(postgis))
        ask_exactly(postgis, query);
}

static void ask_circle(struct postgis *postgis, const struct server_question *question)
{
    const struct bench_query *query = &question->query;
    static const enum statement every = EVERY_ALL, themes = THEMES;
    static const enum statement pages[][2] = {{COUNT_ALL, FIRST_ALL}, {COUNT_THEME, FIRST_THEME}};
    bool themed = query->theme != BENCH_THEME_ANY;
    struct parameters parameters = {0};

    add_point(&parameters, query->lon_deg, query->lat_deg);
    add_double(&parameters, query->radius_m);
    if (themed)
        add_theme(&parameters, query->theme);
    if (query->kind == BENCH_COUNTS) {
        ask(postgis, &themes, 1, &parameters);
    } else if (question->listed == SERVER_EVERY) {
        ask(postgis, &every, 1, &parameters);
    } else {
        ask(postgis, pages[themed], 2, &parameters);
        if (!is_settled(postgis))
            ask_exactly(postgis, query);
    }
}

static void postgis_ask(void *server, const struct server_question *question)
{
    struct postgis *postgis = server;

    if (question->query.kind == BENCH_BOX)
        ask_box(postgis, &question->query);
    else if (question->query.kind == BENCH_NEAR)
        ask_near(postgis, &question->query);
    else
        ask_circle(postgis, question);
}

static void postgis_read(void *server, const struct server_question *question,
                         struct server_answer *answer)
{
    struct postgis *postgis = server;
    const PGresult *rows = postgis->results[postgis->result_count - 1];

    if (question->query.kind == BENCH_COUNTS) {
        for (int i = 0; i < PQntuples(rows); i++)
            answer->counts[get_u16be((const uint8_t *)PQgetvalue(rows, i, 0))] =
                (uint32_t)get_u64be((const uint8_t *)PQgetvalue(rows, i, 1));
        return;
    }
    if (postgis->result_count == 2) {
        answer->has_matched = true;
        answer->matched = get_u64be((const uint8_t *)PQgetvalue(postgis->results[0], 0, 0));
    }
    for (int i = 0; i < PQntuples(rows); i++) {
        if (PQgetlength(rows, i, 3) == 0 || answer->count == postgis->setup->world->capacity)
            bench_die("PostGIS: an empty feature, or too many");
        answer->documents[answer->count] = get_u32be((const uint8_t *)PQgetvalue(rows, i, 0));
        answer->distances_m[answer->count++] = double_at(rows, i, 1);
    }
}

/* ---- writes ---- */

static void update_one(struct postgis *postgis, const struct bench_record *record)
{
    struct parameters parameters = {0};
    struct buffer feature = {0};

    put_u32be(parameters.bytes[0], record->document);
    add_parameter(&parameters, sizeof(record->document));
    add_theme(&parameters, record->theme);
    add_double(&parameters, record->lon_e7 / 1e7);
    add_double(&parameters, record->lat_e7 / 1e7);
    server_feature_put(&feature, record, postgis->setup->slugs[record->theme]);
    if (feature.err)
        bench_die("out of memory");
    parameters.values[4] = (const char *)feature.data;
    parameters.sizes[4] = (int)feature.size;
    parameters.formats[4] = 1;
    parameters.count = 5;
    send_statement(postgis, UPDATE_ONE, &parameters);
    PQclear(receive_result(postgis, PGRES_COMMAND_OK));
    buffer_done(&feature);
}

enum array { NUMBERS, ARRAY_THEMES, LONGITUDES, LATITUDES, FEATURES, GONE, ARRAYS };

static void add_put(const struct postgis *postgis, const struct bench_record *record,
                    struct buffer arrays[ARRAYS])
{
    struct buffer feature = {0};

    for (size_t i = NUMBERS; i < GONE; i++)
        buffer_put_str(&arrays[i], arrays[i].size ? "," : "{");
    buffer_printf(&arrays[NUMBERS], "%u", record->document);
    buffer_printf(&arrays[ARRAY_THEMES], "%u", record->theme);
    num_put_fixed(&arrays[LONGITUDES], record->lon_e7, 7);
    num_put_fixed(&arrays[LATITUDES], record->lat_e7, 7);
    server_feature_put(&feature, record, postgis->setup->slugs[record->theme]);
    buffer_put_str(&arrays[FEATURES], "\"");
    put_escaped(buffer_span(&feature), "\\\"", &arrays[FEATURES]);
    buffer_put_str(&arrays[FEATURES], "\"");
    buffer_done(&feature);
}

static void send_arrays(struct postgis *postgis, enum statement statement,
                        const struct buffer *arrays, const enum array *which, int count)
{
    struct parameters parameters = {.count = count};

    for (int i = 0; i < count; i++)
        parameters.values[i] = (const char *)arrays[which[i]].data;
    send_statement(postgis, statement, &parameters);
}

/* One pipeline without a sync inside: one transaction. */
static void write_arrays(struct postgis *postgis, const struct buffer *arrays, bool puts, bool gone)
{
    static const enum array listings[] = {NUMBERS, ARRAY_THEMES, LONGITUDES, LATITUDES};
    static const enum array features[] = {NUMBERS, FEATURES};
    static const enum array numbers[] = {GONE};
    int statements = 2 * puts + 2 * gone;

    check(postgis, PQenterPipelineMode(postgis->connection) == 1, "pipeline");
    if (puts) {
        send_arrays(postgis, PUT_LISTINGS, arrays, listings, 4);
        send_arrays(postgis, PUT_FEATURES, arrays, features, 2);
    }
    if (gone) {
        send_arrays(postgis, DROP_LISTINGS, arrays, numbers, 1);
        send_arrays(postgis, DROP_FEATURES, arrays, numbers, 1);
    }
    check(postgis, PQpipelineSync(postgis->connection) == 1, "pipeline");
    for (int i = 0; i < statements; i++)
        PQclear(receive_result(postgis, PGRES_COMMAND_OK));
    PQclear(PQgetResult(postgis->connection));
    check(postgis, PQexitPipelineMode(postgis->connection) == 1, "pipeline");
}

static void postgis_write(void *server, const struct bench_change *changes, size_t count)
{
    struct postgis *postgis = server;
    struct buffer arrays[ARRAYS] = {0};
    bool puts = false, gone = false;

    if (count == 1 && changes->had && changes->has) {
        update_one(postgis, &changes->after);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (changes[i].has) {
            add_put(postgis, &changes[i].after, arrays);
            puts = true;
        } else {
            buffer_printf(&arrays[GONE], "%s%u", gone ? "," : "{", changes[i].before.document);
            gone = true;
        }
    }
    for (size_t i = 0; i < ARRAYS; i++) {
        buffer_put_str(&arrays[i], "}");
        buffer_put_u8(&arrays[i], '\0');
        if (arrays[i].err)
            bench_die("out of memory");
    }
    write_arrays(postgis, arrays, puts, gone);
    for (size_t i = 0; i < ARRAYS; i++)
        buffer_done(&arrays[i]);
}

static uint64_t postgis_disk_bytes(void *server)
{
    struct postgis *postgis = server;
    PGresult *result = PQexec(postgis->connection, "SELECT pg_total_relation_size('listing') + "
                                                   "pg_total_relation_size('feature')");
    uint64_t bytes;

    check(postgis, PQresultStatus(result) == PGRES_TUPLES_OK, "size");
    bytes = strtoull(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return bytes;
}

static void postgis_close(void *server)
{
    struct postgis *postgis = server;

    for (size_t i = 0; i < postgis->result_count; i++)
        PQclear(postgis->results[i]);
    PQfinish(postgis->connection);
    free(postgis);
}

const struct server_peer server_postgis = {
    .name = "PostGIS",
    .pid_file = "postgis.pid",
    .open = postgis_open,
    .load = postgis_load,
    .settle = postgis_settle,
    .ask = postgis_ask,
    .read = postgis_read,
    .write = postgis_write,
    .disk_bytes = postgis_disk_bytes,
    .close = postgis_close,
};
