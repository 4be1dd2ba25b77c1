/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/sim/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "protocol/session.h"
#include "tests/sim/later.h"

/*
 * A federation is never of one version. Some nodes of a run speak a later minor
 * version, which must change nothing for anybody; and beside them may stand one
 * whose versions meet ours nowhere: it gets nothing, both sides say why, and the
 * others go on.
 */
#define APART_MIN (SESSION_VERSION_MAX + 1)
#define APART_MAX (SESSION_VERSION_MAX + 2)

/* Drawn apart from all else, so that seeds that are kept stay what they were. */
static uint64_t versions_draw(const struct run *run)
{
    return run->world->options.seed * UINT64_C(0xa0761d6478bd642f) >> 24;
}

static void apart_add(struct run *run)
{
    struct world_node *node;

    run->apart = world_node_add(run->world, false);
    node = &run->world->nodes[run->apart];
    node->absent = true; /* nobody expects it to hold anything */
    node->version_min = run->settings->fault == FAULT_ANY_VERSION ? SESSION_VERSION_MAX : APART_MIN;
    node->version_max = APART_MAX;
    world_peer(run->world, run->apart, 0, true);
    world_peer(run->world, run->apart, run->nodes - 1, true);
}

void run_versions_mix(struct run *run)
{
    enum fault fault = run->settings->fault;
    uint64_t bits = versions_draw(run);
    bool mixed = fault == FAULT_STRICT || fault == FAULT_ANY_VERSION ||
                 (fault == FAULT_NONE && (bits & 3) == 1);

    run->apart = WORLD_NONE;
    later_begin(run->world->options.seed, fault == FAULT_STRICT);
    if (!mixed)
        return;
    run->world->watcher.stepping = later_stepping;
    run->world->watcher.speaking = later_speaking;
    for (uint32_t i = 0; i < run->world->node_count; i++)
        run->world->nodes[i].later = !run->world->nodes[i].malice && bits >> (4 + i % 16) & 1;
    if (fault == FAULT_STRICT)
        run->world->nodes[0].later = true;
    if (fault == FAULT_ANY_VERSION || bits >> 2 & 1)
        apart_add(run);
}

/* at knows of other, and says that their versions do not meet, and which all of them are. */
static bool says_versions(const struct run *run, uint32_t at, uint32_t other)
{
    struct sync_peer_status status = world_peer_status(run->world, at, other);
    char ours[16], theirs[16];

    snprintf(ours, sizeof(ours), "%d..%d", SESSION_VERSION_MIN, SESSION_VERSION_MAX);
    snprintf(theirs, sizeof(theirs), "%d..%d", APART_MIN, APART_MAX);
    return strstr(status.last_error, ours) && strstr(status.last_error, theirs);
}

void run_versions_check(struct run *run)
{
    const uint32_t neighbours[] = {0, run->nodes - 1};
    struct world *world = run->world;

    if (run->apart == WORLD_NONE)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(neighbours); i++) {
        uint32_t other = neighbours[i];
        int64_t until_ms = world->now_ms + HEAL_MS_MAX;
        struct sync_peer_status status;

        /* A back-off may be long. */
        while (!(says_versions(run, run->apart, other) && says_versions(run, other, run->apart)) &&
               world->now_ms < until_ms)
            world_run(world, world->now_ms + SECOND);
        status = world_peer_status(world, other, run->apart);
        if (world->now_ms >= until_ms)
            check_violate(run->check, 16,
                          "%s and %s, whose versions do not meet, do not both say so (\"%s\")",
                          world->nodes[other].name, world->nodes[run->apart].name,
                          status.last_error);
    }
}
