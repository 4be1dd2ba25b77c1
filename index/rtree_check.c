/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "index/rtree_pending.h"

/*
 * What holds in every tree; each breach is reported with its number.
 *
 *  1  The tree's record reads; it has a root exactly when it has items.
 *  2  Every node that an entry names is there and reads: size, version, level,
 *     number, positions in range, boxes not inside out, nothing behind its entries.
 *  3  Levels go down by one; every leaf is at level 0. (A part of 2.)
 *  4  No node is empty, and an inner root has two children at least.
 *  5  What an entry says of a child is exactly the sum of the child's entries:
 *     box, items, themes, days.
 *  6  A leaf entry is what its item packs to: a record exactly where one is
 *     needed, words and combination as the exact fields give them.
 *  7  The tree's record counts the items that are there.
 *  8  A document stands in the tree once.
 *  9  A node is reached once, from one of the trees; every number below the
 *     record's next is reached or in the chain of free numbers; no other node
 *     is stored.
 * 10  A record belongs to an item that says it has one.
 * 11  An inner node of the main tree, and nothing else, has counts by theme, and
 *     they are the sums of what is below.
 * 12  The tree's record counts the items of each theme.
 * 13  A theme's own tree holds 1 to 8 too, and exactly the main tree's entries
 *     of the items with the theme.
 * 14  The page of waiting edits is there and reads, with nothing behind its entries; what is
 *     to go stands in the main tree, as it stands there, and once on the page.
 * 15  What is to come is plain (rtree_item.h) and stands nowhere else: once on
 *     the page, and in the main tree only if that is to go.
 */
struct list {
    uint32_t *numbers; /* owned */
    size_t count, capacity;
};

/* An item of the main tree, to know it again in a theme's. */
struct seen {
    uint32_t document, from, through;
    struct position point;
    uint16_t theme;
};

struct check {
    const struct kv *kv;
    uint8_t collection;
    rtree_report *report;
    void *context;
    struct rtree_record record;
    struct rtree_combinations combinations;
    struct rtree_stat stat;
    int theme; /* whose tree is walked; -1: the main one */
    struct list documents, nodes, records, counted;
    struct seen *seen; /* owned; ascending by document once the main tree was walked */
    size_t seen_count, seen_capacity;
    uint64_t breaches;
};

__attribute__((format(printf, 2, 3))) static void say(struct check *check, const char *format, ...)
{
    char text[200];
    va_list arguments;

    check->breaches++;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (check->report)
        check->report(check->context, text);
}

static enum torg_err list_add(struct list *list, uint32_t number)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 256;
        uint32_t *numbers = realloc(list->numbers, capacity * sizeof(*numbers));

        if (!numbers)
            return TORG_E_NOMEM;
        list->numbers = numbers;
        list->capacity = capacity;
    }
    list->numbers[list->count++] = number;
    return TORG_OK;
}

static int number_compare(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

    return (a > b) - (a < b);
}

static void list_sort(struct list *list)
{
    if (list->count > 0)
        qsort(list->numbers, list->count, sizeof(*list->numbers), number_compare);
}

static bool list_has(const struct list *list, uint32_t number)
{
    return list->count > 0 && bsearch(&number, list->numbers, list->count, sizeof(*list->numbers),
                                      number_compare) != NULL;
}

/* ---- nodes ---- */

static void check_sum(struct check *check, const struct rtree_entry *said,
                      const struct rtree_entry *is)
{
    if (memcmp(&said->min, &is->min, sizeof(said->min)) != 0 ||
        memcmp(&said->max, &is->max, sizeof(said->max)) != 0)
        say(check, "5: node %u: its box is not that of its entries", said->child);
    if (said->count != is->count)
        say(check, "5: node %u: %u items are said, %u are there", said->child, said->count,
            is->count);
    if (memcmp(&said->themes, &is->themes, sizeof(said->themes)) != 0)
        say(check, "5: node %u: its themes are not those of its entries", said->child);
    if (said->from_min != is->from_min || said->from_max != is->from_max ||
        said->through_min != is->through_min || said->through_max != is->through_max)
        say(check, "5: node %u: its times are not those of its entries", said->child);
}

static enum torg_err seen_add(struct check *check, const struct rtree_entry *entry)
{
    if (check->seen_count == check->seen_capacity) {
        size_t capacity = check->seen_capacity ? check->seen_capacity * 2 : 256;
        struct seen *seen = realloc(check->seen, capacity * sizeof(*seen));

        if (!seen)
            return TORG_E_NOMEM;
        check->seen = seen;
        check->seen_capacity = capacity;
    }
    check->seen[check->seen_count++] = (struct seen){
        .document = entry->child,
        .from = entry->from,
        .through = entry->through,
        .point = entry->point,
        .theme = entry->theme,
    };
    return TORG_OK;
}

static int seen_compare(const void *left, const void *right)
{
    const struct seen *a = left, *b = right;

    return (a->document > b->document) - (a->document < b->document);
}

/* In a theme's tree: is it the main tree's entry, and has it the theme? */
static void check_member(struct check *check, const struct rtree_entry *entry)
{
    const struct seen key = {.document = entry->child};
    const struct seen *seen = NULL;

    if (check->seen_count > 0)
        seen = bsearch(&key, check->seen, check->seen_count, sizeof(key), seen_compare);
    if (!seen || seen->from != entry->from || seen->through != entry->through ||
        memcmp(&seen->point, &entry->point, sizeof(seen->point)) != 0 ||
        seen->theme != entry->theme)
        say(check, "13: theme %d: document %u is not the main tree's", check->theme, entry->child);
    if (!theme_set_has(&entry->themes, (unsigned)check->theme))
        say(check, "13: theme %d: document %u does not have it", check->theme, entry->child);
}

static enum torg_err check_item(struct check *check, const struct rtree_node *leaf, unsigned i,
                                struct rtree_entry *ret_entry)
{
    struct rtree_item item;
    enum torg_err err;
    bool area, record, has_record;
    uint32_t from, through;

    err = rtree_item_get(check->kv, check->collection, leaf, i, &item);
    if (!err)
        err = rtree_item_entry(check->kv, check->collection, &check->combinations, leaf, i,
                               ret_entry);
    if (err)
        return err;
    from = ret_entry->from & RTREE_MINUTE_MASK;
    through = ret_entry->through & RTREE_MINUTE_MASK;
    has_record = ret_entry->from & RTREE_FLAG_RECORD;
    area = memcmp(&item.min, &item.point, sizeof(item.min)) != 0 ||
           memcmp(&item.max, &item.point, sizeof(item.max)) != 0;
    record = area || ret_entry->theme == RTREE_THEME_RECORD ||
             (item.time_from_ms != INT64_MIN && item.time_from_ms % 60000 != 0) ||
             (item.time_through_ms != INT64_MAX && item.time_through_ms % 60000 != 0);
    if (area != ((ret_entry->through & RTREE_FLAG_AREA) != 0) || (record && !has_record))
        say(check, "6: document %u: its flags do not fit its fields", item.document);
    if (from != rtree_item_minute_down(item.time_from_ms) ||
        through != rtree_item_minute_up(item.time_through_ms))
        say(check, "6: document %u: its minutes are not those of its times", item.document);
    if (has_record && memcmp(&ret_entry->themes, &item.themes, sizeof(item.themes)) != 0)
        say(check, "6: document %u: its combination is not its themes", item.document);
    err = list_add(&check->documents, item.document);
    if (err)
        return err;
    if (check->theme >= 0) {
        check_member(check, ret_entry);
        return TORG_OK;
    }
    if (has_record)
        err = list_add(&check->records, item.document);
    return err ? err : seen_add(check, ret_entry);
}

static enum torg_err check_counts(struct check *check, uint32_t number, const uint32_t *is)
{
    const uint8_t *said;
    enum torg_err err;

    err = list_add(&check->counted, number);
    if (err)
        return err;
    err = rtree_node_counts_get(check->kv, check->collection, number, &said);
    if (err == TORG_E_CORRUPT) {
        say(check, "11: node %u: its counts by theme are missing or damaged", number);
        return TORG_OK;
    }
    for (unsigned bit = 0; bit < THEME_BITS && !err; bit++) {
        if (rtree_node_u32(said, bit) != is[bit])
            say(check, "11: node %u: %u items of theme %u are said, %u are there", number,
                rtree_node_u32(said, bit), bit, is[bit]);
    }
    return err;
}

static void counts_add(uint32_t *counts, const struct theme_set *themes)
{
    for (unsigned word = 0; word < 4; word++) {
        for (uint64_t left = themes->words[word]; left; left &= left - 1)
            counts[64 * word + (unsigned)__builtin_ctzll(left)]++;
    }
}

static enum torg_err check_node(struct check *check, uint32_t number, unsigned level,
                                struct rtree_entry *ret_sum, uint32_t *counts);

/* The i-th entry: what it is, and what it adds to the counts. */
static enum torg_err check_entry(struct check *check, const struct rtree_node *node, unsigned i,
                                 struct rtree_entry *ret_entry, uint32_t *counts)
{
    uint32_t below[THEME_BITS] = {0};
    struct rtree_entry said;
    enum torg_err err;

    if (node->level == 0) {
        err = check_item(check, node, i, ret_entry);
        if (err == TORG_E_CORRUPT)
            say(check, "6: document %u: its record or its combination is missing or damaged",
                rtree_node_u32(node->document, i));
        if (!err)
            counts_add(counts, &ret_entry->themes);
        return err;
    }
    said = rtree_node_child(node, i);
    err = check_node(check, said.child, node->level - 1, ret_entry, below);
    if (err)
        return err;
    check_sum(check, &said, ret_entry);
    for (unsigned bit = 0; bit < THEME_BITS; bit++)
        counts[bit] += below[bit];
    return TORG_OK;
}

/* counts gets the items with each theme. */
static enum torg_err check_node(struct check *check, uint32_t number, unsigned level,
                                struct rtree_entry *ret_sum, uint32_t *counts)
{
    struct rtree_node node;
    struct rtree_entry entry, sum;
    enum torg_err err;

    err = rtree_node_get(check->kv, check->collection, number, level, &node);
    if (err == TORG_E_CORRUPT)
        say(check, "2: node %u at level %u is missing or damaged", number, level);
    if (!err)
        err = list_add(&check->nodes, number);
    /* As many as there can be: a damaged tree must not be walked for ever. */
    if (!err && check->nodes.count > check->record.root.next) {
        say(check, "9: nodes are reached more than once");
        err = TORG_E_CORRUPT;
    }
    if (err)
        return err;
    if (!rtree_node_rest_zero(&node))
        say(check, "2: node %u has something behind its entries", number);
    *(level == 0 ? &check->stat.leaves : &check->stat.inner_nodes) += 1;
    check->stat.bytes += RTREE_NODE_BYTES_MAX;
    for (unsigned i = 0; i < node.count; i++) {
        err = check_entry(check, &node, i, &entry, counts);
        if (err)
            return err;
        if (i == 0)
            sum = rtree_node_sum(&entry, 1);
        else
            rtree_node_add(&sum, &entry);
    }
    sum.child = number;
    *ret_sum = sum;
    return level > 0 && check->theme < 0 ? check_counts(check, number, counts) : TORG_OK;
}

/* A tree from its root; as many items as the record says. */
static enum torg_err check_root(struct check *check, uint32_t root, unsigned height, uint64_t items,
                                uint32_t *counts)
{
    struct rtree_entry sum;
    struct rtree_node node;
    enum torg_err err;

    check->documents.count = 0;
    err = check_node(check, root, height - 1, &sum, counts);
    if (err)
        return err;
    list_sort(&check->documents);
    for (size_t i = 1; i < check->documents.count; i++) {
        if (check->documents.numbers[i] == check->documents.numbers[i - 1])
            say(check, "8: document %u stands in the tree twice", check->documents.numbers[i]);
    }
    if (check->documents.count != items)
        say(check, "7: %llu items are said, %zu are there", (unsigned long long)items,
            check->documents.count);
    err = rtree_node_get(check->kv, check->collection, root, height - 1, &node);
    if (!err && height > 1 && node.count < 2)
        say(check, "4: the root %u has only one child", root);
    return err;
}

static enum torg_err check_main(struct check *check)
{
    const struct rtree_record *record = &check->record;
    uint32_t counts[THEME_BITS] = {0};
    enum torg_err err = TORG_OK;

    check->theme = -1;
    if (record->root.height > 0)
        err = check_root(check, record->root.root, record->root.height, record->root.items, counts);
    if (err)
        return err;
    check->stat.items = check->seen_count;
    check->stat.height = record->root.height;
    if (check->seen_count > 0)
        qsort(check->seen, check->seen_count, sizeof(*check->seen), seen_compare);
    for (unsigned bit = 0; bit < THEME_BITS; bit++) {
        if (record->themes[bit].items != counts[bit])
            say(check, "12: %u items of theme %u are said, %u are there", record->themes[bit].items,
                bit, counts[bit]);
    }
    return TORG_OK;
}

static enum torg_err check_themes(struct check *check)
{
    enum torg_err err = TORG_OK;

    for (unsigned bit = 0; bit < THEME_BITS && !err; bit++) {
        const struct rtree_theme *theme = &check->record.themes[bit];
        uint32_t counts[THEME_BITS] = {0};

        if (theme->height == 0)
            continue;
        check->theme = (int)bit;
        check->stat.theme_trees++;
        err = check_root(check, theme->root, theme->height, theme->items, counts);
    }
    return err;
}

/* ---- what waits ---- */

static const struct seen *seen_find(const struct check *check, uint32_t document)
{
    const struct seen key = {.document = document};

    return check->seen_count > 0
               ? bsearch(&key, check->seen, check->seen_count, sizeof(key), seen_compare)
               : NULL;
}

static bool stands_twice(const struct rtree_node *leaf, unsigned i)
{
    for (unsigned before = 0; before < i; before++) {
        if (rtree_node_u32(leaf->document, before) == rtree_node_u32(leaf->document, i))
            return true;
    }
    return false;
}

static void check_gone(struct check *check, const struct rtree_node *gone)
{
    for (unsigned i = 0; i < gone->count; i++) {
        uint32_t document = rtree_node_u32(gone->document, i);
        const struct seen *seen = seen_find(check, document);
        struct position point = rtree_node_point(gone, i);

        if (!seen || seen->from != rtree_node_u32(gone->from, i) ||
            seen->through != rtree_node_u32(gone->through, i) ||
            seen->theme != rtree_node_u16(gone->theme, i) ||
            memcmp(&seen->point, &point, sizeof(point)) != 0)
            say(check, "14: document %u is to go and is not in the tree", document);
        if (stands_twice(gone, i))
            say(check, "14: document %u is to go twice", document);
    }
}

static enum torg_err check_added(struct check *check, const struct rtree_pending *pending)
{
    const struct rtree_node *added = &pending->added;
    struct rtree_gone gone;

    rtree_gone_fill(&gone, &pending->gone, rtree_mask_of(pending->gone.count));
    for (unsigned i = 0; i < added->count; i++) {
        uint32_t document = rtree_node_u32(added->document, i);
        struct rtree_item item;
        enum torg_err err = rtree_item_get(check->kv, check->collection, added, i, &item);

        if (err == TORG_E_CORRUPT)
            say(check, "15: document %u, which is to come, has no themes", document);
        if (err)
            return err;
        if (stands_twice(added, i))
            say(check, "15: document %u is to come twice", document);
        if (seen_find(check, document) && !rtree_gone_has(&gone, document))
            say(check, "15: document %u is to come and is in the tree", document);
    }
    return TORG_OK;
}

static enum torg_err check_pending(struct check *check)
{
    struct rtree_pending pending;
    enum torg_err err = rtree_pending_get(check->kv, check->collection, &pending);

    if (err == TORG_E_CORRUPT)
        say(check, "14: the page of waiting edits is damaged");
    if (err)
        return err;
    if (!pending.gone.bytes && check->record.root.next > 1)
        say(check, "14: the page of waiting edits is missing");
    if (!rtree_pending_rest_zero(&pending))
        say(check, "14: the page of waiting edits has something behind its entries");
    check_gone(check, &pending.gone);
    check->stat.items += pending.added.count;
    check->stat.items -= pending.gone.count < check->stat.items ? pending.gone.count : 0;
    return check_added(check, &pending);
}

/* ---- numbers ---- */

/* The chain of free numbers, into the list of nodes: together they must be all there are. */
static enum torg_err check_free(struct check *check)
{
    uint8_t key[RTREE_KEY_BYTES];
    uint32_t number = check->record.root.free_head, next;
    struct span value;
    enum torg_err err = TORG_OK;

    while (number != 0 && !err) {
        err = kv_get(check->kv, KV_RTREE, rtree_node_key(check->collection, number, key), &value);
        if (err == TORG_E_NOT_FOUND || (!err && !rtree_node_free_read(value, &next))) {
            say(check, "9: the free number %u is not free", number);
            return TORG_E_CORRUPT;
        }
        if (!err)
            err = list_add(&check->nodes, number);
        if (!err && check->nodes.count > check->record.root.next) {
            say(check, "9: the chain of free numbers runs in a circle");
            return TORG_E_CORRUPT;
        }
        number = next;
    }
    return err;
}

static void check_numbers(struct check *check)
{
    const struct list *nodes = &check->nodes;

    list_sort(&check->nodes);
    for (size_t i = 1; i < nodes->count; i++) {
        if (nodes->numbers[i] == nodes->numbers[i - 1])
            say(check, "9: node %u is reached twice, or is free", nodes->numbers[i]);
    }
    if (nodes->count != (size_t)check->record.root.next - 1)
        say(check, "9: %zu nodes and free numbers of %u are accounted for", nodes->count,
            check->record.root.next - 1);
}

/* Every key under the first byte must be in the list. */
static enum torg_err check_stored(struct check *check, uint8_t first_byte, const struct list *list,
                                  const char *what)
{
    struct kv_cursor *cursor;
    struct span key, value;
    enum torg_err err;

    err = kv_cursor_open(check->kv, KV_RTREE, &cursor);
    if (err)
        return err;
    err = kv_cursor_seek(check->kv, cursor, span_of(&first_byte, 1), &key, &value);
    while (!err && key.size > 0 && key.data[0] == first_byte) {
        uint32_t number = key.size == RTREE_KEY_BYTES ? get_u32be(key.data + 1) : 0;
        /* The tree's record, and among the counts what waits. */
        bool is_root = first_byte != (check->collection | RTREE_RECORD_KEY_BIT) && number == 0;

        if (key.size != RTREE_KEY_BYTES || (!is_root && !list_has(list, number)))
            say(check, "%s %u belongs to nothing", what, number);
        err = kv_cursor_next(check->kv, cursor, &key, &value);
    }
    kv_cursor_close(check->kv, cursor);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

static enum torg_err check_tree(struct check *check)
{
    enum torg_err err;

    err = rtree_node_record_get(check->kv, check->collection, &check->record);
    if (err == TORG_E_NOT_FOUND) {
        check->record.root.next = 1;
        err = TORG_OK;
    }
    if (err == TORG_E_CORRUPT || err == TORG_E_VERSION)
        say(check, "1: the tree's record is damaged or of another version");
    if (!err)
        err = check_main(check);
    if (!err)
        err = check_themes(check);
    if (!err)
        err = check_pending(check);
    if (!err)
        err = check_free(check);
    if (err)
        return err;
    check_numbers(check);
    list_sort(&check->records);
    list_sort(&check->counted);
    err = check_stored(check, check->collection, &check->nodes, "9: node");
    if (!err)
        err = check_stored(check, check->collection | RTREE_COUNTS_KEY_BIT, &check->counted,
                           "11: the counts of node");
    if (!err)
        err = check_stored(check, check->collection | RTREE_RECORD_KEY_BIT, &check->records,
                           "10: the record of document");
    return err;
}

enum torg_err rtree_check(const struct kv *kv, uint8_t collection, rtree_report *report,
                          void *context, struct rtree_stat *ret_stat)
{
    struct check *check = calloc(1, sizeof(*check));
    enum torg_err err;

    assert(collection > 0 && collection <= RTREE_COLLECTION_MAX);
    if (!check)
        return TORG_E_NOMEM;
    check->kv = kv;
    check->collection = collection;
    check->report = report;
    check->context = context;
    err = check_tree(check);
    if (!err && check->breaches > 0)
        err = TORG_E_CORRUPT;
    if (!err && ret_stat)
        *ret_stat = check->stat;
    rtree_combinations_done(&check->combinations);
    free(check->documents.numbers);
    free(check->nodes.numbers);
    free(check->records.numbers);
    free(check->counted.numbers);
    free(check->seen);
    free(check);
    return err;
}
