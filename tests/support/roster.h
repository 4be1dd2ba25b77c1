/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_SUPPORT_ROSTER_H
#define TORG_TESTS_SUPPORT_ROSTER_H

#include "protocol/replica.h"

/*
 * What a catalogue says of an origin, as a change to be committed: status NULL
 * takes the entry away, quota 0 says none; another nonce makes other bytes. payload is made anew
 * and must outlive the commit.
 */
struct local_change roster_change(const struct origin_id *member, const char *status,
                                  uint32_t quota, uint64_t nonce, struct buffer *payload);
/* That it belongs, and that this is the right one of its charters. */
struct local_change roster_naming(const struct origin_id *member, const struct hash *charter,
                                  uint64_t nonce, struct buffer *payload);

#endif
