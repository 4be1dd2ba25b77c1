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
    if (query->shapes && query->shapes->has_region &&
        (!query->shapes->region_box || !query->shapes->region_item))
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
    if (query->has_centre)
        filter->circle = geo_circle_of(query->centre, query->radius_m);
    if (filter->themed) {
        filter->answers = calloc(COMBINATIONS, 1); /* Pages that are not asked for stay unmapped. */
        if (!filter->answers)
            return TORG_E_NOMEM;
        filter->answers[RTREE_THEME_RECORD] = ANSWER_YES; /* Until its record is asked. */
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
    if (!query->shapes || !query->shapes->has_region)
        inside |= RTREE_INSIDE_REGION;
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

bool rtree_filter_is_shape(const struct rtree_filter *filter, const struct rtree_node *leaf,
                           unsigned i)
{
    return filter->query.shapes && filter->query.shapes->distance &&
           (rtree_node_u32(leaf->through, i) & RTREE_FLAG_AREA);
}

enum torg_err rtree_filter_shape_m(struct rtree_filter *filter, uint32_t document, double *ret_m)
{
    const struct rtree_shapes *shapes = filter->query.shapes;

    filter->work.shapes++;
    return shapes->distance(shapes->context, document, ret_m);
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
                         struct position max, unsigned *inside)
{
    const struct geo_circle *circle = &filter->circle;

    if (!geo_window_overlaps(&circle->window, min, max) ||
        geo_box_lower_m(&circle->centre, min, max) > circle->radius_m)
        return false;
    if (geo_box_upper_m(&circle->centre, min, max) <= circle->radius_m)
        *inside |= RTREE_INSIDE_CIRCLE;
    return true;
}

static bool child_region(const struct rtree_filter *filter, struct position min,
                         struct position max, unsigned *inside)
{
    const struct rtree_shapes *shapes = filter->query.shapes;
    enum geo_side side = shapes->region_box(shapes->context, min, max);

    if (side == GEO_IN)
        *inside |= RTREE_INSIDE_REGION;
    return side != GEO_OUT;
}

bool rtree_filter_child(const struct rtree_filter *filter, const struct rtree_node *node,
                        unsigned i, unsigned inside, unsigned *ret_inside)
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
    if (!(inside & RTREE_INSIDE_CIRCLE) && !child_circle(filter, min, max, &inside))
        return false;
    if (!(inside & RTREE_INSIDE_REGION) && !child_region(filter, min, max, &inside))
        return false;
    *ret_inside = inside;
    return true;
}

/* ---- items: each pass keeps some of those that are left ---- */

/* Is an area, or within the window? Without branches: most are neither sure nor rare. */
static void pass_window(const struct geo_window *window, const struct rtree_node *leaf,
                        bool areas_stay, struct rtree_chosen *chosen)
{
    uint32_t stay = areas_stay ? RTREE_FLAG_AREA : 0;
    unsigned kept = 0;

    for (unsigned k = 0; k < chosen->count; k++) {
        unsigned i = chosen->index[k];
        int32_t lon = rtree_node_i32(leaf->lon, i), lat = rtree_node_i32(leaf->lat, i);
        bool in = (lat >= window->south_e7) & (lat <= window->north_e7) &
                  (((lon >= window->west_e7[0]) & (lon <= window->east_e7[0])) |
                   ((lon >= window->west_e7[1]) & (lon <= window->east_e7[1])));

        chosen->index[kept] = (uint8_t)i;
        kept += in | ((rtree_node_u32(leaf->through, i) & stay) != 0);
    }
    chosen->count = kept;
}

/* The record decides later about those that the dictionary does not hold. */
static enum torg_err pass_themes(struct rtree_filter *filter, const struct rtree_node *leaf,
                                 struct rtree_chosen *chosen)
{
    struct theme_set themes;
    unsigned kept = 0;

    for (unsigned k = 0; k < chosen->count; k++) {
        unsigned i = chosen->index[k];
        uint16_t number = rtree_node_u16(leaf->theme, i);
        uint8_t *answer = &filter->answers[number];

        if (*answer == ANSWER_UNKNOWN) {
            enum torg_err err = rtree_item_themes(filter->kv, number, &themes);

            if (err)
                return err;
            *answer = groups_match(&filter->query, &themes) ? ANSWER_YES : ANSWER_NO;
        }
        chosen->index[kept] = (uint8_t)i;
        kept += *answer == ANSWER_YES;
    }
    chosen->count = kept;
    return TORG_OK;
}

static void pass_time(const struct rtree_filter *filter, const struct rtree_node *leaf,
                      struct rtree_chosen *chosen)
{
    unsigned kept = 0;

    for (unsigned k = 0; k < chosen->count; k++) {
        unsigned i = chosen->index[k];
        bool begun = (rtree_node_u32(leaf->from, i) & RTREE_MINUTE_MASK) <= filter->through_minute;
        bool lasts = (rtree_node_u32(leaf->through, i) & RTREE_MINUTE_MASK) >= filter->from_minute;

        chosen->index[kept] = (uint8_t)i;
        kept += begun & lasts;
    }
    chosen->count = kept;
}

/* Can the leaf's fields not decide about this item? */
static bool item_needs_record(const struct rtree_filter *filter, const struct rtree_node *leaf,
                              unsigned i, unsigned inside)
{
    uint32_t from = rtree_node_u32(leaf->from, i), through = rtree_node_u32(leaf->through, i);

    if (!(from & RTREE_FLAG_RECORD))
        return false;
    if (!(inside & RTREE_INSIDE_BOX) && (through & RTREE_FLAG_AREA))
        return true;
    if (!(inside & RTREE_INSIDE_TIME) && ((from & RTREE_MINUTE_MASK) == filter->through_minute ||
                                          (through & RTREE_MINUTE_MASK) == filter->from_minute))
        return true;
    return !(inside & RTREE_INSIDE_THEMES) && rtree_node_u16(leaf->theme, i) == RTREE_THEME_RECORD;
}

static enum torg_err pass_records(struct rtree_filter *filter, uint8_t collection,
                                  const struct rtree_node *leaf, unsigned inside,
                                  struct rtree_chosen *chosen)
{
    const struct rtree_query *query = &filter->query;
    struct rtree_item item;
    unsigned kept = 0;

    for (unsigned k = 0; k < chosen->count; k++) {
        unsigned i = chosen->index[k];
        bool match = true;

        if (item_needs_record(filter, leaf, i, inside)) {
            enum torg_err err =
                rtree_item_record(filter->kv, collection, rtree_node_u32(leaf->document, i), &item);

            if (err)
                return err;
            match = geo_window_overlaps(&filter->box, item.min, item.max) &&
                    item.time_from_ms <= query->time_through_ms &&
                    item.time_through_ms >= query->time_from_ms &&
                    groups_match(query, &item.themes);
        }
        chosen->index[kept] = (uint8_t)i;
        kept += match;
    }
    chosen->count = kept;
    return TORG_OK;
}

/* Lines and areas are left for pass_shapes where the query's shapes know their distance. */
static void pass_circle(struct rtree_filter *filter, const struct rtree_node *leaf,
                        struct rtree_chosen *chosen)
{
    unsigned kept = 0;

    for (unsigned k = 0; k < chosen->count; k++) {
        unsigned i = chosen->index[k];
        struct position point = rtree_node_point(leaf, i);
        enum geo_side side = GEO_IN;
        double distance_m = -1.0;

        if (!rtree_filter_is_shape(filter, leaf, i))
            side = geo_circle_side(&filter->circle, point);
        if (side == GEO_BORDER) {
            distance_m = rtree_filter_distance_m(filter, point);
            side = distance_m <= filter->query.radius_m ? GEO_IN : GEO_OUT;
        }
        chosen->index[kept] = (uint8_t)i;
        chosen->distance_m[kept] = distance_m;
        kept += side == GEO_IN;
    }
    chosen->count = kept;
}

/* By its box where that is enough, else by its shape. */
static enum torg_err area_in_circle(struct rtree_filter *filter, const struct rtree_item *area,
                                    double *ret_distance_m, bool *ret_in)
{
    const struct geo_circle *circle = &filter->circle;
    enum torg_err err;

    *ret_distance_m = -1.0;
    *ret_in = false;
    if (geo_box_lower_m(&circle->centre, area->min, area->max) > circle->radius_m)
        return TORG_OK;
    *ret_in = true;
    if (geo_box_upper_m(&circle->centre, area->min, area->max) <= circle->radius_m)
        return TORG_OK;
    err = rtree_filter_shape_m(filter, area->document, ret_distance_m);
    *ret_in = *ret_distance_m <= circle->radius_m;
    return err;
}

static enum torg_err area_in_region(struct rtree_filter *filter, const struct rtree_item *area,
                                    bool *ret_in)
{
    const struct rtree_shapes *shapes = filter->query.shapes;
    enum geo_side side = shapes->region_box(shapes->context, area->min, area->max);

    *ret_in = side == GEO_IN;
    if (side != GEO_BORDER)
        return TORG_OK;
    filter->work.shapes++;
    return shapes->region_item(shapes->context, area->document, ret_in);
}

/* What only the geometry of a line or an area can decide. */
static enum torg_err area_matches(struct rtree_filter *filter, uint8_t collection,
                                  uint32_t document, unsigned inside, double *distance_m,
                                  bool *ret_match)
{
    struct rtree_item area;
    enum torg_err err = rtree_item_record(filter->kv, collection, document, &area);
    bool match = true;

    if (!err && (area.min.lon_e7 > area.max.lon_e7 || area.min.lat_e7 > area.max.lat_e7))
        err = TORG_E_CORRUPT;
    if (!err && !(inside & RTREE_INSIDE_REGION))
        err = area_in_region(filter, &area, &match);
    if (!err && match && !(inside & RTREE_INSIDE_CIRCLE) && filter->query.shapes->distance)
        err = area_in_circle(filter, &area, distance_m, &match);
    if (!err)
        *ret_match = match;
    return err;
}

static enum torg_err pass_shapes(struct rtree_filter *filter, uint8_t collection,
                                 const struct rtree_node *leaf, unsigned inside,
                                 struct rtree_chosen *chosen)
{
    const struct rtree_shapes *shapes = filter->query.shapes;
    unsigned kept = 0;

    for (unsigned k = 0; k < chosen->count; k++) {
        unsigned i = chosen->index[k];
        double distance_m = chosen->distance_m[k];
        bool match = true;

        if (rtree_node_u32(leaf->through, i) & RTREE_FLAG_AREA) {
            enum torg_err err = area_matches(filter, collection, rtree_node_u32(leaf->document, i),
                                             inside, &distance_m, &match);

            if (err)
                return err;
        } else if (!(inside & RTREE_INSIDE_REGION)) {
            struct position point = rtree_node_point(leaf, i);

            match = shapes->region_box(shapes->context, point, point) == GEO_IN;
        }
        chosen->index[kept] = (uint8_t)i;
        chosen->distance_m[kept] = distance_m;
        kept += match;
    }
    chosen->count = kept;
    return TORG_OK;
}

enum torg_err rtree_filter_leaf(struct rtree_filter *filter, uint8_t collection,
                                const struct rtree_node *leaf, unsigned inside,
                                struct rtree_chosen *ret_chosen)
{
    const struct rtree_shapes *shapes = filter->query.shapes;
    struct rtree_chosen *chosen = ret_chosen;
    enum torg_err err = TORG_OK;

    filter->work.items += leaf->count;
    chosen->count = leaf->count;
    for (unsigned i = 0; i < leaf->count; i++)
        chosen->index[i] = (uint8_t)i;
    if (!(inside & RTREE_INSIDE_CIRCLE))
        pass_window(&filter->circle.window, leaf, shapes && shapes->distance, chosen);
    if (!(inside & RTREE_INSIDE_BOX))
        pass_window(&filter->box, leaf, true, chosen);
    if (!(inside & RTREE_INSIDE_THEMES))
        err = pass_themes(filter, leaf, chosen);
    if (!err && !(inside & RTREE_INSIDE_TIME))
        pass_time(filter, leaf, chosen);
    if (!err && inside != RTREE_INSIDE_ALL)
        err = pass_records(filter, collection, leaf, inside, chosen);
    if (err)
        return err;
    if (!(inside & RTREE_INSIDE_CIRCLE))
        pass_circle(filter, leaf, chosen);
    else
        for (unsigned k = 0; k < chosen->count; k++)
            chosen->distance_m[k] = -1.0;
    if (!(inside & RTREE_INSIDE_REGION) ||
        (!(inside & RTREE_INSIDE_CIRCLE) && shapes && shapes->distance))
        return pass_shapes(filter, collection, leaf, inside, chosen);
    return TORG_OK;
}
