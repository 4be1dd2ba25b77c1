/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/sim/run.h"

/*
 * What the nodes of a run allow: some pack their frames and some do not, and of
 * each origin so few heads may be taken at once that it is throttled. All must
 * come out as it would without.
 */
#define PACKS_DUE 3  /* one run of four */
#define HEADS_DUE 5  /* one run of eight */
#define HEADS_MIN 1u /* at once; then one in 3.6 s */

/* Drawn apart from all else, and so that seeds that are kept stay what they were. */
static uint64_t limits_draw(const struct run *run)
{
    return run->world->options.seed * UINT64_C(0x4806aa81e65150b5) >> 24;
}

/* These look into what they send, which is easier when it is plain. */
static bool looks_inside(enum world_malice malice)
{
    return malice == WORLD_LIES || malice == WORLD_TRUNCATES || malice == WORLD_DRIPS;
}

void run_limits_choose(struct run *run)
{
    uint64_t bits = limits_draw(run);

    if (run->settings->fault != FAULT_NONE)
        return;
    for (uint32_t i = 0; i < run->world->node_count && (bits & 3) == PACKS_DUE; i++)
        run->world->nodes[i].packs =
            bits >> (8 + i % 16) & 1 && !looks_inside(run->world->nodes[i].malice);
    if ((bits >> 2 & 7) == HEADS_DUE)
        run->world->options.limits.heads_burst = HEADS_MIN + (uint32_t)(bits >> 5 & 3);
}
