/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/shape_distance.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define RAD_OF_DEG (M_PI / 180.0)
/* The radii of curvature of docs/index.md, "Bounds", rounded outwards. */
#define CURVATURE_M_MIN 6335439.327
#define CURVATURE_M_MAX 6399593.626
/* Up to this the distance is smooth: no second shortest way (Klingenberg: half a meridian). */
#define SMOOTH_M_MAX 19900000.0
#define PLANAR_M_MAX 6000000.0
/* Halved at least at every second step, from half the earth to below the margin. */
#define STACK_MAX 128

/* A place on an edge: the distance f, and its slope along the edge, in metres per metre. */
struct place {
    double t; /* 0 at the edge's beginning, 1 at its end */
    double lat_deg;
    double f_m, slope;
};

struct interval {
    struct place a, b;
    bool halve; /* its parent was hardly longer */
};

struct search {
    struct geo_centre centre;
    double best_m;
    uint64_t geodesics;
    struct geo_point from; /* of the edge in hand */
    double lon_deg, lat_deg;
};

static double search_margin(const struct search *search)
{
    double margin_m = SHAPE_DISTANCE_M_MARGIN + 1e-9 * search->best_m;

    return ldexp(margin_m, 2 * (int)(search->geodesics / SHAPE_DISTANCE_GEODESICS));
}

static struct place search_at(struct search *search, double t)
{
    /* Rounding must not lift a place over the pole. */
    struct geo_point point = {
        .lon_deg = fmax(fmin(search->from.lon_deg + t * search->lon_deg, 180.0), -180.0),
        .lat_deg = fmax(fmin(search->from.lat_deg + t * search->lat_deg, 90.0), -90.0),
    };
    struct place place = {.t = t, .lat_deg = point.lat_deg};
    struct geo_arrival arrival = geo_arrival_of(search->centre.point, point);
    struct geo_radii radii = geo_radii_of(point.lat_deg);
    double east = radii.parallel_m * search->lon_deg, north = radii.meridian_m * search->lat_deg;
    double speed = hypot(east, north);

    place.f_m = arrival.distance_m;
    if (speed > 0)
        place.slope = (arrival.east * east + arrival.north * north) / speed;
    search->geodesics++;
    search->best_m = fmin(search->best_m, place.f_m);
    return place;
}

/* Metres along the edge between two places of it, or a little more. */
static double interval_length_m(const struct search *search, const struct interval *in)
{
    double low = fmin(fabs(in->a.lat_deg), fabs(in->b.lat_deg));
    double high = fmax(fabs(in->a.lat_deg), fabs(in->b.lat_deg));

    if ((in->a.lat_deg < 0) != (in->b.lat_deg < 0))
        low = 0;
    return (in->b.t - in->a.t) * RAD_OF_DEG *
           hypot(geo_radii_of(low).parallel_m * search->lon_deg,
                 geo_radii_of(high).meridian_m * search->lat_deg);
}

/* The most that the edge bends away from a geodesic: it is straight on the map only. */
static double interval_bend(const struct search *search, const struct interval *in)
{
    double high = fmax(fabs(in->a.lat_deg), fabs(in->b.lat_deg)) * RAD_OF_DEG;
    double by_latitude = 1.09 * tan(high) / CURVATURE_M_MIN;
    double by_slant = 2.0 * fabs(search->lon_deg) / (CURVATURE_M_MIN * fabs(search->lat_deg));

    if (!(by_latitude >= 0)) /* A hair beyond the pole. */
        by_latitude = INFINITY;
    return fmin(by_latitude, search->lat_deg == 0 ? INFINITY : by_slant) + 2e-9;
}

/*
 * How strongly the distance's slope may fall, per metre, given the bend, the
 * largest distance and the slopes at both ends; 0 where it is convex.
 */
static double interval_concavity(const struct interval *in, double bend, double length_m,
                                 double far_m)
{
    double circle = 1.0 / tan(far_m / CURVATURE_M_MIN) / CURVATURE_M_MIN;
    double most = bend + fmax(0.0, -circle);
    double slope = fmax(fabs(in->a.slope), fabs(in->b.slope)) + most * length_m;

    if (circle > 0 && slope < 1)
        return fmax(0.0, bend - (1.0 - slope * slope) * circle);
    return most;
}

/* Nothing between the two places is nearer than this. */
static double interval_lower_m(const struct search *search, const struct interval *in)
{
    double length_m = interval_length_m(search, in);
    double lower_m = (in->a.f_m + in->b.f_m - length_m) / 2;
    double far_m = (in->a.f_m + in->b.f_m + length_m) / 2;
    double sag, left, right;

    if (length_m == 0 || !(far_m < SMOOTH_M_MAX) || lower_m >= search->best_m)
        return lower_m;
    sag = interval_concavity(in, interval_bend(search, in), length_m, far_m) * length_m / 2;
    left = in->a.slope - sag;
    right = in->b.slope + sag;
    if (left >= 0)
        return fmax(lower_m, in->a.f_m);
    if (right <= 0)
        return fmax(lower_m, in->b.f_m);
    return fmax(lower_m,
                (in->a.f_m * right - in->b.f_m * left + left * right * length_m) / (right - left));
}

/* Where the foot of the perpendicular seems to be, as a part of the interval. */
static double interval_foot(const struct search *search, const struct interval *in)
{
    double length_m = interval_length_m(search, in);
    double near_m = fmin(in->a.f_m, in->b.f_m), part;

    if (in->halve || in->a.slope >= 0 || in->b.slope <= 0)
        return 0.5;
    if (near_m > PLANAR_M_MAX)
        part = in->a.slope / (in->a.slope - in->b.slope);
    else if (in->a.f_m < in->b.f_m)
        part = -in->a.slope * CURVATURE_M_MAX * tan(near_m / CURVATURE_M_MAX) / length_m;
    else
        part = 1 - in->b.slope * CURVATURE_M_MAX * tan(near_m / CURVATURE_M_MAX) / length_m;
    return part > 0.001 && part < 0.999 ? part : 0.5;
}

static void search_interval(struct search *search, struct interval first)
{
    struct interval stack[STACK_MAX];
    size_t count = 1;

    stack[0] = first;
    while (count > 0) {
        struct interval in = stack[--count];
        struct interval left = in, right = in;
        struct place middle;
        double part;

        if (!(interval_lower_m(search, &in) < search->best_m - search_margin(search)))
            continue;
        part = interval_foot(search, &in);
        middle = search_at(search, in.a.t + part * (in.b.t - in.a.t));
        left.b = right.a = middle;
        left.halve = part > 0.6;
        right.halve = part < 0.4;
        assert(count + 2 <= STACK_MAX);
        /* The nearer side first: what it finds may rule out the other. */
        stack[count++] = in.a.f_m < in.b.f_m ? right : left;
        stack[count++] = in.a.f_m < in.b.f_m ? left : right;
    }
}

static void search_edge(struct search *search, struct position a, struct position b)
{
    struct geo_point to = geo_point_of(b);
    struct interval all = {.halve = false};

    search->from = geo_point_of(a);
    search->lon_deg = to.lon_deg - search->from.lon_deg;
    search->lat_deg = to.lat_deg - search->from.lat_deg;
    all.a = search_at(search, 0);
    all.b = search_at(search, 1);
    search_interval(search, all);
}

/* ---- over the edges ---- */

/* Lower bounds of all positions' distances; the search's best is the least upper bound. */
static void bound_positions(struct search *search, const struct shape *shape, double *lower_m)
{
    for (uint32_t i = 0; i < shape->position_count; i++) {
        double upper_m;

        geo_distance_bounds(&search->centre, geo_point_of(shape->positions[i]), &lower_m[i],
                            &upper_m);
        search->best_m = fmin(search->best_m, upper_m);
    }
}

/*
 * A lower bound of the edge from position i to the next: from both ends, by
 * the most metres that its degrees can be.
 */
static double edge_lower_m(const struct shape *shape, const double *lower_m, uint32_t i,
                           double parallel_m)
{
    const struct position *a = &shape->positions[i], *b = &shape->positions[i + 1];
    double east_m = parallel_m * RAD_OF_DEG * ((double)b->lon_e7 - a->lon_e7) / 1e7;
    double north_m = CURVATURE_M_MAX * RAD_OF_DEG * ((double)b->lat_e7 - a->lat_e7) / 1e7;

    return (lower_m[i] + lower_m[i + 1] - sqrt(east_m * east_m + north_m * north_m)) / 2;
}

static void search_edge_at(struct search *search, const struct shape *shape, uint32_t i)
{
    struct position a = shape->positions[i], b = shape->positions[i + 1];
    struct position min = {.lon_e7 = a.lon_e7 < b.lon_e7 ? a.lon_e7 : b.lon_e7,
                           .lat_e7 = a.lat_e7 < b.lat_e7 ? a.lat_e7 : b.lat_e7};
    struct position max = {.lon_e7 = a.lon_e7 > b.lon_e7 ? a.lon_e7 : b.lon_e7,
                           .lat_e7 = a.lat_e7 > b.lat_e7 ? a.lat_e7 : b.lat_e7};

    if (geo_box_lower_m(&search->centre, min, max) < search->best_m)
        search_edge(search, a, b);
}

/* The edge that may come nearest first, then all that still may come nearer. */
static void search_edges(struct search *search, const struct shape *shape, double *lower_m)
{
    double low_deg = 0, parallel_m, least_m = INFINITY;
    uint32_t first = UINT32_MAX;

    if (shape->min.lat_e7 > 0 || shape->max.lat_e7 < 0)
        low_deg = fmin(fabs(shape->min.lat_e7 / 1e7), fabs(shape->max.lat_e7 / 1e7));
    parallel_m = geo_radii_of(low_deg).parallel_m;
    for (uint32_t p = 0; p < shape->path_count; p++) {
        const struct shape_path *path = &shape->paths[p];
        uint32_t last = path->first + path->count - 1;

        for (uint32_t i = path->first; i < last; i++) {
            lower_m[i] = edge_lower_m(shape, lower_m, i, parallel_m);
            if (lower_m[i] < least_m) {
                least_m = lower_m[i];
                first = i;
            }
        }
        lower_m[last] = INFINITY; /* No edge begins there. */
    }
    if (first == UINT32_MAX)
        return;
    search_edge_at(search, shape, first);
    for (uint32_t i = 0; i < shape->position_count; i++) {
        if (i != first && lower_m[i] < search->best_m)
            search_edge_at(search, shape, i);
    }
}

static void search_points(struct search *search, const struct shape *shape, const double *lower_m)
{
    double least_m = INFINITY;

    for (uint32_t i = 0; i < shape->position_count; i++) {
        if (lower_m[i] > search->best_m)
            continue;
        least_m =
            fmin(least_m, geo_distance_m(search->centre.point, geo_point_of(shape->positions[i])));
        search->geodesics++;
    }
    search->best_m = least_m;
}

/* In the measure of a row's comparison, about a microsecond. */
static uint64_t search_work(const struct search *search, const struct shape *shape)
{
    return 1 + shape->position_count / 8 + search->geodesics;
}

enum torg_err shape_distance(const struct shape *shape, const struct geo_centre *centre,
                             uint64_t *work, double *ret_m)
{
    struct search search = {.centre = *centre, .best_m = INFINITY};
    double *lower_m;

    if (shape_holds(shape, centre->point)) {
        *work += search_work(&search, shape);
        *ret_m = 0;
        return TORG_OK;
    }
    lower_m = malloc(shape->position_count * sizeof(*lower_m));
    if (!lower_m)
        return TORG_E_NOMEM;
    bound_positions(&search, shape, lower_m);
    if (shape->kind == SHAPE_POINTS)
        search_points(&search, shape, lower_m);
    else
        search_edges(&search, shape, lower_m);
    free(lower_m);
    *work += search_work(&search, shape);
    *ret_m = search.best_m;
    return TORG_OK;
}
