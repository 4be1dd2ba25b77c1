/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_FILTER_H
#define TORG_INDEX_FILTER_H

#include "index/geo_transform.h"
#include "protocol/cql2.h"

/*
 * Does a feature, as the GeoJSON that is stored of it, pass a CQL2 filter?
 *
 * Three-valued logic: what compares with an absent value is neither true nor
 * false, and only what is true passes. Strings are compared by code point.
 * Times are in UTC; a date is a whole day, so a moment lies before it, within
 * it (then it is equal), or after it. Dividing by zero gives no value. Of a
 * language map the Swedish text counts, else the first. A geometry that GEOS
 * cannot relate to another, for it is not valid, has no value either.
 *
 * Spatial functions work in the plane of longitude and latitude, as GEOS does;
 * bboxes over the antimeridian are two. Method of CASEI and ACCENTI: Unicode
 * case folding, and decomposition without marks (utf8proc).
 */
#define FILTER_PATTERN_BYTES_MAX 256 /* of LIKE */
#define FILTER_WORK_MAX 1000000      /* of one feature */

struct filter;

/*
 * Takes the tree, also when it fails. names: of the schema's properties, by
 * number, must outlive the filter; "a.b" is member b of the property a, and the
 * geometry called "geometry" is the feature's. transform: of the system in which
 * the tree's geometries are written; NULL: CRS84. TORG_E_INVALID fills the
 * fault; TORG_E_NOMEM.
 */
enum torg_err filter_new(struct cql2 *tree, const struct cql2_schema *schema,
                         struct geo_transform *transform, struct filter **ret_filter,
                         struct cql2_fault *fault);
/* NULL is accepted. */
void filter_free(struct filter *filter);

/*
 * One thread at a time. TORG_E_CORRUPT when feature is no JSON; TORG_E_EXPENSIVE
 * past FILTER_WORK_MAX; TORG_E_NOMEM.
 */
enum torg_err filter_passes(struct filter *filter, struct span feature, bool *ret_passes);

/* What has been done so far, in the unit of QUERY_WORK_MAX. */
uint64_t filter_work(const struct filter *filter);

/*
 * What every passing feature fulfils as well, so that an index can find fewer
 * of them: its geometry's box meets this one; the string property has one of
 * these values, of which there are at most max. False: nothing is known.
 */
bool filter_box(const struct filter *filter, struct geo_box *ret_box);
size_t filter_values(const struct filter *filter, const char *property, struct span *values,
                     size_t max);
/* The list property holds all of these, and perhaps more: the first max that A_CONTAINS names. */
size_t filter_elements(const struct filter *filter, const char *property, struct span *values,
                       size_t max);

#endif
