/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_SHAPE_QUERY_H
#define TORG_INDEX_SHAPE_QUERY_H

#include "index/catalogue_row.h"
#include "index/shape_box.h"
#include "index/shape_region.h"

/*
 * What one query asks of the catalogue's lines and areas: their distance from
 * a centre, and whether they touch a box or a region. Geometries are read from the
 * listings' payloads when a box cannot decide; answers are kept, since counting
 * and paging ask twice. For trees and rows alike, so that both say the same.
 */
struct shape_query; /* one thread */

/*
 * kv and region are borrowed and outlive it. box or region NULL: none is asked
 * for; centre NULL: no distance is. Allocates little until the first area comes.
 */
enum torg_err shape_query_new(const struct kv *kv, const struct geo_box *box,
                              const struct shape_region *region, const struct geo_point *centre,
                              struct shape_query **ret_query);
void shape_query_free(struct shape_query *query);

/* For struct rtree_query; lives as long as the query. */
const struct rtree_shapes *shape_query_shapes(const struct shape_query *query);

/*
 * The same questions of a row that has a place. TORG_E_CORRUPT, TORG_E_NOMEM,
 * TORG_E_EXPENSIVE when the geometries that were asked for took too long.
 */
enum torg_err shape_query_boxed(struct shape_query *query, const struct catalogue_row *row,
                                bool *ret_touches);
enum torg_err shape_query_touches(struct shape_query *query, const struct catalogue_row *row,
                                  bool *ret_touches);
enum torg_err shape_query_within(struct shape_query *query, const struct catalogue_row *row,
                                 double radius_m, bool *ret_within);
/* The distance; a lower bound that costs little, for leaving out what is too far. */
enum torg_err shape_query_distance(struct shape_query *query, const struct catalogue_row *row,
                                   double *ret_m);
/* A distance that rounds as the exact one wherever geo_short_rounds says so. */
enum torg_err shape_query_rounded(struct shape_query *query, const struct catalogue_row *row,
                                  double *ret_m);
double shape_query_lower_m(const struct shape_query *query, const struct catalogue_row *row);

struct shape_query_work {
    uint64_t read;      /* geometries */
    uint64_t geodesics; /* of rows that are points */
    uint64_t work;      /* about microseconds */
};
struct shape_query_work shape_query_work(const struct shape_query *query);
/* What went wrong where no error could be given back: part of every query's end. */
enum torg_err shape_query_err(const struct shape_query *query);

#endif
