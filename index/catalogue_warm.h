/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_CATALOGUE_WARM_H
#define TORG_INDEX_CATALOGUE_WARM_H

#include "protocol/kv.h"

/*
 * Where nodes and documents lie is remembered as answers find it (rtree_table.h), and
 * the first to ask for one pays for the search: twenty documents that nobody has asked
 * for in this snapshot make an answer half as long again. A walk through both tables in
 * the order of their keys finds the same for little, when there is nothing else to do. It
 * only saves time: who comes before it searches as ever.
 */
#define CATALOGUE_WARM_VALUES 256 /* of one step */

enum catalogue_warm_phase { CATALOGUE_WARM_NODES, CATALOGUE_WARM_DOCUMENTS, CATALOGUE_WARM_DONE };

/* How far it is with a snapshot. All zero: at the beginning. */
struct catalogue_warm {
    enum catalogue_warm_phase phase;
    uint32_t key_size; /* 0: at the table's beginning */
    uint8_t key[5];    /* of the value that comes next */
};

/*
 * One step, in any read transaction of the snapshot that warm has begun with. DONE when
 * all is known, when there is no more room, or when the snapshot is not the newest any more:
 * then the next one begins anew. What a cursor says; damage of a value is told to
 * who asks for it, not here.
 */
enum torg_err catalogue_warm_step(const struct kv *kv, struct catalogue_warm *warm);

#endif
