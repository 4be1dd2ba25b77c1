/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_RTREE_KERNEL_H
#define TORG_INDEX_RTREE_KERNEL_H

#include <assert.h>

#include "index/geo_fit.h"
#include "index/geo_reach.h"
#include "index/rtree_node.h"

/*
 * The inner loops over a node's columns: in portable C, and for machines with
 * wider registers in files of their own, compiled for them and chosen once at
 * run time. All give the same answers; only what a circle leaves as its border
 * may differ, which the caller decides exactly. Columns need no alignment.
 */
#define RTREE_MASK_WORDS 3

/* One bit for each item of a leaf: item i is bit i % 64 of word i / 64. */
struct rtree_mask {
    uint64_t words[RTREE_MASK_WORDS];
};
/* Of an inner node a word is enough. */
static_assert(RTREE_LEAF_MAX <= 64 * RTREE_MASK_WORDS && RTREE_INNER_MAX <= 64,
              "a bit for every entry");

#define RTREE_SQUARES_MAX (64 * RTREE_MASK_WORDS)

struct rtree_kernel {
    const char *name;

    /* Items within the window. Bits beyond the leaf's items are undefined here and below. */
    void (*leaf_window)(const struct rtree_node *leaf, const struct geo_window *window,
                        struct rtree_mask *ret_within);
    /* Items surely in the circle, and those too close to its border to say. fit is usable. */
    void (*leaf_circle)(const struct rtree_node *leaf, const struct geo_fit *fit,
                        struct rtree_mask *ret_in, struct rtree_mask *ret_border);
    /* s of geo_fit of each item, INFINITY outside its window; out has room for whole vectors. */
    void (*leaf_squares)(const struct rtree_node *leaf, const struct geo_fit *fit,
                         float out[RTREE_SQUARES_MAX]);
    /* Which of count values are at most limit. Nothing beyond them. */
    void (*at_most)(const float values[RTREE_SQUARES_MAX], unsigned count, float limit,
                    struct rtree_mask *ret_mask);
    /* Items that begin at or before one minute and end at or after another. */
    void (*leaf_times)(const struct rtree_node *leaf, uint32_t begin_max, uint32_t end_min,
                       struct rtree_mask *ret_overlap);
    /* Items with this one theme alone, and those with several themes. */
    void (*leaf_theme)(const struct rtree_node *leaf, uint16_t theme, struct rtree_mask *ret_equal,
                       struct rtree_mask *ret_several);
    /* Items whose bit 31 is set in a column of words. */
    void (*leaf_flags)(const uint8_t *column, struct rtree_mask *ret_flagged);
    unsigned (*count)(const struct rtree_mask *mask);
    /* The words of a column that the mask names, in order; out has room for 8 more. */
    unsigned (*gather)(const uint8_t *column, const struct rtree_mask *mask, uint32_t *out);

    /* Children that the window touches, and those wholly in one of its ranges. */
    void (*inner_window)(const struct rtree_node *node, const struct geo_window *window,
                         uint64_t *ret_touched, uint64_t *ret_within);
    /* Children that may hold something in the circle, and those surely all in it. */
    void (*inner_circle)(const struct rtree_node *node, const struct geo_fit *fit,
                         uint64_t *ret_touched, uint64_t *ret_within);
    /* Lower bounds of the children's distances, in metres. */
    void (*inner_reach)(const struct rtree_node *node, const struct geo_reach *reach,
                        float out_m[64]);
    /* Add THEME_BITS counts (u32 little-endian) to sums. */
    void (*add_counts)(const uint8_t *counts, uint64_t sums[THEME_BITS]);
};

/* The fastest that this machine can run. Any thread. */
const struct rtree_kernel *rtree_kernel(void);
/* All that it can run, the portable one first; NULL beyond the last. For tests. */
const struct rtree_kernel *rtree_kernel_at(unsigned i);
/* Use this one from now on; NULL: the fastest again. For tests, without other threads. */
void rtree_kernel_force(const struct rtree_kernel *kernel);

extern const struct rtree_kernel rtree_kernel_portable;
#if defined(__x86_64__)
extern const struct rtree_kernel rtree_kernel_avx2;
#endif

static inline bool rtree_mask_empty(const struct rtree_mask *mask)
{
    return (mask->words[0] | mask->words[1] | mask->words[2]) == 0;
}
/* The first count bits. */
static inline struct rtree_mask rtree_mask_of(unsigned count)
{
    struct rtree_mask mask;

    for (unsigned w = 0; w < RTREE_MASK_WORDS; w++) {
        unsigned bits = count > 64 * w ? count - 64 * w : 0;

        mask.words[w] = bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    }
    return mask;
}
static inline struct rtree_mask rtree_mask_and(struct rtree_mask a, struct rtree_mask b)
{
    for (unsigned w = 0; w < RTREE_MASK_WORDS; w++)
        a.words[w] &= b.words[w];
    return a;
}
static inline struct rtree_mask rtree_mask_or(struct rtree_mask a, struct rtree_mask b)
{
    for (unsigned w = 0; w < RTREE_MASK_WORDS; w++)
        a.words[w] |= b.words[w];
    return a;
}
static inline struct rtree_mask rtree_mask_without(struct rtree_mask a, struct rtree_mask b)
{
    for (unsigned w = 0; w < RTREE_MASK_WORDS; w++)
        a.words[w] &= ~b.words[w];
    return a;
}
static inline void rtree_mask_clear(struct rtree_mask *mask, unsigned i)
{
    mask->words[i / 64] &= ~(UINT64_C(1) << i % 64);
}
/* Take the first set bit out; false when there is none. */
static inline bool rtree_mask_next(struct rtree_mask *mask, unsigned *ret_i)
{
    for (unsigned w = 0; w < RTREE_MASK_WORDS; w++) {
        if (mask->words[w]) {
            *ret_i = 64 * w + (unsigned)__builtin_ctzll(mask->words[w]);
            mask->words[w] &= mask->words[w] - 1;
            return true;
        }
    }
    return false;
}

#endif
