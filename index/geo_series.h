/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_GEO_SERIES_H
#define TORG_INDEX_GEO_SERIES_H

/*
 * Sines and cosines of small angles by their series, as exact as libm within the
 * limits: what is cut off is below 2e-16 of the result, and multiplying by an
 * inverse instead of dividing rounds a term that is at most 1 / 200 of it once more.
 * Angles in radians.
 */
#define GEO_SERIES_RAD_MAX 0.06      /* of a cosine */
#define GEO_SERIES_SINE_RAD_MAX 0.15 /* of a sine */

static inline double geo_series_sine(double rad)
{
    double u = rad * rad;

    return rad *
           (1 - u * (1.0 / 6) * (1 - u * (1.0 / 20) * (1 - u * (1.0 / 42) * (1 - u * (1.0 / 72)))));
}

static inline double geo_series_cosine(double rad)
{
    double u = rad * rad;

    return 1 - u * (1.0 / 2) * (1 - u * (1.0 / 12) * (1 - u * (1.0 / 30) * (1 - u * (1.0 / 56))));
}

/* Of a sine up to GEO_SERIES_SINE_RAD_MAX: less than the arc sine by at most 3e-11. */
static inline double geo_series_arc_sine(double sine)
{
    double u = sine * sine;

    return sine * (1 + u * (1.0 / 6) *
                           (1 + u * (9.0 / 20) * (1 + u * (25.0 / 42) * (1 + u * (49.0 / 72)))));
}

#endif
