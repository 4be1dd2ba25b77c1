/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/geo_fit.h"

#include <math.h>

#define WGS84_A_M 6378137.0
#define WGS84_E2 (6.69437999014131699614e-3)
#define RAD_OF_DEG (M_PI / 180.0)
#define RAD_OF_E7 (RAD_OF_DEG / 1e7)
#define RADIUS_M_MIN 1.0
/* Within these the error bounds hold. */
#define HALF_HEIGHT_RAD_MAX 0.06
#define HALF_WIDTH_RAD_MAX 0.3
/* Of s: all rounding in single precision is below 2e-6 where s is near 1. */
#define ROUNDING 4e-6
/* Of the squared chord, times the fifth power of half the height: what the polynomials miss. */
#define INTERPOLATION_M2 (0.0025 * WGS84_A_M * WGS84_A_M)

/* Chebyshev's polynomials of degree i at the five zeros of the fifth. */
static const double chebyshev[GEO_FIT_TERMS][GEO_FIT_TERMS] = {
    {1, 1, 1, 1, 1},
    {0.95105651629515357, 0.58778525229247313, 0, -0.58778525229247313, -0.95105651629515357},
    {0.80901699437494742, -0.30901699437494742, -1, -0.30901699437494742, 0.80901699437494742},
    {0.58778525229247313, -0.95105651629515357, 0, 0.95105651629515357, -0.58778525229247313},
    {0.30901699437494742, -0.80901699437494742, 1, -0.80901699437494742, 0.30901699437494742},
};

/* The polynomial through five values at those zeros, times half (1/2 to 1): terms in y. */
static void interpolate(const double values[GEO_FIT_TERMS], double half, double scale,
                        float terms[GEO_FIT_TERMS])
{
    double c[GEO_FIT_TERMS], m[GEO_FIT_TERMS], unit = scale;

    for (unsigned i = 0; i < GEO_FIT_TERMS; i++) {
        c[i] = 0;
        for (unsigned k = 0; k < GEO_FIT_TERMS; k++)
            c[i] += values[k] * chebyshev[i][k];
        c[i] *= i == 0 ? 0.2 : 0.4;
    }
    m[0] = c[0] - c[2] + c[4];
    m[1] = c[1] - 3 * c[3];
    m[2] = 2 * c[2] - 8 * c[4];
    m[3] = 4 * c[3];
    m[4] = 8 * c[4];
    for (unsigned i = 0; i < GEO_FIT_TERMS; i++) {
        terms[i] = (float)(m[i] * unit);
        unit /= half;
    }
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

struct geo_fit geo_fit_of(const struct geo_circle *circle)
{
    const struct geo_centre *centre = &circle->centre;
    struct geo_fit fit = {.usable = fit_possible(circle), .window = circle->window};
    double a[GEO_FIT_TERMS], b[GEO_FIT_TERMS], half, lon_e7, scale, rad, margin;
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
    for (unsigned k = 0; k < GEO_FIT_TERMS; k++) {
        double lat = (fit.lat_e7 + half * chebyshev[1][k]) * RAD_OF_E7;
        double sine = sin(lat), vertical_m = WGS84_A_M / sqrt(1 - WGS84_E2 * sine * sine);
        double axis_m = vertical_m * cos(lat), out_m = axis_m - centre->axis_m;
        double up_m = vertical_m * (1 - WGS84_E2) * sine - centre->plane_m;

        a[k] = out_m * out_m + up_m * up_m;
        b[k] = 4 * axis_m * centre->axis_m;
    }
    scale = 1 / circle->chord2_out_m2;
    interpolate(a, ldexp(half, -exponent), scale, fit.a);
    interpolate(b, ldexp(half, -exponent), scale * rad * rad / 4, fit.b);
    fit.lon_4 = (float)(rad * rad / 12);
    fit.lon_6 = (float)(rad * rad * rad * rad / 360);
    margin = ROUNDING + INTERPOLATION_M2 * pow(half * RAD_OF_E7, GEO_FIT_TERMS) * scale;
    fit.in = (float)(circle->chord2_in_m2 * scale - margin);
    fit.out = (float)(1 + margin);
    fit.margin = (float)(1.001 * margin);
    fit.b_peak = fit.window.south_e7 <= 0 && fit.window.north_e7 >= 0 ? 1.01f : 1.0f;
    return fit;
}
