/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_counts.h"

#include <stdlib.h>

#include "index/rtree_dictionary.h"

/*
 * Copies of the table, so that an addition need not wait for the one before it
 * to the same theme; only one where they would not stay in the first cache.
 */
#define WAYS 4
#define WAYS_END_MAX 2048

struct rtree_counts {
    uint64_t themes[THEME_BITS]; /* what is known by theme already */
    unsigned ways;               /* WAYS or 1 */
    uint32_t end;                /* numbers of combinations lie below; past it: looked at singly */
    uint32_t tables[];           /* ways of end + 1, by combination; modulo 2^32, as int32_t */
};

enum torg_err rtree_counts_new(const struct kv *kv, struct rtree_counts **ret_counts)
{
    struct rtree_counts *counts;
    unsigned end, ways;
    enum torg_err err = rtree_dictionary_end(kv, &end);

    if (err)
        return err;
    ways = end <= WAYS_END_MAX ? WAYS : 1;
    counts = calloc(1, sizeof(*counts) + ways * ((size_t)end + 1) * sizeof(counts->tables[0]));
    if (!counts)
        return TORG_E_NOMEM;
    counts->ways = ways;
    counts->end = end;
    *ret_counts = counts;
    return TORG_OK;
}

void rtree_counts_free(struct rtree_counts *counts)
{
    free(counts);
}

static void themes_add(uint64_t counts[THEME_BITS], const struct theme_set *set, uint64_t times)
{
    for (unsigned word = 0; word < 4; word++) {
        for (uint64_t left = set->words[word]; left; left &= left - 1)
            counts[word * 64 + (unsigned)__builtin_ctzll(left)] += times;
    }
}

/* Without a branch for each: most leaves match as a whole. */
static void counts_word(struct rtree_counts *counts, const struct rtree_node *leaf, unsigned word,
                        uint64_t chosen, uint32_t step)
{
    const uint8_t *themes = leaf->theme + (size_t)128 * word;
    size_t stride = (size_t)counts->end + 1;
    uint32_t end = counts->end;
    unsigned way = counts->ways - 1;

    if (chosen == UINT64_MAX) {
        for (unsigned i = 0; i < 64; i++) {
            unsigned number = rtree_node_u16(themes, i);

            counts->tables[(i & way) * stride + (number < end ? number : end)] += step;
        }
        return;
    }
    for (uint64_t left = chosen; left; left &= left - 1) {
        unsigned number = rtree_node_u16(themes, (unsigned)__builtin_ctzll(left));

        counts->tables[number < end ? number : end] += step;
    }
}

/* Some are past the end, where no dictionary is: their records know their themes. */
static enum torg_err counts_records(struct rtree_counts *counts, const struct kv *kv,
                                    uint8_t collection, const struct rtree_node *leaf,
                                    struct rtree_mask left, uint64_t step)
{
    struct rtree_item item;
    enum torg_err err = TORG_OK;

    for (unsigned i; !err && rtree_mask_next(&left, &i);) {
        unsigned number = rtree_node_u16(leaf->theme, i);

        if (number < counts->end)
            continue;
        if (number != RTREE_THEME_RECORD)
            return TORG_E_CORRUPT;
        err = rtree_item_record(kv, collection, rtree_node_u32(leaf->document, i), &item);
        if (!err)
            themes_add(counts->themes, &item.themes, step);
    }
    return err;
}

enum torg_err rtree_counts_leaf(struct rtree_counts *counts, const struct kv *kv,
                                uint8_t collection, const struct rtree_node *leaf,
                                const struct rtree_mask *chosen, enum rtree_counts_sign sign)
{
    size_t stride = (size_t)counts->end + 1;
    uint64_t step = sign == RTREE_COUNTS_ADD ? 1 : UINT64_MAX; /* -1, modulo */
    uint32_t past = 0;

    for (unsigned word = 0; word < RTREE_MASK_WORDS; word++)
        counts_word(counts, leaf, word, chosen->words[word], (uint32_t)step);
    for (unsigned way = 0; way < counts->ways; way++) {
        past += counts->tables[way * stride + counts->end];
        counts->tables[way * stride + counts->end] = 0;
    }
    return past ? counts_records(counts, kv, collection, leaf, *chosen, step) : TORG_OK;
}

enum torg_err rtree_counts_take(struct rtree_counts *counts, const struct kv *kv,
                                const struct rtree_node *leaf, const struct rtree_mask *chosen)
{
    struct rtree_mask left = *chosen;
    struct theme_set themes;

    for (unsigned i; rtree_mask_next(&left, &i);) {
        enum torg_err err = rtree_item_themes(kv, rtree_node_u16(leaf->theme, i), &themes);

        if (err)
            return err;
        themes_add(counts->themes, &themes, UINT64_MAX);
    }
    return TORG_OK;
}

enum torg_err rtree_counts_below(struct rtree_counts *counts, const struct kv *kv,
                                 const struct rtree_kernel *kernel, uint8_t collection,
                                 uint32_t number)
{
    const uint8_t *column;
    enum torg_err err = rtree_node_counts_get(kv, collection, number, &column);

    if (!err)
        kernel->add_counts(column, counts->themes);
    return err;
}

/* Of a combination, all ways together; a number below 0 modulo 2^64. */
static uint64_t counts_of(const struct rtree_counts *counts, uint32_t number)
{
    uint32_t times = 0;

    for (size_t way = 0; way < counts->ways; way++)
        times += counts->tables[way * (counts->end + (size_t)1) + number];
    return (uint64_t)(int64_t)(int32_t)times;
}

enum torg_err rtree_counts_sum(const struct rtree_counts *counts, const struct kv *kv,
                               uint64_t ret_counts[THEME_BITS])
{
    struct rtree_dictionary_reader reader;
    uint64_t sums[THEME_BITS];
    enum torg_err err = TORG_OK;

    rtree_dictionary_open(&reader, kv);
    for (unsigned bit = 0; bit < THEME_BITS; bit++)
        sums[bit] = counts->themes[bit] + counts_of(counts, bit);
    for (uint32_t number = RTREE_DICTIONARY_FIRST; number < counts->end && !err; number++) {
        uint64_t times = counts_of(counts, number);
        struct theme_set set;

        if (times == 0)
            continue;
        err = rtree_dictionary_themes(&reader, number, &set);
        if (!err)
            themes_add(sums, &set, times);
    }
    rtree_dictionary_close(&reader);
    if (!err)
        memcpy(ret_counts, sums, sizeof(sums));
    return err;
}
