/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_RTREE_FILTER_H
#define TORG_INDEX_RTREE_FILTER_H

#include "index/rtree_item.h"

/*
 * A query made ready for comparing with entries: windows in whole units, times
 * as words and days, themes answered once for each combination. Both walks,
 * all matches and nearest first, ask the same questions here.
 */
struct rtree_filter {
    const struct kv *kv;
    struct rtree_query query;
    bool timed, themed;
    struct geo_window box;
    struct geo_circle circle;
    uint32_t from_minute, through_minute; /* of the query */
    uint16_t from_day, through_day;
    uint8_t *answers; /* by combination number: 0 not asked yet, 1 no, 2 yes; when themed */
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

/* TORG_E_INVALID for a box, a centre or a radius out of range. */
enum torg_err rtree_filter_init(struct rtree_filter *filter, const struct kv *kv,
                                const struct rtree_query *query);
void rtree_filter_done(struct rtree_filter *filter);

/* What holds for every tree, before its root is seen. */
unsigned rtree_filter_inside(const struct rtree_filter *filter);

/* Counts a node against the query's limit: TORG_E_EXPENSIVE. */
enum torg_err rtree_filter_visit(struct rtree_filter *filter, unsigned level);

/*
 * May something below the i-th child match? inside is what is known of the
 * node; ret_inside what is known of the child.
 */
bool rtree_filter_child(const struct rtree_filter *filter, const struct rtree_node *node,
                        unsigned i, unsigned inside, unsigned *ret_inside);

/*
 * The items of a leaf that match, in order. Question after question goes over
 * those that are left, the cheap ones first.
 */
struct rtree_chosen {
    unsigned count;
    uint8_t index[RTREE_LEAF_MAX];
    double distance_m[RTREE_LEAF_MAX]; /* where only the geodesic could decide; else -1 */
};
enum torg_err rtree_filter_leaf(struct rtree_filter *filter, uint8_t collection,
                                const struct rtree_node *leaf, unsigned inside,
                                struct rtree_chosen *ret_chosen);

/* The exact distance of a position from the query's centre. */
double rtree_filter_distance_m(struct rtree_filter *filter, struct position point);

/* Is the i-th item one whose distance the query's shapes know, and what is it? */
bool rtree_filter_is_shape(const struct rtree_filter *filter, const struct rtree_node *leaf,
                           unsigned i);
enum torg_err rtree_filter_shape_m(struct rtree_filter *filter, uint32_t document, double *ret_m);

#endif
