/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/listing_shape.h"

#include "protocol/profile.h"

static const struct listing_shape shapes[] = {
    {"Point", 0, 1, false},           {"MultiPoint", 1, 1, false}, {"LineString", 1, 2, false},
    {"MultiLineString", 2, 2, false}, {"Polygon", 2, 4, true},     {"MultiPolygon", 3, 4, true},
};

const struct listing_shape *listing_shape_find(struct span name)
{
    for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
        if (span_equal(name, span_of_str(shapes[i].name)))
            return &shapes[i];
    }
    return NULL;
}

struct box {
    uint32_t positions;
    bool wrong;
    struct position min;
    struct position max;
};

static void box_position(struct profile_reader *in, struct box *box)
{
    int64_t lon, lat;

    profile_array_of(in, 2);
    lon = profile_int(in);
    lat = profile_int(in);
    if (lon < -LISTING_LON_E7_MAX || lon > LISTING_LON_E7_MAX || lat < -LISTING_LAT_E7_MAX ||
        lat > LISTING_LAT_E7_MAX || box->positions == LISTING_POSITIONS_MAX) {
        box->wrong = true;
        return;
    }
    if (box->positions++ == 0)
        box->min = box->max = (struct position){.lon_e7 = (int32_t)lon, .lat_e7 = (int32_t)lat};
    if (lon < box->min.lon_e7)
        box->min.lon_e7 = (int32_t)lon;
    if (lon > box->max.lon_e7)
        box->max.lon_e7 = (int32_t)lon;
    if (lat < box->min.lat_e7)
        box->min.lat_e7 = (int32_t)lat;
    if (lat > box->max.lat_e7)
        box->max.lat_e7 = (int32_t)lat;
}

/* depth is at most 3: recursion is bounded by the table. */
static void box_level(struct profile_reader *in, unsigned depth, struct box *box)
{
    uint32_t count;

    if (depth == 0) {
        box_position(in, box);
        return;
    }
    count = profile_array(in);
    if (count == 0)
        box->wrong = true;
    for (uint32_t i = 0; i < count && !box->wrong && !in->in.err; i++)
        box_level(in, depth - 1, box);
}

enum torg_err listing_shape_box(struct span geometry, struct position *ret_min,
                                struct position *ret_max, bool *ret_is_point)
{
    struct profile_reader in = profile_reader_of(geometry);
    const struct listing_shape *shape;
    struct box box = {0};

    profile_array_of(&in, 2);
    shape = listing_shape_find(profile_str(&in, 32));
    if (in.in.err || !shape)
        return TORG_E_INVALID;
    box_level(&in, shape->depth, &box);
    if (in.in.err || box.wrong || profile_end(&in))
        return TORG_E_INVALID;
    *ret_min = box.min;
    *ret_max = box.max;
    *ret_is_point = shape->depth == 0;
    return TORG_OK;
}

#define UNITS INT64_C(10000000)

/* Is every value of the first within a..b, and of the second within c..d? */
static bool within(const struct listing_shape_range *range, int64_t a, int64_t b, int64_t c,
                   int64_t d)
{
    return range->first_min >= a * UNITS && range->first_max <= b * UNITS &&
           range->second_min >= c * UNITS && range->second_max <= d * UNITS;
}

bool listing_shape_in_degrees(const struct listing_shape_range *range)
{
    return within(range, -180, 180, -90, 90);
}

/*
 * Rectangles of metres around Sweden and its neighbours: first coordinate east,
 * second north. RT 90 stands before Web Mercator, which it overlaps in the far
 * north (Mercator's Scania): old Swedish files are the likelier mistake.
 */
static const struct {
    const char *name;
    int64_t east_min, east_max, north_min, north_max;
} systems[] = {
    {"SWEREF 99 TM (EPSG:3006), in metres", 200000, 1000000, 6050000, 7750000},
    {"SWEREF 99 in a local zone such as 20 15, in metres", 20000, 200000, 6050000, 7750000},
    {"RT 90 2.5 gon V (EPSG:3021), in metres", 1200000, 1900000, 6050000, 7750000},
    {"Web Mercator (EPSG:3857), in metres", 400000, 3600000, 6800000, 11600000},
};

const char *listing_shape_system(const struct listing_shape_range *range)
{
    struct listing_shape_range swapped = {range->second_min, range->second_max, range->first_min,
                                          range->first_max};

    if (listing_shape_in_degrees(range) && !within(range, 54, 72, 4, 32))
        return NULL;
    if (within(range, 54, 72, 4, 32))
        return "latitude before longitude";
    for (size_t i = 0; i < ARRAY_SIZE(systems); i++) {
        if (within(range, systems[i].east_min, systems[i].east_max, systems[i].north_min,
                   systems[i].north_max) ||
            within(&swapped, systems[i].east_min, systems[i].east_max, systems[i].north_min,
                   systems[i].north_max))
            return systems[i].name;
    }
    if (within(range, -20037509, 20037509, -20048967, 20048967) &&
        (range->first_max > 360 * UNITS || range->first_min < -360 * UNITS ||
         range->second_max > 360 * UNITS || range->second_min < -360 * UNITS))
        return "Web Mercator (EPSG:3857) or another system in metres";
    return NULL;
}
