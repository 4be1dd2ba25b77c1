/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdlib.h>
#include <string.h>

#include "index/query_plan.h"
#include "index/query_tally.h"

#define NUMBERS_AT_ONCE 1024

/*
 * Fewer than this are divided by reading their rows, rather than by going
 * through the lists of all values: an estimate.
 */
#define ROWS_MAX 500

/* ---- counting row by row ---- */

struct count {
    struct query_plan *plan;
    bool many;       /* more than ROWS_MAX may match */
    unsigned facets; /* those that the rows of this part are asked for */
    struct query_facets *out;
    struct query_tally origins;
    struct query_tally municipalities;
    uint8_t collection;          /* of the part that is walked */
    struct postings_set matched; /* of all parts that are divided by postings */
    size_t waiting;
    uint32_t numbers[NUMBERS_AT_ONCE]; /* that are not in matched yet */
};

/* A row carries the bits of its themes and of all broader ones, each once. */
static void count_themes(struct count *count, const struct catalogue_row *row)
{
    for (size_t i = 0; i < row->theme_bits.size; i++)
        count->out->themes[row->theme_bits.data[i]]++;
}

static enum torg_err count_municipality(struct count *count, struct span code, uint64_t n)
{
    uint8_t bytes[8] = {0};

    if (code.size == 0)
        return TORG_OK;
    if (code.size >= sizeof(bytes))
        return TORG_E_CORRUPT; /* Rows hold at most seven. */
    memcpy(bytes, code.data, code.size);
    return query_tally_add(&count->municipalities, get_u64be(bytes), n);
}

static enum torg_err count_origin_key(struct count *count, struct span key, uint64_t n)
{
    return key.size == 4 ? query_tally_add(&count->origins, get_u32be(key.data), n)
                         : TORG_E_CORRUPT;
}

static enum torg_err count_visit(void *context, uint32_t number, const struct catalogue_row *row)
{
    struct count *count = context;
    enum torg_err err = TORG_OK;

    (void)number;
    if (count->facets & QUERY_FACET_THEME)
        count_themes(count, row);
    if (count->facets & QUERY_FACET_COLLECTION)
        count->out->collections[row->collection]++;
    if (count->facets & QUERY_FACET_ORIGIN)
        err = query_tally_add(&count->origins, row->origin_number, 1);
    if (!err && count->facets & QUERY_FACET_MUNICIPALITY)
        err = count_municipality(count, row->municipality, 1);
    return err;
}

/* ---- counting by the tree ---- */

/* The tree knows how many of each theme there are below a node: no row is read. */
static enum torg_err count_themes_by_tree(struct count *count, const struct query_part *part)
{
    struct query_plan *plan = count->plan;
    struct rtree_query tree = query_plan_tree(plan, part);
    uint64_t walked[THEME_BITS];
    const uint64_t *themes = part->themes;
    struct rtree_work work = {0};
    enum torg_err err = TORG_OK;

    if (!themes) {
        err = rtree_theme_counts(plan->kv, catalogue_tree(part->collection, part->placed), &tree,
                                 walked, NULL, &work);
        themes = walked;
    }
    for (size_t bit = 0; !err && bit < THEME_BITS; bit++)
        count->out->themes[bit] += themes[bit];
    return err ? err : query_plan_walked(plan, &work);
}

/* ---- counting by postings: which listings match, and then how many each list has of them ---- */

static enum torg_err matched_settle(struct count *count)
{
    enum torg_err err = TORG_OK;

    if (count->waiting > 0)
        err = postings_set_add(&count->matched, count->numbers, count->waiting);
    count->waiting = 0;
    return err;
}

static enum torg_err matched_visit(void *context, uint32_t number, const struct catalogue_row *row)
{
    struct count *count = context;

    (void)row;
    count->out->collections[count->collection]++;
    count->numbers[count->waiting++] = number;
    return count->waiting == NUMBERS_AT_ONCE ? matched_settle(count) : TORG_OK;
}

/* Both lists of a part, of which nothing is left out. */
static enum torg_err matched_whole(struct count *count, const struct query_part *part)
{
    struct query_plan *plan = count->plan;
    enum torg_err err = TORG_OK;

    count->out->collections[part->collection] += part->documents;
    for (int irregular = 0; irregular < 2 && !err; irregular++) {
        struct catalogue_part_key key =
            catalogue_part_key(part->collection, part->placed, irregular == 1);

        err = postings_or(plan->kv, POSTINGS_PART, span_of(key.bytes, sizeof(key.bytes)),
                          &count->matched, &plan->explain.postings);
    }
    return err;
}

static enum torg_err matched_part(struct count *count, const struct query_part *part)
{
    enum query_driver driver;
    enum torg_err err;

    if (!count->plan->filtered && query_plan_takes_all(count->plan, part))
        return matched_whole(count, part);
    count->collection = part->collection;
    err = query_each(count->plan, part, false, matched_visit, count, &driver);
    return err ? err : matched_settle(count);
}

/* What of the matched has each value of a kind. key_of makes a tally's key of a list's. */
static enum torg_err divide(struct count *count, uint8_t kind,
                            enum torg_err (*add)(struct count *count, struct span key, uint64_t n))
{
    struct query_plan *plan = count->plan;
    struct postings_walk walk;
    struct span key;
    uint64_t listings, n;
    enum torg_err err;

    err = postings_walk_open(&walk, plan->kv, kind, span_of(NULL, 0));
    while (!err) {
        err = postings_walk_next(&walk, &key, &listings);
        if (!err)
            err = postings_walk_and_count(&walk, &count->matched, &n, &plan->explain.postings);
        if (!err)
            err = query_plan_hits(plan, 0);
        if (!err && n > 0)
            err = add(count, key, n);
    }
    postings_walk_close(&walk);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

/* ---- parts ---- */

/* How many may match, at most. */
static uint64_t most_matches(const struct query_plan *plan)
{
    uint64_t most = 0;

    for (size_t i = 0; i < plan->part_count; i++) {
        const struct query_part *part = &plan->parts[i];

        most +=
            plan->filtered && part->by_postings < part->by_tree ? part->by_postings : part->by_tree;
    }
    return most;
}

/*
 * Reading the rows of all that matches costs more than going through the lists
 * of all values, unless rows are read anyway or few match.
 */
static bool count_by_postings(const struct count *count, const struct query_part *part,
                              unsigned facets)
{
    const struct query_plan *plan = count->plan;

    return !(facets & QUERY_FACET_THEME) &&
           facets & (QUERY_FACET_ORIGIN | QUERY_FACET_MUNICIPALITY) && !plan->rows && count->many &&
           query_each_driver(plan, part, false) != QUERY_BY_SCAN;
}

/* Where the tree's counts are the answer, no row is asked for collection and theme. */
static enum torg_err count_part(struct count *count, const struct query_part *part, unsigned facets)
{
    enum query_driver driver;
    enum torg_err err = TORG_OK;

    if (query_plan_counted(count->plan, part)) {
        if (facets & QUERY_FACET_THEME)
            err = count_themes_by_tree(count, part);
        facets &= ~(unsigned)QUERY_FACET_THEME;
        if (err || !facets)
            return err;
        if (facets == QUERY_FACET_COLLECTION) {
            count->out->collections[part->collection] += part->by_tree;
            return TORG_OK;
        }
    }
    if (count_by_postings(count, part, facets))
        return matched_part(count, part);
    count->facets = facets;
    return query_each(count->plan, part, true, count_visit, count, &driver);
}

static enum torg_err count_matched(struct count *count, unsigned facets)
{
    enum torg_err err = TORG_OK;

    if (postings_set_count(&count->matched) == 0)
        return TORG_OK;
    if (facets & QUERY_FACET_ORIGIN)
        err = divide(count, POSTINGS_ORIGIN, count_origin_key);
    if (!err && facets & QUERY_FACET_MUNICIPALITY)
        err = divide(count, POSTINGS_MUNICIPALITY, count_municipality);
    return err;
}

static enum torg_err put_origins(struct query_tally *tally, struct query_facets *out)
{
    query_tally_sort(tally);
    out->origins = calloc(tally->count + 1, sizeof(*out->origins));
    if (!out->origins)
        return TORG_E_NOMEM;
    for (size_t i = 0; i < tally->count; i++) {
        out->origins[i].number = (uint32_t)tally->entries[i].key;
        out->origins[i].count = tally->entries[i].count;
    }
    out->origin_count = tally->count;
    return TORG_OK;
}

static enum torg_err put_municipalities(struct query_tally *tally, struct query_facets *out)
{
    query_tally_sort(tally);
    out->municipalities = calloc(tally->count + 1, sizeof(*out->municipalities));
    if (!out->municipalities)
        return TORG_E_NOMEM;
    for (size_t i = 0; i < tally->count; i++) {
        put_u64be((uint8_t *)out->municipalities[i].code, tally->entries[i].key);
        out->municipalities[i].count = tally->entries[i].count;
    }
    out->municipality_count = tally->count;
    return TORG_OK;
}

enum torg_err query_facets_of(struct query_plan *plan, unsigned facets,
                              struct query_facets *ret_facets)
{
    struct query_facets out = {.origins = NULL};
    struct count count = {.plan = plan, .many = most_matches(plan) > ROWS_MAX, .out = &out};
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < plan->part_count && facets && !err; i++)
        err = count_part(&count, &plan->parts[i], facets);
    if (!err)
        err = count_matched(&count, facets);
    if (!err)
        err = put_origins(&count.origins, &out);
    if (!err)
        err = put_municipalities(&count.municipalities, &out);
    if (!err && !(facets & QUERY_FACET_COLLECTION))
        memset(out.collections, 0, sizeof(out.collections)); /* They came along by the way. */
    if (!err)
        *ret_facets = out;
    else
        query_facets_done(&out);
    postings_set_done(&count.matched);
    query_tally_done(&count.origins);
    query_tally_done(&count.municipalities);
    return err;
}

enum torg_err query_facets_get(const struct kv *kv, const struct theme_tree *themes,
                               const struct query *query, unsigned facets,
                               struct query_facets *ret_facets)
{
    struct query_plan plan;
    enum torg_err err;

    err = query_plan_init(&plan, kv, themes, query, facets);
    if (err)
        return err;
    err = query_facets_of(&plan, facets, ret_facets);
    query_plan_done(&plan);
    return err;
}

void query_facets_done(struct query_facets *facets)
{
    free(facets->origins);
    free(facets->municipalities);
    *facets = (struct query_facets){.origins = NULL};
}

enum torg_err query_theme_counts(const struct kv *kv, const struct theme_tree *themes,
                                 const struct query *query, uint64_t counts[THEME_BITS])
{
    struct query_facets facets;
    enum torg_err err;

    err = query_facets_get(kv, themes, query, QUERY_FACET_THEME, &facets);
    if (err)
        return err;
    memcpy(counts, facets.themes, sizeof(facets.themes));
    query_facets_done(&facets);
    return TORG_OK;
}
