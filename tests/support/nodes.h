/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_SUPPORT_NODES_H
#define TORG_TESTS_SUPPORT_NODES_H

#include "tests/sim/world.h"

/*
 * What the stories told on a few simulated nodes share. Their stores are strict (kv_mem.h), so that
 * a sanitizer catches who keeps what is read over a write.
 */
struct world *nodes_new(uint64_t seed);
void nodes_free(struct world *world);
/*
 * Started, each with listings of its own. Node 0 is the catalogue; each hears of the members
 * through the one before it, and their links begin at one end or at both.
 */
struct world *nodes_in_a_row(uint64_t seed, uint32_t nodes);
void nodes_run_for(struct world *world, int64_t ms);
/* node holds all that it may of what from has published. */
void nodes_assert_has(struct world *world, uint32_t node, uint32_t from);

#endif
