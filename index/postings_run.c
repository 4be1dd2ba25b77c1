/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "index/postings_internal.h"

/*
 * KV_RUN holds, under the number of a run, the changes of its lists, and under
 * RUNS_KEY, which is shorter than all others, which runs there are: number u32,
 * lists u32, merging u8 for each.
 */
#define RUNS_KEY_BYTES 1
#define RUN_BYTES 9

static const uint8_t runs_key[RUNS_KEY_BYTES] = {0};

/* ---- which there are ---- */

enum torg_err postings_runs_get(const struct kv *kv, struct postings_runs *ret_runs)
{
    struct span value;
    enum torg_err err = kv_get(kv, KV_RUN, span_of(runs_key, sizeof(runs_key)), &value);

    ret_runs->count = 0;
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_OK : err;
    if (value.size == 0 || value.size % RUN_BYTES || value.size / RUN_BYTES > POSTINGS_RUNS_MAX)
        return TORG_E_CORRUPT;
    for (size_t i = 0; i < value.size / RUN_BYTES; i++) {
        const uint8_t *at = value.data + i * RUN_BYTES;
        struct postings_run run = {
            .number = get_u32be(at), .lists = get_u32be(at + 4), .merging = at[8] == 1};

        if (run.number <= (i ? ret_runs->runs[i - 1].number : 0) || run.lists == 0 || at[8] > 1 ||
            (run.merging && i && !ret_runs->runs[i - 1].merging))
            return TORG_E_CORRUPT;
        ret_runs->runs[i] = run;
    }
    ret_runs->count = value.size / RUN_BYTES;
    return TORG_OK;
}

enum torg_err postings_runs_put(struct kv *kv, const struct postings_runs *runs)
{
    uint8_t value[POSTINGS_RUNS_MAX * RUN_BYTES];
    struct span key = span_of(runs_key, sizeof(runs_key));
    size_t size = 0;

    for (size_t i = 0; i < runs->count; i++) {
        if (runs->runs[i].lists == 0)
            continue;
        put_u32be(value + size, runs->runs[i].number);
        put_u32be(value + size + 4, runs->runs[i].lists);
        value[size + 8] = runs->runs[i].merging;
        size += RUN_BYTES;
    }
    return size ? kv_put(kv, KV_RUN, key, span_of(value, size)) : kv_del(kv, KV_RUN, key);
}

bool postings_may_wait(uint8_t kind, struct span key)
{
    if (kind == POSTINGS_MUNICIPALITY)
        return false;
    if (kind != POSTINGS_NAME && kind != POSTINGS_PLACE && kind != POSTINGS_DESCRIPTION)
        return true;
    for (size_t i = 0; i < key.size && key.data[i] != 0; i++) {
        if (key.data[i] < '0' || key.data[i] > '9')
            return false;
    }
    return true;
}

/* ---- what waits ---- */

struct postings_key postings_key_run(uint32_t run, uint8_t kind, struct span key)
{
    struct postings_key out;

    assert(key.size <= POSTINGS_KEY_BYTES_MAX);
    put_u32be(out.bytes, run);
    out.bytes[4] = kind;
    if (key.size)
        memcpy(out.bytes + 5, key.data, key.size);
    out.size = 5 + key.size;
    return out;
}

static bool ascending(struct span numbers)
{
    for (size_t at = 4; at < numbers.size; at += 4) {
        if (get_u32be(numbers.data + at) <= get_u32be(numbers.data + at - 4))
            return false;
    }
    return true;
}

/* Of two ascending ones. */
static bool disjoint(struct span a, struct span b)
{
    size_t at = 0;

    for (size_t i = 0; i < a.size; i += 4) {
        while (at < b.size && get_u32be(b.data + at) < get_u32be(a.data + i))
            at += 4;
        if (at < b.size && get_u32be(b.data + at) == get_u32be(a.data + i))
            return false;
    }
    return true;
}

enum torg_err postings_changes_read(struct span value, struct postings_changes *ret_changes)
{
    struct postings_changes changes;
    size_t added;

    if (value.size < 5 || value.size % 4 != 1 ||
        value.size > 1 + 4 * (size_t)POSTINGS_RUN_CHANGES_MAX)
        return TORG_E_CORRUPT;
    added = 4 * (size_t)value.data[0];
    if (added > value.size - 1)
        return TORG_E_CORRUPT;
    changes.added = span_of(value.data + 1, added);
    changes.removed = span_of(value.data + 1 + added, value.size - 1 - added);
    if (!ascending(changes.added) || !ascending(changes.removed) ||
        !disjoint(changes.added, changes.removed))
        return TORG_E_CORRUPT;
    *ret_changes = changes;
    return TORG_OK;
}

int64_t postings_changes_sum(const struct postings_changes *changes)
{
    return (int64_t)(changes->added.size / 4) - (int64_t)(changes->removed.size / 4);
}

enum torg_err postings_changes_apply(const struct postings_changes *changes,
                                     struct postings_set *set)
{
    enum torg_err err = TORG_OK;

    for (size_t at = 0; at < changes->added.size && !err; at += 4)
        err = postings_set_change(set, get_u32be(changes->added.data + at), false);
    for (size_t at = 0; at < changes->removed.size && !err; at += 4)
        err = postings_set_change(set, get_u32be(changes->removed.data + at), true);
    return err;
}

enum torg_err postings_run_get(const struct kv *kv, const struct postings_run *run, uint8_t kind,
                               struct span key, struct postings_changes *ret_changes)
{
    struct postings_key at = postings_key_run(run->number, kind, key);
    struct span value;
    enum torg_err err = kv_get(kv, KV_RUN, postings_key_span(&at), &value);

    *ret_changes = (struct postings_changes){0};
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_OK : err;
    return postings_changes_read(value, ret_changes);
}

enum torg_err postings_run_put(const struct postings_list_edits *list, uint32_t run)
{
    struct postings_key key = postings_key_run(run, list->kind, list->key);
    struct buffer *value = list->scratch;
    size_t added = 0;

    assert(list->count > 0 && list->count <= POSTINGS_RUN_CHANGES_MAX);
    for (size_t i = 0; i < list->count; i++)
        added += !list->edits[i].removed;
    buffer_clear(value);
    buffer_put_u8(value, (uint8_t)added);
    for (int removed = 0; removed < 2; removed++) {
        for (size_t i = 0; i < list->count; i++) {
            if (list->edits[i].removed == (removed == 1))
                buffer_put_u32be(value, list->edits[i].number);
        }
    }
    if (value->err)
        return value->err;
    return kv_put(list->kv, KV_RUN, postings_key_span(&key), buffer_span(value));
}

/* ---- merging ---- */

static int edit_compare(const void *a, const void *b)
{
    const struct postings_edit *left = a, *right = b;

    return left->number < right->number ? -1 : left->number > right->number;
}

/* Ascending by number; returns how many. */
static size_t edits_of(const struct postings_changes *changes, struct postings_edit *edits)
{
    size_t count = 0;

    for (size_t at = 0; at < changes->added.size; at += 4)
        edits[count++] = (struct postings_edit){.number = get_u32be(changes->added.data + at)};
    for (size_t at = 0; at < changes->removed.size; at += 4)
        edits[count++] = (struct postings_edit){.number = get_u32be(changes->removed.data + at),
                                                .removed = true};
    qsort(edits, count, sizeof(*edits), edit_compare);
    return count;
}

/* Changes of one run, which are not borrowed from the store, into the list. */
static enum torg_err changes_merge(struct postings_list_edits list, struct span value)
{
    struct postings_edit edits[POSTINGS_RUN_CHANGES_MAX];
    struct postings_changes changes;
    bool lived, lives;
    enum torg_err err = postings_changes_read(value, &changes);

    if (err)
        return err;
    list.edits = edits;
    list.count = edits_of(&changes, edits);
    return postings_list_change(&list, &lived, &lives);
}

enum torg_err postings_runs_merge_list(const struct postings_list_edits *list,
                                       struct postings_runs *runs, bool *ret_merged)
{
    uint8_t copy[1 + 4 * POSTINGS_RUN_CHANGES_MAX];
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < runs->count && !err; i++) {
        struct postings_key key = postings_key_run(runs->runs[i].number, list->kind, list->key);
        struct span value;

        err = kv_get(list->kv, KV_RUN, postings_key_span(&key), &value);
        if (err == TORG_E_NOT_FOUND) {
            err = TORG_OK;
            continue;
        }
        if (!err && (value.size > sizeof(copy) || runs->runs[i].lists == 0))
            err = TORG_E_CORRUPT;
        if (err)
            break;
        memcpy(copy, value.data, value.size);
        err = changes_merge(*list, span_of(copy, value.size));
        if (!err)
            err = kv_del(list->kv, KV_RUN, postings_key_span(&key));
        runs->runs[i].lists--;
        *ret_merged = true;
    }
    return err;
}

/*
 * The first lists of all runs that are being merged, read before anything is
 * written: for each, in the order of keys, then of runs: run u32, size of kind and key u8, these,
 * size of the changes u8, these.
 */
struct batch {
    struct buffer bytes;
    size_t lists;
};

static void batch_add(struct batch *batch, uint32_t run, struct span key, struct span value)
{
    buffer_put_u32be(&batch->bytes, run);
    buffer_put_u8(&batch->bytes, (uint8_t)key.size);
    buffer_put_span(&batch->bytes, key);
    buffer_put_u8(&batch->bytes, (uint8_t)value.size);
    buffer_put_span(&batch->bytes, value);
}

/* One entry; *at is moved behind it. */
static void batch_take(struct span *left, uint32_t *ret_run, struct span *ret_key,
                       struct span *ret_value)
{
    const uint8_t *at = left->data;

    *ret_run = get_u32be(at);
    *ret_key = span_of(at + 5, at[4]);
    at += 5 + ret_key->size;
    *ret_value = span_of(at + 1, at[0]);
    at += 1 + ret_value->size;
    *left = span_of(at, left->size - (size_t)(at - left->data));
}

static enum torg_err batch_read(struct kv *kv, const struct postings_runs *runs, size_t count,
                                size_t max, struct batch *batch)
{
    struct postings_walk walk;
    enum torg_err err = postings_runs_open(&walk, kv, runs, count);

    while (!err && batch->lists < max && !(err = postings_walk_step(&walk))) {
        for (size_t i = 0; i < count && !err; i++) {
            struct span value = postings_walk_changes(&walk, i);

            if (!value.size)
                continue;
            if (walk.stored.size < 2 || walk.stored.size > 1 + POSTINGS_KEY_BYTES_MAX ||
                value.size > 1 + 4 * (size_t)POSTINGS_RUN_CHANGES_MAX)
                err = TORG_E_CORRUPT;
            else
                batch_add(batch, runs->runs[i].number, walk.stored, value);
        }
        batch->lists++;
    }
    postings_walk_close(&walk);
    if (err && err != TORG_E_NOT_FOUND)
        return err;
    return batch->bytes.err;
}

static enum torg_err batch_merge(struct kv *kv, const struct batch *batch)
{
    struct span left = buffer_span(&batch->bytes), key, value;
    struct buffer scratch = {0};
    uint32_t run;
    enum torg_err err = TORG_OK;

    while (left.size && !err) {
        struct postings_list_edits list = {.kv = kv, .scratch = &scratch};

        batch_take(&left, &run, &key, &value);
        list.kind = key.data[0];
        list.key = span_of(key.data + 1, key.size - 1);
        err = changes_merge(list, value);
    }
    buffer_done(&scratch);
    return err;
}

/* Run by run, so that each run's pages are emptied one after the other. */
static enum torg_err batch_delete(struct kv *kv, const struct batch *batch,
                                  struct postings_run *run)
{
    struct span left = buffer_span(&batch->bytes), key, value;
    uint32_t number;
    enum torg_err err = TORG_OK;

    while (left.size && !err) {
        struct postings_key at;

        batch_take(&left, &number, &key, &value);
        if (number != run->number)
            continue;
        if (run->lists == 0)
            return TORG_E_CORRUPT;
        run->lists--;
        at = postings_key_run(number, key.data[0], span_of(key.data + 1, key.size - 1));
        err = kv_del(kv, KV_RUN, postings_key_span(&at));
    }
    return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
}

/* The runs that are being merged, all if none was. */
static size_t merging_begin(struct postings_runs *runs)
{
    size_t count = 0;

    while (count < runs->count && runs->runs[count].merging)
        count++;
    if (count)
        return count;
    for (size_t i = 0; i < runs->count; i++)
        runs->runs[i].merging = true;
    return runs->count;
}

enum torg_err postings_merge(struct kv *kv, size_t max, size_t *ret_merged)
{
    struct postings_runs runs;
    struct batch batch = {0};
    size_t count = 0;
    enum torg_err err = postings_runs_get(kv, &runs);

    if (!err && runs.count) {
        count = merging_begin(&runs);
        err = batch_read(kv, &runs, count, max, &batch);
    }
    if (!err)
        err = batch_merge(kv, &batch);
    for (size_t i = 0; i < count && !err; i++)
        err = batch_delete(kv, &batch, &runs.runs[i]);
    if (!err && runs.count)
        err = postings_runs_put(kv, &runs);
    buffer_done(&batch.bytes);
    *ret_merged = batch.lists;
    return err;
}

enum torg_err postings_unmerged(const struct kv *kv, uint64_t *ret_lists)
{
    struct postings_runs runs;
    enum torg_err err = postings_runs_get(kv, &runs);

    *ret_lists = 0;
    for (size_t i = 0; i < runs.count && !err; i++)
        *ret_lists += runs.runs[i].lists;
    return err;
}
