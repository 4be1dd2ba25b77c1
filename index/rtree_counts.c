/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_counts.h"

#include <stdlib.h>

#define COMBINATIONS 65536
#define FEW (THEME_BITS + 1) /* one theme, or none */

struct rtree_counts {
    uint64_t themes[THEME_BITS]; /* what is known by theme already */
    uint32_t few[FEW + 1];       /* by combination, the last: beyond; items are fewer than 2^32 */
    uint32_t *more;              /* owned: all combinations, once there is one beyond FEW */
    uint32_t end;                /* of those counted in more, the greatest, and one */
};

struct rtree_counts *rtree_counts_new(void)
{
    return calloc(1, sizeof(struct rtree_counts));
}

void rtree_counts_free(struct rtree_counts *counts)
{
    if (!counts)
        return;
    free(counts->more);
    free(counts);
}

static void themes_add(uint64_t counts[THEME_BITS], const struct theme_set *set, uint64_t times)
{
    for (unsigned word = 0; word < 4; word++) {
        for (uint64_t left = set->words[word]; left; left &= left - 1)
            counts[word * 64 + (unsigned)__builtin_ctzll(left)] += times;
    }
}

/* A combination that is not one theme or none; the record knows what no dictionary holds. */
static enum torg_err counts_several(struct rtree_counts *counts, const struct kv *kv,
                                    uint8_t collection, const struct rtree_node *leaf, unsigned i)
{
    uint16_t number = rtree_node_u16(leaf->theme, i);
    struct rtree_item item;
    enum torg_err err;

    if (number == RTREE_THEME_RECORD) {
        err = rtree_item_record(kv, collection, rtree_node_u32(leaf->document, i), &item);
        if (!err)
            themes_add(counts->themes, &item.themes, 1);
        return err;
    }
    if (!counts->more) {
        counts->more = calloc(COMBINATIONS, sizeof(*counts->more)); /* mapped as it is touched */
        if (!counts->more)
            return TORG_E_NOMEM;
    }
    counts->more[number]++;
    if (number >= counts->end)
        counts->end = number + UINT32_C(1);
    return TORG_OK;
}

/* Without a branch for each: most leaves match as a whole, and most items have one theme. */
static void counts_few(struct rtree_counts *counts, const struct rtree_node *leaf, unsigned word,
                       uint64_t chosen)
{
    const uint8_t *themes = leaf->theme + (size_t)128 * word;

    if (chosen == UINT64_MAX) {
        for (unsigned i = 0; i < 64; i++) {
            unsigned number = rtree_node_u16(themes, i);

            counts->few[number < FEW ? number : FEW]++;
        }
        return;
    }
    for (uint64_t left = chosen; left; left &= left - 1) {
        unsigned number = rtree_node_u16(themes, (unsigned)__builtin_ctzll(left));

        counts->few[number < FEW ? number : FEW]++;
    }
}

enum torg_err rtree_counts_leaf(struct rtree_counts *counts, const struct rtree_filter *filter,
                                uint8_t collection, const struct rtree_node *leaf,
                                const struct rtree_mask *chosen)
{
    struct rtree_mask left = *chosen;
    enum torg_err err = TORG_OK;

    counts->few[FEW] = 0;
    for (unsigned word = 0; word < RTREE_MASK_WORDS; word++)
        counts_few(counts, leaf, word, chosen->words[word]);
    if (counts->few[FEW] == 0)
        return TORG_OK;
    for (unsigned i; !err && rtree_mask_next(&left, &i);) {
        if (rtree_node_u16(leaf->theme, i) >= FEW)
            err = counts_several(counts, filter->kv, collection, leaf, i);
    }
    return err;
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

    for (unsigned bit = 0; bit < THEME_BITS; bit++)
        sums[bit] = counts->themes[bit] + counts->few[bit];
    for (uint32_t number = FEW; number < counts->end; number++) {
        if (counts->more[number] == 0)
            continue;
        err = rtree_item_themes(kv, (uint16_t)number, &set);
        if (err)
            return err;
        themes_add(sums, &set, counts->more[number]);
    }
    memcpy(ret_counts, sums, sizeof(sums));
    return TORG_OK;
}
