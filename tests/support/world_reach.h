/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_SUPPORT_WORLD_REACH_H
#define TORG_TESTS_SUPPORT_WORLD_REACH_H

#include "index/query.h"

/*
 * What the world's listings serve and where they stop: for the questions that
 * ask who comes to a place. Part of world.h.
 */
#define WORLD_STOPS_MAX 3

struct world_place {
    bool filled; /* the triangle of a, b and (a.lon, b.lat); else the point a */
    struct position a, b;
    int64_t from_ms, through_ms; /* of a stop */
};

struct world_reach {
    bool serves;
    struct world_place served;
    unsigned stop_count;
    struct world_place stops[WORLD_STOPS_MAX];
};

/* The members of the packed body, where their keys stand; nothing when there is none. */
void world_reach_put_itinerary(struct buffer *out, const struct world_reach *reach);
void world_reach_put_serves(struct buffer *out, const struct world_reach *reach);

/* By looking at each place: only the distance to an area is not found anew. */
bool world_reach_matches(const struct world_reach *reach, const struct query *query);

#endif
