/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_SIM_LATER_H
#define TORG_TESTS_SIM_LATER_H

#include "tests/sim/world.h"

/*
 * Nodes of a later version among ours (world_node.later): whatever they send has
 * elements at its end that we do not know, their HELLO offers what we have never
 * heard of, and between their frames stand frames of other types. All of it is
 * allowed by docs/protocol.md, "Frames", and must change nothing.
 *
 * frame_encode is wrapped by the linker, so that a session charges such a frame
 * for all that it is. One world at a time in a process.
 */
/* Before a run: seed decides what they add. strict: a deliberate fault, see later.c. */
void later_begin(uint64_t seed, bool strict);
/* For world_watcher.stepping: who speaks now. */
void later_stepping(void *context, const struct world_node *node);
/* For world_watcher.speaking: frames of types that nobody knows. */
void later_speaking(void *context, const struct world_node *node, struct buffer *bytes);
/* How much of what a later version adds was sent since later_begin. */
uint64_t later_count(void);

#endif
