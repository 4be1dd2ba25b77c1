/* SPDX-License-Identifier: EUPL-1.2 */
#include <string.h>

#include "index/query_plan.h"

/* Does the row that the stream stands at belong to it? Its key says so by its first two bytes. */
static bool stream_holds(const struct query_scan_stream *stream, uint8_t collection, bool placed)
{
    return stream->key.size == CATALOGUE_ROW_KEY_BYTES && stream->key.data[0] == collection &&
           stream->key.data[1] == placed;
}

static enum torg_err stream_open(struct query_scan *scan, uint8_t collection, bool placed,
                                 uint32_t first)
{
    struct catalogue_row_key key = catalogue_row_key(collection, placed, first);
    struct query_scan_stream *stream = &scan->streams[scan->stream_count];
    enum torg_err err;

    err = kv_cursor_open(scan->kv, KV_TEXT, &stream->cursor);
    if (err)
        return err;
    err = kv_cursor_seek(scan->kv, stream->cursor, span_of(key.bytes, sizeof(key.bytes)),
                         &stream->key, &stream->value);
    if (!err && stream_holds(stream, collection, placed)) {
        stream->number = get_u32be(stream->key.data + 2);
        scan->stream_count++;
        return TORG_OK;
    }
    kv_cursor_close(scan->kv, stream->cursor);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

enum torg_err query_scan_open(struct query_scan *scan, const struct query_plan *plan,
                              uint32_t first)
{
    enum torg_err err = TORG_OK;

    scan->kv = plan->kv;
    scan->stream_count = 0;
    scan->last = SIZE_MAX;
    for (size_t i = 0; i < plan->part_count && !err; i++)
        err = stream_open(scan, plan->parts[i].collection, plan->parts[i].placed, first);
    return err;
}

/* Past its last row a stream is closed, and the last one takes its place. */
static enum torg_err stream_advance(struct query_scan *scan, size_t i)
{
    struct query_scan_stream *stream = &scan->streams[i];
    uint8_t collection = stream->key.data[0];
    bool placed = stream->key.data[1];
    enum torg_err err;

    err = kv_cursor_next(scan->kv, stream->cursor, &stream->key, &stream->value);
    if (!err && stream_holds(stream, collection, placed)) {
        stream->number = get_u32be(stream->key.data + 2);
        return TORG_OK;
    }
    if (err && err != TORG_E_NOT_FOUND)
        return err;
    kv_cursor_close(scan->kv, stream->cursor);
    *stream = scan->streams[--scan->stream_count];
    return TORG_OK;
}

enum torg_err query_scan_next(struct query_scan *scan, struct catalogue_row *ret_row)
{
    size_t least = 0;
    enum torg_err err;

    if (scan->last != SIZE_MAX) {
        err = stream_advance(scan, scan->last);
        if (err)
            return err;
        scan->last = SIZE_MAX;
    }
    if (scan->stream_count == 0)
        return TORG_E_NOT_FOUND;
    for (size_t i = 1; i < scan->stream_count; i++) {
        if (scan->streams[i].number < scan->streams[least].number)
            least = i;
    }
    scan->last = least;
    return catalogue_row_read(scan->streams[least].key, scan->streams[least].value, ret_row);
}

void query_scan_close(struct query_scan *scan)
{
    for (size_t i = 0; i < scan->stream_count; i++)
        kv_cursor_close(scan->kv, scan->streams[i].cursor);
    scan->stream_count = 0;
}
