/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/world_reach.h"

#include <stdlib.h>

#include "index/shape_distance.h"
#include "protocol/profile.h"

static void put_position(struct buffer *out, struct position position)
{
    pack_array(out, 2);
    pack_int(out, position.lon_e7);
    pack_int(out, position.lat_e7);
}

static struct position third(const struct world_place *place)
{
    return (struct position){.lon_e7 = place->a.lon_e7, .lat_e7 = place->b.lat_e7};
}

static void put_place(struct buffer *out, const struct world_place *place)
{
    pack_array(out, 2);
    pack_str(out, span_of_str(place->filled ? "Polygon" : "Point"));
    if (place->filled) {
        pack_array(out, 1);
        pack_array(out, 4);
    }
    put_position(out, place->a);
    if (!place->filled)
        return;
    put_position(out, place->b);
    put_position(out, third(place));
    put_position(out, place->a);
}

void world_reach_put_itinerary(struct buffer *out, const struct world_reach *reach)
{
    if (reach->stop_count == 0)
        return;
    pack_str(out, span_of_str("itinerary"));
    pack_array(out, reach->stop_count);
    for (unsigned i = 0; i < reach->stop_count; i++) {
        pack_array(out, 3);
        pack_int(out, reach->stops[i].from_ms);
        pack_int(out, reach->stops[i].through_ms);
        put_place(out, &reach->stops[i]);
    }
}

void world_reach_put_serves(struct buffer *out, const struct world_reach *reach)
{
    if (!reach->serves)
        return;
    pack_str(out, span_of_str("serves"));
    put_place(out, &reach->served);
}

static double area_distance_m(struct geo_point from, const struct world_place *place)
{
    struct geo_centre centre = geo_centre_of(from);
    struct shape shape = {0};
    double distance_m;
    uint64_t work = 0;

    shape_begin(&shape, listing_shape_find(span_of_str("Polygon")));
    if (shape_path_begin(&shape, false) || shape_add(&shape, place->a) ||
        shape_add(&shape, place->b) || shape_add(&shape, third(place)) ||
        shape_add(&shape, place->a) || shape_path_end(&shape) ||
        shape_distance(&shape, &centre, &work, &distance_m))
        abort();
    shape_done(&shape);
    return distance_m;
}

static bool is_there(const struct world_place *place, const struct query *query)
{
    double distance_m = place->filled ? area_distance_m(query->reach, place)
                                      : geo_distance_m(query->reach, geo_point_of(place->a));

    return distance_m <= query->reach_m;
}

bool world_reach_matches(const struct world_reach *reach, const struct query *query)
{
    if (reach->serves && is_there(&reach->served, query))
        return true;
    for (unsigned i = 0; i < reach->stop_count; i++) {
        const struct world_place *stop = &reach->stops[i];
        bool in_time = query->has_datetime ? stop->from_ms <= query->through_ms &&
                                                 stop->through_ms >= query->from_ms
                                           : stop->through_ms >= query->now_ms;

        if (in_time && is_there(stop, query))
            return true;
    }
    return false;
}
