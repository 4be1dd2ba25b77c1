/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_kernel.h"

/* ---- portable: what the others are compared with ---- */

static inline void mask_put(struct rtree_mask *mask, unsigned i, bool bit)
{
    mask->words[i / 64] |= (uint64_t)bit << i % 64;
}

static void leaf_window(const struct rtree_node *leaf, const struct geo_window *window,
                        struct rtree_mask *ret_within)
{
    struct rtree_mask within = {{0}};

    for (unsigned i = 0; i < leaf->count; i++) {
        int32_t lon = rtree_node_i32(leaf->lon, i), lat = rtree_node_i32(leaf->lat, i);

        mask_put(&within, i,
                 (lat >= window->south_e7) & (lat <= window->north_e7) &
                     (((lon >= window->west_e7[0]) & (lon <= window->east_e7[0])) |
                      ((lon >= window->west_e7[1]) & (lon <= window->east_e7[1]))));
    }
    *ret_within = within;
}

static void leaf_circle(const struct rtree_node *leaf, const struct geo_fit *fit,
                        struct rtree_mask *ret_in, struct rtree_mask *ret_border)
{
    struct rtree_mask within, in = {{0}}, border = {{0}};

    leaf_window(leaf, &fit->window, &within);
    *ret_in = in;
    *ret_border = border;
    for (unsigned i; rtree_mask_next(&within, &i);) {
        float y = geo_fit_lat(fit, rtree_node_i32(leaf->lat, i));
        float s = geo_fit_poly(fit->a, y) +
                  geo_fit_poly(fit->b, y) * geo_fit_lon(fit, rtree_node_i32(leaf->lon, i));

        mask_put(ret_in, i, s <= fit->in);
        mask_put(ret_border, i, s > fit->in && s <= fit->out);
    }
}

static void leaf_squares(const struct rtree_node *leaf, const struct geo_fit *fit,
                         float out[RTREE_SQUARES_MAX])
{
    struct rtree_mask within;

    leaf_window(leaf, &fit->window, &within);
    for (unsigned i = 0; i < leaf->count; i++)
        out[i] = INFINITY;
    for (unsigned i; rtree_mask_next(&within, &i);) {
        float y = geo_fit_lat(fit, rtree_node_i32(leaf->lat, i));

        out[i] = geo_fit_poly(fit->a, y) +
                 geo_fit_poly(fit->b, y) * geo_fit_lon(fit, rtree_node_i32(leaf->lon, i));
    }
}

static void at_most(const float values[RTREE_SQUARES_MAX], unsigned count, float limit,
                    struct rtree_mask *ret_mask)
{
    struct rtree_mask mask = {{0}};

    for (unsigned i = 0; i < count; i++)
        mask_put(&mask, i, values[i] <= limit);
    *ret_mask = mask;
}

static void leaf_times(const struct rtree_node *leaf, uint32_t begin_max, uint32_t end_min,
                       struct rtree_mask *ret_overlap)
{
    struct rtree_mask overlap = {{0}};

    for (unsigned i = 0; i < leaf->count; i++) {
        bool begun = (rtree_node_u32(leaf->from, i) & 0x7fffffffu) <= begin_max;
        bool lasts = (rtree_node_u32(leaf->through, i) & 0x7fffffffu) >= end_min;

        mask_put(&overlap, i, begun & lasts);
    }
    *ret_overlap = overlap;
}

static void leaf_theme(const struct rtree_node *leaf, uint16_t theme, struct rtree_mask *ret_equal,
                       struct rtree_mask *ret_several)
{
    struct rtree_mask equal = {{0}}, several = {{0}};

    for (unsigned i = 0; i < leaf->count; i++) {
        uint16_t number = rtree_node_u16(leaf->theme, i);

        mask_put(&equal, i, number == theme);
        mask_put(&several, i, number > THEME_BITS);
    }
    *ret_equal = equal;
    *ret_several = several;
}

static void leaf_flags(const uint8_t *column, struct rtree_mask *ret_flagged)
{
    struct rtree_mask flagged = {{0}};

    for (unsigned i = 0; i < RTREE_LEAF_MAX; i++)
        mask_put(&flagged, i, rtree_node_u32(column, i) >> 31);
    *ret_flagged = flagged;
}

static unsigned count(const struct rtree_mask *mask)
{
    return (unsigned)(__builtin_popcountll(mask->words[0]) + __builtin_popcountll(mask->words[1]) +
                      __builtin_popcountll(mask->words[2]));
}

static unsigned gather(const uint8_t *column, const struct rtree_mask *mask, uint32_t *out)
{
    struct rtree_mask left = *mask;
    unsigned gathered = 0;

    for (unsigned i; rtree_mask_next(&left, &i);)
        out[gathered++] = rtree_node_u32(column, i);
    return gathered;
}

static void inner_window(const struct rtree_node *node, const struct geo_window *window,
                         uint64_t *ret_touched, uint64_t *ret_within)
{
    uint64_t touched = 0, within = 0;

    for (unsigned i = 0; i < node->count; i++) {
        struct position min = rtree_node_min(node, i), max = rtree_node_max(node, i);

        touched |= (uint64_t)geo_window_overlaps(window, min, max) << i;
        within |= (uint64_t)geo_window_holds(window, min, max) << i;
    }
    *ret_touched = touched;
    *ret_within = within;
}

static int32_t clamp(int32_t value, int32_t low, int32_t high)
{
    value = value < low ? low : value;
    return value > high ? high : value;
}

static float least(float a, float b)
{
    return a < b ? a : b;
}

static float greatest(float a, float b)
{
    return a > b ? a : b;
}

/*
 * What of a child lies in the window, by its four sides: A and the part of the
 * longitude are least and greatest at a side, or nothing when the centre is
 * between; B is least at a side, and greatest there too but for the equator.
 */
static void box_span(const struct geo_fit *fit, struct position min, struct position max,
                     float *ret_least, float *ret_greatest)
{
    const struct geo_window *window = &fit->window;
    int32_t south = clamp(min.lat_e7, window->south_e7, window->north_e7);
    int32_t north = clamp(max.lat_e7, window->south_e7, window->north_e7);
    int32_t west = clamp(min.lon_e7, window->west_e7[0], window->east_e7[0]);
    int32_t east = clamp(max.lon_e7, window->west_e7[0], window->east_e7[0]);
    float ys = geo_fit_lat(fit, south), yn = geo_fit_lat(fit, north);
    float as = geo_fit_poly(fit->a, ys), an = geo_fit_poly(fit->a, yn);
    float bs = geo_fit_poly(fit->b, ys), bn = geo_fit_poly(fit->b, yn);
    float hw = geo_fit_lon(fit, west), he = geo_fit_lon(fit, east);
    bool beside = west > fit->lon_e7 || east<fit->lon_e7, off = ys> 0 || yn < 0;

    *ret_least = (off ? least(as, an) : 0.0f) + least(bs, bn) * (beside ? least(hw, he) : 0.0f);
    *ret_greatest = greatest(as, an) + greatest(bs, bn) * fit->b_peak * greatest(hw, he);
}

static void inner_circle(const struct rtree_node *node, const struct geo_fit *fit,
                         uint64_t *ret_touched, uint64_t *ret_within)
{
    uint64_t touched, within, left;

    inner_window(node, &fit->window, &touched, &within);
    for (left = touched; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        float nearest, farthest;

        box_span(fit, rtree_node_min(node, i), rtree_node_max(node, i), &nearest, &farthest);
        if (nearest > fit->out)
            touched &= ~(UINT64_C(1) << i);
        if (!(farthest <= fit->in))
            within &= ~(UINT64_C(1) << i);
    }
    *ret_touched = touched;
    *ret_within = within & touched;
}

static void inner_reach(const struct rtree_node *node, const struct geo_reach *reach,
                        float out_m[64])
{
    for (unsigned i = 0; i < node->count; i++)
        out_m[i] = geo_reach_box_m(reach, rtree_node_min(node, i), rtree_node_max(node, i));
}

static void add_counts(const uint8_t *counts, uint64_t sums[THEME_BITS])
{
    for (unsigned bit = 0; bit < THEME_BITS; bit++)
        sums[bit] += rtree_node_u32(counts, bit);
}

const struct rtree_kernel rtree_kernel_portable = {
    .name = "portable",
    .leaf_window = leaf_window,
    .leaf_circle = leaf_circle,
    .leaf_squares = leaf_squares,
    .at_most = at_most,
    .leaf_times = leaf_times,
    .leaf_theme = leaf_theme,
    .leaf_flags = leaf_flags,
    .count = count,
    .gather = gather,
    .inner_window = inner_window,
    .inner_circle = inner_circle,
    .inner_reach = inner_reach,
    .add_counts = add_counts,
};

/* ---- the choice ---- */

static const struct rtree_kernel *kernel_best = &rtree_kernel_portable;
static const struct rtree_kernel *kernel_forced;

const struct rtree_kernel *rtree_kernel_at(unsigned i)
{
    if (i == 0)
        return &rtree_kernel_portable;
#if defined(__x86_64__)
    if (i == 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt"))
        return &rtree_kernel_avx2;
#endif
    return NULL;
}

/* Before main, so that no thread ever sees it change. */
__attribute__((constructor)) static void kernel_choose(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
#endif
    for (unsigned i = 0; rtree_kernel_at(i); i++)
        kernel_best = rtree_kernel_at(i);
}

const struct rtree_kernel *rtree_kernel(void)
{
    return kernel_forced ? kernel_forced : kernel_best;
}

void rtree_kernel_force(const struct rtree_kernel *kernel)
{
    kernel_forced = kernel;
}
