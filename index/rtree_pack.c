/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_pack.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* Far enough ahead that a slot is there when its turn comes. */
#define PREFETCH_AHEAD 12
/* Entries that are divided into tiles together. */
#define TILE_RUN 10000
#define TILE_BINS 32

/* Cut count into parts of nearly equal size: how many, and where the i-th begins. */
static size_t parts_of(size_t count, size_t fill, size_t most)
{
    return count <= most ? 1 : (count + fill - 1) / fill;
}

static size_t part_begin(size_t count, size_t parts, size_t i)
{
    return count / parts * i + (i < count % parts ? i : count % parts);
}

/* ---- tiles ---- */

/* What a node takes: at most, as a rule, and, if it is cut off from others, at least: half. */
struct tile_size {
    size_t most, fill, least;
};
static const struct tile_size leaf_size = {RTREE_LEAF_MAX, RTREE_PACK_LEAF, RTREE_LEAF_MAX / 2};
static const struct tile_size inner_size = {RTREE_INNER_MAX, RTREE_PACK_INNER, RTREE_INNER_MAX / 2};

/*
 * Nodes cut straight from a curve overlap where it turns, and span the gaps
 * between villages. So a run of the curve that fits the processor's cache is
 * divided in two across its longer side, where the boxes of the halves, weighed
 * by their leaves, have the least margin, and so on (the cost of Goldsmith and
 * Salmon 1987, in bins as Wald 2007): tiles that do not overlap.
 */
struct tile_point {
    int32_t axis[2]; /* longitude, weighed, and latitude */
    uint32_t slot;
};

struct tile_box {
    int32_t min[2], max[2];
};

/*
 * A box as four numbers of which the least count: west, south, and east and north
 * with all bits turned, which turns their order. So one vector holds it, and
 * taking in a point is a comparison and a choice.
 */
typedef int32_t tile_lanes __attribute__((vector_size(16)));

struct tile_bin {
    size_t count;
    tile_lanes box;
};

/* The nodes of a run, one after the other: where each ends, from the run's beginning. */
struct tiling {
    const struct tile_size *size;
    struct tile_point *points; /* owned */
    size_t count;
    size_t *ends; /* owned */
};

/* For runs of at most so many entries. TORG_E_NOMEM; to be given to tiling_done even then. */
static enum torg_err tiling_init(struct tiling *tiling, const struct tile_size *size, size_t most)
{
    *tiling = (struct tiling){
        .size = size,
        .points = malloc(most * sizeof(*tiling->points)),
        .ends = malloc((most / size->least + 2) * sizeof(*tiling->ends)),
    };
    return tiling->points && tiling->ends ? TORG_OK : TORG_E_NOMEM;
}

static void tiling_done(struct tiling *tiling)
{
    free(tiling->points);
    free(tiling->ends);
}

static const struct tile_box box_none = {{INT32_MAX, INT32_MAX}, {INT32_MIN, INT32_MIN}};

static void box_add(struct tile_box *box, const struct tile_box *more)
{
    for (int axis = 0; axis < 2; axis++) {
        box->min[axis] = more->min[axis] < box->min[axis] ? more->min[axis] : box->min[axis];
        box->max[axis] = more->max[axis] > box->max[axis] ? more->max[axis] : box->max[axis];
    }
}

static double box_cost(const struct tile_box *box, size_t count, const struct tile_size *size)
{
    double margin = (double)box->max[0] - box->min[0] + (double)box->max[1] - box->min[1];

    return margin * (double)((count + size->fill - 1) / size->fill);
}

static struct tile_box points_box(const struct tile_point *points, size_t count)
{
    struct tile_box box = box_none;

    for (size_t i = 0; i < count; i++) {
        for (int axis = 0; axis < 2; axis++) {
            int32_t value = points[i].axis[axis];

            box.min[axis] = value < box.min[axis] ? value : box.min[axis];
            box.max[axis] = value > box.max[axis] ? value : box.max[axis];
        }
    }
    return box;
}

static tile_lanes lanes_least(tile_lanes a, tile_lanes b)
{
    tile_lanes less = a < b;

    return (a & less) | (b & ~less);
}

static struct tile_box lanes_box(tile_lanes lanes)
{
    return (struct tile_box){{lanes[0], lanes[1]}, {~lanes[2], ~lanes[3]}};
}

/* A division: how many come first, and the boxes of both sides. */
struct tile_cut {
    size_t first;
    struct tile_box before, after;
};

/* After which bin it is cheapest to divide; false when no cut leaves enough on both sides. */
static bool bins_cut(const struct tile_bin *bins, size_t count, const struct tile_size *size,
                     unsigned *ret_bin, struct tile_cut *ret_cut)
{
    struct tile_box after[TILE_BINS], before = box_none;
    double best_cost = INFINITY;
    size_t first = 0;

    after[TILE_BINS - 1] = lanes_box(bins[TILE_BINS - 1].box);
    for (unsigned bin = TILE_BINS - 1; bin-- > 0;) {
        struct tile_box box = lanes_box(bins[bin].box);

        after[bin] = after[bin + 1];
        box_add(&after[bin], &box);
    }
    for (unsigned bin = 0; bin + 1 < TILE_BINS; bin++) {
        struct tile_box box = lanes_box(bins[bin].box);
        double cost;

        first += bins[bin].count;
        box_add(&before, &box);
        if (bins[bin].count == 0 || first < size->least || count - first < size->least)
            continue;
        cost = box_cost(&before, first, size) + box_cost(&after[bin + 1], count - first, size);
        if (cost < best_cost) {
            best_cost = cost;
            *ret_bin = bin;
            *ret_cut = (struct tile_cut){first, before, after[bin + 1]};
        }
    }
    return best_cost < INFINITY;
}

/* The bin of a distance from the box's edge: a product's upper half, for it is asked of all. */
static unsigned bin_of(uint32_t distance, uint64_t scale)
{
    return (unsigned)(distance * scale >> 32);
}

/* Those up to a bin first, without a branch. */
static void tile_partition(struct tile_point *points, size_t count, int axis, int32_t min,
                           uint64_t scale, unsigned cut)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        struct tile_point point = points[i];
        uint32_t distance = (uint32_t)point.axis[axis] - (uint32_t)min;

        points[i] = points[kept];
        points[kept] = point;
        kept += bin_of(distance, scale) <= cut;
    }
}

static void bins_fill(const struct tile_point *points, size_t count, int axis, int32_t min,
                      uint64_t scale, struct tile_bin *bins)
{
    for (unsigned bin = 0; bin < TILE_BINS; bin++)
        bins[bin] = (struct tile_bin){.box = {INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX}};
    for (size_t i = 0; i < count; i++) {
        uint32_t distance = (uint32_t)points[i].axis[axis] - (uint32_t)min;
        struct tile_bin *bin = &bins[bin_of(distance, scale)];

        int32_t x = points[i].axis[0], y = points[i].axis[1];

        bin->count++;
        bin->box = lanes_least(bin->box, (tile_lanes){x, y, ~x, ~y});
    }
}

/* Where to divide points that fill a box; reorders them. */
static struct tile_cut tile_cut(struct tile_point *points, size_t count, const struct tile_box *box,
                                const struct tile_size *size)
{
    uint32_t width = (uint32_t)box->max[0] - (uint32_t)box->min[0];
    uint32_t height = (uint32_t)box->max[1] - (uint32_t)box->min[1];
    int axis = width >= height ? 0 : 1;
    uint64_t scale = ((uint64_t)TILE_BINS << 32) / ((uint64_t)(axis == 0 ? width : height) + 1);
    struct tile_bin bins[TILE_BINS];
    struct tile_cut cut;
    unsigned bin = 0;

    bins_fill(points, count, axis, box->min[axis], scale, bins);
    if (bins_cut(bins, count, size, &bin, &cut)) {
        tile_partition(points, count, axis, box->min[axis], scale, bin);
        return cut;
    }
    /* Many in one place: the order of the curve, or of documents, will do. */
    cut.first = count / 2;
    cut.before = points_box(points, cut.first);
    cut.after = points_box(points + cut.first, count - cut.first);
    return cut;
}

static void tile_divide(struct tiling *tiling, size_t begin, size_t end, const struct tile_box *box)
{
    struct tile_cut cut;

    if (end - begin <= tiling->size->most) {
        tiling->ends[tiling->count++] = end;
        return;
    }
    cut = tile_cut(tiling->points + begin, end - begin, box, tiling->size);
    tile_divide(tiling, begin, begin + cut.first, &cut.before);
    tile_divide(tiling, begin + cut.first, end, &cut.after);
}

/* A new order of the run's first points, cut into nodes. */
static void tile_points(struct tiling *tiling, size_t count)
{
    struct tile_point *points = tiling->points;
    int32_t min = INT32_MAX, max = INT32_MIN;
    struct tile_box box;
    double weight;

    for (size_t i = 0; i < count; i++) {
        min = points[i].axis[1] < min ? points[i].axis[1] : min;
        max = points[i].axis[1] > max ? points[i].axis[1] : max;
    }
    weight = fmax(cos(((double)min + max) / 2e7 * (M_PI / 180.0)), 0.02);
    for (size_t i = 0; i < count; i++)
        points[i].axis[0] = (int32_t)(points[i].axis[0] * weight);
    box = points_box(points, count);
    tiling->count = 0;
    tile_divide(tiling, 0, count, &box);
}

/* A new order of a run of items, cut into leaves. */
static void tile_slots(struct tiling *tiling, const struct rtree_slot *slots, uint32_t *order,
                       size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct position point = slots[order[i]].point;

        if (i + PREFETCH_AHEAD < count)
            __builtin_prefetch(&slots[order[i + PREFETCH_AHEAD]]);
        tiling->points[i] = (struct tile_point){{point.lon_e7, point.lat_e7}, order[i]};
    }
    tile_points(tiling, count);
    for (size_t i = 0; i < count; i++)
        order[i] = tiling->points[i].slot;
}

/* ---- leaves ---- */

static void put_u32(uint8_t *column, size_t i, uint32_t value)
{
    value = htole32(value);
    memcpy(column + 4 * i, &value, sizeof(value));
}

static void leaf_fill(uint8_t *bytes, const struct rtree_slot *slots, const uint32_t *order,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct rtree_slot *slot = &slots[order[i]];
        uint16_t theme = htole16(slot->theme);

        put_u32(bytes + RTREE_LEAF_LON_AT, i, (uint32_t)slot->point.lon_e7);
        put_u32(bytes + RTREE_LEAF_LAT_AT, i, (uint32_t)slot->point.lat_e7);
        put_u32(bytes + RTREE_LEAF_DOCUMENT_AT, i, slot->document);
        put_u32(bytes + RTREE_LEAF_FROM_AT, i, slot->from);
        put_u32(bytes + RTREE_LEAF_THROUGH_AT, i, slot->through);
        memcpy(bytes + RTREE_LEAF_THEME_AT + 2 * i, &theme, sizeof(theme));
    }
    rtree_node_count_set(bytes, (unsigned)count);
}

/* What parents say of the leaves, as they come. */
struct sums {
    struct rtree_entry *entries; /* owned until it is handed out */
    size_t count, capacity;
};

static enum torg_err sums_add(struct sums *sums, const struct rtree_entry *entry)
{
    if (sums->count == sums->capacity) {
        size_t capacity = sums->capacity ? 2 * sums->capacity : 64;
        struct rtree_entry *entries = realloc(sums->entries, capacity * sizeof(*entries));

        if (!entries)
            return TORG_E_NOMEM;
        sums->entries = entries;
        sums->capacity = capacity;
    }
    sums->entries[sums->count++] = *entry;
    return TORG_OK;
}

static enum torg_err leaf_write(struct rtree_pages *pages, const struct rtree_slot *slots,
                                const uint32_t *order, size_t count, struct sums *sums)
{
    struct rtree_entry sum;
    struct rtree_node leaf;
    uint32_t number;
    uint8_t *bytes;
    enum torg_err err = TORG_OK;

    if (rtree_pages_full(pages))
        err = rtree_pages_flush(pages);
    if (!err)
        err = rtree_pages_new(pages, 0, false, &number, &bytes);
    if (err)
        return err;
    leaf_fill(bytes, slots, order, count);
    leaf = rtree_node_view(bytes);
    err = rtree_item_sum(pages->kv, pages->collection, &pages->combinations, &leaf, &sum);
    return err ? err : sums_add(sums, &sum);
}

/* Run by run. */
static enum torg_err leaves_write(struct rtree_pages *pages, const struct rtree_slot *slots,
                                  uint32_t *order, size_t count, struct sums *sums)
{
    size_t runs = parts_of(count, TILE_RUN, TILE_RUN), most = count / runs + 1;
    struct tiling tiling;
    enum torg_err err = tiling_init(&tiling, &leaf_size, most);

    for (size_t run = 0; run < runs && !err; run++) {
        size_t begin = part_begin(count, runs, run);
        size_t size = part_begin(count, runs, run + 1) - begin, done = 0;

        tile_slots(&tiling, slots, order + begin, size);
        for (size_t leaf = 0; leaf < tiling.count && !err; leaf++) {
            err = leaf_write(pages, slots, order + begin + done, tiling.ends[leaf] - done, sums);
            done = tiling.ends[leaf];
        }
    }
    tiling_done(&tiling);
    return err;
}

/* ---- counts ---- */

enum torg_err rtree_pack_count_leaf(struct rtree_pages *pages, uint32_t number, uint32_t *counts)
{
    struct rtree_node leaf;
    enum torg_err err;

    err = rtree_pages_view(pages, number, 0, &leaf);
    for (unsigned i = 0; !err && i < leaf.count; i++) {
        uint16_t combination = rtree_node_u16(leaf.theme, i);
        struct rtree_entry entry;

        if (combination < THEME_BITS) {
            counts[combination]++;
        } else if (combination != RTREE_THEME_NONE) {
            err = rtree_item_entry(pages->kv, pages->collection, &pages->combinations, &leaf, i,
                                   &entry);
            for (unsigned word = 0; word < 4 && !err; word++) {
                for (uint64_t left = entry.themes.words[word]; left; left &= left - 1)
                    counts[64 * word + (unsigned)__builtin_ctzll(left)]++;
            }
        }
    }
    return err;
}

enum torg_err rtree_pack_count(struct rtree_pages *pages, uint32_t number, unsigned level)
{
    uint32_t sum[THEME_BITS] = {0}, *counts;
    struct rtree_node node;
    enum torg_err err;

    err = rtree_pages_view(pages, number, level, &node);
    for (unsigned i = 0; !err && i < node.count; i++) {
        uint32_t child = rtree_node_u32(node.child, i);

        err = level == 1 ? rtree_pack_count_leaf(pages, child, sum)
                         : rtree_pages_counts_add(pages, child, sum);
    }
    if (!err)
        err = rtree_pages_counts(pages, number, &counts);
    if (!err)
        memcpy(counts, sum, sizeof(sum));
    return err;
}

/* ---- levels ---- */

/* A run of entries in a new order, cut into nodes; spare has room for it. */
static void tile_entries(struct tiling *tiling, struct rtree_entry *entries, size_t count,
                         struct rtree_entry *spare)
{
    for (size_t i = 0; i < count; i++) {
        const struct rtree_entry *entry = &entries[i];
        int32_t lon = (int32_t)(((int64_t)entry->min.lon_e7 + entry->max.lon_e7) / 2);
        int32_t lat = (int32_t)(((int64_t)entry->min.lat_e7 + entry->max.lat_e7) / 2);

        tiling->points[i] = (struct tile_point){{lon, lat}, (uint32_t)i};
        spare[i] = *entry;
    }
    tile_points(tiling, count);
    for (size_t i = 0; i < count; i++)
        entries[i] = spare[tiling->points[i].slot];
}

static enum torg_err inner_write(struct rtree_pages *pages, unsigned level, bool counted,
                                 const struct rtree_entry *entries, size_t count,
                                 struct rtree_entry *ret_sum)
{
    uint32_t number;
    uint8_t *bytes;
    enum torg_err err = rtree_pages_new(pages, level, counted, &number, &bytes);

    if (err)
        return err;
    for (size_t i = 0; i < count; i++)
        rtree_node_append(bytes, &entries[i]);
    if (counted)
        err = rtree_pack_count(pages, number, level);
    if (err)
        return err;
    *ret_sum = rtree_node_sum(entries, (unsigned)count);
    ret_sum->child = number;
    return TORG_OK;
}

enum torg_err rtree_pack_level(struct rtree_pages *pages, unsigned level, bool counted,
                               struct rtree_entry *entries, size_t *count)
{
    size_t runs = parts_of(*count, TILE_RUN, TILE_RUN), most = *count / runs + 1, nodes = 0;
    struct rtree_entry *spare = malloc(most * sizeof(*spare));
    struct tiling tiling;
    enum torg_err err = tiling_init(&tiling, &inner_size, most);

    if (!spare)
        err = TORG_E_NOMEM;
    for (size_t run = 0; run < runs && !err; run++) {
        size_t begin = part_begin(*count, runs, run), done = 0;

        tile_entries(&tiling, entries + begin, part_begin(*count, runs, run + 1) - begin, spare);
        for (size_t node = 0; node < tiling.count && !err; node++) {
            struct rtree_entry sum;

            err = inner_write(pages, level, counted, entries + begin + done,
                              tiling.ends[node] - done, &sum);
            done = tiling.ends[node];
            if (!err)
                entries[nodes++] = sum; /* Fewer than were read: none is overwritten too early. */
        }
    }
    tiling_done(&tiling);
    free(spare);
    if (!err)
        *count = nodes;
    return err;
}

enum torg_err rtree_pack_slots(struct rtree_pages *pages, const struct rtree_slot *slots,
                               uint32_t *order, size_t count, unsigned level_max, bool counted,
                               struct rtree_entry **ret_entries, size_t *ret_entry_count,
                               unsigned *ret_level)
{
    struct sums sums = {0};
    unsigned level = 0;
    enum torg_err err;

    assert(count > 0);
    err = leaves_write(pages, slots, order, count, &sums);
    while (!err && sums.count > 1 && level < level_max) {
        level++;
        err = rtree_pack_level(pages, level, counted, sums.entries, &sums.count);
        if (!err && rtree_pages_full(pages))
            err = rtree_pages_flush(pages);
    }
    if (err) {
        free(sums.entries);
        return err;
    }
    *ret_entries = sums.entries;
    *ret_entry_count = sums.count;
    *ret_level = level;
    return TORG_OK;
}
