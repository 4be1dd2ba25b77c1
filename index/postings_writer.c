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

/* One change of a list that is worked on. */
struct edit {
    uint32_t number;
    uint32_t order; /* of its coming */
    bool removed;
};

/* The changes of one list, ascending by number, each number once. */
struct list_edits {
    struct kv *kv;
    uint8_t kind;
    struct span key;
    const struct edit *edits;
    size_t count;
    struct buffer *scratch;
};

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
    const struct edit *left = a;
    const struct edit *right = b;

    if (left->number != right->number)
        return left->number < right->number ? -1 : 1;
    return left->order < right->order ? -1 : left->order > right->order;
}

/* ---- short lists ---- */

/* The numbers after the changes; with room for count of both. */
static enum torg_err numbers_merge(const struct list_edits *list, struct span old,
                                   uint32_t *numbers, size_t *ret_count)
{
    size_t at = 0, out = 0;

    for (size_t i = 0; i < list->count; i++) {
        const struct edit *edit = &list->edits[i];

        while (at < old.size && get_u32be(old.data + at) < edit->number) {
            numbers[out++] = get_u32be(old.data + at);
            at += 4;
        }
        if ((at < old.size && get_u32be(old.data + at) == edit->number) != edit->removed)
            return TORG_E_CORRUPT;
        if (edit->removed)
            at += 4;
        else
            numbers[out++] = edit->number;
    }
    for (; at < old.size; at += 4)
        numbers[out++] = get_u32be(old.data + at);
    *ret_count = out;
    return TORG_OK;
}

static enum torg_err record_put(const struct list_edits *list, uint32_t count,
                                const uint32_t *numbers)
{
    struct postings_key term = postings_key_term(list->kind, list->key);

    if (count == 0)
        return kv_del(list->kv, KV_TERM, postings_key_span(&term));
    buffer_clear(list->scratch);
    buffer_put_u32be(list->scratch, count);
    for (size_t i = 0; i < count && count <= POSTINGS_INLINE_MAX; i++)
        buffer_put_u32be(list->scratch, numbers[i]);
    if (list->scratch->err)
        return list->scratch->err;
    return kv_put(list->kv, KV_TERM, postings_key_span(&term), buffer_span(list->scratch));
}

static enum torg_err chunk_put(const struct list_edits *list, uint16_t chunk,
                               struct postings_set *set)
{
    struct postings_key key = postings_key_chunk(list->kind, list->key, chunk);

    buffer_clear(list->scratch);
    postings_chunk_pack(set, list->scratch);
    if (list->scratch->err)
        return list->scratch->err;
    return kv_put(list->kv, KV_POSTING, postings_key_span(&key), buffer_span(list->scratch));
}

/* A list that has become long: all its numbers, into chunks. */
static enum torg_err chunks_write(const struct list_edits *list, const uint32_t *numbers,
                                  size_t count)
{
    enum torg_err err = TORG_OK;
    size_t at = 0;

    while (at < count && !err) {
        uint16_t chunk = (uint16_t)(numbers[at] >> 16);
        struct postings_set set = {0};
        size_t end = at;

        while (end < count && numbers[end] >> 16 == chunk)
            end++;
        err = postings_set_add(&set, numbers + at, end - at);
        if (!err)
            err = chunk_put(list, chunk, &set);
        postings_set_done(&set);
        at = end;
    }
    return err;
}

static enum torg_err short_change(const struct list_edits *list,
                                  const struct postings_record *record, bool *ret_lives)
{
    uint32_t *numbers = malloc((record->count + list->count) * sizeof(*numbers));
    size_t count = 0;
    enum torg_err err;

    if (!numbers)
        return TORG_E_NOMEM;
    err = numbers_merge(list, record->numbers, numbers, &count);
    if (!err && count > POSTINGS_INLINE_MAX)
        err = chunks_write(list, numbers, count);
    if (!err && (count > 0 || record->count > 0))
        err = record_put(list, (uint32_t)count, numbers);
    free(numbers);
    *ret_lives = count > 0;
    return err;
}

/* ---- long lists ---- */

/* The changes of one chunk, from at on; *ret_end is where the next chunk's begin. */
static enum torg_err chunk_change(const struct list_edits *list, size_t at, size_t *ret_end,
                                  int64_t *change)
{
    uint16_t chunk = (uint16_t)(list->edits[at].number >> 16);
    struct postings_key key = postings_key_chunk(list->kind, list->key, chunk);
    struct postings_set set = {0};
    struct span value;
    enum torg_err err;

    err = kv_get(list->kv, KV_POSTING, postings_key_span(&key), &value);
    if (!err)
        err = postings_chunk_or(value, chunk, &set);
    else if (err == TORG_E_NOT_FOUND)
        err = TORG_OK;
    while (!err && at < list->count && list->edits[at].number >> 16 == chunk) {
        err = postings_set_change(&set, list->edits[at].number, list->edits[at].removed);
        *change += list->edits[at].removed ? -1 : 1;
        at++;
    }
    if (!err && postings_set_count(&set) > 0)
        err = chunk_put(list, chunk, &set);
    else if (!err)
        err = kv_del(list->kv, KV_POSTING, postings_key_span(&key));
    postings_set_done(&set);
    *ret_end = at;
    return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
}

/* A list that has become short: its numbers into its record, its chunks go. */
static enum torg_err chunks_collapse(const struct list_edits *list, uint32_t count)
{
    struct postings_record record = {.count = count};
    uint32_t numbers[POSTINGS_INLINE_MAX + 1];
    struct postings_set set = {0};
    struct postings_key key;
    size_t got = 0;
    enum torg_err err;

    err = postings_list_or(list->kv, list->kind, list->key, &record, NULL, &set, NULL);
    if (!err)
        got = postings_set_read(&set, 0, numbers, ARRAY_SIZE(numbers));
    postings_set_done(&set);
    for (size_t i = 0; i < got && !err; i++) {
        if (i > 0 && numbers[i] >> 16 == numbers[i - 1] >> 16)
            continue;
        key = postings_key_chunk(list->kind, list->key, (uint16_t)(numbers[i] >> 16));
        err = kv_del(list->kv, KV_POSTING, postings_key_span(&key));
    }
    if (err || got != count)
        return err && err != TORG_E_NOT_FOUND ? err : TORG_E_CORRUPT;
    return record_put(list, count, numbers);
}

static enum torg_err long_change(const struct list_edits *list,
                                 const struct postings_record *record, bool *ret_lives)
{
    int64_t change = 0;
    int64_t count;
    enum torg_err err = TORG_OK;

    for (size_t at = 0; at < list->count && !err;)
        err = chunk_change(list, at, &at, &change);
    if (err)
        return err;
    count = (int64_t)record->count + change;
    if (count < 0 || count > UINT32_MAX)
        return TORG_E_CORRUPT;
    *ret_lives = count > 0;
    return count <= POSTINGS_INLINE_MAX ? chunks_collapse(list, (uint32_t)count)
                                        : record_put(list, (uint32_t)count, NULL);
}

/* ---- the flush ---- */

static enum torg_err list_change(const struct postings_writer *writer,
                                 const struct list_edits *list)
{
    struct postings_record record;
    bool lived, lives = false;
    enum torg_err err;

    err = postings_record_get(list->kv, list->kind, list->key, &record);
    if (err)
        return err;
    lived = record.count > 0;
    if (record.count == 0 || record.numbers.size)
        err = short_change(list, &record, &lives);
    else
        err = long_change(list, &record, &lives);
    if (err || !writer->turned || lives == lived)
        return err;
    return writer->turned(writer->context, list->kv, list->kind, list->key, lives);
}

/*
 * Of the changes of one number only the last counts, and nothing at all is left
 * of two that undo each other. Returns how many are left.
 */
static size_t edits_settle(struct edit *edits, size_t count)
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
                           struct edit *edits)
{
    size_t count = 0;
    bool ascending = true;

    for (size_t i = 0; i < list_count; i++) {
        for (uint32_t at = lists[i].first; at != EDIT_NONE; at = writer->edits[at].next) {
            const struct postings_pending_edit *edit = &writer->edits[at];

            ascending = ascending && (count == 0 || edits[count - 1].number < edit->number);
            edits[count++] =
                (struct edit){.number = edit->number, .order = at, .removed = edit->removed};
        }
    }
    if (!ascending)
        qsort(edits, count, sizeof(*edits), edit_compare);
    return count;
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
    struct buffer scratch = {0};
    struct edit *edits;
    enum torg_err err = writer->keys.err;

    if (err || writer->edit_count == 0)
        return err;
    edits = malloc(writer->edit_count * sizeof(*edits));
    if (!edits)
        return TORG_E_NOMEM;
    /* After this the slots lead astray, which matters to nobody: see edit_note. */
    qsort_r(writer->lists, writer->list_count, sizeof(*writer->lists), list_compare,
            writer->keys.data);
    for (size_t at = 0; at < writer->list_count && !err;) {
        const struct postings_pending_list *first = &writer->lists[at];
        struct list_edits list = {.kv = kv, .edits = edits, .scratch = &scratch};
        size_t end = at + 1;

        while (end < writer->list_count &&
               list_compare(first, &writer->lists[end], writer->keys.data) == 0)
            end++;
        list.kind = keys[first->key_at];
        list.key = list_key(keys, first);
        list.count = edits_settle(edits, edits_gather(writer, first, end - at, edits));
        if (list.count)
            err = list_change(writer, &list);
        at = end;
    }
    free(edits);
    buffer_done(&scratch);
    if (!err)
        pending_clear(writer);
    return err;
}
