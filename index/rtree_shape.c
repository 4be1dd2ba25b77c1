/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_shape.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* So many children that need the least area are also compared by overlap. */
#define CANDIDATES 16
/* Never weigh longitude as nothing, at the poles either. */
#define LON_WEIGHT_MIN 0.02

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
        box.min[axis] = fmin(a->min[axis], b->min[axis]);
        box.max[axis] = fmax(a->max[axis], b->max[axis]);
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

static double box_overlap(const struct box *a, const struct box *b)
{
    double sides[2];

    for (int axis = 0; axis < 2; axis++) {
        sides[axis] = fmin(a->max[axis], b->max[axis]) - fmax(a->min[axis], b->min[axis]);
        if (sides[axis] <= 0)
            return 0;
    }
    return sides[0] * sides[1];
}

/* ---- where an entry goes ---- */

/*
 * What taking the entry in would cost a child, in the order in which it
 * counts. The margin decides among boxes without area: many listings stand on
 * one spot or one line.
 */
struct cost {
    double overlap, growth, margin, area;
    unsigned index;
};

static int cost_compare(const void *left, const void *right)
{
    const struct cost *a = left, *b = right;

    if (a->overlap != b->overlap)
        return a->overlap < b->overlap ? -1 : 1;
    if (a->growth != b->growth)
        return a->growth < b->growth ? -1 : 1;
    if (a->margin != b->margin)
        return a->margin < b->margin ? -1 : 1;
    if (a->area != b->area)
        return a->area < b->area ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

/* How much more the child would overlap its siblings. */
static double overlap_growth(const struct box *boxes, unsigned count, unsigned child,
                             const struct box *grown)
{
    double growth = 0;

    for (unsigned i = 0; i < count; i++) {
        if (i != child)
            growth += box_overlap(grown, &boxes[i]) - box_overlap(&boxes[child], &boxes[i]);
    }
    return growth;
}

/* What taking the entry in costs each child; returns the cheapest. */
static unsigned costs_fill(const struct box *boxes, unsigned count, const struct box *added,
                           struct cost *costs)
{
    unsigned best = 0;

    for (unsigned i = 0; i < count; i++) {
        struct box grown = box_union(&boxes[i], added);

        costs[i] = (struct cost){
            .growth = box_area(&grown) - box_area(&boxes[i]),
            .margin = box_margin(&grown) - box_margin(&boxes[i]),
            .area = box_area(&boxes[i]),
            .index = i,
        };
        if (cost_compare(&costs[i], &costs[best]) < 0)
            best = i;
    }
    return best;
}

unsigned rtree_shape_choose(const struct rtree_node *node, const struct rtree_entry *entry)
{
    struct box boxes[RTREE_INNER_MAX], added;
    struct cost costs[RTREE_INNER_MAX];
    double weight = lon_weight(entry->min, entry->max);
    unsigned best, candidates, count = node->count;

    assert(node->level > 0 && count > 0 && count <= ARRAY_SIZE(boxes));
    added = box_of(entry->min, entry->max, weight);
    for (unsigned i = 0; i < count; i++)
        boxes[i] = box_of(rtree_node_min(node, i), rtree_node_max(node, i), weight);
    best = costs_fill(boxes, count, &added, costs);
    /* A child that need not grow is best by every measure; only leaves are worth the rest. */
    if (node->level > 1 || (costs[best].growth <= 0 && costs[best].margin <= 0))
        return best;
    qsort(costs, count, sizeof(costs[0]), cost_compare);
    candidates = count < CANDIDATES ? count : CANDIDATES;
    for (unsigned i = 0; i < candidates; i++) {
        struct box grown = box_union(&boxes[costs[i].index], &added);

        costs[i].overlap = overlap_growth(boxes, count, costs[i].index, &grown);
    }
    qsort(costs, candidates, sizeof(costs[0]), cost_compare);
    return costs[0].index;
}

/* ---- how a full node is divided ---- */

struct sorting {
    const struct box *boxes;
    const struct rtree_entry *entries;
    int axis;
    bool by_max;
};

/* Ties by the other axis and then by number, so that the same entries split the same way. */
static int sorting_compare(const void *left, const void *right, void *context)
{
    const struct sorting *sorting = context;
    unsigned i = *(const uint8_t *)left, j = *(const uint8_t *)right;
    const struct box *a = &sorting->boxes[i], *b = &sorting->boxes[j];
    int axis = sorting->axis, other = 1 - axis;
    const double first[4] = {sorting->by_max ? a->max[axis] : a->min[axis],
                             sorting->by_max ? a->min[axis] : a->max[axis], a->min[other],
                             a->max[other]};
    const double second[4] = {sorting->by_max ? b->max[axis] : b->min[axis],
                              sorting->by_max ? b->min[axis] : b->max[axis], b->min[other],
                              b->max[other]};

    for (int field = 0; field < 4; field++) {
        if (first[field] != second[field])
            return first[field] < second[field] ? -1 : 1;
    }
    return (sorting->entries[i].child > sorting->entries[j].child) -
           (sorting->entries[i].child < sorting->entries[j].child);
}

struct division {
    uint8_t order[RTREE_SHAPE_ENTRIES_MAX];
    unsigned first; /* entries in the first part */
    double overlap, area;
    double margins; /* of all divisions of this order */
};

static_assert(RTREE_SHAPE_ENTRIES_MAX <= 256, "an entry's index fits a byte");

/* The best place to cut one order, and how compact the order's cuts are in all. */
static void divide(const struct sorting *sorting, unsigned count, struct division *ret_division)
{
    struct box before[RTREE_SHAPE_ENTRIES_MAX], after[RTREE_SHAPE_ENTRIES_MAX];
    unsigned least = count * 2 / 5;
    bool chosen = false;

    ret_division->margins = 0;
    for (unsigned i = 0; i < count; i++)
        ret_division->order[i] = (uint8_t)i;
    qsort_r(ret_division->order, count, 1, sorting_compare, (void *)(uintptr_t)sorting);
    before[0] = sorting->boxes[ret_division->order[0]];
    for (unsigned i = 1; i < count; i++)
        before[i] = box_union(&before[i - 1], &sorting->boxes[ret_division->order[i]]);
    after[count - 1] = sorting->boxes[ret_division->order[count - 1]];
    for (unsigned i = count - 1; i-- > 0;)
        after[i] = box_union(&after[i + 1], &sorting->boxes[ret_division->order[i]]);
    for (unsigned first = least; first <= count - least; first++) {
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
    int axis;

    assert(count >= 4 && count <= RTREE_SHAPE_ENTRIES_MAX);
    for (unsigned i = 0; i < count; i++)
        boxes[i] = box_of(entries[i].min, entries[i].max, weight);
    for (int i = 0; i < 4; i++) {
        struct sorting sorting = {boxes, entries, i / 2, i % 2 == 1};

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
