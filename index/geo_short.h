/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_GEO_SHORT_H
#define TORG_INDEX_GEO_SHORT_H

#include "index/geo.h"

/*
 * The geodesic distance of what is not far, for a twentieth of what geod_inverse
 * costs: the arc of a circle that has the chord and the curvature of the normal
 * section in its middle, and the first term of what the curvature changes along
 * the way. Derived, with its bound, in docs/index.md ("Short ones").
 */

/* How far it is from geo_distance_m at most, in metres, all rounding included. */
#define GEO_SHORT_ERROR_M 1e-6
/* Chords up to this, in metres. */
#define GEO_SHORT_CHORD_M_MAX 250000.0

/* False, and nothing is written, for what is farther away. */
bool geo_short_m(const struct geo_centre *centre, struct geo_point point, double *ret_m);
/*
 * Does such a distance round as the exact one, wherever roundings part at whole
 * halves of a millimetre: to millimetres, to tens of metres, to kilometres? If
 * not, ask geo_distance_m. 0 <= short_m <= 1e9.
 */
bool geo_short_rounds(double short_m);

#endif
