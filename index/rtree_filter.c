/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_filter.h"

#include <math.h>
#include <stdlib.h>

#define COMBINATIONS 65536

enum { ANSWER_UNKNOWN, ANSWER_NO, ANSWER_YES };

static bool groups_match(const struct rtree_query *query, const struct theme_set *themes)
{
    for (unsigned g = 0; g < query->group_count; g++) {
        const struct rtree_theme_group *group = &query->groups[g];
        bool all = true;

        for (unsigned s = 0; s < group->count && all; s++)
            all = theme_set_shares(&group->sets[s], themes);
        if (all)
            return true;
    }
    return query->group_count == 0;
}

static enum torg_err query_check(const struct rtree_query *query)
{
    if (query->has_box && !geo_box_valid(&query->box))
        return TORG_E_INVALID;
    if (query->has_centre && (!geo_point_valid(query->centre) || !(query->radius_m >= 0.0)))
        return TORG_E_INVALID;
    if (query->group_count > RTREE_THEME_GROUPS_MAX)
        return TORG_E_INVALID;
    for (unsigned g = 0; g < query->group_count; g++) {
        if (query->groups[g].count > RTREE_THEME_SETS_MAX)
            return TORG_E_INVALID;
    }
    return TORG_OK;
}

/*
 * Days as rtree_filter_child compares them: a subtree's earliest beginning
 * (rounded down, at most RTREE_DAY_LOWER_MAX) with the query's end rounded
 * down, its latest end (rounded up, at least RTREE_DAY_UPPER_MIN) with the
 * query's beginning rounded up. The clamped values stand for everything
 * beyond them, so that neither comparison is ever too strict.
 */
static void filter_times(struct rtree_filter *filter)
{
    const struct rtree_query *query = &filter->query;

    filter->timed = query->time_from_ms != INT64_MIN || query->time_through_ms != INT64_MAX;
    filter->through_minute = rtree_item_minute_down(query->time_through_ms);
    filter->from_minute = rtree_item_minute_up(query->time_from_ms);
    filter->through_day = query->time_through_ms == INT64_MAX
                              ? RTREE_DAY_OPEN
                              : rtree_item_day_down(query->time_through_ms);
    filter->from_day =
        query->time_from_ms == INT64_MIN ? 0 : rtree_item_day_up(query->time_from_ms);
}

enum torg_err rtree_filter_init(struct rtree_filter *filter, const struct kv *kv,
                                const struct rtree_query *query)
{
    enum torg_err err = query_check(query);

    if (err)
        return err;
    *filter = (struct rtree_filter){.kv = kv, .query = *query};
    filter->themed = query->group_count > 0;
    filter_times(filter);
    filter->box = query->has_box ? geo_window_of_box(&query->box) : geo_window_all();
    filter->circle = geo_window_all();
    if (query->has_centre) {
        filter->circle = geo_window_of_circle(query->centre, query->radius_m);
        filter->centre = geo_centre_of(query->centre);
    }
    if (filter->themed) {
        filter->answers = calloc(COMBINATIONS, 1); /* Pages that are not asked for stay unmapped. */
        if (!filter->answers)
            return TORG_E_NOMEM;
    }
    return TORG_OK;
}

void rtree_filter_done(struct rtree_filter *filter)
{
    free(filter->answers);
    filter->answers = NULL;
}

unsigned rtree_filter_inside(const struct rtree_filter *filter)
{
    const struct rtree_query *query = &filter->query;
    unsigned inside = 0;

    if (!query->has_box)
        inside |= RTREE_INSIDE_BOX;
    if (!query->has_centre || isinf(query->radius_m))
        inside |= RTREE_INSIDE_CIRCLE;
    if (!filter->timed)
        inside |= RTREE_INSIDE_TIME;
    if (!filter->themed)
        inside |= RTREE_INSIDE_THEMES;
    return inside;
}

enum torg_err rtree_filter_visit(struct rtree_filter *filter, unsigned level)
{
    uint64_t visited = filter->work.nodes + filter->work.leaves;

    if (filter->query.work_max > 0 && visited >= filter->query.work_max)
        return TORG_E_EXPENSIVE;
    if (level == 0)
        filter->work.leaves++;
    else
        filter->work.nodes++;
    return TORG_OK;
}

double rtree_filter_distance_m(struct rtree_filter *filter, struct position point)
{
    filter->work.geodesics++;
    return geo_distance_m(filter->query.centre, geo_point_of(point));
}

/* ---- children ---- */

static bool child_time(const struct rtree_filter *filter, const struct rtree_node *node, unsigned i,
                       unsigned *inside)
{
    if (rtree_node_u16(node->from_min, i) > filter->through_day ||
        rtree_node_u16(node->through_max, i) < filter->from_day)
        return false;
    if (rtree_node_u16(node->from_max, i) <= filter->through_day &&
        rtree_node_u16(node->through_min, i) >= filter->from_day)
        *inside |= RTREE_INSIDE_TIME;
    return true;
}

/* The circle last: its window decides most cases, the bounds cost trigonometry. */
static bool child_circle(const struct rtree_filter *filter, struct position min,
                         struct position max, unsigned *inside, struct rtree_reach *reach)
{
    if (!geo_window_overlaps(&filter->circle, min, max))
        return false;
    geo_box_bounds(&filter->centre, min, max, &reach->lower_m, &reach->upper_m);
    reach->exact = false;
    if (reach->lower_m > filter->query.radius_m)
        return false;
    if (reach->upper_m <= filter->query.radius_m)
        *inside |= RTREE_INSIDE_CIRCLE;
    return true;
}

bool rtree_filter_child(const struct rtree_filter *filter, const struct rtree_node *node,
                        unsigned i, unsigned inside, unsigned *ret_inside,
                        struct rtree_reach *ret_reach)
{
    struct position min = rtree_node_min(node, i), max = rtree_node_max(node, i);

    if (!(inside & RTREE_INSIDE_BOX)) {
        if (!geo_window_overlaps(&filter->box, min, max))
            return false;
        if (geo_window_holds(&filter->box, min, max))
            inside |= RTREE_INSIDE_BOX;
    }
    if (!(inside & RTREE_INSIDE_THEMES)) {
        struct theme_set themes = rtree_node_themes(node->themes, i);

        if (!groups_match(&filter->query, &themes))
            return false;
    }
    if (!(inside & RTREE_INSIDE_TIME) && !child_time(filter, node, i, &inside))
        return false;
    if (!(inside & RTREE_INSIDE_CIRCLE) && !child_circle(filter, min, max, &inside, ret_reach))
        return false;
    *ret_inside = inside;
    return true;
}

/* ---- items ---- */

static enum torg_err item_themes(struct rtree_filter *filter, uint16_t number, bool *ret_match)
{
    struct theme_set themes;
    enum torg_err err;

    if (filter->answers[number] == ANSWER_UNKNOWN) {
        err = rtree_item_themes(filter->kv, number, &themes);
        if (err)
            return err;
        filter->answers[number] = groups_match(&filter->query, &themes) ? ANSWER_YES : ANSWER_NO;
    }
    *ret_match = filter->answers[number] == ANSWER_YES;
    return TORG_OK;
}

/* Where minutes, points and the dictionary cannot decide, the record does. */
static enum torg_err item_by_record(struct rtree_filter *filter, uint8_t collection,
                                    uint32_t document, unsigned inside, bool *ret_match)
{
    const struct rtree_query *query = &filter->query;
    struct rtree_item item;
    enum torg_err err;

    err = rtree_item_record(filter->kv, collection, document, &item);
    if (err)
        return err;
    *ret_match =
        ((inside & RTREE_INSIDE_BOX) || geo_window_overlaps(&filter->box, item.min, item.max)) &&
        item.time_from_ms <= query->time_through_ms &&
        item.time_through_ms >= query->time_from_ms && groups_match(query, &item.themes);
    return TORG_OK;
}

/* Is time decided by the minutes? If not, ret_record. */
static bool item_time(const struct rtree_filter *filter, uint32_t from, uint32_t through,
                      bool *ret_record)
{
    uint32_t first = from & RTREE_MINUTE_MASK, last = through & RTREE_MINUTE_MASK;

    if (first > filter->through_minute || last < filter->from_minute)
        return false;
    if ((from & RTREE_FLAG_RECORD) &&
        (first == filter->through_minute || last == filter->from_minute))
        *ret_record = true;
    return true;
}

static enum torg_err item_but_circle(struct rtree_filter *filter, uint8_t collection,
                                     const struct rtree_node *leaf, unsigned i, unsigned inside,
                                     struct position point, bool *ret_match)
{
    uint32_t from = rtree_node_u32(leaf->from, i), through = rtree_node_u32(leaf->through, i);
    uint16_t theme;
    enum torg_err err;
    bool record = false;

    *ret_match = false;
    if (!(inside & RTREE_INSIDE_BOX)) {
        if (through & RTREE_FLAG_AREA)
            record = true;
        else if (!geo_window_overlaps(&filter->box, point, point))
            return TORG_OK;
    }
    if (!(inside & RTREE_INSIDE_TIME) && !item_time(filter, from, through, &record))
        return TORG_OK;
    if (!(inside & RTREE_INSIDE_THEMES)) {
        theme = rtree_node_u16(leaf->theme, i);
        if (theme == RTREE_THEME_RECORD) {
            record = true;
        } else {
            err = item_themes(filter, theme, ret_match);
            if (err || !*ret_match)
                return err;
        }
    }
    if (record)
        return item_by_record(filter, collection, rtree_node_u32(leaf->document, i), inside,
                              ret_match);
    *ret_match = true;
    return TORG_OK;
}

enum torg_err rtree_filter_item(struct rtree_filter *filter, uint8_t collection,
                                const struct rtree_node *leaf, unsigned i, unsigned inside,
                                bool *ret_match, struct rtree_reach *ret_reach)
{
    struct position point = rtree_node_point(leaf, i);
    enum torg_err err;

    if (!(inside & RTREE_INSIDE_CIRCLE) && !geo_window_overlaps(&filter->circle, point, point)) {
        *ret_match = false;
        return TORG_OK;
    }
    err = item_but_circle(filter, collection, leaf, i, inside, point, ret_match);
    if (err || !*ret_match || (inside & RTREE_INSIDE_CIRCLE))
        return err;
    geo_distance_bounds(&filter->centre, geo_point_of(point), &ret_reach->lower_m,
                        &ret_reach->upper_m);
    ret_reach->exact = false;
    if (ret_reach->lower_m <= filter->query.radius_m &&
        ret_reach->upper_m > filter->query.radius_m) {
        ret_reach->exact = true;
        ret_reach->lower_m = ret_reach->upper_m = rtree_filter_distance_m(filter, point);
    }
    *ret_match = ret_reach->lower_m <= filter->query.radius_m;
    return TORG_OK;
}
