/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/query_plan.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/opening.h"

/* How many count as much work as a row: estimates. */
#define HITS_A_ROW 8
#define DAYS_A_ROW 16 /* of opening hours' rules */

static bool query_valid(const struct query *query)
{
    if (query->has_near && (!geo_point_valid(query->near) || !(query->radius_m >= 0)))
        return false;
    if (query->has_box && !geo_box_valid(&query->box))
        return false;
    if (query->has_reach && (!geo_point_valid(query->reach) || !(query->reach_m >= 0) ||
                             query->reach_m > REACH_WITHIN_M_MAX))
        return false;
    if (query->has_open && !opening_moment_valid(query->open_ms))
        return false;
    if (query->has_datetime && query->from_ms > query->through_ms)
        return false;
    if (query->group_count > RTREE_THEME_GROUPS_MAX || query->limit > QUERY_LIMIT_MAX ||
        query->origin_count > QUERY_VALUES_MAX || query->municipality_count > QUERY_VALUES_MAX ||
        query->network_count > QUERY_VALUES_MAX)
        return false;
    for (size_t i = 0; i < query->group_count; i++) {
        if (query->groups[i].count == 0 || query->groups[i].count > RTREE_THEME_SETS_MAX)
            return false;
    }
    /* A cursor of one order means nothing in the other. */
    return !query->has_cursor ||
           (query->has_near || query->text.size > 0) == (query->cursor.distance_m >= 0);
}

/*
 * A slug whose bit others may carry, too: do they? Only of bit 0 it is known that none does,
 * and rows need not be compared.
 */
static enum torg_err plan_theme_alone(const struct query_plan *plan, struct span slug,
                                      bool *ret_alone)
{
    uint32_t collections = plan->query->collections & COLLECTION_MASK_PUBLIC;
    uint64_t strays = 0;
    enum torg_err err = TORG_OK;

    *ret_alone = span_equal(slug, span_of_str(THEME_OTHER));
    for (uint8_t c = 1; c < COLLECTIONS_MAX && *ret_alone && !err; c++) {
        if (collections >> c & 1)
            err = catalogue_count_get(plan->kv, CATALOGUE_COUNT_STRAY, c, 0, &strays);
        *ret_alone = strays == 0;
    }
    return err;
}

static enum torg_err plan_themes(struct query_plan *plan)
{
    const struct query *query = plan->query;
    enum torg_err err = TORG_OK;

    plan->themes_exact = true;
    if (query->group_count == 0)
        return TORG_OK;
    plan->groups = malloc(query->group_count * sizeof(*plan->groups));
    if (!plan->groups)
        return TORG_E_NOMEM;
    for (size_t i = 0; i < query->group_count; i++) {
        plan->groups[i].count = query->groups[i].count;
        for (size_t j = 0; j < query->groups[i].count && !err; j++) {
            struct span slug = query->groups[i].slugs[j];
            bool exact;

            plan->groups[i].sets[j] = theme_query_set(plan->themes, slug, &exact);
            if (!exact)
                err = plan_theme_alone(plan, slug, &exact);
            plan->themes_exact = plan->themes_exact && exact;
        }
    }
    plan->tree.group_count = query->group_count;
    plan->tree.groups = plan->groups;
    return err;
}

static enum torg_err plan_count(struct query_plan *plan, struct query_part *part)
{
    struct rtree_query tree = query_plan_tree(plan, part);
    struct rtree_work work = {0};
    enum torg_err err;

    if (plan->count_themes) {
        part->themes = malloc(THEME_BITS * sizeof(*part->themes));
        if (!part->themes)
            return TORG_E_NOMEM;
        err = rtree_theme_counts(plan->kv, catalogue_tree(part->collection, part->placed), &tree,
                                 part->themes, &part->by_tree, &work);
    } else {
        err = rtree_count(plan->kv, catalogue_tree(part->collection, part->placed), &tree,
                          &part->by_tree, &work);
    }
    return err ? err : query_plan_walked(plan, &work);
}

static void part_done(struct query_part *part)
{
    postings_set_done(&part->candidates);
    postings_set_done(&part->irregular);
    free(part->themes);
    part->themes = NULL;
}

static enum torg_err plan_part(struct query_plan *plan, uint8_t collection, bool placed,
                               uint64_t documents)
{
    struct query_part *part = &plan->parts[plan->part_count];
    enum torg_err err;

    if (documents == 0)
        return TORG_OK;
    *part = (struct query_part){
        .collection = collection,
        .placed = placed,
        .from_ms = plan->query->from_ms,
        .through_ms = plan->query->through_ms,
        .documents = documents,
    };
    if (!plan->query->has_datetime)
        catalogue_shown_span(collection, plan->query->now_ms, &part->from_ms, &part->through_ms);
    err = plan_count(plan, part);
    if (!err && part->by_tree > 0)
        plan->part_count++;
    else
        part_done(part);
    return err;
}

static enum torg_err plan_collection(struct query_plan *plan, uint8_t collection)
{
    uint64_t documents, placed;
    enum torg_err err;

    err = catalogue_count_get(plan->kv, CATALOGUE_COUNT_PLACED, collection, 0, &placed);
    if (err || plan->query->has_near || plan->query->region) /* They want a place. */
        return err ? err : plan_part(plan, collection, true, placed);
    err = catalogue_count_get(plan->kv, CATALOGUE_COUNT_DOCUMENTS, collection, 0, &documents);
    if (!err && placed > documents)
        err = TORG_E_CORRUPT;
    if (!err)
        err = plan_part(plan, collection, true, placed);
    return err ? err : plan_part(plan, collection, false, documents - placed);
}

/* The parts in which the tree finds something and, with a set, the set has something. */
static enum torg_err plan_parts(struct query_plan *plan)
{
    uint32_t collections = plan->query->collections & COLLECTION_MASK_PUBLIC;
    size_t kept = 0;
    enum torg_err err = TORG_OK;

    for (uint8_t c = 1; c < COLLECTIONS_MAX && !err; c++) {
        if (collections >> c & 1)
            err = plan_collection(plan, c);
    }
    if (!err)
        err = query_filter_init(plan);
    for (size_t i = 0; i < plan->part_count && !err; i++) {
        struct query_part part = plan->parts[i];

        err = query_filter_part(plan, &part);
        if (err || (plan->filtered && part.by_postings == 0))
            part_done(&part);
        else
            plan->parts[kept++] = part;
    }
    plan->part_count = kept;
    plan->explain.has_set = plan->filtered;
    plan->explain.set_count = postings_set_count(&plan->set);
    return err;
}

/* What has nothing but its trees may be counted by them alone, and its themes with it. */
static bool plan_counts_themes(const struct query_plan *plan, unsigned facets)
{
    const struct query *query = plan->query;

    return facets & QUERY_FACET_THEME && !plan->rows && query->text.size == 0 &&
           !query->has_reach &&
           query->origin_count + query->municipality_count + query->network_count == 0;
}

/* Not an initialiser: the parts, and what is told of them, need not be zeroed. */
static void plan_begin(struct query_plan *plan, const struct kv *kv,
                       const struct theme_tree *themes, const struct query *query)
{
    memset(plan, 0, offsetof(struct query_plan, explain) + offsetof(struct query_explain, parts));
    plan->kv = kv;
    plan->themes = themes;
    plan->query = query;
}

enum torg_err query_plan_init(struct query_plan *plan, const struct kv *kv,
                              const struct theme_tree *themes, const struct query *query,
                              unsigned facets)
{
    enum torg_err err = TORG_OK;
    bool exact_box;

    plan_begin(plan, kv, themes, query);
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
    err = plan_themes(plan);
    plan->rows = !plan->themes_exact || query->filter || query->has_open;
    plan->filter_before = query->filter ? filter_work(query->filter) : 0;
    plan->count_themes = plan_counts_themes(plan, facets);
    if (!err && query->text.size > 0)
        err = text_query_new(kv, query->text, QUERY_WORK_MAX, &plan->text);
    exact_box = query->has_box && !query->box_is_cover;
    if (!err && (query->has_near || query->region || exact_box))
        err = shape_query_new(kv, exact_box ? &query->box : NULL, query->region,
                              query->has_near ? &query->near : NULL, &plan->shapes);
    if (!err)
        err = plan_parts(plan);
    if (err)
        query_plan_done(plan);
    return err;
}

void query_plan_done(struct query_plan *plan)
{
    shape_query_free(plan->shapes);
    for (size_t i = 0; i < plan->part_count; i++)
        part_done(&plan->parts[i]);
    plan->part_count = 0;
    postings_set_done(&plan->set);
    text_query_free(plan->text);
    free(plan->groups);
}

bool query_plan_counted(const struct query_plan *plan, const struct query_part *part)
{
    return !plan->filtered && !plan->rows && !part->has_irregular;
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

/* A hit that a tree gives out, or a set, costs little beside a row or a node. */
static enum torg_err plan_work(struct query_plan *plan)
{
    struct query_explain *explain = &plan->explain;

    explain->work = explain->nodes + explain->leaves + explain->rows + explain->postings +
                    explain->hits / HITS_A_ROW + plan->shape_work.work + explain->hours +
                    plan->hours_work / DAYS_A_ROW;
    if (plan->query->filter)
        explain->work += filter_work(plan->query->filter) - plan->filter_before;
    return explain->work > QUERY_WORK_MAX ? TORG_E_EXPENSIVE : TORG_OK;
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
    err = plan_work(plan);
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
    return plan_work(plan);
}

enum torg_err query_plan_hits(struct query_plan *plan, size_t count)
{
    plan->explain.hits += count;
    return plan_work(plan);
}

enum torg_err query_plan_row(struct query_plan *plan)
{
    enum torg_err err = query_plan_settle(plan);

    plan->explain.rows++;
    return err ? err : plan_work(plan);
}
