/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_QUERY_PLAN_H
#define TORG_INDEX_QUERY_PLAN_H

#include "index/catalogue_row.h"
#include "index/query.h"
#include "index/shape_query.h"

/* The listings of one collection with a place, or those without: one tree, one range of rows. */
struct query_part {
    uint8_t collection;
    bool placed;
    bool compared;               /* the tree's answer is a superset: rows must be compared */
    int64_t from_ms, through_ms; /* what its tree is asked for */
    uint64_t documents;          /* never 0 */
    uint64_t by_tree;            /* what its tree counts: all that matches unless compared */
};

/*
 * A query made ready: what the trees are asked, what is left to compare row by
 * row, and how much work has been done. For query.c and aggregate.c only.
 */
struct query_plan {
    const struct kv *kv;
    const struct theme_tree *themes;
    const struct query *query;
    struct query_part parts[QUERY_PARTS_MAX]; /* those in which something may match */
    size_t part_count;
    struct rtree_query tree;
    bool themes_exact;                  /* the sets of tree.groups say it all */
    struct geo_window window;           /* of the box, for rows */
    struct shape_query *shapes;         /* with near or a region: where lines and areas are */
    struct shape_query_work shape_work; /* noted already */
    struct buffer text;
    struct query_explain explain; /* sums only */
};

/*
 * Counts with the trees already. TORG_E_INVALID, TORG_E_TOO_BIG: a limit of
 * query.h is passed. TORG_E_EXPENSIVE.
 */
enum torg_err query_plan_init(struct query_plan *plan, const struct kv *kv,
                              const struct theme_tree *themes, const struct query *query);
void query_plan_done(struct query_plan *plan);

/* Do all filters hold? What the trees know already is compared again. */
enum torg_err query_plan_matches(struct query_plan *plan, const struct catalogue_row *row,
                                 bool *ret_matches);
/* The question to the tree of a part: their times differ, and some have no place. */
struct rtree_query query_plan_tree(const struct query_plan *plan, const struct query_part *part);
/* Note work done; TORG_E_EXPENSIVE when it is too much. */
enum torg_err query_plan_walked(struct query_plan *plan, const struct rtree_work *work);
enum torg_err query_plan_hit(struct query_plan *plan);
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
    QUERY_BY_TREE, /* its tree, fetching rows where needed */
    QUERY_BY_SCAN, /* all its rows */
};
/* Visit everything of a part that matches, each once, in no order, the cheaper way. */
enum torg_err query_plan_each(struct query_plan *plan, const struct query_part *part, bool rows,
                              query_match_visit *visit, void *context,
                              enum query_driver *ret_driver);
/* The same over all parts. */
enum torg_err query_plan_each_row(struct query_plan *plan, query_match_visit *visit, void *context);

/* Cost of a row in a walk, in listings that a tree visits. */
#define QUERY_COST_ROW 8

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
    struct rtree_hit *hits; /* a heap, the last in order on top */
    size_t count;
    size_t capacity;
    size_t max;
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
