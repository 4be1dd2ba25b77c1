/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_kernel.h"

#if defined(__x86_64__)

#include <immintrin.h>

/*
 * Eight entries at a time. Compiled with -mavx2 -mfma -mbmi2; called only where
 * the processor has them. Columns of leaves have 184 entries and those of inner
 * nodes room for 64, all within the node, so whole vectors are read past the
 * last entry; the caller masks what that gives. A mask's bytes are the eights.
 */
#define LANES 8

static inline __m256i load(const uint8_t *column, unsigned eight)
{
    return _mm256_loadu_si256((const __m256i_u *)(column + (size_t)32 * eight));
}

static inline unsigned eights(unsigned count)
{
    return (count + LANES - 1) / LANES;
}

static inline uint8_t byte_of(__m256i lanes)
{
    return (uint8_t)_mm256_movemask_ps(_mm256_castsi256_ps(lanes));
}

static inline void mask_load(struct rtree_mask *mask, const uint8_t bytes[24])
{
    memcpy(mask, bytes, sizeof(*mask));
}

struct window {
    __m256i south, north, west[2], east[2];
};

static inline struct window window_of(const struct geo_window *window)
{
    return (struct window){
        .south = _mm256_set1_epi32(window->south_e7),
        .north = _mm256_set1_epi32(window->north_e7),
        .west = {_mm256_set1_epi32(window->west_e7[0]), _mm256_set1_epi32(window->west_e7[1])},
        .east = {_mm256_set1_epi32(window->east_e7[0]), _mm256_set1_epi32(window->east_e7[1])},
    };
}

static inline __m256i beyond(__m256i value, __m256i low, __m256i high)
{
    return _mm256_or_si256(_mm256_cmpgt_epi32(low, value), _mm256_cmpgt_epi32(value, high));
}

static void leaf_window(const struct rtree_node *leaf, const struct geo_window *window,
                        struct rtree_mask *ret_within)
{
    const struct window w = window_of(window);
    uint8_t bytes[24] = {0};

    for (unsigned i = 0; i < eights(leaf->count); i++) {
        __m256i lon = load(leaf->lon, i), lat = load(leaf->lat, i);
        __m256i off =
            _mm256_and_si256(beyond(lon, w.west[0], w.east[0]), beyond(lon, w.west[1], w.east[1]));

        bytes[i] = (uint8_t)~byte_of(_mm256_or_si256(off, beyond(lat, w.south, w.north)));
    }
    mask_load(ret_within, bytes);
}

struct fit {
    __m256i lat, lon, south, north, west, east;
    __m256 unit, part, a[GEO_FIT_TERMS], b[GEO_FIT_TERMS], one, lon_4, lon_6, in, out;
};

static inline struct fit fit_of(const struct geo_fit *fit)
{
    struct fit f = {
        .lat = _mm256_set1_epi32(fit->lat_e7),
        .lon = _mm256_set1_epi32(fit->lon_e7),
        .south = _mm256_set1_epi32(fit->window.south_e7),
        .north = _mm256_set1_epi32(fit->window.north_e7),
        .west = _mm256_set1_epi32(fit->window.west_e7[0]),
        .east = _mm256_set1_epi32(fit->window.east_e7[0]),
        .unit = _mm256_set1_ps(fit->unit),
        .part = _mm256_set1_ps(fit->lon_part),
        .one = _mm256_set1_ps(1.0f),
        .lon_4 = _mm256_set1_ps(fit->lon_4),
        .lon_6 = _mm256_set1_ps(fit->lon_6),
        .in = _mm256_set1_ps(fit->in),
        .out = _mm256_set1_ps(fit->out),
    };

    for (unsigned i = 0; i < GEO_FIT_TERMS; i++) {
        f.a[i] = _mm256_set1_ps(fit->a[i]);
        f.b[i] = _mm256_set1_ps(fit->b[i]);
    }
    return f;
}

static inline __m256 poly(const __m256 terms[GEO_FIT_TERMS], __m256 y)
{
    __m256 sum = _mm256_fmadd_ps(terms[4], y, terms[3]);

    sum = _mm256_fmadd_ps(sum, y, terms[2]);
    sum = _mm256_fmadd_ps(sum, y, terms[1]);
    return _mm256_fmadd_ps(sum, y, terms[0]);
}

static inline __m256 fit_lat(const struct fit *f, __m256i lat)
{
    return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(lat, f->lat)), f->unit);
}

static inline __m256 fit_lon(const struct fit *f, __m256i lon)
{
    __m256 x = _mm256_fmsub_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(lon, f->lon)), f->unit, f->part);
    __m256 u = _mm256_mul_ps(x, x);
    __m256 rest = _mm256_fnmadd_ps(u, _mm256_fnmadd_ps(u, f->lon_6, f->lon_4), f->one);

    return _mm256_mul_ps(u, rest);
}

static void leaf_circle(const struct rtree_node *leaf, const struct geo_fit *fit,
                        struct rtree_mask *ret_in, struct rtree_mask *ret_border)
{
    const struct fit f = fit_of(fit);
    uint8_t in[24] = {0}, border[24] = {0};

    for (unsigned i = 0; i < eights(leaf->count); i++) {
        __m256i lon = load(leaf->lon, i), lat = load(leaf->lat, i);
        uint8_t off =
            byte_of(_mm256_or_si256(beyond(lon, f.west, f.east), beyond(lat, f.south, f.north)));
        __m256 y = fit_lat(&f, lat);
        __m256 s = _mm256_fmadd_ps(poly(f.b, y), fit_lon(&f, lon), poly(f.a, y));
        unsigned sure = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(s, f.in, _CMP_LE_OQ));
        unsigned maybe = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(s, f.out, _CMP_LE_OQ));

        in[i] = (uint8_t)(sure & ~(unsigned)off);
        border[i] = (uint8_t)(maybe & ~sure & ~(unsigned)off);
    }
    mask_load(ret_in, in);
    mask_load(ret_border, border);
}

static void leaf_squares(const struct rtree_node *leaf, const struct geo_fit *fit,
                         float out[RTREE_SQUARES_MAX])
{
    const struct fit f = fit_of(fit);
    const __m256 beyond_all = _mm256_set1_ps(INFINITY);

    for (unsigned i = 0; i < eights(leaf->count); i++) {
        __m256i lon = load(leaf->lon, i), lat = load(leaf->lat, i);
        __m256i off = _mm256_or_si256(beyond(lon, f.west, f.east), beyond(lat, f.south, f.north));
        __m256 y = fit_lat(&f, lat);
        __m256 s = _mm256_fmadd_ps(poly(f.b, y), fit_lon(&f, lon), poly(f.a, y));

        _mm256_storeu_ps(out + (size_t)LANES * i,
                         _mm256_blendv_ps(s, beyond_all, _mm256_castsi256_ps(off)));
    }
}

static void at_most(const float values[RTREE_SQUARES_MAX], unsigned count, float limit,
                    struct rtree_mask *ret_mask)
{
    const __m256 most = _mm256_set1_ps(limit);
    uint8_t bytes[24] = {0};

    for (unsigned i = 0; i < eights(count); i++)
        bytes[i] = (uint8_t)_mm256_movemask_ps(
            _mm256_cmp_ps(_mm256_loadu_ps(values + (size_t)LANES * i), most, _CMP_LE_OQ));
    mask_load(ret_mask, bytes);
    *ret_mask = rtree_mask_and(*ret_mask, rtree_mask_of(count));
}

static void leaf_times(const struct rtree_node *leaf, uint32_t begin_max, uint32_t end_min,
                       struct rtree_mask *ret_overlap)
{
    __m256i bits = _mm256_set1_epi32(0x7fffffff);
    __m256i begin = _mm256_set1_epi32((int32_t)begin_max);
    __m256i end = _mm256_set1_epi32((int32_t)end_min);
    uint8_t bytes[24] = {0};

    for (unsigned i = 0; i < eights(leaf->count); i++) {
        __m256i from = _mm256_and_si256(load(leaf->from, i), bits);
        __m256i through = _mm256_and_si256(load(leaf->through, i), bits);

        bytes[i] = (uint8_t)~byte_of(
            _mm256_or_si256(_mm256_cmpgt_epi32(from, begin), _mm256_cmpgt_epi32(end, through)));
    }
    mask_load(ret_overlap, bytes);
}

/* Sixteen 16-bit lanes as sixteen bits. */
static inline uint16_t bits_of_16(__m256i lanes)
{
    __m128i bytes =
        _mm_packs_epi16(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));

    return (uint16_t)_mm_movemask_epi8(bytes);
}

/* The column of themes is the last: 12 vectors end just where the node does. */
static_assert(RTREE_LEAF_THEME_AT + 12 * 32 <= RTREE_NODE_BYTES_MAX, "no read past the node");

static void leaf_theme(const struct rtree_node *leaf, uint16_t theme, struct rtree_mask *ret_equal,
                       struct rtree_mask *ret_several)
{
    __m256i wanted = _mm256_set1_epi16((int16_t)theme), none = _mm256_set1_epi16(THEME_BITS);
    uint16_t equal[12] = {0}, several[12] = {0};

    for (unsigned i = 0; i < (leaf->count + 15) / 16; i++) {
        __m256i number = load(leaf->theme, i);
        /* Unsigned: what is at most THEME_BITS is the lesser of both. */
        __m256i few = _mm256_cmpeq_epi16(_mm256_min_epu16(number, none), number);

        equal[i] = bits_of_16(_mm256_cmpeq_epi16(number, wanted));
        several[i] = (uint16_t)~bits_of_16(few);
    }
    memcpy(ret_equal, equal, sizeof(*ret_equal));
    memcpy(ret_several, several, sizeof(*ret_several));
}

static void leaf_flags(const uint8_t *column, struct rtree_mask *ret_flagged)
{
    uint8_t bytes[24] = {0};

    for (unsigned i = 0; i < eights(RTREE_LEAF_MAX); i++)
        bytes[i] = byte_of(load(column, i));
    mask_load(ret_flagged, bytes);
}

static unsigned count(const struct rtree_mask *mask)
{
    return (unsigned)(__builtin_popcountll(mask->words[0]) + __builtin_popcountll(mask->words[1]) +
                      __builtin_popcountll(mask->words[2]));
}

/* An eight that is there as a whole, as most are, is copied; one that is not there skipped. */
static unsigned gather(const uint8_t *column, const struct rtree_mask *mask, uint32_t *out)
{
    unsigned gathered = 0;

    for (unsigned word = 0; word < RTREE_MASK_WORDS; word++) {
        uint64_t left = mask->words[word];

        for (unsigned i = 8 * word; left; i++, left >>= 8) {
            uint64_t byte = left & 0xff;
            __m256i eight = load(column, i);

            if (byte != 0xff) {
                uint64_t lanes = _pdep_u64(byte, UINT64_C(0x0101010101010101)) * 0xff;
                uint64_t order = _pext_u64(UINT64_C(0x0706050403020100), lanes);

                eight = _mm256_permutevar8x32_epi32(
                    eight, _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)order)));
            }
            _mm256_storeu_si256((__m256i_u *)(out + gathered), eight);
            gathered += (unsigned)__builtin_popcountll(byte);
        }
    }
    return gathered;
}

static void inner_window(const struct rtree_node *node, const struct geo_window *window,
                         uint64_t *ret_touched, uint64_t *ret_within)
{
    const struct window w = window_of(window);
    uint64_t touched = 0, within = 0;

    for (unsigned i = 0; i < eights(node->count); i++) {
        __m256i west = load(node->min_lon, i), east = load(node->max_lon, i);
        __m256i south = load(node->min_lat, i), north = load(node->max_lat, i);
        __m256i off =
            _mm256_or_si256(_mm256_cmpgt_epi32(south, w.north), _mm256_cmpgt_epi32(w.south, north));
        __m256i out =
            _mm256_or_si256(_mm256_cmpgt_epi32(w.south, south), _mm256_cmpgt_epi32(north, w.north));
        __m256i beside[2], across[2];

        for (unsigned r = 0; r < 2; r++) {
            beside[r] = _mm256_or_si256(_mm256_cmpgt_epi32(west, w.east[r]),
                                        _mm256_cmpgt_epi32(w.west[r], east));
            across[r] = _mm256_or_si256(_mm256_cmpgt_epi32(w.west[r], west),
                                        _mm256_cmpgt_epi32(east, w.east[r]));
        }
        off = _mm256_or_si256(off, _mm256_and_si256(beside[0], beside[1]));
        out = _mm256_or_si256(out, _mm256_and_si256(across[0], across[1]));
        touched |= (uint64_t)(uint8_t)~byte_of(off) << (LANES * i);
        within |= (uint64_t)(uint8_t)~byte_of(out) << (LANES * i);
    }
    *ret_touched = touched;
    *ret_within = within;
}

static inline __m256i clamp(__m256i value, __m256i low, __m256i high)
{
    return _mm256_min_epi32(_mm256_max_epi32(value, low), high);
}

/* As box_span of the portable one. */
static inline void inner_circle_eight(const struct rtree_node *node, const struct fit *f,
                                      __m256 b_peak, unsigned i, uint8_t *ret_touched,
                                      uint8_t *ret_within)
{
    __m256i min_lon = load(node->min_lon, i), max_lon = load(node->max_lon, i);
    __m256i min_lat = load(node->min_lat, i), max_lat = load(node->max_lat, i);
    __m256i west = clamp(min_lon, f->west, f->east), east = clamp(max_lon, f->west, f->east);
    __m256i south = clamp(min_lat, f->south, f->north), north = clamp(max_lat, f->south, f->north);
    __m256i off = _mm256_or_si256(
        _mm256_or_si256(_mm256_cmpgt_epi32(min_lon, f->east), _mm256_cmpgt_epi32(f->west, max_lon)),
        _mm256_or_si256(_mm256_cmpgt_epi32(min_lat, f->north),
                        _mm256_cmpgt_epi32(f->south, max_lat)));
    __m256i cut = _mm256_or_si256(
        _mm256_or_si256(_mm256_cmpgt_epi32(f->west, min_lon), _mm256_cmpgt_epi32(max_lon, f->east)),
        _mm256_or_si256(_mm256_cmpgt_epi32(f->south, min_lat),
                        _mm256_cmpgt_epi32(max_lat, f->north)));
    __m256 above = _mm256_castsi256_ps(
        _mm256_or_si256(_mm256_cmpgt_epi32(south, f->lat), _mm256_cmpgt_epi32(f->lat, north)));
    __m256 beside = _mm256_castsi256_ps(
        _mm256_or_si256(_mm256_cmpgt_epi32(west, f->lon), _mm256_cmpgt_epi32(f->lon, east)));
    __m256 ys = fit_lat(f, south), yn = fit_lat(f, north);
    __m256 as = poly(f->a, ys), an = poly(f->a, yn), bs = poly(f->b, ys), bn = poly(f->b, yn);
    __m256 hw = fit_lon(f, west), he = fit_lon(f, east);
    __m256 nearest =
        _mm256_fmadd_ps(_mm256_min_ps(bs, bn), _mm256_and_ps(_mm256_min_ps(hw, he), beside),
                        _mm256_and_ps(_mm256_min_ps(as, an), above));
    __m256 farthest = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_max_ps(bs, bn), b_peak),
                                      _mm256_max_ps(hw, he), _mm256_max_ps(as, an));
    unsigned far = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(nearest, f->out, _CMP_GT_OQ));
    unsigned all = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(farthest, f->in, _CMP_LE_OQ));

    *ret_touched = (uint8_t) ~(byte_of(off) | far);
    *ret_within = (uint8_t)(all & ~(unsigned)byte_of(cut)) & *ret_touched;
}

/* Are all eight outside the circle's window? Near ones stand together, so most often they are. */
static inline bool eight_off(const struct rtree_node *node, const struct fit *f, unsigned i)
{
    __m256i min_lon = load(node->min_lon, i), max_lon = load(node->max_lon, i);
    __m256i min_lat = load(node->min_lat, i), max_lat = load(node->max_lat, i);
    __m256i off = _mm256_or_si256(
        _mm256_or_si256(_mm256_cmpgt_epi32(min_lon, f->east), _mm256_cmpgt_epi32(f->west, max_lon)),
        _mm256_or_si256(_mm256_cmpgt_epi32(min_lat, f->north),
                        _mm256_cmpgt_epi32(f->south, max_lat)));

    return byte_of(off) == 0xff;
}

static void inner_circle(const struct rtree_node *node, const struct geo_fit *fit,
                         uint64_t *ret_touched, uint64_t *ret_within)
{
    const struct fit f = fit_of(fit);
    __m256 b_peak = _mm256_set1_ps(fit->b_peak);
    uint64_t touched = 0, within = 0;

    for (unsigned i = 0; i < eights(node->count); i++) {
        uint8_t touched_eight, within_eight;

        if (eight_off(node, &f, i))
            continue;
        inner_circle_eight(node, &f, b_peak, i, &touched_eight, &within_eight);
        touched |= (uint64_t)touched_eight << (LANES * i);
        within |= (uint64_t)within_eight << (LANES * i);
    }
    *ret_touched = touched;
    *ret_within = within;
}

/* Unsigned: units between two meridians, the shorter way round. */
static inline __m256i lon_units(__m256i a, __m256i b)
{
    __m256i apart = _mm256_sub_epi32(_mm256_max_epi32(a, b), _mm256_min_epi32(a, b));

    return _mm256_min_epu32(
        apart, _mm256_sub_epi32(_mm256_set1_epi32((int32_t)GEO_REACH_ROUND_E7), apart));
}

/* Units, at most 2^31, less one, as half an angle; its sine from below. */
static inline __m256 half_sine(__m256i units)
{
    const __m256 one = _mm256_set1_ps(1.0f), sixth = _mm256_set1_ps(1.0f / 6);
    __m256i less =
        _mm256_max_epi32(_mm256_sub_epi32(units, _mm256_set1_epi32(1)), _mm256_setzero_si256());
    __m256 x = _mm256_mul_ps(_mm256_cvtepi32_ps(less), _mm256_set1_ps(GEO_REACH_HALF_RAD));

    return _mm256_mul_ps(x, _mm256_fnmadd_ps(_mm256_mul_ps(x, x), sixth, one));
}

/* As geo_reach_cosine, of latitudes. */
static inline __m256 lat_cosine(__m256i lat)
{
    __m256 x = _mm256_mul_ps(_mm256_cvtepi32_ps(lat), _mm256_set1_ps(2 * GEO_REACH_HALF_RAD));
    __m256 u = _mm256_mul_ps(x, x);
    __m256 sum = _mm256_fnmadd_ps(u, _mm256_set1_ps(1.0f / 3628800), _mm256_set1_ps(1.0f / 40320));

    sum = _mm256_fnmadd_ps(u, sum, _mm256_set1_ps(1.0f / 720));
    sum = _mm256_fnmadd_ps(u, sum, _mm256_set1_ps(1.0f / 24));
    sum = _mm256_fnmadd_ps(u, sum, _mm256_set1_ps(1.0f / 2));
    sum = _mm256_fnmadd_ps(u, sum, _mm256_set1_ps(1.0f - GEO_REACH_COSINE_ROUNDING));
    return _mm256_max_ps(sum, _mm256_setzero_ps());
}

/* As geo_reach_box_m. */
static void inner_reach(const struct rtree_node *node, const struct geo_reach *reach,
                        float out_m[64])
{
    const __m256i lon = _mm256_set1_epi32(reach->lon_e7), lat = _mm256_set1_epi32(reach->lat_e7);
    const __m256 cos_lat = _mm256_set1_ps(reach->cos_lat), sixth = _mm256_set1_ps(1.0f / 6);
    const __m256 near = _mm256_set1_ps((float)GEO_NEAR_RAD_MAX), one = _mm256_set1_ps(1.0f);

    for (unsigned i = 0; i < eights(node->count); i++) {
        __m256i west = load(node->min_lon, i), east = load(node->max_lon, i);
        __m256i south = load(node->min_lat, i), north = load(node->max_lat, i);
        __m256i beside =
            _mm256_or_si256(_mm256_cmpgt_epi32(west, lon), _mm256_cmpgt_epi32(lon, east));
        __m256i lon_apart =
            _mm256_and_si256(beside, _mm256_min_epu32(lon_units(west, lon), lon_units(east, lon)));
        __m256i lat_apart =
            _mm256_max_epi32(_mm256_sub_epi32(south, lat), _mm256_sub_epi32(lat, north));
        __m256i highest = _mm256_max_epi32(_mm256_sub_epi32(_mm256_setzero_si256(), south), north);
        __m256 lat_sine = half_sine(lat_apart), lon_sine = half_sine(lon_apart);
        __m256 cosines = _mm256_mul_ps(cos_lat, lat_cosine(highest));
        __m256 haversine = _mm256_fmadd_ps(cosines, _mm256_mul_ps(lon_sine, lon_sine),
                                           _mm256_mul_ps(lat_sine, lat_sine));
        __m256 angle = _mm256_mul_ps(_mm256_mul_ps(_mm256_set1_ps(2.0f), _mm256_sqrt_ps(haversine)),
                                     _mm256_fmadd_ps(haversine, sixth, one));
        __m256 radian_m =
            _mm256_blendv_ps(_mm256_set1_ps(reach->far_m), _mm256_set1_ps(reach->near_m),
                             _mm256_cmp_ps(angle, near, _CMP_LE_OQ));
        __m256 lower_m = _mm256_fmsub_ps(angle, radian_m, _mm256_set1_ps(GEO_REACH_MARGIN_M));

        _mm256_storeu_ps(out_m + (size_t)LANES * i, _mm256_max_ps(lower_m, _mm256_setzero_ps()));
    }
}

static void add_counts(const uint8_t *counts, uint64_t sums[THEME_BITS])
{
    for (unsigned i = 0; i < THEME_BITS / 4; i++) {
        __m256i more =
            _mm256_cvtepu32_epi64(_mm_loadu_si128((const __m128i_u *)(counts + (size_t)16 * i)));
        __m256i_u *sum = (__m256i_u *)(sums + (size_t)4 * i);

        _mm256_storeu_si256(sum, _mm256_add_epi64(_mm256_loadu_si256(sum), more));
    }
}

const struct rtree_kernel rtree_kernel_avx2 = {
    .name = "avx2",
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

#endif
