/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/query.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "index/catalogue.h"
#include "index/query_plan.h"

/* A page in the making: what matches is counted, the first after the cursor are kept. */
struct run {
    struct query_plan *plan;
    struct query_top top;
    size_t wanted; /* up to the end of the page, and one more that says there is a next */
    uint64_t matched;
    bool counting;   /* what is visited was not counted before */
    bool collecting; /* what is visited may come into the page */
    bool collected;  /* what was not counted by trees alone has been collected */
};

/*
 * What one step of a nearest-first stream costs, in listings that a tree
 * visits: an estimate. Only the way to the page hangs on it.
 */
#define COST_NEAR 30

#define LATER_AT_ONCE 256 /* numbers that are read of a set */

static const char driver_count[] = "count";
static const char driver_tree[] = "rtree";
static const char driver_near[] = "near";
static const char driver_walk[] = "walk";

static const char *driver_name(enum query_driver driver)
{
    switch (driver) {
    case QUERY_BY_SCAN:
        return "scan";
    case QUERY_BY_POSTINGS:
        return "postings";
    case QUERY_BY_TREE:
        break;
    }
    return driver_tree;
}

static bool after_cursor(const struct query *query, double distance_m, uint32_t number)
{
    const struct query_cursor *cursor = &query->cursor;

    return !query->has_cursor ||
           query_order(distance_m, number, cursor->distance_m, cursor->document) > 0;
}

static bool run_nearest(const struct run *run)
{
    return run->plan->query->has_near && !(run->plan->query->by_rank && run->plan->text);
}

/* By rank, unless nearness is what is asked for. */
static bool run_ranked(const struct run *run)
{
    return run->plan->text && !run_nearest(run);
}

static double rank_key(uint32_t score, double distance_m, const struct catalogue_row *row)
{
    return TEXT_RANK_MAX - (double)text_rank(score, distance_m, row->freshness);
}

/* The nearer the higher: what would not do at its least distance is not measured. */
static enum torg_err run_add_ranked(struct run *run, uint32_t number,
                                    const struct catalogue_row *row)
{
    struct shape_query *shapes = run->plan->shapes;
    uint32_t score = text_query_score(run->plan->text, number);
    double distance_m = -1, key;
    enum torg_err err;

    if (run->plan->query->has_near) {
        if (query_top_passes(&run->top, 0, rank_key(score, shape_query_lower_m(shapes, row), row)))
            return TORG_OK;
        err = shape_query_distance(shapes, row, &distance_m);
        if (err)
            return err;
    }
    key = rank_key(score, distance_m, row);
    if (!after_cursor(run->plan->query, key, number))
        return TORG_OK;
    return query_top_add(&run->top, number, key);
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

    run->matched += run->counting;
    if (run->wanted == 0 || !run->collecting)
        return TORG_OK;
    if (run_nearest(run))
        return run_add_near(run, number, row);
    if (run_ranked(run))
        return run_add_ranked(run, number, row);
    return after_cursor(query, -1, number) ? query_top_add(&run->top, number, -1) : TORG_OK;
}

/* ---- counting ---- */

/* What streaming the nearest costs until the page is full, of trees of which some match. */
static double stream_cost(const struct run *run, double by_tree, double matches)
{
    return COST_NEAR * fmin(by_tree, (double)run->wanted * by_tree / fmax(matches, 1));
}

/*
 * Nearest first, is it cheaper to read the row of all that matches while it is
 * counted than to stream afterwards? Where all rows are read anyway it is.
 */
static bool collects_near(const struct run *run)
{
    const struct query_plan *plan = run->plan;
    double by_tree = 0, matches = 0;

    for (size_t i = 0; i < plan->part_count; i++) {
        const struct query_part *part = &plan->parts[i];
        double share = plan->filtered ? (double)part->by_postings / (double)part->documents : 1;

        if (query_plan_counted(plan, part))
            continue;
        by_tree += (double)part->by_tree;
        matches += (double)part->by_tree * share;
    }
    return plan->rows || matches * QUERY_COST_FETCH <= stream_cost(run, by_tree, matches);
}

static void explain_part(struct run *run, const struct query_part *part, uint64_t matched,
                         const char *driver)
{
    struct query_explain *explain = &run->plan->explain;

    explain->driver = driver;
    explain->parts[explain->part_count++] = (struct query_explain_part){
        .collection = part->collection,
        .placed = part->placed,
        .compared = run->plan->rows || part->has_irregular,
        .documents = part->documents,
        .by_tree = part->by_tree,
        .by_postings = part->by_postings,
        .matched = matched,
        .driver = driver,
    };
}

/*
 * Count what matches: by the trees alone where they say it all, else one by
 * one, and then it is, if that pays, collected for the page at the same time.
 */
static enum torg_err run_count(struct run *run)
{
    struct query_plan *plan = run->plan;
    bool near = run_nearest(run) && run->wanted > 0;
    bool rows = near || (run_ranked(run) && run->wanted > 0);
    enum query_driver driver;
    enum torg_err err = TORG_OK;

    plan->explain.driver = driver_count;
    run->counting = true;
    run->collected = run->collecting = !near || collects_near(run);
    for (size_t i = 0; i < plan->part_count && !err; i++) {
        const struct query_part *part = &plan->parts[i];
        uint64_t before = run->matched;

        if (query_plan_counted(plan, part)) {
            run->matched += part->by_tree;
            explain_part(run, part, part->by_tree, driver_count);
            continue;
        }
        err = query_each(plan, part, rows && run->collecting, run_visit, run, &driver);
        if (!err)
            explain_part(run, part, run->matched - before, driver_name(driver));
    }
    run->counting = false;
    run->collecting = true;
    return err;
}

/* ---- in the order of document numbers ---- */

/* Most rows match, and there is no set: walk them in order from the cursor until the page is full.
 */
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
        err = query_match_row(run->plan, &row, &matches);
        if (!err && matches)
            err = query_top_add(&run->top, row.number, -1);
    }
    query_scan_close(&scan);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

/* What is not collected yet, the parts that only trees counted: by whichever way is shorter. */
static enum torg_err run_ordered(struct run *run)
{
    struct query_plan *plan = run->plan;
    uint64_t documents = 0, left = 0;
    enum query_driver driver = QUERY_BY_TREE;
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < plan->part_count; i++) {
        documents += plan->parts[i].documents;
        left += query_plan_counted(plan, &plan->parts[i]) ? plan->parts[i].by_tree : 0;
    }
    if (left == 0)
        return TORG_OK;
    if (QUERY_COST_ROW * run->wanted * documents / run->matched < left)
        return run_walk(run);
    for (size_t i = 0; i < plan->part_count && !err; i++) {
        if (!query_plan_counted(plan, &plan->parts[i]))
            continue;
        err = query_each(plan, &plan->parts[i], false, run_visit, run, &driver);
        plan->explain.driver = driver_name(driver);
    }
    return err;
}

/* ---- later pages, of which nobody asks how many match ---- */

static enum torg_err later_visit(struct run *run, uint32_t number)
{
    struct query_plan *plan = run->plan;
    const struct query_part *part = plan->parts;
    struct catalogue_row row;
    bool matches = false;
    enum torg_err err = query_plan_row(plan);

    while (!postings_set_contains(&part->candidates, number))
        part++; /* Each is of one part. */
    if (!err)
        err = catalogue_row_get(plan->kv, part->collection, part->placed, number, &row);
    if (!err)
        err = query_match_row(plan, &row, &matches);
    if (!err && matches)
        err = query_top_add(&run->top, number, -1);
    return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err; /* A list named it. */
}

/* What the set leaves of all parts, in order, from the cursor on until the page is full. */
static enum torg_err later_candidates(struct run *run)
{
    const struct query_plan *plan = run->plan;
    struct postings_set all = {0};
    uint32_t numbers[LATER_AT_ONCE], from = plan->query->cursor.document + 1;
    size_t count = from > 0 ? LATER_AT_ONCE : 0;
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < plan->part_count && !err; i++)
        err = postings_set_or(&all, &plan->parts[i].candidates);
    while (!err && count == LATER_AT_ONCE && run->top.count < run->wanted) {
        count = postings_set_read(&all, from, numbers, LATER_AT_ONCE);
        for (size_t i = 0; i < count && !err && run->top.count < run->wanted; i++)
            err = later_visit(run, numbers[i]);
        if (count > 0 && numbers[count - 1] == UINT32_MAX)
            break;
        from = count > 0 ? numbers[count - 1] + 1 : from;
    }
    postings_set_done(&all);
    return err;
}

/* Is it worth it, and is the order that of document numbers? */
static bool run_uncounted(const struct run *run)
{
    const struct query *query = run->plan->query;

    return query->uncounted && query->has_cursor && query->limit > 0 && run->plan->rows &&
           !run_nearest(run) && !run_ranked(run);
}

static enum torg_err run_later(struct run *run)
{
    return run->plan->filtered ? later_candidates(run) : run_walk(run);
}

/* ---- nearest first ---- */

/* Is the part streamed: not collected, and its tree's answer is right but for the set and the
 * rows of the irregular? */
static bool run_streams(const struct run *run, const struct query_part *part)
{
    return query_plan_counted(run->plan, part) || !run->collected;
}

/* Does a listing that the stream has found match? Lists of irregular ones never share a number. */
static enum torg_err stream_matches(struct run *run, uint32_t number, bool *ret_matches)
{
    struct query_plan *plan = run->plan;
    const struct query_part *owner = &plan->parts[0];
    struct catalogue_row row;
    bool has_row;

    for (size_t i = 0; i < plan->part_count; i++) {
        if (plan->parts[i].has_irregular &&
            postings_set_contains(&plan->parts[i].irregular, number))
            owner = &plan->parts[i];
    }
    return query_match_found(plan, owner, number, false, &row, &has_row, ret_matches);
}

static enum torg_err stream_next(struct run *run, struct rtree_near *near, struct rtree_hit *hit)
{
    bool matches = false;
    enum torg_err err = TORG_OK;

    while (!matches && !err) {
        err = rtree_near_next(near, hit);
        if (!err)
            err = query_plan_hits(run->plan, 1);
        if (!err)
            err = stream_matches(run, hit->document, &matches);
    }
    return err;
}

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
        err = stream_next(run, near, &hit);
        if (!err && i + 2 == run->wanted)
            rtree_near_behind(near, &hit); /* The next page begins there. */
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
static uint32_t stream_collections(const struct run *run, size_t i)
{
    const struct query_plan *plan = run->plan;
    const struct query_part *first = &plan->parts[i];
    uint32_t collections = 0;

    for (size_t j = 0; j < plan->part_count; j++) {
        const struct query_part *part = &plan->parts[j];

        if (run_streams(run, part) && part->from_ms == first->from_ms &&
            part->through_ms == first->through_ms)
            collections |= UINT32_C(1) << part->collection;
    }
    return collections;
}

static enum torg_err run_streams_all(struct run *run)
{
    struct query_plan *plan = run->plan;
    uint32_t done = 0, streamed = 0;
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < plan->part_count; i++) {
        if (run_streams(run, &plan->parts[i]))
            streamed |= UINT32_C(1) << plan->parts[i].collection;
    }
    for (size_t i = 0; i < plan->part_count && !err; i++) {
        struct rtree_query tree = query_plan_tree(plan, &plan->parts[i]);
        uint32_t collections = stream_collections(run, i);

        if (!run_streams(run, &plan->parts[i]) || done >> plan->parts[i].collection & 1)
            continue;
        done |= collections;
        /* Distances that only round well are in order by themselves, but not among others. */
        tree.near_rounded = plan->query->rounded && run->top.count == 0 && collections == streamed;
        /* Where hits are dropped afterwards, more are taken than are wanted. */
        tree.near_hint = run->collected ? (uint32_t)run->wanted : 0;
        err = run_stream(run, collections, &tree);
    }
    return err;
}

/*
 * Now it is known how many match. When so few of what the trees hold do that a
 * stream would go far for them, they are collected after all, by their rows.
 */
static enum torg_err run_near(struct run *run)
{
    struct query_plan *plan = run->plan;
    uint64_t by_tree = 0, matches = 0;
    enum query_driver driver;
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < plan->part_count; i++) {
        if (query_plan_counted(plan, &plan->parts[i]))
            continue;
        by_tree += plan->parts[i].by_tree;
        matches += plan->explain.parts[i].matched;
    }
    if (!run->collected && stream_cost(run, (double)by_tree, (double)matches) >
                               (double)(by_tree + matches * QUERY_COST_FETCH)) {
        run->collected = true;
        for (size_t i = 0; i < plan->part_count && !err; i++) {
            if (plan->explain.parts[i].matched > 0 && !query_plan_counted(plan, &plan->parts[i]))
                err = query_each(plan, &plan->parts[i], true, run_visit, run, &driver);
        }
    }
    return err ? err : run_streams_all(run);
}

/* ---- the page ---- */

/* The heap's order is by distance: what stands there becomes the rank again. */
static enum torg_err page_ranks(struct query_page *page)
{
    page->ranks = malloc((page->count ? page->count : 1) * sizeof(*page->ranks));
    if (!page->ranks)
        return TORG_E_NOMEM;
    for (size_t i = 0; i < page->count; i++) {
        page->ranks[i] = TEXT_RANK_MAX - (uint32_t)page->hits[i].distance_m;
        page->hits[i].distance_m = -1;
    }
    return TORG_OK;
}

/* In the order of rank, but how far away they are is asked for, too. */
static enum torg_err page_distances(struct run *run, struct query_page *page)
{
    struct query_plan *plan = run->plan;
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < page->count && !err; i++) {
        struct rtree_hit *hit = &page->hits[i];
        struct catalogue_record record;
        struct catalogue_row row;

        err = query_plan_row(plan);
        if (!err)
            err = catalogue_record_get(plan->kv, hit->document, &record);
        if (!err)
            err =
                catalogue_row_get(plan->kv, record.collection, record.placed, hit->document, &row);
        if (!err)
            err = plan->query->rounded ? shape_query_rounded(plan->shapes, &row, &hit->distance_m)
                                       : shape_query_distance(plan->shapes, &row, &hit->distance_m);
    }
    return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
}

/* Only what is there: the rest is kilobytes. */
static void explain_copy(struct query_explain *to, const struct query_explain *from)
{
    memcpy(to, from,
           offsetof(struct query_explain, parts) + from->part_count * sizeof(*from->parts));
}

static enum torg_err run_page(struct run *run, struct query_page *ret_page)
{
    const struct query *query = run->plan->query;
    const struct query_explain *explain = &run->plan->explain;
    struct query_page page;
    size_t skip = query->offset;
    enum torg_err err = TORG_OK;

    memset(&page, 0, QUERY_PAGE_ZEROED);
    page.matched = run->matched;
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
        if (run_ranked(run))
            err = page_ranks(&page);
        if (!err && run_ranked(run) && run->plan->query->has_near)
            err = page_distances(run, &page);
        if (err) {
            query_page_done(&page);
            return err;
        }
    }
    if (page.has_next)
        page.next = query_page_cursor(&page, page.count - 1);
    memcpy(ret_page, &page, offsetof(struct query_page, explain));
    explain_copy(&ret_page->explain, explain);
    return TORG_OK;
}

static enum torg_err plan_page(struct query_plan *plan, struct query_page *ret_page)
{
    const struct query *query = plan->query;
    struct run run = {.plan = plan};
    enum torg_err err;

    if (query->limit > 0)
        run.wanted = (size_t)query->offset + query->limit + 1;
    query_top_init(&run.top, run.wanted);
    if (run_uncounted(&run))
        err = run_later(&run);
    else
        err = run_count(&run);
    if (!err && run.wanted > 0 && run.matched > 0)
        err = run_nearest(&run) ? run_near(&run) : run_ordered(&run);
    if (!err)
        err = query_plan_settle(plan);
    if (!err)
        err = run_page(&run, ret_page);
    query_top_done(&run.top);
    return err;
}

enum torg_err query_run(const struct kv *kv, const struct theme_tree *themes,
                        const struct query *query, struct query_page *ret_page)
{
    struct query_plan plan;
    enum torg_err err;

    err = query_plan_init(&plan, kv, themes, query, 0);
    if (err)
        return err;
    err = plan_page(&plan, ret_page);
    query_plan_done(&plan);
    return err;
}

enum torg_err query_run_facets(const struct kv *kv, const struct theme_tree *themes,
                               const struct query *query, unsigned facets,
                               struct query_page *ret_page, struct query_facets *ret_facets)
{
    struct query_plan plan;
    struct query_page page;
    enum torg_err err;

    err = query_plan_init(&plan, kv, themes, query, facets);
    if (err)
        return err;
    err = plan_page(&plan, &page);
    if (!err) {
        err = query_facets_of(&plan, facets, ret_facets);
        explain_copy(&page.explain, &plan.explain);
        if (err)
            query_page_done(&page);
        else
            *ret_page = page;
    }
    query_plan_done(&plan);
    return err;
}

void query_page_done(struct query_page *page)
{
    free(page->hits);
    free(page->ranks);
    free(page->keys);
    memset(page, 0, QUERY_PAGE_ZEROED);
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
