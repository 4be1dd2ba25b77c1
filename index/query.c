/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/query.h"

#include <stdlib.h>
#include <string.h>

#include "index/query_plan.h"

/* A page in the making: what matches is counted, the first after the cursor are kept. */
struct run {
    struct query_plan *plan;
    struct query_top top;
    size_t wanted; /* up to the end of the page, and one more that says there is a next */
    uint64_t matched;
    bool collecting; /* what is visited was counted before */
};

static const char driver_count[] = "count";
static const char driver_tree[] = "rtree";
static const char driver_scan[] = "scan";
static const char driver_near[] = "near";
static const char driver_walk[] = "walk";

static const char *driver_name(enum query_driver driver)
{
    return driver == QUERY_BY_SCAN ? driver_scan : driver_tree;
}

static bool after_cursor(const struct query *query, double distance_m, uint32_t number)
{
    const struct query_cursor *cursor = &query->cursor;

    return !query->has_cursor ||
           query_order(distance_m, number, cursor->distance_m, cursor->document) > 0;
}

/* A distance costs more than all else about a row: none for what surely is too far away. */
static enum torg_err run_add_near(struct run *run, uint32_t number, const struct catalogue_row *row)
{
    struct shape_query *shapes = run->plan->shapes;
    double distance_m;
    enum torg_err err;

    if (query_top_passes(&run->top, 0, shape_query_lower_m(shapes, row)))
        return TORG_OK;
    err = shape_query_distance(shapes, row, &distance_m);
    if (err || !after_cursor(run->plan->query, distance_m, number))
        return err;
    return query_top_add(&run->top, number, distance_m);
}

static enum torg_err run_visit(void *context, uint32_t number, const struct catalogue_row *row)
{
    struct run *run = context;
    const struct query *query = run->plan->query;

    run->matched += !run->collecting;
    if (run->wanted == 0)
        return TORG_OK;
    if (query->has_near)
        return run_add_near(run, number, row);
    return after_cursor(query, -1, number) ? query_top_add(&run->top, number, -1) : TORG_OK;
}

/*
 * Count what matches: by the trees alone where they say it all, else row by
 * row, and then it is collected for the page at the same time.
 */
static enum torg_err run_count(struct run *run)
{
    struct query_explain *explain = &run->plan->explain;
    enum query_driver driver;
    enum torg_err err;

    explain->driver = driver_count;
    for (size_t i = 0; i < run->plan->part_count; i++) {
        const struct query_part *part = &run->plan->parts[i];
        uint64_t before = run->matched;
        const char *how = driver_count;

        if (part->compared) {
            err = query_plan_each(run->plan, part, false, run_visit, run, &driver);
            if (err)
                return err;
            explain->driver = how = driver_name(driver);
        } else {
            run->matched += part->by_tree;
        }
        explain->parts[explain->part_count++] = (struct query_explain_part){
            .collection = part->collection,
            .placed = part->placed,
            .compared = part->compared,
            .documents = part->documents,
            .by_tree = part->by_tree,
            .matched = run->matched - before,
            .driver = how,
        };
    }
    return TORG_OK;
}

/* ---- in the order of document numbers ---- */

/* Most rows match: walk them in order from the cursor until the page is full. */
static enum torg_err run_walk(struct run *run)
{
    const struct query *query = run->plan->query;
    uint32_t first = query->has_cursor ? query->cursor.document : 0;
    struct query_scan scan;
    struct catalogue_row row;
    bool matches = false;
    enum torg_err err;

    run->plan->explain.driver = driver_walk;
    run->top.count = 0;
    err = query_scan_open(&scan, run->plan, first);
    while (!err && run->top.count < run->wanted) {
        err = query_scan_next(&scan, &row);
        if (!err)
            err = query_plan_row(run->plan);
        if (err || !after_cursor(query, -1, row.number))
            continue;
        err = query_plan_matches(run->plan, &row, &matches);
        if (!err && matches)
            err = query_top_add(&run->top, row.number, -1);
    }
    query_scan_close(&scan);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

/* What is not collected yet: by whichever way is shorter. */
static enum torg_err run_ordered(struct run *run)
{
    struct query_plan *plan = run->plan;
    uint64_t documents = 0, left = 0;
    enum query_driver driver = QUERY_BY_TREE;
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < plan->part_count; i++) {
        documents += plan->parts[i].documents;
        left += plan->parts[i].compared ? 0 : plan->parts[i].by_tree;
    }
    if (left == 0)
        return TORG_OK;
    if (QUERY_COST_ROW * run->wanted * documents / run->matched < left)
        return run_walk(run);
    run->collecting = true;
    for (size_t i = 0; i < plan->part_count && !err; i++) {
        if (plan->parts[i].compared)
            continue;
        err = query_plan_each(plan, &plan->parts[i], false, run_visit, run, &driver);
        plan->explain.driver = driver_name(driver);
    }
    return err;
}

/* ---- nearest first ---- */

/* One stream for each group of collections whose trees are asked for the same times. */
static enum torg_err run_stream(struct run *run, uint32_t collections,
                                const struct rtree_query *tree)
{
    const struct query *query = run->plan->query;
    struct rtree_near *near;
    struct rtree_work work;
    struct rtree_hit hit;
    enum torg_err err;

    err = rtree_near_new(run->plan->kv, collections, tree, &near);
    if (err)
        return err;
    run->plan->explain.driver = driver_near;
    if (query->has_cursor)
        rtree_near_after(near, query->cursor.distance_m, query->cursor.document);
    for (size_t i = 0; i < run->wanted; i++) {
        err = rtree_near_next(near, &hit);
        run->plan->explain.hits += !err;
        if (err || query_top_passes(&run->top, hit.document, hit.distance_m))
            break;
        err = query_top_add(&run->top, hit.document, hit.distance_m);
        if (err)
            break;
    }
    rtree_near_work(near, &work);
    rtree_near_free(near);
    if (err && err != TORG_E_NOT_FOUND)
        return err;
    return query_plan_walked(run->plan, &work);
}

/* The collections that are streamed with the part at i: asked for the same times. */
static uint32_t stream_collections(const struct query_plan *plan, size_t i)
{
    const struct query_part *first = &plan->parts[i];
    uint32_t collections = 0;

    for (size_t j = 0; j < plan->part_count; j++) {
        const struct query_part *part = &plan->parts[j];

        if (!part->compared && part->from_ms == first->from_ms &&
            part->through_ms == first->through_ms)
            collections |= UINT32_C(1) << part->collection;
    }
    return collections;
}

static enum torg_err run_near(struct run *run)
{
    struct query_plan *plan = run->plan;
    uint32_t done = 0;
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < plan->part_count && !err; i++) {
        struct rtree_query tree = query_plan_tree(plan, &plan->parts[i]);
        uint32_t collections = stream_collections(plan, i);

        if (plan->parts[i].compared || done >> plan->parts[i].collection & 1)
            continue;
        done |= collections;
        tree.near_hint = run->wanted < UINT32_MAX ? (uint32_t)run->wanted : UINT32_MAX;
        err = run_stream(run, collections, &tree);
    }
    return err;
}

/* ---- the page ---- */

static enum torg_err run_page(struct run *run, struct query_page *ret_page)
{
    const struct query *query = run->plan->query;
    struct query_page page = {
        .matched = run->matched,
        .explain = run->plan->explain,
    };
    size_t skip = query->offset;

    query_top_sort(&run->top);
    if (run->top.count > skip) {
        page.count = run->top.count - skip;
        if (page.count > query->limit) {
            page.count = query->limit;
            page.has_next = true;
        }
        page.hits = malloc((page.count ? page.count : 1) * sizeof(*page.hits));
        if (!page.hits)
            return TORG_E_NOMEM;
        if (page.count)
            memcpy(page.hits, run->top.hits + skip, page.count * sizeof(*page.hits));
    }
    if (page.has_next) {
        page.next.distance_m = page.hits[page.count - 1].distance_m;
        page.next.document = page.hits[page.count - 1].document;
    }
    *ret_page = page;
    return TORG_OK;
}

enum torg_err query_run(const struct kv *kv, const struct theme_tree *themes,
                        const struct query *query, struct query_page *ret_page)
{
    struct query_plan plan;
    struct run run = {.plan = &plan};
    enum torg_err err;

    err = query_plan_init(&plan, kv, themes, query);
    if (err)
        return err;
    if (query->limit > 0)
        run.wanted = (size_t)query->offset + query->limit + 1;
    query_top_init(&run.top, run.wanted);
    err = run_count(&run);
    if (!err && run.wanted > 0 && run.matched > 0)
        err = query->has_near ? run_near(&run) : run_ordered(&run);
    if (!err)
        err = query_plan_settle(&plan);
    if (!err)
        err = run_page(&run, ret_page);
    query_top_done(&run.top);
    query_plan_done(&plan);
    return err;
}

void query_page_done(struct query_page *page)
{
    free(page->hits);
    *page = (struct query_page){0};
}

/* ---- extents ---- */

enum torg_err query_extent(const struct kv *kv, uint8_t collection, struct query_extent *ret_extent)
{
    struct query_extent out = {.time_from_ms = INT64_MIN, .time_through_ms = INT64_MAX};
    struct catalogue_extent extent;
    uint64_t count;
    enum torg_err err;

    err = catalogue_count(kv, collection, 0, &count);
    if (err)
        return err;
    if (count == 0)
        return TORG_E_NOT_FOUND;
    err = catalogue_extent_get(kv, collection, &extent);
    if (err)
        return err;
    out.has_box = extent.has_box;
    out.min = extent.min;
    out.max = extent.max;
    if (extent.has_time) {
        out.time_from_ms = extent.time_from_ms;
        out.time_through_ms = extent.time_through_ms;
    }
    *ret_extent = out;
    return TORG_OK;
}
