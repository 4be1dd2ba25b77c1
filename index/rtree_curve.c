/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_curve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "index/rtree_node.h"
#include "index/rtree_room.h"

/* 44 bits of a place: four digits of 11. A cell is 0.2 m of a country, 10 m of the world. */
#define CURVE_BITS 22
#define DIGIT_BITS 11
#define DIGITS (1u << DIGIT_BITS)
#define PASSES_MAX 4
#define FEW_MAX 128

/*
 * Bits of x and y, two of each, on one of four turns of the curve: the four
 * bits along it, and the turn inside. Filled once, from the rule of one step.
 */
#define STEP_BITS 2
#define STEP_CELLS 16
struct step {
    uint8_t along, turn;
};
static struct step steps[4][STEP_CELLS];

/* Bit 0 of a turn: x and y are swapped; bit 1: both are mirrored. */
static void step_fill(unsigned turn, unsigned x, unsigned y)
{
    unsigned along = 0, now = turn;

    for (unsigned bit = STEP_BITS; bit-- > 0;) {
        unsigned a = x >> bit & 1, b = y >> bit & 1;
        unsigned right = (now & 1 ? b : a) ^ now >> 1, up = (now & 1 ? a : b) ^ now >> 1;

        along = along << 2 | ((3 * right) ^ up);
        if (up == 0)
            now ^= right ? 3 : 1;
    }
    steps[turn][x << STEP_BITS | y] = (struct step){(uint8_t)along, (uint8_t)now};
}

/* Before main, so that no thread sees it half filled. */
__attribute__((constructor)) static void steps_fill(void)
{
    for (unsigned turn = 0; turn < 4; turn++) {
        for (unsigned cell = 0; cell < STEP_CELLS; cell++)
            step_fill(turn, cell >> STEP_BITS, cell & ((1u << STEP_BITS) - 1));
    }
}

static uint64_t curve_along(uint32_t x, uint32_t y)
{
    uint64_t along = 0;
    unsigned turn = 0;

    for (unsigned bit = CURVE_BITS; bit > 0; bit -= STEP_BITS) {
        unsigned shift = bit - STEP_BITS, mask = (1u << STEP_BITS) - 1;
        struct step step = steps[turn][(x >> shift & mask) << STEP_BITS | (y >> shift & mask)];

        along = along << (2 * STEP_BITS) | step.along;
        turn = step.turn;
    }
    return along;
}

static struct position pair_position(uint64_t pair)
{
    return (struct position){(int32_t)(uint32_t)(pair >> 32), (int32_t)(uint32_t)pair};
}

/* Both axes get one scale on the ground, that of the middle latitude. */
static void curve_places(struct rtree_place *places, size_t count)
{
    struct position min = pair_position(places[0].along), max = min;
    double weight, scale, scale_lon;

    for (size_t i = 1; i < count; i++) {
        struct position point = pair_position(places[i].along);

        min.lon_e7 = point.lon_e7 < min.lon_e7 ? point.lon_e7 : min.lon_e7;
        min.lat_e7 = point.lat_e7 < min.lat_e7 ? point.lat_e7 : min.lat_e7;
        max.lon_e7 = point.lon_e7 > max.lon_e7 ? point.lon_e7 : max.lon_e7;
        max.lat_e7 = point.lat_e7 > max.lat_e7 ? point.lat_e7 : max.lat_e7;
    }
    weight = fmax(cos(((double)min.lat_e7 + max.lat_e7) / 2e7 * (M_PI / 180.0)), 0.02);
    scale = fmax(((double)max.lon_e7 - min.lon_e7) * weight, (double)max.lat_e7 - min.lat_e7);
    scale = ((double)(UINT32_C(1) << CURVE_BITS) - 1) / fmax(scale, 1);
    scale_lon = scale * weight;
    for (size_t i = 0; i < count; i++) {
        struct position point = pair_position(places[i].along);
        double x = ((double)point.lon_e7 - min.lon_e7) * scale_lon;
        double y = ((double)point.lat_e7 - min.lat_e7) * scale;

        places[i].along = curve_along((uint32_t)x, (uint32_t)y);
    }
}

/* The counters of the radix sort alone cost more than this does for a few. */
static void insertion_sort(struct rtree_place *places, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct rtree_place place = places[i];
        size_t at = i;

        for (; at > 0 && places[at - 1].along > place.along; at--)
            places[at] = places[at - 1];
        places[at] = place;
    }
}

/* Least significant digit first; all digits are counted in one pass, and equal ones skipped. */
static enum torg_err radix_sort(struct rtree_place *places, size_t count, unsigned passes)
{
    struct rtree_place *from = places, *to, *spare;
    size_t(*begins)[DIGITS];

    if (count <= FEW_MAX) {
        insertion_sort(places, count);
        return TORG_OK;
    }
    spare = rtree_room(count, sizeof(*spare));
    begins = calloc(PASSES_MAX, sizeof(*begins));
    if (!spare || !begins) {
        free(spare);
        free(begins);
        return TORG_E_NOMEM;
    }
    to = spare;
    for (size_t i = 0; i < count; i++) {
        for (unsigned pass = 0; pass < passes; pass++)
            begins[pass][places[i].along >> (pass * DIGIT_BITS) & (DIGITS - 1)]++;
    }
    for (unsigned pass = 0; pass < passes; pass++) {
        unsigned shift = pass * DIGIT_BITS;
        struct rtree_place *swap = to;
        size_t begin = 0;

        if (begins[pass][from[0].along >> shift & (DIGITS - 1)] == count)
            continue;
        for (size_t digit = 0; digit < DIGITS; digit++) {
            size_t size = begins[pass][digit];

            begins[pass][digit] = begin;
            begin += size;
        }
        for (size_t i = 0; i < count; i++)
            to[begins[pass][from[i].along >> shift & (DIGITS - 1)]++] = from[i];
        to = from;
        from = swap;
    }
    if (from != places)
        memcpy(places, from, count * sizeof(*places));
    free(spare);
    free(begins);
    return TORG_OK;
}

enum torg_err rtree_curve_sort(struct rtree_place *places, size_t count)
{
    if (count > 0)
        curve_places(places, count);
    return radix_sort(places, count, PASSES_MAX);
}

enum torg_err rtree_curve_sort_numbers(struct rtree_place *places, size_t count)
{
    return radix_sort(places, count, 3);
}
