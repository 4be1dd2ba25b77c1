/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/sim/run.h"

/*
 * Collections for members: the first node is the catalogue and a member, in the
 * middle of a star, so that whoever is let in can be reached; of the others some
 * are members, some are not, some take themselves for one, and that changes.
 */
#define MEMBERS_TURN 0 /* one run of eight */
#define CHANGES_PERCENT 3

/* Drawn apart from all else, so that seeds that are kept stay what they were. */
static uint64_t members_draw(const struct run *run)
{
    return run->world->options.seed * UINT64_C(0xd6e8feb86659fd93) >> 24;
}

bool run_members_due(const struct run *run)
{
    return run->settings->fault == FAULT_LEAKY ||
           (run->settings->fault == FAULT_NONE && (members_draw(run) & 7) == MEMBERS_TURN);
}

void run_members_found(struct run *run)
{
    run->world->members_only = UINT32_C(1) << world_collection(0) | UINT32_C(1)
                                                                        << world_collection(3);
    run->world->leaky = run->settings->fault == FAULT_LEAKY;
    world_catalogue(run->world, 0);
}

void run_members_choose(struct run *run)
{
    uint64_t bits = members_draw(run) >> 3;

    world_member(run->world, 0, "active", 0);
    for (uint32_t i = 1; i < run->nodes; i++) {
        struct world_node *node = &run->world->nodes[i];

        if (!node->has_own || node->malice)
            continue;
        world_member(run->world, i, bits >> i % 16 & 1 ? "active" : "suspended", 0);
        if (!node->member)
            node->curious = bits >> (i + 5) % 16 & 1;
    }
}

void run_members_change(struct run *run, uint32_t index)
{
    static const char *const words[] = {"active", "suspended", "left", NULL};
    const struct world_node *node = &run->world->nodes[index];
    const struct world_node *catalogue = &run->world->nodes[0];

    if (index == 0 || !node->has_own || node->curious || !catalogue->up || catalogue->recovering ||
        catalogue->stopped || !world_chance(run->world, CHANGES_PERCENT))
        return;
    world_member(run->world, index, words[world_below(run->world, ARRAY_SIZE(words))], 0);
    world_trace(run->world, "%s is %s", node->name, node->member ? "a member" : "no member");
}

/* What the catalogue said just before it ended may be lost: it says it once more. */
void run_members_confirm(struct run *run)
{
    world_charter_again(run->world, 0);
    for (uint32_t i = 0; i < run->nodes; i++) {
        const struct world_node *node = &run->world->nodes[i];

        if (node->has_own && !node->malice)
            world_member(run->world, i, node->member ? "active" : "left", 0);
    }
}
