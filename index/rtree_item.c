/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_item.h"

#include <stdlib.h>

#include "index/rtree_dictionary.h"
#include "index/rtree_table.h"

#define MINUTE_MS INT64_C(60000)
/* From 1 January of year 1 to 1970, proleptic Gregorian. */
#define MINUTES_BEFORE_1970 (INT64_C(719162) * 1440)
#define MINUTE_MAX INT64_C(0x7ffffffe)
#define RECORD_BYTES 64

static inline int64_t floor_div(int64_t value, int64_t by)
{
    int64_t quotient = value / by;

    return quotient - (value % by < 0);
}

/* ---- times ---- */

uint32_t rtree_item_minute_down(int64_t ms)
{
    int64_t minute;

    if (ms == INT64_MAX)
        return RTREE_MINUTE_OPEN;
    minute = floor_div(ms, MINUTE_MS) + MINUTES_BEFORE_1970;
    if (minute < 0)
        return 0;
    return minute > MINUTE_MAX ? MINUTE_MAX : (uint32_t)minute;
}

uint32_t rtree_item_minute_up(int64_t ms)
{
    int64_t minute;

    if (ms == INT64_MIN)
        return 0;
    minute = floor_div(ms, MINUTE_MS) + (ms % MINUTE_MS != 0) + MINUTES_BEFORE_1970;
    if (minute < 1)
        return 1;
    return minute > MINUTE_MAX ? RTREE_MINUTE_OPEN : (uint32_t)minute;
}

uint16_t rtree_item_day_down(int64_t ms)
{
    int64_t day = floor_div(ms, RTREE_DAY_MS);

    if (day < 0)
        return 0;
    return day > RTREE_DAY_LOWER_MAX ? RTREE_DAY_LOWER_MAX : (uint16_t)day;
}

uint16_t rtree_item_day_up(int64_t ms)
{
    int64_t day = floor_div(ms, RTREE_DAY_MS) + (ms % RTREE_DAY_MS != 0);

    if (day < RTREE_DAY_UPPER_MIN)
        return RTREE_DAY_UPPER_MIN;
    return day > RTREE_DAY_OPEN ? RTREE_DAY_OPEN : (uint16_t)day;
}

/* Days of 1970 as they stand in a node; a lower one of a minute, an upper one. */
static uint16_t day_lower(int64_t minute)
{
    int64_t day = floor_div(minute - MINUTES_BEFORE_1970, 1440);

    if (day < 0)
        return 0;
    return day > RTREE_DAY_LOWER_MAX ? RTREE_DAY_LOWER_MAX : (uint16_t)day;
}

static uint16_t day_upper(int64_t minute)
{
    int64_t day = -floor_div(MINUTES_BEFORE_1970 - minute, 1440);

    if (day < RTREE_DAY_UPPER_MIN)
        return RTREE_DAY_UPPER_MIN;
    return day > RTREE_DAY_OPEN ? RTREE_DAY_OPEN : (uint16_t)day;
}

/* The least and the greatest of words, without flags; a record's word is rounded. */
struct minutes {
    uint32_t from_min, from_max, through_min, through_max;
};

static struct minutes minutes_of(uint32_t from, uint32_t through)
{
    uint32_t rounded = (from & RTREE_FLAG_RECORD) != 0;
    uint32_t begin = from & RTREE_MINUTE_MASK, end = through & RTREE_MINUTE_MASK;

    /* A word that was clamped stands for what lies beyond it: 0 and the greatest are open. */
    return (struct minutes){begin, begin + rounded, end > 0 ? end - rounded : 0, end};
}

static void minutes_days(const struct minutes *minutes, struct rtree_entry *entry)
{
    entry->from_min = day_lower(minutes->from_min);
    entry->from_max = day_upper(minutes->from_max);
    entry->through_min = day_lower(minutes->through_min);
    entry->through_max = day_upper(minutes->through_max);
}

/* A word is exact when it stands for this one time and was not clamped. */
static int64_t minute_ms(uint32_t minute)
{
    return ((int64_t)minute - MINUTES_BEFORE_1970) * MINUTE_MS;
}

static int64_t from_ms(uint32_t minute)
{
    return minute == 0 ? INT64_MIN : minute_ms(minute);
}

static int64_t through_ms(uint32_t minute)
{
    return minute == RTREE_MINUTE_OPEN ? INT64_MAX : minute_ms(minute);
}

/* ---- theme combinations ---- */

static void set_bytes(const struct theme_set *set, uint8_t bytes[32])
{
    for (unsigned word = 0; word < 4; word++) {
        uint64_t little = htole64(set->words[word]);

        memcpy(bytes + 8 * word, &little, sizeof(little));
    }
}

static struct theme_set set_of_bytes(const uint8_t bytes[32])
{
    return rtree_node_themes(bytes, 0);
}

static struct span key_of_number(uint16_t number, uint8_t key[RTREE_DICTIONARY_NUMBER_KEY_BYTES])
{
    key[0] = 0;
    key[1] = 'n';
    put_u16be(key + 2, number);
    return span_of(key, RTREE_DICTIONARY_NUMBER_KEY_BYTES);
}

enum torg_err rtree_item_themes(const struct kv *kv, uint16_t number, struct theme_set *ret_set)
{
    uint8_t key[RTREE_DICTIONARY_NUMBER_KEY_BYTES];
    struct theme_set set = {0};
    struct span value;
    enum torg_err err;

    if (number < THEME_BITS) {
        theme_set_add(&set, number);
    } else if (number != RTREE_THEME_NONE) {
        const uint8_t *known =
            kv->table ? rtree_table_find(kv->table, RTREE_TABLE_THEMES, number) : NULL;

        if (known) {
            *ret_set = set_of_bytes(known);
            return TORG_OK;
        }
        err = kv_get(kv, KV_THEME, key_of_number(number, key), &value);
        if (err)
            return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
        if (value.size != sizeof(set))
            return TORG_E_CORRUPT;
        set = set_of_bytes(value.data);
        if (kv->table)
            rtree_table_keep(kv->table, RTREE_TABLE_THEMES, number, value.data);
    }
    *ret_set = set;
    return TORG_OK;
}

#define COMBINATION_SLOTS_FIRST 16 /* enough for one listing, of all that are written at a time */
#define COMBINATION_SLOTS 1024

/* One slot for each way of asking, by number in the first half and by themes in the second. */
struct rtree_combination {
    bool known;
    uint16_t number;
    struct theme_set themes;
};

void rtree_combinations_done(struct rtree_combinations *combinations)
{
    free(combinations->slots);
    *combinations = (struct rtree_combinations){0};
}

/* What is known is forgotten: it is soon asked for again. */
static bool combinations_grow(struct rtree_combinations *combinations)
{
    size_t count = combinations->slot_count ? COMBINATION_SLOTS : COMBINATION_SLOTS_FIRST;
    struct rtree_combination *slots = calloc(2 * count, sizeof(*slots));

    if (!slots)
        return false;
    free(combinations->slots);
    combinations->slots = slots;
    combinations->slot_count = count;
    return true;
}

static struct rtree_combination *combination_slot(struct rtree_combinations *combinations,
                                                  size_t half, uint64_t hash)
{
    size_t count = combinations->slot_count;

    if (count < COMBINATION_SLOTS && combinations->missed >= count &&
        !combinations_grow(combinations))
        return NULL;
    count = combinations->slot_count;
    return &combinations->slots[half * count + hash % count];
}

enum torg_err rtree_combinations_themes(struct rtree_combinations *combinations,
                                        const struct kv *kv, uint16_t number,
                                        struct theme_set *ret_set)
{
    struct rtree_combination *slot;
    enum torg_err err;

    if (number < RTREE_DICTIONARY_FIRST)
        return rtree_item_themes(kv, number, ret_set);
    slot = combination_slot(combinations, 0, number);
    if (!slot)
        return TORG_E_NOMEM;
    if (!slot->known || slot->number != number) {
        slot->known = false;
        combinations->missed++;
        err = rtree_item_themes(kv, number, &slot->themes);
        if (err)
            return err;
        slot->number = number;
        slot->known = true;
    }
    *ret_set = slot->themes;
    return TORG_OK;
}

/* A combination that is not in the dictionary gets the next number. */
static enum torg_err themes_learn(struct kv *kv, const uint8_t key[RTREE_DICTIONARY_SET_KEY_BYTES],
                                  uint16_t *ret_number)
{
    static const uint8_t next_key[RTREE_DICTIONARY_NEXT_KEY_BYTES] = {0, 'c'};
    uint8_t number_key[RTREE_DICTIONARY_NUMBER_KEY_BYTES], bytes[2];
    uint16_t next = RTREE_DICTIONARY_FIRST;
    struct span value;
    enum torg_err err;

    err = kv_get(kv, KV_THEME, span_of(next_key, sizeof(next_key)), &value);
    if (!err && value.size != sizeof(bytes))
        return TORG_E_CORRUPT;
    if (!err)
        next = get_u16be(value.data);
    else if (err != TORG_E_NOT_FOUND)
        return err;
    if (next < RTREE_DICTIONARY_FIRST)
        return TORG_E_CORRUPT;
    if (next == RTREE_THEME_RECORD) {
        *ret_number = RTREE_THEME_RECORD;
        return TORG_OK;
    }
    put_u16be(bytes, next);
    err = kv_put(kv, KV_THEME, span_of(key, RTREE_DICTIONARY_SET_KEY_BYTES),
                 span_of(bytes, sizeof(bytes)));
    if (!err)
        err = kv_put(kv, KV_THEME, key_of_number(next, number_key), span_of(key + 2, 32));
    put_u16be(bytes, (uint16_t)(next + 1));
    if (!err)
        err = kv_put(kv, KV_THEME, span_of(next_key, sizeof(next_key)),
                     span_of(bytes, sizeof(bytes)));
    if (!err)
        *ret_number = next;
    return err;
}

static enum torg_err themes_number(struct kv *kv, const struct theme_set *set, uint16_t *ret_number)
{
    uint8_t key[RTREE_DICTIONARY_SET_KEY_BYTES] = {0, 's'};
    struct span value;
    enum torg_err err;

    set_bytes(set, key + 2);
    err = kv_get(kv, KV_THEME, span_of(key, sizeof(key)), &value);
    if (err == TORG_E_NOT_FOUND)
        return themes_learn(kv, key, ret_number);
    if (err)
        return err;
    if (value.size != 2)
        return TORG_E_CORRUPT;
    *ret_number = get_u16be(value.data);
    return *ret_number >= RTREE_DICTIONARY_FIRST && *ret_number != RTREE_THEME_RECORD
               ? TORG_OK
               : TORG_E_CORRUPT;
}

static enum torg_err combinations_number(struct rtree_combinations *combinations, struct kv *kv,
                                         const struct theme_set *set, uint16_t *ret_number)
{
    uint64_t hash = set->words[0];
    struct rtree_combination *slot;
    enum torg_err err;
    unsigned words = 0, only = 0;

    for (unsigned i = 0; i < 4; i++) {
        words += set->words[i] != 0;
        only = set->words[i] ? i : only;
    }
    /* One theme or none: without the dictionary. */
    if (words <= 1 && (set->words[only] & (set->words[only] - 1)) == 0) {
        *ret_number = words == 0
                          ? RTREE_THEME_NONE
                          : (uint16_t)(64 * only + (unsigned)__builtin_ctzll(set->words[only]));
        return TORG_OK;
    }

    for (unsigned word = 1; word < 4; word++)
        hash = (hash ^ hash >> 31) * UINT64_C(0x9e3779b97f4a7c15) + set->words[word];
    hash = (hash ^ hash >> 31) * UINT64_C(0x9e3779b97f4a7c15);
    slot = combination_slot(combinations, 1, hash >> 40);
    if (!slot)
        return TORG_E_NOMEM;
    if (!slot->known || memcmp(&slot->themes, set, sizeof(*set)) != 0) {
        slot->known = false;
        combinations->missed++;
        err = themes_number(kv, set, &slot->number);
        if (err)
            return err;
        slot->themes = *set;
        slot->known = true;
    }
    *ret_number = slot->number;
    return TORG_OK;
}

/* ---- records ---- */

static struct span record_key(uint8_t collection, uint32_t document, uint8_t *out)
{
    return rtree_node_key(collection | RTREE_RECORD_KEY_BIT, document, out);
}

/* Four positions, two times, the themes; little-endian. */
static enum torg_err record_put(struct kv *kv, uint8_t collection, const struct rtree_item *item)
{
    uint8_t key[RTREE_KEY_BYTES], bytes[RECORD_BYTES];
    const int32_t box[4] = {item->min.lon_e7, item->min.lat_e7, item->max.lon_e7, item->max.lat_e7};
    const int64_t times[2] = {item->time_from_ms, item->time_through_ms};

    for (unsigned i = 0; i < 4; i++) {
        uint32_t little = htole32((uint32_t)box[i]);

        memcpy(bytes + 4 * i, &little, sizeof(little));
    }
    for (unsigned i = 0; i < 2; i++) {
        uint64_t little = htole64((uint64_t)times[i]);

        memcpy(bytes + 16 + 8 * i, &little, sizeof(little));
    }
    set_bytes(&item->themes, bytes + 32);
    return kv_put(kv, KV_RTREE, record_key(collection, item->document, key),
                  span_of(bytes, sizeof(bytes)));
}

enum torg_err rtree_item_record(const struct kv *kv, uint8_t collection, uint32_t document,
                                struct rtree_item *ret_item)
{
    uint8_t key[RTREE_KEY_BYTES];
    struct rtree_item item = {.document = document};
    int64_t times[2];
    struct span value;
    enum torg_err err;

    err = kv_get(kv, KV_RTREE, record_key(collection, document, key), &value);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
    if (value.size != RECORD_BYTES)
        return TORG_E_CORRUPT;
    item.min = (struct position){rtree_node_i32(value.data, 0), rtree_node_i32(value.data, 1)};
    item.max = (struct position){rtree_node_i32(value.data, 2), rtree_node_i32(value.data, 3)};
    memcpy(times, value.data + 16, sizeof(times));
    item.time_from_ms = (int64_t)le64toh((uint64_t)times[0]);
    item.time_through_ms = (int64_t)le64toh((uint64_t)times[1]);
    item.themes = set_of_bytes(value.data + 32);
    if (!geo_position_valid(item.min) || !geo_position_valid(item.max))
        return TORG_E_CORRUPT;
    *ret_item = item;
    return TORG_OK;
}

/* ---- items ---- */

static bool box_holds(struct position min, struct position max, struct position point)
{
    return point.lon_e7 >= min.lon_e7 && point.lon_e7 <= max.lon_e7 && point.lat_e7 >= min.lat_e7 &&
           point.lat_e7 <= max.lat_e7;
}

bool rtree_item_valid(const struct rtree_item *item)
{
    return geo_position_valid(item->min) && geo_position_valid(item->max) &&
           box_holds(item->min, item->max, item->point);
}

static bool item_is_area(const struct rtree_item *item)
{
    return memcmp(&item->min, &item->point, sizeof(item->min)) != 0 ||
           memcmp(&item->max, &item->point, sizeof(item->max)) != 0;
}

bool rtree_item_plain(const struct rtree_item *item)
{
    return !item_is_area(item) &&
           from_ms(rtree_item_minute_down(item->time_from_ms)) == item->time_from_ms &&
           through_ms(rtree_item_minute_up(item->time_through_ms)) == item->time_through_ms;
}

enum torg_err rtree_item_recorded(struct kv *kv, struct rtree_combinations *combinations,
                                  const struct rtree_item *item, bool *ret_recorded)
{
    uint16_t theme;
    enum torg_err err = combinations_number(combinations, kv, &item->themes, &theme);

    if (!err)
        *ret_recorded = !rtree_item_plain(item) || theme == RTREE_THEME_RECORD;
    return err;
}

enum torg_err rtree_item_pack(struct kv *kv, uint8_t collection,
                              struct rtree_combinations *combinations,
                              const struct rtree_item *item, struct rtree_entry *ret_entry)
{
    struct rtree_entry entry = {
        .min = item->min,
        .max = item->max,
        .themes = item->themes,
        .count = 1,
        .child = item->document,
        .point = item->point,
        .from = rtree_item_minute_down(item->time_from_ms),
        .through = rtree_item_minute_up(item->time_through_ms),
    };
    struct minutes minutes;
    enum torg_err err;
    bool area = item_is_area(item), record;

    err = combinations_number(combinations, kv, &item->themes, &entry.theme);
    if (err)
        return err;
    record = !rtree_item_plain(item) || entry.theme == RTREE_THEME_RECORD;
    if (area)
        entry.through |= RTREE_FLAG_AREA;
    if (record) {
        entry.from |= RTREE_FLAG_RECORD;
        err = record_put(kv, collection, item);
        if (err)
            return err;
    }
    minutes = minutes_of(entry.from, entry.through);
    minutes_days(&minutes, &entry);
    *ret_entry = entry;
    return TORG_OK;
}

enum torg_err rtree_item_drop(struct kv *kv, uint8_t collection, const struct rtree_entry *entry)
{
    uint8_t key[RTREE_KEY_BYTES];
    enum torg_err err;

    if (!(entry->from & RTREE_FLAG_RECORD))
        return TORG_OK;
    err = kv_del(kv, KV_RTREE, record_key(collection, entry->child, key));
    return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
}

enum torg_err rtree_item_get(const struct kv *kv, uint8_t collection, const struct rtree_node *leaf,
                             unsigned i, struct rtree_item *ret_item)
{
    uint32_t from = rtree_node_u32(leaf->from, i), through = rtree_node_u32(leaf->through, i);
    struct position point = rtree_node_point(leaf, i);
    struct rtree_item item = {
        .point = point,
        .min = point,
        .max = point,
        .document = rtree_node_u32(leaf->document, i),
        .time_from_ms = from_ms(from & RTREE_MINUTE_MASK),
        .time_through_ms = through_ms(through & RTREE_MINUTE_MASK),
    };
    enum torg_err err;

    if (from & RTREE_FLAG_RECORD) {
        err = rtree_item_record(kv, collection, item.document, &item);
        item.point = point;
        if (!err && !rtree_item_valid(&item))
            err = TORG_E_CORRUPT;
    } else {
        err = rtree_item_themes(kv, rtree_node_u16(leaf->theme, i), &item.themes);
    }
    if (err)
        return err;
    *ret_item = item;
    return TORG_OK;
}

/* What stands in the record only: the box of an area, themes beyond the dictionary. */
static enum torg_err entry_record(const struct kv *kv, uint8_t collection, uint16_t theme,
                                  struct rtree_entry *entry)
{
    struct rtree_item item;
    enum torg_err err;

    err = rtree_item_record(kv, collection, entry->child, &item);
    if (err)
        return err;
    if (!box_holds(item.min, item.max, entry->point))
        return TORG_E_CORRUPT;
    entry->min = item.min;
    entry->max = item.max;
    if (theme == RTREE_THEME_RECORD)
        entry->themes = item.themes;
    return TORG_OK;
}

enum torg_err rtree_item_entry(const struct kv *kv, uint8_t collection,
                               struct rtree_combinations *combinations,
                               const struct rtree_node *leaf, unsigned i,
                               struct rtree_entry *ret_entry)
{
    struct position point = rtree_node_point(leaf, i);
    struct rtree_entry entry = {
        .min = point,
        .max = point,
        .count = 1,
        .child = rtree_node_u32(leaf->document, i),
        .point = point,
        .from = rtree_node_u32(leaf->from, i),
        .through = rtree_node_u32(leaf->through, i),
        .theme = rtree_node_u16(leaf->theme, i),
    };
    struct minutes minutes = minutes_of(entry.from, entry.through);
    enum torg_err err = TORG_OK;

    minutes_days(&minutes, &entry);
    if (entry.theme == RTREE_THEME_RECORD || entry.through & RTREE_FLAG_AREA)
        err = entry_record(kv, collection, entry.theme, &entry);
    if (!err && entry.theme != RTREE_THEME_RECORD)
        err = rtree_combinations_themes(combinations, kv, entry.theme, &entry.themes);
    if (!err)
        *ret_entry = entry;
    return err;
}

#define LESSER(a, b) ((a) < (b) ? (a) : (b))
#define GREATER(a, b) ((a) > (b) ? (a) : (b))

static void sum_positions(const struct rtree_node *leaf, struct rtree_entry *sum)
{
    struct position min = rtree_node_point(leaf, 0), max = min;

    for (unsigned i = 1; i < leaf->count; i++) {
        int32_t lon = rtree_node_i32(leaf->lon, i), lat = rtree_node_i32(leaf->lat, i);

        min.lon_e7 = LESSER(min.lon_e7, lon);
        max.lon_e7 = GREATER(max.lon_e7, lon);
        min.lat_e7 = LESSER(min.lat_e7, lat);
        max.lat_e7 = GREATER(max.lat_e7, lat);
    }
    sum->min = min;
    sum->max = max;
}

/* Returns whether some item is an area. */
static bool sum_times(const struct rtree_node *leaf, struct rtree_entry *sum)
{
    struct minutes all = {UINT32_MAX, 0, UINT32_MAX, 0};
    uint32_t flags = 0;

    for (unsigned i = 0; i < leaf->count; i++) {
        uint32_t from = rtree_node_u32(leaf->from, i), through = rtree_node_u32(leaf->through, i);
        struct minutes one = minutes_of(from, through);

        flags |= through;
        all.from_min = LESSER(all.from_min, one.from_min);
        all.from_max = GREATER(all.from_max, one.from_max);
        all.through_min = LESSER(all.through_min, one.through_min);
        all.through_max = GREATER(all.through_max, one.through_max);
    }
    minutes_days(&all, sum);
    return flags & RTREE_FLAG_AREA;
}

/* Returns whether the dictionary does not hold the themes of some item. */
static enum torg_err sum_themes(const struct kv *kv, struct rtree_combinations *combinations,
                                const struct rtree_node *leaf, struct theme_set *sum,
                                bool *ret_records)
{
    *ret_records = false;
    for (unsigned i = 0; i < leaf->count; i++) {
        uint16_t number = rtree_node_u16(leaf->theme, i);
        struct theme_set themes;
        enum torg_err err;

        if (number < THEME_BITS) {
            theme_set_add(sum, number);
        } else if (number == RTREE_THEME_RECORD) {
            *ret_records = true;
        } else if (number != RTREE_THEME_NONE) {
            err = rtree_combinations_themes(combinations, kv, number, &themes);
            if (err)
                return err;
            for (unsigned word = 0; word < 4; word++)
                sum->words[word] |= themes.words[word];
        }
    }
    return TORG_OK;
}

enum torg_err rtree_item_sum(const struct kv *kv, uint8_t collection,
                             struct rtree_combinations *combinations, const struct rtree_node *leaf,
                             struct rtree_entry *ret_sum)
{
    struct rtree_entry sum = {.count = leaf->count, .child = leaf->number}, entry;
    bool areas, records;
    enum torg_err err;

    sum_positions(leaf, &sum);
    areas = sum_times(leaf, &sum);
    err = sum_themes(kv, combinations, leaf, &sum.themes, &records);
    for (unsigned i = 0; i < leaf->count && (areas || records) && !err; i++) {
        if (!(rtree_node_u32(leaf->through, i) & RTREE_FLAG_AREA) &&
            rtree_node_u16(leaf->theme, i) != RTREE_THEME_RECORD)
            continue;
        err = rtree_item_entry(kv, collection, combinations, leaf, i, &entry);
        if (!err)
            rtree_node_add(&sum, &entry);
    }
    if (err)
        return err;
    sum.count = leaf->count;
    *ret_sum = sum;
    return TORG_OK;
}
