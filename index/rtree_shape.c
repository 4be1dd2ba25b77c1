/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_shape.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* So many children that need the least area are also compared by overlap. */
#define CANDIDATES 16
/* Never weigh longitude as nothing, at the poles either. */
#define LON_WEIGHT_MIN 0.02

/* There is no NaN here, for which fmin and fmax would be calls. */
static inline double least(double a, double b)
{
    return a < b ? a : b;
}

static inline double greatest(double a, double b)
{
    return a > b ? a : b;
}

struct box {
    double min[2], max[2]; /* longitude, weighed, and latitude */
};

static double lon_weight(struct position min, struct position max)
{
    double lat_deg = ((double)min.lat_e7 + max.lat_e7) / 2e7;

    return fmax(cos(lat_deg * (M_PI / 180.0)), LON_WEIGHT_MIN);
}

static struct box box_of(struct position min, struct position max, double weight)
{
    return (struct box){
        .min = {min.lon_e7 * weight, min.lat_e7},
        .max = {max.lon_e7 * weight, max.lat_e7},
    };
}

static struct box box_union(const struct box *a, const struct box *b)
{
    struct box box;

    for (int axis = 0; axis < 2; axis++) {
        box.min[axis] = least(a->min[axis], b->min[axis]);
        box.max[axis] = greatest(a->max[axis], b->max[axis]);
    }
    return box;
}

static double box_area(const struct box *box)
{
    return (box->max[0] - box->min[0]) * (box->max[1] - box->min[1]);
}

static double box_margin(const struct box *box)
{
    return (box->max[0] - box->min[0]) + (box->max[1] - box->min[1]);
}

/* Without a branch, which would be guessed wrong too often: one choice asks for a thousand pairs.
 */
static double box_overlap(const struct box *a, const struct box *b)
{
    double width = least(a->max[0], b->max[0]) - greatest(a->min[0], b->min[0]);
    double height = least(a->max[1], b->max[1]) - greatest(a->min[1], b->min[1]);

    return greatest(width, 0) * greatest(height, 0);
}

/* ---- where an entry goes ---- */

/* The boxes of a node's children, side by side: so that one loop has a measure of all. */
struct boxes {
    double min[2][RTREE_INNER_MAX], max[2][RTREE_INNER_MAX];
    unsigned count;
};

/*
 * What taking the entry in would cost a child, in the order in which it
 * counts. The margin decides among boxes without area: many listings stand on
 * one spot or one line.
 */
struct cost {
    double overlap, growth, margin, area;
    unsigned index;
};

static bool cost_less(const struct cost *a, const struct cost *b)
{
    if (a->overlap != b->overlap)
        return a->overlap < b->overlap;
    if (a->growth != b->growth)
        return a->growth < b->growth;
    if (a->margin != b->margin)
        return a->margin < b->margin;
    if (a->area != b->area)
        return a->area < b->area;
    return a->index < b->index;
}

static void boxes_fill(struct boxes *boxes, const struct rtree_node *node, double weight)
{
    boxes->count = node->count;
    for (unsigned i = 0; i < node->count; i++) {
        boxes->min[0][i] = rtree_node_i32(node->min_lon, i) * weight;
        boxes->max[0][i] = rtree_node_i32(node->max_lon, i) * weight;
        boxes->min[1][i] = rtree_node_i32(node->min_lat, i);
        boxes->max[1][i] = rtree_node_i32(node->max_lat, i);
    }
}

static struct box boxes_at(const struct boxes *boxes, unsigned i)
{
    return (struct box){
        .min = {boxes->min[0][i], boxes->min[1][i]},
        .max = {boxes->max[0][i], boxes->max[1][i]},
    };
}

/* How much more the child would overlap its siblings. */
static double overlap_growth(const struct boxes *boxes, unsigned child, const struct box *grown)
{
    struct box own = boxes_at(boxes, child);
    double each[RTREE_INNER_MAX], growth = 0;

    for (unsigned i = 0; i < boxes->count; i++) {
        struct box other = boxes_at(boxes, i);

        each[i] = box_overlap(grown, &other) - box_overlap(&own, &other);
    }
    each[child] = 0;
    for (unsigned i = 0; i < boxes->count; i++)
        growth += each[i];
    return growth;
}

/* What taking the entry in costs each child, without the overlap; returns the cheapest. */
static unsigned costs_fill(const struct boxes *boxes, const struct box *added, struct cost *costs)
{
    double growth[RTREE_INNER_MAX], margin[RTREE_INNER_MAX], area[RTREE_INNER_MAX];
    unsigned best = 0;

    for (unsigned i = 0; i < boxes->count; i++) {
        struct box box = boxes_at(boxes, i), grown = box_union(&box, added);

        area[i] = box_area(&box);
        growth[i] = box_area(&grown) - area[i];
        margin[i] = box_margin(&grown) - box_margin(&box);
    }
    for (unsigned i = 0; i < boxes->count; i++) {
        costs[i] = (struct cost){0, growth[i], margin[i], area[i], i};
        if (cost_less(&costs[i], &costs[best]))
            best = i;
    }
    return best;
}

/* The cheapest of them in order, as many as are compared by overlap; returns how many. */
static unsigned costs_cheapest(const struct cost *costs, unsigned count, struct cost *cheapest)
{
    unsigned taken = 0;

    for (unsigned i = 0; i < count; i++) {
        unsigned at = taken;

        if (taken == CANDIDATES && !cost_less(&costs[i], &cheapest[CANDIDATES - 1]))
            continue;
        if (taken == CANDIDATES)
            at--;
        else
            taken++;
        for (; at > 0 && cost_less(&costs[i], &cheapest[at - 1]); at--)
            cheapest[at] = cheapest[at - 1];
        cheapest[at] = costs[i];
    }
    return taken;
}

/*
 * The least of the children that hold the entry's box already; node->count when there is none.
 * Most entries find one, and no distance has to be weighed for that.
 */
static unsigned choose_holding(const struct rtree_node *node, const struct rtree_entry *entry)
{
    double area[RTREE_INNER_MAX];
    unsigned best = node->count;

    for (unsigned i = 0; i < node->count; i++) {
        struct position min = rtree_node_min(node, i), max = rtree_node_max(node, i);
        int outside = (min.lon_e7 > entry->min.lon_e7) | (min.lat_e7 > entry->min.lat_e7) |
                      (max.lon_e7 < entry->max.lon_e7) | (max.lat_e7 < entry->max.lat_e7);

        area[i] = outside ? INFINITY
                          : ((double)max.lon_e7 - min.lon_e7) * ((double)max.lat_e7 - min.lat_e7);
    }
    for (unsigned i = 0; i < node->count; i++) {
        if (area[i] < (best < node->count ? area[best] : (double)INFINITY))
            best = i;
    }
    return best;
}

unsigned rtree_shape_choose(const struct rtree_node *node, const struct rtree_entry *entry)
{
    struct cost costs[RTREE_INNER_MAX], cheapest[CANDIDATES];
    unsigned best = choose_holding(node, entry), candidates;
    struct boxes boxes;
    struct box added;
    double weight;

    assert(node->level > 0 && node->count > 0 && node->count <= RTREE_INNER_MAX);
    if (best < node->count) /* A child that need not grow is best by every measure. */
        return best;
    weight = lon_weight(entry->min, entry->max);
    added = box_of(entry->min, entry->max, weight);
    boxes_fill(&boxes, node, weight);
    best = costs_fill(&boxes, &added, costs);
    if (node->level > 1) /* Only leaves are worth the rest. */
        return best;
    candidates = costs_cheapest(costs, boxes.count, cheapest);
    best = 0;
    for (unsigned i = 0; i < candidates; i++) {
        struct box own = boxes_at(&boxes, cheapest[i].index), grown = box_union(&own, &added);

        cheapest[i].overlap = overlap_growth(&boxes, cheapest[i].index, &grown);
        if (cost_less(&cheapest[i], &cheapest[best]))
            best = i;
    }
    return cheapest[best].index;
}

/* ---- how a full node is divided ---- */

struct sorting {
    const struct box *boxes;
    const struct rtree_entry *entries;
    int axis;
    bool by_max;
};

/* An entry in an order; its first measure, which decides most comparisons. */
struct sorted {
    double first;
    uint16_t index;
};

/* Ties by the other axis and then by number, so that the same entries split the same way. */
static int sorting_ties(const struct sorting *sorting, unsigned i, unsigned j)
{
    const struct box *a = &sorting->boxes[i], *b = &sorting->boxes[j];
    int axis = sorting->axis, other = 1 - axis;
    const double first[3] = {sorting->by_max ? a->min[axis] : a->max[axis], a->min[other],
                             a->max[other]};
    const double second[3] = {sorting->by_max ? b->min[axis] : b->max[axis], b->min[other],
                              b->max[other]};

    for (int field = 0; field < 3; field++) {
        if (first[field] != second[field])
            return first[field] < second[field] ? -1 : 1;
    }
    return (sorting->entries[i].child > sorting->entries[j].child) -
           (sorting->entries[i].child < sorting->entries[j].child);
}

static int sorting_compare(const void *left, const void *right, void *context)
{
    const struct sorted *a = left, *b = right;

    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    return sorting_ties(context, a->index, b->index);
}

static void sort(const struct sorting *sorting, unsigned count, uint16_t *order)
{
    struct sorted sorted[RTREE_SHAPE_ENTRIES_MAX];

    for (unsigned i = 0; i < count; i++) {
        const struct box *box = &sorting->boxes[i];

        sorted[i] = (struct sorted){
            sorting->by_max ? box->max[sorting->axis] : box->min[sorting->axis], (uint16_t)i};
    }
    qsort_r(sorted, count, sizeof(*sorted), sorting_compare, (void *)(uintptr_t)sorting);
    for (unsigned i = 0; i < count; i++)
        order[i] = sorted[i].index;
}

struct division {
    uint16_t order[RTREE_SHAPE_ENTRIES_MAX];
    unsigned first; /* entries in the first part */
    double overlap, area;
    double margins; /* of all divisions of this order */
};

static_assert(RTREE_SHAPE_ENTRIES_MAX <= 65536, "an entry's index fits its field");

/* The best place to cut one order, and how compact the order's cuts are in all. */
static void divide(const struct sorting *sorting, unsigned count, struct division *ret_division)
{
    struct box before[RTREE_SHAPE_ENTRIES_MAX], after[RTREE_SHAPE_ENTRIES_MAX];
    unsigned least_count = count * 2 / 5;
    bool chosen = false;

    ret_division->margins = 0;
    sort(sorting, count, ret_division->order);
    before[0] = sorting->boxes[ret_division->order[0]];
    for (unsigned i = 1; i < count; i++)
        before[i] = box_union(&before[i - 1], &sorting->boxes[ret_division->order[i]]);
    after[count - 1] = sorting->boxes[ret_division->order[count - 1]];
    for (unsigned i = count - 1; i-- > 0;)
        after[i] = box_union(&after[i + 1], &sorting->boxes[ret_division->order[i]]);
    for (unsigned first = least_count; first <= count - least_count; first++) {
        const struct box *a = &before[first - 1], *b = &after[first];
        double overlap = box_overlap(a, b), area = box_area(a) + box_area(b);

        ret_division->margins += box_margin(a) + box_margin(b);
        if (!chosen || overlap < ret_division->overlap ||
            (overlap == ret_division->overlap && area < ret_division->area)) {
            ret_division->overlap = overlap;
            ret_division->area = area;
            ret_division->first = first;
            chosen = true;
        }
    }
}

static bool division_better(const struct division *a, const struct division *b)
{
    if (a->overlap != b->overlap)
        return a->overlap < b->overlap;
    return a->area < b->area;
}

unsigned rtree_shape_split(struct rtree_entry *entries, unsigned count)
{
    struct rtree_entry sum = rtree_node_sum(entries, count), sorted[RTREE_SHAPE_ENTRIES_MAX];
    double weight = lon_weight(sum.min, sum.max);
    struct box boxes[RTREE_SHAPE_ENTRIES_MAX];
    struct division divisions[2][2]; /* by axis, by least or greatest edge */
    const struct division *best;
    bool points = true;
    int axis;

    assert(count >= 4 && count <= RTREE_SHAPE_ENTRIES_MAX);
    for (unsigned i = 0; i < count; i++) {
        boxes[i] = box_of(entries[i].min, entries[i].max, weight);
        points = points && memcmp(&entries[i].min, &entries[i].max, sizeof(entries[i].min)) == 0;
    }
    for (int i = 0; i < 4; i++) {
        struct sorting sorting = {boxes, entries, i / 2, i % 2 == 1};

        if (points && sorting.by_max) /* The same order again. */
            divisions[i / 2][1] = divisions[i / 2][0];
        else
            divide(&sorting, count, &divisions[i / 2][i % 2]);
    }
    axis = divisions[0][0].margins + divisions[0][1].margins <=
                   divisions[1][0].margins + divisions[1][1].margins
               ? 0
               : 1;
    best = division_better(&divisions[axis][1], &divisions[axis][0]) ? &divisions[axis][1]
                                                                     : &divisions[axis][0];
    for (unsigned i = 0; i < count; i++)
        sorted[i] = entries[best->order[i]];
    memcpy(entries, sorted, count * sizeof(*entries));
    return best->first;
}
