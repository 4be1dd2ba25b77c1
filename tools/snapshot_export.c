/* SPDX-License-Identifier: EUPL-1.2 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "protocol/charter.h"
#include "protocol/replica.h"
#include "protocol/snapshot.h"
#include "tools/cli.h"
#include "tools/snapshot.h"

#define COMMAND "snapshot export"
#define WRITE_BYTES 1048576

struct export
{
    FILE *out;
    struct kv read;
    struct snapshot snapshot;
    struct frame_rows rows;
    struct buffer bytes; /* records that are not written yet */
    struct cli_progress progress;
    uint64_t origins, listings, missing, passed_over;
    uint8_t collection; /* that is being written */
    enum torg_err err;
};

void snapshot_name(const struct origin_id *id, struct span charter_signed_bytes,
                   char out[SNAPSHOT_NAME_BYTES])
{
    struct charter_signed charter_signed;
    struct charter charter;
    char hex[17];

    hex_encode(id->bytes, 8, hex);
    if (charter_signed_parse(charter_signed_bytes, &charter_signed) ||
        charter_parse(charter_signed.bytes, &charter))
        snprintf(out, SNAPSHOT_NAME_BYTES, "origin %s", hex);
    else
        snprintf(out, SNAPSHOT_NAME_BYTES, "%.*s (%s)", (int)charter.name.size,
                 (const char *)charter.name.data, hex);
    cli_text_tame(out, strlen(out));
}

static enum torg_err flush(struct export *export)
{
    if (export->bytes.err)
        return export->bytes.err;
    if (fwrite(export->bytes.data, 1, export->bytes.size, export->out) != export->bytes.size)
        return TORG_E_IO;
    buffer_clear(&export->bytes);
    return TORG_OK;
}

static enum torg_err put(struct export *export, const struct frame *frame)
{
    enum torg_err err = snapshot_put(&export->snapshot, frame, &export->bytes);

    if (!err && export->bytes.size >= WRITE_BYTES)
        err = flush(export);
    frame_rows_clear(&export->rows);
    return err;
}

static enum torg_err put_charters(struct export *export, const struct replica_origin *origin)
{
    struct frame frame = {.type = FRAME_CHARTER};
    enum torg_err err = TORG_OK;

    frame.charter.origin = origin->id;
    for (uint64_t no = 0; no <= origin->charter_no && !err; no++) {
        struct span charter;

        err = replica_charter_get(&export->read, origin->number, no, &charter);
        if (!err && export->rows.count && !frame_rows_fit(&export->rows, charter.size)) {
            frame.charter.charters = frame_rows_list(&export->rows);
            err = put(export, &frame);
        }
        if (!err)
            frame_rows_packed(&export->rows, charter);
    }
    frame.charter.charters = frame_rows_list(&export->rows);
    return err ? err : put(export, &frame);
}

static enum torg_err put_head(struct export *export, const struct replica_origin *origin)
{
    struct frame frame = {.type = FRAME_HEAD};
    struct span beat;
    enum torg_err err = replica_head_get(&export->read, origin->number, origin->head.epoch,
                                         origin->head.hno, &frame.head.head);

    if (!err)
        err = put(export, &frame);
    if (err || !origin->has_beat)
        return err;
    err = replica_beat_get(&export->read, origin->number, &beat);
    if (err)
        return err;
    frame = (struct frame){.type = FRAME_BEAT};
    frame_rows_packed(&export->rows, beat);
    frame.beat.beats = frame_rows_list(&export->rows);
    return put(export, &frame);
}

static enum torg_err put_entries(struct export *export, bool more)
{
    struct frame frame = {.type = FRAME_ENTRIES};

    frame.entries.sid = export->collection;
    frame.entries.more = more;
    frame.entries.entries = frame_rows_list(&export->rows);
    return put(export, &frame);
}

static bool entry_visit(void *context, const struct listing_key *key, struct span header,
                        struct span payload)
{
    struct export *export = context;
    struct frame_entry entry = {
        .header = header, .has_payload = payload.size > 0, .payload = payload};

    (void)key;
    if (export->rows.count == FETCH_ENTRIES_MAX ||
        (export->rows.count && !frame_rows_fit(&export->rows, header.size + payload.size + 16)))
        export->err = put_entries(export, true);
    frame_rows_entry(&export->rows, &entry);
    export->missing += !entry.has_payload;
    export->listings++;
    if (export->listings % 4096 == 0)
        cli_progress_set(&export->progress, export->listings);
    return !export->err;
}

static enum torg_err put_collection(struct export *export, const struct replica_origin *origin,
                                    uint8_t collection)
{
    static const struct listing_key first;
    enum torg_err err;

    export->collection = collection;
    err = replica_listings(&export->read, origin->number, collection, &first, entry_visit, export);
    if (!err)
        err = export->err;
    return err ? err : put_entries(export, false);
}

static enum torg_err put_origin(struct export *export, const struct replica_origin *origin)
{
    char name[SNAPSHOT_NAME_BYTES];
    uint64_t before = export->listings;
    uint32_t mask;
    struct span charter;
    /* What its charter gives to everybody: a file goes through any hands. */
    enum torg_err err = replica_public_mask(&export->read, origin, &mask);

    if (!err)
        err = replica_charter_get(&export->read, origin->number, origin->charter_no, &charter);
    if (err)
        return err;
    snapshot_name(&origin->id, charter, name);
    if (!origin->has_head || replica_complete_mask(origin, mask) != mask) {
        export->passed_over++;
        fprintf(stderr, "%s %s and is left out\n", name,
                origin->has_head ? "is not whole here" : "has published nothing yet");
        return TORG_OK;
    }
    err = put_charters(export, origin);
    if (!err)
        err = put_head(export, origin);
    for (uint8_t c = 1; c < COLLECTIONS_MAX && !err; c++) {
        if (mask >> c & 1 && origin->held[c].count)
            err = put_collection(export, origin, c);
    }
    if (err)
        return err;
    export->origins++;
    printf("%s: epoch %" PRIu64 ", head %" PRIu64 ", %" PRIu64 " listings\n", name,
           origin->head.epoch, origin->head.hno, export->listings - before);
    return TORG_OK;
}

static enum torg_err each_origin(struct export *export,
                                 enum torg_err (*visit)(struct export *export,
                                                        const struct replica_origin *origin))
{
    const struct origin_id *after = NULL;
    struct replica_origin origin;
    struct origin_id last;
    enum torg_err err;

    while ((err = replica_origin_next(&export->read, after, &origin)) == TORG_OK) {
        last = origin.id;
        after = &last;
        err = visit(export, &origin);
        if (err)
            return err;
    }
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

static enum torg_err count_origin(struct export *export, const struct replica_origin *origin)
{
    for (unsigned c = 1; c < COLLECTIONS_MAX; c++)
        export->progress.total += origin->held[c].count;
    return TORG_OK;
}

static enum torg_err write_all(struct export *export)
{
    enum torg_err err;

    buffer_put(&export->bytes, SNAPSHOT_MAGIC, SNAPSHOT_MAGIC_BYTES);
    cli_progress_begin(&export->progress, "listings", 0);
    err = each_origin(export, count_origin);
    if (!err)
        err = each_origin(export, put_origin);
    cli_progress_end(&export->progress);
    if (err)
        return err;
    snapshot_put_end(&export->snapshot, &export->bytes);
    err = flush(export);
    if (!err && (fflush(export->out) != 0 || fsync(fileno(export->out)) != 0))
        err = TORG_E_IO;
    return err;
}

/* Whoever has path has a whole file, or the one that was there before. */
static int write_file(struct export *export, const char *path, const char *spare)
{
    enum torg_err err = write_all(export);
    int result = CLI_OK;

    if (fclose(export->out) != 0 && !err)
        err = TORG_E_IO;
    if (!err && rename(spare, path) != 0)
        err = TORG_E_IO;
    if (err)
        result = cli_fail(COMMAND, "%s: %s; nothing was left there", spare,
                          err == TORG_E_IO ? strerror(errno) : torg_err_text(err));
    if (err)
        unlink(spare);
    return result;
}

int snapshot_export(struct store *store, const char *path)
{
    struct export export = {0};
    char spare[4096];
    enum torg_err err;
    int result, file;

    if ((size_t)snprintf(spare, sizeof(spare), "%s.new", path) >= sizeof(spare))
        return cli_fail(COMMAND, "%s: the name is too long", path);
    err = store_read_begin(store, &export.read);
    if (err)
        return cli_fail(COMMAND, "%s", torg_err_text(err));
    file = open(spare, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    export.out = file < 0 ? NULL : fdopen(file, "wb");
    result = export.out ? write_file(&export, path, spare)
                        : cli_fail(COMMAND, "%s: %s", spare, strerror(errno));
    store_read_end(&export.read);
    frame_rows_done(&export.rows);
    buffer_done(&export.bytes);
    if (result == CLI_OK)
        printf("%s: %" PRIu64 " origins, %" PRIu64 " listings\n", path, export.origins,
               export.listings);
    if (result == CLI_OK && export.missing)
        printf("of these, %" PRIu64 " without contents, which this node lacks too\n",
               export.missing);
    return result;
}
