/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_SUPPORT_HOSTILE_H
#define TORG_TESTS_SUPPORT_HOSTILE_H

#include <stddef.h>
#include <stdint.h>

/*
 * One node, and an origin that signs whatever the bytes tell it to: heads that
 * go back or contradict each other, numbers given twice, states that its log
 * does not lead to; delivered in pieces, in any order, over a disk that fails.
 * After each step the program ends (abort) unless
 *   - a refused write has left the store as it was,
 *   - the head has not gone back,
 *   - verify finds nothing, and no stored row was called corrupt,
 *   - the index was told of exactly the listings that are there.
 * Needs seal_init. The same bytes do the same.
 */
void hostile_run(const uint8_t *data, size_t size);

#endif
