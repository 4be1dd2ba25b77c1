/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_filter.h"

#include <math.h>
#include <stdlib.h>

#include "index/rtree_table.h"

#define COMBINATION_WORDS (65536 / 64)

/* Each combination of themes is looked up and compared once in a query. */
struct rtree_answers {
    uint64_t known[COMBINATION_WORDS], yes[COMBINATION_WORDS];
};

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
 * Days as rtree_filter_children compares them: a subtree's earliest beginning
 * (rounded down, at most RTREE_DAY_LOWER_MAX) with the query's end rounded
 * down, its latest end (rounded up, at least RTREE_DAY_UPPER_MIN) with the
 * query's beginning rounded up. The clamped values stand for everything
 * beyond them, so that neither comparison is ever too strict.
 */
static void filter_times(struct rtree_filter *filter)
{
    const struct rtree_query *query = filter->query;

    filter->timed = query->time_from_ms != INT64_MIN || query->time_through_ms != INT64_MAX;
    filter->through_minute = rtree_item_minute_down(query->time_through_ms);
    filter->from_minute = rtree_item_minute_up(query->time_from_ms);
    filter->through_day = query->time_through_ms == INT64_MAX
                              ? RTREE_DAY_OPEN
                              : rtree_item_day_down(query->time_through_ms);
    filter->from_day =
        query->time_from_ms == INT64_MIN ? 0 : rtree_item_day_up(query->time_from_ms);
}

static bool set_one_theme(const struct theme_set *set, unsigned *ret_theme)
{
    unsigned bits = 0;

    *ret_theme = 0;
    for (unsigned word = 0; word < 4; word++) {
        bits += (unsigned)__builtin_popcountll(set->words[word]);
        if (set->words[word])
            *ret_theme = 64 * word + (unsigned)__builtin_ctzll(set->words[word]);
    }
    return bits == 1;
}

enum torg_err rtree_filter_init(struct rtree_filter *filter, const struct kv *kv,
                                const struct rtree_query *query)
{
    enum torg_err err = query_check(query);

    if (err)
        return err;
    *filter = (struct rtree_filter){.kv = kv, .query = query, .kernel = rtree_kernel()};
    filter->themed = query->group_count > 0;
    filter->one_theme = query->group_count == 1 && query->groups[0].count == 1 &&
                        set_one_theme(&query->groups[0].sets[0], &filter->theme);
    filter_times(filter);
    if (query->has_box)
        filter->box = geo_window_of_box(&query->box);
    else
        filter->box = geo_window_all();
    return TORG_OK;
}

void rtree_filter_circle(struct rtree_filter *filter)
{
    const struct rtree_query *query = filter->query;

    if (!query->has_centre)
        return;
    filter->circle = geo_circle_of(query->centre, query->radius_m);
    filter->fit = geo_fit_of(&filter->circle);
}

void rtree_filter_done(struct rtree_filter *filter)
{
    free(filter->answers);
    filter->answers = NULL;
}

unsigned rtree_filter_inside(const struct rtree_filter *filter)
{
    const struct rtree_query *query = filter->query;
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

/* The rarest theme that every match has, among those with trees. */
static enum torg_err start_theme(const struct rtree_filter *filter, uint8_t collection,
                                 struct rtree_start *start)
{
    const struct rtree_theme_group *group = &filter->query->groups[0];
    uint32_t fewest = UINT32_MAX;

    for (unsigned s = 0; s < group->count; s++) {
        struct rtree_theme theme;
        unsigned bit;
        enum torg_err err;

        if (!set_one_theme(&group->sets[s], &bit))
            continue;
        err = rtree_node_theme_get(filter->kv, collection, bit, &theme);
        if (err)
            return err;
        if (theme.items == 0) {
            start->height = 0;
            return TORG_OK;
        }
        if (theme.height == 0 || theme.items >= fewest)
            continue;
        fewest = theme.items;
        start->root = theme.root;
        start->height = (uint8_t)theme.height;
        if (group->count == 1)
            start->inside |= RTREE_INSIDE_THEMES; /* The choice of the tree is the answer. */
    }
    return TORG_OK;
}

enum torg_err rtree_filter_start(const struct rtree_filter *filter, uint8_t collection,
                                 bool any_tree, struct rtree_start *ret_start)
{
    struct rtree_start start = {.inside = (uint8_t)rtree_filter_inside(filter)};
    struct rtree_root root;
    enum torg_err err = rtree_node_root_get(filter->kv, collection, &root);

    if (err && err != TORG_E_NOT_FOUND)
        return err;
    if (!err) {
        start.root = root.root;
        start.height = (uint8_t)root.height;
    }
    err = TORG_OK;
    if (start.height > 0 && any_tree && filter->query->group_count == 1)
        err = start_theme(filter, collection, &start);
    if (!err)
        *ret_start = start;
    return err;
}

enum torg_err rtree_filter_visit(struct rtree_filter *filter, unsigned level)
{
    uint64_t visited = filter->work.nodes + filter->work.leaves;

    if (filter->query->work_max > 0 && visited >= filter->query->work_max)
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
    return geo_distance_m(filter->query->centre, geo_point_of(point));
}

bool rtree_filter_is_shape(const struct rtree_filter *filter, const struct rtree_node *leaf,
                           unsigned i)
{
    return filter->query->shapes && filter->query->shapes->distance &&
           (rtree_node_u32(leaf->through, i) & RTREE_FLAG_AREA);
}

enum torg_err rtree_filter_shape_m(struct rtree_filter *filter, uint32_t document, double *ret_m)
{
    const struct rtree_shapes *shapes = filter->query->shapes;

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

/* A circle that is too large, or where polynomials fail. */
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
    const struct rtree_shapes *shapes = filter->query->shapes;
    enum geo_side side = shapes->region_box(shapes->context, min, max);

    if (side == GEO_IN)
        *inside |= RTREE_INSIDE_REGION;
    return side != GEO_OUT;
}

static bool child_themes(const struct rtree_filter *filter, const struct rtree_node *node,
                         unsigned i)
{
    struct theme_set themes = rtree_node_themes(node->themes, i);

    return filter->one_theme ? theme_set_has(&themes, filter->theme)
                             : groups_match(filter->query, &themes);
}

/* What is asked child by child, the dear ones last. */
static bool child_may(const struct rtree_filter *filter, const struct rtree_node *node, unsigned i,
                      unsigned *inside)
{
    const unsigned known = *inside;
    struct position min, max;

    if (!(known & RTREE_INSIDE_THEMES) && !child_themes(filter, node, i))
        return false;
    if (!(known & RTREE_INSIDE_TIME) && !child_time(filter, node, i, inside))
        return false;
    min = rtree_node_min(node, i);
    max = rtree_node_max(node, i);
    if (!(known & RTREE_INSIDE_CIRCLE) && !filter->fit.usable &&
        !child_circle(filter, min, max, inside))
        return false;
    return (known & RTREE_INSIDE_REGION) || child_region(filter, min, max, inside);
}

void rtree_filter_children(const struct rtree_filter *filter, const struct rtree_node *node,
                           unsigned inside, struct rtree_children *ret_children)
{
    uint64_t may = UINT64_MAX >> (64 - node->count); /* A node has at least one child. */
    uint64_t touched, in_box = 0, in_circle = 0;
    bool one_by_one;

    if (!(inside & RTREE_INSIDE_BOX)) {
        filter->kernel->inner_window(node, &filter->box, &touched, &in_box);
        may &= touched;
    }
    if (!(inside & RTREE_INSIDE_CIRCLE) && filter->fit.usable) {
        filter->kernel->inner_circle(node, &filter->fit, &touched, &in_circle);
        may &= touched;
    }
    one_by_one = (~inside & (RTREE_INSIDE_THEMES | RTREE_INSIDE_TIME | RTREE_INSIDE_REGION)) ||
                 (!(inside & RTREE_INSIDE_CIRCLE) && !filter->fit.usable);
    for (uint64_t left = may; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left), child = inside;

        if (one_by_one && !child_may(filter, node, i, &child)) {
            may &= ~(left & -left);
            continue;
        }
        child |= in_box >> i & 1 ? RTREE_INSIDE_BOX : 0;
        child |= in_circle >> i & 1 ? RTREE_INSIDE_CIRCLE : 0;
        ret_children->inside[i] = (uint8_t)child;
    }
    ret_children->may = may;
}

/* ---- items: each question takes some of those that are left ---- */

/* Does a combination of themes match? The record decides about what no dictionary holds. */
static enum torg_err combination_matches(struct rtree_filter *filter, uint16_t number,
                                         bool *ret_match)
{
    const unsigned word = number / 64;
    const uint64_t bit = UINT64_C(1) << number % 64;
    struct theme_set themes;
    enum torg_err err;

    *ret_match = true;
    if (number == RTREE_THEME_RECORD)
        return TORG_OK;
    if (filter->one_theme && filter->kv->table) {
        const uint8_t *bytes = rtree_table_find(filter->kv->table, RTREE_TABLE_THEMES, number);

        if (bytes) { /* One bit: nothing that would have to be remembered. */
            themes = rtree_node_themes(bytes, 0);
            *ret_match = theme_set_has(&themes, filter->theme);
            return TORG_OK;
        }
    }
    if (!filter->answers) {
        filter->answers = calloc(1, sizeof(*filter->answers));
        if (!filter->answers)
            return TORG_E_NOMEM;
    }
    if (!(filter->answers->known[word] & bit)) {
        err = rtree_item_themes(filter->kv, number, &themes);
        if (err)
            return err;
        filter->answers->known[word] |= bit;
        if (groups_match(filter->query, &themes))
            filter->answers->yes[word] |= bit;
    }
    *ret_match = (filter->answers->yes[word] & bit) != 0;
    return TORG_OK;
}

static enum torg_err pass_themes(struct rtree_filter *filter, const struct rtree_node *leaf,
                                 struct rtree_mask *chosen)
{
    struct rtree_mask sure = {{0}}, ask = *chosen;

    if (filter->one_theme) {
        filter->kernel->leaf_theme(leaf, (uint16_t)filter->theme, &sure, &ask);
        ask = rtree_mask_and(ask, *chosen);
        *chosen = rtree_mask_and(*chosen, rtree_mask_or(sure, ask));
    }
    for (unsigned i; rtree_mask_next(&ask, &i);) {
        bool match;
        enum torg_err err = combination_matches(filter, rtree_node_u16(leaf->theme, i), &match);

        if (err)
            return err;
        if (!match)
            rtree_mask_clear(chosen, i);
    }
    return TORG_OK;
}

/* Can the leaf's fields not decide about this item, which has a record? */
static bool item_needs_record(const struct rtree_filter *filter, const struct rtree_node *leaf,
                              unsigned i, unsigned inside)
{
    uint32_t from = rtree_node_u32(leaf->from, i), through = rtree_node_u32(leaf->through, i);

    if (!(inside & RTREE_INSIDE_BOX) && (through & RTREE_FLAG_AREA))
        return true;
    if (!(inside & RTREE_INSIDE_TIME) && ((from & RTREE_MINUTE_MASK) == filter->through_minute ||
                                          (through & RTREE_MINUTE_MASK) == filter->from_minute))
        return true;
    return !(inside & RTREE_INSIDE_THEMES) && rtree_node_u16(leaf->theme, i) == RTREE_THEME_RECORD;
}

static enum torg_err pass_records(struct rtree_filter *filter, uint8_t collection,
                                  const struct rtree_node *leaf, unsigned inside,
                                  struct rtree_mask *chosen)
{
    const struct rtree_query *query = filter->query;
    struct rtree_mask records;

    filter->kernel->leaf_flags(leaf->from, &records);
    records = rtree_mask_and(records, *chosen);
    for (unsigned i; rtree_mask_next(&records, &i);) {
        struct rtree_item item;
        enum torg_err err;

        if (!item_needs_record(filter, leaf, i, inside))
            continue;
        err = rtree_item_record(filter->kv, collection, rtree_node_u32(leaf->document, i), &item);
        if (err)
            return err;
        if (!geo_window_overlaps(&filter->box, item.min, item.max) ||
            item.time_from_ms > query->time_through_ms ||
            item.time_through_ms < query->time_from_ms ||
            (filter->themed && !groups_match(query, &item.themes)))
            rtree_mask_clear(chosen, i);
    }
    return TORG_OK;
}

/* By the chord, and where that is too close by the geodesic. */
static void pass_border(struct rtree_filter *filter, const struct rtree_node *leaf,
                        struct rtree_mask border, struct rtree_mask *chosen)
{
    for (unsigned i; rtree_mask_next(&border, &i);) {
        struct position point = rtree_node_point(leaf, i);
        enum geo_side side = geo_circle_side(&filter->circle, point);

        if (side == GEO_BORDER)
            side = rtree_filter_distance_m(filter, point) <= filter->query->radius_m ? GEO_IN
                                                                                     : GEO_OUT;
        if (side == GEO_OUT)
            rtree_mask_clear(chosen, i);
    }
}

/* By its box where that is enough, else by its shape. */
static enum torg_err area_in_circle(struct rtree_filter *filter, const struct rtree_item *area,
                                    bool *ret_in)
{
    const struct geo_circle *circle = &filter->circle;
    double distance_m;
    enum torg_err err;

    *ret_in = false;
    if (geo_box_lower_m(&circle->centre, area->min, area->max) > circle->radius_m)
        return TORG_OK;
    *ret_in = true;
    if (geo_box_upper_m(&circle->centre, area->min, area->max) <= circle->radius_m)
        return TORG_OK;
    err = rtree_filter_shape_m(filter, area->document, &distance_m);
    if (!err)
        *ret_in = distance_m <= circle->radius_m;
    return err;
}

static enum torg_err area_in_box(struct rtree_filter *filter, const struct rtree_item *area,
                                 bool *ret_in)
{
    const struct rtree_shapes *shapes = filter->query->shapes;

    *ret_in = geo_window_overlaps(&filter->box, area->min, area->max);
    if (!*ret_in || geo_window_holds(&filter->box, area->min, area->max))
        return TORG_OK;
    filter->work.shapes++;
    return shapes->box_item(shapes->context, area->document, ret_in);
}

static enum torg_err area_in_region(struct rtree_filter *filter, const struct rtree_item *area,
                                    bool *ret_in)
{
    const struct rtree_shapes *shapes = filter->query->shapes;
    enum geo_side side = shapes->region_box(shapes->context, area->min, area->max);

    *ret_in = side == GEO_IN;
    if (side != GEO_BORDER)
        return TORG_OK;
    filter->work.shapes++;
    return shapes->region_item(shapes->context, area->document, ret_in);
}

/* What only the geometry of a line or an area can decide. */
static enum torg_err area_matches(struct rtree_filter *filter, uint8_t collection,
                                  uint32_t document, unsigned inside, bool *ret_match)
{
    struct rtree_item area;
    enum torg_err err = rtree_item_record(filter->kv, collection, document, &area);
    bool match = true;

    if (!err && (area.min.lon_e7 > area.max.lon_e7 || area.min.lat_e7 > area.max.lat_e7))
        err = TORG_E_CORRUPT;
    if (!err && !(inside & RTREE_INSIDE_BOX) && filter->query->shapes->box_item)
        err = area_in_box(filter, &area, &match);
    if (!err && match && !(inside & RTREE_INSIDE_REGION))
        err = area_in_region(filter, &area, &match);
    if (!err && match && !(inside & RTREE_INSIDE_CIRCLE) && filter->query->shapes->distance)
        err = area_in_circle(filter, &area, &match);
    if (!err)
        *ret_match = match;
    return err;
}

static enum torg_err pass_shapes(struct rtree_filter *filter, uint8_t collection,
                                 const struct rtree_node *leaf, struct rtree_mask areas,
                                 unsigned inside, struct rtree_mask *chosen)
{
    const struct rtree_shapes *shapes = filter->query->shapes;
    struct rtree_mask left = *chosen;

    if (inside & RTREE_INSIDE_REGION)
        left = rtree_mask_and(left, areas);
    for (unsigned i; rtree_mask_next(&left, &i);) {
        bool match = true;

        if (rtree_node_u32(leaf->through, i) & RTREE_FLAG_AREA) {
            enum torg_err err =
                area_matches(filter, collection, rtree_node_u32(leaf->document, i), inside, &match);

            if (err)
                return err;
        } else {
            struct position point = rtree_node_point(leaf, i);

            match = shapes->region_box(shapes->context, point, point) == GEO_IN;
        }
        if (!match)
            rtree_mask_clear(chosen, i);
    }
    return TORG_OK;
}

/* The circle's sure ones stay, and those of its border, which come out too. */
static void pass_circle(const struct rtree_filter *filter, const struct rtree_node *leaf,
                        struct rtree_mask stay, struct rtree_mask *chosen,
                        struct rtree_mask *ret_border)
{
    struct rtree_mask in = {{0}}, border;

    if (filter->fit.usable)
        filter->kernel->leaf_circle(leaf, &filter->fit, &in, &border);
    else
        filter->kernel->leaf_window(leaf, &filter->circle.window, &border);
    border = rtree_mask_without(border, stay);
    *chosen = rtree_mask_and(*chosen, rtree_mask_or(rtree_mask_or(in, border), stay));
    *ret_border = border;
}

enum torg_err rtree_filter_leaf(struct rtree_filter *filter, uint8_t collection,
                                const struct rtree_node *leaf, unsigned inside,
                                struct rtree_mask *ret_chosen)
{
    const struct rtree_shapes *shapes = filter->query->shapes;
    bool by_shape = shapes && shapes->distance && !(inside & RTREE_INSIDE_CIRCLE);
    bool by_box = shapes && shapes->box_item && !(inside & RTREE_INSIDE_BOX);
    struct rtree_mask chosen = rtree_mask_of(leaf->count), areas = {{0}}, border = {{0}}, in;
    enum torg_err err = TORG_OK;

    filter->work.items += leaf->count;
    if (by_shape || !(inside & RTREE_INSIDE_BOX))
        filter->kernel->leaf_flags(leaf->through, &areas);
    if (!(inside & RTREE_INSIDE_CIRCLE))
        pass_circle(filter, leaf, by_shape ? areas : (struct rtree_mask){{0}}, &chosen, &border);
    if (!(inside & RTREE_INSIDE_BOX)) {
        filter->kernel->leaf_window(leaf, &filter->box, &in);
        chosen = rtree_mask_and(chosen, rtree_mask_or(in, areas));
    }
    if (!(inside & RTREE_INSIDE_TIME)) {
        filter->kernel->leaf_times(leaf, filter->through_minute, filter->from_minute, &in);
        chosen = rtree_mask_and(chosen, in);
    }
    if (!(inside & RTREE_INSIDE_THEMES) && !rtree_mask_empty(&chosen))
        err = pass_themes(filter, leaf, &chosen);
    if (!err && (~inside & (RTREE_INSIDE_BOX | RTREE_INSIDE_TIME | RTREE_INSIDE_THEMES)) &&
        !rtree_mask_empty(&chosen))
        err = pass_records(filter, collection, leaf, inside, &chosen);
    if (err)
        return err;
    pass_border(filter, leaf, rtree_mask_and(border, chosen), &chosen);
    if (by_shape || by_box || !(inside & RTREE_INSIDE_REGION))
        err = pass_shapes(filter, collection, leaf, areas, inside, &chosen);
    if (!err)
        *ret_chosen = chosen;
    return err;
}
