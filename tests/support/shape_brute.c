/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/shape_brute.h"

#define TURN_E7 INT64_C(3600000000)

__extension__ typedef __int128 int128;

struct place {
    int64_t x, y;
};

static struct place place_of(struct position position, int64_t turn_e7)
{
    return (struct place){.x = position.lon_e7 + turn_e7, .y = position.lat_e7};
}

static int turn_of(struct place a, struct place b, struct place c)
{
    int128 left = (int128)(b.x - a.x) * (c.y - a.y), right = (int128)(b.y - a.y) * (c.x - a.x);

    return (left > right) - (left < right);
}

static bool between(int64_t a, int64_t x, int64_t b)
{
    return (a <= x && x <= b) || (b <= x && x <= a);
}

static bool on_edge(struct place p, struct place a, struct place b)
{
    return turn_of(a, b, p) == 0 && between(a.x, p.x, b.x) && between(a.y, p.y, b.y);
}

static bool edges_meet(struct place a, struct place b, struct place c, struct place d)
{
    if (on_edge(a, c, d) || on_edge(b, c, d) || on_edge(c, a, b) || on_edge(d, a, b))
        return true;
    return turn_of(a, b, c) * turn_of(a, b, d) < 0 && turn_of(c, d, a) * turn_of(c, d, b) < 0;
}

/* 1 inside, 0 on the border, -1 outside */
static int ring_side(const struct position *ring, uint32_t count, struct place p)
{
    bool odd = false;

    for (uint32_t i = 0; i + 1 < count; i++) {
        struct place a = place_of(ring[i], 0), b = place_of(ring[i + 1], 0);

        if (on_edge(p, a, b))
            return 0;
        if ((a.y > p.y) != (b.y > p.y) && turn_of(a, b, p) == (b.y > a.y ? 1 : -1))
            odd = !odd;
    }
    return odd ? 1 : -1;
}

static bool holds(const struct shape *shape, struct place p)
{
    bool inside = false;

    if (shape->kind != SHAPE_AREAS)
        return false;
    for (uint32_t i = 0; i < shape->path_count; i++) {
        const struct shape_path *path = &shape->paths[i];
        int side = ring_side(shape->positions + path->first, path->count, p);

        if (!path->hole && (inside || side == 0))
            return true;
        if (!path->hole)
            inside = side >= 0;
        else if (side > 0)
            inside = false;
    }
    return inside;
}

bool shape_brute_holds(const struct shape *shape, struct position position)
{
    return holds(shape, place_of(position, 0));
}

bool shape_brute_edge(const struct shape *shape, uint32_t *path, uint32_t *i, struct position *a,
                      struct position *b)
{
    uint32_t more = shape->kind == SHAPE_POINTS ? 0 : 1;

    while (*path < shape->path_count) {
        const struct shape_path *p = &shape->paths[*path];

        if (*i + more < p->count) {
            *a = shape->positions[p->first + *i];
            *b = shape->positions[p->first + *i + more];
            ++*i;
            return true;
        }
        ++*path;
        *i = 0;
    }
    return false;
}

static bool any_edges_meet(const struct shape *left, const struct shape *right, int64_t turn_e7)
{
    struct position a, b, c, d;

    for (uint32_t p = 0, i = 0; shape_brute_edge(left, &p, &i, &a, &b);) {
        for (uint32_t q = 0, j = 0; shape_brute_edge(right, &q, &j, &c, &d);) {
            if (edges_meet(place_of(a, turn_e7), place_of(b, turn_e7), place_of(c, 0),
                           place_of(d, 0)))
                return true;
        }
    }
    return false;
}

/* With the left one so much further east. */
static bool touches(const struct shape *left, const struct shape *right, int64_t turn_e7)
{
    /* A point is in an area or not: the rest of a hole that sticks out of it is nothing. */
    if ((left->kind != SHAPE_POINTS || right->kind != SHAPE_AREAS) &&
        any_edges_meet(left, right, turn_e7))
        return true;
    for (uint32_t i = 0; i < left->position_count; i++) {
        if (holds(right, place_of(left->positions[i], turn_e7)))
            return true;
    }
    for (uint32_t i = 0; i < right->position_count; i++) {
        if (holds(left, place_of(right->positions[i], -turn_e7)))
            return true;
    }
    return false;
}

bool shape_brute_touches(const struct shape *left, const struct shape *right)
{
    return touches(left, right, 0) || touches(left, right, TURN_E7) ||
           touches(left, right, -TURN_E7);
}
