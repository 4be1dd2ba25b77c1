/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_CQL2_INTERNAL_H
#define TORG_PROTOCOL_CQL2_INTERNAL_H

#include <jansson.h>

#include "protocol/cql2.h"

/*
 * Making a tree, for cql2*.c only. Numbers of nodes are 0 after the first
 * mistake, which stands in err and fault; what is made of 0 is 0. where: where
 * the reader is, for messages ("at character 17", "in args[1]").
 */
struct cql2_maker {
    struct cql2 *tree;
    const struct cql2_schema *schema;
    struct cql2_fault *fault;
    char where[160];
    const uint8_t *begin; /* of the text form, to say where in it */
    unsigned depth;
    enum torg_err err;
};

uint16_t cql2_fail(struct cql2_maker *maker, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Text form: from now on, mistakes are at this character. */
void cql2_at(struct cql2_maker *maker, const uint8_t *at);
uint16_t cql2_make(struct cql2_maker *maker, enum cql2_op op);
/* Append an argument; last: the one added before, 0 for the first. */
void cql2_argue(struct cql2_maker *maker, uint16_t node, uint16_t last, uint16_t argument);
/* A node of one to three arguments (0: no more), with its types checked. */
uint16_t cql2_make_of(struct cql2_maker *maker, enum cql2_op op, uint16_t a, uint16_t b,
                      uint16_t c);
/* All arguments are there: check their types and set the node's own. */
uint16_t cql2_check(struct cql2_maker *maker, uint16_t node);
/* NOT node, for "not like" and such. */
uint16_t cql2_negate(struct cql2_maker *maker, uint16_t node, bool negate);
uint16_t cql2_make_number(struct cql2_maker *maker, double value);
uint16_t cql2_make_boolean(struct cql2_maker *maker, bool value);
uint16_t cql2_make_string(struct cql2_maker *maker, struct span value);
uint16_t cql2_make_property(struct cql2_maker *maker, struct span name);
/* date: "2026-11-21"; timestamp: RFC 3339. */
uint16_t cql2_make_instant(struct cql2_maker *maker, enum cql2_type type, struct span value);
/* An end of an interval: either, or "..". */
uint16_t cql2_make_end(struct cql2_maker *maker, struct span value);
/* TORG_OK only when the root says true or false; the rest is taken away. */
enum torg_err cql2_made(struct cql2_maker *maker, uint16_t root);

/* The operator of two arguments that a function's name means, in any case; 0. */
enum cql2_op cql2_function(struct span name);
/* Is it one of the array functions, whose arguments may be arrays? */
bool cql2_takes_arrays(enum cql2_op op);

/* Is there well-known text of a geometry, or BBOX, at the start of text? */
bool cql2_wkt_begins(struct span text);
/* Read it; *ret_size bytes of text were it. */
uint16_t cql2_wkt_read(struct cql2_maker *maker, struct span text, size_t *ret_size);
/* A GeoJSON geometry, or the numbers of a box. */
uint16_t cql2_wkt_geojson(struct cql2_maker *maker, const json_t *geometry);
uint16_t cql2_wkt_box(struct cql2_maker *maker, const double *numbers, size_t count);

#endif
