/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_kernel.h"

#include <math.h>

#include "tests/support/test.h"

/*
 * The inner loops decide alone about all but a hair's breadth of a circle: a
 * bound that is a little too narrow loses a listing in a million, and nobody
 * would ever know. So they are compared with the geodesic, at the border most
 * of all, and with each other.
 */
#define CIRCLES 6000
#define BOX_CIRCLES 700
#define REACH_CENTRES 300
#define SHARP_LAT_E7_MAX 850000000 /* beyond, meridians meet and bounds may be worse */

/* Latitudes as far as polynomials are used, and beyond; the equator more often than chance. */
static struct geo_point random_centre(uint64_t *seed)
{
    static const double latitudes[] = {0, 0.3, -0.1, 35, 59.3, 64.7, -33.9, 71, -78, 84, 88.5};
    struct geo_point centre = {-180 + 360 * test_random_unit(seed),
                               latitudes[test_random_below(seed, ARRAY_SIZE(latitudes))]};

    if (test_random_below(seed, 3) == 0)
        centre.lat_deg = -89 + 178 * test_random_unit(seed);
    if (test_random_below(seed, 4) == 0) { /* exactly on a unit */
        centre.lon_deg = round(centre.lon_deg * 1e7) / 1e7;
        centre.lat_deg = round(centre.lat_deg * 1e7) / 1e7;
    }
    return centre;
}

static struct geo_circle random_circle(uint64_t *seed)
{
    return geo_circle_of(random_centre(seed), pow(10, 5.6 * test_random_unit(seed)));
}

static int32_t between(uint64_t *seed, int32_t low, int32_t high)
{
    return (int32_t)(low + (int64_t)test_random_below(seed, (uint64_t)((int64_t)high - low) + 1));
}

/* In the direction of a random place of the window, as near to the border as units allow. */
static struct position at_border(uint64_t *seed, const struct geo_circle *circle)
{
    const struct geo_window *window = &circle->window;
    double lon = between(seed, window->west_e7[0], window->east_e7[0]) / 1e7;
    double lat = between(seed, window->south_e7, window->north_e7) / 1e7;
    double low = 0, high = 1.5, off = pow(10, -9 + 8 * test_random_unit(seed));
    struct geo_point centre = circle->centre.point;

    for (int i = 0; i < 40; i++) {
        double part = (low + high) / 2;
        struct geo_point point = {centre.lon_deg + part * (lon - centre.lon_deg),
                                  centre.lat_deg + part * (lat - centre.lat_deg)};
        double lower_m, upper_m;

        geo_distance_bounds(&circle->centre, point, &lower_m, &upper_m);
        if (lower_m > circle->radius_m)
            high = part;
        else
            low = part;
    }
    low *= test_random_below(seed, 2) ? 1 + off : 1 - off;
    return (struct position){
        (int32_t)lround((centre.lon_deg + low * (lon - centre.lon_deg)) * 1e7),
        (int32_t)lround((centre.lat_deg + low * (lat - centre.lat_deg)) * 1e7)};
}

static struct position random_position(uint64_t *seed, const struct geo_circle *circle)
{
    const struct geo_window *window = &circle->window;
    struct position position;

    switch (test_random_below(seed, 8)) {
    case 0: /* anywhere: differences that overflow */
        return (struct position){between(seed, -GEO_LON_E7_MAX, GEO_LON_E7_MAX),
                                 between(seed, -GEO_LAT_E7_MAX, GEO_LAT_E7_MAX)};
    case 1:
    case 2:
        return (struct position){between(seed, window->west_e7[0], window->east_e7[0]),
                                 between(seed, window->south_e7, window->north_e7)};
    default:
        position = at_border(seed, circle);
        return geo_position_valid(position) ? position : (struct position){0, 0};
    }
}

static void put_i32(uint8_t *bytes, size_t at, unsigned i, int32_t value)
{
    uint32_t little = htole32((uint32_t)value);

    memcpy(bytes + at + 4 * (size_t)i, &little, sizeof(little));
}

static void node_begin(uint8_t *bytes, uint8_t level, unsigned count)
{
    memset(bytes, 0, RTREE_NODE_BYTES_MAX);
    bytes[RTREE_NODE_LEVEL_AT] = level;
    bytes[2] = (uint8_t)count; /* as the format has it, u16 little-endian */
}

static bool bit_of(const struct rtree_mask *mask, unsigned i)
{
    return mask->words[i / 64] >> i % 64 & 1;
}

static void compare_leaf(const struct rtree_kernel *kernel, const uint8_t *bytes,
                         const struct geo_circle *circle, const struct geo_fit *fit,
                         const double *distances_m, uint64_t *borders)
{
    struct rtree_node leaf = rtree_node_view(bytes);
    struct rtree_mask in, border;

    kernel->leaf_circle(&leaf, fit, &in, &border);
    for (unsigned i = 0; i < leaf.count; i++) {
        bool is_in = distances_m[i] <= circle->radius_m;

        if (!bit_of(&border, i) && bit_of(&in, i) != is_in)
            fail_msg("%s: centre %.9f %.9f radius %.9f: a place %.9f m away is %s", kernel->name,
                     circle->centre.point.lon_deg, circle->centre.point.lat_deg, circle->radius_m,
                     distances_m[i], is_in ? "lost" : "found");
        assert_false(bit_of(&border, i) && bit_of(&in, i));
        /* The border must be narrow, or everything is decided slowly and nobody notices. */
        if (bit_of(&border, i)) {
            assert_true(fabs(distances_m[i] - circle->radius_m) < 2e-5 * circle->radius_m + 1e-4);
            ++*borders;
        }
    }
}

/* Nearest believes these: a bound that is too close puts a listing behind a farther one. */
static void compare_squares(const struct rtree_kernel *kernel, const uint8_t *bytes,
                            const struct geo_circle *circle, const struct geo_fit *fit,
                            const double *distances_m)
{
    struct rtree_node leaf = rtree_node_view(bytes);
    float squares[RTREE_SQUARES_MAX], limit = fit->out / 2;
    double margin = (double)fit->margin;
    struct rtree_mask half;

    kernel->leaf_squares(&leaf, fit, squares);
    kernel->at_most(squares, leaf.count, limit, &half);
    for (unsigned i = 0; i < leaf.count; i++) {
        double lower_m, upper_m;

        assert_int_equal(bit_of(&half, i), squares[i] <= limit);
        if (squares[i] > fit->out) {
            assert_true(distances_m[i] > circle->radius_m);
            continue;
        }
        geo_chord_bounds(fmax((double)squares[i] - margin, 0) * circle->chord2_out_m2,
                         ((double)squares[i] + margin) * circle->chord2_out_m2, &lower_m, &upper_m);
        if (distances_m[i] < lower_m || distances_m[i] > upper_m)
            fail_msg("%s: centre %.9f %.9f radius %.9f: %.9f m are not %.9f to %.9f", kernel->name,
                     circle->centre.point.lon_deg, circle->centre.point.lat_deg, circle->radius_m,
                     distances_m[i], lower_m, upper_m);
    }
    for (unsigned i = leaf.count; i < 64 * RTREE_MASK_WORDS; i++)
        assert_false(bit_of(&half, i));
}

static void test_circles_agree_with_geodesics(void **state)
{
    double distances_m[RTREE_LEAF_MAX];
    uint8_t bytes[RTREE_NODE_BYTES_MAX];
    uint64_t seed = 0xf17, used = 0, pairs = 0, borders = 0;

    (void)state;
    for (int c = 0; c < CIRCLES; c++) {
        struct geo_circle circle = random_circle(&seed);
        struct geo_fit fit = geo_fit_of(&circle);
        unsigned count = 1 + (unsigned)test_random_below(&seed, RTREE_LEAF_MAX);

        if (!fit.usable)
            continue;
        used++;
        pairs += count;
        node_begin(bytes, 0, count);
        for (unsigned i = 0; i < count; i++) {
            struct position position = random_position(&seed, &circle);

            put_i32(bytes, RTREE_LEAF_LON_AT, i, position.lon_e7);
            put_i32(bytes, RTREE_LEAF_LAT_AT, i, position.lat_e7);
            distances_m[i] = geo_distance_m(circle.centre.point, geo_point_of(position));
        }
        for (unsigned k = 0; rtree_kernel_at(k); k++) {
            compare_leaf(rtree_kernel_at(k), bytes, &circle, &fit, distances_m, &borders);
            compare_squares(rtree_kernel_at(k), bytes, &circle, &fit, distances_m);
        }
    }
    print_message("%llu circles, %llu places, %llu left to the border\n", (unsigned long long)used,
                  (unsigned long long)pairs, (unsigned long long)borders);
    assert_true(used > CIRCLES / 2);
    assert_true(borders > pairs / 100); /* or the test did not come near it */
}

/* A corner, a side or a place inside a box. */
static struct position place_in(uint64_t *seed, struct position min, struct position max)
{
    struct position place = {between(seed, min.lon_e7, max.lon_e7),
                             between(seed, min.lat_e7, max.lat_e7)};

    switch (test_random_below(seed, 3)) {
    case 0:
        place.lon_e7 = test_random_below(seed, 2) ? min.lon_e7 : max.lon_e7;
        break;
    case 1:
        place.lat_e7 = test_random_below(seed, 2) ? min.lat_e7 : max.lat_e7;
        break;
    default:
        break;
    }
    return place;
}

static int32_t lesser(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static int32_t greater(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* Of some boxes: what is left out holds nothing in the circle, what is inside nothing else. */
static void test_boxes_agree_with_geodesics(void **state)
{
    uint8_t bytes[RTREE_NODE_BYTES_MAX];
    uint64_t seed = 0xb0c5, left_out = 0, inside = 0, boxes = 0;

    (void)state;
    for (int c = 0; c < BOX_CIRCLES; c++) {
        struct geo_circle circle = random_circle(&seed);
        struct geo_fit fit = geo_fit_of(&circle);
        unsigned count = 1 + (unsigned)test_random_below(&seed, RTREE_INNER_MAX);
        struct rtree_node node;

        if (!fit.usable)
            continue;
        node_begin(bytes, 1, count);
        for (unsigned i = 0; i < count; i++) {
            struct position a = random_position(&seed, &circle), b = a;

            if (test_random_below(&seed, 4))
                b = random_position(&seed, &circle);
            put_i32(bytes, RTREE_INNER_MIN_LON_AT, i, lesser(a.lon_e7, b.lon_e7));
            put_i32(bytes, RTREE_INNER_MIN_LAT_AT, i, lesser(a.lat_e7, b.lat_e7));
            put_i32(bytes, RTREE_INNER_MAX_LON_AT, i, greater(a.lon_e7, b.lon_e7));
            put_i32(bytes, RTREE_INNER_MAX_LAT_AT, i, greater(a.lat_e7, b.lat_e7));
        }
        node = rtree_node_view(bytes);
        for (unsigned k = 0; rtree_kernel_at(k); k++) {
            uint64_t touched, within;

            rtree_kernel_at(k)->inner_circle(&node, &fit, &touched, &within);
            for (unsigned i = 0; i < count; i++) {
                bool may = touched >> i & 1, all = within >> i & 1;

                boxes++;
                left_out += !may;
                inside += all;
                assert_true(may || !all);
                for (int n = 0; n < 8 && (!may || all); n++) {
                    struct position place =
                        place_in(&seed, rtree_node_min(&node, i), rtree_node_max(&node, i));
                    bool in =
                        geo_distance_m(circle.centre.point, geo_point_of(place)) <= circle.radius_m;

                    if (in != all)
                        fail_msg("%s: centre %.9f %.9f radius %.9f: place %d %d",
                                 rtree_kernel_at(k)->name, circle.centre.point.lon_deg,
                                 circle.centre.point.lat_deg, circle.radius_m, place.lon_e7,
                                 place.lat_e7);
                }
            }
        }
    }
    assert_true(left_out > boxes / 50 && inside > boxes / 50);
}

/* A place of the earth, the poles and the antimeridian more often than chance. */
static struct position any_place(uint64_t *seed)
{
    static const int32_t lons[] = {-GEO_LON_E7_MAX, GEO_LON_E7_MAX, 0, 1799999999};
    static const int32_t lats[] = {-GEO_LAT_E7_MAX, GEO_LAT_E7_MAX, 0, 899999999};
    struct position place = {between(seed, -GEO_LON_E7_MAX, GEO_LON_E7_MAX),
                             between(seed, -GEO_LAT_E7_MAX, GEO_LAT_E7_MAX)};

    if (test_random_below(seed, 8) == 0)
        place.lon_e7 = lons[test_random_below(seed, ARRAY_SIZE(lons))];
    if (test_random_below(seed, 8) == 0)
        place.lat_e7 = lats[test_random_below(seed, ARRAY_SIZE(lats))];
    return place;
}

/* A box of any size, near the centre more often than chance. */
static void any_box(uint64_t *seed, struct geo_point centre, uint8_t *bytes, unsigned i)
{
    struct position a = any_place(seed), b = any_place(seed);
    double size = pow(10, 1 + 8 * test_random_unit(seed));

    if (test_random_below(seed, 4)) {
        a.lon_e7 = (int32_t)fmax(
            fmin(centre.lon_deg * 1e7 + size * (test_random_unit(seed) - 0.5), GEO_LON_E7_MAX),
            -GEO_LON_E7_MAX);
        a.lat_e7 = (int32_t)fmax(
            fmin(centre.lat_deg * 1e7 + size * (test_random_unit(seed) - 0.5), GEO_LAT_E7_MAX),
            -GEO_LAT_E7_MAX);
    }
    if (test_random_below(seed, 3)) {
        b.lon_e7 = (int32_t)fmin(a.lon_e7 + size * test_random_unit(seed), GEO_LON_E7_MAX);
        b.lat_e7 = (int32_t)fmin(a.lat_e7 + size * test_random_unit(seed), GEO_LAT_E7_MAX);
    }
    put_i32(bytes, RTREE_INNER_MIN_LON_AT, i, lesser(a.lon_e7, b.lon_e7));
    put_i32(bytes, RTREE_INNER_MIN_LAT_AT, i, lesser(a.lat_e7, b.lat_e7));
    put_i32(bytes, RTREE_INNER_MAX_LON_AT, i, greater(a.lon_e7, b.lon_e7));
    put_i32(bytes, RTREE_INNER_MAX_LAT_AT, i, greater(a.lat_e7, b.lat_e7));
}

/* The nearest corner or side is where a bound fails, if it does. */
static double nearest_of_some_m(uint64_t *seed, struct geo_point centre, struct position min,
                                struct position max)
{
    int32_t lon = (int32_t)lround(centre.lon_deg * 1e7),
            lat = (int32_t)lround(centre.lat_deg * 1e7);
    struct position beside = {lesser(greater(lon, min.lon_e7), max.lon_e7),
                              lesser(greater(lat, min.lat_e7), max.lat_e7)};
    struct position places[] = {beside,
                                min,
                                max,
                                {min.lon_e7, max.lat_e7},
                                {max.lon_e7, min.lat_e7},
                                {min.lon_e7, beside.lat_e7},
                                {max.lon_e7, beside.lat_e7},
                                place_in(seed, min, max)};
    double nearest_m = INFINITY;

    for (size_t i = 0; i < ARRAY_SIZE(places); i++)
        nearest_m = fmin(nearest_m, geo_distance_m(centre, geo_point_of(places[i])));
    return nearest_m;
}

static void test_reaches_are_bounds(void **state)
{
    uint8_t bytes[RTREE_NODE_BYTES_MAX];
    uint64_t seed = 0x4eac, sharp = 0;

    (void)state;
    for (int c = 0; c < REACH_CENTRES; c++) {
        struct geo_point point = random_centre(&seed);
        struct geo_centre centre = geo_centre_of(point);
        struct geo_reach reach = geo_reach_of(&centre);
        unsigned count = 1 + (unsigned)test_random_below(&seed, RTREE_INNER_MAX);
        struct rtree_node node;

        node_begin(bytes, 1, count);
        for (unsigned i = 0; i < count; i++)
            any_box(&seed, point, bytes, i);
        node = rtree_node_view(bytes);
        for (unsigned k = 0; rtree_kernel_at(k); k++) {
            float lower_m[64];

            rtree_kernel_at(k)->inner_reach(&node, &reach, lower_m);
            for (unsigned i = 0; i < count; i++) {
                struct position min = rtree_node_min(&node, i), max = rtree_node_max(&node, i);
                double got_m = (double)lower_m[i], best_m = geo_box_lower_m(&centre, min, max);

                if (got_m > nearest_of_some_m(&seed, point, min, max))
                    fail_msg("%s: centre %.9f %.9f: box %d %d to %d %d is nearer than %f m",
                             rtree_kernel_at(k)->name, point.lon_deg, point.lat_deg, min.lon_e7,
                             min.lat_e7, max.lon_e7, max.lat_e7, got_m);
                /* A bound of nothing would be right and make every walk a scan. */
                if (greater(-min.lat_e7, max.lat_e7) > SHARP_LAT_E7_MAX)
                    continue;
                assert_true(got_m > (best_m < 1e5 ? 0.999 : 0.6) * best_m - 1);
                sharp += best_m > 0 && best_m < 1e5;
            }
        }
    }
    assert_true(sharp > REACH_CENTRES);
}

/* Whatever is not a bound must be the same in all kernels, to the bit. */
static void test_kernels_agree(void **state)
{
    uint8_t bytes[RTREE_NODE_BYTES_MAX];
    uint64_t seed = 0xa9ee;

    (void)state;
    for (int round = 0; round < 2000; round++) {
        unsigned count = 1 + (unsigned)test_random_below(&seed, RTREE_LEAF_MAX);
        struct geo_box box = {-180 + 360 * test_random_unit(&seed), -50 * test_random_unit(&seed),
                              -180 + 360 * test_random_unit(&seed), 50 * test_random_unit(&seed)};
        struct geo_window window = geo_window_of_box(&box);
        uint16_t theme = (uint16_t)test_random_below(&seed, 400);
        uint32_t minute = (uint32_t)test_random(&seed) >> 1;
        uint64_t sums[2][THEME_BITS] = {{0}};
        struct rtree_node node;

        node_begin(bytes, 0, count);
        for (size_t at = RTREE_NODE_HEADER_BYTES; at < RTREE_NODE_BYTES_MAX; at++)
            bytes[at] = (uint8_t)test_random(&seed);
        for (unsigned i = 0; i < count; i++) {
            bytes[RTREE_LEAF_THEME_AT + 2 * i + 1] &= 3;
            if (test_random_below(&seed, 5) == 0)
                memcpy(bytes + RTREE_LEAF_THEME_AT + 2 * i, &(uint16_t){htole16(theme)}, 2);
        }
        node = rtree_node_view(bytes);
        for (unsigned k = 1; rtree_kernel_at(k); k++) {
            const struct rtree_kernel *kernels[2] = {rtree_kernel_at(0), rtree_kernel_at(k)};
            struct rtree_mask masks[2][5], valid = rtree_mask_of(count);
            uint32_t gathered[2][RTREE_LEAF_MAX + 8];
            unsigned counts[2];

            for (unsigned side = 0; side < 2; side++) {
                kernels[side]->leaf_window(&node, &window, &masks[side][0]);
                kernels[side]->leaf_times(&node, minute, minute, &masks[side][1]);
                kernels[side]->leaf_theme(&node, theme, &masks[side][2], &masks[side][3]);
                kernels[side]->leaf_flags(node.from, &masks[side][4]);
                for (unsigned m = 0; m < 5; m++)
                    masks[side][m] = rtree_mask_and(masks[side][m], valid);
                counts[side] =
                    kernels[side]->gather(node.document, &masks[side][4], gathered[side]);
                kernels[side]->add_counts(bytes + 1000, sums[side]);
            }
            assert_memory_equal(masks[0], masks[1], sizeof(masks[0]));
            assert_int_equal(counts[0], rtree_kernel_at(k)->count(&masks[0][4]));
            assert_int_equal(counts[0], counts[1]);
            assert_memory_equal(gathered[0], gathered[1], counts[0] * sizeof(uint32_t));
            assert_memory_equal(sums[0], sums[1], sizeof(sums[0]));
            memset(sums, 0, sizeof(sums));
        }
        bytes[RTREE_NODE_LEVEL_AT] = 1;
        bytes[2] = (uint8_t)(count % RTREE_INNER_MAX + 1);
        node = rtree_node_view(bytes);
        for (unsigned k = 1; rtree_kernel_at(k); k++) {
            uint64_t touched[2], within[2], valid = UINT64_MAX >> (64 - node.count);

            rtree_kernel_at(0)->inner_window(&node, &window, &touched[0], &within[0]);
            rtree_kernel_at(k)->inner_window(&node, &window, &touched[1], &within[1]);
            assert_int_equal(touched[0] & valid, touched[1] & valid);
            assert_int_equal(within[0] & valid, within[1] & valid);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_circles_agree_with_geodesics),
        cmocka_unit_test(test_boxes_agree_with_geodesics),
        cmocka_unit_test(test_reaches_are_bounds),
        cmocka_unit_test(test_kernels_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
