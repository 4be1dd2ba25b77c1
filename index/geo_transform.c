/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/geo_transform.h"

#include <assert.h>
#include <math.h>
#include <proj.h>
#include <stdlib.h>

/*
 * Written out instead of looked up in proj.db: the same to the bit for these
 * (PITFALLS, PROJ 1), quick to create, and nothing to install. RT 90 is
 * Lantmateriet's direct projection from GRS 80.
 */
struct crs {
    const char *projection; /* NULL: degrees already */
    bool north_first;
    double first_min, first_max, second_min, second_max; /* before, in the system's axis order */
    struct geo_box area;                                 /* after */
    struct geo_box sound;                                /* where the projection can be trusted */
    double reach[4]; /* the same before: least x and y, greatest x and y; east before north */
};

/* 45 degrees from the central meridian, where the transverse Mercator is good to a millimetre. */
#define UTM_33_SOUND                                                                               \
    {                                                                                              \
        -30, -84, 60, 84                                                                           \
    }
#define UTM_33_REACH                                                                               \
    {                                                                                              \
        -3500000, -9300000, 4500000, 9300000                                                       \
    }
#define EARTH                                                                                      \
    {                                                                                              \
        -180, -90, 180, 90                                                                         \
    }

static const struct crs systems[] = {
    [GEO_CRS84] = {NULL, false, -180, 180, -90, 90, EARTH, EARTH, EARTH},
    [GEO_EPSG_4326] = {NULL, true, -90, 90, -180, 180, EARTH, EARTH, EARTH},
    [GEO_EPSG_3006] = {"+proj=utm +zone=33 +ellps=GRS80",
                       true,
                       6000000,
                       7800000,
                       100000,
                       1100000,
                       {10.03, 54.96, 24.17, 69.07},
                       UTM_33_SOUND,
                       UTM_33_REACH},
    [GEO_EPSG_25833] = {"+proj=utm +zone=33 +ellps=GRS80",
                        false,
                        -500000,
                        1500000,
                        5000000,
                        9500000,
                        {3, 46, 33, 85},
                        UTM_33_SOUND,
                        UTM_33_REACH},
    [GEO_EPSG_3857] = {"+proj=webmerc +datum=WGS84",
                       false,
                       -20037508.35,
                       20037508.35,
                       -20048966.11,
                       20048966.11,
                       {-180, -85.06, 180, 85.06},
                       {-180, -85.06, 180, 85.06},
                       {-20037508.34, -20048966.1, 20037508.34, 20048966.1}},
    [GEO_RT90] = {"+proj=tmerc +lat_0=0 +lon_0=15.80628452944444 +k=1.00000561024 "
                  "+x_0=1500064.274 +y_0=-667.711 +ellps=GRS80",
                  true,
                  6000000,
                  7800000,
                  1100000,
                  2000000,
                  {10.03, 54.96, 24.17, 69.07},
                  {10.03, 54.96, 24.17, 69.07},
                  {1100000, 6000000, 2000000, 7800000}},
};

struct geo_transform {
    const struct crs *crs;
    PJ_CONTEXT *context; /* its own: a context belongs to one thread */
    PJ *projection;      /* NULL: degrees */
};

enum torg_err geo_transform_new(enum geo_crs crs, struct geo_transform **ret_transform)
{
    struct geo_transform *transform;

    assert((size_t)crs < ARRAY_SIZE(systems));
    transform = calloc(1, sizeof(*transform));
    if (!transform)
        return TORG_E_NOMEM;
    transform->crs = &systems[crs];
    if (transform->crs->projection) {
        transform->context = proj_context_create();
        if (transform->context) {
            proj_context_set_enable_network(transform->context, 0);
            proj_log_level(transform->context, PJ_LOG_NONE);
            transform->projection = proj_create(transform->context, transform->crs->projection);
        }
        if (!transform->projection) {
            geo_transform_free(transform);
            return TORG_E_INTERNAL;
        }
    }
    *ret_transform = transform;
    return TORG_OK;
}

void geo_transform_free(struct geo_transform *transform)
{
    if (!transform)
        return;
    proj_destroy(transform->projection);
    proj_context_destroy(transform->context);
    free(transform);
}

static bool within(double value, double min, double max)
{
    return value >= min && value <= max; /* Not so for NaN. */
}

static bool area_holds(const struct geo_box *area, struct geo_point point)
{
    return within(point.lon_deg, area->west_deg, area->east_deg) &&
           within(point.lat_deg, area->south_deg, area->north_deg);
}

/* PROJ's error number is sticky, and far away it gives nonsense without one: check both. */
static enum torg_err project(const struct geo_transform *transform, PJ_DIRECTION direction,
                             double in_x, double in_y, double *ret_x, double *ret_y)
{
    PJ_COORD coord = proj_coord(in_x, in_y, 0, 0);

    proj_errno_reset(transform->projection);
    coord = proj_trans(transform->projection, direction, coord);
    if (proj_errno(transform->projection) != 0 || !isfinite(coord.xy.x) || !isfinite(coord.xy.y))
        return TORG_E_INVALID;
    *ret_x = coord.xy.x;
    *ret_y = coord.xy.y;
    return TORG_OK;
}

enum torg_err geo_transform_point(struct geo_transform *transform, double first, double second,
                                  struct geo_point *ret_point)
{
    const struct crs *crs = transform->crs;
    double x = crs->north_first ? second : first, y = crs->north_first ? first : second;
    struct geo_point point = {x, y};
    enum torg_err err;

    if (!within(first, crs->first_min, crs->first_max) ||
        !within(second, crs->second_min, crs->second_max))
        return TORG_E_INVALID;
    if (transform->projection) {
        err = project(transform, PJ_INV, x, y, &x, &y);
        if (err)
            return err;
        point = (struct geo_point){proj_todeg(x), proj_todeg(y)};
    }
    if (!area_holds(&crs->area, point))
        return TORG_E_INVALID;
    *ret_point = point;
    return TORG_OK;
}

static enum torg_err back_within(struct geo_transform *transform, const struct geo_box *area,
                                 struct geo_point point, double *ret_first, double *ret_second)
{
    const struct crs *crs = transform->crs;
    double x = point.lon_deg, y = point.lat_deg;
    enum torg_err err;

    if (!area_holds(area, point))
        return TORG_E_INVALID;
    if (transform->projection) {
        err = project(transform, PJ_FWD, proj_torad(x), proj_torad(y), &x, &y);
        if (err)
            return err;
    }
    *ret_first = crs->north_first ? y : x;
    *ret_second = crs->north_first ? x : y;
    return TORG_OK;
}

enum torg_err geo_transform_back(struct geo_transform *transform, struct geo_point point,
                                 double *ret_first, double *ret_second)
{
    return back_within(transform, &transform->crs->area, point, ret_first, ret_second);
}

enum torg_err geo_transform_back_wide(struct geo_transform *transform, struct geo_point point,
                                      double *ret_first, double *ret_second)
{
    return back_within(transform, &transform->crs->sound, point, ret_first, ret_second);
}

/* ---- boxes ---- */

#define EDGE_STEPS 64
/* More than an edge can bend outwards between two of so many steps, as a part of the box. */
#define EDGE_MARGIN 1e-3

static double clamp(double value, double min, double max)
{
    return value < min ? min : value > max ? max : value;
}

static void grow(struct geo_box *box, double lon_deg, double lat_deg)
{
    box->west_deg = fmin(box->west_deg, lon_deg);
    box->east_deg = fmax(box->east_deg, lon_deg);
    box->south_deg = fmin(box->south_deg, lat_deg);
    box->north_deg = fmax(box->north_deg, lat_deg);
}

static enum torg_err grow_by(const struct geo_transform *transform, double x, double y,
                             struct geo_box *box)
{
    double lon, lat;
    enum torg_err err = project(transform, PJ_INV, x, y, &lon, &lat);

    if (!err)
        grow(box, proj_todeg(lon), proj_todeg(lat));
    return err;
}

/* x and y of min and max, all within the reach. */
static enum torg_err box_of_edges(const struct geo_transform *transform, const double n[4],
                                  struct geo_box *ret_box)
{
    struct geo_box box = {INFINITY, INFINITY, -INFINITY, -INFINITY};
    enum torg_err err = TORG_OK;
    double margin_lon, margin_lat;

    for (int i = 0; i <= EDGE_STEPS && !err; i++) {
        double x = n[0] + (n[2] - n[0]) * i / EDGE_STEPS;
        double y = n[1] + (n[3] - n[1]) * i / EDGE_STEPS;

        err = grow_by(transform, x, n[1], &box);
        if (!err)
            err = grow_by(transform, x, n[3], &box);
        if (!err)
            err = grow_by(transform, n[0], y, &box);
        if (!err)
            err = grow_by(transform, n[2], y, &box);
    }
    if (err)
        return err;
    /* The least that counts is a stored position's 1e-7 degree. */
    margin_lon = (box.east_deg - box.west_deg) * EDGE_MARGIN + 1e-7;
    margin_lat = (box.north_deg - box.south_deg) * EDGE_MARGIN + 1e-7;
    *ret_box = (struct geo_box){
        clamp(box.west_deg - margin_lon, -180, 180), clamp(box.south_deg - margin_lat, -90, 90),
        clamp(box.east_deg + margin_lon, -180, 180), clamp(box.north_deg + margin_lat, -90, 90)};
    return TORG_OK;
}

/* Degrees, or the Mercator square: straight edges stay straight. */
static enum torg_err box_of_corners(const struct geo_transform *transform, const double n[4],
                                    struct geo_box *ret_box)
{
    const double *reach = transform->crs->reach;
    double x[2] = {clamp(n[0], reach[0], reach[2]), clamp(n[2], reach[0], reach[2])};
    double y[2] = {clamp(n[1], reach[1], reach[3]), clamp(n[3], reach[1], reach[3])};

    for (size_t i = 0; i < 2 && transform->projection; i++) {
        enum torg_err err = project(transform, PJ_INV, x[i], y[i], &x[i], &y[i]);

        if (err)
            return err;
        x[i] = clamp(proj_todeg(x[i]), -180, 180);
        y[i] = clamp(proj_todeg(y[i]), -90, 90);
    }
    if (transform->projection) { /* Beyond the square's side there is no side any more. */
        x[0] = n[0] < reach[0] ? -180 : x[0];
        y[0] = n[1] < reach[1] ? -90 : y[0];
        x[1] = n[2] > reach[2] ? 180 : x[1];
        y[1] = n[3] > reach[3] ? 90 : y[1];
    }
    *ret_box = (struct geo_box){x[0], y[0], x[1], y[1]};
    return TORG_OK;
}

enum torg_err geo_transform_box(struct geo_transform *transform, const double box[4],
                                struct geo_box *ret_box)
{
    const struct crs *crs = transform->crs;
    const double *reach = crs->reach;
    bool swap = crs->north_first;
    double n[4] = {box[swap], box[!swap], box[2 + swap], box[2 + !swap]};
    bool round = !transform->projection && n[0] > n[2]; /* over the antimeridian */

    for (size_t i = 0; i < 4; i++) {
        if (!isfinite(n[i]))
            return TORG_E_INVALID;
    }
    if (n[1] > n[3] || (n[0] > n[2] && !round))
        return TORG_E_INVALID;
    if (n[1] > reach[3] || n[3] < reach[1] || (!round && (n[0] > reach[2] || n[2] < reach[0])))
        return TORG_E_NOT_FOUND;
    if (!transform->projection || crs == &systems[GEO_EPSG_3857])
        return box_of_corners(transform, n, ret_box);
    if (n[0] < reach[0] || n[1] < reach[1] || n[2] > reach[2] || n[3] > reach[3]) {
        *ret_box = (struct geo_box)EARTH;
        return TORG_OK;
    }
    return box_of_edges(transform, n, ret_box);
}
