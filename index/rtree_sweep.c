/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_sweep.h"

#include <assert.h>
#include <stdlib.h>

#include "index/rtree_curve.h"
#include "index/rtree_pack.h"
#include "index/rtree_shape.h"

/* With fewer items than half a leaf's, a node would only be given thin leaves. */
#define GRAFT_LEAF_MIN (RTREE_LEAF_MAX / 2)
/* All leaves below a node are packed anew for so many edits of its items. */
#define PACK_FRACTION 4

struct sweep {
    struct rtree_stem *stem;
    const struct rtree_sweep *edits;
    uint32_t *spare;  /* owned: room to sort inserts by child */
    uint8_t *choices; /* owned: the child of each */
    /* Nodes that were split off and that no parent has taken in yet: a stack. */
    struct rtree_entry *siblings; /* owned */
    size_t sibling_count, sibling_capacity;
};

/* The edits that come to a node. */
struct part {
    size_t removals, removals_end;
    size_t inserts, inserts_end;
};

/* What became of a node, beside its siblings. */
struct outcome {
    size_t removed; /* so many of the part's removals, which stand first now */
    bool gone;      /* it has nothing left, or others that are on the stack stand for it */
    /* What the parent says of it; handed in as if all that comes were there already. */
    struct rtree_entry self;
};

static uint32_t edits_sum(uint32_t edits, size_t more)
{
    return more < UINT32_MAX - edits ? edits + (uint32_t)more : UINT32_MAX;
}

static enum torg_err siblings_push(struct sweep *sweep, const struct rtree_entry *entry)
{
    if (sweep->sibling_count == sweep->sibling_capacity) {
        size_t capacity = sweep->sibling_capacity ? 2 * sweep->sibling_capacity : 16;
        struct rtree_entry *grown = realloc(sweep->siblings, capacity * sizeof(*grown));

        if (!grown)
            return TORG_E_NOMEM;
        sweep->siblings = grown;
        sweep->sibling_capacity = capacity;
    }
    sweep->siblings[sweep->sibling_count++] = *entry;
    return TORG_OK;
}

/* ---- splitting ---- */

/* A new node over entries. */
static enum torg_err node_write(struct sweep *sweep, unsigned level, uint32_t edits,
                                const struct rtree_entry *entries, unsigned count)
{
    struct rtree_stem *stem = sweep->stem;
    struct rtree_entry sum = rtree_node_sum(entries, count);
    uint8_t *bytes;
    enum torg_err err;

    err = rtree_pages_new(stem->pages, level, stem->counted, &sum.child, &bytes);
    if (err)
        return err;
    for (unsigned i = 0; i < count; i++)
        rtree_node_append(bytes, &entries[i]);
    if (level > 0) {
        rtree_node_edits_set(bytes, edits);
        if (stem->counted)
            err = rtree_pack_count(stem->pages, sum.child, level);
    }
    return err ? err : siblings_push(sweep, &sum);
}

/* The same, but two and again two where they are too many for one. */
static enum torg_err entries_split(struct sweep *sweep, unsigned level, uint32_t edits,
                                   struct rtree_entry *entries, unsigned count)
{
    unsigned first;
    enum torg_err err;

    if (count <= (level > 0 ? RTREE_INNER_MAX : RTREE_LEAF_MAX))
        return node_write(sweep, level, edits, entries, count);
    first = rtree_shape_split(entries, count);
    err = entries_split(sweep, level, edits, entries, first);
    return err ? err : entries_split(sweep, level, edits, entries + first, count - first);
}

/* ---- leaves ---- */

static bool position_equal(struct position a, struct position b)
{
    return a.lon_e7 == b.lon_e7 && a.lat_e7 == b.lat_e7;
}

/* Where a leaf has what is to go; leaf->count when it has not. */
static enum torg_err removal_find(struct sweep *sweep, const struct rtree_node *leaf,
                                  const struct rtree_removal *removal, unsigned *ret_index)
{
    struct rtree_pages *pages = sweep->stem->pages;
    struct rtree_entry entry;
    enum torg_err err;
    unsigned i = 0;

    while (i < leaf->count && (rtree_node_u32(leaf->document, i) != removal->document ||
                               !position_equal(rtree_node_point(leaf, i), removal->point)))
        i++;
    *ret_index = i;
    if (i == leaf->count)
        return TORG_OK;
    err = rtree_item_entry(pages->kv, pages->collection, &pages->combinations, leaf, i, &entry);
    if (err)
        return err;
    if (!position_equal(entry.min, removal->min) || !position_equal(entry.max, removal->max))
        *ret_index = leaf->count;
    else if (sweep->edits->found)
        sweep->edits->found[removal->place] = entry;
    return TORG_OK;
}

/* Marks what goes of a leaf. */
static enum torg_err leaf_find(struct sweep *sweep, const struct rtree_node *leaf,
                               const struct part *part, bool goes[RTREE_LEAF_MAX],
                               size_t *ret_found)
{
    struct rtree_removal *removals = sweep->edits->removals;
    size_t next = part->removals;
    enum torg_err err = TORG_OK;

    for (size_t k = part->removals; k < part->removals_end && !err; k++) {
        struct rtree_removal removal = removals[k];
        unsigned i;

        err = removal_find(sweep, leaf, &removal, &i);
        if (err || i == leaf->count)
            continue;
        goes[i] = true;
        removals[k] = removals[next];
        removals[next++] = removal;
    }
    *ret_found = next - part->removals;
    return err;
}

/* Items to be packed. */
struct slots {
    struct rtree_slot *slots; /* owned */
    size_t count;
};

static void slots_add_leaf(struct slots *slots, const struct rtree_node *leaf, const bool *goes)
{
    for (unsigned i = 0; i < leaf->count; i++) {
        if (goes && goes[i])
            continue;
        slots->slots[slots->count++] = (struct rtree_slot){
            rtree_node_point(leaf, i),      rtree_node_u32(leaf->document, i),
            rtree_node_u32(leaf->from, i),  rtree_node_u32(leaf->through, i),
            rtree_node_u16(leaf->theme, i),
        };
    }
}

static void slots_add_inserts(struct slots *slots, const struct sweep *sweep,
                              const struct part *part)
{
    for (size_t k = part->inserts; k < part->inserts_end; k++) {
        const struct rtree_entry *entry = &sweep->edits->entries[sweep->edits->inserts[k]];

        slots->slots[slots->count++] = (struct rtree_slot){entry->point, entry->child, entry->from,
                                                           entry->through, entry->theme};
    }
}

/* The order of their places along the curve; NULL without memory. */
static uint32_t *slots_order(const struct slots *slots)
{
    struct rtree_place *places = malloc((slots->count + 1) * sizeof(*places));
    uint32_t *order = malloc((slots->count + 1) * sizeof(*order));
    enum torg_err err = places && order ? TORG_OK : TORG_E_NOMEM;

    for (size_t i = 0; i < slots->count && !err; i++)
        places[i] = (struct rtree_place){rtree_curve_pair(slots->slots[i].point), (uint32_t)i};
    if (!err)
        err = rtree_curve_sort(places, slots->count);
    for (size_t i = 0; i < slots->count && !err; i++)
        order[i] = places[i].item;
    free(places);
    if (!err)
        return order;
    free(order);
    return NULL;
}

/* Pack at least one item, up to a level; what parents say of the nodes there goes onto the stack.
 */
static enum torg_err slots_pack(struct sweep *sweep, const struct slots *slots, unsigned level_max,
                                unsigned *ret_level)
{
    struct rtree_entry *packed = NULL;
    uint32_t *order = slots_order(slots);
    size_t count = 0;
    enum torg_err err = TORG_E_NOMEM;

    if (order)
        err = rtree_pack_slots(sweep->stem->pages, slots->slots, order, slots->count, level_max,
                               sweep->stem->counted, &packed, &count, ret_level);
    for (size_t i = 0; i < count && !err; i++)
        err = siblings_push(sweep, &packed[i]);
    free(packed);
    free(order);
    return err;
}

/* Pack what a leaf has, if there is one, and what comes to it, in the same way. */
static enum torg_err leaf_pack(struct sweep *sweep, const struct rtree_node *leaf,
                               const struct part *part, unsigned level_max, unsigned *ret_level)
{
    size_t count = (leaf ? leaf->count : 0) + (part->inserts_end - part->inserts);
    struct slots slots = {.slots = malloc(count * sizeof(*slots.slots))};
    enum torg_err err = TORG_OK;

    if (!slots.slots)
        return TORG_E_NOMEM;
    if (leaf)
        slots_add_leaf(&slots, leaf, NULL);
    slots_add_inserts(&slots, sweep, part);
    if (leaf)
        err = rtree_pages_drop(sweep->stem->pages, leaf->number, 0);
    if (!err)
        err = slots_pack(sweep, &slots, level_max, ret_level);
    free(slots.slots);
    return err;
}

/* What a leaf has, and what comes to it. */
static enum torg_err leaf_split(struct sweep *sweep, const struct rtree_node *leaf,
                                const struct part *part)
{
    struct rtree_pages *pages = sweep->stem->pages;
    unsigned count = leaf->count + (unsigned)(part->inserts_end - part->inserts);
    struct rtree_entry *entries = malloc(count * sizeof(*entries));
    enum torg_err err = entries ? TORG_OK : TORG_E_NOMEM;

    for (unsigned i = 0; i < leaf->count && !err; i++)
        err = rtree_item_entry(pages->kv, pages->collection, &pages->combinations, leaf, i,
                               &entries[i]);
    for (unsigned i = leaf->count; i < count && !err; i++)
        entries[i] =
            sweep->edits->entries[sweep->edits->inserts[part->inserts + (i - leaf->count)]];
    if (!err)
        err = rtree_pages_drop(pages, leaf->number, 0);
    if (!err)
        err = entries_split(sweep, 0, 0, entries, count);
    free(entries);
    return err;
}

/* The leaf has lost what goes; the same for what comes. */
static enum torg_err leaf_fill(struct sweep *sweep, uint8_t *bytes, const struct part *part,
                               struct outcome *outcome)
{
    struct rtree_pages *pages = sweep->stem->pages;
    struct rtree_node leaf = rtree_node_view(bytes);
    size_t count = leaf.count + (part->inserts_end - part->inserts);
    unsigned level;

    outcome->gone = count == 0 || count > RTREE_LEAF_MAX;
    if (count == 0)
        return rtree_pages_drop(pages, leaf.number, 0);
    if (count > RTREE_SHAPE_ENTRIES_MAX)
        return leaf_pack(sweep, &leaf, part, 0, &level);
    if (count > RTREE_LEAF_MAX)
        return leaf_split(sweep, &leaf, part);
    for (size_t k = part->inserts; k < part->inserts_end; k++)
        rtree_node_append(bytes, &sweep->edits->entries[sweep->edits->inserts[k]]);
    if (outcome->removed == 0)
        return TORG_OK;
    leaf = rtree_node_view(bytes);
    return rtree_item_sum(pages->kv, pages->collection, &pages->combinations, &leaf,
                          &outcome->self);
}

static enum torg_err leaf_sweep(struct sweep *sweep, uint32_t number, const struct part *part,
                                struct outcome *outcome)
{
    struct rtree_pages *pages = sweep->stem->pages;
    bool goes[RTREE_LEAF_MAX] = {false};
    struct rtree_node leaf;
    uint8_t *bytes;
    enum torg_err err;

    if (rtree_pages_full(pages)) {
        err = rtree_pages_flush(pages);
        if (err)
            return err;
    }
    err = rtree_pages_view(pages, number, 0, &leaf);
    if (!err)
        err = leaf_find(sweep, &leaf, part, goes, &outcome->removed);
    if (err || (outcome->removed == 0 && part->inserts == part->inserts_end))
        return err;
    err = rtree_pages_edit_view(pages, &leaf, &bytes);
    if (err)
        return err;
    for (unsigned i = leaf.count; outcome->removed > 0 && i-- > 0;) {
        if (goes[i]) /* From the end: what takes its place stays. */
            rtree_node_remove(bytes, i);
    }
    return leaf_fill(sweep, bytes, part, outcome);
}

/* ---- inner nodes ---- */

/* An inner node while its children change: a copy, for what they write may be flushed. */
struct inner {
    uint8_t bytes[RTREE_NODE_BYTES_MAX];
    size_t begins[RTREE_INNER_MAX + 1]; /* of the inserts of each child */
    uint64_t gone;                      /* children that are, as bits */
    size_t siblings;                    /* where on the stack those of the children begin */
};
static_assert(RTREE_INNER_MAX <= 64, "a bit for each child");

/* Inserts in the order of the children that take them, whose entries grow already. */
static void inserts_choose(struct sweep *sweep, struct inner *inner, const struct part *part)
{
    struct rtree_node node = rtree_node_view(inner->bytes);
    uint32_t *inserts = sweep->edits->inserts + part->inserts;
    size_t count = part->inserts_end - part->inserts, ends[RTREE_INNER_MAX] = {0};

    for (size_t k = 0; k < count; k++) {
        const struct rtree_entry *entry = &sweep->edits->entries[inserts[k]];
        unsigned chosen = rtree_shape_choose(&node, entry);
        struct rtree_entry child = rtree_node_child(&node, chosen);

        rtree_node_add(&child, entry);
        rtree_node_set(inner->bytes, chosen, &child);
        sweep->choices[k] = (uint8_t)chosen;
        ends[chosen]++;
    }
    inner->begins[0] = part->inserts;
    for (unsigned i = 0; i < node.count; i++) {
        inner->begins[i + 1] = inner->begins[i] + ends[i];
        ends[i] = inner->begins[i] - part->inserts;
    }
    for (size_t k = 0; k < count; k++)
        sweep->spare[ends[sweep->choices[k]]++] = inserts[k];
    memcpy(inserts, sweep->spare, count * sizeof(*inserts));
}

/* So many come below a node above leaves that they get leaves of their own there. */
static enum torg_err inserts_graft(struct sweep *sweep, struct inner *inner,
                                   const struct part *part)
{
    unsigned level;

    for (size_t i = 0; i < ARRAY_SIZE(inner->begins); i++)
        inner->begins[i] = part->inserts_end;
    return leaf_pack(sweep, NULL, part, 0, &level);
}

/* Which inserts go to which child, if any. */
static enum torg_err inserts_part(struct sweep *sweep, struct inner *inner, const struct part *part)
{
    bool leaves_below = rtree_node_level(inner->bytes) == 1;

    if (leaves_below && sweep->edits->grafts && part->inserts_end - part->inserts >= GRAFT_LEAF_MIN)
        return inserts_graft(sweep, inner, part);
    inserts_choose(sweep, inner, part);
    return TORG_OK;
}

/* Of what is still to go, what may lie below a child comes first; returns where that ends. */
static size_t removals_below(struct sweep *sweep, const struct rtree_node *node, unsigned child,
                             size_t begin, size_t end)
{
    struct position min = rtree_node_min(node, child), max = rtree_node_max(node, child);
    struct rtree_removal *removals = sweep->edits->removals;
    size_t below = begin;

    for (size_t k = begin; k < end; k++) {
        const struct rtree_removal *at = &removals[k];

        if (min.lon_e7 <= at->min.lon_e7 && min.lat_e7 <= at->min.lat_e7 &&
            max.lon_e7 >= at->max.lon_e7 && max.lat_e7 >= at->max.lat_e7) {
            struct rtree_removal removal = *at;

            removals[k] = removals[below];
            removals[below++] = removal;
        }
    }
    return below;
}

/* One item more or less; false when there was none to lose. */
static bool counts_change(uint32_t *counts, const struct theme_set *themes, bool more)
{
    for (unsigned word = 0; word < 4; word++) {
        for (uint64_t left = themes->words[word]; left; left &= left - 1) {
            uint32_t *count = &counts[64 * word + (unsigned)__builtin_ctzll(left)];

            if (!more && *count == 0)
                return false;
            *count += more ? 1 : UINT32_MAX;
        }
    }
    return true;
}

/* The counts by theme of an inner node of the main tree. */
static enum torg_err inner_count(struct sweep *sweep, uint32_t number, const struct part *part,
                                 size_t removed)
{
    const struct rtree_sweep *edits = sweep->edits;
    uint32_t *counts;
    enum torg_err err;

    if (!sweep->stem->counted)
        return TORG_OK;
    err = rtree_pages_counts(sweep->stem->pages, number, &counts);
    if (err)
        return err;
    for (size_t k = part->removals; k < part->removals + removed; k++) {
        if (!counts_change(counts, &edits->found[edits->removals[k].place].themes, false))
            return TORG_E_CORRUPT;
    }
    for (size_t k = part->inserts; k < part->inserts_end; k++)
        counts_change(counts, &edits->entries[edits->inserts[k]].themes, true);
    return TORG_OK;
}

/* So many entries that they are put along the curve by their middles and packed. */
static enum torg_err entries_pack(struct sweep *sweep, unsigned level, uint32_t edits,
                                  const struct rtree_entry *entries, size_t count)
{
    struct rtree_pages *pages = sweep->stem->pages;
    struct rtree_entry *along = malloc(count * sizeof(*along));
    struct rtree_place *places = malloc(count * sizeof(*places));
    enum torg_err err = along && places ? TORG_OK : TORG_E_NOMEM;

    for (size_t i = 0; i < count && !err; i++) {
        const struct rtree_entry *entry = &entries[i];
        struct position middle = {
            (int32_t)(((int64_t)entry->min.lon_e7 + entry->max.lon_e7) / 2),
            (int32_t)(((int64_t)entry->min.lat_e7 + entry->max.lat_e7) / 2),
        };

        places[i] = (struct rtree_place){rtree_curve_pair(middle), (uint32_t)i};
    }
    if (!err)
        err = rtree_curve_sort(places, count);
    for (size_t i = 0; i < count && !err; i++)
        along[i] = entries[places[i].item];
    if (!err)
        err = rtree_pack_level(pages, level, sweep->stem->counted, along, &count);
    for (size_t i = 0; i < count && !err; i++) {
        uint8_t *bytes;

        err = rtree_pages_edit(pages, along[i].child, level, &bytes);
        if (!err)
            rtree_node_edits_set(bytes, edits);
        if (!err)
            err = siblings_push(sweep, &along[i]);
    }
    free(along);
    free(places);
    return err;
}

/*
 * More children than one node has room for: several take them. Each gets the edits of all,
 * for what lies below has not been mended.
 */
static enum torg_err inner_split(struct sweep *sweep, struct inner *inner)
{
    struct rtree_node node = rtree_node_view(inner->bytes);
    size_t count = node.count, added = sweep->sibling_count - inner->siblings;
    struct rtree_entry *entries = malloc((count + added) * sizeof(*entries));
    uint32_t edits = rtree_node_edits(inner->bytes);
    enum torg_err err;

    if (!entries)
        return TORG_E_NOMEM;
    for (unsigned i = 0; i < node.count; i++)
        entries[i] = rtree_node_child(&node, i);
    memcpy(entries + count, sweep->siblings + inner->siblings, added * sizeof(*entries));
    sweep->sibling_count = inner->siblings;
    count += added;
    err = rtree_pages_drop(sweep->stem->pages, node.number, node.level);
    if (!err && count <= RTREE_SHAPE_ENTRIES_MAX)
        err = entries_split(sweep, node.level, edits, entries, (unsigned)count);
    else if (!err)
        err = entries_pack(sweep, node.level, edits, entries, count);
    free(entries);
    return err;
}

/* Its children are as they will be: the same for itself. */
static enum torg_err inner_settle(struct sweep *sweep, struct inner *inner, const struct part *part,
                                  struct outcome *outcome)
{
    struct rtree_pages *pages = sweep->stem->pages;
    struct rtree_node node = rtree_node_view(inner->bytes);
    uint8_t *bytes;
    enum torg_err err;

    for (unsigned i = node.count; i-- > 0;) {
        if (inner->gone >> i & 1)
            rtree_node_remove(inner->bytes, i);
    }
    node = rtree_node_view(inner->bytes);
    outcome->gone = node.count + (sweep->sibling_count - inner->siblings) > RTREE_INNER_MAX;
    if (outcome->gone)
        return inner_split(sweep, inner);
    while (sweep->sibling_count > inner->siblings)
        rtree_node_append(inner->bytes, &sweep->siblings[--sweep->sibling_count]);
    node = rtree_node_view(inner->bytes);
    outcome->gone = node.count == 0;
    if (outcome->gone)
        return rtree_pages_drop(pages, node.number, node.level);
    if (outcome->removed > 0)
        outcome->self = rtree_node_inner_sum(&node);
    err = rtree_pages_edit(pages, node.number, node.level, &bytes);
    if (err)
        return err;
    memcpy(bytes, inner->bytes, sizeof(inner->bytes));
    return inner_count(sweep, node.number, part, outcome->removed);
}

static enum torg_err node_sweep(struct sweep *sweep, uint32_t number, unsigned level,
                                const struct part *part, struct outcome *outcome);

/* Each child that has something to do, once. */
static enum torg_err children_sweep(struct sweep *sweep, struct inner *inner,
                                    const struct part *part, struct outcome *outcome)
{
    struct rtree_node node = rtree_node_view(inner->bytes);
    enum torg_err err = TORG_OK;

    for (unsigned i = 0; i < node.count && !err; i++) {
        struct part below = {.removals = part->removals + outcome->removed,
                             .inserts = inner->begins[i],
                             .inserts_end = inner->begins[i + 1]};
        struct outcome child = {.self = rtree_node_child(&node, i)};

        below.removals_end = removals_below(sweep, &node, i, below.removals, part->removals_end);
        if (below.removals == below.removals_end && below.inserts == below.inserts_end)
            continue;
        err = node_sweep(sweep, child.self.child, node.level - 1, &below, &child);
        outcome->removed += child.removed;
        inner->gone |= (uint64_t)child.gone << i;
        if (!child.gone)
            rtree_node_set(inner->bytes, i, &child.self);
    }
    return err;
}

/* A leaf that will be packed with others: what stays of it. */
static enum torg_err leaf_take(struct sweep *sweep, uint32_t number, const struct part *part,
                               struct slots *slots, size_t *ret_removed)
{
    bool goes[RTREE_LEAF_MAX] = {false};
    struct rtree_node leaf;
    enum torg_err err;

    err = rtree_pages_view(sweep->stem->pages, number, 0, &leaf);
    if (!err)
        err = leaf_find(sweep, &leaf, part, goes, ret_removed);
    if (err)
        return err;
    slots_add_leaf(slots, &leaf, goes);
    return rtree_pages_drop(sweep->stem->pages, number, 0);
}

/* All leaves of a node with all that comes to them. */
static enum torg_err leaves_pack(struct sweep *sweep, struct inner *inner, const struct part *part,
                                 struct outcome *outcome)
{
    struct rtree_node node = rtree_node_view(inner->bytes);
    size_t most = (size_t)node.count * RTREE_LEAF_MAX + (part->inserts_end - part->inserts);
    struct slots slots = {.slots = malloc(most * sizeof(*slots.slots))};
    enum torg_err err = slots.slots ? TORG_OK : TORG_E_NOMEM;
    unsigned level;

    for (unsigned i = 0; i < node.count && !err; i++) {
        struct part below = {.removals = part->removals + outcome->removed};
        size_t removed = 0;

        below.removals_end = removals_below(sweep, &node, i, below.removals, part->removals_end);
        err = leaf_take(sweep, rtree_node_u32(node.child, i), &below, &slots, &removed);
        outcome->removed += removed;
        inner->gone |= UINT64_C(1) << i;
    }
    slots_add_inserts(&slots, sweep, part);
    if (!err && slots.count > 0)
        err = slots_pack(sweep, &slots, 0, &level);
    rtree_node_edits_set(inner->bytes, 0);
    free(slots.slots);
    return err;
}

/* Is so much edited of what lies below a node above leaves that packing costs no more? */
static bool inner_is_packed(const struct rtree_node *node, const struct part *part)
{
    size_t edits = part->removals_end - part->removals + (part->inserts_end - part->inserts);
    size_t items = 0;

    for (unsigned i = 0; i < node->count; i++)
        items += rtree_node_u32(node->items, i);
    return edits >= items / PACK_FRACTION;
}

static enum torg_err inner_sweep(struct sweep *sweep, uint32_t number, unsigned level,
                                 const struct part *part, struct outcome *outcome)
{
    struct rtree_node node;
    struct inner inner; /* Not zeroed: its bytes are a page. */
    size_t edits;
    enum torg_err err;

    err = rtree_pages_view(sweep->stem->pages, number, level, &node);
    if (err)
        return err;
    memcpy(inner.bytes, node.bytes, sizeof(inner.bytes));
    inner.gone = 0;
    inner.siblings = sweep->sibling_count;
    if (level == 1 && inner_is_packed(&node, part)) {
        err = leaves_pack(sweep, &inner, part, outcome);
    } else {
        err = inserts_part(sweep, &inner, part);
        if (!err)
            err = children_sweep(sweep, &inner, part, outcome);
        edits = outcome->removed + (part->inserts_end - part->inserts);
        if (err || edits == 0)
            return err;
        rtree_node_edits_set(inner.bytes, edits_sum(rtree_node_edits(inner.bytes), edits));
    }
    return err ? err : inner_settle(sweep, &inner, part, outcome);
}

static enum torg_err node_sweep(struct sweep *sweep, uint32_t number, unsigned level,
                                const struct part *part, struct outcome *outcome)
{
    return level > 0 ? inner_sweep(sweep, number, level, part, outcome)
                     : leaf_sweep(sweep, number, part, outcome);
}

/* ---- the tree ---- */

/* Nodes stand for the root, maybe many: others above them, until one is left. */
static enum torg_err root_raise(struct sweep *sweep)
{
    struct rtree_stem *stem = sweep->stem;
    enum torg_err err = TORG_OK;

    while (sweep->sibling_count > 1 && !err) {
        if (*stem->height == RTREE_LEVELS_MAX)
            return TORG_E_TOO_BIG;
        err = rtree_pack_level(stem->pages, *stem->height, stem->counted, sweep->siblings,
                               &sweep->sibling_count);
        ++*stem->height;
    }
    if (!err)
        *stem->root = sweep->siblings[0].child;
    return err;
}

static enum torg_err tree_begin(struct sweep *sweep, const struct part *part)
{
    unsigned level;
    enum torg_err err;

    if (part->inserts == part->inserts_end)
        return TORG_OK;
    err = leaf_pack(sweep, NULL, part, RTREE_LEVELS_MAX - 1, &level);
    if (!err)
        *sweep->stem->height = level + 1;
    return err;
}

static enum torg_err tree_sweep(struct sweep *sweep, const struct part *part)
{
    struct rtree_stem *stem = sweep->stem;
    struct outcome outcome = {0};
    enum torg_err err;

    if (*stem->height == 0)
        err = tree_begin(sweep, part);
    else
        err = node_sweep(sweep, *stem->root, *stem->height - 1, part, &outcome);
    if (!err && sweep->sibling_count > 0) {
        err = root_raise(sweep);
    } else if (!err && outcome.gone) {
        *stem->height = 0;
        *stem->root = 0;
    }
    if (err)
        return err;
    *stem->edits = edits_sum(*stem->edits, outcome.removed + part->inserts_end);
    err = rtree_stem_shrink(stem);
    return !err && outcome.removed < part->removals_end ? TORG_E_NOT_FOUND : err;
}

enum torg_err rtree_sweep(struct rtree_stem *stem, const struct rtree_sweep *edits)
{
    const struct part all = {.removals_end = edits->removal_count,
                             .inserts_end = edits->insert_count};
    struct sweep sweep = {
        .stem = stem,
        .edits = edits,
        .spare = malloc((edits->insert_count + 1) * sizeof(*sweep.spare)),
        .choices = malloc(edits->insert_count + 1),
    };
    enum torg_err err = TORG_E_NOMEM;

    if (sweep.spare && sweep.choices)
        err = tree_sweep(&sweep, &all);
    free(sweep.spare);
    free(sweep.choices);
    free(sweep.siblings);
    return err;
}
