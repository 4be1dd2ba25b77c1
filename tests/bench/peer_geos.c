/* SPDX-License-Identifier: EUPL-1.2 */
#include <geos_c.h>
#include <stdlib.h>

#include "tests/bench/bench.h"

/*
 * GEOS's STRtree through its C interface, the one that is kept stable. It
 * gives what touches a box and one nearest thing, not twenty: these are found
 * by circles that grow. It cannot change: built again after writes.
 */
#define NODE_CAPACITY 10 /* the library's own choice */
#define FIRST_RADIUS_M 1000.0
#define RADIUS_GROWTH 2.0

struct geos {
    const struct bench_world *world;
    GEOSContextHandle_t context;
    GEOSSTRtree *tree;
};

struct geos_take {
    const struct bench_query *query;
    struct bench_answer *answer;
};

static void *geos_open(const struct bench_world *world, const char *directory)
{
    struct geos *geos = calloc(1, sizeof(*geos));

    (void)directory;
    if (!geos)
        bench_die("out of memory");
    geos->world = world;
    geos->context = GEOS_init_r();
    geos->tree = GEOSSTRtree_create_r(geos->context, NODE_CAPACITY);
    if (!geos->tree)
        bench_die("GEOS: no tree");
    return geos;
}

static void geos_never(void *item, void *context)
{
    (void)item;
    (void)context;
}

/* The tree builds itself at the first query; an empty one counts as part of loading. */
static void geos_load(void *tree)
{
    struct geos *geos = tree;
    GEOSGeometry *point;

    for (size_t i = 0; i < geos->world->count; i++) {
        const struct bench_record *record = &geos->world->records[i];

        if (!record->alive)
            continue;
        point = GEOSGeom_createPointFromXY_r(geos->context, record->lon_e7, record->lat_e7);
        if (!point)
            bench_die("GEOS: no point");
        /* It keeps the envelope, and our pointer as it is. */
        GEOSSTRtree_insert_r(geos->context, geos->tree, point, (void *)(uintptr_t)record);
        GEOSGeom_destroy_r(geos->context, point);
    }
    point = GEOSGeom_createPointFromXY_r(geos->context, 0, 0);
    GEOSSTRtree_query_r(geos->context, geos->tree, point, geos_never, NULL);
    GEOSGeom_destroy_r(geos->context, point);
}

static void geos_take(void *item, void *context)
{
    const struct bench_record *record = item;
    const struct geos_take *take = context;

    if (bench_matches(take->query, record))
        bench_take(take->query, record, take->answer);
}

static void run_area(const struct geos *geos, const struct bench_query *query,
                     struct bench_answer *answer)
{
    struct geos_take take = {.query = query, .answer = answer};
    GEOSGeometry *box = GEOSGeom_createRectangle_r(geos->context, query->west_e7, query->south_e7,
                                                   query->east_e7, query->north_e7);

    if (!box)
        bench_die("GEOS: no box");
    GEOSSTRtree_query_r(geos->context, geos->tree, box, geos_take, &take);
    GEOSGeom_destroy_r(geos->context, box);
}

static void geos_run(void *tree, const struct bench_query *query, struct bench_answer *answer)
{
    const struct geos *geos = tree;
    struct bench_query circle;

    if (query->kind != BENCH_NEAR) {
        run_area(geos, query, answer);
        return;
    }
    for (double radius_m = FIRST_RADIUS_M;; radius_m *= RADIUS_GROWTH) {
        circle = bench_query_within(query, radius_m);
        answer->count = 0;
        run_area(geos, &circle, answer);
        if (answer->count < BENCH_NEAREST && circle.radius_m < BENCH_EVERYWHERE_M)
            continue;
        if (bench_answer_nearest(query, geos->world, answer, circle.radius_m))
            return;
    }
}

static void geos_close(void *tree)
{
    struct geos *geos = tree;

    GEOSSTRtree_destroy_r(geos->context, geos->tree);
    GEOS_finish_r(geos->context);
    free(geos);
}

const struct bench_peer peer_geos = {
    .name = "GEOS",
    .open = geos_open,
    .load = geos_load,
    .run = geos_run,
    .close = geos_close,
};
