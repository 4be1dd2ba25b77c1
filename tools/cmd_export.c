/* SPDX-License-Identifier: EUPL-1.2 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "index/settings.h"
#include "index/store.h"
#include "protocol/listing_csv.h"
#include "protocol/listing_geojson.h"
#include "protocol/listing_personal.h"
#include "protocol/replica.h"
#include "tools/cli.h"
#include "tools/feature_source.h"

#define COMMAND "export"
/* One snapshot a batch: a long one would keep torgd's file growing. */
#define BATCH_LISTINGS 1000
#define BATCH_BYTES (4u << 20)

static const char help[] =
    "torg export - write listings to a file\n"
    "\n"
    "usage: torg export [options]\n"
    "\n"
    "Reads the node's data directory, whether torgd is running or not. What it writes\n"
    "can be imported again. CSV holds one collection. Of a municipality that has not\n"
    "been heard of for longer than its charter allows, contact details are left out.\n"
    "\n"
    "  --collection NAME   only this collection\n"
    "  --origin ID|all     only this origin, by the first digits of its id; or all that\n"
    "                      the node holds (default: the municipality's own)\n"
    "  --format FORMAT     geojson (default), geojsonseq or csv\n"
    "  --output FILE       default: standard output\n"
    "  --config FILE       the node's configuration\n"
    "  --help\n";

struct export
{
    const char *config;
    const char *origin;
    const char *output;
    enum feature_format format;
    uint8_t collection; /* 0: all */
    FILE *out;
    struct store *store;
    /* the batch under way */
    struct replica_origin from;
    bool expired; /* from, so that nothing personal of it is written */
    uint8_t now_collection;
    struct buffer text;
    struct buffer scratch;
    struct listing_key last;
    size_t batch;
    uint64_t written;
    uint64_t unshowable;
    enum torg_err err;
};

static void put_listing(struct export *export, const struct listing_meta *meta, struct span body)
{
    size_t before = export->text.size;
    enum torg_err err;

    if (export->format == FEATURE_CSV) {
        err = listing_put_csv(meta, body, &export->text);
    } else {
        if (export->format == FEATURE_GEOJSON && export->written > 0)
            buffer_put_str(&export->text, ",\n");
        err = listing_put_geojson(meta, body, &export->text);
        if (export->format == FEATURE_GEOJSONSEQ)
            buffer_put_str(&export->text, "\n");
    }
    if (err) {
        export->text.size = before;
        export->unshowable++;
        return;
    }
    export->written++;
}

static bool visit_listing(void *context, const struct listing_key *key, struct span header_bytes,
                          struct span payload_bytes)
{
    struct export *export = context;
    struct change_header header;
    struct payload payload;

    if (export->batch == BATCH_LISTINGS || export->text.size > BATCH_BYTES)
        return false;
    export->batch++;
    export->last = *key;
    if (change_header_parse(header_bytes, &header) || payload_parse(payload_bytes, &payload)) {
        export->unshowable++;
        return true;
    }
    if (export->expired) {
        buffer_clear(&export->scratch);
        if (listing_hide_personal(payload.body, &export->scratch)) {
            export->unshowable++;
            return true;
        }
        payload.body = buffer_span(&export->scratch);
    }
    put_listing(export,
                &(struct listing_meta){.collection = export->now_collection,
                                       .origin = export->from.id,
                                       .id = header.id},
                payload.body);
    return true;
}

/* The key after key, so that the next batch begins behind this one. */
static bool key_after(struct listing_key *key)
{
    for (size_t i = sizeof(key->bytes); i-- > 0;) {
        if (++key->bytes[i] != 0)
            return true;
    }
    return false;
}

static enum torg_err flush(struct export *export)
{
    enum torg_err err = export->text.err;

    if (!err && export->text.size > 0 &&
        fwrite(export->text.data, 1, export->text.size, export->out) != export->text.size)
        err = TORG_E_IO;
    buffer_clear(&export->text);
    return err;
}

static enum torg_err export_collection(struct export *export)
{
    struct listing_key from = {{0}};
    enum torg_err err;

    do {
        struct kv read;

        export->batch = 0;
        err = store_read_begin(export->store, &read);
        if (err)
            return err;
        err = replica_listings(&read, export->from.number, export->now_collection, &from,
                               visit_listing, export);
        store_read_end(&read);
        if (!err)
            err = flush(export);
        from = export->last;
    } while (!err && export->batch > 0 && key_after(&from));
    return err;
}

static bool origin_wanted(const struct export *export, const struct replica_origin *origin,
                          const struct origin_id *own)
{
    char hex[2 * sizeof(origin->id.bytes) + 1];

    if (!export->origin)
        return memcmp(&origin->id, own, sizeof(*own)) == 0;
    if (strcmp(export->origin, "all") == 0)
        return true;
    hex_encode(origin->id.bytes, sizeof(origin->id.bytes), hex);
    return strncmp(hex, export->origin, strlen(export->origin)) == 0;
}

static enum torg_err next_origin(struct export *export, const struct origin_id *after,
                                 const struct origin_id *own)
{
    struct kv read;
    enum torg_err err = store_read_begin(export->store, &read);

    if (err)
        return err;
    err = replica_origin_next(&read, after, &export->from);
    export->expired = false;
    if (!err && memcmp(&export->from.id, own, sizeof(*own)) != 0)
        err =
            replica_is_expired(&read, &export->from, (int64_t)time(NULL) * 1000, &export->expired);
    store_read_end(&read);
    return err;
}

static enum torg_err own_origin(struct export *export, struct origin_id *ret_own)
{
    struct kv read;
    enum torg_err err = store_read_begin(export->store, &read);

    if (err)
        return err;
    err = settings_own_get(&read, ret_own);
    store_read_end(&read);
    return err;
}

/* Is there any that is wanted? Known before anything is written. */
static enum torg_err any_wanted(struct export *export, bool *ret_any)
{
    struct origin_id own = {{0}}, last;
    const struct origin_id *after = NULL;
    enum torg_err err = own_origin(export, &own);

    *ret_any = false;
    while (!err && !*ret_any) {
        err = next_origin(export, after, &own);
        *ret_any = !err && origin_wanted(export, &export->from, &own);
        last = export->from.id;
        after = &last;
    }
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

static enum torg_err export_all(struct export *export)
{
    struct origin_id own = {{0}};
    const struct origin_id *after = NULL;
    struct origin_id last;
    enum torg_err err = own_origin(export, &own);

    while (!err) {
        err = next_origin(export, after, &own);
        if (err)
            break;
        last = export->from.id;
        after = &last;
        if (!origin_wanted(export, &export->from, &own))
            continue;
        for (uint8_t c = 1; c < COLLECTIONS_MAX && !err; c++) {
            export->now_collection = c;
            if (COLLECTION_MASK_PUBLIC >> c & 1 && (!export->collection || export->collection == c))
                err = export_collection(export);
        }
    }
    return err == TORG_E_NOT_FOUND && after ? TORG_OK : err;
}

static int write_all(struct export *export)
{
    enum torg_err err = TORG_OK;

    if (export->format == FEATURE_CSV) {
        csv_put_header(export->collection, &export->text);
        err = flush(export);
    } else if (export->format == FEATURE_GEOJSON) {
        fputs("{\"type\":\"FeatureCollection\",\"features\":[\n", export->out);
    }
    if (!err)
        err = export_all(export);
    if (export->format == FEATURE_GEOJSON)
        fputs("\n]}\n", export->out);
    if (!err && (fflush(export->out) != 0 || ferror(export->out)))
        err = TORG_E_IO;
    if (err)
        return cli_fail(COMMAND, "%s", err == TORG_E_IO ? strerror(errno) : torg_err_text(err));
    if (export->unshowable)
        fprintf(stderr, "%" PRIu64 " listings were left out: this version cannot show them\n",
                export->unshowable);
    return CLI_OK;
}

static int export_to_output(struct export *export)
{
    bool any;
    enum torg_err err = any_wanted(export, &any);
    int result;

    if (err)
        return cli_fail(COMMAND, "%s", torg_err_text(err));
    if (!any && export->origin)
        return cli_fail(COMMAND, "no origin whose id begins with \"%s\" is held here",
                        export->origin);
    if (!any)
        return cli_fail(COMMAND, "this node publishes nothing itself; --origin all gives what it "
                                 "holds of others");
    export->out = export->output ? fopen(export->output, "wbe") : stdout;
    if (!export->out)
        return cli_fail(COMMAND, "%s: %s", export->output, strerror(errno));
    result = write_all(export);
    if (export->output && fclose(export->out) != 0 && !result)
        result = cli_fail(COMMAND, "%s: %s", export->output, strerror(errno));
    return result;
}

static int run(struct export *export)
{
    struct store_options options = store_options_default();
    struct config config = {0};
    enum torg_err err;
    int result;

    if (!cli_config(COMMAND, export->config, &config))
        return CLI_FAILED;
    options.read_only = true;
    err = store_open(config.directory, &options, &export->store);
    result = err ? cli_fail_store(COMMAND, config.directory, err) : export_to_output(export);
    store_close(export->store);
    buffer_done(&export->text);
    buffer_done(&export->scratch);
    config_done(&config);
    return result;
}

int cmd_export(int argc, char **argv)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"collection", required_argument, NULL, 'n'},
        {"format", required_argument, NULL, 'f'},
        {"origin", required_argument, NULL, 'r'},
        {"output", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct export export = {.format = FEATURE_GEOJSON};
    int option;

    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (option) {
        case 'c':
            export.config = optarg;
            break;
        case 'n':
            export.collection = collection_of_name(span_of_str(optarg));
            if (!(COLLECTION_MASK_PUBLIC >> export.collection & 1))
                return cli_usage(
                    COMMAND,
                    "there is no collection of listings \"%s\"; there are " CLI_COLLECTIONS,
                    optarg);
            break;
        case 'f':
            export.format = feature_format_of_name(optarg);
            if (export.format == FEATURE_FORMAT_UNKNOWN)
                return cli_usage(COMMAND, "--format %s: geojson, geojsonseq or csv?", optarg);
            break;
        case 'r':
            export.origin = optarg;
            break;
        case 'o':
            export.output = optarg;
            break;
        case 'h':
            fputs(help, stdout);
            return CLI_OK;
        default:
            return cli_usage_told(COMMAND);
        }
    }
    if (optind < argc)
        return cli_usage(COMMAND, "\"%s\" is not an option", argv[optind]);
    if (export.format == FEATURE_CSV && !export.collection)
        return cli_usage(COMMAND, "CSV needs --collection NAME: each has its own columns");
    return run(&export);
}
