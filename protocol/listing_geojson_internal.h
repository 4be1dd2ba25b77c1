/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_LISTING_GEOJSON_INTERNAL_H
#define TORG_PROTOCOL_LISTING_GEOJSON_INTERNAL_H

#include <jansson.h>

#include "protocol/listing_check.h"

/*
 * What the files that read GeoJSON share. Nobody else includes this.
 *
 *   listing_geojson_parse.c     a feature and its properties
 *   listing_geojson_geometry.c  numbers and positions
 */

struct listing_geojson_convert {
    uint8_t collection;
    const char *language;
    struct problems *problems;
    struct problem_path path;
    uint32_t positions; /* of the geometry being read */
};

#define LISTING_GEOJSON_FAULT(c, ...) problems_add((c)->problems, (c)->path.text, __VA_ARGS__)

/*
 * A JSON number times ten to the power of scale, as it was typed. exact: more
 * decimals are a mistake, else it is rounded. false: a problem was added.
 */
bool listing_geojson_fixed(struct listing_geojson_convert *c, const json_t *json, unsigned scale,
                           bool exact, int64_t *ret_value);
/* A geometry object of any shape that listings know, packed to out; false: the same. */
bool listing_geojson_geometry(struct listing_geojson_convert *c, const json_t *json,
                              struct buffer *out);

#endif
