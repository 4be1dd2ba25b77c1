/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/trie.h"

#include <stdlib.h>

#include "protocol/seal.h"
#include "tests/support/test.h"
#include "tests/support/vectors.h"

#define COLLECTION 2

/* ---- a trie's store in memory: sorted arrays, and the listings themselves ---- */

struct stored_node {
    struct trie_prefix prefix;
    uint8_t bytes[TRIE_INNER_BYTES];
};

struct memory {
    struct stored_node *nodes;
    size_t node_count;
    size_t node_capacity;
    struct trie_entry *entries; /* ascending */
    size_t entry_count;
    size_t entry_reads; /* how many leaves were read */
    size_t node_writes;
};

static int prefix_compare(const struct trie_prefix *a, const struct trie_prefix *b)
{
    return span_compare(span_of(a->nibbles, a->size), span_of(b->nibbles, b->size));
}

/* Where the node stands, or would stand. */
static size_t memory_find(const struct memory *memory, const struct trie_prefix *prefix)
{
    size_t low = 0;
    size_t high = memory->node_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (prefix_compare(&memory->nodes[middle].prefix, prefix) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool memory_has(const struct memory *memory, size_t at, const struct trie_prefix *prefix)
{
    return at < memory->node_count && prefix_compare(&memory->nodes[at].prefix, prefix) == 0;
}

static enum torg_err memory_get(void *context, const struct trie_prefix *prefix, struct span *ret)
{
    struct memory *memory = context;
    size_t at = memory_find(memory, prefix);

    if (!memory_has(memory, at, prefix))
        return TORG_E_NOT_FOUND;
    *ret = span_of(memory->nodes[at].bytes, TRIE_INNER_BYTES);
    return TORG_OK;
}

static enum torg_err memory_put(void *context, const struct trie_prefix *prefix, struct span node)
{
    struct memory *memory = context;
    size_t at = memory_find(memory, prefix);

    memory->node_writes++;
    if (!memory_has(memory, at, prefix)) {
        if (memory->node_count == memory->node_capacity) {
            memory->node_capacity = memory->node_capacity * 2 + 16;
            memory->nodes =
                reallocarray(memory->nodes, memory->node_capacity, sizeof(*memory->nodes));
            assert_non_null(memory->nodes);
        }
        memmove(memory->nodes + at + 1, memory->nodes + at,
                (memory->node_count - at) * sizeof(*memory->nodes));
        memory->node_count++;
        memset(&memory->nodes[at], 0, sizeof(memory->nodes[at]));
        memory->nodes[at].prefix.size = prefix->size;
        memcpy(memory->nodes[at].prefix.nibbles, prefix->nibbles, prefix->size);
    }
    memcpy(memory->nodes[at].bytes, node.data, TRIE_INNER_BYTES);
    return TORG_OK;
}

static enum torg_err memory_del(void *context, const struct trie_prefix *prefix)
{
    struct memory *memory = context;
    size_t at = memory_find(memory, prefix);

    if (!memory_has(memory, at, prefix))
        return TORG_E_NOT_FOUND;
    memory->node_count--;
    memmove(memory->nodes + at, memory->nodes + at + 1,
            (memory->node_count - at) * sizeof(*memory->nodes));
    return TORG_OK;
}

static enum torg_err memory_entries(void *context, const struct trie_prefix *prefix, size_t max,
                                    struct trie_entry *out, size_t *ret_count)
{
    struct memory *memory = context;
    struct listing_key first = {{0}};
    size_t low = 0;
    size_t high = memory->entry_count;
    size_t count = 0;

    memory->entry_reads++;
    for (unsigned i = 0; i < prefix->size; i++)
        first.bytes[i / 2] |= (uint8_t)(prefix->nibbles[i] << (i % 2 ? 0 : 4));
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (memcmp(&memory->entries[middle].key, &first, sizeof(first)) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    while (count < max && low < memory->entry_count &&
           trie_prefix_holds(prefix, &memory->entries[low].key))
        out[count++] = memory->entries[low++];
    *ret_count = count;
    return TORG_OK;
}

static struct trie_store memory_store(struct memory *memory)
{
    return (struct trie_store){
        .context = memory,
        .node_get = memory_get,
        .node_put = memory_put,
        .node_del = memory_del,
        .entries = memory_entries,
    };
}

static void memory_done(struct memory *memory)
{
    free(memory->nodes);
    free(memory->entries);
    *memory = (struct memory){0};
}

static int entry_order(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct listing_key));
}

static int edit_order(const void *a, const void *b)
{
    const struct trie_edit *left = a;
    const struct trie_edit *right = b;

    return memcmp(&left->entry.key, &right->entry.key, sizeof(left->entry.key));
}

/* The listings after edits, one by one: slow and plain. */
static void memory_edit(struct memory *memory, const struct trie_edit *edits, size_t count)
{
    struct trie_entry *next =
        reallocarray(NULL, memory->entry_count + count + 1, sizeof(*memory->entries));
    size_t next_count = 0;

    assert_non_null(next);
    for (size_t i = 0; i < memory->entry_count; i++) {
        if (!bsearch(&memory->entries[i], edits, count, sizeof(*edits), edit_order))
            next[next_count++] = memory->entries[i];
    }
    for (size_t i = 0; i < count; i++) {
        if (!edits[i].removed)
            next[next_count++] = edits[i].entry;
    }
    qsort(next, next_count, sizeof(*next), entry_order);
    free(memory->entries);
    memory->entries = next;
    memory->entry_count = next_count;
}

/* The definition, word for word, writing every inner node to memory. */
static struct trie_root rebuild(struct memory *memory, const struct trie_entry *entries,
                                size_t count, struct trie_prefix prefix)
{
    struct trie_root root = {.count = (uint32_t)count};
    uint8_t node[TRIE_INNER_BYTES];

    if (count <= TRIE_LEAF_MAX) {
        root.digest = trie_leaf_digest(COLLECTION, entries, count);
        return root;
    }
    prefix.size++;
    for (uint8_t c = 0; c < 16; c++) {
        size_t from = 0;
        size_t through;
        struct trie_root child;

        prefix.nibbles[prefix.size - 1] = c;
        while (from < count && !trie_prefix_holds(&prefix, &entries[from].key))
            from++;
        through = from;
        while (through < count && trie_prefix_holds(&prefix, &entries[through].key))
            through++;
        child = rebuild(memory, entries + from, through - from, prefix);
        put_u32be(node + (size_t)36 * c, child.count);
        memcpy(node + (size_t)36 * c + 4, &child.digest, 32);
    }
    prefix.size--;
    memory_put(memory, &prefix, span_of(node, sizeof(node)));
    root.digest = seal_hash(DOMAIN_INNER, span_of(node, sizeof(node)));
    return root;
}

/* ---- vectors ---- */

static void entries_of_vector(struct trie_entry entries[33])
{
    for (unsigned i = 0; i < 33; i++) {
        struct listing_id id;

        memset(&id, (int)i, sizeof(id));
        entries[i].key = listing_key_of(&id);
        memset(&entries[i].header_hash, (int)i, sizeof(entries[i].header_hash));
    }
}

/* A root that differs from everybody else's makes every head of ours unbelievable. */
static void test_vectors(void **state)
{
    struct memory memory = {0};
    struct trie_store store = memory_store(&memory);
    struct trie_root root = {0};
    struct trie_edit edits[33] = {0};
    struct trie_entry entries[33];
    struct trie_plan *plan;
    uint8_t counts[16];

    (void)state;
    entries_of_vector(entries);
    for (unsigned i = 0; i < 33; i++)
        edits[i].entry = entries[i];
    qsort(entries, 33, sizeof(*entries), entry_order);
    qsort(edits, 33, sizeof(*edits), edit_order);
    assert_vector(span_of(&entries[0].key, 16), "smallest-key-of-33");

    assert_ok(trie_plan_new(COLLECTION, &store, &root, edits, 33, &plan));
    root = trie_plan_root(plan);
    assert_ok(trie_plan_write(plan, &store));
    trie_plan_free(plan);
    memory_edit(&memory, edits, 33);
    assert_int_equal(root.count, 33);
    assert_vector(span_of(&root.digest, 32), "root-of-33");
    assert_int_equal(memory.node_count, 1);
    for (unsigned i = 0; i < 16; i++)
        counts[i] = (uint8_t)trie_inner_child_count(span_of(memory.nodes[0].bytes, 576), i);
    assert_vector(span_of(counts, 16), "children-of-33");
    root = trie_build(COLLECTION, entries, 33);
    assert_vector(span_of(&root.digest, 32), "root-of-33");

    for (unsigned i = 0; i < 33; i++) {
        if (edits[i].entry.header_hash.bytes[0] == 32)
            edits[0] = edits[i];
    }
    edits[0].removed = true;
    assert_ok(trie_plan_new(COLLECTION, &store, &root, edits, 1, &plan));
    root = trie_plan_root(plan);
    assert_ok(trie_plan_write(plan, &store));
    trie_plan_free(plan);
    assert_int_equal(root.count, 32);
    assert_vector(span_of(&root.digest, 32), "root-of-32");
    assert_int_equal(memory.node_count, 0);
    memory_done(&memory);
}

static void test_vector_of_one_listing(void **state)
{
    struct buffer hash = {0};
    struct trie_entry entry;
    struct trie_root root;
    struct listing_id id;

    (void)state;
    for (unsigned i = 0; i < 16; i++)
        id.bytes[i] = (uint8_t)(16 + i);
    entry.key = listing_key_of(&id);
    vector_read("header-hash", &hash);
    memcpy(&entry.header_hash, hash.data, 32);
    root = trie_build(COLLECTION, &entry, 1);
    assert_vector(span_of(&root.digest, 32), "root-of-one");
    buffer_done(&hash);

    root = trie_build(COLLECTION, NULL, 0);
    assert_int_equal(root.count, 0);
    assert_memory_equal(&root.digest, &(struct hash){0}, 32);
}

/* ---- properties ---- */

/*
 * Keys that share long prefixes, up to 31 nibbles, as random keys never would:
 * a base, and random nibbles from some depth on.
 */
static struct listing_key random_key(uint64_t *seed, unsigned shared)
{
    struct listing_key key;

    memset(&key, 0x5a, sizeof(key));
    if (test_random_below(seed, 4) == 0)
        shared = (unsigned)test_random_below(seed, 32);
    for (unsigned i = shared; i < 32; i++) {
        unsigned nibble = (unsigned)test_random_below(seed, 16);
        uint8_t *byte = &key.bytes[i / 2];

        *byte = i % 2 ? (uint8_t)((*byte & 0xf0) | nibble) : (uint8_t)((*byte & 15) | nibble << 4);
    }
    return key;
}

struct weather {
    size_t edits_max;
    unsigned removed_percent;
    unsigned known_percent; /* edits of a key that is there */
};

static size_t random_edits(uint64_t *seed, const struct memory *memory, struct weather weather,
                           unsigned shared, struct trie_edit *out)
{
    size_t count = 0;
    size_t wanted = 1 + test_random_below(seed, weather.edits_max);

    for (size_t i = 0; i < wanted; i++) {
        struct trie_edit *edit = &out[count];

        *edit =
            (struct trie_edit){.removed = test_random_below(seed, 100) < weather.removed_percent};
        if (memory->entry_count && test_random_below(seed, 100) < weather.known_percent)
            edit->entry = memory->entries[test_random_below(seed, memory->entry_count)];
        else
            edit->entry.key = random_key(seed, shared);
        if (test_random_below(seed, 8)) /* Else an upsert that changes nothing. */
            memset(&edit->entry.header_hash, (int)test_random_below(seed, 256), 32);
        count++;
    }
    qsort(out, count, sizeof(*out), edit_order);
    wanted = count;
    count = 0;
    for (size_t i = 0; i < wanted; i++) {
        if (count == 0 || edit_order(&out[count - 1], &out[i]))
            out[count++] = out[i];
    }
    return count;
}

static void check_against_rebuilt(const struct memory *memory, const struct trie_root *root,
                                  uint64_t seed, unsigned step)
{
    struct memory fresh = {0};
    struct trie_root expected =
        rebuild(&fresh, memory->entries, memory->entry_count, (struct trie_prefix){0});
    struct trie_root built = trie_build(COLLECTION, memory->entries, memory->entry_count);

    if (memcmp(&expected, root, sizeof(expected)) || memcmp(&expected, &built, sizeof(built)))
        fail_msg("seed %#llx, step %u: roots differ", (unsigned long long)seed, step);
    if (fresh.node_count != memory->node_count)
        fail_msg("seed %#llx, step %u: %zu nodes stored, %zu expected", (unsigned long long)seed,
                 step, memory->node_count, fresh.node_count);
    for (size_t i = 0; i < fresh.node_count; i++) {
        if (prefix_compare(&fresh.nodes[i].prefix, &memory->nodes[i].prefix) ||
            memcmp(fresh.nodes[i].bytes, memory->nodes[i].bytes, TRIE_INNER_BYTES))
            fail_msg("seed %#llx, step %u: a stored node is stale", (unsigned long long)seed, step);
    }
    memory_done(&fresh);
}

/*
 * A root that depends on the order of writes, or a stale node, would show only
 * months later, as a reconcile that never ends.
 */
static void random_history(uint64_t seed)
{
    static const struct weather weathers[] = {
        {3, 30, 40}, {120, 10, 20}, {40, 50, 60}, {40, 95, 95}, {5, 70, 90}, {1, 50, 50},
    };
    struct memory memory = {0};
    struct trie_store store = memory_store(&memory);
    struct trie_root root = {0};
    struct trie_edit edits[128];
    uint64_t random = seed;
    unsigned shared = (unsigned)test_random_below(&random, 32);

    for (unsigned step = 0; step < 80; step++) {
        struct weather weather = weathers[test_random_below(&random, ARRAY_SIZE(weathers))];
        struct trie_plan *plan;
        size_t count = random_edits(&random, &memory, weather, shared, edits);

        assert_ok(trie_plan_new(COLLECTION, &store, &root, edits, count, &plan));
        assert_ok(trie_plan_write(plan, &store));
        root = trie_plan_root(plan);
        trie_plan_free(plan);
        memory_edit(&memory, edits, count);
        check_against_rebuilt(&memory, &root, seed, step);
    }
    memory_done(&memory);
}

static void test_incremental_equals_rebuilt(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 16; seed++)
        random_history(seed);
}

/* Splitting at 33 and merging at 32 at the deepest place that keys can need. */
static void test_keys_with_31_nibbles_in_common(void **state)
{
    struct memory memory = {0};
    struct trie_store store = memory_store(&memory);
    struct trie_root root = {0};

    (void)state;
    for (unsigned i = 0; i < 48 * 2; i++) {
        bool removed = i >= 48;
        struct trie_edit edit = {.removed = removed};
        struct trie_plan *plan;

        memset(&edit.entry.key, 0xff, 16);
        edit.entry.key.bytes[15] = (uint8_t)(i % 48);
        assert_ok(trie_plan_new(COLLECTION, &store, &root, &edit, 1, &plan));
        assert_ok(trie_plan_write(plan, &store));
        root = trie_plan_root(plan);
        trie_plan_free(plan);
        memory_edit(&memory, &edit, 1);
        check_against_rebuilt(&memory, &root, 0, i);
        assert_int_equal(memory.node_count, memory.entry_count > 32 ? 31 : 0);
    }
    assert_int_equal(root.count, 0);
    memory_done(&memory);
}

/* A commit that reads or writes the whole trie would stop a municipality's import. */
static void test_a_commit_touches_only_its_leaves(void **state)
{
    enum { LISTINGS = 500000, CHANGES = 1024 };
    struct memory memory = {0};
    struct trie_store store = memory_store(&memory);
    struct trie_root root = {0};
    struct trie_edit *edits = calloc(LISTINGS, sizeof(*edits));
    uint64_t random = 7;
    struct trie_plan *plan;

    (void)state;
    assert_non_null(edits);
    for (size_t i = 0; i < LISTINGS; i++)
        put_u64be(edits[i].entry.key.bytes, test_random(&random));
    qsort(edits, LISTINGS, sizeof(*edits), edit_order);
    assert_ok(trie_plan_new(COLLECTION, &store, &root, edits, LISTINGS, &plan));
    assert_ok(trie_plan_write(plan, &store));
    root = trie_plan_root(plan);
    trie_plan_free(plan);
    assert_int_equal(root.count, LISTINGS);
    assert_int_equal(memory.entry_reads, 0);
    memory_edit(&memory, edits, LISTINGS);

    for (size_t i = 0; i < CHANGES; i++) {
        edits[i] = (struct trie_edit){.entry = memory.entries[i * (LISTINGS / CHANGES)]};
        memset(&edits[i].entry.header_hash, 1, 32);
    }
    memory.node_writes = 0;
    memory.entry_reads = 0;
    assert_ok(trie_plan_new(COLLECTION, &store, &root, edits, CHANGES, &plan));
    assert_ok(trie_plan_write(plan, &store));
    assert_in_range(memory.entry_reads, 900, CHANGES);
    assert_in_range(memory.node_writes, 1000, 1300);
    trie_plan_free(plan);
    free(edits);
    memory_done(&memory);
}

/* ---- contradictions ---- */

static void fill(struct memory *memory, struct trie_root *root, size_t count)
{
    struct trie_store store = memory_store(memory);
    struct trie_edit edits[100] = {0};
    struct trie_plan *plan;
    uint64_t random = 3;

    assert_true(count <= ARRAY_SIZE(edits));
    for (size_t i = 0; i < count; i++)
        put_u64be(edits[i].entry.key.bytes, test_random(&random) >> 8);
    qsort(edits, count, sizeof(*edits), edit_order);
    assert_ok(trie_plan_new(COLLECTION, &store, root, edits, count, &plan));
    assert_ok(trie_plan_write(plan, &store));
    *root = trie_plan_root(plan);
    trie_plan_free(plan);
    memory_edit(memory, edits, count);
}

/* A damaged store must say so, not be signed. */
static void test_contradictions_are_found(void **state)
{
    struct memory memory = {0};
    struct trie_store store = memory_store(&memory);
    struct trie_root root = {0};
    struct trie_edit edit = {0};
    struct trie_plan *plan = NULL;

    (void)state;
    fill(&memory, &root, 90);
    edit.removed = true;

    memory.entry_count--; /* A listing is gone behind the trie's back. */
    edit.entry.key = memory.entries[memory.entry_count - 1].key;
    assert_err(trie_plan_new(COLLECTION, &store, &root, &edit, 1, &plan), TORG_E_CORRUPT);
    memory.entry_count++;

    memory.nodes[memory.node_count - 1].bytes[3]++;
    edit.entry.key = memory.entries[0].key;
    for (size_t i = 0; i < memory.entry_count; i++) {
        if (trie_prefix_holds(&memory.nodes[memory.node_count - 1].prefix, &memory.entries[i].key))
            edit.entry.key = memory.entries[i].key;
    }
    assert_err(trie_plan_new(COLLECTION, &store, &root, &edit, 1, &plan), TORG_E_CORRUPT);

    memory.node_count = 0;
    assert_err(trie_plan_new(COLLECTION, &store, &root, &edit, 1, &plan), TORG_E_CORRUPT);
    assert_null(plan);
    memory_done(&memory);
}

static void test_inner_count_does_not_wrap(void **state)
{
    uint8_t node[TRIE_INNER_BYTES] = {0};
    uint32_t count = 0;

    (void)state;
    put_u32be(node, UINT32_MAX);
    assert_ok(trie_inner_count(span_of(node, sizeof(node)), &count));
    assert_int_equal(count, UINT32_MAX);
    put_u32be(node + (size_t)36 * 15, 1);
    assert_err(trie_inner_count(span_of(node, sizeof(node)), &count), TORG_E_INVALID);
}

static void test_prefixes(void **state)
{
    struct listing_key key = {{0x12, 0x34}};
    struct trie_prefix prefix = {.size = 3, .nibbles = {1, 2, 3}};

    (void)state;
    assert_true(trie_prefix_holds(&prefix, &key));
    key.bytes[1] = 0x44;
    assert_false(trie_prefix_holds(&prefix, &key));
    prefix.size = 0;
    assert_true(trie_prefix_holds(&prefix, &key));
}

static int setup(void **state)
{
    (void)state;
    return seal_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_vector_of_one_listing),
        cmocka_unit_test(test_incremental_equals_rebuilt),
        cmocka_unit_test(test_keys_with_31_nibbles_in_common),
        cmocka_unit_test(test_a_commit_touches_only_its_leaves),
        cmocka_unit_test(test_contradictions_are_found),
        cmocka_unit_test(test_inner_count_does_not_wrap),
        cmocka_unit_test(test_prefixes),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
