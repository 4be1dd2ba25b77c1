/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/query_plan.h"

#include <string.h>

#include "protocol/fold.h"

/*
 * What it costs to fetch the row of a listing that a tree has found, in
 * listings that it visits; measured. Only the choice of the driver hangs on it.
 */
#define COST_FETCH 45

static bool query_valid(const struct query *query)
{
    if (query->has_near && (!geo_point_valid(query->near) || !(query->radius_m >= 0)))
        return false;
    if (query->has_box && !geo_box_valid(&query->box))
        return false;
    if (query->has_datetime && query->from_ms > query->through_ms)
        return false;
    if (query->group_count > RTREE_THEME_GROUPS_MAX || query->limit > QUERY_LIMIT_MAX ||
        query->origin_count > QUERY_VALUES_MAX || query->municipality_count > QUERY_VALUES_MAX)
        return false;
    for (size_t i = 0; i < query->group_count; i++) {
        if (query->groups[i].count == 0 || query->groups[i].count > RTREE_THEME_SETS_MAX)
            return false;
    }
    /* A cursor of one order means nothing in the other. */
    return !query->has_cursor || query->has_near == (query->cursor.distance_m >= 0);
}

static void plan_themes(struct query_plan *plan)
{
    const struct query *query = plan->query;
    bool exact;

    plan->themes_exact = true;
    plan->tree.group_count = query->group_count;
    for (size_t i = 0; i < query->group_count; i++) {
        plan->tree.groups[i].count = query->groups[i].count;
        for (size_t j = 0; j < query->groups[i].count; j++) {
            plan->tree.groups[i].sets[j] =
                theme_query_set(plan->themes, query->groups[i].slugs[j], &exact);
            plan->themes_exact = plan->themes_exact && exact;
        }
    }
}

static enum torg_err plan_count(struct query_plan *plan, struct query_part *part)
{
    struct rtree_query tree = query_plan_tree(plan, part);
    struct rtree_work work = {0};
    enum torg_err err;

    err = rtree_count(plan->kv, catalogue_tree(part->collection, part->placed), &tree,
                      &part->by_tree, &work);
    return err ? err : query_plan_walked(plan, &work);
}

static enum torg_err plan_part(struct query_plan *plan, uint8_t collection, bool placed,
                               uint64_t documents, bool compared)
{
    struct query_part *part = &plan->parts[plan->part_count];
    enum torg_err err;

    if (documents == 0 || (plan->shapes && !placed))
        return TORG_OK; /* Near and region want a place. */
    *part = (struct query_part){
        .collection = collection,
        .placed = placed,
        .compared = compared,
        .from_ms = plan->query->from_ms,
        .through_ms = plan->query->through_ms,
        .documents = documents,
    };
    if (!plan->query->has_datetime)
        catalogue_shown_span(collection, plan->query->now_ms, &part->from_ms, &part->through_ms);
    err = plan_count(plan, part);
    if (!err && part->by_tree > 0)
        plan->part_count++;
    return err;
}

static enum torg_err plan_collection(struct query_plan *plan, uint8_t collection)
{
    const struct query *query = plan->query;
    bool compared = query->origin_count > 0 || query->municipality_count > 0 ||
                    plan->text.size > 0 || !plan->themes_exact;
    uint64_t documents, placed, irregular;
    enum torg_err err;

    err = catalogue_count_get(plan->kv, CATALOGUE_COUNT_DOCUMENTS, collection, 0, &documents);
    if (!err)
        err = catalogue_count_get(plan->kv, CATALOGUE_COUNT_PLACED, collection, 0, &placed);
    if (!err)
        err = catalogue_count_get(plan->kv, CATALOGUE_COUNT_IRREGULAR, collection, 0, &irregular);
    if (!err && placed > documents)
        err = TORG_E_CORRUPT;
    if (err)
        return err;
    compared = compared || (irregular > 0 && !query->has_datetime);
    err = plan_part(plan, collection, true, placed, compared);
    return err ? err : plan_part(plan, collection, false, documents - placed, compared);
}

static enum torg_err plan_parts(struct query_plan *plan)
{
    uint32_t collections = plan->query->collections & COLLECTION_MASK_PUBLIC;
    enum torg_err err = TORG_OK;

    for (uint8_t c = 1; c < COLLECTIONS_MAX && !err; c++) {
        if (collections >> c & 1)
            err = plan_collection(plan, c);
    }
    return err;
}

enum torg_err query_plan_init(struct query_plan *plan, const struct kv *kv,
                              const struct theme_tree *themes, const struct query *query)
{
    enum torg_err err;

    *plan = (struct query_plan){.kv = kv, .themes = themes, .query = query};
    if (!query_valid(query))
        return TORG_E_INVALID;
    if (query->text.size > QUERY_TEXT_BYTES_MAX)
        return TORG_E_TOO_BIG;
    if (query->offset > QUERY_OFFSET_MAX)
        return TORG_E_EXPENSIVE;
    plan->tree.has_box = query->has_box;
    plan->tree.box = query->box;
    if (query->has_box)
        plan->window = geo_window_of_box(&query->box);
    plan->tree.has_centre = query->has_near;
    plan->tree.centre = query->near;
    plan->tree.radius_m = query->radius_m;
    plan_themes(plan);
    fold_put(&plan->text, query->text);
    err = plan->text.err;
    if (!err && (query->has_near || query->region))
        err = shape_query_new(kv, query->region, query->has_near ? &query->near : NULL,
                              &plan->shapes);
    if (!err)
        err = plan_parts(plan);
    if (err)
        query_plan_done(plan);
    return err;
}

void query_plan_done(struct query_plan *plan)
{
    shape_query_free(plan->shapes);
    buffer_done(&plan->text);
}

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

static bool row_has_theme(const struct catalogue_row *row, struct span theme)
{
    struct span left = row->themes_text;

    while (left.size > 0) {
        const uint8_t *end = memchr(left.data, 0, left.size);
        size_t size = end ? (size_t)(end - left.data) : left.size;

        if (theme_holds(theme, span_of(left.data, size)))
            return true;
        if (!end)
            return false;
        left = span_of(end + 1, left.size - size - 1);
    }
    return false;
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
        if (!row_has_theme(row, plan->query->groups[i].slugs[j]))
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

static bool matches_box(const struct query_plan *plan, const struct catalogue_row *row)
{
    return !plan->query->has_box || !row->placed ||
           geo_window_overlaps(&plan->window, row->box_min, row->box_max);
}

enum torg_err query_plan_matches(struct query_plan *plan, const struct catalogue_row *row,
                                 bool *ret_matches)
{
    const struct query *query = plan->query;
    bool matches =
        matches_time(plan, row) && matches_box(plan, row) && matches_origin(query, row) &&
        matches_municipality(query, row) && matches_themes(plan, row) &&
        (plan->text.size == 0 || fold_contains(row->folded_names, buffer_span(&plan->text))) &&
        (row->placed || !plan->shapes);
    enum torg_err err = TORG_OK;

    if (matches && query->has_near)
        err = shape_query_within(plan->shapes, row, query->radius_m, &matches);
    if (!err && matches && query->region)
        err = shape_query_touches(plan->shapes, row, &matches);
    if (!err)
        *ret_matches = matches;
    return err;
}

struct rtree_query query_plan_tree(const struct query_plan *plan, const struct query_part *part)
{
    struct rtree_query tree = plan->tree;

    tree.has_box = tree.has_box && part->placed;
    tree.shapes = plan->shapes ? shape_query_shapes(plan->shapes) : NULL;
    tree.time_from_ms = part->from_ms;
    tree.time_through_ms = part->through_ms;
    tree.work_max = QUERY_WORK_MAX - plan->explain.work + 1;
    return tree;
}

static enum torg_err plan_work(struct query_plan *plan, uint64_t work)
{
    plan->explain.work += work;
    return plan->explain.work > QUERY_WORK_MAX ? TORG_E_EXPENSIVE : TORG_OK;
}

enum torg_err query_plan_settle(struct query_plan *plan)
{
    struct shape_query_work before = plan->shape_work;
    enum torg_err err;

    if (!plan->shapes)
        return TORG_OK;
    plan->shape_work = shape_query_work(plan->shapes);
    plan->explain.shapes = plan->shape_work.read;
    plan->explain.geodesics += plan->shape_work.geodesics - before.geodesics;
    err = plan_work(plan, plan->shape_work.work - before.work);
    return err ? err : shape_query_err(plan->shapes);
}

enum torg_err query_plan_walked(struct query_plan *plan, const struct rtree_work *work)
{
    enum torg_err err = query_plan_settle(plan);

    if (err)
        return err;
    plan->explain.nodes += work->nodes;
    plan->explain.leaves += work->leaves;
    plan->explain.items += work->items;
    plan->explain.geodesics += work->geodesics;
    return plan_work(plan, work->nodes + work->leaves);
}

enum torg_err query_plan_hit(struct query_plan *plan)
{
    plan->explain.hits++;
    return plan_work(plan, 1);
}

enum torg_err query_plan_row(struct query_plan *plan)
{
    enum torg_err err = query_plan_settle(plan);

    plan->explain.rows++;
    return err ? err : plan_work(plan, 1);
}

struct each {
    struct query_plan *plan;
    const struct query_part *part;
    bool fetch; /* the row, to compare it or to give it out */
    query_match_visit *visit;
    void *context;
    enum torg_err err;
};

static enum torg_err each_found(struct each *each, uint32_t number)
{
    struct catalogue_row row;
    bool matches = true;
    enum torg_err err;

    err = query_plan_hit(each->plan);
    if (err || !each->fetch)
        return err ? err : each->visit(each->context, number, NULL);
    err = query_plan_row(each->plan);
    if (err)
        return err;
    err =
        catalogue_row_get(each->plan->kv, each->part->collection, each->part->placed, number, &row);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
    if (each->part->compared)
        err = query_plan_matches(each->plan, &row, &matches);
    return err || !matches ? err : each->visit(each->context, number, &row);
}

static bool each_hits(void *context, const struct rtree_batch *hits)
{
    struct each *each = context;

    for (size_t i = 0; i < hits->count && !each->err; i++)
        each->err = each_found(each, hits->documents[i]);
    return !each->err;
}

static enum torg_err each_by_tree(struct each *each)
{
    const struct query_part *part = each->part;
    struct rtree_query tree = query_plan_tree(each->plan, part);
    struct rtree_work work = {0};
    enum torg_err err;

    err = rtree_search(each->plan->kv, catalogue_tree(part->collection, part->placed), &tree, false,
                       each_hits, each, &work);
    if (!err)
        err = each->err;
    return err ? err : query_plan_walked(each->plan, &work);
}

static enum torg_err each_row(void *context, const struct catalogue_row *row)
{
    struct each *each = context;
    bool matches;
    enum torg_err err;

    err = query_plan_row(each->plan);
    if (!err)
        err = query_plan_matches(each->plan, row, &matches);
    return err || !matches ? err : each->visit(each->context, row->number, row);
}

enum torg_err query_plan_each(struct query_plan *plan, const struct query_part *part, bool rows,
                              query_match_visit *visit, void *context,
                              enum query_driver *ret_driver)
{
    struct each each = {
        .plan = plan,
        .part = part,
        .fetch = rows || part->compared,
        .visit = visit,
        .context = context,
    };
    uint64_t by_tree = part->by_tree * (each.fetch ? COST_FETCH : 1);
    enum query_driver driver =
        by_tree <= part->documents * QUERY_COST_ROW ? QUERY_BY_TREE : QUERY_BY_SCAN;
    enum torg_err err;

    err = driver == QUERY_BY_TREE
              ? each_by_tree(&each)
              : catalogue_rows(plan->kv, part->collection, part->placed, 0, each_row, &each);
    if (!err)
        *ret_driver = driver;
    return err;
}

enum torg_err query_plan_each_row(struct query_plan *plan, query_match_visit *visit, void *context)
{
    enum query_driver driver;
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < plan->part_count && !err; i++)
        err = query_plan_each(plan, &plan->parts[i], true, visit, context, &driver);
    return err;
}
