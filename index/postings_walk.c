/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "index/postings_internal.h"

/* ---- lists in the order of their keys ---- */

enum torg_err postings_walk_open(struct postings_walk *walk, const struct kv *kv, uint8_t kind,
                                 struct span prefix)
{
    *walk = (struct postings_walk){.kv = kv};
    walk->prefix[0] = kind;
    if (prefix.size > POSTINGS_KEY_BYTES_MAX)
        return TORG_OK; /* Without a cursor there is nothing to find. */
    if (prefix.size)
        memcpy(walk->prefix + 1, prefix.data, prefix.size);
    walk->prefix_size = 1 + prefix.size;
    return kv_cursor_open(kv, KV_TERM, &walk->cursor);
}

static enum torg_err walk_step(struct postings_walk *walk)
{
    if (walk->begun)
        return kv_cursor_next(walk->kv, walk->cursor, &walk->stored, &walk->record);
    walk->begun = true;
    return kv_cursor_seek(walk->kv, walk->cursor, span_of(walk->prefix, walk->prefix_size),
                          &walk->stored, &walk->record);
}

enum torg_err postings_walk_next(struct postings_walk *walk, struct span *ret_key,
                                 uint64_t *ret_count)
{
    struct postings_record record;
    enum torg_err err;

    if (!walk->cursor)
        return TORG_E_NOT_FOUND;
    err = walk_step(walk);
    if (err)
        return err;
    if (walk->stored.size < walk->prefix_size ||
        memcmp(walk->stored.data, walk->prefix, walk->prefix_size) != 0)
        return TORG_E_NOT_FOUND;
    if (walk->stored.size > 1 + POSTINGS_KEY_BYTES_MAX)
        return TORG_E_CORRUPT;
    err = postings_record_read(walk->record, &record);
    if (err)
        return err;
    *ret_key = span_of(walk->stored.data + 1, walk->stored.size - 1);
    *ret_count = record.count;
    return TORG_OK;
}

enum torg_err postings_walk_or(const struct postings_walk *walk, struct postings_set *set,
                               uint64_t *work)
{
    struct postings_record record;
    enum torg_err err;

    err = postings_record_read(walk->record, &record);
    if (!err && work)
        ++*work;
    return err ? err
               : postings_list_or(walk->kv, walk->prefix[0],
                                  span_of(walk->stored.data + 1, walk->stored.size - 1), &record,
                                  NULL, set, work);
}

enum torg_err postings_walk_and_count(const struct postings_walk *walk,
                                      const struct postings_set *set, uint64_t *ret_count,
                                      uint64_t *work)
{
    struct postings_set list = {0};
    struct postings_record record;
    enum torg_err err;

    err = postings_record_read(walk->record, &record);
    if (!err && work)
        ++*work;
    if (!err)
        err = postings_list_or(walk->kv, walk->prefix[0],
                               span_of(walk->stored.data + 1, walk->stored.size - 1), &record, set,
                               &list, work);
    if (!err)
        *ret_count = postings_set_and_count(set, &list);
    postings_set_done(&list);
    return err;
}

void postings_walk_close(struct postings_walk *walk)
{
    kv_cursor_close(walk->kv, walk->cursor);
    walk->cursor = NULL;
}

/* ---- everything ---- */

struct check {
    const struct kv *kv;
    postings_report *report;
    void *context;
    uint64_t pairs;
    uint64_t chunks; /* that the lists account for */
};

static void check_say(const struct check *check, struct span key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void check_say(const struct check *check, struct span key, const char *format, ...)
{
    char text[256], hex[2 * 48 + 1];
    va_list args;
    int size;

    hex_encode(key.data, key.size < 48 ? key.size : 48, hex);
    size = snprintf(text, sizeof(text), "postings %s: ", hex);
    va_start(args, format);
    vsnprintf(text + size, sizeof(text) - (size_t)size, format, args);
    va_end(args);
    check->report(check->context, text);
}

/* The chunks of one list, by a cursor that is closed before its trouble is told. */
static enum torg_err check_chunks(struct check *check, struct span stored, uint32_t count)
{
    struct postings_key at =
        postings_key_chunk(stored.data[0], span_of(stored.data + 1, stored.size - 1), 0);
    struct kv_cursor *cursor;
    struct span found, value;
    uint64_t total = 0;
    uint32_t in_chunk;
    enum torg_err err;

    err = kv_cursor_open(check->kv, KV_POSTING, &cursor);
    if (err)
        return err;
    err = kv_cursor_seek(check->kv, cursor, postings_key_span(&at), &found, &value);
    while (!err && found.size == at.size && memcmp(found.data, at.bytes, at.size - 2) == 0) {
        check->chunks++;
        if (postings_chunk_valid(value, get_u16be(found.data + at.size - 2), &in_chunk))
            total += in_chunk;
        else
            check_say(check, found, "this chunk is damaged");
        err = kv_cursor_next(check->kv, cursor, &found, &value);
    }
    kv_cursor_close(check->kv, cursor);
    if (total != count)
        check_say(check, stored, "%llu numbers are in its chunks, %u are counted",
                  (unsigned long long)total, count);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

static enum torg_err check_list(struct check *check, struct span stored, struct span value)
{
    struct postings_record record;

    if (stored.size < 2 || stored.size > 1 + POSTINGS_KEY_BYTES_MAX ||
        postings_record_read(value, &record)) {
        check_say(check, stored, "this list is damaged");
        return TORG_OK;
    }
    check->pairs += record.count;
    return record.numbers.size ? TORG_OK : check_chunks(check, stored, record.count);
}

static enum torg_err check_walk(struct check *check, enum kv_table table, uint64_t *ret_entries)
{
    static const uint8_t lowest[1] = {0};
    struct kv_cursor *cursor;
    struct span key, value;
    enum torg_err err;

    *ret_entries = 0;
    err = kv_cursor_open(check->kv, table, &cursor);
    if (err)
        return err;
    err = kv_cursor_seek(check->kv, cursor, span_of(lowest, sizeof(lowest)), &key, &value);
    while (!err) {
        ++*ret_entries;
        if (table == KV_TERM)
            err = check_list(check, key, value);
        if (!err)
            err = kv_cursor_next(check->kv, cursor, &key, &value);
    }
    kv_cursor_close(check->kv, cursor);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

enum torg_err postings_check(const struct kv *kv, postings_report *report, void *context,
                             uint64_t *ret_pairs)
{
    struct check check = {.kv = kv, .report = report, .context = context};
    uint64_t lists, chunks;
    enum torg_err err;

    err = check_walk(&check, KV_TERM, &lists);
    if (!err)
        err = check_walk(&check, KV_POSTING, &chunks);
    if (err)
        return err;
    if (chunks != check.chunks)
        check_say(&check, (struct span){0}, "%llu chunks are of no list that is there",
                  (unsigned long long)(chunks - check.chunks));
    *ret_pairs = check.pairs;
    return TORG_OK;
}
