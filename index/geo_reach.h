/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_GEO_REACH_H
#define TORG_INDEX_GEO_REACH_H

#include <math.h>

#include "index/geo.h"

/*
 * Lower bounds of the distances from a centre to boxes in single precision,
 * without trigonometry, so that many boxes are bounded at once. Never above
 * geo_distance_m to anything in the box. Up to 100 km away, and 85 degrees north
 * or south, within a thousandth of geo_box_lower_m; beyond GEO_REACH_SHARP_M up
 * to a third less, and who orders by them asks that one. docs/index.md proves
 * it. Any thread.
 */
#define GEO_REACH_SHARP_M 2000000.0

struct geo_reach {
    int32_t lon_e7, lat_e7; /* the centre, rounded */
    float cos_lat;
    float near_m, far_m; /* of a radian: up to GEO_NEAR_RAD_MAX, and beyond */
};
struct geo_reach geo_reach_of(const struct geo_centre *centre);

#define GEO_REACH_HALF_RAD 8.7266463e-10f /* of 1e-7 degree, half of it */
#define GEO_REACH_ROUND_E7 3600000000u
#define GEO_REACH_MARGIN_M 1e-3f

/* Units between two longitudes, or latitudes on one side, less the one that rounding can be. */
static inline float geo_reach_apart(uint32_t units)
{
    return (float)(units > 0 ? units - 1 : 0) * GEO_REACH_HALF_RAD;
}

/* Units between two meridians, the shorter way round. */
static inline uint32_t geo_reach_lon_units(int32_t a_e7, int32_t b_e7)
{
    uint32_t apart =
        a_e7 > b_e7 ? (uint32_t)a_e7 - (uint32_t)b_e7 : (uint32_t)b_e7 - (uint32_t)a_e7;

    return apart <= GEO_REACH_ROUND_E7 - apart ? apart : GEO_REACH_ROUND_E7 - apart;
}

/* At most the cosine of an angle of 0 to 90 degrees: its series up to a negative term. */
#define GEO_REACH_COSINE_ROUNDING 1e-6f
static inline float geo_reach_cosine(float rad)
{
    float u = rad * rad, sum = 1.0f / 40320 - u * (1.0f / 3628800);

    sum = 1.0f / 24 - u * (1.0f / 720 - u * sum);
    sum = (1.0f - GEO_REACH_COSINE_ROUNDING) - u * (1.0f / 2 - u * sum);
    return fmaxf(sum, 0.0f);
}

/* min <= max in both fields. */
static inline float geo_reach_box_m(const struct geo_reach *reach, struct position min,
                                    struct position max)
{
    uint32_t below = reach->lat_e7 < min.lat_e7 ? (uint32_t)(min.lat_e7 - reach->lat_e7) : 0;
    uint32_t above = reach->lat_e7 > max.lat_e7 ? (uint32_t)(reach->lat_e7 - max.lat_e7) : 0;
    uint32_t west = geo_reach_lon_units(reach->lon_e7, min.lon_e7);
    uint32_t east = geo_reach_lon_units(reach->lon_e7, max.lon_e7);
    bool beside = reach->lon_e7 < min.lon_e7 || reach->lon_e7 > max.lon_e7;
    int32_t highest = -min.lat_e7 > max.lat_e7 ? -min.lat_e7 : max.lat_e7;
    float lat = geo_reach_apart(below > above ? below : above);
    float lon = geo_reach_apart(!beside ? 0 : west < east ? west : east);
    float lat_sine = lat * (1.0f - lat * lat * (1.0f / 6));
    float lon_sine = lon * (1.0f - lon * lon * (1.0f / 6));
    float cosines = reach->cos_lat * geo_reach_cosine((float)highest * (2 * GEO_REACH_HALF_RAD));
    float haversine = lat_sine * lat_sine + cosines * (lon_sine * lon_sine);
    float angle = 2.0f * sqrtf(haversine) * (1.0f + haversine * (1.0f / 6));
    float lower_m = angle * (angle <= (float)GEO_NEAR_RAD_MAX ? reach->near_m : reach->far_m);

    return fmaxf(lower_m - GEO_REACH_MARGIN_M, 0.0f);
}

#endif
