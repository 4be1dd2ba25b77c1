/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_GEO_H
#define TORG_INDEX_GEO_H

#include "protocol/err.h"
#include "protocol/listing.h"

/*
 * Positions and distances on WGS 84. The distance that counts is the geodesic
 * on the ellipsoid (Karney 2013, PROJ's geodesic.h); everything cheaper is a
 * bound with a margin. The proofs of the bounds stand in docs/index.md. Other
 * coordinate systems: geo_transform.h. Any thread.
 */
#define GEO_RADIUS_M_MAX 20004000.0 /* a little above half a meridian */
#define GEO_LON_E7_MAX 1800000000
#define GEO_LAT_E7_MAX 900000000

struct geo_point {
    double lon_deg; /* -180..180 */
    double lat_deg; /* -90..90 */
};

/* west > east: over the antimeridian. */
struct geo_box {
    double west_deg, south_deg, east_deg, north_deg;
};

/* False for what is not finite, too. */
bool geo_point_valid(struct geo_point point);
bool geo_box_valid(const struct geo_box *box);
bool geo_position_valid(struct position position);
struct geo_point geo_point_of(struct position position);

/*
 * Exact, in metres. Both points are valid. The last bit may depend on the
 * order: everywhere the centre comes first and the listing second.
 */
double geo_distance_m(struct geo_point centre, struct geo_point point);

/*
 * The same distance, and the direction in which the shortest way arrives at the
 * point, as parts east and north of a unit vector: the distance grows with a
 * step by the step's part along it (first variation).
 */
struct geo_arrival {
    double distance_m;
    double east, north;
};
struct geo_arrival geo_arrival_of(struct geo_point centre, struct geo_point point);
/* Metres that a radian is long: of latitude, and of longitude along the parallel. */
struct geo_radii {
    double meridian_m, parallel_m;
};
struct geo_radii geo_radii_of(double lat_deg);

/*
 * Bounds of the geodesic distance from a fixed centre.
 * lower_m <= geo_distance_m <= upper_m, always; 2 cm apart at 100 km.
 */
struct geo_centre {
    struct geo_point point;
    double sin_lat, cos_lat; /* of the centre */
    double axis_m, plane_m;  /* metres from the earth's axis, and from the equator's plane */
    double meridian_near_m;  /* the least meridional radius of curvature near the centre */
};
/* Within this angle, about 300 km, the meridian's own curvature bounds boxes. */
#define GEO_NEAR_RAD_MAX 0.05
struct geo_centre geo_centre_of(struct geo_point point);
/*
 * Where a point lies, as seen from the centre: metres from the earth's axis and
 * from the equator's plane, and the sine of half the difference in longitude.
 * Within a few nanometres; near the centre without trigonometry.
 */
struct geo_apart {
    double axis_m, plane_m;
    double half_lon_sine;
};
struct geo_apart geo_apart_of(const struct geo_centre *centre, struct geo_point point);
void geo_distance_bounds(const struct geo_centre *centre, struct geo_point point,
                         double *ret_lower_m, double *ret_upper_m);
/*
 * Of whatever has a chord between these through the earth, both in square metres:
 * 0 <= lower, upper at most 10^12.
 */
void geo_chord_bounds(double chord2_lower_m2, double chord2_upper_m2, double *ret_lower_m,
                      double *ret_upper_m);
/*
 * Lower bound of the distance to anything in the box, upper bound of the
 * farthest. min <= max in both fields: such a box does not cross the
 * antimeridian. For boxes of a degree or less within 1 % of the distance and
 * a small part of their size.
 */
double geo_box_lower_m(const struct geo_centre *centre, struct position min, struct position max);
double geo_box_upper_m(const struct geo_centre *centre, struct position min, struct position max);

/*
 * What a box or a circle covers in whole units of 1e-7 degree: latitudes, and
 * one or two ranges of longitude (two over the antimeridian). -180 and 180 are
 * the same meridian, so a window that touches one holds the other. Comparing
 * with a window of a box is exact, as if geo_point_of were compared with its
 * degrees; that of a circle holds every point of it and some beyond.
 */
struct geo_window {
    int32_t south_e7, north_e7;
    int32_t west_e7[2], east_e7[2]; /* both the same when there is one range */
};
struct geo_window geo_window_all(void);
struct geo_window geo_window_of_box(const struct geo_box *box);
/* radius_m >= 0; INFINITY gives everything. */
struct geo_window geo_window_of_circle(struct geo_point centre, double radius_m);
bool geo_window_overlaps(const struct geo_window *window, struct position min, struct position max);
/* Is the box wholly inside one of the ranges? */
bool geo_window_holds(const struct geo_window *window, struct position min, struct position max);

/*
 * A circle made ready for deciding about many positions: by the chord, without
 * trigonometry for what is near, and GEO_BORDER where only geo_distance_m can
 * tell: about a millionth of the radius wide at 100 km.
 */
enum geo_side { GEO_OUT, GEO_IN, GEO_BORDER };
struct geo_circle {
    struct geo_centre centre;
    double radius_m;
    struct geo_window window;
    double chord2_in_m2, chord2_out_m2; /* up to the one surely in, above the other surely out */
};
/* radius_m >= 0; INFINITY gives everything. */
struct geo_circle geo_circle_of(struct geo_point centre, double radius_m);
enum geo_side geo_circle_side(const struct geo_circle *circle, struct position position);

#endif
