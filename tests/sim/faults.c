/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/sim/run.h"
#include "tests/sim/sabotage.h"

#define QUIET_TRIES 8

/* Deliberate faults that are done while a world runs (--break); others are where they belong. */

/* Node 1 comes up with the copy of its store that was taken earlier. */
static void go_back(struct run *run)
{
    if (!run->copies[1] || !run->world->nodes[1].up)
        return;
    world_crash(run->world, 1);
    world_restore(run->world, 1, run->copies[1]);
    world_start(run->world, 1);
}

/* What node 1 holds of node 0 is damaged. */
static void damage(struct run *run)
{
    static bool (*const ways[])(struct world *, uint32_t, uint32_t) = {
        [FAULT_LOSE_ROW] = sabotage_lose_row,
        [FAULT_FORGE_PAYLOAD] = sabotage_forge_payload,
        [FAULT_FORGE_CHARTER] = sabotage_forge_charter,
        [FAULT_RESURRECT] = sabotage_resurrect,
    };

    world_fault(run->world, 1, 0, TORG_OK, false); /* This write must get through. */
    run->faulted = ways[run->settings->fault](run->world, 1, 0);
    if (run->faulted)
        check_all(run->check);
}

/* In chaos there may have been nothing to damage: now there is. */
void run_fault_in_quiet(struct run *run)
{
    enum fault fault = run->settings->fault;

    if (fault == FAULT_ACCEPT_OLD || fault == FAULT_FORGET_COMMIT) {
        world_write(run->world, 0, 10);
        run_settle(run, 11);
        go_back(run);
        return;
    }
    if (fault != FAULT_LOSE_ROW && fault != FAULT_FORGE_PAYLOAD && fault != FAULT_FORGE_CHARTER &&
        fault != FAULT_RESURRECT)
        return;
    for (unsigned i = 0; i < QUIET_TRIES && !run->faulted; i++) {
        world_write(run->world, 0, 10);
        run_settle(run, 11);
        run_fault_do(run);
    }
}

void run_fault_do(struct run *run)
{
    if (run->faulted)
        return;
    switch (run->settings->fault) {
    case FAULT_LOSE_ROW:
    case FAULT_FORGE_PAYLOAD:
    case FAULT_FORGE_CHARTER:
    case FAULT_RESURRECT:
        damage(run);
        break;
    case FAULT_EARLY_HAVE:
        run->world->nodes[1].boasts = true;
        run->faulted = true;
        break;
    case FAULT_ACCEPT_OLD:
        go_back(run);
        run->faulted = run->copies[1] != NULL;
        break;
    case FAULT_FORGET_COMMIT:
        go_back(run); /* the copy is seconds old, and it is done again and again */
        break;
    case FAULT_DEAF_WRITER:
        run->world->nodes[1].dead_writer = true;
        run->faulted = true;
        break;
    case FAULT_MUTE_TRIE:
        run->world->mute_type = FRAME_TRIE;
        run->faulted = true;
        break;
    case FAULT_PATIENCE:
        /* Much to catch up with, where the one who drips is the first to be asked. */
        if (run->world->nodes[0].up) {
            world_write(run->world, 0, 600);
            run->faulted = true;
        }
        break;
    case FAULT_NONE:
    case FAULT_UNSTEADY:
    case FAULT_UNGUARDED: /* in the end */
    case FAULT_MUTE_PROOF:
    case FAULT_FALSE_DISPUTE:
    case FAULT_NO_CURE:
    case FAULT_GULLIBLE: /* from the beginning */
    case FAULT_CONVOY:   /* in worlds of their own */
    case FAULT_HOARD:
    case FAULT_BLIND:
    case FAULT_CLOCK_PURGE:
    case FAULT_KEEP_ERASED:
    case FAULT_AMNESIA:
    case FAULT_FLOOD:
    case FAULT_COWARD:
    case FAULT_GREEDY:
    case FAULT_STRICT:
    case FAULT_ANY_VERSION:
    case FAULT_UNMEASURED:
    case FAULT_LEAKY:
        break;
    }
}
