/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_PARAMS_INTERNAL_H
#define TORG_DAEMON_HTTP_PARAMS_INTERNAL_H

#include "daemon/http_params.h"

/*
 * What the files of the query parameters share. Nobody else includes this.
 *
 *   http_params.c         the table, the order of reading, and how an answer is given
 *   http_params_space.c   where: points, boxes, geometries, coordinate systems
 *   http_params_search.c  what: themes, words, times, origins, filters, counts
 *   http_params_cursor.c  where a page begins
 */

/* What a parser needs; texts in why go to the sender. */
struct http_params_reading {
    struct http_params *params;
    unsigned formats;
    char why[200];
};

/* false: why says to the sender what is wrong. */
bool http_params_fail(struct http_params_reading *reading, const char *why);
/* The part of text before the next separator; text goes on behind it. false: there is none. */
bool http_params_split(struct span *text, char separator, struct span *ret_part);

/* ---- readers, one for each parameter; false after http_params_fail ---- */
typedef bool http_params_reader(struct http_params_reading *reading, struct span value);
/* http_params_space.c */
http_params_reader http_params_read_near;
http_params_reader http_params_read_reaches;
http_params_reader http_params_read_radius;
http_params_reader http_params_read_bbox;
http_params_reader http_params_read_bbox_crs;
http_params_reader http_params_read_crs;
http_params_reader http_params_read_intersects;
http_params_reader http_params_read_filter_crs;
/* http_params_search.c */
http_params_reader http_params_read_order;
http_params_reader http_params_read_theme;
http_params_reader http_params_read_q;
http_params_reader http_params_read_datetime;
http_params_reader http_params_read_open_at;
http_params_reader http_params_read_origin;
http_params_reader http_params_read_municipality;
http_params_reader http_params_read_network;
http_params_reader http_params_read_filter;
http_params_reader http_params_read_filter_lang;
http_params_reader http_params_read_properties;
http_params_reader http_params_read_collections;
http_params_reader http_params_read_sortby;
http_params_reader http_params_read_facets;
http_params_reader http_params_read_by;
http_params_reader http_params_read_place;

/* What bbox means in bbox-crs, when both have been read. TORG_E_NOMEM, TORG_E_INTERNAL. */
enum torg_err http_params_finish_bbox(struct http_params *params, struct problems *problems);

#endif
