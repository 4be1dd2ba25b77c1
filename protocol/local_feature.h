/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_LOCAL_FEATURE_H
#define TORG_PROTOCOL_LOCAL_FEATURE_H

#include <jansson.h>

#include "protocol/problem.h"
#include "protocol/queryables.h"

/*
 * Features of local collections: any GeoJSON, with properties that no table
 * knows. They belong to one node, which shows them; they are not signed and
 * not replicated. Of each property the type is found in the first value that
 * is not null; later ones must fit it.
 */
#define LOCAL_NAME_BYTES_MAX 64
#define LOCAL_ID_BYTES_MAX 200
#define LOCAL_PROPERTY_NAME_BYTES_MAX 128
#define LOCAL_FEATURE_BYTES_MAX 4194304
#define LOCAL_DEPTH_MAX 16 /* of values in properties */

/* Letters, digits, '-' and '_', a letter first, and no name of a collection of listings. */
bool local_name_valid(struct span name);

/* All zero is empty. */
struct local_feature {
    struct buffer json; /* ready to send; ends with "}}" */
    char id[LOCAL_ID_BYTES_MAX + 1];
    bool has_geometry;
    struct position min, max;
};
void local_feature_done(struct local_feature *feature);

/* What every local collection has: a geometry. */
void local_types_init(struct queryables *types);

/*
 * Read one feature. Its id is its own, a string or a number, or else made from
 * what it says, so that the same feature is known again. Coordinates are
 * degrees, times without an offset are taken as UTC. types grows by properties
 * that were not known, and a property whose strings all were times becomes a
 * string with the first that is none. TORG_E_INVALID: problems say why, and
 * types is as before.
 */
enum torg_err local_feature_read(const json_t *feature, struct queryables *types,
                                 struct local_feature *ret_feature, struct problems *problems);

/*
 * The filter, as CQL2 text, that leaves what has a time from from_ms through
 * through_ms, or no time: by the properties start and end where both are
 * times, else by the first property that is one. Nothing when there is none.
 */
void local_put_when(const struct queryables *types, int64_t from_ms, int64_t through_ms,
                    struct buffer *out);

#endif
