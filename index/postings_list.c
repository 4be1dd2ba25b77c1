/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdlib.h>
#include <string.h>

#include "index/postings_internal.h"

/* How one stored list changes: postings.h says what its forms are. */

/* ---- short lists ---- */

/* The numbers after the changes; with room for count of both. */
static enum torg_err numbers_merge(const struct postings_list_edits *list, struct span old,
                                   uint32_t *numbers, size_t *ret_count)
{
    size_t at = 0, out = 0;

    for (size_t i = 0; i < list->count; i++) {
        const struct postings_edit *edit = &list->edits[i];

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

static enum torg_err record_put(const struct postings_list_edits *list, uint32_t count,
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

static enum torg_err chunk_put(const struct postings_list_edits *list, uint16_t chunk,
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
static enum torg_err chunks_write(const struct postings_list_edits *list, const uint32_t *numbers,
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

static enum torg_err short_change(const struct postings_list_edits *list,
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
static enum torg_err chunk_change(const struct postings_list_edits *list, size_t at,
                                  size_t *ret_end, int64_t *change)
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
static enum torg_err chunks_collapse(const struct postings_list_edits *list, uint32_t count)
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

static enum torg_err long_change(const struct postings_list_edits *list,
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

/* ---- either ---- */

enum torg_err postings_list_change(const struct postings_list_edits *list, bool *ret_lived,
                                   bool *ret_lives)
{
    struct postings_record record;
    enum torg_err err;

    err = postings_record_get(list->kv, list->kind, list->key, &record);
    if (err)
        return err;
    *ret_lived = record.count > 0;
    return record.count == 0 || record.numbers.size ? short_change(list, &record, ret_lives)
                                                    : long_change(list, &record, ret_lives);
}
