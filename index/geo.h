/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_GEO_H
#define TORG_INDEX_GEO_H

#include "protocol/err.h"
#include "protocol/listing.h"

/*
 * Positions and distances on WGS 84. The only file that includes PROJ. The
 * distance that counts is the geodesic on the ellipsoid (Karney 2013, PROJ's
 * geodesic.h); everything cheaper is a bound with a margin.
 * Functions without a geo_transform: any thread.
 */
#define GEO_RADIUS_M_MAX 20004000.0 /* a little above half a meridian */

struct geo_point {
    double lon_deg; /* -180..180 */
    double lat_deg; /* -90..90 */
};

/* west > east: over the antimeridian. */
struct geo_box {
    double west_deg, south_deg, east_deg, north_deg;
};

bool geo_point_valid(struct geo_point point);
bool geo_box_valid(const struct geo_box *box);
struct geo_point geo_point_of(struct position position);

/* Exact, in metres. */
double geo_distance_m(struct geo_point a, struct geo_point b);

/*
 * Bounds of the geodesic distance from a fixed centre, without trigonometry
 * per point for positions whose unit vector is at hand.
 * lower_m <= exact <= upper_m, always.
 */
struct geo_centre {
    struct geo_point point;
    double x, y, z; /* unit vector of the geodetic position */
};
struct geo_centre geo_centre_of(struct geo_point point);
void geo_distance_bounds(const struct geo_centre *centre, struct geo_point point,
                         double *ret_lower_m, double *ret_upper_m);
/* Lower bound of the distance to anything in the box, upper bound of the farthest. */
void geo_box_bounds(const struct geo_centre *centre, struct position min, struct position max,
                    double *ret_lower_m, double *ret_upper_m);

/* Coordinate systems that the importer and the API know. */
enum geo_crs { GEO_CRS84, GEO_EPSG_4326, GEO_EPSG_3006, GEO_EPSG_25833, GEO_EPSG_3857, GEO_RT90 };
struct geo_transform; /* one thread */
enum torg_err geo_transform_new(enum geo_crs from, struct geo_transform **ret_transform);
void geo_transform_free(struct geo_transform *transform);
/* To WGS 84 degrees; TORG_E_INVALID outside the system's area. Axis order of the authority. */
enum torg_err geo_transform_point(struct geo_transform *transform, double first, double second,
                                  struct geo_point *ret_point);

#endif
