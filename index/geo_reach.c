/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/geo_reach.h"

/* The least radius of curvature, rounded down (docs/index.md, "Bounds"). */
#define CURVATURE_M_MIN 6335439.0
/* All rounding in single precision is below a tenth of it. */
#define ROUNDING 1e-5

struct geo_reach geo_reach_of(const struct geo_centre *centre)
{
    return (struct geo_reach){
        .lon_e7 = (int32_t)lround(centre->point.lon_deg * 1e7),
        .lat_e7 = (int32_t)lround(centre->point.lat_deg * 1e7),
        .cos_lat = (float)fmax(centre->cos_lat, 0.0),
        .near_m = (float)(centre->meridian_near_m * (1 - ROUNDING)),
        .far_m = (float)(CURVATURE_M_MIN * (1 - ROUNDING)),
    };
}
