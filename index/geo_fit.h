/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_GEO_FIT_H
#define TORG_INDEX_GEO_FIT_H

#include "index/geo.h"

/*
 * A circle as two polynomials in single precision, for deciding about many
 * positions or boxes at once. The square of a chord is A(lat) + B(lat) H(lon),
 * with H the squared sine of half the difference in longitude. With y and x the
 * differences from (lat_e7, lon_e7) in units of 1e-7 degree, times unit, x less
 * lon_part, and u = x²:
 *
 *     s = A(y) + B(y) u (1 - u (lon_4 - u lon_6)),   in units of the outer chord's square
 *
 * s <= in: surely in the circle; s > out: surely outside. Between is a few
 * millionths of the radius, and geo_circle_side decides. Only for what lies in
 * the circle's window; the error is proved in docs/index.md.
 *
 * unit is the power of two that makes the greatest y of the window a number
 * between 1/2 and 1. It costs no digit, and without it the higher terms would be
 * so small (1e-40) that a processor takes a hundred times as long for each.
 */
#define GEO_FIT_TERMS 5
struct geo_fit {
    bool usable; /* not over the antimeridian or a pole, of 1 m to about 350 km */
    struct geo_window window;
    int32_t lat_e7, lon_e7;
    float unit, lon_part;
    float a[GEO_FIT_TERMS], b[GEO_FIT_TERMS]; /* of rising powers */
    float lon_4, lon_6;
    float in, out;
    float margin; /* the square of a chord is at most this away from s, up to s = 1 */
    float b_peak; /* B within a range is at most this times the greater one of its ends */
};
struct geo_fit geo_fit_of(const struct geo_circle *circle);

/* s of a position in the window. */
static inline float geo_fit_poly(const float terms[GEO_FIT_TERMS], float y)
{
    return terms[0] + y * (terms[1] + y * (terms[2] + y * (terms[3] + y * terms[4])));
}
static inline float geo_fit_lat(const struct geo_fit *fit, int32_t lat_e7)
{
    return (float)(int32_t)((uint32_t)lat_e7 - (uint32_t)fit->lat_e7) * fit->unit;
}
/* u (1 - ...): what the longitude adds, before B. */
static inline float geo_fit_lon(const struct geo_fit *fit, int32_t lon_e7)
{
    float x =
        (float)(int32_t)((uint32_t)lon_e7 - (uint32_t)fit->lon_e7) * fit->unit - fit->lon_part;
    float u = x * x;

    return u * (1.0f - u * (fit->lon_4 - u * fit->lon_6));
}

#endif
