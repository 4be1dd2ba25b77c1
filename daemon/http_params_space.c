/* SPDX-License-Identifier: EUPL-1.2 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/http_crs.h"
#include "daemon/http_params_internal.h"
#include "protocol/listing_geojson.h"
#include "protocol/listing_shape.h"
#include "protocol/num.h"

/* Exactly count numbers; false if there are others, or anything else. */
static bool read_numbers(struct span text, double *out, size_t count)
{
    struct span part;
    size_t got = 0;

    while (http_params_split(&text, ',', &part)) {
        if (got == count || num_parse_double(part, &out[got]))
            return false;
        got++;
    }
    return got == count;
}

/*
 * Coordinates of another kind, which would find nothing, or nothing near: what
 * they seem to be. NULL when they may be meant.
 */
static const char *near_system(const double numbers[2])
{
    struct listing_shape_range range;

    if (!(fabs(numbers[0]) < 1e9 && fabs(numbers[1]) < 1e9))
        return NULL;
    range.first_min = range.first_max = llround(numbers[0] * 1e7);
    range.second_min = range.second_max = llround(numbers[1] * 1e7);
    return listing_shape_system(&range);
}

static bool read_degrees(struct http_params_reading *reading, const double numbers[2],
                         struct geo_point *ret_place)
{
    struct geo_point place = {.lon_deg = numbers[0], .lat_deg = numbers[1]};
    const char *system = near_system(numbers);

    if (system && geo_point_valid(place)) {
        (void)snprintf(reading->why, sizeof(reading->why),
                       "seems to be %s; longitude comes first: did you mean %.10g,%.10g?", system,
                       numbers[1], numbers[0]);
        return false;
    }
    if (system) {
        (void)snprintf(reading->why, sizeof(reading->why),
                       "must be longitude,latitude in degrees; this seems to be %s", system);
        return false;
    }
    if (!geo_point_valid(place))
        return http_params_fail(reading, "longitude must be -180 to 180, latitude -90 to 90");
    *ret_place = place;
    return true;
}

bool http_params_read_near(struct http_params_reading *reading, struct span value)
{
    struct query *query = &reading->params->query;
    double numbers[2];

    if (!read_numbers(value, numbers, 2))
        return http_params_fail(reading,
                                "must be longitude,latitude in degrees, such as 20.26,63.83");
    query->has_near = read_degrees(reading, numbers, &query->near);
    return query->has_near;
}

bool http_params_read_reaches(struct http_params_reading *reading, struct span value)
{
    struct query *query = &reading->params->query;
    double numbers[3] = {0};

    if (!read_numbers(value, numbers, 3) && !read_numbers(value, numbers, 2))
        return http_params_fail(reading,
                                "must be longitude,latitude in degrees, such as 20.26,63.83, and "
                                "perhaps how many metres from there is near enough");
    if (!(numbers[2] >= 0 && numbers[2] <= REACH_WITHIN_M_MAX))
        return http_params_fail(reading, "the third number must be metres, 0 to 100000");
    query->reach_m = numbers[2];
    query->has_reach = read_degrees(reading, numbers, &query->reach);
    return query->has_reach;
}

bool http_params_read_radius(struct http_params_reading *reading, struct span value)
{
    double radius_m;

    if (num_parse_double(value, &radius_m) || radius_m < 0 || radius_m > GEO_RADIUS_M_MAX)
        return http_params_fail(reading, "must be metres, 0 to 20004000");
    reading->params->query.radius_m = radius_m;
    return true;
}

bool http_params_read_bbox(struct http_params_reading *reading, struct span value)
{
    double *bbox = reading->params->bbox;
    double n[6];

    if (read_numbers(value, n, 6)) {
        if (n[2] > n[5]) /* Likely other numbers than were meant, and in another order. */
            return http_params_fail(reading, "has heights (the third number and the sixth) of "
                                             "which the first is greater than the second");
        n[2] = n[3]; /* Heights are passed over: listings have none. */
        n[3] = n[4];
    } else if (!read_numbers(value, n, 4)) {
        return http_params_fail(reading,
                                "must be west,south,east,north in degrees, or in the order of "
                                "bbox-crs: two corners of two numbers");
    }
    memcpy(bbox, n, sizeof(reading->params->bbox));
    return true;
}

static bool read_system(struct http_params_reading *reading, struct span value,
                        enum geo_crs *ret_crs)
{
    if (http_crs_find(value, ret_crs))
        return true;
    return http_params_fail(reading,
                            "must be http://www.opengis.net/def/crs/OGC/1.3/CRS84, or "
                            "http://www.opengis.net/def/crs/EPSG/0/ with 4326, 3006, 25833 or 3857 "
                            "behind it");
}

bool http_params_read_bbox_crs(struct http_params_reading *reading, struct span value)
{
    return read_system(reading, value, &reading->params->bbox_crs);
}

bool http_params_read_crs(struct http_params_reading *reading, struct span value)
{
    return read_system(reading, value, &reading->params->crs);
}

/*
 * What bbox means is known when bbox-crs is. Who names no system may have taken
 * another by mistake and is told; who names one may ask beside the earth.
 */
enum torg_err http_params_finish_bbox(struct http_params *params, struct problems *problems)
{
    struct query *query = &params->query;
    const double *n = params->bbox;
    enum torg_err err;

    query->has_box = true;
    if (params->given & HTTP_PARAM_BIT(BBOX_CRS)) {
        err = http_crs_box(params->bbox_crs, n, &query->box);
        if (err == TORG_E_INVALID)
            problems_add(problems, "bbox",
                         "must be two corners in the order of axes of bbox-crs, "
                         "the smaller numbers first");
        return err == TORG_E_INVALID ? TORG_OK : err;
    }
    query->box =
        (struct geo_box){.west_deg = n[0], .south_deg = n[1], .east_deg = n[2], .north_deg = n[3]};
    if (!geo_box_valid(&query->box))
        problems_add(problems, "bbox",
                     "must be west,south,east,north in degrees: longitudes -180 to 180, "
                     "latitudes -90 to 90, south not above north; bbox-crs names another system");
    return TORG_OK;
}

/* A geometry, as GeoJSON or as well-known text, by its first character. */
static enum torg_err read_shape(struct span value, struct shape *shape, struct shape_fault *fault)
{
    char message[160];
    json_t *json;
    enum torg_err err;

    if (value.data[0] != '{')
        return shape_read_wkt(shape, value, fault);
    err = listing_json_parse(value, &json, message, sizeof(message));
    if (err) {
        (void)snprintf(fault->text, sizeof(fault->text), "is no JSON: %s", message);
        return err;
    }
    err = shape_read_geojson(shape, json, fault);
    json_decref(json);
    return err;
}

/* As for near: it would find nothing, and nobody would know why. */
static bool shape_swapped(const struct shape *shape)
{
    struct listing_shape_range range = {shape->min.lon_e7, shape->max.lon_e7, shape->min.lat_e7,
                                        shape->max.lat_e7};

    return listing_shape_system(&range) != NULL;
}

bool http_params_read_intersects(struct http_params_reading *reading, struct span value)
{
    struct http_params *params = reading->params;
    struct shape_fault fault = {"cannot be read now"}; /* when memory ran out */
    struct shape shape = {0};
    enum torg_err err;

    err = read_shape(value, &shape, &fault);
    if (!err && shape_swapped(&shape)) {
        (void)snprintf(fault.text, sizeof(fault.text),
                       "seems to be latitude before longitude; longitude comes first");
        err = TORG_E_INVALID;
    }
    if (!err)
        err = shape_region_new(&shape, &params->region, &fault);
    shape_done(&shape);
    if (err)
        return http_params_fail(reading, fault.text);
    params->query.region = params->region;
    params->intersects = value;
    return true;
}

bool http_params_read_filter_crs(struct http_params_reading *reading, struct span value)
{
    return read_system(reading, value, &reading->params->filter_crs);
}
