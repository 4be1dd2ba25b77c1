/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_AGGREGATE_H
#define TORG_INDEX_AGGREGATE_H

#include "index/query.h"

/*
 * Public competence needs counted by theme and area. Only the collection needs
 * is read: what companies answered in confidence never comes here.
 */
struct aggregate_cell {
    char theme[72];       /* slug as stated, "" when none or not asked by theme */
    char municipality[8]; /* "" when the need states none, or not asked by it */
    char area[208];       /* the area as stated, "" when none, or not asked by it */
    uint64_t needs;       /* listings */
    uint64_t people;      /* sum of people where stated */
    uint64_t askers[4];   /* company, municipality, association, not stated */
};

enum aggregate_by {
    AGGREGATE_BY_THEME = 1,
    AGGREGATE_BY_AREA = 2,
    AGGREGATE_BY_MUNICIPALITY = 4,
};

struct aggregate_table {
    struct aggregate_cell *cells; /* owned; most needs first, then by theme and area */
    size_t count;
    uint64_t needs; /* listings counted, each once */
};
void aggregate_table_done(struct aggregate_table *table);

/*
 * query filters (place, theme, time, origin); its collections and page are
 * ignored. by: AGGREGATE_BY_* or-ed; 0 gives one cell of all. By theme, a need
 * counts once under each slug that it states, and not under broader ones: cells
 * add up to more than needs. Errors as query_run.
 */
enum torg_err aggregate_competence_needs(const struct kv *kv, const struct theme_tree *themes,
                                         const struct query *query, unsigned by,
                                         struct aggregate_table *ret_table);

#endif
