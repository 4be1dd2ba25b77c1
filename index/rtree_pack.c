/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_pack.h"

#include <assert.h>
#include <stdlib.h>

/* Cut count into parts of nearly equal size: how many, and where the i-th begins. */
static size_t parts_of(size_t count, size_t fill, size_t most)
{
    return count <= most ? 1 : (count + fill - 1) / fill;
}

static size_t part_begin(size_t count, size_t parts, size_t i)
{
    return count / parts * i + (i < count % parts ? i : count % parts);
}

/* ---- leaves ---- */

/* Far enough ahead that the slot is there when its turn comes. */
#define PREFETCH_AHEAD 12

static void put_u32(uint8_t *column, size_t i, uint32_t value)
{
    value = htole32(value);
    memcpy(column + 4 * i, &value, sizeof(value));
}

static void leaf_fill(uint8_t *bytes, const struct rtree_slot *slots, const uint32_t *order,
                      size_t begin, size_t end, size_t last)
{
    for (size_t i = begin; i < end; i++) {
        const struct rtree_slot *slot = &slots[order ? order[i] : i];
        uint16_t theme = htole16(slot->theme);
        size_t at = i - begin;

        if (order && i + PREFETCH_AHEAD < last)
            __builtin_prefetch(&slots[order[i + PREFETCH_AHEAD]]);
        put_u32(bytes + RTREE_LEAF_LON_AT, at, (uint32_t)slot->point.lon_e7);
        put_u32(bytes + RTREE_LEAF_LAT_AT, at, (uint32_t)slot->point.lat_e7);
        put_u32(bytes + RTREE_LEAF_DOCUMENT_AT, at, slot->document);
        put_u32(bytes + RTREE_LEAF_FROM_AT, at, slot->from);
        put_u32(bytes + RTREE_LEAF_THROUGH_AT, at, slot->through);
        memcpy(bytes + RTREE_LEAF_THEME_AT + 2 * at, &theme, sizeof(theme));
    }
    rtree_node_count_set(bytes, (unsigned)(end - begin));
}

static enum torg_err leaves_write(struct rtree_pages *pages, const struct rtree_slot *slots,
                                  const uint32_t *order, size_t count, struct rtree_entry *entries,
                                  size_t parts)
{
    enum torg_err err = TORG_OK;

    for (size_t part = 0; part < parts && !err; part++) {
        struct rtree_node leaf;
        uint32_t number;
        uint8_t *bytes;

        if (rtree_pages_full(pages))
            err = rtree_pages_flush(pages);
        if (!err)
            err = rtree_pages_new(pages, 0, false, &number, &bytes);
        if (err)
            return err;
        leaf_fill(bytes, slots, order, part_begin(count, parts, part),
                  part_begin(count, parts, part + 1), count);
        leaf = rtree_node_view(bytes);
        err = rtree_item_sum(pages->kv, pages->collection, &pages->combinations, &leaf,
                             &entries[part]);
    }
    return err;
}

/* ---- counts ---- */

static enum torg_err count_leaf(struct rtree_pages *pages, uint32_t number, uint32_t *counts)
{
    struct rtree_node leaf;
    enum torg_err err;

    err = rtree_pages_view(pages, number, 0, &leaf);
    for (unsigned i = 0; !err && i < leaf.count; i++) {
        uint16_t combination = rtree_node_u16(leaf.theme, i);
        struct rtree_entry entry;

        if (combination < THEME_BITS) {
            counts[combination]++;
        } else if (combination != RTREE_THEME_NONE) {
            err = rtree_item_entry(pages->kv, pages->collection, &pages->combinations, &leaf, i,
                                   &entry);
            for (unsigned word = 0; word < 4 && !err; word++) {
                for (uint64_t left = entry.themes.words[word]; left; left &= left - 1)
                    counts[64 * word + (unsigned)__builtin_ctzll(left)]++;
            }
        }
    }
    return err;
}

enum torg_err rtree_pack_count(struct rtree_pages *pages, uint32_t number, unsigned level)
{
    uint32_t sum[THEME_BITS] = {0}, *counts;
    struct rtree_node node;
    enum torg_err err;

    err = rtree_pages_view(pages, number, level, &node);
    for (unsigned i = 0; !err && i < node.count; i++) {
        uint32_t child = rtree_node_u32(node.child, i);

        err =
            level == 1 ? count_leaf(pages, child, sum) : rtree_pages_counts_add(pages, child, sum);
    }
    if (!err)
        err = rtree_pages_counts(pages, number, &counts);
    if (!err)
        memcpy(counts, sum, sizeof(sum));
    return err;
}

/* ---- levels ---- */

enum torg_err rtree_pack_level(struct rtree_pages *pages, unsigned level, bool counted,
                               struct rtree_entry *entries, size_t *count)
{
    size_t parts = parts_of(*count, RTREE_PACK_INNER, RTREE_INNER_MAX);

    for (size_t part = 0; part < parts; part++) {
        size_t begin = part_begin(*count, parts, part), end = part_begin(*count, parts, part + 1);
        struct rtree_entry sum;
        enum torg_err err;
        uint32_t number;
        uint8_t *bytes;

        err = rtree_pages_new(pages, level, counted, &number, &bytes);
        if (err)
            return err;
        for (size_t i = begin; i < end; i++)
            rtree_node_append(bytes, &entries[i]);
        if (counted)
            err = rtree_pack_count(pages, number, level);
        if (err)
            return err;
        sum = rtree_node_sum(entries + begin, (unsigned)(end - begin));
        sum.child = number;
        entries[part] = sum;
    }
    *count = parts;
    return TORG_OK;
}

enum torg_err rtree_pack_slots(struct rtree_pages *pages, const struct rtree_slot *slots,
                               const uint32_t *order, size_t count, unsigned level_max,
                               bool counted, struct rtree_entry **ret_entries,
                               size_t *ret_entry_count, unsigned *ret_level)
{
    size_t parts = parts_of(count, RTREE_PACK_LEAF, RTREE_LEAF_MAX);
    struct rtree_entry *entries = calloc(parts, sizeof(*entries));
    unsigned level = 0;
    enum torg_err err;

    assert(count > 0);
    if (!entries)
        return TORG_E_NOMEM;
    err = leaves_write(pages, slots, order, count, entries, parts);
    while (!err && parts > 1 && level < level_max) {
        level++;
        err = rtree_pack_level(pages, level, counted, entries, &parts);
        if (!err && rtree_pages_full(pages))
            err = rtree_pages_flush(pages);
    }
    if (err) {
        free(entries);
        return err;
    }
    *ret_entries = entries;
    *ret_entry_count = parts;
    *ret_level = level;
    return TORG_OK;
}
