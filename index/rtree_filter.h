/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_RTREE_FILTER_H
#define TORG_INDEX_RTREE_FILTER_H

#include "index/rtree_item.h"
#include "index/rtree_kernel.h"

/*
 * A query made ready for comparing with entries: windows in whole units, the
 * circle as polynomials, times as words and days. All walks ask the same
 * questions here, a node at a time.
 */
struct rtree_filter {
    const struct kv *kv;
    const struct rtree_query *query;   /* borrowed */
    const struct rtree_kernel *kernel; /* the inner loops */
    bool timed, themed;
    bool one_theme; /* the only group has one set of one theme */
    unsigned theme; /* that */
    struct geo_window box;
    struct geo_circle circle;
    struct geo_fit fit;
    uint32_t from_minute, through_minute; /* of the query */
    uint16_t from_day, through_day;
    struct rtree_answers *answers; /* about combinations of themes; NULL: none asked yet */
    struct rtree_work work;
};

/* What is known of a whole subtree, so that its items need not be asked. */
enum rtree_inside {
    RTREE_INSIDE_BOX = 1,
    RTREE_INSIDE_CIRCLE = 2,
    RTREE_INSIDE_TIME = 4,
    RTREE_INSIDE_THEMES = 8,
    RTREE_INSIDE_REGION = 16,
    RTREE_INSIDE_ALL = 31,
};

/*
 * TORG_E_INVALID for a box, a centre or a radius out of range. The circle is left
 * to rtree_filter_circle: making it ready takes as long as a root's way from
 * memory, which can be asked for before.
 */
enum torg_err rtree_filter_init(struct rtree_filter *filter, const struct kv *kv,
                                const struct rtree_query *query);
/* To be called once, before anything is compared. */
void rtree_filter_circle(struct rtree_filter *filter);
void rtree_filter_done(struct rtree_filter *filter);

/* What holds for all items, since the query does not ask it. */
unsigned rtree_filter_inside(const struct rtree_filter *filter);

/*
 * Where a walk begins: at the collection's tree or, when every match has one
 * theme, at the tree of that theme, if there is one (and any_tree, for only the
 * collection's has counts by theme). height 0: nothing matches.
 */
struct rtree_start {
    uint32_t root;
    uint8_t height;
    uint8_t inside; /* what holds for the whole tree */
};
enum torg_err rtree_filter_start(const struct rtree_filter *filter, uint8_t collection,
                                 bool any_tree, struct rtree_start *ret_start);

/* Counts a node against the query's limit: TORG_E_EXPENSIVE. */
enum torg_err rtree_filter_visit(struct rtree_filter *filter, unsigned level);

/*
 * The children below which something may match, as bits, and what is known of
 * each of them; inside is what is known of the node.
 */
struct rtree_children {
    uint64_t may;
    uint8_t inside[64]; /* of those that may */
};
void rtree_filter_children(const struct rtree_filter *filter, const struct rtree_node *node,
                           unsigned inside, struct rtree_children *ret_children);

/*
 * The items of a leaf that match. Question after question goes over all of
 * them at once, and what only a record, a geodesic or a shape can decide comes
 * last, one by one.
 */
enum torg_err rtree_filter_leaf(struct rtree_filter *filter, uint8_t collection,
                                const struct rtree_node *leaf, unsigned inside,
                                struct rtree_mask *ret_chosen);

/* The exact distance of a position from the query's centre. */
double rtree_filter_distance_m(struct rtree_filter *filter, struct position point);

/* Is the i-th item one whose distance the query's shapes know, and what is it? */
bool rtree_filter_is_shape(const struct rtree_filter *filter, const struct rtree_node *leaf,
                           unsigned i);
enum torg_err rtree_filter_shape_m(struct rtree_filter *filter, uint32_t document, double *ret_m);

#endif
