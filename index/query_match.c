/* SPDX-License-Identifier: EUPL-1.2 */
#include <string.h>

#include "index/query_plan.h"
#include "protocol/opening.h"

static bool matches_time(const struct query_plan *plan, const struct catalogue_row *row)
{
    const struct query *query = plan->query;

    if (query->has_datetime)
        return row->time_from_ms <= query->through_ms && row->time_through_ms >= query->from_ms;
    return row->shown_from_ms <= query->now_ms && row->shown_through_ms >= query->now_ms;
}

static bool matches_origin(const struct query *query, const struct catalogue_row *row)
{
    for (size_t i = 0; i < query->origin_count; i++) {
        if (query->origins[i] == row->origin_number)
            return true;
    }
    return query->origin_count == 0;
}

static bool matches_municipality(const struct query *query, const struct catalogue_row *row)
{
    for (size_t i = 0; i < query->municipality_count; i++) {
        if (row->municipality.size && span_equal(query->municipalities[i], row->municipality))
            return true;
    }
    return query->municipality_count == 0;
}

static bool matches_group(const struct query_plan *plan, size_t i, const struct theme_set *set,
                          const struct catalogue_row *row)
{
    const struct rtree_theme_group *group = &plan->tree.groups[i];

    for (size_t j = 0; j < group->count; j++) {
        if (!theme_set_shares(&group->sets[j], set))
            return false;
    }
    if (plan->themes_exact)
        return true;
    for (size_t j = 0; j < group->count; j++) {
        if (!catalogue_row_has_theme(row, plan->query->groups[i].slugs[j]))
            return false;
    }
    return true;
}

static bool matches_themes(const struct query_plan *plan, const struct catalogue_row *row)
{
    struct theme_set set;

    if (plan->tree.group_count == 0)
        return true;
    set = catalogue_row_themes(row);
    for (size_t i = 0; i < plan->tree.group_count; i++) {
        if (matches_group(plan, i, &set, row))
            return true;
    }
    return false;
}

/* By their boxes: that costs nothing. */
static bool may_match_box(const struct query_plan *plan, const struct catalogue_row *row)
{
    return !plan->query->has_box || !row->placed ||
           geo_window_overlaps(&plan->window, row->box_min, row->box_max);
}

/* The filter is asked last: it reads the feature. */
static enum torg_err matches_filter(struct query_plan *plan, const struct catalogue_row *row,
                                    bool *ret_matches)
{
    struct catalogue_record record;
    enum torg_err err = catalogue_record_get(plan->kv, row->number, &record);

    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
    plan->explain.filtered++;
    return filter_passes(plan->query->filter, record.feature, ret_matches);
}

static enum torg_err matches_open(struct query_plan *plan, const struct catalogue_row *row,
                                  bool *ret_matches)
{
    struct span body;
    enum torg_err err = catalogue_record_body(plan->kv, row->number, &body);

    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
    plan->explain.hours++;
    *ret_matches = opening_at(opening_of_body(body), plan->query->open_ms, &plan->hours_work);
    return TORG_OK;
}

enum torg_err query_match_row(struct query_plan *plan, const struct catalogue_row *row,
                              bool *ret_matches)
{
    const struct query *query = plan->query;
    bool matches = matches_time(plan, row) && may_match_box(plan, row) &&
                   matches_origin(query, row) && matches_municipality(query, row) &&
                   matches_themes(plan, row) &&
                   (row->placed || !(query->has_near || query->region));
    enum torg_err err = TORG_OK;

    if (matches && query->has_near)
        err = shape_query_within(plan->shapes, row, query->radius_m, &matches);
    if (!err && matches && query->has_box && !query->box_is_cover && row->placed)
        err = shape_query_boxed(plan->shapes, row, &matches);
    if (!err && matches && query->region)
        err = shape_query_touches(plan->shapes, row, &matches);
    if (!err && matches && query->has_open)
        err = matches_open(plan, row, &matches);
    if (!err && matches && query->filter)
        err = matches_filter(plan, row, &matches);
    if (!err)
        *ret_matches = matches;
    return err;
}

enum torg_err query_match_found(struct query_plan *plan, const struct query_part *part,
                                uint32_t number, bool fetch, struct catalogue_row *row,
                                bool *ret_has_row, bool *ret_matches)
{
    bool compare;
    enum torg_err err;

    *ret_has_row = *ret_matches = false;
    if (plan->filtered && !postings_set_contains(&plan->set, number))
        return TORG_OK;
    compare =
        plan->rows || (part->has_irregular && postings_set_contains(&part->irregular, number));
    *ret_matches = true;
    if (!compare && !fetch)
        return TORG_OK;
    err = query_plan_row(plan);
    if (!err)
        err = catalogue_row_get(plan->kv, part->collection, part->placed, number, row);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err; /* The index named it just now. */
    *ret_has_row = true;
    return compare ? query_match_row(plan, row, ret_matches) : TORG_OK;
}
