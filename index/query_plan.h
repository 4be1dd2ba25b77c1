/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_QUERY_PLAN_H
#define TORG_INDEX_QUERY_PLAN_H

#include "index/catalogue_row.h"
#include "index/postings.h"
#include "index/query.h"
#include "index/shape_query.h"

/* The listings of one collection with a place, or those without: one tree, one range of rows. */
struct query_part {
    uint8_t collection;
    bool placed;
    int64_t from_ms, through_ms;    /* what its tree is asked for */
    uint64_t documents;             /* never 0 */
    uint64_t by_tree;               /* exact: what its tree counts */
    uint64_t by_postings;           /* exact: candidates; when the plan is filtered */
    struct postings_set candidates; /* what of the plan's set is in the part */
    uint64_t *themes;               /* owned: of what its tree counts, by theme; or NULL */
    uint64_t irregular_count;       /* shown at other times than the tree says */
    bool has_irregular;             /* and the query asks what is shown: their rows are compared */
    struct postings_set irregular;  /* which they are, unless every row is compared anyway */
};

/*
 * A query made ready: what the trees are asked, the set of those that filters
 * with postings leave, what must be compared row by row, and how much work has
 * been done. For query*.c and aggregate.c only.
 */
struct query_plan {
    const struct kv *kv;
    const struct theme_tree *themes;
    const struct query *query;
    size_t part_count; /* of parts, at the end */
    struct rtree_query tree;
    struct rtree_theme_group *groups; /* owned: the tree's; NULL without themes */
    bool themes_exact;                /* their sets say it all */
    struct geo_window window;         /* of the box, for rows */
    struct shape_query *shapes;       /* with near, a box or a region: where lines and areas are */
    struct shape_query_work shape_work; /* noted already */
    uint64_t hours_work;                /* what opening hours' rules took */
    uint64_t filter_before;             /* the filter's work before this query */
    struct text_query *text;            /* NULL: none is asked for */
    bool filtered;                      /* only what is in set can match */
    struct postings_set set;            /* what all filters leave that have postings */
    bool rows;         /* every row must be compared: some filter has nothing else */
    bool count_themes; /* trees are asked for these with the number: one walk for both */
    struct query_explain explain;
    /* Those in which something may match. Kilobytes, of which most queries use
     * a line or two: what is beyond part_count is not even zero, here as in explain. */
    struct query_part parts[QUERY_PARTS_MAX];
};

/*
 * Counts with the trees and the postings already; facets, QUERY_FACET_*, says
 * for what besides the number they will be asked. TORG_E_INVALID,
 * TORG_E_TOO_BIG: a limit of query.h is passed. TORG_E_EXPENSIVE.
 */
enum torg_err query_plan_init(struct query_plan *plan, const struct kv *kv,
                              const struct theme_tree *themes, const struct query *query,
                              unsigned facets);
void query_plan_done(struct query_plan *plan);

/*
 * The parts are there: make the filters with postings into the plan's set, or
 * leave them to the rows. Then, for each part, what of it is in the set and
 * which of its rows must be compared.
 */
enum torg_err query_filter_init(struct query_plan *plan);
enum torg_err query_filter_part(struct query_plan *plan, struct query_part *part);

/* Is what the part's tree finds all that matches? */
bool query_plan_counted(const struct query_plan *plan, const struct query_part *part);
/* Do all filters hold but the plan's set? What the trees know already is compared again. */
enum torg_err query_match_row(struct query_plan *plan, const struct catalogue_row *row,
                              bool *ret_matches);
/*
 * Do all filters hold for a listing that the part's tree has found? Its row is
 * read only where that is needed, or when fetch asks for it.
 */
enum torg_err query_match_found(struct query_plan *plan, const struct query_part *part,
                                uint32_t number, bool fetch, struct catalogue_row *row,
                                bool *ret_has_row, bool *ret_matches);
/* The question to the tree of a part: their times differ, and some have no place. */
struct rtree_query query_plan_tree(const struct query_plan *plan, const struct query_part *part);
/* Note work done; TORG_E_EXPENSIVE when it is too much. */
enum torg_err query_plan_walked(struct query_plan *plan, const struct rtree_work *work);
enum torg_err query_plan_hits(struct query_plan *plan, size_t count);
enum torg_err query_plan_row(struct query_plan *plan);
/* What lines and areas have cost so far, and what went wrong with them. */
enum torg_err query_plan_settle(struct query_plan *plan);

/*
 * A listing that matches. row is NULL when nobody needed it: the walk was not
 * asked for rows, and nothing had to be compared. An error stops the walk and
 * comes back from it.
 */
typedef enum torg_err query_match_visit(void *context, uint32_t number,
                                        const struct catalogue_row *row);

/* Which way a part was walked. */
enum query_driver {
    QUERY_BY_TREE,     /* its tree, fetching rows where needed */
    QUERY_BY_POSTINGS, /* its candidates, fetching rows unless the tree has nothing to say */
    QUERY_BY_SCAN,     /* all its rows */
};
/* Visit everything of a part that matches, each once, in no order, the cheapest way. */
enum torg_err query_each(struct query_plan *plan, const struct query_part *part, bool rows,
                         query_match_visit *visit, void *context, enum query_driver *ret_driver);
/* How query_each will go. */
enum query_driver query_each_driver(const struct query_plan *plan, const struct query_part *part,
                                    bool rows);
/* Does the part's tree leave nothing of the part out? */
bool query_plan_takes_all(const struct query_plan *plan, const struct query_part *part);
/* The same over all parts, with rows. */
enum torg_err query_each_part(struct query_plan *plan, query_match_visit *visit, void *context);

/* query_facets_get for a plan that was made with these facets. */
enum torg_err query_facets_of(struct query_plan *plan, unsigned facets,
                              struct query_facets *ret_facets);

/* Cost of a row in a walk, and of one that is fetched, in listings that a tree visits: measured. */
#define QUERY_COST_ROW 8
#define QUERY_COST_FETCH 45

/*
 * The rows of several collections in the order of their numbers. Nothing may
 * be written while it is open.
 */
struct query_scan_stream {
    struct kv_cursor *cursor;
    uint32_t number;
    struct span key, value;
};
struct query_scan {
    const struct kv *kv;
    size_t stream_count;
    size_t last; /* the stream whose row was given out; SIZE_MAX at the start */
    struct query_scan_stream streams[QUERY_PARTS_MAX];
};
/* The plan's parts, from number first on. Close it also after an error. */
enum torg_err query_scan_open(struct query_scan *scan, const struct query_plan *plan,
                              uint32_t first);
/* TORG_E_NOT_FOUND at the end. */
enum torg_err query_scan_next(struct query_scan *scan, struct catalogue_row *ret_row);
void query_scan_close(struct query_scan *scan);

/*
 * The first few of many, in the order of (distance, number): a page is chosen
 * without sorting, or keeping, all that matches.
 */
struct query_top {
    struct rtree_hit *hits; /* a heap, the last in order on top, unless sorted */
    size_t count;
    size_t capacity;
    size_t max;
    bool sorted; /* they came in order and stand in it, first in order first */
};
/* max 0 keeps nothing. */
void query_top_init(struct query_top *top, size_t max);
enum torg_err query_top_add(struct query_top *top, uint32_t number, double distance_m);
/* Full, and this would not come into it? */
bool query_top_passes(const struct query_top *top, uint32_t number, double distance_m);
/* Sort it, first in order first. Nothing may be added after. */
void query_top_sort(struct query_top *top);
void query_top_done(struct query_top *top);
/* <0, 0, >0 */
int query_order(double a_distance_m, uint32_t a_number, double b_distance_m, uint32_t b_number);

#endif
