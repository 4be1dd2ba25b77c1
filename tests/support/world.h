/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_SUPPORT_WORLD_H
#define TORG_TESTS_SUPPORT_WORLD_H

#include "index/query.h"
#include "index/store.h"
#include "tests/support/kv_mem.h"
#include "tests/support/town.h"
#include "tests/support/world_hours.h"
#include "tests/support/world_reach.h"

/*
 * A random world for the catalogue and the queries: three origins that commit
 * listings into one store, with the catalogue as observer; and the same
 * listings as a plain array, over which a query is answered by a loop that is
 * too simple to be wrong. Whatever goes wrong in between ends the program.
 */
#define WORLD_ORIGINS 3
#define WORLD_OWN 0 /* of these, the node's own */
#define WORLD_THEMES_MAX 3

struct world_listing {
    bool live;
    bool shown; /* false: critical schema, moved, or a collection for members */
    uint8_t collection;
    unsigned origin;
    struct listing_id id;
    bool placed;
    bool line;   /* from a to b; else the point a */
    bool filled; /* a line that goes on, over a third corner, round a triangle */
    struct position a, b;
    unsigned theme_count;
    const char *themes[WORLD_THEMES_MAX];
    bool has_from, has_through, has_start, has_end;
    int64_t from_ms, through_ms, start_ms, end_ms; /* whole seconds */
    unsigned name, name_en;                        /* of world_names; 0: no English one */
    const char *municipality;                      /* NULL: none */
    const char *area;
    const char *asker;
    unsigned people;
    int64_t changed_ms;
    unsigned source;   /* 0: none */
    unsigned networks; /* mask of world_network */
    struct world_reach reach;
    unsigned hours;  /* of world_hours.h */
    uint32_t number; /* of its document, once world_number was called; 0: none */
};

/* Regions live on while a few more questions are asked. */
#define WORLD_REGIONS 16
struct world_region {
    struct shape shape;
    struct shape_region *region;
};

/* Networks that listings apply to; they need not exist. */
#define WORLD_NETWORKS 3
struct feature_id world_network(unsigned i);

/* Texts that are asked for: what they find is what text.h says, which test_text.c compares. */
#define WORLD_TEXTS 9

struct world {
    struct kv_mem *mem;
    struct store *store; /* when it is on disk: mem is then NULL */
    struct theme_tree *themes;
    struct town towns[WORLD_ORIGINS];
    uint32_t origin_numbers[WORLD_ORIGINS];
    struct world_listing *listings;
    size_t count, capacity;
    uint64_t random;
    uint64_t random_reach; /* of its own, so that the rest of a seed's world stays as it was */
    int64_t now_ms;
    struct world_region regions[WORLD_REGIONS];
    unsigned region_next;
    struct kv kv;                          /* what world_number was called with */
    struct text_query *texts[WORLD_TEXTS]; /* of the questions' texts, for it */
    bool regular; /* nothing is shown at other times than its tree entry says */
    bool known;   /* no theme of which the taxonomy knows nothing that holds it */
};

/* A name, and how it must be found. */
struct world_name {
    const char *text;
    const char *folded;
};
extern const struct world_name world_names[];
extern const size_t world_name_count;

void world_init(struct world *world, uint64_t seed);
/* The same listings in a store on disk. directory: empty. */
void world_init_on_disk(struct world *world, uint64_t seed, const char *directory);
void world_read_begin(const struct world *world, struct kv *ret_kv);
void world_read_end(const struct world *world, struct kv *kv);
/* The regions of its questions; part of world_done. A copy of a world begins with none. */
void world_regions_done(struct world *world);
void world_done(struct world *world);
/* That many random upserts (some of listings that are there) and deletes, in one transaction. */
void world_change(struct world *world, size_t upserts, size_t deletes);
/* Note each listing's document number; the number of documents. Texts are asked of kv from now on.
 */
size_t world_number(struct world *world, const struct kv *kv);

/* A random question, its page included; borrows from world and from static texts. */
struct query world_query(struct world *world);
/* Forget what texts found: before kv ends or the world is copied. Part of world_done. */
void world_texts_done(struct world *world);
bool world_matches(const struct world *world, const struct query *query,
                   const struct world_listing *listing);
/*
 * What decides the order: the distance that the query must find, or with a
 * text alone TEXT_RANK_MAX less the rank; -1 else.
 */
double world_key(const struct world *world, const struct query *query,
                 const struct world_listing *listing);
/* The distance that the query must find; -1 without near. */
double world_distance(const struct query *query, const struct world_listing *listing);
/* All that matches, in order; the page is ignored. Owned by the caller. */
size_t world_answer(const struct world *world, const struct query *query,
                    struct rtree_hit **ret_hits);
bool world_theme_holds(const char *theme, const char *slug);
/* Does the taxonomy know nothing that holds it? Then it counts as THEME_OTHER, but is not. */
bool world_strays(const char *slug);

/* The packed payload of a listing. */
void world_payload(const struct world_listing *listing, uint64_t nonce, struct buffer *out);

#endif
