/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/geo.h"

#include <geodesic.h>
#include <math.h>

#include "index/geo_series.h"

#define WGS84_A_M 6378137.0
#define WGS84_F (1.0 / 298.257223563)
#define WGS84_E2 (WGS84_F * (2.0 - WGS84_F))

/*
 * The radii of curvature of the ellipsoid lie between the meridian's at the
 * equator, a (1 - e^2), and both at the pole, a / sqrt(1 - e^2); rounded
 * outwards.
 */
#define CURVATURE_M_MIN 6335439.327
#define CURVATURE_M_MAX 6399593.626
/*
 * What a geodesic bends at least, with its torsion taken into account, for
 * lengths up to 10,000 km (docs/index.md, "Bounds").
 */
#define CURVATURE_TWISTED_M_MAX (CURVATURE_M_MAX * 1.00001)
/* A chord of at most this spans less than 10,000 km. */
#define CHORD_NEAR_M_MAX 8500000.0
/*
 * Above all rounding, ours (under 1e-7 m) and geod_inverse's (15 nm), with a
 * factor of ten to spare.
 */
#define MARGIN_M 1e-6
/* An arc over 90 degrees comes from an arc sine near 1, which loses half its digits. */
#define MARGIN_FAR_M 1.0
#define RAD_OF_DEG (M_PI / 180.0)
/* Circles up to this are decided by chords: all of them are within CHORD_NEAR_M_MAX. */
#define CIRCLE_NEAR_M_MAX 8000000.0
/* Where the series of geo_series.h are as exact as libm. */
#define SERIES_LAT_RAD_MAX GEO_SERIES_RAD_MAX
#define SERIES_HALF_LON_RAD_MAX GEO_SERIES_SINE_RAD_MAX

static struct geod_geodesic wgs84;

/* Before main, so that no thread ever sees it change (geod_init only computes). */
__attribute__((constructor)) static void wgs84_init(void)
{
    geod_init(&wgs84, WGS84_A_M, WGS84_F);
}

bool geo_point_valid(struct geo_point point)
{
    return point.lon_deg >= -180.0 && point.lon_deg <= 180.0 && point.lat_deg >= -90.0 &&
           point.lat_deg <= 90.0;
}

bool geo_box_valid(const struct geo_box *box)
{
    struct geo_point southwest = {box->west_deg, box->south_deg};
    struct geo_point northeast = {box->east_deg, box->north_deg};

    return geo_point_valid(southwest) && geo_point_valid(northeast) &&
           box->south_deg <= box->north_deg;
}

bool geo_position_valid(struct position position)
{
    return position.lon_e7 >= -GEO_LON_E7_MAX && position.lon_e7 <= GEO_LON_E7_MAX &&
           position.lat_e7 >= -GEO_LAT_E7_MAX && position.lat_e7 <= GEO_LAT_E7_MAX;
}

struct geo_point geo_point_of(struct position position)
{
    /* Divided, not multiplied by 1e-7: so it is the double nearest to the decimal number. */
    return (struct geo_point){.lon_deg = position.lon_e7 / 1e7, .lat_deg = position.lat_e7 / 1e7};
}

double geo_distance_m(struct geo_point centre, struct geo_point point)
{
    double distance_m;

    geod_inverse(&wgs84, centre.lat_deg, centre.lon_deg, point.lat_deg, point.lon_deg, &distance_m,
                 NULL, NULL);
    return distance_m;
}

struct geo_arrival geo_arrival_of(struct geo_point centre, struct geo_point point)
{
    struct geo_arrival arrival;
    double azimuth_deg;

    geod_inverse(&wgs84, centre.lat_deg, centre.lon_deg, point.lat_deg, point.lon_deg,
                 &arrival.distance_m, NULL, &azimuth_deg);
    arrival.east = sin(azimuth_deg * RAD_OF_DEG);
    arrival.north = cos(azimuth_deg * RAD_OF_DEG);
    return arrival;
}

struct geo_radii geo_radii_of(double lat_deg)
{
    double sine = sin(lat_deg * RAD_OF_DEG);
    double w = 1.0 - WGS84_E2 * sine * sine, root = sqrt(w);

    return (struct geo_radii){
        .meridian_m = WGS84_A_M * (1.0 - WGS84_E2) / (w * root),
        .parallel_m = WGS84_A_M * cos(lat_deg * RAD_OF_DEG) / root,
    };
}

/* ---- bounds between points ---- */

static double sine_of(double rad)
{
    return fabs(rad) <= GEO_SERIES_SINE_RAD_MAX ? geo_series_sine(rad) : sin(rad);
}

/* The meridian's radius of curvature at the latitude closest to the equator within reach. */
static double meridian_m_min(const struct geo_centre *centre, double reach_rad)
{
    double lowest = fabs(centre->point.lat_deg) * RAD_OF_DEG - reach_rad;
    double sine, w;

    if (lowest <= 0.0)
        return CURVATURE_M_MIN;
    if (reach_rad <= GEO_SERIES_RAD_MAX)
        sine = fabs(centre->sin_lat) * geo_series_cosine(reach_rad) -
               centre->cos_lat * geo_series_sine(reach_rad);
    else
        sine = sin(lowest);
    w = 1.0 - WGS84_E2 * sine * sine;
    return WGS84_A_M * (1.0 - WGS84_E2) / (w * sqrt(w));
}

struct geo_centre geo_centre_of(struct geo_point point)
{
    struct geo_centre centre = {.point = point};
    double lat = point.lat_deg * RAD_OF_DEG;
    double vertical_m;

    centre.sin_lat = sin(lat);
    centre.cos_lat = cos(lat);
    vertical_m = WGS84_A_M / sqrt(1.0 - WGS84_E2 * centre.sin_lat * centre.sin_lat);
    centre.axis_m = vertical_m * centre.cos_lat;
    centre.plane_m = vertical_m * (1.0 - WGS84_E2) * centre.sin_lat;
    centre.meridian_near_m =
        meridian_m_min(&centre, GEO_NEAR_RAD_MAX * (CURVATURE_M_MAX / CURVATURE_M_MIN));
    return centre;
}

/* From latitude's sine and cosine, and the sine of half the difference in longitude. */
static struct geo_apart apart_of(double sin_lat, double cos_lat, double half_lon_sine)
{
    double vertical_m = WGS84_A_M / sqrt(1.0 - WGS84_E2 * sin_lat * sin_lat);

    return (struct geo_apart){
        .axis_m = vertical_m * cos_lat,
        .plane_m = vertical_m * (1.0 - WGS84_E2) * sin_lat,
        .half_lon_sine = half_lon_sine,
    };
}

static double chord2_m2(const struct geo_centre *centre, struct geo_apart apart)
{
    double out_m = apart.axis_m - centre->axis_m;
    double up_m = apart.plane_m - centre->plane_m;

    return out_m * out_m + up_m * up_m +
           4.0 * apart.axis_m * centre->axis_m * apart.half_lon_sine * apart.half_lon_sine;
}

/* Far apart the chord says little; the angle between the two normals says it within 1 %. */
static double normals_angle(const struct geo_centre *centre, double lat, double lon)
{
    double centre_lon = centre->point.lon_deg * RAD_OF_DEG;
    double ax = centre->cos_lat * cos(centre_lon), ay = centre->cos_lat * sin(centre_lon);
    double bx = cos(lat) * cos(lon), by = cos(lat) * sin(lon);
    double az = centre->sin_lat, bz = sin(lat);
    double x = ay * bz - az * by;
    double y = az * bx - ax * bz;
    double z = ax * by - ay * bx;

    return atan2(sqrt(x * x + y * y + z * z), ax * bx + ay * by + az * bz);
}

/*
 * The same by the series of sines and cosines about the centre, as exact as
 * libm for what is near; false for what is not.
 */
static bool apart_near(const struct geo_centre *centre, struct geo_point point,
                       struct geo_apart *ret_apart)
{
    double lat = (point.lat_deg - centre->point.lat_deg) * RAD_OF_DEG;
    double half_lon = (point.lon_deg - centre->point.lon_deg) * (RAD_OF_DEG / 2);
    double sine, cosine;

    if (!(fabs(lat) <= SERIES_LAT_RAD_MAX && fabs(half_lon) <= SERIES_HALF_LON_RAD_MAX))
        return false;
    sine = geo_series_sine(lat);
    cosine = geo_series_cosine(lat);
    *ret_apart =
        apart_of(centre->sin_lat * cosine + centre->cos_lat * sine,
                 centre->cos_lat * cosine - centre->sin_lat * sine, geo_series_sine(half_lon));
    return true;
}

struct geo_apart geo_apart_of(const struct geo_centre *centre, struct geo_point point)
{
    struct geo_apart apart;
    double lat = point.lat_deg * RAD_OF_DEG;

    if (apart_near(centre, point, &apart))
        return apart;
    return apart_of(sin(lat), cos(lat),
                    sin((point.lon_deg - centre->point.lon_deg) * (RAD_OF_DEG / 2)));
}

/* x + x³/6 <= asin x <= x + x³/6 + x⁵/10 for x up to 0.5, far beyond what is near. */
void geo_chord_bounds(double chord2_lower_m2, double chord2_upper_m2, double *ret_lower_m,
                      double *ret_upper_m)
{
    double lower_x2 = chord2_lower_m2 / (4.0 * CURVATURE_TWISTED_M_MAX * CURVATURE_TWISTED_M_MAX);
    double upper_x2 = chord2_upper_m2 / (4.0 * CURVATURE_M_MIN * CURVATURE_M_MIN);

    *ret_lower_m = fmax(sqrt(chord2_lower_m2) * (1 + lower_x2 / 6) - MARGIN_M, 0.0);
    *ret_upper_m = sqrt(chord2_upper_m2) * (1 + upper_x2 / 6 + upper_x2 * upper_x2 / 10) + MARGIN_M;
}

void geo_distance_bounds(const struct geo_centre *centre, struct geo_point point,
                         double *ret_lower_m, double *ret_upper_m)
{
    double chord2, chord_m, angle;
    struct geo_apart apart;

    if (apart_near(centre, point, &apart)) {
        chord2 = chord2_m2(centre, apart);
        geo_chord_bounds(chord2, chord2, ret_lower_m, ret_upper_m);
        return;
    }
    chord_m = sqrt(chord2_m2(centre, geo_apart_of(centre, point)));
    if (!(chord_m <= CHORD_NEAR_M_MAX)) {
        angle = normals_angle(centre, point.lat_deg * RAD_OF_DEG, point.lon_deg * RAD_OF_DEG);
        *ret_lower_m = fmax(CURVATURE_M_MIN * angle, chord_m) - MARGIN_M;
        *ret_upper_m = CURVATURE_M_MAX * angle + MARGIN_M;
        return;
    }
    *ret_lower_m = 2.0 * CURVATURE_TWISTED_M_MAX * asin(chord_m / (2.0 * CURVATURE_TWISTED_M_MAX));
    *ret_lower_m = fmax(*ret_lower_m - MARGIN_M, 0.0);
    *ret_upper_m = 2.0 * CURVATURE_M_MIN * asin(chord_m / (2.0 * CURVATURE_M_MIN)) + MARGIN_M;
}

/* ---- bounds of boxes ---- */

/* Degrees between two meridians, 0..180. */
static double lon_apart_deg(double a_deg, double b_deg)
{
    double apart = fabs(a_deg - b_deg);

    return apart > 180.0 ? 360.0 - apart : apart;
}

/*
 * The haversine of the angle between two directions is a sum of a part that
 * grows with the difference in latitude and one that grows with that in
 * longitude and the cosine of the latitude: bounded part by part.
 */
static double haversine_angle(double half_lat, double half_lon, double cosines)
{
    double lat_sine = sin(half_lat), lon_sine = sin(half_lon);

    return 2.0 * asin(sqrt(fmin(lat_sine * lat_sine + cosines * lon_sine * lon_sine, 1.0)));
}

/*
 * At most that angle, without trigonometry but for the cosines: sin x is at
 * least x - x³/6, asin x at least x + x³/6. Halves up to 0.2 lose a hundred
 * thousandth.
 */
static double haversine_angle_lower(double half_lat, double half_lon, double cosines)
{
    double lat_sine = half_lat * (1 - half_lat * half_lat / 6);
    double lon_sine = half_lon * (1 - half_lon * half_lon / 6);
    double haversine = lat_sine * lat_sine + cosines * lon_sine * lon_sine;

    return 2.0 * sqrt(haversine) * (1 + haversine / 6);
}

double geo_box_lower_m(const struct geo_centre *centre, struct position min, struct position max)
{
    struct geo_point southwest = geo_point_of(min), northeast = geo_point_of(max);
    double lat_deg = centre->point.lat_deg, lon_deg = centre->point.lon_deg;
    double lat_apart = fmax(fmax(southwest.lat_deg - lat_deg, lat_deg - northeast.lat_deg), 0.0);
    double highest = fmax(fabs(southwest.lat_deg), fabs(northeast.lat_deg));
    double lon_apart = 0.0, cosines, angle, lower_m;

    if (lon_deg < southwest.lon_deg || lon_deg > northeast.lon_deg)
        lon_apart = fmin(lon_apart_deg(lon_deg, southwest.lon_deg),
                         lon_apart_deg(lon_deg, northeast.lon_deg));
    if (lat_apart == 0.0 && lon_apart == 0.0)
        return 0.0;
    cosines = centre->cos_lat * cos(highest * RAD_OF_DEG);
    if (lat_apart < 20.0 && lon_apart < 20.0)
        angle = haversine_angle_lower(lat_apart * (RAD_OF_DEG / 2), lon_apart * (RAD_OF_DEG / 2),
                                      cosines);
    else
        angle =
            haversine_angle(lat_apart * (RAD_OF_DEG / 2), lon_apart * (RAD_OF_DEG / 2), cosines);
    lower_m = angle * (angle <= GEO_NEAR_RAD_MAX ? centre->meridian_near_m : CURVATURE_M_MIN);
    return fmax(lower_m - (angle > 1.5 ? MARGIN_FAR_M : MARGIN_M), 0.0);
}

double geo_box_upper_m(const struct geo_centre *centre, struct position min, struct position max)
{
    struct geo_point southwest = geo_point_of(min), northeast = geo_point_of(max);
    double lat_deg = centre->point.lat_deg, lon_deg = centre->point.lon_deg;
    double lat_apart = fmax(northeast.lat_deg - lat_deg, lat_deg - southwest.lat_deg);
    double opposite_deg = lon_deg > 0.0 ? lon_deg - 180.0 : lon_deg + 180.0;
    double lowest = 0.0, lon_apart = 180.0, angle;

    if (opposite_deg < southwest.lon_deg || opposite_deg > northeast.lon_deg)
        lon_apart = fmax(lon_apart_deg(lon_deg, southwest.lon_deg),
                         lon_apart_deg(lon_deg, northeast.lon_deg));
    if (southwest.lat_deg > 0.0 || northeast.lat_deg < 0.0)
        lowest = fmin(fabs(southwest.lat_deg), fabs(northeast.lat_deg));
    angle = haversine_angle(lat_apart * (RAD_OF_DEG / 2), lon_apart * (RAD_OF_DEG / 2),
                            centre->cos_lat * cos(lowest * RAD_OF_DEG));
    return CURVATURE_M_MAX * angle + (angle > 1.5 ? MARGIN_FAR_M : MARGIN_M);
}

/* ---- windows ---- */

struct geo_window geo_window_all(void)
{
    return (struct geo_window){
        .south_e7 = -GEO_LAT_E7_MAX,
        .north_e7 = GEO_LAT_E7_MAX,
        .west_e7 = {-GEO_LON_E7_MAX, -GEO_LON_E7_MAX},
        .east_e7 = {GEO_LON_E7_MAX, GEO_LON_E7_MAX},
    };
}

/* The smallest unit whose degrees are at least degrees; as geo_point_of counts them. */
static int32_t e7_at_least(double degrees)
{
    int32_t e7 = (int32_t)ceil(degrees * 1e7);

    while (e7 / 1e7 < degrees)
        e7++;
    while ((e7 - 1) / 1e7 >= degrees)
        e7--;
    return e7;
}

static int32_t e7_at_most(double degrees)
{
    return -e7_at_least(-degrees);
}

/* One range, or two over the antimeridian, which is reached from either side by touching it. */
static void window_set_lon(struct geo_window *window, int32_t west_e7, int32_t east_e7, bool over)
{
    window->west_e7[0] = window->west_e7[1] = west_e7;
    window->east_e7[0] = window->east_e7[1] = east_e7;
    if (over) {
        window->east_e7[0] = GEO_LON_E7_MAX;
        window->west_e7[1] = -GEO_LON_E7_MAX;
    } else if (west_e7 == -GEO_LON_E7_MAX && east_e7 < GEO_LON_E7_MAX) {
        window->west_e7[1] = window->east_e7[1] = GEO_LON_E7_MAX;
    } else if (east_e7 == GEO_LON_E7_MAX && west_e7 > -GEO_LON_E7_MAX) {
        window->west_e7[1] = window->east_e7[1] = -GEO_LON_E7_MAX;
    }
}

struct geo_window geo_window_of_box(const struct geo_box *box)
{
    struct geo_window window;

    window.south_e7 = e7_at_least(box->south_deg);
    window.north_e7 = e7_at_most(box->north_deg);
    window_set_lon(&window, e7_at_least(box->west_deg), e7_at_most(box->east_deg),
                   box->west_deg > box->east_deg);
    return window;
}

static int32_t e7_clamped(double degrees, int32_t limit, double away)
{
    return (int32_t)fmax(fmin(degrees * 1e7 + away, limit), -(double)limit);
}

/* At least the arc sine less 3e-11: far below what window_of_circle adds. */
static double arc_sine(double sine)
{
    return sine <= GEO_SERIES_SINE_RAD_MAX ? geo_series_arc_sine(sine) : asin(sine);
}

static struct geo_window window_of_circle(const struct geo_centre *centre, double radius_m)
{
    struct geo_window window = geo_window_all();
    double lat = centre->point.lat_deg * RAD_OF_DEG;
    double angle, sine, lon_deg, west_deg, east_deg;

    if (!(radius_m < CURVATURE_M_MIN)) /* Beyond a radian it is not worth the trouble. */
        return window;
    angle = radius_m / meridian_m_min(centre, radius_m / CURVATURE_M_MIN) * (1 + 1e-12) + 1e-9;
    window.south_e7 = e7_clamped((lat - angle) / RAD_OF_DEG, GEO_LAT_E7_MAX, -2);
    window.north_e7 = e7_clamped((lat + angle) / RAD_OF_DEG, GEO_LAT_E7_MAX, 2);
    sine = sine_of(angle) / centre->cos_lat;
    if (fabs(lat) + angle >= M_PI / 2 || !(sine < 1.0))
        return window;                              /* Over a pole there are all meridians. */
    lon_deg = (arc_sine(sine) + 1e-7) / RAD_OF_DEG; /* It loses digits near 1. */
    west_deg = centre->point.lon_deg - lon_deg;
    east_deg = centre->point.lon_deg + lon_deg;
    if (east_deg - west_deg >= 360.0)
        return window;
    if (west_deg < -180.0)
        west_deg += 360.0;
    if (east_deg > 180.0)
        east_deg -= 360.0;
    window_set_lon(&window, e7_clamped(west_deg, GEO_LON_E7_MAX, -2),
                   e7_clamped(east_deg, GEO_LON_E7_MAX, 2), west_deg > east_deg);
    return window;
}

struct geo_window geo_window_of_circle(struct geo_point point, double radius_m)
{
    struct geo_centre centre = geo_centre_of(point);

    return window_of_circle(&centre, radius_m);
}

bool geo_window_overlaps(const struct geo_window *window, struct position min, struct position max)
{
    return (min.lat_e7 <= window->north_e7) & (max.lat_e7 >= window->south_e7) &
           (((min.lon_e7 <= window->east_e7[0]) & (max.lon_e7 >= window->west_e7[0])) |
            ((min.lon_e7 <= window->east_e7[1]) & (max.lon_e7 >= window->west_e7[1])));
}

bool geo_window_holds(const struct geo_window *window, struct position min, struct position max)
{
    return (min.lat_e7 >= window->south_e7) & (max.lat_e7 <= window->north_e7) &
           (((min.lon_e7 >= window->west_e7[0]) & (max.lon_e7 <= window->east_e7[0])) |
            ((min.lon_e7 >= window->west_e7[1]) & (max.lon_e7 <= window->east_e7[1])));
}

/* ---- circles ---- */

/*
 * The bounds of geo_distance_bounds solved for the chord once, so that a
 * position needs no arc sine: those with shorter chords than the one are in,
 * with longer chords than the other out.
 */
struct geo_circle geo_circle_of(struct geo_point centre, double radius_m)
{
    struct geo_circle circle = {.centre = geo_centre_of(centre), .radius_m = radius_m};
    double inner_m = radius_m - MARGIN_M, outer_m = radius_m + MARGIN_M;

    circle.window = window_of_circle(&circle.centre, radius_m);
    circle.chord2_in_m2 = -1.0;
    circle.chord2_out_m2 = INFINITY;
    if (radius_m > CIRCLE_NEAR_M_MAX)
        return circle;
    if (inner_m > 0.0)
        circle.chord2_in_m2 =
            pow(2.0 * CURVATURE_M_MIN * sine_of(inner_m / (2.0 * CURVATURE_M_MIN)), 2);
    circle.chord2_out_m2 =
        pow(2.0 * CURVATURE_TWISTED_M_MAX * sine_of(outer_m / (2.0 * CURVATURE_TWISTED_M_MAX)), 2);
    return circle;
}

static enum geo_side circle_side_far(const struct geo_circle *circle, struct position position)
{
    double lower_m, upper_m;

    geo_distance_bounds(&circle->centre, geo_point_of(position), &lower_m, &upper_m);
    if (upper_m <= circle->radius_m)
        return GEO_IN;
    return lower_m > circle->radius_m ? GEO_OUT : GEO_BORDER;
}

/* By the series where they are as exact as libm: what is cut off is below 3e-17. */
enum geo_side geo_circle_side(const struct geo_circle *circle, struct position position)
{
    struct geo_apart apart;
    double chord2;

    if (circle->chord2_out_m2 == INFINITY ||
        !apart_near(&circle->centre, geo_point_of(position), &apart))
        return circle_side_far(circle, position);
    chord2 = chord2_m2(&circle->centre, apart);
    if (chord2 <= circle->chord2_in_m2)
        return GEO_IN;
    return chord2 > circle->chord2_out_m2 ? GEO_OUT : GEO_BORDER;
}
