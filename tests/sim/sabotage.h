/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_SIM_SABOTAGE_H
#define TORG_TESTS_SIM_SABOTAGE_H

#include "tests/sim/world.h"

/*
 * Damage to what node holds of origin, done past all checks of the replica, as
 * a broken program would do it. True if there was something to damage.
 */
/* A listing vanishes behind the trie's back. */
bool sabotage_lose_row(struct world *world, uint32_t node, uint32_t origin);
/* A payload's last bit changes. */
bool sabotage_forge_payload(struct world *world, uint32_t node, uint32_t origin);
/* A listing that was deleted is back. */
bool sabotage_resurrect(struct world *world, uint32_t node, uint32_t origin);
/* The payload of a listing that was deleted or replaced lies where nobody looks for it. */
bool sabotage_keep_erased(struct world *world, uint32_t node, uint32_t origin);
/* The newest charter's last signature changes. */
bool sabotage_forge_charter(struct world *world, uint32_t node, uint32_t origin);

/* An origin is called disputed that never forked. */
bool sabotage_dispute(struct world *world, uint32_t node, uint32_t origin);

#endif
