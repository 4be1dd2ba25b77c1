/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "index/postings_internal.h"

/*
 * One change. head, the first bytes of kind and key as a number, decides most
 * comparisons without a look at the key.
 */
struct edit {
    uint64_t head;
    uint32_t key_at; /* in writer->keys: kind u8, size u8, key */
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

static enum torg_err edit_note(struct postings_writer *writer, uint8_t kind, struct span key,
                               uint32_t number, bool removed)
{
    struct edit edit = {
        .key_at = (uint32_t)writer->keys.size,
        .number = number,
        .order = (uint32_t)(writer->edits.size / sizeof(edit)),
        .removed = removed,
    };

    assert(key.size >= 1 && key.size <= POSTINGS_KEY_BYTES_MAX);
    if (writer->keys.size > UINT32_MAX - 2 - POSTINGS_KEY_BYTES_MAX)
        return TORG_E_NOMEM;
    edit.head = (uint64_t)kind << 56;
    for (size_t i = 0; i < 7 && i < key.size; i++)
        edit.head |= (uint64_t)key.data[i] << (48 - 8 * i);
    buffer_put_u8(&writer->keys, kind);
    buffer_put_u8(&writer->keys, (uint8_t)key.size);
    buffer_put_span(&writer->keys, key);
    buffer_put(&writer->edits, &edit, sizeof(edit));
    return writer->keys.err ? writer->keys.err : writer->edits.err;
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
    return writer->edits.size + writer->keys.size;
}

void postings_writer_done(struct postings_writer *writer)
{
    buffer_done(&writer->edits);
    buffer_done(&writer->keys);
}

static struct span edit_key(const uint8_t *keys, const struct edit *edit)
{
    return span_of(keys + edit->key_at + 2, keys[edit->key_at + 1]);
}

static int edit_compare(const void *a, const void *b, void *context)
{
    const struct edit *left = a;
    const struct edit *right = b;
    int order;

    if (left->head != right->head)
        return left->head < right->head ? -1 : 1;
    order = span_compare(edit_key(context, left), edit_key(context, right));
    if (order)
        return order;
    if (left->number != right->number)
        return left->number < right->number ? -1 : 1;
    return left->order < right->order ? -1 : 1;
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
                                  const struct postings_record *record)
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
                                 const struct postings_record *record)
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
    return count <= POSTINGS_INLINE_MAX ? chunks_collapse(list, (uint32_t)count)
                                        : record_put(list, (uint32_t)count, NULL);
}

/* ---- the flush ---- */

static enum torg_err list_change(const struct postings_writer *writer,
                                 const struct list_edits *list)
{
    struct postings_record record, after;
    bool was;
    enum torg_err err;

    err = postings_record_get(list->kv, list->kind, list->key, &record);
    if (err)
        return err;
    was = record.count > 0;
    if (record.count == 0 || record.numbers.size)
        err = short_change(list, &record);
    else
        err = long_change(list, &record);
    if (err || !writer->turned)
        return err;
    err = postings_record_get(list->kv, list->kind, list->key, &after);
    if (err || was == (after.count > 0))
        return err;
    return writer->turned(writer->context, list->kv, list->kind, list->key, !was);
}

static bool edits_same_list(const uint8_t *keys, const struct edit *a, const struct edit *b)
{
    return a->head == b->head && span_equal(edit_key(keys, a), edit_key(keys, b));
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

enum torg_err postings_flush(struct postings_writer *writer, struct kv *kv)
{
    const uint8_t *keys = writer->keys.data;
    size_t count = writer->edits.size / sizeof(struct edit);
    struct buffer scratch = {0};
    struct edit *edits;
    enum torg_err err = writer->edits.err ? writer->edits.err : writer->keys.err;

    if (err || count == 0)
        return err;
    edits = malloc(writer->edits.size);
    if (!edits)
        return TORG_E_NOMEM;
    memcpy(edits, writer->edits.data, writer->edits.size);
    qsort_r(edits, count, sizeof(*edits), edit_compare, writer->keys.data);
    for (size_t at = 0; at < count && !err;) {
        struct list_edits list = {.kv = kv, .edits = edits + at, .scratch = &scratch};
        size_t end = at + 1;

        while (end < count && edits_same_list(keys, &edits[at], &edits[end]))
            end++;
        list.kind = keys[edits[at].key_at];
        list.key = edit_key(keys, &edits[at]);
        list.count = edits_settle(edits + at, end - at);
        if (list.count)
            err = list_change(writer, &list);
        at = end;
    }
    free(edits);
    buffer_done(&scratch);
    if (err)
        return err;
    buffer_clear(&writer->edits);
    buffer_clear(&writer->keys);
    return TORG_OK;
}
