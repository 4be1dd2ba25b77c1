/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_GEO_TRANSFORM_H
#define TORG_INDEX_GEO_TRANSFORM_H

#include "index/geo.h"

/* Coordinate systems that the importer and the API know. */
enum geo_crs { GEO_CRS84, GEO_EPSG_4326, GEO_EPSG_3006, GEO_EPSG_25833, GEO_EPSG_3857, GEO_RT90 };
struct geo_transform; /* one thread */
enum torg_err geo_transform_new(enum geo_crs crs, struct geo_transform **ret_transform);
void geo_transform_free(struct geo_transform *transform);
/*
 * To WGS 84 degrees; TORG_E_INVALID outside the system's area. Axis order of
 * the authority: CRS84 lon, lat; 4326 lat, lon; 3006 N, E; 25833 E, N; 3857
 * x, y; RT90 (2.5 gon V) x northwards, y. RT90 follows Lantmateriet's direct
 * projection, within a few decimetres.
 */
enum torg_err geo_transform_point(struct geo_transform *transform, double first, double second,
                                  struct geo_point *ret_point);
/* The other way. TORG_E_INVALID for a point outside the system's area. */
enum torg_err geo_transform_back(struct geo_transform *transform, struct geo_point point,
                                 double *ret_first, double *ret_second);
/*
 * The same wherever the projection itself is sound, not in the system's own
 * area only: what an answer needs, whose listings may lie anywhere. Within the
 * area equal to geo_transform_back to the bit.
 */
enum torg_err geo_transform_back_wide(struct geo_transform *transform, struct geo_point point,
                                      double *ret_first, double *ret_second);
/*
 * The smallest box in degrees that holds a box of the system: {first min,
 * second min, first max, second max}, each finite, in the authority's axis
 * order. Its edges are followed, not its corners only, for they bend. A box
 * that reaches beyond where the projection is sound gives the whole earth (a
 * degree or a side of the Mercator square is cut at its end instead), so that
 * nothing is lost; longitudes may go over the antimeridian in a system of
 * degrees. TORG_E_NOT_FOUND: nothing of it is on the earth. TORG_E_INVALID: a
 * number is not finite, or a minimum above its maximum.
 */
enum torg_err geo_transform_box(struct geo_transform *transform, const double box[4],
                                struct geo_box *ret_box);

#endif
