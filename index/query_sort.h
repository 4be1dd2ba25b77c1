/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_QUERY_SORT_H
#define TORG_INDEX_QUERY_SORT_H

#include "index/query.h"

/*
 * An order by properties, read from the stored features: names in Swedish
 * order (protocol/collate.h, the first QUERY_SORT_WEIGHTS_MAX letters), numbers
 * and times by value, false before true; what is absent comes last, whichever
 * way. Ties are in the order of document numbers. A cursor has the key of the
 * last feature of a page, so what keeps its properties comes exactly once while
 * others change.
 */
#define QUERY_SORT_KEYS_MAX 4
#define QUERY_SORT_WEIGHTS_MAX 40
#define QUERY_SORT_BYTES_MAX (QUERY_SORT_KEYS_MAX * (QUERY_SORT_WEIGHTS_MAX + 2))
#define QUERY_SORT_WANTED_MAX 20000 /* offset and limit together; more: TORG_E_EXPENSIVE */

struct query_sort_key {
    uint16_t size;
    uint8_t bytes[QUERY_SORT_BYTES_MAX];
};
struct query_sort {
    size_t count;
    struct {
        struct span name; /* as a filter's path, see filter.h */
        enum cql2_type type;
        bool descending;
    } by[QUERY_SORT_KEYS_MAX];
    bool has_after;
    struct query_sort_key after;
    uint32_t after_document;
};

/* What comes first of what is added, for one page. */
struct query_sorter;
/* sort must outlive it. TORG_E_EXPENSIVE; TORG_E_NOMEM. */
enum torg_err query_sorter_new(const struct query_sort *sort, uint32_t offset, uint32_t limit,
                               struct query_sorter **ret_sorter);
void query_sorter_free(struct query_sorter *sorter);
/* TORG_E_CORRUPT: feature is no JSON. */
enum torg_err query_sorter_add(struct query_sorter *sorter, uint32_t number, struct span feature);
/* Hits, their keys and has_next of the page; the sorter is empty afterwards. */
enum torg_err query_sorter_page(struct query_sorter *sorter, struct query_page *page);

/*
 * As query_run, in that order. A query with near has an order of its own:
 * TORG_E_INVALID. query->cursor is passed over.
 */
enum torg_err query_run_sorted(const struct kv *kv, const struct theme_tree *themes,
                               const struct query *query, const struct query_sort *sort,
                               struct query_page *ret_page);

#endif
