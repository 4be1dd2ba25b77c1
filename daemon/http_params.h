/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_PARAMS_H
#define TORG_DAEMON_HTTP_PARAMS_H

#include <assert.h>

#include "daemon/http_words.h"
#include "index/geo_transform.h"
#include "index/query_sort.h"
#include "protocol/http_request.h"
#include "protocol/problem.h"
#include "protocol/queryables.h"

/*
 * Query parameters: one table says how each is called, read and described. A
 * route names those that it takes; everything else is refused with a list of
 * what is allowed. Reading knows no store: origins stay prefixes here.
 */
enum http_param {
    HTTP_PARAM_NEAR,
    HTTP_PARAM_RADIUS,
    HTTP_PARAM_BBOX,
    HTTP_PARAM_BBOX_CRS,
    HTTP_PARAM_CRS,
    HTTP_PARAM_INTERSECTS,
    HTTP_PARAM_THEME,
    HTTP_PARAM_Q,
    HTTP_PARAM_ORDER,
    HTTP_PARAM_DATETIME,
    HTTP_PARAM_ORIGIN,
    HTTP_PARAM_MUNICIPALITY,
    HTTP_PARAM_NETWORK,
    HTTP_PARAM_REACHES,
    HTTP_PARAM_OPEN_AT,
    HTTP_PARAM_FILTER, /* a route that takes it takes properties by their names, too */
    HTTP_PARAM_FILTER_LANG,
    HTTP_PARAM_FILTER_CRS,
    HTTP_PARAM_SORTBY,
    HTTP_PARAM_PROPERTIES,
    HTTP_PARAM_COLLECTIONS,
    HTTP_PARAM_LIMIT,
    HTTP_PARAM_OFFSET,
    HTTP_PARAM_CURSOR,
    HTTP_PARAM_ALL,
    HTTP_PARAM_FACETS,
    HTTP_PARAM_EXPLAIN,
    HTTP_PARAM_BY,
    HTTP_PARAM_PLACE,
    HTTP_PARAM_LANG,
    HTTP_PARAM_COLLECTION,
    HTTP_PARAM_LANGUAGE,
    HTTP_PARAM_DRY_RUN,
    HTTP_PARAM_F,
    HTTP_PARAM_COUNT
};
static_assert(HTTP_PARAM_COUNT <= 64, "a bit for each in a mask");
#define HTTP_PARAM_BIT(name) (UINT64_C(1) << HTTP_PARAM_##name)
#define HTTP_PARAMS_FILTER                                                                         \
    (HTTP_PARAM_BIT(NEAR) | HTTP_PARAM_BIT(RADIUS) | HTTP_PARAM_BIT(BBOX) |                        \
     HTTP_PARAM_BIT(BBOX_CRS) | HTTP_PARAM_BIT(INTERSECTS) | HTTP_PARAM_BIT(THEME) |               \
     HTTP_PARAM_BIT(Q) | HTTP_PARAM_BIT(DATETIME) | HTTP_PARAM_BIT(ORIGIN) |                       \
     HTTP_PARAM_BIT(MUNICIPALITY) | HTTP_PARAM_BIT(NETWORK) | HTTP_PARAM_BIT(REACHES) |            \
     HTTP_PARAM_BIT(OPEN_AT))
#define HTTP_PARAMS_CQL2                                                                           \
    (HTTP_PARAM_BIT(FILTER) | HTTP_PARAM_BIT(FILTER_LANG) | HTTP_PARAM_BIT(FILTER_CRS) |           \
     HTTP_PARAM_BIT(SORTBY) | HTTP_PARAM_BIT(PROPERTIES))
#define HTTP_PARAMS_PAGE                                                                           \
    (HTTP_PARAM_BIT(ORDER) | HTTP_PARAM_BIT(LIMIT) | HTTP_PARAM_BIT(OFFSET) |                      \
     HTTP_PARAM_BIT(CURSOR) | HTTP_PARAM_BIT(FACETS) | HTTP_PARAM_BIT(EXPLAIN) |                   \
     HTTP_PARAM_BIT(CRS) | HTTP_PARAM_BIT(F))

/* What an answer may be written as; a route names those that it can. */
enum http_format {
    HTTP_FORMAT_JSON = 1,
    HTTP_FORMAT_GEOJSON = 2,
    HTTP_FORMAT_GEOJSONSEQ = 4,
    HTTP_FORMAT_CSV = 8,
    HTTP_FORMAT_HTML = 16,
    HTTP_FORMAT_OPENAPI = 32, /* JSON with a type of its own */
    HTTP_FORMAT_SCHEMA = 64,  /* the same */
    HTTP_FORMAT_ICS = 128,
    HTTP_FORMAT_JSONLD = 256,
};
#define HTTP_FORMAT_LAST HTTP_FORMAT_JSONLD

#define HTTP_LIMIT_DEFAULT 20
#define HTTP_SELECT_MAX 64
#define HTTP_OFFSET_MAX 1000000
#define HTTP_ORIGIN_DIGITS_MIN 16
#define HTTP_CURSOR_TEXT_SIZE 28
#define HTTP_SORT_CURSOR_TEXT_MAX 256
#define HTTP_LANGUAGE_BYTES_MAX 35 /* RFC 5646, section 4.4.1 */

struct http_params {
    uint64_t given;   /* HTTP_PARAM_BIT of each that was there */
    enum geo_crs crs; /* of the answer */
    enum geo_crs bbox_crs;
    double bbox[4];              /* as given, without heights; query.box is what it means */
    bool never;                  /* intersected times leave nothing: the answer is empty */
    struct shape_region *region; /* of query.region, owned; NULL without */
    struct span intersects;      /* as typed */
    struct span filter;          /* as typed */
    bool filter_json;            /* filter-lang */
    enum geo_crs filter_crs;
    size_t property_count;      /* parameters that may be properties: http_filter.h knows them */
    size_t select_count;        /* of properties=; 0: all of them are shown */
    struct span sortby;         /* as typed */
    struct query_sort sort;     /* what it means, when http_filter_read has been; with the cursor */
    struct filter *filter_made; /* of all that, owned; NULL without */
    struct queryables *queryables; /* what it speaks of, owned */
    size_t origin_count;
    struct query_cursor cursor;
    uint64_t cursor_binding;      /* the query that the cursor belongs to */
    unsigned facets;              /* QUERY_FACET_*, or-ed */
    bool all;                     /* no pages: one answer that is made while it is read */
    bool explain;                 /* for administrators */
    unsigned by;                  /* AGGREGATE_BY_*, or-ed; 0 if not given */
    struct span place;            /* as typed */
    char language[3];             /* of words: "sv" or "en"; "" when lang names another language */
    char text_tag[HTTP_TAG_SIZE]; /* of texts of listings: lang's, or another that is wished */
    uint8_t collection;           /* of an import's rows; 0 if not given */
    struct span local;            /* the local collection of an import's rows, instead */
    char text_language[HTTP_LANGUAGE_BYTES_MAX + 1]; /* of texts that name none; "" if not given */
    bool dry_run;
    enum http_format format; /* 0 if not given */
    struct query query;      /* without origins, now_ms and, in a collection, collections */
    /* As the query's own lists: beyond the counts not even zero. */
    const struct http_pair *properties[HTTP_QUERY_PAIRS_MAX];
    struct span select[HTTP_SELECT_MAX];
    struct span origins[QUERY_VALUES_MAX]; /* hex digits, lower case or upper */
};
/* What is zero before reading, so that http_params_done may come at any time. */
#define HTTP_PARAMS_ZEROED (offsetof(struct http_params, query) + QUERY_ZEROED)

/*
 * Read the pairs, whose text must outlive params. allowed: which parameters the
 * route takes; formats: what f may say. form: the request comes from a form of
 * the page, where fields that were left empty count as absent. Each mistake
 * becomes a problem whose path is the parameter's name: TORG_E_INVALID, or
 * TORG_E_NOMEM and TORG_E_INTERNAL without any. What was read ends with
 * http_params_done; after an error there is nothing to end.
 */
enum torg_err http_params_read(const struct http_query *pairs, uint64_t allowed, unsigned formats,
                               bool form, struct http_params *ret_params,
                               struct problems *problems);
void http_params_done(struct http_params *params);

/*
 * Stands for everything that decides what a query matches and in which order:
 * a cursor that was made under another binding is refused.
 */
uint64_t http_params_binding(const struct http_params *params);
void http_params_cursor_put(struct buffer *out, const struct query_cursor *cursor,
                            uint64_t binding);
/* The same of a page in an order by properties. */
void http_params_sort_cursor_put(struct buffer *out, const struct query_sort_key *key,
                                 uint32_t document, uint64_t binding);
enum torg_err http_params_sort_cursor_parse(struct span text, struct query_sort *sort,
                                            uint64_t *ret_binding);
enum torg_err http_params_cursor_parse(struct span text, struct query_cursor *ret_cursor,
                                       uint64_t *ret_binding);

/* The names of a route's parameters, with commas. */
void http_params_put_names(uint64_t allowed, struct buffer *out);

/* For the API document. NULL-terminated strings of static storage. */
struct http_param_text {
    const char *name;
    bool repeatable;
    const char *schema; /* a JSON Schema as OpenAPI 3.0 has it */
    const char *description;
};
const struct http_param_text *http_params_text(enum http_param param);
/* "json", "csv" ...: what f says for one format. */
const char *http_params_format_name(enum http_format format);
const char *http_params_format_type(enum http_format format);

#endif
