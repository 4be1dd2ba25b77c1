/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_AGGREGATE_H
#define TORG_INDEX_AGGREGATE_H

#include "index/query.h"

/*
 * Public competence needs counted by theme and area. Only the collection needs
 * is read: what companies answered in confidence never comes here.
 */
struct aggregate_cell {
    char theme[72];       /* slug */
    char municipality[8]; /* "" when the need states none */
    char area[128];       /* the area as stated, "" when none */
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

/* query filters (area, theme, time, origin); its page is ignored. by: AGGREGATE_BY_* or-ed. */
enum torg_err aggregate_competence_needs(const struct kv *kv, const struct theme_tree *themes,
                                         const struct query *query, unsigned by,
                                         struct aggregate_table *ret_table);

#endif
