/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_QUERY_PLAN_H
#define TORG_INDEX_QUERY_PLAN_H

#include "index/catalogue_row.h"
#include "index/query.h"

/*
 * A query made ready: what the trees are asked, what is left to compare row by
 * row, and how much work has been done. For query.c and aggregate.c only.
 */
struct query_plan {
    const struct kv *kv;
    const struct theme_tree *themes;
    const struct query *query;
    uint32_t collections; /* mask; those without documents are left out */
    uint32_t compared;    /* mask: the tree's answer must be compared with the rows */
    struct rtree_query tree;
    struct geo_window window; /* of the query's box, for rows; everything without one */
    bool themes_exact;        /* the sets of tree.groups say it all */
    struct buffer text;
    uint64_t documents; /* in the collections, all of them */
    uint64_t placed;    /* of these, in the trees */
    uint64_t work;
};

/* TORG_E_INVALID, TORG_E_TOO_BIG: a limit of query.h is passed. */
enum torg_err query_plan_init(struct query_plan *plan, const struct kv *kv,
                              const struct theme_tree *themes, const struct query *query);
void query_plan_done(struct query_plan *plan);

/* Do all filters but near hold? What the trees know already is compared again. */
bool query_plan_matches(const struct query_plan *plan, const struct catalogue_row *row);
/* The question to the tree of a collection: its times differ. */
struct rtree_query query_plan_tree(const struct query_plan *plan, uint8_t collection);
/* Note work done; TORG_E_EXPENSIVE when it is too much. */
enum torg_err query_plan_work(struct query_plan *plan, uint64_t work);
/* What the tree of a collection counts for the question; exact unless it is to be compared. */
enum torg_err query_plan_count(struct query_plan *plan, uint8_t collection,
                               const struct rtree_query *tree, uint64_t *ret_count);
/* The same over all collections of mask. */
enum torg_err query_plan_count_all(struct query_plan *plan, uint32_t mask, uint64_t *ret_count);

/* A listing that matches. row is NULL unless the walk was asked for rows. */
struct query_match {
    uint32_t number;
    double distance_m; /* -1 unless the walk was asked for distances */
    const struct catalogue_row *row;
};
/* An error stops the walk and comes back from it. */
typedef enum torg_err query_match_visit(void *context, const struct query_match *match);

#define QUERY_EACH_ROWS 1u      /* every match with its row */
#define QUERY_EACH_DISTANCES 2u /* with near: with its distance */

/* How a walk finds what matches. */
enum query_driver {
    QUERY_BY_TREE, /* the trees, and the rows of listings without a place */
    QUERY_BY_SCAN, /* every row */
};
/* The cheaper of the two; estimate gets the number that the trees count. */
enum torg_err query_plan_driver(struct query_plan *plan, bool rows, enum query_driver *ret_driver,
                                uint64_t *ret_estimate);
/* Visit everything that matches, each once, in no order. */
enum torg_err query_plan_each(struct query_plan *plan, enum query_driver driver, unsigned want,
                              query_match_visit *visit, void *context);
/* The placed ones of one collection only, by its tree. */
enum torg_err query_plan_each_placed(struct query_plan *plan, uint8_t collection, unsigned want,
                                     query_match_visit *visit, void *context);
/* Those without a place only, by their rows. */
enum torg_err query_plan_each_unplaced(struct query_plan *plan, query_match_visit *visit,
                                       void *context);

/*
 * The rows of several collections in the order of their numbers. Nothing may
 * be written while it is open.
 */
#define QUERY_SCAN_STREAMS_MAX (2 * COLLECTIONS_MAX)
struct query_scan_stream {
    struct kv_cursor *cursor;
    uint32_t number;
    struct span key, value;
};
struct query_scan {
    const struct kv *kv;
    size_t stream_count;
    size_t last; /* the stream whose row was given out; SIZE_MAX at the start */
    struct query_scan_stream streams[QUERY_SCAN_STREAMS_MAX];
};
/* From number first on; placed and unplaced say which rows. Close it also after an error. */
enum torg_err query_scan_open(struct query_scan *scan, const struct kv *kv, uint32_t collections,
                              bool placed, bool unplaced, uint32_t first);
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
/* Sort it, first in order first. Nothing may be added after. */
void query_top_sort(struct query_top *top);
void query_top_done(struct query_top *top);
/* <0, 0, >0 */
int query_order(double a_distance_m, uint32_t a_number, double b_distance_m, uint32_t b_number);

#endif
