/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/rtree_pending.h"

#include <assert.h>

#include "index/rtree_curve.h"
#include "index/rtree_read.h"
#include "index/rtree_stem.h"

/* The page's header; beside a node's, it says 254 for a level. */
#define AT_ADDED 2
#define AT_COLLECTION 8
#define AT_GONE 10
#define PENDING_LEVEL 254
#define PENDING_NUMBER 0 /* in the key of counts, where no node has it */

static_assert(RTREE_PENDING_GONE_MAX % 16 == 0, "columns of what is to come begin aligned");
static_assert(RTREE_PENDING_ADDED_MAX <= RTREE_PENDING_GONE_MAX, "room for either half");
static_assert(RTREE_PENDING_SOME_MAX <= RTREE_PENDING_EDITS_MAX, "room for those chosen");

static uint8_t pending_space(uint8_t collection)
{
    return collection | RTREE_COUNTS_KEY_BIT;
}

/* ---- the page ---- */

static struct rtree_node pending_leaf(const uint8_t *bytes, unsigned first, unsigned count)
{
    return (struct rtree_node){
        .bytes = bytes,
        .count = count,
        .lon = bytes + RTREE_LEAF_LON_AT + 4 * (size_t)first,
        .lat = bytes + RTREE_LEAF_LAT_AT + 4 * (size_t)first,
        .document = bytes + RTREE_LEAF_DOCUMENT_AT + 4 * (size_t)first,
        .from = bytes + RTREE_LEAF_FROM_AT + 4 * (size_t)first,
        .through = bytes + RTREE_LEAF_THROUGH_AT + 4 * (size_t)first,
        .theme = bytes + RTREE_LEAF_THEME_AT + 2 * (size_t)first,
    };
}

static struct rtree_pending pending_view(const uint8_t *bytes)
{
    return (struct rtree_pending){
        .gone = pending_leaf(bytes, 0, rtree_node_u16(bytes + AT_GONE, 0)),
        .added = pending_leaf(bytes, RTREE_PENDING_GONE_MAX, rtree_node_u16(bytes + AT_ADDED, 0)),
    };
}

static bool leaf_plain(const struct rtree_node *leaf)
{
    uint32_t flags = 0;

    for (unsigned i = 0; i < leaf->count; i++) {
        flags |= rtree_node_u32(leaf->from, i) & RTREE_FLAG_RECORD;
        flags |= rtree_node_u32(leaf->through, i) & RTREE_FLAG_AREA;
        if (!geo_position_valid(rtree_node_point(leaf, i)) ||
            rtree_node_u16(leaf->theme, i) == RTREE_THEME_RECORD)
            return false;
    }
    return flags == 0;
}

static enum torg_err pending_read(struct span value, uint8_t collection,
                                  struct rtree_pending *ret_pending)
{
    struct rtree_pending pending;

    if (value.size != RTREE_NODE_BYTES_MAX || value.data[0] != RTREE_PENDING_FORMAT ||
        value.data[RTREE_NODE_LEVEL_AT] != PENDING_LEVEL || value.data[AT_COLLECTION] != collection)
        return TORG_E_CORRUPT;
    pending = pending_view(value.data);
    if (pending.gone.count > RTREE_PENDING_GONE_MAX ||
        pending.added.count > RTREE_PENDING_ADDED_MAX || !leaf_plain(&pending.gone) ||
        !leaf_plain(&pending.added))
        return TORG_E_CORRUPT;
    *ret_pending = pending;
    return TORG_OK;
}

enum torg_err rtree_pending_get(const struct kv *kv, uint8_t collection,
                                struct rtree_pending *ret_pending)
{
    uint8_t space = pending_space(collection), key[RTREE_KEY_BYTES];
    const uint8_t *bytes = kv->table ? rtree_table_find(kv->table, space, PENDING_NUMBER) : NULL;
    struct span value;
    enum torg_err err;

    if (bytes) {
        *ret_pending = pending_view(bytes);
        return TORG_OK;
    }
    err = kv_get(kv, KV_RTREE, rtree_node_key(space, PENDING_NUMBER, key), &value);
    if (err == TORG_E_NOT_FOUND) {
        ret_pending->gone = (struct rtree_node){.bytes = NULL};
        ret_pending->added = (struct rtree_node){.bytes = NULL};
        return TORG_OK;
    }
    if (!err)
        err = pending_read(value, collection, ret_pending);
    if (!err && kv->table)
        rtree_table_keep(kv->table, space, PENDING_NUMBER, value.data);
    return err;
}

static void pending_begin(uint8_t *bytes, uint8_t collection)
{
    memset(bytes, 0, RTREE_NODE_BYTES_MAX);
    bytes[0] = RTREE_PENDING_FORMAT;
    bytes[RTREE_NODE_LEVEL_AT] = PENDING_LEVEL;
    bytes[AT_COLLECTION] = collection;
}

static enum torg_err pending_put(struct kv *kv, uint8_t collection, const uint8_t *bytes)
{
    uint8_t key[RTREE_KEY_BYTES];

    return kv_put(kv, KV_RTREE, rtree_node_key(pending_space(collection), PENDING_NUMBER, key),
                  span_of(bytes, RTREE_NODE_BYTES_MAX));
}

enum torg_err rtree_pending_clear(struct kv *kv, uint8_t collection)
{
    uint8_t bytes[RTREE_NODE_BYTES_MAX];

    pending_begin(bytes, collection);
    return pending_put(kv, collection, bytes);
}

static const struct {
    size_t at;
    size_t width;
} columns[] = {{RTREE_LEAF_LON_AT, 4},  {RTREE_LEAF_LAT_AT, 4},     {RTREE_LEAF_DOCUMENT_AT, 4},
               {RTREE_LEAF_FROM_AT, 4}, {RTREE_LEAF_THROUGH_AT, 4}, {RTREE_LEAF_THEME_AT, 2}};

static bool bytes_zero(const uint8_t *bytes, size_t size)
{
    uint8_t any = 0;

    for (size_t i = 0; i < size; i++)
        any |= bytes[i];
    return any == 0;
}

bool rtree_pending_rest_zero(const struct rtree_pending *pending)
{
    const uint8_t *bytes = pending->gone.bytes;
    unsigned gone = pending->gone.count, added = pending->added.count;

    if (!bytes)
        return true;
    for (size_t c = 0; c < ARRAY_SIZE(columns); c++) {
        const uint8_t *column = bytes + columns[c].at;
        size_t width = columns[c].width, middle = RTREE_PENDING_GONE_MAX * width;

        if (!bytes_zero(column + gone * width, middle - gone * width) ||
            !bytes_zero(column + middle + added * width, (RTREE_PENDING_ADDED_MAX - added) * width))
            return false;
    }
    return bytes_zero(bytes + AT_COLLECTION + 1, AT_GONE - AT_COLLECTION - 1) &&
           bytes_zero(bytes + AT_GONE + 2, RTREE_NODE_HEADER_BYTES - AT_GONE - 2) &&
           bytes_zero(bytes + RTREE_LEAF_END_AT, RTREE_NODE_BYTES_MAX - RTREE_LEAF_END_AT);
}

double rtree_pending_full(const struct rtree_pending *pending)
{
    double gone = pending->gone.count / (double)RTREE_PENDING_GONE_MAX;
    double added = pending->added.count / (double)RTREE_PENDING_ADDED_MAX;

    return gone > added ? gone : added;
}

/* ---- letting wait ---- */

/* A page being changed, in memory. */
struct waiting {
    struct rtree_pages pages; /* to look into the trees; nothing in them is changed */
    uint8_t bytes[RTREE_NODE_BYTES_MAX];
    enum rtree_pending_fate fate;
};

static void put_count(uint8_t *bytes, size_t at, unsigned count)
{
    bytes[at] = (uint8_t)count;
    bytes[at + 1] = (uint8_t)(count >> 8);
}

static void waiting_append(struct waiting *waiting, bool gone, const struct rtree_entry *entry)
{
    struct rtree_pending pending = pending_view(waiting->bytes);
    const struct rtree_node *leaf = gone ? &pending.gone : &pending.added;

    if (entry->from & RTREE_FLAG_RECORD) {
        waiting->fate = RTREE_PENDING_NOW;
        return;
    }
    if (leaf->count == (gone ? RTREE_PENDING_GONE_MAX : RTREE_PENDING_ADDED_MAX)) {
        waiting->fate = RTREE_PENDING_FULL;
        return;
    }
    rtree_node_leaf_write(waiting->bytes, (gone ? 0 : RTREE_PENDING_GONE_MAX) + leaf->count, entry);
    put_count(waiting->bytes, gone ? AT_GONE : AT_ADDED, leaf->count + 1);
}

/* The i-th of one half goes; the last takes its place, and leaves nothing behind. */
static void page_drop(uint8_t *bytes, bool gone, unsigned i)
{
    struct rtree_pending pending = pending_view(bytes);
    unsigned last = (gone ? pending.gone.count : pending.added.count) - 1;
    size_t first = gone ? 0 : RTREE_PENDING_GONE_MAX;

    for (size_t c = 0; c < ARRAY_SIZE(columns); c++) {
        size_t width = columns[c].width;
        uint8_t *column = bytes + columns[c].at + first * width;

        memmove(column + i * width, column + last * width, width);
        memset(column + last * width, 0, width);
    }
    put_count(bytes, gone ? AT_GONE : AT_ADDED, last);
}

static bool leaf_find(const struct rtree_node *leaf, uint32_t document, unsigned *ret_i)
{
    for (unsigned i = 0; i < leaf->count; i++) {
        if (rtree_node_u32(leaf->document, i) == document) {
            *ret_i = i;
            return true;
        }
    }
    return false;
}

static bool points_equal(struct position a, struct position b)
{
    return a.lon_e7 == b.lon_e7 && a.lat_e7 == b.lat_e7;
}

static bool item_is_point(const struct rtree_item *item)
{
    return points_equal(item->min, item->point) && points_equal(item->max, item->point);
}

static enum torg_err waiting_remove(struct waiting *waiting, const struct rtree_item *item)
{
    struct rtree_pending pending = pending_view(waiting->bytes);
    struct rtree_stem stem = rtree_stem_of(&waiting->pages, RTREE_STEM_MAIN);
    struct rtree_entry entry;
    enum torg_err err;
    unsigned i;

    if (leaf_find(&pending.added, item->document, &i)) {
        if (!item_is_point(item) || !points_equal(rtree_node_point(&pending.added, i), item->point))
            return TORG_E_NOT_FOUND;
        page_drop(waiting->bytes, false, i);
        return TORG_OK;
    }
    if (leaf_find(&pending.gone, item->document, &i))
        return TORG_E_NOT_FOUND;
    err = rtree_stem_find(&stem, item, &entry);
    if (!err)
        waiting_append(waiting, true, &entry);
    return err;
}

/*
 * What needs a record is not packed here, for packing writes it: a later edit may remove the
 * document again, and nobody would drop it. With a full dictionary only packing tells.
 */
static enum torg_err waiting_insert(struct waiting *waiting, const struct rtree_item *item)
{
    struct rtree_pages *pages = &waiting->pages;
    struct rtree_entry entry;
    enum torg_err err;

    if (!rtree_item_plain(item)) {
        waiting->fate = RTREE_PENDING_NOW;
        return TORG_OK;
    }
    err = rtree_item_pack(pages->kv, pages->collection, &pages->combinations, item, &entry);
    if (err)
        return err;
    waiting_append(waiting, false, &entry);
    return rtree_item_drop(pages->kv, pages->collection, &entry); /* none, as a rule */
}

static enum torg_err waiting_begin(struct waiting *waiting, struct rtree *tree)
{
    struct rtree_pending pending;
    enum torg_err err = rtree_pages_begin(&waiting->pages, tree->kv, tree->collection);

    waiting->fate = waiting->pages.record.root.height < 2 ? RTREE_PENDING_ALL : RTREE_PENDING_WAIT;
    if (!err)
        err = rtree_pending_get(tree->kv, tree->collection, &pending);
    if (err)
        return err;
    if (pending.gone.count + pending.added.count > 0)
        memcpy(waiting->bytes, pending.gone.bytes, sizeof(waiting->bytes));
    else
        pending_begin(waiting->bytes, tree->collection);
    return TORG_OK;
}

enum torg_err rtree_pending_add(struct rtree *tree, const struct rtree_edit *edits, size_t count,
                                enum rtree_pending_fate *ret_fate)
{
    struct waiting waiting;
    enum torg_err err;

    if (count > RTREE_PENDING_EDITS_MAX) {
        *ret_fate = RTREE_PENDING_ALL;
        return TORG_OK;
    }
    err = waiting_begin(&waiting, tree);
    for (size_t i = 0; i < count && !err && waiting.fate == RTREE_PENDING_WAIT; i++)
        err = edits[i].removed ? waiting_remove(&waiting, &edits[i].item)
                               : waiting_insert(&waiting, &edits[i].item);
    if (!err && waiting.fate == RTREE_PENDING_WAIT)
        err = pending_put(tree->kv, tree->collection, waiting.bytes);
    rtree_pages_done(&waiting.pages);
    if (!err)
        *ret_fate = waiting.fate;
    return err;
}

/* ---- doing some ---- */

bool rtree_pending_some_has(const struct rtree_pending_some *some, uint32_t document)
{
    for (unsigned i = 0; i < some->count; i++) {
        if (some->documents[i] == document)
            return true;
    }
    return false;
}

enum torg_err rtree_pending_choose(const struct rtree_pending *pending,
                                   struct rtree_pending_some *ret_some)
{
    bool gone = pending->gone.count * RTREE_PENDING_ADDED_MAX >
                pending->added.count * RTREE_PENDING_GONE_MAX;
    const struct rtree_node *leaf = gone ? &pending->gone : &pending->added;
    unsigned count = leaf->count < RTREE_PENDING_SOME_MAX ? leaf->count : RTREE_PENDING_SOME_MAX;
    struct rtree_place places[RTREE_PENDING_GONE_MAX];
    uint64_t least = UINT64_MAX;
    unsigned best = 0;
    enum torg_err err;

    for (unsigned i = 0; i < leaf->count; i++)
        places[i] = (struct rtree_place){rtree_curve_pair(rtree_node_point(leaf, i)), i};
    err = rtree_curve_sort(places, leaf->count);
    if (err)
        return err;
    for (unsigned i = 0; count > 0 && i + count <= leaf->count; i++) {
        uint64_t span = places[i + count - 1].along - places[i].along;

        if (span < least) {
            least = span;
            best = i;
        }
    }
    ret_some->count = count;
    for (unsigned i = 0; i < count; i++)
        ret_some->documents[i] = rtree_node_u32(leaf->document, places[best + i].item);
    return TORG_OK;
}

static void page_forget(uint8_t *bytes, bool gone, const struct rtree_pending_some *some)
{
    for (unsigned i = 0; i < some->count; i++) {
        struct rtree_pending pending = pending_view(bytes);
        unsigned at;

        if (leaf_find(gone ? &pending.gone : &pending.added, some->documents[i], &at))
            page_drop(bytes, gone, at);
    }
}

enum torg_err rtree_pending_forget(struct kv *kv, uint8_t collection,
                                   const struct rtree_pending_some *some)
{
    uint8_t bytes[RTREE_NODE_BYTES_MAX];
    struct rtree_pending pending;
    enum torg_err err = rtree_pending_get(kv, collection, &pending);

    if (err)
        return err;
    if (!pending.gone.bytes)
        return rtree_pending_clear(kv, collection);
    memcpy(bytes, pending.gone.bytes, sizeof(bytes));
    page_forget(bytes, true, some);
    page_forget(bytes, false, some);
    return pending_put(kv, collection, bytes);
}

/* ---- for queries ---- */

enum torg_err rtree_pending_match(struct rtree_filter *filter, uint8_t collection,
                                  const struct rtree_node *leaf, struct rtree_mask *ret_chosen)
{
    enum torg_err err;

    *ret_chosen = (struct rtree_mask){{0}};
    if (leaf->count == 0)
        return TORG_OK;
    err = rtree_filter_visit(filter, 0);
    return err ? err
               : rtree_filter_leaf(filter, collection, leaf, rtree_filter_inside(filter),
                                   ret_chosen);
}

static unsigned gone_hash(uint32_t document)
{
    return (document * UINT32_C(2654435761)) >> 23;
}

static void gone_add(struct rtree_gone *gone, uint32_t document)
{
    unsigned hash = gone_hash(document);

    assert(gone->count < RTREE_PENDING_GONE_MAX);
    if (gone->count == 0)
        memset(gone->seen, 0, sizeof(gone->seen));
    gone->seen[hash / 64] |= UINT64_C(1) << hash % 64;
    gone->documents[gone->count++] = document;
}

void rtree_gone_fill(struct rtree_gone *gone, const struct rtree_node *leaf,
                     struct rtree_mask chosen)
{
    gone->count = 0;
    for (unsigned i; rtree_mask_next(&chosen, &i);)
        gone_add(gone, rtree_node_u32(leaf->document, i));
}

bool rtree_gone_has(const struct rtree_gone *gone, uint32_t document)
{
    unsigned hash = gone_hash(document);

    if (gone->count == 0 || !(gone->seen[hash / 64] >> hash % 64 & 1))
        return false;
    for (unsigned i = 0; i < gone->count; i++) {
        if (gone->documents[i] == document)
            return true;
    }
    return false;
}

void rtree_gone_narrow(const struct rtree_gone *gone, const struct rtree_node *leaf,
                       struct rtree_mask *chosen)
{
    struct rtree_mask left = *chosen;

    for (unsigned i; rtree_mask_next(&left, &i);) {
        if (rtree_gone_has(gone, rtree_node_u32(leaf->document, i)))
            rtree_mask_clear(chosen, i);
    }
}
