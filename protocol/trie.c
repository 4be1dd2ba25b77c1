/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/trie.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/seal.h"

#define CHILDREN 16
#define CHILD_BYTES (TRIE_INNER_BYTES / CHILDREN)
#define COUNT_BYTES 4

_Static_assert(sizeof(struct trie_entry) == 48, "entries are hashed as they lie");
_Static_assert(CHILD_BYTES == COUNT_BYTES + sizeof(struct hash), "a child is count and digest");

/* ---- keys, prefixes, nodes ---- */

static unsigned key_nibble(const struct listing_key *key, unsigned depth)
{
    uint8_t byte = key->bytes[depth / 2];

    return depth % 2 ? byte & 15 : byte >> 4;
}

static int entry_compare(const struct trie_entry *a, const struct trie_entry *b)
{
    return memcmp(&a->key, &b->key, sizeof(a->key));
}

bool trie_prefix_holds(const struct trie_prefix *prefix, const struct listing_key *key)
{
    for (unsigned i = 0; i < prefix->size; i++) {
        if (prefix->nibbles[i] != key_nibble(key, i))
            return false;
    }
    return true;
}

static struct trie_prefix prefix_child(const struct trie_prefix *prefix, unsigned child)
{
    struct trie_prefix longer = *prefix;

    longer.nibbles[longer.size++] = (uint8_t)child;
    return longer;
}

struct hash trie_leaf_digest(uint8_t collection, const struct trie_entry *entries, size_t count)
{
    uint8_t bytes[1 + TRIE_LEAF_MAX * sizeof(*entries)];

    assert(count <= TRIE_LEAF_MAX);
    if (count == 0)
        return (struct hash){0};
    bytes[0] = collection;
    memcpy(bytes + 1, entries, count * sizeof(*entries));
    return seal_hash(DOMAIN_LEAF, span_of(bytes, 1 + count * sizeof(*entries)));
}

struct hash trie_inner_digest(struct span node)
{
    assert(node.size == TRIE_INNER_BYTES);
    return seal_hash(DOMAIN_INNER, node);
}

uint32_t trie_inner_child_count(struct span node, unsigned child)
{
    assert(node.size == TRIE_INNER_BYTES && child < CHILDREN);
    return get_u32be(node.data + (size_t)child * CHILD_BYTES);
}

struct hash trie_inner_child_digest(struct span node, unsigned child)
{
    struct hash digest;

    assert(node.size == TRIE_INNER_BYTES && child < CHILDREN);
    memcpy(&digest, node.data + (size_t)child * CHILD_BYTES + COUNT_BYTES, sizeof(digest));
    return digest;
}

enum torg_err trie_inner_count(struct span node, uint32_t *ret_count)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < CHILDREN; i++)
        sum += trie_inner_child_count(node, i);
    if (sum > UINT32_MAX)
        return TORG_E_INVALID;
    *ret_count = (uint32_t)sum;
    return TORG_OK;
}

/* An inner node in the making. */
struct node {
    uint8_t bytes[TRIE_INNER_BYTES];
};

static struct span node_span(const struct node *node)
{
    return span_of(node->bytes, sizeof(node->bytes));
}

static struct trie_root node_child(const struct node *node, unsigned child)
{
    return (struct trie_root){
        .count = trie_inner_child_count(node_span(node), child),
        .digest = trie_inner_child_digest(node_span(node), child),
    };
}

static void node_set(struct node *node, unsigned child, const struct trie_root *root)
{
    uint8_t *at = node->bytes + (size_t)child * CHILD_BYTES;

    put_u32be(at, root->count);
    memcpy(at + COUNT_BYTES, &root->digest, sizeof(root->digest));
}

/* ---- from nothing ---- */

/* How many of the ascending entries have nibble child at depth, from the first on. */
static size_t entries_run(const struct trie_entry *entries, size_t count, unsigned depth,
                          unsigned child)
{
    size_t run = 0;

    while (run < count && key_nibble(&entries[run].key, depth) == child)
        run++;
    return run;
}

static struct trie_root build(uint8_t collection, const struct trie_entry *entries, size_t count,
                              unsigned depth)
{
    struct trie_root root = {.count = (uint32_t)count};
    struct node node;

    if (count <= TRIE_LEAF_MAX) {
        root.digest = trie_leaf_digest(collection, entries, count);
        return root;
    }
    assert(depth < TRIE_DEPTH_MAX); /* Or keys were not distinct. */
    for (unsigned i = 0; i < CHILDREN; i++) {
        size_t run = entries_run(entries, count, depth, i);
        struct trie_root child = build(collection, entries, run, depth + 1);

        node_set(&node, i, &child);
        entries += run;
        count -= run;
    }
    assert(count == 0); /* Or keys did not ascend. */
    root.digest = trie_inner_digest(node_span(&node));
    return root;
}

struct trie_root trie_build(uint8_t collection, const struct trie_entry *entries, size_t count)
{
    assert(count <= UINT32_MAX);
    return build(collection, entries, count, 0);
}

/* ---- from what is stored ---- */

struct plan_put {
    struct trie_prefix prefix;
    struct node node;
};

/*
 * A plan walks stored nodes and edits together, once, from the root. Leaves
 * without an edit are not read, but for those that merge with their neighbours.
 */
struct trie_plan {
    uint8_t collection;
    const struct trie_store *store; /* during trie_plan_new only */
    struct trie_root root;
    struct plan_put *puts;
    size_t put_count;
    size_t put_capacity;
    struct trie_prefix *dels;
    size_t del_count;
    size_t del_capacity;
    /* The listings of the subtree that was computed last, if it is a leaf. */
    struct trie_entry leaf[TRIE_LEAF_MAX];
};

/* Room for one more item. */
static enum torg_err grow(void **items, size_t count, size_t *capacity, size_t item_size)
{
    size_t wanted = *capacity ? *capacity * 2 : 8;
    void *grown;

    if (count < *capacity)
        return TORG_OK;
    grown = reallocarray(*items, wanted, item_size);
    if (!grown)
        return TORG_E_NOMEM;
    *items = grown;
    *capacity = wanted;
    return TORG_OK;
}

static enum torg_err plan_put(struct trie_plan *plan, const struct trie_prefix *prefix,
                              const struct node *node)
{
    void *items = plan->puts;
    enum torg_err err = grow(&items, plan->put_count, &plan->put_capacity, sizeof(*plan->puts));

    if (err)
        return err;
    plan->puts = items;
    plan->puts[plan->put_count++] = (struct plan_put){.prefix = *prefix, .node = *node};
    return TORG_OK;
}

static enum torg_err plan_del(struct trie_plan *plan, const struct trie_prefix *prefix)
{
    void *items = plan->dels;
    enum torg_err err = grow(&items, plan->del_count, &plan->del_capacity, sizeof(*plan->dels));

    if (err)
        return err;
    plan->dels = items;
    plan->dels[plan->del_count++] = *prefix;
    return TORG_OK;
}

/* Edits of one subtree, ascending. */
struct edits {
    const struct trie_edit *items;
    size_t count;
};

/* Cut off the first edits, those with nibble child at depth. */
static struct edits edits_take(struct edits *rest, unsigned depth, unsigned child)
{
    struct edits taken = {.items = rest->items};

    while (taken.count < rest->count &&
           key_nibble(&rest->items[taken.count].entry.key, depth) == child)
        taken.count++;
    rest->items += taken.count;
    rest->count -= taken.count;
    return taken;
}

/* The listings of the stored leaf at prefix, which must be count of them. */
static enum torg_err leaf_read(const struct trie_plan *plan, const struct trie_prefix *prefix,
                               size_t count, struct trie_entry out[TRIE_LEAF_MAX])
{
    struct trie_entry found[TRIE_LEAF_MAX + 1]; /* One more, to notice one too many. */
    size_t found_count = 0;
    enum torg_err err;

    if (count == 0)
        return TORG_OK;
    err =
        plan->store->entries(plan->store->context, prefix, ARRAY_SIZE(found), found, &found_count);
    if (err)
        return err;
    if (found_count != count)
        return TORG_E_CORRUPT;
    for (size_t i = 0; i < count; i++) {
        if (!trie_prefix_holds(prefix, &found[i].key))
            return TORG_E_CORRUPT;
        if (i && entry_compare(&found[i - 1], &found[i]) >= 0)
            return TORG_E_CORRUPT;
    }
    memcpy(out, found, count * sizeof(*found));
    return TORG_OK;
}

/*
 * The old entries with the edits done, in out. Returns how many they are, or
 * TRIE_LEAF_MAX + 1 as soon as they are more than a leaf holds.
 */
static size_t merge(const struct trie_entry *old, size_t old_count, struct edits edits,
                    struct trie_entry out[TRIE_LEAF_MAX])
{
    size_t count = 0;
    size_t at = 0;
    size_t i = 0;

    while (at < old_count || i < edits.count) {
        const struct trie_entry *next;
        int order = at == old_count    ? 1
                    : i == edits.count ? -1
                                       : entry_compare(&old[at], &edits.items[i].entry);

        next = order < 0 ? &old[at] : &edits.items[i].entry;
        if (order <= 0)
            at++;
        if (order >= 0 && edits.items[i++].removed)
            continue;
        if (count == TRIE_LEAF_MAX)
            return TRIE_LEAF_MAX + 1;
        out[count++] = *next;
    }
    return count;
}

/* A subtree that was a leaf of these old entries (or empty): stays one, or splits. */
static enum torg_err apply_leaf(struct trie_plan *plan, const struct trie_prefix *prefix,
                                const struct trie_entry *old, size_t old_count, struct edits edits,
                                struct trie_root *ret_root)
{
    struct node node;
    size_t count = merge(old, old_count, edits, plan->leaf);
    uint64_t total = 0;
    enum torg_err err;

    if (count <= TRIE_LEAF_MAX) {
        ret_root->count = (uint32_t)count;
        ret_root->digest = trie_leaf_digest(plan->collection, plan->leaf, count);
        return TORG_OK;
    }
    assert(prefix->size < TRIE_DEPTH_MAX); /* Keys are distinct. */
    for (unsigned i = 0; i < CHILDREN; i++) {
        size_t run = entries_run(old, old_count, prefix->size, i);
        struct edits child_edits = edits_take(&edits, prefix->size, i);
        struct trie_prefix child_prefix = prefix_child(prefix, i);
        struct trie_root child;

        err = apply_leaf(plan, &child_prefix, old, run, child_edits, &child);
        if (err)
            return err;
        node_set(&node, i, &child);
        total += child.count;
        old += run;
        old_count -= run;
    }
    if (total > UINT32_MAX)
        return TORG_E_TOO_BIG;
    ret_root->count = (uint32_t)total;
    ret_root->digest = trie_inner_digest(node_span(&node));
    return plan_put(plan, prefix, &node);
}

static enum torg_err apply_stored_leaf(struct trie_plan *plan, const struct trie_prefix *prefix,
                                       size_t old_count, struct edits edits,
                                       struct trie_root *ret_root)
{
    struct trie_entry old[TRIE_LEAF_MAX];
    enum torg_err err = leaf_read(plan, prefix, old_count, old);

    return err ? err : apply_leaf(plan, prefix, old, old_count, edits, ret_root);
}

static enum torg_err node_read(const struct trie_plan *plan, const struct trie_prefix *prefix,
                               uint32_t count, struct node *ret_node)
{
    struct span bytes;
    uint32_t sum;
    enum torg_err err = plan->store->node_get(plan->store->context, prefix, &bytes);

    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
    if (bytes.size != TRIE_INNER_BYTES || prefix->size >= TRIE_DEPTH_MAX)
        return TORG_E_CORRUPT;
    if (trie_inner_count(bytes, &sum) || sum != count)
        return TORG_E_CORRUPT;
    memcpy(ret_node->bytes, bytes.data, sizeof(ret_node->bytes));
    return TORG_OK;
}

/*
 * What is left of the edited children of an inner node, kept as long as the
 * node may turn out to fit a leaf: reading the store again would not show it.
 */
struct survivors {
    struct trie_entry entries[TRIE_LEAF_MAX];
    size_t count;
    uint16_t edited; /* bit c: child c */
};

static void survivors_add(struct survivors *left, unsigned child, const struct trie_plan *plan,
                          uint32_t count)
{
    left->edited |= (uint16_t)(1u << child);
    if (count > TRIE_LEAF_MAX - left->count)
        return; /* With so many the node stays an inner one. */
    memcpy(left->entries + left->count, plan->leaf, count * sizeof(*plan->leaf));
    left->count += count;
}

/* An inner node whose children, at most TRIE_LEAF_MAX listings in all, become one leaf. */
static enum torg_err collapse(struct trie_plan *plan, const struct trie_prefix *prefix,
                              const struct node *node, const struct survivors *left,
                              struct trie_root *ret_root)
{
    size_t taken = 0;
    size_t count = 0;

    for (unsigned i = 0; i < CHILDREN; i++) {
        size_t child_count = trie_inner_child_count(node_span(node), i);
        struct trie_prefix child_prefix = prefix_child(prefix, i);
        enum torg_err err;

        if (left->edited >> i & 1) {
            memcpy(plan->leaf + count, left->entries + taken, child_count * sizeof(*plan->leaf));
            taken += child_count;
        } else {
            err = leaf_read(plan, &child_prefix, child_count, plan->leaf + count);
            if (err)
                return err;
        }
        count += child_count;
    }
    ret_root->count = (uint32_t)count;
    ret_root->digest = trie_leaf_digest(plan->collection, plan->leaf, count);
    return plan_del(plan, prefix);
}

static enum torg_err apply_inner(struct trie_plan *plan, const struct trie_prefix *prefix,
                                 const struct trie_root *old, struct edits edits,
                                 struct trie_root *ret_root);

static enum torg_err apply(struct trie_plan *plan, const struct trie_prefix *prefix,
                           const struct trie_root *old, struct edits edits,
                           struct trie_root *ret_root)
{
    if (old->count > TRIE_LEAF_MAX)
        return apply_inner(plan, prefix, old, edits, ret_root);
    return apply_stored_leaf(plan, prefix, old->count, edits, ret_root);
}

static enum torg_err apply_inner(struct trie_plan *plan, const struct trie_prefix *prefix,
                                 const struct trie_root *old, struct edits edits,
                                 struct trie_root *ret_root)
{
    struct survivors left = {.count = 0};
    struct node node;
    uint64_t total = 0;
    bool changed = false;
    enum torg_err err;

    err = node_read(plan, prefix, old->count, &node);
    if (err)
        return err;
    for (unsigned i = 0; i < CHILDREN; i++) {
        struct edits child_edits = edits_take(&edits, prefix->size, i);
        struct trie_root before = node_child(&node, i);
        struct trie_root after = before;
        struct trie_prefix child_prefix = prefix_child(prefix, i);

        if (child_edits.count) {
            err = apply(plan, &child_prefix, &before, child_edits, &after);
            if (err)
                return err;
            survivors_add(&left, i, plan, after.count);
            node_set(&node, i, &after);
            changed = changed || memcmp(&before, &after, sizeof(before)) != 0;
        }
        total += after.count;
    }
    if (total > UINT32_MAX)
        return TORG_E_TOO_BIG;
    if (total <= TRIE_LEAF_MAX)
        return collapse(plan, prefix, &node, &left, ret_root);
    *ret_root = *old;
    if (!changed)
        return TORG_OK;
    ret_root->count = (uint32_t)total;
    ret_root->digest = trie_inner_digest(node_span(&node));
    return plan_put(plan, prefix, &node);
}

static bool edits_ascend(const struct trie_edit *edits, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (entry_compare(&edits[i - 1].entry, &edits[i].entry) >= 0)
            return false;
    }
    return true;
}

enum torg_err trie_plan_new(uint8_t collection, const struct trie_store *store,
                            const struct trie_root *root, const struct trie_edit *edits,
                            size_t edit_count, struct trie_plan **ret_plan)
{
    struct trie_prefix top = {.size = 0};
    struct edits all = {.items = edits, .count = edit_count};
    struct trie_plan *plan;
    enum torg_err err = TORG_OK;

    assert(edits_ascend(edits, edit_count));
    plan = calloc(1, sizeof(*plan));
    if (!plan)
        return TORG_E_NOMEM;
    plan->collection = collection;
    plan->store = store;
    plan->root = *root;
    if (edit_count)
        err = apply(plan, &top, root, all, &plan->root);
    plan->store = NULL;
    if (err) {
        trie_plan_free(plan);
        return err;
    }
    *ret_plan = plan;
    return TORG_OK;
}

struct trie_root trie_plan_root(const struct trie_plan *plan)
{
    return plan->root;
}

enum torg_err trie_plan_write(const struct trie_plan *plan, const struct trie_store *store)
{
    enum torg_err err = TORG_OK;

    for (size_t i = 0; i < plan->del_count && !err; i++)
        err = store->node_del(store->context, &plan->dels[i]);
    for (size_t i = 0; i < plan->put_count && !err; i++)
        err =
            store->node_put(store->context, &plan->puts[i].prefix, node_span(&plan->puts[i].node));
    return err;
}

void trie_plan_free(struct trie_plan *plan)
{
    if (!plan)
        return;
    free(plan->puts);
    free(plan->dels);
    free(plan);
}
