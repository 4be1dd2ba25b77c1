/* SPDX-License-Identifier: EUPL-1.2 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/admin_import.h"
#include "protocol/local_feature.h"
#include "tools/admin_client.h"
#include "tools/cli.h"
#include "tools/feature_source.h"
#include "tools/import_notes.h"

#define COMMAND "import"
#define CHUNK_BYTES_MAX (8u << 20)

static const char help[] =
    "torg import - publish listings from a file, as this municipality\n"
    "\n"
    "usage: torg import [options] FILE...\n"
    "\n"
    "FILE is GeoJSON, GeoJSON-seq (one feature a line) or CSV; \"-\" is standard input.\n"
    "Rows that are wrong are named with every mistake, and the others are imported. A\n"
    "row with identifiers.source (system and id), or with the id of a listing of this\n"
    "municipality, updates that listing when it is imported again; one that has not\n"
    "changed is left alone.\n"
    "\n"
    "  --collection NAME   companies, offers, events, jobs, courses, needs,\n"
    "                      service-points, places or networks; else each feature's\n"
    "                      property \"collection\" says it. Another name makes a local\n"
    "                      collection of any GeoJSON, shown by this node only\n"
    "  --format FORMAT     geojson, geojsonseq or csv, when the file's ending does not tell\n"
    "  --language TAG      of texts that name none (default sv)\n"
    "  --dry-run           check every row, publish nothing\n"
    "  --report FILE       write what became of each row as CSV\n"
    "  --quiet             no progress bar, no notes, no summary\n"
    "  --config FILE       the node's configuration\n"
    "  --help\n"
    "\n"
    "exit status: 0 when every row was taken, 1 when any was refused\n";

struct import_counts {
    uint64_t created, updated, unchanged, failed;
};

struct import {
    const char *config;
    const char *collection_name;
    uint8_t collection;
    bool local; /* the collection is one: nothing is published */
    enum feature_format format;
    const char *language;
    const char *report_path;
    bool dry_run;
    bool quiet;
    bool opened; /* a file was: there are rows to count */
    struct http_client *client;
    FILE *report;
    const char *file;
    struct import_counts counts;
    struct import_notes notes;
    /* the rows that wait for the next request */
    struct buffer chunk;
    size_t chunk_count;
    size_t chunk_rows[ADMIN_IMPORT_ROWS_MAX];
    size_t chunk_lines[ADMIN_IMPORT_ROWS_MAX];
    bool chunk_recognisable[ADMIN_IMPORT_ROWS_MAX];
};

static void report_row(struct import *import, size_t row, size_t line, const char *action,
                       const char *id, const char *path, const char *text)
{
    struct buffer out = {0};

    if (import->report) {
        csv_put_cell(&out, span_of_str(import->file));
        buffer_printf(&out, ",%zu,%zu,%s,%s,", row, line, action, id);
        csv_put_cell(&out, span_of_str(path));
        buffer_put_str(&out, ",");
        csv_put_cell(&out, span_of_str(text));
        buffer_put_str(&out, "\r\n");
        if (!out.err)
            fwrite(out.data, 1, out.size, import->report);
        buffer_done(&out);
    }
    if (strcmp(action, "failed") != 0)
        return;
    if (line)
        fprintf(stderr, "%s:%zu: row %zu: ", import->file, line, row);
    else
        fprintf(stderr, "%s: row %zu: ", import->file, row);
    fprintf(stderr, "%s%s%s\n", path, *path ? ": " : "", text);
}

static const char *string_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

static void answer_row(struct import *import, const json_t *row)
{
    size_t index = (size_t)json_integer_value(json_object_get(row, "row"));
    const char *action = string_of(row, "action");
    const json_t *error;
    size_t i;

    if (index >= import->chunk_count)
        return;
    if (strcmp(action, "created") == 0) {
        import->counts.created++;
        if (!import->chunk_recognisable[index])
            import_notes_anonymous(&import->notes);
    } else if (strcmp(action, "updated") == 0) {
        import->counts.updated++;
    } else if (strcmp(action, "unchanged") == 0) {
        import->counts.unchanged++;
    } else {
        import->counts.failed++;
    }
    if (strcmp(action, "failed") != 0) {
        report_row(import, import->chunk_rows[index], import->chunk_lines[index], action,
                   string_of(row, "id"), "", "");
        return;
    }
    json_array_foreach(json_object_get(row, "errors"), i, error)
        report_row(import, import->chunk_rows[index], import->chunk_lines[index], "failed", "",
                   string_of(error, "path"), string_of(error, "detail"));
}

static int chunk_send(struct import *import)
{
    struct http_answer answer = {0};
    struct buffer path = {0};
    char problem[2048];
    json_t *json = NULL;
    const json_t *row;
    size_t i;
    int result = CLI_OK;

    if (import->chunk_count == 0)
        return CLI_OK;
    buffer_put_str(&path, "/import");
    http_query_put(&path, "language", import->language);
    if (import->collection_name)
        http_query_put(&path, "collection", import->collection_name);
    if (import->dry_run)
        http_query_put(&path, "dry-run", "true");
    buffer_put_u8(&path, '\0');
    buffer_put_str(&import->chunk, "]}");
    if (path.err || import->chunk.err) {
        result = cli_fail(COMMAND, "out of memory");
    } else if (http_client_request(import->client, "POST", (const char *)path.data,
                                   "application/geo+json", buffer_span(&import->chunk), &answer)) {
        result = cli_fail(COMMAND,
                          "torgd does not answer: %s. What was reported so far is stored; import "
                          "the file again to go on",
                          http_client_error(import->client));
    } else if (answer.status != 200 || !(json = http_answer_json(&answer))) {
        http_answer_problem(&answer, problem, sizeof(problem));
        result = cli_fail(COMMAND, "torgd refuses: %s", problem);
    } else {
        json_array_foreach(json_object_get(json, "rows"), i, row) answer_row(import, row);
    }
    json_decref(json);
    http_answer_done(&answer);
    buffer_done(&path);
    buffer_clear(&import->chunk);
    import->chunk_count = 0;
    return result;
}

static int chunk_add(struct import *import, const struct feature_source *source,
                     const json_t *feature)
{
    /* Foreign coordinates are kept to the last bit; listings have seven decimals. */
    char *text = json_dumps(feature, JSON_COMPACT | (import->local ? JSON_REAL_PRECISION(17)
                                                                   : JSON_REAL_PRECISION(15)));

    if (!text)
        return cli_fail(COMMAND, "out of memory");
    buffer_put_str(&import->chunk,
                   import->chunk_count ? "," : "{\"type\":\"FeatureCollection\",\"features\":[");
    buffer_put_str(&import->chunk, text);
    free(text);
    import->chunk_rows[import->chunk_count] = source->row;
    import->chunk_lines[import->chunk_count] = source->line;
    import->chunk_recognisable[import->chunk_count] =
        import->local || import_notes_recognisable(feature);
    if (!import->local)
        import_notes_themes(&import->notes, feature);
    import->chunk_count++;
    if (import->chunk_count == ADMIN_IMPORT_ROWS_MAX || import->chunk.size > CHUNK_BYTES_MAX)
        return chunk_send(import);
    return CLI_OK;
}

static void row_failed(struct import *import, const struct feature_source *source,
                       const struct problems *problems)
{
    import->counts.failed++;
    for (size_t i = 0; i < problems->count && i < PROBLEMS_MAX; i++)
        report_row(import, source->row, source->line, "failed", "", problems->items[i].path,
                   problems->items[i].text);
}

static int import_rows(struct import *import, struct feature_source *source)
{
    struct cli_progress progress;
    uint64_t done, total;
    enum torg_err err;
    int result = CLI_OK;

    feature_source_progress(source, &done, &total);
    cli_progress_begin(&progress, import->file, total);
    progress.on = progress.on && !import->quiet;
    for (;;) {
        struct problems problems = {0};
        json_t *feature = NULL;

        err = feature_source_next(source, &feature, &problems);
        if (err == TORG_E_NOT_FOUND)
            break;
        if (err == TORG_E_INVALID) {
            row_failed(import, source, &problems);
            continue;
        }
        if (err) {
            result = cli_fail(COMMAND, "%s: %s", import->file, torg_err_text(err));
            break;
        }
        result = chunk_add(import, source, feature);
        json_decref(feature);
        if (result)
            break;
        feature_source_progress(source, &done, &total);
        cli_progress_set(&progress, done);
    }
    if (!result)
        result = chunk_send(import);
    cli_progress_end(&progress);
    return result;
}

static int import_file(struct import *import, const char *file)
{
    enum feature_format format = import->format;
    struct feature_source source;
    struct buffer text = {0};
    enum torg_err err;
    int result;

    import->file = file;
    if (format == FEATURE_FORMAT_UNKNOWN)
        format = feature_format_of_path(file);
    if (format == FEATURE_CSV && import->local)
        return cli_usage(COMMAND,
                         "%s: \"%s\" is no collection of listings, and a local one takes no CSV",
                         file, import->collection_name);
    if (format == FEATURE_FORMAT_UNKNOWN)
        return cli_usage(COMMAND,
                         "%s: its ending does not tell; give --format geojson, "
                         "geojsonseq or csv",
                         file);
    err = cli_read_file(file, FEATURE_FILE_BYTES_MAX, &text);
    if (err) {
        buffer_done(&text);
        return cli_fail(COMMAND, "%s: %s", file,
                        err == TORG_E_IO ? strerror(errno) : torg_err_text(err));
    }
    err = feature_source_open(&source, format, buffer_span(&text), import->collection,
                              import->language);
    if (err)
        result = cli_fail(COMMAND, "%s: %s", file,
                          source.message[0] ? source.message : torg_err_text(err));
    else
        result = import_rows(import, &source);
    import->opened = import->opened || err == TORG_OK;
    feature_source_close(&source);
    buffer_done(&text);
    return result;
}

static int options_read(int argc, char **argv, struct import *import)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"collection", required_argument, NULL, 'n'},
        {"format", required_argument, NULL, 'f'},
        {"language", required_argument, NULL, 'l'},
        {"dry-run", no_argument, NULL, 'd'},
        {"report", required_argument, NULL, 'r'},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (option) {
        case 'c':
            import->config = optarg;
            break;
        case 'n':
            import->collection_name = optarg;
            import->collection = collection_of_name(span_of_str(optarg));
            import->local = local_name_valid(span_of_str(optarg));
            /* Once made, a local collection stays: a slip of the pen must not make one. */
            if (import->local && cli_collection_near(optarg))
                return cli_usage(COMMAND,
                                 "there is no collection of listings \"%s\"; did you mean %s? A "
                                 "local collection needs a name that is less like it",
                                 optarg, cli_collection_near(optarg));
            if (!import->local && !(COLLECTION_MASK_PUBLIC >> import->collection & 1))
                return cli_usage(COMMAND,
                                 "there is no collection \"%s\" to publish in; a local one may be "
                                 "named by a letter and up to 63 letters, digits, - and _",
                                 optarg);
            break;
        case 'f':
            import->format = feature_format_of_name(optarg);
            if (import->format == FEATURE_FORMAT_UNKNOWN)
                return cli_usage(COMMAND, "--format %s: geojson, geojsonseq or csv?", optarg);
            break;
        case 'l':
            import->language = optarg;
            break;
        case 'd':
            import->dry_run = true;
            break;
        case 'r':
            import->report_path = optarg;
            break;
        case 'q':
            import->quiet = true;
            break;
        case 'h':
            fputs(help, stdout);
            return -1;
        default:
            return cli_usage_told(COMMAND);
        }
    }
    if (optind >= argc)
        return cli_usage(COMMAND, "which file?");
    return CLI_OK;
}

static void print_summary(const struct import *import)
{
    import_notes_print(&import->notes, stderr);
    if (import->local)
        fprintf(stderr, "note: %s is a local collection: this node shows it, and nobody gets it\n",
                import->collection_name);
    fprintf(stderr,
            "%s%" PRIu64 " created, %" PRIu64 " updated, %" PRIu64 " unchanged, %" PRIu64
            " refused\n",
            import->dry_run ? "dry run, nothing is stored: " : "", import->counts.created,
            import->counts.updated, import->counts.unchanged, import->counts.failed);
}

static int import_all(struct import *import, int count, char **files)
{
    int result = CLI_OK;

    import->client = admin_client_open(COMMAND, import->config);
    if (!import->client)
        return CLI_FAILED;
    if (import->report_path) {
        import->report = fopen(import->report_path, "wbe");
        if (!import->report)
            return cli_fail(COMMAND, "%s: %s", import->report_path, strerror(errno));
        fputs("file,row,line,action,id,field,problem\r\n", import->report);
    }
    for (int i = 0; i < count && !result; i++)
        result = import_file(import, files[i]);
    if (import->report && fclose(import->report) != 0 && !result)
        result = cli_fail(COMMAND, "%s: %s", import->report_path, strerror(errno));
    if (!import->quiet && import->opened)
        print_summary(import);
    return result ? result : import->counts.failed ? CLI_FAILED : CLI_OK;
}

int cmd_import(int argc, char **argv)
{
    struct import *import = calloc(1, sizeof(*import));
    int result;

    if (!import)
        return cli_fail(COMMAND, "out of memory");
    import->language = "sv";
    result = options_read(argc, argv, import);
    if (result == CLI_OK && import_notes_init(&import->notes))
        result = cli_fail(COMMAND, "out of memory");
    if (result == CLI_OK)
        result = import_all(import, argc - optind, argv + optind);
    http_client_free(import->client);
    buffer_done(&import->chunk);
    import_notes_done(&import->notes);
    free(import);
    return result < 0 ? CLI_OK : result;
}
