/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/shape.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/listing_shape.h"
#include "protocol/profile.h"

void shape_done(struct shape *shape)
{
    free(shape->positions);
    free(shape->paths);
    *shape = (struct shape){0};
}

/* ---- building ---- */

void shape_begin(struct shape *shape, const struct listing_shape *form)
{
    shape->kind = form->rings ? SHAPE_AREAS : SHAPE_POINTS;
    if (!form->rings && form->positions_min > 1)
        shape->kind = SHAPE_LINES;
    shape->position_count = 0;
    shape->path_count = 0;
}

/* Memory for one more of size bytes, or NULL; *capacity grows by doubling. */
static void *array_grow(void *array, uint32_t count, uint32_t *capacity, size_t size)
{
    uint32_t wanted = *capacity ? 2 * *capacity : 16;
    void *grown;

    if (count < *capacity)
        return array;
    grown = realloc(array, wanted * size);
    if (grown)
        *capacity = wanted;
    return grown;
}

enum torg_err shape_add(struct shape *shape, struct position position)
{
    struct position *positions = array_grow(shape->positions, shape->position_count,
                                            &shape->position_capacity, sizeof(*shape->positions));

    if (!positions)
        return TORG_E_NOMEM;
    shape->positions = positions;
    if (shape->position_count == 0)
        shape->min = shape->max = position;
    if (position.lon_e7 < shape->min.lon_e7)
        shape->min.lon_e7 = position.lon_e7;
    if (position.lat_e7 < shape->min.lat_e7)
        shape->min.lat_e7 = position.lat_e7;
    if (position.lon_e7 > shape->max.lon_e7)
        shape->max.lon_e7 = position.lon_e7;
    if (position.lat_e7 > shape->max.lat_e7)
        shape->max.lat_e7 = position.lat_e7;
    shape->positions[shape->position_count++] = position;
    return TORG_OK;
}

enum torg_err shape_path_begin(struct shape *shape, bool hole)
{
    struct shape_path *paths =
        array_grow(shape->paths, shape->path_count, &shape->path_capacity, sizeof(*shape->paths));

    if (!paths)
        return TORG_E_NOMEM;
    shape->paths = paths;
    shape->paths[shape->path_count++] =
        (struct shape_path){.first = shape->position_count, .hole = hole};
    return TORG_OK;
}

static bool position_equal(struct position a, struct position b)
{
    return a.lon_e7 == b.lon_e7 && a.lat_e7 == b.lat_e7;
}

/* The path has all its positions: close a ring, and give it the least that its kind has. */
enum torg_err shape_path_end(struct shape *shape)
{
    struct shape_path *path = &shape->paths[shape->path_count - 1];
    uint32_t least = shape->kind == SHAPE_AREAS ? 4 : shape->kind == SHAPE_LINES ? 2 : 1;
    struct position first;
    enum torg_err err = TORG_OK;

    path->count = shape->position_count - path->first;
    if (path->count == 0)
        return TORG_E_INVALID;
    first = shape->positions[path->first];
    if (shape->kind == SHAPE_AREAS &&
        !position_equal(first, shape->positions[shape->position_count - 1])) {
        err = shape_add(shape, first);
        path->count++;
    }
    while (!err && path->count < least) {
        err = shape_add(shape, first);
        path->count++;
    }
    return err;
}

/* ---- from a listing ---- */

struct shape_in {
    struct shape *shape;
    struct profile_reader in;
    uint32_t positions; /* read; a shape may have more, where rings were closed */
};

/*
 * Most coordinates take four bytes and a sign: five times faster than the
 * reader's own way, and as strict. False, and nothing read, for all others.
 */
static bool read_wide(struct reader *in, int64_t *ret_lon, int64_t *ret_lat)
{
    const uint8_t *at = in->at;
    int64_t values[2];

    if (in->err || reader_left(in) < 11 || at[0] != 0x92)
        return false;
    for (unsigned i = 0; i < 2; i++) {
        uint32_t bits = get_u32be(at + 2 + 5 * i);

        values[i] = at[1 + 5 * i] == 0xce ? (int64_t)bits : (int32_t)bits;
        if (at[1 + 5 * i] == 0xce ? values[i] <= UINT16_MAX
                                  : at[1 + 5 * i] != 0xd2 || values[i] >= INT16_MIN)
            return false;
    }
    in->at += 11;
    *ret_lon = values[0];
    *ret_lat = values[1];
    return true;
}

static enum torg_err read_position(struct shape_in *from)
{
    int64_t lon, lat;

    if (!read_wide(&from->in.in, &lon, &lat)) {
        profile_array_of(&from->in, 2);
        lon = profile_int(&from->in);
        lat = profile_int(&from->in);
    }
    if (from->in.in.err || lon < -LISTING_LON_E7_MAX || lon > LISTING_LON_E7_MAX ||
        lat < -LISTING_LAT_E7_MAX || lat > LISTING_LAT_E7_MAX ||
        from->positions++ == SHAPE_POSITIONS_MAX)
        return TORG_E_INVALID;
    return shape_add(from->shape,
                     (struct position){.lon_e7 = (int32_t)lon, .lat_e7 = (int32_t)lat});
}

static enum torg_err read_path(struct shape_in *from, bool hole)
{
    uint32_t count = profile_array(&from->in);
    enum torg_err err = count ? shape_path_begin(from->shape, hole) : TORG_E_INVALID;

    for (uint32_t i = 0; i < count && !err; i++)
        err = read_position(from);
    return err ? err : shape_path_end(from->shape);
}

/* depth is 1 to 3: recursion is bounded by the table of shapes. */
static enum torg_err read_level(struct shape_in *from, unsigned depth, bool hole)
{
    uint32_t count;
    enum torg_err err;

    if (depth == 1)
        return read_path(from, hole);
    count = profile_array(&from->in);
    err = count ? TORG_OK : TORG_E_INVALID;
    for (uint32_t i = 0; i < count && !err; i++)
        err = read_level(from, depth - 1, from->shape->kind == SHAPE_AREAS && depth == 2 && i > 0);
    return err;
}

static enum torg_err read_point(struct shape_in *from)
{
    enum torg_err err = shape_path_begin(from->shape, false);

    if (!err)
        err = read_position(from);
    return err ? err : shape_path_end(from->shape);
}

enum torg_err shape_read(struct shape *shape, struct span geometry)
{
    struct shape_in from = {.shape = shape, .in = profile_reader_of(geometry)};
    const struct listing_shape *form;
    enum torg_err err;

    profile_array_of(&from.in, 2);
    form = listing_shape_find(profile_str(&from.in, 32));
    if (from.in.in.err || !form)
        return TORG_E_INVALID;
    shape_begin(shape, form);
    err = form->depth ? read_level(&from, form->depth, false) : read_point(&from);
    if (err)
        return err;
    return profile_end(&from.in) ? TORG_E_INVALID : TORG_OK;
}

/* ---- the inside ---- */

/*
 * Crossings of a ring with the ray from the point eastwards. Near the border
 * rounding may decide: the distance is 0 on either side of it.
 */
static bool ring_odd(const struct position *ring, uint32_t count, double x, double y)
{
    bool odd = false;

    for (uint32_t i = 0; i + 1 < count; i++) {
        double ax = ring[i].lon_e7, ay = ring[i].lat_e7;
        double bx = ring[i + 1].lon_e7, by = ring[i + 1].lat_e7;

        if ((ay > y) != (by > y) && ((x - ax) * (by - ay) < (bx - ax) * (y - ay)) == (by > ay))
            odd = !odd;
    }
    return odd;
}

bool shape_holds(const struct shape *shape, struct geo_point point)
{
    double x = point.lon_deg * 1e7, y = point.lat_deg * 1e7;
    bool inside = false;

    if (shape->kind != SHAPE_AREAS || x < shape->min.lon_e7 || x > shape->max.lon_e7 ||
        y < shape->min.lat_e7 || y > shape->max.lat_e7)
        return false;
    for (uint32_t i = 0; i < shape->path_count; i++) {
        const struct shape_path *path = &shape->paths[i];

        if (!path->hole && inside)
            return true;
        if (path->hole && !inside)
            continue;
        if (ring_odd(shape->positions + path->first, path->count, x, y))
            inside = !path->hole;
    }
    return inside;
}
