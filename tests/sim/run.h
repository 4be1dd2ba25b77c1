/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_SIM_RUN_H
#define TORG_TESTS_SIM_RUN_H

#include "tests/sim/check.h"

/*
 * One federation under faults. Everything of a run follows from its seed:
 * topology, delays, what is written, what breaks and when. After the faults the
 * world must heal by itself.
 */
#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HEAL_MS_MAX (30 * MINUTE) /* distrust lasts ten minutes, twice that must do */

/* Deliberate faults, each of which some check must find. */
enum fault {
    FAULT_NONE,
    FAULT_LOSE_ROW,      /* a listing vanishes behind the trie's back */
    FAULT_FORGE_PAYLOAD, /* a payload is not what was signed */
    FAULT_FORGE_CHARTER, /* a charter is not what was signed */
    FAULT_RESURRECT,     /* a deleted listing is back */
    FAULT_EARLY_HAVE,    /* a node tells of more than it holds */
    FAULT_ACCEPT_OLD,    /* a store goes back to an older state */
    FAULT_FORGET_COMMIT, /* the last commit before a crash was not durable */
    FAULT_DEAF_WRITER,   /* nothing is ever stored at a node */
    FAULT_MUTE_TRIE,     /* reconcile gets no answers */
    FAULT_UNSTEADY,      /* the second run is not the first */
    FAULT_UNGUARDED,     /* an origin's store goes back and it does not know */
    FAULT_PATIENCE,      /* answers are waited for however slowly they come */
    FAULT_MUTE_PROOF,    /* nobody hears of a fork */
    FAULT_FALSE_DISPUTE, /* an honest origin is called disputed */
    FAULT_NO_CURE,       /* a forked origin opens no new epoch */
    FAULT_GULLIBLE,      /* every signature is believed */
    FAULT_CONVOY,        /* what is sent to one peer waits for what is sent to the others */
    FAULT_HOARD,         /* output has no limit */
    FAULT_BLIND,         /* nodes that stand still do not see what is wrong */
    FAULT_CLOCK_PURGE,   /* a listing goes because a clock says that it is old */
    FAULT_KEEP_ERASED,   /* what was deleted is still in a store */
    FAULT_AMNESIA,       /* who comes back has forgotten all, and is sent all */
    FAULT_FLOOD,         /* copies that nobody needs go on coming */
    FAULT_COWARD,        /* a mere claim stops an origin */
    FAULT_GREEDY,        /* who wants a part of an origin takes all of it */
    FAULT_STRICT,        /* what a later version adds is taken for a mistake */
    FAULT_ANY_VERSION,   /* nodes whose versions do not meet talk all the same */
    FAULT_UNMEASURED,    /* no quota is kept */
    FAULT_LEAKY,         /* whoever is named counts as a member */
};

struct settings {
    uint64_t seed;
    uint64_t seed_count;
    uint32_t nodes_min, nodes_max;
    enum fault fault;
    bool trace;
    bool twice; /* every seed, not only some */
    unsigned jobs;
    const char *kept; /* a file of seeds that once failed */
};

struct result {
    unsigned invariant; /* 0: all held */
    char text[256];
    uint64_t trace_hash;
    uint64_t events, frames, packed_frames, bytes;
    int64_t heal_ms;
    int64_t virtual_ms;
};

struct run {
    const struct settings *settings;
    struct world *world;
    struct check *check;
    uint32_t nodes; /* without the hostile one */
    struct kv_mem *copies[WORLD_NODES_MAX];
    bool faulted;   /* the deliberate fault has been done */
    bool restores;  /* the first origin comes from an old backup in the end */
    bool forks;     /* and in the end a second host signs with its keys */
    bool members;   /* some collections are for members only */
    bool large;     /* some origins have thousands of listings */
    uint32_t apart; /* speaks none of our versions; WORLD_NONE: nobody does */
};

struct result run_seed(const struct settings *settings, uint64_t seed, bool print);

/* ---- for the files that make a run ---- */

/* Do the deliberate fault of these settings, if it is not done yet and can be. */
void run_fault_do(struct run *run);
void run_fault_in_quiet(struct run *run);
/* Run until everybody holds everything, or HEAL_MS_MAX passed: a violation of that invariant. */
void run_settle(struct run *run, unsigned invariant);
/* A second host signs beside the first origin; its neighbours must notice, and be healed. */
void run_fork(struct run *run);
/* Small worlds of their own: a slow peer, one that takes nothing any more, one that takes less. */
void run_stories(struct run *run);
/* Nodes of later versions are among the others; one may speak none of ours: both sides say so. */
void run_versions_mix(struct run *run);
void run_versions_check(struct run *run);
/* Some nodes pack their frames; of each origin only few heads are taken at once. */
void run_limits_choose(struct run *run);
/* Connections that go one by one and come back in another order; disks that stay full. */
void run_lasting(struct run *run);
/* Some nodes at the edges want only some collections; later perhaps others. */
void run_parts_choose(struct run *run);
void run_parts_change(struct run *run, uint32_t node);
/* Some collections are for members: the catalogue, who is one, and that it changes. */
bool run_members_due(const struct run *run);
void run_members_found(struct run *run);
void run_members_choose(struct run *run);
void run_members_change(struct run *run, uint32_t node);
void run_members_confirm(struct run *run);
/* A small world: who was away is sent what differs. */
void run_away(struct run *run);
/* A small world: a reconcile of thousands of listings, under faults. */
void run_bulk(struct run *run);
/* A small world: an origin with two charters of one number. */
void run_rivals(struct run *run);
/* In quiet nobody is sent much twice. */
void run_quiet(struct run *run);
/* In quiet a node's clock goes wrong by years: nothing may come of it. */
void run_clock(struct run *run);

#endif
