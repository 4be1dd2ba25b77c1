/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_FILTER_INTERNAL_H
#define TORG_INDEX_FILTER_INTERNAL_H

#include "index/filter.h"

/* For filter*.c only. */
enum filter_truth { FILTER_NO, FILTER_YES, FILTER_UNKNOWN };

/* ---- members of stored JSON ---- */

/*
 * Find the members at the paths ("properties" of a feature, then names; "a.b"
 * is b of a; "" the feature's geometry). Values that are absent or null get an
 * empty span, others their JSON. TORG_E_CORRUPT.
 */
struct filter_path {
    struct span name;
    bool geometry; /* the feature's own */
};
enum torg_err filter_json_find(struct span feature, const struct filter_path *paths, size_t count,
                               struct span *ret_values);
/* A JSON string, or the Swedish (else first) one of a language map, without its escapes. */
bool filter_json_string(struct span value, struct buffer *scratch, struct span *ret_text);

/*
 * The elements of a JSON array whose opening bracket has been passed, one after
 * the other; false at its end, and where it is broken.
 */
bool filter_json_element(struct span *left, struct span *ret_value);

/* ---- lists ---- */

/* A list of values, taken as a set. All zero is an empty one. */
enum filter_item_kind {
    FILTER_ITEM_TEXT,
    FILTER_ITEM_NUMBER,
    FILTER_ITEM_TRUTH,
    FILTER_ITEM_OTHER, /* a time, a geometry, a list: no property of ours holds any in its lists */
};
struct filter_item {
    enum filter_item_kind kind;
    bool truth;
    double number;
    size_t at, size; /* in text */
};
struct filter_list {
    struct filter_item *items; /* owned */
    size_t count, capacity;
    struct buffer text;
    enum torg_err err; /* TORG_E_NOMEM */
};
void filter_list_add_text(struct filter_list *list, struct span text);
void filter_list_add_number(struct filter_list *list, double number);
void filter_list_add_truth(struct filter_list *list, bool truth);
void filter_list_add_other(struct filter_list *list);
/* All of a JSON array; false: it is none. */
bool filter_list_add_json(struct filter_list *list, struct span array);
void filter_list_done(struct filter_list *list);
/* One of CQL2_OP_A_...; adds to *work what it costs. */
bool filter_list_related(enum cql2_op op, const struct filter_list *a, const struct filter_list *b,
                         uint64_t *work);

/* ---- strings ---- */

enum torg_err filter_casei(struct span text, struct buffer *out);
enum torg_err filter_accenti(struct span text, struct buffer *out);
/*
 * % stands for anything, _ for one character, \ takes away the meaning of the
 * next. Adds to *steps the characters that were compared: up to the product of
 * both sizes.
 */
bool filter_like(struct span text, struct span pattern, uint64_t *steps);

/* ---- times ---- */

/* From the start of one to the end of the other; both may be a day or a moment. */
struct filter_period {
    struct cql2_instant from, through;
};
bool filter_time(enum cql2_type type, struct span text, struct cql2_instant *ret_instant);
/* <0, 0 or >0; a moment within a day equals it. */
int filter_time_compare(struct cql2_instant a, struct cql2_instant b);
bool filter_time_related(enum cql2_op op, const struct filter_period *a,
                         const struct filter_period *b);

/* ---- geometries ---- */

struct filter_space; /* GEOS, for one filter */
struct filter_shape; /* one geometry */
enum torg_err filter_space_new(struct filter_space **ret_space);
void filter_space_free(struct filter_space *space);
/*
 * Prepared for being asked often. transform: as filter_new; box: west, south,
 * east, north in degrees. TORG_E_INVALID: it is not valid, why says it.
 */
enum torg_err filter_shape_literal(struct filter_space *space, struct span wkt,
                                   struct geo_transform *transform, struct filter_shape **ret_shape,
                                   double ret_box[4], char *why, size_t why_size);
/* Of a GeoJSON geometry; *ret_shape is NULL when it is none. */
enum torg_err filter_shape_read(struct filter_space *space, struct span geojson,
                                struct filter_shape **ret_shape);
void filter_shape_free(struct filter_space *space, struct filter_shape *shape);
/* Adds to *work what it costs; what alone is past FILTER_WORK_MAX is not done. */
enum filter_truth filter_shape_related(struct filter_space *space, enum cql2_op op,
                                       struct filter_shape *a, struct filter_shape *b,
                                       uint64_t *work);

#endif
