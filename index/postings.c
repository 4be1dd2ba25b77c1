/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/postings_internal.h"

#include <assert.h>
#include <roaring/roaring.h>
#include <string.h>

/*
 * The interchange format of Roaring bitmaps (github.com/RoaringBitmap/
 * RoaringFormatSpec), little-endian, of exactly one container.
 */
#define CHUNK_COOKIE 12346u      /* u32, containers u32, key u16, count - 1 u16, offset u32 */
#define CHUNK_COOKIE_RUNS 12347u /* u32, flags u8, key u16, count - 1 u16, runs u16 */
#define CHUNK_HEAD_BYTES 16      /* then the numbers, or the bits */
#define CHUNK_RUNS_HEAD_BYTES 11 /* then the runs: first u16, further numbers u16 */
#define CHUNK_ARRAY_COUNT_MAX 4096
#define CHUNK_BITS_BYTES 8192

static unsigned get_u16le(const uint8_t *at)
{
    return at[0] | (unsigned)at[1] << 8;
}

static uint32_t get_u32le(const uint8_t *at)
{
    return get_u16le(at) | (uint32_t)get_u16le(at + 2) << 16;
}

/* ---- keys and records ---- */

struct span postings_key_span(const struct postings_key *key)
{
    return span_of(key->bytes, key->size);
}

struct postings_key postings_key_term(uint8_t kind, struct span key)
{
    struct postings_key term;

    assert(key.size <= POSTINGS_KEY_BYTES_MAX);
    term.bytes[0] = kind;
    if (key.size)
        memcpy(term.bytes + 1, key.data, key.size);
    term.size = 1 + key.size;
    return term;
}

struct postings_key postings_key_chunk(uint8_t kind, struct span key, uint16_t chunk)
{
    struct postings_key out;

    assert(key.size <= POSTINGS_KEY_BYTES_MAX);
    out.bytes[0] = kind;
    out.bytes[1] = (uint8_t)key.size;
    if (key.size)
        memcpy(out.bytes + 2, key.data, key.size);
    put_u16be(out.bytes + 2 + key.size, chunk);
    out.size = key.size + 4;
    return out;
}

static bool key_fits(struct span key)
{
    return key.size > 0 && key.size <= POSTINGS_KEY_BYTES_MAX;
}

enum torg_err postings_record_read(struct span value, struct postings_record *ret_record)
{
    struct postings_record record = {0};

    if (value.size < 4)
        return TORG_E_CORRUPT;
    record.count = get_u32be(value.data);
    record.numbers = span_of(value.data + 4, value.size - 4);
    if (record.count == 0 ||
        record.numbers.size != (record.count <= POSTINGS_INLINE_MAX ? 4 * record.count : 0))
        return TORG_E_CORRUPT;
    for (size_t at = 4; at < record.numbers.size; at += 4) {
        if (get_u32be(record.numbers.data + at) <= get_u32be(record.numbers.data + at - 4))
            return TORG_E_CORRUPT;
    }
    *ret_record = record;
    return TORG_OK;
}

enum torg_err postings_record_get(const struct kv *kv, uint8_t kind, struct span key,
                                  struct postings_record *ret_record)
{
    struct postings_key term;
    struct span value;
    enum torg_err err = TORG_E_NOT_FOUND;

    if (key_fits(key)) {
        term = postings_key_term(kind, key);
        err = kv_get(kv, KV_TERM, postings_key_span(&term), &value);
    }
    if (err == TORG_E_NOT_FOUND) {
        *ret_record = (struct postings_record){0};
        return TORG_OK;
    }
    return err ? err : postings_record_read(value, ret_record);
}

/* ---- chunks ---- */

static bool array_valid(struct span numbers, uint32_t count)
{
    if (numbers.size != 2 * (size_t)count)
        return false;
    for (size_t at = 2; at < numbers.size; at += 2) {
        if (get_u16le(numbers.data + at) <= get_u16le(numbers.data + at - 2))
            return false;
    }
    return true;
}

static bool bits_valid(struct span bits, uint32_t count)
{
    uint32_t found = 0;
    uint64_t word;

    if (bits.size != CHUNK_BITS_BYTES)
        return false;
    for (size_t at = 0; at < bits.size; at += sizeof(word)) {
        memcpy(&word, bits.data + at, sizeof(word));
        found += (uint32_t)__builtin_popcountll(word);
    }
    return found == count;
}

/* Runs neither overlap nor touch: then they have one form only. */
static bool runs_valid(struct span value, uint32_t count)
{
    size_t runs = get_u16le(value.data + CHUNK_RUNS_HEAD_BYTES - 2);
    const uint8_t *at = value.data + CHUNK_RUNS_HEAD_BYTES;
    uint64_t found = 0;
    uint32_t least = 0;

    if (runs == 0 || value.size != CHUNK_RUNS_HEAD_BYTES + 4 * runs)
        return false;
    for (size_t i = 0; i < runs; i++, at += 4) {
        uint32_t first = get_u16le(at);
        uint32_t last = first + get_u16le(at + 2);

        if (first < least || last > UINT16_MAX)
            return false;
        found += last - first + 1;
        least = last + 2;
    }
    return found == count;
}

bool postings_chunk_valid(struct span value, uint16_t chunk, uint32_t *ret_count)
{
    struct span body;
    uint32_t count;

    if (value.size < CHUNK_RUNS_HEAD_BYTES)
        return false;
    if (get_u32le(value.data) == CHUNK_COOKIE_RUNS) {
        count = get_u16le(value.data + 7) + 1;
        *ret_count = count;
        return value.data[4] == 1 && get_u16le(value.data + 5) == chunk && runs_valid(value, count);
    }
    if (get_u32le(value.data) != CHUNK_COOKIE || value.size < CHUNK_HEAD_BYTES)
        return false;
    if (get_u32le(value.data + 4) != 1 || get_u16le(value.data + 8) != chunk ||
        get_u32le(value.data + 12) != CHUNK_HEAD_BYTES)
        return false;
    count = get_u16le(value.data + 10) + 1;
    body = span_of(value.data + CHUNK_HEAD_BYTES, value.size - CHUNK_HEAD_BYTES);
    *ret_count = count;
    return count <= CHUNK_ARRAY_COUNT_MAX ? array_valid(body, count) : bits_valid(body, count);
}

enum torg_err postings_chunk_or(struct span value, uint16_t chunk, struct postings_set *set)
{
    roaring_bitmap_t *bitmap;
    uint32_t count;

    if (!postings_chunk_valid(value, chunk, &count))
        return TORG_E_CORRUPT;
    bitmap = roaring_bitmap_portable_deserialize_safe((const char *)value.data, value.size);
    if (!bitmap)
        return TORG_E_NOMEM;
    if (!set->bitmap) {
        set->bitmap = bitmap;
        return TORG_OK;
    }
    roaring_bitmap_or_inplace(set->bitmap, bitmap);
    roaring_bitmap_free(bitmap);
    return TORG_OK;
}

void postings_chunk_pack(struct postings_set *set, struct buffer *out)
{
    size_t size;
    uint32_t count;

    roaring_bitmap_run_optimize(set->bitmap);
    size = roaring_bitmap_portable_size_in_bytes(set->bitmap);
    if (buffer_reserve(out, size))
        return;
    roaring_bitmap_portable_serialize(set->bitmap, (char *)out->data + out->size);
    /* What the library wrote must be what we take from the disk later. */
    assert(postings_chunk_valid(span_of(out->data + out->size, size),
                                (uint16_t)(roaring_bitmap_minimum(set->bitmap) >> 16), &count));
    out->size += size;
}

/* ---- sets ---- */

void postings_set_done(struct postings_set *set)
{
    if (set->bitmap)
        roaring_bitmap_free(set->bitmap);
    set->bitmap = NULL;
}

uint64_t postings_set_count(const struct postings_set *set)
{
    return set->bitmap ? roaring_bitmap_get_cardinality(set->bitmap) : 0;
}

bool postings_set_contains(const struct postings_set *set, uint32_t number)
{
    return set->bitmap && roaring_bitmap_contains(set->bitmap, number);
}

static enum torg_err set_own(struct postings_set *set)
{
    if (!set->bitmap)
        set->bitmap = roaring_bitmap_create();
    return set->bitmap ? TORG_OK : TORG_E_NOMEM;
}

enum torg_err postings_set_add(struct postings_set *set, const uint32_t *numbers, size_t count)
{
    enum torg_err err = set_own(set);

    if (!err)
        roaring_bitmap_add_many(set->bitmap, count, numbers);
    return err;
}

enum torg_err postings_set_change(struct postings_set *set, uint32_t number, bool removed)
{
    enum torg_err err = set_own(set);
    bool changed;

    if (err)
        return err;
    changed = removed ? roaring_bitmap_remove_checked(set->bitmap, number)
                      : roaring_bitmap_add_checked(set->bitmap, number);
    return changed ? TORG_OK : TORG_E_CORRUPT;
}

enum torg_err postings_set_copy(const struct postings_set *from, struct postings_set *ret_set)
{
    struct postings_set copy = {0};

    if (from->bitmap) {
        copy.bitmap = roaring_bitmap_copy(from->bitmap);
        if (!copy.bitmap)
            return TORG_E_NOMEM;
    }
    *ret_set = copy;
    return TORG_OK;
}

enum torg_err postings_set_or(struct postings_set *a, const struct postings_set *b)
{
    if (!b->bitmap)
        return TORG_OK;
    if (!a->bitmap)
        return postings_set_copy(b, a);
    roaring_bitmap_or_inplace(a->bitmap, b->bitmap);
    return TORG_OK;
}

enum torg_err postings_set_and(struct postings_set *a, const struct postings_set *b)
{
    if (!b->bitmap)
        postings_set_done(a);
    else if (a->bitmap)
        roaring_bitmap_and_inplace(a->bitmap, b->bitmap);
    return TORG_OK;
}

enum torg_err postings_set_andnot(struct postings_set *a, const struct postings_set *b)
{
    if (a->bitmap && b->bitmap)
        roaring_bitmap_andnot_inplace(a->bitmap, b->bitmap);
    return TORG_OK;
}

uint64_t postings_set_and_count(const struct postings_set *a, const struct postings_set *b)
{
    return a->bitmap && b->bitmap ? roaring_bitmap_and_cardinality(a->bitmap, b->bitmap) : 0;
}

size_t postings_set_read(const struct postings_set *set, uint32_t from, uint32_t *numbers,
                         size_t max)
{
    roaring_uint32_iterator_t at;

    if (!set->bitmap || max == 0)
        return 0;
    roaring_init_iterator(set->bitmap, &at);
    if (!roaring_move_uint32_iterator_equalorlarger(&at, from))
        return 0;
    return roaring_read_uint32_iterator(&at, numbers,
                                        max < UINT32_MAX ? (uint32_t)max : UINT32_MAX);
}

/* ---- stored lists ---- */

static void work_note(uint64_t *work)
{
    if (work)
        ++*work;
}

static enum torg_err numbers_or(struct span numbers, struct postings_set *set)
{
    uint32_t out[POSTINGS_INLINE_MAX];
    size_t count = numbers.size / 4;

    for (size_t i = 0; i < count; i++)
        out[i] = get_u32be(numbers.data + 4 * i);
    return postings_set_add(set, out, count);
}

/* Every chunk of a list, by one cursor. */
static enum torg_err chunks_or(const struct kv *kv, uint8_t kind, struct span key, uint32_t count,
                               struct postings_set *set, uint64_t *work)
{
    struct postings_key at = postings_key_chunk(kind, key, 0);
    struct kv_cursor *cursor;
    struct span found, value;
    uint64_t total = 0;
    uint32_t in_chunk;
    enum torg_err err;

    err = kv_cursor_open(kv, KV_POSTING, &cursor);
    if (err)
        return err;
    err = kv_cursor_seek(kv, cursor, postings_key_span(&at), &found, &value);
    while (!err && found.size == at.size && memcmp(found.data, at.bytes, at.size - 2) == 0) {
        uint16_t chunk = get_u16be(found.data + at.size - 2);

        work_note(work);
        err = postings_chunk_or(value, chunk, set);
        if (!err && postings_chunk_valid(value, chunk, &in_chunk))
            total += in_chunk;
        if (!err)
            err = kv_cursor_next(kv, cursor, &found, &value);
    }
    kv_cursor_close(kv, cursor);
    if (err && err != TORG_E_NOT_FOUND)
        return err;
    return total == count ? TORG_OK : TORG_E_CORRUPT;
}

/* Only the chunks in which within has something. */
static enum torg_err chunks_or_within(const struct kv *kv, uint8_t kind, struct span key,
                                      const struct postings_set *within, struct postings_set *set,
                                      uint64_t *work)
{
    struct postings_key at;
    struct span value;
    uint32_t number;
    uint32_t from = 0;
    enum torg_err err;

    while (postings_set_read(within, from, &number, 1) == 1) {
        uint16_t chunk = (uint16_t)(number >> 16);

        at = postings_key_chunk(kind, key, chunk);
        work_note(work);
        err = kv_get(kv, KV_POSTING, postings_key_span(&at), &value);
        if (!err)
            err = postings_chunk_or(value, chunk, set);
        if (err && err != TORG_E_NOT_FOUND)
            return err;
        if (chunk == UINT16_MAX)
            break;
        from = ((uint32_t)chunk + 1) << 16;
    }
    return TORG_OK;
}

enum torg_err postings_list_or(const struct kv *kv, uint8_t kind, struct span key,
                               const struct postings_record *record,
                               const struct postings_set *within, struct postings_set *set,
                               uint64_t *work)
{
    if (record->count == 0)
        return TORG_OK;
    if (record->numbers.size)
        return numbers_or(record->numbers, set);
    return within ? chunks_or_within(kv, kind, key, within, set, work)
                  : chunks_or(kv, kind, key, record->count, set, work);
}

/*
 * A list by itself, of which changes wait in some runs. The first of them are those of the run at
 * from; before it nothing waits.
 */
static enum torg_err waiting_read(const struct kv *kv, const struct postings_runs *runs,
                                  size_t from, uint8_t kind, struct span key,
                                  struct postings_set *ret_list, uint64_t *work)
{
    struct postings_changes changes;
    struct postings_set list = {0};
    struct postings_record record;
    enum torg_err err;

    err = postings_record_get(kv, kind, key, &record);
    if (!err)
        err = postings_list_or(kv, kind, key, &record, NULL, &list, work);
    for (size_t i = from; i < runs->count && !err; i++) {
        err = postings_run_get(kv, &runs->runs[i], kind, key, &changes);
        if (!err)
            err = postings_changes_apply(&changes, &list);
    }
    if (err)
        postings_set_done(&list);
    else
        *ret_list = list;
    return err;
}

/* The first run in which something of the list waits; runs->count: none. */
static enum torg_err waiting_find(const struct kv *kv, const struct postings_runs *runs,
                                  uint8_t kind, struct span key, size_t *ret_from)
{
    struct postings_changes changes;
    size_t i = 0;

    for (; i < runs->count; i++) {
        enum torg_err err = postings_run_get(kv, &runs->runs[i], kind, key, &changes);

        if (err)
            return err;
        if (changes.added.size || changes.removed.size)
            break;
    }
    *ret_from = i;
    return TORG_OK;
}

/* The runs, if changes of such a list may wait in any. */
static enum torg_err runs_of(const struct kv *kv, uint8_t kind, struct span key,
                             struct postings_runs *ret_runs)
{
    ret_runs->count = 0;
    return key_fits(key) && postings_may_wait(kind, key) ? postings_runs_get(kv, ret_runs)
                                                         : TORG_OK;
}

/* Add a list, of which more than what is within may be left out. */
static enum torg_err list_or(const struct kv *kv, uint8_t kind, struct span key,
                             const struct postings_set *within, struct postings_set *set,
                             uint64_t *work)
{
    struct postings_set list = {0};
    struct postings_record record;
    struct postings_runs runs;
    size_t from = 0;
    enum torg_err err;

    work_note(work);
    err = runs_of(kv, kind, key, &runs);
    if (!err)
        err = waiting_find(kv, &runs, kind, key, &from);
    if (!err && from == runs.count) {
        err = postings_record_get(kv, kind, key, &record);
        return err ? err : postings_list_or(kv, kind, key, &record, within, set, work);
    }
    if (!err)
        err = waiting_read(kv, &runs, from, kind, key, &list, work);
    if (!err)
        err = postings_set_or(set, &list);
    postings_set_done(&list);
    return err;
}

enum torg_err postings_or(const struct kv *kv, uint8_t kind, struct span key,
                          struct postings_set *set, uint64_t *work)
{
    return list_or(kv, kind, key, NULL, set, work);
}

enum torg_err postings_and(const struct kv *kv, uint8_t kind, struct span key,
                           struct postings_set *set, uint64_t *work)
{
    struct postings_set list = {0};
    enum torg_err err;

    err = list_or(kv, kind, key, set, &list, work);
    if (!err)
        err = postings_set_and(set, &list);
    postings_set_done(&list);
    return err;
}

enum torg_err postings_count(const struct kv *kv, uint8_t kind, struct span key,
                             uint64_t *ret_count)
{
    struct postings_changes changes;
    struct postings_record record;
    struct postings_runs runs;
    int64_t count = 0;
    enum torg_err err;

    err = runs_of(kv, kind, key, &runs);
    if (!err)
        err = postings_record_get(kv, kind, key, &record);
    if (err)
        return err;
    count = record.count;
    for (size_t i = 0; i < runs.count && !err; i++) {
        err = postings_run_get(kv, &runs.runs[i], kind, key, &changes);
        if (!err)
            count += postings_changes_sum(&changes);
    }
    if (err || count < 0)
        return err ? err : TORG_E_CORRUPT;
    *ret_count = (uint64_t)count;
    return TORG_OK;
}

static bool numbers_have(struct span numbers, uint32_t number)
{
    for (size_t at = 0; at < numbers.size; at += 4) {
        if (get_u32be(numbers.data + at) == number)
            return true;
    }
    return false;
}

/* Of a list of which nothing waits. */
static enum torg_err merged_contains(const struct kv *kv, uint8_t kind, struct span key,
                                     uint32_t number, bool *ret_contains)
{
    struct postings_record record;
    struct postings_set set = {0};
    struct postings_key at;
    struct span value;
    enum torg_err err;

    err = postings_record_get(kv, kind, key, &record);
    if (err)
        return err;
    if (record.count == 0 || record.numbers.size) {
        *ret_contains = numbers_have(record.numbers, number);
        return TORG_OK;
    }
    at = postings_key_chunk(kind, key, (uint16_t)(number >> 16));
    err = kv_get(kv, KV_POSTING, postings_key_span(&at), &value);
    if (!err)
        err = postings_chunk_or(value, (uint16_t)(number >> 16), &set);
    if (err && err != TORG_E_NOT_FOUND)
        return err;
    *ret_contains = postings_set_contains(&set, number);
    postings_set_done(&set);
    return TORG_OK;
}

enum torg_err postings_contains(const struct kv *kv, uint8_t kind, struct span key, uint32_t number,
                                bool *ret_contains)
{
    struct postings_changes changes;
    struct postings_runs runs;
    bool contains = false;
    enum torg_err err;

    err = runs_of(kv, kind, key, &runs);
    if (!err)
        err = merged_contains(kv, kind, key, number, &contains);
    for (size_t i = 0; i < runs.count && !err; i++) {
        err = postings_run_get(kv, &runs.runs[i], kind, key, &changes);
        if (!err)
            contains = (contains || numbers_have(changes.added, number)) &&
                       !numbers_have(changes.removed, number);
    }
    if (!err)
        *ret_contains = contains;
    return err;
}
