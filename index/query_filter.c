/* SPDX-License-Identifier: EUPL-1.2 */
#include <string.h>

#include "index/query_plan.h"
#include "protocol/opening.h"

/*
 * What reading one chunk of a list costs, in rows that are fetched: an estimate.
 * Only whether a filter is made into a set hangs on it.
 */
#define COST_CHUNK 13

/* The values of one filter, any of which will do. */
struct values {
    enum query_filter_kind kind;
    uint8_t list; /* enum postings_kind */
    size_t count;
    uint64_t listings; /* exact, but with networks: a listing may be in several */
};

static struct span value_key(const struct query *query, const struct values *values, size_t i,
                             uint8_t bytes[LISTING_REFERENCE_SIZE])
{
    switch (values->kind) {
    case QUERY_FILTER_ORIGIN:
        put_u32be(bytes, query->origins[i]);
        return span_of(bytes, 4);
    case QUERY_FILTER_MUNICIPALITY:
        return query->municipalities[i];
    case QUERY_FILTER_OPEN:
        bytes[0] = (uint8_t)opening_slot(query->open_ms);
        return span_of(bytes, 1);
    case QUERY_FILTER_NETWORK:
    case QUERY_FILTER_TEXT:
    case QUERY_FILTER_REACH:
        break;
    }
    memcpy(bytes, query->networks[i].origin_prefix, 8);
    memcpy(bytes + 8, query->networks[i].id.bytes, 16);
    return span_of(bytes, LISTING_REFERENCE_SIZE);
}

static bool value_again(const struct query *query, const struct values *values, size_t i)
{
    uint8_t bytes[LISTING_REFERENCE_SIZE], other[LISTING_REFERENCE_SIZE];
    struct span key = value_key(query, values, i, bytes);

    for (size_t j = 0; j < i; j++) {
        if (span_equal(key, value_key(query, values, j, other)))
            return true;
    }
    return false;
}

static enum torg_err values_count(struct query_plan *plan, struct values *values)
{
    uint8_t bytes[LISTING_REFERENCE_SIZE];

    for (size_t i = 0; i < values->count; i++) {
        struct span key = value_key(plan->query, values, i, bytes);
        uint64_t count;
        enum torg_err err;

        if (value_again(plan->query, values, i))
            continue;
        err = postings_count(plan->kv, values->list, key, &count);
        if (err)
            return err;
        values->listings += count;
        plan->explain.postings++;
    }
    return TORG_OK;
}

static enum torg_err values_union(struct query_plan *plan, const struct values *values,
                                  struct postings_set *set)
{
    uint8_t bytes[LISTING_REFERENCE_SIZE];
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < values->count && !err; i++)
        err = postings_or(plan->kv, values->list, value_key(plan->query, values, i, bytes), set,
                          &plan->explain.postings);
    return err;
}

/* Narrow the plan's set to those that have one of the values. */
static enum torg_err values_apply(struct query_plan *plan, const struct values *values)
{
    uint8_t bytes[LISTING_REFERENCE_SIZE];
    struct postings_set any = {0};
    enum torg_err err;

    if (!plan->filtered) {
        plan->filtered = true;
        return values_union(plan, values, &plan->set);
    }
    if (values->count == 1)
        return postings_and(plan->kv, values->list, value_key(plan->query, values, 0, bytes),
                            &plan->set, &plan->explain.postings);
    err = values_union(plan, values, &any);
    if (!err)
        err = postings_set_and(&plan->set, &any);
    postings_set_done(&any);
    return err;
}

/*
 * A row says its origin and municipality itself, and hours are looked at with it anyway: where the
 * tree leaves few listings, comparing their rows is cheaper than reading long lists.
 */
static bool values_by_row(const struct values *values, uint64_t by_tree)
{
    uint64_t chunks = values->count + values->listings / POSTINGS_INLINE_MAX;
    uint64_t chunks_max = values->count * (1 + values->listings / 65536);

    if (values->kind == QUERY_FILTER_NETWORK)
        return false;
    return by_tree < COST_CHUNK * (chunks < chunks_max ? chunks : chunks_max);
}

/* Its words have been found already: nothing is shorter. */
static enum torg_err text_apply(struct query_plan *plan)
{
    plan->explain.postings += text_query_work(plan->text);
    plan->explain.filters[QUERY_FILTER_TEXT] = (struct query_explain_filter){
        .asked = true,
        .listings = text_query_count(plan->text),
    };
    plan->filtered = true;
    return postings_set_copy(text_query_set(plan->text), &plan->set);
}

/* Last, for what it compares costs most. Without a time stops that are over do not count. */
static enum torg_err reach_apply(struct query_plan *plan)
{
    const struct query *query = plan->query;
    struct reach_query reach = {
        .place = query->reach,
        .within_m = query->reach_m,
        .from_ms = query->has_datetime ? query->from_ms : query->now_ms,
        .through_ms = query->has_datetime ? query->through_ms : INT64_MAX,
        .among = plan->filtered ? &plan->set : NULL,
    };
    struct postings_set set = {0};
    enum torg_err err;

    err = reach_find(plan->kv, &reach, QUERY_WORK_MAX, &set, &plan->explain.postings);
    if (err)
        return err;
    plan->explain.filters[QUERY_FILTER_REACH] = (struct query_explain_filter){
        .asked = true,
        .listings = postings_set_count(&set),
    };
    plan->filtered = true;
    postings_set_done(&plan->set);
    plan->set = set;
    return TORG_OK;
}

enum torg_err query_filter_init(struct query_plan *plan)
{
    const struct query *query = plan->query;
    struct values all[QUERY_FILTER_COUNT] = {
        {.kind = QUERY_FILTER_TEXT},
        {.kind = QUERY_FILTER_ORIGIN, .list = POSTINGS_ORIGIN, .count = query->origin_count},
        {.kind = QUERY_FILTER_MUNICIPALITY,
         .list = POSTINGS_MUNICIPALITY,
         .count = query->municipality_count},
        {.kind = QUERY_FILTER_NETWORK, .list = POSTINGS_NETWORK, .count = query->network_count},
        {.kind = QUERY_FILTER_OPEN, .list = POSTINGS_OPEN, .count = query->has_open},
        {.kind = QUERY_FILTER_REACH},
    };
    uint64_t by_tree = 0;
    bool done[QUERY_FILTER_COUNT] = {false};
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < plan->part_count; i++)
        by_tree += plan->parts[i].by_tree;
    if (plan->text)
        err = text_apply(plan);
    done[QUERY_FILTER_TEXT] = done[QUERY_FILTER_REACH] = true;
    for (size_t i = QUERY_FILTER_TEXT + 1; i < QUERY_FILTER_REACH && !err; i++) {
        if (all[i].count > 0)
            err = values_count(plan, &all[i]);
        plan->explain.filters[i] = (struct query_explain_filter){
            .asked = all[i].count > 0,
            .listings = all[i].listings,
            .by_row = all[i].count > 0 && values_by_row(&all[i], by_tree),
        };
        plan->rows = plan->rows || plan->explain.filters[i].by_row;
        done[i] = all[i].count == 0 || plan->explain.filters[i].by_row;
    }
    /* The shortest first: the others are then read only where it has something. */
    for (size_t n = 0; n < QUERY_FILTER_COUNT && !err; n++) {
        size_t least = QUERY_FILTER_COUNT;

        for (size_t i = 0; i < QUERY_FILTER_COUNT; i++) {
            if (!done[i] && (least == QUERY_FILTER_COUNT || all[i].listings < all[least].listings))
                least = i;
        }
        if (least == QUERY_FILTER_COUNT)
            break;
        done[least] = true;
        err = values_apply(plan, &all[least]);
    }
    return !err && query->has_reach ? reach_apply(plan) : err;
}

/* ---- parts ---- */

/* What of the plan's set is in the part: in either of its lists, that never share a number. */
static enum torg_err part_candidates(struct query_plan *plan, struct query_part *part)
{
    struct postings_set irregular = {0};
    struct catalogue_part_key key = catalogue_part_key(part->collection, part->placed, false);
    uint64_t *work = &plan->explain.postings;
    enum torg_err err;

    err = postings_set_copy(&plan->set, &part->candidates);
    if (!err)
        err = postings_and(plan->kv, POSTINGS_PART, span_of(key.bytes, sizeof(key.bytes)),
                           &part->candidates, work);
    if (!err && part->irregular_count > 0) {
        key = catalogue_part_key(part->collection, part->placed, true);
        err = postings_set_copy(&plan->set, &irregular);
        if (!err)
            err = postings_and(plan->kv, POSTINGS_PART, span_of(key.bytes, sizeof(key.bytes)),
                               &irregular, work);
        if (!err)
            err = postings_set_or(&part->candidates, &irregular);
        postings_set_done(&irregular);
    }
    part->by_postings = postings_set_count(&part->candidates);
    return err;
}

enum torg_err query_filter_part(struct query_plan *plan, struct query_part *part)
{
    struct catalogue_part_key key = catalogue_part_key(part->collection, part->placed, true);
    struct span list = span_of(key.bytes, sizeof(key.bytes));
    enum torg_err err;

    err = postings_count(plan->kv, POSTINGS_PART, list, &part->irregular_count);
    plan->explain.postings++;
    if (!err && plan->filtered)
        err = part_candidates(plan, part);
    /* Without a time, what is shown now: some are shown at other times than the tree says. */
    part->has_irregular = part->irregular_count > 0 && !plan->query->has_datetime;
    if (!err && part->has_irregular && !plan->rows)
        err = postings_or(plan->kv, POSTINGS_PART, list, &part->irregular, &plan->explain.postings);
    return err;
}

/* ---- what a CQL2 filter implies ---- */

#define MUNICIPALITY_BYTES_MAX 7 /* of a row's; a longer one is in no list */

/* A listing that has a theme is found by it. What is no slug, nothing has: the filter says so. */
static void narrow_themes(struct query *query)
{
    struct query_theme_group *group = &query->groups[0];
    struct span slugs[RTREE_THEME_SETS_MAX];
    size_t count = filter_elements(query->filter, "themes", slugs, RTREE_THEME_SETS_MAX);

    group->count = 0;
    for (size_t i = 0; i < count; i++) {
        if (theme_slug_valid(slugs[i]))
            group->slugs[group->count++] = slugs[i];
    }
    query->group_count = group->count > 0;
}

void query_narrow(struct query *query)
{
    size_t count;

    if (!query->filter)
        return;
    if (query->group_count == 0)
        narrow_themes(query);
    if (!query->has_box)
        query->has_box = query->box_is_cover = filter_box(query->filter, &query->box);
    if (query->municipality_count > 0)
        return;
    count = filter_values(query->filter, "municipality", query->municipalities, QUERY_VALUES_MAX);
    for (size_t i = 0; i < count; i++) {
        if (query->municipalities[i].size == 0 ||
            query->municipalities[i].size > MUNICIPALITY_BYTES_MAX)
            return;
    }
    query->municipality_count = count;
}
