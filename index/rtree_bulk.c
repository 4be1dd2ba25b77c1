/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "index/rtree_item.h"

/*
 * A packed tree (Kamel and Faloutsos 1993): items in the order of a Hilbert
 * curve, cut into leaves of equal size, these into nodes, and so on. Nodes are
 * filled to nine tenths, so that the first inserts do not split every leaf
 * they meet.
 */
#define LEAF_FILL 168
#define INNER_FILL 58
#define CURVE_BITS 31

struct curve_place {
    uint64_t along; /* the place on the curve */
    uint32_t item;
};

/*
 * The distance along a Hilbert curve over 2^31 x 2^31 cells: at each level the
 * quadrant's turn, after which the rest is seen from inside that quadrant.
 */
static uint64_t curve_along(uint32_t x, uint32_t y)
{
    uint64_t along = 0;

    for (unsigned bit = CURVE_BITS; bit-- > 0;) {
        uint32_t right = x >> bit & 1, up = y >> bit & 1;

        along = along << 2 | (3 * right ^ up);
        if (up == 0) {
            uint32_t swap = right ? ~y : y;

            y = right ? ~x : x;
            x = swap;
        }
    }
    return along;
}

static int curve_compare(const void *left, const void *right)
{
    const struct curve_place *a = left, *b = right;

    if (a->along != b->along)
        return a->along < b->along ? -1 : 1;
    return (a->item > b->item) - (a->item < b->item);
}

static int document_compare(const void *left, const void *right)
{
    const struct rtree_item *a = left, *b = right;

    return (a->document > b->document) - (a->document < b->document);
}

/* Both axes get one scale on the ground, that of the middle latitude. */
static void curve_places(const struct rtree_item *items, size_t count, struct curve_place *places)
{
    struct position min = items[0].point, max = min;
    double weight, scale;

    for (size_t i = 1; i < count; i++) {
        struct position point = items[i].point;

        min.lon_e7 = point.lon_e7 < min.lon_e7 ? point.lon_e7 : min.lon_e7;
        min.lat_e7 = point.lat_e7 < min.lat_e7 ? point.lat_e7 : min.lat_e7;
        max.lon_e7 = point.lon_e7 > max.lon_e7 ? point.lon_e7 : max.lon_e7;
        max.lat_e7 = point.lat_e7 > max.lat_e7 ? point.lat_e7 : max.lat_e7;
    }
    weight = fmax(cos(((double)min.lat_e7 + max.lat_e7) / 2e7 * (M_PI / 180.0)), 0.02);
    scale = fmax(((double)max.lon_e7 - min.lon_e7) * weight, (double)max.lat_e7 - min.lat_e7);
    scale = ((double)(UINT32_C(1) << CURVE_BITS) - 1) / fmax(scale, 1);
    for (size_t i = 0; i < count; i++) {
        double x = ((double)items[i].point.lon_e7 - min.lon_e7) * weight * scale;
        double y = ((double)items[i].point.lat_e7 - min.lat_e7) * scale;

        places[i] = (struct curve_place){curve_along((uint32_t)x, (uint32_t)y), (uint32_t)i};
    }
    qsort(places, count, sizeof(*places), curve_compare);
}

/* ---- writing ---- */

static enum torg_err keys_clear(struct kv *kv, uint8_t first_byte)
{
    struct kv_cursor *cursor;
    struct span key, value;
    uint8_t copy[RTREE_KEY_BYTES];
    enum torg_err err;

    err = kv_cursor_open(kv, KV_RTREE, &cursor);
    if (err)
        return err;
    for (;;) {
        err = kv_cursor_seek(kv, cursor, span_of(&first_byte, 1), &key, &value);
        if (err || key.size == 0 || key.data[0] != first_byte)
            break;
        if (key.size != sizeof(copy)) {
            err = TORG_E_CORRUPT;
            break;
        }
        memcpy(copy, key.data, sizeof(copy));
        err = kv_del(kv, KV_RTREE, span_of(copy, sizeof(copy)));
        if (err)
            break;
    }
    kv_cursor_close(kv, cursor);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

/* Cut count into parts of nearly equal size: how many, and where the i-th begins. */
static size_t parts_of(size_t count, size_t fill)
{
    return (count + fill - 1) / fill;
}

static size_t part_begin(size_t count, size_t parts, size_t i)
{
    return count / parts * i + (i < count % parts ? i : count % parts);
}

static enum torg_err leaves_write(struct rtree *tree, const struct rtree_item *items, size_t count,
                                  const struct curve_place *places, struct rtree_root *root,
                                  struct rtree_entry *sums, size_t parts)
{
    struct rtree_entry entries[RTREE_LEAF_MAX];
    enum torg_err err;

    for (size_t part = 0; part < parts; part++) {
        size_t begin = part_begin(count, parts, part), end = part_begin(count, parts, part + 1);
        uint32_t number = root->next++;

        for (size_t i = begin; i < end; i++) {
            err = rtree_item_pack(tree->kv, tree->collection, &items[places[i].item],
                                  &entries[i - begin]);
            if (err)
                return err;
        }
        err =
            rtree_node_put(tree->kv, tree->collection, number, 0, entries, (unsigned)(end - begin));
        if (err)
            return err;
        sums[part] = rtree_node_sum(entries, (unsigned)(end - begin));
        sums[part].child = number;
    }
    return TORG_OK;
}

/* One level over count nodes; their parents' sums take the place of their own. */
static enum torg_err level_write(struct rtree *tree, struct rtree_root *root,
                                 struct rtree_entry *sums, size_t *count)
{
    size_t parts = parts_of(*count, *count <= RTREE_INNER_MAX ? RTREE_INNER_MAX : INNER_FILL);
    enum torg_err err;

    for (size_t part = 0; part < parts; part++) {
        size_t begin = part_begin(*count, parts, part);
        unsigned size = (unsigned)(part_begin(*count, parts, part + 1) - begin);
        uint32_t number = root->next++;
        struct rtree_entry sum;

        err = rtree_node_put(tree->kv, tree->collection, number, root->height, sums + begin, size);
        if (err)
            return err;
        sum = rtree_node_sum(sums + begin, size);
        sum.child = number;
        sums[part] = sum;
    }
    *count = parts;
    root->height++;
    return TORG_OK;
}

static enum torg_err tree_write(struct rtree *tree, const struct rtree_item *items, size_t count,
                                const struct curve_place *places)
{
    size_t parts = parts_of(count, count <= RTREE_LEAF_MAX ? RTREE_LEAF_MAX : LEAF_FILL);
    struct rtree_root root = {.next = 1, .items = count};
    struct rtree_entry *sums = calloc(parts, sizeof(*sums));
    enum torg_err err;

    if (!sums)
        return TORG_E_NOMEM;
    err = leaves_write(tree, items, count, places, &root, sums, parts);
    root.height = 1;
    while (!err && parts > 1)
        err = level_write(tree, &root, sums, &parts);
    root.root = sums[0].child;
    free(sums);
    return err ? err : rtree_node_root_put(tree->kv, tree->collection, &root);
}

enum torg_err rtree_bulk_load(struct rtree *tree, struct rtree_item *items, size_t count)
{
    struct curve_place *places;
    enum torg_err err;

    assert(tree->collection > 0 && tree->collection <= RTREE_COLLECTION_MAX);
    if (count > UINT32_MAX)
        return TORG_E_TOO_BIG;
    for (size_t i = 0; i < count; i++) {
        if (!rtree_item_valid(&items[i]))
            return TORG_E_INVALID;
    }
    err = keys_clear(tree->kv, tree->collection);
    if (!err)
        err = keys_clear(tree->kv, tree->collection | RTREE_RECORD_KEY_BIT);
    if (err || count == 0)
        return err;
    places = calloc(count, sizeof(*places));
    if (!places)
        return TORG_E_NOMEM;
    /* In this order equal places on the curve come out the same whatever order came in. */
    qsort(items, count, sizeof(*items), document_compare);
    curve_places(items, count, places);
    err = tree_write(tree, items, count, places);
    free(places);
    return err;
}
