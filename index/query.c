/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/query.h"

#include <stdlib.h>
#include <string.h>

#include "index/query_plan.h"

#define EVENTS_MASK (UINT32_C(1) << COLLECTION_EVENTS | UINT32_C(1) << COLLECTION_COURSES)

/* A page in the making: what matches is counted, the first after the cursor are kept. */
struct run {
    struct query_plan *plan;
    struct query_top top;
    size_t wanted; /* up to the end of the page, and one more that says there is a next */
    uint64_t matched;
    bool count; /* what is visited counts as matched */
    const char *driver;
};

static bool after_cursor(const struct query *query, double distance_m, uint32_t number)
{
    const struct query_cursor *cursor = &query->cursor;

    return !query->has_cursor ||
           query_order(distance_m, number, cursor->distance_m, cursor->document) > 0;
}

static enum torg_err run_visit(void *context, const struct query_match *match)
{
    struct run *run = context;
    const struct query *query = run->plan->query;
    double distance_m = query->has_near ? match->distance_m : -1;

    run->matched += run->count;
    if (!after_cursor(query, distance_m, match->number))
        return TORG_OK;
    return query_top_add(&run->top, match->number, distance_m);
}

static enum torg_err run_count_visit(void *context, const struct query_match *match)
{
    struct run *run = context;

    (void)match;
    run->matched++;
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
    enum torg_err err;

    run->driver = "walk";
    run->top.count = 0;
    err = query_scan_open(&scan, run->plan->kv, run->plan->collections, true, true, first);
    while (!err && run->top.count < run->wanted) {
        err = query_scan_next(&scan, &row);
        if (!err)
            err = query_plan_work(run->plan, 1);
        if (err)
            break;
        if (after_cursor(query, -1, row.number) && query_plan_matches(run->plan, &row))
            err = query_top_add(&run->top, row.number, -1);
    }
    query_scan_close(&scan);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

/* The trees count; then the page is found by whichever way is shorter. */
static enum torg_err run_counted(struct run *run)
{
    struct query_plan *plan = run->plan;
    uint64_t placed, walk_cost;
    enum torg_err err;

    err = query_plan_count_all(plan, plan->collections, &placed);
    if (!err)
        err = query_plan_each_unplaced(plan, run_visit, run);
    if (err)
        return err;
    run->driver = "rtree";
    run->matched += placed;
    if (run->wanted == 0 || run->matched == 0)
        return TORG_OK;
    /* A row in the walk costs eight times what a listing visited in the tree does. */
    walk_cost = 8 * run->wanted * plan->documents / run->matched;
    if (walk_cost < placed)
        return run_walk(run);
    run->count = false;
    for (uint8_t c = 1; c < COLLECTIONS_MAX && !err; c++) {
        if (plan->collections >> c & 1)
            err = query_plan_each_placed(plan, c, 0, run_visit, run);
    }
    return err;
}

static enum torg_err run_ordered(struct run *run)
{
    enum query_driver driver;
    uint64_t estimate;
    enum torg_err err;

    run->count = true;
    if (!run->plan->compared)
        return run_counted(run);
    err = query_plan_driver(run->plan, true, &driver, &estimate);
    if (err)
        return err;
    run->driver = driver == QUERY_BY_SCAN ? "scan" : "rtree";
    return query_plan_each(run->plan, driver, 0, run_visit, run);
}

/* ---- nearest first ---- */

/* One stream for those that are shown ahead of their time, one for the others. */
struct near_stream {
    struct rtree_near *near;
    struct rtree_hit hit;
    bool ended;
};

static enum torg_err near_advance(struct near_stream *stream)
{
    enum torg_err err;

    if (!stream->near || stream->ended)
        return TORG_OK;
    err = rtree_near_next(stream->near, &stream->hit);
    if (err == TORG_E_NOT_FOUND) {
        stream->ended = true;
        return TORG_OK;
    }
    return err;
}

static enum torg_err near_open(const struct query_plan *plan, uint32_t mask,
                               struct near_stream *stream)
{
    const struct query *query = plan->query;
    uint32_t collections = plan->collections & mask;
    struct rtree_query tree;
    enum torg_err err;

    if (!collections) {
        stream->ended = true;
        return TORG_OK;
    }
    tree = query_plan_tree(plan, (uint8_t)__builtin_ctz(collections));
    tree.work_max = QUERY_WORK_MAX - plan->work + 1;
    err = rtree_near_new(plan->kv, collections, &tree, &stream->near);
    if (err)
        return err;
    if (query->has_cursor)
        rtree_near_after(stream->near, query->cursor.distance_m, query->cursor.document);
    return near_advance(stream);
}

static struct near_stream *near_first(struct near_stream streams[2])
{
    if (streams[0].ended || streams[1].ended)
        return streams[0].ended ? &streams[1] : &streams[0];
    return query_order(streams[0].hit.distance_m, streams[0].hit.document,
                       streams[1].hit.distance_m, streams[1].hit.document) < 0
               ? &streams[0]
               : &streams[1];
}

static enum torg_err near_matches(const struct query_plan *plan, uint32_t number, bool *ret_matches)
{
    struct catalogue_record record = {.placed = true};
    struct catalogue_row row;
    enum torg_err err = TORG_OK;

    record.collection = (uint8_t)__builtin_ctz(plan->collections);
    if (plan->collections != UINT32_C(1) << record.collection)
        err = catalogue_record_get(plan->kv, number, &record);
    if (!err)
        err = catalogue_row_get(plan->kv, record.collection, record.placed, number, &row);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
    *ret_matches = query_plan_matches(plan, &row);
    return TORG_OK;
}

static enum torg_err near_fill(struct run *run, struct near_stream streams[2])
{
    bool matches = true;
    enum torg_err err;

    while (run->top.count < run->wanted) {
        struct near_stream *first = near_first(streams);

        if (first->ended)
            break;
        err = query_plan_work(run->plan, 1);
        if (!err && run->plan->compared)
            err = near_matches(run->plan, first->hit.document, &matches);
        if (!err && matches)
            err = query_top_add(&run->top, first->hit.document, first->hit.distance_m);
        /* The last one is known by the count: no need to look for what is not there. */
        if (!err && !run->plan->query->has_cursor && run->top.count == run->matched)
            break;
        if (!err)
            err = near_advance(first);
        if (err)
            return err;
    }
    return TORG_OK;
}

static enum torg_err run_near_stream(struct run *run)
{
    bool alike = run->plan->query->has_datetime;
    struct near_stream streams[2] = {{0}};
    struct rtree_work work;
    enum torg_err err;

    run->driver = "near";
    err = near_open(run->plan, alike ? UINT32_MAX : EVENTS_MASK, &streams[0]);
    if (!err)
        err = near_open(run->plan, alike ? 0 : ~EVENTS_MASK, &streams[1]);
    if (!err)
        err = near_fill(run, streams);
    for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
        if (streams[i].near) {
            rtree_near_work(streams[i].near, &work);
            run->plan->work += work.nodes;
        }
        rtree_near_free(streams[i].near);
    }
    return err;
}

static enum torg_err run_near_count(struct run *run)
{
    struct query_plan *plan = run->plan;
    uint64_t count;
    enum torg_err err;

    err = query_plan_count_all(plan, ~plan->compared, &count);
    if (err)
        return err;
    run->matched = count;
    for (uint8_t c = 1; c < COLLECTIONS_MAX && !err; c++) {
        if (plan->collections & plan->compared & UINT32_C(1) << c)
            err = query_plan_each_placed(plan, c, 0, run_count_visit, run);
    }
    return err;
}

static enum torg_err run_near(struct run *run)
{
    enum torg_err err;

    run->driver = "near";
    err = run_near_count(run);
    if (err || run->wanted == 0 || run->matched == 0)
        return err;
    if (!run->plan->compared || run->matched > run->wanted)
        return run_near_stream(run);
    /* Few match, perhaps far away: take them all at once instead of streaming past the others. */
    run->driver = "rtree";
    run->count = false;
    return query_plan_each(run->plan, QUERY_BY_TREE, QUERY_EACH_DISTANCES, run_visit, run);
}

/* ---- the page ---- */

static enum torg_err run_page(struct run *run, struct query_page *ret_page)
{
    const struct query *query = run->plan->query;
    struct query_page page = {
        .matched = run->matched,
        .work = run->plan->work,
        .driver = run->driver,
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
    err = query->has_near ? run_near(&run) : run_ordered(&run);
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
