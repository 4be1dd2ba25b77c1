/* SPDX-License-Identifier: EUPL-1.2 */
#include <math.h>

#include "index/query_plan.h"

/* Everything of a part that matches, one way or another. */
struct each {
    struct query_plan *plan;
    const struct query_part *part;
    bool fetch; /* the row, to give it out */
    query_match_visit *visit;
    void *context;
    enum torg_err err;
};

#define NUMBERS_AT_ONCE 256

static enum torg_err each_found(struct each *each, uint32_t number)
{
    struct catalogue_row row;
    bool has_row, matches;
    enum torg_err err;

    err = query_match_found(each->plan, each->part, number, each->fetch, &row, &has_row, &matches);
    if (err || !matches)
        return err;
    return each->visit(each->context, number, has_row ? &row : NULL);
}

static bool each_hits(void *context, const struct rtree_batch *hits)
{
    struct each *each = context;

    each->err = query_plan_hits(each->plan, hits->count);
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

/* The tree was not asked: all that it knows is compared with the row. */
static enum torg_err each_candidate(struct each *each, uint32_t number)
{
    const struct query_part *part = each->part;
    struct catalogue_row row;
    bool matches;
    enum torg_err err;

    err = query_plan_row(each->plan);
    if (!err)
        err = catalogue_row_get(each->plan->kv, part->collection, part->placed, number, &row);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err; /* A list named it. */
    err = query_match_row(each->plan, &row, &matches);
    return err || !matches ? err : each->visit(each->context, number, &row);
}

/* Then what the set has of the part is the answer. */
bool query_plan_takes_all(const struct query_plan *plan, const struct query_part *part)
{
    return part->by_tree == part->documents && !plan->rows && !part->has_irregular;
}

static enum torg_err each_by_postings(struct each *each)
{
    bool compare = each->fetch || !query_plan_takes_all(each->plan, each->part);
    uint32_t numbers[NUMBERS_AT_ONCE];
    uint32_t from = 0;
    size_t count;
    enum torg_err err = TORG_OK;

    do {
        count = postings_set_read(&each->part->candidates, from, numbers, NUMBERS_AT_ONCE);
        err = query_plan_hits(each->plan, count);
        for (size_t i = 0; i < count && !err; i++)
            err = compare ? each_candidate(each, numbers[i])
                          : each->visit(each->context, numbers[i], NULL);
        if (count > 0)
            from = numbers[count - 1] + 1;
    } while (!err && count == NUMBERS_AT_ONCE && from > 0);
    return err;
}

static enum torg_err each_row(void *context, const struct catalogue_row *row)
{
    struct each *each = context;
    bool matches = true;
    enum torg_err err;

    err = query_plan_row(each->plan);
    if (each->plan->filtered)
        matches = postings_set_contains(&each->plan->set, row->number);
    if (!err && matches)
        err = query_match_row(each->plan, row, &matches);
    return err || !matches ? err : each->visit(each->context, row->number, row);
}

static enum torg_err each_by_scan(struct each *each)
{
    return catalogue_rows(each->plan->kv, each->part->collection, each->part->placed, 0, each_row,
                          each);
}

/*
 * All three numbers are exact; how many of the tree's hits are in the set is
 * taken to be as many as of all. Only the way hangs on it, never the answer.
 */
enum query_driver query_each_driver(const struct query_plan *plan, const struct query_part *part,
                                    bool fetch)
{
    double share = plan->filtered ? (double)part->by_postings / (double)part->documents : 1;
    bool rows = fetch || plan->rows;
    double by_tree = (double)part->by_tree * (1 + (rows ? share * QUERY_COST_FETCH : 0));
    double by_scan = (double)part->documents * QUERY_COST_ROW;
    double by_postings = INFINITY;

    if (plan->filtered)
        by_postings = (double)part->by_postings *
                      (rows || !query_plan_takes_all(plan, part) ? QUERY_COST_FETCH : 1);
    if (part->has_irregular)
        by_tree += fmin((double)postings_set_count(&part->irregular), (double)part->by_tree) *
                   share * QUERY_COST_FETCH;
    if (by_postings <= by_tree && by_postings <= by_scan)
        return QUERY_BY_POSTINGS;
    return by_tree <= by_scan ? QUERY_BY_TREE : QUERY_BY_SCAN;
}

enum torg_err query_each(struct query_plan *plan, const struct query_part *part, bool rows,
                         query_match_visit *visit, void *context, enum query_driver *ret_driver)
{
    struct each each = {
        .plan = plan,
        .part = part,
        .fetch = rows,
        .visit = visit,
        .context = context,
    };
    enum query_driver driver = query_each_driver(plan, part, rows);
    enum torg_err err = TORG_OK;

    switch (driver) {
    case QUERY_BY_TREE:
        err = each_by_tree(&each);
        break;
    case QUERY_BY_POSTINGS:
        err = each_by_postings(&each);
        break;
    case QUERY_BY_SCAN:
        err = each_by_scan(&each);
        break;
    }
    if (!err)
        *ret_driver = driver;
    return err;
}

enum torg_err query_each_part(struct query_plan *plan, query_match_visit *visit, void *context)
{
    enum query_driver driver;
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < plan->part_count && !err; i++)
        err = query_each(plan, &plan->parts[i], true, visit, context, &driver);
    return err;
}
