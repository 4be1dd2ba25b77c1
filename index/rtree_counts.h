/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_RTREE_COUNTS_H
#define TORG_INDEX_RTREE_COUNTS_H

#include "index/rtree_filter.h"

/*
 * Counts of themes while a tree is walked: items are counted by their
 * combination of themes, one addition each, and the combinations are resolved
 * into themes once, at the end.
 */
struct rtree_counts;
/* TORG_E_CORRUPT, TORG_E_NOMEM. */
enum torg_err rtree_counts_new(const struct kv *kv, struct rtree_counts **ret_counts);
void rtree_counts_free(struct rtree_counts *counts);

/*
 * Count chosen items of a leaf, or take them from the counts; meanwhile these
 * may be below 0. Of one combination fewer than 2^31 can be counted singly; the
 * work limit of a query is far below that.
 */
enum rtree_counts_sign { RTREE_COUNTS_ADD, RTREE_COUNTS_TAKE };
enum torg_err rtree_counts_leaf(struct rtree_counts *counts, const struct kv *kv,
                                uint8_t collection, const struct rtree_node *leaf,
                                const struct rtree_mask *chosen, enum rtree_counts_sign sign);
/* Take what matches of a leaf without records from the counts; they may be below 0 meanwhile. */
enum torg_err rtree_counts_take(struct rtree_counts *counts, const struct kv *kv,
                                const struct rtree_node *leaf, const struct rtree_mask *chosen);
/* Count everything below an inner node of the collection's tree. */
enum torg_err rtree_counts_below(struct rtree_counts *counts, const struct kv *kv,
                                 const struct rtree_kernel *kernel, uint8_t collection,
                                 uint32_t number);
/* What was counted, by theme. */
enum torg_err rtree_counts_sum(const struct rtree_counts *counts, const struct kv *kv,
                               uint64_t ret_counts[THEME_BITS]);

#endif
