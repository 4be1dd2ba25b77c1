/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/geo_short.h"

#include <math.h>

#define WGS84_A_M 6378137.0
/* a²/b², the ellipsoid's third axis against the others, squared. */
#define FLATNESS (1.0 / (1.0 - 6.69437999014131699614e-3))

bool geo_short_m(const struct geo_centre *centre, struct geo_point point, double *ret_m)
{
    struct geo_apart apart = geo_apart_of(centre, point);
    double out = apart.axis_m - centre->axis_m, up = apart.plane_m - centre->plane_m;
    double out_sum = apart.axis_m + centre->axis_m, up_sum = apart.plane_m + centre->plane_m;
    double across = 4 * apart.axis_m * centre->axis_m * apart.half_lon_sine * apart.half_lon_sine;
    double chord2 = out * out + up * up + across;
    double axis2, plane2, rise2, bend, bend_squares, q, q_ratio, curvature2, change, x;

    if (!(chord2 <= GEO_SHORT_CHORD_M_MAX * GEO_SHORT_CHORD_M_MAX))
        return false;
    if (chord2 == 0) {
        *ret_m = 0;
        return true;
    }
    /* Four times the square of the chord's middle, along the equator's plane and the axis. */
    axis2 = out_sum * out_sum - across;
    plane2 = up_sum * up_sum;
    rise2 = up * up / chord2;
    bend = 1 + (FLATNESS - 1) * rise2;
    bend_squares = 1 + (FLATNESS * FLATNESS - 1) * rise2;
    q = axis2 + FLATNESS * FLATNESS * plane2;
    q_ratio = (axis2 + FLATNESS * plane2) / (q * WGS84_A_M * WGS84_A_M);
    curvature2 = bend * bend * q_ratio;
    change = -3 * q_ratio *
             (bend_squares - bend * (axis2 + FLATNESS * FLATNESS * FLATNESS * plane2) / q);
    x = chord2 * curvature2 / 4;
    *ret_m = sqrt(chord2) *
             (1 + x * (1.0 / 6 + x * (3.0 / 40 + x * (5.0 / 112))) + x * chord2 * change / 120);
    return true;
}

bool geo_short_rounds(double short_m)
{
    double halves = short_m * 2000;

    double nearest = (double)(int64_t)(halves + 0.5);

    return fabs(halves - nearest) > 2000 * GEO_SHORT_ERROR_M;
}
