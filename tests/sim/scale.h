/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_SIM_SCALE_H
#define TORG_TESTS_SIM_SCALE_H

#include <stdbool.h>
#include <stdint.h>

/* More nodes than this are a country, without faults. */
#define SCALE_NODES_MIN 33

/*
 * A whole country in quiet: nodes municipalities, two of them hubs, each of the
 * others with the hubs and two neighbours drawn by the seed. They start together,
 * everybody gets everything, then some of them write, round after round. Prints
 * how long that takes, what it costs a node, and how often a payload reaches it.
 * False unless everybody has everything, and in the last round at most 1.1 copies.
 */
bool scale_run(uint32_t nodes, uint64_t seed);

#endif
