/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "index/postings_internal.h"

/*
 * The changes of one list lie in a chain, in the order of their coming: a commit
 * of a thousand listings has tens of thousands of changes, but touches only a
 * few thousand lists, and only these are sorted. head, the first bytes of kind
 * and key as a number, decides most comparisons without a look at the key.
 */
struct postings_pending_list {
    uint64_t head, hash;
    uint32_t key_at; /* in writer->keys */
    uint32_t first, last;
};

#define EDIT_NONE UINT32_MAX

struct postings_pending_edit {
    uint32_t number;
    uint32_t next; /* EDIT_NONE: the last */
    bool removed;
};

/* Keys are words from outside, which may be chosen to collide: so far, and no further. */
#define PROBES_MAX 32
#define SLOTS_MIN 1024
#define ARRAY_MIN 1024

static uint64_t key_hash(uint8_t kind, struct span key)
{
    uint64_t hash = (uint64_t)kind << 8 | key.size;

    for (size_t at = 0; at < key.size; at += 8) {
        uint64_t word = 0;

        memcpy(&word, key.data + at, key.size - at < 8 ? key.size - at : 8);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return hash;
}

static struct span list_key(const uint8_t *keys, const struct postings_pending_list *list)
{
    return span_of(keys + list->key_at + 2, keys[list->key_at + 1]);
}

/* Room for one more of an array of items of that size. */
static enum torg_err array_reserve(void **array, size_t count, size_t *capacity, size_t size)
{
    size_t larger = *capacity ? 2 * *capacity : ARRAY_MIN;
    void *moved;

    if (count < *capacity)
        return TORG_OK;
    if (larger >= EDIT_NONE)
        return TORG_E_NOMEM;
    moved = realloc(*array, larger * size);
    if (!moved)
        return TORG_E_NOMEM;
    *array = moved;
    *capacity = larger;
    return TORG_OK;
}

/* A place for the list, if there is one among the first few. */
static void slot_take(struct postings_writer *writer, uint32_t list)
{
    size_t mask = writer->slot_count - 1;

    for (size_t i = 0; i < PROBES_MAX; i++) {
        uint32_t *slot = &writer->slots[(writer->lists[list].hash + i) & mask];

        if (*slot)
            continue;
        *slot = list + 1;
        return;
    }
}

/* At most every second slot is taken. */
static enum torg_err slots_reserve(struct postings_writer *writer)
{
    size_t count = writer->slot_count ? 2 * writer->slot_count : SLOTS_MIN;
    uint32_t *slots;

    if (writer->slot_count > 2 * writer->list_count)
        return TORG_OK;
    slots = calloc(count, sizeof(*slots));
    if (!slots)
        return TORG_E_NOMEM;
    free(writer->slots);
    writer->slots = slots;
    writer->slot_count = count;
    for (size_t i = 0; i < writer->list_count; i++)
        slot_take(writer, (uint32_t)i);
    return TORG_OK;
}

static bool list_find(const struct postings_writer *writer, uint8_t kind, struct span key,
                      uint64_t hash, uint32_t *ret_list)
{
    size_t mask = writer->slot_count - 1;

    for (size_t i = 0; i < PROBES_MAX && writer->slots[(hash + i) & mask]; i++) {
        uint32_t at = writer->slots[(hash + i) & mask] - 1;
        const struct postings_pending_list *list = &writer->lists[at];

        if (list->hash != hash || list->head >> 56 != kind ||
            !span_equal(list_key(writer->keys.data, list), key))
            continue;
        *ret_list = at;
        return true;
    }
    return false;
}

static enum torg_err list_new(struct postings_writer *writer, uint8_t kind, struct span key,
                              uint64_t hash)
{
    struct postings_pending_list list = {
        .hash = hash, .key_at = (uint32_t)writer->keys.size, .first = EDIT_NONE};
    void *lists = writer->lists;
    enum torg_err err;

    if (writer->keys.size > UINT32_MAX - 2 - POSTINGS_KEY_BYTES_MAX)
        return TORG_E_NOMEM;
    err = array_reserve(&lists, writer->list_count, &writer->list_capacity, sizeof(list));
    writer->lists = lists;
    if (err)
        return err;
    list.head = (uint64_t)kind << 56;
    for (size_t i = 0; i < 7 && i < key.size; i++)
        list.head |= (uint64_t)key.data[i] << (48 - 8 * i);
    buffer_put_u8(&writer->keys, kind);
    buffer_put_u8(&writer->keys, (uint8_t)key.size);
    buffer_put_span(&writer->keys, key);
    if (writer->keys.err)
        return writer->keys.err;
    writer->lists[writer->list_count++] = list;
    slot_take(writer, (uint32_t)writer->list_count - 1);
    return TORG_OK;
}

/*
 * A list that is not found among the first few slots gets another entry; the
 * flush takes entries of equal keys together, so that costs time and no more.
 */
static enum torg_err edit_note(struct postings_writer *writer, uint8_t kind, struct span key,
                               uint32_t number, bool removed)
{
    uint64_t hash = key_hash(kind, key);
    struct postings_pending_list *list;
    uint32_t at, edit = (uint32_t)writer->edit_count;
    void *edits = writer->edits;
    enum torg_err err;

    assert(key.size >= 1 && key.size <= POSTINGS_KEY_BYTES_MAX);
    err = slots_reserve(writer);
    if (!err)
        err = array_reserve(&edits, writer->edit_count, &writer->edit_capacity,
                            sizeof(*writer->edits));
    writer->edits = edits;
    if (!err && !list_find(writer, kind, key, hash, &at)) {
        err = list_new(writer, kind, key, hash);
        at = (uint32_t)writer->list_count - 1;
    }
    if (err)
        return err;
    list = &writer->lists[at];
    if (list->first == EDIT_NONE)
        list->first = edit;
    else
        writer->edits[list->last].next = edit;
    list->last = edit;
    writer->edits[writer->edit_count++] =
        (struct postings_pending_edit){.number = number, .next = EDIT_NONE, .removed = removed};
    return TORG_OK;
}

enum torg_err postings_add(struct postings_writer *writer, uint8_t kind, struct span key,
                           uint32_t number)
{
    return edit_note(writer, kind, key, number, false);
}

enum torg_err postings_remove(struct postings_writer *writer, uint8_t kind, struct span key,
                              uint32_t number)
{
    return edit_note(writer, kind, key, number, true);
}

size_t postings_pending(const struct postings_writer *writer)
{
    return writer->edit_count * sizeof(*writer->edits) +
           writer->list_count * sizeof(*writer->lists) + writer->keys.size;
}

void postings_writer_done(struct postings_writer *writer)
{
    buffer_done(&writer->keys);
    free(writer->lists);
    free(writer->edits);
    free(writer->slots);
    *writer = (struct postings_writer){0};
}

static int list_compare(const void *a, const void *b, void *context)
{
    const struct postings_pending_list *left = a;
    const struct postings_pending_list *right = b;

    if (left->head != right->head)
        return left->head < right->head ? -1 : 1;
    return span_compare(list_key(context, left), list_key(context, right));
}

static int edit_compare(const void *a, const void *b)
{
    const struct postings_edit *left = a;
    const struct postings_edit *right = b;

    if (left->number != right->number)
        return left->number < right->number ? -1 : 1;
    return left->order < right->order ? -1 : left->order > right->order;
}

/*
 * Of the changes of one number only the last counts, and nothing at all is left
 * of two that undo each other. Returns how many are left.
 */
static size_t edits_settle(struct postings_edit *edits, size_t count)
{
    size_t out = 0;

    for (size_t i = 0; i < count;) {
        size_t last = i;

        while (last + 1 < count && edits[last + 1].number == edits[i].number)
            last++;
        /* An odd number of turns: what the first one says is what was changed. */
        if ((last - i) % 2 == 0)
            edits[out++] = edits[last];
        i = last + 1;
    }
    return out;
}

/* What waits for lists of one key, ascending by number; of one number, as it came. */
static size_t edits_gather(const struct postings_writer *writer,
                           const struct postings_pending_list *lists, size_t list_count,
                           struct postings_edit *edits)
{
    size_t count = 0;
    bool ascending = true;

    for (size_t i = 0; i < list_count; i++) {
        for (uint32_t at = lists[i].first; at != EDIT_NONE; at = writer->edits[at].next) {
            const struct postings_pending_edit *edit = &writer->edits[at];

            ascending = ascending && (count == 0 || edits[count - 1].number < edit->number);
            edits[count++] = (struct postings_edit){
                .number = edit->number, .order = at, .removed = edit->removed};
        }
    }
    if (!ascending)
        qsort(edits, count, sizeof(*edits), edit_compare);
    return count;
}

/* ---- the flush ---- */

struct flush {
    const struct postings_writer *writer;
    struct postings_runs runs;
    struct postings_run run; /* that it makes; number 0: none */
    bool merged;             /* something that waited in runs */
};

static bool is_worth_a_run(const struct postings_writer *writer)
{
    size_t lists = 0;

    for (size_t i = 0; i < writer->list_count && lists < POSTINGS_RUN_LISTS_MIN; i++) {
        const uint8_t *at = writer->keys.data + writer->lists[i].key_at;

        lists += postings_may_wait(at[0], list_key(writer->keys.data, &writer->lists[i]));
    }
    return lists >= POSTINGS_RUN_LISTS_MIN;
}

/* More runs than so many, and each flush that makes one merges its share of them. */
#define FLUSH_RUNS_CALM 64
#define FLUSH_MERGED_FRACTION 32 /* of what waits, at least */

static enum torg_err flush_begin(struct flush *flush, struct kv *kv)
{
    size_t merged, waiting = 0;
    enum torg_err err = postings_runs_get(kv, &flush->runs);

    if (err || !is_worth_a_run(flush->writer))
        return err;
    if (flush->runs.count >= FLUSH_RUNS_CALM ||
        (flush->runs.count && flush->runs.runs[0].merging)) {
        for (size_t i = 0; i < flush->runs.count; i++)
            waiting += flush->runs.runs[i].lists;
        if (flush->runs.count < POSTINGS_RUNS_MAX - 1)
            waiting /= FLUSH_MERGED_FRACTION;
        if (waiting < 2 * flush->writer->list_count)
            waiting = 2 * flush->writer->list_count;
        err = postings_merge(kv, waiting, &merged);
        if (!err)
            err = postings_runs_get(kv, &flush->runs);
    }
    if (!err && flush->runs.count < POSTINGS_RUNS_MAX)
        flush->run.number =
            flush->runs.count ? flush->runs.runs[flush->runs.count - 1].number + 1 : 1;
    return err;
}

static enum torg_err flush_list(struct flush *flush, const struct postings_list_edits *list)
{
    const struct postings_writer *writer = flush->writer;
    bool lived, lives;
    enum torg_err err = TORG_OK;

    if (postings_may_wait(list->kind, list->key)) {
        if (flush->run.number && list->count <= POSTINGS_RUN_CHANGES_MAX) {
            flush->run.lists++;
            return postings_run_put(list, flush->run.number);
        }
        err = postings_runs_merge_list(list, &flush->runs, &flush->merged);
    }
    if (!err)
        err = postings_list_change(list, &lived, &lives);
    if (err || !writer->turned || lives == lived)
        return err;
    return writer->turned(writer->context, list->kv, list->kind, list->key, lives);
}

static enum torg_err flush_end(struct flush *flush, struct kv *kv)
{
    if (flush->run.lists)
        flush->runs.runs[flush->runs.count++] = flush->run;
    return flush->merged || flush->run.lists ? postings_runs_put(kv, &flush->runs) : TORG_OK;
}

static void pending_clear(struct postings_writer *writer)
{
    buffer_clear(&writer->keys);
    writer->list_count = 0;
    writer->edit_count = 0;
    memset(writer->slots, 0, writer->slot_count * sizeof(*writer->slots));
}

enum torg_err postings_flush(struct postings_writer *writer, struct kv *kv)
{
    const uint8_t *keys = writer->keys.data;
    struct flush flush = {.writer = writer};
    struct buffer scratch = {0};
    struct postings_edit *edits;
    enum torg_err err = writer->keys.err;

    if (err || writer->edit_count == 0)
        return err;
    edits = malloc(writer->edit_count * sizeof(*edits));
    if (!edits)
        return TORG_E_NOMEM;
    /* After this the slots lead astray, which matters to nobody: see edit_note. */
    qsort_r(writer->lists, writer->list_count, sizeof(*writer->lists), list_compare,
            writer->keys.data);
    err = flush_begin(&flush, kv);
    for (size_t at = 0; at < writer->list_count && !err;) {
        const struct postings_pending_list *first = &writer->lists[at];
        struct postings_list_edits list = {.kv = kv, .edits = edits, .scratch = &scratch};
        size_t end = at + 1;

        while (end < writer->list_count &&
               list_compare(first, &writer->lists[end], writer->keys.data) == 0)
            end++;
        list.kind = keys[first->key_at];
        list.key = list_key(keys, first);
        list.count = edits_settle(edits, edits_gather(writer, first, end - at, edits));
        if (list.count)
            err = flush_list(&flush, &list);
        at = end;
    }
    if (!err)
        err = flush_end(&flush, kv);
    free(edits);
    buffer_done(&scratch);
    if (!err)
        pending_clear(writer);
    return err;
}
