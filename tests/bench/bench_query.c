/* SPDX-License-Identifier: EUPL-1.2 */
#include <math.h>
#include <stdlib.h>

#include "index/geo.h"
#include "tests/bench/bench.h"

/*
 * The radii of the bounds in docs/index.md, rounded outwards, with a margin
 * far above all rounding: a geodesic is at least as long as the chord's arc on
 * the larger sphere and at most as long as that on the smaller.
 */
#define SMALLER_M 6335439.0
#define LARGER_M 6399658.0
#define MARGIN_M 1e-4
#define WGS84_A_M 6378137.0
#define WGS84_E2 0.0066943799901413165

void bench_place(double lon_deg, double lat_deg, double *ret_x, double *ret_y, double *ret_z)
{
    double lon = lon_deg * M_PI / 180, lat = lat_deg * M_PI / 180;
    double vertical_m = WGS84_A_M / sqrt(1 - WGS84_E2 * sin(lat) * sin(lat));

    *ret_x = vertical_m * cos(lat) * cos(lon);
    *ret_y = vertical_m * cos(lat) * sin(lon);
    *ret_z = vertical_m * (1 - WGS84_E2) * sin(lat);
}

static double square(double value)
{
    return value * value;
}

static double chord_m2_of_arc(double arc_m, double sphere_m)
{
    return square(2 * sphere_m * sin(fmax(arc_m, 0) / (2 * sphere_m)));
}

static double arc_m_of_chord(double chord_m2, double sphere_m)
{
    return 2 * sphere_m * asin(fmin(sqrt(chord_m2) / (2 * sphere_m), 1));
}

double bench_reach_m(double chord_m2)
{
    return arc_m_of_chord(chord_m2, LARGER_M) - MARGIN_M;
}

double bench_distance_m(const struct bench_query *query, const struct bench_record *record)
{
    struct geo_point centre = {query->lon_deg, query->lat_deg};
    struct position position = {record->lon_e7, record->lat_e7};

    return geo_distance_m(centre, geo_point_of(position));
}

struct bench_query bench_query_within(const struct bench_query *query, double radius_m)
{
    struct bench_query circle = *query;
    struct geo_window window;

    radius_m = fmin(radius_m, BENCH_EVERYWHERE_M);
    window = geo_window_of_circle((struct geo_point){query->lon_deg, query->lat_deg}, radius_m);
    circle.kind = query->kind == BENCH_NEAR ? BENCH_RADIUS : query->kind;
    circle.radius_m = radius_m;
    circle.in_m2 = chord_m2_of_arc(radius_m - MARGIN_M, SMALLER_M);
    circle.out_m2 = chord_m2_of_arc(radius_m + MARGIN_M, LARGER_M);
    circle.west_e7 = window.west_e7[0];
    circle.east_e7 = window.east_e7[0];
    circle.south_e7 = window.south_e7;
    circle.north_e7 = window.north_e7;
    return circle;
}

struct bench_query bench_query_around(const struct bench_query *query,
                                      const struct bench_world *world,
                                      const struct bench_answer *some)
{
    double chord_m2 = 0;

    if (some->count < BENCH_NEAREST)
        return bench_query_within(query, BENCH_EVERYWHERE_M);
    for (size_t i = 0; i < some->count; i++)
        chord_m2 = fmax(chord_m2, bench_chord_m2(query, &world->records[some->documents[i]]));
    return bench_query_within(query, arc_m_of_chord(chord_m2, SMALLER_M) + 2 * MARGIN_M);
}

/* ---- the nearest of some ---- */

struct candidate {
    double distance; /* first a chord's square, then metres */
    uint32_t document;
};

static int candidate_compare(const void *a, const void *b)
{
    const struct candidate *left = a, *right = b;

    if (left->distance != right->distance)
        return left->distance < right->distance ? -1 : 1;
    return left->document < right->document ? -1 : left->document > right->document;
}

static struct candidate *candidates_of(const struct bench_query *query,
                                       const struct bench_world *world,
                                       const struct bench_answer *answer)
{
    static struct candidate *candidates; /* kept: the peers take turns in one thread */
    static size_t capacity;

    if (answer->count > capacity) {
        capacity = answer->count * 2;
        candidates = realloc(candidates, capacity * sizeof(*candidates));
        if (!candidates)
            bench_die("out of memory");
    }
    for (size_t i = 0; i < answer->count; i++) {
        candidates[i].document = answer->documents[i];
        candidates[i].distance = bench_chord_m2(query, &world->records[answer->documents[i]]);
    }
    return candidates;
}

/* The wanted least chords come first, in any order (Hoare 1961). */
static void candidates_select(struct candidate *candidates, size_t count, size_t wanted)
{
    ptrdiff_t low = 0, high = (ptrdiff_t)count - 1, last = (ptrdiff_t)wanted - 1;

    while (low < high) {
        double pivot = candidates[low + (high - low) / 2].distance;
        ptrdiff_t i = low, j = high;

        while (i <= j) {
            struct candidate swap = candidates[i];

            if (swap.distance < pivot) {
                i++;
            } else if (candidates[j].distance > pivot) {
                j--;
            } else {
                candidates[i++] = candidates[j];
                candidates[j--] = swap;
            }
        }
        if (last <= j)
            high = j;
        else if (last >= i)
            low = i;
        else
            return; /* All between j and i are equal to the pivot. */
    }
}

/* Metres: who is farther away does not belong to the wanted nearest. */
static double candidates_reach_m(struct candidate *candidates, size_t count, size_t wanted)
{
    double chord_m2 = 0;

    if (count < wanted)
        return INFINITY;
    candidates_select(candidates, count, wanted);
    for (size_t i = 0; i < wanted; i++)
        chord_m2 = fmax(chord_m2, candidates[i].distance);
    return arc_m_of_chord(chord_m2, SMALLER_M) + MARGIN_M;
}

bool bench_answer_cut(const struct bench_query *query, const struct bench_world *world,
                      struct bench_answer *answer, size_t wanted, double complete_m)
{
    struct candidate *candidates = candidates_of(query, world, answer);
    double farthest_m = candidates_reach_m(candidates, answer->count, wanted);
    size_t needed = 0;

    if (farthest_m > complete_m && complete_m < BENCH_EVERYWHERE_M)
        return false;
    for (size_t i = 0; i < answer->count; i++) {
        if (bench_reach_m(candidates[i].distance) <= farthest_m)
            candidates[needed++] = candidates[i];
    }
    for (size_t i = 0; i < needed; i++)
        candidates[i].distance = bench_distance_m(query, &world->records[candidates[i].document]);
    if (needed > 0)
        qsort(candidates, needed, sizeof(*candidates), candidate_compare);
    answer->count = needed < wanted ? needed : wanted;
    for (size_t i = 0; i < answer->count; i++) {
        answer->documents[i] = candidates[i].document;
        answer->distances_m[i] = candidates[i].distance;
    }
    return true;
}

bool bench_answer_nearest(const struct bench_query *query, const struct bench_world *world,
                          struct bench_answer *answer, double complete_m)
{
    return bench_answer_cut(query, world, answer, BENCH_NEAREST, complete_m);
}
