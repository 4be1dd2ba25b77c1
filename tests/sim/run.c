/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/sim/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/memo.h"
#include "tests/sim/sabotage.h"

#define CHARTERS_EACH 4
#define BATCH_WAIT_MS 50 /* the least that a batch is waited for, by docs/protocol.md */

/* ---- the world of a seed ---- */

static void topology_line(struct run *run)
{
    for (uint32_t i = 1; i < run->nodes; i++)
        world_peer(run->world, i, i - 1, world_chance(run->world, 50));
}

static void topology_star(struct run *run)
{
    for (uint32_t i = 1; i < run->nodes; i++)
        world_peer(run->world, i, 0, world_chance(run->world, 20));
}

static void topology_ring(struct run *run)
{
    topology_line(run);
    if (run->nodes > 2)
        world_peer(run->world, 0, run->nodes - 1, false);
}

/* A random tree, and some edges more. */
static void topology_random(struct run *run)
{
    for (uint32_t i = 1; i < run->nodes; i++)
        world_peer(run->world, i, (uint32_t)world_below(run->world, i), false);
    for (uint32_t i = 0; i < run->nodes; i++) {
        uint32_t a = (uint32_t)world_below(run->world, run->nodes);
        uint32_t b = (uint32_t)world_below(run->world, run->nodes);

        if (a != b && !(run->world->nodes[a].dial_only && run->world->nodes[b].dial_only))
            world_peer(run->world, a, b, world_chance(run->world, 30));
    }
}

/* Every third node at most, none beside another one, whatever the topology. */
static void dial_only_choose(struct run *run, unsigned topology)
{
    for (uint32_t i = 1; i < run->nodes; i++) {
        bool neighbour = run->world->nodes[i - 1].dial_only ||
                         (topology == 2 && i == run->nodes - 1 && run->world->nodes[0].dial_only);

        if (topology == 3 || neighbour)
            continue; /* in a random one only leaves: below */
        run->world->nodes[i].dial_only = world_chance(run->world, 25);
    }
    if (topology == 3)
        run->world->nodes[run->nodes - 1].dial_only = world_chance(run->world, 50);
}

/* The kinds that came later are drawn apart, so that seeds that are kept stay what they were. */
static enum world_malice malice_draw(struct run *run)
{
    uint64_t kind = 1 + world_below(run->world, WORLD_LIES);
    uint64_t later = run->world->options.seed * UINT64_C(0x2545f4914f6cdd1d) >> 32 & 7;

    if (later < 2)
        kind = later ? WORLD_TRUNCATES : WORLD_INVENTS;
    if (run->settings->fault == FAULT_COWARD)
        return WORLD_BOASTS;
    return run->settings->fault == FAULT_GULLIBLE ? WORLD_INVENTS : (enum world_malice)kind;
}

/* One node more, with two honest neighbours, that does as it likes with what it sends. */
static void hostile_add(struct run *run)
{
    uint32_t hostile = world_node_add(run->world, false);

    run->world->nodes[hostile].malice =
        run->settings->fault == FAULT_PATIENCE ? WORLD_DRIPS : malice_draw(run);
    for (unsigned i = 0; i < 2; i++) {
        uint32_t victim = (uint32_t)world_below(run->world, run->nodes);

        if (i == 0 && run->settings->fault == FAULT_COWARD)
            victim = 0; /* who writes must hear it */
        world_peer(run->world, hostile, victim, true);
    }
}

static bool needs_hostile(enum fault fault)
{
    return fault == FAULT_PATIENCE || fault == FAULT_GULLIBLE || fault == FAULT_COWARD;
}

/* By up to three years, forwards or back. */
static void clock_jump(struct run *run, uint32_t node)
{
    run->world->clock_offset_ms[node] =
        (int64_t)world_below(run->world, 200000000) * 1000 - 100000000000;
}

static void world_build(struct run *run)
{
    static void (*const topologies[])(struct run *) = {
        topology_line,
        topology_star,
        topology_ring,
        topology_random,
    };
    const struct settings *settings = run->settings;
    unsigned drawn = (unsigned)world_below(run->world, ARRAY_SIZE(topologies));
    unsigned topology = settings->fault == FAULT_FLOOD    ? 2 /* a ring: two ways to all */
                        : settings->fault == FAULT_GREEDY ? 1 /* a star: many edges */
                        : run->members                    ? 1 /* all by way of a member */
                                                          : drawn;
    uint32_t spread = settings->nodes_max - settings->nodes_min + 1;

    bool hostile, hostile_first;

    run->nodes = settings->nodes_min + (uint32_t)world_below(run->world, spread);
    for (uint32_t i = 0; i < run->nodes; i++) {
        world_node_add(run->world, i == 0 || world_chance(run->world, 70));
        if (i == 0 && run->members)
            run_members_found(run);
    }
    dial_only_choose(run, topology);
    hostile = needs_hostile(run->settings->fault) || world_chance(run->world, 40);
    hostile_first = world_chance(run->world, 50);
    if (run->settings->fault == FAULT_FLOOD)
        hostile = false;
    if (hostile && hostile_first)
        hostile_add(run); /* of peers that are as good the first is preferred */
    topologies[topology](run);
    if (hostile && !hostile_first)
        hostile_add(run);
    run_versions_mix(run);
    run_parts_choose(run);
    if (run->members)
        run_members_choose(run);
    run_limits_choose(run);
    run->large = world_chance(run->world, 10);
    run->restores = run->settings->fault == FAULT_UNGUARDED || world_chance(run->world, 40);
    for (uint32_t i = 0; i < run->world->node_count; i++) {
        if (world_chance(run->world, 10))
            clock_jump(run, i);
        if (world_chance(run->world, 10))
            run->world->nodes[i].bytes_per_ms = 100; /* a slow line, shared by all that it asks */
    }
}

static struct world_options options_draw(const struct settings *settings, uint64_t seed)
{
    struct world_options options = world_options_default(seed);
    uint64_t bits = seed * UINT64_C(0x9e3779b97f4a7c15) >> 32;

    options.trace = settings->trace;
    options.delay_max_ms = (int64_t[]){5, 40, 300, 1500}[bits & 3];
    options.commit_max_ms = (int64_t[]){2, 12, 200, 12}[bits >> 2 & 3];
    if ((bits >> 4 & 3) == 0 && settings->fault != FAULT_FLOOD) {
        options.limits.live_credit_bytes = 1; /* raised to the least that is allowed */
        options.limits.sync_credit_bytes = 1;
        options.limits.output_queue_bytes = 1;
        options.limits.sync_sessions_peer = 1;
        options.limits.sync_sessions_total = 2;
        options.limits.store_queue_writes = 2;
    }
    if (settings->fault == FAULT_FLOOD)
        options.commit_max_ms = 2;
    options.strict_store = (bits >> 6 & 7) == 0;
    if (settings->fault == FAULT_PATIENCE) {
        options.limits.answer_bytes_per_s_min = 1;
        options.limits.turn_ms = UINT32_MAX;
    }
    return options;
}

/* ---- chaos ---- */

static void copy_take(struct run *run, uint32_t node)
{
    kv_mem_free(run->copies[node]);
    run->copies[node] = NULL;
    if (kv_mem_clone(run->world->nodes[node].store, &run->copies[node]))
        abort();
}

static void write_some(struct run *run, uint32_t node)
{
    struct world *world = run->world;
    uint64_t kind = world_below(world, 100);

    if (!world->nodes[node].up || !world->nodes[node].has_own)
        return;
    if (kind < 80)
        world_write(world, node, 1 + (unsigned)world_below(world, 12));
    else if (kind < 90)
        world_write(world, node, 30 + (unsigned)world_below(world, 120));
    else if (kind < 92 && run->large)
        world_write(world, node, 500 + (unsigned)world_below(world, 500));
    else if (kind < 94)
        world_write_sized(world, node, 6, 60000);
    else if (kind < 96)
        world_write(world, node, 0);
    else
        world_beat(world, node);
}

static void rotate_some(struct run *run, uint32_t index)
{
    struct world_node *node = &run->world->nodes[index];

    if (node->up && node->has_own && !node->recovering && !node->jobs &&
        node->charter_count < CHARTERS_EACH)
        world_rotate(run->world, index, world_chance(run->world, 30));
}

/* All pairs across a random border. */
static void partition(struct run *run)
{
    uint32_t count = run->world->node_count;
    bool side[WORLD_NODES_MAX];

    world_trace(run->world, "partition");
    for (uint32_t i = 0; i < count; i++)
        side[i] = world_chance(run->world, 50);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < i; j++)
            world_block(run->world, i, j, side[i] != side[j]);
    }
}

static void unblock_all(struct run *run)
{
    for (uint32_t i = 0; i < run->world->node_count; i++) {
        for (uint32_t j = 0; j < i; j++)
            world_block(run->world, i, j, false);
    }
}

/* A relay without an origin of its own may lose everything, or come from an old backup. */
static void restore_some(struct run *run, uint32_t index)
{
    struct world_node *node = &run->world->nodes[index];

    if (node->has_own)
        return;
    if (!run->copies[index]) {
        copy_take(run, index);
        return;
    }
    world_crash(run->world, index);
    world_trace(run->world, "%s is restored", node->name);
    world_restore(run->world, index, world_chance(run->world, 50) ? run->copies[index] : NULL);
    check_forget(run->check, index);
}

/* A flat switch: what may happen to a world. */
static void chaos_step(struct run *run)
{
    struct world *world = run->world;
    uint32_t node = (uint32_t)world_below(world, run->nodes);
    uint32_t other = (uint32_t)world_below(world, world->node_count);
    uint64_t kind = world_below(world, 100);

    if (kind < 57) {
        write_some(run, node);
    } else if (kind < 58) {
        clock_jump(run, node);
    } else if (kind < 60) {
        world_block_one_way(world, node, other);
    } else if (kind < 62) {
        world_freeze(world, node, (int64_t)world_below(world, 90) * SECOND);
    } else if (kind < 68) {
        world_cut(world, node, other);
    } else if (kind < 72) {
        world_block(world, node, other, world_chance(world, 50));
    } else if (kind < 74) {
        partition(run);
    } else if (kind < 77) {
        unblock_all(run);
    } else if (kind < 80) {
        world_crash(world, node);
    } else if (kind < 84) {
        world_trace(world, "%s will end in its store", world->nodes[node].name);
        world_fault(world, node, world_below(world, 200), TORG_E_IO, true);
    } else if (kind < 87) {
        world_fault(world, node, world_below(world, 200), TORG_E_FULL, false);
    } else if (kind < 89) {
        rotate_some(run, node);
    } else if (kind < 91) {
        restore_some(run, node);
    } else if (!world->nodes[node].up) {
        run_parts_change(run, node);
        world_start(world, node);
    }
}

static void chaos(struct run *run)
{
    int64_t until_ms =
        run->world->now_ms + 30 * SECOND + (int64_t)world_below(run->world, 70) * SECOND;

    uint64_t pause_ms = (uint64_t[]){200, 500, 1000, 3000}[world_below(run->world, 4)];

    for (uint32_t i = 0; i < run->world->node_count; i++) {
        if (world_chance(run->world, 80))
            world_start(run->world, i);
    }
    while (run->world->now_ms < until_ms && !check_violation(run->check, NULL)) {
        world_run(run->world, run->world->now_ms + 1 + (int64_t)world_below(run->world, pause_ms));
        chaos_step(run);
        if (run->members)
            run_members_change(run, (uint32_t)world_below(run->world, run->nodes));
        if (run->settings->fault == FAULT_FORGET_COMMIT && world_chance(run->world, 10))
            copy_take(run, 1);
        else if (run->settings->fault == FAULT_ACCEPT_OLD && !run->copies[1])
            copy_take(run, 1);
        else if (run->restores && !run->copies[0] && run->world->nodes[0].commit_count)
            copy_take(run, 0);
        if (run->world->now_ms > until_ms - 20 * SECOND ||
            (run->settings->fault >= FAULT_DEAF_WRITER && run->settings->fault <= FAULT_PATIENCE))
            run_fault_do(run);
    }
}

/* ---- healing ---- */

/* Until everybody holds everything. */
void run_settle(struct run *run, unsigned invariant)
{
    struct world *world = run->world;
    int64_t from_ms = world->now_ms;
    char why[200] = "";

    while (!check_violation(run->check, NULL)) {
        world_run(world, world->now_ms + SECOND);
        if (world_converged(world, why, sizeof(why)))
            break;
        if (world->now_ms > from_ms + HEAL_MS_MAX)
            check_violate(run->check, invariant, "%s, %" PRId64 " minutes after the faults ended",
                          why, (world->now_ms - from_ms) / MINUTE);
    }
}

/*
 * The first origin comes from an old backup. It has its guard, so it knows: it
 * must get back what it published, and what its next head must name, before it
 * signs anything; and then it must be able to.
 */
static void origin_restore(struct run *run)
{
    struct world *world = run->world;
    size_t commits = world->nodes[0].commit_count;
    struct replica_origin record;

    if (!run->copies[0] || check_violation(run->check, NULL) ||
        !world_head(world, 0, &world->nodes[0].own, &record))
        return;
    if (record.charter_no + 1 != world->nodes[0].charter_count)
        return; /* its newest charter was lost before anybody had it: its key is not known */
    world->nodes[0].unguarded = run->settings->fault == FAULT_UNGUARDED;
    world_crash(world, 0);
    world_trace(world, "%s is restored", world->nodes[0].name);
    world_restore(world, 0, run->copies[0]);
    check_forget(run->check, 0);
    world_start(world, 0);
    if (world->nodes[0].unguarded)
        world_write(world, 0, 3);
    run_settle(run, 11);
    world_write(world, 0, 5);
    world_run(world, world->now_ms + 5 * SECOND);
    run_settle(run, 11);
    if (world->nodes[0].commit_count <= commits)
        check_violate(run->check, 12, "%s can sign nothing after its recovery",
                      world->nodes[0].name);
}

/* Worlds of their own, in one run of eight. */
static bool stories_due(const struct run *run)
{
    enum fault fault = run->settings->fault;

    if (check_violation(run->check, NULL))
        return false;
    return (fault >= FAULT_CONVOY && fault <= FAULT_BLIND) || fault == FAULT_UNMEASURED ||
           (fault == FAULT_NONE && run->world->options.seed % 8 == 3);
}

static bool away_due(const struct run *run)
{
    return !check_violation(run->check, NULL) &&
           (run->settings->fault == FAULT_AMNESIA ||
            (run->settings->fault == FAULT_NONE && run->world->options.seed % 8 == 6));
}

static bool bulk_due(const struct run *run)
{
    return !check_violation(run->check, NULL) && run->settings->fault == FAULT_NONE &&
           run->world->options.seed % 16 == 7;
}

static bool rivals_due(const struct run *run)
{
    return !check_violation(run->check, NULL) && run->settings->fault == FAULT_NONE &&
           run->world->options.seed % 16 == 12;
}

/* Nothing that anybody sends who has no key may stop who writes. */
static void writers_check(struct run *run)
{
    for (uint32_t i = 0; i < run->world->node_count; i++) {
        if (world_is_origin(&run->world->nodes[i]) && run->world->nodes[i].stopped)
            check_violate(run->check, 7, "%s was stopped, though nobody else signs with its keys",
                          run->world->nodes[i].name);
    }
}

/*
 * No quiet where somebody is hostile, where credit is so short that batches must
 * be dropped, where heads come faster than they are taken, or where a commit may take longer than a
 * batch is waited for: then another path is asked for it, as it should be, and the first one comes
 * as well.
 */
static bool quiet_due(const struct run *run)
{
    struct sync_limits limits = sync_limits_default();

    for (uint32_t i = 0; i < run->world->node_count; i++) {
        if (run->world->nodes[i].malice)
            return false;
    }
    return !check_violation(run->check, NULL) &&
           run->world->options.commit_max_ms < BATCH_WAIT_MS &&
           run->world->options.limits.live_credit_bytes == limits.live_credit_bytes &&
           run->world->options.limits.heads_burst == limits.heads_burst &&
           (run->settings->fault == FAULT_FLOOD ||
            (run->settings->fault == FAULT_NONE && run->world->options.seed % 4 == 1));
}

/* What is on its way comes first. */
static void erased_check(struct run *run)
{
    run_settle(run, 11);
    if (run->settings->fault == FAULT_KEEP_ERASED)
        sabotage_keep_erased(run->world, 1, 0);
    if (!check_violation(run->check, NULL))
        check_erased(run->check, run->world);
}

static void heal(struct run *run, struct result *result)
{
    struct world *world = run->world;
    int64_t from_ms = world->now_ms;

    world_trace(world, "heal");
    unblock_all(run);
    for (uint32_t i = 0; i < world->node_count; i++) {
        world_fault(world, i, 0, TORG_OK, false);
        world->nodes[i].frozen_until_ms = 0;
        world->nodes[i].full_until_ms = 0;
        if (run->settings->fault == FAULT_PATIENCE && !world->nodes[i].has_own &&
            !world->nodes[i].malice) {
            world_crash(world, i);
            world_restore(world, i, NULL);
            check_forget(run->check, i);
        }
        if (!world->nodes[i].up)
            world_start(world, i);
    }
    if (run->members)
        run_members_confirm(run);
    run_settle(run, 11);
    run_fault_in_quiet(run);
    result->heal_ms = world->now_ms - from_ms;
    world_run(world, world->now_ms + 5 * SECOND);
    if (!check_violation(run->check, NULL))
        writers_check(run);
    origin_restore(run);
    if (!check_violation(run->check, NULL))
        run_versions_check(run);
    erased_check(run);
    if (quiet_due(run))
        run_quiet(run);
    if (stories_due(run))
        run_stories(run);
    if (away_due(run))
        run_away(run);
    if (bulk_due(run))
        run_bulk(run);
    if (rivals_due(run))
        run_rivals(run);
    if (!check_violation(run->check, NULL))
        writers_check(run);
    if ((run->forks || run->settings->fault == FAULT_CLOCK_PURGE) &&
        !check_violation(run->check, NULL))
        run_clock(run);
    if (run->forks && !check_violation(run->check, NULL))
        run_fork(run);
    if (!check_violation(run->check, NULL))
        check_all(run->check);
}

struct result run_seed(const struct settings *settings, uint64_t seed, bool print)
{
    struct world *world = calloc(1, sizeof(*world));
    struct world_options options = options_draw(settings, seed);
    struct run run = {.settings = settings, .world = world};
    struct result result = {0};
    const char *text;

    if (!world)
        abort();
    world_init(world, &options);
    run.check = check_new(world);
    memo_gullible(settings->fault == FAULT_GULLIBLE);
    world->invent_percent = settings->fault == FAULT_GULLIBLE ? 50 : world->invent_percent;
    world->coward = settings->fault == FAULT_COWARD;
    world->greedy = settings->fault == FAULT_GREEDY;
    run.forks = (settings->fault >= FAULT_MUTE_PROOF && settings->fault <= FAULT_NO_CURE) ||
                (settings->fault == FAULT_NONE && seed * UINT64_C(0xd1342543de82ef95) >> 62 == 0);
    run.members = run_members_due(&run);
    run.forks = run.forks && !run.members; /* whose catalogue would be the one that forks */
    world_build(&run);
    chaos(&run);
    run_lasting(&run);
    heal(&run, &result);
    result.invariant = check_violation(run.check, &text);
    snprintf(result.text, sizeof(result.text), "%s", text);
    result.trace_hash = world->trace_hash;
    result.events = world->events;
    result.frames = world->frames;
    result.packed_frames = world->packed_frames;
    result.bytes = world->bytes;
    result.virtual_ms = world->now_ms;
    if (result.invariant && print)
        world_trace_print(world);
    for (uint32_t i = 0; i < WORLD_NODES_MAX; i++)
        kv_mem_free(run.copies[i]);
    check_free(run.check);
    world_done(world);
    free(world);
    return result;
}
