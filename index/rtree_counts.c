/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_counts.h"

#include <stdlib.h>

#define COMBINATIONS 65536

struct rtree_counts {
    uint64_t themes[THEME_BITS];         /* what is known by theme already */
    uint32_t combinations[COMBINATIONS]; /* a tree has fewer items than 2^32 */
};

struct rtree_counts *rtree_counts_new(void)
{
    return calloc(1, sizeof(struct rtree_counts)); /* Pages that are not touched stay unmapped. */
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

enum torg_err rtree_counts_leaf(struct rtree_counts *counts, const struct rtree_filter *filter,
                                uint8_t collection, const struct rtree_node *leaf,
                                const struct rtree_mask *chosen)
{
    struct rtree_mask left = *chosen;

    for (unsigned i; rtree_mask_next(&left, &i);) {
        uint16_t number = rtree_node_u16(leaf->theme, i);
        struct rtree_item item;
        enum torg_err err;

        if (number != RTREE_THEME_RECORD) {
            counts->combinations[number]++;
            continue;
        }
        err = rtree_item_record(filter->kv, collection, rtree_node_u32(leaf->document, i), &item);
        if (err)
            return err;
        themes_add(counts->themes, &item.themes, 1);
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

enum torg_err rtree_counts_sum(const struct rtree_counts *counts, const struct kv *kv,
                               uint64_t ret_counts[THEME_BITS])
{
    uint64_t sums[THEME_BITS];
    struct theme_set set;
    enum torg_err err;

    memcpy(sums, counts->themes, sizeof(sums));
    for (unsigned number = 0; number < RTREE_THEME_RECORD; number++) {
        if (counts->combinations[number] == 0)
            continue;
        err = rtree_item_themes(kv, (uint16_t)number, &set);
        if (err)
            return err;
        themes_add(sums, &set, counts->combinations[number]);
    }
    memcpy(ret_counts, sums, sizeof(sums));
    return TORG_OK;
}
