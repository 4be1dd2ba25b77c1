/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_SUPPORT_WORLD_HOURS_H
#define TORG_TESTS_SUPPORT_WORLD_HOURS_H

#include "protocol/bytes.h"

/*
 * The opening hours of the world's listings, for the questions that ask what is
 * open: part of world.h. They are of few kinds, 0 of which is none, and their
 * answer is found by looking at the clock of the week, not by days and rules.
 */
#define WORLD_HOURS 9

/* The member of the packed body, where its key stands; nothing for kind 0. */
void world_hours_put(struct buffer *out, unsigned kind);
bool world_hours_open(unsigned kind, int64_t utc_ms);

#endif
