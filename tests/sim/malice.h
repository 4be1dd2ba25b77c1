/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_SIM_MALICE_H
#define TORG_TESTS_SIM_MALICE_H

#include "tests/sim/world.h"

/*
 * What hostile nodes make of the frames that they send (enum world_malice). bytes
 * holds whole frames, and is replaced. Chance is the world's.
 */
void malice_do(struct world_node *node, struct buffer *bytes);
/* HAVE with more heads than there are, and, if collections is not 0, with all of those. */
void malice_boast(struct buffer *bytes, uint64_t heads, uint32_t collections);

#endif
