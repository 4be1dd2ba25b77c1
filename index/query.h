/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_QUERY_H
#define TORG_INDEX_QUERY_H

#include "index/catalogue.h"
#include "index/filter.h"
#include "index/reach.h"
#include "index/rtree.h"
#include "index/shape_region.h"
#include "index/text.h"

/*
 * One question to the catalogue: filters that all must hold, an order, a page.
 * The answer is exact: numberMatched counts every listing that matches.
 *
 * Order: with near, by exact distance, then document number; with a text and no
 * near, or by_rank, by rank (text.h), the highest first, then document number;
 * otherwise by document number. A cursor is a position in that order, so a listing that is
 * there throughout appears exactly once while replication writes.
 *
 * Time: with datetime a listing matches if its time overlaps it (no time
 * matches all). Without, it matches while it is shown: now_ms between validFrom
 * and validThrough and, for an event or course with a start, not past its end.
 */
#define QUERY_LIMIT_MAX 10000
#define QUERY_VALUES_MAX 64 /* origins, municipalities or networks of one query */
#define QUERY_TEXT_BYTES_MAX TEXT_QUERY_BYTES_MAX
#define QUERY_OFFSET_MAX 1000000 /* larger: TORG_E_EXPENSIVE; a cursor costs nothing */
#define QUERY_WORK_MAX 4000000   /* listings, rows and nodes looked at */

/* All themes of one group must be there; a query's groups are alternatives. */
struct query_theme_group {
    uint8_t count;
    struct span slugs[RTREE_THEME_SETS_MAX];
};

struct query_cursor {
    double distance_m; /* with near; in the order of rank TEXT_RANK_MAX less it; else -1 */
    uint32_t document;
};

struct query {
    uint32_t collections; /* mask */
    bool has_near;
    struct geo_point near;
    double radius_m; /* 0..GEO_RADIUS_M_MAX; INFINITY: the nearest, however far */
    /*
     * Distances are to be shown, not computed with: those of points need only round as the
     * exact ones wherever roundings part at whole halves of a millimetre (geo_short.h), which
     * costs less. Their order is the exact one all the same, and next goes on between the last
     * of them and what follows; for the cursor of another hit than the last ask query_cursor_at.
     */
    bool rounded;
    bool has_box;
    struct geo_box box; /* by exact geometry; listings without one match every box (OGC) */
    bool box_is_cover;  /* query_narrow's: a listing's box is enough, for the filter decides */
    /*
     * Borrowed; NULL: anywhere. Else listings that touch it, by their exact
     * geometry: S_INTERSECTS. Those without geometry never do.
     */
    const struct shape_region *region;
    struct filter *filter; /* borrowed; NULL: none. Its work counts. See query_narrow */
    uint8_t group_count;
    struct span text; /* words, see text.h; empty: none is asked for */
    bool by_rank;     /* with near and a text: by rank, of which nearness is a part; else it means
                         nothing */
    /* Who comes there (reach.h): by what it serves, or by a stop within the query's time. */
    bool has_reach;
    struct geo_point reach;
    double reach_m; /* 0..REACH_WITHIN_M_MAX */
    /* Open at that moment, by its opening hours (protocol/opening.h). */
    bool has_open;
    int64_t open_ms;   /* opening_moment_valid */
    bool has_datetime; /* else: what is shown at now_ms */
    int64_t from_ms, through_ms;
    int64_t now_ms;
    size_t origin_count, municipality_count, network_count;
    uint32_t limit;  /* 0..QUERY_LIMIT_MAX; 0 only counts */
    uint32_t offset; /* skipped after the cursor */
    bool has_cursor;
    struct query_cursor cursor;
    /*
     * Nobody asks how many match: where each must be looked at to know it, only
     * what comes into the page is, and matched means nothing. For later pages.
     */
    bool uncounted;
    /* Kilobytes, of which most queries use a line: what is beyond the counts need not be zero. */
    struct query_theme_group groups[RTREE_THEME_GROUPS_MAX];
    uint32_t origins[QUERY_VALUES_MAX]; /* origin numbers */
    struct span municipalities[QUERY_VALUES_MAX];
    struct feature_id networks[QUERY_VALUES_MAX]; /* listings of networks: has applied to one */
};
#define QUERY_ZEROED offsetof(struct query, groups)

/*
 * How an answer was found: for operators and tests, no promise to clients.
 * A query is divided into parts, one for each collection's listings with a
 * place and one for those without; strings are static.
 */
#define QUERY_PARTS_MAX (2 * COLLECTIONS_MAX)
struct query_explain_part {
    uint8_t collection;
    bool placed;
    bool compared;        /* rows had to be compared, at least some */
    uint64_t documents;   /* in the part, whatever is asked: what a scan reads */
    uint64_t by_tree;     /* exact: place, themes as bits and time hold */
    uint64_t by_postings; /* exact: the filters of the query's set hold */
    uint64_t matched;     /* exact: all filters hold */
    const char *driver;   /* how they were counted: "count", "rtree", "postings", "scan" */
};
/* Filters that have postings; their exact numbers are known before anything is read. */
enum query_filter_kind {
    QUERY_FILTER_TEXT,
    QUERY_FILTER_ORIGIN,
    QUERY_FILTER_MUNICIPALITY,
    QUERY_FILTER_NETWORK,
    QUERY_FILTER_OPEN, /* its list holds what may be open: what is, is known from each listing */
    QUERY_FILTER_REACH,
};
#define QUERY_FILTER_COUNT 6
struct query_explain_filter {
    bool asked;
    bool by_row;       /* compared row by row instead: few rows, long lists */
    uint64_t listings; /* that have one of the values; for networks each counted */
};
struct query_explain {
    const char *driver; /* how the page was filled: one of those, or "near", "walk" */
    struct query_explain_filter filters[QUERY_FILTER_COUNT]; /* by enum query_filter_kind */
    bool has_set;                                     /* filters made a set of document numbers */
    uint64_t set_count;                               /* documents in it */
    size_t part_count;                                /* without those in which nothing can match */
    uint64_t nodes, leaves;                           /* of trees, visited: inner nodes, leaves */
    uint64_t items;                                   /* of leaves, compared */
    uint64_t hits;                                    /* that trees gave out */
    uint64_t rows;                                    /* read */
    uint64_t postings;                                /* entries of lists, read */
    uint64_t geodesics;                               /* computed, to points */
    uint64_t shapes;                                  /* lines and areas whose geometry was read */
    uint64_t filtered;                                /* features that the filter was asked about */
    uint64_t hours;                                   /* listings whose opening hours were read */
    uint64_t work;                                    /* what counts against QUERY_WORK_MAX */
    struct query_explain_part parts[QUERY_PARTS_MAX]; /* beyond part_count not even zero */
};

struct query_sort_key; /* query_sort.h */
struct query_page {
    struct rtree_hit *hits; /* owned; distance_m is -1 without near, exact unless rounded */
    uint32_t *ranks;        /* owned, one for each hit; NULL unless they are in order of rank */
    struct query_sort_key *keys; /* owned, the same; NULL unless query_sort.h put them in order */
    size_t count;
    uint64_t matched; /* all that match, whatever the page */
    bool has_next;
    struct query_cursor next;
    struct query_explain explain;
};
/* Of an empty page: all before the explanation's parts is zero. */
#define QUERY_PAGE_ZEROED                                                                          \
    (offsetof(struct query_page, explain) + offsetof(struct query_explain, parts))
void query_page_done(struct query_page *page);
/* The position of hit i: a page that ends with it goes on there. Not of a rounded query. */
struct query_cursor query_page_cursor(const struct query_page *page, size_t i);
/*
 * The same of any page, by a look into kv, which is as it was when the page was
 * made: TORG_E_CORRUPT.
 */
enum torg_err query_cursor_at(const struct kv *kv, const struct query *query,
                              const struct query_page *page, size_t i,
                              struct query_cursor *ret_cursor);

/*
 * Ask the trees and the postings for what the query's filter implies: the box
 * of a geometry, municipalities, themes. What the query says already is left alone.
 */
void query_narrow(struct query *query);

/*
 * TORG_E_INVALID or TORG_E_TOO_BIG when the query passes a limit above or its
 * cursor is of the other order; TORG_E_EXPENSIVE past QUERY_WORK_MAX;
 * TORG_E_CORRUPT; TORG_E_NOMEM. Any thread.
 */
enum torg_err query_run(const struct kv *kv, const struct theme_tree *themes,
                        const struct query *query, struct query_page *ret_page);

/*
 * Bounding box and time span of a collection's documents; TORG_E_NOT_FOUND when
 * there are none. Documents that are open at both ends say nothing about time:
 * without any other the span is INT64_MIN to INT64_MAX.
 */
struct query_extent {
    bool has_box; /* some document has geometry */
    struct position min, max;
    int64_t time_from_ms, time_through_ms;
};
enum torg_err query_extent(const struct kv *kv, uint8_t collection,
                           struct query_extent *ret_extent);

/*
 * For each theme, at its bit: how many of the matching listings it holds, its
 * narrower themes included, each listing once. So a theme's number is what the
 * same query narrowed to that theme matches; numbers do not add up to a
 * parent's. Unknown slugs count at the theme that they fall back to.
 */
enum torg_err query_theme_counts(const struct kv *kv, const struct theme_tree *themes,
                                 const struct query *query, uint64_t counts[THEME_BITS]);

/*
 * How the matching listings divide, whatever the page: each number is what the
 * same query narrowed to that value matches. Values that no listing has are not
 * there, and listings without a municipality are in no municipality's number.
 */
enum query_facet {
    QUERY_FACET_THEME = 1,
    QUERY_FACET_ORIGIN = 2,
    QUERY_FACET_MUNICIPALITY = 4,
    QUERY_FACET_COLLECTION = 8,
};
struct query_facet_origin {
    uint32_t number;
    uint64_t count;
};
struct query_facet_municipality {
    char code[8]; /* terminated */
    uint64_t count;
};
struct query_facets {
    uint64_t themes[THEME_BITS]; /* as query_theme_counts */
    uint64_t collections[COLLECTIONS_MAX];
    struct query_facet_origin *origins; /* owned; most first, then by number */
    size_t origin_count;
    struct query_facet_municipality *municipalities; /* owned; most first, then by code */
    size_t municipality_count;
};
/* facets: QUERY_FACET_* or-ed; the others stay empty. Errors as query_run. */
enum torg_err query_facets_get(const struct kv *kv, const struct theme_tree *themes,
                               const struct query *query, unsigned facets,
                               struct query_facets *ret_facets);
void query_facets_done(struct query_facets *facets);
/* The page and the facets (0: none) of one query, with what both need done once. */
enum torg_err query_run_facets(const struct kv *kv, const struct theme_tree *themes,
                               const struct query *query, unsigned facets,
                               struct query_page *ret_page, struct query_facets *ret_facets);

#endif
