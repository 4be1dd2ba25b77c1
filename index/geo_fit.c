/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/geo_fit.h"

#include <math.h>

#include "index/geo_series.h"

#define WGS84_A_M 6378137.0
#define WGS84_E2 (6.69437999014131699614e-3)
#define RAD_OF_DEG (M_PI / 180.0)
#define RAD_OF_E7 (RAD_OF_DEG / 1e7)
#define RADIUS_M_MIN 1.0
/* Within these the error bounds hold. */
#define HALF_HEIGHT_RAD_MAX GEO_SERIES_RAD_MAX
#define HALF_WIDTH_RAD_MAX 0.3
/* Of s: all rounding in single precision is below 2e-6 where s is near 1. */
#define ROUNDING 4e-6
/* Of the squared chord, times the fifth power of half the height: what the polynomials miss. */
#define INTERPOLATION_M2 (0.0025 * WGS84_A_M * WGS84_A_M)

/* The zeros of Chebyshev's fifth polynomial are 0 and plus and minus these; their squares. */
#define ZERO_OUTER 0.95105651629515357
#define ZERO_INNER 0.58778525229247313
#define ZERO_OUTER2 0.90450849718747371
#define ZERO_INNER2 0.34549150281252627

static const double zeros[GEO_FIT_TERMS] = {-ZERO_OUTER, -ZERO_INNER, 0, ZERO_INNER, ZERO_OUTER};

/*
 * The polynomial through five values at those zeros, divided by step (1 to 2): its
 * terms in y. Even and odd powers are found apart, from sums and differences of
 * the values on both sides.
 */
static void interpolate(const double values[GEO_FIT_TERMS], double step, double scale,
                        float terms[GEO_FIT_TERMS])
{
    double even_outer = ((values[4] + values[0]) / 2 - values[2]) * (1 / ZERO_OUTER2);
    double even_inner = ((values[3] + values[1]) / 2 - values[2]) * (1 / ZERO_INNER2);
    double odd_outer = (values[4] - values[0]) * (1 / (2 * ZERO_OUTER));
    double odd_inner = (values[3] - values[1]) * (1 / (2 * ZERO_INNER));
    double fourth = (even_outer - even_inner) * (1 / (ZERO_OUTER2 - ZERO_INNER2));
    double third = (odd_outer - odd_inner) * (1 / (ZERO_OUTER2 - ZERO_INNER2));
    double step2 = step * step;

    terms[0] = (float)(values[2] * scale);
    terms[1] = (float)((odd_outer - third * ZERO_OUTER2) * step * scale);
    terms[2] = (float)((even_outer - fourth * ZERO_OUTER2) * step2 * scale);
    terms[3] = (float)(third * step * step2 * scale);
    terms[4] = (float)(fourth * step2 * step2 * scale);
}

static bool fit_possible(const struct geo_circle *circle)
{
    const struct geo_window *window = &circle->window;
    double width = (double)window->east_e7[0] - (double)window->west_e7[0];
    double height = (double)window->north_e7 - (double)window->south_e7;

    return circle->radius_m >= RADIUS_M_MIN && circle->chord2_out_m2 < INFINITY &&
           window->west_e7[0] == window->west_e7[1] && window->east_e7[0] == window->east_e7[1] &&
           width * RAD_OF_E7 < 2 * HALF_WIDTH_RAD_MAX - 1e-6 &&
           height * RAD_OF_E7 < 2 * HALF_HEIGHT_RAD_MAX - 1e-6 &&
           window->north_e7 < GEO_LAT_E7_MAX && window->south_e7 > -GEO_LAT_E7_MAX;
}

/*
 * A, and B's part of the latitude, so far north of the centre: up to HALF_HEIGHT_RAD_MAX and a
 * little, where these series are as exact as libm.
 */
static void fit_values(const struct geo_centre *centre, double lat, double *ret_a, double *ret_b)
{
    double sine = geo_series_sine(lat), cosine = geo_series_cosine(lat);
    double sin_lat = centre->sin_lat * cosine + centre->cos_lat * sine;
    double cos_lat = centre->cos_lat * cosine - centre->sin_lat * sine;
    double vertical_m = WGS84_A_M / sqrt(1 - WGS84_E2 * sin_lat * sin_lat);
    double axis_m = vertical_m * cos_lat, out_m = axis_m - centre->axis_m;
    double up_m = vertical_m * (1 - WGS84_E2) * sin_lat - centre->plane_m;

    *ret_a = out_m * out_m + up_m * up_m;
    *ret_b = 4 * axis_m * centre->axis_m;
}

struct geo_fit geo_fit_of(const struct geo_circle *circle)
{
    const struct geo_centre *centre = &circle->centre;
    struct geo_fit fit = {.usable = fit_possible(circle), .window = circle->window};
    double a[GEO_FIT_TERMS], b[GEO_FIT_TERMS], half, part, step, lon_e7, scale, rad, margin;
    int exponent;

    if (!fit.usable)
        return fit;
    lon_e7 = round(centre->point.lon_deg * 1e7);
    fit.lon_e7 = (int32_t)lon_e7;
    fit.lat_e7 = (int32_t)round(centre->point.lat_deg * 1e7);
    half = fmax((double)fit.window.north_e7 - fit.lat_e7, (double)fit.lat_e7 - fit.window.south_e7);
    frexp(half, &exponent); /* half is at least 80 units: the radius is a metre or more */
    fit.unit = (float)ldexp(1, -exponent);
    fit.lon_part = (float)ldexp(centre->point.lon_deg * 1e7 - lon_e7, -exponent);
    rad = ldexp(RAD_OF_E7, exponent); /* of one y or x */
    part = fit.lat_e7 - centre->point.lat_deg * 1e7;
    for (unsigned k = 0; k < GEO_FIT_TERMS; k++)
        fit_values(centre, (part + half * zeros[k]) * RAD_OF_E7, &a[k], &b[k]);
    scale = 1 / circle->chord2_out_m2;
    step = ldexp(1, exponent) / half;
    interpolate(a, step, scale, fit.a);
    interpolate(b, step, scale * rad * rad / 4, fit.b);
    fit.lon_4 = (float)(rad * rad / 12);
    fit.lon_6 = (float)(rad * rad * rad * rad / 360);
    half *= RAD_OF_E7;
    margin = ROUNDING + INTERPOLATION_M2 * (half * half * half * half * half) * scale;
    fit.in = (float)(circle->chord2_in_m2 * scale - margin);
    fit.out = (float)(1 + margin);
    fit.margin = (float)(1.001 * margin);
    fit.b_peak = fit.window.south_e7 <= 0 && fit.window.north_e7 >= 0 ? 1.01f : 1.0f;
    return fit;
}
