/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_SIM_CHECK_H
#define TORG_TESTS_SIM_CHECK_H

#include "tests/sim/world.h"

/*
 * The invariants of docs/protocol.md, checked from outside while a world runs,
 * against what its origins wrote down when they signed:
 *
 *   1  the root of what is held, recomputed, is the one that the record states;
 *      a collection that calls itself complete has the signed head's root
 *   2  nothing is held that its origin did not sign; no payload differs
 *   3  heads never go back on a node; what is taken under a head lives in it
 *   4  no origin signs two heads with one number, also after its store was put back
 *   5  nothing that a HAVE told is gone after a crash
 *   6  a fork is known to all nodes in the end, and no origin is called forked that is not
 *   7  nothing that a hostile node sends stops an honest writer
 *   8  what waits for a peer is bounded, however slow it is
 *   9  a payload that was deleted or replaced is in no store
 *  10  a clock that is wrong by years changes nothing
 *  11  after the faults, every node reaches the newest charter and head of every origin
 *  12  the same, from whatever state it was left in
 *  13  who was away for long is sent what differs, not what happened
 *  14  in quiet at most 1.1 copies of a payload for each node, on average
 *  15  a slow peer delays nobody else
 *  16  a stalled peer is shown on both sides
 *  17  a new epoch heals a fork everywhere
 *  18  what is held is byte for byte what was signed, known or unknown
 */
struct check;

struct check *check_new(struct world *world);
/* Before its world ends. */
void check_free(struct check *check);
/* A node's store was put back by hand: nothing that was said of it before holds. */
void check_forget(struct check *check, uint32_t node);
/* Everything that every node holds, once more and in full. */
void check_all(struct check *check);
/* Payloads in what honest nodes have sent so far. */
uint64_t check_payloads_sent(const struct check *check);
/* Once everybody holds everything: what is dead by then is in nobody's store. */
void check_erased(struct check *check, struct world *world);
/* The first invariant that was broken: its number and what was seen; 0 if none was. */
unsigned check_violation(const struct check *check, const char **ret_text);
void check_violate(struct check *check, unsigned invariant, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
