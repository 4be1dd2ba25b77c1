/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_CRS_H
#define TORG_DAEMON_HTTP_CRS_H

#include <jansson.h>

#include "index/geo_transform.h"
#include "protocol/problem.h"

/*
 * The coordinate systems that the API speaks (OGC 18-058r1): CRS84, EPSG:4326,
 * 3006, 25833 and 3857, each in its authority's order of axes. Listings are
 * stored in CRS84.
 */

/* The URIs in order, CRS84 first; NULL behind the last. */
const char *http_crs_at(size_t i);
/* "http://www.opengis.net/def/crs/EPSG/0/3006", or "EPSG:3006"; false if it is none of ours. */
bool http_crs_find(struct span text, enum geo_crs *ret_crs);
const char *http_crs_uri(enum geo_crs crs);

/*
 * A box of a system, four numbers in its order of axes, as the box of degrees
 * that is searched. What lies wholly off the earth becomes a box in which
 * nothing stands. TORG_E_INVALID: a minimum above its maximum, not finite.
 */
enum torg_err http_crs_box(enum geo_crs crs, const double numbers[4], struct geo_box *ret_box);

/*
 * A GeoJSON feature again, with the positions of its member geometry in the
 * transform's system, to a tenth of a millimetre. A geometry that the system
 * cannot hold (EPSG:3857 at a pole) becomes null. Heights are left as they are.
 * TORG_E_CORRUPT, and nothing appended, for what is no feature.
 */
enum torg_err http_crs_put_feature(struct geo_transform *transform, enum geo_crs crs,
                                   struct span feature, struct buffer *out);
/* The same of a listing, whose properties serves and itinerary have geometries, too. */
enum torg_err http_crs_put_listing(struct geo_transform *transform, enum geo_crs crs,
                                   struct span feature, struct buffer *out);

/*
 * The other way: all geometries of a listing's feature, or of a patch of one, come
 * in the system crs and are degrees afterwards, longitude first. What is no position is left as
 * it is, for whoever reads the listing names it. Positions that lie outside of where the
 * system is used become problems. TORG_E_NOMEM, TORG_E_INTERNAL.
 */
enum torg_err http_crs_read_listing(enum geo_crs crs, json_t *feature, struct problems *problems);

#endif
