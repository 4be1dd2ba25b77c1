/* SPDX-License-Identifier: EUPL-1.2 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "index/geo_short.h"
#include "index/rtree_filter.h"
#include "index/rtree_pending.h"
#include "index/rtree_place.h"
#include "index/rtree_read.h"
#include "protocol/limits.h"

/*
 * Best first (Hjaltason and Samet 1999): one queue over all trees, ordered by
 * the smallest distance that something can have. Nodes, items with a bound
 * and items with their exact distance wait in it together; an item is handed
 * out when it is exact and nothing before it can be nearer, so geodesics are
 * computed only for what comes up. Filters are asked before queueing.
 *
 * Who needs distances that round well (near_rounded) gets those of geo_short_m,
 * which come between two bounds: where these are apart from what was given
 * before and from what waits, the order is as sure as by geodesics, and where
 * they are not, geodesics decide.
 */

/* What waits to go out of a collection's trees. */
struct near_gone {
    uint8_t collection;
    struct rtree_gone gone;
    struct near_gone *next;
};

/*
 * Who wants a few of many need not queue all: as soon as as many candidates
 * are known as are wanted, what is surely farther than all of them is left
 * out. When more are asked for after all, the walk begins anew behind the last
 * that was given, for more at once.
 */
#define WANTED_MAX 4096
#define WANTED_GROWTH 4
/* Polynomials, which cost half a microsecond, are made anew when the reach has shrunk to this. */
#define FIT_AGAIN 0.3

struct rtree_near {
    struct rtree_query query;
    struct rtree_filter filter;
    uint32_t collection_mask;
    struct rtree_places queue;
    bool has_after;
    double after_m;
    uint32_t after_document;
    struct near_gone *gone; /* owned: of collections where anything that matches is to go */
    size_t wanted;          /* in this walk; 0: all */
    size_t given;           /* of these */
    double *nearest;        /* owned: upper bounds of the nearest candidates, greatest first */
    size_t nearest_count;   /* up to wanted */
    double reach_m;         /* of these: what lies beyond is left out */
    bool left_out;          /* something was */
    double fit_m;           /* the reach that fit was made for */
    struct geo_fit fit;
    double fit_m2;        /* the square of a chord that is 1 in fit */
    struct geo_fit plane; /* a rough one, of everywhere */
    struct geo_reach reach;
    struct rtree_hit last; /* given out; distance_m -INFINITY: nothing was */
    bool last_short;       /* its distance is that of geo_short_m */
    struct position last_point;
    enum torg_err err; /* of the walk; it stays */
};

/* A line or an area waits under the bound of its box. */
static enum torg_err near_area_bounds(struct rtree_near *near, struct rtree_place *area,
                                      double *ret_upper_m)
{
    const struct geo_centre *centre = &near->filter.circle.centre;
    struct rtree_item item;
    enum torg_err err;

    err = rtree_item_record(near->filter.kv, area->collection, area->number, &item);
    if (err)
        return err;
    if (item.min.lon_e7 > item.max.lon_e7 || item.min.lat_e7 > item.max.lat_e7)
        return TORG_E_CORRUPT;
    area->kind = RTREE_PLACE_AREA;
    area->distance_m = geo_box_lower_m(centre, item.min, item.max);
    *ret_upper_m = geo_box_upper_m(centre, item.min, item.max);
    return TORG_OK;
}

/* One more candidate is at most this far: is the farthest of those wanted nearer now? */
static void near_know(struct rtree_near *near, double upper_m)
{
    double *heap = near->nearest;
    size_t at;

    if (near->nearest_count < near->wanted) {
        at = near->nearest_count++;
        for (; at > 0 && heap[(at - 1) / 2] < upper_m; at = (at - 1) / 2)
            heap[at] = heap[(at - 1) / 2];
    } else {
        if (upper_m >= heap[0])
            return;
        for (at = 0; 2 * at + 1 < near->nearest_count;) {
            size_t child = 2 * at + 1;

            if (child + 1 < near->nearest_count && heap[child + 1] > heap[child])
                child++;
            if (heap[child] <= upper_m)
                break;
            heap[at] = heap[child];
            at = child;
        }
    }
    heap[at] = upper_m;
    if (near->nearest_count == near->wanted)
        near->reach_m = fmin(near->reach_m, heap[0]);
}

/* Queue an item under its lower bound, unless it is known not to be wanted. */
static enum torg_err near_push_bounded(struct rtree_near *near, const struct rtree_place *item,
                                       double upper_m)
{
    if (near->has_after && upper_m < near->after_m)
        return TORG_OK; /* It was on an earlier page. */
    if (item->distance_m > near->reach_m) {
        near->left_out = true;
        return TORG_OK;
    }
    if (near->wanted > 0 && (!near->has_after || item->distance_m > near->after_m))
        near_know(near, upper_m);
    return rtree_places_push(&near->queue, item);
}

static struct rtree_place place_of_item(uint8_t collection, const struct rtree_node *leaf,
                                        unsigned i)
{
    return (struct rtree_place){
        .number = rtree_node_u32(leaf->document, i),
        .kind = RTREE_PLACE_ITEM,
        .collection = collection,
        .point = rtree_node_point(leaf, i),
    };
}

/* One by one: areas, and what lies where polynomials fail. */
static enum torg_err near_push_items(struct rtree_near *near, uint8_t collection,
                                     const struct rtree_node *leaf, struct rtree_mask chosen)
{
    enum torg_err err = TORG_OK;

    for (unsigned i; !err && rtree_mask_next(&chosen, &i);) {
        struct rtree_place item = place_of_item(collection, leaf, i);
        double upper_m;

        if (rtree_filter_is_shape(&near->filter, leaf, i))
            err = near_area_bounds(near, &item, &upper_m);
        else
            geo_distance_bounds(&near->filter.circle.centre, geo_point_of(item.point),
                                &item.distance_m, &upper_m);
        if (!err)
            err = near_push_bounded(near, &item, upper_m);
    }
    return err;
}

/* Polynomials for a circle that holds all that is within reach; false: there are none. */
static bool near_fit(struct rtree_near *near)
{
    if (near->reach_m == INFINITY)
        return false;
    if (near->reach_m < (near->fit.usable ? FIT_AGAIN : 1) * near->fit_m) {
        struct geo_circle circle = geo_circle_of(near->query.centre, near->reach_m);

        near->fit = geo_fit_of(&circle);
        near->fit_m = near->reach_m;
        near->fit_m2 = circle.chord2_out_m2;
    }
    return near->fit.usable;
}

/*
 * Of more items than are wanted, those with the least squares: no more can be
 * among the nearest. Half the interval again and again; what bisection does not
 * part, and what rounding leaves in doubt, stays.
 */
/* Those of chosen whose square is at most so much. */
static struct rtree_mask near_at_most(const struct rtree_near *near, const float *squares,
                                      unsigned count, float most, struct rtree_mask chosen)
{
    struct rtree_mask below;

    near->filter.kernel->at_most(squares, count, most, &below);
    return rtree_mask_and(below, chosen);
}

static struct rtree_mask near_least(const struct rtree_near *near,
                                    const float squares[RTREE_SQUARES_MAX], unsigned count,
                                    struct rtree_mask chosen)
{
    const struct rtree_kernel *kernel = near->filter.kernel;
    float low = 0.0f, high = 1.0f + near->fit.margin;
    struct rtree_mask below;

    for (int halvings = 0; halvings < 10; halvings++) {
        float middle = (low + high) / 2;
        unsigned found;

        below = near_at_most(near, squares, count, middle, chosen);
        found = kernel->count(&below);
        if (found >= near->wanted)
            high = middle;
        else
            low = middle;
        if (found == near->wanted)
            break;
    }
    return near_at_most(near, squares, count, high + 2.1f * near->fit.margin, chosen);
}

/*
 * The square of the distance in a plane, anywhere: for guesses. Where a longitude is
 * on the other side of the earth it is wrong.
 */
static struct geo_fit near_plane(const struct geo_centre *centre)
{
    return (struct geo_fit){
        .window = geo_window_all(),
        .lat_e7 = (int32_t)round(centre->point.lat_deg * 1e7),
        .lon_e7 = (int32_t)round(centre->point.lon_deg * 1e7),
        .unit = 0x1p-30f,
        .a = {0, 0, 1},
        .b = {(float)(centre->cos_lat * centre->cos_lat)},
    };
}

static float float_of_bits(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* About as many as are wanted of those that seem the nearest, and not fewer. */
static struct rtree_mask near_guess(const struct rtree_near *near, const struct rtree_node *leaf,
                                    struct rtree_mask chosen)
{
    const struct rtree_kernel *kernel = near->filter.kernel;
    float squares[RTREE_SQUARES_MAX];
    uint32_t low = 0, high = 0x42000000; /* 32 in bits, whose order is that of the numbers */
    struct rtree_mask below;

    kernel->leaf_squares(leaf, &near->plane, squares);
    while (high - low > 0x100000) { /* an eighth of a square */
        uint32_t middle = (low + high) / 2;
        unsigned found;

        below = near_at_most(near, squares, leaf->count, float_of_bits(middle), chosen);
        found = kernel->count(&below);
        if (found >= near->wanted)
            high = middle;
        else
            low = middle;
        if (found >= near->wanted && found <= near->wanted + near->wanted / 4)
            break;
    }
    return near_at_most(near, squares, leaf->count, float_of_bits(high), chosen);
}

/*
 * Nothing has bounded the reach yet, at least not within reach of polynomials:
 * the box around as many as are wanted does. Which they are makes no answer
 * wrong, but a box of near ones bounds more. Only points are chosen.
 */
static void near_know_leaf(struct rtree_near *near, const struct rtree_node *leaf,
                           struct rtree_mask chosen)
{
    struct position min = {INT32_MAX, INT32_MAX}, max = {INT32_MIN, INT32_MIN};

    if (near->wanted == 0 || near->has_after || near->filter.kernel->count(&chosen) < near->wanted)
        return;
    chosen = near_guess(near, leaf, chosen);
    for (unsigned i; rtree_mask_next(&chosen, &i);) {
        struct position point = rtree_node_point(leaf, i);

        min.lon_e7 = point.lon_e7 < min.lon_e7 ? point.lon_e7 : min.lon_e7;
        min.lat_e7 = point.lat_e7 < min.lat_e7 ? point.lat_e7 : min.lat_e7;
        max.lon_e7 = point.lon_e7 > max.lon_e7 ? point.lon_e7 : max.lon_e7;
        max.lat_e7 = point.lat_e7 > max.lat_e7 ? point.lat_e7 : max.lat_e7;
    }
    near->reach_m = fmin(near->reach_m, geo_box_upper_m(&near->filter.circle.centre, min, max));
}

/* A whole leaf at once: the squares of all chords, and only what they do not rule out. */
static enum torg_err near_push_fitted(struct rtree_near *near, uint8_t collection,
                                      const struct rtree_node *leaf, struct rtree_mask chosen)
{
    const struct rtree_kernel *kernel = near->filter.kernel;
    const double margin = (double)near->fit.margin;
    float squares[RTREE_SQUARES_MAX];
    struct rtree_mask left;
    enum torg_err err = TORG_OK;

    kernel->leaf_squares(leaf, &near->fit, squares);
    kernel->at_most(squares, leaf->count, near->fit.out, &left);
    left = rtree_mask_and(left, chosen);
    if (!near->has_after && kernel->count(&left) > near->wanted)
        left = near_least(near, squares, leaf->count, left);
    chosen = rtree_mask_without(chosen, left);
    near->left_out |= !rtree_mask_empty(&chosen);
    for (unsigned i; !err && rtree_mask_next(&left, &i);) {
        struct rtree_place item = place_of_item(collection, leaf, i);
        double square = (double)squares[i], upper_m;

        geo_chord_bounds(fmax(square - margin, 0.0) * near->fit_m2,
                         (square + margin) * near->fit_m2, &item.distance_m, &upper_m);
        err = near_push_bounded(near, &item, upper_m);
    }
    return err;
}

/* What the trees hold and the place's walk must not find, or NULL. */
static const struct near_gone *near_gone_of(const struct rtree_near *near,
                                            const struct rtree_place *place)
{
    const struct near_gone *gone = place->pending ? NULL : near->gone;

    while (gone && gone->collection != place->collection)
        gone = gone->next;
    return gone;
}

static enum torg_err near_push_leaf(struct rtree_near *near, const struct rtree_place *place,
                                    const struct rtree_node *leaf)
{
    const struct near_gone *gone = near_gone_of(near, place);
    struct rtree_mask chosen, areas = {{0}};
    enum torg_err err;

    err = rtree_filter_leaf(&near->filter, place->collection, leaf, place->inside, &chosen);
    if (err)
        return err;
    if (gone)
        rtree_gone_narrow(&gone->gone, leaf, &chosen);
    if (near->query.shapes && near->query.shapes->distance) {
        near->filter.kernel->leaf_flags(leaf->through, &areas);
        areas = rtree_mask_and(areas, chosen);
        chosen = rtree_mask_without(chosen, areas);
        err = near_push_items(near, place->collection, leaf, areas);
    }
    if (!err && !near_fit(near))
        near_know_leaf(near, leaf, chosen);
    if (!err && near_fit(near))
        err = near_push_fitted(near, place->collection, leaf, chosen);
    else if (!err)
        err = near_push_items(near, place->collection, leaf, chosen);
    return err;
}

/*
 * The nearest child that holds as many matches as are wanted bounds them all
 * before a single one was seen.
 */
static void near_know_child(struct rtree_near *near, const struct rtree_place *place,
                            const struct rtree_node *node, const struct rtree_children *children,
                            const float lower_m[64])
{
    const struct near_gone *gone = near_gone_of(near, place);
    size_t enough = near->wanted + (gone ? gone->gone.count : 0); /* They may all be below it. */
    unsigned nearest = RTREE_INNER_MAX;
    double upper_m;

    if (near->wanted == 0 || near->has_after)
        return;
    for (uint64_t left = children->may; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);

        if (children->inside[i] == RTREE_INSIDE_ALL && rtree_node_u32(node->items, i) >= enough &&
            (nearest == RTREE_INNER_MAX || lower_m[i] < lower_m[nearest]))
            nearest = i;
    }
    if (nearest == RTREE_INNER_MAX)
        return;
    upper_m = geo_box_upper_m(&near->filter.circle.centre, rtree_node_min(node, nearest),
                              rtree_node_max(node, nearest));
    if (upper_m < near->reach_m)
        near->reach_m = upper_m;
}

static enum torg_err near_push_children(struct rtree_near *near, const struct rtree_place *place,
                                        const struct rtree_node *node)
{
    const struct geo_centre *centre = &near->filter.circle.centre;
    struct rtree_children children;
    float lower_m[64];
    enum torg_err err = TORG_OK;

    rtree_filter_children(&near->filter, node, place->inside, &children);
    near->filter.kernel->inner_reach(node, &near->reach, lower_m);
    near_know_child(near, place, node, &children, lower_m);
    for (uint64_t left = children.may; left && !err; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        struct rtree_place child = {
            .number = rtree_node_u32(node->child, i),
            .kind = RTREE_PLACE_NODE,
            .collection = place->collection,
            .level = (uint8_t)(node->level - 1),
            .inside = children.inside[i],
            .distance_m = (double)lower_m[i],
        };
        struct position min = rtree_node_min(node, i), max = rtree_node_max(node, i);

        if (near->has_after && geo_box_upper_m(centre, min, max) < near->after_m)
            continue; /* All of it was on earlier pages. */
        if (child.distance_m > GEO_REACH_SHARP_M)
            child.distance_m = geo_box_lower_m(centre, min, max);
        if (child.distance_m > near->reach_m)
            near->left_out = true;
        else
            err = rtree_places_push(&near->queue, &child);
    }
    return err;
}

static enum torg_err near_open(struct rtree_near *near, const struct rtree_place *place)
{
    struct rtree_pending pending;
    struct rtree_node node;
    enum torg_err err;

    err = rtree_filter_visit(&near->filter, place->level);
    if (!err && place->pending) {
        err = rtree_pending_get(near->filter.kv, place->collection, &pending);
        return err ? err : near_push_leaf(near, place, &pending.added);
    }
    if (err)
        return err;
    rtree_read_ahead(near->filter.kv, place->collection, place->number, 0,
                     place->level > 0 ? RTREE_INNER_ITEMS_AT : RTREE_LEAF_DOCUMENT_AT);
    err = rtree_read(near->filter.kv, place->collection, place->number, place->level, &node);
    if (err)
        return err;
    return place->level == 0 ? near_push_leaf(near, place, &node)
                             : near_push_children(near, place, &node);
}

static void near_gone_free(struct rtree_near *near)
{
    while (near->gone) {
        struct near_gone *next = near->gone->next;

        free(near->gone);
        near->gone = next;
    }
}

/* Remember what waits to go; what waits to come is asked when its turn comes, as a root is. */
static enum torg_err near_push_pending(struct rtree_near *near, uint8_t collection)
{
    struct rtree_place place = {
        .kind = RTREE_PLACE_NODE, .collection = collection, .pending = true};
    struct rtree_pending pending;
    struct rtree_mask chosen;
    enum torg_err err = rtree_pending_get(near->filter.kv, collection, &pending);

    if (!err)
        err = rtree_pending_match(&near->filter, collection, &pending.gone, &chosen);
    if (!err && !rtree_mask_empty(&chosen)) {
        struct near_gone *gone = malloc(sizeof(*gone));

        if (!gone)
            return TORG_E_NOMEM;
        gone->collection = collection;
        gone->next = near->gone;
        rtree_gone_fill(&gone->gone, &pending.gone, chosen);
        near->gone = gone;
    }
    if (err || pending.added.count == 0)
        return err;
    place.inside = (uint8_t)rtree_filter_inside(&near->filter);
    return rtree_places_push(&near->queue, &place);
}

static enum torg_err near_push_roots(struct rtree_near *near)
{
    enum torg_err err = TORG_OK;

    near_gone_free(near);
    for (unsigned collection = 1; collection < COLLECTIONS_MAX && !err; collection++) {
        struct rtree_place place = {.kind = RTREE_PLACE_NODE, .collection = (uint8_t)collection};
        struct rtree_start start;

        if (!(near->collection_mask >> collection & 1))
            continue;
        err = near_push_pending(near, place.collection);
        if (!err)
            err = rtree_filter_start(&near->filter, place.collection, true, &start);
        if (err || start.height == 0)
            continue;
        place.number = start.root;
        place.level = (uint8_t)(start.height - 1);
        place.inside = start.inside;
        err = rtree_places_push(&near->queue, &place);
    }
    return err;
}

static enum torg_err near_begin(struct rtree_near *near, size_t wanted)
{
    double *nearest = NULL;

    if (wanted > 0) {
        nearest = realloc(near->nearest, wanted * sizeof(*nearest));
        if (!nearest)
            return TORG_E_NOMEM;
        near->nearest = nearest;
    }
    near->wanted = wanted;
    near->nearest_count = near->given = near->queue.count = 0;
    near->reach_m = near->fit_m = INFINITY;
    near->left_out = false;
    return near_push_roots(near);
}

enum torg_err rtree_near_new(const struct kv *kv, uint32_t collection_mask,
                             const struct rtree_query *query, struct rtree_near **ret_near)
{
    struct rtree_near *near;
    enum torg_err err;

    if (!query->has_centre)
        return TORG_E_INVALID;
    near = calloc(1, sizeof(*near));
    if (!near)
        return TORG_E_NOMEM;
    near->query = *query;
    near->collection_mask = collection_mask;
    near->last.distance_m = -INFINITY;
    err = rtree_filter_init(&near->filter, kv, &near->query);
    if (!err) {
        rtree_filter_circle(&near->filter);
        near->reach = geo_reach_of(&near->filter.circle.centre);
        near->plane = near_plane(&near->filter.circle.centre);
    }
    if (!err)
        err = near_begin(near, query->near_hint < WANTED_MAX ? query->near_hint : WANTED_MAX);
    if (err) {
        rtree_near_free(near);
        return err;
    }
    *ret_near = near;
    return TORG_OK;
}

void rtree_near_after(struct rtree_near *near, double distance_m, uint32_t document)
{
    near->has_after = true;
    near->after_m = distance_m;
    near->after_document = document;
}

/* A point whose distance need not be exact; false: it must be, or is too far away. */
static bool near_shorten(const struct rtree_near *near, struct rtree_place *item)
{
    double short_m;

    if (!near->query.near_rounded || item->kind != RTREE_PLACE_ITEM ||
        !geo_short_m(&near->filter.circle.centre, geo_point_of(item->point), &short_m) ||
        !geo_short_rounds(short_m))
        return false;
    item->kind = RTREE_PLACE_SHORT;
    item->distance_m = short_m - GEO_SHORT_ERROR_M;
    return true;
}

/* Do its bounds touch neither what was given, nor where the page begins, nor what waits? */
static bool near_is_apart(const struct rtree_near *near, const struct rtree_place *item)
{
    return item->distance_m > near->last.distance_m &&
           (!near->has_after || item->distance_m > near->after_m) &&
           (near->queue.count == 0 ||
            item->distance_m + 2 * GEO_SHORT_ERROR_M < near->queue.heap[0].distance_m);
}

static enum torg_err near_measure(struct rtree_near *near, struct rtree_place *item)
{
    enum torg_err err = TORG_OK;

    if (item->kind == RTREE_PLACE_AREA)
        err = rtree_filter_shape_m(&near->filter, item->number, &item->distance_m);
    else
        item->distance_m = rtree_filter_distance_m(&near->filter, item->point);
    item->kind = RTREE_PLACE_EXACT;
    return err;
}

/* Bounds are so close that what was the first nearly always stays it. */
static bool near_stays_first(const struct rtree_near *near, const struct rtree_place *item)
{
    return near->queue.count == 0 || rtree_place_before(item, &near->queue.heap[0]);
}

/*
 * An item whose turn has come by its bound: now its distance decides whether it
 * is the first.
 */
static enum torg_err near_resolve(struct rtree_near *near, struct rtree_place *item,
                                  bool *ret_first)
{
    enum torg_err err = TORG_OK;

    *ret_first = true; /* Otherwise something would have come before it. */
    if (item->kind < RTREE_PLACE_SHORT) {
        if (!near_shorten(near, item))
            err = near_measure(near, item);
        *ret_first = near_stays_first(near, item);
    }
    if (!err && *ret_first && item->kind == RTREE_PLACE_SHORT && !near_is_apart(near, item)) {
        err = near_measure(near, item);
        *ret_first = near_stays_first(near, item);
    }
    return err;
}

static bool near_is_after(const struct rtree_near *near, const struct rtree_place *item)
{
    if (!near->has_after || item->distance_m > near->after_m)
        return true;
    return item->distance_m == near->after_m && item->number > near->after_document;
}

/* More than were wanted: again, from behind the last, unless all are in the queue. */
static enum torg_err near_go_on(struct rtree_near *near)
{
    if (!near->left_out) {
        near->wanted = 0;
        near->reach_m = INFINITY;
        return TORG_OK;
    }
    if (near->last_short) /* What was left out may be nearer than its bound. */
        near->last.distance_m = rtree_filter_distance_m(&near->filter, near->last_point);
    near->last_short = false;
    rtree_near_after(near, near->last.distance_m, near->last.document);
    return near_begin(near, near->wanted >= WANTED_MAX ? 0 : near->wanted * WANTED_GROWTH);
}

/* The next item whose distance is known and the least: exact, or apart from all others.
 * TORG_E_NOT_FOUND at the end. */
static enum torg_err near_first(struct rtree_near *near, struct rtree_place *ret_item)
{
    enum torg_err err = TORG_OK;

    while (!err && near->queue.count > 0) {
        struct rtree_place place = rtree_places_pop(&near->queue);
        bool first = false;

        if (place.kind == RTREE_PLACE_NODE) {
            err = near_open(near, &place);
            continue;
        }
        err = near_resolve(near, &place, &first);
        if (!err && !first)
            err = rtree_places_push(&near->queue, &place);
        if (!err && first) {
            *ret_item = place;
            return TORG_OK;
        }
    }
    return err ? err : TORG_E_NOT_FOUND;
}

static void near_give(struct rtree_near *near, const struct rtree_place *item)
{
    near->last = (struct rtree_hit){item->number, item->distance_m};
    near->last_short = item->kind == RTREE_PLACE_SHORT;
    near->last_point = item->point;
    if (near->last_short)
        near->last.distance_m += GEO_SHORT_ERROR_M;
    near->given++;
}

enum torg_err rtree_near_next(struct rtree_near *near, struct rtree_hit *ret_hit)
{
    struct rtree_place item;

    if (!near->err && near->wanted > 0 && near->given == near->wanted)
        near->err = near_go_on(near);
    while (!near->err) {
        near->err = near_first(near, &item);
        if (!near->err && near_is_after(near, &item)) {
            near_give(near, &item);
            *ret_hit = near->last;
            return TORG_OK;
        }
    }
    return near->err;
}

/* Its upper bound, which near_is_apart has compared with all that waited, unless some was left out.
 */
void rtree_near_behind(struct rtree_near *near, struct rtree_hit *hit)
{
    if (near->last_short && near->left_out && near->given >= near->wanted)
        near->last.distance_m = rtree_filter_distance_m(&near->filter, near->last_point);
    else if (near->last_short)
        near->last.distance_m += GEO_SHORT_ERROR_M;
    near->last_short = false;
    *hit = near->last;
}

void rtree_near_work(const struct rtree_near *near, struct rtree_work *ret_work)
{
    *ret_work = near->filter.work;
}

void rtree_near_free(struct rtree_near *near)
{
    if (!near)
        return;
    rtree_filter_done(&near->filter);
    near_gone_free(near);
    rtree_places_done(&near->queue);
    free(near->nearest);
    free(near);
}
