/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_SHAPE_DISTANCE_H
#define TORG_INDEX_SHAPE_DISTANCE_H

#include "index/shape.h"

/*
 * The geodesic distance, on the ellipsoid, from a centre to the nearest point
 * of a shape: 0 inside an area. Edges run as RFC 7946 says, straight in
 * longitude and latitude. At most SHAPE_DISTANCE_M_MARGIN and a thousand
 * millionth of itself above the true minimum, never below it; the same shape
 * and centre always give the same number. For a shape of many edges that go
 * half around the earth and stay equally far all the way, the margin is made
 * larger as the geodesics mount up (SHAPE_DISTANCE_GEODESICS, then 4 times for
 * each further so many), so that nobody can draw what takes for ever.
 *
 * Adds to *work about the microseconds that it took; TORG_E_NOMEM. Any thread.
 * Method: branch and bound along each edge; the bounds are in docs/index.md,
 * "Nearest point of a shape".
 */
#define SHAPE_DISTANCE_M_MARGIN 1e-4
#define SHAPE_DISTANCE_GEODESICS 4096
enum torg_err shape_distance(const struct shape *shape, const struct geo_centre *centre,
                             uint64_t *work, double *ret_m);

#endif
