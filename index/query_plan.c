/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/query_plan.h"

#include <string.h>

#include "protocol/fold.h"

/*
 * What one step costs, in units of about 10 ns, measured on 1 M listings: a
 * listing that the tree visits, one whose row is then fetched, and a row in a
 * scan. Only the choice of the driver hangs on them.
 */
#define COST_TREE 1
#define COST_FETCH 45
#define COST_SCAN 8

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

static enum torg_err plan_collections(struct query_plan *plan)
{
    const struct query *query = plan->query;
    bool compare = query->origin_count > 0 || query->municipality_count > 0 ||
                   plan->text.size > 0 || !plan->themes_exact;
    uint64_t documents, placed, irregular;
    enum torg_err err;

    for (uint8_t c = 1; c < COLLECTIONS_MAX; c++) {
        if (!(query->collections & COLLECTION_MASK_PUBLIC & UINT32_C(1) << c))
            continue;
        err = catalogue_count_get(plan->kv, CATALOGUE_COUNT_DOCUMENTS, c, 0, &documents);
        if (!err)
            err = catalogue_count_get(plan->kv, CATALOGUE_COUNT_PLACED, c, 0, &placed);
        if (!err)
            err = catalogue_count_get(plan->kv, CATALOGUE_COUNT_IRREGULAR, c, 0, &irregular);
        if (err)
            return err;
        if (documents == 0)
            continue;
        plan->collections |= UINT32_C(1) << c;
        if (compare || (irregular > 0 && !query->has_datetime))
            plan->compared |= UINT32_C(1) << c;
        plan->documents += documents;
        plan->placed += placed;
    }
    return TORG_OK;
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
    plan->window = query->has_box ? geo_window_of_box(&query->box) : geo_window_all();
    plan->tree.has_centre = query->has_near;
    plan->tree.centre = query->near;
    plan->tree.radius_m = query->radius_m;
    plan_themes(plan);
    fold_put(&plan->text, query->text);
    err = plan->text.err;
    if (!err)
        err = plan_collections(plan);
    if (err)
        query_plan_done(plan);
    return err;
}

void query_plan_done(struct query_plan *plan)
{
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

bool query_plan_matches(const struct query_plan *plan, const struct catalogue_row *row)
{
    return matches_time(plan, row) && matches_box(plan, row) && matches_origin(plan->query, row) &&
           matches_municipality(plan->query, row) && matches_themes(plan, row) &&
           (plan->text.size == 0 || fold_contains(row->folded_names, buffer_span(&plan->text)));
}

struct rtree_query query_plan_tree(const struct query_plan *plan, uint8_t collection)
{
    struct rtree_query tree = plan->tree;

    if (plan->query->has_datetime) {
        tree.time_from_ms = plan->query->from_ms;
        tree.time_through_ms = plan->query->through_ms;
    } else {
        catalogue_shown_span(collection, plan->query->now_ms, &tree.time_from_ms,
                             &tree.time_through_ms);
    }
    return tree;
}

enum torg_err query_plan_work(struct query_plan *plan, uint64_t work)
{
    plan->work += work;
    return plan->work > QUERY_WORK_MAX ? TORG_E_EXPENSIVE : TORG_OK;
}

enum torg_err query_plan_count(struct query_plan *plan, uint8_t collection,
                               const struct rtree_query *tree, uint64_t *ret_count)
{
    struct rtree_query limited = *tree;
    struct rtree_work work = {0};
    enum torg_err err;

    limited.work_max = QUERY_WORK_MAX - plan->work + 1;
    err = rtree_count(plan->kv, collection, &limited, ret_count, &work);
    if (err)
        return err;
    return query_plan_work(plan, work.nodes);
}

enum torg_err query_plan_count_all(struct query_plan *plan, uint32_t mask, uint64_t *ret_count)
{
    uint64_t sum = 0;

    for (uint8_t c = 1; c < COLLECTIONS_MAX; c++) {
        struct rtree_query tree = query_plan_tree(plan, c);
        uint64_t count;
        enum torg_err err;

        if (!(plan->collections & mask & UINT32_C(1) << c))
            continue;
        err = query_plan_count(plan, c, &tree, &count);
        if (err)
            return err;
        sum += count;
    }
    *ret_count = sum;
    return TORG_OK;
}

enum torg_err query_plan_driver(struct query_plan *plan, bool rows, enum query_driver *ret_driver,
                                uint64_t *ret_estimate)
{
    uint64_t unplaced = plan->documents - plan->placed;
    uint64_t estimate, by_tree, by_scan;
    enum torg_err err;

    err = query_plan_count_all(plan, plan->collections, &estimate);
    if (err)
        return err;
    by_tree = estimate * (rows ? COST_FETCH : COST_TREE) + unplaced * COST_SCAN;
    by_scan = plan->documents * COST_SCAN;
    /* Rows are not compared with circles: that is the trees' part. */
    *ret_driver = plan->query->has_near || by_tree < by_scan ? QUERY_BY_TREE : QUERY_BY_SCAN;
    *ret_estimate = estimate;
    return TORG_OK;
}

struct each {
    struct query_plan *plan;
    uint8_t collection;
    bool fetch;   /* the row, to compare it or to give it out */
    bool compare; /* the tree's answer is only a superset */
    query_match_visit *visit;
    void *context;
    enum torg_err err;
};

static enum torg_err each_match(struct each *each, const struct rtree_hit *hit)
{
    struct query_match match = {.number = hit->document, .distance_m = hit->distance_m};
    struct catalogue_row row;
    enum torg_err err;

    err = query_plan_work(each->plan, 1);
    if (err || !each->fetch)
        return err ? err : each->visit(each->context, &match);
    err = catalogue_row_get(each->plan->kv, each->collection, true, hit->document, &row);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
    if (each->compare && !query_plan_matches(each->plan, &row))
        return TORG_OK;
    match.row = &row;
    return each->visit(each->context, &match);
}

static bool each_hit(void *context, const struct rtree_hit *hit)
{
    struct each *each = context;

    each->err = each_match(each, hit);
    return !each->err;
}

enum torg_err query_plan_each_placed(struct query_plan *plan, uint8_t collection, unsigned want,
                                     query_match_visit *visit, void *context)
{
    struct rtree_query tree = query_plan_tree(plan, collection);
    struct rtree_work work = {0};
    struct each each = {
        .plan = plan,
        .collection = collection,
        .compare = plan->compared >> collection & 1,
        .visit = visit,
        .context = context,
    };
    enum torg_err err;

    each.fetch = each.compare || want & QUERY_EACH_ROWS;
    tree.work_max = QUERY_WORK_MAX - plan->work + 1;
    err = rtree_search(plan->kv, collection, &tree, want & QUERY_EACH_DISTANCES, each_hit, &each,
                       &work);
    if (!err)
        err = each.err;
    return err ? err : query_plan_work(plan, work.nodes);
}

static enum torg_err each_row(struct query_plan *plan, bool placed, query_match_visit *visit,
                              void *context)
{
    struct query_match match = {.distance_m = -1};
    struct query_scan scan;
    struct catalogue_row row;
    enum torg_err err;

    err = query_scan_open(&scan, plan->kv, plan->collections, placed, true, 0);
    while (!err) {
        err = query_scan_next(&scan, &row);
        if (!err)
            err = query_plan_work(plan, 1);
        if (err)
            break;
        if (!query_plan_matches(plan, &row))
            continue;
        match.number = row.number;
        match.row = &row;
        err = visit(context, &match);
        if (err) {
            query_scan_close(&scan);
            return err;
        }
    }
    query_scan_close(&scan);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

enum torg_err query_plan_each_unplaced(struct query_plan *plan, query_match_visit *visit,
                                       void *context)
{
    if (plan->query->has_near || plan->documents == plan->placed)
        return TORG_OK;
    return each_row(plan, false, visit, context);
}

enum torg_err query_plan_each(struct query_plan *plan, enum query_driver driver, unsigned want,
                              query_match_visit *visit, void *context)
{
    enum torg_err err;

    if (driver == QUERY_BY_SCAN)
        return each_row(plan, true, visit, context);
    for (uint8_t c = 1; c < COLLECTIONS_MAX; c++) {
        if (!(plan->collections >> c & 1))
            continue;
        err = query_plan_each_placed(plan, c, want, visit, context);
        if (err)
            return err;
    }
    return query_plan_each_unplaced(plan, visit, context);
}
