/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_item.h"

#define MINUTE_MS INT64_C(60000)
/* From 1 January of year 1 to 1970, proleptic Gregorian. */
#define MINUTES_BEFORE_1970 (INT64_C(719162) * 1440)
#define MINUTE_MAX INT64_C(0x7ffffffe)
#define RECORD_BYTES 64
#define DICTIONARY_FIRST 257

/*
 * The dictionary's keys in KV_THEME begin with a zero byte, which no slug
 * does: 'n' and a number (u16 big-endian) -> 32 bytes of themes; 's' and those
 * 32 bytes -> the number; 'c' -> the first number not given out.
 */
#define KEY_SET_BYTES 34
#define KEY_NUMBER_BYTES 4
#define KEY_NEXT_BYTES 2

static int64_t floor_div(int64_t value, int64_t by)
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

static struct span key_of_number(uint16_t number, uint8_t key[KEY_NUMBER_BYTES])
{
    key[0] = 0;
    key[1] = 'n';
    put_u16be(key + 2, number);
    return span_of(key, KEY_NUMBER_BYTES);
}

enum torg_err rtree_item_themes(const struct kv *kv, uint16_t number, struct theme_set *ret_set)
{
    uint8_t key[KEY_NUMBER_BYTES];
    struct theme_set set = {0};
    struct span value;
    enum torg_err err;

    if (number < THEME_BITS) {
        theme_set_add(&set, number);
    } else if (number != RTREE_THEME_NONE) {
        err = kv_get(kv, KV_THEME, key_of_number(number, key), &value);
        if (err)
            return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
        if (value.size != sizeof(set))
            return TORG_E_CORRUPT;
        set = set_of_bytes(value.data);
    }
    *ret_set = set;
    return TORG_OK;
}

/* A combination that is not in the dictionary gets the next number. */
static enum torg_err themes_learn(struct kv *kv, const uint8_t key[KEY_SET_BYTES],
                                  uint16_t *ret_number)
{
    static const uint8_t next_key[KEY_NEXT_BYTES] = {0, 'c'};
    uint8_t number_key[KEY_NUMBER_BYTES], bytes[2];
    uint16_t next = DICTIONARY_FIRST;
    struct span value;
    enum torg_err err;

    err = kv_get(kv, KV_THEME, span_of(next_key, sizeof(next_key)), &value);
    if (!err && value.size != sizeof(bytes))
        return TORG_E_CORRUPT;
    if (!err)
        next = get_u16be(value.data);
    else if (err != TORG_E_NOT_FOUND)
        return err;
    if (next < DICTIONARY_FIRST)
        return TORG_E_CORRUPT;
    if (next == RTREE_THEME_RECORD) {
        *ret_number = RTREE_THEME_RECORD;
        return TORG_OK;
    }
    put_u16be(bytes, next);
    err = kv_put(kv, KV_THEME, span_of(key, KEY_SET_BYTES), span_of(bytes, sizeof(bytes)));
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
    uint8_t key[KEY_SET_BYTES] = {0, 's'};
    struct span value;
    enum torg_err err;
    int bits = 0, bit = 0;

    for (int word = 0; word < 4; word++) {
        bits += __builtin_popcountll(set->words[word]);
        if (set->words[word])
            bit = word * 64 + __builtin_ctzll(set->words[word]);
    }
    if (bits <= 1) {
        *ret_number = bits == 0 ? RTREE_THEME_NONE : (uint16_t)bit;
        return TORG_OK;
    }
    set_bytes(set, key + 2);
    err = kv_get(kv, KV_THEME, span_of(key, sizeof(key)), &value);
    if (err == TORG_E_NOT_FOUND)
        return themes_learn(kv, key, ret_number);
    if (err)
        return err;
    if (value.size != 2)
        return TORG_E_CORRUPT;
    *ret_number = get_u16be(value.data);
    return *ret_number >= DICTIONARY_FIRST && *ret_number != RTREE_THEME_RECORD ? TORG_OK
                                                                                : TORG_E_CORRUPT;
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

/* What a parent needs, from the exact item. */
static struct rtree_entry entry_of(const struct rtree_item *item)
{
    return (struct rtree_entry){
        .min = item->min,
        .max = item->max,
        .themes = item->themes,
        .from_min = rtree_item_day_down(item->time_from_ms),
        .from_max = rtree_item_day_up(item->time_from_ms),
        .through_min = rtree_item_day_down(item->time_through_ms),
        .through_max = rtree_item_day_up(item->time_through_ms),
        .count = 1,
        .child = item->document,
        .point = item->point,
    };
}

enum torg_err rtree_item_pack(struct kv *kv, uint8_t collection, const struct rtree_item *item,
                              struct rtree_entry *ret_entry)
{
    struct rtree_entry entry = entry_of(item);
    enum torg_err err;
    bool area, record;

    err = themes_number(kv, &item->themes, &entry.theme);
    if (err)
        return err;
    entry.from = rtree_item_minute_down(item->time_from_ms);
    entry.through = rtree_item_minute_up(item->time_through_ms);
    area = memcmp(&item->min, &item->point, sizeof(item->min)) != 0 ||
           memcmp(&item->max, &item->point, sizeof(item->max)) != 0;
    record = area || entry.theme == RTREE_THEME_RECORD ||
             from_ms(entry.from) != item->time_from_ms ||
             through_ms(entry.through) != item->time_through_ms;
    if (area)
        entry.through |= RTREE_FLAG_AREA;
    if (record) {
        entry.from |= RTREE_FLAG_RECORD;
        err = record_put(kv, collection, item);
        if (err)
            return err;
    }
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

enum torg_err rtree_item_entry(const struct kv *kv, uint8_t collection,
                               const struct rtree_node *leaf, unsigned i,
                               struct rtree_entry *ret_entry)
{
    struct rtree_item item;
    enum torg_err err;

    err = rtree_item_get(kv, collection, leaf, i, &item);
    if (err)
        return err;
    *ret_entry = entry_of(&item);
    ret_entry->from = rtree_node_u32(leaf->from, i);
    ret_entry->through = rtree_node_u32(leaf->through, i);
    ret_entry->theme = rtree_node_u16(leaf->theme, i);
    return TORG_OK;
}
