/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index/postings_internal.h"

/* ---- lists in the order of their keys ---- */

struct postings_source {
    struct kv_cursor *cursor;
    uint32_t run;           /* 0: KV_TERM */
    struct span key, value; /* that come next, key without the run; empty: not looked yet */
    bool ended;
    bool here; /* they are of the list that the walk stands at */
};

/* Of the first count runs. */
static enum torg_err sources_open(struct postings_walk *walk, const struct postings_runs *runs,
                                  size_t count)
{
    enum torg_err err = TORG_OK;

    walk->sources = calloc(1 + count, sizeof(*walk->sources));
    if (!walk->sources)
        return TORG_E_NOMEM;
    for (size_t i = 0; i <= count && !err; i++) {
        struct postings_source *source = &walk->sources[i];

        source->run = i ? runs->runs[i - 1].number : 0;
        source->here = true; /* so that the first step moves it */
        err = kv_cursor_open(walk->kv, i ? KV_RUN : KV_TERM, &source->cursor);
        walk->source_count += !err;
    }
    return err;
}

enum torg_err postings_runs_open(struct postings_walk *walk, const struct kv *kv,
                                 const struct postings_runs *runs, size_t count)
{
    enum torg_err err;

    *walk = (struct postings_walk){.kv = kv};
    err = sources_open(walk, runs, count);
    if (!err)
        walk->sources[0].ended = true;
    return err;
}

struct span postings_walk_changes(const struct postings_walk *walk, size_t run)
{
    const struct postings_source *source = &walk->sources[1 + run];

    return source->here ? source->value : (struct span){0};
}

/* All lists, whatever their kind. */
static enum torg_err walk_open_all(struct postings_walk *walk, const struct kv *kv)
{
    struct postings_runs runs;
    enum torg_err err;

    *walk = (struct postings_walk){.kv = kv};
    err = postings_runs_get(kv, &runs);
    return err ? err : sources_open(walk, &runs, runs.count);
}

enum torg_err postings_walk_open(struct postings_walk *walk, const struct kv *kv, uint8_t kind,
                                 struct span prefix)
{
    struct postings_runs runs;
    enum torg_err err;

    *walk = (struct postings_walk){.kv = kv};
    if (prefix.size > POSTINGS_KEY_BYTES_MAX)
        return TORG_OK; /* Without a source there is nothing to find. */
    walk->prefix[0] = kind;
    if (prefix.size)
        memcpy(walk->prefix + 1, prefix.data, prefix.size);
    walk->prefix_size = 1 + prefix.size;
    err = postings_runs_get(kv, &runs);
    return err ? err : sources_open(walk, &runs, runs.count);
}

static enum torg_err source_seek(const struct postings_walk *walk, struct postings_source *source)
{
    uint8_t at[4 + sizeof(walk->prefix)];
    size_t size = source->run ? 4 : 0;

    put_u32be(at, source->run);
    memcpy(at + size, walk->prefix, walk->prefix_size);
    size += walk->prefix_size;
    if (size == 0)
        at[size++] = 0; /* No key is less. */
    return kv_cursor_seek(walk->kv, source->cursor, span_of(at, size), &source->key,
                          &source->value);
}

/* To its next list, or its end: another run, or another prefix. */
static enum torg_err source_step(const struct postings_walk *walk, struct postings_source *source)
{
    enum torg_err err;

    if (source->key.size)
        err = kv_cursor_next(walk->kv, source->cursor, &source->key, &source->value);
    else
        err = source_seek(walk, source);
    source->here = false;
    source->ended = err == TORG_E_NOT_FOUND;
    if (err)
        return source->ended ? TORG_OK : err;
    if (source->run) {
        source->ended = source->key.size <= 4 || get_u32be(source->key.data) != source->run;
        if (source->ended)
            return TORG_OK;
        source->key = span_of(source->key.data + 4, source->key.size - 4);
    }
    source->ended = source->key.size < walk->prefix_size ||
                    memcmp(source->key.data, walk->prefix, walk->prefix_size) != 0;
    return TORG_OK;
}

/* A source that has ended stays so. */
enum torg_err postings_walk_step(struct postings_walk *walk)
{
    struct span least = {0};
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < walk->source_count && !err; i++) {
        if (walk->sources[i].here && !walk->sources[i].ended)
            err = source_step(walk, &walk->sources[i]);
    }
    for (size_t i = 0; i < walk->source_count && !err; i++) {
        const struct postings_source *source = &walk->sources[i];

        if (!source->ended && (!least.size || span_compare(source->key, least) < 0))
            least = source->key;
    }
    for (size_t i = 0; i < walk->source_count; i++) {
        struct postings_source *source = &walk->sources[i];

        source->here = !source->ended && span_equal(source->key, least);
    }
    walk->stored = least;
    return err || least.size ? err : TORG_E_NOT_FOUND;
}

/* How many numbers it has, what waits included. */
static enum torg_err walk_count(const struct postings_walk *walk, uint64_t *ret_count)
{
    struct postings_changes changes;
    struct postings_record record = {0};
    int64_t count = 0;
    enum torg_err err = TORG_OK;

    if (walk->sources[0].here)
        err = postings_record_read(walk->sources[0].value, &record);
    count = record.count;
    for (size_t i = 1; i < walk->source_count && !err; i++) {
        if (!walk->sources[i].here)
            continue;
        err = postings_changes_read(walk->sources[i].value, &changes);
        if (!err)
            count += postings_changes_sum(&changes);
    }
    if (err || count < 0)
        return err ? err : TORG_E_CORRUPT;
    *ret_count = (uint64_t)count;
    return TORG_OK;
}

enum torg_err postings_walk_next(struct postings_walk *walk, struct span *ret_key,
                                 uint64_t *ret_count)
{
    uint64_t count = 0;
    enum torg_err err = TORG_OK;

    /* A list that has come and gone in runs is none. */
    while (!err && count == 0) {
        err = postings_walk_step(walk);
        if (!err && (walk->stored.size < 2 || walk->stored.size > 1 + POSTINGS_KEY_BYTES_MAX))
            err = TORG_E_CORRUPT;
        if (!err)
            err = walk_count(walk, &count);
    }
    if (err)
        return err;
    *ret_key = span_of(walk->stored.data + 1, walk->stored.size - 1);
    *ret_count = count;
    return TORG_OK;
}

static bool walk_waits(const struct postings_walk *walk)
{
    for (size_t i = 1; i < walk->source_count; i++) {
        if (walk->sources[i].here)
            return true;
    }
    return false;
}

/* What KV_TERM has of the list that the walk stands at. */
static enum torg_err walk_merged_or(const struct postings_walk *walk,
                                    const struct postings_set *within, struct postings_set *set,
                                    uint64_t *work)
{
    struct postings_record record;
    enum torg_err err;

    if (!walk->sources[0].here)
        return TORG_OK;
    err = postings_record_read(walk->sources[0].value, &record);
    return err ? err
               : postings_list_or(walk->kv, walk->stored.data[0],
                                  span_of(walk->stored.data + 1, walk->stored.size - 1), &record,
                                  within, set, work);
}

/* All of the list, what waits included, by itself. */
static enum torg_err walk_read(const struct postings_walk *walk, struct postings_set *ret_list,
                               uint64_t *work)
{
    struct postings_changes changes;
    struct postings_set list = {0};
    enum torg_err err = walk_merged_or(walk, NULL, &list, work);

    for (size_t i = 1; i < walk->source_count && !err; i++) {
        if (!walk->sources[i].here)
            continue;
        err = postings_changes_read(walk->sources[i].value, &changes);
        if (!err)
            err = postings_changes_apply(&changes, &list);
    }
    if (err)
        postings_set_done(&list);
    else
        *ret_list = list;
    return err;
}

static enum torg_err walk_or(const struct postings_walk *walk, const struct postings_set *within,
                             struct postings_set *set, uint64_t *work)
{
    struct postings_set list = {0};
    enum torg_err err;

    if (work)
        ++*work;
    if (!walk_waits(walk))
        return walk_merged_or(walk, within, set, work);
    err = walk_read(walk, &list, work);
    if (!err)
        err = postings_set_or(set, &list);
    postings_set_done(&list);
    return err;
}

enum torg_err postings_walk_or(const struct postings_walk *walk, struct postings_set *set,
                               uint64_t *work)
{
    return walk_or(walk, NULL, set, work);
}

enum torg_err postings_walk_and_count(const struct postings_walk *walk,
                                      const struct postings_set *set, uint64_t *ret_count,
                                      uint64_t *work)
{
    struct postings_set list = {0};
    enum torg_err err = walk_or(walk, set, &list, work);

    if (!err)
        *ret_count = postings_set_and_count(set, &list);
    postings_set_done(&list);
    return err;
}

void postings_walk_close(struct postings_walk *walk)
{
    for (size_t i = 0; i < walk->source_count; i++)
        kv_cursor_close(walk->kv, walk->sources[i].cursor);
    free(walk->sources);
    walk->sources = NULL;
    walk->source_count = 0;
}

/* ---- everything ---- */

struct check {
    const struct kv *kv;
    postings_report *report;
    void *context;
    uint64_t pairs;
    uint64_t chunks; /* that the lists account for */
    uint64_t troubles;
    struct postings_runs runs; /* lists: of what is left to be found */
};

static void check_say(struct check *check, struct span key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void check_say(struct check *check, struct span key, const char *format, ...)
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
    check->troubles++;
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

/* An entry of KV_RUN but for that which tells the runs. */
static void check_run(struct check *check, struct span stored, struct span value)
{
    struct postings_changes changes;
    struct span key;
    size_t i = 0;

    if (stored.size < 6 || stored.size > 5 + POSTINGS_KEY_BYTES_MAX ||
        postings_changes_read(value, &changes)) {
        check_say(check, stored, "these changes are damaged");
        return;
    }
    key = span_of(stored.data + 5, stored.size - 5);
    if (!postings_may_wait(stored.data[4], key))
        check_say(check, stored, "changes of this list may not wait");
    while (i < check->runs.count && check->runs.runs[i].number != get_u32be(stored.data))
        i++;
    if (i == check->runs.count || check->runs.runs[i].lists == 0)
        check_say(check, stored, "these changes are of no run that is there");
    else
        check->runs.runs[i].lists--;
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
        else if (table == KV_RUN && key.size > 1)
            check_run(check, key, value);
        if (!err)
            err = kv_cursor_next(check->kv, cursor, &key, &value);
    }
    kv_cursor_close(check->kv, cursor);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

static enum torg_err check_runs(struct check *check)
{
    uint64_t entries;
    enum torg_err err = postings_runs_get(check->kv, &check->runs);

    if (err == TORG_E_CORRUPT) {
        check_say(check, (struct span){0}, "which changes wait is damaged");
        return TORG_OK;
    }
    if (!err)
        err = check_walk(check, KV_RUN, &entries);
    for (size_t i = 0; i < check->runs.count && !err; i++) {
        if (check->runs.runs[i].lists)
            check_say(check, (struct span){0}, "changes of %u lists of run %u are missing",
                      check->runs.runs[i].lists, check->runs.runs[i].number);
    }
    return err;
}

/* Do the changes that wait fit the lists, those too that nobody is in after them? */
static enum torg_err check_waiting(struct check *check)
{
    struct postings_walk walk;
    enum torg_err err = walk_open_all(&walk, check->kv);

    check->pairs = 0;
    while (!err && !(err = postings_walk_step(&walk))) {
        struct postings_set list = {0};
        uint64_t count = 0;

        if (walk_waits(&walk))
            err = walk_read(&walk, &list, NULL);
        if (!err)
            err = walk_count(&walk, &count);
        postings_set_done(&list);
        check->pairs += count;
        if (err == TORG_E_CORRUPT) {
            check_say(check, walk.stored, "the changes that wait are not of this list");
            err = TORG_OK;
        }
    }
    postings_walk_close(&walk);
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
    err = check_runs(&check);
    /* Beside what is damaged there is nothing to compare. */
    if (!err && check.troubles == 0)
        err = check_waiting(&check);
    *ret_pairs = check.pairs;
    return err;
}
